package commitlog_test

import (
	"bytes"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// FuzzInspect looks at any bytes as every file there is; nothing may panic or take more memory than there is to read.
func FuzzInspect(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add(bytes.Repeat([]byte{0}, 70), uint8(1))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03"), uint8(0))
	record := []byte{20, 0, 0, 0, 2, 'k', 2, 'v', 2, 2, 'h', 1}
	f.Add(append(make([]byte, 61), record...), uint8(0))
	f.Fuzz(func(_ *testing.T, b []byte, codec uint8) {
		r := bytes.NewReader(b)
		_ = commitlog.InspectBatches(r, int64(len(b)), func(commitlog.Batch) error { return nil })
		_, _ = commitlog.InspectOffsetIndex(b, 0)
		_, _ = commitlog.InspectTimeIndex(b, 0)
		_, _ = commitlog.InspectTxnIndex(b)
		_, _ = commitlog.InspectSnapshot(b)
		batch := commitlog.Batch{Size: int64(len(b)), Count: 3, Codec: int(codec % 6)}
		_ = commitlog.InspectRecords(r, batch, func(commitlog.Record) error { return nil })
	})
}
