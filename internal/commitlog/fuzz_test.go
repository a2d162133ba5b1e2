package commitlog_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// FuzzRecover puts any bytes where a segment should be: opening ends in a log that holds a whole beginning of them,
// and that can be read, written and opened again.
func FuzzRecover(f *testing.F) {
	at := func(b []byte, offset int64) []byte {
		b = slices.Clone(b)
		binary.BigEndian.PutUint64(b, uint64(offset))
		binary.BigEndian.PutUint32(b[12:], 0)
		return b
	}
	good := append(at(plain(1, "a", "b"), 0), at(sent(3, 0, 0, 2), 2)...)
	f.Add([]byte(nil), false)
	f.Add(good, false)
	f.Add(good, true)
	f.Add(good[:len(good)-3], false)
	f.Add(append(slices.Clone(good), make([]byte, 100)...), false)
	f.Add(append(slices.Clone(good), at(plain(1, "c"), 9)...), true)
	f.Add(append(slices.Clone(good), at(plain(1, "c"), 0)...), false)
	f.Add(append(slices.Clone(good), at(batchSpec{records: [][]byte{{1}}, attributes: 4, producer: -1}.build(), 4)...), false)
	huge := slices.Clone(good)
	binary.BigEndian.PutUint32(huge[8:], 0x7fffffff)
	f.Add(huge, true)
	f.Fuzz(func(t *testing.T, b []byte, clean bool) {
		m := memfs.New()
		m.Put("data/t-0/00000000000000000000.log", b)
		m.Put("data/t-0/00000000000000000000.index", b[:len(b)/2])
		m.Put("data/t-0/00000000000000000000.timeindex", b[len(b)/2:])
		m.Put("data/t-0/leader-epoch-checkpoint", []byte("0\n1\n0 0\n"))
		if clean {
			m.Put("data/.kafka_cleanshutdown", []byte("{}"))
			m.Put("data/recovery-point-offset-checkpoint", []byte("0\n1\nt 0 4\n"))
		}
		checkOpens(t, m)
	})
}

// FuzzFiles puts any bytes where the files beside a sound segment should be.
func FuzzFiles(f *testing.F) {
	names := []string{
		"t-0/00000000000000000000.index", "t-0/00000000000000000000.timeindex", "t-0/00000000000000000002.snapshot", "t-0/leader-epoch-checkpoint",
		"t-0/partition.metadata", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint", ".kafka_cleanshutdown",
	}
	f.Add(uint8(0), []byte{0, 0, 0, 5, 0, 0, 0, 3}, true)
	f.Add(uint8(0), make([]byte, 80), true)
	f.Add(uint8(1), []byte{0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1}, true)
	f.Add(uint8(2), []byte{0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}, false)
	f.Add(uint8(3), []byte("0\n2\n5 0\n4 3\n"), true)
	f.Add(uint8(3), []byte("0\n1\n2147483647 0\n"), false)
	f.Add(uint8(5), []byte("0\n1\nt 0 1000\n"), true)
	f.Add(uint8(6), []byte("0\n1\nt 0 1000\n"), false)
	f.Add(uint8(6), []byte("0\n1\nt 0 3\n"), true)
	base := memfs.New()
	d, err := commitlog.OpenDir(commitlog.DirConfig{Path: "data", FS: base, RetentionInterval: -1})
	if err != nil {
		f.Fatal(err)
	}
	l := create(f, d, "t", commitlog.LogConfig{SegmentBytes: 1024, IndexIntervalBytes: 1})
	for i := range int32(12) {
		appendTo(f, l, sent(9, 0, 2*i, 2))
		appendTo(f, l, plain(int64(i), "plain"))
	}
	flushAll(f, l)
	if err := d.Close(); err != nil {
		f.Fatal(err)
	}
	entries, _ := base.ReadDir("data/t-0")
	f.Fuzz(func(t *testing.T, which uint8, b []byte, clean bool) {
		m := memfs.New()
		for _, e := range entries {
			m.Put("data/t-0/"+e.Name, base.Contents("data/t-0/"+e.Name))
		}
		for _, name := range []string{"recovery-point-offset-checkpoint", ".kafka_cleanshutdown"} {
			if clean {
				m.Put("data/"+name, base.Contents("data/"+name))
			}
		}
		name := names[int(which)%len(names)]
		m.Put("data/"+name, b)
		checkOpens(t, m)
	})
}

func checkOpens(t *testing.T, m *memfs.FS) {
	cfg := commitlog.DirConfig{Path: "data", FS: m, RetentionInterval: -1, Defaults: commitlog.LogConfig{RetentionAge: -1}}
	var before string
	for round := range 2 {
		d, err := commitlog.OpenDir(cfg)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		l := d.Log("t", 0)
		if l == nil {
			t.Fatal("the log is gone")
		}
		got := readAny(t, l)
		if round == 1 && (fmt.Sprint(got) != before || !d.WasClean() || d.Stats().RecoveredLogs != 0) {
			t.Fatalf("second time: %v, clean %v; before %s", got, d.WasClean(), before)
		}
		if _, _, _, err := l.OffsetForTime(5); err != nil {
			t.Fatalf("look for a time: %v", err)
		}
		l.MaxTimestamp()
		end := l.EndOffset()
		info, err := l.Append(plain(7, "new"), commitlog.AppendOptions{})
		if err != nil || info.BaseOffset != end {
			t.Fatalf("append at %d: %+v, %v", end, info, err)
		}
		flushAll(t, l)
		got = readAny(t, l)
		if len(got) == 0 || got[len(got)-1] != end {
			t.Fatalf("what was appended at %d is not there: %v", end, got)
		}
		before = fmt.Sprint(got)
		if err := d.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		if m.Opens != 0 {
			t.Fatalf("%d files left open", m.Opens)
		}
	}
}

// readAny reads base offsets of all batches by their headers, since the records may be anything.
func readAny(t *testing.T, l *commitlog.Log) []int64 {
	t.Helper()
	var out []int64
	for offset := l.StartOffset(); offset < l.EndOffset(); {
		span, err := l.Read(offset, 1, commitlog.ReadOptions{MinOne: true})
		if err != nil {
			t.Fatalf("read at %d: %v", offset, err)
		}
		if span.Empty() {
			t.Fatalf("nothing at %d of %d", offset, l.EndOffset())
		}
		head := make([]byte, 61)
		if _, err := span.ReadAt(head, 0); err != nil {
			t.Fatal(err)
		}
		span.Release()
		next := int64(binary.BigEndian.Uint64(head)) + int64(int32(binary.BigEndian.Uint32(head[23:]))) + 1
		if next <= offset {
			t.Fatalf("batch at %d ends at %d", offset, next)
		}
		out = append(out, int64(binary.BigEndian.Uint64(head)))
		offset = next
	}
	return out
}

// FuzzAppend sends any bytes to a log: they are refused, or read back as they are.
func FuzzAppend(f *testing.F) {
	f.Add(plain(1, "a", "b"), false)
	f.Add(append(plain(1, "a"), plain(2, "b")...), true)
	f.Add(sent(1, 0, 0, 3), true)
	for _, c := range codecs {
		f.Add(batchSpec{records: [][]byte{{1}, {2}}, attributes: c.attributes, squeeze: c.squeeze, producer: -1}.build(), true)
	}
	f.Add(plain(1, "a")[:40], false)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) >= 61 {
			// Get past the CRC.
			if n := 12 + int(int32(binary.BigEndian.Uint32(b[8:]))); n > len(b) || n < 61 {
				binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
			}
			if n := 12 + int(binary.BigEndian.Uint32(b[8:])); n == len(b) {
				resum(b)
			}
		}
		m := memfs.New()
		d := open(t, commitlog.DirConfig{Path: "data", FS: m, Durability: commitlog.PageCache})
		defer d.Close()
		l := create(t, d, "t", commitlog.LogConfig{})
		appendTo(t, l, sent(1, 0, 0, 1))
		sent := slices.Clone(b)
		info, err := l.Append(b, commitlog.AppendOptions{})
		if err != nil {
			for _, known := range []error{commitlog.ErrCorrupt, commitlog.ErrUnsupportedFormat, commitlog.ErrTooLarge, commitlog.ErrInvalidRecord, commitlog.ErrInvalidTimestamp, commitlog.ErrOutOfOrderSequence, commitlog.ErrInvalidProducerEpoch} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("no error of ours: %v", err)
		}
		if info.Duplicate {
			return
		}
		if info.BaseOffset != 1 || info.LastOffset < 1 || l.EndOffset() != info.LastOffset+1 {
			t.Fatalf("%+v, end %d", info, l.EndOffset())
		}
		span, err := l.Read(1, 1<<30, commitlog.ReadOptions{})
		if err != nil || span.Len != int64(len(b)) {
			t.Fatalf("%d bytes of %d, %v", span.Len, len(b), err)
		}
		got := make([]byte, span.Len)
		if _, err := span.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		span.Release()
		copy(sent[:8], got)
		copy(sent[12:16], got[12:])
		n := 12 + int(binary.BigEndian.Uint32(got[8:]))
		if string(got[:n]) != string(sent[:n]) {
			t.Fatal("read back otherwise")
		}
		readAny(t, l)
		if _, _, _, err := l.OffsetForTime(0); err != nil {
			t.Fatal(err)
		}
		l.MaxTimestamp()
	})
}

// FuzzCompact compacts a log with any bytes for the records of a batch, under any attributes: it ends, the log can be read
// and goes on where it did, and what could not be understood is as it was.
func FuzzCompact(f *testing.F) {
	body := keyed(1, "a=1", "b=-", "a=2")[61:]
	f.Add(uint16(0), uint8(3), body)
	f.Add(uint16(0x10), uint8(3), body)
	f.Add(uint16(0x40), uint8(3), body)
	f.Add(uint16(0x30), uint8(1), []byte{32, 0, 0, 0, 8, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint16(8), uint8(2), body)
	f.Add(uint16(0), uint8(3), body[:len(body)-2])
	for _, c := range codecs[1:] {
		f.Add(c.attributes, uint8(3), c.squeeze(body))
		f.Add(c.attributes, uint8(3), body)
	}
	f.Fuzz(func(t *testing.T, attributes uint16, n uint8, body []byte) {
		n = n%8 + 1
		strange := batchSpec{records: make([][]byte, n), attributes: attributes &^ 7, producer: 7, sequence: 0}
		if attributes&0x30 == 0 {
			strange.producer = -1
		}
		strange.squeeze = func([]byte) []byte { return body }
		strange.attributes |= attributes % 5
		b := strange.build()
		binary.BigEndian.PutUint64(b, 2)
		binary.BigEndian.PutUint32(b[12:], 0)
		first, last := keyed(1, "a=0", "c=0"), keyed(9, "a=9", "z=9")
		binary.BigEndian.PutUint32(first[12:], 0)
		binary.BigEndian.PutUint64(last, 2+uint64(n))
		binary.BigEndian.PutUint32(last[12:], 0)
		m := memfs.New()
		m.Put("data/t-0/00000000000000000000.log", slices.Concat(first, b, last))
		m.Put("data/t-0/leader-epoch-checkpoint", []byte("0\n1\n0 0\n"))
		cfg := commitlog.DirConfig{
			Path: "data", FS: m, RetentionInterval: -1, CleanerInterval: -1,
			Defaults: commitlog.LogConfig{RetentionAge: -1, Compact: true, MinCleanableRatio: -1, DeleteRetention: 1},
		}
		d := open(t, cfg)
		l := d.Log("t", 0)
		end := l.EndOffset()
		if end != 4+int64(n) {
			t.Fatalf("end %d", end)
		}
		roll(t, d, l)
		for round := range 3 {
			d.Compact(now().Add(time.Duration(round) * time.Hour))
			got := readAny(t, l)
			if st := d.Stats(); st.CompactErrors > 0 || len(got) == 0 || got[len(got)-1] != end || l.EndOffset() != end+1 {
				t.Fatalf("round %d: %v, end %d, %+v", round, got, l.EndOffset(), st)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = open(t, cfg)
		if d.Log("t", 0).EndOffset() != end+1 || d.Stats().RecoveredLogs > 0 {
			t.Fatalf("opened again: end %d", d.Log("t", 0).EndOffset())
		}
	})
}
