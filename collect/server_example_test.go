package collect_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
)

// textDecoder decodes datagrams of a protocol of our own: lines with source,
// destination and octets.
type textDecoder struct{}

func (textDecoder) Decode(d *flow.Datagram, emit func(*flow.Record) error) error {
	var r flow.Record
	for line := range strings.Lines(string(d.Payload)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			return fmt.Errorf("line %q: want source, destination, octets", line)
		}
		src, err := netip.ParseAddr(words[0])
		if err != nil {
			return err
		}
		dst, err := netip.ParseAddr(words[1])
		if err != nil {
			return err
		}
		octets, err := strconv.ParseUint(words[2], 10, 64)
		if err != nil {
			return err
		}
		r.Reset()
		r.SetAddr(flow.SamplerAddress, d.Exporter.Addr())
		r.SetUint(flow.TimeReceived, uint64(d.Received.UnixNano()))
		r.SetAddr(flow.SrcAddr, src)
		r.SetAddr(flow.DstAddr, dst)
		r.SetUint(flow.Bytes, octets)
		if err := emit(&r); err != nil {
			return err
		}
	}
	return nil
}

// printer is a sink that prints, and tells when it has had n records.
type printer struct {
	mu   sync.Mutex
	n    int
	done func()
}

func (p *printer) Write(r *flow.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Printf("%s to %s: %d octets\n", r.Addr(flow.SrcAddr), r.Addr(flow.DstAddr), r.Uint(flow.Bytes))
	if p.n--; p.n == 0 {
		p.done()
	}
	return nil
}

func (p *printer) Flush(context.Context) error { return nil }
func (p *printer) Close() error                { return nil }

// sendTo sends a datagram.
func sendTo(to netip.AddrPort, payload []byte) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		panic(err)
	}
	defer c.Close()
	if _, err := c.Write(payload); err != nil {
		panic(err)
	}
}

// A protocol of one's own: implement [flow.Decoder].
func Example_decoder() {
	ctx, cancel := context.WithCancel(context.Background())
	server, err := collect.New(collect.Config{Listen: []string{"127.0.0.1:0"}}, textDecoder{}, &printer{n: 2, done: cancel})
	if err != nil {
		fmt.Println(err)
		return
	}
	sendTo(server.Addrs()[0], []byte("192.0.2.1 198.51.100.7 1500\n2001:db8::1 2001:db8::2 40\n"))
	if err := server.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 192.0.2.1 to 198.51.100.7: 1500 octets
	// 2001:db8::1 to 2001:db8::2: 40 octets
}

// topTalkers is a sink that adds octets up by source.
type topTalkers struct {
	mu     sync.Mutex
	octets map[netip.Addr]uint64
	flows  int
	done   func()
}

func (t *topTalkers) Write(r *flow.Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.octets[r.Addr(flow.SrcAddr)] += r.Uint(flow.Bytes)
	if t.flows++; t.flows == 3 {
		t.done()
	}
	return nil
}

func (t *topTalkers) Flush(context.Context) error { return nil }
func (t *topTalkers) Close() error                { return nil }

// Another destination than Kafka: implement [flow.Sink].
func Example_sink() {
	ctx, cancel := context.WithCancel(context.Background())
	sink := &topTalkers{octets: map[netip.Addr]uint64{}, done: cancel}
	decoder := collect.NewDecoder(collect.DefaultDecoderConfig()) // NetFlow, IPFIX and sFlow
	server, err := collect.New(collect.Config{Listen: []string{"127.0.0.1:0"}}, decoder, sink)
	if err != nil {
		fmt.Println(err)
		return
	}
	sendTo(server.Addrs()[0], netflow5("192.0.2.1", 1000, "192.0.2.2", 40, "192.0.2.1", 500))
	if err := server.Run(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println("192.0.2.1 sent", sink.octets[netip.MustParseAddr("192.0.2.1")])
	fmt.Println("192.0.2.2 sent", sink.octets[netip.MustParseAddr("192.0.2.2")])
	// Output:
	// 192.0.2.1 sent 1500
	// 192.0.2.2 sent 40
}

// Several servers with different decoders in one program: each has ports of its
// own, and all of them write to one sink.
func Example_twoServers() {
	ctx, cancel := context.WithCancel(context.Background())
	sink := &printer{n: 2, done: cancel}
	var group sync.WaitGroup
	for _, s := range []struct {
		decoder flow.Decoder
		payload []byte
	}{
		{textDecoder{}, []byte("192.0.2.1 192.0.2.9 7")},
		{collect.NewDecoder(collect.DefaultDecoderConfig()), netflow5("198.51.100.1", 9)},
	} {
		server, err := collect.New(collect.Config{Listen: []string{"127.0.0.1:0"}}, s.decoder, sink)
		if err != nil {
			fmt.Println(err)
			return
		}
		sendTo(server.Addrs()[0], s.payload)
		group.Go(func() {
			if err := server.Run(ctx); err != nil {
				fmt.Println(err)
			}
		})
	}
	group.Wait()
	// Unordered output:
	// 192.0.2.1 to 192.0.2.9: 7 octets
	// 198.51.100.1 to 0.0.0.0: 9 octets
}
