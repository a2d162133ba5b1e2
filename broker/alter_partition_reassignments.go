package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterPartitionReassignments (key 45), versions 0 to 1. KIP-455, KIP-860 (v1). A partition can only be where it is: to ask for
// that is fine and does nothing, to ask for another broker is refused.
func alterPartitionReassignmentsAPI() api {
	return api{key: 45, min: 0, max: 1, serve: serveAlterPartitionReassignments, outline: "int32 bool@1 [ string [ int32 [= int32 ] ] ]"}
}

func serveAlterPartitionReassignments(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.AlterPartitionAssignmentsRequest)
	b := rq.broker()
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange || len(req.Topics) == 0
	if !rq.mayCluster(kmsg.ACLOperationAlter) {
		resp.ErrorCode, resp.ErrorMessage = rq.code(clusterRefusal.code), kmsg.StringPtr(clusterRefusal.text)
		rq.respond(resp)
		return nil
	}
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = q.Topic
		t := b.topics.get(q.Topic)
		for _, qp := range q.Partitions {
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			rp.Partition = qp.Partition
			var refusal *topicError
			switch {
			case t == nil || t.partition(qp.Partition) == nil:
				refusal = refusef(codeUnknownTopicOrPartition, "no partition %s-%d", q.Topic, qp.Partition)
			case qp.Replicas == nil:
				refusal = refusef(codeNoReassignment, "there is no reassignment to cancel")
			case !slices.Equal(qp.Replicas, b.self):
				refusal = refusef(codeInvalidAssignment, "replicas can be on broker %d only", b.cfg.NodeID)
			}
			if refusal != nil {
				rp.ErrorCode, rp.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}
