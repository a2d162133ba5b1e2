package flow

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"unicode/utf8"
)

// Wire types of protocol buffers.
const (
	wireVarint = 0
	wireFixed8 = 1
	wireBytes  = 2
	wireFixed4 = 5
)

// wireTag is a field's tag as it stands before the value.
type wireTag struct {
	tag  [3]byte
	n    uint8
	kind Kind
	mask uint64 // cuts a number to the width of its protobuf type
}

var wireTags = func() (tags [maxFields]wireTag) {
	for f, info := range fields {
		t := wireTag{kind: info.Kind, mask: 1<<32 - 1}
		if info.Bits == 64 {
			t.mask = 1<<64 - 1
		}
		wire := uint64(wireBytes)
		if info.Kind <= KindNet {
			wire = wireVarint
		}
		t.n = uint8(len(appendVarint(t.tag[:0], uint64(info.Number)<<3|wire)))
		tags[f] = t
	}
	return tags
}()

// kindFields are the fields of each way of encoding.
var kindFields = func() (k struct{ numbers, addrs, lists FieldSet }) {
	for f, info := range fields {
		switch {
		case info.Kind <= KindNet:
			k.numbers.Add(Field(f))
		case info.Kind == KindAddr:
			k.addrs.Add(Field(f))
		default:
			k.lists.Add(Field(f))
		}
	}
	return k
}()

func appendVarint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// putVarint writes v at b[i:] and returns the index behind it. b has ten octets
// from i on if v takes more than eight. Long numbers, which are mostly times, are spread
// over their octets at once.
func putVarint(b []byte, i int, v uint64) int {
	if v < 1<<56 {
		for v >= 0x80 {
			b[i] = byte(v) | 0x80
			v >>= 7
			i++
		}
		b[i] = byte(v)
		return i + 1
	}
	x := v & (1<<56 - 1)
	x = x&0x000000000fffffff | x&0x00fffffff0000000<<4
	x = x&0x00003fff00003fff | x&0x0fffc0000fffc000<<2
	x = x&0x007f007f007f007f | x&0x3f803f803f803f80<<1
	binary.LittleEndian.PutUint64(b[i:i+8], x|0x8080808080808080)
	b[i+8] = byte(v >> 56)
	if v>>63 == 0 {
		return i + 9
	}
	b[i+9] = 1
	return i + 10
}

// fixedSize bounds the encoding of all fields but lists, texts and elements:
// three octets of tag and ten of number, or twenty for an address.
const fixedSize = int(numFields) * 20

// AppendProtobuf appends r as a protobuf message, without its length. Fields that
// all records of a datagram share come first, encoded once for all of them.
func AppendProtobuf(dst []byte, r *Record) []byte {
	if r.prefixed == (FieldSet{}) && r.shared != (FieldSet{}) {
		shared := FieldSet{r.set[0] & r.shared[0], r.set[1] & r.shared[1]}
		r.prefix = appendFields(r.prefix[:0], r, shared)
		r.prefixed = shared
	}
	if r.prefixed != (FieldSet{}) {
		dst = append(dst, r.prefix...)
	}
	dst = appendFields(dst, r, FieldSet{r.set[0] &^ r.prefixed[0], r.set[1] &^ r.prefixed[1]})
	for i := range r.elements {
		dst = appendElement(dst, &r.elements[i])
	}
	for i := range r.extras {
		dst = appendExtra(dst, &r.extras[i])
	}
	return dst
}

// appendFields appends the given fields of r.
func appendFields(dst []byte, r *Record, fields FieldSet) []byte {
	if cap(dst)-len(dst) < fixedSize {
		dst = append(dst, make([]byte, fixedSize)...)[:len(dst)]
	}
	b, i := dst[:cap(dst)], len(dst)
	// Kinds apart, so that no field is asked what it is.
	for w := range fields {
		for set := fields[w] & kindFields.numbers[w]; set != 0; set &= set - 1 {
			f := Field(w<<6|bits.TrailingZeros64(set)) & fieldMask
			t := &wireTags[f]
			v := r.num[f] & t.mask
			if v == 0 {
				continue // proto3 leaves zero out
			}
			*(*[3]byte)(b[i : i+3]) = t.tag
			i += int(t.n)
			if v >= 1<<56 {
				i = putVarint(b, i, v)
				continue
			}
			// In place: a call would cost more than the octets of most numbers.
			for v >= 0x80 {
				b[i] = byte(v) | 0x80
				v >>= 7
				i++
			}
			b[i] = byte(v)
			i++
		}
		for set := fields[w] & kindFields.addrs[w]; set != 0; set &= set - 1 {
			f := Field(w<<6|bits.TrailingZeros64(set)) & fieldMask
			t := &wireTags[f]
			*(*[3]byte)(b[i : i+3]) = t.tag
			i += int(t.n)
			n := r.num[f] & 31
			b[i] = byte(n)
			*(*[16]byte)(b[i+1 : i+17]) = r.addr[f]
			i += 1 + int(n)
		}
	}
	lists := FieldSet{fields[0] & kindFields.lists[0], fields[1] & kindFields.lists[1]}
	dst = b[:i]
	if lists != (FieldSet{}) {
		dst = appendLists(dst, r, lists)
	}
	return dst
}

func appendLists(dst []byte, r *Record, set FieldSet) []byte {
	for w, set := range set {
		for ; set != 0; set &= set - 1 {
			f := Field(w<<6 | bits.TrailingZeros64(set))
			t := &wireTags[f]
			switch t.kind {
			case KindText, KindBytes:
				v := r.Bytes(f)
				if len(v) == 0 {
					continue
				}
				dst = append(dst, t.tag[:t.n]...)
				if t.kind == KindText {
					dst = appendValid(dst, v, validSize(v))
					continue
				}
				dst = appendVarint(dst, uint64(len(v)))
				dst = append(dst, v...)
			case KindAddrs:
				for _, a := range span(r.addrs, r.num[f]) {
					dst = append(dst, t.tag[:t.n]...)
					if ip := netip.AddrFrom16(a); ip.Is4In6() {
						dst = append(dst, 4)
						dst = append(dst, a[12:]...)
					} else {
						dst = append(dst, 16)
						dst = append(dst, a[:]...)
					}
				}
			default:
				list := span(r.uints, r.num[f])
				size := 0
				for _, v := range list {
					size += varintSize(uint64(v))
				}
				dst = appendVarint(append(dst, t.tag[:t.n]...), uint64(size))
				for _, v := range list {
					dst = appendVarint(dst, uint64(v))
				}
			}
		}
	}
	return dst
}

// validSize returns the length of text with U+FFFD in place of each octet that is
// not UTF-8: readers refuse a whole message for a string that is not.
func validSize(text []byte) int {
	if utf8.Valid(text) {
		return len(text)
	}
	size := 0
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		size += utf8.RuneLen(c)
		text = text[n:]
	}
	return size
}

// appendValid appends text, made valid, behind its length, which validSize has
// returned. Text that is valid keeps its length, any other grows.
func appendValid(dst, text []byte, size int) []byte {
	dst = appendVarint(dst, uint64(size))
	if size == len(text) {
		return append(dst, text...)
	}
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		dst = utf8.AppendRune(dst, c)
		text = text[n:]
	}
	return dst
}

// Field numbers inside the elements message.
const (
	elementEnterprise = 1
	elementID         = 2
	elementValue      = 3
)

// varintSize is how many octets v takes: a multiplication by 9/64 is a division
// by 7 for up to 64 bits.
func varintSize(v uint64) int { return (9*bits.Len64(v) + 64) / 64 }

func appendElement(dst []byte, e *Element) []byte {
	size := 1 + varintSize(uint64(e.ID)) + 1 + varintSize(uint64(len(e.Value))) + len(e.Value)
	if e.Enterprise != 0 {
		size += 1 + varintSize(uint64(e.Enterprise))
	}
	dst = appendVarint(dst, elementsNumber<<3|wireBytes)
	dst = appendVarint(dst, uint64(size))
	if e.Enterprise != 0 {
		dst = appendVarint(append(dst, elementEnterprise<<3|wireVarint), uint64(e.Enterprise))
	}
	dst = appendVarint(append(dst, elementID<<3|wireVarint), uint64(e.ID))
	dst = appendVarint(append(dst, elementValue<<3|wireBytes), uint64(len(e.Value)))
	return append(dst, e.Value...)
}

// AppendDelimited appends r as a protobuf message preceded by its length as a
// varint, as goflow2 does. Room is left for a length like that of the message before,
// which most messages of a load have.
func AppendDelimited(dst []byte, r *Record) []byte {
	start, room := len(dst), max(1, r.delimiter)
	dst = append(dst, make([]byte, room)...)
	dst = AppendProtobuf(dst, r)
	n := len(dst) - start - room
	if size := varintSize(uint64(n)); size != room {
		r.delimiter = size
		if size > room {
			dst = append(dst, make([]byte, size-room)...)
		}
		copy(dst[start+size:], dst[start+room:start+room+n])
		dst = dst[:start+size+n]
	}
	putVarint(dst, start, uint64(n))
	return dst
}

// DecodeProtobuf reads one message, without its length, into r. Fields of an
// unknown number are passed over. What r then references is memory of b.
func DecodeProtobuf(b []byte, r *Record) error {
	r.Reset()
	for c := (wireCursor{b: b}); ; {
		number, wire, ok := c.tag()
		if !ok {
			if c.bad {
				return ErrFormat
			}
			return nil
		}
		f, known := fieldsByNumber[number]
		switch wire {
		case wireVarint:
			v := c.varint()
			if known && !c.bad {
				decodeNumber(r, f, v)
			}
		case wireBytes:
			v := c.bytes()
			switch {
			case c.bad:
			case number == elementsNumber:
				if !decodeElement(v, r) {
					return ErrFormat
				}
			case number == extrasNumber:
				if !decodeExtra(v, r) {
					return ErrFormat
				}
			case known && !decodeBytes(r, f, v):
				return ErrFormat
			}
		case wireFixed4:
			c.skip(4)
		case wireFixed8:
			c.skip(8)
		default:
			return ErrFormat
		}
	}
}

var fieldsByNumber = func() map[uint64]Field {
	m := make(map[uint64]Field, numFields)
	for f := range fields {
		m[uint64(fields[f].Number)] = Field(f)
	}
	return m
}()

func decodeNumber(r *Record, f Field, v uint64) {
	switch k := fields[f].Kind; {
	case k <= KindNet:
		r.SetUint(f, v&wireTags[f].mask)
	case k == KindUints || k == KindLayers:
		r.AppendUint(f, uint32(v)) // a list that is not packed
	}
}

func decodeBytes(r *Record, f Field, v []byte) bool {
	switch fields[f].Kind {
	case KindAddr:
		a, ok := netip.AddrFromSlice(v)
		if ok {
			r.SetAddr(f, a)
		}
		return ok || len(v) == 0
	case KindAddrs:
		a, ok := netip.AddrFromSlice(v)
		if ok {
			r.AppendAddr(f, a)
		}
		return ok || len(v) == 0
	case KindText, KindBytes:
		r.SetBytes(f, v)
	case KindUints, KindLayers:
		for c := (wireCursor{b: v}); len(c.b) > 0; {
			n := c.varint()
			if c.bad {
				return false
			}
			r.AppendUint(f, uint32(n))
		}
	}
	return true
}

func decodeElement(b []byte, r *Record) bool {
	var e Element
	c := wireCursor{b: b}
	for {
		number, wire, ok := c.tag()
		if !ok {
			break
		}
		switch {
		case wire == wireVarint:
			v := c.varint()
			switch number {
			case elementEnterprise:
				e.Enterprise = uint32(v)
			case elementID:
				e.ID = uint16(v)
			}
		case wire == wireBytes:
			v := c.bytes()
			if number == elementValue {
				e.Value = v
			}
		default:
			return false
		}
	}
	r.elements = append(r.elements, e)
	return !c.bad
}

// decodeExtra reads an extras message. A value of a type that later versions may
// add is passed over.
func decodeExtra(b []byte, r *Record) bool {
	var name []byte
	c := wireCursor{b: b}
	for {
		number, wire, ok := c.tag()
		if !ok {
			return !c.bad
		}
		var v ExtraValue
		switch wire {
		case wireVarint:
			v.num = c.varint()
		case wireFixed8:
			v.num = c.fixed8()
		case wireBytes:
			v.bytes = c.bytes()
		default:
			return false
		}
		if number == extraName && wire == wireBytes {
			name = v.bytes
			continue
		}
		t := ExtraType(number - extraValue)
		if number < extraValue || number-extraValue >= uint64(len(extraTypes)) {
			continue
		}
		if c.bad || uint64(wire) != extraWires[t] || !validExtraName(string(name)) {
			return false
		}
		switch t {
		case ExtraInt:
			v.num = v.num>>1 ^ -(v.num & 1)
		case ExtraBool:
			v.num = min(v.num, 1)
		case ExtraIP:
			if len(v.bytes) != 4 && len(v.bytes) != 16 {
				return false
			}
		case ExtraList:
			if v.bytes = oneLine(v.bytes); v.bytes == nil {
				return false
			}
		}
		v.Extra = r.knownExtra(name, t)
		r.extras = append(r.extras, v)
	}
}

// maxKnownExtras bounds the descriptions that a record which is decoded into keeps.
const maxKnownExtras = 64

// knownExtra returns the description of an extra field that was decoded.
func (r *Record) knownExtra(name []byte, t ExtraType) *Extra {
	for _, e := range r.known {
		if e.typ == t && e.name == string(name) {
			return e
		}
	}
	e := newExtra(string(name), t)
	if len(r.known) < maxKnownExtras {
		r.known = append(r.known, e)
	}
	return e
}

// wireCursor reads protobuf's wire format; bad sticks.
type wireCursor struct {
	b   []byte
	bad bool
}

func (c *wireCursor) fail() { c.bad, c.b = true, nil }

func (c *wireCursor) varint() uint64 {
	var v uint64
	for i := 0; i < len(c.b) && i < 10; i++ {
		v |= uint64(c.b[i]&0x7f) << (7 * i)
		if c.b[i] < 0x80 {
			c.b = c.b[i+1:]
			return v
		}
	}
	c.fail()
	return 0
}

func (c *wireCursor) tag() (number uint64, wire int, ok bool) {
	if len(c.b) == 0 {
		return 0, 0, false
	}
	v := c.varint()
	if c.bad || v>>3 == 0 {
		c.fail()
		return 0, 0, false
	}
	return v >> 3, int(v & 7), true
}

func (c *wireCursor) bytes() []byte {
	n := c.varint()
	if n > uint64(len(c.b)) {
		c.fail()
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *wireCursor) fixed8() uint64 {
	if len(c.b) < 8 {
		c.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(c.b)
	c.b = c.b[8:]
	return v
}

func (c *wireCursor) skip(n int) {
	if n > len(c.b) {
		c.fail()
		return
	}
	c.b = c.b[n:]
}
