package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// WriteTxnMarkers (key 27), versions 1 and 2. KIP-98, KIP-482; KIP-664 (an operator ends a transaction that hangs). Answered
// when flushed.
func writeTxnMarkersAPI() api {
	return api{key: 27, min: 1, max: 2, serve: serveWriteTxnMarkers, outline: "[ int64 int16 bool [ string [= int32 ] ] int32 int8@2 ]"}
}

func serveWriteTxnMarkers(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.WriteTxnMarkersRequest)
	b := rq.broker()
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	allowed := rq.mayCluster(kmsg.ACLOperationClusterAction) || rq.mayCluster(kmsg.ACLOperationAlter)
	for i := range req.Markers {
		q := &req.Markers[i]
		rm := kmsg.NewWriteTxnMarkersResponseMarker()
		rm.ProducerID = q.ProducerID
		for j := range q.Topics {
			rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			rt.Topic = q.Topics[j].Topic
			t := b.topics.get(rt.Topic)
			for _, partition := range q.Topics[j].Partitions {
				rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				rp.Partition = partition
				switch {
				case !allowed:
					rp.ErrorCode = rq.code(codeClusterAuthorization)
				case t == nil || t.partition(partition) == nil:
					rp.ErrorCode = rq.code(codeUnknownTopicOrPartition)
				default:
					l, err := b.txns.mark(topicPartition{t.name, partition}, q.ProducerID, q.ProducerEpoch, q.Committed)
					if err == nil {
						err = b.txns.flushed(l)
					}
					rp.ErrorCode = rq.code(logCode(err))
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			rm.Topics = append(rm.Topics, rt)
		}
		resp.Markers = append(resp.Markers, rm)
	}
	rq.respond(resp)
	return nil
}
