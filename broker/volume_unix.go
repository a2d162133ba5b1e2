//go:build linux || darwin || freebsd

package broker

import "golang.org/x/sys/unix"

// volumeOf returns the size of the volume a directory is on and what is left of it, in bytes; -1 when that cannot be told.
func volumeOf(dir string) (total, usable int64) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return -1, -1
	}
	return int64(s.Blocks) * int64(s.Bsize), int64(s.Bavail) * int64(s.Bsize)
}
