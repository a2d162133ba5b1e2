package commitlog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

// txnFilter tells compaction which batches belong to aborted transactions and which markers nobody needs any more. Batches
// are shown to it in order.
type txnFilter struct {
	pending   []abortedTxn // by first offset; not begun yet
	aborted   map[int64]*abortedState
	committed map[int64]bool // producers with data of a transaction that was not aborted
}

type abortedState struct {
	abortedTxn
	seen bool // data of it
}

func newTxnFilter() *txnFilter {
	return &txnFilter{aborted: make(map[int64]*abortedState), committed: make(map[int64]bool)}
}

func (f *txnFilter) add(list []abortedTxn) {
	f.pending = append(f.pending, list...)
	slices.SortStableFunc(f.pending, func(a, b abortedTxn) int { return compareOffsets(a.first, b.first) })
}

func compareOffsets(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (f *txnFilter) begin(upTo int64) {
	n := 0
	for ; n < len(f.pending) && f.pending[n].first <= upTo; n++ {
		a := f.pending[n]
		if f.aborted[a.producerID] == nil { // else it is known from the group before
			f.aborted[a.producerID] = &abortedState{abortedTxn: a}
		}
	}
	f.pending = f.pending[n:]
}

// data says whether a batch of records belongs to an aborted transaction.
func (f *txnFilter) data(h header) bool {
	f.begin(h.lastOffset())
	if !h.transactional() {
		return false
	}
	if a := f.aborted[h.producerID()]; a != nil {
		a.seen = true
		return true
	}
	f.committed[h.producerID()] = true
	return false
}

// marker says whether a control batch ends a transaction of which nothing is left; keep is the entry to keep in the index
// when it ends an aborted one of which something was there.
func (f *txnFilter) marker(h header, body []byte) (idle bool, keep *abortedTxn) {
	f.begin(h.lastOffset())
	m, ok := readMarker(h, body)
	if !ok {
		return false, nil
	}
	id := h.producerID()
	if m.commit {
		idle = !f.committed[id]
		delete(f.committed, id)
		return idle, nil
	}
	a := f.aborted[id]
	delete(f.aborted, id)
	if a == nil || !a.seen {
		return true, nil
	}
	return false, &a.abortedTxn
}

// lastBatch is what the newest batch of a producer is known by.
type lastBatch struct {
	epoch  int16
	offset int64 // its last; -1 when the newest is a marker
}

// batchFilter decides what of each batch stays.
type batchFilter struct {
	keys    *offsetMap
	txns    *txnFilter
	last    map[int64]lastBatch // of the producers that are known
	end     int64               // the offset that the range ends before: its last batch stays, if only as a header
	now     time.Time
	keepFor time.Duration // delete.retention.ms
	fold    folder

	horizon int64 // earliest delete horizon of a batch that stays; 0 without one
	opaque  int64 // batches that cannot be taken apart, and stay
	out     []byte
	records []byte
}

// filter returns what stays of a whole batch: the batch itself, another in its place, or nothing. The result is valid until
// the next call. entry is one for the index of aborted transactions.
func (f *batchFilter) filter(batch []byte) (kept []byte, entry *abortedTxn) {
	h := header(batch)
	discard, idle := false, false
	if h.control() {
		idle, entry = f.txns.marker(h, batch[batchHeaderSize:])
		discard = idle && h.hasHorizon() && h.baseTimestamp() <= f.now.UnixMilli()
	} else {
		discard = f.txns.data(h)
	}
	if h.baseOffset() > f.keys.latest {
		f.noteHorizon(h)
		return batch, entry
	}
	var whole, tombstones bool
	n := int32(0)
	f.records = f.records[:0]
	var raw []byte
	if !discard {
		var err error
		if raw, err = f.fold.unfold(batch); err == nil {
			n, tombstones, err = f.choose(h, raw)
		}
		if err != nil {
			f.opaque++
			return batch, entry
		}
		whole = n == h.count()
	}
	mark := (tombstones || idle && !discard) && !h.hasHorizon()
	switch {
	case n == 0 && !f.keepEmpty(h):
		return nil, entry
	case n == 0 && h.count() == 0:
		return batch, entry
	case n == 0:
		return f.empty(h), entry
	case whole && !mark:
		f.noteHorizon(h)
		return batch, entry
	}
	out, err := f.rebuild(h, n, mark)
	if err != nil {
		f.opaque++
		return batch, entry
	}
	f.noteHorizon(out)
	return out, entry
}

func (f *batchFilter) noteHorizon(h header) {
	if h.hasHorizon() && (f.horizon == 0 || h.baseTimestamp() < f.horizon) {
		f.horizon = h.baseTimestamp()
	}
}

// choose gathers the records that stay.
func (f *batchFilter) choose(h header, raw []byte) (n int32, tombstones bool, err error) {
	for i := int32(0); i < h.count(); i++ {
		r, size, err := parseRecord(raw)
		if err != nil {
			return 0, false, err
		}
		if h.control() || f.stays(h, &r) {
			n++
			tombstones = tombstones || r.value == nil && !h.control()
			f.records = append(f.records, raw[:size]...)
		}
		raw = raw[size:]
	}
	if len(raw) > 0 {
		return 0, false, errors.New("bytes after the last record")
	}
	return n, tombstones, nil
}

// stays says whether a record is the last of its key and, as a tombstone, young enough.
func (f *batchFilter) stays(h header, r *rawRecord) bool {
	offset := h.baseOffset() + r.delta
	if offset > f.keys.latest {
		return true
	}
	if r.key == nil || offset < f.keys.get(r.key) {
		return false
	}
	return r.value != nil || !h.hasHorizon() || f.now.UnixMilli() < h.baseTimestamp()
}

// keepEmpty says whether a batch stays without records: the last of its producer holds epoch and sequence to go on from, the
// last of the range shows consumers where it ends.
func (f *batchFilter) keepEmpty(h header) bool {
	if h.lastOffset()+1 == f.end {
		return true
	}
	last, known := f.last[h.producerID()]
	if !known {
		return false
	}
	if last.offset >= 0 {
		return h.lastOffset() == last.offset
	}
	return h.control() && h.producerEpoch() == last.epoch
}

// empty is a batch without its records, as Kafka leaves it.
func (f *batchFilter) empty(h header) []byte {
	f.out = append(f.out[:0], h[:batchHeaderSize]...)
	out := header(f.out)
	binary.BigEndian.PutUint16(out[posAttributes:], h.attributes()&(attrLogAppendTime|attrTransactional|attrControl))
	binary.BigEndian.PutUint64(out[posBaseTimestamp:], math.MaxUint64) // -1
	binary.BigEndian.PutUint32(out[posRecordCount:], 0)
	return finishBatch(f.out)
}

func finishBatch(b []byte) []byte {
	binary.BigEndian.PutUint32(b[posBatchLength:], uint32(len(b)-batchPrefixSize))
	binary.BigEndian.PutUint32(b[posCRC:], crc32.Checksum(b[posAttributes:], castagnoli))
	return b
}

// rebuild makes a batch of the records that choose has gathered. Offsets, producer and codec stay. With mark it gets a delete
// horizon, which takes the place of the base timestamp, so that the records' timestamps are counted from there (KIP-534).
func (f *batchFilter) rebuild(h header, n int32, mark bool) ([]byte, error) {
	records := f.records
	f.out = append(f.out[:0], h[:batchHeaderSize]...)
	out := header(f.out)
	shift := int64(0)
	if mark {
		horizon := f.now.Add(f.keepFor).UnixMilli()
		shift = h.baseTimestamp() - horizon
		binary.BigEndian.PutUint16(out[posAttributes:], h.attributes()|attrHorizon)
		binary.BigEndian.PutUint64(out[posBaseTimestamp:], uint64(horizon))
	}
	var moved []byte
	newest := noTimestamp
	for rest := records; len(rest) > 0; {
		r, size, err := parseRecord(rest)
		if err != nil {
			return nil, err
		}
		newest = max(newest, h.baseTimestamp()+r.timeDelta)
		if mark {
			moved = appendRecord(moved, &r, r.timeDelta+shift)
		}
		rest = rest[size:]
	}
	if mark {
		records = moved
	}
	folded, err := f.fold.fold(h.codec(), records)
	if err != nil {
		return nil, err
	}
	if !h.logAppendTime() {
		binary.BigEndian.PutUint64(out[posMaxTimestamp:], uint64(newest))
	}
	binary.BigEndian.PutUint32(out[posRecordCount:], uint32(n))
	f.out = append(f.out, folded...)
	return finishBatch(f.out), nil
}

// appendRecord writes a record with another timestamp.
func appendRecord(dst []byte, r *rawRecord, timeDelta int64) []byte {
	dst = binary.AppendVarint(dst, 1+varintSize(timeDelta)+varintSize(r.delta)+int64(len(r.rest)))
	dst = append(dst, r.attributes)
	dst = binary.AppendVarint(dst, timeDelta)
	dst = binary.AppendVarint(dst, r.delta)
	return append(dst, r.rest...)
}
