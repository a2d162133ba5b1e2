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
			if at, code := x.fetchOffset(true); at != tc.want || code != 0 {
				t.Errorf("offset %d, %v; want %d", at, kerr.ErrorForCode(code), tc.want)
			}
		})
	}
}
