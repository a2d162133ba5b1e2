package commitlog_test

import (
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// The log does what a slice of records would do.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := commitlog.DirConfig{Path: "data", FS: memfs.New(), RetentionInterval: -1, Durability: commitlog.Durability(rapid.IntRange(0, 1).Draw(rt, "durability"))}
		logCfg := commitlog.LogConfig{
			SegmentBytes:       int64(rapid.IntRange(1024, 4096).Draw(rt, "segment")),
			IndexIntervalBytes: rapid.IntRange(1, 1000).Draw(rt, "interval"),
			RetentionBytes:     6000, RetentionAge: -1,
		}
		cfg.Defaults = logCfg
		d, err := commitlog.OpenDir(cfg)
		if err != nil {
			rt.Fatal(err)
		}
		l, err := d.Create("t", commitlog.NewID(), 0, logCfg)
		if err != nil {
			rt.Fatal(err)
		}
		var model []string
		low := int64(0)
		flush := func() {
			heard := make(chan error, 1)
			if l.EndOffset() > 0 {
				l.NotifyFlushed(l.EndOffset()-1, func(err error) { heard <- err })
				if err := <-heard; err != nil {
					rt.Fatal(err)
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				var b []byte
				base := int64(len(model))
				for range rapid.IntRange(1, 3).Draw(rt, "batches") {
					var values []string
					for range rapid.IntRange(1, 4).Draw(rt, "records") {
						values = append(values, fmt.Sprintf("%d %*s", len(model)+len(values), rapid.IntRange(0, 60).Draw(rt, "pad"), ""))
					}
					model = append(model, values...)
					b = append(b, plain(now().UnixMilli(), values...)...)
				}
				info, err := l.Append(b, commitlog.AppendOptions{})
				if err != nil || info.BaseOffset != base || info.LastOffset != int64(len(model))-1 {
					rt.Fatalf("%+v, %v", info, err)
				}
			},
			"read": func(rt *rapid.T) {
				flush()
				if low == int64(len(model)) {
					return
				}
				from := rapid.Int64Range(low, int64(len(model))-1).Draw(rt, "from")
				span, err := l.Read(from, rapid.IntRange(0, 3000).Draw(rt, "max"), commitlog.ReadOptions{MinOne: true})
				if err != nil || span.Empty() || span.Offset > from {
					rt.Fatalf("%d bytes at %d, %v", span.Len, span.Offset, err)
				}
				b := make([]byte, span.Len)
				if _, err := span.ReadAt(b, 0); err != nil {
					rt.Fatal(err)
				}
				span.Release()
				got := recordsOf(b)
				if len(got) == 0 || got[len(got)-1].offset < from {
					rt.Fatalf("records %v do not reach %d", got, from)
				}
				for i, r := range got {
					if r.offset != span.Offset+int64(i) || r.value != model[r.offset] {
						rt.Fatalf("%d is %q", r.offset, r.value)
					}
				}
			},
			"retain": func(rt *rapid.T) {
				flush()
				whole := low == l.Segments()[0].BaseOffset // else records below the start may go with their segments
				size := l.Size()
				d.EnforceRetention(now())
				low = l.StartOffset()
				if whole && l.Size() < min(size, logCfg.RetentionBytes) {
					rt.Fatalf("%d bytes left of %d", l.Size(), size)
				}
			},
			"delete before": func(rt *rapid.T) {
				flush()
				to := rapid.Int64Range(low, int64(len(model))).Draw(rt, "to")
				if got, err := l.DeleteBefore(to); got != to || err != nil {
					rt.Fatal(got, err)
				}
				low = to
			},
			"reopen": func(rt *rapid.T) {
				if err := d.Close(); err != nil {
					rt.Fatal(err)
				}
				if d, err = commitlog.OpenDir(cfg); err != nil {
					rt.Fatal(err)
				}
				l = d.Log("t", 0)
			},
			"": func(rt *rapid.T) {
				if l.StartOffset() != low || l.EndOffset() != int64(len(model)) || l.HighWatermark() > l.EndOffset() {
					rt.Fatalf("from %d to %d, want %d to %d", l.StartOffset(), l.EndOffset(), low, len(model))
				}
			},
		})
		if err := d.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// Writers, readers, retention and a deletion at the same time; the race detector watches.
func TestConcurrent(t *testing.T) {
	for _, durability := range []commitlog.Durability{commitlog.Fsync, commitlog.PageCache} {
		d := open(t, commitlog.DirConfig{Path: t.TempDir(), Durability: durability})
		l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 8192, IndexIntervalBytes: 300, RetentionBytes: 20_000})
		other := create(t, d, "other", commitlog.LogConfig{})
		const writers, each = 4, 150
		var wg sync.WaitGroup
		var acked sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				last := int64(-1)
				for i := range each {
					info, err := l.Append(sent(int64(w), 0, int32(i*2), 2), commitlog.AppendOptions{})
					if err != nil || info.BaseOffset <= last {
						t.Errorf("writer %d: %+v after %d, %v", w, info, last, err)
						return
					}
					last = info.LastOffset
					acked.Add(1)
					l.NotifyFlushed(last, func(err error) {
						if err != nil || l.HighWatermark() <= info.LastOffset {
							t.Errorf("writer %d: %v, watermark %d at %d", w, err, l.HighWatermark(), info.LastOffset)
						}
						acked.Done()
					})
				}
			})
		}
		for range 2 {
			wg.Go(func() {
				for next := int64(0); next < 2*writers*each; {
					span, err := l.Read(next, 700, commitlog.ReadOptions{MinOne: true})
					if err != nil { // retention was faster
						next = l.StartOffset()
						continue
					}
					b := make([]byte, span.Len)
					if len(b) > 0 {
						if _, err := span.ReadAt(b, 0); err != nil {
							t.Error(err)
						}
					}
					span.Release()
					for _, r := range recordsOf(b) {
						if r.offset >= l.HighWatermark() {
							t.Errorf("read %d at watermark %d", r.offset, l.HighWatermark())
						}
						next = max(next, r.offset+1)
					}
				}
			})
		}
		wg.Go(func() {
			for range 20 {
				d.EnforceRetention(now())
				l.Segments()
				d.Stats()
				if _, _, _, err := l.OffsetForTime(0); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				if _, err := other.Append(plain(1, "x"), commitlog.AppendOptions{}); err != nil {
					break
				}
			}
		})
		wg.Go(func() {
			if err := d.Delete("other", 0); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		acked.Wait()
		if l.EndOffset() != 2*writers*each || l.HighWatermark() != l.EndOffset() {
			t.Errorf("end %d, watermark %d", l.EndOffset(), l.HighWatermark())
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
