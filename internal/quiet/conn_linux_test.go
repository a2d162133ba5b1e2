package quiet

import (
	"bytes"
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
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after its deadline: %v", err)
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
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &op) || op.Op != "read" {
		t.Errorf("read from a connection that was reset: %v", err)
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
