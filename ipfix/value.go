package ipfix

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendValue appends value, the octets of an information element as they stood in a data record, to dst as one JSON
// value, rendered by the element's type (RFC 7011, 6):
//
//   - integers as numbers, whatever size from 1 to 8 octets the exporter reduced them to (6.2); signed ones sign-extended;
//   - floats as numbers, NaN and infinities as strings;
//   - boolean as true (1) and false (2), anything else as a number;
//   - addresses in their usual text;
//   - dateTimeSeconds, -Milliseconds, -Microseconds and -Nanoseconds as RFC 3339 in UTC with 0, 3, 6 and 9 decimals;
//   - string as a string: zero octets at its end, which pad fixed-length fields, are cut off, and what is not UTF-8 becomes U+FFFD;
//   - octetArray, lists, unknown types, and any value whose length does not fit its type as lower-case hexadecimal;
//   - an empty value as null, or "" for strings and octet arrays.
//
// The result is valid JSON for any input. Beyond growing dst it does not allocate.
func AppendValue(dst []byte, e Element, value []byte) []byte {
	if len(value) == 0 {
		if e.Type.Width() == 0 {
			return append(dst, `""`...)
		}
		return append(dst, "null"...)
	}
	switch e.Type {
	case Unsigned8, Unsigned16, Unsigned32, Unsigned64, Unsigned256:
		if len(value) <= 8 {
			return strconv.AppendUint(dst, bigEndian(value), 10)
		}
	case Signed8, Signed16, Signed32, Signed64:
		if len(value) <= 8 {
			shift := 64 - 8*uint(len(value))
			return strconv.AppendInt(dst, int64(bigEndian(value)<<shift)>>shift, 10)
		}
	case Float32, Float64:
		switch len(value) {
		case 4:
			return appendFloat(dst, float64(math.Float32frombits(binary.BigEndian.Uint32(value))), 32)
		case 8:
			return appendFloat(dst, math.Float64frombits(binary.BigEndian.Uint64(value)), 64)
		}
	case Boolean:
		if len(value) == 1 {
			// RFC 7011, 6.1.5.
			switch value[0] {
			case 1:
				return append(dst, "true"...)
			case 2:
				return append(dst, "false"...)
			}
			return strconv.AppendUint(dst, uint64(value[0]), 10)
		}
	case MACAddress:
		if len(value) == 6 {
			return appendMAC(dst, value)
		}
	case IPv4Address, IPv6Address:
		// Exporters are known to put either kind into an element of the other.
		if addr, ok := netip.AddrFromSlice(value); ok {
			dst = append(dst, '"')
			dst = addr.AppendTo(dst)
			return append(dst, '"')
		}
	case DateTimeSeconds, DateTimeMilliseconds, DateTimeMicroseconds, DateTimeNanoseconds:
		return appendTime(dst, e.Type, value)
	case String:
		return appendString(dst, value)
	}
	return appendHex(dst, value)
}

func bigEndian(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func appendHex(dst, value []byte) []byte {
	dst = append(dst, '"')
	dst = hex.AppendEncode(dst, value)
	return append(dst, '"')
}

func appendMAC(dst, value []byte) []byte {
	for i, c := range value {
		sep := byte(':')
		if i == 0 {
			sep = '"'
		}
		dst = append(dst, sep, hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, '"')
}

func appendFloat(dst []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		dst = append(dst, '"')
		dst = strconv.AppendFloat(dst, v, 'g', -1, bits)
		return append(dst, '"')
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits)
}

// ntpEpoch is 1900-01-01 in seconds of the Unix epoch.
const ntpEpoch = -2208988800

func appendTime(dst []byte, typ DataType, value []byte) []byte {
	if len(value) > 8 {
		return appendHex(dst, value)
	}
	v := bigEndian(value)
	var sec, nsec int64
	var layout string
	switch typ {
	case DateTimeSeconds:
		// RFC 7011, 6.1.7.
		sec, layout = int64(v), `"2006-01-02T15:04:05Z"`
	case DateTimeMilliseconds:
		// RFC 7011, 6.1.8.
		sec, nsec = int64(v/1000), int64(v%1000)*1e6
		layout = `"2006-01-02T15:04:05.000Z"`
	default:
		// RFC 7011, 6.1.9 and 6.1.10: the NTP timestamp format, 32 bits of seconds and 32 of fraction. Seconds below
		// 2^31 belong to the era that begins in 2036 (RFC 4330, 3).
		if len(value) != 8 {
			return appendHex(dst, value)
		}
		sec = int64(v>>32) + ntpEpoch
		if v>>63 == 0 {
			sec += 1 << 32
		}
		fraction := v & math.MaxUint32
		if typ == DateTimeMicroseconds {
			// The 11 lowest bits say nothing; rounding gives the microsecond back that was put in.
			nsec = int64((fraction*1e6+1<<31)>>32) * 1000
			layout = `"2006-01-02T15:04:05.000000Z"`
		} else {
			nsec = int64((fraction*1e9 + 1<<31) >> 32)
			layout = `"2006-01-02T15:04:05.000000000Z"`
		}
	}
	// RFC 3339 ends with the year 9999.
	if sec < 0 || sec > 253402300799 {
		return strconv.AppendUint(dst, v, 10)
	}
	return time.Unix(sec, nsec).UTC().AppendFormat(dst, layout)
}

const hexDigits = "0123456789abcdef"

// appendString appends value as a JSON string.
func appendString(dst, value []byte) []byte {
	for len(value) > 0 && value[len(value)-1] == 0 {
		value = value[:len(value)-1]
	}
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(value); {
		c := value[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(value[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				dst = append(dst, value[start:i]...)
				dst = append(dst, "\ufffd"...)
				start = i + 1
			case r == '\u2028' || r == '\u2029':
				// Line ends in JavaScript.
				dst = append(dst, value[start:i]...)
				dst = append(dst, `\u202`...)
				dst = append(dst, hexDigits[r&15])
				start = i + size
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		dst = append(dst, value[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, value[start:]...)
	return append(dst, '"')
}
