package traffic

import (
	"math/rand/v2"
	"time"
)

// SFlow returns an exporter of sFlow version 5: samples of packets with their headers, and counters of its interfaces in
// turn. An expanded one uses the forms with 32-bit interface numbers and adds what a router knows: next hop and BGP's view.
func (n *Network) SFlow(d Device, expanded bool) *Exporter {
	x := &sflowEncoder{expanded: expanded, sources: make([]sflowSource, len(d.Interfaces))}
	samples := 5
	if expanded {
		samples = 4
	}
	e := newExporter(n, d, SFlow, samples, x)
	e.watch.oneWay = true
	return e
}

// sflowSource is the state of one data source, an interface.
type sflowSource struct {
	flowSequence    uint32
	pool            uint32
	counterSequence uint32
	counted         time.Time // when the counters below were last brought up to date
	in, out         struct{ octets, packets, multicast, broadcast uint64 }
}

type sflowEncoder struct {
	expanded bool
	sequence uint32 // datagrams
	turn     int    // interface whose counters come next
	sources  []sflowSource
}

// Sample and record formats (sFlow version 5, section 5).
const (
	sflowFlowSample      = 1
	sflowCounterSample   = 2
	sflowExpandedFlow    = 3
	sflowExpandedCounter = 4
	sflowHeader          = 1
	sflowSwitch          = 1001
	sflowRouter          = 1002
	sflowGateway         = 1003
	sflowInterface       = 1
	sflowEthernet        = 2
)

// headerBytes is how much of a sampled packet is sent.
const headerBytes = 128

func (x *sflowEncoder) datagram(e *Exporter, now time.Time, dst []byte) []byte {
	dst = be32(dst, 5)
	dst = be32(dst, 1) // the agent has an IPv4 address
	dst = addr4(dst, e.Addr)
	dst = be32(dst, 0)
	x.sequence++
	dst = be32(dst, x.sequence)
	dst = be32(dst, uptime(e.boot, now))
	count := len(dst)
	dst = be32(dst, 0)
	counters := x.sequence%5 == 1
	e.told = e.flows
	if counters && x.expanded {
		e.told = e.flows[1:] // or it gets too long
	}
	for i := range e.told {
		e.watch.next(now, &e.told[i])
		dst = x.flowSample(e, dst, &e.told[i])
	}
	samples := len(e.told)
	e.stats.Flows += uint64(samples)
	if counters {
		dst = x.counterSample(e, dst, now)
		samples++
		e.stats.Counters++
	}
	put16(dst[count+2:], samples)
	return dst
}

// putLen writes how many octets follow the length at a position.
func putLen(b []byte, at int) {
	put16(b[at+2:], len(b)-at-4)
}

func (x *sflowEncoder) flowSample(e *Exporter, dst []byte, f *Flow) []byte {
	s := &x.sources[f.In-1]
	s.flowSequence++
	s.pool += e.SamplingRate
	format, out := sflowFlowSample, f.Out
	if x.expanded {
		format = sflowExpandedFlow
	}
	dst = be32(dst, uint32(format))
	length := len(dst)
	dst = be32(dst, 0)
	dst = be32(dst, s.flowSequence)
	if x.expanded {
		dst = be32(dst, 0) // source: an ifIndex
	}
	dst = be32(dst, f.In)
	dst = be32(dst, e.SamplingRate)
	dst = be32(dst, s.pool)
	dst = be32(dst, 0) // drops
	const discardedByACL = 258
	switch {
	case x.expanded && f.Denied:
		dst = be32(be32(be32(be32(dst, 0), f.In), 1), discardedByACL)
	case x.expanded:
		dst = be32(be32(be32(be32(dst, 0), f.In), 0), out)
	case f.Denied:
		dst = be32(be32(dst, f.In), 1<<30|discardedByACL)
	default:
		dst = be32(be32(dst, f.In), out)
	}
	records := 2
	if x.expanded {
		records = 4
	}
	dst = be32(dst, uint32(records))

	dst = be32(dst, sflowHeader)
	at := len(dst)
	dst = be32(dst, 0)
	dst = be32(dst, 1) // Ethernet
	frame := len(dst)
	dst = be32(dst, 0)
	dst = be32(dst, 4) // the checksum is stripped
	header := len(dst)
	dst = be32(dst, 0)
	dst, size := appendPacket(dst, e.watch.rng, f, headerBytes)
	put16(dst[frame+2:], size+4)
	put16(dst[header+2:], len(dst)-header-4)
	dst = pad4(dst, header)
	putLen(dst, at)

	dst = be32(dst, sflowSwitch)
	dst = be32(dst, 16)
	dst = be32(dst, uint32(f.VLAN))
	dst = be32(dst, uint32(f.TOS>>5))
	dst = be32(dst, uint32(f.VLAN))
	dst = be32(dst, uint32(f.TOS>>5))

	if x.expanded {
		dst = be32(dst, sflowRouter)
		at = len(dst)
		dst = be32(dst, 0)
		dst = sflowAddress(dst, f)
		dst = be32(dst, uint32(f.SrcMask))
		dst = be32(dst, uint32(f.DstMask))
		putLen(dst, at)

		dst = be32(dst, sflowGateway)
		at = len(dst)
		dst = be32(dst, 0)
		dst = sflowAddress(dst, f)
		dst = be32(dst, HomeAS)
		dst = be32(dst, f.SrcAS)
		dst = be32(dst, f.SrcAS) // its peer
		if f.DstAS != 0 {
			dst = be32(dst, 1) // one segment
			dst = be32(dst, 2) // a sequence
			dst = be32(dst, 2)
			dst = be32(dst, 64496)
			dst = be32(dst, f.DstAS)
		} else {
			dst = be32(dst, 0)
		}
		dst = be32(dst, 1) // communities
		dst = be32(dst, HomeAS<<16|100)
		dst = be32(dst, 100) // local preference
		putLen(dst, at)
	}
	putLen(dst, length)
	return dst
}

// sflowAddress appends the next hop with its type.
func sflowAddress(dst []byte, f *Flow) []byte {
	if f.NextHop.Is6() {
		return addr16(be32(dst, 2), f.NextHop)
	}
	return addr4(be32(dst, 1), f.NextHop)
}

func (x *sflowEncoder) counterSample(e *Exporter, dst []byte, now time.Time) []byte {
	i := x.turn
	x.turn = (x.turn + 1) % len(x.sources)
	s, port := &x.sources[i], &e.Interfaces[i]
	if s.counted.IsZero() {
		s.counted = e.boot
	}
	// A tenth of the line in, a quarter out.
	octets := uint64(now.Sub(s.counted).Seconds() * float64(port.Speed) / 80)
	s.in.octets += octets
	s.in.packets += octets / 700
	s.in.multicast += octets / 90000
	s.in.broadcast += octets / 120000
	s.out.octets += octets * 5 / 2
	s.out.packets += octets * 5 / 2 / 900
	s.out.multicast += octets / 80000
	s.out.broadcast += octets / 110000
	s.counted = now
	s.counterSequence++

	if x.expanded {
		dst = be32(dst, sflowExpandedCounter)
	} else {
		dst = be32(dst, sflowCounterSample)
	}
	length := len(dst)
	dst = be32(dst, 0)
	dst = be32(dst, s.counterSequence)
	if x.expanded {
		dst = be32(dst, 0)
	}
	dst = be32(dst, port.Index)
	dst = be32(dst, 2)

	dst = be32(dst, sflowInterface)
	dst = be32(dst, 88)
	dst = be32(dst, port.Index)
	dst = be32(dst, 6) // ethernetCsmacd
	dst = be64(dst, port.Speed)
	dst = be32(dst, 1) // full duplex
	dst = be32(dst, 3) // up
	dst = be64(dst, s.in.octets)
	dst = be32(dst, uint32(s.in.packets))
	dst = be32(dst, uint32(s.in.multicast))
	dst = be32(dst, uint32(s.in.broadcast))
	dst = be32(dst, 0)
	dst = be32(dst, 0)
	dst = be32(dst, 0)
	dst = be64(dst, s.out.octets)
	dst = be32(dst, uint32(s.out.packets))
	dst = be32(dst, uint32(s.out.multicast))
	dst = be32(dst, uint32(s.out.broadcast))
	dst = be32(dst, 0)
	dst = be32(dst, 0)
	dst = be32(dst, 0)

	dst = be32(dst, sflowEthernet)
	dst = be32(dst, 52)
	dst = append(dst, zeros[:52]...)
	putLen(dst, length)
	return dst
}

// appendPacket appends the first octets, most limit, of an Ethernet frame of the flow and returns the frame's whole size
// without its checksum.
func appendPacket(dst []byte, rng *rand.Rand, f *Flow, limit int) ([]byte, int) {
	start := len(dst)
	dst = append(dst, f.DstMAC[:]...)
	dst = append(dst, f.SrcMAC[:]...)
	if f.VLAN != 0 {
		dst = be16(dst, 0x8100)
		dst = be16(dst, int(f.TOS>>5)<<13|int(f.VLAN))
	}
	etherType := 0x0800
	if f.Src.Is6() {
		etherType = 0x86dd
	}
	dst = be16(dst, etherType)

	headers := f.headers()
	length := max(int(f.Bytes/max(f.Packets, 1)), headers) // octets from the IP header on
	ip := len(dst)
	if f.Src.Is6() {
		dst = be32(dst, 6<<28|uint32(f.TOS)<<20|f.Label)
		dst = be16(dst, length-40)
		dst = append(dst, f.Proto, f.TTL)
		dst = addr16(dst, f.Src)
		dst = addr16(dst, f.Dst)
	} else {
		dst = append(dst, 0x45, f.TOS)
		dst = be16(dst, length)
		dst = be16(dst, int(rng.Uint32()&0xffff))
		dst = be16(dst, 0x4000) // do not fragment
		dst = append(dst, f.TTL, f.Proto)
		dst = be16(dst, 0)
		dst = addr4(dst, f.Src)
		dst = addr4(dst, f.Dst)
		put16(dst[ip+10:], int(checksum(dst[ip:])))
	}
	switch f.Proto {
	case protoTCP:
		dst = be16(dst, int(f.SrcPort))
		dst = be16(dst, int(f.DstPort))
		dst = be32(dst, rng.Uint32())
		dst = be32(dst, rng.Uint32())
		// One packet, not all of the flow.
		flags := f.TCPFlags
		if f.Packets > 2 {
			flags = tcpACK
			if length > headers {
				flags |= tcpPSH
			}
		}
		dst = append(dst, 5<<4, flags)
		dst = be16(dst, 502)
		dst = be32(dst, rng.Uint32()&^0xffff) // checksum of data that is not here; no urgent data
	case protoUDP:
		dst = be16(dst, int(f.SrcPort))
		dst = be16(dst, int(f.DstPort))
		dst = be16(dst, length-headers+8)
		dst = be16(dst, int(rng.Uint32()&0xffff))
	default:
		dst = be16(dst, int(f.DstPort)) // type and code
		dst = be16(dst, int(rng.Uint32()&0xffff))
		dst = be32(dst, rng.Uint32())
	}
	size := ip - start + length
	for len(dst)-start < min(size, limit) {
		dst = append(dst, byte(rng.Uint32()))
	}
	for size < 60 {
		if len(dst)-start < limit {
			dst = append(dst, 0)
		}
		size++ // Ethernet's padding
	}
	if len(dst)-start > limit {
		dst = dst[:start+limit]
	}
	return dst, size
}

// checksum is the internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
