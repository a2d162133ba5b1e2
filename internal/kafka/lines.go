package kafka

import (
	"bytes"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// LineFormat says how a line of text is a record: headers, key and value, each but the value only where its separator is set,
// in this order. It is what Kafka's LineMessageReader reads.
type LineFormat struct {
	HeaderDelimiter    string // ends the headers
	HeaderSeparator    string // parts one header from the next
	HeaderKeySeparator string // parts a header's name from its value
	KeySeparator       string // parts the key from the value
	Null               string // text that stands for no headers, no key, no value; empty: none does
	Lenient            bool   // a line without a separator lacks what it would end, and a header its value, which is an error else
}

// Parse fills in headers, behind those the record has, key and value. They are parts of the line.
func (f *LineFormat) Parse(line []byte, r *kgo.Record) error {
	headers, rest, err := f.cut(line, f.HeaderDelimiter, "header delimiter")
	if err != nil {
		return err
	}
	if headers != nil && !f.isNull(headers) {
		if err := f.headers(headers, r); err != nil {
			return err
		}
	}
	key, value, err := f.cut(rest, f.KeySeparator, "key separator")
	if err != nil {
		return err
	}
	if key != nil {
		if r.Key = key; f.isNull(key) {
			r.Key = nil
		}
	}
	if r.Value = value; f.isNull(value) {
		r.Value = nil
	}
	return nil
}

// cut parts what stands before a separator from what follows; nil is before one that is not set or, leniently, not there.
func (f *LineFormat) cut(text []byte, separator, name string) (before, after []byte, err error) {
	if separator == "" {
		return nil, text, nil
	}
	before, after, ok := bytes.Cut(text, []byte(separator))
	switch {
	case ok:
		return before[:len(before):len(before)], after, nil
	case f.Lenient:
		return nil, text, nil
	}
	return nil, nil, fmt.Errorf("no %s %q in %q", name, separator, clip(text))
}

func (f *LineFormat) headers(text []byte, r *kgo.Record) error {
	list := r.Headers[:len(r.Headers):len(r.Headers)] // it may be another record's, too
	pairs := bytes.Split(text, []byte(f.HeaderSeparator))
	if len(pairs) > 1 { // separators at the end part nothing, as in Java's Pattern.split
		for len(pairs) > 0 && len(pairs[len(pairs)-1]) == 0 {
			pairs = pairs[:len(pairs)-1]
		}
	}
	for _, pair := range pairs {
		name, value, err := f.cut(pair, f.HeaderKeySeparator, "header key separator")
		switch {
		case err != nil:
			return err
		case name == nil:
			name, value = pair, nil
		case f.isNull(name):
			return fmt.Errorf("a header without a name in %q", clip(text))
		case f.isNull(value):
			value = nil
		}
		list = append(list, kgo.RecordHeader{Key: string(name), Value: value})
	}
	r.Headers = list
	return nil
}

func (f *LineFormat) isNull(text []byte) bool { return f.Null != "" && string(text) == f.Null }

// clip shortens text for a message.
func clip(text []byte) string {
	if len(text) <= 40 {
		return string(text)
	}
	return string(text[:40]) + "..."
}
