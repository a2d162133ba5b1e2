package commitlog_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// Where a sync is quick, an append that may call back is flushed when it returns, and so are those of others before it.
func TestSyncInPlace(t *testing.T) {
	m := memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m})
	d.SyncInPlace(time.Hour)
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 2048})
	may := commitlog.AppendOptions{MayCallBack: true}
	appendTo(t, l, sized(1, 100))
	flushAll(t, l) // by a lane, and quick
	for n := range 50 {
		if n%3 == 0 {
			appendTo(t, l, sized(int64(n), 300)) // a lane has it, sooner or later
		}
		info, err := l.Append(sized(int64(n), 300), may)
		if err != nil {
			t.Fatal(err)
		}
		if hw := l.HighWatermark(); hw <= info.LastOffset {
			t.Fatalf("high watermark %d after offset %d", hw, info.LastOffset)
		}
		told := false
		l.NotifyFlushed(info.LastOffset, func(err error) { told = err == nil })
		if !told {
			t.Fatalf("offset %d is not flushed when its append returns", info.LastOffset)
		}
	}
	m.Set(func() {
		m.FailSync = func(name string) error {
			if strings.HasSuffix(name, ".log") {
				return errors.New("input/output error")
			}
			return nil
		}
	})
	info, err := l.Append(sized(99, 300), may)
	if err != nil {
		t.Fatal(err)
	}
	var heard error
	l.NotifyFlushed(info.LastOffset, func(err error) { heard = err })
	if !errors.Is(heard, commitlog.ErrOffline) {
		t.Errorf("after a failed sync: %v", heard)
	}
}
