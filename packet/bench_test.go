package packet_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/tributary-net/tributary/packet"
)

var hotPackets = []struct {
	name string
	data []byte
}{
	{"TCP4", ethernet(0x0800, ipv4(6, nil, tcp(40000, 443, 0x18, make([]byte, 74))))},
	{"VLAN-UDP6", ethernet(0x8100, cat(be16(100, 0x86dd), ipv6(17, udp(40000, 53, make([]byte, 62)))))},
	{"VXLAN", ethernet(0x0800, ipv4(17, nil, udp(50000, 4789, cat([]byte{8, 0, 0, 0, 0, 0, 42, 0},
		ethernet(0x0800, ipv4(6, nil, tcp(40000, 443, 0x10, make([]byte, 24))))))))},
}

func BenchmarkHeaders(b *testing.B) {
	for _, p := range hotPackets {
		b.Run(p.name, func(b *testing.B) {
			var h packet.Headers
			b.ReportAllocs()
			b.SetBytes(int64(len(p.data)))
			for b.Loop() {
				if err := h.Decode(packet.LinkEthernet, p.data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestHeadersDoNotAllocate(t *testing.T) {
	var h packet.Headers
	for _, p := range hotPackets {
		if n := testing.AllocsPerRun(100, func() { _ = h.Decode(packet.LinkEthernet, p.data) }); n != 0 {
			t.Errorf("%s: %v allocations", p.name, n)
		}
	}
}

// captureFile is a file of n packets.
func captureFile(tb testing.TB, f packet.Format, n int) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := packet.NewWriter(&b, f, packet.LinkEthernet)
	if err != nil {
		tb.Fatal(err)
	}
	p := packet.Packet{Link: packet.LinkEthernet}
	for i := range n {
		p.Time = time.Unix(1700000000, int64(i)*1000)
		p.Data = hotPackets[i%len(hotPackets)].data
		p.Length = len(p.Data)
		if err := w.Write(&p); err != nil {
			tb.Fatal(err)
		}
	}
	return b.Bytes()
}

func BenchmarkReader(b *testing.B) {
	for name, f := range map[string]packet.Format{"pcap": packet.Pcap, "pcapng": packet.Pcapng} {
		b.Run(name, func(b *testing.B) {
			const n = 10000
			file := captureFile(b, f, n)
			b.ReportAllocs()
			b.SetBytes(int64(len(file) / n))
			var p packet.Packet
			left := 0
			var r *packet.Reader
			for b.Loop() {
				if left == 0 {
					b.StopTimer()
					var err error
					if r, err = packet.NewReader(bytes.NewReader(file)); err != nil {
						b.Fatal(err)
					}
					left = n
					b.StartTimer()
				}
				if err := r.Next(&p); err != nil {
					b.Fatal(err)
				}
				left--
			}
		})
	}
}

func BenchmarkDatagramReader(b *testing.B) {
	const n = 10000
	file := captureFile(b, packet.Pcap, n)
	b.ReportAllocs()
	b.SetBytes(int64(len(file) / n))
	var g packet.Datagram
	var d *packet.DatagramReader
	for b.Loop() {
		if d == nil {
			b.StopTimer()
			r, err := packet.NewReader(bytes.NewReader(file))
			if err != nil {
				b.Fatal(err)
			}
			d = packet.NewDatagramReader(r)
			b.StartTimer()
		}
		if err := d.Next(&g); errors.Is(err, io.EOF) {
			d = nil
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	for _, f := range []packet.Format{packet.Pcap, packet.Pcapng} {
		r, err := packet.NewReader(bytes.NewReader(captureFile(t, f, 2000)))
		if err != nil {
			t.Fatal(err)
		}
		var p packet.Packet
		if n := testing.AllocsPerRun(1000, func() {
			if err := r.Next(&p); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("format %d: %v allocations", f, n)
		}
	}
}
