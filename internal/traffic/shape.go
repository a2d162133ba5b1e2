package traffic

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// FlowNumber tells which flow of a [Load] a record is: the load writes the number into source address and source port.
func FlowNumber(src netip.Addr, srcPort uint16) uint64 {
	a := src.Unmap().As4()
	return uint64(srcPort)<<24 | uint64(a[1])<<16 | uint64(a[2])<<8 | uint64(a[3])
}

// maxFlowNumber is how far flow numbers go before they begin again.
const maxFlowNumber = 1<<40 - 1

// loadUptime is the system uptime that every datagram of a load claims. Since export time goes on and uptime does not,
// first and last packet of a flow stay a few seconds before its export without being written anew.
const loadUptime = 100 * time.Hour

// shape says where in a prepared datagram the things stand that differ from one to the next.
type shape struct {
	template []byte // datagram with the templates, none for protocols without
	records  int    // flow records or samples a datagram
	size     int    // length of one, in octets
	first    int    // where the first begins

	secs, nsecs, sequence, domain int  // in the header; -1: not there
	src, port                     int  // in a record
	start, end                    int  // in a record, 64 bits of milliseconds; -1: relative to uptime
	ip                            int  // in a record, the IPv4 header whose checksum needs mending; -1: none
	sample                        int  // in a record, the sample's sequence number; -1: none
	perRecord                     bool // the sequence number counts records
}

// The fields of a load's records: 18 that any router exports.
var (
	loadFields9 = []field{
		{id: 8, length: 4},
		{id: 12, length: 4},
		{id: 15, length: 4},
		{id: 10, length: 4},
		{id: 14, length: 4},
		{id: 2, length: 4},
		{id: 1, length: 4},
		{id: 22, length: 4},
		{id: 21, length: 4},
		{id: 7, length: 2},
		{id: 11, length: 2},
		{id: 6, length: 1},
		{id: 4, length: 1},
		{id: 5, length: 1},
		{id: 16, length: 4},
		{id: 17, length: 4},
		{id: 9, length: 1},
		{id: 13, length: 1},
	}
	loadFields10 = []field{
		{id: 8, length: 4},
		{id: 12, length: 4},
		{id: 15, length: 4},
		{id: 10, length: 4},
		{id: 14, length: 4},
		{id: 2, length: 8},
		{id: 1, length: 8},
		{id: 152, length: 8},
		{id: 153, length: 8},
		{id: 7, length: 2},
		{id: 11, length: 2},
		{id: 6, length: 1},
		{id: 4, length: 1},
		{id: 5, length: 1},
		{id: 16, length: 4},
		{id: 17, length: 4},
		{id: 9, length: 1},
		{id: 13, length: 1},
	}
)

const (
	loadRecords = 25 // of NetFlow and IPFIX
	loadSamples = 7  // of sFlow: what fits Ethernet

	loadSampling = 1024 // packets for each sample
)

func newShape(p Protocol) (shape, error) {
	s := shape{records: loadRecords, nsecs: -1, start: -1, end: -1, ip: -1, sample: -1, src: 0}
	switch p {
	case NetFlow5:
		s.size, s.first = 48, 24
		s.secs, s.nsecs, s.sequence, s.domain, s.port = 8, 12, 16, -1, 32
		s.perRecord = true
	case NetFlow9:
		s.size, s.first = recordLen(loadFields9), 20+4
		s.secs, s.sequence, s.domain, s.port = 8, 12, 16, 36
		s.template = binary.BigEndian.AppendUint16(nil, 9)
		s.template = be16(s.template, 1)
		s.template = be32(s.template, uint32(loadUptime.Milliseconds()))
		s.template = append(s.template, zeros[:12]...)
		set := len(s.template)
		s.template = be32(s.template, 0)
		s.template = v9Template(s.template, 256, loadFields9)
		s.template = endSet(s.template, set)
	case IPFIX:
		s.size, s.first = recordLen(loadFields10), 16+4
		s.secs, s.sequence, s.domain, s.port = 4, 8, 12, 52
		s.start, s.end = 36, 44
		s.perRecord = true
		s.template = be32(nil, 10<<16)
		s.template = append(s.template, zeros[:12]...)
		set := len(s.template)
		s.template = be32(s.template, 2<<16)
		s.template = ipfixTemplate(s.template, &template{id: 256, fields: loadFields10})
		s.template = endSet(s.template, set)
		put16(s.template[2:], len(s.template))
	case SFlow:
		s.records, s.first = loadSamples, 28
		s.secs, s.sequence, s.domain = -1, 16, 12
		s.sample = 8
		// The sampled packet begins after sample, record and header: see build.
		s.size = 40 + 8 + 16 + headerBytes
		s.ip = 40 + 8 + 16 + 14
		s.src, s.port = s.ip+12, s.ip+20
	default:
		return s, fmt.Errorf("no load of %v: choose NetFlow v5, NetFlow v9, IPFIX or sFlow v5", p)
	}
	return s, nil
}

// build prepares one datagram with records of random but ordinary content.
func (s *shape) build(p Protocol, rng *rand.Rand, now time.Time) []byte {
	var b []byte
	up := uint32(loadUptime.Milliseconds())
	switch p {
	case NetFlow5:
		b = be16(b, 5)
		b = be16(b, s.records)
		b = be32(b, up)
		b = append(b, zeros[:16]...)
	case NetFlow9:
		b = be16(b, 9)
		b = be16(b, s.records)
		b = be32(b, up)
		b = append(b, zeros[:12]...)
		b = be16(b, 256)
		b = be16(b, 0)
	case IPFIX:
		b = be16(b, 10)
		b = append(b, zeros[:14]...)
		b = be16(b, 256)
		b = be16(b, 0)
	case SFlow:
		b = be32(b, 5)
		b = be32(b, 1)
		b = append(b, 10, 20, 255, 1)
		b = be32(b, 0)
		b = be32(b, 0)
		b = be32(b, up)
		b = be32(b, uint32(s.records))
	}
	for range s.records {
		packets := uint32(1 + rng.IntN(200))
		f := Flow{
			Src:     netip.AddrFrom4([4]byte{10}),
			Dst:     netip.AddrFrom4([4]byte{198, 18, byte(rng.Uint32()), byte(rng.Uint32())}),
			NextHop: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + rng.IntN(4))}),
			In:      uint32(1 + rng.IntN(48)), Out: uint32(1 + rng.IntN(48)),
			Packets: uint64(packets), Bytes: uint64(packets) * uint64(60+rng.IntN(1400)),
			DstPort: [...]uint16{443, 443, 443, 53, 80, 22, 123, 8443}[rng.IntN(8)],
			Proto:   protoTCP, TCPFlags: tcpSYN | tcpACK | tcpPSH | tcpFIN, TTL: 60,
			SrcAS: uint32(64496 + rng.IntN(14)), DstAS: uint32(65536 + rng.IntN(14)), SrcMask: 24, DstMask: 16,
			SrcMAC: [6]byte{2, 0, 0, 0, 0, 1}, DstMAC: [6]byte{2, 0, 0, 0, 0, 2},
		}
		if f.DstPort == 53 || f.DstPort == 123 {
			f.Proto, f.TCPFlags = protoUDP, 0
		}
		last := up - uint32(rng.IntN(1000))
		first := last - uint32(rng.IntN(30000))
		switch p {
		case SFlow:
			b = s.buildSample(b, rng, &f)
			continue
		case NetFlow5:
			b = addr4(addr4(addr4(b, f.Src), f.Dst), f.NextHop)
			b = be16(be16(b, int(f.In)), int(f.Out))
			b = be32(be32(b, packets), uint32(f.Bytes))
			b = be32(be32(b, first), last)
			b = be16(be16(b, 0), int(f.DstPort))
			b = append(b, 0, f.TCPFlags, f.Proto, f.TOS)
			b = be16(be16(b, int(clampAS(f.SrcAS))), int(clampAS(f.DstAS)))
			b = append(b, f.SrcMask, f.DstMask, 0, 0)
			continue
		}
		b = addr4(addr4(addr4(b, f.Src), f.Dst), f.NextHop)
		b = be32(be32(b, f.In), f.Out)
		if p == NetFlow9 {
			b = be32(be32(b, packets), uint32(f.Bytes))
			b = be32(be32(b, first), last)
		} else {
			b = be64(be64(b, f.Packets), f.Bytes)
			b = be64(b, uint64(now.UnixMilli()))
			b = be64(b, uint64(now.UnixMilli()))
		}
		b = be16(be16(b, 0), int(f.DstPort))
		b = append(b, f.TCPFlags, f.Proto, f.TOS)
		b = be32(be32(b, f.SrcAS), f.DstAS)
		b = append(b, f.SrcMask, f.DstMask)
	}
	switch p {
	case NetFlow9:
		b = endSet(b, 20)
	case IPFIX:
		b = endSet(b, 16)
		put16(b[2:], len(b))
	}
	return b
}

// buildSample appends a flow sample with nothing but the packet's first 128 octets.
func (s *shape) buildSample(b []byte, rng *rand.Rand, f *Flow) []byte {
	b = be32(b, sflowFlowSample)
	b = be32(b, uint32(s.size-8))
	b = be32(b, 0) // sequence
	b = be32(b, 1) // one data source
	b = be32(b, loadSampling)
	b = be32(b, 0) // pool
	b = be32(b, 0)
	b = be32(be32(b, f.In), f.Out)
	b = be32(b, 1)
	b = be32(b, sflowHeader)
	b = be32(b, uint32(s.size-48))
	b = be32(b, 1)
	at := len(b)
	b = be32(b, 0)
	b = be32(b, 4)
	b = be32(b, headerBytes)
	f.Bytes = max(f.Bytes, f.Packets*200) // so that the header is whole
	b, size := appendPacket(b, rng, f, headerBytes)
	put16(b[at+2:], size+4)
	return b
}

// patch gives a prepared datagram its numbers: the flow number of its first record, the sequence number and the time.
func (s *shape) patch(b []byte, flow uint64, sequence, domain uint32, now time.Time) {
	if s.secs >= 0 {
		binary.BigEndian.PutUint32(b[s.secs:], uint32(now.Unix()))
	}
	if s.nsecs >= 0 {
		binary.BigEndian.PutUint32(b[s.nsecs:], uint32(now.Nanosecond()))
	}
	binary.BigEndian.PutUint32(b[s.sequence:], sequence)
	if s.domain >= 0 {
		binary.BigEndian.PutUint32(b[s.domain:], domain)
	} else {
		put16(b[20:], int(domain)) // NetFlow v5: engine type and id
	}
	if len(b) < s.first+s.records*s.size {
		return // the template datagram
	}
	ms := uint64(now.UnixMilli())
	for i := range s.records {
		r := b[s.first+i*s.size:][:s.size]
		binary.BigEndian.PutUint32(r[s.src:], 10<<24|uint32(flow)&0xffffff)
		binary.BigEndian.PutUint16(r[s.port:], uint16(flow>>24))
		flow = (flow + 1) & maxFlowNumber
		if s.start >= 0 {
			binary.BigEndian.PutUint64(r[s.start:], ms-1500)
			binary.BigEndian.PutUint64(r[s.end:], ms-100)
		}
		if s.ip >= 0 {
			ip := r[s.ip : s.ip+20]
			put16(ip[10:], 0)
			put16(ip[10:], int(checksum(ip)))
		}
		if s.sample >= 0 {
			number := (sequence-1)*uint32(s.records) + uint32(i) + 1
			binary.BigEndian.PutUint32(r[s.sample:], number)
			binary.BigEndian.PutUint32(r[s.sample+12:], number*loadSampling) // the pool
		}
	}
}
