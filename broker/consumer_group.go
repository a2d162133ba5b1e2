package broker

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The consumer group of KIP-848: the broker assigns. The group epoch counts changes of members, subscriptions and topics; for
// each there is a target assignment, and every member is brought to it by its own heartbeats. It first gives up what it is to
// lose, then takes what others have given up:
//
//	stable --new target--> unrevoked --has given up--> unreleased --others have given up--> stable
//
// A partition is with one member at a time: it is free for the next only when a heartbeat of the former no longer names it.

// memberState is where a member stands on its way to the target; the numbers are Kafka's, they are in its records.
type memberState int8

const (
	memberStable     memberState = 0
	memberUnrevoked  memberState = 1 // has partitions to give up
	memberUnreleased memberState = 2 // waits for partitions that others have
)

// assignment is partitions by topic id, each list sorted and none empty.
type assignment map[[16]byte][]int32

// topicIDPartition names a partition for good.
type topicIDPartition struct {
	id        [16]byte
	partition int32
}

// consumerGroup is what a group of this kind has beside its offsets.
type consumerGroup struct {
	epoch       int32
	targetEpoch int32
	target      map[string]assignment // by member id
	members     map[string]*consumerMember
	static      map[string]string // group.instance.id to member id
	holders     map[topicIDPartition]holder
	topics      map[string]int // topics subscribed to by anybody and their numbers of partitions, as of epoch
	changes     uint64         // of the registry of topics when these were looked at
}

// holder is who has a partition, and since which epoch of that member.
type holder struct {
	member string
	since  int32
}

// consumerMember is one member of it.
type consumerMember struct {
	id        string
	instance  *string
	rack      *string
	clientID  string
	host      string
	names     []string // topics subscribed to, sorted
	pattern   string
	regex     *regexp.Regexp          // of pattern
	sees      func(topic string) bool // whether a topic that matches may be described to it; nil: any
	assignor  string
	rebalance time.Duration
	epoch     int32
	previous  int32 // epoch before that: an answer with epoch may have been lost
	state     memberState
	assigned  assignment
	revoking  assignment     // to be given up
	classic   *classicMember // of a member of the classic protocol, else nil
	size      int            // as weighed
	session   *time.Timer
	deadline  time.Time
	timer     *time.Timer // by when it has to have taken the next step
}

// Epochs of members that are none.
const (
	epochLeave       = -1
	epochLeaveStatic = -2 // and may come back before the session ends
)

func newConsumerGroup() *consumerGroup {
	return &consumerGroup{
		target:  make(map[string]assignment),
		members: make(map[string]*consumerMember),
		static:  make(map[string]string),
		holders: make(map[topicIDPartition]holder),
	}
}

// consumerState is the state of a group by its members and epochs.
func (cg *consumerGroup) consumerState() groupState {
	if len(cg.members) == 0 {
		return groupEmpty
	}
	if cg.epoch > cg.targetEpoch {
		return groupAssigning
	}
	for _, m := range cg.members {
		if m.state != memberStable || m.epoch != cg.targetEpoch {
			return groupReconciling
		}
	}
	return groupStable
}

// subscribes says whether a member wants a topic.
func (m *consumerMember) subscribes(name string) bool {
	if _, ok := slices.BinarySearch(m.names, name); ok {
		return true
	}
	return m.regex != nil && m.regex.MatchString(name) && (m.sees == nil || m.sees(name))
}

// subscribed lists what anybody subscribes to, as far as it is there.
func (g *group) subscribedTopics() map[string]int {
	topics := make(map[string]int)
	patterns := false
	for _, m := range g.consumer.members {
		for _, name := range m.names {
			if t := g.gs.b.topics.get(name); t != nil {
				topics[name] = len(t.partitions())
			}
		}
		patterns = patterns || m.regex != nil
	}
	if !patterns {
		return topics
	}
	for _, t := range g.gs.b.topics.list() {
		for _, m := range g.consumer.members {
			if m.regex != nil && m.subscribes(t.name) {
				topics[t.name] = len(t.partitions())
				break
			}
		}
	}
	return topics
}

// noticeTopics says whether topics came, went or grew that somebody subscribes to.
func (g *group) noticeTopics(subscriptions bool) bool {
	cg := g.consumer
	changes := g.gs.b.topics.changes.Load()
	if !subscriptions && changes == cg.changes {
		return false
	}
	cg.changes = changes
	topics := g.subscribedTopics()
	if maps.Equal(topics, cg.topics) {
		return false
	}
	cg.topics = topics
	return true
}

// retarget makes the target assignment of the group's epoch, and returns the records that say so.
func (g *group) retarget() []record {
	cg := g.consumer
	a := assigning{members: slices.SortedFunc(maps.Values(cg.members), func(a, b *consumerMember) int { return strings.Compare(a.id, b.id) }), had: cg.target}
	for _, name := range slices.Sorted(maps.Keys(cg.topics)) {
		if t := g.gs.b.topics.get(name); t != nil {
			a.topics = append(a.topics, assignedTopic{id: t.id, name: name, partitions: int32(len(t.partitions()))})
		}
	}
	target := consumerAssignors[cg.assignor()](&a)
	var records []record
	for id, had := range cg.target {
		if _, there := cg.members[id]; !there {
			records = append(records, targetMemberRecord(g.id, id, nil))
		} else if len(target[id]) == 0 && len(had) > 0 {
			records = append(records, targetMemberRecord(g.id, id, assignment{}))
		}
	}
	for id, want := range target {
		if !want.equal(cg.target[id]) {
			records = append(records, targetMemberRecord(g.id, id, want))
		}
	}
	cg.target, cg.targetEpoch = target, cg.epoch
	return append(records, targetRecord(g.id, cg.targetEpoch))
}

// assignor is the one most members ask for; of those that nobody prefers, the first.
func (cg *consumerGroup) assignor() string {
	votes := make(map[string]int)
	for _, m := range cg.members {
		if m.assignor != "" {
			votes[m.assignor]++
		}
	}
	best := assignorUniform
	for name, n := range votes {
		if n > votes[best] || n == votes[best] && name > best {
			best = name
		}
	}
	return best
}

// reconcile moves a member on towards its target. owned is what it says it has; nil says nothing. It returns whether anything
// has changed.
func (g *group) reconcile(m *consumerMember, owned assignment) bool {
	cg := g.consumer
	switch m.state {
	case memberStable:
		if m.epoch == cg.targetEpoch {
			return false
		}
	case memberUnrevoked:
		if owned == nil || owned.intersects(m.revoking) {
			return false
		}
	}
	want := cg.target[m.id]
	keep := m.assigned.and(want)
	revoking := m.assigned.without(keep)
	free, taken := assignment{}, false
	for id, partitions := range want {
		for _, p := range partitions {
			if keep.has(id, p) {
				continue
			}
			if h, held := cg.holders[topicIDPartition{id, p}]; held && h.member != m.id {
				taken = true
				continue
			}
			free[id] = append(free[id], p)
		}
	}
	was := *m
	switch {
	case len(revoking) > 0 && (owned == nil || owned.intersects(revoking)):
		m.state, m.assigned, m.revoking = memberUnrevoked, keep, revoking
	default:
		m.assigned, m.revoking = keep.or(free), nil
		m.state = memberStable
		if taken {
			m.state = memberUnreleased
		}
		if m.epoch != cg.targetEpoch {
			m.previous, m.epoch = m.epoch, cg.targetEpoch
		}
	}
	if m.state == was.state && m.epoch == was.epoch && m.assigned.equal(was.assigned) && m.revoking.equal(was.revoking) {
		return false
	}
	was.assigned, was.revoking = was.assigned.or(was.revoking).without(m.assigned.or(m.revoking)), nil
	cg.release(&was)
	cg.hold(m)
	g.watchRevocation(m)
	return true
}

// hold notes what a member has, and release that it no longer does.
func (cg *consumerGroup) hold(m *consumerMember) {
	for _, a := range []assignment{m.assigned, m.revoking} {
		for id, partitions := range a {
			for _, p := range partitions {
				if tp := (topicIDPartition{id, p}); cg.holders[tp].member != m.id {
					cg.holders[tp] = holder{m.id, m.epoch}
				}
			}
		}
	}
}

func (cg *consumerGroup) release(m *consumerMember) {
	for _, a := range []assignment{m.assigned, m.revoking} {
		for id, partitions := range a {
			for _, p := range partitions {
				if cg.holders[topicIDPartition{id, p}].member == m.id {
					delete(cg.holders, topicIDPartition{id, p})
				}
			}
		}
	}
}

// watchRevocation gives a member its rebalance timeout to give up what it is to lose. One of the classic protocol is given
// time for each of its steps instead.
func (g *group) watchRevocation(m *consumerMember) {
	if m.classic != nil {
		return
	}
	m.stopTime()
	if m.state == memberUnrevoked {
		g.giveTime(m)
	}
}

// giveTime gives a member its rebalance timeout from now on for the next step; giveTimeOnce does when it has none yet.
func (g *group) giveTime(m *consumerMember) {
	m.stopTime()
	var timer *time.Timer
	timer = time.AfterFunc(m.rebalance, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.state == groupDead || g.consumer == nil || g.consumer.members[m.id] != m || m.timer != timer {
			return
		}
		g.gs.b.log.Info("consumer did not go on with a rebalance in time", "group", g.id, "member", m.id)
		g.fence(m)
	})
	m.timer = timer
}

func (g *group) giveTimeOnce(m *consumerMember) {
	if m.timer == nil {
		g.giveTime(m)
	}
}

func (m *consumerMember) stopTime() {
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

// consumerAlive notes a sign of life.
func (g *group) consumerAlive(m *consumerMember) {
	session := g.gs.b.groupConfigs.session(g.id)
	if m.classic != nil {
		session = m.classic.session
	}
	m.deadline = time.Now().Add(session)
	if m.session == nil {
		m.session = time.AfterFunc(session, func() { g.consumerExpires(m) })
		return
	}
	m.session.Reset(session)
}

func (g *group) consumerExpires(m *consumerMember) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == groupDead || g.consumer == nil || g.consumer.members[m.id] != m {
		return
	}
	if left := time.Until(m.deadline); left > 0 {
		m.session.Reset(left)
		return
	}
	g.gs.b.log.Debug("group member expires", "group", g.id, "member", m.id)
	g.fence(m)
}

// fence removes members, those that broke a promise or were removed by somebody else. They learn so from their next heartbeat.
func (g *group) fence(members ...*consumerMember) {
	if _, err := g.gs.remember(g.id, g.dropConsumers(members...)); err != nil {
		g.gs.b.log.Warn("group state not saved", "group", g.id, "err", err)
	}
}

// dropConsumers takes members out and returns the records that say so. With the last that needs it the group ceases to be of
// this kind.
func (g *group) dropConsumers(members ...*consumerMember) []record {
	cg := g.consumer
	var records []record
	for _, m := range members {
		cg.release(m)
		m.stop()
		delete(cg.members, m.id)
		delete(cg.target, m.id)
		if m.instance != nil && cg.static[*m.instance] == m.id {
			delete(cg.static, *m.instance)
		}
		g.gs.bytes.Add(-int64(m.size))
		m.size = 0
		records = append(records, consumerTombstones(g.id, m.id)...)
	}
	if g.mayDowngrade() {
		return append(records, g.downgrade()...)
	}
	cg.topics = g.subscribedTopics()
	cg.epoch++
	g.settle()
	return append(records, consumerGroupRecord(g.id, &cg.epoch))
}

func (m *consumerMember) stop() {
	if m.session != nil {
		m.session.Stop()
	}
	m.stopTime()
}

// settle brings the group's state in line with its members.
func (g *group) settle() {
	if s := g.consumer.consumerState(); s != g.state {
		g.enter(s)
	}
}

// namesBytes is what a list of topics takes, about.
func namesBytes(names []string) int {
	size := 16 * len(names)
	for _, n := range names {
		size += len(n)
	}
	return size
}

// weighConsumer notes what a member takes now.
func (gs *groups) weighConsumer(m *consumerMember) {
	size := memberBytes + len(m.pattern)
	if m.classic != nil {
		for _, p := range m.classic.protocols {
			size += len(p.name) + len(p.metadata)
		}
	}
	size += namesBytes(m.names)
	for _, a := range []assignment{m.assigned, m.revoking} {
		for _, partitions := range a {
			size += 64 + 64*len(partitions) // and the holders of each
		}
	}
	gs.bytes.Add(int64(size - m.size))
	m.size = size
}

// leaveKind forgets what an empty group was, so that it can become one of the other kind. It returns the records that say so.
func (g *group) leaveKind() []record {
	if g.consumer != nil {
		g.consumer = nil
		g.protocolType, g.generation = "", 0
		return []record{targetRecord(g.id, -1), consumerGroupRecord(g.id, nil)}
	}
	if g.protocolType == "" && g.generation == 0 {
		return nil
	}
	g.protocolType, g.protocol, g.leader, g.generation = "", "", "", 0
	return []record{groupRecord(g.id, nil)}
}

func (a assignment) has(id [16]byte, partition int32) bool {
	_, ok := slices.BinarySearch(a[id], partition)
	return ok
}

func (a assignment) intersects(b assignment) bool {
	for id, partitions := range a {
		if slices.ContainsFunc(partitions, func(p int32) bool { return b.has(id, p) }) {
			return true
		}
	}
	return false
}

// within says whether b has all of a.
func (a assignment) within(b assignment) bool {
	for id, partitions := range a {
		if slices.ContainsFunc(partitions, func(p int32) bool { return !b.has(id, p) }) {
			return false
		}
	}
	return true
}

func (a assignment) equal(b assignment) bool {
	return maps.EqualFunc(a, b, slices.Equal[[]int32])
}

func (a assignment) and(b assignment) assignment {
	return a.filter(func(id [16]byte, p int32) bool { return b.has(id, p) })
}

func (a assignment) without(b assignment) assignment {
	return a.filter(func(id [16]byte, p int32) bool { return !b.has(id, p) })
}

func (a assignment) filter(keep func([16]byte, int32) bool) assignment {
	out := assignment{}
	for id, partitions := range a {
		for _, p := range partitions {
			if keep(id, p) {
				out[id] = append(out[id], p)
			}
		}
	}
	return out
}

func (a assignment) or(b assignment) assignment {
	out := assignment{}
	for _, from := range []assignment{a, b} {
		for id, partitions := range from {
			out[id] = append(slices.Clone(out[id]), partitions...)
		}
	}
	for id, partitions := range out {
		slices.Sort(partitions)
		out[id] = slices.Compact(partitions)
	}
	return out
}
