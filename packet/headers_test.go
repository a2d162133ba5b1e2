package packet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/tributary-net/tributary/packet"
)

func layers(h *packet.Headers) []packet.Layer {
	var l []packet.Layer
	for _, x := range h.Layers[:h.LayerCount] {
		l = append(l, x.Layer)
	}
	return l
}

func TestEthernetIPv4TCP(t *testing.T) {
	data := ethernet(0x0800, ipv4(6, []byte{1, 1, 1, 0}, tcp(40000, 443, 0x1c2, []byte("hello"))))
	data = append(data, 0, 0, 0) // the link's padding is not the packet's
	h, err := headersOf(packet.LinkEthernet, data)
	if err != nil {
		t.Fatal(err)
	}
	if !h.HasMAC || !bytes.Equal(h.SrcMAC[:], macA) || !bytes.Equal(h.DstMAC[:], macB) || h.EtherType != 0x0800 {
		t.Errorf("Ethernet: %x to %x, type %#x", h.SrcMAC, h.DstMAC, h.EtherType)
	}
	ip := h.IP
	if ip.Version != 4 || ip.TOS != 0xb8 || ip.TTL != 63 || ip.Proto != 6 || ip.NextHeader != 6 || ip.Upper != 6 ||
		ip.Flags != 2 || ip.FragmentID != 77 || ip.Fragment() || ip.Length != 49 {
		t.Errorf("IPv4: %+v", ip)
	}
	if ip.SrcAddr() != addA || ip.DstAddr() != addB || !bytes.Equal(ip.SrcBytes(), addA.AsSlice()) {
		t.Errorf("addresses %v to %v", ip.SrcAddr(), ip.DstAddr())
	}
	if ip.SrcPort != 40000 || ip.DstPort != 443 || ip.TCPFlags != 0x1c2 || ip.Seq != 1000 || ip.Ack != 2000 || ip.Window != 4096 {
		t.Errorf("TCP: %+v", ip)
	}
	if want := packet.KnownFragment | packet.KnownPorts | packet.KnownTCP | packet.KnownTransport; ip.Known != want {
		t.Errorf("known %b, want %b", ip.Known, want)
	}
	if got := string(data[ip.Data:ip.End]); got != "hello" {
		t.Errorf("payload %q", got)
	}
	if got, want := layers(&h), []packet.Layer{packet.LayerEthernet, packet.LayerIPv4, packet.LayerTCP}; !slices.Equal(got, want) {
		t.Errorf("layers %v, want %v", got, want)
	}
	if l := h.Layers[1]; l.Offset != 14 || l.Size != 24 {
		t.Errorf("IPv4 header at %d, %d bytes", l.Offset, l.Size)
	}
	if h.Tunnels != 0 || h.Inner.Version != 0 || h.Flow() != &h.IP {
		t.Errorf("a tunnel: %+v", h.Inner)
	}
}

func TestVLANsAndIPv6(t *testing.T) {
	data := ethernet(0x88a8, cat(be16(0x6064, 0x8100), be16(7, 0x86dd), ipv6(17, udp(1, 53, []byte("query")))))
	h, err := headersOf(packet.LinkEthernet, data)
	if err != nil {
		t.Fatal(err)
	}
	if h.VLANCount != 2 || h.VLANs[0] != (packet.VLAN{TPID: 0x88a8, TCI: 0x6064}) || h.VLANs[1].ID() != 7 {
		t.Errorf("VLANs %v", h.VLANs[:h.VLANCount])
	}
	if v := h.VLANs[0]; v.ID() != 100 || v.Priority() != 3 {
		t.Errorf("VLAN %d, priority %d", v.ID(), v.Priority())
	}
	ip := h.IP
	if h.EtherType != 0x86dd || ip.Version != 6 || ip.TOS != 0x28 || ip.FlowLabel != 0xabcde || ip.TTL != 62 || ip.Length != 53 {
		t.Errorf("type %#x, IPv6 %+v", h.EtherType, ip)
	}
	if ip.SrcAddr() != addC || ip.DstAddr() != addD || ip.SrcPort != 1 || ip.DstPort != 53 || ip.Known&packet.KnownTCP != 0 {
		t.Errorf("IPv6 %v to %v, %+v", ip.SrcAddr(), ip.DstAddr(), ip)
	}
}

// More tags than are kept do not keep the rest from being decoded.
func TestManyVLANs(t *testing.T) {
	b := ipv4(1, nil, icmp(8, 0))
	for i := range 7 {
		if i == 0 {
			b = cat(be16(100, 0x0800), b)
		} else {
			b = cat(be16(100+uint16(i), 0x8100), b)
		}
	}
	h, err := headersOf(packet.LinkEthernet, ethernet(0x8100, b))
	if err != nil || h.VLANCount != packet.MaxVLANs || h.VLANs[0].ID() != 106 || h.IP.ICMPType != 8 {
		t.Errorf("%v, %d VLANs %v, ICMP %d", err, h.VLANCount, h.VLANs, h.IP.ICMPType)
	}
}

func TestMPLS(t *testing.T) {
	stack := be32(100<<12|5<<9|64, 200<<12|1<<8|63)
	h, err := headersOf(packet.LinkEthernet, ethernet(0x8847, cat(stack, ipv4(1, nil, icmp(3, 4)))))
	if err != nil {
		t.Fatal(err)
	}
	want := []packet.Label{{Value: 100, Class: 5, TTL: 64}, {Value: 200, TTL: 63, Bottom: true}}
	if got := h.Labels[:h.LabelCount]; !slices.Equal(got, want) {
		t.Errorf("labels %v, want %v", got, want)
	}
	if h.EtherType != 0x0800 || h.IP.ICMPType != 3 || h.IP.ICMPCode != 4 || h.IP.Known&packet.KnownICMP == 0 {
		t.Errorf("type %#x, %+v", h.EtherType, h.IP)
	}
	// Ethernet over MPLS, with and without a control word.
	for _, word := range [][]byte{nil, be32(0)} {
		inner := ethernet(0x0800, ipv4(17, nil, udp(5, 6, nil)))
		h, err := headersOf(packet.LinkEthernet, ethernet(0x8847, cat(stack, word, inner)))
		if err != nil || h.IP.DstPort != 6 || h.Tunnels != 0 {
			t.Errorf("control word %v: %v, %+v", word, err, h.IP)
		}
		if !bytes.Equal(h.SrcMAC[:], macA) {
			t.Errorf("outer source %x", h.SrcMAC)
		}
	}
}

func TestIPv6Extensions(t *testing.T) {
	var segments []byte
	for i := range 3 {
		segments = append(segments, netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}).AsSlice()...)
	}
	srh := extension(60, cat([]byte{4, 2, 2, 0, 0, 0}, segments))
	dest := extension(6, make([]byte, 14))
	hop := extension(43, make([]byte, 6))
	data := ipv6(0, cat(hop, srh, dest, tcp(1, 2, 2, nil)))
	h, err := headersOf(packet.LinkRaw, data)
	if err != nil {
		t.Fatal(err)
	}
	if h.IP.Proto != 6 || h.IP.NextHeader != 0 || h.IP.DstPort != 2 || h.IP.TCPFlags != 2 {
		t.Errorf("%+v", h.IP)
	}
	if !h.HasRouting || h.RoutingType != 4 || h.SegmentsLeft != 2 || h.SegmentCount != 3 || h.Segments[2][15] != 2 {
		t.Errorf("routing %v, type %d, left %d, segments %v", h.HasRouting, h.RoutingType, h.SegmentsLeft, h.Segments[:h.SegmentCount])
	}
	want := []packet.Layer{
		packet.LayerIPv6, packet.LayerIPv6Hop, packet.LayerIPv6Routing, packet.LayerIPv6Dest, packet.LayerTCP,
	}
	if got := layers(&h); !slices.Equal(got, want) {
		t.Errorf("layers %v, want %v", got, want)
	}
	if h.Layers[2].Size != 56 {
		t.Errorf("routing header of %d bytes", h.Layers[2].Size)
	}
	// The next packet has nothing of this one.
	if err := h.Decode(packet.LinkRaw, ipv6(58, icmp(128, 0))); err != nil {
		t.Fatal(err)
	}
	if h.HasRouting || h.SegmentCount != 0 || h.SegmentsLeft != 0 || h.IP.TCPFlags != 0 || h.IP.ICMPType != 128 {
		t.Errorf("left from the packet before: %+v", h.IP)
	}
}

func TestFragments(t *testing.T) {
	first := ipv4Fragment(17, nil, udp(7, 8, make([]byte, 16)), 1234, 0x2000)
	h, err := headersOf(packet.LinkIPv4, first)
	if err != nil || !h.IP.Fragment() || !h.IP.MoreFragments || h.IP.SrcPort != 7 || h.IP.FragmentID != 1234 {
		t.Errorf("first: %v, %+v", err, h.IP)
	}
	later := ipv4Fragment(17, nil, udp(7, 8, make([]byte, 16)), 1234, 3)
	h, err = headersOf(packet.LinkIPv4, later)
	if err != nil || !h.IP.Fragment() || h.IP.MoreFragments || h.IP.Known&packet.KnownPorts != 0 ||
		h.IP.SrcPort != 0 || h.IP.FragmentOffset != 3 || h.IP.Proto != 17 {
		t.Errorf("later: %v, %+v", err, h.IP)
	}
	frag := cat([]byte{17, 0}, be16(5<<3|1), be32(0xdeadbeef))
	h, err = headersOf(packet.LinkIPv6, ipv6(44, cat(frag, make([]byte, 16))))
	if err != nil || h.IP.Proto != 17 || h.IP.FragmentOffset != 5 || h.IP.FragmentID != 0xdeadbeef ||
		!h.IP.MoreFragments || h.IP.Flags != 1 || h.IP.Known&packet.KnownPorts != 0 {
		t.Errorf("IPv6: %v, %+v", err, h.IP)
	}
}

func TestTunnels(t *testing.T) {
	inner4 := ipv4(17, nil, udp(111, 222, []byte("x")))
	inner6 := ipv6(6, tcp(333, 444, 0x10, nil))
	check := func(name string, data []byte, kind packet.TunnelKind, id uint32, port uint16, mac bool) {
		t.Helper()
		h, err := headersOf(packet.LinkEthernet, ethernet(0x0800, data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if h.IP.SrcAddr() != addA || h.EtherType != 0x0800 {
			t.Errorf("%s: outer %v, type %#x", name, h.IP.SrcAddr(), h.EtherType)
		}
		if h.Tunnels != 1 || h.Tunnel != kind || h.TunnelID != id || h.Inner.SrcPort != port || h.HasInnerMAC != mac {
			t.Errorf("%s: %d tunnels, kind %d, id %d, inner %+v, MAC %v", name, h.Tunnels, h.Tunnel, h.TunnelID, h.Inner, h.HasInnerMAC)
		}
		if h.Flow() != &h.Inner {
			t.Errorf("%s: the flow is not the inner one", name)
		}
	}
	eth6 := ethernet(0x8100, cat(be16(9, 0x86dd), inner6))
	check("4in4", ipv4(4, nil, inner4), packet.TunnelIP, 0, 111, false)
	check("6in4", ipv4(41, nil, inner6), packet.TunnelIP, 0, 333, false)
	check("GRE", ipv4(47, nil, cat(be16(0, 0x0800), inner4)), packet.TunnelGRE, 0, 111, false)
	check("GRE with all fields", ipv4(47, nil, cat(be16(0xb000, 0x6558, 1, 0), be32(0x1234, 9), eth6)), packet.TunnelGRE, 0x1234, 333, true)
	check("PPTP", ipv4(47, nil, cat(be16(0x3081, 0x880b, 40, 77), be32(1, 2), []byte{0xff, 3, 0, 0x21}, inner4)), packet.TunnelGRE, 77, 111, false)
	check("ERSPAN", ipv4(47, nil, cat(be16(0x1000, 0x88be), be32(1), make([]byte, 8), ethernet(0x0800, inner4))), packet.TunnelGRE, 0, 111, true)
	check("VXLAN", ipv4(17, nil, udp(1, 4789, cat([]byte{8, 0, 0, 0, 0, 1, 2, 0}, eth6))), packet.TunnelVXLAN, 0x102, 333, true)
	check("VXLAN-GPE", ipv4(17, nil, udp(1, 4790, cat([]byte{0xc, 0, 0, 1, 0, 1, 2, 0}, inner4))), packet.TunnelVXLAN, 0x102, 111, false)
	check("Geneve", ipv4(17, nil, udp(1, 6081, cat([]byte{1, 0, 0x65, 0x58, 0, 0, 5, 0, 1, 2, 3, 4}, eth6))), packet.TunnelGeneve, 5, 333, true)
	check("GTP", ipv4(17, nil, udp(1, 2152, cat([]byte{0x30, 255}, be16(0), be32(99), inner4))), packet.TunnelGTPU, 99, 111, false)
	check("GTP with extensions", ipv4(17, nil, udp(1, 2152, cat([]byte{0x34, 255}, be16(0), be32(99),
		[]byte{0, 0, 0, 0x85, 1, 0x10, 9, 0}, inner6))), packet.TunnelGTPU, 99, 333, false)
	check("MPLS over UDP", ipv4(17, nil, udp(1, 6635, cat(be32(300<<12|0x140), inner4))), packet.TunnelMPLS, 300, 111, false)
	check("Teredo", ipv4(17, nil, udp(3544, 1, cat([]byte{0, 1, 0, 0}, make([]byte, 9), make([]byte, 8), inner6))), packet.TunnelTeredo, 0, 333, false)
	check("AH", ipv4(51, nil, cat([]byte{4, 4}, make([]byte, 22), inner4)), packet.TunnelIP, 0, 111, false)

	// Three deep: the innermost counts.
	h, err := headersOf(packet.LinkRaw, ipv4(41, nil, ipv6(47, cat(be16(0, 0x0800), inner4))))
	if err != nil || h.Tunnels != 2 || h.Tunnel != packet.TunnelGRE || h.Inner.SrcPort != 111 || h.Inner.Version != 4 {
		t.Errorf("%v, %d tunnels, %+v", err, h.Tunnels, h.Inner)
	}
	// Tags and labels inside a tunnel are not the packet's own.
	h, _ = headersOf(packet.LinkRaw, ipv4(47, nil, cat(be16(0, 0x8847), be32(5<<12|0x140), inner4)))
	if h.LabelCount != 0 || h.VLANCount != 0 || h.Inner.SrcPort != 111 {
		t.Errorf("%d labels, inner %+v", h.LabelCount, h.Inner)
	}
}

func TestLinks(t *testing.T) {
	v4 := ipv4(17, nil, udp(10, 20, []byte("x")))
	v6 := ipv6(17, udp(10, 20, []byte("x")))
	le32 := func(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
	check := func(link packet.LinkType, data []byte, version uint8) {
		t.Helper()
		h, err := headersOf(link, data)
		if err != nil || h.IP.Version != version || h.IP.DstPort != 20 || h.Tunnels != 0 {
			t.Errorf("%v: %v, %+v", link, err, h.IP)
		}
		if want := map[uint8]uint16{4: 0x0800, 6: 0x86dd}[version]; h.EtherType != want {
			t.Errorf("%v: type %#x", link, h.EtherType)
		}
	}
	check(packet.LinkRaw, v4, 4)
	check(packet.LinkRawBSD, v6, 6)
	check(packet.LinkRawOpenBSD, v6, 6)
	check(packet.LinkIPv4, v4, 4)
	check(packet.LinkIPv6, v6, 6)
	check(packet.LinkNull, cat(le32(2), v4), 4)
	check(packet.LinkNull, cat(le32(30), v6), 6)
	check(packet.LinkNull, cat(be32(2), v4), 4)
	check(packet.LinkLoop, cat(be32(24), v6), 6)
	check(packet.LinkLinuxSLL, cat(be16(0, 1, 6), macA, be16(0, 0x0800), v4), 4)
	check(packet.LinkLinuxSLL2, cat(be16(0x86dd, 0, 0, 3, 1), []byte{0, 6}, macA, be16(0), v6), 6)
	check(packet.LinkPPP, cat([]byte{0xff, 3, 0, 0x21}, v4), 4)
	check(packet.LinkPPP, cat([]byte{0x21}, v4), 4)
	check(packet.LinkPPPHDLC, cat([]byte{0x0f, 0, 0x08, 0}, v4), 4)
	check(packet.LinkPPPPPPD, cat([]byte{1, 3, 0, 0x57}, v6), 6)
	check(packet.LinkPPPoE, cat([]byte{0x11, 0, 0, 1}, be16(uint16(len(v4)+2), 0x21), v4), 4)
	check(packet.LinkCiscoHDLC, cat([]byte{0x8f, 0, 0x86, 0xdd}, v6), 6)
	check(packet.LinkMPLS, cat(be32(7<<12|0x140), v4), 4)
	snap := cat([]byte{0xaa, 0xaa, 3, 0, 0, 0}, be16(0x0800), v4)
	dot11 := cat([]byte{0x88, 1}, be16(0), make([]byte, 6), macA, macB, be16(0), be16(0), snap)
	check(packet.LinkDot11, dot11, 4)
	check(packet.LinkRadiotap, cat([]byte{0, 0, 10, 0}, make([]byte, 6), dot11), 4)
	check(packet.LinkEthernet, cat(macB, macA, be16(uint16(len(snap))), snap, make([]byte, 9)), 4)
	check(packet.LinkEthernet, ethernet(0x8864, cat([]byte{0x11, 0, 0, 1}, be16(uint16(len(v6)+2), 0x57), v6)), 6)

	if h, err := headersOf(packet.LinkDot11, dot11); err != nil || !bytes.Equal(h.DstMAC[:], macB) || !bytes.Equal(h.SrcMAC[:], macA) {
		t.Errorf("802.11: %v, %x to %x", err, h.SrcMAC, h.DstMAC)
	}
	if _, err := headersOf(999, v4); !errors.Is(err, packet.ErrLinkType) {
		t.Errorf("unknown link: %v", err)
	}
	if h, err := headersOf(packet.LinkEthernet, ethernet(0x0806, make([]byte, 28))); err != nil || h.EtherType != 0x0806 || h.IP.Version != 0 {
		t.Errorf("ARP: %v, type %#x", err, h.EtherType)
	}
	if h, err := headersOf(packet.LinkEthernet, ethernet(38, []byte{0x42, 0x42, 3, 0, 0})); err != nil || h.EtherType != 0 {
		t.Errorf("spanning tree: %v, type %#x", err, h.EtherType)
	}
}

func TestOtherTransports(t *testing.T) {
	h, err := headersOf(packet.LinkRaw, ipv4(132, nil, cat(be16(36412, 80), make([]byte, 8))))
	if err != nil || h.IP.SrcPort != 36412 || h.IP.DstPort != 80 || h.Layers[1].Layer != packet.LayerSCTP {
		t.Errorf("SCTP: %v, %+v", err, h.IP)
	}
	h, err = headersOf(packet.LinkRaw, ipv4(2, nil, icmp(0x16, 0)))
	if err != nil || h.Layers[1].Layer != packet.LayerIGMP || h.IP.Known&packet.KnownICMP != 0 {
		t.Errorf("IGMP: %v, %+v", err, h.IP)
	}
	h, err = headersOf(packet.LinkRaw, ipv6(50, make([]byte, 40)))
	if err != nil || h.IP.Proto != 50 || h.Layers[1].Layer != packet.LayerESP || h.IP.Known&packet.KnownPorts != 0 {
		t.Errorf("ESP: %v, %+v", err, h.IP)
	}
	h, err = headersOf(packet.LinkRaw, ipv4(51, nil, cat([]byte{6, 4}, make([]byte, 22), tcp(1, 2, 0x11, nil))))
	if err != nil || h.IP.Proto != 51 || h.IP.Upper != 6 || h.IP.TCPFlags != 0x11 {
		t.Errorf("AH in IPv4: %v, %+v", err, h.IP)
	}
	h, err = headersOf(packet.LinkRaw, ipv6(51, cat([]byte{6, 4}, make([]byte, 22), tcp(1, 2, 0x11, nil))))
	if err != nil || h.IP.Proto != 6 || h.IP.NextHeader != 51 || h.IP.TCPFlags != 0x11 {
		t.Errorf("AH in IPv6: %v, %+v", err, h.IP)
	}
}

// Every cut of a packet gives what lies before the cut, and says so.
func TestTruncated(t *testing.T) {
	data := ethernet(0x8100, cat(be16(5, 0x0800), ipv4(6, nil, tcp(40000, 443, 0x12, []byte("data")))))
	for n := range len(data) {
		h, err := headersOf(packet.LinkEthernet, data[:n])
		checkHeaders(t, &h, data[:n])
		if whole := n >= 14+4+20+20; (err == nil) != whole {
			t.Errorf("%d bytes: %v", n, err)
		} else if err != nil && !errors.Is(err, packet.ErrTruncated) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if h.HasMAC != (n >= 14) || (h.VLANCount == 1) != (n >= 18) || (h.IP.Version == 4) != (n >= 38) {
			t.Errorf("%d bytes: MAC %v, %d VLANs, %+v", n, h.HasMAC, h.VLANCount, h.IP)
		}
		if ports := h.IP.Known&packet.KnownPorts != 0; ports != (n >= 42) || ports && h.IP.DstPort != 443 {
			t.Errorf("%d bytes: port %d, known %v", n, h.IP.DstPort, ports)
		}
		if flags := h.IP.Known&packet.KnownTCP != 0; flags != (n >= 52) || flags && h.IP.TCPFlags != 0x12 {
			t.Errorf("%d bytes: flags %#x, known %v", n, h.IP.TCPFlags, flags)
		}
	}
}

// Lengths that lie are harmless, and what is certain is still told.
func TestLies(t *testing.T) {
	good := ipv4(17, nil, udp(1, 2, []byte("payload")))
	change := func(f func(b []byte)) (packet.Headers, []byte, error) {
		b := bytes.Clone(good)
		f(b)
		h, err := headersOf(packet.LinkRaw, b)
		checkHeaders(t, &h, b)
		return h, b, err
	}
	if h, _, err := change(func(b []byte) { b[0] = 0x44 }); !errors.Is(err, packet.ErrMalformed) || h.IP.Version != 0 {
		t.Errorf("header length 16: %v, %+v", err, h.IP)
	}
	if h, _, err := change(func(b []byte) { b[0] = 0x4f }); !errors.Is(err, packet.ErrMalformed) && !errors.Is(err, packet.ErrTruncated) || h.IP.Known&packet.KnownPorts != 0 {
		t.Errorf("header length 60: %v, %+v", err, h.IP)
	}
	if h, _, err := change(func(b []byte) { b[2], b[3] = 0, 10 }); !errors.Is(err, packet.ErrMalformed) || h.IP.SrcAddr() != addA || h.IP.Length != 10 {
		t.Errorf("total length 10: %v, %+v", err, h.IP)
	}
	if h, b, err := change(func(b []byte) { b[2], b[3] = 0, 0 }); err != nil || int(h.IP.Length) != len(b) || h.IP.DstPort != 2 {
		t.Errorf("total length 0: %v, %+v", err, h.IP)
	}
	if h, b, err := change(func(b []byte) { b[2] = 0xff }); err != nil || int(h.IP.End) != len(b) || h.IP.Length < 0xff00 || h.IP.DstPort != 2 {
		t.Errorf("total length 65 k: %v, %+v", err, h.IP)
	}
	if h, _, err := change(func(b []byte) { b[24], b[25] = 0, 3 }); err != nil || h.IP.DstPort != 2 {
		t.Errorf("UDP length 3: %v, %+v", err, h.IP)
	}
	if _, err := headersOf(packet.LinkRaw, []byte{0x50}); !errors.Is(err, packet.ErrMalformed) {
		t.Errorf("version 5: %v", err)
	}
	if _, err := headersOf(packet.LinkEthernet, ethernet(0x8864, []byte{0x22, 0, 0, 0, 0, 0, 0, 0})); !errors.Is(err, packet.ErrMalformed) {
		t.Errorf("PPPoE version 2: %v", err)
	}
	h, err := headersOf(packet.LinkRaw, ipv4(6, nil, cat(be16(1, 2), be32(0, 0), be16(4<<12|2, 0, 0, 0))))
	if !errors.Is(err, packet.ErrMalformed) || h.IP.Known&(packet.KnownPorts|packet.KnownTCP) != packet.KnownPorts {
		t.Errorf("TCP header of 16 bytes: %v, %+v", err, h.IP)
	}
	// A chain of tunnels far longer than anybody would build ends in time.
	b := ipv4(17, nil, udp(1, 2, nil))
	for range 200 {
		b = ipv4(4, nil, b)
	}
	h, err = headersOf(packet.LinkRaw, b)
	checkHeaders(t, &h, b)
	if err != nil || h.LayerCount != packet.MaxLayers {
		t.Errorf("%v, %d layers", err, h.LayerCount)
	}
}

// A jumbogram and a packet captured before segmentation have no length in their
// IPv6 header.
func TestIPv6WithoutLength(t *testing.T) {
	b := ipv6(0, cat([]byte{6, 0, 0xc2, 4}, be32(80000), tcp(1, 2, 0x10, make([]byte, 79972))))
	b[4], b[5] = 0, 0
	if h, err := headersOf(packet.LinkRaw, b); err != nil || h.IP.Length != 80040 || h.IP.SrcPort != 1 {
		t.Errorf("jumbogram: %v, %+v", err, h.IP)
	}
	b = ipv6(6, tcp(1, 2, 0x10, make([]byte, 100)))
	b[4], b[5] = 0, 0
	if h, err := headersOf(packet.LinkRaw, b); err != nil || int(h.IP.Length) != len(b) || h.IP.SrcPort != 1 {
		t.Errorf("before segmentation: %v, %+v", err, h.IP)
	}
	if h, err := headersOf(packet.LinkRaw, ipv6(59, nil)); err != nil || h.IP.Length != 40 || h.IP.Proto != 59 {
		t.Errorf("no payload: %v, %+v", err, h.IP)
	}
}
