package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// ListenError says in plain words why a socket could not be opened: which address,
// and that it is in use, is not of this machine, or may not be used. Other errors
// are returned as they are.
func ListenError(err error) error {
	var (
		op    *net.OpError
		plain *listenError
	)
	if errors.As(err, &plain) || !errors.As(err, &op) || op.Addr == nil {
		return err
	}
	addr := op.Addr.String()
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &listenError{fmt.Sprintf("%s/%s is in use by another program", addr, op.Net), err}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return &listenError{fmt.Sprintf("%s is not an address of this machine", addr), err}
	case errors.Is(err, fs.ErrPermission):
		return &listenError{fmt.Sprintf("not allowed to listen on %s/%s", addr, op.Net), err}
	}
	return err
}

type listenError struct {
	text string
	err  error
}

func (e *listenError) Error() string { return e.text }
func (e *listenError) Unwrap() error { return e.err }
