package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAPIKey is the highest key this package may come to serve.
const maxAPIKey = 92

// api is one kind of request.
type api struct {
	key      int16
	name     string
	min, max int16 // versions served

	// refuse, where there is one, answers a version that is not served; else such a version ends the connection.
	refuse func(rq *request) error

	outline string // the body's shape
	shape   shape
	raw     bool // the handler reads the body by itself and gets a nil message

	// serve answers a request, at once or later, by one call of a request's respond, answerWith or sendWith. It may keep
	// nothing of the message but strings: byte slices in it are those of the frame, which is used again when serve returns.
	// An error ends the connection.
	serve func(rq *request, m kmsg.Request) error

	newRequest func() kmsg.Request
	flexible   int16 // first version with compact types and tags (KIP-482)
}

// servedAPIs lists every kind of request this broker serves. A new one needs a file with its handler and a line here.
func servedAPIs() []api {
	return []api{
		produceAPI(),
		fetchAPI(),
		listOffsetsAPI(),
		metadataAPI(),
		offsetCommitAPI(),
		offsetFetchAPI(),
		findCoordinatorAPI(),
		joinGroupAPI(),
		heartbeatAPI(),
		leaveGroupAPI(),
		syncGroupAPI(),
		describeGroupsAPI(),
		listGroupsAPI(),
		saslHandshakeAPI(),
		apiVersionsAPI(),
		createTopicsAPI(),
		deleteTopicsAPI(),
		deleteRecordsAPI(),
		initProducerIDAPI(),
		offsetForLeaderEpochAPI(),
		describeACLsAPI(),
		createACLsAPI(),
		deleteACLsAPI(),
		describeConfigsAPI(),
		saslAuthenticateAPI(),
		createPartitionsAPI(),
		deleteGroupsAPI(),
		incrementalAlterConfigsAPI(),
		offsetDeleteAPI(),
		alterConfigsAPI(),
		alterReplicaLogDirsAPI(),
		describeLogDirsAPI(),
		electLeadersAPI(),
		alterPartitionReassignmentsAPI(),
		listPartitionReassignmentsAPI(),
		listConfigResourcesAPI(),
		describeTopicPartitionsAPI(),
		describeClientQuotasAPI(),
		alterClientQuotasAPI(),
		describeUserSCRAMCredentialsAPI(),
		alterUserSCRAMCredentialsAPI(),
		describeClusterAPI(),
		addPartitionsToTxnAPI(),
		addOffsetsToTxnAPI(),
		endTxnAPI(),
		writeTxnMarkersAPI(),
		txnOffsetCommitAPI(),
		describeProducersAPI(),
		describeTransactionsAPI(),
		listTransactionsAPI(),
		consumerGroupHeartbeatAPI(),
		consumerGroupDescribeAPI(),
	}
}

// apiTable indexes apis by key.
func apiTable(apis []api) (table [maxAPIKey + 1]*api) {
	for i := range apis {
		a := &apis[i]
		a.name = kmsg.NameForKey(a.key)
		a.newRequest = func() kmsg.Request { return kmsg.RequestForKey(a.key) }
		a.shape = parseShape(a.outline)
		m := a.newRequest()
		if m == nil || a.max > m.MaxVersion() || a.min > a.max || table[a.key] != nil {
			panic(fmt.Sprintf("api %d: versions %d to %d cannot be served", a.key, a.min, a.max))
		}
		for a.flexible = 0; a.flexible <= a.max; a.flexible++ {
			if m.SetVersion(a.flexible); m.IsFlexible() {
				break
			}
		}
		table[a.key] = a
	}
	return table
}

// decode walks and decodes a body. One that is served while it arrives is walked by its handler.
func (a *api) decode(rq *request) (kmsg.Request, error) {
	if rq.body.more != nil {
		return nil, nil
	}
	elements, ok := a.shape.accepts(rq.body.b, rq.version, rq.flexible)
	if !ok {
		return nil, fmt.Errorf("%s v%d: %w", a.name, rq.version, errMalformed)
	}
	if loan := &rq.conn.loan; elements > 256 && !loan.grow(loan.n+int64(elements)*elementBytes) {
		return nil, ErrClosed
	}
	if a.raw {
		return nil, nil
	}
	m := a.newRequest()
	m.SetVersion(rq.version)
	if err := m.ReadFrom(rq.body.b); err != nil {
		return nil, fmt.Errorf("%s v%d: %w: %w", a.name, rq.version, errMalformed, err)
	}
	return m, nil
}
