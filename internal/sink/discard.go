package sink

import (
	"context"

	"github.com/tributary-net/tributary/flow"
)

// discard encodes records and throws them away: what is left is the cost of
// receiving, decoding and encoding.
type discard struct {
	endpoint Endpoint
	tally    tally
}

func (d *discard) Worker() flow.Sink           { return &discardWorker{sink: d} }
func (d *discard) Stats() Stats                { return d.tally.stats() }
func (d *discard) Name() string                { return d.endpoint.String() }
func (d *discard) Ready() error                { return nil }
func (d *discard) Flush(context.Context) error { return nil }
func (d *discard) Close() error                { return nil }
func (d *discard) Write(r *flow.Record) error {
	w := discardWorker{sink: d}
	_ = w.Write(r)
	return w.Flush(context.Background())
}

// discardWorker overwrites one buffer again and again.
type discardWorker struct {
	sink *discard
	buf  []byte
	n    uint64
	size uint64
}

// discardBuffer is after how much the buffer begins anew: as much as other sinks
// hand on at once.
const discardBuffer = 64 << 10

func (w *discardWorker) Write(r *flow.Record) error {
	before := len(w.buf)
	w.buf = w.sink.endpoint.format.Append(w.buf, r)
	w.n++
	w.size += uint64(len(w.buf) - before)
	if len(w.buf) >= discardBuffer {
		return w.Flush(context.Background())
	}
	return nil
}

func (w *discardWorker) Flush(context.Context) error {
	t := &w.sink.tally
	t.bytes.Add(w.size)
	t.written.Add(w.n)
	t.delivered.Add(w.n)
	w.buf, w.n, w.size = w.buf[:0], 0, 0
	return nil
}

func (w *discardWorker) Close() error { return w.Flush(context.Background()) }
