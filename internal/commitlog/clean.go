package commitlog

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"time"
)

// cleanRange says what of a log can be compacted.
type cleanRange struct {
	log      *Log
	segments []*segment // from the first of the log on, each with a reference held
	bases    []int64    // of these and of the one that follows
	from     int64      // first offset that was not compacted yet
	clean    int64      // bytes before it
	dirty    int64      // bytes behind it, up to the end of the last segment
	must     bool       // something has waited for max.compaction.lag.ms
	horizon  bool       // a delete horizon has passed
}

func (c *cleanRange) release() {
	for _, s := range c.segments {
		s.release()
	}
}

// cleanable looks for what can be compacted: sealed segments that are flushed, lie wholly below the last stable offset and
// are older than min.compaction.lag.ms.
func (l *Log) cleanable(now time.Time) (c cleanRange, ok bool) {
	cfg := l.Config()
	if !cfg.Compact {
		return c, false
	}
	l.markMu.Lock()
	stable, marked := l.stableLocked(), l.mark.base
	l.markMu.Unlock()
	l.mu.Lock()
	c = cleanRange{log: l, from: max(l.cleaned, l.low.Load())}
	list := *l.segs.Load()
	var oldest *segment
	for i, s := range list[:len(list)-1] {
		next := list[i+1].base
		if l.closed || next > min(stable, l.recovery) || s.base >= marked {
			break
		}
		size := s.size.Load()
		if next > c.from {
			if cfg.MinCompactionLag > 0 && s.maxTime > now.Add(-cfg.MinCompactionLag).UnixMilli() {
				break
			}
			if oldest == nil {
				oldest = s
			}
			c.dirty += size
		} else {
			c.clean += size
		}
		s.acquire()
		c.segments = append(c.segments, s)
		c.bases = append(c.bases, s.base)
	}
	c.horizon = l.horizon > 0 && l.horizon <= now.UnixMilli()
	if len(c.segments) > 0 {
		c.bases = append(c.bases, list[len(c.segments)].base)
	}
	l.mu.Unlock()
	if oldest != nil && cfg.MaxCompactionLag < math.MaxInt64 {
		if h, found, err := oldest.first(); err == nil && found {
			c.must = h.baseTimestamp() < now.Add(-cfg.MaxCompactionLag).UnixMilli()
		}
	}
	enough := c.dirty > 0 && (c.must || c.ratio() > cfg.MinCleanableRatio)
	if len(c.segments) == 0 || !enough && !c.horizon {
		c.release()
		return c, false
	}
	return c, true
}

func (c *cleanRange) ratio() float64 { return float64(c.dirty) / float64(max(c.clean+c.dirty, 1)) }

// end is the offset behind the last segment.
func (c *cleanRange) end() int64 { return c.bases[len(c.segments)] }

// compactRange compacts a range, or the beginning of it where the keys of all of it do not fit in memory, and returns the offset up
// to which it got.
func (d *Dir) compactRange(c *cleanRange, now time.Time) (end int64, err error) {
	l := c.log
	cfg := l.Config()
	keys, err := d.indexKeys(c)
	if err != nil {
		return 0, err
	}
	f := &batchFilter{keys: keys, txns: newTxnFilter(), end: keys.latest + 1, now: now, keepFor: cfg.DeleteRetention, last: l.lastBatches()}
	n := len(c.segments)
	for n > 0 && c.bases[n-1] >= f.end {
		n--
	}
	for i := 0; i < n; {
		j := c.group(i, n, cfg.SegmentBytes)
		if err := d.cleanGroup(c, i, j, f); err != nil {
			return 0, err
		}
		i = j
	}
	l.mu.Lock()
	l.cleaned, l.horizon = f.end, f.horizon
	l.mu.Unlock()
	if f.opaque > 0 {
		d.cfg.Logger.Warn("batches cannot be compacted", "topic", l.topic, "partition", l.partition, "batches", f.opaque)
	}
	d.counters.cleanings.Add(1)
	return f.end, nil
}

// group finds segments whose records fit in one: the index behind the last.
func (c *cleanRange) group(i, n int, limit int64) int {
	size := c.segments[i].size.Load()
	for j := i + 1; ; j++ {
		if j == n || size+c.segments[j].size.Load() > limit || c.bases[j+1]-1-c.bases[i] > math.MaxInt32 {
			return j
		}
		size += c.segments[j].size.Load()
	}
}

// lastBatches is where each known producer stands.
func (l *Log) lastBatches() map[int64]lastBatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := make(map[int64]lastBatch, len(l.producers.m))
	for id, p := range l.producers.m {
		b := lastBatch{p.epoch, -1}
		if p.n > 0 {
			b.offset = p.batches[p.n-1].lastOffset
		}
		m[id] = b
	}
	return m
}

// indexKeys reads what was not compacted yet and remembers the last offset of each key.
func (d *Dir) indexKeys(c *cleanRange) (*offsetMap, error) {
	keys := newOffsetMap(d.cfg.CleanerMapBytes, max(c.end()-c.from, 0))
	keys.latest = c.from - 1
	txns := newTxnFilter()
	var fold folder
	full := false
	for i, s := range c.segments {
		if c.bases[i+1] <= c.from {
			continue
		}
		list, err := c.log.abortedBetween(s.base, c.bases[i+1])
		if err != nil {
			return nil, err
		}
		txns.add(list)
		err = d.eachBatch(s, func(batch []byte) error {
			h := header(batch)
			switch {
			case h.control():
				txns.marker(h, batch[batchHeaderSize:])
			case !txns.data(h):
				full = !indexBatch(keys, &fold, batch, c.from)
			}
			if full {
				return errMapFull
			}
			keys.latest = max(keys.latest, h.lastOffset())
			return nil
		})
		if full {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		keys.latest = max(keys.latest, c.bases[i+1]-1)
	}
	return keys, nil
}

var errMapFull = errors.New("the map of keys is full")

// indexBatch puts the keys of a batch into the map; false when it is full. A batch that cannot be taken apart has none.
func indexBatch(keys *offsetMap, fold *folder, batch []byte, from int64) bool {
	h := header(batch)
	raw, err := fold.unfold(batch)
	for i := int32(0); err == nil && i < h.count(); i++ {
		var r rawRecord
		var n int
		if r, n, err = parseRecord(raw); err != nil {
			break
		}
		offset := h.baseOffset() + r.delta
		if r.key != nil && offset >= from {
			if !keys.put(r.key, offset) {
				return false
			}
			keys.latest = offset
		}
		raw = raw[n:]
	}
	return true
}

// eachBatch reads a sealed segment batch by batch, at the pace that is allowed. A damaged batch ends it: what it says must
// not be written down again under a CRC that holds.
func (d *Dir) eachBatch(s *segment, f func(batch []byte) error) error {
	buf := make([]byte, recoverBuffer)
	size := s.size.Load()
	at, have := int64(0), 0 // buf holds have bytes from at on
	for at < size {
		if at+batchHeaderSize > size {
			return fmt.Errorf("%w: %d bytes at the end of segment %d", ErrCorrupt, size-at, s.base)
		}
		n := int(min(int64(len(buf)), size-at))
		if err := readFull(s.f, buf[have:n], at+int64(have)); err != nil {
			return fmt.Errorf("read segment %d at %d: %w", s.base, at, err)
		}
		if err := d.pace.wait(int64(n-have), d.done); err != nil {
			return err
		}
		d.counters.cleanedIn.Add(int64(n - have))
		rest := buf[:n]
		for len(rest) >= batchHeaderSize {
			h := header(rest)
			length := h.size()
			if h.magic() != 2 || length < batchHeaderSize || length > size-at {
				return fmt.Errorf("%w: at %d of segment %d", ErrCorrupt, at, s.base)
			}
			if length > int64(len(rest)) {
				break
			}
			batch := rest[:length]
			if crc32.Checksum(batch[posAttributes:], castagnoli) != h.crc() {
				return fmt.Errorf("%w: CRC at %d of segment %d", ErrCorrupt, at, s.base)
			}
			if err := f(batch); err != nil {
				return err
			}
			rest, at = rest[length:], at+length
		}
		if have = len(rest); have == len(buf) || have >= batchHeaderSize && header(rest).size() > int64(len(buf)) {
			buf = append(make([]byte, 0, header(rest).size()), rest...)
			buf = buf[:cap(buf)]
		} else {
			copy(buf, rest)
		}
	}
	return nil
}

// cleanedSegment is a segment that compaction writes.
type cleanedSegment struct {
	*segment
	d       *Dir
	buf     []byte
	written int64
	every   int
}

func (d *Dir) createCleaned(l *Log, base int64) (*cleanedSegment, error) {
	s, err := openSegmentFiles(d.fs, l.path, base, suffixCleaned, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	if err := s.txn.create(filepath.Join(l.path, segmentName(base, suffixTxnIndex+suffixCleaned))); err != nil {
		s.release()
		return nil, err
	}
	return &cleanedSegment{segment: s, d: d, every: l.Config().IndexIntervalBytes}, nil
}

func (w *cleanedSegment) add(batch []byte) error {
	pos := w.written + int64(len(w.buf))
	if pos+int64(len(batch)) > maxSegmentBytes {
		return fmt.Errorf("segment %d is too large when compacted", w.base)
	}
	w.note(header(batch), pos, w.every)
	w.buf = append(w.buf, batch...)
	if len(w.buf) < recoverBuffer {
		return nil
	}
	return w.flush()
}

func (w *cleanedSegment) flush() error {
	if _, err := w.f.WriteAt(w.buf, w.written); err != nil {
		return err
	}
	n := int64(len(w.buf))
	w.written += n
	w.size.Store(w.written)
	w.buf = w.buf[:0]
	w.d.counters.cleanedOut.Add(n)
	return w.d.pace.wait(n, w.d.done)
}

// cleanGroup writes what stays of some segments into one that takes their place.
func (d *Dir) cleanGroup(c *cleanRange, i, j int, f *batchFilter) error {
	l := c.log
	size := int64(0)
	for _, s := range c.segments[i:j] {
		size += s.size.Load()
	}
	if free, _ := d.Space(); free >= 0 && free-d.cfg.DiskReserve < size {
		return fmt.Errorf("%w: %d bytes free, %d may be needed", ErrNoRoom, free, size)
	}
	list, err := l.abortedBetween(c.bases[i], c.bases[j])
	if err != nil {
		return err
	}
	f.txns.add(list)
	w, err := d.createCleaned(l, c.bases[i])
	if err != nil {
		d.removeCleaned(l, c.bases[i])
		return err
	}
	same := j == i+1
	for _, s := range c.segments[i:j] {
		err = d.eachBatch(s, func(batch []byte) error {
			kept, entry := f.filter(batch)
			if entry != nil {
				if _, err := w.txn.put(*entry); err != nil {
					return err
				}
				w.txn.commit()
			}
			same = same && len(kept) > 0 && &kept[0] == &batch[0]
			if len(kept) == 0 {
				return nil
			}
			return w.add(kept)
		})
		if err != nil {
			break
		}
		w.lastAppend = s.lastWritten(l)
	}
	if err == nil {
		err = w.flush()
	}
	if err == nil && !same {
		w.noteTime()
		if err = errors.Join(w.idx.write(), w.tidx.write()); err == nil {
			if err = w.sync(); err != nil {
				err = d.offline(err)
			}
		}
	}
	if err != nil || same {
		w.release()
		d.removeCleaned(l, w.base)
		return err
	}
	return l.swap(c, i, j, w.segment)
}

func (s *segment) lastWritten(l *Log) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.lastAppend
}

// removeCleaned removes what an unfinished compaction wrote.
func (d *Dir) removeCleaned(l *Log, base int64) {
	for _, suffix := range segmentSuffixes {
		for _, more := range [...]string{suffixCleaned, suffixSwap} {
			_ = d.fs.Remove(l.file(segmentName(base, suffix+more)))
		}
	}
}
