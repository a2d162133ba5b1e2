package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// OffsetForLeaderEpoch (key 23), versions 0 to 4. KIP-101, KIP-279, KIP-320: how a client finds out after a crash of this
// broker whether records it has seen are still there.
func offsetForLeaderEpochAPI() api {
	return api{
		key: 23, min: 0, max: 4, serve: serveOffsetForLeaderEpoch,
		outline: "int32@3 [ string [ int32 int32@2 int32 ] ]",
	}
}

func serveOffsetForLeaderEpoch(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.OffsetForLeaderEpochRequest)
	b := rq.broker()
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = q.Topic
		t, absent := b.topics.get(q.Topic), codeUnknownTopicOrPartition
		if !rq.mayCluster(kmsg.ACLOperationClusterAction) {
			t, absent = rq.permit(kmsg.ACLOperationDescribe, t, []byte(q.Topic), absent)
		}
		for _, qp := range q.Partitions {
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition, rp.LeaderEpoch, rp.EndOffset = qp.Partition, -1, -1
			c := absent
			if t != nil {
				if p := t.partition(qp.Partition); p != nil {
					if c = p.checkEpoch(qp.CurrentLeaderEpoch); c == codeNone {
						rp.LeaderEpoch, rp.EndOffset = p.log.EpochEnd(qp.LeaderEpoch)
					}
				}
			}
			rp.ErrorCode = rq.code(c)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}
