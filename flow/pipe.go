package flow

import (
	"context"
	"net/netip"
	"time"
)

// Datagram is one export datagram as the collector received it. Payload belongs
// to the collector and is valid until Decode returns.
type Datagram struct {
	Exporter netip.AddrPort // where it came from; IPv4-mapped addresses are unmapped
	Received time.Time
	Payload  []byte
	// Note, unless it is nil, is what the decoder appends to what the datagram has to
	// be remembered by, in octets of its own making: see [Noter].
	Note []byte
}

// Decoder turns a datagram into records. It calls emit once for each record;
// the record and what it references are valid until emit returns. An error of
// emit ends the datagram and is returned as it is. Any other error says what
// was wrong with the datagram; records emitted before stay valid.
//
// One Decoder serves all workers of a collector at once and must be safe for
// concurrent use.
type Decoder interface {
	Decode(d *Datagram, emit func(*Record) error) error
}

// Sink takes records. It is used by many goroutines at once unless it is a
// [WorkerSink].
type Sink interface {
	// Write takes one record. It encodes or copies what it needs before it
	// returns. When it cannot keep up it blocks or drops, by its own policy,
	// and counts what it drops; an error means the sink is of no more use.
	Write(r *Record) error
	// Flush hands on what has been written so far and waits until it is
	// where it should be, or until ctx ends.
	Flush(ctx context.Context) error
	// Close flushes as far as it can at once and releases everything.
	Close() error
}

// WorkerSink is a Sink of which every worker takes a handle of its own, so that
// Write needs no lock: a handle is used by one goroutine only. Flushing a handle
// hands its records to the sink without waiting for their delivery; closing the
// sink closes its handles.
type WorkerSink interface {
	Sink
	Worker() Sink
}

// Noter is what a handle of a [WorkerSink] can be besides, where records outlive the
// process. Note ends a datagram: what was written since the call before is of it. The
// note, which may be empty, is kept if all of these records are, and not otherwise;
// it is copied.
type Noter interface {
	Sink
	Note(note []byte)
}
