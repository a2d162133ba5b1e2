package collect

import (
	"cmp"
	"fmt"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/netflow"
)

// decodeFixed decodes NetFlow v1, v5 and v7.
func (d *Decoder) decodeFixed(dg *flow.Datagram, e *exporter, s *scratch) (*domain, error) {
	h, records, err := netflow.ParseHeader(dg.Payload)
	if err != nil && records == nil {
		return nil, err
	}
	r := &s.record
	switch h.Version {
	case 1:
		r.SetUint(flow.FlowSource, uint64(flow.SourceNetFlowV1))
	case 5:
		r.SetUint(flow.Type, uint64(flow.TypeNetFlowV5))
		r.SetUint(flow.FlowSource, uint64(flow.SourceNetFlowV5))
	case 7:
		r.SetUint(flow.FlowSource, uint64(flow.SourceNetFlowV7))
	}
	exportNs := uint64(h.UnixSecs)*1e9 + uint64(h.UnixNsecs)
	engine := uint32(h.EngineType)<<8 | uint32(h.EngineID)
	r.SetUint(flow.SequenceNum, uint64(h.Sequence))
	r.SetUint(flow.SamplingRate, uint64(h.SamplingInterval))
	r.SetUint(flow.TimeExport, exportNs)
	r.SetUint(flow.ObservationDomainID, uint64(engine))
	r.SetUint(flow.Etype, flow.EtypeIPv4)

	n := netflow.RecordLen(h.Version)
	count := uint32(len(records) / n)
	s.mark.number, s.mark.none = h.Sequence, h.Version == 1
	s.mark.uptime, s.mark.hasUptime = h.SysUptime, true
	s.mark.export, s.mark.hasExport = int64(exportNs/1e6), true
	dom := d.domain(e, domainKey{version: h.Version, id: engine}, dg.Exporter.Port(), &s.mark)
	s.units, s.known = count, err == nil
	s.counts.Records = uint64(count)
	names := e.names.Load()
	r.Share()
	x := export{version: 9, timeNs: exportNs, uptime: h.SysUptime}
	var rec netflow.Record
	for ; len(records) >= n; records = records[n:] {
		rec.Decode(h.Version, records)
		r.Rebase()
		setFixed(&rec, h.Version, &x, r)
		names.set(r)
		if err := s.emit(r); err != nil {
			return dom, stopError{err}
		}
	}
	return dom, err
}

func setFixed(rec *netflow.Record, version uint16, x *export, r *flow.Record) {
	r.SetAddr4(flow.SrcAddr, rec.SrcAddr)
	r.SetAddr4(flow.DstAddr, rec.DstAddr)
	r.SetAddr4(flow.NextHop, rec.NextHop)
	r.SetUint(flow.InIf, uint64(rec.Input))
	r.SetUint(flow.OutIf, uint64(rec.Output))
	r.SetUint(flow.Packets, uint64(rec.Packets))
	r.SetUint(flow.Bytes, uint64(rec.Octets))
	start, _ := x.uptimeToNs(rec.First, 0)
	end, _ := x.uptimeToNs(rec.Last, 0)
	r.SetUint(flow.TimeFlowStart, start)
	r.SetUint(flow.TimeFlowEnd, end)
	r.SetUint(flow.SrcPort, uint64(rec.SrcPort))
	r.SetUint(flow.DstPort, uint64(rec.DstPort))
	r.SetUint(flow.TCPFlags, uint64(rec.TCPFlags))
	r.SetUint(flow.Proto, uint64(rec.Proto))
	r.SetUint(flow.IPTos, uint64(rec.Tos))
	if version != 1 {
		r.SetUint(flow.SrcAS, uint64(rec.SrcAS))
		r.SetUint(flow.DstAS, uint64(rec.DstAS))
		r.SetUint(flow.SrcNet, uint64(rec.SrcMask))
		r.SetUint(flow.DstNet, uint64(rec.DstMask))
	}
}

// decodeV9 decodes NetFlow v9. The count in the header is not looked at: some
// exporters say too little there.
func (d *Decoder) decodeV9(dg *flow.Datagram, e *exporter, s *scratch) (*domain, error) {
	h, sets, err := netflow.ParseV9Header(dg.Payload)
	if err != nil {
		return nil, err
	}
	s.export = export{version: 9, timeNs: uint64(h.UnixSecs) * 1e9, uptime: h.SysUptime}
	s.mark.number, s.mark.datagrams, s.mark.sets = h.Sequence, true, sets
	s.mark.uptime, s.mark.hasUptime = h.SysUptime, true
	s.mark.export, s.mark.hasExport = int64(s.export.timeNs/1e6), true
	dom := d.domain(e, domainKey{version: 9, id: h.SourceID}, dg.Exporter.Port(), &s.mark)
	m := message{d: d, e: e, dom: dom, s: s, x: &s.export, port: dg.Exporter.Port(), sequence: h.Sequence, received: dg.Received.UnixNano()}
	err = m.decode(sets)
	s.units = 1
	return dom, err
}

// decodeIPFIX decodes an IPFIX message.
func (d *Decoder) decodeIPFIX(dg *flow.Datagram, e *exporter, s *scratch) (*domain, error) {
	h, sets, err := ipfix.ParseHeader(dg.Payload)
	if err != nil && sets == nil {
		return nil, err
	}
	s.mark.number, s.mark.sets = h.Sequence, sets
	s.mark.export, s.mark.hasExport = int64(h.ExportTime)*1e3, true
	dom := d.domain(e, domainKey{version: ipfix.Version, id: h.Domain}, dg.Exporter.Port(), &s.mark)
	s.export = export{version: ipfix.Version, timeNs: uint64(h.ExportTime) * 1e9}
	m := message{d: d, e: e, dom: dom, s: s, x: &s.export, port: dg.Exporter.Port(), sequence: h.Sequence, received: dg.Received.UnixNano()}
	setsErr := m.decode(sets)
	if _, stop := setsErr.(stopError); stop || err == nil { //nolint:errorlint // made by decode
		err = setsErr
	}
	s.known = err == nil && s.counts.MissingTemplates == 0 && len(s.waiting) == 0
	return dom, err
}

// blank reports whether a NetFlow v9 or IPFIX datagram has no data: some exporters
// send their templates from another port, with numbers of its own.
func (m *mark) blank() bool {
	if m.sets == nil {
		return false
	}
	sets := ipfix.SetsOf(m.sets)
	for set := (ipfix.Set{}); sets.Next(&set); {
		if set.ID >= ipfix.MinDataSetID {
			return false
		}
	}
	return true
}

// message decodes the sets of one NetFlow v9 or IPFIX datagram.
type message struct {
	d    *Decoder
	e    *exporter
	dom  *domain
	s    *scratch
	x    *export
	port uint16
	next int // of the sets that were decoded ahead

	sequence uint32
	received int64 // ns since the epoch
}

// begin sets what all records of the message share.
func (m *message) begin() {
	r := &m.s.record
	m.s.templates = m.dom
	if m.x.version == 9 {
		r.SetUint(flow.Type, uint64(flow.TypeNetFlowV9))
		r.SetUint(flow.FlowSource, uint64(flow.SourceNetFlowV9))
	} else {
		r.SetUint(flow.Type, uint64(flow.TypeIPFIX))
		r.SetUint(flow.FlowSource, uint64(flow.SourceIPFIX))
		m.x.bootNs = m.dom.bootNs.Load()
	}
	r.SetUint(flow.SequenceNum, uint64(m.sequence))
	r.SetUint(flow.ObservationDomainID, uint64(m.dom.key.id))
	r.SetUint(flow.TimeExport, m.x.timeNs)
	m.share()
}

func (m *message) decode(b []byte) error {
	m.begin()
	// Options data that follow the records they speak of come first. A message
	// like that is rare: mostly options have a message of their own.
	if m.optionsBehind(b) {
		m.s.passed = m.s.passed[:0]
		m.next = 0
		err := m.sets(b, options)
		if _, stop := err.(stopError); stop { //nolint:errorlint // never wrapped
			return err
		}
		if e := m.sets(b, templates|records); e != nil {
			err = e
		}
		return err
	}
	return m.sets(b, options|templates|records)
}

// share makes what is known of all records of the message their shared fields.
func (m *message) share() {
	m.s.samplers = samplersOf(m.e, m.dom)
	if rate := m.s.samplers.base(); rate != 0 {
		m.s.record.SetUint(flow.SamplingRate, rate)
	}
	m.s.record.Share()
}

// Parts of a message.
type parts uint8

const (
	options   parts = 1 << iota // options templates and options data
	templates                   // templates of records
	records
)

// optionsBehind reports whether options data follow records in a message, or may
// do so because the message announces an options template.
func (m *message) optionsBehind(b []byte) bool {
	sets, seen := ipfix.SetsOf(b), false
	for set := (ipfix.Set{}); sets.Next(&set); {
		if set.ID < ipfix.MinDataSetID {
			if set.ID == m.optionsTemplateSet() {
				return true
			}
			continue
		}
		if p := m.dom.program(set.ID); p == nil || !p.template.Options {
			seen = true
		} else if seen {
			return true
		}
	}
	return false
}

func (m *message) optionsTemplateSet() uint16 {
	if m.x.version == 9 {
		return netflow.V9OptionsTemplateSetID
	}
	return ipfix.OptionsTemplateSetID
}

// sets decodes the given parts of all sets in b, and returns the first error, or
// the one that ended it.
func (m *message) sets(b []byte, which parts) error {
	sets := ipfix.SetsOf(b)
	var first error
	for i, set := 0, (ipfix.Set{}); sets.Next(&set); i++ {
		err := m.set(i, set, which)
		if _, stop := err.(stopError); stop { //nolint:errorlint // made by set
			return err
		}
		if first == nil {
			first = err
		}
	}
	return cmp.Or(first, sets.Err())
}

// set decodes the i-th set of a message, if it is one of the given parts.
func (m *message) set(i int, set ipfix.Set, which parts) error {
	if set.ID < ipfix.MinDataSetID {
		part := templates
		if set.ID == m.optionsTemplateSet() {
			part = options
		}
		if which&part == 0 {
			return nil
		}
		return m.templates(set)
	}
	p := m.dom.program(set.ID)
	switch {
	case which == options:
		if p == nil || !p.template.Options {
			return nil
		}
		m.s.passed = append(m.s.passed, i)
		return m.options(p.template, set.Body)
	case which&options == 0 && m.ahead(i):
		return nil
	case p == nil:
		m.hold(set)
		return nil
	case p.template.Options: // one that came behind its data, too
		return m.options(p.template, set.Body)
	default:
		return m.records(p, set)
	}
}

// ahead reports whether the i-th set has been decoded ahead of the records.
func (m *message) ahead(i int) bool {
	for m.next < len(m.s.passed) && m.s.passed[m.next] < i {
		m.next++
	}
	return m.next < len(m.s.passed) && m.s.passed[m.next] == i
}

func (m *message) templates(set ipfix.Set) error {
	var stop error
	define := func(t *ipfix.Template) {
		if stop != nil {
			return
		}
		m.s.counts.Templates++
		if t.Withdrawal() {
			m.d.withdraw(m.e, m.dom, t)
			return
		}
		m.d.define(m.e, m.dom, t, m.port, m.received/1e9)
		stop = m.d.release(m.dom, t.ID, m.s)
	}
	var err error
	switch {
	case m.x.version == 9 && set.ID <= netflow.V9OptionsTemplateSetID:
		err = netflow.ParseV9Templates(set, define)
	case m.x.version == ipfix.Version && (set.ID == ipfix.TemplateSetID || set.ID == ipfix.OptionsTemplateSetID):
		err = ipfix.ParseTemplates(set, define)
	default:
		// RFC 7011, 3.3.2: other ids are reserved; such sets are passed over.
		err = fmt.Errorf("set of reserved id %d: %w", set.ID, ipfix.ErrTemplate)
	}
	return cmp.Or(stop, err)
}

func (m *message) records(p *program, set ipfix.Set) error {
	values := &m.s.values
	values.Reset(p.template, set.Body)
	r := &m.s.record
	names := m.e.names.Load()
	if !m.dom.sends.Load() {
		m.dom.sends.Store(true)
	}
	n := uint32(0)
	for rec := values.Next(); rec != nil; rec = values.Next() {
		n++
		r.Rebase()
		r.SetUint(flow.TemplateID, uint64(set.ID))
		p.run(rec, values, m.x, m.s, r)
		if names.interfaces.len()+names.applications.len() > 0 {
			names.set(r)
		}
		if err := m.s.emit(r); err != nil {
			m.s.count(n, nil)
			m.s.counts.Records += uint64(n)
			return stopError{err}
		}
	}
	m.s.counts.Records += uint64(n)
	return m.s.count(n, values.Err())
}

// count counts a data set, its records, and whether it was well formed.
func (s *scratch) count(records uint32, err error) error {
	s.units += records
	s.counts.Sets++
	if err != nil {
		s.counts.SetsMalformed++
	} else {
		s.counts.SetsDecoded++
	}
	return err
}

func (m *message) options(t *ipfix.Template, body []byte) error {
	values := &m.s.values
	values.Reset(t, body)
	found := m.s.options[:0]
	for rec := values.Next(); rec != nil; rec = values.Next() {
		found = append(found, readOption(t, rec, values))
	}
	m.s.counts.Options += uint64(len(found))
	m.d.learn(m.e, m.dom, found, m.received/1e9)
	m.s.record.Rebase()
	m.share()
	m.x.bootNs = m.dom.bootNs.Load()
	clear(found) // they reference the datagram
	m.s.options = found[:0]
	return m.s.count(uint32(len(found)), values.Err())
}
