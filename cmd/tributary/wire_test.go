package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/captures"
)

// process is the real program, started by a test. Its log is JSON.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it has
	err    error         // of Wait, after that
	stdout bytes.Buffer  // after that

	mu     sync.Mutex
	news   chan struct{} // closed and replaced at every line
	lines  []string
	unread []byte
}

// start starts the program. What still runs at the end of the test is killed.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("tributary", args...), ended: make(chan struct{}), news: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(os.Environ(), "GORACE="+raceAtExit())
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = &p.stdout, p, patience
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && p.log() != "" {
			t.Logf("tributary %s wrote:\n%s", strings.Join(args, " "), p.log())
		}
	})
	return p
}

// startService starts a long-running command with metrics, and a log that can be read.
func startService(t *testing.T, command string, args ...string) *process {
	t.Helper()
	return start(t, append([]string{command, "--log-format", "json", "--http", "127.0.0.1:0"}, args...)...)
}

// Write takes what the program writes to standard error.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unread = append(p.unread, b...)
	for {
		line, rest, ok := bytes.Cut(p.unread, []byte("\n"))
		if !ok {
			break
		}
		p.lines = append(p.lines, string(line))
		p.unread = rest
	}
	close(p.news)
	p.news = make(chan struct{})
	return len(b), nil
}

// log is what the program wrote to standard error so far.
func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n") + string(p.unread)
}

// logged waits for a line of the log and returns an attribute of it.
func (p *process) logged(t *testing.T, msg, attribute string) string {
	t.Helper()
	deadline := time.After(patience)
	for seen := 0; ; {
		p.mu.Lock()
		lines, news := p.lines, p.news
		p.mu.Unlock()
		for ; seen < len(lines); seen++ {
			var line map[string]any
			if json.Unmarshal([]byte(lines[seen]), &line) == nil && line["msg"] == msg {
				return fmt.Sprint(line[attribute])
			}
		}
		select {
		case <-news:
		case <-p.ended:
			t.Fatalf("tributary ended (%v) before it said %q", p.err, msg)
		case <-deadline:
			t.Fatalf("tributary did not say %q", msg)
		}
	}
}

// wait waits until the program has ended and returns its exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * patience):
		t.Fatalf("tributary did not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop tells the program to stop, and expects that it ends in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != 0 {
		t.Fatalf("tributary ended with %d", code)
	}
}

// kill ends the program at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// peakMemory is how much memory the program has had at most, in bytes.
func (p *process) peakMemory(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// samples are metrics by name and labels, as they are written.
type samples map[string]float64

// get asks the program for a page of operations.
func (p *process) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	res, err := http.Get("http://" + p.logged(t, "http listens", "addr") + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// ready waits until the program says that it is.
func (p *process) ready(t *testing.T) {
	t.Helper()
	eventually(t, "/readyz answers 200", func() bool {
		status, _ := p.get(t, "/readyz")
		return status == http.StatusOK
	})
}

// metrics asks the program for its metrics.
func (p *process) metrics(t *testing.T) samples {
	t.Helper()
	status, body := p.get(t, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, body)
	}
	m := samples{}
	for line := range strings.Lines(body) {
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		m[line[:i]] = v
	}
	return m
}

// sum adds up the samples of a metric whose labels contain all the given ones.
func (m samples) sum(name string, labels ...string) uint64 {
	total := 0.0
	for sample, v := range m {
		n, l, _ := strings.Cut(sample, "{")
		if n != name {
			continue
		}
		all := true
		for _, label := range labels {
			all = all && strings.Contains(l, label)
		}
		if all {
			total += v
		}
	}
	return uint64(total)
}

// sink is what has become of records of a sink.
func (m samples) sink(result string) uint64 {
	return m.sum("tributary_sink_records_total", `result="`+result+`"`)
}

// received is how many datagrams have come out of the sockets.
func (m samples) received() uint64 { return m.sum("tributary_collect_socket_datagrams_total") }

// kernelDrops is how many datagrams did not fit the sockets' buffers.
func (m samples) kernelDrops() uint64 { return m.sum("tributary_collect_socket_kernel_drops_total") }

// settled reports whether so many datagrams have been received and every record
// of them has been delivered.
func (m samples) settled(datagrams uint64) bool {
	records := m.sum("tributary_collect_records_total")
	return m.received() == datagrams && m.sink("written") == records && m.sink("delivered") == records
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not come true: %s", what)
		}
	}
}

// tributary runs a command to its end and returns what it writes to standard
// output; it has to end with 0.
func tributary(t *testing.T, args ...string) []byte {
	t.Helper()
	p := start(t, args...)
	if code := p.wait(t); code != 0 {
		t.Fatalf("tributary %s ended with %d: %s", strings.Join(args, " "), code, p.log())
	}
	return p.stdout.Bytes()
}

// startBroker starts the embedded broker at an address, one of package hold if it is
// to be started there again, and returns the one it has then.
func startBroker(t *testing.T, dir, listen string, args ...string) (*process, string) {
	t.Helper()
	p := startService(t, "broker", append([]string{"--listen", listen, "--data", dir}, args...)...)
	return p, p.logged(t, "broker listens", "addr")
}

// startCollect starts a collector and returns the address it listens on.
func startCollect(t *testing.T, args ...string) (*process, string) {
	t.Helper()
	p := startService(t, "collect", append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	return p, p.logged(t, "collecting", "listen")
}

// flowChecker returns a function that compares flow records, a JSON object a line,
// with what is expected of a capture, by the program that came with the captures.
func flowChecker(t *testing.T) func(t *testing.T, capture string, flows []byte) {
	t.Helper()
	dir := captures.Dir(t)
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("the checker of expected records wants python3: %v", err)
	}
	return func(t *testing.T, capture string, flows []byte) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "flows.jsonl")
		if err := os.WriteFile(file, flows, 0o600); err != nil {
			t.Fatal(err)
		}
		check := exec.CommandContext(t.Context(), python, filepath.Join(dir, "check_flows.py"), "-v",
			"--expected", strings.TrimSuffix(capture, ".pcap")+".expected.json", "--map", filepath.Join(dir, "tributary-map.json"), "--flows", file)
		if text, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

// TestWireCaptures sends every capture to a collector of its own, and compares
// what comes out of Kafka with what is expected.
func TestWireCaptures(t *testing.T) {
	check := flowChecker(t)
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	t.Run("captures", func(t *testing.T) {
		exportCaptures(t, func(t *testing.T, file string) {
			t.Parallel()
			topic := strings.TrimSuffix(filepath.Base(file), ".pcap")
			// One socket, so that datagrams of several ports stay in order: what a port
			// may use of another's templates hangs on which came first.
			collector, address := startCollect(t, "--to", "kafka://"+broker+"/"+topic, "--workers", "1", "--hold", "0", "--state-topic", "off")
			collector.ready(t) // a capture without flow records has to have its topic too
			tributary(t, "replay", "-r", file, "--to", "udp://"+address, "--pace", "20k/s", "--quiet")
			// Everything is in the socket, at least. Told to stop, the collector
			// takes it from there to Kafka.
			collector.stop(t)
			check(t, file, tributary(t, "consume", topic, "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--decode"))
		})
	})
}
