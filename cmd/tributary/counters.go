package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/kafka"
)

// countersTopic is where sFlow's counter samples go.
const countersTopic = "flow-counters"

// counterOptions say where sFlow's counter samples go.
type counterOptions struct {
	to     string
	format string
}

// counterFormats are the formats of counter samples.
var counterFormats = []string{"json", "protobuf"}

func defaultCounterOptions() counterOptions {
	return counterOptions{to: countersTopic, format: counterFormats[0]}
}

func (o *counterOptions) register(fs *pflag.FlagSet, prefix string) {
	textVar(fs, &o.to, prefix+"counters", "topic|file:PATH|stdout:|off", checkCounters, "send sFlow counter samples to this topic of every Kafka of --to, or elsewhere")
	enumVar(fs, &o.format, prefix+"counters-format", counterFormats, "how to write them to a topic; elsewhere they are JSON lines")
}

// topic is the one that they go to, empty if they go elsewhere.
func (o *counterOptions) topic() string {
	if o.to == "off" || o.to == "stdout:" || strings.HasPrefix(o.to, "file:") {
		return ""
	}
	return o.to
}

// file is the one that they go to, empty if they go elsewhere.
func (o *counterOptions) file() string {
	path, ok := strings.CutPrefix(o.to, "file:")
	if !ok {
		return ""
	}
	return strings.TrimPrefix(path, "//")
}

func checkCounters(s string) error {
	if strings.HasPrefix(s, "file:") && (&counterOptions{to: s}).file() == "" {
		return errors.New("no file is named; allowed is file:PATH")
	}
	topic := (&counterOptions{to: s}).topic()
	if topic == "" {
		return nil
	}
	if err := kafka.CheckTopic(topic); err != nil {
		return errors.New("allowed are the name of a topic, file:PATH, stdout: and off")
	}
	return nil
}

// counterSink takes encoded counter samples. It never blocks for long.
type counterSink interface {
	write(key, value []byte, received time.Time)
	close(ctx context.Context) error
	name() string
	counts() *counterCounts
}

// counterCounts count samples by what became of them.
type counterCounts struct {
	written, delivered, dropped, refused atomic.Uint64
}

// counterWriter encodes counter samples and hands them to its sinks.
type counterWriter struct {
	protobuf bool
	sinks    []counterSink
}

// addTo adds the writer of counter samples to a service, and returns what takes
// them; nil where they go nowhere.
func (o *counterOptions) addTo(s *service, sinks *sinkOptions, stdout io.Writer, dial kafka.DialFunc) (func(*collect.CounterSample), error) {
	w := &counterWriter{}
	switch path := o.file(); {
	case o.to == "off":
	case o.to == "stdout:":
		w.sinks = append(w.sinks, &lineCounters{to: o.to, out: stdout})
	case path != "":
		w.sinks = append(w.sinks, &lineCounters{to: o.to, path: path})
	default:
		endpoints, err := sinks.kafkas()
		if err != nil {
			return nil, err
		}
		w.protobuf = o.format == "protobuf"
		for _, e := range endpoints {
			w.sinks = append(w.sinks, &topicCounters{
				endpoint: e, topic: o.to, dial: dial, log: s.log, configs: kafka.TimeRetention(sinks.retention, sinks.retentionBytes, 1),
			})
		}
	}
	if len(w.sinks) == 0 {
		return nil, nil
	}
	s.registry.MustRegister(counterCollector{w})
	s.group.Add(daemon.Part{
		Name: "counters",
		Start: func(context.Context) error {
			for _, sink := range w.sinks {
				if opener, ok := sink.(interface{ open() error }); ok {
					if err := opener.open(); err != nil {
						return fmt.Errorf("--counters: %w", err)
					}
				}
			}
			return nil
		},
		Stop: func(ctx context.Context) error {
			var errs []error
			for _, sink := range w.sinks {
				errs = append(errs, sink.close(ctx))
			}
			return errors.Join(errs...)
		},
	})
	return w.sample, nil
}

// sample writes a counter sample to all sinks. They keep what they are given.
func (w *counterWriter) sample(c *collect.CounterSample) {
	value := []byte(nil)
	if w.protobuf {
		value = c.AppendProtobuf(nil)
	} else {
		value = c.AppendJSON(nil)
	}
	key := c.AppendKey(nil)
	for _, s := range w.sinks {
		s.counts().written.Add(1)
		s.write(key, value, c.Received)
	}
}

// lineCounters writes counter samples as lines of a file or of standard output.
type lineCounters struct {
	to, path string
	account  counterCounts

	mu   sync.Mutex
	out  io.Writer
	file *os.File
	err  error
}

func (l *lineCounters) name() string           { return l.to }
func (l *lineCounters) counts() *counterCounts { return &l.account }

func (l *lineCounters) open() error {
	if l.path == "" {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	l.file, l.out = f, f
	return err
}

func (l *lineCounters) write(_, value []byte, _ time.Time) {
	line := append(value[:len(value):len(value)], '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.out.Write(line); err != nil {
		l.err = err
		l.account.refused.Add(1)
		return
	}
	l.account.delivered.Add(1)
}

func (l *lineCounters) close(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.err
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", l.to, err)
	}
	return nil
}

// counterQueue is how much of counter samples may wait for a Kafka, in octets.
const counterQueue = 16 << 20

// topicCounters produces counter samples to a topic. The topic is created when the
// first sample comes: not every network has any.
type topicCounters struct {
	endpoint kafka.Endpoint
	topic    string
	configs  map[string]string
	dial     kafka.DialFunc
	log      *slog.Logger

	client   *kgo.Client
	account  counterCounts
	dropping atomic.Bool
	once     sync.Once
	stop     context.CancelFunc
	ctx      context.Context //nolint:containedctx // of prepare, which a sample starts
	done     sync.WaitGroup
}

func (t *topicCounters) name() string {
	e := t.endpoint
	e.Topic, e.Properties, e.Key, e.Format, e.Producers = t.topic, nil, nil, "", 0
	return e.String()
}

func (t *topicCounters) counts() *counterCounts { return &t.account }

func (t *topicCounters) open() error {
	cfg := kafka.ClientConfig{Version: versionString(), Logger: t.log}
	if t.endpoint.Embedded {
		cfg.Dial = t.dial
	}
	opts, err := t.endpoint.ClientOptions(cfg)
	if err != nil {
		return err
	}
	opts = append(opts, kgo.DefaultProduceTopic(t.topic), kgo.UnknownTopicRetries(-1), kgo.MaxBufferedBytes(counterQueue))
	if t.client, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("%s: %w", t.name(), err)
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return nil
}

func (t *topicCounters) write(key, value []byte, received time.Time) {
	t.once.Do(func() { t.done.Go(t.prepare) })
	t.client.TryProduce(t.ctx, &kgo.Record{Key: key, Value: value, Timestamp: received}, t.decided)
}

func (t *topicCounters) decided(_ *kgo.Record, err error) {
	switch {
	case err == nil:
		t.account.delivered.Add(1)
		if t.dropping.CompareAndSwap(true, false) {
			t.log.Info("counter samples are delivered again", "to", t.name(), "dropped_samples", t.account.dropped.Load())
		}
	case errors.Is(err, kgo.ErrMaxBuffered):
		t.account.dropped.Add(1)
		if t.dropping.CompareAndSwap(false, true) {
			t.log.Warn("queue of counter samples is full: they are dropped and counted", "to", t.name(), "queue_bytes", counterQueue)
		}
	case errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		t.account.dropped.Add(1)
	default:
		if t.account.refused.Add(1) == 1 {
			t.log.Warn("counter samples are refused and counted", "to", t.name(), "err", err)
		}
	}
}

// prepare creates the topic as soon as Kafka can be reached.
func (t *topicCounters) prepare() {
	told := false
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		attempt, cancel := context.WithTimeout(t.ctx, 15*time.Second)
		_, err := kafka.EnsureTopic(attempt, t.client, t.topic, 1, t.configs)
		cancel()
		if err == nil && told {
			t.log.Info("topic is ready", "to", t.name())
		}
		if err == nil || t.ctx.Err() != nil {
			return
		}
		if err = t.endpoint.Explain(err); !told && !errors.Is(err, kafka.ErrUnreachable) { // which the flows' destination tells
			told = true
			t.log.Warn("topic is not ready; counter samples wait in the queue", "to", t.name(), "err", err)
		}
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (t *topicCounters) close(ctx context.Context) error {
	if t.client == nil {
		return nil
	}
	_ = t.client.Flush(ctx) // what is left is counted below
	t.stop()
	t.done.Wait()
	t.client.Close()
	if a := &t.account; a.dropped.Load()+a.refused.Load() > 0 {
		t.log.Warn("not all counter samples were delivered", "to", t.name(), "dropped_samples", a.dropped.Load(), "refused_samples", a.refused.Load())
	}
	return nil
}

// counterCollector turns the accounts of counter samples into metrics.
type counterCollector struct{ writer *counterWriter }

var counterRecords = prometheus.NewDesc("tributary_sink_counter_samples_total",
	"sFlow counter samples by destination and what has become of them: written is their sum with those in flight.", []string{"to", "result"}, nil)

func (c counterCollector) Describe(d chan<- *prometheus.Desc) { d <- counterRecords }

func (c counterCollector) Collect(m chan<- prometheus.Metric) {
	for _, s := range c.writer.sinks {
		a := s.counts()
		for _, r := range []struct {
			result string
			n      *atomic.Uint64
		}{{"delivered", &a.delivered}, {"dropped", &a.dropped}, {"refused", &a.refused}, {"written", &a.written}} {
			m <- prometheus.MustNewConstMetric(counterRecords, prometheus.CounterValue, float64(r.n.Load()), s.name(), r.result)
		}
	}
}
