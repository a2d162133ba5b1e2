package ipfix

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// MaxFields bounds the fields of one template. RFC 7011 lets a template have as
// many as fit a message; a template of more fields than this is refused.
const MaxFields = 1024

// Field is one field specifier of a template (RFC 7011, 3.2).
type Field struct {
	ElementID
	Length uint16 // octets, or VariableLength
}

// Template says what the data records of a set consist of (RFC 7011, 3.4).
type Template struct {
	ID      uint16
	Options bool    // an options template: its records speak of the exporter
	Scope   int     // number of scope fields, which come first
	Fields  []Field // none: a withdrawal

	// MinLength is the length of the shortest record, in octets: the sum of
	// all fixed lengths and one octet for every field of variable length.
	MinLength int
	// Variable is set when a field has variable length.
	Variable bool

	// occurrences says of each field how many times its element has come up to
	// there; nil when no element comes twice.
	occurrences []uint16

	// With fields of variable length: where each field is, and how many octets of fixed
	// length stand before each of those of variable length, and behind the last.
	places []place
	runs   []int32
}

// place is where a field of a record begins.
type place struct {
	after int32 // how many fields of variable length stand before it
	off   int32 // octets behind the last of these
}

// Equal reports whether two templates describe the same records.
func (t *Template) Equal(o *Template) bool {
	return t.ID == o.ID && t.Options == o.Options && t.Scope == o.Scope && slices.Equal(t.Fields, o.Fields)
}

// Clone returns a copy that shares nothing with t.
func (t *Template) Clone() *Template {
	c := *t
	c.Fields = slices.Clone(t.Fields)
	c.occurrences = slices.Clone(t.occurrences)
	c.places, c.runs = slices.Clone(t.places), slices.Clone(t.runs)
	return &c
}

// Withdrawal reports whether t withdraws a template instead of defining one
// (RFC 7011, 8.1). With the id of a template set it withdraws all of its kind.
func (t *Template) Withdrawal() bool { return len(t.Fields) == 0 }

// Measure computes from the fields what follows from them: MinLength, Variable, and where
// each field is.
func (t *Template) Measure() {
	t.MinLength, t.Variable, t.occurrences, t.places, t.runs = 0, false, nil, nil, nil
	for _, f := range t.Fields {
		if f.Length == VariableLength {
			t.Variable = true
			t.MinLength++
		} else {
			t.MinLength += int(f.Length)
		}
	}
	t.countOccurrences()
	if t.Variable {
		t.place()
	}
}

// place fills places and runs.
func (t *Template) place() {
	t.places = make([]place, len(t.Fields))
	at := place{}
	for i, f := range t.Fields {
		t.places[i] = at
		if f.Length == VariableLength {
			t.runs = append(t.runs, at.off)
			at = place{after: at.after + 1}
		} else {
			at.off += int32(f.Length)
		}
	}
	t.runs = append(t.runs, at.off)
}

// countOccurrences fills occurrences if an element comes twice.
func (t *Template) countOccurrences() {
	seen := make(map[ElementID]uint16, len(t.Fields))
	for _, f := range t.Fields {
		seen[f.ElementID]++
	}
	if len(seen) == len(t.Fields) {
		return
	}
	clear(seen)
	t.occurrences = make([]uint16, len(t.Fields))
	for i, f := range t.Fields {
		seen[f.ElementID]++
		t.occurrences[i] = seen[f.ElementID]
	}
}

// occurrence returns how many times the element of field i has come up to there.
func (t *Template) occurrence(i int) int {
	if t.occurrences == nil {
		return 1
	}
	return int(t.occurrences[i])
}

// ParseTemplates reads the template records of a template set, or of an options
// template set, and calls emit for each; t is valid until emit returns. Octets
// at the end that are too few for a record, and zeros, are padding.
//
// An invalid record ends the set, since nothing tells where the next one
// begins; those before it stay valid.
func ParseTemplates(set Set, emit func(t *Template)) error {
	t := Template{Options: set.ID == OptionsTemplateSetID}
	for b := set.Body; len(b) >= 4; {
		// RFC 7011, 3.4.1 and 3.4.2.
		count := int(binary.BigEndian.Uint16(b[2:]))
		t.ID, t.Scope, t.Fields = binary.BigEndian.Uint16(b), 0, t.Fields[:0]
		if t.ID == 0 && count == 0 && allZero(b) {
			return nil
		}
		b = b[4:]
		switch {
		case count == 0: // RFC 7011, 8.1: a withdrawal has no scope count.
			if t.ID != set.ID && t.ID < MinDataSetID {
				return fmt.Errorf("withdrawal of template %d: %w", t.ID, ErrTemplate)
			}
		case t.ID < MinDataSetID:
			return fmt.Errorf("template id %d: %w", t.ID, ErrTemplate)
		case count > MaxFields:
			return fmt.Errorf("template %d of %d fields: %w", t.ID, count, ErrTemplate)
		case t.Options:
			if len(b) < 2 {
				return fmt.Errorf("options template %d: %w", t.ID, ErrTruncated)
			}
			t.Scope = int(binary.BigEndian.Uint16(b))
			b = b[2:]
			// RFC 7011, 3.4.2.2: the scope count must not be zero. Some
			// exporters send zero and mean it; their records read well.
			if t.Scope > count {
				return fmt.Errorf("options template %d of %d fields with %d of scope: %w", t.ID, count, t.Scope, ErrTemplate)
			}
		}
		for range count {
			var f Field
			var ok bool
			if f, b, ok = parseField(b); !ok {
				return fmt.Errorf("template %d of %d fields: %w", t.ID, count, ErrTruncated)
			}
			t.Fields = append(t.Fields, f)
		}
		t.Measure()
		emit(&t)
	}
	return nil
}

// parseField reads a field specifier. RFC 7011, 3.2.
func parseField(b []byte) (f Field, rest []byte, ok bool) {
	if len(b) < 4 {
		return f, nil, false
	}
	f.ID, f.Length = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if f.ID&0x8000 == 0 {
		return f, b[4:], true
	}
	if len(b) < 8 {
		return f, nil, false
	}
	f.ID &^= 0x8000
	f.Enterprise = binary.BigEndian.Uint32(b[4:])
	return f, b[8:], true
}

// Records goes through the data records of a set.
type Records struct {
	t    *Template
	rest []byte
	err  error
	ends []int // of the fields of variable length in the record
}

// Reset starts over with the records of a set that t describes, which has been measured.
func (r *Records) Reset(t *Template, body []byte) {
	r.t, r.rest, r.err = t, body, nil
	switch {
	case t.Variable && len(t.places) != len(t.Fields):
		r.err = fmt.Errorf("template %d has not been measured: %w", t.ID, ErrTemplate)
	case t.MinLength == 0 && len(body) > 0:
		r.err = fmt.Errorf("set of template %d, whose records have no octets: %w", t.ID, ErrTemplate)
	}
	if t.Variable && cap(r.ends) < len(t.runs) {
		r.ends = make([]int, len(t.runs))
	}
	r.ends = r.ends[:cap(r.ends)]
}

// Next returns the next record, or nil at the end. A template whose records
// have no octets describes none, and a set of it is an error. What is left over
// and shorter than a record is padding (RFC 7011, 3.3.1).
func (r *Records) Next() []byte {
	n := r.t.MinLength
	if n == 0 || len(r.rest) < n || r.err != nil {
		return nil
	}
	if r.t.Variable {
		if n = r.measure(); n == 0 {
			return nil
		}
	}
	rec := r.rest[:n:n]
	r.rest = r.rest[n:]
	return rec
}

// measure finds the ends of the fields of variable length of the record at the start of
// rest, and returns the record's length, 0 when it is not whole.
func (r *Records) measure() int {
	at, last := 0, len(r.t.runs)-1
	for i, run := range r.t.runs[:last] {
		// RFC 7011, 7: one octet, or 255 and two.
		at += int(run)
		if at >= len(r.rest) {
			return r.cut()
		}
		n := int(r.rest[at])
		at++
		if n == 255 {
			if at+2 > len(r.rest) {
				return r.cut()
			}
			n = int(binary.BigEndian.Uint16(r.rest[at:]))
			at += 2
		}
		at += n
		r.ends[i] = at
	}
	at += int(r.t.runs[last])
	if at > len(r.rest) {
		return r.cut()
	}
	return at
}

// cut ends the set at a record that is not whole. Zeros are padding.
func (r *Records) cut() int {
	if !allZero(r.rest) {
		r.err = fmt.Errorf("record of template %d: %w", r.t.ID, ErrTruncated)
	}
	return 0
}

// Value returns field i of a record of variable length that Next returned last.
func (r *Records) Value(rec []byte, i int) []byte {
	p := r.t.places[i]
	start := int(p.off)
	if p.after > 0 {
		start += r.ends[p.after-1]
	}
	if n := r.t.Fields[i].Length; n != VariableLength {
		return rec[start : start+int(n)]
	}
	if rec[start] == 255 {
		start += 2
	}
	return rec[start+1 : r.ends[p.after]]
}

// Err returns what was wrong with the set, once Next has returned nil.
func (r *Records) Err() error { return r.err }
