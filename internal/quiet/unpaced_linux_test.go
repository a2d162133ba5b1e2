package quiet

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnpaced: connections of a listener on loopback are sent to without pacing, others as the system has it.
func TestUnpaced(t *testing.T) {
	algorithm := func(control bool, address string) string {
		t.Helper()
		var lc net.ListenConfig
		if control {
			lc.Control = Unpaced
		}
		l, err := lc.Listen(context.Background(), "tcp", address)
		if err != nil {
			t.Skipf("listen on %s: %v", address, err)
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", net.JoinHostPort("localhost", port))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		raw, err := nc.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var name string
		cerr := raw.Control(func(fd uintptr) { name, err = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION) })
		if cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		return name
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0"} {
		if got := algorithm(true, address); got != "reno" {
			t.Errorf("%s: %s", address, got)
		}
	}
	if got, want := algorithm(true, ":0"), algorithm(false, ":0"); got != want {
		t.Errorf("a listener on all addresses: %s, the system has %s", got, want)
	}
}
