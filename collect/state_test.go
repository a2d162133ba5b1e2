package collect_test

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
)

var otherExporter = netip.MustParseAddrPort("192.0.2.2:50000")

func port(n uint16) netip.AddrPort { return netip.AddrPortFrom(exporter.Addr(), n) }

// Two meanings of one template id.
var (
	byBytes   = set(2, template(256, field{id: 1, length: 4}, field{id: 2, length: 4}))
	byPackets = set(2, template(256, field{id: 2, length: 4}, field{id: 1, length: 4}))
	oneTwo    = set(256, cat(uint32(1), uint32(2)))
)

// TestPortChanges: the source port does not matter as long as there is one
// exporter.
func TestPortChanges(t *testing.T) {
	c := newCollector(t)
	c.wantFrom(port(1), 0, v10{sequence: 0}.with(byBytes))
	for i := range uint32(50) {
		r := c.wantFrom(port(uint16(2+i%7)), 1, v10{sequence: i}.with(oneTwo))
		check(t, r[0], values{flow.Bytes: 1, flow.Packets: 2})
	}
	if s := c.Stats(); s.Domains != 1 || s.Programs != 1 || s.Total.MissingTemplates != 0 || s.Total.Gaps+s.Total.Restarts+s.Total.Repeated != 0 {
		t.Errorf("stats are %+v", s)
	}
}

// TestTwoBySequence: sequence numbers from another port do not go on where the
// last ones ended: two exporters behind one address.
func TestTwoBySequence(t *testing.T) {
	c := newCollector(t)
	const far = 1 << 30
	c.wantFrom(port(1), 0, v10{sequence: 100}.with(byBytes))
	c.wantFrom(port(1), 1, v10{sequence: 100}.with(oneTwo))
	c.wantFrom(port(2), 0, v10{sequence: far}.with(byPackets))
	for i := range uint32(20) {
		check(t, c.wantFrom(port(1), 1, v10{sequence: 101 + i}.with(oneTwo))[0], values{flow.Bytes: 1, flow.Packets: 2})
		check(t, c.wantFrom(port(2), 1, v10{sequence: far + i}.with(oneTwo))[0], values{flow.Bytes: 2, flow.Packets: 1})
	}
	if s := c.Stats().Total; s.Gaps+s.Restarts+s.Repeated+s.MissingTemplates != 0 {
		t.Errorf("stats are %+v", s)
	}
	// One that announces its templates from a port and sends from another far
	// away in its numbers: what the first announces counts for the second too.
	c = withoutHold(t)
	c.wantFrom(port(1), 0, v10{sequence: 5}.with(byBytes))
	c.wantFrom(port(9), 0, v10{sequence: far}.with(oneTwo)) // not known to be meant
	c.wantFrom(port(1), 0, v10{sequence: 5}.with(byBytes))
	check(t, c.wantFrom(port(9), 1, v10{sequence: far + 1}.with(oneTwo))[0], values{flow.Bytes: 1})
}

// TestTwoByTemplate: a port redefines a template, and the port that had defined
// it goes on sending.
func TestTwoByTemplate(t *testing.T) {
	c := newCollector(t)
	c.wantFrom(port(1), 0, v10{sequence: 10}.with(byBytes))
	check(t, c.wantFrom(port(1), 1, v10{sequence: 10}.with(oneTwo))[0], values{flow.Bytes: 1, flow.Packets: 2})
	c.wantFrom(port(2), 0, v10{sequence: 12}.with(byPackets))
	for i := range uint32(20) {
		check(t, c.wantFrom(port(1), 1, v10{sequence: 11 + i}.with(oneTwo))[0], values{flow.Bytes: 1, flow.Packets: 2})
		check(t, c.wantFrom(port(2), 1, v10{sequence: 12 + i}.with(oneTwo))[0], values{flow.Bytes: 2, flow.Packets: 1})
	}
}

// TestRestart: an exporter that starts again from another port with another
// template is no second one, as long as the first port is silent.
func TestRestart(t *testing.T) {
	c := newCollector(t)
	c.wantFrom(port(1), 0, v10{sequence: 10}.with(byBytes))
	c.wantFrom(port(1), 1, v10{sequence: 10}.with(oneTwo))
	c.wantFrom(port(2), 0, v10{sequence: 0}.with(byPackets))
	for i := range uint32(5) {
		check(t, c.wantFrom(port(2), 1, v10{sequence: i}.with(oneTwo))[0], values{flow.Bytes: 2, flow.Packets: 1})
	}
	// From the same port templates stay.
	c = newCollector(t)
	c.want(0, v10{sequence: 5_000_000}.with(byBytes))
	c.want(1, v10{sequence: 0}.with(oneTwo))
	if s := c.Stats().Total; s.Restarts != 1 || s.Missing() != 0 || s.MissingTemplates != 0 {
		t.Errorf("stats are %+v", s)
	}
}

// TestKeys: templates of the same id in another domain, version or of another
// exporter have nothing to do with each other.
func TestKeys(t *testing.T) {
	c := withoutHold(t)
	c.want(0, v10{domain: 1}.with(byBytes))
	c.want(0, v10{domain: 2}.with(byPackets))
	c.want(0, v9{source: 1}.with(set(0, template(256, field{id: 10, length: 4}, field{id: 14, length: 4}))))
	check(t, c.want(1, v10{domain: 1}.with(oneTwo))[0], values{flow.Bytes: 1})
	check(t, c.want(1, v10{domain: 2}.with(oneTwo))[0], values{flow.Bytes: 2})
	check(t, c.want(1, v9{source: 1, sequence: 1}.with(oneTwo))[0], values{flow.InIf: 1, flow.OutIf: 2})
	c.want(0, v10{domain: 3}.with(oneTwo))
	c.wantFrom(otherExporter, 0, v10{domain: 1}.with(oneTwo))
	c.want(0, v9{source: 2}.with(oneTwo))
	if s := c.Stats(); s.Total.MissingTemplates != 3 || s.Programs != 3 || len(s.Exporters) != 2 {
		t.Errorf("stats are %+v", s)
	}
}

// TestSequence follows sequence numbers, one record a datagram.
func TestSequence(t *testing.T) {
	var top uint32
	top--
	type counts struct{ gaps, missing, repeated, restarts uint64 }
	tests := []struct {
		name    string
		numbers []uint32
		want    counts
	}{
		{"in order", []uint32{7, 8, 9, 10}, counts{}},
		{"over the top", []uint32{top - 1, top, 0, 1}, counts{}},
		{"gap", []uint32{7, 8, 12, 13}, counts{gaps: 1, missing: 3}},
		{"gap over the top", []uint32{top, 3, 4}, counts{gaps: 1, missing: 3}},
		{"two gaps", []uint32{7, 9, 11}, counts{gaps: 2, missing: 2}},
		{"late", []uint32{7, 9, 8, 10}, counts{gaps: 1}},
		{"late over the top", []uint32{top, 1, 0, 2}, counts{gaps: 1}},
		{"repeated", []uint32{7, 8, 8, 9}, counts{repeated: 1}},
		{"repeated after a gap", []uint32{7, 9, 9, 10}, counts{gaps: 1, missing: 1, repeated: 1}},
		{"all late", []uint32{7, 11, 8, 9, 10, 12}, counts{gaps: 1}},
		{"late and repeated", []uint32{7, 11, 9, 9, 12}, counts{gaps: 1, missing: 2, repeated: 1}},
		{"before the first", []uint32{9, 7, 10}, counts{gaps: 1, missing: 1}},
		{"overtaken by a restart", []uint32{1 << 30, 1<<30 + 2, 0, 1, 1<<30 + 1, 2}, counts{gaps: 1, restarts: 1}},
		{"restart", []uint32{1 << 30, 1<<30 + 1, 0, 1, 2}, counts{restarts: 1}},
		{"restart ahead", []uint32{5, 6, 1 << 30, 1<<30 + 1}, counts{restarts: 1}},
	}
	for _, tt := range tests {
		check := func(version string, s collect.ExporterStats) {
			t.Helper()
			if got := (counts{s.Gaps, s.Missing(), s.Repeated, s.Restarts}); got != tt.want || !s.Holds() || s.Received != uint64(len(tt.numbers)) {
				t.Errorf("%s, %s: %+v, want %+v; %+v", tt.name, version, got, tt.want, s.Balance)
			}
		}
		c5, c7, c9, c10, cs := newCollector(t), newCollector(t), newCollector(t), newCollector(t), newCollector(t)
		for i, n := range tt.numbers {
			c5.want(1, append(fixedHeader(5, 1, 0, n), fixedRecord(5, 0, 0)...))
			c7.want(1, append(fixedHeader(7, 1, 0, n), fixedRecord(7, 0, 0)...))
			if i == 0 {
				c9.want(2, v9{sequence: n}.with(set(0, template(256, flowFields...)), set(256, flowRecord, flowRecord)))
				c10.want(1, v10{sequence: n}.with(set(2, template(256, flowFields...)), set(256, flowRecord)))
			} else {
				c9.want(2, v9{sequence: n}.with(set(256, flowRecord, flowRecord)))
				c10.want(1, v10{sequence: n}.with(set(256, flowRecord)))
			}
			cs.want(2, flowSamples(n, 2))
		}
		check("v5", c5.Stats().Total)
		check("v7", c7.Stats().Total)
		check("v9", c9.Stats().Total)
		check("IPFIX", c10.Stats().Total)
		check("sFlow", cs.Stats().Total)
	}
}

// TestSequenceOfRecords: IPFIX counts data records, of options too, and what no
// template describes is not taken for loss.
func TestSequenceOfRecords(t *testing.T) {
	c := withoutHold(t)
	fields, octets := split([]value{u(149, 4, 0), u(34, 4, 100)})
	c.want(3, v10{sequence: 100}.with(set(2, template(256, flowFields...)), set(256, flowRecord, flowRecord, flowRecord), set(3, optionsTemplate(999, 1, fields...)), set(999, octets, octets)))
	c.want(1, v10{sequence: 105}.with(set(256, flowRecord)))
	c.want(1, v10{sequence: 106}.with(set(256, flowRecord), set(300, flowRecord, flowRecord)))
	c.want(1, v10{sequence: 109}.with(set(256, flowRecord)))
	if s := c.Stats().Total; s.Gaps != 0 || s.MissingTemplates != 1 {
		t.Errorf("%d gaps of %d, %d sets without template", s.Gaps, s.Missing(), s.MissingTemplates)
	}
	c.want(1, v10{sequence: 120}.with(set(256, flowRecord)))
	if s := c.Stats().Total; s.Gaps != 1 || s.Missing() != 10 {
		t.Errorf("%d gaps of %d, want 1 of 10", s.Gaps, s.Missing())
	}
}

func TestBounds(t *testing.T) {
	cfg := collect.DecoderConfig{MaxExporters: 32, MaxDomains: 4, MaxTemplates: 8, MaxPorts: 2, MaxNames: 4}
	c := &collector{t, collect.NewDecoder(cfg)}
	for i := range 100 {
		d := flow.Datagram{Exporter: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1), Received: received, Payload: append(fixedHeader(5, 1, 0, 0), fixedRecord(5, 0, 0)...)}
		d.Received = received.AddDate(0, 0, i)
		if err := c.Decode(&d, func(*flow.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Stats()
	if len(s.Exporters) > 32 || int(s.Evicted)+len(s.Exporters) != 100 || s.Total.Datagrams != 100 || s.Total.Records != 100 {
		t.Errorf("%d exporters known, %d evicted; %d datagrams in all", len(s.Exporters), s.Evicted, s.Total.Datagrams)
	}
	if last := s.Exporters[len(s.Exporters)-1].Exporter; last != netip.AddrFrom4([4]byte{10, 0, 0, 99}) {
		t.Errorf("the last exporter is %v: not the longest silent gave way", last)
	}

	c = &collector{t, collect.NewDecoder(cfg)}
	for i := range uint32(10) {
		c.want(0, v10{domain: i}.with(byBytes))
	}
	if s := c.Stats(); s.Domains != 4 || s.Total.DomainsEvicted != 6 {
		t.Errorf("%d domains known, %d evicted, want 4 and 6", s.Domains, s.Total.DomainsEvicted)
	}

	c = &collector{t, collect.NewDecoder(cfg)}
	for i := range uint16(20) {
		c.want(0, v10{}.with(set(2, template(256+i, flowFields...))))
	}
	c.want(1, v10{}.with(set(256+19, flowRecord))) // the newest is always there
	if s := c.Stats(); s.Programs != 8 || s.Total.TemplatesEvicted != 12 {
		t.Errorf("%d templates known, %d evicted, want 8 and 12", s.Programs, s.Total.TemplatesEvicted)
	}
	c.want(0, v10{}.with(set(2, template(256+19, flowFields...)))) // repeated: nothing gives way
	if s := c.Stats(); s.Programs != 8 || s.Total.TemplatesEvicted != 12 {
		t.Errorf("%d templates known, %d evicted, want 8 and 12", s.Programs, s.Total.TemplatesEvicted)
	}

	c = &collector{t, collect.NewDecoder(cfg)}
	for i := range uint64(10) {
		c.want(0, announce(1, u(10, 4, i), text(82, "if")))
		c.want(0, announce(1, u(48, 4, i), u(34, 4, 100+i)))
		c.want(0, announce(1, u(95, 4, i), value{field{id: 96, length: 3}, []byte("app")}))
	}
	if s := c.Stats().Total; s.OptionsEvicted != 18 {
		t.Errorf("%d names and samplers not learnt, want 18", s.OptionsEvicted)
	}
	check(t, c.want(1, data(1, u(10, 4, 3), u(48, 4, 3)))[0], values{flow.InIfName: "if", flow.SamplingRate: 103})
	check(t, c.want(1, data(1, u(10, 4, 4), u(48, 4, 4)))[0], values{flow.InIfName: "", flow.SamplingRate: 0})

	// However many ports there are, no more than the bound are told apart.
	c = &collector{t, collect.NewDecoder(cfg)}
	for i := range uint32(100) {
		c.wantFrom(port(uint16(1000+i)), 0, v10{sequence: i << 24}.with(byBytes))
	}
	if s := c.Stats(); s.Domains != 1 || s.Total.Datagrams != 100 {
		t.Errorf("%d domains, %d datagrams", s.Domains, s.Total.Datagrams)
	}
}

// TestConcurrent: one decoder serves many workers; templates that one reads
// serve the others.
func TestConcurrent(t *testing.T) {
	d := collect.NewDecoder(collect.DefaultDecoderConfig())
	const workers, rounds = 8, 300
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				for _, b := range [][]byte{
					v10{domain: uint32(i % 5)}.with(byBytes, oneTwo),
					v10{domain: uint32(i % 5)}.with(oneTwo),
					announce(uint32(i%5), u(10, 4, uint64(i)), text(82, "if")),
					v9{source: uint32(i % 3)}.with(set(0, template(uint16(256+w), flowFields...)), set(uint16(256+w), flowRecord)),
					flowSamples(uint32(i), 2),
				} {
					from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 4)}), uint16(w%2))
					if err := d.Decode(&flow.Datagram{Exporter: from, Received: received, Payload: b}, func(*flow.Record) error { return nil }); err != nil {
						t.Error(err)
					}
				}
				d.Stats()
			}
		})
	}
	wg.Wait()
	if n := d.Stats().Octets; n <= 0 || n > 1<<20 {
		t.Errorf("%d octets remembered", n)
	}
	s := d.Stats().Total
	if s.Datagrams != workers*rounds*5 {
		t.Errorf("%d datagrams counted, want %d", s.Datagrams, workers*rounds*5)
	}
	if s.Records+s.MissingTemplates < workers*rounds*5 {
		t.Errorf("%d records and %d sets without a template", s.Records, s.MissingTemplates)
	}
}
