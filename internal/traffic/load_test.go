package traffic_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/traffic"
	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/netflow"
	"github.com/tributary-net/tributary/packet"
	"github.com/tributary-net/tributary/sflow"
)

// listen opens a UDP socket on loopback with a large buffer.
func listen(t testing.TB) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestLoad(t *testing.T) {
	for _, protocol := range []traffic.Protocol{traffic.NetFlow5, traffic.NetFlow9, traffic.IPFIX, traffic.SFlow} {
		t.Run(protocol.String(), func(t *testing.T) {
			conn, to := listen(t)
			const first = 1<<24 - 100 // so that numbers go over into the port
			l, err := traffic.NewLoad(traffic.LoadConfig{Protocol: protocol, To: to, Flows: 300, First: first, Exporters: 2, Batch: 3, Seed: 5})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := l.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			records := l.Records()
			want := (300 + records - 1) / records * records
			s := l.Stats()
			if s.Flows != uint64(want) || s.Bytes == 0 || s.Refused != 0 {
				t.Errorf("%+v, want %d flows", s, want)
			}
			r := receiver{templates: map[uint16]*ipfix.Template{}, next: map[uint32]uint32{}, flows: map[uint64]int{}}
			buf := make([]byte, 65536)
			for range s.Datagrams {
				n, err := conn.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				r.receive(t, protocol, buf[:n], l.DatagramBytes())
			}
			for i := range uint64(want) {
				if r.flows[first+i] != 1 {
					t.Fatalf("flow %d came %d times", first+i, r.flows[first+i])
				}
			}
			if len(r.flows) != want {
				t.Errorf("%d different flows, want %d", len(r.flows), want)
			}
			if len(r.next) != 2 {
				t.Errorf("%d exporters, want 2", len(r.next))
			}
		})
	}
}

// receiver counts what a load sends.
type receiver struct {
	templates map[uint16]*ipfix.Template
	next      map[uint32]uint32 // sequence number due, by domain
	flows     map[uint64]int
	datagram  sflow.Datagram
	headers   packet.Headers
}

func (r *receiver) receive(t *testing.T, protocol traffic.Protocol, b []byte, size int) {
	t.Helper()
	sequence := func(domain, got, step uint32) {
		if due, ok := r.next[domain]; ok && got != due {
			t.Fatalf("sequence %d of domain %d, want %d", got, domain, due)
		}
		r.next[domain] = got + step
	}
	recent := func(at time.Time) {
		if age := time.Since(at); age < -2*time.Second || age > 2*time.Minute {
			t.Fatalf("time %v", at)
		}
	}
	var data []record
	switch protocol {
	case traffic.NetFlow5:
		h, records, err := netflow.ParseHeader(b)
		if err != nil || len(b) != size {
			t.Fatalf("%d octets: %v", len(b), err)
		}
		recent(time.Unix(int64(h.UnixSecs), 0))
		sequence(uint32(h.EngineType)<<8|uint32(h.EngineID), h.Sequence, uint32(h.Count))
		for ; len(records) > 0; records = records[48:] {
			var rec netflow.Record
			rec.Decode(5, records)
			if rec.First > rec.Last || rec.Last > h.SysUptime || rec.Packets == 0 || rec.Octets < rec.Packets {
				t.Fatalf("%+v", rec)
			}
			r.flows[traffic.FlowNumber(netip.AddrFrom4(rec.SrcAddr), rec.SrcPort)]++
		}
	case traffic.NetFlow9:
		h, body, err := netflow.ParseV9Header(b)
		if err != nil {
			t.Fatal(err)
		}
		recent(time.Unix(int64(h.UnixSecs), 0))
		sequence(h.SourceID, h.Sequence, 1)
		var templates int
		data, _, templates = decode(t, body, r.templates, true)
		if int(h.Count) != len(data)+templates || templates == 0 && (len(data) != 25 || len(data[0]) != 18 || len(b) != size) {
			t.Fatalf("count %d, %d records, %d templates in %d octets", h.Count, len(data), templates, len(b))
		}
		for _, rec := range data {
			if rec.uint(0, 22) > rec.uint(0, 21) || rec.uint(0, 21) > uint64(h.SysUptime) {
				t.Fatalf("%v", rec)
			}
		}
	case traffic.IPFIX:
		h, body, err := ipfix.ParseHeader(b)
		if err != nil || int(h.Length) != len(b) {
			t.Fatalf("%+v in %d octets: %v", h, len(b), err)
		}
		var templates int
		data, _, templates = decode(t, body, r.templates, false)
		if templates == 0 && (len(data) != 25 || len(data[0]) != 18) {
			t.Fatalf("%d records of %d fields", len(data), len(data[0]))
		}
		sequence(binary.BigEndian.Uint32(b[12:]), h.Sequence, uint32(len(data)))
		for _, rec := range data {
			recent(time.UnixMilli(int64(rec.uint(0, 152))))
			if rec.uint(0, 152) > rec.uint(0, 153) {
				t.Fatalf("%v", rec)
			}
		}
	case traffic.SFlow:
		if err := r.datagram.Decode(b); err != nil {
			t.Fatal(err)
		}
		sequence(r.datagram.SubAgent, r.datagram.Sequence, 1)
		n := uint32(0)
		for s := r.datagram.Next(); s != nil; s = r.datagram.Next() {
			n++
			if s.Sequence != (r.datagram.Sequence-1)*7+n || s.Header.FrameLength < 128 {
				t.Fatalf("%+v", s)
			}
			if err := r.headers.Decode(packet.LinkEthernet, s.Header.Data); err != nil {
				t.Fatal(err)
			}
			ip := s.Header.Data[14:34]
			var sum uint32
			for i := 0; i < 20; i += 2 {
				sum += uint32(binary.BigEndian.Uint16(ip[i:]))
			}
			if sum = sum&0xffff + sum>>16; sum != 0xffff {
				t.Fatalf("IP header % x has a wrong checksum", ip)
			}
			r.flows[traffic.FlowNumber(r.headers.IP.SrcAddr(), r.headers.IP.SrcPort)]++
		}
		if r.datagram.Err() != nil || n != 7 || len(b) != size {
			t.Fatalf("%d samples in %d octets: %v", n, len(b), r.datagram.Err())
		}
	}
	for _, rec := range data {
		r.flows[traffic.FlowNumber(rec.addr(8), uint16(rec.uint(0, 7)))]++
	}
}

func TestLoadGoesOn(t *testing.T) {
	conn, to := listen(t)
	l, err := traffic.NewLoad(traffic.LoadConfig{Protocol: traffic.NetFlow9, To: to, Rate: 1000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- l.Run(ctx) }()
	buf := make([]byte, 2048)
	for range 5 { // a template and 100 flows
		if _, err := conn.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < 50*time.Millisecond {
		t.Errorf("100 flows at 1,000 a second took %v", took)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run ended with %v", err)
	}
}

func TestLoadRefusesNonsense(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:9")
	for _, cfg := range []traffic.LoadConfig{
		{To: to},
		{To: to, Protocol: traffic.NetFlow7},
		{To: to, Protocol: traffic.NetFlow9, Rate: -1},
		{To: to, Protocol: traffic.NetFlow9, Batch: 5000},
		{To: to, Protocol: traffic.NetFlow9, Exporters: -1},
	} {
		if l, err := traffic.NewLoad(cfg); err == nil {
			l.Close()
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

// TestDemo waits until every exporter has been heard.
func TestDemo(t *testing.T) {
	conn, to := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- traffic.Demo(ctx, traffic.DemoConfig{NetFlow: to, Rate: 2000, Steady: true, Seed: 1}) }()
	heard := map[string]int{}
	buf := make([]byte, 2048)
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	for len(heard) < 9 {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("heard only %v", heard)
		}
		if err != nil {
			t.Fatal(err)
		}
		heard[from.String()] = int(binary.BigEndian.Uint16(buf[:n]))
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("demo ended with %v", err)
	}
	versions := map[int]int{}
	for _, v := range heard {
		versions[v]++
	}
	// sFlow's version has 32 bits.
	if want := map[int]int{0: 2, 1: 1, 5: 1, 7: 1, 9: 1, 10: 3}; len(versions) != len(want) || versions[10] != 3 || versions[0] != 2 {
		t.Errorf("heard versions %v, want %v", versions, want)
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, protocol := range []traffic.Protocol{traffic.NetFlow5, traffic.NetFlow9, traffic.IPFIX, traffic.SFlow} {
		b.Run(protocol.String(), func(b *testing.B) {
			_, to := listen(b) // nobody reads: the kernel drops what does not fit
			l, err := traffic.NewLoad(traffic.LoadConfig{Protocol: protocol, To: to, Flows: uint64(b.N)})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			b.ReportAllocs()
			b.SetBytes(int64(l.DatagramBytes() / l.Records()))
			b.ResetTimer()
			if err := l.Run(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// endsWhen is a context that has ended when f says so.
type endsWhen struct {
	context.Context
	f func() bool
}

func (c endsWhen) Err() error {
	if c.f() {
		return context.Canceled
	}
	return c.Context.Err()
}

// TestLoadCut: a load that ends while nobody listens goes on with the numbers after those
// of what the kernel took.
func TestLoadCut(t *testing.T) {
	// The port is given up and taken again: of this address nobody else has any.
	address := net.UDPAddr{IP: net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(250)), byte(1+rand.IntN(250)))}
	conn, err := net.ListenUDP("udp4", &address)
	if err != nil {
		t.Fatal(err)
	}
	address.Port = conn.LocalAddr().(*net.UDPAddr).Port
	l, err := traffic.NewLoad(traffic.LoadConfig{Protocol: traffic.NetFlow5, To: address.AddrPort(), Rate: 100_000, Batch: 8, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 20 {
		conn.Close()
		refused := l.Stats().Refused
		if err := l.Run(endsWhen{t.Context(), func() bool { return l.Stats().Refused > refused }}); err != nil {
			t.Fatal(err)
		}
		before := l.Stats()
		if conn, err = net.ListenUDP("udp4", &address); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		buf := make([]byte, 2048)
		n, err := conn.Read(buf)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		h, records, err := netflow.ParseHeader(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		var rec netflow.Record
		rec.Decode(5, records)
		if number := traffic.FlowNumber(netip.AddrFrom4(rec.SrcAddr), rec.SrcPort); number != uint64(h.Sequence) || number < before.Flows || before.Flows != 25*before.Datagrams {
			t.Fatalf("after %+v comes flow %d with sequence number %d", before, number, h.Sequence)
		}
	}
	conn.Close()
}
