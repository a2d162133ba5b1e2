package packet_test

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/packet"
)

// wantFlow is a unidirectional flow of an expected result. Absent ports mean that
// the packets have none.
type wantFlow struct {
	Src       string  `json:"src_addr"`
	Dst       string  `json:"dst_addr"`
	Proto     uint8   `json:"proto"`
	SrcPort   *uint16 `json:"src_port"`
	DstPort   *uint16 `json:"dst_port"`
	Packets   int
	Bytes     int     `json:"ip_bytes"`
	Frames    int     `json:"frame_bytes"`
	First     int64   `json:"first_us"`
	Last      int64   `json:"last_us"`
	TCPFlags  *uint16 `json:"tcp_flags"`
	Fragments int
	VLANs     [][]uint16
	ICMP      [][]uint8
}

func (w *wantFlow) key() string {
	if w.SrcPort == nil {
		return fmt.Sprintf("%s %s %d", w.Src, w.Dst, w.Proto)
	}
	return fmt.Sprintf("%s %s %d %d %d", w.Src, w.Dst, w.Proto, *w.SrcPort, *w.DstPort)
}

type gotFlow struct {
	packets, bytes, frames, fragments int
	first, last                       int64
	flags                             uint16
	vlans                             [][]uint16
	icmp                              [][]uint8
}

// flowTable sums packets up by the five-tuple of their outer or innermost header.
type flowTable map[string]*gotFlow

func (f flowTable) add(p *packet.Packet, h *packet.Headers, ip *packet.IP) {
	key := fmt.Sprintf("%v %v %d", ip.SrcAddr(), ip.DstAddr(), ip.Proto)
	if ip.Known&packet.KnownPorts != 0 {
		key += fmt.Sprintf(" %d %d", ip.SrcPort, ip.DstPort)
	}
	g := f[key]
	if g == nil {
		g = &gotFlow{first: p.Time.UnixMicro()}
		f[key] = g
	}
	g.packets++
	g.bytes += int(ip.Length)
	g.frames += p.Length
	g.last = p.Time.UnixMicro()
	if ip.Fragment() {
		g.fragments++
	}
	g.flags |= ip.TCPFlags
	if h.VLANCount > 0 {
		var ids []uint16
		for _, v := range h.VLANs[:h.VLANCount] {
			ids = append(ids, v.ID())
		}
		g.vlans = addNew(g.vlans, ids)
	}
	if ip.Known&packet.KnownICMP != 0 {
		g.icmp = addNew(g.icmp, []uint8{ip.ICMPType, ip.ICMPCode})
	}
}

func addNew[T uint8 | uint16](list [][]T, v []T) [][]T {
	if slices.ContainsFunc(list, func(x []T) bool { return slices.Equal(x, v) }) {
		return list
	}
	return append(list, v)
}

func same[T uint8 | uint16](a, b [][]T) bool {
	less := slices.Compare[[]T]
	slices.SortFunc(a, less)
	slices.SortFunc(b, less)
	return slices.EqualFunc(a, b, slices.Equal[[]T])
}

func (f flowTable) compare(t *testing.T, want []wantFlow) {
	t.Helper()
	for i := range want {
		w := &want[i]
		g := f[w.key()]
		if g == nil {
			t.Errorf("no flow %s", w.key())
			continue
		}
		delete(f, w.key())
		if g.packets != w.Packets || g.bytes != w.Bytes || g.frames != w.Frames || g.fragments != w.Fragments {
			t.Errorf("%s: %d packets, %d bytes, %d of frames, %d fragments; want %d, %d, %d, %d", w.key(),
				g.packets, g.bytes, g.frames, g.fragments, w.Packets, w.Bytes, w.Frames, w.Fragments)
		}
		if g.first != w.First || g.last != w.Last {
			t.Errorf("%s: from %d to %d, want %d to %d", w.key(), g.first, g.last, w.First, w.Last)
		}
		if w.TCPFlags != nil && g.flags != *w.TCPFlags {
			t.Errorf("%s: TCP flags %#x, want %#x", w.key(), g.flags, *w.TCPFlags)
		}
		if !same(g.vlans, w.VLANs) || !same(g.icmp, w.ICMP) {
			t.Errorf("%s: VLANs %v, ICMP %v; want %v, %v", w.key(), g.vlans, g.icmp, w.VLANs, w.ICMP)
		}
	}
	for key, g := range f {
		t.Errorf("unexpected flow %s of %d packets", key, g.packets)
	}
}

// Packets of all sorts of links and tunnels, summed up by five-tuple, are what
// independent decoders say they are.
func TestFlowsOfCaptures(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(captures.Dir(t), "packets", "*.pcap"))
	if len(files) < 31 {
		t.Fatalf("%d captures, want at least 31", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pcap"), func(t *testing.T) {
			var want struct {
				Kind    string
				Total   int        `json:"packets_total"`
				NonIP   int        `json:"non_ip_packets"`
				Bad     int        `json:"malformed_packets"`
				Tunnels int        `json:"tunnelled_packets"`
				Outer   []wantFlow `json:"flows_outer"`
				Inner   []wantFlow `json:"flows_inner"`
			}
			captures.ReadJSON(t, strings.TrimSuffix(file, ".pcap")+".expected.json", &want)
			r := open(t, file)
			var p packet.Packet
			var h packet.Headers
			outer, inner := flowTable{}, flowTable{}
			total, nonIP, tunnels := 0, 0, 0
			for {
				err := r.Next(&p)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				total++
				err = h.Decode(p.Link, p.Data)
				checkHeaders(t, &h, p.Data)
				if err != nil && want.Kind != "malformed" && !h.IP.Fragment() {
					t.Errorf("packet %d: %v", total, err)
				}
				if h.IP.Version == 0 {
					nonIP++
					continue
				}
				if h.Tunnels > 0 {
					tunnels++
				}
				outer.add(&p, &h, &h.IP)
				inner.add(&p, &h, h.Flow())
			}
			if total != want.Total {
				t.Errorf("%d packets, want %d", total, want.Total)
			}
			if want.Kind == "malformed" || want.Bad > 0 {
				return // the decoders asked gave up on packets we may understand
			}
			if nonIP != want.NonIP || tunnels != want.Tunnels {
				t.Errorf("%d packets are not IP, %d in tunnels; want %d, %d", nonIP, tunnels, want.NonIP, want.Tunnels)
			}
			outer.compare(t, want.Outer)
			if want.Inner != nil {
				inner.compare(t, want.Inner)
			}
		})
	}
}

// checkHeaders checks what holds for the headers of any bytes.
func checkHeaders(t *testing.T, h *packet.Headers, data []byte) {
	t.Helper()
	end := uint32(0)
	for i, l := range h.Layers[:h.LayerCount] {
		if l.Offset < end || l.Offset+uint32(l.Size) > uint32(len(data)) {
			t.Fatalf("layer %d %+v after %d, in %d bytes", i, l, end, len(data))
		}
		end = l.Offset + uint32(l.Size)
	}
	for _, ip := range []*packet.IP{&h.IP, &h.Inner} {
		if ip.Version == 0 {
			if *ip != (packet.IP{}) {
				t.Fatalf("no IP header, but %+v", *ip)
			}
			continue
		}
		if ip.Offset > ip.Payload || ip.Payload > ip.End || ip.End > uint32(len(data)) {
			t.Fatalf("IP header from %d to %d, packet to %d, in %d bytes", ip.Offset, ip.Payload, ip.End, len(data))
		}
		if ip.Known&packet.KnownTransport != 0 && (ip.Data < ip.Payload || ip.Data > ip.End) {
			t.Fatalf("transport header from %d to %d, packet to %d", ip.Payload, ip.Data, ip.End)
		}
		if !ip.SrcAddr().IsValid() || len(ip.DstBytes()) != ip.DstAddr().BitLen()/8 {
			t.Fatalf("addresses %v and %v", ip.SrcAddr(), ip.DstAddr())
		}
	}
	if (h.Tunnels > 0) != (h.Inner.Version != 0) {
		t.Fatalf("%d tunnels, inner version %d", h.Tunnels, h.Inner.Version)
	}
}
