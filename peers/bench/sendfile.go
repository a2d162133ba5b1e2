package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tributary-net/tributary/internal/quiet"
)

// sendfileCommand makes this program a server that sends files and knows nothing of
// what is in them: what no broker can save of what consumers cost it.
//
// Whoever connects sends a byte for each answer, which is the next piece of every
// file, one after the other.
const sendfileCommand = "sendfile-only"

// floorFiles is what the server is to send.
type floorFiles struct {
	Address string
	Files   []string
	Unpaced bool // as a broker on loopback sends
}

// sendFiles has a bare server send files to a reader that asks and reads as a consumer
// does, and returns what that cost the server. TCP sends as the system has it or, unpaced, as it does
// for a broker that listens on loopback.
func (b *bench) sendFiles(ctx context.Context, pattern string, unpaced bool) (usage, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return usage{}, err
	}
	var left []int64
	for _, name := range files {
		st, err := os.Stat(name)
		if err != nil {
			return usage{}, err
		}
		left = append(left, st.Size())
	}
	p, c, err := b.bareServer(ctx, sendfileCommand, func(address string) any { return floorFiles{address, files, unpaced} })
	if err != nil {
		return usage{}, err
	}
	defer p.stop()
	defer c.Close()
	answer := make([]byte, len(files)*fetchPartitionBytes)
	before := p.usage()
	for {
		n := 0
		for i := range left {
			piece := min(left[i], fetchPartitionBytes, int64(fetchBytes-n))
			left[i] -= piece
			n += int(piece)
		}
		if n == 0 {
			break
		}
		if _, err = c.Write([]byte{0}); err == nil {
			_, err = io.ReadFull(c, answer[:n])
		}
		if err != nil {
			return usage{}, errors.Join(fmt.Errorf("read from the bare server: %w", err), p.failed())
		}
	}
	return p.usage().since(before), nil
}

// bareServer starts this program as a bare server, and connects to it. arg is what it is told of its work.
func (b *bench) bareServer(ctx context.Context, command string, arg func(address string) any) (*process, net.Conn, error) {
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	told, err := json.Marshal(arg(address(port)))
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	p, err := b.start(command, nil, self, command, string(told))
	if err != nil {
		return nil, nil, err
	}
	var c net.Conn
	if err := await(ctx, p, 10*time.Second, "accept connections", func() bool {
		c, err = net.Dial("tcp", address(port))
		return err == nil
	}); err != nil {
		p.stop()
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return p, c, nil
}

// serveFiles is the server. It has one thread, which blocks in system calls that the
// runtime does not hear of, so that there is nothing beside them.
func serveFiles(arg string) error {
	var wanted floorFiles
	if err := json.Unmarshal([]byte(arg), &wanted); err != nil {
		return err
	}
	var lc net.ListenConfig
	if wanted.Unpaced {
		lc.Control = quiet.Unpaced
	}
	l, err := lc.Listen(context.Background(), "tcp4", wanted.Address)
	if err != nil {
		return err
	}
	defer l.Close()
	fd, socket, err := acceptBlocking(l)
	if err != nil {
		return err
	}
	defer socket.Close()
	var from []uintptr
	var left []int64
	for _, name := range wanted.Files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return err
		}
		from, left = append(from, f.Fd()), append(left, st.Size())
	}
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	return answerWithFiles(fd, from, left)
}

func answerWithFiles(fd uintptr, from []uintptr, left []int64) error {
	var asked [1]byte
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&asked)), 1)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return fmt.Errorf("read: %w", errno)
		case n == 0:
			return nil
		}
		room := int64(fetchBytes)
		for i := range from {
			for piece := min(left[i], fetchPartitionBytes, room); piece > 0; {
				n, _, errno := syscall.RawSyscall6(unix.SYS_SENDFILE, fd, from[i], 0, uintptr(piece), 0, 0)
				if errno != 0 && errno != unix.EINTR {
					return fmt.Errorf("sendfile: %w", errno)
				}
				if errno == 0 {
					piece -= int64(n)
					left[i] -= int64(n)
					room -= int64(n)
				}
			}
		}
	}
}
