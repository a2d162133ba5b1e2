package packet_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/tributary-net/tributary/packet"
)

var epoch = time.Unix(1700000000, 0).UTC()

// split4 cuts what an IPv4 packet carries into fragments of size bytes.
func split4(proto uint8, id uint16, payload []byte, size int) [][]byte {
	var out [][]byte
	for off := 0; off < len(payload); off += size {
		frag := uint16(off / 8)
		end := min(off+size, len(payload))
		if end < len(payload) {
			frag |= 0x2000
		}
		out = append(out, ipv4Fragment(proto, nil, payload[off:end], id, frag))
	}
	return out
}

func split6(next uint8, id uint32, payload []byte, size int) [][]byte {
	var out [][]byte
	for off := 0; off < len(payload); off += size {
		frag := uint16(off)
		end := min(off+size, len(payload))
		if end < len(payload) {
			frag |= 1
		}
		out = append(out, ipv6(44, cat([]byte{next, 0}, be16(frag), be32(id), payload[off:end])))
	}
	return out
}

func sample(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// give hands packets to r and returns the datagrams that come out.
func give(r *packet.Reassembler, packets ...[]byte) []packet.Datagram {
	var out []packet.Datagram
	for i, b := range packets {
		p := packet.Packet{Time: epoch.Add(time.Duration(i)), Link: packet.LinkRaw, Length: len(b), Data: b}
		var g packet.Datagram
		if r.UDP(&p, &g) {
			g.Payload = bytes.Clone(g.Payload)
			out = append(out, g)
		}
	}
	return out
}

func TestReassembly(t *testing.T) {
	payload := sample(5000)
	dgram := udp(1000, 2055, payload)
	dest := extension(17, make([]byte, 6))
	for name, frags := range map[string][][]byte{
		"IPv4": split4(17, 9, dgram, 1480),
		"IPv6": split6(17, 9, dgram, 1232),
		"IPv6 with an option header in the fragments": split6(60, 9, cat(dest, dgram), 1232),
		"smallest": split4(17, 10, dgram, 8),
	} {
		for round := range 20 {
			rnd := rand.New(rand.NewPCG(1, uint64(round)))
			list := append([][]byte(nil), frags...)
			// Any order, some of them twice.
			list = append(list, frags[rnd.IntN(len(frags))])
			rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			var r packet.Reassembler
			got := give(&r, list...)
			if len(got) != 1 || !bytes.Equal(got[0].Payload, payload) || got[0].Length != len(payload) {
				t.Fatalf("%s: %d datagrams, %+v", name, len(got), r.Stats())
			}
			if got[0].Source.Port() != 1000 || got[0].Destination.Port() != 2055 {
				t.Fatalf("%s: %v to %v", name, got[0].Source, got[0].Destination)
			}
		}
	}
}

func TestReassemblyKeepsPacketsApart(t *testing.T) {
	var r packet.Reassembler
	a := split4(17, 1, udp(1, 2, sample(3000)), 1480)
	b := split4(17, 2, udp(3, 4, sample(2000)), 1480)
	c := split6(17, 1, udp(5, 6, sample(2500)), 1200)
	other := split4(6, 1, sample(3000), 1480) // same identifier, another protocol
	got := give(&r, a[0], b[0], c[0], other[0], other[1], c[1], c[2], b[1], a[2], a[1])
	if len(got) != 3 || got[0].Source != netip.AddrPortFrom(addC, 5) || len(got[1].Payload) != 2000 || len(got[2].Payload) != 3000 {
		t.Fatalf("%d datagrams: %v", len(got), got)
	}
	if s := r.Stats(); s.Joined != 3 || s.Fragments != 10 {
		t.Errorf("%+v", s)
	}
	if n, _ := r.Held(); n != 1 {
		t.Errorf("%d packets held", n)
	}
}

func TestOverlaps(t *testing.T) {
	dgram := udp(1, 2, sample(2992))
	frag := func(off, end int, more bool) []byte {
		f := uint16(off / 8)
		if more {
			f |= 0x2000
		}
		return ipv4Fragment(17, nil, dgram[off:end], 5, f)
	}
	for name, list := range map[string][][]byte{
		"overlap":              {frag(0, 1480, true), frag(1472, 3000, false), frag(1480, 3000, false)},
		"contained":            {frag(0, 1480, true), frag(8, 16, true), frag(1480, 3000, false)},
		"around":               {frag(1480, 1488, true), frag(1472, 1496, true), frag(0, 1480, true), frag(1488, 3000, false)},
		"two ends":             {frag(1480, 3000, false), frag(1480, 1600, false), frag(0, 1480, true)},
		"beyond the end":       {frag(16, 1480, false), frag(1480, 2960, true), frag(0, 16, true)},
		"end before the start": {frag(1480, 2960, true), frag(8, 16, false), frag(0, 8, true)},
	} {
		var r packet.Reassembler
		if got := give(&r, list...); len(got) != 0 {
			t.Errorf("%s: %d datagrams", name, len(got))
		}
		if s := r.Stats(); s.Overlapping != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	var r packet.Reassembler
	odd := ipv4Fragment(17, nil, dgram[:1475], 6, 0x2000)
	empty := ipv4Fragment(17, nil, nil, 6, 0x2000)
	beyond := ipv4Fragment(17, nil, dgram[:1480], 6, 0x1fff)
	cut := frag(0, 1480, true)[:1000]
	if got := give(&r, odd, empty, beyond, cut); len(got) != 0 || r.Stats().Unusable != 4 {
		t.Errorf("%d datagrams, %+v", len(got), r.Stats())
	}
}

func TestReassemblyBounds(t *testing.T) {
	r := packet.NewReassembler(packet.ReassemblerConfig{MaxBytes: 100 << 10, MaxPackets: 50, Timeout: time.Second})
	first := func(id uint16, size int) []byte { return split4(17, id, udp(1, 2, sample(3000)), size)[0] }
	for id := range uint16(1000) {
		give(r, first(id, 1480))
		if n, bytes := r.Held(); n > 50 || bytes > 100<<10 {
			t.Fatalf("%d packets, %d bytes held", n, bytes)
		}
	}
	if s := r.Stats(); s.Evicted != 950 {
		t.Errorf("%+v", s)
	}
	// Many tiny fragments of one packet cost what they cost.
	for _, f := range split4(17, 2000, sample(60000), 8)[1:] {
		give(r, f)
		if n, bytes := r.Held(); n > 50 || bytes > 100<<10 {
			t.Fatalf("%d packets, %d bytes held", n, bytes)
		}
	}
	// Age.
	frags := split4(17, 3000, udp(1, 2, sample(3000)), 1480)
	var g packet.Datagram
	for i, b := range frags {
		p := packet.Packet{Time: epoch.Add(time.Duration(i) * 800 * time.Millisecond), Link: packet.LinkRaw, Data: b}
		if r.UDP(&p, &g) {
			t.Error("joined after its time")
		}
	}
	if s := r.Stats(); s.Expired == 0 {
		t.Errorf("%+v", s)
	}
	// Whatever went on, all is given back in the end.
	p := packet.Packet{Time: epoch.Add(time.Hour), Link: packet.LinkRaw, Data: first(1, 1480)}
	r.UDP(&p, &g)
	if n, bytes := r.Held(); n != 1 || bytes > 2000 {
		t.Errorf("%d packets, %d bytes held", n, bytes)
	}
}

func TestDatagramsOfPackets(t *testing.T) {
	payload := []byte("payload")
	check := func(name string, link packet.LinkType, data []byte, want string, length int) {
		t.Helper()
		var r packet.Reassembler
		var g packet.Datagram
		p := packet.Packet{Time: epoch, Link: link, Length: len(data), Data: data}
		if !r.UDP(&p, &g) {
			t.Errorf("%s: no datagram", name)
			return
		}
		if string(g.Payload) != want || g.Length != length || g.Source.Port() != 1 || g.Destination.Port() != 2 || g.Time != epoch {
			t.Errorf("%s: %+v", name, g)
		}
	}
	check("padding", packet.LinkEthernet, cat(ethernet(0x0800, ipv4(17, nil, udp(1, 2, payload))), make([]byte, 11)), "payload", 7)
	check("UDP shorter than IP", packet.LinkRaw, ipv4(17, nil, cat(udp(1, 2, payload), []byte("junk"))), "payload", 7)
	long := ipv4(17, nil, udp(1, 2, sample(100)))
	check("cut by the capture", packet.LinkRaw, long[:20+8+10], string(sample(10)), 100)
	check("IPv6", packet.LinkRaw, ipv6(17, udp(1, 2, payload)), "payload", 7)
	check("behind an option header", packet.LinkRaw, ipv6(60, cat(extension(17, make([]byte, 6)), udp(1, 2, payload))), "payload", 7)
	check("mirrored by GRE", packet.LinkRaw, ipv4(47, nil, cat(be16(0, 0x6558), ethernet(0x0800, ipv4(17, nil, udp(1, 2, payload))))), "payload", 7)
	zero := udp(1, 2, payload)
	zero[4], zero[5] = 0, 0
	check("no UDP length", packet.LinkRaw, ipv4(17, nil, zero), "payload", 7)

	var r packet.Reassembler
	small := udp(1, 2, payload)
	small[4], small[5] = 0, 7
	for name, data := range map[string][]byte{
		"TCP":             ipv4(6, nil, tcp(1, 2, 2, nil)),
		"no UDP header":   ipv4(17, nil, []byte{0, 1, 0, 2}),
		"UDP length of 7": ipv4(17, nil, small),
		"nothing":         {},
		"no IP":           {0x12, 0x34},
	} {
		if got := give(&r, data); len(got) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDatagramReader(t *testing.T) {
	var file bytes.Buffer
	w, err := packet.NewWriter(&file, packet.Pcapng, packet.LinkRaw)
	if err != nil {
		t.Fatal(err)
	}
	list := append(split4(17, 3, udp(1, 2, sample(4000)), 1480), ipv4(6, nil, tcp(1, 2, 2, nil)), ipv4(17, nil, udp(1, 2, []byte("x"))))
	for i, b := range list {
		if err := w.Write(&packet.Packet{Time: epoch.Add(time.Duration(i) * time.Second), Link: packet.LinkRaw, Data: b}); err != nil {
			t.Fatal(err)
		}
	}
	in, err := packet.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	r := packet.NewDatagramReader(in)
	var g packet.Datagram
	if err := r.Next(&g); err != nil || !bytes.Equal(g.Payload, sample(4000)) || !g.Time.Equal(epoch.Add(2*time.Second)) {
		t.Errorf("%v, %d bytes at %v", err, len(g.Payload), g.Time)
	}
	if err := r.Next(&g); err != nil || string(g.Payload) != "x" {
		t.Errorf("%v, %q", err, g.Payload)
	}
	if err := r.Next(&g); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if r.Others() != 3 || r.Fragments().Joined != 1 {
		t.Errorf("%d others, %+v", r.Others(), r.Fragments())
	}
}
