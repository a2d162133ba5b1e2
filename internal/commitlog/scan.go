package commitlog

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// isDamage says whether an error is one of the contents, as opposed to one of the file system.
func isDamage(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupportedFormat) || errors.Is(err, io.ErrUnexpectedEOF)
}

// batchReader reads batches and checks their CRCs with a fixed buffer, however large they claim to be.
type batchReader struct {
	f    io.ReaderAt
	buf  []byte
	have []byte // read, not yet taken
	at   int64  // in the file, of have's first byte
	end  int64
	pos  int64 // behind the last batch that was whole
	head [batchHeaderSize]byte
	body []byte // of the last batch if it was a control batch, else empty
}

func newBatchReader(f io.ReaderAt, pos, end int64, buf []byte) *batchReader {
	return &batchReader{f: f, buf: buf, at: pos, pos: pos, end: end}
}

// fill makes at least one byte available.
func (r *batchReader) fill() error {
	if len(r.have) > 0 {
		return nil
	}
	n, err := r.f.ReadAt(r.buf[:min(int64(len(r.buf)), r.end-r.at)], r.at)
	if n == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	r.have = r.buf[:n]
	return nil
}

func (r *batchReader) take(n int64) []byte {
	b := r.have[:min(n, int64(len(r.have)))]
	r.have = r.have[len(b):]
	r.at += int64(len(b))
	return b
}

// next returns the header of the next batch, valid until the next call. io.EOF is the end; ErrCorrupt and
// ErrUnsupportedFormat, or io.ErrUnexpectedEOF when the file got shorter, are damage.
func (r *batchReader) next() (header, error) {
	if r.at == r.end {
		return nil, io.EOF
	}
	if r.end-r.at < batchHeaderSize {
		return nil, fmt.Errorf("%w: %d bytes left over", ErrCorrupt, r.end-r.at)
	}
	for n := 0; n < batchHeaderSize; {
		if err := r.fill(); err != nil {
			return nil, err
		}
		n += copy(r.head[n:], r.take(int64(batchHeaderSize-n)))
	}
	h := header(r.head[:])
	if h.magic() != 2 {
		return nil, fmt.Errorf("%w: magic %d", ErrUnsupportedFormat, h.magic())
	}
	rest := h.size() - batchHeaderSize
	if rest < 0 || rest > r.end-r.at {
		return nil, fmt.Errorf("%w: batch of %d bytes, %d are left", ErrCorrupt, h.size(), r.end-r.at+batchHeaderSize)
	}
	if h.baseOffset() < 0 || h.lastDelta() < 0 || h.count() < 0 || h.leaderEpoch() < 0 || h.leaderEpoch() == math.MaxInt32 {
		return nil, fmt.Errorf("%w: base offset %d, last delta %d, %d records, epoch %d", ErrCorrupt, h.baseOffset(), h.lastDelta(), h.count(), h.leaderEpoch())
	}
	sum := crc32.Update(0, castagnoli, r.head[posAttributes:])
	r.body = r.body[:0]
	for rest > 0 {
		if err := r.fill(); err != nil {
			return nil, err
		}
		b := r.take(rest)
		if h.control() {
			r.body = append(r.body, b[:min(len(b), maxMarkerBody-len(r.body))]...)
		}
		sum = crc32.Update(sum, castagnoli, b)
		rest -= int64(len(b))
	}
	if sum != h.crc() {
		return nil, fmt.Errorf("%w: CRC %08x, said to be %08x", ErrCorrupt, sum, h.crc())
	}
	r.pos = r.at
	return h, nil
}
