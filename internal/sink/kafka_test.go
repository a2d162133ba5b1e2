package sink_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/kafka"
	"github.com/tributary-net/tributary/internal/sink"
)

// openBroker opens a broker for one test.
func openBroker(t *testing.T) *broker.Broker {
	t.Helper()
	b, err := broker.Open(broker.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// config is for topics of 3 partitions.
func config() sink.Config {
	return sink.Config{Partitions: 3, QueueBytes: 64 << 20, Block: patience}
}

// read returns what is in a topic, partition by partition.
func read(t *testing.T, b *broker.Broker, topic string) [][]*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	partitions := make([][]*kgo.Record, len(ends[topic]))
	at := map[int32]kgo.Offset{}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		left += o.Offset
		at[o.Partition] = kgo.NewOffset().AtStart()
	})
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: at})
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			partitions[r.Partition] = append(partitions[r.Partition], r)
			left--
		})
	}
	return partitions
}

// arrived waits until so many records are in a topic.
func arrived(t *testing.T, b *broker.Broker, topic string, want int64) {
	t.Helper()
	eventually(t, fmt.Sprint(want, " records in ", topic), func() bool {
		topics := b.Stats().Topics
		i := slices.IndexFunc(topics, func(s broker.TopicStats) bool { return s.Name == topic })
		return i >= 0 && topics[i].Messages == want
	})
}

// flows decodes what is in a topic and counts the records of each worker. Every
// record must be there once, and in every partition those of one worker in their
// order.
func flows(t *testing.T, b *broker.Broker, topic string) map[int]int {
	t.Helper()
	count := map[int]int{}
	seen := map[[2]int]bool{}
	var fr flow.Record
	for p, records := range read(t, b, topic) {
		last := map[int]int{}
		for _, kr := range records {
			if _, err := flow.DecodeAny(kr.Value, &fr, func(r *flow.Record) error {
				w, n := number(r)
				if seen[[2]int{w, n}] {
					t.Errorf("worker %d: record %d came twice", w, n)
				}
				if l, ok := last[w]; ok && n <= l {
					t.Errorf("partition %d, worker %d: record %d after %d", p, w, n, l)
				}
				seen[[2]int{w, n}], last[w] = true, n
				count[w]++
				return nil
			}); err != nil {
				t.Fatalf("partition %d offset %d: %v", p, kr.Offset, err)
			}
		}
	}
	return count
}

// TestKafkaAccounts: many workers at once, in every format. Everything arrives
// once and in order, and the account agrees at any time.
func TestKafkaAccounts(t *testing.T) {
	b := openBroker(t)
	for _, format := range append(flow.FormatNames(), "json&key=src_addr", "protobuf&compression.type=lz4", "protobuf&acks=1&enable.idempotence=false", "protobuf&acks=0&linger.ms=0") {
		t.Run(format, func(t *testing.T) {
			topic := "t" + fmt.Sprint(len(format)) + format[:4]
			s := open(t, "kafka://"+b.Addr().String()+"/"+topic+"?format="+format, config())
			stop := watch(t, s)
			write(t, s, 6, 1000)
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			stop()
			check(t, s, sink.Stats{Written: 6000, Delivered: 6000})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(format, "acks=0") {
				arrived(t, b, topic, 6000) // delivered is only sent
			}
			if got := fmt.Sprint(flows(t, b, topic)); got != "map[0:1000 1:1000 2:1000 3:1000 4:1000 5:1000]" {
				t.Errorf("records by worker: %s", got)
			}
		})
	}
}

// TestKafkaWithoutHandle: callers may share the sink itself.
func TestKafkaWithoutHandle(t *testing.T) {
	b := openBroker(t)
	s := open(t, "kafka://"+b.Addr().String()+"?format=packed", sink.Config{Topic: "named-elsewhere", Partitions: 1, QueueBytes: 1 << 20, Block: patience})
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			var r flow.Record
			for n := range 100 {
				record(&r, w, n)
				if err := s.Write(&r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := errors.Join(s.Flush(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	check(t, s, sink.Stats{Written: 400, Delivered: 400})
	if got := fmt.Sprint(flows(t, b, "named-elsewhere")); got != "map[0:100 1:100 2:100 3:100]" {
		t.Errorf("records by worker: %s", got)
	}
}

// TestKafkaTime: a Kafka record's time is when the datagram was received.
func TestKafkaTime(t *testing.T) {
	b := openBroker(t)
	s := open(t, "kafka://"+b.Addr().String()+"/flows", config())
	write(t, s, 1, 100)
	if err := errors.Join(s.Flush(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	var fr flow.Record
	for _, records := range read(t, b, "flows") {
		for _, kr := range records {
			if _, err := flow.DecodeAny(kr.Value, &fr, func(*flow.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
			_, n := number(&fr)
			if want := received.Add(time.Duration(n) * time.Millisecond); !kr.Timestamp.Equal(want) {
				t.Errorf("record %d has time %v, want %v", n, kr.Timestamp, want)
			}
			if kr.Key != nil {
				t.Errorf("record %d has key %q, want none", n, kr.Key)
			}
		}
	}
}

// murmur2 is the hash of Kafka's own partitioner
// (org.apache.kafka.common.utils.Utils.murmur2), written down here once more.
func murmur2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := 0x9747b28c ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

func TestKafkaKey(t *testing.T) {
	// What Java's gives for these.
	for s, want := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536, "": 275646681} {
		if got := int32(murmur2([]byte(s))); got != want {
			t.Fatalf("murmur2(%q) = %d, want %d", s, got, want)
		}
	}
	b := openBroker(t)
	cfg := config()
	cfg.Partitions = 7
	s := open(t, "kafka://"+b.Addr().String()+"/keyed?key=src_addr,proto,dst_addr", cfg)
	h := s.Worker()
	var r flow.Record
	for n := range 200 {
		record(&r, n%5, n)
		r.SetUint(flow.Proto, 6)
		if err := h.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(h.Close(), s.Flush(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	total, used := 0, 0
	for p, records := range read(t, b, "keyed") {
		for _, kr := range records {
			if _, err := flow.DecodeAny(kr.Value, &r, func(*flow.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("%s,TCP,%s", r.Addr(flow.SrcAddr), r.Addr(flow.DstAddr))
			if string(kr.Key) != want {
				t.Errorf("key %q, want %q", kr.Key, want)
			}
			if to := int(murmur2(kr.Key) & 0x7fffffff % 7); to != p {
				t.Errorf("key %q is in partition %d, want %d", kr.Key, p, to)
			}
			total++
		}
		if len(records) > 0 {
			used++
		}
	}
	if total != 200 || used < 5 {
		t.Errorf("%d records in %d partitions, want 200 in nearly all", total, used)
	}
}

// TestKafkaPacked: many flows share a Kafka record, and its size is bounded.
func TestKafkaPacked(t *testing.T) {
	b := openBroker(t)
	s := open(t, "kafka://"+b.Addr().String()+"/packed?format=packed&linger.ms=60000", config()) // however long writing takes
	write(t, s, 1, 20_000)
	if err := errors.Join(s.Flush(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	records, small, total := 0, 0, uint64(0)
	for _, partition := range read(t, b, "packed") {
		for _, kr := range partition {
			records++
			total += uint64(len(kr.Value))
			if len(kr.Value) < 8<<10 {
				small++
			}
			if len(kr.Value) > 32<<10 {
				t.Errorf("a record of %d octets", len(kr.Value))
			}
		}
	}
	if records > 200 || small > 1+records/3 {
		t.Errorf("20,000 flows are in %d records, %d of them small", records, small)
	}
	if got := s.Stats().Bytes; got != total {
		t.Errorf("%d octets counted, %d are there", got, total)
	}
	if got := fmt.Sprint(flows(t, b, "packed")); got != "map[0:20000]" {
		t.Errorf("records by worker: %s", got)
	}
}

// TestKafkaHugeRecord: elements as long as a datagram can carry them.
func TestKafkaHugeRecord(t *testing.T) {
	b := openBroker(t)
	long := bytes.Repeat([]byte{0xa5}, 60_000)
	for _, format := range []string{"protobuf", "packed", "protobuf-single", "json"} {
		t.Run(format, func(t *testing.T) {
			s := open(t, "kafka://"+b.Addr().String()+"/huge-"+format+"?format="+format, config())
			h := s.Worker()
			var r flow.Record
			for n := range 50 {
				record(&r, 0, n)
				if n%3 == 0 {
					r.AppendElement(9, 12345, long)
				}
				if err := h.Write(&r); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(h.Close(), s.Flush(t.Context()), s.Close()); err != nil {
				t.Fatal(err)
			}
			check(t, s, sink.Stats{Written: 50, Delivered: 50})
			if got := s.Stats().QueueBytes; got > 1<<20 {
				t.Errorf("%d octets are still in the queue", got)
			}
			huge := 0
			for _, partition := range read(t, b, "huge-"+format) {
				for _, kr := range partition {
					if _, err := flow.DecodeAny(kr.Value, &r, func(r *flow.Record) error {
						if _, n := number(r); n%3 == 0 {
							huge++
							if e := r.Elements(); len(e) != 1 || e[0].Enterprise != 9 || e[0].ID != 12345 || !bytes.Equal(e[0].Value, long) {
								t.Errorf("record %d: the element is not what it was", n)
							}
						}
						return nil
					}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if huge != 17 {
				t.Errorf("%d huge records, want 17", huge)
			}
		})
	}
}

// TestKafkaRefuses: what the cluster will not take is counted, the rest arrives.
func TestKafkaRefuses(t *testing.T) {
	b := openBroker(t)
	cfg := config()
	cfg.Partitions, cfg.Topics = 1, map[string]string{"max.message.bytes": "20000"}
	s := open(t, "kafka://"+b.Addr().String()+"/small?linger.ms=0&batch.size=100000", cfg)
	h := s.Worker()
	var r flow.Record
	for n := range 30 {
		record(&r, 0, n)
		if n%3 == 2 {
			r.AppendElement(9, 1, make([]byte, 30_000))
		}
		if err := h.Write(&r); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(t.Context()); err != nil { // each in a batch of its own
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, s, sink.Stats{Written: 30, Delivered: 20, Refused: 10})
	if got := fmt.Sprint(flows(t, b, "small")); got != "map[0:20]" {
		t.Errorf("records by worker: %s", got)
	}
}

// away is a way to a broker that can be shut and opened.
type away struct {
	open atomic.Bool
	b    *broker.Broker

	mu    sync.Mutex
	conns []net.Conn
}

func (a *away) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if !a.open.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	c, err := a.b.Dial(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns = append(a.conns, c)
	return c, nil
}

// shut closes the way, and what is open on it.
func (a *away) shut() {
	a.open.Store(false)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.conns {
		_ = c.Close()
	}
	a.conns = nil
}

// TestKafkaMoreWorkersThanQueue: a queue that is shorter than there are workers
// shuts none of them out.
func TestKafkaMoreWorkersThanQueue(t *testing.T) {
	b := openBroker(t)
	cfg := config()
	cfg.QueueBytes, cfg.Block = 1<<20, 0
	s := open(t, "kafka://"+b.Addr().String()+"/many", cfg)
	var handles []flow.Sink
	for range 32 {
		handles = append(handles, s.Worker())
	}
	var r flow.Record
	for n := range 3 {
		for w, h := range handles {
			record(&r, w, n)
			if err := errors.Join(h.Write(&r), h.Flush(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check(t, s, sink.Stats{Written: 96, Delivered: 96})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestKafkaAway: while Kafka is away records wait in a bounded queue, then they are
// dropped and counted; when it comes, everything that was not dropped arrives once
// and in order, and it goes on as if nothing had been.
func TestKafkaAway(t *testing.T) {
	way := away{b: openBroker(t)}
	cfg := config()
	cfg.QueueBytes, cfg.Block, cfg.Kafka = 2<<20, time.Millisecond, kafka.ClientConfig{Dial: way.dial}
	s := open(t, "kafka://192.0.2.1/flows", cfg)
	stop := watch(t, s)
	write(t, s, 3, 30_000)
	st := s.Stats()
	if st.Written != 90_000 || st.Delivered != 0 || st.Refused != 0 || st.Dropped == 0 || st.InFlight() == 0 {
		t.Errorf("while Kafka is away: %+v", st)
	}
	if st.QueueBytes > st.QueueLimit || st.QueueBytes < st.QueueLimit-512<<10 {
		t.Errorf("%d octets in a queue of %d", st.QueueBytes, st.QueueLimit)
	}
	if err := s.Ready(); err == nil {
		t.Error("is ready without a topic")
	}
	way.open.Store(true)
	eventually(t, "what waited is delivered", func() bool { return s.Stats().InFlight() == 0 })
	eventually(t, "it is ready", func() bool { return s.Ready() == nil })
	if after := s.Stats(); after.Dropped != st.Dropped || after.Refused != 0 {
		t.Errorf("when Kafka came: %+v, before: %+v", after, st)
	}
	// It goes on.
	h := s.Worker()
	var r flow.Record
	for n := range 1000 {
		record(&r, 9, n)
		if err := h.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(h.Close(), s.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, s, sink.Stats{Written: 91_000, Delivered: 91_000 - st.Dropped, Dropped: st.Dropped})
	got := flows(t, way.b, "flows")
	if got[9] != 1000 || uint64(got[0]+got[1]+got[2]+got[9]) != 91_000-st.Dropped {
		t.Errorf("records by worker %v, want %d in all and 1000 of worker 9", got, 91_000-st.Dropped)
	}
}

// TestKafkaBackPressure: a full queue holds writers up before anything is dropped.
func TestKafkaBackPressure(t *testing.T) {
	way := away{b: openBroker(t)}
	cfg := config()
	cfg.QueueBytes, cfg.Kafka = 1<<20, kafka.ClientConfig{Dial: way.dial}
	s := open(t, "kafka://192.0.2.1/flows", cfg)
	done := make(chan struct{})
	go func() {
		defer close(done)
		write(t, s, 2, 20_000)
	}()
	eventually(t, "the queue is full", func() bool { st := s.Stats(); return st.QueueBytes+256<<10 > st.QueueLimit })
	select {
	case <-done:
		t.Fatal("nobody was held up")
	default:
	}
	way.open.Store(true)
	<-done
	if err := errors.Join(s.Flush(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	check(t, s, sink.Stats{Written: 40_000, Delivered: 40_000})
	if got := fmt.Sprint(flows(t, way.b, "flows")); got != "map[0:20000 1:20000]" {
		t.Errorf("records by worker: %s", got)
	}
}

// TestKafkaCloseWhileAway: closing gives up what Kafka has not acknowledged, says
// how much that is, and does not wait for it.
func TestKafkaCloseWhileAway(t *testing.T) {
	var way away
	cfg := config()
	cfg.Kafka = kafka.ClientConfig{Dial: way.dial}
	s := open(t, "kafka://192.0.2.1/flows", cfg)
	write(t, s, 2, 100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("flush: %v", err)
	}
	begin := time.Now()
	err := s.Close()
	if err == nil || !strings.Contains(err.Error(), "200 flow records were not acknowledged") {
		t.Errorf("close: %v", err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("closing took %v", took)
	}
	if st := s.Stats(); st.Written != 200 || st.Delivered != 0 || st.Dropped != 0 {
		t.Errorf("account is %+v", st)
	}
}

// TestKafkaStats: what a producer counts agrees with what is in Kafka.
func TestKafkaStats(t *testing.T) {
	b := openBroker(t)
	s := open(t, "kafka://"+b.Addr().String()+"/counted?compression.type=lz4&linger.ms=5", config())
	write(t, s, 2, 20_000)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, p, ok := sink.KafkaStats(s)
	if !ok || p.Records != 40_000 || p.RecordsSent != 40_000 || p.Errors+p.Retries+p.Splits != 0 || p.RequestsInFlight != 0 {
		t.Errorf("%+v", p)
	}
	if p.Batches == 0 || p.Requests == 0 || p.Requests > p.Batches || p.Bytes == 0 || p.Bytes*2 > p.Uncompressed || p.QueueTime <= 0 || p.QueueMax <= 0 {
		t.Errorf("%+v", p)
	}
	if p.BufferTotal != 64<<20 || p.BufferAvailable != p.BufferTotal || p.Waiting != 0 {
		t.Errorf("%+v", p)
	}
	if c.Connections == 0 || c.ConnectionsOpened < uint64(c.Connections) || c.BytesOut < p.Bytes || c.BytesIn == 0 {
		t.Errorf("%+v", c)
	}
	if r := c.Requests[kafka.ProduceRequests]; r.Count != p.Requests || r.Time <= 0 || r.Max <= 0 || r.Max > r.Time {
		t.Errorf("%+v", r)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
