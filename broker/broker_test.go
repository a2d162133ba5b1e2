package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
)

// testConfig is a broker on a free loopback port in a directory of the test.
func testConfig(t testing.TB) broker.Config {
	t.Helper()
	cfg := broker.DefaultConfig()
	cfg.DataDir = t.TempDir()
	cfg.Listen = "127.0.0.1:0"
	cfg.Logger = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return cfg
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// open starts a broker that ends with the test.
func open(t testing.TB, cfg broker.Config) *broker.Broker {
	t.Helper()
	b, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// client makes a franz-go client of a broker.
func client(t testing.TB, b *broker.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	base := []kgo.Opt{kgo.SeedBrokers(b.Addr().String()), kgo.AllowAutoTopicCreation(), kgo.MetadataMinAge(10 * time.Millisecond)}
	cl, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// deadline is a context no test should outlive.
func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// produce writes records with values "<prefix>0" to "<prefix>n-1" and waits for their acknowledgement.
func produce(t testing.TB, cl *kgo.Client, topic, prefix string, n int) {
	t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "%s%d", prefix, i)}
	}
	if err := cl.ProduceSync(deadline(t), records...).FirstErr(); err != nil {
		t.Fatalf("produce to %s: %v", topic, err)
	}
}

// consume polls until n records have come.
func consume(t testing.TB, cl *kgo.Client, n int) []*kgo.Record {
	t.Helper()
	ctx := deadline(t)
	var got []*kgo.Record
	for len(got) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), n, err)
		}
		fetches.EachError(func(topic string, partition int32, err error) { t.Fatalf("%s-%d: %v", topic, partition, err) })
		got = append(got, fetches.Records()...)
	}
	return got
}

// values counts records by value.
func values(records []*kgo.Record) map[string]int {
	m := make(map[string]int)
	for _, r := range records {
		m[string(r.Value)]++
	}
	return m
}

// checkOnce wants each of "<prefix>0" to "<prefix>n-1" once and nothing else.
func checkOnce(t testing.TB, records []*kgo.Record, prefix string, n int) {
	t.Helper()
	got := values(records)
	for i := range n {
		if v := fmt.Sprintf("%s%d", prefix, i); got[v] != 1 {
			t.Fatalf("%s came %d times", v, got[v])
		}
	}
	if len(got) != n {
		t.Fatalf("%d values, want %d", len(got), n)
	}
}

func TestProduceAndConsume(t *testing.T) {
	b := open(t, testConfig(t))
	produce(t, client(t, b), "flows", "v", 1000)
	cl := client(t, b, kgo.ConsumeTopics("flows"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	checkOnce(t, consume(t, cl, 1000), "v", 1000)

	s := b.Stats()
	if len(s.Topics) != 1 || s.Topics[0].MessagesIn != 1000 || s.Topics[0].Messages != 1000 || s.Topics[0].BytesOut < s.Topics[0].BytesIn {
		t.Errorf("stats of topics: %+v", s.Topics)
	}
	if s.Partitions != 4 || s.Connections == 0 || s.Panics != 0 || s.ConnectionsMalformed != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestCompression(t *testing.T) {
	b := open(t, testConfig(t))
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			produce(t, client(t, b, kgo.ProducerBatchCompression(codec)), "c-"+name, "value value value ", 500)
			cl := client(t, b, kgo.ConsumeTopics("c-"+name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			got := consume(t, cl, 500)
			checkOnce(t, got, "value value value ", 500)
			if compressed := got[0].Attrs.CompressionType() != 0; compressed != (name != "none") {
				t.Errorf("records lie compressed with %d in the log", got[0].Attrs.CompressionType())
			}
		})
	}
}

func TestGroupCommitRestart(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	produce(t, client(t, b), "flows", "a", 300)
	group := []kgo.Opt{
		kgo.ConsumerGroup("g"), kgo.ConsumeTopics("flows"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	}
	cl := client(t, b, group...)
	checkOnce(t, consume(t, cl, 300), "a", 300)
	if err := cl.CommitUncommittedOffsets(deadline(t)); err != nil {
		t.Fatal(err)
	}
	cl.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = open(t, cfg)
	if s := b.Stats(); s.UncleanStart {
		t.Error("a stop in order was taken for a crash")
	}
	produce(t, client(t, b), "flows", "b", 200)
	checkOnce(t, consume(t, client(t, b, group...), 200), "b", 200)
}

func TestOpenErrors(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	if _, err := broker.Open(cfg); !errors.Is(err, broker.ErrLocked) {
		t.Errorf("second broker on the same directory: %v", err)
	}
	other := testConfig(t)
	other.Listen = b.Addr().String()
	if _, err := broker.Open(other); err == nil {
		t.Error("second broker on the same port")
	}
}

func TestDial(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listen = ""
	b := open(t, cfg)
	if b.Addr() != nil {
		t.Errorf("Addr is %v without a listener", b.Addr())
	}
	dial := kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) })
	cl, err := kgo.NewClient(kgo.SeedBrokers("embedded:9092"), dial, kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("flows"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	produce(t, cl, "flows", "v", 100)
	checkOnce(t, consume(t, cl, 100), "v", 100)
}

func TestTopics(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	adm := kadm.NewClient(client(t, b))
	ctx := deadline(t)
	week := "604800000"
	created, err := adm.CreateTopic(ctx, 3, -1, map[string]*string{"retention.ms": &week}, "flows")
	if err != nil || created.NumPartitions != 3 {
		t.Fatalf("create: %+v, %v", created, err)
	}
	if r, err := adm.CreateTopic(ctx, 3, 1, nil, "flows"); err == nil || !strings.HasSuffix(r.ErrMessage, "already exists") {
		t.Errorf("created twice: %q, %v", r.ErrMessage, err)
	}
	for name, bad := range map[string]map[string]*string{
		"bad/name": nil, "rf": nil, "config": {"no.such.config": &week}, "value": {"cleanup.policy": &week},
	} {
		rf := int16(1)
		if name == "rf" {
			rf = 3
		}
		if _, err := adm.CreateTopic(ctx, 1, rf, bad, name); err == nil {
			t.Errorf("created %s", name)
		}
	}
	if _, err := adm.CreatePartitions(ctx, 2, "flows"); err != nil {
		t.Fatal(err)
	}
	topics, err := adm.ListTopics(ctx, "flows")
	if err != nil || len(topics["flows"].Partitions) != 5 {
		t.Fatalf("list: %+v, %v", topics, err)
	}

	day := "86400000"
	altered, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &day}, {Op: kadm.AppendConfig, Name: "cleanup.policy", Value: kadm.StringPtr("compact")}}, "flows")
	if err != nil || altered[0].Err != nil {
		t.Fatalf("alter: %+v, %v", altered, err)
	}
	check := func() {
		t.Helper()
		configs, err := adm.DescribeTopicConfigs(ctx, "flows")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, c := range configs[0].Configs {
			got[c.Key] = c.MaybeValue()
		}
		if got["retention.ms"] != day || got["cleanup.policy"] != "delete,compact" || got["segment.bytes"] != "1073741824" {
			t.Errorf("configs: %v", got)
		}
	}
	check()
	id := topics["flows"].ID
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	adm = kadm.NewClient(client(t, b))
	check()
	topics, err = adm.ListTopics(ctx, "flows")
	if err != nil || len(topics["flows"].Partitions) != 5 || topics["flows"].ID != id {
		t.Fatalf("after the restart: %+v, %v", topics, err)
	}

	if _, err := adm.DeleteTopic(ctx, "flows"); err != nil {
		t.Fatal(err)
	}
	topics, err = adm.ListTopics(ctx)
	if err != nil || topics.Has("flows") {
		t.Fatalf("after the deletion: %+v, %v", topics, err)
	}
	if s := b.Stats(); s.Partitions != 0 {
		t.Errorf("%d partitions are left", s.Partitions)
	}
}
