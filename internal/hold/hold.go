//go:build unix

// Package hold keeps TCP ports on loopback for the servers that tests start, kill and
// start again. A port that was only looked for, and given up before the server has it,
// may be somebody else's by then: another test's, or the near end of any connection.
package hold

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Port returns a port of 127.0.0.1 that is nobody else's until the test ends, and so
// are those at the given distances from it. Connections to it are refused as long as no
// server listens; one that sets SO_REUSEADDR, as Go's and Java's do, can, again and again.
func Port(t testing.TB, distances ...int) int {
	t.Helper()
	for range 1000 {
		port, release, err := bind(0)
		if err != nil {
			t.Fatal(err)
		}
		held := []func(){release}
		for _, d := range distances {
			var release func()
			if _, release, err = bind(port + d); err != nil {
				break
			}
			held = append(held, release)
		}
		if err == nil {
			for _, release := range held {
				t.Cleanup(release)
			}
			return port
		}
		for _, release := range held {
			release()
		}
	}
	t.Fatalf("no port with free ones at the distances %v", distances)
	return 0
}

// Address is Port for one port, as host:port.
func Address(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(Port(t)))
}

// bind binds a socket that does not listen. Linux gives its port to nobody who has not
// asked for it; who has may share it, since both set SO_REUSEADDR.
func bind(port int) (bound int, release func(), err error) {
	if port > 65535 {
		return 0, nil, errors.New("no such port")
	}
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, nil, err
	}
	release = func() { _ = unix.Close(fd) }
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		release()
		return 0, nil, err
	}
	a, err := unix.Getsockname(fd)
	if err != nil {
		release()
		return 0, nil, err
	}
	return a.(*unix.SockaddrInet4).Port, release, nil
}
