package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
	"time"
)

// Layout of a record batch of magic 2 (Kafka protocol guide, "Record Batch").
const (
	posBatchLength   = 8 // octets after this field
	posLeaderEpoch   = 12
	posMagic         = 16
	posCRC           = 17 // Castagnoli's, of everything after it
	posAttributes    = 21
	posLastDelta     = 23
	posBaseTimestamp = 27
	posMaxTimestamp  = 35
	posProducerID    = 43
	posProducerEpoch = 51
	posBaseSequence  = 53
	posCount         = 57
	batchHeader      = 61
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// identity is what an idempotent producer numbers its batches under.
type identity struct {
	id    int64
	epoch int16
}

// nobody is the identity of a producer that is not idempotent.
var nobody = identity{-1, -1}

// batch is a record batch: while it is open, records are appended to buf behind the
// room for its header; once it is sealed, buf is what a produce request carries, but
// for the numbers, which it gets when it is sent for the first time.
type batch struct {
	buf     []byte
	records int32
	flows   uint64 // what the records hold, in the caller's unit
	// weights has the flows of each record, where one holds several.
	weights []uint32

	baseTime, maxTime int64 // ms since 1970
	opened            time.Time
	sealed            time.Time
	plain             int // size before compression
	summed            int // of buf, as far as bodyCRC goes; 0: nothing is
	bodyCRC           uint32
	partition         int32 // given by its records' keys; -1: any
	keyed             bool
	fresh             bool // its memory is that of new records: see queue

	numbered bool // has identity and sequence, which stay
	part     bool // of a batch that may be in the log as a whole
	by       identity
	sequence int32
	doubt    bool      // may be in the log, nobody knows
	sent     int       // times
	sentAt   time.Time // last

	// With a spool: where it is, and how many bytes there are free when it is decided on.
	lane   int32
	offset int64
	stored int
}

// varintSize is the size of a zigzag varint.
func varintSize(v int64) int {
	return (bits.Len64(uint64(v)<<1^uint64(v>>63)|1) + 6) / 7
}

// begin makes buf the memory of an empty open batch.
func (b *batch) begin(buf []byte) {
	*b = batch{buf: buf[:batchHeader], weights: b.weights[:0], opened: time.Now(), partition: -1}
}

// recordSize returns the size of one more record: of what follows its length, and
// of all of it.
func (b *batch) recordSize(r *Record) (body, whole int) {
	delta := int64(0)
	if b.records > 0 {
		delta = r.Milliseconds - b.baseTime
	}
	body = 1 + varintSize(delta) + varintSize(int64(b.records)) + varintSize(int64(len(r.Value))) + len(r.Value) + 1
	if r.Key == nil {
		body++
	} else {
		body += varintSize(int64(len(r.Key))) + len(r.Key)
	}
	return body, body + varintSize(int64(body))
}

// add appends a record of the body size that recordSize returned; there is room.
func (b *batch) add(r *Record, body int) {
	if b.records == 0 {
		b.baseTime, b.maxTime = r.Milliseconds, r.Milliseconds
	}
	p := binary.AppendVarint(b.buf, int64(body))
	p = append(p, 0) // attributes
	p = binary.AppendVarint(p, r.Milliseconds-b.baseTime)
	p = binary.AppendVarint(p, int64(b.records))
	if r.Key == nil {
		p = append(p, 1) // -1: null
	} else {
		p = binary.AppendVarint(p, int64(len(r.Key)))
		p = append(p, r.Key...)
	}
	p = binary.AppendVarint(p, int64(len(r.Value)))
	p = append(p, r.Value...)
	b.buf = append(p, 0) // headers
	b.maxTime = max(b.maxTime, r.Milliseconds)
	if r.Flows != 1 && len(b.weights) == 0 {
		for range b.records {
			b.weights = append(b.weights, 1)
		}
	}
	if r.Flows != 1 || len(b.weights) > 0 {
		b.weights = append(b.weights, r.Flows)
	}
	b.records++
	b.flows += uint64(r.Flows)
}

// finish writes the header of a batch whose records are in place, all but the numbers
// and the CRC.
func (b *batch) finish(codec int) {
	h := b.buf
	be := binary.BigEndian
	be.PutUint32(h[posBatchLength:], uint32(len(h)-posLeaderEpoch))
	h[posMagic] = 2
	be.PutUint16(h[posAttributes:], uint16(codec))
	be.PutUint32(h[posLastDelta:], uint32(b.records-1))
	be.PutUint64(h[posBaseTimestamp:], uint64(b.baseTime))
	be.PutUint64(h[posMaxTimestamp:], uint64(b.maxTime))
	be.PutUint32(h[posCount:], uint32(b.records))
}

// number gives a sealed batch its identity and sequence, which the CRC covers.
func (b *batch) number(by identity, sequence int32) {
	h := b.buf
	be := binary.BigEndian
	clear(h[:posBatchLength]) // a spool gives offsets and leader epochs of its own
	be.PutUint32(h[posLeaderEpoch:], math.MaxUint32)
	be.PutUint64(h[posProducerID:], uint64(by.id))
	be.PutUint16(h[posProducerEpoch:], uint16(by.epoch))
	be.PutUint32(h[posBaseSequence:], uint32(sequence))
	b.sum()
	crc := crc32.Checksum(h[posAttributes:batchHeader], castagnoli)
	be.PutUint32(h[posCRC:], joinCRC(crc, b.bodyCRC, len(h)-batchHeader))
	b.numbered, b.by, b.sequence = true, by, sequence
}

// sum brings the CRC of the records up to date. It costs least while they are in the
// cache; the header, which comes first in the batch, has its share when it is known.
func (b *batch) sum() {
	from := max(b.summed, batchHeader)
	b.bodyCRC, b.summed = crc32.Update(b.bodyCRC, castagnoli, b.buf[from:]), len(b.buf)
}

// joinCRC returns the CRC of two pieces, the second of n octets, from theirs: that of
// the first goes through n octets of zeros, which is to multiply it by x^8n.
func joinCRC(first, second uint32, n int) uint32 {
	for k := 3; n > 0; n, k = n>>1, k+1 {
		if n&1 != 0 {
			first = multiplyCRC(powersCRC[k], first)
		}
	}
	return first ^ second
}

// powersCRC has x^(2^k) modulo Castagnoli's polynomial. The highest bit is that of x^0.
var powersCRC = func() (powers [3 + 32]uint32) {
	powers[0] = 1 << 30
	for k := 1; k < len(powers); k++ {
		powers[k] = multiplyCRC(powers[k-1], powers[k-1])
	}
	return powers
}()

// multiplyCRC multiplies polynomials modulo Castagnoli's.
func multiplyCRC(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		product ^= b & -(a >> 31)
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}

// codec is the compression of a sealed batch.
func (b *batch) codec() int { return int(b.buf[posAttributes+1] & 7) }

// weight is how many flows record i holds.
func (b *batch) weight(i int) uint32 {
	if len(b.weights) == 0 {
		return 1
	}
	return b.weights[i]
}

// addSequence goes on by n within sequence numbers, which follow 2^31-1 with 0.
func addSequence(sequence, n int32) int32 {
	return int32((int64(sequence) + int64(n)) & math.MaxInt32)
}

var errBadRecords = errors.New("records of a batch cannot be read")

// eachRecord reads the records of an uncompressed body: what a batch has after its
// header.
func eachRecord(body []byte, baseTime int64, f func(ms int64, key, value []byte)) error {
	for i := 0; len(body) > 0; i++ {
		length, n := binary.Varint(body)
		if n <= 0 || length < 1 || length > int64(len(body)-n) {
			return fmt.Errorf("%w: record %d", errBadRecords, i)
		}
		r := body[n+1 : n+int(length)]
		body = body[n+int(length):]
		ok := true
		number := func() int64 {
			v, n := binary.Varint(r)
			if n <= 0 {
				ok = false
				return 0
			}
			r = r[n:]
			return v
		}
		octets := func() []byte {
			l := number()
			if l < 0 || !ok {
				return nil
			}
			if l > int64(len(r)) {
				ok = false
				return nil
			}
			v := r[:l:l]
			r = r[l:]
			return v
		}
		ms := baseTime + number()
		number() // offset delta
		key := octets()
		value := octets()
		if !ok {
			return fmt.Errorf("%w: record %d", errBadRecords, i)
		}
		f(ms, key, value)
	}
	return nil
}

// murmur2 is the hash of Kafka's default partitioner
// (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := 0x9747b28c ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
	}
	for i := len(b) - 1; i >= 0; i-- {
		h ^= uint32(b[i]) << (8 * i)
		if i == 0 {
			h *= m
		}
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

// keyPartition is the partition of a key among n, as Java clients have it.
func keyPartition(key []byte, n int) int32 {
	return int32(murmur2(key) & math.MaxInt32 % uint32(n))
}
