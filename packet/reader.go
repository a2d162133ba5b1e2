package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

const (
	readBuffer = 256 << 10
	// maxPacket bounds a packet of a file. libpcap allows 256 KiB for all but a
	// few link types; anything beyond this is damage.
	maxPacket = 16 << 20
)

// Magic numbers of pcap files (draft-ietf-opsawg-pcap, section 4) and of the
// variant with interface and protocol in each record header.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34
)

// A Reader reads the packets of a pcap or pcapng file in order. It holds one
// buffer, which grows with the packets it has really read, never by a length
// that a file claims.
type Reader struct {
	src io.Reader
	buf []byte // what was read and not yet given out is buf[r:w]
	r   int
	w   int
	off int64 // position of buf[r] in the file
	end error // what src said last: io.EOF or a failure
	err error // what Next says from now on

	big     bool // byte order of the file, or of the section
	ng      bool
	headers int  // bytes before the data of a pcap record
	nano    bool // pcap: fractions are nanoseconds
	swapped bool // pcap: lengths may stand in the other order (format 2.3 and before)
	link    LinkType
	ifs     []ngInterface
	pending int64 // pcapng: what is left of the block that was given out
	packets uint64
}

// NewReader reads a file's first bytes and returns a Reader for what follows, or
// an error that wraps [ErrFormat] if these bytes are of neither format and
// [io.ErrUnexpectedEOF] if there are too few.
func NewReader(r io.Reader) (*Reader, error) {
	rd := &Reader{src: r, buf: make([]byte, readBuffer)}
	b, err := rd.peek(4)
	if err != nil {
		return nil, fmt.Errorf("read file header: %w", noEOF(err))
	}
	if binary.BigEndian.Uint32(b) == blockSection {
		rd.ng = true
		if err := rd.openSection(); err != nil {
			return nil, err
		}
		return rd, nil
	}
	if err := rd.openPcap(b); err != nil {
		return nil, err
	}
	return rd, nil
}

func (r *Reader) openPcap(b []byte) error {
	magic := binary.LittleEndian.Uint32(b)
	r.big = false
	switch magic {
	case magicMicro, magicNano, magicModified:
	default:
		magic = binary.BigEndian.Uint32(b)
		r.big = true
	}
	r.headers = 16
	switch magic {
	case magicMicro:
	case magicNano:
		r.nano = true
	case magicModified:
		r.headers = 24
	default:
		return fmt.Errorf("%w: it starts with % x", ErrFormat, b)
	}
	h, err := r.peek(24)
	if err != nil {
		return fmt.Errorf("read file header: %w", err)
	}
	major, minor := r.u16(h[4:]), r.u16(h[6:])
	r.swapped = major < 2 || major == 2 && minor <= 3
	// The upper bits tell the length of the frame check sequence.
	r.link = LinkType(r.u32(h[20:]))
	r.advance(24)
	return nil
}

func (r *Reader) u16(b []byte) uint16 {
	if r.big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (r *Reader) u32(b []byte) uint32 {
	if r.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (r *Reader) u64(b []byte) uint64 {
	if r.big {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}

// Next reads the next packet into p. At the end of the file it returns [io.EOF].
// A file that ends in the middle of a packet gives all packets before that, then
// an error that wraps [io.ErrUnexpectedEOF]; one that stops making sense gives an
// error that wraps [ErrFormat]. p.Data is valid until the next call.
func (r *Reader) Next(p *Packet) error {
	if r.err != nil {
		return r.err
	}
	var err error
	if r.ng {
		err = r.nextNG(p)
	} else {
		err = r.nextPcap(p)
	}
	if err != nil {
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("read packet %d at byte %d: %w", r.packets+1, r.off, err)
		}
		r.err = err
		return err
	}
	r.packets++
	return nil
}

func (r *Reader) nextPcap(p *Packet) error {
	h, err := r.peek(r.headers)
	if err != nil {
		return err
	}
	sec, frac, captured, length := r.u32(h), r.u32(h[4:]), r.u32(h[8:]), r.u32(h[12:])
	if r.swapped && captured > length {
		captured, length = length, captured
	}
	if captured > maxPacket {
		return fmt.Errorf("%w: it claims a packet of %d bytes", ErrFormat, captured)
	}
	b, err := r.peek(r.headers + int(captured))
	if err != nil {
		return noEOF(err)
	}
	if !r.nano {
		frac *= 1000
	}
	p.Time = time.Unix(int64(sec), int64(frac)).UTC()
	p.Link = r.link
	p.Interface = 0
	p.Length = wireLength(length, captured)
	p.Data = b[r.headers:]
	r.advance(len(b))
	return nil
}

// peek returns the next n bytes without moving on: io.EOF if there are none,
// io.ErrUnexpectedEOF if there are fewer. The bytes stay in place until the next
// peek or skip.
func (r *Reader) peek(n int) ([]byte, error) {
	if r.w-r.r < n {
		if err := r.fill(n); err != nil {
			return nil, err
		}
	}
	return r.buf[r.r : r.r+n : r.r+n], nil
}

func (r *Reader) fill(n int) error {
	if r.r > 0 {
		copy(r.buf, r.buf[r.r:r.w])
		r.w -= r.r
		r.r = 0
	}
	empty := 0
	for r.w < n {
		if r.end != nil {
			switch {
			case r.end != io.EOF:
				return r.end
			case r.w == 0:
				return io.EOF
			default:
				return io.ErrUnexpectedEOF
			}
		}
		if r.w == len(r.buf) {
			// Doubled only when it is full of bytes that are really there.
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
		m, err := r.src.Read(r.buf[r.w:])
		r.w += m
		r.end = err
		if m > 0 {
			empty = 0
		} else if empty++; empty > 100 && err == nil {
			r.end = io.ErrNoProgress
		}
	}
	return nil
}

func (r *Reader) advance(n int) {
	r.r += n
	r.off += int64(n)
}

// skip passes over n bytes, of which none need fit into the buffer.
func (r *Reader) skip(n int64) error {
	for n > 0 {
		if r.r == r.w {
			if err := r.fill(1); err != nil {
				return noEOF(err)
			}
		}
		step := min(int64(r.w-r.r), n)
		r.advance(int(step))
		n -= step
	}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// wireLength makes an int of a length that may be a lie, on 32-bit machines too.
func wireLength(claimed, captured uint32) int {
	return int(min(max(claimed, captured), math.MaxInt32))
}
