package collect_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/sflow"
)

// routerFields are what ordinary routers report.
var routerFields = []field{
	{id: 8, length: 4},
	{id: 12, length: 4},
	{id: 15, length: 4},
	{id: 10, length: 4},
	{id: 14, length: 4},
	{id: 2, length: 4},
	{id: 1, length: 4},
	{id: 22, length: 4},
	{id: 21, length: 4},
	{id: 7, length: 2},
	{id: 11, length: 2},
	{id: 6, length: 1},
	{id: 4, length: 1},
	{id: 5, length: 1},
	{id: 16, length: 4},
	{id: 17, length: 4},
	{id: 9, length: 1},
	{id: 13, length: 1},
}

func routerRecord(i uint32) []byte {
	return cat(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), netip.AddrFrom4([4]byte{198, 51, 100, byte(i * 7)}), ip("10.0.0.254"),
		uint32(3), uint32(70+i), 1+i*i, 1500*(1+i*i*i), uint32(9_000_000)-60*i, uint32(9_999_000), uint16(40000+i), uint16(443), uint8(0x1b), uint8(6), uint8(0),
		uint32(64500), uint32(4_200_000_000), uint8(24), uint8(16))
}

// load is a protocol's datagrams: one that sets up, and one of 25 records (sFlow:
// 7 samples with headers of 128 octets).
type load struct {
	name           string
	first, payload []byte
	records        int
	elements       []string // extra fields of the configuration
}

func loads() []load {
	var body []byte
	v5 := fixedHeader(5, 25, 10_000_000, 0)
	for i := range uint32(25) {
		body = append(body, routerRecord(i)...)
		v5 = append(v5, fixedRecord(5, 9_000_000, 9_999_000)...)
	}
	fields := append([]field(nil), routerFields...)
	fields[7], fields[8] = field{id: 152, length: 8}, field{id: 153, length: 8}
	var wide []byte
	for i := range uint32(25) {
		r := routerRecord(i)
		wide = append(wide, r[:28]...)
		wide = append(wide, cat(uint64(exportSecs*1000-60_000), uint64(exportSecs*1000-1))...)
		wide = append(wide, r[36:]...)
	}
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), Sequence: 1})
	packet := append(frame(), make([]byte, 128-len(frame()))...)
	for i := range uint32(7) {
		e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, Sequence: i, SamplingRate: 512, Input: sflow.Interface{Value: 3}, Output: sflow.Interface{Value: 4}})
		e.Header(1, 1000, 4, packet)
	}
	variable := append([]field{{id: 82, length: 65535}}, routerFields...)
	var long []byte
	for i := range uint32(25) {
		long = append(append(long, "\x04eth0"...), routerRecord(i)...)
	}
	options := v9{uptime: 10_000_000}.with(set(0, template(256, routerFields...)),
		set(1, optionsTemplate9(998, 1, field{id: 1, length: 4}, field{id: 48, length: 4}, field{id: 34, length: 4}), optionsTemplate9(999, 1, field{id: 2, length: 4}, field{id: 82, length: 4})),
		set(998, cat(uint32(0), uint32(1), uint32(100))), set(999, cat(uint32(3), "eth3", uint32(71), "eth7")))
	var extra []byte
	for i := range uint32(25) {
		extra = append(append(extra, "\x04eth0"...), routerRecord(i)...)
		extra = append(extra, cat(uint64(1e12), uint8(3), "abc", uint8(7), uint8(3), uint16(300), ip("192.0.2.1"))...)
	}
	return []load{
		{"v9-names", options, v9{uptime: 10_000_000}.with(set(256, body)), 25, nil},
		{"v9", v9{uptime: 10_000_000}.with(set(0, template(256, routerFields...))), v9{uptime: 10_000_000}.with(set(256, body)), 25, nil},
		{"IPFIX", v10{}.with(set(2, template(256, fields...))), v10{}.with(set(256, wide)), 25, nil},
		{"IPFIX-variable", v10{}.with(set(2, template(256, variable...))), v10{}.with(set(256, long)), 25, nil},
		{
			"IPFIX-extras", v10{}.with(set(2, template(256, append(slices.Clip(variable), field{id: 7, length: 8, enterprise: 9}, field{id: 8, length: 65535, enterprise: 9}, field{id: 292, length: 65535})...), template(300, field{id: 8, length: 4}))), v10{}.with(set(256, extra)), 25,
			[]string{"interfaceName", "7=port", "9/7=seen:time", "9/8=name:string"},
		},
		{"v5", v5, v5, 25, nil},
		{"sFlow", e.Finish(), e.Finish(), 7, nil},
	}
}

// run decodes a load's datagrams and encodes its records.
func (l *load) run(tb testing.TB, format flow.Format) func() {
	cfg := collect.DefaultDecoderConfig()
	cfg.Elements = elements(tb, l.elements...)
	d := collect.NewDecoder(cfg)
	buf := make([]byte, 0, 1<<16)
	records := 0
	emit := func(r *flow.Record) error {
		records++
		buf = format.Append(buf, r)
		return nil
	}
	dg := flow.Datagram{Exporter: exporter, Received: received, Payload: l.first}
	if err := d.Decode(&dg, emit); err != nil {
		tb.Fatal(err)
	}
	dg.Payload = l.payload
	return func() {
		buf, records = buf[:0], 0
		if err := d.Decode(&dg, emit); err != nil || records != l.records {
			tb.Fatalf("%s: %d records, %v", l.name, records, err)
		}
	}
}

// TestDoesNotAllocate: from datagram to encoded records nothing is allocated in
// steady state.
func TestDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("pools forget under the race detector")
	}
	for _, l := range loads() {
		for _, format := range []flow.Format{flow.Protobuf, flow.ProtobufSingle, flow.JSON, flow.KFlow} {
			run := l.run(t, format)
			run()
			if n := testing.AllocsPerRun(200, run); n != 0 {
				t.Errorf("%s to %s: %v allocations a datagram", l.name, format, n)
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, l := range loads() {
		for _, format := range []flow.Format{flow.Protobuf, flow.JSON, flow.KFlow} {
			b.Run(l.name+"/"+format.String(), func(b *testing.B) {
				run := l.run(b, format)
				b.ReportAllocs()
				b.SetBytes(int64(len(l.payload)))
				for b.Loop() {
					run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*l.records), "ns/flow")
			})
		}
	}
}

// BenchmarkLearn is a start with what a thousand exporters of ten templates each
// have taught.
func BenchmarkLearn(b *testing.B) {
	teacher := collect.NewDecoder(collect.DefaultDecoderConfig())
	for i := range 1000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
		if err := teacher.Decode(&flow.Datagram{Exporter: from, Received: received, Payload: manyTemplates(0, 10, 1, 18)}, nil); err != nil {
			b.Fatal(err)
		}
	}
	var keys, values [][]byte
	for _, exporter := range teacher.Exporters() {
		for _, st := range teacher.State(exporter) {
			value, err := st.MarshalValue()
			if err != nil {
				b.Fatal(err)
			}
			keys, values = append(keys, []byte(st.StateKey.String())), append(values, value)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		d := collect.NewDecoder(collect.DefaultDecoderConfig())
		var states []collect.State
		for i := range keys {
			st, err := collect.ParseState(keys[i], values[i])
			if err != nil {
				b.Fatal(err)
			}
			states = append(states, st)
		}
		if n := d.Learn(states); n != len(states) {
			b.Fatalf("%d of %d learnt", n, len(states))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(keys)), "ns/state")
}

// FuzzDecode decodes any octets twice, behind datagrams that announce templates.
func FuzzDecode(f *testing.F) {
	for _, l := range loads() {
		f.Add(l.first)
		f.Add(l.payload)
	}
	f.Add(announce(1, u(48, 1, 1), u(34, 4, 100), text(82, "eth0"), u(10, 4, 1)))
	f.Add(v9{}.with(set(1, optionsTemplate9(300, 1, field{id: 2, length: 4}, field{id: 82, length: 8})), set(300, cat(uint32(3), "Gi0/0/1\x00"))))
	f.Add(v10{}.with(set(2, template(256)), set(256, flowRecord)))
	f.Add(v10{}.with(set(2, template(256, field{id: 315, length: 65535}, field{id: 293, length: 65535})), set(256, cat(uint8(len(frame())), frame(), uint8(2), "ab"))))
	f.Add(v10{}.with(set(2, template(256, field{id: 1, length: 0})), set(256, flowRecord)))
	nine := v9{}.with(set(0, template(256, routerFields...), template(257, field{id: 1, length: 1})), set(1, optionsTemplate9(258, 1, field{id: 1, length: 4}, field{id: 34, length: 4})))
	ten := v10{}.with(set(2, template(256, routerFields...), template(257, field{id: 82, length: 65535}), template(259, field{id: 315, length: 65535})),
		set(3, optionsTemplate(258, 1, field{id: 149, length: 4}, field{id: 34, length: 4})))
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77")})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters})
	e.Counters(1, 1, 2, 3)
	e.Record(2001, cat(uint32(1), uint32(1), uint32(1), "\x02\x00\x00\x00\x00\x01\x00\x00"))
	e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow})
	e.Record(1041, cat(uint32(2), "l2\x00\x00", uint32(3), "stp"))
	e.Words(1012, 2, 3, 4)
	f.Add(e.Finish())
	named := elements(f, "interfaceName", "7=port:int", "4=proto_name:bool", "8=list_name:ip", "150=begin:time", "56=station:mac", "292=parts", "9/7=seen:float")
	f.Fuzz(func(t *testing.T, b []byte) {
		d := collect.NewDecoder(collect.DecoderConfig{MaxExporters: 2, MaxDomains: 4, MaxTemplates: 16, MaxPorts: 2, MaxNames: 16, Elements: named, Counters: func(s *collect.CounterSample) {
			if text := s.AppendJSON(nil); !json.Valid(text) {
				t.Fatalf("no JSON: %s", text)
			}
			_ = s.AppendProtobuf(nil)
		}})
		var back flow.Record
		most := 0
		records := 0
		for i, payload := range [][]byte{nine, ten, b, b} {
			_ = d.Decode(&flow.Datagram{Exporter: port(uint16(i / 3)), Received: received, Payload: payload}, func(r *flow.Record) error {
				records++
				if err := flow.DecodeProtobuf(flow.AppendProtobuf(nil, r), &back); err != nil {
					t.Fatal(err)
				}
				if text := flow.AppendJSON(nil, r); records < 10 && !json.Valid(text) {
					t.Fatalf("no JSON: %s", text)
				}
				return nil
			})
			if most += mostRecords(payload); records > most { // some may have waited for a template
				t.Fatalf("%d records of %d octets", records, len(payload))
			}
		}
		s := d.Stats()
		malformed := uint64(0)
		for _, n := range s.Total.Malformed {
			malformed += n
		}
		if s.Total.Datagrams != 4 || malformed > 2+s.Total.HeldDecoded || s.Programs > 4*16*2 || s.Octets < 0 || s.Octets > 1<<24 {
			t.Fatalf("stats are %+v", s)
		}
	})
}
