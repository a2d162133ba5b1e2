package daemon

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Signals returns a context that is done at the first SIGINT or SIGTERM. At the
// second one, exit is called with 128 plus its number (nil: os.Exit): whoever asks
// twice does not want to wait for the drain. Call stop when the work is over.
func Signals(parent context.Context, log *slog.Logger, exit func(code int)) (ctx context.Context, stop func()) {
	if exit == nil {
		exit = os.Exit
	}
	ctx, cancel := context.WithCancel(parent)
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case s := <-c:
				if n == 0 {
					log.Info("draining, once more to end at once", "signal", s.String())
					cancel()
					continue
				}
				code := 128
				if s, ok := s.(syscall.Signal); ok {
					code += int(s)
				}
				log.Warn("ended without draining", "signal", s.String())
				exit(code)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(c)
		close(done)
		<-finished
		cancel()
	}
}
