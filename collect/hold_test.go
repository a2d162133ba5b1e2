package collect_test

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
)

// holding counts data sets by what has become of them.
func (c *collector) holding(held, decoded, expired, evicted, missing uint64) {
	c.t.Helper()
	s := c.Stats()
	got := []uint64{s.Total.Held(), s.Total.HeldDecoded, s.Total.HeldExpired, s.Total.HeldEvicted, s.Total.MissingTemplates}
	if want := []uint64{held, decoded, expired, evicted, missing}; !slices.Equal(got, want) {
		c.t.Errorf("held, decoded, expired, evicted, missing: %v, want %v", got, want)
	}
	if (s.HeldOctets > 0) != (held > 0) {
		c.t.Errorf("%d sets held, %d octets", held, s.HeldOctets)
	}
}

// at decodes a datagram received so long after the first ones.
func (c *collector) at(after time.Duration, n int, payload []byte) {
	c.t.Helper()
	got := 0
	if err := c.Decode(&flow.Datagram{Exporter: exporter, Received: received.Add(after), Payload: payload}, func(*flow.Record) error { got++; return nil }); err != nil {
		c.t.Fatal(err)
	}
	if got != n {
		c.t.Fatalf("%d records, want %d", got, n)
	}
}

// TestHold: data before its template come out when it is there, in order, and as
// of their own datagrams.
func TestHold(t *testing.T) {
	messages := map[string]struct {
		message  func(sequence uint32, sets ...[]byte) []byte
		template []byte
		source   flow.Source
	}{
		"v9":    {func(n uint32, sets ...[]byte) []byte { return v9{source: 7, sequence: n}.with(sets...) }, set(0, template(256, flowFields...)), flow.SourceNetFlowV9},
		"IPFIX": {func(n uint32, sets ...[]byte) []byte { return v10{domain: 7, sequence: n}.with(sets...) }, set(2, template(256, flowFields...)), flow.SourceIPFIX},
	}
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			c := newCollector(t)
			for i := range uint32(3) {
				dg := &flow.Datagram{Exporter: port(uint16(10 + i)), Received: received.Add(time.Duration(i) * time.Second), Payload: m.message(i, set(256, flowRecord))}
				if err := c.Decode(dg, func(*flow.Record) error { t.Error("a record"); return nil }); err != nil {
					t.Fatal(err)
				}
				clear(dg.Payload) // which is the caller's
			}
			c.want(0, m.message(3, set(257, flowRecord)))
			c.holding(4, 0, 0, 0, 0)
			got := c.wantFrom(port(1), 4, m.message(4, m.template, set(256, flowRecord)))
			for i, r := range got {
				when := received.Add(time.Duration(i) * time.Second)
				if i == 3 {
					i, when = 4, received
				}
				check(t, r, values{
					flow.SequenceNum: i, flow.Bytes: 1500, flow.FlowSource: int(m.source), flow.ObservationDomainID: 7, flow.TemplateID: 256,
					flow.TimeReceived: int(when.UnixNano()), flow.TimeExport: exportNs, flow.SamplerAddress: exporter.Addr(),
				})
			}
			c.holding(1, 3, 0, 0, 0)
			c.want(0, m.message(5, m.template)) // repeated: once is enough
			c.GiveUp()
			c.holding(0, 3, 1, 0, 1)
			if n := c.Stats().Total.Records; n != 4 {
				t.Errorf("%d records counted, want 4", n)
			}
		})
	}
}

// TestHoldWithin: data before its template in the same message.
func TestHoldWithin(t *testing.T) {
	c := newCollector(t)
	c.want(2, v10{}.with(set(256, flowRecord), set(2, template(256, flowFields...)), set(256, flowRecord)))
	fields, octets := split([]value{u(149, 4, 0), u(34, 4, 100)})
	r := c.want(1, v10{sequence: 2}.with(set(256, flowRecord), set(999, octets), set(3, optionsTemplate(999, 1, fields...)), set(999, octets)))
	check(t, r[0], values{flow.SamplingRate: 100})
	c.holding(0, 1, 0, 0, 0)
	if n := c.Stats().Total.Options; n != 2 {
		t.Errorf("%d options records, want 2", n)
	}
}

// TestHoldOptions: options data wait for their options template, and hold for
// data that still wait then.
func TestHoldOptions(t *testing.T) {
	c := newCollector(t)
	fields, octets := split([]value{u(48, 4, 5), u(34, 4, 100)})
	c.want(0, v10{}.with(set(256, cat(uint32(5), uint32(77)))))
	c.want(0, v10{sequence: 1}.with(set(999, octets)))
	c.want(0, v10{sequence: 2}.with(set(3, optionsTemplate(999, 1, fields...))))
	r := c.want(1, v10{sequence: 2}.with(set(2, template(256, field{id: 48, length: 4}, field{id: 1, length: 4}))))
	check(t, r[0], values{flow.SamplingRate: 100, flow.Bytes: 77})
	c.holding(0, 2, 0, 0, 0)
}

// TestHoldRestart: what waits is of the life that its exporter sent it in, wherever the
// numbers of the next one begin.
func TestHoldRestart(t *testing.T) {
	told := set(2, template(256, field{id: 8, length: 4}))
	data := func(id uint16, n int) []byte { return set(id, make([]byte, 4*n)) }
	for _, numbers := range [][2]uint32{
		{1_000_000, 0},         // far behind
		{1_000_000, 5_000_000}, // far ahead
		{1_000_000, 999_999},   // among them
	} {
		c := newCollector(t)
		first := numbers[0]
		c.at(0, 2, v10{sequence: first}.with(told, data(256, 2), data(257, 3)))
		c.at(0, 1, v10{sequence: first + 5}.with(data(256, 1), data(257, 2)))
		again := v10{sequence: numbers[1]}.with(data(256, 1))
		again[6] += 2 // export time, by some minutes
		c.at(0, 1, again)
		again = v10{sequence: numbers[1] + 1}.with(set(2, template(257, field{id: 12, length: 4})), data(256, 1))
		again[6] += 2
		c.at(0, 6, again)
		_, domains := c.Ledger()
		if b := domains[0].Balance; b != (collect.Balance{Announced: 10, Received: 10, Restarts: 1}) {
			t.Errorf("from %d, then %d: %+v", numbers[0], numbers[1], b)
		}
	}
}

// TestHoldPorts: what waits behind one port is decoded with its own template.
func TestHoldPorts(t *testing.T) {
	const far = 1 << 30
	c := newCollector(t)
	c.wantFrom(port(1), 0, v10{sequence: 10}.with(oneTwo))
	c.wantFrom(port(2), 0, v10{sequence: far}.with(oneTwo))
	check(t, c.wantFrom(port(2), 1, v10{sequence: far + 1}.with(byPackets))[0], values{flow.Bytes: 2, flow.Packets: 1, flow.SequenceNum: far})
	check(t, c.wantFrom(port(1), 1, v10{sequence: 11}.with(byBytes))[0], values{flow.Bytes: 1, flow.Packets: 2, flow.SequenceNum: 10})
	// One that repeats its template while another's data wait.
	c = newCollector(t)
	c.wantFrom(port(1), 1, v10{sequence: 10}.with(byBytes, oneTwo))
	c.wantFrom(port(2), 0, v10{sequence: far}.with(oneTwo))
	c.wantFrom(port(1), 1, v10{sequence: 11}.with(byBytes, oneTwo))
	c.wantFrom(port(2), 0, v10{sequence: far + 1}.with(oneTwo))
	for _, r := range c.wantFrom(port(2), 2, v10{sequence: far + 2}.with(byPackets)) {
		check(t, r, values{flow.Bytes: 2, flow.Packets: 1})
	}
	// One that sends records from another port than its templates.
	c = newCollector(t)
	c.wantFrom(port(1), 0, v10{sequence: 5}.with(byBytes))
	c.wantFrom(port(9), 0, v10{sequence: far}.with(oneTwo))
	check(t, c.wantFrom(port(1), 1, v10{sequence: 5}.with(byBytes))[0], values{flow.Bytes: 1, flow.Packets: 2, flow.SequenceNum: far})
}

// TestHoldTime: what has waited for too long gives way.
func TestHoldTime(t *testing.T) {
	c := &collector{t, collect.NewDecoder(collect.DecoderConfig{HoldTime: time.Minute})}
	c.at(0, 0, v10{}.with(oneTwo))
	c.at(30*time.Second, 0, v10{sequence: 1}.with(oneTwo))
	c.at(59*time.Second, 0, v10{}.with())
	c.holding(2, 0, 0, 0, 0)
	c.at(60*time.Second, 0, fixedHeader(5, 0, 0, 0)) // any datagram
	c.holding(1, 0, 1, 0, 1)
	c.at(60*time.Second, 1, v10{sequence: 2}.with(byBytes))
	c.holding(0, 1, 1, 0, 1)
	c.at(time.Hour, 0, v10{sequence: 2}.with())
	c.holding(0, 1, 1, 0, 1)
}

// TestHoldBounds: the oldest of an exporter give way when that one has too many,
// the oldest of all when all have.
func TestHoldBounds(t *testing.T) {
	c := &collector{t, collect.NewDecoder(collect.DecoderConfig{HoldExporterOctets: 10_000, HoldOctets: 25_000})}
	for i := range uint32(100) {
		c.want(0, v10{sequence: i}.with(set(256+uint16(i%3), cat(i, make([]byte, 740))))) // 1000 with what it takes to hold it
	}
	c.holding(10, 0, 0, 90, 90)
	for i := range uint32(3) {
		for n := range uint32(5) {
			c.wantFrom(port(1), 0, v10{sequence: 100 + 5*i + n, domain: i}.with(set(256, cat(n, make([]byte, 740)))))
		}
	}
	c.holding(10, 0, 0, 105, 105) // the same exporter
	for n := range uint32(10) {
		c.wantFrom(otherExporter, 0, v10{sequence: n}.with(set(256, cat(n, make([]byte, 740)))))
	}
	c.holding(20, 0, 0, 105, 105)
	third := netip.MustParseAddrPort("192.0.2.3:1")
	for n := range uint32(10) {
		c.wantFrom(third, 0, v10{sequence: n}.with(set(256, cat(n, make([]byte, 740)))))
	}
	c.holding(25, 0, 0, 110, 110)
	// What is too large by itself is not held.
	c.want(0, v10{sequence: 200}.with(set(256, make([]byte, 20_000))))
	c.holding(25, 0, 0, 110, 111)
	both := set(2, template(256, field{id: 1, length: 4}, field{id: 210, length: 740}))
	got := c.wantFrom(third, 10, v10{sequence: 10}.with(both))
	for i, r := range got {
		check(t, r, values{flow.Bytes: i})
	}
	c.holding(15, 10, 0, 110, 111)
}

// TestHoldForgotten: what waits gives way with its exporter or domain.
func TestHoldForgotten(t *testing.T) {
	c := &collector{t, collect.NewDecoder(collect.DecoderConfig{MaxExporters: 4, MaxDomains: 4})}
	for i := range uint32(10) {
		c.want(0, v10{domain: i}.with(oneTwo))
		c.wantFrom(port(1), 0, v10{domain: i, sequence: 1 << 30}.with(oneTwo)) // another one behind the address
	}
	c.holding(8, 0, 0, 12, 12)
	for i := range 20 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 1)
		if err := c.Decode(&flow.Datagram{Exporter: from, Received: received.Add(time.Duration(1+i) * time.Second), Payload: v10{}.with(oneTwo)}, func(*flow.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	c.holding(4, 0, 0, 36, 36)
	c.GiveUp()
	c.holding(0, 0, 4, 36, 40)
}

// TestHoldStops: an error of the sink ends it.
func TestHoldStops(t *testing.T) {
	c := newCollector(t)
	c.want(0, v10{}.with(oneTwo))
	c.want(0, v10{sequence: 1}.with(oneTwo))
	full := fmt.Errorf("disk is full")
	if err := c.Decode(&flow.Datagram{Exporter: exporter, Received: received, Payload: v10{sequence: 2}.with(byBytes, oneTwo)}, func(*flow.Record) error { return full }); err != full { //nolint:errorlint // as it is
		t.Errorf("error %v, want %v", err, full)
	}
}

// TestHoldWorkers: templates come through other sockets than data, at the same
// time, and every record comes out once.
func TestHoldWorkers(t *testing.T) {
	const workers, rounds = 4, 200
	d := collect.NewDecoder(collect.DefaultDecoderConfig())
	var records, sent atomic.Int64
	emit := func(r *flow.Record) error {
		if r.Uint(flow.Bytes) != 1 {
			return fmt.Errorf("octets are %d", r.Uint(flow.Bytes))
		}
		records.Add(1)
		return nil
	}
	decode := func(payload []byte) {
		if err := d.Decode(&flow.Datagram{Exporter: exporter, Received: received, Payload: payload}, emit); err != nil {
			t.Error(err)
		}
	}
	for round := range rounds {
		var wg sync.WaitGroup
		domain := uint32(round)
		for w := range workers {
			wg.Go(func() {
				for i := range 10 {
					if w == 0 && i == 5 {
						decode(v10{domain: domain}.with(byBytes))
					}
					decode(v10{domain: domain}.with(oneTwo))
					sent.Add(1)
				}
			})
		}
		wg.Wait()
	}
	if s := d.Stats(); records.Load() != sent.Load() || s.Total.Held() != 0 || s.HeldOctets != 0 || s.Total.Records != uint64(sent.Load()) {
		t.Errorf("%d records of %d, %d still held", records.Load(), sent.Load(), s.Total.Held())
	} else if s.Total.HeldDecoded == 0 {
		t.Error("nothing was held")
	}
}

// TestThousandExporters: a thousand exporters of ten templates each are known at
// once, and none of their data is lost that comes before.
func TestThousandExporters(t *testing.T) {
	const exporters, templates = 1000, 10
	d := collect.NewDecoder(collect.DefaultDecoderConfig())
	records := 0
	decode := func(i int, payload []byte) {
		t.Helper()
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
		if err := d.Decode(&flow.Datagram{Exporter: from, Received: received, Payload: payload}, func(*flow.Record) error { records++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var announce []byte
	var data [][]byte
	for n := range uint16(templates) {
		announce = append(announce, template(256+n, flowFields...)...)
		data = append(data, set(256+n, flowRecord))
	}
	for i := range exporters {
		decode(i, v9{}.with(data...))
	}
	if s := d.Stats(); records != 0 || s.Total.Held() != exporters*templates || s.Total.MissingTemplates != 0 {
		t.Fatalf("%d records, %d sets held, %d without a template", records, s.Total.Held(), s.Total.MissingTemplates)
	}
	for i := range exporters {
		decode(i, v9{sequence: 1}.with(set(0, announce)))
	}
	for i := range exporters {
		decode(i, v9{sequence: 2}.with(data...))
	}
	s := d.Stats()
	if records != 2*exporters*templates || s.Programs != exporters*templates || s.Total.MissingTemplates != 0 || s.Evicted != 0 || s.HeldOctets != 0 {
		t.Errorf("%d records, %d templates known, %d sets without one, %d exporters evicted", records, s.Programs, s.Total.MissingTemplates, s.Evicted)
	}
	t.Logf("%d octets remembered", s.Octets)
}

// TestMillionTemplates: an exporter sends a million template ids (a tenth of that
// without TRIBUTARY_SOAK), over its domains, and data for as many that it has not
// announced. It stays within its bounds, and another exporter notices nothing.
func TestMillionTemplates(t *testing.T) {
	const bound = 1 << 20
	cfg := collect.DecoderConfig{MaxExporterOctets: bound, MaxOctets: 4 * bound, HoldExporterOctets: bound, HoldOctets: 4 * bound}
	c := &collector{t, collect.NewDecoder(cfg)}
	c.wantFrom(otherExporter, 0, v10{}.with(oneTwo)) // waits all the time
	c.wantFrom(otherExporter, 0, v10{domain: 1}.with(byBytes))
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	ids, want := 0, 100_000
	if os.Getenv("TRIBUTARY_SOAK") != "" {
		want = 1_000_000
	}
	for n := 0; ids < want; n++ {
		const many = 1000
		var templates, data []byte
		for i := range many {
			id := uint16(256 + (n*many+i)%60_000)
			templates = append(templates, template(id, field{id: 1, length: 4})...)
			if i%4 == 0 {
				data = append(data, set(id, cat(uint32(1)))...)                  // another domain's
				data = append(data, set(60_256+uint16(i), make([]byte, 100))...) // nobody's
			}
		}
		ids += many
		domain := uint32(n * many / 60_000)
		if _, err := c.decode(exporter, v10{domain: domain + 1}.with(data)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.decode(exporter, v10{domain: domain}.with(set(2, templates))); err != nil {
			t.Fatal(err)
		}
		c.wantFrom(otherExporter, 1, v10{domain: 1, sequence: uint32(n)}.with(oneTwo))
		if s := c.Stats(); s.Octets > 2*bound || s.HeldOctets > 2*bound {
			t.Fatalf("after %d template ids: %d octets remembered, %d held", ids, s.Octets, s.HeldOctets)
		}
	}
	after := live()
	s := c.Stats()
	t.Logf("%d template ids: live memory from %d to %d octets; %d templates known, %d evicted; %d sets held, %d decoded, %d evicted",
		ids, before, after, s.Programs, s.Total.TemplatesEvicted, s.Total.Held(), s.Total.HeldDecoded, s.Total.HeldEvicted)
	if after > before+8*bound {
		t.Errorf("live memory went from %d to %d octets", before, after)
	}
	check(t, c.wantFrom(otherExporter, 1, v10{sequence: 1}.with(byBytes))[0], values{flow.Bytes: 1, flow.Packets: 2})
	if other := s.Exporters[1]; other.Exporter != otherExporter.Addr() || other.MissingTemplates+other.TemplatesEvicted+other.HeldEvicted != 0 {
		t.Errorf("the other exporter: %+v", other)
	}
	runtime.KeepAlive(c)
}
