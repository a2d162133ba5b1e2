package ipfix_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/tributary-net/tributary/ipfix"
)

// octets appends what the values are on the wire.
func octets(values ...any) (b []byte) {
	for _, v := range values {
		switch v := v.(type) {
		case int: // two octets, as most things are
			b = binary.BigEndian.AppendUint16(b, uint16(v))
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case string:
			b = append(b, v...)
		case []byte:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("%T", v))
		}
	}
	return b
}

func message(body []byte) []byte {
	return append(octets(10, 16+len(body), uint32(1_700_000_000), uint32(77), uint32(9)), body...)
}

func TestParseHeader(t *testing.T) {
	whole := message([]byte("body"))
	header := ipfix.Header{Length: 20, ExportTime: 1_700_000_000, Sequence: 77, Domain: 9}
	tests := []struct {
		name string
		b    []byte
		sets string
		err  error
	}{
		{"whole", whole, "body", nil},
		{"cut", whole[:18], "bo", ipfix.ErrTruncated},
		{"zeros behind", append(bytes.Clone(whole), 0, 0, 0), "body", nil},
		{"octets behind", append(bytes.Clone(whole), 0, 0, 1), "body", ipfix.ErrTrailing},
	}
	for _, tt := range tests {
		h, sets, err := ipfix.ParseHeader(tt.b)
		if h != header || string(sets) != tt.sets || !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v, %q, %v", tt.name, h, sets, err)
		}
	}
	for name, b := range map[string][]byte{"nothing": nil, "15 octets": whole[:15], "length 15": octets(10, 15, make([]byte, 30)), "length 0": octets(10, 0, make([]byte, 30))} {
		if _, sets, err := ipfix.ParseHeader(b); !errors.Is(err, ipfix.ErrTruncated) || sets != nil {
			t.Errorf("%s: %q, %v", name, sets, err)
		}
	}
	if _, sets, err := ipfix.ParseHeader(octets(9, 16, make([]byte, 12))); !errors.Is(err, ipfix.ErrVersion) || sets != nil {
		t.Errorf("version 9: %q, %v", sets, err)
	}
}

func TestSets(t *testing.T) {
	tests := []struct {
		name string
		b    []byte
		want string
		err  error
	}{
		{"none", nil, "", nil},
		{"two", octets(256, 7, "abc", 257, 4), "256:abc 257: ", nil},
		{"padding", octets(256, 7, "abc", "\x00\x01\x02"), "256:abc ", nil},
		{"zeros", octets(256, 7, "abc", make([]byte, 100)), "256:abc ", nil},
		{"length 0", octets(256, 7, "abc", 256, 0, "more"), "256:abc ", ipfix.ErrTruncated},
		{"length 0 of id 0", octets(0, 0, "more"), "", ipfix.ErrTruncated},
		{"length 3", octets(256, 3, "more"), "", ipfix.ErrTruncated},
		{"beyond the end", octets(256, 7, "abc", 256, 9, "more"), "256:abc ", ipfix.ErrTruncated},
	}
	for _, tt := range tests {
		got := ""
		sets := ipfix.SetsOf(tt.b)
		for set := (ipfix.Set{}); sets.Next(&set); {
			got += fmt.Sprintf("%d:%s ", set.ID, set.Body)
		}
		if got != tt.want || !errors.Is(sets.Err(), tt.err) {
			t.Errorf("%s: %q and %v, want %q and %v", tt.name, got, sets.Err(), tt.want, tt.err)
		}
		var set ipfix.Set
		if sets.Next(&set) {
			t.Errorf("%s: goes on after its end", tt.name)
		}
	}
}

// parse returns the templates of a set as text.
func parse(set ipfix.Set) (string, error) {
	got := ""
	err := ipfix.ParseTemplates(set, func(t *ipfix.Template) {
		got += fmt.Sprintf("%d", t.ID)
		if t.Options {
			got += fmt.Sprintf("/%d", t.Scope)
		}
		for _, f := range t.Fields {
			got += fmt.Sprintf(" %d.%d:%d", f.Enterprise, f.ID, f.Length)
		}
		if t.Withdrawal() {
			got += " withdrawn"
		}
		got += fmt.Sprintf(" (%d,%v); ", t.MinLength, t.Variable)
	})
	return got, err
}

func TestParseTemplates(t *testing.T) {
	many := octets(256, ipfix.MaxFields+1, make([]byte, 4*ipfix.MaxFields+4))
	tests := []struct {
		name string
		id   uint16
		body []byte
		want string
		err  error
	}{
		{"one", 2, octets(256, 2, 8, 4, 12, 4), "256 0.8:4 0.12:4 (8,false); ", nil},
		{"two", 2, octets(256, 1, 8, 4, 257, 1, 12, 4), "256 0.8:4 (4,false); 257 0.12:4 (4,false); ", nil},
		{"enterprise", 2, octets(256, 2, 0x8001, 8, uint32(29305), 1, 8), "256 29305.1:8 0.1:8 (16,false); ", nil},
		{"variable", 2, octets(256, 3, 82, 65535, 1, 8, 0x8005, 65535, uint32(9)), "256 0.82:65535 0.1:8 9.5:65535 (10,true); ", nil},
		{"padding", 2, octets(256, 1, 8, 4, "\x00\x00\x00"), "256 0.8:4 (4,false); ", nil},
		{"zeros", 2, octets(256, 1, 8, 4, make([]byte, 20)), "256 0.8:4 (4,false); ", nil},
		{"withdrawal", 2, octets(256, 0, 257, 1, 8, 4), "256 withdrawn (0,false); 257 0.8:4 (4,false); ", nil},
		{"withdrawal of all", 2, octets(2, 0), "2 withdrawn (0,false); ", nil},
		{"withdrawal of the other kind", 2, octets(3, 0), "", ipfix.ErrTemplate},
		{"options", 3, octets(256, 2, 1, 149, 4, 34, 4), "256/1 0.149:4 0.34:4 (8,false); ", nil},
		{"options, no scope", 3, octets(256, 1, 0, 34, 4), "256/0 0.34:4 (4,false); ", nil},
		{"options, too much scope", 3, octets(256, 1, 2, 34, 4), "", ipfix.ErrTemplate},
		{"options, withdrawal", 3, octets(256, 0, 3, 0), "256/0 withdrawn (0,false); 3/0 withdrawn (0,false); ", nil},
		{"options, cut", 3, octets(256, 2), "", ipfix.ErrTruncated},
		{"id 255", 2, octets(256, 1, 8, 4, 255, 1, 8, 4), "256 0.8:4 (4,false); ", ipfix.ErrTemplate},
		{"cut in a field", 2, octets(256, 1, 8, 4, 257, 2, 8, 4, 12), "256 0.8:4 (4,false); ", ipfix.ErrTruncated},
		{"cut in an enterprise", 2, octets(256, 1, 0x8001, 8, 0), "", ipfix.ErrTruncated},
		{"too many", 2, many, "", ipfix.ErrTemplate},
	}
	for _, tt := range tests {
		got, err := parse(ipfix.Set{ID: tt.id, Body: tt.body})
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q and %v, want %q and %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestTemplate(t *testing.T) {
	var a, b *ipfix.Template
	if err := ipfix.ParseTemplates(ipfix.Set{ID: 2, Body: octets(256, 2, 8, 4, 12, 4)}, func(t *ipfix.Template) { a, b = t.Clone(), t.Clone() }); err != nil {
		t.Fatal(err)
	}
	if !a.Equal(b) {
		t.Error("a clone is not equal")
	}
	for name, change := range map[string]func(){
		"id": func() { b.ID++ }, "kind": func() { b.Options = true }, "scope": func() { b.Scope++ }, "field": func() { b.Fields[1].Enterprise = 9 }, "length": func() { b.Fields[0].Length++ },
		"count": func() { b.Fields = b.Fields[:1] },
	} {
		b = a.Clone()
		if change(); a.Equal(b) {
			t.Errorf("another %s is equal", name)
		}
	}
	if a.Fields[1].Enterprise != 0 || a.Fields[0].Length != 4 {
		t.Error("a clone shares memory")
	}
}

func TestRecords(t *testing.T) {
	fixed := octets(256, 2, 8, 2, 12, 1)
	variable := octets(256, 3, 82, 65535, 1, 2, 83, 65535)
	long := bytes.Repeat([]byte("x"), 300)
	tests := []struct {
		name     string
		template []byte
		body     []byte
		want     string
		err      error
	}{
		{"fixed", fixed, octets("abcdef"), "ab,c; de,f; ", nil},
		{"fixed, padding", fixed, octets("abc\x00\x00"), "ab,c; ", nil},
		{"fixed, empty", fixed, nil, "", nil},
		{"variable", variable, octets("\x03abcde\x01f", "\x00gh\x00"), "abc,de,f; ,gh,; ", nil},
		{"variable, long form", variable, octets("\xff", 300, long, "de", "\xff", 1, "f"), string(long) + ",de,f; ", nil},
		{"variable, padding", variable, octets("\x03abcde\x01f", "\x00\x00\x00"), "abc,de,f; ", nil},
		{"variable, zeros", variable, octets("\x03abcde\x01f", "\x00\x00\x00\x00\x00"), "abc,de,f; ,\x00\x00,; ", nil},
		{"variable, cut", variable, octets("\x03abcde\x01f", "\x03abcde\x02f"), "abc,de,f; ", ipfix.ErrTruncated},
		{"variable, cut in a length", variable, octets("\x03abcde\x01f", "\x01abc\xff\x00"), "abc,de,f; ", ipfix.ErrTruncated},
		{"variable, longer than all", variable, octets("\xff\xff\xffabcdef"), "", ipfix.ErrTruncated},
		{"no octets", octets(256, 2, 8, 0, 12, 0), []byte("abc"), "", ipfix.ErrTemplate},
		{"no octets, empty", octets(256, 2, 8, 0, 12, 0), nil, "", nil},
		{"some of no octets", octets(256, 3, 8, 0, 12, 1, 9, 0), []byte("abc"), ",a,; ,b,; ,c,; ", nil},
	}
	var records ipfix.Records // used again, as decoders do
	for _, tt := range tests {
		var template *ipfix.Template
		if err := ipfix.ParseTemplates(ipfix.Set{ID: 2, Body: tt.template}, func(t *ipfix.Template) { template = t.Clone() }); err != nil {
			t.Fatal(err)
		}
		records.Reset(template, tt.body)
		got := ""
		for rec := records.Next(); rec != nil; rec = records.Next() {
			off := 0
			for i, f := range template.Fields {
				v := []byte(nil)
				if template.Variable {
					v = records.Value(rec, i)
				} else {
					v = rec[off : off+int(f.Length)]
					off += int(f.Length)
				}
				if i > 0 {
					got += ","
				}
				got += string(v)
			}
			got += "; "
		}
		if got != tt.want || !errors.Is(records.Err(), tt.err) {
			t.Errorf("%s: %q and %v, want %q and %v", tt.name, got, records.Err(), tt.want, tt.err)
		}
		if records.Next() != nil {
			t.Errorf("%s: goes on after its end", tt.name)
		}
	}
}

// FuzzParse reads any octets as a message: its first template describes what
// stands in the other sets.
func FuzzParse(f *testing.F) {
	set := func(id int, body []byte) []byte { return append(octets(id, 4+len(body)), body...) }
	f.Add(message(append(set(2, octets(256, 2, 8, 4, 12, 4)), set(256, make([]byte, 20))...)))
	f.Add(message(append(set(2, octets(256, 3, 82, 65535, 0x8001, 2, uint32(9), 83, 65535)), set(256, octets("\x03abcde\xff", 1, "f"))...)))
	f.Add(message(append(set(3, octets(256, 2, 1, 149, 4, 34, 4)), set(256, make([]byte, 8))...)))
	f.Add(message(append(set(2, octets(256, 0)), set(256, make([]byte, 8))...)))
	f.Add(message(append(set(2, octets(256, 1, 8, 0)), set(256, make([]byte, 8))...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, rest, err := ipfix.ParseHeader(b)
		if err != nil && rest == nil {
			return
		}
		if len(rest) > len(b)-ipfix.HeaderLen || err == nil && len(rest) != int(h.Length)-ipfix.HeaderLen {
			t.Fatalf("%d octets of sets in %d", len(rest), len(b))
		}
		var template *ipfix.Template
		var records ipfix.Records
		sets := ipfix.SetsOf(rest)
		for set := (ipfix.Set{}); sets.Next(&set); {
			if set.ID == ipfix.TemplateSetID || set.ID == ipfix.OptionsTemplateSetID {
				_ = ipfix.ParseTemplates(set, func(p *ipfix.Template) {
					if len(p.Fields) > len(set.Body)/4 || p.Scope > len(p.Fields) || p.MinLength < 0 {
						t.Fatalf("template %+v of %d octets", p, len(set.Body))
					}
					if c := p.Clone(); !c.Equal(p) {
						t.Fatal("a clone is not equal")
					} else if template == nil {
						template = c
					}
				})
			}
			if template == nil {
				continue
			}
			records.Reset(template, set.Body)
			total := 0
			for rec := records.Next(); rec != nil; rec = records.Next() {
				if len(rec) < template.MinLength || len(rec) == 0 {
					t.Fatalf("record of %d octets, at least %d", len(rec), template.MinLength)
				}
				total += len(rec)
				if template.Variable {
					values := 0
					for i := range template.Fields {
						values += len(records.Value(rec, i))
					}
					if values > len(rec) {
						t.Fatalf("values of %d octets in a record of %d", values, len(rec))
					}
				}
			}
			if total > len(set.Body) {
				t.Fatalf("records of %d octets in a set of %d", total, len(set.Body))
			}
		}
		if sets.Err() != nil && !errors.Is(sets.Err(), ipfix.ErrTruncated) {
			t.Fatal(sets.Err())
		}
	})
}

func BenchmarkRecords(b *testing.B) {
	for name, template := range map[string][]byte{"fixed": octets(256, 3, 8, 4, 12, 4, 1, 4), "variable": octets(256, 3, 8, 4, 12, 4, 82, 65535)} {
		b.Run(name, func(b *testing.B) {
			var t *ipfix.Template
			if err := ipfix.ParseTemplates(ipfix.Set{ID: 2, Body: template}, func(p *ipfix.Template) { t = p.Clone() }); err != nil {
				b.Fatal(err)
			}
			body := bytes.Repeat([]byte("aaaabbbb\x03abc"), 100)
			var records ipfix.Records
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				records.Reset(t, body)
				n := 0
				for rec := records.Next(); rec != nil; rec = records.Next() {
					n++
				}
				if n != 100 {
					b.Fatal(n)
				}
			}
		})
	}
}
