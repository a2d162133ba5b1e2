package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TopicPartitions are partitions of a topic; in a request none stands for all.
type TopicPartitions struct {
	Topic      string  `json:"topic"`
	Partitions []int32 `json:"partitions"`
}

func (t TopicPartitions) equal(o TopicPartitions) bool {
	return t.Topic == o.Topic && slices.Equal(t.Partitions, o.Partitions)
}

// String is what [ParseTopicPartitions] reads: topic:0,1,2, or topic for all.
func (t TopicPartitions) String() string {
	if t.Partitions == nil {
		return t.Topic
	}
	text := make([]string, len(t.Partitions))
	for i, p := range t.Partitions {
		text[i] = strconv.Itoa(int(p))
	}
	return t.Topic + ":" + strings.Join(text, ",")
}

// ParseTopicPartitions reads topic or topic:0,1,2.
func ParseTopicPartitions(s string) (TopicPartitions, error) {
	bad := errors.New("allowed are topic and topic:0,1,2")
	topic, numbers, some := strings.Cut(s, ":")
	if topic == "" {
		return TopicPartitions{}, bad
	}
	t := TopicPartitions{Topic: topic}
	if !some {
		return t, nil
	}
	for n := range strings.SplitSeq(numbers, ",") {
		p, err := strconv.ParseInt(strings.TrimSpace(n), 10, 32)
		if err != nil || p < 0 {
			return TopicPartitions{}, bad
		}
		if !slices.Contains(t.Partitions, int32(p)) {
			t.Partitions = append(t.Partitions, int32(p))
		}
	}
	slices.Sort(t.Partitions)
	return t, nil
}

// topicSet is a set of partitions.
type topicSet map[string]map[int32]bool

func (s topicSet) add(topic string, partitions ...int32) {
	if s[topic] == nil {
		s[topic] = map[int32]bool{}
	}
	for _, p := range partitions {
		s[topic][p] = true
	}
}

// list returns the set sorted.
func (s topicSet) list() []TopicPartitions {
	l := make([]TopicPartitions, 0, len(s))
	for _, t := range slices.Sorted(maps.Keys(s)) {
		l = append(l, TopicPartitions{t, slices.Sorted(maps.Keys(s[t]))})
	}
	return l
}

// listed are offsets that brokers listed.
type listed struct {
	offsets kadm.ListedOffsets
	failed  error // of those that are not among them
}

// at is nil for what is not known.
func (l listed) at(topic string, partition int32) *int64 {
	if o, ok := l.offsets.Lookup(topic, partition); ok && o.Err == nil && o.Offset >= 0 {
		return &o.Offset
	}
	return nil
}

// problem says why the offset of a partition is not known.
func (l listed) problem(topic string, partition int32) error {
	o, ok := l.offsets.Lookup(topic, partition)
	if !ok {
		o, ok = l.offsets.Lookup(topic, -1) // of the topic as a whole
	}
	switch {
	case ok && errors.Is(o.Err, kerr.UnknownTopicOrPartition):
		return noTopic(topic)
	case ok && o.Err != nil:
		return o.Err
	case !ok && l.failed != nil:
		return l.failed
	case !ok:
		return fmt.Errorf("topic %s has no partition %d", topic, partition)
	case o.Offset < 0:
		return errors.New("the broker knows no offset")
	}
	return nil
}

// list asks for offsets. What several brokers answer may come in part: the rest
// has its problem. It fails when nothing came.
func list(ask func() (kadm.ListedOffsets, error)) (listed, error) {
	offsets, err := ask()
	var shards *kadm.ShardErrors
	if err != nil && (!errors.As(err, &shards) || shards.AllFailed) {
		return listed{}, fmt.Errorf("list offsets: %w", Problem(err))
	}
	return listed{offsets, Problem(err)}, nil
}

// bounds asks for first and next offsets.
func bounds(ctx context.Context, adm *kadm.Client, of topicSet) (starts, ends listed, err error) {
	topics := slices.Sorted(maps.Keys(of))
	if starts, err = list(func() (kadm.ListedOffsets, error) { return adm.ListStartOffsets(ctx, topics...) }); err != nil {
		return starts, ends, err
	}
	ends, err = list(func() (kadm.ListedOffsets, error) { return adm.ListEndOffsets(ctx, topics...) })
	return starts, ends, err
}
