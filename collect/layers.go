package collect

import (
	"iter"
	"maps"
)

// layers is a map that does not change: adding to it makes another one. What was
// added lately lies in a small map over a large one, so that making the other
// copies little, however many entries there are; without that, a few datagrams
// full of new templates or names could keep a worker busy for seconds.
type layers[K comparable, V any] struct {
	old, young map[K]V
	n          int
}

// smallLayer is the size up to which one map alone is copied fast enough.
const smallLayer = 64

// get returns the value of k, or the zero value.
func (l *layers[K, V]) get(k K) V {
	if len(l.young) > 0 {
		if v, ok := l.young[k]; ok {
			return v
		}
	}
	return l.old[k]
}

func (l *layers[K, V]) has(k K) bool {
	_, ok := l.young[k]
	if !ok {
		_, ok = l.old[k]
	}
	return ok
}

// len returns the number of entries.
func (l *layers[K, V]) len() int { return l.n }

// all goes through the entries in no order.
func (l *layers[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for k, v := range l.young {
			if !yield(k, v) {
				return
			}
		}
		for k, v := range l.old {
			if _, ok := l.young[k]; !ok && !yield(k, v) {
				return
			}
		}
	}
}

// with returns l with the given entries. The upper layer grows to the square root
// of the lower one, then they become one.
func (l *layers[K, V]) with(changes map[K]V) *layers[K, V] {
	next := &layers[K, V]{old: l.old, n: l.n}
	for k := range changes {
		if !l.has(k) {
			next.n++
		}
	}
	size := len(l.young) + len(changes)
	if len(l.old) <= smallLayer || size*size > len(l.old) {
		next.old = make(map[K]V, next.n)
		maps.Copy(next.old, l.old)
		maps.Copy(next.old, l.young)
		maps.Copy(next.old, changes)
		return next
	}
	next.young = make(map[K]V, size)
	maps.Copy(next.young, l.young)
	maps.Copy(next.young, changes)
	return next
}

// put returns l with one more entry.
func (l *layers[K, V]) put(k K, v V) *layers[K, V] { return l.with(map[K]V{k: v}) }

// without returns l without the entries for which del reports true.
func (l *layers[K, V]) without(del func(K, V) bool) *layers[K, V] {
	next := &layers[K, V]{old: make(map[K]V, l.n)}
	for k, v := range l.all() {
		if !del(k, v) {
			next.old[k] = v
		}
	}
	next.n = len(next.old)
	return next
}
