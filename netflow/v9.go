package netflow

import (
	"encoding/binary"
	"fmt"

	"github.com/tributary-net/tributary/ipfix"
)

// Set ids of NetFlow v9 (RFC 3954, 5.2 and 6.1).
const (
	V9TemplateSetID        = 0
	V9OptionsTemplateSetID = 1
)

// V9HeaderLen is the length of a v9 packet header in octets (RFC 3954, 5.1).
const V9HeaderLen = 20

// V9Header is a packet header (RFC 3954, 5.1).
type V9Header struct {
	Count     uint16 // records in the packet, of all kinds; some exporters count wrongly
	SysUptime uint32 // milliseconds since the exporter started, modulo 2^32
	UnixSecs  uint32 // export time, seconds since the Unix epoch
	Sequence  uint32 // packets sent before this one, modulo 2^32
	SourceID  uint32
}

// ParseV9Header reads the header and returns the FlowSets behind it.
func ParseV9Header(b []byte) (h V9Header, sets []byte, err error) {
	if len(b) < V9HeaderLen {
		return h, nil, fmt.Errorf("netflow v9 packet of %d octets: %w", len(b), ipfix.ErrTruncated)
	}
	if v := binary.BigEndian.Uint16(b); v != 9 {
		return h, nil, fmt.Errorf("netflow v9 packet of version %d: %w", v, ipfix.ErrVersion)
	}
	h = V9Header{
		Count:     binary.BigEndian.Uint16(b[2:]),
		SysUptime: binary.BigEndian.Uint32(b[4:]),
		UnixSecs:  binary.BigEndian.Uint32(b[8:]),
		Sequence:  binary.BigEndian.Uint32(b[12:]),
		SourceID:  binary.BigEndian.Uint32(b[16:]),
	}
	return h, b[V9HeaderLen:], nil
}

// Scope field types of an options template (RFC 3954, 6.1) do not share the
// numbers of information elements; ParseV9Templates gives scope fields this
// enterprise number to tell them apart.
const ScopeEnterprise = 0xffffffff

// The scope field types (RFC 3954, 6.1).
const (
	ScopeSystem    = 1
	ScopeInterface = 2
	ScopeLineCard  = 3
	ScopeCache     = 4
	ScopeTemplate  = 5
)

// ParseV9Templates reads the records of a template FlowSet or an options
// template FlowSet and calls emit for each; t is valid until emit returns. An
// invalid record ends the FlowSet; those before it stay valid.
func ParseV9Templates(set ipfix.Set, emit func(t *ipfix.Template)) error {
	t := ipfix.Template{Options: set.ID == V9OptionsTemplateSetID}
	for b := set.Body; len(b) >= 4; {
		t.ID = binary.BigEndian.Uint16(b)
		var count, scope int
		if t.Options {
			// RFC 3954, 6.1: lengths in octets, not counts.
			if len(b) < 6 {
				break
			}
			scope = int(binary.BigEndian.Uint16(b[2:])) / 4
			count = scope + int(binary.BigEndian.Uint16(b[4:]))/4
			if t.ID == 0 && count == 0 {
				return nil // padding
			}
			b = b[6:]
		} else {
			count = int(binary.BigEndian.Uint16(b[2:]))
			if t.ID == 0 && count == 0 {
				return nil // padding
			}
			b = b[4:]
		}
		if t.ID < ipfix.MinDataSetID || count > ipfix.MaxFields {
			return fmt.Errorf("template %d of %d fields: %w", t.ID, count, ipfix.ErrTemplate)
		}
		if len(b) < 4*count {
			return fmt.Errorf("template %d of %d fields: %w", t.ID, count, ipfix.ErrTruncated)
		}
		t.Scope, t.Fields = scope, t.Fields[:0]
		for i := range count {
			f := ipfix.Field{Length: binary.BigEndian.Uint16(b[2:])}
			f.ID = binary.BigEndian.Uint16(b)
			if i < scope {
				f.Enterprise = ScopeEnterprise
			}
			t.Fields = append(t.Fields, f)
			b = b[4:]
		}
		t.Measure()
		emit(&t)
	}
	return nil
}
