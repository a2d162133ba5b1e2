package collect_test

import (
	"net/netip"
	"testing"

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
