package broker

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The classic consumer group (Kafka documentation, "Consumer group protocol"; KIP-62, KIP-134, KIP-345 static members,
// KIP-389, KIP-394, KIP-559, KIP-814):
//
//	Empty --join--> PreparingRebalance --all joined, or time up--> CompletingRebalance --leader's sync--> Stable
//	  ^                   ^   |                                            |                              |
//	  |                   |   +--- nobody left                             +------ join, leave, expiry ---+
//	  +-------------------|-------- <---+                                                 |
//	                      +---------------------------------------------------------------+
//
// A member that joins waits until all have; the leader is told who they are, assigns partitions and sends the assignment with
// its sync; everybody's sync is answered with their share once that is on disk.

type groupState uint8

const (
	groupEmpty groupState = iota
	groupPreparing
	groupCompleting
	groupStable
	groupDead
	groupAssigning   // of KIP-848: a target is to be made
	groupReconciling // of KIP-848: members are on their way to the target
)

// String returns Kafka's name of the state.
func (s groupState) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Assigning", "Reconciling"}[s]
}

// group is one consumer group. Whoever finds it dead has to look it up again.
type group struct {
	gs *groups
	id string

	mu           sync.Mutex
	state        groupState
	since        time.Time // of the state
	generation   int32
	protocolType string
	protocol     string
	leader       string // member id
	members      map[string]*member
	static       map[string]string      // group.instance.id to member id
	pending      map[string]*time.Timer // member ids that were given out and have not joined yet (KIP-394)
	joins        uint64                 // counts, to order members by when they came
	newcomers    bool                   // since the initial delay began
	delayUntil   time.Time              // end of the initial delay's extensions; zero when it is over
	timer        *time.Timer            // of the rebalance
	timerRun     uint64                 // tells a timer that was stopped too late
	fresh        bool                   // made for the request that has it locked
	saving       bool                   // the leader's assignment is on its way to the disk
	offsets      map[topicPartition]committed
	consumer     *consumerGroup                         // of a group of KIP-848, else nil
	txnOffsets   map[int64]map[topicPartition]committed // by producer id, of transactions that are not over
}

// member is one member of a group.
type member struct {
	id         string
	instance   *string
	clientID   string
	host       string
	session    time.Duration
	rebalance  time.Duration
	protocols  []groupProtocol
	assignment []byte
	order      uint64
	size       int // as weighed

	join     *request // waits for the others
	sync     *request // waits for the leader
	synced   bool     // has asked for its share in this generation
	timer    *time.Timer
	deadline time.Time
}

type groupProtocol struct {
	name     string
	metadata []byte
}

func newGroup(gs *groups, id string) *group {
	return &group{
		gs:      gs,
		id:      id,
		since:   time.Now(),
		members: make(map[string]*member),
		static:  make(map[string]string),
		pending: make(map[string]*time.Timer),
		offsets: make(map[topicPartition]committed),
	}
}

// forgetPending forgets the member ids that were given out.
func (g *group) forgetPending() {
	for _, t := range g.pending {
		t.Stop()
	}
	g.gs.bytes.Add(-memberBytes * int64(len(g.pending)))
	clear(g.pending)
}

func (g *group) enter(s groupState) {
	g.state, g.since = s, time.Now()
}

// newMemberID makes a member id as Kafka does: the client id or instance id, and something nobody can guess.
func newMemberID(prefix string) string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return prefix + "-" + hex.EncodeToString(b[:])
}

// find checks a member id and instance id against the group.
func (g *group) find(memberID string, instance *string) (*member, code) {
	if instance != nil {
		id, known := g.static[*instance]
		if !known {
			return nil, codeUnknownMemberID
		}
		if id != memberID {
			return nil, codeFencedInstanceID
		}
	}
	m := g.members[memberID]
	if m == nil {
		return nil, codeUnknownMemberID
	}
	return m, codeNone
}

// metadata is a member's metadata for a protocol.
func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.name == protocol {
			return p.metadata
		}
	}
	return nil
}

func sameProtocols(a, b []groupProtocol) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].name != b[i].name || !bytes.Equal(a[i].metadata, b[i].metadata) {
			return false
		}
	}
	return true
}

// supports says whether a member that knows these protocols can be in the group: there must be one that all know. Like Kafka it
// counts what a member that joins again knew before, so that one who is alone cannot change to another protocol either.
func (g *group) supports(protocolType string, protocols []groupProtocol) bool {
	if protocolType == "" || len(protocols) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	if protocolType != g.protocolType {
		return false
	}
	for _, p := range protocols {
		all := true
		for _, m := range g.members {
			if !m.knows(p.name) {
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

func (m *member) knows(protocol string) bool { return knows(m.protocols, protocol) }

func knows(protocols []groupProtocol, name string) bool {
	return slices.ContainsFunc(protocols, func(p groupProtocol) bool { return p.name == name })
}

// alive notes a sign of life.
func (g *group) alive(m *member) {
	m.deadline = time.Now().Add(m.session)
	if m.timer == nil {
		m.timer = time.AfterFunc(m.session, func() { g.expire(m) })
		return
	}
	m.timer.Reset(m.session)
}

// expire removes a member that has not been heard of within its session timeout. One that waits for a rebalance is
// not expected to say anything.
func (g *group) expire(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.members[m.id] != m || g.state == groupDead {
		return
	}
	if left := time.Until(m.deadline); left > 0 {
		m.timer.Reset(left)
		return
	}
	if m.join != nil {
		g.alive(m)
		return
	}
	g.gs.b.log.Debug("group member expires", "group", g.id, "member", m.id)
	g.remove(m, codeUnknownMemberID)
	g.rebalanceWithout()
}

// remove takes a member out and answers what it waits for.
func (g *group) remove(m *member, why code) {
	delete(g.members, m.id)
	g.gs.bytes.Add(-int64(m.size))
	if m.instance != nil && g.static[*m.instance] == m.id {
		delete(g.static, *m.instance)
	}
	if m.timer != nil {
		m.timer.Stop()
	}
	g.answerJoin(m, why)
	g.answerSync(m, why)
	if g.leader == m.id {
		g.leader = ""
	}
}

// rebalanceWithout goes on after members have gone.
func (g *group) rebalanceWithout() {
	switch g.state {
	case groupCompleting, groupStable:
		g.prepare()
	case groupPreparing:
		g.completeIfAll()
	}
}

// prepare begins a rebalance, or goes on with the one that has begun.
func (g *group) prepare() {
	if g.state == groupPreparing {
		g.completeIfAll()
		return
	}
	for _, m := range g.members {
		m.synced = false
		if g.state == groupCompleting {
			m.assignment = nil // else it has its share until it gets another
		}
		g.answerSync(m, codeRebalanceInProgress)
	}
	g.saving = false
	delay := g.gs.b.cfg.GroupInitialRebalanceDelay
	g.delayUntil = time.Time{}
	first := g.state == groupEmpty
	g.enter(groupPreparing)
	switch {
	case first && delay > 0:
		g.delayUntil = time.Now().Add(g.longestRebalance())
		g.newcomers = false
		g.arm(min(delay, g.longestRebalance()), g.initialDelayOver)
		return
	case first: // it waits for nobody, not even for one that has been given a member id
		g.complete()
		return
	}
	g.arm(g.longestRebalance(), g.complete)
	g.completeIfAll()
}

// initialDelayOver ends the initial delay, or begins another while members keep coming.
func (g *group) initialDelayOver() {
	if left := time.Until(g.delayUntil); g.newcomers && left > 0 {
		g.newcomers = false
		g.arm(min(g.gs.b.cfg.GroupInitialRebalanceDelay, left), g.initialDelayOver)
		return
	}
	g.delayUntil = time.Time{}
	g.complete()
}

// longestRebalance is how long the group waits for its slowest member.
func (g *group) longestRebalance() time.Duration {
	var d time.Duration
	for _, m := range g.members {
		d = max(d, m.rebalance)
	}
	return d
}

// arm sets the timer of the rebalance; what it was set to before no longer happens.
func (g *group) arm(d time.Duration, f func()) {
	g.disarm()
	run := g.timerRun
	g.timer = time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.timerRun == run && g.state != groupDead {
			f()
		}
	})
}

func (g *group) disarm() {
	g.timerRun++
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
}

// completeIfAll ends the joining when everybody has joined.
func (g *group) completeIfAll() {
	if !g.delayUntil.IsZero() || len(g.pending) > 0 {
		return
	}
	for _, m := range g.members {
		if m.join == nil {
			return
		}
	}
	g.complete()
}

// complete ends the joining: whoever has not joined again is out, unless it is a static member, which keeps its place
// until its session ends.
func (g *group) complete() {
	g.disarm()
	joined := 0
	for _, m := range g.members {
		switch {
		case m.join != nil:
			joined++
		case m.instance == nil:
			g.remove(m, codeUnknownMemberID)
		}
	}
	if len(g.members) > 0 && joined == 0 {
		g.arm(g.longestRebalance(), g.complete) // nobody there to lead
		return
	}
	g.generation = max(g.generation+1, 1)
	if len(g.members) == 0 {
		g.becomeEmpty()
		return
	}
	g.protocol = g.choose()
	if l := g.members[g.leader]; l == nil || l.join == nil {
		g.leader = ""
		for _, m := range g.members {
			if m.join != nil && (g.leader == "" || m.order < g.members[g.leader].order) {
				g.leader = m.id
			}
		}
	}
	g.enter(groupCompleting)
	g.arm(g.longestRebalance(), g.dropUnsynced)
	for _, m := range g.members {
		m.synced = false
		if m.join != nil {
			rq := m.join
			m.join = nil
			rq.respond(g.joined(m))
		}
		g.alive(m)
	}
}

// becomeEmpty notes that nobody is left.
func (g *group) becomeEmpty() {
	g.enter(groupEmpty)
	g.protocol, g.leader = "", ""
	if _, err := g.gs.remember(g.id, []record{groupRecord(g.id, g.snapshot(nil))}); err != nil {
		g.gs.b.log.Warn("group state not saved", "group", g.id, "err", err)
	}
}

// choose elects the protocol: of those all members know, the one most members like best.
func (g *group) choose() string {
	votes := make(map[string]int)
	for _, m := range g.members {
		for _, p := range m.protocols {
			all := true
			for _, o := range g.members {
				all = all && o.knows(p.name)
			}
			if all {
				votes[p.name]++
				break
			}
		}
	}
	best := ""
	for name, n := range votes {
		if n > votes[best] || n == votes[best] && (best == "" || name < best) {
			best = name
		}
	}
	return best
}

// dropUnsynced removes members that have joined and never asked for their share.
func (g *group) dropUnsynced() {
	if g.state != groupCompleting && g.state != groupStable {
		return
	}
	gone := false
	for _, m := range g.members {
		if !m.synced {
			g.remove(m, codeUnknownMemberID)
			gone = true
		}
	}
	if gone {
		g.rebalanceWithout()
	}
}

// joined is the answer to a join that has come to its end. The leader learns who is in the group.
func (g *group) joined(m *member) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Generation = g.generation
	resp.ProtocolType, resp.Protocol = kmsg.StringPtr(g.protocolType), kmsg.StringPtr(g.protocol)
	resp.LeaderID, resp.MemberID = g.leader, m.id
	if g.leader == m.id {
		resp.Members = g.listMembers()
	}
	return resp
}

func (g *group) listMembers() []kmsg.JoinGroupResponseMember {
	list := make([]kmsg.JoinGroupResponseMember, 0, len(g.members))
	for _, m := range g.members {
		r := kmsg.NewJoinGroupResponseMember()
		r.MemberID, r.InstanceID, r.ProtocolMetadata = m.id, m.instance, m.metadata(g.protocol)
		list = append(list, r)
	}
	return list
}

func (g *group) answerJoin(m *member, c code) {
	if rq := m.join; rq != nil {
		m.join = nil
		refuseJoin(rq, m.id, c)
	}
}

func (g *group) answerSync(m *member, c code) {
	rq := m.sync
	if rq == nil {
		return
	}
	m.sync = nil
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode = rq.code(c)
	if c == codeNone {
		resp.ProtocolType, resp.Protocol = kmsg.StringPtr(g.protocolType), kmsg.StringPtr(g.protocol)
		resp.MemberAssignment = m.assignment
	}
	rq.respond(resp)
}

// snapshot is the group as the offsets topic keeps it, with the shares given or, for nil, those the members have.
func (g *group) snapshot(shares map[string][]byte) *kmsg.GroupMetadataValue {
	v := kmsg.NewGroupMetadataValue()
	v.ProtocolType, v.Generation = g.protocolType, g.generation
	v.CurrentStateTimestamp = g.since.UnixMilli()
	if g.protocol != "" {
		v.Protocol = kmsg.StringPtr(g.protocol)
	}
	if g.leader != "" {
		v.Leader = kmsg.StringPtr(g.leader)
	}
	for _, m := range g.members {
		s := kmsg.NewGroupMetadataValueMember()
		s.MemberID, s.InstanceID, s.ClientID, s.ClientHost = m.id, m.instance, m.clientID, m.host
		s.RebalanceTimeoutMillis, s.SessionTimeoutMillis = int32(m.rebalance.Milliseconds()), int32(m.session.Milliseconds())
		s.Subscription, s.Assignment = m.metadata(g.protocol), m.assignment
		if shares != nil {
			s.Assignment = shares[m.id]
		}
		v.Members = append(v.Members, s)
	}
	return &v
}

// restore sets the group to what the offsets topic says; nil is an empty group.
func (g *group) restore(v *kmsg.GroupMetadataValue) {
	for _, m := range g.members {
		g.gs.bytes.Add(-int64(m.size))
	}
	g.members, g.static = make(map[string]*member), make(map[string]string)
	g.state, g.protocol, g.leader = groupEmpty, "", ""
	g.consumer = nil
	if v == nil {
		g.generation, g.protocolType = 0, ""
		return
	}
	g.generation, g.protocolType = v.Generation, v.ProtocolType
	if v.CurrentStateTimestamp > 0 {
		g.since = time.UnixMilli(v.CurrentStateTimestamp)
	}
	if len(v.Members) == 0 {
		return
	}
	g.state = groupStable
	if v.Protocol != nil {
		g.protocol = *v.Protocol
	}
	if v.Leader != nil {
		g.leader = *v.Leader
	}
	for i := range v.Members {
		s := &v.Members[i]
		g.joins++
		m := &member{
			id: s.MemberID, instance: s.InstanceID, clientID: s.ClientID, host: s.ClientHost,
			session:    time.Duration(s.SessionTimeoutMillis) * time.Millisecond,
			rebalance:  time.Duration(max(s.RebalanceTimeoutMillis, s.SessionTimeoutMillis)) * time.Millisecond,
			protocols:  []groupProtocol{{g.protocol, bytes.Clone(s.Subscription)}},
			assignment: bytes.Clone(s.Assignment),
			order:      g.joins,
			synced:     true,
		}
		if v.Version >= 1 {
			m.rebalance = time.Duration(s.RebalanceTimeoutMillis) * time.Millisecond
		}
		g.members[m.id] = m
		g.gs.weigh(m)
		if m.instance != nil {
			g.static[*m.instance] = m.id
		}
	}
}
