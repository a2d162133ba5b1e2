package main

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// floorCommand makes this program a receiver that does nothing with what it
// receives: what the kernel and the system calls cost, and no collector can save.
const floorCommand = "receive-only"

// runFloor receives until the process is ended.
func runFloor(address string) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(a))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadBuffer(16 << 20); err != nil {
		return err
	}
	const batch = 64
	ms := make([]ipv4.Message, batch)
	for i := range ms {
		ms[i].Buffers = [][]byte{make([]byte, 65535)}
	}
	c := ipv4.NewPacketConn(conn)
	for {
		if _, err := c.ReadBatch(ms, 0); err != nil {
			return fmt.Errorf("receive: %w", err)
		}
	}
}
