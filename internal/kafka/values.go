package kafka

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ValueFormats are what keys and values may be: text, or what the serializers of Kafka's clients make of numbers and the like.
var ValueFormats = []string{"text", "short", "int", "long", "float", "double", "boolean", "uuid"}

// sizes are how many octets one of a format has.
var sizes = map[string]int{"short": 2, "int": 4, "long": 8, "float": 4, "double": 8, "boolean": 1}

// AppendValue appends what a serializer wrote as text, the way Java prints it. It is an error if it is not of the format.
func AppendValue(dst, v []byte, format string) ([]byte, error) {
	if n, ok := sizes[format]; ok && len(v) != n {
		return dst, fmt.Errorf("%d octets are no %s, which has %d", len(v), format, n)
	}
	switch format {
	case "short":
		return strconv.AppendInt(dst, int64(int16(binary.BigEndian.Uint16(v))), 10), nil
	case "int":
		return strconv.AppendInt(dst, int64(int32(binary.BigEndian.Uint32(v))), 10), nil
	case "long":
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(v)), 10), nil
	case "float":
		return AppendFloat(dst, float64(math.Float32frombits(binary.BigEndian.Uint32(v))), 32), nil
	case "double":
		return AppendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(v)), 64), nil
	case "boolean":
		if v[0] > 1 {
			return dst, fmt.Errorf("%d is no boolean", v[0])
		}
		return strconv.AppendBool(dst, v[0] == 1), nil
	case "uuid": // as text
		if u, err := hex.DecodeString(strings.ReplaceAll(string(v), "-", "")); err != nil || len(u) != 16 {
			return dst, fmt.Errorf("%q is no UUID", v)
		}
	}
	return append(dst, v...), nil
}

// AppendFloat appends a number of 32 or 64 bits as Java's Float.toString and Double.toString write it: with a fraction, and from
// 10^7 on or below 10^-3 with an exponent.
func AppendFloat(dst []byte, v float64, bits int) []byte {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	case a == 0 || a >= 1e-3 && a < 1e7:
		n := len(dst)
		dst = strconv.AppendFloat(dst, v, 'f', -1, bits)
		if !strings.Contains(string(dst[n:]), ".") {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	digits, exp, _ := strings.Cut(strconv.FormatFloat(v, 'E', -1, bits), "E")
	dst = append(dst, digits...)
	if !strings.Contains(digits, ".") {
		dst = append(dst, ".0"...)
	}
	n, _ := strconv.Atoi(exp)
	return strconv.AppendInt(append(dst, 'E'), int64(n), 10)
}
