package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeProducers (key 61), version 0. KIP-664.
func describeProducersAPI() api {
	return api{key: 61, min: 0, max: 0, serve: serveDescribeProducers, outline: "[ string [= int32 ] ]"}
}

func serveDescribeProducers(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	for i := range req.Topics {
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = req.Topics[i].Topic
		t, unknown := rq.permit(kmsg.ACLOperationRead, rq.broker().topics.get(rt.Topic), []byte(rt.Topic), noTopic(rt.Topic).code)
		for _, index := range req.Topics[i].Partitions {
			rp := kmsg.NewDescribeProducersResponseTopicPartition()
			rp.Partition = index
			var p *partition
			if t != nil {
				p, unknown = t.partition(index), codeUnknownTopicOrPartition
			}
			if p == nil {
				rp.ErrorCode = rq.code(unknown)
				rt.Partitions = append(rt.Partitions, rp)
				continue
			}
			for _, info := range p.log.Producers() {
				a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
				a.ProducerID, a.ProducerEpoch = info.ProducerID, int32(info.Epoch)
				a.LastSequence, a.LastTimestamp = info.LastSequence, info.LastTimestamp
				a.CoordinatorEpoch, a.CurrentTxnStartOffset = info.CoordinatorEpoch, info.TxnStartOffset
				rp.ActiveProducers = append(rp.ActiveProducers, a)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}
