package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/hold"
	"github.com/tributary-net/tributary/internal/traffic"
)

// load sends numbered flows in NetFlow v9 to a collector, until all are sent.
func load(t *testing.T, address string, cfg traffic.LoadConfig) traffic.LoadStats {
	t.Helper()
	stats, err := runLoad(t.Context(), address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

func runLoad(ctx context.Context, address string, cfg traffic.LoadConfig) (traffic.LoadStats, error) {
	cfg.To, cfg.Protocol = netip.MustParseAddrPort(address), traffic.NetFlow9
	l, err := traffic.NewLoad(cfg)
	if err != nil {
		return traffic.LoadStats{}, err
	}
	defer l.Close()
	err = l.Run(ctx)
	return l.Stats(), err
}

// loading is a load that goes on while the test does other things.
type loading struct {
	stats  traffic.LoadStats
	err    error
	cancel context.CancelFunc
	done   chan struct{}
}

func startLoad(t *testing.T, address string, cfg traffic.LoadConfig) *loading {
	ctx, cancel := context.WithCancel(t.Context())
	l := &loading{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.stats, l.err = runLoad(ctx, address, cfg)
	}()
	t.Cleanup(func() { cancel(); <-l.done })
	return l
}

func (l *loading) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// wait waits until all is sent and the collector has received it.
func (l *loading) wait(t *testing.T, collector *process) samples {
	t.Helper()
	<-l.done
	if l.err != nil {
		t.Fatal(l.err)
	}
	var m samples
	eventually(t, "all is received", func() bool {
		m = account(t, collector)
		return m.received()+m.kernelDrops() == l.stats.Datagrams
	})
	return m
}

// arrived are the numbered flows that somebody has read.
type arrived map[uint64]int

// take counts a flow.
func (a arrived) take(r *flow.Record) uint64 {
	n := traffic.FlowNumber(r.Addr(flow.SrcAddr), uint16(r.Uint(flow.SrcPort)))
	a[n]++
	return n
}

// once expects that no flow came twice, and that all from first on were there, n
// of them, where all is true.
func (a arrived) once(t *testing.T, first, n uint64, all bool) {
	t.Helper()
	for number, times := range a {
		if times != 1 {
			t.Fatalf("flow %d came %d times", number, times)
		}
		if number < first || number >= first+n {
			t.Fatalf("flow %d came, which nobody sent", number)
		}
	}
	if all && uint64(len(a)) != n {
		t.Fatalf("%d flows came, want %d", len(a), n)
	}
}

// topicFlows reads the numbered flows in a topic. In each partition those of one
// exporter have to be in order.
func topicFlows(t *testing.T, brokers, topic string) arrived {
	t.Helper()
	return readFlows(t, brokers, topic, true)
}

// readFlows reads the numbered flows in a topic. Those of one exporter are in order as
// long as one worker gets all of its datagrams.
func readFlows(t *testing.T, brokers, topic string, ordered bool) arrived {
	t.Helper()
	got := arrived{}
	last := map[string]uint64{}
	eachFlow(t, brokers, topic, func(kr *kgo.Record, r *flow.Record) {
		n := got.take(r)
		from := fmt.Sprint(kr.Partition, " ", r.Uint(flow.ObservationDomainID))
		if l, ok := last[from]; ordered && ok && n <= l {
			t.Errorf("partition and exporter %s: flow %d after %d", from, n, l)
		}
		last[from] = n
	})
	return got
}

// eachFlow reads the flow records that a topic has, with a client that knows nothing of
// the one that wrote it.
func eachFlow(t *testing.T, brokers, topic string, f func(*kgo.Record, *flow.Record)) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	at := map[int32]kgo.Offset{}
	end := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			at[o.Partition], end[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: at})
	for r := new(flow.Record); len(end) > 0; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(kr *kgo.Record) {
			if _, err := flow.DecodeAny(kr.Value, r, func(r *flow.Record) error {
				f(kr, r)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if kr.Offset+1 >= end[kr.Partition] {
				delete(end, kr.Partition)
			}
		})
	}
}

// account scrapes the metrics and expects that they agree with each other.
func account(t *testing.T, p *process) samples {
	t.Helper()
	m := p.metrics(t)
	written, decided := m.sink("written"), m.sink("delivered")+m.sink("dropped")+m.sink("refused")
	inFlight, spooled := m.sum("tributary_sink_in_flight_records"), m.sum("tributary_sink_spooled_records")
	if written != decided+inFlight+spooled || inFlight > written || spooled > written {
		t.Errorf("%d records written, but %d decided on, %d in flight and %d spooled", written, decided, inFlight, spooled)
	}
	if queue, limit := m.sum("tributary_sink_queue_bytes"), m.sum("tributary_sink_queue_limit_bytes"); queue > limit {
		t.Errorf("%d octets in a queue of %d", queue, limit)
	}
	return m
}

// TestWireKafkaAway: a collector without its Kafka keeps what its queue can hold,
// drops and counts the rest, and recovers by itself when Kafka comes.
func TestWireKafkaAway(t *testing.T) {
	t.Parallel()
	address := hold.Address(t)
	collector, to := startCollect(t, "--to", "kafka://"+address+"/flows", "--queue-bytes", "4MiB", "--queue-block", "20ms", "--workers", "2")
	sent := uint64(0)
	send := func(flows uint64, rate float64) samples {
		t.Helper()
		before := collector.metrics(t)
		stats := load(t, to, traffic.LoadConfig{Rate: rate, Flows: flows, Exporters: 3, First: sent})
		sent += flows
		var m samples
		eventually(t, "all is received", func() bool {
			m = account(t, collector)
			return m.received()+m.kernelDrops() == before.received()+before.kernelDrops()+stats.Datagrams
		})
		if m.kernelDrops() > 0 {
			t.Skip("the machine is too busy: the kernel dropped datagrams")
		}
		return m
	}
	m := send(100_000, 100_000)
	if m.sink("written") != sent || m.sink("dropped") == 0 || m.sink("delivered") != 0 || m.sink("refused") != 0 {
		t.Errorf("of %d records %d were written, %d dropped, %d delivered, %d refused", sent, m.sink("written"), m.sink("dropped"), m.sink("delivered"), m.sink("refused"))
	}
	peak := collector.peakMemory(t)
	m = send(100_000, 100_000)
	waiting := m.sum("tributary_sink_in_flight_records")
	if grown := collector.peakMemory(t); grown > peak+peak/4+16<<20 {
		t.Errorf("peak memory went from %d to %d octets", peak, grown)
	}
	if status, body := collector.get(t, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d: %s", status, body)
	}
	if status, body := collector.get(t, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d: %s", status, body)
	}
	t.Logf("%d flows sent, %d wait, %d dropped, peak memory %d octets", sent, waiting, m.sink("dropped"), peak)

	startBroker(t, t.TempDir(), address)
	eventually(t, "what waited is delivered", func() bool { return account(t, collector).sink("delivered") == waiting })
	collector.ready(t)
	dropped, before := account(t, collector).sink("dropped"), sent
	if m = send(20_000, 10_000); m.sink("dropped") != dropped {
		t.Errorf("%d more records are dropped while Kafka is there", m.sink("dropped")-dropped)
	}
	collector.stop(t)
	got := topicFlows(t, address, "flows")
	got.once(t, 0, sent, false)
	if uint64(len(got)) != sent-dropped {
		t.Errorf("%d flows came, want %d: those sent without those dropped", len(got), sent-dropped)
	}
	for n := before; n < sent; n++ {
		if got[n] != 1 {
			t.Fatalf("flow %d, sent after Kafka came, is missing", n)
		}
	}
}

// TestWireBrokerKilled: the broker is killed again and again while flows arrive.
// Nothing is missing and nothing comes twice.
func TestWireBrokerKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broker, address := startBroker(t, dir, hold.Address(t))
	collector, to := startCollect(t, "--to", "kafka://"+address+"/flows?compression.type=lz4")
	const flows = 240_000
	loading := startLoad(t, to, traffic.LoadConfig{Rate: 60_000, Flows: flows, Exporters: 4})
	for _, part := range []uint64{flows / 5, flows / 2, flows * 4 / 5} {
		eventually(t, fmt.Sprintf("%d records are delivered", part), func() bool { return account(t, collector).sink("delivered") > part })
		broker.kill()
		received := collector.metrics(t).received()
		eventually(t, "more arrives without a broker", func() bool {
			return loading.ended() || collector.metrics(t).received() > received+100
		})
		broker, _ = startBroker(t, dir, address)
	}
	m := loading.wait(t, collector)
	if m.sink("dropped")+m.sink("refused") > 0 {
		t.Errorf("%d records dropped and %d refused, though the queue has room", m.sink("dropped"), m.sink("refused"))
	}
	collector.stop(t)
	got := topicFlows(t, address, "flows")
	got.once(t, 0, flows, m.kernelDrops() == 0)
	if uint64(len(got)) != m.sink("written") {
		t.Errorf("%d flows came, %d were written", len(got), m.sink("written"))
	}
	broker.stop(t)
}

// TestWireDrain: what was in the sockets when a collector is told to stop is where
// it belongs when it has ended.
func TestWireDrain(t *testing.T) {
	t.Parallel()
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	out := filepath.Join(t.TempDir(), "flows")
	collector, to := startCollect(t, "--to", "kafka://"+broker+"/one", "--to", "kafka://"+broker+"/packed?format=packed&linger.ms=500", "--to", "file:"+out+"?format=protobuf")
	const flows = 50_000
	load(t, to, traffic.LoadConfig{Rate: 250_000, Flows: flows, Exporters: 4})
	drops := collector.metrics(t).kernelDrops()
	collector.stop(t)
	if drops > 0 {
		t.Skip("the machine is too busy: the kernel dropped datagrams")
	}
	topicFlows(t, broker, "one").once(t, 0, flows, true)
	topicFlows(t, broker, "packed").once(t, 0, flows, true)
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got := arrived{}
	if _, err := flow.DecodeAny(b, new(flow.Record), func(r *flow.Record) error { got.take(r); return nil }); err != nil {
		t.Fatal(err)
	}
	got.once(t, 0, flows, true)
}

// TestWireStopWithoutKafka: what cannot be delivered within the grace period is
// given up, and the last line says how much that is.
func TestWireStopWithoutKafka(t *testing.T) {
	t.Parallel()
	address := hold.Address(t)
	collector, to := startCollect(t, "--to", "kafka://"+address+"/flows", "--grace", "1s")
	load(t, to, traffic.LoadConfig{Flows: 1000})
	eventually(t, "all is written", func() bool { return collector.metrics(t).sink("written") == 1000 })
	begin := time.Now()
	if err := collector.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := collector.wait(t); code != 1 {
		t.Errorf("ended with %d, want 1", code)
	}
	if took := time.Since(begin); took > 25*time.Second {
		t.Errorf("took %v with a grace of 1 s", took)
	}
	lines := strings.Split(strings.TrimSpace(collector.log()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "tributary: ") || !strings.Contains(last, "1000 flow records were not acknowledged") {
		t.Errorf("the last line is %q", last)
	}
}
