package commitlog

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const fileCleaned = "cleaner-offset-checkpoint"

// keepClean compacts logs until the directory closes.
func (d *Dir) keepClean() {
	t := time.NewTicker(d.cfg.CleanerInterval)
	defer t.Stop()
	for {
		select {
		case <-d.done:
			return
		case <-t.C:
			d.Compact(time.Now())
		}
	}
}

// Compact compacts all logs with [LogConfig.Compact] that are due at a given time, those first that have most to gain. A timer
// calls it too, every CleanerInterval. Reads and appends go on meanwhile.
//
// Of every key the last record stays, at its offset. Earlier ones go, and records without a key, and those of aborted
// transactions. A tombstone, which is a record without a value, and a marker that ends nothing any more stay for DeleteRetention from
// the first compaction that meets them. A log is due when the part of it that was never compacted is more than MinCleanableRatio
// of it, or holds a record older than MaxCompactionLag. The active segment is never compacted.
func (d *Dir) Compact(now time.Time) {
	d.cleanMu.Lock()
	defer d.cleanMu.Unlock()
	tired := make(map[*Log]bool)
	for d.usable() == nil {
		c, ok := d.dirtiest(now, tired)
		if !ok {
			return
		}
		l := c.log
		end, err := d.compactRange(&c, now)
		whole := end >= c.end()
		c.release()
		switch {
		case err == nil:
			err = d.writeCleanerPoints()
			// What did not fit in the map is for the next round, which begins where this one ended.
			tired[l] = whole || end <= c.from
		case l.gone(): // with its files, meanwhile
			err, tired[l] = nil, true
		case errors.Is(err, ErrClosed) || errors.Is(err, ErrOffline):
			return
		default:
			tired[l] = true
		}
		if err != nil {
			d.counters.cleanErrors.Add(1)
			d.cfg.Logger.Warn("log not compacted", "topic", l.topic, "partition", l.partition, "err", err)
		}
	}
}

// gone says whether the log has been deleted.
func (l *Log) gone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deleted
}

// dirtiest finds the log to compact next.
func (d *Dir) dirtiest(now time.Time, tired map[*Log]bool) (best cleanRange, ok bool) {
	for _, l := range d.Logs() {
		if tired[l] {
			continue
		}
		c, due := l.cleanable(now)
		switch {
		case !due:
		case !ok || c.must && !best.must || c.must == best.must && c.ratio() > best.ratio():
			best.release()
			best, ok = c, true
		default:
			c.release()
		}
	}
	return best, ok
}

// writeCleanerPoints keeps how far each log was compacted.
func (d *Dir) writeCleanerPoints() error {
	m := make(map[partitionKey]int64)
	for _, l := range d.Logs() {
		l.mu.Lock()
		if l.cleaned > 0 {
			m[partitionKey{l.topic, l.partition}] = l.cleaned
		}
		l.mu.Unlock()
	}
	return d.replace(fileCleaned, encodeOffsets(m))
}

// pace holds work back to a number of bytes a second.
type pace struct {
	rate int64 // 0: no limit

	mu   sync.Mutex
	free time.Time // when what was admitted so far will have had its time
}

// wait admits n bytes, once it is time for them.
func (p *pace) wait(n int64, done <-chan struct{}) error {
	select {
	case <-done:
		return ErrClosed
	default:
	}
	if p.rate <= 0 || n == 0 {
		return nil
	}
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	due := p.free
	p.free = due.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	p.mu.Unlock()
	if due.Sub(now) <= 0 {
		return nil
	}
	t := time.NewTimer(due.Sub(now))
	defer t.Stop()
	select {
	case <-done:
		return ErrClosed
	case <-t.C:
		return nil
	}
}

var folders = sync.Pool{New: func() any { return new(folder) }}

// checkKeys refuses records without a key, of which a compacted log could not tell whether they are wanted, and batches that
// cannot be taken apart to find out.
func checkKeys(b []byte) error {
	fold := folders.Get().(*folder)
	defer folders.Put(fold)
	for rest := b; len(rest) > 0; rest = rest[header(rest).size():] {
		h := header(rest)
		if h.control() {
			continue
		}
		raw, err := fold.unfold(rest[:h.size()])
		if err != nil {
			return fmt.Errorf("%w: records of a compacted topic: %w", ErrInvalidRecord, err)
		}
		for i := range h.count() {
			r, n, err := parseRecord(raw)
			if err != nil {
				return err
			}
			if r.key == nil {
				return fmt.Errorf("%w: record %d has no key, and the topic is compacted", ErrInvalidRecord, i)
			}
			raw = raw[n:]
		}
	}
	return nil
}
