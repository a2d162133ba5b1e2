package collect

import (
	"encoding/binary"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
)

// plain is what a program has to do for fields whose values need little more than copying,
// that are always in the same place of a record, seen from its begin or from its end, and that
// no other field of the template has a say in. Those of a kind stand together, so that reading
// them takes no decision for each.
type plain struct {
	head       places // before the first field of variable length, or without one
	tail       places // behind the last
	tailLength int    // of a record, in octets
}

// places are those of the fields of each kind.
type places struct {
	one, two, four, eight []place
	addr4, addr6          []place
	millis, uptime9       []place
}

// place is where a field's value is.
type place struct {
	off   uint16
	field flow.Field
}

// take moves what is plain among the ops of a template to p, and returns the others.
func (p *plain) take(t *ipfix.Template, ops []op) []op {
	first, last := len(t.Fields), -1
	tail, fixed := 0, 0 // octets of fixed length before the tail, and of all
	for i, f := range t.Fields {
		if f.Length == ipfix.VariableLength {
			first, last, tail = min(first, i), i, fixed
		} else {
			fixed += int(f.Length)
		}
	}
	writers := make(map[flow.Field]int)
	for i := range ops {
		writers[ops[i].field]++
	}
	rest := ops[:0]
	for _, o := range ops {
		to, off := &p.head, int(o.off)
		if int(o.index) > last && last >= 0 {
			to, off = &p.tail, off-tail
			p.tailLength = fixed - tail
		}
		between := int(o.index) >= first && int(o.index) <= last
		if kind := to.of(o.kind); kind != nil && writers[o.field] == 1 && !between {
			*kind = append(*kind, place{uint16(off), o.field})
		} else {
			rest = append(rest, o)
		}
	}
	return rest
}

// read reads the values of a record.
func (p *plain) read(rec []byte, x *export, r *flow.Record) {
	p.head.read(rec, x, r)
	if p.tailLength > 0 {
		p.tail.read(rec[len(rec)-p.tailLength:], x, r)
	}
}

// of returns the places of a kind, nil for one that is not plain.
func (p *places) of(kind opKind) *[]place {
	switch kind {
	case opUint1:
		return &p.one
	case opUint2:
		return &p.two
	case opUint4:
		return &p.four
	case opUint8:
		return &p.eight
	case opAddr4:
		return &p.addr4
	case opAddr6:
		return &p.addr6
	case opMillis8:
		return &p.millis
	case opUptime9:
		return &p.uptime9
	}
	return nil
}

// read reads the values from a record or its tail.
func (p *places) read(rec []byte, x *export, r *flow.Record) {
	for _, at := range p.one {
		r.PutUint(at.field, uint64(rec[at.off]))
	}
	for _, at := range p.two {
		r.PutUint(at.field, uint64(binary.BigEndian.Uint16(rec[at.off:])))
	}
	for _, at := range p.four {
		r.PutUint(at.field, uint64(binary.BigEndian.Uint32(rec[at.off:])))
	}
	for _, at := range p.eight {
		r.PutUint(at.field, binary.BigEndian.Uint64(rec[at.off:]))
	}
	for _, at := range p.addr4 {
		r.PutAddr4(at.field, [4]byte(rec[at.off:]))
	}
	for _, at := range p.addr6 {
		r.PutAddr16(at.field, [16]byte(rec[at.off:]))
	}
	for _, at := range p.millis {
		r.PutUint(at.field, binary.BigEndian.Uint64(rec[at.off:])*1e6)
	}
	for _, at := range p.uptime9 {
		r.PutUint(at.field, x.uptime9ToNs(binary.BigEndian.Uint32(rec[at.off:])))
	}
}
