package packet

import "encoding/binary"

// gre decodes GRE (RFC 2784, RFC 2890; routing of RFC 1701) and the version 1 of
// PPTP (RFC 2637, 4.1).
func (d *decoder) gre() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 4 {
		return d.truncated()
	}
	flags, proto := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	version := flags & 7
	size := 4
	key := -1
	if version > 1 {
		d.layer(LayerGRE, 4)
		return nextDone
	}
	if flags&0xc000 != 0 { // checksum or routing present: both fields are there
		size += 4
	}
	if flags&0x2000 != 0 {
		key = size
		size += 4
	}
	if flags&0x1000 != 0 {
		size += 4
	}
	if version == 1 && flags&0x0080 != 0 {
		size += 4
	}
	if version == 0 && flags&0x4000 != 0 {
		// Source route entries, the last of which has length 0.
		for {
			if size+4 > len(b) {
				return d.truncated()
			}
			n := int(b[size+3])
			size += 4 + n
			if n == 0 {
				break
			}
		}
	}
	if size > len(b) {
		return d.truncated()
	}
	var id uint32
	if key > 0 {
		id = binary.BigEndian.Uint32(b[key:])
		if version == 1 {
			id &= 0xffff // the call; the upper half is the payload's length
		}
	}
	d.layer(LayerGRE, size)
	d.tunnel(TunnelGRE, id)
	if d.off >= d.end {
		return nextDone // an acknowledgment without payload, or a keepalive
	}
	switch proto {
	case etherERSPAN2:
		if flags&0x1000 == 0 {
			return nextEthernet // type I has no header of its own
		}
		return etherERSPAN2
	case etherSGT:
		// Here the type of what follows comes first.
		if b = b[size:]; len(b) < 4 || len(b) < 4+int(b[3])*4 {
			return d.truncated()
		}
		d.off += 4 + int(b[3])*4
		return uint32(binary.BigEndian.Uint16(b))
	case etherIPv4, etherIPv6, etherTEB, etherMPLS, etherMPLSMulti, etherPPPInGRE, etherERSPAN3, etherVLAN, etherQinQ:
		return uint32(proto)
	}
	return nextDone
}

// erspan passes over the header of mirrored frames, type II (8 bytes) or III (12,
// or 20 with its optional part).
func (d *decoder) erspan(kind uint32) uint32 {
	size := 8
	b := d.data[d.off:d.end]
	if kind == etherERSPAN3 {
		size = 12
		if len(b) >= 12 && b[11]&1 != 0 {
			size = 20
		}
	}
	if len(b) < size {
		return d.truncated()
	}
	d.off += size
	return nextEthernet
}

// RFC 7348, 5, and its generic protocol extension (draft-ietf-nvo3-vxlan-gpe).
func (d *decoder) vxlan() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 8 {
		return d.truncated()
	}
	if b[0]&0x08 == 0 {
		return nextDone // no valid network identifier: something else on that port
	}
	next := nextEthernet
	if d.cur.DstPort == portVXLANGPE && b[0]&0x04 != 0 {
		switch b[3] {
		case 1:
			next = etherIPv4
		case 2:
			next = etherIPv6
		case 3:
		case 5:
			next = etherMPLS
		default:
			next = nextDone
		}
	}
	d.tunnel(TunnelVXLAN, binary.BigEndian.Uint32(b[4:])>>8)
	d.layer(LayerVXLAN, 8)
	return next
}

// RFC 8926, 3.4.
func (d *decoder) geneve() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 8 {
		return d.truncated()
	}
	if b[0]>>6 != 0 {
		return nextDone
	}
	size := 8 + int(b[0]&0x3f)*4
	if size > len(b) {
		return d.truncated()
	}
	d.tunnel(TunnelGeneve, binary.BigEndian.Uint32(b[4:])>>8)
	d.layer(LayerGeneve, size)
	switch proto := binary.BigEndian.Uint16(b[2:]); proto {
	case etherTEB, etherIPv4, etherIPv6, etherMPLS:
		return uint32(proto)
	}
	return nextDone
}

// 3GPP TS 29.281, 5.1 and 5.2.
func (d *decoder) gtpu() uint32 {
	b := d.data[d.off:d.end]
	if len(b) < 8 {
		return d.truncated()
	}
	// Version 1, protocol type GTP, message type G-PDU.
	if b[0]>>5 != 1 || b[0]&0x10 == 0 || b[1] != 255 {
		return nextDone
	}
	size := 8
	if b[0]&0x07 != 0 {
		size = 12
		if len(b) < 12 {
			return d.truncated()
		}
		if b[0]&0x04 != 0 {
			for next := b[11]; next != 0; {
				if size >= len(b) {
					return d.truncated()
				}
				n := int(b[size]) * 4
				if n == 0 {
					return d.malformed()
				}
				if size+n > len(b) {
					return d.truncated()
				}
				size += n
				next = b[size-1]
			}
		}
	}
	d.tunnel(TunnelGTPU, binary.BigEndian.Uint32(b[4:]))
	d.layer(LayerGTPU, size)
	if d.off >= d.end {
		return nextDone
	}
	switch d.data[d.off] >> 4 {
	case 4:
		return etherIPv4
	case 6:
		return etherIPv6
	}
	return nextDone // the user's link may be Ethernet or PPP: nothing says so here
}

// RFC 4380, 5.1.1: authentication and origin before an IPv6 packet. The port alone
// does not prove that it is Teredo, so anything else ends decoding quietly.
func (d *decoder) teredo() uint32 {
	b := d.data[d.off:d.end]
	size := 0
	if len(b) >= 4 && b[0] == 0 && b[1] == 1 {
		size = 4 + int(b[2]) + int(b[3]) + 9
	}
	if len(b) >= size+8 && b[size] == 0 && b[size+1] == 0 {
		size += 8
	}
	if len(b) < size+40 || b[size]>>4 != 6 {
		return nextDone
	}
	d.tunnel(TunnelTeredo, 0)
	d.layer(LayerTeredo, size)
	return etherIPv6
}
