package collect_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
)

const exportNs int = exportSecs * 1e9

// Three fields that most tests do with.
var (
	flowFields = []field{{id: 8, length: 4}, {id: 12, length: 4}, {id: 1, length: 4}}
	flowRecord = cat(ip("10.0.0.1"), ip("10.0.0.2"), uint32(1500))
)

// fixedRecord is a record of v1, v5 or v7, first and last in sysUptime.
func fixedRecord(version uint16, first, last uint32) []byte {
	b := cat(ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.254"), uint16(3), uint16(4), uint32(10), uint32(1500), first, last, uint16(40000), uint16(443))
	switch version {
	case 1:
		return append(b, cat(uint16(0), uint8(6), uint8(0xb8), uint8(0x1b), make([]byte, 7))...)
	case 5:
		return append(b, cat(uint8(0), uint8(0x1b), uint8(6), uint8(0xb8), uint16(64500), uint16(64501), uint8(24), uint8(16), uint16(0))...)
	}
	return append(b, cat(uint8(0), uint8(0x1b), uint8(6), uint8(0xb8), uint16(64500), uint16(64501), uint8(24), uint8(16), uint16(0), ip("10.0.0.253"))...)
}

func fixedHeader(version, count uint16, uptime, sequence uint32) []byte {
	b := cat(version, count, uptime, uint32(exportSecs), uint32(250_000_000))
	switch version {
	case 5:
		return append(b, cat(sequence, uint8(1), uint8(2), uint16(1<<14|100))...)
	case 7:
		return append(b, cat(sequence, uint32(0))...)
	}
	return b
}

func TestFixedVersions(t *testing.T) {
	for _, version := range []uint16{1, 5, 7} {
		c := newCollector(t)
		// sysUptime went over 2^32 between the start of the flow and its export.
		const uptime = 5000
		var start uint32
		start -= 10_000
		b := append(fixedHeader(version, 2, uptime, 77), fixedRecord(version, start, 4000)...)
		// The second ended after the header was stamped.
		b = append(b, fixedRecord(version, 4999, 5003)...)
		r := c.want(2, b)
		exported := exportNs + 250_000_000
		check(t, r[0], values{
			flow.SrcAddr: ip("10.0.0.1"), flow.DstAddr: ip("10.0.0.2"), flow.NextHop: ip("10.0.0.254"),
			flow.InIf: 3, flow.OutIf: 4, flow.Packets: 10, flow.Bytes: 1500, flow.SrcPort: 40000, flow.DstPort: 443,
			flow.Proto: 6, flow.TCPFlags: 0x1b, flow.IPTos: 0xb8, flow.Etype: flow.EtypeIPv4,
			flow.TimeFlowStart: exported - 15_000_000_000, flow.TimeFlowEnd: exported - 1_000_000_000,
			flow.TimeExport: exported, flow.TimeReceived: int(received.UnixNano()), flow.SamplerAddress: exporter.Addr(),
		})
		check(t, r[1], values{flow.TimeFlowStart: exported - 1_000_000, flow.TimeFlowEnd: exported + 3_000_000})
		switch version {
		case 1:
			check(t, r[0], values{flow.Type: 0, flow.FlowSource: 1, flow.SequenceNum: 0, flow.SamplingRate: 0, flow.SrcAS: 0})
		case 5:
			check(t, r[0], values{
				flow.Type: 2, flow.FlowSource: 2, flow.SequenceNum: 77, flow.SamplingRate: 100, flow.ObservationDomainID: 0x102,
				flow.SrcAS: 64500, flow.DstAS: 64501, flow.SrcNet: 24, flow.DstNet: 16,
			})
		case 7:
			check(t, r[0], values{flow.Type: 0, flow.FlowSource: 3, flow.SequenceNum: 77, flow.SrcAS: 64500, flow.DstNet: 16})
		}

		// A count that is too great costs nothing that is there.
		got, err := c.decode(exporter, append(fixedHeader(version, 30, uptime, 79), fixedRecord(version, 1, 2)...))
		if !errors.Is(err, ipfix.ErrTruncated) || len(got) != 1 {
			t.Errorf("v%d of 1 record that announces 30: %d records, %v", version, len(got), err)
		}
		if m := c.Stats().Total.Malformed[collect.ReasonTruncated]; m != 1 {
			t.Errorf("v%d: %d datagrams counted as truncated, want 1", version, m)
		}
	}
}

func TestV9Record(t *testing.T) {
	c := newCollector(t)
	fields := []field{
		{id: 8, length: 4},
		{id: 12, length: 4},
		{id: 15, length: 4},
		{id: 10, length: 2},
		{id: 14, length: 4},
		{id: 2, length: 3},
		{id: 1, length: 8},
		{id: 22, length: 4},
		{id: 21, length: 4},
		{id: 7, length: 2},
		{id: 11, length: 2},
		{id: 6, length: 1},
		{id: 4, length: 1},
		{id: 5, length: 1},
		{id: 61, length: 1},
		{id: 9, length: 1},
		{id: 13, length: 1},
		{id: 16, length: 4},
		{id: 17, length: 2},
		{id: 89, length: 1},
		{id: 58, length: 2},
		{id: 59, length: 2},
		{id: 56, length: 6},
		{id: 57, length: 6},
		{id: 32, length: 2},
		{id: 12345, length: 2},
		{id: 210, length: 3},
	}
	var first uint32
	first -= 1000
	rec := cat(ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.254"), uint16(3), uint32(4), []byte{0, 1, 2}, uint64(1<<40),
		first, uint32(500), uint16(1), uint16(2), uint8(0x12), uint8(17), uint8(4), uint8(1), uint8(24), uint8(16), uint32(4_200_000_000), uint16(64501),
		uint8(0x40), uint16(100), uint16(200), []byte{2, 0, 0, 0, 0, 1}, []byte{2, 0, 0, 0, 0, 2}, uint16(0x0301), uint16(0xabcd), []byte{0, 0, 0})
	r := c.want(2, v9{uptime: 2000, sequence: 5, source: 9}.with(set(0, template(256, fields...)), set(256, rec, rec, []byte{0, 0, 0})))[1]
	check(t, r, values{
		flow.Type: 3, flow.FlowSource: 4, flow.SequenceNum: 5, flow.ObservationDomainID: 9, flow.TemplateID: 256,
		flow.SrcAddr: ip("10.0.0.1"), flow.DstAddr: ip("10.0.0.2"), flow.NextHop: ip("10.0.0.254"), flow.InIf: 3, flow.OutIf: 4,
		flow.Packets: 258, flow.Bytes: 1 << 40, flow.SrcPort: 1, flow.DstPort: 2, flow.TCPFlags: 0x12, flow.Proto: 17, flow.IPTos: 4,
		flow.FlowDirection: 1, flow.SrcNet: 24, flow.DstNet: 16, flow.SrcAS: 4_200_000_000, flow.DstAS: 64501, flow.ForwardingStatus: 0x40,
		flow.SrcVLAN: 100, flow.VLANID: 100, flow.DstVLAN: 200, flow.SrcMAC: 0x020000000001, flow.DstMAC: 0x020000000002, flow.PostDstMAC: 0x020000000002,
		flow.ICMPType: 3, flow.ICMPCode: 1, flow.Etype: flow.EtypeIPv4,
		flow.TimeFlowStart: exportNs - 3_000_000_000, flow.TimeFlowEnd: exportNs - 1_500_000_000, flow.TimeExport: exportNs,
	})
	if e := r.Elements(); len(e) != 1 || e[0].ID != 12345 || string(e[0].Value) != "\xab\xcd" {
		t.Errorf("elements are %v, want 12345 alone: padding is none", e)
	}
}

// TestTimes has all the ways in which records tell time.
func TestTimes(t *testing.T) {
	const (
		ntp    = 2_208_988_800
		start  = exportNs - 60_000_000_000
		end    = exportNs - 10_000_000_000
		second = exportSecs - 60
	)
	at := func(id, length uint16, v uint64) any { return [3]uint64{uint64(id), uint64(length), v} }
	half := uint64(second+ntp)<<32 | 1<<31
	tests := []struct {
		name       string
		version    int
		fields     []any
		start, end int
	}{
		{"seconds", 10, []any{at(150, 4, second), at(151, 4, second+50)}, start, end},
		{"seconds in v9", 9, []any{at(150, 4, second), at(151, 4, second+50)}, start, end},
		{"milliseconds", 10, []any{at(152, 8, second*1000+5), at(153, 8, second*1000+50_000)}, start + 5e6, end},
		{"milliseconds in v9", 9, []any{at(152, 8, second*1000+5), at(153, 8, second*1000+50_000)}, start + 5e6, end},
		{"microseconds", 10, []any{at(154, 8, half), at(155, 8, half+50<<32)}, start + 5e8, end + 5e8},
		{"nanoseconds", 10, []any{at(156, 8, half), at(157, 8, half+50<<32)}, start + 5e8, end + 5e8},
		{"before export", 10, []any{at(158, 4, 60_000_000), at(159, 4, 10_000_000)}, start, end},
		{"uptime in v9", 9, []any{at(22, 4, 1<<32-50_000), at(21, 4, 0)}, start, end},
		{"uptime of the record's boot", 10, []any{at(160, 8, second*1000-1000), at(22, 4, 1000), at(21, 4, 51_000)}, start, end},
		{"uptime before its boot", 10, []any{at(22, 4, 1000), at(21, 4, 51_000), at(160, 8, second*1000-1000)}, start, end},
		{"milliseconds before seconds", 10, []any{at(150, 4, 1), at(152, 8, second*1000), at(153, 8, second*1000+50_000), at(151, 4, 1)}, start, end},
		{"start and milliseconds of duration", 10, []any{at(152, 8, second*1000), at(161, 4, 50_000)}, start, end},
		{"end and microseconds of duration", 10, []any{at(162, 4, 50_000_000), at(153, 8, second*1000+50_000)}, start, end},
		{"duration alone", 10, []any{at(161, 4, 50_000)}, exportNs - 50e9, exportNs},
		{"start alone", 10, []any{at(152, 8, second*1000)}, start, exportNs},
		{"end alone", 10, []any{at(153, 8, second*1000)}, start, start},
		{"event", 10, []any{at(323, 8, second*1000)}, start, start},
		{"event in seconds", 10, []any{at(322, 4, second)}, start, start},
		{"event in microseconds", 10, []any{at(324, 8, half)}, start + 5e8, start + 5e8},
		{"event in nanoseconds", 10, []any{at(325, 8, half)}, start + 5e8, start + 5e8},
		{"none", 10, []any{at(1, 4, 1)}, exportNs, exportNs},
		{"none in v9", 9, []any{at(1, 4, 1)}, exportNs, exportNs},
	}
	for _, tt := range tests {
		var fields []field
		var rec []byte
		for _, f := range tt.fields {
			v := f.([3]uint64)
			fields = append(fields, field{id: uint16(v[0]), length: uint16(v[1])})
			rec = append(rec, cat(v[2])[8-v[1]:]...)
		}
		t.Run(tt.name, func(t *testing.T) {
			var b []byte
			if tt.version == 9 {
				b = v9{uptime: 10_000}.with(set(0, template(256, fields...)), set(256, rec))
			} else {
				b = v10{}.with(set(2, template(256, fields...)), set(256, rec))
			}
			r := newCollector(t).want(1, b)[0]
			check(t, r, values{flow.TimeFlowStart: tt.start, flow.TimeFlowEnd: tt.end})
		})
	}
}

func TestUptimeFromOptions(t *testing.T) {
	c := newCollector(t)
	fields := []field{{id: 22, length: 4}, {id: 21, length: 4}}
	data := v10{}.with(set(2, template(256, fields...)), set(256, cat(uint32(1000), uint32(2000))))
	r := c.want(1, data)[0]
	if len(r.Elements()) != 2 {
		t.Errorf("sysUptime of unknown origin is not kept: %v", r.Elements())
	}
	check(t, r, values{flow.TimeFlowStart: exportNs, flow.TimeFlowEnd: exportNs})
	c.want(0, v10{}.with(set(3, optionsTemplate(257, 1, field{id: 149, length: 4}, field{id: 160, length: 8})), set(257, cat(uint32(0), uint64(exportSecs*1000-5000)))))
	check(t, c.want(1, data)[0], values{flow.TimeFlowStart: exportNs - 4e9, flow.TimeFlowEnd: exportNs - 3e9})
}

// TestMissingTemplate: a set that no template describes costs nothing but itself.
func TestMissingTemplate(t *testing.T) {
	c := withoutHold(t)
	b := v10{}.with(set(2, template(256, flowFields...)), set(300, []byte("whatever it is")), set(256, flowRecord), set(301, flowRecord))
	check(t, c.want(1, b)[0], values{flow.Bytes: 1500, flow.Type: 4, flow.FlowSource: 5})
	b = v9{}.with(set(300, []byte("whatever")), set(0, template(256, flowFields...)), set(256, flowRecord, flowRecord))
	c.want(2, b)
	s := c.Stats().Total
	if s.MissingTemplates != 3 || s.Records != 3 || s.Datagrams != 2 || s.Templates != 2 {
		t.Errorf("stats are %+v", s)
	}
}

// TestDamage: what is malformed in a message costs as little as can be, and is
// counted once a datagram.
func TestDamage(t *testing.T) {
	good := set(256, flowRecord)
	templates := set(2, template(256, flowFields...))
	variable := set(2, template(257, field{id: 96, length: 65535}, field{id: 1, length: 4}))
	tests := []struct {
		name    string
		payload []byte
		records int
		reason  collect.Reason
	}{
		{"empty", nil, 0, collect.ReasonUnknown},
		{"short", []byte{0, 9}, 0, collect.ReasonUnknown},
		{"version 2", cat(uint16(2), make([]byte, 100)), 0, collect.ReasonUnknown},
		{"sFlow version 4", cat(uint32(4), make([]byte, 100)), 0, collect.ReasonUnknown},
		{"header of v5", fixedHeader(5, 1, 0, 0)[:23], 0, collect.ReasonTruncated},
		{"header of v9", v9{}.with()[:19], 0, collect.ReasonTruncated},
		{"header of IPFIX", v10{}.with()[:15], 0, collect.ReasonTruncated},
		{"sFlow header", cat(uint32(5), uint32(1), ip("192.0.2.1")), 0, collect.ReasonTruncated},
		{"reserved set", v10{}.with(templates, set(7, flowRecord), good), 1, collect.ReasonTemplate},
		{"template of id 255", v10{}.with(set(2, template(255, flowFields...)), templates, good), 1, collect.ReasonTemplate},
		{"cut template", v10{}.with(templates, set(2, template(300, flowFields...)[:10]), good), 1, collect.ReasonTruncated},
		{"scope of more than all", v10{}.with(templates, set(3, optionsTemplate(300, 9, flowFields...)), good), 1, collect.ReasonTemplate},
		{"set of length 3", v10{}.with(templates, good, cat(uint16(256), uint16(3)), good), 1, collect.ReasonTruncated},
		{"set beyond the end", v10{}.with(templates, good, cat(uint16(256), uint16(100))), 1, collect.ReasonTruncated},
		{"octets behind the end", append(v10{}.with(templates, good), good...), 1, collect.ReasonMalformed},
		{"sFlow of no samples", append(flowSamples(0, 0), flowSamples(0, 0)...), 0, collect.ReasonMalformed},
		{"message beyond the end", v10{}.with(templates, good, make([]byte, 100))[:80], 1, collect.ReasonTruncated},
		{"record of variable length cut", v10{}.with(templates, variable, set(257, cat(uint8(3), "abc", uint32(7)), cat(uint8(200), "abcdefg")), good), 2, collect.ReasonTruncated},
		{"template of more than all fields", v9{}.with(set(0, cat(uint16(256), uint16(2000))), set(0, template(256, flowFields...)), good), 1, collect.ReasonTemplate},
		{"records of no octets", v10{}.with(set(2, template(300, field{id: 1})), templates, set(300, []byte("12345678")), good), 1, collect.ReasonTemplate},
	}
	for _, tt := range tests {
		c := newCollector(t)
		got, err := c.decode(exporter, tt.payload)
		if err == nil || len(got) != tt.records {
			t.Errorf("%s: %d records, want %d, and %v", tt.name, len(got), tt.records, err)
		}
		s := c.Stats().Total
		if s.Malformed[tt.reason] != 1 || s.Datagrams != 1 {
			t.Errorf("%s: counted as %v, want one of %s", tt.name, s.Malformed, tt.reason)
		}
	}
}

// TestNoFields: a template without fields, which is a withdrawal, followed by
// data of its id.
func TestNoFields(t *testing.T) {
	nine := func(sets ...[]byte) []byte { return v9{}.with(sets...) }
	ten := func(sets ...[]byte) []byte { return v10{}.with(sets...) }
	data := set(256, flowRecord)
	tests := map[string]struct {
		message          func(sets ...[]byte) []byte
		define, withdraw []byte
	}{
		"v9":               {nine, set(0, template(256, flowFields...)), set(0, template(256))},
		"IPFIX":            {ten, set(2, template(256, flowFields...)), set(2, template(256))},
		"all of IPFIX":     {ten, set(2, template(256, flowFields...)), set(2, template(2))},
		"options of v9":    {nine, set(1, optionsTemplate9(256, 1, field{id: 1, length: 4}, field{id: 34, length: 8})), set(1, optionsTemplate9(256, 0))},
		"options of IPFIX": {ten, set(3, optionsTemplate(256, 1, field{id: 149, length: 4}, field{id: 34, length: 8})), set(3, template(256))},
	}
	for name, tt := range tests {
		c := withoutHold(t)
		c.want(0, tt.message(tt.define))
		if n := c.Stats().Programs; n != 1 {
			t.Errorf("%s: %d templates known, want 1", name, n)
		}
		c.want(0, tt.message(tt.withdraw))
		c.want(0, tt.message(data))
		c.want(0, tt.message(data, data))
		s := c.Stats()
		if s.Programs != 0 || s.Total.MissingTemplates != 3 || s.Total.Templates != 2 {
			t.Errorf("%s: %d templates known, %d sets without one", name, s.Programs, s.Total.MissingTemplates)
		}
		c.want(0, tt.message(tt.define, tt.withdraw, data))
	}
	// A withdrawal of all leaves the other kind alone.
	c := newCollector(t)
	c.want(0, v10{}.with(set(2, template(256, flowFields...)), set(3, optionsTemplate(257, 1, field{id: 149, length: 4}, field{id: 34, length: 8}))))
	c.want(0, v10{}.with(set(3, template(3))))
	c.want(1, v10{}.with(set(256, flowRecord)))
}

func TestBiflow(t *testing.T) {
	const reverse = 29305
	c := newCollector(t)
	fields := append([]field{
		{id: 1, length: 8, enterprise: reverse},
		{id: 2, length: 4, enterprise: reverse},
		{id: 6, length: 1, enterprise: reverse},
		{id: 152, length: 8, enterprise: reverse},
		{id: 153, length: 8, enterprise: reverse},
		{id: 5, length: 1, enterprise: reverse},
		{id: 6, length: 1},
	}, flowFields...)
	r := c.want(1, v10{}.with(set(2, template(256, fields...)),
		set(256, cat(uint64(9000), uint32(9), uint8(0x13), uint64(1000), uint64(2000), uint8(0x20), uint8(0x02)), flowRecord)))[0]
	check(t, r, values{
		flow.Bytes: 1500, flow.TCPFlags: 2, flow.ReverseBytes: 9000, flow.ReversePackets: 9, flow.ReverseTCPFlags: 0x13,
		flow.ReverseTimeStart: 1e9, flow.ReverseTimeEnd: 2e9,
	})
	if e := r.Elements(); len(e) != 1 || e[0].Enterprise != reverse || e[0].ID != 5 {
		t.Errorf("elements are %v, want the reverse ipClassOfService", e)
	}
}

// TestElements: values without a field of their own are kept as they came,
// whatever the form of their length.
func TestElements(t *testing.T) {
	c := newCollector(t)
	long := make([]byte, 300)
	long[299] = 1
	fields := []field{{id: 1, length: 4}, {id: 9999, length: 65535, enterprise: 35632}, {id: 293, length: 65535}, {id: 210, length: 65535}, {id: 8, length: 3}, {id: 1, length: 9}, {id: 2, length: 2}}
	rec := cat(uint32(7), uint8(255), uint16(300), long, uint8(3), "abc", uint8(2), "\x00\x00", "xyz", "123456789", uint16(6))
	r := c.want(2, v10{}.with(set(2, template(256, fields...)), set(256, rec, rec, []byte{0, 0})))[1]
	check(t, r, values{flow.Bytes: 7, flow.Packets: 6})
	e := r.Elements()
	if len(e) != 4 {
		t.Fatalf("%d elements, want 4: %v", len(e), e)
	}
	for i, want := range []flow.Element{{Enterprise: 35632, ID: 9999, Value: long}, {ID: 293, Value: []byte("abc")}, {ID: 8, Value: []byte("xyz")}, {ID: 1, Value: []byte("123456789")}} {
		if e[i].Enterprise != want.Enterprise || e[i].ID != want.ID || string(e[i].Value) != string(want.Value) {
			t.Errorf("element %d is %v, want %v", i, e[i], want)
		}
	}
}

// TestEtherType: addresses and the IP version tell it better than ethernetType,
// which then is kept as it came.
func TestEtherType(t *testing.T) {
	six := ip("2001:db8::1")
	for name, list := range map[string][]value{
		"address":       {u(256, 2, 0x8847), {field{id: 27, length: 16}, cat(six)}},
		"address first": {{field{id: 27, length: 16}, cat(six)}, u(256, 2, 0x8847)},
		"version":       {u(60, 1, 6), u(256, 2, 0x8847)},
		"both families": {{field{id: 27, length: 16}, cat(six)}, u(8, 4, 0), u(256, 2, 0x8847)},
	} {
		r := newCollector(t).want(1, data(1, list...))[0]
		check(t, r, values{flow.Etype: flow.EtypeIPv6})
		if e := r.Elements(); len(e) != 1 || e[0].ID != 256 {
			t.Errorf("%s: elements are %v", name, e)
		}
	}
}

func TestDerived(t *testing.T) {
	six := ip("2001:db8::1")
	zero6, zero4 := ip("::"), ip("0.0.0.0")
	tests := []struct {
		name   string
		fields []field
		rec    []byte
		want   values
	}{
		{"both families, IPv4", []field{{id: 8, length: 4}, {id: 27, length: 16}, {id: 12, length: 4}, {id: 28, length: 16}}, cat(ip("10.0.0.1"), zero6, ip("10.0.0.2"), zero6), values{flow.SrcAddr: ip("10.0.0.1"), flow.DstAddr: ip("10.0.0.2"), flow.Etype: flow.EtypeIPv4}},
		{"both families, IPv6", []field{{id: 8, length: 4}, {id: 27, length: 16}, {id: 28, length: 16}, {id: 12, length: 4}}, cat(zero4, six, six, zero4), values{flow.SrcAddr: six, flow.DstAddr: six, flow.Etype: flow.EtypeIPv6}},
		{"IPv6", []field{{id: 27, length: 16}, {id: 29, length: 1}, {id: 31, length: 4}, {id: 139, length: 2}}, cat(six, uint8(64), uint32(0xabcde), uint16(0x8000)), values{flow.SrcAddr: six, flow.SrcNet: 64, flow.IPv6FlowLabel: 0xabcde, flow.ICMPType: 128, flow.Etype: flow.EtypeIPv6}},
		{"EtherType", []field{{id: 256, length: 2}}, cat(uint16(0x88cc)), values{flow.Etype: 0x88cc}},
		{"IP version", []field{{id: 60, length: 1}}, cat(uint8(6)), values{flow.Etype: flow.EtypeIPv6}},
		{"MPLS", []field{{id: 70, length: 3}, {id: 71, length: 3}, {id: 72, length: 3}, {id: 47, length: 4}}, cat([]byte{0, 1, 0x10}, []byte{0, 2, 0x01}, []byte{0xff, 0xff, 0xf0}, ip("10.9.9.9")), values{flow.MPLSLabel: []int{17, 32, 0xfffff}, flow.MPLSIP: []string{"10.9.9.9"}}},
		{"out counters", []field{{id: 1, length: 4}, {id: 2, length: 4}, {id: 23, length: 4}, {id: 24, length: 4}}, cat(uint32(0), uint32(0), uint32(7), uint32(1)), values{flow.Bytes: 7, flow.Packets: 1, flow.OutBytes: 7, flow.OutPackets: 1}},
		{"in counters", []field{{id: 23, length: 4}, {id: 24, length: 4}, {id: 1, length: 4}, {id: 2, length: 4}}, cat(uint32(7), uint32(1), uint32(9), uint32(2)), values{flow.Bytes: 9, flow.Packets: 2, flow.OutBytes: 7, flow.OutPackets: 1}},
		{"totals", []field{{id: 85, length: 4}, {id: 86, length: 4}}, cat(uint32(7), uint32(1)), values{flow.Bytes: 7, flow.Packets: 1, flow.BytesTotal: 7, flow.PacketsTotal: 1}},
		{"initiator", []field{{id: 231, length: 4}, {id: 232, length: 4}, {id: 298, length: 4}, {id: 299, length: 4}}, cat(uint32(7), uint32(8), uint32(1), uint32(2)), values{flow.Bytes: 7, flow.Packets: 1, flow.InitiatorBytes: 7, flow.ResponderBytes: 8, flow.InitiatorPackets: 1, flow.ResponderPackets: 2}},
		{"ports by protocol", []field{{id: 180, length: 2}, {id: 181, length: 2}}, cat(uint16(53), uint16(5353)), values{flow.SrcPort: 53, flow.DstPort: 5353}},
		{"fragments", []field{{id: 54, length: 4}, {id: 88, length: 2}, {id: 197, length: 1}}, cat(uint32(77), uint16(185), uint8(0x20)), values{flow.FragmentID: 77, flow.FragmentOffset: 185, flow.IPFlags: 1}},
		{"ICMP apart", []field{{id: 176, length: 1}, {id: 177, length: 1}}, cat(uint8(3), uint8(1)), values{flow.ICMPType: 3, flow.ICMPCode: 1}},
		{"TTL", []field{{id: 52, length: 1}, {id: 53, length: 1}}, cat(uint8(60), uint8(64)), values{flow.IPTTL: 60, flow.IPTTLMax: 64}},
		{"VLANs by 802.1Q", []field{{id: 243, length: 2}, {id: 254, length: 2}}, cat(uint16(5), uint16(6)), values{flow.SrcVLAN: 5, flow.DstVLAN: 6, flow.VLANID: 5}},
		{"NAT", []field{{id: 225, length: 4}, {id: 226, length: 4}, {id: 227, length: 2}, {id: 228, length: 2}, {id: 230, length: 1}, {id: 234, length: 4}, {id: 323, length: 8}}, cat(ip("192.0.2.9"), ip("192.0.2.10"), uint16(1024), uint16(80), uint8(4), uint32(12), uint64(5000)), values{flow.PostNATSrcAddr: ip("192.0.2.9"), flow.PostNATDstAddr: ip("192.0.2.10"), flow.PostNATSrcPort: 1024, flow.PostNATDstPort: 80, flow.NATEvent: 4, flow.IngressVRFID: 12, flow.TimeEvent: 5e9, flow.TimeFlowStart: 5e9, flow.TimeFlowEnd: 5e9}},
		{"NAT64", []field{{id: 281, length: 16}, {id: 282, length: 16}}, cat(six, six), values{flow.PostNATSrcAddr: six, flow.PostNATDstAddr: six}},
		{"BGP", []field{{id: 18, length: 4}, {id: 128, length: 4}}, cat(ip("10.1.1.1"), uint32(65000)), values{flow.BGPNextHop: ip("10.1.1.1"), flow.NextHopAS: 65000}},
		{"firewall", []field{{id: 233, length: 1}, {id: 148, length: 4}, {id: 371, length: 65535}}, cat(uint8(2), uint32(99), uint8(3), "bob"), values{flow.FirewallEvent: 2, flow.FlowID: 99, flow.UserName: "bob"}},
		{"point", []field{{id: 138, length: 8}, {id: 136, length: 1}, {id: 252, length: 4}, {id: 253, length: 4}, {id: 351, length: 8}}, cat(uint64(3), uint8(1), uint32(8), uint32(9), uint64(1<<56|5)), values{flow.ObservationPointID: 3, flow.FlowEndReason: 1, flow.InPhysIf: 8, flow.OutPhysIf: 9, flow.Layer2SegmentID: 1<<56 | 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newCollector(t).want(1, v10{}.with(set(2, template(256, tt.fields...)), set(256, tt.rec)))[0]
			check(t, r, tt.want)
			if len(r.Elements()) != 0 {
				t.Errorf("elements are %v, want none", r.Elements())
			}
		})
	}
}

// TestASA: numbers beyond 32767, which in v9 are numbers as any other.
func TestASA(t *testing.T) {
	fields := []field{{id: 33002, length: 2}, {id: 40000, length: 8}, {id: 40001, length: 4}, {id: 40003, length: 2}, {id: 40005, length: 1}, {id: 40999, length: 2}}
	rec := cat(uint16(1001), "alice\x00\x00\x00", ip("192.0.2.9"), uint16(1024), uint8(3), uint16(1))
	r := newCollector(t).want(1, v9{}.with(set(0, template(256, fields...)), set(256, rec)))[0]
	check(t, r, values{flow.FirewallExtEvent: 1001, flow.PostNATSrcAddr: ip("192.0.2.9"), flow.PostNATSrcPort: 1024, flow.FirewallEvent: 3})
	if name := string(r.Bytes(flow.UserName)); name != "alice" && name != "alice\x00\x00\x00" {
		t.Errorf("user name is %q", name)
	}
	if e := r.Elements(); len(e) != 1 || e[0].ID != 40999 || e[0].Enterprise != 0 {
		t.Errorf("elements are %v", e)
	}
}

// frame is an Ethernet frame with an 802.1Q tag, IPv6 and UDP.
func frame() []byte {
	return cat("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01", uint16(0x8100), uint16(0x2064), uint16(0x86dd),
		uint32(0x6b8abcde), uint16(8), uint8(17), uint8(63), ip("2001:db8::1"), ip("2001:db8::2"), uint16(5000), uint16(53), uint16(8), uint16(0))
}

func TestSampledFrame(t *testing.T) {
	want := values{
		flow.SrcAddr: ip("2001:db8::1"), flow.DstAddr: ip("2001:db8::2"), flow.SrcPort: 5000, flow.DstPort: 53, flow.Proto: 17, flow.IPTTL: 63,
		flow.IPTos: 0xb8, flow.IPv6FlowLabel: 0xabcde, flow.Etype: flow.EtypeIPv6, flow.VLANID: 100, flow.SrcMAC: 0x020000000001, flow.DstMAC: 0x020000000002,
		flow.Packets: 1, flow.LayerStack: []int{0, 6, 2, 4}, flow.LayerSize: []int{14, 4, 40, 8},
	}
	for _, id := range []uint16{315, 104} {
		fields := []field{{id: 10, length: 4}, {id: id, length: 65535}, {id: 312, length: 2}}
		b := v10{}.with(set(2, template(256, fields...)), set(256, cat(uint32(5), uint8(len(frame())), frame(), uint16(1000))))
		r := newCollector(t).want(1, b)[0]
		check(t, r, want)
		check(t, r, values{flow.InIf: 5, flow.Bytes: 1000})
	}
	// Without the frame's size the octets are those that are there.
	b := v10{}.with(set(2, template(256, field{id: 315, length: uint16(len(frame()))})), set(256, frame()))
	check(t, newCollector(t).want(1, b)[0], values{flow.Bytes: len(frame()), flow.Packets: 1})
}

// TestEmitError: an error of emit ends the datagram and comes back as it is.
func TestEmitError(t *testing.T) {
	stop := errors.New("stop")
	for _, b := range [][]byte{
		v9{}.with(set(0, template(256, flowFields...)), set(256, flowRecord, flowRecord)),
		v10{}.with(set(2, template(256, flowFields...)), set(256, flowRecord, flowRecord)),
		append(append(fixedHeader(5, 2, 0, 0), fixedRecord(5, 0, 0)...), fixedRecord(5, 0, 0)...),
		flowSamples(1, 2),
	} {
		d := collect.NewDecoder(collect.DefaultDecoderConfig())
		n := 0
		err := d.Decode(&flow.Datagram{Exporter: netip.MustParseAddrPort("192.0.2.1:1"), Received: received, Payload: b}, func(*flow.Record) error {
			n++
			return stop
		})
		if err != stop || n != 1 { //nolint:errorlint // as it is
			t.Errorf("version %d: %d records and %v, want one and the error of emit", b[1], n, err)
		}
		if s := d.Stats().Total; s.Malformed != ([5]uint64{}) {
			t.Errorf("version %d: counted as malformed: %v", b[1], s.Malformed)
		}
	}
}
