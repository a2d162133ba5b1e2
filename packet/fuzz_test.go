package packet_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/tributary-net/tributary/packet"
)

func FuzzReader(f *testing.F) {
	for _, format := range []packet.Format{packet.Pcap, packet.PcapMicro, packet.Pcapng} {
		f.Add(captureFile(f, format, 5))
	}
	f.Add([]byte("\x0a\x0d\x0d\x0a"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := packet.NewReader(bytes.NewReader(file))
		if err != nil {
			if !errors.Is(err, packet.ErrFormat) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		var p packet.Packet
		var h packet.Headers
		var join packet.Reassembler
		var g packet.Datagram
		total := 0
		for {
			if err = r.Next(&p); err != nil {
				break
			}
			total += len(p.Data) + 8
			if len(p.Data) > p.Length || total > len(file) {
				t.Fatalf("%d bytes of packet, %d on the wire, %d so far, in a file of %d", len(p.Data), p.Length, total, len(file))
			}
			_ = h.Decode(p.Link, p.Data)
			checkHeaders(t, &h, p.Data)
			if join.UDP(&p, &g) && len(g.Payload) > g.Length {
				t.Fatalf("%d bytes of a payload of %d", len(g.Payload), g.Length)
			}
		}
		if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, packet.ErrFormat) {
			t.Fatalf("unexpected error %v", err)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	for _, p := range hotPackets {
		f.Add(uint16(packet.LinkEthernet), p.data)
	}
	inner := ipv6(0, cat(extension(43, make([]byte, 6)), extension(44, cat([]byte{4, 0, 0}, make([]byte, 19))),
		[]byte{6, 0}, be16(0), be32(1), tcp(1, 2, 3, nil)))
	f.Add(uint16(packet.LinkRaw), ipv4(41, nil, inner))
	f.Add(uint16(packet.LinkRaw), ipv4(47, []byte{1, 1, 1, 1}, cat(be16(0xb000, 0x8847, 0, 0), be32(1, 2, 3<<12|0x100), inner)))
	f.Add(uint16(packet.LinkEthernet), ethernet(0x8864, cat([]byte{0x11, 0, 0, 1, 0, 99, 0, 0x57}, inner)))
	f.Add(uint16(packet.LinkRaw), ipv4(17, nil, udp(1, 2152, cat([]byte{0x34, 255, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0}, inner))))
	f.Add(uint16(packet.LinkRaw), ipv4(17, nil, udp(1, 6081, cat([]byte{1, 0, 0x86, 0xdd, 0, 0, 5, 0, 1, 2, 3, 4}, inner))))
	f.Add(uint16(packet.LinkRaw), ipv4(17, nil, udp(3544, 1, inner)))
	for _, l := range []packet.LinkType{0, 9, 50, 51, 104, 105, 108, 113, 127, 166, 219, 228, 229, 276} {
		f.Add(uint16(l), make([]byte, 64))
	}
	var dirty packet.Headers
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		var h packet.Headers
		err := h.Decode(packet.LinkType(link), data)
		checkHeaders(t, &h, data)
		switch err {
		case nil, packet.ErrTruncated, packet.ErrMalformed, packet.ErrLinkType:
		default:
			t.Fatalf("unexpected error %v", err)
		}
		// Used again, the struct says the same.
		if again := dirty.Decode(packet.LinkType(link), data); again != err || dirty.IP != h.IP || dirty.Inner != h.Inner ||
			dirty.EtherType != h.EtherType || dirty.Tunnel != h.Tunnel || dirty.TunnelID != h.TunnelID ||
			dirty.LayerCount != h.LayerCount || dirty.VLANCount != h.VLANCount || dirty.LabelCount != h.LabelCount ||
			dirty.SegmentCount != h.SegmentCount || dirty.HasMAC != h.HasMAC || dirty.HasInnerMAC != h.HasInnerMAC {
			t.Fatalf("used again: %v, %+v, want %v, %+v", again, dirty, err, h)
		}
	})
}

// Fragments of one packet whose bytes tell their place, in any order and overlap:
// what is joined has every byte in its place, and no bound is passed.
func FuzzReassembler(f *testing.F) {
	f.Add([]byte{0, 2, 1, 2, 2, 1, 4, 1, 0})
	f.Add([]byte{4, 1, 0, 0, 2, 1, 2, 2, 1, 2, 2, 1})
	f.Add([]byte{0, 2, 1, 1, 1, 1, 3, 1, 0})
	whole := sample(256 * 16)
	f.Fuzz(func(t *testing.T, script []byte) {
		script = script[:min(len(script), 600)]
		r := packet.NewReassembler(packet.ReassemblerConfig{MaxBytes: 4096, MaxPackets: 3})
		var h packet.Headers
		for ; len(script) >= 3; script = script[3:] {
			off, size, flags := int(script[0])*8, int(script[1]), uint16(script[2])
			if flags&0x10 == 0 {
				size *= 8 // most fragments are of a valid length
			}
			frag := uint16(off / 8)
			if flags&1 != 0 {
				frag |= 0x2000
			}
			b := ipv4Fragment(17, nil, whole[off:off+size], flags>>1&7, frag)
			if err := h.Decode(packet.LinkRaw, b); err != nil && !h.IP.Fragment() {
				continue
			}
			if body, proto, ok := r.Add(epoch, &h.IP, b); ok && (proto != 17 || !bytes.Equal(body, whole[:len(body)])) {
				t.Fatalf("joined %d bytes of protocol %d, which are not the packet's", len(body), proto)
			}
			if n, held := r.Held(); n > 3 || held > 4096 {
				t.Fatalf("%d packets, %d bytes held", n, held)
			}
		}
	})
}
