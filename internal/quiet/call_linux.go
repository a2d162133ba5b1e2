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
