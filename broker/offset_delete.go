package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// OffsetDelete (key 47), version 0. KIP-496.
func offsetDeleteAPI() api {
	return api{key: 47, min: 0, max: 0, serve: serveOffsetDelete, outline: "string [ string [ int32 ] ]"}
}

func serveOffsetDelete(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.OffsetDeleteRequest)
	b := rq.broker()
	resp := kmsg.NewPtrOffsetDeleteResponse()
	if !rq.mayGroup(kmsg.ACLOperationDelete, req.Group) {
		resp.ErrorCode = rq.code(codeGroupAuthorization)
		rq.respond(resp)
		return nil
	}
	var l logged
	var failed error
	nonEmpty := false
	known, c := b.groups.with(req.Group, false, func(g *group) {
		if g.consumer == nil && g.size() > 0 && g.protocolType != consumerProtocol {
			nonEmpty = true // nobody knows what its members are at
			return
		}
		subscribed := g.subscriptions()
		var records []record
		var gone []topicPartition
		for i := range req.Topics {
			rt := kmsg.NewOffsetDeleteResponseTopic()
			rt.Topic = req.Topics[i].Topic
			t := b.topics.get(rt.Topic)
			denied := !rq.mayTopic(kmsg.ACLOperationRead, rt.Topic)
			for _, qp := range req.Topics[i].Partitions {
				rp := kmsg.NewOffsetDeleteResponseTopicPartition()
				rp.Partition = qp.Partition
				tp := topicPartition{rt.Topic, qp.Partition}
				_, committed := g.offsets[tp]
				switch {
				case denied:
					rp.ErrorCode = rq.code(codeTopicAuthorization)
				case t == nil || t.partition(qp.Partition) == nil:
					rp.ErrorCode = rq.code(codeUnknownTopicOrPartition)
				case subscribed == nil && g.size() > 0 || subscribed[rt.Topic]:
					rp.ErrorCode = rq.code(codeGroupSubscribed)
				case committed || g.holds(tp):
					records = append(records, offsetRecord(g.id, tp, nil))
					gone = append(gone, tp)
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			if len(rt.Partitions) > 0 {
				resp.Topics = append(resp.Topics, rt)
			}
		}
		if len(records) == 0 {
			return
		}
		if l, failed = b.groups.remember(g.id, records); failed != nil {
			return
		}
		for _, tp := range gone {
			g.forgetOffset(tp)
		}
	})
	switch {
	case req.Group == "":
		c = codeInvalidGroupID
	case c == codeNone && !known:
		c = codeGroupIDNotFound
	case nonEmpty:
		c = codeNonEmptyGroup
	case failed != nil:
		c = codeCoordinatorNotAvailable
	}
	if c != codeNone {
		resp.Topics = nil
	}
	if resp.ErrorCode = rq.code(c); c != codeNone || l.log == nil {
		rq.respond(resp)
		return nil
	}
	l.wait(func(err error) {
		if err != nil {
			resp.ErrorCode = rq.code(codeCoordinatorNotAvailable)
		}
		rq.respond(resp)
	})
	return nil
}

// subscriptions returns the topics the members of a locked group consume; nil when that cannot be told.
func (g *group) subscriptions() map[string]bool {
	if g.consumer != nil {
		topics := make(map[string]bool)
		for name := range g.consumer.topics {
			topics[name] = true
		}
		return topics
	}
	if g.protocolType != "consumer" {
		return nil
	}
	topics := make(map[string]bool)
	for _, m := range g.members {
		for _, p := range m.protocols {
			md := kmsg.NewConsumerMemberMetadata()
			if _, ok := consumerMetadata.accepts(p.metadata, 0, false); !ok || md.ReadFrom(p.metadata) != nil {
				return nil
			}
			for _, t := range md.Topics {
				topics[t] = true
			}
		}
	}
	return topics
}

// consumerMetadata is the shape of what every version of a consumer's metadata begins with.
var consumerMetadata = parseShape("int16 [= string ] bytes")
