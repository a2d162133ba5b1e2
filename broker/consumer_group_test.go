package broker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

func consumerConfig(t *testing.T) broker.Config {
	cfg := testConfig(t)
	cfg.GroupConsumerSessionTimeout, cfg.GroupConsumerMinSessionTimeout = time.Minute, time.Second
	cfg.GroupConsumerHeartbeatInterval, cfg.GroupConsumerMinHeartbeatInterval = 50*time.Millisecond, 50*time.Millisecond
	return cfg
}

// nextMember is a consumer whose partitions the broker assigns.
func nextMember(t *testing.T, b *broker.Broker, group string, opts ...kgo.Opt) *groupMember {
	return startMember(t, b, group, append([]kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(kgo.CooperativeStickyBalancer())}, opts...)...)
}

func describeNext(t *testing.T, cl *kgo.Client, group string) kmsg.ConsumerGroupDescribeResponseGroup {
	t.Helper()
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{group}
	resp, err := req.RequestWith(deadline(t), cl)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Groups[0]
}

// Members come, go and die while records are produced: each is read, every partition is with one member, and the shares
// differ by one at most.
func TestConsumerGroup(t *testing.T) {
	b := open(t, consumerConfig(t))
	adm := kadm.NewClient(client(t, b))
	if _, err := adm.CreateTopic(deadline(t), 7, 1, nil, "flows"); err != nil {
		t.Fatal(err)
	}
	balanced := func(members ...*groupMember) func() bool {
		return func() bool {
			seen := make(map[int32]bool)
			lo, hi := 100, 0
			for _, m := range members {
				parts := m.partitions()
				for _, p := range parts {
					if seen[p] {
						return false
					}
					seen[p] = true
				}
				lo, hi = min(lo, len(parts)), max(hi, len(parts))
			}
			return len(seen) == 7 && hi-lo <= 1
		}
	}
	cl := client(t, b)
	first := nextMember(t, b, "g")
	eventually(t, "one member to have all", balanced(first))
	produce(t, cl, "flows", "a", 70)
	second := nextMember(t, b, "g")
	third := nextMember(t, b, "g", kgo.InstanceID("three"))
	eventually(t, "three to share", balanced(first, second, third))
	produce(t, cl, "flows", "b", 70)
	second.stop()
	<-second.done
	second.cl.Close()
	eventually(t, "two to share", balanced(first, third))
	produce(t, cl, "flows", "c", 70)
	eventually(t, "all records", func() bool { return records(first, second, third) == 210 })

	eventually(t, "all to have come to the target", func() bool { return describeNext(t, cl, "g").State == "Stable" })
	d := describeNext(t, cl, "g")
	if d.ErrorCode != 0 || d.State != "Stable" || d.AssignorName != "uniform" || len(d.Members) != 2 || d.Epoch != d.AssignmentEpoch {
		t.Errorf("described as %+v", d)
	}
	groups, err := adm.ListGroups(deadline(t))
	if err != nil || groups["g"].ProtocolType != "consumer" || groups["g"].State != "Stable" {
		t.Errorf("listed as %+v, %v", groups["g"], err)
	}
	// The topic grows.
	if _, err := adm.CreatePartitions(deadline(t), 2, "flows"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new partitions to be assigned", func() bool { return len(first.partitions())+len(third.partitions()) == 9 })
	// A classic consumer is not taken in, and the group cannot be deleted.
	if _, err := adm.DeleteGroup(deadline(t), "g"); err == nil {
		t.Error("a group with members was deleted")
	}
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = "g", "consumer", 5000, 5000
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	if resp, err := req.RequestWith(deadline(t), cl); err != nil || resp.ErrorCode != kerr.InconsistentGroupProtocol.Code {
		t.Errorf("classic join: %+v, %v", resp, err)
	}
}

// A group goes on where it was when the broker has been killed, and its offsets count.
func TestConsumerGroupRestart(t *testing.T) {
	cfg := consumerConfig(t)
	b := open(t, cfg)
	if _, err := kadm.NewClient(client(t, b)).CreateTopic(deadline(t), 4, 1, nil, "flows"); err != nil {
		t.Fatal(err)
	}
	m := nextMember(t, b, "g", kgo.InstanceID("one"))
	produce(t, client(t, b), "flows", "a", 40)
	eventually(t, "records", func() bool { return records(m) == 40 })
	if err := m.cl.CommitUncommittedOffsets(deadline(t)); err != nil {
		t.Fatal(err)
	}
	before := describeNext(t, client(t, b), "g")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	cl := client(t, b)
	after := describeNext(t, cl, "g")
	if after.ErrorCode != 0 || after.Epoch != before.Epoch || len(after.Members) != 1 || after.Members[0].MemberEpoch != before.Members[0].MemberEpoch ||
		len(after.Members[0].Assignment.TopicPartitions) != 1 || len(after.Members[0].Assignment.TopicPartitions[0].Partitions) != 4 {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.GroupConsumerSessionTimeout = time.Second // as short as consumerConfig allows
	b = open(t, cfg)
	cl = client(t, b)
	eventually(t, "the session to end", func() bool { return describeNext(t, cl, "g").State == "Empty" })
	// Empty, it may become a classic group, and one of these again.
	classic := startMember(t, b, "g")
	produce(t, client(t, b), "flows", "b", 40)
	eventually(t, "records after the restart", func() bool { return records(classic) == 40 })
	if err := classic.cl.CommitUncommittedOffsets(deadline(t)); err != nil {
		t.Fatal(err)
	}
	classic.stop()
	<-classic.done
	classic.cl.Close()
	next := nextMember(t, b, "g")
	eventually(t, "partitions", func() bool { return len(next.partitions()) == 4 })
	if records(next) != 0 {
		t.Errorf("%d records were read again", records(next))
	}
}

// Members follow a pattern.
func TestConsumerGroupPattern(t *testing.T) {
	b := open(t, consumerConfig(t))
	adm := kadm.NewClient(client(t, b))
	for i, topic := range []string{"net.a", "other", "net.b"} {
		if _, err := adm.CreateTopic(deadline(t), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
		produce(t, client(t, b), topic, fmt.Sprint(i), 1)
	}
	cl := client(t, b, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("net\\..*"), kgo.ConsumeRegex(), kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	got := consume(t, cl, 2)
	for _, r := range got {
		if r.Topic == "other" {
			t.Error("a record of a topic that does not match")
		}
	}
	// A topic that comes later is found by the broker.
	if _, err := adm.CreateTopic(deadline(t), 1, 1, nil, "net.c"); err != nil {
		t.Fatal(err)
	}
	produce(t, client(t, b), "net.c", "3", 1)
	if got := consume(t, cl, 1); got[0].Topic != "net.c" {
		t.Errorf("a record of %s", got[0].Topic)
	}
	if d := describeNext(t, cl, "g"); d.AssignorName != "range" || d.Members[0].SubscribedTopicRegex == nil {
		t.Errorf("described as %+v", d)
	}
}

// rawMember speaks the protocol by hand.
type rawMember struct {
	t     *testing.T
	cl    *kgo.Client
	id    string
	epoch int32
	has   []int32 // partitions of the one topic
	topic [16]byte
}

func (m *rawMember) heartbeat(change func(*kmsg.ConsumerGroupHeartbeatRequest)) *kmsg.ConsumerGroupHeartbeatResponse {
	m.t.Helper()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = "g", m.id, m.epoch
	if m.epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 60_000, []string{"flows"}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	if change != nil {
		change(req)
	}
	resp, err := req.RequestWith(deadline(m.t), m.cl)
	if err != nil {
		m.t.Fatal(err)
	}
	if resp.ErrorCode == 0 {
		m.epoch = resp.MemberEpoch
		if a := resp.Assignment; a != nil {
			m.has = nil
			for _, t := range a.Topics {
				m.topic = t.TopicID
				m.has = append(m.has, t.Partitions...)
			}
			slices.Sort(m.has)
		}
	}
	return resp
}

// owns says what the member has in its next heartbeat.
func (m *rawMember) owns(req *kmsg.ConsumerGroupHeartbeatRequest) {
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: m.topic, Partitions: m.has}}
	if len(m.has) == 0 {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
}

// A partition is free for another only when a heartbeat of who had it no longer names it.
func TestConsumerGroupReconciles(t *testing.T) {
	b := open(t, consumerConfig(t))
	cl := client(t, b)
	if _, err := kadm.NewClient(cl).CreateTopic(deadline(t), 4, 1, nil, "flows"); err != nil {
		t.Fatal(err)
	}
	one, two := &rawMember{t: t, cl: cl, id: "one"}, &rawMember{t: t, cl: cl, id: "two"}
	if one.heartbeat(nil); !slices.Equal(one.has, []int32{0, 1, 2, 3}) || one.epoch != 2 {
		t.Fatalf("alone: epoch %d, %v", one.epoch, one.has)
	}
	if two.heartbeat(nil); len(two.has) != 0 || two.epoch != 3 {
		t.Fatalf("newcomer: epoch %d, %v", two.epoch, two.has)
	}
	// One still says it has all: it is told what it may keep, and stays in its epoch.
	had := one.has
	if one.heartbeat(one.owns); len(one.has) != 2 || one.epoch != 2 {
		t.Fatalf("told to give up: epoch %d, %v", one.epoch, one.has)
	}
	keeps := one.has
	one.has = had
	if resp := one.heartbeat(one.owns); resp.Assignment != nil || one.epoch != 2 {
		t.Fatalf("while it gives up: %+v", resp)
	}
	if two.heartbeat(two.owns); len(two.has) != 0 {
		t.Fatalf("partitions with two members: %v", two.has)
	}
	if d := describeNext(t, cl, "g"); d.State != "Reconciling" {
		t.Errorf("state %s", d.State)
	}
	one.has = keeps
	if one.heartbeat(one.owns); one.epoch != 3 {
		t.Fatalf("after giving up: epoch %d", one.epoch)
	}
	if two.heartbeat(two.owns); len(two.has) != 2 || two.epoch != 3 {
		t.Fatalf("after the other gave up: epoch %d, %v", two.epoch, two.has)
	}
	if d := describeNext(t, cl, "g"); d.State != "Stable" {
		t.Errorf("state %s", d.State)
	}
	for name, c := range map[string]struct {
		want   *kerr.Error
		change func(*kmsg.ConsumerGroupHeartbeatRequest)
	}{
		"an epoch to come":     {kerr.FencedMemberEpoch, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 9 }},
		"an epoch gone by":     {kerr.FencedMemberEpoch, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 2 }},
		"a stranger":           {kerr.UnknownMemberID, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = "three" }},
		"no id":                {kerr.InvalidRequest, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = "" }},
		"an assignor of none":  {kerr.UnsupportedAssignor, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = kmsg.StringPtr("mine") }},
		"a bad pattern":        {kerr.InvalidRegularExpression, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = kmsg.StringPtr("(") }},
		"another group":        {kerr.GroupIDNotFound, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = "h" }},
		"a join that owns":     {kerr.InvalidRequest, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 0; one.owns(r) }},
		"an epoch of no sense": {kerr.InvalidRequest, func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 }},
	} {
		if resp := one.heartbeat(c.change); resp.ErrorCode != c.want.Code {
			t.Errorf("%s: %v", name, kerr.ErrorForCode(resp.ErrorCode))
		}
	}
	// The answer that raised two's epoch was lost: it may say the former one.
	if resp := two.heartbeat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { two.owns(r); r.MemberEpoch = 2 }); resp.ErrorCode != kerr.FencedMemberEpoch.Code {
		t.Errorf("an epoch it never had: %v", kerr.ErrorForCode(resp.ErrorCode))
	}
	if resp := one.heartbeat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { one.owns(r); r.MemberEpoch = 2 }); resp.ErrorCode != 0 || one.epoch != 3 {
		t.Errorf("its former epoch: %v", kerr.ErrorForCode(resp.ErrorCode))
	}

	commit := func(member string, epoch, partition int32) error {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation = "g", member, epoch
		rt := kmsg.NewOffsetCommitRequestTopic()
		rt.Topic, rt.TopicID = "flows", one.topic
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = partition, 1
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		resp, err := req.RequestWith(deadline(t), cl)
		if err != nil {
			t.Fatal(err)
		}
		return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err := commit("one", 3, one.has[0]); err != nil {
		t.Errorf("commit: %v", err)
	}
	if err := commit("one", 2, one.has[0]); err != nil {
		t.Errorf("commit of what it has had since: %v", err)
	}
	for what, err := range map[string]error{
		"what it gave up, with a stale epoch": commit("one", 2, two.has[0]), "an epoch to come": commit("one", 4, one.has[0]),
	} {
		if err != kerr.StaleMemberEpoch {
			t.Errorf("commit of %s: %v", what, err)
		}
	}
	if resp := two.heartbeat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -1 }); resp.ErrorCode != 0 || resp.MemberEpoch != -1 {
		t.Errorf("leave: %+v", resp)
	}
	if one.heartbeat(one.owns); len(one.has) != 4 {
		t.Errorf("after the other left: %v", one.has)
	}
}

// Whatever members do, in any order: no partition is with two of them, and when they settle the shares are even.
func TestConsumerGroupChurn(t *testing.T) {
	b := open(t, consumerConfig(t))
	cl := client(t, b)
	const partitions = 9
	if _, err := kadm.NewClient(cl).CreateTopic(deadline(t), partitions, 1, nil, "flows"); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var members []*rawMember
	holds := make(map[*rawMember][]int32) // what each really has: it gives up a beat later than told
	beat := func(m *rawMember) {
		told := m.has
		m.has = holds[m]
		resp := m.heartbeat(m.owns)
		if resp.ErrorCode != 0 {
			t.Fatalf("heartbeat: %v %v", kerr.ErrorForCode(resp.ErrorCode), resp.ErrorMessage)
		}
		if resp.Assignment == nil {
			m.has = told
		}
		holds[m] = m.has
		seen := make(map[int32]*rawMember)
		for _, o := range members {
			for _, p := range holds[o] {
				if seen[p] != nil {
					t.Fatalf("partition %d is with %s and %s", p, seen[p].id, o.id)
				}
				seen[p] = o
			}
		}
	}
	for i := range 400 {
		switch n := rng.IntN(10); {
		case n == 0 && len(members) < 6:
			m := &rawMember{t: t, cl: cl, id: fmt.Sprint("m", i)}
			members = append(members, m)
			m.heartbeat(nil)
			holds[m] = m.has
		case n == 1 && len(members) > 1:
			j := rng.IntN(len(members))
			m := members[j]
			m.heartbeat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -1 })
			delete(holds, m)
			members = slices.Delete(members, j, j+1)
		case len(members) > 0:
			beat(members[rng.IntN(len(members))])
		}
	}
	for range 4 {
		for _, m := range members {
			beat(m)
		}
	}
	total := 0
	for _, m := range members {
		total += len(m.has)
		if len(m.has) < partitions/len(members) || len(m.has) > partitions/len(members)+1 {
			t.Errorf("%s has %v of %d with %d members", m.id, m.has, partitions, len(members))
		}
	}
	if total != partitions {
		t.Errorf("%d of %d partitions are with somebody", total, partitions)
	}
}

// Who does not give up in time is put out.
func TestConsumerGroupRebalanceTimeout(t *testing.T) {
	b := open(t, consumerConfig(t))
	cl := client(t, b)
	if _, err := kadm.NewClient(cl).CreateTopic(deadline(t), 2, 1, nil, "flows"); err != nil {
		t.Fatal(err)
	}
	one, two := &rawMember{t: t, cl: cl, id: "one"}, &rawMember{t: t, cl: cl, id: "two"}
	one.heartbeat(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = 100 })
	two.heartbeat(nil)
	all := one.has
	eventually(t, "the one that keeps all to be put out", func() bool {
		one.has = all
		return one.heartbeat(one.owns).ErrorCode == kerr.UnknownMemberID.Code
	})
	if two.heartbeat(two.owns); len(two.has) != 2 {
		t.Errorf("the other has %v", two.has)
	}
}
