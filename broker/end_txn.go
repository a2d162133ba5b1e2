package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// EndTxn (key 26), versions 0 to 5. KIP-98, KIP-482, KIP-588 (PRODUCER_FENCED, v2), KIP-890 (v5: the producer goes on with the
// epoch the answer names). Answered when the decision and the markers are on the disk.
func endTxnAPI() api {
	return api{key: 26, min: 0, max: 5, serve: serveEndTxn, outline: "string int64 int16 bool"}
}

// bumpsEpoch is the version from which a transaction's end raises the producer's epoch.
const bumpsEpoch = 5

func serveEndTxn(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.EndTxnRequest)
	resp := kmsg.NewPtrEndTxnResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	done := func(c code) {
		resp.ErrorCode = rq.code(c)
		rq.respond(resp)
	}
	if !rq.mayTxn(kmsg.ACLOperationWrite, req.TransactionalID) {
		done(codeTransactionalIDRefused)
		return nil
	}
	if req.TransactionalID == "" {
		done(codeInvalidRequest)
		return nil
	}
	var (
		l       logged
		t       *txn
		decided bool
		refused code
	)
	known, c := rq.broker().txns.with(req.TransactionalID, false, func(found *txn) {
		t = found
		if refused = t.mayEnd(req); refused != codeNone {
			return
		}
		if t.state != kmsg.TransactionStateOngoing && !(rq.version >= bumpsEpoch && t.producerID == req.ProducerID && t.epoch == req.ProducerEpoch) {
			resp.ProducerID, resp.ProducerEpoch = t.producerID, t.epoch // ended before; the answer was lost
			return
		}
		var err error
		if rq.version >= bumpsEpoch {
			t.version = 2
		}
		if l, err = t.prepare(req.Commit, rq.version >= bumpsEpoch, false); err != nil {
			t.ts.b.log.Error("transaction not saved", "transactional_id", t.id, "err", err)
			refused = codeCoordinatorNotAvailable
			return
		}
		decided = true
	})
	switch {
	case c == codeNone && !known:
		c = codeInvalidProducerIDMap
	case c == codeNone:
		c = refused
	}
	if !decided {
		done(c)
		return nil
	}
	t.whenDecided(l, func(err error) {
		if err != nil {
			done(codeCoordinatorNotAvailable)
			return
		}
		t.mu.RLock()
		resp.ProducerID, resp.ProducerEpoch = t.producerID, t.epoch
		t.mu.RUnlock()
		done(codeNone)
	})
	return nil
}

// mayEnd says whether a locked transaction can be ended as asked, or was ended so before.
func (t *txn) mayEnd(req *kmsg.EndTxnRequest) code {
	fenced := codeInvalidProducerEpoch
	if req.Version >= 2 {
		fenced = codeProducerFenced
	}
	ended := kmsg.TransactionStateCompleteAbort
	if req.Commit {
		ended = kmsg.TransactionStateCompleteCommit
	}
	if req.Version >= bumpsEpoch && req.ProducerID == t.lastID && req.ProducerEpoch == t.lastEpoch &&
		(req.ProducerID != t.producerID || req.ProducerEpoch != t.epoch) {
		switch {
		case t.busy:
			return codeConcurrentTransactions
		case t.state == ended:
			return codeNone
		default:
			return fenced
		}
	}
	if c := t.check(req.ProducerID, req.ProducerEpoch, fenced); c != codeNone {
		return c
	}
	switch {
	case t.state == kmsg.TransactionStateOngoing:
		return codeNone
	case req.Version >= bumpsEpoch && !req.Commit:
		return codeNone // nothing was written: the abort still raises the epoch
	case req.Version < bumpsEpoch && t.state == ended:
		return codeNone
	}
	return codeInvalidTxnState
}
