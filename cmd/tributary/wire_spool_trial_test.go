package main

import (
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/hold"
	"github.com/tributary-net/tributary/internal/traffic"
)

// life is a collector from its start to its end.
type life struct {
	end          string
	first, flows uint64   // numbers it was sent, at least
	sure         []uint64 // of these, delivered or spooled at each destination the last time it was asked
}

// how a life ends.
const (
	killed      = "killed"
	killedStill = "killed while nothing was under way to the spool"
	stopped     = "stopped"
)

// presence is whether Kafka is there.
type presence struct {
	there       bool
	leave, come func()
}

func (p *presence) away() {
	if p.there {
		p.leave()
		p.there = false
	}
}

func (p *presence) back() {
	if !p.there {
		p.come()
		p.there = true
	}
}

// TestWireSpoolKilled: collector and broker are killed at any moment, several times.
// What was spooled arrives, once and in order; what was not, is what was under way.
func TestWireSpoolKilled(t *testing.T) {
	t.Parallel()
	way := newProxy(t, "")
	dir := t.TempDir()
	broker, address := startBroker(t, dir, hold.Address(t), "--advertise", way.addr)
	way.aim(address)
	tr := &trial{t: t, rng: seeded(t), workers: 1, proxies: []*proxy{way}, patience: 2 * patience}
	for _, d := range []destination{{topic: "plain"}, {topic: "both", properties: "compression.type=lz4&key=src_addr", keyed: true}} {
		d.partitions = map[int32]bool{4: true}
		tr.destinations = append(tr.destinations, &d)
	}
	tr.administer(address)
	kafka := &presence{
		there: true,
		leave: func() { broker.kill() },
		come:  func() { broker, _ = startBroker(t, dir, address, "--advertise", way.addr) },
	}
	if tr.rng.IntN(2) == 0 {
		kafka.away() // nothing is known of the cluster when the first flows are spooled
	}
	tr.lives("request.timeout.ms=700&", 20_000, kafka)
	broker.stop(t)
}

// TestWireSpoolCluster is the same with three nodes of Apache Kafka, of which one or
// more are killed.
func TestWireSpoolCluster(t *testing.T) {
	if soakFor(t) == 0 {
		t.Skip("has only a long form: scripts/soak.sh 10 TestWireSpoolCluster")
	}
	ct := startCluster(t)
	var gone []int32
	ct.lives(clusterEndpoint, 8000, &presence{
		there: true,
		leave: func() {
			gone = nil
			for _, n := range ct.rng.Perm(3)[:1+ct.rng.IntN(3)] {
				gone = append(gone, int32(n+1))
				ct.cluster.kill(t, int32(n+1))
			}
		},
		come: func() {
			ct.start(gone...)
			ct.inSync()
			ct.moveLeaders()
		},
	})
}

// lives has collectors with one spool live and end, counts what was sent to each, and
// compares it with what is in the topics after the last.
func (tr *trial) lives(endpoint string, rate float64, kafka *presence) {
	t, rng := tr.t, tr.rng
	t.Helper()
	spool := t.TempDir()
	var lives []life
	next := uint64(0)
	begin, length := time.Now(), soakFor(t)
	for len(lives) < 6 || time.Since(begin) < length {
		tr.open(endpoint, "--spool", spool, "--spool-bytes", "1GiB")
		l := life{first: next, end: []string{killed, killed, killedStill, stopped}[rng.IntN(4)]}
		found := tr.collector.metrics(t)
		tr.loading = startLoad(t, tr.address, traffic.LoadConfig{Rate: rate, Exporters: 3, First: l.first, Seed: rng.Uint64()})
		for range 1 + rng.IntN(3) {
			switch what := rng.IntN(7); {
			case what == 0:
				kafka.away()
			case what == 1:
				kafka.back()
			case what == 2:
				tr.any().cut()
			case what == 3:
				tr.any().next(tr.deeds(3)...)
			case what == 4 && kafka.there:
				tr.addPartitions()
			case what == 5 && kafka.there:
				tr.limit([]int{5000, 20_000, 1_000_000}[rng.IntN(3)])
			}
			tr.arrives(uint64(1 + rng.IntN(10_000)))
		}
		if l.end != killed {
			tr.loading.cancel()
			tr.loading.wait(t, tr.collector)
			tr.until("all is written", func() bool {
				m := account(t, tr.collector)
				for _, d := range tr.destinations {
					if d.fate(m).written-d.fate(found).written != m.sum("tributary_collect_records_total") {
						return false
					}
				}
				return true
			})
		}
		if l.end == killedStill {
			tr.until("all is delivered or spooled", func() bool {
				m := account(t, tr.collector)
				for _, d := range tr.destinations {
					if f := d.fate(m); f.delivered+f.spooled < f.written {
						return false
					}
				}
				return true
			})
		}
		m := tr.collector.metrics(t)
		if l.end == stopped {
			tr.collector.stop(t)
		} else {
			tr.collector.kill()
		}
		tr.collector = nil
		tr.loading.cancel()
		<-tr.loading.done
		l.flows = tr.loading.stats.Flows
		for _, d := range tr.destinations {
			f := d.fate(m)
			if f.dropped+f.refused > 0 {
				t.Errorf("%s: %d flows dropped and %d refused, though the spool has room", d.topic, f.dropped, f.refused)
			}
			if l.end == stopped {
				l.sure = append(l.sure, f.written-d.fate(found).written)
			} else {
				l.sure = append(l.sure, f.delivered+f.spooled-d.fate(found).written)
			}
			if got := l.sure[len(l.sure)-1]; l.end != killed && got != l.flows && m.kernelDrops() == 0 {
				t.Errorf("%s: %d flows were sent, %d delivered or spooled", d.topic, l.flows, got)
			}
		}
		t.Logf("%2d: kafka there: %v, %s: %d flows sent, sure %v", len(lives), kafka.there, l.end, l.flows, l.sure)
		lives = append(lives, l)
		next += l.flows + 10_000 // what was sent and not counted any more has numbers of its own
		if rng.IntN(2) == 0 {
			kafka.away()
		} else if rng.IntN(2) == 0 {
			kafka.back()
		}
	}
	for _, p := range tr.proxies {
		p.heal()
	}
	kafka.back()
	tr.open(endpoint, "--spool", spool, "--spool-bytes", "1GiB")
	tr.limit(1_000_000) // of topics that this collector makes when Kafka was away in all lives before
	tr.until("nothing waits any more", func() bool {
		m := account(t, tr.collector)
		for _, d := range tr.destinations {
			if f := d.fate(m); f.delivered < f.written {
				return false
			}
		}
		return true
	})
	tr.collector.stop(t)
	tr.collector = nil
	for i, d := range tr.destinations {
		got := readBack(t, tr.direct, d, next, true)
		for n, l := range lives {
			there := got.between(l.first, l.first+10_000+l.flows)
			if there < l.sure[i] {
				t.Errorf("%s: %d flows of life %d were delivered or spooled, %d are there", d.topic, l.sure[i], n, there)
			}
			if l.end != killed && there != l.sure[i] {
				t.Errorf("%s: all %d flows of life %d were delivered or spooled, %d are there", d.topic, l.sure[i], n, there)
			}
		}
	}
}

// TestWireSpoolOutage: Kafka is away while many more flows arrive than memory may hold.
// All of them are there afterwards, once.
func TestWireSpoolOutage(t *testing.T) {
	t.Parallel()
	flows := uint64(400_000)
	if minutes := soakFor(t); minutes > 0 {
		flows = uint64(minutes.Minutes() * 3e6)
	}
	address := hold.Address(t)
	tr := &trial{t: t, rng: seeded(t), workers: 1, patience: 10*patience + soakFor(t), proxies: []*proxy{{addr: address}}}
	tr.destinations = []*destination{{topic: "flows", properties: "compression.type=lz4"}}
	spool, data := t.TempDir(), t.TempDir()
	tr.open("", "--spool", spool, "--spool-bytes", "200GB", "--queue-bytes", "8MiB", "--retention-bytes", "0")
	begin, peak := time.Now(), int64(0)
	sent := tr.flood(flows, func(received uint64) {
		if peak == 0 && received > flows/4 {
			peak = tr.collector.peakMemory(t)
		}
	})
	tr.until("all is written", func() bool { return tr.destinations[0].fate(account(t, tr.collector)).written == sent })
	f := tr.destinations[0].fate(account(t, tr.collector))
	grown := tr.collector.peakMemory(t)
	t.Logf("%d flows arrived in %.1f s without Kafka: %+v, %d MB on disk; peak memory %d MiB, %d MiB after a quarter",
		sent, time.Since(begin).Seconds(), f, onDisk(t, spool)/1e6, grown>>20, peak>>20)
	if f.dropped > 0 {
		t.Fatalf("%d flows were dropped, though the spool has room", f.dropped)
	}
	if grown > peak+peak/4+16<<20 {
		t.Errorf("peak memory went from %d to %d octets", peak, grown)
	}
	startBroker(t, data, address)
	begin = time.Now()
	most := int64(0)
	tr.until("all is delivered", func() bool {
		most = max(most, onDisk(t, spool)+onDisk(t, data))
		return tr.destinations[0].fate(account(t, tr.collector)).delivered == sent
	})
	t.Logf("delivered in %.1f s; at most %d MB on disk, spool and broker; peak memory %d MiB", time.Since(begin).Seconds(), most/1e6, tr.collector.peakMemory(t)>>20)
	if drained := tr.collector.peakMemory(t); drained > peak+peak/2+64<<20 {
		t.Errorf("peak memory went from %d to %d octets while the spool drained", peak, drained)
	}
	tr.collector.stop(t)
	begin = time.Now()
	if got := readBack(t, address, tr.destinations[0], sent, true); got.flows != sent {
		t.Errorf("%d flows were sent, %d are there", sent, got.flows)
	}
	t.Logf("read back in %.1f s", time.Since(begin).Seconds())
}

// flood sends flows as fast as the collector takes them: never more datagrams are under
// way than fit its sockets several times over. It returns how many flows that were.
func (tr *trial) flood(flows uint64, each func(received uint64)) uint64 {
	t := tr.t
	t.Helper()
	m := tr.collector.metrics(t)
	// The kernel charges an ordinary datagram for about 2 KiB.
	window := max(64, m.sum("tributary_collect_socket_buffer_bytes")/(8<<10))
	l, err := traffic.NewLoad(traffic.LoadConfig{
		Protocol: traffic.NetFlow9, To: netip.MustParseAddrPort(tr.address),
		Flows: window / 4 * 25, Exporters: 3, Batch: int(min(32, window/16)), Seed: tr.rng.Uint64(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for received := uint64(0); l.Stats().Flows < flows; {
		for l.Stats().Datagrams-received <= window*3/4 && l.Stats().Flows < flows {
			if err := l.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		tr.until("there is room in the sockets", func() bool {
			m = account(t, tr.collector)
			if n := m.kernelDrops(); n > 0 && soakFor(t) > 0 {
				t.Fatalf("the kernel dropped %d datagrams, though there was room", n)
			} else if n > 0 {
				t.Skip("the machine is too busy: the kernel dropped datagrams")
			}
			received = m.received()
			return l.Stats().Datagrams-received <= window/2
		})
		each(m.sum("tributary_collect_records_total"))
	}
	return l.Stats().Flows
}

// onDisk is how many octets the files in a folder have.
func onDisk(t *testing.T, dir string) (octets int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has just been deleted
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		switch info, err := e.Info(); {
		case err == nil:
			octets += info.Size()
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return octets
}
