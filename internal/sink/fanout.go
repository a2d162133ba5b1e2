package sink

import (
	"context"
	"errors"

	"github.com/tributary-net/tributary/flow"
)

// Fanout writes every record to several sinks. A sink that is held up holds the
// others up too, as far as its own policy lets it.
type Fanout []Sink

// Names returns the names of the sinks.
func (f Fanout) Names() []string {
	var names []string
	for _, s := range f {
		names = append(names, s.Name())
	}
	return names
}

// Renote stores the accounts of spools as they are now. It has to be called when they
// were changed by others than the sinks, before anything more is written: what one
// destination takes then is told by where all of them went on.
func (f Fanout) Renote() error {
	var errs []error
	for _, s := range f {
		if k, ok := s.(*kafkaSink); ok && k.notes != nil {
			errs = append(errs, k.notes.renote())
		}
	}
	return errors.Join(errs...)
}

// Worker returns a handle of all sinks.
func (f Fanout) Worker() flow.Sink {
	if len(f) == 1 {
		return f[0].Worker()
	}
	w := make(fanoutWorker, len(f))
	var noters []flow.Noter
	for i, s := range f {
		w[i] = s.Worker()
		if n, ok := w[i].(flow.Noter); ok {
			noters = append(noters, n)
		}
	}
	if len(noters) > 0 {
		return fanoutNoter{w, noters}
	}
	return w
}

// Write writes to every sink and returns what went wrong.
func (f Fanout) Write(r *flow.Record) error {
	var errs []error
	for _, s := range f {
		errs = append(errs, s.Write(r))
	}
	return errors.Join(errs...)
}

// Flush flushes every sink.
func (f Fanout) Flush(ctx context.Context) error {
	var errs []error
	for _, s := range f {
		errs = append(errs, s.Flush(ctx))
	}
	return errors.Join(errs...)
}

// Close closes every sink.
func (f Fanout) Close() error {
	var errs []error
	for _, s := range f {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

type fanoutWorker []flow.Sink

// fanoutNoter is the handle where some of the sinks keep notes.
type fanoutNoter struct {
	fanoutWorker
	noters []flow.Noter
}

func (w fanoutNoter) Note(note []byte) {
	for _, n := range w.noters {
		n.Note(note)
	}
}

// Write writes to every sink: what one of them cannot take is no loss of the
// others.
func (w fanoutWorker) Write(r *flow.Record) (err error) {
	for _, s := range w {
		if e := s.Write(r); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (w fanoutWorker) Flush(ctx context.Context) (err error) {
	for _, s := range w {
		if e := s.Flush(ctx); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

func (w fanoutWorker) Close() error {
	var errs []error
	for _, s := range w {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
