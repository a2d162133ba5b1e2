package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConsumerGroupDescribe (key 69), versions 0 and 1. KIP-848; KIP-430 (authorised operations).
func consumerGroupDescribeAPI() api {
	return api{key: 69, min: 0, max: 1, serve: serveConsumerGroupDescribe, outline: "[= string ] bool"}
}

func serveConsumerGroupDescribe(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.ConsumerGroupDescribeRequest)
	b := rq.broker()
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	for _, id := range req.Groups {
		rg := kmsg.NewConsumerGroupDescribeResponseGroup()
		rg.Group, rg.AuthorizedOperations = id, noOperations
		if !rq.mayGroup(kmsg.ACLOperationDescribe, id) {
			rg.ErrorCode = rq.code(codeGroupAuthorization)
			resp.Groups = append(resp.Groups, rg)
			continue
		}
		told := false
		_, c := b.groups.with(id, false, func(g *group) {
			if told = g.consumer != nil; told {
				g.describeConsumer(&rg, rq.version)
			}
		})
		switch {
		case id == "":
			c = codeInvalidGroupID
		case c == codeNone && !told:
			c, rg.ErrorMessage = codeGroupIDNotFound, kmsg.StringPtr(fmt.Sprintf("no consumer group %s", id))
		case c == codeNone:
			rg.AuthorizedOperations = rq.operations(req.IncludeAuthorizedOperations, kmsg.ACLResourceTypeGroup, id)
		}
		rg.ErrorCode = rq.code(c)
		resp.Groups = append(resp.Groups, rg)
	}
	rq.respond(resp)
	return nil
}

func (g *group) describeConsumer(rg *kmsg.ConsumerGroupDescribeResponseGroup, version int16) {
	cg := g.consumer
	rg.State, rg.Epoch, rg.AssignmentEpoch, rg.AssignorName = g.state.String(), cg.epoch, cg.targetEpoch, cg.assignor()
	for _, m := range cg.members {
		rm := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		rm.MemberID, rm.InstanceID, rm.RackID, rm.MemberEpoch = m.id, m.instance, m.rack, m.epoch
		rm.ClientID, rm.ClientHost, rm.SubscribedTopics = m.clientID, m.host, m.names
		if m.classic == nil {
			rm.SubscribedTopicRegex = kmsg.StringPtr(m.pattern)
		}
		rm.Assignment = g.describeAssignment(m.assigned)
		rm.TargetAssignment = g.describeAssignment(cg.target[m.id])
		switch {
		case version < 1:
		case m.classic != nil:
			rm.MemberType = 0
		default:
			rm.MemberType = 1
		}
		rg.Members = append(rg.Members, rm)
	}
}

func (g *group) describeAssignment(a assignment) kmsg.Assignment {
	out := kmsg.NewAssignment()
	for id, partitions := range a {
		t := g.gs.b.topics.getID(id)
		if t == nil {
			continue // it was deleted, and no name is left
		}
		rt := kmsg.NewAssignmentTopicPartition()
		rt.TopicID, rt.Topic, rt.Partitions = id, t.name, partitions
		out.TopicPartitions = append(out.TopicPartitions, rt)
	}
	return out
}
