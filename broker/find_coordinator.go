package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// FindCoordinator (key 10), versions 0 to 6. KIP-98 (key types), KIP-482, KIP-699 (several keys). There is one broker, so it
// coordinates every group and transaction; share groups have no coordinator.
func findCoordinatorAPI() api {
	return api{
		key: 10, min: 0, max: 6, serve: serveFindCoordinator,
		outline: "string@0-3 int8@1 [=@4 string ]",
	}
}

// Kinds of keys.
const (
	coordinatesGroups       = 0
	coordinatesTransactions = 1
)

func serveFindCoordinator(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.FindCoordinatorRequest)
	b := rq.broker()
	resp := kmsg.NewPtrFindCoordinatorResponse()
	keys := req.CoordinatorKeys
	if rq.version <= 3 {
		keys = []string{req.CoordinatorKey}
	}
	for _, key := range keys {
		rc := kmsg.NewFindCoordinatorResponseCoordinator()
		rc.Key, rc.NodeID, rc.Port = key, -1, -1
		switch {
		case req.CoordinatorType == coordinatesGroups && !rq.mayGroup(kmsg.ACLOperationDescribe, key):
			rc.ErrorCode = rq.code(codeGroupAuthorization)
			rc.ErrorMessage = kmsg.StringPtr("Group authorization failed.")
		case req.CoordinatorType == coordinatesTransactions && !rq.mayTxn(kmsg.ACLOperationDescribe, key):
			rc.ErrorCode = rq.code(codeTransactionalIDRefused)
			rc.ErrorMessage = kmsg.StringPtr("Transactional Id authorization failed.")
		case req.CoordinatorType != coordinatesGroups && req.CoordinatorType != coordinatesTransactions:
			rc.ErrorCode = rq.code(codeInvalidRequest)
			rc.ErrorMessage = kmsg.StringPtr("this broker coordinates consumer groups and transactions")
		case key == "" && req.CoordinatorType == coordinatesTransactions:
			rc.ErrorCode = rq.code(codeInvalidRequest)
			rc.ErrorMessage = kmsg.StringPtr("a transactional id must have a name")
		case key == "":
			rc.ErrorCode = rq.code(codeInvalidGroupID)
			rc.ErrorMessage = kmsg.StringPtr("a group must have a name")
		default:
			internal := offsetsTopic
			if req.CoordinatorType == coordinatesTransactions {
				internal = txnTopic
			}
			if _, err := b.topics.ensure(internal); err != nil {
				rc.ErrorCode = rq.code(codeCoordinatorNotAvailable)
				rc.ErrorMessage = text(err)
				break
			}
			rc.NodeID = b.cfg.NodeID
			rc.Host, rc.Port = rq.conn.advertised()
		}
		resp.Coordinators = append(resp.Coordinators, rc)
	}
	if rq.version <= 3 {
		rc := &resp.Coordinators[0]
		resp.ErrorCode, resp.ErrorMessage = rc.ErrorCode, rc.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = rc.NodeID, rc.Host, rc.Port
	}
	rq.respond(resp)
	return nil
}
