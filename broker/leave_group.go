package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// LeaveGroup (key 13), versions 0 to 5. KIP-345 (several members, by instance id too), KIP-482, KIP-800 (reason).
func leaveGroupAPI() api {
	return api{
		key: 13, min: 0, max: 5, serve: serveLeaveGroup,
		outline: "string string@0-2 [@3 string string string@5 ]",
	}
}

func serveLeaveGroup(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.LeaveGroupRequest)
	resp := kmsg.NewPtrLeaveGroupResponse()
	refused := codeNone
	switch {
	case !rq.mayGroup(kmsg.ACLOperationRead, req.Group):
		refused = codeGroupAuthorization
	case req.Group == "":
		refused = codeInvalidGroupID
	}
	if refused != codeNone {
		resp.ErrorCode = rq.code(refused)
		rq.respond(resp)
		return nil
	}
	members := req.Members
	if rq.version <= 2 {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = req.MemberID
		members = []kmsg.LeaveGroupRequestMember{one}
	}
	codes := make([]code, len(members))
	known, c := rq.broker().groups.with(req.Group, false, func(g *group) {
		var leaving []*consumerMember
		before := len(g.members)
		for i := range members {
			if g.consumer == nil {
				codes[i] = g.leave(members[i].MemberID, members[i].InstanceID)
				continue
			}
			var m *consumerMember
			if m, codes[i] = g.leaveConsumer(members[i].MemberID, members[i].InstanceID); m != nil {
				leaving = append(leaving, m)
			}
		}
		if g.consumer == nil {
			// Somebody who was none of the group makes nobody join again.
			if len(g.members) < before || g.state == groupPreparing {
				g.rebalanceWithout()
			}
		} else if len(leaving) > 0 {
			g.fence(leaving...)
		}
	})
	if !known {
		for i := range codes {
			codes[i] = codeUnknownMemberID
		}
		resp.ErrorCode = rq.code(c)
	}
	if rq.version <= 2 {
		if c == codeNone {
			resp.ErrorCode = rq.code(codes[0])
		}
		rq.respond(resp)
		return nil
	}
	for i := range members {
		r := kmsg.NewLeaveGroupResponseMember()
		r.MemberID, r.InstanceID, r.ErrorCode = members[i].MemberID, members[i].InstanceID, rq.code(codes[i])
		resp.Members = append(resp.Members, r)
	}
	rq.respond(resp)
	return nil
}

// leave removes a member of a locked group. A static member is known by its instance id alone.
func (g *group) leave(memberID string, instance *string) code {
	if instance != nil && memberID == "" {
		memberID = g.static[*instance]
	}
	if timer, ok := g.pending[memberID]; ok {
		timer.Stop()
		g.unexpect(memberID)
		return codeNone
	}
	m, c := g.find(memberID, instance)
	if c == codeNone {
		g.remove(m, codeUnknownMemberID)
	}
	return c
}
