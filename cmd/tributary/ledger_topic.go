package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/kafka"
)

// ledgerTopic is where collectors write their ledger.
const ledgerTopic = "ledger"

// ledgerWriter writes the ledger to the topic of one cluster, from a goroutine of
// its own: what Kafka does not take in time is left out, and the next rows have it
// all.
type ledgerWriter struct {
	metrics  kafka.ClientMetrics
	endpoint kafka.Endpoint
	client   *kgo.Client
	config   map[string]string // of a topic that is created
	log      *slog.Logger
	there    bool // the topic is
	trouble  bool
}

// How long writing may take: in between, and at the stop, where everybody waits.
const (
	ledgerPatience = 10 * time.Second
	ledgerLast     = 3 * time.Second
)

// addTo adds what writes the ledger to a service, before what it tells of: so it
// has the last word.
func (l *ledger) addTo(s *service, o *sinkOptions, interval time.Duration, dial kafka.DialFunc) error {
	s.http.Handle("GET /ledger", l)
	endpoints, err := o.kafkas()
	if err != nil || interval == 0 {
		return err
	}
	for _, e := range endpoints {
		w := &ledgerWriter{endpoint: e, config: kafka.TimeRetention(o.retention, o.retentionBytes, 1), log: s.log}
		s.clients.addClient(clientName(e, ledgerTopic), &w.metrics)
		s.group.Add(daemon.Part{
			Name:  "ledger",
			Start: func(context.Context) error { return w.open(dial) },
			Run:   func(ctx context.Context) error { return w.run(ctx, l, interval) },
			Stop:  func(ctx context.Context) error { return w.stop(ctx, l) },
		})
	}
	return nil
}

func (w *ledgerWriter) open(dial kafka.DialFunc) error {
	cfg := kafka.ClientConfig{Version: versionString(), Logger: w.log}
	if w.endpoint.Embedded {
		cfg.Dial = dial
	}
	opts, err := w.endpoint.ClientOptions(cfg)
	if err != nil {
		return err
	}
	// Ours come last. What a row says is in the next one too, and the same row twice
	// does no harm: nothing has to be waited for.
	w.client, err = kgo.NewClient(append(opts, kgo.DefaultProduceTopic(ledgerTopic),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.ProducerLinger(0),
		kgo.DisableIdempotentWrite(), kgo.RecordDeliveryTimeout(ledgerPatience), kgo.WithHooks(&w.metrics))...)
	if err != nil {
		return fmt.Errorf("topic %s: %w", ledgerTopic, err)
	}
	return nil
}

func (w *ledgerWriter) run(ctx context.Context, l *ledger, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		w.writeOn(ctx, min(interval, ledgerPatience), l.snapshot(false))
	}
}

// writeOn writes a snapshot, and does not break off at once when ctx ends: records under way cannot be taken back, and
// those of the last snapshot come behind them.
func (w *ledgerWriter) writeOn(ctx context.Context, patience time.Duration, s *ledgerSnapshot) {
	on, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(ledgerLast, cancel) })()
	w.write(on, patience, s)
}

// stop writes the last rows, when everything else has stopped.
func (w *ledgerWriter) stop(ctx context.Context, l *ledger) error {
	w.trouble = false // that these rows are missing is worth a line of its own
	w.write(ctx, ledgerLast, l.snapshot(true))
	w.client.Close()
	return nil
}

// write writes a snapshot and says when that begins to fail and when it works again.
func (w *ledgerWriter) write(ctx context.Context, patience time.Duration, s *ledgerSnapshot) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := w.produce(ctx, s)
	switch {
	case err != nil && !w.trouble:
		w.trouble = true
		w.log.Warn("ledger is not written", "to", w.endpoint.Address(), "topic", ledgerTopic, "err", w.endpoint.Explain(err))
	case err == nil && w.trouble:
		w.trouble = false
		w.log.Info("ledger is written again", "to", w.endpoint.Address(), "topic", ledgerTopic)
	}
}

func (w *ledgerWriter) produce(ctx context.Context, s *ledgerSnapshot) error {
	if !w.there {
		if _, err := kafka.EnsureTopic(ctx, w.client, ledgerTopic, 1, w.config); err != nil {
			return err
		}
		w.there = true
	}
	var mu sync.Mutex
	var first error
	var group sync.WaitGroup
	s.each(func(key string, row any) {
		value, err := json.Marshal(row)
		if err != nil {
			panic(err) // rows are made of texts and numbers
		}
		group.Add(1)
		w.client.Produce(ctx, &kgo.Record{Key: []byte(key), Value: value, Timestamp: s.total.Time}, func(_ *kgo.Record, err error) {
			mu.Lock()
			if first == nil {
				first = err
			}
			mu.Unlock()
			group.Done()
		})
	})
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done(): // the client has records under way that it cannot take back
		return ctx.Err()
	}
	if errors.Is(first, kerr.UnknownTopicOrPartition) {
		w.there = false
	}
	return first
}

// readLedger reads the newest ledger of every collector from the topic.
func readLedger(ctx context.Context, cl *kgo.Client) ([]*ledgerSnapshot, error) {
	admin := kadm.NewClient(cl)
	ends, err := admin.ListEndOffsets(ctx, ledgerTopic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", ledgerTopic, err)
	}
	starts, err := admin.ListStartOffsets(ctx, ledgerTopic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", ledgerTopic, err)
	}
	left := map[int32]int64{} // where each partition that has anything ends
	from := map[int32]kgo.Offset{}
	ends.Each(func(e kadm.ListedOffset) {
		if st, ok := starts.Lookup(e.Topic, e.Partition); ok && st.Offset < e.Offset {
			left[e.Partition], from[e.Partition] = e.Offset, kgo.NewOffset().At(st.Offset)
		}
	})
	newest := newestLedgers{}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{ledgerTopic: from})
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, f := range fetches.Errors() {
			if !kerr.IsRetriable(f.Err) {
				return nil, fmt.Errorf("topic %s: %w", f.Topic, f.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			newest.add(r.Value)
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return newest.list(), nil
}

// newestLedgers gathers rows of collectors until the newest ledger of each is whole.
type newestLedgers map[string]*collectorRows

type collectorRows struct {
	at     time.Time
	seen   map[string]bool // rows of the time at: some are in the topic twice
	rows   [][]byte        // the same in order
	newest [][]byte        // of the last that was whole
}

// add takes a row as it was written. What is no row is passed over.
func (n newestLedgers) add(value []byte) {
	var head rowHead
	if json.Unmarshal(value, &head) != nil || head.Row == "" || head.Time.IsZero() {
		return
	}
	c := n[head.Collector]
	if c == nil {
		c = &collectorRows{}
		n[head.Collector] = c
	}
	if head.Time.Before(c.at) {
		return
	}
	if head.Time.After(c.at) {
		c.at, c.rows, c.seen = head.Time, nil, map[string]bool{}
	}
	if c.seen[string(value)] {
		return
	}
	c.seen[string(value)] = true
	c.rows = append(c.rows, value)
	if head.Row == rowTotal { // the last one
		c.newest = c.rows
	}
}

func (n newestLedgers) list() (list []*ledgerSnapshot) {
	for _, name := range slices.Sorted(maps.Keys(n)) {
		s := &ledgerSnapshot{}
		for _, value := range n[name].newest {
			_ = s.addRow(value) // what is not as a row should be is passed over, too
		}
		if s.total.Row != "" {
			list = append(list, s)
		}
	}
	return list
}

// parseLedger reads what /ledger serves.
func parseLedger(r io.Reader) (*ledgerSnapshot, error) {
	var answer struct {
		Rows []json.RawMessage `json:"rows"`
	}
	if err := json.NewDecoder(r).Decode(&answer); err != nil {
		return nil, err
	}
	s := &ledgerSnapshot{}
	for _, row := range answer.Rows {
		if err := s.addRow(row); err != nil {
			return nil, err
		}
	}
	if s.total.Row == "" {
		return nil, errors.New("it has no row of the total")
	}
	return s, nil
}
