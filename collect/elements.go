package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
)

// NamedElement makes an information element an extra field of flow records.
type NamedElement struct {
	ID    ipfix.ElementID
	Field *flow.Extra
}

// ParseElement reads what an option says of an element:
//
//	ELEMENT[=NAME][:TYPE]
//
// ELEMENT is the element's name in the registry, or enterprise/id, or the id alone
// for one of IANA's or a field type of NetFlow v9. Without NAME the field has the
// registry's name in snake_case, without TYPE the type that suits the registry's.
// For what the registry does not list both are needed. Types are those of
// [flow.ParseExtraType].
func ParseElement(text string) (NamedElement, error) {
	spec, typeName, hasType := strings.Cut(text, ":")
	spec, name, hasName := strings.Cut(spec, "=")
	e, err := findElement(spec)
	if err != nil {
		return NamedElement{}, err
	}
	if !hasName {
		if e.Name == "" {
			return NamedElement{}, fmt.Errorf("element %s has no name in the registry; allowed is %s=NAME:TYPE", spec, spec)
		}
		name = e.FieldName()
	}
	t := typeOf(e.Type)
	switch {
	case hasType:
		if t, err = flow.ParseExtraType(typeName); err != nil {
			return NamedElement{}, err
		}
	case e.Name == "":
		return NamedElement{}, fmt.Errorf("element %s has no type in the registry; allowed is %s=NAME:TYPE", spec, spec)
	}
	if t == flow.ExtraList && !e.Type.List() {
		return NamedElement{}, fmt.Errorf("element %s is no list in the registry", spec)
	}
	if t == flow.ExtraTime && e.Name != "" && typeOf(e.Type) != flow.ExtraTime {
		return NamedElement{}, fmt.Errorf("element %s is no time in the registry", spec)
	}
	field, err := flow.NewExtra(name, t)
	return NamedElement{e.ElementID, field}, err
}

// findElement finds an element by name or number. One that the registry does not
// list has no name.
func findElement(spec string) (ipfix.Element, error) {
	if e, ok := ipfix.ElementByName(spec); ok {
		return e, nil
	}
	enterprise, id, ok := strings.Cut(spec, "/")
	if !ok {
		enterprise, id = "0", spec
	}
	pen, err1 := strconv.ParseUint(enterprise, 10, 32)
	n, err2 := strconv.ParseUint(id, 10, 16)
	if err1 != nil || err2 != nil || n == 0 {
		return ipfix.Element{}, errors.New("allowed is ELEMENT[=NAME][:TYPE], ELEMENT being enterprise/id, an id of IANA's or a name in the registry")
	}
	e, _ := ipfix.LookupElement(uint32(pen), uint16(n))
	e.ElementID = ipfix.ElementID{Enterprise: uint32(pen), ID: uint16(n)}
	return e, nil
}

// typeOf returns the type of field that suits an element's type.
func typeOf(t ipfix.DataType) flow.ExtraType {
	switch t {
	case ipfix.Unsigned8, ipfix.Unsigned16, ipfix.Unsigned32, ipfix.Unsigned64:
		return flow.ExtraUint
	case ipfix.Signed8, ipfix.Signed16, ipfix.Signed32, ipfix.Signed64:
		return flow.ExtraInt
	case ipfix.Float32, ipfix.Float64:
		return flow.ExtraFloat
	case ipfix.Boolean:
		return flow.ExtraBool
	case ipfix.MACAddress:
		return flow.ExtraMAC
	case ipfix.String:
		return flow.ExtraString
	case ipfix.IPv4Address, ipfix.IPv6Address:
		return flow.ExtraIP
	case ipfix.DateTimeSeconds, ipfix.DateTimeMilliseconds, ipfix.DateTimeMicroseconds, ipfix.DateTimeNanoseconds:
		return flow.ExtraTime
	case ipfix.BasicList, ipfix.SubTemplateList, ipfix.SubTemplateMultiList:
		return flow.ExtraList
	}
	return flow.ExtraBytes
}

// CheckElements returns an error if elements cannot be fields together: one named
// twice, or one name for values of two types.
func CheckElements(elements []NamedElement) error {
	ids := make(map[ipfix.ElementID]string)
	types := make(map[string]flow.ExtraType)
	for _, e := range elements {
		name := e.Field.Name()
		if other, ok := ids[e.ID]; ok {
			return fmt.Errorf("element %s is both %s and %s; allowed is one field", e.ID, other, name)
		}
		ids[e.ID] = name
		if t, ok := types[name]; ok && t != e.Field.Type() {
			return fmt.Errorf("field %s is both %s and %s; allowed is one type", name, t, e.Field.Type())
		}
		types[name] = e.Field.Type()
	}
	return nil
}

// eventElements are elements of address translation and firewall logs (RFC 8158)
// that are seldom enough to do without a field of the table, by number of IANA's.
var eventElements = [...]uint16{
	297, 466, 467, 471, 472, 473, 474, 475, 476, 477, 478, 479, 480, 481, 482,
	24628, 24629, 24630, 24631, 24632, 24633, 24634, 24635,
}

// fieldsOfEvents are the extra fields of eventElements.
var fieldsOfEvents = sync.OnceValue(func() map[ipfix.ElementID]*flow.Extra {
	m := make(map[ipfix.ElementID]*flow.Extra)
	for _, id := range eventElements {
		e, _ := ipfix.LookupElement(ipfix.IANA, id)
		if field, err := flow.NewExtra(e.FieldName(), typeOf(e.Type)); err == nil {
			m[e.ElementID] = field
		}
	}
	return m
})

// ExtraNames lists the extra fields that records may have without configuration.
func ExtraNames() []string {
	var names []string
	for _, f := range fieldsOfEvents() {
		names = append(names, f.Name())
	}
	for _, list := range fieldsOfLists() {
		for _, f := range list {
			names = append(names, f.Name())
		}
	}
	for _, f := range sflowExtras() {
		names = append(names, f.Name())
	}
	for _, f := range []*flow.Extra{extraSrcPriority, extraDstPriority, extraSrcPeerAS, extraLocalPref} {
		names = append(names, f.Name())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxLists is how many lists of one element a record may have as fields.
const maxLists = 16

// fieldsOfLists are the extra fields of the registry's lists: basic_list for the
// first in a record, then basic_list_2 and so on.
var fieldsOfLists = sync.OnceValue(func() map[ipfix.ElementID][]*flow.Extra {
	m := make(map[ipfix.ElementID][]*flow.Extra)
	for e := range ipfix.Elements() {
		if !e.Type.List() {
			continue
		}
		for n := 1; n <= maxLists; n++ {
			name := e.FieldName()
			if n > 1 {
				name += "_" + strconv.Itoa(n)
			}
			if field, err := flow.NewExtra(name, flow.ExtraList); err == nil {
				m[e.ElementID] = append(m[e.ElementID], field)
			}
		}
	}
	return m
})

// extraFields chooses the extra fields of one template.
type extraFields struct {
	named map[ipfix.ElementID]*flow.Extra
	taken map[string]bool
	lists map[ipfix.ElementID]int
}

// of returns the extra field of an element, nil if it has none: the one that
// configuration names, else, for an element without a field of the table, one of
// its own. A name is given once in a record.
func (x *extraFields) of(version uint16, id ipfix.ElementID, element bool) *flow.Extra {
	if len(x.named) > 0 {
		if f := x.byConfig(version, id); f != nil && x.take(f) {
			return f
		}
	}
	if !element {
		return nil
	}
	f := fieldsOfEvents()[id]
	if e, ok := ipfix.LookupElement(id.Enterprise, id.ID); ok && e.Type.List() {
		f = x.ofList(id)
	}
	if f == nil || !x.take(f) {
		return nil
	}
	return f
}

// ofList returns the field of the next list of an element.
func (x *extraFields) ofList(id ipfix.ElementID) *flow.Extra {
	fields, n := fieldsOfLists()[id], x.lists[id]
	if n >= len(fields) {
		return nil
	}
	if x.lists == nil {
		x.lists = make(map[ipfix.ElementID]int)
	}
	x.lists[id]++
	return fields[n]
}

func (x *extraFields) take(f *flow.Extra) bool {
	if x.taken[f.Name()] {
		return false
	}
	if x.taken == nil {
		x.taken = make(map[string]bool)
	}
	x.taken[f.Name()] = true
	return true
}

// Field types of NetFlow v9 beyond 32767 that stand for elements of enterprises.
const (
	ciscoV9Base = 32768
	ntopV9Base  = 57472
)

func (x *extraFields) byConfig(version uint16, id ipfix.ElementID) *flow.Extra {
	f := x.named[id]
	if f != nil || version != 9 || id.Enterprise != ipfix.IANA || id.ID < ciscoV9Base {
		return f
	}
	if id.ID >= ntopV9Base {
		return x.named[ipfix.ElementID{Enterprise: ipfix.NtopEnterprise, ID: id.ID - ntopV9Base}]
	}
	return x.named[ipfix.ElementID{Enterprise: ipfix.CiscoEnterprise, ID: id.ID - ciscoV9Base}]
}

// extraOp is how a program reads an extra field.
type extraOp struct {
	field *flow.Extra
	typ   ipfix.DataType // of lists and times
}

// fitsExtra reports whether a value of n octets can be read as t.
func fitsExtra(t flow.ExtraType, n uint16) bool {
	switch t {
	case flow.ExtraUint, flow.ExtraInt:
		return n >= 1 && n <= 8
	case flow.ExtraFloat, flow.ExtraTime:
		return n == 4 || n == 8
	case flow.ExtraIP:
		return n == 4 || n == 16
	case flow.ExtraMAC:
		return n == 6
	case flow.ExtraBool:
		return n == 1
	}
	return true
}

// set reads the value of an extra field into r; false when it is none that the
// field can have.
func (x *extraOp) set(v []byte, s *scratch, r *flow.Record) bool {
	switch x.field.Type() {
	case flow.ExtraUint, flow.ExtraMAC:
		r.AppendExtra(x.field, readUint(v))
	case flow.ExtraInt:
		shift := 64 - 8*uint(len(v))
		r.AppendExtra(x.field, uint64(int64(readUint(v)<<shift)>>shift))
	case flow.ExtraFloat:
		bits := readUint(v)
		if len(v) == 4 {
			bits = math.Float64bits(float64(math.Float32frombits(uint32(bits))))
		}
		r.AppendExtra(x.field, bits)
	case flow.ExtraBool:
		// RFC 7011, 6.1.5: 1 is true, 2 is false. Some say false by 0.
		if v[0] > 2 {
			return false
		}
		r.AppendExtra(x.field, uint64(v[0]&1))
	case flow.ExtraTime:
		r.AppendExtra(x.field, x.time(v))
	case flow.ExtraString:
		r.AppendExtraBytes(x.field, text(v))
	case flow.ExtraList:
		return s.list(x, v, r)
	default:
		r.AppendExtraBytes(x.field, v)
	}
	return true
}

// time returns a time in ns since the epoch. Where the registry does not tell the
// unit, four octets are seconds and eight milliseconds.
func (x *extraOp) time(v []byte) uint64 {
	switch {
	case len(v) == 4:
		return uint64(binary.BigEndian.Uint32(v)) * 1e9
	case x.typ == ipfix.DateTimeSeconds:
		return readUint(v) * 1e9
	case x.typ == ipfix.DateTimeMicroseconds, x.typ == ipfix.DateTimeNanoseconds:
		return ntpToNs(readUint(v))
	}
	return readUint(v) * 1e6
}

// maxListText is how much text the lists of one datagram may become, in octets;
// those beyond stay elements.
const maxListText = 1 << 20

// list writes a list as text into memory of the scratch, where it stays until the
// next record.
func (s *scratch) list(x *extraOp, v []byte, r *flow.Record) bool {
	start := len(s.text)
	out, err := s.lists.Append(s.text, x.typ, v, s.templates, min(maxListText-s.listText, maxRecordText))
	if err != nil {
		return false
	}
	s.text = out
	s.listText += len(out) - start
	r.AppendExtraBytes(x.field, out[start:len(out):len(out)])
	return true
}

// maxRecordText is how long the text of one list may be, in octets: a record should
// fit the 1 MB that Kafka takes.
const maxRecordText = 128 << 10
