package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

// topicsOffsetsOptions are the options of topics offsets.
type topicsOffsetsOptions struct {
	kafka      *kafkaOptions
	output     string
	internal   bool
	at         string
	partitions []string
	patterns   []string
}

func (o *topicsOffsetsOptions) register(fs *pflag.FlagSet, prefix string) {
	outputKafkaVar(fs, &o.output, prefix, "kafka-get-offsets.sh")
	boolVar(fs, &o.internal, prefix+"internal", "show the cluster's own topics too")
	textVar(fs, &o.at, prefix+"time", "when", checkOffsetTime, "the offset then: latest, earliest, max-timestamp (of the newest timestamp), earliest-local, latest-tiered, earliest-pending-upload (of tiered storage), a time (RFC 3339) or milliseconds since 1970")
	listVar(fs, &o.partitions, prefix+"partition", "number", checkPartition, "only this partition (repeatable)")
	listVar(fs, &o.patterns, prefix+"topic-partitions", "pattern", checkPattern, "only these: a regular expression of a topic's whole name, :1 for a partition of it, :2-5 for those from 2 below 5, :2-, :-5 (repeatable)")
}

func (o *topicsOffsetsOptions) check() error { return o.kafka.check() }

func checkPattern(s string) error {
	_, err := admin.ParsePattern(s)
	return err
}

func checkOffsetTime(s string) error {
	_, err := offsetTime(s)
	return err
}

// offsetTimes are the times that ListOffsets knows by a number of their own.
var offsetTimes = map[string]int64{
	"latest": -1, "earliest": -2, "max-timestamp": -3, "earliest-local": -4, "latest-tiered": -5, "earliest-pending-upload": -6,
}

// offsetTime reads a time as milliseconds since 1970, or as one of offsetTimes.
func offsetTime(s string) (int64, error) {
	if at, ok := offsetTimes[s]; ok {
		return at, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UnixMilli(), nil
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms >= 0 {
		return ms, nil
	}
	return 0, errors.New("allowed are latest, earliest, max-timestamp, earliest-local, latest-tiered, earliest-pending-upload, 2026-01-02T15:04:05Z and milliseconds since 1970")
}

// list asks for the offsets that are wanted. Where no record is as new as a time, Kafka's script has nothing to say, and we the end.
func (o *topicsOffsetsOptions) list(ctx context.Context, adm *kadm.Client, topics []string) (kadm.ListedOffsets, error) {
	at, err := offsetTime(o.at)
	if err != nil {
		return nil, err
	}
	offsets, err := adm.ListOffsetsAfterMilli(ctx, at, topics...)
	for _, partitions := range offsets {
		maps.DeleteFunc(partitions, func(_ int32, l kadm.ListedOffset) bool {
			unknown := l.Offset < 0 || at >= 0 && l.Timestamp < 0
			return l.Err == nil && (!o.wants(l.Topic, l.Partition) || o.output == "kafka" && unknown)
		})
	}
	return offsets, err
}

// wants says whether a partition is one of those that are asked for.
func (o *topicsOffsetsOptions) wants(topic string, partition int32) bool {
	if len(o.partitions) > 0 && !slices.Contains(o.partitions, strconv.Itoa(int(partition))) {
		return false
	}
	if len(o.patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(o.patterns, func(s string) bool {
		p, err := admin.ParsePattern(s)
		return err == nil && p.Match(topic, partition)
	})
}

func newTopicsOffsets(k *kafkaOptions) *cobra.Command {
	o := &topicsOffsetsOptions{kafka: k, output: "text", at: "latest"}
	return clusterCommand(&cobra.Command{
		Use:   "offsets [REGULAR EXPRESSION]",
		Short: "Show offsets of partitions: their ends, beginnings, or those of a time",
		Example: `  tributary topics offsets
  tributary topics offsets '^flows$' --time 2026-01-02T15:04:05Z --output json`,
		Args: cobra.MaximumNArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		re := regexp.MustCompile("")
		if len(args) > 0 {
			var err error
			if re, err = regexp.Compile(args[0]); err != nil {
				return err
			}
		}
		adm := kadm.NewClient(cl)
		details, err := adm.ListTopicsWithInternal(ctx)
		if err != nil {
			return err
		}
		var names []string
		for _, t := range details.Sorted() {
			wanted := slices.ContainsFunc(t.Partitions.Numbers(), func(p int32) bool { return o.wants(t.Topic, p) })
			if wanted && re.MatchString(t.Topic) && (o.internal || !t.IsInternal) {
				names = append(names, t.Topic)
			}
		}
		if len(names) == 0 {
			if len(args)+len(o.partitions)+len(o.patterns) > 0 {
				return errors.New("no partition of a topic matches")
			}
			return nil
		}
		offsets, err := o.list(ctx, adm, names)
		if err != nil {
			return err
		}
		var errs []error
		show := func(row func(v any, cells ...any) error) error {
			for _, l := range offsets.Offsets().Sorted() {
				if err := row(map[string]any{"topic": l.Topic, "partition": l.Partition, "offset": l.At}, l.Topic, l.Partition, l.At); err != nil {
					return err
				}
			}
			return nil
		}
		if o.output == "kafka" {
			err = show(func(_ any, cells ...any) error {
				_, err := fmt.Fprintf(out, "%v:%v:%v\n", cells...)
				return err
			})
		} else {
			err = table(out, o.output, "TOPIC\tPARTITION\tOFFSET", show)
		}
		offsets.Each(func(l kadm.ListedOffset) {
			if l.Err != nil {
				errs = append(errs, fmt.Errorf("topic %s partition %d: %w", l.Topic, l.Partition, l.Err))
			}
		})
		return errors.Join(append(errs, err)...)
	})
}
