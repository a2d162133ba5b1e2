package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/hold"
	"github.com/tributary-net/tributary/internal/traffic"
)

// TestWireBalance: everything that can go wrong does, in an order by chance: datagrams
// are lost, late, repeated, and sent to nobody; exporters start again; templates come
// late or never; sockets overflow; broker and collector are killed, and the collector
// is stopped. What the ledger says is what exporters have counted by themselves: of
// each observation domain, what is in Kafka and what is missing, to the unit.
func TestWireBalance(t *testing.T) {
	t.Parallel()
	begin, length := time.Now(), soakFor(t)
	for n := 1; n == 1 || time.Since(begin) < length; n++ {
		if !t.Run(fmt.Sprint(n), func(t *testing.T) { newBalance(t).run() }) {
			break
		}
	}
}

// balance is one schedule of what goes wrong.
type balance struct {
	t         *testing.T
	rng       *rand.Rand
	exporters []*balanceExporter
	domains   []*balanceDomain
	byRecord  []*balanceDatagram // in the order of their records
	conns     map[netip.Addr]*net.UDPConn
	records   uint32
	places    uint64
	late      []*balanceDatagram // held back

	data, spool     string
	broker          *process // nil: it is not there
	brokerAddr      string
	topics          []string
	to              []string
	listen          netip.AddrPort
	collector       *process // nil between lives
	born            uint64   // how many copies had been sent when it began
	sent            uint64   // datagrams to it
	junk, strangers uint64   // of these, what is no flow export, and what comes from elsewhere
	overflown       uint64   // datagrams that the kernel has dropped, as far as was looked
}

func newBalance(t *testing.T) *balance {
	b := &balance{t: t, rng: seeded(t), conns: map[netip.Addr]*net.UDPConn{}, data: t.TempDir(), spool: filepath.Join(t.TempDir(), "spool")}
	rng := b.rng
	network := [2]byte{byte(1 + rng.IntN(200)), byte(rng.IntN(250))}
	b.listen = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, network[0], network[1], 1}), 0)
	now := uint32(time.Now().Unix())
	for i, protocol := range []traffic.Protocol{traffic.NetFlow5, traffic.NetFlow9, traffic.IPFIX, traffic.IPFIX, traffic.SFlow} {
		e := &balanceExporter{
			addr: netip.AddrFrom4([4]byte{127, network[0], network[1], byte(10 + i)}), steady: i > 0 && rng.IntN(3) == 0,
			uptime: 100_000_000 + rng.Uint32N(1e9), withheld: rng.IntN(4) > 0, secret: rng.IntN(2) == 0,
		}
		e.booted = now - e.uptime/1000
		domains := 1
		if protocol == traffic.NetFlow9 || i == 2 {
			domains = 2
		}
		for id := range domains {
			d := &balanceDomain{exporter: e, protocol: protocol, id: uint32(id*256 + i), number: 1<<27 + rng.Uint32N(1<<24)}
			if e.steady && rng.IntN(2) == 0 { // the numbers come round
				d.number = -uint32(1 + rng.IntN(2000))
			}
			e.domains = append(e.domains, d)
		}
		b.exporters = append(b.exporters, e)
		b.domains = append(b.domains, e.domains...)
	}
	properties := []string{"linger.ms=20", "linger.ms=5&compression.type=lz4", "format=packed", "linger.ms=50&key=src_addr", "batch.size=5000&format=json"}
	for i := range 1 + rng.IntN(4)/3 {
		b.topics = append(b.topics, fmt.Sprintf("flows-%d", i))
		b.to = append(b.to, b.topics[i]+"?"+properties[rng.IntN(len(properties))])
	}
	t.Logf("to %s", strings.Join(b.to, " and "))
	return b
}

// run has everything go wrong once at least, over several lives of the collector.
func (b *balance) run() {
	b.brokerAddr = hold.Address(b.t)
	b.brokerComes()
	type deed struct {
		name string
		do   func()
	}
	deeds := []deed{
		{"a gap", b.gap},
		{"a gap", b.gap},
		{"hold back", b.holdBack},
		{"hold back", b.holdBack},
		{"overflow", b.overflow},
		{"restart", b.restart},
		{"restart", b.restart},
		{"tell", b.tell},
		{"tell", b.tell},
		{"nonsense", b.nonsense},
		{"broker dies", b.brokerDies},
		{"broker dies", b.brokerDies},
		{"broker comes", b.brokerComes},
		{"look", b.look},
		{"settle", b.settle},
		{"settled", b.settled},
		{"beyond", b.beyond},
	}
	for range b.rng.IntN(8) {
		deeds = append(deeds, deeds[b.rng.IntN(len(deeds))])
	}
	b.rng.Shuffle(len(deeds), func(i, j int) { deeds[i], deeds[j] = deeds[j], deeds[i] })
	ends := []deed{{"kill", b.kill}, {"kill", b.kill}, {"kill", b.kill}, {"stop", b.stop}}
	b.rng.Shuffle(len(ends), func(i, j int) { ends[i], ends[j] = ends[j], ends[i] })
	for life, end := range ends {
		b.open()
		if life == 0 { // of several destinations, all have to know where numbers begin
			b.plain()
			b.settled()
		}
		var names []string
		for _, d := range append(slices.Clone(deeds[life*len(deeds)/len(ends):(life+1)*len(deeds)/len(ends)]), end) {
			b.traffic()
			names = append(names, d.name)
			d.do()
		}
		b.t.Logf("%d: %s", life, strings.Join(names, ", "))
		if b.rng.IntN(2) == 0 {
			b.traffic() // to nobody
		}
		if b.rng.IntN(4) == 0 {
			b.restart()
		}
	}
	b.end()
}

// open starts a collector.
func (b *balance) open() {
	b.t.Helper()
	args := []string{"--listen", b.listen.String(), "--spool", b.spool, "--workers", fmt.Sprint(1 + b.rng.IntN(2)), "--receive-buffer", "256KiB", "--ledger-interval", "200ms"}
	for _, e := range b.exporters {
		args = append(args, "--allow", e.addr.String())
	}
	args = append(args, "--allow", b.listen.Addr().String())
	for _, to := range b.to {
		args = append(args, "--to", "kafka://"+b.brokerAddr+"/"+to)
	}
	b.collector = startService(b.t, "collect", args...)
	b.listen = netip.MustParseAddrPort(b.collector.logged(b.t, "collecting", "listen"))
	b.born, b.sent, b.junk, b.strangers, b.overflown = b.places, 0, 0, 0, 0
	for _, e := range b.exporters {
		e.waits, e.again = e.withheld && e.domains[0].templates(), 0
	}
	for _, d := range b.domains {
		d.copies, d.sets, d.least, d.most = 0, 0, 0, 0
	}
}

// kill ends the collector at once, whatever it is at.
func (b *balance) kill() {
	b.collector.kill()
	b.collector = nil
}

// stop ends it in order.
func (b *balance) stop() {
	b.collector.stop(b.t)
	b.collector = nil
}

func (b *balance) brokerComes() {
	if b.broker == nil {
		b.broker, _ = startBroker(b.t, b.data, b.brokerAddr)
	}
}

func (b *balance) brokerDies() {
	if b.broker != nil {
		b.broker.kill()
		b.broker = nil
	} else {
		b.brokerComes()
	}
}

// make makes the next datagram of a domain.
func (b *balance) make(d *balanceDomain, plain bool) *balanceDatagram {
	g := d.next(b.rng, b.records, plain)
	b.records += uint32(g.total())
	b.byRecord = append(b.byRecord, g)
	return g
}

func (b *balance) any() *balanceDomain { return b.domains[b.rng.IntN(len(b.domains))] }

// send sends a datagram, perhaps once more.
func (b *balance) send(g *balanceDatagram) {
	b.t.Helper()
	s := &balanceCopy{place: b.places, alive: b.collector != nil, came: make([]uint64, len(b.topics))}
	b.places++
	g.sent = append(g.sent, s)
	b.write(g.domain.exporter.addr, g.encode(len(g.sent)))
	d := g.domain
	d.copies++
	d.sets += g.sets()
	d.least += g.units(g.mask(partMain))
	d.most += g.units(g.mask(partMain) | g.mask(partSecond))
}

// write sends octets from an address.
func (b *balance) write(from netip.Addr, payload []byte) {
	b.t.Helper()
	conn := b.conns[from]
	if conn == nil {
		var err error
		if conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))); err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { _ = conn.Close() })
		b.conns[from] = conn
	}
	if _, err := conn.WriteToUDPAddrPort(payload, b.listen); err != nil {
		b.t.Fatal(err)
	}
	b.sent++
}

// traffic sends some datagrams of all domains, of which some are lost, some come twice,
// and some too late.
func (b *balance) traffic() {
	type placed struct {
		g  *balanceDatagram
		at int
	}
	rng := b.rng
	var list []placed
	drop, repeat, reach := rng.Float64()*0.3, rng.Float64()*0.2, 1+rng.IntN(40)
	for i := range 20 + rng.IntN(120) {
		g := b.make(b.any(), false)
		if rng.Float64() < drop {
			continue
		}
		list = append(list, placed{g, i + rng.IntN(reach)})
		for rng.Float64() < repeat {
			list = append(list, placed{g, i + rng.IntN(reach)})
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].at < list[j].at })
	for _, p := range list {
		b.send(p.g)
	}
}

// plain sends a datagram of each domain of which nothing has to wait.
func (b *balance) plain() {
	for _, d := range b.domains {
		b.send(b.make(d, true))
	}
}

// gap loses many datagrams of a domain.
func (b *balance) gap() {
	d := b.any()
	for range 1 + b.rng.IntN(300) {
		b.make(d, false)
	}
}

// holdBack keeps a datagram for later, or lets those go that are not too late yet.
func (b *balance) holdBack() {
	if len(b.late) == 0 {
		for range 1 + b.rng.IntN(5) {
			b.late = append(b.late, b.make(b.any(), false))
		}
		return
	}
	for _, g := range b.late {
		if d := g.domain; g.life == d.exporter.life && d.exporter.uptime-g.uptime < 5000 && len(d.all)-slices.Index(d.all, g) < 150 {
			b.send(g)
		}
	}
	b.late = nil
}

// restart has an exporter begin anew. Six of its lives are followed, of which strays take
// some: while something may wait for its template, it does so three times at most.
func (b *balance) restart() {
	for _, i := range b.rng.Perm(len(b.exporters)) {
		if e := b.exporters[i]; !e.steady && !(e.waits && e.again == 3) {
			e.restart(b.rng)
			if b.collector != nil {
				e.again++
			}
			return
		}
	}
}

// tell has an exporter tell its second template from now on.
func (b *balance) tell() {
	e := b.exporters[b.rng.IntN(len(b.exporters))]
	e.withheld = false
}

// nonsense sends what is no flow export, and what comes from a stranger.
func (b *balance) nonsense() {
	b.write(b.listen.Addr(), []byte("no flow export"))
	b.junk++
	stranger := b.listen.Addr().As4()
	stranger[3] = 99
	b.write(netip.AddrFrom4(stranger), []byte("nobody asked"))
	b.strangers++
}

// overflow sends more than the sockets hold to a collector that does not look.
func (b *balance) overflow() {
	b.settle()
	for before := b.overflown; b.overflown == before; b.settle() {
		b.signal(syscall.SIGSTOP)
		for range 1500 {
			b.send(b.make(b.any(), false))
		}
		b.signal(syscall.SIGCONT)
	}
}

func (b *balance) signal(s syscall.Signal) {
	b.t.Helper()
	if err := b.collector.cmd.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// beyond sends a datagram that is farther behind than the collector looks, so that it
// is taken for another life of its exporter. Once for a domain: several could be taken
// for one life.
func (b *balance) beyond() {
	d := b.any()
	if d.strayed {
		return
	}
	d.strayed = true
	g := b.make(d, true)
	g.beyond = true
	for d.at-g.at < 1200 || d.countsRecords() && d.at-g.at < 20_000 {
		b.make(d, true)
	}
	b.settled()
	b.plain()
	b.send(g)
	b.plain()
	b.settled()
}
