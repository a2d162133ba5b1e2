//go:build linux || darwin || freebsd

package commitlog

import "golang.org/x/sys/unix"

// Space implements spacer.
func (osFS) Space(name string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
