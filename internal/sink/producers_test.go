package sink_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tributary-net/tributary/internal/sink"
)

// TestKafkaProducers: several clients share the workers. Each has connections and a
// producer id of its own, what each worker writes stays in order, and the account
// is of all of them.
func TestKafkaProducers(t *testing.T) {
	b := openBroker(t)
	var dialled atomic.Int32
	cfg := config()
	cfg.Kafka.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	s := open(t, "kafka://"+b.Addr().String()+"/several?producers=3&format=json", cfg)
	stop := watch(t, s)
	write(t, s, 6, 1000)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	check(t, s, sink.Stats{Written: 6000, Delivered: 6000})
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(flows(t, b, "several")); got != "map[0:1000 1:1000 2:1000 3:1000 4:1000 5:1000]" {
		t.Errorf("records by worker: %s", got)
	}
	ids := map[int64]bool{}
	for _, partition := range read(t, b, "several") {
		for _, r := range partition {
			ids[r.ProducerID] = true
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d producers wrote, want 3", len(ids))
	}
	if n := dialled.Load(); n < 3 {
		t.Errorf("%d connections were opened", n)
	}
}

// TestKafkaProducersShareTheQueue: a queue that is too short for so many is refused.
func TestKafkaProducersShareTheQueue(t *testing.T) {
	e, err := sink.Parse("kafka://127.0.0.1:1/t?producers=100")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Open(e, config()); err == nil || !strings.Contains(err.Error(), "100 producers want a queue of 100 MiB at least") {
		t.Errorf("%v", err)
	}
}
