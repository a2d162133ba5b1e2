package commitlog

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// ReadOptions says what a read may return.
type ReadOptions struct {
	MinOne      bool // the first batch whole even when it is larger than maxBytes
	Uncommitted bool // up to the log end instead of the high watermark
	Committed   bool // up to the last stable offset, for read_committed; see Aborted
}

// Span is a run of bytes of one segment file: batches, the last of which may be cut short. The zero Span is empty.
type Span struct {
	Offset int64 // base offset of its first batch, which may lie below the offset asked for; that offset when empty
	File   File  // nil when empty; do not write, do not close
	Pos    int64 // in File
	Len    int64

	seg   *segment
	limit int64 // no batch of it begins at or beyond this offset
}

// Bound is an offset that all batches of the span begin below, not far above the last of them.
func (s *Span) Bound() int64 {
	if s.seg == nil {
		return s.Offset
	}
	if last, ok := s.seg.idx.beyond(s.Pos + s.Len); ok {
		return min(s.limit, s.seg.base+last)
	}
	return s.limit
}

// Empty says whether there is nothing in it.
func (s *Span) Empty() bool { return s.Len == 0 }

// ReadAt reads bytes of the span, off counted from its beginning.
func (s *Span) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= s.Len {
		return 0, fmt.Errorf("read at %d of a span of %d bytes", off, s.Len)
	}
	return s.File.ReadAt(p[:min(int64(len(p)), s.Len-off)], s.Pos+off)
}

// Release gives the file back. Until then it can be read, whatever happens to the log. Call it once for each Span.
func (s *Span) Release() {
	if s.seg != nil {
		s.seg.release()
		s.seg, s.File, s.Len = nil, nil, 0
	}
}

// alignHops is how many batches are looked at to let a span end between two of them. With more in a span, what the
// reader throws away of the last is little beside the rest.
const alignHops = 16

// Read finds batches from offset on: at most maxBytes, of one segment, and nothing at or beyond the high watermark.
// An offset between the watermark and the log end gives an empty span; ErrOffsetOutOfRange is for below the log start and
// beyond the log end. Release the span when done.
func (l *Log) Read(offset int64, maxBytes int, o ReadOptions) (Span, error) {
	for {
		span, again, err := l.read(offset, int64(maxBytes), o)
		if err != nil {
			return Span{Offset: offset}, fmt.Errorf("read %s-%d at %d: %w", l.topic, l.partition, offset, err)
		}
		if !again {
			return span, nil
		}
	}
}

// read is one try; again says that the list of segments changed under it.
func (l *Log) read(offset, maxBytes int64, o ReadOptions) (span Span, again bool, err error) {
	if l.shut.Load() {
		return Span{}, false, ErrClosed
	}
	limit := l.limit(o.Uncommitted)
	if o.Committed {
		if limit, err = l.stableMark(); err != nil {
			return Span{}, false, err
		}
	}
	if offset < l.low.Load() || offset > l.end.Load() {
		return Span{}, false, ErrOffsetOutOfRange
	}
	span = Span{Offset: offset}
	if offset >= limit.offset {
		return span, false, nil
	}
	list := *l.segs.Load()
	for i := max(segmentIndex(list, offset), 0); i < len(list); i++ {
		s := list[i]
		if s.base > limit.base {
			return span, false, nil
		}
		if !s.acquire() {
			return span, true, nil
		}
		end := s.size.Load()
		if s.base == limit.base {
			end = limit.pos
		}
		at, ok, err := s.find(offset, end)
		if err != nil {
			s.release()
			return span, false, err
		}
		if !ok {
			s.release() // a gap that compaction or a lost segment left
			continue
		}
		n := s.align(at, end, maxBytes)
		if o.MinOne {
			n = max(n, at.size)
		}
		if n <= 0 {
			s.release()
			return span, false, nil
		}
		bound := limit.offset
		if i+1 < len(list) {
			bound = min(bound, list[i+1].base)
		}
		return Span{Offset: at.base, File: s.f, Pos: at.pos, Len: n, seg: s, limit: bound}, false, nil
	}
	return span, false, nil
}

// limit is where a reader has to stop.
func (l *Log) limit(uncommitted bool) mark {
	if uncommitted {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.markLocked()
	}
	l.markMu.Lock()
	defer l.markMu.Unlock()
	return l.mark
}

// segmentIndex is the last segment that begins at or before offset; -1 when there is none.
func segmentIndex(list []*segment, offset int64) int {
	if s := list[len(list)-1]; s.base <= offset {
		return len(list) - 1 // most reads are at the end
	}
	i, found := slices.BinarySearchFunc(list, offset, func(s *segment, offset int64) int {
		switch {
		case s.base < offset:
			return -1
		case s.base > offset:
			return 1
		}
		return 0
	})
	if found {
		return i
	}
	return i - 1
}

// align says how many bytes from a batch on to hand out: all there is, or up to maxBytes, ending between batches
// where that can be found out cheaply.
func (s *segment) align(at place, end, maxBytes int64) int64 {
	if end-at.pos <= maxBytes {
		return end - at.pos
	}
	if at.size > maxBytes {
		return maxBytes
	}
	whole, hops := int64(0), 0
	err := s.scan(at.pos, end, func(h header, pos int64) bool {
		if pos+h.size()-at.pos > maxBytes {
			return false
		}
		whole = pos + h.size() - at.pos
		hops++
		return hops < alignHops
	})
	if err != nil || hops == alignHops {
		return maxBytes
	}
	return whole
}

// OffsetForTime returns the first visible record whose timestamp is ms or later, with its timestamp and the leader
// epoch it was written in; all three are -1 when there is none. Timestamps need not grow with offsets.
func (l *Log) OffsetForTime(ms int64) (offset, timestamp int64, epoch int32, err error) {
	limit := l.limit(false)
	low := l.low.Load()
	for _, s := range *l.segs.Load() {
		if s.base > limit.base || s.base >= limit.offset {
			break
		}
		if maxTime, _ := l.times(s); maxTime < ms {
			continue
		}
		if !s.acquire() {
			if l.shut.Load() {
				return -1, -1, -1, ErrClosed
			}
			return l.OffsetForTime(ms) // retention or compaction has just taken it
		}
		r, ok, err := s.firstSince(ms, low, limit)
		s.release()
		if err != nil {
			return -1, -1, -1, fmt.Errorf("look for time %d in %s-%d: %w", ms, l.topic, l.partition, err)
		}
		if ok {
			return r.offset, r.timestamp, r.epoch, nil
		}
	}
	return -1, -1, -1, nil
}

// times is the largest timestamp of a segment, and the last offset of the batch that has it.
func (l *Log) times(s *segment) (maxTime, last int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.maxTime, s.maxTimeLast
}

// stamped is a record found by its time.
type stamped struct {
	offset    int64
	timestamp int64
	epoch     int32
}

// firstSince finds the first record of the segment, from offset low on, with a timestamp of at least ms.
func (s *segment) firstSince(ms, low int64, limit mark) (stamped, bool, error) {
	end := s.size.Load()
	if s.base == limit.base {
		end = limit.pos
	}
	var from int64
	var e [timeEntrySize]byte
	// All timestamps up to the offset of an entry are at most its own, so with an entry below ms the search begins after.
	ok, err := s.tidx.floor(ms-1, e[:])
	if err != nil {
		return stamped{}, false, err
	}
	if ok {
		at, found, err := s.find(s.base+int64(binary.BigEndian.Uint32(e[8:])), end)
		if err != nil {
			return stamped{}, false, err
		}
		if found {
			from = at.pos
		}
	}
	return s.firstStamped(from, end, low, func(h header) bool { return h.maxTimestamp() >= ms },
		func(ts int64) bool { return ts >= ms })
}

// firstStamped finds the first record at or after offset low that isRecord accepts, within a batch that isBatch accepts.
func (s *segment) firstStamped(from, end, low int64, isBatch func(header) bool, isRecord func(int64) bool) (stamped, bool, error) {
	for from < end {
		var at place
		var epoch int32
		err := s.scan(from, end, func(h header, pos int64) bool {
			if h.lastOffset() >= low && isBatch(h) {
				at = place{pos: pos, size: h.size(), base: h.baseOffset(), last: h.lastOffset()}
				epoch = h.leaderEpoch()
				return false
			}
			return true
		})
		if err != nil || at.size == 0 {
			return stamped{}, false, err
		}
		r, ok, err := firstRecord(s.f, at, low, isRecord)
		if err != nil {
			return stamped{}, false, err
		}
		if ok {
			r.epoch = epoch
			return r, true, nil
		}
		from = at.pos + at.size // its header promised more than its records hold
	}
	return stamped{}, false, nil
}

// MaxTimestamp returns the first visible record with the largest timestamp; all three are -1 in an empty log.
func (l *Log) MaxTimestamp() (offset, timestamp int64, epoch int32) {
	limit := l.limit(false)
	low := l.low.Load()
	best := stamped{-1, noTimestamp, -1}
	for _, s := range *l.segs.Load() {
		if s.base > limit.base || s.base >= limit.offset {
			break
		}
		if maxTime, _ := l.times(s); maxTime <= best.timestamp {
			continue
		}
		if !s.acquire() {
			if l.shut.Load() {
				break
			}
			return l.MaxTimestamp()
		}
		r, ok, err := s.newest(l, low, limit)
		if err == nil && ok && r.timestamp > best.timestamp {
			best = r
		}
		s.release()
	}
	return best.offset, best.timestamp, best.epoch
}

// newest finds the first record with the segment's largest visible timestamp.
func (s *segment) newest(l *Log, low int64, limit mark) (stamped, bool, error) {
	end := s.size.Load()
	if s.base == limit.base {
		end = limit.pos
	}
	var from int64
	largest, last := l.times(s)
	if last < low || last >= limit.offset {
		// The batch known to have it cannot be seen: look at every header that can.
		largest = math.MinInt64
		err := s.scan(0, end, func(h header, _ int64) bool {
			if h.lastOffset() >= low {
				largest = max(largest, h.maxTimestamp())
			}
			return true
		})
		if err != nil {
			return stamped{}, false, err
		}
	} else {
		at, ok, err := s.find(last, end)
		if err != nil {
			return stamped{}, false, err
		}
		if ok {
			from = at.pos
		}
	}
	return s.firstStamped(from, end, low, func(h header) bool { return h.maxTimestamp() == largest },
		func(ts int64) bool { return ts == largest })
}
