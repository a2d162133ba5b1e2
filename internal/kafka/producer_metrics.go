package kafka

import (
	"sync/atomic"
	"time"
)

// producerMetrics counts what a producer does.
type producerMetrics struct {
	records, bytes, plain, batches    atomic.Uint64 // acknowledged
	errors, retries, splits           atomic.Uint64
	requests                          atomic.Uint64
	inflight                          atomic.Int64
	latency, throttle, queued         atomic.Int64 // ns, sums
	latencyMax, throttleMax, queueMax atomic.Int64
}

func (m *producerMetrics) sent(b *batch) {
	m.records.Add(uint64(b.records))
	m.bytes.Add(uint64(len(b.buf)))
	m.plain.Add(uint64(b.plain))
	m.batches.Add(1)
}

func (m *producerMetrics) requested(_ []*partition, took time.Duration) {
	m.requests.Add(1)
	m.latency.Add(int64(took))
}

func (m *producerMetrics) throttled(d time.Duration) { m.throttle.Add(int64(d)) }
