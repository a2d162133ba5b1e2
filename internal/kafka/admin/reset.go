package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Target is a rule for where a group goes on reading. The rules are those of
// Kafka's kafka-consumer-groups.sh.
type Target struct {
	rule   rule
	number int64
	time   time.Time
	file   Offsets
}

type rule uint8

const (
	ruleEarliest rule = iota
	ruleLatest
	ruleCurrent
	ruleOffset
	ruleShift
	ruleTime
	ruleFile
)

// ToEarliest goes to the first record there is.
func ToEarliest() Target { return Target{rule: ruleEarliest} }

// ToLatest goes behind the last record.
func ToLatest() Target { return Target{rule: ruleLatest} }

// ToCurrent stays at the committed offset, and where there is none goes behind the
// last record.
func ToCurrent() Target { return Target{rule: ruleCurrent} }

// ToOffset goes to an offset.
func ToOffset(n int64) Target { return Target{rule: ruleOffset, number: n} }

// ShiftBy goes n records on from the committed offset, or back.
func ShiftBy(n int64) Target { return Target{rule: ruleShift, number: n} }

// ToTime goes to the first record of this time or later, and behind the last one
// if there is none.
func ToTime(t time.Time) Target { return Target{rule: ruleTime, time: t} }

// ToFile goes where a file says ([ReadOffsets]); only its partitions are touched.
func ToFile(o Offsets) Target { return Target{rule: ruleFile, file: o} }

// Groups are the groups that the file of [ToFile] names, sorted.
func (t Target) Groups() []string { return t.file.groups() }

// offset applies the rule to one partition. start and end are its bounds, found
// the offset of the rule's time, which only that rule looks at.
func (t Target) offset(committed *int64, start, end, found int64) (n int64, err error) {
	switch t.rule {
	case ruleEarliest:
		n = start
	case ruleLatest:
		n = end
	case ruleCurrent:
		if n = end; committed != nil {
			n = *committed
		}
	case ruleOffset, ruleFile:
		n = t.number
	case ruleShift:
		if committed == nil {
			return 0, errors.New("nothing is committed that could be shifted")
		}
		n = *committed + t.number
		if t.number > 0 && n < *committed { // overflow
			n = end
		}
	case ruleTime:
		n = found
	}
	return min(max(n, start), end), nil
}

// Change is what a reset does to a partition.
type Change struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"` // until now
	Offset    int64  `json:"offset"`    // from now on, moved to within Start and End
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
}

// inactive refuses a group whose members would commit over what is set. A group
// that is not there comes to be with its first offset.
func inactive(ctx context.Context, cl *kgo.Client, group string) error {
	d, err := DescribeGroup(ctx, cl, group)
	switch {
	case errors.Is(err, ErrNoGroup):
		return nil
	case err != nil:
		return err
	case d.State != "Empty" && d.State != "Dead":
		return fmt.Errorf("group %s: its offsets can be set when it has no members; it is %s", group, d.State)
	}
	return nil
}

// PlanReset says what would change if a group went to a target, sorted by topic
// and partition: in the given topics or partitions, or in all that the group has
// an offset of when none are given. It changes nothing.
func PlanReset(ctx context.Context, cl *kgo.Client, group string, what []TopicPartitions, to Target) ([]Change, error) {
	if err := inactive(ctx, cl, group); err != nil {
		return nil, err
	}
	adm := kadm.NewClient(cl)
	committed, err := committedOffsets(ctx, adm, group)
	if err != nil {
		return nil, err
	}
	if to.rule == ruleFile {
		what = to.file.partitions(group)
	} else if len(what) == 0 {
		all := topicSet{}
		committed.Each(func(o kadm.OffsetResponse) { all.add(o.Topic, o.Partition) })
		what = all.list()
	}
	if len(what) == 0 {
		return nil, fmt.Errorf("group %s has no offsets to set; name topics", group)
	}
	of, err := existing(ctx, adm, what)
	if err != nil {
		return nil, err
	}
	starts, ends, err := bounds(ctx, adm, of)
	if err != nil {
		return nil, err
	}
	var times listed
	if to.rule == ruleTime {
		times, err = list(func() (kadm.ListedOffsets, error) {
			return adm.ListOffsetsAfterMilli(ctx, to.time.UnixMilli(), slices.Sorted(maps.Keys(of))...)
		})
		if err != nil {
			return nil, err
		}
	}
	var changes []Change
	for _, t := range of.list() {
		for _, p := range t.Partitions {
			start, end := starts.at(t.Topic, p), ends.at(t.Topic, p)
			if start == nil || end == nil {
				return nil, fmt.Errorf("topic %s partition %d: its offsets are not known: %w", t.Topic, p,
					cmp.Or(starts.problem(t.Topic, p), ends.problem(t.Topic, p)))
			}
			c := Change{Group: group, Topic: t.Topic, Partition: p, Start: *start, End: *end}
			if o, ok := committed.Lookup(t.Topic, p); ok && o.At >= 0 {
				c.Committed = &o.At
			}
			found := *end
			if n := times.at(t.Topic, p); n != nil {
				found = *n
			} else if to.rule == ruleTime && times.problem(t.Topic, p) != nil {
				return nil, fmt.Errorf("topic %s partition %d: %w", t.Topic, p, times.problem(t.Topic, p))
			}
			if to.rule == ruleFile {
				to.number = to.file.of(group)[t.Topic][p]
			}
			if c.Offset, err = to.offset(c.Committed, *start, *end, found); err != nil {
				return nil, fmt.Errorf("group %s: topic %s partition %d: %w", group, t.Topic, p, err)
			}
			changes = append(changes, c)
		}
	}
	return changes, nil
}

// existing finds the partitions of topics, and refuses those that are not there.
func existing(ctx context.Context, adm *kadm.Client, what []TopicPartitions) (topicSet, error) {
	var names []string
	for _, t := range what {
		if !slices.Contains(names, t.Topic) {
			names = append(names, t.Topic)
		}
	}
	topics, err := lookUp(ctx, adm, names)
	if err != nil {
		return nil, err
	}
	of := topicSet{}
	for _, t := range what {
		d, ok := topics[t.Topic]
		switch {
		case !ok, errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			return nil, noTopic(t.Topic)
		case d.Err != nil:
			return nil, fmt.Errorf("topic %s: %w", t.Topic, d.Err)
		}
		if t.Partitions == nil {
			of.add(t.Topic, d.Partitions.Numbers()...)
		}
		for _, p := range t.Partitions {
			if _, ok := d.Partitions[p]; !ok {
				return nil, fmt.Errorf("topic %s has no partition %d; it has %d", t.Topic, p, len(d.Partitions))
			}
			of.add(t.Topic, p)
		}
	}
	return of, nil
}

// ApplyReset commits what [PlanReset] planned for one group.
func ApplyReset(ctx context.Context, cl *kgo.Client, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	offsets := kadm.Offsets{}
	for _, c := range changes {
		offsets.AddOffset(c.Topic, c.Partition, c.Offset, -1)
	}
	group := changes[0].Group
	rs, err := kadm.NewClient(cl).CommitOffsets(ctx, group, offsets)
	if err != nil {
		return aboutGroup("set offsets of", group, err)
	}
	for _, r := range rs.Sorted() {
		switch {
		case errors.Is(r.Err, kerr.UnknownMemberID), errors.Is(r.Err, kerr.IllegalGeneration), errors.Is(r.Err, kerr.StaleMemberEpoch):
			return fmt.Errorf("set offsets of group %s: members came meanwhile; stop them first", group)
		case r.Err != nil:
			return fmt.Errorf("set offsets of group %s: topic %s partition %d: %w", group, r.Topic, r.Partition, r.Err)
		}
	}
	return nil
}

// isoUnit is a part of a duration in ISO 8601, which has no fixed length for years
// and months.
type isoUnit struct {
	letter byte
	time   bool // behind the T
	length time.Duration
}

var isoUnits = []isoUnit{{'W', false, 7 * 24 * time.Hour}, {'D', false, 24 * time.Hour}, {'H', true, time.Hour}, {'M', true, time.Minute}, {'S', true, time.Second}}

// ParseDuration reads Go's notation (90m, 1h30m), and ISO 8601's as Kafka's tools
// take it (PT1H30M, P7D).
func ParseDuration(s string) (time.Duration, error) {
	bad := errors.New("allowed are durations such as 90m, 24h, PT1H30M and P7D")
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d, nil
	}
	rest, ok := strings.CutPrefix(strings.ToUpper(s), "P")
	if !ok || rest == "" || strings.HasSuffix(rest, "T") {
		return 0, bad
	}
	var sum time.Duration
	inTime := false
	units := isoUnits
	for rest != "" {
		if rest[0] == 'T' && !inTime {
			inTime, rest = true, rest[1:]
			continue
		}
		n := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n <= 0 {
			return 0, bad
		}
		i := slices.IndexFunc(units, func(u isoUnit) bool { return u.letter == rest[n] && u.time == inTime })
		if i < 0 {
			return 0, bad
		}
		number, seconds := rest[:n], units[i].letter == 'S'
		if strings.Contains(number, ".") && !seconds || len(number) > 12 {
			return 0, bad
		}
		d, err := time.ParseDuration(number + "s")
		if err != nil || d > (1<<63-1-sum)/(units[i].length/time.Second) {
			return 0, bad
		}
		sum += d * (units[i].length / time.Second)
		units, rest = units[i+1:], rest[n+1:]
	}
	return sum, nil
}

// ParseTime reads RFC 3339, and what Kafka's tools take: 2026-01-02T15:04:05.000
// without a zone, which is UTC, and with one as +0200.
func ParseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("allowed are times such as 2026-01-02T15:04:05Z and 2026-01-02T15:04:05.000, which is UTC")
}
