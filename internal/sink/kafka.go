package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/kafka"
)

// kafkaSink produces to a topic. What waits for Kafka is bounded in bytes. When
// that bound is met, a worker waits for a while, which leaves datagrams in the
// socket; then records are dropped and counted until there is room again.
type kafkaSink struct {
	endpoint Endpoint
	topic    string
	client   *kgo.Client
	log      *slog.Logger
	limit    int64
	block    time.Duration
	tally    tally

	queued atomic.Int64
	// full is closed and replaced when a queue that was full has room again.
	mu       sync.Mutex
	room     chan struct{}
	waiting  atomic.Int32
	dropping atomic.Bool

	chunks  sync.Pool
	records sync.Pool

	ensure func(ctx context.Context) error
	stop   context.CancelFunc
	done   sync.WaitGroup
	ready  atomic.Bool
	acked  atomic.Int64 // last acknowledgement, seconds since the epoch
}

// maxBufferedRecords is a bound that the client wants beside ours, in records:
// out of the way of ours.
const maxBufferedRecords = 1 << 30

func openKafka(e Endpoint, cfg Config) (Sink, error) {
	k, err := e.kafka.With(cfg.Properties)
	if err != nil {
		return nil, err
	}
	topic := k.Topic
	if topic == "" {
		topic = cfg.Topic
	}
	kc := cfg.Kafka
	kc.Logger = cfg.Logger
	opts, err := k.ClientOptions(kc)
	if err != nil {
		return nil, err
	}
	// Ours come first: what the user sets wins.
	opts = append([]kgo.Opt{kgo.ProducerLinger(20 * time.Millisecond), kgo.MaxBufferedRecords(maxBufferedRecords)}, opts...)
	opts = append(opts, kgo.DefaultProduceTopic(topic), kgo.UnknownTopicRetries(-1))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	s := &kafkaSink{
		endpoint: e, topic: topic, client: client, log: cfg.Logger,
		limit: cfg.QueueBytes, block: cfg.Block, room: make(chan struct{}),
	}
	s.chunks.New = func() any { return &chunk{sink: s, buf: make([]byte, 0, chunkSize)} }
	s.records.New = func() any {
		r := &kafkaRecord{sink: s}
		r.promise = r.done
		return r
	}
	s.ensure = func(ctx context.Context) error {
		_, err := kafka.EnsureTopic(ctx, client, topic, cfg.Partitions, cfg.Topics)
		return k.Explain(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.done.Go(func() { s.prepare(ctx) })
	return s, nil
}

// prepare creates the topic as soon as Kafka can be reached. It gives up on
// nothing: a cluster that forbids it may have the topic later.
func (s *kafkaSink) prepare(ctx context.Context) {
	told := false
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := s.ensure(attempt)
		cancel()
		if err == nil {
			s.acked.Store(time.Now().Unix())
			s.ready.Store(true)
			if told {
				s.log.Info("kafka is there", "to", s.Name())
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !told {
			told = true
			s.log.Warn("kafka is not ready; flow records wait in the queue", "to", s.Name(), "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (s *kafkaSink) Name() string { return s.endpoint.String() }

// silence is how long Kafka may leave records unacknowledged before the sink
// says that it is not ready.
const silence = 10 * time.Second

func (s *kafkaSink) Ready() error {
	if !s.ready.Load() {
		return fmt.Errorf("topic %s is not ready", s.topic)
	}
	if s.dropping.Load() {
		return errors.New("queue is full, records are dropped")
	}
	if waited := time.Since(time.Unix(s.acked.Load(), 0)); s.queued.Load() > 0 && waited > silence {
		return fmt.Errorf("no acknowledgement for %s", waited.Round(time.Second))
	}
	return nil
}

func (s *kafkaSink) Stats() Stats {
	st := s.tally.stats()
	st.QueueBytes, st.QueueLimit = s.queued.Load(), s.limit
	return st
}

// Write is for callers without a handle of their own.
func (s *kafkaSink) Write(r *flow.Record) error {
	w := s.Worker()
	if err := w.Write(r); err != nil {
		return err
	}
	return w.Flush(context.Background())
}

// Flush waits until Kafka has acknowledged what was handed on.
func (s *kafkaSink) Flush(ctx context.Context) error { return s.client.Flush(ctx) }

// Close gives up what has not been acknowledged; Flush first.
func (s *kafkaSink) Close() error {
	s.stop()
	s.done.Wait()
	s.client.Close()
	if n := s.tally.stats().InFlight(); n > 0 {
		return fmt.Errorf("%s: %d flow records were not acknowledged", s.Name(), n)
	}
	return nil
}

func (s *kafkaSink) Worker() flow.Sink { return &kafkaWorker{sink: s} }

// admit takes room for n bytes. It is false when the record has to be dropped.
func (s *kafkaSink) admit(n int64) bool {
	if s.queued.Add(n) <= s.limit {
		if s.dropping.Load() && s.dropping.CompareAndSwap(true, false) {
			s.log.Info("queue has room again", "to", s.Name(), "dropped_records", s.tally.dropped.Load())
		}
		return true
	}
	s.queued.Add(-n)
	if s.dropping.Load() {
		return false
	}
	return s.wait(n)
}

// wait holds a worker up until there is room.
func (s *kafkaSink) wait(n int64) bool {
	timer := time.NewTimer(s.block)
	defer timer.Stop()
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	for {
		s.mu.Lock()
		room := s.room
		s.mu.Unlock()
		if s.queued.Add(n) <= s.limit {
			return true
		}
		s.queued.Add(-n)
		select {
		case <-room:
		case <-timer.C:
			if s.dropping.CompareAndSwap(false, true) {
				s.log.Warn("queue is full: flow records are dropped and counted", "to", s.Name(), "queue_bytes", s.limit)
			}
			return false
		}
	}
}

// release gives room back.
func (s *kafkaSink) release(n int64) {
	s.queued.Add(-n)
	if s.waiting.Load() > 0 {
		s.mu.Lock()
		close(s.room)
		s.room = make(chan struct{})
		s.mu.Unlock()
	}
}

// chunkSize is how much memory workers take at once for encoded records.
const chunkSize = 64 << 10

// chunk holds encoded records until all of them have been decided on.
type chunk struct {
	sink *kafkaSink
	buf  []byte
	refs atomic.Int32 // records in flight, and one while a worker writes into it
}

func (c *chunk) unref() {
	if c.refs.Add(-1) == 0 {
		c.buf = c.buf[:0]
		c.sink.chunks.Put(c)
	}
}

// kafkaRecord is one Kafka record in flight; it is used again after its promise.
type kafkaRecord struct {
	kgo.Record
	sink    *kafkaSink
	chunk   *chunk
	flows   uint64
	size    int64
	promise func(*kgo.Record, error)
}

func (r *kafkaRecord) done(_ *kgo.Record, err error) {
	s := r.sink
	if err == nil {
		s.tally.delivered.Add(r.flows)
		if now := time.Now().Unix(); s.acked.Load() != now {
			s.acked.Store(now)
		}
	} else {
		s.tally.refused.Add(r.flows)
	}
	s.release(r.size)
	r.chunk.unref()
	r.chunk, r.Record = nil, kgo.Record{}
	s.records.Put(r)
}

// packedSize is after how much a Kafka record of several flow records is sent.
const packedSize = 16 << 10

// kafkaWorker is a worker's handle: it encodes into a chunk of its own.
type kafkaWorker struct {
	sink  *kafkaSink
	chunk *chunk
	start int // in the chunk, of what has not been handed on
	flows uint64
}

func (w *kafkaWorker) Write(r *flow.Record) error {
	if w.chunk == nil || cap(w.chunk.buf)-len(w.chunk.buf) < maxEncoded {
		w.turn()
	}
	c, e := w.chunk, &w.sink.endpoint
	var key []byte
	if len(e.key) > 0 {
		c.buf = flow.AppendKey(c.buf, r, e.key)
		key = c.buf[w.start:len(c.buf):len(c.buf)]
		w.start = len(c.buf)
	}
	c.buf = e.format.Append(c.buf, r)
	w.flows++
	if e.format != flow.Packed {
		w.produce(key)
	} else if len(c.buf)-w.start >= packedSize {
		w.produce(nil)
	}
	return nil
}

// maxEncoded is how much room there should be for one more record in a chunk; a
// larger record makes the chunk grow, and costs a copy.
const maxEncoded = 4 << 10

// turn takes a new chunk. What was packed into the old one goes first.
func (w *kafkaWorker) turn() {
	w.produce(nil)
	if w.chunk != nil {
		w.chunk.unref()
	}
	w.chunk = w.sink.chunks.Get().(*chunk)
	w.chunk.refs.Store(1)
	w.start = 0
}

// produce hands what has been encoded to the client, as one Kafka record.
func (w *kafkaWorker) produce(key []byte) {
	if w.flows == 0 {
		return
	}
	s, c := w.sink, w.chunk
	value := c.buf[w.start:len(c.buf):len(c.buf)]
	flows := w.flows
	w.start, w.flows = len(c.buf), 0
	size := int64(len(key) + len(value) + recordOverhead)
	s.tally.written.Add(flows)
	s.tally.bytes.Add(uint64(len(value)))
	if !s.admit(size) {
		s.tally.dropped.Add(flows)
		return
	}
	r := s.records.Get().(*kafkaRecord)
	r.Record.Value, r.Record.Key = value, key
	r.chunk, r.flows, r.size = c, flows, size
	c.refs.Add(1)
	s.client.Produce(context.Background(), &r.Record, r.promise)
}

// recordOverhead is what a record in flight costs beside its bytes: the client's
// and our own structures.
const recordOverhead = 256

// Flush hands packed records on; the others already are.
func (w *kafkaWorker) Flush(context.Context) error {
	w.produce(nil)
	return nil
}

func (w *kafkaWorker) Close() error { return w.Flush(context.Background()) }
