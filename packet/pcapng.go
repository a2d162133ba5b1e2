package packet

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng, section 4).
const (
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
	blockSection   = 0x0a0d0d0a
)

const (
	byteOrderMagic = 0x1a2b3c4d
	maxInterfaces  = 1 << 16
)

// ngInterface is what an interface description block says.
type ngInterface struct {
	link    LinkType
	snap    uint32
	binary  bool   // resolution is 2 to the minus shift
	shift   uint   // exponent of a binary resolution
	units   uint64 // units in a second for a decimal one
	scale   uint64 // nanoseconds in a unit, or 0 if units are smaller
	divisor uint64 // units in a nanosecond, if units are smaller
	offset  int64  // seconds to add
}

func (r *Reader) nextNG(p *Packet) error {
	if n := r.pending; n > 0 {
		r.pending = 0
		if err := r.skip(n); err != nil {
			return err
		}
	}
	for {
		h, err := r.peek(8)
		if err != nil {
			return err
		}
		if binary.BigEndian.Uint32(h) == blockSection {
			if err := r.openSection(); err != nil {
				return err
			}
			continue
		}
		kind, length := r.u32(h), r.u32(h[4:])
		if length < 12 || length%4 != 0 {
			return fmt.Errorf("%w: it claims a block of %d bytes", ErrFormat, length)
		}
		switch kind {
		case blockInterface:
			if err := r.readInterface(length); err != nil {
				return err
			}
		case blockEnhanced, blockPacket, blockSimple:
			if err := r.readPacket(kind, length, p); err != nil {
				return err
			}
			return nil
		default:
			if err := r.skip(int64(length)); err != nil {
				return err
			}
		}
	}
}

// openSection reads a section header block, which sets the byte order and starts
// the numbering of interfaces anew.
func (r *Reader) openSection() error {
	h, err := r.peek(16)
	if err != nil {
		return noEOF(err)
	}
	switch {
	case binary.LittleEndian.Uint32(h[8:]) == byteOrderMagic:
		r.big = false
	case binary.BigEndian.Uint32(h[8:]) == byteOrderMagic:
		r.big = true
	default:
		return fmt.Errorf("%w: no byte order in its section header", ErrFormat)
	}
	length := r.u32(h[4:])
	if length < 28 || length%4 != 0 {
		return fmt.Errorf("%w: it claims a section header of %d bytes", ErrFormat, length)
	}
	if major := r.u16(h[12:]); major != 1 {
		return fmt.Errorf("%w: version %d of pcapng", ErrFormat, major)
	}
	r.ifs = r.ifs[:0]
	return r.skip(int64(length))
}

// readInterface reads an interface description block. Options are looked at as
// far as they are in the first part of the block; a block that large is damage.
func (r *Reader) readInterface(length uint32) error {
	if length < 20 {
		return fmt.Errorf("%w: it claims an interface block of %d bytes", ErrFormat, length)
	}
	if len(r.ifs) >= maxInterfaces {
		return fmt.Errorf("%w: more than %d interfaces in a section", ErrFormat, maxInterfaces)
	}
	// The interface may be read from the part that fits; the rest is passed over.
	n := min(length, readBuffer)
	b, err := r.peek(int(n))
	if err != nil {
		return noEOF(err)
	}
	i := ngInterface{link: LinkType(r.u16(b[8:])), snap: r.u32(b[12:])}
	i.setDecimal(6)
	opts := b[16:]
	if n == length {
		opts = opts[:len(opts)-4]
	}
	for len(opts) >= 4 {
		code, size := r.u16(opts), int(r.u16(opts[2:]))
		opts = opts[4:]
		if code == 0 || size > len(opts) {
			break
		}
		switch {
		case code == 9 && size == 1:
			if v := opts[0]; v&0x80 != 0 {
				i.binary, i.shift = true, uint(v&0x7f)
			} else {
				i.setDecimal(uint(v))
			}
		case code == 14 && size == 8:
			i.offset = int64(r.u64(opts))
		}
		opts = opts[min((size+3)&^3, len(opts)):]
	}
	r.ifs = append(r.ifs, i)
	return r.skip(int64(length))
}

func (i *ngInterface) setDecimal(exponent uint) {
	i.binary, i.units, i.scale, i.divisor = false, 1, 0, 0
	// Ten to the 19th is the largest power that fits; finer units would make all
	// times of 64 bits less than two seconds.
	for range min(exponent, 19) {
		i.units *= 10
	}
	if i.units <= 1e9 {
		i.scale = 1e9 / i.units
	} else {
		i.divisor = i.units / 1e9
	}
}

func (i *ngInterface) time(ts uint64) time.Time {
	if i.binary {
		if i.shift >= 64 {
			return time.Unix(i.offset, 0).UTC()
		}
		frac := ts & (1<<i.shift - 1)
		hi, lo := bits.Mul64(frac, 1e9)
		nanos := lo >> i.shift
		if i.shift > 0 {
			nanos |= hi << (64 - i.shift)
		}
		return time.Unix(int64(ts>>i.shift)+i.offset, int64(nanos)).UTC()
	}
	sec, rest := ts/i.units, ts%i.units
	if i.scale > 0 {
		rest *= i.scale
	} else {
		rest /= i.divisor
	}
	return time.Unix(int64(sec)+i.offset, int64(rest)).UTC()
}

// readPacket reads one of the three packet blocks.
func (r *Reader) readPacket(kind, length uint32, p *Packet) error {
	fixed := uint32(28)
	if kind == blockSimple {
		fixed = 12
	}
	if length < fixed+4 {
		return fmt.Errorf("%w: it claims a packet block of %d bytes", ErrFormat, length)
	}
	// Options behind the data may make a block longer than any packet.
	h, err := r.peek(int(fixed))
	if err != nil {
		return noEOF(err)
	}
	var num, captured, wire uint32
	var ts uint64
	switch kind {
	case blockEnhanced:
		num = r.u32(h[8:])
	case blockPacket:
		num = uint32(r.u16(h[8:]))
	}
	if int64(num) >= int64(len(r.ifs)) {
		return fmt.Errorf("%w: a packet of interface %d, which it does not describe", ErrFormat, num)
	}
	i := &r.ifs[num]
	if kind == blockSimple {
		wire = r.u32(h[8:])
		captured = min(wire, length-fixed-4)
		if i.snap > 0 {
			captured = min(captured, i.snap)
		}
		p.Time = time.Time{}
	} else {
		ts = uint64(r.u32(h[12:]))<<32 | uint64(r.u32(h[16:]))
		captured, wire = r.u32(h[20:]), r.u32(h[24:])
		p.Time = i.time(ts)
	}
	if captured > length-fixed-4 || captured > maxPacket {
		return fmt.Errorf("%w: it claims %d bytes of packet in a block of %d", ErrFormat, captured, length)
	}
	b, err := r.peek(int(fixed + captured))
	if err != nil {
		return noEOF(err)
	}
	p.Link, p.Interface = i.link, num
	p.Length = wireLength(wire, captured)
	p.Data = b[fixed:]
	// What remains of the block must not move the bytes just given out, so it
	// is passed over on the next call.
	r.advance(len(b))
	r.pending = int64(length) - int64(len(b))
	return nil
}
