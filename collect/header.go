package collect

import (
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/packet"
)

// setHeaders fills r from the headers of a sampled packet: the outermost IP
// header is the flow's, the innermost stands beside it.
func setHeaders(h *packet.Headers, r *flow.Record) {
	if h.HasMAC {
		r.SetUint(flow.SrcMAC, mac(h.SrcMAC))
		r.SetUint(flow.DstMAC, mac(h.DstMAC))
	}
	if h.EtherType != 0 {
		r.SetUint(flow.Etype, uint64(h.EtherType))
	}
	if n := h.VLANCount; n > 0 {
		// goflow2 has the innermost tag here.
		r.SetUint(flow.VLANID, uint64(h.VLANs[n-1].ID()))
		if n > 1 {
			r.SetUint(flow.OuterVLANID, uint64(h.VLANs[0].ID()))
		}
	}
	for _, l := range h.Labels[:h.LabelCount] {
		r.AppendUint(flow.MPLSLabel, l.Value)
		r.AppendUint(flow.MPLSTTL, uint32(l.TTL))
	}
	for _, l := range h.Layers[:h.LayerCount] {
		layer := uint32(l.Layer)
		if l.Layer > packet.LayerTeredo {
			layer = uint32(flow.LayerCustom)
		}
		r.AppendUint(flow.LayerStack, layer)
		r.AppendUint(flow.LayerSize, uint32(l.Size))
	}
	if ip := &h.IP; ip.Version != 0 {
		setIP(ip, r)
	}
	if h.HasRouting {
		r.SetUint(flow.IPv6RoutingHeaderSegLeft, uint64(h.SegmentsLeft))
		for i := range h.Segments[:h.SegmentCount] {
			r.AppendAddr16(flow.IPv6RoutingHeaderAddresses, h.Segments[i])
		}
	}
	if h.Tunnels > 0 {
		setInner(h, r)
	}
}

func setIP(ip *packet.IP, r *flow.Record) {
	if ip.Version == 4 {
		r.SetAddr4(flow.SrcAddr, [4]byte(ip.Src[:4]))
		r.SetAddr4(flow.DstAddr, [4]byte(ip.Dst[:4]))
		r.SetUint(flow.Etype, flow.EtypeIPv4)
	} else {
		r.SetAddr16(flow.SrcAddr, ip.Src)
		r.SetAddr16(flow.DstAddr, ip.Dst)
		r.SetUint(flow.Etype, flow.EtypeIPv6)
		r.SetUint(flow.IPv6FlowLabel, uint64(ip.FlowLabel))
	}
	r.SetUint(flow.Proto, uint64(ip.Proto))
	r.SetUint(flow.IPTos, uint64(ip.TOS))
	r.SetUint(flow.IPTTL, uint64(ip.TTL))
	if ip.Version == 4 || ip.Known&packet.KnownFragment != 0 {
		r.SetUint(flow.IPFlags, uint64(ip.Flags))
		r.SetUint(flow.FragmentID, uint64(ip.FragmentID))
		r.SetUint(flow.FragmentOffset, uint64(ip.FragmentOffset))
	}
	if ip.Known&packet.KnownPorts != 0 {
		r.SetUint(flow.SrcPort, uint64(ip.SrcPort))
		r.SetUint(flow.DstPort, uint64(ip.DstPort))
	}
	if ip.Known&packet.KnownTCP != 0 {
		r.SetUint(flow.TCPFlags, uint64(ip.TCPFlags))
	}
	if ip.Known&packet.KnownICMP != 0 {
		r.SetUint(flow.ICMPType, uint64(ip.ICMPType))
		r.SetUint(flow.ICMPCode, uint64(ip.ICMPCode))
	}
}

func setInner(h *packet.Headers, r *flow.Record) {
	ip := &h.Inner
	if ip.Version == 4 {
		r.SetAddr4(flow.InnerSrcAddr, [4]byte(ip.Src[:4]))
		r.SetAddr4(flow.InnerDstAddr, [4]byte(ip.Dst[:4]))
	} else {
		r.SetAddr16(flow.InnerSrcAddr, ip.Src)
		r.SetAddr16(flow.InnerDstAddr, ip.Dst)
	}
	r.SetUint(flow.InnerProto, uint64(ip.Proto))
	if ip.Known&packet.KnownPorts != 0 {
		r.SetUint(flow.InnerSrcPort, uint64(ip.SrcPort))
		r.SetUint(flow.InnerDstPort, uint64(ip.DstPort))
	}
	if h.Tunnel != packet.TunnelIP {
		r.SetUint(flow.TunnelID, uint64(h.TunnelID))
	}
}

func mac(b [6]byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}
