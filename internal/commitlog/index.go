package commitlog

import (
	"encoding/binary"
	"fmt"
	"sort"
	"sync"
)

// Entry sizes of Kafka's offset index (relative offset, position) and time index (timestamp, relative offset).
const (
	offsetEntrySize = 8
	timeEntrySize   = 12
	pendingEntries  = 64
)

// sparseIndex is one index file. New entries gather in memory and are written some at a time; a search looks at both.
// Entries grow in their first field, so the search is the same for both kinds.
type sparseIndex struct {
	entry int // bytes

	mu      sync.Mutex
	f       File
	written int64 // entries in the file
	pending []byte
	err     error // of the last write; an index that could not be written is only sparser
}

func newSparseIndex(f File, entry int, entries int64) *sparseIndex {
	return &sparseIndex{entry: entry, f: f, written: entries}
}

// key is the first field of an entry: what the file is sorted by.
func (x *sparseIndex) key(e []byte) int64 {
	if x.entry == offsetEntrySize {
		return int64(int32(binary.BigEndian.Uint32(e)))
	}
	return int64(binary.BigEndian.Uint64(e))
}

func (x *sparseIndex) add(e []byte) {
	x.mu.Lock()
	if x.pending == nil {
		x.pending = make([]byte, 0, pendingEntries*x.entry)
	}
	if len(x.pending) == cap(x.pending) {
		x.writeLocked()
	}
	x.pending = append(x.pending, e...)
	x.mu.Unlock()
}

func (x *sparseIndex) writeLocked() {
	if len(x.pending) == 0 {
		return
	}
	_, err := x.f.WriteAt(x.pending, x.written*int64(x.entry))
	if err != nil {
		// Half-written entries lie beyond what counts and are overwritten or cut off later.
		x.err = err
	} else {
		x.written += int64(len(x.pending) / x.entry)
	}
	x.pending = x.pending[:0]
}

// write brings everything into the file, without syncing it, and cuts off what does not belong there.
func (x *sparseIndex) write() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writeLocked()
	err := x.err
	if err != nil {
		if terr := x.f.Truncate(x.written * int64(x.entry)); terr != nil {
			return terr
		}
		x.err = nil
	}
	return err
}

func (x *sparseIndex) reset() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.written, x.pending, x.err = 0, x.pending[:0], nil
	return x.f.Truncate(0)
}

// last copies the newest entry into e.
func (x *sparseIndex) last(e []byte) (bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.pending); n > 0 {
		copy(e, x.pending[n-x.entry:])
		return true, nil
	}
	if x.written == 0 {
		return false, nil
	}
	block := scanBuffers.Get().(*scanBuffer)
	defer scanBuffers.Put(block)
	if err := readFull(x.f, block[:x.entry], (x.written-1)*int64(x.entry)); err != nil {
		return false, fmt.Errorf("read last index entry: %w", err)
	}
	copy(e, block[:x.entry])
	return true, nil
}

// floor copies the last entry whose key is at most key into e; ok is false when even the first is beyond it.
func (x *sparseIndex) floor(key int64, e []byte) (ok bool, err error) {
	x.mu.Lock()
	if n := len(x.pending); n > 0 && x.key(x.pending) <= key {
		i := n - x.entry
		for x.key(x.pending[i:]) > key {
			i -= x.entry
		}
		copy(e, x.pending[i:i+x.entry])
		x.mu.Unlock()
		return true, nil
	}
	written := x.written
	x.mu.Unlock()

	block := scanBuffers.Get().(*scanBuffer)
	defer scanBuffers.Put(block)
	perBlock := int64(len(block) / x.entry)
	lo, hi := int64(0), written // the answer's index is in [lo-1, hi)
	for hi-lo > perBlock {
		mid := lo + (hi-lo)/2
		if err := readFull(x.f, block[:x.entry], mid*int64(x.entry)); err != nil {
			return false, fmt.Errorf("read index entry %d: %w", mid, err)
		}
		if x.key(block[:]) <= key {
			lo = mid // still a candidate: keep it within the block read below
		} else {
			hi = mid
		}
	}
	if hi == lo {
		return false, nil
	}
	b := block[:(hi-lo)*int64(x.entry)]
	if err := readFull(x.f, b, lo*int64(x.entry)); err != nil {
		return false, fmt.Errorf("read index entries from %d: %w", lo, err)
	}
	for i := len(b) - x.entry; i >= 0; i -= x.entry {
		if x.key(b[i:]) <= key {
			copy(e, b[i:i+x.entry])
			return true, nil
		}
	}
	return false, nil
}

// beyond returns the relative offset of the first entry of an offset index whose batch stands at or behind a position.
func (x *sparseIndex) beyond(pos int64) (offset int64, ok bool) {
	at := func(e []byte) int64 { return int64(binary.BigEndian.Uint32(e[4:])) }
	x.mu.Lock()
	written, pending := x.written, x.pending
	for i := 0; i < len(pending); i += x.entry {
		if at(pending[i:]) >= pos {
			offset, ok = x.key(pending[i:]), true
			break
		}
	}
	x.mu.Unlock()
	var e [offsetEntrySize]byte
	i := sort.Search(int(written), func(i int) bool {
		return readFull(x.f, e[:], int64(i)*offsetEntrySize) != nil || at(e[:]) >= pos
	})
	if int64(i) == written || readFull(x.f, e[:], int64(i)*offsetEntrySize) != nil || at(e[:]) < pos {
		return offset, ok
	}
	return x.key(e[:]), true
}

// scanBuffer is for reads of a few headers or index entries at once.
type scanBuffer [4096]byte

var scanBuffers = sync.Pool{New: func() any { return new(scanBuffer) }}

// readFull reads all of p; a short file is io.ErrUnexpectedEOF or io.EOF.
func readFull(f File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return err
}
