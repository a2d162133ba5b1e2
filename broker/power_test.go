package broker_test

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/memfs"
)

// powerSeed is what chance begins with: TRIBUTARY_SOAK_SEED, or what the clock says.
func powerSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TRIBUTARY_SOAK_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	return seed
}

// TestPowerLoss cuts the power under load, with all that a disk may make of what was not synced; before it the disk is full
// for a while, or an fsync fails.
func TestPowerLoss(t *testing.T) {
	seed := powerSeed(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	disk := memfs.New()
	cfg := testConfig(t)
	cfg.Logger, cfg.Listen = nil, "" // it has much to say
	cfg.SegmentBytes, cfg.DiskReserve = 128<<10, -1
	var now atomic.Pointer[broker.Broker]
	start := func() {
		b, err := broker.Open(broker.WithFS(cfg, disk))
		if err != nil {
			t.Fatal(err)
		}
		now.Store(b)
	}
	start()
	t.Cleanup(func() { _ = now.Load().Close() })
	l := &killLoad{t: t, dial: func(ctx context.Context) (net.Conn, error) { return now.Load().Dial(ctx) }}
	modes := int(memfs.CrashModes - memfs.KeepNone)
	l.survive(max(killRounds(t), modes), func(round int) {
		b := now.Load()
		fault := "nothing"
		switch rng.IntN(3) {
		case 0:
			fault = "full disk"
			disk.Set(func() { disk.Left = rng.Int64N(2000) })
			refused := b.Stats().Errors[kerr.KafkaStorageError.Code]
			eventually(t, "something is refused", func() bool { return b.Stats().Errors[kerr.KafkaStorageError.Code] > refused })
			disk.Set(func() { disk.Left = -1 })
		case 1:
			fault = "failing fsync"
			disk.Set(func() { disk.FailSync = func(string) error { return memfs.ErrDead } })
			eventually(t, "the directory is offline", func() bool { return b.Err() != nil })
		}
		mode := memfs.KeepNone + memfs.CrashMode(round%modes)
		t.Logf("round %d: %s, then a crash of kind %d", round, fault, mode)
		disk = disk.Crash(rng, mode)
		_ = b.Close()
		start()
	})
}

// TestTxnOffsetCommitPower cuts the power when the disk has an offset of a transaction, and not yet the record that takes the
// group's partition into it: with the offset as the first of the transaction, or with records before it. It was not
// answered. The transaction does not hang there, and can be gone on with.
func TestTxnOffsetCommitPower(t *testing.T) {
	const offsets, state = "__consumer_offsets-0/00000000000000000000.log", "__transaction_state-0"
	for _, tc := range []struct {
		name           string
		first          bool // the offset begins the transaction
		again, commits bool // what the client does afterwards
		want           int64
	}{
		{"first, sent again and committed", true, true, true, 7},
		{"first, and aborted", true, false, false, 3},
		{"after records, sent again and committed", false, true, true, 7},
		{"after records, and aborted", false, false, false, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := memfs.New()
			cfg := testConfig(t)
			b, err := broker.Open(broker.WithFS(cfg, disk))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			makeTopic(t, b, "flows")
			x := &rawTxn{rawConn: rawDial(t, b)}
			x.init()
			// The group and the transactional id have been used, so that their topics are there.
			if code := x.commit(3); code != 0 {
				t.Fatal("commit:", kerr.ErrorForCode(code))
			}
			x.end(true)
			if !tc.first {
				x.produce()
			}

			before := len(disk.Contents(cfg.DataDir + "/" + offsets))
			disk.Set(func() { disk.Gated = state })
			disk.SetGate(true)
			defer disk.SetGate(false)
			c := &rawTxn{rawConn: rawDial(t, b), id: x.id, epoch: x.epoch}
			c.send(c.offsetCommit(7))
			eventually(t, "the offset is on the disk", func() bool {
				return len(disk.Synced(cfg.DataDir+"/"+offsets)) > before
			})
			c.silent("a commit whose partition is not in the transaction yet")
			after := disk.Crash(nil, memfs.KeepNone)
			_ = b.Close() // which cannot write any more

			b = open(t, broker.WithFS(cfg, after))
			x.rawConn = rawDial(t, b)
			if tc.again {
				if code := x.commit(7); code != 0 {
					t.Fatal("commit again:", kerr.ErrorForCode(code))
				}
			}
			x.end(tc.commits)
			if at, code := x.fetchOffset(); at != tc.want || code != 0 {
				t.Errorf("offset %d, %v; want %d", at, kerr.ErrorForCode(code), tc.want)
			}
		})
	}
}

// rawTxn is a transactional producer that sends its requests one by one.
type rawTxn struct {
	*rawConn
	id    int64
	epoch int16
	seq   int32
}

func (x *rawTxn) init() {
	x.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.SetVersion(5)
	req.TransactionalID, req.TransactionTimeoutMillis = kmsg.StringPtr("x"), 600_000
	p := x.request(req).(*kmsg.InitProducerIDResponse)
	if p.ErrorCode != 0 {
		x.t.Fatal("init:", kerr.ErrorForCode(p.ErrorCode))
	}
	x.id, x.epoch, x.seq = p.ProducerID, p.ProducerEpoch, 0
}

func (x *rawTxn) offsetCommit(offset int64) *kmsg.TxnOffsetCommitRequest {
	r := kmsg.NewPtrTxnOffsetCommitRequest()
	r.SetVersion(5)
	r.TransactionalID, r.Group, r.ProducerID, r.ProducerEpoch, r.Generation = "x", "g", x.id, x.epoch, -1
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic = "flows"
	rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	rp.Offset = offset
	rt.Partitions = append(rt.Partitions, rp)
	r.Topics = append(r.Topics, rt)
	return r
}

func (x *rawTxn) commit(offset int64) int16 {
	x.t.Helper()
	return x.request(x.offsetCommit(offset)).(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
}

// produce writes a record in the transaction.
func (x *rawTxn) produce() {
	x.t.Helper()
	req := produceRequest(12, -1, "flows", 0, broker.AppendTestTxnBatch(nil, x.id, x.epoch, x.seq, 1))
	req.TransactionID = kmsg.StringPtr("x")
	x.seq++
	if p := x.request(req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		x.t.Fatal("produce:", kerr.ErrorForCode(p.ErrorCode))
	}
}

func (x *rawTxn) end(commit bool) {
	x.t.Helper()
	r := kmsg.NewPtrEndTxnRequest()
	r.SetVersion(5)
	r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Commit = "x", x.id, x.epoch, commit
	resp := x.request(r).(*kmsg.EndTxnResponse)
	if resp.ErrorCode != 0 {
		x.t.Fatalf("end: %v", kerr.ErrorForCode(resp.ErrorCode))
	}
	x.epoch, x.seq = resp.ProducerEpoch, 0
}

// fetchOffset asks for what is committed, and not open.
func (x *rawTxn) fetchOffset() (int64, int16) {
	r := kmsg.NewPtrOffsetFetchRequest()
	r.SetVersion(8)
	rg := kmsg.NewOffsetFetchRequestGroup()
	rt := kmsg.NewOffsetFetchRequestGroupTopic()
	rt.Topic, rt.Partitions = "flows", []int32{0}
	rg.Group, rg.Topics = "g", append(rg.Topics, rt)
	r.Groups, r.RequireStable = append(r.Groups, rg), true
	rp := x.request(r).(*kmsg.OffsetFetchResponse).Groups[0].Topics[0].Partitions[0]
	return rp.Offset, rp.ErrorCode
}
