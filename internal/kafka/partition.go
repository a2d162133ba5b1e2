package kafka

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partition is one partition of a producer's topic, guarded by the producer's mutex.
type partition struct {
	number      int32
	leader      int32 // broker; -1: none
	leaderEpoch int32
	// queue begins with the batch that is under way, or comes next.
	queue []*batch
	// underway is whether a request carries the first of the queue.
	underway bool
	retryAt  time.Time
	tries    int  // that failed in a row
	troubled bool // since the last one failed

	by       identity // of batches that get their numbers; nobody: none yet
	spent    identity // the one before, which is of no use here any more
	sequence int32    // of the next of them
}

func newPartition(number int32) *partition {
	return &partition{number: number, leader: -1, leaderEpoch: -1, by: nobody, spent: nobody}
}

// pop removes the first batch.
func (pt *partition) pop() *batch {
	b := pt.queue[0]
	pt.queue[0] = nil
	if pt.queue = pt.queue[1:]; len(pt.queue) == 0 {
		pt.queue = nil
	}
	return b
}

// abandon makes the next batches begin under another producer id.
func (pt *partition) abandon() {
	if pt.by != nobody {
		pt.spent, pt.by = pt.by, nobody
	}
}

// push puts batches in front.
func (pt *partition) push(batches ...*batch) { pt.queue = append(batches, pt.queue...) }

// verdict is what an answer means for a batch.
type verdict int

const (
	accepted verdict = iota
	again            // the cluster cannot take it now
	tooLarge
	refused
	lostTrack // the broker's knowledge of the producer does not match ours
	forgotten // the broker knows nothing of the producer
)

// judge says what an error code of a produce response means, and whether a batch it
// is about may be in the log nevertheless.
func judge(code int16) (v verdict, doubt bool) {
	switch err := kerr.ErrorForCode(code); {
	case err == nil, errors.Is(err, kerr.DuplicateSequenceNumber):
		return accepted, false
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return tooLarge, false
	case errors.Is(err, kerr.OutOfOrderSequenceNumber), errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.ProducerFenced),
		errors.Is(err, kerr.InvalidProducerIDMapping):
		return lostTrack, false
	case errors.Is(err, kerr.UnknownProducerID):
		return forgotten, false
	case errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.InvalidTimestamp), errors.Is(err, kerr.UnsupportedForMessageFormat),
		errors.Is(err, kerr.UnsupportedCompressionType), errors.Is(err, kerr.InvalidRequiredAcks), errors.Is(err, kerr.UnsupportedVersion):
		return refused, false
	case errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed),
		errors.Is(err, kerr.InvalidTopicException), errors.Is(err, kerr.CorruptMessage):
		return again, false // looked at before a batch is appended
	}
	// Everything else is about the cluster, not about the batch. A leader that
	// appended it and waits for the other replicas answers that it does not lead, or
	// does not know the partition, when it has lost it meanwhile; the next leader may
	// have the batch from it.
	return again, true
}

// limits of trying again what the cluster does not explain.
const (
	corruptTries = 5                // CORRUPT_MESSAGE: damage on the way, or here
	unknownFor   = 10 * time.Minute // UNKNOWN_SERVER_ERROR, again and again
)

// decide acts on the answer about the first batch of a partition.
func (p *Producer) decide(pt *partition, code int16) {
	b := pt.queue[0]
	pt.underway = false
	v, doubt := judge(code)
	b.doubt = b.doubt || doubt
	switch {
	case errors.Is(kerr.ErrorForCode(code), kerr.CorruptMessage) && b.sent >= corruptTries,
		errors.Is(kerr.ErrorForCode(code), kerr.UnknownServerError) && time.Since(b.sealed) > unknownFor && b.sent >= corruptTries:
		v = refused
	}
	if b.part {
		if code == kerr.OutOfOrderSequenceNumber.Code {
			// What this was split from has been taken: else the broker would be where
			// this begins.
			v = accepted
		} else if v == accepted {
			// It has not, and what follows was never sent.
			for _, next := range pt.queue {
				if next.part {
					next.part, next.doubt = false, false
				}
			}
		}
	}
	switch v {
	case accepted:
		pt.tries, pt.retryAt, pt.troubled = 0, time.Time{}, false
		p.metrics.acknowledged(b)
		p.settle(b)
		p.cfg.Delivered(b.flows)
		p.discard(pt.pop())
		p.better()
	case tooLarge:
		if b.records > 1 {
			// Larger ones need not be tried, for a while.
			p.tooLarge, p.grown = len(b.buf), time.Now()
			if p.halve(pt) {
				return
			}
		}
		p.refuse(pt, kerr.ErrorForCode(code))
	case refused:
		p.refuse(pt, kerr.ErrorForCode(code))
	case lostTrack, forgotten:
		p.renumber(pt, v == forgotten, kerr.ErrorForCode(code))
	case again:
		p.trouble(pt, kerr.ErrorForCode(code))
	}
}

// trouble makes a partition wait before it tries again.
func (p *Producer) trouble(pt *partition, err error) {
	pt.tries++
	pt.troubled = true
	pt.retryAt = time.Now().Add(p.settings.backoff(pt.tries))
	p.tell(err)
	p.learn()
}

// better tells once that all is well again.
func (p *Producer) better() {
	if len(p.told) == 0 {
		return
	}
	for _, pt := range p.partitions {
		if pt.troubled {
			return
		}
	}
	clear(p.told)
	p.log.Info("kafka takes flow records again", "to", p.endpoint.String())
}

// tell logs a trouble once, until it is over.
func (p *Producer) tell(err error) {
	if err == nil || p.told[err.Error()] {
		return
	}
	switch {
	case errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.FencedLeaderEpoch), errors.Is(err, kerr.LeaderNotAvailable):
		return // leaders move
	}
	p.told[err.Error()] = true
	p.log.Warn("kafka takes no flow records now, trying on", "to", p.endpoint.String(), "topic", p.cfg.Topic, "err", err)
}

// refuse gives the first batch of a partition up. The next one gets its sequence
// number, unless the broker might know it already.
func (p *Producer) refuse(pt *partition, err error) {
	b := pt.pop()
	p.metrics.errors.Add(uint64(b.records))
	p.settle(b)
	p.cfg.Refused(b.flows)
	if now := time.Now(); now.Sub(p.refusal) > time.Minute {
		p.refusal = now
		p.log.Warn("kafka refuses flow records; they are counted", "to", p.endpoint.String(), "topic", p.cfg.Topic, "partition", pt.number, "records", b.records, "err", err)
	}
	if b.numbered {
		if b.doubt {
			pt.abandon()
		} else {
			pt.sequence = b.sequence
		}
	}
	for _, next := range pt.queue { // parts of a batch that was split
		if next.numbered && next.by == b.by && !next.doubt {
			next.numbered = false
		}
	}
	p.discard(b)
	if b.part && len(pt.queue) > 0 && pt.queue[0].part {
		// Without this one the sequence tells no more whether the whole has been taken.
		p.refuse(pt, err)
	}
}

// renumber goes on after a broker has said that the sequence does not follow what it
// knows of the producer. It has not taken the batch this time. If it may have done so
// before, nobody can tell: a second copy is worse than a gap that is counted.
func (p *Producer) renumber(pt *partition, forgotten bool, err error) {
	b := pt.queue[0]
	pt.abandon()
	if b.doubt && forgotten {
		p.refuse(pt, err)
		pt.abandon()
		return
	}
	// The broker compares with the last batches: with one under way at a time, it
	// would have known this one.
	for _, b := range pt.queue {
		if b.numbered {
			b.numbered, b.doubt = false, false
		}
	}
	p.tell(err)
	p.trouble(pt, nil)
}

// halve splits the first batch of a partition, if that is possible.
func (p *Producer) halve(pt *partition) bool {
	parts, err := p.split(pt.queue[0])
	if err != nil {
		return false
	}
	p.metrics.splits.Add(1)
	pt.pop()
	pt.push(parts...)
	return true
}

// fit splits what comes next in a partition until it is smaller than what the topic
// would not take. From time to time it is tried whether that has grown: twice as much.
func (p *Producer) fit(pt *partition, now time.Time) {
	if p.tooLarge == 0 {
		return
	}
	if now.Sub(p.grown) > p.settings.metadataAge {
		p.tooLarge, p.grown = 2*p.tooLarge, now
		if p.tooLarge > 2*max(p.settings.batchBytes, p.settings.requestBytes) {
			p.tooLarge = 0
			return
		}
	}
	for b := pt.queue[0]; !b.numbered && b.records > 1 && len(b.buf) >= p.tooLarge; b = pt.queue[0] {
		if !p.halve(pt) {
			return
		}
	}
}

// split makes two batches of one, whose numbers go on where it had its own.
func (p *Producer) split(b *batch) ([]*batch, error) {
	body, err := p.plainBody(b)
	if err != nil {
		return nil, err
	}
	halves := [2]*batch{{}, {}}
	half := int(b.records+1) / 2
	i := 0
	for n := range halves {
		halves[n].begin(make([]byte, batchHeader, bufferSize(batchHeader+len(body)*3/4)))
	}
	err = eachRecord(body, b.baseTime, func(ms int64, key, value []byte) {
		h := halves[min(1, i/half)]
		r := Record{ms, key, value, b.weight(i)}
		size, _ := h.recordSize(&r)
		h.add(&r, size)
		i++
	})
	if err != nil {
		return nil, err
	}
	sequence, offset := b.sequence, b.offset
	if len(b.weights) == 0 { // of a batch from the spool nobody knows which record has how many
		halves[0].flows = b.flows * uint64(halves[0].records) / uint64(b.records)
		halves[1].flows = b.flows - halves[0].flows
	}
	halves[1].stored = b.stored
	for _, h := range halves {
		h.lane, h.offset = b.lane, offset
		offset += int64(h.records)
		h.opened, h.partition, h.keyed, h.doubt = b.opened, b.partition, b.keyed, b.doubt
		h.part = b.part || b.doubt && b.numbered
		p.queue.force(int64(cap(h.buf)))
		p.compress(h)
		h.sealed = b.sealed
		if b.numbered {
			h.number(b.by, sequence)
			sequence = addSequence(sequence, h.records)
		}
	}
	p.pend(2)
	p.discard(b)
	return halves[:], nil
}

// plainBody returns the uncompressed records of a sealed batch.
func (p *Producer) plainBody(b *batch) ([]byte, error) {
	return kgo.DefaultDecompressor().Decompress(b.buf[batchHeader:], kgo.CompressionCodecType(b.codec()))
}
