package collect

import (
	"encoding/hex"
	"math"
	"strconv"
	"sync"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/sflow"
)

// appendValues appends the values of an sFlow record as a JSON object, with octets
// that its layout does not explain as a member "more". Counters that the source
// does not count are null.
func appendValues(dst []byte, values []sflow.Value, left []byte, counters bool) []byte {
	dst = append(dst, '{')
	for first := true; len(values) > 0; first = false {
		if !first {
			dst = append(dst, ',')
		}
		dst, values = appendMember(dst, values, counters)
	}
	if len(left) > 0 {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(hex.AppendEncode(append(dst, `"more":"`...), left), '"')
	}
	return append(dst, '}')
}

func appendMember(dst []byte, values []sflow.Value, counters bool) ([]byte, []sflow.Value) {
	dst = append(append(append(dst, '"'), values[0].Name...), `":`...)
	return appendValue(dst, values, counters)
}

// appendValue appends the first of values, with those that belong to it, and
// returns what follows.
func appendValue(dst []byte, values []sflow.Value, counters bool) ([]byte, []sflow.Value) {
	v, values := &values[0], values[1:]
	switch v.Kind {
	case sflow.Uint32, sflow.Uint64:
		if counters && v.Unknown() {
			return append(dst, "null"...), values
		}
		return strconv.AppendUint(dst, v.Num, 10), values
	case sflow.Int:
		return strconv.AppendInt(dst, int64(v.Num), 10), values
	case sflow.Float:
		return appendFloat(dst, math.Float64frombits(v.Num)), values
	case sflow.MAC:
		return appendMAC(dst, v.Num), values
	case sflow.Text:
		return ipfix.AppendValue(dst, ipfix.Element{Type: ipfix.String}, v.Bytes), values
	case sflow.IP:
		return ipfix.AppendValue(dst, ipfix.Element{Type: ipfix.IPv6Address}, v.Bytes), values
	case sflow.UUID:
		return appendUUID(dst, v.Bytes), values
	case sflow.Octets:
		return append(hex.AppendEncode(append(dst, '"'), v.Bytes), '"'), values
	}
	open, shut, each := byte('['), byte(']'), appendValue
	if v.Kind == sflow.Group {
		open, shut, each = '{', '}', appendMember
	}
	dst = append(dst, open)
	for i := range v.Num {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, values = each(dst, values, counters)
	}
	return append(dst, shut), values
}

// appendFloat appends a number that was one of 32 bits.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 32)
}

func appendMAC(dst []byte, v uint64) []byte {
	for shift := 40; shift >= 0; shift -= 8 {
		sep := byte(':')
		if shift == 40 {
			sep = '"'
		}
		dst = hex.AppendEncode(append(dst, sep), []byte{byte(v >> shift)})
	}
	return append(dst, '"')
}

// appendUUID appends 16 octets as RFC 9562, section 4, has them.
func appendUUID(dst, b []byte) []byte {
	sep := byte('"')
	for _, n := range [...]int{4, 2, 2, 2, 6} {
		dst = hex.AppendEncode(append(dst, sep), b[:n])
		b, sep = b[n:], '-'
	}
	return append(dst, '"')
}

// sflowExtras are the extra fields of sFlow's flow records, one for each structure
// that has one, by format.
var sflowExtras = sync.OnceValue(func() map[sflow.Format]*flow.Extra {
	m := make(map[sflow.Format]*flow.Extra)
	for _, f := range sflow.FlowFormats() {
		if e, err := flow.NewExtra(sflow.FlowName(f), flow.ExtraList); err == nil {
			m[f] = e
		}
	}
	return m
})

// Values of structures that have fields of the table for the others.
var (
	extraSrcPriority = mustExtra("src_priority")
	extraDstPriority = mustExtra("dst_priority")
	extraSrcPeerAS   = mustExtra("src_peer_as")
	extraLocalPref   = mustExtra("localpref")
)

func mustExtra(name string) *flow.Extra {
	e, err := flow.NewExtra(name, flow.ExtraUint)
	if err != nil {
		panic(err)
	}
	return e
}

// structure makes an extra field of a flow record, JSON with its values; false if
// the layout is not known, nothing of it could be read, the record has a field of
// that name already, or there is no more room for text.
func (s *scratch) structure(record sflow.Record, r *flow.Record) bool {
	e := sflowExtras()[record.Format]
	if e == nil {
		return false
	}
	values, left, known := sflow.AppendFlow(s.fields[:0], record)
	s.fields = values
	if !known || len(values) == 0 || s.listText >= maxListText || len(record.Data) > maxRecordText/8 {
		return false
	}
	if _, ok := r.Extra(e.Name()); ok {
		return false
	}
	start := len(s.text)
	s.text = appendValues(s.text, values, left, false)
	s.listText += len(s.text) - start
	r.AppendExtraBytes(e, s.text[start:len(s.text):len(s.text)])
	return true
}
