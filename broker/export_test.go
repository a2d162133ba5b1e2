package broker

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
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

// AppendTestTxnBatch is AppendTestProducerBatch for a batch of a transaction.
func AppendTestTxnBatch(dst []byte, id int64, epoch int16, sequence int32, n int) []byte {
	at := len(dst)
	dst = AppendTestProducerBatch(dst, id, epoch, sequence, n)
	b := dst[at:]
	b[batchAttrsAt+1] |= 1 << 4
	binary.BigEndian.PutUint32(b[batchCRCAt:], crc32.Checksum(b[batchAttrsAt:], batchCRC))
	return dst
}

// WithSync has every sync of a log file ask f first.
func WithSync(cfg Config, f func() error) Config {
	cfg.fs = syncFS{commitlog.OSFS(), f}
	return cfg
}

// WithFS has the logs lie in another file system.
func WithFS(cfg Config, fs commitlog.FS) Config {
	cfg.fs = fs
	return cfg
}

// WithClock has quotas go by another clock.
func WithClock(cfg Config, now func() time.Time) Config {
	cfg.now = now
	return cfg
}

type syncFS struct {
	commitlog.FS
	sync func() error
}

func (s syncFS) OpenFile(name string, flag int) (commitlog.File, error) {
	f, err := s.FS.OpenFile(name, flag)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return syncFile{f, s.sync}, nil
}

type syncFile struct {
	commitlog.File
	sync func() error
}

func (f syncFile) Sync() error {
	if err := f.sync(); err != nil {
		return err
	}
	return f.File.Sync()
}

// WithStreams has produce requests of so many bytes and more served while they arrive.
func WithStreams(cfg Config, from int) Config {
	cfg.streamFrom = from
	return cfg
}
