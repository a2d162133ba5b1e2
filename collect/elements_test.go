package collect_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
)

func elements(t testing.TB, specs ...string) (list []collect.NamedElement) {
	t.Helper()
	for _, s := range specs {
		e, err := collect.ParseElement(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	if err := collect.CheckElements(list); err != nil {
		t.Fatal(err)
	}
	return list
}

// extras is what extra fields a record has, as text.
func extras(r *flow.Record) string {
	var b []string
	for _, v := range r.Extras() {
		b = append(b, fmt.Sprintf("%s:%s=%s", v.Name(), v.Type(), v.AppendTo(nil)))
	}
	return strings.Join(b, " ")
}

func TestParseElement(t *testing.T) {
	for spec, want := range map[string]string{
		"9/12345=my_field:uint":               "9/12345 my_field uint",
		"35632/118":                           "35632/118 l7_proto uint",
		"L7_PROTO=app":                        "35632/118 app uint",
		"samplerName":                         "84 sampler_name string",
		"84:bytes":                            "84 sampler_name bytes",
		"29305/1":                             "29305/1 reverse_octet_delta_count uint",
		"reverseOctetDeltaCount=back":         "29305/1 back uint",
		"33000=acl:bytes":                     "33000 acl bytes",
		"bgpSourceCommunityList=source":       "484 source list",
		"monitoringIntervalStartMilliSeconds": "359 monitoring_interval_start_milli_seconds time",
		"99999/1=seen:time":                   "99999/1 seen time",
		"7=source_port:uint":                  "7 source_port uint",
	} {
		e, err := collect.ParseElement(spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if got := fmt.Sprint(e.ID, " ", e.Field.Name(), " ", e.Field.Type()); got != want {
			t.Errorf("%s is %s, want %s", spec, got, want)
		}
	}
	for spec, want := range map[string]string{
		"":                    "allowed is ELEMENT",
		"noSuchElement":       "allowed is ELEMENT",
		"9/x=a:uint":          "allowed is ELEMENT",
		"9/65536=a:uint":      "allowed is ELEMENT",
		"0=a:uint":            "allowed is ELEMENT",
		"4294967296/1=a:uint": "allowed is ELEMENT",
		"99999/1":             "no name in the registry",
		"99999/1=a":           "no type in the registry",
		"99999/1=a:number":    "allowed are uint",
		"99999/1=a:list":      "no list in the registry",
		"84=a:time":           "no time in the registry",
		"84=src_addr":         "have a field of that name",
		"84=my-name":          "allowed are up to 64 letters",
		"84=":                 "allowed are up to 64 letters",
		"84=a:":               "allowed are uint",
	} {
		if e, err := collect.ParseElement(spec); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s is %v: %v, want one line with %q", spec, e, err, want)
		}
	}
	for want, specs := range map[string][2]string{
		"both a and b":         {"84=a", "84=b"},
		"both string and uint": {"84=a", "85=a"},
	} {
		var list []collect.NamedElement
		for _, s := range specs {
			e, err := collect.ParseElement(s)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
		if err := collect.CheckElements(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", specs, err, want)
		}
	}
}

// TestNamedElements: values of all types, of exact, reduced and wrong length.
func TestNamedElements(t *testing.T) {
	for _, c := range []struct {
		spec, value string
		want        string // nothing: the element stays one
	}{
		{"99999/1=x:uint", "\x01\x02\x03", "x:uint=66051"},
		{"99999/1=x:uint", "123456789", ""},
		{"99999/1=x:int", "\xff", "x:int=-1"},
		{"99999/1=x:int", "\x7f\xff", "x:int=32767"},
		{"99999/1=x:float", "\x3f\xc0\x00\x00", "x:float=1.5"},
		{"99999/1=x:float", "\xbf\xf8\x00\x00\x00\x00\x00\x00", "x:float=-1.5"},
		{"99999/1=x:float", "\x00\x00", ""},
		{"99999/1=x:string", "abc\x00\x00", "x:string=abc"},
		{"99999/1=x:bytes", "\x00\xab", "x:bytes=00ab"},
		{"99999/1=x:ip", "\xc0\x00\x02\x01", "x:ip=192.0.2.1"},
		{"99999/1=x:ip", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", "x:ip=2001:db8::1"},
		{"99999/1=x:ip", "\xc0\x00\x02", ""},
		{"99999/1=x:mac", "\x02\x00\x00\x00\x00\x01", "x:mac=02:00:00:00:00:01"},
		{"99999/1=x:mac", "\x02\x00\x00\x00\x00\x00\x00\x01", ""},
		{"99999/1=x:bool", "\x01", "x:bool=true"},
		{"99999/1=x:bool", "\x02", "x:bool=false"},
		{"99999/1=x:bool", "\x00", "x:bool=false"},
		{"99999/1=x:bool", "\x07", ""},
		{"99999/1=x:time", "\x00\x00\x00\x02", "x:time=2000000000"},
		{"99999/1=x:time", "\x00\x00\x00\x00\x00\x00\x00\x02", "x:time=2000000"},
		{"258=x", "\x00\x00\x00\x00\x00\x00\x00\x02", "x:time=2000000"},
		{"324=x", "\x83\xaa\x7e\x81\x80\x00\x00\x00", "x:time=1500000000"},
	} {
		list := elements(t, c.spec)
		d := &collector{t, collect.NewDecoder(collect.DecoderConfig{Elements: list})}
		id := list[0].ID
		for _, length := range []int{len(c.value), 65535} {
			value := c.value
			if length == 65535 {
				value = string(rune(len(c.value))) + value
			}
			f := field{id: id.ID, length: uint16(length), enterprise: id.Enterprise}
			r := d.want(1, v10{domain: uint32(length)}.with(set(2, template(256, f, field{id: 4, length: 1})), set(256, cat(value, uint8(6)))))[0]
			check(t, r, values{flow.Proto: 6})
			if got := extras(r); got != c.want {
				t.Errorf("%s of %d: %s, want %q", c.spec, length, got, c.want)
			}
			if e := r.Elements(); (c.want == "") != (len(e) == 1 && string(e[0].Value) == c.value) {
				t.Errorf("%s of %d: elements are %v", c.spec, length, e)
			}
		}
	}
}

// TestNamedBeside: an element with a field of the table keeps that, aliases of v9
// are understood, and a name is given once.
func TestNamedBeside(t *testing.T) {
	list := elements(t, "7=source", "9/232=acl", "35632/118", "29305/1=back", "27=any_address", "8=any_address")
	c := &collector{t, collect.NewDecoder(collect.DecoderConfig{Elements: list})}
	r := c.want(1, v9{}.with(set(0, template(256, field{id: 7, length: 2}, field{id: 33000, length: 2}, field{id: 57590, length: 2}, field{id: 8, length: 4}, field{id: 27, length: 16})),
		set(256, cat(uint16(80), "ab", uint16(188), ip("192.0.2.1"), ip("2001:db8::1")))))[0]
	check(t, r, values{flow.SrcPort: 80, flow.IngressACLID: "ab", flow.SrcAddr: ip("2001:db8::1")})
	if got, want := extras(r), "source:uint=80 acl:bytes=6162 l7_proto:uint=188 any_address:ip=192.0.2.1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(r.Elements()) != 0 {
		t.Errorf("elements are %v", r.Elements())
	}
	r = c.want(1, v10{}.with(set(2, template(256, field{id: 1, length: 8, enterprise: 29305})), set(256, cat(uint64(math.MaxUint64)))))[0]
	check(t, r, values{flow.ReverseBytes: -1})
	if got, want := extras(r), "back:uint=18446744073709551615"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestEvents: what devices say of address translation and of connections refused is
// whole, also when there is no flow in it (RFC 8158, Cisco NSEL).
func TestEvents(t *testing.T) {
	tests := []struct {
		name   string
		fields []field
		rec    []byte
		want   values
		extras string
	}{
		{
			"port block",
			[]field{{id: 323, length: 8}, {id: 230, length: 1}, {id: 8, length: 4}, {id: 225, length: 4}, {id: 361, length: 2}, {id: 362, length: 2}, {id: 363, length: 2}, {id: 364, length: 2}, {id: 229, length: 1}, {id: 283, length: 4}, {id: 284, length: 65535}},
			cat(uint64(5000), uint8(16), ip("100.64.0.9"), ip("192.0.2.9"), uint16(1024), uint16(2047), uint16(1), uint16(1024), uint8(1), uint32(7), uint8(4), "pool"),
			values{flow.TimeEvent: 5e9, flow.NATEvent: 16, flow.SrcAddr: ip("100.64.0.9"), flow.PostNATSrcAddr: ip("192.0.2.9"), flow.PortRangeStart: 1024, flow.PortRangeEnd: 2047, flow.PortRangeStepSize: 1, flow.PortRangeNumPorts: 1024, flow.NATOriginatingAddressRealm: 1, flow.NATPoolID: 7, flow.NATPoolName: "pool"},
			"",
		},
		{
			"quota exceeded",
			[]field{{id: 323, length: 8}, {id: 230, length: 1}, {id: 466, length: 4}, {id: 471, length: 4}, {id: 463, length: 4}, {id: 464, length: 2}, {id: 465, length: 2}},
			cat(uint64(5000), uint8(13), uint32(3), uint32(1000), uint32(12), "in", "ex"),
			values{flow.NATEvent: 13, flow.NATInstanceID: 12, flow.InternalAddressRealm: "in", flow.ExternalAddressRealm: "ex", flow.TimeFlowStart: 5e9, flow.TimeFlowEnd: 5e9},
			"nat_quota_exceeded_event:uint=3 max_session_entries:uint=1000",
		},
		{
			"thresholds",
			[]field{{id: 230, length: 1}, {id: 467, length: 4}, {id: 476, length: 4}, {id: 297, length: 1}, {id: 482, length: 3}},
			cat(uint8(14), uint32(1), uint32(90), uint8(2), "vpn"),
			values{flow.NATEvent: 14},
			"nat_threshold_event:uint=1 address_pool_high_threshold:uint=90 nat_type:uint=2 vpn_identifier:bytes=76706e",
		},
		{
			"denied",
			[]field{{id: 233, length: 1}, {id: 234, length: 2, enterprise: 9}, {id: 232, length: 12, enterprise: 9}, {id: 233, length: 12, enterprise: 9}},
			cat(uint8(3), uint16(1001), "aaaabbbbcccc", make([]byte, 12)),
			values{flow.FirewallEvent: 3, flow.FirewallExtEvent: 1001, flow.IngressACLID: "aaaabbbbcccc", flow.EgressACLID: strings.Repeat("\x00", 12)},
			"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newCollector(t).want(1, v10{}.with(set(2, template(256, tt.fields...)), set(256, tt.rec)))[0]
			check(t, r, tt.want)
			if len(r.Elements()) != 0 || extras(r) != tt.extras {
				t.Errorf("elements are %v, want none; extra fields are %s, want %s", r.Elements(), extras(r), tt.extras)
			}
		})
	}
}

// TestLists: lists become fields; those that cannot be read stay elements.
func TestLists(t *testing.T) {
	c := newCollector(t)
	basic := cat(uint8(4), uint16(483), uint16(4), uint32(1), uint32(2))
	sub := cat(uint8(3), uint16(300), ip("192.0.2.1"), uint16(80))
	damaged := cat(uint8(3), uint16(301), uint8(0))
	variable := func(b []byte) []byte { return cat(uint8(len(b)), b) }
	fields := []field{{id: 484, length: 65535}, {id: 291, length: 65535}, {id: 291, length: 65535}, {id: 292, length: 65535}, {id: 292, length: 65535}, {id: 4, length: 1}}
	rec := cat(variable(basic), variable(basic), variable(basic), variable(sub), variable(damaged), uint8(6))
	const values1 = `{"semantic":"ordered","element":"bgp_community","values":[1,2]}`
	const records1 = `{"semantic":"allOf","template":300,"records":[{"source_ipv4_address":"192.0.2.1","source_transport_port":80}]}`
	all := v10{}.with(set(2, template(256, fields...), template(300, field{id: 8, length: 4}, field{id: 7, length: 2})), set(256, rec, rec))
	for _, r := range c.want(2, all) {
		check(t, r, values{flow.Proto: 6})
		if got, want := extras(r), "bgp_source_community_list:list="+values1+" basic_list:list="+values1+" basic_list_2:list="+values1+" sub_template_list:list="+records1; got != want {
			t.Errorf("%s, want\n%s", got, want)
		}
		if e := r.Elements(); len(e) != 1 || e[0].ID != 292 || string(e[0].Value) != string(damaged) {
			t.Errorf("elements are %v", e)
		}
	}

	// In the name that configuration gives, and of a template that comes too late.
	d := &collector{t, collect.NewDecoder(collect.DecoderConfig{Elements: elements(t, "484=communities", "292=parts")})}
	late := v10{}.with(set(2, template(256, field{id: 484, length: uint16(len(basic))}, field{id: 292, length: 65535})), set(256, cat(basic, variable(sub))))
	r := d.want(1, late)[0]
	if got, want := extras(r), "communities:list="+values1; got != want || len(r.Elements()) != 1 {
		t.Errorf("%s, want %s; elements are %v", got, want, r.Elements())
	}
	d.want(0, v10{sequence: 1}.with(set(2, template(300, field{id: 8, length: 4}, field{id: 7, length: 2}))))
	r = d.want(1, late)[0]
	if got, want := extras(r), "communities:list="+values1+" parts:list="+records1; got != want || len(r.Elements()) != 0 {
		t.Errorf("%s, want %s; elements are %v", got, want, r.Elements())
	}
}

// TestListsBounded: the text of all lists in a datagram stays within its bound,
// what is beyond stays octets.
func TestListsBounded(t *testing.T) {
	c := newCollector(t)
	fields := make([]field, 100)
	for i := range fields {
		fields[i] = field{id: 15, length: 1}
	}
	record := func(n int) []byte {
		b := cat(uint8(3), uint16(300), make([]byte, n))
		return cat(uint8(255), uint16(len(b)), b)
	}
	list := field{id: 292, length: 65535}
	first := v10{}.with(set(2, template(300, fields...), template(256, list)))
	c.want(0, first)
	var recs []byte
	for range 60 {
		recs = append(recs, record(1000)...) // some 40 octets of text for each octet
	}
	listed, kept, text := 0, 0, 0
	for _, r := range c.want(60, v10{}.with(set(256, recs))) {
		for _, v := range r.Extras() {
			listed++
			text += len(v.Bytes())
		}
		kept += len(r.Elements())
	}
	if listed+kept != 60 || listed == 0 || kept == 0 || text > 1<<20 {
		t.Errorf("%d lists of %d octets of text, %d kept as they came", listed, text, kept)
	}
	if r := c.want(1, v10{}.with(set(256, record(60000))))[0]; len(r.Extras()) != 0 || len(r.Elements()) != 1 {
		t.Errorf("a huge list becomes %d fields", len(r.Extras()))
	}
}
