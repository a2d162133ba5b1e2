package netflow_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/netflow"
)

// octets appends numbers of two octets, numbers of one, and texts.
func octets(values ...any) (b []byte) {
	for _, v := range values {
		switch v := v.(type) {
		case int:
			b = binary.BigEndian.AppendUint16(b, uint16(v))
		case uint8:
			b = append(b, v)
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

func header(version, count int) []byte {
	b := octets(version, count, uint32(1000), uint32(1_700_000_000), uint32(500))
	switch version {
	case 5:
		return append(b, octets(uint32(77), uint8(1), uint8(2), 0x4064)...)
	case 7:
		return append(b, octets(uint32(77), uint32(0))...)
	}
	return b
}

// record is one of each version: no two fields hold the same.
func record(version int) []byte {
	b := octets("\x0a\x00\x00\x01\x0a\x00\x00\x02\x0a\x00\x00\x03", 4, 5, uint32(6), uint32(7), uint32(8), uint32(9), 10, 11)
	switch version {
	case 1:
		return append(b, octets(0xffff, uint8(12), uint8(13), uint8(14), bytes.Repeat([]byte{0xff}, 7))...)
	case 5:
		return append(b, octets(uint8(0xff), uint8(14), uint8(12), uint8(13), 15, 16, uint8(17), uint8(18), 0xffff)...)
	}
	return append(b, octets(uint8(0x21), uint8(14), uint8(12), uint8(13), 15, 16, uint8(17), uint8(18), 0x1143, "\x0a\x00\x00\x04")...)
}

func TestFixedVersions(t *testing.T) {
	for _, version := range []int{1, 5, 7} {
		want := netflow.Record{
			SrcAddr: [4]byte{10, 0, 0, 1}, DstAddr: [4]byte{10, 0, 0, 2}, NextHop: [4]byte{10, 0, 0, 3}, Input: 4, Output: 5, Packets: 6, Octets: 7, First: 8, Last: 9,
			SrcPort: 10, DstPort: 11, Proto: 12, Tos: 13, TCPFlags: 14,
		}
		wantHeader := netflow.Header{Version: uint16(version), Count: 2, SysUptime: 1000, UnixSecs: 1_700_000_000, UnixNsecs: 500}
		if version != 1 {
			want.SrcAS, want.DstAS, want.SrcMask, want.DstMask = 15, 16, 17, 18
			wantHeader.Sequence = 77
		}
		if version == 5 {
			wantHeader.EngineType, wantHeader.EngineID, wantHeader.SamplingMode, wantHeader.SamplingInterval = 1, 2, 1, 100
		}
		if version == 7 {
			want.Flags, want.RouterSC = 0x2143, [4]byte{10, 0, 0, 4}
		}
		size := netflow.RecordLen(uint16(version))
		if size != len(record(version)) {
			t.Fatalf("v%d: records of %d octets, want %d", version, size, len(record(version)))
		}
		b := octets(header(version, 2), record(version), record(version), "more")
		h, records, err := netflow.ParseHeader(b)
		if err != nil || h != wantHeader || len(records) != 2*size {
			t.Errorf("v%d: %+v, %d octets, %v", version, h, len(records), err)
		}
		// What a record of another version left behind does not show.
		got := netflow.Record{Flags: 9, RouterSC: [4]byte{1}, SrcAS: 9, DstAS: 9, SrcMask: 9, DstMask: 9}
		got.Decode(uint16(version), records[size:])
		if got != want {
			t.Errorf("v%d: %+v, want %+v", version, got, want)
		}

		// Every cut: whole records only, and an error.
		head := len(header(version, 2))
		whole := octets(header(version, 2), record(version), record(version))
		for n := range len(whole) {
			_, records, err := netflow.ParseHeader(whole[:n])
			if !errors.Is(err, ipfix.ErrTruncated) || len(records) != max(0, n-head)/size*size {
				t.Fatalf("v%d, %d octets: %d octets of records, %v", version, n, len(records), err)
			}
		}
	}
	if _, _, err := netflow.ParseHeader(octets(6, 0, make([]byte, 40))); !errors.Is(err, ipfix.ErrVersion) {
		t.Errorf("version 6: %v", err)
	}
}

func TestParseV9Header(t *testing.T) {
	b := octets(9, 3, uint32(1000), uint32(1_700_000_000), uint32(77), uint32(5), "rest")
	h, rest, err := netflow.ParseV9Header(b)
	if want := (netflow.V9Header{Count: 3, SysUptime: 1000, UnixSecs: 1_700_000_000, Sequence: 77, SourceID: 5}); h != want || string(rest) != "rest" || err != nil {
		t.Errorf("%+v, %q, %v", h, rest, err)
	}
	if _, _, err := netflow.ParseV9Header(b[:19]); !errors.Is(err, ipfix.ErrTruncated) {
		t.Errorf("19 octets: %v", err)
	}
	if _, _, err := netflow.ParseV9Header(octets(10, make([]byte, 30))); !errors.Is(err, ipfix.ErrVersion) {
		t.Errorf("version 10: %v", err)
	}
}

func TestParseV9Templates(t *testing.T) {
	const scope = netflow.ScopeEnterprise
	tests := []struct {
		name string
		id   uint16
		body []byte
		want string
		err  error
	}{
		{"one", 0, octets(256, 2, 8, 4, 12, 4), "256/0 0.8:4 0.12:4 (8); ", nil},
		{"two", 0, octets(256, 1, 8, 4, 257, 1, 12, 4), "256/0 0.8:4 (4); 257/0 0.12:4 (4); ", nil},
		{"numbers beyond 32767", 0, octets(256, 1, 40001, 4), "256/0 0.40001:4 (4); ", nil},
		{"padding", 0, octets(256, 1, 8, 4, 0, 0, "\x00"), "256/0 0.8:4 (4); ", nil},
		{"none", 0, octets(256, 0, 257, 1, 12, 4), "256/0 (0); 257/0 0.12:4 (4); ", nil},
		{"id 255", 0, octets(256, 1, 8, 4, 255, 1, 8, 4), "256/0 0.8:4 (4); ", ipfix.ErrTemplate},
		{"cut", 0, octets(256, 1, 8, 4, 257, 2, 12, 4), "256/0 0.8:4 (4); ", ipfix.ErrTruncated},
		{"too many", 0, octets(256, ipfix.MaxFields+1, make([]byte, 4*ipfix.MaxFields+4)), "", ipfix.ErrTemplate},
		{"options", 1, octets(256, 4, 8, 1, 4, 48, 1, 34, 4), fmt.Sprintf("256/1 %d.1:4 0.48:1 0.34:4 (9); ", uint32(scope)), nil},
		{"options, padding", 1, octets(256, 4, 4, 2, 4, 82, 32, 0), fmt.Sprintf("256/1 %d.2:4 0.82:32 (36); ", uint32(scope)), nil},
		{"options, zeros", 1, octets(256, 4, 4, 2, 4, 82, 32, 0, 0, 0, 0), fmt.Sprintf("256/1 %d.2:4 0.82:32 (36); ", uint32(scope)), nil},
		{"options, no scope", 1, octets(256, 0, 4, 82, 32), "256/0 0.82:32 (32); ", nil},
		{"options, none", 1, octets(256, 0, 0), "256/0 (0); ", nil},
		{"options, cut", 1, octets(256, 4, 8, 1, 4, 48, 1), "", ipfix.ErrTruncated},
		{"options, lengths beyond all", 1, octets(256, 65535, 65535, 1, 4), "", ipfix.ErrTemplate},
	}
	for _, tt := range tests {
		got := ""
		err := netflow.ParseV9Templates(ipfix.Set{ID: tt.id, Body: tt.body}, func(p *ipfix.Template) {
			if p.Options != (tt.id == 1) {
				t.Errorf("%s: options is %v", tt.name, p.Options)
			}
			got += fmt.Sprintf("%d/%d", p.ID, p.Scope)
			for _, f := range p.Fields {
				got += fmt.Sprintf(" %d.%d:%d", f.Enterprise, f.ID, f.Length)
			}
			got += fmt.Sprintf(" (%d); ", p.MinLength)
		})
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q and %v, want %q and %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// FuzzParse reads any octets as a datagram of any version.
func FuzzParse(f *testing.F) {
	for _, version := range []int{1, 5, 7} {
		f.Add(octets(header(version, 2), record(version), record(version)))
		f.Add(octets(header(version, 30), record(version)))
	}
	nine := octets(9, 2, uint32(1000), uint32(1_700_000_000), uint32(77), uint32(5))
	f.Add(octets(nine, 0, 16, 256, 2, 8, 4, 12, 4, 256, 12, make([]byte, 8)))
	f.Add(octets(nine, 1, 24, 256, 4, 8, 1, 4, 48, 1, 34, 4, 0, 256, 13, make([]byte, 9)))
	f.Add(octets(nine, 0, 8, 256, 0, 256, 12, make([]byte, 8)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, records, err := netflow.ParseHeader(b); records != nil {
			n := netflow.RecordLen(h.Version)
			if len(records)%n != 0 || len(records) > len(b) || err == nil && len(records) != n*int(h.Count) {
				t.Fatalf("%d octets of records of %d, %d announced: %v", len(records), n, h.Count, err)
			}
			var r netflow.Record
			for ; len(records) > 0; records = records[n:] {
				r.Decode(h.Version, records)
			}
		}
		_, rest, err := netflow.ParseV9Header(b)
		if err != nil {
			return
		}
		sets := ipfix.SetsOf(rest)
		for set := (ipfix.Set{}); sets.Next(&set); {
			_ = netflow.ParseV9Templates(set, func(p *ipfix.Template) {
				if len(p.Fields) > len(set.Body)/4 || p.Scope > len(p.Fields) || p.ID < ipfix.MinDataSetID {
					t.Fatalf("template %+v of %d octets", p, len(set.Body))
				}
			})
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, version := range []int{1, 5, 7} {
		b.Run(fmt.Sprintf("v%d", version), func(b *testing.B) {
			datagram := append(header(version, 24), bytes.Repeat(record(version), 24)...)
			n := netflow.RecordLen(uint16(version))
			b.ReportAllocs()
			b.SetBytes(int64(len(datagram)))
			var r netflow.Record
			for b.Loop() {
				_, records, err := netflow.ParseHeader(datagram)
				if err != nil {
					b.Fatal(err)
				}
				for ; len(records) > 0; records = records[n:] {
					r.Decode(uint16(version), records)
				}
			}
		})
	}
}
