package broker

import "bytes"

// AppendTestBatch appends a batch of n records with values of size bytes.
func AppendTestBatch(dst []byte, n, size int) []byte {
	records := make([]record, n)
	for i := range records {
		records[i].value = bytes.Repeat([]byte{byte('a' + i%26)}, size)
	}
	return appendBatch(dst, records, 1_700_000_000_000)
}
