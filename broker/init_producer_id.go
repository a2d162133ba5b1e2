package broker

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// InitProducerId (key 22), versions 0 to 5. KIP-98, KIP-360 (a producer that names its old id and epoch goes on with the next
// epoch; without a transactional id it gets a new id, as in Kafka), KIP-482, KIP-588, KIP-890. With a transactional id it is
// answered when flushed.
func initProducerIDAPI() api {
	return api{
		key: 22, min: 0, max: 5, serve: serveInitProducerID,
		outline: "string int32 int64@3 int16@3",
	}
}

func serveInitProducerID(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.InitProducerIDRequest)
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if req.TransactionalID != nil {
		rq.initTxn(req, resp)
		return nil
	}
	if rq.version >= 3 && (req.ProducerID < 0) != (req.ProducerEpoch < 0) {
		resp.ErrorCode = rq.code(codeInvalidRequest)
	} else if !rq.mayCluster(kmsg.ACLOperationIdempotentWrite) &&
		!rq.broker().acls.allowsAny(&rq.conn.session, kmsg.ACLOperationWrite, kmsg.ACLResourceTypeTopic) {
		resp.ErrorCode = rq.code(codeClusterAuthorization)
	} else if id, err := rq.broker().producerIDs.next(); err != nil {
		resp.ErrorCode = rq.code(logCode(err))
	} else {
		resp.ProducerID, resp.ProducerEpoch = id, 0
	}
	rq.respond(resp)
	return nil
}

// initTxn makes a producer the only one of a transactional id. A transaction that another began is aborted first.
func (rq *request) initTxn(req *kmsg.InitProducerIDRequest, resp *kmsg.InitProducerIDResponse) {
	b, id := rq.broker(), *req.TransactionalID
	timeout := time.Duration(req.TransactionTimeoutMillis) * time.Millisecond
	done := func(c code) {
		if c != codeNone {
			resp.ProducerID, resp.ProducerEpoch = -1, -1
		}
		resp.ErrorCode = rq.code(c)
		rq.respond(resp)
	}
	if rq.version < 3 {
		req.ProducerID, req.ProducerEpoch = -1, -1
	}
	switch {
	case id == "" || (req.ProducerID < 0) != (req.ProducerEpoch < 0):
		done(codeInvalidRequest)
		return
	case !rq.mayTxn(kmsg.ACLOperationWrite, id):
		done(codeTransactionalIDRefused)
		return
	case timeout <= 0 || timeout > b.cfg.TransactionMaxTimeout:
		done(codeInvalidTxnTimeout)
		return
	}
	var l logged
	var t *txn
	var aborts bool
	var refused code
	known, c := b.txns.with(id, true, func(found *txn) {
		t = found
		if refused = t.mayInit(req, rq.version >= 4); refused != codeNone {
			return
		}
		var err error
		if aborts = t.state == kmsg.TransactionStateOngoing; aborts {
			l, err = t.prepare(false, false, true)
		} else if err = t.renew(req, timeout); err == nil {
			resp.ProducerID, resp.ProducerEpoch = t.producerID, t.epoch
			l, err = t.remember()
		}
		if err != nil {
			b.log.Error("transaction not saved", "transactional_id", id, "err", err)
			refused, aborts = codeCoordinatorNotAvailable, false
		}
	})
	if known && c == codeNone {
		c = refused
	}
	switch {
	case c != codeNone:
		done(c)
	case aborts:
		// The client asks again, and finds it aborted.
		t.whenDecided(l, func(error) { done(codeConcurrentTransactions) })
	default:
		answerWhenLogged(codeNone, done, l)
	}
}

// mayInit says whether a locked transactional id can be given to a producer, which may say who it was.
func (t *txn) mayInit(req *kmsg.InitProducerIDRequest, knowsFenced bool) code {
	fenced := codeInvalidProducerEpoch
	if knowsFenced {
		fenced = codeProducerFenced
	}
	now := req.ProducerID == t.producerID && req.ProducerEpoch == t.epoch
	before := req.ProducerID == t.lastID && req.ProducerEpoch == t.lastEpoch
	switch {
	case t.busy:
		return codeConcurrentTransactions
	case req.ProducerID >= 0 && t.producerID >= 0 && !now && !before:
		return fenced
	}
	return codeNone
}

// renew gives a locked transactional id that is in no transaction to a producer: the next epoch, or a new id when those of this
// one are used up. Who names the epoch before has lost the answer that told it the one of now.
func (t *txn) renew(req *kmsg.InitProducerIDRequest, timeout time.Duration) error {
	now := req.ProducerID == t.producerID && req.ProducerEpoch == t.epoch
	lost := req.ProducerID >= 0 && !now && req.ProducerID == t.lastID && req.ProducerEpoch == t.lastEpoch
	t.timeout = timeout
	if t.producerID >= 0 && lost {
		return nil
	}
	id, epoch := t.producerID, t.epoch+1
	if t.producerID < 0 || t.epoch >= lastEpochOfID {
		var err error
		if id, err = t.ts.b.producerIDs.next(); err != nil {
			return err
		}
		epoch = 0
	}
	t.lastID, t.lastEpoch = t.producerID, t.epoch
	t.producerID, t.epoch, t.state = id, epoch, kmsg.TransactionStateEmpty
	return nil
}

// producerIDs hands out producer ids from blocks that are marked as used on disk before the first is given.
type producerIDs struct {
	dir *commitlog.Dir

	mu        sync.Mutex
	from, end int64
}

const producerIDBlock = 1000

func (p *producerIDs) next() (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.from == p.end {
		first, err := p.dir.ReserveProducerIDs(producerIDBlock)
		if err != nil {
			return -1, err
		}
		p.from, p.end = first, first+producerIDBlock
	}
	p.from++
	return p.from - 1, nil
}
