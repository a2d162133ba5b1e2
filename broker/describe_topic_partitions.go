package broker

import (
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeTopicPartitions (key 75), version 0. KIP-966: Metadata for tools, page by page. The one replica is always in sync, so
// there is nobody else to elect.
func describeTopicPartitionsAPI() api {
	return api{key: 75, min: 0, max: 0, serve: serveDescribeTopicPartitions, outline: "[ string ] int32 { string int32 }"}
}

// maxDescribedPartitions is max.request.partition.size.limit.
const maxDescribedPartitions = 2000

func serveDescribeTopicPartitions(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeTopicPartitionsRequest)
	b := rq.broker()
	all := len(req.Topics) == 0
	var names []string
	for i := range req.Topics {
		names = append(names, req.Topics[i].Topic)
	}
	if all {
		for _, t := range b.topics.list() {
			names = append(names, t.name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	from := int32(0)
	if req.Cursor != nil {
		at, found := slices.BinarySearchFunc(names, req.Cursor.Topic, cmp.Compare[string])
		if names = names[at:]; found {
			from = max(req.Cursor.Partition, 0)
		}
	}
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	left := min(maxDescribedPartitions, max(int(req.ResponsePartitionLimit), 1))
	for _, name := range names {
		rt := kmsg.NewDescribeTopicPartitionsResponseTopic()
		rt.Topic, rt.AuthorizedOperations = kmsg.StringPtr(name), noOperations
		may, t := rq.mayTopic(kmsg.ACLOperationDescribe, name), b.topics.get(name)
		if may && left == 0 {
			resp.NextCursor = nextCursor(name, from)
			break
		}
		switch {
		case (!may || t == nil) && all:
			continue
		case !may:
			rt.ErrorCode = rq.code(codeTopicAuthorization)
		case t == nil:
			rt.ErrorCode = rq.code(noTopic(name).code)
		}
		if may {
			rt.AuthorizedOperations = rq.operations(true, kmsg.ACLResourceTypeTopic, name)
		}
		if rt.ErrorCode != 0 {
			resp.Topics = append(resp.Topics, rt)
			continue
		}
		rt.TopicID, rt.IsInternal = t.id, t.internal
		parts := t.partitions()
		parts = parts[min(int(from), len(parts)):]
		from = 0
		for i, p := range parts {
			if i == left {
				resp.NextCursor = nextCursor(name, p.index)
				break
			}
			rp := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
			rp.Partition, rp.LeaderID, rp.LeaderEpoch = p.index, b.cfg.NodeID, p.epoch
			rp.Replicas, rp.ISR = b.self, b.self
			rp.EligibleLeaderReplicas, rp.LastKnownELR = []int32{}, []int32{}
			rt.Partitions = append(rt.Partitions, rp)
		}
		left -= len(rt.Partitions)
		resp.Topics = append(resp.Topics, rt)
		if resp.NextCursor != nil {
			break
		}
	}
	rq.respond(resp)
	return nil
}

func nextCursor(topic string, partition int32) *kmsg.DescribeTopicPartitionsResponseNextCursor {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = topic, partition
	return &c
}
