package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// recoverBuffer is how much of a segment is in memory while it is looked at.
const recoverBuffer = 256 << 10

// recoverLogs opens the logs of a directory, some at a time.
func (d *Dir) recoverLogs(keys []partitionKey) error {
	points, starts, cleaned := d.readOffsets(fileRecoveryPoint), d.readOffsets(fileLogStart), d.readOffsets(fileCleaned)
	work := make(chan partitionKey)
	var mu sync.Mutex
	var first error
	var wg sync.WaitGroup
	for range min(max(runtime.GOMAXPROCS(0), 1), len(keys)) {
		wg.Go(func() {
			buf := make([]byte, recoverBuffer)
			for k := range work {
				point, known := points[k]
				l, err := d.openLog(k, checkpoints{point, known, starts[k], cleaned[k]}, buf)
				mu.Lock()
				if l != nil {
					d.logs[k] = l
					d.nextID = max(d.nextID, l.producers.idMax+1)
				}
				if err != nil && first == nil {
					first = fmt.Errorf("recover %s: %w", partitionDir(k), err)
				}
				mu.Unlock()
			}
		})
	}
	for _, k := range keys {
		work <- k
	}
	close(work)
	wg.Wait()
	return first
}

// recovery is the opening of one log.
type recovery struct {
	*Log
	buf       []byte
	now       time.Time
	bases     []int64       // of .log files
	indexed   map[int64]int // how many index files there are for a base
	snapshots []int64
	segments  []*segment
	maxEpoch  int32          // largest epoch in a batch looked at
	known     bool           // the history of epochs could be read
	lostTxns  map[int64]bool // segments whose index of aborted transactions went with an interrupted compaction
	gaps      bool           // there may be gaps between batches: the log was compacted and where it was flushed is not known
}

// checkpoints is what the directory's checkpoints say of a log.
type checkpoints struct {
	recovery int64
	known    bool // there is a recovery point
	start    int64
	cleaned  int64
}

// openLog brings one log back. A nil error comes with a log; with an error whatever was opened is closed again.
func (d *Dir) openLog(k partitionKey, at checkpoints, buf []byte) (*Log, error) {
	r := &recovery{Log: d.newLog(k, d.file(partitionDir(k))), buf: buf, now: time.Now(), maxEpoch: -1, indexed: make(map[int64]int), lostTxns: make(map[int64]bool)}
	r.gaps = !at.known && (at.cleaned > 0 || r.Config().Compact)
	if err := r.run(d.clean && at.known, at.recovery, at.start); err != nil {
		for _, s := range r.segments {
			s.release()
		}
		return nil, err
	}
	if r.Log.cleaned = at.cleaned; at.cleaned > r.end.Load() {
		r.Log.cleaned = 0
	}
	return r.Log, nil
}

func (r *recovery) run(clean bool, point, start int64) error {
	if err := r.list(); err != nil {
		return err
	}
	b, err := readAll(r.dir.fs, r.file(fileMetadata))
	if err == nil {
		r.topicID, err = decodeMetadata(b)
	}
	if err != nil {
		r.dir.cfg.Logger.Warn("topic id not known", "topic", r.topic, "partition", r.partition, "err", err)
	}
	r.known = r.readEpochs()

	// Segments that retention was about to remove when it was interrupted.
	for len(r.bases) > 1 && r.bases[1] <= start {
		removeSegmentFiles(r.dir.fs, r.path, r.bases[0])
		r.bases = r.bases[1:]
	}
	if len(r.bases) == 0 {
		s, err := createSegment(r.dir.fs, r.path, start)
		if err != nil {
			return err
		}
		r.segments = append(r.segments, s)
		r.bases = append(r.bases, start)
		clean = false
	}
	if err := r.dropSnapshotsBelow(r.bases[0]); err != nil {
		return err
	}
	for _, base := range r.bases[len(r.segments):] {
		s, err := openSegmentFiles(r.dir.fs, r.path, base, "", os.O_RDWR)
		if err != nil {
			return err
		}
		r.segments = append(r.segments, s)
		n, err := s.f.Size()
		if err != nil {
			return err
		}
		s.size.Store(min(n, maxSegmentBytes))
	}
	if err := r.checkSealed(); err != nil {
		return err
	}

	last := r.segments[len(r.segments)-1]
	txns, err := last.txn.open(last.base, math.MaxInt64)
	if err != nil {
		return err
	}
	end := int64(-1)
	if clean = clean && txns; clean {
		if end, err = r.openTail(); err != nil {
			return err
		}
		if clean = end == point; !clean {
			r.dir.cfg.Logger.Warn("log does not end where it was closed", "topic", r.topic, "partition", r.partition, "offset", end, "closed", point)
		}
	}
	if clean {
		if _, err := r.replayProducers(end); err != nil {
			return err
		}
	} else if end, err = r.repair(point); err != nil {
		return err
	}
	if end < start {
		// Everything left lies below the log start offset: begin anew there.
		if end, err = start, r.restartAt(start); err != nil {
			return err
		}
		clean = false
	}
	if err := r.settleEpochs(clean, end); err != nil {
		return err
	}
	r.low.Store(start)
	r.setSegments(r.segments, end)
	r.Log.epochs.raiseStart(r.low.Load())
	r.Log.recovery = end // repair has synced it
	r.touched = !clean
	return nil
}

// list reads the directory and removes what an interrupted operation left.
func (r *recovery) list() error {
	entries, err := r.dir.fs.ReadDir(r.path)
	if err != nil {
		return err
	}
	names := make(map[string]bool)
	for _, e := range entries {
		if strings.HasSuffix(e.Name, suffixDeleted) || strings.HasSuffix(e.Name, suffixTemp) || strings.HasSuffix(e.Name, suffixCleaned) {
			if err := r.dir.fs.Remove(r.file(e.Name)); err != nil {
				return err
			}
			continue
		}
		names[e.Name] = true
	}
	if err := r.finishSwaps(names); err != nil {
		return err
	}
	for name := range names {
		if base, ok := parseSegmentName(name, suffixLog); ok {
			r.bases = append(r.bases, base)
		}
		for _, suffix := range [...]string{suffixIndex, suffixTimeIndex} {
			if base, ok := parseSegmentName(name, suffix); ok {
				r.indexed[base]++
			}
		}
		if offset, ok := parseSegmentName(name, suffixSnapshot); ok {
			r.snapshots = append(r.snapshots, offset)
		}
	}
	slices.Sort(r.bases)
	slices.Sort(r.snapshots)
	return nil
}

// dropSnapshotsBelow removes snapshots between which and the log records are missing that they do not know.
func (r *recovery) dropSnapshotsBelow(offset int64) error {
	for len(r.snapshots) > 0 && r.snapshots[0] < offset {
		if err := r.dir.fs.Remove(r.file(segmentName(r.snapshots[0], suffixSnapshot))); err != nil {
			return err
		}
		r.snapshots = r.snapshots[1:]
	}
	return nil
}

func (r *recovery) readEpochs() (known bool) {
	b, err := readAll(r.dir.fs, r.file(fileEpochs))
	if err == nil {
		r.Log.epochs, err = decodeEpochs(b)
	}
	if err != nil {
		r.dir.cfg.Logger.Warn("leader epochs read from the log", "topic", r.topic, "partition", r.partition, "err", err)
	}
	return err == nil && len(r.Log.epochs) > 0
}

// checkSealed looks at the indexes of all segments but the last, and makes those anew that cannot be right.
func (r *recovery) checkSealed() error {
	for i, s := range r.segments[:len(r.segments)-1] {
		ok, err := s.openIndexes(r.bases[i+1] - 1)
		if err != nil {
			return err
		}
		txns, err := s.txn.open(s.base, r.bases[i+1]-1)
		if err == nil && (!txns || r.lostTxns[s.base]) {
			err = r.rebuildTxns(s)
		}
		if err != nil {
			return err
		}
		if ok && r.indexed[s.base] == 2 {
			continue
		}
		if _, err := r.rebuild(s, -1, nil); err != nil {
			return err
		}
		s.seal()
		if err := s.sync(); err != nil {
			return err
		}
	}
	return nil
}

// openIndexes takes both index files as they are, when their sizes and last entries make sense.
func (s *segment) openIndexes(maxLast int64) (ok bool, err error) {
	for _, x := range [...]*sparseIndex{s.idx, s.tidx} {
		n, err := x.f.Size()
		if err != nil {
			return false, err
		}
		if n%int64(x.entry) != 0 {
			return false, nil
		}
		x.written = n / int64(x.entry)
	}
	var e [offsetEntrySize]byte
	if some, err := s.idx.last(e[:]); err != nil {
		return false, err
	} else if some {
		offset, pos := s.base+int64(int32(binary.BigEndian.Uint32(e[:]))), int64(int32(binary.BigEndian.Uint32(e[4:])))
		if offset <= s.base || offset > maxLast || pos <= 0 || pos >= s.size.Load() {
			return false, nil
		}
	}
	var t [timeEntrySize]byte
	some, err := s.tidx.last(t[:])
	if err != nil {
		return false, err
	}
	if !some {
		return s.size.Load() == 0, nil
	}
	s.maxTime = int64(binary.BigEndian.Uint64(t[:]))
	s.maxTimeLast = s.base + int64(int32(binary.BigEndian.Uint32(t[8:])))
	return s.maxTime >= 0 && s.maxTimeLast >= s.base && s.maxTimeLast <= maxLast, nil
}

// openTail finds the end of a log that was closed in order: from the last index entry on, header by header. It answers
// -1 when anything is not as closing left it.
func (r *recovery) openTail() (int64, error) {
	s := r.segments[len(r.segments)-1]
	size := s.size.Load()
	ok, err := s.openIndexes(s.base + (1<<31 - 1))
	if err != nil || !ok && size > 0 {
		return -1, err
	}
	if size == 0 {
		return s.base, nil
	}
	var pos int64
	var e [offsetEntrySize]byte
	if some, err := s.idx.last(e[:]); err != nil {
		return -1, err
	} else if some {
		pos = int64(binary.BigEndian.Uint32(e[4:]))
	}
	// Headers are enough: what an orderly stop has synced is looked at again only when it does not end where it says.
	end, reached := int64(-1), pos
	err = s.scan(pos, size, func(h header, at int64) bool {
		if h.baseOffset() < max(end, s.base) || h.lastDelta() < 0 || !s.fits(h.lastOffset()) {
			end = -1
			return false
		}
		end, reached = h.lastOffset()+1, at+h.size()
		s.sinceIndex += h.size()
		return true
	})
	if err != nil && !isDamage(err) {
		return -1, err
	}
	if err != nil || reached != size {
		return -1, nil
	}
	if h, ok, err := s.first(); err != nil {
		return -1, err
	} else if ok {
		s.firstAppend = earlier(time.UnixMilli(h.maxTimestamp()), r.now)
	}
	return end, nil
}

// first is the header of the first batch.
func (s *segment) first() (h header, ok bool, err error) {
	err = s.scan(0, s.size.Load(), func(x header, _ int64) bool {
		h, ok = slices.Clone(x), true
		return false
	})
	return h, ok, err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// repair looks at every batch from the segment that holds the recovery point on, and cuts the log at the first that
// is not whole or does not follow the one before it. What is left is synced, since a log that only a process left
// behind may still be in the page cache alone.
func (r *recovery) repair(point int64) (end int64, err error) {
	r.dir.counters.recoveredLogs.Add(1)
	from := max(slicesLastLE(r.bases, point), 0)
	snapshot, err := r.replayProducers(r.bases[from])
	if err != nil {
		return 0, err
	}
	end = r.bases[from]
	last := len(r.segments) - 1
	for i := from; i <= last; i++ {
		s := r.segments[i]
		if r.gaps && s.base > end {
			end = s.base
		}
		if s.base != end {
			// An unflushed tail before it is lost, so nothing in here was ever flushed or seen.
			if err := r.dropFrom(i, "a gap before it"); err != nil {
				return 0, err
			}
			break
		}
		var damaged bool
		if s.base != snapshot {
			if err := r.renewSnapshot(s.base); err != nil {
				return 0, err
			}
		}
		if err := s.txn.reset(); err != nil {
			return 0, err
		}
		expect := end
		if r.gaps && i < last {
			expect = -1
		}
		damaged, err := r.rebuild(s, expect, func(h header, body []byte) error {
			end = h.lastOffset() + 1
			return r.noteAborted(s, h, body)
		})
		if err != nil {
			return 0, err
		}
		if damaged {
			if err := s.f.Truncate(s.size.Load()); err != nil {
				return 0, err
			}
			if err := r.dropFrom(i+1, "damage before it"); err != nil {
				return 0, err
			}
		}
		if i < len(r.segments)-1 {
			s.seal()
		} else {
			_, _ = s.idx.write(), s.tidx.write()
		}
		if err := s.sync(); err != nil {
			return 0, err
		}
		if damaged {
			break
		}
	}
	for _, offset := range r.snapshots {
		if offset > end {
			err := r.dir.fs.Remove(r.file(segmentName(offset, suffixSnapshot)))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return 0, err
			}
		}
	}
	return end, r.dir.fs.SyncDir(r.path)
}

// renewSnapshot writes the state of the producers at the base of a segment where there was no whole snapshot: retention may
// take all that is older.
func (r *recovery) renewSnapshot(base int64) error {
	if base == 0 {
		return nil
	}
	return replaceFile(r.dir.fs, r.path, segmentName(base, suffixSnapshot), r.producers.encode())
}

// dropFrom removes the segments from one on.
func (r *recovery) dropFrom(i int, why string) error {
	for _, s := range r.segments[i:] {
		r.dir.cfg.Logger.Warn("segment removed", "topic", r.topic, "partition", r.partition, "offset", s.base, "bytes", s.size.Load(), "why", why)
		r.dir.counters.cutBytes.Add(s.size.Load())
		s.release()
		removeSegmentFiles(r.dir.fs, r.path, s.base)
		_ = r.dir.fs.Remove(r.file(segmentName(s.base, suffixSnapshot)))
	}
	r.segments, r.bases = r.segments[:i], r.bases[:i]
	return nil
}

// restartAt leaves one empty segment at an offset.
func (r *recovery) restartAt(offset int64) error {
	if err := r.dropFrom(0, "it lies below the log start offset"); err != nil {
		return err
	}
	s, err := createSegment(r.dir.fs, r.path, offset)
	if err != nil {
		return err
	}
	r.segments, r.bases = append(r.segments, s), append(r.bases, offset)
	if err := s.sync(); err != nil {
		return err
	}
	return r.dir.fs.SyncDir(r.path)
}

// rebuild reads a segment batch by batch, makes its indexes anew and sets its size to what is whole. With expect at
// 0 or more the batches must follow one another from there. It says whether bytes are left that are not whole.
func (r *recovery) rebuild(s *segment, expect int64, visit func(h header, body []byte) error) (damaged bool, err error) {
	size, err := s.f.Size()
	if err != nil {
		return false, err
	}
	for _, x := range [...]*sparseIndex{s.idx, s.tidx} {
		if err := x.reset(); err != nil {
			return false, err
		}
	}
	s.maxTime, s.maxTimeLast, s.sinceIndex, s.firstAppend = noTimestamp, s.base, 0, time.Time{}
	in := newBatchReader(s.f, 0, min(size, maxSegmentBytes), r.buf)
	whole, next := int64(0), max(expect, s.base)
	interval := r.Config().IndexIntervalBytes
	var why error
	for {
		h, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && (h.baseOffset() < next || expect >= 0 && h.baseOffset() != next || !s.fits(h.lastOffset())) {
			err = fmt.Errorf("%w: base offset %d, expected %d", ErrCorrupt, h.baseOffset(), next)
		}
		if isDamage(err) {
			why = err
			break
		}
		if err != nil {
			return false, err
		}
		s.note(h, whole, interval)
		if s.firstAppend.IsZero() {
			s.firstAppend = earlier(time.UnixMilli(h.maxTimestamp()), r.now)
		}
		if err := r.mendEpoch(s, h, whole); err != nil {
			return false, err
		}
		if visit != nil {
			if err := visit(h, in.body); err != nil {
				return false, err
			}
		}
		next, whole = h.lastOffset()+1, in.pos
		r.dir.counters.recoveredBatches.Add(1)
	}
	s.size.Store(whole)
	if whole == size {
		return false, nil
	}
	if expect >= 0 {
		r.dir.counters.cutBytes.Add(size - whole)
	}
	r.dir.cfg.Logger.Warn("segment damaged", "topic", r.topic, "partition", r.partition, "segment", s.base, "position", whole, "bytes", size-whole, "offset", next, "err", why)
	return true, nil
}

// mendEpoch notes the leader epoch of a batch. No CRC is over it, but the history that began each epoch was durable
// before the first batch of it was written: where the two disagree the batch is damaged, and gets the epoch it had.
func (r *recovery) mendEpoch(s *segment, h header, pos int64) error {
	epoch := h.leaderEpoch()
	if wrote, ok := r.Log.epochs.at(h.baseOffset()); r.known && ok && wrote != epoch {
		r.dir.cfg.Logger.Warn("leader epoch of a batch damaged", "topic", r.topic, "partition", r.partition, "offset", h.baseOffset(), "found", epoch, "epoch", wrote)
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(wrote))
		if _, err := s.f.WriteAt(b[:], pos+posLeaderEpoch); err != nil {
			return err
		}
		epoch = wrote
	}
	if epoch < maxEpoch {
		r.maxEpoch = max(r.maxEpoch, epoch)
	}
	return nil
}

// replayProducers brings the producers to the state at an offset: from the newest snapshot at or below it, and what
// batches between the two say. It returns the offset of that snapshot.
func (r *recovery) replayProducers(offset int64) (snapshot int64, err error) {
	usable := r.snapshots[:slicesLastLE(r.snapshots, offset)+1]
	snapshot = r.loadSnapshot(usable, r.now)
	return snapshot, r.noteBetween(snapshot, offset)
}

// noteAborted has the producers take note of a batch, and the transaction index of an abort.
func (r *recovery) noteAborted(s *segment, h header, body []byte) error {
	if h.producerID() < 0 {
		return nil
	}
	if txn, ok := r.producers.ends(h, body, h.lastOffset()); ok && txn.aborted {
		if _, err := s.txn.put(txn.abortedTxn); err != nil {
			return err
		}
		s.txn.commit()
	}
	r.producers.note(h, body, r.now)
	return nil
}

// rebuildTxns makes the transaction index of a sealed segment anew.
func (r *recovery) rebuildTxns(s *segment) error {
	r.dir.cfg.Logger.Warn("transaction index made anew", "topic", r.topic, "partition", r.partition, "segment", s.base)
	if err := s.txn.reset(); err != nil {
		return err
	}
	if _, err := r.replayProducers(s.base); err != nil {
		return err
	}
	err := s.scanBatches(0, s.size.Load(), func(h header, body []byte) error { return r.noteAborted(s, h, body) })
	if err != nil && !isDamage(err) {
		return err
	}
	r.producers = newProducers(r.producers.limit)
	return s.txn.sync()
}

// noteBetween reads the headers of batches between two offsets, CRCs aside.
func (r *recovery) noteBetween(from, to int64) error {
	if from >= to {
		return nil
	}
	for i, s := range r.segments {
		if s.base >= to || i+1 < len(r.bases) && r.bases[i+1] <= from {
			continue
		}
		var pos int64
		if s.base < from {
			at, ok, err := s.find(from, s.size.Load())
			if err != nil || !ok {
				continue // what cannot be read has no say
			}
			pos = at.pos
		}
		err := s.scanBatches(pos, s.size.Load(), func(h header, body []byte) error {
			if h.baseOffset() >= to {
				return io.EOF
			}
			if h.producerID() >= 0 && h.baseOffset() >= from {
				r.producers.note(h, body, r.now)
			}
			return nil
		})
		if err != nil && !errors.Is(err, io.EOF) && !isDamage(err) {
			return err
		}
	}
	return nil
}

// settleEpochs brings the history of leader epochs in line with the log and, after an unclean stop, begins a new one,
// durably: batches written from here on cannot be taken for those that a crash took away.
func (r *recovery) settleEpochs(clean bool, end int64) error {
	if clean && r.known {
		return nil
	}
	if !r.known {
		r.Log.epochs = nil
		for _, s := range r.segments {
			err := s.scan(0, s.size.Load(), func(h header, _ int64) bool {
				if n, e := len(r.Log.epochs), h.leaderEpoch(); e >= 0 && e < maxEpoch && (n == 0 || e > r.Log.epochs[n-1].epoch) {
					r.Log.epochs = append(r.Log.epochs, epochEntry{h.leaderEpoch(), h.baseOffset()})
				}
				return true
			})
			if err != nil && !isDamage(err) {
				return err
			}
		}
	}
	next := r.maxEpoch
	if len(r.Log.epochs) > 0 {
		next = max(next, r.Log.epochs.latest())
	}
	r.Log.epochs.truncateEnd(end)
	r.Log.epochs.assign(next+1, end)
	return replaceFile(r.dir.fs, r.path, fileEpochs, r.Log.epochs.encode())
}

// slicesLastLE is the index of the last element at or below v; -1 when there is none.
func slicesLastLE(sorted []int64, v int64) int {
	i, found := slices.BinarySearch(sorted, v)
	if found {
		return i
	}
	return i - 1
}
