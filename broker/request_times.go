package broker

import "time"

// requestTimes are moments in the life of a request, counted from its arrival.
type requestTimes struct {
	served  time.Duration // its handler returned
	ready   time.Time     // its answer was ready, or what makes it
	turn    time.Duration // the answers before it were sent; 0: it was its turn when it was ready
	waited  time.Duration // between turn and writing, for records
	writing time.Duration // its answer was made by the connection's writer, and began to be sent; 0: it had been made before
}

// RequestPart is a part of the time that a request takes. Who reads a request serves it at once, so there is no time in a queue
// before that.
type RequestPart int

const (
	PartLocal         RequestPart = iota // spent on it: by its handler, and on making its answer
	PartRemote                           // waiting: for a flush, for members of its group, for records
	PartResponseQueue                    // waiting for the answers before it on its connection
	PartResponseSend                     // sending its answer
	requestParts
)

// String returns the part's name: local, remote, response_queue or response_send.
func (p RequestPart) String() string {
	return [requestParts]string{"local", "remote", "response_queue", "response_send"}[p]
}

// parts divides the time from a request's arrival, at, until its answer was sent.
func (t *requestTimes) parts(at time.Time, total time.Duration) (p [requestParts]time.Duration) {
	ready := max(t.ready.Sub(at), t.served)
	turn := max(t.turn, ready)
	p[PartLocal] = t.served
	p[PartRemote] = ready - t.served
	p[PartResponseQueue] = turn - ready
	if t.writing > turn {
		p[PartRemote] += t.waited
		p[PartLocal] += t.writing - turn - t.waited
		turn = t.writing
	}
	p[PartResponseSend] = max(total-turn, 0)
	return p
}

// count adds a request that is answered.
func (s *counters) count(rq *request) {
	total := time.Since(rq.at)
	s.requestTime[rq.api.key].Add(int64(total))
	for i, d := range rq.times.parts(rq.at, total) {
		if d > 0 {
			s.requestParts[rq.api.key][i].Add(int64(d))
		}
	}
}
