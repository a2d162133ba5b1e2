package admin

import (
	"errors"
	"fmt"
	"strings"
)

// The functions of this file say what kafka-reassign-partitions.sh prints; each line ends.

// many is the s of several.
func many(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// names are the partitions of a plan, as Kafka's tools list them.
func (p Plan) names() string {
	all := make([]string, len(p))
	for i, one := range p {
		all[i] = one.name()
	}
	return strings.Join(all, ",")
}

// ProposalAsKafka is what --generate prints.
func ProposalAsKafka(current, proposed Plan) string {
	return fmt.Sprintf("Current partition replica assignment\n%s\n\nProposed partition reassignment configuration\n%s\n", current, proposed)
}

// RollbackAsKafka is what --execute prints first: where the partitions are.
func RollbackAsKafka(current Plan) string {
	return fmt.Sprintf("Current partition replica assignment\n\n%s\n\nSave this to use as the --reassignment-json-file option during rollback\n", current)
}

// ThrottledAsKafka is what --execute prints of its limits in bytes a second; 0 is none.
func ThrottledAsKafka(rate, dirRate int64) string {
	if rate == 0 && dirRate == 0 {
		return ""
	}
	s := "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.\n"
	if rate > 0 {
		s += fmt.Sprintf("The inter-broker throttle limit was set to %d B/s\n", rate)
	}
	if dirRate > 0 {
		s += fmt.Sprintf("The replica-alter-dir throttle limit was set to %d B/s\n", dirRate)
	}
	return s
}

// StartedAsKafka is what --execute prints when the reassignment of a plan has begun.
func StartedAsKafka(plan Plan) string {
	return fmt.Sprintf("Successfully started partition reassignment%s for %s\n", many(len(plan)), plan.names())
}

// MovesAsKafka is what is printed of moves between directories that have begun.
func MovesAsKafka(moves []DirMove) string {
	var b strings.Builder
	for _, m := range moves {
		fmt.Fprintf(&b, "Successfully started moving log directory to %s for replica %s-%d with broker %d \n", m.dir, m.replica.topic, m.replica.partition, m.replica.broker)
	}
	return b.String()
}

// RefusedAsKafka is what --execute and --cancel print of partitions that the cluster refuses; of other errors nothing.
func RefusedAsKafka(what string, err error) string {
	var lines []string
	var collect func(err error)
	collect = func(err error) {
		var one *PartitionError
		if all, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range all.Unwrap() {
				collect(e)
			}
		} else if errors.As(err, &one) {
			lines = append(lines, fmt.Sprintf("%s-%d: %s\n", one.Topic, one.Partition, one.words))
		}
	}
	collect(err)
	if len(lines) == 0 {
		return ""
	}
	return what + ":\n" + strings.Join(lines, "")
}

// ReassignmentsAsKafka is what --list prints.
func ReassignmentsAsKafka(all []Reassignment) string {
	if len(all) == 0 {
		return "No partition reassignments found.\n"
	}
	var b strings.Builder
	b.WriteString("Current partition reassignments:\n")
	for _, r := range all {
		fmt.Fprintf(&b, "%s-%d: replicas: %s.", r.Topic, r.Partition, commas(r.Replicas))
		if len(r.Adding) > 0 {
			fmt.Fprintf(&b, " adding: %s.", commas(r.Adding))
		}
		if len(r.Removing) > 0 {
			fmt.Fprintf(&b, " removing: %s.", commas(r.Removing))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// StatesAsKafka is what --verify prints of a plan.
func StatesAsKafka(states []PlanState) string {
	var b, dirs strings.Builder
	b.WriteString("Status of partition reassignment:\n")
	for _, s := range states {
		name := fmt.Sprintf("%s-%d", s.Topic, s.Partition)
		switch s.State {
		case Completed:
			fmt.Fprintf(&b, "Reassignment of partition %s is completed.\n", name)
		case InProgress:
			fmt.Fprintf(&b, "Reassignment of partition %s is still in progress.\n", name)
		default:
			fmt.Fprintf(&b, "There is no active reassignment of partition %s, but replica set is %s rather than %s.\n", name, commas(s.Replicas), commas(s.Wanted))
		}
		for _, d := range s.Dirs {
			on := fmt.Sprintf("%s on broker %d", name, d.Broker)
			switch d.State {
			case Completed:
				fmt.Fprintf(&dirs, "Reassignment of replica %s-%d completed successfully.\n", name, d.Broker)
			case InProgress:
				fmt.Fprintf(&dirs, "Reassignment of replica %s-%d is still in progress.\n", name, d.Broker)
			case MovingElsewhere:
				fmt.Fprintf(&dirs, "Partition %s is being moved to log dir %s instead of %s.\n", on, d.Moving, d.Wanted)
			case NotMoving:
				fmt.Fprintf(&dirs, "Partition %s is not being moved from log dir %s to %s.\n", on, d.Dir, d.Wanted)
			default:
				fmt.Fprintf(&dirs, "Partition %s cannot be found in any live log directory on broker %d.\n", name, d.Broker)
			}
		}
	}
	if dirs.Len() == 0 {
		dirs.WriteByte('\n')
	}
	return b.String() + dirs.String()
}

// CancelledAsKafka is what --cancel prints.
func CancelledAsKafka(these []Reassignment, moves []DirMove) string {
	s := "None of the specified partition reassignments are active.\n"
	if len(these) > 0 {
		var plan Plan
		for _, r := range these {
			plan = append(plan, Placement{Topic: r.Topic, Partition: r.Partition})
		}
		s = fmt.Sprintf("Successfully cancelled partition reassignment%s for: %s\n", many(len(these)), plan.names())
	}
	if len(moves) == 0 {
		return s + "None of the specified partition moves are active."
	}
	return s + MovesAsKafka(moves)
}

// UnthrottledAsKafka is what --verify and --cancel print of the limits that they take away.
func UnthrottledAsKafka(brokers []int32, topics []string) string {
	return fmt.Sprintf("Clearing broker-level throttles on broker%s %s\nClearing topic-level throttles on topic%s %s\n",
		many(len(brokers)), commas(brokers), many(len(topics)), strings.Join(topics, ","))
}
