package kafka_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/kafka"
)

var brokerMeta = kgo.BrokerMetadata{NodeID: 1, Host: "k1", Port: 9092}

// embedded starts a broker in this process.
func embedded(t *testing.T) *broker.Broker {
	t.Helper()
	b, err := broker.Open(broker.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Durability: broker.PageCache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestRoundTripOnEmbeddedBroker(t *testing.T) {
	b := embedded(t)
	roundTrip(t, "kafka://"+b.Addr().String()+"?auto.offset.reset=earliest&compression.type=zstd", "tcp")
	e, cl := client(t, "embedded:/x", kafka.ClientConfig{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }})
	if err := e.Reach(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	created, err := kafka.EnsureTopic(t.Context(), cl, e.Topic, kafka.DefaultPartitions, kafka.Compacted())
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	topics, err := kadm.NewClient(cl).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := len(topics["x"].Partitions); got != kafka.DefaultPartitions {
		t.Errorf("%d partitions", got)
	}
	if err := kafka.CreateTopic(t.Context(), cl, "x", 1, -1, nil); !errors.Is(err, kerr.TopicAlreadyExists) || !strings.HasPrefix(err.Error(), "create topic x: ") {
		t.Errorf("created twice: %v", err)
	}
	if err := kafka.CreateTopic(t.Context(), cl, "y", 1, -1, map[string]string{"no.such.config": "1"}); !errors.Is(err, kerr.InvalidConfig) {
		t.Errorf("unknown configuration: %v", err)
	}
	if _, err := kafka.EnsureTopic(t.Context(), cl, "no/such", 1, nil); !errors.Is(err, kafka.ErrEndpoint) {
		t.Errorf("bad name: %v", err)
	}
}

func TestTimeRetention(t *testing.T) {
	for _, c := range []struct {
		age        time.Duration
		total      int64
		partitions int32
		ms, bytes  string
	}{
		{24 * time.Hour, 10e9, 4, "86400000", "2500000000"},
		{0, 0, 4, "-1", "-1"},
		{time.Microsecond, 3, 4, "1", "1"},
		{time.Hour, 100, 0, "3600000", "100"},
	} {
		got := kafka.TimeRetention(c.age, c.total, c.partitions)
		if got["retention.ms"] != c.ms || got["retention.bytes"] != c.bytes || got["cleanup.policy"] != "delete" {
			t.Errorf("%v, %d bytes in %d: %v", c.age, c.total, c.partitions, got)
		}
	}
}

func TestWatch(t *testing.T) {
	var log strings.Builder
	e, err := kafka.ParseEndpoint("kafka://k1")
	if err != nil {
		t.Fatal(err)
	}
	w := kafka.NewWatch(e, slog.New(slog.NewTextHandler(&log, nil)))
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for range 3 {
		w.OnBrokerConnect(brokerMeta, 0, nil, refused)
	}
	if err := w.Err(); !errors.Is(err, kafka.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	w.OnBrokerConnect(brokerMeta, 0, nil, nil)
	w.OnBrokerConnect(brokerMeta, 0, nil, nil)
	if w.Err() != nil || w.Failures() != 3 {
		t.Errorf("error %v, %d failures", w.Err(), w.Failures())
	}
	w.OnBrokerConnect(brokerMeta, 0, nil, context.Canceled) // the client was closed
	if w.Failures() != 3 {
		t.Error("an attempt that was given up counts as a failure")
	}
	if got := strings.Count(log.String(), "\n"); got != 2 || !strings.Contains(log.String(), "can be reached again") {
		t.Errorf("want a line at the beginning and one at the end:\n%s", log.String())
	}
	// Of two brokers that are away, one comes back.
	log.Reset()
	second := brokerMeta
	second.Host = "k2"
	w.OnBrokerConnect(brokerMeta, 0, nil, refused)
	w.OnBrokerConnect(second, 0, nil, refused)
	w.OnBrokerConnect(second, 0, nil, nil)
	if got := log.String(); strings.Count(got, "\n") != 3 || strings.Count(got, "k2:") != 2 || w.Err() != nil {
		t.Errorf("error %v, log:\n%s", w.Err(), got)
	}
}
