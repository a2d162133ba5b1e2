package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/tributary-net/tributary/internal/quiet"
)

// listener accepts clients on one address.
type listener struct {
	net.Listener
	b            *Broker
	cfg          Listener
	certificates *certificates // nil without TLS
}

func (b *Broker) listen(cfg Listener) (*listener, error) {
	l := &listener{b: b, cfg: cfg}
	var err error
	if cfg.TLS != nil {
		if l.certificates, err = newCertificates(cfg.TLS, b.log.With("listener", cfg.Name)); err != nil {
			return nil, fmt.Errorf("listener %s: %w", cfg.Name, err)
		}
	}
	lc := net.ListenConfig{Control: quiet.Unpaced}
	if l.Listener, err = lc.Listen(context.Background(), "tcp", cfg.Address); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Address, err)
	}
	return l, nil
}

// run accepts until the listener is closed. Being out of file descriptors is no reason to end.
func (l *listener) run() {
	const longest = time.Second
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			l.b.serveConn(nc, l)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if pause == 0 {
			l.b.log.Warn("accept", "err", err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), longest)
		select {
		case <-time.After(pause):
		case <-l.b.closing:
			return
		}
	}
}

// connSet holds the open connections.
type connSet struct {
	mu     sync.Mutex
	conns  map[*conn]struct{}
	hosts  map[string]int // connections by address; those by Dial have none
	closed bool
	wg     sync.WaitGroup // two goroutines each
}

// add lets a connection in, unless there are too many, in all or of its address, or the broker closes.
func (s *connSet) add(c *conn, most, mostOfHost int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	host := c.session.host
	if s.closed || len(s.conns) >= most || !c.session.trusted && s.hosts[host] >= mostOfHost {
		return false
	}
	s.conns[c] = struct{}{}
	if !c.session.trusted {
		s.hosts[host]++
	}
	s.wg.Add(2)
	return true
}

func (s *connSet) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if host := c.session.host; !c.session.trusted {
		if s.hosts[host]--; s.hosts[host] == 0 {
			delete(s.hosts, host)
		}
	}
	s.mu.Unlock()
}

// drain has every connection read no further, answer what it has read and close; those that have not within the time
// are closed as they are. It returns when all are gone.
func (s *connSet) drain(limit time.Duration) {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.stopReading()
	}
	s.mu.Unlock()
	hard := time.AfterFunc(limit, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.abort()
		}
	})
	s.wg.Wait()
	hard.Stop()
}

// serveConn starts serving a connection accepted by l, or by Dial, or closes it when there are too many.
func (b *Broker) serveConn(nc net.Conn, l *listener) bool {
	nc = quiet.Conn(nc)
	if l != nil && l.certificates != nil {
		nc = tls.Server(nc, l.certificates.get())
	}
	c := newConn(b, nc, l)
	if cfg := b.live.config.Load(); !b.conns.add(c, cfg.MaxConnections, cfg.MaxConnectionsPerIP) {
		b.counters.refused.Add(1)
		_ = nc.Close()
		return false
	}
	b.counters.accepted.Add(1)
	b.counters.connections.Add(1)
	go c.read()
	go c.write()
	return true
}
