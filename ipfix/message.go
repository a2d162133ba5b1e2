package ipfix

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is the version number of an IPFIX message (RFC 7011, 3.1).
const Version = 10

// HeaderLen is the length of the message header in octets (RFC 7011, 3.1).
const HeaderLen = 16

// Set ids (RFC 7011, 3.3.2). Ids from MinDataSetID on are those of templates.
const (
	TemplateSetID        = 2
	OptionsTemplateSetID = 3
	MinDataSetID         = 256
)

// VariableLength as the length of a field says that each record brings it
// (RFC 7011, 7).
const VariableLength = 65535

var (
	// ErrTruncated says that a length on the wire points beyond what there is.
	ErrTruncated = errors.New("truncated")
	// ErrVersion says that the message is of another version.
	ErrVersion = errors.New("wrong version")
	// ErrTrailing says that a message ends before the octets do.
	ErrTrailing = errors.New("octets behind the end")
	// ErrTemplate says that a template record is not valid.
	ErrTemplate = errors.New("invalid template")
)

// Header is a message header (RFC 7011, 3.1).
type Header struct {
	Length     uint16 // of the message with its header, octets
	ExportTime uint32 // seconds since the Unix epoch
	Sequence   uint32 // data records sent before this message, modulo 2^32
	Domain     uint32 // observation domain id
}

// ParseHeader reads the header and returns the sets behind it. A message that
// announces more octets than there are is read as far as it goes, and
// [ErrTruncated] is returned beside the sets. Octets beyond the announced length
// are left out; unless they are zeros, [ErrTrailing] is returned beside the sets.
func ParseHeader(b []byte) (h Header, sets []byte, err error) {
	if len(b) < HeaderLen {
		return h, nil, fmt.Errorf("ipfix message of %d octets: %w", len(b), ErrTruncated)
	}
	if v := binary.BigEndian.Uint16(b); v != Version {
		return h, nil, fmt.Errorf("ipfix message of version %d: %w", v, ErrVersion)
	}
	h = Header{
		Length:     binary.BigEndian.Uint16(b[2:]),
		ExportTime: binary.BigEndian.Uint32(b[4:]),
		Sequence:   binary.BigEndian.Uint32(b[8:]),
		Domain:     binary.BigEndian.Uint32(b[12:]),
	}
	switch n := int(h.Length); {
	case n < HeaderLen:
		return h, nil, fmt.Errorf("ipfix message of announced length %d: %w", n, ErrTruncated)
	case n > len(b):
		return h, b[HeaderLen:], fmt.Errorf("ipfix message of announced length %d in %d octets: %w", n, len(b), ErrTruncated)
	case n < len(b) && !allZero(b[n:]):
		return h, b[HeaderLen:n], fmt.Errorf("ipfix message of announced length %d in %d octets: %w", n, len(b), ErrTrailing)
	default:
		return h, b[HeaderLen:n], nil
	}
}

// Set is one set of a message: its id and what follows its header.
type Set struct {
	ID   uint16
	Body []byte
}

// Sets goes through the sets of a message.
type Sets struct {
	rest []byte
	err  error
}

// SetsOf returns an iterator over the sets in b.
func SetsOf(b []byte) Sets { return Sets{rest: b} }

// Next reads the next set into s and reports whether there was one. A set whose
// length is less than its header's or more than what is left ends the message
// with [ErrTruncated]. Fewer than four octets at the end are padding, as are
// zeros at the end, which some exporters send (a set of id 0 and length 0).
func (s *Sets) Next(set *Set) bool {
	if len(s.rest) < 4 || s.err != nil {
		return false
	}
	// RFC 7011, 3.3.2.
	id, n := binary.BigEndian.Uint16(s.rest), int(binary.BigEndian.Uint16(s.rest[2:]))
	if n < 4 {
		if id != 0 || n != 0 || !allZero(s.rest) {
			s.err = fmt.Errorf("set %d of length %d: %w", id, n, ErrTruncated)
		}
		return false
	}
	if n > len(s.rest) {
		s.err = fmt.Errorf("set %d of length %d in %d octets: %w", id, n, len(s.rest), ErrTruncated)
		return false
	}
	set.ID, set.Body = id, s.rest[4:n]
	s.rest = s.rest[n:]
	return true
}

// Err returns what was wrong with the message, once Next has returned false.
func (s *Sets) Err() error { return s.err }

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
