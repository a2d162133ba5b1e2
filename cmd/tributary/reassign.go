package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newReassign() *cobra.Command {
	c := &cobra.Command{
		Use:   "reassign",
		Short: "Move partitions between the brokers of a cluster",
		Example: `  tributary reassign generate flows --broker 2 --broker 3 >plan.json
  tributary reassign execute plan.json --throttle 20MB >back.json
  tributary reassign verify plan.json`,
	}
	k := clusterParent(c)
	c.AddCommand(newReassignGenerate(k), newReassignExecute(k), newReassignVerify(k), newReassignCancel(k), newReassignList(k))
	return c
}

// reassignOptions are the options of one command under reassign.
type reassignOptions struct {
	kafka       *kafkaOptions
	takes       string // which of them, by name
	output      string
	brokers     []string
	topicsFile  string
	ignoreRacks bool
	additional  bool
	keepFactor  bool
	throttle    int64
	dirThrottle int64
	timeout     time.Duration
	keepLimits  bool
}

func newReassignOptions(k *kafkaOptions, takes, output string) *reassignOptions {
	return &reassignOptions{kafka: k, takes: takes, output: output, timeout: 10 * time.Second}
}

func (o *reassignOptions) register(fs *pflag.FlagSet, prefix string) {
	const script = "kafka-reassign-partitions.sh"
	for _, t := range strings.Fields(o.takes) {
		switch t {
		case "plan":
			enumVar(fs, &o.output, prefix+"output", []string{"json", "kafka"}, "how to print: a plan in JSON, or as "+script+" does")
		case "output":
			outputKafkaVar(fs, &o.output, prefix, script)
		case "generate":
			listVar(fs, &o.brokers, prefix+"broker", "number", checkPartition, "broker to move partitions to (repeatable); those that the cluster does not have are left out")
			stringVar(fs, &o.topicsFile, prefix+"topics-file", "`file` that names the topics, in the JSON of Kafka's tool")
			boolVar(fs, &o.ignoreRacks, prefix+"ignore-racks", "do not look which brokers are in one rack")
		case "execute":
			boolVar(fs, &o.additional, prefix+"additional", "even if other reassignments are under way, or to change the limits of one that is")
			boolVar(fs, &o.keepFactor, prefix+"keep-factor", "refuse a plan that changes how many replicas a partition has")
			sizeVar(fs, &o.throttle, prefix+"throttle", 0, math.MaxInt64, "limit in bytes a second of what moves between brokers; 0 is none. verify and cancel take it away")
			sizeVar(fs, &o.dirThrottle, prefix+"dir-throttle", 0, math.MaxInt64, "limit in bytes a second of what moves between directories of one broker; 0 is none")
		case "timeout":
			durationVar(fs, &o.timeout, prefix+"timeout", 0, math.MaxInt64, "how long to wait for moves between directories to begin")
		case "keep-limits":
			boolVar(fs, &o.keepLimits, prefix+"keep-throttles", "leave the limits of brokers and topics as they are")
		}
	}
}

func (o *reassignOptions) check() error { return o.kafka.check() }

// fromFile reads what a file has.
func fromFile[T any](name string, read func(io.Reader) (T, error)) (T, error) {
	f, err := os.Open(name)
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	v, err := read(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return v, err
}

func newReassignGenerate(k *kafkaOptions) *cobra.Command {
	o := newReassignOptions(k, "plan generate", "json")
	return clusterCommand(&cobra.Command{
		Use:   "generate TOPIC...",
		Short: "Propose a plan that spreads the partitions of topics over brokers",
		Long: `Propose a plan that spreads the partitions of topics over brokers, or over all there are,
with as many replicas as they have. Brokers lead equally many partitions, and replicas
are in different racks where brokers know theirs. Nothing is changed.`,
		Example: `  tributary reassign generate flows ledger --broker 1 --broker 2 --broker 3 >plan.json`,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, topics []string) error {
		if (o.topicsFile == "") == (len(topics) == 0) {
			return errors.New("want topics or --topics-file, which name what is to be moved")
		}
		if o.topicsFile != "" {
			var err error
			if topics, err = fromFile(o.topicsFile, admin.ReadTopicsToMove); err != nil {
				return err
			}
		}
		var ids []int32
		for _, b := range o.brokers {
			if id, err := strconv.ParseInt(b, 10, 32); err == nil {
				ids = append(ids, int32(id))
			}
		}
		racks, err := admin.Racks(ctx, cl, ids, o.ignoreRacks)
		if err != nil {
			return err
		}
		var what []admin.TopicPartitions
		for _, t := range topics {
			what = append(what, admin.TopicPartitions{Topic: t})
		}
		current, err := admin.CurrentPlan(ctx, cl, what)
		if err != nil {
			return err
		}
		proposed, err := admin.Propose(current, racks)
		if err != nil {
			return err
		}
		if o.output == "kafka" {
			_, err = io.WriteString(out, admin.ProposalAsKafka(current, proposed))
		} else {
			_, err = fmt.Fprintln(out, proposed)
		}
		return err
	})
}

func newReassignExecute(k *kafkaOptions) *cobra.Command {
	o := newReassignOptions(k, "plan execute timeout", "json")
	return clusterCommand(&cobra.Command{
		Use:   "execute FILE",
		Short: "Begin to move partitions to where a plan has them",
		Long: `Begin to move partitions to where a plan has them, and print where they are now, which is
the plan to go back. verify shows how far it has come.`,
		Example: `  tributary reassign execute plan.json --throttle 20MB >back.json`,
		Args:    cobra.ExactArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		plan, err := fromFile(args[0], admin.ReadPlan)
		if err != nil {
			return err
		}
		running, err := admin.Reassignments(ctx, cl, nil)
		if err != nil {
			return err
		}
		if len(running) > 0 && !o.additional {
			return fmt.Errorf("partitions are being reassigned already, such as %s-%d; --additional goes on all the same", running[0].Topic, running[0].Partition)
		}
		if err := admin.CheckBrokers(ctx, cl, plan); err != nil {
			return err
		}
		current, err := admin.CurrentPlan(ctx, cl, plan.Partitions())
		if err != nil {
			return err
		}
		r := &reassignRun{o: o, out: out, cl: cl, plan: plan, current: current, running: running}
		if o.output == "kafka" {
			fmt.Fprint(out, admin.RollbackAsKafka(current))
		} else {
			fmt.Fprintln(out, current)
		}
		return r.begin(ctx)
	})
}

// reassignRun is a plan that is being executed.
type reassignRun struct {
	o             *reassignOptions
	out           io.Writer
	cl            *kgo.Client
	plan, current admin.Plan
	running       []admin.Reassignment
}

// say prints what Kafka's script would.
func (r *reassignRun) say(text string) {
	if r.o.output == "kafka" {
		fmt.Fprint(r.out, text)
	}
}

func (r *reassignRun) begin(ctx context.Context) error {
	if r.o.throttle > 0 {
		if err := admin.Throttle(ctx, r.cl, r.current, r.plan, r.running, r.o.throttle); err != nil {
			return err
		}
	}
	if r.o.dirThrottle > 0 {
		if err := admin.ThrottleDirs(ctx, r.cl, r.plan, r.o.dirThrottle); err != nil {
			return err
		}
	}
	r.say(admin.ThrottledAsKafka(r.o.throttle, r.o.dirThrottle))
	var err error
	if r.o.keepFactor {
		err = admin.KeepFactor(r.current, r.plan)
	}
	if err == nil {
		err = admin.Reassign(ctx, r.cl, r.plan)
	}
	if err != nil {
		r.say(admin.RefusedAsKafka("Error reassigning partition(s)", err))
		return err
	}
	r.say(admin.StartedAsKafka(r.plan))
	moves, err := admin.MoveDirs(ctx, r.cl, r.plan, r.o.timeout)
	r.say(admin.MovesAsKafka(moves))
	return err
}

func newReassignVerify(k *kafkaOptions) *cobra.Command {
	o := newReassignOptions(k, "output keep-limits", "text")
	return clusterCommand(&cobra.Command{
		Use:   "verify FILE",
		Short: "Show how far a plan has come, and take its limits away when it has",
		Long: `Show how far a plan has come. When nothing is under way any more in the cluster, the
limits on replication that execute has set are taken away, from all brokers and the
topics of the plan.`,
		Example: `  tributary reassign verify plan.json`,
		Args:    cobra.ExactArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		plan, err := fromFile(args[0], admin.ReadPlan)
		if err != nil {
			return err
		}
		states, underWay, err := admin.CheckPlan(ctx, cl, plan)
		if err != nil {
			return err
		}
		if o.output == "kafka" {
			fmt.Fprint(out, admin.StatesAsKafka(states))
		} else if err := printPlanStates(out, o.output, states); err != nil {
			return err
		}
		if underWay || o.keepLimits {
			return nil
		}
		return o.unthrottle(ctx, out, cl, plan)
	})
}

func printPlanStates(out io.Writer, output string, states []admin.PlanState) error {
	return table(out, output, "TOPIC\tPARTITION\tBROKER\tSTATE\tNOW\tWANTED", func(row func(v any, cells ...any) error) error {
		return each(states, func(s admin.PlanState) error {
			err := row(s, s.Topic, s.Partition, "", s.State, numbers(s.Replicas), numbers(s.Wanted))
			if output == "json" { // the directories are in the object
				return err
			}
			return errors.Join(err, each(s.Dirs, func(d admin.DirState) error {
				return row(d, s.Topic, s.Partition, d.Broker, d.State, d.Dir, d.Wanted)
			}))
		})
	})
}

// unthrottle takes the limits of a plan away.
func (o *reassignOptions) unthrottle(ctx context.Context, out io.Writer, cl *kgo.Client, plan admin.Plan) error {
	return admin.Unthrottle(ctx, cl, plan, func(brokers []int32, topics []string) {
		if o.output == "kafka" {
			fmt.Fprint(out, admin.UnthrottledAsKafka(brokers, topics))
		}
	})
}

func newReassignCancel(k *kafkaOptions) *cobra.Command {
	o := newReassignOptions(k, "output keep-limits timeout", "text")
	return clusterCommand(&cobra.Command{
		Use:     "cancel FILE",
		Short:   "Give up moving the partitions of a plan, and take its limits away",
		Example: `  tributary reassign cancel plan.json`,
		Args:    cobra.ExactArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		plan, err := fromFile(args[0], admin.ReadPlan)
		if err != nil {
			return err
		}
		these, err := admin.Reassignments(ctx, cl, plan.Partitions())
		if err != nil {
			return err
		}
		if len(these) > 0 {
			if err := admin.CancelReassignments(ctx, cl, these); err != nil {
				if o.output == "kafka" {
					fmt.Fprint(out, admin.RefusedAsKafka("Error cancelling partition reassignment(s) for", err))
				}
				return err
			}
		}
		moves, err := admin.CancelDirs(ctx, cl, plan, o.timeout)
		if err != nil {
			return err
		}
		if o.output == "kafka" {
			fmt.Fprint(out, admin.CancelledAsKafka(these, moves))
		} else if err := printReassignments(out, o.output, these); err != nil {
			return err
		}
		if o.keepLimits {
			return nil
		}
		return o.unthrottle(ctx, out, cl, plan)
	})
}

func newReassignList(k *kafkaOptions) *cobra.Command {
	o := newReassignOptions(k, "output", "text")
	return clusterCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the partitions that are being moved",
		Example: `  tributary reassign list --output json`,
		Args:    cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		all, err := admin.Reassignments(ctx, cl, nil)
		if err != nil {
			return err
		}
		if o.output == "kafka" {
			_, err := io.WriteString(out, admin.ReassignmentsAsKafka(all))
			return err
		}
		return printReassignments(out, o.output, all)
	})
}

func printReassignments(out io.Writer, output string, all []admin.Reassignment) error {
	return table(out, output, "TOPIC\tPARTITION\tREPLICAS\tADDING\tREMOVING", func(row func(v any, cells ...any) error) error {
		return each(all, func(r admin.Reassignment) error {
			return row(r, r.Topic, r.Partition, numbers(r.Replicas), numbers(r.Adding), numbers(r.Removing))
		})
	})
}
