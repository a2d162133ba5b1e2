package collect_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
)

// manyTemplates is a message of n templates from id 256 on, of the given field
// many times.
func manyTemplates(domain uint32, n int, id uint16, fields int) []byte {
	var body []byte
	list := make([]field, fields)
	for i := range list {
		list[i] = field{id: id, length: 1}
	}
	for i := range n {
		body = append(body, template(uint16(256+i), list...)...)
	}
	return v10{domain: domain}.with(set(2, body))
}

// manyNames is a message of n interface names from an index on.
func manyNames(from, n int, name string) []byte {
	var body []byte
	for i := range n {
		body = append(body, cat(uint32(from+i), uint8(len(name)), name)...)
	}
	return v10{}.with(set(3, optionsTemplate(999, 1, field{id: 10, length: 4}, field{id: 82, length: 65535})), set(999, body))
}

// TestOctets: what is remembered is counted when it comes and when it goes.
func TestOctets(t *testing.T) {
	c := newCollector(t)
	octets := func(why string, more bool) int64 {
		t.Helper()
		n := c.Stats().Octets
		if (n > 0) != more {
			t.Errorf("%s: %d octets remembered", why, n)
		}
		return n
	}
	octets("nothing", false)
	c.want(0, v10{}.with())
	empty := octets("a domain", true)
	c.want(0, manyTemplates(0, 300, 1, 3))
	three := octets("templates", true)
	c.want(0, manyTemplates(0, 300, 1, 3))
	if n := octets("repeated", true); n != three {
		t.Errorf("%d octets remembered of the same again, were %d", n, three)
	}
	c.want(0, manyTemplates(0, 300, 1, 1))
	if n := octets("redefined", true); n >= three || n <= empty {
		t.Errorf("%d octets remembered of shorter templates, were %d", n, three)
	}
	c.want(0, v10{}.with(set(2, template(256))))
	c.want(0, v10{}.with(set(2, template(256))))
	c.want(0, v10{}.with(set(2, template(2))))
	if n := octets("withdrawn", true); n != empty {
		t.Errorf("%d octets remembered of withdrawn templates, were %d", n, empty)
	}
	c.want(0, manyNames(0, 100, "eth0"))
	c.want(0, announce(5, u(48, 4, 1), u(34, 4, 100)))
	if n := octets("names", true); n < empty+100*50 {
		t.Errorf("%d octets remembered of 100 names", n)
	}
}

// TestOctetsOfOne: an exporter that says too much loses its own templates and
// names only.
func TestOctetsOfOne(t *testing.T) {
	c := &collector{t, collect.NewDecoder(collect.DecoderConfig{MaxExporterOctets: 100_000, MaxOctets: 1_000_000})}
	c.wantFrom(otherExporter, 0, v10{}.with(set(2, template(256, flowFields...))))
	c.wantFrom(otherExporter, 0, manyNames(0, 10, "eth0"))
	for domain := range uint32(20) {
		c.want(0, manyTemplates(domain, 100, 1, 2))
		c.want(0, manyNames(1000*int(domain), 100, "some interface"))
		if n := c.Stats().Octets; n > 110_000 {
			t.Fatalf("%d octets remembered", n)
		}
	}
	s := c.Stats().Total
	if s.TemplatesEvicted == 0 || s.OptionsEvicted == 0 {
		t.Errorf("%d templates and %d names counted as lost", s.TemplatesEvicted, s.OptionsEvicted)
	}
	c.wantFrom(otherExporter, 1, v10{}.with(set(256, flowRecord)))
	// One template that is too much for all.
	c.want(0, manyTemplates(0, 1, 7, 1024))
	c.want(0, v10{}.with(set(2, template(256, flowFields...))))
}

// TestOctetsOfAll: when all say too much, the longest silent give way.
func TestOctetsOfAll(t *testing.T) {
	c := &collector{t, collect.NewDecoder(collect.DecoderConfig{MaxOctets: 1_000_000})}
	b := manyTemplates(0, 100, 1, 2)
	for i := range 200 {
		dg := flow.Datagram{Exporter: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 1), Received: received.AddDate(0, 0, i), Payload: b}
		if err := c.Decode(&dg, func(*flow.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Stats()
	if s.Octets > 1_000_000 || s.Evicted == 0 || int(s.Evicted)+len(s.Exporters) != 200 || s.Programs < 1000 {
		t.Errorf("%d octets, %d exporters known, %d evicted, %d templates", s.Octets, len(s.Exporters), s.Evicted, s.Programs)
	}
	for _, e := range s.Exporters {
		if e.Exporter.As4()[3] < 100 {
			t.Errorf("%v is known, though longer silent than others", e.Exporter)
		}
	}
}

// TestLayers holds templates and names against a plain map, through all sizes.
func TestLayers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := withoutHold(t)
	const n = 600
	known := map[uint16]bool{}
	names := map[uint32]string{}
	for range 3000 {
		id := uint16(256 + rng.IntN(n))
		switch rng.IntN(5) {
		case 0:
			c.want(0, v10{}.with(set(2, template(id))))
			delete(known, id)
		case 1:
			index := rng.Uint32N(2000)
			names[index] = string(rune('a' + rng.IntN(26)))
			c.want(0, manyNames(int(index), 1, names[index]))
			known[999] = true
		default:
			c.want(0, v10{}.with(set(2, template(id, field{id: 10, length: 4}))))
			known[id] = true
		}
		if id := uint16(256 + rng.IntN(n)); id != 999 {
			want := 0
			if known[id] {
				want = 1
			}
			index := rng.Uint32N(2000)
			for _, r := range c.want(want, v10{}.with(set(id, cat(index)))) {
				check(t, r, values{flow.InIfName: names[index]})
			}
		}
		if got := c.Stats().Programs; got != len(known) {
			t.Fatalf("%d templates known, want %d", got, len(known))
		}
	}
}

// BenchmarkNew: what is new to the decoder costs more than what it knows, but not
// much more, whatever it knows already.
func BenchmarkNew(b *testing.B) {
	nop := func(*flow.Record) error { return nil }
	run := func(b *testing.B, per int, datagram func(i int) (netip.AddrPort, []byte)) {
		d := collect.NewDecoder(collect.DefaultDecoderConfig())
		decode := func(i int) {
			from, payload := datagram(i)
			_ = d.Decode(&flow.Datagram{Exporter: from, Received: received, Payload: payload}, nop)
		}
		for i := range 1 << 15 {
			decode(i)
		}
		i := 1 << 15
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			decode(i)
			i++
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*per), "ns/new")
	}
	b.Run("exporter", func(b *testing.B) {
		v5 := append(fixedHeader(5, 1, 0, 0), fixedRecord(5, 0, 0)...)
		run(b, 1, func(i int) (netip.AddrPort, []byte) {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), 1), v5
		})
	})
	b.Run("domain", func(b *testing.B) {
		run(b, 1, func(i int) (netip.AddrPort, []byte) { return exporter, v10{domain: uint32(i)}.with() })
	})
	b.Run("template", func(b *testing.B) {
		all := [2][]byte{manyTemplates(0, 100, 1, 3), manyTemplates(0, 100, 2, 3)}
		run(b, 100, func(i int) (netip.AddrPort, []byte) { return exporter, all[i&1] })
	})
	b.Run("name", func(b *testing.B) {
		run(b, 1, func(i int) (netip.AddrPort, []byte) { return exporter, manyNames(i, 1, "eth0") })
	})
}
