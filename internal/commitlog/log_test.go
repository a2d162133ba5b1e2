package commitlog_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// open opens a directory whose logs are compacted, and get old, when a test says so, unless it gives an interval.
func open(t testing.TB, cfg commitlog.DirConfig) *commitlog.Dir {
	t.Helper()
	if cfg.RetentionInterval == 0 {
		cfg.RetentionInterval = -1
	}
	if cfg.CleanerInterval == 0 {
		cfg.CleanerInterval = -1
	}
	d, err := commitlog.OpenDir(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func create(t testing.TB, d *commitlog.Dir, topic string, cfg commitlog.LogConfig) *commitlog.Log {
	t.Helper()
	l, err := d.Create(topic, commitlog.NewID(), 0, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func appendTo(t testing.TB, l *commitlog.Log, b []byte) commitlog.AppendInfo {
	t.Helper()
	info, err := l.Append(b, commitlog.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// flushed waits until an offset is durable.
func flushed(t testing.TB, l *commitlog.Log, offset int64) {
	t.Helper()
	ch := make(chan error, 1)
	l.NotifyFlushed(offset, func(err error) { ch <- err })
	if err := <-ch; err != nil {
		t.Fatal(err)
	}
}

func flushAll(t testing.TB, l *commitlog.Log) {
	t.Helper()
	if end := l.EndOffset(); end > l.StartOffset() {
		flushed(t, l, end-1)
	}
}

// readFrom reads every visible record from an offset on.
func readFrom(t testing.TB, l *commitlog.Log, offset int64, maxBytes int) []record {
	t.Helper()
	var out []record
	for {
		span, err := l.Read(offset, maxBytes, commitlog.ReadOptions{MinOne: true})
		if err != nil {
			t.Fatal(err)
		}
		if span.Empty() {
			span.Release()
			return out
		}
		b := make([]byte, span.Len)
		if _, err := span.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		span.Release()
		got := recordsOf(b)
		if len(got) == 0 {
			t.Fatalf("no whole batch in a span of %d bytes at %d", span.Len, offset)
		}
		for _, r := range got {
			if r.offset >= offset {
				out = append(out, r)
			}
		}
		offset = out[len(out)-1].offset + 1
	}
}

func TestAppendReadReopen(t *testing.T) {
	for _, durability := range []commitlog.Durability{commitlog.Fsync, commitlog.PageCache} {
		cfg := commitlog.DirConfig{Path: t.TempDir(), Durability: durability}
		d := open(t, cfg)
		if !d.WasClean() {
			t.Error("a new directory is not clean")
		}
		l := create(t, d, "flows", commitlog.LogConfig{SegmentBytes: 4096})
		var want []record
		for i := range 200 {
			b := plain(int64(1000+i), fmt.Sprint("a", i), fmt.Sprint("b", i))
			info := appendTo(t, l, b)
			if info.BaseOffset != int64(2*i) || info.LastOffset != int64(2*i+1) {
				t.Fatalf("append %d: %+v", i, info)
			}
			want = append(want, record{info.BaseOffset, fmt.Sprint("a", i)}, record{info.LastOffset, fmt.Sprint("b", i)})
		}
		flushAll(t, l)
		if got := readFrom(t, l, 0, 1000); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("read %v", got)
		}
		if got := readFrom(t, l, 301, 100); fmt.Sprint(got) != fmt.Sprint(want[301:]) {
			t.Fatalf("read %v", got)
		}
		if _, err := l.Read(401, 10, commitlog.ReadOptions{}); !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
			t.Errorf("beyond the end: %v", err)
		}
		segments := len(l.Segments())
		if segments < 3 {
			t.Errorf("%d segments", segments)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(plain(1, "x"), commitlog.AppendOptions{}); !errors.Is(err, commitlog.ErrClosed) {
			t.Errorf("append after close: %v", err)
		}

		cfg.Defaults.SegmentBytes = 4096
		d = open(t, cfg)
		if !d.WasClean() || d.Stats().RecoveredLogs != 0 {
			t.Error("not a clean start")
		}
		again := d.Log("flows", 0)
		if again == nil || again.EndOffset() != 400 || again.HighWatermark() != 400 || again.TopicID() != l.TopicID() || again.LeaderEpoch() != 0 {
			t.Fatalf("reopened: %+v", again)
		}
		if got := readFrom(t, again, 0, 1<<20); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("read after reopening %v", got)
		}
		if info := appendTo(t, again, plain(1, "x")); info.BaseOffset != 400 {
			t.Errorf("append after reopening: %+v", info)
		}
		d.Close()
	}
}
