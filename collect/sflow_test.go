package collect_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/sflow"
)

// flowSamples is an sFlow datagram of n flow samples.
func flowSamples(sequence uint32, n int) []byte {
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), SubAgent: 3, Sequence: sequence})
	for i := range n {
		e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, Sequence: uint32(i), SamplingRate: 512, Input: sflow.Interface{Value: 3}, Output: sflow.Interface{Value: 4}})
		e.Header(1, 1000, 4, frame())
	}
	return e.Finish()
}

func TestSFlow(t *testing.T) {
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), SubAgent: 3, Sequence: 9, Uptime: 1000})
	e.BeginSample(&sflow.Sample{
		Format: sflow.FormatFlow, Sequence: 5, SourceType: 0, SourceIndex: 3, SamplingRate: 512, Pool: 5120, Drops: 2,
		Input: sflow.Interface{Value: 3}, Output: sflow.Interface{Value: 4},
	})
	e.Header(1, 1000, 4, frame())
	e.Switch(sflow.Switch{SrcVLAN: 100, DstVLAN: 200})
	e.Router(sflow.Router{NextHop: ip("192.0.2.254"), SrcMask: 24, DstMask: 16})
	e.Gateway(&sflow.Gateway{NextHop: ip("192.0.2.253"), AS: 64500, SrcAS: 0, Path: []uint32{64501, 64502, 64503}, Communities: []uint32{1, 2}})
	e.Record(sflow.Format(4711<<12|7), []byte("mine"))
	e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters, Sequence: 1, SourceIndex: 3})
	e.BeginSample(&sflow.Sample{
		Format: sflow.FormatExpandedFlow, Sequence: 6, SourceType: 1, SourceIndex: 70000, SamplingRate: 256,
		Input: sflow.Interface{Value: 0x40000001}, Output: sflow.Interface{Format: sflow.InterfaceDiscard, Value: 258},
	})
	e.IP(&sflow.SampledIP{Length: 60, Proto: 6, Src: ip("10.0.0.1"), Dst: ip("10.0.0.2"), SrcPort: 1, DstPort: 2, TCPFlags: 0x12, TOS: 0xb8})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatDiscarded, Sequence: 1, SourceIndex: 3, Drops: 7, Input: sflow.Interface{Value: 3}, Reason: 289})
	e.Header(1, 500, 4, frame())

	c := newCollector(t)
	r := c.want(3, e.Finish())
	at := int(received.UnixNano())
	check(t, r[0], values{
		flow.Type: 1, flow.FlowSource: 6, flow.SequenceNum: 9, flow.SamplerAddress: ip("192.0.2.77"), flow.TimeReceived: at,
		flow.TimeFlowStart: at, flow.TimeFlowEnd: at, flow.SamplingRate: 512, flow.SamplePool: 5120, flow.SampleDrops: 2, flow.SampleSequence: 5,
		flow.SourceIDIndex: 3, flow.InIf: 3, flow.OutIf: 4, flow.Packets: 1, flow.Bytes: 1000, flow.SrcAddr: ip("2001:db8::1"), flow.DstPort: 53,
		flow.SrcVLAN: 100, flow.DstVLAN: 200, flow.NextHop: ip("192.0.2.254"), flow.SrcNet: 24, flow.DstNet: 16, flow.BGPNextHop: ip("192.0.2.253"),
		flow.SrcAS: 64500, flow.DstAS: 64503, flow.NextHopAS: 64501, flow.ASPath: []int{64501, 64502, 64503}, flow.BGPCommunities: []int{1, 2},
	})
	if k := r[0].Elements(); len(k) != 1 || k[0].Enterprise != 1<<31|4711 || k[0].ID != 7 || string(k[0].Value) != "mine" {
		t.Errorf("elements are %v, want the record of another enterprise", k)
	}
	check(t, r[1], values{
		flow.SamplingRate: 256, flow.SourceIDType: 1, flow.SourceIDIndex: 70000, flow.InIf: 0x40000001, flow.OutIf: 0, flow.DropReason: 258,
		flow.Bytes: 60, flow.Proto: 6, flow.SrcAddr: ip("10.0.0.1"), flow.DstAddr: ip("10.0.0.2"), flow.SrcPort: 1, flow.DstPort: 2,
		flow.TCPFlags: 0x12, flow.IPTos: 0xb8, flow.Etype: flow.EtypeIPv4,
	})
	check(t, r[2], values{flow.DropReason: 289, flow.SampleDrops: 7, flow.InIf: 3, flow.Bytes: 500, flow.SamplingRate: 0, flow.SrcPort: 5000})
	if s := c.Stats().Total; s.CounterSamples != 1 || s.Records != 3 || s.Malformed != ([5]uint64{}) {
		t.Errorf("stats are %+v", s)
	}
}

// TestSFlowAgents: what one address relays of several agents has sequences of its own.
func TestSFlowAgents(t *testing.T) {
	c := newCollector(t)
	for i := range uint32(10) {
		for agent := range byte(3) {
			var e sflow.Encoder
			a := ip("192.0.2.77").As4()
			a[3] += agent / 2
			e.Start(nil, sflow.Datagram{Agent: netip.AddrFrom4(a), SubAgent: uint32(agent % 2), Sequence: 5000*uint32(agent) + i})
			c.want(0, e.Finish())
		}
	}
	s := c.Stats()
	if s.Domains != 3 || s.Total.Gaps+s.Total.Restarts+s.Total.Repeated != 0 {
		t.Errorf("%d domains, stats %+v", s.Domains, s.Total)
	}
}

// TestSFlowCut: every cut of a datagram ends in an error, and in no more records
// than samples have begun.
func TestSFlowCut(t *testing.T) {
	whole := flowSamples(1, 3)
	const header = 28
	sample := (len(whole) - header) / 3
	for n := range len(whole) {
		c := newCollector(t)
		records, err := c.decode(exporter, whole[:n])
		if err == nil || len(records) > max(0, n-header+sample-1)/sample {
			t.Fatalf("%d of %d octets: %d records, %v", n, len(whole), len(records), err)
		}
	}
}

// TestSFlowStructures: what records say beyond the fields of the table is there
// under the names of their structures; nothing is thrown away.
func TestSFlowStructures(t *testing.T) {
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), Sequence: 1})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, Sequence: 1, SamplingRate: 512})
	e.Header(5, 100, 0, []byte("frame relay!")) // a link that is not known
	e.Switch(sflow.Switch{SrcVLAN: 1, SrcPriority: 5, DstVLAN: 2, DstPriority: 6})
	e.Gateway(&sflow.Gateway{NextHop: ip("192.0.2.253"), AS: 64500, SrcPeerAS: 64499, Path: []uint32{64501, 64502}, Segments: []sflow.PathSegment{{Type: 2, Count: 1}, {Type: 1, Count: 1}}, LocalPref: 100})
	e.User(&sflow.User{SrcCharset: 106, Src: []byte("alice"), DstCharset: 106, Dst: []byte("bo\"b")})
	e.Words(1029, 5000)
	e.Words(1029, 5001) // a second one
	e.Words(1036, 7, 8) // more than its layout
	e.Record(1041, cat(uint32(2), "l2\x00\x00", uint32(3), "stp"))
	e.Record(1042, cat(uint32(9), "cut"))
	e.Record(2101, cat(uint32(6), ip("2001:db8::1"), ip("2001:db8::2"), uint32(80), uint32(49152)))
	e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, Sequence: 2, SamplingRate: 512})
	e.Gateway(&sflow.Gateway{AS: 64500, Path: []uint32{64501}})
	c := newCollector(t)
	records := c.want(2, e.Finish())
	r := records[0]
	check(t, r, values{flow.UserName: "alice", flow.SrcVLAN: 1, flow.ASPath: []int{64501, 64502}})
	want := `src_priority:uint=5 dst_priority:uint=6 src_peer_as:uint=64499 localpref:uint=100` +
		` sampled_header:list={"header_protocol":5,"frame_length":100,"stripped":0,"header":"6672616d652072656c617921"}` +
		` extended_gateway:list={"nexthop":"192.0.2.253","as":64500,"src_as":0,"src_peer_as":64499,"dst_as_path":[{"type":2,"as":[64501]},{"type":1,"as":[64502]}],"communities":[],"localpref":100}` +
		` extended_user:list={"src_charset":106,"src_user":"alice","dst_charset":106,"dst_user":"bo\"b"}` +
		` extended_vni_egress:list={"vni":5000}` +
		` extended_egress_queue:list={"queue":7,"more":"00000008"}` +
		` extended_hw_trap:list={"group":"l2","trap":"stp"}` +
		` extended_socket_ipv6:list={"protocol":6,"local_ip":"2001:db8::1","remote_ip":"2001:db8::2","local_port":80,"remote_port":49152}`
	if got := extras(r); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	var kept []uint16
	for _, k := range r.Elements() {
		if k.Enterprise != 1<<31 {
			t.Errorf("enterprise of %v", k)
		}
		kept = append(kept, k.ID)
	}
	if !slices.Equal(kept, []uint16{1029, 1042}) {
		t.Errorf("formats %v are kept as elements", kept)
	}
	if got := extras(records[1]); got != "" {
		t.Errorf("an ordinary sample has %s", got)
	}
}

// TestCounters: counter samples are handed on with all that they say.
func TestCounters(t *testing.T) {
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), SubAgent: 3, Sequence: 9, Uptime: 1000})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters, Sequence: 5, SourceIndex: 3})
	e.Counters(1, 3, 6, 10e9, 1, 3, 1<<40)
	e.Counters(1001, 10, 20, 30, 1<<33)
	e.Counters(1001, 11)
	e.Record(4711<<12|7, []byte("mine"))
	e.Record(2000, cat(uint32(2), "h1\x00\x00", make([]byte, 15), uint8(1), uint32(3), uint32(2), uint32(0), uint32(77)))
	e.BeginSample(&sflow.Sample{Format: sflow.FormatExpandedCounters, Sequence: 6, SourceType: 2, SourceIndex: 1 << 30})
	e.Record(2001, cat(uint32(1), uint32(1), uint32(1), "\x02\x00\x00\x00\x00\x01\x00\x00"))
	e.Record(2003, cat(uint32(0x3fc00000), uint32(0x7fc00000), uint32(0)))
	var got, keys []string
	d := collect.NewDecoder(collect.DecoderConfig{Counters: func(s *collect.CounterSample) {
		got = append(got, string(s.AppendJSON(nil)))
		keys = append(keys, string(s.AppendKey(nil)))
	}})
	c := &collector{t, d}
	c.want(0, e.Finish())
	want := []string{
		`{"time_received_ns":1700000001000000500,"sampler_address":"192.0.2.77","sub_agent":3,"sequence_num":9,"uptime_ms":1000,"sample_sequence":5,"source_id_type":0,"source_id_index":3,"counters":{` +
			`"generic_interface":{"ifIndex":3,"ifType":6,"ifSpeed":10000000000,"ifDirection":1,"ifStatus":3,"ifInOctets":1099511627776,"ifInUcastPkts":null,"ifInMulticastPkts":null,"ifInBroadcastPkts":null,"ifInDiscards":null,"ifInErrors":null,"ifInUnknownProtos":null,"ifOutOctets":null,"ifOutUcastPkts":null,"ifOutMulticastPkts":null,"ifOutBroadcastPkts":null,"ifOutDiscards":null,"ifOutErrors":null,"ifPromiscuousMode":null},` +
			`"processor":{"cpu_5s":10,"cpu_1m":20,"cpu_5m":30,"total_memory":8589934592,"free_memory":null},` +
			`"host_descr":{"hostname":"h1","uuid":"00000000-0000-0000-0000-000000000001","machine_type":3,"os_name":2,"os_release":"","more":"0000004d"}},` +
			`"unknown":[{"enterprise":0,"format":1001,"value":"0000000bffffffffffffffffffffffffffffffffffffffffffffffff"},{"enterprise":4711,"format":7,"value":"6d696e65"}]}`,
		`{"time_received_ns":1700000001000000500,"sampler_address":"192.0.2.77","sub_agent":3,"sequence_num":9,"uptime_ms":1000,"sample_sequence":6,"source_id_type":2,"source_id_index":1073741824,"counters":{` +
			`"host_adapters":{"adapters":[{"ifIndex":1,"mac_address":["02:00:00:00:00:01"]}]},"host_cpu":{"load_one":1.5,"load_five":null,"load_fifteen":0}}}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Equal(keys, []string{"192.0.2.77", "192.0.2.77"}) {
		t.Errorf("keys are %v", keys)
	}
	for _, text := range got {
		if !json.Valid([]byte(text)) {
			t.Errorf("no JSON: %s", text)
		}
	}
	if s := d.Stats().Total; s.CounterSamples != 2 || s.Records != 0 {
		t.Errorf("stats are %+v", s)
	}
}
