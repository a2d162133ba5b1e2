package sflow_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/tributary-net/tributary/packet"
	"github.com/tributary-net/tributary/sflow"
)

var (
	agent = netip.MustParseAddr("192.0.2.1")
	hop4  = netip.MustParseAddr("198.51.100.7")
	hop6  = netip.MustParseAddr("2001:db8::7")
)

// frame is a TCP segment in IPv4 in Ethernet, of n bytes.
func frame(n int) []byte {
	b := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}
	b = append(b, 0x45, 0, 0x05, 0xdc, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 10, 192, 0, 2, 20)
	b = append(b, 0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0x10, 0, 0, 0, 0, 0)
	return append(b, make([]byte, n-len(b))...)
}

// flowSamples is a datagram of n ordinary flow samples.
func flowSamples(n int) []byte {
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: agent, Sequence: 7, Uptime: 1000})
	s := sflow.Sample{
		Format: sflow.FormatFlow, SourceIndex: 3, SamplingRate: 1024, Pool: 1 << 20,
		Input: sflow.Interface{Value: 3}, Output: sflow.Interface{Value: 4},
	}
	for range n {
		s.Sequence++
		e.BeginSample(&s)
		e.Header(1, 1518, 4, frame(128))
		e.Switch(sflow.Switch{SrcVLAN: 10, DstVLAN: 20})
	}
	return e.Finish()
}

func TestRoundTripOfFlows(t *testing.T) {
	gateway := sflow.Gateway{
		NextHop: hop6, AS: 64500, SrcAS: 64501, SrcPeerAS: 64502, Path: []uint32{1, 2, 3, 4},
		Segments: []sflow.PathSegment{{2, 3}, {1, 1}}, Communities: []uint32{0xfde80001, 5}, LocalPref: 100,
	}
	user := sflow.User{SrcCharset: 106, Src: []byte("alice"), DstCharset: 106, Dst: []byte("bob")}
	ip4 := sflow.SampledIP{Length: 40, Proto: 6, Src: agent, Dst: hop4, SrcPort: 1, DstPort: 2, TCPFlags: 3, TOS: 4}
	ip6 := sflow.SampledIP{Length: 60, Proto: 17, Src: hop6, Dst: netip.MustParseAddr("2001:db8::8"), SrcPort: 5, DstPort: 6}
	eth := sflow.SampledEthernet{Length: 64, Src: [6]byte{1, 2, 3, 4, 5, 6}, Dst: [6]byte{6, 5, 4, 3, 2, 1}, Type: 0x806}
	for _, format := range []sflow.Format{sflow.FormatFlow, sflow.FormatExpandedFlow, sflow.FormatDiscarded} {
		for _, ip := range []*sflow.SampledIP{&ip4, &ip6} {
			var e sflow.Encoder
			e.Start([]byte("before"), sflow.Datagram{Agent: agent, SubAgent: 1, Sequence: 2, Uptime: 3})
			sent := sflow.Sample{
				Format: format, Sequence: 9, SourceType: 1, SourceIndex: 77, SamplingRate: 512, Pool: 5000, Drops: 6,
				Input: sflow.Interface{Value: 11}, Output: sflow.Interface{Format: 2, Value: 3}, Reason: 258,
			}
			if format == sflow.FormatDiscarded {
				sent.Output.Format = 0
			}
			e.BeginSample(&sent)
			e.Header(1, 1518, 4, frame(99))
			e.Ethernet(&eth)
			e.IP(ip)
			e.Switch(sflow.Switch{1, 2, 3, 4})
			e.Router(sflow.Router{NextHop: hop4, SrcMask: 24, DstMask: 16})
			e.Gateway(&gateway)
			e.User(&user)
			e.Record(4413<<12|9, []byte("vendor"))
			e.Words(sflow.FormatEgressQueue, 42)
			e.Words(sflow.FormatNATPort, 8, 9)
			sent.Sequence++
			e.BeginSample(&sent)
			size := e.Len()
			b := e.Finish()
			if string(b[:6]) != "before" || len(b) != size+6 {
				t.Fatalf("%d bytes after %q, want %d", len(b)-6, b[:6], size)
			}
			var d sflow.Datagram
			if err := d.Decode(b[6:]); err != nil {
				t.Fatal(err)
			}
			if d.Agent != agent || d.SubAgent != 1 || d.Sequence != 2 || d.Uptime != 3 || d.Samples != 2 {
				t.Errorf("%+v", d)
			}
			s := d.Next()
			if s == nil {
				t.Fatal("no sample")
			}
			wantKind := sflow.Flow
			if format == sflow.FormatDiscarded {
				wantKind = sflow.Drop
				sent.SamplingRate, sent.Pool = 0, 0
			} else {
				sent.Reason = 0
			}
			if s.Kind != wantKind || s.Format != format || s.Sequence != 9 || s.SourceType != 1 || s.SourceIndex != 77 ||
				s.SamplingRate != sent.SamplingRate || s.Pool != sent.Pool || s.Drops != 6 || s.Input != sent.Input ||
				s.Output != sent.Output || s.Reason != sent.Reason || s.Truncated {
				t.Errorf("%v: %+v", format, s)
			}
			want := sflow.HasHeader | sflow.HasEthernet | sflow.HasIP | sflow.HasSwitch | sflow.HasRouter |
				sflow.HasGateway | sflow.HasUser | sflow.HasEgressQueue | sflow.HasNATPort
			if s.Has != want || len(s.Records) != 10 {
				t.Errorf("%v: has %b, want %b; %d records", format, s.Has, want, len(s.Records))
			}
			if h := s.Header; h.Protocol != 1 || h.FrameLength != 1518 || h.Stripped != 4 || !bytes.Equal(h.Data, frame(99)) {
				t.Errorf("header %+v", h)
			}
			if s.Ethernet != eth || s.IP != *ip || s.Switch != (sflow.Switch{1, 2, 3, 4}) || s.EgressQueue != 42 ||
				s.NATPort != (sflow.NATPort{8, 9}) || s.Router != (sflow.Router{hop4, 24, 16}) {
				t.Errorf("%+v", s)
			}
			if !reflect.DeepEqual(s.Gateway, gateway) || !reflect.DeepEqual(s.User, user) {
				t.Errorf("gateway %+v, user %+v", s.Gateway, s.User)
			}
			if r := s.Records[7]; r.Format.Enterprise() != 4413 || r.Format.Number() != 9 || string(r.Data) != "vendor\x00\x00" {
				t.Errorf("%+v", r)
			}
			if s = d.Next(); s == nil || s.Sequence != 10 || s.Has != 0 || len(s.Records) != 0 {
				t.Errorf("second sample: %+v", s)
			}
			if d.Next() != nil || d.Err() != nil || d.BadRecords != 0 || d.BadSamples != 0 {
				t.Errorf("%v, %+v", d.Err(), d)
			}
		}
	}
}

func TestRoundTripOfCounters(t *testing.T) {
	for _, format := range []sflow.Format{sflow.FormatCounters, sflow.FormatExpandedCounters} {
		var e sflow.Encoder
		e.Start(nil, sflow.Datagram{Agent: hop6})
		e.BeginSample(&sflow.Sample{Format: format, Sequence: 5, SourceType: 2, SourceIndex: 8})
		if !e.Counters(1, 8, 6, 10e9, 1, 3, 1<<40, 7) || !e.Counters(1001, 10, 20, 30, 1<<33, 1<<32) ||
			!e.Counters(7, 0x0102030405060708>>16) {
			t.Error("counters that are not known")
		}
		if e.Counters(999) || e.Counters(2000) {
			t.Error("counters nobody has heard of")
		}
		var d sflow.Datagram
		if err := d.Decode(e.Finish()); err != nil || d.Agent != hop6 {
			t.Fatal(err, d.Agent)
		}
		s := d.Next()
		if s == nil || s.Kind != sflow.Counters || s.Sequence != 5 || s.SourceType != 2 || s.SourceIndex != 8 || len(s.Records) != 3 {
			t.Fatalf("%+v", s)
		}
		list, left, ok := sflow.AppendCounters(nil, s.Records[0])
		if !ok || len(left) > 0 || len(list) != 19 || list[5].Name != "ifInOctets" || list[5].Num != 1<<40 || list[5].Unknown() ||
			list[18].Name != "ifPromiscuousMode" || !list[18].Unknown() {
			t.Errorf("%v %v", ok, list)
		}
		list, _, _ = sflow.AppendCounters(list[:0], s.Records[1])
		if len(list) != 5 || list[3].Name != "total_memory" || list[3].Num != 1<<33 {
			t.Errorf("%v", list)
		}
		list, _, _ = sflow.AppendCounters(list[:0], s.Records[2])
		if len(list) != 12 || list[0].Num != 0x010203040506 {
			t.Errorf("%v", list)
		}
		if sflow.CounterName(1) != "generic_interface" || sflow.CounterName(4413<<12|9) != "" {
			t.Error("names of counters")
		}
	}
	load := binary.BigEndian.AppendUint32(nil, 0x3fc00000)
	list, left, ok := sflow.AppendCounters(nil, sflow.Record{Format: 2003, Data: append(load, 1, 2, 3)})
	if !ok || len(list) != 1 || list[0].Kind != sflow.Float || list[0].Float64() != 1.5 || list[0].Name != "load_one" || !bytes.Equal(left, []byte{1, 2, 3}) {
		t.Errorf("%v %v %x", ok, list, left)
	}
	if (sflow.Value{Num: 3}).Float64() != 3 || (sflow.Value{Kind: sflow.Int, Num: 1<<64 - 2}).Float64() != -2 {
		t.Error("a counted number as float")
	}
}

// Other records that are decoded, from their bytes.
func TestFlowRecords(t *testing.T) {
	words := func(v ...uint32) []byte {
		var b []byte
		for _, x := range v {
			b = binary.BigEndian.AppendUint32(b, x)
		}
		return b
	}
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: agent})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatDiscarded})
	e.Record(sflow.FormatMPLS, words(1, 0xc6336407, 2, 0x64140, 0xc8140, 1, 0x12c140))
	e.Record(sflow.FormatNAT, words(1, 0xc0000201, 1, 0xc6336407))
	e.Record(sflow.FormatACL, append(words(5, 4), append([]byte("acl1"), words(2)...)...))
	e.Record(sflow.FormatFunction, append(words(6), []byte("symbol\x00\x00")...))
	e.Record(sflow.FormatRouter, words(0, 24, 25)) // no next hop
	var d sflow.Datagram
	if err := d.Decode(e.Finish()); err != nil {
		t.Fatal(err)
	}
	s := d.Next()
	if s == nil || s.Has != sflow.HasMPLS|sflow.HasNAT|sflow.HasACL|sflow.HasFunction|sflow.HasRouter || d.BadRecords != 0 {
		t.Fatalf("%+v, %d bad records", s, d.BadRecords)
	}
	if s.MPLS.NextHop != hop4 || !slices.Equal(s.MPLS.In, []uint32{0x64140, 0xc8140}) || !slices.Equal(s.MPLS.Out, []uint32{0x12c140}) {
		t.Errorf("%+v", s.MPLS)
	}
	if s.NAT != (sflow.NAT{Src: agent, Dst: hop4}) || s.ACL.Number != 5 || string(s.ACL.Name) != "acl1" || s.ACL.Direction != 2 ||
		string(s.Function) != "symbol" || s.Router.NextHop.IsValid() || s.Router.DstMask != 25 {
		t.Errorf("%+v", s)
	}
}

func TestInterfaces(t *testing.T) {
	if i, ok := (sflow.Interface{Value: 5}).Index(); i != 5 || !ok {
		t.Error(i, ok)
	}
	for _, i := range []sflow.Interface{{}, {Format: 1, Value: 2}, {Format: 2, Value: 2}} {
		if n, ok := i.Index(); ok {
			t.Errorf("%+v: index %d", i, n)
		}
	}
	if r := (sflow.Interface{Format: sflow.InterfaceDiscard, Value: 1}).Raw(); r != 0x40000001 {
		t.Errorf("%#x", r)
	}
	for r, name := range map[sflow.DropReason]string{1: "host_unreachable", 15: "precedence_cutoff", 16: "16", 255: "255", 256: "unknown", 303: "split_horizon", 304: "304", 1 << 31: "2147483648"} {
		if r.String() != name {
			t.Errorf("reason %d is %q, want %q", uint32(r), r, name)
		}
	}
	for k, name := range map[sflow.Kind]string{sflow.Flow: "flow", sflow.Counters: "counters", sflow.Drop: "drop", sflow.Other: "other"} {
		if k.String() != name {
			t.Errorf("kind %d is %q", k, k)
		}
	}
	for p, link := range map[uint32]packet.LinkType{1: packet.LinkEthernet, 7: packet.LinkPPP, 11: packet.LinkIPv4, 12: packet.LinkIPv6, 13: packet.LinkMPLS} {
		if got, ok := (&sflow.SampledHeader{Protocol: p}).Link(); !ok || got != link {
			t.Errorf("protocol %d: %v", p, got)
		}
	}
	if _, ok := (&sflow.SampledHeader{Protocol: 5}).Link(); ok {
		t.Error("frame relay is not known")
	}
}

func decodeAll(b []byte) (samples []string, d sflow.Datagram, err error) {
	if err = d.Decode(b); err != nil {
		return nil, d, err
	}
	for s := d.Next(); s != nil; s = d.Next() {
		samples = append(samples, fmt.Sprint(s.Kind, s.Sequence, len(s.Records), s.Truncated))
	}
	return samples, d, d.Err()
}

// A datagram cut anywhere gives the samples before the cut.
func TestTruncated(t *testing.T) {
	b := flowSamples(3)
	whole, _, err := decodeAll(b)
	if err != nil || len(whole) != 3 {
		t.Fatal(whole, err)
	}
	for n := range len(b) {
		got, _, err := decodeAll(b[:n])
		if !errors.Is(err, sflow.ErrTruncated) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		k := len(got)
		if k > 0 && got[k-1] != whole[k-1] {
			k-- // the last one may lack records, and then says so
		}
		if !slices.Equal(got[:k], whole[:k]) {
			t.Fatalf("%d bytes: %v", n, got)
		}
	}
}

// A sample or record that is wrong costs nothing but itself.
func TestDamageIsContained(t *testing.T) {
	const head, sample = 28, 8 + 32 + 8 + 144 + 24
	at := func(n, off int) int { return head + n*sample + off }
	change := func(off int, v uint32) []byte {
		b := flowSamples(3)
		if len(b) != at(3, 0) {
			t.Fatalf("%d bytes, want %d", len(b), at(3, 0))
		}
		binary.BigEndian.PutUint32(b[off:], v)
		return b
	}
	check := func(name string, b []byte, samples []string, badSamples, badRecords int, want error) {
		t.Helper()
		got, d, err := decodeAll(b)
		if !slices.Equal(got, samples) || d.BadSamples != badSamples || d.BadRecords != badRecords || !errors.Is(err, want) {
			t.Errorf("%s: %v, %d bad samples, %d bad records, %v", name, got, d.BadSamples, d.BadRecords, err)
		}
	}
	all := []string{"flow 1 2 false", "flow 2 2 false", "flow 3 2 false"}
	check("untouched", flowSamples(3), all, 0, 0, nil)
	check("a sample of unknown format", change(at(1, 0), 99), []string{all[0], "other 0 1 false", all[2]}, 0, 0, nil)
	check("a record of unknown format", change(at(1, 40), 999<<12), all, 0, 0, nil)
	check("too many records", change(at(1, 36), 1e9), []string{all[0], "flow 2 2 true", all[2]}, 0, 1, nil)
	check("too few records", change(at(1, 36), 1), []string{all[0], "flow 2 1 false", all[2]}, 0, 0, nil)
	check("a record too long", change(at(1, 44), 1<<31), []string{all[0], "flow 2 0 true", all[2]}, 0, 1, nil)
	check("a header too long", change(at(1, 48+12), 1<<31), all, 0, 0, nil)
	check("a sample too long", change(at(1, 4), 1<<31), []string{all[0], "flow 2 2 true"}, 0, 0, sflow.ErrTruncated)
	check("too many samples", change(24, 1<<31), all, 0, 0, sflow.ErrTruncated)
	check("no samples", change(24, 0), nil, 0, 0, nil)
	check("version 4", change(0, 4), nil, 0, 0, sflow.ErrVersion)
	check("an address of type 3", change(4, 3), nil, 0, 0, sflow.ErrMalformed)

	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, Sequence: 1})
	e.Record(sflow.FormatIPv4, make([]byte, 12))                                                // too short
	e.Record(sflow.FormatRouter, []byte{0, 0, 0, 9, 0, 0, 0, 0})                                // no such address
	e.Record(sflow.FormatGateway, append(make([]byte, 16), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1)) // endless path
	e.Switch(sflow.Switch{SrcVLAN: 5})
	damaged := e.Finish()
	check("three bad records", damaged, []string{"flow 1 4 false"}, 0, 3, nil)
	var d sflow.Datagram
	if err := d.Decode(damaged); err != nil || d.Agent.IsValid() {
		t.Errorf("%v, agent %v", err, d.Agent)
	}
	if s := d.Next(); s == nil || s.Has != sflow.HasSwitch || s.Switch.SrcVLAN != 5 {
		t.Errorf("%+v", s)
	}
}

func TestSamplesDoNotAllocate(t *testing.T) {
	b := flowSamples(7)
	var d sflow.Datagram
	var h packet.Headers
	if n := testing.AllocsPerRun(100, func() {
		if d.Decode(b) != nil {
			t.Fatal("not decoded")
		}
		for s := d.Next(); s != nil; s = d.Next() {
			_ = h.Decode(packet.LinkEthernet, s.Header.Data)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDatagram(b *testing.B) {
	data := flowSamples(7)
	run := func(b *testing.B, headers bool) {
		var d sflow.Datagram
		var h packet.Headers
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if err := d.Decode(data); err != nil {
				b.Fatal(err)
			}
			n := 0
			for s := d.Next(); s != nil; s = d.Next() {
				if headers {
					if err := h.Decode(packet.LinkEthernet, s.Header.Data); err != nil {
						b.Fatal(err)
					}
				}
				n++
			}
			if n != 7 {
				b.Fatal(n)
			}
		}
	}
	b.Run("samples", func(b *testing.B) { run(b, false) })
	b.Run("samples-and-headers", func(b *testing.B) { run(b, true) })
}

func FuzzDecode(f *testing.F) {
	f.Add(flowSamples(2))
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: hop6})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatExpandedFlow})
	e.Gateway(&sflow.Gateway{NextHop: hop4, Path: []uint32{1, 2}, Communities: []uint32{3}})
	e.User(&sflow.User{Src: []byte("alice")})
	e.Words(sflow.FormatMPLS, 1, 0xc6336407, 2, 0x64140, 0xc8140, 1, 0x12c140)
	e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters})
	e.Counters(1, 1, 2, 3)
	e.Counters(2003)
	e.BeginSample(&sflow.Sample{Format: sflow.FormatDiscarded, Reason: 258})
	e.Words(sflow.FormatEgressQueue, 1)
	f.Add(e.Finish())
	var d sflow.Datagram
	var h packet.Headers
	f.Fuzz(func(t *testing.T, b []byte) {
		survive(t, &d, &h, b)
	})
}
