//go:build unix

package broker

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketPair returns two ends of a connection within the process. They are sockets of the kernel's, so records can be sent
// by sendfile and deadlines work.
func socketPair() (client, server net.Conn, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if client, err = fileConn(fds[0]); err != nil {
		_ = unix.Close(fds[1])
		return nil, nil, err
	}
	if server, err = fileConn(fds[1]); err != nil {
		_ = client.Close()
		return nil, nil, err
	}
	return client, server, nil
}

// fileConn takes the descriptor over.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "broker")
	defer f.Close() // FileConn has its own
	return net.FileConn(f)
}
