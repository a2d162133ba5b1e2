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
	"github.com/twmb/franz-go/pkg/kgo"
)

// The settings that slow replication down (KIP-73, KIP-113): rates of a broker in bytes a second, and the replicas of a topic that
// they are for.
const (
	leaderRate       = "leader.replication.throttled.rate"
	followerRate     = "follower.replication.throttled.rate"
	dirRate          = "replica.alter.log.dirs.io.max.bytes.per.second"
	leaderReplicas   = "leader.replication.throttled.replicas"
	followerReplicas = "follower.replication.throttled.replicas"
)

// move is a partition that replicas are copied of: from brokers, to others.
type move struct{ from, to map[int32]bool }

// movesBetween are the moves of a plan and those that are under way already, by topic and partition. A broker that has a replica
// is none that it is copied to.
func movesBetween(current, plan Plan, running []Reassignment) map[string]map[int32]move {
	moves := map[string]map[int32]move{}
	add := func(topic string, partition int32) move {
		if moves[topic] == nil {
			moves[topic] = map[int32]move{}
		}
		if _, ok := moves[topic][partition]; !ok {
			moves[topic][partition] = move{map[int32]bool{}, map[int32]bool{}}
		}
		return moves[topic][partition]
	}
	for _, r := range running {
		m := add(r.Topic, r.Partition)
		for _, id := range r.Replicas {
			m.from[id] = true
		}
		for _, id := range r.Adding {
			m.to[id] = true
			delete(m.from, id)
		}
	}
	for _, p := range plan {
		_, under := moves[p.Topic][p.Partition]
		m := add(p.Topic, p.Partition)
		if now, ok := current.of(p.Topic, p.Partition); ok && !under {
			for _, id := range now.Replicas {
				m.from[id] = true
			}
		}
		clear(m.to)
		for _, id := range p.Replicas {
			if !m.from[id] {
				m.to[id] = true
			}
		}
	}
	return moves
}

// Throttle limits what a reassignment takes between brokers, in bytes a second: the replicas that a plan and the reassignments under
// way move, and the brokers between which they do.
func Throttle(ctx context.Context, cl *kgo.Client, current, plan Plan, running []Reassignment, rate int64) error {
	moves := movesBetween(current, plan, running)
	brokers := map[int32]bool{}
	for _, topic := range slices.Sorted(maps.Keys(moves)) {
		var leaders, followers []string
		for _, partition := range slices.Sorted(maps.Keys(moves[topic])) {
			m := moves[topic][partition]
			for _, id := range slices.Sorted(maps.Keys(m.from)) {
				leaders = append(leaders, fmt.Sprintf("%d:%d", partition, id))
				brokers[id] = true
			}
			for _, id := range slices.Sorted(maps.Keys(m.to)) {
				followers = append(followers, fmt.Sprintf("%d:%d", partition, id))
				brokers[id] = true
			}
		}
		var changes []SettingChange
		if len(leaders) > 0 {
			changes = append(changes, SettingChange{Set, leaderReplicas, strings.Join(leaders, ",")})
		}
		if len(followers) > 0 {
			changes = append(changes, SettingChange{Set, followerReplicas, strings.Join(followers, ",")})
		}
		if len(changes) > 0 {
			if err := ChangeSettings(ctx, cl, Resource{TopicResource, topic}, changes, false); err != nil {
				return err
			}
		}
	}
	value := strconv.FormatInt(rate, 10)
	return throttleBrokers(ctx, cl, slices.Sorted(maps.Keys(brokers)), []SettingChange{{Set, leaderRate, value}, {Set, followerRate, value}})
}

// ThrottleDirs limits what moves between the directories of one broker take, in bytes a second, on the brokers where a plan has
// some.
func ThrottleDirs(ctx context.Context, cl *kgo.Client, plan Plan, rate int64) error {
	brokers := map[int32]bool{}
	for _, m := range plan.moves() {
		brokers[m.replica.broker] = true
	}
	return throttleBrokers(ctx, cl, slices.Sorted(maps.Keys(brokers)), []SettingChange{{Set, dirRate, strconv.FormatInt(rate, 10)}})
}

func throttleBrokers(ctx context.Context, cl *kgo.Client, ids []int32, changes []SettingChange) error {
	for _, id := range ids {
		if err := ChangeSettings(ctx, cl, Resource{BrokerResource, strconv.Itoa(int(id))}, changes, false); err != nil {
			return err
		}
	}
	return nil
}

// Unthrottle takes all these limits away, from the brokers of the cluster and the topics of a plan; what it does it tells before.
func Unthrottle(ctx context.Context, cl *kgo.Client, plan Plan, tell func(brokers []int32, topics []string)) error {
	there, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err != nil {
		return Problem(err)
	}
	var topics []string
	for _, t := range plan.Partitions() {
		topics = append(topics, t.Topic)
	}
	tell(there.NodeIDs(), topics)
	errs := []error{throttleBrokers(ctx, cl, there.NodeIDs(), []SettingChange{{Op: Unset, Name: leaderRate}, {Op: Unset, Name: followerRate}, {Op: Unset, Name: dirRate}})}
	for _, t := range topics {
		errs = append(errs, ChangeSettings(ctx, cl, Resource{TopicResource, t}, []SettingChange{{Op: Unset, Name: leaderReplicas}, {Op: Unset, Name: followerReplicas}}, false))
	}
	return errors.Join(errs...)
}
