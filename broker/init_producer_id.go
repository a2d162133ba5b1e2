package broker

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// InitProducerId (key 22), versions 0 to 5. KIP-98, KIP-360 (a producer that names its old id gets a
// new one, as in Kafka), KIP-482. There are no transactions: a transactional id is refused, with the code that
// has every client give up.
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
		resp.ErrorCode = rq.code(codeTransactionalIDRefused)
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
