package sflow

import (
	"maps"
	"math"
	"slices"
	"strings"
)

// ValueKind says what a [Value] is.
type ValueKind uint8

// The kinds of value.
const (
	Uint32 ValueKind = iota // Num
	Uint64                  // Num
	Int                     // Num in two's complement
	Float                   // Num has the bits of a float64
	MAC                     // Num, its low 48 bits
	Text                    // Bytes
	Octets                  // Bytes
	UUID                    // Bytes, 16 of them
	IP                      // Bytes, 4 or 16 of them, none if the address is not known
	List                    // Num values follow, without names
	Groups                  // Num values of kind Group follow, each with its own
	Group                   // Num values follow; lists among them count as one
)

// A Value is one value of a flow or counter record.
type Value struct {
	// Name is as in the specification: that of the MIB object where there is one.
	Name  string
	Kind  ValueKind
	Num   uint64
	Bytes []byte
}

// Float64 returns a number as a float64, be it counted or measured.
func (v Value) Float64() float64 {
	switch v.Kind {
	case Float:
		return math.Float64frombits(v.Num)
	case Int:
		return float64(int64(v.Num))
	}
	return float64(v.Num)
}

// Unknown reports whether v is a counter that the source does not count: all ones
// say so (sFlow version 5, section 5.3.4).
func (v Value) Unknown() bool {
	return v.Kind == Uint32 && v.Num == math.MaxUint32 || v.Kind == Uint64 && v.Num == math.MaxUint64
}

// structField is a field of a structure.
type structField struct {
	name  string
	kind  fieldKind
	items []structField // of groups
}

// fieldKind is how a field stands on the wire, in XDR.
type fieldKind byte

const (
	wire32      fieldKind = iota // unsigned number of 32 bits
	wire64                       // the same of 64
	wireInt                      // signed number of 32 bits
	wireFloat                    // of 32 bits
	wireMAC                      // 6 octets and 2 that pad them
	wireText                     // length, then octets
	wireOctets                   // the same
	wireUUID                     // 16 octets
	wireAddress                  // type, then 4 or 16 octets
	wireIPv4                     // 4 octets
	wireIPv6                     // 16 octets
	wireList                     // count, then numbers of 32 bits
	wireInts                     // count, then signed ones
	wireMACs                     // count, then MAC addresses
	wireGroups                   // count, then groups
	wireGID                      // 16 octets that are no address
)

// structure is how a record is laid out.
type structure struct {
	name   string
	fields []structField
}

// marks end the name of a field in a layout and say what it is; without one it is
// an unsigned number of 32 bits.
var marks = map[string]fieldKind{
	"*": wire64, "-": wireInt, "~": wireFloat, "@": wireMAC, "$": wireText, "#": wireOctets, "%": wireUUID, "!": wireAddress,
	"4": wireIPv4, "6": wireIPv6, "[]": wireList, "[-]": wireInts, "[@]": wireMACs, "=": wireGID,
}

// layout makes fields of their names, each with its mark behind a colon if it has
// one; a name before braces is that of a list of groups of what they hold.
func layout(text string) []structField {
	fields, _ := parseLayout(strings.Fields(text))
	return fields
}

func parseLayout(words []string) (fields []structField, rest []string) {
	for len(words) > 0 {
		w := words[0]
		words = words[1:]
		if w == "}" {
			return fields, words
		}
		f := structField{name: w}
		if name, ok := strings.CutSuffix(w, "{"); ok {
			f.name, f.kind = name, wireGroups
			f.items, words = parseLayout(words)
		} else if name, mark, ok := strings.Cut(w, ":"); ok {
			f.name, f.kind = name, marks[mark]
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// CounterName returns the name of a counter record, or "" if it is not known.
func CounterName(f Format) string { return counterStructures[f].name }

// FlowName returns the name of a flow record, or "" if it is not known.
func FlowName(f Format) string { return flowStructures[f].name }

// FlowFormats lists the formats of flow records that are known, in order.
func FlowFormats() []Format { return slices.Sorted(maps.Keys(flowStructures)) }

// CounterFormats lists the formats of counter records that are known, in order.
func CounterFormats() []Format { return slices.Sorted(maps.Keys(counterStructures)) }

// AppendCounters appends the values of a counter record to dst, and returns what
// of the record is left: later versions of a structure may go on. A record that
// ends early gives the values that are whole, and the octets after them as what is
// left. It returns false if the format is not known.
func AppendCounters(dst []Value, r Record) (values []Value, left []byte, known bool) {
	return counterStructures[r.Format].append(dst, r.Data)
}

// AppendFlow is AppendCounters for a flow record.
func AppendFlow(dst []Value, r Record) (values []Value, left []byte, known bool) {
	return flowStructures[r.Format].append(dst, r.Data)
}

func (s structure) append(dst []Value, data []byte) (values []Value, left []byte, known bool) {
	if s.name == "" {
		return dst, data, false
	}
	c := cursor{b: data}
	for i := range s.fields {
		before, at := c.b, len(dst)
		if dst = c.value(dst, &s.fields[i]); c.bad {
			return dst[:at], before, true
		}
	}
	return dst, c.b, true
}

// value appends the value of a field, with those that a list has.
func (c *cursor) value(dst []Value, f *structField) []Value {
	v := Value{Name: f.name}
	switch f.kind {
	case wire64:
		v.Kind, v.Num = Uint64, c.u64()
	case wireInt:
		v.Kind, v.Num = Int, uint64(int64(int32(c.u32())))
	case wireFloat:
		v.Kind, v.Num = Float, math.Float64bits(float64(math.Float32frombits(c.u32())))
	case wireMAC:
		v.Kind = MAC
		for _, b := range c.mac() {
			v.Num = v.Num<<8 | uint64(b)
		}
	case wireText:
		v.Kind, v.Bytes = Text, c.opaque()
	case wireOctets:
		v.Kind, v.Bytes = Octets, c.opaque()
	case wireUUID:
		v.Kind, v.Bytes = UUID, c.bytes(16)
	case wireGID:
		v.Kind, v.Bytes = Octets, c.bytes(16)
	case wireAddress:
		v.Kind, v.Bytes = IP, c.addressBytes()
	case wireIPv4:
		v.Kind, v.Bytes = IP, c.bytes(4)
	case wireIPv6:
		v.Kind, v.Bytes = IP, c.bytes(16)
	case wireList, wireInts, wireMACs:
		return c.list(dst, f)
	case wireGroups:
		return c.groups(dst, f)
	default:
		v.Kind, v.Num = Uint32, uint64(c.u32())
	}
	return append(dst, v)
}

// addressBytes is address as octets.
func (c *cursor) addressBytes() []byte {
	switch c.u32() {
	case 0:
	case 1:
		return c.bytes(4)
	case 2:
		return c.bytes(16)
	default:
		c.b, c.bad = nil, true
	}
	return nil
}

// count reads how many items of at least so many octets follow.
func (c *cursor) count(octets int) uint32 {
	n := c.u32()
	if uint64(n)*uint64(octets) > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return 0
	}
	return n
}

func (c *cursor) list(dst []Value, f *structField) []Value {
	item := structField{kind: wire32}
	switch f.kind {
	case wireInts:
		item.kind = wireInt
	case wireMACs:
		item.kind = wireMAC
	}
	n := c.count(4)
	dst = append(dst, Value{Name: f.name, Kind: List, Num: uint64(n)})
	for range n {
		dst = c.value(dst, &item)
	}
	return dst
}

func (c *cursor) groups(dst []Value, f *structField) []Value {
	n := c.count(4)
	dst = append(dst, Value{Name: f.name, Kind: Groups, Num: uint64(n)})
	for ; n > 0 && !c.bad; n-- {
		dst = append(dst, Value{Kind: Group, Num: uint64(len(f.items))})
		for i := range f.items {
			dst = c.value(dst, &f.items[i])
		}
	}
	return dst
}
