package commitlog

import (
	"bufio"
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

// Bounds for what a batch may unfold to when its records are looked at one by one.
const (
	maxUnfolded    = 1 << 30
	maxSnappyBlock = 64 << 20
	maxZstdWindow  = 64 << 20
)

// firstRecord finds the first record of a batch at or after offset low whose timestamp accept likes. Only looking up
// a time needs it, so it may decompress. A batch that cannot be taken apart is answered for by its header.
func firstRecord(f File, at place, low int64, accept func(ms int64) bool) (stamped, bool, error) {
	var head [batchHeaderSize]byte
	if err := readFull(f, head[:], at.pos); err != nil {
		return stamped{}, false, fmt.Errorf("read batch header: %w", err)
	}
	h := header(head[:])
	whole := stamped{offset: max(h.baseOffset(), low), timestamp: h.maxTimestamp()}
	if h.logAppendTime() {
		return whole, accept(h.maxTimestamp()), nil
	}
	body := io.NewSectionReader(f, at.pos+batchHeaderSize, at.size-batchHeaderSize)
	r, done, err := unfold(h.codec(), body)
	if err != nil {
		return whole, accept(h.maxTimestamp()), nil
	}
	defer done()
	in := bufio.NewReaderSize(io.LimitReader(r, maxUnfolded), 32<<10)
	for range h.count() {
		offsetDelta, timeDelta, err := nextRecord(in)
		if err != nil {
			return whole, accept(h.maxTimestamp()), nil
		}
		offset, ts := h.baseOffset()+offsetDelta, h.baseTimestamp()+timeDelta
		if offset >= low && accept(ts) {
			return stamped{offset: offset, timestamp: ts}, true, nil
		}
	}
	return stamped{}, false, nil
}

// nextRecord reads what of a record comes before its key, and skips the rest.
func nextRecord(in *bufio.Reader) (offsetDelta, timeDelta int64, err error) {
	length, err := binary.ReadVarint(in)
	if err != nil {
		return 0, 0, err
	}
	if length < minRecordBytes-1 || length > maxUnfolded {
		return 0, 0, fmt.Errorf("%w: record of %d bytes", ErrInvalidRecord, length)
	}
	if _, err = in.ReadByte(); err != nil { // attributes
		return 0, 0, err
	}
	if timeDelta, err = binary.ReadVarint(in); err != nil {
		return 0, 0, err
	}
	if offsetDelta, err = binary.ReadVarint(in); err != nil {
		return 0, 0, err
	}
	rest := length - 1 - varintSize(timeDelta) - varintSize(offsetDelta)
	if rest < 0 {
		return 0, 0, fmt.Errorf("%w: record of %d bytes", ErrInvalidRecord, length)
	}
	_, err = in.Discard(int(rest))
	return offsetDelta, timeDelta, err
}

// rawRecord is a record within the bytes of its batch.
type rawRecord struct {
	attributes byte
	timeDelta  int64
	delta      int64  // of its offset
	key, value []byte // nil for none
	rest       []byte // from the length of the key on
}

// parseRecord reads the record at the beginning of p, n bytes in all. Slices are of p.
func parseRecord(p []byte) (r rawRecord, n int, err error) {
	length, n := recordVarint(p)
	if n <= 0 || length < minRecordBytes-1 || length > int64(len(p)-n) {
		return r, 0, fmt.Errorf("%w: record runs over its batch", ErrInvalidRecord)
	}
	b := p[n : n+int(length)]
	n += int(length)
	r.attributes = b[0]
	b = b[1:]
	for _, field := range [...]*int64{&r.timeDelta, &r.delta} {
		v, vn := recordVarint(b)
		if vn <= 0 {
			return r, 0, fmt.Errorf("%w: record is cut short", ErrInvalidRecord)
		}
		*field = v
		b = b[vn:]
	}
	r.rest = b
	for _, field := range [...]*[]byte{&r.key, &r.value} {
		size, sn := recordVarint(b)
		if sn <= 0 || size < -1 || size > int64(len(b)-sn) {
			return r, 0, fmt.Errorf("%w: key or value runs over its record", ErrInvalidRecord)
		}
		b = b[sn:]
		if size >= 0 {
			*field = b[:size:size]
			b = b[size:]
		}
	}
	return r, n, nil
}

func varintSize(v int64) int64 {
	n := int64(1)
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

// unfold reads the records of a batch through its codec.
func unfold(codec int, r io.Reader) (io.Reader, func(), error) {
	switch codec {
	case 0:
		return r, func() {}, nil
	case 1:
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case 2:
		b, err := io.ReadAll(r)
		if err != nil {
			return nil, nil, err
		}
		s, err := unfoldSnappy(b)
		return s, func() {}, err
	case 3:
		return lz4.NewReader(r), func() {}, nil
	case codecZstd:
		z, err := newZstdReader()
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, z.Reset(r)
	}
	return nil, nil, fmt.Errorf("codec %d", codec)
}

// newZstdReader makes a decoder that starts no goroutine and takes bounded memory.
func newZstdReader() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
}

// xerialHeader begins what snappy-java writes: blocks, each behind its length, after 16 bytes of magic and versions.
var xerialHeader = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// unfoldSnappy reads a bare block, as some clients write, or snappy-java's frames, one block in memory at a time.
func unfoldSnappy(b []byte) (io.Reader, error) {
	if !bytes.HasPrefix(b, xerialHeader) {
		out, err := snappyBlock(nil, b)
		return bytes.NewReader(out), err
	}
	if len(b) < 16 {
		return nil, io.ErrUnexpectedEOF
	}
	return &xerialReader{rest: b[16:]}, nil
}

func snappyBlock(dst, b []byte) ([]byte, error) {
	n, err := snappy.DecodedLen(b)
	if err != nil {
		return nil, err
	}
	if n > maxSnappyBlock {
		return nil, errors.New("snappy block too large")
	}
	return snappy.Decode(dst, b)
}

type xerialReader struct {
	rest  []byte
	block []byte // decoded, not yet read
	space []byte
}

func (x *xerialReader) Read(p []byte) (int, error) {
	for len(x.block) == 0 {
		if len(x.rest) == 0 {
			return 0, io.EOF
		}
		if len(x.rest) < 4 {
			return 0, io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(x.rest))
		if n > int64(len(x.rest)-4) {
			return 0, io.ErrUnexpectedEOF
		}
		out, err := snappyBlock(x.space, x.rest[4:4+n])
		if err != nil {
			return 0, err
		}
		x.block, x.space, x.rest = out, out[:cap(out)], x.rest[4+n:]
	}
	n := copy(p, x.block)
	x.block = x.block[n:]
	return n, nil
}
