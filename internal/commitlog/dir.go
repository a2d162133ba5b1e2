package commitlog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Dir is an open data directory: its logs, its flusher, its retention.
type Dir struct {
	cfg       DirConfig
	fs        FS
	lock      io.Closer
	clusterID string
	clean     bool

	mu   sync.RWMutex
	logs map[partitionKey]*Log

	createMu  sync.Mutex // Create and Delete, one at a time
	replaceMu sync.Mutex // one replacement of a file at a time
	retainMu  sync.Mutex // one round of retention at a time
	cleanMu   sync.Mutex // one round of compaction at a time
	pace      pace       // of compaction
	room      room

	idMu   sync.Mutex
	nextID int64

	flusher  flusher
	inPlace  time.Duration // syncs that take less are done by the appender
	counters counters
	failure  atomic.Pointer[error]

	doomedMu sync.Mutex
	doomed   []doomed

	checkpoint chan struct{}
	done       chan struct{}
	chores     sync.WaitGroup
	closeOnce  sync.Once
	closeErr   error
}

// OpenDir opens a data directory, making it when it is not there, and recovers every log in it. After an unclean stop
// the tail of each log is checked and cut at the first batch that is not whole, and each leader epoch is raised and
// written, before OpenDir returns.
//
// Errors: ErrLocked, ErrWrongNode, ErrOffline, or what the file system said.
func OpenDir(cfg DirConfig) (*Dir, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	d := &Dir{
		cfg:        cfg,
		fs:         cfg.FS,
		logs:       make(map[partitionKey]*Log),
		checkpoint: make(chan struct{}, 1),
		done:       make(chan struct{}),
		pace:       pace{rate: cfg.CleanerRate},
	}
	if cfg.FS == OSFS() { // another one may wait for whoever appends
		d.inPlace = syncInPlace
	}
	if err := d.open(); err != nil {
		for _, l := range d.logs {
			l.drop()
		}
		if d.lock != nil {
			d.lock.Close()
		}
		return nil, fmt.Errorf("open data directory %s: %w", cfg.Path, err)
	}
	d.flusher.start(cfg.FlushLanes)
	d.chores.Go(d.keepHouse)
	if d.cfg.CleanerInterval > 0 {
		d.chores.Go(d.keepClean)
	}
	return d, nil
}

func (d *Dir) open() error {
	if err := d.makeDir(); err != nil {
		return err
	}
	var err error
	if d.lock, err = d.fs.Lock(d.file(fileLock)); err != nil {
		return err
	}
	if err := d.loadMeta(); err != nil {
		return err
	}
	entries, err := d.fs.ReadDir(d.cfg.Path)
	if err != nil {
		return err
	}
	d.clean, err = d.takeCleanMarker(entries)
	if err != nil {
		return err
	}
	if err := d.loadProducerIDs(); err != nil {
		return err
	}
	var found []partitionKey
	for _, e := range entries {
		if k, ok := parsePartitionDir(e.Name); e.Dir && ok {
			found = append(found, k)
		} else if e.Dir && (strings.HasSuffix(e.Name, suffixDeleteDir) || strings.HasSuffix(e.Name, suffixCreating)) {
			if err := d.fs.RemoveAll(d.file(e.Name)); err != nil {
				return err
			}
		}
	}
	if err := d.recoverLogs(found); err != nil {
		return err
	}
	if len(found) == 0 {
		return nil
	}
	if err := d.writeLogStarts(); err != nil {
		return err
	}
	return d.writeRecoveryPoints()
}

// makeDir makes the data directory, durably: until meta.properties is in it, the names that lead to it may not be.
func (d *Dir) makeDir() error {
	if f, err := d.fs.OpenFile(d.file(fileMeta), os.O_RDONLY); err == nil {
		return f.Close()
	}
	missing := []string{d.cfg.Path}
	for p := filepath.Dir(d.cfg.Path); ; p = filepath.Dir(p) {
		if _, err := d.fs.ReadDir(p); err == nil || filepath.Dir(p) == p {
			break
		}
		missing = append(missing, p)
	}
	if err := d.fs.MkdirAll(d.cfg.Path); err != nil {
		return err
	}
	for _, p := range missing {
		// A directory that may be passed through but not read cannot be synced by us.
		if err := d.fs.SyncDir(filepath.Dir(p)); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return nil
}

// takeCleanMarker says whether the directory was closed in order, or is new, and removes the marker for good.
func (d *Dir) takeCleanMarker(entries []DirEntry) (bool, error) {
	clean, logs := false, false
	for _, e := range entries {
		_, partition := parsePartitionDir(e.Name)
		logs = logs || e.Dir && partition
		clean = clean || e.Name == fileClean
	}
	if !clean {
		return !logs, nil
	}
	if err := d.fs.Remove(d.file(fileClean)); err != nil {
		return false, err
	}
	if err := d.fs.SyncDir(d.cfg.Path); err != nil {
		return false, d.offline(err)
	}
	return true, nil
}

func (d *Dir) file(name string) string { return filepath.Join(d.cfg.Path, name) }

// ClusterID is the cluster.id of the directory.
func (d *Dir) ClusterID() string { return d.clusterID }

// WasClean says whether the directory was new or had been closed in order.
func (d *Dir) WasClean() bool { return d.clean }

// Logs returns all logs, by topic and partition.
func (d *Dir) Logs() []*Log {
	d.mu.RLock()
	out := make([]*Log, 0, len(d.logs))
	for _, l := range d.logs {
		out = append(out, l)
	}
	d.mu.RUnlock()
	slices.SortFunc(out, func(a, b *Log) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return out
}

// Log returns one log, nil when there is none.
func (d *Dir) Log(topic string, partition int32) *Log {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.logs[partitionKey{topic, partition}]
}

// Err is nil, or ErrOffline with the fsync that did not succeed. It does not go away again: what the kernel has
// dropped of the page cache cannot be known.
func (d *Dir) Err() error {
	if p := d.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// offline ends all writing; it returns the first such error.
func (d *Dir) offline(cause error) error {
	err := fmt.Errorf("%w: %w", ErrOffline, cause)
	if !d.failure.CompareAndSwap(nil, &err) {
		return d.Err()
	}
	d.counters.flushErrors.Add(1)
	d.cfg.Logger.Error("data directory offline", "path", d.cfg.Path, "err", cause)
	d.mu.RLock()
	logs := make([]*Log, 0, len(d.logs))
	for _, l := range d.logs {
		logs = append(logs, l)
	}
	d.mu.RUnlock()
	for _, l := range logs {
		l.fail(err)
	}
	return err
}

// loadProducerIDs reads how far producer ids were given out.
func (d *Dir) loadProducerIDs() error {
	b, err := readAll(d.fs, d.file(fileProducerIDs))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines, err := checkpointLines(b)
	if err == nil && len(lines) == 1 {
		d.nextID, err = strconv.ParseInt(lines[0], 10, 64)
	}
	if err != nil || len(lines) != 1 || d.nextID < 0 {
		return fmt.Errorf("%s: %q does not hold one number: %w", fileProducerIDs, b, cmp.Or(err, errors.New("it must not be guessed")))
	}
	return nil
}

// ReserveProducerIDs takes n producer ids out of circulation for good and returns the first. The reservation is
// durable before it returns; ids of a reservation that did not come to an end are never used.
func (d *Dir) ReserveProducerIDs(n int) (first int64, err error) {
	if n < 1 {
		return 0, fmt.Errorf("reserve %d producer ids", n)
	}
	d.idMu.Lock()
	defer d.idMu.Unlock()
	if err := d.usable(); err != nil {
		return 0, err
	}
	next := d.nextID + int64(n)
	if err := d.replace(fileProducerIDs, fmt.Appendf(nil, "0\n1\n%d\n", next)); err != nil {
		return 0, fmt.Errorf("reserve producer ids: %w", err)
	}
	first, d.nextID = d.nextID, next
	return first, nil
}

// Close flushes every log, writes producer snapshots, checkpoints and, last, the marker of a clean stop, and frees the
// lock. Readers that hold spans finish. Once closed it returns what it returned the first time.
func (d *Dir) Close() error {
	d.closeOnce.Do(func() { d.closeErr = d.close() })
	return d.closeErr
}

func (d *Dir) close() error {
	d.createMu.Lock()
	d.idMu.Lock()
	close(d.done) // nothing is created, deleted or reserved after this
	d.idMu.Unlock()
	d.createMu.Unlock()
	d.chores.Wait()
	d.cleanMu.Lock()
	defer d.cleanMu.Unlock()
	d.retainMu.Lock()
	defer d.retainMu.Unlock()
	d.removeDoomed(time.Now(), true)

	var first error
	logs := d.Logs()
	work := make(chan *Log)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range d.cfg.FlushLanes {
		wg.Go(func() {
			for l := range work {
				if err := l.close(); err != nil {
					mu.Lock()
					first = cmp.Or(first, err)
					mu.Unlock()
				}
			}
		})
	}
	for _, l := range logs {
		work <- l
	}
	close(work)
	wg.Wait()
	d.flusher.stop()
	if first == nil {
		first = d.Err()
	}
	if first == nil {
		first = d.writeLogStarts()
	}
	if first == nil {
		first = d.writeRecoveryPoints()
	}
	if first == nil {
		first = d.replace(fileClean, []byte(cleanMarker))
	}
	for _, l := range logs {
		l.drop()
	}
	if err := d.lock.Close(); first == nil {
		first = err
	}
	if first != nil {
		return fmt.Errorf("close data directory %s: %w", d.cfg.Path, first)
	}
	return nil
}

// close brings everything of a log to disk so that the next start need only look at the ends of its files.
func (l *Log) close() error {
	l.mu.Lock()
	l.closed = true
	l.shut.Store(true)
	l.mu.Unlock()
	err := l.flush()
	if err == nil {
		err = l.dir.sticky(l.settle())
	}
	if err != nil {
		l.fail(err)
		return fmt.Errorf("close %s-%d: %w", l.topic, l.partition, err)
	}
	l.fail(ErrClosed)
	return nil
}

// settle writes what appends leave for later, unless it is on disk already.
func (l *Log) settle() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.end.Load()
	if l.recovery == end && !l.touched {
		return nil
	}
	s := l.active
	s.noteTime()
	for _, x := range [...]*sparseIndex{s.idx, s.tidx} {
		if err := x.write(); err != nil {
			return err
		}
	}
	if s.overrun {
		if err := s.f.Truncate(s.size.Load()); err != nil {
			return err
		}
	}
	if err := s.sync(); err != nil {
		return &syncError{err}
	}
	if err := l.writeSnapshotLocked(end); err != nil {
		return err
	}
	if err := l.syncSnapshot(end); err != nil {
		return &syncError{err}
	}
	l.removeStraySnapshotsLocked(end)
	if err := l.dir.fs.SyncDir(l.path); err != nil {
		return &syncError{err}
	}
	l.recovery = end
	return nil
}
