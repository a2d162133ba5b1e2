package packet

import "encoding/binary"

// link decodes headers that only the outermost link can have.
func (d *decoder) link(l LinkType) uint32 {
	b := d.data
	switch l {
	case LinkEthernet:
		return nextEthernet
	case LinkRaw, LinkRawBSD, LinkRawOpenBSD:
		return nextIP
	case LinkIPv4:
		return d.ether(etherIPv4)
	case LinkIPv6:
		return d.ether(etherIPv6)
	case LinkNull, LinkLoop:
		if len(b) < 4 {
			return d.truncated()
		}
		d.layer(LayerLink, 4)
		return d.family(binary.BigEndian.Uint32(b))
	case LinkLinuxSLL:
		if len(b) < 16 {
			return d.truncated()
		}
		if binary.BigEndian.Uint16(b[4:]) == 6 {
			d.h.SrcMAC, d.h.DstMAC = [6]byte(b[6:12]), [6]byte{}
			d.h.HasMAC = true
		}
		d.layer(LayerLink, 16)
		return d.etherOrLLC(binary.BigEndian.Uint16(b[14:]))
	case LinkLinuxSLL2:
		if len(b) < 20 {
			return d.truncated()
		}
		if b[11] == 6 {
			d.h.SrcMAC, d.h.DstMAC = [6]byte(b[12:18]), [6]byte{}
			d.h.HasMAC = true
		}
		d.layer(LayerLink, 20)
		return d.etherOrLLC(binary.BigEndian.Uint16(b))
	case LinkPPP, LinkPPPHDLC, LinkPPPPPPD:
		return nextPPPHDLC
	case LinkPPPoE:
		return etherPPPoE
	case LinkCiscoHDLC:
		return nextCisco
	case LinkMPLS:
		return d.ether(etherMPLS)
	case LinkDot11:
		return nextDot11
	case LinkRadiotap:
		if len(b) < 8 {
			return d.truncated()
		}
		size := int(binary.LittleEndian.Uint16(b[2:]))
		if size < 8 {
			return d.malformed()
		}
		if size > len(b) {
			return d.truncated()
		}
		d.layer(LayerLink, size)
		return nextDot11
	}
	d.err = ErrLinkType
	return nextDone
}

// family maps the address families of loopback headers, in either byte order: 2
// is IPv4 everywhere, IPv6 is 10, 24, 28 or 30.
func (d *decoder) family(f uint32) uint32 {
	if f&0xffff == 0 {
		f = f>>24 | f>>8&0xff00
	}
	switch f {
	case 2:
		return d.ether(etherIPv4)
	case 10, 24, 28, 30:
		return d.ether(etherIPv6)
	}
	return nextDone
}

// etherOrLLC takes the protocol field of Linux's cooked captures, in which small
// numbers are no EtherTypes.
func (d *decoder) etherOrLLC(t uint16) uint32 {
	switch {
	case t >= 0x0600:
		return d.ether(t)
	case t == 4:
		return nextLLC
	}
	return nextDone
}

// IEEE 802.3: addresses, then an EtherType (0x0600 and up) or the length of an
// 802.2 frame.
func (d *decoder) ethernet() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 14 {
		return d.truncated()
	}
	h := d.h
	if d.outer() {
		if !h.HasMAC {
			h.DstMAC, h.SrcMAC = [6]byte(b[:6]), [6]byte(b[6:12])
			h.HasMAC = true
		}
	} else {
		h.InnerDstMAC, h.InnerSrcMAC = [6]byte(b[:6]), [6]byte(b[6:12])
		h.HasInnerMAC = true
	}
	d.layer(LayerEthernet, 14)
	return d.typeOrLength(binary.BigEndian.Uint16(b[12:]))
}

func (d *decoder) typeOrLength(t uint16) uint32 {
	if t >= 0x0600 {
		return d.ether(t)
	}
	if t <= 1500 {
		d.end = min(d.end, d.off+int(t))
	}
	return nextLLC
}

// IEEE 802.1Q, 9.3.
func (d *decoder) vlan(tpid uint16) uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 4 {
		return d.truncated()
	}
	if d.outer() && d.h.LabelCount == 0 {
		if i := d.h.VLANCount; i < MaxVLANs {
			d.h.VLANs[i] = VLAN{TPID: tpid, TCI: binary.BigEndian.Uint16(b)}
			d.h.VLANCount++
		}
	}
	d.layer(LayerVLAN, 4)
	return d.typeOrLength(binary.BigEndian.Uint16(b[2:]))
}

// securityGroup passes over Cisco metadata: version, length in words, the options
// of that length, and the type of what follows.
func (d *decoder) securityGroup() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 2 {
		return d.truncated()
	}
	size := 4 + int(b[1])*4
	if len(b) < size {
		return d.truncated()
	}
	d.off += size
	return d.typeOrLength(binary.BigEndian.Uint16(b[size-2:]))
}

// IEEE 802.2, and its subnetwork access protocol.
func (d *decoder) llc() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 3 {
		return d.truncated()
	}
	if d.outer() {
		d.h.EtherType = 0
	}
	switch {
	case b[0] == 0xaa && b[1] == 0xaa:
		if len(b) < 8 {
			return d.truncated()
		}
		d.layer(LayerLLC, 8)
		// Zero is Ethernet's own space of protocols, 0000f8 its bridged form;
		// others belong to vendors (CDP, for instance).
		if oui := uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5]); oui == 0 || oui == 0xf8 {
			return d.ether(binary.BigEndian.Uint16(b[6:]))
		}
	case b[0] == 0x06 && b[1] == 0x06:
		d.layer(LayerLLC, 3)
		return d.ether(etherIPv4)
	default:
		d.layer(LayerLLC, 3)
	}
	return nextDone
}

// RFC 3032, 2.1, and what may be behind the bottom of the stack.
func (d *decoder) mpls() uint32 {
	h := d.h
	outer := d.outer()
	start := d.off
	var label uint32
	for off := d.off; ; {
		if d.end-off < 4 {
			return d.truncated()
		}
		v := binary.BigEndian.Uint32(d.data[off:])
		off += 4
		label = v >> 12
		if outer && h.LabelCount < MaxLabels {
			h.Labels[h.LabelCount] = Label{
				Value: label, Class: uint8(v>>9) & 7, TTL: uint8(v), Bottom: v&0x100 != 0,
			}
			h.LabelCount++
		}
		if v&0x100 != 0 {
			d.layer(LayerMPLS, off-start)
			break
		}
	}
	if d.kind == TunnelMPLS {
		d.id = label
	}
	if d.off >= d.end {
		return nextDone
	}
	switch d.data[d.off] >> 4 {
	case 4:
		if d.data[d.off] >= 0x45 {
			return d.ether(etherIPv4)
		}
	case 6:
		return d.ether(etherIPv6)
	}
	return nextPseudowire
}

// pseudowire looks for Ethernet behind an MPLS stack, with the control word of
// RFC 4385, 3, or without it. Nothing in the packet says which, so a known type in
// the Ethernet header has to.
func (d *decoder) pseudowire() uint32 {
	b := d.data[d.off:d.end]
	switch {
	case len(b) >= 18 && b[0]>>4 == 0 && plausibleEthernet(b[4:]):
		d.layer(LayerPW, 4)
		return nextEthernet
	case len(b) >= 14 && plausibleEthernet(b):
		return nextEthernet
	}
	return nextDone
}

func plausibleEthernet(b []byte) bool {
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherIPv4, etherIPv6, etherARP, etherVLAN, etherQinQ, etherMPLS, etherPPPoE, 0x8863, 0x88cc, 0x8809, 0x8902:
		return true
	}
	return false
}

// RFC 2516, 4 and 6.
func (d *decoder) pppoe() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 6 {
		return d.truncated()
	}
	if b[0] != 0x11 {
		return d.malformed()
	}
	d.layer(LayerPPPoE, 6)
	if n := int(binary.BigEndian.Uint16(b[4:])); d.end-d.off > n {
		d.end = d.off + n
	}
	return nextPPP
}

// pppHDLC decodes PPP as serial links have it: with address and control bytes,
// without them, or as Cisco HDLC, whose address is 0x0f or 0x8f.
func (d *decoder) pppHDLC() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 2 {
		return d.truncated()
	}
	switch b[0] {
	case 0x0f, 0x8f:
		return nextCisco
	}
	return nextPPP
}

// RFC 1661, 2, and RFC 1662, 3.1; the protocol numbers are PPP's own.
func (d *decoder) ppp() uint32 {
	b := d.data[d.off:d.end]
	size := 0
	if len(b) >= 2 && b[1] == 0x03 && (b[0] == 0xff || b[0] <= 1) {
		size = 2 // pppd writes a direction, 0 or 1, for the address
	}
	if len(b) < size+1 {
		return d.truncated()
	}
	var proto uint16
	if b[size]&1 != 0 { // compressed to a byte
		proto = uint16(b[size])
		size++
	} else {
		if len(b) < size+2 {
			return d.truncated()
		}
		proto = binary.BigEndian.Uint16(b[size:])
		size += 2
	}
	d.layer(LayerPPP, size)
	switch proto {
	case 0x0021:
		return d.ether(etherIPv4)
	case 0x0057:
		return d.ether(etherIPv6)
	case 0x0281, 0x0283:
		return d.ether(etherMPLS)
	case 0x0031:
		return d.bridged()
	}
	return nextDone
}

// bridged is a bridged Ethernet frame in PPP (RFC 3518, 4.2).
func (d *decoder) bridged() uint32 {
	if d.end-d.off < 2 {
		return d.truncated()
	}
	if d.data[d.off+1] != 1 {
		return nextDone
	}
	d.off += 2
	return nextEthernet
}

// cisco decodes Cisco HDLC: address, control, EtherType.
func (d *decoder) cisco() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 4 {
		return d.truncated()
	}
	d.layer(LayerCisco, 4)
	return d.ether(binary.BigEndian.Uint16(b[2:]))
}

// IEEE 802.11, 9.2: data frames that are not encrypted.
func (d *decoder) dot11() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 2 {
		return d.truncated()
	}
	if b[0]&0x0f != 0x08 || b[0]&0x40 != 0 || b[1]&0x40 != 0 {
		return nextDone // no data, or protected
	}
	size := 24
	toDS, fromDS := b[1]&1 != 0, b[1]&2 != 0
	if toDS && fromDS {
		size += 6
	}
	if b[0]&0x80 != 0 {
		size += 2 // QoS
		if b[1]&0x80 != 0 {
			size += 4 // HT control
		}
	}
	if len(b) < size {
		return d.truncated()
	}
	if d.outer() && !d.h.HasMAC {
		dst, src := b[4:10], b[10:16]
		switch {
		case toDS && fromDS:
			dst, src = b[16:22], b[24:30]
		case toDS:
			dst = b[16:22]
		case fromDS:
			src = b[16:22]
		}
		d.h.DstMAC, d.h.SrcMAC, d.h.HasMAC = [6]byte(dst), [6]byte(src), true
	}
	d.layer(LayerLink, size)
	return nextLLC
}
