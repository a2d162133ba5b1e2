package packet

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// A Datagram is a UDP datagram that somebody captured.
type Datagram struct {
	Time        time.Time // when its packet, or its last fragment, was captured
	Source      netip.AddrPort
	Destination netip.AddrPort
	// Length is how long the payload was on the wire, in bytes.
	Length int
	// Payload is what is there of it; it is shorter than Length if the capture
	// was cut to a snapshot length.
	Payload []byte
}

// UDP decodes p and, if it is a UDP datagram, or the fragment that completes one,
// fills g and returns true. Where the outermost IP packet carries no UDP but is a
// tunnel, the innermost is looked at. g.Payload is valid as long as p.Data and
// until the next call.
func (r *Reassembler) UDP(p *Packet, g *Datagram) bool {
	// An error leaves known what came before it, which may be all we need.
	_ = r.h.Decode(p.Link, p.Data)
	ip := &r.h.IP
	if ip.Version != 0 && ip.Proto != protoUDP {
		ip = r.h.Flow()
	}
	if ip.Version == 0 {
		return false
	}
	body, proto, ok := r.Add(p.Time, ip, p.Data)
	if !ok {
		return false
	}
	for ip.Version == 6 && (proto == protoDest || proto == protoHop || proto == protoRouting) {
		if len(body) < 8 || len(body) < (int(body[1])+1)*8 {
			return false
		}
		proto, body = body[0], body[(int(body[1])+1)*8:]
	}
	if proto != protoUDP || len(body) < 8 {
		return false
	}
	size := int(binary.BigEndian.Uint16(body[4:]))
	switch {
	case size == 0:
		size = len(body) // RFC 2675, 4
	case size < 8:
		return false
	}
	g.Time = p.Time
	g.Source = netip.AddrPortFrom(ip.SrcAddr(), binary.BigEndian.Uint16(body))
	g.Destination = netip.AddrPortFrom(ip.DstAddr(), binary.BigEndian.Uint16(body[2:]))
	g.Length = size - 8
	g.Payload = body[8:min(size, len(body))]
	return true
}

// A DatagramReader reads the UDP datagrams of a capture file, whatever its link
// type, with fragments joined. Other packets are passed over.
type DatagramReader struct {
	r      *Reader
	join   Reassembler
	packet Packet
	others uint64
}

// NewDatagramReader returns a DatagramReader for the packets of r.
func NewDatagramReader(r *Reader) *DatagramReader {
	return &DatagramReader{r: r}
}

// Next reads the next datagram into g; its errors are those of [Reader.Next].
// g.Payload is valid until the next call.
func (r *DatagramReader) Next(g *Datagram) error {
	for {
		if err := r.r.Next(&r.packet); err != nil {
			return err
		}
		if r.join.UDP(&r.packet, g) {
			return nil
		}
		r.others++
	}
}

// Others returns how many packets so far were no UDP datagram, or fragments of
// one that went before.
func (r *DatagramReader) Others() uint64 { return r.others }

// Fragments returns what became of fragments so far.
func (r *DatagramReader) Fragments() ReassemblerStats { return r.join.Stats() }
