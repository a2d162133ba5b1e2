package quiet

import (
	"crypto/tls"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gather writes from several places.
type gather struct {
	once    func(fd uintptr) bool
	vectors [16]syscall.Iovec
	used    int
	n       int
	err     syscall.Errno
}

// fill takes what comes next: pieces, without the first octets of the first of them.
func (g *gather) fill(pieces [][]byte, octets int) {
	g.used = 0
	for room := most; len(pieces) > 0 && room > 0 && g.used < len(g.vectors); pieces, octets = pieces[1:], 0 {
		p := pieces[0][octets:]
		if len(p) == 0 {
			continue
		}
		p = p[:min(len(p), room)]
		room -= len(p)
		v := &g.vectors[g.used]
		v.Base = &p[0]
		v.SetLen(len(p))
		g.used++
	}
}

// try reports whether there is nothing to wait for.
func (g *gather) try(fd uintptr) bool {
	for {
		g.n, g.err = writeVector(fd, g.vectors[:g.used])
		switch g.err {
		case 0:
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			return true
		}
	}
}

func (c *conn) writeBuffers(pieces [][]byte) (n int64, err error) {
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	g := &c.gathers
	defer clear(g.vectors[:]) // nothing is kept in memory by them
	for octets := 0; ; {
		for len(pieces) > 0 && octets == len(pieces[0]) {
			pieces, octets = pieces[1:], 0
		}
		if len(pieces) == 0 {
			return n, nil
		}
		g.fill(pieces, octets)
		g.n, g.err = 0, 0
		if err = c.raw.Write(g.once); err != nil {
			return n, err
		}
		if g.err != 0 {
			return n, c.failed("write", g.err)
		}
		n += int64(g.n)
		for octets += g.n; len(pieces) > 0 && octets > len(pieces[0]); pieces = pieces[1:] {
			octets -= len(pieces[0])
		}
	}
}

// Closed reports whether the other end is known to have closed a connection, or to have
// reset it, without reading. It looks at a socket that [Conn] made quiet, or that TLS has
// from there; of others it knows nothing.
func Closed(nc net.Conn) bool {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, ok := nc.(*conn)
	if !ok {
		return false
	}
	closed := true
	if err := c.raw.Control(func(fd uintptr) {
		p := unix.PollFd{Fd: int32(fd), Events: unix.POLLRDHUP}
		var now unix.Timespec
		n, _, e := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		closed = e == 0 && n > 0
	}); err != nil {
		return true
	}
	return closed
}
