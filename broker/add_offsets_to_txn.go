package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// AddOffsetsToTxn (key 25), versions 0 to 4. KIP-98, KIP-482, KIP-588 (PRODUCER_FENCED, v2), KIP-890 (v4). It adds the partition
// of the offsets topic that keeps the group. Answered when flushed.
func addOffsetsToTxnAPI() api {
	return api{key: 25, min: 0, max: 4, serve: serveAddOffsetsToTxn, outline: "string int64 int16 string"}
}

func serveAddOffsetsToTxn(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.AddOffsetsToTxnRequest)
	b := rq.broker()
	resp := kmsg.NewPtrAddOffsetsToTxnResponse()
	done := func(c code) {
		resp.ErrorCode = rq.code(c)
		rq.respond(resp)
	}
	switch {
	case !rq.mayTxn(kmsg.ACLOperationWrite, req.TransactionalID):
		done(codeTransactionalIDRefused)
	case !rq.mayGroup(kmsg.ACLOperationRead, req.Group):
		done(codeGroupAuthorization)
	default:
		tp, err := b.groups.partitionOf(req.Group)
		if err != nil {
			done(codeCoordinatorNotAvailable)
			break
		}
		l, c := b.txns.addTo(req.TransactionalID, req.ProducerID, req.ProducerEpoch, rq.version >= 2, tp)
		answerWhenLogged(c, done, l)
	}
	return nil
}
