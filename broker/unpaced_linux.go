package broker

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unpaced has TCP send as fast as the peer takes it, on a listener's socket, from which those of its connections have it. BBR,
// where a system prefers it, sends by timers at the rate that it has measured. Over loopback there is no path to measure:
// what it costs is all, twice as much again as sending does. Other listeners are left as the system has them.
func unpaced(_, address string, raw syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() {
		return nil
	}
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno") // every kernel has it; without, it goes on as it is
	})
}
