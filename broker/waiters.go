package broker

import (
	"sync"
	"sync/atomic"
)

// waiters of a partition are the fetches that want more than it has. Each is in a list of every partition it asked for, and
// is taken out of one when that one has something new: an append costs by who waits for this partition, and nothing
// scans.
type waiters struct {
	n    atomic.Int32 // so that nobody waiting costs one load
	mu   sync.Mutex
	head *waiter
}

// waiter is one fetch in the list of one partition.
type waiter struct {
	in         atomic.Bool
	prev, next *waiter
	woken      chan struct{} // of the fetch, with room for one
}

// add puts w in the list. Whoever adds must look at the partition again afterwards, for it may have moved before.
func (l *waiters) add(w *waiter, woken chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.in.Store(true)
	w.woken = woken
	w.prev, w.next = nil, l.head
	if l.head != nil {
		l.head.prev = w
	}
	l.head = w
	l.n.Add(1)
}

// remove takes w out, if it is in.
func (l *waiters) remove(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !w.in.Load() {
		return
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.in.Store(false)
	w.prev, w.next = nil, nil
	l.n.Add(-1)
}

// wake tells everybody in the list, and empties it.
func (l *waiters) wake() {
	if l.n.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := l.head; w != nil; {
		next := w.next
		w.in.Store(false)
		w.prev, w.next = nil, nil
		select {
		case w.woken <- struct{}{}:
		default: // told already
		}
		w = next
	}
	l.head = nil
	l.n.Store(0)
}
