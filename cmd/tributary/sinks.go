package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/internal/kafka"
	"github.com/tributary-net/tributary/internal/sink"
)

// sinkOptions say where flow records go: the options that all commands that
// make flow records share.
type sinkOptions struct {
	to             []string
	kafkaConfig    string
	queueBytes     int64
	queueBlock     time.Duration
	spool          string
	spoolBytes     int64
	partitions     int32
	retention      time.Duration
	retentionBytes int64
	fs             *pflag.FlagSet
	prefix         string // of the options' names

	extras     []string          // names of extra fields that records may have
	spooling   *sink.Spool       // open, of spool
	notes      func() sink.Notes // see sink.Config
	embedded   bool              // there is a broker in the same process
	properties kafka.Properties  // of kafkaConfig
	without    []string          // of them, those without effect
}

func defaultSinkOptions(to ...string) sinkOptions {
	return sinkOptions{
		to:             to,
		queueBytes:     256 << 20,
		queueBlock:     time.Second,
		spoolBytes:     10 << 30,
		partitions:     kafka.DefaultPartitions,
		retention:      24 * time.Hour,
		retentionBytes: 10e9,
	}
}

func (o *sinkOptions) register(fs *pflag.FlagSet, prefix string) {
	o.fs, o.prefix = fs, prefix
	listVar(fs, &o.to, prefix+"to", "endpoint", checkSink, "send flow records here: kafka://host:9092/topic?…, kafka-ssl://…, file:PATH, stdout:, discard:; repeatable")
	stringVar(fs, &o.kafkaConfig, prefix+"kafka-config", "Java client's properties `file` with further settings for Kafka")
	sizeVar(fs, &o.queueBytes, prefix+"queue-bytes", 1<<20, 1<<40, "how much may wait for each Kafka")
	durationVar(fs, &o.queueBlock, prefix+"queue-block", 0, time.Minute, "how long a full queue holds the sockets up before records are dropped and counted")
	stringVar(fs, &o.spool, prefix+"spool", "`folder` where flow records wait on disk while a Kafka is slow or away; they outlive the process")
	sizeVar(fs, &o.spoolBytes, prefix+"spool-bytes", sink.MinSpoolBytes, maxInt64, "how much may wait there, for all Kafkas together; beyond it records are dropped and counted")
	intVar(fs, &o.partitions, prefix+"partitions", 1, 10_000, "partitions of a topic that is created")
	durationVar(fs, &o.retention, prefix+"retention", 0, maxDuration, "keep records of a topic that is created this long; 0 is for ever")
	sizeVar(fs, &o.retentionBytes, prefix+"retention-bytes", 0, maxInt64, "keep this much in all partitions of a topic that is created; 0 is no limit")
}

func (o *sinkOptions) check() error {
	if len(o.to) == 0 {
		return bad("to", "", "allowed is at least one endpoint")
	}
	if o.kafkaConfig != "" {
		var err error
		if o.properties, o.without, err = kafka.ReadProperties(o.kafkaConfig); err != nil {
			return bad("kafka-config", o.kafkaConfig, err.Error())
		}
	}
	var dial kafka.DialFunc
	if o.embedded {
		dial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	}
	for _, to := range o.to {
		e, err := sink.Parse(to)
		if err == nil {
			err = e.CheckKey(o.extras)
		}
		if err == nil {
			err = e.Check(o.properties, dial)
		}
		if err != nil {
			return bad("to", to, err.Error())
		}
	}
	return o.checkSpool()
}

// checkSpool refuses what would leave somebody without the spool that they count on.
func (o *sinkOptions) checkSpool() error {
	if o.spool == "" {
		if f := o.fs.Lookup(o.prefix + "spool-bytes"); f.Value.String() != f.DefValue {
			return bad("spool-bytes", f.Value.String(), "allowed beside --"+o.prefix+"spool only, which says where")
		}
		return nil
	}
	if !slices.ContainsFunc(o.to, kafka.IsEndpoint) {
		return bad("spool", o.spool, "allowed beside a Kafka among --"+o.prefix+"to only, for which flow records wait there")
	}
	if st, err := os.Stat(o.spool); err == nil && !st.IsDir() {
		return bad("spool", o.spool, "allowed is a folder, or one that is not there yet")
	}
	return nil
}

// firstKafka returns the first Kafka among the destinations; nil: there is none.
func (o *sinkOptions) firstKafka() (*kafka.Endpoint, error) {
	all, err := o.kafkas()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// kafka reads a destination that is a Kafka.
func (o *sinkOptions) kafka(to string) (kafka.Endpoint, error) {
	e, err := kafka.ParseEndpoint(to)
	if err == nil {
		e, err = e.With(o.properties)
	}
	if err != nil {
		return e, bad("to", to, err.Error())
	}
	return e, nil
}

// kafkas returns the Kafka clusters among the destinations, each once.
func (o *sinkOptions) kafkas() ([]kafka.Endpoint, error) {
	var all []kafka.Endpoint
	seen := map[string]bool{}
	for _, to := range o.to {
		if !kafka.IsEndpoint(to) {
			continue
		}
		e, err := o.kafka(to)
		if err != nil {
			return nil, err
		}
		if !seen[e.Address()] {
			seen[e.Address()] = true
			all = append(all, e)
		}
	}
	return all, nil
}

// warnSpool says where a spool cannot keep what it is there for.
func (o *sinkOptions) warnSpool(log *slog.Logger) error {
	for _, to := range o.to {
		if !kafka.IsEndpoint(to) {
			continue
		}
		e, err := o.kafka(to)
		if err != nil {
			return err
		}
		if acks := e.Properties["acks"]; acks == "0" || acks == "1" {
			log.Warn("what leaves the spool is not safe yet: with acks=all it would be", "to", e.String(), "acks", acks)
		} else if e.Properties["enable.idempotence"] == "false" {
			log.Warn("what is in the spool may arrive twice: with enable.idempotence=true it would not", "to", e.String())
		}
	}
	return nil
}

func checkSink(s string) error {
	_, err := sink.Parse(s)
	return err
}

// openSinks opens all destinations. dial reaches the broker of the same process;
// nil: there is none.
func (o *sinkOptions) openSinks(s *service, topic string, stdout io.Writer, dial kafka.DialFunc) (sink.Fanout, error) {
	if len(o.without) > 0 {
		s.log.Warn("properties without effect", "file", o.kafkaConfig, "names", o.without)
	}
	if o.spool != "" {
		var err error
		if o.spooling, err = sink.OpenSpool(o.spool, o.spoolBytes, s.log); err != nil {
			return nil, fmt.Errorf("--spool: %w", err)
		}
		if err := o.warnSpool(s.log); err != nil {
			return nil, err
		}
	}
	var sinks sink.Fanout
	for _, to := range o.to {
		e, err := sink.Parse(to)
		if err == nil {
			cfg := sink.Config{
				Topic:      topic,
				Partitions: o.partitions,
				Topics:     kafka.TimeRetention(o.retention, o.retentionBytes, o.partitions),
				QueueBytes: o.queueBytes,
				Block:      o.queueBlock,
				Spool:      o.spooling,
				Notes:      o.notes,
				Stdout:     stdout,
				Kafka:      kafka.ClientConfig{Version: versionString()},
				Properties: o.properties,
				Logger:     s.log,
			}
			if e.Embedded() {
				cfg.Kafka.Dial = dial
			}
			var opened sink.Sink
			if opened, err = sink.Open(e, cfg); err == nil {
				sinks = append(sinks, opened)
				continue
			}
		}
		_ = sinks.Close()
		if o.spooling != nil {
			_ = o.spooling.Close()
		}
		return nil, fmt.Errorf("--to %s: %w", e, err)
	}
	if o.spooling != nil {
		o.spooling.Orphans()
	}
	for i, opened := range sinks {
		s.clients.addSink(opened)
		s.http.Ready(fmt.Sprintf("to_%d", i), opened.Ready)
	}
	s.registry.MustRegister(sinkCollector{sinks, o.spooling})
	return sinks, nil
}

// closeSinks flushes what is in flight, as far as ctx lets it, and closes; what
// is left then is told as an error.
func (o *sinkOptions) closeSinks(ctx context.Context, sinks sink.Fanout) error {
	err := sinks.Flush(ctx)
	if ctx.Err() != nil {
		err = nil
	}
	err = errors.Join(err, sinks.Close())
	if o.spooling != nil {
		err = errors.Join(err, o.spooling.Close())
	}
	return err
}

// uniqueName tells two sinks of one name apart by a number.
func uniqueName(seen map[string]int, name string) string {
	if seen[name]++; seen[name] > 1 {
		return fmt.Sprintf("%s#%d", name, seen[name])
	}
	return name
}

// sinkCollector turns the accounts of sinks into metrics.
type sinkCollector struct {
	sinks sink.Fanout
	spool *sink.Spool // nil: there is none
}

var (
	sinkRecords = prometheus.NewDesc("tributary_sink_records_total",
		"Flow records by destination and what has become of them: written is their sum with those in flight and in the spool.", []string{"to", "result"}, nil)
	sinkBytes      = prometheus.NewDesc("tributary_sink_bytes_total", "Encoded size of the flow records written, by destination.", []string{"to"}, nil)
	sinkInFlight   = prometheus.NewDesc("tributary_sink_in_flight_records", "Flow records that wait for the destination.", []string{"to"}, nil)
	sinkSpooled    = prometheus.NewDesc("tributary_sink_spooled_records", "Flow records that wait on disk for the destination.", []string{"to"}, nil)
	spoolUsed      = prometheus.NewDesc("tributary_sink_spool_bytes", "Size of what waits on disk, for all destinations together.", nil, nil)
	spoolLimit     = prometheus.NewDesc("tributary_sink_spool_limit_bytes", "Bound of what may wait on disk.", nil, nil)
	sinkQueue      = prometheus.NewDesc("tributary_sink_queue_bytes", "Size of what waits for the destination.", []string{"to"}, nil)
	sinkQueueLimit = prometheus.NewDesc("tributary_sink_queue_limit_bytes", "Bound of what may wait for the destination.", []string{"to"}, nil)
)

func (c sinkCollector) Describe(d chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{sinkRecords, sinkBytes, sinkInFlight, sinkSpooled, spoolUsed, spoolLimit, sinkQueue, sinkQueueLimit} {
		d <- desc
	}
}

func (c sinkCollector) Collect(m chan<- prometheus.Metric) {
	if c.spool != nil {
		used, limit := c.spool.Used()
		m <- prometheus.MustNewConstMetric(spoolUsed, prometheus.GaugeValue, float64(used))
		m <- prometheus.MustNewConstMetric(spoolLimit, prometheus.GaugeValue, float64(limit))
	}
	seen := map[string]int{}
	for _, s := range c.sinks {
		st, to := s.Stats(), uniqueName(seen, s.Name())
		counter := func(desc *prometheus.Desc, v uint64, labels ...string) {
			m <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), append([]string{to}, labels...)...)
		}
		gauge := func(desc *prometheus.Desc, v float64) {
			m <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, to)
		}
		counter(sinkRecords, st.Written, "written")
		counter(sinkRecords, st.Delivered, "delivered")
		counter(sinkRecords, st.Dropped, "dropped")
		counter(sinkRecords, st.Refused, "refused")
		counter(sinkBytes, st.Bytes)
		gauge(sinkInFlight, float64(st.InFlight()))
		if c.spool != nil {
			gauge(sinkSpooled, float64(st.Spooled))
		}
		if st.QueueLimit > 0 {
			gauge(sinkQueue, float64(st.QueueBytes))
			gauge(sinkQueueLimit, float64(st.QueueLimit))
		}
	}
}
