package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Part is one piece of a running command. Every field but Name may be nil.
type Part struct {
	Name string

	// Start makes the part ready for the parts that follow; it returns when it is.
	Start func(ctx context.Context) error

	// Run works until its context is done, then finishes and returns. It is called
	// after Start, in a goroutine of its own. A Run that returns earlier, with an
	// error or without, stops the group.
	Run func(ctx context.Context) error

	// Stop is called after Run has returned, with the rest of the grace period as
	// its context: flush, commit, close. Parts that follow have stopped by then.
	Stop func(ctx context.Context) error
}

// Group runs parts together. Add them in the order in which data needs them, what
// is written to first; they stop in reverse, so that whoever takes data in stops
// before what it writes to.
type Group struct {
	Logger *slog.Logger  // nil: discard
	Grace  time.Duration // for all parts to stop; 0 is 30 s

	parts []Part
}

// DefaultGrace is how long the parts of a group have to stop.
const DefaultGrace = 30 * time.Second

// ErrNotStopped is in the error of [Group.Run] when a part was still busy at the
// end of the grace period.
var ErrNotStopped = errors.New("did not stop in time")

// Add appends a part.
func (g *Group) Add(p Part) { g.parts = append(g.parts, p) }

// running is a part that has started.
type running struct {
	Part
	cancel context.CancelFunc
	done   chan error // has the result of Run; nil when there is no Run
	ended  bool       // the result was taken
	err    error
}

// Run starts the parts, waits until ctx is done or a part ends, and stops those
// that were started. It returns nil when ctx ended the group and every part
// stopped in order; otherwise the errors, the first cause first.
func (g *Group) Run(ctx context.Context) error {
	log := g.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var started []*running
	var errs []error
	ended := make(chan *running, len(g.parts))
	for _, p := range g.parts {
		if ctx.Err() != nil {
			break
		}
		if p.Start != nil {
			if err := p.Start(ctx); err != nil {
				errs = append(errs, err)
				break
			}
		}
		// Run's context outlives ctx: a part is told to stop in its turn, not when
		// the signal comes.
		runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		r := &running{Part: p, cancel: cancel, done: make(chan error, 1)}
		started = append(started, r)
		if p.Run == nil {
			r.done = nil
			continue
		}
		go func() {
			r.done <- p.Run(runCtx)
			ended <- r
		}()
	}
	if len(errs) == 0 {
		log.Debug("started", "parts", len(started))
		select {
		case <-ctx.Done():
			log.Info("stopping", "grace", g.grace())
		case r := <-ended:
			r.ended, r.err = true, <-r.done
			if r.err != nil {
				errs = append(errs, r.err)
			} else if ctx.Err() == nil {
				log.Info("stopping", "ended", r.Name)
			}
		}
	}
	return errors.Join(append(errs, g.stop(started)...)...)
}

func (g *Group) grace() time.Duration {
	if g.Grace > 0 {
		return g.Grace
	}
	return DefaultGrace
}

// stop ends the parts in reverse within the grace period. A part that is still
// busy then keeps its goroutine: the process is about to end.
func (g *Group) stop(started []*running) (errs []error) {
	ctx, cancel := context.WithTimeout(context.Background(), g.grace())
	defer cancel()
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		r.cancel()
		if r.done != nil && !r.ended {
			select {
			case r.err = <-r.done:
				if r.err != nil && !errors.Is(r.err, context.Canceled) {
					errs = append(errs, r.err)
				}
			case <-late(ctx):
				errs = append(errs, fmt.Errorf("%s %w", r.Name, ErrNotStopped))
				continue
			}
		}
		if r.Stop == nil {
			continue
		}
		stopped := make(chan error, 1)
		go func() { stopped <- r.Stop(ctx) }()
		select {
		case err := <-stopped:
			if err != nil {
				errs = append(errs, err)
			}
		case <-late(ctx):
			errs = append(errs, fmt.Errorf("%s %w", r.Name, ErrNotStopped))
		}
	}
	return errs
}

// late is closed a moment after ctx is done: a part that has nothing left to do,
// or sees the same deadline and is about to say so, gets to its end.
func late(ctx context.Context) <-chan struct{} {
	c := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(100*time.Millisecond, func() { close(c) }) })
	return c
}
