package broker

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A shape is the outline of a request body, all versions in one, written down beside the handler. Every body is walked
// along its shape before anything is decoded: what the walk accepts has all the bytes it claims to have, so decoding it
// costs memory by what was sent and not by what was said.
//
//	"string@0-9 uuid@10 [ int32 int64 string ] bool@4"
//
// A field is int8, int16, int32, int64, bool, uuid, string, bytes or an array in brackets. Behind an @ stands the first
// version that has the field and, behind a dash, the last. A tagged field section ends every flexible struct by itself;
// "[=" opens an array of plain values, which has none. A struct in braces may be null, which a byte before it says.
type shape []shapeField

type shapeField struct {
	kind     shapeKind
	size     int // of a fixed field
	min, max int16
	plain    bool // array whose elements are no structs
	elem     shape
}

type shapeKind uint8

const (
	shapeFixed shapeKind = iota
	shapeString
	shapeBytes
	shapeArray
	shapeStruct
)

// maxElements bounds the array elements of one request, and elementBytes is what one may take when it is decoded.
const (
	maxElements  = 1 << 17
	elementBytes = 256
)

// parseShape compiles an outline. An outline is a constant of this package, so a mistake in one is a broken invariant.
func parseShape(outline string) shape {
	words := strings.Fields(outline)
	s, rest := parseFields(words, outline)
	if len(rest) != 0 {
		panic(fmt.Sprintf("shape %q: stray %q", outline, rest[0]))
	}
	return s
}

func parseFields(words []string, outline string) (shape, []string) {
	var s shape
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		name, versions, _ := strings.Cut(word, "@")
		f := shapeField{max: math.MaxInt16}
		if versions != "" {
			lo, hi, both := strings.Cut(versions, "-")
			f.min = mustVersion(lo, outline)
			if both {
				f.max = mustVersion(hi, outline)
			}
		}
		switch name {
		case "int8", "bool":
			f.size = 1
		case "int16":
			f.size = 2
		case "int32":
			f.size = 4
		case "int64":
			f.size = 8
		case "uuid":
			f.size = 16
		case "string":
			f.kind = shapeString
		case "bytes":
			f.kind = shapeBytes
		case "[", "[=":
			f.kind, f.plain = shapeArray, name == "[="
			f.elem, words = parseFields(words, outline)
			if len(words) == 0 || words[0] != "]" {
				panic(fmt.Sprintf("shape %q: array without end", outline))
			}
			words = words[1:]
		case "{":
			f.kind = shapeStruct
			f.elem, words = parseFields(words, outline)
			if len(words) == 0 || words[0] != "}" {
				panic(fmt.Sprintf("shape %q: struct without end", outline))
			}
			words = words[1:]
		case "]", "}":
			return s, append([]string{name}, words...)
		default:
			panic(fmt.Sprintf("shape %q: unknown word %q", outline, word))
		}
		s = append(s, f)
	}
	return s, nil
}

func mustVersion(s, outline string) int16 {
	v, err := strconv.ParseInt(s, 10, 16)
	if err != nil {
		panic(fmt.Sprintf("shape %q: version %q", outline, s))
	}
	return int16(v)
}

// accepts walks a body and says whether it holds what its version must hold, and how many array elements that is. Bytes
// behind that are nobody's, as in Kafka.
func (s shape) accepts(body []byte, version int16, flexible bool) (elements int, ok bool) {
	w := walk{cursor: cursor{b: body}, version: version, flexible: flexible, left: maxElements}
	w.fields(s)
	w.tags(flexible)
	return maxElements - w.left, !w.bad
}

type walk struct {
	cursor
	version  int16
	flexible bool
	left     int // array elements that may still come
}

func (w *walk) fields(s shape) {
	for i := range s {
		f := &s[i]
		if w.version < f.min || w.version > f.max {
			continue
		}
		switch f.kind {
		case shapeFixed:
			w.take(f.size)
		case shapeString:
			w.str(w.flexible)
		case shapeBytes:
			w.bytes(w.flexible)
		case shapeArray:
			w.array(f)
		case shapeStruct:
			if w.int8() >= 0 {
				w.fields(f.elem)
				w.tags(w.flexible)
			}
		}
		if w.bad {
			return
		}
	}
}

func (w *walk) array(f *shapeField) {
	n := w.arrayLen(w.flexible, 1)
	if w.left -= max(n, 0); w.left < 0 {
		w.fail()
	}
	for ; n > 0 && !w.bad; n-- {
		w.fields(f.elem)
		if !f.plain {
			w.tags(w.flexible)
		}
	}
}
