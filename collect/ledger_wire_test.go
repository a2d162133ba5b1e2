package collect_test

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
)

// counting is a sink that only counts.
type counting struct{ n atomic.Uint64 }

func (c *counting) Write(*flow.Record) error    { c.n.Add(1); return nil }
func (c *counting) Flush(context.Context) error { return nil }
func (c *counting) Close() error                { return nil }

// socketOf opens a socket of an exporter's own address.
func socketOf(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		t.Skipf("not on this system: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// balances fails the test where an equation of the ledger does not hold.
func balances(t *testing.T, d *collect.Decoder, s *collect.Server) {
	t.Helper()
	stats, domains := d.Ledger()
	if !stats.Total.Balance.Holds() || !stats.Total.SetsHold() {
		t.Errorf("the sums do not hold: %+v", stats.Total)
	}
	for i := range domains {
		if !domains[i].Balance.Holds() || !domains[i].SetsHold() {
			t.Errorf("does not hold: %+v", domains[i])
		}
	}
	for _, st := range s.Stats() {
		if !st.Holds() {
			t.Errorf("does not hold: %+v", st)
		}
	}
}

// TestLedgerOverTheWire: exporters of all protocols lose, repeat, reorder and
// restart, withhold templates and send what cannot be decoded, through two addresses
// at once, so that several workers have each of them. Both balances hold at any
// time, and in the end are those of the senders' own account.
func TestLedgerOverTheWire(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("one exporter comes through several sockets on Linux only")
	}
	const rounds, perRound = 12, 60
	sink, decoder := new(counting), collect.NewDecoder(collect.DefaultDecoderConfig())
	s := newServer(t, collect.Config{
		Workers: 4, Listen: []string{"127.0.0.1:0", "127.0.0.1:0"}, Batch: 8,
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.1.0/24")},
	}, decoder, sink)
	stop := run(t, s)
	r := rand.New(rand.NewPCG(7, 7))

	type exporter struct {
		conn    *net.UDPConn
		talkers []*talker
	}
	var exporters []exporter
	for i, protocol := range append(talkerProtocols, "ipfix") {
		e := exporter{conn: socketOf(t, "127.0.1."+string(rune('1'+i))+":0")}
		from := e.conn.LocalAddr().(*net.UDPAddr).AddrPort()
		for domain := range uint32(3) {
			if protocol == "v7" { // which has no domains
				domain = 0
			}
			number := uint32(1<<30) + domain<<20
			if domain == 1 {
				number = 1<<32 - 300 // it comes round
			}
			tk := newTalker(from, protocol, domain, number)
			e.talkers = append(e.talkers, tk)
			if protocol == "v7" {
				break
			}
		}
		exporters = append(exporters, e)
	}
	stranger := socketOf(t, "127.0.2.1:0")
	filtered, malformed, sent := uint64(0), uint64(0), uint64(0)
	to := s.Addrs()
	send := func(c *net.UDPConn, b []byte) {
		t.Helper()
		if _, err := c.WriteToUDPAddrPort(b, to[r.IntN(len(to))]); err != nil {
			t.Fatal(err)
		}
		// Never so many that the sockets' buffers would not hold them.
		if sent++; sent%64 == 0 {
			eventually(t, "what was sent is received", func() bool { return total(s).Datagrams == sent })
		}
	}
	settled := func() {
		t.Helper()
		eventually(t, "all is received", func() bool { return total(s).Datagrams == sent })
	}
	for round := range rounds {
		for _, e := range exporters {
			for _, tk := range e.talkers {
				if round == 6 && tk.domain == 2 {
					settled() // what is under way belongs to the life before
					tk.restart()
				}
				// Its second template is withheld for two rounds.
				tk.withheld = tk.protocol == "ipfix" && tk.domain == 0 && round >= 3 && round < 5
				if tk.withheld && round == 3 {
					send(e.conn, tk.withdraw())
				}
				var list []message
				for range perRound {
					list = append(list, tk.next(1+r.IntN(20)))
				}
				for _, m := range mix(r, list, 1+r.IntN(8), 0.1, 0.1) {
					tk.through(m)
					send(e.conn, m.payload)
				}
			}
			send(e.conn, []byte("no flow export"))
			malformed++
			send(stranger, exporters[0].talkers[0].stray())
			filtered++
		}
		balances(t, decoder, s)
	}
	settled()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	balances(t, decoder, s)
	stats, domains := decoder.Ledger()
	n := 0
	for _, e := range exporters {
		for _, tk := range e.talkers {
			n++
			i := slices.IndexFunc(domains, func(d collect.DomainStats) bool {
				return d.Exporter == tk.from.Addr() && (d.Domain == tk.domain || tk.protocol == "v7")
			})
			if i < 0 {
				t.Fatalf("nothing is known of %v domain %d", tk.from, tk.domain)
			}
			tk.same(t, domains[i].Balance)
			d := &domains[i]
			if d.Datagrams != tk.datagrams() || d.Sets != tk.sets || d.SetsMalformed+d.MissingTemplates+d.Held() != 0 {
				t.Errorf("%s of %v, domain %d: %d datagrams and %d sets, want %d and %d; %+v", tk.protocol, tk.from, tk.domain, d.Datagrams, d.Sets, tk.datagrams(), tk.sets, d.Counts)
			}
			if tk.protocol == "ipfix" && tk.domain == 0 && d.HeldDecoded == 0 {
				t.Error("nothing had to wait for its template")
			}
		}
	}
	if len(domains) != n {
		t.Errorf("%d domains, want %d", len(domains), n)
	}
	sum := total(s)
	if sum.Drops != 0 {
		t.Errorf("the kernel dropped %d datagrams", sum.Drops)
	}
	if sum.Malformed != malformed || sum.Filtered != filtered || stats.Total.AllMalformed() != malformed {
		t.Errorf("%d malformed, %d filtered, want %d and %d", sum.Malformed, sum.Filtered, malformed, filtered)
	}
	if stats.Total.Records != sink.n.Load() || sum.Records != sink.n.Load() {
		t.Errorf("%d records decoded, %d counted at the sockets, %d written", stats.Total.Records, sum.Records, sink.n.Load())
	}
}

// TestLedgerOverflow: what the kernel had to drop is missing, no more and no less,
// and the socket says so.
func TestLedgerOverflow(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the kernel's drops are seen on Linux only")
	}
	decoder := collect.NewDecoder(collect.DefaultDecoderConfig())
	s := newServer(t, collect.Config{ReceiveBuffer: 8 << 10}, decoder, new(counting))
	conn := socketOf(t, "127.0.1.1:0")
	tk := newTalker(conn.LocalAddr().(*net.UDPAddr).AddrPort(), "v9", 1, 77)
	sent := uint64(0)
	send := func() {
		t.Helper()
		sent++
		if _, err := conn.WriteToUDPAddrPort(tk.next(20).payload, s.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 { // nobody reads yet
		send()
	}
	stop := run(t, s)
	eventually(t, "the socket is empty", func() bool {
		st := total(s)
		return st.Drops > 0 && st.Datagrams+st.Drops == sent
	})
	send() // shows what is missing before it
	eventually(t, "the last is received", func() bool { st := total(s); return st.Datagrams+st.Drops == sent })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	balances(t, decoder, s)
	st, got := total(s), decoder.Stats().Total.Balance
	if want := (collect.Balance{Announced: sent, Received: sent - st.Drops, Skipped: st.Drops, Gaps: 1}); got != want {
		t.Errorf("found %+v, want %+v", got, want)
	}
}

// TestLedgerEviction: what came from exporters and domains that had to give way
// stays in the sums.
func TestLedgerEviction(t *testing.T) {
	d := collect.NewDecoder(collect.DecoderConfig{MaxExporters: 4, MaxDomains: 2})
	var want collect.Balance
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 40 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 1)
		for domain := range uint32(5) {
			tk := newTalker(from, "v9", domain, 1000)
			var list []message
			for range 20 {
				list = append(list, tk.next(2))
			}
			for _, m := range mix(r, list, 3, 0.2, 0.2) {
				tk.through(m)
				if err := d.Decode(&flow.Datagram{Exporter: from, Received: time.Unix(m.at+int64(i), 0), Payload: m.payload}, func(*flow.Record) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			b := tk.account()
			want.Add(&b)
		}
	}
	stats := d.Stats()
	got := stats.Total.Balance
	got.Skipped, got.Recovered, got.Gaps = got.Missing(), 0, 0
	if stats.Evicted == 0 || stats.Total.DomainsEvicted == 0 || got != want || !stats.Total.SetsHold() {
		t.Errorf("%d exporters and %d domains gave way; found %+v, want %+v", stats.Evicted, stats.Total.DomainsEvicted, got, want)
	}
}
