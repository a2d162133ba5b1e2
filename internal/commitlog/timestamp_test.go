package commitlog_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// A producer's timestamps may be so far behind and ahead of the clock as the log's configuration says, with each record looked at
// where that is to be had for nothing; no timestamp is always allowed.
func TestTimestampLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hour = int64(time.Hour / time.Millisecond)
		now := time.Now().UnixMilli() // it stands still
		d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New()})
		narrow := commitlog.LogConfig{TimestampBefore: 1, TimestampAfter: 1}
		both := commitlog.LogConfig{TimestampBefore: 2 * time.Hour, TimestampAfter: time.Minute}
		for i, c := range []struct {
			name    string
			cfg     commitlog.LogConfig
			times   []int64 // of records, after now; the first one is the batch's own
			refused bool
		}{
			{"an hour ahead", commitlog.LogConfig{}, []int64{0, hour}, false},
			{"more than an hour ahead", commitlog.LogConfig{}, []int64{0, hour + 1}, true},
			{"the first one too far ahead", commitlog.LogConfig{}, []int64{hour + 1, 0}, true},
			{"long ago", commitlog.LogConfig{}, []int64{0, -now}, false},
			{"never", commitlog.LogConfig{}, []int64{-1 - now}, false},
			{"as long ago as allowed", both, []int64{-2 * hour, hour / 60}, false},
			{"too long ago", both, []int64{-2*hour - 1, 0}, true},
			{"too far ahead", both, []int64{0, hour/60 + 1}, true},
			{"none, where little is allowed", narrow, []int64{-1 - now}, false},
			{"now, where nothing else is", narrow, []int64{0, 0}, false},
			{"a moment ago", narrow, []int64{-1, 0}, true},
			{"without a limit", commitlog.LogConfig{TimestampAfter: math.MaxInt64}, []int64{1 << 50}, false},
			{"the log's own", commitlog.LogConfig{TimestampType: commitlog.LogAppendTime, TimestampBefore: 1, TimestampAfter: 1}, []int64{99 * hour, -99 * hour}, false},
		} {
			for j, codec := range codecs {
				l := create(t, d, fmt.Sprintf("t%d.%d", i, j), c.cfg)
				s := batchSpec{baseTime: now + c.times[0], producer: -1, attributes: codec.attributes, squeeze: codec.squeeze}
				for _, ms := range c.times {
					s.records, s.times = append(s.records, []byte("x")), append(s.times, now+ms)
				}
				_, err := l.Append(s.build(), commitlog.AppendOptions{})
				if errors.Is(err, commitlog.ErrInvalidTimestamp) != c.refused || (err != nil) != c.refused {
					t.Errorf("%s, %s: %v", c.name, codec.name, err)
				}
			}
		}
		// Between the first and the last one only an uncompressed batch is looked at.
		l := create(t, d, "t", both)
		s := batchSpec{baseTime: now, producer: -1, records: [][]byte{{1}, {2}, {3}}, times: []int64{now, now - 3*hour, now}}
		if _, err := l.Append(s.build(), commitlog.AppendOptions{}); !errors.Is(err, commitlog.ErrInvalidTimestamp) {
			t.Errorf("one of three too long ago: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
