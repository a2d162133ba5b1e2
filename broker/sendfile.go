package broker

import (
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
)

const (
	copyBuffer = 256 << 10
	sendChunk  = 1 << 20 // what the peer has to take within FrameTimeout
)

// sendSpan writes the bytes of a span to the connection: from the file by the kernel where that is possible, else
// through a buffer.
func (c *conn) sendSpan(s *commitlog.Span) error {
	sent := int64(0)
	for sent < s.Len {
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.b.cfg.FrameTimeout)); err != nil {
			return err
		}
		n, ok, err := c.sendfile(s.File, s.Pos+sent, min(s.Len-sent, sendChunk))
		sent += n
		c.b.counters.bytesOut.Add(uint64(n))
		if err != nil {
			return err
		}
		if !ok {
			return c.copySpan(s, sent)
		}
	}
	return nil
}

// copySpan writes a span from an offset on through a buffer.
func (c *conn) copySpan(s *commitlog.Span, sent int64) error {
	buf := c.b.buffers.get(int(min(s.Len-sent, copyBuffer)))
	defer c.b.buffers.put(buf)
	for sent < s.Len {
		n, err := s.ReadAt(buf[:min(s.Len-sent, int64(len(buf)))], sent)
		if n == 0 && err != nil {
			return err
		}
		if err := c.writeAll(buf[:n]); err != nil {
			return err
		}
		sent += int64(n)
	}
	return nil
}
