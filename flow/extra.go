package flow

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// ExtraType says how the value of an [Extra] is held and written.
type ExtraType uint8

// The types of extra fields.
const (
	ExtraUint   ExtraType = iota // unsigned number
	ExtraInt                     // signed number
	ExtraFloat                   // number with a fraction
	ExtraString                  // UTF-8 text
	ExtraBytes                   // octets, hexadecimal in JSON
	ExtraIP                      // IPv4 or IPv6 address
	ExtraMAC                     // 48-bit address
	ExtraBool                    // true or false
	ExtraTime                    // nanoseconds since the Unix epoch
	ExtraList                    // several values: JSON text, an array or an object
)

var extraTypes = [...]string{"uint", "int", "float", "string", "bytes", "ip", "mac", "bool", "time", "list"}

// ParseExtraType finds a type by name: uint, int, float, string, bytes, ip, mac,
// bool, time or list.
func ParseExtraType(name string) (ExtraType, error) {
	for t, n := range extraTypes {
		if n == name {
			return ExtraType(t), nil
		}
	}
	return 0, fmt.Errorf("type %q: allowed are %s", name, strings.Join(extraTypes[:], ", "))
}

// String returns the name of the type.
func (t ExtraType) String() string {
	if int(t) < len(extraTypes) {
		return extraTypes[t]
	}
	return "unknown"
}

// Extra is a field beyond the table: one that configuration names, or a decoder
// whose source has more to say than the table has fields. It does not change and
// serves all records.
type Extra struct {
	name  string
	typ   ExtraType
	json  string // what opens the member of the object
	proto string // name and tag of the value, as the message has them
}

// maxExtraName bounds the name of an extra field, in octets.
const maxExtraName = 64

// NewExtra describes an extra field. Its name consists of letters, digits and
// underscores, does not begin with a digit, is no longer than 64 octets and is
// none that a member of the JSON object already has.
func NewExtra(name string, t ExtraType) (*Extra, error) {
	if !validExtraName(name) {
		return nil, fmt.Errorf("field name %q: allowed are up to %d letters, digits and underscores, the first no digit", name, maxExtraName)
	}
	if taken(name) {
		return nil, fmt.Errorf("field name %q: flow records have a field of that name", name)
	}
	if int(t) >= len(extraTypes) {
		return nil, errors.New("unknown type of field " + name)
	}
	return newExtra(name, t), nil
}

func validExtraName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && len(name) <= maxExtraName
}

// taken reports whether a member of the JSON object has the name; dvc is how
// KFlow's objects are recognised.
func taken(name string) bool {
	switch name {
	case "elements", "proto_number", "etype_number", "dvc":
		return true
	}
	_, ok := fieldsByName[name]
	return ok
}

// Field numbers inside the extras message: name, then the value, whose number
// depends on its type.
const (
	extraName  = 1
	extraValue = 2 // + ExtraType
)

// extraWires are the wire types of values, by ExtraType.
var extraWires = [...]uint64{
	wireVarint, wireVarint, wireFixed8, wireBytes, wireBytes, wireBytes, wireVarint, wireVarint, wireVarint, wireBytes,
}

func newExtra(name string, t ExtraType) *Extra {
	b := append([]byte{extraName<<3 | wireBytes}, byte(len(name)))
	b = append(b, name...)
	b = appendVarint(b, uint64(extraValue+t)<<3|extraWires[t])
	return &Extra{name: name, typ: t, json: `,"` + name + `":`, proto: string(b)}
}

// Name returns the name that the field has in JSON.
func (e *Extra) Name() string { return e.name }

// Type returns the type of the field's values.
func (e *Extra) Type() ExtraType { return e.typ }

// ExtraValue is an extra field of one record.
type ExtraValue struct {
	*Extra
	num   uint64
	bytes []byte
}

// Uint returns the number: of ExtraUint and ExtraTime as it is, of ExtraMAC in
// its low 48 bits, of ExtraBool 0 or 1, of ExtraInt in two's complement, of
// ExtraFloat the bits of a float64. It is 0 for other types.
func (v ExtraValue) Uint() uint64 { return v.num }

// Bytes returns the octets of a text, of bytes, of an address or of a list; nil
// for other types.
func (v ExtraValue) Bytes() []byte { return v.bytes }

// AppendTo appends the value as JSON has it, without quotes.
func (v ExtraValue) AppendTo(dst []byte) []byte {
	switch v.typ {
	case ExtraUint, ExtraTime:
		return appendUint(dst, v.num)
	case ExtraInt:
		return strconv.AppendInt(dst, int64(v.num), 10)
	case ExtraFloat:
		return strconv.AppendFloat(dst, math.Float64frombits(v.num), 'g', -1, 64)
	case ExtraBytes:
		return hex.AppendEncode(dst, v.bytes)
	case ExtraIP:
		a, _ := netip.AddrFromSlice(v.bytes)
		return a.AppendTo(dst)
	case ExtraMAC:
		return appendMAC(dst, v.num)
	case ExtraBool:
		return strconv.AppendBool(dst, v.num != 0)
	default:
		return append(dst, v.bytes...)
	}
}

// AppendExtra adds an extra field whose value is a number; see ExtraValue.Uint.
func (r *Record) AppendExtra(e *Extra, v uint64) {
	r.extras = append(r.extras, ExtraValue{Extra: e, num: v})
}

// AppendExtraBytes adds an extra field whose value is octets: a text, bytes, the 4
// or 16 of an address, or a list, which is valid JSON. The record refers to b and
// does not copy it.
func (r *Record) AppendExtraBytes(e *Extra, b []byte) {
	r.extras = append(r.extras, ExtraValue{Extra: e, bytes: b})
}

// Extras returns the extra fields in the order in which they were added.
func (r *Record) Extras() []ExtraValue { return r.extras }

// Extra finds an extra field by name.
func (r *Record) Extra(name string) (ExtraValue, bool) {
	for i := range r.extras {
		if r.extras[i].name == name {
			return r.extras[i], true
		}
	}
	return ExtraValue{}, false
}

// appendJSONExtra appends the member of the object that v is.
func appendJSONExtra(dst []byte, v *ExtraValue) []byte {
	dst = append(dst, v.json...)
	switch v.typ {
	case ExtraUint, ExtraInt, ExtraTime, ExtraBool, ExtraList:
		return v.AppendTo(dst)
	case ExtraFloat:
		if f := math.Float64frombits(v.num); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return v.AppendTo(dst)
		}
	case ExtraString:
		return appendJSONString(dst, v.bytes)
	}
	return append(v.AppendTo(append(dst, '"')), '"')
}

// appendExtra appends v as an extras message with its tag.
func appendExtra(dst []byte, v *ExtraValue) []byte {
	dst = appendVarint(dst, extrasNumber<<3|wireBytes)
	n := len(v.proto)
	switch extraWires[v.typ] {
	case wireVarint:
		num := v.num
		if v.typ == ExtraInt {
			num = num<<1 ^ uint64(int64(num)>>63) // zigzag, as of sint64
		}
		dst = appendVarint(dst, uint64(n+varintSize(num)))
		return appendVarint(append(dst, v.proto...), num)
	case wireFixed8:
		dst = append(appendVarint(dst, uint64(n+8)), v.proto...)
		return binary.LittleEndian.AppendUint64(dst, v.num)
	}
	text := v.bytes
	if v.typ == ExtraString || v.typ == ExtraList {
		size := validSize(text)
		dst = append(appendVarint(dst, uint64(n+varintSize(uint64(size))+size)), v.proto...)
		return appendValid(dst, text, size)
	}
	dst = appendVarint(dst, uint64(n+varintSize(uint64(len(text)))+len(text)))
	dst = appendVarint(append(dst, v.proto...), uint64(len(text)))
	return append(dst, text...)
}
