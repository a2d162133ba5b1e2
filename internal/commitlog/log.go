package commitlog

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Log is one partition. Its methods may be called from any goroutine.
type Log struct {
	dir       *Dir
	path      string
	topic     string
	topicID   [16]byte
	partition int32

	cfg  atomic.Pointer[LogConfig]
	segs atomic.Pointer[[]*segment] // never empty; the last is active; replaced, not changed
	end  atomic.Int64               // log end offset
	low  atomic.Int64               // log start offset
	hw   atomic.Int64               // high watermark
	shut atomic.Bool                // closed, for readers

	epoch atomic.Int32 // leader epoch of new batches; does not change while the log is open

	mu        sync.Mutex // appends, rolls, and what changes the list of segments
	active    *segment
	epochs    epochs
	producers producers
	unsynced  []*segment // sealed, each with a reference held, not yet flushed
	snapshots []int64    // offsets of snapshot files that were not flushed
	dirDirty  bool       // files were created since the partition directory was synced
	wrote     bool       // the active segment has bytes that were not flushed
	touched   bool       // since it was opened, so that closing has something to write
	closed    bool
	deleted   bool
	recovery  int64 // recovery point: everything below is flushed
	cleaned   int64 // everything below was compacted
	horizon   int64 // ms: when a tombstone of what was compacted is due, 0 for none

	nameMu  sync.Mutex  // files of sealed segments get other names; taken before flushMu
	flushMu sync.Mutex  // one flush at a time; taken before mu
	quick   atomic.Bool // the last sync took less than handing it to a lane does

	markMu   sync.Mutex
	mark     mark
	unstable unstable
	waiters  []waiter
	failed   error // what waiters get from now on
	listener atomic.Pointer[func(int64)]

	queue queueState // guarded by flusher.mu
}

// mark is where the high watermark lies.
type mark struct {
	offset int64
	base   int64 // of the segment whose bytes end it
	pos    int64 // in that segment
}

type waiter struct {
	offset int64
	f      func(error)
}

// Topic is the topic's name.
func (l *Log) Topic() string { return l.topic }

// TopicID is the id the topic was created with.
func (l *Log) TopicID() [16]byte { return l.topicID }

// Partition is the partition's number, from 0.
func (l *Log) Partition() int32 { return l.partition }

// Config returns the configuration in force, zero fields filled in.
func (l *Log) Config() LogConfig { return *l.cfg.Load() }

// SetConfig replaces the configuration; zero fields take the directory's defaults.
func (l *Log) SetConfig(c LogConfig) {
	c = c.filled(l.dir.cfg.Defaults)
	l.cfg.Store(&c)
}

// LeaderEpoch is the epoch new batches get. It changes only when a directory is opened after an unclean stop.
func (l *Log) LeaderEpoch() int32 { return l.epoch.Load() }

// EpochEnd answers OffsetForLeaderEpoch (KIP-101, KIP-279): the largest epoch not above the one asked for, and the
// offset where it ended. Both are -1 for an epoch that has not begun.
func (l *Log) EpochEnd(epoch int32) (foundEpoch int32, endOffset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs.end(epoch, l.end.Load())
}

// StartOffset is the log start offset: the first that can be read.
func (l *Log) StartOffset() int64 { return l.low.Load() }

// EndOffset is the log end offset: the next to be given.
func (l *Log) EndOffset() int64 { return l.end.Load() }

// HighWatermark is the offset below which records are durable, as the directory's Durability means it, and visible.
func (l *Log) HighWatermark() int64 { return l.hw.Load() }

// Size is the number of bytes of batches in all segments.
func (l *Log) Size() int64 {
	var n int64
	for _, s := range *l.segs.Load() {
		n += s.size.Load()
	}
	return n
}

// SegmentInfo describes one segment.
type SegmentInfo struct {
	BaseOffset   int64
	Size         int64 // bytes
	MaxTimestamp int64 // ms since 1970, -1 when empty
	Active       bool
}

// Segments describes the segments in order.
func (l *Log) Segments() []SegmentInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := *l.segs.Load()
	out := make([]SegmentInfo, len(list))
	for i, s := range list {
		out[i] = SegmentInfo{BaseOffset: s.base, Size: s.size.Load(), MaxTimestamp: s.maxTime, Active: s == l.active}
	}
	return out
}

// OnAdvance sets the one function that is called after every move of the high watermark, with the new one. It may
// be called from several goroutines at once, from Append too, and must return quickly.
func (l *Log) OnAdvance(f func(highWatermark int64)) {
	if f == nil {
		l.listener.Store(nil)
		return
	}
	l.listener.Store(&f)
}

// NotifyFlushed calls f once: with nil when the high watermark has passed offset, with ErrOffline or ErrClosed when
// it never will. f runs before NotifyFlushed returns when the answer is known, else on a goroutine of the flusher, which
// waits for it; it must return quickly.
func (l *Log) NotifyFlushed(offset int64, f func(error)) {
	l.markMu.Lock()
	if l.mark.offset > offset {
		l.markMu.Unlock()
		f(nil)
		return
	}
	if err := l.failed; err != nil {
		l.markMu.Unlock()
		f(err)
		return
	}
	l.waiters = append(l.waiters, waiter{offset, f})
	l.markMu.Unlock()
}

// advance moves the high watermark and tells who waits for it, the listener first.
func (l *Log) advance(m mark) {
	l.markMu.Lock()
	if m.offset <= l.mark.offset {
		if m.offset == l.mark.offset && m.base > l.mark.base {
			l.mark = m // the same offset, now the start of a new segment
		}
		l.markMu.Unlock()
		return
	}
	l.mark = m
	l.hw.Store(m.offset)
	l.unstable.flushed(m.offset)
	var ready []waiter
	if len(l.waiters) > 0 {
		rest := l.waiters[:0]
		for _, w := range l.waiters {
			if w.offset < m.offset {
				ready = append(ready, w)
			} else {
				rest = append(rest, w)
			}
		}
		clear(l.waiters[len(rest):])
		l.waiters = rest
	}
	l.markMu.Unlock()
	if f := l.listener.Load(); f != nil {
		(*f)(m.offset)
	}
	for _, w := range ready {
		w.f(nil)
	}
}

// fail answers all who wait, and all who will.
func (l *Log) fail(err error) {
	l.markMu.Lock()
	if l.failed == nil {
		l.failed = err
	}
	waiters := l.waiters
	l.waiters = nil
	l.markMu.Unlock()
	for _, w := range waiters {
		w.f(err)
	}
}

// AppendOptions says what an append may do beyond an ordinary producer's.
type AppendOptions struct {
	AllowControl       bool // control batches: transaction markers
	AllowTransactional bool // transactional batches, of a producer the caller knows to be in a transaction
	UseReserve         bool // what DiskReserve and DiskBudget keep from others, for what makes it possible to go on
	Unsequenced        bool // such batches with base sequence -1, which a coordinator writes in a producer's name
	Own                bool // the caller has made the batches: their records and CRC, which is kept, are taken as they are

	// MayCallBack says that the caller holds nothing which others want who wait for a flush: where a sync is as quick as
	// handing it over, it is done before Append returns, and they are told.
	MayCallBack bool
}

// AppendInfo says where batches went.
type AppendInfo struct {
	BaseOffset  int64
	LastOffset  int64
	AppendTime  int64 // ms since 1970 with LogAppendTime, else -1
	Duplicate   bool  // the batch was there already; the offsets are those it got then
	StartOffset int64 // log start offset
}

// Append writes one or more whole batches, as a producer sent them, at the end of the log.
//
// Base offset and partition leader epoch, and with LogAppendTime timestamp type, timestamp and CRC, are set in place
// in b, which belongs to the caller again on return. A batch of an idempotent producer that is one of the last five of
// its producer succeeds again without being written. Nothing is flushed yet on return: see [Log.NotifyFlushed].
//
// Errors: ErrCorrupt, ErrUnsupportedFormat, ErrTooLarge, ErrInvalidRecord, ErrInvalidTimestamp, ErrOutOfOrderSequence,
// ErrInvalidProducerEpoch, ErrInvalidTxnState, ErrCoordinatorFenced, ErrNoRoom, ErrOffline, ErrClosed, or what the file system said,
// after which the log is as it was before.
func (l *Log) Append(b []byte, o AppendOptions) (AppendInfo, error) {
	cfg := l.cfg.Load()
	set, err := checkBatches(b, cfg, o)
	if err == nil && cfg.Compact {
		err = checkKeys(b)
	}
	if err == nil && !o.UseReserve {
		err = l.dir.admit(int64(len(b)))
	}
	if err != nil {
		l.dir.counters.refused.Add(1)
		return AppendInfo{}, fmt.Errorf("append to %s-%d: %w", l.topic, l.partition, err)
	}
	l.mu.Lock()
	info, err := l.appendLocked(b, set, cfg, o)
	m := l.markLocked()
	l.mu.Unlock()
	if err != nil {
		l.dir.counters.refused.Add(1)
		return AppendInfo{}, fmt.Errorf("append to %s-%d: %w", l.topic, l.partition, err)
	}
	if info.Duplicate {
		l.dir.counters.duplicates.Add(1)
		return info, nil
	}
	l.dir.counters.appends.Add(1)
	l.dir.counters.appendedBytes.Add(int64(len(b)))
	switch {
	case l.dir.cfg.Durability == PageCache:
		l.advance(m)
	case o.MayCallBack && l.quick.Load():
		_ = l.flush() // the directory and those who wait know
	default:
		l.dir.flusher.add(l)
	}
	return info, nil
}

// markLocked is the log end as a mark.
func (l *Log) markLocked() mark {
	return mark{offset: l.end.Load(), base: l.active.base, pos: l.active.size.Load()}
}

func (l *Log) appendLocked(b []byte, set batchSet, cfg *LogConfig, o AppendOptions) (AppendInfo, error) {
	if l.closed {
		return AppendInfo{}, ErrClosed
	}
	if err := l.dir.Err(); err != nil {
		return AppendInfo{}, err
	}
	info := AppendInfo{BaseOffset: l.end.Load(), AppendTime: -1, StartOffset: l.low.Load()}
	info.LastOffset = info.BaseOffset + set.records - 1
	now := time.Now()
	if set.idempotent {
		dup, was, err := l.producers.check(header(b))
		if err != nil {
			return info, err
		}
		if dup {
			info.Duplicate = true
			info.BaseOffset = was.firstOffset()
			info.LastOffset = was.lastOffset
			if cfg.TimestampType == LogAppendTime {
				info.AppendTime = was.timestamp
			}
			return info, nil
		}
	}
	if err := l.rollIfNeeded(now, int64(len(b)), info.LastOffset, cfg); err != nil {
		return info, err
	}
	epoch := l.epoch.Load()
	if cfg.TimestampType == LogAppendTime {
		info.AppendTime = now.UnixMilli()
	}
	offset := info.BaseOffset
	for rest := b; len(rest) > 0; {
		h := header(rest)
		h.setOffsetAndEpoch(offset, epoch)
		if cfg.TimestampType == LogAppendTime {
			stampAppendTime(rest[:h.size()], info.AppendTime)
		}
		offset += int64(h.count())
		rest = rest[h.size():]
	}
	s := l.active
	var txn endedTxn
	var ends bool
	if set.idempotent { // it is one batch then
		txn, ends = l.producers.ends(header(b), b[batchHeaderSize:], info.LastOffset)
	}
	if ends && txn.aborted {
		created, err := s.txn.put(txn.abortedTxn)
		l.dirDirty = l.dirDirty || created
		if err != nil {
			l.dir.counters.writeErrors.Add(1)
			return info, err
		}
	}
	if err := s.write(b); err != nil {
		l.dir.counters.writeErrors.Add(1)
		return info, fmt.Errorf("write segment: %w", err)
	}
	if ends && txn.aborted {
		s.txn.commit()
	}
	pos := s.size.Load()
	for rest := b; len(rest) > 0; {
		h := header(rest)
		s.note(h, pos, cfg.IndexIntervalBytes)
		if h.producerID() >= 0 {
			l.producers.note(h, rest[batchHeaderSize:h.size()], now)
		}
		pos += h.size()
		rest = rest[h.size():]
	}
	if set.transactional {
		l.noteTxn(txn, ends)
	}
	if s.firstAppend.IsZero() {
		s.firstAppend = now
	}
	s.lastAppend = now
	l.wrote, l.touched = true, true
	s.size.Store(pos)
	l.end.Store(offset)
	return info, nil
}

// rollIfNeeded starts a new segment before an append that the active one has no room or no time for.
func (l *Log) rollIfNeeded(now time.Time, bytes, lastOffset int64, cfg *LogConfig) error {
	s := l.active
	size := s.size.Load()
	if size == 0 || size+bytes <= cfg.SegmentBytes && s.fits(lastOffset) && !l.agedLocked(now, cfg) {
		return nil
	}
	return l.rollLocked()
}

// agedLocked says whether the active segment has been written to for longer than segment.ms, or max.compaction.lag.ms.
func (l *Log) agedLocked(now time.Time, cfg *LogConfig) bool {
	s := l.active
	age := cfg.SegmentAge
	if cfg.Compact {
		age = min(age, cfg.MaxCompactionLag) // the active segment is never compacted
	}
	return s.size.Load() > 0 && !s.firstAppend.IsZero() && now.Sub(s.firstAppend) >= age
}

// rollLocked seals the active segment and starts an empty one. Nothing is synced here: the flusher syncs the sealed
// segment, then the directory, and only then moves the high watermark beyond them.
func (l *Log) rollLocked() error {
	base := l.end.Load()
	next, err := createSegment(l.dir.fs, l.path, base)
	if err != nil {
		return fmt.Errorf("roll at %d: %w", base, err)
	}
	if err := l.writeSnapshotLocked(base); err != nil {
		// The log does not need it: recovery falls back to an older one.
		l.dir.cfg.Logger.Warn("producer snapshot not written", "topic", l.topic, "partition", l.partition, "offset", base, "err", err)
	} else {
		l.snapshots = append(l.snapshots, base)
	}
	old := l.active
	old.seal()
	old.acquire()
	l.unsynced = append(l.unsynced, old)
	l.dirDirty, l.touched = true, true
	l.wrote = false
	list := *l.segs.Load()
	grown := make([]*segment, len(list)+1)
	copy(grown, list)
	grown[len(list)] = next
	l.segs.Store(&grown)
	l.active = next
	l.dir.counters.rolls.Add(1)
	if l.dir.cfg.Durability == PageCache {
		l.dir.flusher.add(l) // so that recovery need not start before the sealed segment
	}
	return nil
}

func (l *Log) file(name string) string { return filepath.Join(l.path, name) }
