package sflow

import (
	"encoding/binary"
	"net/netip"
)

// A cursor reads XDR (RFC 4506). Reading past the end gives zeros and sticks.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) u32() uint32 {
	if len(c.b) < 4 {
		c.b, c.bad = nil, true
		return 0
	}
	v := binary.BigEndian.Uint32(c.b)
	c.b = c.b[4:]
	return v
}

func (c *cursor) u64() uint64 {
	hi := c.u32()
	return uint64(hi)<<32 | uint64(c.u32())
}

// bytes returns n bytes and passes over what pads them to a multiple of four. At
// the very end padding may be missing.
func (c *cursor) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[min(int(n)+int(-n&3), len(c.b)):]
	return v
}

// opaque returns bytes that their length precedes.
func (c *cursor) opaque() []byte { return c.bytes(c.u32()) }

func (c *cursor) mac() (m [6]byte) {
	copy(m[:], c.bytes(6))
	return m
}

// address reads an address: its type (1 IPv4, 2 IPv6), then its bytes.
func (c *cursor) address() netip.Addr {
	switch c.u32() {
	case 0:
	case 1:
		return c.ipv4()
	case 2:
		return c.ipv6()
	default:
		c.b, c.bad = nil, true
	}
	return netip.Addr{}
}

func (c *cursor) ipv4() netip.Addr {
	if b := c.bytes(4); len(b) == 4 {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.Addr{}
}

func (c *cursor) ipv6() netip.Addr {
	if b := c.bytes(16); len(b) == 16 {
		return netip.AddrFrom16([16]byte(b))
	}
	return netip.Addr{}
}

// words appends n numbers to dst.
func (c *cursor) words(dst []uint32, n uint32) []uint32 {
	if uint64(n)*4 > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return dst
	}
	for range n {
		dst = append(dst, c.u32())
	}
	return dst
}
