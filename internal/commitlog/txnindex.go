package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"sync"
)

// txnEntrySize is that of Kafka's AbortedTxn, version 0: version, producer id, first and last offset of the transaction,
// the last of which is its marker's, and the last stable offset when it was aborted.
const txnEntrySize = 2 + 4*8

// abortedTxn is one entry of a .txnindex.
type abortedTxn struct {
	producerID int64
	first      int64
	last       int64
	stable     int64 // last stable offset behind the marker: everything below it is decided by this entry and those before
}

func (a abortedTxn) encode() (e [txnEntrySize]byte) {
	be := binary.BigEndian
	be.PutUint64(e[2:], uint64(a.producerID))
	be.PutUint64(e[10:], uint64(a.first))
	be.PutUint64(e[18:], uint64(a.last))
	be.PutUint64(e[26:], uint64(a.stable))
	return e
}

func decodeAborted(e []byte) (abortedTxn, bool) {
	be := binary.BigEndian
	a := abortedTxn{int64(be.Uint64(e[2:])), int64(be.Uint64(e[10:])), int64(be.Uint64(e[18:])), int64(be.Uint64(e[26:]))}
	return a, be.Uint16(e) == 0 && a.first >= 0 && a.first <= a.last && a.stable >= 0
}

// txnIndex is the .txnindex of a segment: the aborted transactions whose markers are in it, in the order of the markers.
// The file is made with the first entry, so most segments have none.
type txnIndex struct {
	fs   FS
	name string

	mu    sync.Mutex
	f     File  // nil while there is no file
	n     int64 // entries that count; the file may hold more after an append that did not succeed
	stray bool
}

func newTxnIndex(fsys FS, dir string, base int64) *txnIndex {
	return &txnIndex{fs: fsys, name: filepath.Join(dir, segmentName(base, suffixTxnIndex))}
}

// create makes the file now instead of with the first entry.
func (x *txnIndex) create(name string) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.f, err = x.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	return err
}

// open takes an existing file as it is; ok is false when it cannot be right. maxLast is the largest offset of the segment.
func (x *txnIndex) open(base, maxLast int64) (ok bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, err := x.fs.OpenFile(x.name, os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("open transaction index: %w", err)
	}
	x.f = f
	size, err := f.Size()
	if err != nil {
		return false, err
	}
	x.n = size / txnEntrySize
	if size%txnEntrySize != 0 {
		return false, nil
	}
	for _, i := range [...]int64{0, x.n - 1} {
		if x.n == 0 {
			break
		}
		var e [txnEntrySize]byte
		if err := readFull(f, e[:], i*txnEntrySize); err != nil {
			return false, err
		}
		if a, ok := decodeAborted(e[:]); !ok || a.last < base || a.last > maxLast {
			return false, nil
		}
	}
	return true, nil
}

// put writes an entry behind the last. It counts once commit is called, and is overwritten or cut off when it is not.
// created says that there is a new file name.
func (x *txnIndex) put(a abortedTxn) (created bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.f == nil {
		f, err := x.fs.OpenFile(x.name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		if err != nil {
			return false, fmt.Errorf("create transaction index: %w", err)
		}
		x.f, created = f, true
	}
	x.stray = true
	e := a.encode()
	if _, err := x.f.WriteAt(e[:], x.n*txnEntrySize); err != nil {
		return created, fmt.Errorf("write transaction index: %w", err)
	}
	return created, nil
}

func (x *txnIndex) commit() {
	x.mu.Lock()
	x.n++
	x.stray = false
	x.mu.Unlock()
}

// reset empties the index.
func (x *txnIndex) reset() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.n, x.stray = 0, false
	if x.f == nil {
		return nil
	}
	return x.f.Truncate(0)
}

func (x *txnIndex) sync() error {
	x.mu.Lock()
	f, n, stray := x.f, x.n, x.stray
	x.mu.Unlock()
	if f == nil {
		return nil
	}
	if stray {
		if err := f.Truncate(n * txnEntrySize); err != nil {
			return err
		}
	}
	return f.Sync()
}

func (x *txnIndex) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.f != nil {
		x.f.Close()
	}
}

// each hands out the entries whose transactions end at or after an offset, in order, until f says false.
func (x *txnIndex) each(from int64, f func(abortedTxn) bool) error {
	x.mu.Lock()
	file, n := x.f, x.n
	x.mu.Unlock()
	if n == 0 {
		return nil
	}
	block := scanBuffers.Get().(*scanBuffer)
	defer scanBuffers.Put(block)
	read := func(i, count int64) ([]byte, error) {
		b := block[:count*txnEntrySize]
		if err := readFull(file, b, i*txnEntrySize); err != nil {
			return nil, fmt.Errorf("read entry %d of a transaction index: %w", i, err)
		}
		return b, nil
	}
	var failed error
	i := int64(sort.Search(int(n), func(i int) bool {
		if failed != nil {
			return true
		}
		var b []byte
		if b, failed = read(int64(i), 1); failed != nil {
			return true
		}
		a, _ := decodeAborted(b)
		return a.last >= from
	}))
	if failed != nil {
		return failed
	}
	for i < n {
		count := min(n-i, int64(len(block))/txnEntrySize)
		b, err := read(i, count)
		if err != nil {
			return err
		}
		for ; len(b) > 0; b = b[txnEntrySize:] {
			if a, ok := decodeAborted(b); ok && !f(a) {
				return nil
			}
		}
		i += count
	}
	return nil
}
