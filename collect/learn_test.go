package collect_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
)

// told returns what a collector tells of all exporters, as it is written, sorted.
func (c *collector) told() (lines []string) {
	c.t.Helper()
	for _, exporter := range c.Exporters() {
		for _, st := range c.State(exporter) {
			value, err := st.MarshalValue()
			if err != nil {
				c.t.Fatal(err)
			}
			lines = append(lines, st.StateKey.String()+" "+string(value))
		}
	}
	slices.Sort(lines)
	return lines
}

// learnLines gives lines to a collector, in another order.
func (c *collector) learnLines(lines []string) int {
	c.t.Helper()
	var states []collect.State
	for _, line := range lines {
		key, value, _ := strings.Cut(line, " ")
		st, err := collect.ParseState([]byte(key), []byte(value))
		if err != nil {
			c.t.Fatal(err)
		}
		states = append(states, st)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
	return c.Learn(states)
}

const farAway = 1 << 30 // a sequence number that does not go on from the first ones

// teach has a collector learn something of every kind.
func teach(c *collector) {
	c.want(0, announce(1, u(48, 4, 5), u(34, 4, 100)))
	c.want(0, announce(2, u(149, 4, 0), u(34, 4, 400)))
	c.want(0, announce(1, u(10, 4, 3), text(82, "eth3")))
	c.want(0, announce(1, u(10, 4, 4), text(82, "\xff<4>")))
	c.want(0, announce(1, u(95, 4, 0x03000050), text(96, "http")))
	c.want(0, v10{domain: 1}.with(set(3, optionsTemplate(257, 1, field{id: 149, length: 4}, field{id: 160, length: 8})), set(257, cat(uint32(0), uint64(exportSecs*1000-5000)))))
	c.want(0, v10{domain: 1}.with(set(2, template(300, field{id: 48, length: 4}, field{id: 10, length: 4}, field{id: 14, length: 4}, field{id: 95, length: 4}, field{id: 22, length: 4}, field{id: 7, length: 65535, enterprise: 9999}))))
	c.want(0, v9{source: 4}.with(set(0, template(300, flowFields...)), set(1, optionsTemplate9(301, 1, field{id: 2, length: 4}, field{id: 83, length: 3}))))
	// Two behind one address and domain.
	c.wantFrom(port(1), 0, v10{sequence: 100, domain: 7}.with(byBytes))
	c.wantFrom(port(2), 0, v10{sequence: farAway, domain: 7}.with(byPackets))
	c.wantFrom(port(1), 1, v10{sequence: 100, domain: 7}.with(oneTwo))
	v6 := netip.MustParseAddrPort("[2001:db8::1]:9")
	c.wantFrom(v6, 0, v10{}.with(byBytes))
}

// TestLearn: what one collector knows, another one knows too when it is told, and
// decodes the first datagram as the first one would.
func TestLearn(t *testing.T) {
	a := newCollector(t)
	teach(a)
	lines := a.told()
	for _, want := range []string{
		`192.0.2.1,0,10,1,template,300 {"time":1700000001,"from":50000,"fields":[[0,48,4],[0,10,4],[0,14,4],[0,95,4],[0,22,4],[9999,7,65535]]}`,
		`192.0.2.1,0,10,1,template,257 {"time":1700000001,"from":50000,"options":true,"scope":1,"fields":[[0,149,4],[0,160,8]]}`,
		`192.0.2.1,0,10,1,sampling,5 {"time":1700000001,"rate":100}`,
		`192.0.2.1,0,10,2,sampling, {"time":1700000001,"rate":400}`,
		`192.0.2.1,0,10,1,boot, {"time":1700000001,"boot_ms":1699999995000}`,
		`192.0.2.1,0,0,0,interface,3 {"time":1700000001,"name":"eth3"}`,
		`192.0.2.1,0,0,0,interface,4 {"time":1700000001,"octets":"/zw0Pg=="}`,
		`192.0.2.1,0,0,0,application,03000050 {"time":1700000001,"name":"http"}`,
		`192.0.2.1,0,10,7,template,256 {"time":1700000001,"from":1,"fields":[[0,1,4],[0,2,4]]}`,
		`192.0.2.1,2,10,7,template,256 {"time":1700000001,"from":2,"fields":[[0,2,4],[0,1,4]]}`,
		`2001:db8::1,0,10,0,template,256 {"time":1700000001,"from":9,"fields":[[0,1,4],[0,2,4]]}`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("not told: %s", want)
		}
	}
	b := newCollector(t)
	if n := b.learnLines(lines); n != len(lines) {
		t.Errorf("%d of %d learnt", n, len(lines))
	}
	if got := b.told(); !slices.Equal(got, lines) {
		t.Errorf("told on:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
	if n := b.learnLines(lines); n != len(lines) || !slices.Equal(b.told(), lines) {
		t.Errorf("%d of %d learnt the second time", n, len(lines))
	}
	if changes := b.Changes(); len(changes) != 0 {
		t.Errorf("what was learnt from another collector counts as a change of %v", changes)
	}
	check(t, b.want(1, v10{domain: 1}.with(set(300, cat(uint32(5), uint32(3), uint32(4), uint32(0x03000050), uint32(1000), uint8(3), "abc"))))[0], values{
		flow.SamplingRate: 100, flow.InIfName: "eth3", flow.OutIfName: "\ufffd<4>", flow.ApplicationName: "http", flow.TimeFlowStart: exportNs - 4e9,
	})
	check(t, b.want(1, v9{source: 4}.with(set(300, flowRecord)))[0], values{flow.Bytes: 1500})
	// The one with its port first: the other one is known by its own.
	check(t, b.wantFrom(port(2), 1, v10{sequence: farAway + 7, domain: 7}.with(oneTwo))[0], values{flow.Bytes: 2, flow.Packets: 1})
	check(t, b.wantFrom(port(1), 1, v10{sequence: 107, domain: 7}.with(oneTwo))[0], values{flow.Bytes: 1, flow.Packets: 2})
	b.want(0, v10{domain: 1}.with(set(257, cat(uint32(0), uint64(exportSecs*1000)))))
	if s := b.Stats().Total; s.HeldSets != 0 || s.MissingTemplates != 0 || s.Options != 1 {
		t.Errorf("stats are %+v", s)
	}
	if a.Stats().Octets != b.Stats().Octets {
		t.Errorf("%d octets remembered, of the first collector %d", b.Stats().Octets, a.Stats().Octets)
	}
}

// TestChanges: what is new is a change, what is repeated is not.
func TestChanges(t *testing.T) {
	c := newCollector(t)
	changes := func(why string, want ...netip.Addr) {
		t.Helper()
		signalled := false
		select {
		case <-c.Changed():
			signalled = true
		default:
		}
		if got := c.Changes(); !slices.Equal(got, want) || signalled != (len(want) > 0) {
			t.Errorf("%s: changes of %v, signalled %v; want %v", why, got, signalled, want)
		}
	}
	one := exporter.Addr()
	changes("nothing")
	c.want(1, data(1, u(10, 4, 3)))
	changes("a template", one)
	c.want(1, data(1, u(10, 4, 3)))
	changes("the same template")
	c.want(1, data(1, u(11, 4, 3)))
	changes("another template", one)
	for _, message := range [][]byte{announce(1, u(48, 4, 5), u(34, 4, 100)), announce(1, u(10, 4, 4), text(82, "eth4")), announce(1, u(95, 4, 5), text(96, "http"))} {
		c.want(0, message)
		changes("options", one)
		c.want(0, message)
		changes("the same options")
	}
	c.want(0, v10{domain: 1}.with(set(2, template(256))))
	changes("a withdrawal", one)
	c.want(0, v10{domain: 1}.with(set(2, template(256))))
	changes("a withdrawal of nothing")
	if len(c.State(one)) == 0 {
		t.Error("nothing is known")
	}

	// An exporter that gives way is a change when it was told of before.
	c = &collector{t, collect.NewDecoder(collect.DecoderConfig{MaxExporters: 1})}
	c.want(1, data(1, u(10, 4, 3)))
	changes("a template", one)
	c.State(one)
	c.wantFrom(otherExporter, 0, fixedHeader(5, 0, 0, 0))
	changes("another exporter", one)
	if st := c.State(one); st != nil {
		t.Errorf("state of an exporter that gave way: %v", st)
	}
}

func templateState(t testing.TB, key string, time int, from int, ids ...int) collect.State {
	t.Helper()
	var fields []string
	for _, id := range ids {
		fields = append(fields, fmt.Sprintf("[0,%d,4]", id))
	}
	st, err := collect.ParseState([]byte(key), fmt.Appendf(nil, `{"time":%d,"from":%d,"fields":[%s]}`, time, from, strings.Join(fields, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestLearnLive: what an exporter has said itself counts more than what is stored.
func TestLearnLive(t *testing.T) {
	const key = "192.0.2.1,0,10,0,template,256"
	now := int(received.Unix())
	c := newCollector(t)
	c.Learn([]collect.State{templateState(t, key, now-100, 7, 1, 2)})
	c.Learn([]collect.State{templateState(t, key, now-200, 7, 2, 1)}) // older
	check(t, c.want(1, v10{}.with(oneTwo))[0], values{flow.Bytes: 1})
	c.Learn([]collect.State{templateState(t, key, now-50, 7, 2, 1)}) // newer
	check(t, c.want(1, v10{sequence: 1}.with(oneTwo))[0], values{flow.Bytes: 2})
	c.wantFrom(port(7), 0, v10{sequence: 2}.with(byBytes))
	c.Learn([]collect.State{templateState(t, key, now+50, 9, 2, 1)}) // another port's: may be another exporter's
	check(t, c.wantFrom(port(7), 1, v10{sequence: 2}.with(oneTwo))[0], values{flow.Bytes: 1})
	c.Learn([]collect.State{templateState(t, key, now+60, 7, 2, 1)}) // the same one, to another collector
	check(t, c.wantFrom(port(7), 1, v10{sequence: 3}.with(oneTwo))[0], values{flow.Bytes: 2})

	c = newCollector(t)
	teach(c)
	want := c.told()
	other := newCollector(t)
	other.want(0, announce(1, u(48, 4, 5), u(34, 4, 999)))
	other.want(0, announce(1, u(10, 4, 3), text(82, "old name")))
	if c.learnLines(other.told()); !slices.Equal(c.told(), want) {
		t.Errorf("known after what is no newer was learnt:\n%s\nwant\n%s", strings.Join(c.told(), "\n"), strings.Join(want, "\n"))
	}
}

// TestLearnHeld: data that wait for a template are decoded when it is learnt from
// elsewhere.
func TestLearnHeld(t *testing.T) {
	c := newCollector(t)
	c.wantFrom(port(1), 0, v10{}.with(oneTwo))
	c.wantFrom(port(2), 0, v10{sequence: farAway}.with(oneTwo))
	c.Learn([]collect.State{
		templateState(t, "192.0.2.1,0,10,0,template,256", 1, 1, 1, 2),
		templateState(t, "192.0.2.1,2,10,0,template,256", 1, 2, 2, 1),
	})
	got := c.wantFrom(otherExporter, 2, fixedHeader(5, 0, 0, 0)) // whatever comes
	slices.SortFunc(got, func(a, b *flow.Record) int { return int(a.Uint(flow.Bytes)) - int(b.Uint(flow.Bytes)) })
	check(t, got[0], values{flow.Bytes: 1, flow.SequenceNum: 0})
	check(t, got[1], values{flow.Bytes: 2, flow.SequenceNum: farAway})
	c.holding(0, 2, 0, 0, 0)
}

// TestLearnContradicted: a template known from before the start counts no more
// when another port of the same address announces another one, unless both were
// known before: it may be that of an exporter that has changed it since and sends
// its records from a port of their own.
func TestLearnContradicted(t *testing.T) {
	c := newCollector(t)
	c.Learn([]collect.State{templateState(t, "192.0.2.1,0,10,0,template,256", 1, 1, 1, 2)})
	check(t, c.wantFrom(port(9), 1, v10{}.with(oneTwo))[0], values{flow.Bytes: 1})
	c.wantFrom(port(1), 0, v10{sequence: farAway}.with(byBytes))
	check(t, c.wantFrom(port(9), 1, v10{sequence: 1}.with(oneTwo))[0], values{flow.Bytes: 1})
	c.wantFrom(port(1), 0, v10{sequence: farAway}.with(byPackets))
	c.wantFrom(port(9), 0, v10{sequence: 2}.with(oneTwo))
	c.holding(1, 0, 0, 0, 0)
	check(t, c.wantFrom(port(9), 1, v10{sequence: 3}.with(byBytes))[0], values{flow.Bytes: 1, flow.SequenceNum: 2})
}

// TestLearnBounds: nothing gives way to what is learnt from elsewhere.
func TestLearnBounds(t *testing.T) {
	cfg := collect.DecoderConfig{MaxExporters: 2, MaxDomains: 2, MaxTemplates: 2, MaxPorts: 1, MaxNames: 2}
	c := &collector{t, collect.NewDecoder(cfg)}
	for d := range uint32(2) {
		c.want(0, v10{domain: d}.with(set(2, template(256, flowFields...)), set(2, template(257, flowFields...))))
	}
	c.want(0, manyNames(1, 1, "eth"))
	before := c.told()
	for _, key := range []string{"192.0.2.1,0,10,0,template,258", "192.0.2.1,0,10,3,template,256", "192.0.2.1,0,9,0,template,256"} {
		if n := c.Learn([]collect.State{templateState(t, key, 1<<40, 1, 1)}); n != 0 {
			t.Errorf("%s was learnt", key)
		}
	}
	if now := c.told(); !slices.Equal(before, now) {
		t.Errorf("known now:\n%s\nwant\n%s", strings.Join(now, "\n"), strings.Join(before, "\n"))
	}
	for i, want := range []int{1, 0} {
		if n := c.Learn([]collect.State{templateState(t, fmt.Sprintf("192.0.2.%d,0,10,0,template,256", 10+i), 1, 1, 1)}); n != want {
			t.Errorf("exporter %d more was learnt: %v", i, n == 1)
		}
		if n := c.Learn([]collect.State{templateState(t, fmt.Sprintf("192.0.2.1,%d,10,0,template,256", 10+i), 1, 1, 1)}); n != want {
			t.Errorf("port %d more was learnt: %v", i, n == 1)
		}
	}
	full := &collector{t, collect.NewDecoder(collect.DecoderConfig{MaxOctets: 20_000})}
	for i := range 200 {
		full.Learn([]collect.State{templateState(t, fmt.Sprintf("10.0.0.%d,0,10,0,template,256", i), 1, 1, 1)})
	}
	if s := full.Stats(); s.Octets > 20_000 || s.Programs == 0 || s.Evicted != 0 {
		t.Errorf("%d octets remembered, %d templates, %d exporters evicted", s.Octets, s.Programs, s.Evicted)
	}
}

// TestParseState: what is no state is an error.
func TestParseState(t *testing.T) {
	for _, tt := range [][2]string{
		{"", `{}`},
		{"192.0.2.1,0,10,0,template", `{"fields":[[0,1,4]]}`},
		{"192.0.2.1,0,10,0,template,256,", `{"fields":[[0,1,4]]}`},
		{"192.0.2.1,0,10,0,template,256", `{"fields":[]}`},
		{"192.0.2.1,0,10,0,template,256", `{"fields":[[0,1,4]],"scope":2,"options":true}`},
		{"192.0.2.1,0,10,0,template,256", `{"fields":[[0,1,4]],"scope":1}`},
		{"192.0.2.1,0,10,0,template,256", `{"fields":[[0,65536,4]]}`},
		{"192.0.2.1,0,10,0,template,256", `{"fields":[[0,1,4]`},
		{"192.0.2.1,0,10,0,template,0256", `{"fields":[[0,1,4]]}`},
		{"192.0.2.1,0,10,0,template,255", `{"fields":[[0,1,4]]}`},
		{"192.0.2.1,0,5,0,template,256", `{"fields":[[0,1,4]]}`},
		{"::ffff:192.0.2.1,0,10,0,template,256", `{"fields":[[0,1,4]]}`},
		{"fe80::1%eth0,0,10,0,template,256", `{"fields":[[0,1,4]]}`},
		{"router,0,10,0,template,256", `{"fields":[[0,1,4]]}`},
		{"192.0.2.1,65536,10,0,template,256", `{"fields":[[0,1,4]]}`},
		{"192.0.2.1,0,10,0,sampling,1", `{}`},
		{"192.0.2.1,0,10,0,boot,", `{}`},
		{"192.0.2.1,0,0,0,interface,1", `{"name":""}`},
		{"192.0.2.1,0,0,0,interface,1", `{"name":"` + strings.Repeat("a", 256) + `"}`},
		{"192.0.2.1,0,10,0,interface,1", `{"name":"a"}`},
		{"192.0.2.1,0,10,0,colour,1", `{"name":"a"}`},
		{"192.0.2.1,0,10,0,template,256", `{"fields":[[0,1,4]],"x":"` + strings.Repeat("a", 1<<17) + `"}`},
	} {
		if _, err := collect.ParseState([]byte(tt[0]), []byte(tt[1])); !errors.Is(err, collect.ErrState) {
			t.Errorf("%s %.60s: %v", tt[0], tt[1], err)
		}
	}
}

// FuzzState: whatever a topic has, what is read of it can be learnt and told
// again, and data decode with it.
func FuzzState(f *testing.F) {
	c := newCollector(f)
	teach(c)
	for _, line := range c.told() {
		key, value, _ := strings.Cut(line, " ")
		f.Add([]byte(key), []byte(value), []byte("\x00\x01\x02\x03\x04\x05\x06\x07"))
	}
	f.Add([]byte("192.0.2.1,0,10,0,boot,"), []byte(`{"boot_ms":1}`), []byte("0")) // within the first minute of 1970
	f.Fuzz(func(t *testing.T, key, value, body []byte) {
		st, err := collect.ParseState(key, value)
		if err != nil {
			if !errors.Is(err, collect.ErrState) {
				t.Fatalf("error %v is not ErrState", err)
			}
			return
		}
		c := newCollector(t)
		if c.Learn([]collect.State{st}) == 1 {
			if again := newCollector(t); again.learnLines(c.told()) != len(c.told()) || !slices.Equal(again.told(), c.told()) {
				t.Fatalf("told %v, and from that %v", c.told(), again.told())
			}
		}
		id := uint16(256)
		if st.Template != nil {
			id = st.Template.ID
		}
		message := v10{domain: st.Domain}.with(set(id, body[:min(len(body), 60_000)]))
		if st.Version != ipfix.Version {
			message = v9{source: st.Domain}.with(set(id, body))
		}
		_, _ = c.decode(netip.AddrPortFrom(st.Exporter, 1), message)
	})
}
