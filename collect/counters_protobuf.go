package collect

import (
	"bytes"
	"encoding/binary"

	"github.com/tributary-net/tributary/sflow"
)

// Field numbers of counters.proto. Those of a sample are none that flow records
// have, so that the two can be told apart.
const (
	protoTimeReceived = iota + 401
	protoSamplerAddress
	protoSubAgent
	protoSequence
	protoUptime
	protoSampleSequence
	protoSourceIDType
	protoSourceIDIndex
	protoRecords
)

const (
	protoEnterprise = iota + 1
	protoFormat
	protoRecordName
	protoValues
	protoOctets
)

const (
	protoName = iota + 1
	protoUint
	protoInt
	protoFloat
	protoString
	protoBytes
	protoIP
	protoMAC
	protoList
)

// Wire types of protocol buffers.
const (
	protoVarint = 0
	protoFixed8 = 1
	protoLength = 2
)

// AppendProtobuf appends the sample as the message CounterSample of counters.proto,
// without its length.
func (c *CounterSample) AppendProtobuf(dst []byte) []byte {
	s := c.Sample
	dst = appendNumber(dst, protoTimeReceived, uint64(c.Received.UnixNano()))
	if c.Agent.IsValid() {
		dst = appendOctets(dst, protoSamplerAddress, c.Agent.AsSlice())
	}
	dst = appendNumber(dst, protoSubAgent, uint64(c.SubAgent))
	dst = appendNumber(dst, protoSequence, uint64(c.Sequence))
	dst = appendNumber(dst, protoUptime, uint64(c.Uptime))
	dst = appendNumber(dst, protoSampleSequence, uint64(s.Sequence))
	dst = appendNumber(dst, protoSourceIDType, uint64(s.SourceType))
	dst = appendNumber(dst, protoSourceIDIndex, uint64(s.SourceIndex))
	c.records(func(r sflow.Record, values []sflow.Value, left []byte) {
		dst = appendMessage(dst, protoRecords, func(dst []byte) []byte {
			dst = appendNumber(dst, protoEnterprise, uint64(r.Format.Enterprise()))
			dst = appendNumber(dst, protoFormat, uint64(r.Format.Number()))
			if name := sflow.CounterName(r.Format); name != "" {
				dst = appendOctets(dst, protoRecordName, []byte(name))
			}
			if values == nil {
				left = r.Data
			}
			for len(values) > 0 {
				dst, values = appendProtoValue(dst, protoValues, values)
			}
			if len(left) > 0 {
				dst = appendOctets(dst, protoOctets, left)
			}
			return dst
		})
	})
	return dst
}

// appendProtoValue appends the first of values, with those that belong to it, and
// returns what follows.
func appendProtoValue(dst []byte, number uint64, values []sflow.Value) ([]byte, []sflow.Value) {
	v, rest := &values[0], values[1:]
	dst = appendMessage(dst, number, func(dst []byte) []byte {
		if v.Name != "" {
			dst = appendOctets(dst, protoName, []byte(v.Name))
		}
		switch v.Kind {
		case sflow.Uint32, sflow.Uint64:
			if !v.Unknown() {
				dst = appendVarint(appendVarint(dst, protoUint<<3|protoVarint), v.Num)
			}
		case sflow.Int:
			dst = appendVarint(appendVarint(dst, protoInt<<3|protoVarint), v.Num<<1^uint64(int64(v.Num)>>63))
		case sflow.Float:
			dst = binary.LittleEndian.AppendUint64(appendVarint(dst, protoFloat<<3|protoFixed8), v.Num)
		case sflow.MAC:
			dst = appendVarint(appendVarint(dst, protoMAC<<3|protoVarint), v.Num)
		case sflow.Text:
			dst = appendOctets(dst, protoString, bytes.ToValidUTF8(v.Bytes, []byte("\ufffd")))
		case sflow.IP:
			if len(v.Bytes) > 0 {
				dst = appendOctets(dst, protoIP, v.Bytes)
			}
		case sflow.UUID:
			text := appendUUID(nil, v.Bytes)
			dst = appendOctets(dst, protoString, text[1:len(text)-1])
		case sflow.Octets:
			dst = appendOctets(dst, protoBytes, v.Bytes)
		default:
			dst = appendMessage(dst, protoList, func(dst []byte) []byte {
				for range v.Num {
					dst, rest = appendProtoValue(dst, 1, rest)
				}
				return dst
			})
		}
		return dst
	})
	return dst, rest
}

func appendVarint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

// appendNumber appends a number; proto3 leaves zero out.
func appendNumber(dst []byte, number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return appendVarint(appendVarint(dst, number<<3|protoVarint), v)
}

func appendOctets(dst []byte, number uint64, b []byte) []byte {
	dst = appendVarint(appendVarint(dst, number<<3|protoLength), uint64(len(b)))
	return append(dst, b...)
}

// appendMessage appends a message whose fields body appends.
func appendMessage(dst []byte, number uint64, body func([]byte) []byte) []byte {
	dst = appendVarint(dst, number<<3|protoLength)
	start := len(dst)
	dst = body(append(dst, 0))
	n := uint64(len(dst) - start - 1)
	// Most are short: where the length takes more than one octet, make room.
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], n)
	dst = append(dst, length[1:size]...)
	copy(dst[start+size:], dst[start+1:len(dst)-size+1])
	copy(dst[start:], length[:size])
	return dst
}
