package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// DemoConfig says where [Demo] sends its traffic, and how much.
type DemoConfig struct {
	NetFlow netip.AddrPort // collector of NetFlow v1 to v9
	IPFIX   netip.AddrPort // zero: where NetFlow goes
	SFlow   netip.AddrPort // zero: where NetFlow goes
	Rate    float64        // flows a second of all exporters together at the busiest time of day; 0: 400
	Steady  bool           // the same rate at any time of day
	Seed    uint64         // the same seed makes up the same network
}

// demoTick is how often Demo looks whose turn it is.
const demoTick = 50 * time.Millisecond

// Demo sends what the exporters of a made-up network say, at a modest rate that follows the time of day, until the context
// ends, which is no error. Where the collector is on loopback each exporter has an address of its own, 127.0.1.1 and on, if
// the system allows it.
func Demo(ctx context.Context, cfg DemoConfig) error {
	if !cfg.IPFIX.IsValid() {
		cfg.IPFIX = cfg.NetFlow
	}
	if !cfg.SFlow.IsValid() {
		cfg.SFlow = cfg.NetFlow
	}
	if cfg.Rate == 0 {
		cfg.Rate = 400
	}
	type source struct {
		*Exporter
		conn   *net.UDPConn
		to     netip.AddrPort
		credit float64 // flows it may send
		share  float64 // of all flows
	}
	// Core, border, firewall, probe, two switches, then the old ones.
	shares := []float64{0.3, 0.15, 0.15, 0.15, 0.07, 0.05, 0.08, 0.03, 0.02}
	var sources []*source
	defer func() {
		for _, s := range sources {
			s.conn.Close()
		}
	}()
	for i, e := range NewNetwork(cfg.Seed).Exporters() {
		s := &source{Exporter: e, share: shares[i], credit: 1}
		switch e.Protocol {
		case IPFIX:
			s.to = cfg.IPFIX
		case SFlow:
			s.to = cfg.SFlow
		default:
			s.to = cfg.NetFlow
		}
		conn, err := demoSocket(s.to, i+1)
		if err != nil {
			return fmt.Errorf("demo traffic to %v: %w", s.to, err)
		}
		s.conn = conn
		sources = append(sources, s)
	}
	ticker := time.NewTicker(demoTick)
	defer ticker.Stop()
	buf := make([]byte, 0, 2048)
	last := time.Now()
	for {
		now := time.Now()
		flows := cfg.Rate * min(now.Sub(last).Seconds(), 1)
		if !cfg.Steady {
			flows *= Activity(now)
		}
		last = now
		for _, s := range sources {
			s.credit += flows * s.share
			for s.credit > 0 {
				before := s.stats.Flows
				buf = s.Next(now, buf[:0])
				s.credit -= float64(s.stats.Flows - before)
				_, err := s.conn.WriteToUDPAddrPort(buf, s.to)
				// A collector that is not there yet, or a full queue, is no reason to stop.
				if err != nil && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOBUFS) {
					if ctx.Err() != nil {
						return nil
					}
					return fmt.Errorf("demo traffic of %s to %v: %w", s.Name, s.to, err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// demoSocket opens a socket for one exporter, on an address of its own where that is possible.
func demoSocket(to netip.AddrPort, number int) (*net.UDPConn, error) {
	if a := to.Addr().Unmap(); a.Is4() && a.IsLoopback() {
		own := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(number)}), 0))
		if conn, err := net.ListenUDP("udp4", own); err == nil {
			return conn, nil
		}
	}
	if to.Addr().Unmap().Is4() {
		return net.ListenUDP("udp4", nil)
	}
	return net.ListenUDP("udp6", nil)
}
