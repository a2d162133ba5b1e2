package flow

import (
	"net/netip"
)

// FlowType is goflow2's name for the protocol that brought a record.
type FlowType uint32

// The values of [Type], goflow2's numbers.
const (
	TypeUnknown   FlowType = 0 // NetFlow v1, v7 and metered flows: see FlowSource
	TypeSFlow5    FlowType = 1
	TypeNetFlowV5 FlowType = 2
	TypeNetFlowV9 FlowType = 3
	TypeIPFIX     FlowType = 4
)

// Source tells all sources of records apart, those too that goflow2 lacks.
type Source uint32

// The values of [FlowSource].
const (
	SourceUnknown   Source = 0
	SourceNetFlowV1 Source = 1
	SourceNetFlowV5 Source = 2
	SourceNetFlowV7 Source = 3
	SourceNetFlowV9 Source = 4
	SourceIPFIX     Source = 5
	SourceSFlow5    Source = 6
	SourceProbe     Source = 7
)

// Layer is one header in [LayerStack]; the numbers are goflow2's.
type Layer uint32

// The values in [LayerStack].
const (
	LayerEthernet     Layer = 0
	LayerIPv4         Layer = 1
	LayerIPv6         Layer = 2
	LayerTCP          Layer = 3
	LayerUDP          Layer = 4
	LayerMPLS         Layer = 5
	LayerDot1Q        Layer = 6
	LayerICMP         Layer = 7
	LayerICMPv6       Layer = 8
	LayerGRE          Layer = 9
	LayerIPv6Routing  Layer = 10
	LayerIPv6Fragment Layer = 11
	LayerGeneve       Layer = 12
	LayerTeredo       Layer = 13
	LayerCustom       Layer = 99
)

// EtherTypes that records carry.
const (
	EtypeIPv4 = 0x0800
	EtypeIPv6 = 0x86dd
	etypeARP  = 0x0806
)

// Element is an information element without a field of its own, kept as it came.
type Element struct {
	Enterprise uint32 // private enterprise number, 0 for IANA's
	ID         uint16 // element number without the enterprise bit
	Value      []byte
}

// Record is one flow record. The zero value is an empty record; [Record.Reset]
// makes it one again without giving up its memory.
//
// Setting a field makes it present ([Record.Has]), also when it is set to zero.
// Texts, bytes and elements refer to memory of whoever set them, usually the
// datagram, and are valid as long as that is; a Record handed to a callback is
// valid until the callback returns.
//
// The getters of a kind answer for fields of that kind only; for others what
// they return is unspecified, but they never panic for a valid Field.
type Record struct {
	set  FieldSet
	num  [maxFields]uint64
	addr [maxFields]addr // sparse: only fields of KindAddr use theirs

	// Fields that all records of a datagram share, see Share; those of them
	// whose protobuf encoding is in prefix; and the JSON of the first ones,
	// empty when it has to be made.
	shared, prefixed   FieldSet
	prefix, jsonPrefix []byte

	delimiter int // how many octets the length of the last delimited message took

	uints    []uint32 // values of all lists of numbers; num holds start<<32 | length
	addrs    []addr   // the same for lists of addresses
	blobs    [][]byte // num holds the index
	elements []Element
	extras   []ExtraValue
	known    []*Extra // descriptions of extras that were decoded
}

type addr [16]byte

// maxFields is what a FieldSet has room for. Arrays of this size need no check
// of a Field's bounds.
const (
	maxFields = 128
	fieldMask = maxFields - 1
)

var _ = [1]struct{}{}[numFields/maxFields]

// FieldSet is a set of fields.
type FieldSet [2]uint64

// Add adds f to the set.
func (s *FieldSet) Add(f Field) { s[f>>6&1] |= 1 << (f & 63) }

// Has reports whether f is in the set.
func (s *FieldSet) Has(f Field) bool { return s[f>>6&1]&(1<<(f&63)) != 0 }

// Reset empties the record.
func (r *Record) Reset() {
	r.set = FieldSet{}
	r.Share()
	r.Rebase()
}

// Share makes the fields that are present the ones which all records of a
// datagram share: a decoder sets them once, calls Share, and Rebase before each
// record. They may be numbers and addresses only. Setting one of them later
// changes it for all records that follow.
func (r *Record) Share() {
	r.shared = r.set
	r.forget()
}

// forget gives up encodings of shared fields, because one has changed.
func (r *Record) forget() {
	r.prefixed = FieldSet{}
	r.jsonPrefix = r.jsonPrefix[:0]
}

// Rebase empties the record but for the shared fields.
func (r *Record) Rebase() {
	r.uints = r.uints[:0]
	r.addrs = r.addrs[:0]
	r.blobs = r.blobs[:0]
	r.elements = r.elements[:0]
	r.extras = r.extras[:0]
	r.set = r.shared
}

// Mark makes all fields in s present. Each of them has to be given a value by
// PutUint, PutAddr4 or PutAddr16.
func (r *Record) Mark(s FieldSet) {
	r.set[0] |= s[0]
	r.set[1] |= s[1]
	if r.shared[0]&s[0]|r.shared[1]&s[1] != 0 {
		r.forget()
	}
}

// present makes f present.
func (r *Record) present(f Field) {
	r.set.Add(f)
	if r.shared.Has(f) {
		r.forget()
	}
}

// PutUint is SetUint for a field that Mark has made present.
func (r *Record) PutUint(f Field, v uint64) { r.num[f&fieldMask] = v }

// PutAddr4 is SetAddr4 for a field that Mark has made present.
func (r *Record) PutAddr4(f Field, b [4]byte) {
	r.num[f&fieldMask] = 4
	*(*[4]byte)(r.addr[f&fieldMask][:4]) = b
}

// PutAddr16 is SetAddr16 for a field that Mark has made present.
func (r *Record) PutAddr16(f Field, b [16]byte) {
	r.num[f&fieldMask] = 16
	r.addr[f&fieldMask] = b
}

// Has reports whether f has been set.
func (r *Record) Has(f Field) bool { return r.set.Has(f) }

// Unset makes f absent.
func (r *Record) Unset(f Field) {
	r.set[f>>6&1] &^= 1 << (f & 63)
	r.forget()
}

// Uint returns the number in f, 0 when it is absent.
func (r *Record) Uint(f Field) uint64 {
	if !r.Has(f) {
		return 0
	}
	return r.num[f&fieldMask]
}

// SetUint sets a number, a time, a MAC address or an enumeration.
func (r *Record) SetUint(f Field, v uint64) {
	r.present(f)
	r.PutUint(f, v)
}

// Addr returns the address in f, the zero Addr when it is absent.
func (r *Record) Addr(f Field) netip.Addr {
	if !r.Has(f) {
		return netip.Addr{}
	}
	if r.num[f&fieldMask] == 4 {
		return netip.AddrFrom4([4]byte(r.addr[f&fieldMask][:4]))
	}
	return netip.AddrFrom16(r.addr[f&fieldMask])
}

// AddrBytes returns the 4 or 16 octets of the address in f, or nil. They are
// the record's own memory.
func (r *Record) AddrBytes(f Field) []byte {
	if !r.Has(f) {
		return nil
	}
	return r.addr[f&fieldMask][:r.num[f&fieldMask]&31]
}

// SetAddr sets an address; an invalid one makes f absent. An IPv4-mapped IPv6
// address is kept as IPv6.
func (r *Record) SetAddr(f Field, a netip.Addr) {
	switch {
	case a.Is4():
		r.SetAddr4(f, a.As4())
	case a.Is6():
		r.SetAddr16(f, a.As16())
	default:
		r.Unset(f)
	}
}

// SetAddr4 sets an IPv4 address.
func (r *Record) SetAddr4(f Field, b [4]byte) {
	r.present(f)
	r.PutAddr4(f, b)
}

// SetAddr16 sets an IPv6 address.
func (r *Record) SetAddr16(f Field, b [16]byte) {
	r.present(f)
	r.PutAddr16(f, b)
}

// Bytes returns the text or bytes in f, nil when it is absent.
func (r *Record) Bytes(f Field) []byte {
	if !r.Has(f) || r.num[f&fieldMask] >= uint64(len(r.blobs)) {
		return nil
	}
	return r.blobs[r.num[f&fieldMask]]
}

// SetBytes sets a text or bytes. The record refers to b and does not copy it.
func (r *Record) SetBytes(f Field, b []byte) {
	r.present(f)
	r.num[f&fieldMask] = uint64(len(r.blobs))
	r.blobs = append(r.blobs, b)
}

// Uints returns the numbers of a list, nil when it is absent. They are the
// record's own memory.
func (r *Record) Uints(f Field) []uint32 {
	if !r.Has(f) {
		return nil
	}
	return span(r.uints, r.num[f&fieldMask])
}

// AppendUint adds a number to a list.
func (r *Record) AppendUint(f Field, v uint32) {
	r.uints, r.num[f&fieldMask] = last(r.uints, r.num[f&fieldMask], r.Has(f))
	r.uints = append(r.uints, v)
	r.num[f&fieldMask]++
	r.present(f)
}

// AddrCount returns how many addresses a list has.
func (r *Record) AddrCount(f Field) int {
	if !r.Has(f) {
		return 0
	}
	return len(span(r.addrs, r.num[f&fieldMask]))
}

// AddrAt returns the i-th address of a list, 0 <= i < AddrCount(f).
func (r *Record) AddrAt(f Field, i int) netip.Addr {
	a := span(r.addrs, r.num[f&fieldMask])[i]
	return netip.AddrFrom16(a).Unmap()
}

// AppendAddr adds an address to a list.
func (r *Record) AppendAddr(f Field, a netip.Addr) {
	if !a.IsValid() {
		return
	}
	r.AppendAddr16(f, a.As16())
}

// AppendAddr16 adds an IPv6 address to a list.
func (r *Record) AppendAddr16(f Field, a [16]byte) {
	r.addrs, r.num[f&fieldMask] = last(r.addrs, r.num[f&fieldMask], r.Has(f))
	r.addrs = append(r.addrs, a)
	r.num[f&fieldMask]++
	r.present(f)
}

// Elements returns the elements that have no field of their own, in the order
// they came.
func (r *Record) Elements() []Element { return r.elements }

// AppendElement keeps an element that has no field of its own. The record
// refers to value and does not copy it.
func (r *Record) AppendElement(enterprise uint32, id uint16, value []byte) {
	r.elements = append(r.elements, Element{enterprise, id, value})
}

// span returns the part of list that num, start<<32 | length, describes.
func span[T any](list []T, num uint64) []T {
	start, n := num>>32, num&0xffffffff
	if start+n > uint64(len(list)) {
		return nil
	}
	return list[start : start+n]
}

// last makes the list that num describes the last of all, so that one more value
// can follow it.
func last[T any](list []T, num uint64, present bool) ([]T, uint64) {
	if !present {
		return list, uint64(len(list)) << 32
	}
	have := span(list, num)
	if end := num>>32 + num&0xffffffff; end == uint64(len(list)) {
		return list, num
	}
	start := uint64(len(list))
	return append(list, have...), start<<32 | uint64(len(have))
}
