package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Reassignment is a partition on its way to other brokers (KIP-455).
type Reassignment struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Replicas  []int32 `json:"replicas"` // all now, those that are added and removed among them
	Adding    []int32 `json:"adding"`
	Removing  []int32 `json:"removing"`
}

// Reassignments lists the partitions that are on their way, sorted: of these, or of none named, all.
func Reassignments(ctx context.Context, cl *kgo.Client, what []TopicPartitions) ([]Reassignment, error) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.TimeoutMillis = 30_000
	for _, t := range what {
		rt := kmsg.NewListPartitionReassignmentsRequestTopic()
		rt.Topic, rt.Partitions = t.Topic, t.Partitions
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = answer(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, fmt.Errorf("list reassignments: %w", Problem(err))
	}
	all := []Reassignment{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			all = append(all, Reassignment{t.Topic, p.Partition, orEmpty(p.Replicas), orEmpty(p.AddingReplicas), orEmpty(p.RemovingReplicas)})
		}
	}
	slices.SortFunc(all, func(a, b Reassignment) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all, nil
}

// UnknownBrokerError is the id of a broker that the cluster does not have.
type UnknownBrokerError int32

func (e UnknownBrokerError) Error() string { return fmt.Sprintf("Unknown broker id %d", int32(e)) }

// CheckBrokers refuses a plan with brokers that the cluster does not have.
func CheckBrokers(ctx context.Context, cl *kgo.Client, plan Plan) error {
	there, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err != nil {
		return Problem(err)
	}
	for _, id := range plan.brokers() {
		if !slices.Contains(there.NodeIDs(), id) {
			return UnknownBrokerError(id)
		}
	}
	return nil
}

// Racks are the brokers of a cluster, of these ids or of none named all, and where they stand unless that is to be ignored. It
// is an error when the racks of only some are known.
func Racks(ctx context.Context, cl *kgo.Client, ids []int32, ignore bool) ([]Rack, error) {
	there, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err != nil {
		return nil, Problem(err)
	}
	var racks []Rack
	known := 0
	for _, b := range there {
		if len(ids) > 0 && !slices.Contains(ids, b.NodeID) {
			continue
		}
		r := Rack{Broker: b.NodeID}
		if b.Rack != nil && !ignore {
			r.Rack = *b.Rack
			known++
		}
		racks = append(racks, r)
	}
	if known > 0 && known < len(racks) {
		return nil, fmt.Errorf("the racks of %d brokers are known, of %d they are not", known, len(racks)-known)
	}
	return racks, nil
}

// CurrentPlan is where partitions are now, in which directories of the brokers that answer too.
func CurrentPlan(ctx context.Context, cl *kgo.Client, what []TopicPartitions) (Plan, error) {
	adm := kadm.NewClient(cl)
	of, err := existing(ctx, adm, what)
	if err != nil {
		return nil, err
	}
	placed, err := placements(ctx, adm, of)
	if err != nil {
		return nil, err
	}
	dirs, err := replicaDirs(ctx, adm, of)
	if err != nil {
		return nil, err
	}
	for i := range placed {
		p := &placed[i]
		for _, id := range p.Replicas {
			dir := AnyDir
			if d, ok := dirs[replica{p.Topic, p.Partition, id}]; ok && d.current != "" {
				dir = d.current
			}
			p.Dirs = append(p.Dirs, dir)
		}
	}
	return placed, nil
}

// placements are where partitions are now; of those that are not there, there is nothing.
func placements(ctx context.Context, adm *kadm.Client, of topicSet) (Plan, error) {
	var names []string
	for _, t := range of.list() {
		names = append(names, t.Topic)
	}
	topics, err := lookUp(ctx, adm, names)
	if err != nil {
		return nil, err
	}
	var plan Plan
	for _, t := range topics {
		for _, p := range t.Partitions {
			if of[t.Topic][p.Partition] {
				plan = append(plan, Placement{Topic: t.Topic, Partition: p.Partition, Replicas: orEmpty(p.Replicas)})
			}
		}
	}
	plan.sort()
	return plan, nil
}

// PartitionError is an error of one partition.
type PartitionError struct {
	Topic     string
	Partition int32
	Err       error
	words     string // what Kafka's tools say of it
}

func (e *PartitionError) Error() string {
	return fmt.Sprintf("topic %s partition %d: %v", e.Topic, e.Partition, e.Err)
}

func (e *PartitionError) Unwrap() error { return e.Err }

// KeepFactor refuses a plan in which partitions have more or fewer replicas than now.
func KeepFactor(current, plan Plan) error {
	var errs []error
	for _, p := range plan {
		if now, ok := current.of(p.Topic, p.Partition); ok && len(now.Replicas) != len(p.Replicas) {
			err := fmt.Errorf("the replication factor is changed from %d to %d", len(now.Replicas), len(p.Replicas))
			errs = append(errs, &PartitionError{p.Topic, p.Partition, err, "The" + strings.TrimPrefix(err.Error(), "the")})
		}
	}
	return errors.Join(errs...)
}

// Reassign has the cluster move partitions to where a plan says; each error is a [PartitionError].
func Reassign(ctx context.Context, cl *kgo.Client, plan Plan) error {
	return alterAssignments(ctx, cl, plan)
}

// CancelReassignments has the cluster give up moving partitions, which go back to where they were.
func CancelReassignments(ctx context.Context, cl *kgo.Client, these []Reassignment) error {
	var plan Plan
	for _, r := range these {
		plan = append(plan, Placement{Topic: r.Topic, Partition: r.Partition})
	}
	return alterAssignments(ctx, cl, plan)
}

// alterAssignments gives partitions other replicas; those with none are cancelled.
func alterAssignments(ctx context.Context, cl *kgo.Client, plan Plan) error {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = 30_000
	for _, p := range plan {
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != p.Topic {
			t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
			t.Topic = p.Topic
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		rp.Partition, rp.Replicas = p.Partition, p.Replicas
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, rp)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = answer(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return fmt.Errorf("reassign: %w", Problem(err))
	}
	var errs []error
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := answer(p.ErrorCode, p.ErrorMessage); err != nil {
				_, words, _ := strings.Cut(exception(p.ErrorCode, p.ErrorMessage), ": ")
				errs = append(errs, &PartitionError{t.Topic, p.Partition, err, words})
			}
		}
	}
	return errors.Join(errs...)
}

// What has come of a part of a plan.
const (
	Completed  = "completed"
	InProgress = "in progress"
	Elsewhere  = "elsewhere" // it is not under way, and not where the plan has it
)

// PlanState is how far a partition of a plan has come.
type PlanState struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	State     string     `json:"state"`
	Replicas  []int32    `json:"replicas"` // now
	Wanted    []int32    `json:"wanted"`
	Dirs      []DirState `json:"dirs,omitempty"` // of the replicas for which the plan names a directory
}

// CheckPlan looks how far a plan has come, and whether anything is under way: of the plan, or any reassignment in the cluster.
func CheckPlan(ctx context.Context, cl *kgo.Client, plan Plan) (states []PlanState, underWay bool, err error) {
	running, err := Reassignments(ctx, cl, nil)
	if err != nil {
		return nil, false, err
	}
	of := topicSet{}
	for _, t := range plan.Partitions() {
		of.add(t.Topic, t.Partitions...)
	}
	now, err := placements(ctx, kadm.NewClient(cl), of)
	if err != nil {
		return nil, false, err
	}
	dirs, err := dirStates(ctx, cl, plan)
	if err != nil {
		return nil, false, err
	}
	underWay = len(running) > 0
	for _, p := range plan {
		is, _ := now.of(p.Topic, p.Partition)
		s := PlanState{Topic: p.Topic, Partition: p.Partition, Replicas: orEmpty(is.Replicas), Wanted: p.Replicas, Dirs: dirs[p.name()]}
		switch {
		case slices.ContainsFunc(running, func(r Reassignment) bool { return r.Topic == p.Topic && r.Partition == p.Partition }):
			s.State = InProgress
		case slices.Equal(is.Replicas, p.Replicas):
			s.State = Completed
		default:
			s.State = Elsewhere
		}
		for _, d := range s.Dirs {
			underWay = underWay || d.moving()
		}
		states = append(states, s)
	}
	return states, underWay, nil
}
