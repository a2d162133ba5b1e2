package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// storeCommand makes this program a server that writes what it receives to files, with
// a look at its CRC, and knows nothing of what it is: what no broker that checks and
// stores batches as they are can save of what producers cost it.
const storeCommand = "store-only"

// storeOrder is what the server is to store, in pieces one file after the other.
type storeOrder struct {
	Address string
	Dir     string
	Files   int
	Piece   int // bytes
	Size    int64
}

// storePiece is the most that the server reads at once, so that a piece is still in the
// processor's cache when it is written.
const storePiece = 128 << 10

// storeBare has a bare server store so many bytes, and returns what that cost it.
func (b *bench) storeBare(ctx context.Context, s *shape, size int64) (usage, error) {
	p, c, err := b.bareServer(ctx, storeCommand, func(address string) any {
		return storeOrder{address, b.data, int(s.partitions), min(int(s.batch), storePiece), size}
	})
	if err != nil {
		return usage{}, err
	}
	defer p.stop()
	defer c.Close()
	block := make([]byte, 1_000_000)
	before := p.usage()
	for left := size; left > 0 && err == nil; left -= int64(len(block)) {
		_, err = c.Write(block[:min(left, int64(len(block)))])
	}
	if err == nil {
		_, err = io.ReadFull(c, block[:1])
	}
	if err != nil {
		return usage{}, errors.Join(fmt.Errorf("write to the bare server: %w", err), p.failed())
	}
	return p.usage().since(before), nil
}

// storeAll is the server. Like that of serveFiles it has one thread, which blocks.
func storeAll(arg string) error {
	var order storeOrder
	if err := json.Unmarshal([]byte(arg), &order); err != nil {
		return err
	}
	l, err := net.Listen("tcp4", order.Address)
	if err != nil {
		return err
	}
	defer l.Close()
	fd, socket, err := acceptBlocking(l)
	if err != nil {
		return err
	}
	defer socket.Close()
	files := make([]uintptr, order.Files)
	for i := range files {
		f, err := os.CreateTemp(order.Dir, "tributary-bench-")
		if err != nil {
			return err
		}
		defer f.Close()
		if err := os.Remove(f.Name()); err != nil { // it lasts as long as it is open
			return err
		}
		files[i] = f.Fd()
	}
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if err := order.store(fd, files); err != nil {
		return err
	}
	if _, err := socket.Write([]byte{1}); err != nil {
		return err
	}
	_, _ = socket.Read(make([]byte, 1)) // until the other side has seen it
	return nil
}

func (o *storeOrder) store(fd uintptr, files []uintptr) error {
	table := crc32.MakeTable(crc32.Castagnoli)
	piece := make([]byte, o.Piece)
	for left, i := o.Size, 0; left > 0; i = (i + 1) % len(files) {
		want := piece[:min(left, int64(len(piece)))]
		for got := 0; got < len(want); {
			n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&want[got])), uintptr(len(want)-got))
			if errno != 0 && errno != unix.EINTR {
				return fmt.Errorf("read: %w", errno)
			}
			if errno == 0 {
				if n == 0 {
					return io.ErrUnexpectedEOF
				}
				got += int(n)
			}
		}
		runtime.KeepAlive(crc32.Checksum(want, table))
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, files[i], uintptr(unsafe.Pointer(&want[0])), uintptr(len(want)))
		if errno != 0 || int(n) != len(want) {
			return fmt.Errorf("write: %d of %d bytes, %w", n, len(want), errno)
		}
		left -= int64(len(want))
	}
	return nil
}

// acceptBlocking waits for one connection, and returns it for system calls that block.
func acceptBlocking(l net.Listener) (uintptr, *os.File, error) {
	c, err := l.Accept()
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	socket, err := c.(*net.TCPConn).File()
	if err != nil {
		return 0, nil, err
	}
	fd := socket.Fd()
	if err := unix.SetNonblock(int(fd), false); err != nil {
		socket.Close()
		return 0, nil, err
	}
	return fd, socket, nil
}
