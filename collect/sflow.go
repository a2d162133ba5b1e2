package collect

import (
	"fmt"
	"net/netip"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/sflow"
)

// decodeSFlow decodes an sFlow v5 datagram: each flow sample and each notice of
// a discarded packet is one record of one packet.
func (d *Decoder) decodeSFlow(dg *flow.Datagram, e *exporter, s *scratch) (*domain, error) {
	sd := &s.sflow
	if err := sd.Decode(dg.Payload); err != nil {
		return nil, err
	}
	r := &s.record
	r.SetUint(flow.Type, uint64(flow.TypeSFlow5))
	r.SetUint(flow.FlowSource, uint64(flow.SourceSFlow5))
	r.SetUint(flow.SequenceNum, uint64(sd.Sequence))
	r.SetAddr(flow.SamplerAddress, sd.Agent)
	// A sample has no time of its own.
	received := r.Uint(flow.TimeReceived)
	r.SetUint(flow.TimeFlowStart, received)
	r.SetUint(flow.TimeFlowEnd, received)
	r.SetUint(flow.TimeExport, received)
	s.mark.number, s.mark.datagrams = sd.Sequence, true
	s.mark.uptime, s.mark.hasUptime = sd.Uptime, true
	agent := sd.Agent
	if !agent.IsValid() {
		agent = e.addr // it does not tell
	}
	dom := d.domain(e, domainKey{version: sflowVersion, id: sd.SubAgent, agent: agent}, dg.Exporter.Port(), &s.mark)
	s.units = 1
	r.Share()
	for sample := sd.Next(); sample != nil; sample = sd.Next() {
		if sample.Kind != sflow.Other {
			s.sample(sample)
		}
		switch sample.Kind {
		case sflow.Counters:
			s.counts.CounterSamples++
			if d.cfg.Counters != nil {
				s.counterSample(dg, sample)
				d.cfg.Counters(&s.counters)
			}
		case sflow.Other:
			s.counts.OtherSamples++
		case sflow.Flow, sflow.Drop:
			r.Rebase()
			setSample(sample, s, r)
			s.counts.Records++
			if err := s.emit(r); err != nil {
				return dom, stopError{err}
			}
		}
	}
	if err := sd.Err(); err != nil {
		return dom, err
	}
	if head := 24 + sd.Agent.BitLen()/8; sd.Samples == 0 && len(dg.Payload) > head {
		return dom, fmt.Errorf("%d octets in an sflow datagram of no samples: %w", len(dg.Payload)-head, sflow.ErrMalformed)
	}
	if bad := sd.BadSamples + sd.BadRecords; bad > 0 {
		return dom, fmt.Errorf("%d samples or records of an sflow datagram: %w", bad, sflow.ErrMalformed)
	}
	return dom, nil
}

// counterSample fills in what is handed on of a counter sample.
func (s *scratch) counterSample(dg *flow.Datagram, sample *sflow.Sample) {
	sd, c := &s.sflow, &s.counters
	c.Received, c.Agent, c.SubAgent = dg.Received, sd.Agent, sd.SubAgent
	c.Sequence, c.Uptime, c.Sample = sd.Sequence, sd.Uptime, sample
}

// setSample fills r from a flow sample or a notice of a discarded packet.
func setSample(sample *sflow.Sample, s *scratch, r *flow.Record) {
	r.SetUint(flow.SampleSequence, uint64(sample.Sequence))
	r.SetUint(flow.SourceIDType, uint64(sample.SourceType))
	r.SetUint(flow.SourceIDIndex, uint64(sample.SourceIndex))
	r.SetUint(flow.SampleDrops, uint64(sample.Drops))
	r.SetUint(flow.Packets, 1)
	r.SetUint(flow.InIf, uint64(sample.Input.Value))
	if sample.Kind == sflow.Drop {
		r.SetUint(flow.DropReason, uint64(sample.Reason))
	} else {
		r.SetUint(flow.SamplingRate, uint64(sample.SamplingRate))
		r.SetUint(flow.SamplePool, uint64(sample.Pool))
	}
	switch sample.Output.Format {
	case sflow.InterfaceIndex:
		r.SetUint(flow.OutIf, uint64(sample.Output.Value))
	case sflow.InterfaceDiscard:
		r.SetUint(flow.DropReason, uint64(sample.Output.Value))
	}
	if sample.Has&sflow.HasEthernet != 0 {
		eth := &sample.Ethernet
		r.SetUint(flow.SrcMAC, mac(eth.Src))
		r.SetUint(flow.DstMAC, mac(eth.Dst))
		r.SetUint(flow.Etype, uint64(eth.Type))
		r.SetUint(flow.Bytes, uint64(eth.Length))
	}
	if sample.Has&sflow.HasIP != 0 {
		setSampledIP(&sample.IP, r)
	}
	if sample.Has&sflow.HasHeader != 0 {
		r.SetUint(flow.Bytes, uint64(sample.Header.FrameLength))
		if link, ok := sample.Header.Link(); ok {
			_ = s.headers.Decode(link, sample.Header.Data) // what could be read is there, whatever the error
			setHeaders(&s.headers, r)
		}
	}
	if sample.Has != 0 {
		setExtended(sample, r)
	}
	s.text = s.text[:0]
	for _, record := range sample.Records {
		if !covered(record.Format, sample) && !s.structure(record, r) {
			// sFlow formats and IPFIX elements share no numbers: the enterprise
			// is sFlow's, marked by a bit that no registered one has.
			r.AppendElement(elementSFlow|record.Format.Enterprise(), uint16(record.Format.Number()), record.Data)
		}
	}
}

// elementSFlow marks elements that are sFlow records without a field: their
// enterprise has this bit and their id is the number of the format.
const elementSFlow = 1 << 31

// covered reports whether all that a record says is in fields.
func covered(f sflow.Format, sample *sflow.Sample) bool {
	switch f {
	case sflow.FormatHeader:
		_, ok := sample.Header.Link()
		return ok
	case sflow.FormatGateway:
		// A path of several segments, or a set, is more than its numbers.
		g := &sample.Gateway
		return len(g.Segments) == 0 || len(g.Segments) == 1 && g.Segments[0].Type == pathSequence
	case sflow.FormatEthernet, sflow.FormatIPv4, sflow.FormatIPv6, sflow.FormatSwitch, sflow.FormatRouter,
		sflow.FormatNAT, sflow.FormatNATPort:
		return true
	}
	return false
}

// pathSequence is the type of an AS path segment that is ordered.
const pathSequence = 2

func setSampledIP(ip *sflow.SampledIP, r *flow.Record) {
	r.SetAddr(flow.SrcAddr, ip.Src)
	r.SetAddr(flow.DstAddr, ip.Dst)
	r.SetUint(flow.Bytes, uint64(ip.Length))
	r.SetUint(flow.Proto, uint64(ip.Proto))
	r.SetUint(flow.SrcPort, uint64(ip.SrcPort))
	r.SetUint(flow.DstPort, uint64(ip.DstPort))
	r.SetUint(flow.TCPFlags, uint64(ip.TCPFlags))
	r.SetUint(flow.IPTos, uint64(ip.TOS))
	if ip.Src.IsValid() {
		r.SetUint(flow.Etype, etypeOf(ip.Src))
	}
}

// setExtended fills r from the extended records of a sample.
func setExtended(sample *sflow.Sample, r *flow.Record) {
	if sample.Has&sflow.HasSwitch != 0 {
		r.SetUint(flow.SrcVLAN, uint64(sample.Switch.SrcVLAN))
		r.SetUint(flow.DstVLAN, uint64(sample.Switch.DstVLAN))
		appendNonzero(r, extraSrcPriority, sample.Switch.SrcPriority)
		appendNonzero(r, extraDstPriority, sample.Switch.DstPriority)
	}
	if sample.Has&sflow.HasRouter != 0 {
		setAddr(r, flow.NextHop, sample.Router.NextHop)
		r.SetUint(flow.SrcNet, uint64(sample.Router.SrcMask))
		r.SetUint(flow.DstNet, uint64(sample.Router.DstMask))
	}
	if sample.Has&sflow.HasGateway != 0 {
		setGateway(&sample.Gateway, r)
	}
	if sample.Has&sflow.HasUser != 0 && len(sample.User.Src) > 0 {
		r.SetBytes(flow.UserName, sample.User.Src)
	}
	if sample.Has&sflow.HasNAT != 0 {
		setAddr(r, flow.PostNATSrcAddr, sample.NAT.Src)
		setAddr(r, flow.PostNATDstAddr, sample.NAT.Dst)
	}
	if sample.Has&sflow.HasNATPort != 0 {
		r.SetUint(flow.PostNATSrcPort, uint64(sample.NATPort.Src))
		r.SetUint(flow.PostNATDstPort, uint64(sample.NATPort.Dst))
	}
}

// appendNonzero adds an extra field that says nothing when it is zero.
func appendNonzero(r *flow.Record, e *flow.Extra, v uint32) {
	if v != 0 {
		r.AppendExtra(e, uint64(v))
	}
}

func setAddr(r *flow.Record, f flow.Field, a netip.Addr) {
	if a.IsValid() {
		r.SetAddr(f, a)
	}
}

// setGateway takes the ends of the AS path as goflow2 does.
func setGateway(g *sflow.Gateway, r *flow.Record) {
	setAddr(r, flow.BGPNextHop, g.NextHop)
	r.SetUint(flow.DstAS, uint64(g.AS))
	for i, as := range g.Path {
		if i == 0 {
			r.SetUint(flow.NextHopAS, uint64(as))
		}
		r.SetUint(flow.DstAS, uint64(as))
		r.AppendUint(flow.ASPath, as)
	}
	for _, c := range g.Communities {
		r.AppendUint(flow.BGPCommunities, c)
	}
	r.SetUint(flow.SrcAS, uint64(g.SrcAS))
	if g.SrcAS == 0 {
		r.SetUint(flow.SrcAS, uint64(g.AS))
	}
	appendNonzero(r, extraSrcPeerAS, g.SrcPeerAS)
	appendNonzero(r, extraLocalPref, g.LocalPref)
}
