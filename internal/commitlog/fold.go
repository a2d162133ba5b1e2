package commitlog

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// maxCleanBatch bounds what compaction takes into memory of one batch. One that unfolds to more stays as it is.
const maxCleanBatch = 64 << 20

var errUnfolded = errors.New("batch unfolds to too much")

// folder takes the records of batches out of their compression and puts them back, with buffers that are used again.
type folder struct {
	plain  bytes.Buffer
	folded bytes.Buffer
	zstd   *zstd.Encoder
	lz4    *lz4.Writer
	gzip   *gzip.Writer
	block  []byte

	unzstd *zstd.Decoder
	unlz4  *lz4.Reader
	ungzip *gzip.Reader
}

// unfold returns the records of a whole batch, valid until the next call.
func (f *folder) unfold(batch []byte) ([]byte, error) {
	h := header(batch)
	if h.codec() == 0 {
		return batch[batchHeaderSize:], nil
	}
	r, err := f.reader(h.codec(), batch[batchHeaderSize:])
	if err != nil {
		return nil, err
	}
	f.plain.Reset()
	n, err := f.plain.ReadFrom(io.LimitReader(r, maxCleanBatch+1))
	if err != nil {
		return nil, err
	}
	if n > maxCleanBatch {
		return nil, errUnfolded
	}
	return f.plain.Bytes(), nil
}

// reader decompresses; it is good until the next call.
func (f *folder) reader(codec int, b []byte) (io.Reader, error) {
	in := bytes.NewReader(b)
	switch codec {
	case 1:
		if f.ungzip == nil {
			f.ungzip = new(gzip.Reader)
		}
		return f.ungzip, f.ungzip.Reset(in)
	case 2:
		return unfoldSnappy(b)
	case 3:
		if f.unlz4 == nil {
			f.unlz4 = lz4.NewReader(nil)
		}
		f.unlz4.Reset(in)
		return f.unlz4, nil
	case codecZstd:
		if f.unzstd == nil {
			z, err := newZstdReader()
			if err != nil {
				return nil, err
			}
			f.unzstd = z
		}
		return f.unzstd, f.unzstd.Reset(in)
	}
	return nil, fmt.Errorf("codec %d", codec)
}

// fold compresses records with a batch's codec; the result is valid until the next call.
func (f *folder) fold(codec int, records []byte) ([]byte, error) {
	f.folded.Reset()
	var w io.WriteCloser
	switch codec {
	case 0:
		return records, nil
	case 1:
		if f.gzip == nil {
			f.gzip = gzip.NewWriter(&f.folded)
		}
		f.gzip.Reset(&f.folded)
		w = f.gzip
	case 2:
		f.foldSnappy(records)
		return f.folded.Bytes(), nil
	case 3:
		if f.lz4 == nil {
			f.lz4 = lz4.NewWriter(&f.folded)
			if err := f.lz4.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ConcurrencyOption(1), lz4.ChecksumOption(false)); err != nil {
				return nil, err
			}
		}
		f.lz4.Reset(&f.folded)
		w = f.lz4
	case codecZstd:
		if f.zstd == nil {
			z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
			if err != nil {
				return nil, err
			}
			f.zstd = z
		}
		f.block = f.zstd.EncodeAll(records, f.block[:0])
		return f.block, nil
	default:
		return nil, fmt.Errorf("codec %d", codec)
	}
	if _, err := w.Write(records); err != nil {
		return nil, err
	}
	err := w.Close()
	return f.folded.Bytes(), err
}

// foldSnappy writes snappy-java's frames, in blocks of 32 KiB as it does.
func (f *folder) foldSnappy(records []byte) {
	f.folded.Write(xerialHeader)
	f.folded.Write([]byte{0, 0, 0, 1, 0, 0, 0, 1}) // version, and the oldest that can read it
	for len(records) > 0 {
		n := min(len(records), 32<<10)
		f.block = snappy.Encode(f.block[:cap(f.block)], records[:n])
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(f.block)))
		f.folded.Write(size[:])
		f.folded.Write(f.block)
		records = records[n:]
	}
}
