package broker_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// groupType is the type and state of a group as it is listed.
func groupType(t *testing.T, cl *kgo.Client, group string) string {
	t.Helper()
	resp, err := kmsg.NewPtrListGroupsRequest().RequestWith(deadline(t), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range resp.Groups {
		if g.Group == group {
			return g.GroupType + " " + g.GroupState
		}
	}
	return "none"
}

// sharing says whether members have n partitions among them, each once and everybody some.
func sharing(n int, members ...*groupMember) func() bool {
	return func() bool {
		seen := make(map[int32]bool)
		for _, m := range members {
			parts := m.partitions()
			if len(parts) == 0 {
				return false
			}
			for _, p := range parts {
				if seen[p] {
					return false
				}
				seen[p] = true
			}
		}
		return len(seen) == n
	}
}

func leave(m *groupMember) {
	m.stop()
	<-m.done
	m.cl.Close()
}

// A group goes from the classic protocol to KIP-848's and back while its consumers read, one after the other replaced; each
// protocol's members have partitions while both are there, and every record is read.
func TestMigrationOfGroupInUse(t *testing.T) {
	cooperative, eager := kgo.CooperativeStickyBalancer(), kgo.RangeBalancer()
	for _, tt := range []struct {
		name     string
		balancer kgo.GroupBalancer
		opts     []kgo.Opt
	}{
		{"cooperative", cooperative, nil},
		{"eager", eager, nil},
		{"static", cooperative, []kgo.Opt{kgo.InstanceID("first")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := open(t, consumerConfig(t))
			adm, cl := kadm.NewClient(client(t, b)), client(t, b)
			if _, err := adm.CreateTopic(deadline(t), 6, 1, nil, "flows"); err != nil {
				t.Fatal(err)
			}
			classic := startMember(t, b, "g", append(tt.opts, kgo.Balancers(tt.balancer))...)
			eventually(t, "the classic member to have all", sharing(6, classic))
			produce(t, cl, "flows", "a", 60)
			next := nextMember(t, b, "g")
			eventually(t, "both to share", sharing(6, classic, next))
			if got := groupType(t, cl, "g"); !strings.HasPrefix(got, "consumer") {
				t.Errorf("with one of each the group is %s", got)
			}
			produce(t, cl, "flows", "b", 60)
			other := startMember(t, b, "g", kgo.Balancers(tt.balancer))
			eventually(t, "three to share", sharing(6, classic, next, other))
			produce(t, cl, "flows", "c", 60)
			eventually(t, "all to have come to the target", func() bool { return groupType(t, cl, "g") == "consumer Stable" })
			d := describeNext(t, cl, "g")
			types := make(map[int8]int)
			for _, m := range d.Members {
				types[m.MemberType]++
			}
			if types[0] != 2 || types[1] != 1 {
				t.Errorf("%d classic members and %d others: %+v", types[0], types[1], d)
			}
			eventually(t, "all records so far", func() bool { return records(classic, next, other) == 180 })
			leave(next)
			eventually(t, "the group to be classic again", func() bool { return groupType(t, cl, "g") == "classic Stable" })
			eventually(t, "two to share", sharing(6, classic, other))
			produce(t, cl, "flows", "d", 60)
			eventually(t, "all records", func() bool { return records(classic, next, other) == 240 })
		})
	}
}

// Each policy has groups in use change their kind in the directions it names, and empty groups in both.
func TestMigrationPolicy(t *testing.T) {
	for _, tt := range []struct {
		policy   broker.MigrationPolicy
		up, down bool
	}{
		{broker.MigrateBoth, true, true},
		{broker.MigrateUpgrade, true, false},
		{broker.MigrateDowngrade, false, true},
		{broker.MigrateNone, false, false},
	} {
		t.Run(tt.policy.String(), func(t *testing.T) {
			cfg := consumerConfig(t)
			cfg.GroupConsumerMigrationPolicy = tt.policy
			b := open(t, cfg)
			c := mixedGroup{t: t, b: b, cl: client(t, b), group: "g"}
			member, generation := c.join("")
			c.sync(member, generation, 0)
			id := "next-member"
			if tt.up {
				c.beat(id, 0, 0)
			} else {
				c.beat(id, 0, kerr.GroupIDNotFound.Code)
				c.leave(member)
				c.beat(id, 0, 0) // the group is empty
				member, generation = c.join("")
				c.sync(member, generation, 0)
			}
			if got := groupType(t, c.cl, "g"); !strings.HasPrefix(got, "consumer") {
				t.Errorf("the group is %s", got)
			}
			c.beat(id, -1, 0)
			kind := "consumer"
			if tt.down {
				kind = "classic"
			}
			if got := groupType(t, c.cl, "g"); !strings.HasPrefix(got, kind) {
				t.Errorf("without members of KIP-848 the group is %s, want %s", got, kind)
			}
			c.leave(member)
			if got := groupType(t, c.cl, "g"); got != kind+" Empty" {
				t.Errorf("with nobody left the group is %s", got)
			}
			member, _ = c.join("")
			if got := groupType(t, c.cl, "g"); !strings.HasPrefix(got, "classic") {
				t.Errorf("a classic member came, and the group is %s", got)
			}
			c.leave(member)
		})
	}
}

// A member of the classic protocol in a group of KIP-848 gets the answers it knows: it is called back to join when the epoch
// goes up, refused with a generation that is past, and commits with the one that it has.
func TestClassicMemberAnswers(t *testing.T) {
	b := open(t, consumerConfig(t))
	c := mixedGroup{t: t, b: b, cl: client(t, b), group: "g"}
	if _, err := kadm.NewClient(c.cl).CreateTopic(deadline(t), 4, 1, nil, "flows"); err != nil {
		t.Fatal(err)
	}
	c.beat("next", 0, 0)
	classic, generation := c.join("")
	if got := c.sync(classic, generation, 0); len(got) != 0 {
		t.Errorf("it has %v before the other has given anything up", got)
	}
	c.heartbeat(classic, generation, 0)
	c.heartbeat(classic, generation-1, kerr.IllegalGeneration.Code)
	c.heartbeat("nobody", generation, kerr.UnknownMemberID.Code)
	c.heartbeat("next", generation, kerr.UnknownMemberID.Code)
	c.sync(classic, generation+1, kerr.IllegalGeneration.Code)
	// The other learns what it is to give up, and has.
	id := topicID(t, c.cl, "flows")
	epoch, share := c.beatWith("next", 2, id, 0, 1, 2, 3)
	epoch, share = c.beatWith("next", epoch, id, share...)
	if len(share) != 2 || epoch != generation {
		t.Fatalf("the other has %v in epoch %d of %d", share, epoch, generation)
	}
	c.heartbeat(classic, generation, kerr.RebalanceInProgress.Code)
	if again, g := c.join(classic); again != classic || g != generation {
		t.Errorf("joined as %s in %d", again, g)
	}
	if got := c.sync(classic, generation, 0); len(got) != 2 {
		t.Errorf("it has %v", got)
	}
	c.heartbeat(classic, generation, 0)
	c.commit(classic, generation-1, kerr.IllegalGeneration.Code)
	c.commit(classic, generation, 0)
	// Nobody may take its place without the instance id that it does not have, and no other kind of member.
	req := c.joinRequest("")
	req.ProtocolType = "connect"
	if resp, err := req.RequestWith(deadline(t), c.cl); err != nil || resp.ErrorCode != kerr.InconsistentGroupProtocol.Code {
		t.Errorf("join of another protocol type: %+v, %v", resp, err)
	}
	req = c.joinRequest("")
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "other", Metadata: req.Protocols[0].Metadata}}
	if resp, err := req.RequestWith(deadline(t), c.cl); err != nil || resp.ErrorCode != kerr.InconsistentGroupProtocol.Code {
		t.Errorf("join with a protocol that the other classic member does not know: %+v, %v", resp, err)
	}
}

// A static member goes from one protocol to the other and back under its instance id, which takes no room for one more.
func TestStaticMemberMigrates(t *testing.T) {
	cfg := consumerConfig(t)
	cfg.GroupMaxSize, cfg.GroupConsumerMaxSize = 1, 1
	b := open(t, cfg)
	c := mixedGroup{t: t, b: b, cl: client(t, b), group: "g", instance: kmsg.StringPtr("one")}
	first, generation := c.join("")
	c.sync(first, generation, 0)
	stranger := mixedGroup{t: t, b: b, cl: c.cl, group: "g"}
	stranger.beat("two", 0, kerr.GroupMaxSizeReached.Code)
	if got := groupType(t, c.cl, "g"); got != "classic Stable" {
		t.Errorf("the group is %s for who could not join it", got)
	}
	c.beat("next-one", 0, 0)
	c.heartbeat(first, generation, kerr.FencedInstanceID.Code)
	if d := describeNext(t, c.cl, "g"); len(d.Members) != 1 || d.Members[0].MemberID != "next-one" {
		t.Fatalf("described as %+v", d)
	}
	again, generation := c.join("")
	c.sync(again, generation, 0)
	c.heartbeat(again, generation, 0)
	if got := groupType(t, c.cl, "g"); got != "classic Stable" {
		t.Errorf("the group is %s", got)
	}
}

// A group becomes one of KIP-848 while its first member, a static one, waits for others to join: who takes the member's place
// is a member, of an epoch above 0, which means one that joins.
func TestStaticMemberMigratesBeforeFirstGeneration(t *testing.T) {
	cfg := consumerConfig(t)
	cfg.GroupInitialRebalanceDelay = time.Hour
	b := open(t, cfg)
	c := mixedGroup{t: t, b: b, cl: client(t, b), group: "g", instance: kmsg.StringPtr("one")}
	if _, err := kadm.NewClient(c.cl).CreateTopic(deadline(t), 4, 1, nil, "flows"); err != nil {
		t.Fatal(err)
	}
	answer := make(chan int16, 1)
	ctx, waiting := deadline(t), client(t, b)
	go func() {
		resp, err := c.joinRequest("").RequestWith(ctx, waiting)
		if err != nil {
			answer <- -1
			return
		}
		answer <- resp.ErrorCode
	}()
	eventually(t, "the member to wait", func() bool { return groupType(t, c.cl, "g") == "classic PreparingRebalance" })
	if epoch := c.beat("next-one", 0, 0); epoch == 0 {
		t.Error("who has joined is in epoch 0")
	}
	if got := <-answer; got != kerr.RebalanceInProgress.Code {
		t.Errorf("the join that waited: %v", kerr.ErrorForCode(got))
	}
	if d := describeNext(t, c.cl, "g"); len(d.Members) != 1 || len(d.Members[0].Assignment.TopicPartitions) != 1 || len(d.Members[0].Assignment.TopicPartitions[0].Partitions) != 4 {
		t.Errorf("described as %+v", d)
	}
}

// A group with members of both protocols is the same after a restart, and one that has just become classic has its members
// join again.
func TestMigratedGroupRestarts(t *testing.T) {
	cfg := consumerConfig(t)
	b, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	restart := func() mixedGroup {
		t.Helper()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if b, err = broker.Open(cfg); err != nil {
			t.Fatal(err)
		}
		return mixedGroup{t: t, b: b, cl: client(t, b), group: "g"}
	}
	c := mixedGroup{t: t, b: b, cl: client(t, b), group: "g"}
	classic, generation := c.join("")
	c.sync(classic, generation, 0)
	c.beat("next", 0, 0)
	classic, generation = c.join(classic)
	before := c.sync(classic, generation, 0)

	c = restart()
	c.heartbeat(classic, generation, 0)
	if after := c.sync(classic, generation, 0); !slices.Equal(before, after) {
		t.Errorf("it had %v and has %v", before, after)
	}
	c.beat("next", generation, 0)
	c.beat("next", -1, 0)

	c = restart()
	if got := groupType(t, c.cl, "g"); got != "classic PreparingRebalance" {
		t.Errorf("the group is %s", got)
	}
	c.heartbeat(classic, generation, kerr.RebalanceInProgress.Code)
	classic, generation = c.join(classic)
	c.sync(classic, generation, 0)
	c.heartbeat(classic, generation, 0)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// mixedGroup sends the requests of members of a group that reads the topic flows.
type mixedGroup struct {
	t        *testing.T
	b        *broker.Broker
	cl       *kgo.Client
	group    string
	instance *string
}

func (c mixedGroup) joinRequest(member string) *kmsg.JoinGroupRequest {
	md := kmsg.NewConsumerMemberMetadata()
	md.Version, md.Topics = 1, []string{"flows"}
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.ProtocolType = c.group, member, c.instance, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 120_000, 120_000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: md.AppendTo(nil)}}
	return req
}

// join joins, with the member id that it is given when it has none.
func (c mixedGroup) join(member string) (string, int32) {
	c.t.Helper()
	resp, err := c.joinRequest(member).RequestWith(deadline(c.t), c.cl)
	if err == nil && resp.ErrorCode == kerr.MemberIDRequired.Code {
		resp, err = c.joinRequest(resp.MemberID).RequestWith(deadline(c.t), c.cl)
	}
	if err != nil || resp.ErrorCode != 0 {
		c.t.Fatalf("join: %+v, %v", resp, err)
	}
	return resp.MemberID, resp.Generation
}

// sync asks for a member's partitions of flows.
func (c mixedGroup) sync(member string, generation int32, want int16) []int32 {
	c.t.Helper()
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = c.group, member, c.instance, generation
	resp, err := req.RequestWith(deadline(c.t), c.cl)
	if err != nil || resp.ErrorCode != want {
		c.t.Fatalf("sync: %+v, %v; want error %d", resp, err, want)
	}
	share := kmsg.NewConsumerMemberAssignment()
	if len(resp.MemberAssignment) == 0 || share.ReadFrom(resp.MemberAssignment) != nil || len(share.Topics) == 0 {
		return nil
	}
	return share.Topics[0].Partitions
}

func (c mixedGroup) heartbeat(member string, generation int32, want int16) {
	c.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = c.group, member, c.instance, generation
	if resp, err := req.RequestWith(deadline(c.t), c.cl); err != nil || resp.ErrorCode != want {
		c.t.Fatalf("heartbeat: %+v, %v; want error %d", resp, err, want)
	}
}

func (c mixedGroup) leave(member string) {
	c.t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = c.group
	req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: member}}
	if resp, err := req.RequestWith(deadline(c.t), c.cl); err != nil || resp.ErrorCode != 0 || resp.Members[0].ErrorCode != 0 {
		c.t.Fatalf("leave: %+v, %v", resp, err)
	}
}

func (c mixedGroup) commit(member string, generation int32, want int16) {
	c.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = c.group, member, generation
	rp := kmsg.NewOffsetCommitRequestTopicPartition()
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic, rt.TopicID, rt.Partitions = "flows", topicID(c.t, c.cl, "flows"), append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	if resp, err := req.RequestWith(deadline(c.t), c.cl); err != nil || resp.Topics[0].Partitions[0].ErrorCode != want {
		c.t.Fatalf("commit: %+v, %v; want error %d", resp, err, want)
	}
}

// beat sends the heartbeat of a member of KIP-848 and returns its epoch.
func (c mixedGroup) beat(member string, epoch int32, want int16) int32 {
	c.t.Helper()
	resp := c.consumerHeartbeat(member, epoch, nil)
	if resp.ErrorCode != want {
		c.t.Fatalf("heartbeat in epoch %d: %+v; want error %d", epoch, resp, want)
	}
	return resp.MemberEpoch
}

// beatWith sends one that says what the member has, and returns its epoch and share.
func (c mixedGroup) beatWith(member string, epoch int32, id [16]byte, owned ...int32) (int32, []int32) {
	c.t.Helper()
	resp := c.consumerHeartbeat(member, epoch, []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: id, Partitions: owned}})
	if resp.ErrorCode != 0 || resp.Assignment == nil || len(resp.Assignment.Topics) == 0 {
		c.t.Fatalf("heartbeat in epoch %d with %v: %+v", epoch, owned, resp)
	}
	return resp.MemberEpoch, resp.Assignment.Topics[0].Partitions
}

func (c mixedGroup) consumerHeartbeat(member string, epoch int32, owned []kmsg.ConsumerGroupHeartbeatRequestTopic) *kmsg.ConsumerGroupHeartbeatResponse {
	c.t.Helper()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = c.group, member, epoch, c.instance
	req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.Topics = 120_000, []string{"flows"}, owned
	if epoch == 0 {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	resp, err := req.RequestWith(deadline(c.t), c.cl)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

func topicID(t *testing.T, cl *kgo.Client, topic string) [16]byte {
	t.Helper()
	topics, err := kadm.NewClient(cl).ListTopics(deadline(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	return topics[topic].ID
}
