package main

import (
	"errors"

	"github.com/tributary-net/tributary/flow"
)

// decodeValue appends the flow records in the value of a Kafka record to dst as
// JSON, one to a line, whatever format they are in. It returns false when the
// value is no flow record.
func decodeValue(value []byte, dst []byte) ([]byte, bool) {
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
