package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/kafka"
)

func newTopics() *cobra.Command {
	c := &cobra.Command{
		Use:   "topics",
		Short: "List, create, describe, change and delete topics",
		Example: `  tributary topics list
  tributary topics create flows --partitions 8 --set retention.ms=86400000`,
	}
	k := clusterParent(c)
	c.AddCommand(newTopicsList(k), newTopicsCreate(k), newTopicsDescribe(k), newTopicsAlter(k), newTopicsDelete(k))
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
	takes       string // which of them, by name
}

func (o *topicOptions) register(fs *pflag.FlagSet, prefix string) {
	for _, t := range strings.Fields(o.takes) {
		switch t {
		case "output":
			outputVar(fs, &o.output, prefix)
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
		}
	}
}

func (o *topicOptions) check() error { return o.kafka.check() }

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
	o := &topicOptions{kafka: k, output: "text", takes: "output internal"}
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

func newTopicsCreate(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, partitions: -1, replication: -1, takes: "partitions replication set if-missing"}
	return clusterCommand(&cobra.Command{
		Use:   "create TOPIC...",
		Short: "Create topics",
		Example: `  tributary topics create flows --partitions 8 --set retention.ms=86400000
  tributary topics create state --set cleanup.policy=compact --if-missing`,
		Args: cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		if o.partitions == 0 || o.replication == 0 {
			return bad("partitions", "0", "allowed are -1 and numbers from 1")
		}
		return each(args, func(topic string) error {
			if err := kafka.CheckTopic(topic); err != nil {
				return err
			}
			err := kafka.CreateTopic(ctx, cl, topic, o.partitions, o.replication, pairs(o.set))
			if o.ifMissing && errors.Is(err, kerr.TopicAlreadyExists) {
				return nil
			}
			return err
		})
	})
}

func newTopicsDelete(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, takes: "if-exists"}
	return clusterCommand(&cobra.Command{
		Use:     "delete TOPIC...",
		Short:   "Delete topics and all their records",
		Example: `  tributary topics delete test1 test2`,
		Args:    cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		return each(args, func(topic string) error {
			admin := kadm.NewClient(cl)
			r, err := admin.DeleteTopic(ctx, topic)
			if err == nil {
				err = r.Err
			}
			if err == nil {
				return untilGone(ctx, admin, topic)
			}
			if o.ifExists && errors.Is(err, kerr.UnknownTopicOrPartition) {
				return nil
			}
			return fmt.Errorf("delete topic %s: %w%s", topic, err, parenthesis(r.ErrMessage))
		})
	})
}

// untilGone waits until the brokers no longer list a topic that has been deleted:
// a cluster takes a moment to tell all of them.
func untilGone(ctx context.Context, admin *kadm.Client, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		topics, err := admin.ListTopics(ctx, topic)
		if err != nil {
			return fmt.Errorf("look whether topic %s is deleted: %w", topic, err)
		}
		if t, ok := topics[topic]; !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topic %s is marked for deletion, but still listed", topic)
		case <-time.After(wait):
		}
	}
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func newTopicsAlter(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, takes: "more-partitions set unset"}
	return clusterCommand(&cobra.Command{
		Use:   "alter TOPIC...",
		Short: "Change configuration and number of partitions",
		Example: `  tributary topics alter flows --set retention.ms=3600000 --unset retention.bytes
  tributary topics alter flows --partitions 16`,
		Args: cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		var alter []kadm.AlterConfig
		for name, value := range pairs(o.set) {
			alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
		}
		for _, name := range o.unset {
			alter = append(alter, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
		}
		if len(alter) == 0 && o.partitions == 0 {
			return errors.New("nothing to change; allowed are --set, --unset and --partitions")
		}
		admin := kadm.NewClient(cl)
		return each(args, func(topic string) error {
			if len(alter) > 0 {
				rs, err := admin.AlterTopicConfigs(ctx, alter, topic)
				var message string
				for _, r := range rs {
					err, message = errors.Join(err, r.Err), r.ErrMessage
				}
				if err != nil {
					return fmt.Errorf("change topic %s: %w%s", topic, err, parenthesis(message))
				}
			}
			if o.partitions > 0 {
				rs, err := admin.UpdatePartitions(ctx, int(o.partitions), topic)
				r := rs[topic]
				if err = errors.Join(err, r.Err); err != nil {
					return fmt.Errorf("change topic %s: %w%s", topic, err, parenthesis(r.ErrMessage))
				}
			}
			return nil
		})
	})
}

func newTopicsDescribe(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, output: "text", takes: "output internal"}
	return clusterCommand(&cobra.Command{
		Use:   "describe [TOPIC...]",
		Short: "Show partitions, offsets and configuration of topics",
		Example: `  tributary topics describe flows
  tributary topics describe --output json`,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		admin := kadm.NewClient(cl)
		topics, err := admin.ListTopicsWithInternal(ctx, args...)
		if err != nil {
			return err
		}
		var names []string
		for _, t := range topics.Sorted() {
			if t.Err != nil {
				return fmt.Errorf("topic %s: %w", t.Topic, t.Err)
			}
			if len(args) > 0 || o.internal || !t.IsInternal {
				names = append(names, t.Topic)
			}
		}
		if len(names) == 0 {
			return nil
		}
		starts, err := admin.ListStartOffsets(ctx, names...)
		if err != nil {
			return err
		}
		ends, err := admin.ListEndOffsets(ctx, names...)
		if err != nil {
			return err
		}
		configs, err := admin.DescribeTopicConfigs(ctx, names...)
		if err != nil && !errors.Is(err, kerr.UnsupportedVersion) {
			return err
		}
		for i, name := range names {
			var own map[string]string
			if rc, err := configs.On(name, nil); err == nil {
				own = ownConfigs(rc.Configs)
			}
			d := describe(topics[name], starts, ends, own)
			if o.output == "json" {
				if err := json.NewEncoder(out).Encode(d); err != nil {
					return err
				}
				continue
			}
			if i > 0 {
				fmt.Fprintln(out)
			}
			if err := d.text(out); err != nil {
				return err
			}
		}
		return nil
	})
}

// ownConfigs are those set on the topic itself.
func ownConfigs(configs []kadm.Config) map[string]string {
	own := map[string]string{}
	for _, c := range configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			own[c.Key] = c.MaybeValue()
		}
	}
	return own
}

// topicDescription is what describe prints, and its JSON.
type topicDescription struct {
	Topic      string                 `json:"topic"`
	ID         string                 `json:"id"`
	Internal   bool                   `json:"internal"`
	Configs    map[string]string      `json:"configs"`
	Partitions []partitionDescription `json:"partitions"`
}

type partitionDescription struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"leader_epoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Start     int64   `json:"start_offset"`
	End       int64   `json:"end_offset"`
	Error     string  `json:"error,omitempty"`
}

func describe(t kadm.TopicDetail, starts, ends kadm.ListedOffsets, own map[string]string) topicDescription {
	d := topicDescription{Topic: t.Topic, ID: t.ID.String(), Internal: t.IsInternal, Configs: own, Partitions: []partitionDescription{}}
	for _, p := range t.Partitions.Sorted() {
		pd := partitionDescription{Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: p.Replicas, ISR: p.ISR, Start: -1, End: -1}
		s, _ := starts.Lookup(t.Topic, p.Partition)
		e, _ := ends.Lookup(t.Topic, p.Partition)
		switch err := errors.Join(p.Err, s.Err, e.Err); err {
		case nil:
			pd.Start, pd.End = s.Offset, e.Offset
		default:
			pd.Error = oneLine(err.Error())
		}
		d.Partitions = append(d.Partitions, pd)
	}
	return d
}

func (d *topicDescription) text(out io.Writer) error {
	fmt.Fprintf(out, "topic %s, id %s\n", d.Topic, d.ID)
	for _, k := range slices.Sorted(maps.Keys(d.Configs)) {
		fmt.Fprintf(out, "  %s=%s\n", k, d.Configs[k])
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PARTITION\tLEADER\tEPOCH\tREPLICAS\tISR\tSTART\tEND\tRECORDS")
	for _, p := range d.Partitions {
		records := strconv.FormatInt(p.End-p.Start, 10)
		if p.Error != "" {
			records = p.Error
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%s\t%s\t%d\t%d\t%s\n", p.Partition, p.Leader, p.Epoch, numbers(p.Replicas), numbers(p.ISR), p.Start, p.End, records)
	}
	return w.Flush()
}

func numbers(ns []int32) string {
	text := make([]string, len(ns))
	for i, n := range ns {
		text[i] = strconv.Itoa(int(n))
	}
	return strings.Join(text, ",")
}
