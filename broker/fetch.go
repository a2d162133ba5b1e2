package broker

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// Fetch (key 1), versions 4 to 18. KIP-98 (isolation level), KIP-74
// (max bytes), KIP-227 (fetch sessions), KIP-320 (leader epochs), KIP-392 (rack: there is one replica), KIP-482, KIP-516 (topic ids, v13), KIP-595 (diverging epoch),
// KIP-903 (replica state, v15: for followers, ignored).
//
// Record bytes go from the segment file to the socket by sendfile where that is possible, and are never decoded.
func fetchAPI() api {
	return api{
		key: 1, min: 4, max: 18, raw: true, serve: serveFetch,
		outline: "int32@0-14 int32 int32 int32@3 int8@4 int32@7 int32@7 " +
			"[ string@0-12 uuid@13 [ int32 int32@9 int64 int32@12 int64@5 int32 ] ] " +
			"[@7 string@7-12 uuid@13 [= int32 ] ] string@11",
	}
}

// fetch is one fetch request, from its frame to its answer.
type fetch struct {
	rq        *request
	until     time.Time
	minBytes  int
	maxBytes  int
	committed bool // read_committed
	topics    []fetchTopic
	parts     []fetchPart // of all topics, in order
	woken     chan struct{}

	session    int32 // of the client, then of the answer; 0 is none
	epoch      int32
	forgotten  []fetchPart   // partitions it takes out
	forgetFrom []fetchTopic  // whose topics they are
	kept       *fetchSession // nil: none
	bad        code          // refuses the whole request
	throttled  bool          // the records were taken out

	limit *limit // of the client's bytes; nil: none
	time  *limit // of the time spent on it
	began time.Time

	looked  bool // its partitions were
	got     int  // bytes found
	settled bool // something is there that must be told at once
	made    bool // the answer is
	answer  mixed
	few     [4]cut // room for those of most answers
}

type fetchTopic struct {
	topic   *topic // nil when unknown
	name    string
	id      [16]byte
	parts   int // how many of fetch.parts
	first   int // of them; where they lie together, as in a session
	told    int // how many are in the answer
	unknown code
}

type fetchPart struct {
	topic     int // in fetch.topics
	index     int32
	epoch     int32 // leader epoch the client believes in, -1 for none
	offset    int64
	lastEpoch int32 // epoch of the last record the client has, -1 for none
	maxBytes  int32

	part     *partition
	code     code
	span     commitlog.Span
	aborted  []commitlog.AbortedTxn // transactions whose records in span read_committed passes over
	diverges bool                   // the client's log went another way; where, say endEpoch and end
	endEpoch int32
	end      int64

	told, gone        bool // it is in the answer; it goes out of its session
	watermark, stable int64
	start             int64 // of the log
	known             toldPart
}

func serveFetch(rq *request, _ kmsg.Request) error {
	f := &fetch{rq: rq, minBytes: 1, epoch: finalFetchEpoch}
	f.decode()
	f.bounded()
	rq.drop = f.drop
	rq.sendWith(f.send)
	return nil
}

func (f *fetch) decode() {
	v, flexible := f.rq.version, f.rq.flexible
	b := f.rq.broker()
	cur := f.rq.body
	if v <= 14 {
		cur.int32() // replica id: a consumer has -1, and followers there are none
	}
	wait := time.Duration(max(cur.int32(), 0)) * time.Millisecond
	f.until = f.rq.at.Add(wait)
	f.minBytes = int(cur.int32())
	f.maxBytes = min(int(cur.int32()), b.cfg.MaxFetchBytes)
	f.committed = cur.int8() == 1
	if v >= 7 {
		f.session, f.epoch = cur.int32(), cur.int32()
	}
	topics := max(cur.arrayLen(flexible, 1), 0)
	f.topics = make([]fetchTopic, 0, min(topics, 64))
	for ; topics > 0; topics-- {
		t := f.decodeTopic(&cur)
		for n := max(cur.arrayLen(flexible, 1), 0); n > 0; n-- {
			f.parts = append(f.parts, fetchPart{topic: len(f.topics), epoch: -1, lastEpoch: -1})
			p := &f.parts[len(f.parts)-1]
			p.index = cur.int32()
			if v >= 9 {
				p.epoch = cur.int32()
			}
			p.offset = cur.int64()
			if v >= 12 {
				p.lastEpoch = cur.int32()
			}
			if v >= 5 {
				cur.int64() // log start offset, of followers
			}
			p.maxBytes = cur.int32()
			cur.tags(flexible)
			t.parts++
		}
		cur.tags(flexible)
		f.topics = append(f.topics, t)
	}
	if v < 7 {
		return
	}
	for topics := max(cur.arrayLen(flexible, 1), 0); topics > 0; topics-- {
		t := f.decodeTopic(&cur)
		for n := max(cur.arrayLen(flexible, 4), 0); n > 0; n-- {
			f.forgotten = append(f.forgotten, fetchPart{topic: len(f.forgetFrom), index: cur.int32()})
		}
		cur.tags(flexible)
		f.forgetFrom = append(f.forgetFrom, t)
	}
}

// decodeTopic reads how the client names a topic, and finds it.
func (f *fetch) decodeTopic(cur *cursor) (t fetchTopic) {
	if f.rq.version >= 13 {
		t.id = cur.uuid()
		f.find(&t, nil)
		return t
	}
	name := cur.str(f.rq.flexible)
	if f.find(&t, name); t.topic != nil {
		t.name = t.topic.name
	} else {
		t.name = string(name)
	}
	return t
}

// find finds a topic by its id, or by its name, which those who fetch by name give. It is nil to who may not read it.
func (f *fetch) find(t *fetchTopic, name []byte) {
	ts := f.rq.broker().topics
	if f.rq.version >= 13 {
		t.topic, t.unknown = f.rq.permit(kmsg.ACLOperationRead, ts.getID(t.id), nil, codeUnknownTopicID)
	} else {
		t.topic, t.unknown = f.rq.permit(kmsg.ACLOperationRead, ts.lookup(name), name, codeUnknownTopicOrPartition)
	}
}

// send waits for enough bytes, an error or the end of the time, then sends the answer. Not to wait, which is so on the
// connection's reader, it comes as far as it can without.
func (f *fetch) send(wait bool) (done bool, err error) {
	if !f.looked {
		f.look()
	}
	if !f.made {
		if f.bad == codeNone {
			if !f.settled && f.got < f.minBytes {
				if !wait {
					return false, nil
				}
				began := time.Now()
				f.got = f.wait(f.got)
				f.rq.times.waited = time.Since(began)
			}
			f.meter(f.got)
			f.choose()
			f.began = time.Now()
		}
		f.made = true
		if err := f.makeAnswer(); err != nil {
			return false, err
		}
	}
	return f.rq.conn.sendMixed(&f.answer, wait)
}

// look finds what is there to be told.
func (f *fetch) look() {
	f.looked = true
	if f.bad = f.resume(); f.bad != codeNone {
		f.topics, f.parts = nil, nil
		return
	}
	f.resolve()
	f.got, f.settled = f.read()
}

// drop gives back what the fetch holds.
func (f *fetch) drop() {
	if f.time != nil && !f.began.IsZero() {
		f.spend(f.began)
	}
	f.rq.broker().buffers.put(f.answer.out)
	f.answer = mixed{}
	f.release()
	f.leave()
}

// resolve finds the partitions and judges what does not change by waiting.
func (f *fetch) resolve() {
	for i := range f.topics {
		t := &f.topics[i]
		t.told = 0
		if t.topic != nil {
			t.topic.counters.fetchRequests.Add(uint64(t.parts))
		}
	}
	for i := range f.parts {
		p := &f.parts[i]
		t := &f.topics[p.topic]
		p.part, p.code, p.diverges = nil, codeNone, false
		if t.topic == nil {
			p.code = t.unknown
			continue
		}
		p.part = t.topic.partition(p.index)
		if p.part == nil {
			p.code = codeUnknownTopicOrPartition
			continue
		}
		p.code = p.part.checkEpoch(p.epoch)
		if p.code == codeNone && p.lastEpoch >= 0 {
			p.endEpoch, p.end = p.part.log.EpochEnd(p.lastEpoch)
			if p.endEpoch < 0 || p.end < 0 {
				p.code = codeOffsetOutOfRange // the log knows nothing of that epoch or one before it
			} else {
				p.diverges = p.endEpoch < p.lastEpoch || p.end < p.offset
			}
		}
	}
}

// checkEpoch compares the leader epoch a client believes in with the one there is (KIP-320).
func (p *partition) checkEpoch(epoch int32) code {
	switch {
	case epoch == -1 || epoch == p.epoch:
		return codeNone
	case epoch < p.epoch:
		return codeFencedLeaderEpoch
	default:
		return codeUnknownLeaderEpoch
	}
}

// read looks at every partition. It returns the bytes found, and whether something is there that must be told at once.
func (f *fetch) read() (got int, settled bool) {
	f.release()
	first := f.readFrom()
	for k := range f.parts {
		p := &f.parts[(first+k)%len(f.parts)]
		if p.code != codeNone || p.diverges {
			settled = true
			continue
		}
		limit := min(int(p.maxBytes), f.maxBytes-got)
		// A partition whose first batch is larger than the limit would stand still for ever; so the first one that has
		// something gives one batch at least.
		span, err := p.part.log.Read(p.offset, max(limit, 0), commitlog.ReadOptions{MinOne: got == 0, Committed: f.committed})
		if err != nil {
			p.code = logCode(err)
			if !errors.Is(err, commitlog.ErrOffsetOutOfRange) && !errors.Is(err, commitlog.ErrClosed) {
				f.rq.broker().log.Error("read", "topic", p.part.topic.name, "partition", p.index, "offset", p.offset, "err", err)
			}
			settled = true
			continue
		}
		p.span, p.aborted = span, nil
		if f.committed && span.Len > 0 {
			if p.aborted, err = p.part.log.Aborted(p.offset, span.Bound()); err != nil {
				f.rq.broker().log.Error("read aborted transactions", "topic", p.part.topic.name, "partition", p.index, "offset", p.offset, "err", err)
				p.span.Release()
				p.code, settled = logCode(err), true
				continue
			}
		}
		got += int(span.Len)
	}
	return got, settled
}

// release gives back what read found.
func (f *fetch) release() {
	for i := range f.parts {
		f.parts[i].span.Release()
	}
}

// wait reads again each time a partition moves, until there is enough or the time is up, and returns the bytes found.
func (f *fetch) wait(got int) int {
	c := f.rq.conn
	left := time.Until(f.until)
	if left <= 0 || len(f.parts) == 0 {
		return got
	}
	c.b.counters.waiting.Add(1)
	defer c.b.counters.waiting.Add(-1)
	f.woken = make(chan struct{}, 1)
	defer func() {
		for i := range f.parts {
			if p := f.parts[i].part; p != nil {
				p.waiters.remove(&c.waiters[i])
			}
		}
	}()
	if len(c.waiters) < len(f.parts) {
		c.waiters = make([]waiter, len(f.parts))
	}
	if c.timer == nil {
		c.timer = time.NewTimer(left)
	} else {
		c.timer.Reset(left)
	}
	defer c.timer.Stop()
	for {
		f.register()
		got, settled := f.read()
		if settled || got >= f.minBytes {
			return got
		}
		select {
		case <-f.woken:
		case <-c.timer.C:
			got, _ = f.read()
			return got
		case <-c.quiet: // nobody reads the answer any more, or the broker closes
			return got
		}
	}
}

// register puts the fetch into the list of each partition that it is not in.
func (f *fetch) register() {
	for i := range f.parts {
		w, p := &f.rq.conn.waiters[i], f.parts[i].part
		if p != nil && !w.in.Load() {
			p.waiters.add(w, f.woken)
		}
	}
}
