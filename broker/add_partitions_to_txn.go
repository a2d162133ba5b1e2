package broker

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AddPartitionsToTxn (key 24), versions 0 to 3. KIP-98, KIP-482, KIP-588 (PRODUCER_FENCED, v2). Versions 4 and 5 are for
// brokers among each other (KIP-890). Answered when flushed.
func addPartitionsToTxnAPI() api {
	return api{key: 24, min: 0, max: 3, serve: serveAddPartitionsToTxn, outline: "string int64 int16 [ string [= int32 ] ]"}
}

func serveAddPartitionsToTxn(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.AddPartitionsToTxnRequest)
	b := rq.broker()
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	refused := codeNone
	var tps []topicPartition
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := kmsg.NewAddPartitionsToTxnResponseTopic()
		rt.Topic = q.Topic
		t, unknown := rq.permit(kmsg.ACLOperationWrite, b.topics.get(q.Topic), []byte(q.Topic), codeUnknownTopicOrPartition)
		for _, partition := range q.Partitions {
			rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			rp.Partition = partition
			switch {
			case t == nil:
				rp.ErrorCode = int16(unknown)
			case t.partition(partition) == nil || t.internal:
				rp.ErrorCode = int16(codeUnknownTopicOrPartition)
			default:
				tps = append(tps, topicPartition{q.Topic, partition})
			}
			if rp.ErrorCode != 0 {
				refused = codeOperationNotAttempted // all of them or none
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	done := func(c code) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				rp := &resp.Topics[i].Partitions[j]
				if rp.ErrorCode == 0 || c == codeTransactionalIDRefused || c == codeGroupAuthorization {
					rp.ErrorCode = int16(c)
				}
				rq.code(code(rp.ErrorCode))
			}
		}
		rq.respond(resp)
	}
	if !rq.mayTxn(kmsg.ACLOperationWrite, req.TransactionalID) {
		refused = codeTransactionalIDRefused
	}
	if refused != codeNone {
		done(refused)
		return nil
	}
	l, c := b.txns.addTo(req.TransactionalID, req.ProducerID, req.ProducerEpoch, rq.version >= 2, tps...)
	answerWhenLogged(c, done, l)
	return nil
}

// addTo takes partitions into a producer's transaction.
func (ts *txns) addTo(id string, producerID int64, epoch int16, knowsFenced bool, tps ...topicPartition) (logged, code) {
	fenced := codeInvalidProducerEpoch
	if knowsFenced {
		fenced = codeProducerFenced
	}
	if id == "" {
		return logged{}, codeInvalidRequest
	}
	var l logged
	var refused code
	known, c := ts.with(id, false, func(t *txn) {
		if refused = t.check(producerID, epoch, fenced); refused == codeNone {
			l, refused = t.add(tps...)
		}
	})
	if !known && c == codeNone {
		c = codeInvalidProducerIDMap
	}
	if c == codeNone {
		c = refused
	}
	return l, c
}

// answerWhenLogged calls done when all that was written is on the disk, or at once when nothing was.
func answerWhenLogged(c code, done func(code), all ...logged) {
	if c != codeNone {
		done(c)
		return
	}
	var left atomic.Int32
	var failed atomic.Bool
	left.Store(1)
	count := func(err error) {
		if err != nil {
			failed.Store(true)
		}
		if left.Add(-1) > 0 {
			return
		}
		if failed.Load() {
			done(codeCoordinatorNotAvailable)
			return
		}
		done(codeNone)
	}
	for _, l := range all {
		if l.log != nil {
			left.Add(1)
			l.wait(count)
		}
	}
	count(nil)
}
