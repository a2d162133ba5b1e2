package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Suffixes of Kafka's files in a partition directory.
const (
	suffixLog       = ".log"
	suffixIndex     = ".index"
	suffixTimeIndex = ".timeindex"
	suffixSnapshot  = ".snapshot"
	suffixTxnIndex  = ".txnindex"
	suffixDeleted   = ".deleted"
	suffixTemp      = ".tmp"
	suffixCleaned   = ".cleaned" // behind another: a file compaction writes
	suffixSwap      = ".swap"    // behind another: one that is to take the place of others
)

func segmentName(base int64, suffix string) string { return fmt.Sprintf("%020d%s", base, suffix) }

// segment is one .log file with its indexes. The list of its log holds one reference, every reader another; the
// files are closed when the last is given back, whether or not they still have names.
type segment struct {
	base int64
	f    File
	idx  *sparseIndex // last offset of a batch -> position of that batch
	tidx *sparseIndex // largest timestamp so far -> last offset of its batch
	txn  *txnIndex    // aborted transactions

	size atomic.Int64 // bytes of whole batches; the file may be longer after a write that did not succeed
	refs atomic.Int32

	// Guarded by Log.mu.
	sinceIndex  int64 // bytes since the last index entry
	maxTime     int64 // largest timestamp, noTimestamp when empty
	maxTimeLast int64 // last offset of the batch that has it
	firstAppend time.Time
	lastAppend  time.Time
	overrun     bool // a write did not succeed and what it left could not be cut off
}

func (s *segment) acquire() bool {
	for {
		n := s.refs.Load()
		if n <= 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *segment) release() {
	if s.refs.Add(-1) == 0 {
		s.f.Close()
		s.idx.f.Close()
		s.tidx.f.Close()
		s.txn.close()
	}
}

// openSegmentFiles opens or, with os.O_CREATE in flag, creates the three files; their names may go on with one more suffix.
func openSegmentFiles(fsys FS, dir string, base int64, more string, flag int) (*segment, error) {
	s := &segment{base: base, maxTime: noTimestamp, maxTimeLast: base}
	var files [3]File
	for i, suffix := range [3]string{suffixLog, suffixIndex, suffixTimeIndex} {
		fl := flag
		if i > 0 {
			fl |= os.O_CREATE // an index that is missing is made again
		}
		f, err := fsys.OpenFile(filepath.Join(dir, segmentName(base, suffix+more)), fl)
		if err != nil {
			for _, f := range files[:i] {
				f.Close()
			}
			return nil, fmt.Errorf("open segment: %w", err)
		}
		files[i] = f
	}
	s.f = files[0]
	s.idx = newSparseIndex(files[1], offsetEntrySize, 0)
	s.tidx = newSparseIndex(files[2], timeEntrySize, 0)
	s.txn = newTxnIndex(fsys, dir, base)
	s.refs.Store(1)
	return s, nil
}

// createSegment makes an empty segment. Leftovers of the same name, of a roll that a crash undid, are emptied.
func createSegment(fsys FS, dir string, base int64) (*segment, error) {
	_ = fsys.Remove(filepath.Join(dir, segmentName(base, suffixTxnIndex)))
	s, err := openSegmentFiles(fsys, dir, base, "", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		removeSegmentFiles(fsys, dir, base)
		return nil, err
	}
	return s, nil
}

// segmentSuffixes are those of a segment's files, the log last.
var segmentSuffixes = [...]string{suffixIndex, suffixTimeIndex, suffixTxnIndex, suffixLog}

func removeSegmentFiles(fsys FS, dir string, base int64) {
	for _, suffix := range segmentSuffixes {
		_ = fsys.Remove(filepath.Join(dir, segmentName(base, suffix))) // most often it is not there
	}
}

// write puts whole batches at the end. What a write that did not succeed left behind is cut off at once or, where
// even that does not work, before the next write.
func (s *segment) write(b []byte) error {
	size := s.size.Load()
	if s.overrun {
		if err := s.f.Truncate(size); err != nil {
			return fmt.Errorf("cut off a partial write: %w", err)
		}
		s.overrun = false
	}
	if _, err := s.f.WriteAt(b, size); err != nil {
		s.overrun = s.f.Truncate(size) != nil
		return err
	}
	return nil
}

// note accounts for a batch written at pos: index entries first, as Kafka does, so that the first batch has none.
func (s *segment) note(h header, pos int64, interval int) {
	if ts := h.maxTimestamp(); ts > s.maxTime {
		s.maxTime, s.maxTimeLast = ts, h.lastOffset()
	}
	if s.sinceIndex > int64(interval) {
		var e [offsetEntrySize]byte
		binary.BigEndian.PutUint32(e[:], uint32(h.lastOffset()-s.base))
		binary.BigEndian.PutUint32(e[4:], uint32(pos))
		s.idx.add(e[:])
		s.noteTime()
		s.sinceIndex = 0
	}
	s.sinceIndex += h.size()
}

// noteTime adds the largest timestamp so far to the time index, unless it is there.
func (s *segment) noteTime() {
	var e [timeEntrySize]byte
	if ok, err := s.tidx.last(e[:]); err != nil || ok && int64(binary.BigEndian.Uint64(e[:])) >= s.maxTime || s.maxTime < 0 {
		return
	}
	binary.BigEndian.PutUint64(e[:], uint64(s.maxTime))
	binary.BigEndian.PutUint32(e[8:], uint32(s.maxTimeLast-s.base))
	s.tidx.add(e[:])
}

// seal completes the indexes; the segment is not written to any more.
func (s *segment) seal() {
	s.noteTime()
	_ = s.idx.write() // an incomplete index only makes lookups read more
	_ = s.tidx.write()
}

func (s *segment) sync() error {
	for _, f := range [...]File{s.f, s.idx.f, s.tidx.f} {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return s.txn.sync()
}

// fits says whether an offset can be written relative to the base.
func (s *segment) fits(lastOffset int64) bool { return lastOffset-s.base <= math.MaxInt32 }

// place is a batch in a segment.
type place struct {
	pos  int64
	size int64
	base int64
	last int64
}

// find returns the batch that holds offset, or the first one after it, looking at bytes below limit only.
func (s *segment) find(offset, limit int64) (place, bool, error) {
	var e [offsetEntrySize]byte
	ok, err := s.idx.floor(min(offset-s.base, math.MaxInt32), e[:])
	if err != nil {
		return place{}, false, err
	}
	if ok {
		pos, last := int64(binary.BigEndian.Uint32(e[4:])), s.base+int64(binary.BigEndian.Uint32(e[:]))
		p, found, err := s.findFrom(pos, last, offset, limit)
		if !isDamage(err) {
			return p, found, err
		}
		// The index may have led astray; the log itself has the last word.
	}
	return s.findFrom(0, -1, offset, limit)
}

// findFrom looks for the batch from a position on, where there must be one with the given last offset unless that is -1.
func (s *segment) findFrom(pos, last, offset, limit int64) (place, bool, error) {
	var found place
	astray := last >= 0
	err := s.scan(pos, limit, func(h header, at int64) bool {
		if at == pos && last >= 0 {
			if astray = h.lastOffset() != last; astray {
				return false
			}
		}
		found = place{pos: at, size: h.size(), base: h.baseOffset(), last: h.lastOffset()}
		return h.lastOffset() < offset
	})
	if err == nil && astray {
		err = fmt.Errorf("%w: index entry of segment %d", ErrCorrupt, s.base)
	}
	if err != nil {
		return place{}, false, err
	}
	return found, found.size > 0 && found.last >= offset, nil
}

// scan hands out batch headers from pos on, which must be a batch's position, until f says false or limit is reached.
func (s *segment) scan(pos, limit int64, f func(h header, pos int64) bool) error {
	block := scanBuffers.Get().(*scanBuffer)
	defer scanBuffers.Put(block)
	var have []byte // block's bytes from pos on
	want := int64(len(block))
	for pos+batchHeaderSize <= limit {
		if len(have) < batchHeaderSize {
			n, err := s.f.ReadAt(block[:min(want, limit-pos)], pos)
			if n < batchHeaderSize {
				if err == nil || errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return fmt.Errorf("read batch header at %d of segment %d: %w", pos, s.base, err)
			}
			have = block[:n]
		}
		h := header(have[:batchHeaderSize])
		size := h.size()
		if size < batchHeaderSize || h.magic() != 2 || pos+size > limit {
			return fmt.Errorf("%w: at %d of segment %d", ErrCorrupt, pos, s.base)
		}
		if !f(h, pos) {
			return nil
		}
		pos += size
		if size >= int64(len(block)) {
			want = batchHeaderSize // the next is likely to be as large
		} else {
			want = int64(len(block))
		}
		have = have[min(size, int64(len(have))):]
	}
	return nil
}

// scanBatches hands out headers as scan does and, of control batches, what follows the header, until f says an error.
func (s *segment) scanBatches(pos, limit int64, f func(h header, body []byte) error) error {
	var failed error
	var body [maxMarkerBody]byte
	err := s.scan(pos, limit, func(h header, at int64) bool {
		b := body[:0]
		if h.control() {
			b = body[:min(h.size()-batchHeaderSize, maxMarkerBody)]
			if readFull(s.f, b, at+batchHeaderSize) != nil {
				failed = fmt.Errorf("read control batch at %d of segment %d: %w", at, s.base, io.ErrUnexpectedEOF)
				return false
			}
		}
		failed = f(h, b)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}
