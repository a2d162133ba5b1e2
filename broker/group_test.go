package broker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// groupMember is a consumer that notes what it is assigned and what it gets.
type groupMember struct {
	cl   *kgo.Client
	stop context.CancelFunc
	done chan struct{}

	mu       sync.Mutex
	assigned map[int32]bool
	got      map[string]int
}

func startMember(t *testing.T, b *broker.Broker, group string, opts ...kgo.Opt) *groupMember {
	t.Helper()
	m := &groupMember{assigned: make(map[int32]bool), got: make(map[string]int), done: make(chan struct{})}
	change := func(to bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, p := range parts["flows"] {
				if to {
					m.assigned[p] = true
				} else {
					delete(m.assigned, p)
				}
			}
		}
	}
	m.cl = client(t, b, append([]kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeTopics("flows"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(time.Minute), kgo.HeartbeatInterval(50 * time.Millisecond), kgo.AutoCommitInterval(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}, opts...)...)
	ctx, cancel := context.WithCancel(t.Context())
	m.stop = cancel
	go func() {
		defer close(m.done)
		for ctx.Err() == nil {
			fetches := m.cl.PollFetches(ctx)
			m.mu.Lock()
			fetches.EachRecord(func(r *kgo.Record) { m.got[string(r.Value)]++ })
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-m.done
	})
	return m
}

func (m *groupMember) partitions() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.assigned))
}

// records counts the different values that members have got, each at least once.
func records(members ...*groupMember) int {
	all := make(map[string]bool)
	for _, m := range members {
		m.mu.Lock()
		for v := range m.got {
			all[v] = true
		}
		m.mu.Unlock()
	}
	return len(all)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("not within two minutes: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// TestRebalance has two consumers share the partitions, and one take over when the other leaves.
func TestRebalance(t *testing.T) {
	balancers := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	for name, balancer := range balancers {
		t.Run(name, func(t *testing.T) {
			b := open(t, testConfig(t))
			makeTopic(t, b, "flows")
			producer := client(t, b, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
			one := startMember(t, b, "g", kgo.Balancers(balancer))
			eventually(t, "one has all", func() bool { return len(one.partitions()) == 4 })
			produce(t, producer, "flows", "a", 100)
			eventually(t, "one gets all", func() bool { return records(one) == 100 })

			two := startMember(t, b, "g", kgo.Balancers(balancer))
			eventually(t, "they share", func() bool { return len(one.partitions()) == 2 && len(two.partitions()) == 2 })
			if both := append(one.partitions(), two.partitions()...); len(both) != 4 || len(slices.Compact(slices.Sorted(slices.Values(both)))) != 4 {
				t.Errorf("shares: %v", both)
			}
			produce(t, producer, "flows", "b", 100)
			eventually(t, "both get theirs", func() bool { return records(one, two) == 200 })
			if records(two) == 0 {
				t.Error("two got nothing")
			}
			if g := b.Stats().Groups; len(g) != 1 || g[0].Members != 2 || g[0].State != "Stable" {
				t.Errorf("stats: %+v", g)
			}

			one.stop()
			<-one.done
			one.cl.Close()
			eventually(t, "two takes over", func() bool { return len(two.partitions()) == 4 })
			produce(t, producer, "flows", "c", 100)
			eventually(t, "two gets the rest", func() bool { return records(one, two) == 300 })
		})
	}
}

// rawGroup is a group member by hand.
type rawGroup struct {
	*rawConn
	group string
}

func (g rawGroup) join(version int16, id string, instance *string, session time.Duration) *kmsg.JoinGroupResponse {
	g.t.Helper()
	g.sendJoin(version, id, instance, session, "m")
	return g.joined(version)
}

func (g rawGroup) sendJoin(version int16, id string, instance *string, session time.Duration, metadata string) {
	g.t.Helper()
	req := kmsg.NewPtrJoinGroupRequest()
	req.SetVersion(version)
	req.Group, req.MemberID, req.InstanceID, req.ProtocolType = g.group, id, instance, "consumer"
	req.SessionTimeoutMillis = int32(session.Milliseconds())
	req.RebalanceTimeoutMillis = 60_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte(metadata)
	req.Protocols = append(req.Protocols, p)
	g.send(req)
}

func (g rawGroup) joined(version int16) *kmsg.JoinGroupResponse {
	g.t.Helper()
	req := kmsg.NewPtrJoinGroupRequest()
	req.SetVersion(version)
	return g.receive(req, g.correlation).(*kmsg.JoinGroupResponse)
}

func (g rawGroup) sync(generation int32, id string, instance *string, shares map[string]string) *kmsg.SyncGroupResponse {
	g.t.Helper()
	req := kmsg.NewPtrSyncGroupRequest()
	req.SetVersion(3)
	req.Group, req.Generation, req.MemberID, req.InstanceID = g.group, generation, id, instance
	for member, share := range shares {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = member, []byte(share)
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return g.request(req).(*kmsg.SyncGroupResponse)
}

func (g rawGroup) heartbeat(generation int32, id string, instance *string) int16 {
	g.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.SetVersion(3)
	req.Group, req.Generation, req.MemberID, req.InstanceID = g.group, generation, id, instance
	return g.request(req).(*kmsg.HeartbeatResponse).ErrorCode
}

func (g rawGroup) commit(generation int32, id string, instance *string, offset int64) int16 {
	g.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.SetVersion(7)
	req.Group, req.Generation, req.MemberID, req.InstanceID = g.group, generation, id, instance
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = "flows"
	rp := kmsg.NewOffsetCommitRequestTopicPartition()
	rp.Offset = offset
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return g.request(req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
}

func (g rawGroup) committed() int64 {
	g.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.SetVersion(5)
	req.Group = g.group
	rt := kmsg.NewOffsetFetchRequestTopic()
	rt.Topic, rt.Partitions = "flows", []int32{0}
	req.Topics = append(req.Topics, rt)
	return g.request(req).(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0].Offset
}

// TestGroupByHand walks one member through the life of a group, with what goes wrong on the way.
func TestGroupByHand(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	g := rawGroup{rawDial(t, b), "g"}

	if r := g.join(5, "stranger", nil, time.Minute); r.ErrorCode != 25 {
		t.Errorf("join as a member of a group that is not there: error %d", r.ErrorCode)
	}
	if r := g.join(5, "", nil, time.Microsecond); r.ErrorCode != 26 {
		t.Errorf("join with no session timeout: error %d", r.ErrorCode)
	}
	r := g.join(5, "", nil, time.Minute)
	if r.ErrorCode != 79 || r.MemberID == "" {
		t.Fatalf("first join without a member id: %+v", r)
	}
	r = g.join(5, r.MemberID, nil, time.Minute)
	if r.ErrorCode != 0 || r.Generation != 1 || r.LeaderID != r.MemberID || len(r.Members) != 1 || string(r.Members[0].ProtocolMetadata) != "m" {
		t.Fatalf("join: %+v", r)
	}
	id := r.MemberID
	if code := g.commit(1, id, nil, 5); code != 27 {
		t.Errorf("commit before the assignment: error %d", code)
	}
	if code := g.sync(7, id, nil, nil).ErrorCode; code != 22 {
		t.Errorf("sync of another generation: error %d", code)
	}
	if r := g.sync(1, id, nil, map[string]string{id: "share"}); r.ErrorCode != 0 || string(r.MemberAssignment) != "share" {
		t.Fatalf("sync: %+v", r)
	}
	if r := g.sync(1, id, nil, nil); r.ErrorCode != 0 || string(r.MemberAssignment) != "share" {
		t.Errorf("sync again: %+v", r)
	}
	if code := g.heartbeat(1, id, nil); code != 0 {
		t.Errorf("heartbeat: error %d", code)
	}
	if code := g.heartbeat(2, id, nil); code != 22 {
		t.Errorf("heartbeat of another generation: error %d", code)
	}
	if code := g.heartbeat(1, "stranger", nil); code != 25 {
		t.Errorf("heartbeat of a stranger: error %d", code)
	}
	if code := g.commit(1, id, nil, 5); code != 0 {
		t.Errorf("commit: error %d", code)
	}
	if code := g.commit(-1, "", nil, 6); code != 25 {
		t.Errorf("commit from outside while there are members: error %d", code)
	}
	if got := g.committed(); got != 5 {
		t.Errorf("committed offset %d", got)
	}

	// Version 0 to 3 need no member id first, and a second member makes the first join again.
	second := rawGroup{rawDial(t, b), "g"}
	second.sendJoin(2, "", nil, time.Minute, "m2")
	eventually(t, "the first hears of the rebalance", func() bool { return g.heartbeat(1, id, nil) == 27 })
	if code := g.commit(1, id, nil, 7); code != 0 {
		t.Errorf("commit during the rebalance: error %d", code)
	}
	r = g.join(5, id, nil, time.Minute)
	r2 := second.joined(2)
	if r.Generation != 2 || r2.Generation != 2 || r.LeaderID != id || r2.LeaderID != id || len(r.Members) != 2 || len(r2.Members) != 0 {
		t.Fatalf("joined: %+v and %+v", r, r2)
	}
	waits := make(chan *kmsg.SyncGroupResponse)
	go func() { waits <- second.sync(2, r2.MemberID, nil, nil) }()
	if r := g.sync(2, id, nil, map[string]string{id: "a", r2.MemberID: "b"}); string(r.MemberAssignment) != "a" {
		t.Errorf("sync of the leader: %+v", r)
	}
	if r := <-waits; r.ErrorCode != 0 || string(r.MemberAssignment) != "b" {
		t.Errorf("sync of the follower: %+v", r)
	}

	// The group is the same after a restart.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	g = rawGroup{rawDial(t, b), "g"}
	second = rawGroup{rawDial(t, b), "g"}
	if code := g.heartbeat(2, id, nil); code != 0 {
		t.Errorf("heartbeat after the restart: error %d", code)
	}
	if r := second.sync(2, r2.MemberID, nil, nil); string(r.MemberAssignment) != "b" {
		t.Errorf("sync after the restart: %+v", r)
	}
	if got := g.committed(); got != 7 {
		t.Errorf("committed offset after the restart: %d", got)
	}

	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.SetVersion(3)
	leave.Group = "g"
	for _, member := range []string{id, "stranger", r2.MemberID} {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = member
		leave.Members = append(leave.Members, m)
	}
	l := g.request(leave).(*kmsg.LeaveGroupResponse)
	if l.ErrorCode != 0 || l.Members[0].ErrorCode != 0 || l.Members[1].ErrorCode != 25 || l.Members[2].ErrorCode != 0 {
		t.Errorf("leave: %+v", l)
	}
	if s := b.Stats().Groups; len(s) != 1 || s[0].State != "Empty" || s[0].Offsets != 1 {
		t.Errorf("groups at the end: %+v", s)
	}
	if code := g.commit(-1, "", nil, 9); code != 0 {
		t.Errorf("commit from outside: error %d", code)
	}
	if got := g.committed(); got != 9 {
		t.Errorf("committed offset from outside: %d", got)
	}
}

// TestSessionExpires has a member fall silent: the other one is told, and has the group for itself.
func TestSessionExpires(t *testing.T) {
	b := open(t, testConfig(t))
	one, two := rawGroup{rawDial(t, b), "g"}, rawGroup{rawDial(t, b), "g"}
	r1 := one.join(3, "", nil, time.Minute)
	two.sendJoin(3, "", nil, 300*time.Millisecond, "m")
	eventually(t, "one hears of two", func() bool { return one.heartbeat(1, r1.MemberID, nil) == 27 })
	r1 = one.join(3, r1.MemberID, nil, time.Minute)
	r2 := two.joined(3)
	if r1.Generation != 2 || r2.Generation != 2 {
		t.Fatalf("joined: %+v, %+v", r1, r2)
	}
	one.sync(2, r1.MemberID, nil, map[string]string{r1.MemberID: "a", r2.MemberID: "b"})
	two.sync(2, r2.MemberID, nil, nil)
	eventually(t, "one hears that two is gone", func() bool { return one.heartbeat(2, r1.MemberID, nil) == 27 })
	r1 = one.join(3, r1.MemberID, nil, time.Minute)
	if r1.Generation != 3 || len(r1.Members) != 1 {
		t.Errorf("joined again: %+v", r1)
	}
	if code := two.heartbeat(2, r2.MemberID, nil); code != 25 {
		t.Errorf("heartbeat of the expired: error %d", code)
	}
}

// TestStaticMember has a static member come back: it has its place again, and nobody else hears of it.
func TestStaticMember(t *testing.T) {
	b := open(t, testConfig(t))
	makeTopic(t, b, "flows")
	g := rawGroup{rawDial(t, b), "g"}
	name := "instance"
	r := g.join(9, "", &name, time.Minute)
	if r.ErrorCode != 0 || r.Generation != 1 {
		t.Fatalf("join: %+v", r)
	}
	g.sync(1, r.MemberID, &name, map[string]string{r.MemberID: "share"})

	back := rawGroup{rawDial(t, b), "g"}
	again := back.join(9, "", &name, time.Minute)
	if again.ErrorCode != 0 || again.Generation != 1 || again.MemberID == r.MemberID || !again.SkipAssignment || len(again.Members) != 1 {
		t.Fatalf("join again: %+v", again)
	}
	if r := back.sync(1, again.MemberID, &name, nil); string(r.MemberAssignment) != "share" {
		t.Errorf("sync again: %+v", r)
	}
	if code := g.heartbeat(1, r.MemberID, &name); code != 82 {
		t.Errorf("heartbeat of the one before: error %d", code)
	}
	if code := g.commit(1, r.MemberID, &name, 3); code != 82 {
		t.Errorf("commit of the one before: error %d", code)
	}
	old := back.join(5, "", &name, time.Minute)
	if old.Generation != 1 || old.LeaderID == old.MemberID || len(old.Members) != 0 {
		t.Errorf("a client that knows no skipping takes itself for the leader: %+v", old)
	}
	// With another subscription everybody has to join.
	changed := rawGroup{rawDial(t, b), "g"}
	changed.sendJoin(9, "", &name, time.Minute, "other")
	if r := changed.joined(9); r.Generation != 2 || r.LeaderID != r.MemberID || r.SkipAssignment {
		t.Errorf("join with another subscription: %+v", r)
	}
}

func TestInitialRebalanceDelay(t *testing.T) {
	cfg := testConfig(t)
	cfg.GroupInitialRebalanceDelay = 200 * time.Millisecond
	b := open(t, cfg)
	members := make([]rawGroup, 3)
	for i := range members {
		members[i] = rawGroup{rawDial(t, b), "g"}
		members[i].sendJoin(3, "", nil, time.Minute, "m")
	}
	for i, m := range members {
		if r := m.joined(3); r.Generation != 1 || r.ErrorCode != 0 {
			t.Errorf("member %d: %+v", i, r)
		}
	}
}

func TestGroupLimits(t *testing.T) {
	cfg := testConfig(t)
	cfg.GroupMaxSize, cfg.MaxGroups = 2, 2
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	// Ids that were given out and not used are nobody's place.
	for i := range 3 {
		if r := (rawGroup{rawDial(t, b), "g"}).join(5, "", nil, time.Minute); r.ErrorCode != 79 {
			t.Errorf("member %d: error %d", i, r.ErrorCode)
		}
	}
	for i, want := range []int16{0, 44} {
		if code := (rawGroup{rawDial(t, b), fmt.Sprintf("g%d", i)}).commit(-1, "", nil, 1); code != want {
			t.Errorf("group %d: error %d, want %d", i, code, want)
		}
	}
}

// A full group takes nobody more, of either protocol. Who joins again has a place, as long as it is not the last of too many
// to come back.
func TestGroupIsFull(t *testing.T) {
	cfg := testConfig(t)
	cfg.GroupMaxSize, cfg.GroupConsumerMaxSize = 2, 2
	cfg.GroupConsumerMigrationPolicy = broker.MigrateNone
	b := open(t, cfg)
	one, two, three := rawGroup{rawDial(t, b), "g"}, rawGroup{rawDial(t, b), "g"}, rawGroup{rawDial(t, b), "g"}
	first := one.join(3, "", nil, time.Minute)
	two.sendJoin(3, "", nil, time.Minute, "m")
	cl := client(t, b)
	eventually(t, "the second to wait for the first", func() bool { return groupType(t, cl, "g") == "classic PreparingRebalance" })
	// The first is not there again: its place is free.
	three.sendJoin(3, "", nil, time.Minute, "m")
	eventually(t, "the third to wait too", func() bool { return len(classicMembers(t, cl, "g")) == 3 })
	if r := (rawGroup{rawDial(t, b), "g"}).join(3, "", nil, time.Minute); r.ErrorCode != 81 {
		t.Errorf("a fourth: error %d", r.ErrorCode)
	}
	if r := one.join(3, first.MemberID, nil, time.Minute); r.ErrorCode != 81 {
		t.Errorf("the first, too late: error %d", r.ErrorCode)
	}
	second, third := two.joined(3), three.joined(3)
	if second.ErrorCode != 0 || third.ErrorCode != 0 || second.Generation != 2 || third.Generation != 2 {
		t.Errorf("the others: %+v, %+v", second, third)
	}
	if r := (rawGroup{rawDial(t, b), "g"}).join(3, "", nil, time.Minute); r.ErrorCode != 81 {
		t.Errorf("one more: error %d", r.ErrorCode)
	}
	two.sendJoin(3, second.MemberID, nil, time.Minute, "other")
	three.sendJoin(3, third.MemberID, nil, time.Minute, "other")
	if r := two.joined(3); r.ErrorCode != 0 {
		t.Errorf("one of two again: error %d", r.ErrorCode)
	}

	c := mixedGroup{t: t, b: b, cl: cl, group: "next"}
	for i, want := range []int16{0, 0, 81} {
		resp := c.consumerHeartbeat(fmt.Sprintf("m%d", i), 0, nil)
		if resp.ErrorCode != want {
			t.Errorf("consumer %d: error %d", i, resp.ErrorCode)
		}
		if want != 0 && (resp.ErrorMessage == nil || !strings.Contains(*resp.ErrorMessage, "2 members")) {
			t.Errorf("consumer %d is told %v", i, resp.ErrorMessage)
		}
	}
}

// classicMembers are the members of a classic group.
func classicMembers(t *testing.T, cl *kgo.Client, group string) []kmsg.DescribeGroupsResponseGroupMember {
	t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	resp, err := req.RequestWith(deadline(t), cl)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Groups[0].Members
}

// A static member that comes back under its instance id, of either kind of group, needs no room beside what it has.
func TestGroupMemoryOfReturning(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxGroupBytes = 300 << 10
	b := open(t, cfg)
	large, instance := strings.Repeat("m", 200<<10), "one"
	for i := range 3 {
		m := rawGroup{rawDial(t, b), "g"}
		m.sendJoin(5, "", &instance, time.Minute, large)
		if r := m.joined(5); r.ErrorCode != 0 {
			t.Fatalf("join %d: error %d", i, r.ErrorCode)
		}
	}
	m := rawGroup{rawDial(t, b), "g"}
	m.sendJoin(5, "", nil, time.Minute, large)
	if r := m.joined(5); r.ErrorCode != 81 {
		t.Errorf("another: error %d", r.ErrorCode)
	}

	cfg = testConfig(t)
	cfg.MaxGroupBytes = 300 << 10
	b = open(t, cfg)
	c := mixedGroup{t: t, b: b, cl: client(t, b), group: "mixed"}
	c.beat("next", 0, 0)
	md := kmsg.NewConsumerMemberMetadata()
	md.Version, md.Topics, md.UserData = 1, []string{"flows"}, []byte(large)
	for i, want := range []int16{0, 0, 0, 81} {
		req := c.joinRequest("")
		if req.Protocols[0].Metadata = md.AppendTo(nil); want == 0 {
			req.InstanceID = &instance
		}
		if resp, err := req.RequestWith(deadline(t), c.cl); err != nil || resp.ErrorCode != want {
			t.Errorf("join %d of a group of the other kind: %+v, %v; want error %d", i, resp, err, want)
		}
	}
}

// TestGroupMemory fills the memory for groups: what does not fit is refused, what goes makes room.
func TestGroupMemory(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxGroupBytes = 300 << 10
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	large := strings.Repeat("m", 200<<10)
	one, two := rawGroup{rawDial(t, b), "one"}, rawGroup{rawDial(t, b), "two"}
	one.sendJoin(3, "", nil, time.Minute, large)
	r := one.joined(3)
	if r.ErrorCode != 0 {
		t.Fatalf("join: error %d", r.ErrorCode)
	}
	two.sendJoin(3, "", nil, time.Minute, large)
	if r := two.joined(3); r.ErrorCode != 81 {
		t.Errorf("join beyond the memory: error %d", r.ErrorCode)
	}
	if r := one.sync(1, r.MemberID, nil, map[string]string{r.MemberID: large}); r.ErrorCode != 81 {
		t.Errorf("assignment beyond the memory: error %d", r.ErrorCode)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = "one", r.MemberID
	if r := one.request(leave).(*kmsg.LeaveGroupResponse); r.ErrorCode != 0 {
		t.Fatalf("leave: error %d", r.ErrorCode)
	}
	two.sendJoin(3, "", nil, time.Minute, large)
	if r := two.joined(3); r.ErrorCode != 0 {
		t.Errorf("join when there is room again: error %d", r.ErrorCode)
	}
}

// TestSubscriptionGrows fills the memory for groups by the subscription of a member that is one already.
func TestSubscriptionGrows(t *testing.T) {
	cfg := consumerConfig(t)
	cfg.MaxGroupBytes = 100 << 10
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	m := &rawMember{t: t, cl: client(t, b), id: "m"}
	if r := m.heartbeat(nil); r.ErrorCode != 0 {
		t.Fatalf("join: %+v", r)
	}
	many := func(n int) func(*kmsg.ConsumerGroupHeartbeatRequest) {
		return func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.SubscribedTopicNames = []string{"flows"}
			for i := range n {
				r.SubscribedTopicNames = append(r.SubscribedTopicNames, fmt.Sprintf("%0200d", i))
			}
		}
	}
	for _, c := range []struct {
		names int
		want  int16
	}{{300, 0}, {500, 81}, {301, 0}, {0, 0}, {302, 0}} {
		if r := m.heartbeat(many(c.names)); r.ErrorCode != c.want {
			t.Errorf("%d names: error %d, want %d", c.names, r.ErrorCode, c.want)
		}
	}
	if d := describeNext(t, m.cl, "g"); len(d.Members) != 1 || len(d.Members[0].SubscribedTopics) != 303 {
		t.Errorf("%d names are kept", len(d.Members[0].SubscribedTopics))
	}
}

func TestGroupAdmin(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	makeTopic(t, b, "other")
	adm := kadm.NewClient(client(t, b))
	ctx := deadline(t)
	offsets := kadm.Offsets{}
	offsets.AddOffset("flows", 0, 10, -1)
	offsets.AddOffset("other", 1, 20, -1)
	if err := adm.CommitAllOffsets(ctx, "g", offsets); err != nil {
		t.Fatal(err)
	}
	has := func(topic string, partition int32, want int64) {
		t.Helper()
		got, err := adm.FetchOffsets(ctx, "g")
		if err != nil {
			t.Fatal(err)
		}
		o, ok := got.Lookup(topic, partition)
		if want < 0 && ok || want >= 0 && o.At != want {
			t.Errorf("%s-%d: %+v, want %d", topic, partition, o, want)
		}
	}
	has("flows", 0, 10)
	has("other", 1, 20)

	listed, err := adm.ListGroups(ctx)
	if err != nil || listed["g"].State != "Empty" {
		t.Errorf("list: %+v, %v", listed, err)
	}
	described, err := adm.DescribeGroups(ctx, "g", "none")
	if err != nil || described["g"].State != "Empty" || described["none"].Err == nil && described["none"].State != "Dead" {
		t.Errorf("describe: %+v, %v", described, err)
	}

	if _, err := adm.DeleteOffsets(ctx, "g", kadm.TopicsSet{"flows": {0: {}}}); err != nil {
		t.Fatal(err)
	}
	has("flows", 0, -1)
	if _, err := adm.DeleteTopic(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	has("other", 1, -1)
	if err := adm.CommitAllOffsets(ctx, "g", func() kadm.Offsets { o := kadm.Offsets{}; o.AddOffset("flows", 2, 5, -1); return o }()); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteGroup(ctx, "g"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.DeleteGroup(ctx, "g"); err == nil {
		t.Error("deleted twice")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	adm = kadm.NewClient(client(t, b))
	if listed, err := adm.ListGroups(ctx); err != nil || len(listed) != 0 {
		t.Errorf("groups after deletion and restart: %+v, %v", listed, err)
	}
	has("flows", 2, -1)

	// A group with members cannot be deleted.
	m := startMember(t, b, "alive")
	eventually(t, "the member has partitions", func() bool { return len(m.partitions()) == 4 })
	if _, err := adm.DeleteGroup(ctx, "alive"); err == nil {
		t.Error("a group with members was deleted")
	}
}

// TestOffsetsTopicIsOwn has nobody write to it or delete it.
func TestOffsetsTopicIsOwn(t *testing.T) {
	b := open(t, testConfig(t))
	cl := client(t, b)
	ctx := deadline(t)
	if _, err := kadm.NewClient(cl).DescribeGroups(ctx, "g"); err != nil { // whoever looks for a coordinator makes the topic
		t.Fatal(err)
	}
	makeTopic(t, b, "__consumer_offsets")
	res := cl.ProduceSync(ctx, &kgo.Record{Topic: "__consumer_offsets", Value: []byte("x")})
	if res.FirstErr() == nil || errors.Is(res.FirstErr(), context.DeadlineExceeded) {
		t.Errorf("a client wrote to it: %v", res.FirstErr())
	}
	if _, err := kadm.NewClient(cl).DeleteTopic(ctx, "__consumer_offsets"); err == nil {
		t.Error("it was deleted")
	}
}
