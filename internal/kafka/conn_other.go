//go:build !linux

package kafka

import "net"

// quiet returns a connection as it is: only on Linux is there something to gain.
func quiet(conn net.Conn) net.Conn { return conn }
