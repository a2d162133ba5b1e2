package packet

import "encoding/binary"

// UDP ports behind which a tunnel is looked for (IANA, "Service Name and Transport
// Protocol Port Number Registry"; 8472 is what Linux used for VXLAN before).
const (
	portGTPU     = 2152
	portTeredo   = 3544
	portVXLAN    = 4789
	portVXLANGPE = 4790
	portGeneve   = 6081
	portMPLS     = 6635
	portVXLANOld = 8472
)

// transport decodes the header that p.Upper names.
func (d *decoder) transport() uint32 {
	p := d.cur
	b := d.data[d.off:d.end]
	switch p.Upper {
	case protoTCP:
		return d.tcp(p, b)
	case protoUDP, protoUDPLite:
		return d.udp(p, b)
	case protoICMP:
		return d.icmp(p, b, LayerICMP)
	case protoICMPv6:
		return d.icmp(p, b, LayerICMPv6)
	case protoIPv4:
		d.tunnel(TunnelIP, 0)
		return etherIPv4
	case protoIPv6:
		d.tunnel(TunnelIP, 0)
		return etherIPv6
	case protoGRE:
		return nextGRE
	case protoAH:
		// RFC 4302, 2.
		if len(b) < 12 {
			return d.truncated()
		}
		size := (int(b[1]) + 2) * 4
		if size > len(b) {
			return d.truncated()
		}
		p.Upper = b[0]
		d.layer(LayerAH, size)
		return nextTransport
	case protoESP:
		if len(b) < 8 {
			return d.truncated()
		}
		d.layer(LayerESP, 8)
	case protoSCTP:
		return d.ported(p, b, LayerSCTP, 12)
	case protoDCCP:
		return d.ported(p, b, LayerDCCP, 12)
	case protoIGMP:
		if len(b) < 8 {
			return d.truncated()
		}
		d.layer(LayerIGMP, 8)
		p.Known |= KnownTransport
		p.Data = uint32(d.off)
	case protoMPLS:
		d.tunnel(TunnelMPLS, 0)
		return etherMPLS
	case protoEthernet:
		return nextEthernet
	}
	return nextDone
}

// tunnel notes what the next IP header, if one comes, is carried by.
func (d *decoder) tunnel(k TunnelKind, id uint32) {
	d.kind, d.id = k, id
}

// RFC 9293, 3.1. Flags are not believed of a header that says it is too short.
func (d *decoder) tcp(p *IP, b []byte) uint32 {
	if len(b) < 20 {
		if len(b) >= 4 {
			d.ports(p, b)
		}
		if len(b) >= 14 && b[12]>>4 >= 5 {
			p.TCPFlags = binary.BigEndian.Uint16(b[12:]) & 0x0fff
			p.Seq, p.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
			p.Known |= KnownTCP
		}
		return d.truncated()
	}
	d.ports(p, b)
	flags := binary.BigEndian.Uint16(b[12:])
	size := int(flags>>12) * 4
	if size < 20 {
		return d.malformed()
	}
	p.Seq, p.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	p.TCPFlags = flags & 0x0fff
	p.Window = binary.BigEndian.Uint16(b[14:])
	p.Known |= KnownTCP
	if size > len(b) {
		return d.truncated()
	}
	d.layer(LayerTCP, size)
	p.Known |= KnownTransport
	p.Data = uint32(d.off)
	return nextDone
}

func (d *decoder) ports(p *IP, b []byte) {
	p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	p.Known |= KnownPorts
}

// ported decodes a transport header of which only the ports are kept.
func (d *decoder) ported(p *IP, b []byte, l Layer, size int) uint32 {
	if len(b) >= 4 {
		d.ports(p, b)
	}
	if len(b) < size {
		return d.truncated()
	}
	d.layer(l, size)
	p.Known |= KnownTransport
	p.Data = uint32(d.off)
	return nextDone
}

// RFC 768.
func (d *decoder) udp(p *IP, b []byte) uint32 {
	if len(b) < 8 {
		if len(b) >= 4 {
			d.ports(p, b)
		}
		return d.truncated()
	}
	d.ports(p, b)
	if p.Upper == protoUDPLite {
		d.layer(LayerUDPLite, 8)
	} else {
		d.layer(LayerUDP, 8)
	}
	p.Known |= KnownTransport
	p.Data = uint32(d.off)
	// A length below 8 is a lie, or means "as long as IP says" (RFC 2675, 4).
	if n := int(binary.BigEndian.Uint16(b[4:])); n >= 8 && n < len(b) {
		d.end = d.off - 8 + n
	}
	if d.off >= d.end {
		return nextDone
	}
	switch p.DstPort {
	case portVXLAN, portVXLANGPE, portVXLANOld:
		return nextVXLAN
	case portGeneve:
		return nextGeneve
	case portGTPU:
		return nextGTPU
	case portMPLS:
		d.tunnel(TunnelMPLS, 0)
		return etherMPLS
	case portTeredo:
		return nextTeredo
	}
	switch p.SrcPort {
	case portTeredo:
		return nextTeredo
	case portGTPU:
		return nextGTPU
	}
	return nextDone
}

// RFC 792, RFC 4443. The packet that an error quotes is not looked at.
func (d *decoder) icmp(p *IP, b []byte, l Layer) uint32 {
	if len(b) < 2 {
		return d.truncated()
	}
	p.ICMPType, p.ICMPCode = b[0], b[1]
	p.Known |= KnownICMP
	if len(b) < 4 {
		return d.truncated()
	}
	d.layer(l, min(8, len(b)))
	p.Known |= KnownTransport
	p.Data = uint32(d.off)
	return nextDone
}
