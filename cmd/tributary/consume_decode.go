package main

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
)

// counterSample is how JSON of a counter sample begins, and that of no flow record.
var counterSample = []byte(`{"time_received_ns":`)

// decodeValue appends the flow records in the value of a Kafka record to dst as
// JSON, one to a line, whatever format they are in, and so a counter sample. It
// returns false when the value is neither.
func decodeValue(value []byte, dst []byte) ([]byte, bool) {
	if bytes.HasPrefix(value, counterSample) && json.Valid(value) {
		return append(dst, value...), true
	}
	if dst, ok := collect.AppendCountersJSON(dst, value); ok {
		return dst, true
	}
	var r flow.Record
	begin := len(dst)
	_, err := flow.DecodeAny(value, &r, func(r *flow.Record) error {
		if len(dst) > begin {
			dst = append(dst, '\n')
		}
		dst = flow.AppendJSON(dst, r)
		return nil
	})
	if err != nil && (errors.Is(err, flow.ErrFormat) || len(dst) == begin) {
		return dst[:begin], false
	}
	return dst, true
}
