package commitlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/memfs"
)

// history is one random life of a data directory: what was done, and what was promised.
type history struct {
	t    *testing.T
	rng  *rand.Rand
	fs   *memfs.FS
	dir  *commitlog.Dir
	cfg  commitlog.DirConfig
	logs map[string]*logHistory
	seq  int
	ids  map[int64]bool // producer ids handed out
	full bool           // the disk may be

	failing bool // a sync is about to fail
}

type logHistory struct {
	topic     string
	id        commitlog.ID
	log       *commitlog.Log
	mu        sync.Mutex
	acked     map[int64]string   // offset -> value that NotifyFlushed said is safe
	seen      map[int64]string   // offset -> value a reader got
	wrote     map[int64][]string // offset -> values ever put there
	low       int64              // the log start offset may not be above this
	start     int64              // nor below this
	epoch     int32
	producers []*producerHistory
}

type producerHistory struct {
	id   int64
	next int32
	sent []sentHistory
	txn  bool // a transactional producer
}

type sentHistory struct {
	batch  []byte
	offset int64
	values []string
}

func (h *history) run(steps int) {
	h.open(true)
	for range steps {
		h.step()
	}
	h.fs.SetGate(false)
	h.reopen()
	h.dir.Close()
}

func (h *history) anyLog() *logHistory {
	for _, l := range h.logs {
		if h.rng.IntN(len(h.logs)) == 0 {
			return l
		}
	}
	for _, l := range h.logs {
		return l
	}
	return nil
}

func (h *history) step() {
	l := h.anyLog()
	switch n := h.rng.IntN(100); {
	case l == nil || n < 3 && len(h.logs) < 3:
		h.create()
	case n < 50:
		h.append(l)
	case n < 53:
		h.fillDisk(l)
	case n < 60:
		h.endTxn(l)
	case n < 70:
		h.fs.SetGate(h.rng.IntN(2) == 0)
	case n < 78:
		h.read(l)
	case n < 84:
		h.fs.SetGate(false)
		flushAll(h.t, l.log)
	case n < 87:
		h.fs.SetGate(false)
		h.dir.EnforceRetention(time.Now())
		for _, l := range h.logs {
			l.start = l.log.StartOffset()
			l.low = l.start
		}
	case n < 89:
		h.fs.SetGate(false)
		to := l.log.StartOffset() + h.rng.Int64N(l.log.HighWatermark()-l.log.StartOffset()+1)
		l.low = max(l.low, to)
		got, err := l.log.DeleteBefore(to)
		if err != nil || got < to {
			h.t.Fatalf("delete before %d: %d, %v", to, got, err)
		}
		l.start = got
	case n < 90:
		h.fs.SetGate(false)
		if err := h.dir.Delete(l.topic, 0); err != nil {
			h.t.Fatal(err)
		}
		delete(h.logs, l.topic)
	case n < 92:
		first, err := h.dir.ReserveProducerIDs(3)
		if err != nil {
			h.t.Fatal(err)
		}
		for i := range int64(3) {
			if h.ids[first+i] {
				h.t.Fatalf("producer id %d given twice", first+i)
			}
			h.ids[first+i] = true
		}
	case n < 93:
		h.failSync(l)
	case n < 95:
		h.fs.SetGate(false)
		if err := h.dir.Close(); err != nil {
			h.t.Fatal(err)
		}
		h.open(true)
	default:
		h.reopen()
	}
}

// fillDisk appends while the disk takes little more: each append is there whole, or not at all.
func (h *history) fillDisk(l *logHistory) {
	h.full = true
	for range 3 {
		h.fs.Set(func() { h.fs.Left = h.rng.Int64N(1500) })
		h.append(l)
	}
	h.fs.Set(func() { h.fs.Left = -1 })
	h.full = false
}

// failSync has one sync of the log fail, after which nothing may be acknowledged, and starts again.
func (h *history) failSync(l *logHistory) {
	h.fs.SetGate(false)
	flushAll(h.t, l.log)
	failed := make(chan struct{})
	var once sync.Once
	h.fs.Set(func() {
		h.fs.FailSync = func(name string) error {
			err := error(nil)
			once.Do(func() {
				err = syscall.EIO
				close(failed)
			})
			return err
		}
	})
	h.failing = true
	h.append(l)
	<-failed
	h.failing = false
	h.reopen()
}

func (h *history) create() {
	h.seq++
	topic := fmt.Sprint("t", h.rng.IntN(4))
	if h.logs[topic] != nil {
		return
	}
	l := &logHistory{topic: topic, id: commitlog.NewID(), acked: map[int64]string{}, seen: map[int64]string{}, wrote: map[int64][]string{}}
	var err error
	h.fs.SetGate(false)
	if l.log, err = h.dir.Create(topic, l.id, 0, h.cfg.Defaults); err != nil {
		h.t.Fatal(err)
	}
	for i := range 4 {
		l.producers = append(l.producers, &producerHistory{id: int64(1_000_000*h.seq + i), txn: i >= 2})
	}
	h.logs[topic] = l
}

func (h *history) append(l *logHistory) {
	h.seq++
	var values []string
	for i := range 1 + h.rng.IntN(3) {
		values = append(values, fmt.Sprintf("%d.%d.%s", h.seq, i, bytes.Repeat([]byte{'x'}, h.rng.IntN(300))))
	}
	spec := batchSpec{baseTime: 1_000_000 + int64(h.rng.IntN(1000)), producer: -1}
	for _, v := range values {
		spec.records = append(spec.records, []byte(v))
	}
	var p *producerHistory
	if h.rng.IntN(2) == 0 {
		p = l.producers[h.rng.IntN(len(l.producers))]
		spec.producer, spec.sequence = p.id, p.next
		if p.txn {
			spec.attributes = 0x10
		}
	}
	batch := spec.build()
	info, err := l.log.Append(batch, commitlog.AppendOptions{AllowTransactional: true})
	if h.full && errors.Is(err, syscall.ENOSPC) || h.failing && errors.Is(err, commitlog.ErrOffline) {
		return
	}
	if err != nil {
		h.t.Fatalf("append to %s: %v", l.topic, err)
	}
	if info.Duplicate {
		h.t.Fatalf("new batch of %s taken for a duplicate: %+v", l.topic, info)
	}
	if p != nil {
		p.next += int32(len(values))
		p.sent = append(p.sent, sentHistory{batch, info.BaseOffset, values})
	}
	h.wrote(l, info, values)
}

// endTxn commits or aborts what a transactional producer may have open.
func (h *history) endTxn(l *logHistory) {
	p := l.producers[2+h.rng.IntN(2)]
	commit := h.rng.IntN(2) == 0
	info, err := l.log.AppendMarker(commitlog.TxnMarker{ProducerID: p.id, Commit: commit})
	if err != nil {
		h.t.Fatalf("marker in %s: %v", l.topic, err)
	}
	h.wrote(l, info, []string{markerValue})
}

// markerValue is the value of the record in a marker of coordinator epoch 0.
const markerValue = "\x00\x00\x00\x00\x00\x00"

// wrote notes what was appended, and that it is promised once it is flushed.
func (h *history) wrote(l *logHistory, info commitlog.AppendInfo, values []string) {
	for i, v := range values {
		l.wrote[info.BaseOffset+int64(i)] = append(l.wrote[info.BaseOffset+int64(i)], v)
	}
	l.log.NotifyFlushed(info.LastOffset, func(err error) {
		if err != nil {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, v := range values {
			l.acked[info.BaseOffset+int64(i)] = v
		}
	})
}

func (h *history) read(l *logHistory) {
	from := l.log.StartOffset()
	if n := l.log.EndOffset() - from; n > 0 {
		from += h.rng.Int64N(n)
	}
	for _, r := range readFrom(h.t, l.log, from, 64+h.rng.IntN(3000)) {
		if r.offset >= from {
			l.seen[r.offset] = r.value
		}
	}
}

// reopen crashes one way or another, opens again and checks every promise.
func (h *history) reopen() {
	mode := memfs.CrashMode(h.rng.IntN(int(memfs.CrashModes)))
	old := h.dir
	next := h.fs.Crash(h.rng, mode)
	if err := old.Close(); err == nil {
		h.t.Fatal("a dead directory closed in order")
	}
	if h.fs.Opens != 0 {
		h.t.Fatalf("%d files left open", h.fs.Opens)
	}
	h.fs = next
	h.open(false)
}

func (h *history) open(clean bool) {
	h.cfg.FS = h.fs
	d, err := commitlog.OpenDir(h.cfg)
	if err != nil {
		h.t.Fatalf("open: %v", err)
	}
	h.dir = d
	if clean != d.WasClean() && len(h.logs) > 0 {
		h.t.Fatalf("clean is %v", d.WasClean())
	}
	for _, got := range d.Logs() {
		if h.logs[got.Topic()] == nil {
			h.t.Fatalf("log %s was deleted", got.Topic())
		}
	}
	for name, l := range h.logs {
		l.log = d.Log(name, 0)
		if l.log == nil {
			h.t.Fatalf("log %s is gone", name)
		}
		if l.log.TopicID() != l.id {
			h.t.Fatalf("log %s has another id", name)
		}
		h.verify(l, clean)
	}
}

func (h *history) verify(l *logHistory, clean bool) {
	start, end := l.log.StartOffset(), l.log.EndOffset()
	if start > l.low || start < l.start {
		h.t.Fatalf("%s: starts at %d, not between %d and %d", l.topic, start, l.start, l.low)
	}
	l.start = start
	if l.log.HighWatermark() != end {
		h.t.Fatalf("%s: high watermark %d, end %d", l.topic, l.log.HighWatermark(), end)
	}
	epoch := l.log.LeaderEpoch()
	if clean && epoch != l.epoch || !clean && epoch <= l.epoch {
		h.t.Fatalf("%s: epoch %d after %d, clean %v", l.topic, epoch, l.epoch, clean)
	}
	l.epoch = epoch
	got := map[int64]string{}
	for i, r := range readFrom(h.t, l.log, start, 1<<20) {
		if r.offset != start+int64(i) {
			h.t.Fatalf("%s: offset %d at place %d from %d", l.topic, r.offset, i, start)
		}
		got[r.offset] = r.value
	}
	if int64(len(got)) != end-start {
		h.t.Fatalf("%s: %d records from %d to %d", l.topic, len(got), start, end)
	}
	for kind, promised := range map[string]map[int64]string{"acknowledged": l.acked, "seen": l.seen} {
		for offset, v := range promised {
			if offset >= start && got[offset] != v {
				h.t.Fatalf("%s: record %d was %s as %.20q, now %.20q", l.topic, offset, kind, v, got[offset])
			}
		}
	}
	for offset, v := range got {
		found := false
		for _, w := range l.wrote[offset] {
			found = found || w == v
		}
		if !found {
			h.t.Fatalf("%s: record %d is %.20q, which nobody wrote there", l.topic, offset, v)
		}
	}
	// What is not there was never promised; only what is there is history now.
	l.wrote = map[int64][]string{}
	for offset, v := range got {
		l.wrote[offset] = []string{v}
	}
	checkTxns(h.t, l.log, h.rng)
	for _, p := range l.producers {
		h.verifyProducer(l, p, got, start)
	}
}

// verifyProducer sends the last batches of a producer again, as a client does that heard no answer.
func (h *history) verifyProducer(l *logHistory, p *producerHistory, got map[int64]string, start int64) {
	n := 0
	for n < len(p.sent) && (p.sent[n].offset < start || got[p.sent[n].offset] == p.sent[n].values[0]) {
		n++
	}
	lost := p.sent[n:]
	for _, s := range lost {
		if got[s.offset] == s.values[0] {
			h.t.Fatalf("%s: batch of producer %d at %d survived one before it", l.topic, p.id, s.offset)
		}
		p.next -= int32(len(s.values))
	}
	p.sent = p.sent[:n]
	for i, s := range p.sent[max(n-5, 0):] {
		if s.offset < start {
			continue
		}
		info, err := l.log.Append(bytes.Clone(s.batch), commitlog.AppendOptions{AllowTransactional: true})
		if err != nil || !info.Duplicate || info.BaseOffset != s.offset || info.LastOffset != s.offset+int64(len(s.values))-1 {
			h.t.Fatalf("%s: retry of producer %d's batch %d of %d at %d: %+v, %v", l.topic, p.id, i, n, s.offset, info, err)
		}
	}
}

// rounds is how many random histories to run: TRIBUTARY_FAULT_ROUNDS, or as many as a test can afford.
func rounds(t *testing.T, few int) int {
	t.Helper()
	if s := os.Getenv("TRIBUTARY_FAULT_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return few / 4
	}
	return few
}

func TestCrash(t *testing.T) {
	for seed := range rounds(t, 250) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			h := &history{t: t, rng: rng, fs: memfs.New(), logs: map[string]*logHistory{}, ids: map[int64]bool{}}
			h.cfg = commitlog.DirConfig{
				Path:              "data",
				RetentionInterval: -1,
				Defaults: commitlog.LogConfig{
					SegmentBytes:       1024 + int64(rng.IntN(4))*1024,
					IndexIntervalBytes: 1 + rng.IntN(600),
					RetentionAge:       -1,
					RetentionBytes:     4000 + int64(rng.IntN(2))*4000,
				},
			}
			h.run(120)
		})
	}
}

// A sync that does not succeed is the end: nothing after it is acknowledged, even when the disk would sync again.
func TestFailedSync(t *testing.T) {
	for _, what := range []string{".log", "/t-0", ".index", ".timeindex", ".snapshot"} {
		t.Run(what, func(t *testing.T) {
			m := memfs.New()
			d := open(t, commitlog.DirConfig{Path: "data", FS: m})
			l := create(t, d, "t", commitlog.LogConfig{SegmentBytes: 1024})
			appendTo(t, l, sized(1, 600))
			flushAll(t, l)
			broken := errors.New("input/output error")
			failed := false
			m.Set(func() {
				m.FailSync = func(name string) error {
					if !failed && len(name) >= len(what) && name[len(name)-len(what):] == what {
						failed = true
						return broken
					}
					return nil
				}
			})
			m.SetGate(true)
			appendTo(t, l, sized(2, 200))
			appendTo(t, l, sized(3, 600)) // in the next segment
			appendTo(t, l, sized(4, 100))
			heard := make(chan error, 3)
			l.NotifyFlushed(1, func(err error) { heard <- err })
			l.NotifyFlushed(3, func(err error) { heard <- err })
			m.SetGate(false)
			<-heard
			if err := <-heard; !errors.Is(err, commitlog.ErrOffline) || !errors.Is(err, broken) {
				t.Fatalf("after a failed sync: %v", err)
			}
			if err := d.Err(); !errors.Is(err, commitlog.ErrOffline) {
				t.Fatalf("directory: %v", err)
			}
			if _, err := l.Append(plain(5, "x"), commitlog.AppendOptions{}); !errors.Is(err, commitlog.ErrOffline) {
				t.Errorf("append: %v", err)
			}
			l.NotifyFlushed(3, func(err error) { heard <- err })
			if err := <-heard; !errors.Is(err, commitlog.ErrOffline) {
				t.Errorf("notify: %v", err)
			}
			if _, err := d.Create("u", commitlog.NewID(), 0, commitlog.LogConfig{}); !errors.Is(err, commitlog.ErrOffline) {
				t.Errorf("create: %v", err)
			}
			if _, err := d.ReserveProducerIDs(1); !errors.Is(err, commitlog.ErrOffline) {
				t.Errorf("reserve: %v", err)
			}
			if got := readFrom(t, l, 0, 1<<20); len(got) == 0 || int64(len(got)) != l.HighWatermark() {
				t.Errorf("%d records readable, high watermark %d", len(got), l.HighWatermark())
			}
			if err := d.Close(); !errors.Is(err, commitlog.ErrOffline) {
				t.Errorf("close: %v", err)
			}
			if m.Contents("data/.kafka_cleanshutdown") != nil {
				t.Error("marked as closed in order")
			}
		})
	}
}
