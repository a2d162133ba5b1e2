package traffic_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/traffic"
	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/netflow"
	"github.com/tributary-net/tributary/packet"
	"github.com/tributary-net/tributary/sflow"
)

var start = time.Date(2026, 3, 4, 10, 30, 0, 123456789, time.UTC)

// exporter finds a device of a new network by name.
func exporter(t testing.TB, name string) *traffic.Exporter {
	t.Helper()
	for _, e := range traffic.NewNetwork(1).Exporters() {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no device %s", name)
	return nil
}

func TestSameSeedSameOctets(t *testing.T) {
	a, b, other := traffic.NewNetwork(7).Exporters(), traffic.NewNetwork(7).Exporters(), traffic.NewNetwork(8).Exporters()
	for i := range a {
		differs := false
		for n := range 30 {
			now := start.Add(time.Duration(n) * 700 * time.Millisecond)
			x, y, z := a[i].Next(now, nil), b[i].Next(now, nil), other[i].Next(now, nil)
			if !bytes.Equal(x, y) {
				t.Fatalf("%s: datagram %d differs", a[i].Name, n)
			}
			differs = differs || !bytes.Equal(x, z)
		}
		if !differs {
			t.Errorf("%s: the seed makes no difference", a[i].Name)
		}
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	for _, e := range traffic.NewNetwork(1).Exporters() {
		buf := make([]byte, 0, 1500)
		now := start
		if allocs := testing.AllocsPerRun(200, func() {
			now = now.Add(time.Second)
			buf = e.Next(now, buf[:0])
		}); allocs != 0 {
			t.Errorf("%s: %v allocations a datagram", e.Name, allocs)
		}
		if cap(buf) != 1500 {
			t.Errorf("%s: a datagram of %d octets", e.Name, cap(buf))
		}
	}
}

func TestNextAppends(t *testing.T) {
	for _, e := range traffic.NewNetwork(1).Exporters() {
		whole := e.Next(start, []byte("before"))
		if !strings.HasPrefix(string(whole), "before") || len(whole) < 100 {
			t.Errorf("%s: %q", e.Name, whole[:6])
		}
		if s := e.Stats(); s.Datagrams != 1 || s.Bytes != uint64(len(whole)-6) || s.Flows == 0 {
			t.Errorf("%s: %+v", e.Name, s)
		}
	}
}

// TestFlows looks at what is made up: is it a network one could believe in?
func TestFlows(t *testing.T) {
	e := exporter(t, "core-1")
	var flows, v6, reversed, scans int
	sources := map[netip.Addr]int{}
	names := map[string]int{}
	var last traffic.Flow
	for n := range 1000 {
		now := start.Add(time.Duration(n) * time.Second)
		e.Next(now, nil)
		for _, f := range e.Flows() {
			flows++
			sources[f.Src]++
			names[f.Service]++
			if f.Src.Is6() != f.Dst.Is6() || f.Src == f.Dst {
				t.Fatalf("flow from %v to %v", f.Src, f.Dst)
			}
			if f.Src.Is6() {
				v6++
			}
			if f.Packets == 0 || f.Bytes < 28*f.Packets || f.Bytes > 1500*f.Packets {
				t.Fatalf("%d octets in %d packets", f.Bytes, f.Packets)
			}
			if f.End.After(now) || f.Start.After(f.End) || now.Sub(f.Start) > time.Hour {
				t.Fatalf("flow from %v to %v at %v", f.Start, f.End, now)
			}
			if f.Service == "scan" {
				scans++
			}
			if f.Src == last.Dst && f.Dst == last.Src && f.SrcPort == last.DstPort {
				reversed++
				if f.In != last.Out || f.Packets != last.ReversePackets || f.SrcAS != last.DstAS {
					t.Fatalf("way back %+v of %+v", f, last)
				}
			}
			last = f
		}
	}
	if v6 < flows/10 || v6 > flows/2 {
		t.Errorf("%d of %d flows are IPv6", v6, flows)
	}
	if reversed < flows/3 {
		t.Errorf("%d of %d flows are the way back of the one before", reversed, flows)
	}
	if scans == 0 || scans > flows/20 {
		t.Errorf("%d of %d flows are scans", scans, flows)
	}
	if len(sources) < 300 {
		t.Errorf("only %d sources", len(sources))
	}
	for _, service := range []string{"https", "quic", "dns", "ssh", "ntp", "icmp", "smb", "backup"} {
		if names[service] == 0 {
			t.Errorf("no flow of %s", service)
		}
	}
	counts := make([]int, 0, len(sources))
	for _, n := range sources {
		counts = append(counts, n)
	}
	slices.Sort(counts)
	if top, median := counts[len(counts)-1], counts[len(counts)/2]; top < 5*median {
		t.Errorf("the busiest source has %d flows, the one in the middle %d: all are alike", top, median)
	}
}

func TestActivity(t *testing.T) {
	night, morning := traffic.Activity(time.Date(2026, 3, 4, 4, 0, 0, 0, time.UTC)), traffic.Activity(time.Date(2026, 3, 4, 10, 30, 0, 0, time.UTC))
	sunday := traffic.Activity(time.Date(2026, 3, 8, 10, 30, 0, 0, time.UTC))
	if !(0 < night && night < sunday && sunday < morning && morning <= 1) {
		t.Errorf("night %.2f, sunday %.2f, morning %.2f", night, sunday, morning)
	}
}

func TestHosts(t *testing.T) {
	seen := map[netip.Addr]string{}
	hosts := traffic.NewNetwork(3).Hosts()
	for _, h := range hosts {
		for _, a := range []netip.Addr{h.V4, h.V6} {
			if !a.IsValid() {
				continue
			}
			if other, ok := seen[a]; ok {
				t.Errorf("%s and %s are both %v", h.Name, other, a)
			}
			seen[a] = h.Name
		}
	}
	if len(hosts) < 500 {
		t.Errorf("only %d hosts", len(hosts))
	}
}

func TestFixedVersions(t *testing.T) {
	for _, test := range []struct {
		device                       string
		version, recordLen, headerLn int
	}{{"museum-1", 1, 48, 16}, {"branch-1", 5, 48, 24}, {"catalyst-1", 7, 52, 24}} {
		e := exporter(t, test.device)
		var sequence uint32
		for n := range 50 {
			now := start.Add(time.Duration(n) * 9 * time.Second)
			b := e.Next(now, nil)
			count := int(binary.BigEndian.Uint16(b[2:]))
			if v := int(binary.BigEndian.Uint16(b)); v != test.version || len(b) != test.headerLn+count*test.recordLen || count != len(e.Flows()) {
				t.Fatalf("%s: version %d, %d records in %d octets, %d flows", test.device, v, count, len(b), len(e.Flows()))
			}
			h, records, err := netflow.ParseHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			if test.version != 1 && h.Sequence != sequence || h.UnixSecs != uint32(now.Unix()) || h.UnixNsecs != 123456789 {
				t.Fatalf("%s: header %+v, want sequence %d", test.device, h, sequence)
			}
			if test.version == 5 && (h.SamplingMode != 1 || h.SamplingInterval != 10 || h.EngineID != 7) {
				t.Fatalf("header %+v", h)
			}
			sequence += uint32(count)
			checkFixed(t, e, now, records, test.recordLen, h.SysUptime)
		}
		if s := e.Stats(); s.Flows != uint64(sequence) {
			t.Errorf("%s: %+v, sequence %d", test.device, s, sequence)
		}
	}
}

func checkFixed(t *testing.T, e *traffic.Exporter, now time.Time, records []byte, size int, uptime uint32) {
	t.Helper()
	boot := now.Add(-time.Duration(uptime) * time.Millisecond)
	for i, f := range e.Flows() {
		var r netflow.Record
		version := uint16(5)
		b := records[i*size:][:size]
		switch e.Protocol {
		case traffic.NetFlow1:
			version = 1
		case traffic.NetFlow7:
			version = 7
		}
		r.Decode(version, b)
		if netip.AddrFrom4(r.SrcAddr) != f.Src || netip.AddrFrom4(r.DstAddr) != f.Dst || netip.AddrFrom4(r.NextHop) != f.NextHop ||
			r.SrcPort != f.SrcPort || r.DstPort != f.DstPort || r.Proto != f.Proto || r.TCPFlags != f.TCPFlags || r.Tos != f.TOS ||
			uint64(r.Packets) != f.Packets || uint64(r.Octets) != f.Bytes || uint32(r.Input) != f.In || uint32(r.Output) != f.Out {
			t.Fatalf("%s: record %+v of flow %+v", e.Name, r, f)
		}
		at := boot.Add(time.Duration(r.First) * time.Millisecond)
		if d := at.Sub(f.Start).Abs(); d > 2*time.Millisecond {
			t.Fatalf("%s: flow of %v comes out at %v", e.Name, f.Start, at)
		}
		if version != 1 && (r.SrcMask != f.SrcMask || f.SrcAS < 65536 && uint32(r.SrcAS) != f.SrcAS || f.SrcAS >= 65536 && r.SrcAS != 23456) {
			t.Fatalf("%s: record %+v of flow %+v", e.Name, r, f)
		}
	}
}

// record is a decoded data record: its fields by element.
type record map[ipfix.ElementID][]byte

func (r record) uint(enterprise uint32, id uint16) uint64 {
	var v uint64
	for _, c := range r[ipfix.ElementID{Enterprise: enterprise, ID: id}] {
		v = v<<8 | uint64(c)
	}
	return v
}

func (r record) addr(id uint16) netip.Addr {
	a, _ := netip.AddrFromSlice(r[ipfix.ElementID{ID: id}])
	return a
}

// decode reads the sets of a message with the templates learnt so far and gives the data records by template.
func decode(t *testing.T, body []byte, templates map[uint16]*ipfix.Template, v9 bool) (data, options []record, templateRecords int) {
	t.Helper()
	sets := ipfix.SetsOf(body)
	var set ipfix.Set
	for sets.Next(&set) {
		learn := func(tmpl *ipfix.Template) {
			templates[tmpl.ID] = tmpl.Clone()
			templateRecords++
		}
		var err error
		switch {
		case v9 && set.ID < 2:
			err = netflow.ParseV9Templates(set, learn)
		case !v9 && (set.ID == 2 || set.ID == 3):
			err = ipfix.ParseTemplates(set, learn)
		default:
			tmpl := templates[set.ID]
			if tmpl == nil {
				t.Fatalf("set %d without a template", set.ID)
			}
			var records ipfix.Records
			records.Reset(tmpl, set.Body)
			for rec := records.Next(); rec != nil; rec = records.Next() {
				r := record{}
				at := 0
				for i, f := range tmpl.Fields {
					if tmpl.Variable {
						r[f.ElementID] = records.Value(rec, i)
					} else {
						r[f.ElementID] = rec[at:][:f.Length]
						at += int(f.Length)
					}
				}
				if tmpl.Options {
					options = append(options, r)
				} else {
					data = append(data, r)
				}
			}
			err = records.Err()
		}
		if err != nil {
			t.Fatalf("set %d: %v", set.ID, err)
		}
		if len(set.Body)%4 != 0 {
			t.Errorf("set %d is not padded: %d octets", set.ID, len(set.Body))
		}
	}
	if err := sets.Err(); err != nil {
		t.Fatal(err)
	}
	return data, options, templateRecords
}

// families sorts flows as they stand in datagrams with templates: IPv4 first.
func families(flows []traffic.Flow) []traffic.Flow {
	flows = slices.Clone(flows)
	slices.SortStableFunc(flows, func(a, b traffic.Flow) int {
		return a.Src.BitLen() - b.Src.BitLen()
	})
	return flows
}

// checkRecord compares what all records with templates have.
func checkRecord(t *testing.T, r record, f *traffic.Flow) {
	t.Helper()
	src, dst := uint16(8), uint16(12)
	if f.Src.Is6() {
		src, dst = 27, 28
	}
	if r.addr(src) != f.Src || r.addr(dst) != f.Dst || r.uint(0, 7) != uint64(f.SrcPort) || r.uint(0, 11) != uint64(f.DstPort) ||
		r.uint(0, 4) != uint64(f.Proto) || r.uint(0, 5) != uint64(f.TOS) || r.uint(0, 1) != f.Bytes || r.uint(0, 2) != f.Packets ||
		r.uint(0, 10) != uint64(f.In) || r.uint(0, 14) != uint64(f.Out) {
		t.Fatalf("record %v of flow %+v", r, f)
	}
}

func TestNetFlow9(t *testing.T) {
	e := exporter(t, "core-1")
	templates := map[uint16]*ipfix.Template{}
	var flows, optionsRecords uint64
	for n := range 100 {
		now := start.Add(time.Duration(n) * 3 * time.Second)
		b := e.Next(now, nil)
		h, body, err := netflow.ParseV9Header(b)
		if err != nil {
			t.Fatal(err)
		}
		if h.Sequence != uint32(n) || h.SourceID != e.Domain || h.UnixSecs != uint32(now.Unix()) {
			t.Fatalf("header %+v of datagram %d", h, n)
		}
		data, options, templateRecords := decode(t, body, templates, true)
		if int(h.Count) != len(data)+len(options)+templateRecords {
			t.Fatalf("count %d, but %d+%d+%d records", h.Count, len(data), len(options), templateRecords)
		}
		boot := now.Add(-time.Duration(h.SysUptime) * time.Millisecond)
		want := families(e.Flows())
		if len(data) != len(want) || len(data) < 5 || len(b) > 1400 {
			t.Fatalf("%d records of %d flows in %d octets", len(data), len(want), len(b))
		}
		for i, r := range data {
			f := &want[i]
			checkRecord(t, r, f)
			at := boot.Add(time.Duration(r.uint(0, 22)) * time.Millisecond)
			if at.Sub(f.Start).Abs() > 2*time.Millisecond || r.uint(0, 16) != uint64(f.SrcAS) || r.uint(0, 48) != 7 {
				t.Fatalf("record %v of flow %+v", r, f)
			}
		}
		for _, r := range options {
			if r.uint(0, 48) == 7 && r.uint(0, 50) != uint64(e.SamplingRate) {
				t.Errorf("sampler %v", r)
			}
			if index := r.uint(netflow.ScopeEnterprise, netflow.ScopeInterface); index > 0 {
				name := strings.TrimRight(string(r[ipfix.ElementID{ID: 82}]), "\x00")
				if want := e.Interfaces[index-1].Name; name != want {
					t.Errorf("interface %d is %q, want %q", index, name, want)
				}
			}
		}
		flows += uint64(len(data))
		optionsRecords += uint64(len(options))
		if n%20 == 0 && templateRecords != 4 || n%20 != 0 && templateRecords != 0 {
			t.Fatalf("%d templates in datagram %d", templateRecords, n)
		}
	}
	if s := e.Stats(); s.Flows != flows || s.Options != optionsRecords || optionsRecords != 5*(1+uint64(len(e.Interfaces))) {
		t.Errorf("%+v, but %d flows and %d options records came out", s, flows, optionsRecords)
	}
}

func TestIPFIX(t *testing.T) {
	for _, device := range []string{"border-1", "fw-1", "probe-1"} {
		t.Run(device, func(t *testing.T) {
			e := exporter(t, device)
			templates := map[uint16]*ipfix.Template{}
			var sequence uint32
			nat := 0
			seen := map[ipfix.ElementID]bool{}
			for n := range 100 {
				now := start.Add(time.Duration(n) * 3 * time.Second)
				b := e.Next(now, nil)
				h, body, err := ipfix.ParseHeader(b)
				if err != nil {
					t.Fatal(err)
				}
				if int(h.Length) != len(b) || h.Sequence != sequence || len(b) > 1450 {
					t.Fatalf("header %+v of message %d with %d octets, want sequence %d", h, n, len(b), sequence)
				}
				data, options, _ := decode(t, body, templates, false)
				sequence += uint32(len(data) + len(options))
				want := families(e.Flows())
				for i, r := range data {
					for id := range r {
						seen[id] = true
					}
					if i < len(want) {
						checkIPFIX(t, device, r, &want[i])
						continue
					}
					nat++
					if event := r.uint(0, 230); event != 4 && event != 5 || !r.addr(225).Is4() {
						t.Fatalf("translation %v", r)
					}
				}
				for _, r := range options {
					for id := range r {
						seen[id] = true
					}
				}
			}
			if s := e.Stats(); s.Flows+s.Options != uint64(sequence) || device != "fw-1" && s.Options == 0 {
				t.Errorf("%+v, sequence %d", s, sequence)
			}
			if device == "fw-1" && nat < 50 {
				t.Errorf("%d address translations", nat)
			}
			for id := range seen {
				if _, ok := ipfix.LookupElement(id.Enterprise, id.ID); !ok {
					t.Errorf("element %v has no name", id)
				}
			}
		})
	}
}

func checkIPFIX(t *testing.T, device string, r record, f *traffic.Flow) {
	t.Helper()
	checkRecord(t, r, f)
	ok := false
	switch device {
	case "border-1":
		ok = r.uint(0, 152) == uint64(f.Start.UnixMilli()) && r.uint(0, 153) == uint64(f.End.UnixMilli()) && r.uint(0, 302) == 7 && r.uint(0, 17) == uint64(f.DstAS)
	case "fw-1":
		end := int64(r.uint(0, 155)>>32) - 2208988800
		ok = r.uint(29305, 1) == f.ReverseBytes && r.uint(29305, 2) == f.ReversePackets && r.uint(29305, 6) == uint64(f.ReverseTCPFlags) && end == f.End.Unix()
	case "probe-1":
		sni := string(r[ipfix.ElementID{Enterprise: 35632, ID: 188}])
		ok = r.uint(0, 23) == f.ReverseBytes && r.uint(35632, 118) == uint64(f.L7) && (f.Service != "https" || sni == f.Server) && r.uint(0, 150) == uint64(f.Start.Unix())
	}
	if !ok {
		t.Fatalf("record %v of flow %+v", r, f)
	}
}

func TestSFlow(t *testing.T) {
	for _, device := range []string{"access-1", "access-2"} {
		t.Run(device, func(t *testing.T) {
			e := exporter(t, device)
			var d sflow.Datagram
			var h packet.Headers
			var counters []sflow.Value
			sequences := map[uint32]uint32{}
			var flows, counterSamples uint64
			for n := range 100 {
				b := e.Next(start.Add(time.Duration(n)*5*time.Second), nil)
				if len(b) > 1450 {
					t.Fatalf("datagram of %d octets", len(b))
				}
				if err := d.Decode(b); err != nil {
					t.Fatal(err)
				}
				if d.Agent != e.Addr || d.Sequence != uint32(n+1) {
					t.Fatalf("agent %v, sequence %d", d.Agent, d.Sequence)
				}
				i := 0
				for s := d.Next(); s != nil; s = d.Next() {
					if s.Has&sflow.HasHeader == 0 {
						counterSamples++
						for _, r := range s.Records {
							var ok bool
							if counters, _, ok = sflow.AppendCounters(counters[:0], r); !ok {
								t.Fatalf("counters of %+v", r)
							}
						}
						continue
					}
					f := &e.Flows()[i]
					i++
					flows++
					sequences[s.SourceIndex]++
					if s.Sequence != sequences[s.SourceIndex] || s.SourceIndex != f.In || s.SamplingRate != e.SamplingRate || s.Pool != s.Sequence*e.SamplingRate {
						t.Fatalf("sample %+v of flow %+v", s, f)
					}
					if err := h.Decode(packet.LinkEthernet, s.Header.Data); err != nil {
						t.Fatalf("%v in a header of flow %+v", err, f)
					}
					if h.IP.SrcAddr() != f.Src || h.IP.DstAddr() != f.Dst || h.IP.Proto != f.Proto || h.VLANCount != 1 || h.VLANs[0].ID() != f.VLAN ||
						s.Switch.SrcVLAN != uint32(f.VLAN) || s.Header.FrameLength < 64 || s.Header.FrameLength > 1522 {
						t.Fatalf("sample %+v, headers %+v of flow %+v", s, h, f)
					}
					if f.Proto == 6 || f.Proto == 17 {
						if h.IP.SrcPort != f.SrcPort || h.IP.DstPort != f.DstPort {
							t.Fatalf("ports %d and %d of flow %+v", h.IP.SrcPort, h.IP.DstPort, f)
						}
					}
					if want := int(f.Bytes/f.Packets) + 18 + 4; int(s.Header.FrameLength) != max(want, 64) {
						t.Fatalf("frame of %d octets, want %d", s.Header.FrameLength, want)
					}
				}
				if err := d.Err(); err != nil || d.BadRecords+d.BadSamples > 0 {
					t.Fatalf("datagram %d: %v, %d bad samples, %d bad records", n, err, d.BadSamples, d.BadRecords)
				}
			}
			if s := e.Stats(); s.Flows != flows || s.Counters != counterSamples || counterSamples != 20 {
				t.Errorf("%+v, but %d flow and %d counter samples came out", s, flows, counterSamples)
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	for _, name := range []string{"core-1", "border-1", "fw-1", "probe-1", "access-1", "branch-1"} {
		b.Run(name, func(b *testing.B) {
			e := exporter(b, name)
			buf := make([]byte, 0, 1500)
			now := start
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Millisecond)
				buf = e.Next(now, buf[:0])
			}
			b.SetBytes(int64(e.Stats().Bytes / e.Stats().Datagrams))
		})
	}
}
