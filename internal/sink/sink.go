// Package sink holds the places that flow records go to: Kafka, files, standard
// output, and nowhere ([Open] tells them apart by URL). Each is a
// [flow.WorkerSink]: workers encode into buffers of their own and meet only when
// a buffer is handed on.
//
// Every record is accounted for: [Stats] says how many were written, and where
// each of them is: delivered, still in flight, dropped, or refused.
package sink

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/kafka"
)

// Sink is a destination.
type Sink interface {
	flow.WorkerSink
	// Stats returns what has become of the records so far.
	Stats() Stats
	// Name is the endpoint, without secrets.
	Name() string
	// Ready returns nil when records reach their destination, as far as is known
	// without waiting.
	Ready() error
}

// Stats accounts for records: Written = Delivered + Dropped + Refused + Spooled +
// those in flight.
type Stats struct {
	Written   uint64 // records handed to the sink, and those found
	Found     uint64 // records that were in its spool when it was opened
	Delivered uint64 // records that are where they should be
	Dropped   uint64 // records given up because the queue, or the spool, was full
	Refused   uint64 // records that the destination would not take
	Spooled   uint64 // records on disk that wait for the destination
	Bytes     uint64 // encoded size of what was written
	// QueueBytes is the memory of what waits for the destination, QueueLimit its bound.
	// What a worker is encoding comes on top.
	QueueBytes, QueueLimit int64
}

// InFlight returns how many records have not been decided on yet.
func (s Stats) InFlight() uint64 { return s.Written - s.Delivered - s.Dropped - s.Refused - s.Spooled }

// Config is what sinks need besides their URL.
type Config struct {
	Topic      string            // of Kafka, where the URL names none
	Partitions int32             // of a topic that is created
	Topics     map[string]string // configuration of a topic that is created
	QueueBytes int64             // bound of what waits for Kafka, encoded size
	Block      time.Duration     // how long a full queue holds the collector up before records are dropped
	Spool      *Spool            // where records wait for Kafka; nil: in memory only
	Notes      func() Notes      // makes the account of what a Kafka's spool keeps; nil: there is none
	Stdout     io.Writer         // where stdout: writes
	Kafka      kafka.ClientConfig
	Properties kafka.Properties // beside those in the URL, which win
	Logger     *slog.Logger     // nil: nothing is logged
}

// Schemes of endpoints, as errors name them.
const allowedEndpoints = "kafka://host:9092/topic, kafka-ssl://host:9093/topic, embedded:, file:PATH, stdout: and discard:, each with ?format= (" +
	"protobuf, packed, protobuf-single, json, kflow)"

// Endpoint is a parsed URL of a destination.
type Endpoint struct {
	text   string
	scheme string // file, stdout, discard; empty: Kafka
	path   string
	format flow.Format
	key    flow.Key
	kafka  kafka.Endpoint
}

// Parse reads the URL of a destination. Its errors say what is allowed.
func Parse(text string) (Endpoint, error) {
	e := Endpoint{text: text}
	if kafka.IsEndpoint(text) {
		return e.parseKafka()
	}
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || !slices.Contains([]string{"file", "stdout", "discard"}, scheme) {
		return e, errors.New("allowed are " + allowedEndpoints)
	}
	path, query, _ := strings.Cut(rest, "?")
	e.scheme, e.path = scheme, strings.TrimPrefix(path, "//")
	switch {
	case scheme == "file" && e.path == "":
		return e, errors.New("no file is named; allowed is file:PATH")
	case scheme != "file" && e.path != "":
		return e, fmt.Errorf("%s: takes no path", scheme)
	}
	e.format = flow.Protobuf
	if scheme == "stdout" || scheme == "file" && strings.Contains(e.path, ".json") {
		e.format = flow.JSON
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return e, fmt.Errorf("parameters: %w", err)
	}
	for name, v := range values {
		if name != "format" {
			return e, fmt.Errorf("unknown parameter %q; allowed is format", name)
		}
		if e.format, err = flow.ParseFormat(v[len(v)-1]); err != nil {
			return e, err
		}
	}
	return e, nil
}

func (e Endpoint) parseKafka() (Endpoint, error) {
	k, err := kafka.ParseEndpoint(e.text)
	if err != nil {
		return e, err
	}
	e.kafka = k
	if k.Format != "" {
		if e.format, err = flow.ParseFormat(k.Format); err != nil {
			return e, err
		}
	}
	if e.key, err = flow.ParseKey(k.Key); err != nil {
		return e, err
	}
	if e.format == flow.Packed && len(e.key) > 0 {
		return e, errors.New("format=packed puts flows of different keys into one record; allowed with key= are the other formats")
	}
	return e, nil
}

// Check finds what is wrong with an endpoint and the properties beside it that can
// be found without the destination: no broker, a certificate that is not there.
// dial is nil where there is no broker in the same process.
func (e Endpoint) Check(properties kafka.Properties, dial kafka.DialFunc) error {
	if e.scheme != "" {
		return nil
	}
	k, err := e.kafka.With(properties)
	if err != nil {
		return err
	}
	cfg := kafka.ClientConfig{}
	if k.Embedded {
		cfg.Dial = dial
	}
	_, err = k.ClientOptions(cfg)
	return err
}

// CheckKey returns an error if the endpoint's key has a field that is neither one
// of flow records nor one of the extra fields named.
func (e Endpoint) CheckKey(extras []string) error { return e.key.Check(extras) }

// Embedded reports whether the endpoint is the broker of the same process.
func (e Endpoint) Embedded() bool { return e.scheme == "" && e.kafka.Embedded }

// File is the file that the endpoint is; empty: it is none.
func (e Endpoint) File() string {
	if e.scheme == "file" {
		return e.path
	}
	return ""
}

// Stdout reports whether the endpoint is standard output.
func (e Endpoint) Stdout() bool { return e.scheme == "stdout" }

// String returns the URL without secrets.
func (e Endpoint) String() string {
	if e.scheme == "" {
		return e.kafka.String()
	}
	return e.text
}

// Open opens a destination. A Kafka cluster that cannot be reached is no error:
// records queue until it can.
func Open(e Endpoint, cfg Config) (Sink, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	switch e.scheme {
	case "":
		return openKafka(e, cfg)
	case "file":
		return openFile(e)
	case "stdout":
		return newWriter(e, cfg.Stdout, nil), nil
	default:
		return &discard{endpoint: e}, nil
	}
}

// tally counts what becomes of records.
type tally struct {
	written, delivered, dropped, refused, bytes atomic.Uint64
}

func (t *tally) stats() Stats {
	// What comes later in a record's life is read first, so that the sum of
	// what was decided never exceeds what was written.
	s := Stats{Delivered: t.delivered.Load(), Dropped: t.dropped.Load(), Refused: t.refused.Load()}
	s.Bytes = t.bytes.Load()
	s.Written = t.written.Load()
	return s
}
