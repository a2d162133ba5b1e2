package commitlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// entry is a record as a consumer sees it.
type entry struct {
	key, value string
	tombstone  bool
	ts         int64
}

// batchView is a batch as a consumer sees it.
type batchView struct {
	kmsg.RecordBatch
	records map[int64]entry // by offset
	size    int
}

var unfolder = kgo.DefaultDecompressor()

// batchesOf reads a log batch by batch with another decoder than the package's.
func batchesOf(t testing.TB, l *commitlog.Log, o commitlog.ReadOptions) []batchView {
	t.Helper()
	o.MinOne = true
	var out []batchView
	for offset := l.StartOffset(); ; {
		s, err := l.Read(offset, 1, o)
		if err != nil {
			t.Fatal(err)
		}
		if s.Empty() {
			return out
		}
		b := make([]byte, s.Len)
		if _, err := s.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		s.Release()
		v := batchView{records: map[int64]entry{}, size: len(b)}
		if err := v.ReadFrom(b); err != nil || int(v.Length)+12 != len(b) {
			t.Fatalf("batch at %d of %d bytes: %v", offset, len(b), err)
		}
		if crc32.Checksum(b[21:], castagnoli) != uint32(v.CRC) {
			t.Fatalf("CRC of the batch at %d", offset)
		}
		if last := v.FirstOffset + int64(v.LastOffsetDelta); last < offset {
			t.Fatalf("batch %d to %d where %d was asked for", v.FirstOffset, last, offset)
		}
		body, err := unfolder.Decompress(v.Records, kgo.CompressionCodecType(v.Attributes&7))
		if v.NumRecords > 0 && err != nil {
			t.Fatalf("batch at %d: %v", v.FirstOffset, err)
		}
		for range v.NumRecords {
			length, n := binary.Varint(body)
			r := kmsg.Record{}
			if err := r.ReadFrom(body[:n+int(length)]); err != nil {
				t.Fatalf("record of the batch at %d: %v", v.FirstOffset, err)
			}
			body = body[n+int(length):]
			ts := v.FirstTimestamp + r.TimestampDelta64
			if ts > v.MaxTimestamp {
				t.Fatalf("batch at %d: timestamp %d beyond its largest, %d", v.FirstOffset, ts, v.MaxTimestamp)
			}
			v.records[v.FirstOffset+int64(r.OffsetDelta)] = entry{string(r.Key), string(r.Value), r.Value == nil, ts}
		}
		if len(body) > 0 && v.NumRecords > 0 {
			t.Fatalf("batch at %d: %d bytes too many", v.FirstOffset, len(body))
		}
		out = append(out, v)
		offset = v.FirstOffset + int64(v.LastOffsetDelta) + 1
	}
}

// committed is the last entry of each key that a read_committed consumer of the whole log knows, tombstones left out, as Kafka's
// consumer finds them: it is told of the aborted transactions of each fetch.
func committed(t testing.TB, l *commitlog.Log) map[string]entry {
	t.Helper()
	aborted, err := l.Aborted(l.StartOffset(), l.LastStableOffset())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(aborted, func(a, b commitlog.AbortedTxn) int { return int(a.FirstOffset - b.FirstOffset) })
	skip := map[int64]bool{}
	state := map[string]entry{}
	for _, b := range batchesOf(t, l, commitlog.ReadOptions{Committed: true}) {
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.FirstOffset+int64(b.LastOffsetDelta) {
			skip[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		if b.Attributes&0x20 != 0 {
			for _, r := range b.records {
				if r.key == "\x00\x00\x00\x00" {
					delete(skip, b.ProducerID)
				}
			}
			continue
		}
		if b.Attributes&0x10 != 0 && skip[b.ProducerID] {
			continue
		}
		for _, offset := range slices.Sorted(maps.Keys(b.records)) {
			if r := b.records[offset]; r.tombstone {
				delete(state, r.key)
			} else {
				state[r.key] = r
			}
		}
	}
	return state
}

// compactHistory writes a random compacted log and remembers everything.
type compactHistory struct {
	t       testing.TB
	rng     *rand.Rand
	cfg     commitlog.DirConfig
	dir     *commitlog.Dir
	log     *commitlog.Log
	all     map[int64]entry // every record ever written
	next    map[int64]int32 // sequence of each producer
	last    map[int64][]byte
	open    map[int64][]int64 // offsets of a producer's open transaction
	aborted map[int64]bool    // offsets of aborted transactions
	now     time.Time
	horizon time.Duration
}

func newCompactHistory(t testing.TB, seed uint64) *compactHistory {
	rng := rand.New(rand.NewPCG(seed, 7))
	h := &compactHistory{
		t: t, rng: rng, all: map[int64]entry{}, next: map[int64]int32{}, last: map[int64][]byte{},
		open: map[int64][]int64{}, aborted: map[int64]bool{}, now: time.UnixMilli(1_700_000_000_000), horizon: time.Hour,
	}
	h.cfg = commitlog.DirConfig{
		Path: "data", FS: memfs.New(), RetentionInterval: -1, CleanerInterval: -1,
		CleanerMapBytes: []int64{0, 500, 2000}[rng.IntN(3)],
		Defaults: commitlog.LogConfig{
			SegmentBytes: 1024 + int64(rng.IntN(3))*1500, IndexIntervalBytes: 1 + rng.IntN(800), RetentionAge: -1,
			Compact: true, DeleteRetention: h.horizon, MinCleanableRatio: -1,
		},
	}
	h.dir = open(t, h.cfg)
	h.log = create(t, h.dir, "t", h.cfg.Defaults)
	return h
}

func (h *compactHistory) append() {
	spec := batchSpec{baseTime: h.now.UnixMilli(), producer: -1}
	c := codecs[max(h.rng.IntN(4*len(codecs))-3*len(codecs), 0)] // most often none
	spec.attributes, spec.squeeze = c.attributes, c.squeeze
	var entries []entry
	for i := range 1 + h.rng.IntN(4) {
		e := entry{key: fmt.Sprint("k", h.rng.IntN(12)), ts: spec.baseTime + int64(i)}
		if h.rng.IntN(5) == 0 {
			e.tombstone = true
			spec.records = append(spec.records, nil)
		} else {
			e.value = fmt.Sprintf("%d %s", h.log.EndOffset(), strings.Repeat("v", h.rng.IntN(120)))
			spec.records = append(spec.records, []byte(e.value))
		}
		spec.keys = append(spec.keys, []byte(e.key))
		spec.times = append(spec.times, e.ts)
		entries = append(entries, e)
	}
	txn := false
	if id := h.rng.Int64N(6); id > 0 {
		txn = id >= 3
		spec.producer, spec.sequence = id, h.next[id]
		h.next[id] += int32(len(entries))
		if txn {
			spec.attributes |= 0x10
		}
	}
	b := spec.build()
	sent := bytes.Clone(b)
	info, err := h.log.Append(b, commitlog.AppendOptions{AllowTransactional: true})
	if err != nil || info.Duplicate {
		h.t.Fatalf("append: %+v, %v", info, err)
	}
	if spec.producer >= 0 {
		h.last[spec.producer] = sent
	}
	for i, e := range entries {
		h.all[info.BaseOffset+int64(i)] = e
		if txn {
			h.open[spec.producer] = append(h.open[spec.producer], info.BaseOffset+int64(i))
		}
	}
}

func (h *compactHistory) endTxn(id int64, commit bool) {
	end(h.t, h.log, id, 0, commit)
	for _, offset := range h.open[id] {
		h.aborted[offset] = !commit
	}
	delete(h.open, id)
}

// check holds the log against what was written.
func (h *compactHistory) check() {
	h.t.Helper()
	flushAll(h.t, h.log)
	h.checkState()
	for _, b := range batchesOf(h.t, h.log, commitlog.ReadOptions{}) {
		if b.Attributes&0x20 != 0 {
			continue
		}
		for offset, r := range b.records {
			if h.all[offset] != r {
				h.t.Fatalf("record %d is %+v, was %+v", offset, r, h.all[offset])
			}
		}
	}
	for id, b := range h.last {
		info, err := h.log.Append(bytes.Clone(b), commitlog.AppendOptions{AllowTransactional: true})
		if err != nil || !info.Duplicate {
			h.t.Fatalf("retry of the last batch of producer %d: %+v, %v", id, info, err)
		}
	}
}

func (h *compactHistory) checkState() {
	h.t.Helper()
	want := map[string]entry{}
	for _, offset := range slices.Sorted(maps.Keys(h.all)) {
		switch e := h.all[offset]; {
		case h.aborted[offset] || offset >= h.log.LastStableOffset():
		case e.tombstone:
			delete(want, e.key)
		default:
			want[e.key] = e
		}
	}
	got := committed(h.t, h.log)
	for k := range h.all {
		k := h.all[k].key
		if got[k] != want[k] {
			h.t.Fatalf("%s is %.20q, want %.20q", k, got[k].value, want[k].value)
		}
	}
}

func (h *compactHistory) step() {
	switch n := h.rng.IntN(100); {
	case n < 70:
		h.append()
	case n < 80:
		for id := range h.open {
			h.endTxn(id, h.rng.IntN(2) == 0)
			break
		}
	case n < 88:
		h.now = h.now.Add(time.Duration(h.rng.IntN(50)) * time.Minute)
		flushAll(h.t, h.log)
		before := h.log.Size()
		h.dir.Compact(h.now)
		if st := h.dir.Stats(); st.CompactErrors > 0 || h.log.Size() > before+200 {
			h.t.Fatalf("from %d to %d bytes, %+v", before, h.log.Size(), st)
		}
		h.check()
	case n < 92:
		flushAll(h.t, h.log)
		if err := h.dir.Close(); err != nil {
			h.t.Fatal(err)
		}
		h.reopen()
	case n < 95:
		flushAll(h.t, h.log)
		old := h.dir
		h.cfg.FS = h.cfg.FS.(*memfs.FS).Crash(h.rng, memfs.CrashMode(h.rng.IntN(int(memfs.CrashModes))))
		old.Close()
		h.reopen()
	}
}

func (h *compactHistory) reopen() {
	h.dir = open(h.t, h.cfg)
	h.log = h.dir.Log("t", 0)
	h.check()
}

// What a consumer of the whole log ends up with is the same before and after compaction, and so is every record that is left.
func TestCompact(t *testing.T) {
	for seed := range rounds(t, 30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newCompactHistory(t, uint64(seed))
			for range 150 {
				h.step()
			}
			for id := range h.open {
				h.endTxn(id, true)
			}
			h.append() // so that all before can be compacted
			h.check()
		})
	}
}

// keyed is a batch of records k=v; a value "-" is a tombstone.
func keyed(ms int64, pairs ...string) []byte {
	s := batchSpec{baseTime: ms, producer: -1}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		s.keys = append(s.keys, []byte(k))
		if v == "-" {
			s.records = append(s.records, nil)
		} else {
			s.records = append(s.records, []byte(v))
		}
	}
	return s.build()
}

// left lists what is in a log, offset and key=value.
func left(t testing.TB, l *commitlog.Log) string {
	var out []string
	for _, b := range batchesOf(t, l, commitlog.ReadOptions{}) {
		if b.NumRecords == 0 {
			out = append(out, fmt.Sprintf("%d-%d:empty", b.FirstOffset, b.FirstOffset+int64(b.LastOffsetDelta)))
		}
		for _, offset := range slices.Sorted(maps.Keys(b.records)) {
			r := b.records[offset]
			switch {
			case b.Attributes&0x20 != 0:
				out = append(out, fmt.Sprintf("%d:marker", offset))
			case r.tombstone:
				out = append(out, fmt.Sprintf("%d:%s=-", offset, r.key))
			default:
				out = append(out, fmt.Sprintf("%d:%s=%s", offset, r.key, r.value))
			}
		}
	}
	return strings.Join(out, " ")
}

// roll seals the active segment, begins the next with end=1, and waits until both are flushed.
func roll(t testing.TB, d *commitlog.Dir, l *commitlog.Log) {
	t.Helper()
	cfg := l.Config()
	aged := cfg
	aged.SegmentAge = time.Nanosecond
	l.SetConfig(aged)
	d.EnforceRetention(now().Add(time.Hour))
	l.SetConfig(cfg)
	appendTo(t, l, keyed(5000, "end=1"))
	flushAll(t, l)
}

func TestTombstones(t *testing.T) {
	d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New(), CleanerInterval: -1})
	l := create(t, d, "t", commitlog.LogConfig{Compact: true, DeleteRetention: time.Hour})
	appendTo(t, l, keyed(1000, "a=1", "b=1"))
	appendTo(t, l, keyed(2000, "a=-"))
	appendTo(t, l, keyed(3000, "c=1", "d=-"))
	appendTo(t, l, keyed(4000, "e=1"))
	roll(t, d, l)
	at := now()
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, "1:b=1 2:a=- 3:c=1 4:d=- 5:e=1 6:end=1"},
		{59 * time.Minute, "1:b=1 2:a=- 3:c=1 4:d=- 5:e=1 6:end=1"},
		{61 * time.Minute, "1:b=1 3:c=1 5:e=1 6:end=1"},
	} {
		d.Compact(at.Add(c.after))
		if got := left(t, l); got != c.want {
			t.Errorf("after %v: %s, want %s", c.after, got, c.want)
		}
	}
	if o, ts, _, err := l.OffsetForTime(2500); o != 3 || ts != 3000 || err != nil {
		t.Errorf("time 2500: offset %d, timestamp %d, %v", o, ts, err)
	}
}

func TestWhenToCompact(t *testing.T) {
	const hour = time.Hour
	at := now()
	for _, c := range []struct {
		name  string
		cfg   commitlog.LogConfig
		stamp time.Duration // ago
		want  bool
	}{
		{"dirty enough", commitlog.LogConfig{Compact: true}, hour, true},
		{"not compacted", commitlog.LogConfig{RetentionAge: -1}, hour, false},
		{"not dirty enough", commitlog.LogConfig{Compact: true, MinCleanableRatio: 1}, hour, false},
		{"waited too long", commitlog.LogConfig{Compact: true, MinCleanableRatio: 1, MaxCompactionLag: hour / 2}, hour, true},
		{"not yet", commitlog.LogConfig{Compact: true, MinCleanableRatio: 1, MaxCompactionLag: 2 * hour}, hour, false},
		{"too young", commitlog.LogConfig{Compact: true, MinCompactionLag: 2 * hour}, hour, false},
		{"old enough", commitlog.LogConfig{Compact: true, MinCompactionLag: hour / 2}, hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New(), CleanerInterval: -1})
			l := create(t, d, "t", c.cfg)
			appendTo(t, l, keyed(at.Add(-c.stamp).UnixMilli(), "a=1"))
			appendTo(t, l, keyed(at.Add(-c.stamp).UnixMilli(), "a=2"))
			flushAll(t, l)
			d.Compact(at)
			if got := left(t, l); got != "0:a=1 1:a=2" {
				t.Fatalf("active segment compacted: %s", got)
			}
			roll(t, d, l)
			d.Compact(at)
			if got := left(t, l); (got == "1:a=2 2:end=1") != c.want {
				t.Errorf("left: %s", got)
			}
		})
	}
}

func TestCompactRefusesNoKey(t *testing.T) {
	d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New(), CleanerInterval: -1})
	l := create(t, d, "t", commitlog.LogConfig{Compact: true})
	for _, c := range codecs {
		spec := batchSpec{records: [][]byte{{1}, {2}}, keys: [][]byte{{1}, nil}, attributes: c.attributes, squeeze: c.squeeze, producer: -1}
		if _, err := l.Append(spec.build(), commitlog.AppendOptions{}); !errors.Is(err, commitlog.ErrInvalidRecord) {
			t.Errorf("%s: %v", c.name, err)
		}
		spec.keys[1] = []byte{2}
		appendTo(t, l, spec.build())
	}
	if _, err := l.Append(batchSpec{records: [][]byte{{1}}, keys: [][]byte{{1}}, attributes: 1, producer: -1}.build(), commitlog.AppendOptions{}); !errors.Is(err, commitlog.ErrInvalidRecord) {
		t.Errorf("gzip that is none: %v", err)
	}
}

// A damaged batch is not written again with a CRC that holds.
func TestCompactStopsAtDamage(t *testing.T) {
	m := memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m, CleanerInterval: -1})
	l := create(t, d, "t", commitlog.LogConfig{Compact: true})
	appendTo(t, l, keyed(1, "a=1"))
	appendTo(t, l, keyed(1, "a=2"))
	size := l.Size()
	roll(t, d, l)
	f, err := m.OpenFile("data/t-0/00000000000000000000.log", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{'x'}, size-2); err != nil {
		t.Fatal(err)
	}
	before := m.Contents("data/t-0/00000000000000000000.log")
	d.Compact(now())
	if st := d.Stats(); st.CompactErrors != 1 || st.Compactions != 0 {
		t.Errorf("%+v", st)
	}
	if !bytes.Equal(m.Contents("data/t-0/00000000000000000000.log"), before) || m.Contents("data/t-0/00000000000000000000.log.cleaned") != nil {
		t.Error("something was written")
	}
}

// Wherever a crash interrupts a compaction, the log has every key with its last value afterwards.
func TestCompactCrash(t *testing.T) {
	steps := 0
	stride := 3 // each step with one or two of the modes
	if os.Getenv("TRIBUTARY_FAULT_ROUNDS") != "" {
		stride = 1
	}
	for _, mode := range []memfs.CrashMode{memfs.KeepAll, memfs.KeepNone, memfs.KeepSome, memfs.TornPages, memfs.HalfNames} {
		for at := int(mode) % stride; ; at += stride {
			m := memfs.New()
			cfg := commitlog.DirConfig{Path: "data", FS: m, CleanerInterval: -1, RetentionInterval: -1, Defaults: commitlog.LogConfig{SegmentBytes: 1024, Compact: true, RetentionAge: -1}}
			d := open(t, cfg)
			l := create(t, d, "t", cfg.Defaults)
			want := map[string]entry{}
			for i := range 40 {
				k, v := fmt.Sprint("k", i%7), fmt.Sprint(i, strings.Repeat("x", 60))
				if i%5 == 0 {
					delete(want, k)
					v = "-"
				} else {
					want[k] = entry{k, v, false, int64(i)}
				}
				appendTo(t, l, keyed(int64(i), k+"="+v))
				if i%9 == 0 {
					appendTxn(t, l, batchSpec{records: [][]byte{[]byte("aborted")}, keys: [][]byte{[]byte("k3")}, producer: 5, sequence: int32(i / 9), attributes: 0x10}.build())
					end(t, l, 5, 0, false)
				}
			}
			flushAll(t, l)
			m.Set(func() { m.DiesIn = at })
			d.Compact(now())
			died := m.IsDead()
			end := l.EndOffset()
			rng := rand.New(rand.NewPCG(uint64(at), uint64(mode)))
			next := m.Crash(rng, mode)
			d.Close()
			cfg.FS = next
			d = open(t, cfg)
			l = d.Log("t", 0)
			if got := committed(t, l); !maps.Equal(got, want) || l.EndOffset() != end {
				t.Fatalf("mode %d, step %d: end %d, %.400v\nwant %.400v", mode, at, l.EndOffset(), got, want)
			}
			checkTxnsAfterCompaction(t, l)
			d.Compact(now())
			if got := committed(t, l); !maps.Equal(got, want) || d.Stats().CompactErrors > 0 {
				t.Fatalf("mode %d, step %d, compacted again: %v\nwant %v", mode, at, got, want)
			}
			entries, _ := next.ReadDir("data/t-0")
			for _, e := range entries {
				if strings.HasSuffix(e.Name, ".swap") || strings.HasSuffix(e.Name, ".cleaned") || strings.HasSuffix(e.Name, ".deleted") {
					t.Fatalf("mode %d, step %d: %s is left", mode, at, e.Name)
				}
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			steps++
			if !died {
				break
			}
		}
	}
	if steps < 30 {
		t.Errorf("%d crashes", steps)
	}
}

// checkTxnsAfterCompaction wants no entry of an aborted transaction without its marker: a consumer would take what the producer
// wrote later for aborted.
func checkTxnsAfterCompaction(t testing.TB, l *commitlog.Log) {
	t.Helper()
	list, err := l.Aborted(0, l.EndOffset())
	if err != nil {
		t.Fatal(err)
	}
	markers := 0
	for _, b := range batchesOf(t, l, commitlog.ReadOptions{}) {
		if b.Attributes&0x20 != 0 {
			markers++
		}
	}
	if len(list) > markers {
		t.Fatalf("%d aborted transactions, %d markers", len(list), markers)
	}
}

// Appends, reads and retention go on while logs are compacted; the race detector watches.
func TestCompactConcurrent(t *testing.T) {
	d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New(), CleanerInterval: -1})
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 8192, IndexIntervalBytes: 300, Compact: true, CompactDelete: true, RetentionBytes: 100_000, MinCleanableRatio: -1})
	other := create(t, d, "other", commitlog.LogConfig{SegmentBytes: 4096, Compact: true, MinCleanableRatio: -1})
	const writers, each = 3, 300
	var writing, rest sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := 0; i < each || d.Stats().Compactions < 3; i++ {
				for l.Size() > 150_000 { // compaction and retention are to keep up
					time.Sleep(time.Millisecond)
				}
				b := keyed(int64(i), fmt.Sprintf("%d.%d=%s", w, i%20, strings.Repeat("v", 200)), fmt.Sprintf("last=%d.%d", w, i))
				if _, err := l.Append(b, commitlog.AppendOptions{}); err != nil {
					t.Error(err)
					return
				}
				_, _ = other.Append(keyed(1, fmt.Sprint("a=", i)), commitlog.AppendOptions{}) // it is deleted meanwhile
			}
		})
	}
	done := make(chan struct{})
	for range 2 {
		rest.Go(func() {
			for next := int64(0); ; {
				low := l.StartOffset()
				span, err := l.Read(next, 2000, commitlog.ReadOptions{MinOne: true, Committed: true})
				if err != nil {
					next = l.StartOffset()
					continue
				}
				b := make([]byte, span.Len)
				if len(b) > 0 {
					if _, err := span.ReadAt(b, 0); err != nil {
						t.Error(err)
					}
					if span.Offset > next && span.Offset < low {
						t.Errorf("span at %d for %d", span.Offset, next)
					}
				}
				empty := span.Empty()
				span.Release()
				for len(b) >= 61 {
					next = int64(binary.BigEndian.Uint64(b)) + int64(binary.BigEndian.Uint32(b[23:])) + 1
					b = b[min(len(b), 12+int(binary.BigEndian.Uint32(b[8:]))):]
				}
				if empty {
					select {
					case <-done:
						return
					default:
						next = l.StartOffset()
					}
				}
				if _, _, _, err := l.OffsetForTime(50); err != nil {
					t.Error(err)
				}
			}
		})
	}
	rest.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			d.Compact(now())
			if i%3 == 0 {
				d.EnforceRetention(now())
			}
		}
	})
	rest.Go(func() {
		for other.EndOffset() < 200 {
			time.Sleep(time.Millisecond)
		}
		if err := d.Delete("other", 0); err != nil {
			t.Error(err)
		}
	})
	writing.Wait()
	close(done)
	rest.Wait()
	if st := d.Stats(); st.Compactions == 0 || st.CompactErrors > 0 {
		t.Errorf("%+v", st)
	}
}
