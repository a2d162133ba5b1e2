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
	maxPooled     = 8 << 20
	maxClassShift = 32
	anyLarger     = 256 << 10 // for a request of this size a larger slice that is idle will do
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
	p.mu.Lock()
	if size <= maxPooled && len(p.free[class]) > 0 {
		b := p.take(class)
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
	if p.makeRoom(class, int64(size)) {
		p.free[class] = append(p.free[class], b[:0])
		p.idle += int64(size)
	}
	p.mu.Unlock()
}

// makeRoom gives up idle slices of other classes, largest first, until one more of n bytes may be idle: what is in use now
// is worth more than what was.
func (p *buffers) makeRoom(class int, n int64) bool {
	for c := len(p.free) - 1; c >= 0 && p.idle+n > p.keep && n <= p.keep; c-- {
		for c != class && len(p.free[c]) > 0 && p.idle+n > p.keep {
			p.take(c)
		}
	}
	return p.idle+n <= p.keep
}

// take takes an idle slice of a class that has one.
func (p *buffers) take(class int) []byte {
	list := p.free[class]
	b := list[len(list)-1]
	list[len(list)-1] = nil
	p.free[class] = list[:len(list)-1]
	p.idle -= int64(cap(b))
	return b
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

// get returns a slice of length n, for which the loan has grown. A large one may be larger than need be, since clearing a new
// one costs more; the loan then counts all of it.
func (l *loan) get(n int) []byte {
	p := l.p
	class, size := classOf(n)
	if n < anyLarger {
		return p.get(n)
	}
	p.mu.Lock()
	for c := class; c < len(p.free); c++ {
		if len(p.free[c]) == 0 {
			continue
		}
		if more := int64(cap(p.free[c][0])) - l.n; more > 0 {
			if p.used+more > p.budget {
				break
			}
			p.used += more
			l.n += more
		}
		b := p.take(c)
		p.mu.Unlock()
		return b[:n]
	}
	p.mu.Unlock()
	return make([]byte, n, size)
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
