//go:build !linux

package broker

import "github.com/tributary-net/tributary/internal/commitlog"

func (c *conn) sendfile(commitlog.File, int64, int64, bool) (int64, bool, error) {
	return 0, false, nil
}
