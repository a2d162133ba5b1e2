package sflow

import "math"

// A Counter is one number of a counter record. A value of all ones (32 or 64 bits
// by its width) means that the source does not count this.
type Counter struct {
	// Name is as in the specification: that of the MIB object where there is one.
	Name string
	// Value is the number; of a Float, the bits of a float64.
	Value uint64
	Float bool
}

// Float64 returns the number as a float64, be it counted or measured.
func (c Counter) Float64() float64 {
	if c.Float {
		return math.Float64frombits(c.Value)
	}
	return float64(c.Value)
}

// counterField is a field of a counter record: a name and what it takes.
type counterField struct {
	name string
	kind byte // '4' and '8' bytes unsigned, 'f' float, 'm' a MAC address
}

type counterRecord struct {
	name   string
	fields []counterField
}

// CounterName returns the name of a counter record, or "" if it is not known.
func CounterName(f Format) string {
	if r := counterRecordOf(f); r != nil {
		return r.name
	}
	return ""
}

// AppendCounters appends the numbers of a counter record to dst. It returns false
// if the format is not known. A record that ends early gives the numbers that are
// there; one that goes on, as later versions of a structure may, those known.
func AppendCounters(dst []Counter, r Record) ([]Counter, bool) {
	rec := counterRecordOf(r.Format)
	if rec == nil {
		return dst, false
	}
	c := cursor{b: r.Data}
	for _, f := range rec.fields {
		n := Counter{Name: f.name}
		switch f.kind {
		case '8':
			n.Value = c.u64()
		case 'f':
			n.Value, n.Float = math.Float64bits(float64(math.Float32frombits(c.u32()))), true
		case 'm':
			for _, b := range c.mac() {
				n.Value = n.Value<<8 | uint64(b)
			}
		default:
			n.Value = uint64(c.u32())
		}
		if c.bad {
			break
		}
		dst = append(dst, n)
	}
	return dst, true
}

func counterRecordOf(f Format) *counterRecord {
	if f.Enterprise() != 0 {
		return nil
	}
	switch n := f.Number(); {
	case n < 8:
		return linkCounters[n]
	case n == 1001:
		return processorCounters
	case n >= 2002 && n <= 2010:
		return hostCounters[n-2002]
	case n >= 2100 && n <= 2104:
		return virtualCounters[n-2100]
	case n == 2201:
		return httpCounters
	}
	return nil
}

// fields makes fields of names: of four bytes, or, where a mark ends the name, of
// eight ("*"), a float ("~"), or a MAC address ("@").
func fields(names ...string) []counterField {
	out := make([]counterField, 0, len(names))
	for _, n := range names {
		kind := byte('4')
		switch n[len(n)-1] {
		case '*':
			n, kind = n[:len(n)-1], '8'
		case '~':
			n, kind = n[:len(n)-1], 'f'
		case '@':
			n, kind = n[:len(n)-1], 'm'
		}
		out = append(out, counterField{n, kind})
	}
	return out
}
