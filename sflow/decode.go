package sflow

import (
	"fmt"
	"net/netip"
)

// A Datagram decodes datagrams, one after the other:
//
//	var d sflow.Datagram
//	if err := d.Decode(payload); err != nil { … }
//	for s := d.Next(); s != nil; s = d.Next() { … }
//	if err := d.Err(); err != nil { … }
//
// The payload must stay as it is until the samples have been looked at.
type Datagram struct {
	Agent    netip.Addr // not valid if the agent does not tell
	SubAgent uint32
	Sequence uint32 // counts the datagrams of this sub-agent
	Uptime   uint32 // milliseconds since the agent started
	Samples  uint32 // how many samples it says it has

	// BadSamples and BadRecords count, for this datagram, samples too short to be
	// one, and records that are cut short or whose contents make no sense. They
	// cost only themselves.
	BadSamples, BadRecords int

	rest   cursor
	left   uint32
	err    error
	sample Sample
}

// Decode reads the head of a datagram. Its error wraps [ErrVersion], [ErrTruncated]
// or [ErrMalformed]; then there are no samples.
func (d *Datagram) Decode(payload []byte) error {
	d.BadSamples, d.BadRecords, d.left, d.Samples = 0, 0, 0, 0
	c := cursor{b: payload}
	version := c.u32()
	if !c.bad && version != 5 {
		d.err = fmt.Errorf("%w: it is %d", ErrVersion, version)
		return d.err
	}
	agent := c.u32()
	switch {
	case c.bad || agent == 0:
		d.Agent = netip.Addr{}
	case agent == 1:
		d.Agent = c.ipv4()
	case agent == 2:
		d.Agent = c.ipv6()
	default:
		d.err = fmt.Errorf("%w: agent address of type %d", ErrMalformed, agent)
		return d.err
	}
	d.SubAgent, d.Sequence, d.Uptime = c.u32(), c.u32(), c.u32()
	samples := c.u32()
	if c.bad {
		d.err = ErrTruncated
		return d.err
	}
	d.Samples, d.left = samples, samples
	d.rest, d.err = c, nil
	return nil
}

// Err returns what is wrong with the datagram as far as it was read: it wraps
// [ErrTruncated] if samples are missing that were announced.
func (d *Datagram) Err() error { return d.err }

// Next returns the next sample, or nil if there are no more.
func (d *Datagram) Next() *Sample {
	for d.left > 0 {
		d.left--
		if len(d.rest.b) < 8 {
			d.left, d.err = 0, ErrTruncated
			return nil
		}
		format, length := Format(d.rest.u32()), d.rest.u32()
		cut := uint64(length) > uint64(len(d.rest.b))
		if cut {
			d.left, d.err = 0, ErrTruncated
			length = uint32(len(d.rest.b))
		}
		body := cursor{b: d.rest.bytes(length)}
		s := &d.sample
		s.Truncated = cut
		if d.read(s, format, body) {
			return s
		}
		d.BadSamples++
	}
	return nil
}

// read decodes a sample, and reports whether it is long enough to be one.
func (d *Datagram) read(s *Sample, format Format, c cursor) bool {
	s.Format, s.Kind, s.Has, s.Reason = format, Other, 0, 0
	s.Records = s.Records[:0]
	s.SamplingRate, s.Pool, s.Drops = 0, 0, 0
	s.Input, s.Output = Interface{}, Interface{}
	s.Sequence, s.SourceType, s.SourceIndex = 0, 0, 0
	switch format {
	case FormatFlow:
		s.Kind, s.Sequence = Flow, c.u32()
		s.source(c.u32())
		s.SamplingRate, s.Pool, s.Drops = c.u32(), c.u32(), c.u32()
		s.Input, s.Output = compact(c.u32()), compact(c.u32())
	case FormatExpandedFlow:
		s.Kind, s.Sequence = Flow, c.u32()
		s.SourceType, s.SourceIndex = c.u32(), c.u32()
		s.SamplingRate, s.Pool, s.Drops = c.u32(), c.u32(), c.u32()
		s.Input = Interface{c.u32(), c.u32()}
		s.Output = Interface{c.u32(), c.u32()}
	case FormatCounters:
		s.Kind, s.Sequence = Counters, c.u32()
		s.source(c.u32())
	case FormatExpandedCounters:
		s.Kind, s.Sequence = Counters, c.u32()
		s.SourceType, s.SourceIndex = c.u32(), c.u32()
	case FormatDiscarded:
		s.Kind, s.Sequence = Drop, c.u32()
		s.SourceType, s.SourceIndex = c.u32(), c.u32()
		s.Drops = c.u32()
		s.Input, s.Output = Interface{Value: c.u32()}, Interface{Value: c.u32()}
		s.Reason = DropReason(c.u32())
	default:
		s.Records = append(s.Records, Record{Format: format, Data: c.b})
		return true
	}
	count := c.u32()
	if c.bad {
		return false
	}
	for ; count > 0; count-- {
		f, n := Format(c.u32()), c.u32()
		data := c.bytes(n)
		if c.bad {
			d.BadRecords++
			s.Truncated = true
			break
		}
		s.Records = append(s.Records, Record{Format: f, Data: data})
		if s.Kind != Counters && !s.flowRecord(f, cursor{b: data}) {
			d.BadRecords++
		}
	}
	return true
}

func (s *Sample) source(v uint32) {
	s.SourceType, s.SourceIndex = v>>24, v&0xffffff
}

func compact(v uint32) Interface {
	return Interface{Format: v >> 30, Value: v & 0x3fffffff}
}

// flowRecord decodes a record that is known, and reports whether it was whole.
// What a record says beyond what is known of it is passed over.
func (s *Sample) flowRecord(f Format, c cursor) bool {
	var has Has
	switch f {
	case FormatHeader:
		has = HasHeader
		h := &s.Header
		h.Protocol, h.FrameLength, h.Stripped = c.u32(), c.u32(), c.u32()
		n := c.u32()
		if uint64(n) > uint64(len(c.b)) {
			// The record itself is whole, so this length is a lie.
			n = uint32(len(c.b))
		}
		h.Data = c.bytes(n)
	case FormatEthernet:
		has = HasEthernet
		s.Ethernet = SampledEthernet{Length: c.u32(), Src: c.mac(), Dst: c.mac(), Type: c.u32()}
	case FormatIPv4, FormatIPv6:
		has = HasIP
		p := &s.IP
		p.Length, p.Proto = c.u32(), c.u32()
		if f == FormatIPv4 {
			p.Src, p.Dst = c.ipv4(), c.ipv4()
		} else {
			p.Src, p.Dst = c.ipv6(), c.ipv6()
		}
		p.SrcPort, p.DstPort, p.TCPFlags, p.TOS = c.u32(), c.u32(), c.u32(), c.u32()
	case FormatSwitch:
		has = HasSwitch
		s.Switch = Switch{c.u32(), c.u32(), c.u32(), c.u32()}
	case FormatRouter:
		has = HasRouter
		s.Router = Router{c.address(), c.u32(), c.u32()}
	case FormatGateway:
		has = HasGateway
		s.Gateway.read(&c)
	case FormatUser:
		has = HasUser
		s.User = User{SrcCharset: c.u32(), Src: c.opaque(), DstCharset: c.u32(), Dst: c.opaque()}
	case FormatMPLS:
		has = HasMPLS
		s.MPLS.NextHop = c.address()
		s.MPLS.In = c.words(s.MPLS.In[:0], c.u32())
		s.MPLS.Out = c.words(s.MPLS.Out[:0], c.u32())
	case FormatNAT:
		has = HasNAT
		s.NAT = NAT{c.address(), c.address()}
	case FormatNATPort:
		has = HasNATPort
		s.NATPort = NATPort{c.u32(), c.u32()}
	case FormatEgressQueue:
		has = HasEgressQueue
		s.EgressQueue = c.u32()
	case FormatACL:
		has = HasACL
		s.ACL = ACL{Number: c.u32(), Name: c.opaque(), Direction: c.u32()}
	case FormatFunction:
		has = HasFunction
		s.Function = c.opaque()
	default:
		return true
	}
	if c.bad {
		s.Has &^= has
		return false
	}
	s.Has |= has
	return true
}

func (g *Gateway) read(c *cursor) {
	g.NextHop = c.address()
	g.AS, g.SrcAS, g.SrcPeerAS = c.u32(), c.u32(), c.u32()
	g.Path, g.Segments = g.Path[:0], g.Segments[:0]
	for n := c.u32(); n > 0 && !c.bad; n-- {
		kind, count := c.u32(), c.u32()
		before := len(g.Path)
		g.Path = c.words(g.Path, count)
		if !c.bad {
			g.Segments = append(g.Segments, PathSegment{kind, len(g.Path) - before})
		}
	}
	g.Communities = c.words(g.Communities[:0], c.u32())
	g.LocalPref = c.u32()
}
