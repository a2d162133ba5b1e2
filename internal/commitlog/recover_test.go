package commitlog_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// lengthy is a log of batches larger than the buffer that recovery reads with.
func lengthy(t *testing.T) (m *memfs.FS, sizes []int64) {
	t.Helper()
	m = memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m})
	l := create(t, d, "t", commitlog.LogConfig{MaxMessageBytes: 4 << 20})
	for _, n := range []int{100, 900_000, 3_000, 262_144, 700_000} {
		b := sized(now().UnixMilli(), n)
		appendTo(t, l, b)
		sizes = append(sizes, int64(len(b)))
	}
	flushAll(t, l)
	next := m.Crash(nil, memfs.KeepAll)
	d.Close()
	return next, sizes
}

// The leader epoch of a batch is under no CRC. Damage to it is mended from the history of epochs, and does not become
// an epoch that the history cannot go on from.
func TestDamagedEpoch(t *testing.T) {
	const name = "data/t-0/00000000000000000000.log"
	for _, known := range []bool{true, false} {
		m, sizes := lengthy(t)
		data := m.Contents(name)
		data[start(sizes, sizes[0]+1)+12] ^= 1 << 6
		m.Put(name, data)
		if !known {
			m.Put("data/t-0/leader-epoch-checkpoint", []byte("?"))
		}
		for want := int32(1); want < 4; want++ {
			d := open(t, commitlog.DirConfig{Path: "data", FS: m})
			l := d.Log("t", 0)
			if l.LeaderEpoch() != want || l.EndOffset() != int64(len(sizes)) {
				t.Fatalf("history known %v: epoch %d, want %d; %d records", known, l.LeaderEpoch(), want, l.EndOffset())
			}
			if got := m.Contents(name)[start(sizes, sizes[0]+1)+12]; known && got != 0 {
				t.Fatalf("epoch left damaged: %#x", got)
			}
			m = m.Crash(nil, memfs.KeepAll)
			d.Close()
		}
	}
}

// A log is cut where the first batch is not whole, wherever in it that is.
func TestCutAtDamage(t *testing.T) {
	whole, sizes := lengthy(t)
	const name = "data/t-0/00000000000000000000.log"
	data := whole.Contents(name)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		at := rng.Int64N(int64(len(data)))
		damaged := slices.Clone(data)
		switch i % 3 {
		case 0:
			if in := at - start(sizes, at); in < 8 || in >= 12 && in < 16 {
				at += 16 // base offset and leader epoch are not under the CRC
			}
			damaged[at] ^= byte(1 + rng.IntN(255))
		case 1:
			damaged = damaged[:at]
		case 2:
			clear(damaged[at:])
			if slices.Equal(damaged, data) {
				continue
			}
			for at < int64(len(data)) && data[at] == 0 {
				at++ // nothing has changed before here
			}
		}
		m := memfs.New()
		for _, file := range []string{"data/t-0/partition.metadata", "data/t-0/leader-epoch-checkpoint"} {
			m.Put(file, whole.Contents(file))
		}
		m.Put(name, damaged)
		cfg := commitlog.DirConfig{Path: "data", FS: m}
		d := open(t, cfg)
		l := d.Log("t", 0)
		want := int64(0)
		for n, left := int64(0), at; int(n) < len(sizes) && left >= sizes[n]; n++ {
			left -= sizes[n]
			want = n + 1
		}
		if l.EndOffset() != want || l.LeaderEpoch() != 1 || d.WasClean() {
			t.Fatalf("damage of kind %d at %d: ends at %d, want %d; epoch %d", i%3, at, l.EndOffset(), want, l.LeaderEpoch())
		}
		if size := int64(len(m.Contents(name))); size != start(sizes, at) {
			t.Fatalf("cut at %d, want %d", size, start(sizes, at))
		}
		if got := readFrom(t, l, 0, 100); int64(len(got)) != want {
			t.Fatalf("%d records", len(got))
		}
		d.Close()
	}
}

// start is where the batch begins that holds a position.
func start(sizes []int64, at int64) int64 {
	pos := int64(0)
	for _, n := range sizes {
		if pos+n > at {
			break
		}
		pos += n
	}
	return pos
}

// After an orderly stop next to nothing is read; after another one no more than the last segment.
func TestRecoveryReadsLittle(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m, Defaults: commitlog.LogConfig{SegmentBytes: 100_000}}
	d := open(t, cfg)
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 100_000})
	for i := range 1000 {
		appendTo(t, l, batchSpec{baseTime: now().UnixMilli(), producer: 5, sequence: int32(i), records: [][]byte{make([]byte, 900)}}.build())
	}
	flushAll(t, l)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	m.Reads = 0
	d = open(t, cfg)
	if st := d.Stats(); m.Reads > 20_000 || st.RecoveredLogs != 0 || st.RecoveredBatches != 0 {
		t.Errorf("clean: read %d bytes, %+v", m.Reads, st)
	}
	l = d.Log("t", 0)
	appendTo(t, l, plain(now().UnixMilli(), "x"))
	flushAll(t, l)
	m = m.Crash(nil, memfs.KeepNone)
	d.Close()
	cfg.FS = m
	d = open(t, cfg)
	if st := d.Stats(); m.Reads > 150_000 || st.RecoveredLogs != 1 || st.RecoveredBatches > 110 || st.CutBytes != 0 {
		t.Errorf("after a crash: read %d bytes, %+v", m.Reads, st)
	}
	if l = d.Log("t", 0); l.EndOffset() != 1001 {
		t.Errorf("ends at %d", l.EndOffset())
	}
	if p := l.Producers(); len(p) != 1 || p[0].LastSequence != 999 {
		t.Errorf("producers %+v", p)
	}
}

// Indexes of sealed segments that are lost or wrong are made again, byte for byte.
func TestIndexesAreRebuilt(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m, Defaults: commitlog.LogConfig{IndexIntervalBytes: 300}}
	d := open(t, cfg)
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 4000, IndexIntervalBytes: 300})
	for i := range 100 {
		appendTo(t, l, plain(now().UnixMilli()+int64(i), fmt.Sprint(i)))
	}
	flushAll(t, l)
	want := readFrom(t, l, 0, 1000)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	const index, times = "data/t-0/00000000000000000000.index", "data/t-0/00000000000000000000.timeindex"
	goodIndex, goodTimes := m.Contents(index), m.Contents(times)
	if len(goodIndex) < 40 || len(goodTimes) < 60 {
		t.Fatalf("%d and %d bytes of index", len(goodIndex), len(goodTimes))
	}
	for _, damage := range []func(){
		func() { m.Remove(index) },
		func() { m.Remove(times) },
		func() { m.Remove(index); m.Remove(times) },
		func() { m.Put(index, goodIndex[:len(goodIndex)-1]) },
		func() { m.Put(times, goodTimes[:13]) },
		func() { m.Put(index, append(slices.Clone(goodIndex), make([]byte, 8)...)) },
		func() { m.Put(times, append(slices.Clone(goodTimes), 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)) },
	} {
		damage()
		d = open(t, cfg)
		if !d.WasClean() {
			t.Fatal("not clean")
		}
		l = d.Log("t", 0)
		if got := readFrom(t, l, 0, 1000); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("read %v", got)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		gotIndex, gotTimes := m.Contents(index), m.Contents(times)
		if !slices.Equal(gotIndex, goodIndex) || !slices.Equal(gotTimes, goodTimes) {
			t.Errorf("index of %d bytes, was %d; times %d, was %d", len(gotIndex), len(goodIndex), len(gotTimes), len(goodTimes))
		}
	}
}
