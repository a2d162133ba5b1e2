package broker

import (
	"math/bits"
	"sync"
)

// buffers lends byte slices of a few sizes and keeps those that come back for the next one who asks. It also holds the
// budget for what connections may have in their hands together.
//
// A class is a power of two or one and a half times it. What is idle is bounded, larger buffers are left to the garbage
// collector.
type buffers struct {
	mu   sync.Mutex
	free [2 * maxClassShift][][]byte
	idle int64 // bytes in free
	keep int64 // most bytes in free

	wake     sync.Cond
	budget   int64
	used     int64
	overdraw bool // somebody goes on beyond the budget; one at a time
	waiting  int
	closed   bool
}

const (
	minBuffer     = 4 << 10
	maxPooled     = 4 << 20
	maxClassShift = 32
)

func newBuffers(budget int64) *buffers {
	p := &buffers{budget: budget, keep: budget / 2}
	p.wake.L = &p.mu
	return p
}

// classOf returns the class for n bytes and its size.
func classOf(n int) (class, size int) {
	if n <= minBuffer {
		n = minBuffer
	}
	shift := bits.Len(uint(n - 1)) // 2^(shift-1) < n <= 2^shift
	if half := 3 << (shift - 2); n <= half {
		return 2*shift - 1, half
	}
	return 2 * shift, 1 << shift
}

// get returns a slice of length n, of a capacity that put knows again.
func (p *buffers) get(n int) []byte {
	class, size := classOf(n)
	if size > maxPooled {
		return make([]byte, n)
	}
	p.mu.Lock()
	if list := p.free[class]; len(list) > 0 {
		b := list[len(list)-1]
		list[len(list)-1] = nil
		p.free[class] = list[:len(list)-1]
		p.idle -= int64(size)
		p.mu.Unlock()
		return b[:n]
	}
	p.mu.Unlock()
	return make([]byte, n, size)
}

// put takes a slice back that nobody refers to any more.
func (p *buffers) put(b []byte) {
	if cap(b) < minBuffer || cap(b) > maxPooled {
		return
	}
	class, size := classOf(cap(b))
	if size != cap(b) {
		return // made elsewhere
	}
	p.mu.Lock()
	if p.idle+int64(size) <= p.keep {
		p.free[class] = append(p.free[class], b[:0])
		p.idle += int64(size)
	}
	p.mu.Unlock()
}

// loan is what one connection has taken of the budget.
type loan struct {
	p      *buffers
	n      int64
	beyond bool // it is the one that may overdraw
}

// grow waits until the loan may be n bytes. Connections that each hold half a request could wait for each other for ever;
// so one of them at a time may go beyond the budget, and memory is bounded by the budget and one request. It returns false
// when the broker closes.
func (l *loan) grow(n int64) bool {
	p := l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		more := n - l.n
		switch {
		case p.closed:
			return false
		case more <= 0:
			return true
		case p.used+more <= p.budget || l.beyond:
			p.used += more
			l.n = n
			return true
		case !p.overdraw:
			p.overdraw, l.beyond = true, true
			continue
		}
		p.waiting++
		p.wake.Wait()
		p.waiting--
	}
}

// repay gives everything back.
func (l *loan) repay() {
	if l.n == 0 {
		return
	}
	p := l.p
	p.mu.Lock()
	p.used -= l.n
	if l.beyond {
		p.overdraw = false
	}
	l.n, l.beyond = 0, false
	wake := p.waiting > 0
	p.mu.Unlock()
	if wake {
		p.wake.Broadcast()
	}
}

// inFlight returns the bytes lent at the moment.
func (p *buffers) inFlight() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// close lets go of everybody who waits.
func (p *buffers) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wake.Broadcast()
}
