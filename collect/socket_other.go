//go:build !linux

package collect

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// socket is one UDP socket that is read a datagram at a time: elsewhere than on
// Linux the collector works, but is not fast and sees no drops of the kernel.
type socket struct {
	conn  *net.UDPConn
	buf   []byte
	n     int
	from  netip.AddrPort
	limit int
}

func listenUDP(ctx context.Context, address string, _, receiveBuffer, _ int) ([]*socket, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	conn := pc.(*net.UDPConn)
	_ = conn.SetReadBuffer(receiveBuffer)
	return []*socket{{conn: conn, buf: make([]byte, maxDatagram), limit: receiveBuffer}}, nil
}

func (s *socket) receive(func() bool) (n int, err error) {
	s.n, s.from, err = s.conn.ReadFromUDPAddrPort(s.buf)
	return 1, err
}

func (s *socket) datagram(_ int, d *received) {
	*d = received{payload: s.buf[:s.n], from: netip.AddrPortFrom(s.from.Addr().Unmap(), s.from.Port())}
}

func (s *socket) address() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }
func (s *socket) interrupt()              { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) }
func (s *socket) resume(t time.Time)      { _ = s.conn.SetReadDeadline(t) }
func (s *socket) close() error            { return s.conn.Close() }
func (s *socket) queue() (used, limit int, drops uint32, err error) {
	return 0, s.limit, 0, nil
}
func (s *socket) batch() int { return 1 }
