package broker

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeTransactions (key 65), version 0. KIP-664.
func describeTransactionsAPI() api {
	return api{key: 65, min: 0, max: 0, serve: serveDescribeTransactions, outline: "[= string ]"}
}

func serveDescribeTransactions(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeTransactionsRequest)
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	for _, id := range req.TransactionalIDs {
		rs := kmsg.NewDescribeTransactionsResponseTransactionState()
		rs.TransactionalID = id
		c := codeNone
		switch {
		case !rq.mayTxn(kmsg.ACLOperationDescribe, id):
			c = codeTransactionalIDRefused
		case id == "":
			c = codeInvalidRequest
		default:
			known, refused := rq.broker().txns.with(id, false, func(t *txn) { t.describe(rq, &rs) })
			if c = refused; !known && c == codeNone {
				c = codeTransactionalIDNotFound
			}
		}
		rs.ErrorCode = rq.code(c)
		resp.TransactionStates = append(resp.TransactionStates, rs)
	}
	rq.respond(resp)
	return nil
}

func (t *txn) describe(rq *request, rs *kmsg.DescribeTransactionsResponseTransactionState) {
	rs.State, rs.TimeoutMillis, rs.ProducerID, rs.ProducerEpoch = t.state.String(), int32(t.timeout.Milliseconds()), t.producerID, t.epoch
	switch {
	case t.state == kmsg.TransactionStateEmpty:
		rs.StartTimestamp = -1
	case t.start.IsZero(): // it ended without having begun
		rs.StartTimestamp = t.lastModified.UnixMilli()
	default:
		rs.StartTimestamp = t.start.UnixMilli()
	}
	byTopic := make(map[string][]int32)
	for tp := range t.partitions {
		if rq.mayTopic(kmsg.ACLOperationDescribe, tp.topic) {
			byTopic[tp.topic] = append(byTopic[tp.topic], tp.partition)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byTopic)) {
		rt := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
		rt.Topic, rt.Partitions = name, slices.Sorted(slices.Values(byTopic[name]))
		rs.Topics = append(rs.Topics, rt)
	}
}
