package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// learn asks for fresh metadata.
func (p *Producer) learn() {
	select {
	case p.refresh <- struct{}{}:
	default:
	}
}

// learns keeps knowledge of the topic's partitions and leaders fresh: from time to
// time, when asked, and until every partition has a leader.
func (p *Producer) learns() {
	for tries := 0; ; {
		wait := p.settings.metadataAge
		ctx, cancel := context.WithTimeout(p.ctx, p.settings.requestTimeout)
		whole, err := p.metadata(ctx)
		cancel()
		if p.ctx.Err() != nil {
			return
		}
		if whole && err == nil {
			tries = 0
		} else {
			tries++
			wait = min(wait, p.settings.backoff(tries))
		}
		timer := time.NewTimer(wait)
		select {
		case <-p.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-p.refresh:
			timer.Stop()
			// Whoever asks has waited, or will; a cluster in trouble is not asked all the time.
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(p.settings.backoff(1)):
			}
		}
	}
}

// metadata asks for the topic's partitions once. whole: all of them have a leader.
func (p *Producer) metadata(ctx context.Context) (whole bool, err error) {
	req := kmsg.NewMetadataRequest()
	req.AllowAutoTopicCreation = false
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(p.cfg.Topic)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, p.client)
	if err != nil {
		return false, err
	}
	if len(resp.Topics) != 1 {
		return false, fmt.Errorf("metadata of %d topics instead of one", len(resp.Topics))
	}
	t := &resp.Topics[0]
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range resp.Brokers {
		b := &resp.Brokers[i]
		p.brokers[b.NodeID] = kgo.BrokerMetadata{NodeID: b.NodeID, Host: b.Host, Port: b.Port, Rack: b.Rack}
	}
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		if p.pending > 0 && (t.ErrorCode == kerr.TopicAuthorizationFailed.Code || t.ErrorCode == kerr.InvalidTopicException.Code) {
			p.tell(err)
		}
		return false, err
	}
	return p.update(t), nil
}

// update takes over what a cluster says about the topic.
func (p *Producer) update(t *kmsg.MetadataResponseTopic) (whole bool) {
	// Somebody deleted the topic and made it anew: it has nothing of what may have
	// been in the old one.
	anew := t.TopicID != p.topicID && p.topicID != [16]byte{}
	if anew {
		p.log.Warn("topic was created anew", "to", p.endpoint.String(), "topic", p.cfg.Topic)
	}
	p.topicID = t.TopicID
	if anew {
		for _, pt := range p.partitions {
			pt.leaderEpoch = -1
			if pt.underway {
				continue // its answer tells
			}
			pt.abandon()
			for _, b := range pt.queue {
				b.numbered, b.doubt, b.part = false, false, false
			}
		}
	}
	n := len(p.partitions)
	for i := range t.Partitions {
		for int(t.Partitions[i].Partition) >= n {
			p.partitions = append(p.partitions, newPartition(int32(n)))
			n++
		}
	}
	whole = n > 0
	for i := range t.Partitions {
		m := &t.Partitions[i]
		pt := p.partitions[m.Partition]
		if m.LeaderEpoch >= 0 && m.LeaderEpoch < pt.leaderEpoch {
			continue // of a broker that lags behind
		}
		if m.ErrorCode != 0 || m.Leader < 0 {
			whole = false
			pt.leader = -1
			continue
		}
		if pt.leader != m.Leader || pt.leaderEpoch != m.LeaderEpoch {
			pt.leader, pt.leaderEpoch = m.Leader, m.LeaderEpoch
			pt.troubled, pt.retryAt = false, time.Time{}
		}
		p.wake(pt)
	}
	p.known.Store(int32(len(t.Partitions)))
	for _, pt := range p.partitions[min(n, len(t.Partitions)):] {
		p.vanish(pt)
	}
	p.spread()
	p.assign()
	return whole
}

// vanish takes the batches back of a partition that is there no more.
func (p *Producer) vanish(pt *partition) {
	pt.leader = -1
	if pt.underway {
		return
	}
	for len(pt.queue) > 0 {
		switch b := pt.pop(); {
		case b.keyed && p.spool != nil: // its lane keeps it
			to := p.partitions[pt.number%max(1, p.known.Load())]
			to.queue = append(to.queue, b)
		case b.keyed:
			b.partition = -1
			p.unkeyed = append(p.unkeyed, b)
		default:
			p.waiting = append(p.waiting, b)
		}
	}
}

// renew asks for a producer id, in the background.
func (p *Producer) renew() {
	if p.renewing || p.ctx.Err() != nil {
		return
	}
	p.renewing = true
	p.done.Go(func() {
		for tries := 1; p.ctx.Err() == nil; tries++ {
			by, err := p.newIdentity()
			p.mu.Lock()
			if err == nil {
				p.current, p.renewing = by, false
				for _, pt := range p.partitions {
					p.wake(pt)
				}
				p.mu.Unlock()
				return
			}
			p.tell(p.endpoint.Explain(err))
			p.mu.Unlock()
			select {
			case <-p.ctx.Done():
			case <-time.After(p.settings.backoff(tries)):
			}
		}
	})
}

// newIdentity gets a producer id that nobody has used.
func (p *Producer) newIdentity() (identity, error) {
	ctx, cancel := context.WithTimeout(p.ctx, p.settings.requestTimeout)
	defer cancel()
	req := kmsg.NewInitProducerIDRequest()
	req.TransactionTimeoutMillis = -1
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := req.RequestWith(ctx, p.client)
	if err != nil {
		return nobody, fmt.Errorf("get a producer id: %w", err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nobody, fmt.Errorf("get a producer id: %w", err)
	}
	return identity{resp.ProducerID, resp.ProducerEpoch}, nil
}
