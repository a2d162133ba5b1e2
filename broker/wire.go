package broker

import (
	"encoding/binary"
	"errors"
	"math"
)

// errMalformed ends the connection that sent a frame which is not what its header says.
var errMalformed = errors.New("malformed request")

// cursor reads the protocol's types from a frame. It never reads beyond the end: the first value that is not there sets
// bad, and everything from then on is zero.
type cursor struct {
	b    []byte
	more *stream // where the rest comes from, nil when b is all
	bad  bool
}

func (c *cursor) fail() {
	c.bad = true
	c.b = nil
}

// err is why the cursor is bad.
func (c *cursor) err() error {
	if c.more != nil && c.more.err != nil {
		return c.more.err
	}
	return errMalformed
}

// need has n bytes be there, if the frame has as many.
func (c *cursor) need(n int) bool {
	if n > len(c.b) && c.more != nil && !c.bad {
		c.b = c.more.refill(len(c.b), n)
	}
	return n <= len(c.b)
}

// remaining is how many bytes the frame still has.
func (c *cursor) remaining() int {
	if c.more != nil && !c.bad {
		return c.more.unread(len(c.b))
	}
	return len(c.b)
}

func (c *cursor) take(n int) []byte {
	if n < 0 || !c.need(n) {
		c.fail()
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) int8() int8 {
	v := c.take(1)
	if v == nil {
		return 0
	}
	return int8(v[0])
}

func (c *cursor) int16() int16 {
	v := c.take(2)
	if v == nil {
		return 0
	}
	return int16(binary.BigEndian.Uint16(v))
}

func (c *cursor) int32() int32 {
	v := c.take(4)
	if v == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(v))
}

func (c *cursor) int64() int64 {
	v := c.take(8)
	if v == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(v))
}

func (c *cursor) uuid() (id [16]byte) {
	copy(id[:], c.take(16))
	return id
}

// uvarint reads an unsigned varint of at most 32 bits.
func (c *cursor) uvarint() uint32 {
	c.need(min(binary.MaxVarintLen32, c.remaining()))
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > math.MaxUint32 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return uint32(v)
}

// compactLen reads the length of a compact string, bytes or array: one more than the length, 0 for null, which is -1 here.
func (c *cursor) compactLen() int {
	n := c.uvarint()
	if uint64(n) > math.MaxInt32 {
		c.fail()
		return -1
	}
	return int(n) - 1
}

// str reads a string, null as nil. The bytes are those of the frame.
func (c *cursor) str(flexible bool) []byte {
	n := -1
	if flexible {
		n = c.compactLen()
	} else {
		n = int(c.int16())
	}
	if n == -1 {
		return nil
	}
	return c.take(n)
}

// bytes reads a byte array, null as nil. The bytes are those of the frame, and gone with the next that are read when it
// is a stream.
func (c *cursor) bytes(flexible bool) []byte {
	n := -1
	if flexible {
		n = c.compactLen()
	} else {
		n = int(c.int32())
	}
	switch {
	case n == -1:
		return nil
	case n > len(c.b) && c.more != nil && !c.bad:
		b := c.more.block(len(c.b), n)
		if c.b = nil; b == nil {
			c.fail()
		}
		return b
	}
	return c.take(n)
}

// arrayLen reads the number of elements of an array whose elements take minSize bytes at least, -1 for null. A number
// that cannot fit in what is left is an error.
func (c *cursor) arrayLen(flexible bool, minSize int) int {
	n := -1
	if flexible {
		n = c.compactLen()
	} else {
		n = int(c.int32())
	}
	if n < -1 || n > c.remaining()/minSize {
		c.fail()
		return -1
	}
	return n
}

// tags skips a tagged field section (KIP-482).
func (c *cursor) tags(flexible bool) {
	if !flexible {
		return
	}
	n := c.uvarint()
	if uint64(n)*2 > uint64(c.remaining()) {
		c.fail()
		return
	}
	for ; n > 0 && !c.bad; n-- {
		c.uvarint()
		c.take(int(c.uvarint()))
	}
}

func appendInt16(b []byte, v int16) []byte { return binary.BigEndian.AppendUint16(b, uint16(v)) }
func appendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func putInt32(b []byte, v int32) { binary.BigEndian.PutUint32(b, uint32(v)) }

// appendArrayLen appends the number of elements of an array that is not null.
func appendArrayLen(b []byte, flexible bool, n int) []byte {
	if flexible {
		return binary.AppendUvarint(b, uint64(n)+1)
	}
	return appendInt32(b, int32(n))
}

// appendString appends a string that is not null.
func appendString(b []byte, flexible bool, s []byte) []byte {
	if flexible {
		b = binary.AppendUvarint(b, uint64(len(s))+1)
	} else {
		b = appendInt16(b, int16(len(s)))
	}
	return append(b, s...)
}

// appendNullableString appends a string, the empty one as null.
func appendNullableString(b []byte, flexible bool, s string) []byte {
	switch {
	case s != "":
		return appendString(b, flexible, []byte(s))
	case flexible:
		return append(b, 0)
	default:
		return appendInt16(b, -1)
	}
}

// appendTags appends an empty tagged field section.
func appendTags(b []byte, flexible bool) []byte {
	if flexible {
		return append(b, 0)
	}
	return b
}
