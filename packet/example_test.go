package packet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tributary-net/tributary/packet"
)

func ExampleReader() {
	var file bytes.Buffer
	w, err := packet.NewWriter(&file, packet.Pcapng, packet.LinkEthernet)
	if err != nil {
		fmt.Println(err)
		return
	}
	frame := ethernet(0x8100, cat(be16(12, 0x0800), ipv4(6, nil, tcp(40000, 443, 0x02, nil))))
	if err := w.Write(&packet.Packet{Time: time.Now(), Link: packet.LinkEthernet, Data: frame}); err != nil {
		fmt.Println(err)
		return
	}

	r, err := packet.NewReader(&file)
	if err != nil {
		fmt.Println(err)
		return
	}
	var p packet.Packet
	var h packet.Headers
	for {
		if err := r.Next(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			fmt.Println(err)
			return
		}
		if err := h.Decode(p.Link, p.Data); err != nil {
			fmt.Println(err)
		}
		fmt.Println("VLAN", h.VLANs[0].ID(), h.IP.SrcAddr(), h.IP.SrcPort, h.IP.DstAddr(), h.IP.DstPort)
	}
	// Output: VLAN 12 192.0.2.1 40000 198.51.100.2 443
}
