// Package memfs is a file system in memory for tests of what is to outlive a power cut: it knows what of it a disk would
// have then. [FS] implements [commitlog.FS] with faults to order: a full disk, a failing fsync, a process that dies after
// any operation. [FS.Crash] gives what the next start finds.
package memfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// FS is a file system in memory that knows what of it a disk would have after a power cut: only what was synced
// for certain, and of the rest any part.
type FS struct {
	mu     sync.Mutex
	root   *node
	locked map[string]bool
	dead   bool // every operation fails: the process that had it is gone

	// Once the file system is in use these are for Set.
	Ops      []string                // what could matter for a crash, in order
	DiesIn   int                     // operations until the process is gone; negative: it goes on
	FailSync func(name string) error // asked before every sync of a file or directory
	Left     int64                   // bytes that can still be added to files; negative: no end
	Gated    string                  // part of the names of those files that the gate is for; empty: all
	gate     chan struct{}           // when set, syncs of .log files wait until it is closed
	Opens    int                     // files open now
	Reads    int64                   // bytes read so far
}

type node struct {
	dir      bool
	children map[string]*node
	durable  map[string]*node
	renames  []dirOp // since the directory was synced

	data   []byte
	synced []byte
	writes []write // since the file was synced
}

// dirOp is one atomic change of a directory: names and what they stand for afterwards, nil for nothing.
type dirOp map[string]*node

// write is one change of a file; size is that of a truncation, -1 for bytes.
type write struct {
	off  int64
	data []byte
	size int64
}

// New returns an empty file system without faults.
func New() *FS {
	return &FS{root: newDirNode(), locked: map[string]bool{}, Left: -1, DiesIn: -1}
}

func newDirNode() *node {
	return &node{dir: true, children: map[string]*node{}, durable: map[string]*node{}}
}

// ErrDead is what every operation returns after a crash.
var ErrDead = errors.New("the process is gone")

// CrashMode says what a crash leaves of what was not synced.
type CrashMode int

const (
	KeepAll   CrashMode = iota // only the process dies
	KeepNone                   // the disk has what was synced and nothing else
	KeepSome                   // any part of it, torn anywhere
	FlipBits                   // any part of it, with damage
	TornPages                  // some pages of each write, the others as zeros
	HalfNames                  // contents as in KeepSome; of a rename the new name perhaps without the loss of the old
	CrashModes
)

// Crash ends this file system and returns what the next start finds.
func (m *FS) Crash(rng *rand.Rand, mode CrashMode) *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	if m.gate != nil {
		close(m.gate)
		m.gate = nil
	}
	after := New()
	after.root = m.root.survive(rng, mode)
	return after
}

func (n *node) survive(rng *rand.Rand, mode CrashMode) *node {
	if n.dir {
		names := map[string]*node{}
		for name, c := range n.durable {
			names[name] = c
		}
		if mode == KeepAll {
			names = n.children
		}
		for _, op := range n.renames {
			if mode >= KeepSome && mode != FlipBits && rng.IntN(2) == 0 || mode == FlipBits && rng.IntN(4) > 0 {
				half := mode == HalfNames && len(op) > 1 && rng.IntN(2) == 0
				for name, c := range op {
					if c == nil && half {
						continue
					}
					if c == nil {
						delete(names, name)
					} else {
						names[name] = c
					}
				}
			}
		}
		out := newDirNode()
		for name, c := range names {
			kept := c.survive(rng, mode)
			out.children[name], out.durable[name] = kept, kept
		}
		return out
	}
	data := slices.Clone(n.synced)
	if mode == KeepAll {
		data = slices.Clone(n.data)
	}
	if mode == TornPages {
		for _, w := range n.writes {
			data = w.tear(data, rng)
		}
	}
	if mode == KeepSome || mode == FlipBits || mode == HalfNames {
		for _, w := range n.writes {
			switch rng.IntN(5) {
			case 0: // lost
			case 1: // torn at any byte
				if w.size < 0 {
					data = w.apply(data, rng.IntN(len(w.data)+1))
				}
			case 2: // the size made it, the bytes did not
				if w.size < 0 {
					data = write{off: w.off, data: make([]byte, len(w.data)), size: -1}.apply(data, len(w.data))
				}
			default:
				data = w.apply(data, len(w.data))
			}
		}
		if mode == FlipBits && len(data) > len(n.synced) {
			i := len(n.synced) + rng.IntN(len(data)-len(n.synced))
			data[i] ^= 1 << rng.IntN(8)
		}
	}
	return &node{data: data, synced: slices.Clone(data)}
}

// tear applies some of the pages that a write touches, or a truncation, or nothing.
func (w write) tear(data []byte, rng *rand.Rand) []byte {
	const page = 512 // small, as the files of tests are
	if w.size >= 0 {
		if rng.IntN(2) == 0 {
			return data
		}
		return w.apply(data, 0)
	}
	for at := 0; at < len(w.data); {
		n := min(len(w.data)-at, page-int(w.off+int64(at))%page)
		part := write{off: w.off + int64(at), data: w.data[at : at+n], size: -1}
		if rng.IntN(3) > 0 {
			data = part.apply(data, n)
		}
		at += n
	}
	return data
}

// apply changes file contents by the first n bytes of a write, or all of a truncation.
func (w write) apply(data []byte, n int) []byte {
	if w.size >= 0 {
		if int64(len(data)) >= w.size {
			return data[:w.size]
		}
		return append(data, make([]byte, w.size-int64(len(data)))...)
	}
	end := int(w.off) + n
	if end > len(data) {
		data = append(data, make([]byte, end-len(data))...)
	}
	copy(data[w.off:], w.data[:n])
	return data
}

func (m *FS) walk(name string) (*node, error) {
	n := m.root
	for part := range strings.SplitSeq(filepath.ToSlash(name), "/") {
		if part == "" || part == "." {
			continue
		}
		if n = n.children[part]; n == nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
	}
	return n, nil
}

func (m *FS) parent(name string) (*node, string, error) {
	if m.dead {
		return nil, "", ErrDead
	}
	n, err := m.walk(filepath.Dir(name))
	if err != nil {
		return nil, "", err
	}
	return n, filepath.Base(name), nil
}

func (n *node) change(op dirOp) {
	for name, c := range op {
		if c == nil {
			delete(n.children, name)
		} else {
			n.children[name] = c
		}
	}
	n.renames = append(n.renames, op)
}

// note counts an operation that is about to be done.
func (m *FS) note(format string, args ...any) {
	m.Ops = append(m.Ops, fmt.Sprintf(format, args...))
	if m.DiesIn == 0 {
		m.dead = true // after this one
	}
	if m.DiesIn >= 0 {
		m.DiesIn--
	}
}

// IsDead says whether the process is gone.
func (m *FS) IsDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// OpenFile opens or makes a file.
func (m *FS) OpenFile(name string, flag int) (commitlog.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	n := dir.children[base]
	if n == nil {
		if flag&os.O_CREATE == 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		if m.Left == 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
		}
		n = &node{}
		dir.change(dirOp{base: n})
		m.note("create %s", name)
	} else if flag&os.O_TRUNC != 0 && len(n.data) > 0 {
		n.write(write{size: 0})
	}
	m.Opens++
	return &memFile{fs: m, node: n, name: name}, nil
}

func (n *node) write(w write) {
	n.data = w.apply(n.data, len(w.data))
	n.writes = append(n.writes, w)
}

// Rename renames within a directory.
func (m *FS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, old, err := m.parent(from)
	if err != nil {
		return err
	}
	if filepath.Dir(from) != filepath.Dir(to) {
		return errors.New("rename between directories")
	}
	n := dir.children[old]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	m.note("rename %s %s", from, filepath.Base(to))
	dir.change(dirOp{old: nil, filepath.Base(to): n})
	return nil
}

// Remove removes a file or directory.
func (m *FS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent(name)
	if err != nil {
		return err
	}
	if dir.children[base] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	m.note("remove %s", name)
	dir.change(dirOp{base: nil})
	return nil
}

// RemoveAll removes a file or directory that may be missing.
func (m *FS) RemoveAll(name string) error {
	err := m.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// MkdirAll makes a directory and those above it.
func (m *FS) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return ErrDead
	}
	n := m.root
	for part := range strings.SplitSeq(filepath.ToSlash(name), "/") {
		if part == "" || part == "." {
			continue
		}
		if n.children[part] == nil {
			m.note("mkdir %s", name)
			n.change(dirOp{part: newDirNode()})
		}
		n = n.children[part]
	}
	return nil
}

// ReadDir lists a directory.
func (m *FS) ReadDir(name string) ([]commitlog.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, ErrDead
	}
	n, err := m.walk(name)
	if err != nil {
		return nil, err
	}
	var out []commitlog.DirEntry
	for name, c := range n.children {
		out = append(out, commitlog.DirEntry{Name: name, Dir: c.dir, Size: int64(len(c.data))})
	}
	slices.SortFunc(out, func(a, b commitlog.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// SyncDir makes the names in a directory durable.
func (m *FS) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return ErrDead
	}
	n, err := m.walk(name)
	if err != nil {
		return err
	}
	if m.FailSync != nil {
		if err := m.FailSync(name); err != nil {
			return err
		}
	}
	m.note("syncdir %s", name)
	n.durable, n.renames = map[string]*node{}, nil
	for name, c := range n.children {
		n.durable[name] = c
	}
	return nil
}

type unlocker struct {
	m    *FS
	name string
}

func (u unlocker) Close() error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	delete(u.m.locked, u.name)
	return nil
}

// Lock takes a lock.
func (m *FS) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, ErrDead
	}
	if m.locked[name] {
		return nil, commitlog.ErrLocked
	}
	m.locked[name] = true
	return unlocker{m, name}, nil
}

// SetGate holds back or lets go syncs of .log files.
func (m *FS) SetGate(held bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held == (m.gate != nil) {
		return
	}
	if held {
		m.gate = make(chan struct{})
	} else {
		close(m.gate)
		m.gate = nil
	}
}

// Space says what is left, and that the disk has a gigabyte.
func (m *FS) Space(string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Left < 0 {
		return 1 << 30, 1 << 30, nil
	}
	return m.Left, 1 << 30, nil
}

// Set changes the faults.
func (m *FS) Set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// Contents is a file as the process sees it; nil when there is none.
func (m *FS) Contents(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.walk(name)
	if err != nil {
		return nil
	}
	return slices.Clone(n.data)
}

// Synced is what of a file the disk has for certain, once its name is durable; nil when there is none.
func (m *FS) Synced(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.walk(name)
	if err != nil {
		return nil
	}
	return slices.Clone(n.synced)
}

// Put makes a file, synced, with its directories.
func (m *FS) Put(name string, data []byte) {
	n := m.root
	parts := strings.Split(name, "/")
	for _, part := range parts[:len(parts)-1] {
		if n.children[part] == nil {
			d := newDirNode()
			n.children[part], n.durable[part] = d, d
		}
		n = n.children[part]
	}
	f := &node{data: slices.Clone(data), synced: slices.Clone(data)}
	n.children[parts[len(parts)-1]], n.durable[parts[len(parts)-1]] = f, f
}

type memFile struct {
	fs     *FS
	node   *node
	name   string
	closed bool
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, fs.ErrClosed
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	f.fs.Reads += int64(n)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, fs.ErrClosed
	}
	if f.fs.dead {
		return 0, ErrDead
	}
	var err error
	if more := off + int64(len(p)) - int64(len(f.node.data)); f.fs.Left >= 0 && more > 0 {
		if more > f.fs.Left {
			p = p[:max(int64(len(p))-(more-f.fs.Left), 0)]
			err = &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
			more = f.fs.Left
		}
		f.fs.Left -= more
	}
	f.fs.note("write %s", f.name)
	f.node.write(write{off: off, data: slices.Clone(p), size: -1})
	return len(p), err
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.dead {
		return ErrDead
	}
	f.fs.note("truncate %s %d", f.name, size)
	f.node.write(write{size: size})
	return nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if gate := f.fs.gate; gate != nil && strings.HasSuffix(f.name, ".log") && strings.Contains(f.name, f.fs.Gated) {
		f.fs.mu.Unlock()
		<-gate
		f.fs.mu.Lock()
	}
	if f.closed {
		return fs.ErrClosed
	}
	if f.fs.dead {
		return ErrDead
	}
	if f.fs.FailSync != nil {
		if err := f.fs.FailSync(f.name); err != nil {
			return err
		}
	}
	f.fs.note("sync %s", f.name)
	f.node.synced = slices.Clone(f.node.data)
	f.node.writes = nil
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	f.fs.Opens--
	return nil
}
