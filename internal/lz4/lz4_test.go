package lz4_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"

	own "github.com/tributary-net/tributary/internal/lz4"
)

// records is what a batch of n flow records looks like: tags, and values of which some repeat.
func records(n int, seed uint64) (out []byte) {
	rng := rand.New(rand.NewPCG(seed, 1))
	hosts := make([]uint32, 40)
	for i := range hosts {
		hosts[i] = rng.Uint32()
	}
	for i := range n {
		begin := len(out)
		out = append(out, 0, 0, 1)
		for tag := byte(8); tag < 20*8; tag += 8 {
			out = append(out, tag)
			switch tag >> 3 % 5 {
			case 0:
				out = binary.AppendUvarint(out, 1_700_000_000_000+uint64(i))
			case 1:
				out = binary.BigEndian.AppendUint32(out, hosts[rng.IntN(len(hosts))])
			case 2:
				out = binary.AppendUvarint(out, uint64(rng.ExpFloat64()*5000))
			case 3:
				out = append(out, 6)
			case 4:
				out = binary.BigEndian.AppendUint16(out, uint16(rng.Uint32()))
			}
		}
		out = append(out, byte(len(out)-begin))
	}
	return out
}

// check compresses and lets another's decoder read it.
func check(t *testing.T, table *own.Table, src []byte) (size int) {
	t.Helper()
	const before = "before"
	out := table.Append([]byte(before), src)
	if string(out[:len(before)]) != before || len(out)-len(before) > own.Bound(len(src)) {
		t.Fatalf("%d octets become %d, %q at first", len(src), len(out)-len(before), out[:len(before)])
	}
	out = out[len(before):]
	back := make([]byte, len(src))
	n, err := lz4.UncompressBlock(out, back)
	if err != nil || !bytes.Equal(back[:n], src) {
		t.Fatalf("%d octets, compressed to %d, come back as %d, %v", len(src), len(out), n, err)
	}
	return len(out)
}

func TestAppend(t *testing.T) {
	var table own.Table
	random := make([]byte, 300_000)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for n := range 600 {
		check(t, &table, records(8, 1)[:n])
		check(t, &table, make([]byte, n))
		check(t, &table, random[:n])
		check(t, &table, append(bytes.Repeat([]byte("ab"), n), random[:n]...))
	}
	// Repeated as far back as a match reaches, and one octet farther.
	for _, distance := range []int{65535, 65536} {
		check(t, &table, append(random[:distance:distance], random[:1000]...))
	}
	check(t, &table, random)
	check(t, &table, append(append(make([]byte, 100_000), random[:1000]...), make([]byte, 70_000)...))
}

// TestRatio: batches are not much larger than the fast level of the usual library makes them.
func TestRatio(t *testing.T) {
	var table own.Table
	var usual lz4.Compressor
	for seed := range uint64(5) {
		src := records(5000, seed)
		size := check(t, &table, src)
		n, err := usual.CompressBlock(src, make([]byte, lz4.CompressBlockBound(len(src))))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d octets: %d, the library %d", len(src), size, n)
		if size > n*6/5 {
			t.Errorf("%d octets become %d, with the library %d", len(src), size, n)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	var table own.Table
	src := records(1000, 1)
	dst := make([]byte, 0, own.Bound(len(src)))
	if n := testing.AllocsPerRun(10, func() { dst = table.Append(dst[:0], src) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte(nil), 1)
	f.Add(records(3, 1), 2)
	f.Add(bytes.Repeat([]byte{7}, 100), 700)
	f.Add([]byte("0123456789abcdef0123456x89abcdef"), 3000)
	f.Fuzz(func(t *testing.T, src []byte, times int) {
		var table own.Table
		if len(src) > 0 {
			src = bytes.Repeat(src, min(max(1, times), 1+200_000/len(src)))
		}
		check(t, &table, src)
	})
}

// BenchmarkAppend is beside the library's fast level, on the same batch.
func BenchmarkAppend(b *testing.B) {
	src := records(8000, 1)
	dst := make([]byte, 0, own.Bound(len(src)))
	b.Run("ours", func(b *testing.B) {
		var table own.Table
		b.SetBytes(int64(len(src)))
		b.ReportAllocs()
		for b.Loop() {
			dst = table.Append(dst[:0], src)
		}
		b.ReportMetric(float64(len(dst))/float64(len(src)), "ratio")
	})
	b.Run("library", func(b *testing.B) {
		var c lz4.Compressor
		b.SetBytes(int64(len(src)))
		n := 0
		for b.Loop() {
			n, _ = c.CompressBlock(src, dst[:cap(dst)])
		}
		b.ReportMetric(float64(n)/float64(len(src)), "ratio")
	})
}
