package main

import (
	"path/filepath"
	"testing"

	"github.com/tributary-net/tributary/internal/hold"
	"github.com/tributary-net/tributary/internal/traffic"
)

// TestWireSpool: a collector with a spool is killed again and again, while Kafka is there,
// while it is away, and while the spool drains; the broker is killed too. Whatever was
// in the spool or delivered when a collector was killed is in Kafka once, in order.
func TestWireSpool(t *testing.T) {
	t.Parallel()
	dir, spool := t.TempDir(), filepath.Join(t.TempDir(), "spool")
	broker, address := startBroker(t, dir, hold.Address(t))
	const phases, flows = 6, 25_000
	whole := true
	for phase := range uint64(phases) {
		collector, to := startCollect(t, "--to", "kafka://"+address+"/flows?compression.type=lz4&linger.ms=5", "--spool", spool, "--queue-bytes", "2MiB")
		switch phase {
		case 1: // Kafka goes while flows arrive, and stays away
			broker.kill()
		case 3:
			broker, _ = startBroker(t, dir, address)
		}
		m := startLoad(t, to, traffic.LoadConfig{Rate: 100_000, First: phase * flows, Flows: flows, Exporters: 2}).wait(t, collector)
		whole = whole && m.kernelDrops() == 0
		eventually(t, "nothing is only in memory", func() bool {
			m = account(t, collector)
			return m.sum("tributary_sink_in_flight_records") == 0
		})
		if n := m.sink("dropped") + m.sink("refused"); n > 0 {
			t.Errorf("phase %d: %d records were dropped or refused", phase, n)
		}
		if phase == 2 && m.sum("tributary_sink_spooled_records") < flows {
			t.Errorf("%d records are in the spool without Kafka", m.sum("tributary_sink_spooled_records"))
		}
		if phase == 4 {
			collector.stop(t)
		} else {
			collector.kill()
		}
	}
	collector, _ := startCollect(t, "--to", "kafka://"+address+"/flows?compression.type=lz4&linger.ms=5", "--spool", spool)
	eventually(t, "the spool is empty", func() bool { return account(t, collector).sum("tributary_sink_spooled_records") == 0 })
	second := start(t, "collect", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--to", "kafka://"+address, "--spool", spool)
	if code := second.wait(t); code != 1 {
		t.Errorf("a second process on the spool ended with %d", code)
	}
	collector.stop(t)
	got := topicFlows(t, address, "flows")
	got.once(t, 0, phases*flows, whole)
	broker.stop(t)
}
