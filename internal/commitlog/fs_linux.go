package commitlog

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncFile leaves out the modification time, which nothing here reads; the size is written.
func syncFile(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			if err != nil {
				return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
			}
			return nil
		}
	}
}
