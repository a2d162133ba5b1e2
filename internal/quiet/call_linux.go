//go:build !race

package quiet

import (
	"syscall"
	"unsafe"
)

// systemCall reads into b or writes it.
func systemCall(number, fd uintptr, b []byte) (n int, e syscall.Errno) {
	r, _, e := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if e != 0 {
		return 0, e
	}
	return int(r), 0
}

// writeVector writes from several places.
func writeVector(fd uintptr, vectors []syscall.Iovec) (n int, e syscall.Errno) {
	r, _, e := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors[0])), uintptr(len(vectors)))
	if e != 0 {
		return 0, e
	}
	return int(r), 0
}
