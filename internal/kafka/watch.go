package kafka

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Watch follows whether a cluster can be reached, from the connections that a
// client opens anyway. It logs one line when trouble begins and one when it ends.
// Pass it to the client with kgo.WithHooks.
type Watch struct {
	endpoint Endpoint
	log      *slog.Logger

	failures atomic.Uint64

	mu    sync.Mutex
	since time.Time // of the first failed attempt since a good one; zero: no trouble
	err   error
}

// NewWatch returns a watch of e's cluster.
func NewWatch(e Endpoint, log *slog.Logger) *Watch { return &Watch{endpoint: e, log: log} }

var _ kgo.HookBrokerConnect = (*Watch)(nil)

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (w *Watch) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failures.Add(1)
		w.err = w.endpoint.Explain(err)
		if w.since.IsZero() {
			w.since = time.Now()
			w.log.Warn("kafka cannot be reached, trying on", "broker", net.JoinHostPort(meta.Host, fmt.Sprint(meta.Port)), "err", w.err)
		}
		return
	}
	if !w.since.IsZero() {
		w.log.Info("kafka can be reached again", "after", time.Since(w.since).Round(time.Millisecond))
		w.since, w.err = time.Time{}, nil
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
