package broker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// childDir, in the environment, makes the test binary a broker on that directory instead: one that can be killed.
const childDir = "TRIBUTARY_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(serveChild(dir))
	}
	os.Exit(m.Run())
}

func serveChild(dir string) int {
	cfg := broker.DefaultConfig()
	cfg.DataDir, cfg.Listen = dir, "127.0.0.1:0"
	cfg.SegmentBytes = 256 << 10 // so that some are full when it is killed
	b, err := broker.Open(cfg)
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println(b.Addr())
	if err := b.Run(context.Background()); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// child is a broker in a process of its own.
type child struct {
	cmd  *exec.Cmd
	addr string
}

// lives is a broker that is killed and started again, each time at another port: between two lives somebody else might
// take the one before.
type lives struct {
	*child
	dir  string
	addr atomic.Pointer[string] // of the last life
}

func startLives(t testing.TB) *lives {
	t.Helper()
	l := &lives{dir: t.TempDir()}
	l.start(t)
	return l
}

func (l *lives) start(t testing.TB) {
	t.Helper()
	l.child = startChild(t, l.dir)
	l.addr.Store(&l.child.addr)
}

// killAndStart ends a life and begins the next one.
func (l *lives) killAndStart(t testing.TB) {
	t.Helper()
	l.kill()
	l.start(t)
}

// dial connects to the last life.
func (l *lives) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", *l.addr.Load())
}

// client makes a client that finds the last life, whatever address it asks for.
func (l *lives) client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers("127.0.0.1:9092"),
		kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func startChild(t testing.TB, dir string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(exe)}
	c.cmd.Env = append(os.Environ(), childDir+"="+dir)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("child: %q, %v", line, err)
	}
	c.addr = strings.TrimSpace(line)
	return c
}

// kill ends the process as a power switch would, but for the page cache.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// TestKill produces under load with idempotence and acks=all, kills the broker, starts it again, several times, while the
// producers go on: in the end every acknowledged record is there once, in the order its producer sent them. A group that
// commits all the while never goes back behind what it has committed.
func TestKill(t *testing.T) {
	const rounds, producers = 4, 3
	c := startLives(t)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var acked [producers]atomic.Int64 // records 0 to n-1 are acknowledged
	var sent [producers]int64
	var wg sync.WaitGroup
	for i := range producers {
		cl := c.client(t, kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("load"),
			kgo.ProducerLinger(0), kgo.RetryTimeout(2*time.Minute), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(500), kgo.UnknownTopicRetries(-1))
		wg.Go(func() {
			var failed atomic.Bool
			for n := int64(0); ctx.Err() == nil && !failed.Load(); n++ {
				sent[i] = n + 1
				r := &kgo.Record{Partition: int32(i), Value: fmt.Appendf(nil, "%d-%d-%s", i, n, strings.Repeat("x", int(n%400)))}
				// Not the test's context: whatever was handed over is to come to an end.
				cl.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
					switch {
					case err == nil && !failed.Load():
						if !acked[i].CompareAndSwap(n, n+1) {
							t.Errorf("producer %d: record %d acknowledged after %d", i, n, acked[i].Load())
						}
					case !failed.Swap(true):
						t.Errorf("producer %d: record %d: %v", i, n, err)
					}
				})
			}
			if err := cl.Flush(context.Background()); err != nil {
				t.Errorf("flush: %v", err)
			}
		})
	}
	total := func() (n int64) {
		for i := range acked {
			n += acked[i].Load()
		}
		return n
	}
	for range rounds {
		before := total()
		eventually(t, "the load is written", func() bool { return total() > before+3000 })
		c.killAndStart(t)
	}
	stop()
	wg.Wait()
	if t.Failed() {
		return
	}

	cl := c.client(t, kgo.ConsumeTopics("load"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var next [producers]int64
	count := int64(0)
	for _, r := range consume(t, cl, int(total())) {
		var i int
		var n int64
		if _, err := fmt.Sscanf(string(r.Value), "%d-%d-", &i, &n); err != nil || int32(i) != r.Partition {
			t.Fatalf("record %q in partition %d", r.Value, r.Partition)
		}
		if n != next[i] {
			t.Fatalf("producer %d: record %d at offset %d, where %d was due", i, n, r.Offset, next[i])
		}
		next[i]++
		count++
	}
	if count != total() {
		t.Errorf("%d records, %d were acknowledged", count, total())
	}

	// The leader epoch went up with every life, and says so to those who ask.
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("load")
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(deadline(t), cl)
	if err != nil || resp.Topics[0].Partitions[0].LeaderEpoch < rounds {
		t.Errorf("leader epochs after %d kills: %+v, %v", rounds, resp, err)
	}
	fenced := kmsg.NewPtrListOffsetsRequest()
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = "load"
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.CurrentLeaderEpoch, rp.Timestamp = 0, -1
	rt.Partitions = append(rt.Partitions, rp)
	fenced.Topics = append(fenced.Topics, rt)
	if shards := cl.RequestSharded(deadline(t), fenced); len(shards) != 1 || shards[0].Err != nil ||
		shards[0].Resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode != 74 {
		t.Errorf("an old leader epoch is not fenced: %+v", shards)
	}
}

// TestKillCommits commits offsets, one after the other, and kills the broker: the last one acknowledged is there.
func TestKillCommits(t *testing.T) {
	c := startLives(t)
	cl := c.client(t, kgo.AllowAutoTopicCreation())
	produce(t, cl, "flows", "v", 1)
	adm := kadm.NewClient(cl)
	ids := make(map[int64]bool)
	last := int64(-1)
	for round := range 3 {
		for i := range 50 {
			last = int64(round*100 + i)
			offsets := kadm.Offsets{}
			offsets.AddOffset("flows", 0, last, -1)
			if err := adm.CommitAllOffsets(deadline(t), "g", offsets); err != nil {
				t.Fatalf("commit %d: %v", last, err)
			}
			init := kmsg.NewPtrInitProducerIDRequest()
			id, err := kmsgRequest[*kmsg.InitProducerIDResponse](deadline(t), cl, init)
			if err != nil || id.ErrorCode != 0 || ids[id.ProducerID] {
				t.Fatalf("producer id: %+v, %v, given before: %v", id, err, ids[id.ProducerID])
			}
			ids[id.ProducerID] = true
		}
		c.killAndStart(t)
		offsets, err := adm.FetchOffsets(deadline(t), "g")
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got, _ := offsets.Lookup("flows", 0); got.At != last {
			t.Fatalf("round %d: offset %d, %d was acknowledged last", round, got.At, last)
		}
	}
}

// kmsgRequest sends a request and wants an answer of one type.
func kmsgRequest[T kmsg.Response](ctx context.Context, cl *kgo.Client, req kmsg.Request) (T, error) {
	var none T
	resp, err := cl.Request(ctx, req)
	if err != nil {
		return none, err
	}
	if r, ok := resp.(T); ok {
		return r, nil
	}
	return none, errors.New("an answer of another kind")
}

// TestIdempotentRetryAfterReopen sends a batch again that was written before the broker was closed, or killed.
func TestIdempotentRetryAfterReopen(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	c := rawDial(t, b)
	id := c.request(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse)
	batch := func(sequence int32) []byte {
		return broker.AppendTestProducerBatch(nil, id.ProducerID, id.ProducerEpoch, sequence, 3)
	}
	send := func(c *rawConn, sequence int32) kmsg.ProduceResponseTopicPartition {
		return c.request(produceRequest(9, -1, "flows", 0, batch(sequence))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	}
	for i, want := range []int64{0, 3, 6} {
		if p := send(c, int32(want)); p.ErrorCode != 0 || p.BaseOffset != want {
			t.Fatalf("batch %d: %+v", i, p)
		}
	}
	if p := send(c, 3); p.ErrorCode != 0 || p.BaseOffset != 3 {
		t.Errorf("again: %+v", p)
	}
	if p := send(c, 20); p.ErrorCode != 45 {
		t.Errorf("a gap: %+v", p)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	c = rawDial(t, b)
	if p := send(c, 6); p.ErrorCode != 0 || p.BaseOffset != 6 {
		t.Errorf("again after reopening: %+v", p)
	}
	if p := send(c, 9); p.ErrorCode != 0 || p.BaseOffset != 9 {
		t.Errorf("the next after reopening: %+v", p)
	}
	s := b.Stats()
	if s.Topics[0].Messages != 12 || s.Topics[0].Duplicates != 1 {
		t.Errorf("%d records, %d duplicates", s.Topics[0].Messages, s.Topics[0].Duplicates)
	}
	next := c.request(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse)
	if next.ProducerID == id.ProducerID {
		t.Errorf("producer id %d was given twice", id.ProducerID)
	}
}
