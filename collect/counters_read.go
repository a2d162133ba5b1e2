package collect

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"

	"github.com/tributary-net/tributary/ipfix"
)

// AppendCountersJSON appends a counter sample that AppendProtobuf has written as
// AppendJSON writes it. It returns dst as it was and false if b is none.
func AppendCountersJSON(dst, b []byte) ([]byte, bool) {
	var numbers [protoRecords - protoTimeReceived]uint64
	var agent netip.Addr
	var records [][]byte
	c := protoCursor{b: b}
	for first := true; len(c.b) > 0; first = false {
		switch number, wire := c.tag(); {
		case c.bad, first && number != protoTimeReceived:
			return dst, false
		case number == protoSamplerAddress && wire == protoLength:
			agent, _ = netip.AddrFromSlice(c.octets())
		case number == protoRecords && wire == protoLength:
			records = append(records, c.octets())
		case number >= protoTimeReceived && number < protoRecords && wire == protoVarint:
			numbers[number-protoTimeReceived] = c.varint()
		default:
			c.skip(wire)
		}
	}
	if c.bad || len(b) == 0 {
		return dst, false
	}
	out := appendSampleHead(dst, numbers, agent)
	others, count := []byte(nil), 0
	for _, r := range records {
		name, values, head, octets, ok := readProtoRecord(r)
		switch {
		case !ok:
			return dst, false
		case len(values) == 0:
			if others != nil {
				others = append(others, ',')
			}
			others = append(hex.AppendEncode(append(append(others, head...), `,"value":"`...), octets), `"}`...)
			continue
		case count > 0:
			out = append(out, ',')
		}
		count++
		out = append(ipfix.AppendValue(out, ipfix.Element{Type: ipfix.String}, name), ":{"...)
		if out, ok = appendProtoMembers(out, values, true, 0); !ok {
			return dst, false
		}
		if len(octets) > 0 {
			out = append(hex.AppendEncode(append(out, `,"more":"`...), octets), '"')
		}
		out = append(out, '}')
	}
	out = append(out, '}')
	if others != nil {
		out = append(append(append(out, `,"unknown":[`...), others...), ']')
	}
	return append(out, '}'), true
}

// readProtoRecord reads a counter record; head is how one without values begins.
func readProtoRecord(b []byte) (name []byte, values [][]byte, head string, octets []byte, ok bool) {
	var enterprise, format uint64
	for c := (protoCursor{b: b}); ; {
		if len(c.b) == 0 {
			head = `{"enterprise":` + strconv.FormatUint(enterprise, 10) + `,"format":` + strconv.FormatUint(format, 10)
			return name, values, head, octets, !c.bad
		}
		switch number, wire := c.tag(); {
		case number == protoEnterprise && wire == protoVarint:
			enterprise = c.varint()
		case number == protoFormat && wire == protoVarint:
			format = c.varint()
		case number == protoRecordName && wire == protoLength:
			name = c.octets()
		case number == protoValues && wire == protoLength:
			values = append(values, c.octets())
		case number == protoOctets && wire == protoLength:
			octets = c.octets()
		default:
			c.skip(wire)
		}
	}
}

// maxProtoDepth is how deep lists may lie in lists.
const maxProtoDepth = 8

// appendProtoMembers appends values parted by commas, all with names or all without.
func appendProtoMembers(dst []byte, values [][]byte, named bool, depth int) ([]byte, bool) {
	ok := true
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, ok = appendProtoMember(dst, v, named, depth); !ok {
			return dst, false
		}
	}
	return dst, true
}

// appendProtoMember appends a value: its name, if it is to have one, comes first.
func appendProtoMember(dst, b []byte, named bool, depth int) ([]byte, bool) {
	c := protoCursor{b: b}
	if hasName(b) != named {
		return dst, false
	}
	if named {
		c.tag()
		dst = append(ipfix.AppendValue(dst, ipfix.Element{Type: ipfix.String}, c.octets()), ':')
	}
	if len(c.b) == 0 {
		return append(dst, "null"...), !c.bad
	}
	switch number, wire := c.tag(); {
	case number == protoUint && wire == protoVarint:
		dst = strconv.AppendUint(dst, c.varint(), 10)
	case number == protoInt && wire == protoVarint:
		v := c.varint()
		dst = strconv.AppendInt(dst, int64(v>>1^-(v&1)), 10)
	case number == protoMAC && wire == protoVarint:
		dst = appendMAC(dst, c.varint())
	case number == protoFloat && wire == protoFixed8:
		dst = appendFloat(dst, math.Float64frombits(c.fixed8()))
	case number == protoString && wire == protoLength:
		dst = ipfix.AppendValue(dst, ipfix.Element{Type: ipfix.String}, c.octets())
	case number == protoBytes && wire == protoLength:
		dst = append(hex.AppendEncode(append(dst, '"'), c.octets()), '"')
	case number == protoIP && wire == protoLength:
		dst = ipfix.AppendValue(dst, ipfix.Element{Type: ipfix.IPv6Address}, c.octets())
	case number == protoList && wire == protoLength:
		ok := false
		if dst, ok = appendProtoList(dst, c.octets(), depth+1); !ok {
			return dst, false
		}
	default:
		return dst, false
	}
	return dst, !c.bad && len(c.b) == 0
}

// hasName reports whether a value begins with its name.
func hasName(b []byte) bool { return len(b) > 0 && b[0] == protoName<<3|protoLength }

// appendProtoList appends a list, or a group: its values have names.
func appendProtoList(dst, b []byte, depth int) ([]byte, bool) {
	var values [][]byte
	c := protoCursor{b: b}
	for len(c.b) > 0 {
		if number, wire := c.tag(); number != 1 || wire != protoLength {
			return dst, false
		}
		values = append(values, c.octets())
	}
	if c.bad || depth > maxProtoDepth {
		return dst, false
	}
	open, shut, named := byte('['), byte(']'), len(values) > 0 && hasName(values[0])
	if named {
		open, shut = '{', '}'
	}
	dst, ok := appendProtoMembers(append(dst, open), values, named, depth)
	return append(dst, shut), ok
}

// protoCursor reads protobuf's wire format; bad sticks.
type protoCursor struct {
	b   []byte
	bad bool
}

func (c *protoCursor) fail() { c.b, c.bad = nil, true }

func (c *protoCursor) varint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *protoCursor) tag() (number, wire uint64) {
	v := c.varint()
	if v>>3 == 0 {
		c.fail()
	}
	return v >> 3, v & 7
}

func (c *protoCursor) octets() []byte {
	n := c.varint()
	if n > uint64(len(c.b)) {
		c.fail()
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *protoCursor) fixed8() uint64 {
	if len(c.b) < 8 {
		c.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(c.b)
	c.b = c.b[8:]
	return v
}

func (c *protoCursor) skip(wire uint64) {
	switch wire {
	case protoVarint:
		c.varint()
	case protoFixed8:
		c.fixed8()
	case protoLength:
		c.octets()
	default:
		c.fail()
	}
}
