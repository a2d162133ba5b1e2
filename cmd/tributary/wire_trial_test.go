package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/traffic"
)

// soakFor is how long the long form of a test goes on; 0 is the short form.
// scripts/soak.sh sets it.
func soakFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("TRIBUTARY_SOAK_MINUTES")
	if text == "" {
		return 0
	}
	minutes, err := strconv.ParseFloat(text, 64)
	if err != nil || minutes <= 0 {
		t.Fatalf("TRIBUTARY_SOAK_MINUTES=%q: want a number of minutes", text)
	}
	return time.Duration(minutes * float64(time.Minute))
}

// seeded returns random numbers that TRIBUTARY_SOAK_SEED brings again, as far as time
// and chance elsewhere allow.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("TRIBUTARY_SOAK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TRIBUTARY_SOAK_SEED=%q: %v", text, err)
		}
	}
	t.Logf("TRIBUTARY_SOAK_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 7))
}

// destination is a topic that a trial's collector writes to.
type destination struct {
	topic      string
	properties string
	keyed      bool           // by source address
	refused    bool           // records may be refused, which have to be counted
	partitions map[int32]bool // how many it has had
}

// to is the destination's label in metrics.
func (d *destination) label() string { return "/" + d.topic }

// trial is a collector with several destinations in one cluster, which numbered flows
// come to all the time, while the way to the cluster and the cluster itself suffer.
type trial struct {
	t            *testing.T
	rng          *rand.Rand
	direct       string       // brokers, not by way of the proxies if that is possible
	admin        *kadm.Client // of these
	workers      int          // of the collector; of one the order of all flows is kept, of more that of an exporter's
	proxies      []*proxy     // one for each broker
	destinations []*destination
	collector    *process // nil between lives
	address      string   // of the collector
	loading      *loading
	patience     time.Duration
}

// fault is something that happens in a trial. It leaves everything in order again.
type fault struct {
	name string
	do   func()
}

// open starts the collector.
func (tr *trial) open(endpoint string, args ...string) {
	tr.t.Helper()
	for _, d := range tr.destinations {
		args = append(args, "--to", fmt.Sprintf("kafka://%s/%s?client.id=%s&metadata.max.age.ms=1000&retry.backoff.max.ms=250&%s", tr.brokers(), d.topic, d.topic, endpoint+d.properties))
	}
	tr.collector, tr.address = startCollect(tr.t, append([]string{"--workers", fmt.Sprint(tr.workers)}, args...)...)
}

// begin starts the collector, with a spool or without, and, when it is ready, the load.
func (tr *trial) begin(endpoint string, rate float64) {
	tr.t.Helper()
	if tr.rng.IntN(2) == 0 {
		tr.t.Log("with a spool")
		tr.open(endpoint, "--spool", tr.t.TempDir())
	} else {
		tr.open(endpoint)
	}
	tr.collector.ready(tr.t)
	tr.loading = startLoad(tr.t, tr.address, traffic.LoadConfig{Rate: rate, Exporters: 3, Seed: tr.rng.Uint64()})
}

// administer says where the test itself goes, to change topics and to read them.
func (tr *trial) administer(brokers string) {
	tr.t.Helper()
	// What the client remembers of the cluster may be told for an answer of it.
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(cl.Close)
	tr.direct, tr.admin = brokers, kadm.NewClient(cl)
}

func (tr *trial) topics() []string {
	var all []string
	for _, d := range tr.destinations {
		all = append(all, d.topic)
	}
	return all
}

// brokers are where clients connect.
func (tr *trial) brokers() string {
	var all []string
	for _, p := range tr.proxies {
		all = append(all, p.addr)
	}
	return strings.Join(all, ",")
}

// any returns one of the proxies.
func (tr *trial) any() *proxy { return tr.proxies[tr.rng.IntN(len(tr.proxies))] }

// until waits for something that the trial needs to go on.
func (tr *trial) until(what string, f func() bool) {
	tr.t.Helper()
	for deadline := time.Now().Add(tr.patience); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tr.t.Fatalf("this did not come true in %v: %s\n%s", tr.patience, what, tr.account())
		}
		if tr.collector == nil {
			continue
		}
		select {
		case <-tr.collector.ended:
			tr.t.Fatalf("the collector ended: %v", tr.collector.err)
		default:
		}
	}
}

// fate is what has become of a destination's records.
type fate struct{ written, delivered, dropped, refused, spooled uint64 }

func (f fate) decided() uint64 { return f.delivered + f.dropped + f.refused }

func (d *destination) fate(m samples) fate {
	get := func(result string) uint64 {
		return m.sum("tributary_sink_records_total", `result="`+result+`"`, d.label())
	}
	return fate{
		written: get("written"), delivered: get("delivered"), dropped: get("dropped"), refused: get("refused"),
		spooled: m.sum("tributary_sink_spooled_records", d.label()),
	}
}

// account tells how all destinations do.
func (tr *trial) account() string {
	if tr.collector == nil {
		return ""
	}
	m := tr.collector.metrics(tr.t)
	var b strings.Builder
	for _, d := range tr.destinations {
		fmt.Fprintf(&b, "%s: %+v\n", d.topic, d.fate(m))
	}
	return b.String()
}

// arrives waits until so many more flows have arrived at the collector.
func (tr *trial) arrives(flows uint64) {
	tr.t.Helper()
	begin := account(tr.t, tr.collector).sum("tributary_collect_records_total")
	tr.until(fmt.Sprintf("%d more flows arrive", flows), func() bool {
		return account(tr.t, tr.collector).sum("tributary_collect_records_total") >= begin+flows
	})
}

// progress waits until every destination has had so many more flows delivered.
func (tr *trial) progress(flows uint64) {
	tr.t.Helper()
	begin := tr.collector.metrics(tr.t)
	tr.until(fmt.Sprintf("%d more flows are delivered everywhere", flows), func() bool {
		m := account(tr.t, tr.collector)
		for _, d := range tr.destinations {
			if d.fate(m).delivered < d.fate(begin).delivered+flows {
				return false
			}
		}
		return true
	})
}

// recovered waits until as much as was written so far has been decided on.
func (tr *trial) recovered() {
	tr.t.Helper()
	begin := tr.collector.metrics(tr.t)
	tr.until("as much as was written is decided on", func() bool {
		m := account(tr.t, tr.collector)
		for _, d := range tr.destinations {
			if d.fate(m).decided() < d.fate(begin).written {
				return false
			}
		}
		return true
	})
}

// run has every fault happen once in an order by chance, half of them while single
// produce requests go wrong, and goes on with faults by chance as long as the long form
// wants.
func (tr *trial) run(faults []fault) {
	tr.t.Helper()
	tr.recovered()
	tr.rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	begin, length := time.Now(), soakFor(tr.t)
	for i := 0; i < len(faults) || time.Since(begin) < length; i++ {
		f := faults[i%len(faults)]
		if i >= len(faults) {
			f = faults[tr.rng.IntN(len(faults))]
		}
		at := time.Now()
		if tr.rng.IntN(2) == 0 {
			for _, p := range tr.proxies {
				p.next(tr.deeds(tr.rng.IntN(4))...)
			}
		}
		f.do()
		healed := time.Now()
		tr.recovered()
		tr.t.Logf("%3d %s: %.1f s, and as much decided on as written after %.1f s", i, f.name, healed.Sub(at).Seconds(), time.Since(healed).Seconds())
	}
}

// end ends the load, stops the collector, and compares what is in the topics with
// what the collector says and what was sent.
func (tr *trial) end() {
	tr.t.Helper()
	tr.until("every fault of connections has taken place", func() bool {
		var swallowed, torn, overtaken uint64
		for _, p := range tr.proxies {
			swallowed += p.swallowed.Load()
			torn += p.torn.Load()
			overtaken += p.overtaken.Load()
		}
		if swallowed > 0 && torn > 0 && overtaken > 0 {
			return true
		}
		p := tr.any()
		tr.spoil(p)
		p.heal()
		return false
	})
	tr.loading.cancel()
	tr.loading.wait(tr.t, tr.collector)
	tr.recovered()
	m := account(tr.t, tr.collector)
	tr.collector.stop(tr.t)
	sent, kernel := tr.loading.stats.Flows, m.kernelDrops()
	var resets, swallowed, torn, overtaken uint64
	for _, p := range tr.proxies {
		resets += p.reset.Load()
		swallowed += p.swallowed.Load()
		torn += p.torn.Load()
		overtaken += p.overtaken.Load()
	}
	tr.t.Logf("%d flows sent, %d datagrams lost in the kernel; %d connections reset, %d answers swallowed, %d requests torn, %d overtaken",
		sent, kernel, resets, swallowed, torn, overtaken)
	for _, d := range tr.destinations {
		f := d.fate(m)
		tr.t.Logf("%s: %+v", d.topic, f)
		if f.decided() != f.written {
			tr.t.Errorf("%s: %d flows were written, %d decided on", d.topic, f.written, f.decided())
		}
		if f.dropped > 0 || f.refused > 0 && !d.refused {
			tr.t.Errorf("%s: %d flows were dropped and %d refused, for no reason", d.topic, f.dropped, f.refused)
		}
		if kernel == 0 && f.written != sent {
			tr.t.Errorf("%s: %d flows were sent, %d written", d.topic, sent, f.written)
		}
		got := readBack(tr.t, tr.direct, d, sent, tr.workers == 1)
		if got.flows != f.delivered {
			tr.t.Errorf("%s: %d flows were acknowledged, %d are there", d.topic, f.delivered, got.flows)
		}
		// A datagram that the kernel dropped had 25 flows, or the template.
		if missing := sent - got.flows; missing > f.dropped+f.refused+25*kernel {
			tr.t.Errorf("%s: %d flows are missing, %d were dropped or refused, %d datagrams lost in the kernel", d.topic, missing, f.dropped+f.refused, kernel)
		}
	}
}

// connectionFaults are what the way to the brokers does.
func (tr *trial) connectionFaults(flows uint64) []fault {
	return []fault{
		{"connections are cut", func() {
			for range 5 {
				tr.any().cut()
				tr.arrives(flows / 10)
			}
		}},
		{"produce requests are in doubt", func() {
			for _, p := range tr.proxies {
				tr.spoil(p)
				p.heal()
			}
		}},
		{"answers do not come", func() {
			tr.hang()
			tr.hungUp()
		}},
		{"answers are slow", func() {
			for _, p := range tr.proxies {
				p.slow(time.Duration(50+tr.rng.IntN(400)) * time.Millisecond)
			}
			tr.progress(flows / 2)
			for _, p := range tr.proxies {
				p.heal()
			}
		}},
		{"a broker cannot be reached", func() {
			p := tr.any()
			p.refuse(true)
			tr.arrives(flows)
			p.heal()
		}},
		{"all connections are cut again and again", func() {
			for range 20 {
				for _, p := range tr.proxies {
					p.cut()
				}
				tr.arrives(flows / 40)
			}
		}},
	}
}

// hang leaves the collector without an answer from each broker, and more on that
// connection.
func (tr *trial) hang() {
	tr.t.Helper()
	for _, p := range tr.proxies {
		p.next(plan{deed: hang})
	}
	for _, p := range tr.proxies {
		tr.come(p)
	}
}

// hungUp waits until the collector no longer waits for these, by request.timeout.ms.
func (tr *trial) hungUp() {
	tr.t.Helper()
	tr.until("the collector gives up waiting", func() bool {
		return !slices.ContainsFunc(tr.proxies, (*proxy).hanging)
	})
}

// spoil has the next produce requests of a broker go wrong in various ways.
func (tr *trial) spoil(p *proxy) {
	tr.t.Helper()
	p.next(tr.deeds(9)...)
	tr.come(p)
}

// deeds are n plans for produce requests to go wrong, with some between them for others
// to go through.
func (tr *trial) deeds(n int) []plan {
	var plans []plan
	for i := range n {
		plans = append(plans, plan{deed: []deed{overtake, swallow, tear}[i%3], answers: 1 + tr.rng.IntN(8)})
		plans = append(plans, make([]plan, tr.rng.IntN(3))...)
	}
	return plans
}

// come waits until what has been planned for produce requests has come true. A node that
// leads nothing has none.
func (tr *trial) come(p *proxy) {
	tr.t.Helper()
	begin := tr.collector.metrics(tr.t).sum("tributary_collect_records_total")
	tr.until("requests come", func() bool {
		return p.planned() == 0 || len(tr.proxies) > 1 && account(tr.t, tr.collector).sum("tributary_collect_records_total") > begin+20_000
	})
}

// topicFaults are what happens to the topics. limit is an octet count that many flows of
// a batch exceed.
func (tr *trial) topicFaults(flows uint64, limit int) []fault {
	return []fault{
		{"partitions are added", func() {
			tr.addPartitions()
			tr.until("new partitions are written to", func() bool {
				ends, err := tr.admin.ListEndOffsets(tr.t.Context(), tr.topics()...)
				if err != nil {
					return false
				}
				all := true
				ends.Each(func(o kadm.ListedOffset) { all = all && o.Err == nil && o.Offset > 0 })
				return all
			})
		}},
		{"the limit of a message falls", func() {
			// What comes again because it had no answer is too large now, and may be there
			// already.
			tr.hang()
			tr.limit(limit)
			tr.hungUp()
			tr.arrives(flows)
			tr.recovered()
			tr.limit(1_000_000)
		}},
	}
}

// describe asks about the topics.
func (tr *trial) describe() kadm.TopicDetails {
	tr.t.Helper()
	var topics kadm.TopicDetails
	tr.until("the cluster tells about its topics", func() bool {
		var err error
		topics, err = tr.admin.ListTopics(tr.t.Context(), tr.topics()...)
		return err == nil && topics.Error() == nil && len(topics) == len(tr.destinations)
	})
	return topics
}

// addPartitions gives each topic up to three more.
func (tr *trial) addPartitions() {
	tr.t.Helper()
	for _, d := range tr.destinations {
		n := len(tr.describe()[d.topic].Partitions) + 1 + tr.rng.IntN(3)
		d.partitions[int32(n)] = true
		if _, err := tr.admin.UpdatePartitions(tr.t.Context(), n, d.topic); err != nil {
			tr.t.Fatal(err)
		}
	}
}

// limit sets how large a message may be.
func (tr *trial) limit(octets int) {
	tr.t.Helper()
	tr.describe() // they are there
	c := kadm.AlterConfig{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr(fmt.Sprint(octets))}
	tr.until("the topics are configured", func() bool {
		responses, err := tr.admin.AlterTopicConfigs(tr.t.Context(), []kadm.AlterConfig{c}, tr.topics()...)
		return err == nil && !slices.ContainsFunc(responses, func(r kadm.AlterConfigsResponse) bool { return r.Err != nil })
	})
}
