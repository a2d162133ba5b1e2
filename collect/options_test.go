package collect_test

import (
	"math"
	"testing"

	"github.com/tributary-net/tributary/flow"
)

// value is a field with what a record has in it.
type value struct {
	field
	octets []byte
}

func u(id, length uint16, v uint64) value {
	return value{field{id: id, length: length}, cat(v)[8-length:]}
}

func text(id uint16, text string) value {
	return value{field{id: id, length: uint16(len(text))}, []byte(text)}
}

func split(list []value) (fields []field, octets []byte) {
	for _, v := range list {
		fields = append(fields, v.field)
		octets = append(octets, v.octets...)
	}
	return fields, octets
}

// announce is an IPFIX message with an options template and one options data
// record.
func announce(domain uint32, list ...value) []byte {
	fields, octets := split(list)
	return v10{domain: domain}.with(set(3, optionsTemplate(999, 1, fields...)), set(999, octets))
}

// data is an IPFIX message with a template and one data record.
func data(domain uint32, list ...value) []byte {
	fields, octets := split(list)
	return v10{domain: domain}.with(set(2, template(256, fields...)), set(256, octets))
}

func TestSamplers(t *testing.T) {
	half := func(id, length uint16, v float64) value {
		if length == 4 {
			return u(id, 4, uint64(math.Float32bits(float32(v))))
		}
		return u(id, 8, math.Float64bits(v))
	}
	tests := []struct {
		name    string
		options [][]value
		record  []value
		want    int
	}{
		{"none", nil, nil, 0},
		{"interval without an id", [][]value{{u(149, 4, 0), u(34, 4, 100)}}, nil, 100},
		{"interval without an id, record of an id", [][]value{{u(149, 4, 0), u(34, 4, 100)}}, []value{u(48, 1, 3)}, 100},
		{"the only sampler", [][]value{{u(48, 1, 1), u(34, 4, 100)}}, nil, 100},
		{"sampler id", [][]value{{u(48, 1, 1), u(34, 4, 100)}, {u(48, 1, 2), u(34, 4, 200)}}, []value{u(48, 1, 2)}, 200},
		{"sampler id of another width", [][]value{{u(48, 1, 1), u(34, 4, 100)}, {u(48, 1, 2), u(34, 4, 200)}}, []value{u(48, 4, 1)}, 100},
		{"two samplers, record of none", [][]value{{u(48, 1, 1), u(34, 4, 100)}, {u(48, 1, 2), u(34, 4, 200)}}, nil, 0},
		{"two samplers, record of a third", [][]value{{u(48, 1, 1), u(34, 4, 100)}, {u(48, 1, 2), u(34, 4, 200)}}, []value{u(48, 1, 3)}, 0},
		{"sampler with a new rate", [][]value{{u(48, 1, 1), u(34, 4, 100)}, {u(48, 1, 1), u(34, 4, 300)}}, []value{u(48, 1, 1)}, 300},
		{"random interval", [][]value{{u(48, 2, 1), u(49, 1, 2), u(50, 4, 512)}}, []value{u(48, 2, 1)}, 512},
		{"selector, packet interval and space", [][]value{{u(302, 8, 5), u(304, 2, 1), u(305, 4, 1), u(306, 4, 99)}}, []value{u(302, 8, 5)}, 100},
		{"packet interval of ten", [][]value{{u(302, 8, 5), u(305, 4, 10), u(306, 4, 990)}}, []value{u(302, 8, 5)}, 100},
		{"packet interval alone", [][]value{{u(302, 8, 5), u(305, 4, 1)}}, []value{u(302, 8, 5)}, 1},
		{"size and population", [][]value{{u(302, 8, 5), u(309, 4, 2), u(310, 4, 2000)}}, []value{u(302, 8, 5)}, 1000},
		{"probability of 64 bits", [][]value{{u(302, 8, 5), half(311, 8, 0.01)}}, []value{u(302, 8, 5)}, 100},
		{"probability of 32 bits", [][]value{{u(302, 8, 5), half(311, 4, 0.001)}}, []value{u(302, 8, 5)}, 1000},
		{"probability that is none", [][]value{{u(302, 8, 5), half(311, 8, math.NaN())}, {u(302, 8, 5), half(311, 8, -1)}, {u(302, 8, 5), half(311, 8, 0)}}, []value{u(302, 8, 5)}, 0},
		{"selectors", [][]value{{u(302, 8, 5), u(305, 4, 1), u(306, 4, 99)}, {u(302, 8, 6), u(305, 4, 1), u(306, 4, 199)}}, []value{u(302, 8, 6)}, 200},
		{"record's own interval", [][]value{{u(149, 4, 0), u(34, 4, 100)}}, []value{u(34, 4, 7)}, 7},
		{"record's own interval of zero", [][]value{{u(149, 4, 0), u(34, 4, 100)}}, []value{u(34, 4, 0)}, 100},
		{"record's own packet interval", [][]value{{u(149, 4, 0), u(34, 4, 100)}}, []value{u(305, 4, 1), u(306, 4, 9)}, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCollector(t)
			for _, o := range tt.options {
				c.want(0, announce(1, o...))
			}
			r := c.want(1, data(1, append(tt.record, u(1, 4, 77))...))[0]
			check(t, r, values{flow.SamplingRate: tt.want, flow.Bytes: 77})
		})
	}
}

// TestSamplersV9: options templates of v9 have scopes of their own numbers.
func TestSamplersV9(t *testing.T) {
	c := newCollector(t)
	options := []field{{id: 1, length: 4}, {id: 48, length: 1}, {id: 49, length: 1}, {id: 50, length: 2}}
	record := func(id uint8, rate uint16) []byte { return cat(uint32(0), id, uint8(2), rate) }
	c.want(0, v9{sequence: 0, source: 4}.with(set(1, optionsTemplate9(999, 1, options...)), set(999, record(1, 100), record(2, 200), []byte{0, 0})))
	fields := append([]field{{id: 48, length: 1}}, flowFields...)
	r := c.want(3, v9{sequence: 1, source: 4}.with(set(0, template(256, fields...)), set(256, cat(uint8(1), flowRecord), cat(uint8(2), flowRecord), cat(uint8(3), flowRecord))))
	check(t, r[0], values{flow.SamplingRate: 100, flow.SamplerID: 1})
	check(t, r[1], values{flow.SamplingRate: 200, flow.SamplerID: 2})
	check(t, r[2], values{flow.SamplingRate: 0, flow.SamplerID: 3})
	if s := c.Stats().Total; s.Options != 2 || s.Records != 3 {
		t.Errorf("%d options records, %d records", s.Options, s.Records)
	}
}

// TestSamplersOfOthers: a domain that announces no rates has those of another of
// its exporter, not of another exporter.
func TestSamplersOfOthers(t *testing.T) {
	c := newCollector(t)
	c.want(0, announce(1, u(149, 4, 0), u(34, 4, 100)))
	check(t, c.want(1, data(2, u(1, 4, 1)))[0], values{flow.SamplingRate: 100})
	c.want(0, announce(2, u(149, 4, 0), u(34, 4, 300)))
	check(t, c.want(1, data(2, u(1, 4, 1)))[0], values{flow.SamplingRate: 300})
	check(t, c.want(1, data(1, u(1, 4, 1)))[0], values{flow.SamplingRate: 100})
	check(t, c.wantFrom(otherExporter, 1, data(1, u(1, 4, 1)))[0], values{flow.SamplingRate: 0})
}

// TestOptionsBehindRecords: options data count for all records of their message.
func TestOptionsBehindRecords(t *testing.T) {
	fields, octets := split([]value{u(149, 4, 0), u(34, 4, 100)})
	b := v10{}.with(set(2, template(256, flowFields...)), set(256, flowRecord), set(3, optionsTemplate(999, 1, fields...)), set(999, octets), set(256, flowRecord))
	c := newCollector(t)
	for _, r := range c.want(2, b) {
		check(t, r, values{flow.SamplingRate: 100})
	}
	if s := c.Stats().Total; s.Options != 1 || s.Records != 2 || s.Templates != 2 {
		t.Errorf("%d options records, %d records, %d templates: something was read twice", s.Options, s.Records, s.Templates)
	}
	// So they do when their template came before.
	b = v10{sequence: 3}.with(set(256, flowRecord), set(999, cat(uint32(0), uint32(200))))
	check(t, c.want(1, b)[0], values{flow.SamplingRate: 200})
}

func TestNames(t *testing.T) {
	c := newCollector(t)
	long := "Ethernet1\x00\x00\x00"
	record := []value{u(10, 4, 1), u(14, 4, 2), text(95, "\x03\x00\x00\x50")}
	check(t, c.want(1, data(1, record...))[0], values{flow.InIfName: "", flow.OutIfName: "", flow.ApplicationName: ""})
	c.want(0, announce(1, u(10, 4, 1), text(82, long)))
	c.want(0, announce(7, u(14, 2, 2), text(83, "to the lab")))
	c.want(0, announce(7, u(10, 4, 3), text(82, "Ethernet3"), text(83, "unused")))
	c.want(0, announce(1, text(95, "\x03\x00\x00\x50"), text(96, "http\x00\x00")))
	check(t, c.want(1, data(1, record...))[0], values{flow.InIfName: "Ethernet1", flow.OutIfName: "to the lab", flow.ApplicationName: "http"})
	check(t, c.want(1, data(1, u(10, 4, 3), u(14, 4, 9)))[0], values{flow.InIfName: "Ethernet3", flow.OutIfName: ""})
	// What the record says itself goes first.
	check(t, c.want(1, data(1, append(record, text(96, "mine"))...))[0], values{flow.ApplicationName: "mine"})
	// A new name replaces the old one.
	c.want(0, announce(1, u(10, 4, 1), text(82, "Ethernet1/1")))
	check(t, c.want(1, data(1, record...))[0], values{flow.InIfName: "Ethernet1/1"})
	// Names of one exporter are not those of another.
	check(t, c.wantFrom(otherExporter, 1, data(1, record...))[0], values{flow.InIfName: ""})

	// v9 has a scope for interfaces; v5 and sFlow have names too.
	c = newCollector(t)
	c.want(0, v9{}.with(set(1, optionsTemplate9(999, 1, field{id: 2, length: 4}, field{id: 82, length: 8})), set(999, cat(uint32(3), "Gi0/0/1\x00"))))
	check(t, c.want(1, append(fixedHeader(5, 1, 0, 0), fixedRecord(5, 0, 0)...))[0], values{flow.InIfName: "Gi0/0/1", flow.OutIfName: ""})
}
