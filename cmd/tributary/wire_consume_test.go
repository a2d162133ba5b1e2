package main

import "testing"

// TestWireConsumeMetrics has a member of a group serve its metrics while it consumes.
func TestWireConsumeMetrics(t *testing.T) {
	t.Parallel()
	_, addr := startBroker(t, t.TempDir(), "127.0.0.1:0")
	cluster := "kafka://" + addr
	tributary(t, "bench", "produce", "t", "--kafka", cluster, "--records", "300", "--partitions", "3")
	p := startService(t, "consume", "t", "--kafka", cluster+"?auto.commit.interval.ms=100", "--group", "g", "--from-beginning")
	p.ready(t)
	const client = "tributary_kafka_"
	eventually(t, "all is consumed, committed and counted", func() bool {
		m := p.metrics(t)
		return m.sum(client+"consumer_records_total") == 300 && m.sum(client+"consumer_assigned_partitions") == 3 &&
			m.sum(client+"requests_total", `request="OffsetCommit"`) > 0
	})
	m := p.metrics(t)
	if n := m.sum(client + "consumer_lag_records"); n != 0 {
		t.Errorf("lag %d", n)
	}
	for _, request := range []string{"Fetch", "JoinGroup", "SyncGroup"} {
		if m.sum(client+"requests_total", `request="`+request+`"`) == 0 {
			t.Errorf("no %s was counted", request)
		}
	}
	for _, name := range []string{"consumer_rebalances_total", "consumer_bytes_total", "connections"} {
		if m.sum(client+name) == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	p.stop(t)
}
