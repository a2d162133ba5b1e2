package kafka

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ClientMetrics counts what clients do: pass it to each with kgo.WithHooks. The numbers
// mean what those of Java's clients do; [Producer.Stats] has those of producing.
type ClientMetrics struct {
	opened, closed, failed atomic.Uint64
	in, out                atomic.Uint64
	kinds                  [requestKinds]requestMetrics
	throttles              atomic.Uint64
	throttled              atomic.Int64
	throttle               recentMax

	records, bytes, batches atomic.Uint64 // consumed
	produced                [3]atomic.Uint64

	rebalances atomic.Uint64

	mu       sync.Mutex
	open     map[net.Conn]bool
	lag      map[TopicPartition]int64
	assigned int
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// RequestKind tells requests apart.
type RequestKind int

// Kinds of requests.
const (
	ProduceRequests RequestKind = iota
	FetchRequests
	MetadataRequests
	OffsetCommitRequests
	JoinGroupRequests
	SyncGroupRequests
	HeartbeatRequests // of either group protocol
	OtherRequests
	requestKinds
)

// String returns Kafka's name of the request, or other.
func (k RequestKind) String() string {
	return [...]string{"Produce", "Fetch", "Metadata", "OffsetCommit", "JoinGroup", "SyncGroup", "Heartbeat", "other"}[k]
}

type requestMetrics struct {
	count atomic.Uint64
	time  atomic.Int64
	max   recentMax
}

var (
	_ kgo.HookBrokerConnect       = (*ClientMetrics)(nil)
	_ kgo.HookBrokerDisconnect    = (*ClientMetrics)(nil)
	_ kgo.HookBrokerE2E           = (*ClientMetrics)(nil)
	_ kgo.HookBrokerThrottle      = (*ClientMetrics)(nil)
	_ kgo.HookFetchBatchRead      = (*ClientMetrics)(nil)
	_ kgo.HookProduceBatchWritten = (*ClientMetrics)(nil)
)

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (m *ClientMetrics) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, c net.Conn, err error) {
	if err != nil {
		m.failed.Add(1)
		return
	}
	m.opened.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open == nil {
		m.open = map[net.Conn]bool{}
	}
	m.open[c] = true
}

// OnBrokerDisconnect implements kgo.HookBrokerDisconnect.
func (m *ClientMetrics) OnBrokerDisconnect(_ kgo.BrokerMetadata, c net.Conn) {
	m.closed.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, c)
}

// Connected reports whether any connection is open.
func (m *ClientMetrics) Connected() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.open) > 0
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (m *ClientMetrics) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	m.out.Add(uint64(e.BytesWritten))
	m.in.Add(uint64(e.BytesRead))
	took := e.DurationE2E()
	r := &m.kinds[requestKind(key)]
	r.count.Add(1)
	r.time.Add(int64(took))
	r.max.note(took)
}

// requestKind is the kind of an API key.
func requestKind(key int16) RequestKind {
	switch kmsg.Key(key) {
	case kmsg.Produce:
		return ProduceRequests
	case kmsg.Fetch:
		return FetchRequests
	case kmsg.Metadata:
		return MetadataRequests
	case kmsg.OffsetCommit:
		return OffsetCommitRequests
	case kmsg.JoinGroup:
		return JoinGroupRequests
	case kmsg.SyncGroup:
		return SyncGroupRequests
	case kmsg.Heartbeat, kmsg.ConsumerGroupHeartbeat:
		return HeartbeatRequests
	}
	return OtherRequests
}

// OnBrokerThrottle implements kgo.HookBrokerThrottle.
func (m *ClientMetrics) OnBrokerThrottle(_ kgo.BrokerMetadata, d time.Duration, _ bool) {
	m.throttles.Add(1)
	m.throttled.Add(int64(d))
	m.throttle.note(d)
}

// OnFetchBatchRead implements kgo.HookFetchBatchRead.
func (m *ClientMetrics) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.FetchBatchMetrics) {
	m.batches.Add(1)
	m.records.Add(uint64(b.NumRecords))
	m.bytes.Add(uint64(b.CompressedBytes))
}

// OnProduceBatchWritten implements kgo.HookProduceBatchWritten: what a client produces
// record by record.
func (m *ClientMetrics) OnProduceBatchWritten(_ kgo.BrokerMetadata, _ string, _ int32, b kgo.ProduceBatchMetrics) {
	m.produced[0].Add(uint64(b.NumRecords))
	m.produced[1].Add(uint64(b.CompressedBytes))
	m.produced[2].Add(uint64(b.UncompressedBytes))
}

// Polled notes how far behind the ends of its partitions a consumer is that has just
// taken these fetches.
func (m *ClientMetrics) Polled(fetches kgo.Fetches) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lag == nil {
		m.lag = map[TopicPartition]int64{}
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if n := len(p.Records); n > 0 {
			m.lag[TopicPartition{p.Topic, p.Partition}] = max(0, p.HighWatermark-p.Records[n-1].Offset-1)
		}
	})
}

// GroupOptions has what a group assigns to its member counted.
func (m *ClientMetrics) GroupOptions() []kgo.Opt {
	gone := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for topic, numbers := range partitions {
			m.assigned -= len(numbers)
			for _, n := range numbers {
				delete(m.lag, TopicPartition{topic, n})
			}
		}
	}
	return []kgo.Opt{
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.rebalances.Add(1)
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, numbers := range partitions {
				m.assigned += len(numbers)
			}
		}),
		kgo.OnPartitionsRevoked(gone),
		kgo.OnPartitionsLost(gone),
	}
}

// RequestStats are the requests of one kind, those that got no answer included.
type RequestStats struct {
	Kind  RequestKind
	Count uint64
	Time  time.Duration // from the first octet written to the last one read, all together
	Max   time.Duration // the longest of the last one to two minutes
}

// ClientStats is what [ClientMetrics] has counted so far.
type ClientStats struct {
	Connections                                          int // open now
	ConnectionsOpened, ConnectionsClosed, ConnectsFailed uint64
	BytesOut, BytesIn                                    uint64
	Requests                                             []RequestStats
	Throttles                                            uint64 // answers that asked for it
	Throttled                                            time.Duration
	ThrottleMax                                          time.Duration // of the last one to two minutes
	ConsumedRecords, ConsumedBytes, ConsumedBatches      uint64        // bytes as they came, compressed
	Lag                                                  map[TopicPartition]int64
	Rebalances                                           uint64 // of its group: how often it was told what it has
	Assigned                                             int    // partitions it has of its group
	ProducedRecords, ProducedBytes, ProducedUncompressed uint64 // record by record
}

// Stats returns what has been counted so far.
func (m *ClientMetrics) Stats() ClientStats {
	s := ClientStats{
		ConnectionsOpened: m.opened.Load(), ConnectionsClosed: m.closed.Load(), ConnectsFailed: m.failed.Load(),
		BytesOut: m.out.Load(), BytesIn: m.in.Load(),
		Throttles: m.throttles.Load(), Throttled: time.Duration(m.throttled.Load()), ThrottleMax: m.throttle.load(),
		ConsumedRecords: m.records.Load(), ConsumedBytes: m.bytes.Load(), ConsumedBatches: m.batches.Load(),
		ProducedRecords: m.produced[0].Load(), ProducedBytes: m.produced[1].Load(), ProducedUncompressed: m.produced[2].Load(),
	}
	for k := range m.kinds {
		r := &m.kinds[k]
		s.Requests = append(s.Requests, RequestStats{RequestKind(k), r.count.Load(), time.Duration(r.time.Load()), r.max.load()})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Connections = len(m.open)
	s.Rebalances, s.Assigned = m.rebalances.Load(), m.assigned
	s.Lag = make(map[TopicPartition]int64, len(m.lag))
	for p, n := range m.lag {
		s.Lag[p] = n
	}
	return s
}

// recentMax is the largest duration of the last one to two minutes.
type recentMax struct {
	mu             sync.Mutex
	since          time.Time // when now began
	now, beforeNow time.Duration
}

func (r *recentMax) turn(t time.Time) {
	switch age := t.Sub(r.since); {
	case age >= 2*time.Minute:
		r.since, r.now, r.beforeNow = t, 0, 0
	case age >= time.Minute:
		r.since, r.now, r.beforeNow = t, 0, r.now
	}
}

func (r *recentMax) note(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(time.Now())
	r.now = max(r.now, d)
}

func (r *recentMax) load() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(time.Now())
	return max(r.now, r.beforeNow)
}
