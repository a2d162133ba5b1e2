package flow_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tributary-net/tributary/flow"
)

func TestFields(t *testing.T) {
	fields := flow.Fields()
	numbers, names := map[uint16]bool{300: true}, map[string]bool{"elements": true}
	for i, info := range fields {
		f := flow.Field(i)
		if f.Info() != info || f.String() != info.Name {
			t.Errorf("field %d is described as %v", i, f.Info())
		}
		if g, ok := flow.FieldByName(info.Name); !ok || g != f {
			t.Errorf("%s is found as %d", info.Name, g)
		}
		if numbers[info.Number] || names[info.Name] || info.Number == 0 || info.Number >= 1<<11 {
			t.Errorf("%s, %d: used twice or of a tag beyond two octets", info.Name, info.Number)
		}
		numbers[info.Number], names[info.Name] = true, true
		if own := f > flow.IPv6RoutingHeaderSegLeft; own != (info.Number >= 200) {
			t.Errorf("%s has number %d: ours begin with 200", info.Name, info.Number)
		}
		numeric := info.Kind <= flow.KindNet || info.Kind == flow.KindUints || info.Kind == flow.KindLayers
		if info.Doc == "" || numeric != (info.Bits == 32 || info.Bits == 64) {
			t.Errorf("%s of kind %d has %d bits: %q", info.Name, info.Kind, info.Bits, info.Doc)
		}
	}
	if _, ok := flow.FieldByName("elements"); ok {
		t.Error("elements is no field")
	}
	if s := flow.Field(len(fields)).String(); s != "unknown" {
		t.Errorf("a field that is none is called %q", s)
	}
	fields[0].Name = "changed"
	if flow.Type.String() != "type" {
		t.Error("the table can be changed from outside")
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		flow.TypeUnknown.String(): "FLOWUNKNOWN", flow.TypeIPFIX.String(): "IPFIX", flow.FlowType(99).String(): "FLOWUNKNOWN",
		flow.SourceProbe.String(): "PROBE", flow.Source(99).String(): "UNKNOWN", flow.LayerTeredo.String(): "Teredo", flow.Layer(14).String(): "Custom",
		flow.EtypeName(0x0806): "ARP", flow.EtypeName(0x8847): "", flow.ProtoName(6): "TCP", flow.ProtoName(58): "IPv6-ICMP", flow.ProtoName(145): "NSH",
		flow.ProtoName(146): "unassigned", flow.ProtoName(252): "unassigned", flow.ProtoName(253): "experimental", flow.ProtoName(255): "reserved", flow.ProtoName(256): "unknown",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAccessors(t *testing.T) {
	var r flow.Record
	four, six, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1")
	absent := func(f flow.Field) {
		t.Helper()
		if r.Has(f) || r.Uint(f) != 0 || r.Addr(f).IsValid() || r.AddrBytes(f) != nil || r.Bytes(f) != nil || r.Uints(f) != nil || r.AddrCount(f) != 0 {
			t.Errorf("%s has a value", f)
		}
	}
	for i := range flow.Fields() {
		absent(flow.Field(i))
	}
	r.SetUint(flow.Bytes, 0)
	if !r.Has(flow.Bytes) || r.Uint(flow.Bytes) != 0 {
		t.Error("zero is no value")
	}
	r.SetUint(flow.Bytes, 1<<63)
	if r.Uint(flow.Bytes) != 1<<63 {
		t.Error("a number is not kept")
	}
	r.Unset(flow.Bytes)
	absent(flow.Bytes)

	for _, a := range []netip.Addr{four, six, mapped} {
		r.SetAddr(flow.SrcAddr, a)
		if r.Addr(flow.SrcAddr) != a || !bytes.Equal(r.AddrBytes(flow.SrcAddr), a.AsSlice()) {
			t.Errorf("%v is kept as %v", a, r.Addr(flow.SrcAddr))
		}
	}
	r.SetAddr(flow.SrcAddr, netip.Addr{})
	absent(flow.SrcAddr)

	r.SetBytes(flow.UserName, []byte("bob"))
	r.SetBytes(flow.InIfName, []byte("eth0"))
	r.SetBytes(flow.UserName, nil)
	if string(r.Bytes(flow.InIfName)) != "eth0" || !r.Has(flow.UserName) || len(r.Bytes(flow.UserName)) != 0 {
		t.Errorf("texts are %q and %q", r.Bytes(flow.InIfName), r.Bytes(flow.UserName))
	}

	// Lists that grow in turns.
	for i := range uint32(5) {
		r.AppendUint(flow.ASPath, i)
		r.AppendUint(flow.BGPCommunities, 100+i)
		r.AppendAddr(flow.MPLSIP, four)
		r.AppendAddr(flow.IPv6RoutingHeaderAddresses, six)
	}
	r.AppendAddr(flow.MPLSIP, netip.Addr{})
	r.AppendAddr16(flow.MPLSIP, six.As16())
	if !slices.Equal(r.Uints(flow.ASPath), []uint32{0, 1, 2, 3, 4}) || !slices.Equal(r.Uints(flow.BGPCommunities), []uint32{100, 101, 102, 103, 104}) {
		t.Errorf("lists are %v and %v", r.Uints(flow.ASPath), r.Uints(flow.BGPCommunities))
	}
	if r.AddrCount(flow.MPLSIP) != 6 || r.AddrAt(flow.MPLSIP, 4) != four || r.AddrAt(flow.MPLSIP, 5) != six || r.AddrCount(flow.IPv6RoutingHeaderAddresses) != 5 {
		t.Errorf("lists of %d and %d addresses", r.AddrCount(flow.MPLSIP), r.AddrCount(flow.IPv6RoutingHeaderAddresses))
	}

	r.AppendElement(29305, 1, []byte{1})
	r.AppendElement(0, 2, nil)
	if e := r.Elements(); len(e) != 2 || e[0].Enterprise != 29305 || e[1].ID != 2 {
		t.Errorf("elements are %v", e)
	}
	// Getters of another kind return whatever they like, but they return.
	for i := range flow.Fields() {
		f := flow.Field(i)
		r.SetUint(f, 1<<63|7)
		_, _, _, _, _, _ = r.Uint(f), r.Addr(f), r.AddrBytes(f), r.Bytes(f), r.Uints(f), r.AddrCount(f)
	}
	r.Reset()
	for i := range flow.Fields() {
		absent(flow.Field(i))
	}
	if len(r.Elements()) != 0 {
		t.Error("elements outlive Reset")
	}
}

// fieldsOf lists the fields whose kind is one of kinds.
func fieldsOf(kinds ...flow.Kind) (list []flow.Field) {
	for i, info := range flow.Fields() {
		if slices.Contains(kinds, info.Kind) {
			list = append(list, flow.Field(i))
		}
	}
	return list
}

var (
	numberFields = fieldsOf(flow.KindUint, flow.KindType, flow.KindSource, flow.KindTime, flow.KindMAC, flow.KindEtype, flow.KindProto, flow.KindNet)
	addrFields   = fieldsOf(flow.KindAddr)
	listFields   = fieldsOf(flow.KindUints, flow.KindLayers)
	addrsFields  = fieldsOf(flow.KindAddrs)
	bytesFields  = fieldsOf(flow.KindText, flow.KindBytes)
)

func drawAddr(t *rapid.T) netip.Addr {
	switch b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address"); rapid.IntRange(0, 3).Draw(t, "family") {
	case 0:
		return netip.AddrFrom16([16]byte(b))
	case 1:
		return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: b[0], 13: b[1], 14: b[2], 15: b[3]})
	default:
		return netip.AddrFrom4([4]byte(b))
	}
}

// drawNumber draws a number that the field's kind can have.
func drawNumber(t *rapid.T, f flow.Field) uint64 {
	info := f.Info()
	most := uint64(1)<<32 - 1
	if info.Bits == 64 {
		most = 1<<64 - 1
	}
	switch info.Kind {
	case flow.KindType:
		most = 4
	case flow.KindSource:
		most = 7
	case flow.KindMAC:
		most = 1<<48 - 1
	}
	// As many digits as any, and the edges of them.
	v := rapid.Uint64Max(most).Draw(t, info.Name) >> rapid.IntRange(0, 63).Draw(t, "shift")
	return min(v, most)
}

// drawRecord fills r with fields of all kinds.
func drawRecord(t *rapid.T, r *flow.Record) {
	r.Reset()
	for range rapid.IntRange(0, 30).Draw(t, "fields") {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1, 2, 3, 4:
			f := rapid.SampledFrom(numberFields).Draw(t, "field")
			r.SetUint(f, drawNumber(t, f))
		case 5:
			r.SetAddr(rapid.SampledFrom(addrFields).Draw(t, "field"), drawAddr(t))
		case 6:
			f := rapid.SampledFrom(listFields).Draw(t, "field")
			v := rapid.Uint32().Draw(t, "value")
			if f.Info().Kind == flow.KindLayers {
				if v %= 15; v == 14 {
					v = 99
				}
			}
			r.AppendUint(f, v)
		case 7:
			r.AppendAddr(rapid.SampledFrom(addrsFields).Draw(t, "field"), drawAddr(t))
		case 8:
			f := rapid.SampledFrom(bytesFields).Draw(t, "field")
			if f.Info().Kind == flow.KindText {
				r.SetBytes(f, []byte(rapid.String().Draw(t, "text")))
			}
			if f.Info().Kind == flow.KindBytes || rapid.IntRange(0, 4).Draw(t, "what") == 0 {
				r.SetBytes(f, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
			}
		default:
			r.AppendElement(rapid.Uint32().Draw(t, "enterprise"), rapid.Uint16().Draw(t, "id"), rapid.SliceOf(rapid.Byte()).Draw(t, "value"))
		}
	}
}

// diff tells where two records hold different values; zero and absent are the
// same.
func diff(want, got *flow.Record) string {
	for i := range flow.Fields() {
		f := flow.Field(i)
		if w, g := valueOf(want, f), valueOf(got, f); w != g {
			return fmt.Sprintf("%s is %s, want %s", f, g, w)
		}
	}
	if !slices.EqualFunc(want.Elements(), got.Elements(), func(a, b flow.Element) bool {
		return a.Enterprise == b.Enterprise && a.ID == b.ID && bytes.Equal(a.Value, b.Value)
	}) {
		return fmt.Sprintf("elements are %v, want %v", got.Elements(), want.Elements())
	}
	if !slices.EqualFunc(want.Extras(), got.Extras(), func(a, b flow.ExtraValue) bool {
		return a.Name() == b.Name() && a.Type() == b.Type() && a.Uint() == b.Uint() && valid(a.AppendTo(nil)) == valid(b.AppendTo(nil))
	}) {
		return fmt.Sprintf("extras are %v, want %v", got.Extras(), want.Extras())
	}
	return ""
}

// valid is a text with U+FFFD for each octet that is not UTF-8.
func valid(text []byte) string { return string([]rune(string(text))) }

func valueOf(r *flow.Record, f flow.Field) string {
	switch f.Info().Kind {
	case flow.KindAddr:
		return r.Addr(f).String()
	case flow.KindText:
		return valid(r.Bytes(f))
	case flow.KindBytes:
		return hex.EncodeToString(r.Bytes(f))
	case flow.KindUints, flow.KindLayers:
		return fmt.Sprint(r.Uints(f))
	case flow.KindAddrs:
		var list []netip.Addr
		for i := range r.AddrCount(f) {
			list = append(list, r.AddrAt(f, i))
		}
		return fmt.Sprint(list)
	default:
		return fmt.Sprint(r.Uint(f))
	}
}

// TestSharedFields holds a record that is used as decoders use it, with fields
// that all records of a datagram share, against one made afresh each time.
func TestSharedFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r flow.Record
		numbers, addrs := map[flow.Field]uint64{}, map[flow.Field]netip.Addr{} // what r should hold
		shared, sharedAddrs := map[flow.Field]uint64{}, map[flow.Field]netip.Addr{}
		var lists map[flow.Field][]uint32
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 8).Draw(t, "step") {
			case 0, 1, 2: // set a number
				f := rapid.SampledFrom(numberFields).Draw(t, "field")
				numbers[f] = drawNumber(t, f)
				r.SetUint(f, numbers[f])
				if _, ok := shared[f]; ok {
					shared[f] = numbers[f]
				}
			case 3: // set an address
				f := rapid.SampledFrom(addrFields).Draw(t, "field")
				addrs[f] = drawAddr(t)
				r.SetAddr(f, addrs[f])
				if _, ok := sharedAddrs[f]; ok {
					sharedAddrs[f] = addrs[f]
				}
			case 4: // several at once
				var set flow.FieldSet
				var list []flow.Field
				for range rapid.IntRange(0, 5).Draw(t, "count") {
					f := rapid.SampledFrom(numberFields).Draw(t, "field")
					set.Add(f)
					list = append(list, f)
				}
				r.Mark(set)
				for _, f := range list {
					numbers[f] = drawNumber(t, f)
					r.PutUint(f, numbers[f])
					if _, ok := shared[f]; ok {
						shared[f] = numbers[f]
					}
				}
			case 5: // a datagram begins
				r.Reset()
				clear(numbers)
				clear(addrs)
				lists = nil
				for range rapid.IntRange(0, 8).Draw(t, "count") {
					f := rapid.SampledFrom(numberFields).Draw(t, "field")
					numbers[f] = drawNumber(t, f)
					r.SetUint(f, numbers[f])
				}
				if rapid.Bool().Draw(t, "exporter") {
					addrs[flow.SamplerAddress] = drawAddr(t)
					r.SetAddr(flow.SamplerAddress, addrs[flow.SamplerAddress])
				}
				r.Share()
				shared, sharedAddrs = maps.Clone(numbers), maps.Clone(addrs)
			case 6: // a record begins
				r.Rebase()
				numbers, addrs, lists = maps.Clone(shared), maps.Clone(sharedAddrs), nil
			case 7: // take a field away
				f := rapid.SampledFrom(numberFields).Draw(t, "field")
				r.Unset(f)
				delete(numbers, f)
			case 8:
				f := rapid.SampledFrom(listFields).Draw(t, "field")
				v := rapid.Uint32Range(0, 13).Draw(t, "value")
				r.AppendUint(f, v)
				if lists == nil {
					lists = map[flow.Field][]uint32{}
				}
				lists[f] = append(lists[f], v)
			}
			var fresh flow.Record
			for f, v := range numbers {
				fresh.SetUint(f, v)
			}
			for f, a := range addrs {
				fresh.SetAddr(f, a)
			}
			for f, list := range lists {
				for _, v := range list {
					fresh.AppendUint(f, v)
				}
			}
			if d := diff(&fresh, &r); d != "" {
				t.Fatal(d)
			}
			for i := range flow.Fields() {
				if f := flow.Field(i); r.Has(f) != fresh.Has(f) {
					t.Fatalf("%s is present: %v", f, r.Has(f))
				}
			}
			format := rapid.SampledFrom([]flow.Format{flow.Protobuf, flow.ProtobufSingle, flow.JSON, flow.KFlow}).Draw(t, "format")
			if format == flow.Protobuf || format == flow.ProtobufSingle {
				// The order of fields is not the same; what they say is.
				var back flow.Record
				n := 0
				if err := flow.DecodeProtobuf(flow.AppendProtobuf(nil, &r), &back); err != nil {
					t.Fatal(err)
				}
				if d := diff(&fresh, &back); d != "" {
					t.Fatalf("%s: %s", format, d)
				}
				if format == flow.Protobuf {
					if _, err := flow.DecodeAny(format.Append(nil, &r), &back, func(*flow.Record) error { n++; return nil }); err != nil || n != 1 {
						t.Fatalf("%d records, %v", n, err)
					}
					if d := diff(&fresh, &back); d != "" {
						t.Fatalf("%s: %s", format, d)
					}
				}
				continue
			}
			if got, want := format.Append(nil, &r), format.Append(nil, &fresh); !bytes.Equal(got, want) {
				t.Fatalf("%s is\n%s, want\n%s", format, got, want)
			}
		}
	})
}
