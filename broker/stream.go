package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// streamFrom is the size from which a produce request is served while it arrives. Several partitions' batches of a
	// megabyte would not stay in the processor's cache between the socket and the file, and a connection needs room for
	// one of them instead of all.
	streamFrom = 256 << 10

	// maxWindow is the most a cursor sees at once; what is longer is read into a buffer of its own.
	maxWindow = readAhead
)

// stream is a request that is served while it arrives. Its cursor has a window of what the connection's reader holds, and asks
// for more. Batches are appended one by one: of a frame that turns out not to be whole those before the end stay in the log,
// without an answer.
type stream struct {
	c      *conn
	left   int           // bytes of the frame from the cursor's window on
	window int           // bytes the cursor was given
	lent   []byte        // by block
	idle   time.Duration // spent waiting for the peer
	err    error         // why there is no more
}

// streams says whether the frame of so many bytes that comes next is served while it arrives: a large produce request of a
// version that is served, from a client that has authenticated.
func (c *conn) streams(size int) (bool, error) {
	if size < c.b.cfg.streamFrom || c.session.pending || c.session.bare {
		return false, nil
	}
	if err := c.deadline(c.b.cfg.FrameTimeout); err != nil {
		return false, err
	}
	head, err := c.in.Peek(4)
	if err != nil {
		return false, cutShort(err)
	}
	key, version := int16(binary.BigEndian.Uint16(head)), int16(binary.BigEndian.Uint16(head[2:]))
	if key != produceKey || c.session.mayServe(key, time.Now()) != nil {
		return false, nil
	}
	return version >= c.b.apis[key].min && version <= c.b.apis[key].max, nil
}

// unread is how many bytes of the frame are left behind a cursor that has rest bytes of its window.
func (s *stream) unread(rest int) int { return s.left - (s.window - rest) }

// settle gives back what the cursor has read, which is gone with that.
func (s *stream) settle(rest int) {
	s.release()
	_, _ = s.c.in.Discard(s.window - rest)
	s.left = s.unread(rest)
	s.window = 0
}

// refill returns a new window of at least n bytes, of which the cursor takes n at once; nil when the frame has no more or the
// peer does not send them.
func (s *stream) refill(rest, n int) []byte {
	if n > maxWindow {
		return s.block(rest, n)
	}
	s.settle(rest)
	if n > s.left {
		s.err = errMalformed
		return nil
	}
	if s.c.in.Buffered() < n {
		began := time.Now()
		if s.err = s.c.deadline(s.c.b.cfg.FrameTimeout); s.err != nil {
			return nil
		}
		if _, err := s.c.in.Peek(n); err != nil {
			s.err = cutShort(err)
			return nil
		}
		s.idle += time.Since(began)
	}
	s.window = min(s.c.in.Buffered(), s.left)
	b, _ := s.c.in.Peek(s.window)
	return b
}

// block reads n bytes that may not fit in a window; nil when they do not come.
func (s *stream) block(rest, n int) []byte {
	s.settle(rest)
	if n > s.left {
		s.err = errMalformed
		return nil
	}
	began := time.Now()
	b, err := s.c.readBytes(n)
	if err != nil {
		s.err = err
		return nil
	}
	s.left -= n
	s.idle += time.Since(began)
	s.lent = b
	return b
}

// release takes back what block returned.
func (s *stream) release() {
	if s.lent != nil {
		s.c.b.buffers.put(s.lent)
		s.c.loan.repay()
		s.lent = nil
	}
}

// finish skips what is left of the frame: bytes behind a request are nobody's.
func (s *stream) finish() error {
	s.release()
	for s.left > 0 {
		if err := s.c.deadline(s.c.b.cfg.FrameTimeout); err != nil {
			return err
		}
		n, err := s.c.in.Discard(min(s.left, maxWindow))
		s.left -= n
		if err != nil {
			return cutShort(err)
		}
	}
	return nil
}

// cutShort is what a read error within a frame means.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("frame cut short: %w", errMalformed)
	}
	return err
}
