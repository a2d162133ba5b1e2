package commitlog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// The order of what reaches the disk, at creation and at a roll.
func TestOrder(t *testing.T) {
	m := memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m})
	beside := func(op string) bool { // what housekeeping does, whenever it comes by
		return strings.Contains(op, "recovery-point") || op == "syncdir data"
	}
	take := func(leave func(op string) bool) string {
		var out []string
		m.Set(func() { out, m.Ops = m.Ops, nil })
		if leave != nil {
			out = slices.DeleteFunc(out, leave)
		}
		return strings.NewReplacer("data/", "", "00000000000000000", "~").Replace(strings.Join(out, "\n"))
	}
	take(nil)
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 1024, IndexIntervalBytes: 100})
	check := func(what string, leave func(op string) bool, want string) {
		t.Helper()
		if got := take(leave); got != strings.TrimSpace(want) {
			t.Errorf("%s:\n%s\nwant:%s", what, got, want)
		}
	}
	check("create", nil, `
mkdir t-0.creating
create t-0.creating/~000.log
create t-0.creating/~000.index
create t-0.creating/~000.timeindex
sync t-0.creating/~000.log
sync t-0.creating/~000.index
sync t-0.creating/~000.timeindex
create t-0.creating/partition.metadata
write t-0.creating/partition.metadata
sync t-0.creating/partition.metadata
create t-0.creating/leader-epoch-checkpoint
write t-0.creating/leader-epoch-checkpoint
sync t-0.creating/leader-epoch-checkpoint
syncdir t-0.creating
rename t-0.creating t-0
syncdir `+"data")
	appendTo(t, l, sized(1, 400))
	appendTo(t, l, sized(2, 400))
	flushAll(t, l)
	take(nil)
	m.SetGate(true)
	appendTo(t, l, sized(3, 400))
	m.SetGate(false)
	flushAll(t, l)
	check("roll", beside, `
create t-0/~002.log
create t-0/~002.index
create t-0/~002.timeindex
create t-0/~002.snapshot
write t-0/~002.snapshot
write t-0.creating/~000.index
write t-0.creating/~000.timeindex
write t-0/~002.log
sync t-0.creating/~000.log
sync t-0.creating/~000.index
sync t-0.creating/~000.timeindex
sync t-0/~002.snapshot
syncdir t-0
sync t-0/~002.log`)
	d.Close()
	take(nil)
	d = open(t, commitlog.DirConfig{Path: "data", FS: m})
	take(nil)
	if _, err := d.ReserveProducerIDs(1); err != nil {
		t.Fatal(err)
	}
	check("checkpoint", nil, `
create producer-id-checkpoint.tmp
write producer-id-checkpoint.tmp
sync producer-id-checkpoint.tmp
rename producer-id-checkpoint.tmp producer-id-checkpoint
syncdir `+"data")
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	cfg := commitlog.DirConfig{Path: dir, NodeID: 3, ClusterID: "abcdefghijklmnopqrstuv"}
	d := open(t, cfg)
	id := commitlog.ID{1, 2, 3}
	for p := range int32(2) {
		l, err := d.Create("net.flows-1", id, p, commitlog.LogConfig{SegmentBytes: 1024})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			appendTo(t, l, sized(1, 400))
		}
		flushAll(t, l)
	}
	if _, err := d.Log("net.flows-1", 1).DeleteBefore(3); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	check := func(name, pattern string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !regexp.MustCompile(`\A`+pattern+`\z`).Match(b) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	check("meta.properties", `cluster.id=abcdefghijklmnopqrstuv\ndirectory.id=[A-Za-z0-9_-]{22}\nnode.id=3\nversion=1\n`)
	check("recovery-point-offset-checkpoint", `0\n2\nnet.flows-1 0 5\nnet.flows-1 1 5\n`)
	check("log-start-offset-checkpoint", `0\n1\nnet.flows-1 1 3\n`)
	check(".kafka_cleanshutdown", `\{"version":0,"brokerEpoch":-1\}`)
	check("net.flows-1-0/partition.metadata", `version: 0\ntopic_id: AQIDAAAAAAAAAAAAAAAAAA`)
	check("net.flows-1-0/leader-epoch-checkpoint", `0\n1\n0 0\n`)
	list := func() string {
		entries, err := os.ReadDir(filepath.Join(dir, "net.flows-1-1"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, strings.TrimPrefix(e.Name(), "0000000000000000000"))
		}
		return strings.Join(names, " ")
	}
	want := "2.index 2.log 2.snapshot 2.timeindex 4.index 4.log 4.snapshot 4.timeindex 5.snapshot leader-epoch-checkpoint partition.metadata"
	if got := list(); got != want {
		t.Errorf("files %s", got)
	}
	d = open(t, cfg)
	appendTo(t, d.Log("net.flows-1", 1), sized(1, 300)) // aged since 1970: in a new segment
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got := list(); got != strings.Replace(want, "5.snapshot", "5.index 5.log 5.snapshot 5.timeindex 6.snapshot", 1) {
		t.Errorf("files %s", got)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	cfg := commitlog.DirConfig{Path: dir, NodeID: 1}
	d := open(t, cfg)
	if _, err := commitlog.OpenDir(cfg); !errors.Is(err, commitlog.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	cluster := d.ClusterID()
	if len(cluster) != 22 {
		t.Errorf("cluster id %q", cluster)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	for _, c := range []commitlog.DirConfig{{Path: dir, NodeID: 2}, {Path: dir, NodeID: 1, ClusterID: "other"}} {
		if _, err := commitlog.OpenDir(c); !errors.Is(err, commitlog.ErrWrongNode) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if d := open(t, cfg); d.ClusterID() != cluster {
		t.Errorf("cluster id %q, was %q", d.ClusterID(), cluster)
	}
	if _, err := commitlog.OpenDir(commitlog.DirConfig{}); err == nil {
		t.Error("no path, no error")
	}
}

func TestCreateDelete(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m}
	d := open(t, cfg)
	for _, name := range []string{"", ".", "..", "a/b", "a b", "é", strings.Repeat("x", 250)} {
		if _, err := d.Create(name, commitlog.NewID(), 0, commitlog.LogConfig{}); !errors.Is(err, commitlog.ErrInvalidTopic) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := d.Create("t", commitlog.NewID(), -1, commitlog.LogConfig{}); err == nil {
		t.Error("partition -1")
	}
	long := strings.Repeat("x", 249)
	l := create(t, d, long, commitlog.LogConfig{SegmentBytes: 1024})
	if _, err := d.Create(long, commitlog.NewID(), 0, commitlog.LogConfig{}); !errors.Is(err, commitlog.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	for range 10 {
		appendTo(t, l, sized(1, 500))
	}
	heard := make(chan error, 1)
	m.SetGate(true)
	appendTo(t, l, sized(1, 500))
	l.NotifyFlushed(l.EndOffset()-1, func(err error) { heard <- err })
	m.SetGate(false)
	if err := d.Delete(long, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil && !errors.Is(err, commitlog.ErrClosed) {
		t.Error(err)
	}
	if err := d.Delete(long, 0); !errors.Is(err, commitlog.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := l.Append(plain(1, "x"), commitlog.AppendOptions{}); !errors.Is(err, commitlog.ErrClosed) {
		t.Errorf("append to a deleted log: %v", err)
	}
	l.NotifyFlushed(1000, func(err error) { heard <- err })
	if err := <-heard; !errors.Is(err, commitlog.ErrClosed) {
		t.Errorf("notify on a deleted log: %v", err)
	}
	entries, _ := m.ReadDir("data")
	for _, e := range entries {
		if e.Dir {
			t.Errorf("directory %s is left", e.Name)
		}
	}
	// A new log of the same name has nothing of the old one.
	l = create(t, d, long, commitlog.LogConfig{})
	if l.EndOffset() != 0 || d.Log(long, 0) != l || len(d.Logs()) != 1 {
		t.Error("not a new log")
	}
	appendTo(t, l, plain(1, "x"))
	flushAll(t, l)
	m = m.Crash(nil, memfs.KeepNone)
	d.Close()
	cfg.FS = m
	if l := open(t, cfg).Log(long, 0); l == nil || l.EndOffset() != 1 {
		t.Error("not there after a crash")
	}
}

func TestLeftoversOfCrashes(t *testing.T) {
	m := memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m})
	create(t, d, "t", commitlog.LogConfig{})
	d.Close()
	m.Put("data/u-0.creating/00000000000000000000.log", []byte("x"))
	m.Put("data/v-0.0123456789abcdef-delete/00000000000000000000.log", []byte("x"))
	m.Put("data/t-0/00000000000000000000.log.deleted", []byte("x"))
	m.Put("data/t-0/leader-epoch-checkpoint.tmp", []byte("x"))
	m.Put("data/lost+found/x", []byte("x"))
	d = open(t, commitlog.DirConfig{Path: "data", FS: m})
	if n := len(d.Logs()); n != 1 {
		t.Errorf("%d logs", n)
	}
	for _, name := range []string{"data/u-0.creating/00000000000000000000.log", "data/v-0.0123456789abcdef-delete/00000000000000000000.log", "data/t-0/00000000000000000000.log.deleted", "data/t-0/leader-epoch-checkpoint.tmp"} {
		if m.Contents(name) != nil {
			t.Errorf("%s is left", name)
		}
	}
	if m.Contents("data/lost+found/x") == nil {
		t.Error("removed what is not ours")
	}
}

func TestConfigOf(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m}
	d := open(t, cfg)
	create(t, d, "a", commitlog.LogConfig{})
	create(t, d, "b", commitlog.LogConfig{})
	d.Close()
	cfg.ConfigOf = func(topic string) (commitlog.LogConfig, bool) {
		return commitlog.LogConfig{Compact: true, SegmentBytes: 1}, topic == "a"
	}
	d = open(t, cfg)
	def := commitlog.DefaultLogConfig()
	if c := d.Log("a", 0).Config(); !c.Compact || c.SegmentBytes != 1024 || c.MaxMessageBytes != def.MaxMessageBytes {
		t.Errorf("a: %+v", c)
	}
	if c := d.Log("b", 0).Config(); c != def {
		t.Errorf("b: %+v", c)
	}
}

// A full disk refuses appends, wherever in an append it becomes full, and nothing else.
func TestNoSpace(t *testing.T) {
	m := memfs.New()
	cfg := commitlog.DirConfig{Path: "data", FS: m}
	d := open(t, cfg)
	l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 2048, IndexIntervalBytes: 1, RetentionBytes: 3000})
	var want []record
	for i := range 200 {
		m.Set(func() { m.Left = int64(i * 5) })
		b := plain(1, strings.Repeat("x", 300), fmt.Sprint(i))
		_, err := l.Append(b, commitlog.AppendOptions{})
		if err != nil && (!errors.Is(err, syscall.ENOSPC) || errors.Is(err, commitlog.ErrOffline)) {
			t.Fatal(err)
		}
		end := l.EndOffset()
		if err != nil {
			if end != int64(len(want)) {
				t.Fatalf("end %d after an append that was refused, want %d", end, len(want))
			}
			m.Set(func() { m.Left = -1 })
			appendTo(t, l, b)
		}
		want = append(want, record{end, strings.Repeat("x", 300)}, record{end + 1, fmt.Sprint(i)})
		flushAll(t, l)
		if i%50 == 49 {
			d.EnforceRetention(now())
		}
	}
	if d.Err() != nil || d.Stats().WriteErrors == 0 {
		t.Error(d.Err(), d.Stats())
	}
	m.Set(func() { m.Left = -1 })
	check := func() {
		t.Helper()
		low := l.StartOffset()
		if got := readFrom(t, l, low, 1<<20); fmt.Sprint(got) != fmt.Sprint(want[low:]) {
			t.Fatalf("read %v", got)
		}
	}
	check()
	m = m.Crash(nil, memfs.KeepAll)
	d.Close()
	cfg.FS = m
	d = open(t, cfg)
	l = d.Log("t", 0)
	check()
}

func TestRefused(t *testing.T) {
	d := open(t, commitlog.DirConfig{Path: "data", FS: memfs.New()})
	l := create(t, d, "t", commitlog.LogConfig{MaxMessageBytes: 1000, SegmentBytes: 1500})
	change := func(f func(b []byte)) []byte {
		b := batchSpec{records: [][]byte{[]byte("a"), []byte("b")}, producer: 7}.build()
		f(b)
		return resum(b)
	}
	first, second := plain(1, "a"), plain(1, "b")
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, commitlog.ErrInvalidRecord},
		{"a few bytes", first[:16], commitlog.ErrCorrupt},
		{"a header", first[:61], commitlog.ErrCorrupt},
		{"cut short", first[:len(first)-1], commitlog.ErrCorrupt},
		{"a byte too many", append(plain(1, "a"), 0), commitlog.ErrCorrupt},
		{"half a second batch", append(plain(1, "a"), second[:50]...), commitlog.ErrCorrupt},
		{"another byte", func() []byte { b := plain(1, "a"); b[len(b)-2] ^= 1; return b }(), commitlog.ErrCorrupt},
		{"magic 1", change(func(b []byte) { b[16] = 1 }), commitlog.ErrUnsupportedFormat},
		{"magic 0", change(func(b []byte) { b[16] = 0 }), commitlog.ErrUnsupportedFormat},
		{"magic 3", change(func(b []byte) { b[16] = 3 }), commitlog.ErrUnsupportedFormat},
		{"negative length", change(func(b []byte) { b[8] = 0xff }), commitlog.ErrCorrupt},
		{"too large", sized(1, 1001), commitlog.ErrTooLarge},
		{"larger than a segment", append(sized(1, 900), sized(1, 900)...), commitlog.ErrTooLarge},
		{"codec 5", change(func(b []byte) { b[22] = 5 }), commitlog.ErrInvalidRecord},
		{"control", change(func(b []byte) { b[22] = 0x20 }), commitlog.ErrInvalidRecord},
		{"transactional", change(func(b []byte) { b[22] = 0x10 }), commitlog.ErrInvalidRecord},
		{"log append time", change(func(b []byte) { b[22] = 8 }), commitlog.ErrInvalidTimestamp},
		{"no records", change(func(b []byte) { b[60], b[26] = 0, 0xff }), commitlog.ErrInvalidRecord},
		{"more records than there are", change(func(b []byte) { b[60], b[26] = 3, 2 }), commitlog.ErrInvalidRecord},
		{"fewer records than there are", change(func(b []byte) { b[60], b[26] = 1, 0 }), commitlog.ErrInvalidRecord},
		{"very many records", change(func(b []byte) { copy(b[57:], "\x7f\xff\xff\xff"); copy(b[23:], "\x7f\xff\xff\xfe") }), commitlog.ErrInvalidRecord},
		{"last offset delta", change(func(b []byte) { b[26] = 7 }), commitlog.ErrInvalidRecord},
		{"record offsets", change(func(b []byte) { b[64] = 4 }), commitlog.ErrInvalidRecord},
		{"producer epoch -1", change(func(b []byte) { b[51], b[52] = 0xff, 0xff }), commitlog.ErrInvalidRecord},
		{"sequence -1", change(func(b []byte) { copy(b[53:], "\xff\xff\xff\xff") }), commitlog.ErrInvalidRecord},
		{"producer id -2", change(func(b []byte) { copy(b[43:], "\xff\xff\xff\xff\xff\xff\xff\xfe") }), commitlog.ErrInvalidRecord},
		{"two batches of an idempotent producer", append(sent(1, 0, 0, 1), sent(1, 0, 1, 1)...), commitlog.ErrInvalidRecord},
	} {
		if _, err := l.Append(c.b, commitlog.AppendOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if l.EndOffset() != 0 || l.Size() != 0 {
		t.Errorf("end %d, size %d", l.EndOffset(), l.Size())
	}
	b := change(func(b []byte) { b[22] = 0x30 })
	if _, err := l.Append(b, commitlog.AppendOptions{AllowControl: true, AllowTransactional: true}); err != nil {
		t.Errorf("control batch where it is allowed: %v", err)
	}
	if info := appendTo(t, l, append(plain(1, "a", "b"), plain(1, "c")...)); info.BaseOffset != 2 || info.LastOffset != 4 {
		t.Errorf("two batches: %+v", info)
	}
	own := plain(1, "a")
	own[17] ^= 1
	for _, want := range []error{nil, commitlog.ErrCorrupt} { // its header is looked at nevertheless
		if _, err := l.Append(own, commitlog.AppendOptions{Own: true}); !errors.Is(err, want) {
			t.Errorf("own batch of %d octets, whose CRC is not looked at: %v, want %v", len(own), err, want)
		}
		own = own[:len(own)-1]
	}
}

func TestReadLimits(t *testing.T) {
	m := memfs.New()
	d := open(t, commitlog.DirConfig{Path: "data", FS: m})
	l := create(t, d, "t", commitlog.LogConfig{})
	for range 4 {
		appendTo(t, l, sized(1, 1000))
	}
	flushAll(t, l)
	m.SetGate(true)
	defer m.SetGate(false)
	appendTo(t, l, sized(1, 1000))
	for _, c := range []struct {
		offset      int64
		max         int
		o           commitlog.ReadOptions
		base, bytes int64
		err         error
	}{
		{0, 1 << 20, commitlog.ReadOptions{}, 0, 4000, nil},
		{0, 1 << 20, commitlog.ReadOptions{Uncommitted: true}, 0, 5000, nil},
		{1, 2500, commitlog.ReadOptions{}, 1, 2000, nil}, // ends between batches
		{1, 10, commitlog.ReadOptions{}, 1, 10, nil},
		{1, 10, commitlog.ReadOptions{MinOne: true}, 1, 1000, nil},
		{1, 0, commitlog.ReadOptions{}, 1, 0, nil},
		{1, 0, commitlog.ReadOptions{MinOne: true}, 1, 1000, nil},
		{4, 1 << 20, commitlog.ReadOptions{}, 4, 0, nil}, // between watermark and end
		{4, 1 << 20, commitlog.ReadOptions{Uncommitted: true}, 4, 1000, nil},
		{5, 1 << 20, commitlog.ReadOptions{}, 5, 0, nil},
		{6, 1 << 20, commitlog.ReadOptions{}, 6, 0, commitlog.ErrOffsetOutOfRange},
		{-1, 1 << 20, commitlog.ReadOptions{}, -1, 0, commitlog.ErrOffsetOutOfRange},
	} {
		span, err := l.Read(c.offset, c.max, c.o)
		if !errors.Is(err, c.err) || span.Offset != c.base || span.Len != c.bytes {
			t.Errorf("%+v: %d bytes at %d, %v", c, span.Len, span.Offset, err)
		}
		span.Release()
	}
}

func TestOnAdvance(t *testing.T) {
	for _, durability := range []commitlog.Durability{commitlog.Fsync, commitlog.PageCache} {
		m := memfs.New()
		d := open(t, commitlog.DirConfig{Path: "data", FS: m, Durability: durability})
		l := create(t, d, "t", commitlog.LogConfig{})
		moved := make(chan int64, 10)
		l.OnAdvance(func(hw int64) {
			if l.HighWatermark() < hw {
				t.Errorf("told of %d at %d", hw, l.HighWatermark())
			}
			moved <- hw
		})
		m.SetGate(true)
		appendTo(t, l, plain(1, "a", "b"))
		l.NotifyFlushed(1, func(error) { moved <- -1 })
		m.SetGate(false)
		if a, b := <-moved, <-moved; a != 2 || b != -1 {
			t.Errorf("told %d, then %d", a, b)
		}
		l.OnAdvance(nil)
		appendTo(t, l, plain(1, "c"))
		flushAll(t, l)
		if len(moved) != 0 {
			t.Error("told after it was taken back")
		}
		d.Close()
	}
}
