package commitlog

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// doomed is a file or a tree to be removed.
type doomed struct {
	path string
	tree bool
	due  time.Time
}

// doom removes files after the configured delay.
func (d *Dir) doom(list ...doomed) {
	due := time.Now().Add(d.cfg.FileDeleteDelay)
	d.doomedMu.Lock()
	for _, x := range list {
		x.due = due
		d.doomed = append(d.doomed, x)
	}
	d.doomedMu.Unlock()
	if d.cfg.FileDeleteDelay <= 0 {
		d.removeDoomed(due, false)
	} else {
		d.wantCheckpoint() // wakes who waits for the next thing to be due
	}
}

// removeDoomed removes what is due, or all, and says when to come again.
func (d *Dir) removeDoomed(now time.Time, all bool) (next time.Time) {
	d.doomedMu.Lock()
	var due []doomed
	rest := d.doomed[:0]
	for _, x := range d.doomed {
		if all || !x.due.After(now) {
			due = append(due, x)
			continue
		}
		if next.IsZero() || x.due.Before(next) {
			next = x.due
		}
		rest = append(rest, x)
	}
	d.doomed = rest
	d.doomedMu.Unlock()
	for _, x := range due {
		remove := d.fs.Remove
		if x.tree {
			remove = d.fs.RemoveAll
		}
		if err := remove(x.path); err != nil {
			d.cfg.Logger.Warn("file not removed", "path", x.path, "err", err) // the next start tries again
		}
	}
	return next
}

// wantCheckpoint asks for the recovery points to be written soon.
func (d *Dir) wantCheckpoint() {
	select {
	case d.checkpoint <- struct{}{}:
	default:
	}
}

// keepHouse writes recovery points, removes files and enforces retention until the directory closes.
func (d *Dir) keepHouse() {
	var tick <-chan time.Time
	if d.cfg.RetentionInterval > 0 {
		t := time.NewTicker(d.cfg.RetentionInterval)
		defer t.Stop()
		tick = t.C
	}
	for {
		var due <-chan time.Time
		var timer *time.Timer
		if next := d.removeDoomed(time.Now(), false); !next.IsZero() {
			timer = time.NewTimer(time.Until(next))
			due = timer.C
		}
		select {
		case <-d.done:
			if timer != nil {
				timer.Stop()
			}
			return
		case <-due:
		case <-d.checkpoint:
			if err := d.writeRecoveryPoints(); err != nil {
				d.cfg.Logger.Warn("recovery points not written", "err", err)
			}
		case <-tick:
			d.EnforceRetention(time.Now())
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// EnforceRetention takes segments out of all logs that are past their retention at a given time, forgets producers
// that have been silent for too long, and starts a new segment where the active one is past its age. A timer calls it
// too, every RetentionInterval.
//
// A segment goes when its newest record is older than RetentionAge, or when the log without it still has
// RetentionBytes. The active segment goes only when all of it has expired; an empty one takes its place.
func (d *Dir) EnforceRetention(now time.Time) {
	d.retainMu.Lock()
	defer d.retainMu.Unlock()
	if d.usable() != nil {
		return
	}
	logs := d.Logs()
	work := false
	for _, l := range logs {
		work = l.expire(now) || work
	}
	if !work {
		return
	}
	// Before any name goes: if a crash lets some files reappear and not others, they are not taken for the log.
	if err := d.writeLogStarts(); err != nil {
		d.cfg.Logger.Warn("retention put off", "err", err)
		return
	}
	for _, l := range logs {
		l.dropBelowStart()
	}
}

// expire raises the log start offset over the segments that are past their time or too many, and says whether there
// are any to remove.
func (l *Log) expire(now time.Time) (work bool) {
	cfg := l.Config()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.producers.expire(now.Add(-l.dir.cfg.ProducerExpiry).UnixMilli())
	if l.agedLocked(now, &cfg) {
		l.rollForRetentionLocked()
	}
	if cfg.Compact && !cfg.CompactDelete {
		return l.belowStartLocked() > 0
	}
	list := *l.segs.Load()
	hw := l.hw.Load()
	excess := int64(-1)
	if cfg.RetentionBytes > 0 {
		excess = -cfg.RetentionBytes
		for _, s := range list {
			excess += s.size.Load()
		}
	}
	low := l.low.Load()
	for i, s := range list {
		size := s.size.Load()
		if size == 0 {
			break
		}
		next := l.end.Load()
		if i+1 < len(list) {
			next = list[i+1].base
		}
		old := cfg.RetentionAge > 0 && now.Sub(s.newestAppend(now)) > cfg.RetentionAge
		large := excess >= size
		if next > hw || !old && !large {
			break
		}
		if s == l.active {
			if !old || !l.rollForRetentionLocked() {
				break
			}
		}
		excess -= size
		low = next
	}
	if low > l.low.Load() {
		l.raiseStartLocked(low)
	}
	return l.belowStartLocked() > 0 // also what an earlier round had to leave
}

func (l *Log) rollForRetentionLocked() bool {
	if err := l.rollLocked(); err != nil {
		l.dir.cfg.Logger.Warn("segment not rolled", "topic", l.topic, "partition", l.partition, "err", err)
		return false
	}
	l.dir.flusher.add(l)
	return true
}

// newestAppend is when the newest record of a segment counts as written. A timestamp in the future would keep
// the segment for ever, so the time of the last append bounds it.
func (s *segment) newestAppend(now time.Time) time.Time {
	t := now
	if !s.lastAppend.IsZero() {
		t = s.lastAppend
	}
	if s.maxTime >= 0 {
		if m := time.UnixMilli(s.maxTime); m.Before(t) {
			return m
		}
	}
	return t
}

func (l *Log) raiseStartLocked(low int64) {
	l.low.Store(low)
	l.epochs.raiseStart(low)
}

// belowStartLocked is how many segments end at or below the log start offset.
func (l *Log) belowStartLocked() int {
	list := *l.segs.Load()
	low := l.low.Load()
	n := 0
	for n+1 < len(list) && list[n+1].base <= low {
		n++
	}
	return n
}

// dropBelowStart takes the segments that end at or below the log start offset out of the list and renames their files.
func (l *Log) dropBelowStart() {
	l.nameMu.Lock()
	defer l.nameMu.Unlock()
	l.mu.Lock()
	n := l.belowStartLocked()
	l.mu.Unlock()
	// The segment that is then the first, and the producers' state at its beginning, have to be on disk before.
	if n == 0 || l.flush() != nil {
		return
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	list := *l.segs.Load()
	gone := list[:n]
	kept := append([]*segment(nil), list[n:]...)
	l.segs.Store(&kept)
	var files []doomed
	for _, s := range gone {
		for _, suffix := range [...]string{suffixLog, suffixIndex, suffixTimeIndex, suffixTxnIndex, suffixSnapshot} {
			name := l.file(segmentName(s.base, suffix))
			if err := l.dir.fs.Rename(name, name+suffixDeleted); err == nil {
				files = append(files, doomed{path: name + suffixDeleted})
			}
		}
		l.dir.counters.retired.Add(1)
		l.dir.counters.retiredBytes.Add(s.size.Load())
	}
	l.mu.Unlock()
	for _, s := range gone {
		s.release()
	}
	l.dir.doom(files...)
}

// DeleteBefore makes offset the log start offset, durably, and removes the segments that lie wholly below it; -1
// means the high watermark. It returns the log start offset, which never goes down.
//
// Errors: ErrOffsetOutOfRange beyond the high watermark, ErrClosed, ErrOffline, or what the file system said.
func (l *Log) DeleteBefore(offset int64) (int64, error) {
	l.dir.retainMu.Lock()
	defer l.dir.retainMu.Unlock()
	if err := l.dir.usable(); err != nil {
		return -1, err
	}
	if offset == -1 {
		offset = l.hw.Load()
	}
	if offset < 0 || offset > l.hw.Load() {
		return -1, ErrOffsetOutOfRange
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return -1, ErrClosed
	}
	raised := offset > l.low.Load()
	if raised {
		l.raiseStartLocked(offset)
	}
	l.mu.Unlock()
	if raised {
		if err := l.dir.writeLogStarts(); err != nil {
			return -1, err
		}
		l.dropBelowStart()
	}
	return l.low.Load(), nil
}

// Roll seals the active segment, if it has anything, and starts an empty one: then DeleteBefore
// can remove all that is in the log.
//
// Errors: ErrClosed, ErrOffline, or what the file system said.
func (l *Log) Roll() error {
	if err := l.dir.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if l.active.size.Load() == 0 {
		return nil
	}
	if err := l.rollLocked(); err != nil {
		return err
	}
	l.dir.flusher.add(l)
	return nil
}

// removeStraySnapshotsLocked removes snapshots that belong to no segment, but for the one at keep.
func (l *Log) removeStraySnapshotsLocked(keep int64) {
	entries, err := l.dir.fs.ReadDir(l.path)
	if err != nil {
		return // they do no harm
	}
	bases := make(map[int64]bool)
	for _, s := range *l.segs.Load() {
		bases[s.base] = true
	}
	for _, e := range entries {
		offset, ok := parseSegmentName(e.Name, suffixSnapshot)
		if ok && offset != keep && !bases[offset] {
			_ = l.dir.fs.Remove(filepath.Join(l.path, e.Name))
		}
	}
}

// parseSegmentName reads the offset of a file name of twenty digits and a suffix.
func parseSegmentName(name, suffix string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n >= 0
}
