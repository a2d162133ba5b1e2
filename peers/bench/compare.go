package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/tributary-net/tributary/internal/traffic"
)

// contestant is a collector at a rate that it keeps up with.
type contestant struct {
	*collector
	rate float64 // flows a second
	note string  // beside the name
}

func (c contestant) label() string { return strings.TrimSpace(c.name + " " + c.note) }

// path is what collectors are compared on.
type path struct {
	name     string
	protocol traffic.Protocol
	output   output
	quick    bool // part of a quick run
	peers    []contestant
	bar      float64 // CPU seconds a million flows that ours may take; 0: no bar
	ratio    float64 // how many times less than the rival; 0: no bar
}

// sameRate marks ours at the rate that goflow2 is given. It cannot follow ours, and
// at a low rate each wake-up brings less: a ratio between different rates flatters
// whoever was given the higher one.
const sameRate = "at that rate"

// paths are measured in this order: ours, goflow2 at a rate that it can follow, and
// ours once more at that one.
var paths = []path{
	{
		name: "NetFlow v9 to protobuf, discarded", protocol: traffic.NetFlow9, output: toProtobuf, quick: true, bar: 0.35, ratio: 12,
		peers: []contestant{
			{&ours, 500e3, ""},
			{&goflow2, 50e3, ""},
			{&ours, 50e3, sameRate},
			{&oursFile, 500e3, ""},
			{&nfacctd, 100e3, "(JSON)"},
			{&floor, 500e3, ""},
		},
	},
	{
		name: "NetFlow v9 to JSON, discarded", protocol: traffic.NetFlow9, output: toJSON, quick: true, bar: 0.60,
		peers: []contestant{
			{&ours, 400e3, ""},
			{&goflow2, 12e3, ""},
			{&ours, 12e3, sameRate},
		},
	},
	{
		name: "NetFlow v9 to protobuf to Kafka, a record each", protocol: traffic.NetFlow9, output: toKafka, quick: true, bar: 0.90,
		peers: []contestant{
			{&ours, 200e3, ""},
			{&goflow2, 25e3, ""},
			{&ours, 25e3, sameRate},
			{&nfacctd, 50e3, "(JSON)"},
		},
	},
	{
		name: "NetFlow v9 to protobuf to Kafka, in several ways", protocol: traffic.NetFlow9, output: toKafka, bar: 0.50,
		peers: []contestant{
			{&ours, 200e3, ""},
			{&oursLZ4, 200e3, "lz4"},
			{&oursPacked, 200e3, "packed"},
			{&oursPacked, 500e3, "packed, faster"},
			{&oursSpool, 200e3, "with a spool"},
		},
	},
	{
		name: "IPFIX to protobuf, discarded", protocol: traffic.IPFIX, output: toProtobuf,
		peers: []contestant{{&ours, 500e3, ""}, {&goflow2, 50e3, ""}, {&ours, 50e3, sameRate}},
	},
	{
		name: "NetFlow v5 to protobuf, discarded", protocol: traffic.NetFlow5, output: toProtobuf,
		peers: []contestant{{&ours, 500e3, ""}, {&goflow2, 80e3, ""}, {&ours, 80e3, sameRate}},
	},
	{
		name: "sFlow v5 to protobuf, discarded", protocol: traffic.SFlow, output: toProtobuf,
		peers: []contestant{{&ours, 200e3, ""}, {&goflow2, 30e3, ""}, {&ours, 30e3, sameRate}},
	},
	{
		name: "IPFIX to KFlow's JSON to Kafka, a record each", protocol: traffic.IPFIX, output: toKFlow, ratio: 4,
		peers: []contestant{{&ours, 200e3, ""}, {&kflow, 200e3, ""}, {&oursAsKFlow, 200e3, "with KFlow's properties"}},
	},
}

// exporters is how many sockets the load sends from: enough that a collector's
// sockets share it fairly.
const exporters = 16

// result is what one turn came to.
type result struct {
	sent     uint64
	received uint64
	usage    usage
	rate     float64 // flows a second that were sent in fact
}

// perMillion is CPU seconds for a million flows received.
func (r result) perMillion(d time.Duration) float64 {
	return d.Seconds() / float64(max(r.received, 1)) * 1e6
}

func (r result) loss() float64 { return 1 - float64(r.received)/float64(max(r.sent, 1)) }

// collectors runs every path that is wanted, then the search for the highest
// rate.
func (b *bench) collectors(ctx context.Context) error {
	if !b.available(&nfacctd) {
		fmt.Println("nfacctd is not installed (Debian: pmacct) and left out")
	}
	if !b.available(&kflow) {
		fmt.Println("KFlow is left out: it takes java, and its jar, or a folder of jars, by --kflow")
	}
	var kafka *brokerProcess
	defer func() {
		if kafka != nil {
			kafka.close()
		}
	}()
	for _, p := range paths {
		if !b.wanted(p.name) || b.quick && !p.quick && len(b.only) == 0 {
			continue
		}
		if p.output.kafka() && kafka == nil {
			var err error
			if kafka, err = b.startOwn(ctx, b.data, "page-cache"); err != nil {
				return err
			}
		}
		if err := b.compare(ctx, &p, kafka); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if b.wanted("rate") {
		return b.rates(ctx)
	}
	return nil
}

// compare gives every contestant its turn in every round, and prints.
func (b *bench) compare(ctx context.Context, p *path, kafka *brokerProcess) error {
	var peers []contestant
	for _, c := range p.peers {
		// nfacctd has to be waited for longest.
		skip := b.quick && c.collector == &nfacctd && p.output == toKafka
		if b.available(c.collector) && !skip {
			peers = append(peers, c)
		}
	}
	results := make([][]result, len(peers))
	for range b.rounds {
		for i, c := range peers {
			r, err := b.turn(ctx, p, c, kafka)
			if err != nil {
				return fmt.Errorf("%s: %w", c.label(), err)
			}
			results[i] = append(results[i], r)
		}
	}
	b.report(p, peers, results)
	return nil
}

// turn measures a contestant once.
func (b *bench) turn(ctx context.Context, p *path, c contestant, kafka *brokerProcess) (result, error) {
	var none result
	r, err := b.running(ctx, p.protocol, p.output, c.collector, kafka)
	if err != nil {
		return none, err
	}
	defer r.close()
	if err := r.warm(ctx, c.rate, max(c.warm, time.Duration(min(1, b.seconds/2)*1e9))); err != nil {
		return none, err
	}
	return r.measure(ctx, time.Duration(b.seconds*1e9))
}

// running is a collector under load.
type running struct {
	*collector
	process *process
	turn    turn
	load    *traffic.Load
	cfg     traffic.LoadConfig
	kafka   *brokerProcess
}

func (b *bench) running(ctx context.Context, protocol traffic.Protocol, out output, c *collector, kafka *brokerProcess) (*running, error) {
	r := &running{collector: c, turn: turn{protocol: protocol, output: out}}
	var err error
	if r.turn.port, err = freePort(); err != nil {
		return nil, err
	}
	if r.turn.http, err = freePort(); err != nil {
		return nil, err
	}
	if out.kafka() {
		r.kafka = kafka
		r.turn.broker = kafka.address
		if r.turn.topic, err = kafka.newTopic(ctx, 4, nil); err != nil {
			return nil, err
		}
	}
	if c.spools {
		if r.turn.spool, err = os.MkdirTemp(b.data, "tributary-bench-"); err != nil {
			return nil, err
		}
	}
	if r.process, err = c.start(b, &r.turn); err != nil {
		return nil, err
	}
	if err := c.ready(ctx, r.process, &r.turn); err != nil {
		r.close()
		return nil, err
	}
	r.cfg = traffic.LoadConfig{Protocol: protocol, To: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(r.turn.port)), Exporters: exporters}
	return r, nil
}

func (r *running) close() {
	if r.load != nil {
		_ = r.load.Close()
	}
	r.process.stop()
	if r.turn.spool != "" {
		_ = os.RemoveAll(r.turn.spool)
	}
	if r.kafka != nil {
		r.kafka.deleteTopic(r.turn.topic)
	}
}

// arrived counts the flows that are in Kafka.
func (r *running) arrived(ctx context.Context) (int64, error) {
	if r.packed {
		return r.kafka.messages(ctx, r.turn.topic)
	}
	return r.kafka.records(ctx, r.turn.topic)
}

// warm makes a load of a rate and sends for a while what does not count:
// templates, buffers and connections are there when something does.
func (r *running) warm(ctx context.Context, rate float64, d time.Duration) error {
	cfg := r.cfg
	cfg.Rate = rate
	if r.load != nil {
		_ = r.load.Close()
	}
	var err error
	if r.load, err = traffic.NewLoad(cfg); err != nil {
		return err
	}
	if _, err := r.send(ctx, d); err != nil {
		return err
	}
	return r.drain(ctx)
}

// send lets the load send for a while, and returns how much it was.
func (r *running) send(ctx context.Context, d time.Duration) (result, error) {
	before := r.load.Stats().Flows
	began := time.Now()
	timed, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	if err := r.load.Run(timed); err != nil {
		return result{}, err
	}
	sent := r.load.Stats().Flows - before
	return result{sent: sent, rate: float64(sent) / time.Since(began).Seconds()}, ctx.Err()
}

// measure sends for a while and tells what the collector took for it.
func (r *running) measure(ctx context.Context, d time.Duration) (result, error) {
	count := func() (n uint64, err error) {
		if r.decoded != nil {
			n, err = r.decoded(&r.turn)
		}
		return n, err
	}
	before, err := count()
	if err != nil {
		return result{}, err
	}
	var offset int64
	if r.kafka != nil {
		if offset, err = r.arrived(ctx); err != nil {
			return result{}, err
		}
	}
	r.process.resetPeak()
	drops := readUDP(r.turn.port).drops
	used := r.process.usage()
	res, err := r.send(ctx, d)
	if err != nil {
		return res, err
	}
	if err := r.drain(ctx); err != nil {
		return res, err
	}
	res.usage = r.process.usage().since(used)
	if err := r.process.failed(); err != nil {
		return res, err
	}
	switch {
	case r.kafka != nil:
		// What counts is what has arrived.
		n, err := r.arrived(ctx)
		if err != nil {
			return res, err
		}
		res.received = uint64(n - offset)
	case r.decoded != nil:
		after, err := count()
		if err != nil {
			return res, err
		}
		res.received = after - before
	default:
		lost := (readUDP(r.turn.port).drops - drops) * uint64(r.load.Records())
		res.received = res.sent - min(lost, res.sent)
	}
	return res, nil
}

// drain waits until a collector has nothing left to do: no datagram waits, it has
// not computed for a while, and Kafka has what it has decoded. A producer may sit
// on records: goflow2 does so for five seconds.
func (r *running) drain(ctx context.Context) error {
	if err := r.quiet(ctx); err != nil || r.kafka == nil {
		return err
	}
	if r.decoded == nil {
		return nil
	}
	n, err := r.decoded(&r.turn)
	if err != nil {
		return err
	}
	const step, limit = 50 * time.Millisecond, 10 * time.Second
	for waited := time.Duration(0); waited < limit; waited += step {
		have, err := r.arrived(ctx)
		if err != nil {
			return err
		}
		if uint64(have) >= n {
			break // what is missing after all counts as lost
		}
		if err := pause(ctx, step); err != nil {
			return err
		}
	}
	return r.quiet(ctx)
}

// quiet waits until no datagram waits and the collector has not computed for a
// while.
func (r *running) quiet(ctx context.Context) error {
	const step = 50 * time.Millisecond
	noise := time.Duration(r.noise * float64(step))
	last := r.process.usage().cpu
	deadline := time.Now().Add(2 * time.Minute)
	for quiet := time.Duration(0); quiet < r.idle; quiet += step {
		if err := pause(ctx, step); err != nil {
			return err
		}
		if err := r.process.failed(); err != nil {
			return err
		}
		now := r.process.usage().cpu
		if now-last > noise || readUDP(r.turn.port).queued > 0 {
			quiet = 0
		}
		last = now
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is still busy two minutes after the last datagram", r.name)
		}
	}
	return nil
}
