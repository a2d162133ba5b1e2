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
	partitions := int64(0)
	for i := range req.Topics {
		names[req.Topics[i].Topic]++
		partitions += int64(max(partitionsOf(&req.Topics[i], b.cfg.DefaultPartitions), 0))
	}
	told := make(map[string]bool)
	for i := range req.Topics {
		q := &req.Topics[i]
		if told[q.Topic] {
			continue // one answer for each name
		}
		told[q.Topic] = true
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic = q.Topic
		rt.NumPartitions, rt.ReplicationFactor = -1, -1
		if !rq.mayCluster(kmsg.ACLOperationCreate) && !rq.mayTopic(kmsg.ACLOperationCreate, q.Topic) {
			rt.ErrorCode, rt.ErrorMessage = rq.code(codeTopicAuthorization), kmsg.StringPtr("Authorization failed.")
			resp.Topics = append(resp.Topics, rt)
			continue
		}
		var t *topic
		var configs map[string]string
		err := error(refusef(codePolicyViolation, "%d partitions in one request", partitions))
		if partitions <= maxNewPartitions {
			t, configs, err = b.createTopic(rq, q, names[q.Topic] > 1, req.ValidateOnly)
		}
		if err != nil {
			rt.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
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
			if i := slices.IndexFunc(q.Configs, func(c kmsg.CreateTopicsRequestTopicConfig) bool { return c.Name == e.Name }); i >= 0 {
				c.Value = q.Configs[i].Value // as it came
			}
			rt.Configs = append(rt.Configs, c)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}

// maxNewPartitions is how many partitions Kafka lets one request make.
const maxNewPartitions = 10_000

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
	if twice {
		return nil, nil, refusef(codeInvalidRequest, "topic %s is named twice in one request", q.Topic)
	}
	configs := make(map[string]string)
	without := ""
	for _, c := range q.Configs {
		if c.Value == nil {
			without = c.Name
			continue
		}
		configs[c.Name] = *c.Value
	}
	if err := b.topics.checkNew(q.Topic, configs); err != nil {
		return nil, nil, err
	}
	partitions := partitionsOf(q, b.cfg.DefaultPartitions)
	switch {
	case without != "":
		return nil, nil, refusef(codeInvalidConfig, "topic config %s has no value", without)
	case isInternal(q.Topic):
		return nil, nil, refusef(codeInvalidTopic, "topic %s is the broker's own", q.Topic)
	case len(q.ReplicaAssignment) > 0 && (q.NumPartitions != -1 || q.ReplicationFactor != -1):
		return nil, nil, refusef(codeInvalidRequest, "topic %s: numbers beside an assignment must be -1", q.Topic)
	case len(q.ReplicaAssignment) == 0 && (q.ReplicationFactor < -1 || q.ReplicationFactor == 0):
		return nil, nil, refusef(codeInvalidReplication, "replication factor %d", q.ReplicationFactor)
	case partitions < 1:
		return nil, nil, refusef(codeInvalidPartitions, "topic %s: %d partitions", q.Topic, partitions)
	case len(q.ReplicaAssignment) == 0 && q.ReplicationFactor > 1:
		return nil, nil, refusef(codeInvalidReplication, "replication factor %d: there is 1 broker", q.ReplicationFactor)
	}
	for i := range q.ReplicaAssignment {
		a := &q.ReplicaAssignment[i]
		if !slices.Equal(a.Replicas, b.self) || a.Partition < 0 || a.Partition >= partitions {
			return nil, nil, refusef(codeInvalidAssignment, "partition %d: replicas can be on broker %d only", a.Partition, b.cfg.NodeID)
		}
	}
	if !validateOnly {
		if err := rq.mutate(int(partitions), 6); err != nil {
			return nil, nil, err
		}
	}
	t, err := b.topics.create(q.Topic, partitions, configs, validateOnly)
	return t, configs, err
}
