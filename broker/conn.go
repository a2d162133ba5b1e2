package broker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	readAhead    = 4 << 10         // small requests arrive with one read
	firstTrust   = 64 << 10        // how much a new connection's claims are believed
	coalesce     = 32 << 10        // small answers that are ready together leave together
	maxOwed      = 1 << 20         // bytes of answers in front of which no more requests are read
	drainTimeout = 5 * time.Second // for the answers of a connection that reads no further
)

// conn is one client's connection: a reader that serves requests one after the other, and a writer that sends answers in
// the order of the requests, each when it is ready. Requests go on being read and served while the answers to earlier ones
// wait, for the disk or for group members, until MaxQueued of them do. An answer that is ready at once, with none before it,
// the reader sends by itself: to wake the writer takes longer.
type conn struct {
	b   *Broker
	nc  net.Conn
	raw syscall.RawConn // for sendfile; nil where there is none
	try tryWriter       // nil where there is none

	queue chan *request // reader to writer, in order
	quiet chan struct{} // closed when the reader is done: nothing that only waits needs to wait any more
	dead  chan struct{} // closed when the writer is done

	waiting atomic.Int64 // requests read and not answered
	owed    atomic.Int64 // bytes of answers that are ready and not written

	mutedUntil atomic.Int64 // no request is read before, in nanoseconds since 1970

	paid chan struct{} // to the reader, when the writer has written some

	turn sync.Mutex // held by whoever writes to nc: the writer but while it waits for a request, or the reader

	// What the reader has for itself.
	in       *bufio.Reader
	loan     loan
	trusted  int // the largest frame this peer really sent
	clientID string
	session  session

	// What the writer has for itself.
	out     []byte
	timer   *time.Timer
	waiters []waiter // of a fetch, one for each partition
	errOut  error

	stop sync.Once
}

func newConn(b *Broker, nc net.Conn, l *listener) *conn {
	c := &conn{
		b:       b,
		nc:      nc,
		queue:   make(chan *request, b.cfg.MaxQueued),
		quiet:   make(chan struct{}),
		dead:    make(chan struct{}),
		paid:    make(chan struct{}, 1),
		in:      bufio.NewReaderSize(nc, readAhead),
		loan:    loan{p: b.buffers},
		trusted: firstTrust,
		session: newSession(b, l, nc),
	}
	if c.session.pending {
		c.trusted = minBuffer // strangers who begin frames do not take the room of those who are in
	}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	c.try, _ = nc.(tryWriter)
	return c
}

// stopReading lets the reader end; answers still go out.
func (c *conn) stopReading() {
	c.stop.Do(func() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) })
}

// abort ends both.
func (c *conn) abort() { _ = c.nc.Close() }

// read is the reader. When it returns, the writer sends what is left and closes the connection.
func (c *conn) read() {
	err := c.handshake()
	if err == nil {
		err = c.readAll()
	}
	s := &c.b.counters
	switch {
	case c.b.isClosing():
	case errors.Is(err, errTooOften):
		s.tooOften.Add(1)
	case errors.Is(err, errHandshake):
		s.handshakes.Add(1)
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET):
	case errors.Is(err, errUnauthenticated):
		s.unauthenticated.Add(1)
	case errors.Is(err, errExpired):
		s.expired.Add(1)
	case errors.Is(err, errMalformed):
		s.malformed.Add(1)
	case errors.Is(err, errUnsupported):
		s.unsupported.Add(1)
	case errors.Is(err, errIdle):
		s.idle.Add(1)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.slow.Add(1)
	}
	c.b.log.Debug("connection ends", "peer", c.nc.RemoteAddr().String(), "client", c.clientID, "err", err)
	close(c.quiet)
	close(c.queue)
	<-c.dead
	for rq := range c.queue { // that came when the writer had ended
		rq.letGo()
	}
	c.b.conns.wg.Done()
}

var (
	errUnsupported = errors.New("request not served")
	errIdle        = errors.New("idle")
)

// settle waits while answers are owed that the peer does not take: it gets no more before.
func (c *conn) settle() error {
	for c.owed.Load() > maxOwed {
		select {
		case <-c.paid:
		case <-c.dead:
			return net.ErrClosed
		}
	}
	return nil
}

func (c *conn) readAll() error {
	for {
		if err := c.settle(); err != nil {
			return err
		}
		if c.session.failed {
			return errAuthentication
		}
		size, err := c.readSize()
		if err == nil {
			err = c.unmuted()
		}
		if err != nil {
			return err
		}
		rq, err := c.serveNext(size)
		if err != nil {
			return err
		}
		c.b.counters.bytesIn.Add(uint64(size) + 4)
		if rq.silent {
			continue
		}
		c.waiting.Add(1)
		if done, err := c.answerNow(rq); err != nil {
			return err
		} else if done {
			continue
		}
		select {
		case c.queue <- rq:
		case <-c.dead:
			rq.letGo()
			return net.ErrClosed
		}
	}
}

// tryWriter writes what can be written at once.
type tryWriter interface {
	TryWrite(b []byte) (n int, err error)
}

// answerNow has the reader send an answer, if it is ready, no other is owed and the socket takes it at once. If not, or with
// more requests read already, whose answers may leave together, it is the writer's, from where the reader has come. Records are
// sent so, too, if there is nothing to wait for: to wake the writer costs as much as to send some 100 KB of them.
func (c *conn) answerNow(rq *request) (done bool, err error) {
	select {
	case <-rq.ready:
	default:
		return false, nil
	}
	if c.try == nil || c.in.Buffered() > 0 || c.waiting.Load() > 1 || !c.turn.TryLock() {
		return false, nil
	}
	defer c.turn.Unlock()
	if rq.send != nil {
		if done, err = c.send(rq, false); done {
			c.answered(rq)
		}
		return done, err
	}
	n, err := c.try.TryWrite(rq.answer)
	c.b.counters.bytesOut.Add(uint64(n))
	if err != nil {
		return false, err
	}
	if n < len(rq.answer) {
		rq.sent = n
		return false, nil
	}
	c.owed.Add(-int64(n))
	c.b.buffers.put(rq.answer)
	rq.answer = nil
	c.answered(rq)
	return true, nil
}

// answered counts a request off.
func (c *conn) answered(rq *request) {
	c.waiting.Add(-1)
	c.b.counters.count(rq)
}

// serveNext reads a frame of so many bytes, the next, and serves it; or serves it while it reads it.
func (c *conn) serveNext(size int) (*request, error) {
	streams, err := c.streams(size)
	if err != nil {
		return nil, err
	}
	if streams {
		s := &stream{c: c, left: size}
		defer s.release()
		rq, err := c.serve(cursor{more: s})
		if err == nil {
			err = s.finish()
		}
		return rq, err
	}
	frame, err := c.readBytes(size)
	if err != nil {
		return nil, err
	}
	rq, err := c.serve(cursor{b: frame})
	if rq != nil {
		rq.body = cursor{}
	}
	c.b.buffers.put(frame)
	c.loan.repay()
	return rq, err
}

// readSize waits for the length of the next frame, IdleTimeout at most, or longer while answers are owed.
func (c *conn) readSize() (int, error) {
	for c.in.Buffered() < 4 {
		if err := c.deadline(c.b.cfg.IdleTimeout); err != nil {
			return 0, err
		}
		_, err := c.in.Peek(4)
		if err == nil {
			break
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.b.isClosing() {
			if c.waiting.Load() > 0 && c.session.by.IsZero() {
				continue
			}
			return 0, errIdle
		}
		if errors.Is(err, io.EOF) && c.in.Buffered() > 0 {
			return 0, fmt.Errorf("frame cut short: %w", errMalformed)
		}
		return 0, err
	}
	b, _ := c.in.Peek(4)
	size := int32(binary.BigEndian.Uint32(b))
	_, _ = c.in.Discard(4)
	if least, most := c.frameSize(); int(size) < least || int(size) > most {
		return 0, fmt.Errorf("frame of %d bytes: %w", size, errMalformed)
	}
	return int(size), nil
}

// frameSize returns the bounds of a frame's size: narrow ones before authentication.
func (c *conn) frameSize() (least, most int) {
	switch {
	case c.session.bare:
		return 0, maxTokenBytes
	case c.session.pending:
		return 8, min(maxTokenBytes, c.b.cfg.MaxRequestBytes)
	}
	return 8, c.b.cfg.MaxRequestBytes
}

// deadline sets until when the next read may take, unless the broker is closing and has set its own.
func (c *conn) deadline(d time.Duration) error {
	until := time.Now().Add(d)
	if by := c.session.by; !by.IsZero() && by.Before(until) {
		until = by
	}
	if err := c.nc.SetReadDeadline(until); err != nil {
		return err
	}
	if c.b.isClosing() { // stopReading may have come just before
		return ErrClosed
	}
	return nil
}

// readBytes reads size bytes. The buffer begins with what this peer has been seen to send and doubles as bytes arrive; each
// step has FrameTimeout.
func (c *conn) readBytes(size int) ([]byte, error) {
	buf, err := c.room(nil, min(size, c.trusted))
	if err != nil {
		return nil, err
	}
	for have := 0; ; {
		if c.in.Buffered() < len(buf)-have {
			if err := c.deadline(c.b.cfg.FrameTimeout); err != nil {
				c.b.buffers.put(buf)
				c.loan.repay()
				return nil, err
			}
		}
		n, err := io.ReadFull(c.in, buf[have:])
		have += n
		if err == nil && have == size {
			c.trusted = max(c.trusted, size)
			return buf, nil
		}
		if err == nil {
			buf, err = c.room(buf, min(size, 2*len(buf)))
		}
		if err != nil {
			c.b.buffers.put(buf)
			c.loan.repay()
			return nil, cutShort(err)
		}
	}
}

// room returns a buffer of n bytes that begins with what old holds, and takes old back.
func (c *conn) room(old []byte, n int) ([]byte, error) {
	_, size := classOf(n)
	if !c.loan.grow(int64(size)) {
		return old, ErrClosed
	}
	b := c.loan.get(n)
	copy(b, old)
	c.b.buffers.put(old)
	return b, nil
}

// serve reads the header of a frame and has its handler serve it.
func (c *conn) serve(cur cursor) (rq *request, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.b.counters.panics.Add(1)
			c.b.log.Error("panic while serving a request", "peer", c.nc.RemoteAddr().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			rq, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	if c.session.bare {
		return c.serveToken(cur.b)
	}
	key, version := cur.int16(), cur.int16()
	rq = &request{conn: c, version: version, correlation: cur.int32(), at: time.Now(), ready: make(chan struct{})}
	if key < 0 || int(key) >= len(c.b.apis) || c.b.apis[key] == nil {
		return nil, fmt.Errorf("%w: api key %d", errUnsupported, key)
	}
	if err := c.session.mayServe(key, rq.at); err != nil {
		return nil, fmt.Errorf("%w: api key %d", err, key)
	}
	rq.api = c.b.apis[key]
	c.b.counters.requests[key].Add(1)
	if version < rq.api.min || version > rq.api.max {
		if rq.api.refuse == nil {
			return nil, fmt.Errorf("%w: %s v%d", errUnsupported, rq.api.name, version)
		}
		rq.body = cur
		return rq, rq.api.refuse(rq)
	}
	rq.flexible = version >= rq.api.flexible
	if id := cur.str(false); string(id) != c.clientID {
		c.clientID = string(id)
	}
	cur.tags(rq.flexible)
	if cur.bad {
		return nil, fmt.Errorf("request header: %w", errMalformed)
	}
	rq.body, rq.size = cur, cur.remaining()
	m, err := rq.api.decode(rq)
	if err != nil {
		return nil, err
	}
	rq.beginRequest()
	err = rq.api.serve(rq, m)
	if s := cur.more; s != nil {
		rq.at = rq.at.Add(s.idle) // as if it had been there when it was begun
	}
	rq.times.served = time.Since(rq.at)
	rq.endRequest()
	return rq, err
}

// write is the writer. It closes the connection when it ends.
func (c *conn) write() {
	c.turn.Lock()
	defer c.turn.Unlock()
	for rq := c.next(); rq != nil; rq = c.next() {
		if err := c.answer(rq); err != nil {
			c.errOut = err
			if errors.Is(err, os.ErrDeadlineExceeded) {
				c.b.counters.slow.Add(1)
			}
			break
		}
		c.answered(rq)
	}
	if c.errOut == nil {
		_ = c.flush()
	}
	close(c.dead)
	_ = c.nc.Close()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.b.conns.remove(c)
	c.b.counters.connections.Add(-1)
	c.b.conns.wg.Done()
}

// next returns the next request to answer, or nil when there is none and none will come.
func (c *conn) next() *request {
	select {
	case rq := <-c.queue:
		return rq
	default:
	}
	if c.errOut = c.flush(); c.errOut != nil {
		return nil
	}
	c.turn.Unlock()
	rq := <-c.queue
	c.turn.Lock()
	return rq
}

// answer waits for a request's answer and sends it. Small ones are gathered.
func (c *conn) answer(rq *request) (err error) {
	select {
	case <-rq.ready:
	default:
		if err := c.flush(); err != nil {
			return err
		}
		if !c.wait(rq) {
			return fmt.Errorf("%s: not answered in time", rq.api.name)
		}
	}
	if rq.times.writing == 0 { // the reader has not begun to send it
		rq.times.turn = time.Since(rq.at)
	}
	if rq.send == nil {
		if c.owed.Add(-int64(len(rq.answer))) <= maxOwed {
			select {
			case c.paid <- struct{}{}:
			default:
			}
		}
		if rest := rq.answer[rq.sent:]; len(c.out)+len(rest) <= coalesce {
			c.out = append(c.out, rest...)
		} else if err = c.flush(); err == nil {
			err = c.writeAll(rest)
		}
		c.b.buffers.put(rq.answer)
		rq.answer = nil
		return err
	}
	if err := c.flush(); err != nil {
		rq.letGo()
		return err
	}
	_, err = c.send(rq, true)
	return err
}

// send has a request send its answer by itself.
func (c *conn) send(rq *request, wait bool) (done bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.b.counters.panics.Add(1)
			c.b.log.Error("panic while answering a request", "peer", c.nc.RemoteAddr().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
		if done || err != nil {
			rq.letGo()
		}
	}()
	return rq.send(wait)
}

// wait returns whether the answer became ready. Once the reader is done it has drainTimeout.
func (c *conn) wait(rq *request) bool {
	select {
	case <-rq.ready:
		return true
	case <-c.quiet:
	}
	t := time.NewTimer(drainTimeout)
	defer t.Stop()
	select {
	case <-rq.ready:
		return true
	case <-t.C:
		return false
	}
}

// flush writes what was gathered.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.writeAll(c.out)
	c.out = c.out[:0]
	return err
}

// writeAll writes b; the peer has FrameTimeout to take it.
func (c *conn) writeAll(b []byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.b.cfg.FrameTimeout)); err != nil {
		return err
	}
	n, err := c.nc.Write(b)
	c.b.counters.bytesOut.Add(uint64(n))
	return err
}
