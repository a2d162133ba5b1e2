package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// clientQuotas are the limits of one connection's client, found once for each table of quotas and each client id.
type clientQuotas struct {
	table    *quotaTable
	clientID string

	produce, fetch, request, mutation *limit
}

// quotas returns the limits of the client, nil when there are none at all. Only the reader calls it.
func (c *conn) quotas() *clientQuotas {
	table := c.b.quotas.table.Load()
	if table == nil || c.session.trusted || c.session.pending {
		return nil
	}
	cq := c.session.quotas
	if cq != nil && cq.table == table && cq.clientID == c.clientID {
		return cq
	}
	qs, user := c.b.quotas, c.session.principal[len(userPrincipal):]
	cq = &clientQuotas{
		table: table, clientID: c.clientID,
		produce:  qs.limit(*table, quotaProduce, user, c.clientID),
		fetch:    qs.limit(*table, quotaFetch, user, c.clientID),
		request:  qs.limit(*table, quotaRequest, user, c.clientID),
		mutation: qs.limit(*table, quotaMutation, user, c.clientID),
	}
	c.session.quotas = cq
	return cq
}

// throttle notes that a request's client is to wait: the answer says for how long, goes out at once, and the connection is
// read no further for that time (KIP-219).
func (rq *request) throttle(d time.Duration) {
	if d <= 0 {
		return
	}
	rq.throttled = max(rq.throttled, d)
	rq.conn.mute(rq.throttled)
}

// throttleMillis is what an answer says of it.
func (rq *request) throttleMillis() int32 {
	return int32((rq.throttled + time.Millisecond - 1) / time.Millisecond)
}

// mute has the reader wait before the next request.
func (c *conn) mute(d time.Duration) {
	until := time.Now().Add(d).UnixNano()
	for {
		old := c.mutedUntil.Load()
		if old >= until || c.mutedUntil.CompareAndSwap(old, until) {
			return
		}
	}
}

// unmuted waits while the connection is muted. One that is so for longer than connections may be idle ends.
func (c *conn) unmuted() error {
	for {
		left := time.Until(time.Unix(0, c.mutedUntil.Load()))
		switch {
		case c.mutedUntil.Load() == 0 || left <= 0:
			return nil
		case c.b.isClosing():
			return ErrClosed
		case left > c.b.cfg.IdleTimeout:
			c.pause(c.b.cfg.IdleTimeout)
			return errIdle
		}
		select {
		case <-c.dead:
			return errIdle
		default:
			c.pause(left)
		}
	}
}

// meterProduce throttles by the bytes of a produce request.
func (rq *request) meterProduce(bytes int) {
	if cq := rq.conn.quotas(); cq != nil {
		rq.throttle(cq.produce.use(rq.conn.b.quotas.now(), float64(bytes)))
	}
}

// beginRequest throttles by the time that earlier requests took, and endRequest adds that of this one.
func (rq *request) beginRequest() {
	if cq := rq.conn.quotas(); cq != nil {
		rq.throttle(cq.request.ask(rq.conn.b.quotas.now()))
	}
}

func (rq *request) endRequest() {
	if cq := rq.conn.session.quotas; cq != nil {
		cq.request.spend(rq.conn.b.quotas.now(), time.Since(rq.at).Seconds())
	}
}

// mutate says whether partitions may be made or removed now. From the version on that knows THROTTLING_QUOTA_EXCEEDED a client
// that has gone beyond its quota is refused (KIP-599); older ones are served and throttled.
func (rq *request) mutate(partitions int, strictFrom int16) error {
	cq := rq.conn.quotas()
	if cq == nil || cq.mutation == nil {
		return nil
	}
	now := rq.conn.b.quotas.now()
	if d := cq.mutation.ask(now); d > 0 && rq.version >= strictFrom {
		rq.throttle(d)
		return refusef(codeThrottled, "the quota of partitions to make or remove is used up; try again in %v", d.Round(time.Millisecond))
	}
	if rq.version >= strictFrom {
		cq.mutation.spend(now, float64(partitions))
	} else {
		rq.throttle(cq.mutation.use(now, float64(partitions)))
	}
	return nil
}

// bounded notes the quotas of the client that a fetch has to keep.
func (f *fetch) bounded() {
	cq := f.rq.conn.quotas()
	if cq == nil {
		return
	}
	f.limit, f.time = cq.fetch, cq.request
	f.maxBytes = min(f.maxBytes, f.limit.burst())
	f.minBytes = min(f.minBytes, f.maxBytes)
}

// spend adds the time it took to read and write the answer.
func (f *fetch) spend(began time.Time) {
	f.time.spend(f.rq.conn.b.quotas.now(), time.Since(began).Seconds())
}

// meter throttles by the bytes of a fetch response: an answer that is beyond the quota goes out without records.
func (f *fetch) meter(got int) {
	if f.limit == nil || got == 0 {
		return
	}
	d := f.limit.take(f.rq.conn.b.quotas.now(), float64(got))
	if d > 0 {
		f.release()
		f.throttled = true
		f.rq.throttle(d)
	}
}

// tellThrottle puts the time into an answer that has a place for it.
func (rq *request) tellThrottle(m kmsg.Response) {
	if s, ok := m.(kmsg.SetThrottleResponse); ok && rq.throttled > 0 {
		s.SetThrottle(rq.throttleMillis())
	}
}
