package commitlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
)

// Control records of Kafka's transactions (Kafka protocol guide, "Control Batch"; EndTransactionMarker).
const (
	markerAbort  = 0
	markerCommit = 1

	// maxMarkerBody bounds what is read of a control batch behind its header; a marker has 17 bytes.
	maxMarkerBody = 256
)

// marker is what a control batch says of its producer's transaction.
type marker struct {
	commit           bool
	coordinatorEpoch int32
}

// readMarker takes the one record of a control batch apart; body is what follows the header. ok is false for control
// records that end no transaction.
func readMarker(h header, body []byte) (m marker, ok bool) {
	if h.codec() != 0 || h.count() != 1 {
		return marker{}, false
	}
	r, _, err := parseRecord(body)
	if err != nil || len(r.key) < 4 || len(r.value) < 6 {
		return marker{}, false
	}
	kind := int16(binary.BigEndian.Uint16(r.key[2:]))
	m = marker{commit: kind == markerCommit, coordinatorEpoch: int32(binary.BigEndian.Uint32(r.value[2:]))}
	return m, kind == markerCommit || kind == markerAbort
}

// TxnMarker ends a producer's transaction in one partition.
type TxnMarker struct {
	ProducerID       int64
	ProducerEpoch    int16 // of the producer; a larger one than its last fences it
	Commit           bool  // else abort
	CoordinatorEpoch int32 // of the coordinator that decided
}

// encode makes the control batch, as Kafka writes it.
func (m TxnMarker) encode(now time.Time) []byte {
	be := binary.BigEndian
	b := make([]byte, batchHeaderSize, batchHeaderSize+17)
	kind := uint16(markerAbort)
	if m.Commit {
		kind = markerCommit
	}
	body := []byte{0, 0, 0} // attributes, timestamp delta, offset delta
	body = binary.AppendVarint(body, 4)
	body = be.AppendUint16(body, 0)
	body = be.AppendUint16(body, kind)
	body = binary.AppendVarint(body, 6)
	body = be.AppendUint16(body, 0)
	body = be.AppendUint32(body, uint32(m.CoordinatorEpoch))
	body = binary.AppendVarint(body, 0)
	b = binary.AppendVarint(b, int64(len(body)))
	b = append(b, body...)
	be.PutUint32(b[posBatchLength:], uint32(len(b)-batchPrefixSize))
	b[posMagic] = 2
	be.PutUint16(b[posAttributes:], attrTransactional|attrControl)
	be.PutUint64(b[posBaseTimestamp:], uint64(now.UnixMilli()))
	be.PutUint64(b[posMaxTimestamp:], uint64(now.UnixMilli()))
	be.PutUint64(b[posProducerID:], uint64(m.ProducerID))
	be.PutUint16(b[posProducerEpoch:], uint16(m.ProducerEpoch))
	be.PutUint32(b[posBaseSequence:], math.MaxUint32)
	be.PutUint32(b[posRecordCount:], 1)
	be.PutUint32(b[posCRC:], crc32.Checksum(b[posAttributes:], castagnoli))
	return b
}

// AppendMarker ends a transaction. It is committed or aborted for read_committed once the marker is flushed: see
// [Log.LastStableOffset]. A marker for a producer without an open transaction is written too, as Kafka does; it still fences.
//
// Errors: ErrInvalidProducerEpoch, ErrCoordinatorFenced, ErrOffline, ErrClosed, or what the file system said.
func (l *Log) AppendMarker(m TxnMarker) (AppendInfo, error) {
	return l.Append(m.encode(time.Now()), AppendOptions{AllowControl: true, AllowTransactional: true, UseReserve: true})
}

// endedTxn is a transaction whose marker is in the log.
type endedTxn struct {
	abortedTxn
	aborted bool
}

// unstable is what keeps the last stable offset behind the high watermark, guarded by Log.markMu.
type unstable struct {
	firstOpen int64      // first offset of the oldest open transaction, math.MaxInt64 without one
	ended     []endedTxn // whose markers are not flushed, in the order of their markers
	stable    mark       // where the last stable offset was last found to lie
}

// first is the first offset that read_committed may not see.
func (u *unstable) first() int64 {
	first := u.firstOpen
	for i := range u.ended {
		first = min(first, u.ended[i].first)
	}
	return first
}

// flushed forgets transactions whose markers lie below the high watermark.
func (u *unstable) flushed(hw int64) {
	n := 0
	for n < len(u.ended) && u.ended[n].last < hw {
		n++
	}
	u.ended = slices.Delete(u.ended, 0, n)
}

// noteTxn takes over what an append of a transactional batch changed; the log's mutex is held and the log end has not
// moved yet, so no high watermark can have passed the batch.
func (l *Log) noteTxn(txn endedTxn, ends bool) {
	l.markMu.Lock()
	defer l.markMu.Unlock()
	l.unstable.firstOpen = l.producers.firstOpen()
	if ends {
		l.unstable.ended = append(l.unstable.ended, txn)
	}
}

// LastStableOffset is the offset below which every transaction is decided and its decision is durable: where
// read_committed ends. It is at most the high watermark.
func (l *Log) LastStableOffset() int64 {
	l.markMu.Lock()
	defer l.markMu.Unlock()
	return l.stableLocked()
}

func (l *Log) stableLocked() int64 {
	return min(l.mark.offset, max(l.unstable.first(), l.low.Load()))
}

// stableMark is the last stable offset as a mark.
func (l *Log) stableMark() (mark, error) {
	for {
		l.markMu.Lock()
		hw, lso, known := l.mark, l.stableLocked(), l.unstable.stable
		l.markMu.Unlock()
		if lso == hw.offset {
			return hw, nil
		}
		if known.offset == lso && known.base >= 0 {
			return known, nil
		}
		list := *l.segs.Load()
		i := max(segmentIndex(list, lso), 0)
		s := list[i]
		if !s.acquire() {
			if l.shut.Load() {
				return mark{}, ErrClosed
			}
			continue // the list has changed
		}
		end := s.size.Load()
		if s.base == hw.base {
			end = hw.pos
		}
		at, ok, err := s.find(lso, end)
		s.release()
		if err != nil {
			return mark{}, err
		}
		m := mark{offset: lso, base: s.base, pos: end}
		if ok {
			m.pos = at.pos
		}
		l.markMu.Lock()
		l.unstable.stable = m
		l.markMu.Unlock()
		return m, nil
	}
}

// AbortedTxn is an aborted transaction as a fetch answer has it: records of the producer from this offset up to its next
// abort marker are to be passed over.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
}

// Aborted returns the aborted transactions that have records at from or later and begin before to, in the order of their
// markers: what a read_committed reader of that range has to be told. [Span.Bound] is the to of a span.
func (l *Log) Aborted(from, to int64) ([]AbortedTxn, error) {
	list, err := l.abortedBetween(from, to)
	if err != nil {
		return nil, fmt.Errorf("aborted transactions of %s-%d: %w", l.topic, l.partition, err)
	}
	var out []AbortedTxn
	for _, a := range list {
		out = append(out, AbortedTxn{a.producerID, a.first})
	}
	return out, nil
}

func (l *Log) abortedBetween(from, to int64) ([]abortedTxn, error) {
	for {
		out, again, err := l.tryAborted(from, to)
		if !again || err != nil {
			return out, err
		}
		if l.shut.Load() {
			return nil, ErrClosed
		}
	}
}

// tryAborted is one try; again says that the list of segments changed under it.
func (l *Log) tryAborted(from, to int64) (out []abortedTxn, again bool, err error) {
	list := *l.segs.Load()
	for _, s := range list[max(segmentIndex(list, from), 0):] {
		if !s.acquire() {
			return nil, true, nil
		}
		done := false
		err := s.txn.each(from, func(a abortedTxn) bool {
			if a.first < to {
				out = append(out, a)
			}
			done = a.stable >= to
			return !done
		})
		s.release()
		if err != nil || done {
			return out, false, err
		}
	}
	return out, false, nil
}
