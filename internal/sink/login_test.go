package sink_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/sink"
)

// lines is a log that is read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// warnings are the lines that say what is wrong.
func (l *lines) warnings() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, "level=WARN") {
			all = append(all, line)
		}
	}
	return all
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), text)
}

// A broker that does not let the client in, and one that does not let it have its
// topic, is named in one line, however often it is tried, and by the readiness check.
func TestKafkaLogin(t *testing.T) {
	b, err := broker.Open(broker.Config{
		DataDir: t.TempDir(), Authorize: true, SuperUsers: []string{"User:admin"},
		Users:     []broker.User{{Name: "admin", Password: "a"}, {Name: "alice", Password: "secret"}},
		Listeners: []broker.Listener{{Name: "SASL", Address: "127.0.0.1:0", SASLMechanisms: []string{"PLAIN"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	address := b.Listeners()[0].Addr.String()
	login := "?sasl.mechanism=PLAIN&sasl.username=alice&sasl.password="
	for _, c := range []struct{ name, parameters, says string }{
		{"none", "", "cannot reach kafka at " + address + ": it closes the connection at once"},
		{"wrong password", login + "wrong", "SASL_AUTHENTICATION_FAILED"},
		{"not allowed", login + "secret", "TOPIC_AUTHORIZATION_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := sink.Parse("kafka://" + address + "/flows" + c.parameters)
			if err != nil {
				t.Fatal(err)
			}
			var log lines
			cfg := config()
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			s, err := sink.Open(e, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			attempts := func() uint64 {
				st, _, _ := sink.KafkaStats(s)
				return st.ConnectionsOpened + st.ConnectsFailed
			}
			eventually(t, "a line says why", func() bool { return log.has(c.says) })
			if err := s.Ready(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("ready: %v", err)
			}
			if c.name == "not allowed" {
				allow(t, address)
				eventually(t, "a line says that it is over", func() bool { return log.has(`msg="topic is ready"`) })
			} else {
				tried := attempts()
				eventually(t, "it is tried on", func() bool { return attempts() > tried+3 })
			}
			if w := log.warnings(); len(w) != 1 {
				t.Errorf("%d lines: %q", len(w), w)
			}
		})
	}
}

// allow lets alice have every topic.
func allow(t *testing.T, address string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.SASL(plain.Auth{User: "admin", Pass: "a"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	acl := kadm.NewACLs().Topics("*").Allow("User:alice").AllowHosts("*").Operations(kmsg.ACLOperationAll)
	if _, err := kadm.NewClient(cl).CreateACLs(t.Context(), acl); err != nil {
		t.Fatal(err)
	}
}
