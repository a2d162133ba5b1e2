package broker

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// SyncGroup (key 14), versions 0 to 5. KIP-345, KIP-482, KIP-559 (protocol type and name).
func syncGroupAPI() api {
	return api{
		key: 14, min: 0, max: 5, serve: serveSyncGroup,
		outline: "string int32 string string@3 string@5 string@5 [ string bytes ]",
	}
}

func refuseSync(rq *request, c code) {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode = rq.code(c)
	rq.respond(resp)
}

func serveSyncGroup(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.SyncGroupRequest)
	if !rq.mayGroup(kmsg.ACLOperationRead, req.Group) {
		refuseSync(rq, codeGroupAuthorization)
		return nil
	}
	if req.Group == "" {
		refuseSync(rq, codeInvalidGroupID)
		return nil
	}
	var saved func()
	known, c := rq.broker().groups.with(req.Group, false, func(g *group) { saved = g.sync(rq, req) })
	if !known {
		if c == codeNone {
			c = codeUnknownMemberID
		}
		refuseSync(rq, c)
		return nil
	}
	if saved != nil {
		saved()
	}
	return nil
}

// sync is what a locked group does with a sync. Where it returns a function, that is to be called without the lock.
func (g *group) sync(rq *request, req *kmsg.SyncGroupRequest) func() {
	if g.consumer != nil {
		g.syncConsumer(rq, req)
		return nil
	}
	m, c := g.find(req.MemberID, req.InstanceID)
	switch {
	case c != codeNone:
	case req.Generation != g.generation:
		c = codeIllegalGeneration
	case req.ProtocolType != nil && *req.ProtocolType != g.protocolType, req.Protocol != nil && *req.Protocol != g.protocol:
		c = codeInconsistentProtocol
	case g.state == groupPreparing:
		c = codeRebalanceInProgress
	case g.state == groupEmpty:
		c = codeUnknownMemberID
	}
	if c != codeNone {
		refuseSync(rq, c)
		return nil
	}
	g.alive(m)
	g.answerSync(m, codeRebalanceInProgress) // an earlier one that was given up
	m.sync, m.synced = rq, true
	if g.state == groupStable {
		g.answerSync(m, codeNone)
		return nil
	}
	if g.leader != m.id || g.saving {
		return nil
	}
	size := 0
	for i := range req.GroupAssignment {
		size += len(req.GroupAssignment[i].MemberAssignment)
	}
	if !g.gs.room(size) {
		g.answerSync(m, codeGroupMaxSizeReached)
		return nil
	}
	shares := make(map[string][]byte, len(g.members))
	for i := range req.GroupAssignment {
		a := &req.GroupAssignment[i]
		shares[a.MemberID] = bytes.Clone(a.MemberAssignment)
	}
	l, err := g.gs.remember(g.id, []record{groupRecord(g.id, g.snapshot(shares))})
	if err != nil {
		g.gs.b.log.Error("group assignment not saved", "group", g.id, "err", err)
		g.assignmentLost()
		return nil
	}
	g.saving = true
	generation := g.generation
	return func() {
		l.wait(func(err error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.state != groupCompleting || g.generation != generation {
				return // another rebalance has begun, and has answered
			}
			g.saving = false
			if err != nil {
				g.assignmentLost()
				return
			}
			g.enter(groupStable)
			for _, m := range g.members {
				m.assignment = shares[m.id]
				g.gs.weigh(m)
				g.answerSync(m, codeNone)
			}
		})
	}
}

// assignmentLost has everybody try again.
func (g *group) assignmentLost() {
	for _, m := range g.members {
		g.answerSync(m, codeCoordinatorNotAvailable)
	}
	g.prepare()
}
