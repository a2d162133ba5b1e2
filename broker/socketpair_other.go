//go:build !unix

package broker

import "net"

// socketPair returns two ends of a connection within the process.
func socketPair() (client, server net.Conn, err error) {
	client, server = net.Pipe()
	return client, server, nil
}
