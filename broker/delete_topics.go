package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// DeleteTopics (key 20), versions 0 to 6. KIP-4, KIP-516 (by id, v6), KIP-599.
func deleteTopicsAPI() api {
	return api{
		key: 20, min: 0, max: 6, serve: serveDeleteTopics,
		outline: "[=@0-5 string ] [@6 string uuid ] int32",
	}
}

func serveDeleteTopics(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DeleteTopicsRequest)
	b := rq.broker()
	resp := kmsg.NewPtrDeleteTopicsResponse()
	for _, name := range req.TopicNames {
		q := kmsg.NewDeleteTopicsRequestTopic()
		q.Topic = &name
		req.Topics = append(req.Topics, q)
	}
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := kmsg.NewDeleteTopicsResponseTopic()
		rt.Topic, rt.TopicID = q.Topic, q.TopicID
		if q.Topic != nil && q.TopicID != ([16]byte{}) {
			rt.ErrorCode, rt.ErrorMessage = rq.code(codeInvalidRequest), kmsg.StringPtr("a topic is named by its name or by its id")
			resp.Topics = append(resp.Topics, rt)
			continue
		}
		var t *topic
		unknown := codeUnknownTopicOrPartition
		if q.Topic != nil {
			t = b.topics.get(*q.Topic)
		} else {
			t = b.topics.getID(q.TopicID)
			unknown = codeUnknownTopicID
		}
		var name []byte
		if q.Topic != nil {
			name = []byte(*q.Topic)
		}
		if t != nil && rq.mayTopic(kmsg.ACLOperationDescribe, t.name) {
			rt.Topic, rt.TopicID = kmsg.StringPtr(t.name), t.id
		}
		if t, unknown = rq.permit(kmsg.ACLOperationDelete, t, name, unknown); t == nil {
			rt.ErrorCode = rq.code(unknown)
			resp.Topics = append(resp.Topics, rt)
			continue
		}
		err := rq.mutate(len(t.partitions()), 5)
		if err == nil {
			err = b.topics.delete(t)
		}
		if refusal := asRefusal(err); refusal != nil {
			rt.ErrorCode, rt.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
		} else {
			b.groups.forgetTopic(t.name)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}
