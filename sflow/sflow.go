// Package sflow reads and writes sFlow version 5 datagrams: flow samples, counter
// samples and notifications of discarded packets, in their compact and expanded
// forms.
//
// The central type is [Datagram]: it is given a payload, yields each [Sample] in
// turn and is then used again, so that nothing is allocated per sample. Flow
// records that are known are decoded into fields of the sample; every record is
// there as its bytes besides. The records of counter samples become values with
// names through [AppendCounters], those of flow samples through [AppendFlow]. An
// [Encoder] writes datagrams.
//
// The header of a sampled packet is handed out as bytes with its link type; to
// decode it is what package packet is for.
//
// Sources: the sFlow version 5 specification (sflow.org, July 2004) and the
// structures that sflow.org has registered since, among them those for discarded
// packets (sFlow Dropped Packet Notification Structures, 2020) and hosts.
package sflow

import (
	"errors"
	"net/netip"
	"strconv"

	"github.com/tributary-net/tributary/packet"
)

// Errors of this package; test for them with [errors.Is].
var (
	// ErrVersion says that a datagram is not of version 5.
	ErrVersion = errors.New("not sFlow version 5")
	// ErrTruncated says that a datagram ends sooner than it says.
	ErrTruncated = errors.New("sFlow datagram is cut short")
	// ErrMalformed says that a header contradicts itself.
	ErrMalformed = errors.New("sFlow datagram is malformed")
)

// A Format names a structure: an enterprise number (20 bits, 0 for sflow.org) and
// a number of that enterprise (12 bits).
type Format uint32

// Enterprise returns the enterprise number.
func (f Format) Enterprise() uint32 { return uint32(f) >> 12 }

// Number returns the number within the enterprise.
func (f Format) Number() uint32 { return uint32(f) & 0xfff }

// String returns the format as enterprise:number.
func (f Format) String() string {
	return strconv.FormatUint(uint64(f.Enterprise()), 10) + ":" + strconv.FormatUint(uint64(f.Number()), 10)
}

// Formats of samples.
const (
	FormatFlow             Format = 1
	FormatCounters         Format = 2
	FormatExpandedFlow     Format = 3
	FormatExpandedCounters Format = 4
	FormatDiscarded        Format = 5
)

// Formats of flow records that are decoded.
const (
	FormatHeader      Format = 1
	FormatEthernet    Format = 2
	FormatIPv4        Format = 3
	FormatIPv6        Format = 4
	FormatSwitch      Format = 1001
	FormatRouter      Format = 1002
	FormatGateway     Format = 1003
	FormatUser        Format = 1004
	FormatMPLS        Format = 1006
	FormatNAT         Format = 1007
	FormatNATPort     Format = 1020
	FormatEgressQueue Format = 1036
	FormatACL         Format = 1037
	FormatFunction    Format = 1038
)

// A Kind tells what a sample is about.
type Kind uint8

// Kinds of samples. Other is a sample of a format that is not known here.
const (
	Other    Kind = iota
	Flow          // a sampled packet
	Counters      // counters of a source
	Drop          // a packet that was discarded
)

// String returns "flow", "counters", "drop" or "other".
func (k Kind) String() string {
	switch k {
	case Flow:
		return "flow"
	case Counters:
		return "counters"
	case Drop:
		return "drop"
	}
	return "other"
}

// Formats of an [Interface].
const (
	InterfaceIndex    = 0 // Value is an ifIndex, 0 if unknown
	InterfaceDiscard  = 1 // discarded; Value is an ICMP code or, from 256 on, another reason
	InterfaceMultiple = 2 // sent to Value interfaces, 0 if their number is unknown
)

// An Interface is where a sampled packet came in or went out.
type Interface struct {
	Format uint32 // 0 to 3
	Value  uint32
}

// Internal, as an ifIndex of the compact form, means that the packet came from
// the device or ended there.
const Internal = 0x3fffffff

// Index returns the ifIndex and true, or 0 and false if that is not known or the
// packet went to several interfaces or none.
func (i Interface) Index() (uint32, bool) {
	if i.Format != InterfaceIndex || i.Value == 0 {
		return 0, false
	}
	return i.Value, true
}

// Raw returns the interface as the compact form has it: the format in the upper
// two bits.
func (i Interface) Raw() uint32 { return i.Format<<30 | i.Value&0x3fffffff }

// A Record is a flow or counter record of a sample.
type Record struct {
	Format Format
	Data   []byte
}

// Has tells which decoded records a sample has.
type Has uint16

// Bits of Has, named after the fields of [Sample].
const (
	HasHeader Has = 1 << iota
	HasEthernet
	HasIP
	HasSwitch
	HasRouter
	HasGateway
	HasUser
	HasMPLS
	HasNAT
	HasNATPort
	HasEgressQueue
	HasACL
	HasFunction
)

// A Sample is one sample of a datagram. Its contents are valid until the next call
// of [Datagram.Next].
type Sample struct {
	Kind     Kind
	Format   Format
	Sequence uint32 // counts the samples of this source
	// SourceType and SourceIndex name the source: type 0 is an ifIndex, 1 a VLAN,
	// 2 a physical entity.
	SourceType, SourceIndex uint32

	// SamplingRate, Pool, Input and Output are of flow samples (Input and Output of
	// drops, too): one packet of SamplingRate is taken; Pool packets could have
	// been taken since the start. Drops counts samples the agent could not take,
	// or, in a drop sample, discarded packets it could not tell of.
	SamplingRate, Pool, Drops uint32
	Input, Output             Interface
	// Reason says why a packet was dropped.
	Reason DropReason

	// Truncated says that records are missing: the sample, or one in it, ends
	// sooner than it says.
	Truncated bool
	// Records are all records that are whole.
	Records []Record

	// Has tells which of the following are from this sample; others hold what
	// some earlier one had.
	Has         Has
	Header      SampledHeader
	Ethernet    SampledEthernet
	IP          SampledIP
	Switch      Switch
	Router      Router
	Gateway     Gateway
	User        User
	MPLS        MPLS
	NAT         NAT
	NATPort     NATPort
	EgressQueue uint32
	ACL         ACL
	Function    []byte
}

// A SampledHeader is the start of a sampled packet (format 0:1).
type SampledHeader struct {
	// Protocol is sFlow's header_protocol: 1 for Ethernet.
	Protocol uint32
	// FrameLength is the packet's length on the wire before anything was stripped,
	// in bytes; Stripped counts bytes removed from its end, such as a checksum.
	FrameLength uint32
	Stripped    uint32
	Data        []byte
}

// Link returns what the header starts with. It is false for links that package
// packet does not know.
func (h *SampledHeader) Link() (packet.LinkType, bool) {
	switch h.Protocol {
	case 1:
		return packet.LinkEthernet, true
	case 7, 14:
		return packet.LinkPPP, true
	case 11:
		return packet.LinkIPv4, true
	case 12:
		return packet.LinkIPv6, true
	case 13:
		return packet.LinkMPLS, true
	case 15:
		return packet.LinkDot11, true
	}
	return 0, false
}

// SampledEthernet is the Ethernet header of a sampled packet (format 0:2).
type SampledEthernet struct {
	Length   uint32 // of the frame, without what was stripped
	Src, Dst [6]byte
	Type     uint32
}

// SampledIP is the IP and transport header of a sampled packet (formats 0:3, 0:4).
type SampledIP struct {
	Length           uint32 // of the IP packet
	Proto            uint32
	Src, Dst         netip.Addr
	SrcPort, DstPort uint32
	TCPFlags         uint32
	TOS              uint32 // priority in IPv6
}

// Switch is extended switch data (format 0:1001).
type Switch struct {
	SrcVLAN, SrcPriority, DstVLAN, DstPriority uint32
}

// Router is extended router data (format 0:1002).
type Router struct {
	NextHop          netip.Addr // not valid if unknown
	SrcMask, DstMask uint32     // prefix lengths
}

// Gateway is extended gateway data (format 0:1003): BGP's.
type Gateway struct {
	NextHop              netip.Addr // not valid if unknown
	AS, SrcAS, SrcPeerAS uint32     // of the router, of the source, of the source's peer
	// Path is the path to the destination, sets and sequences one after the other.
	Path        []uint32
	Segments    []PathSegment
	Communities []uint32
	LocalPref   uint32
}

// A PathSegment is a run of Path: Type is 1 for a set, 2 for a sequence.
type PathSegment struct {
	Type  uint32
	Count int
}

// User is extended user data (format 0:1004); the character sets are IANA's MIB
// numbers, 106 for UTF-8.
type User struct {
	SrcCharset, DstCharset uint32
	Src, Dst               []byte
}

// MPLS is extended MPLS data (format 0:1006): label stack entries as in a packet,
// top first.
type MPLS struct {
	NextHop netip.Addr
	In, Out []uint32
}

// NAT is extended NAT data (format 0:1007): the addresses after translation.
type NAT struct {
	Src, Dst netip.Addr
}

// NATPort is extended NAT port data (format 0:1020).
type NATPort struct {
	Src, Dst uint32
}

// ACL names the access list that discarded a packet (format 0:1037).
type ACL struct {
	Number    uint32
	Name      []byte
	Direction uint32 // 0 unknown, 1 ingress, 2 egress
}
