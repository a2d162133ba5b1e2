package kafka

import (
	"sync/atomic"
	"time"
)

// producerMetrics counts what a producer does.
type producerMetrics struct {
	records, bytes, plain, batches atomic.Uint64 // acknowledged
	errors, retries, splits        atomic.Uint64
	requests, carried              atomic.Uint64
	inflight                       atomic.Int64
	queued                         atomic.Int64 // ns
	queueMax                       recentMax
}

// acknowledged counts a batch.
func (m *producerMetrics) acknowledged(b *batch) {
	m.records.Add(uint64(b.records))
	m.bytes.Add(uint64(len(b.buf)))
	m.plain.Add(uint64(b.plain))
	m.batches.Add(1)
}

// sent counts a batch that goes for the first time: how long it waited.
func (m *producerMetrics) sent(b *batch, now time.Time) {
	d := now.Sub(b.opened)
	m.queued.Add(int64(d))
	m.queueMax.note(d)
	m.carried.Add(uint64(b.records))
}

// ProducerStats is what a [Producer] has done so far, as the metrics of Java's producer
// mean it.
type ProducerStats struct {
	Records, Batches    uint64 // acknowledged
	Bytes, Uncompressed uint64 // of these batches
	Errors              uint64 // records given up: refused, or too late
	Retries             uint64 // records sent again
	Splits              uint64 // batches that were too large for the broker
	Requests            uint64
	RequestsInFlight    int64
	RecordsSent         uint64        // in requests, again not included
	QueueTime           time.Duration // of all batches sent, from their first record on
	QueueMax            time.Duration // the longest of the last one to two minutes
	BufferTotal         int64         // memory for batches, and what of it is free
	BufferAvailable     int64
	Waiting             int64 // appenders that wait for memory
}

// Stats returns what the producer has done so far.
func (p *Producer) Stats() ProducerStats {
	m := &p.metrics
	used, limit := p.Queue()
	return ProducerStats{
		Records: m.records.Load(), Batches: m.batches.Load(), Bytes: m.bytes.Load(), Uncompressed: m.plain.Load(),
		Errors: m.errors.Load(), Retries: m.retries.Load(), Splits: m.splits.Load(),
		Requests: m.requests.Load(), RequestsInFlight: m.inflight.Load(), RecordsSent: m.carried.Load(),
		QueueTime: time.Duration(m.queued.Load()), QueueMax: m.queueMax.load(),
		BufferTotal: limit, BufferAvailable: max(0, limit-used), Waiting: int64(p.queue.waiters.Load()),
	}
}

// Add sums up the stats of producers that share the work.
func (s *ProducerStats) Add(o ProducerStats) {
	s.Records += o.Records
	s.Batches += o.Batches
	s.Bytes += o.Bytes
	s.Uncompressed += o.Uncompressed
	s.Errors += o.Errors
	s.Retries += o.Retries
	s.Splits += o.Splits
	s.Requests += o.Requests
	s.RequestsInFlight += o.RequestsInFlight
	s.RecordsSent += o.RecordsSent
	s.QueueTime += o.QueueTime
	s.QueueMax = max(s.QueueMax, o.QueueMax)
	s.BufferTotal += o.BufferTotal
	s.BufferAvailable += o.BufferAvailable
	s.Waiting += o.Waiting
}
