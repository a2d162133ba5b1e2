package commitlog_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// block is a batch of about n bytes in records of 1 KB.
func block(n int) []byte {
	s := batchSpec{baseTime: 1_700_000_000_000, producer: -1}
	value := make([]byte, 1010)
	for i := range value {
		value[i] = byte(rand.N(256))
	}
	for range max(n/1024, 1) {
		s.records = append(s.records, value)
	}
	return s.build()
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20} {
		for name, durability := range map[string]commitlog.Durability{"PageCache": commitlog.PageCache, "Fsync": commitlog.Fsync} {
			b.Run(fmt.Sprintf("%s/%dKB", name, size>>10), func(b *testing.B) {
				d := open(b, commitlog.DirConfig{Path: b.TempDir(), Durability: durability})
				l := create(b, d, "t", commitlog.LogConfig{MaxMessageBytes: 2 << 20, SegmentBytes: 256 << 20, RetentionBytes: 512 << 20})
				batch := block(size)
				b.SetBytes(int64(len(batch)))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					info := appendTo(b, l, batch)
					if durability == commitlog.Fsync && i%64 == 63 {
						b.StopTimer()
						flushed(b, l, info.LastOffset)
						b.StartTimer()
					}
					if i%256 == 255 {
						b.StopTimer()
						d.EnforceRetention(now())
						b.StartTimer()
					}
				}
			})
		}
	}
}

// One produce request after another, each waiting for the disk.
func BenchmarkAppendFlushed(b *testing.B) {
	d := open(b, commitlog.DirConfig{Path: b.TempDir()})
	l := create(b, d, "t", commitlog.LogConfig{})
	batch := block(16 << 10)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		flushed(b, l, appendTo(b, l, batch).LastOffset)
	}
}

// A consumer's fetches of 1 MB, as far as the log has a part in them; the bytes themselves go by sendfile.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			d := open(b, commitlog.DirConfig{Path: b.TempDir(), Durability: commitlog.PageCache})
			l := create(b, d, "t", commitlog.LogConfig{MaxMessageBytes: 2 << 20})
			batch := block(size)
			for range (256 << 20) / len(batch) {
				appendTo(b, l, batch)
			}
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			offset, perByte := int64(0), float64(l.EndOffset())/float64(l.Size())
			for b.Loop() {
				span, err := l.Read(offset, 1<<20, commitlog.ReadOptions{MinOne: true})
				if err != nil {
					b.Fatal(err)
				}
				offset = span.Offset + max(int64(float64(span.Len)*perByte), 1)
				if span.Release(); offset >= l.EndOffset() {
					offset = 0
				}
			}
		})
	}
}

// Opening a directory that was closed in order costs by the number of its partitions, not by their size; one that was not, by
// what lies behind the recovery points.
func BenchmarkOpen(b *testing.B) {
	for _, c := range []struct {
		name             string
		partitions, size int
		clean            bool
	}{
		{"clean/1000 partitions", 1000, 64 << 10, true},
		{"clean/256 MB", 1, 256 << 20, true},
		{"killed/256 MB", 1, 256 << 20, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := commitlog.DirConfig{Path: b.TempDir(), Durability: commitlog.PageCache, RetentionInterval: -1, CleanerInterval: -1}
			d := open(b, cfg)
			batch := block(64 << 10)
			for p := range c.partitions {
				l, err := d.Create("t", commitlog.NewID(), int32(p), commitlog.LogConfig{})
				if err != nil {
					b.Fatal(err)
				}
				for range c.size / (64 << 10) {
					appendTo(b, l, batch)
				}
			}
			if err := d.Close(); err != nil {
				b.Fatal(err)
			}
			if !c.clean {
				b.SetBytes(int64(c.size))
			}
			for b.Loop() {
				b.StopTimer()
				if !c.clean {
					for _, name := range []string{".kafka_cleanshutdown", "recovery-point-offset-checkpoint"} {
						if err := os.Remove(filepath.Join(cfg.Path, name)); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.StartTimer()
				d, err := commitlog.OpenDir(cfg)
				b.StopTimer()
				if err != nil || d.WasClean() != c.clean {
					b.Fatal(err)
				}
				if err := d.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func BenchmarkCompact(b *testing.B) {
	for _, c := range codecs {
		b.Run(c.name, func(b *testing.B) {
			var at int64
			b.SetBytes(256 * 64 << 10) // about that, before compression
			for b.Loop() {
				b.StopTimer()
				d := open(b, commitlog.DirConfig{Path: b.TempDir(), CleanerInterval: -1})
				l := create(b, d, "t", commitlog.LogConfig{SegmentBytes: 8 << 20, Compact: true, MinCleanableRatio: -1})
				for range 256 {
					s := batchSpec{producer: -1, attributes: c.attributes, squeeze: c.squeeze}
					for range 64 {
						at++
						s.keys = append(s.keys, fmt.Appendf(nil, "key %d", at*7919%5000))
						s.records = append(s.records, fmt.Appendf(nil, "%01000d", at))
					}
					appendTo(b, l, s.build())
				}
				roll(b, d, l)
				b.StartTimer()
				d.Compact(now())
				b.StopTimer()
				if d.Stats().Compactions != 1 || d.Close() != nil {
					b.Fatal(d.Stats())
				}
				b.StartTimer()
			}
		})
	}
}
