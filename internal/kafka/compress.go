package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// compressor returns what compresses whole batches; nil: nothing does.
func (s producing) compressor() (kgo.Compressor, error) {
	if s.compression == kgo.Lz4Compression() {
		return lz4Blocks{}, nil
	}
	c, err := kgo.DefaultCompressor(s.compression)
	if err != nil {
		return nil, fmt.Errorf("compression.type: %w", err)
	}
	return c, nil
}

// lz4Blocks compresses with LZ4's fast level. A batch is in memory as a whole, so its
// blocks are compressed where they are, which takes half as long as writing to a
// stream; the CRC of the batch stands in for the frame's own checksum.
type lz4Blocks struct{}

// lz4Header begins a frame (LZ4 Frame Format 1.6.1): magic number, version 1 with
// independent blocks, blocks of at most 4 MiB, checksum of these two octets.
const lz4Header = "\x04\x22\x4d\x18\x60\x70\x73"

const (
	lz4Block = 4 << 20
	lz4Plain = 1 << 31 // bit of a block's size: it is not compressed
)

var lz4Tables = sync.Pool{New: func() any { return new(lz4.Compressor) }}

// Compress implements kgo.Compressor.
func (lz4Blocks) Compress(dst *bytes.Buffer, src []byte, _ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	c := lz4Tables.Get().(*lz4.Compressor)
	defer lz4Tables.Put(c)
	dst.Grow(len(lz4Header) + lz4.CompressBlockBound(len(src)) + 4*(len(src)/lz4Block+2))
	out := append(dst.AvailableBuffer(), lz4Header...)
	for len(src) > 0 {
		block := src[:min(len(src), lz4Block)]
		src = src[len(block):]
		at := len(out)
		out = append(out, 0, 0, 0, 0)
		n, err := c.CompressBlock(block, out[len(out):cap(out)])
		if err != nil || n == 0 || n >= len(block) {
			out = append(out, block...)
			binary.LittleEndian.PutUint32(out[at:], uint32(len(block))|lz4Plain)
			continue
		}
		out = out[:len(out)+n]
		binary.LittleEndian.PutUint32(out[at:], uint32(n))
	}
	return append(out, 0, 0, 0, 0), kgo.CodecLz4
}
