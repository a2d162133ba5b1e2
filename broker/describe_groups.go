package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeGroups (key 15), versions 0 to 6. KIP-345, KIP-430 (authorised operations), KIP-482, KIP-1043
// (an error for a group that is not there, v6; before, its state is Dead).
func describeGroupsAPI() api {
	return api{key: 15, min: 0, max: 6, serve: serveDescribeGroups, outline: "[= string ] bool@3"}
}

func serveDescribeGroups(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeGroupsRequest)
	resp := kmsg.NewPtrDescribeGroupsResponse()
	for _, id := range req.Groups {
		rg := kmsg.NewDescribeGroupsResponseGroup()
		rg.Group, rg.AuthorizedOperations = id, noOperations
		if !rq.mayGroup(kmsg.ACLOperationDescribe, id) {
			rg.ErrorCode = rq.code(codeGroupAuthorization)
			resp.Groups = append(resp.Groups, rg)
			continue
		}
		classic := false
		_, c := rq.broker().groups.with(id, false, func(g *group) {
			if classic = g.consumer == nil; classic {
				g.describe(&rg)
			}
		})
		if c == codeNone && (classic || rq.version < 6) {
			rg.AuthorizedOperations = rq.operations(req.IncludeAuthorizedOperations, kmsg.ACLResourceTypeGroup, id)
		}
		if !classic {
			rg.State = groupDead.String()
			if c == codeNone && rq.version >= 6 {
				c, rg.ErrorMessage = codeGroupIDNotFound, kmsg.StringPtr(fmt.Sprintf("no classic group %s", id))
			}
			rg.ErrorCode = rq.code(c)
		}
		resp.Groups = append(resp.Groups, rg)
	}
	rq.respond(resp)
	return nil
}

func (g *group) describe(rg *kmsg.DescribeGroupsResponseGroup) {
	rg.State, rg.ProtocolType = g.state.String(), g.protocolType
	if g.state == groupStable {
		rg.Protocol = g.protocol
	}
	for _, m := range g.members {
		rm := kmsg.NewDescribeGroupsResponseGroupMember()
		rm.MemberID, rm.InstanceID, rm.ClientID, rm.ClientHost = m.id, m.instance, m.clientID, m.host
		rm.MemberAssignment = m.assignment // until there is a new one
		if g.state == groupStable {
			rm.ProtocolMetadata = m.metadata(g.protocol)
		}
		rg.Members = append(rg.Members, rm)
	}
}
