package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
)

func TestBrokerMetrics(t *testing.T) {
	b, err := broker.Open(broker.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Durability: broker.PageCache})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr().String()), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("seen"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range 7 {
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	// A pedantic registry checks that what is collected was described.
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(brokerCollector{b}); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "tributary_broker_") || f.GetHelp() == "" {
			t.Errorf("%s: its name begins otherwise, or it has no help", f.GetName())
		}
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"tributary_broker_topic_records_in_total seen": 7,
		"tributary_broker_topic_records seen":          7,
		"tributary_broker_topic_partitions seen":       4,
		"tributary_broker_requests_total Produce":      7,
		"tributary_broker_unclean_start":               0,
		"tributary_broker_offline":                     0,
		"tributary_broker_panics_total":                0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %g (there: %v), want %g", name, v, ok, want)
		}
	}
	// The answers came, so that their time is counted or about to be; that of the first is.
	total, parts := got["tributary_broker_request_seconds_total Produce"], 0.0
	for _, part := range []string{"local", "remote", "response_queue", "response_send"} {
		v, ok := got["tributary_broker_request_part_seconds_total "+part+" Produce"]
		if !ok || v < 0 {
			t.Errorf("part %s of the time of Produce is %g (there: %v)", part, v, ok)
		}
		parts += v
	}
	if parts <= 0 || total <= 0 {
		t.Errorf("requests took %g s, in parts %g", total, parts)
	}
	if got["tributary_broker_connections"] < 1 || got["tributary_broker_request_bytes_total"] < 100 {
		t.Errorf("connections %g, request bytes %g", got["tributary_broker_connections"], got["tributary_broker_request_bytes_total"])
	}
}

// Clients beyond the bound share one label, and those who choose a strange name
// break nothing.
func TestBrokerMetricsOfQuotas(t *testing.T) {
	quotas := make([]broker.QuotaStats, brokerQuotaLabels+3)
	for i := range quotas {
		quotas[i] = broker.QuotaStats{Kind: "producer_byte_rate", User: fmt.Sprint("u", i), ClientID: "\xff", Rate: 1, Throttled: time.Second}
	}
	quotas[0].User, quotas[0].ClientID = "other", "other"
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(prometheus.CollectorFunc(func(m chan<- prometheus.Metric) {
		gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
			m <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
		}
		brokerCollector{}.quotas(gauge, gauge, quotas)
	}))
	families, err := registry.Gather()
	if err != nil || len(families) != 2 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	for _, f := range families {
		sum, other := 0.0, 0.0
		for _, m := range f.GetMetric() {
			sum += m.GetGauge().GetValue()
			if m.GetLabel()[0].GetValue() == "other" {
				other = m.GetGauge().GetValue()
			}
		}
		if sum != float64(len(quotas)) || other < 3 {
			t.Errorf("%s: %g in all, %g of others", f.GetName(), sum, other)
		}
	}
}

// Topics beyond the bound share one label.
func TestBrokerMetricsBoundLabels(t *testing.T) {
	topics := make([]broker.TopicStats, brokerTopicLabels+3)
	for i := range topics {
		topics[i] = broker.TopicStats{Name: fmt.Sprint("t", i), MessagesIn: 1, Partitions: 2}
	}
	seen := map[string]float64{}
	count := func(desc *prometheus.Desc, v float64, labels ...string) {
		if desc == topicMessagesIn {
			seen[labels[0]] += v
		}
	}
	brokerCollector{}.topics(func(*prometheus.Desc, float64, ...string) {}, count, topics)
	if len(seen) != brokerTopicLabels+1 || seen["other"] != 3 {
		t.Errorf("%d labels, other %g; want %d and 3", len(seen), seen["other"], brokerTopicLabels+1)
	}
}

// What the reference says of Kafka's MBeans names metrics that there are.
func TestBrokerMBeans(t *testing.T) {
	all, err := metrics()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range all {
		known[m.name] = true
	}
	named := regexp.MustCompile(`tributary_[a-z_]+`)
	for _, m := range brokerMBeans {
		for _, name := range named.FindAllString(m.here, -1) {
			if !known[name] {
				t.Errorf("%s: there is no metric %s", m.mbean, name)
			}
		}
	}
}
