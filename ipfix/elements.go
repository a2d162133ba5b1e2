package ipfix

import (
	"iter"
	"strconv"
	"sync"
)

//go:generate go run elements_gen.go

// Enterprise numbers with a meaning of their own.
const (
	// IANA is the enterprise number of the elements IANA registers: they carry none on the wire.
	IANA uint32 = 0
	// ReverseEnterprise marks the reverse of IANA's elements: 29305/1 counts the octets of the other direction (RFC 5103, 6.1).
	ReverseEnterprise uint32 = 29305
	// CERTEnterprise is the number of CERT at Carnegie Mellon (YAF). Its elements have their reverse at the same id plus 0x4000.
	CERTEnterprise uint32 = 6871
	// CiscoEnterprise is the number of Cisco Systems.
	CiscoEnterprise uint32 = 9
	// NtopEnterprise is the number of ntop (nProbe).
	NtopEnterprise uint32 = 35632
)

// NetFlow v9 knows no enterprise numbers. Field types from 32768 on are how Cisco sends its own elements there (33000 is
// 9/232), except that nProbe took what lies from 57472 on (57590 is 35632/118).
const (
	ciscoV9Base = 32768
	ntopV9Base  = 57472
)

// certReverseBit tells a reverse element of CERT from its forward one.
const certReverseBit = 0x4000

// ElementID names an information element: the enterprise that defined it (0: IANA) and the number it gave. For
// enterprise 0 an ID above 32767 is a NetFlow v9 field type outside IANA's range.
type ElementID struct {
	Enterprise uint32
	ID         uint16
}

// String gives "153" for an element of IANA's and "35632/118" for one of an enterprise.
func (id ElementID) String() string {
	var buf [16]byte
	return string(id.appendTo(buf[:0]))
}

func (id ElementID) appendTo(b []byte) []byte {
	if id.Enterprise != IANA {
		b = strconv.AppendUint(b, uint64(id.Enterprise), 10)
		b = append(b, '/')
	}
	return strconv.AppendUint(b, uint64(id.ID), 10)
}

// Element describes an information element.
type Element struct {
	ElementID
	Name      string // as registered, or as the vendor calls it
	Type      DataType
	Semantics Semantics
	Units     Units
}

// String gives the element's name, or its id when it has none.
func (e Element) String() string {
	if e.Name == "" {
		return e.ElementID.String()
	}
	return e.Name
}

// FieldName gives the name as fields of flow records and members of JSON objects are spelt: natPoolName is nat_pool_name,
// sourceIPv4Address is source_ipv4_address. An element without a name has its id, as ElementID writes it.
func (e Element) FieldName() string { return string(e.appendFieldName(nil)) }

func (e Element) appendFieldName(dst []byte) []byte {
	if e.Name == "" {
		return e.appendTo(dst)
	}
	upper := func(i int) bool { return i < len(e.Name) && 'A' <= e.Name[i] && e.Name[i] <= 'Z' }
	for i := 0; i < len(e.Name); i++ {
		c := e.Name[i]
		if !upper(i) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				c = '_'
			}
			dst = append(dst, c)
			continue
		}
		// A word begins after a small letter or digit, and with the last capital before small ones.
		word := ipWord(e.Name[i:])
		if i > 0 && dst[len(dst)-1] != '_' && (!upper(i-1) || word > 0 || i+1 < len(e.Name) && !upper(i+1) && 'a' <= e.Name[i+1] && e.Name[i+1] <= 'z') {
			dst = append(dst, '_')
		}
		if word > 0 {
			dst = append(dst, "ipv"...)
			i += len("ipv") - 1
			continue
		}
		dst = append(dst, c|0x20)
	}
	return dst
}

// ipWord tells IPv4 and IPv6, which are one word, at the start of s.
func ipWord(s string) int {
	if len(s) > 3 && s[:3] == "IPv" && (s[3] == '4' || s[3] == '6') {
		return len("IPv4")
	}
	return 0
}

// LookupElement finds an element by enterprise number and id. Besides what the registry lists it resolves by rule:
//   - 29305/n, the reverse of IANA's element n, named "reverse" and that name (RFC 5103, 6.1);
//   - 6871/n with bit 0x4000 set, the reverse of CERT's element n;
//   - 0/(57472+n) and 0/(32768+n), how nProbe and Cisco say 35632/n and 9/n in NetFlow v9.
//
// It does not allocate, may be called from several goroutines and takes some tens of nanoseconds.
func LookupElement(enterprise uint32, id uint16) (Element, bool) {
	switch enterprise {
	case IANA:
		if int(id) < len(ianaElements) {
			e := ianaElements[id]
			return e, e.Name != ""
		}
		if e, ok := registered()[ElementID{IANA, id}]; ok {
			return *e, true
		}
		alias := ElementID{CiscoEnterprise, id - ciscoV9Base}
		switch {
		case id >= ntopV9Base:
			alias = ElementID{NtopEnterprise, id - ntopV9Base}
		case id < ciscoV9Base:
			return Element{}, false
		}
		p, ok := registered()[alias]
		if !ok {
			return Element{}, false
		}
		e := *p
		e.ElementID = ElementID{IANA, id}
		return e, true
	case ReverseEnterprise:
		if r := reversed(); int(id) < len(r) {
			return r[id], r[id].Name != ""
		}
		return Element{}, false
	}
	if e, ok := registered()[ElementID{enterprise, id}]; ok {
		return *e, true
	}
	return Element{}, false
}

// ElementByName finds an element by its name, exactly as spelt. Where several enterprises use one name IANA comes first,
// then the lowest enterprise number. Reverse elements of IANA's are found too.
func ElementByName(name string) (Element, bool) {
	e, ok := named()[name]
	if !ok {
		return Element{}, false
	}
	return *e, true
}

// Elements yields every element the registry lists, ordered by enterprise and id. What LookupElement resolves by rule is
// not repeated.
func Elements() iter.Seq[Element] {
	return func(yield func(Element) bool) {
		for _, e := range ianaElements {
			if e.Name != "" && !yield(e) {
				return
			}
		}
		for i := range otherElements {
			if !yield(otherElements[i]) {
				return
			}
		}
	}
}

// registered indexes everything outside IANA's dense table, with CERT's reverse elements.
var registered = sync.OnceValue(func() map[ElementID]*Element {
	m := make(map[ElementID]*Element, len(otherElements)*5/4)
	for i := range otherElements {
		m[otherElements[i].ElementID] = &otherElements[i]
	}
	for i := range otherElements {
		e := &otherElements[i]
		if e.Enterprise != CERTEnterprise || e.ID&certReverseBit != 0 {
			continue
		}
		id := ElementID{CERTEnterprise, e.ID | certReverseBit}
		if m[id] == nil {
			m[id] = &Element{id, reverseName(e.Name), e.Type, e.Semantics, e.Units}
		}
	}
	return m
})

// reversed mirrors IANA's table.
var reversed = sync.OnceValue(func() []Element {
	r := make([]Element, len(ianaElements))
	for i, e := range ianaElements {
		if e.Name != "" {
			e.Enterprise = ReverseEnterprise
			e.Name = reverseName(e.Name)
			r[i] = e
		}
	}
	return r
})

var named = sync.OnceValue(func() map[string]*Element {
	m := make(map[string]*Element, len(ianaElements)*2+len(otherElements))
	add := func(e *Element) {
		if e.Name != "" && m[e.Name] == nil {
			m[e.Name] = e
		}
	}
	for i := range ianaElements {
		add(&ianaElements[i])
	}
	for i := range otherElements {
		add(&otherElements[i])
	}
	r := reversed()
	for i := range r {
		add(&r[i])
	}
	return m
})

// reverseName turns octetDeltaCount into reverseOctetDeltaCount (RFC 5103, 6.1).
func reverseName(name string) string {
	c := name[0]
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	return "reverse" + string(rune(c)) + name[1:]
}
