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
	s := c.Sample
	dst = appendSampleHead(dst, [...]uint64{
		uint64(c.Received.UnixNano()), 0, uint64(c.SubAgent), uint64(c.Sequence), uint64(c.Uptime),
		uint64(s.Sequence), uint64(s.SourceType), uint64(s.SourceIndex),
	}, c.Agent)
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
		dst = strconv.AppendUint(append(dst, `{"enterprise":`...), uint64(r.Format.Enterprise()), 10)
		dst = strconv.AppendUint(append(dst, `,"format":`...), uint64(r.Format.Number()), 10)
		dst = append(hex.AppendEncode(append(dst, `,"value":"`...), r.Data), `"}`...)
	})
	return append(dst, "]}"...)
}

// sampleNumbers are the names of a sample's members in JSON, in the order of
// counters.proto; the second is the agent's address.
var sampleNumbers = [...]string{
	"time_received_ns", "sampler_address", "sub_agent", "sequence_num", "uptime_ms", "sample_sequence", "source_id_type", "source_id_index",
}

// appendSampleHead appends the object of a sample up to its counters.
func appendSampleHead(dst []byte, numbers [len(sampleNumbers)]uint64, agent netip.Addr) []byte {
	sep := byte('{')
	for i, name := range sampleNumbers {
		dst = append(append(append(dst, sep, '"'), name...), `":`...)
		sep = ','
		if i != protoSamplerAddress-protoTimeReceived {
			dst = strconv.AppendUint(dst, numbers[i], 10)
			continue
		}
		if dst = append(dst, '"'); agent.IsValid() {
			dst = agent.AppendTo(dst)
		}
		dst = append(dst, '"')
	}
	return append(dst, `,"counters":{`...)
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
