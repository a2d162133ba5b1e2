package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Topic is a topic with its partitions and what was configured on it.
type Topic struct {
	Topic      string            `json:"topic"`
	ID         string            `json:"id"` // as Kafka writes it: URL-safe base64
	Internal   bool              `json:"internal"`
	MinISR     int               `json:"min_insync_replicas"` // 0: not known
	Configs    map[string]string `json:"configs"`
	Partitions []Partition       `json:"partitions"`
}

// Partition is a partition of a topic.
type Partition struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"` // -1: none
	Epoch     int32   `json:"leader_epoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Offline   []int32 `json:"offline"`      // replicas of brokers that are away
	Start     int64   `json:"start_offset"` // -1: not known
	End       int64   `json:"end_offset"`   // -1: not known
	Error     string  `json:"error,omitempty"`
}

// A PartitionView keeps some partitions of a topic.
type PartitionView func(t *Topic, p *Partition) bool

// Views of partitions in need.
var (
	UnderReplicated PartitionView = func(_ *Topic, p *Partition) bool { return len(p.ISR) < len(p.Replicas) }
	Unavailable     PartitionView = func(_ *Topic, p *Partition) bool { return p.Leader < 0 || slices.Contains(p.Offline, p.Leader) }
	UnderMinISR     PartitionView = func(t *Topic, p *Partition) bool { return len(p.ISR) < t.MinISR }
	AtMinISR        PartitionView = func(t *Topic, p *Partition) bool { return len(p.ISR) == t.MinISR }
)

// Keep leaves the partitions that one of the views shows, and reports whether there
// are any.
func (t *Topic) Keep(views ...PartitionView) bool {
	t.Partitions = slices.DeleteFunc(t.Partitions, func(p Partition) bool {
		return !slices.ContainsFunc(views, func(v PartitionView) bool { return v(t, &p) })
	})
	return len(t.Partitions) > 0
}

// ErrNoTopic is in errors about a topic that is not there.
var ErrNoTopic = errors.New("there is no topic")

// noTopic is ErrNoTopic with its name.
func noTopic(name string) error { return fmt.Errorf("%w %s", ErrNoTopic, name) }

// SelectTopics finds topics by name, and by regular expression between slashes:
// /^event/. It does not look whether a name is there; an expression that matches
// nothing is an error ([ErrNoTopic]), and what others found is returned with it.
// Without names it finds all, with internal the cluster's own as well; an expression
// never matches these.
func SelectTopics(ctx context.Context, cl *kgo.Client, names []string, internal bool) ([]string, error) {
	var (
		plain []string
		exprs []*regexp.Regexp
	)
	for _, n := range names {
		if len(n) < 2 || n[0] != '/' || n[len(n)-1] != '/' {
			plain = append(plain, n)
			continue
		}
		re, err := regexp.Compile(n[1 : len(n)-1])
		if err != nil {
			return nil, err
		}
		exprs = append(exprs, re)
	}
	if len(exprs) == 0 && len(names) > 0 {
		return plain, nil
	}
	topics, err := kadm.NewClient(cl).ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, Problem(err)
	}
	all := slices.DeleteFunc(topics.Sorted(), func(t kadm.TopicDetail) bool { return t.IsInternal && (!internal || len(exprs) > 0) })
	for _, t := range all {
		if len(names) == 0 {
			plain = append(plain, t.Topic)
		}
	}
	var errs []error
	for _, re := range exprs {
		found := false
		for _, t := range all {
			if re.MatchString(t.Topic) {
				found = true
				if !slices.Contains(plain, t.Topic) {
					plain = append(plain, t.Topic)
				}
			}
		}
		if !found {
			errs = append(errs, fmt.Errorf("%w that matches /%s/", ErrNoTopic, re))
		}
	}
	return plain, errors.Join(errs...)
}

// ParseTopicID reads the id of a topic as Kafka writes it: 22 characters of URL-safe Base64.
func ParseTopicID(s string) (kadm.TopicID, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(kadm.TopicID{}) {
		return kadm.TopicID{}, errors.New("allowed is an id such as topics describe shows, of 22 characters")
	}
	return kadm.TopicID(b), nil
}

// TopicByID finds the name of a topic by its id.
func TopicByID(ctx context.Context, cl *kgo.Client, id string) (string, error) {
	want, err := ParseTopicID(id)
	if err != nil {
		return "", err
	}
	topics, err := kadm.NewClient(cl).ListTopicsWithInternal(ctx)
	if err != nil {
		return "", Problem(err)
	}
	for _, t := range topics {
		if t.ID == want {
			return t.Topic, nil
		}
	}
	return "", fmt.Errorf("%w of the id %s", ErrNoTopic, id)
}

// lookUp asks for topics. An error names them.
func lookUp(ctx context.Context, adm *kadm.Client, names []string) (kadm.TopicDetails, error) {
	topics, err := adm.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", strings.Join(names, ", "), Problem(err))
	}
	return topics, nil
}

// DescribeTopics describes topics, in the order of their names.
func DescribeTopics(ctx context.Context, cl *kgo.Client, names []string) ([]Topic, error) {
	if len(names) == 0 {
		return nil, nil
	}
	adm := kadm.NewClient(cl)
	topics, err := lookUp(ctx, adm, names)
	if err != nil {
		return nil, err
	}
	of := topicSet{}
	for _, t := range topics.Sorted() {
		switch {
		case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			return nil, noTopic(t.Topic)
		case t.Err != nil:
			return nil, fmt.Errorf("topic %s: %w", t.Topic, t.Err)
		}
		of.add(t.Topic, t.Partitions.Numbers()...)
	}
	starts, ends, err := bounds(ctx, adm, of)
	if err != nil {
		return nil, err
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil && !errors.Is(err, kerr.UnsupportedVersion) {
		return nil, fmt.Errorf("configuration of topics: %w", Problem(err))
	}
	var described []Topic
	for _, t := range topics.Sorted() {
		d := Topic{Topic: t.Topic, ID: base64.RawURLEncoding.EncodeToString(t.ID[:]), Internal: t.IsInternal, Configs: map[string]string{}, Partitions: []Partition{}}
		if rc, err := configs.On(t.Topic, nil); err == nil {
			d.configure(rc.Configs)
		}
		for _, p := range t.Partitions.Sorted() {
			d.Partitions = append(d.Partitions, describePartition(t.Topic, p, starts, ends))
		}
		described = append(described, d)
	}
	return described, nil
}

func (t *Topic) configure(configs []kadm.Config) {
	for _, c := range configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			t.Configs[c.Key] = c.MaybeValue()
		}
		if c.Key == "min.insync.replicas" {
			t.MinISR, _ = strconv.Atoi(c.MaybeValue())
		}
	}
}

func describePartition(topic string, p kadm.PartitionDetail, starts, ends listed) Partition {
	d := Partition{
		Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: orEmpty(p.Replicas), ISR: orEmpty(p.ISR),
		Offline: orEmpty(p.OfflineReplicas), Start: -1, End: -1,
	}
	start, end := starts.at(topic, p.Partition), ends.at(topic, p.Partition)
	if start != nil && end != nil {
		d.Start, d.End = *start, *end
		return d
	}
	for _, err := range []error{p.Err, starts.problem(topic, p.Partition), ends.problem(topic, p.Partition)} {
		if err != nil {
			d.Error = err.Error()
			break
		}
	}
	return d
}

// UntilThere waits until the brokers list a topic that has been created, with
// leaders of all its partitions: a cluster takes a moment to tell all of them.
func UntilThere(ctx context.Context, cl *kgo.Client, topic string) error {
	return settle(ctx, cl, topic, "is created, but not all its partitions have a leader", func(t kadm.TopicDetail) bool {
		if t.Err != nil || len(t.Partitions) == 0 {
			return false
		}
		for _, p := range t.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return false
			}
		}
		return true
	})
}

// UntilGone waits until the brokers no longer list a topic that has been deleted.
func UntilGone(ctx context.Context, cl *kgo.Client, topic string) error {
	return settle(ctx, cl, topic, "is marked for deletion, but still listed", func(t kadm.TopicDetail) bool {
		return errors.Is(t.Err, kerr.UnknownTopicOrPartition)
	})
}

// settle asks for a topic until it is as it should be, for ten seconds. Who may not
// look does not wait.
func settle(ctx context.Context, cl *kgo.Client, topic, otherwise string, settled func(kadm.TopicDetail) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		topics, err := kadm.NewClient(cl).ListTopicsWithInternal(ctx, topic)
		if err != nil {
			return fmt.Errorf("look for topic %s: %w", topic, Problem(err))
		}
		t, ok := topics[topic]
		if !ok {
			t.Err = kerr.UnknownTopicOrPartition
		}
		if settled(t) || errors.Is(t.Err, kerr.TopicAuthorizationFailed) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topic %s %s", topic, otherwise)
		case <-time.After(wait):
		}
	}
}

// SetPartitions raises the number of partitions of a topic.
func SetPartitions(ctx context.Context, cl *kgo.Client, topic string, n int) error {
	rs, err := kadm.NewClient(cl).UpdatePartitions(ctx, n, topic)
	if err == nil {
		err = withMessage(rs[topic].Err, rs[topic].ErrMessage)
	}
	if err != nil {
		return aboutResource("change", Resource{TopicResource, topic}, err)
	}
	return nil
}

// Cut is what deleting records left of a partition.
type Cut struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start_offset"` // the first record there is now
}

// Before says up to where records are deleted.
type Before struct {
	Offset int64     // records before it; -1: all
	Time   time.Time // or records before the first of this time or later
	File   Offsets   // or where a file says, for the group ""
}

// DeleteRecords deletes the first records of partitions, and returns where these
// begin now, sorted.
func DeleteRecords(ctx context.Context, cl *kgo.Client, what []TopicPartitions, before Before) ([]Cut, error) {
	adm := kadm.NewClient(cl)
	if before.File != nil {
		what = before.File.partitions("")
	}
	of, err := existing(ctx, adm, what)
	if err != nil {
		return nil, err
	}
	var times listed
	if !before.Time.IsZero() {
		var names []string
		for _, t := range of.list() {
			names = append(names, t.Topic)
		}
		if times, err = list(func() (kadm.ListedOffsets, error) {
			return adm.ListOffsetsAfterMilli(ctx, before.Time.UnixMilli(), names...)
		}); err != nil {
			return nil, err
		}
	}
	offsets := kadm.Offsets{}
	for _, t := range of.list() {
		for _, p := range t.Partitions {
			at := before.Offset
			switch {
			case before.File != nil:
				at = before.File.of("")[t.Topic][p]
			case !before.Time.IsZero():
				found := times.at(t.Topic, p)
				if found == nil {
					return nil, fmt.Errorf("topic %s partition %d: %w", t.Topic, p, times.problem(t.Topic, p))
				}
				at = *found
			}
			offsets.AddOffset(t.Topic, p, at, -1)
		}
	}
	rs, err := adm.DeleteRecords(ctx, offsets)
	if err != nil {
		return nil, fmt.Errorf("delete records: %w", Problem(err))
	}
	var (
		cuts []Cut
		errs []error
	)
	for _, r := range rs.Sorted() {
		switch {
		case errors.Is(r.Err, kerr.OffsetOutOfRange):
			errs = append(errs, fmt.Errorf("delete records of topic %s partition %d: it has no offset %d", r.Topic, r.Partition, offsets[r.Topic][r.Partition].At))
		case errors.Is(r.Err, kerr.PolicyViolation):
			errs = append(errs, fmt.Errorf("delete records of topic %s partition %d: it is compacted only; cleanup.policy must have delete", r.Topic, r.Partition))
		case r.Err != nil:
			errs = append(errs, fmt.Errorf("delete records of topic %s partition %d: %w", r.Topic, r.Partition, r.Err))
		default:
			cuts = append(cuts, Cut{r.Topic, r.Partition, r.LowWatermark})
		}
	}
	return cuts, errors.Join(errs...)
}

// ParseAssignment reads the replicas of new partitions as Kafka's tools take them:
// 1:2,2:3 is partition 0 on brokers 1 and 2, partition 1 on 2 and 3. The first is the
// preferred leader.
func ParseAssignment(s string) ([][]int32, error) {
	bad := errors.New("allowed are brokers of partitions such as 1:2,2:3,3:1, as many for each")
	var all [][]int32
	for partition := range strings.SplitSeq(s, ",") {
		var replicas []int32
		for id := range strings.SplitSeq(partition, ":") {
			n, err := strconv.ParseInt(strings.TrimSpace(id), 10, 32)
			if err != nil || n < 0 || slices.Contains(replicas, int32(n)) {
				return nil, bad
			}
			replicas = append(replicas, int32(n))
		}
		if len(all) > 0 && len(replicas) != len(all[0]) {
			return nil, bad
		}
		all = append(all, replicas)
	}
	return all, nil
}

// CreateAssigned creates a topic whose partitions are on these brokers.
func CreateAssigned(ctx context.Context, cl *kgo.Client, topic string, assignment [][]int32, configs map[string]string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, -1, -1
	for i, replicas := range assignment {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), replicas
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	for name, value := range configs {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, &value
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err == nil && len(resp.Topics) == 1 {
		err = answer(resp.Topics[0].ErrorCode, resp.Topics[0].ErrorMessage)
	}
	if err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}
