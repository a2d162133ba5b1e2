package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceRequest is a produce request for one topic.
type produceRequest struct {
	topic   string
	acks    int16
	timeout time.Duration // of the broker, for the other replicas
	batches []partitionBatch
}

// partitionBatch is a record batch for a partition.
type partitionBatch struct {
	partition int32
	records   []byte
}

// Versions of produce requests: with record batches since 3. Those that are flexible (KIP-482),
// from 9 on, have nothing that is wanted here, and tagged fields in the answer, of which
// kmsg believes any number: four billion of them, that are not there, take it a minute.
const produceLeast, produceMost = 3, 8

// send writes a request and reads the answer, for which a broker that has to wait for its
// replicas gets the time that it may take for that besides. With acks=0 there is none, and
// nil is returned. sent is whether anything of the request left: if not, the broker knows
// nothing of it.
func (c *conn) send(ctx context.Context, req *produceRequest) (answer *kmsg.ProduceResponse, sent bool, err error) {
	if !c.expiry.IsZero() && time.Now().After(c.expiry) {
		if err := c.authenticate(ctx); err != nil {
			return nil, false, fmt.Errorf("authenticate again: %w", err)
		}
	}
	version, err := c.produce.pick(kmsg.Produce, produceLeast, produceMost)
	if err != nil {
		return nil, false, err
	}
	c.encode(req, version)
	x := exchange{key: kmsg.Produce, answered: req.acks != 0, wait: c.timeout + req.timeout}
	written, body, err := c.exchange(x)
	if err != nil || !x.answered {
		return nil, written > 0, err
	}
	answer = kmsg.NewPtrProduceResponse()
	answer.Version = version
	if err := answer.ReadFrom(body); err != nil {
		return nil, true, fmt.Errorf("%w: Produce: %w", errNonsense, err)
	}
	if answer.ThrottleMillis > 0 {
		c.hooks.throttled(c.broker, time.Duration(answer.ThrottleMillis)*time.Millisecond)
	}
	return answer, true, nil
}

// encode makes the pieces of a request: its batches where they lie, and what is before,
// between and after them.
func (c *conn) encode(req *produceRequest, version int16) {
	c.begin(kmsg.Produce, version, false)
	h := kbin.AppendNullableString(c.head, nil) // transaction
	h = kbin.AppendInt16(h, req.acks)
	h = kbin.AppendInt32(h, int32(req.timeout.Milliseconds()))
	h = kbin.AppendArrayLen(h, 1)
	h = kbin.AppendString(h, req.topic)
	h = kbin.AppendArrayLen(h, len(req.batches))
	ends := c.ends[:0] // of head, where a batch follows
	size := 0
	for _, b := range req.batches {
		h = kbin.AppendInt32(h, b.partition)
		h = kbin.AppendInt32(h, int32(len(b.records)))
		ends = append(ends, len(h))
		size += len(b.records)
	}
	binary.BigEndian.PutUint32(h, uint32(len(h)-4+size))
	from := 0
	c.pieces = c.pieces[:0]
	for i, end := range ends {
		c.pieces = append(c.pieces, h[from:end], req.batches[i].records)
		from = end
	}
	c.head, c.ends = h, ends
}
