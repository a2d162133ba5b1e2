package commitlog

import (
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// osFile is a file of the operating system.
//
// The runtime takes every system call for one that may block. Where all was idle, each wakes its monitor, which then
// looks every 20 microseconds whether it does: a sixth of the time it takes to serve small requests. A file system in memory
// never makes anybody wait for a device, so the runtime need not hear of reads, writes and syncs there.
type osFile struct {
	*os.File
	memory bool
}

// mostQuiet is how much is read or written without the runtime's knowledge at a time: nothing else runs on that CPU meanwhile.
const mostQuiet = 128 << 10

func newFile(f *os.File) osFile {
	var st unix.Statfs_t
	for {
		switch err := unix.Fstatfs(int(f.Fd()), &st); err {
		case unix.EINTR:
			continue
		case nil:
			kind := uint32(st.Type)
			return osFile{f, kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC}
		}
		return osFile{f, false}
	}
}

// InMemory reports whether the file is in a file system in memory, so that nothing is waited for.
func (f osFile) InMemory() bool { return f.memory }

func (f osFile) ReadAt(b []byte, at int64) (n int, err error) {
	if !f.memory || at < 0 {
		return f.File.ReadAt(b, at)
	}
	for fd := f.Fd(); n < len(b); {
		done, errno := f.move(unix.SYS_PREADV, fd, b[n:], at+int64(n))
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return n, &os.PathError{Op: "read", Path: f.Name(), Err: errno}
		case done == 0:
			return n, io.EOF
		default:
			n += done
		}
	}
	runtime.KeepAlive(f.File)
	return n, nil
}

// move reads or writes a piece without the runtime's knowledge.
func (f osFile) move(number, fd uintptr, b []byte, at int64) (int, syscall.Errno) {
	part := unix.Iovec{Base: &b[0]}
	part.SetLen(min(len(b), mostQuiet))
	n, _, errno := syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(&part)), 1, uintptr(at), uintptr(at>>32), 0)
	return int(n), errno
}

func (f osFile) WriteAt(b []byte, at int64) (n int, err error) {
	if !f.memory || at < 0 {
		return f.File.WriteAt(b, at)
	}
	for fd := f.Fd(); n < len(b); {
		done, errno := f.move(unix.SYS_PWRITEV, fd, b[n:], at+int64(n))
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return n, &os.PathError{Op: "write", Path: f.Name(), Err: errno}
		case done == 0:
			return n, &os.PathError{Op: "write", Path: f.Name(), Err: io.ErrShortWrite}
		default:
			n += done
		}
	}
	runtime.KeepAlive(f.File)
	return n, nil
}

// Sync leaves out the modification time, which nothing here reads; the size is written.
func (f osFile) Sync() error {
	for fd := f.Fd(); ; {
		var errno syscall.Errno
		if f.memory {
			_, _, errno = syscall.RawSyscall(unix.SYS_FDATASYNC, fd, 0, 0)
		} else {
			_, _, errno = syscall.Syscall(unix.SYS_FDATASYNC, fd, 0, 0)
		}
		if errno == unix.EINTR {
			continue
		}
		runtime.KeepAlive(f.File)
		if errno != 0 {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: errno}
		}
		return nil
	}
}
