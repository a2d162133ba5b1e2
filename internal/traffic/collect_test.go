package traffic_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/traffic"
)

// TestCollect holds what the collector makes of every device's datagrams against the flows the device saw.
func TestCollect(t *testing.T) {
	decoder := collect.NewDecoder(collect.DefaultDecoderConfig())
	exporters := traffic.NewNetwork(11).Exporters()
	for _, e := range exporters {
		t.Run(e.Name, func(t *testing.T) {
			for n := range 60 {
				now := start.Add(time.Duration(n) * 2 * time.Second)
				dg := flow.Datagram{Exporter: netip.AddrPortFrom(e.Addr, 4000), Received: now, Payload: e.Next(now, nil)}
				want := e.Flows()
				if e.Protocol == traffic.NetFlow9 || e.Protocol == traffic.IPFIX {
					want = families(want)
				}
				i := 0
				err := decoder.Decode(&dg, func(r *flow.Record) error {
					if r.Has(flow.NATEvent) {
						return nil
					}
					if i < len(want) {
						compare(t, e, r, &want[i])
					}
					i++
					return nil
				})
				if err != nil || i != len(want) {
					t.Fatalf("datagram %d: %d records of %d flows, %v", n, i, len(want), err)
				}
			}
		})
	}
	devices := map[netip.Addr]traffic.Stats{}
	for _, x := range decoder.Stats().Exporters {
		devices[x.Exporter] = traffic.Stats{Datagrams: x.Datagrams, Bytes: x.Bytes, Flows: x.Records, Options: x.Options, Counters: x.CounterSamples}
		if x.Gaps+x.Missing()+x.Repeated+x.Restarts+x.MissingTemplates != 0 {
			t.Errorf("%v: %+v", x.Exporter, x)
		}
	}
	for _, e := range exporters {
		if got := devices[e.Addr]; got != e.Stats() {
			t.Errorf("%s: the collector counts %+v, the device %+v", e.Name, got, e.Stats())
		}
	}
}

func compare(t *testing.T, e *traffic.Exporter, r *flow.Record, f *traffic.Flow) {
	t.Helper()
	num := func(field flow.Field, want uint64) {
		t.Helper()
		if got := r.Uint(field); got != want {
			t.Fatalf("%v is %d, want %d: flow %+v", field, got, want, f)
		}
	}
	if r.Addr(flow.SrcAddr) != f.Src || r.Addr(flow.DstAddr) != f.Dst {
		t.Fatalf("from %v to %v: flow %+v", r.Addr(flow.SrcAddr), r.Addr(flow.DstAddr), f)
	}
	num(flow.Proto, uint64(f.Proto))
	num(flow.IPTos, uint64(f.TOS))
	num(flow.InIf, uint64(f.In))
	if f.Proto == 6 || f.Proto == 17 {
		num(flow.SrcPort, uint64(f.SrcPort))
		num(flow.DstPort, uint64(f.DstPort))
	}
	if e.Protocol == traffic.SFlow {
		num(flow.SamplingRate, uint64(e.SamplingRate))
		num(flow.Packets, 1)
		num(flow.VLANID, uint64(f.VLAN))
		return
	}
	num(flow.Bytes, f.Bytes)
	num(flow.Packets, f.Packets)
	num(flow.OutIf, uint64(f.Out))
	for field, want := range map[flow.Field]time.Time{flow.TimeFlowStart: f.Start, flow.TimeFlowEnd: f.End} {
		got := time.Unix(0, int64(r.Uint(field)))
		exact := 2 * time.Millisecond
		if e.Protocol == traffic.NetFlow9 || e.Name == "probe-1" {
			exact = time.Second // their headers or fields have whole seconds
		}
		if got.Sub(want).Abs() > exact {
			t.Fatalf("%v is %v, want %v", field, got, want)
		}
	}
	switch e.Name {
	case "core-1", "border-1":
		num(flow.SamplingRate, uint64(e.SamplingRate))
		num(flow.SrcAS, uint64(f.SrcAS))
		num(flow.DstNet, uint64(f.DstMask))
		if in, out := string(r.Bytes(flow.InIfName)), string(r.Bytes(flow.OutIfName)); in != e.Interfaces[f.In-1].Name || out != e.Interfaces[f.Out-1].Name {
			t.Fatalf("interfaces %q and %q of flow %+v", in, out, f)
		}
		if r.Addr(flow.NextHop) != f.NextHop {
			t.Fatalf("next hop %v of flow %+v", r.Addr(flow.NextHop), f)
		}
	case "fw-1":
		num(flow.ReverseBytes, f.ReverseBytes)
		num(flow.ReversePackets, f.ReversePackets)
		if f.TranslatedSrc.IsValid() && r.Addr(flow.PostNATSrcAddr) != f.TranslatedSrc {
			t.Fatalf("translated to %v: flow %+v", r.Addr(flow.PostNATSrcAddr), f)
		}
	case "probe-1":
		num(flow.OutBytes, f.ReverseBytes)
		if f.L7 != 0 && len(r.Bytes(flow.ApplicationName)) == 0 {
			t.Fatalf("no application name: flow %+v", f)
		}
	case "branch-1":
		num(flow.SamplingRate, 10)
	}
}
