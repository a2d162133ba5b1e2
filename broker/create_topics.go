package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateTopics (key 19), versions 0 to 7. KIP-4, KIP-464 (defaults by -1), KIP-525 (configs in the answer), KIP-516 (topic
// ids). A replication factor of 1 or -1 is possible on one node.
func createTopicsAPI() api {
	return api{
		key: 19, min: 0, max: 7, serve: serveCreateTopics,
		outline: "[ string int32 int16 [ int32 [= int32 ] ] [ string string ] ] int32 bool@1",
	}
}

func serveCreateTopics(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.CreateTopicsRequest)
	b := rq.broker()
	resp := kmsg.NewPtrCreateTopicsResponse()
	names := make(map[string]int)
	for i := range req.Topics {
		names[req.Topics[i].Topic]++
	}
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic = q.Topic
		rt.NumPartitions, rt.ReplicationFactor = -1, -1
		if !rq.mayCluster(kmsg.ACLOperationCreate) && !rq.mayTopic(kmsg.ACLOperationCreate, q.Topic) {
			rt.ErrorCode, rt.ErrorMessage = rq.code(codeTopicAuthorization), kmsg.StringPtr("Authorization failed.")
			resp.Topics = append(resp.Topics, rt)
			continue
		}
		t, configs, err := b.createTopic(rq, q, names[q.Topic] > 1, req.ValidateOnly)
		if err != nil {
			refusal := asRefusal(err)
			rt.ErrorCode, rt.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
			resp.Topics = append(resp.Topics, rt)
			continue
		}
		rt.TopicID = t.id
		if !rq.mayTopic(kmsg.ACLOperationDescribeConfigs, q.Topic) {
			rt.ConfigErrorCode = rq.code(codeTopicAuthorization)
			resp.Topics = append(resp.Topics, rt)
			continue
		}
		rt.NumPartitions, rt.ReplicationFactor = partitionsOf(q, b.cfg.DefaultPartitions), 1
		for _, e := range b.live.describe(topicConfigs, configs, kmsg.ConfigSourceDynamicTopicConfig) {
			c := kmsg.NewCreateTopicsResponseTopicConfig()
			c.Name, c.Value, c.Source = e.Name, e.Value, int8(e.Source)
			rt.Configs = append(rt.Configs, c)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}

// partitionsOf is how many partitions a valid request asks for.
func partitionsOf(q *kmsg.CreateTopicsRequestTopic, standard int32) int32 {
	switch {
	case len(q.ReplicaAssignment) > 0:
		return int32(len(q.ReplicaAssignment))
	case q.NumPartitions == -1:
		return standard
	}
	return q.NumPartitions
}

func (b *Broker) createTopic(rq *request, q *kmsg.CreateTopicsRequestTopic, twice, validateOnly bool) (*topic, map[string]string, error) {
	partitions := partitionsOf(q, b.cfg.DefaultPartitions)
	switch {
	case twice:
		return nil, nil, refusef(codeInvalidRequest, "topic %s is named twice in one request", q.Topic)
	case isInternal(q.Topic):
		return nil, nil, refusef(codeInvalidTopic, "topic %s is the broker's own", q.Topic)
	case len(q.ReplicaAssignment) > 0 && (q.NumPartitions != -1 || q.ReplicationFactor != -1):
		return nil, nil, refusef(codeInvalidRequest, "topic %s: numbers beside an assignment must be -1", q.Topic)
	case len(q.ReplicaAssignment) == 0 && q.ReplicationFactor != 1 && q.ReplicationFactor != -1:
		return nil, nil, refusef(codeInvalidReplication, "replication factor %d: there is 1 broker", q.ReplicationFactor)
	case partitions < 1:
		return nil, nil, refusef(codeInvalidPartitions, "topic %s: %d partitions", q.Topic, partitions)
	}
	for i := range q.ReplicaAssignment {
		a := &q.ReplicaAssignment[i]
		if !slices.Equal(a.Replicas, b.self) || a.Partition < 0 || a.Partition >= partitions {
			return nil, nil, refusef(codeInvalidAssignment, "partition %d: replicas can be on broker %d only", a.Partition, b.cfg.NodeID)
		}
	}
	configs := make(map[string]string)
	for _, c := range q.Configs {
		if c.Value == nil {
			return nil, nil, refusef(codeInvalidConfig, "topic config %s has no value", c.Name)
		}
		configs[c.Name] = *c.Value
	}
	if !validateOnly {
		if err := rq.mutate(int(partitions), 6); err != nil {
			return nil, nil, err
		}
	}
	t, err := b.topics.create(q.Topic, partitions, configs, validateOnly)
	return t, configs, err
}
