package broker

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// sendfile has the kernel move bytes of a file to the socket. The offset is explicit, so any number of consumers share
// one open file. ok is false where it cannot be done, on a connection that is no socket of the kernel's for instance.
func (c *conn) sendfile(f commitlog.File, pos, n int64) (sent int64, ok bool, err error) {
	file, isFile := f.(syscall.Conn)
	if c.raw == nil || !isFile {
		return 0, false, nil
	}
	in, err := file.SyscallConn()
	if err != nil {
		return 0, false, nil
	}
	ok = true
	var failed error
	err = c.raw.Write(func(out uintptr) bool {
		wait := false
		cerr := in.Control(func(fd uintptr) {
			for sent < n {
				at := pos + sent
				k, err := unix.Sendfile(int(out), int(fd), &at, int(n-sent))
				if k > 0 {
					sent += int64(k)
					continue
				}
				switch {
				case errors.Is(err, unix.EINTR):
					continue
				case errors.Is(err, unix.EAGAIN):
					wait = true
				case err == nil:
					failed = io.ErrUnexpectedEOF
				case sent == 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS)):
					ok = false
				default:
					failed = fmt.Errorf("sendfile: %w", err)
				}
				return
			}
		})
		if cerr != nil {
			failed = cerr
		}
		return !wait
	})
	if err == nil {
		err = failed
	}
	return sent, ok, err
}
