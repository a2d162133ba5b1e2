package kafka_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/kafka"
)

func TestAppendValue(t *testing.T) {
	bits64 := func(v float64) string {
		return string(binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
	}
	bits32 := func(v float32) string {
		return string(binary.BigEndian.AppendUint32(nil, math.Float32bits(v)))
	}
	for _, c := range []struct{ format, octets, want string }{
		{"text", "a\xffb", "a\xffb"},
		{"short", "\xff\xfe", "-2"},
		{"int", "\x7f\xff\xff\xff", "2147483647"},
		{"long", "\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"},
		{"boolean", "\x01", "true"},
		{"boolean", "\x00", "false"},
		{"uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"},
		// As Java 17 prints them.
		{"double", bits64(1), "1.0"},
		{"double", bits64(-0.001), "-0.001"},
		{"double", bits64(1e7), "1.0E7"},
		{"double", bits64(12345678.5), "1.23456785E7"},
		{"double", bits64(0.00012), "1.2E-4"},
		{"double", bits64(math.NaN()), "NaN"},
		{"double", bits64(math.Inf(-1)), "-Infinity"},
		{"double", bits64(math.Inf(1)), "Infinity"},
		{"float", bits32(0.1), "0.1"},
		{"float", bits32(3e10), "3.0E10"},
	} {
		got, err := kafka.AppendValue([]byte("before "), []byte(c.octets), c.format)
		if err != nil || string(got) != "before "+c.want {
			t.Errorf("%s %q: %q, %v; want %q", c.format, c.octets, got, err, c.want)
		}
	}
	for _, c := range []struct{ format, octets, part string }{
		{"short", "1", "1 octets are no short, which has 2"},
		{"int", "", "0 octets are no int"},
		{"long", "123456789", "9 octets are no long"},
		{"float", "12345678", "no float"},
		{"double", "1234", "no double"},
		{"boolean", "\x02", "2 is no boolean"},
		{"uuid", "123e4567", "no UUID"},
	} {
		if _, err := kafka.AppendValue(nil, []byte(c.octets), c.format); err == nil || !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s %q: %v; want %q", c.format, c.octets, err, c.part)
		}
	}
}
