package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"slices"
	"time"
)

// producerWindow is how many batches of a producer are remembered; a client may have five requests under way.
const producerWindow = 5

const noSequence = int32(-1)

// sentBatch is one remembered batch. Its first sequence and offset follow from the last ones.
type sentBatch struct {
	lastSequence int32
	delta        int32 // last offset less first offset
	lastOffset   int64
	timestamp    int64 // the batch's largest
}

func (b sentBatch) firstOffset() int64 { return b.lastOffset - int64(b.delta) }

func (b sentBatch) firstSequence() int32 {
	if b.lastSequence >= b.delta {
		return b.lastSequence - b.delta
	}
	return math.MaxInt32 - (b.delta - b.lastSequence) + 1
}

// producer is what a log knows of one producer id.
type producer struct {
	epoch    int16
	n        int8
	batches  [producerWindow]sentBatch // the first n, oldest first
	lastSeen int64                     // ms: when it last wrote, or when the log was opened
	anyFirst bool                      // known by a marker alone: its next batch may have any sequence

	txnFirst         int64 // first offset of its open transaction, -1 without one
	coordinatorEpoch int32 // of its last marker, -1 without one
}

func (p *producer) lastSequence() int32 {
	if p.n == 0 {
		return noSequence
	}
	return p.batches[p.n-1].lastSequence
}

func (p *producer) push(b sentBatch) {
	if p.n == producerWindow {
		copy(p.batches[:], p.batches[1:])
		p.n--
	}
	p.batches[p.n] = b
	p.n++
	p.anyFirst = false
}

// producers is the state of all producer ids of a log, guarded by the log's mutex.
type producers struct {
	m     map[int64]*producer
	limit int
	idMax int64   // largest id ever seen here
	open  []int64 // first offsets of open transactions, growing
}

func newProducers(limit int) producers {
	return producers{m: make(map[int64]*producer), limit: limit, idMax: -1}
}

// check judges a batch before it is written: a duplicate, in order, or neither.
func (ps *producers) check(h header) (duplicate bool, was sentBatch, err error) {
	p := ps.m[h.producerID()]
	if p == nil {
		// Nothing is known of it, perhaps because retention took its records: any sequence begins it.
		return false, sentBatch{}, nil
	}
	if h.producerEpoch() < p.epoch {
		return false, sentBatch{}, fmt.Errorf("%w: %d, producer %d is at %d", ErrInvalidProducerEpoch, h.producerEpoch(), h.producerID(), p.epoch)
	}
	if h.control() {
		if m, ok := readMarker(h, h[batchHeaderSize:]); ok && m.coordinatorEpoch < p.coordinatorEpoch {
			return false, sentBatch{}, fmt.Errorf("%w: epoch %d, producer %d had a marker of %d", ErrCoordinatorFenced, m.coordinatorEpoch, h.producerID(), p.coordinatorEpoch)
		}
		return false, sentBatch{}, nil
	}
	if h.unsequenced() {
		return false, sentBatch{}, nil
	}
	first, last := h.baseSequence(), addSequence(h.baseSequence(), h.lastDelta())
	if h.producerEpoch() > p.epoch {
		if first != 0 {
			return false, sentBatch{}, fmt.Errorf("%w: producer %d begins epoch %d with %d", ErrOutOfOrderSequence, h.producerID(), h.producerEpoch(), first)
		}
		return false, sentBatch{}, p.checkTxn(h)
	}
	for _, b := range p.batches[:p.n] {
		if b.lastSequence == last && b.firstSequence() == first {
			return true, b, nil
		}
	}
	want := int32(0)
	if p.n > 0 {
		want = addSequence(p.lastSequence(), 1)
	}
	if first != want && !p.anyFirst {
		return false, sentBatch{}, fmt.Errorf("%w: producer %d sent %d, expected %d", ErrOutOfOrderSequence, h.producerID(), first, want)
	}
	return false, sentBatch{}, p.checkTxn(h)
}

// checkTxn refuses what an open transaction does not allow.
func (p *producer) checkTxn(h header) error {
	if p.txnFirst >= 0 && !h.transactional() {
		return fmt.Errorf("%w: producer %d has a transaction open since %d", ErrInvalidTxnState, h.producerID(), p.txnFirst)
	}
	return nil
}

// ends says which transaction a marker would end at an offset, and how; ok is false when none is open.
func (ps *producers) ends(h header, body []byte, offset int64) (txn endedTxn, ok bool) {
	if !h.control() {
		return endedTxn{}, false
	}
	m, ok := readMarker(h, body)
	p := ps.m[h.producerID()]
	if !ok || p == nil || p.txnFirst < 0 {
		return endedTxn{}, false
	}
	txn = endedTxn{abortedTxn{h.producerID(), p.txnFirst, offset, offset + 1}, !m.commit}
	for _, first := range ps.open {
		if first != p.txnFirst {
			txn.stable = min(txn.stable, first)
			break
		}
	}
	return txn, true
}

// note remembers a batch that is in the log; body is what follows the header, needed of control batches only.
func (ps *producers) note(h header, body []byte, now time.Time) {
	id := h.producerID()
	p := ps.m[id]
	if p == nil {
		p = ps.add(id)
		// A marker says nothing of the sequences before it, which retention may have taken.
		p.epoch, p.anyFirst = h.producerEpoch(), h.control()
	}
	if h.producerEpoch() != p.epoch {
		p.epoch, p.n, p.anyFirst = h.producerEpoch(), 0, false
	}
	p.lastSeen = now.UnixMilli()
	if h.control() {
		if m, ok := readMarker(h, body); ok {
			p.coordinatorEpoch = m.coordinatorEpoch
			ps.setOpen(p, -1)
		}
		return
	}
	if h.transactional() && p.txnFirst < 0 {
		ps.setOpen(p, h.baseOffset())
	}
	if h.unsequenced() {
		return
	}
	p.push(sentBatch{
		lastSequence: addSequence(h.baseSequence(), h.lastDelta()),
		delta:        h.lastDelta(),
		lastOffset:   h.lastOffset(),
		timestamp:    h.maxTimestamp(),
	})
}

func (ps *producers) add(id int64) *producer {
	if len(ps.m) >= ps.limit {
		ps.forgetOldest()
	}
	p := &producer{txnFirst: -1, coordinatorEpoch: -1}
	ps.m[id] = p
	ps.idMax = max(ps.idMax, id)
	return p
}

// setOpen begins or, with -1, ends a producer's transaction.
func (ps *producers) setOpen(p *producer, first int64) {
	if i, found := slices.BinarySearch(ps.open, p.txnFirst); found {
		ps.open = slices.Delete(ps.open, i, i+1)
	}
	if p.txnFirst = first; first >= 0 {
		i, _ := slices.BinarySearch(ps.open, first)
		ps.open = slices.Insert(ps.open, i, first)
	}
}

// firstOpen is the first offset of the oldest open transaction, math.MaxInt64 without one.
func (ps *producers) firstOpen() int64 {
	if len(ps.open) == 0 {
		return math.MaxInt64
	}
	return ps.open[0]
}

// forgetOldest makes room by dropping the sixteenth part that has been silent for longest. Producers with an open
// transaction stay: what is known of them is what ends it.
func (ps *producers) forgetOldest() {
	seen := make([]int64, 0, len(ps.m))
	for _, p := range ps.m {
		if p.txnFirst < 0 {
			seen = append(seen, p.lastSeen)
		}
	}
	if len(seen) == 0 {
		return
	}
	slices.Sort(seen)
	drop := len(seen)/16 + 1
	limit := seen[drop-1]
	for id, p := range ps.m {
		if p.lastSeen <= limit && p.txnFirst < 0 && drop > 0 {
			delete(ps.m, id)
			drop--
		}
	}
}

// expire forgets producers that were last heard of before a time in milliseconds and have no transaction open.
func (ps *producers) expire(before int64) {
	for id, p := range ps.m {
		if p.lastSeen < before && p.txnFirst < 0 {
			delete(ps.m, id)
		}
	}
}

// ProducerInfo describes one producer id of a log.
type ProducerInfo struct {
	ProducerID    int64
	Epoch         int16
	LastSequence  int32 // -1 when it has none in this epoch
	LastOffset    int64 // -1 likewise
	LastTimestamp int64 // ms since 1970, of its last batch; -1 likewise

	TxnStartOffset   int64 // first offset of its open transaction, -1 without one
	CoordinatorEpoch int32 // of the coordinator that wrote its last transaction marker, -1 without one
}

// Producers describes the producer ids the log remembers, in order.
func (l *Log) Producers() []ProducerInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]ProducerInfo, 0, len(l.producers.m))
	for id, p := range l.producers.m {
		info := ProducerInfo{
			ProducerID: id, Epoch: p.epoch, LastSequence: p.lastSequence(), LastOffset: -1, LastTimestamp: -1,
			TxnStartOffset: p.txnFirst, CoordinatorEpoch: p.coordinatorEpoch,
		}
		if p.n > 0 {
			info.LastOffset, info.LastTimestamp = p.batches[p.n-1].lastOffset, p.batches[p.n-1].timestamp
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b ProducerInfo) int {
		if a.ProducerID < b.ProducerID {
			return -1
		}
		return 1
	})
	return out
}

// The snapshot is Kafka's (ProducerStateManager, version 1), which holds the last batch of each producer. Ours goes on
// after it with the older batches of the window; Kafka's reader stops before them, and the CRC covers both.
const (
	snapshotVersion    = 1
	snapshotHeaderSize = 2 + 4 + 4
	snapshotEntrySize  = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
	windowTag          = 0x54524231 // "TRB1"
	windowEntrySize    = 8 + 8 + 1
	windowBatchSize    = 4 + 4 + 8 + 8
	windowAnyFirst     = 0x80 // beside the number of older batches
)

var errSnapshot = errors.New("not a producer snapshot")

func (ps *producers) encode() []byte {
	be := binary.BigEndian
	ids := make([]int64, 0, len(ps.m))
	for id := range ps.m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	b := make([]byte, 0, snapshotHeaderSize+len(ids)*(snapshotEntrySize+windowEntrySize+(producerWindow-1)*windowBatchSize)+8)
	b = be.AppendUint16(b, snapshotVersion)
	b = be.AppendUint32(b, 0) // the CRC, below
	b = be.AppendUint32(b, uint32(len(ids)))
	for _, id := range ids {
		p := ps.m[id]
		last := sentBatch{lastSequence: noSequence, lastOffset: -1, timestamp: p.lastSeen}
		if p.n > 0 {
			last = p.batches[p.n-1]
		}
		b = be.AppendUint64(b, uint64(id))
		b = be.AppendUint16(b, uint16(p.epoch))
		b = be.AppendUint32(b, uint32(last.lastSequence))
		b = be.AppendUint64(b, uint64(last.lastOffset))
		b = be.AppendUint32(b, uint32(last.delta))
		b = be.AppendUint64(b, uint64(last.timestamp))
		b = be.AppendUint32(b, uint32(p.coordinatorEpoch))
		b = be.AppendUint64(b, uint64(p.txnFirst))
	}
	b = be.AppendUint32(b, windowTag)
	b = be.AppendUint32(b, uint32(len(ids)))
	for _, id := range ids {
		p := ps.m[id]
		older := max(int(p.n)-1, 0)
		b = be.AppendUint64(b, uint64(id))
		b = be.AppendUint64(b, uint64(p.lastSeen))
		if p.anyFirst {
			b = append(b, windowAnyFirst)
			continue
		}
		b = append(b, byte(older))
		for _, s := range p.batches[:older] {
			b = be.AppendUint32(b, uint32(s.lastSequence))
			b = be.AppendUint32(b, uint32(s.delta))
			b = be.AppendUint64(b, uint64(s.lastOffset))
			b = be.AppendUint64(b, uint64(s.timestamp))
		}
	}
	be.PutUint32(b[2:], crc32.Checksum(b[6:], castagnoli))
	return b
}

// snapshotEntries checks a snapshot, whoever wrote it, and returns what begins with its entries, and their number.
func snapshotEntries(b []byte) (entries []byte, n int64, err error) {
	be := binary.BigEndian
	if len(b) < snapshotHeaderSize || be.Uint16(b) != snapshotVersion || be.Uint32(b[2:]) != crc32.Checksum(b[6:], castagnoli) {
		return nil, 0, errSnapshot
	}
	n = int64(int32(be.Uint32(b[6:])))
	b = b[snapshotHeaderSize:]
	if n < 0 || n*snapshotEntrySize > int64(len(b)) {
		return nil, 0, errSnapshot
	}
	return b, n, nil
}

// decodeProducer reads one entry.
func decodeProducer(b []byte) ProducerEntry {
	be := binary.BigEndian
	return ProducerEntry{
		ProducerID:       int64(be.Uint64(b)),
		Epoch:            int16(be.Uint16(b[8:])),
		LastSequence:     int32(be.Uint32(b[10:])),
		LastOffset:       int64(be.Uint64(b[14:])),
		OffsetDelta:      int32(be.Uint32(b[22:])),
		Timestamp:        int64(be.Uint64(b[26:])),
		CoordinatorEpoch: int32(be.Uint32(b[34:])),
		TxnFirst:         int64(be.Uint64(b[38:])),
	}
}

// decode replaces the state by a snapshot's.
func (ps *producers) decode(b []byte, now time.Time) error {
	be := binary.BigEndian
	b, n, err := snapshotEntries(b)
	if err != nil {
		return err
	}
	*ps = newProducers(ps.limit)
	for range n {
		e := decodeProducer(b)
		p := ps.add(e.ProducerID)
		p.epoch = e.Epoch
		p.lastSeen = now.UnixMilli()
		if e.LastSequence >= 0 && e.OffsetDelta >= 0 && e.LastOffset >= int64(e.OffsetDelta) {
			p.push(sentBatch{lastSequence: e.LastSequence, lastOffset: e.LastOffset, delta: e.OffsetDelta, timestamp: e.Timestamp})
		}
		p.coordinatorEpoch = e.CoordinatorEpoch
		ps.setOpen(p, max(e.TxnFirst, -1))
		b = b[snapshotEntrySize:]
	}
	if len(b) < 8 || be.Uint32(b) != windowTag {
		return nil // Kafka's own
	}
	n = int64(int32(be.Uint32(b[4:])))
	b = b[8:]
	for range n {
		if len(b) < windowEntrySize {
			return errSnapshot
		}
		older := int(b[16] &^ windowAnyFirst)
		if older >= producerWindow || len(b) < windowEntrySize+older*windowBatchSize {
			return errSnapshot
		}
		p := ps.m[int64(be.Uint64(b))]
		if p != nil {
			p.lastSeen = int64(be.Uint64(b[8:]))
			p.anyFirst = p.n == 0 && b[16]&windowAnyFirst != 0
		}
		b = b[windowEntrySize:]
		if p != nil && p.n == 1 {
			last := p.batches[0]
			p.n = 0
			for i := range older {
				s := b[i*windowBatchSize:]
				p.push(sentBatch{
					lastSequence: int32(be.Uint32(s)),
					delta:        int32(be.Uint32(s[4:])),
					lastOffset:   int64(be.Uint64(s[8:])),
					timestamp:    int64(be.Uint64(s[16:])),
				})
			}
			p.push(last)
		}
		b = b[older*windowBatchSize:]
	}
	return nil
}

// writeSnapshotLocked writes the state of all producers at an offset; its CRC says whether it is whole, so it is
// synced later, by the flusher.
func (l *Log) writeSnapshotLocked(offset int64) error {
	l.producers.expire(time.Now().Add(-l.dir.cfg.ProducerExpiry).UnixMilli())
	f, err := l.dir.fs.OpenFile(l.file(segmentName(offset, suffixSnapshot)), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(l.producers.encode(), 0)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// syncSnapshot makes a snapshot durable. One that cannot be opened is left as it is: recovery does without.
func (l *Log) syncSnapshot(offset int64) error {
	f, err := l.dir.fs.OpenFile(l.file(segmentName(offset, suffixSnapshot)), os.O_RDWR)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) { // else its segment is gone already
			l.dir.cfg.Logger.Warn("producer snapshot not synced", "topic", l.topic, "partition", l.partition, "offset", offset, "err", err)
		}
		return nil
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// loadSnapshot takes the newest whole snapshot of those given, and says how far it reaches; 0 when there is none.
func (l *Log) loadSnapshot(offsets []int64, now time.Time) int64 {
	for _, offset := range slices.Backward(offsets) {
		b, err := readAll(l.dir.fs, l.file(segmentName(offset, suffixSnapshot)))
		if err == nil {
			err = l.producers.decode(b, now)
		}
		if err == nil {
			return offset
		}
		l.dir.cfg.Logger.Warn("producer snapshot not used", "topic", l.topic, "partition", l.partition, "offset", offset, "err", err)
		l.producers = newProducers(l.producers.limit)
	}
	return 0
}
