package collect

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/tributary-net/tributary/sflow"
)

// SampleCounts accounts for the sequence numbers of sFlow samples, of a source or of
// several in sum. They are beside those of datagrams: a datagram that is missing takes
// its samples along, so the same loss is in both, each in its unit. Samples that are
// missing where no datagram is were lost in the agent, or could not be decoded.
type SampleCounts struct {
	Balance
	// AgentDrops is how many samples agents say they had no room for, between the
	// first sample that came of a source and the last: these have no numbers, so they
	// are not among the missing. Of drop notices, packets that they could not tell of.
	AgentDrops uint64
	// Pool is how many packets could have been sampled meanwhile.
	Pool uint64
}

// Add adds the counts of o to those of c.
func (c *SampleCounts) Add(o *SampleCounts) {
	c.Balance.Add(&o.Balance)
	c.AgentDrops += o.AgentDrops
	c.Pool += o.Pool
}

// Sub takes the counts of o, which are part of those of c, away from them.
func (c *SampleCounts) Sub(o *SampleCounts) {
	c.Balance.Sub(&o.Balance)
	c.AgentDrops -= o.AgentDrops
	c.Pool -= o.Pool
}

// KindSamples are the counts of samples by their kind. Those of [sflow.Other] have no
// numbers.
type KindSamples [sflow.Drop + 1]SampleCounts

// Add adds the counts of o to those of k.
func (k *KindSamples) Add(o *KindSamples) {
	for i := range k {
		k[i].Add(&o[i])
	}
}

// Sub takes the counts of o, which are part of those of k, away from them.
func (k *KindSamples) Sub(o *KindSamples) {
	for i := range k {
		k[i].Sub(&o[i])
	}
}

// Holds reports whether the balance of each kind holds.
func (k *KindSamples) Holds() bool {
	for i := range k {
		if !k[i].Holds() {
			return false
		}
	}
	return true
}

// SourceStats is what one source of an sFlow sub-agent has sent so far, of one kind of
// samples.
type SourceStats struct {
	Exporter    netip.Addr
	Port        uint16 // as in DomainStats
	Agent       netip.Addr
	SubAgent    uint32
	Kind        sflow.Kind
	SourceType  uint32 // 0: SourceIndex is an ifIndex, 1: a VLAN, 2: a physical entity
	SourceIndex uint32
	LastSeen    int64 // seconds since the epoch
	SampleCounts
}

// sourceKey tells the sources of a sub-agent apart. Each kind of samples of a source has
// numbers of its own.
type sourceKey struct {
	kind       sflow.Kind
	typ, index uint32
}

// source follows the samples of a source.
type source struct {
	seq        sequence
	agentDrops uint64
	pool       uint64
	seen       int64
}

// sourceOctets is about how much it takes to remember a source.
const sourceOctets = 768

// sampleMark is a sample's place in the stream of its source.
type sampleMark struct {
	key                 sourceKey
	number, drops, pool uint32
}

func (src *source) counts() SampleCounts {
	return SampleCounts{Balance: src.seq.balance, AgentDrops: src.agentDrops, Pool: src.pool}
}

// octets is what has been accounted for.
func (src *source) octets() int64 {
	return sourceOctets + int64(max(src.seq.room, minHoles)-minHoles)*holeOctets*2
}

// observe takes a sample.
func (src *source) observe(m *mark, s *sampleMark) {
	src.seq.observe(m, 1, true)
	src.seen = max(src.seen, m.received)
	l := &src.seq.now
	switch {
	case l.next == l.counted: // late, or repeated
		return
	case l.counted != 0:
		src.agentDrops += grown(l.drops, s.drops)
		src.pool += grown(l.pool, s.pool)
	case src.seq.past.started(): // a restart: its counters may have begun at zero, too
		before := &src.seq.past
		rebooted := before.rebooted(m)
		src.agentDrops += regrown(before.drops, s.drops, rebooted)
		src.pool += regrown(before.pool, s.pool, rebooted)
	}
	l.drops, l.pool, l.counted = s.drops, s.pool, l.next
}

// grown is how far a counter of 32 bits has gone; 0 where it has gone back.
func grown(last, now uint32) uint64 {
	if n := now - last; n < 1<<31 {
		return uint64(n)
	}
	return 0
}

// regrown is how far a counter has gone at least when its exporter has started again,
// surely or perhaps.
func regrown(last, now uint32, surely bool) uint64 {
	if surely || now < last {
		return uint64(now)
	}
	return uint64(now - last)
}

// sample notes a sample of a datagram, to be counted with it.
func (s *scratch) sample(sample *sflow.Sample) {
	s.samples = append(s.samples, sampleMark{
		key:    sourceKey{sample.Kind, sample.SourceType, sample.SourceIndex},
		number: sample.Sequence, drops: sample.Drops, pool: sample.Pool,
	})
}

// observeSamples counts the samples of a datagram. dom.mu is held.
func (d *Decoder) observeSamples(e *exporter, dom *domain, s *scratch) {
	m := s.mark
	m.datagrams = false
	var src *source
	for i := range s.samples {
		sample := &s.samples[i]
		if i == 0 || src == nil || sample.key != s.samples[i-1].key { // often there are several of one
			src = dom.sources[sample.key]
		}
		if src == nil {
			if src = d.addSource(e, dom, sample.key); src == nil {
				dom.restSamples.lone(sample)
				continue
			}
		}
		m.number = sample.number
		src.observe(&m, sample)
		if octets, narrow := src.seq.narrow(); narrow && d.account(e, dom, octets) {
			src.seq.widen()
		}
	}
}

// lone counts a sample of a source that is not followed: its number is a life of its own.
func (k *KindSamples) lone(s *sampleMark) {
	k[s.key.kind].Announced++
	k[s.key.kind].Received++
}

// addSource makes a source, nil if there is no room for any. Where there are too many,
// the longest silent give way. dom.mu is held.
func (d *Decoder) addSource(e *exporter, dom *domain, key sourceKey) *source {
	for len(dom.sources) >= d.cfg.MaxSources || !d.account(e, dom, sourceOctets) {
		if len(dom.sources) == 0 {
			return nil
		}
		d.evictSources(e, dom)
	}
	if dom.sources == nil {
		dom.sources = map[sourceKey]*source{}
	}
	src := &source{}
	dom.sources[key] = src
	return src
}

// evictSources drops the longest silent sixteenth of a domain's sources. dom.mu is held.
func (d *Decoder) evictSources(e *exporter, dom *domain) {
	seen := make([]int64, 0, len(dom.sources))
	for _, src := range dom.sources {
		seen = append(seen, src.seen)
	}
	slices.Sort(seen)
	left := max(1, len(seen)/16)
	last := seen[left-1]
	for key, src := range dom.sources {
		if src.seen <= last && left > 0 {
			left--
			counts := src.counts()
			dom.restSamples[key.kind].Add(&counts)
			d.account(e, dom, -src.octets())
			delete(dom.sources, key)
		}
	}
}

// samples sums up the samples of a domain. dom.mu is held.
func (dom *domain) samples() KindSamples {
	all := dom.restSamples
	for key, src := range dom.sources {
		counts := src.counts()
		all[key.kind].Add(&counts)
	}
	return all
}

// Sources returns what each source of samples has sent so far, by exporter, agent,
// sub-agent, port, kind and source. The counts of a source are of one moment. What came
// from sources that gave way to others is in the sums of Ledger and Stats only.
func (d *Decoder) Sources() []SourceStats {
	var all []SourceStats
	for _, e := range d.exporters.Load().all() {
		for _, dom := range e.domains.Load().all() {
			for _, dom := range dom.family() {
				all = dom.appendSources(all, e.addr)
			}
		}
	}
	slices.SortFunc(all, func(a, b SourceStats) int {
		return cmp.Or(a.Exporter.Compare(b.Exporter), a.Agent.Compare(b.Agent), cmp.Compare(a.SubAgent, b.SubAgent), cmp.Compare(a.Port, b.Port),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.SourceType, b.SourceType), cmp.Compare(a.SourceIndex, b.SourceIndex))
	})
	return all
}

func (dom *domain) appendSources(all []SourceStats, exporter netip.Addr) []SourceStats {
	dom.mu.Lock()
	defer dom.mu.Unlock()
	port := uint16(0)
	if dom.parent != nil {
		port = uint16(dom.port.Load())
	}
	for key, src := range dom.sources {
		all = append(all, SourceStats{
			Exporter: exporter, Port: port, Agent: dom.key.agent, SubAgent: dom.key.id,
			Kind: key.kind, SourceType: key.typ, SourceIndex: key.index, LastSeen: src.seen, SampleCounts: src.counts(),
		})
	}
	return all
}
