package broker

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// The broker writes and reads records of its own in one topic only. This is what it needs for that of Kafka's record batch,
// magic 2 (Kafka protocol guide, "Record Batch"): uncompressed, no headers, no producer.

// record is a key and a value; a nil value is a tombstone.
type record struct {
	key, value []byte
}

const (
	batchHeader      = 61
	batchLengthAt    = 8
	batchMagicAt     = 16
	batchCRCAt       = 17
	batchAttrsAt     = 21
	batchLastDeltaAt = 23
	batchCountAt     = 57
	batchLengthFrom  = 12 // what the length counts begins here
	attrCodec        = 0x07
	attrControl      = 0x20
)

var batchCRC = crc32.MakeTable(crc32.Castagnoli)

// appendBatch appends one batch of records, all with timestamp ms.
func appendBatch(dst []byte, records []record, ms int64) []byte {
	at := len(dst)
	dst = appendInt64(dst, 0)                     // base offset, set by the log
	dst = appendInt32(dst, 0)                     // length, below
	dst = appendInt32(dst, -1)                    // leader epoch, set by the log
	dst = append(dst, 2)                          // magic
	dst = appendInt32(dst, 0)                     // CRC, below
	dst = appendInt16(dst, 0)                     // attributes
	dst = appendInt32(dst, int32(len(records)-1)) // last offset delta
	dst = appendInt64(dst, ms)                    // base timestamp
	dst = appendInt64(dst, ms)                    // max timestamp
	dst = appendInt64(dst, -1)                    // producer id
	dst = appendInt16(dst, -1)                    // producer epoch
	dst = appendInt32(dst, -1)                    // base sequence
	dst = appendInt32(dst, int32(len(records)))   // count
	var body []byte
	for i, r := range records {
		body = append(body[:0], 0)                 // attributes
		body = binary.AppendVarint(body, 0)        // timestamp delta
		body = binary.AppendVarint(body, int64(i)) // offset delta
		body = appendVarBytes(body, r.key)
		body = appendVarBytes(body, r.value)
		body = binary.AppendVarint(body, 0) // headers
		dst = binary.AppendVarint(dst, int64(len(body)))
		dst = append(dst, body...)
	}
	b := dst[at:]
	putInt32(b[batchLengthAt:], int32(len(b)-batchLengthFrom))
	binary.BigEndian.PutUint32(b[batchCRCAt:], crc32.Checksum(b[batchAttrsAt:], batchCRC))
	return dst
}

func appendVarBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

var (
	errCompressed = errors.New("compressed batch")
	errBadBatch   = errors.New("bad record batch")
)

// batchSize returns the size of the batch whose header stands at the beginning of b.
func batchSize(b []byte) int {
	return batchLengthFrom + int(int32(binary.BigEndian.Uint32(b[batchLengthAt:])))
}

// batchEnd returns the offset behind the batch whose header stands at the beginning of b.
func batchEnd(b []byte) int64 {
	return int64(binary.BigEndian.Uint64(b)) + int64(int32(binary.BigEndian.Uint32(b[batchLastDeltaAt:]))) + 1
}

// readBatch calls f for each record of one whole batch. Control batches have none.
func readBatch(b []byte, f func(offset int64, r record)) error {
	if len(b) < batchHeader || b[batchMagicAt] != 2 {
		return errBadBatch
	}
	attrs := binary.BigEndian.Uint16(b[batchAttrsAt:])
	if attrs&attrControl != 0 {
		return nil
	}
	if attrs&attrCodec != 0 {
		return errCompressed
	}
	base := int64(binary.BigEndian.Uint64(b))
	count := int32(binary.BigEndian.Uint32(b[batchCountAt:]))
	cur := cursor{b: b[batchHeader:]}
	for ; count > 0 && !cur.bad; count-- {
		rec := cursor{b: cur.take(int(cur.varint()))}
		rec.int8()
		rec.varint()
		offset := base + rec.varint()
		var r record
		r.key = rec.varBytes()
		r.value = rec.varBytes()
		if rec.bad {
			return errBadBatch
		}
		f(offset, r)
	}
	if cur.bad {
		return errBadBatch
	}
	return nil
}

// varint reads a signed, zigzag varint.
func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

// varBytes reads bytes with a varint length, null as nil.
func (c *cursor) varBytes() []byte {
	n := c.varint()
	if n == -1 {
		return nil
	}
	if n < 0 || n > int64(len(c.b)) {
		c.fail()
		return nil
	}
	return c.take(int(n))
}
