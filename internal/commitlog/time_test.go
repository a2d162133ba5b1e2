package commitlog_test

import (
	"fmt"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

func TestOffsetForTime(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			m := memfs.New()
			cfg := commitlog.DirConfig{Path: "data", FS: m}
			d := open(t, cfg)
			l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 1024, IndexIntervalBytes: 200})
			if o, ts, e := l.MaxTimestamp(); o != -1 || ts != -1 || e != -1 {
				t.Errorf("empty log: %d %d %d", o, ts, e)
			}
			var times []int64 // by offset
			for b := range 40 {
				s := batchSpec{baseTime: int64(1000 + 10*b - b%4*25), producer: -1, attributes: c.attributes, squeeze: c.squeeze}
				for r := range 3 {
					s.records = append(s.records, fmt.Appendf(nil, "%d.%d and more of it", b, r))
					s.times = append(s.times, s.baseTime+int64((r*7)%5))
				}
				times = append(times, s.times...)
				appendTo(t, l, s.build())
			}
			flushAll(t, l)
			check := func(low int64) {
				t.Helper()
				best := low
				for o := low; o < int64(len(times)); o++ {
					if times[o] > times[best] {
						best = o
					}
				}
				if o, ts, e := l.MaxTimestamp(); o != best || ts != times[best] || e != l.LeaderEpoch() && e != 0 {
					t.Errorf("largest: %d at %d, epoch %d; want %d at %d", ts, o, e, times[best], best)
				}
				for ms := int64(900); ms < 1420; ms++ {
					want, wantTime := int64(-1), int64(-1)
					for o := low; o < int64(len(times)); o++ {
						if times[o] >= ms {
							want, wantTime = o, times[o]
							break
						}
					}
					o, ts, e, err := l.OffsetForTime(ms)
					if err != nil || o != want || ts != wantTime || (e == 0) != (want >= 0) {
						t.Fatalf("time %d: %d at %d, epoch %d, %v; want %d at %d", ms, ts, o, e, err, wantTime, want)
					}
				}
			}
			check(0)
			if n := len(l.Segments()); n < 3 {
				t.Errorf("%d segments", n)
			}
			d.Close()
			d = open(t, cfg)
			l = d.Log("t", 0)
			check(0)
			if _, err := l.DeleteBefore(61); err != nil {
				t.Fatal(err)
			}
			check(61)
			cfg.FS = m.Crash(nil, memfs.KeepAll)
			d.Close()
			l = open(t, cfg).Log("t", 0)
			check(61)
		})
	}
}

// What is not flushed yet is not found by its time either.
func TestOffsetForTimeBelowWatermark(t *testing.T) {
	m := memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m})
	l := create(t, d, "t", commitlog.LogConfig{})
	appendTo(t, l, plain(100, "a"))
	flushAll(t, l)
	m.SetGate(true)
	defer m.SetGate(false)
	appendTo(t, l, plain(200, "b"))
	if o, _, _, err := l.OffsetForTime(150); o != -1 || err != nil {
		t.Error(o, err)
	}
	if o, ts, _ := l.MaxTimestamp(); o != 0 || ts != 100 {
		t.Error(o, ts)
	}
}

func TestLogAppendTime(t *testing.T) {
	d := open(t, commitlog.DirConfig{Path: t.TempDir()})
	l := create(t, d, "t", commitlog.LogConfig{TimestampType: commitlog.LogAppendTime})
	before := now().UnixMilli()
	info := appendTo(t, l, plain(5, "a", "b"))
	after := now().UnixMilli()
	if info.AppendTime < before || info.AppendTime > after {
		t.Errorf("append time %d, not between %d and %d", info.AppendTime, before, after)
	}
	flushAll(t, l)
	if got := readFrom(t, l, 0, 1<<20); len(got) != 2 { // checks the CRC
		t.Errorf("read %v", got)
	}
	if o, ts, _, err := l.OffsetForTime(6); o != 0 || ts != info.AppendTime || err != nil {
		t.Error(o, ts, err)
	}
	if o, ts, _ := l.MaxTimestamp(); o != 0 || ts != info.AppendTime {
		t.Error(o, ts)
	}
	// The type can change under a log.
	l.SetConfig(commitlog.LogConfig{})
	if info := appendTo(t, l, plain(5, "c")); info.AppendTime != -1 {
		t.Errorf("%+v", info)
	}
}

func TestEpochEnd(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m}
	d := open(t, cfg)
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 1024})
	check := func(want ...string) {
		t.Helper()
		for i, w := range want {
			e, o := l.EpochEnd(int32(i))
			if got := fmt.Sprint(e, " ", o); got != w {
				t.Errorf("epoch %d ends as %s, want %s", i, got, w)
			}
		}
	}
	crash := func() {
		t.Helper()
		m = m.Crash(nil, memfs.KeepAll)
		d.Close()
		cfg.FS = m
		d = open(t, cfg)
		l = d.Log("t", 0)
	}
	write := func() {
		appendTo(t, l, plain(1, "a", "b", "c"))
		flushAll(t, l)
	}
	check("0 0", "-1 -1")
	write()
	check("0 3", "-1 -1")
	crash() // epoch 1 from 3
	check("0 3", "1 3", "-1 -1")
	write()
	crash() // epoch 2 from 6, of which nothing is written
	crash() // epoch 3 from 6
	write()
	check("0 3", "1 6", "1 6", "3 9", "-1 -1")
	if l.LeaderEpoch() != 3 {
		t.Errorf("epoch %d", l.LeaderEpoch())
	}
	if e, o := l.EpochEnd(-1); e != -1 || o != -1 {
		t.Error(e, o)
	}
	// Batches carry the epoch they were written in.
	if _, _, e := l.MaxTimestamp(); e != 0 {
		t.Errorf("first record has epoch %d", e)
	}
	// A history that is lost is read from the batches.
	m.Remove("data/t-0/leader-epoch-checkpoint")
	crash()
	check("0 3", "1 6", "1 6", "3 9", "4 9", "-1 -1")
	d.Close()
	m.Remove("data/t-0/leader-epoch-checkpoint")
	d = open(t, cfg)
	l = d.Log("t", 0)
	if l.LeaderEpoch() < 4 {
		t.Errorf("epoch %d, went back", l.LeaderEpoch())
	}
	if got := string(m.Contents("data/t-0/leader-epoch-checkpoint")); got != "0\n4\n0 0\n1 3\n3 6\n4 9\n" {
		t.Errorf("%q", got)
	}
	write()
	if _, err := l.DeleteBefore(7); err != nil {
		t.Fatal(err)
	}
	check("0 7", "1 7", "2 7", "3 9", "4 12")
}
