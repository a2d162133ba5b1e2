// Package packet reads packets: capture files (pcap and pcapng), the headers of
// a packet whatever link and tunnels it came through, IP fragments, and the UDP
// datagrams inside.
//
// The central types are [Reader], which yields each [Packet] of a capture file;
// [Headers], one flat struct that a packet is decoded into in one pass and without
// allocating; and [Reassembler], which joins IP fragments. [DatagramReader] puts
// the three together for those who only want UDP payloads, such as flow exports
// somebody captured.
//
// Nothing here looks behind the transport header: no TCP streams, no
// applications. Capturing from an interface is not here either.
package packet

import (
	"errors"
	"time"
)

// Errors that reading and decoding wrap; test for them with [errors.Is].
var (
	// ErrTruncated says that the bytes at hand end inside a header. What came
	// before that point has been decoded.
	ErrTruncated = errors.New("packet is cut short inside a header")
	// ErrMalformed says that a header contradicts itself, an IPv4 header length
	// below 20 for instance. What came before it has been decoded.
	ErrMalformed = errors.New("packet has an impossible header")
	// ErrLinkType says that this link type cannot be decoded.
	ErrLinkType = errors.New("link type is not supported")
	// ErrFormat says that a file is neither pcap nor pcapng, or that it stops
	// making sense at some point.
	ErrFormat = errors.New("not a readable pcap or pcapng file")
)

// A Packet is one captured packet.
type Packet struct {
	// Time is when it was captured, at the resolution of the file, in UTC.
	Time time.Time
	// Link is what Data starts with.
	Link LinkType
	// Interface is the number of the capturing interface within its pcapng
	// section; 0 in a pcap file.
	Interface uint32
	// Length is how long the packet was on the wire, in bytes.
	Length int
	// Data is what was captured of it, at most Length bytes.
	Data []byte
}
