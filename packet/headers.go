package packet

import (
	"net/netip"
)

// Bounds of what [Headers] keeps of one packet. What is beyond them is decoded
// all the same, but not kept.
const (
	MaxVLANs    = 4
	MaxLabels   = 16
	MaxLayers   = 24
	MaxSegments = 16
)

// A Layer names a header in [Headers.Layers]. Up to 13 the values are those of
// goflow2's LayerStack enumeration; from 100 on they are our own.
type Layer uint8

// Layers.
const (
	LayerEthernet     Layer = 0
	LayerIPv4         Layer = 1
	LayerIPv6         Layer = 2
	LayerTCP          Layer = 3
	LayerUDP          Layer = 4
	LayerMPLS         Layer = 5 // a whole label stack
	LayerVLAN         Layer = 6 // one tag
	LayerICMP         Layer = 7
	LayerICMPv6       Layer = 8
	LayerGRE          Layer = 9
	LayerIPv6Routing  Layer = 10
	LayerIPv6Fragment Layer = 11
	LayerGeneve       Layer = 12
	LayerTeredo       Layer = 13

	LayerLLC       Layer = 100 // with SNAP, if there is one
	LayerPPPoE     Layer = 101
	LayerPPP       Layer = 102
	LayerCisco     Layer = 103 // Cisco HDLC
	LayerLink      Layer = 104 // any other link header: cooked, loopback, 802.11
	LayerARP       Layer = 105
	LayerIPv6Hop   Layer = 106 // hop-by-hop options
	LayerIPv6Dest  Layer = 107 // destination options
	LayerIPv6Other Layer = 108 // mobility, HIP, shim6
	LayerAH        Layer = 109
	LayerESP       Layer = 110
	LayerSCTP      Layer = 111
	LayerIGMP      Layer = 112
	LayerVXLAN     Layer = 113
	LayerGTPU      Layer = 114
	LayerPW        Layer = 115 // pseudowire control word
	LayerUDPLite   Layer = 116
	LayerDCCP      Layer = 117
)

// A LayerPos is one header of a packet.
type LayerPos struct {
	Layer  Layer
	Size   uint16 // bytes
	Offset uint32 // where it starts in the data
}

// A VLAN is one IEEE 802.1Q or 802.1ad tag.
type VLAN struct {
	TPID uint16 // the EtherType that announced it
	TCI  uint16 // priority (3 bits), drop eligible (1), identifier (12)
}

// ID is the VLAN identifier, 0 to 4095.
func (v VLAN) ID() uint16 { return v.TCI & 0x0fff }

// Priority is the priority code point, 0 to 7.
func (v VLAN) Priority() uint8 { return uint8(v.TCI >> 13) }

// A Label is one entry of an MPLS label stack (RFC 3032, 2.1).
type Label struct {
	Value  uint32 // 20 bits
	Class  uint8  // traffic class, 0 to 7
	TTL    uint8
	Bottom bool
}

// Known tells which fields of an [IP] a packet really had.
type Known uint8

// Bits of Known.
const (
	KnownPorts     Known = 1 << iota // SrcPort, DstPort
	KnownTCP                         // TCPFlags, Seq, Ack, Window
	KnownICMP                        // ICMPType, ICMPCode
	KnownFragment                    // FragmentID, FragmentOffset, MoreFragments
	KnownTransport                   // the transport header is whole
)

// IP is an IP header with its extension headers and the transport header behind
// it: what identifies a flow.
type IP struct {
	Version uint8 // 4, 6, or 0: there is none
	Known   Known
	TOS     uint8 // type of service or traffic class, with its ECN bits
	TTL     uint8 // time to live or hop limit

	// Proto is the protocol: in IPv4 as the header has it, in IPv6 the one after
	// the extension headers.
	Proto uint8
	// NextHeader is what the IP header itself announces.
	NextHeader uint8
	// Upper is the protocol of the last header that was reached: it differs from
	// Proto behind an authentication header in IPv4.
	Upper uint8
	// Flags are the three flags of IPv4 (4 reserved, 2 don't fragment, 1 more
	// fragments) or the low three bits of IPv6's fragment offset field (1 more).
	Flags uint8

	MoreFragments  bool
	FragmentOffset uint16 // in units of eight bytes
	FragmentID     uint32 // 16 bits in IPv4, 32 in IPv6
	FlowLabel      uint32 // 20 bits, IPv6

	// Length is the whole IP packet by its own account, header included; where
	// that is 0 (segmentation offload) it is what was captured.
	Length uint32
	// Offset is where the IP header starts in the data, Payload where the headers
	// of IP end (the transport header or fragment data starts), and End where the
	// packet ends: by its own length, or the end of the data if that is sooner.
	Offset, Payload, End uint32

	// Src and Dst hold an IPv4 address in the first four bytes.
	Src, Dst [16]byte

	SrcPort, DstPort uint16
	TCPFlags         uint16 // 12 bits: FIN is 1, CWR 128, then AE and reserved
	Window           uint16
	Seq, Ack         uint32
	// Data is where the transport header ends, if it is whole.
	Data uint32

	ICMPType, ICMPCode uint8

	fragNext uint8  // protocol of the fragmented part
	frag     uint32 // where the fragmented part starts in the data
}

// SrcAddr returns the source address; it is not valid if there is no IP header.
func (p *IP) SrcAddr() netip.Addr { return p.addr(&p.Src) }

// DstAddr returns the destination address.
func (p *IP) DstAddr() netip.Addr { return p.addr(&p.Dst) }

func (p *IP) addr(a *[16]byte) netip.Addr {
	switch p.Version {
	case 4:
		return netip.AddrFrom4([4]byte(a[:4]))
	case 6:
		return netip.AddrFrom16(*a)
	}
	return netip.Addr{}
}

// SrcBytes returns the source address as 4, 16 or no bytes of p.
func (p *IP) SrcBytes() []byte { return p.bytes(&p.Src) }

// DstBytes returns the destination address as 4, 16 or no bytes of p.
func (p *IP) DstBytes() []byte { return p.bytes(&p.Dst) }

func (p *IP) bytes(a *[16]byte) []byte {
	switch p.Version {
	case 4:
		return a[:4]
	case 6:
		return a[:]
	}
	return nil
}

// Fragment reports whether the packet is one of several fragments.
func (p *IP) Fragment() bool { return p.MoreFragments || p.FragmentOffset != 0 }

// A TunnelKind is what carried the innermost IP packet.
type TunnelKind uint8

// Tunnels. IP in IP means any of 4 in 4, 6 in 4, 4 in 6 and 6 in 6.
const (
	TunnelNone TunnelKind = iota
	TunnelIP
	TunnelGRE
	TunnelVXLAN
	TunnelGeneve
	TunnelGTPU
	TunnelTeredo
	TunnelMPLS // MPLS over UDP
)

// Headers is what the headers of one packet say. It is flat and meant to be used
// again for the next packet: [Headers.Decode] allocates nothing and leaves nothing
// of the packet before.
//
// The outermost IP header is the packet's own and stands in IP. If that one is a
// tunnel, the innermost IP header is in Inner.
type Headers struct {
	// HasMAC says that SrcMAC and DstMAC, the outermost Ethernet addresses, are
	// there. (Linux cooked captures have a source address only.)
	HasMAC         bool
	SrcMAC, DstMAC [6]byte
	// EtherType is that of what the link carries after its VLAN tags, labels and
	// PPPoE: 0x0800 for IPv4, say. It is 0 if the link header has none.
	EtherType uint16

	VLANCount    uint8 // used entries of VLANs
	LabelCount   uint8 // used entries of Labels
	SegmentCount uint8 // used entries of Segments
	LayerCount   uint8 // used entries of Layers

	// VLANs are the tags outside the outermost IP header, outermost first.
	VLANs [MaxVLANs]VLAN
	// Labels is the MPLS stack outside the outermost IP header, top first.
	Labels [MaxLabels]Label

	// IP is the outermost IP header; its Version is 0 if there is none.
	IP IP
	// Inner is the innermost IP header; its Version is 0 if there is no tunnel.
	Inner IP

	// Tunnels counts the IP headers behind the outermost one.
	Tunnels uint8
	// Tunnel and TunnelID are about the tunnel around the innermost IP header: the
	// GRE key, VXLAN or Geneve network identifier, GTP tunnel endpoint, or label.
	Tunnel   TunnelKind
	TunnelID uint32
	// HasInnerMAC says that the tunnel carries Ethernet, with these addresses.
	HasInnerMAC              bool
	InnerSrcMAC, InnerDstMAC [6]byte

	// HasRouting says that the outermost IPv6 header is followed by a routing
	// header: its type, segments left, and, if it is a segment routing header
	// (RFC 8754), the segment list as it stands there: the last segment first.
	HasRouting   bool
	RoutingType  uint8
	SegmentsLeft uint8
	Segments     [MaxSegments][16]byte

	// Layers are all headers in order.
	Layers [MaxLayers]LayerPos
}

// Flow returns the innermost IP header there is: Inner, or IP.
func (h *Headers) Flow() *IP {
	if h.Tunnels > 0 {
		return &h.Inner
	}
	return &h.IP
}
