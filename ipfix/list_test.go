package ipfix_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/ipfix"
)

// templatesByID are the templates of the tests.
type templatesByID map[uint16]*ipfix.Template

func (t templatesByID) Template(id uint16) *ipfix.Template { return t[id] }

func listTemplates() templatesByID {
	t := templatesByID{
		256: {ID: 256, Fields: []ipfix.Field{{ElementID: ipfix.ElementID{ID: 8}, Length: 4}, {ElementID: ipfix.ElementID{ID: 7}, Length: 2}}},
		257: {ID: 257, Fields: []ipfix.Field{{ElementID: ipfix.ElementID{ID: 468}, Length: ipfix.VariableLength}, {ElementID: ipfix.ElementID{ID: 210}, Length: 1}}},
		// An element twice, one without a name, a list.
		258: {ID: 258, Fields: []ipfix.Field{
			{ElementID: ipfix.ElementID{ID: 484}, Length: ipfix.VariableLength},
			{ElementID: ipfix.ElementID{ID: 4}, Length: 1},
			{ElementID: ipfix.ElementID{Enterprise: 99999, ID: 7}, Length: 2},
			{ElementID: ipfix.ElementID{ID: 4}, Length: 1},
		}},
		259: {ID: 259, Fields: []ipfix.Field{{ElementID: ipfix.ElementID{ID: 292}, Length: ipfix.VariableLength}}}, // refers to itself
	}
	for _, x := range t {
		x.Measure()
	}
	return t
}

func TestLists(t *testing.T) {
	const bad = "\x00"
	var l ipfix.Lists
	for _, c := range []struct {
		name  string
		typ   ipfix.DataType
		value string // hexadecimal, spaces between parts
		want  string
	}{
		{"numbers", ipfix.BasicList, "04 01e3 0004 fde80065 fde80066", `{"semantic":"ordered","element":"bgp_community","values":[4259840101,4259840102]}`},
		{"none", ipfix.BasicList, "00 01e3 0004", `{"semantic":"noneOf","element":"bgp_community","values":[]}`},
		{"enterprise", ipfix.BasicList, "ff 8076 0002 00008b30 00bc 0101", `{"semantic":"undefined","element":"l7_proto","values":[188,257]}`},
		{"unknown element", ipfix.BasicList, "07 8007 0001 0001869f ab", `{"semantic":7,"element":"99999/7","values":["ab"]}`},
		{"texts", ipfix.BasicList, "01 01d4 ffff 01 61 ff0002 6263 00", `{"semantic":"exactlyOneOf","element":"http_user_agent","values":["a","bc",""]}`},
		{"records", ipfix.SubTemplateList, "03 0100 c0000201 0050 c0000202 01bb", `{"semantic":"allOf","template":256,"records":[{"source_ipv4_address":"192.0.2.1","source_transport_port":80},{"source_ipv4_address":"192.0.2.2","source_transport_port":443}]}`},
		{"no records", ipfix.SubTemplateList, "02 03e7", `{"semantic":"oneOrMoreOf","template":999,"records":[]}`},
		{"records of any length", ipfix.SubTemplateList, "03 0101 02 6162 00 00 00", `{"semantic":"allOf","template":257,"records":[{"http_user_agent":"ab"},{"http_user_agent":""}]}`},
		{"several templates", ipfix.SubTemplateMultiList, "03 0100 000a c0000201 0050 0101 0007 01 61 00 0100 0004", `{"semantic":"allOf","lists":[{"template":256,"records":[{"source_ipv4_address":"192.0.2.1","source_transport_port":80}]},{"template":257,"records":[{"http_user_agent":"a"}]},{"template":256,"records":[]}]}`},
		{"empty", ipfix.SubTemplateMultiList, "ff", `{"semantic":"undefined","lists":[]}`},
		{"list in a record", ipfix.SubTemplateList, "03 0102 09 04 01e3 0004 00000001 06 1234 11", `{"semantic":"allOf","template":258,"records":[{"bgp_source_community_list":{"semantic":"ordered","element":"bgp_community","values":[1]},"protocol_identifier":6,"99999/7":"1234","protocol_identifier_2":17}]}`},
		{"list in a list", ipfix.BasicList, "03 0123 0009 04 01e3 0004 00000001", `{"semantic":"allOf","element":"basic_list","values":[{"semantic":"ordered","element":"bgp_community","values":[1]}]}`},

		{"no octets", ipfix.BasicList, "", bad},
		{"no element", ipfix.BasicList, "04 01e3 00", bad},
		{"no enterprise", ipfix.BasicList, "04 81e3 0004 0000", bad},
		{"values of no octets", ipfix.BasicList, "04 01e3 0000", bad},
		{"half a value", ipfix.BasicList, "04 01e3 0004 fde80065 fde8", bad},
		{"a text too long", ipfix.BasicList, "01 01d4 ffff 03 6162", bad},
		{"a length cut short", ipfix.BasicList, "01 01d4 ffff ff00", bad},
		{"no template id", ipfix.SubTemplateList, "03 01", bad},
		{"unknown template", ipfix.SubTemplateList, "03 03e7 00", bad},
		{"half a record", ipfix.SubTemplateList, "03 0100 c0000201 0050 c000", bad},
		{"padding", ipfix.SubTemplateList, "03 0100 c0000201 0050 0000", bad},
		{"a record cut short", ipfix.SubTemplateList, "03 0101 05 6162 00", bad},
		{"a run too long", ipfix.SubTemplateMultiList, "03 0100 000b c0000201 0050", bad},
		{"a run too short", ipfix.SubTemplateMultiList, "03 0100 0003", bad},
		{"a bad list in a record", ipfix.SubTemplateList, "03 0102 02 04 01 06 1234 11", bad},
		{"too deep", ipfix.SubTemplateList, "03 0103 1c 03 0103 18 03 0103 14 03 0103 10 03 0103 0c 03 0103 08 03 0103 04 03 0103 00", bad},
		{"no list", ipfix.OctetArray, "03", bad},
	} {
		value, err := hex.DecodeString(strings.ReplaceAll(c.value, " ", ""))
		if err != nil {
			t.Fatal(c.name, err)
		}
		got, err := l.Append([]byte("x"), c.typ, value, listTemplates(), 1000)
		switch {
		case c.want == bad:
			if !errors.Is(err, ipfix.ErrList) || string(got) != "x" {
				t.Errorf("%s: %s, %v", c.name, got, err)
			}
		case err != nil || string(got) != "x"+c.want || !json.Valid(got[1:]):
			t.Errorf("%s:\n%s, %v, want\n%s", c.name, got, err, c.want)
		default:
			// The text may be as long as it is, and no longer.
			if _, err := l.Append([]byte("x"), c.typ, value, listTemplates(), len(c.want)); err != nil {
				t.Errorf("%s: %v in as many octets", c.name, err)
			}
			if got, err := l.Append([]byte("x"), c.typ, value, listTemplates(), len(c.want)-1); err == nil || string(got) != "x" {
				t.Errorf("%s: %s in one octet less", c.name, got)
			}
		}
	}
}

func TestListsDoNotAllocate(t *testing.T) {
	value, _ := hex.DecodeString("030102090401e300040000000106123411")
	templates := listTemplates()
	var l ipfix.Lists
	var b []byte
	if n := testing.AllocsPerRun(100, func() {
		var err error
		if b, err = l.Append(b[:0], ipfix.SubTemplateList, value, templates, 1000); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestListsAreBounded: text grows no further than its limit, whatever a list says.
func TestListsAreBounded(t *testing.T) {
	wide := &ipfix.Template{ID: 300}
	for range ipfix.MaxFields - 1 {
		wide.Fields = append(wide.Fields, ipfix.Field{ElementID: ipfix.ElementID{ID: 8}})
	}
	wide.Fields = append(wide.Fields, ipfix.Field{ElementID: ipfix.ElementID{ID: 4}, Length: 1})
	wide.Measure()
	value := append([]byte{3, 1, 44}, make([]byte, 60000)...)
	var l ipfix.Lists
	const limit = 1 << 16
	if b, err := l.Append(nil, ipfix.SubTemplateList, value, templatesByID{300: wide}, limit); err == nil || cap(b) > 4*limit {
		t.Errorf("%d octets of text in %d, %v", len(b), cap(b), err)
	}
	if b, err := l.Append(nil, ipfix.SubTemplateList, value[:100], templatesByID{300: wide}, limit); err != nil {
		t.Errorf("%s, %v", b, err)
	}
}

func TestFieldNames(t *testing.T) {
	for name, want := range map[string]string{
		"octetDeltaCount": "octet_delta_count", "sourceIPv4Address": "source_ipv4_address", "natPoolId": "nat_pool_id", "ipTTL": "ip_ttl", "dot1qVlanId": "dot1q_vlan_id",
		"postNATSourceIPv6Address": "post_nat_source_ipv6_address", "maxBIBEntries": "max_bib_entries", "srhSegmentIPv6BasicList": "srh_segment_ipv6_basic_list",
		"mplsTopLabelIPv4Address": "mpls_top_label_ipv4_address", "flowLabelIPv6": "flow_label_ipv6", "HTTP_URL": "http_url", "JA3C_HASH": "ja3_c_hash", "a.b c": "a_b_c",
	} {
		if got := (ipfix.Element{Name: name}).FieldName(); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := (ipfix.Element{ElementID: ipfix.ElementID{Enterprise: 9, ID: 7}}).FieldName(); got != "9/7" {
		t.Errorf("an element without a name is %s", got)
	}
}

func FuzzLists(f *testing.F) {
	for _, s := range []string{"0401e30004fde80065", "ff8076000200008b3000bc0101", "0101d4ffff0161ff0002626300", "030100c00002010050", "030102090401e300040000000106123411", "030100000ac0000201005001010007016100", "03010308030103"} {
		b, _ := hex.DecodeString(s)
		for typ := ipfix.BasicList; typ <= ipfix.SubTemplateMultiList; typ++ {
			f.Add(uint8(typ), b)
		}
	}
	templates := listTemplates()
	var l ipfix.Lists
	f.Fuzz(func(t *testing.T, typ uint8, value []byte) {
		got, err := l.Append(nil, ipfix.DataType(typ), value, templates, 1<<14)
		if err == nil && (!json.Valid(got) || len(got) > 1<<14) || err != nil && len(got) > 0 {
			t.Fatalf("%s, %v", got, err)
		}
	})
}
