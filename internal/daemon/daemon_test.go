package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-net/tributary/internal/daemon"
)

// journal collects what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, " ")
}

// part writes down when it starts, ends running, and stops.
func (j *journal) part(name string) daemon.Part {
	return daemon.Part{
		Name:  name,
		Start: func(context.Context) error { j.add("start-" + name); return nil },
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			j.add("ran-" + name)
			return nil
		},
		Stop: func(context.Context) error { j.add("stop-" + name); return nil },
	}
}

func TestGroupStopsInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g daemon.Group
		for _, n := range []string{"a", "b", "c"} {
			g.Add(j.part(n))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := g.Run(ctx); err != nil {
			t.Fatal(err)
		}
		want := "start-a start-b start-c ran-c stop-c ran-b stop-b ran-a stop-a"
		if got := j.String(); got != want {
			t.Errorf("order\n got %s\nwant %s", got, want)
		}
	})
}

func TestGroupStopsWhatHadStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g daemon.Group
		cause := errors.New("no such thing")
		g.Add(j.part("a"))
		g.Add(daemon.Part{Name: "b", Start: func(context.Context) error { return cause }})
		g.Add(j.part("c"))
		if err := g.Run(t.Context()); !errors.Is(err, cause) {
			t.Fatalf("error %v, want %v", err, cause)
		}
		if got, want := j.String(), "start-a ran-a stop-a"; got != want {
			t.Errorf("order\n got %s\nwant %s", got, want)
		}
	})
}

func TestGroupEndsWhenAPartDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g daemon.Group
		cause := errors.New("socket gone")
		g.Add(j.part("a"))
		g.Add(daemon.Part{Name: "b", Run: func(context.Context) error { time.Sleep(time.Minute); return cause }})
		g.Add(j.part("c"))
		if err := g.Run(t.Context()); !errors.Is(err, cause) {
			t.Fatalf("error %v, want %v", err, cause)
		}
		if got, want := j.String(), "start-a start-c ran-c stop-c ran-a stop-a"; got != want {
			t.Errorf("order\n got %s\nwant %s", got, want)
		}
	})
}

func TestGroupGivesUpAfterGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		g := daemon.Group{Grace: 5 * time.Second}
		release := make(chan struct{})
		g.Add(j.part("a"))
		g.Add(daemon.Part{Name: "stuck", Run: func(context.Context) error { <-release; return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		cancel2 := time.AfterFunc(time.Second, cancel)
		defer cancel2.Stop()
		begin := time.Now()
		err := g.Run(ctx)
		if !errors.Is(err, daemon.ErrNotStopped) || !strings.Contains(err.Error(), "stuck") {
			t.Errorf("error %v, want one that names the part", err)
		}
		if d := time.Since(begin); d < 6*time.Second || d > 7*time.Second {
			t.Errorf("gave up after %v, want 1 s of work and 5 s of grace", d)
		}
		close(release)
	})
}

func TestSignals(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	codes := make(chan int, 1)
	ctx, stop := daemon.Signals(t.Context(), log, func(code int) { codes <- code })
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := <-codes; code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log, err := daemon.NewLogger(&b, "json", "warn")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("not this")
	log.Warn("this", "topic", "flows")
	if got := b.String(); !strings.Contains(got, `"msg":"this","topic":"flows"`) || strings.Contains(got, "not this") {
		t.Errorf("logged %s", got)
	}
	if _, err := daemon.NewLogger(&b, "xml", "info"); err == nil || !strings.Contains(err.Error(), "text, json") {
		t.Errorf("format xml: %v", err)
	}
	if _, err := daemon.NewLogger(&b, "text", "loud"); err == nil || !strings.Contains(err.Error(), "debug, info, warn, error") {
		t.Errorf("level loud: %v", err)
	}
}

func TestHTTP(t *testing.T) {
	reg := daemon.NewRegistry("v1.2.3")
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "tributary_test_total", Help: "Test."})
	reg.MustRegister(count)
	count.Add(7)
	h := daemon.NewHTTP("127.0.0.1:0", reg, slog.New(slog.DiscardHandler))
	var problem error
	h.Ready("kafka", func() error { return problem })
	var g daemon.Group
	g.Add(h.Part())
	addr := make(chan string, 1)
	g.Add(daemon.Part{Name: "probe", Start: func(context.Context) error { addr <- h.Addr().String(); return nil }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	at := <-addr
	get := func(path, host string) (int, string) {
		t.Helper()
		req, err := http.NewRequest("GET", "http://"+at+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if code, body := get("/metrics", ""); code != 200 || !strings.Contains(body, "tributary_test_total 7") || !strings.Contains(body, `version="v1.2.3"`) {
		t.Errorf("/metrics: %d %s", code, body)
	}
	if code, body := get("/healthz", ""); code != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	if code, body := get("/readyz", ""); code != 200 || body != "kafka: ok\nok\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	problem = errors.New("cannot reach it")
	if code, body := get("/readyz", ""); code != 503 || body != "kafka: cannot reach it\n" {
		t.Errorf("/readyz with a failing check: %d %q", code, body)
	}
	if code, _ := get("/debug/pprof/", ""); code != 200 {
		t.Errorf("/debug/pprof/ from loopback: %d", code)
	}
	if code, _ := get("/debug/pprof/", "evil.example"); code != 403 {
		t.Errorf("/debug/pprof/ by another name: %d, want 403", code)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHTTPOffAndInUse(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	reg := daemon.NewRegistry("test")
	for _, addr := range []string{"", "off"} {
		h := daemon.NewHTTP(addr, reg, log)
		if err := h.Part().Start(t.Context()); err != nil || h.Addr() != nil {
			t.Errorf("address %q: %v, listens on %v", addr, err, h.Addr())
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = daemon.NewHTTP(l.Addr().String(), reg, log).Part().Start(t.Context())
	want := "http: " + l.Addr().String() + "/tcp is in use by another program"
	if err == nil || err.Error() != want {
		t.Errorf("port in use: %v, want %s", err, want)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v does not unwrap to EADDRINUSE", err)
	}
}

func TestWarnPublic(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	daemon.WarnPublic(log, "broker", &net.TCPAddr{IP: net.IPv6loopback, Port: 9092})
	daemon.WarnPublic(log, "broker", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9092})
	if b.Len() != 0 {
		t.Errorf("warned of loopback: %s", b.String())
	}
	daemon.WarnPublic(log, "broker", &net.TCPAddr{IP: net.IPv6zero, Port: 9092})
	if !strings.Contains(b.String(), "level=WARN") || !strings.Contains(b.String(), "what=broker") {
		t.Errorf("no warning of [::]: %s", b.String())
	}
}
