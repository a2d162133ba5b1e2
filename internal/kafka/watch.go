package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Watch follows whether the brokers of a cluster can be reached, from the
// connections that a client opens anyway. It logs one line when trouble with a
// broker begins and one when it ends. Pass it to the client with kgo.WithHooks.
type Watch struct {
	endpoint Endpoint
	log      *slog.Logger

	failures atomic.Uint64

	mu   sync.Mutex
	down map[string]time.Time // brokers by address, since the first failed attempt after a good one
	err  error
}

// NewWatch returns a watch of e's cluster.
func NewWatch(e Endpoint, log *slog.Logger) *Watch {
	return &Watch{endpoint: e, log: log, down: make(map[string]time.Time)}
}

var _ kgo.HookBrokerConnect = (*Watch)(nil)

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (w *Watch) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if errors.Is(err, context.Canceled) {
		return // the attempt was given up, which says nothing about the broker
	}
	broker := net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port))
	w.mu.Lock()
	defer w.mu.Unlock()
	since, down := w.down[broker]
	if err != nil {
		w.failures.Add(1)
		w.err = w.endpoint.Explain(err)
		if !down {
			w.down[broker] = time.Now()
			w.log.Warn("kafka broker cannot be reached, trying on", "err", explain(broker, err))
		}
		return
	}
	w.err = nil
	if down {
		delete(w.down, broker)
		w.log.Info("kafka broker can be reached again", "broker", broker, "after", time.Since(since).Round(time.Millisecond))
	}
}

// Err is nil while connections succeed, else why the last one did not. It suits a
// readiness check.
func (w *Watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Failures counts the connections that could not be opened.
func (w *Watch) Failures() uint64 { return w.failures.Load() }
