package flow

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// DecodeAny reads the records in the value of one Kafka record, or in one line
// of text, whichever of the formats it is in, and calls emit for each; r is the
// record that they are read into. It returns the format, or an error wrapping
// [ErrFormat]; an error of emit is returned as it is.
func DecodeAny(value []byte, r *Record, emit func(*Record) error) (Format, error) {
	if len(value) == 0 {
		return 0, ErrFormat
	}
	n := countDelimited(value)
	// A message of 123 octets begins with '{' too: its length.
	if value[0] == '{' && (n == 0 || json.Valid(value)) {
		f, err := decodeObject(value, r)
		if err != nil {
			return 0, err
		}
		return f, emit(r)
	}
	if n > 0 {
		for c := (wireCursor{b: value}); len(c.b) > 0; {
			if err := DecodeProtobuf(c.bytes(), r); err != nil {
				return 0, err
			}
			if err := emit(r); err != nil {
				return 0, err
			}
		}
		if n == 1 {
			return Protobuf, nil
		}
		return Packed, nil
	}
	if err := DecodeProtobuf(value, r); err != nil {
		return 0, err
	}
	return ProtobufSingle, emit(r)
}

// countDelimited returns how many messages, each with its length before it,
// fill value exactly; 0 when they do not, or one of them is no message.
func countDelimited(value []byte) int {
	n := 0
	for c := (wireCursor{b: value}); len(c.b) > 0; n++ {
		m := wireCursor{b: c.bytes()}
		for !m.bad {
			_, wire, ok := m.tag()
			if !ok {
				break
			}
			m.skipValue(wire)
		}
		if c.bad || m.bad {
			return 0
		}
	}
	return n
}

func (c *wireCursor) skipValue(wire int) {
	switch wire {
	case wireVarint:
		c.varint()
	case wireBytes:
		c.bytes()
	case wireFixed4:
		c.skip(4)
	case wireFixed8:
		c.skip(8)
	default:
		c.fail()
	}
}

// decodeObject reads a JSON object of goflow2's, ours or KFlow's.
func decodeObject(b []byte, r *Record) (Format, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	r.Reset()
	format, known := JSON, 0
	if object["dvc"] != nil {
		format = KFlow
	}
	var others []string
	for name, raw := range object {
		var ok bool
		if format == KFlow {
			ok = decodeKFlow(name, raw, r)
		} else {
			ok = decodeMember(name, raw, r)
		}
		switch {
		case ok:
			known++
		case format == JSON && !taken(name) && validExtraName(name):
			others = append(others, name)
		}
	}
	if known == 0 {
		return 0, ErrFormat
	}
	slices.Sort(others)
	for _, name := range others {
		decodeJSONExtra(name, object[name], r)
	}
	// Names do not tell all values apart; the numbers beside them do.
	for name, f := range map[string]Field{"proto_number": Proto, "etype_number": Etype} {
		if v, err := strconv.ParseUint(string(object[name]), 10, 32); err == nil {
			r.SetUint(f, v)
		}
	}
	return format, nil
}

var kflowFields = map[string]Field{
	"dvc": SamplerAddress, "src": SrcAddr, "srcp": SrcPort, "dst": DstAddr, "dstp": DstPort,
	"proto": Proto, "flags": TCPFlags, "bytes": Bytes, "pkts": Packets, "time": TimeExport,
}

func decodeKFlow(name string, raw json.RawMessage, r *Record) bool {
	f, ok := kflowFields[name]
	if !ok {
		return false
	}
	if fields[f].Kind == KindAddr {
		return decodeMember(fields[f].Name, raw, r)
	}
	limit, unit := wireTags[f].mask, uint64(1)
	if f == TimeExport {
		limit, unit = limit/1e6, 1e6 // milliseconds
	}
	v, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil || v > limit {
		return false
	}
	r.SetUint(f, v*unit)
	return true
}

// decodeMember sets one field from its JSON; false when it is not ours or its
// value is not of the field's kind.
func decodeMember(name string, raw json.RawMessage, r *Record) bool {
	if name == "elements" {
		return decodeJSONElements(raw, r)
	}
	f, ok := fieldsByName[name]
	if !ok {
		return false
	}
	switch fields[f].Kind {
	case KindUints, KindLayers, KindAddrs:
		return decodeJSONList(f, raw, r)
	}
	if len(raw) > 0 && raw[0] != '"' {
		v, err := strconv.ParseUint(string(raw), 10, 64)
		if err != nil || v > wireTags[f].mask || fields[f].Kind > KindNet {
			return false
		}
		r.SetUint(f, v)
		return true
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return false
	}
	return setText(r, f, text)
}

// decodeJSONExtra makes an extra field of a member that the table does not have.
// Its type is what JSON says of it.
func decodeJSONExtra(name string, raw json.RawMessage, r *Record) {
	add := func(t ExtraType, num uint64, b []byte) {
		r.extras = append(r.extras, ExtraValue{Extra: r.knownExtra([]byte(name), t), num: num, bytes: b})
	}
	switch raw[0] {
	case '"':
		var text string
		if json.Unmarshal(raw, &text) == nil {
			add(ExtraString, 0, []byte(text))
		}
	case 't':
		add(ExtraBool, 1, nil)
	case 'f':
		add(ExtraBool, 0, nil)
	case '[', '{':
		add(ExtraList, 0, oneLine(raw))
	case 'n':
	default:
		if v, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
			add(ExtraUint, v, nil)
		} else if v, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			add(ExtraInt, uint64(v), nil)
		} else if v, err := strconv.ParseFloat(string(raw), 64); err == nil {
			add(ExtraFloat, math.Float64bits(v), nil)
		}
	}
}

// oneLine returns JSON without line breaks, nil when text is not JSON.
func oneLine(text []byte) []byte {
	if !json.Valid(text) {
		return nil
	}
	if !bytes.ContainsAny(text, "\r\n") {
		return text
	}
	var b bytes.Buffer
	_ = json.Compact(&b, text) // it is valid
	return b.Bytes()
}

// setText sets f from the text that appendPlain makes of it.
func setText(r *Record, f Field, text string) bool {
	switch fields[f].Kind {
	case KindAddr:
		a, err := netip.ParseAddr(text)
		if err == nil {
			r.SetAddr(f, a)
		}
		return err == nil || text == ""
	case KindMAC:
		mac, err := net.ParseMAC(text)
		if err != nil || len(mac) != 6 {
			return false
		}
		var v uint64
		for _, b := range mac {
			v = v<<8 | uint64(b)
		}
		r.SetUint(f, v)
	case KindNet:
		if p, err := netip.ParsePrefix(text); err == nil {
			r.SetUint(f, uint64(p.Bits()))
		}
	case KindType:
		return setName(r, f, text, 5, func(v uint32) string { return FlowType(v).String() })
	case KindSource:
		return setName(r, f, text, uint32(len(sourceNames)), func(v uint32) string { return Source(v).String() })
	case KindProto:
		return setName(r, f, text, 256, ProtoName)
	case KindEtype:
		for _, etype := range [...]uint32{EtypeIPv4, EtypeIPv6, etypeARP} {
			if EtypeName(etype) == text {
				r.SetUint(f, uint64(etype))
			}
		}
	case KindText:
		r.SetBytes(f, []byte(text))
	case KindBytes:
		b, err := hex.DecodeString(text)
		if err == nil {
			r.SetBytes(f, b)
		}
		return err == nil
	default:
		return false
	}
	return true
}

// setName sets f to the first number below n that has the name.
func setName(r *Record, f Field, text string, n uint32, name func(uint32) string) bool {
	for v := range n {
		if name(v) == text {
			r.SetUint(f, uint64(v))
			return true
		}
	}
	return false
}

// decodeJSONList sets a list up to the first value that is not of the field's kind.
func decodeJSONList(f Field, raw json.RawMessage, r *Record) bool {
	var list []any
	if json.Unmarshal(raw, &list) != nil {
		return false
	}
	kind := fields[f].Kind
	for _, v := range list {
		switch v := v.(type) {
		case float64:
			n := uint32(v)
			if kind == KindAddrs || float64(n) != v {
				return false
			}
			r.AppendUint(f, n)
		case string:
			switch kind {
			case KindAddrs:
				a, err := netip.ParseAddr(v)
				if err != nil {
					return false
				}
				r.AppendAddr(f, a)
			case KindLayers:
				layer := LayerCustom
				if i := slices.Index(layerNames[:], v); i >= 0 {
					layer = Layer(i)
				}
				r.AppendUint(f, uint32(layer))
			default:
				return false
			}
		default:
			return false
		}
	}
	return true
}

func decodeJSONElements(raw json.RawMessage, r *Record) bool {
	var list []struct {
		Enterprise uint32
		ID         uint16
		Value      string
	}
	if json.Unmarshal(raw, &list) != nil {
		return false
	}
	for _, e := range list {
		v, err := hex.DecodeString(e.Value)
		if err != nil {
			return false
		}
		r.AppendElement(e.Enterprise, e.ID, v)
	}
	return true
}
