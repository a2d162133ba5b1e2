package commitlog_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// inTxn is a transactional batch of n records of a producer.
func inTxn(id int64, epoch int16, sequence int32, n int) []byte {
	s := batchSpec{baseTime: 1_700_000_000_000, producer: id, epoch: epoch, sequence: sequence, attributes: 0x10}
	for range n {
		s.records = append(s.records, []byte("t"))
	}
	return s.build()
}

func appendTxn(t testing.TB, l *commitlog.Log, b []byte) commitlog.AppendInfo {
	t.Helper()
	info, err := l.Append(b, commitlog.AppendOptions{AllowTransactional: true})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func end(t testing.TB, l *commitlog.Log, id int64, epoch int16, commit bool) commitlog.AppendInfo {
	t.Helper()
	info, err := l.AppendMarker(commitlog.TxnMarker{ProducerID: id, ProducerEpoch: epoch, Commit: commit, CoordinatorEpoch: 3})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// txnView is what a log says of its transactions, found by reading every batch: independent of any index.
type txnView struct {
	open    map[int64]int64 // producer -> first offset
	aborted []span
	end     int64
}

type span struct{ producer, first, last int64 }

func viewTxns(t testing.TB, l *commitlog.Log) txnView {
	t.Helper()
	v := txnView{open: map[int64]int64{}, end: l.EndOffset()}
	be := binary.BigEndian
	for offset := l.StartOffset(); offset < v.end; {
		s, err := l.Read(offset, 1, commitlog.ReadOptions{MinOne: true, Uncommitted: true})
		if err != nil {
			t.Fatal(err)
		}
		if s.Empty() {
			break
		}
		b := make([]byte, s.Len)
		if _, err := s.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		s.Release()
		base := int64(be.Uint64(b))
		last := base + int64(int32(be.Uint32(b[23:])))
		id, attributes := int64(be.Uint64(b[43:])), be.Uint16(b[21:])
		switch {
		case attributes&0x20 != 0:
			first, open := v.open[id]
			delete(v.open, id)
			if open && b[61+4+1+3] == 0 { // length, attributes, two deltas, key length, version, type
				v.aborted = append(v.aborted, span{id, first, last})
			}
		case attributes&0x10 != 0:
			if _, open := v.open[id]; !open {
				v.open[id] = max(base, l.StartOffset())
			}
		}
		offset = last + 1
	}
	return v
}

// stable is the last stable offset with everything flushed.
func (v txnView) stable() int64 {
	lso := v.end
	for _, first := range v.open {
		lso = min(lso, first)
	}
	return lso
}

// checkTxns holds the log against what its batches say. A transaction that began below the log start offset is known to
// the log, while its batches tell of the rest at most.
func checkTxns(t testing.TB, l *commitlog.Log, rng *rand.Rand) {
	t.Helper()
	v, low := viewTxns(t, l), l.StartOffset()
	same := func(known, seen int64) bool { return known == seen || known < low && seen >= low }
	for _, p := range l.Producers() {
		first, open := v.open[p.ProducerID]
		if p.TxnStartOffset >= 0 && p.TxnStartOffset < low {
			v.open[p.ProducerID] = low
		} else if p.TxnStartOffset >= 0 != open || open && first != p.TxnStartOffset {
			t.Fatalf("producer %+v, want a transaction from %d: %v", p, first, open)
		}
	}
	if l.HighWatermark() == v.end && l.LastStableOffset() != max(v.stable(), low) {
		t.Fatalf("last stable offset %d, want %d: %+v", l.LastStableOffset(), v.stable(), v)
	}
	for range 5 {
		from := low
		if v.end > low {
			from += rng.Int64N(v.end - low)
		}
		to := from + rng.Int64N(v.end-from+1)
		got, err := l.Aborted(from, to)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range v.aborted {
			want := a.last >= from && a.first < to
			found := slices.ContainsFunc(got, func(g commitlog.AbortedTxn) bool { return g.ProducerID == a.producer && same(g.FirstOffset, a.first) })
			if want && !found {
				t.Fatalf("aborted from %d to %d: %v, without %+v", from, to, got, a)
			}
		}
		for _, g := range got {
			if g.FirstOffset >= low && !slices.ContainsFunc(v.aborted, func(a span) bool { return a.producer == g.ProducerID && a.first == g.FirstOffset }) {
				t.Fatalf("aborted from %d to %d: %+v never was", from, to, g)
			}
		}
	}
}

func TestLastStableOffset(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m}
	d := open(t, cfg)
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 1024, IndexIntervalBytes: 100})
	check := func(what string, hw, lso int64) {
		t.Helper()
		if l.HighWatermark() != hw || l.LastStableOffset() != lso {
			t.Fatalf("%s: high watermark %d, last stable offset %d, want %d and %d", what, l.HighWatermark(), l.LastStableOffset(), hw, lso)
		}
		n := l.StartOffset()
		for offset := n; ; {
			s, err := l.Read(offset, 1, commitlog.ReadOptions{MinOne: true, Committed: true})
			if err != nil {
				t.Fatal(err)
			}
			if s.Empty() {
				break
			}
			b := make([]byte, s.Len)
			if _, err := s.ReadAt(b, 0); err != nil {
				t.Fatal(err)
			}
			if s.Bound() <= s.Offset || s.Bound() > lso {
				t.Fatalf("%s: span at %d bound by %d", what, s.Offset, s.Bound())
			}
			s.Release()
			offset = int64(binary.BigEndian.Uint64(b)) + int64(binary.BigEndian.Uint32(b[23:])) + 1
			n = offset
		}
		if n != lso {
			t.Fatalf("%s: read_committed ends at %d, not %d", what, n, lso)
		}
	}
	appendTo(t, l, plain(1, "a", "b"))
	flushAll(t, l)
	check("no transaction", 2, 2)
	appendTxn(t, l, inTxn(1, 0, 0, 2)) // 2, 3
	appendTxn(t, l, inTxn(2, 0, 0, 1)) // 4
	appendTo(t, l, plain(1, "c"))      // 5
	flushAll(t, l)
	check("two open", 6, 2)
	m.SetGate(true)
	end(t, l, 1, 0, true) // 6
	check("marker not flushed", 6, 2)
	m.SetGate(false)
	flushAll(t, l)
	check("one committed", 7, 4)
	for i := range int32(20) { // over several segments
		appendTxn(t, l, inTxn(2, 0, 1+i, 1))
	}
	end(t, l, 9, 0, false) // of a producer without a transaction
	flushAll(t, l)
	check("the other goes on", 28, 4)
	for _, how := range []string{"close", "crash"} {
		if how == "close" {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			m = m.Crash(rand.New(rand.NewPCG(1, 2)), memfs.KeepNone)
			d.Close()
			cfg.FS = m
		}
		d = open(t, cfg)
		l = d.Log("t", 0)
		check(how, 28, 4)
	}
	m.SetGate(true)
	end(t, l, 2, 0, false) // 28
	appendTxn(t, l, inTxn(2, 0, 21, 1))
	check("marker not flushed", 28, 4)
	m.SetGate(false)
	flushAll(t, l)
	check("aborted, and the next open", 30, 29)
	if got, err := l.Aborted(0, 30); err != nil || len(got) != 1 || got[0] != (commitlog.AbortedTxn{ProducerID: 2, FirstOffset: 4}) {
		t.Errorf("aborted: %v, %v", got, err)
	}
	if got, err := l.Aborted(0, 4); err != nil || len(got) != 0 {
		t.Errorf("aborted before 4: %v, %v", got, err)
	}
	if got, err := l.Aborted(29, 30); err != nil || len(got) != 0 {
		t.Errorf("aborted behind 28: %v, %v", got, err)
	}
	if _, err := l.DeleteBefore(30); err != nil {
		t.Fatal(err)
	}
	check("deleted", 30, 30)
}

func TestMarkers(t *testing.T) {
	d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New()})
	l := create(t, d, "t", commitlog.LogConfig{})
	marker := func(epoch int16, coordinator int32) error {
		_, err := l.AppendMarker(commitlog.TxnMarker{ProducerID: 1, ProducerEpoch: epoch, CoordinatorEpoch: coordinator})
		return err
	}
	appendTxn(t, l, inTxn(1, 5, 0, 1))
	if _, err := l.Append(sent(1, 5, 1, 1), commitlog.AppendOptions{}); !errors.Is(err, commitlog.ErrInvalidTxnState) {
		t.Errorf("plain batch in a transaction: %v", err)
	}
	if info := appendTxn(t, l, inTxn(1, 5, 0, 1)); !info.Duplicate {
		t.Errorf("retry: %+v", info)
	}
	for _, c := range []struct {
		epoch       int16
		coordinator int32
		want        error
	}{
		{4, 7, commitlog.ErrInvalidProducerEpoch},
		{5, 7, nil},
		{5, 6, commitlog.ErrCoordinatorFenced},
		{5, 7, nil}, // again: the coordinator did not hear the answer
		{6, 7, nil}, // fences
		{5, 8, commitlog.ErrInvalidProducerEpoch},
	} {
		if err := marker(c.epoch, c.coordinator); !errors.Is(err, c.want) {
			t.Errorf("marker of epoch %d, coordinator %d: %v, want %v", c.epoch, c.coordinator, err, c.want)
		}
	}
	if _, err := l.Append(inTxn(1, 5, 1, 1), commitlog.AppendOptions{AllowTransactional: true}); !errors.Is(err, commitlog.ErrInvalidProducerEpoch) {
		t.Errorf("fenced producer: %v", err)
	}
	if _, err := l.Append(inTxn(1, 6, 1, 1), commitlog.AppendOptions{AllowTransactional: true}); !errors.Is(err, commitlog.ErrOutOfOrderSequence) {
		t.Errorf("a new epoch that does not begin with 0: %v", err)
	}
	appendTxn(t, l, inTxn(1, 6, 0, 1))
	if p := l.Producers(); len(p) != 1 || p[0].Epoch != 6 || p[0].CoordinatorEpoch != 7 || p[0].TxnStartOffset != l.EndOffset()-1 {
		t.Errorf("producers %+v", p)
	}
}

// A full disk neither leaves an aborted transaction without its entry nor an entry without the marker.
func TestMarkerOnFullDisk(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m}
	d := open(t, cfg)
	l := create(t, d, "t", commitlog.LogConfig{})
	appendTxn(t, l, inTxn(1, 0, 0, 1))
	flushAll(t, l)
	rng := rand.New(rand.NewPCG(1, 1))
	for space := int64(0); ; space++ {
		m.Set(func() { m.Left = space })
		_, err := l.AppendMarker(commitlog.TxnMarker{ProducerID: 1})
		m.Set(func() { m.Left = -1 })
		checkTxns(t, l, rng)
		if err == nil {
			break
		}
	}
	appendTxn(t, l, inTxn(1, 0, 1, 1))
	end(t, l, 1, 0, false)
	checkTxns(t, l, rng)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, cfg).Log("t", 0)
	checkTxns(t, l, rng)
	if got, err := l.Aborted(0, math.MaxInt64); err != nil || len(got) != 2 {
		t.Errorf("aborted %v, %v", got, err)
	}
}

// An index of aborted transactions that cannot be right is made anew from the log.
func TestTxnIndexRebuilt(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m}
	d := open(t, cfg)
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 1024})
	for i := range int32(30) {
		appendTxn(t, l, inTxn(1, 0, i, 1))
		if i%3 == 0 {
			end(t, l, 1, 0, i%2 == 0)
		}
	}
	flushAll(t, l)
	want, err := l.Aborted(0, math.MaxInt64)
	if err != nil || len(want) != 5 {
		t.Fatalf("aborted %v, %v", want, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for _, s := range l.Segments() {
		name := fmt.Sprintf("data/t-0/%020d.txnindex", s.BaseOffset)
		if b := m.Contents(name); len(b) > 0 {
			if damaged++; damaged%2 == 0 {
				m.Put(name, b[:len(b)-1])
			} else {
				b[1] = 9
				m.Put(name, b)
			}
		}
	}
	if damaged < 2 {
		t.Fatalf("%d segments with aborted transactions", damaged)
	}
	l = open(t, cfg).Log("t", 0)
	got, err := l.Aborted(0, math.MaxInt64)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("aborted %v, want %v; %v", got, want, err)
	}
	checkTxns(t, l, rand.New(rand.NewPCG(1, 1)))
}

// A producer of which only a marker is left goes on where it was: retention took what would tell its sequence.
func TestSequenceAfterLoneMarker(t *testing.T) {
	cfg := commitlog.DirConfig{Path: "data", FS: memfs.New()}
	d := open(t, cfg)
	l := create(t, d, "t", commitlog.LogConfig{})
	end(t, l, 1, 5, true) // what was before it is gone
	end(t, l, 2, 5, true)
	end(t, l, 2, 6, false) // fences: the new epoch has had no batch
	for range 2 {
		if _, err := l.Append(inTxn(2, 6, 7, 1), commitlog.AppendOptions{AllowTransactional: true}); !errors.Is(err, commitlog.ErrOutOfOrderSequence) {
			t.Fatalf("a new epoch that does not begin with 0: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = open(t, cfg)
		l = d.Log("t", 0)
	}
	appendTxn(t, l, inTxn(1, 5, 7, 1))
	if _, err := l.Append(inTxn(1, 5, 9, 1), commitlog.AppendOptions{AllowTransactional: true}); !errors.Is(err, commitlog.ErrOutOfOrderSequence) {
		t.Errorf("a gap after that: %v", err)
	}
}
