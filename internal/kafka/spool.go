package kafka

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Spool keeps sealed batches on disk until Kafka has them. It has lanes, each a log
// whose offsets count records: lane 0 has batches for any partition, lane n+1 those
// whose keys belong to partition n. The producer's mutex guards all calls.
type Spool interface {
	// Append stores a batch and returns the offset of its first record. It may change
	// the base offset and the leader epoch in b. [ErrSpoolFull] is no failure.
	Append(lane int32, b []byte) (offset int64, err error)
	// Note says where the batches go that are appended next, in one piece with notes
	// about them: a process that goes on finds either all of that or nothing.
	// [ErrSpoolFull] means that there is no room for them. The caller calls done, with
	// whether all batches were stored.
	Note(places []Place, notes []byte) (done func(ok bool), err error)
	// Torn returns what was stored of batches that were to be stored in one piece, by
	// a process that ended before it had done so.
	Torn() []Place
	// Read returns the batch that has the record at offset, in memory that alloc
	// returned for its size; if that is nil, so is the batch.
	Read(lane int32, offset int64, alloc func(size int) []byte) ([]byte, error)
	// Lanes returns how many lanes there are; Range where a lane begins and ends.
	Lanes() int32
	Range(lane int32) (start, end int64)
	// Scan calls f for every batch of a lane that has records at or after from.
	Scan(lane int32, from int64, f func(offset int64, records int32, flows uint32, size int)) error
	// Took says how many bytes of batches are stored already and still needed; Free
	// that so many are needed no more; Trim that a lane is not needed before offset.
	Took(size int)
	Free(size int)
	Trim(lane int32, offset int64)
	// Load returns what was saved last, nil if nothing was. Save returns once a killed
	// process could load it.
	Load() ([]byte, error)
	Save(state []byte) error
	// Intact reports whether the disk has everything that was stored and saved, as
	// it has unless the machine itself came to a stop.
	Intact() bool
}

// Place is where records are in a lane of a spool: from an offset to another one. Size
// is that of their batches.
type Place struct {
	Lane     int32
	From, To int64
	Size     int
}

// ErrSpoolFull means that a batch has no room in the spool.
var ErrSpoolFull = errors.New("spool is full")

// spoolState is what is saved: which batches have been decided on, and which are under
// way, by which numbers. It is written before a request that it describes is sent.
type spoolState struct {
	Topic      string       `json:"topic_id"`
	Partitions int          `json:"partitions"`
	ID         int64        `json:"producer_id"`
	Epoch      int16        `json:"producer_epoch"`
	Lanes      []laneState  `json:"lanes"`
	Numbers    []boundState `json:"numbers"`
	// Moving is the batch of lane 0 that is being spread over the lanes of its keys,
	// and where these ended before.
	Moving *moveState `json:"moving,omitempty"`
}

type laneState struct {
	Done  int64      `json:"done"`            // records before it are decided
	Above [][2]int64 `json:"above,omitempty"` // and these, from and to
}

type moveState struct {
	Offset int64   `json:"offset"`
	Ends   []int64 `json:"ends"`
}

// boundState is what a partition goes on with: the numbers of the next batch, and of
// those that have theirs.
type boundState struct {
	Partition int32 `json:"partition"`
	ID        int64 `json:"producer_id"`
	Epoch     int16 `json:"producer_epoch"`
	Sequence  int32 `json:"sequence"`
	// Batches have numbers: the one that is under way, and what it was split into. One
	// for any partition that this one has been given stays with it, with numbers
	// or without: others may have batches of later records already.
	Batches []batchState `json:"batches,omitempty"`
}

type batchState struct {
	Lane     int32 `json:"lane"`
	Offset   int64 `json:"offset"`
	Records  int32 `json:"records"`
	ID       int64 `json:"producer_id"`
	Epoch    int16 `json:"producer_epoch"`
	Sequence int32 `json:"sequence"`
	Sent     int64 `json:"sent,omitempty"` // the last time, ms since 1970
	Part     bool  `json:"part,omitempty"`
}

// lane is a log of the spool.
type lane struct {
	done   int64      // records before it are decided
	above  [][2]int64 // and these, in order
	loaded int64      // records before it are in memory, or decided
	// trimmed: the spool has been told that records before it are not needed.
	trimmed int64
	// skip are ranges that are in memory for another reason: they were under way
	// when the process ended.
	skip [][2]int64
}

// decide notes that the fate of records is known.
func (l *lane) decide(from, to int64) {
	i, _ := slices.BinarySearchFunc(l.above, from, func(r [2]int64, from int64) int {
		switch {
		case r[0] < from:
			return -1
		case r[0] > from:
			return 1
		}
		return 0
	})
	l.above = slices.Insert(l.above, i, [2]int64{from, to})
	for len(l.above) > 0 && l.above[0][0] <= l.done {
		l.done = max(l.done, l.above[0][1])
		l.above = slices.Delete(l.above, 0, 1)
	}
	for i := 1; i < len(l.above); {
		if l.above[i-1][1] == l.above[i][0] {
			l.above[i-1][1] = l.above[i][1]
			l.above = slices.Delete(l.above, i, i+1)
		} else {
			i++
		}
	}
}

// lane returns a lane, which is new if nothing was stored in it.
func (p *Producer) lane(n int32) *lane {
	for int(n) >= len(p.lanes) {
		p.lanes = append(p.lanes, &lane{})
	}
	return p.lanes[n]
}

// store puts a batch into the spool. false: it has no room there, and was dropped.
func (p *Producer) store(b *batch) bool {
	if err := p.storeIn(b); err != nil {
		p.spoolFull.Store(true)
		if p.spoolSpell.begins() {
			p.log.Warn("flow records cannot be spooled: they are dropped and counted", "to", p.endpoint.String(), "err", err)
		}
		p.cfg.Dropped(b.flows)
		p.drop(b)
		return false
	}
	p.spoolFull.Store(false)
	if p.spoolSpell.ends() {
		p.log.Info("flow records are spooled again", "to", p.endpoint.String())
	}
	p.spooled.Add(int64(b.flows))
	return true
}

func (p *Producer) storeIn(b *batch) error {
	b.lane = b.partition + 1
	p.lane(b.lane)
	// On disk the place of the sequence number, which nobody knows yet, has the flows.
	b.number(nobody, int32(min(b.flows, math.MaxInt32)))
	b.numbered = false
	offset, err := p.spool.Append(b.lane, b.buf)
	if err != nil {
		return err
	}
	b.offset, b.stored = offset, len(b.buf)
	return nil
}

// keep decides whether a stored batch stays in memory: it does while Kafka keeps up.
func (p *Producer) keep(b *batch) bool {
	l := p.lane(b.lane)
	if l.loaded != b.offset || p.queue.holds()+int64(cap(b.buf)) > p.queue.reserve/2 {
		return false
	}
	l.loaded = b.offset + int64(b.records)
	return true
}

// bring loads what partitions and waiting batches have room for.
func (p *Producer) bring() {
	n := p.known.Load()
	if n == 0 || p.ctx.Err() != nil {
		return
	}
	if p.cfg.Keyed {
		if err := p.spreadStored(); err != nil {
			p.tell(fmt.Errorf("spool: %w", err))
			return
		}
	} else {
		p.load(0, &p.waiting, loadAhead)
	}
	for i := int32(1); i < int32(len(p.lanes)); i++ {
		pt := p.partitions[(i-1)%n]
		if before := len(pt.queue); before < 2 {
			if p.load(i, &pt.queue, 2); len(pt.queue) > before {
				p.wake(pt)
			}
		}
	}
}

// settle notes the fate of a stored batch.
func (p *Producer) settle(b *batch) {
	if p.spool == nil {
		return
	}
	l := p.lane(b.lane)
	l.decide(b.offset, b.offset+int64(b.records))
	p.spooled.Add(-int64(b.flows))
	p.spool.Free(b.stored)
	p.decided()
}

// decided notes that there is something to save.
func (p *Producer) decided() {
	if p.unsaved.IsZero() {
		p.unsaved = time.Now()
	}
}

// loadAhead is how many batches for any partition are brought into memory at once.
const loadAhead = 4

// load brings batches of a lane into memory, as far as there is room for them.
func (p *Producer) load(n int32, to *[]*batch, most int) {
	_, end := p.spool.Range(n)
	l := p.lane(n)
	for len(*to) < most && l.loaded < end {
		if i := slices.IndexFunc(l.skip, func(r [2]int64) bool { return r[0] <= l.loaded && l.loaded < r[1] }); i >= 0 {
			l.loaded = l.skip[i][1]
			l.skip = slices.Delete(l.skip, i, i+1)
			continue
		}
		// One has to be in memory, whatever there is of that.
		b, err := p.fetch(n, l.loaded, p.pending == 0)
		if errors.Is(err, errNoRoom) {
			return
		}
		if err != nil {
			p.tell(fmt.Errorf("read the spool: %w", err))
			return
		}
		// What lies between was decided, or is under way.
		to0 := b.offset + int64(b.records)
		for _, r := range slices.Concat(l.skip, l.above) {
			if r[0] > l.loaded {
				to0 = min(to0, r[0])
			}
		}
		if b, err = p.cut(b, l.loaded, to0); err != nil {
			p.tell(fmt.Errorf("read the spool: %w", err))
			return
		}
		l.loaded = to0
		p.pend(1)
		*to = append(*to, b)
	}
}

// fetch reads the batch that has the record at an offset of a lane, if there is room for
// it in memory, or it has to be: errNoRoom.
func (p *Producer) fetch(n int32, offset int64, force bool) (*batch, error) {
	data, err := p.spool.Read(n, offset, func(size int) []byte {
		if n := int64(bufferSize(size)); !force && p.queue.holds()+n > p.queue.reserve {
			return nil
		}
		p.queue.force(int64(bufferSize(size)))
		return p.buffers.get(size)
	})
	switch {
	case err != nil:
		return nil, err
	case data == nil:
		return nil, errNoRoom
	}
	if len(data) < batchHeader {
		return nil, fmt.Errorf("%w: batch of %d octets", errBadRecords, len(data))
	}
	be := binary.BigEndian
	now := time.Now()
	b := &batch{
		buf: data, records: int32(be.Uint32(data[posCount:])), flows: uint64(be.Uint32(data[posBaseSequence:])),
		baseTime: int64(be.Uint64(data[posBaseTimestamp:])), maxTime: int64(be.Uint64(data[posMaxTimestamp:])),
		opened: now, sealed: now, plain: len(data), partition: n - 1, keyed: n > 0,
		lane: n, offset: int64(be.Uint64(data)), stored: len(data),
	}
	return b, nil
}

// errNoRoom means that the queue has no room for a batch from the spool now. When
// others give theirs back it is tried again.
var errNoRoom = errors.New("no room in memory")

// cut takes the records from and to an offset out of a batch that was just read, if these
// are not all.
func (p *Producer) cut(b *batch, from, to int64) (*batch, error) {
	if b.offset >= from && b.offset+int64(b.records) <= to {
		return b, nil
	}
	body, err := p.plainBody(b)
	if err != nil {
		return nil, err
	}
	c := &batch{}
	c.begin(make([]byte, batchHeader, batchHeader+len(body)))
	at := b.offset
	if err := eachRecord(body, b.baseTime, func(ms int64, key, value []byte) {
		if at >= from && at < to {
			r := Record{ms, key, value, 1}
			size, _ := c.recordSize(&r)
			c.add(&r, size)
		}
		at++
	}); err != nil {
		return nil, err
	}
	part := func(offset int64) uint64 { return b.flows * uint64(offset-b.offset) / uint64(b.records) }
	from, to = max(from, b.offset), min(to, b.offset+int64(b.records))
	c.flows, c.partition, c.keyed = part(to)-part(from), b.partition, b.keyed
	c.lane, c.offset = b.lane, from
	if to == b.offset+int64(b.records) {
		c.stored = b.stored
	}
	p.queue.force(int64(cap(c.buf)))
	p.compress(c)
	p.drop(b)
	return c, nil
}

// save writes down what is under way, before it is sent.
func (p *Producer) save() error {
	s := spoolState{
		Topic: fmt.Sprintf("%x", p.topicID), Partitions: int(p.known.Load()), ID: p.current.id, Epoch: p.current.epoch,
		Lanes: make([]laneState, len(p.lanes)), Numbers: make([]boundState, 0, len(p.partitions)), Moving: p.moving,
	}
	for i, l := range p.lanes {
		s.Lanes[i] = laneState{l.done, l.above}
	}
	for _, pt := range p.partitions {
		st := boundState{Partition: pt.number, ID: pt.by.id, Epoch: pt.by.epoch, Sequence: pt.sequence}
		for _, b := range pt.queue {
			if by := b.by; b.numbered || b.lane == 0 {
				if !b.numbered {
					by = nobody
				}
				st.Batches = append(st.Batches, batchState{b.lane, b.offset, b.records, by.id, by.epoch, b.sequence, max(0, b.sentAt.UnixMilli()), b.part})
			}
		}
		s.Numbers = append(s.Numbers, st)
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := p.spool.Save(data); err != nil {
		return fmt.Errorf("save the state of the spool: %w", err)
	}
	p.unsaved = time.Time{}
	for i, l := range p.lanes {
		if l.done > l.trimmed { // whoever goes on from here needs it no more
			p.spool.Trim(int32(i), l.done)
			l.trimmed = l.done
		}
	}
	return nil
}

// saveInTime saves what has been decided once it is time, and returns how long that is until
// then.
func (p *Producer) saveInTime(now time.Time) time.Duration {
	if p.unsaved.IsZero() {
		return time.Hour
	}
	if left := saveWithin - now.Sub(p.unsaved); left > 0 {
		return left
	}
	if err := p.save(); err != nil {
		p.tell(err)
		p.unsaved = now
		return saveWithin
	}
	return time.Hour
}

// recover goes on where another process ended.
func (p *Producer) recover() error {
	data, err := p.spool.Load()
	if err != nil {
		return err
	}
	s := spoolState{ID: nobody.id, Epoch: nobody.epoch}
	if data != nil {
		if err := json.Unmarshal(data, &s); err != nil {
			return fmt.Errorf("state of the spool: %w", err)
		}
	}
	_, _ = fmt.Sscanf(s.Topic, "%x", &p.topicID)
	intact := p.spool.Intact()
	for n := range max(p.spool.Lanes(), int32(len(s.Lanes))) {
		l := p.lane(n)
		start, end := p.spool.Range(n)
		if int(n) < len(s.Lanes) {
			l.done, l.above = s.Lanes[n].Done, s.Lanes[n].Above
		}
		l.done = max(l.done, start)
		if l.done > end || len(l.above) > 0 && l.above[len(l.above)-1][1] > end {
			// The disk has lost what Kafka has: these offsets are given again.
			intact = false
			l.done = min(l.done, end)
			l.above = slices.DeleteFunc(l.above, func(r [2]int64) bool { return r[1] > end })
		}
		l.loaded = l.done
		l.skip = slices.Clone(l.above)
	}
	torn := p.spool.Torn()
	for _, pl := range torn { // none of it was sent
		l := p.lane(pl.Lane)
		l.decide(pl.From, pl.To)
		l.loaded, l.skip = l.done, slices.Clone(l.above)
	}
	if s.Moving != nil {
		p.moving = s.Moving
	}
	p.current = identity{s.ID, s.Epoch}
	for range s.Partitions {
		p.partitions = append(p.partitions, newPartition(int32(len(p.partitions))))
	}
	p.known.Store(int32(s.Partitions))
	for _, st := range s.Numbers {
		for int(st.Partition) >= len(p.partitions) {
			p.partitions = append(p.partitions, newPartition(int32(len(p.partitions))))
		}
		pt := p.partitions[st.Partition]
		pt.by, pt.sequence = identity{st.ID, st.Epoch}, st.Sequence
		if !intact {
			// What was sent last may not be what is here: it must not be taken for it.
			pt.abandon()
		}
		for _, bs := range st.Batches {
			from, to := bs.Offset, bs.Offset+int64(bs.Records)
			if _, end := p.spool.Range(bs.Lane); to > end {
				continue
			}
			b, err := p.fetch(bs.Lane, from, true)
			if err == nil {
				b, err = p.cut(b, from, to)
			}
			if err != nil {
				return fmt.Errorf("read the spool: %w", err)
			}
			if by := (identity{bs.ID, bs.Epoch}); by != nobody {
				b.number(by, bs.Sequence)
				b.doubt, b.part, b.sentAt = true, bs.Part, time.UnixMilli(bs.Sent)
				if bs.Sent == 0 {
					b.doubt = bs.Part // numbered, but never sent
					b.sentAt = time.Time{}
				}
			}
			p.pend(1)
			pt.queue = append(pt.queue, b)
			l := p.lane(bs.Lane)
			l.skip = append(l.skip, [2]int64{from, to})
		}
	}
	if !intact {
		p.current = nobody
	}
	for n, l := range p.lanes {
		err := p.spool.Scan(int32(n), l.done, func(offset int64, records int32, flows uint32, size int) {
			left := int64(records) - max(0, l.done-offset)
			for _, r := range l.above {
				left -= max(0, min(r[1], offset+int64(records))-max(r[0], offset))
			}
			if left > 0 {
				p.spooled.Add(int64(uint64(flows) * uint64(left) / uint64(records)))
				p.spool.Took(size)
			}
		})
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
	}
	p.found.Store(p.spooled.Load())
	// Before anything else is stored in the lanes: by their ends it is told what a process
	// that was killed has moved, and what is older comes first.
	if err := p.spreadStored(); err != nil {
		return fmt.Errorf("read the spool: %w", err)
	}
	if len(torn) > 0 { // the next process hears nothing of them
		return p.save()
	}
	return nil
}

// spreadStored spreads what was stored with keys before the number of partitions was known
// over the lanes of these. A process that is killed meanwhile goes on: lanes that have
// grown since the move began have their part.
func (p *Producer) spreadStored() error {
	n := int(p.known.Load())
	if n == 0 || !p.cfg.Keyed {
		return nil
	}
	from := p.lane(0)
	for {
		if _, end := p.spool.Range(0); from.done >= end {
			return nil
		}
		b, err := p.fetch(0, from.done, true) // what comes now must not get ahead
		if err != nil {
			return err
		}
		before := p.moving
		again := p.moving != nil && p.moving.Offset == b.offset
		if !again {
			p.moving = &moveState{Offset: b.offset}
			for i := range n {
				_, end := p.spool.Range(int32(i) + 1)
				p.moving.Ends = append(p.moving.Ends, end)
			}
		}
		if err := p.save(); err != nil {
			p.moving = before // until it is tried again these lanes may grow
			return err
		}
		to, err := p.byKey(b, len(p.moving.Ends))
		if err != nil {
			return err
		}
		p.spool.Free(b.stored)
		p.spooled.Add(-int64(b.flows))
		for at, t := range to {
			if t == nil {
				continue
			}
			if _, end := p.spool.Range(int32(at) + 1); end == p.moving.Ends[at] {
				if !p.store(t) {
					continue
				}
			} else {
				p.found.Add(-int64(t.flows)) // they were counted in both lanes
			}
			p.drop(t)
		}
		p.drop(b)
		from.decide(b.offset, b.offset+int64(b.records))
		from.loaded = from.done
		p.decided()
	}
}
