package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tributary-net/tributary/internal/hold"
)

// TestWireFaults: the way to the embedded broker breaks in all the ways that it can,
// and the broker is killed. Nothing acknowledged is missing, nothing is there twice,
// and in each partition flows are in order.
func TestWireFaults(t *testing.T) {
	t.Parallel()
	way := newProxy(t, "")
	dir := t.TempDir()
	broker, address := startBroker(t, dir, hold.Address(t), "--advertise", way.addr)
	way.aim(address)
	rng := seeded(t)
	// With two, each has a producer of its own.
	tr := &trial{t: t, rng: rng, workers: 1 + rng.IntN(2), proxies: []*proxy{way}, patience: 2 * patience}
	for _, d := range []destination{{topic: "plain"}, {topic: "both", properties: "compression.type=lz4&key=src_addr", keyed: true}} {
		d.partitions = map[int32]bool{4: true}
		tr.destinations = append(tr.destinations, &d)
	}
	tr.begin(fmt.Sprintf("request.timeout.ms=700&producers=%d&", tr.workers), 20_000)
	tr.administer(address)
	tr.run(slices.Concat(tr.connectionFaults(10_000), tr.topicFaults(10_000, 20_000), []fault{{"the broker is killed", func() {
		broker.kill()
		tr.arrives(5000)
		broker, _ = startBroker(t, dir, address, "--advertise", way.addr)
	}}}))
	tr.end()
	broker.stop(t)
}
