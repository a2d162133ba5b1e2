package sflow

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
)

// An Encoder builds datagrams by appending to a buffer:
//
//	var e sflow.Encoder
//	e.Start(buf[:0], sflow.Datagram{Agent: agent, Sequence: 1})
//	e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, SamplingRate: 512})
//	e.Header(1, 1518, 4, frame[:128])
//	payload := e.Finish()
//
// It does not bound the datagram: what fits into one is the caller's to know.
type Encoder struct {
	b       []byte
	start   int // where the datagram starts in b
	count   int // where the number of samples stands
	samples uint32
	sample  int // where the open sample's body starts, 0 if none is open
	records int // where its number of records stands
	n       uint32
}

// Start begins a datagram at the end of dst, with agent, sub-agent, sequence
// number and uptime of d.
func (e *Encoder) Start(dst []byte, d Datagram) {
	*e = Encoder{b: dst, start: len(dst)}
	e.u32(5)
	e.address(d.Agent)
	e.u32(d.SubAgent)
	e.u32(d.Sequence)
	e.u32(d.Uptime)
	e.count = len(e.b)
	e.u32(0)
}

// Len returns how long the datagram is so far, in bytes.
func (e *Encoder) Len() int { return len(e.b) - e.start }

// Finish ends the datagram and returns dst with the datagram behind it.
func (e *Encoder) Finish() []byte {
	e.endSample()
	binary.BigEndian.PutUint32(e.b[e.count:], e.samples)
	return e.b
}

// BeginSample begins a sample of s.Format, one of the five that are known, with
// the numbers of s. Its records are those added before the next BeginSample.
func (e *Encoder) BeginSample(s *Sample) {
	e.endSample()
	e.samples++
	e.u32(uint32(s.Format))
	e.u32(0)
	e.sample = len(e.b)
	e.u32(s.Sequence)
	switch s.Format {
	case FormatFlow, FormatCounters:
		e.u32(s.SourceType<<24 | s.SourceIndex&0xffffff)
	default:
		e.u32(s.SourceType)
		e.u32(s.SourceIndex)
	}
	switch s.Format {
	case FormatFlow:
		e.words(s.SamplingRate, s.Pool, s.Drops, s.Input.Raw(), s.Output.Raw())
	case FormatExpandedFlow:
		e.words(s.SamplingRate, s.Pool, s.Drops,
			s.Input.Format, s.Input.Value, s.Output.Format, s.Output.Value)
	case FormatDiscarded:
		e.words(s.Drops, s.Input.Value, s.Output.Value, uint32(s.Reason))
	}
	e.records, e.n = len(e.b), 0
	e.u32(0)
}

func (e *Encoder) endSample() {
	if e.sample == 0 {
		return
	}
	binary.BigEndian.PutUint32(e.b[e.sample-4:], uint32(len(e.b)-e.sample))
	binary.BigEndian.PutUint32(e.b[e.records:], e.n)
	e.sample = 0
}

// Record adds a record of any format, padded to a multiple of four bytes.
func (e *Encoder) Record(f Format, data []byte) {
	e.n++
	e.u32(uint32(f))
	e.u32(uint32(len(data) + -len(data)&3))
	e.b = append(e.b, data...)
	e.b = append(e.b, "\x00\x00\x00"[:-len(data)&3]...)
}

// begin starts a record and returns what end needs.
func (e *Encoder) begin(f Format) int {
	e.n++
	e.u32(uint32(f))
	e.u32(0)
	return len(e.b)
}

func (e *Encoder) end(at int) {
	binary.BigEndian.PutUint32(e.b[at-4:], uint32(len(e.b)-at))
}

// Header adds the start of a sampled packet.
func (e *Encoder) Header(protocol, frameLength, stripped uint32, data []byte) {
	at := e.begin(FormatHeader)
	e.words(protocol, frameLength, stripped)
	e.opaque(data)
	e.end(at)
}

// Ethernet adds the Ethernet header of a sampled packet.
func (e *Encoder) Ethernet(v *SampledEthernet) {
	at := e.begin(FormatEthernet)
	e.u32(v.Length)
	e.b = append(append(e.b, v.Src[:]...), 0, 0)
	e.b = append(append(e.b, v.Dst[:]...), 0, 0)
	e.u32(v.Type)
	e.end(at)
}

// IP adds the IP header of a sampled packet, of the version of its addresses.
func (e *Encoder) IP(v *SampledIP) {
	f := FormatIPv6
	if v.Src.Is4() {
		f = FormatIPv4
	}
	at := e.begin(f)
	e.words(v.Length, v.Proto)
	for _, a := range [2]netip.Addr{v.Src, v.Dst} {
		if f == FormatIPv4 {
			b := a.As4()
			e.b = append(e.b, b[:]...)
		} else {
			b := a.As16()
			e.b = append(e.b, b[:]...)
		}
	}
	e.words(v.SrcPort, v.DstPort, v.TCPFlags, v.TOS)
	e.end(at)
}

// Switch adds extended switch data.
func (e *Encoder) Switch(v Switch) {
	at := e.begin(FormatSwitch)
	e.words(v.SrcVLAN, v.SrcPriority, v.DstVLAN, v.DstPriority)
	e.end(at)
}

// Router adds extended router data.
func (e *Encoder) Router(v Router) {
	at := e.begin(FormatRouter)
	e.address(v.NextHop)
	e.words(v.SrcMask, v.DstMask)
	e.end(at)
}

// Gateway adds extended gateway data. Without Segments, Path is one sequence.
func (e *Encoder) Gateway(v *Gateway) {
	at := e.begin(FormatGateway)
	e.address(v.NextHop)
	e.words(v.AS, v.SrcAS, v.SrcPeerAS)
	segments := v.Segments
	if len(segments) == 0 && len(v.Path) > 0 {
		segments = []PathSegment{{2, len(v.Path)}}
	}
	e.u32(uint32(len(segments)))
	path := v.Path
	for _, s := range segments {
		n := min(s.Count, len(path))
		e.words(s.Type, uint32(n))
		e.words(path[:n]...)
		path = path[n:]
	}
	e.u32(uint32(len(v.Communities)))
	e.words(v.Communities...)
	e.u32(v.LocalPref)
	e.end(at)
}

// User adds extended user data.
func (e *Encoder) User(v *User) {
	at := e.begin(FormatUser)
	e.u32(v.SrcCharset)
	e.opaque(v.Src)
	e.u32(v.DstCharset)
	e.opaque(v.Dst)
	e.end(at)
}

// Words adds a record that consists of numbers of 32 bits: extended NAT ports, an
// egress queue, or counters of an Ethernet interface, for instance.
func (e *Encoder) Words(f Format, v ...uint32) {
	at := e.begin(f)
	e.words(v...)
	e.end(at)
}

// Counters adds a counter record of a known format: its numbers in order, each as
// wide as the format says. It adds nothing, and returns false, if the format is
// not known or has more than numbers. Missing numbers are written as not counted.
func (e *Encoder) Counters(f Format, v ...uint64) bool {
	s := counterStructures[f]
	if s.name == "" || slices.ContainsFunc(s.fields, func(f structField) bool { return f.kind > wireMAC }) {
		return false
	}
	at := e.begin(f)
	for i, f := range s.fields {
		n := uint64(math.MaxUint64)
		if i < len(v) {
			n = v[i]
		}
		switch f.kind {
		case wire64:
			e.words(uint32(n>>32), uint32(n))
		case wireFloat:
			e.u32(math.Float32bits(float32(math.Float64frombits(n))))
		case wireMAC:
			e.words(uint32(n>>16), uint32(n)<<16)
		default:
			e.u32(uint32(n))
		}
	}
	e.end(at)
	return true
}

func (e *Encoder) u32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }

func (e *Encoder) words(v ...uint32) {
	for _, n := range v {
		e.u32(n)
	}
}

func (e *Encoder) opaque(b []byte) {
	e.u32(uint32(len(b)))
	e.b = append(e.b, b...)
	e.b = append(e.b, "\x00\x00\x00"[:-len(b)&3]...)
}

func (e *Encoder) address(a netip.Addr) {
	switch {
	case !a.IsValid():
		e.u32(0)
	case a.Is4():
		e.u32(1)
		b := a.As4()
		e.b = append(e.b, b[:]...)
	default:
		e.u32(2)
		b := a.As16()
		e.b = append(e.b, b[:]...)
	}
}
