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
	watch    *kafka.Watch
	links    links
	limit    int64
	block    time.Duration
	refused  atomic.Uint64
	acked    atomic.Uint64

	queued atomic.Int64
	// full is closed and replaced when a queue that was full has room again.
	mu       sync.Mutex
	room     chan struct{}
	waiting  atomic.Int32
	dropping atomic.Bool

	chunks sync.Pool

	ensure func(ctx context.Context) error
	stop   context.CancelFunc
	done   sync.WaitGroup
	ready  atomic.Bool

	sharedMu sync.Mutex
	shared   flow.Sink // handle of Write

	workersMu sync.Mutex
	workers   []*kafkaWorker
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
	opts = append([]kgo.Opt{kgo.ProducerLinger(50 * time.Millisecond), kgo.MaxBufferedRecords(maxBufferedRecords)}, opts...)
	watch := kafka.NewWatch(k, cfg.Logger)
	s := &kafkaSink{
		endpoint: e, topic: topic, log: cfg.Logger, watch: watch,
		limit: cfg.QueueBytes, block: cfg.Block, room: make(chan struct{}),
	}
	opts = append(opts, kgo.DefaultProduceTopic(topic), kgo.UnknownTopicRetries(-1), kgo.WithHooks(watch, &s.links))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	s.client = client
	s.chunks.New = func() any { return newChunk(s) }
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
			s.ready.Store(true)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !told && !errors.Is(err, kafka.ErrUnreachable) { // which the watch tells
			told = true
			s.log.Warn("topic is not ready; flow records wait in the queue", "to", s.Name(), "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (s *kafkaSink) Name() string { return s.endpoint.String() }

func (s *kafkaSink) Ready() error {
	if !s.ready.Load() {
		return fmt.Errorf("topic %s is not ready", s.topic)
	}
	if s.dropping.Load() && !s.hasRoom() {
		return errors.New("queue is full, records are dropped")
	}
	if s.links.any() {
		return nil
	}
	return s.watch.Err()
}

func (s *kafkaSink) Stats() Stats {
	// What comes later in a record's life is read first, so that the sum of
	// what was decided never exceeds what was written.
	st := Stats{Delivered: s.acked.Load(), Refused: s.refused.Load(), QueueBytes: s.queued.Load(), QueueLimit: s.limit}
	s.workersMu.Lock()
	defer s.workersMu.Unlock()
	for _, w := range s.workers {
		st.Dropped += w.dropped.Load()
		st.Bytes += w.bytes.Load()
		st.Written += w.written.Load()
	}
	return st
}

// Write is for callers without a handle of their own; they share one.
func (s *kafkaSink) Write(r *flow.Record) error {
	s.sharedMu.Lock()
	defer s.sharedMu.Unlock()
	if s.shared == nil {
		s.shared = s.Worker()
	}
	if err := s.shared.Write(r); err != nil {
		return err
	}
	return s.shared.Flush(context.Background())
}

// Flush waits until Kafka has acknowledged what was handed on.
func (s *kafkaSink) Flush(ctx context.Context) error { return s.client.Flush(ctx) }

// Close gives up what has not been acknowledged; Flush first.
func (s *kafkaSink) Close() error {
	s.stop()
	s.done.Wait()
	s.client.Close()
	if n := s.Stats().InFlight(); n > 0 {
		return fmt.Errorf("%s: %d flow records were not acknowledged", s.Name(), n)
	}
	return nil
}

func (s *kafkaSink) Worker() flow.Sink {
	w := &kafkaWorker{sink: s}
	s.workersMu.Lock()
	defer s.workersMu.Unlock()
	s.workers = append(s.workers, w)
	return w
}

// chunkSize is how much memory a worker takes at once for encoded records, and
// chunkCost what that costs with all that is kept for each record in flight. The
// queue is counted in chunks: those that are full and wait for Kafka. The one that
// a worker writes into is its own, so that a full queue, or one that is smaller
// than there are workers, shuts none of them out for good.
const (
	chunkSize    = 64 << 10
	chunkRecords = chunkSize / 100
	chunkCost    = 4 * chunkSize
)

// enqueue counts a chunk in the queue; false when there is no room for it.
func (s *kafkaSink) enqueue() bool {
	if !s.reserve() && (s.dropping.Load() || !s.wait()) {
		return false
	}
	s.recovered()
	return true
}

// reserve takes room for a chunk, if there is any.
func (s *kafkaSink) reserve() bool {
	for {
		queued := s.queued.Load()
		if queued+chunkCost > s.limit {
			return false
		}
		if s.queued.CompareAndSwap(queued, queued+chunkCost) {
			return true
		}
	}
}

// recovered ends dropping: there is room.
func (s *kafkaSink) recovered() {
	if s.dropping.Load() && s.dropping.CompareAndSwap(true, false) {
		s.log.Info("queue has room again", "to", s.Name(), "dropped_records", s.Stats().Dropped)
	}
}

// hasRoom reports whether there is room for a chunk.
func (s *kafkaSink) hasRoom() bool { return s.queued.Load()+chunkCost <= s.limit }

// chunk returns an empty chunk.
func (s *kafkaSink) chunk() *chunk {
	c := s.chunks.Get().(*chunk)
	c.refs.Store(1)
	return c
}

// wait holds a worker up until there is room for a chunk, and takes that.
func (s *kafkaSink) wait() bool {
	timer := time.NewTimer(s.block)
	defer timer.Stop()
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	for {
		s.mu.Lock()
		room := s.room
		s.mu.Unlock()
		if s.reserve() {
			return true
		}
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

// release gives the room of a chunk in the queue back.
func (s *kafkaSink) release(c *chunk) {
	if c.reset() {
		s.chunks.Put(c)
	}
	s.queued.Add(-chunkCost)
	if s.waiting.Load() > 0 {
		s.mu.Lock()
		close(s.room)
		s.room = make(chan struct{})
		s.mu.Unlock()
	}
}

// chunk holds encoded records, and the client's view of them, until all of them
// have been decided on.
type chunk struct {
	sink    *kafkaSink
	buf     []byte
	records []kafkaRecord // fixed: the client has pointers to them
	used    int           // of records
	refs    atomic.Int32  // records in flight, and one while a worker writes into it
}

func newChunk(s *kafkaSink) *chunk {
	c := &chunk{sink: s, buf: make([]byte, 0, chunkSize), records: make([]kafkaRecord, chunkRecords)}
	for i := range c.records {
		r := &c.records[i]
		r.chunk, r.Topic, r.promise = c, s.topic, r.done
	}
	return c
}

func (c *chunk) unref() {
	if c.refs.Add(-1) == 0 {
		c.sink.release(c)
	}
}

// reset makes a chunk that nothing refers to empty. It returns false for one that
// grew for a huge record, which is left to the collector of garbage.
func (c *chunk) reset() bool {
	c.buf, c.used = c.buf[:0], 0
	return cap(c.buf) <= 4*chunkSize
}

// full reports whether another record may not fit.
func (c *chunk) full() bool {
	return cap(c.buf)-len(c.buf) < maxEncoded || c.used == len(c.records)
}

// kafkaRecord is one Kafka record in flight.
type kafkaRecord struct {
	kgo.Record
	chunk   *chunk
	flows   uint64
	promise func(*kgo.Record, error) // done, bound to the record once
}

func (r *kafkaRecord) done(_ *kgo.Record, err error) {
	switch {
	case err == nil:
		r.chunk.sink.acked.Add(r.flows)
	case errors.Is(err, kgo.ErrClientClosed):
		// Nobody knows, and nobody will: it stays in flight.
	default:
		r.chunk.sink.refused.Add(r.flows)
	}
	r.chunk.unref()
}

// packedSize is after how much a Kafka record of several flow records is sent.
const packedSize = 16 << 10

// kafkaWorker is a worker's handle: it encodes into a chunk of its own.
type kafkaWorker struct {
	sink     *kafkaSink
	chunk    *chunk
	start    int // in the chunk, of what has not been handed on
	flows    uint64
	received uint64 // of the first flow of these

	written, dropped, bytes atomic.Uint64
}

func (w *kafkaWorker) Write(r *flow.Record) error {
	w.written.Add(1)
	if (w.chunk == nil || w.chunk.full()) && !w.turn() {
		w.dropped.Add(1)
		return nil
	}
	c, e := w.chunk, &w.sink.endpoint
	var key []byte
	if len(e.key) > 0 {
		c.buf = flow.AppendKey(c.buf, r, e.key)
		key = c.buf[w.start:len(c.buf):len(c.buf)]
		w.start = len(c.buf)
	}
	c.buf = e.format.Append(c.buf, r)
	if w.flows++; w.flows == 1 {
		w.received = r.Uint(flow.TimeReceived)
	}
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

// turn makes room for another record. What was packed into the worker's chunk
// goes first. If all of it has been decided on, the chunk is used again; otherwise
// it joins the queue and another takes its place, unless the queue is full.
func (w *kafkaWorker) turn() bool {
	w.produce(nil)
	s := w.sink
	switch c := w.chunk; {
	case c == nil:
		w.chunk = s.chunk()
	case c.refs.Load() == 1:
		if !c.reset() {
			w.chunk = s.chunk()
		}
		if s.hasRoom() {
			s.recovered()
		}
	case !s.enqueue():
		return false
	default:
		c.unref()
		w.chunk = s.chunk()
	}
	w.start = 0
	return true
}

// produce hands what has been encoded to the client, as one Kafka record whose
// timestamp is the time of receipt.
func (w *kafkaWorker) produce(key []byte) {
	if w.flows == 0 {
		return
	}
	c := w.chunk
	r := &c.records[c.used]
	c.used++
	r.Value, r.Key, r.flows = c.buf[w.start:len(c.buf):len(c.buf)], key, w.flows
	r.Timestamp = time.Unix(0, int64(w.received))
	w.bytes.Add(uint64(len(r.Value)))
	w.start, w.flows = len(c.buf), 0
	c.refs.Add(1)
	w.sink.client.Produce(context.Background(), &r.Record, r.promise)
}

// Flush hands packed records on; the others already are.
func (w *kafkaWorker) Flush(context.Context) error {
	w.produce(nil)
	return nil
}

func (w *kafkaWorker) Close() error { return w.Flush(context.Background()) }
