package commitlog

import (
	"fmt"
	"strconv"
	"strings"
)

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
	s.txn = newTxnIndex(d.fs, path, s.base)
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
	l.unstable = unstable{firstOpen: l.producers.firstOpen(), stable: mark{offset: -1, base: -1}}
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
	l.nameMu.Lock()
	l.flushMu.Lock()
	l.mu.Lock()
	err := d.fs.Rename(l.path, d.file(name))
	if err == nil {
		l.closed, l.deleted = true, true
		l.shut.Store(true)
	}
	cleaned := l.cleaned > 0
	l.mu.Unlock()
	l.flushMu.Unlock()
	l.nameMu.Unlock()
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
	if cleaned {
		if err := d.writeCleanerPoints(); err != nil {
			return fmt.Errorf("delete %s-%d: %w", topic, partition, err)
		}
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
