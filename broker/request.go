package broker

import (
	"encoding/binary"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// request is one frame from its arrival to its answer.
type request struct {
	conn        *conn
	api         *api
	version     int16
	flexible    bool
	correlation int32
	body        cursor // behind the header; gone when the handler returns
	size        int    // of the body
	at          time.Time
	throttled   time.Duration // its client is to wait so long after the answer
	times       requestTimes

	ready  chan struct{}                          // closed when one of the following is set
	answer []byte                                 // whole frame
	sent   int                                    // of it, by the reader
	send   func(wait bool) (done bool, err error) // writes the answer to the connection by itself; see sendWith
	drop   func()                                 // lets go of what send holds; nil: nothing
	silent bool                                   // no answer at all (acks=0); set before the handler returns
}

// broker returns whom the request was sent to.
func (rq *request) broker() *Broker { return rq.conn.b }

// begin returns a buffer with the header of an answer that will take about n bytes.
func (rq *request) begin(n int) []byte {
	b := rq.conn.b.buffers.get(n + 9)[:0]
	b = append(b, 0, 0, 0, 0)
	b = appendInt32(b, rq.correlation)
	if rq.flexible && rq.api.key != kmsg.ApiVersions.Int16() { // KIP-511: its header never changes
		b = append(b, 0)
	}
	return b
}

// answerWith hands over an answer that begin began.
func (rq *request) answerWith(b []byte) {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	rq.answer = b
	rq.times.ready = time.Now()
	rq.conn.owed.Add(int64(len(b)))
	close(rq.ready)
}

// respond encodes an answer and hands it over. It may be called from any goroutine, once.
func (rq *request) respond(m kmsg.Response) {
	m.SetVersion(rq.version)
	rq.tellThrottle(m)
	rq.answerWith(m.AppendTo(rq.begin(512)))
}

// respondFrom leaves it to the connection's writer to make the answer. It is for answers that take reading, when what they
// waited for calls back on a goroutine that others wait for.
func (rq *request) respondFrom(f func() kmsg.Response) {
	rq.sendWith(func(wait bool) (bool, error) {
		if !wait {
			return false, nil
		}
		m := f()
		m.SetVersion(rq.version)
		rq.tellThrottle(m)
		b := m.AppendTo(rq.begin(512))
		putInt32(b, int32(len(b)-4))
		rq.times.writing = time.Since(rq.at)
		err := rq.conn.writeAll(b)
		rq.conn.b.buffers.put(b)
		return true, err
	})
}

// sendWith leaves the answer to a function that is called when everything before it is written. The connection's reader may call
// it first, not to wait for anything: f does what it can and says whether that was all. The writer has it go on from there.
func (rq *request) sendWith(f func(wait bool) (done bool, err error)) {
	rq.send = f
	rq.times.ready = time.Now()
	close(rq.ready)
}

// letGo ends a request that sends its answer by itself, whether or not it has.
func (rq *request) letGo() {
	if f := rq.drop; f != nil {
		rq.drop = nil
		f()
	}
}

// code counts an error code and returns it as the wire has it.
func (rq *request) code(c code) int16 { return rq.conn.b.counters.code(c) }

// text returns err's text as an optional string, nil for nil.
func text(err error) *string {
	if err == nil {
		return nil
	}
	s := err.Error()
	return &s
}
