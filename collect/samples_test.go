package collect_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/sflow"
)

// sampler is a source of an sFlow agent, which keeps its own account of what was let
// through.
type sampler struct {
	kind        sflow.Kind
	typ, index  uint32
	number      uint32 // of the next sample
	drops, pool uint32
	lives       []samplerLife
}

type samplerLife struct {
	units int
	came  map[int]int    // how often each did
	told  map[int][2]int // what each says of drops and pool, counted without coming round
	first int            // that came first
	sum   [2]int         // drops and pool so far
}

// taken is a sample in a datagram.
type taken struct {
	from       *sampler
	life, unit int
}

func (s *sampler) begin(number, drops, pool uint32) {
	s.number, s.drops, s.pool = number, drops, pool
	s.lives = append(s.lives, samplerLife{came: map[int]int{}, told: map[int][2]int{}, sum: [2]int{int(drops), int(pool)}})
}

// take makes the next sample, after so many that got lost in the agent with their
// numbers, and so many that it never numbered.
func (s *sampler) take(e *sflow.Encoder, lost, dropped uint32) taken {
	l := &s.lives[len(s.lives)-1]
	s.number += lost
	l.units += int(lost)
	if s.kind == sflow.Counters {
		dropped = 0
	}
	s.drops += dropped
	l.sum[0] += int(dropped)
	sample := sflow.Sample{Sequence: s.number, SourceType: s.typ, SourceIndex: s.index, Drops: s.drops}
	switch s.kind {
	case sflow.Flow:
		s.pool += 512
		l.sum[1] += 512
		sample.Format, sample.SamplingRate, sample.Pool = sflow.FormatFlow, 512, s.pool
		if s.index >= 1<<24 {
			sample.Format = sflow.FormatExpandedFlow
		}
	case sflow.Counters:
		sample.Format = sflow.FormatCounters
	case sflow.Drop:
		sample.Format = sflow.FormatDiscarded
	}
	e.BeginSample(&sample)
	t := taken{s, len(s.lives) - 1, l.units}
	l.told[t.unit] = l.sum
	s.number++
	l.units++
	return t
}

// through takes down that a sample is let through.
func (t taken) through() {
	l := &t.from.lives[t.life]
	if len(l.came) == 0 {
		l.first = t.unit
	}
	l.came[t.unit]++
}

// account is what the collector should find.
func (s *sampler) account() (c collect.SampleCounts) {
	begun := false
	for _, l := range s.lives {
		lo, hi := l.units, -1
		for i, n := range l.came {
			lo, hi = min(lo, i), max(hi, i)
			c.Received += uint64(n)
			c.Repeated += uint64(n - 1)
		}
		if hi < 0 {
			continue
		}
		c.Announced += uint64(hi - lo + 1)
		c.Skipped += uint64(hi - lo + 1 - len(l.came)) // missing, for want of a field of its own
		var since [2]int
		if begun {
			c.Restarts++
		} else {
			since = l.told[l.first]
		}
		begun = true
		c.Pool += uint64(max(0, l.told[hi][1]-since[1]))
		c.AgentDrops += uint64(max(0, l.told[hi][0]-since[0]))
	}
	if s.kind == sflow.Counters {
		c.AgentDrops = 0
	}
	if s.kind != sflow.Flow {
		c.Pool = 0
	}
	return c
}

// TestSampleModel: whatever is lost on the way or in the agent, repeated, late, comes
// round or restarts, the counts of each source are those of its own account.
func TestSampleModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lives := rapid.IntRange(1, 3).Draw(t, "lives")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		samplers := []*sampler{{kind: sflow.Flow, index: 3}, {kind: sflow.Counters, index: 3}, {kind: sflow.Drop, index: 3}, {kind: sflow.Flow, typ: 1, index: 3}, {kind: sflow.Flow, index: 70_000_000}}
		samplers = samplers[:rapid.IntRange(1, len(samplers)).Draw(t, "samplers")]
		reach := rapid.IntRange(1, 12).Draw(t, "reach")
		agentLoss := rapid.IntRange(0, 4).Draw(t, "agent loss")
		var list []message
		content := map[*byte][]taken{}
		up, number := uint32(100_000_000), rapid.Uint32().Draw(t, "number")
		booted := int64(exportSecs)
		for life := range lives {
			for _, s := range samplers {
				switch {
				case life > 0: // numbers of different lives that go on from each other show in none
					s.begin(uint32(life)<<26+uint32(r.IntN(10)), uint32(r.IntN(4)), 0)
				case lives == 1:
					s.begin(-uint32(r.IntN(100)), -uint32(r.IntN(100)), -uint32(r.IntN(50_000)))
				default:
					s.begin(1<<25, uint32(r.IntN(1000)), uint32(r.IntN(1_000_000)))
				}
			}
			if life > 0 {
				booted += int64(up/1000) + 90
				up, number = 1000, 0
			}
			for range rapid.IntRange(60, 90).Draw(t, "datagrams") {
				up += 600
				var e sflow.Encoder
				e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), SubAgent: 7, Sequence: number, Uptime: up})
				number++
				var samples []taken
				for range r.IntN(9) {
					lost, dropped := uint32(0), uint32(0)
					if agentLoss > 0 && r.IntN(20) == 0 {
						lost, dropped = uint32(r.IntN(agentLoss)), uint32(r.IntN(1000))
					}
					samples = append(samples, samplers[r.IntN(len(samplers))].take(&e, lost, dropped))
				}
				payload := e.Finish()
				content[&payload[0]] = samples
				list = append(list, message{payload: payload, at: booted + int64(up/1000)})
			}
		}
		d := collect.NewDecoder(collect.DefaultDecoderConfig())
		for _, m := range mix(r, list, reach, rapid.Float64Range(0, 0.4).Draw(t, "drop"), rapid.Float64Range(0, 0.3).Draw(t, "repeat")) {
			for _, s := range content[&m.payload[0]] {
				s.through()
			}
			if err := d.Decode(&flow.Datagram{Exporter: exporter, Received: time.Unix(m.at, 0), Payload: m.payload}, func(*flow.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
			stats, domains := d.Ledger()
			if len(domains) != 1 || !domains[0].Samples.Holds() || stats.Total.Samples != domains[0].Samples {
				t.Fatalf("in between: %+v", domains)
			}
		}
		var sum collect.KindSamples
		sources := d.Sources()
		for i := range sources {
			found := &sources[i]
			sum[found.Kind].Add(&found.SampleCounts)
			for _, s := range samplers {
				if s.kind == found.Kind && s.typ == found.SourceType && s.index == found.SourceIndex {
					got, want := found.SampleCounts, s.account()
					got.Skipped, got.Recovered, got.Gaps = got.Missing(), 0, 0
					if got != want {
						t.Errorf("%v samples of source %d:%d: found %+v, want %+v", s.kind, s.typ, s.index, got, want)
					}
					s.kind = 0
				}
			}
		}
		for _, s := range samplers {
			if a := s.account(); s.kind != 0 && a.Received > 0 {
				t.Errorf("source %d:%d is not there", s.typ, s.index)
			}
		}
		if _, domains := d.Ledger(); len(domains) > 0 && domains[0].Samples != sum {
			t.Errorf("in sum %+v, by source %+v", domains[0].Samples, sum)
		}
	})
}

// TestSampleBounds: an agent that invents sources goes out of room, and those that were
// there are counted on.
func TestSampleBounds(t *testing.T) {
	const most = 64
	c := &collector{t, collect.NewDecoder(collect.DecoderConfig{MaxSources: most, MaxExporterOctets: 1 << 20})}
	total := uint64(0)
	for n := range uint32(1000) {
		var e sflow.Encoder
		e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), Sequence: n, Uptime: n})
		for i := range uint32(10) {
			e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters, Sequence: 1, SourceIndex: n*10 + i})
			total++
		}
		c.want(0, e.Finish())
		if got := len(c.Sources()); got > most {
			t.Fatalf("%d sources are remembered, %d may be", got, most)
		}
	}
	s := c.Stats()
	if got := s.Total.Samples[sflow.Counters]; got.Announced != total || got.Received != total || !s.Total.Samples.Holds() {
		t.Errorf("%d samples came, the counts are %+v", total, got)
	}
	if s.Octets > 100_000 {
		t.Errorf("%d octets are remembered", s.Octets)
	}
	// Room for no source at all.
	c = &collector{t, collect.NewDecoder(collect.DecoderConfig{MaxExporterOctets: 1500})}
	c.want(7, flowSamples(1, 7))
	s = c.Stats()
	if got := s.Total.Samples[sflow.Flow]; len(c.Sources()) != 0 || got.Received != 7 || got.Announced != 7 {
		t.Errorf("%d sources, the counts are %+v", len(c.Sources()), got)
	}
}

// TestSamplesEvicted: what came of agents that gave way stays in the sum.
func TestSamplesEvicted(t *testing.T) {
	c := &collector{t, collect.NewDecoder(collect.DecoderConfig{MaxExporters: 4, MaxDomains: 4})}
	for n := range byte(100) {
		c.wantFrom(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 5000), 3, flowSamples(1, 3))
		var e sflow.Encoder
		e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.200"), SubAgent: uint32(n), Sequence: 1})
		e.BeginSample(&sflow.Sample{Format: sflow.FormatDiscarded, Sequence: 1, SourceIndex: 3, Drops: 7})
		c.want(1, e.Finish())
	}
	s := c.Stats()
	if got := s.Total.Samples; got[sflow.Flow].Received != 300 || got[sflow.Drop].Received != 100 || !got.Holds() {
		t.Errorf("of 300 samples and 100 notices: %+v", got)
	}
}

// TestSFlowNoAgent: an agent that does not tell its address is not taken for an engine
// of NetFlow v5.
func TestSFlowNoAgent(t *testing.T) {
	c := newCollector(t)
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Sequence: 1})
	c.want(0, e.Finish())
	_, domains := c.Ledger()
	if len(domains) != 1 || domains[0].Protocol() != "sFlow v5" || domains[0].Agent != exporter.Addr() {
		t.Errorf("domains are %+v", domains)
	}
}

// TestSampleReset: a source that counts from the beginning while its agent goes on. Its
// other counters may have begun anew with the numbers or not.
func TestSampleReset(t *testing.T) {
	c := newCollector(t)
	up := uint32(1000)
	sample := func(number, drops, pool uint32) {
		t.Helper()
		up += 60_000
		var e sflow.Encoder
		e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), Sequence: up / 60_000, Uptime: up})
		e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, Sequence: number, Drops: drops, Pool: pool})
		c.want(1, e.Finish())
	}
	want := func(announced, restarts, drops, pool uint64) {
		t.Helper()
		s := c.Sources()[0]
		if s.Announced != announced || s.Restarts != restarts || s.AgentDrops != drops || s.Pool != pool {
			t.Errorf("announced %d, restarts %d, drops %d, pool %d; want %d, %d, %d, %d", s.Announced, s.Restarts, s.AgentDrops, s.Pool, announced, restarts, drops, pool)
		}
	}
	sample(500, 5, 1000)
	sample(501, 5, 2000)
	want(2, 0, 0, 1000)
	sample(1, 7, 500) // drops go on, the pool does not
	want(3, 1, 2, 1500)
	sample(4, 8, 700)
	want(6, 1, 3, 1700)
	sample(5, 2, 800) // gone back, where they must not
	want(7, 1, 3, 1800)
	sample(6, 3, 900)
	want(8, 1, 4, 1900)
}
