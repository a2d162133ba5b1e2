package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tributary-net/tributary/internal/traffic"
)

// The highest rate without loss is looked for in probes: a rate is kept up with
// when fewer than one flow in a thousand is lost and the collector is done soon
// after the last datagram. Without the second, a queue in memory would pass for
// speed.
const (
	lossLimit  = 0.001
	probeTime  = 1500 * time.Millisecond
	drainLimit = 300 * time.Millisecond
	enough     = 0.93 // of a rate, for the load to have sent at it
	rateRounds = 2    // at most: each takes long
	rateGrowth = 2    // from one probe to the next, until one fails
	rateGrain  = 1.2  // how close the search comes; a quick one comes less so
	rateRatio  = 8    // how many times goflow2's rate ours is to be
)

// rates looks for the highest rate of ours and of goflow2, in turns.
func (b *bench) rates(ctx context.Context) error {
	peers := []contestant{{&ours, 1e6, ""}, {&goflow2, 60e3, ""}}
	found := make([][]float64, len(peers))
	bound := make([]bool, len(peers))
	for range min(b.rounds, rateRounds) {
		for i, c := range peers {
			rate, by, err := b.highest(ctx, c)
			if err != nil {
				return fmt.Errorf("highest rate of %s: %w", c.name, err)
			}
			found[i] = append(found[i], rate)
			bound[i] = bound[i] || by
		}
	}
	fmt.Printf("\nNetFlow v9 to protobuf, discarded: highest rate with less than 0.1 %% lost, the load on the same CPUs\n")
	t := newTable()
	fmt.Fprintln(t, "  \tthousand flows/s\tours, times this")
	for i, c := range peers {
		note, times := "", ""
		if bound[i] {
			note = " (the load could send no faster)"
		}
		if i > 0 {
			times = over(found[0], found[i]).String()
		}
		var k []float64
		for _, v := range found[i] {
			k = append(k, v/1e3)
		}
		fmt.Fprintf(t, "  %s\t%s%s\t%s\n", c.name, spreadOf(k), note, times)
	}
	t.Flush()
	b.bars = append(b.bars, bar{"highest rate with less than 0.1 % lost: times goflow2's", over(found[0], found[1]).median, rateRatio, false})
	return nil
}

// highest returns a collector's highest rate, and whether it was the load that
// could not go further.
func (b *bench) highest(ctx context.Context, c contestant) (rate float64, byLoad bool, err error) {
	r, err := b.running(ctx, traffic.NetFlow9, toProtobuf, c.collector, nil)
	if err != nil {
		return 0, false, err
	}
	defer r.close()
	grain := rateGrain
	if b.quick {
		grain = 1.4
	}
	var good, bad float64
	for next := c.rate; ; {
		ok, sent, err := r.probe(ctx, next)
		if err != nil {
			return 0, false, err
		}
		if !ok || sent < enough*next {
			// Somebody else may have needed the machine just then.
			again, faster, err := r.probe(ctx, next)
			if err != nil {
				return 0, false, err
			}
			if again && (!ok || faster > sent) {
				ok, sent = again, faster
			}
		}
		switch {
		case ok:
			good = max(good, sent)
			if sent < enough*next {
				return good, true, nil
			}
		default:
			bad = next
		}
		switch {
		case bad == 0:
			next *= rateGrowth
		case good == 0:
			next /= rateGrowth
			if next < 1000 {
				return 0, false, fmt.Errorf("%s loses flows at every rate", c.name)
			}
		case bad/good < grain:
			return good, false, nil
		default:
			next = (good + bad) / 2
		}
	}
}

// probe sends at a rate for a short while. It returns whether the collector kept
// up, and the rate that the load reached.
func (r *running) probe(ctx context.Context, rate float64) (bool, float64, error) {
	if err := r.warm(ctx, rate, probeTime/10); err != nil {
		return false, 0, err
	}
	before, err := r.decoded(&r.turn)
	if err != nil {
		return false, 0, err
	}
	res, err := r.send(ctx, probeTime)
	if err != nil {
		return false, 0, err
	}
	ended := time.Now()
	if err := r.drain(ctx); err != nil {
		return false, 0, err
	}
	late := time.Since(ended) - r.idle
	after, err := r.decoded(&r.turn)
	if err != nil {
		return false, 0, err
	}
	res.received = after - before
	return res.loss() < lossLimit && late < drainLimit, res.rate, nil
}
