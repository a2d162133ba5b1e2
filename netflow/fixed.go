package netflow

import (
	"encoding/binary"
	"fmt"

	"github.com/tributary-net/tributary/ipfix"
)

// Lengths of headers and records of the fixed versions, in octets. Cisco,
// NetFlow Export Datagram Format, tables B-1 to B-6.
const (
	V1HeaderLen, V1RecordLen = 16, 48
	V5HeaderLen, V5RecordLen = 24, 48
	V7HeaderLen, V7RecordLen = 24, 52
)

// Header is the header of a datagram of version 1, 5 or 7.
type Header struct {
	Version   uint16
	Count     uint16 // records announced
	SysUptime uint32 // milliseconds since the exporter started, modulo 2^32
	UnixSecs  uint32 // export time, seconds since the Unix epoch
	UnixNsecs uint32 // residual nanoseconds
	Sequence  uint32 // flows sent before this datagram, modulo 2^32; versions 5 and 7

	// Version 5 alone.
	EngineType, EngineID uint8
	SamplingMode         uint8  // top two bits of the sampling field
	SamplingInterval     uint16 // low fourteen bits
}

// Record is one flow record of version 1, 5 or 7. Fields that a version does not
// have are zero.
type Record struct {
	SrcAddr, DstAddr, NextHop [4]byte
	Input, Output             uint16 // ifIndex
	Packets, Octets           uint32
	First, Last               uint32 // SysUptime at the first and the last packet
	SrcPort, DstPort          uint16
	TCPFlags, Proto, Tos      uint8
	SrcAS, DstAS              uint16
	SrcMask, DstMask          uint8
	Flags                     uint16  // version 7: which fields are not valid
	RouterSC                  [4]byte // version 7: router that the switch bypassed
}

// ParseHeader reads the header of a datagram of version 1, 5 or 7 and returns
// the records behind it: as many whole ones as are announced. Where fewer are
// there, it returns [ipfix.ErrTruncated] beside them.
func ParseHeader(b []byte) (h Header, records []byte, err error) {
	if len(b) < V1HeaderLen {
		return h, nil, fmt.Errorf("netflow datagram of %d octets: %w", len(b), ipfix.ErrTruncated)
	}
	h = Header{
		Version:   binary.BigEndian.Uint16(b),
		Count:     binary.BigEndian.Uint16(b[2:]),
		SysUptime: binary.BigEndian.Uint32(b[4:]),
		UnixSecs:  binary.BigEndian.Uint32(b[8:]),
		UnixNsecs: binary.BigEndian.Uint32(b[12:]),
	}
	headerLen := V5HeaderLen // version 7's is as long
	switch h.Version {
	case 1:
		headerLen = V1HeaderLen
	case 5, 7:
		if len(b) < headerLen {
			return h, nil, fmt.Errorf("netflow v%d datagram of %d octets: %w", h.Version, len(b), ipfix.ErrTruncated)
		}
		h.Sequence = binary.BigEndian.Uint32(b[16:])
		if h.Version == 5 {
			h.EngineType, h.EngineID = b[20], b[21]
			sampling := binary.BigEndian.Uint16(b[22:])
			h.SamplingMode, h.SamplingInterval = uint8(sampling>>14), sampling&0x3fff
		}
	default:
		return h, nil, fmt.Errorf("netflow datagram of version %d: %w", h.Version, ipfix.ErrVersion)
	}
	records = b[headerLen:]
	n := RecordLen(h.Version)
	if want := int(h.Count) * n; want <= len(records) {
		return h, records[:want], nil
	}
	have := len(records) / n
	return h, records[:have*n], fmt.Errorf("netflow v%d datagram of %d records announces %d: %w", h.Version, have, h.Count, ipfix.ErrTruncated)
}

// RecordLen returns the length of a record of version 1, 5 or 7 in octets.
func RecordLen(version uint16) int {
	if version == 7 {
		return V7RecordLen
	}
	return V5RecordLen // version 1's are as long
}

// Decode reads a record of the given version. b has at least RecordLen octets.
func (r *Record) Decode(version uint16, b []byte) {
	_ = b[RecordLen(version)-1]
	r.SrcAddr = [4]byte(b[0:4])
	r.DstAddr = [4]byte(b[4:8])
	r.NextHop = [4]byte(b[8:12])
	r.Input = binary.BigEndian.Uint16(b[12:])
	r.Output = binary.BigEndian.Uint16(b[14:])
	r.Packets = binary.BigEndian.Uint32(b[16:])
	r.Octets = binary.BigEndian.Uint32(b[20:])
	r.First = binary.BigEndian.Uint32(b[24:])
	r.Last = binary.BigEndian.Uint32(b[28:])
	r.SrcPort = binary.BigEndian.Uint16(b[32:])
	r.DstPort = binary.BigEndian.Uint16(b[34:])
	if version == 1 {
		// Octets 36 and 37 are padding; protocol, tos and flags follow, then
		// seven octets of padding.
		r.Proto, r.Tos, r.TCPFlags = b[38], b[39], b[40]
		r.SrcAS, r.DstAS, r.SrcMask, r.DstMask = 0, 0, 0, 0
		r.Flags, r.RouterSC = 0, [4]byte{}
		return
	}
	r.TCPFlags, r.Proto, r.Tos = b[37], b[38], b[39]
	r.SrcAS = binary.BigEndian.Uint16(b[40:])
	r.DstAS = binary.BigEndian.Uint16(b[42:])
	r.SrcMask, r.DstMask = b[44], b[45]
	r.Flags, r.RouterSC = 0, [4]byte{}
	if version == 7 {
		// Octet 36 flags invalid fields among those of octets 0 to 35, octets
		// 46 and 47 the rest.
		r.Flags = uint16(b[36])<<8 | binary.BigEndian.Uint16(b[46:])&0xff
		r.RouterSC = [4]byte(b[48:52])
	}
}
