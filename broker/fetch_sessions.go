package broker

import (
	"container/heap"
	"container/list"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// fetchSessionSettled is min.incremental.fetch.session.eviction.ms: a session is left alone for so long, and one that
	// nobody has used for so long is stale.
	fetchSessionSettled = 2 * time.Minute

	// maxFetchSessionParts bounds the partitions in all sessions together, which Kafka does not.
	maxFetchSessionParts = 100_000
)

// fetchSessions holds the sessions there are, max.incremental.fetch.session.cache.slots at most. When it is full a new one
// takes the place of one that is stale, or else of the smallest there is, if that is smaller and has been left alone for long
// enough: the more partitions, the more a session spares. Kafka prefers those of followers, which there are none of here.
type fetchSessions struct {
	slots int
	now   func() time.Time

	mu        sync.Mutex
	byID      map[int32]*fetchSession
	byUse     list.List        // of *fetchSession, the one that was not used for the longest time in front
	evictable fetchSessionHeap // those left alone for long enough
	parts     int
	begun     uint64
	evicted   uint64
}

func newFetchSessions(cfg *Config) *fetchSessions {
	ss := &fetchSessions{slots: cfg.FetchSessions, now: cfg.now, byID: make(map[int32]*fetchSession)}
	if ss.now == nil {
		ss.now = time.Now
	}
	return ss
}

// create makes a session that will have so many partitions and gives it to who asks, nil when there is no room for it.
func (ss *fetchSessions) create(parts int, principal string, byID bool) *fetchSession {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	now := ss.now()
	for len(ss.byID) >= ss.slots || ss.parts+parts > maxFetchSessionParts {
		if !ss.evict(parts, now) {
			return nil
		}
	}
	s := &fetchSession{principal: principal, byID: byID, epoch: nextFetchEpoch(firstFetchEpoch), busy: true, created: now, used: now, size: parts, heapAt: -1}
	for s.id == 0 || ss.byID[s.id] != nil {
		s.id = rand.Int32N(1<<31 - 1)
	}
	ss.byID[s.id] = s
	s.place = ss.byUse.PushBack(s)
	ss.parts += parts
	ss.begun++
	return s
}

// evict removes a session in favour of one with so many partitions.
func (ss *fetchSessions) evict(parts int, now time.Time) bool {
	front := ss.byUse.Front()
	if front == nil {
		return false
	}
	s := front.Value.(*fetchSession)
	if now.Sub(s.used) <= fetchSessionSettled {
		if len(ss.evictable) == 0 || ss.evictable[0].size > parts {
			return false
		}
		s = ss.evictable[0]
	}
	ss.remove(s)
	ss.evicted++
	return true
}

func (ss *fetchSessions) remove(s *fetchSession) {
	delete(ss.byID, s.id)
	ss.byUse.Remove(s.place)
	if s.heapAt >= 0 {
		heap.Remove(&ss.evictable, s.heapAt)
	}
	ss.parts -= s.size
}

// take gives a session to a fetch with the epoch that it must have.
func (ss *fetchSessions) take(id, epoch int32, principal string, byID bool) (*fetchSession, code) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s := ss.byID[id]
	switch {
	case s == nil || s.principal != principal:
		return nil, codeFetchSessionNotFound
	case s.epoch != epoch || s.busy:
		return nil, codeInvalidFetchEpoch
	case s.byID != byID:
		return nil, codeFetchSessionTopicID
	}
	s.busy, s.epoch, s.used = true, nextFetchEpoch(epoch), ss.now()
	ss.byUse.MoveToBack(s.place)
	if s.heapAt < 0 && s.used.Sub(s.created) > fetchSessionSettled {
		heap.Push(&ss.evictable, s)
	}
	return s, codeNone
}

// resize notes how many partitions a session has now. It is removed when they are too many.
func (ss *fetchSessions) resize(s *fetchSession) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.byID[s.id] != s { // evicted while its fetch worked on it
		return true
	}
	if ss.parts+len(s.parts)-s.size > maxFetchSessionParts && len(s.parts) > s.size {
		ss.remove(s)
		ss.evicted++
		return false
	}
	ss.parts += len(s.parts) - s.size
	s.size = len(s.parts)
	if s.heapAt >= 0 {
		heap.Fix(&ss.evictable, s.heapAt)
	}
	return true
}

// leave lets the next fetch have a session.
func (ss *fetchSessions) leave(s *fetchSession) {
	ss.mu.Lock()
	s.busy = false
	ss.mu.Unlock()
}

// close ends a session, if there is one of this id and principal.
func (ss *fetchSessions) close(id int32, principal string) {
	if id == 0 {
		return
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s := ss.byID[id]; s != nil && s.principal == principal {
		ss.remove(s)
	}
}

// FetchSessionStats says what fetch sessions there are (KIP-227).
type FetchSessionStats struct {
	Sessions   int
	Partitions int    // in all of them together
	Begun      uint64 // since the start
	Evicted    uint64 // since the start, in favour of others
}

func (ss *fetchSessions) stats() FetchSessionStats {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return FetchSessionStats{len(ss.byID), ss.parts, ss.begun, ss.evicted}
}

// fetchSessionHeap has the session with the fewest partitions in front, of those with equally many the one with the lowest
// id.
type fetchSessionHeap []*fetchSession

func (h fetchSessionHeap) Len() int { return len(h) }

func (h fetchSessionHeap) Less(i, j int) bool {
	return h[i].size < h[j].size || h[i].size == h[j].size && h[i].id < h[j].id
}

func (h fetchSessionHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i, j
}

func (h *fetchSessionHeap) Push(x any) {
	s := x.(*fetchSession)
	s.heapAt = len(*h)
	*h = append(*h, s)
}

func (h *fetchSessionHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.heapAt = -1
	return s
}
