//go:build race

package quiet

import (
	"syscall"
	"unsafe"
)

// systemCall reads into b or writes it, and the race detector hears of it: that b changes,
// and that who reads what somebody has written comes after.
func systemCall(number, fd uintptr, b []byte) (n int, e syscall.Errno) {
	does := syscall.Read
	if number == syscall.SYS_WRITE {
		does = syscall.Write
	}
	n, err := does(int(fd), b)
	if err != nil {
		return 0, err.(syscall.Errno)
	}
	return n, 0
}

// writeVector writes from the first of several places, and the race detector hears of it.
func writeVector(fd uintptr, vectors []syscall.Iovec) (n int, e syscall.Errno) {
	return systemCall(syscall.SYS_WRITE, fd, unsafe.Slice(vectors[0].Base, vectors[0].Len))
}
