package traffic

import (
	"net/netip"
	"time"
)

const variable = 65535

// Enterprise numbers.
const (
	reverse = 29305 // RFC 5103
	ntop    = 35632
)

// template is one of an IPFIX exporter's templates: scopes > 0 makes it an options template.
type template struct {
	id     int
	scopes int
	fields []field
}

// ipfixEncoder writes IPFIX messages (RFC 7011). What kind of device it is decides over the rest.
type ipfixEncoder struct {
	sequence  uint32 // data records, options among them
	messages  uint32
	templates []template
	// options appends sets of options data and returns how many records they have.
	options func(e *Exporter, dst []byte, now time.Time) ([]byte, int)
	// data appends sets of data records and returns how many records they have.
	data func(e *Exporter, dst []byte, now time.Time, room int) ([]byte, int)
}

func (x *ipfixEncoder) datagram(e *Exporter, now time.Time, dst []byte) []byte {
	start := len(dst)
	// RFC 7011, section 3.1.
	dst = be16(dst, 10)
	dst = be16(dst, 0) // length, at the end
	dst = be32(dst, uint32(now.Unix()))
	dst = be32(dst, x.sequence)
	dst = be32(dst, e.Domain)
	if x.messages%templateEvery == 0 {
		for _, options := range [...]bool{false, true} {
			set := len(dst)
			for i := range x.templates {
				t := &x.templates[i]
				if (t.scopes > 0) != options {
					continue
				}
				if len(dst) == set {
					dst = be16(dst, 2+b2i(options))
					dst = be16(dst, 0)
				}
				dst = ipfixTemplate(dst, t)
			}
			if len(dst) > set {
				dst = endSet(dst, set)
			}
		}
		if x.options != nil {
			var n int
			dst, n = x.options(e, dst, now)
			x.sequence += uint32(n)
			e.stats.Options += uint64(n)
		}
	}
	dst, n := x.data(e, dst, now, maxDatagram-(len(dst)-start))
	x.sequence += uint32(n)
	x.messages++
	e.stats.Flows += uint64(n)
	put16(dst[start+2:], len(dst)-start)
	return dst
}

// ipfixTemplate appends a template record (RFC 7011, sections 3.4.1 and 3.4.2.2).
func ipfixTemplate(dst []byte, t *template) []byte {
	dst = be16(dst, t.id)
	dst = be16(dst, len(t.fields))
	if t.scopes > 0 {
		dst = be16(dst, t.scopes)
	}
	for _, f := range t.fields {
		id := int(f.id)
		if f.enterprise != 0 {
			id |= 0x8000
		}
		dst = be16(dst, id)
		dst = be16(dst, int(f.length))
		if f.enterprise != 0 {
			dst = be32(dst, f.enterprise)
		}
	}
	return dst
}

// sets appends flows as one set for IPv4 and one for IPv6, whose template ids follow on each other.
func sets(dst []byte, id int, flows []Flow, record func(dst []byte, f *Flow) []byte) []byte {
	for _, v6 := range [...]bool{false, true} {
		set := len(dst)
		for i := range flows {
			if flows[i].Src.Is6() != v6 {
				continue
			}
			if len(dst) == set {
				dst = be16(dst, id+b2i(v6))
				dst = be16(dst, 0)
			}
			dst = record(dst, &flows[i])
		}
		if len(dst) > set {
			dst = endSet(dst, set)
		}
	}
	return dst
}

// addressFields are the fields that addresses writes.
func addressFields(v6 bool) []field {
	if v6 {
		return []field{{id: 27, length: 16}, {id: 28, length: 16}}
	}
	return []field{{id: 8, length: 4}, {id: 12, length: 4}}
}

func addresses(dst []byte, f *Flow) []byte {
	if f.Src.Is6() {
		return addr16(addr16(dst, f.Src), f.Dst)
	}
	return addr4(addr4(dst, f.Src), f.Dst)
}

// ports are the fields that appendPorts writes.
var ports = []field{{id: 7, length: 2}, {id: 11, length: 2}, {id: 4, length: 1}, {id: 5, length: 1}}

func appendPorts(dst []byte, f *Flow) []byte {
	dst = be16(dst, int(f.SrcPort))
	dst = be16(dst, int(f.DstPort))
	return append(dst, f.Proto, f.TOS)
}

func concat(lists ...[]field) (all []field) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// IPFIXRouter returns an exporter of IPFIX as border routers do it: packets are sampled, flows go in one direction and
// carry BGP's view; options data tell the selector, the names of interfaces and VRFs and the state of the exporting process.
func (n *Network) IPFIXRouter(d Device) *Exporter {
	const (
		v4 = 256 + iota
		v6
		selectors
		interfaces
		vrfs
		process
	)
	common := concat(ports, []field{
		{id: 2, length: 8},
		{id: 1, length: 8},
		{id: 152, length: 8},
		{id: 153, length: 8},
		{id: 10, length: 4},
		{id: 14, length: 4},
		{id: 6, length: 2},
		{id: 16, length: 4},
		{id: 17, length: 4},
		{id: 136, length: 1},
		{id: 61, length: 1},
		{id: 234, length: 4},
		{id: 58, length: 2},
		{id: 302, length: 4},
	})
	fields4 := concat(addressFields(false), []field{{id: 15, length: 4}, {id: 9, length: 1}, {id: 13, length: 1}}, common)
	fields6 := concat(addressFields(true), []field{{id: 62, length: 16}, {id: 29, length: 1}, {id: 30, length: 1}}, common)
	size4, size6 := recordLen(fields4), recordLen(fields6)
	x := &ipfixEncoder{templates: []template{
		{id: v4, fields: fields4},
		{id: v6, fields: fields6},
		// The scope of each comes first.
		{id: selectors, scopes: 1, fields: []field{{id: 302, length: 4}, {id: 304, length: 2}, {id: 305, length: 4}, {id: 306, length: 4}}},
		{id: interfaces, scopes: 1, fields: []field{{id: 10, length: 4}, {id: 82, length: variable}, {id: 83, length: variable}}},
		{id: vrfs, scopes: 1, fields: []field{{id: 234, length: 4}, {id: 236, length: variable}}},
		{id: process, scopes: 1, fields: []field{{id: 144, length: 4}, {id: 41, length: 8}, {id: 40, length: 8}, {id: 42, length: 8}, {id: 160, length: 8}}},
	}}
	x.options = func(e *Exporter, dst []byte, _ time.Time) ([]byte, int) {
		set := len(dst)
		dst = be16(dst, selectors)
		dst = be16(dst, 0)
		dst = be32(dst, samplerID)
		dst = be16(dst, 1) // systematic, by count
		dst = be32(dst, 1)
		dst = be32(dst, e.SamplingRate-1)
		dst = endSet(dst, set)
		set = len(dst)
		dst = be16(dst, interfaces)
		dst = be16(dst, 0)
		for i := range e.Interfaces {
			dst = be32(dst, e.Interfaces[i].Index)
			dst = varText(dst, e.Interfaces[i].Name)
			dst = varText(dst, e.Interfaces[i].Description)
		}
		dst = endSet(dst, set)
		set = len(dst)
		dst = be16(dst, vrfs)
		dst = be16(dst, 0)
		for i, name := range [...]string{"internet", "campus"} {
			dst = be32(dst, uint32(i+1))
			dst = varText(dst, name)
		}
		dst = endSet(dst, set)
		set = len(dst)
		dst = be16(dst, process)
		dst = be16(dst, 0)
		dst = be32(dst, 1)
		dst = be64(dst, e.stats.Datagrams)
		dst = be64(dst, e.stats.Bytes)
		dst = be64(dst, e.stats.Flows)
		dst = be64(dst, uint64(e.boot.UnixMilli()))
		return endSet(dst, set), 1 + len(e.Interfaces) + 2 + 1
	}
	x.data = func(e *Exporter, dst []byte, now time.Time, room int) ([]byte, int) {
		flows := e.fill(now, room, size4, size6)
		return sets(dst, v4, flows, routerRecord), len(flows)
	}
	e := newExporter(n, d, IPFIX, 32, x)
	e.watch.oneWay = true
	return e
}

func routerRecord(dst []byte, f *Flow) []byte {
	dst = addresses(dst, f)
	if f.Src.Is6() {
		dst = addr16(dst, f.NextHop)
	} else {
		dst = addr4(dst, f.NextHop)
	}
	dst = append(dst, f.SrcMask, f.DstMask)
	dst = appendPorts(dst, f)
	dst = be64(dst, f.Packets)
	dst = be64(dst, f.Bytes)
	dst = be64(dst, uint64(f.Start.UnixMilli()))
	dst = be64(dst, uint64(f.End.UnixMilli()))
	dst = be32(dst, f.In)
	dst = be32(dst, f.Out)
	dst = be16(dst, f.TCPFlags)
	dst = be32(dst, f.SrcAS)
	dst = be32(dst, f.DstAS)
	reason := byte(1) // idle timeout
	if f.TCPFlags&(tcpFIN|tcpRST) != 0 {
		reason = 3 // end of flow detected
	}
	dst = append(dst, reason, byte(b2i(f.fromInside)))
	vrf := uint32(1)
	if f.fromInside {
		vrf = 2
	}
	dst = be32(dst, vrf)
	dst = be16(dst, int(f.VLAN))
	return be32(dst, samplerID)
}

// IPFIXFirewall returns an exporter of IPFIX as firewalls do it: biflows with reverse elements (RFC 5103), what address
// translation made of them, and besides a record for each address translation made and undone (RFC 8158).
func (n *Network) IPFIXFirewall(d Device) *Exporter {
	const (
		v4 = 256 + iota
		v6
		nat
	)
	common := concat(ports, []field{
		{id: 2, length: 8},
		{id: 1, length: 8},
		{id: 2, length: 8, enterprise: reverse},
		{id: 1, length: 8, enterprise: reverse},
		{id: 6, length: 1},
		{id: 6, length: 1, enterprise: reverse},
		{id: 154, length: 8},
		{id: 155, length: 8},
		{id: 10, length: 4},
		{id: 14, length: 4},
		{id: 148, length: 8},
		{id: 233, length: 1},
		{id: 239, length: 1},
	})
	fields4 := concat(addressFields(false), common, []field{{id: 225, length: 4}, {id: 227, length: 2}})
	fields6 := concat(addressFields(true), common)
	size4, size6 := recordLen(fields4), recordLen(fields6)
	fieldsNAT := []field{
		{id: 323, length: 8},
		{id: 230, length: 1},
		{id: 229, length: 1},
		{id: 8, length: 4},
		{id: 225, length: 4},
		{id: 7, length: 2},
		{id: 227, length: 2},
		{id: 12, length: 4},
		{id: 11, length: 2},
		{id: 4, length: 1},
		{id: 234, length: 4},
	}
	sizeNAT := recordLen(fieldsNAT)
	x := &ipfixEncoder{templates: []template{{id: v4, fields: fields4}, {id: v6, fields: fields6}, {id: nat, fields: fieldsNAT}}}
	var flowID uint64
	record := func(dst []byte, f *Flow) []byte {
		dst = addresses(dst, f)
		dst = appendPorts(dst, f)
		dst = be64(dst, f.Packets)
		dst = be64(dst, f.Bytes)
		dst = be64(dst, f.ReversePackets)
		dst = be64(dst, f.ReverseBytes)
		dst = append(dst, f.TCPFlags, f.ReverseTCPFlags)
		dst = ntpTime(dst, f.Start)
		dst = ntpTime(dst, f.End)
		dst = be32(dst, f.In)
		dst = be32(dst, f.Out)
		flowID++
		dst = be64(dst, flowID)
		event := byte(2) // deleted
		if f.Denied {
			event = 3
		}
		dst = append(dst, event, 1) // the source started it
		if f.Src.Is4() {
			dst = addr4(dst, translated(f))
			dst = be16(dst, int(f.TranslatedPort))
		}
		return dst
	}
	x.data = func(e *Exporter, dst []byte, now time.Time, room int) ([]byte, int) {
		// Every flow may bring two events.
		flows := e.fill(now, room-7, size4+2*sizeNAT, size6)
		dst = sets(dst, v4, flows, record)
		count, set := len(flows), len(dst)
		for i := range flows {
			f := &flows[i]
			if !f.TranslatedSrc.IsValid() || f.Denied {
				continue
			}
			if len(dst) == set {
				dst = be16(dst, nat)
				dst = be16(dst, 0)
			}
			dst = natRecord(dst, f, f.Start, 4) // NAT44 session create
			dst = natRecord(dst, f, f.End, 5)   // NAT44 session delete
			count += 2
		}
		if len(dst) > set {
			dst = endSet(dst, set)
		}
		return dst, count
	}
	return newExporter(n, d, IPFIX, 16, x)
}

func natRecord(dst []byte, f *Flow, at time.Time, event byte) []byte {
	dst = be64(dst, uint64(at.UnixMilli()))
	dst = append(dst, event, 1) // private realm
	dst = addr4(dst, f.Src)
	dst = addr4(dst, f.TranslatedSrc)
	dst = be16(dst, int(f.SrcPort))
	dst = be16(dst, int(f.TranslatedPort))
	dst = addr4(dst, f.Dst)
	dst = be16(dst, int(f.DstPort))
	dst = append(dst, f.Proto)
	return be32(dst, 2)
}

// ntpTime appends a dateTimeMicroseconds (RFC 7011, section 6.1.9).
func ntpTime(dst []byte, t time.Time) []byte {
	dst = be32(dst, uint32(t.Unix()+2208988800))
	return be32(dst, uint32(uint64(t.Nanosecond())<<32/1e9)&^0x7ff)
}

// IPFIXProbe returns an exporter of IPFIX as probes do it that look into packets: biflows with elements of an enterprise
// and fields of variable length, and a table of applications.
func (n *Network) IPFIXProbe(d Device) *Exporter {
	const (
		v4 = 256 + iota
		v6
		applications
	)
	common := concat(ports, []field{
		{id: 2, length: 4},
		{id: 1, length: 4},
		{id: 24, length: 4},
		{id: 23, length: 4}, // 23, 24: dst->src, as nProbe has it
		{id: 6, length: 1},
		{id: 150, length: 4},
		{id: 151, length: 4},
		{id: 161, length: 4},
		{id: 10, length: 4},
		{id: 14, length: 4},
		{id: 56, length: 6},
		{id: 80, length: 6},
		{id: 52, length: 1},
		{id: 53, length: 1},
		{id: 118, length: 2, enterprise: ntop},
		{id: 125, length: 4, enterprise: ntop},
		{id: 95, length: 4},
		{id: 188, length: variable, enterprise: ntop},
		{id: 205, length: variable, enterprise: ntop},
	})
	fields4, fields6 := concat(addressFields(false), common), concat(addressFields(true), common)
	const names = 40 // room for what the two fields of variable length may hold
	size4, size6 := recordLen(fields4)+names, recordLen(fields6)+names
	x := &ipfixEncoder{templates: []template{
		{id: v4, fields: fields4},
		{id: v6, fields: fields6},
		{id: applications, scopes: 1, fields: []field{{id: 95, length: 4}, {id: 96, length: variable}, {id: 94, length: variable}}},
	}}
	x.options = func(e *Exporter, dst []byte, _ time.Time) ([]byte, int) {
		set, count := len(dst), 0
		dst = be16(dst, applications)
		dst = be16(dst, 0)
		var done [256]bool
		for i := range services {
			s := &services[i]
			if s.l7 == 0 || done[s.l7] {
				continue
			}
			done[s.l7] = true
			dst = be32(dst, applicationID(s.l7))
			dst = varText(dst, s.name)
			dst = varText(dst, "")
			count++
		}
		return endSet(dst, set), count
	}
	x.data = func(e *Exporter, dst []byte, now time.Time, room int) ([]byte, int) {
		flows := e.fill(now, room, size4, size6)
		return sets(dst, v4, flows, probeRecord), len(flows)
	}
	return newExporter(n, d, IPFIX, 24, x)
}

// applicationID is a classification engine (20: nDPI's number within a vendor's namespace) and a selector (RFC 6759).
func applicationID(l7 uint16) uint32 { return 20<<24 | uint32(l7) }

func probeRecord(dst []byte, f *Flow) []byte {
	dst = addresses(dst, f)
	dst = appendPorts(dst, f)
	dst = be32(dst, clamp32(f.Packets))
	dst = be32(dst, clamp32(f.Bytes))
	dst = be32(dst, clamp32(f.ReversePackets))
	dst = be32(dst, clamp32(f.ReverseBytes))
	dst = append(dst, f.TCPFlags|f.ReverseTCPFlags)
	dst = be32(dst, uint32(f.Start.Unix()))
	dst = be32(dst, uint32(f.End.Unix()))
	dst = be32(dst, uint32(f.End.Sub(f.Start).Milliseconds()))
	dst = be32(dst, f.In)
	dst = be32(dst, f.Out)
	dst = append(dst, f.SrcMAC[:]...)
	dst = append(dst, f.DstMAC[:]...)
	dst = append(dst, f.TTL, f.TTL)
	dst = be16(dst, int(f.L7))
	dst = be32(dst, uint32(f.Bytes%97)+1) // application latency in milliseconds
	dst = be32(dst, applicationID(f.L7))
	sni, query := "", ""
	switch f.Service {
	case "https", "quic":
		sni = f.Server
	case "dns":
		query = f.Server
	}
	dst = varText(dst, sni)
	return varText(dst, query)
}

// translated is the source address behind the firewall.
func translated(f *Flow) netip.Addr {
	if f.TranslatedSrc.IsValid() {
		return f.TranslatedSrc
	}
	return f.Src
}
