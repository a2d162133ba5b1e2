package broker

import (
	"fmt"
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// inMemory is a file that may be in memory only. What is sent from there waits for no device, and the runtime need
// not hear of it, which costs its monitor's time; see [quiet].
type inMemory interface{ InMemory() bool }

// mostQuiet is how much is sent without the runtime's knowledge at a time: nothing is copied, and it takes 0.1 ms at most.
const mostQuiet = 1 << 20

// sendfile has the kernel move bytes of a file to the socket. The offset is explicit, so any number of consumers share
// one open file. Not to wait, it ends where the socket takes no more. ok is false where it cannot be done, on a connection
// that is no socket of the kernel's for instance.
func (c *conn) sendfile(f commitlog.File, pos, n int64, wait bool) (sent int64, ok bool, err error) {
	file, isFile := f.(syscall.Conn)
	if c.raw == nil || !isFile {
		return 0, false, nil
	}
	in, err := file.SyscallConn()
	if err != nil {
		return 0, false, nil
	}
	m, can := f.(inMemory)
	quietly := can && m.InMemory()
	ok = true
	var failed error
	send := func(out uintptr) (full bool) {
		cerr := in.Control(func(fd uintptr) {
			for sent < n {
				at := pos + sent
				// The pointer has to become a number in the call itself: [unsafe.Pointer] holds it there, and for these calls only.
				var k uintptr
				var errno syscall.Errno
				if quietly {
					k, _, errno = syscall.RawSyscall6(unix.SYS_SENDFILE, out, fd, uintptr(unsafe.Pointer(&at)), uintptr(min(n-sent, mostQuiet)), 0, 0)
				} else {
					k, _, errno = syscall.Syscall6(unix.SYS_SENDFILE, out, fd, uintptr(unsafe.Pointer(&at)), uintptr(n-sent), 0, 0)
				}
				switch {
				case errno == unix.EINTR:
					continue
				case errno == 0 && k > 0:
					sent += int64(k)
					continue
				case errno == unix.EAGAIN:
					full = true
				case errno == 0:
					failed = io.ErrUnexpectedEOF
				case sent == 0 && (errno == unix.EINVAL || errno == unix.ENOSYS):
					ok = false
				default:
					failed = fmt.Errorf("sendfile: %w", errno)
				}
				return
			}
		})
		if cerr != nil {
			failed = cerr
		}
		return full
	}
	if wait {
		err = c.raw.Write(func(out uintptr) bool { return !send(out) })
	} else {
		err = c.raw.Control(func(out uintptr) { send(out) })
	}
	if err == nil {
		err = failed
	}
	return sent, ok, err
}
