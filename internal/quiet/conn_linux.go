package quiet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// conn is a connection whose system calls the runtime does not hear of.
type conn struct {
	net.Conn
	raw           syscall.RawConn
	reads, writes call
	gathers       gather                            // under the lock of writes
	atOnce        func(func(fd uintptr) bool) error // has a write made, and does not wait
}

// call is one direction of a connection.
type call struct {
	mu   sync.Mutex
	once func(fd uintptr) bool // made once: it would be allocated each time
	buf  []byte
	n    int
	err  syscall.Errno
}

// most is how much one call copies at most: nothing else runs on its CPU meanwhile.
const most = 128 << 10

// Conn returns a connection that reads and writes quietly, if it has a socket; else as it is.
func Conn(nc net.Conn) net.Conn {
	s, ok := nc.(syscall.Conn)
	if !ok {
		return nc
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nc
	}
	c := &conn{Conn: nc, raw: raw}
	c.reads.once = func(fd uintptr) bool { return c.reads.try(syscall.SYS_READ, fd) }
	c.writes.once = func(fd uintptr) bool { return c.writes.try(syscall.SYS_WRITE, fd) }
	c.gathers.once = c.gathers.try
	write := func(fd uintptr) { c.writes.try(syscall.SYS_WRITE, fd) }
	c.atOnce = func(func(fd uintptr) bool) error { return raw.Control(write) }
	return c
}

// SyscallConn returns the socket.
func (c *conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// try reports whether there is nothing to wait for.
func (q *call) try(number, fd uintptr) bool {
	for {
		q.n, q.err = systemCall(number, fd, q.buf[:min(len(q.buf), most)])
		switch q.err {
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

// do waits, with w, until a call has done something for b.
func (q *call) do(w func(func(fd uintptr) bool) error, b []byte) (n int, err error) {
	q.buf, q.n, q.err = b, 0, 0
	err = w(q.once)
	q.buf = nil
	return q.n, err
}

// failed is the error of a call as package net has it.
func (c *conn) failed(op string, e syscall.Errno) error {
	return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, e)}
}

func (c *conn) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return c.Conn.Read(b)
	}
	c.reads.mu.Lock()
	defer c.reads.mu.Unlock()
	n, err = c.reads.do(c.raw.Read, b)
	switch {
	case err != nil:
	case c.reads.err != 0:
		err = c.failed("read", c.reads.err)
	case n == 0:
		err = io.EOF
	}
	return n, err
}

func (c *conn) Write(b []byte) (n int, err error) {
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	for n < len(b) && err == nil {
		var done int
		if done, err = c.writes.do(c.raw.Write, b[n:]); err == nil && c.writes.err != 0 {
			err = c.failed("write", c.writes.err)
		}
		n += done
	}
	return n, err
}

// TryWrite writes what the socket takes at once, which may be nothing. It takes no notice of deadlines, and must not be called
// beside Write.
func (c *conn) TryWrite(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	n, err = c.writes.do(c.atOnce, b)
	if err == nil && c.writes.err != 0 && c.writes.err != syscall.EAGAIN {
		err = c.failed("write", c.writes.err)
	}
	return n, err
}
