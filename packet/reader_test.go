package packet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tributary-net/tributary/packet"
)

// readAll returns copies of all packets, and the error that ended them unless it
// is io.EOF.
func readAll(file io.Reader) ([]packet.Packet, error) {
	r, err := packet.NewReader(file)
	if err != nil {
		return nil, err
	}
	var all []packet.Packet
	for {
		var p packet.Packet
		if err := r.Next(&p); err == io.EOF {
			return all, nil
		} else if err != nil {
			if again := r.Next(&p); again != err {
				return all, fmt.Errorf("%w, then %w", err, again)
			}
			return all, err
		}
		p.Data = bytes.Clone(p.Data)
		all = append(all, p)
	}
}

func equalPackets(a, b []packet.Packet) bool {
	return slices.EqualFunc(a, b, func(a, b packet.Packet) bool {
		return a.Time.Equal(b.Time) && a.Link == b.Link && a.Interface == b.Interface && a.Length == b.Length &&
			bytes.Equal(a.Data, b.Data)
	})
}

var somePackets = []packet.Packet{
	{Time: time.Unix(1700000000, 123456789).UTC(), Link: packet.LinkEthernet, Length: 4, Data: []byte{1, 2, 3, 4}},
	{Time: time.Unix(1700000001, 0).UTC(), Link: packet.LinkEthernet, Length: 1500, Data: []byte{5, 6, 7}},
	{Time: time.Unix(1700000002, 999999999).UTC(), Link: packet.LinkEthernet, Length: 0, Data: []byte{}},
	{Time: time.Unix(4000000000, 1).UTC(), Link: packet.LinkEthernet, Length: 5, Data: []byte{8, 9, 10, 11, 12}},
}

func write(t *testing.T, f packet.Format, packets []packet.Packet) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := packet.NewWriter(&b, f, packets[0].Link)
	if err != nil {
		t.Fatal(err)
	}
	for i := range packets {
		if err := w.Write(&packets[i]); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	for _, f := range []packet.Format{packet.Pcap, packet.PcapMicro, packet.Pcapng} {
		want := slices.Clone(somePackets)
		if f == packet.PcapMicro {
			for i := range want {
				want[i].Time = want[i].Time.Truncate(time.Microsecond)
			}
		}
		file := write(t, f, somePackets)
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(file),
			"bytes": iotest.OneByteReader(bytes.NewReader(file)),
			"early": iotest.DataErrReader(bytes.NewReader(file)),
		} {
			got, err := readAll(r)
			if err != nil || !equalPackets(got, want) {
				t.Errorf("format %d, %s: %v\n got %v\nwant %v", f, name, err, got, want)
			}
		}
	}
}

func TestSeveralLinks(t *testing.T) {
	mixed := slices.Clone(somePackets)
	mixed[1].Link, mixed[2].Interface, mixed[3].Link = packet.LinkRaw, 3, packet.LinkRaw
	got, err := readAll(bytes.NewReader(write(t, packet.Pcapng, mixed)))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range got {
		if p.Link != mixed[i].Link || p.Interface != []uint32{0, 1, 2, 1}[i] {
			t.Errorf("packet %d: link %v of interface %d", i, p.Link, p.Interface)
		}
	}
	w, err := packet.NewWriter(io.Discard, packet.Pcap, packet.LinkEthernet)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&mixed[1]); err == nil {
		t.Error("a pcap file took a second link type")
	}
	if err := w.Write(&mixed[0]); err != nil {
		t.Errorf("after a refused packet: %v", err)
	}
}

// A file cut anywhere gives each packet that is whole, then says it was cut.
func TestCutShort(t *testing.T) {
	for _, f := range []packet.Format{packet.Pcap, packet.Pcapng} {
		file := write(t, f, somePackets)
		whole := 0
		for n := range len(file) {
			got, err := readAll(bytes.NewReader(file[:n]))
			if !equalPackets(got, somePackets[:len(got)]) || len(got) < whole {
				t.Fatalf("format %d, %d bytes: %v", f, n, got)
			}
			whole = len(got)
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("format %d, %d bytes: %v", f, n, err)
			}
		}
		if whole < len(somePackets)-1 {
			t.Errorf("format %d: %d packets of a file that misses a byte", f, whole)
		}
	}
	if _, err := readAll(strings.NewReader("")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("empty file: %v", err)
	}
	if _, err := readAll(strings.NewReader("PK\x03\x04 something else")); !errors.Is(err, packet.ErrFormat) {
		t.Errorf("another file: %v", err)
	}
	broken := errors.New("disk on fire")
	if got, err := readAll(io.MultiReader(bytes.NewReader(write(t, packet.Pcap, somePackets)), iotest.ErrReader(broken))); !errors.Is(err, broken) || len(got) != len(somePackets) {
		t.Errorf("failing reader: %d packets, %v", len(got), err)
	}
}

// pcapFile builds a pcap file by hand, in either byte order.
func pcapFile(order binary.AppendByteOrder, magic uint32, minor uint16, link uint32, records ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, minor)
	b = order.AppendUint64(b, 0)
	b = order.AppendUint32(b, 65535)
	b = order.AppendUint32(b, link)
	return append(b, bytes.Join(records, nil)...)
}

func words(order binary.AppendByteOrder, v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = order.AppendUint32(b, x)
	}
	return b
}

func TestPcapVariants(t *testing.T) {
	want := packet.Packet{Time: time.Unix(1000, 5000).UTC(), Link: packet.LinkRaw, Length: 60, Data: []byte("abc")}
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		check := func(name string, file []byte) {
			t.Helper()
			got, err := readAll(bytes.NewReader(file))
			if err != nil || !equalPackets(got, []packet.Packet{want}) {
				t.Errorf("%v %s: %v, %v", order, name, got, err)
			}
		}
		data := []byte("abc")
		check("microseconds", pcapFile(order, 0xa1b2c3d4, 4, 101, words(order, 1000, 5, 3, 60), data))
		check("nanoseconds", pcapFile(order, 0xa1b23c4d, 4, 101, words(order, 1000, 5000, 3, 60), data))
		check("modified", pcapFile(order, 0xa1b2cd34, 4, 101, words(order, 1000, 5, 3, 60, 7, 0), data))
		check("old order of lengths", pcapFile(order, 0xa1b2c3d4, 3, 101, words(order, 1000, 5, 60, 3), data))
		check("with checksum length", pcapFile(order, 0xa1b2c3d4, 4, 101|0x34000000, words(order, 1000, 5, 3, 60), data))
	}
}

func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	body = append(body, make([]byte, -len(body)&3)...)
	size := uint32(len(body) + 12)
	return cat(words(order, kind, size), body, words(order, size))
}

func section(order binary.AppendByteOrder) []byte {
	b := order.AppendUint32(nil, 0x1a2b3c4d)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0)
	return block(order, 0x0a0d0d0a, order.AppendUint64(b, 1<<64-1))
}

func iface(order binary.AppendByteOrder, link uint16, snap uint32, options ...[]byte) []byte {
	b := order.AppendUint16(nil, link)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint32(b, snap)
	return block(order, 1, append(b, bytes.Join(options, nil)...))
}

func option(order binary.AppendByteOrder, code uint16, value []byte) []byte {
	b := order.AppendUint16(nil, code)
	b = order.AppendUint16(b, uint16(len(value)))
	return append(append(b, value...), make([]byte, -len(value)&3)...)
}

func TestPcapngVariants(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		other := binary.AppendByteOrder(binary.BigEndian)
		if order == other {
			other = binary.LittleEndian
		}
		enhanced := func(i uint32, ts uint64, length uint32, data string) []byte {
			return block(order, 6, cat(words(order, i, uint32(ts>>32), uint32(ts), uint32(len(data)), length), []byte(data)))
		}
		file := cat(
			section(order),
			iface(order, 1, 0),
			iface(order, 101, 2, option(order, 2, []byte("eth0")), option(order, 9, []byte{9}),
				option(order, 14, order.AppendUint64(nil, 100)), option(order, 0, nil)),
			iface(order, 228, 0, option(order, 9, []byte{0x80 | 10})),
			iface(order, 229, 0, option(order, 9, []byte{0})),
			iface(order, 229, 0, option(order, 9, []byte{12})),
			enhanced(0, 1000_000005, 60, "micro"),
			block(order, 0x12345678, []byte("something new")),
			enhanced(1, 900_000000007, 3, "abc"),
			enhanced(2, 1000<<10|512, 3, "abc"),
			enhanced(3, 1000, 3, "abc"),
			enhanced(4, 1000_000000007_999, 3, "abc"),
			block(order, 2, cat(order.AppendUint16(order.AppendUint16(nil, 0), 9), words(order, 0, 2000_000000&0xffffffff, 3, 4), []byte("old"))),
			block(order, 3, cat(words(order, 2), []byte("no"))),
			section(other),
			iface(other, 113, 3),
			block(other, 3, cat(words(other, 60), []byte("cut"))),
			block(order, 5, nil)[:0],
		)
		want := []packet.Packet{
			{Time: time.Unix(1000, 5000), Link: 1, Interface: 0, Length: 60, Data: []byte("micro")},
			{Time: time.Unix(1000, 7), Link: 101, Interface: 1, Length: 3, Data: []byte("abc")},
			{Time: time.Unix(1000, 5e8), Link: 228, Interface: 2, Length: 3, Data: []byte("abc")},
			{Time: time.Unix(1000, 0), Link: 229, Interface: 3, Length: 3, Data: []byte("abc")},
			{Time: time.Unix(1000, 7), Link: 229, Interface: 4, Length: 3, Data: []byte("abc")},
			{Time: time.Unix(2000, 0), Link: 1, Interface: 0, Length: 4, Data: []byte("old")},
			{Link: 1, Length: 2, Data: []byte("no")},
			{Link: 113, Length: 60, Data: []byte("cut")},
		}
		got, err := readAll(bytes.NewReader(file))
		if err != nil || !equalPackets(got, want) {
			t.Errorf("%v: %v\n got %v\nwant %v", order, err, got, want)
		}
	}
}

func TestPcapngNonsense(t *testing.T) {
	le := binary.LittleEndian
	head := cat(section(le), iface(le, 1, 0))
	for name, tail := range map[string][]byte{
		"block of 8 bytes":      words(le, 77, 8),
		"block of 13 bytes":     words(le, 77, 13, 0, 0),
		"unknown interface":     block(le, 6, words(le, 1, 0, 0, 0, 0)),
		"more data than block":  block(le, 6, words(le, 0, 0, 0, 100, 100)),
		"packet without fields": block(le, 6, words(le, 0)),
		"section of no order":   words(le, 0x0a0d0d0a, 28, 0, 0, 0, 0, 28),
		"section of version 2":  cat(words(le, 0x0a0d0d0a, 28, 0x1a2b3c4d, 2), make([]byte, 12)),
	} {
		if _, err := readAll(bytes.NewReader(append(bytes.Clone(head), tail...))); !errors.Is(err, packet.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readAll(bytes.NewReader(cat(section(le), block(le, 3, words(le, 1, 1))))); !errors.Is(err, packet.ErrFormat) {
		t.Errorf("packet before an interface: %v", err)
	}
}

// zeros reads as zeros without end, but counts how much was read.
type zeros struct{ n int }

func (z *zeros) Read(b []byte) (int, error) {
	clear(b)
	z.n += len(b)
	return len(b), nil
}

// What a file claims is no reason to reserve memory.
func TestMemory(t *testing.T) {
	le := binary.LittleEndian
	// A pcap record claims 15 MiB, which the file does not have.
	file := pcapFile(le, 0xa1b2c3d4, 4, 1, words(le, 0, 0, 15<<20, 15<<20), make([]byte, 1000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := readAll(bytes.NewReader(file)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	// Unknown blocks of 4 GB are passed over.
	huge := cat(section(le), iface(le, 1, 0), words(le, 99, 1<<32-4))
	if _, err := readAll(io.MultiReader(bytes.NewReader(huge), io.LimitReader(&zeros{}, 1<<28))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
		t.Errorf("%d bytes allocated", n)
	}
	// Beyond any packet there is an end.
	file = pcapFile(le, 0xa1b2c3d4, 4, 1, words(le, 0, 0, 1<<30, 1<<30))
	if _, err := readAll(io.MultiReader(bytes.NewReader(file), &zeros{})); !errors.Is(err, packet.ErrFormat) {
		t.Error(err)
	}
}

// A packet larger than the buffer is read all the same.
func TestLargePacket(t *testing.T) {
	large := []packet.Packet{{Time: time.Unix(1, 0), Link: 1, Length: 3 << 20, Data: bytes.Repeat([]byte("0123456789abcdef"), 3<<16)}}
	large = append(large, somePackets...)
	for _, f := range []packet.Format{packet.Pcap, packet.Pcapng} {
		got, err := readAll(bytes.NewReader(write(t, f, large)))
		if err != nil || !equalPackets(got, large) {
			t.Errorf("format %d: %v, %d packets", f, err, len(got))
		}
	}
}

func TestWriterError(t *testing.T) {
	r, w := io.Pipe()
	broken := errors.New("gone")
	r.CloseWithError(broken)
	if _, err := packet.NewWriter(w, packet.Pcapng, 1); !errors.Is(err, broken) {
		t.Errorf("head: %v", err)
	}
	if _, err := packet.NewWriter(io.Discard, 9, 1); err == nil {
		t.Error("a format that does not exist")
	}
}
