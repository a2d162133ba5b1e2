package flow_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tributary-net/tributary/flow"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func extra(name string, t flow.ExtraType) *flow.Extra {
	e, err := flow.NewExtra(name, t)
	if err != nil {
		panic(err)
	}
	return e
}

// samples are records of the kinds there are.
func samples() map[string]*flow.Record {
	addr := netip.MustParseAddr
	empty := new(flow.Record)

	four := new(flow.Record)
	for f, v := range map[flow.Field]uint64{
		flow.Type: uint64(flow.TypeNetFlowV9), flow.FlowSource: uint64(flow.SourceNetFlowV9), flow.TimeReceived: 1700000001000000500, flow.TimeExport: 1700000000123000000,
		flow.SequenceNum: 77, flow.SamplingRate: 100, flow.TimeFlowStart: 1699999990000000000, flow.TimeFlowEnd: 1699999999500000000, flow.Bytes: 1500, flow.Packets: 10,
		flow.Etype: flow.EtypeIPv4, flow.Proto: 6, flow.SrcPort: 40000, flow.DstPort: 443, flow.InIf: 3, flow.OutIf: 4, flow.IPTos: 184, flow.TCPFlags: 27,
		flow.SrcAS: 64500, flow.DstAS: 4200000000, flow.SrcNet: 24, flow.DstNet: 16, flow.ObservationDomainID: 9, flow.TemplateID: 256, flow.FlowDirection: 0,
	} {
		four.SetUint(f, v)
	}
	four.SetAddr(flow.SamplerAddress, addr("192.0.2.1"))
	four.SetAddr(flow.SrcAddr, addr("10.1.2.3"))
	four.SetAddr(flow.DstAddr, addr("198.51.100.7"))
	four.SetAddr(flow.NextHop, addr("10.1.2.254"))
	four.SetBytes(flow.InIfName, []byte("Gi0/0/1"))
	four.SetBytes(flow.ApplicationID, []byte{3, 0, 0, 80})
	four.AppendElement(35632, 57590, []byte("tls.example"))
	four.AppendElement(0, 293, []byte{0, 255})
	four.AppendExtra(extra("score", flow.ExtraInt), ^uint64(6))
	four.AppendExtraBytes(extra("site", flow.ExtraString), []byte(`Z"rich`))

	six := new(flow.Record)
	for f, v := range map[flow.Field]uint64{
		flow.Type: uint64(flow.TypeSFlow5), flow.FlowSource: uint64(flow.SourceSFlow5), flow.TimeReceived: 1700000001000000500, flow.TimeFlowStart: 1700000001000000500,
		flow.TimeFlowEnd: 1700000001000000500, flow.SamplingRate: 512, flow.Packets: 1, flow.Bytes: 1000, flow.Etype: flow.EtypeIPv6, flow.Proto: 58, flow.ICMPType: 128,
		flow.IPv6FlowLabel: 0xabcde, flow.SrcMAC: 0x020000000001, flow.DstMAC: 0x0200000000ff, flow.SrcVLAN: 100, flow.VLANID: 100, flow.IPTTL: 63, flow.SrcNet: 48,
		flow.IPv6RoutingHeaderSegLeft: 1, flow.SamplePool: 51200,
	} {
		six.SetUint(f, v)
	}
	six.SetAddr(flow.SamplerAddress, addr("2001:db8::53"))
	six.SetAddr(flow.SrcAddr, addr("2001:db8:1::1"))
	six.SetAddr(flow.DstAddr, addr("::ffff:192.0.2.9"))
	for _, v := range []flow.Layer{flow.LayerEthernet, flow.LayerDot1Q, flow.LayerIPv6, flow.LayerIPv6Routing, flow.LayerICMPv6, flow.LayerCustom} {
		six.AppendUint(flow.LayerStack, uint32(v))
		six.AppendUint(flow.LayerSize, 4+uint32(v))
	}
	six.AppendUint(flow.ASPath, 64501)
	six.AppendUint(flow.ASPath, 64502)
	six.AppendUint(flow.MPLSLabel, 17)
	six.AppendAddr(flow.MPLSIP, addr("10.9.9.9"))
	six.AppendAddr(flow.IPv6RoutingHeaderAddresses, addr("2001:db8:2::1"))
	six.AppendAddr(flow.IPv6RoutingHeaderAddresses, addr("2001:db8:2::2"))

	odd := new(flow.Record)
	for f, v := range map[flow.Field]uint64{
		flow.FlowSource: uint64(flow.SourceProbe), flow.Etype: 0x88cc, flow.Proto: 200, flow.SrcNet: 64, flow.DstNet: 200, flow.Bytes: math.MaxUint64, flow.InIf: math.MaxUint32,
	} {
		odd.SetUint(f, v)
	}
	odd.SetAddr(flow.DstAddr, addr("0.0.0.0"))
	odd.SetBytes(flow.UserName, []byte("\"a\\b\"\n\x00\x7f\xff\u2028é"))
	return map[string]*flow.Record{"empty": empty, "four": four, "six": six, "odd": odd}
}

// TestGolden shows every format of the samples.
func TestGolden(t *testing.T) {
	key, err := flow.ParseKey([]string{"src_addr", "dst_addr", "proto", "src_port", "src_net", "src_mac", "as_path", "user_name", "type", "etype", "application_id"})
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range samples() {
		var b bytes.Buffer
		fmt.Fprintf(&b, "json\n%s\n\n", flow.AppendJSON(nil, r))
		fmt.Fprintf(&b, "kflow\n%s\n\n", flow.AppendKFlow(nil, r))
		fmt.Fprintf(&b, "key\n%s\n\n", strings.ToValidUTF8(string(flow.AppendKey(nil, r, key)), "?"))
		fmt.Fprintf(&b, "protobuf\n%s", hex.Dump(flow.AppendDelimited(nil, r)))
		file := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, b.Bytes(), want)
		}
	}
}

func TestFormatNames(t *testing.T) {
	for _, name := range flow.FormatNames() {
		f, err := flow.ParseFormat(name)
		if err != nil || f.String() != name {
			t.Errorf("%s is read as %s: %v", name, f, err)
		}
		if text := name == "json" || name == "kflow"; f.Text() != text {
			t.Errorf("%s is text: %v", name, f.Text())
		}
	}
	if _, err := flow.ParseFormat("xml"); err == nil || !strings.Contains(err.Error(), `"xml"`) || !strings.Contains(err.Error(), "protobuf-single") {
		t.Errorf("an unknown format is refused with %v", err)
	}
	if s := flow.Format(99).String(); s != "unknown" {
		t.Errorf("a format that is none is called %q", s)
	}
}

func TestKey(t *testing.T) {
	for _, name := range []string{"src-addr", "", "elements", "1st"} {
		if _, err := flow.ParseKey([]string{"src_addr", name}); err == nil || !strings.Contains(err.Error(), strconv.Quote(name)) {
			t.Errorf("an unknown field is refused with %v", err)
		}
	}
	extra, err := flow.ParseKey([]string{"src_addr", "site"})
	if err != nil {
		t.Fatal(err)
	}
	if err := extra.Check([]string{"other"}); err == nil || !strings.Contains(err.Error(), `"site": no such flow field`) {
		t.Errorf("an extra field that is none is refused with %v", err)
	}
	if err := extra.Check([]string{"other", "site"}); err != nil {
		t.Error(err)
	}
	if k := string(flow.AppendKey(nil, samples()["four"], extra)); k != "10.1.2.3,Z\"rich" {
		t.Errorf("key is %q", k)
	}
	if k := string(flow.AppendKey(nil, samples()["empty"], extra)); k != "," {
		t.Errorf("key without the extra field is %q", k)
	}
	key, err := flow.ParseKey([]string{"src_addr", "dst_addr", "bytes"})
	if err != nil {
		t.Fatal(err)
	}
	if k := string(flow.AppendKey([]byte("x"), samples()["four"], key)); k != "x10.1.2.3,198.51.100.7,1500" {
		t.Errorf("key is %q", k)
	}
	if k := string(flow.AppendKey(nil, samples()["empty"], key)); k != ",,0" {
		t.Errorf("key of an empty record is %q", k)
	}
	if k := flow.AppendKey(nil, samples()["four"], nil); k != nil {
		t.Errorf("key of no fields is %q", k)
	}
}

// one is an emit function that counts.
func one(n *int) func(*flow.Record) error { return func(*flow.Record) error { *n++; return nil } }

// TestRoundTrip takes records of all sorts through every format that keeps them
// whole.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r, back flow.Record
		drawRecord(t, &r)
		if err := flow.DecodeProtobuf(flow.AppendProtobuf(nil, &r), &back); err != nil {
			t.Fatal(err)
		}
		if d := diff(&r, &back); d != "" {
			t.Fatalf("protobuf-single: %s", d)
		}
		n := 0
		if f, err := flow.DecodeAny(flow.AppendDelimited(nil, &r), &back, one(&n)); err != nil || f != flow.Protobuf || n != 1 {
			t.Fatalf("protobuf is read as %d records of %s: %v", n, f, err)
		}
		if d := diff(&r, &back); d != "" {
			t.Fatalf("protobuf: %s", d)
		}
		text := flow.AppendJSON(nil, &r)
		if !json.Valid(text) {
			t.Fatalf("no JSON: %s", text)
		}
		if f, err := flow.DecodeAny(text, &back, one(&n)); err != nil || f != flow.JSON || n != 2 {
			t.Fatalf("json is read as %d records of %s: %v", n, f, err)
		}
		// A prefix longer than its address has no text.
		for net, addr := range map[flow.Field]flow.Field{flow.SrcNet: flow.SrcAddr, flow.DstNet: flow.DstAddr} {
			if a := r.Addr(addr); r.Uint(net) > uint64(a.BitLen()) {
				if back.Has(net) {
					t.Fatalf("%s is %d of %v", net, back.Uint(net), a)
				}
				back.SetUint(net, r.Uint(net))
			}
		}
		if d := diff(&r, &back); d != "" {
			t.Fatalf("json: %s", d)
		}
	})
}

// TestJSONNumbers: every number of digits, and what lies beside it.
func TestJSONNumbers(t *testing.T) {
	check := func(v uint64) {
		t.Helper()
		var r flow.Record
		r.SetUint(flow.Bytes, v)
		if s := string(flow.AppendJSON(nil, &r)); !strings.Contains(s, `"bytes":`+strconv.FormatUint(v, 10)+`,`) {
			t.Errorf("%d is written as %s", v, s)
		}
	}
	for v := uint64(0); v < 20000; v++ {
		check(v)
	}
	for p := uint64(10); ; p *= 10 {
		for _, d := range []uint64{0, 1, 2, p / 2, p - 1, p / 3} {
			check(p - 1 - d)
			check(p + d)
		}
		if p == 1e19 {
			break
		}
	}
	for i := range 64 {
		check(1<<i - 1)
		check(1 << i)
		check(1<<i + 1)
		check(uint64(i) * 0x9e3779b97f4a7c15)
	}
	check(math.MaxUint64)
}

// TestDelimitedLengths: the length before a message has one octet more from 128
// and from 16384 on, whatever it was of the message before.
func TestDelimitedLengths(t *testing.T) {
	var r, back flow.Record
	for _, want := range []int{0, 2, 100, 122, 123, 124, 126, 127, 128, 129, 255, 256, 16382, 16383, 16384, 16385, 20000, 1 << 21, 1<<21 - 1, 100, 200, 1 << 21, 200, 100} {
		value := make([]byte, want)
		for size := want; size > 0; size-- {
			r.Reset()
			if want == 2 {
				r.SetUint(flow.Bytes, 7)
			} else {
				r.SetBytes(flow.ApplicationID, value[:size])
			}
			if len(flow.AppendProtobuf(nil, &r)) <= want {
				break
			}
		}
		single := flow.AppendProtobuf(nil, &r)
		if len(single) != want {
			t.Logf("no message of %d octets; %d", want, len(single))
		}
		// Into a buffer that has room, that has not, and that has something in it.
		for _, dst := range [][]byte{nil, make([]byte, 0, 1<<16), []byte("before"), append(make([]byte, 0, 8), "before"...)} {
			before := len(dst)
			got := flow.AppendDelimited(dst, &r)
			if string(got[:before]) != string(dst) {
				t.Fatalf("%d octets: what was there became %q", want, got[:before])
			}
			if w := append(binary.AppendUvarint(nil, uint64(len(single))), single...); !bytes.Equal(got[before:], w) {
				t.Fatalf("%d octets begin with %x, want %x", len(single), got[before:before+5], w[:5])
			}
			n := 0
			if f, err := flow.DecodeAny(got[before:], &back, one(&n)); err != nil || f != flow.Protobuf || n != 1 {
				t.Fatalf("%d octets are read as %d records of %s: %v", len(single), n, f, err)
			}
			if d := diff(&r, &back); d != "" {
				t.Fatalf("%d octets: %s", len(single), d)
			}
		}
	}
}

func TestDecodeAny(t *testing.T) {
	all := samples()
	var r flow.Record
	for _, format := range []flow.Format{flow.Protobuf, flow.ProtobufSingle, flow.JSON, flow.KFlow} {
		n := 0
		got, err := flow.DecodeAny(format.Append(nil, all["four"]), &r, one(&n))
		if err != nil || got != format || n != 1 {
			t.Errorf("%s is read as %d records of %s: %v", format, n, got, err)
		}
		if format != flow.KFlow {
			if d := diff(all["four"], &r); d != "" {
				t.Errorf("%s: %s", format, d)
			}
		}
	}
	for _, f := range []flow.Field{flow.SamplerAddress, flow.SrcAddr, flow.SrcPort, flow.DstAddr, flow.DstPort, flow.Proto, flow.TCPFlags, flow.Bytes, flow.Packets, flow.TimeExport} {
		if _, err := flow.DecodeAny(flow.AppendKFlow(nil, all["four"]), &r, func(*flow.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if w, g := valueOf(all["four"], f), valueOf(&r, f); w != g {
			t.Errorf("kflow: %s is %s, want %s", f, g, w)
		}
	}

	// Several messages in one value.
	var packed []byte
	order := []string{"four", "six", "odd", "four"}
	for _, name := range order {
		packed = flow.Packed.Append(packed, all[name])
	}
	i := 0
	got, err := flow.DecodeAny(packed, &r, func(r *flow.Record) error {
		if d := diff(all[order[i]], r); d != "" {
			t.Errorf("message %d: %s", i, d)
		}
		i++
		return nil
	})
	if err != nil || got != flow.Packed || i != 4 {
		t.Errorf("4 messages are read as %d of %s: %v", i, got, err)
	}

	// An error of emit ends it and comes back as it is.
	stop := errors.New("stop")
	for _, b := range [][]byte{packed, flow.AppendJSON(nil, all["four"]), flow.AppendKFlow(nil, all["four"]), flow.AppendProtobuf(nil, all["four"])} {
		n := 0
		if _, err := flow.DecodeAny(b, &r, func(*flow.Record) error { n++; return stop }); err != stop || n != 1 { //nolint:errorlint // as it is
			t.Errorf("after %d records: %v", n, err)
		}
	}

	// goflow2 puts whitespace nowhere, but others may; unknown members become extra fields.
	text := "{ \"type\" : \"SFLOW_5\", \"bytes\" : 7, \"as_path\" : [1, 2], \"mine\" : {\"a\":[]}, \"src_addr\":\"10.0.0.1\", \"proto\":\"UDP\", \"etype\":\"IPv6\" }\n"
	n := 0
	if f, err := flow.DecodeAny([]byte(text), &r, one(&n)); err != nil || f != flow.JSON || n != 1 {
		t.Fatalf("read as %d records of %s: %v", n, f, err)
	}
	if v, ok := r.Extra("mine"); !ok || v.Type() != flow.ExtraList || string(v.Bytes()) != `{"a":[]}` || len(r.Extras()) != 1 {
		t.Errorf("an unknown member is %v", r.Extras())
	}
	if r.Uint(flow.Type) != 1 || r.Uint(flow.Bytes) != 7 || len(r.Uints(flow.ASPath)) != 2 || r.Uint(flow.Proto) != 17 || r.Uint(flow.Etype) != flow.EtypeIPv6 {
		t.Errorf("read as %s", flow.AppendJSON(nil, &r))
	}

	// A value that its field has no room for, or that is not of its kind, is no value of the field.
	for text, want := range map[string]string{
		`{"bytes":7,"type":10000000000}`:                               `{"bytes":7}`,
		`{"bytes":7,"src_port":4294967296}`:                            `{"bytes":7}`,
		`{"bytes":7,"sampler_address":9,"user_name":9}`:                `{"bytes":7}`,
		`{"bytes":7,"as_path":[1.5]}`:                                  `{"bytes":7}`,
		`{"bytes":7,"as_path":["Ethernet"]}`:                           `{"bytes":7}`,
		`{"bytes":7,"mpls_ip":[1,"::1"]}`:                              `{"bytes":7}`,
		`{"bytes":7,"layer_size":[null]}`:                              `{"bytes":7}`,
		`{"bytes":7,"layer_stack":["IPv4",5]}`:                         `{"bytes":7,"layer_stack":["IPv4","MPLS"]}`,
		`{"dvc":"10.0.0.1","bytes":7,"srcp":4294967296}`:               `{"sampler_address":"10.0.0.1","bytes":7}`,
		`{"dvc":"10.0.0.1","bytes":7,"time":18446744073710}`:           `{"sampler_address":"10.0.0.1","bytes":7}`,
		`{"dvc":"10.0.0.1","bytes":7,"time":9,"srcp":"x","dst":"::1"}`: `{"sampler_address":"10.0.0.1","bytes":7,"time_export_ns":9000000,"dst_addr":"::1"}`,
	} {
		var wanted flow.Record
		for text, r := range map[string]*flow.Record{text: &r, want: &wanted} {
			if _, err := flow.DecodeAny([]byte(text), r, func(*flow.Record) error { return nil }); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		if d := diff(&wanted, &r); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}

	for _, bad := range []string{
		"", "{", "{}", `{"mine":1}`, "[1]", "null", "hello", `{"dvc":{}}`, "\x00\x01", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x08", "\x0b\x08\x0c", "\x32\x03\x01\x02\x03",
	} {
		n := 0
		if f, err := flow.DecodeAny([]byte(bad), &r, one(&n)); !errors.Is(err, flow.ErrFormat) || n != 0 {
			t.Errorf("%q is read as %d records of %s: %v", bad, n, f, err)
		}
	}
}

// TestDecodeProtobuf reads what other encoders may write: lists that are not
// packed, fields of unknown numbers and types, fields that come twice.
func TestDecodeProtobuf(t *testing.T) {
	tag := func(number, wire uint64) []byte { return binary.AppendUvarint(nil, number<<3|wire) }
	cat := func(parts ...[]byte) (b []byte) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	message := cat(
		tag(102, 0), []byte{5}, tag(102, 0), []byte{0xac, 0x02}, // as_path, one by one
		tag(102, 2), []byte{2, 7, 8}, // and packed
		tag(1000, 0), []byte{0xff, 0x01}, tag(1001, 1), make([]byte, 8), tag(1002, 2), []byte{3, 1, 2, 3}, tag(1003, 5), make([]byte, 4),
		tag(9, 0), []byte{1}, tag(9, 0), []byte{2}, // bytes, twice
		tag(6, 2), []byte{0}, // src_addr, empty
		tag(7, 2), []byte{4, 10, 0, 0, 1},
		tag(21, 0), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, // a port of 64 bits
		tag(300, 2), []byte{9, 8, 5, 16, 6, 26, 1, 0xaa, 32, 1}, // an element with a field of its own beyond ours
	)
	var r flow.Record
	if err := flow.DecodeProtobuf(message, &r); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.Uints(flow.ASPath)); got != "[5 300 7 8]" {
		t.Errorf("as_path is %s", got)
	}
	if r.Uint(flow.Bytes) != 2 || r.Has(flow.SrcAddr) || r.Addr(flow.DstAddr) != netip.MustParseAddr("10.0.0.1") || r.Uint(flow.SrcPort) != math.MaxUint32 {
		t.Errorf("read as %s", flow.AppendJSON(nil, &r))
	}
	if e := r.Elements(); len(e) != 1 || e[0].Enterprise != 5 || e[0].ID != 6 || string(e[0].Value) != "\xaa" {
		t.Errorf("elements are %v", e)
	}
	for n := 1; n < len(message); n++ {
		_ = flow.DecodeProtobuf(message[:n], &r) // cut anywhere, it returns
	}
	for name, bad := range map[string][]byte{
		"field 0": {0, 0}, "group": tag(9, 3), "end of a group": tag(9, 4), "wire type 7": tag(9, 7), "cut number": tag(9, 0), "cut bytes": cat(tag(6, 2), []byte{4, 1}),
		"cut 32 bits": cat(tag(1000, 5), []byte{1}), "cut 64 bits": cat(tag(1000, 1), []byte{1}), "endless number": cat(tag(9, 0), bytes.Repeat([]byte{0x80}, 11)),
		"address of 3 octets": cat(tag(6, 2), []byte{3, 1, 2, 3}), "list's address of 3 octets": cat(tag(82, 2), []byte{3, 1, 2, 3}), "list cut in a number": cat(tag(102, 2), []byte{1, 0x80}),
		"cut element": cat(tag(300, 2), []byte{1, 8}), "element of a wrong type": cat(tag(300, 2), []byte{5, 13, 0, 0, 0, 0}), "length beyond all": cat(tag(6, 2), bytes.Repeat([]byte{0xff}, 9), []byte{1}),
	} {
		if err := flow.DecodeProtobuf(bad, &r); !errors.Is(err, flow.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 1<<16)
	key, _ := flow.ParseKey([]string{"src_addr", "dst_addr", "src_port"})
	for name, r := range samples() {
		for format := flow.Protobuf; format <= flow.KFlow; format++ {
			if n := testing.AllocsPerRun(100, func() {
				buf = format.Append(buf[:0], r)
				buf = flow.AppendKey(buf, r, key)
			}); n != 0 {
				t.Errorf("%s as %s: %v allocations", name, format, n)
			}
		}
	}
}

func TestDecodeProtobufDoesNotAllocate(t *testing.T) {
	for name, r := range samples() {
		b := flow.AppendDelimited(nil, r)
		var back flow.Record
		if n := testing.AllocsPerRun(100, func() {
			if _, err := flow.DecodeAny(b, &back, func(*flow.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzDecodeAny(f *testing.F) {
	for _, r := range samples() {
		for format := flow.Protobuf; format <= flow.KFlow; format++ {
			f.Add(format.Append(nil, r))
		}
		f.Add(flow.Packed.Append(flow.Packed.Append(nil, r), r))
	}
	f.Add([]byte(`{"proto_number":300,"etype_number":1,"src_net":"10.0.0.0/8","src_mac":"02:00:00:00:00:01","as_path":[1],"mpls_ip":["::1"],"layer_stack":["Custom"],"elements":[{"enterprise":1,"id":2,"value":"00ff"}]}`))
	f.Add([]byte(`{"dvc":"::1","time":18446744073709551615}`))
	f.Add([]byte(`{"bytes":7,"type":10000000000}`))
	f.Add([]byte("\xea\x12\x0e\n\x04A000*\x06000\x80\xea0")) // an extra with two octets in a row that are not UTF-8
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again flow.Record
		n := 0
		_, err := flow.DecodeAny(b, &r, func(r *flow.Record) error {
			n++
			// What was read is written and read the same.
			first := flow.AppendProtobuf(nil, r)
			if err := flow.DecodeProtobuf(first, &again); err != nil {
				t.Fatalf("%v of %x", err, first)
			}
			if d := diff(r, &again); d != "" {
				t.Fatal(d)
			}
			if second := flow.AppendProtobuf(nil, &again); !bytes.Equal(first, second) {
				t.Fatalf("%x is written again as %x", first, second)
			}
			text := flow.AppendJSON(nil, r)
			if !json.Valid(text) || !json.Valid(flow.AppendKFlow(nil, r)) {
				t.Fatalf("no JSON: %s", text)
			}
			var fromText flow.Record
			if f, err := flow.DecodeAny(text, &fromText, func(*flow.Record) error { return nil }); err != nil || f != flow.JSON {
				t.Fatalf("%s is read as %s: %v", text, f, err)
			}
			return nil
		})
		if err != nil && !errors.Is(err, flow.ErrFormat) {
			t.Fatal(err)
		}
		if n > len(b) {
			t.Fatalf("%d records of %d octets", n, len(b))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r := samples()["four"]
	for format := flow.Protobuf; format <= flow.KFlow; format++ {
		b.Run(format.String(), func(b *testing.B) {
			buf := format.Append(nil, r)
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				buf = format.Append(buf[:0], r)
			}
		})
	}
}

func BenchmarkDecodeAny(b *testing.B) {
	for format := flow.Protobuf; format <= flow.KFlow; format++ {
		b.Run(format.String(), func(b *testing.B) {
			var r flow.Record
			value := format.Append(nil, samples()["four"])
			b.ReportAllocs()
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				if _, err := flow.DecodeAny(value, &r, func(*flow.Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
