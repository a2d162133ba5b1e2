package main

import (
	"context"
	"fmt"
	"time"
)

// The bars for starting.
const (
	startLimit    = 0.1 // seconds until the broker answers, after it was stopped in order
	recoveryLimit = 3.0 // the same after it was killed
)

const (
	startPath    = "broker start"
	recoveryPath = "broker recovery"
	residentPath = "broker resident"
)

// newBroker starts one of the brokers compared, with new data.
type newBroker struct {
	name  string
	start func() (*brokerProcess, error)
}

// starts compares how long brokers take until they answer, with much data that was
// closed in order and with some that was not, and what memory they keep when much
// went through them.
func (b *bench) starts(ctx context.Context, libs string) error {
	peers := []newBroker{{"tributary", func() (*brokerProcess, error) { return b.startOwn(ctx, b.disk, "fsync") }}}
	if libs != "" {
		peers = append(peers, newBroker{"Apache Kafka", func() (*brokerProcess, error) { return b.startApache(ctx, b.disk, libs) }})
	}
	if b.wanted(startPath) || b.wanted(residentPath) {
		if err := b.cleanStarts(ctx, peers); err != nil {
			return err
		}
	}
	if b.wanted(recoveryPath) {
		return b.recoveries(ctx, peers)
	}
	return nil
}

// cleanStarts fills a broker, looks at its memory, and starts it again, once a round.
func (b *bench) cleanStarts(ctx context.Context, peers []newBroker) error {
	fmt.Printf("\nBrokers: %s GB of 1 KB records in 1 MB batches on disk, then started again\n", short(b.log))
	t := newTable()
	fmt.Fprintln(t, "  \tMB resident when they were written and read\tat the most\ts until it answers, stopped in order\tMB resident then")
	for _, peer := range peers {
		if err := func() error {
			k, err := peer.start()
			if err != nil {
				return err
			}
			defer func() { k.close() }()
			topic, err := k.newTopic(ctx, shapes[0].partitions, nil)
			if err != nil {
				return err
			}
			k.process.resetPeak()
			res, err := k.produce(ctx, topic, shapes[0], b.log*1e9)
			if err != nil {
				return err
			}
			if _, err := k.consume(ctx, topic, res.records); err != nil {
				return err
			}
			full, peak := float64(k.process.resident())/1e6, float64(k.process.usage().peak)/1e6
			var took, resident []float64
			for range b.rounds {
				k.stop(false)
				if err := k.start(ctx, b); err != nil {
					return err
				}
				took, resident = append(took, k.started.Seconds()), append(resident, float64(k.process.resident())/1e6)
				if err := k.holds(ctx, topic, res.records); err != nil {
					return err
				}
			}
			fmt.Fprintf(t, "  %s\t%.0f\t%.0f\t%s\t%.0f\n", peer.name, full, peak, spreadOf(took), spreadOf(resident).max)
			if !k.own() {
				return nil
			}
			if b.wanted(residentPath) {
				b.bars = append(b.bars, bar{fmt.Sprintf("%s: MB resident at the most, %s GB written and read", peer.name, short(b.log)), peak, brokerResident / 1e6, true})
			}
			if b.wanted(startPath) {
				b.bars = append(b.bars, bar{fmt.Sprintf("%s: s until it answers with %s GB, stopped in order", peer.name, short(b.log)), spreadOf(took).median, startLimit, true})
			}
			return nil
		}(); err != nil {
			return fmt.Errorf("%s: %w", peer.name, err)
		}
	}
	t.Flush()
	return nil
}

// recoveries kills a broker that has written to one partition and starts it again, with
// new data each round: what was recovered once need not be again.
func (b *bench) recoveries(ctx context.Context, peers []newBroker) error {
	took := make([][]float64, len(peers))
	for range b.rounds {
		for i, peer := range peers {
			s, err := b.recovery(ctx, peer)
			if err != nil {
				return fmt.Errorf("%s: %w", peer.name, err)
			}
			took[i] = append(took[i], s.Seconds())
		}
	}
	fmt.Printf("\nBrokers: killed with %s GB of 1 KB records in 1 MB batches in one segment on disk, then started again\n", short(b.tail))
	t := newTable()
	fmt.Fprintln(t, "  \ts until it answers")
	for i, peer := range peers {
		fmt.Fprintf(t, "  %s\t%s\n", peer.name, spreadOf(took[i]))
	}
	t.Flush()
	b.bars = append(b.bars, bar{fmt.Sprintf("%s: s until it answers, killed with %s GB", peers[0].name, short(b.tail)), spreadOf(took[0]).median, recoveryLimit, true})
	return nil
}

func (b *bench) recovery(ctx context.Context, peer newBroker) (time.Duration, error) {
	k, err := peer.start()
	if err != nil {
		return 0, err
	}
	defer func() { k.close() }()
	topic, err := k.newTopic(ctx, 1, nil)
	if err != nil {
		return 0, err
	}
	res, err := k.produce(ctx, topic, shapes[0], b.tail*1e9)
	if err != nil {
		return 0, err
	}
	k.stop(true)
	if err := k.start(ctx, b); err != nil {
		return 0, err
	}
	return k.started, k.holds(ctx, topic, res.records)
}

// holds sees that a topic has as many records as were acknowledged.
func (k *brokerProcess) holds(ctx context.Context, topic string, records int64) error {
	n, err := k.records(ctx, topic)
	if err == nil && n != records {
		err = fmt.Errorf("%d records were acknowledged, started again it has %d", records, n)
	}
	return err
}

// resident is the resident memory of a child and its descendants, in bytes.
func (p *process) resident() int64 {
	var n int64
	for _, pid := range p.tree() {
		n += status(pid, "VmRSS:")
	}
	return n
}
