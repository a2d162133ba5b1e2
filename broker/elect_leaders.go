package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// ElectLeaders (key 43), versions 0 to 2. KIP-183, KIP-460 (unclean, v1), KIP-482. The one replica leads, so an election is never
// needed; asked about all partitions, as Kafka, the answer names none.
func electLeadersAPI() api {
	return api{key: 43, min: 0, max: 2, serve: serveElectLeaders, outline: "int8@1 [ string [= int32 ] ] int32"}
}

func serveElectLeaders(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.ElectLeadersRequest)
	b := rq.broker()
	resp := kmsg.NewPtrElectLeadersResponse()
	may := rq.mayCluster(kmsg.ACLOperationAlter)
	known := req.ElectionType == 0 || req.ElectionType == 1 // preferred, unclean
	switch {
	case !may:
		resp.ErrorCode = rq.code(codeClusterAuthorization)
	case !known:
		resp.ErrorCode = rq.code(codeInvalidRequest)
	}
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = q.Topic
		t := b.topics.get(q.Topic)
		for _, index := range q.Partitions {
			rp := kmsg.NewElectLeadersResponseTopicPartition()
			rp.Partition = index
			refusal := refusef(codeElectionNotNeeded, "broker %d leads, and nobody else could", b.cfg.NodeID)
			switch {
			case !may:
				refusal = clusterRefusal
			case !known:
				refusal = refusef(codeInvalidRequest, "election type %d is none", req.ElectionType)
			case t == nil || t.partition(index) == nil:
				refusal = refusef(codeUnknownTopicOrPartition, "no partition %s-%d", q.Topic, index)
			}
			rp.ErrorCode, rp.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}
