package conformance

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/tributary-net/tributary/broker"
)

var update = flag.Bool("update", false, "write what was run into docs/kafka.md")

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if code == 0 {
		if err := found.hold("../docs/kafka.md", *update); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// start opens a broker that ends with the test. Nothing that a client sends may have
// been more than it could take. What it was asked counts for client.
func start(t *testing.T, client string, change func(*broker.Config)) *broker.Broker {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.DataDir = t.TempDir()
	cfg.Listen = "127.0.0.1:0"
	cfg.Logger = slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if change != nil {
		change(&cfg)
	}
	b, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s := b.Stats()
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if s.Panics != 0 || s.ConnectionsMalformed != 0 || s.Offline {
			t.Errorf("%d panics, %d malformed connections, offline %v", s.Panics, s.ConnectionsMalformed, s.Offline)
		}
		found.requests(client, s.Requests)
	})
	return b
}

type logWriter struct{ t *testing.T }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// missing skips a test for want of something, unless CI says that it must be there.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// tool finds a program.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "%s is not installed", name)
	}
	return path
}
