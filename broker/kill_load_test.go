package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// killRounds is how often the broker is killed under load: TRIBUTARY_FAULT_ROUNDS, or as often as a test
// can afford.
func killRounds(t *testing.T) int {
	if s := os.Getenv("TRIBUTARY_FAULT_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 3
}

// killLoad is what clients do with a broker that is killed again and again.
type killLoad struct {
	t    *testing.T
	dial func(context.Context) (net.Conn, error) // to the broker, when there is one
	ctx  context.Context                         // done when the load is to end
	wg   sync.WaitGroup

	plain, once, wrote atomic.Int64 // acknowledged: with acks=all, of an idempotent producer, in transactions
	moved              atomic.Int64 // records consumed and produced on in transactions

	outcomes []byte // of transactions, by number
}

// Outcomes of a transaction.
const (
	txnCommitted = 'c'
	txnAborted   = 'a'
	txnUnknown   = '?' // the producer was not told
)

const killTxnSize = 10 // records of a transaction

func (l *killLoad) client(opts ...kgo.Opt) *kgo.Client {
	l.t.Helper()
	cl, err := kgo.NewClient(append(l.options(), opts...)...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(cl.Close)
	return cl
}

func (l *killLoad) options() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers("127.0.0.1:9092"), kgo.Dialer(l.reach), kgo.DialTimeout(2 * time.Minute), kgo.AlwaysRetryEOF(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(300),
		kgo.RetryTimeout(2 * time.Minute), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(10 * time.Millisecond), kgo.UnknownTopicRetries(-1),
	}
}

// reach connects to the broker, whatever address a client asks for, and waits for it while it is gone.
func (l *killLoad) reach(ctx context.Context, _, _ string) (net.Conn, error) {
	for {
		nc, err := l.dial(ctx)
		if err == nil || ctx.Err() != nil {
			return nc, err
		}
		time.Sleep(time.Millisecond)
	}
}

// produce writes records 0, 1, 2, … to a topic, over its partitions in turn, and counts what is acknowledged.
func (l *killLoad) produce(topic string, acked *atomic.Int64, opts ...kgo.Opt) {
	cl := l.client(append([]kgo.Opt{kgo.DefaultProduceTopic(topic)}, opts...)...)
	l.wg.Go(func() {
		var failed atomic.Bool
		for n := 0; l.ctx.Err() == nil && !failed.Load(); n++ {
			r := &kgo.Record{Partition: int32(n % 2), Value: fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", n%300))}
			// Not the load's context: whatever was handed over is to come to an end.
			cl.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
				if err != nil && !failed.Swap(true) {
					l.t.Errorf("%s: record %d: %v", topic, n, err)
				}
				acked.Add(1)
			})
		}
		if err := cl.Flush(context.Background()); err != nil {
			l.t.Errorf("%s: flush: %v", topic, err)
		}
	})
}

// transact writes transactions of killTxnSize records over both partitions, and aborts every third.
func (l *killLoad) transact() {
	l.wg.Go(func() {
		var cl *kgo.Client
		for n := 0; l.ctx.Err() == nil; n++ {
			if cl == nil {
				cl = l.client(kgo.TransactionalID("writer"), kgo.DefaultProduceTopic("txn"))
			}
			outcome := l.transaction(cl, n)
			l.outcomes = append(l.outcomes, outcome)
			switch outcome {
			case txnUnknown: // the next client ends what may be open
				cl.Close()
				cl = nil
			case txnCommitted:
				l.wrote.Add(killTxnSize)
			}
		}
	})
}

// transaction writes one transaction and says how it came out.
func (l *killLoad) transaction(cl *kgo.Client, n int) byte {
	ctx := context.Background()
	if err := cl.BeginTransaction(); err != nil {
		return txnUnknown
	}
	var failed atomic.Bool
	for i := range killTxnSize {
		cl.Produce(ctx, &kgo.Record{Partition: int32(i % 2), Value: fmt.Appendf(nil, "%d %d", n, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(true)
			}
		})
	}
	if cl.Flush(ctx) != nil {
		return txnUnknown
	}
	commit := !failed.Load() && n%3 != 2
	switch err := cl.EndTransaction(ctx, kgo.TransactionEndTry(commit)); {
	case err != nil:
		return txnUnknown
	case commit:
		return txnCommitted
	default:
		return txnAborted
	}
}

// move consumes topic "once" and produces it to "out", the offsets in the same transactions.
func (l *killLoad) move(name string) {
	l.wg.Go(func() {
		for l.ctx.Err() == nil {
			s, err := kgo.NewGroupTransactSession(append(l.options(), kgo.TransactionalID(name), kgo.ConsumerGroup("movers"), kgo.ConsumeTopics("once"),
				kgo.DefaultProduceTopic("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
				kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(200*time.Millisecond))...)
			if err != nil {
				l.t.Errorf("%s: %v", name, err)
				return
			}
			for l.ctx.Err() == nil && l.moveSome(s) {
			}
			s.Close()
		}
	})
}

// moveSome moves what one poll brings. False is for a session that cannot go on.
func (l *killLoad) moveSome(s *kgo.GroupTransactSession) bool {
	fetches := s.PollRecords(l.ctx, 500)
	if fetches.IsClientClosed() || l.ctx.Err() != nil {
		return false
	}
	records := fetches.Records()
	if len(records) == 0 {
		return true
	}
	if err := s.Begin(); err != nil {
		return false
	}
	var failed atomic.Bool
	for _, r := range records {
		s.Produce(context.Background(), &kgo.Record{Partition: r.Partition, Value: r.Value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(true)
			}
		})
	}
	committed, err := s.End(context.Background(), kgo.TransactionEndTry(!failed.Load()))
	if err != nil {
		return false
	}
	if committed {
		l.moved.Add(int64(len(records)))
	}
	return true
}

// watched is what a consumer saw of a topic while the broker was killed, partition by partition.
type watched struct {
	topic string
	mu    sync.Mutex
	seen  [2][]string
}

// watch consumes committed records of a topic.
func (l *killLoad) watch(topic string) *watched {
	w := &watched{topic: topic}
	cl := l.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	l.wg.Go(func() {
		for l.ctx.Err() == nil {
			fetches := cl.PollFetches(l.ctx)
			w.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) { w.seen[r.Partition] = append(w.seen[r.Partition], string(r.Value)) })
			w.mu.Unlock()
		}
	})
	return w
}

// some says whether anything was seen of each partition.
func (w *watched) some() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen[0]) > 0 && len(w.seen[1]) > 0
}

// check wants what was seen to be how the topic begins.
func (w *watched) check(t *testing.T, got [][]string) {
	t.Helper()
	for p, seen := range w.seen {
		if len(seen) > len(got[p]) || !slices.Equal(seen, got[p][:len(seen)]) {
			t.Errorf("%s-%d: %d records were seen, which are not the first of the %d there are", w.topic, p, len(seen), len(got[p]))
		}
	}
}

// read returns the values of a topic, partition by partition, up to its stable end.
func (l *killLoad) read(topic string) [][]string {
	l.t.Helper()
	ends, err := kadm.NewClient(l.client()).ListCommittedOffsets(deadline(l.t), topic)
	if err != nil {
		l.t.Fatal(err)
	}
	cl := l.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	at := make(map[int32]int64)
	got := make([][]string, len(ends[topic]))
	ctx := deadline(l.t)
	for {
		done := true
		ends.Each(func(o kadm.ListedOffset) { done = done && at[o.Partition] >= o.Offset })
		if done {
			return got
		}
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			l.t.Fatalf("%s: at %v of %v: %v", topic, at, ends, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < at[r.Partition] {
				l.t.Fatalf("%s-%d: offset %d after %d", topic, r.Partition, r.Offset, at[r.Partition]-1)
			}
			at[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				got[r.Partition] = append(got[r.Partition], string(r.Value))
			}
		})
	}
}

// TestKillLoad kills the broker under load.
func TestKillLoad(t *testing.T) {
	c := startLives(t)
	l := &killLoad{t: t, dial: c.dial}
	l.survive(killRounds(t), func(int) { c.killAndStart(t) })
}

// survive has producers of three kinds (acks=all, idempotent, transactional), consumers that move records from one topic to
// another in transactions with their offsets, and consumers that watch, go on while the broker breaks and comes back, a
// number of times. In the end nothing that was acknowledged, or seen by a consumer, is missing; what an idempotent producer
// wrote is there once and in order; a transaction is there as a whole or not at all, as its producer was told; and what was
// moved is there once and in order.
func (l *killLoad) survive(rounds int, breaks func(round int)) {
	t := l.t
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l.ctx = ctx
	if _, err := kadm.NewClient(l.client()).CreateTopics(deadline(t), 2, 1, nil, "plain", "once", "txn", "out"); err != nil {
		t.Fatal(err)
	}
	l.produce("plain", &l.plain, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	l.produce("once", &l.once)
	l.transact()
	l.move("mover-0")
	l.move("mover-1")
	plain, txn := l.watch("plain"), l.watch("txn")
	for round := 0; round < rounds && !t.Failed(); round++ {
		l.goesOn(round)
		breaks(round)
	}
	eventually(t, "the consumers see records", func() bool { return plain.some() && txn.some() })
	stop()
	l.wg.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d times: %d records with acks=all, %d of an idempotent producer, %d in %d transactions, %d moved by then",
		rounds, l.plain.Load(), l.once.Load(), l.wrote.Load(), len(l.outcomes), l.moved.Load())
	got := l.read("plain")
	plain.check(t, got)
	l.checkPlain(got)
	once := l.read("once")
	l.checkOrder("once", once, int(l.once.Load()))
	got = l.read("txn")
	txn.check(t, got)
	l.checkTxns(got)
	l.finishMoving(once)
	if out := l.read("out"); !slices.EqualFunc(out, once, slices.Equal) {
		l.checkOrder("out", out, int(l.once.Load()))
		t.Error("what was moved is not what there was to move")
	}
}

// goesOn waits until every kind of client has got some work done.
func (l *killLoad) goesOn(round int) {
	l.t.Helper()
	counters := []*atomic.Int64{&l.plain, &l.once, &l.wrote, &l.moved}
	var before [4]int64
	for i, n := range counters {
		before[i] = n.Load()
	}
	long := time.Now().Add(2 * time.Minute)
	for i, least := range []int64{200, 200, 3 * killTxnSize, 1} {
		for counters[i].Load() < before[i]+least && !l.t.Failed() {
			if time.Now().After(long) {
				l.t.Fatalf("round %d: the load does not go on: %d plain, %d once, %d in transactions, %d moved; before %v",
					round, l.plain.Load(), l.once.Load(), l.wrote.Load(), l.moved.Load(), before)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// number is what a value begins with.
func number(value string) int {
	text, _, _ := strings.Cut(value, " ")
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

// checkPlain wants every acknowledged record, in order where it comes first; a retry may have brought it again.
func (l *killLoad) checkPlain(got [][]string) {
	l.t.Helper()
	for p, values := range got {
		next := p
		for i, v := range values {
			switch n := number(v); {
			case n == next:
				next += len(got)
			case n > next || n < 0:
				l.t.Fatalf("plain-%d: record %d at %d, %d was due", p, n, i, next)
			}
		}
		if want := int(l.plain.Load()); next < want {
			l.t.Errorf("plain-%d ends before %d, %d records were acknowledged", p, next, want)
		}
	}
}

// checkOrder wants records 0 to n-1, once and in order.
func (l *killLoad) checkOrder(topic string, got [][]string, n int) {
	l.t.Helper()
	for p, values := range got {
		next := p
		for i, v := range values {
			if number(v) != next {
				l.t.Fatalf("%s-%d: record %d at %d, %d was due", topic, p, number(v), i, next)
			}
			next += len(got)
		}
		if next < n {
			l.t.Errorf("%s-%d ends before %d, %d records were acknowledged", topic, p, next, n)
		}
	}
}

// checkTxns wants transactions as their producer was told, in order and whole.
func (l *killLoad) checkTxns(got [][]string) {
	l.t.Helper()
	there := make(map[int]int)
	for p, values := range got {
		last, index := -1, 0
		for i, v := range values {
			n := number(v)
			if n != last {
				if n < last {
					l.t.Fatalf("txn-%d: transaction %d at %d, after %d", p, n, i, last)
				}
				last, index = n, p
			}
			if want := fmt.Sprint(n, " ", index); v != want {
				l.t.Fatalf("txn-%d: record %q at %d, %q was due", p, v, i, want)
			}
			index += len(got)
			there[n]++
		}
	}
	told := make(map[byte]int)
	for n, outcome := range l.outcomes {
		told[outcome]++
		switch has := there[n]; {
		case has != 0 && has != killTxnSize:
			l.t.Errorf("transaction %d: %d of %d records are there", n, has, killTxnSize)
		case outcome == txnCommitted && has == 0:
			l.t.Errorf("transaction %d was committed and is not there", n)
		case outcome == txnAborted && has != 0:
			l.t.Errorf("transaction %d was aborted and is there", n)
		}
	}
	l.t.Logf("%d transactions committed, %d aborted, of %d the producer was not told", told[txnCommitted], told[txnAborted], told[txnUnknown])
}

// finishMoving goes on where the movers stopped, until everything is moved.
func (l *killLoad) finishMoving(once [][]string) {
	l.t.Helper()
	adm := kadm.NewClient(l.client())
	ctx, stop := context.WithCancel(l.t.Context())
	l.ctx = ctx
	l.move("mover-0")
	long := time.Now().Add(2 * time.Minute)
	for done := false; !done; {
		if time.Now().After(long) {
			l.t.Error("not everything is moved after two minutes")
			break
		}
		time.Sleep(5 * time.Millisecond)
		at, err := adm.FetchOffsets(deadline(l.t), "movers")
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		done = true
		for p := range once {
			o, ok := at.Lookup("once", int32(p))
			done = done && ok && o.At >= int64(len(once[p]))
		}
	}
	stop()
	l.wg.Wait()
}
