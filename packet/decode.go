package packet

import (
	"encoding/binary"
)

// What comes next while decoding: an EtherType, or one of these, which lie outside
// the range of EtherTypes.
const (
	nextDone uint32 = 0x10000 + iota
	nextEthernet
	nextIP // IPv4 or IPv6 by the version field
	nextPPP
	nextPPPHDLC
	nextCisco
	nextLLC
	nextDot11
	nextPseudowire
	nextVXLAN
	nextGeneve
	nextGTPU
	nextTeredo
	nextGRE
	nextTransport
)

// EtherTypes that are looked into.
const (
	etherIPv4      = 0x0800
	etherARP       = 0x0806
	etherTEB       = 0x6558 // transparent Ethernet bridging
	etherVLAN      = 0x8100
	etherVLANOld1  = 0x9100
	etherVLANOld2  = 0x9200
	etherVLANOld3  = 0x9300
	etherIPv6      = 0x86dd
	etherPPPInGRE  = 0x880b
	etherMPLS      = 0x8847
	etherMPLSMulti = 0x8848
	etherPPPoE     = 0x8864
	etherQinQ      = 0x88a8
	etherERSPAN2   = 0x88be
	etherERSPAN3   = 0x22eb
	etherSGT       = 0x8909 // Cisco metadata: security group tags
)

// decoder is the state of one pass over a packet. Everything works on data[:end],
// where end shrinks as lengths of the packet say so.
type decoder struct {
	h    *Headers
	data []byte
	off  int
	end  int
	cur  *IP   // the IP header last decoded
	err  error // what ended it
	kind TunnelKind
	id   uint32 // what the next inner IP header is carried by
}

// Decode decodes the headers of a packet which starts as link says. It returns
// nil, [ErrTruncated], [ErrMalformed] or [ErrLinkType]; in each case h holds what was decoded before the trouble. A
// protocol it does not know ends decoding without an error. A packet whose payload
// is cut short, but not its headers, is not truncated.
func (h *Headers) Decode(link LinkType, data []byte) error {
	h.reset()
	// Field by field: a composite literal would be built aside and copied, which
	// costs as much as decoding does.
	var d decoder
	d.h, d.data, d.end = h, data, len(data)
	next := d.link(link)
	// Each step consumes bytes or ends, so this loop is bounded by the length of
	// the packet; the number of steps is bounded besides.
	for steps := 0; next != nextDone && steps < 64; steps++ {
		next = d.step(next)
	}
	return d.err
}

func (h *Headers) reset() {
	h.HasMAC, h.HasInnerMAC, h.HasRouting = false, false, false
	h.EtherType = 0
	h.VLANCount, h.LabelCount, h.SegmentCount, h.LayerCount = 0, 0, 0, 0
	h.Tunnels, h.Tunnel, h.TunnelID = 0, TunnelNone, 0
	h.RoutingType, h.SegmentsLeft = 0, 0
	h.IP = IP{}
	if h.Inner.Version != 0 {
		h.Inner = IP{}
	}
}

// layer notes a header of size bytes at the current position and passes over it.
func (d *decoder) layer(l Layer, size int) {
	if i := d.h.LayerCount; i < MaxLayers {
		d.h.Layers[i] = LayerPos{Layer: l, Size: uint16(size), Offset: uint32(d.off)}
		d.h.LayerCount++
	}
	d.off += size
}

func (d *decoder) truncated() uint32 {
	d.err = ErrTruncated
	return nextDone
}

func (d *decoder) malformed() uint32 {
	d.err = ErrMalformed
	return nextDone
}

func (d *decoder) step(next uint32) uint32 {
	switch next {
	case etherIPv4:
		return d.ipv4()
	case etherIPv6:
		return d.ipv6()
	case nextTransport:
		return d.transport()
	case nextIP:
		return d.ip()
	case nextEthernet, etherTEB:
		return d.ethernet()
	case etherVLAN, etherQinQ, etherVLANOld1, etherVLANOld2, etherVLANOld3:
		return d.vlan(uint16(next))
	case etherMPLS, etherMPLSMulti:
		return d.mpls()
	case etherPPPoE:
		return d.pppoe()
	case etherARP:
		if d.end-d.off < 8 {
			return d.truncated()
		}
		d.layer(LayerARP, 8)
		return nextDone
	case nextPPP, etherPPPInGRE:
		return d.ppp()
	case nextPPPHDLC:
		return d.pppHDLC()
	case nextCisco:
		return d.cisco()
	case nextLLC:
		return d.llc()
	case nextDot11:
		return d.dot11()
	case nextPseudowire:
		return d.pseudowire()
	case nextVXLAN:
		return d.vxlan()
	case nextGeneve:
		return d.geneve()
	case nextGTPU:
		return d.gtpu()
	case nextTeredo:
		return d.teredo()
	case nextGRE:
		return d.gre()
	case etherERSPAN2, etherERSPAN3:
		return d.erspan(next)
	case etherSGT:
		return d.securityGroup()
	}
	return nextDone
}

// outer reports that no IP header has been met yet.
func (d *decoder) outer() bool { return d.cur == nil }

// ether returns what an EtherType announces and keeps it as the packet's own.
func (d *decoder) ether(t uint16) uint32 {
	if d.outer() {
		d.h.EtherType = t
	}
	return uint32(t)
}

func (d *decoder) ip() uint32 {
	if d.off >= d.end {
		return d.truncated()
	}
	switch d.data[d.off] >> 4 {
	case 4:
		return d.ether(etherIPv4)
	case 6:
		return d.ether(etherIPv6)
	}
	return d.malformed()
}

// startIP returns the place for an IP header: the outer one first, then always
// the inner one.
func (d *decoder) startIP() *IP {
	if d.cur == nil {
		d.cur = &d.h.IP
		return d.cur
	}
	if d.h.Inner.Version != 0 {
		d.h.Inner = IP{}
	}
	d.cur = &d.h.Inner
	if d.h.Tunnels < 255 {
		d.h.Tunnels++
	}
	d.h.Tunnel, d.h.TunnelID = d.kind, d.id
	return d.cur
}

// RFC 791, 3.1.
func (d *decoder) ipv4() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 20 {
		return d.truncated()
	}
	b0 := b[0]
	size := int(b0&0x0f) * 4
	if b0>>4 != 4 || size < 20 {
		return d.malformed()
	}
	p := d.startIP()
	frag := binary.BigEndian.Uint16(b[6:])
	p.Version = 4
	p.TOS = b[1]
	p.TTL = b[8]
	p.Proto, p.NextHeader, p.Upper = b[9], b[9], b[9]
	p.Flags = uint8(frag >> 13)
	p.MoreFragments = frag&0x2000 != 0
	p.FragmentOffset = frag & 0x1fff
	p.FragmentID = uint32(binary.BigEndian.Uint16(b[4:]))
	p.Known = KnownFragment
	*(*[4]byte)(p.Src[:]) = [4]byte(b[12:16])
	*(*[4]byte)(p.Dst[:]) = [4]byte(b[16:20])
	p.Offset = uint32(d.off)
	total := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case total == 0:
		total = len(b)
	case total < size:
		p.Length = uint32(total)
		p.Payload, p.End = uint32(d.off+20), uint32(d.off+20)
		return d.malformed()
	case total < len(b):
		d.end = d.off + total
	}
	p.Length = uint32(total)
	p.End = uint32(d.end)
	if size > len(b) {
		p.Payload = p.End
		return d.truncated()
	}
	d.layer(LayerIPv4, size)
	p.Payload = uint32(d.off)
	p.frag, p.fragNext = p.Payload, p.Proto
	if p.FragmentOffset != 0 {
		return nextDone
	}
	return nextTransport
}

// RFC 8200, 3 and 4.
func (d *decoder) ipv6() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 40 {
		return d.truncated()
	}
	if b[0]>>4 != 6 {
		return d.malformed()
	}
	p := d.startIP()
	first := binary.BigEndian.Uint32(b)
	p.Version = 6
	p.TOS = uint8(first >> 20)
	p.FlowLabel = first & 0xfffff
	p.NextHeader = b[6]
	p.TTL = b[7]
	p.Src = [16]byte(b[8:24])
	p.Dst = [16]byte(b[24:40])
	p.Offset = uint32(d.off)
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	next := b[6]
	switch {
	case total == 40 && next == 0:
		total = jumbo(b[40:], len(b))
	case total == 40 && next != protoNone:
		// Segmentation offload leaves 0 in packets captured before they are cut.
		total = len(b)
	}
	if total < len(b) {
		d.end = d.off + total
	}
	p.Length = uint32(total)
	p.End = uint32(d.end)
	d.layer(LayerIPv6, 40)
	return d.extensions(p, next)
}

// jumbo returns the length of an IPv6 packet whose header says 0, by the jumbo
// payload option (RFC 2675, 2) at the start of its hop-by-hop header, or else what
// was captured.
func jumbo(b []byte, captured int) int {
	if len(b) >= 8 && b[2] == 0xc2 && b[3] == 4 {
		if n := binary.BigEndian.Uint32(b[4:]); n > 0xffff && n < 1<<31-40 {
			return 40 + int(n)
		}
	}
	return captured
}

// IP protocol numbers (IANA, "Assigned Internet Protocol Numbers").
const (
	protoHop      = 0
	protoICMP     = 1
	protoIGMP     = 2
	protoIPv4     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoDCCP     = 33
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoESP      = 50
	protoAH       = 51
	protoICMPv6   = 58
	protoNone     = 59
	protoDest     = 60
	protoSCTP     = 132
	protoMobility = 135
	protoUDPLite  = 136
	protoMPLS     = 137
	protoHIP      = 139
	protoShim6    = 140
	protoEthernet = 143
)

// extensions passes over the extension headers of IPv6 (RFC 8200, 4).
func (d *decoder) extensions(p *IP, next uint8) uint32 {
	for {
		p.Proto, p.Upper = next, next
		p.Payload = uint32(d.off)
		b := d.data[d.off:d.end]
		var size int
		kind := LayerIPv6Other
		switch next {
		case protoHop:
			kind = LayerIPv6Hop
		case protoDest:
			kind = LayerIPv6Dest
		case protoRouting:
			kind = LayerIPv6Routing
		case protoFragment:
			kind = LayerIPv6Fragment
		case protoMobility, protoHIP, protoShim6:
			// These end the chain where their next header is "none".
		case protoAH:
			kind = LayerAH
		default:
			return nextTransport
		}
		if len(b) < 8 {
			return d.truncated()
		}
		switch next {
		case protoFragment:
			size = 8
			frag := binary.BigEndian.Uint16(b[2:])
			p.Flags = uint8(frag & 7)
			p.MoreFragments = frag&1 != 0
			p.FragmentOffset = frag >> 3
			p.FragmentID = binary.BigEndian.Uint32(b[4:])
			p.Known |= KnownFragment
		case protoAH:
			size = (int(b[1]) + 2) * 4
		default:
			size = (int(b[1]) + 1) * 8
		}
		if next == protoRouting && p == &d.h.IP {
			d.routing(b[:min(size, len(b))])
		}
		if size > len(b) {
			return d.truncated()
		}
		if (next == protoMobility || next == protoHIP || next == protoShim6) && b[0] == protoNone {
			d.layer(kind, size)
			return nextDone
		}
		next = b[0]
		d.layer(kind, size)
		if kind == LayerIPv6Fragment {
			p.frag, p.fragNext = uint32(d.off), next
		}
		if p.FragmentOffset != 0 {
			p.Proto, p.Upper = next, next
			p.Payload = uint32(d.off)
			return nextDone
		}
	}
}

// routing keeps what a routing header says (RFC 8200, 4.4; RFC 8754, 2).
func (d *decoder) routing(b []byte) {
	h := d.h
	h.HasRouting = true
	h.RoutingType, h.SegmentsLeft = b[2], b[3]
	h.SegmentCount = 0
	if b[2] != 4 {
		return
	}
	last := int(b[4])
	for i, rest := 0, b[8:]; i <= last && i < MaxSegments && len(rest) >= 16; i, rest = i+1, rest[16:] {
		h.Segments[i] = [16]byte(rest[:16])
		h.SegmentCount++
	}
}
