package broker

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// Fetch (key 1), versions 4 to 18. KIP-98 (isolation level), KIP-74
// (max bytes), KIP-227 (fetch sessions: answered with session 0, which makes clients name all partitions each time), KIP-320
// (leader epochs), KIP-392 (rack: there is one replica), KIP-482, KIP-516 (topic ids, v13), KIP-595 (diverging epoch),
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
	session   int32
	committed bool // read_committed
	bad       code // refuses the whole request
	topics    []fetchTopic
	parts     []fetchPart // of all topics, in order
	woken     chan struct{}
	limit     *limit // of the client's bytes; nil: none
	time      *limit // of the time spent on it
}

type fetchTopic struct {
	topic   *topic // nil when unknown
	name    string
	id      [16]byte
	parts   int // how many of fetch.parts
	unknown code
}

type fetchPart struct {
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
	waiter   waiter
}

func serveFetch(rq *request, _ kmsg.Request) error {
	f := &fetch{rq: rq, minBytes: 1}
	f.decode()
	f.bounded()
	rq.sendWith(f.run)
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
		f.session = cur.int32()
		if epoch := cur.int32(); f.session != 0 && epoch > 0 {
			f.bad = codeFetchSessionNotFound
		}
	}
	topics := max(cur.arrayLen(flexible, 1), 0)
	f.topics = make([]fetchTopic, 0, min(topics, 64))
	for ; topics > 0; topics-- {
		var t fetchTopic
		if v >= 13 {
			t.id = cur.uuid()
			t.topic, t.unknown = f.rq.permit(kmsg.ACLOperationRead, b.topics.getID(t.id), nil, codeUnknownTopicID)
		} else {
			name := cur.str(flexible)
			if t.topic = b.topics.lookup(name); t.topic != nil {
				t.name = t.topic.name
			} else {
				t.name = string(name)
			}
			t.topic, t.unknown = f.rq.permit(kmsg.ACLOperationRead, t.topic, name, codeUnknownTopicOrPartition)
		}
		for n := max(cur.arrayLen(flexible, 1), 0); n > 0; n-- {
			f.parts = append(f.parts, fetchPart{epoch: -1, lastEpoch: -1})
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
}

// run waits for enough bytes, an error or the end of the time, then writes the answer. It runs on the connection's writer.
func (f *fetch) run() error {
	if f.bad != codeNone {
		f.topics, f.parts = nil, nil
		return f.write()
	}
	f.resolve()
	defer f.release()
	got, settled := f.read()
	if !settled && got < f.minBytes {
		got = f.wait(got)
	}
	f.meter(got)
	if f.time != nil {
		defer f.spend(time.Now())
	}
	return f.write()
}

// resolve finds the partitions and judges what does not change by waiting.
func (f *fetch) resolve() {
	i := 0
	for j := range f.topics {
		t := &f.topics[j]
		if t.topic != nil {
			t.topic.counters.fetchRequests.Add(uint64(t.parts))
		}
		for range t.parts {
			p := &f.parts[i]
			i++
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
				p.diverges = p.endEpoch < p.lastEpoch || p.end < p.offset
			}
		}
	}
}

// checkEpoch compares the leader epoch a client believes in with the one there is (KIP-320).
func (p *partition) checkEpoch(epoch int32) code {
	switch {
	case epoch < 0 || epoch == p.epoch:
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
	for i := range f.parts {
		p := &f.parts[i]
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
			if p := &f.parts[i]; p.part != nil {
				p.part.waiters.remove(&p.waiter)
			}
		}
	}()
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
		p := &f.parts[i]
		if p.part == nil {
			continue
		}
		if !p.waiter.in.Load() {
			p.part.waiters.add(&p.waiter, f.woken)
		}
	}
}

// inline is up to what size record bytes are copied into the answer; beyond it they are sent from the file.
const inline = 16 << 10

// write writes the answer: what surrounds the records is gathered, the records are sent from where they lie.
func (f *fetch) write() error {
	rq, c, v, flexible := f.rq, f.rq.conn, f.rq.version, f.rq.flexible
	size := 64 + 80*len(f.parts)
	for i := range f.parts {
		size += 17 * len(f.parts[i].aborted)
	}
	for i := range f.topics {
		size += 32 + len(f.topics[i].name)
	}
	for i := range f.parts {
		if n := f.parts[i].span.Len; n <= inline {
			size += int(n)
		}
	}
	out := rq.begin(size)
	defer func() { c.b.buffers.put(out) }()
	out = appendInt32(out, f.rq.throttleMillis())
	if v >= 7 {
		out = appendInt16(out, rq.code(f.bad))
		out = appendInt32(out, 0) // session: none
	}
	out = appendArrayLen(out, flexible, len(f.topics))
	total := 0
	cuts := make([]cut, 0, 8)
	i := 0
	for j := range f.topics {
		t := &f.topics[j]
		if v >= 13 {
			out = append(out, t.id[:]...)
		} else {
			out = appendString(out, flexible, []byte(t.name))
		}
		out = appendArrayLen(out, flexible, t.parts)
		for range t.parts {
			p := &f.parts[i]
			i++
			out = f.appendPart(out, p)
			if n := int(p.span.Len); n > 0 {
				t.topic.counters.bytesOut.Add(uint64(n))
				if n <= inline {
					at := len(out)
					out = append(out, make([]byte, n)...)
					if _, err := p.span.ReadAt(out[at:], 0); err != nil {
						return err
					}
				} else {
					total += n
					cuts = append(cuts, cut{at: len(out), span: &p.span})
				}
			}
			out = f.appendPartEnd(out, p)
		}
		out = appendTags(out, flexible)
	}
	out = appendTags(out, flexible)
	putInt32(out, int32(len(out)-4+total))
	from := 0
	for _, cut := range cuts {
		if err := c.writeAll(out[from:cut.at]); err != nil {
			return err
		}
		from = cut.at
		if err := c.sendSpan(cut.span); err != nil {
			return err
		}
	}
	return c.writeAll(out[from:])
}

// cut is a place in the answer where records from a file go.
type cut struct {
	at   int
	span *commitlog.Span
}

// appendPart appends a partition up to its records. An empty record set has length 0: librdkafka does not take null.
func (f *fetch) appendPart(out []byte, p *fetchPart) []byte {
	v, flexible := f.rq.version, f.rq.flexible
	watermark, stable, start := int64(-1), int64(-1), int64(-1)
	if p.part != nil {
		watermark, stable, start = p.part.log.HighWatermark(), p.part.log.LastStableOffset(), p.part.log.StartOffset()
	}
	out = appendInt32(out, p.index)
	out = appendInt16(out, f.rq.code(p.code))
	out = appendInt64(out, watermark)
	out = appendInt64(out, stable)
	if v >= 5 {
		out = appendInt64(out, start)
	}
	out = appendArrayLen(out, flexible, len(p.aborted))
	for _, a := range p.aborted {
		out = appendInt64(out, a.ProducerID)
		out = appendInt64(out, a.FirstOffset)
		out = appendTags(out, flexible)
	}
	if v >= 11 {
		out = appendInt32(out, -1) // preferred read replica
	}
	return appendArrayLen(out, flexible, int(p.span.Len))
}

// appendPartEnd appends what stands behind the records.
func (f *fetch) appendPartEnd(out []byte, p *fetchPart) []byte {
	if !f.rq.flexible {
		return out
	}
	if !p.diverges {
		return append(out, 0)
	}
	out = append(out, 1, 0, 13) // one tag, number 0, 13 bytes: epoch, offset, no tags
	out = appendInt32(out, p.endEpoch)
	out = appendInt64(out, p.end)
	return append(out, 0)
}
