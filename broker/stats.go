package broker

import (
	"sync/atomic"
	"time"
)

// counters are the broker's own; Stats is their snapshot. Everything in them is atomic.
type counters struct {
	requests     [maxAPIKey + 1]atomic.Uint64
	requestTime  [maxAPIKey + 1]atomic.Int64 // nanoseconds from frame read to answer written
	requestParts [maxAPIKey + 1][requestParts]atomic.Int64
	codes        [maxCode + 1]atomic.Uint64 // the last one: codeUnknown and what lies beyond
	bytesIn      atomic.Uint64
	bytesOut     atomic.Uint64

	connections atomic.Int64
	accepted    atomic.Uint64
	refused     atomic.Uint64
	malformed   atomic.Uint64
	unsupported atomic.Uint64
	panics      atomic.Uint64
	idle        atomic.Uint64
	slow        atomic.Uint64

	handshakes      atomic.Uint64
	tooOften        atomic.Uint64
	unauthenticated atomic.Uint64
	authenticated   atomic.Uint64
	authFailed      atomic.Uint64
	reauthenticated atomic.Uint64
	expired         atomic.Uint64

	waiting   atomic.Int64 // fetches
	unflushed atomic.Int64 // produces
}

// code counts an answer's error code and returns it as the wire has it.
func (s *counters) code(c code) int16 {
	switch {
	case c == codeNone:
	case c < 0 || c >= maxCode:
		s.codes[maxCode].Add(1)
	default:
		s.codes[c].Add(1)
	}
	return int16(c)
}

// topicCounters count what goes in and out of one topic.
type topicCounters struct {
	messagesIn, bytesIn, batchesIn   atomic.Uint64
	bytesOut                         atomic.Uint64
	produceRequests, produceRejected atomic.Uint64
	fetchRequests                    atomic.Uint64
	duplicates                       atomic.Uint64
}

// Stats is a snapshot of a broker's counters and gauges. Counters start at 0 with [Open].
type Stats struct {
	Connections int64 // open now

	ConnectionsAccepted  uint64 // since the start
	ConnectionsRefused   uint64 // closed at once: MaxConnections or MaxConnectionsPerIP was reached
	ConnectionsMalformed uint64 // closed: a frame too large, cut short or not what its header says
	ConnectionsIdle      uint64 // closed after IdleTimeout
	ConnectionsSlow      uint64 // closed: nothing came or went within FrameTimeout in the middle of a frame
	ConnectionsHandshake uint64 // closed: no TLS handshake came about
	ConnectionsUnasked   uint64 // closed: another request came before authentication
	ConnectionsTooOften  uint64 // closed: their address made more than its quota allows
	Authenticated        uint64 // connections that authenticated, by SASL or in a TLS handshake
	AuthenticationFailed uint64 // attempts by SASL that failed
	Reauthenticated      uint64 // times that connections authenticated again (KIP-368)
	ConnectionsExpired   uint64 // closed: a request came after MaxReauth, which did not authenticate again
	RequestsUnsupported  uint64 // an API key or version that is not served
	Panics               uint64 // caught while serving a request; the connection was closed

	RequestBytes  uint64 // read from clients
	ResponseBytes uint64 // written to clients
	InFlightBytes int64  // requests being read or served now
	WaitingFetch  int64  // fetches that wait for records now
	WaitingFlush  int64  // produces that wait for a flush now

	FetchSessions FetchSessionStats

	Requests []RequestStats
	Errors   map[int16]uint64 // answers by Kafka error code; -1 stands for every code out of the known range

	Topics     []TopicStats
	Groups     []GroupStats
	Quotas     []QuotaStats // in no order
	Partitions int

	UncleanStart bool // the last stop was not in order, so the logs were recovered
	Offline      bool // an fsync was not answered: nothing more is written
	Disk         DiskStats
	Log          LogStats
}

// LogStats says what the logs of all partitions together do.
type LogStats struct {
	Segments    int
	Flushes     uint64 // of partitions
	FlushErrors uint64 // one takes the data directory offline
	FlushTime   time.Duration
	Recovered   uint64 // partitions looked at batch by batch at the start
	CutBytes    uint64 // thrown away behind the last whole batch then
}

// DiskStats says how the disk of the data directory stands, and what compaction did on it.
type DiskStats struct {
	Free, Total int64 // bytes of the file system; -1 where it does not say
	Full        bool  // produce is refused for want of room: DiskReserve or DiskBudget

	Refused         uint64 // batches, for that
	Compactions     uint64 // of partitions, that came to an end
	CompactErrors   uint64 // that did not
	CompactedInput  uint64 // bytes read for it
	CompactedOutput uint64 // bytes written by it
}

// RequestStats counts the requests of one API key.
type RequestStats struct {
	Key   int16
	Name  string
	Count uint64
	Time  time.Duration // from a frame read whole to its answer written, waiting included, all requests together

	Parts [requestParts]time.Duration // of that, by [RequestPart]
}

// TopicStats counts what goes in and out of one topic, and says what it holds.
type TopicStats struct {
	Name            string
	Internal        bool
	Partitions      int
	MessagesIn      uint64
	BatchesIn       uint64
	BytesIn         uint64 // as sent, compressed
	BytesOut        uint64
	ProduceRequests uint64 // partitions written to
	ProduceRejected uint64 // partitions whose batches were refused
	FetchRequests   uint64 // partitions asked for
	Duplicates      uint64 // batches that were in the log already
	Size            int64  // bytes on disk, without indexes
	Messages        int64  // offsets between log start and log end, all partitions together
}

// GroupStats says where a consumer group stands.
type GroupStats struct {
	Name       string
	State      string
	Generation int32
	Members    int
	Offsets    int // partitions with a committed offset
}

// QuotaStats says what a client that has a quota uses, or all clients that share one.
type QuotaStats struct {
	Kind      string        // producer_byte_rate, consumer_byte_rate, request_percentage or controller_mutation_rate
	User      string        // empty where the quota is for a client id alone
	ClientID  string        // empty where it is for a user alone
	Rate      float64       // in a second, over the last ten: bytes, seconds of a thread, or partitions
	Total     float64       // since the start, in the same unit
	Throttled time.Duration // told to clients, all requests together
}

// Stats returns a snapshot.
func (b *Broker) Stats() Stats {
	c := &b.counters
	s := Stats{
		Connections:          c.connections.Load(),
		ConnectionsAccepted:  c.accepted.Load(),
		ConnectionsRefused:   c.refused.Load(),
		ConnectionsMalformed: c.malformed.Load(),
		ConnectionsIdle:      c.idle.Load(),
		ConnectionsSlow:      c.slow.Load(),
		ConnectionsHandshake: c.handshakes.Load(),
		ConnectionsUnasked:   c.unauthenticated.Load(),
		ConnectionsTooOften:  c.tooOften.Load(),
		Authenticated:        c.authenticated.Load(),
		AuthenticationFailed: c.authFailed.Load(),
		Reauthenticated:      c.reauthenticated.Load(),
		ConnectionsExpired:   c.expired.Load(),
		RequestsUnsupported:  c.unsupported.Load(),
		Panics:               c.panics.Load(),
		RequestBytes:         c.bytesIn.Load(),
		ResponseBytes:        c.bytesOut.Load(),
		InFlightBytes:        b.buffers.inFlight(),
		WaitingFetch:         c.waiting.Load(),
		WaitingFlush:         c.unflushed.Load(),
		FetchSessions:        b.fetches.stats(),
		Errors:               make(map[int16]uint64),
		UncleanStart:         !b.dir.WasClean(),
		Offline:              b.dir.Err() != nil,
	}
	st := b.dir.Stats()
	s.Disk = DiskStats{
		Free: st.Free, Total: st.Total, Full: st.Full, Refused: uint64(st.RefusedFull),
		Compactions: uint64(st.Compactions), CompactErrors: uint64(st.CompactErrors),
		CompactedInput: uint64(st.CompactedInput), CompactedOutput: uint64(st.CompactedOutput),
	}
	s.Log = LogStats{
		Segments: st.Segments, Flushes: uint64(st.Flushes), FlushErrors: uint64(st.FlushErrors), FlushTime: st.FlushTime,
		Recovered: uint64(st.RecoveredLogs), CutBytes: uint64(st.CutBytes),
	}
	for key := range b.apis {
		if api := b.apis[key]; api != nil {
			r := RequestStats{Key: int16(key), Name: api.name, Count: c.requests[key].Load(), Time: time.Duration(c.requestTime[key].Load())}
			for i := range r.Parts {
				r.Parts[i] = time.Duration(c.requestParts[key][i].Load())
			}
			s.Requests = append(s.Requests, r)
		}
	}
	for i := range c.codes {
		if n := c.codes[i].Load(); n > 0 {
			if i == maxCode {
				i = int(codeUnknown)
			}
			s.Errors[int16(i)] = n
		}
	}
	for _, t := range b.topics.list() {
		ts := t.stats()
		s.Partitions += ts.Partitions
		s.Topics = append(s.Topics, ts)
	}
	s.Groups = b.groups.stats()
	s.Quotas = b.quotas.stats()
	return s
}
