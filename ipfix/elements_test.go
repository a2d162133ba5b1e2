package ipfix_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tributary-net/tributary/ipfix"
)

// captures gives the folder of recorded exports with expected results, which is not part of the project.
func captures(t *testing.T) string {
	t.Helper()
	shared := os.Getenv("TRIBUTARY_SHARED")
	if shared == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			if filepath.Dir(dir) == dir {
				t.Fatal("no go.mod above the working directory")
			}
			dir = filepath.Dir(dir)
		}
		shared = filepath.Join(filepath.Dir(dir), "shared")
	}
	dir := filepath.Join(shared, "captures")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no captures: %v", err)
		}
		t.Skipf("captures are not here: %v", err)
	}
	return dir
}

func TestLookupElement(t *testing.T) {
	const (
		delta = ipfix.SemanticsDeltaCounter
		ident = ipfix.SemanticsIdentifier
	)
	tests := []struct {
		enterprise uint32
		id         uint16
		want       ipfix.Element
	}{
		{0, ipfix.OctetDeltaCount, ipfix.Element{Name: "octetDeltaCount", Type: ipfix.Unsigned64, Semantics: delta, Units: ipfix.UnitsOctets}},
		{0, 2, ipfix.Element{Name: "packetDeltaCount", Type: ipfix.Unsigned64, Semantics: delta, Units: ipfix.UnitsPackets}},
		{0, ipfix.SourceIPv4Address, ipfix.Element{Name: "sourceIPv4Address", Type: ipfix.IPv4Address}},
		{0, 21, ipfix.Element{Name: "flowEndSysUpTime", Type: ipfix.Unsigned32, Units: ipfix.UnitsMilliseconds}},
		{0, 152, ipfix.Element{Name: "flowStartMilliseconds", Type: ipfix.DateTimeMilliseconds, Units: ipfix.UnitsMilliseconds}},
		{0, 276, ipfix.Element{Name: "dataRecordsReliability", Type: ipfix.Boolean}},
		{0, ipfix.BasicListElement, ipfix.Element{Name: "basicList", Type: ipfix.BasicList, Semantics: ipfix.SemanticsList}},
		{0, ipfix.Ipv4IHL, ipfix.Element{Name: "ipv4IHL", Type: ipfix.Unsigned8, Units: ipfix.UnitsFourOctetWords}},
		{0, 515, ipfix.Element{Name: "ipv6ExtensionHeadersFull", Type: ipfix.Unsigned256, Semantics: ipfix.SemanticsFlags}},
		{29305, 1, ipfix.Element{Name: "reverseOctetDeltaCount", Type: ipfix.Unsigned64, Semantics: delta, Units: ipfix.UnitsOctets}},
		{29305, 184, ipfix.Element{Name: "reverseTcpSequenceNumber", Type: ipfix.Unsigned32}},
		{6871, 14, ipfix.Element{Name: "initialTCPFlags", Type: ipfix.Unsigned16, Semantics: ipfix.SemanticsFlags}},
		{6871, 14 | 0x4000, ipfix.Element{Name: "reverseInitialTCPFlags", Type: ipfix.Unsigned16, Semantics: ipfix.SemanticsFlags}},
		{35632, 118, ipfix.Element{Name: "L7_PROTO", Type: ipfix.Unsigned16, Semantics: ident}},
		{0, 57590, ipfix.Element{Name: "L7_PROTO", Type: ipfix.Unsigned16, Semantics: ident}},
		{0, 33000, ipfix.Element{Name: "ingressAclId", Type: ipfix.OctetArray, Semantics: ident}},
		{0, 40005, ipfix.Element{Name: "firewallEvent", Type: ipfix.Unsigned8, Semantics: ident}},
		{9, 12236, ipfix.Element{Name: "clientIPv4Address", Type: ipfix.IPv4Address}},
		{0, 45004, ipfix.Element{Name: "clientIPv4Address", Type: ipfix.IPv4Address}},
		{0, 56701, ipfix.Element{Name: "appId", Type: ipfix.String}},
		{2636, 137, ipfix.Element{Name: "juniperCommonPropertiesId", Type: ipfix.Unsigned32, Semantics: ident}},
		{6876, 881, ipfix.Element{Name: "tenantSourceIPv4", Type: ipfix.IPv4Address}},
		{637, 93, ipfix.Element{Name: "aluNatSubString", Type: ipfix.String}},
		{10704, 9, ipfix.Element{Name: "BindTransportPort", Type: ipfix.Unsigned16, Semantics: ident}},
	}
	for _, test := range tests {
		test.want.ElementID = ipfix.ElementID{Enterprise: test.enterprise, ID: test.id}
		got, ok := ipfix.LookupElement(test.enterprise, test.id)
		if !ok {
			t.Errorf("%v is not known", test.want.ElementID)
			continue
		}
		// Semantics of addresses and the like are not the point here.
		if test.want.Semantics == 0 {
			got.Semantics = 0
		}
		if got != test.want {
			t.Errorf("%v: got %#v, want %#v", test.want.ElementID, got, test.want)
		}
	}
	for _, id := range []ipfix.ElementID{{0, 0}, {0, 65}, {0, 127}, {0, 600}, {0, 5000}, {0, 32767}, {0, 65535}, {29305, 0}, {29305, 65535}, {6871, 0x4000}, {6871, 0xffff}, {123456, 1}} {
		if e, ok := ipfix.LookupElement(id.Enterprise, id.ID); ok {
			t.Errorf("%v: got %+v, want nothing", id, e)
		}
	}
}

func TestElementByName(t *testing.T) {
	for name, want := range map[string]ipfix.ElementID{
		"octetDeltaCount":         {0, 1},
		"reversePacketTotalCount": {29305, 86},
		"silkAppLabel":            {6871, 33},
		"L7_PROTO_NAME":           {35632, 119},
		"Timestamp":               {10704, 1}, // 12326 calls one so too
		"flowId":                  {0, 148},   // and so does F5
	} {
		e, ok := ipfix.ElementByName(name)
		if !ok || e.ElementID != want {
			t.Errorf("%s: got %v, %t, want %v", name, e.ElementID, ok, want)
		}
	}
	if e, ok := ipfix.ElementByName(""); ok {
		t.Errorf("the empty name gives %+v", e)
	}
}

func TestElements(t *testing.T) {
	n := 0
	perEnterprise := map[uint32]int{}
	var last ipfix.ElementID
	for e := range ipfix.Elements() {
		n++
		perEnterprise[e.Enterprise]++
		if e.Enterprise < last.Enterprise || e.Enterprise == last.Enterprise && e.ID <= last.ID {
			t.Fatalf("%v comes after %v", e.ElementID, last)
		}
		last = e.ElementID
		if got, ok := ipfix.LookupElement(e.Enterprise, e.ID); !ok || got != e {
			t.Errorf("LookupElement(%v) gives %+v, want %+v", e.ElementID, got, e)
		}
		if _, ok := ipfix.ElementByName(e.Name); !ok {
			t.Errorf("%s is not found by name", e.Name)
		}
		if e.Type.String() == "" || e.Semantics.String() == "" || e.Units.String() == "" {
			t.Errorf("%+v has an unknown type, semantics or unit", e)
		}
	}
	if n < 1700 || perEnterprise[0] < 500 {
		t.Errorf("%d elements, %d of them IANA's: some are missing", n, perEnterprise[0])
	}
	for range ipfix.Elements() {
		break // a consumer may stop early
	}
}

func TestDataTypes(t *testing.T) {
	// Numbers of IANA's "IPFIX Information Element Data Types" (RFC 5610, 6313).
	for typ, want := range map[ipfix.DataType]struct {
		number uint8
		name   string
		width  int
	}{
		ipfix.OctetArray: {0, "octetArray", 0}, ipfix.Unsigned64: {4, "unsigned64", 8}, ipfix.Signed8: {5, "signed8", 1},
		ipfix.Float64: {10, "float64", 8}, ipfix.Boolean: {11, "boolean", 1}, ipfix.MACAddress: {12, "macAddress", 6},
		ipfix.String: {13, "string", 0}, ipfix.DateTimeNanoseconds: {17, "dateTimeNanoseconds", 8},
		ipfix.IPv4Address: {18, "ipv4Address", 4}, ipfix.IPv6Address: {19, "ipv6Address", 16},
		ipfix.SubTemplateMultiList: {22, "subTemplateMultiList", 0}, 200: {200, "", 0},
	} {
		if uint8(typ) != want.number || typ.String() != want.name || typ.Width() != want.width {
			t.Errorf("type %d: %q of %d octets, want number %d, %q, %d", typ, typ, typ.Width(), want.number, want.name, want.width)
		}
	}
	if got := ipfix.SemanticsSNMPGauge; got.String() != "snmpGauge" || ipfix.Semantics(99).String() != "" {
		t.Errorf("semantics %d is %q", got, got)
	}
	if got := ipfix.UnitsFrames; got != 13 || got.String() != "frames" || ipfix.Units(99).String() != "" {
		t.Errorf("unit %d is %q", got, got)
	}
}

// TestCSV holds the compiled table against the list it is made from.
func TestCSV(t *testing.T) {
	f, err := os.Open("elements.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	r.FieldsPerRecord = 6
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	compiled := 0
	for range ipfix.Elements() {
		compiled++
	}
	if compiled != len(rows) {
		t.Errorf("%d elements compiled, %d listed: run go generate", compiled, len(rows))
	}
	for _, row := range rows {
		enterprise, err1 := strconv.ParseUint(row[0], 10, 32)
		id, err2 := strconv.ParseUint(row[1], 10, 16)
		if err1 != nil || err2 != nil {
			t.Fatalf("bad numbers in %q", row)
		}
		e, ok := ipfix.LookupElement(uint32(enterprise), uint16(id))
		semantics, units := e.Semantics.String(), e.Units.String()
		if e.Semantics == ipfix.SemanticsDefault {
			semantics = ""
		}
		if e.Units == ipfix.UnitsNone {
			units = ""
		}
		if !ok || e.Name != row[2] || e.Type.String() != row[3] || semantics != row[4] || units != row[5] {
			t.Errorf("%+v is compiled, %q listed: run go generate", e, row)
		}
	}
}

// TestGenerated holds zelements.go against what the generator writes now.
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command")
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("no go command: %v", err)
	}
	cmd := exec.Command(tool, "run", "elements_gen.go", "-out", "-")
	cmd.Stderr = os.Stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("zelements.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("zelements.go is stale: run go generate ./ipfix")
	}
}

// TestElementsOfCaptures asks for a name of everything that real exporters were seen to send.
func TestElementsOfCaptures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(captures(t), "flows", "*.expected.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no expected results: %v", err)
	}
	undocumented := map[ipfix.ElementID]bool{
		{Enterprise: 0, ID: 0}:  true, // reserved; sent by exporters with a bug
		{Enterprise: 0, ID: 65}: true, // left to vendors in NetFlow v9, and nobody says what it is
	}
	type expected struct {
		Records []struct {
			IEs [][3]any `json:"ies"`
		} `json:"records"`
	}
	seen := map[ipfix.ElementID]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var exp expected
		if err := json.Unmarshal(b, &exp); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, record := range exp.Records {
			for _, ie := range record.IEs {
				enterprise, _ := ie[0].(float64)
				number, _ := ie[1].(float64)
				id := ipfix.ElementID{Enterprise: uint32(enterprise), ID: uint16(number)}
				if seen[id] {
					continue
				}
				seen[id] = true
				if _, ok := ipfix.LookupElement(id.Enterprise, id.ID); !ok && !undocumented[id] {
					t.Errorf("%v in %s has no name", id, filepath.Base(file))
				}
			}
		}
	}
	if len(seen) < 200 {
		t.Errorf("only %d elements in %d files", len(seen), len(files))
	}
}

func BenchmarkLookupElement(b *testing.B) {
	for _, bench := range []struct {
		name string
		id   ipfix.ElementID
	}{
		{"IANA", ipfix.ElementID{Enterprise: 0, ID: 152}},
		{"Vendor", ipfix.ElementID{Enterprise: 35632, ID: 118}},
		{"Reverse", ipfix.ElementID{Enterprise: 29305, ID: 1}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := ipfix.LookupElement(bench.id.Enterprise, bench.id.ID); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}
