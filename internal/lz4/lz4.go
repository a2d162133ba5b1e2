// Package lz4 compresses blocks as LZ4 has them (LZ4 Block Format, 2022-07-31), fast, for
// what telemetry is made of: records of one shape, one after the other.
//
// What such a record shares with an earlier one is cut up by the values that differ, and where
// one match ends the next one mostly begins a few octets later, at the same distance. It is
// looked for there before any hash is made. The hash table is small enough to stay in the
// processor's first cache beside everything else.
package lz4

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The format's own numbers.
const (
	minMatch    = 4
	maxDistance = 1<<16 - 1
	lastPlain   = 5  // octets at the end belong to no match
	tokenFull   = 15 // in half a token: more octets of the length follow
)

const (
	hashBits = 12
	// margin is how far before the end the search stops: so far that nothing it reads or copies
	// at once, up to 16 octets, lies beyond. The format wants 12 for a match to begin.
	margin = 24
	// patience is how many positions are tried, as a power of two, before they become sparser.
	patience = 5
)

// Table is the memory of a compression, to be used again. It needs no preparation.
type Table struct{ at [1 << hashBits]uint32 }

// Bound is how long a compressed block of n octets may become.
func Bound(n int) int { return n + n/255 + 16 }

// Append appends src, of at most 2 GiB, as a block to dst.
func (t *Table) Append(dst, src []byte) []byte {
	at := len(dst)
	if need := at + Bound(len(src)); cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	dst = dst[:cap(dst)]
	n, plain := at, src
	if len(src) > margin {
		var anchor int
		n, anchor = t.matches(dst, at, src)
		plain = src[anchor:]
	}
	dst[n] = byte(min(len(plain), tokenFull) << 4)
	if n++; len(plain) >= tokenFull {
		n = putLength(dst, n, len(plain)-tokenFull)
	}
	n += copy(dst[n:], plain)
	return dst[:n]
}

// matches writes sequences, each of plain octets and a match, to dst[n:], and returns where they
// end there, and where in src.
func (t *Table) matches(dst []byte, n int, src []byte) (end, anchor int) {
	clear(t.at[:])
	stop := len(src) - margin
	table := &t.at
	from, distance := 0, 0
	for i := 1; i < stop; i++ {
		// Somewhere, at any distance.
		for step := 1 << patience; ; step++ {
			v := load(src, i)
			h := hash(v)
			from = int(table[h])
			table[h] = uint32(i)
			if uint32(load(src, from)) == uint32(v) && i-from <= maxDistance {
				break
			}
			if i += step >> patience; i >= stop {
				return n, anchor
			}
		}
		for i > anchor && from > 0 && src[i-1] == src[from-1] {
			i, from = i-1, from-1
		}
		distance = i - from
		for {
			table[hash(load(src, i+1))] = uint32(i + 1)
			length := minMatch
			if x := load(src, i+minMatch) ^ load(src, i+minMatch-distance); x != 0 {
				length += bits.TrailingZeros64(x) >> 3
			} else {
				length = match(src, i, distance)
			}
			if plain, more := i-anchor, length-minMatch; plain < tokenFull && more < tokenFull {
				to := dst[n : n+20 : n+20]
				to[0] = byte(plain<<4 | more)
				*(*[16]byte)(to[1:]) = *(*[16]byte)(src[anchor : anchor+16 : len(src)])
				binary.LittleEndian.PutUint16(to[1+plain:], uint16(distance))
				n += 3 + plain
			} else {
				n = sequence(dst, n, src[anchor:i], distance, length)
			}
			i += length
			anchor = i
			if i >= stop {
				return n, anchor
			}
			table[hash(load(src, i-2))] = uint32(i - 2)
			// Right here, at any distance.
			v := load(src, i)
			h := hash(v)
			from = int(table[h])
			table[h] = uint32(i)
			if (load(src, from)^v)<<16 == 0 && i-from <= maxDistance {
				distance = i - from
				continue
			}
			// One to four octets on, at the same distance, if five are the same there: less is
			// hardly worth a match's own three.
			same := equal(load(src, i+1) ^ load(src, i+1-distance))
			same &= same >> 8 & (same >> 16) & (same >> 24) & (same >> 32)
			if same == 0 {
				break
			}
			if i += 1 + bits.TrailingZeros64(same)>>3; i >= stop {
				return n, anchor
			}
		}
	}
	return n, anchor
}

// match is how many octets from i on are as distance before, where the first four are; no more
// than may be in a match.
func match(src []byte, i, distance int) int {
	most := len(src) - lastPlain
	m := i + minMatch
	for ; m < most-8; m += 8 {
		if x := load(src, m) ^ load(src, m-distance); x != 0 {
			return m + bits.TrailingZeros64(x)>>3 - i
		}
	}
	for m < most && src[m] == src[m-distance] {
		m++
	}
	return m - i
}

// sequence writes plain octets and a match to dst[n:], and returns where they end.
func sequence(dst []byte, n int, plain []byte, distance, length int) int {
	length -= minMatch
	dst[n] = byte(min(len(plain), tokenFull)<<4 | min(length, tokenFull))
	if n++; len(plain) >= tokenFull {
		n = putLength(dst, n, len(plain)-tokenFull)
	}
	n += copy(dst[n:], plain)
	binary.LittleEndian.PutUint16(dst[n:], uint16(distance))
	if n += 2; length >= tokenFull {
		n = putLength(dst, n, length-tokenFull)
	}
	return n
}

// putLength writes what a token has no room for.
func putLength(dst []byte, n, length int) int {
	for ; length >= 255; length -= 255 {
		dst[n] = 255
		n++
	}
	dst[n] = byte(length)
	return n + 1
}

// load is eight octets at once. Callers stay so far before the end; a check here would take a
// seventh of all the time.
func load(b []byte, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))[:])
}

// hash is of six octets: shorter matches are found beside longer ones, or are not worth it.
func hash(v uint64) uint64 { return v << 16 * 0x9e3779b97f4a7c15 >> (64 - hashBits) }

// equal has the highest bit of each octet that is 0 in x.
func equal(x uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	return ^(x&low + low | x | low)
}
