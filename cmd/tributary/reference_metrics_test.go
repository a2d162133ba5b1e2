package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/kafka"
	"github.com/tributary-net/tributary/internal/sink"
	"github.com/tributary-net/tributary/internal/traffic"
)

func TestMetricsPageIsCurrent(t *testing.T) {
	var want strings.Builder
	if err := writeMetrics(&want); err != nil {
		t.Fatal(err)
	}
	checkPage(t, "metrics.md", want.String())
}

// checkPage compares a page of docs with what its generator writes.
func checkPage(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/%s is not what is generated: run go generate ./cmd/tributary", name)
	}
}

// What the collectors of a working broker and collector hand out is what the
// page says of them: name, type and labels.
func TestMetricsAreWhatThePageSays(t *testing.T) {
	listed, err := metrics()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]metric{}
	for _, m := range listed {
		byName[m.name] = m
	}
	seen := map[string]bool{}
	families, err := busyRegistry(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		name := f.GetName()
		seen[name] = true
		m, ok := byName[name]
		if !ok {
			t.Errorf("%s is not on the page", name)
			continue
		}
		if kind := strings.ToLower(f.GetType().String()); kind != m.kind {
			t.Errorf("%s is a %s, the page says %s", name, kind, m.kind)
		}
		for _, one := range f.GetMetric() {
			var labels []string
			for _, l := range one.GetLabel() {
				labels = append(labels, l.GetName())
			}
			slices.Sort(labels)
			if want := slices.Sorted(slices.Values(m.labels)); !slices.Equal(labels, want) {
				t.Errorf("%s has labels %q, the page says %q", name, labels, want)
			}
		}
	}
	for _, m := range listed {
		// Nothing has gone wrong here, there is no group, and the version has a
		// registry of its own.
		if !seen[m.name] && !slices.Contains([]string{"tributary_broker_errors_total", "tributary_broker_groups", "tributary_build_info"}, m.name) {
			t.Errorf("%s is on the page, nobody hands it out", m.name)
		}
		if m.help == "" || !strings.HasSuffix(m.help, ".") {
			t.Errorf("%s: help %q is no sentence", m.name, m.help)
		}
	}
}

// busyRegistry has the metrics of a broker and a collector that have done a
// little. It is pedantic: what is collected must have been described.
func busyRegistry(t *testing.T) *prometheus.Registry {
	t.Helper()
	b, err := broker.Open(broker.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Durability: broker.PageCache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr().String()), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("seen"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	quota := []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "client-id"}}, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1 << 30}},
	}}
	if altered, err := kadm.NewClient(client).AlterClientQuotas(t.Context(), quota); err != nil || altered[0].Err != nil {
		t.Fatalf("set a quota: %+v, %v", altered, err)
	}
	if err := client.ProduceSync(t.Context(), kgo.StringRecord("one")).FirstErr(); err != nil {
		t.Fatal(err)
	}

	spool, err := sink.OpenSpool(t.TempDir(), sink.MinSpoolBytes, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sinks sink.Fanout
	for _, to := range []string{"discard:", "kafka://" + b.Addr().String() + "/flows"} {
		e, err := sink.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sink.Open(e, sink.Config{Topic: flowsTopic, Partitions: 1, QueueBytes: 64 << 20, Block: time.Second, Spool: spool})
		if err != nil {
			t.Fatal(err)
		}
		sinks = append(sinks, s)
	}
	t.Cleanup(func() {
		_ = sinks.Flush(context.Background())
		_ = sinks.Close()
		_ = spool.Close()
	})
	decoder := collect.NewDecoder(collect.DefaultDecoderConfig())
	server, err := collect.New(collect.Config{Listen: []string{"127.0.0.1:0"}, Workers: 1}, decoder, sinks)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", server.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := uint64(0)
	for _, e := range traffic.NewNetwork(1).Exporters() { // of every protocol
		if _, err := conn.Write(e.Next(time.Now(), nil)); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	// A server that is told to stop takes in what waits in its sockets.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := decoder.Stats().Total.Datagrams; n != sent {
		t.Fatalf("%d datagrams were sent, %d received", sent, n)
	}

	var clients kafkaClients
	for _, s := range sinks {
		clients.addSink(s)
	}
	clients.addClient("consumer", consumed(t, b))
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(brokerCollector{b}, collectCollector{server, decoder}, stateCollector{&stateKeeper{}}, sinkCollector{sinks, spool}, kafkaCollector{&clients},
		counterCollector{&counterWriter{sinks: []counterSink{&lineCounters{to: "stdout:"}}}})
	return r
}

// consumed has the metrics of a client that has consumed a record.
func consumed(t *testing.T, b *broker.Broker) *kafka.ClientMetrics {
	t.Helper()
	m := &kafka.ClientMetrics{}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr().String()), kgo.ConsumeTopics("seen"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.WithHooks(m))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	fetches := cl.PollFetches(t.Context())
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	m.Polled(fetches)
	if s := m.Stats(); s.ConsumedRecords != 1 || s.Connections == 0 || s.BytesIn == 0 || len(s.Lag) != 1 {
		t.Errorf("of a client that has consumed one record: %+v", s)
	}
	return m
}

// Exporters beyond the bound share one label.
func TestCollectMetricsBoundLabels(t *testing.T) {
	decoder := collect.NewDecoder(collect.DefaultDecoderConfig())
	for i := range exporterLabels + 3 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 2055)
		_ = decoder.Decode(&flow.Datagram{Exporter: from, Payload: []byte("unknown")}, nil)
	}
	server, err := collect.New(collect.Config{}, decoder, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collectCollector{server, decoder})
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "tributary_collect_datagrams_total" {
			continue
		}
		other := 0.0
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == "other" {
				other = m.GetCounter().GetValue()
			}
		}
		if n := len(f.GetMetric()); n != exporterLabels+1 || other != 3 {
			t.Errorf("%d labels, other %g; want %d and 3", n, other, exporterLabels+1)
		}
		return
	}
	t.Error("no metric of exporters")
}
