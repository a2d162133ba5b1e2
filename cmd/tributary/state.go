package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/kafka"
)

// exportersTopic is where collectors keep what exporters taught them.
const exportersTopic = "exporters"

// exportersFile is where they keep it in the folder of a spool.
const exportersFile = "exporters.jsonl"

// stateOptions say where the collector keeps what exporters teach it.
type stateOptions struct {
	file  string
	topic string
	age   time.Duration
	wait  time.Duration
}

func defaultStateOptions() stateOptions {
	return stateOptions{topic: exportersTopic, age: 7 * 24 * time.Hour, wait: 3 * time.Second}
}

func (o *stateOptions) register(fs *pflag.FlagSet, prefix string) {
	stringVar(fs, &o.file, prefix+"state", "keep what exporters teach (templates, sampling rates, names) in this `file` and begin with it")
	textVar(fs, &o.topic, prefix+"state-topic", "topic|off", checkStateTopic, "keep the same in this topic of the first Kafka of --to, begin with it, and follow what other collectors write")
	durationVar(fs, &o.age, prefix+"state-age", time.Minute, maxDuration, "forget what an exporter has not repeated for so long")
	durationVar(fs, &o.wait, prefix+"state-wait", 0, time.Minute, "let datagrams wait in the sockets this long at most for the topic to be read at the start")
}

func (o *stateOptions) check() error {
	if o.file != "" {
		if err := checkStateFile(o.file); err != nil {
			return bad("state", o.file, err.Error())
		}
	}
	return nil
}

// path is the file, empty for none; spool as in addTo.
func (o *stateOptions) path(spool string) string {
	if o.file == "" && spool != "" && o.topic != "off" {
		return filepath.Join(spool, exportersFile)
	}
	return o.file
}

func checkStateTopic(s string) error {
	if s == "off" {
		return nil
	}
	return kafka.CheckTopic(s)
}

// stateKeeper keeps what exporters teach a decoder: it gives the decoder what is
// stored, and stores what changes.
type stateKeeper struct {
	decoder *collect.Decoder
	age     time.Duration
	log     *slog.Logger
	file    *stateFile  // nil: none
	topic   *stateTopic // nil: none

	loadedOnce sync.Once
	loaded     chan struct{} // closed when the decoder has what is stored, or need not wait for it
	stateCounts
}

// stateCounts count records of state by what became of them.
type stateCounts struct {
	learnt, stale, invalid, ignored, written, removed, failed atomic.Uint64
}

// stateDelay is how long changes are gathered before they are written.
const stateDelay = time.Second

// addTo adds the keeper to a service, for a decoder; nil when there is nothing
// to keep state in. endpoint is nil where no Kafka is written to; spool is the
// folder where flows wait, empty for none: a copy lies there too, for a start while
// Kafka is away.
func (o *stateOptions) addTo(s *service, decoder *collect.Decoder, endpoint *kafka.Endpoint, dial kafka.DialFunc, spool string) *stateKeeper {
	file := o.path(spool)
	k := &stateKeeper{decoder: decoder, age: o.age, log: s.log, loaded: make(chan struct{})}
	if file != "" {
		k.file = &stateFile{path: filepath.Clean(file), keeper: k}
	}
	if endpoint != nil && o.topic != "off" {
		k.topic = newStateTopic(k, o.topic, *endpoint, dial)
	}
	if k.file == nil && k.topic == nil {
		return nil
	}
	s.registry.MustRegister(stateCollector{k})
	if k.topic != nil {
		s.clients.addClient(clientName(*endpoint, o.topic), &k.topic.metrics)
	}
	s.group.Add(daemon.Part{
		Name: "exporters",
		Start: func(context.Context) error {
			if k.file != nil {
				if err := k.file.load(); err != nil {
					return fmt.Errorf("--state: %w", err)
				}
			}
			if k.topic == nil {
				k.begin()
				return nil
			}
			time.AfterFunc(o.wait, k.begin)
			return k.topic.open()
		},
		Run:  k.run,
		Stop: k.stop,
	})
	return k
}

// begin lets the collector decode.
func (k *stateKeeper) begin() { k.loadedOnce.Do(func() { close(k.loaded) }) }

// wait waits until the decoder has what is stored, or need not wait any longer.
func (k *stateKeeper) wait(ctx context.Context) {
	select {
	case <-k.loaded:
	case <-ctx.Done():
	}
}

// run stores what changes until ctx ends.
func (k *stateKeeper) run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	if k.topic != nil {
		group.Go(func() { k.topic.follow(ctx) })
		group.Go(func() { k.topic.write(ctx) })
	}
	// What does not change is written again from time to time: until when it was so.
	again := time.NewTicker(k.again())
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.decoder.Changed():
		case <-again.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(stateDelay):
		}
		k.changes()
		if k.file != nil {
			_ = k.file.write() // which says so
		}
	}
}

// again is how often what does not change is looked at.
func (k *stateKeeper) again() time.Duration {
	return max(time.Second, min(10*time.Minute, k.age/8))
}

// changes hands on what has changed.
func (k *stateKeeper) changes() {
	changes := k.decoder.Changes()
	if k.topic != nil {
		k.topic.changed(changes...)
	}
}

// stop stores the last changes, as far as ctx lets it.
func (k *stateKeeper) stop(ctx context.Context) error {
	k.changes()
	var err error
	if k.file != nil {
		err = k.file.write()
	}
	if k.topic != nil {
		err = errors.Join(err, k.topic.close(ctx))
	}
	return err
}

// cutoff is the time from which on things are not stale, in seconds since the
// epoch, and the one that nothing can be later than.
func (k *stateKeeper) cutoff() (from, now int64) {
	t := time.Now()
	return t.Add(-k.age).Unix(), t.Unix()
}

// learn gives the decoder what is stored, without what is stale.
func (k *stateKeeper) learn(states []collect.State) {
	from, now := k.cutoff()
	fresh := states[:0]
	for _, st := range states {
		if st.Time = min(st.Time, now); st.Time >= from {
			fresh = append(fresh, st)
		}
	}
	n := k.decoder.Learn(fresh)
	k.learnt.Add(uint64(n))
	k.ignored.Add(uint64(len(fresh) - n))
	k.stale.Add(uint64(len(states) - len(fresh)))
}

// stateCollector turns the counts of a keeper into metrics.
type stateCollector struct{ keeper *stateKeeper }

var (
	stateRead = prometheus.NewDesc("tributary_collect_stored_read_total",
		"What exporters taught before or elsewhere, as read from the topic or the file, by result.", []string{"result"}, nil)
	stateWritten = prometheus.NewDesc("tributary_collect_stored_written_total",
		"Changes of what exporters taught, as written to the topic, by result.", []string{"result"}, nil)
	statePending = prometheus.NewDesc("tributary_collect_stored_pending_exporters",
		"Exporters whose changes have not been written to the topic yet.", nil, nil)
)

func (c stateCollector) Describe(d chan<- *prometheus.Desc) {
	d <- stateRead
	d <- stateWritten
	d <- statePending
}

func (c stateCollector) Collect(m chan<- prometheus.Metric) {
	k := c.keeper
	count := func(desc *prometheus.Desc, n *atomic.Uint64, result string) {
		m <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n.Load()), result)
	}
	count(stateRead, &k.learnt, "learnt")
	count(stateRead, &k.stale, "stale")
	count(stateRead, &k.invalid, "invalid")
	count(stateRead, &k.ignored, "ignored")
	count(stateWritten, &k.written, "written")
	count(stateWritten, &k.removed, "removed")
	count(stateWritten, &k.failed, "failed")
	pending := 0
	if k.topic != nil {
		pending = k.topic.waiting()
	}
	m <- prometheus.MustNewConstMetric(statePending, prometheus.GaugeValue, float64(pending))
}
