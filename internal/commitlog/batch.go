package commitlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// Layout of a RecordBatch of magic 2 (Kafka protocol guide, "Record Batch"). The CRC covers everything from the
// attributes on, so the base offset and the partition leader epoch can be set without touching it.
const (
	posBaseOffset      = 0
	posBatchLength     = 8 // bytes after this field
	posLeaderEpoch     = 12
	posMagic           = 16
	posCRC             = 17
	posAttributes      = 21
	posLastOffsetDelta = 23
	posBaseTimestamp   = 27
	posMaxTimestamp    = 35
	posProducerID      = 43
	posProducerEpoch   = 51
	posBaseSequence    = 53
	posRecordCount     = 57
	batchHeaderSize    = 61
	batchPrefixSize    = 12 // base offset and batch length

	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrHorizon       = 0x40 // the base timestamp is a delete horizon (KIP-534)

	codecZstd      = 4 // the highest codec number
	noTimestamp    = int64(-1)
	minRecordBytes = 7 // length, attributes, two deltas, two lengths and a header count of one byte each
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is a view of the first batchHeaderSize bytes of a batch.
type header []byte

func (h header) baseOffset() int64    { return int64(binary.BigEndian.Uint64(h[posBaseOffset:])) }
func (h header) length() int64        { return int64(int32(binary.BigEndian.Uint32(h[posBatchLength:]))) }
func (h header) size() int64          { return batchPrefixSize + h.length() }
func (h header) leaderEpoch() int32   { return int32(binary.BigEndian.Uint32(h[posLeaderEpoch:])) }
func (h header) magic() int8          { return int8(h[posMagic]) }
func (h header) crc() uint32          { return binary.BigEndian.Uint32(h[posCRC:]) }
func (h header) attributes() uint16   { return binary.BigEndian.Uint16(h[posAttributes:]) }
func (h header) lastDelta() int32     { return int32(binary.BigEndian.Uint32(h[posLastOffsetDelta:])) }
func (h header) lastOffset() int64    { return h.baseOffset() + int64(h.lastDelta()) }
func (h header) baseTimestamp() int64 { return int64(binary.BigEndian.Uint64(h[posBaseTimestamp:])) }
func (h header) maxTimestamp() int64  { return int64(binary.BigEndian.Uint64(h[posMaxTimestamp:])) }
func (h header) producerID() int64    { return int64(binary.BigEndian.Uint64(h[posProducerID:])) }

// unsequenced says whether a coordinator wrote the batch in a producer's name, outside the producer's own sequence.
func (h header) unsequenced() bool {
	return h.baseSequence() == -1 && h.transactional() && !h.control()
}

func (h header) producerEpoch() int16 { return int16(binary.BigEndian.Uint16(h[posProducerEpoch:])) }
func (h header) baseSequence() int32  { return int32(binary.BigEndian.Uint32(h[posBaseSequence:])) }
func (h header) count() int32         { return int32(binary.BigEndian.Uint32(h[posRecordCount:])) }
func (h header) codec() int           { return int(h.attributes() & attrCodec) }
func (h header) logAppendTime() bool  { return h.attributes()&attrLogAppendTime != 0 }
func (h header) control() bool        { return h.attributes()&attrControl != 0 }
func (h header) hasHorizon() bool     { return h.attributes()&attrHorizon != 0 }
func (h header) transactional() bool  { return h.attributes()&attrTransactional != 0 }

func (h header) setOffsetAndEpoch(offset int64, epoch int32) {
	binary.BigEndian.PutUint64(h[posBaseOffset:], uint64(offset))
	binary.BigEndian.PutUint32(h[posLeaderEpoch:], uint32(epoch))
}

// stampAppendTime makes the whole batch carry one timestamp, as LogAppendTime has it: the type bit and the maximum
// are set, the records keep the deltas they have, and the CRC is made anew.
func stampAppendTime(batch []byte, ms int64) {
	h := header(batch)
	binary.BigEndian.PutUint16(h[posAttributes:], h.attributes()|attrLogAppendTime)
	binary.BigEndian.PutUint64(h[posMaxTimestamp:], uint64(ms))
	binary.BigEndian.PutUint32(h[posCRC:], crc32.Checksum(batch[posAttributes:], castagnoli))
}

// batchSet is what a look at the batches of one append found.
type batchSet struct {
	batches    int
	records    int64 // offsets the set takes
	idempotent bool  // a producer id is present

	transactional bool // a transactional batch is
}

// checkBatches looks at everything that can be judged without the state of the log.
func checkBatches(b []byte, cfg *LogConfig, o AppendOptions) (batchSet, error) {
	var set batchSet
	if len(b) == 0 {
		return set, fmt.Errorf("%w: no batch", ErrInvalidRecord)
	}
	if int64(len(b)) > cfg.SegmentBytes {
		return set, fmt.Errorf("%w: %d bytes, segment.bytes is %d", ErrTooLarge, len(b), cfg.SegmentBytes)
	}
	span := cfg.timestamps()
	for rest := b; len(rest) > 0; {
		// Older formats share the first 17 bytes, so they are told apart before their length can mislead.
		if len(rest) <= posMagic {
			return set, fmt.Errorf("%w: %d bytes left over", ErrCorrupt, len(rest))
		}
		h := header(rest)
		if h.magic() != 2 {
			return set, fmt.Errorf("%w: magic %d", ErrUnsupportedFormat, h.magic())
		}
		size := h.size()
		if size < batchHeaderSize || size > int64(len(rest)) {
			return set, fmt.Errorf("%w: batch of %d bytes in %d", ErrCorrupt, size, len(rest))
		}
		if size > int64(cfg.MaxMessageBytes) {
			return set, fmt.Errorf("%w: %d bytes, max.message.bytes is %d", ErrTooLarge, size, cfg.MaxMessageBytes)
		}
		batch := rest[:size]
		if !o.Own {
			if sum := crc32.Checksum(batch[posAttributes:], castagnoli); sum != h.crc() {
				return set, fmt.Errorf("%w: CRC %08x, said to be %08x", ErrCorrupt, sum, h.crc())
			}
		}
		if err := checkHeader(header(batch), o); err != nil {
			return set, err
		}
		if !o.Own {
			err := error(nil)
			if h.codec() == 0 {
				err = checkRecords(batch, span)
			} else if !span.has(h.baseTimestamp()) || !span.has(h.maxTimestamp()) {
				err = fmt.Errorf("%w: a batch of %d to %d", ErrInvalidTimestamp, h.baseTimestamp(), h.maxTimestamp())
			}
			if err != nil {
				return set, err
			}
		}
		set.batches++
		set.records += int64(h.count())
		set.idempotent = set.idempotent || h.producerID() >= 0
		set.transactional = set.transactional || h.transactional()
		rest = rest[size:]
	}
	if set.idempotent && set.batches > 1 {
		return set, fmt.Errorf("%w: %d batches in one append of an idempotent producer", ErrInvalidRecord, set.batches)
	}
	return set, nil
}

func checkHeader(h header, o AppendOptions) error {
	switch {
	case h.count() < 1 || h.lastDelta() != h.count()-1:
		return fmt.Errorf("%w: %d records with last offset delta %d", ErrInvalidRecord, h.count(), h.lastDelta())
	case h.codec() > codecZstd:
		return fmt.Errorf("%w: compression codec %d", ErrInvalidRecord, h.codec())
	case h.control() && !o.AllowControl:
		return fmt.Errorf("%w: control batch from a producer", ErrInvalidRecord)
	case h.transactional() && !o.AllowTransactional:
		return fmt.Errorf("%w: transactional batch outside a transaction", ErrInvalidRecord)
	case h.logAppendTime():
		return fmt.Errorf("%w: timestamp type is the log's to set", ErrInvalidTimestamp)
	case h.producerID() < -1,
		h.producerID() >= 0 && h.producerEpoch() < 0,
		h.producerID() >= 0 && h.baseSequence() < 0 && !h.control() && !(o.Unsequenced && h.unsequenced()):
		return fmt.Errorf("%w: producer id %d, epoch %d, sequence %d", ErrInvalidRecord, h.producerID(), h.producerEpoch(), h.baseSequence())
	case h.producerID() == -1 && h.transactional():
		return fmt.Errorf("%w: transactional batch without a producer id", ErrInvalidRecord)
	}
	return nil
}

// timeSpan is which timestamps a producer may give its records, in ms since 1970, both ends allowed.
type timeSpan struct {
	from, to int64
}

// timestamps is what a log allows now. What LogAppendTime replaces may be anything.
func (c *LogConfig) timestamps() timeSpan {
	s := timeSpan{math.MinInt64, math.MaxInt64}
	if c.TimestampType == LogAppendTime {
		return s
	}
	now := time.Now().UnixMilli()
	if c.TimestampBefore < math.MaxInt64 {
		s.from = now - c.TimestampBefore.Milliseconds()
	}
	if c.TimestampAfter < math.MaxInt64 {
		s.to = now + c.TimestampAfter.Milliseconds()
	}
	return s
}

// has says whether a timestamp is allowed, as none is.
func (s timeSpan) has(ms int64) bool { return ms >= s.from && ms <= s.to || ms == noTimestamp }

// checkRecords walks the records of an uncompressed batch: lengths must fill the batch, offset deltas must count up,
// timestamps must be allowed. A consumer that met other lengths or deltas could never get past them.
func checkRecords(batch []byte, span timeSpan) error {
	h := header(batch)
	p, base := batch[batchHeaderSize:], h.baseTimestamp()
	if int64(h.count())*minRecordBytes > int64(len(p)) {
		return fmt.Errorf("%w: %d records in %d bytes", ErrInvalidRecord, h.count(), len(p))
	}
	for i := range int64(h.count()) {
		length, n := recordVarint(p)
		if n <= 0 || length < minRecordBytes-1 || length > int64(len(p)-n) {
			return fmt.Errorf("%w: record %d runs over its batch", ErrInvalidRecord, i)
		}
		body := p[n : n+int(length)]
		ms, tn := recordVarint(body[1:]) // attributes, timestamp delta
		if tn <= 0 {
			return fmt.Errorf("%w: record %d has no timestamp", ErrInvalidRecord, i)
		}
		if ms += base; !span.has(ms) {
			return fmt.Errorf("%w: record %d is of %d, allowed is %d to %d", ErrInvalidTimestamp, i, ms, span.from, span.to)
		}
		delta, on := recordVarint(body[1+tn:])
		if on <= 0 || delta != i {
			return fmt.Errorf("%w: record %d has offset delta %d", ErrInvalidRecord, i, delta)
		}
		p = p[n+int(length):]
	}
	if len(p) != 0 {
		return fmt.Errorf("%w: %d bytes after the last record", ErrInvalidRecord, len(p))
	}
	return nil
}

// recordVarint reads a zigzag varint; n is 0 or less when there is none. Nearly all take three bytes at most.
func recordVarint(p []byte) (v int64, n int) {
	var u uint64
	if len(p) < 3 {
		u, n = binary.Uvarint(p)
	} else if a, b, c := uint64(p[0]), uint64(p[1]), uint64(p[2]); a < 0x80 {
		u, n = a, 1
	} else if b < 0x80 {
		u, n = a&0x7f|b<<7, 2
	} else if c < 0x80 {
		u, n = a&0x7f|(b&0x7f)<<7|c<<14, 3
	} else {
		u, n = binary.Uvarint(p)
	}
	return int64(u>>1) ^ -int64(u&1), n
}

// addSequence moves on within the sequence numbers, which go from 2^31-1 back to 0.
func addSequence(seq, n int32) int32 {
	if seq > math.MaxInt32-n {
		return n - (math.MaxInt32 - seq) - 1
	}
	return seq + n
}
