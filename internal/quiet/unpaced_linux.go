package quiet

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Unpaced has TCP send over loopback as fast as the peer takes it. It is for the Control of a [net.Dialer], or of a
// [net.ListenConfig]: a listener's connections have it from its socket. BBR, where a system prefers it, sends by timers at the
// rate that it has measured, and over loopback there is no path to measure: it costs twice what sending does, for nothing.
// Sockets with other addresses are left as the system has them.
func Unpaced(_, address string, raw syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() {
		return nil
	}
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno") // every kernel has it; without, it goes on as it is
	})
}
