package commitlog_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

func now() time.Time { return time.Now() }

func bases(l *commitlog.Log) string {
	var out []string
	for _, s := range l.Segments() {
		out = append(out, fmt.Sprint(s.BaseOffset))
	}
	return strings.Join(out, " ")
}

// fill makes a log of one record of 500 bytes per offset, two to a segment.
func fill(t *testing.T, d *commitlog.Dir, topic string, n int, cfg commitlog.LogConfig, stamp func(i int) time.Time) *commitlog.Log {
	t.Helper()
	cfg.SegmentBytes = 1024
	plain := cfg
	plain.Compact = false // which would ask for keys
	l := create(t, d, topic, plain)
	for i := range n {
		appendTo(t, l, sized(stamp(i).UnixMilli(), 500))
	}
	flushAll(t, l)
	l.SetConfig(cfg)
	return l
}

func TestRetention(t *testing.T) {
	const hour = time.Hour
	at := now()
	ago := func(d time.Duration) time.Time { return at.Add(-d) }
	all := func(d time.Duration) func(int) time.Time { return func(int) time.Time { return ago(d) } }
	for _, c := range []struct {
		name  string
		cfg   commitlog.LogConfig
		stamp func(int) time.Time
		later time.Duration
		want  string
	}{
		{"nothing is old", commitlog.LogConfig{RetentionAge: hour}, all(0), 0, "0 2 4 6 8"},
		{"for ever", commitlog.LogConfig{RetentionAge: -1}, all(99 * hour), 0, "0 2 4 6 8"},
		{"the first two segments are old", commitlog.LogConfig{RetentionAge: hour}, func(i int) time.Time { return ago(time.Duration(9-2*i) * hour / 2) }, 0, "4 6 8"},
		{"an old segment behind a young one stays", commitlog.LogConfig{RetentionAge: hour}, func(i int) time.Time { return ago(time.Duration(i/2%2*2) * hour) }, 0, "0 2 4 6 8"},
		{"one young record keeps its segment", commitlog.LogConfig{RetentionAge: hour}, func(i int) time.Time { return ago(time.Duration(1-i%2) * 2 * hour) }, 0, "0 2 4 6 8"},
		{"all of it is old", commitlog.LogConfig{RetentionAge: hour}, all(2 * hour), 0, "10"},
		{"from the future, until the append is old", commitlog.LogConfig{RetentionAge: hour}, all(-99 * hour), 30 * time.Minute, "0 2 4 6 8"},
		{"from the future, after the append is old", commitlog.LogConfig{RetentionAge: hour}, all(-99 * hour), 90 * time.Minute, "10"},
		{"too large by two segments and a half", commitlog.LogConfig{RetentionBytes: 2500}, all(0), 0, "4 6 8"},
		{"size never takes the active segment", commitlog.LogConfig{RetentionBytes: 1}, all(0), 0, "8"},
		{"large enough", commitlog.LogConfig{RetentionBytes: 5100}, all(0), 0, "0 2 4 6 8"},
		{"compacted", commitlog.LogConfig{RetentionBytes: 1, RetentionAge: hour, Compact: true}, all(99 * hour), 0, "0 2 4 6 8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := memfs.New()
			cfg := commitlog.DirConfig{Path: "data", FS: m}
			d := open(t, cfg)
			c.cfg.TimestampAfter = math.MaxInt64
			l := fill(t, d, "t", 10, c.cfg, c.stamp)
			d.EnforceRetention(at.Add(c.later))
			if got := bases(l); got != c.want {
				t.Fatalf("segments %s, want %s", got, c.want)
			}
			first := l.Segments()[0].BaseOffset
			if l.StartOffset() != first || l.EndOffset() != 10 {
				t.Errorf("log from %d to %d", l.StartOffset(), l.EndOffset())
			}
			if first > 0 {
				if _, err := l.Read(first-1, 10, commitlog.ReadOptions{}); !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
					t.Errorf("read below the start: %v", err)
				}
				if m.Contents("data/t-0/00000000000000000000.log") != nil || m.Contents("data/t-0/00000000000000000000.log.deleted") != nil {
					t.Error("files are still there")
				}
			}
			if info := appendTo(t, l, keyed(at.UnixMilli(), "k=x")); info.BaseOffset != 10 || info.StartOffset != first {
				t.Errorf("append: %+v", info)
			}
			flushAll(t, l)
			if got := readFrom(t, l, first, 1<<20); int64(len(got)) != 11-first {
				t.Errorf("%d records", len(got))
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, cfg).Log("t", 0)
			if l.StartOffset() != first || l.EndOffset() != 11 {
				t.Errorf("reopened: log from %d to %d", l.StartOffset(), l.EndOffset())
			}
		})
	}
}

// An old active segment is closed to writing even when nobody writes, so that it can expire by and by.
func TestSegmentAge(t *testing.T) {
	d := open(t, commitlog.DirConfig{Path: t.TempDir()})
	l := create(t, d, "t", commitlog.LogConfig{SegmentAge: time.Hour})
	appendTo(t, l, plain(now().UnixMilli(), "x"))
	d.EnforceRetention(now().Add(59 * time.Minute))
	if got := bases(l); got != "0" {
		t.Errorf("segments %s", got)
	}
	d.EnforceRetention(now().Add(61 * time.Minute))
	d.EnforceRetention(now().Add(62 * time.Minute))
	if got := bases(l); got != "0 1" {
		t.Errorf("segments %s", got)
	}
}

func TestDeleteBefore(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m}
	d := open(t, cfg)
	l := fill(t, d, "t", 10, commitlog.LogConfig{}, func(int) time.Time { return now() })
	for _, c := range []struct {
		to, want int64
		bases    string
	}{{5, 5, "4 6 8"}, {3, 5, "4 6 8"}, {-1, 10, "8"}} {
		if got, err := l.DeleteBefore(c.to); got != c.want || err != nil || bases(l) != c.bases {
			t.Fatalf("delete before %d: %d, %v, segments %s", c.to, got, err, bases(l))
		}
	}
	if _, err := l.DeleteBefore(11); !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := l.Read(8, 10, commitlog.ReadOptions{}); !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
		t.Errorf("read of what is deleted but still in a segment: %v", err)
	}
	d.Close()
	if l = open(t, cfg).Log("t", 0); l.StartOffset() != 10 || l.EndOffset() != 10 {
		t.Errorf("reopened: from %d to %d", l.StartOffset(), l.EndOffset())
	}
}

// What a reader has in its hands stays readable, whatever becomes of the log, and is closed after.
func TestSpanOutlivesSegment(t *testing.T) {
	for _, how := range []string{"retention", "delete", "close"} {
		m := memfs.New()
		d := open(t, commitlog.DirConfig{Path: "data", FS: m})
		l := fill(t, d, "t", 4, commitlog.LogConfig{RetentionBytes: 1}, func(int) time.Time { return now() })
		span, err := l.Read(0, 1<<20, commitlog.ReadOptions{})
		if err != nil || span.Len < 1000 {
			t.Fatal(span.Len, err)
		}
		switch how {
		case "retention":
			d.EnforceRetention(now())
			if l.StartOffset() != 2 {
				t.Fatal("not removed")
			}
		case "delete":
			if err := d.Delete("t", 0); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Read(0, 10, commitlog.ReadOptions{}); !errors.Is(err, commitlog.ErrClosed) {
				t.Errorf("read of a deleted log: %v", err)
			}
		case "close":
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		b, err := io.ReadAll(io.NewSectionReader(&span, 0, span.Len))
		if err != nil || len(recordsOf(b)) != 2 {
			t.Errorf("%s: %d records, %v", how, len(recordsOf(b)), err)
		}
		span.Release()
		span.Release() // of the same span does nothing
		if how != "retention" {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if m.Opens != 0 {
				t.Errorf("%s: %d files open", how, m.Opens)
			}
		}
	}
}

func TestFileDeleteDelay(t *testing.T) {
	m := memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m, FileDeleteDelay: time.Hour})
	fill(t, d, "t", 4, commitlog.LogConfig{RetentionBytes: 1}, func(int) time.Time { return now() })
	d.EnforceRetention(now())
	if m.Contents("data/t-0/00000000000000000000.log.deleted") == nil {
		t.Error("removed at once")
	}
	d.Close()
	if m.Contents("data/t-0/00000000000000000000.log.deleted") != nil {
		t.Error("left behind")
	}
}
