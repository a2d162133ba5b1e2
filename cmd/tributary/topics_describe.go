package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newTopicsDescribe(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, output: "text", takes: "output-kafka internal if-exists views id"}
	return clusterCommand(&cobra.Command{
		Use:   "describe [TOPIC...]",
		Short: "Show partitions, offsets and configuration of topics",
		Long: `Show partitions, offsets and configuration of topics, all of them without a name. With
several of the views of partitions it shows those that any of them shows.`,
		Example: `  tributary topics describe flows
  tributary topics describe '/^flow/' --output json
  tributary topics describe --under-replicated --unavailable`,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		names, err := o.names(ctx, cl, args)
		if err := o.missing(err); err != nil {
			return err
		}
		topics, err := o.describe(ctx, cl, names)
		if err != nil {
			return err
		}
		var views []admin.PartitionView
		for i, v := range []admin.PartitionView{admin.UnderReplicated, admin.Unavailable, admin.UnderMinISR, admin.AtMinISR} {
			if o.needy[i] {
				views = append(views, v)
			}
		}
		first := true
		for i := range topics {
			t := &topics[i]
			if o.overrides && len(t.Configs) == 0 || len(views) > 0 && !t.Keep(views...) {
				continue
			}
			if o.output == "kafka" {
				if err := admin.WriteTopicAsKafka(out, t, len(views) > 0); err != nil {
					return err
				}
				continue
			}
			if o.output == "json" {
				if err := json.NewEncoder(out).Encode(t); err != nil {
					return err
				}
				continue
			}
			if !first {
				fmt.Fprintln(out)
			}
			first = false
			if err := describeText(out, t); err != nil {
				return err
			}
		}
		return nil
	})
}

// names are those of the topics to describe.
func (o *topicOptions) names(ctx context.Context, cl *kgo.Client, args []string) ([]string, error) {
	switch {
	case o.id == "":
		return admin.SelectTopics(ctx, cl, args, o.internal)
	case len(args) > 0:
		return nil, errors.New("--topic-id is for one topic; no other is named")
	}
	name, err := admin.TopicByID(ctx, cl, o.id)
	if err != nil {
		return nil, err
	}
	return []string{name}, nil
}

// describe describes topics; with --if-exists those that are there.
func (o *topicOptions) describe(ctx context.Context, cl *kgo.Client, names []string) ([]admin.Topic, error) {
	if !o.ifExists {
		return admin.DescribeTopics(ctx, cl, names)
	}
	var topics []admin.Topic
	for _, n := range names {
		found, err := admin.DescribeTopics(ctx, cl, []string{n})
		if err := o.missing(err); err != nil {
			return nil, err
		}
		topics = append(topics, found...)
	}
	return topics, nil
}

func describeText(out io.Writer, t *admin.Topic) error {
	fmt.Fprintf(out, "topic %s, id %s\n", t.Topic, t.ID)
	for _, k := range slices.Sorted(maps.Keys(t.Configs)) {
		fmt.Fprintf(out, "  %s=%s\n", k, t.Configs[k])
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PARTITION\tLEADER\tEPOCH\tREPLICAS\tISR\tSTART\tEND\tRECORDS")
	for _, p := range t.Partitions {
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
