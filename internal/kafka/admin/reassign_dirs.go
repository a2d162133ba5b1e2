package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// replica is the replica of a partition on a broker.
type replica struct {
	topic     string
	partition int32
	broker    int32
}

// String names it as Kafka's tools do.
func (r replica) String() string { return fmt.Sprintf("%s-%d-%d", r.topic, r.partition, r.broker) }

// dirsOf are the directory that a replica is in, and the one that it is being moved to; empty is none.
type dirsOf struct{ current, future string }

// replicaDirs asks the brokers for the directories of replicas. Of brokers that do not answer there is nothing.
func replicaDirs(ctx context.Context, adm *kadm.Client, of topicSet) (map[replica]dirsOf, error) {
	ask := kadm.TopicsSet{}
	for _, t := range of.list() {
		ask.Add(t.Topic, t.Partitions...)
	}
	described, err := adm.DescribeAllLogDirs(ctx, ask)
	var shards *kadm.ShardErrors
	if err != nil && (!errors.As(err, &shards) || shards.AllFailed) {
		return nil, fmt.Errorf("directories of brokers: %w", Problem(err))
	}
	dirs := map[replica]dirsOf{}
	for _, broker := range described {
		for _, d := range broker {
			for _, p := range d.Topics.Sorted() {
				r := replica{p.Topic, p.Partition, d.Broker}
				is := dirs[r]
				if p.IsFuture {
					is.future = d.Dir
				} else {
					is.current = d.Dir
				}
				dirs[r] = is
			}
		}
	}
	return dirs, nil
}

// What has become of a replica that shall be in a directory, besides [Completed] and [InProgress].
const (
	MovingElsewhere = "moving elsewhere"
	NotMoving       = "not moving"
	NoReplica       = "no replica" // the broker has none of the partition
)

// DirState is how far a replica has come on its way to a directory.
type DirState struct {
	Broker int32  `json:"broker"`
	State  string `json:"state"`
	Dir    string `json:"dir"`              // now
	Moving string `json:"moving,omitempty"` // to this one
	Wanted string `json:"wanted"`
}

func (d DirState) moving() bool { return d.State == InProgress || d.State == MovingElsewhere }

// dirStates are the states of the replicas for which a plan names a directory, by the names of partitions.
func dirStates(ctx context.Context, cl *kgo.Client, plan Plan) (map[string][]DirState, error) {
	wanted := plan.moves()
	if len(wanted) == 0 {
		return nil, nil
	}
	of := topicSet{}
	for _, m := range wanted {
		of.add(m.replica.topic, m.replica.partition)
	}
	dirs, err := replicaDirs(ctx, kadm.NewClient(cl), of)
	if err != nil {
		return nil, err
	}
	states := map[string][]DirState{}
	for _, m := range wanted {
		is := dirs[m.replica]
		s := DirState{Broker: m.replica.broker, Dir: is.current, Moving: is.future, Wanted: m.dir}
		switch {
		case is == dirsOf{}:
			s.State = NoReplica
		case is.future == m.dir:
			s.State = InProgress
		case is.future != "":
			s.State = MovingElsewhere
		case is.current == m.dir:
			s.State = Completed
		default:
			s.State = NotMoving
		}
		name := fmt.Sprintf("%s-%d", m.replica.topic, m.replica.partition)
		states[name] = append(states[name], s)
	}
	return states, nil
}

// DirMove is a replica that goes to another directory of its broker.
type DirMove struct {
	replica replica
	dir     string
}

// moves are the replicas for which the plan names a directory.
func (p Plan) moves() []DirMove {
	var all []DirMove
	for _, one := range p {
		for i, id := range one.Replicas {
			if dir := one.dir(i); dir != AnyDir {
				all = append(all, DirMove{replica{one.Topic, one.Partition, id}, dir})
			}
		}
	}
	return all
}

// MoveDirs has brokers move replicas to the directories that a plan names (KIP-113). A broker that has no such replica yet is asked
// again and again for a time, and puts it there when it comes. It returns the moves that have begun, sorted.
func MoveDirs(ctx context.Context, cl *kgo.Client, plan Plan, patience time.Duration) ([]DirMove, error) {
	return startMoves(ctx, cl, plan.moves(), patience)
}

// CancelDirs has brokers give up moving replicas to the directories that a plan names, and returns what was given up.
func CancelDirs(ctx context.Context, cl *kgo.Client, plan Plan, patience time.Duration) ([]DirMove, error) {
	states, err := dirStates(ctx, cl, plan)
	if err != nil {
		return nil, err
	}
	var back []DirMove
	for _, p := range plan {
		for _, s := range states[p.name()] {
			if s.State == InProgress {
				back = append(back, DirMove{replica{p.Topic, p.Partition, s.Broker}, s.Dir})
			}
		}
	}
	return startMoves(ctx, cl, back, patience)
}

func startMoves(ctx context.Context, cl *kgo.Client, moves []DirMove, patience time.Duration) (begun []DirMove, err error) {
	deadline := time.Now().Add(patience)
	pending := slices.Clone(moves)
	for len(pending) > 0 {
		begun, pending, err = tryMoves(ctx, cl, begun, pending)
		if err != nil {
			return begun, err
		}
		if len(pending) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return begun, fmt.Errorf("in %v no replica for a directory came to be: %s", patience, pending[0].replica)
		}
		select {
		case <-ctx.Done():
			return begun, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return begun, nil
}

// tryMoves asks the brokers once, and parts what has begun from what has not yet.
func tryMoves(ctx context.Context, cl *kgo.Client, begun, pending []DirMove) (done, left []DirMove, err error) {
	slices.SortFunc(pending, func(a, b DirMove) int {
		return cmp.Or(cmp.Compare(a.replica.broker, b.replica.broker), strings.Compare(a.replica.topic, b.replica.topic), cmp.Compare(a.replica.partition, b.replica.partition))
	})
	adm := kadm.NewClient(cl)
	for len(pending) > 0 {
		broker := pending[0].replica.broker
		n := slices.IndexFunc(pending, func(m DirMove) bool { return m.replica.broker != broker })
		if n < 0 {
			n = len(pending)
		}
		var req kadm.AlterReplicaLogDirsReq
		for _, m := range pending[:n] {
			set := kadm.TopicsSet{}
			set.Add(m.replica.topic, m.replica.partition)
			req.Add(m.dir, set)
		}
		resp, err := adm.AlterBrokerReplicaLogDirs(ctx, broker, req)
		if err != nil {
			return begun, left, fmt.Errorf("broker %d: %w", broker, Problem(err))
		}
		for _, m := range pending[:n] {
			switch err := resp[m.replica.topic][m.replica.partition].Err; {
			case err == nil:
				begun = append(begun, m)
			case errors.Is(err, kerr.ReplicaNotAvailable):
				left = append(left, m)
			default:
				return begun, left, fmt.Errorf("move replica %s to %s: %w", m.replica, m.dir, err)
			}
		}
		pending = pending[n:]
	}
	return begun, left, nil
}
