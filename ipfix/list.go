package ipfix

import (
	"encoding/binary"
	"errors"
	"strconv"
)

// maxListDepth is how deep lists may lie in lists.
const maxListDepth = 8

// ErrList says that a list cannot be read: it contradicts itself, needs a template
// that is not known, is nested too deep, or its text is too long.
var ErrList = errors.New("list cannot be read")

// Templates finds the templates that lists refer to; nil: there is none of that
// id.
type Templates interface {
	Template(id uint16) *Template
}

// Lists writes structured elements (RFC 6313) as JSON. It keeps memory for that
// and is used again and again, by one goroutine at a time.
type Lists struct {
	levels    [maxListDepth]Records
	templates Templates
	limit     int // of dst
}

// semanticNames are the structured data types' semantics (RFC 6313, 4.4).
var semanticNames = [...]string{"noneOf", "exactlyOneOf", "oneOrMoreOf", "allOf", "ordered"}

// undefinedSemantic says that nothing is said about how the items are related.
const undefinedSemantic = 255

// Append appends value, the octets of an element of type BasicList,
// SubTemplateList or SubTemplateMultiList, to dst as a JSON object:
//
//	{"semantic":"ordered","element":"bgp_community","values":[4259905636,4259905637]}
//	{"semantic":"allOf","template":300,"records":[{"source_ipv4_address":"192.0.2.1"}]}
//	{"semantic":"allOf","lists":[{"template":300,"records":[…]},{"template":301,"records":[…]}]}
//
// Elements have their names as [Element.FieldName] writes them, or enterprise and
// id where they have none; an element that a record has several times is followed
// by _2, _3 and so on. Values are as [AppendValue] writes them, lists within
// lists as above.
//
// If the list cannot be read as a whole, or its text would be longer than limit
// octets, dst is returned as it was with [ErrList].
func (l *Lists) Append(dst []byte, t DataType, value []byte, templates Templates, limit int) ([]byte, error) {
	l.templates, l.limit = templates, len(dst)+limit
	out, ok := l.list(dst, t, value, 0)
	l.templates = nil
	if !ok || len(out) > l.limit {
		return dst, ErrList
	}
	return out, nil
}

func (l *Lists) list(dst []byte, t DataType, value []byte, depth int) ([]byte, bool) {
	if len(value) == 0 || depth == maxListDepth {
		return dst, false
	}
	dst = appendSemantic(append(dst, `{"semantic":`...), value[0])
	value = value[1:]
	ok := false
	switch t {
	case BasicList:
		dst, ok = l.basic(dst, value, depth)
	case SubTemplateList:
		// RFC 6313, 4.5.2.
		if len(value) < 2 {
			return dst, false
		}
		dst, ok = l.records(append(dst, ','), binary.BigEndian.Uint16(value), value[2:], depth)
	case SubTemplateMultiList:
		dst, ok = l.multi(dst, value, depth)
	}
	return append(dst, '}'), ok
}

func appendSemantic(dst []byte, semantic uint8) []byte {
	switch {
	case int(semantic) < len(semanticNames):
		return append(append(append(dst, '"'), semanticNames[semantic]...), '"')
	case semantic == undefinedSemantic:
		return append(dst, `"undefined"`...)
	}
	return strconv.AppendUint(dst, uint64(semantic), 10)
}

// basic writes a basicList behind its semantic: a field specifier and values
// (RFC 6313, 4.5.1).
func (l *Lists) basic(dst, b []byte, depth int) ([]byte, bool) {
	f, b, ok := parseField(b)
	if !ok || f.Length == 0 {
		return dst, false
	}
	e := lookup(f.ElementID)
	dst = append(e.appendFieldName(append(dst, `,"element":"`...)), `","values":[`...)
	for first := true; len(b) > 0; first = false {
		n := int(f.Length)
		if n == VariableLength {
			if n, b, ok = variableLength(b); !ok {
				return dst, false
			}
		}
		if n > len(b) || len(dst) > l.limit {
			return dst, false
		}
		if !first {
			dst = append(dst, ',')
		}
		if dst, ok = l.value(dst, e, b[:n], depth); !ok {
			return dst, false
		}
		b = b[n:]
	}
	return append(dst, ']'), true
}

// variableLength reads the length before a value (RFC 7011, 7).
func variableLength(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) == 0:
		return 0, nil, false
	case b[0] < 255:
		return int(b[0]), b[1:], true
	case len(b) < 3:
		return 0, nil, false
	}
	return int(binary.BigEndian.Uint16(b[1:])), b[3:], true
}

// multi writes a subTemplateMultiList behind its semantic: runs of records, each
// behind template id and length (RFC 6313, 4.5.3).
func (l *Lists) multi(dst, b []byte, depth int) ([]byte, bool) {
	dst = append(dst, `,"lists":[`...)
	for first := true; len(b) > 0; first = false {
		if len(b) < 4 {
			return dst, false
		}
		// The length counts the four octets it stands in.
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			return dst, false
		}
		if !first {
			dst = append(dst, ',')
		}
		ok := false
		if dst, ok = l.records(append(dst, '{'), id, b[4:n], depth); !ok {
			return dst, false
		}
		dst = append(dst, '}')
		b = b[n:]
	}
	return append(dst, ']'), true
}

// records writes a template's id and the records in b.
func (l *Lists) records(dst []byte, id uint16, b []byte, depth int) ([]byte, bool) {
	dst = strconv.AppendUint(append(dst, `"template":`...), uint64(id), 10)
	dst = append(dst, `,"records":[`...)
	if len(b) == 0 {
		return append(dst, ']'), true
	}
	t := l.templates.Template(id)
	if t == nil {
		return dst, false
	}
	values := &l.levels[depth]
	values.Reset(t, b)
	first := true
	for rec := values.Next(); rec != nil; rec = values.Next() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		ok := false
		if dst, ok = l.record(dst, t, rec, values, depth); !ok {
			return dst, false
		}
	}
	// There is no padding between records of a list: what is left over is lost.
	return append(dst, ']'), values.Err() == nil && len(values.rest) == 0
}

func (l *Lists) record(dst []byte, t *Template, rec []byte, values *Records, depth int) ([]byte, bool) {
	dst = append(dst, '{')
	off, first := 0, true
	for i := range t.Fields {
		f := &t.Fields[i]
		var v []byte
		if t.Variable {
			v = values.Value(rec, i)
		} else {
			v = rec[off : off+int(f.Length)]
			off += int(f.Length)
		}
		if f.Length == 0 || f.ElementID == (ElementID{IANA, PaddingOctets}) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		e := lookup(f.ElementID)
		dst = e.appendFieldName(append(dst, '"'))
		if n := t.occurrence(i); n > 1 {
			dst = strconv.AppendInt(append(dst, '_'), int64(n), 10)
		}
		ok := false
		if dst, ok = l.value(append(dst, `":`...), e, v, depth); !ok || len(dst) > l.limit {
			return dst, false
		}
	}
	return append(dst, '}'), true
}

// value writes the value of an element, which may be a list itself.
func (l *Lists) value(dst []byte, e Element, v []byte, depth int) ([]byte, bool) {
	if e.Type.List() {
		return l.list(dst, e.Type, v, depth+1)
	}
	return AppendValue(dst, e, v), true
}

// lookup returns what is known of an element, its id if that is all.
func lookup(id ElementID) Element {
	if e, ok := LookupElement(id.Enterprise, id.ID); ok {
		return e
	}
	return Element{ElementID: id}
}
