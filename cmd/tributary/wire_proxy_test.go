package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between a client and a broker and does to their connections what
// networks and dying brokers do. It knows Kafka's framing, and which requests produce.
type proxy struct {
	addr     string // where clients connect
	listener net.Listener

	mu     sync.Mutex
	target string // the broker; empty refuses
	conns  map[*proxied]struct{}
	closed bool
	plans  []plan        // what happens to the next produce requests, one each
	shut   bool          // connections are reset as soon as they are there
	delay  time.Duration // of every answer

	answered map[string]int // produce requests whose answer was passed on, by client.id

	swallowed  atomic.Uint64 // answers kept from the client
	torn       atomic.Uint64 // requests of which the broker got a part
	overtaken  atomic.Uint64 // requests that came to the broker after their repetition
	reset      atomic.Uint64 // connections reset
	goroutines sync.WaitGroup
}

// plan is what happens to a produce request.
type plan struct {
	deed
	answers int // for overtake: how many answers of produce requests it waits for
}

type deed int

const (
	// Without any the request is passed on, and its answer.
	_ deed = iota
	// swallow: the broker takes the request, the client's connection is reset in place
	// of the answer.
	swallow
	// hang: the broker takes the request and those after it, and the client hears nothing
	// more on this connection, which stays open.
	hang
	// tear: the broker gets half of the request, then both connections are reset.
	tear
	// overtake: the client's connection is reset and the request waits in the network.
	// The broker gets it once it has answered some more produce requests of that
	// client, the first of which is its repetition.
	overtake
)

// proxied is a connection of a client, and the one to the broker that belongs to it.
type proxied struct {
	client, broker net.Conn
	silent         atomic.Bool // the client hears nothing more
	detached       atomic.Bool // the client's end is gone, the broker's goes on

	mu      sync.Mutex
	waiting map[int32]produce // requests by correlation id
}

// produce is a produce request that awaits its answer.
type produce struct {
	deed   deed
	client string
}

// newProxy listens at a port of its own, and passes on to target from the first
// connection on.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), listener: l, target: target, conns: map[*proxied]struct{}{}, answered: map[string]int{}}
	p.goroutines.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.goroutines.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.cut()
		p.goroutines.Wait()
	})
	return p
}

// aim sets where the broker is.
func (p *proxy) aim(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// cut resets all connections, wherever they are in their requests and answers.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		p.hangUp(c)
	}
}

// refuse resets connections as soon as they are there, and those that there are;
// false lets them through again.
func (p *proxy) refuse(on bool) {
	p.mu.Lock()
	p.shut = on
	p.mu.Unlock()
	if on {
		p.cut()
	}
}

// slow delays every answer; 0 none.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// next says what happens to the next produce requests, in their order.
func (p *proxy) next(plans ...plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans = append(p.plans, plans...)
}

// planned is how many of these are still to come.
func (p *proxy) planned() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.plans)
}

// hanging reports whether clients wait for answers that will not come.
func (p *proxy) hanging() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if c.silent.Load() {
			return true
		}
	}
	return false
}

// heal passes everything on again. What hangs is reset.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans, p.shut, p.delay = nil, false, 0
	for c := range p.conns {
		if c.silent.Load() {
			p.hangUp(c)
		}
	}
}

// hangUp resets both connections. p.mu is held.
func (p *proxy) hangUp(c *proxied) {
	p.reset.Add(1)
	resetConn(c.client)
	resetConn(c.broker)
}

// resetConn ends a connection with a reset: the other side's unread data is lost.
func resetConn(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func (p *proxy) serve(client net.Conn) {
	p.mu.Lock()
	target, shut := p.target, p.shut || p.closed
	p.mu.Unlock()
	if shut || target == "" {
		p.reset.Add(1)
		resetConn(client)
		return
	}
	broker, err := net.Dial("tcp", target)
	if err != nil {
		resetConn(client)
		return
	}
	c := &proxied{client: client, broker: broker, waiting: map[int32]produce{}}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	if p.closed {
		p.hangUp(c)
	}
	p.mu.Unlock()
	p.goroutines.Go(func() { p.replies(c) })
	p.requests(c)
}

// requests passes the client's requests on.
func (p *proxy) requests(c *proxied) {
	defer func() {
		if !c.detached.Load() { // else the other side closes them
			c.client.Close()
			c.broker.Close()
		}
	}()
	for {
		frame, err := readFrame(c.client)
		if err != nil {
			return
		}
		what, id, client := p.plan(frame)
		if client != "" {
			c.mu.Lock()
			c.waiting[id] = produce{what.deed, client}
			c.mu.Unlock()
		}
		switch what.deed {
		case tear:
			_, _ = c.broker.Write(frame[:len(frame)/2])
			p.torn.Add(1)
			// The half has to be on its way: a reset would take it back.
			c.broker.Close()
			p.reset.Add(1)
			resetConn(c.client)
			return
		case overtake:
			until := p.answers(client) + what.answers
			c.detached.Store(true)
			p.reset.Add(1)
			resetConn(c.client)
			if p.await(func() bool { return p.answers(client) >= until }) {
				p.overtaken.Add(1)
			}
			if _, err := c.broker.Write(frame); err != nil {
				c.broker.Close()
			}
			return
		case hang:
			c.silent.Store(true)
		}
		if _, err := c.broker.Write(frame); err != nil {
			return
		}
	}
}

// plan takes what happens to a request. The client is named if it is one that
// produces.
func (p *proxy) plan(frame []byte) (what plan, id int32, client string) {
	// Length, api key, version, correlation id, client id.
	if len(frame) < 14 || binary.BigEndian.Uint16(frame[4:]) != 0 {
		return plan{}, 0, ""
	}
	id = int32(binary.BigEndian.Uint32(frame[8:]))
	client = "?"
	if n := int(int16(binary.BigEndian.Uint16(frame[12:]))); n > 0 && len(frame) >= 14+n {
		client = string(frame[14 : 14+n])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.plans) > 0 {
		what, p.plans = p.plans[0], p.plans[1:]
	}
	return what, id, client
}

// answers is how many produce requests of a client have had their answer.
func (p *proxy) answers(client string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answered[client]
}

// await waits until f is true, but not for ever, and not when the proxy ends.
func (p *proxy) await(f func() bool) bool {
	for range 2000 {
		p.mu.Lock()
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return false
		}
		if f() {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// replies passes the broker's answers on.
func (p *proxy) replies(c *proxied) {
	defer func() {
		c.client.Close()
		c.broker.Close()
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	for {
		frame, err := readFrame(c.broker)
		if err != nil {
			return
		}
		id := int32(binary.BigEndian.Uint32(frame[4:]))
		c.mu.Lock()
		of, produces := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		p.mu.Lock()
		delay := p.delay
		p.mu.Unlock()
		if delay > 0 {
			time.Sleep(delay)
		}
		switch of.deed {
		case swallow:
			p.swallowed.Add(1)
			p.mu.Lock()
			p.hangUp(c)
			p.mu.Unlock()
			return
		case overtake:
			return // nobody is there to hear it
		}
		if c.silent.Load() {
			p.swallowed.Add(1)
			continue
		}
		if _, err := c.client.Write(frame); err != nil {
			return
		}
		if produces {
			p.mu.Lock()
			p.answered[of.client]++
			p.mu.Unlock()
		}
	}
}

// errFrame is in place of a frame that is none.
var errFrame = errors.New("not a frame of Kafka's protocol")

// readFrame reads a request or an answer with its length before it.
func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > 1<<28 {
		return nil, errFrame
	}
	frame := make([]byte, 4+n)
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}
