package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/lz4"
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

// lz4Blocks makes LZ4 frames. A batch is in memory as a whole, so its blocks are
// compressed where they are; the CRC of the batch stands in for the frame's own checksum.
type lz4Blocks struct{}

// lz4Header begins a frame (LZ4 Frame Format 1.6.1): magic number, version 1 with
// independent blocks, blocks of at most 4 MiB, checksum of these two octets.
const lz4Header = "\x04\x22\x4d\x18\x60\x70\x73"

const (
	lz4Block = 4 << 20
	lz4Plain = 1 << 31 // bit of a block's size: it is not compressed
)

var lz4Tables = sync.Pool{New: func() any { return new(lz4.Table) }}

// Compress implements kgo.Compressor.
func (lz4Blocks) Compress(dst *bytes.Buffer, src []byte, _ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	table := lz4Tables.Get().(*lz4.Table)
	defer lz4Tables.Put(table)
	dst.Grow(len(lz4Header) + lz4.Bound(len(src)) + 4*(len(src)/lz4Block+2))
	out := append(dst.AvailableBuffer(), lz4Header...)
	for len(src) > 0 {
		block := src[:min(len(src), lz4Block)]
		src = src[len(block):]
		at := len(out)
		out = table.Append(append(out, 0, 0, 0, 0), block)
		size := uint32(len(out) - at - 4)
		if int(size) >= len(block) {
			out = append(out[:at+4], block...)
			size = uint32(len(block)) | lz4Plain
		}
		binary.LittleEndian.PutUint32(out[at:], size)
	}
	return append(out, 0, 0, 0, 0), kgo.CodecLz4
}
