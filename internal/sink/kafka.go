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
	endpoint  Endpoint
	topic     string
	producers []*kafka.Producer
	log       *slog.Logger
	watch     *kafka.Watch
	metrics   kafka.ClientMetrics
	refused   atomic.Uint64
	acked     atomic.Uint64
	lost      atomic.Uint64 // found no room in the spool
	folders   []*spoolFolder
	notes     *notesFile // nil: none are kept

	ensure func(ctx context.Context) error
	stop   context.CancelFunc
	done   sync.WaitGroup
	ready  atomic.Bool
	wrong  atomic.Pointer[error] // why it is not ready yet

	sharedMu sync.Mutex
	shared   flow.Sink // handle of Write

	workersMu sync.Mutex
	workers   []*kafkaWorker
}

// minQueue is the least queue that a producer works with.
const minQueue = 1 << 20

func openKafka(e Endpoint, cfg Config) (Sink, error) {
	k, err := e.kafka.With(cfg.Properties)
	if err != nil {
		return nil, err
	}
	topic := k.Topic
	if topic == "" {
		topic = cfg.Topic
	}
	s := &kafkaSink{endpoint: e, topic: topic, log: cfg.Logger, watch: kafka.NewWatch(k, cfg.Logger)}
	if err := s.openProducers(k, cfg); err != nil {
		_ = s.closeProducers()
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	s.ensure = func(ctx context.Context) error {
		_, err := kafka.EnsureTopic(ctx, s.producers[0].Client(), topic, cfg.Partitions, cfg.Topics)
		return k.Explain(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.done.Go(func() { s.prepare(ctx) })
	return s, nil
}

// openProducers opens as many as are configured, and one for each folder of the spool
// that has been left.
func (s *kafkaSink) openProducers(k kafka.Endpoint, cfg Config) error {
	n := max(1, k.Producers)
	if cfg.QueueBytes/int64(n) < minQueue {
		return fmt.Errorf("%d producers want a queue of %d MiB at least", n, int64(n)*minQueue>>20)
	}
	if cfg.Spool != nil {
		names := cfg.Spool.folders(k.Address(), s.topic, n)
		n = len(names)
		for _, name := range names {
			f, err := cfg.Spool.openFolder(name, s.Name())
			if err != nil {
				return err
			}
			s.folders = append(s.folders, f)
		}
		if cfg.Notes != nil {
			var err error
			if s.notes, err = openNotes(cfg.Notes(), s.folders, cfg.Logger); err != nil {
				return err
			}
		}
	}
	for i := range n {
		pc := kafka.ProducerConfig{
			Client:     cfg.Kafka,
			Topic:      s.topic,
			QueueBytes: cfg.QueueBytes / int64(n),
			Block:      cfg.Block,
			Delivered:  func(flows uint64) { s.acked.Add(flows) },
			Refused:    func(flows uint64) { s.refused.Add(flows) },
			Dropped:    func(flows uint64) { s.lost.Add(flows) },
			Keyed:      len(s.endpoint.key) > 0,
			Hooks:      []kgo.Hook{s.watch, &s.metrics},
			Logger:     cfg.Logger,
		}
		if cfg.Spool != nil {
			pc.Spool = s.folders[i]
		}
		p, err := kafka.NewProducer(k, pc)
		if err != nil {
			return err
		}
		s.producers = append(s.producers, p)
	}
	if s.notes != nil {
		return s.notes.begin()
	}
	return nil
}

func (s *kafkaSink) closeProducers() error {
	for _, p := range s.producers {
		p.Close()
	}
	var errs []error
	for _, f := range s.folders {
		errs = append(errs, f.close())
	}
	if s.notes != nil {
		errs = append(errs, s.notes.close())
	}
	return errors.Join(errs...)
}

// prepare creates the topic as soon as Kafka can be reached. It gives up on
// nothing: a cluster that forbids it may have the topic later.
func (s *kafkaSink) prepare(ctx context.Context) {
	told := false
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := s.ensure(attempt)
		cancel()
		if err == nil {
			s.ready.Store(true)
			if told {
				s.log.Info("topic is ready", "to", s.Name())
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.wrong.Store(&err)
		// The watch tells of connections that cannot be opened, not of those that a broker
		// closes afterwards, because it wants a login.
		if !told && (!errors.Is(err, kafka.ErrUnreachable) || s.watch.Err() == nil) {
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
		err := s.watch.Err()
		if wrong := s.wrong.Load(); err == nil && wrong != nil {
			err = *wrong
		}
		if err != nil {
			return fmt.Errorf("topic %s is not ready: %w", s.topic, err)
		}
		return fmt.Errorf("topic %s is not ready", s.topic)
	}
	for _, p := range s.producers {
		if err := p.Full(); err != nil {
			return err
		}
	}
	if s.metrics.Connected() {
		return nil
	}
	return s.watch.Err()
}

func (s *kafkaSink) Stats() Stats {
	// What comes later in a record's life is read first, so that the sum of
	// what was decided never exceeds what was written.
	st := Stats{Delivered: s.acked.Load(), Refused: s.refused.Load(), Dropped: s.lost.Load()}
	for _, p := range s.producers {
		used, limit := p.Queue()
		st.QueueBytes += used
		st.QueueLimit += limit
		spooled, found := p.Spooled()
		st.Spooled += spooled
		st.Found += found
		st.Written += found
	}
	s.workersMu.Lock()
	defer s.workersMu.Unlock()
	for _, w := range s.workers {
		st.Dropped += w.dropped.Load()
		st.Bytes += w.bytes.Load()
		st.Written += w.written.Load()
	}
	return st
}

// KafkaStats returns what the clients and producers under a sink have done; false: it
// has none.
func KafkaStats(s Sink) (kafka.ClientStats, kafka.ProducerStats, bool) {
	k, ok := s.(*kafkaSink)
	if !ok {
		return kafka.ClientStats{}, kafka.ProducerStats{}, false
	}
	var all kafka.ProducerStats
	for _, p := range k.producers {
		all.Add(p.Stats())
	}
	return k.metrics.Stats(), all, true
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
func (s *kafkaSink) Flush(ctx context.Context) error {
	for _, p := range s.producers {
		if err := p.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close gives up what has not been acknowledged; Flush first.
func (s *kafkaSink) Close() error {
	s.stop()
	s.done.Wait()
	if err := s.closeProducers(); err != nil {
		return fmt.Errorf("%s: %w", s.Name(), err)
	}
	if n := s.Stats().InFlight(); n > 0 {
		return fmt.Errorf("%s: %d flow records were not acknowledged", s.Name(), n)
	}
	return nil
}

func (s *kafkaSink) Worker() flow.Sink {
	s.workersMu.Lock()
	defer s.workersMu.Unlock()
	p := s.producers[len(s.workers)%len(s.producers)]
	w := &kafkaWorker{
		endpoint: &s.endpoint, to: p.Appender(),
		buf: make([]byte, 0, handSize), records: make([]kafka.Record, 0, handRecords), packed: packedSize,
	}
	s.workers = append(s.workers, w)
	if s.notes != nil {
		w.packed = 4 * packedSize // it is less, where datagrams end
		return &kafkaNoter{kafkaWorker: w}
	}
	return w
}

// Records are handed on together: so many, or as soon as they take so much. Several
// flow records in one Kafka record (packed) may take packedSize.
const (
	handRecords = 32
	handSize    = 8 << 10
	packedSize  = 16 << 10
)

// kafkaWorker is a worker's handle. It encodes into memory of its own, from where
// records are copied to the batches they become part of.
type kafkaWorker struct {
	endpoint *Endpoint
	to       *kafka.Appender
	buf      []byte         // of the records
	records  []kafka.Record // to be handed on
	packed   int            // how much several flow records may take in one, at least
	handed   bool           // something was, since it was asked last

	written, dropped, bytes atomic.Uint64
}

// Write encodes a record. The timestamp of a Kafka record is the time of receipt.
func (w *kafkaWorker) Write(r *flow.Record) error {
	e := w.endpoint
	if e.format == flow.Packed && len(w.records) > 0 {
		last := &w.records[0]
		w.buf = e.format.Append(w.buf, r)
		last.Value = w.buf
		last.Flows++
		if len(w.buf) >= w.packed {
			w.hand()
		}
		return nil
	}
	at, key := len(w.buf), []byte(nil)
	if len(e.key) > 0 {
		w.buf = flow.AppendKey(w.buf, r, e.key)
		key = w.buf[at:]
		at = len(w.buf)
	}
	w.buf = e.format.Append(w.buf, r)
	w.records = append(w.records, kafka.Record{Milliseconds: int64(r.Uint(flow.TimeReceived) / 1e6), Key: key, Value: w.buf[at:], Flows: 1})
	if e.format != flow.Packed && (len(w.records) == handRecords || len(w.buf) >= handSize) {
		w.hand()
	}
	return nil
}

// hand hands on what has been encoded.
func (w *kafkaWorker) hand() {
	if len(w.records) == 0 {
		return
	}
	var flows, size uint64
	for i := range w.records {
		flows += uint64(w.records[i].Flows)
		size += uint64(len(w.records[i].Value))
	}
	w.written.Add(flows)
	dropped, lost := w.to.Append(w.records)
	w.bytes.Add(size - lost)
	if dropped > 0 {
		w.dropped.Add(dropped)
	}
	w.buf, w.records, w.handed = w.buf[:0], w.records[:0], true
}

// Flush hands the last records on.
func (w *kafkaWorker) Flush(context.Context) error {
	w.hand()
	return nil
}

func (w *kafkaWorker) Close() error { return w.Flush(context.Background()) }

// kafkaNoter is a worker's handle where records outlive the process.
type kafkaNoter struct {
	*kafkaWorker
	notes []byte // of what is still in buf, and before it
}

// Note ends a datagram; see [flow.Noter].
func (w *kafkaNoter) Note(note []byte) {
	w.notes = append(w.notes, note...)
	enough := w.handed || len(w.records) == 0
	if w.endpoint.format == flow.Packed {
		enough = enough || len(w.buf) >= packedSize
	} else {
		enough = enough || len(w.records) >= handRecords/2 || len(w.buf) >= handSize/2
	}
	if enough {
		w.handOn()
	}
}

func (w *kafkaNoter) handOn() {
	w.hand()
	w.to.Note(w.notes)
	w.notes, w.handed = w.notes[:0], false
}

func (w *kafkaNoter) Flush(context.Context) error {
	if len(w.records) > 0 || len(w.notes) > 0 {
		w.handOn()
	}
	return nil
}

func (w *kafkaNoter) Close() error { return w.Flush(context.Background()) }
