package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is one UDP socket from which datagrams are received many at a time
// (recvmmsg), each with the time the kernel took it and the count of those that
// the kernel had to drop (SO_RXQ_OVFL).
type socket struct {
	conn    *net.UDPConn
	raw     syscall.RawConn
	headers []mmsghdr
	slots   []slot
	read    func(fd uintptr) bool // made once, so that receiving allocates nothing
	n       int
	err     error
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

func newSocket(conn *net.UDPConn, batch int) (*socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, raw: raw, headers: make([]mmsghdr, batch), slots: make([]slot, batch)}
	for i := range s.slots {
		sl := &s.slots[i]
		sl.buf = make([]byte, maxDatagram)
		sl.iov.Base = &sl.buf[0]
		sl.iov.SetLen(len(sl.buf))
		h := &s.headers[i].hdr
		h.Iov = &sl.iov
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&sl.name))
		h.Control = &sl.control[0]
	}
	s.read = s.readOnce
	return s, nil
}

// receive waits for datagrams and reads as many as there are, up to the batch.
func (s *socket) receive() (int, error) {
	if err := s.raw.Read(s.read); err != nil {
		return 0, err
	}
	return s.n, s.err
}

func (s *socket) readOnce(fd uintptr) bool {
	for i := range s.headers {
		s.headers[i].hdr.Namelen = unix.SizeofSockaddrInet6
		s.headers[i].hdr.SetControllen(len(s.slots[i].control))
	}
	for {
		n, _, e := syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.headers[0])), uintptr(len(s.headers)), unix.MSG_DONTWAIT, 0, 0)
		switch e {
		case 0:
			s.n, s.err = int(n), nil
			return true
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case syscall.ECONNREFUSED:
			continue // an ICMP error for something we never sent; the next call reads on
		default:
			s.n, s.err = 0, os.NewSyscallError("recvmmsg", e)
			return true
		}
	}
}

// datagram returns the i-th datagram of the last receive.
func (s *socket) datagram(i int, d *received) {
	h, sl := &s.headers[i], &s.slots[i]
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

func (s *socket) address() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }
func (s *socket) interrupt()              { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) }
func (s *socket) resume(t time.Time)      { _ = s.conn.SetReadDeadline(t) }
func (s *socket) close() error            { return s.conn.Close() }

// Indexes into the array of SO_MEMINFO (linux/sock_diag.h).
const (
	memInfoReceive = 0
	memInfoDrops   = 8
	memInfoLen     = 9
)

// queue returns how much memory the datagrams that wait in the socket take, how
// much they may take, and how many the kernel has dropped, in all.
func (s *socket) queue() (used, limit int, drops uint32, err error) {
	var info [memInfoLen]uint32
	size := uint32(len(info) * 4)
	e := s.raw.Control(func(fd uintptr) {
		if limit, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil {
			return
		}
		_, _, errno := syscall.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			err = os.NewSyscallError("getsockopt SO_MEMINFO", errno)
		}
	})
	if err = errors.Join(e, err); err != nil {
		return 0, 0, 0, fmt.Errorf("receive queue of %s: %w", s.address(), err)
	}
	return int(info[memInfoReceive]), limit, info[memInfoDrops], nil
}

// batch is how many datagrams one receive takes at most.
func (s *socket) batch() int { return len(s.slots) }
