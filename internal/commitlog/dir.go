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

	idMu   sync.Mutex
	nextID int64

	flusher  flusher
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

// Suffixes of directories that are not, or not any more, a partition's. Kafka's is the first.
const (
	suffixDeleteDir = "-delete"
	suffixCreating  = ".creating"
)

const maxTopicLength = 249

// CheckTopic says whether Kafka allows a topic of that name: 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and
// '-', but not "." or "..". The error is ErrInvalidTopic.
func CheckTopic(topic string) error {
	if topic == "" || len(topic) > maxTopicLength || topic == "." || topic == ".." {
		return fmt.Errorf("%w: %q", ErrInvalidTopic, topic)
	}
	for i := range len(topic) {
		switch c := topic[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("%w: %q", ErrInvalidTopic, topic)
		}
	}
	return nil
}

func partitionDir(k partitionKey) string { return fmt.Sprintf("%s-%d", k.topic, k.partition) }

func parsePartitionDir(name string) (partitionKey, bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 1 || CheckTopic(name[:i]) != nil {
		return partitionKey{}, false
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != name[i+1:] {
		return partitionKey{}, false
	}
	return partitionKey{name[:i], int32(n)}, true
}

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

// Create makes a log, durably: a crash leaves all of it or nothing. Its leader epoch is 0.
//
// Errors: ErrInvalidTopic, ErrExists, ErrOffline, ErrClosed, or what the file system said.
func (d *Dir) Create(topic string, id [16]byte, partition int32, cfg LogConfig) (*Log, error) {
	if err := CheckTopic(topic); err != nil {
		return nil, err
	}
	k := partitionKey{topic, partition}
	if partition < 0 {
		return nil, fmt.Errorf("%w: partition %d", ErrInvalidTopic, partition)
	}
	d.createMu.Lock()
	defer d.createMu.Unlock()
	if err := d.usable(); err != nil {
		return nil, err
	}
	if d.Log(topic, partition) != nil {
		return nil, fmt.Errorf("create %s-%d: %w", topic, partition, ErrExists)
	}
	l, err := d.createLog(k, id, cfg)
	if err != nil {
		return nil, d.sticky(fmt.Errorf("create %s-%d: %w", topic, partition, err))
	}
	d.mu.Lock()
	d.logs[k] = l
	d.mu.Unlock()
	return l, nil
}

// usable says whether the directory takes changes.
func (d *Dir) usable() error {
	select {
	case <-d.done:
		return ErrClosed
	default:
		return d.Err()
	}
}

// createLog builds the partition directory under another name and renames it when it is whole.
func (d *Dir) createLog(k partitionKey, id [16]byte, cfg LogConfig) (*Log, error) {
	path := d.file(partitionDir(k))
	making := path + suffixCreating
	if err := d.fs.RemoveAll(making); err != nil {
		return nil, err
	}
	if err := d.fs.MkdirAll(making); err != nil {
		return nil, err
	}
	l := d.newLog(k, making)
	l.topicID = id
	l.SetConfig(cfg)
	l.epochs.assign(0, 0)
	s, err := l.fillNew()
	if err != nil {
		_ = d.fs.RemoveAll(making) // or at the next start
		return nil, err
	}
	if err := d.fs.Rename(making, path); err != nil {
		s.release()
		_ = d.fs.RemoveAll(making)
		return nil, err
	}
	if err := d.fs.SyncDir(d.cfg.Path); err != nil {
		s.release()
		return nil, &syncError{err}
	}
	l.path = path
	l.setSegments([]*segment{s}, 0)
	return l, nil
}

func (l *Log) fillNew() (*segment, error) {
	s, err := createSegment(l.dir.fs, l.path, 0)
	if err != nil {
		return nil, err
	}
	if err = s.sync(); err != nil {
		err = &syncError{err}
	}
	if err == nil {
		err = writeFile(l.dir.fs, l.file(fileMetadata), encodeMetadata(l.topicID))
	}
	if err == nil {
		err = writeFile(l.dir.fs, l.file(fileEpochs), l.epochs.encode())
	}
	if err == nil {
		if err = l.dir.fs.SyncDir(l.path); err != nil {
			err = &syncError{err}
		}
	}
	if err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (d *Dir) newLog(k partitionKey, path string) *Log {
	l := &Log{dir: d, path: path, topic: k.topic, partition: k.partition, producers: newProducers(d.cfg.MaxProducers)}
	cfg, ok := LogConfig{}, false
	if d.cfg.ConfigOf != nil {
		cfg, ok = d.cfg.ConfigOf(k.topic)
	}
	if !ok {
		cfg = d.cfg.Defaults
	}
	l.SetConfig(cfg)
	return l
}

// setSegments puts a log that nobody else knows yet into use; all of it is on disk.
func (l *Log) setSegments(list []*segment, end int64) {
	l.segs.Store(&list)
	l.active = list[len(list)-1]
	l.end.Store(end)
	l.epoch.Store(l.epochs.latest())
	l.low.Store(max(l.low.Load(), list[0].base))
	l.mark = l.markLocked()
	l.hw.Store(end)
}

// Delete removes a log: its directory is renamed, durably, those who are reading finish, and the files go.
//
// Errors: ErrNotFound, ErrOffline, ErrClosed, or what the file system said.
func (d *Dir) Delete(topic string, partition int32) error {
	d.createMu.Lock()
	defer d.createMu.Unlock()
	if err := d.usable(); err != nil {
		return err
	}
	k := partitionKey{topic, partition}
	l := d.Log(topic, partition)
	if l == nil {
		return fmt.Errorf("delete %s-%d: %w", topic, partition, ErrNotFound)
	}
	suffix := fmt.Sprintf(".%x%s", NewID(), suffixDeleteDir)
	name := partitionDir(k)
	name = name[:min(len(name), 255-len(suffix))] + suffix

	// Neither a flush nor an append may be under way while the directory changes its name.
	l.flushMu.Lock()
	l.mu.Lock()
	err := d.fs.Rename(l.path, d.file(name))
	if err == nil {
		l.closed, l.deleted = true, true
		l.shut.Store(true)
	}
	l.mu.Unlock()
	l.flushMu.Unlock()
	if err != nil {
		return fmt.Errorf("delete %s-%d: %w", topic, partition, err)
	}
	d.mu.Lock()
	delete(d.logs, k)
	d.mu.Unlock()
	l.fail(ErrClosed)
	l.drop()
	if err := d.fs.SyncDir(d.cfg.Path); err != nil {
		return d.offline(err)
	}
	// A later log of the same name must not be taken for this one.
	if err := d.writeRecoveryPoints(); err != nil {
		return fmt.Errorf("delete %s-%d: %w", topic, partition, err)
	}
	if err := d.writeLogStarts(); err != nil {
		return fmt.Errorf("delete %s-%d: %w", topic, partition, err)
	}
	d.doom(doomed{path: d.file(name), tree: true})
	return nil
}

// drop gives back the log's own references to its segments.
func (l *Log) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.unsynced {
		s.release()
	}
	l.unsynced = nil
	if p := l.segs.Load(); p != nil {
		for _, s := range *p {
			s.release()
		}
	}
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
