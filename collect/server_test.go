package collect_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/traffic"
)

// patience is how long tests wait for what must come.
const patience = 2 * time.Minute

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not come true: %s", what)
		}
	}
}

// netflow5 makes a datagram with a record for each source and its octets.
func netflow5(sourcesAndOctets ...any) []byte {
	b := make([]byte, 24)
	binary.BigEndian.PutUint16(b, 5)
	binary.BigEndian.PutUint16(b[2:], uint16(len(sourcesAndOctets)/2))
	for i := 0; i+1 < len(sourcesAndOctets); i += 2 {
		r := make([]byte, 48)
		a := netip.MustParseAddr(sourcesAndOctets[i].(string)).As4()
		copy(r, a[:])
		binary.BigEndian.PutUint32(r[20:], uint32(sourcesAndOctets[i+1].(int)))
		b = append(b, r...)
	}
	return b
}

// each is a decoder that makes a record of every datagram. Its payload is a
// number; "bad" is an error.
type each struct {
	mu        sync.Mutex
	datagrams []flow.Datagram // without payload
	before    func(payload []byte)
}

var errBad = errors.New("not a number")

func (e *each) Decode(d *flow.Datagram, emit func(*flow.Record) error) error {
	if e.before != nil {
		e.before(d.Payload)
	}
	e.mu.Lock()
	e.datagrams = append(e.datagrams, flow.Datagram{Exporter: d.Exporter, Received: d.Received})
	e.mu.Unlock()
	var n uint64
	if _, err := fmt.Sscan(string(d.Payload), &n); err != nil {
		return errBad
	}
	var r flow.Record
	r.SetUint(flow.Bytes, n)
	return emit(&r)
}

// list is a sink that keeps numbers.
type list struct {
	mu      sync.Mutex
	numbers []uint64
	flushed int // of the numbers
	err     error
}

func (l *list) Write(r *flow.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.numbers = append(l.numbers, r.Uint(flow.Bytes))
	return l.err
}

func (l *list) Flush(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushed = len(l.numbers)
	return nil
}

func (l *list) Close() error { return nil }

func (l *list) state() (numbers []uint64, flushed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.numbers), l.flushed
}

// newServer opens a server on loopback, where cfg does not say otherwise.
func newServer(t *testing.T, cfg collect.Config, d flow.Decoder, s flow.Sink) *collect.Server {
	t.Helper()
	if cfg.Listen == nil {
		cfg.Listen = []string{"127.0.0.1:0"}
	}
	if cfg.Workers == 0 {
		cfg.Workers = 1
	}
	server, err := collect.New(cfg, d, s)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// run runs a server. stop ends it and returns what Run does; it may be called
// once more.
func run(t *testing.T, s *collect.Server) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return errors.New("did not stop")
		}
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

func dial(t *testing.T, local string, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	var from *net.UDPAddr
	if local != "" {
		from = &net.UDPAddr{IP: net.ParseIP(local)}
	}
	c, err := net.DialUDP("udp", from, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Skipf("not on this system: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c *net.UDPConn, payload any) {
	t.Helper()
	if _, err := c.Write([]byte(fmt.Sprint(payload))); err != nil {
		t.Fatal(err)
	}
}

// total adds up what all sockets have received.
func total(s *collect.Server) (sum collect.SocketStats) {
	for _, st := range s.Stats() {
		sum.Datagrams += st.Datagrams
		sum.Bytes += st.Bytes
		sum.Records += st.Records
		sum.Filtered += st.Filtered
		sum.Malformed += st.Malformed
		sum.Truncated += st.Truncated
		sum.Drops += st.Drops
	}
	return sum
}

// TestServerStopDrains: what waits in the sockets when the server is told to stop
// has been received.
func TestServerStopDrains(t *testing.T) {
	var out list
	s := newServer(t, collect.Config{Workers: 3, Listen: []string{"127.0.0.1:0", "127.0.0.1:0"}, Batch: 16}, new(each), &out)
	sent := uint64(0)
	for _, a := range s.Addrs() {
		for range 8 {
			c := dial(t, "", a)
			for range 50 {
				send(t, c, sent)
				sent++
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("stopping took %v", took)
	}
	numbers, flushed := out.state()
	slices.Sort(numbers)
	if uint64(len(numbers)) != sent || numbers[0] != 0 || numbers[sent-1] != sent-1 || flushed != int(sent) {
		t.Errorf("%d records, %d of them flushed, want %d", len(numbers), flushed, sent)
	}
	if st := total(s); st.Datagrams != sent || st.Records != sent || st.Drops != 0 {
		t.Errorf("%+v, want %d datagrams and records", st, sent)
	}
	// The ports are free again.
	for _, a := range s.Addrs() {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(a))
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// echo is a decoder that sends two datagrams for each that it gets.
type echo struct{ to *net.UDPConn }

func (e *echo) Decode(d *flow.Datagram, _ func(*flow.Record) error) error {
	for range 2 {
		_, _ = e.to.Write(d.Payload) // the last ones find nobody
	}
	return nil
}

// TestServerStopsUnderLoad: a server stops though more comes all the time than it can take.
func TestServerStopsUnderLoad(t *testing.T) {
	decoder := &echo{}
	s := newServer(t, collect.Config{Workers: 1}, decoder, &list{})
	decoder.to = dial(t, "", s.Addrs()[0])
	stop := run(t, s)
	send(t, decoder.to, "again")
	eventually(t, "the socket is never empty", func() bool { return total(s).Datagrams > 1000 })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestServerFlushesWhenNothingWaits: also after a read that brought as much as it
// could.
func TestServerFlushesWhenNothingWaits(t *testing.T) {
	var out list
	s := newServer(t, collect.Config{Batch: 8}, new(each), &out)
	c := dial(t, "", s.Addrs()[0])
	for i := range 16 {
		send(t, c, i)
	}
	run(t, s)
	eventually(t, "16 records are flushed", func() bool { _, n := out.state(); return n == 16 })
	send(t, c, 16)
	eventually(t, "one more is flushed", func() bool { _, n := out.state(); return n == 17 })
}

// inUse expects that a port cannot be listened on, and that the error says which.
func inUse(t *testing.T, address string) {
	t.Helper()
	s, err := collect.New(collect.Config{Listen: []string{"127.0.0.1:0", address}}, new(each), new(list))
	if err == nil {
		t.Fatalf("listens on %s too: %v", address, s.Addrs())
	}
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), address) {
		t.Errorf("error %v, want one that says that %s is in use", err, address)
	}
}

func TestServerPortInUse(t *testing.T) {
	other, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	inUse(t, other.LocalAddr().String())
	// Nor do two servers share a port, though the sockets of one do.
	s := newServer(t, collect.Config{Workers: 2}, new(each), new(list))
	inUse(t, s.Addrs()[0].String())
	if err := run(t, s)(); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"127.0.0.1", "127.0.0.1:http-no-such", "256.0.0.1:0", "192.0.2.1:0"} {
		if _, err := collect.New(collect.Config{Listen: []string{bad}}, new(each), new(list)); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("listen on %s: error %v, want one that names it", bad, err)
		}
	}
}

// TestServerSocketsOfOneAddress: workers share an address, and all of them are
// used.
func TestServerSocketsOfOneAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("one socket for each address here")
	}
	const workers, exporters, each1 = 4, 64, 20
	var out handles
	d := new(each)
	s := newServer(t, collect.Config{Workers: workers}, d, &out)
	if a := s.Addrs(); len(a) != 1 || a[0].Port() == 0 {
		t.Fatalf("listens on %v, want one address", a)
	}
	stop := run(t, s)
	var want []uint64
	for e := range exporters {
		c := dial(t, "", s.Addrs()[0])
		for i := range each1 {
			send(t, c, e*each1+i)
			want = append(want, uint64(e*each1+i))
		}
	}
	eventually(t, "all datagrams are received", func() bool { return total(s).Datagrams == exporters*each1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	stats := s.Stats()
	if len(stats) != workers || len(out.lists) != workers {
		t.Fatalf("%d sockets and %d handles of the sink, want %d", len(stats), len(out.lists), workers)
	}
	var got []uint64
	for i, st := range stats {
		if st.Listen != s.Addrs()[0] || st.Datagrams == 0 || st.Records != st.Datagrams || st.Reads == 0 || st.Reads > st.Datagrams {
			t.Errorf("socket %d: %+v", i, st)
		}
	}
	for _, l := range out.lists {
		// An exporter stays with one worker, in order.
		last := map[uint64]uint64{}
		for _, n := range l.numbers {
			if l, ok := last[n/each1]; ok && n != l+1 {
				t.Errorf("exporter %d: record %d after %d", n/each1, n, l)
			}
			last[n/each1] = n
		}
		got = append(got, l.numbers...)
		if l.flushed != len(l.numbers) {
			t.Errorf("%d records of %d were flushed", l.flushed, len(l.numbers))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
}

// handles is a sink of which every worker has a handle.
type handles struct {
	list
	lists []*list
}

func (h *handles) Worker() flow.Sink {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := new(list)
	h.lists = append(h.lists, l)
	return l
}

func TestServerAllowList(t *testing.T) {
	for _, c := range []struct {
		allow []string
		want  []bool // from 127.0.0.1, 127.0.0.2, 127.0.1.1
	}{
		{nil, []bool{true, true, true}},
		{[]string{"127.0.0.2/32"}, []bool{false, true, false}},
		{[]string{"127.0.0.0/24"}, []bool{true, true, false}},
		{[]string{"192.0.2.0/24", "127.0.1.0/24", "2001:db8::/32"}, []bool{false, false, true}},
		{[]string{"::ffff:127.0.1.0/120"}, []bool{false, false, true}},
		{[]string{"::/0"}, []bool{false, false, false}},
		{[]string{"0.0.0.0/0"}, []bool{true, true, true}},
	} {
		t.Run(fmt.Sprint(c.allow), func(t *testing.T) {
			var cfg collect.Config
			for _, a := range c.allow {
				cfg.Allow = append(cfg.Allow, netip.MustParsePrefix(a))
			}
			var out list
			s := newServer(t, cfg, new(each), &out)
			var want []uint64
			for i, from := range []string{"127.0.0.1", "127.0.0.2", "127.0.1.1"} {
				send(t, dial(t, from, s.Addrs()[0]), i)
				if c.want[i] {
					want = append(want, uint64(i))
				}
			}
			stop := run(t, s)
			eventually(t, "all datagrams are received", func() bool { return total(s).Datagrams == 3 })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if got, _ := out.state(); !slices.Equal(got, want) {
				t.Errorf("took %v, want %v", got, want)
			}
			if st := total(s); st.Filtered != uint64(3-len(want)) || st.Records != uint64(len(want)) || st.Malformed != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestServerKernelDrops: what the kernel could not keep is counted, so that nothing
// is missing without a word.
func TestServerKernelDrops(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel does not tell here")
	}
	var out list
	s := newServer(t, collect.Config{ReceiveBuffer: 8 << 10}, new(each), &out)
	c := dial(t, "", s.Addrs()[0])
	const sent = 2000
	for i := range sent {
		send(t, c, i)
	}
	before := s.Stats()[0]
	if before.Drops == 0 || before.QueueBytes == 0 || before.ReceiveBuffer == 0 {
		t.Errorf("before anything is received: %+v", before)
	}
	stop := run(t, s)
	eventually(t, "what is left is received", func() bool { return total(s).Datagrams == sent-before.Drops })
	send(t, c, sent) // the count comes with a datagram too
	eventually(t, "one more is received", func() bool { return total(s).Datagrams == sent+1-before.Drops })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// The socket is closed, the count stays.
	if st := s.Stats()[0]; st.Datagrams+st.Drops != sent+1 || st.Records != st.Datagrams {
		t.Errorf("%d datagrams and %d drops, want %d in all", st.Datagrams, st.Drops, sent+1)
	}
}

// TestServerReceiveTime: the time of receipt is when the kernel took the datagram,
// however long it waited.
func TestServerReceiveTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel does not tell here")
	}
	// It begins to stamp datagrams a moment after the first socket has asked for it.
	const slack = time.Millisecond // of the clocks
	for deadline := time.Now().Add(patience); ; {
		before, after, at := receiveWaiting(t)
		if !at.Before(before.Add(-slack)) && !at.After(after.Add(slack)) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("received at %v, but sent between %v and %v", at, before, after)
		}
	}
}

// receiveWaiting has a datagram wait in its socket, and returns between which times it was
// sent and when it is said to have been received.
func receiveWaiting(t *testing.T) (before, after, at time.Time) {
	t.Helper()
	busy, goOn := make(chan struct{}), make(chan struct{})
	d := &each{before: func(payload []byte) {
		if string(payload) == "0" {
			close(busy)
			<-goOn
		}
	}}
	var out list
	s := newServer(t, collect.Config{}, d, &out)
	stop := run(t, s)
	c := dial(t, "", s.Addrs()[0])
	send(t, c, 0)
	<-busy
	before = time.Now()
	send(t, c, 1)
	after = time.Now()
	for time.Now().Before(after.Add(2 * time.Millisecond)) { // a wait that can be told apart
		runtime.Gosched()
	}
	close(goOn)
	eventually(t, "both are received", func() bool { return total(s).Datagrams == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	return before, after, d.datagrams[1].Received
}

// TestServerAddressFamilies: exporters have the same address whichever socket they
// reach.
func TestServerAddressFamilies(t *testing.T) {
	for _, c := range []struct{ listen, to, exporter string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"udp://127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"[::1]:0", "::1", "::1"},
		{":0", "127.0.0.1", "127.0.0.1"}, // as an IPv4-mapped address in an IPv6 socket
		{"[::]:0", "::1", "::1"},
		{"0.0.0.0:0", "127.0.0.1", "127.0.0.1"},
	} {
		t.Run(c.listen, func(t *testing.T) {
			if strings.Contains(c.to, ":") {
				l, err := net.ListenPacket("udp", "[::1]:0")
				if err != nil {
					t.Skipf("no IPv6 here: %v", err)
				}
				l.Close()
			}
			d := new(each)
			s := newServer(t, collect.Config{Listen: []string{c.listen}, Workers: 2}, d, new(list))
			stop := run(t, s)
			conn := dial(t, "", netip.AddrPortFrom(netip.MustParseAddr(c.to), s.Addrs()[0].Port()))
			send(t, conn, 1)
			eventually(t, "it is received", func() bool { return total(s).Datagrams == 1 })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			want := netip.AddrPortFrom(netip.MustParseAddr(c.exporter), conn.LocalAddr().(*net.UDPAddr).AddrPort().Port())
			if got := d.datagrams[0].Exporter; got != want {
				t.Errorf("exporter is %v, want %v", got, want)
			}
		})
	}
}

// TestServerMalformed: what cannot be decoded is counted, told once for each
// exporter, and ends nothing.
func TestServerMalformed(t *testing.T) {
	var log bytes.Buffer
	var out list
	s := newServer(t, collect.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))}, new(each), &out)
	log.Reset() // of what it said of the receive buffer
	stop := run(t, s)
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		c := dial(t, from, s.Addrs()[0])
		for i := range 10 {
			send(t, c, "bad")
			send(t, c, i)
		}
	}
	eventually(t, "all is received", func() bool { return total(s).Datagrams == 40 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if st := total(s); st.Malformed != 20 || st.Records != 20 {
		t.Errorf("%+v, want 20 malformed and 20 records", st)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 || strings.Count(log.String(), "exporter=127.0.0.2") != 1 {
		t.Errorf("%d lines, want one for each exporter:\n%s", n, &log)
	}
}

// TestServerMalformedExporters: who makes addresses up does not fill the log.
func TestServerMalformedExporters(t *testing.T) {
	var log bytes.Buffer
	var out list
	s := newServer(t, collect.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))}, new(each), &out)
	log.Reset() // of what it said of the receive buffer
	stop := run(t, s)
	for i := range 250 {
		c := dial(t, fmt.Sprintf("127.0.1.%d", 1+i), s.Addrs()[0])
		send(t, c, "bad")
		send(t, c, "bad")
		c.Close()
	}
	eventually(t, "all is received", func() bool { return total(s).Malformed == 500 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "further ones of this exporter"); n != 100 {
		t.Errorf("%d exporters are named, want 100", n)
	}
	if n := strings.Count(log.String(), "\n"); n != 101 || !strings.Contains(log.String(), "more exporters") {
		t.Errorf("%d lines, want one more, which says that there are others:\n%s", n, &log)
	}
}

// TestServerSinkFails: a sink that is of no more use ends the server with its error.
func TestServerSinkFails(t *testing.T) {
	out := list{err: syscall.ENOSPC}
	s := newServer(t, collect.Config{Workers: 4}, new(each), &out)
	send(t, dial(t, "", s.Addrs()[0]), 1)
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	select {
	case err := <-done:
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("error %v, want that of the sink", err)
		}
	case <-time.After(patience):
		t.Fatal("goes on")
	}
	if _, flushed := out.state(); flushed != 1 {
		t.Error("what can be saved was not flushed")
	}
	if st := total(s); st.Malformed != 0 {
		t.Errorf("the datagram is not to blame: %+v", st)
	}
}

// TestServerLoad: everything that real exporters send at once, over several
// sockets, arrives once.
func TestServerLoad(t *testing.T) {
	for _, protocol := range []traffic.Protocol{traffic.NetFlow9, traffic.IPFIX, traffic.NetFlow5, traffic.SFlow} {
		t.Run(fmt.Sprint(protocol), func(t *testing.T) {
			out := numbered{seen: map[uint64]int{}}
			decoder := collect.NewDecoder(collect.DefaultDecoderConfig())
			s := newServer(t, collect.Config{Workers: 2}, decoder, &out)
			stop := run(t, s)
			load, err := traffic.NewLoad(traffic.LoadConfig{Protocol: protocol, To: s.Addrs()[0], Rate: 100_000, Flows: 20_000, Exporters: 5, Batch: 8, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer load.Close()
			if err := load.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			sent, st, ds := load.Stats(), total(s), decoder.Stats().Total
			if st.Drops > 0 {
				t.Skipf("the machine is too busy: %d datagrams did not fit the receive buffer", st.Drops)
			}
			if st.Datagrams != sent.Datagrams || st.Bytes != sent.Bytes || st.Records != sent.Flows || st.Malformed != 0 {
				t.Errorf("received %+v, sent %+v", st, sent)
			}
			if ds.Datagrams != sent.Datagrams || ds.Records != sent.Flows || ds.Gaps != 0 || ds.Missing() != 0 || ds.Repeated != 0 || ds.Restarts != 0 || ds.MissingTemplates != 0 {
				t.Errorf("decoded %+v", ds)
			}
			for n := range sent.Flows {
				if out.seen[n] != 1 {
					t.Fatalf("flow %d came %d times", n, out.seen[n])
				}
			}
		})
	}
}

// numbered counts the flows of a load.
type numbered struct {
	mu   sync.Mutex
	seen map[uint64]int
}

func (n *numbered) Write(r *flow.Record) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen[traffic.FlowNumber(r.Addr(flow.SrcAddr), uint16(r.Uint(flow.SrcPort)))]++
	return nil
}

func (n *numbered) Flush(context.Context) error { return nil }
func (n *numbered) Close() error                { return nil }
