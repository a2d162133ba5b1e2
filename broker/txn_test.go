package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/tributary-net/tributary/broker"
)

// oldTxns are the versions of before KIP-890's second part: partitions are added by requests of their own.
func oldTxns() kgo.Opt {
	v := kversion.V3_8_0()
	return kgo.MaxVersions(v)
}

func txnClient(t *testing.T, b *broker.Broker, id string, opts ...kgo.Opt) *kgo.Client {
	return client(t, b, append([]kgo.Opt{kgo.TransactionalID(id), kgo.DefaultProduceTopic("flows"), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
}

// transact produces n records into one transaction, over all partitions, and ends it.
func transact(t *testing.T, cl *kgo.Client, prefix string, n int, commit kgo.TransactionEndTry) {
	t.Helper()
	ctx := deadline(t)
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Value: fmt.Appendf(nil, "%s%d", prefix, i), Partition: int32(i % 4)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(ctx, commit); err != nil {
		t.Fatalf("end transaction: %v", err)
	}
}

// committed reads what there is, up to the last stable offsets.
func committedValues(t *testing.T, b *broker.Broker) map[string]int {
	t.Helper()
	ends, err := kadm.NewClient(client(t, b)).ListCommittedOffsets(deadline(t), "flows")
	if err != nil {
		t.Fatal(err)
	}
	cl := client(t, b, kgo.ConsumeTopics("flows"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	at := make(map[int32]int64)
	got := make(map[string]int)
	ctx := deadline(t)
	for {
		done := true
		ends.Each(func(o kadm.ListedOffset) { done = done && at[o.Partition] >= o.Offset })
		if done {
			return got
		}
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("at %v of %v: %v", at, ends, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				got[string(r.Value)]++
			}
		})
	}
}

func countPrefix(got map[string]int, prefix string) (n int) {
	for v, times := range got {
		if strings.HasPrefix(v, prefix) {
			n += times
		}
	}
	return n
}

// What is committed is seen, once; what is aborted or open is not, and the decisions outlive the broker.
func TestTransactions(t *testing.T) {
	for name, opts := range map[string][]kgo.Opt{"version 2": nil, "version 1": {oldTxns()}} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			b := open(t, cfg)
			makeTopic(t, b, "flows")
			cl := txnClient(t, b, "x", opts...)
			for i := range 5 {
				transact(t, cl, fmt.Sprintf("yes%d-", i), 20, kgo.TryCommit)
				transact(t, cl, fmt.Sprintf("no%d-", i), 20, kgo.TryAbort)
			}
			open1 := txnClient(t, b, "y", opts...)
			if err := open1.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := open1.ProduceSync(deadline(t), &kgo.Record{Value: []byte("open")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			transact(t, cl, "late-", 20, kgo.TryCommit)
			check := func(when string, open int) {
				t.Helper()
				got := committedValues(t, b)
				// What lies behind the open transaction waits for it, in its partition.
				late := 20
				if open == 0 {
					late = 15
				}
				if y, n, l := countPrefix(got, "yes"), countPrefix(got, "no"), countPrefix(got, "late"); y != 100 || n != 0 || l != late || got["open"] != open {
					t.Fatalf("%s: %d committed, %d aborted, %d behind the open one, %d open", when, y, n, l, got["open"])
				}
			}
			check("with a transaction open", 0)
			ctx := deadline(t)
			adm := kadm.NewClient(cl)
			txns, err := adm.DescribeTransactions(ctx)
			if err != nil || txns["y"].State != "Ongoing" || len(txns["y"].Topics["flows"]) != 1 || txns["x"].State != "CompleteCommit" {
				t.Errorf("described as %+v, %v", txns, err)
			}
			producers, err := adm.DescribeProducers(ctx, kadm.TopicsSet{"flows": {0: {}, 1: {}, 2: {}, 3: {}}})
			found := false
			producers.EachProducer(func(p kadm.DescribedProducer) {
				found = found || p.ProducerID == txns["y"].ProducerID && p.CurrentTxnStartOffset >= 0
			})
			if err != nil || !found {
				t.Errorf("producers %+v, %v", producers, err)
			}
			// A new producer of the id ends what the former left open.
			txnClient(t, b, "y", opts...)
			successor := txnClient(t, b, "y", opts...)
			transact(t, successor, "next-", 4, kgo.TryCommit)
			if err := open1.EndTransaction(deadline(t), kgo.TryCommit); err == nil {
				t.Error("a fenced producer committed")
			}
			got := committedValues(t, b)
			if countPrefix(got, "late") != 20 || got["open"] != 0 || countPrefix(got, "next") != 4 {
				t.Errorf("after the fence: %v", got)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			b = open(t, cfg)
			if after := committedValues(t, b); len(after) != len(got) || countPrefix(after, "no") != 0 {
				t.Errorf("after a restart: %d of %d", len(after), len(got))
			}
			transact(t, txnClient(t, b, "x", opts...), "again-", 8, kgo.TryCommit)
			if got := committedValues(t, b); countPrefix(got, "again") != 8 {
				t.Errorf("after a restart and a transaction: %v", got)
			}
		})
	}
}

// A transaction that takes too long is aborted, and its producer shut out.
func TestTransactionTimeout(t *testing.T) {
	cfg := testConfig(t)
	cfg.TransactionCheckInterval = 10 * time.Millisecond
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	cl := txnClient(t, b, "x", kgo.TransactionTimeout(3*time.Second))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(deadline(t), &kgo.Record{Value: []byte("slow")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(client(t, b))
	eventually(t, "the abort", func() bool {
		txns, err := adm.DescribeTransactions(deadline(t), "x")
		return err == nil && txns["x"].State == "CompleteAbort"
	})
	if err := cl.EndTransaction(deadline(t), kgo.TryCommit); err == nil {
		t.Error("a transaction that was aborted was committed")
	}
	if got := committedValues(t, b); len(got) != 0 {
		t.Errorf("read: %v", got)
	}
	transact(t, txnClient(t, b, "x"), "next", 4, kgo.TryCommit)
	if got := committedValues(t, b); countPrefix(got, "next") != 4 || len(got) != 4 {
		t.Errorf("read: %v", got)
	}
}

// Records read, changed and written on with the offsets in one transaction are there once, whatever comes between.
func TestTransactionsWithOffsets(t *testing.T) {
	for name, opts := range map[string][]kgo.Opt{"version 2": nil, "version 1": {oldTxns()}} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			b := open(t, cfg)
			makeTopic(t, b, "in")
			makeTopic(t, b, "flows")
			produce(t, client(t, b), "in", "r", 200)
			session := func() *kgo.GroupTransactSession {
				s, err := kgo.NewGroupTransactSession(append([]kgo.Opt{
					kgo.SeedBrokers(b.Addr().String()), kgo.TransactionalID("etl"), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("in"), kgo.DefaultProduceTopic("flows"),
					kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(time.Minute), kgo.HeartbeatInterval(100 * time.Millisecond),
				}, opts...)...)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := session()
			defer func() { s.Close() }()
			restarted := false
			for round := 0; ; round++ {
				if got := committedValues(t, b); countPrefix(got, "r") == 200 {
					for v, n := range got {
						if n != 1 {
							t.Errorf("%s is there %d times", v, n)
						}
					}
					break
				}
				ctx := deadline(t)
				fetches := s.PollRecords(ctx, 7)
				if err := s.Begin(); err != nil {
					t.Fatal(err)
				}
				var out []*kgo.Record
				fetches.EachRecord(func(r *kgo.Record) { out = append(out, kgo.SliceRecord(r.Value)) })
				if err := s.ProduceSync(ctx, out...).FirstErr(); err != nil {
					t.Fatal(err)
				}
				if _, err := s.End(ctx, kgo.TransactionEndTry(round%3 != 1)); err != nil {
					t.Fatalf("end: %v", err)
				}
				if round == 9 && !restarted {
					restarted = true
					s.Close()
					if err := b.Close(); err != nil {
						t.Fatal(err)
					}
					b = open(t, cfg)
					s = session()
				}
			}
			offsets, err := kadm.NewClient(client(t, b)).FetchOffsets(deadline(t), "g")
			if err != nil {
				t.Fatal(err)
			}
			total := int64(0)
			offsets.Each(func(o kadm.OffsetResponse) { total += o.At })
			if total != 200 {
				t.Errorf("offsets come to %d: %+v", total, offsets)
			}
		})
	}
}

// A producer that names the epoch it has gets the next one; one that names the epoch before has lost the answer.
func TestTxnProducerAgain(t *testing.T) {
	b := open(t, testConfig(t))
	makeTopic(t, b, "flows")
	c := rawDial(t, b)
	init := func(id int64, epoch int16) (int64, int16, int16) {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.SetVersion(5)
		req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = kmsg.StringPtr("x"), 60_000, id, epoch
		r := c.request(req).(*kmsg.InitProducerIDResponse)
		return r.ProducerID, r.ProducerEpoch, r.ErrorCode
	}
	id, epoch, code := init(-1, -1)
	if code != 0 || epoch != 0 {
		t.Fatalf("first: epoch %d, code %d", epoch, code)
	}
	// A transaction of before KIP-890 leaves the epoch as it is.
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.SetVersion(3)
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = "x", id, epoch
	at := kmsg.NewAddPartitionsToTxnRequestTopic()
	at.Topic, at.Partitions = "flows", []int32{0}
	add.Topics = append(add.Topics, at)
	if code := c.request(add).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("add partitions: %v", kerr.ErrorForCode(code))
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.SetVersion(4)
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = "x", id, epoch, true
	if code := c.request(end).(*kmsg.EndTxnResponse).ErrorCode; code != 0 {
		t.Fatalf("end: %v", kerr.ErrorForCode(code))
	}
	for _, s := range []struct{ asked, want int16 }{{0, 1}, {0, 1}, {1, 2}} {
		if got, epoch, code := init(id, s.asked); got != id || epoch != s.want || code != 0 {
			t.Errorf("epoch %d is followed by %d, want %d; code %d", s.asked, epoch, s.want, code)
		}
	}
	if _, _, code := init(id, 0); code != kerr.ProducerFenced.Code {
		t.Errorf("an epoch long gone: %v", kerr.ErrorForCode(code))
	}
	if got, epoch, code := init(-1, -1); got != id || epoch != 3 || code != 0 {
		t.Errorf("another producer: epoch %d, code %d", epoch, code)
	}
}

// An offset of a transaction that is open is unstable; only a commit makes it count, also after a restart.
func TestTxnOffsetsWait(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	x := &rawTxn{rawConn: rawDial(t, b)}
	x.init()
	end := func(commit bool) {
		t.Helper()
		lost := &rawTxn{rawConn: x.rawConn, id: x.id, epoch: x.epoch}
		x.end(commit)
		// The answer was lost: it is given again.
		if lost.end(commit); lost.epoch != x.epoch {
			t.Fatalf("epoch %d after the end, and %d when it is asked for again", x.epoch, lost.epoch)
		}
	}
	commit := func(offset int64) {
		t.Helper()
		if code := x.commit(offset); code != 0 {
			t.Fatalf("commit: %v", kerr.ErrorForCode(code))
		}
	}
	want := func(what string, stable bool, offset int64, code int16) {
		t.Helper()
		if o, c := x.fetchOffset(stable); o != offset || c != code {
			t.Errorf("%s: %d, %v", what, o, kerr.ErrorForCode(c))
		}
	}
	again := func() {
		t.Helper()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = open(t, cfg)
		x.rawConn = rawDial(t, b)
	}
	commit(7)
	want("while open, stable", true, -1, kerr.UnstableOffsetCommit.Code)
	want("while open", false, -1, 0)
	again()
	end(true)
	want("committed", true, 7, 0)
	commit(9)
	end(false)
	want("aborted", true, 7, 0)
	stale := &rawTxn{rawConn: x.rawConn, id: x.id, epoch: x.epoch - 1}
	if code := stale.commit(11); code != kerr.InvalidProducerEpoch.Code {
		t.Errorf("a stale epoch: %v", kerr.ErrorForCode(code))
	}

	// A group that is deleted meanwhile has no offsets, whatever becomes of the transaction.
	commit(13)
	r := kmsg.NewPtrDeleteGroupsRequest()
	r.SetVersion(2)
	r.Groups = []string{"g"}
	if g := x.request(r).(*kmsg.DeleteGroupsResponse).Groups[0]; g.ErrorCode != 0 {
		t.Fatalf("delete: %v", kerr.ErrorForCode(g.ErrorCode))
	}
	want("deleted", true, -1, 0)
	again()
	want("deleted, after a restart", true, -1, 0)
	end(true)
	want("deleted, and committed then", true, -1, 0)
	again()
	want("deleted and committed, after a restart", true, -1, 0)
}
