package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is one UDP socket from which datagrams are received many at a time
// (recvmmsg), each with the time the kernel took it and the count of those that
// the kernel had to drop (SO_RXQ_OVFL).
//
// It is not one of those that the runtime's poller watches, because the poller
// is woken by every datagram, whether somebody waits for it or not. Receiving
// blocks a thread.
type socket struct {
	fd      int
	local   netip.AddrPort
	headers []mmsghdr
	slots   []slot
	skip    int // slots of the last receive that hold no datagram

	stopping atomic.Bool
	until    time.Time // when a socket that stops has had its time; zero: none set

	mu     sync.RWMutex // fd is not closed while somebody asks about the socket
	closed bool
}

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// slot is room for one datagram.
type slot struct {
	iov     unix.Iovec
	name    unix.RawSockaddrInet6
	control [64]byte // a timestamp and a drop count
	buf     []byte
}

// listenUDP opens n sockets that share one address, so that each can have a
// worker of its own; the kernel spreads exporters over them.
func listenUDP(ctx context.Context, address string, n, receiveBuffer, batch int) ([]*socket, error) {
	if err := probeUDP(ctx, address); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = setOptions(int(fd), receiveBuffer) }); e != nil {
			return e
		}
		return err
	}}
	var sockets []*socket
	for range n {
		pc, err := lc.ListenPacket(ctx, "udp", address)
		if err == nil {
			var s *socket
			if s, err = newSocket(pc.(*net.UDPConn), batch); err == nil {
				sockets = append(sockets, s)
				address = s.address().String() // the others take the port that this one was given
				continue
			}
		}
		for _, s := range sockets {
			_ = s.close()
		}
		return nil, err
	}
	return sockets, nil
}

// probeUDP fails when somebody else has the address: sockets that share a port
// would take half of their datagrams without a word.
func probeUDP(ctx context.Context, address string) error {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

func setOptions(fd, receiveBuffer int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_REUSEPORT", err)
	}
	for _, opt := range []int{unix.SO_TIMESTAMPNS, unix.SO_RXQ_OVFL} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	// The first needs CAP_NET_ADMIN and goes beyond net.core.rmem_max.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return os.NewSyscallError("setsockopt SO_RCVBUF", err)
		}
	}
	return nil
}

// slotStride is from one slot's memory to the next. Were it a multiple of a page, all that
// ordinary datagrams take would share the same few sets of the processor's caches.
const slotStride = 1<<16 + 34*64

// newSocket takes over what conn has opened.
func newSocket(conn *net.UDPConn, batch int) (*socket, error) {
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{local: conn.LocalAddr().(*net.UDPAddr).AddrPort(), headers: make([]mmsghdr, batch), slots: make([]slot, batch)}
	e := raw.Control(func(fd uintptr) {
		if s.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err != nil {
			err = os.NewSyscallError("fcntl", err)
			return
		}
		err = os.NewSyscallError("setnonblock", unix.SetNonblock(s.fd, false))
	})
	if err = errors.Join(e, err); err != nil {
		return nil, err
	}
	memory := make([]byte, batch*slotStride)
	for i := range s.slots {
		sl := &s.slots[i]
		sl.buf = memory[i*slotStride:][:maxDatagram:maxDatagram]
		sl.iov.Base = &sl.buf[0]
		sl.iov.SetLen(len(sl.buf))
		h := &s.headers[i].hdr
		h.Iov = &sl.iov
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&sl.name))
		h.Control = &sl.control[0]
	}
	return s, nil
}

// receive waits for datagrams and reads as many as there are, up to the batch. While there
// are none it calls rest, and looks again if that reports true.
// Once interrupted it no longer waits: when there are none, or the time for them
// is over, it returns os.ErrDeadlineExceeded.
func (s *socket) receive(rest func() bool) (int, error) {
	for i := range s.headers {
		s.headers[i].hdr.Namelen = unix.SizeofSockaddrInet6
		s.headers[i].hdr.SetControllen(len(s.slots[i].control))
	}
	for {
		flags := uintptr(unix.MSG_WAITFORONE)
		if s.stopping.Load() {
			if s.until.IsZero() || time.Now().After(s.until) {
				return 0, os.ErrDeadlineExceeded
			}
			flags = unix.MSG_DONTWAIT
		}
		n, e := s.recvmmsg(flags, rest)
		switch e {
		case 0:
			// A call that interrupt woke comes back with one that is from nobody.
			s.skip = 0
			if s.headers[0].hdr.Namelen == 0 {
				s.skip = 1
			}
			if int(n) > s.skip {
				return int(n) - s.skip, nil
			}
			s.headers[0].hdr.Namelen = unix.SizeofSockaddrInet6
			s.headers[0].hdr.SetControllen(len(s.slots[0].control))
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		case syscall.ECONNREFUSED:
			// An ICMP error for something we never sent; the next call reads on.
		default:
			return 0, os.NewSyscallError("recvmmsg", e)
		}
	}
}

// recvmmsg reads without the runtime's knowledge where it need not wait: a system call that
// the runtime hears of makes its monitor look at every 20 microseconds for a while, which
// costs more than the call, or a few that find nothing.
func (s *socket) recvmmsg(flags uintptr, rest func() bool) (n uintptr, e syscall.Errno) {
	fd, headers, most := uintptr(s.fd), unsafe.Pointer(&s.headers[0]), uintptr(len(s.headers))
	for {
		n, _, e = syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(headers), most, flags|unix.MSG_DONTWAIT, 0, 0)
		if e != syscall.EAGAIN || flags&unix.MSG_DONTWAIT != 0 || !rest() {
			break
		}
	}
	if e == syscall.EAGAIN && flags&unix.MSG_DONTWAIT == 0 {
		n, _, e = syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(headers), most, flags, 0, 0)
	}
	return n, e
}

// datagram returns the i-th datagram of the last receive.
func (s *socket) datagram(i int, d *received) {
	h, sl := &s.headers[s.skip+i], &s.slots[s.skip+i]
	d.payload = sl.buf[:h.len]
	d.truncated = h.hdr.Flags&unix.MSG_TRUNC != 0
	port := sl.name.Port<<8 | sl.name.Port>>8 // network order
	if sl.name.Family == unix.AF_INET {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&sl.name))
		d.from = netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), port)
	} else {
		d.from = netip.AddrPortFrom(netip.AddrFrom16(sl.name.Addr).Unmap(), port)
	}
	d.at, d.hasDrops = time.Time{}, false
	control := sl.control[:min(int(h.hdr.Controllen), len(sl.control))]
	for len(control) >= unix.SizeofCmsghdr {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		n := int(c.Len)
		if n < unix.SizeofCmsghdr || n > len(control) {
			break
		}
		data := control[unix.CmsgLen(0):n]
		switch {
		case c.Level != unix.SOL_SOCKET:
		case c.Type == unix.SO_TIMESTAMPNS && len(data) >= 16:
			d.at = time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
		case c.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			d.drops, d.hasDrops = binary.NativeEndian.Uint32(data), true
		}
		control = control[min(unix.CmsgSpace(n-unix.CmsgLen(0)), len(control)):]
	}
}

func (s *socket) address() netip.AddrPort { return s.local }

// interrupt wakes whoever waits in receive. Linux complains that the socket is not
// connected, and does it all the same.
func (s *socket) interrupt() {
	s.stopping.Store(true)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.closed {
		_ = unix.Shutdown(s.fd, unix.SHUT_RD)
	}
}

// resume lets an interrupted socket receive what waits in it until t.
func (s *socket) resume(t time.Time) { s.until = t }

func (s *socket) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	return os.NewSyscallError("close", unix.Close(s.fd))
}

// Indexes into the array of SO_MEMINFO (linux/sock_diag.h).
const (
	memInfoReceive = 0
	memInfoDrops   = 8
	memInfoLen     = 9
)

// queue returns how much memory the datagrams that wait in the socket take, how
// much they may take, and how many the kernel has dropped, in all.
func (s *socket) queue() (used, limit int, drops uint32, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0, 0, 0, net.ErrClosed
	}
	var info [memInfoLen]uint32
	var room uint32
	err = errors.Join(s.option(unix.SO_RCVBUF, unsafe.Pointer(&room), unsafe.Sizeof(room)), s.option(unix.SO_MEMINFO, unsafe.Pointer(&info), unsafe.Sizeof(info)))
	if err != nil {
		return 0, 0, 0, fmt.Errorf("receive queue of %s: %w", s.address(), err)
	}
	return int(info[memInfoReceive]), int(room), info[memInfoDrops], nil
}

// option reads an option of the socket, which waits for nothing: the runtime need not
// hear of it.
func (s *socket) option(name int, value unsafe.Pointer, size uintptr) error {
	length := uint32(size)
	_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, uintptr(name), uintptr(value), uintptr(unsafe.Pointer(&length)), 0)
	if e != 0 {
		return os.NewSyscallError("getsockopt", e)
	}
	return nil
}

// batch is how many datagrams one receive takes at most.
func (s *socket) batch() int { return len(s.slots) }
