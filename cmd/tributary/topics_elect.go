package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

// topicsElectOptions are the options of topics elect-leaders.
type topicsElectOptions struct {
	kafka    *kafkaOptions
	output   string
	all      bool
	unclean  bool
	fromFile string
}

func (o *topicsElectOptions) register(fs *pflag.FlagSet, prefix string) {
	outputKafkaVar(fs, &o.output, prefix, "kafka-leader-election.sh")
	boolVar(fs, &o.all, prefix+"all", "of all partitions of the cluster that need it")
	boolVar(fs, &o.unclean, prefix+"unclean", "of partitions without a leader, any replica that lives, even if records are lost")
	stringVar(fs, &o.fromFile, prefix+"from-file", "`file` that names the partitions, in the JSON of Kafka's tool")
}

func (o *topicsElectOptions) check() error { return o.kafka.check() }

// partitions are those that the arguments or the file name; none are all.
func (o *topicsElectOptions) partitions(args []string) ([]admin.TopicPartitions, error) {
	given := 0
	for _, way := range []bool{o.all, o.fromFile != "", len(args) > 0} {
		if way {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("want one of topics, --from-file and --all, which say of what")
	}
	if o.fromFile == "" {
		return partitionsOf(args), nil
	}
	return fromFile(o.fromFile, admin.ReadPartitions)
}

func newTopicsElect(k *kafkaOptions) *cobra.Command {
	o := &topicsElectOptions{kafka: k, output: "text"}
	return clusterCommand(&cobra.Command{
		Use:   "elect-leaders TOPIC[:0,1]...",
		Short: "Have the leaders of partitions elected",
		Long: `Have the cluster elect the leaders of partitions: of each the preferred one, which is the
first of its replicas, where another leads; or with --unclean, where nobody leads, any
replica that lives, even if records are lost.`,
		Example: `  tributary topics elect-leaders flows
  tributary topics elect-leaders flows:0,3 --unclean
  tributary topics elect-leaders --all`,
		Args: func(_ *cobra.Command, args []string) error {
			return each(args, func(a string) error {
				if err := checkTopicPartitions(a); err != nil {
					return fmt.Errorf("%s: %w", a, err)
				}
				return nil
			})
		},
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		what, err := o.partitions(args)
		if err != nil {
			return err
		}
		elections, err := admin.ElectLeaders(ctx, cl, what, o.unclean)
		if err != nil {
			return err
		}
		failed := 0
		for _, e := range elections {
			if e.Err != nil {
				failed++
			}
		}
		if o.output == "kafka" {
			err := admin.WriteElectionsAsKafka(out, elections, o.unclean)
			if failed > 0 {
				err = errors.Join(err, fmt.Errorf("%d replica(s) could not be elected", failed))
			}
			return err
		}
		return table(out, o.output, "TOPIC\tPARTITION\tRESULT", func(row func(v any, cells ...any) error) error {
			return each(elections, func(e admin.Election) error {
				if err := row(e, e.Topic, e.Partition, e.Result); err != nil || e.Err == nil {
					return err
				}
				return fmt.Errorf("topic %s partition %d: %w", e.Topic, e.Partition, e.Err)
			})
		})
	})
}
