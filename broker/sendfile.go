package broker

import (
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
)

const (
	copyBuffer = 256 << 10
	sendChunk  = 1 << 20 // what the peer has to take within FrameTimeout
)

// mixed is an answer, or what is left to send of it: bytes, and between them records from files.
type mixed struct {
	out  []byte // all of them
	cuts []cut  // that are not sent
	sent int    // of out
	into int64  // the first cut
}

// cut is a place in an answer where records from a file go.
type cut struct {
	at   int
	span *commitlog.Span
}

// sendMixed sends what is left of an answer, or, not to wait, what the socket takes of it at once.
func (c *conn) sendMixed(m *mixed, wait bool) (done bool, err error) {
	for {
		end := len(m.out)
		if len(m.cuts) > 0 {
			end = m.cuts[0].at
		}
		if m.sent < end {
			n, err := c.put(m.out[m.sent:end], wait)
			if m.sent += n; err != nil || m.sent < end {
				return false, err
			}
		}
		if len(m.cuts) == 0 {
			return true, nil
		}
		span := m.cuts[0].span
		m.into, err = c.sendSpan(span, m.into, wait)
		if err != nil || m.into < span.Len {
			return false, err
		}
		m.cuts, m.into = m.cuts[1:], 0
	}
}

// put writes b, or, not to wait, what the socket takes of it at once.
func (c *conn) put(b []byte, wait bool) (n int, err error) {
	if wait {
		return len(b), c.writeAll(b)
	}
	n, err = c.try.TryWrite(b)
	c.b.counters.bytesOut.Add(uint64(n))
	return n, err
}

// sendSpan writes the bytes of a span from an offset on to the connection, and returns how far it has come: from the file by the
// kernel where that is possible, else through a buffer. Not to wait, it ends where the socket takes no more or a buffer is needed.
func (c *conn) sendSpan(s *commitlog.Span, sent int64, wait bool) (int64, error) {
	for sent < s.Len {
		if wait {
			if err := c.nc.SetWriteDeadline(time.Now().Add(c.b.cfg.FrameTimeout)); err != nil {
				return sent, err
			}
		}
		chunk := min(s.Len-sent, sendChunk)
		n, ok, err := c.sendfile(s.File, s.Pos+sent, chunk, wait)
		sent += n
		c.b.counters.bytesOut.Add(uint64(n))
		switch {
		case err != nil:
			return sent, err
		case !wait && n < chunk:
			return sent, nil
		case !ok:
			return c.copySpan(s, sent)
		}
	}
	return sent, nil
}

// copySpan writes a span from an offset on through a buffer.
func (c *conn) copySpan(s *commitlog.Span, sent int64) (int64, error) {
	buf := c.b.buffers.get(int(min(s.Len-sent, copyBuffer)))
	defer c.b.buffers.put(buf)
	for sent < s.Len {
		n, err := s.ReadAt(buf[:min(s.Len-sent, int64(len(buf)))], sent)
		if n == 0 && err != nil {
			return sent, err
		}
		if err := c.writeAll(buf[:n]); err != nil {
			return sent, err
		}
		sent += int64(n)
	}
	return sent, nil
}
