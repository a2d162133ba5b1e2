package collect_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/tributary-net/tributary/flow"
)

// TestPlaces: a value is found wherever its field stands in a template, be it before, between
// or behind fields of variable length, and the last of two fields counts.
func TestPlaces(t *testing.T) {
	type column struct {
		field
		value []byte
	}
	millis := uint64(exportSecs * 1000)
	ordinary := []column{
		{field{id: 8, length: 4}, cat(ip("10.1.2.3"))},
		{field{id: 62, length: 16}, cat(ip("2001:db8::9"))},
		{field{id: 10, length: 4}, cat(uint32(3))},
		{field{id: 14, length: 2}, cat(uint16(7))},
		{field{id: 1, length: 8}, cat(uint64(1 << 40))},
		{field{id: 2, length: 3}, []byte{1, 2, 3}},
		{field{id: 7, length: 2}, cat(uint16(40000))},
		{field{id: 4, length: 1}, cat(uint8(6))},
		{field{id: 16, length: 4}, cat(uint32(4_200_000_000))},
		{field{id: 152, length: 8}, cat(millis - 60_000)},
		{field{id: 153, length: 8}, cat(millis - 1)},
	}
	want := values{
		flow.SrcAddr: ip("10.1.2.3"), flow.NextHop: ip("2001:db8::9"), flow.InIf: 3, flow.OutIf: 7, flow.Bytes: 1 << 40, flow.Packets: 0x10203,
		flow.SrcPort: 40000, flow.Proto: 6, flow.SrcAS: 4_200_000_000, flow.TimeFlowStart: exportNs - 60e9, flow.TimeFlowEnd: exportNs - 1e6,
	}
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		columns := append([]column(nil), ordinary...)
		r.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
		if r.IntN(3) == 0 { // one that a later one overrides
			columns = append([]column{{field{id: 10, length: 8}, cat(uint64(99))}}, columns...)
		}
		for range r.IntN(4) {
			at := r.IntN(len(columns) + 1)
			text := column{field{id: 82, length: 65535}, []byte("\x04eth0")}
			columns = append(columns[:at:at], append([]column{text}, columns[at:]...)...)
		}
		var fields []field
		var body []byte
		for range 3 {
			for _, c := range columns {
				body = append(body, c.value...)
			}
		}
		for _, c := range columns {
			fields = append(fields, c.field)
		}
		c := newCollector(t)
		for _, rec := range c.want(3, v10{}.with(set(2, template(256, fields...)), set(256, body))) {
			check(t, rec, want)
		}
	})
}
