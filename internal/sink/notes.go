package sink

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/kafka"
)

// Notes is an account of the datagrams whose records a spool keeps; collect.Kept is
// one. What Add, Undo and All return is stored, and given to Restore in order when the
// spool is opened again.
type Notes interface {
	Add(notes []byte) (states []byte)
	Undo() (states []byte)
	All() (states []byte)
	Restore(states []byte) error
}

// notesFile stores the account of one destination. An entry is written before the
// batches that it is about, and counts when they are there, all of them: so the account
// and the logs agree, at whatever moment the process is killed. docs/format/spool.md
// has the layout.
type notesFile struct {
	account Notes
	dir     string // of the first folder
	folders []*spoolFolder
	log     *slog.Logger
	dirty   atomic.Bool

	mu     sync.Mutex // held from an entry until its batches are stored, which may wait for sync
	number int        // of the file
	size   int64      // of what is whole in it
	whole  int64      // size of the entry that has everything
	ends   []notedPlace
	buf    []byte

	syncing   sync.Mutex
	filesMu   sync.Mutex     // nothing is waited for with it
	file, old commitlog.File // old: the one before, if it is not synced yet
}

// notedPlace is where records are in a lane of one of the folders.
type notedPlace struct {
	folder   uint16
	lane     int32
	from, to int64
}

const (
	notesName    = "notes."
	notesHeader  = 4 + 4
	notesPlace   = 2 + 4 + 8 + 8
	notesMaxSize = 1 << 20
)

// openNotes opens the account of a destination, whose folders are open.
func openNotes(account Notes, folders []*spoolFolder, log *slog.Logger) (*notesFile, error) {
	n := &notesFile{account: account, dir: folders[0].path, folders: folders, log: log}
	numbers, err := n.numbers()
	if err != nil {
		return nil, err
	}
	for i, number := range numbers {
		if err := n.read(number, i == len(numbers)-1); err != nil {
			return nil, fmt.Errorf("%s: %w", n.name(number), err)
		}
		n.number = number
	}
	return n, nil
}

func (n *notesFile) name(number int) string {
	return filepath.Join(n.dir, notesName+strconv.Itoa(number))
}

// numbers returns those of the files that are there, in order.
func (n *notesFile) numbers() ([]int, error) {
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), notesName); ok {
			if i, err := strconv.Atoi(number); err == nil {
				numbers = append(numbers, i)
			}
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// read gives the account what a file has. The batches of the last entry may be there in
// part, where the process was killed: these are torn.
func (n *notesFile) read(number int, last bool) error {
	b, err := os.ReadFile(n.name(number))
	if err != nil {
		return err
	}
	be := binary.BigEndian
	for len(b) >= notesHeader {
		size := int64(be.Uint32(b))
		if size < 2 || size > int64(len(b)-notesHeader) || crc32.Checksum(b[notesHeader:notesHeader+size], castagnoli) != be.Uint32(b[4:]) {
			break // torn itself
		}
		entry := b[notesHeader : notesHeader+size]
		b = b[notesHeader+size:]
		places, states, ok := readPlaces(entry)
		if !ok {
			break
		}
		if n.there(places) {
			if err := n.account.Restore(states); err != nil {
				n.log.Warn("sequence numbers of what is spooled cannot be read: they begin anew", "file", n.name(number), "err", err)
				return nil
			}
		} else if last && len(b) == 0 {
			n.tear(places)
		}
	}
	return nil
}

func readPlaces(entry []byte) (places []notedPlace, states []byte, ok bool) {
	be := binary.BigEndian
	count := int(be.Uint16(entry))
	if entry = entry[2:]; len(entry) < count*notesPlace {
		return nil, nil, false
	}
	for range count {
		places = append(places, notedPlace{be.Uint16(entry), int32(be.Uint32(entry[2:])), int64(be.Uint64(entry[6:])), int64(be.Uint64(entry[14:]))})
		entry = entry[notesPlace:]
	}
	return places, entry, true
}

// there reports whether all records of the places were stored.
func (n *notesFile) there(places []notedPlace) bool {
	return !slices.ContainsFunc(places, func(pl notedPlace) bool {
		if int(pl.folder) >= len(n.folders) {
			return true
		}
		_, end := n.folders[pl.folder].Range(pl.lane)
		return end < pl.to
	})
}

// tear marks what was stored of batches that are not all there.
func (n *notesFile) tear(places []notedPlace) {
	for _, pl := range places {
		if int(pl.folder) >= len(n.folders) {
			continue
		}
		f := n.folders[pl.folder]
		if _, end := f.Range(pl.lane); f.intact && end > pl.from {
			f.torn = append(f.torn, kafka.Place{Lane: pl.lane, From: pl.from, To: min(pl.to, end)})
		}
	}
}

// begin makes the file anew, once what is torn has been passed over.
func (n *notesFile) begin() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.rotate(); err != nil {
		return err
	}
	for _, f := range n.folders {
		f.notes.Store(n)
	}
	return nil
}

// renote stores the account as it is now, which others have changed.
func (n *notesFile) renote() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.write(nil, n.account.All())
}

// rotate goes on with a new file that begins with everything. The one before stays: after
// a power cut the logs may have less than the new one says.
func (n *notesFile) rotate() error {
	number := n.number + 1
	file, err := commitlog.OSFS().OpenFile(n.name(number), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	whole := n.encode(n.ends, n.account.All())
	if _, err := file.WriteAt(whole, 0); err != nil {
		_ = file.Close()
		_ = os.Remove(n.name(number))
		return err
	}
	n.filesMu.Lock()
	n.old, n.file, n.number = n.file, file, number
	n.filesMu.Unlock()
	n.size, n.whole = int64(len(whole)), int64(len(whole))
	n.dirty.Store(true)
	numbers, err := n.numbers()
	for _, old := range numbers {
		if old < number-1 {
			err = errors.Join(err, os.Remove(n.name(old)))
		}
	}
	return err
}

// encode makes an entry, in memory that the next one takes over.
func (n *notesFile) encode(places []notedPlace, states []byte) []byte {
	be := binary.BigEndian
	b := append(n.buf[:0], make([]byte, notesHeader)...)
	b = be.AppendUint16(b, uint16(len(places)))
	for _, pl := range places {
		b = be.AppendUint16(b, pl.folder)
		b = be.AppendUint32(b, uint32(pl.lane))
		b = be.AppendUint64(b, uint64(pl.from))
		b = be.AppendUint64(b, uint64(pl.to))
	}
	b = append(b, states...)
	be.PutUint32(b, uint32(len(b)-notesHeader))
	be.PutUint32(b[4:], crc32.Checksum(b[notesHeader:], castagnoli))
	n.buf = b
	return b
}

func (n *notesFile) write(places []notedPlace, states []byte) error {
	b := n.encode(places, states)
	if _, err := n.file.WriteAt(b, n.size); err != nil {
		_ = n.file.Truncate(n.size)
		return err
	}
	n.size += int64(len(b))
	n.dirty.Store(true)
	return nil
}

// note writes an entry about batches of a folder. Until done is called, no other one is
// written.
func (n *notesFile) note(f *spoolFolder, places []kafka.Place, notes []byte) (done func(ok bool), err error) {
	n.mu.Lock()
	folder := uint16(slices.Index(n.folders, f))
	noted := make([]notedPlace, len(places))
	for i, pl := range places {
		noted[i] = notedPlace{folder, pl.Lane, pl.From, pl.To}
	}
	if err := n.write(noted, n.account.Add(notes)); err != nil {
		n.account.Undo()
		n.mu.Unlock()
		return nil, err
	}
	return func(ok bool) {
		defer n.mu.Unlock()
		if !ok {
			if err := n.write(nil, n.account.Undo()); err != nil {
				n.log.Error("sequence numbers are not stored with what is spooled", "folder", n.dir, "err", err)
			}
			return
		}
		for _, pl := range noted {
			n.ended(pl)
		}
		if n.size > max(notesMaxSize, 4*n.whole) && n.settled() {
			if err := n.rotate(); err != nil {
				n.log.Warn("sequence numbers of what is spooled go on in the same file", "folder", n.dir, "err", err)
			}
		}
	}, nil
}

// settled reports whether the file before is synced.
func (n *notesFile) settled() bool {
	n.filesMu.Lock()
	defer n.filesMu.Unlock()
	return n.old == nil
}

// ended remembers where a lane ends.
func (n *notesFile) ended(pl notedPlace) {
	pl.from = pl.to
	i, found := slices.BinarySearchFunc(n.ends, pl, func(a, b notedPlace) int {
		return cmp.Or(cmp.Compare(a.folder, b.folder), cmp.Compare(a.lane, b.lane))
	})
	if found {
		n.ends[i] = pl
	} else {
		n.ends = slices.Insert(n.ends, i, pl)
	}
}

// sync returns when the disk has what was written so far.
func (n *notesFile) sync() error {
	n.syncing.Lock()
	defer n.syncing.Unlock()
	if !n.dirty.Swap(false) {
		return nil
	}
	n.filesMu.Lock()
	old, file := n.old, n.file
	n.old = nil
	n.filesMu.Unlock()
	var errs []error
	if old != nil {
		errs = append(errs, old.Sync(), old.Close(), commitlog.OSFS().SyncDir(n.dir))
	}
	if err := errors.Join(append(errs, file.Sync())...); err != nil {
		n.dirty.Store(true)
		return err
	}
	return nil
}

func (n *notesFile) close() error {
	err := n.sync()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file == nil {
		return err
	}
	return errors.Join(err, n.file.Close())
}

// notesFS is the file system of a folder's logs, where nothing becomes durable before
// what was noted about it.
type notesFS struct {
	commitlog.FS
	folder *spoolFolder
}

// Space is how many bytes can still be written where the folder is, and how many there are.
func (fs notesFS) Space(name string) (free, total int64, err error) {
	return fs.folder.spool.space(name)
}

type notedFile struct {
	commitlog.File
	folder *spoolFolder
}

func (fs notesFS) OpenFile(name string, flag int) (commitlog.File, error) {
	f, err := fs.FS.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return notedFile{f, fs.folder}, nil
}

func (f notedFile) Sync() error {
	if n := f.folder.notes.Load(); n != nil {
		if err := n.sync(); err != nil {
			return err
		}
	}
	return f.File.Sync()
}
