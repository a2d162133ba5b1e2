package packet

import "strconv"

// A LinkType says what the first bytes of a packet are. The numbers are those of
// tcpdump.org's registry of link-layer header types (LINKTYPE_ values), which
// pcap and pcapng files hold.
type LinkType uint16

// Link types that [Headers.Decode] understands.
const (
	LinkNull       LinkType = 0   // BSD loopback: address family in the writer's byte order
	LinkEthernet   LinkType = 1   // Ethernet, from the destination address on
	LinkRawBSD     LinkType = 12  // IPv4 or IPv6; some systems wrote their own number
	LinkRawOpenBSD LinkType = 14  // IPv4 or IPv6, as OpenBSD numbers it
	LinkPPP        LinkType = 9   // PPP, with or without address and control bytes
	LinkPPPHDLC    LinkType = 50  // PPP in HDLC-like framing, or Cisco HDLC
	LinkPPPoE      LinkType = 51  // PPPoE session packet, without Ethernet before it
	LinkRaw        LinkType = 101 // IPv4 or IPv6, by the version field
	LinkCiscoHDLC  LinkType = 104 // Cisco HDLC
	LinkDot11      LinkType = 105 // IEEE 802.11 from the frame control field on
	LinkLoop       LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkLinuxSLL   LinkType = 113 // Linux "cooked" capture, version 1
	LinkRadiotap   LinkType = 127 // radiotap, then IEEE 802.11
	LinkPPPPPPD    LinkType = 166 // PPP with pppd's direction byte in the place of the address
	LinkMPLS       LinkType = 219 // MPLS label stack
	LinkIPv4       LinkType = 228 // IPv4
	LinkIPv6       LinkType = 229 // IPv6
	LinkLinuxSLL2  LinkType = 276 // Linux "cooked" capture, version 2
)

// String returns the link type's name, or its number in decimal.
func (l LinkType) String() string {
	switch l {
	case LinkNull:
		return "null"
	case LinkEthernet:
		return "ethernet"
	case LinkRawBSD, LinkRawOpenBSD, LinkRaw:
		return "raw"
	case LinkPPP:
		return "ppp"
	case LinkPPPHDLC:
		return "ppp-hdlc"
	case LinkPPPoE:
		return "pppoe"
	case LinkCiscoHDLC:
		return "c-hdlc"
	case LinkDot11:
		return "802.11"
	case LinkLoop:
		return "loop"
	case LinkLinuxSLL:
		return "linux-sll"
	case LinkRadiotap:
		return "radiotap"
	case LinkPPPPPPD:
		return "ppp-pppd"
	case LinkMPLS:
		return "mpls"
	case LinkIPv4:
		return "ipv4"
	case LinkIPv6:
		return "ipv6"
	case LinkLinuxSLL2:
		return "linux-sll2"
	}
	return strconv.Itoa(int(l))
}
