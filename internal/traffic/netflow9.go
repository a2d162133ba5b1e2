package traffic

import "time"

// field is a field specifier of a template: an element of an enterprise (0: none) and its length.
type field struct {
	id         uint16
	length     uint16 // 65535: variable
	enterprise uint32
}

// Template ids of the NetFlow v9 exporter.
const (
	v9IPv4 = 256 + iota
	v9IPv6
	v9Samplers
	v9Interfaces
)

// What follows is in the order in which v9Record writes the fields.
var (
	v9IPv4Fields = []field{
		{id: 8, length: 4},
		{id: 12, length: 4},
		{id: 15, length: 4},
		{id: 9, length: 1},
		{id: 13, length: 1},
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
		{id: 61, length: 1},
		{id: 16, length: 4},
		{id: 17, length: 4},
		{id: 48, length: 2},
		{id: 89, length: 1},
		{id: 32, length: 2},
	}
	v9IPv6Fields = []field{
		{id: 27, length: 16},
		{id: 28, length: 16},
		{id: 62, length: 16},
		{id: 29, length: 1},
		{id: 30, length: 1},
		{id: 31, length: 3},
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
		{id: 61, length: 1},
		{id: 16, length: 4},
		{id: 17, length: 4},
		{id: 48, length: 2},
		{id: 89, length: 1},
		{id: 139, length: 2},
	}
	// Scope System, then sampler id, mode, random interval and name.
	v9SamplerFields = []field{{id: 1, length: 4}, {id: 48, length: 2}, {id: 49, length: 1}, {id: 50, length: 4}, {id: 84, length: 16}}
	// Scope Interface, then its name and description.
	v9InterfaceFields = []field{{id: 2, length: 4}, {id: 82, length: 24}, {id: 83, length: 32}}
)

// samplerID is what flow records and the sampler table have in common.
const samplerID = 7

func recordLen(fields []field) int {
	n := 0
	for _, f := range fields {
		if f.length == 65535 {
			n++
		} else {
			n += int(f.length)
		}
	}
	return n
}

// NetFlow9 returns an exporter of NetFlow version 9 (RFC 3954): IPv4 and IPv6 flows in one direction each, and at regular
// intervals its templates, its sampler table and the names of its interfaces.
func (n *Network) NetFlow9(d Device) *Exporter {
	e := newExporter(n, d, NetFlow9, 32, &v9Encoder{})
	e.watch.oneWay = true
	return e
}

type v9Encoder struct {
	sequence uint32 // datagrams
}

func (x *v9Encoder) datagram(e *Exporter, now time.Time, dst []byte) []byte {
	start := len(dst)
	// RFC 3954, section 5.1.
	dst = be16(dst, 9)
	dst = be16(dst, 0) // count, at the end
	dst = be32(dst, uptime(e.boot, now))
	dst = be32(dst, uint32(now.Unix()))
	dst = be32(dst, x.sequence)
	dst = be32(dst, e.Domain)
	count := 0
	if x.sequence%templateEvery == 0 {
		// Sections 5.2 and 6.1.
		set := len(dst)
		dst = be16(dst, 0)
		dst = be16(dst, 0)
		dst = v9Template(dst, v9IPv4, v9IPv4Fields)
		dst = v9Template(dst, v9IPv6, v9IPv6Fields)
		dst = endSet(dst, set)
		set = len(dst)
		dst = be16(dst, 1)
		dst = be16(dst, 0)
		dst = v9OptionsTemplate(dst, v9Samplers, 1, v9SamplerFields)
		dst = v9OptionsTemplate(dst, v9Interfaces, 1, v9InterfaceFields)
		dst = endSet(dst, set)
		count += 4

		set = len(dst)
		dst = be16(dst, v9Samplers)
		dst = be16(dst, 0)
		dst = be32(dst, e.Domain)
		dst = be16(dst, samplerID)
		dst = append(dst, 2) // random
		dst = be32(dst, e.SamplingRate)
		dst = text(dst, "sampler", 16)
		dst = endSet(dst, set)
		set = len(dst)
		dst = be16(dst, v9Interfaces)
		dst = be16(dst, 0)
		for i := range e.Interfaces {
			dst = be32(dst, e.Interfaces[i].Index)
			dst = text(dst, e.Interfaces[i].Name, 24)
			dst = text(dst, e.Interfaces[i].Description, 32)
		}
		dst = endSet(dst, set)
		count += 1 + len(e.Interfaces)
		e.stats.Options += uint64(1 + len(e.Interfaces))
	}
	flows := e.fill(now, maxDatagram-(len(dst)-start), v9SizeIPv4, v9SizeIPv6)
	for _, v6 := range [...]bool{false, true} {
		set, n := len(dst), 0
		for i := range flows {
			f := &flows[i]
			if f.Src.Is6() != v6 {
				continue
			}
			if n == 0 {
				dst = be16(dst, v9IPv4+b2i(v6))
				dst = be16(dst, 0)
			}
			dst = e.v9Record(dst, f)
			n++
		}
		if n > 0 {
			dst = endSet(dst, set)
		}
	}
	put16(dst[start+2:], count+len(flows))
	x.sequence++
	e.stats.Flows += uint64(len(flows))
	return dst
}

var (
	v9SizeIPv4 = recordLen(v9IPv4Fields)
	v9SizeIPv6 = recordLen(v9IPv6Fields)
)

// fill draws as many flows as fit into some octets, given the length of a record of each family; one at least.
func (e *Exporter) fill(now time.Time, room, size4, size6 int) []Flow {
	room -= 2 * (4 + 3) // headers and padding of two sets
	n := 0
	for n < len(e.flows) && (n == 0 || room >= max(size4, size6)) {
		f := &e.flows[n]
		e.watch.next(now, f)
		if f.Src.Is6() {
			room -= size6
		} else {
			room -= size4
		}
		n++
	}
	e.told = e.flows[:n]
	return e.told
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// endSet pads the set that began at start and writes its length.
func endSet(dst []byte, start int) []byte {
	dst = pad4(dst, start)
	put16(dst[start+2:], len(dst)-start)
	return dst
}

func v9Template(dst []byte, id int, fields []field) []byte {
	dst = be16(dst, id)
	dst = be16(dst, len(fields))
	for _, f := range fields {
		dst = be16(dst, int(f.id))
		dst = be16(dst, int(f.length))
	}
	return dst
}

// v9OptionsTemplate appends an options template, whose lengths are in octets (RFC 3954, section 6.1).
func v9OptionsTemplate(dst []byte, id, scopes int, fields []field) []byte {
	dst = be16(dst, id)
	dst = be16(dst, 4*scopes)
	dst = be16(dst, 4*(len(fields)-scopes))
	for _, f := range fields {
		dst = be16(dst, int(f.id))
		dst = be16(dst, int(f.length))
	}
	return dst
}

func (e *Exporter) v9Record(dst []byte, f *Flow) []byte {
	if f.Src.Is6() {
		dst = addr16(dst, f.Src)
		dst = addr16(dst, f.Dst)
		dst = addr16(dst, f.NextHop)
		dst = append(dst, f.SrcMask, f.DstMask)
		dst = be24(dst, f.Label)
	} else {
		dst = addr4(dst, f.Src)
		dst = addr4(dst, f.Dst)
		dst = addr4(dst, f.NextHop)
		dst = append(dst, f.SrcMask, f.DstMask)
	}
	dst = be32(dst, f.In)
	dst = be32(dst, f.Out)
	dst = be32(dst, clamp32(f.Packets))
	dst = be32(dst, clamp32(f.Bytes))
	dst = be32(dst, uptime(e.boot, f.Start))
	dst = be32(dst, uptime(e.boot, f.End))
	dst = be16(dst, int(f.SrcPort))
	dst = be16(dst, int(f.DstPort))
	dst = append(dst, f.TCPFlags, f.Proto, f.TOS, byte(b2i(f.fromInside)))
	dst = be32(dst, f.SrcAS)
	dst = be32(dst, f.DstAS)
	dst = be16(dst, samplerID)
	dst = append(dst, 0x40) // forwarded
	icmp := 0
	if f.Proto == protoICMP || f.Proto == protoICMPv6 {
		icmp = int(f.DstPort)
	}
	return be16(dst, icmp)
}
