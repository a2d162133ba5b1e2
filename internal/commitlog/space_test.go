package commitlog_test

import (
	"errors"
	"math"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// Appends end before the disk is full, and go on when there is room again; what ends a transaction is written even then.
func TestDiskReserve(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m, DiskReserve: 10_000}
	d := open(t, cfg)
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 2000, RetentionBytes: 3000})
	m.Set(func() { m.Left = 30_000 })
	appendTxn(t, l, inTxn(1, 0, 0, 1))
	n := 0
	for ; ; n++ {
		_, err := l.Append(sized(1, 1000), commitlog.AppendOptions{})
		if errors.Is(err, commitlog.ErrNoRoom) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	const beside = 100 // octets of checkpoints, which housekeeping may write after the last append
	if free, _ := d.Space(); n < 15 || free < 10_000-beside {
		t.Errorf("%d appends, %d bytes free", n, free)
	}
	if st := d.Stats(); !st.Full || st.RefusedFull != 1 || st.WriteErrors != 0 {
		t.Errorf("%+v", st)
	}
	end(t, l, 1, 0, true)
	flushAll(t, l)
	if l.LastStableOffset() != l.EndOffset() {
		t.Error("the transaction is open")
	}
	if _, err := l.Append(plain(1, "x"), commitlog.AppendOptions{UseReserve: true}); err != nil {
		t.Errorf("append that may use the reserve: %v", err)
	}
	// Retention makes room.
	flushAll(t, l)
	d.EnforceRetention(now())
	m.Set(func() { m.Left += 20_000 })
	appendTo(t, l, sized(1, 1000))
	if d.Stats().Full {
		t.Error("still full")
	}
}

func TestDiskBudget(t *testing.T) {
	d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New(), DiskBudget: 10_000})
	a, b := create(t, d, "a", commitlog.LogConfig{SegmentBytes: 2000, RetentionBytes: 3000}), create(t, d, "b", commitlog.LogConfig{})
	fill := func() {
		t.Helper()
		for range 20 {
			if _, err := a.Append(sized(1, 1000), commitlog.AppendOptions{}); err != nil {
				if !errors.Is(err, commitlog.ErrNoRoom) {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatal("not refused")
	}
	appendTo(t, b, sized(1, 4000))
	fill()
	if size := a.Size() + b.Size(); size < 9_000 || size > 10_000 {
		t.Errorf("%d bytes", size)
	}
	flushAll(t, a)
	d.EnforceRetention(now())
	appendTo(t, a, sized(1, 1000))
	fill()
}

func TestSpace(t *testing.T) {
	d := open(t, commitlog.DirConfig{Path: t.TempDir()})
	if free, total := d.Space(); free <= 0 || total < free || total == math.MaxInt64 {
		t.Errorf("%d of %d bytes free", free, total)
	}
}
