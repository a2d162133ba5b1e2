package traffic

import (
	"encoding/binary"
	"net/netip"
	"time"
)

func be16[T ~uint8 | ~uint16 | ~int](b []byte, v T) []byte {
	return append(b, byte(uint16(v)>>8), byte(v))
}

func be24(b []byte, v uint32) []byte {
	return append(b, byte(v>>16), byte(v>>8), byte(v))
}

func be32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

func be64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func put16(b []byte, v int) { binary.BigEndian.PutUint16(b, uint16(v)) }

// addr4 appends the four octets of an IPv4 address, zeros for any other.
func addr4(b []byte, a netip.Addr) []byte {
	if !a.Is4() {
		return be32(b, 0)
	}
	v := a.As4()
	return append(b, v[:]...)
}

// addr16 appends the sixteen octets of an IPv6 address, zeros for the zero Addr.
func addr16(b []byte, a netip.Addr) []byte {
	if !a.Is6() {
		return append(b, zeros[:16]...)
	}
	v := a.As16()
	return append(b, v[:]...)
}

// text appends s in exactly n octets: cut, or filled up with zeros.
func text(b []byte, s string, n int) []byte {
	if len(s) > n {
		s = s[:n]
	}
	b = append(b, s...)
	return append(b, zeros[:n-len(s)]...)
}

// varText appends s as a field of variable length (RFC 7011, section 7).
func varText(b []byte, s string) []byte {
	if len(s) < 255 {
		b = append(b, byte(len(s)))
	} else {
		b = append(b, 255)
		b = be16(b, len(s))
	}
	return append(b, s...)
}

// pad4 appends zeros until the octets from start on are a multiple of four.
func pad4(b []byte, start int) []byte {
	return append(b, zeros[:-(len(b)-start)&3]...)
}

var zeros [128]byte

// clamp32 is v, or the largest value 32 bits hold.
func clamp32(v uint64) uint32 {
	return uint32(min(v, 1<<32-1))
}

// clampAS is a two-octet field's view of an AS number (RFC 6793, section 9: AS_TRANS).
func clampAS(as uint32) uint16 {
	if as > 65535 {
		return 23456
	}
	return uint16(as)
}

// uptime is the system uptime in milliseconds, modulo 2^32.
func uptime(boot, at time.Time) uint32 {
	return uint32(at.Sub(boot).Milliseconds())
}
