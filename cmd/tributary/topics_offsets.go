package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicsOffsetsOptions are the options of topics offsets.
type topicsOffsetsOptions struct {
	kafka      *kafkaOptions
	output     string
	internal   bool
	at         string
	partitions []string
}

func (o *topicsOffsetsOptions) register(fs *pflag.FlagSet, prefix string) {
	outputKafkaVar(fs, &o.output, prefix, "kafka-get-offsets.sh")
	boolVar(fs, &o.internal, prefix+"internal", "show the cluster's own topics too")
	textVar(fs, &o.at, prefix+"time", "when", checkOffsetTime, "the offset then: latest, earliest, max-timestamp (of the newest timestamp), a time (RFC 3339) or milliseconds since 1970")
	listVar(fs, &o.partitions, prefix+"partition", "number", checkPartition, "only this partition (repeatable)")
}

func (o *topicsOffsetsOptions) check() error { return o.kafka.check() }

func checkOffsetTime(s string) error {
	if s == "latest" || s == "earliest" || s == "max-timestamp" {
		return nil
	}
	_, err := offsetTime(s)
	return err
}

// offsetTime reads a time as milliseconds since 1970.
func offsetTime(s string) (int64, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UnixMilli(), nil
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil && ms >= 0 {
		return ms, nil
	}
	return 0, errors.New("allowed are latest, earliest, max-timestamp, 2026-01-02T15:04:05Z and milliseconds since 1970")
}

// list asks for the offsets.
func (o *topicsOffsetsOptions) list(ctx context.Context, adm *kadm.Client, topics []string) (kadm.ListedOffsets, error) {
	switch o.at {
	case "latest":
		return adm.ListEndOffsets(ctx, topics...)
	case "earliest":
		return adm.ListStartOffsets(ctx, topics...)
	case "max-timestamp":
		return adm.ListMaxTimestampOffsets(ctx, topics...)
	}
	ms, err := offsetTime(o.at)
	if err != nil {
		return nil, err
	}
	return adm.ListOffsetsAfterMilli(ctx, ms, topics...)
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
			if re.MatchString(t.Topic) && (o.internal || !t.IsInternal) {
				names = append(names, t.Topic)
			}
		}
		if len(names) == 0 {
			if len(args) > 0 {
				return fmt.Errorf("no topic matches %s", args[0])
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
				if len(o.partitions) > 0 && !slices.Contains(o.partitions, strconv.Itoa(int(l.Partition))) {
					continue
				}
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
