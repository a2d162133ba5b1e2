package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Format is an encoding of records.
type Format uint8

// The formats, by their name in an endpoint's format= parameter.
const (
	// Protobuf ("protobuf") is goflow2's FlowMessage preceded by its length as
	// a varint, one to a Kafka record.
	Protobuf Format = iota
	// Packed ("packed") is the same, several messages to a Kafka record.
	Packed
	// ProtobufSingle ("protobuf-single") is the message without its length.
	ProtobufSingle
	// JSON ("json") is goflow2's JSON object with further fields beside its own.
	JSON
	// KFlow ("kflow") is KFlow's JSON object.
	KFlow
)

var formatNames = [...]string{Protobuf: "protobuf", Packed: "packed", ProtobufSingle: "protobuf-single", JSON: "json", KFlow: "kflow"}

// ErrFormat is what decoding returns for bytes in none of the formats.
var ErrFormat = errors.New("not a flow record")

// FormatNames lists the names that [ParseFormat] takes.
func FormatNames() []string { return append([]string(nil), formatNames[:]...) }

// ParseFormat finds a format by name.
func ParseFormat(name string) (Format, error) {
	for f, n := range formatNames {
		if n == name {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("format %q: allowed are %s", name, strings.Join(formatNames[:], ", "))
}

// String returns the name of the format.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return "unknown"
}

// Text reports whether the format is lines of text, to be parted by newlines in
// a file; the others delimit themselves or are one to a Kafka record.
func (f Format) Text() bool { return f == JSON || f == KFlow }

// Append appends r in format f. It allocates nothing but what dst needs to grow.
func (f Format) Append(dst []byte, r *Record) []byte {
	switch f {
	case Protobuf, Packed:
		return AppendDelimited(dst, r)
	case ProtobufSingle:
		return AppendProtobuf(dst, r)
	case KFlow:
		return AppendKFlow(dst, r)
	default:
		return AppendJSON(dst, r)
	}
}

// KeyField is a part of a [Key]: a field of the table, or an extra one by name.
type KeyField struct {
	Field Field
	Extra string // not empty: an extra field, Field is of no meaning
}

// Key says which fields make the key of a Kafka record.
type Key []KeyField

// AppendKey appends the values of the given fields as they appear in JSON,
// without quotes, joined by commas; nothing for an extra field that the record
// does not have. It is the key of a Kafka record.
func AppendKey(dst []byte, r *Record, key Key) []byte {
	for i := range key {
		if i > 0 {
			dst = append(dst, ',')
		}
		if key[i].Extra == "" {
			dst = appendPlain(dst, r, key[i].Field)
		} else if v, ok := r.Extra(key[i].Extra); ok {
			dst = v.AppendTo(dst)
		}
	}
	return dst
}

// ParseKey turns names of fields, as in JSON, into a key. A name that the table
// does not have is taken for an extra field's; Check tells whether it is one.
func ParseKey(names []string) (Key, error) {
	var key Key
	for _, n := range names {
		f, ok := FieldByName(n)
		switch {
		case ok:
			key = append(key, KeyField{Field: f})
		case validExtraName(n) && !taken(n):
			key = append(key, KeyField{Extra: n})
		default:
			return nil, noKeyField(n)
		}
	}
	return key, nil
}

// Check returns an error if the key has an extra field that is none of those
// named.
func (k Key) Check(extras []string) error {
	for i := range k {
		if n := k[i].Extra; n != "" && !slices.Contains(extras, n) {
			return noKeyField(n)
		}
	}
	return nil
}

func noKeyField(name string) error { return fmt.Errorf("key field %q: no such flow field", name) }
