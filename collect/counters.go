package collect

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/tributary-net/tributary/sflow"
)

// CounterSample is an sFlow counter sample with what its datagram says. It is
// valid until the function that it was handed to returns.
type CounterSample struct {
	Received time.Time
	Agent    netip.Addr // not valid if the agent does not tell
	SubAgent uint32
	Sequence uint32 // of the datagram, by sub-agent
	Uptime   uint32 // ms since the agent started
	Sample   *sflow.Sample

	values []sflow.Value
	seen   []sflow.Format
}

// AppendKey appends the key of the sample's Kafka record: the agent's address as
// text.
func (c *CounterSample) AppendKey(dst []byte) []byte {
	if !c.Agent.IsValid() {
		return dst
	}
	return c.Agent.AppendTo(dst)
}

// AppendJSON appends the sample as one JSON object without a newline. Its member
// counters has an object for each record whose layout is known, by the name of the
// structure; unknown has the others, and a second record of one format, with their
// octets in hexadecimal.
func (c *CounterSample) AppendJSON(dst []byte) []byte {
	number := func(name string, v uint64) {
		dst = strconv.AppendUint(append(dst, name...), v, 10)
	}
	s := c.Sample
	number(`{"time_received_ns":`, uint64(c.Received.UnixNano()))
	dst = append(c.AppendKey(append(dst, `,"sampler_address":"`...)), '"')
	number(`,"sub_agent":`, uint64(c.SubAgent))
	number(`,"sequence_num":`, uint64(c.Sequence))
	number(`,"uptime_ms":`, uint64(c.Uptime))
	number(`,"sample_sequence":`, uint64(s.Sequence))
	number(`,"source_id_type":`, uint64(s.SourceType))
	number(`,"source_id_index":`, uint64(s.SourceIndex))
	dst = append(dst, `,"counters":{`...)
	others, first := 0, true
	c.records(func(r sflow.Record, values []sflow.Value, left []byte) {
		if values == nil {
			others++
			return
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), sflow.CounterName(r.Format)...), `":`...)
		dst = appendValues(dst, values, left, true)
	})
	dst = append(dst, '}')
	if others == 0 {
		return append(dst, '}')
	}
	dst, first = append(dst, `,"unknown":[`...), true
	c.records(func(r sflow.Record, values []sflow.Value, _ []byte) {
		if values != nil {
			return
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		number(`{"enterprise":`, uint64(r.Format.Enterprise()))
		number(`,"format":`, uint64(r.Format.Number()))
		dst = append(hex.AppendEncode(append(dst, `,"value":"`...), r.Data), `"}`...)
	})
	return append(dst, "]}"...)
}

// records calls f for each record with its values, nil for one that has to stay
// octets: its layout is not known, nothing of it could be read, or it is the second
// of one format.
func (c *CounterSample) records(f func(r sflow.Record, values []sflow.Value, left []byte)) {
	c.seen = c.seen[:0]
	for _, r := range c.Sample.Records {
		values, left, known := sflow.AppendCounters(c.values[:0], r)
		c.values = values
		if !known || len(values) == 0 || slices.Contains(c.seen, r.Format) {
			f(r, nil, nil)
			continue
		}
		c.seen = append(c.seen, r.Format) // as many as there are layouts at most
		f(r, values, left)
	}
}
