package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newGroups() *cobra.Command {
	c := &cobra.Command{
		Use:   "groups",
		Short: "List and describe consumer groups, set and delete their offsets",
		Example: `  tributary groups list
  tributary groups describe viewers
  tributary groups reset-offsets viewers --topic flows --to-earliest --execute`,
	}
	k := clusterParent(c)
	c.AddCommand(newGroupsList(k), newGroupsDescribe(k), newGroupsReset(k), newGroupsDelete(k), newGroupsDeleteOffsets(k))
	return c
}

// groupStates are the states of classic groups and those of KIP-848.
var groupStates = []string{"Empty", "Stable", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "Dead"}

// groupsListOptions are the options of groups list.
type groupsListOptions struct {
	kafka  *kafkaOptions
	output string
	states []string
	types  []string
	show   []string

	protocols []string
	consumers bool
}

func (o *groupsListOptions) register(fs *pflag.FlagSet, prefix string) {
	outputKafkaVar(fs, &o.output, prefix, "kafka-consumer-groups.sh")
	listVar(fs, &o.states, prefix+"state", "state", oneOf(groupStates...), "only groups in this state (repeatable): "+strings.Join(groupStates, ", "))
	listVar(fs, &o.types, prefix+"type", "type", oneOf("classic", "consumer", "share", "streams"), "only groups of this type (repeatable): classic, consumer, share, streams")
	listVar(fs, &o.protocols, prefix+"protocol", "protocol", nil, "only groups of this protocol (repeatable): consumer, connect")
	boolVar(fs, &o.consumers, prefix+"consumers", "only groups of consumers, of whatever type, those with nothing but offsets among them")
	listVar(fs, &o.show, prefix+"show", "what", oneOf("type", "state", "protocol"), "with --output kafka show this column too (repeatable): type, state; protocol: all that kafka-groups.sh shows")
}

func (o *groupsListOptions) check() error { return o.kafka.check() }

// oneOf accepts these words.
func oneOf(words ...string) func(string) error {
	return func(s string) error {
		for _, w := range words {
			if s == w {
				return nil
			}
		}
		return errors.New("allowed are " + strings.Join(words, ", "))
	}
}

func newGroupsList(k *kafkaOptions) *cobra.Command {
	o := &groupsListOptions{kafka: k, output: "text"}
	return clusterCommand(&cobra.Command{
		Use:   "list [REGULAR EXPRESSION]",
		Short: "List groups",
		Example: `  tributary groups list
  tributary groups list '^view' --state Empty --output json`,
		Args: cobra.MaximumNArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		re, err := regexp.Compile(strings.Join(args, ""))
		if err != nil {
			return err
		}
		groups, err := admin.ListGroups(ctx, cl, o.types, o.states)
		if err != nil {
			return err
		}
		groups = slices.DeleteFunc(groups, func(g admin.Group) bool { return !re.MatchString(g.Group) || !o.wants(g) })
		if o.output == "kafka" {
			return o.asKafka(out, groups)
		}
		return table(out, o.output, "GROUP\tTYPE\tPROTOCOL\tSTATE\tCOORDINATOR", func(row func(v any, cells ...any) error) error {
			for _, g := range groups {
				if err := row(g, g.Group, g.Type, g.ProtocolType, g.State, g.Coordinator); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// wants reports whether a group is of the protocols asked for.
func (o *groupsListOptions) wants(g admin.Group) bool {
	if len(o.protocols) > 0 && !slices.Contains(o.protocols, g.ProtocolType) {
		return false
	}
	return !o.consumers || g.Type == "consumer" || g.ProtocolType == "consumer" || g.ProtocolType == ""
}

// asKafka prints groups as Kafka's script does: names alone, or a table with what else is to be shown.
func (o *groupsListOptions) asKafka(out io.Writer, groups []admin.Group) error {
	if slices.Contains(o.show, "protocol") {
		return admin.WriteGroupsAsKafka(out, groups)
	}
	if len(o.show) == 0 {
		for _, g := range groups {
			fmt.Fprintln(out, g.Group)
		}
		return nil
	}
	head := "GROUP"
	if slices.Contains(o.show, "type") {
		head += "\tTYPE"
	}
	if slices.Contains(o.show, "state") {
		head += "\tSTATE"
	}
	return table(out, o.output, head, func(row func(v any, cells ...any) error) error {
		return each(groups, func(g admin.Group) error {
			cells := []any{g.Group}
			if slices.Contains(o.show, "type") {
				cells = append(cells, g.TypeAsKafka())
			}
			if slices.Contains(o.show, "state") {
				cells = append(cells, g.State)
			}
			return row(nil, cells...)
		})
	})
}

// groupsDescribeOptions are the options of groups describe.
type groupsDescribeOptions struct {
	kafka                   *kafkaOptions
	output                  string
	offsets, members, state bool
	verbose                 bool
}

func (o *groupsDescribeOptions) register(fs *pflag.FlagSet, prefix string) {
	outputKafkaVar(fs, &o.output, prefix, "kafka-consumer-groups.sh")
	boolVar(fs, &o.offsets, prefix+"offsets", "show offsets and lag of each partition; so it is when nothing else is asked for")
	boolVar(fs, &o.members, prefix+"members", "show the members and what is assigned to them")
	boolVar(fs, &o.state, prefix+"state", "show the state of the group")
	boolVar(fs, &o.verbose, prefix+"verbose", "with --output kafka, of members and state what Kafka's script shows so too: epochs and what is assigned")
}

func (o *groupsDescribeOptions) check() error {
	n := 0
	for _, v := range []bool{o.offsets, o.members, o.state} {
		if v {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("--offsets, --members and --state exclude each other")
	case o.verbose && (o.output != "kafka" || !o.members && !o.state):
		return errors.New("--verbose is for --output kafka with --members or --state")
	}
	return o.kafka.check()
}

func newGroupsDescribe(k *kafkaOptions) *cobra.Command {
	o := &groupsDescribeOptions{kafka: k, output: "text"}
	return clusterCommand(&cobra.Command{
		Use:   "describe [GROUP...]",
		Short: "Show offsets, lag, members and state of groups",
		Long: `Show offsets and lag of groups, or their members, or their state. Without a name it
shows all groups. --output json prints an object for each group with all there is.`,
		Example: `  tributary groups describe viewers
  tributary groups describe --state
  tributary groups describe viewers --members
  tributary groups describe --output json`,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		if len(args) == 0 {
			groups, err := admin.ListGroups(ctx, cl, nil, nil)
			if err != nil {
				return err
			}
			for _, g := range groups {
				if g.Type == "classic" || g.Type == "consumer" {
					args = append(args, g.Group)
				}
			}
		}
		if o.output == "kafka" && o.members {
			return o.membersAsKafka(ctx, out, cl, args)
		}
		head := "GROUP\tTOPIC\tPARTITION\tCURRENT-OFFSET\tLOG-END-OFFSET\tLAG\tCONSUMER-ID\tHOST\tCLIENT-ID"
		switch {
		case o.members:
			head = "GROUP\tCONSUMER-ID\tGROUP-INSTANCE-ID\tHOST\tCLIENT-ID\t#PARTITIONS\tASSIGNMENT"
		case o.state && o.output == "kafka":
			head = "GROUP\tCOORDINATOR (ID)\tASSIGNMENT-STRATEGY\tSTATE\t#MEMBERS"
			if o.verbose {
				head = "GROUP\tCOORDINATOR (ID)\tASSIGNMENT-STRATEGY\tSTATE\tGROUP-EPOCH\tTARGET-ASSIGNMENT-EPOCH\t#MEMBERS"
			}
		case o.state:
			head = "GROUP\tTYPE\tCOORDINATOR\tASSIGNMENT-STRATEGY\tSTATE\t#MEMBERS"
		}
		return table(out, o.output, head, func(row func(v any, cells ...any) error) error {
			return each(args, func(group string) error {
				d, err := admin.DescribeGroup(ctx, cl, group)
				if err != nil {
					return err
				}
				if o.output == "json" || !o.members && !o.state {
					if err := d.LoadOffsets(ctx, cl); err != nil {
						return err
					}
				}
				return o.rows(d, row)
			})
		})
	})
}

// membersAsKafka prints the members of groups as Kafka's script does: instance ids only where there are static members.
func (o *groupsDescribeOptions) membersAsKafka(ctx context.Context, out io.Writer, cl *kgo.Client, groups []string) error {
	var all []*admin.GroupDescription
	static := false
	err := each(groups, func(group string) error {
		d, err := admin.DescribeGroup(ctx, cl, group)
		if err == nil {
			all = append(all, d)
			static = static || slices.ContainsFunc(d.Members, func(m admin.Member) bool { return m.Instance != "" })
		}
		return err
	})
	head := "GROUP\tCONSUMER-ID\tHOST\tCLIENT-ID\t#PARTITIONS"
	if static {
		head = "GROUP\tCONSUMER-ID\tGROUP-INSTANCE-ID\tHOST\tCLIENT-ID\t#PARTITIONS"
	}
	if o.verbose {
		head += "\tCURRENT-EPOCH\tCURRENT-ASSIGNMENT\tTARGET-EPOCH\tTARGET-ASSIGNMENT"
	}
	return table(out, o.output, head, func(row func(v any, cells ...any) error) error {
		errs := []error{err}
		for _, d := range all {
			for _, m := range d.Members {
				cells := []any{d.Group, m.Member, m.Instance, m.Host, m.ClientID, m.Partitions()}
				if !static {
					cells = slices.Delete(cells, 2, 3)
				}
				if o.verbose {
					cells = append(cells, assignedAsKafka(d, m)...)
				}
				errs = append(errs, row(nil, cells...))
			}
		}
		return errors.Join(errs...)
	})
}

// assignedAsKafka are the cells of what a member has and shall have: in a group of type classic nobody but itself knows that.
func assignedAsKafka(d *admin.GroupDescription, m admin.Member) []any {
	text := func(of []admin.TopicPartitions) string {
		all := make([]string, len(of))
		for i, t := range of {
			all[i] = t.String()
		}
		return strings.Join(all, ";")
	}
	target := m.Target
	if target == nil {
		target = m.Assignment
	}
	if d.Type != "consumer" {
		return []any{"-", text(m.Assignment), "-", "-"}
	}
	return []any{m.Epoch, text(m.Assignment), d.TargetEpoch, text(target)}
}

// rows prints one group. What is not known of a partition makes the command fail,
// after everything was printed.
func (o *groupsDescribeOptions) rows(d *admin.GroupDescription, row func(v any, cells ...any) error) error {
	var errs []error
	for _, p := range d.Offsets {
		if p.Error != "" {
			errs = append(errs, fmt.Errorf("group %s: topic %s partition %d: %s", d.Group, p.Topic, p.Partition, p.Error))
		}
	}
	switch {
	case o.output == "json":
		errs = append(errs, row(d))
	case o.members:
		for _, m := range d.Members {
			var has []string
			for _, t := range m.Assignment {
				has = append(has, t.String())
			}
			errs = append(errs, row(nil, d.Group, m.Member, m.Instance, m.Host, m.ClientID, m.Partitions(), strings.Join(has, " ")))
		}
	case o.state:
		at := fmt.Sprintf("%s:%d (%d)", d.Coordinator.Host, d.Coordinator.Port, d.Coordinator.ID)
		if o.output == "kafka" {
			cells := []any{d.Group, strings.Replace(at, " (", "  (", 1), d.Assignor, d.State}
			if o.verbose && d.Type == "consumer" {
				cells = append(cells, d.Epoch, d.TargetEpoch)
			} else if o.verbose {
				cells = append(cells, "-", "-")
			}
			errs = append(errs, row(nil, append(cells, len(d.Members))...))
			break
		}
		errs = append(errs, row(nil, d.Group, d.Type, at, d.Assignor, d.State, len(d.Members)))
	default:
		for _, p := range d.Offsets {
			errs = append(errs, row(nil, d.Group, p.Topic, p.Partition, p.Committed, p.End, p.Lag, p.Member, p.Host, p.ClientID))
		}
	}
	return errors.Join(errs...)
}

// groupsDeleteOptions are the options of groups delete.
type groupsDeleteOptions struct {
	kafka     *kafkaOptions
	allGroups bool
	ifExists  bool
}

func (o *groupsDeleteOptions) register(fs *pflag.FlagSet, prefix string) {
	boolVar(fs, &o.allGroups, prefix+"all-groups", "delete all groups of type classic and consumer")
	boolVar(fs, &o.ifExists, prefix+"if-exists", "say nothing when there is no such group")
}

func (o *groupsDeleteOptions) check() error { return o.kafka.check() }

// groupNames are the groups of the arguments, or all of them.
func groupNames(ctx context.Context, cl *kgo.Client, args []string, all bool) ([]string, error) {
	switch {
	case all && len(args) > 0:
		return nil, errors.New("groups by name and --all-groups exclude each other")
	case !all && len(args) == 0:
		return nil, errors.New("no group; name one, or --all-groups")
	case !all:
		return args, nil
	}
	groups, err := admin.ListGroups(ctx, cl, []string{"classic", "consumer"}, nil)
	var names []string
	for _, g := range groups {
		names = append(names, g.Group)
	}
	return names, err
}

func newGroupsDelete(k *kafkaOptions) *cobra.Command {
	o := &groupsDeleteOptions{kafka: k}
	return clusterCommand(&cobra.Command{
		Use:   "delete GROUP...",
		Short: "Delete groups without members, and their offsets",
		Example: `  tributary groups delete viewers
  tributary groups delete --all-groups`,
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		names, err := groupNames(ctx, cl, args, o.allGroups)
		if err != nil {
			return err
		}
		return each(names, func(group string) error {
			err := admin.DeleteGroup(ctx, cl, group)
			if o.ifExists && errors.Is(err, admin.ErrNoGroup) {
				return nil
			}
			return err
		})
	})
}

// groupsDeleteOffsetsOptions are the options of groups delete-offsets.
type groupsDeleteOffsetsOptions struct {
	kafka  *kafkaOptions
	output string
	topics []string
}

func (o *groupsDeleteOffsetsOptions) register(fs *pflag.FlagSet, prefix string) {
	outputVar(fs, &o.output, prefix)
	listVar(fs, &o.topics, prefix+"topic", "topic[:0,1]", checkTopicPartitions, "topic, or partitions of it, whose offsets to delete (repeatable)")
}

func (o *groupsDeleteOffsetsOptions) check() error { return o.kafka.check() }

func checkTopicPartitions(s string) error {
	_, err := admin.ParseTopicPartitions(s)
	return err
}

// partitionsOf reads what checkTopicPartitions accepted.
func partitionsOf(list []string) []admin.TopicPartitions {
	var all []admin.TopicPartitions
	for _, s := range list {
		if t, err := admin.ParseTopicPartitions(s); err == nil {
			all = append(all, t)
		}
	}
	return all
}

func newGroupsDeleteOffsets(k *kafkaOptions) *cobra.Command {
	o := &groupsDeleteOffsetsOptions{kafka: k, output: "text"}
	return clusterCommand(&cobra.Command{
		Use:   "delete-offsets GROUP",
		Short: "Delete a group's offsets of topics that it does not read any more",
		Example: `  tributary groups delete-offsets viewers --topic flows
  tributary groups delete-offsets viewers --topic flows:0,3`,
		Args: cobra.ExactArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		if len(o.topics) == 0 {
			return errors.New("no topic; name one by --topic")
		}
		deleted, err := admin.DeleteOffsets(ctx, cl, args[0], partitionsOf(o.topics))
		if err != nil {
			return err
		}
		return table(out, o.output, "GROUP\tTOPIC\tPARTITION\tDELETED-OFFSET", func(row func(v any, cells ...any) error) error {
			for _, d := range deleted {
				if err := row(d, d.Group, d.Topic, d.Partition, d.Committed); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
