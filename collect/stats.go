package collect

import (
	"cmp"
	"net/netip"
	"slices"
)

// Reason says why a datagram, or a part of one, could not be decoded.
type Reason uint8

// The reasons.
const (
	ReasonUnknown   Reason = iota // no protocol that is known begins like this
	ReasonTruncated               // a length points beyond what there is
	ReasonTemplate                // a template that is not valid
	ReasonMalformed               // anything else that contradicts itself
	ReasonDecoder                 // any other error of a decoder
	numReasons
)

// String returns the name of the reason, as metrics have it.
func (r Reason) String() string {
	return [numReasons]string{"unknown_protocol", "truncated", "invalid_template", "malformed", "decoder"}[r]
}

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{ReasonUnknown, ReasonTruncated, ReasonTemplate, ReasonMalformed, ReasonDecoder}
}

// Counts is what datagrams held. At any time
//
//	Sets = SetsDecoded + SetsMalformed + MissingTemplates + Held()
type Counts struct {
	Datagrams      uint64
	Bytes          uint64
	Records        uint64 // data records that became flow records
	Options        uint64 // options data records
	Templates      uint64 // template records, repetitions too
	CounterSamples uint64 // sFlow counter samples
	OtherSamples   uint64 // sFlow samples of formats that are not known

	Sets             uint64 // data sets of NetFlow v9 and IPFIX
	SetsDecoded      uint64
	SetsMalformed    uint64 // of which some records at most could be decoded
	MissingTemplates uint64 // that no template described, and that are not held, or no more

	// Data sets whose template has not come yet are held.
	HeldSets    uint64 // how many have been held so far: the sum of the next three and of those held now
	HeldDecoded uint64 // of them, those whose template came
	HeldExpired uint64 // those whose template did not come in time
	HeldEvicted uint64 // those that gave way to others

	Malformed [numReasons]uint64 // datagrams with something that could not be decoded, by Reason

	TemplatesEvicted, DomainsEvicted, OptionsEvicted uint64 // entries lost to the bounds of tables

	Balance // of sequence numbers
	// Earlier is what processes before this one had kept of domains that go on: see
	// [Decoder.Resume].
	Earlier Balance
}

// Add adds the counts of o to those of c.
func (c *Counts) Add(o *Counts) {
	c.Datagrams += o.Datagrams
	c.Bytes += o.Bytes
	c.Records += o.Records
	c.Options += o.Options
	c.Templates += o.Templates
	c.CounterSamples += o.CounterSamples
	c.OtherSamples += o.OtherSamples
	c.Sets += o.Sets
	c.SetsDecoded += o.SetsDecoded
	c.SetsMalformed += o.SetsMalformed
	c.MissingTemplates += o.MissingTemplates
	c.HeldSets += o.HeldSets
	c.HeldDecoded += o.HeldDecoded
	c.HeldExpired += o.HeldExpired
	c.HeldEvicted += o.HeldEvicted
	for i := range c.Malformed {
		c.Malformed[i] += o.Malformed[i]
	}
	c.TemplatesEvicted += o.TemplatesEvicted
	c.DomainsEvicted += o.DomainsEvicted
	c.OptionsEvicted += o.OptionsEvicted
	c.Balance.Add(&o.Balance)
	c.Earlier.Add(&o.Earlier)
}

// Sub takes the counts of o, which are part of those of c, away from them.
func (c *Counts) Sub(o *Counts) {
	c.Datagrams -= o.Datagrams
	c.Bytes -= o.Bytes
	c.Records -= o.Records
	c.Options -= o.Options
	c.Templates -= o.Templates
	c.CounterSamples -= o.CounterSamples
	c.OtherSamples -= o.OtherSamples
	c.Sets -= o.Sets
	c.SetsDecoded -= o.SetsDecoded
	c.SetsMalformed -= o.SetsMalformed
	c.MissingTemplates -= o.MissingTemplates
	c.HeldSets -= o.HeldSets
	c.HeldDecoded -= o.HeldDecoded
	c.HeldExpired -= o.HeldExpired
	c.HeldEvicted -= o.HeldEvicted
	for i := range c.Malformed {
		c.Malformed[i] -= o.Malformed[i]
	}
	c.TemplatesEvicted -= o.TemplatesEvicted
	c.DomainsEvicted -= o.DomainsEvicted
	c.OptionsEvicted -= o.OptionsEvicted
	c.Balance.Sub(&o.Balance)
	c.Earlier.Sub(&o.Earlier)
}

// Held returns how many data sets wait for their templates.
func (c *Counts) Held() uint64 {
	return c.HeldSets - c.HeldDecoded - c.HeldExpired - c.HeldEvicted
}

// SetsHold reports whether all data sets are accounted for.
func (c *Counts) SetsHold() bool {
	return c.HeldDecoded+c.HeldExpired+c.HeldEvicted <= c.HeldSets && c.Sets == c.SetsDecoded+c.SetsMalformed+c.MissingTemplates+c.Held()
}

// AllMalformed returns how many datagrams had something that could not be decoded,
// for any reason.
func (c *Counts) AllMalformed() (n uint64) {
	for _, m := range c.Malformed {
		n += m
	}
	return n
}

// ExporterStats is what one exporter has sent so far.
type ExporterStats struct {
	Exporter netip.Addr // the zero Addr: several exporters, in sum
	LastSeen int64      // seconds since the epoch
	Counts
	Samples KindSamples // of sFlow
}

// DomainStats is what one observation domain of an exporter has sent so far.
type DomainStats struct {
	Exporter netip.Addr
	Port     uint16     // of the exporter, where several share its address and this is not the first; otherwise 0
	Version  uint16     // 1, 5, 7, 9 and 10 (IPFIX) begin with it; sFlow is told by its Agent
	Domain   uint32     // observation domain, source id, engine type and id, or sFlow's sub-agent
	Agent    netip.Addr // of sFlow; otherwise the zero Addr
	LastSeen int64      // seconds since the epoch
	Counts
	Samples KindSamples // of sFlow
}

// Protocol returns the name of the protocol.
func (s *DomainStats) Protocol() string {
	switch {
	case s.Agent.IsValid():
		return "sFlow v5"
	case s.Version == 10:
		return "IPFIX"
	default:
		return "NetFlow v" + string(rune('0'+s.Version))
	}
}

// DecoderStats is what a [Decoder] has seen so far.
type DecoderStats struct {
	Total     ExporterStats   // all exporters, evicted ones too
	Exporters []ExporterStats // by address
	Evicted   uint64          // exporters lost to the bound of their table
	Domains   int
	Programs  int   // templates known
	Octets    int64 // what is remembered takes about so many
	// HeldOctets is about how many the data sets take that wait for their templates.
	HeldOctets int64
}

// Stats returns what the decoder has seen so far.
func (d *Decoder) Stats() DecoderStats { return d.stats(func(*DomainStats) {}) }

// Ledger returns what each observation domain has sent so far, by exporter,
// version, domain and port. The counts of a domain are of one moment. What came
// from domains and exporters that were evicted, or was of no domain, is in the
// sums of Stats only.
func (d *Decoder) Ledger() (DecoderStats, []DomainStats) {
	var domains []DomainStats
	stats := d.stats(func(s *DomainStats) {
		if s.Datagrams > 0 || s.Earlier.Announced > 0 { // others are known from before the start
			domains = append(domains, *s)
		}
	})
	slices.SortFunc(domains, func(a, b DomainStats) int {
		return cmp.Or(a.Exporter.Compare(b.Exporter), cmp.Compare(a.Version, b.Version), a.Agent.Compare(b.Agent), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Port, b.Port))
	})
	return stats, domains
}

func (d *Decoder) stats(each func(*DomainStats)) DecoderStats {
	var s DecoderStats
	d.mu.Lock()
	s.Total.Counts, s.Evicted = d.evicted.counts, d.evicted.exporters
	s.Total.LastSeen, s.Total.Samples = d.evicted.seen, d.evicted.samples
	leaving := slices.Clone(d.evicted.leaving)
	exporters := d.exporters.Load()
	s.Octets = d.octets
	d.mu.Unlock()
	d.hold.mu.Lock()
	s.HeldOctets = d.hold.octets
	d.hold.mu.Unlock()
	for _, e := range leaving {
		es := e.stats(&d.hold, func(*domain, *DomainStats) {})
		s.Total.add(&es)
	}
	for _, e := range exporters.all() {
		es := e.stats(&d.hold, func(dom *domain, ds *DomainStats) {
			if dom.parent == nil {
				s.Domains++
				s.Programs += dom.templates.Load().len()
			}
			each(ds)
		})
		s.Exporters = append(s.Exporters, es)
		s.Total.add(&es)
	}
	slices.SortFunc(s.Exporters, func(a, b ExporterStats) int { return a.Exporter.Compare(b.Exporter) })
	return s
}

func (s *ExporterStats) add(o *ExporterStats) {
	s.LastSeen = max(s.LastSeen, o.LastSeen)
	s.Counts.Add(&o.Counts)
	s.Samples.Add(&o.Samples)
}

// Add adds the counts of o to those of s.
func (s *ExporterStats) Add(o ExporterStats) { s.add(&o) }

// stats sums up an exporter and calls each for its domains.
func (e *exporter) stats(q *hold, each func(*domain, *DomainStats)) ExporterStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := ExporterStats{Exporter: e.addr, LastSeen: e.seen.Load(), Counts: e.rest, Samples: e.restSamples}
	for _, dom := range e.domains.Load().all() {
		dom.stats(q, e.addr, func(dom *domain, ds *DomainStats) {
			s.Counts.Add(&ds.Counts)
			s.Samples.Add(&ds.Samples)
			each(dom, ds)
		})
	}
	return s
}

// stats calls each for the domain and those of further exporters behind the same
// address.
func (dom *domain) stats(q *hold, exporter netip.Addr, each func(*domain, *DomainStats)) {
	dom.mu.Lock()
	defer dom.mu.Unlock()
	s := DomainStats{Exporter: exporter, Version: dom.key.version, Domain: dom.key.id, Agent: dom.key.agent, LastSeen: dom.seen, Counts: dom.counts}
	s.Balance, s.Earlier, s.Samples = dom.seq.balance, dom.seq.earlier, dom.samples()
	dom.given(q).addTo(&s.Counts)
	if dom.parent != nil {
		s.Port = uint16(dom.port.Load())
	}
	each(dom, &s)
	for _, other := range dom.others {
		other.stats(q, exporter, each)
	}
}

// commit counts a datagram, once all of it has been looked at. The domain of one
// that has none is nil. The counts of what is evicted meanwhile go where those of
// its like went before.
func (d *Decoder) commit(e *exporter, dom *domain, s *scratch) {
	if dom != nil && d.observe(e, dom, s) {
		return
	}
	if dom != nil {
		// Numbers of a domain that has been forgotten are a life of their own.
		n := uint64(s.units)
		s.counts.Balance = Balance{Announced: n, Received: n}
	}
	rest := func(counts *Counts, samples *KindSamples) {
		counts.Add(&s.counts)
		for i := range s.samples {
			samples.lone(&s.samples[i])
		}
	}
	e.mu.Lock()
	gone := e.left
	if !gone {
		rest(&e.rest, &e.restSamples)
	}
	e.mu.Unlock()
	if gone {
		d.mu.Lock()
		rest(&d.evicted.counts, &d.evicted.samples)
		d.mu.Unlock()
	}
}

func (d *Decoder) observe(e *exporter, dom *domain, s *scratch) bool {
	dom.mu.Lock()
	defer dom.mu.Unlock()
	if dom.left {
		return false
	}
	dom.seen = max(dom.seen, s.mark.received)
	dom.counts.Add(&s.counts)
	if s.mark.held != nil {
		d.found(e, dom, s)
	} else {
		dom.seq.observe(&s.mark, s.units, s.known)
		s.note(e, dom, s.mark.number)
		d.observeSamples(e, dom, s)
	}
	if octets, narrow := dom.seq.narrow(); narrow && d.account(e, dom, octets) {
		dom.seq.widen()
	}
	return true
}

// found takes the records of a set that was held. dom.mu is held.
func (d *Decoder) found(e *exporter, dom *domain, s *scratch) {
	if s.mark.datagrams {
		if s.mark.held.units == 0 && s.counts.HeldDecoded > 0 {
			s.units, s.mark.held.units = 1, 1
			s.note(e, dom, s.mark.number)
		}
		return
	}
	at := s.mark
	at.number += s.mark.held.units
	dom.seq.found(&at, s.units)
	s.note(e, dom, at.number)
	s.mark.held.units += s.units
	given := dom.given(&d.hold)
	if given.kept-given.expired-given.evicted == dom.counts.HeldDecoded+dom.counts.HeldEvicted {
		lost := given.lost() + dom.counts.HeldEvicted
		dom.seq.settle(lost > dom.lost)
		dom.lost = lost
	}
}

// given returns the counts of sets that were given to be held.
func (dom *domain) given(q *hold) *heldCounts {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := dom.heldCounts
	return &c
}

// evicted keeps the counts of exporters that are no longer known.
type evicted struct {
	counts    Counts
	samples   KindSamples
	exporters uint64
	seen      int64
	leaving   []*exporter // of whom the counts are not in the sum yet
}

// settle sums up the exporters that have been evicted. Whoever evicts holds locks
// under which that cannot be done.
func (d *Decoder) settle() {
	d.mu.Lock()
	leaving := slices.Clone(d.evicted.leaving)
	d.mu.Unlock()
	for _, e := range leaving {
		c, samples := e.leave(&d.hold)
		d.mu.Lock()
		if i := slices.Index(d.evicted.leaving, e); i >= 0 { // nobody else was faster
			d.evicted.leaving = slices.Delete(d.evicted.leaving, i, i+1)
			d.evicted.counts.Add(&c)
			d.evicted.samples.Add(&samples)
			d.evicted.seen = max(d.evicted.seen, e.seen.Load())
		}
		d.mu.Unlock()
	}
}

// leave returns the counts of an exporter, to which nothing is added from then on.
func (e *exporter) leave(q *hold) (Counts, KindSamples) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.left = true
	c, samples := e.rest, e.restSamples
	for _, dom := range e.domains.Load().all() {
		dom.leave(q, &c, &samples)
	}
	return c, samples
}

// leave adds the counts of a domain and its like to c, and those of its samples.
func (dom *domain) leave(q *hold, c *Counts, samples *KindSamples) {
	dom.mu.Lock()
	defer dom.mu.Unlock()
	dom.left = true
	c.Add(&dom.counts)
	c.Balance.Add(&dom.seq.balance)
	c.Earlier.Add(&dom.seq.earlier)
	all := dom.samples()
	samples.Add(&all)
	dom.given(q).addTo(c)
	for _, other := range dom.others {
		other.leave(q, c, samples)
	}
}
