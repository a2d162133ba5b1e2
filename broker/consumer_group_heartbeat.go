package broker

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// ConsumerGroupHeartbeat (key 68), versions 0 and 1. KIP-848; KIP-1082 (the client makes the member id, v1), KIP-345.
//
// A classic group becomes one of this kind when MigrationPolicy says so, and when it is empty.
func consumerGroupHeartbeatAPI() api {
	return api{
		key: 68, min: 0, max: 1, serve: serveConsumerGroupHeartbeat,
		outline: "string string int32 string string int32 [= string ] string@1 string [ uuid [= int32 ] ]",
	}
}

// consumerProtocol is the protocol type of consumers of either kind.
const consumerProtocol = "consumer"

// maxPattern bounds the regular expression of a subscription.
const maxPattern = 4096

// heartbeatRefusal is why a heartbeat is not taken.
type heartbeatRefusal struct {
	code code
	text string
}

func serveConsumerGroupHeartbeat(rq *request, msg kmsg.Request) error {
	req := msg.(*kmsg.ConsumerGroupHeartbeatRequest)
	b := rq.broker()
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	refuse := func(no *heartbeatRefusal) {
		resp.ErrorCode = rq.code(no.code)
		if no.text != "" {
			resp.ErrorMessage = &no.text
		}
		rq.respond(resp)
	}
	no := checkHeartbeat(req)
	if !rq.mayGroup(kmsg.ACLOperationRead, req.Group) {
		no = &heartbeatRefusal{code: codeGroupAuthorization}
	}
	for _, name := range req.SubscribedTopicNames {
		if no == nil && !rq.mayTopic(kmsg.ACLOperationDescribe, name) {
			no = &heartbeatRefusal{code: codeTopicAuthorization}
		}
	}
	if no != nil {
		refuse(no)
		return nil
	}
	if req.MemberEpoch == 0 && req.MemberID == "" {
		req.MemberID = commitlog.NewID().String()
	}
	var l logged
	known, c := b.groups.with(req.Group, req.MemberEpoch == 0, func(g *group) {
		var records []record
		if records, no = g.consumerHeartbeat(rq, req, resp); len(records) == 0 {
			if no != nil && g.fresh {
				b.groups.drop(g)
			}
			return
		}
		var err error
		if l, err = b.groups.remember(g.id, records); err != nil {
			b.log.Error("group state not saved", "group", g.id, "err", err)
			no = &heartbeatRefusal{code: codeCoordinatorNotAvailable}
		}
	})
	// A refusal need not wait for what was written down on the way to it.
	switch {
	case !known && c == codeNone:
		no = &heartbeatRefusal{codeGroupIDNotFound, "no group " + req.Group}
	case !known:
		no = &heartbeatRefusal{code: c}
	}
	if no != nil {
		refuse(no)
		return nil
	}
	if l.log == nil {
		rq.respond(resp)
		return nil
	}
	l.wait(func(err error) {
		if err != nil {
			resp = kmsg.NewPtrConsumerGroupHeartbeatResponse()
			resp.ErrorCode = rq.code(codeCoordinatorNotAvailable)
		}
		rq.respond(resp)
	})
	return nil
}

// checkHeartbeat finds what is wrong with a heartbeat whatever the group.
func checkHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest) *heartbeatRefusal {
	invalid := func(text string) *heartbeatRefusal { return &heartbeatRefusal{codeInvalidRequest, text} }
	switch {
	case req.Group == "":
		return invalid("GroupId can't be empty.")
	case req.InstanceID != nil && *req.InstanceID == "":
		return invalid("InstanceId can't be empty.")
	case req.RackID != nil && *req.RackID == "":
		return invalid("RackId can't be empty.")
	case req.MemberEpoch < epochLeaveStatic:
		return invalid("MemberEpoch is invalid.")
	case req.MemberID == "" && (req.MemberEpoch != 0 || req.Version >= 1):
		return invalid("MemberId can't be empty.")
	case req.MemberEpoch == epochLeaveStatic && req.InstanceID == nil:
		return invalid("InstanceId can't be null when the member leaves for a while.")
	case req.MemberEpoch != 0:
	case req.RebalanceTimeoutMillis == -1:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case req.Topics == nil || len(req.Topics) > 0:
		return invalid("TopicPartitions must be empty when (re-)joining.")
	case req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil:
		return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	}
	if req.ServerAssignor != nil && consumerAssignors[*req.ServerAssignor] == nil {
		return &heartbeatRefusal{codeUnsupportedAssignor, fmt.Sprintf("ServerAssignor %s is not supported. Supported assignors: %s, %s.", *req.ServerAssignor, assignorUniform, assignorRange)}
	}
	return nil
}

// consumerHeartbeat is what a locked group does with a heartbeat: it fills in the answer and returns what is to be written
// down before that is given.
func (g *group) consumerHeartbeat(rq *request, req *kmsg.ConsumerGroupHeartbeatRequest, resp *kmsg.ConsumerGroupHeartbeatResponse) ([]record, *heartbeatRefusal) {
	if req.MemberEpoch < 0 {
		return g.consumerLeave(req, resp)
	}
	var records []record
	if g.consumer == nil {
		var no *heartbeatRefusal
		if records, no = g.becomeConsumer(req); no != nil {
			return nil, no
		}
	}
	owned := ownedPartitions(req)
	m, replaced, no := g.consumerMember(rq, req, owned)
	if no != nil {
		return records, no
	}
	records = append(records, replaced...)
	cg := g.consumer
	if !g.gs.room(subscriptionGrows(m, req)) {
		return records, &heartbeatRefusal{codeGroupMaxSizeReached, "There is no room for further subscriptions of any group."}
	}
	changed, renewed, no := g.subscribe(m, req)
	if no != nil {
		return records, no
	}
	if m.classic != nil {
		m.classic, changed, renewed = nil, true, true // it went on to this protocol under its id
		m.stopTime()
	}
	if m.regex != nil {
		acls, who := g.gs.b.acls, rq.conn.session
		m.sees = func(topic string) bool {
			return acls.allows(&who, kmsg.ACLOperationDescribe, kmsg.ACLResourceTypeTopic, topic)
		}
	}
	isNew := cg.members[m.id] == nil
	if isNew {
		if no := g.noRoom(); no != nil {
			return records, no
		}
		cg.members[m.id] = m
		if m.instance != nil {
			cg.static[*m.instance] = m.id
		}
	}
	if changed || isNew {
		records = append(records, consumerMemberRecord(g.id, m.id, m))
	}
	before := m.assigned
	records = append(records, g.advance(m, owned, renewed, isNew)...)

	resp.MemberID, resp.MemberEpoch = &m.id, m.epoch
	resp.HeartbeatIntervalMillis = int32(g.gs.b.groupConfigs.heartbeat(g.id).Milliseconds())
	full := req.RebalanceTimeoutMillis != -1 && (req.SubscribedTopicNames != nil || req.SubscribedTopicRegex != nil) && owned != nil
	if req.MemberEpoch == 0 || full || !before.equal(m.assigned) {
		resp.Assignment = new(kmsg.ConsumerGroupHeartbeatResponseAssignment)
		for id, partitions := range m.assigned {
			t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
			t.TopicID, t.Partitions = id, slices.Clone(partitions)
			resp.Assignment.Topics = append(resp.Assignment.Topics, t)
		}
	}
	return records, nil
}

// becomeConsumer makes a classic group one of this kind for a heartbeat that joins it, and returns the records that say so.
func (g *group) becomeConsumer(req *kmsg.ConsumerGroupHeartbeatRequest) ([]record, *heartbeatRefusal) {
	switch {
	case req.MemberEpoch == 0 && g.state == groupEmpty:
		if req.SubscribedTopicRegex != nil {
			if _, no := compilePattern(*req.SubscribedTopicRegex); no != nil {
				return nil, no
			}
		}
		records := g.leaveKind()
		g.forgetPending()
		g.consumer, g.protocolType = newConsumerGroup(), consumerProtocol
		g.consumer.epoch = 1 // so that its first members begin with 2, as Kafka's
		return records, nil
	case req.MemberEpoch > 0 || !g.mayUpgrade():
		return nil, &heartbeatRefusal{codeGroupIDNotFound, fmt.Sprintf("Group %s is not a consumer group.", g.id)}
	case !g.hasClassic(req):
		if no := g.noRoom(); no != nil {
			return nil, no
		}
	}
	if req.SubscribedTopicRegex != nil {
		if _, no := compilePattern(*req.SubscribedTopicRegex); no != nil {
			return nil, no
		}
	}
	return g.upgrade(), nil
}

// hasClassic says whether a heartbeat is of a member of the locked classic group, by its id or its instance's.
func (g *group) hasClassic(req *kmsg.ConsumerGroupHeartbeatRequest) bool {
	_, known := g.members[req.MemberID]
	if req.InstanceID != nil {
		_, known = g.static[*req.InstanceID]
	}
	return known
}

// noRoom refuses one more member of a locked group that is, or becomes, one of KIP-848.
func (g *group) noRoom() *heartbeatRefusal {
	switch most := g.gs.b.cfg.GroupConsumerMaxSize; {
	case g.size() >= most:
		return &heartbeatRefusal{codeGroupMaxSizeReached, fmt.Sprintf("The consumer group has reached its maximum capacity of %d members.", most)}
	case !g.gs.room(memberBytes):
		return &heartbeatRefusal{codeGroupMaxSizeReached, "There is no room for further members of any group."}
	}
	return nil
}

// advance has the group take in what a member says, and moves the member on. It returns the records that say what has changed.
func (g *group) advance(m *consumerMember, owned assignment, renewed, isNew bool) []record {
	cg := g.consumer
	var records []record
	if g.noticeTopics(renewed) || renewed {
		cg.epoch++
		records = append(records, consumerGroupRecord(g.id, &cg.epoch))
	}
	if cg.epoch > cg.targetEpoch {
		records = append(records, g.retarget()...)
	}
	if g.reconcile(m, owned) || isNew {
		records = append(records, currentRecord(g.id, m.id, m))
	}
	g.gs.weighConsumer(m)
	g.consumerAlive(m)
	g.settle()
	return records
}

// ownedPartitions is what the member says it has; nil when it says nothing.
func ownedPartitions(req *kmsg.ConsumerGroupHeartbeatRequest) assignment {
	if req.Topics == nil {
		return nil
	}
	owned := assignment{}
	for i := range req.Topics {
		t := &req.Topics[i]
		if len(t.Partitions) == 0 {
			continue
		}
		owned = owned.or(assignment{t.TopicID: t.Partitions})
	}
	return owned
}

// consumerMember finds the member a heartbeat is of, or makes one that joins. For a static member that comes back under
// another id it returns the records that end the former one.
func (g *group) consumerMember(rq *request, req *kmsg.ConsumerGroupHeartbeatRequest, owned assignment) (*consumerMember, []record, *heartbeatRefusal) {
	cg := g.consumer
	m := cg.members[req.MemberID]
	if req.InstanceID != nil {
		formerID, known := cg.static[*req.InstanceID]
		former := cg.members[formerID]
		switch {
		case req.MemberEpoch > 0 && !known:
			return nil, nil, &heartbeatRefusal{codeUnknownMemberID, fmt.Sprintf("Instance id %s is unknown.", *req.InstanceID)}
		case req.MemberEpoch > 0 && formerID != req.MemberID:
			return nil, nil, &heartbeatRefusal{codeFencedInstanceID, fmt.Sprintf("Static member %s with instance id %s was fenced by member %s.", req.MemberID, *req.InstanceID, formerID)}
		case req.MemberEpoch == 0 && known && formerID != req.MemberID && former.epoch != epochLeaveStatic && former.classic == nil:
			return nil, nil, &heartbeatRefusal{codeUnreleasedInstanceID, fmt.Sprintf("Static member %s with instance id %s cannot join the group because the instance id is owned by member %s.", req.MemberID, *req.InstanceID, formerID)}
		case req.MemberEpoch == 0 && known && formerID != req.MemberID:
			m, records := g.replaceStatic(rq, former, req.MemberID)
			return m, records, nil
		case req.MemberEpoch == 0 && known:
			m.epoch = 0
			return m, nil, nil
		}
	}
	if m == nil {
		if req.MemberEpoch > 0 {
			return nil, nil, &heartbeatRefusal{codeUnknownMemberID, fmt.Sprintf("Member %s is not a member of group %s.", req.MemberID, g.id)}
		}
		return &consumerMember{id: req.MemberID, instance: req.InstanceID, clientID: rq.conn.clientID, host: "/" + rq.conn.session.host}, nil, nil
	}
	switch {
	case req.MemberEpoch > m.epoch:
		return nil, nil, &heartbeatRefusal{codeFencedMemberEpoch, fmt.Sprintf("The consumer group member has a greater member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", req.MemberEpoch, m.epoch)}
	case req.MemberEpoch == 0 || req.MemberEpoch == m.epoch:
	case req.MemberEpoch == m.previous && owned != nil && owned.within(m.assigned):
		// The answer that raised its epoch was lost.
	default:
		return nil, nil, &heartbeatRefusal{codeFencedMemberEpoch, fmt.Sprintf("The consumer group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", req.MemberEpoch, m.epoch)}
	}
	return m, nil, nil
}

// replaceStatic gives the place of a static member that left for a while, or is of the classic protocol, to its new self, and
// returns the records that say so.
func (g *group) replaceStatic(rq *request, former *consumerMember, id string) (*consumerMember, []record) {
	cg := g.consumer
	m := &consumerMember{
		id: id, instance: former.instance, rack: former.rack, clientID: rq.conn.clientID, host: "/" + rq.conn.session.host,
		names: former.names, pattern: former.pattern, regex: former.regex, assignor: former.assignor, rebalance: former.rebalance,
		state: former.state, assigned: former.assigned, revoking: former.revoking, size: former.size,
	}
	former.stop()
	cg.release(former)
	delete(cg.members, former.id)
	cg.target[id] = cg.target[former.id]
	delete(cg.target, former.id)
	cg.members[id] = m
	cg.static[*m.instance] = id
	// It begins with nothing to give up: whoever was there before has gone.
	m.revoking, m.state = nil, memberStable
	cg.hold(m)
	return m, append(consumerTombstones(g.id, former.id),
		consumerMemberRecord(g.id, id, m), targetMemberRecord(g.id, id, cg.target[id]), currentRecord(g.id, id, m))
}

// subscriptionGrows is how many bytes more a member's subscription takes by what a heartbeat says.
func subscriptionGrows(m *consumerMember, req *kmsg.ConsumerGroupHeartbeatRequest) int {
	grows := 0
	if p := req.SubscribedTopicRegex; p != nil {
		grows += len(*p) - len(m.pattern)
	}
	if names := req.SubscribedTopicNames; names != nil {
		grows += namesBytes(names) - namesBytes(m.names)
	}
	return grows
}

// subscribe takes in what a heartbeat says of a member, and returns whether that is news, and whether its subscription is another
// one: then partitions are assigned anew. The assignor it prefers counts from the next time that happens.
func (g *group) subscribe(m *consumerMember, req *kmsg.ConsumerGroupHeartbeatRequest) (changed, renewed bool, no *heartbeatRefusal) {
	if p := req.SubscribedTopicRegex; p != nil && *p != m.pattern {
		var regex *regexp.Regexp
		if *p != "" {
			if regex, no = compilePattern(*p); no != nil {
				return false, false, no
			}
		}
		m.pattern, m.regex, changed, renewed = *p, regex, true, true
	}
	if req.SubscribedTopicNames != nil {
		names := slices.Clone(req.SubscribedTopicNames)
		slices.Sort(names)
		if names = slices.Compact(names); !slices.Equal(names, m.names) {
			m.names, changed, renewed = names, true, true
		}
	}
	if req.ServerAssignor != nil && *req.ServerAssignor != m.assignor {
		m.assignor, changed = *req.ServerAssignor, true
	}
	if req.RackID != nil && (m.rack == nil || *m.rack != *req.RackID) {
		m.rack, changed = req.RackID, true
	}
	if id := req.InstanceID; id != nil && (m.instance == nil || *m.instance != *id) {
		if m.instance != nil {
			delete(g.consumer.static, *m.instance)
		}
		m.instance, g.consumer.static[*id], changed = id, m.id, true // it joins again, as a static member
	}
	if req.RebalanceTimeoutMillis != -1 {
		m.rebalance = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	return changed, renewed, nil
}

func compilePattern(p string) (*regexp.Regexp, *heartbeatRefusal) {
	err := fmt.Errorf("longer than %d bytes", maxPattern)
	if len(p) <= maxPattern {
		var regex *regexp.Regexp
		if regex, err = regexp.Compile(wholePattern(p)); err == nil {
			return regex, nil
		}
	}
	return nil, &heartbeatRefusal{codeInvalidRegex, fmt.Sprintf("SubscribedTopicRegex `%s` is not a valid regular expression: %v", p, err)}
}

// wholePattern makes a pattern match whole names, as Kafka's do.
func wholePattern(p string) string { return "^(?:" + p + ")$" }

// consumerLeave lets a member go; a static one keeps its share until its session ends.
func (g *group) consumerLeave(req *kmsg.ConsumerGroupHeartbeatRequest, resp *kmsg.ConsumerGroupHeartbeatResponse) ([]record, *heartbeatRefusal) {
	if g.consumer == nil {
		return nil, &heartbeatRefusal{codeGroupIDNotFound, fmt.Sprintf("Group %s is not a consumer group.", g.id)}
	}
	m := g.consumer.members[req.MemberID]
	if req.InstanceID != nil {
		id, known := g.consumer.static[*req.InstanceID]
		if !known {
			return nil, &heartbeatRefusal{codeUnknownMemberID, fmt.Sprintf("Instance id %s is unknown.", *req.InstanceID)}
		}
		if id != req.MemberID {
			return nil, &heartbeatRefusal{codeFencedInstanceID, fmt.Sprintf("Static member %s with instance id %s was fenced by member %s.", req.MemberID, *req.InstanceID, id)}
		}
	}
	if m == nil {
		return nil, &heartbeatRefusal{codeUnknownMemberID, fmt.Sprintf("Member %s is not a member of group %s.", req.MemberID, g.id)}
	}
	resp.MemberID, resp.MemberEpoch = &m.id, req.MemberEpoch
	if req.MemberEpoch == epochLeaveStatic {
		g.consumer.release(m)
		m.epoch, m.previous, m.revoking, m.state = epochLeaveStatic, m.epoch, nil, memberStable
		g.consumer.hold(m)
		g.watchRevocation(m)
		return []record{currentRecord(g.id, m.id, m)}, nil
	}
	return g.dropConsumers(m), nil
}
