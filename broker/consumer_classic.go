package broker

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A consumer of the classic protocol can be a member of a group whose partitions the broker assigns (KIP-848, "Classic
// Rebalance Protocol compatibility"). JoinGroup stands for the heartbeat that says what the member subscribes to and has,
// SyncGroup fetches its share, and an answer of REBALANCE_IN_PROGRESS to Heartbeat has it do both again. Its generation is
// its member epoch. No member leads: the answer to a join names no leader, so nobody makes an assignment.

// classicMember is what a member of the classic protocol has beside what every member of such a group has.
type classicMember struct {
	session   time.Duration
	protocols []groupProtocol
}

// joinConsumer is what a locked group of KIP-848 does with a join. Where it returns a function, that is to be called without
// the lock.
func (g *group) joinConsumer(rq *request, req *kmsg.JoinGroupRequest, protocols []groupProtocol) func() {
	cg := g.consumer
	refuse := func(c code) func() {
		refuseJoin(rq, req.MemberID, c)
		return nil
	}
	if req.ProtocolType != consumerProtocol || len(protocols) == 0 || !cg.supports(protocols) {
		return refuse(codeInconsistentProtocol)
	}
	sub, ok := parseSubscription(protocols[0].metadata)
	if !ok {
		return refuse(codeInconsistentProtocol)
	}
	var m *consumerMember
	var records []record
	id := req.MemberID
	switch former, known := cg.staticMember(req.InstanceID); {
	case req.InstanceID == nil && id == "" && rq.version >= 4:
		id = newMemberID(rq.conn.clientID)
		refuseJoin(rq, id, codeMemberIDRequired) // whoever comes with it is taken in
		return nil
	case req.InstanceID == nil && id == "":
		id = newMemberID(rq.conn.clientID)
	case req.InstanceID == nil:
		m = cg.members[id]
	case id != "" && !known:
		return refuse(codeUnknownMemberID)
	case id != "" && former.id != id:
		return refuse(codeFencedInstanceID)
	case id != "":
		m = former
	case known && g.endsWith(former):
		// The last that needs this kind of group comes back as one that does not.
		return g.joinAfterDowngrade(rq, req, former)
	case known:
		id = newMemberID(*req.InstanceID)
		m, records = g.replaceStatic(rq, former, id)
	default:
		id = newMemberID(*req.InstanceID)
	}
	isNew := m == nil
	if isNew {
		if len(cg.members) >= g.gs.b.cfg.GroupConsumerMaxSize {
			return refuse(codeGroupMaxSizeReached)
		}
		m = &consumerMember{id: id, instance: cloneText(req.InstanceID)}
		cg.members[id] = m
		if m.instance != nil {
			cg.static[*m.instance] = id
		}
	}
	changed := isNew || !slices.Equal(m.names, sub.names) || m.pattern != ""
	m.clientID, m.host = rq.conn.clientID, "/"+rq.conn.session.host
	m.names, m.rack, m.pattern, m.regex, m.assignor = sub.names, sub.rack, "", nil, ""
	m.classic = &classicMember{session: time.Duration(req.SessionTimeoutMillis) * time.Millisecond, protocols: protocols}
	m.rebalance = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	if rq.version < 1 || m.rebalance <= 0 {
		m.rebalance = m.classic.session
	}
	records = append(records, consumerMemberRecord(g.id, m.id, m))
	records = append(records, g.advance(m, g.ownedByName(sub.owned), changed, isNew)...)
	g.giveTime(m) // to ask for its share

	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Generation, resp.MemberID = m.epoch, m.id
	resp.ProtocolType, resp.Protocol = kmsg.StringPtr(consumerProtocol), &protocols[0].name
	l, err := g.gs.remember(g.id, records)
	if err != nil {
		g.gs.b.log.Error("group state not saved", "group", g.id, "err", err)
		return refuse(codeCoordinatorNotAvailable)
	}
	return func() {
		l.wait(func(err error) {
			if err != nil {
				refuseJoin(rq, req.MemberID, codeCoordinatorNotAvailable)
				return
			}
			rq.respond(resp)
		})
	}
}

// joinAfterDowngrade has a static member of KIP-848 leave, with which the group becomes a classic one or empty, and joins it
// again by the classic protocol.
func (g *group) joinAfterDowngrade(rq *request, req *kmsg.JoinGroupRequest, former *consumerMember) func() {
	if _, err := g.gs.remember(g.id, g.dropConsumers(former)); err != nil {
		g.gs.b.log.Error("group state not saved", "group", g.id, "err", err)
		refuseJoin(rq, req.MemberID, codeCoordinatorNotAvailable)
		return nil
	}
	return g.join(rq, req)
}

// syncConsumer answers a member's question for its share.
func (g *group) syncConsumer(rq *request, req *kmsg.SyncGroupRequest) {
	m, c := g.findClassic(req.MemberID, req.InstanceID)
	switch {
	case c != codeNone:
	case req.Generation != m.epoch:
		c = codeIllegalGeneration
	case req.ProtocolType != nil && *req.ProtocolType != consumerProtocol, req.Protocol != nil && *req.Protocol != m.classic.protocols[0].name:
		c = codeInconsistentProtocol
	case g.consumer.epoch > m.epoch && m.state != memberUnrevoked:
		// One that has something to give up does so first.
		g.giveTimeOnce(m)
		c = codeRebalanceInProgress
	}
	if c != codeNone {
		refuseSync(rq, c)
		return
	}
	m.stopTime()
	g.consumerAlive(m)
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ProtocolType, resp.Protocol = kmsg.StringPtr(consumerProtocol), kmsg.StringPtr(m.classic.protocols[0].name)
	resp.MemberAssignment = g.appendShare(nil, m)
	rq.respond(resp)
}

// heartbeatConsumer has a member join again when there is something to give up or to be had.
func (g *group) heartbeatConsumer(req *kmsg.HeartbeatRequest) code {
	m, c := g.findClassic(req.MemberID, req.InstanceID)
	switch {
	case c != codeNone:
		return c
	case req.Generation != m.epoch:
		return codeIllegalGeneration
	}
	g.consumerAlive(m)
	cg := g.consumer
	if g.noticeTopics(false) {
		cg.epoch++
		g.settle()
		if _, err := g.gs.remember(g.id, []record{consumerGroupRecord(g.id, &cg.epoch)}); err != nil {
			g.gs.b.log.Warn("group state not saved", "group", g.id, "err", err)
		}
	}
	if m.epoch == cg.epoch && (m.state == memberStable || m.state == memberUnreleased && cg.waits(m)) {
		return codeNone
	}
	g.giveTimeOnce(m)
	return codeRebalanceInProgress
}

// leaveConsumer finds the member that leaves by LeaveGroup. A static member is known by its instance id alone.
func (g *group) leaveConsumer(memberID string, instance *string) (*consumerMember, code) {
	m := g.consumer.members[memberID]
	if instance != nil {
		former, known := g.consumer.staticMember(instance)
		switch {
		case !known:
			return nil, codeUnknownMemberID
		case memberID != "" && former.id != memberID:
			return nil, codeFencedInstanceID
		}
		m = former
	}
	if m == nil {
		return nil, codeUnknownMemberID
	}
	return m, codeNone
}

// findClassic checks a member id and instance id of a member that speaks the classic protocol.
func (g *group) findClassic(memberID string, instance *string) (*consumerMember, code) {
	if instance != nil {
		former, known := g.consumer.staticMember(instance)
		switch {
		case !known:
			return nil, codeUnknownMemberID
		case former.id != memberID:
			return nil, codeFencedInstanceID
		}
	}
	m := g.consumer.members[memberID]
	if m == nil || m.classic == nil {
		return nil, codeUnknownMemberID
	}
	return m, codeNone
}

// staticMember finds a member by its instance id, when there is one.
func (cg *consumerGroup) staticMember(instance *string) (*consumerMember, bool) {
	if instance == nil {
		return nil, false
	}
	m := cg.members[cg.static[*instance]]
	return m, m != nil
}

// supports says whether there is a protocol that all classic members know, with one more that knows these.
func (cg *consumerGroup) supports(protocols []groupProtocol) bool {
	for _, p := range protocols {
		all := true
		for _, m := range cg.members {
			if m.classic != nil && !knows(m.classic.protocols, p.name) {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// waits says whether anything a member is to have is still with another.
func (cg *consumerGroup) waits(m *consumerMember) bool {
	for id, partitions := range cg.target[m.id] {
		for _, p := range partitions {
			if h, held := cg.holders[topicIDPartition{id, p}]; held && h.member != m.id {
				return true
			}
		}
	}
	return false
}

// subscription is what a consumer of the classic protocol says of itself (ConsumerProtocolSubscription of Kafka).
type subscription struct {
	names []string // sorted
	owned map[string][]int32
	rack  *string
}

// parseSubscription reads versions 0 to 3, and of later ones what these have.
func parseSubscription(b []byte) (s subscription, ok bool) {
	c := cursor{b: b}
	version := c.int16()
	for n := max(c.arrayLen(false, 2), 0); n > 0 && !c.bad; n-- {
		s.names = append(s.names, string(c.str(false)))
	}
	c.bytes(false) // of the assignor
	if version >= 1 && !c.bad {
		s.owned = readShare(&c)
	}
	if version >= 2 {
		c.int32() // the generation in which it had them
	}
	if version >= 3 {
		if r := c.str(false); r != nil {
			rack := string(r)
			s.rack = &rack
		}
	}
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	return s, !c.bad && version >= 0
}

// parseShare reads a member's share as the classic protocol's leaders write it (ConsumerProtocolAssignment of Kafka); no bytes
// are none.
func parseShare(b []byte) (share map[string][]int32, ok bool) {
	if len(b) == 0 {
		return nil, true
	}
	c := cursor{b: b}
	version := c.int16()
	share = readShare(&c)
	return share, !c.bad && version >= 0
}

// readShare reads partitions by topic.
func readShare(c *cursor) map[string][]int32 {
	share := make(map[string][]int32)
	for n := max(c.arrayLen(false, 6), 0); n > 0 && !c.bad; n-- {
		name := string(c.str(false))
		for k := max(c.arrayLen(false, 4), 0); k > 0 && !c.bad; k-- {
			share[name] = append(share[name], c.int32())
		}
	}
	return share
}

// appendShare writes what a member has for the classic protocol, in the version of its subscription.
func (g *group) appendShare(b []byte, m *consumerMember) []byte {
	version := cursor{b: m.classic.protocols[0].metadata}
	b = appendInt16(b, min(version.int16(), 3))
	share := make(map[string][]int32)
	for id, partitions := range m.assigned {
		if t := g.gs.b.topics.getID(id); t != nil {
			share[t.name] = partitions
		}
	}
	b = appendArrayLen(b, false, len(share))
	for _, name := range slices.Sorted(maps.Keys(share)) {
		b = appendString(b, false, []byte(name))
		b = appendArrayLen(b, false, len(share[name]))
		for _, p := range share[name] {
			b = appendInt32(b, p)
		}
	}
	return appendInt32(b, -1) // nothing for the assignor
}

// ownedByName is partitions by the ids of the topics there are.
func (g *group) ownedByName(share map[string][]int32) assignment {
	a := assignment{}
	for name, partitions := range share {
		if t := g.gs.b.topics.get(name); t != nil && len(partitions) > 0 {
			a[t.id] = slices.Clone(partitions)
			slices.Sort(a[t.id])
			a[t.id] = slices.Compact(a[t.id])
		}
	}
	return a
}

// cloneProtocols copies protocols out of a request.
func cloneProtocols(from []kmsg.JoinGroupRequestProtocol) []groupProtocol {
	protocols := make([]groupProtocol, len(from))
	for i := range from {
		protocols[i] = groupProtocol{from[i].Name, bytes.Clone(from[i].Metadata)}
	}
	return protocols
}

func cloneText(s *string) *string {
	if s == nil {
		return nil
	}
	c := *s
	return &c
}
