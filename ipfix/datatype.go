package ipfix

// DataType is the abstract data type of an information element, numbered as IANA numbers it for RFC 5610's
// informationElementDataType.
type DataType uint8

// The abstract data types of RFC 7012 section 3.1, RFC 6313 section 4.5 (lists) and RFC 9740 (unsigned256).
const (
	OctetArray DataType = iota
	Unsigned8
	Unsigned16
	Unsigned32
	Unsigned64
	Signed8
	Signed16
	Signed32
	Signed64
	Float32
	Float64
	Boolean
	MACAddress
	String
	DateTimeSeconds
	DateTimeMilliseconds
	DateTimeMicroseconds
	DateTimeNanoseconds
	IPv4Address
	IPv6Address
	BasicList
	SubTemplateList
	SubTemplateMultiList
	Unsigned256
)

var dataTypes = [...]struct {
	name  string
	width uint8
}{
	OctetArray:           {"octetArray", 0},
	Unsigned8:            {"unsigned8", 1},
	Unsigned16:           {"unsigned16", 2},
	Unsigned32:           {"unsigned32", 4},
	Unsigned64:           {"unsigned64", 8},
	Signed8:              {"signed8", 1},
	Signed16:             {"signed16", 2},
	Signed32:             {"signed32", 4},
	Signed64:             {"signed64", 8},
	Float32:              {"float32", 4},
	Float64:              {"float64", 8},
	Boolean:              {"boolean", 1},
	MACAddress:           {"macAddress", 6},
	String:               {"string", 0},
	DateTimeSeconds:      {"dateTimeSeconds", 4},
	DateTimeMilliseconds: {"dateTimeMilliseconds", 8},
	DateTimeMicroseconds: {"dateTimeMicroseconds", 8},
	DateTimeNanoseconds:  {"dateTimeNanoseconds", 8},
	IPv4Address:          {"ipv4Address", 4},
	IPv6Address:          {"ipv6Address", 16},
	BasicList:            {"basicList", 0},
	SubTemplateList:      {"subTemplateList", 0},
	SubTemplateMultiList: {"subTemplateMultiList", 0},
	Unsigned256:          {"unsigned256", 32},
}

// String gives the type's name in RFC 7012, "" for a number that is no type.
func (t DataType) String() string {
	if int(t) < len(dataTypes) {
		return dataTypes[t].name
	}
	return ""
}

// Width is the size in octets of a whole value; a template may announce less for integers and float64 (RFC 7011, 6.2).
// It is 0 for the types without a size of their own: octetArray, string and the lists.
func (t DataType) Width() int {
	if int(t) < len(dataTypes) {
		return int(dataTypes[t].width)
	}
	return 0
}

// List reports whether values are structured: one of the three lists of RFC 6313.
func (t DataType) List() bool { return t >= BasicList && t <= SubTemplateMultiList }

// Semantics tells what a value may be used for, numbered as IANA numbers it for RFC 5610's informationElementSemantics.
type Semantics uint8

// The data type semantics of RFC 7012 section 3.2, RFC 6313 section 4.6 and RFC 8038 section 5.10.
const (
	SemanticsDefault Semantics = iota
	SemanticsQuantity
	SemanticsTotalCounter
	SemanticsDeltaCounter
	SemanticsIdentifier
	SemanticsFlags
	SemanticsList
	SemanticsSNMPCounter
	SemanticsSNMPGauge
)

var semanticsNames = [...]string{
	"default", "quantity", "totalCounter", "deltaCounter", "identifier", "flags", "list", "snmpCounter", "snmpGauge",
}

// String gives the name in IANA's registry, "" for an unknown number.
func (s Semantics) String() string {
	if int(s) < len(semanticsNames) {
		return semanticsNames[s]
	}
	return ""
}

// Units is what a value is measured in, numbered as IANA numbers it for RFC 5610's informationElementUnits.
type Units uint8

// The units of IANA's registry (RFC 5610, 3.9).
const (
	UnitsNone Units = iota
	UnitsBits
	UnitsOctets
	UnitsPackets
	UnitsFlows
	UnitsSeconds
	UnitsMilliseconds
	UnitsMicroseconds
	UnitsNanoseconds
	UnitsFourOctetWords
	UnitsMessages
	UnitsHops
	UnitsEntries
	UnitsFrames
	UnitsPorts
	UnitsInferred
)

var unitsNames = [...]string{
	"none", "bits", "octets", "packets", "flows", "seconds", "milliseconds", "microseconds", "nanoseconds",
	"4-octet words", "messages", "hops", "entries", "frames", "ports", "inferred",
}

// String gives the name in IANA's registry, "" for an unknown number.
func (u Units) String() string {
	if int(u) < len(unitsNames) {
		return unitsNames[u]
	}
	return ""
}
