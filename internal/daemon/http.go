package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a metrics registry that already has the process's and the
// Go runtime's own metrics and tributary_build_info.
func NewRegistry(version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "tributary_build_info",
		Help:        "Always 1; the label tells the version.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info)
	return r
}

// HTTP serves operations: /metrics, /healthz, /readyz and, to this machine only,
// /debug/pprof/.
//
// /healthz answers 200 while the process works, and 503 when a check of
// [HTTP.Health] fails: restart it. /readyz answers 200 when every check of
// [HTTP.Ready] passes: it does its work and can reach what it needs. Both list
// every check with its result.
type HTTP struct {
	addr     string
	log      *slog.Logger
	mux      *http.ServeMux
	listener net.Listener
	server   *http.Server

	mu     sync.Mutex
	ready  []check
	health []check
}

type check struct {
	name string
	f    func() error
}

// NewHTTP prepares the server for addr, host:port; an empty one or "off" leaves it
// out, and Start does nothing.
func NewHTTP(addr string, registry *prometheus.Registry, log *slog.Logger) *HTTP {
	if addr == "off" {
		addr = ""
	}
	h := &HTTP{addr: addr, log: log, mux: http.NewServeMux()}
	h.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { h.answer(w, &h.health) })
	h.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { h.answer(w, &h.ready) })
	local := func(f http.HandlerFunc) http.Handler { return localOnly(f) }
	h.mux.Handle("/debug/pprof/", local(pprof.Index))
	h.mux.Handle("/debug/pprof/cmdline", local(pprof.Cmdline))
	h.mux.Handle("/debug/pprof/profile", local(pprof.Profile))
	h.mux.Handle("/debug/pprof/symbol", local(pprof.Symbol))
	h.mux.Handle("/debug/pprof/trace", local(pprof.Trace))
	return h
}

// Ready adds a named check to /readyz. It is called for every request, so it
// looks at what is known and does not wait.
func (h *HTTP) Ready(name string, f func() error) { h.add(&h.ready, name, f) }

// Health adds a named check to /healthz.
func (h *HTTP) Health(name string, f func() error) { h.add(&h.health, name, f) }

// Handle adds a page.
func (h *HTTP) Handle(pattern string, handler http.Handler) { h.mux.Handle(pattern, handler) }

func (h *HTTP) add(to *[]check, name string, f func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*to = append(*to, check{name, f})
}

func (h *HTTP) answer(w http.ResponseWriter, checks *[]check) {
	h.mu.Lock()
	list := append([]check(nil), *checks...)
	h.mu.Unlock()
	var b strings.Builder
	status := http.StatusOK
	for _, c := range list {
		if err := c.f(); err != nil {
			status = http.StatusServiceUnavailable
			fmt.Fprintf(&b, "%s: %v\n", c.name, err)
		} else {
			fmt.Fprintf(&b, "%s: ok\n", c.name)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if status == http.StatusOK {
		b.WriteString("ok\n")
	}
	_, _ = w.Write([]byte(b.String()))
}

// localOnly answers 403 to everybody but this machine. A request that a proxy
// passes on, or that names another host (a page that rebinds its name to
// loopback), is not from this machine.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.RemoteAddr) || !loopback(r.Host) || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
			http.Error(w, "only from this machine, by the name localhost or its address", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Addr is the address it listens on after Start, nil when it is off.
func (h *HTTP) Addr() net.Addr {
	if h.listener == nil {
		return nil
	}
	return h.listener.Addr()
}

// Part returns the server as a part of a group. It belongs first, so that it tells
// of the others as they start and stop.
func (h *HTTP) Part() Part {
	return Part{Name: "http", Start: h.start, Run: h.run, Stop: h.stop}
}

func (h *HTTP) start(context.Context) error {
	if h.addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", h.addr)
	if err != nil {
		return fmt.Errorf("http: %w", ListenError(err))
	}
	h.listener = l
	h.server = &http.Server{
		Handler:           h.mux,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
	WarnPublic(h.log, "http", l.Addr())
	h.log.Info("http listens", "addr", l.Addr().String())
	return nil
}

func (h *HTTP) run(ctx context.Context) error {
	if h.server == nil {
		<-ctx.Done()
		return nil
	}
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(h.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("http: %w", err)
	case <-ctx.Done():
		return nil
	}
}

func (h *HTTP) stop(ctx context.Context) error {
	if h.server == nil {
		return nil
	}
	// A profile or a slow reader may take its time; a second is enough for an answer.
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := h.server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		return h.server.Close()
	} else if err != nil {
		return err
	}
	return nil
}
