package broker

import (
	"cmp"
	"container/list"
	"slices"
	"sort"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// fetchSession is what a client has said it fetches (KIP-227), so that its next requests name only what changes in that, and
// the answers only what has news. As in Kafka a session is not tied to a connection, and what its partitions may tell is
// asked anew for each fetch. Beyond Kafka it is tied to the client's principal: for others it is not there.
//
// A fetch takes a session, works on its partitions in place, and leaves it before it answers; a second one that comes
// meanwhile has the wrong epoch, for the client cannot have seen the answer to the first.
type fetchSession struct {
	id        int32
	principal string
	byID      bool // topics go by their ids, which from version 13 on they do

	// Under the lock of the sessions.
	epoch   int32 // the next fetch must have
	busy    bool  // a fetch has it
	created time.Time
	used    time.Time
	size    int           // partitions, as they count for the sessions' bounds
	place   *list.Element // by when it was used
	heapAt  int           // among those that can be evicted, below 0 for outside

	// Those of the fetch that has it.
	topics  []fetchTopic
	parts   []fetchPart // by topic, then by index
	topicOf map[fetchTopicKey]int
	next    int // where the next fetch begins to read, so that every partition has its turn
}

// fetchTopicKey is how a topic goes in a session: by name or by id.
type fetchTopicKey struct {
	name string
	id   [16]byte
}

func (t *fetchTopic) key() fetchTopicKey {
	if t.id != [16]byte{} {
		return fetchTopicKey{id: t.id}
	}
	return fetchTopicKey{name: t.name}
}

// toldPart is what the client of a session has been told of a partition.
type toldPart struct {
	watermark, start int64
}

// Epochs of a fetch that is no part of a session that goes on.
const (
	firstFetchEpoch = 0  // begins a session
	finalFetchEpoch = -1 // ends it, or never had one
)

// nextFetchEpoch is the epoch after another one; those of a session are above 0.
func nextFetchEpoch(epoch int32) int32 { return max(epoch+1, 1) }

// merge takes in what a request says: new partitions, and new offsets of those that are there.
func (s *fetchSession) merge(topics []fetchTopic, parts []fetchPart) {
	added := false
	for i := range parts {
		p := &parts[i]
		t := &topics[p.topic]
		at, ok := s.topicOf[t.key()]
		if !ok {
			at = len(s.topics)
			s.topicOf[t.key()] = at
			s.topics = append(s.topics, fetchTopic{name: t.name, id: t.id, topic: t.topic, unknown: t.unknown})
		}
		if q := s.part(at, p.index); q != nil {
			q.epoch, q.offset, q.lastEpoch, q.maxBytes = p.epoch, p.offset, p.lastEpoch, p.maxBytes
			continue
		}
		s.parts = append(s.parts, *p)
		q := &s.parts[len(s.parts)-1]
		q.topic, q.span, q.aborted = at, commitlog.Span{}, nil
		if p.told {
			q.remember()
		} else {
			q.known = toldPart{-1, -1}
		}
		added = true
	}
	if added {
		s.arrange()
	}
}

// forget takes partitions out.
func (s *fetchSession) forget(topics []fetchTopic, parts []fetchPart) {
	removed := false
	for i := range parts {
		at, ok := s.topicOf[topics[parts[i].topic].key()]
		if !ok {
			continue
		}
		if q := s.part(at, parts[i].index); q != nil {
			q.gone, removed = true, true
		}
	}
	if removed {
		s.arrange()
	}
}

// arrange puts the partitions of each topic together and in order, once each, without those
// that are gone, and lets go of topics that have none.
func (s *fetchSession) arrange() {
	slices.SortStableFunc(s.parts, func(a, b fetchPart) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.index, b.index))
	})
	parts := s.parts[:0]
	for i := range s.parts {
		p := &s.parts[i]
		if last := len(parts) - 1; p.gone || last >= 0 && parts[last].topic == p.topic && parts[last].index == p.index {
			continue
		}
		parts = append(parts, *p)
	}
	clear(s.parts[len(parts):])
	s.parts = parts
	for i := range s.topics {
		s.topics[i].parts = 0
	}
	for i := range s.parts {
		s.topics[s.parts[i].topic].parts++
	}
	clear(s.topicOf)
	kept := s.topics[:0]
	for first, i := 0, 0; i < len(s.topics); i++ {
		t := s.topics[i]
		if t.parts == 0 {
			continue
		}
		t.first = first
		for j := range t.parts {
			s.parts[first+j].topic = len(kept)
		}
		first += t.parts
		s.topicOf[t.key()] = len(kept)
		kept = append(kept, t)
	}
	clear(s.topics[len(kept):])
	s.topics = kept
	if s.next >= len(s.parts) {
		s.next = 0
	}
}

// part finds a partition of a topic of the session.
func (s *fetchSession) part(topic int, index int32) *fetchPart {
	t := &s.topics[topic]
	of := s.parts[t.first : t.first+t.parts]
	i := sort.Search(len(of), func(i int) bool { return of[i].index >= index })
	if i == len(of) || of[i].index != index {
		return nil
	}
	return &of[i]
}

// resume finds the session that a request goes on with and brings it up to date, or refuses the request. A request that
// begins or ends a session, or has none, names all partitions by itself.
func (f *fetch) resume() code {
	ss := f.rq.broker().fetches
	if f.epoch == firstFetchEpoch || f.epoch == finalFetchEpoch {
		ss.close(f.session, f.rq.conn.session.principal)
		f.session = 0
		return codeNone
	}
	s, refusal := ss.take(f.session, f.epoch, f.rq.conn.session.principal, f.rq.version >= 13)
	if refusal != codeNone {
		f.session = 0
		return refusal
	}
	s.merge(f.topics, f.parts)
	s.forget(f.forgetFrom, f.forgotten)
	if !ss.resize(s) {
		f.session = 0
		return codeFetchSessionNotFound // the client goes on without
	}
	f.topics, f.parts = s.topics, s.parts
	if len(s.parts) == 0 { // nothing is left of it
		ss.close(s.id, s.principal)
		f.session = 0
		return codeNone
	}
	f.kept = s
	for i := range f.topics { // they come and go, and so do rights to read them
		t := &f.topics[i]
		f.find(t, []byte(t.name))
	}
	return codeNone
}

// leave gives the session back.
func (f *fetch) leave() {
	if f.kept != nil {
		f.rq.broker().fetches.leave(f.kept)
		f.kept = nil
	}
}

// readFrom is the partition to read first. In a session the one after the last that had records has its turn.
func (f *fetch) readFrom() int {
	if f.kept == nil {
		return 0
	}
	return f.kept.next
}

// choose decides which partitions the answer tells of: all that were asked for, or those of the session that have news.
// Where a session is wanted it begins one. An answer from which a quota has taken the records changes nothing in a session,
// and begins none.
func (f *fetch) choose() {
	for i := range f.parts {
		p := &f.parts[i]
		p.watermark, p.stable, p.start = -1, -1, -1
		if p.part != nil && p.code == codeNone {
			p.watermark, p.stable, p.start = p.part.log.HighWatermark(), p.part.log.LastStableOffset(), p.part.log.StartOffset()
		}
		p.told = f.kept == nil || !f.throttled && p.news()
		if p.told {
			f.topics[p.topic].told++
		}
	}
	switch {
	case f.kept != nil:
		f.goOn()
	case f.epoch == firstFetchEpoch && !f.throttled:
		f.begin()
	}
}

// news says whether the client of a session does not know yet how a partition stands.
func (p *fetchPart) news() bool {
	return p.span.Len > 0 || p.code != codeNone || p.diverges || p.watermark != p.known.watermark || p.start != p.known.start
}

// remember notes what the client is told.
func (p *fetchPart) remember() {
	p.known = toldPart{p.watermark, p.start}
	if p.code != codeNone || p.diverges {
		p.known.watermark = -1 // told once more when that is over
	}
}

// goOn takes what is told out of the session, so that the next fetch can have it.
func (f *fetch) goOn() {
	s := f.kept
	n, next := len(s.parts), s.next
	for k := range n {
		if i := (s.next + k) % n; s.parts[i].span.Len > 0 {
			next = (i + 1) % n
		}
	}
	s.next = next
	f.topics, f.parts = nil, nil
	last := -1
	for i := range s.parts {
		p := &s.parts[i]
		if !p.told {
			p.span.Release()
			continue
		}
		if p.topic != last {
			f.topics, last = append(f.topics, s.topics[p.topic]), p.topic
		}
		p.remember()
		f.parts = append(f.parts, *p)
		f.parts[len(f.parts)-1].topic = len(f.topics) - 1
		p.span, p.aborted = commitlog.Span{}, nil
	}
	f.leave()
}

// begin makes a session of what the fetch asked for, unless there are too many.
func (f *fetch) begin() {
	s := f.rq.broker().fetches.create(len(f.parts), f.rq.conn.session.principal, f.rq.version >= 13)
	if s == nil {
		return
	}
	s.topicOf = make(map[fetchTopicKey]int, len(f.topics))
	s.merge(f.topics, f.parts)
	f.kept, f.session = s, s.id
	f.leave()
}
