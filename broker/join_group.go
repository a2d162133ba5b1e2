package broker

import (
	"bytes"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// JoinGroup (key 11), versions 0 to 9. KIP-62 (rebalance timeout), KIP-345 (static members), KIP-394 (a member id first),
// KIP-482, KIP-559 (protocol type), KIP-800 (reason), KIP-814 (a static leader that comes back need not assign).
func joinGroupAPI() api {
	return api{
		key: 11, min: 0, max: 9, serve: serveJoinGroup,
		outline: "string int32 int32@1 string string@5 string [ string bytes ] string@8",
	}
}

const (
	maxGroupProtocols = 64
	maxSubscription   = 1 << 20 // bytes of one member's metadata, all protocols together
)

func refuseJoin(rq *request, memberID string, c code) {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.MemberID, resp.Generation = rq.code(c), memberID, -1
	if rq.version < 7 {
		resp.Protocol = kmsg.StringPtr("")
	}
	rq.respond(resp)
}

func serveJoinGroup(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.JoinGroupRequest)
	b := rq.broker()
	session := time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	size := 0
	for i := range req.Protocols {
		size += len(req.Protocols[i].Name) + len(req.Protocols[i].Metadata)
	}
	refused := codeNone
	switch {
	case !rq.mayGroup(kmsg.ACLOperationRead, req.Group):
		refused = codeGroupAuthorization
	case req.Group == "":
		refused = codeInvalidGroupID
	case session < b.cfg.GroupMinSessionTimeout || session > b.cfg.GroupMaxSessionTimeout:
		refused = codeInvalidSessionTimeout
	case len(req.Protocols) > maxGroupProtocols || size > maxSubscription:
		refused = codeInconsistentProtocol
	}
	if refused == codeNone {
		// Someone who claims to be a member already cannot be one of a group that is not there.
		var known bool
		var saved func()
		known, refused = b.groups.with(req.Group, req.MemberID == "", func(g *group) { saved = g.join(rq, req) })
		if saved != nil {
			saved()
		}
		if known {
			return nil
		}
		if refused == codeNone {
			refused = codeUnknownMemberID
		}
	}
	refuseJoin(rq, req.MemberID, refused)
	return nil
}

// join is what a locked group does with a join. Where it returns a function, that is to be called without the lock.
func (g *group) join(rq *request, req *kmsg.JoinGroupRequest) func() {
	size := memberBytes
	for i := range req.Protocols {
		size += len(req.Protocols[i].Name) + len(req.Protocols[i].Metadata)
	}
	if !g.gs.room(size - g.weight(req.MemberID, req.InstanceID)) {
		refuseJoin(rq, req.MemberID, codeGroupMaxSizeReached)
		return nil
	}
	protocols := cloneProtocols(req.Protocols)
	if g.consumer != nil && g.state != groupEmpty {
		return g.joinConsumer(rq, req, protocols)
	}
	g.joinClassic(rq, req, protocols)
	return nil
}

// joinClassic takes a join into a classic group, or into an empty one, which becomes that.
func (g *group) joinClassic(rq *request, req *kmsg.JoinGroupRequest, protocols []groupProtocol) {
	if g.consumer != nil {
		if _, err := g.gs.remember(g.id, g.leaveKind()); err != nil {
			g.gs.b.log.Error("group state not saved", "group", g.id, "err", err)
			refuseJoin(rq, req.MemberID, codeCoordinatorNotAvailable)
			return
		}
	}
	if req.InstanceID != nil && req.MemberID == "" {
		if id, known := g.static[*req.InstanceID]; known {
			g.rejoinStatic(rq, req, g.members[id], protocols)
			return
		}
	}
	if _, given := g.pending[req.MemberID]; req.MemberID == "" || given {
		g.joinNew(rq, req, protocols)
		return
	}
	m, c := g.find(req.MemberID, req.InstanceID)
	if !g.supports(req.ProtocolType, protocols) {
		c = codeInconsistentProtocol
	}
	if c != codeNone {
		refuseJoin(rq, req.MemberID, c)
		return
	}
	if g.state == groupPreparing && m.join == nil && m.instance == nil && g.full() {
		refuseJoin(rq, req.MemberID, codeGroupMaxSizeReached) // others were first
		g.remove(m, codeUnknownMemberID)
		g.completeIfAll()
		return
	}
	same := sameProtocols(m.protocols, protocols)
	switch {
	case g.state == groupCompleting && same:
		// It may have missed the answer to the join it sent before.
		g.alive(m)
		rq.respond(g.joined(m))
	case g.state == groupStable && same && g.leader != m.id:
		g.alive(m)
		rq.respond(g.joined(m))
	default:
		g.update(m, rq, req, protocols)
		g.prepare()
	}
}

// joinNew takes in somebody who is not a member.
func (g *group) joinNew(rq *request, req *kmsg.JoinGroupRequest, protocols []groupProtocol) {
	timer, given := g.pending[req.MemberID]
	if g.full() {
		refuseJoin(rq, req.MemberID, codeGroupMaxSizeReached)
		return
	}
	if !g.supports(req.ProtocolType, protocols) {
		refuseJoin(rq, req.MemberID, codeInconsistentProtocol)
		return
	}
	id := req.MemberID
	switch {
	case given:
		timer.Stop()
		g.unexpect(id)
	case req.InstanceID != nil:
		id = newMemberID(*req.InstanceID)
	default:
		id = newMemberID(rq.conn.clientID)
		if rq.version >= 4 {
			g.expect(id, time.Duration(req.SessionTimeoutMillis)*time.Millisecond)
			refuseJoin(rq, id, codeMemberIDRequired)
			return
		}
	}
	if len(g.members) == 0 {
		g.protocolType = req.ProtocolType
	}
	g.joins++
	m := &member{id: id, order: g.joins}
	if req.InstanceID != nil {
		instance := *req.InstanceID
		m.instance = &instance
		g.static[instance] = id
	}
	g.members[id] = m
	g.newcomers = true
	g.update(m, rq, req, protocols)
	g.prepare()
}

// full says whether a classic group has as many members as it may. During a rebalance only those count that have joined again:
// who has not may be gone, and then its place is another's.
func (g *group) full() bool {
	n := len(g.members)
	if g.state == groupPreparing {
		n = 0
		for _, m := range g.members {
			if m.join != nil {
				n++
			}
		}
	}
	return n >= g.gs.b.cfg.GroupMaxSize
}

// weight is what a member that joins again takes already, or somebody whose member id was given out.
func (g *group) weight(memberID string, instance *string) int {
	if g.consumer != nil {
		m, known := g.consumer.staticMember(instance)
		if !known {
			m = g.consumer.members[memberID]
		}
		if m != nil {
			return m.size
		}
		return 0
	}
	if instance != nil && memberID == "" {
		memberID = g.static[*instance]
	}
	if m := g.members[memberID]; m != nil {
		return m.size
	}
	if _, given := g.pending[memberID]; given {
		return memberBytes
	}
	return 0
}

// expect notes a member id that was given out; it is forgotten when nobody joins with it.
func (g *group) expect(id string, session time.Duration) {
	g.gs.bytes.Add(memberBytes)
	g.pending[id] = time.AfterFunc(session, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if _, ok := g.pending[id]; ok && g.state != groupDead {
			g.unexpect(id)
			if g.state == groupPreparing {
				g.completeIfAll()
			}
		}
	})
}

// unexpect forgets a member id that was given out.
func (g *group) unexpect(id string) {
	delete(g.pending, id)
	g.gs.bytes.Add(-memberBytes)
}

// update notes what a join says, and that it waits.
func (g *group) update(m *member, rq *request, req *kmsg.JoinGroupRequest, protocols []groupProtocol) {
	m.clientID, m.host = rq.conn.clientID, "/"+rq.conn.session.host
	m.session = time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	m.rebalance = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	if rq.version < 1 || m.rebalance <= 0 {
		m.rebalance = m.session
	}
	m.protocols = protocols
	g.gs.weigh(m)
	g.answerJoin(m, codeRebalanceInProgress) // an earlier one that was given up
	m.join = rq
	g.alive(m)
}

// rejoinStatic gives the place of a static member to its new self, under a new member id. While its subscription is the same
// nobody else needs to hear of it.
func (g *group) rejoinStatic(rq *request, req *kmsg.JoinGroupRequest, m *member, protocols []groupProtocol) {
	if !g.supports(req.ProtocolType, protocols) {
		refuseJoin(rq, req.MemberID, codeInconsistentProtocol)
		return
	}
	old := m.id
	g.answerJoin(m, codeFencedInstanceID)
	g.answerSync(m, codeFencedInstanceID)
	delete(g.members, old)
	m.id = newMemberID(*m.instance)
	g.members[m.id] = m
	g.static[*m.instance] = m.id
	wasLeader := g.leader == old
	if wasLeader {
		g.leader = m.id
	}
	before := m.metadata(g.protocol)
	g.update(m, rq, req, protocols)
	if g.state != groupStable || g.choose() != g.protocol || !bytes.Equal(before, m.metadata(g.protocol)) {
		g.prepare()
		return
	}
	m.join = nil
	if _, err := g.gs.remember(g.id, []record{groupRecord(g.id, g.snapshot(nil))}); err != nil {
		g.gs.b.log.Warn("group state not saved", "group", g.id, "err", err)
	}
	resp := g.joined(m)
	if rq.version >= 9 {
		resp.SkipAssignment = wasLeader
	} else {
		// One that knows no such flag must not take itself for the leader, or it would assign anew.
		resp.Members = nil
		if wasLeader {
			resp.LeaderID = old
		}
	}
	rq.respond(resp)
}
