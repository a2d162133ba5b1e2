//go:build linux

package hold_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/tributary-net/tributary/internal/hold"
)

// TestPort has servers come and go at ports that are held: nobody else gets them.
func TestPort(t *testing.T) {
	base := hold.Port(t, 1, 10, 11)
	for _, d := range []int{0, 1, 10, 11} {
		addr := fmt.Sprint("127.0.0.1:", base+d)
		for range 3 {
			if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("dial without a server: %v, %v", c, err)
			}
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			accepted.Close() // the server's end is the first to go, as when it is killed
			c.Close()
			l.Close()
		}
		// Who does not share finds it taken.
		if err := bind(t, base+d); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("bind: %v", err)
		}
	}
}

// bind binds a socket as those are that do not share.
func bind(t *testing.T, port int) error {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	return syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
}
