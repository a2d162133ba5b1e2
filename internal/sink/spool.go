package sink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/kafka"
)

// Spool is a folder where flow records wait for Kafka, for all destinations together.
// One process at a time has it open.
type Spool struct {
	dir   string
	limit int64
	used  atomic.Int64
	lock  io.Closer
	log   *slog.Logger
	space func(name string) (free, total int64, err error) // of the disk

	mu   sync.Mutex
	open map[string]bool // names of the folders in use
}

// spoolReserve is how much of the disk batches leave free, so that there is room for what
// has to be written even then: states, notes, and the segment that takes the place of one
// that has been delivered.
const spoolReserve = 16 << 20

// MinSpoolBytes is the least that a spool can be told to hold.
const MinSpoolBytes = 16 << 20

// OpenSpool opens a folder that holds at most limit bytes of batches that Kafka has not
// taken; it is made if it is missing. The logs in it can be larger by a segment each,
// the rest of which has been delivered.
func OpenSpool(dir string, limit int64, log *slog.Logger) (*Spool, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if in := destinationAbove(dir); in != "" {
		return nil, fmt.Errorf("%s has what waits for one destination, in a spool of its own: allowed is a folder that is not in it", in)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := commitlog.OSFS().Lock(filepath.Join(dir, ".lock"))
	if errors.Is(err, commitlog.ErrLocked) {
		return nil, fmt.Errorf("another process uses the spool in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	return &Spool{dir: dir, limit: limit, lock: lock, log: log, space: diskSpace, open: map[string]bool{}}, nil
}

// diskSpace is how many bytes the disk of a folder can still take, and how many it has.
func diskSpace(name string) (free, total int64, err error) {
	disk, ok := commitlog.OSFS().(interface {
		Space(name string) (free, total int64, err error)
	})
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return disk.Space(name)
}

// destinationAbove returns the folder of a destination that a path is in; empty: in none.
// The logs of one spool would be taken for those of the other there.
func destinationAbove(path string) string {
	path, err := filepath.Abs(path)
	for ; err == nil && path != filepath.Dir(path); path = filepath.Dir(path) {
		if st, err := os.Stat(filepath.Join(path, spoolName)); err == nil && st.Mode().IsRegular() {
			if _, err := os.Stat(filepath.Join(path, spoolBoot)); err == nil {
				return path
			}
		}
	}
	return ""
}

// Used returns how many bytes of batches wait in it, and how many may.
func (s *Spool) Used() (used, limit int64) { return s.used.Load(), s.limit }

// Close frees the folder, after all sinks are closed.
func (s *Spool) Close() error { return s.lock.Close() }

// Orphans logs what waits in the spool for destinations that are not there.
func (s *Spool) Orphans() {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if e.IsDir() && !s.open[e.Name()] {
			to, _ := os.ReadFile(filepath.Join(s.dir, e.Name(), spoolName))
			s.log.Warn("spool has a folder of a destination that is not configured", "folder", filepath.Join(s.dir, e.Name()), "to", strings.TrimSpace(string(to)))
		}
	}
}

const (
	spoolName  = "destination" // tells people whose folder it is
	spoolBoot  = "boot"        // of the machine, when the folder was last opened
	spoolTopic = "spool"       // of the logs
)

// folders names the folders of a destination, one for each producer: as many as are asked
// for, and those that are there already.
func (s *Spool) folders(endpoint, topic string, producers int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := fnv.New64a()
	_, _ = io.WriteString(h, endpoint+"\n"+topic)
	for again := 0; ; again++ {
		base := fmt.Sprintf("%s-%016x", topic, h.Sum64()+uint64(again))
		if s.open[base+".0"] {
			continue // the same destination twice
		}
		var names []string
		for i := 0; ; i++ {
			name := base + "." + strconv.Itoa(i)
			if _, err := os.Stat(filepath.Join(s.dir, name)); i >= producers && err != nil {
				return names
			}
			s.open[name] = true
			names = append(names, name)
		}
	}
}

// spoolFolder is what one producer keeps: kafka.Spool on a directory of commit logs.
type spoolFolder struct {
	spool  *Spool
	path   string
	dir    *commitlog.Dir
	config commitlog.LogConfig
	logs   []*commitlog.Log
	intact bool
	torn   []kafka.Place             // see kafka.Spool
	notes  atomic.Pointer[notesFile] // nil: none are kept

	states  [2]commitlog.File
	number  uint64 // of the last state saved
	encoded []byte
	dirty   atomic.Bool

	trim    chan struct{}
	trimMu  sync.Mutex
	trimmed map[int32]int64 // lanes that are not needed before these offsets
	short   atomic.Bool     // the disk has had no room for a batch: what is not needed goes at once
	stop    chan struct{}
	done    sync.WaitGroup
	// untrimmed: it has been told that doTrim does not succeed.
	untrimmed bool
}

// openFolder opens the folder of a producer.
func (s *Spool) openFolder(name, destination string) (*spoolFolder, error) {
	f := &spoolFolder{
		spool: s, path: filepath.Join(s.dir, name),
		trim: make(chan struct{}, 1), trimmed: map[int32]int64{}, stop: make(chan struct{}),
	}
	most := s.limit // that can be in it at once
	if free, _, err := s.space(s.dir); err == nil {
		most = min(most, free-spoolReserve)
	}
	segment := min(max(most/64, 4<<20), 64<<20)
	f.config = commitlog.LogConfig{
		SegmentBytes: segment, MaxMessageBytes: int(segment), RetentionAge: -1, RetentionBytes: -1,
		SegmentAge: 10 * 365 * 24 * time.Hour, IndexIntervalBytes: 64 << 10,
	}
	var err error
	f.dir, err = commitlog.OpenDir(commitlog.DirConfig{
		Path: f.path, FS: notesFS{commitlog.OSFS(), f}, Defaults: f.config, RetentionInterval: -1, FlushLanes: 1, Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	for n := int32(0); ; n++ {
		l := f.dir.Log(spoolTopic, n)
		if l == nil {
			break
		}
		f.logs = append(f.logs, l)
	}
	if err := f.openStates(destination); err != nil {
		_ = f.dir.Close()
		return nil, err
	}
	f.done.Go(f.chores)
	return f, nil
}

func (f *spoolFolder) openStates(destination string) error {
	if err := os.WriteFile(filepath.Join(f.path, spoolName), []byte(destination+"\n"), 0o644); err != nil {
		return err
	}
	// While the machine runs, what was written is there, whatever became of the process.
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	before, _ := os.ReadFile(filepath.Join(f.path, spoolBoot))
	f.intact = f.dir.WasClean() || err == nil && string(boot) == string(before)
	if err := os.WriteFile(filepath.Join(f.path, spoolBoot), boot, 0o644); err != nil {
		return err
	}
	for i := range f.states {
		if f.states[i], err = commitlog.OSFS().OpenFile(f.stateName(i), os.O_RDWR|os.O_CREATE); err != nil {
			return err
		}
	}
	return nil
}

func (f *spoolFolder) stateName(i int) string {
	return filepath.Join(f.path, fmt.Sprintf("state.%d", i))
}

// chores trims logs and syncs states: what takes time and is not urgent.
func (f *spoolFolder) chores() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-f.trim:
			f.doTrim()
		case <-tick.C:
			if f.short.Load() {
				f.doTrim()
			}
			if f.dirty.Swap(false) {
				for _, s := range f.states {
					_ = s.Sync()
				}
			}
		}
	}
}

// doTrim removes segments that are not needed any more.
func (f *spoolFolder) doTrim() {
	f.trimMu.Lock()
	lanes := maps.Clone(f.trimmed)
	f.trimMu.Unlock()
	var errs []error
	for lane, offset := range lanes {
		if l := f.dir.Log(spoolTopic, lane); l != nil {
			errs = append(errs, f.trimLog(l, offset))
		}
	}
	err := errors.Join(errs...)
	if err != nil && !f.untrimmed {
		f.spool.log.Warn("spool is not trimmed", "folder", f.path, "err", err)
	}
	f.untrimmed = err != nil
}

// trimLog removes the segments of a log that are not needed, since all before an offset
// has been decided on. When the disk is full the active one goes, too.
func (f *spoolFolder) trimLog(l *commitlog.Log, offset int64) error {
	if f.short.Load() && offset >= l.EndOffset() {
		if err := l.Roll(); err != nil {
			return err
		}
	}
	offset = min(offset, l.HighWatermark())
	// Only whole segments can go, and each call costs a few syncs.
	segments := l.Segments()
	low := int64(0)
	for _, s := range segments {
		if s.BaseOffset <= offset {
			low = s.BaseOffset
		}
	}
	if len(segments) < 2 || low <= segments[0].BaseOffset {
		return nil
	}
	_, err := l.DeleteBefore(low)
	return err
}

// diskFull returns an error if the disk has no room for so many octets of batches.
func (f *spoolFolder) diskFull(size int64) error {
	free, _ := f.dir.Space()
	if free < 0 || free-spoolReserve >= size {
		return nil
	}
	f.isShort()
	return fmt.Errorf("%w: %d bytes of the disk are free, of which %d stay so", kafka.ErrSpoolFull, free, spoolReserve)
}

// isShort has what is not needed any more removed at once, since the disk is full.
func (f *spoolFolder) isShort() {
	f.short.Store(true)
	f.wantTrim()
}

func (f *spoolFolder) wantTrim() {
	select {
	case f.trim <- struct{}{}:
	default:
	}
}

func (f *spoolFolder) close() error {
	close(f.stop)
	f.done.Wait()
	f.doTrim()
	var errs []error
	for _, s := range f.states {
		errs = append(errs, s.Sync(), s.Close())
	}
	return errors.Join(append(errs, f.dir.Close())...)
}

func (f *spoolFolder) Lanes() int32 { return int32(len(f.logs)) }

func (f *spoolFolder) Range(lane int32) (start, end int64) {
	if int(lane) >= len(f.logs) {
		return 0, 0
	}
	return f.logs[lane].StartOffset(), f.logs[lane].EndOffset()
}

func (f *spoolFolder) Append(lane int32, b []byte) (int64, error) {
	if f.spool.used.Add(int64(len(b))) > f.spool.limit {
		f.spool.used.Add(-int64(len(b)))
		return 0, kafka.ErrSpoolFull
	}
	if err := f.diskFull(int64(len(b))); err != nil {
		f.spool.used.Add(-int64(len(b)))
		return 0, err
	}
	for int(lane) >= len(f.logs) {
		l, err := f.dir.Create(spoolTopic, [16]byte{}, int32(len(f.logs)), f.config)
		if err != nil {
			f.spool.used.Add(-int64(len(b)))
			return 0, err
		}
		f.logs = append(f.logs, l)
	}
	info, err := f.logs[lane].Append(b, commitlog.AppendOptions{Own: true})
	if err != nil {
		f.spool.used.Add(-int64(len(b)))
		f.isShort()
		return 0, err
	}
	f.short.Store(false)
	return info.BaseOffset, nil
}

func (f *spoolFolder) Note(places []kafka.Place, notes []byte) (done func(ok bool), err error) {
	n := f.notes.Load()
	if n == nil {
		return func(bool) {}, nil
	}
	size := int64(0)
	for _, pl := range places {
		size += int64(pl.Size)
	}
	if f.spool.used.Load()+size > f.spool.limit {
		return nil, kafka.ErrSpoolFull
	}
	if err := f.diskFull(size); err != nil {
		return nil, err
	}
	return n.note(f, places, notes)
}

func (f *spoolFolder) Torn() []kafka.Place { return f.torn }

// read finds the batch that has an offset. The span is released by the caller.
func (f *spoolFolder) read(lane int32, offset int64) (commitlog.Span, error) {
	if int(lane) >= len(f.logs) {
		return commitlog.Span{}, fmt.Errorf("spool has no lane %d", lane)
	}
	span, err := f.logs[lane].Read(offset, 1, commitlog.ReadOptions{MinOne: true, Uncommitted: true})
	if err != nil {
		return span, err
	}
	if span.Empty() {
		return span, fmt.Errorf("spool has nothing at offset %d of lane %d", offset, lane)
	}
	return span, nil
}

func (f *spoolFolder) Read(lane int32, offset int64, alloc func(size int) []byte) ([]byte, error) {
	span, err := f.read(lane, offset)
	if err != nil {
		return nil, err
	}
	defer span.Release()
	buf := alloc(int(span.Len))
	if buf == nil {
		return nil, nil
	}
	buf = buf[:span.Len]
	if _, err := span.ReadAt(buf, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return buf, nil
}

func (f *spoolFolder) Scan(lane int32, from int64, each func(offset int64, records int32, flows uint32, size int)) error {
	_, end := f.Range(lane)
	var h [61]byte // header of a record batch
	for from < end {
		span, err := f.read(lane, from)
		if err != nil {
			return err
		}
		_, err = span.ReadAt(h[:], 0)
		size := int(span.Len)
		span.Release()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		offset, records := int64(binary.BigEndian.Uint64(h[:])), int32(binary.BigEndian.Uint32(h[57:]))
		if offset+int64(records) <= from {
			return fmt.Errorf("spool: batch at %d ends before %d", offset, from)
		}
		each(offset, records, binary.BigEndian.Uint32(h[53:]), size)
		from = offset + int64(records)
	}
	return nil
}

func (f *spoolFolder) Took(size int) { f.spool.used.Add(int64(size)) }
func (f *spoolFolder) Free(size int) { f.spool.used.Add(-int64(size)) }
func (f *spoolFolder) Intact() bool  { return f.intact }

func (f *spoolFolder) Trim(lane int32, offset int64) {
	if int(lane) >= len(f.logs) {
		return
	}
	f.trimMu.Lock()
	f.trimmed[lane] = offset
	f.trimMu.Unlock()
	if segments := f.logs[lane].Segments(); f.short.Load() || len(segments) > 1 && segments[1].BaseOffset <= offset {
		f.wantTrim()
	}
}

// stateHeader is what a saved state begins with: its number, its length, and the CRC of
// both and of what follows.
const stateHeader = 8 + 4 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Load returns the newer of the two states that is whole.
func (f *spoolFolder) Load() ([]byte, error) {
	var newest []byte
	some := false
	for i := range f.states {
		b, err := os.ReadFile(f.stateName(i))
		if err != nil {
			return nil, err
		}
		some = some || len(b) > 0
		if len(b) < stateHeader {
			continue
		}
		number, n := binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint32(b[8:]))
		if n > int64(len(b)-stateHeader) {
			continue
		}
		sum := crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[stateHeader:stateHeader+n])
		if sum != binary.BigEndian.Uint32(b[12:]) || number <= f.number {
			continue
		}
		f.number, newest = number, b[stateHeader:stateHeader+n]
	}
	if newest == nil && some {
		f.intact = false
		f.spool.log.Warn("state of the spool is damaged: what is there is sent again, and may come twice", "folder", f.path)
	}
	return newest, nil
}

// Save overwrites the older of the two states. A process that is killed meanwhile leaves
// the newer one.
func (f *spoolFolder) Save(state []byte) error {
	number := f.number + 1
	b := binary.BigEndian.AppendUint64(f.encoded[:0], number)
	b = binary.BigEndian.AppendUint32(b, uint32(len(state)))
	b = binary.BigEndian.AppendUint32(b, crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, state))
	f.encoded = append(b, state...)
	f.dirty.Store(true)
	if _, err := f.states[number%2].WriteAt(f.encoded, 0); err != nil {
		return err // the same one is tried again: of the other the process may still have need
	}
	f.number = number
	return nil
}
