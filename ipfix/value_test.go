package ipfix_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/ipfix"
)

func TestAppendValue(t *testing.T) {
	tests := []struct {
		typ   ipfix.DataType
		value string // hexadecimal
		want  string
	}{
		{ipfix.Unsigned64, "00000000000005dc", `1500`},
		{ipfix.Unsigned64, "05dc", `1500`},
		{ipfix.Unsigned64, "ffffffffffffffff", `18446744073709551615`},
		{ipfix.Unsigned32, "010000", `65536`},
		{ipfix.Unsigned8, "06", `6`},
		{ipfix.Unsigned8, "00000006", `6`},
		{ipfix.Unsigned32, "", `null`},
		{ipfix.Unsigned64, "000000000000000001", `"000000000000000001"`},
		{ipfix.Unsigned256, "0102", `258`},
		{ipfix.Unsigned256, strings.Repeat("00", 31) + "01", `"` + strings.Repeat("00", 31) + `01"`},
		{ipfix.Signed32, "ff", `-1`},
		{ipfix.Signed32, "fffe", `-2`},
		{ipfix.Signed32, "7fffffff", `2147483647`},
		{ipfix.Signed64, "8000000000000000", `-9223372036854775808`},
		{ipfix.Float32, "3fc00000", `1.5`},
		{ipfix.Float64, "3ff8000000000000", `1.5`},
		{ipfix.Float64, "3fc00000", `1.5`},
		{ipfix.Float32, "7fc00000", `"NaN"`},
		{ipfix.Float64, "fff0000000000000", `"-Inf"`},
		{ipfix.Float64, "3ff8", `"3ff8"`},
		{ipfix.Boolean, "01", `true`},
		{ipfix.Boolean, "02", `false`},
		{ipfix.Boolean, "00", `0`},
		{ipfix.Boolean, "0001", `"0001"`},
		{ipfix.MACAddress, "0008e3fffdd4", `"00:08:e3:ff:fd:d4"`},
		{ipfix.MACAddress, "0008", `"0008"`},
		{ipfix.IPv4Address, "c0000201", `"192.0.2.1"`},
		{ipfix.IPv6Address, "20010db8000000000000000000000001", `"2001:db8::1"`},
		{ipfix.IPv6Address, "c0000201", `"192.0.2.1"`},
		{ipfix.IPv4Address, "c00002", `"c00002"`},
		{ipfix.DateTimeSeconds, "00000000", `"1970-01-01T00:00:00Z"`},
		{ipfix.DateTimeSeconds, "68e77f80", `"2025-10-09T09:25:20Z"`},
		{ipfix.DateTimeMilliseconds, "00000199c8b2b47b", `"2025-10-09T11:19:38.875Z"`},
		{ipfix.DateTimeMilliseconds, "ffffffffffffffff", `18446744073709551615`},
		{ipfix.DateTimeMicroseconds, "83aa7e8000000000", `"1970-01-01T00:00:00.000000Z"`},
		{ipfix.DateTimeMicroseconds, "83aa7e8080000000", `"1970-01-01T00:00:00.500000Z"`},
		{ipfix.DateTimeNanoseconds, "83aa7e8040000000", `"1970-01-01T00:00:00.250000000Z"`},
		{ipfix.DateTimeNanoseconds, "0000000000000000", `"2036-02-07T06:28:16.000000000Z"`},
		{ipfix.DateTimeNanoseconds, "83aa7e80", `"83aa7e80"`},
		{ipfix.DateTimeSeconds, "000000000000000000", `"000000000000000000"`},
		{ipfix.String, hex.EncodeToString([]byte("GigabitEthernet0/1\x00\x00\x00")), `"GigabitEthernet0/1"`},
		{ipfix.String, hex.EncodeToString([]byte("a\"b\\c\n\r\t\x01\x7f")), `"a\"b\\c\n\r\t\u0001\u007f"`},
		{ipfix.String, hex.EncodeToString([]byte("é\xffé\u2028日")), "\"é\ufffdé\\u2028日\""},
		{ipfix.String, "", `""`},
		{ipfix.String, "0000", `""`},
		{ipfix.OctetArray, "0d000145", `"0d000145"`},
		{ipfix.OctetArray, "", `""`},
		{ipfix.BasicList, "ff0001", `"ff0001"`},
		{99, "01", `"01"`},
	}
	for _, test := range tests {
		value, err := hex.DecodeString(test.value)
		if err != nil {
			t.Fatal(err)
		}
		got := string(ipfix.AppendValue([]byte("x"), ipfix.Element{Type: test.typ}, value))
		if got != "x"+test.want {
			t.Errorf("%v %s: got %s, want %s", test.typ, test.value, got[1:], test.want)
		}
		if !json.Valid([]byte(got[1:])) {
			t.Errorf("%v %s: %s is not JSON", test.typ, test.value, got[1:])
		}
	}
}

// TestAppendValueTimes takes times through NTP's fixed-point format and back.
func TestAppendValueTimes(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(2026, 11, 21, 9, 44, 0, 123456789, time.UTC),
		time.Date(2036, 2, 7, 6, 28, 15, 999999999, time.UTC),
		time.Date(2036, 2, 7, 6, 28, 16, 1, time.UTC),
		time.Date(2020, 2, 29, 23, 59, 59, 999999000, time.UTC),
	} {
		var ntp [8]byte
		binary.BigEndian.PutUint32(ntp[:], uint32(at.Unix()+2208988800))
		binary.BigEndian.PutUint32(ntp[4:], uint32((uint64(at.Nanosecond())<<32+1e9/2)/1e9))
		got := ipfix.AppendValue(nil, ipfix.Element{Type: ipfix.DateTimeNanoseconds}, ntp[:])
		if want := at.Format(`"2006-01-02T15:04:05.000000000Z"`); string(got) != want {
			t.Errorf("nanoseconds: got %s, want %s", got, want)
		}
		got = ipfix.AppendValue(nil, ipfix.Element{Type: ipfix.DateTimeMicroseconds}, ntp[:])
		if want := at.Round(time.Microsecond).Format(`"2006-01-02T15:04:05.000000Z"`); string(got) != want {
			t.Errorf("microseconds: got %s, want %s", got, want)
		}
	}
}

func TestAppendValueDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 256)
	value := []byte("0123456789abcdef")
	for typ := ipfix.OctetArray; typ <= ipfix.Unsigned256; typ++ {
		e := ipfix.Element{Type: typ}
		for _, n := range []int{0, 1, 4, 6, 8, 16} {
			if allocs := testing.AllocsPerRun(100, func() { dst = ipfix.AppendValue(dst[:0], e, value[:n]) }); allocs != 0 {
				t.Errorf("%v of %d octets: %v allocations", typ, n, allocs)
			}
		}
	}
}

func FuzzAppendValue(f *testing.F) {
	f.Add(uint8(ipfix.Unsigned64), []byte{0, 1})
	f.Add(uint8(ipfix.Signed32), []byte{0xff, 0xfe})
	f.Add(uint8(ipfix.Float32), binary.BigEndian.AppendUint32(nil, math.Float32bits(1e-40)))
	f.Add(uint8(ipfix.Float64), binary.BigEndian.AppendUint64(nil, math.Float64bits(math.MaxFloat64)))
	f.Add(uint8(ipfix.String), []byte("\xed\xa0\x80\x00a\u2029\\\""))
	f.Add(uint8(ipfix.DateTimeSeconds), []byte{0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(uint8(ipfix.DateTimeMicroseconds), []byte{0x83, 0xaa, 0x7e, 0x80, 0xff, 0xff, 0xff, 0xff})
	f.Add(uint8(ipfix.IPv6Address), make([]byte, 16))
	f.Add(uint8(ipfix.Boolean), []byte{3})
	f.Fuzz(func(t *testing.T, typ uint8, value []byte) {
		prefix := []byte("prefix")
		got := ipfix.AppendValue(prefix, ipfix.Element{Type: ipfix.DataType(typ)}, value)
		if string(got[:len(prefix)]) != "prefix" {
			t.Fatalf("dst was changed: %q", got)
		}
		if !json.Valid(got[len(prefix):]) {
			t.Fatalf("type %d, value %x: %q is not JSON", typ, value, got[len(prefix):])
		}
	})
}

func BenchmarkAppendValue(b *testing.B) {
	for _, bench := range []struct {
		typ   ipfix.DataType
		value string
	}{
		{ipfix.Unsigned64, "\x00\x00\x00\x00\x00\x00\x05\xdc"},
		{ipfix.IPv4Address, "\xc0\x00\x02\x01"},
		{ipfix.DateTimeMilliseconds, "\x00\x00\x01\x99\xc8\xb2\xb4\x7b"},
		{ipfix.String, "GigabitEthernet0/1\x00\x00"},
	} {
		b.Run(bench.typ.String(), func(b *testing.B) {
			value := []byte(bench.value)
			dst := make([]byte, 0, 64)
			b.ReportAllocs()
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				dst = ipfix.AppendValue(dst[:0], ipfix.Element{Type: bench.typ}, value)
			}
		})
	}
}
