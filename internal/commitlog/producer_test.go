package commitlog_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// sent is a batch of n records of a producer.
func sent(id int64, epoch int16, sequence int32, n int) []byte {
	s := batchSpec{baseTime: 1_700_000_000_000, producer: id, epoch: epoch, sequence: sequence}
	for range n {
		s.records = append(s.records, []byte("v"))
	}
	return s.build()
}

func TestSequences(t *testing.T) {
	type step struct {
		epoch    int16
		sequence int32
		n        int
		err      error
		dup      bool
		offset   int64
	}
	order, fenced := commitlog.ErrOutOfOrderSequence, commitlog.ErrInvalidProducerEpoch
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"one after the other", []step{{0, 0, 2, nil, false, 0}, {0, 2, 1, nil, false, 2}, {0, 3, 5, nil, false, 3}}},
		{"a gap", []step{{0, 0, 2, nil, false, 0}, {0, 3, 1, order, false, 0}, {0, 2, 1, nil, false, 2}}},
		{"any beginning", []step{{3, 77, 2, nil, false, 0}, {3, 79, 1, nil, false, 2}}},
		{"the last five are known again, the sixth is not", []step{
			{0, 0, 1, nil, false, 0},
			{0, 1, 1, nil, false, 1},
			{0, 2, 1, nil, false, 2},
			{0, 3, 1, nil, false, 3},
			{0, 4, 1, nil, false, 4},
			{0, 5, 1, nil, false, 5},
			{0, 5, 1, nil, true, 5},
			{0, 1, 1, nil, true, 1},
			{0, 0, 1, order, false, 0},
			{0, 6, 1, nil, false, 6},
			{0, 1, 1, order, false, 0},
		}},
		{"the same first sequence but another last is no duplicate", []step{{0, 0, 3, nil, false, 0}, {0, 0, 2, order, false, 0}, {0, 1, 2, order, false, 0}}},
		{"an old epoch", []step{{2, 0, 1, nil, false, 0}, {1, 1, 1, fenced, false, 0}, {2, 1, 1, nil, false, 1}}},
		{"a new epoch begins at 0", []step{{0, 0, 4, nil, false, 0}, {1, 4, 1, order, false, 0}, {1, 0, 1, nil, false, 4}, {1, 1, 1, nil, false, 5}, {0, 4, 1, fenced, false, 0}}},
		{"a new epoch forgets the batches of the old", []step{{0, 0, 1, nil, false, 0}, {1, 0, 1, nil, false, 1}, {1, 0, 1, nil, true, 1}}},
		{"past the last number", []step{
			{0, math.MaxInt32 - 2, 2, nil, false, 0}, {0, math.MaxInt32, 3, nil, false, 2}, {0, math.MaxInt32, 3, nil, true, 2}, {0, 2, 1, nil, false, 5}, {0, math.MaxInt32 - 2, 2, nil, true, 0},
		}},
		{"up to the last number", []step{{0, math.MaxInt32 - 1, 2, nil, false, 0}, {0, 0, 1, nil, false, 2}, {0, math.MaxInt32 - 1, 2, nil, true, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := memfs.New()
			cfg := commitlog.DirConfig{Path: "data", FS: m}
			d := open(t, cfg)
			l := create(t, d, "t", commitlog.LogConfig{})
			for i, s := range c.steps {
				b := sent(42, s.epoch, s.sequence, s.n)
				info, err := l.Append(b, commitlog.AppendOptions{})
				if !errors.Is(err, s.err) || s.err == nil && err != nil {
					t.Fatalf("step %d: %v, want %v", i, err, s.err)
				}
				if err == nil && (info.Duplicate != s.dup || info.BaseOffset != s.offset || info.LastOffset != s.offset+int64(s.n)-1) {
					t.Fatalf("step %d: %+v", i, info)
				}
				// Whoever starts again knows the same.
				if i%2 == 0 {
					if err := d.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					m = m.Crash(nil, memfs.KeepAll)
					d.Close()
					cfg.FS = m
				}
				d = open(t, cfg)
				l = d.Log("t", 0)
			}
		})
	}
}

// What the write did not bring to the log is not in the window either.
func TestWindowAfterFailedWrite(t *testing.T) {
	m := memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m})
	l := create(t, d, "t", commitlog.LogConfig{})
	appendTo(t, l, sent(1, 0, 0, 1))
	flushAll(t, l)
	m.Set(func() { m.Left = 10 })
	if _, err := l.Append(sent(1, 0, 1, 1), commitlog.AppendOptions{}); err == nil {
		t.Fatal("no error on a full disk")
	}
	m.Set(func() { m.Left = -1 })
	if info := appendTo(t, l, sent(1, 0, 1, 1)); info.Duplicate || info.BaseOffset != 1 {
		t.Errorf("retry: %+v", info)
	}
}

func TestDuplicateOfUnflushed(t *testing.T) {
	m := memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m})
	l := create(t, d, "t", commitlog.LogConfig{TimestampType: commitlog.LogAppendTime})
	m.SetGate(true)
	first := appendTo(t, l, sent(1, 0, 0, 2))
	again := appendTo(t, l, sent(1, 0, 0, 2))
	if !again.Duplicate || again.BaseOffset != 0 || again.LastOffset != 1 || again.AppendTime != first.AppendTime {
		t.Errorf("retry: %+v after %+v", again, first)
	}
	heard := make(chan error, 1)
	l.NotifyFlushed(again.LastOffset, func(err error) { heard <- err })
	if len(heard) != 0 || l.HighWatermark() != 0 {
		t.Error("acknowledged before it was flushed")
	}
	m.SetGate(false)
	if err := <-heard; err != nil || l.HighWatermark() != 2 {
		t.Error(err, l.HighWatermark())
	}
}

func TestProducerExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New(), ProducerExpiry: time.Hour})
		l := create(t, d, "t", commitlog.LogConfig{RetentionAge: -1, TimestampAfter: math.MaxInt64})
		appendTo(t, l, sent(1, 0, 0, 1))
		time.Sleep(40 * time.Minute)
		appendTo(t, l, sent(2, 0, 0, 1))
		time.Sleep(40 * time.Minute)
		d.EnforceRetention(now())
		got := l.Producers()
		if len(got) != 1 || got[0].ProducerID != 2 || got[0].LastSequence != 0 || got[0].LastOffset != 1 {
			t.Errorf("%+v", got)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// However many producers there are, a log remembers a bounded number: the ones last heard of.
func TestProducerLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New(), MaxProducers: 100})
		l := create(t, d, "t", commitlog.LogConfig{TimestampAfter: math.MaxInt64})
		for i := range int64(1000) {
			appendTo(t, l, sent(i, 0, 0, 1))
			appendTo(t, l, sent(0, 0, int32(i+1), 1)) // always there
			time.Sleep(time.Millisecond)
		}
		got := l.Producers()
		if len(got) > 100 || len(got) < 90 || got[0].ProducerID != 0 || got[len(got)-1].ProducerID != 999 {
			t.Errorf("%d producers, %+v", len(got), got)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReserveProducerIDs(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m}
	d := open(t, cfg)
	if a, err := d.ReserveProducerIDs(1000); a != 0 || err != nil {
		t.Fatal(a, err)
	}
	if b, err := d.ReserveProducerIDs(1); b != 1000 || err != nil {
		t.Fatal(b, err)
	}
	cfg.FS = m.Crash(nil, memfs.KeepNone)
	d.Close()
	d = open(t, cfg)
	if c, err := d.ReserveProducerIDs(5); c != 1001 || err != nil {
		t.Fatal(c, err)
	}
	// An id that is in a log is not given out, even when the file that says so is gone.
	l := create(t, d, "t", commitlog.LogConfig{})
	appendTo(t, l, sent(5000, 0, 0, 1))
	d.Close()
	if err := cfg.FS.Remove("data/producer-id-checkpoint"); err != nil {
		t.Fatal(err)
	}
	if e, err := open(t, cfg).ReserveProducerIDs(1); e != 5001 || err != nil {
		t.Fatal(e, err)
	}
}

func TestProducerIDFileIsNotGuessed(t *testing.T) {
	m := memfs.New()
	m.Put("data/producer-id-checkpoint", []byte("0\n1\nmany\n"))
	if _, err := commitlog.OpenDir(commitlog.DirConfig{Path: "data", FS: m}); err == nil {
		t.Error("opened")
	}
}
