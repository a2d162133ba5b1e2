package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/bench"
)

// cluster is a broker in this process, and makes clients of it.
func cluster(t *testing.T) func(opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	b, err := broker.Open(broker.Config{DataDir: t.TempDir(), Durability: broker.PageCache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return func(opts ...kgo.Opt) *kgo.Client {
		t.Helper()
		cl, err := kgo.NewClient(append(opts, kgo.AllowAutoTopicCreation(),
			kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
}

func TestProduceThenConsume(t *testing.T) {
	client := cluster(t)
	var parts int64
	sent, err := bench.Produce(t.Context(), bench.Load{Topic: "t", Records: 5000, Size: 300, Keys: 7, Interval: time.Millisecond},
		[]*kgo.Client{client(), client(), client()}, func(r bench.Report) { parts += r.Records })
	if err != nil {
		t.Fatal(err)
	}
	if sent.Records != 5000 || sent.Failed != 0 || sent.Bytes < 5000*300 || parts > 5000 || sent.Seconds <= 0 {
		t.Errorf("sent %+v, %d in parts", sent, parts)
	}
	l := sent.Latency
	if l == nil || l.P50 <= 0 || l.P50 > l.P95 || l.P95 > l.P99 || l.P99 > l.P999 || l.P999 > l.Max || l.Max > sent.Seconds {
		t.Errorf("latency %+v of %v s", l, sent.Seconds)
	}
	start := kgo.ConsumeStartOffset(kgo.NewOffset().AtStart())
	for _, members := range []int{0, 2} {
		clients := []*kgo.Client{}
		for range members {
			clients = append(clients, client(kgo.ConsumeTopics("t"), start, kgo.ConsumerGroup("g")))
		}
		if members == 0 {
			clients = append(clients, client(kgo.ConsumeTopics("t"), start))
		}
		got, err := bench.Consume(t.Context(), bench.Load{Topic: "t", Records: 5000}, clients, nil)
		if err != nil || got.Records != 5000 || got.Bytes != sent.Bytes || got.Latency != nil {
			t.Errorf("a group of %d: %+v, %v; sent were %d bytes", members, got, err, sent.Bytes)
		}
	}
}

func TestPayloads(t *testing.T) {
	for _, c := range []struct{ text, delimiter, want string }{
		{"a\nbb\n\nc\n\n", `\n`, "a,bb,,c"},
		{"aa|bbb|", `\|`, "aa,bbb"},
		{"aa|b", `|`, "a,a,|,b"}, // as Java has it
		{"whole", `\n`, "whole"},
	} {
		values, err := bench.Payloads([]byte(c.text), c.delimiter)
		if got := string(bytes.Join(values, []byte(","))); err != nil || got != c.want {
			t.Errorf("%q at %q: %q, %v", c.text, c.delimiter, got, err)
		}
	}
	for _, c := range [][2]string{{"", "x"}, {"\n\n", `\n`}, {"a", "("}} {
		if values, err := bench.Payloads([]byte(c[0]), c[1]); err == nil {
			t.Errorf("%q: %q", c, values)
		}
	}
}

// consumed reads a topic's committed records to their end.
func consumed(t *testing.T, cl *kgo.Client, n int) []string {
	t.Helper()
	var values []string
	for len(values) < n {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func TestProduceValues(t *testing.T) {
	client := cluster(t)
	reader := func(topic string) *kgo.Client {
		return client(kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	// Transactions so short that there are many: all is committed in the end, by each of two clients.
	got, err := bench.Produce(t.Context(), bench.Load{Topic: "numbers", Records: 300, Numbers: true, Warmup: 100, Commit: time.Nanosecond},
		[]*kgo.Client{client(kgo.TransactionalID("one")), client(kgo.TransactionalID("two"))}, nil)
	if err != nil || got.Records != 300 {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := got.Steady; s == nil || s.Records != 200 || s.Bytes != 600 || s.Latency == nil || s.Latency.P50 <= 0 || s.Begin.Before(got.Begin) || s.Seconds > got.Seconds {
		t.Errorf("after the warmup: %+v", s)
	}
	seen := make(map[string]bool)
	for _, v := range consumed(t, reader("numbers"), 300) {
		seen[v] = true
	}
	if len(seen) != 300 || !seen["0"] || !seen["299"] {
		t.Errorf("%d different numbers", len(seen))
	}
	got, err = bench.Produce(t.Context(), bench.Load{Topic: "drawn", Records: 200, Values: [][]byte{[]byte("a"), []byte("bb")}}, []*kgo.Client{client()}, nil)
	if err != nil || got.Steady != nil {
		t.Errorf("%+v, %v", got, err)
	}
	counts := make(map[string]int)
	for _, v := range consumed(t, reader("drawn"), 200) {
		counts[v]++
	}
	if len(counts) != 2 || counts["a"] == 0 || counts["bb"] == 0 {
		t.Errorf("drawn: %v", counts)
	}
	// Without a transactional id there is no transaction.
	if _, err := bench.Produce(t.Context(), bench.Load{Topic: "none", Records: 1, Commit: time.Second}, []*kgo.Client{client()}, nil); err == nil {
		t.Error("a transaction without an id")
	}
}

// Nothing comes any more: the run ends, and what it waited for does not count.
func TestConsumeEndsWhenIdle(t *testing.T) {
	client := cluster(t)
	if _, err := bench.Produce(t.Context(), bench.Load{Topic: "t", Records: 10, Size: 1}, []*kgo.Client{client()}, nil); err != nil {
		t.Fatal(err)
	}
	// Where the first record takes longer to come than that, the run has ended before it.
	idle := 200 * time.Millisecond
	for ; ; idle *= 2 {
		begin := time.Now()
		got, err := bench.Consume(t.Context(), bench.Load{Topic: "t", Idle: idle, Latency: true},
			[]*kgo.Client{client(kgo.ConsumeTopics("t"), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))}, nil)
		took := time.Since(begin)
		if err == nil && got.Records < 10 && idle < time.Minute {
			t.Logf("%d records within %v", got.Records, idle)
			continue
		}
		if waited := took.Seconds() - got.Seconds; err != nil || got.Records != 10 || got.Latency == nil || waited < 0.9*idle.Seconds() {
			t.Errorf("%+v of %v, %v", got, took, err)
		}
		return
	}
}

func TestProduceFails(t *testing.T) {
	client := cluster(t)
	got, err := bench.Produce(t.Context(), bench.Load{Topic: "not a topic", Records: 3, Size: 1}, []*kgo.Client{client(kgo.UnknownTopicRetries(0))}, nil)
	if !errors.Is(err, kerr.InvalidTopicException) || got.Failed != 3 || got.Records != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := bench.Produce(ctx, bench.Load{Topic: "t", Size: 1}, []*kgo.Client{client()}, nil); err != nil || got.Records != 0 {
		t.Errorf("without time: %+v, %v", got, err)
	}
}

func TestHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var h bench.Histogram
	var all []float64
	for range 20_000 {
		d := time.Duration(1 << r.IntN(40))
		d += time.Duration(r.Int64N(int64(d) + 1))
		h.Add(d)
		all = append(all, d.Seconds())
	}
	slices.Sort(all)
	l := bench.LatencyOf(&h)
	for _, c := range []struct {
		share, got float64
	}{{0.5, l.P50}, {0.95, l.P95}, {0.99, l.P99}, {0.999, l.P999}} {
		want := all[int(c.share*float64(len(all)))-1]
		if c.got < want || c.got > want*1.04+1e-9 {
			t.Errorf("percentile %v is %v, want %v", c.share*100, c.got, want)
		}
	}
	if l.Max != all[len(all)-1] {
		t.Errorf("max %v, want %v", l.Max, all[len(all)-1])
	}
	if l := bench.LatencyOf(new(bench.Histogram)); l != (bench.Latency{}) {
		t.Errorf("of nothing: %+v", l)
	}
}

func TestPrinter(t *testing.T) {
	r := bench.Report{
		Begin: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Seconds: 2, Records: 2000, Bytes: 2 << 20, RecordsPerSecond: 1000, BytesPerSecond: 1 << 20,
		Latency: &bench.Latency{Mean: 0.0012, P50: 0.001, P95: 0.002, P99: 0.003, P999: 0.004, Max: 0.0051},
	}
	print := func(format string, r bench.Report) string {
		var b bytes.Buffer
		p := bench.Printer{Out: &b, Format: format}
		if err := errors.Join(p.Interval(r), p.Summary(r)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	const kafkas = "2000 records sent, 1000.0 records/sec (1.00 MB/sec), 1.2 ms avg latency, 5.1 ms max latency.\n" +
		"2000 records sent, 1000.000000 records/sec (1.00 MB/sec), 1.20 ms avg latency, 5.10 ms max latency, 1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.\n"
	if got := print("kafka", r); got != kafkas {
		t.Errorf("as Kafka:\n%s", got)
	}
	warm := r
	warm.Steady = &bench.Report{Records: 500, Latency: &bench.Latency{}}
	if got := print("kafka", warm); !strings.HasPrefix(got, kafkas+"500 steady state records sent, 0.000000 records/sec") || strings.Count(got, "\n") != 3 {
		t.Errorf("as Kafka, with a warmup:\n%s", got)
	}
	if got := print("text", warm); !strings.HasSuffix(got, "  after the warmup\n") {
		t.Errorf("as text, with a warmup:\n%s", got)
	}
	if got := print("json", warm); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"steady":{`) {
		t.Errorf("as JSON, with a warmup:\n%s", got)
	}
	if got := print("text", r); strings.Count(got, "\n") != 3 || !strings.Contains(got, " 5.100  in all\n") {
		t.Errorf("as text:\n%s", got)
	}
	for line := range strings.Lines(print("json", r)) {
		var back struct {
			Type string
			bench.Report
		}
		if err := json.Unmarshal([]byte(line), &back); err != nil || back.Records != 2000 || back.Latency.P999 != 0.004 {
			t.Errorf("%s: %v", line, err)
		}
	}
	r.Latency = nil
	var bare bytes.Buffer
	p := bench.Printer{Out: &bare, Format: "kafka", Bare: true}
	if err := p.Summary(r); err != nil || strings.Count(bare.String(), "\n") != 1 {
		t.Errorf("without headings: %v\n%s", err, bare.String())
	}
	if got := print("kafka", r); !strings.Contains(got, "2026-01-02 03:04:05:006, 2026-01-02 03:04:07:006, 2.0000, 1.0000, 2000, 1000.0000, 0, 2000, 1.0000, 1000.0000\n") {
		t.Errorf("a consumer as Kafka:\n%s", got)
	}
}
