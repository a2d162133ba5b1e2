package main

import (
	"cmp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tributary-net/tributary/broker"
)

// brokerTopicLabels bounds how many topics have metrics of their own; the rest are
// summed up under "other".
const brokerTopicLabels = 500

// brokerCollector turns what the broker has counted into metrics.
type brokerCollector struct{ b *broker.Broker }

func brokerDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tributary_broker_"+name, help, labels, nil)
}

var (
	brokerConnections     = brokerDesc("connections", "Connections open now.")
	brokerAccepted        = brokerDesc("connections_accepted_total", "Connections accepted.")
	brokerClosed          = brokerDesc("connections_closed_total", "Connections the broker closed, by reason.", "reason")
	brokerAuth            = brokerDesc("authentications_total", "Connections that authenticated, by SASL or in a TLS handshake; attempts by SASL that failed; and connections that authenticated again.", "result")
	brokerUnsupported     = brokerDesc("requests_unsupported_total", "Requests of a kind or version that is not served.")
	brokerPanics          = brokerDesc("panics_total", "Panics caught while serving a request.")
	brokerIn              = brokerDesc("request_bytes_total", "Bytes read from clients.")
	brokerOut             = brokerDesc("response_bytes_total", "Bytes written to clients.")
	brokerInFlight        = brokerDesc("in_flight_bytes", "Requests being read or served now.")
	brokerWaiting         = brokerDesc("waiting_fetches", "Fetches that wait for records now.")
	brokerUnflushed       = brokerDesc("waiting_produces", "Produce requests that wait for a flush now.")
	brokerSessions        = brokerDesc("fetch_sessions", "Consumers whose partitions the broker keeps, so that they name only what changes (KIP-227).")
	brokerSessionParts    = brokerDesc("fetch_session_partitions", "Partitions in all fetch sessions together.")
	brokerSessionsBegun   = brokerDesc("fetch_sessions_begun_total", "Fetch sessions begun.")
	brokerSessionsEvicted = brokerDesc("fetch_sessions_evicted_total", "Fetch sessions ended in favour of others.")
	brokerRequests        = brokerDesc("requests_total", "Requests, by kind.", "request")
	brokerSeconds         = brokerDesc("request_seconds_total", "Time from a request read to its answer written, waiting included, by kind.", "request")
	brokerParts           = brokerDesc("request_part_seconds_total", "The parts of that time, by kind: spent on a request (local), waiting for a flush, group members or records (remote), for answers before it (response_queue), and sending (response_send).", "request", "part")
	brokerErrors          = brokerDesc("errors_total", "Answers with an error, by Kafka's name of it.", "error")
	brokerPartitions      = brokerDesc("partitions", "Partitions of all topics.")
	brokerUnclean         = brokerDesc("unclean_start", "1 when the last stop was not in order.")
	brokerOffline         = brokerDesc("offline", "1 when the disk did not answer an fsync: nothing more is written.")
	brokerDiskFree        = brokerDesc("disk_free_bytes", "Bytes free on the file system of the data directory.")
	brokerDiskFull        = brokerDesc("disk_full", "1 while records are refused for want of room.")
	brokerDiskRefused     = brokerDesc("disk_refused_total", "Batches refused for want of room.")
	brokerCompactions     = brokerDesc("compactions_total", "Compactions of partitions, by result.", "result")
	brokerCompacted       = brokerDesc("compaction_bytes_total", "Bytes that compaction read and wrote.", "direction")
	brokerSegments        = brokerDesc("log_segments", "Segments of all partitions.")
	brokerFlushes         = brokerDesc("log_flushes_total", "Flushes of partitions, by result.", "result")
	brokerFlushSeconds    = brokerDesc("log_flush_seconds_total", "Time these flushes took, all together.")
	brokerRecovered       = brokerDesc("log_recovered_partitions_total", "Partitions looked at batch by batch at the start, because the last stop was not in order.")
	brokerCut             = brokerDesc("log_cut_bytes_total", "Bytes behind the last whole batch that were cut off then.")
	brokerGroups          = brokerDesc("groups", "Consumer groups, by state.", "state")
	brokerMembers         = brokerDesc("group_members", "Members of all consumer groups.")

	quotaRate      = brokerDesc("quota_rate", "What a client that has a quota uses in a second, over the last ten: bytes, seconds of a thread, or partitions.", "quota", "user", "client_id")
	quotaThrottled = brokerDesc("quota_throttle_seconds_total", "Time clients were told to wait because of a quota.", "quota", "user", "client_id")

	topicMessagesIn = brokerDesc("topic_records_in_total", "Records written, by topic.", "topic")
	topicBytesIn    = brokerDesc("topic_bytes_in_total", "Bytes written as sent, compressed, by topic.", "topic")
	topicBytesOut   = brokerDesc("topic_bytes_out_total", "Bytes read by consumers, by topic.", "topic")
	topicRejected   = brokerDesc("topic_rejected_total", "Partitions of produce requests that were refused, by topic.", "topic")
	topicDuplicates = brokerDesc("topic_duplicates_total", "Batches that were in the log already, by topic.", "topic")
	topicSize       = brokerDesc("topic_size_bytes", "Bytes on disk, by topic.", "topic")
	topicMessages   = brokerDesc("topic_records", "Offsets between log start and log end, by topic.", "topic")
	topicPartitions = brokerDesc("topic_partitions", "Partitions, by topic.", "topic")
)

func (c brokerCollector) Describe(d chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		brokerConnections, brokerAccepted, brokerClosed, brokerAuth, brokerUnsupported, brokerPanics, brokerIn, brokerOut, brokerInFlight,
		brokerWaiting, brokerSessions, brokerSessionParts, brokerSessionsBegun, brokerSessionsEvicted, brokerRequests, brokerSeconds, brokerErrors, brokerPartitions, brokerUnclean, brokerOffline, brokerGroups,
		brokerUnflushed, brokerParts, brokerSegments, brokerFlushes, brokerFlushSeconds, brokerRecovered, brokerCut,
		brokerDiskFree, brokerDiskFull, brokerDiskRefused, brokerCompactions, brokerCompacted,
		brokerMembers, quotaRate, quotaThrottled, topicMessagesIn, topicBytesIn, topicBytesOut, topicRejected, topicDuplicates, topicSize, topicMessages,
		topicPartitions,
	} {
		d <- desc
	}
}

func (c brokerCollector) Collect(m chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		m <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	counter := func(desc *prometheus.Desc, v float64, labels ...string) {
		m <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, v, labels...)
	}
	s := c.b.Stats()
	gauge(brokerConnections, float64(s.Connections))
	counter(brokerAccepted, float64(s.ConnectionsAccepted))
	counter(brokerClosed, float64(s.ConnectionsRefused), "refused")
	counter(brokerClosed, float64(s.ConnectionsMalformed), "malformed")
	counter(brokerClosed, float64(s.ConnectionsIdle), "idle")
	counter(brokerClosed, float64(s.ConnectionsSlow), "slow")
	counter(brokerClosed, float64(s.ConnectionsHandshake), "tls_handshake")
	counter(brokerClosed, float64(s.ConnectionsUnasked), "unauthenticated")
	counter(brokerClosed, float64(s.ConnectionsTooOften), "connection_quota")
	counter(brokerClosed, float64(s.ConnectionsExpired), "expired")
	counter(brokerAuth, float64(s.Authenticated), "ok")
	counter(brokerAuth, float64(s.AuthenticationFailed), "failed")
	counter(brokerAuth, float64(s.Reauthenticated), "again")
	counter(brokerUnsupported, float64(s.RequestsUnsupported))
	counter(brokerPanics, float64(s.Panics))
	counter(brokerIn, float64(s.RequestBytes))
	counter(brokerOut, float64(s.ResponseBytes))
	gauge(brokerInFlight, float64(s.InFlightBytes))
	gauge(brokerWaiting, float64(s.WaitingFetch))
	gauge(brokerUnflushed, float64(s.WaitingFlush))
	gauge(brokerSegments, float64(s.Log.Segments))
	counter(brokerFlushes, float64(s.Log.Flushes), "ok")
	counter(brokerFlushes, float64(s.Log.FlushErrors), "error")
	counter(brokerFlushSeconds, s.Log.FlushTime.Seconds())
	counter(brokerRecovered, float64(s.Log.Recovered))
	counter(brokerCut, float64(s.Log.CutBytes))
	gauge(brokerSessions, float64(s.FetchSessions.Sessions))
	gauge(brokerSessionParts, float64(s.FetchSessions.Partitions))
	counter(brokerSessionsBegun, float64(s.FetchSessions.Begun))
	counter(brokerSessionsEvicted, float64(s.FetchSessions.Evicted))
	gauge(brokerPartitions, float64(s.Partitions))
	gauge(brokerUnclean, flag(s.UncleanStart))
	gauge(brokerOffline, flag(s.Offline))
	if s.Disk.Total >= 0 {
		gauge(brokerDiskFree, float64(s.Disk.Free))
	}
	gauge(brokerDiskFull, flag(s.Disk.Full))
	counter(brokerDiskRefused, float64(s.Disk.Refused))
	counter(brokerCompactions, float64(s.Disk.Compactions), "ok")
	counter(brokerCompactions, float64(s.Disk.CompactErrors), "error")
	counter(brokerCompacted, float64(s.Disk.CompactedInput), "read")
	counter(brokerCompacted, float64(s.Disk.CompactedOutput), "written")
	for _, r := range s.Requests {
		counter(brokerRequests, float64(r.Count), r.Name)
		counter(brokerSeconds, r.Time.Seconds(), r.Name)
		for i, d := range r.Parts {
			counter(brokerParts, d.Seconds(), r.Name, broker.RequestPart(i).String())
		}
	}
	for code, n := range s.Errors {
		counter(brokerErrors, float64(n), errorName(code))
	}
	states := map[string]int{}
	members := 0
	for _, g := range s.Groups {
		states[g.State]++
		members += g.Members
	}
	for state, n := range states {
		gauge(brokerGroups, float64(n), state)
	}
	gauge(brokerMembers, float64(members))
	c.quotas(gauge, counter, s.Quotas)
	c.topics(gauge, counter, s.Topics)
}

// brokerQuotaLabels bounds how many clients have metrics of their own for a quota;
// the rest are summed up as user and client "other".
const brokerQuotaLabels = 500

// labelOf makes a label of a name that a client has chosen: Prometheus takes UTF-8 only.
func labelOf(name string) string {
	if !utf8.ValidString(name) {
		return strconv.QuoteToASCII(name)
	}
	return name
}

// quotas adds the metrics of clients that have a quota; those who are throttled
// most come first.
func (c brokerCollector) quotas(gauge, counter func(*prometheus.Desc, float64, ...string), quotas []broker.QuotaStats) {
	slices.SortFunc(quotas, func(a, b broker.QuotaStats) int {
		return cmp.Or(cmp.Compare(b.Throttled, a.Throttled), cmp.Compare(b.Total, a.Total))
	})
	rest := map[string]*broker.QuotaStats{}
	for i := range quotas {
		q := &quotas[i]
		if i < brokerQuotaLabels && (q.User != "other" || q.ClientID != "other") {
			user, client := labelOf(q.User), labelOf(q.ClientID)
			gauge(quotaRate, q.Rate, q.Kind, user, client)
			counter(quotaThrottled, q.Throttled.Seconds(), q.Kind, user, client)
			continue
		}
		if rest[q.Kind] == nil {
			rest[q.Kind] = &broker.QuotaStats{}
		}
		rest[q.Kind].Rate += q.Rate
		rest[q.Kind].Throttled += q.Throttled
	}
	for kind, q := range rest {
		gauge(quotaRate, q.Rate, kind, "other", "other")
		counter(quotaThrottled, q.Throttled.Seconds(), kind, "other", "other")
	}
}

// topics adds the metrics of topics; those beyond the bound are one.
func (c brokerCollector) topics(gauge, counter func(*prometheus.Desc, float64, ...string), topics []broker.TopicStats) {
	var other *broker.TopicStats
	one := func(name string, t *broker.TopicStats) {
		counter(topicMessagesIn, float64(t.MessagesIn), name)
		counter(topicBytesIn, float64(t.BytesIn), name)
		counter(topicBytesOut, float64(t.BytesOut), name)
		counter(topicRejected, float64(t.ProduceRejected), name)
		counter(topicDuplicates, float64(t.Duplicates), name)
		gauge(topicSize, float64(t.Size), name)
		gauge(topicMessages, float64(t.Messages), name)
		gauge(topicPartitions, float64(t.Partitions), name)
	}
	for i := range topics {
		t := &topics[i]
		if i < brokerTopicLabels {
			one(t.Name, t)
			continue
		}
		if other == nil {
			other = &broker.TopicStats{}
		}
		other.MessagesIn += t.MessagesIn
		other.BytesIn += t.BytesIn
		other.BytesOut += t.BytesOut
		other.ProduceRejected += t.ProduceRejected
		other.Duplicates += t.Duplicates
		other.Size += t.Size
		other.Messages += t.Messages
		other.Partitions += t.Partitions
	}
	if other != nil {
		one("other", other)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// errorName is Kafka's name of an error code.
func errorName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return strconv.Itoa(int(code))
}
