package quiet

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// quietPair returns two ends of a TCP connection, the first as clients have it.
func quietPair(t *testing.T) (*conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	plain, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { plain.Close(); peer.Close() })
	c, ok := Conn(plain).(*conn)
	if !ok {
		t.Fatal("a TCP connection stays as it is")
	}
	return c, peer.(*net.TCPConn)
}

func TestConnCarries(t *testing.T) {
	c, peer := quietPair(t)
	// More than any socket buffer holds, so that both sides have to wait.
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	echoed := make(chan error, 1)
	go func() {
		_, err := io.Copy(peer, peer)
		echoed <- errors.Join(err, peer.CloseWrite())
	}()
	wrote := make(chan error, 1)
	go func() {
		n, err := c.Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		wrote <- errors.Join(err, c.Conn.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("read %d of %d octets, err %v", len(got), len(sent), err)
	}
	if err := errors.Join(<-wrote, <-echoed); err != nil {
		t.Error(err)
	}
}

func TestConnErrors(t *testing.T) {
	c, peer := quietPair(t)
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after its deadline: %d, %v", n, err)
	}
	// One that has found nothing before has read nothing either.
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read until its deadline: %d, %v", n, err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	// Closed with data that was not read, a TCP connection is reset.
	if _, err := c.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(peer.SetLinger(0), peer.Close()); err != nil {
		t.Fatal(err)
	}
	var op *net.OpError
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" {
		t.Errorf("read from a connection that was reset: %d, %v", n, err)
	}
	if _, err := c.Write([]byte("more")); !errors.Is(err, syscall.EPIPE) || !errors.As(err, &op) || op.Op != "write" {
		t.Errorf("write to a connection that was reset: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if _, err := c.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func TestConnCloseEndsRead(t *testing.T) {
	c, _ := quietPair(t)
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read while closing: %v", err)
	}
}

// TestWriteBuffers: many pieces, of all sizes and none, arrive one after the other, over a
// connection that is quiet and over one that is not.
func TestWriteBuffers(t *testing.T) {
	var pieces [][]byte
	for i := range 100 {
		pieces = append(pieces, bytes.Repeat([]byte{byte(i)}, i%3*i*i*30))
	}
	sent := bytes.Join(pieces, nil)
	for _, name := range []string{"quiet", "plain"} {
		t.Run(name, func(t *testing.T) {
			c, peer := quietPair(t)
			nc := net.Conn(c)
			if name == "plain" {
				nc = c.Conn
			}
			wrote := make(chan error, 1)
			go func() {
				n, err := WriteBuffers(nc, pieces)
				if err == nil && n != int64(len(sent)) {
					err = io.ErrShortWrite
				}
				wrote <- errors.Join(err, c.Conn.(*net.TCPConn).CloseWrite())
			}()
			got, err := io.ReadAll(peer)
			if err = errors.Join(err, <-wrote); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d octets of %d, err %v", len(got), len(sent), err)
			}
		})
	}
	if n := len(bytes.Join(pieces, nil)); n != len(sent) {
		t.Errorf("pieces were changed: %d octets of %d", n, len(sent))
	}
}

// TestWriteBuffersStops: a deadline ends a write that the peer does not take, which tells
// how much went; a connection that is closed takes nothing.
func TestWriteBuffersStops(t *testing.T) {
	c, peer := quietPair(t)
	pieces := [][]byte{make([]byte, 1000), make([]byte, 64<<20)}
	stopped := make(chan error, 1)
	var n int64
	go func() {
		var err error
		n, err = WriteBuffers(c, pieces)
		stopped <- err
	}()
	if _, err := peer.Read(make([]byte, 1)); err != nil { // it has begun
		t.Fatal(err)
	}
	if err := c.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := <-stopped; !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n >= 64<<20 {
		t.Errorf("%d octets, %v", n, err)
	}
	if Closed(c) {
		t.Error("closed, although neither side has")
	}
	if err := errors.Join(peer.SetLinger(0), peer.Close()); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !Closed(c); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("it is not known that the other end has reset the connection")
		}
	}
	if err := c.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	var op *net.OpError
	for range 2 { // the first call may be told of the reset
		n, err := WriteBuffers(c, pieces[:1])
		if n != 0 || !errors.As(err, &op) || op.Op != "write" {
			t.Errorf("%d octets to a connection that was reset, %v", n, err)
		}
	}
	c.Close()
	if n, err := WriteBuffers(c, pieces); n != 0 || !errors.Is(err, net.ErrClosed) || !Closed(c) {
		t.Errorf("%d octets after close, %v", n, err)
	}
}

// TestClosed: an end that has closed its side is noticed although something is left to be
// read, over TLS, too; of a connection without a socket nothing is known.
func TestClosed(t *testing.T) {
	c, peer := quietPair(t)
	if _, err := peer.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := peer.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !Closed(tls.Client(c, &tls.Config{})); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("not noticed")
		}
	}
	if got, err := io.ReadAll(c); string(got) != "last words" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	a, b := net.Pipe()
	b.Close()
	if Closed(Conn(a)) {
		t.Error("closed, as if it were known")
	}
}

func TestTryWrite(t *testing.T) {
	c, peer := quietPair(t)
	// A deadline that has passed is the next Write's.
	if err := c.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("x"), 64<<10)
	sent := 0
	for {
		n, err := c.TryWrite(block)
		if err != nil {
			t.Fatal(err)
		}
		if sent += n; n == 0 {
			break // the buffers of both ends are full
		}
	}
	if sent == 0 {
		t.Fatal("nothing could be written")
	}
	if n, err := io.CopyN(io.Discard, peer, int64(sent)); err != nil {
		t.Errorf("of %d octets written %d arrived: %v", sent, n, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.TryWrite(block); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}
