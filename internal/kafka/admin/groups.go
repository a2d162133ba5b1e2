package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Group is a group as a cluster lists it.
type Group struct {
	Group        string `json:"group"`
	Type         string `json:"type"`          // classic, consumer (KIP-848), share, streams
	ProtocolType string `json:"protocol_type"` // consumer, connect; empty: only offsets were ever committed
	State        string `json:"state"`         // empty from brokers before Kafka 2.6
	Coordinator  int32  `json:"coordinator"`
}

// ListGroups lists the groups of the given types in the given states, sorted by
// name; without types or states those of all.
func ListGroups(ctx context.Context, cl *kgo.Client, types, states []string) ([]Group, error) {
	req := kmsg.NewPtrListGroupsRequest()
	req.TypesFilter, req.StatesFilter = types, states
	var groups []Group
	for _, shard := range cl.RequestSharded(ctx, req) {
		err := shard.Err
		if err == nil {
			err = answer(shard.Resp.(*kmsg.ListGroupsResponse).ErrorCode, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("list groups of broker %d: %w", shard.Meta.NodeID, err)
		}
		for _, g := range shard.Resp.(*kmsg.ListGroupsResponse).Groups {
			// A broker before KIP-848 knows one type.
			groups = append(groups, Group{g.Group, cmp.Or(g.GroupType, "classic"), g.ProtocolType, g.GroupState, shard.Meta.NodeID})
		}
	}
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(a.Group, b.Group) })
	return groups, nil
}

// Coordinator is the broker that a group's members talk to.
type Coordinator struct {
	ID   int32  `json:"id"`
	Host string `json:"host"`
	Port int32  `json:"port"`
}

// GroupDescription is what is known of a group.
type GroupDescription struct {
	Group        string        `json:"group"`
	Type         string        `json:"type"` // classic or consumer
	ProtocolType string        `json:"protocol_type"`
	State        string        `json:"state"`
	Assignor     string        `json:"assignor"`
	Epoch        int32         `json:"epoch"`        // of a group of type consumer; otherwise -1
	TargetEpoch  int32         `json:"target_epoch"` // of what its members shall have, likewise
	Coordinator  Coordinator   `json:"coordinator"`
	Members      []Member      `json:"members"`
	Offsets      []GroupOffset `json:"offsets"` // filled by [GroupDescription.LoadOffsets]
}

// Member is a member of a group.
type Member struct {
	Member     string            `json:"member"`
	Instance   string            `json:"instance,omitempty"` // group.instance.id
	ClientID   string            `json:"client_id"`
	Host       string            `json:"host"`
	Epoch      int32             `json:"epoch"` // of a group of type consumer; otherwise -1
	Topics     []string          `json:"topics"`
	Assignment []TopicPartitions `json:"assignment"`
	Target     []TopicPartitions `json:"target,omitempty"` // where the group of type consumer wants it to be, if elsewhere
}

// Partitions counts the partitions that the member has.
func (m *Member) Partitions() int {
	n := 0
	for _, t := range m.Assignment {
		n += len(t.Partitions)
	}
	return n
}

// ErrNoGroup is in errors about a group that is not there.
var ErrNoGroup = errors.New("there is no such group")

// DescribeGroup describes a group of type classic or consumer, without its offsets.
func DescribeGroup(ctx context.Context, cl *kgo.Client, group string) (*GroupDescription, error) {
	d, err := describeConsumerGroup(ctx, cl, group)
	if errors.Is(err, kerr.GroupIDNotFound) || errors.Is(err, kerr.UnsupportedVersion) {
		d, err = describeClassicGroup(ctx, cl, group)
	}
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", group, err)
	}
	slices.SortFunc(d.Members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Member, b.Member))
	})
	return d, nil
}

// coordinatorOf sends a request that goes to the coordinator of one group.
func coordinatorOf(ctx context.Context, cl *kgo.Client, req kmsg.Request) (kmsg.Response, Coordinator, error) {
	shards := cl.RequestSharded(ctx, req)
	if len(shards) != 1 {
		return nil, Coordinator{}, fmt.Errorf("%d answers instead of one", len(shards))
	}
	s := shards[0]
	return s.Resp, Coordinator{s.Meta.NodeID, s.Meta.Host, s.Meta.Port}, s.Err
}

// describeConsumerGroup describes a group of KIP-848's protocol. That it is of
// another type is GroupIDNotFound.
func describeConsumerGroup(ctx context.Context, cl *kgo.Client, group string) (*GroupDescription, error) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{group}
	resp, at, err := coordinatorOf(ctx, cl, req)
	if err != nil {
		return nil, err
	}
	groups := resp.(*kmsg.ConsumerGroupDescribeResponse).Groups
	if len(groups) != 1 {
		return nil, fmt.Errorf("%d descriptions instead of one", len(groups))
	}
	g := &groups[0]
	if err := answer(g.ErrorCode, g.ErrorMessage); err != nil {
		return nil, err
	}
	d := &GroupDescription{Group: group, Type: "consumer", ProtocolType: "consumer", State: g.State, Assignor: g.AssignorName, Epoch: g.Epoch, TargetEpoch: g.AssignmentEpoch, Coordinator: at, Members: []Member{}}
	for _, m := range g.Members {
		member := Member{Member: m.MemberID, Instance: deref(m.InstanceID), ClientID: m.ClientID, Host: m.ClientHost, Epoch: m.MemberEpoch, Topics: orEmpty(m.SubscribedTopics)}
		if m.SubscribedTopicRegex != nil && *m.SubscribedTopicRegex != "" {
			member.Topics = append(member.Topics, "/"+*m.SubscribedTopicRegex+"/")
		}
		slices.Sort(member.Topics)
		has, wants := topicSet{}, topicSet{}
		for _, t := range m.Assignment.TopicPartitions {
			has.add(t.Topic, t.Partitions...)
		}
		for _, t := range m.TargetAssignment.TopicPartitions {
			wants.add(t.Topic, t.Partitions...)
		}
		member.Assignment, member.Target = has.list(), wants.list()
		if slices.EqualFunc(member.Assignment, member.Target, TopicPartitions.equal) {
			member.Target = nil
		}
		d.Members = append(d.Members, member)
	}
	return d, nil
}

// describeClassicGroup describes a group whose members assign partitions
// themselves.
func describeClassicGroup(ctx context.Context, cl *kgo.Client, group string) (*GroupDescription, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	resp, at, err := coordinatorOf(ctx, cl, req)
	if err != nil {
		return nil, err
	}
	groups := resp.(*kmsg.DescribeGroupsResponse).Groups
	if len(groups) != 1 {
		return nil, fmt.Errorf("%d descriptions instead of one", len(groups))
	}
	g := &groups[0]
	switch err := answer(g.ErrorCode, nil); {
	case errors.Is(err, kerr.GroupIDNotFound), err == nil && g.State == "Dead": // before KIP-1043 a group that is not there is dead
		return nil, ErrNoGroup
	case err != nil:
		return nil, err
	}
	d := &GroupDescription{Group: group, Type: "classic", ProtocolType: g.ProtocolType, State: g.State, Assignor: g.Protocol, Epoch: -1, TargetEpoch: -1, Coordinator: at, Members: []Member{}}
	for _, m := range g.Members {
		member := Member{Member: m.MemberID, Instance: deref(m.InstanceID), ClientID: m.ClientID, Host: m.ClientHost, Epoch: -1, Topics: []string{}}
		var (
			joined   kmsg.ConsumerMemberMetadata
			assigned kmsg.ConsumerMemberAssignment
			has      = topicSet{}
		)
		// What a member of another kind (connect) has is its own affair.
		if g.ProtocolType == "consumer" {
			if joined.ReadFrom(m.ProtocolMetadata) == nil {
				member.Topics = orEmpty(joined.Topics)
				slices.Sort(member.Topics)
			}
			if assigned.ReadFrom(m.MemberAssignment) == nil {
				for _, t := range assigned.Topics {
					has.add(t.Topic, t.Partitions...)
				}
			}
		}
		member.Assignment = has.list()
		d.Members = append(d.Members, member)
	}
	return d, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// GroupOffset is how far a group is in a partition. What is not known is null.
type GroupOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"`
	Start     *int64 `json:"start"`
	End       *int64 `json:"end"`
	Lag       *int64 `json:"lag"`
	Metadata  string `json:"metadata,omitempty"`
	Member    string `json:"member,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Host      string `json:"host,omitempty"`
	Error     string `json:"error,omitempty"`
}

// LoadOffsets fills in the offsets of the partitions that the group has committed
// or that members have, sorted. Partitions whose offsets cannot be had, because
// their topic is gone or their leader away, say why in Error.
func (d *GroupDescription) LoadOffsets(ctx context.Context, cl *kgo.Client) error {
	adm := kadm.NewClient(cl)
	committed, err := committedOffsets(ctx, adm, d.Group)
	if err != nil {
		return err
	}
	of := map[string]map[int32]*Member{}
	for i := range d.Members {
		for _, t := range d.Members[i].Assignment {
			for _, p := range t.Partitions {
				if of[t.Topic] == nil {
					of[t.Topic] = map[int32]*Member{}
				}
				of[t.Topic][p] = &d.Members[i]
			}
		}
	}
	all := topicSet{}
	committed.Each(func(o kadm.OffsetResponse) { all.add(o.Topic, o.Partition) })
	for t, ps := range of {
		all.add(t, slices.Collect(maps.Keys(ps))...)
	}
	d.Offsets = []GroupOffset{}
	if len(all) == 0 {
		return nil
	}
	starts, ends, err := bounds(ctx, adm, all)
	if err != nil {
		return fmt.Errorf("group %s: %w", d.Group, err)
	}
	for _, t := range all.list() {
		for _, p := range t.Partitions {
			o := GroupOffset{Topic: t.Topic, Partition: p}
			if c, ok := committed.Lookup(t.Topic, p); ok && c.At >= 0 {
				o.Committed, o.Metadata = &c.At, c.Metadata
			}
			if m := of[t.Topic][p]; m != nil {
				o.Member, o.ClientID, o.Host = m.Member, m.ClientID, m.Host
			}
			start, end, err := starts.at(t.Topic, p), ends.at(t.Topic, p), ends.problem(t.Topic, p)
			o.Start, o.End = start, end
			if err != nil {
				o.Error = err.Error()
			}
			if o.Committed != nil && end != nil {
				lag := max(0, *end-*o.Committed)
				o.Lag = &lag
			}
			d.Offsets = append(d.Offsets, o)
		}
	}
	return nil
}

// committedOffsets asks for all offsets of a group. A group that is not there has
// none.
func committedOffsets(ctx context.Context, adm *kadm.Client, group string) (kadm.OffsetResponses, error) {
	offsets, err := adm.FetchOffsets(ctx, group)
	if err == nil {
		err = offsets.Error()
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("group %s: its offsets: %w", group, Problem(err))
	}
	return offsets, nil
}

// DeleteGroup deletes a group without members, and its offsets.
func DeleteGroup(ctx context.Context, cl *kgo.Client, group string) error {
	r, err := kadm.NewClient(cl).DeleteGroup(ctx, group)
	if err == nil {
		err = withMessage(r.Err, r.ErrMessage)
	}
	return aboutGroup("delete", group, err)
}

// aboutGroup explains why a group could not be changed.
func aboutGroup(doing, group string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.GroupIDNotFound):
		err = ErrNoGroup
	case errors.Is(err, kerr.NonEmptyGroup):
		err = errors.New("it has members; stop them first")
	case errors.Is(err, kerr.GroupSubscribedToTopic):
		err = errors.New("its members subscribe to the topic; stop them first")
	default:
		err = Problem(err)
	}
	return fmt.Errorf("%s group %s: %w", doing, group, err)
}

// DeletedOffset is an offset that a group does not have any more.
type DeletedOffset struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // what it was
}

// DeleteOffsets deletes a group's offsets of the partitions, or topics, and
// returns those that were there. A topic without an offset is an error.
func DeleteOffsets(ctx context.Context, cl *kgo.Client, group string, what []TopicPartitions) ([]DeletedOffset, error) {
	if _, err := DescribeGroup(ctx, cl, group); err != nil {
		return nil, err
	}
	adm := kadm.NewClient(cl)
	committed, err := committedOffsets(ctx, adm, group)
	if err != nil {
		return nil, err
	}
	set, was := kadm.TopicsSet{}, []DeletedOffset{}
	for _, t := range what {
		partitions := t.Partitions
		if partitions == nil {
			partitions = slices.Sorted(maps.Keys(committed[t.Topic]))
		}
		if len(partitions) == 0 {
			return nil, fmt.Errorf("group %s has no offset of topic %s", group, t.Topic)
		}
		for _, p := range partitions {
			o, ok := committed.Lookup(t.Topic, p)
			if !ok || o.At < 0 {
				return nil, fmt.Errorf("group %s has no offset of topic %s partition %d", group, t.Topic, p)
			}
			set.Add(t.Topic, p)
			was = append(was, DeletedOffset{group, t.Topic, p, o.At})
		}
	}
	rs, err := adm.DeleteOffsets(ctx, group, set)
	if err == nil {
		err = rs.Error()
	}
	if err != nil {
		return nil, aboutGroup("delete offsets of", group, err)
	}
	return was, nil
}
