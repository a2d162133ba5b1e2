package kafka

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// quietConn reads and writes without the runtime's knowledge, as the socket never blocks.
// A system call that the runtime hears of makes its monitor look every 20 microseconds
// for a while whether it blocks, which costs more than the call where there are hundreds a
// second, and little to do between them.
type quietConn struct {
	net.Conn
	raw           syscall.RawConn
	reads, writes quietCall
}

// quietCall is one direction of a connection.
type quietCall struct {
	mu   sync.Mutex
	call func(fd uintptr) bool // made once: it would be allocated each time
	buf  []byte
	n    int
	err  syscall.Errno
}

// quietMost is how much one call copies at most: nothing else runs on its CPU meanwhile.
const quietMost = 128 << 10

// quiet wraps a connection that has a socket.
func quiet(conn net.Conn) net.Conn {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return conn
	}
	c := &quietConn{Conn: conn, raw: raw}
	c.reads.call = func(fd uintptr) bool { return c.reads.try(syscall.SYS_READ, fd) }
	c.writes.call = func(fd uintptr) bool { return c.writes.try(syscall.SYS_WRITE, fd) }
	return c
}

// try reports whether there is nothing to wait for.
func (q *quietCall) try(call, fd uintptr) bool {
	for {
		var n uintptr
		n, _, q.err = syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&q.buf[0])), uintptr(min(len(q.buf), quietMost)))
		switch q.err {
		case 0:
			q.n = int(n)
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
func (q *quietCall) do(w func(func(fd uintptr) bool) error, b []byte) (n int, err error) {
	q.buf, q.n, q.err = b, 0, 0
	err = w(q.call)
	q.buf = nil
	return q.n, err
}

// failed is the error of a call as package net has it.
func (c *quietConn) failed(call string, e syscall.Errno) error {
	return &net.OpError{Op: call, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, e)}
}

func (c *quietConn) Read(b []byte) (n int, err error) {
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

func (c *quietConn) Write(b []byte) (n int, err error) {
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
