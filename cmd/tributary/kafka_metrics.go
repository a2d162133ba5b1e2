package main

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-net/tributary/internal/kafka"
	"github.com/tributary-net/tributary/internal/sink"
)

// kafkaClients are the Kafka clients of a process, for their metrics.
type kafkaClients struct {
	mu   sync.Mutex
	list []kafkaClient
}

// kafkaClient is one of them, or several that share one task.
type kafkaClient struct {
	name  string
	stats func() kafkaStats
}

type kafkaStats struct {
	kafka.ClientStats
	producer *kafka.ProducerStats // of hand-built batches; nil: produces record by record
}

// addClient adds a client that consumes, or produces record by record.
func (k *kafkaClients) addClient(name string, m *kafka.ClientMetrics) {
	k.add(name, func() kafkaStats { return kafkaStats{ClientStats: m.Stats()} })
}

// clientName is the name of a client that has a topic of its own beside the flows.
func clientName(e kafka.Endpoint, topic string) string {
	e.Topic = topic
	return e.String()
}

// addSink adds what is under a destination of flows, if that is Kafka.
func (k *kafkaClients) addSink(s sink.Sink) {
	if _, _, ok := sink.KafkaStats(s); ok {
		k.add(s.Name(), func() kafkaStats {
			c, p, _ := sink.KafkaStats(s)
			return kafkaStats{c, &p}
		})
	}
}

func (k *kafkaClients) add(name string, stats func() kafkaStats) {
	k.mu.Lock()
	defer k.mu.Unlock()
	same := 1
	for _, c := range k.list {
		if c.name == name || c.name == name+"#"+strconv.Itoa(same) {
			same++
		}
	}
	if same > 1 {
		name += "#" + strconv.Itoa(same)
	}
	k.list = append(k.list, kafkaClient{name, stats})
}

// kafkaMetric is one metric of Kafka clients.
type kafkaMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	java string // what the MBeans of Java's clients call it
	// emit hands out its values, with the labels besides client.
	emit func(s *kafkaStats, out func(v float64, labels ...string))
}

func kafkaCounter(name, help, java string, value func(s *kafkaStats) (v uint64, ok bool)) kafkaMetric {
	return kafkaMetric{
		prometheus.NewDesc("tributary_kafka_"+name+"_total", help, []string{"client"}, nil), prometheus.CounterValue, java,
		func(s *kafkaStats, out func(float64, ...string)) {
			if v, ok := value(s); ok {
				out(float64(v))
			}
		},
	}
}

func kafkaGauge(name, help, java string, value func(s *kafkaStats) (v float64, ok bool)) kafkaMetric {
	return kafkaMetric{
		prometheus.NewDesc("tributary_kafka_"+name, help, []string{"client"}, nil), prometheus.GaugeValue, java,
		func(s *kafkaStats, out func(float64, ...string)) {
			if v, ok := value(s); ok {
				out(v)
			}
		},
	}
}

// ofProducer are metrics that only hand-built batches have.
func ofProducer(value func(p *kafka.ProducerStats) uint64) func(*kafkaStats) (uint64, bool) {
	return func(s *kafkaStats) (uint64, bool) {
		if s.producer == nil {
			return 0, false
		}
		return value(s.producer), true
	}
}

func gaugeOfProducer(value func(p *kafka.ProducerStats) float64) func(*kafkaStats) (float64, bool) {
	return func(s *kafkaStats) (float64, bool) {
		if s.producer == nil {
			return 0, false
		}
		return value(s.producer), true
	}
}

func ofRequests(name, help, java string, kind prometheus.ValueType, value func(r kafka.RequestStats) float64) kafkaMetric {
	return kafkaMetric{
		prometheus.NewDesc("tributary_kafka_"+name, help, []string{"client", "request"}, nil), kind, java,
		func(s *kafkaStats, out func(float64, ...string)) {
			for _, r := range s.Requests {
				out(value(r), r.Kind.String())
			}
		},
	}
}

var kafkaMetrics = []kafkaMetric{
	kafkaCounter("producer_records", "Records that Kafka has acknowledged; of a client that produces record by record, those sent.", "record-send-total, record-send-rate", func(s *kafkaStats) (uint64, bool) {
		if s.producer != nil {
			return s.producer.Records, true
		}
		return s.ProducedRecords, true
	}),
	kafkaCounter("producer_bytes", "Size of the batches that these records are in, compressed.", "byte-total, byte-rate (topic); batch-size-avg = this by batches", func(s *kafkaStats) (uint64, bool) {
		if s.producer != nil {
			return s.producer.Bytes, true
		}
		return s.ProducedBytes, true
	}),
	kafkaCounter("producer_uncompressed_bytes", "Size of these batches before compression.", "compression-rate-avg, compression-rate (topic) = bytes by this; record-size-avg = this by records", func(s *kafkaStats) (uint64, bool) {
		if s.producer != nil {
			return s.producer.Uncompressed, true
		}
		return s.ProducedUncompressed, true
	}),
	kafkaCounter("producer_batches", "Batches that Kafka has acknowledged.", "batch-size-avg = bytes by this", ofProducer(func(p *kafka.ProducerStats) uint64 { return p.Batches })),
	kafkaCounter("producer_requests", "Produce requests sent.", "records-per-request-avg = sent records by this", ofProducer(func(p *kafka.ProducerStats) uint64 { return p.Requests })),
	kafkaCounter("producer_sent_records", "Records in these requests, each of them once.", "records-per-request-avg = this by requests", ofProducer(func(p *kafka.ProducerStats) uint64 { return p.RecordsSent })),
	kafkaCounter("producer_error_records", "Records given up because Kafka refuses them, or too late.", "record-error-total, record-error-rate", ofProducer(func(p *kafka.ProducerStats) uint64 { return p.Errors })),
	kafkaCounter("producer_retried_records", "Records sent again.", "record-retry-total, record-retry-rate", ofProducer(func(p *kafka.ProducerStats) uint64 { return p.Retries })),
	kafkaCounter("producer_splits", "Batches split because they were too large for the broker.", "batch-split-total, batch-split-rate", ofProducer(func(p *kafka.ProducerStats) uint64 { return p.Splits })),
	{
		prometheus.NewDesc("tributary_kafka_producer_queue_seconds_total", "How long batches waited, from their first record until they were sent, all together.", []string{"client"}, nil),
		prometheus.CounterValue, "record-queue-time-avg = this by batches", func(s *kafkaStats, out func(float64, ...string)) {
			if s.producer != nil {
				out(s.producer.QueueTime.Seconds())
			}
		},
	},
	kafkaGauge("producer_queue_max_seconds", "The longest of these waits in the last one to two minutes.", "record-queue-time-max", gaugeOfProducer(func(p *kafka.ProducerStats) float64 { return p.QueueMax.Seconds() })),
	kafkaGauge("producer_requests_in_flight", "Produce requests that wait for their answer.", "requests-in-flight", gaugeOfProducer(func(p *kafka.ProducerStats) float64 { return float64(p.RequestsInFlight) })),
	kafkaGauge("producer_buffer_bytes", "Memory for batches.", "buffer-total-bytes", gaugeOfProducer(func(p *kafka.ProducerStats) float64 { return float64(p.BufferTotal) })),
	kafkaGauge("producer_buffer_available_bytes", "What of it is free.", "buffer-available-bytes", gaugeOfProducer(func(p *kafka.ProducerStats) float64 { return float64(p.BufferAvailable) })),
	kafkaGauge("producer_waiting", "Workers that wait for memory.", "waiting-threads", gaugeOfProducer(func(p *kafka.ProducerStats) float64 { return float64(p.Waiting) })),

	ofRequests("requests_total", "Requests, by kind.", "request-total, request-rate, fetch-total, fetch-rate, response-total, response-rate, commit-total, commit-rate, join-total, join-rate, sync-total, sync-rate, heartbeat-total, heartbeat-rate", prometheus.CounterValue, func(r kafka.RequestStats) float64 { return float64(r.Count) }),
	ofRequests("request_seconds_total", "From the first octet of a request to the last one of its answer, all together, by kind.", "request-latency-avg, fetch-latency-avg, commit-latency-avg, join-time-avg, sync-time-avg = this by requests", prometheus.CounterValue, func(r kafka.RequestStats) float64 { return r.Time.Seconds() }),
	ofRequests("request_max_seconds", "The longest of these in the last one to two minutes.", "request-latency-max, fetch-latency-max, commit-latency-max, join-time-max, sync-time-max, heartbeat-response-time-max", prometheus.GaugeValue, func(r kafka.RequestStats) float64 { return r.Max.Seconds() }),
	kafkaCounter("throttles", "Answers that asked for a pause, by quotas of the cluster.", "", func(s *kafkaStats) (uint64, bool) { return s.Throttles, true }),
	{
		prometheus.NewDesc("tributary_kafka_throttle_seconds_total", "These pauses, all together.", []string{"client"}, nil),
		prometheus.CounterValue, "produce-throttle-time-avg, fetch-throttle-time-avg = this by throttles", func(s *kafkaStats, out func(float64, ...string)) { out(s.Throttled.Seconds()) },
	},
	kafkaGauge("throttle_max_seconds", "The longest of these in the last one to two minutes.", "produce-throttle-time-max, fetch-throttle-time-max", func(s *kafkaStats) (float64, bool) { return s.ThrottleMax.Seconds(), true }),
	kafkaGauge("connections", "Connections open.", "connection-count", func(s *kafkaStats) (float64, bool) { return float64(s.Connections), true }),
	kafkaCounter("connections_opened", "Connections opened.", "connection-creation-total, connection-creation-rate", func(s *kafkaStats) (uint64, bool) { return s.ConnectionsOpened, true }),
	kafkaCounter("connections_closed", "Connections closed, by either side.", "connection-close-total, connection-close-rate", func(s *kafkaStats) (uint64, bool) { return s.ConnectionsClosed, true }),
	kafkaCounter("connects_failed", "Connections that could not be opened.", "", func(s *kafkaStats) (uint64, bool) { return s.ConnectsFailed, true }),
	kafkaCounter("sent_bytes", "Sent to brokers, in requests of all kinds.", "outgoing-byte-total, outgoing-byte-rate", func(s *kafkaStats) (uint64, bool) { return s.BytesOut, true }),
	kafkaCounter("received_bytes", "Received from brokers.", "incoming-byte-total, incoming-byte-rate", func(s *kafkaStats) (uint64, bool) { return s.BytesIn, true }),

	kafkaCounter("consumer_records", "Records fetched.", "records-consumed-total, records-consumed-rate; records-per-request-avg = this by Fetch requests", func(s *kafkaStats) (uint64, bool) { return s.ConsumedRecords, true }),
	kafkaCounter("consumer_bytes", "Size of these records as they came, compressed.", "bytes-consumed-total, bytes-consumed-rate; fetch-size-avg = this by Fetch requests", func(s *kafkaStats) (uint64, bool) { return s.ConsumedBytes, true }),
	kafkaCounter("consumer_rebalances", "How often the group has told its member which partitions it has.", "rebalance-total", func(s *kafkaStats) (uint64, bool) { return s.Rebalances, true }),
	kafkaGauge("consumer_assigned_partitions", "Partitions it has of its group.", "assigned-partitions", func(s *kafkaStats) (float64, bool) { return float64(s.Assigned), true }),
	{
		prometheus.NewDesc("tributary_kafka_consumer_lag_records", "Records between what was consumed last and the end, by partition.", []string{"client", "topic", "partition"}, nil),
		prometheus.GaugeValue, "records-lag; records-lag-max is the largest", func(s *kafkaStats, out func(float64, ...string)) {
			for p, n := range s.Lag {
				out(float64(n), p.Topic, strconv.Itoa(int(p.Partition)))
			}
		},
	},
}

// kafkaCollector turns what clients count into metrics.
type kafkaCollector struct{ clients *kafkaClients }

func (c kafkaCollector) Describe(d chan<- *prometheus.Desc) {
	for _, m := range kafkaMetrics {
		d <- m.desc
	}
}

func (c kafkaCollector) Collect(out chan<- prometheus.Metric) {
	c.clients.mu.Lock()
	clients := c.clients.list
	c.clients.mu.Unlock()
	for _, client := range clients {
		s := client.stats()
		for _, m := range kafkaMetrics {
			m.emit(&s, func(v float64, labels ...string) {
				out <- prometheus.MustNewConstMetric(m.desc, m.kind, v, append([]string{client.name}, labels...)...)
			})
		}
	}
}
