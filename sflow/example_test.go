package sflow_test

import (
	"fmt"
	"net/netip"

	"github.com/tributary-net/tributary/packet"
	"github.com/tributary-net/tributary/sflow"
)

func ExampleDatagram() {
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: netip.MustParseAddr("192.0.2.1"), Sequence: 1})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, SamplingRate: 1024, Input: sflow.Interface{Value: 3}})
	e.Header(1, 1518, 4, frame(128))
	payload := e.Finish()

	var d sflow.Datagram
	var h packet.Headers
	if err := d.Decode(payload); err != nil {
		fmt.Println(err)
		return
	}
	for s := d.Next(); s != nil; s = d.Next() {
		if s.Has&sflow.HasHeader == 0 {
			continue
		}
		if link, ok := s.Header.Link(); ok && h.Decode(link, s.Header.Data) == nil {
			fmt.Println(d.Agent, "1 in", s.SamplingRate, h.IP.SrcAddr(), h.IP.SrcPort, h.IP.DstAddr(), h.IP.DstPort)
		}
	}
	if err := d.Err(); err != nil {
		fmt.Println(err)
	}
	// Output: 192.0.2.1 1 in 1024 192.0.2.10 40000 192.0.2.20 443
}
