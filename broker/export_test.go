package broker

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// AppendTestBatch appends a batch of n records with values of size bytes.
func AppendTestBatch(dst []byte, n, size int) []byte {
	records := make([]record, n)
	for i := range records {
		records[i].value = bytes.Repeat([]byte{byte('a' + i%26)}, size)
	}
	return appendBatch(dst, records, 1_700_000_000_000)
}

// AppendTestProducerBatch appends a batch of n records of an idempotent producer.
func AppendTestProducerBatch(dst []byte, id int64, epoch int16, sequence int32, n int) []byte {
	at := len(dst)
	dst = AppendTestBatch(dst, n, 10)
	b := dst[at:]
	binary.BigEndian.PutUint64(b[43:], uint64(id))
	binary.BigEndian.PutUint16(b[51:], uint16(epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(sequence))
	binary.BigEndian.PutUint32(b[batchCRCAt:], crc32.Checksum(b[batchAttrsAt:], batchCRC))
	return dst
}
