package commitlog

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// How a compacted segment takes the place of others, so that a crash anywhere leaves the log with either:
//
//	1. its files are written as .cleaned and synced: the next start removes them
//	2. its indexes are renamed to .swap, the directory is synced, then its log is, the directory is synced:
//	   from here on the next start does the rest
//	3. the files of the segments it replaces are renamed to .deleted, the directory is synced
//	4. its indexes get their names, the directory is synced, then its log, the directory is synced
//
// Recovery points are written down before, so that no start takes the gaps between its batches for damage.

// swap puts a compacted segment in the place of segments i to j of a range. Readers that hold those go on reading them.
func (l *Log) swap(c *cleanRange, i, j int, s *segment) error {
	d := l.dir
	if err := d.writeRecoveryPoints(); err != nil {
		s.release()
		d.removeCleaned(l, s.base)
		return err
	}
	l.nameMu.Lock()
	defer l.nameMu.Unlock()
	if !l.has(c.segments[i:j]) {
		s.release()
		d.removeCleaned(l, s.base)
		return nil // retention, or a deletion, took some of them meanwhile
	}
	if err := l.commitSwap(s.base); err != nil {
		s.release()
		if d.Err() == nil {
			d.removeCleaned(l, s.base)
		}
		return err
	}
	l.mu.Lock()
	list := *l.segs.Load()
	at := 0
	for list[at] != c.segments[i] {
		at++
	}
	swapped := append(append(append([]*segment(nil), list[:at]...), s), list[at+j-i:]...)
	l.segs.Store(&swapped)
	l.mu.Unlock()

	var files []doomed
	for _, old := range c.segments[i:j] {
		suffixes := segmentSuffixes[:]
		if old.base != s.base { // the producers' state at the base of the new segment is what it was
			suffixes = append([]string{suffixSnapshot}, suffixes...)
		}
		for _, suffix := range suffixes {
			name := l.file(segmentName(old.base, suffix))
			if err := d.fs.Rename(name, name+suffixDeleted); err == nil {
				files = append(files, doomed{path: name + suffixDeleted})
			}
		}
		old.release()
	}
	err := d.fs.SyncDir(l.path)
	if err == nil {
		err = l.renameSegment(s.base, suffixSwap, "")
	}
	if err != nil {
		return d.offline(fmt.Errorf("compact %s-%d: %w", l.topic, l.partition, err))
	}
	d.doom(files...)
	return nil
}

// has says whether segments are in the list, one after the other.
func (l *Log) has(want []*segment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	list := *l.segs.Load()
	for i, s := range list {
		if s == want[0] {
			for j := range want {
				if i+j >= len(list)-1 || list[i+j] != want[j] {
					return false
				}
			}
			return true
		}
	}
	return false
}

func (l *Log) commitSwap(base int64) error {
	err := l.renameSegment(base, suffixCleaned, suffixSwap)
	var s *syncError
	if errors.As(err, &s) {
		return l.dir.offline(err)
	}
	return err
}

// renameSegment changes the last suffix of a segment's files, the log's after the others are durable.
func (l *Log) renameSegment(base int64, from, to string) error {
	for _, suffix := range segmentSuffixes {
		if suffix == suffixLog {
			if err := l.dir.fs.SyncDir(l.path); err != nil {
				return &syncError{err}
			}
		}
		name := l.file(segmentName(base, suffix))
		if err := l.dir.fs.Rename(name+from, name+to); err != nil {
			return err
		}
	}
	if err := l.dir.fs.SyncDir(l.path); err != nil {
		return &syncError{err}
	}
	return nil
}

// finishSwaps does at the start what an interrupted swap has left to do.
func (r *recovery) finishSwaps(names map[string]bool) error {
	for name := range names {
		base, ok := parseSegmentName(name, suffixLog+suffixSwap)
		if !ok {
			continue
		}
		if err := r.finishSwap(base, names); err != nil {
			return fmt.Errorf("finish compaction of segment %d: %w", base, err)
		}
	}
	// Indexes whose log did not get as far.
	for name := range names {
		if strings.HasSuffix(name, suffixSwap) {
			delete(names, name)
			if err := r.dir.fs.Remove(r.file(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (r *recovery) finishSwap(base int64, names map[string]bool) error {
	f, err := r.dir.fs.OpenFile(r.file(segmentName(base, suffixLog+suffixSwap)), os.O_RDONLY)
	if err != nil {
		return err
	}
	size, err := f.Size()
	last := base
	if err == nil {
		err = (&segment{base: base, f: f}).scan(0, size, func(h header, _ int64) bool {
			last = max(last, h.lastOffset())
			return true
		})
	}
	f.Close()
	if err != nil && !isDamage(err) {
		return err
	}
	r.dir.cfg.Logger.Info("compaction finished", "topic", r.topic, "partition", r.partition, "segment", base, "offset", last)
	// What it replaces goes, durably, before it can be taken for one of them. An old segment of which nothing stayed may lie
	// behind its last batch; that one is still whole, and stays until the next compaction.
	for name := range names {
		for _, suffix := range [...]string{suffixIndex, suffixTimeIndex, suffixTxnIndex, suffixLog, suffixSnapshot} {
			old, ok := parseSegmentName(name, suffix)
			if !ok || old < base || old > last || old == base && (suffix == suffixSnapshot || !names[name+suffixSwap]) {
				continue
			}
			if old > base && suffix == suffixSnapshot && !names[segmentName(old, suffixLog)] {
				continue // of an orderly stop, not of a segment
			}
			delete(names, name)
			if err := r.dir.fs.Remove(r.file(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if err := r.dir.fs.SyncDir(r.path); err != nil {
		return err
	}
	for _, suffix := range segmentSuffixes {
		if suffix == suffixLog {
			if err := r.dir.fs.SyncDir(r.path); err != nil {
				return err
			}
		}
		name := segmentName(base, suffix)
		err := r.dir.fs.Rename(r.file(name+suffixSwap), r.file(name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err == nil {
			delete(names, name+suffixSwap)
			names[name] = true
		} else if suffix == suffixTxnIndex && !names[name] {
			r.lostTxns[base] = true
		}
	}
	return r.dir.fs.SyncDir(r.path)
}
