package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func newTransactions() *cobra.Command {
	c := &cobra.Command{
		Use:   "transactions",
		Short: "List and describe transactions, find those that hang and abort them",
		Example: `  tributary transactions list --running-for 15m
  tributary transactions find-hanging --broker 1`,
	}
	k := clusterParent(c)
	c.AddCommand(newTransactionsList(k), newTransactionsDescribe(k), newTransactionsProducers(k), newTransactionsFindHanging(k),
		newTransactionsAbort(k), newTransactionsTerminate(k))
	return c
}

// transactionsOptions are the options of one command under transactions.
type transactionsOptions struct {
	kafka            *kafkaOptions
	takes            string // which of them, by name
	output           string
	runningFor       time.Duration
	broker           int32
	topics           []string
	silentFor        time.Duration
	start            int64
	producerID       int64
	producerEpoch    int32
	coordinatorEpoch int32
}

func newTransactionsOptions(k *kafkaOptions, takes string) *transactionsOptions {
	return &transactionsOptions{kafka: k, takes: takes, output: "text", broker: -1, silentFor: 15 * time.Minute, start: -1, producerID: -1, producerEpoch: -1, coordinatorEpoch: -1}
}

func (o *transactionsOptions) register(fs *pflag.FlagSet, prefix string) {
	for _, t := range strings.Fields(o.takes) {
		switch t {
		case "output":
			outputKafkaVar(fs, &o.output, prefix, "kafka-transactions.sh")
		case "running-for":
			durationVar(fs, &o.runningFor, prefix+"running-for", 0, math.MaxInt64, "only transactions that have been running for longer; 0 is all")
		case "broker":
			intVar(fs, &o.broker, prefix+"broker", -1, math.MaxInt32, "ask this broker, which has a replica; -1 asks the leaders")
		case "find":
			listVar(fs, &o.topics, prefix+"topic", "topic[:0,1]", checkTopicPartitions, "topic, or partitions of it, to look at (repeatable); without, all there are on --broker")
			durationVar(fs, &o.silentFor, prefix+"silent-for", 0, math.MaxInt64, "only transactions without a record for longer: transaction.max.timeout.ms of the cluster")
		case "abort":
			intVar(fs, &o.start, prefix+"start-offset", -1, math.MaxInt64, "where the transaction begins; the rest is looked up")
			intVar(fs, &o.producerID, prefix+"producer-id", -1, math.MaxInt64, "its producer's id, for brokers before Kafka 3.0")
			intVar(fs, &o.producerEpoch, prefix+"producer-epoch", -1, math.MaxInt16, "its producer's epoch, with --producer-id")
			intVar(fs, &o.coordinatorEpoch, prefix+"coordinator-epoch", -1, math.MaxInt32, "the coordinator's epoch, with --producer-id")
		}
	}
}

func (o *transactionsOptions) check() error { return o.kafka.check() }

func newTransactionsList(k *kafkaOptions) *cobra.Command {
	o := newTransactionsOptions(k, "output running-for")
	return clusterCommand(&cobra.Command{
		Use:   "list [REGULAR EXPRESSION]",
		Short: "List transactional ids and their states",
		Long: `List transactional ids, all or those that a regular expression matches as a whole, which
takes Kafka 4.1. --running-for takes Kafka 3.8.`,
		Example: `  tributary transactions list
  tributary transactions list 'orders-.*' --running-for 15m --output json`,
		Args: cobra.MaximumNArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		all, err := admin.ListTransactions(ctx, cl, admin.TransactionFilter{RunningFor: o.runningFor, Pattern: strings.Join(args, "")})
		if err != nil {
			return err
		}
		return o.print(out, "TransactionalId\tCoordinator\tProducerId\tTransactionState", func(row func(v any, cells ...any) error) error {
			return each(all, func(t admin.ListedTransaction) error {
				return row(t, t.TransactionalID, t.Coordinator, t.ProducerID, t.State)
			})
		})
	})
}

func newTransactionsDescribe(k *kafkaOptions) *cobra.Command {
	o := newTransactionsOptions(k, "output")
	return clusterCommand(&cobra.Command{
		Use:     "describe ID...",
		Short:   "Show what the coordinators know of transactional ids",
		Example: `  tributary transactions describe orders-1`,
		Args:    cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		head := "CoordinatorId\tTransactionalId\tProducerId\tProducerEpoch\tTransactionState\tTransactionTimeoutMs\tCurrentTransactionStartTimeMs\tTransactionDurationMs\tTopicPartitions"
		return o.print(out, head, func(row func(v any, cells ...any) error) error {
			return each(args, func(id string) error {
				t, err := admin.DescribeTransaction(ctx, cl, id)
				if err != nil {
					return err
				}
				var lasts *int64
				if t.Start != nil {
					d := time.Now().UnixMilli() - *t.Start
					lasts = &d
				}
				var in []string
				for _, tp := range t.Partitions {
					for _, p := range tp.Partitions {
						in = append(in, fmt.Sprintf("%s-%d", tp.Topic, p))
					}
				}
				return row(t, t.Coordinator, id, t.ProducerID, t.ProducerEpoch, t.State, t.TimeoutMillis, o.orNone(t.Start), o.orNone(lasts), strings.Join(in, ","))
			})
		})
	})
}

func newTransactionsProducers(k *kafkaOptions) *cobra.Command {
	o := newTransactionsOptions(k, "output broker")
	return clusterCommand(&cobra.Command{
		Use:   "producers TOPIC[:0,1]...",
		Short: "Show the producers that partitions remember",
		Example: `  tributary transactions producers flows:0
  tributary transactions producers flows --broker 2`,
		Args: topicPartitionArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		partitions, err := admin.PartitionsOn(ctx, cl, partitionsOf(args), o.broker)
		if err != nil {
			return err
		}
		all, err := admin.DescribeProducers(ctx, cl, partitions, o.broker)
		if err != nil {
			return err
		}
		head := "ProducerId\tProducerEpoch\tLatestCoordinatorEpoch\tLastSequence\tLastTimestamp\tCurrentTransactionStartOffset"
		if o.output != "kafka" {
			head = "Topic\tPartition\t" + head
		}
		return o.print(out, head, func(row func(v any, cells ...any) error) error {
			return each(all, func(p admin.Producer) error {
				cells := []any{p.Topic, p.Partition, p.ProducerID, p.ProducerEpoch, p.CoordinatorEpoch, p.LastSequence, p.LastTimestamp, o.orNone(p.TxnStart)}
				if o.output == "kafka" {
					cells = cells[2:]
				}
				return row(p, cells...)
			})
		})
	})
}

// topicPartitionArgs wants topics, or partitions of them.
func topicPartitionArgs(c *cobra.Command, args []string) error {
	if err := cobra.MinimumNArgs(1)(c, args); err != nil {
		return err
	}
	return each(args, func(a string) error {
		if err := checkTopicPartitions(a); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
		return nil
	})
}

func newTransactionsFindHanging(k *kafkaOptions) *cobra.Command {
	o := newTransactionsOptions(k, "output broker find")
	return clusterCommand(&cobra.Command{
		Use:   "find-hanging",
		Short: "Find open transactions that their coordinator knows nothing of",
		Long: `Find open transactions that their coordinator knows nothing of, in topics or in all
partitions of a broker. Nobody will end them, and who reads committed records waits before
them for ever: transactions abort ends them.`,
		Example: `  tributary transactions find-hanging --broker 1
  tributary transactions find-hanging --topic orders --silent-for 1h`,
		Args: cobra.NoArgs,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, _ []string) error {
		if len(o.topics) == 0 && o.broker < 0 {
			return errors.New("want --topic or --broker, which say where to look")
		}
		all, err := admin.HangingTransactions(ctx, cl, partitionsOf(o.topics), o.broker, time.Now().Add(-o.silentFor))
		if err != nil {
			return err
		}
		return o.print(out, "Topic\tPartition\tProducerId\tProducerEpoch\tCoordinatorEpoch\tStartOffset\tLastTimestamp\tDuration(min)", func(row func(v any, cells ...any) error) error {
			return each(all, func(p admin.Producer) error {
				silent := time.Since(time.UnixMilli(p.LastTimestamp))
				return row(p, p.Topic, p.Partition, p.ProducerID, p.ProducerEpoch, p.CoordinatorEpoch, *p.TxnStart, p.LastTimestamp, int64(silent.Minutes()))
			})
		})
	})
}

func newTransactionsAbort(k *kafkaOptions) *cobra.Command {
	o := newTransactionsOptions(k, "abort")
	return clusterCommand(&cobra.Command{
		Use:   "abort TOPIC:PARTITION",
		Short: "Abort an open transaction in a partition",
		Long: `Abort an open transaction in a partition, whatever its coordinator knows of it. It is for
those that find-hanging finds; terminate ends the transaction of a producer that lives.`,
		Example: `  tributary transactions abort orders:0 --start-offset 4711
  tributary transactions abort orders:0 --producer-id 1000 --producer-epoch 3 --coordinator-epoch 0`,
		Args: cobra.MatchAll(cobra.ExactArgs(1), topicPartitionArgs),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		of := partitionsOf(args)[0]
		switch {
		case len(of.Partitions) != 1:
			return errors.New("name one partition, such as orders:0")
		case (o.start < 0) == (o.producerID < 0):
			return errors.New("want --start-offset or --producer-id")
		case o.producerID >= 0 && (o.producerEpoch < 0 || o.coordinatorEpoch < 0):
			return errors.New("--producer-id wants --producer-epoch and --coordinator-epoch")
		}
		p := admin.Producer{Topic: of.Topic, Partition: of.Partitions[0], ProducerID: o.producerID, ProducerEpoch: o.producerEpoch, CoordinatorEpoch: o.coordinatorEpoch}
		if o.start >= 0 {
			var err error
			if p, err = admin.OpenTransactionAt(ctx, cl, of.Topic, of.Partitions[0], o.start); err != nil {
				return err
			}
		}
		return admin.AbortTransaction(ctx, cl, p)
	})
}

func newTransactionsTerminate(k *kafkaOptions) *cobra.Command {
	o := newTransactionsOptions(k, "")
	return clusterCommand(&cobra.Command{
		Use:     "terminate ID...",
		Short:   "End the transactions of transactional ids and shut their producers out",
		Example: `  tributary transactions terminate orders-1`,
		Args:    cobra.MinimumNArgs(1),
	}, k, o, func(ctx context.Context, _ io.Writer, cl *kgo.Client, args []string) error {
		return each(args, func(id string) error { return admin.TerminateTransaction(ctx, cl, id) })
	})
}

// orNone is what stands for a number that may not be there; Kafka's script says None.
func (o *transactionsOptions) orNone(n *int64) any {
	if n == nil && o.output == "kafka" {
		return "None"
	}
	return n
}

// humps are where the words of Kafka's heads meet.
var humps = regexp.MustCompile(`([a-z])([A-Z])`)

// print prints rows: in Kafka's form columns are as wide as what is in them and end in a tab.
func (o *transactionsOptions) print(out io.Writer, head string, rows func(row func(v any, cells ...any) error) error) error {
	if o.output != "kafka" {
		return table(out, o.output, strings.ToUpper(humps.ReplaceAllString(head, "$1-$2")), rows)
	}
	lines := [][]string{strings.Split(head, "\t")}
	err := rows(func(_ any, cells ...any) error {
		line := make([]string, len(cells))
		for i, c := range cells {
			if n, ok := c.(*int64); ok {
				c = *n
			}
			line[i] = fmt.Sprint(c)
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil && len(lines) == 1 {
		return err
	}
	return errors.Join(admin.WriteTableAsKafka(out, lines), err)
}
