package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/tributary-net/tributary/flow"
)

// writer writes records to a file or to standard output: a line each where the
// format is text, otherwise one after the other.
type writer struct {
	endpoint Endpoint
	tally    tally
	file     *os.File // nil: out is not ours to close

	mu  sync.Mutex // workers write whole buffers in turn
	out io.Writer
}

func openFile(e Endpoint) (Sink, error) {
	f, err := os.OpenFile(e.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return newWriter(e, f, f), nil
}

func newWriter(e Endpoint, out io.Writer, file *os.File) *writer {
	return &writer{endpoint: e, out: out, file: file}
}

func (w *writer) Worker() flow.Sink           { return &writerWorker{sink: w} }
func (w *writer) Stats() Stats                { return w.tally.stats() }
func (w *writer) Name() string                { return w.endpoint.String() }
func (w *writer) Ready() error                { return nil }
func (w *writer) Flush(context.Context) error { return nil }

// Write is for callers without a handle of their own; each record is written at
// once.
func (w *writer) Write(r *flow.Record) error {
	worker := writerWorker{sink: w}
	if err := worker.Write(r); err != nil {
		return err
	}
	return worker.Flush(context.Background())
}

// Close makes sure that a file is on disk.
func (w *writer) Close() error {
	if w.file == nil {
		return nil
	}
	// A pipe or a device has nothing to sync.
	if err := w.file.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		_ = w.file.Close()
		return fmt.Errorf("sync %s: %w", w.endpoint.path, err)
	}
	return w.file.Close()
}

// writerWorker is a worker's handle.
type writerWorker struct {
	sink *writer
	buf  []byte
	n    uint64
}

// writerBuffer is after how much a buffer is written.
const writerBuffer = 64 << 10

func (w *writerWorker) Write(r *flow.Record) error {
	f := w.sink.endpoint.format
	w.buf = f.Append(w.buf, r)
	if f.Text() {
		w.buf = append(w.buf, '\n')
	}
	w.n++
	if len(w.buf) >= writerBuffer {
		return w.Flush(context.Background())
	}
	return nil
}

func (w *writerWorker) Flush(context.Context) error {
	if w.n == 0 {
		return nil
	}
	t := &w.sink.tally
	t.written.Add(w.n)
	t.bytes.Add(uint64(len(w.buf)))
	w.sink.mu.Lock()
	_, err := w.sink.out.Write(w.buf)
	w.sink.mu.Unlock()
	if err != nil {
		t.refused.Add(w.n)
		err = fmt.Errorf("write %s: %w", w.sink.endpoint, err)
	} else {
		t.delivered.Add(w.n)
	}
	w.buf, w.n = w.buf[:0], 0
	return err
}

func (w *writerWorker) Close() error { return w.Flush(context.Background()) }
