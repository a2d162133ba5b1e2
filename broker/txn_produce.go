package broker

import (
	"encoding/binary"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// attrTransactional is the bit of a batch that is part of a transaction.
const attrTransactional = 0x10

// Where the producer stands in a batch.
const (
	batchProducerAt = 43
	batchEpochAt    = 51
)

// transactional says whether record bytes are of a transaction.
func transactional(records []byte) bool {
	return len(records) >= batchHeader && binary.BigEndian.Uint16(records[batchAttrsAt:])&attrTransactional != 0
}

// impliesAdd is the produce version from which a partition joins a transaction by being written to (KIP-890).
const impliesAdd = 12

// abortableFrom is the produce version from which a producer is told that aborting helps (KIP-890).
const abortableFrom = 11

// admit lets a transactional batch into its transaction. The transaction it returns is locked for reading until the batch is
// appended; what it returns beside has to be on the disk before the producer is told that the batch is.
func (ts *txns) admit(rq *request, id string, tp topicPartition, records []byte) (*txn, logged, code) {
	producerID := int64(binary.BigEndian.Uint64(records[batchProducerAt:]))
	epoch := int16(binary.BigEndian.Uint16(records[batchEpochAt:]))
	if id == "" || !rq.mayTxn(kmsg.ACLOperationWrite, id) {
		return nil, logged{}, codeTransactionalIDRefused
	}
	ts.mu.Lock()
	t := ts.byID[id]
	ts.mu.Unlock()
	if t == nil {
		return nil, logged{}, codeInvalidProducerIDMap
	}
	t.mu.RLock()
	c := t.check(producerID, epoch, codeInvalidProducerEpoch)
	in := t.state == kmsg.TransactionStateOngoing && t.partitions[tp]
	switch {
	case c == codeNone && in:
		return t, logged{}, codeNone
	case c == codeConcurrentTransactions && rq.version < impliesAdd:
		c = codeNotEnoughReplicas // which such a client tries again
	case c == codeNone && rq.version < abortableFrom:
		c = codeInvalidTxnState
	case c == codeNone && rq.version < impliesAdd:
		c = codeTransactionAbortable
	}
	t.mu.RUnlock()
	if c != codeNone {
		return nil, logged{}, c
	}
	var l logged
	t.mu.Lock()
	if c = t.check(producerID, epoch, codeInvalidProducerEpoch); c == codeNone {
		t.version = 2
		l, c = t.add(topicPartition{strings.Clone(tp.topic), tp.partition})
	}
	t.mu.Unlock()
	if c != codeNone {
		return nil, logged{}, c
	}
	t.mu.RLock()
	if c = t.check(producerID, epoch, codeInvalidProducerEpoch); c != codeNone || t.state != kmsg.TransactionStateOngoing {
		t.mu.RUnlock()
		return nil, logged{}, codeConcurrentTransactions
	}
	return t, l, codeNone
}
