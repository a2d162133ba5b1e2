package collect

import (
	"cmp"
	"fmt"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/netflow"
)

// decodeFixed decodes NetFlow v1, v5 and v7.
func (d *Decoder) decodeFixed(dg *flow.Datagram, e *exporter, s *scratch) error {
	h, records, err := netflow.ParseHeader(dg.Payload)
	if err != nil && records == nil {
		return err
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
	dom := d.domain(e, domainKey{version: h.Version, id: engine}, dg.Exporter.Port(), h.Sequence)
	if h.Version != 1 { // which has no sequence numbers
		dom.observe(h.Sequence, count, err == nil, &e.count)
	}
	e.count.records.Add(uint64(count))
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
			return stopError{err}
		}
	}
	return err
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
func (d *Decoder) decodeV9(dg *flow.Datagram, e *exporter, s *scratch) error {
	h, sets, err := netflow.ParseV9Header(dg.Payload)
	if err != nil {
		return err
	}
	s.export = export{version: 9, timeNs: uint64(h.UnixSecs) * 1e9, uptime: h.SysUptime}
	dom := d.domain(e, domainKey{version: 9, id: h.SourceID}, dg.Exporter.Port(), h.Sequence)
	dom.observe(h.Sequence, 1, true, &e.count)
	m := message{d: d, e: e, dom: dom, s: s, x: &s.export, port: dg.Exporter.Port(), sequence: h.Sequence, received: dg.Received.UnixNano()}
	return m.decode(sets)
}

// decodeIPFIX decodes an IPFIX message.
func (d *Decoder) decodeIPFIX(dg *flow.Datagram, e *exporter, s *scratch) error {
	h, sets, err := ipfix.ParseHeader(dg.Payload)
	if err != nil && sets == nil {
		return err
	}
	dom := d.domain(e, domainKey{version: ipfix.Version, id: h.Domain}, dg.Exporter.Port(), h.Sequence)
	s.export = export{version: ipfix.Version, timeNs: uint64(h.ExportTime) * 1e9}
	m := message{d: d, e: e, dom: dom, s: s, x: &s.export, port: dg.Exporter.Port(), sequence: h.Sequence, received: dg.Received.UnixNano()}
	mErr := m.decode(sets)
	dom.observe(h.Sequence, m.units, m.unknown == 0 && mErr == nil && err == nil, &e.count)
	if err == nil {
		err = mErr
	}
	return err
}

func (dom *domain) observe(number, units uint32, known bool, c *counters) {
	dom.mu.Lock()
	dom.seq.observe(number, units, known, c)
	dom.mu.Unlock()
}

// message decodes the sets of one NetFlow v9 or IPFIX datagram.
type message struct {
	d    *Decoder
	e    *exporter
	dom  *domain
	s    *scratch
	x    *export
	port uint16

	sequence uint32
	received int64 // ns since the epoch

	units   uint32 // data records, of options too
	unknown int    // data sets that no template describes
}

// begin sets what all records of the message share.
func (m *message) begin() {
	r := &m.s.record
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
		m.s.late = m.s.late[:0]
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
	late := m.s.late
	for i, set := 0, (ipfix.Set{}); sets.Next(&set); i++ {
		which := which
		if set.ID >= ipfix.MinDataSetID {
			// Options data before their options template.
			switch {
			case which == options && m.dom.program(set.ID) == nil:
				m.s.late = append(m.s.late, i)
			case which == templates|records && len(late) > 0 && late[0] == i:
				late = late[1:]
				which |= options
			}
		}
		err := m.set(set, which)
		if _, stop := err.(stopError); stop { //nolint:errorlint // made by set
			return err
		}
		if first == nil {
			first = err
		}
	}
	return cmp.Or(first, sets.Err())
}

func (m *message) set(set ipfix.Set, which parts) error {
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
	case p == nil:
		if which&records != 0 {
			return m.hold(set)
		}
	case p.template.Options:
		if which&options != 0 {
			return m.options(p.template, set.Body)
		}
	case which&records != 0:
		return m.records(p, set)
	}
	return nil
}

func (m *message) templates(set ipfix.Set) error {
	var stop error
	define := func(t *ipfix.Template) {
		if stop != nil {
			return
		}
		m.e.count.templates.Add(1)
		if t.Withdrawal() {
			m.d.withdraw(m.e, m.dom, t)
			return
		}
		m.d.define(m.e, m.dom, t, m.port, m.received/1e9)
		stop = m.d.release(m.dom, t.ID, m.s.emit)
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
			m.count(n)
			return stopError{err}
		}
	}
	m.count(n)
	return values.Err()
}

func (m *message) count(records uint32) {
	m.units += records
	m.e.count.records.Add(uint64(records))
}

func (m *message) options(t *ipfix.Template, body []byte) error {
	values := &m.s.values
	values.Reset(t, body)
	found := m.s.options[:0]
	for rec := values.Next(); rec != nil; rec = values.Next() {
		found = append(found, readOption(t, rec, values))
	}
	m.units += uint32(len(found))
	m.e.count.options.Add(uint64(len(found)))
	m.d.learn(m.e, m.dom, found, m.received/1e9)
	m.s.record.Rebase()
	m.share()
	m.x.bootNs = m.dom.bootNs.Load()
	clear(found) // they reference the datagram
	m.s.options = found[:0]
	return values.Err()
}
