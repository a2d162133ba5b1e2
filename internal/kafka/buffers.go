package kafka

import (
	"math/bits"
	"sync"
)

// buffers hands out memory for batches and takes it back. Sizes are powers of two,
// so that what one batch gives back suits the next.
type buffers struct {
	mu   sync.Mutex
	free [maxClass + 1][][]byte
	held int // bytes in free
}

const (
	minClass = 12 // 4 KiB
	maxClass = 21 // 2 MiB; larger ones are not kept
	// maxHeld is how much memory waits to be used again.
	maxHeld = 32 << 20
)

// sizeClass is the least power of two that n bytes fit in, within what is kept.
func sizeClass(n int) int { return max(minClass, bits.Len(uint(n-1))) }

// bufferSize is the capacity of the buffer that get returns for n bytes.
func bufferSize(n int) int {
	if c := sizeClass(n); c <= maxClass {
		return 1 << c
	}
	return n
}

// get returns an empty buffer of bufferSize(n) bytes.
func (b *buffers) get(n int) []byte {
	c := sizeClass(n)
	if c > maxClass {
		return make([]byte, 0, n)
	}
	b.mu.Lock()
	if l := len(b.free[c]); l > 0 {
		buf := b.free[c][l-1]
		b.free[c] = b.free[c][:l-1]
		b.held -= cap(buf)
		b.mu.Unlock()
		return buf
	}
	b.mu.Unlock()
	return make([]byte, 0, 1<<c)
}

// put takes a buffer back that get returned, and that nothing refers to any more.
func (b *buffers) put(buf []byte) {
	c := sizeClass(cap(buf))
	if c > maxClass || cap(buf) != 1<<c {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+cap(buf) <= maxHeld {
		b.free[c] = append(b.free[c], buf[:0])
		b.held += cap(buf)
	}
}
