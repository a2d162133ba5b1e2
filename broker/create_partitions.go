package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreatePartitions (key 37), versions 0 to 3. KIP-195, KIP-599.
func createPartitionsAPI() api {
	return api{
		key: 37, min: 0, max: 3, serve: serveCreatePartitions,
		outline: "[ string int32 [ [= int32 ] ] ] int32 bool",
	}
}

func serveCreatePartitions(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.CreatePartitionsRequest)
	b := rq.broker()
	resp := kmsg.NewPtrCreatePartitionsResponse()
	times := make(map[string]int, len(req.Topics))
	for i := range req.Topics {
		times[req.Topics[i].Topic]++
	}
	for i := range req.Topics {
		q := &req.Topics[i]
		n := times[q.Topic]
		if times[q.Topic] = 0; n == 0 {
			continue // it has been told
		}
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic = q.Topic
		var err error
		if !rq.mayTopic(kmsg.ACLOperationAlter, q.Topic) {
			err = topicRefusal
		} else if n > 1 {
			err = refusef(codeInvalidRequest, "topic %s is named %d times", q.Topic, n)
		}
		t := b.topics.get(q.Topic)
		for _, a := range q.Assignment {
			if err == nil && t != nil && int(q.Count) > len(t.partitions()) && !slices.Equal(a.Replicas, b.self) {
				err = refusef(codeInvalidAssignment, "replicas can be on broker %d only", b.cfg.NodeID)
			}
		}
		if err == nil && t != nil {
			more := max(int(q.Count)-len(t.partitions()), 0)
			switch {
			case len(q.Assignment) > 0 && more > 0 && len(q.Assignment) != more:
				err = refusef(codeInvalidAssignment, "%d partitions more, and an assignment of %d", more, len(q.Assignment))
			case !req.ValidateOnly:
				err = rq.mutate(more, 3)
			}
		}
		if err == nil {
			err = b.topics.grow(q.Topic, q.Count, req.ValidateOnly)
		}
		if refusal := asRefusal(err); refusal != nil {
			rt.ErrorCode, rt.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}
