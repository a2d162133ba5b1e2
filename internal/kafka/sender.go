package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sender sends to one broker: one request, then its answer, then the next.
type sender struct {
	p      *Producer
	broker int32
	wake   chan struct{}
	until  time.Time // of a throttle, or of waiting after a request failed
	tries  int

	conn    *conn              // nil: there is none
	address kgo.BrokerMetadata // of the broker, when the request was collected
	request produceRequest
	carried []*partition // by it, guarded by the producer's mutex
}

// wake tells the sender of a partition's leader that there is something to send.
func (p *Producer) wake(pt *partition) {
	if pt.leader < 0 {
		return
	}
	s := p.senders[pt.leader]
	if s == nil {
		s = &sender{p: p, broker: pt.leader, wake: make(chan struct{}, 1)}
		p.senders[pt.leader] = s
		if p.ctx.Err() == nil {
			p.done.Go(s.run)
		}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sender) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer s.disconnect()
	for s.p.ctx.Err() == nil {
		ready, wait := s.collect()
		if ready {
			s.send()
			continue
		}
		if s.conn != nil {
			left := s.p.settings.idle - time.Since(s.conn.used)
			if wait = min(wait, left); left <= 0 {
				s.disconnect()
				continue
			}
		}
		timer.Reset(wait)
		select {
		case <-s.p.ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// produceOverhead is what a request has besides batches, at most, and for each of them.
const produceOverhead, partitionOverhead = 1 << 10, 16

// collect makes a request of the first batches of this broker's partitions. If there
// are none, it says how long to wait for one at most.
func (s *sender) collect() (ready bool, wait time.Duration) {
	p := s.p
	now := time.Now()
	wait = time.Hour
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := s.until.Sub(now); d > 0 {
		return false, min(d, p.saveInTime(now))
	}
	s.carried = s.carried[:0]
	s.address = p.brokers[s.broker]
	s.request = produceRequest{topic: p.cfg.Topic, acks: p.settings.acks, timeout: p.settings.requestTimeout, batches: s.request.batches[:0]}
	size := produceOverhead
	for _, pt := range p.partitions {
		if pt.leader != s.broker || pt.underway {
			continue
		}
		p.expire(pt, now)
		if len(pt.queue) == 0 {
			continue
		}
		if d := pt.retryAt.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		p.fit(pt, now)
		b := pt.queue[0]
		if len(s.carried) > 0 && size+len(b.buf)+partitionOverhead > p.settings.requestBytes {
			continue
		}
		if !b.numbered && !p.numbers(pt, b) {
			wait = min(wait, p.settings.backoff(1))
			continue
		}
		size += len(b.buf) + partitionOverhead
		s.carried = append(s.carried, pt)
		s.request.batches = append(s.request.batches, partitionBatch{pt.number, b.buf})
	}
	if len(s.carried) == 0 {
		return false, min(wait, p.saveInTime(now))
	}
	if err := s.carry(now); err != nil {
		p.tell(err)
		return false, p.settings.backoff(1)
	}
	return true, min(wait, p.saveInTime(now))
}

// carry counts the batches of the request as sent. With a spool they may go only once it
// has been saved that they do.
func (s *sender) carry(now time.Time) error {
	p := s.p
	before := make([]time.Time, 0, len(s.carried))
	for _, pt := range s.carried {
		b := pt.queue[0]
		before = append(before, b.sentAt)
		b.sentAt = now
	}
	if p.spool != nil {
		if err := p.save(); err != nil {
			for i, pt := range s.carried {
				pt.queue[0].sentAt = before[i]
			}
			return err
		}
	}
	for _, pt := range s.carried {
		b := pt.queue[0]
		if b.sent++; b.sent == 1 {
			p.metrics.sent(b, now)
		} else {
			p.metrics.retries.Add(uint64(b.records))
		}
		pt.underway = true
	}
	return nil
}

// memory is how long a batch may be in doubt: a broker forgets a producer after
// producer.id.expiration.ms, a day unless told otherwise, and then takes what it has for
// new.
const memory = 23 * time.Hour

var errForgotten = errors.New("in doubt for so long that brokers may have forgotten the producer")

// expire gives batches up that delivery.timeout.ms or retries is over for, as long as
// it is known that they are not in the log.
func (p *Producer) expire(pt *partition, now time.Time) {
	for len(pt.queue) > 0 {
		b := pt.queue[0]
		if b.doubt && p.settings.idempotent && !b.sentAt.IsZero() && now.Sub(b.sentAt) > memory {
			p.refuse(pt, errForgotten)
			continue
		}
		late := p.settings.deliveryTimeout > 0 && now.Sub(b.opened) > p.settings.deliveryTimeout
		worn := p.settings.retries >= 0 && b.sent > p.settings.retries
		if b.doubt && p.settings.idempotent || !late && !worn {
			return
		}
		p.refuse(pt, kerr.RequestTimedOut)
	}
}

// numbers gives a batch that is sent for the first time its numbers. false: there is
// no producer id yet.
func (p *Producer) numbers(pt *partition, b *batch) bool {
	if !p.settings.idempotent {
		b.number(nobody, -1)
		return true
	}
	if pt.by == nobody {
		if p.current == nobody || p.current == pt.spent {
			p.renew()
			return false
		}
		pt.by, pt.sequence = p.current, 0
	}
	b.number(pt.by, pt.sequence)
	pt.sequence = addSequence(pt.sequence, b.records)
	return true
}

// send sends the request that was collected and acts on the answer.
func (s *sender) send() {
	p := s.p
	p.metrics.requests.Add(1)
	p.metrics.inflight.Add(1)
	answer, sent, err := s.exchange()
	clear(s.request.batches)
	p.metrics.inflight.Add(-1)
	if p.ctx.Err() != nil {
		return // nobody knows, and nobody will
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		s.failed(sent, err)
		return
	}
	s.tries = 0
	if answer != nil && answer.ThrottleMillis > 0 {
		s.until = time.Now().Add(time.Duration(answer.ThrottleMillis) * time.Millisecond)
	}
	for _, pt := range s.carried {
		code := int16(0)
		if answer != nil {
			code = said(answer, p.cfg.Topic, pt.number)
		}
		p.decide(pt, code)
		p.wake(pt) // leader may have moved meanwhile
	}
	p.assign()
}

// said is what an answer says about a partition. If it says nothing, what became of the
// batch is in doubt.
func said(answer *kmsg.ProduceResponse, topic string, partition int32) (code int16) {
	for i := range answer.Topics {
		if answer.Topics[i].Topic != topic {
			continue
		}
		for j := range answer.Topics[i].Partitions {
			if at := &answer.Topics[i].Partitions[j]; at.Partition == partition {
				return at.ErrorCode
			}
		}
	}
	return kerr.NetworkException.Code
}

// exchange sends the request over a connection to the broker. sent is whether anything of
// it left.
func (s *sender) exchange() (answer *kmsg.ProduceResponse, sent bool, err error) {
	p := s.p
	if s.conn != nil && (s.conn.broker.Host != s.address.Host || s.conn.broker.Port != s.address.Port || s.conn.ended(p.settings.idle)) {
		s.disconnect()
	}
	for {
		fresh := s.conn == nil
		if fresh {
			if s.address.Host == "" {
				return nil, false, fmt.Errorf("broker %d has no address", s.broker)
			}
			if s.conn, err = connect(p.ctx, s.address, p.access, p.settings.requestTimeout, p.cfg.Hooks); err != nil {
				return nil, false, err
			}
		}
		answer, sent, err = s.conn.send(p.ctx, &s.request)
		if err == nil {
			return answer, sent, nil
		}
		s.disconnect()
		if fresh || sent || p.ctx.Err() != nil {
			return nil, sent, err
		}
		// It was closed meanwhile, or the session was over: another one may do.
	}
}

// disconnect closes the connection, if there is one.
func (s *sender) disconnect() {
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
}

// failed acts on a request that got no answer. If it never left, nothing of it is in
// doubt.
func (s *sender) failed(sent bool, err error) {
	p := s.p
	if errors.Is(err, errNonsense) || errors.Is(err, errWrongVersions) {
		p.tell(fmt.Errorf("broker %s: %w", s.address.Host, err))
	}
	p.log.Debug("produce request got no answer", "to", p.endpoint.String(), "broker", s.broker, "err", err)
	s.tries++
	s.until = time.Now().Add(p.settings.backoff(s.tries))
	for _, pt := range s.carried {
		pt.underway = false
		pt.queue[0].doubt = pt.queue[0].doubt || sent
		p.trouble(pt, nil)
		p.wake(pt) // its leader may have moved meanwhile
	}
	for _, pt := range p.partitions {
		if pt.leader == s.broker && !pt.underway {
			pt.troubled, pt.retryAt = true, s.until
		}
	}
	p.assign()
}
