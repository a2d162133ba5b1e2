package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka"
	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newTopics() *cobra.Command {
	c := &cobra.Command{
		Use:   "topics",
		Short: "List, create, describe, change and delete topics",
		Example: `  tributary topics list
  tributary topics create flows --partitions 8 --set retention.ms=86400000`,
	}
	k := clusterParent(c)
	c.AddCommand(newTopicsList(k), newTopicsCreate(k), newTopicsDescribe(k), newTopicsAlter(k), newTopicsDelete(k), newTopicsDeleteRecords(k), newTopicsOffsets(k), newTopicsElect(k))
	return c
}

// topicOptions are those of one command under topics; the cluster's are the
// parent's.
type topicOptions struct {
	kafka       *kafkaOptions
	output      string
	internal    bool
	partitions  int32
	replication int16
	set         []string
	unset       []string
	ifMissing   bool
	ifExists    bool
	assignment  string
	overrides   bool
	id          string
	needy       [4]bool // the views of partitions in need
	before      string
	fromFile    string
	takes       string // which of them, by name
}

func (o *topicOptions) register(fs *pflag.FlagSet, prefix string) {
	for _, t := range strings.Fields(o.takes) {
		switch t {
		case "output":
			outputVar(fs, &o.output, prefix)
		case "output-kafka":
			outputKafkaVar(fs, &o.output, prefix, "kafka-topics.sh")
		case "internal":
			boolVar(fs, &o.internal, prefix+"internal", "show the cluster's own topics too")
		case "partitions":
			intVar(fs, &o.partitions, prefix+"partitions", -1, 100_000, "number of partitions; -1 is the cluster's default")
		case "more-partitions":
			intVar(fs, &o.partitions, prefix+"partitions", 0, 100_000, "new number of partitions, more than now; 0 leaves it")
		case "replication":
			intVar(fs, &o.replication, prefix+"replication", -1, 1000, "number of replicas; -1 is the cluster's default")
		case "set":
			listVar(fs, &o.set, prefix+"set", "name=value", checkPair, "configuration of the topic, such as retention.ms=86400000 (repeatable)")
		case "unset":
			listVar(fs, &o.unset, prefix+"unset", "name", nil, "configuration to put back to the default (repeatable)")
		case "if-missing":
			boolVar(fs, &o.ifMissing, prefix+"if-missing", "say nothing when the topic is there already")
		case "if-exists":
			boolVar(fs, &o.ifExists, prefix+"if-exists", "say nothing when there is no such topic")
		case "assignment":
			textVar(fs, &o.assignment, prefix+"replica-assignment", "1:2,2:3", checkAssignment, "brokers of each partition, the preferred leader first")
		case "id":
			textVar(fs, &o.id, prefix+"topic-id", "id", checkTopicID, "the topic of this id, which describe shows, instead of one by name")
		case "views":
			boolVar(fs, &o.overrides, prefix+"with-overrides", "only topics that have configuration of their own")
			boolVar(fs, &o.needy[0], prefix+"under-replicated", "only partitions with replicas that are not in sync")
			boolVar(fs, &o.needy[1], prefix+"unavailable", "only partitions without a leader")
			boolVar(fs, &o.needy[2], prefix+"under-min-isr", "only partitions with fewer replicas in sync than min.insync.replicas")
			boolVar(fs, &o.needy[3], prefix+"at-min-isr", "only partitions with just as many as min.insync.replicas")
		case "records":
			textVar(fs, &o.before, prefix+"before", "where", checkBefore, "delete records before this offset, all that are there (latest), or those older than a time (@2026-01-02T15:04:05Z) or an age (@-24h)")
			stringVar(fs, &o.fromFile, prefix+"from-file", "`file` of topic,partition,offset lines, or the JSON of Kafka's tool")
		}
	}
}

func (o *topicOptions) check() error { return o.kafka.check() }

func checkTopicID(s string) error {
	_, err := admin.ParseTopicID(s)
	return err
}

func checkPair(s string) error {
	if name, _, ok := strings.Cut(s, "="); !ok || name == "" {
		return errors.New("allowed is name=value")
	}
	return nil
}

// pairs turns name=value into a map.
func pairs(list []string) map[string]string {
	m := map[string]string{}
	for _, s := range list {
		name, value, _ := strings.Cut(s, "=")
		m[name] = value
	}
	return m
}

func newTopicsList(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, output: "text", takes: "output-kafka internal"}
	return clusterCommand(&cobra.Command{
		Use:   "list [REGULAR EXPRESSION]",
		Short: "List topics",
		Example: `  tributary topics list
  tributary topics list '^flow' --output json`,
		Args: cobra.MaximumNArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		matches := func(string) bool { return true }
		if len(args) > 0 {
			re, err := regexp.Compile(args[0])
			if err != nil {
				return err
			}
			matches = re.MatchString
		}
		topics, err := kadm.NewClient(cl).ListTopicsWithInternal(ctx)
		if err != nil {
			return err
		}
		if o.output == "kafka" {
			for _, t := range topics.Sorted() {
				if (o.internal || !t.IsInternal) && matches(t.Topic) {
					fmt.Fprintln(out, t.Topic)
				}
			}
			return nil
		}
		return table(out, o.output, "TOPIC\tPARTITIONS\tREPLICAS", func(row func(v any, cells ...any) error) error {
			for _, t := range topics.Sorted() {
				if t.IsInternal && !o.internal || !matches(t.Topic) {
					continue
				}
				if t.Err != nil {
					return fmt.Errorf("topic %s: %w", t.Topic, t.Err)
				}
				n := t.Partitions.NumReplicas()
				if err := row(map[string]any{"topic": t.Topic, "partitions": len(t.Partitions), "replicas": n, "internal": t.IsInternal},
					t.Topic, len(t.Partitions), n); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func checkAssignment(s string) error {
	_, err := admin.ParseAssignment(s)
	return err
}

func newTopicsCreate(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, partitions: -1, replication: -1, takes: "partitions replication set if-missing assignment"}
	return clusterCommand(&cobra.Command{
		Use:   "create TOPIC...",
		Short: "Create topics",
		Example: `  tributary topics create flows --partitions 8 --set retention.ms=86400000
  tributary topics create state --set cleanup.policy=compact --if-missing`,
		Args: cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		switch {
		case o.partitions == 0 || o.replication == 0:
			return bad("partitions", "0", "allowed are -1 and numbers from 1")
		case o.assignment != "" && (o.partitions > 0 || o.replication > 0):
			return errors.New("--replica-assignment says how many partitions and replicas there are; --partitions and --replication are not for it")
		}
		return each(args, func(topic string) error {
			if err := kafka.CheckTopic(topic); err != nil {
				return err
			}
			var err error
			if o.assignment != "" {
				var assignment [][]int32
				if assignment, err = admin.ParseAssignment(o.assignment); err == nil {
					err = admin.CreateAssigned(ctx, cl, topic, assignment, pairs(o.set))
				}
			} else {
				err = kafka.CreateTopic(ctx, cl, topic, o.partitions, o.replication, pairs(o.set))
			}
			switch {
			case o.ifMissing && errors.Is(err, kerr.TopicAlreadyExists):
				return nil
			case err != nil:
				return err
			}
			return admin.UntilThere(ctx, cl, topic)
		})
	})
}

func newTopicsDelete(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, takes: "if-exists"}
	return clusterCommand(&cobra.Command{
		Use:   "delete TOPIC...",
		Short: "Delete topics and all their records",
		Example: `  tributary topics delete test1 test2
  tributary topics delete '/^test-/'`,
		Args: cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		topics, err := admin.SelectTopics(ctx, cl, args, false)
		if err := o.missing(err); err != nil {
			return err
		}
		return each(topics, func(topic string) error {
			r, err := kadm.NewClient(cl).DeleteTopic(ctx, topic)
			if err == nil {
				err = r.Err
			}
			switch {
			case err == nil:
				return admin.UntilGone(ctx, cl, topic)
			case o.ifExists && errors.Is(err, kerr.UnknownTopicOrPartition):
				return nil
			}
			return fmt.Errorf("delete topic %s: %w%s", topic, err, parenthesis(r.ErrMessage))
		})
	})
}

// missing is nil for a topic that is not there when that is allowed.
func (o *topicOptions) missing(err error) error {
	if o.ifExists && errors.Is(err, admin.ErrNoTopic) {
		return nil
	}
	return err
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func newTopicsAlter(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, takes: "more-partitions set unset if-exists"}
	return clusterCommand(&cobra.Command{
		Use:   "alter TOPIC...",
		Short: "Change configuration and number of partitions",
		Example: `  tributary topics alter flows --set retention.ms=3600000 --unset retention.bytes
  tributary topics alter flows --partitions 16
  tributary topics alter '/^flow/' --set compression.type=zstd`,
		Args: cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		var changes []admin.SettingChange
		set := pairs(o.set)
		for _, name := range slices.Sorted(maps.Keys(set)) {
			changes = append(changes, admin.SettingChange{Op: admin.Set, Name: name, Value: set[name]})
		}
		for _, name := range o.unset {
			changes = append(changes, admin.SettingChange{Op: admin.Unset, Name: name})
		}
		if len(changes) == 0 && o.partitions == 0 {
			return errors.New("nothing to change; allowed are --set, --unset and --partitions")
		}
		topics, err := admin.SelectTopics(ctx, cl, args, false)
		if err := o.missing(err); err != nil {
			return err
		}
		return each(topics, func(topic string) error {
			if len(changes) > 0 {
				r := admin.Resource{Kind: admin.TopicResource, Name: topic}
				if err := admin.ChangeSettings(ctx, cl, r, changes, false); err != nil {
					return o.missing(err)
				}
			}
			if o.partitions > 0 {
				return o.missing(admin.SetPartitions(ctx, cl, topic, int(o.partitions)))
			}
			return nil
		})
	})
}
