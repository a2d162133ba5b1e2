package packet_test

import (
	"encoding/binary"
	"net/netip"

	"github.com/tributary-net/tributary/packet"
)

// Builders of packets: each puts its header before what it carries.

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func be16(v ...uint16) []byte {
	var b []byte
	for _, x := range v {
		b = binary.BigEndian.AppendUint16(b, x)
	}
	return b
}

func be32(v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

var (
	macA = []byte{2, 0, 0, 0, 0, 0xa}
	macB = []byte{2, 0, 0, 0, 0, 0xb}
	addA = netip.MustParseAddr("192.0.2.1")
	addB = netip.MustParseAddr("198.51.100.2")
	addC = netip.MustParseAddr("2001:db8::c")
	addD = netip.MustParseAddr("2001:db8::d")
)

func ethernet(etherType uint16, payload []byte) []byte {
	return cat(macB, macA, be16(etherType), payload)
}

// ipv4 has options if given; src and dst are addA and addB.
func ipv4(proto uint8, options, payload []byte) []byte {
	return ipv4Fragment(proto, options, payload, 77, 0x4000)
}

func ipv4Fragment(proto uint8, options, payload []byte, id, frag uint16) []byte {
	size := 20 + len(options)
	h := cat([]byte{0x40 | byte(size/4), 0xb8}, be16(uint16(size+len(payload)), id, frag),
		[]byte{63, proto}, be16(0), addA.AsSlice(), addB.AsSlice(), options)
	var sum uint32
	for i := 0; i < len(h); i += 2 {
		sum += uint32(h[i])<<8 | uint32(h[i+1])
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum+sum>>16))
	return cat(h, payload)
}

// ipv6 goes from addC to addD.
func ipv6(next uint8, payload []byte) []byte {
	return cat(be32(0x6<<28|0x28<<20|0xabcde), be16(uint16(len(payload))), []byte{next, 62},
		addC.AsSlice(), addD.AsSlice(), payload)
}

// extension is an extension header: size is 8 times one more than body's length/8.
func extension(next uint8, body []byte) []byte {
	return cat([]byte{next, byte((len(body)+2)/8 - 1)}, body)
}

func udp(src, dst uint16, payload []byte) []byte {
	return cat(be16(src, dst, uint16(8+len(payload)), 0), payload)
}

func tcp(src, dst, flags uint16, payload []byte) []byte {
	return cat(be16(src, dst), be32(1000, 2000), be16(5<<12|flags, 4096, 0, 0), payload)
}

func icmp(kind, code uint8) []byte { return cat([]byte{kind, code}, make([]byte, 6)) }

func headersOf(link packet.LinkType, data []byte) (packet.Headers, error) {
	var h packet.Headers
	err := h.Decode(link, data)
	return h, err
}
