package kafka_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/kafka"
)

const patience = 2 * time.Minute

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// producing is a producer of one test, and what became of what it was given.
type producing struct {
	*kafka.Producer
	appender           *kafka.Appender
	delivered, refused atomic.Uint64
	metrics            kafka.ClientMetrics
	watch              *kafka.Watch
}

func producer(t *testing.T, endpoint, topic string) *producing {
	t.Helper()
	e, err := kafka.ParseEndpoint(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &producing{watch: kafka.NewWatch(e, slog.New(slog.DiscardHandler))}
	if p.Producer, err = kafka.NewProducer(e, kafka.ProducerConfig{
		Topic: topic, QueueBytes: 64 << 20, Hooks: []kgo.Hook{&p.metrics, p.watch},
		Delivered: func(n uint64) { p.delivered.Add(n) }, Refused: func(n uint64) { p.refused.Add(n) },
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.appender = p.Appender()
	return p
}

// produce produces n records and waits until they are there.
func (p *producing) produce(t *testing.T, n int) {
	t.Helper()
	before := p.delivered.Load()
	for i := range n {
		p.appender.Append([]kafka.Record{{Milliseconds: 1_700_000_000_000, Value: fmt.Appendf(nil, "record %d", i), Flows: 1}})
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := p.delivered.Load() - before; d != uint64(n) || p.refused.Load() != 0 {
		t.Fatalf("%d records delivered of %d, %d refused", d, n, p.refused.Load())
	}
}

// TestProducerLogsIn: the producer's own connections come in by every mechanism and by
// TLS, and authenticate again within the time that the broker gives them.
func TestProducerLogsIn(t *testing.T) {
	a := newAuthority(t)
	_, cert, key := a.issue(t, "127.0.0.1")
	_, clientCert, clientKey := a.issue(t, "client")
	mechanisms := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
	own := broker.TLSConfig{CertFile: cert, KeyFile: key}
	mutual := own
	mutual.ClientAuth, mutual.ClientCAFile = broker.ClientAuthRequired, a.pem
	b, err := broker.Open(broker.Config{
		DataDir: t.TempDir(), MaxReauth: time.Second, // so near that every request is preceded by it
		Users: []broker.User{{Name: "alice", Password: "secret"}},
		Listeners: []broker.Listener{
			{Name: "SASL", Address: "127.0.0.1:0", SASLMechanisms: mechanisms},
			{Name: "SASLTLS", Address: "127.0.0.1:0", SASLMechanisms: mechanisms, TLS: &own},
			{Name: "MUTUAL", Address: "127.0.0.1:0", TLS: &mutual},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	at := func(name string) string {
		for _, l := range b.Listeners() {
			if l.Name == name {
				return l.Addr.String()
			}
		}
		panic(name)
	}
	for i, c := range []struct{ name, endpoint string }{
		{"PLAIN", "kafka://" + at("SASL") + "?sasl.mechanism=PLAIN&sasl.username=alice&sasl.password=secret"},
		{"SCRAM-SHA-256", "kafka://" + at("SASL") + "?sasl.mechanism=SCRAM-SHA-256&sasl.username=alice&sasl.password=secret"},
		{"SCRAM-SHA-512 over TLS", "kafka-ssl://" + at("SASLTLS") + "?sasl.mechanism=SCRAM-SHA-512&sasl.username=alice&sasl.password=secret&ssl.ca.location=" + a.pem},
		{"acks=0", "kafka://" + at("SASL") + "?sasl.mechanism=PLAIN&sasl.username=alice&sasl.password=secret&acks=0"},
		{"client certificate", "kafka-ssl://" + at("MUTUAL") + "?ssl.ca.location=" + a.pem + "&ssl.certificate.location=" + clientCert + "&ssl.key.location=" + clientKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			topic := fmt.Sprintf("t%d", i)
			p := producer(t, c.endpoint, topic)
			if _, err := kafka.EnsureTopic(t.Context(), p.Client(), topic, 1, nil); err != nil {
				t.Fatal(err)
			}
			before, produced := b.Stats().Reauthenticated, int64(0)
			again := func() bool { return !strings.Contains(c.endpoint, "sasl") || b.Stats().Reauthenticated-before >= 3 }
			for begin := time.Now(); produced < 4000 || !again(); produced += 1000 {
				if time.Since(begin) > patience {
					t.Fatal("does not authenticate again")
				}
				p.produce(t, 1000)
			}
			if strings.Contains(c.endpoint, "acks=0") {
				produced = 1 // what goes while the broker closes a connection is lost
			}
			eventually(t, fmt.Sprint(produced, " records"), func() bool {
				for _, s := range b.Stats().Topics {
					if s.Name == topic {
						return s.Messages >= produced
					}
				}
				return false
			})
			if s := p.metrics.Stats(); s.Requests[kafka.ProduceRequests].Count < p.Stats().Requests || s.BytesOut < 4000*8 {
				t.Errorf("counted %+v, %+v", s, p.Stats())
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		p := producer(t, "kafka://"+at("SASL")+"?sasl.mechanism=PLAIN&sasl.username=alice&sasl.password=wrong", "t0")
		eventually(t, "a login that fails", func() bool { return p.watch.Err() != nil })
		if err := p.watch.Err(); !strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED") {
			t.Error(err)
		}
	})
}
