package commitlog

import (
	"fmt"
	"sync"
	"time"
)

// queueState is where a log stands with the flusher.
type queueState uint8

const (
	idle    queueState = iota
	queued             // waits for a lane
	running            // a lane flushes it
	again              // a lane flushes it, and it was written to since
)

// syncInPlace is how long a sync may take for the appender to do it by itself the next time: less than it takes to hand it
// to a lane and to hear of its end. File systems in memory are as quick, and persistent memory.
const syncInPlace = 20 * time.Microsecond

// flusher syncs what was written, back to back while there is something: all appends that arrive during one sync of a
// log share the next. A few logs are synced side by side, in lanes, because a journalling file system commits
// them together.
type flusher struct {
	mu     sync.Mutex
	wake   sync.Cond
	logs   []*Log // in the order of their first unflushed append
	closed bool
	lanes  sync.WaitGroup
}

func (f *flusher) start(lanes int) {
	f.wake.L = &f.mu
	for range lanes {
		f.lanes.Go(f.run)
	}
}

func (f *flusher) add(l *Log) {
	f.mu.Lock()
	switch l.queue {
	case idle:
		l.queue = queued
		f.logs = append(f.logs, l)
		f.wake.Signal()
	case running:
		l.queue = again
	}
	f.mu.Unlock()
}

func (f *flusher) run() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for len(f.logs) == 0 && !f.closed {
			f.wake.Wait()
		}
		if len(f.logs) == 0 {
			return
		}
		l := f.logs[0]
		n := copy(f.logs, f.logs[1:])
		f.logs[n] = nil
		f.logs = f.logs[:n]
		l.queue = running
		f.mu.Unlock()
		_ = l.flush() // the directory and those who wait know
		f.mu.Lock()
		if l.queue == again {
			l.queue = queued
			f.logs = append(f.logs, l)
		} else {
			l.queue = idle
		}
	}
}

// stop lets the lanes finish what is queued.
func (f *flusher) stop() {
	f.mu.Lock()
	f.closed = true
	f.wake.Broadcast()
	f.mu.Unlock()
	f.lanes.Wait()
}

// flush makes everything appended so far durable and moves the high watermark there. The order is what recovery
// relies on: sealed segments, oldest first, their snapshots, the directory with the names of the new files, the
// active segment. A sync that does not succeed takes the directory offline; it is never tried again, because the kernel
// may have dropped the pages and would then report success.
func (l *Log) flush() error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if err := l.dir.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.deleted {
		l.mu.Unlock()
		return ErrClosed
	}
	m := l.markLocked()
	sealed := l.unsynced
	snapshots := l.snapshots
	dirDirty := l.dirDirty
	active := l.active
	wrote := l.wrote && (l.dir.cfg.Durability == Fsync || l.closed)
	l.unsynced, l.snapshots, l.dirDirty = nil, nil, false
	if wrote {
		l.wrote = false
	}
	active.acquire() // the log's own reference is still there
	l.mu.Unlock()
	defer active.release()

	start := time.Now()
	err := l.syncFiles(sealed, snapshots, dirDirty, active, wrote)
	for _, s := range sealed {
		s.release()
	}
	if err != nil {
		return l.dir.offline(fmt.Errorf("flush %s-%d: %w", l.topic, l.partition, err))
	}
	took := time.Since(start)
	l.dir.counters.flushed(took)
	l.quick.Store(took < l.dir.inPlace)
	if len(sealed) > 0 {
		l.mu.Lock()
		l.recovery = max(l.recovery, active.base)
		l.mu.Unlock()
		l.dir.wantCheckpoint()
	}
	l.advance(m)
	return nil
}

func (l *Log) syncFiles(sealed []*segment, snapshots []int64, dirDirty bool, active *segment, wrote bool) error {
	for _, s := range sealed {
		if err := s.sync(); err != nil {
			return err
		}
	}
	for _, offset := range snapshots {
		if err := l.syncSnapshot(offset); err != nil {
			return err
		}
	}
	if dirDirty {
		if err := l.dir.fs.SyncDir(l.path); err != nil {
			return err
		}
	}
	if wrote {
		return active.f.Sync()
	}
	return nil
}
