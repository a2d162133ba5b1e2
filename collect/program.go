package collect

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/packet"
)

// op is one step of a program: what to do with one field of a data record.
type op struct {
	kind  opKind
	field flow.Field
	index uint16 // of the field in the template
	off   uint16 // of the value in a record of fixed length
	width uint16
	extra uint16 // of opExtra: which of the program's
}

// program reads the data records of one template. It is compiled when the
// template arrives and does not change.
type program struct {
	template *ipfix.Template
	plain    plain
	ops      []op // what is not plain
	extras   []extraOp
	certain  flow.FieldSet // fields that every record has
	etype    uint16        // what the addresses of the template imply, 0 where they differ
	after    after

	port       atomic.Int32  // source port that announced the template last
	generation atomic.Uint64 // when, in template announcements to the decoder
	heard      atomic.Int64  // when, in seconds since the epoch
	live       atomic.Bool   // since the start, not only before
}

// announced notes that the exporter sent the template.
func (p *program) announced(generation uint64, port uint16, now int64) {
	p.generation.Store(generation)
	p.port.Store(int32(port))
	p.heard.Store(now)
	p.live.Store(true)
}

// after is the work that is left when all fields have been read, as a set of
// bits: most templates need little of it.
type after uint8

const (
	afterCounters after = 1 << iota // bytes and packets may come from their substitutes
	afterTimes                      // start or end may come from other times
	afterSampler                    // the sampling rate hangs on a sampler id
	afterVLAN                       // vlan_id repeats src_vlan, as goflow2 has it
)

// compile turns a template into a program. Elements in named become extra fields.
func compile(version uint16, t *ipfix.Template, named map[ipfix.ElementID]*flow.Extra) *program {
	p := &program{template: t}
	extras := extraFields{named: named}
	best := make(map[flow.Field]uint8)
	families := [2]bool{}
	has := make(map[flow.Field]bool)
	for _, f := range t.Fields {
		tg, ok := lookupTarget(version, f.ElementID)
		if !ok || !fits(tg.kind, f.Length) {
			continue
		}
		has[tg.field] = true
		best[tg.field] = max(best[tg.field], tg.rank)
		if tg.field == flow.SrcAddr || tg.field == flow.DstAddr {
			families[0] = families[0] || tg.kind == opAddr4
			families[1] = families[1] || tg.kind == opAddr6
		}
	}
	if families[0] || families[1] {
		// Addresses tell better than ethernetType(256), where routers have the
		// type of the layer below, if not octets of something else.
		best[flow.Etype] = max(best[flow.Etype], rankOfAddresses)
	}
	var late []op // what needs values of other fields first
	off := 0
	for i, f := range t.Fields {
		tg, ok := lookupTarget(version, f.ElementID)
		switch {
		case f.Length == 0:
			continue
		case !ok || !fits(tg.kind, f.Length):
			tg.kind = opElement
		case tg.rank != 0 && tg.rank < best[tg.field]:
			tg.kind = opElement
		}
		o := op{kind: tg.kind, field: tg.field, index: uint16(i), off: uint16(off), width: f.Length}
		if f.Length != ipfix.VariableLength {
			off += int(f.Length)
		}
		// An extra field takes the place of the element, or stands beside the
		// field of the table that the element has.
		if x := extras.of(version, f.ElementID, o.kind == opElement); x != nil && (f.Length == ipfix.VariableLength || fitsExtra(x.Type(), f.Length)) {
			p.addExtra(o, x, f.ElementID)
			if o.kind == opElement {
				continue
			}
		}
		switch o.kind {
		case opSkip:
			continue
		case opUint:
			o.kind = exactUint(f.Length)
		case opAddr4, opAddr6:
			if families[0] && families[1] {
				o.kind += opEither4 - opAddr4
			}
		case opUptime, opDurationMillis, opDurationMicros, opFrame:
			if o.kind == opUptime && version == 9 && o.width == 4 {
				o.kind = opUptime9
				break
			}
			p.after |= afterTimes
			late = append(late, o)
			continue
		case opMillis:
			if o.width == 8 {
				o.kind = opMillis8
			}
		case opInterval, opSpace:
			p.after |= afterSampler
		}
		if o.kind <= opUptime9 {
			p.certain.Add(o.field)
		}
		p.ops = append(p.ops, o)
	}
	p.ops = p.plain.take(t, append(p.ops, late...))
	if families[0] != families[1] {
		p.etype = flow.EtypeIPv4
		if families[1] {
			p.etype = flow.EtypeIPv6
		}
	}
	if has[flow.OutBytes] || has[flow.BytesTotal] || has[flow.InitiatorBytes] || has[flow.OutPackets] || has[flow.PacketsTotal] || has[flow.InitiatorPackets] {
		p.after |= afterCounters
	}
	if !has[flow.TimeFlowStart] || !has[flow.TimeFlowEnd] {
		p.after |= afterTimes
	}
	if has[flow.SamplerID] {
		p.after |= afterSampler
	}
	if has[flow.SrcVLAN] || has[flow.PostDstMAC] {
		p.after |= afterVLAN
	}
	return p
}

// addExtra adds the reading of an extra field.
func (p *program) addExtra(o op, x *flow.Extra, id ipfix.ElementID) {
	o.kind, o.extra = opExtra, uint16(len(p.extras))
	e, _ := ipfix.LookupElement(id.Enterprise, id.ID)
	p.extras = append(p.extras, extraOp{x, e.Type})
	p.ops = append(p.ops, o)
}

// fits reports whether a value of n octets can be read as kind; one that cannot
// is kept as an element.
func fits(kind opKind, n uint16) bool {
	switch kind {
	case opUint, opMPLS, opICMP, opRate, opInterval, opSpace, opSeconds, opMillis, opBefore, opUptime, opInit,
		opDurationMillis, opDurationMicros, opFragFlags, opIPVersion, opFrameSize:
		return n >= 1 && n <= 8
	case opAddr4:
		return n == 4
	case opAddr6:
		return n == 16
	case opNTP:
		return n == 8
	case opListAddr:
		return n == 4 || n == 16
	}
	return true
}

func exactUint(n uint16) opKind {
	switch n {
	case 1:
		return opUint1
	case 2:
		return opUint2
	case 4:
		return opUint4
	case 8:
		return opUint8
	}
	return opUint
}

// readUint reads a big-endian number of up to 8 octets (RFC 7011, 6.2: reduced
// size encoding).
func readUint(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// export is what a datagram's header says about its records.
type export struct {
	version uint16
	timeNs  uint64 // export time, ns since the epoch
	bootNs  uint64 // when sysUptime was zero, ns since the epoch; 0: not known
	uptime  uint32 // ms, NetFlow v9
}

// registers hold what is read from a record but is no field of its own.
type registers struct {
	rate, interval, space uint64
	durationNs, initNs    uint64
}

// run reads one data record into r, which already has the fields that all
// records of the datagram share.
func (p *program) run(rec []byte, values *ipfix.Records, x *export, s *scratch, r *flow.Record) {
	var reg registers
	s.text = s.text[:0]
	r.Mark(p.certain)
	if p.etype != 0 {
		r.SetUint(flow.Etype, uint64(p.etype))
	}
	p.plain.read(rec, x, r)
	variable := p.template.Variable
	for i := range p.ops {
		o := &p.ops[i]
		var v []byte
		if variable {
			v = values.Value(rec, int(o.index))
		} else {
			v = rec[o.off : int(o.off)+int(o.width)]
		}
		switch o.kind {
		case opUint1:
			r.PutUint(o.field, uint64(v[0]))
		case opUint2:
			r.PutUint(o.field, uint64(binary.BigEndian.Uint16(v)))
		case opUint4:
			r.PutUint(o.field, uint64(binary.BigEndian.Uint32(v)))
		case opUint8:
			r.PutUint(o.field, binary.BigEndian.Uint64(v))
		case opUint:
			r.PutUint(o.field, readUint(v))
		case opAddr4:
			r.PutAddr4(o.field, [4]byte(v))
		case opAddr6:
			r.PutAddr16(o.field, [16]byte(v))
		case opElement:
			f := &p.template.Fields[o.index]
			r.AppendElement(f.Enterprise, f.ID, v)
		default:
			p.special(o, v, x, s, &reg, r)
		}
	}
	if p.after != 0 {
		p.finish(x, s, &reg, r)
	}
}

// special does what is less usual.
func (p *program) special(o *op, v []byte, x *export, s *scratch, reg *registers, r *flow.Record) {
	switch o.kind {
	case opEither4, opEither6:
		// The family that is all zero is not the flow's.
		a, _ := netip.AddrFromSlice(v)
		if !r.Has(o.field) || !a.IsUnspecified() {
			r.SetAddr(o.field, a)
			if (o.field == flow.SrcAddr || o.field == flow.DstAddr) && !a.IsUnspecified() {
				r.SetUint(flow.Etype, etypeOf(a))
			}
		}
	case opListAddr:
		if a, ok := netip.AddrFromSlice(v); ok {
			r.AppendAddr(o.field, a)
		}
	case opBytes:
		r.SetBytes(o.field, v)
	case opSeconds:
		r.SetUint(o.field, readUint(v)*1e9)
	case opMillis, opMillis8:
		r.SetUint(o.field, readUint(v)*1e6)
	case opNTP:
		r.SetUint(o.field, ntpToNs(readUint(v)))
	case opBefore:
		r.SetUint(o.field, x.timeNs-readUint(v)*1e3)
	case opUptime, opUptime9:
		if ns, ok := x.uptimeToNs(uint32(readUint(v)), reg.initNs); ok {
			r.SetUint(o.field, ns)
		} else {
			f := &p.template.Fields[o.index]
			r.AppendElement(f.Enterprise, f.ID, v)
		}
	case opInit:
		reg.initNs = readUint(v) * 1e6
	case opDurationMillis:
		reg.durationNs = readUint(v) * 1e6
	case opDurationMicros:
		reg.durationNs = readUint(v) * 1e3
	case opICMP:
		n := readUint(v)
		r.SetUint(flow.ICMPType, n>>8)
		r.SetUint(flow.ICMPCode, n&0xff)
	case opMPLS:
		if n := readUint(v); len(v) == 3 {
			r.AppendUint(o.field, uint32(n>>4)) // 20 bits of label, 3 of class, 1 of stack bottom
		}
	case opFragFlags:
		r.SetUint(o.field, readUint(v)>>5)
	case opIPVersion:
		switch readUint(v) {
		case 4:
			r.SetUint(o.field, flow.EtypeIPv4)
		case 6:
			r.SetUint(o.field, flow.EtypeIPv6)
		}
	case opRate:
		reg.rate = readUint(v)
		if reg.rate != 0 {
			r.SetUint(flow.SamplingRate, reg.rate)
		}
	case opInterval:
		reg.interval = readUint(v)
	case opSpace:
		reg.space = readUint(v)
	case opExtra:
		x := &p.extras[o.extra]
		if p.template.Variable && !fitsExtra(x.field.Type(), uint16(len(v))) || !x.set(v, s, r) {
			f := &p.template.Fields[o.index]
			r.AppendElement(f.Enterprise, f.ID, v)
		}
	case opFrameSize:
		r.SetUint(flow.Bytes, readUint(v))
		r.SetUint(flow.Packets, 1)
	case opFrame:
		_ = s.headers.Decode(packet.LinkEthernet, v) // what could be read is there, whatever the error
		setHeaders(&s.headers, r)
		if !r.Has(flow.Packets) {
			r.SetUint(flow.Packets, 1)
		}
		if !r.Has(flow.Bytes) {
			r.SetUint(flow.Bytes, uint64(len(v)))
		}
	}
}

func etypeOf(a netip.Addr) uint64 {
	if a.Is4() {
		return flow.EtypeIPv4
	}
	return flow.EtypeIPv6
}

// ntpEpoch is the Unix epoch in seconds since 1900 (RFC 5905).
const ntpEpoch = 2208988800

// ntpToNs turns an NTP timestamp into ns since the Unix epoch. Seconds begin anew
// in 2036: those below 2^31 are of the era after that (RFC 5905, 6).
func ntpToNs(v uint64) uint64 {
	seconds := v >> 32
	if seconds < 1<<31 {
		seconds += 1 << 32
	}
	return (seconds-ntpEpoch)*1e9 + (v&0xffffffff)*1e9>>32
}

// uptimeToNs turns a sysUptime of 32 bits into ns since the epoch; false: nothing says
// when it began.
func (x *export) uptimeToNs(ms uint32, initNs uint64) (uint64, bool) {
	switch {
	case x.version == 9:
		return x.uptime9ToNs(ms), true
	case initNs != 0:
		return initNs + uint64(ms)*1e6, true
	case x.bootNs != 0:
		return x.bootNs + uint64(ms)*1e6, true
	}
	return 0, false
}

// uptime9ToNs does so for NetFlow v9. sysUptime wraps every 49.7 days: the difference to
// the header's is taken modulo 2^32 as a signed number, since a flow can end after the
// header was stamped.
func (x *export) uptime9ToNs(ms uint32) uint64 {
	ago := int64(int32(x.uptime - ms))
	return x.timeNs - uint64(ago*1e6)
}

// finish derives fields from others, once all have been read.
func (p *program) finish(x *export, s *scratch, reg *registers, r *flow.Record) {
	if p.after&afterCounters != 0 {
		substitute(r, flow.Bytes, flow.OutBytes, flow.BytesTotal, flow.InitiatorBytes)
		substitute(r, flow.Packets, flow.OutPackets, flow.PacketsTotal, flow.InitiatorPackets)
	}
	if p.after&afterVLAN != 0 {
		if r.Has(flow.SrcVLAN) && !r.Has(flow.VLANID) {
			r.SetUint(flow.VLANID, r.Uint(flow.SrcVLAN))
		}
		substitute(r, flow.DstMAC, flow.PostDstMAC)
	}
	if p.after&afterTimes != 0 {
		p.finishTimes(x, reg, r)
	}
	if p.after&afterSampler != 0 && reg.rate == 0 {
		switch {
		case reg.interval != 0:
			r.SetUint(flow.SamplingRate, (reg.interval+reg.space)/reg.interval)
		case r.Has(flow.SamplerID):
			if rate := s.samplers.rate(r.Uint(flow.SamplerID)); rate != 0 {
				r.SetUint(flow.SamplingRate, rate)
			}
		}
	}
}

// substitute sets f from the first of others that is not zero, if f itself is.
func substitute(r *flow.Record, f flow.Field, others ...flow.Field) {
	if r.Uint(f) != 0 {
		return
	}
	for _, o := range others {
		if v := r.Uint(o); v != 0 {
			r.SetUint(f, v)
			return
		}
	}
}

// finishTimes fills in start and end where the record does not say both: from
// the duration, from the time of an event, from each other, and at last from
// the export time, as goflow2 does.
func (p *program) finishTimes(x *export, reg *registers, r *flow.Record) {
	start, end := r.Has(flow.TimeFlowStart), r.Has(flow.TimeFlowEnd)
	if start && end {
		return
	}
	event := r.Uint(flow.TimeEvent)
	if event == 0 {
		event = x.timeNs
	}
	switch {
	case end:
		r.SetUint(flow.TimeFlowStart, r.Uint(flow.TimeFlowEnd)-reg.durationNs)
	case start && reg.durationNs != 0:
		r.SetUint(flow.TimeFlowEnd, r.Uint(flow.TimeFlowStart)+reg.durationNs)
	case start:
		r.SetUint(flow.TimeFlowEnd, max(event, r.Uint(flow.TimeFlowStart)))
	default:
		r.SetUint(flow.TimeFlowEnd, event)
		r.SetUint(flow.TimeFlowStart, event-reg.durationNs)
	}
}
