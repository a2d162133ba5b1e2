package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// Heartbeat (key 12), versions 0 to 4. KIP-345, KIP-482.
func heartbeatAPI() api {
	return api{key: 12, min: 0, max: 4, serve: serveHeartbeat, outline: "string int32 string string@3"}
}

func serveHeartbeat(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.HeartbeatRequest)
	c := codeInvalidGroupID
	if !rq.mayGroup(kmsg.ACLOperationRead, req.Group) {
		c = codeGroupAuthorization
	} else if req.Group != "" {
		known, refused := rq.broker().groups.with(req.Group, false, func(g *group) { c = g.heartbeat(req) })
		if !known {
			c = refused
			if c == codeNone {
				c = codeUnknownMemberID
			}
		}
	}
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.ErrorCode = rq.code(c)
	rq.respond(resp)
	return nil
}

// heartbeat is what a locked group does with a heartbeat. A member is told of a rebalance once it has to join again.
func (g *group) heartbeat(req *kmsg.HeartbeatRequest) code {
	if g.consumer != nil {
		return g.heartbeatConsumer(req)
	}
	m, c := g.find(req.MemberID, req.InstanceID)
	switch {
	case c != codeNone:
		return c
	case req.Generation != g.generation:
		return codeIllegalGeneration
	}
	g.alive(m)
	if g.state == groupPreparing {
		return codeRebalanceInProgress
	}
	return codeNone
}
