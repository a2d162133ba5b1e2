package kafka

import (
	"bytes"
	"sync"
	"time"
)

// Appender frames records into batches of its own. One goroutine appends; the lock
// is for those that seal batches that have waited for long enough.
type Appender struct {
	p    *Producer
	mu   sync.Mutex
	open []*batch // without keys at 0, else by partition, at 0 those made before these were known
	size int      // of the last batch: what memory the next one begins with
	n    int      // open batches
	max  int      // of a batch

	// Where notes are taken, batches are handed on together, with the notes of all that
	// is in them.
	noting bool
	known  int32 // number of partitions, since the last note
	inside bool  // there are records that belong to the next note
	lost   bool  // one of them was given up
	due    bool  // what is open has waited for long enough, once the note is there
	waits  bool  // Append waits for memory: notes have to wait, too
	notes  []byte
	sealed []*batch
}

// compressBuffer is memory for a batch while it is compressed.
type compressBuffer struct{ bytes.Buffer }

var compressed = sync.Pool{New: func() any { return new(compressBuffer) }}

// Record is one for an [Appender]. Its memory is the caller's again once Append
// returns.
type Record struct {
	Milliseconds int64  // timestamp, since 1970
	Key          []byte // nil: none; with another, the partition is that of Kafka's own partitioner
	Value        []byte
	Flows        uint32 // that it holds
}

// Append adds records to batches, to be sent with others. Those that were given up
// because the queue has been full for too long are returned: how many flows they hold,
// and how large their values are. One that is too large for any request is told to
// Refused.
//
// Many at once cost less: what is locked for a record waits until the processor has
// stored the one before it.
func (a *Appender) Append(records []Record) (dropped, octets uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.inside = true
	for i := range records {
		if r := &records[i]; !a.add(r) {
			dropped += uint64(r.Flows)
			octets += uint64(len(r.Value))
		}
	}
	if a.p.compressor == nil && len(a.open) > 0 && a.open[0] != nil {
		a.open[0].sum()
	}
	return dropped, octets
}

// add reports whether there was room for a record.
func (a *Appender) add(r *Record) bool {
	at, partition := 0, int32(-1)
	if r.Key != nil {
		n := a.known
		if !a.noting {
			n = a.p.known.Load()
		}
		if n > 0 {
			partition = keyPartition(r.Key, int(n))
			at = int(partition) + 1
		}
	}
	if at >= len(a.open) {
		a.open = append(a.open, make([]*batch, at+1-len(a.open))...)
		a.max = a.p.batchLimit(len(a.open))
	}
	if b := a.open[at]; b != nil {
		if body, whole := b.recordSize(r); len(b.buf)+whole <= cap(b.buf) && len(b.buf)+whole <= a.max {
			b.add(r, body)
			return true
		}
	}
	ok := a.turn(at, r)
	a.lost = a.lost || !ok
	if ok && a.open[at] != nil {
		a.open[at].partition, a.open[at].keyed = partition, r.Key != nil
	}
	return ok
}

// turn adds a record that the open batch has no room for.
func (a *Appender) turn(at int, r *Record) bool {
	p := a.p
	if b := a.open[at]; b != nil {
		body, whole := b.recordSize(r)
		need := len(b.buf) + whole
		if need <= a.max {
			if size := bufferSize(max(need, min(2*cap(b.buf), a.max))); p.queue.take(int64(size)) {
				old := b.buf
				b.buf = append(p.buffers.get(size), old...)
				p.queue.free(int64(cap(old)), true)
				p.buffers.put(old)
				b.add(r, body)
				return true
			}
		}
		a.seal(at)
	}
	b := &batch{}
	body, whole := b.recordSize(r)
	need := batchHeader + whole
	if need > p.settings.requestBytes {
		p.cfg.Refused(uint64(r.Flows))
		p.metrics.errors.Add(1)
		return true
	}
	// With little room left, batches are smaller.
	size := bufferSize(need)
	for want := bufferSize(min(max(a.size, need), max(need, a.max))); ; want /= 2 {
		if want <= size {
			if !a.wait(int64(size)) {
				return false
			}
			break
		}
		if p.queue.take(int64(want)) {
			size = want
			break
		}
	}
	if a.open[at] != nil { // not while a.mu was free: one goroutine appends
		panic("kafka: an Appender is used by several goroutines")
	}
	p.recovered()
	b.begin(p.buffers.get(size))
	b.fresh = true
	b.add(r, body)
	a.open[at] = b
	a.n++
	if a.n == 1 {
		select {
		case p.opened <- struct{}{}:
		default:
		}
	}
	return true
}

// wait takes n bytes of the queue. Meanwhile others may seal what is open.
func (a *Appender) wait(n int64) bool {
	p := a.p
	if p.queue.take(n) {
		return true
	}
	// Until there is room these records have to make do without their note: whoever
	// counts finds them missing, if the process is killed now.
	a.handOn()
	a.waits = true
	a.mu.Unlock()
	ok := p.queue.wait(p.ctx, n)
	a.mu.Lock()
	a.waits = false
	if !ok && p.ctx.Err() == nil {
		p.queue.dropping.Store(true)
		if p.fullSpell.begins() {
			p.log.Warn("queue is full: flow records are dropped and counted", "to", p.endpoint.String(), "queue_bytes", p.queue.limit)
		}
	}
	return ok
}

// recovered ends dropping: there is room.
func (p *Producer) recovered() {
	if p.queue.dropping.Load() {
		p.queue.dropping.Store(false)
	}
	if p.fullSpell.ends() {
		p.log.Info("queue has room again", "to", p.endpoint.String())
	}
}

// Note ends a run of records, which is kept with its note or not at all: the batches
// that they are in and the notes of all that is in these are stored in one piece, when
// one of the batches is full or has waited for long enough. One whose records were not
// all taken has its note dropped.
func (a *Appender) Note(note []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noting = true
	if !a.lost {
		a.notes = append(a.notes, note...)
	}
	a.inside, a.lost = false, false
	full := a.due || len(a.sealed) > 0
	for _, b := range a.open {
		// The next run should find room.
		full = full || b != nil && len(b.buf) > a.max-a.max/16
	}
	// What was made before partitions were known has to be spread before what comes now.
	known := a.p.known.Load()
	full = full || a.known == 0 && known > 0 && a.n > 0
	if full || a.n == 0 && len(a.notes) > notesAlone {
		a.sealTogether()
	}
	a.known = known
}

// notesAlone is how many octets of notes wait for records, if none come.
const notesAlone = 4 << 10

// sealTogether hands on all that is open, with the notes.
func (a *Appender) sealTogether() {
	a.due = false
	for at, b := range a.open {
		if b != nil {
			a.seal(at)
		}
	}
	a.handOn()
}

// handOn hands sealed batches on that were kept back to be stored together.
func (a *Appender) handOn() {
	var notes []byte
	if a.n == 0 { // otherwise they are of other batches, too
		notes, a.notes = a.notes, a.notes[:0]
	}
	if len(a.sealed) > 0 || len(notes) > 0 {
		a.p.enqueue(notes, a.sealed...)
	}
	clear(a.sealed)
	a.sealed = a.sealed[:0]
}

// seal closes an open batch and hands it on, or keeps it back until the note.
func (a *Appender) seal(at int) {
	b := a.open[at]
	a.open[at] = nil
	a.n--
	a.size = len(b.buf)
	if b.keyed && b.partition < 0 {
		b.sealed = time.Now()
		b.finish(0) // it is split first
	} else {
		a.p.compress(b)
	}
	if a.noting {
		a.sealed = append(a.sealed, b)
	} else {
		a.p.enqueue(nil, b)
	}
}

// sealOpened hands batches on that were opened before a time; zero: all. It returns when
// the oldest of the others was opened.
func (a *Appender) sealOpened(before time.Time) (oldest time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n == 0 {
		if before.IsZero() {
			a.handOn()
		}
		return oldest
	}
	due := false
	for at, b := range a.open {
		switch {
		case b == nil:
		case before.IsZero() || !b.opened.After(before):
			if due = true; !a.noting {
				a.seal(at)
				continue
			}
			fallthrough
		case oldest.IsZero() || b.opened.Before(oldest):
			oldest = b.opened
		}
	}
	switch {
	case !a.noting || !due:
	case a.inside && !a.waits && !before.IsZero():
		a.due = true // it is the note that comes next
	default:
		a.sealTogether()
		oldest = time.Time{}
	}
	return oldest
}
