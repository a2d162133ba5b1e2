package kafka

import (
	"sync"
	"sync/atomic"
	"time"
)

// spellRest is how long nothing has to be wrong until a spell has ended.
const spellRest = 10 * time.Second

// spell is trouble that comes and goes, as when Kafka is a little too slow: the log has
// one line when it begins, and one when nothing has been wrong for spellRest.
type spell struct {
	told atomic.Bool

	mu   sync.Mutex
	last time.Time // that something was wrong
}

// begins notes that something is wrong, and reports whether that is to be told.
func (s *spell) begins() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
	return s.told.CompareAndSwap(false, true)
}

// ends notes that nothing is wrong now, and reports whether that is to be told.
func (s *spell) ends() bool {
	if !s.told.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.last) >= spellRest && s.told.CompareAndSwap(true, false)
}
