package commitlog_test

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

// memFS is a file system in memory that knows what of it a disk would have after a power cut: only what was synced
// for certain, and of the rest any part.
type memFS struct {
	mu     sync.Mutex
	root   *node
	locked map[string]bool
	dead   bool // every operation fails: the process that had it is gone

	ops      []string                // what could matter for a crash, in order
	diesIn   int                     // operations until the process is gone; negative: it goes on
	failSync func(name string) error // asked before every sync of a file or directory
	space    int64                   // bytes that can still be added to files; negative: no end
	gate     chan struct{}           // when set, syncs of .log files wait until it is closed
	opens    int                     // files open now
	reads    int64                   // bytes read so far
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

func newMemFS() *memFS {
	return &memFS{root: newDirNode(), locked: map[string]bool{}, space: -1, diesIn: -1}
}

func newDirNode() *node {
	return &node{dir: true, children: map[string]*node{}, durable: map[string]*node{}}
}

var errDead = errors.New("the process is gone")

// crashMode says what a crash leaves of what was not synced.
type crashMode int

const (
	keepAll   crashMode = iota // only the process dies
	keepNone                   // the disk has what was synced and nothing else
	keepSome                   // any part of it, torn anywhere
	flipBits                   // any part of it, with damage
	tornPages                  // some pages of each write, the others as zeros
	halfNames                  // contents as in keepSome; of a rename the new name perhaps without the loss of the old
	crashModes
)

// crash ends this file system and returns what the next start finds.
func (m *memFS) crash(rng *rand.Rand, mode crashMode) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	if m.gate != nil {
		close(m.gate)
		m.gate = nil
	}
	after := newMemFS()
	after.root = m.root.survive(rng, mode)
	return after
}

func (n *node) survive(rng *rand.Rand, mode crashMode) *node {
	if n.dir {
		names := map[string]*node{}
		for name, c := range n.durable {
			names[name] = c
		}
		if mode == keepAll {
			names = n.children
		}
		for _, op := range n.renames {
			if mode >= keepSome && mode != flipBits && rng.IntN(2) == 0 || mode == flipBits && rng.IntN(4) > 0 {
				half := mode == halfNames && len(op) > 1 && rng.IntN(2) == 0
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
	if mode == keepAll {
		data = slices.Clone(n.data)
	}
	if mode == tornPages {
		for _, w := range n.writes {
			data = w.tear(data, rng)
		}
	}
	if mode == keepSome || mode == flipBits || mode == halfNames {
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
		if mode == flipBits && len(data) > len(n.synced) {
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

func (m *memFS) walk(name string) (*node, error) {
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

func (m *memFS) parent(name string) (*node, string, error) {
	if m.dead {
		return nil, "", errDead
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
func (m *memFS) note(format string, args ...any) {
	m.ops = append(m.ops, fmt.Sprintf(format, args...))
	if m.diesIn == 0 {
		m.dead = true // after this one
	}
	if m.diesIn >= 0 {
		m.diesIn--
	}
}

func (m *memFS) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

func (m *memFS) OpenFile(name string, flag int) (commitlog.File, error) {
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
		if m.space == 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
		}
		n = &node{}
		dir.change(dirOp{base: n})
		m.note("create %s", name)
	} else if flag&os.O_TRUNC != 0 && len(n.data) > 0 {
		n.write(write{size: 0})
	}
	m.opens++
	return &memFile{fs: m, node: n, name: name}, nil
}

func (n *node) write(w write) {
	n.data = w.apply(n.data, len(w.data))
	n.writes = append(n.writes, w)
}

func (m *memFS) Rename(from, to string) error {
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

func (m *memFS) Remove(name string) error {
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

func (m *memFS) RemoveAll(name string) error {
	err := m.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (m *memFS) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
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

func (m *memFS) ReadDir(name string) ([]commitlog.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errDead
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

func (m *memFS) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	n, err := m.walk(name)
	if err != nil {
		return err
	}
	if m.failSync != nil {
		if err := m.failSync(name); err != nil {
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
	m    *memFS
	name string
}

func (u unlocker) Close() error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	delete(u.m.locked, u.name)
	return nil
}

func (m *memFS) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, errDead
	}
	if m.locked[name] {
		return nil, commitlog.ErrLocked
	}
	m.locked[name] = true
	return unlocker{m, name}, nil
}

// setGate holds back or lets go syncs of .log files.
func (m *memFS) setGate(held bool) {
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
func (m *memFS) Space(string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.space < 0 {
		return 1 << 30, 1 << 30, nil
	}
	return m.space, 1 << 30, nil
}

// set changes the faults.
func (m *memFS) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// contents is a file as the process sees it; nil when there is none.
func (m *memFS) contents(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.walk(name)
	if err != nil {
		return nil
	}
	return slices.Clone(n.data)
}

// put makes a file, synced, with its directories.
func (m *memFS) put(name string, data []byte) {
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
	fs     *memFS
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
	f.fs.reads += int64(n)
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
		return 0, errDead
	}
	var err error
	if more := off + int64(len(p)) - int64(len(f.node.data)); f.fs.space >= 0 && more > 0 {
		if more > f.fs.space {
			p = p[:max(int64(len(p))-(more-f.fs.space), 0)]
			err = &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
			more = f.fs.space
		}
		f.fs.space -= more
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
		return errDead
	}
	f.fs.note("truncate %s %d", f.name, size)
	f.node.write(write{size: size})
	return nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if gate := f.fs.gate; gate != nil && strings.HasSuffix(f.name, ".log") {
		f.fs.mu.Unlock()
		<-gate
		f.fs.mu.Lock()
	}
	if f.closed {
		return fs.ErrClosed
	}
	if f.fs.dead {
		return errDead
	}
	if f.fs.failSync != nil {
		if err := f.fs.failSync(f.name); err != nil {
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
	f.fs.opens--
	return nil
}
