package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Format is a format of capture files.
type Format uint8

// Formats that [NewWriter] writes; [NewReader] reads these and others.
const (
	Pcap      Format = iota // pcap with nanoseconds
	PcapMicro               // pcap with microseconds, which any reader knows
	Pcapng                  // pcapng with nanoseconds, several interfaces and link types
)

const writerSnap = 262144

// A Writer writes a capture file: each packet by one call of the underlying
// Write, so a [bufio.Writer] between them pays.
type Writer struct {
	dst    io.Writer
	format Format
	link   LinkType
	buf    []byte
	ifs    map[writerInterface]uint32
	err    error
}

type writerInterface struct {
	number uint32
	link   LinkType
}

// NewWriter writes the head of a file to w. A pcap file has one link type; to a
// pcapng file other ones are added as packets have them, and link only spares
// the first packet that.
func NewWriter(w io.Writer, format Format, link LinkType) (*Writer, error) {
	wr := &Writer{dst: w, format: format, link: link}
	le := binary.LittleEndian
	b := wr.buf
	switch format {
	case Pcap, PcapMicro:
		magic := uint32(magicNano)
		if format == PcapMicro {
			magic = magicMicro
		}
		b = le.AppendUint32(b, magic)
		b = le.AppendUint16(b, 2)
		b = le.AppendUint16(b, 4)
		b = le.AppendUint64(b, 0)
		b = le.AppendUint32(b, writerSnap)
		b = le.AppendUint32(b, uint32(link))
	case Pcapng:
		wr.ifs = make(map[writerInterface]uint32)
		b = le.AppendUint32(b, blockSection)
		b = le.AppendUint32(b, 28)
		b = le.AppendUint32(b, byteOrderMagic)
		b = le.AppendUint16(b, 1)
		b = le.AppendUint16(b, 0)
		b = le.AppendUint64(b, 1<<64-1) // section length unknown
		b = le.AppendUint32(b, 28)
		b = wr.describe(b, writerInterface{0, link})
	default:
		return nil, fmt.Errorf("write capture file: no format %d", format)
	}
	return wr, wr.flush(b)
}

// describe appends an interface description block.
func (w *Writer) describe(b []byte, i writerInterface) []byte {
	le := binary.LittleEndian
	w.ifs[i] = uint32(len(w.ifs))
	b = le.AppendUint32(b, blockInterface)
	b = le.AppendUint32(b, 32)
	b = le.AppendUint16(b, uint16(i.link))
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, 0) // no limit
	b = le.AppendUint16(b, 9) // if_tsresol
	b = le.AppendUint16(b, 1)
	b = le.AppendUint32(b, 9) // ten to the minus 9, and padding
	b = le.AppendUint32(b, 0) // end of options
	return le.AppendUint32(b, 32)
}

// Write adds a packet. It is an error to give a pcap file packets of several link
// types. After an error of the underlying Write every call returns that.
func (w *Writer) Write(p *Packet) error {
	if w.err != nil {
		return w.err
	}
	length := max(p.Length, len(p.Data))
	le := binary.LittleEndian
	b := w.buf[:0]
	if w.format != Pcapng {
		if p.Link != w.link {
			return fmt.Errorf("write packet: link type %v in a pcap file of %v", p.Link, w.link)
		}
		sec, frac := p.Time.Unix(), p.Time.Nanosecond()
		if p.Time.IsZero() {
			sec, frac = 0, 0
		}
		if sec < 0 || sec > 1<<32-1 {
			return errors.New("write packet: its time does not fit into a pcap file")
		}
		if w.format == PcapMicro {
			frac /= int(time.Microsecond)
		}
		b = le.AppendUint32(b, uint32(sec))
		b = le.AppendUint32(b, uint32(frac))
		b = le.AppendUint32(b, uint32(len(p.Data)))
		b = le.AppendUint32(b, uint32(length))
		return w.flush(append(b, p.Data...))
	}
	key := writerInterface{p.Interface, p.Link}
	if _, ok := w.ifs[key]; !ok {
		b = w.describe(b, key)
	}
	var ts uint64
	if !p.Time.IsZero() {
		ts = uint64(p.Time.UnixNano())
	}
	pad := -len(p.Data) & 3
	total := uint32(32 + len(p.Data) + pad)
	b = le.AppendUint32(b, blockEnhanced)
	b = le.AppendUint32(b, total)
	b = le.AppendUint32(b, w.ifs[key])
	b = le.AppendUint32(b, uint32(ts>>32))
	b = le.AppendUint32(b, uint32(ts))
	b = le.AppendUint32(b, uint32(len(p.Data)))
	b = le.AppendUint32(b, uint32(length))
	b = append(b, p.Data...)
	b = append(b, "\x00\x00\x00"[:pad]...)
	return w.flush(le.AppendUint32(b, total))
}

func (w *Writer) flush(b []byte) error {
	w.buf = b[:0]
	_, err := w.dst.Write(b)
	if err != nil {
		w.err = fmt.Errorf("write capture file: %w", err)
	}
	return w.err
}
