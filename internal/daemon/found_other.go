//go:build !unix

package daemon

import (
	"errors"
	"io"
)

var errNoSignals = errors.New("only on Unix")

// BeFound does nothing where processes cannot be told to end.
func BeFound(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Terminate is only there on Unix.
func Terminate(string) ([]int, error) { return nil, errNoSignals }

// Detach is only there on Unix.
func Detach(string, string, []string) error { return errNoSignals }
