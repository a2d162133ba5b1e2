package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/bench"
	"github.com/tributary-net/tributary/internal/kafka"
)

func newBench() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast a cluster takes and gives records",
		Example: `  tributary bench produce test --records 1000000 --size 1KB
  tributary bench consume test`,
	}
	k := clusterParent(c)
	c.AddCommand(newBenchProduce(k), newBenchConsume(k))
	return c
}

// benchOptions are those of both benches.
type benchOptions struct {
	kafka       *kafkaOptions
	load        bench.Load
	connections int
	output      string
	bare        bool
	timeFormat  string
}

func (o *benchOptions) register(fs *pflag.FlagSet, prefix string) {
	intVar(fs, &o.load.Records, prefix+"records", 0, maxInt64, "end after this many records; 0 is no limit")
	durationVar(fs, &o.load.Duration, prefix+"duration", 0, maxDuration, "end after this time; 0 is no limit")
	intVar(fs, &o.connections, prefix+"connections", 1, 10_000, "clients with connections of their own")
	durationVar(fs, &o.load.Interval, prefix+"interval", 0, time.Hour, "print a line this often; 0 prints the summary only")
	enumVar(fs, &o.output, prefix+"output", []string{"text", "json", "kafka"}, "how to print: a table, a JSON object a line, or as Kafka's perf-test scripts do")
	boolVar(fs, &o.bare, prefix+"no-header", "print no line of headings")
}

// clients makes as many as there are connections, each with options of its own.
func (o *benchOptions) clients(ctx context.Context, c *cobra.Command, opts func(i int) []kgo.Opt) ([]*kgo.Client, func(), error) {
	var all []*kgo.Client
	closeAll := func() {
		for _, cl := range all {
			cl.Close()
		}
	}
	for i := range o.connections {
		cl, err := o.kafka.client(ctx, c, opts(i)...)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		o.kafka.without = nil // said once
		all = append(all, cl)
	}
	return all, closeAll, nil
}

// run measures, prints while it does, and sums up, whatever ended it.
func (o *benchOptions) run(ctx context.Context, c *cobra.Command, clients []*kgo.Client,
	measure func(context.Context, bench.Load, []*kgo.Client, func(bench.Report)) (bench.Report, error),
) error {
	p := bench.Printer{Out: c.OutOrStdout(), Format: o.output, Bare: o.bare, Time: o.timeFormat}
	var broken error
	summary, err := measure(ctx, o.load, clients, func(r bench.Report) {
		if broken == nil {
			broken = p.Interval(r)
		}
	})
	return errors.Join(p.Summary(summary), err, broken)
}

// benchProduceOptions are the options of bench produce.
type benchProduceOptions struct {
	benchOptions
	partitions  int32
	acks        string
	compression string
	batch       int64
	linger      time.Duration
	payloads    string
	delimiter   string
	id          string
}

func (o *benchProduceOptions) register(fs *pflag.FlagSet, prefix string) {
	o.benchOptions.register(fs, prefix)
	sizeVar(fs, &o.load.Size, prefix+"size", 0, 1<<30, "size of a record's value")
	stringVar(fs, &o.payloads, prefix+"payload-file", "draw values from this `file` at random, instead of --size")
	textVar(fs, &o.delimiter, prefix+"payload-delimiter", "expression", checkExpression, "regular expression that parts the values in the file")
	boolVar(fs, &o.load.Numbers, prefix+"payload-numbers", "send 0, 1, 2 and so on, instead of --size")
	intVar(fs, &o.load.Warmup, prefix+"warmup", 0, maxInt64, "sum up once more without this many records at the beginning")
	stringVar(fs, &o.id, prefix+"transactional-id", "send in transactions, by producers of this id, the second connection's with -2 behind it, and so on")
	durationVar(fs, &o.load.Commit, prefix+"transaction-duration", 0, 10*time.Minute, "commit a transaction after this time; 0 is 3 s with an id, and no transactions without")
	intVar(fs, &o.load.Keys, prefix+"keys", 0, 1_000_000, "how many different keys to use; 0 sends none")
	rateVar(fs, &o.load.Rate, prefix+"rate", "send so many records; 0 is as fast as it goes")
	intVar(fs, &o.partitions, prefix+"partitions", 0, 100_000, "make the topic, if it is missing, with this many partitions; 0 leaves it to the cluster")
	enumVar(fs, &o.acks, prefix+"acks", []string{"", "all", "1", "0"}, "who has a record when it is acknowledged (default all)")
	enumVar(fs, &o.compression, prefix+"compression", []string{"", "none", "gzip", "snappy", "lz4", "zstd"}, "compression of batches (default none)")
	sizeVar(fs, &o.batch, prefix+"batch", 0, 1<<30, "largest batch; 0 is the default, 1 MB")
	durationVar(fs, &o.linger, prefix+"linger", 0, time.Minute, "wait so long for a batch to fill; 0 is the default, 10 ms")
}

func (o *benchProduceOptions) check() error {
	if err := o.kafka.check(); err != nil {
		return err
	}
	if o.load.Numbers && o.payloads != "" {
		return errors.New("payload-numbers does not go with payload-file")
	}
	if o.load.Warmup > 0 && o.load.Records > 0 && o.load.Warmup >= o.load.Records {
		return bad("warmup", strconv.FormatInt(o.load.Warmup, 10), "allowed are fewer than the records")
	}
	set := []error{o.kafka.property("acks", o.acks), o.kafka.property("compression.type", o.compression)}
	if o.batch > 0 {
		set = append(set, o.kafka.property("batch.size", strconv.FormatInt(o.batch, 10)))
	}
	if o.linger > 0 {
		set = append(set, o.kafka.property("linger.ms", strconv.FormatInt(o.linger.Milliseconds(), 10)))
	}
	return errors.Join(set...)
}

func newBenchProduce(k *kafkaOptions) *cobra.Command {
	o := &benchProduceOptions{benchOptions: defaultBenchOptions(k)}
	o.load.Size, o.load.Duration, o.delimiter = 1000, 10*time.Second, `\n`
	return configured(&cobra.Command{
		Use:   "produce TOPIC",
		Short: "Send records and measure throughput and latency",
		Long: `Send records of one size and measure how many are acknowledged and how long that takes: from
when a record is handed to the client, or with --rate from when it is due, to its acknowledgement.
Without --rate latency is mostly that of the queue in the client.`,
		Example: `  tributary bench produce test --records 1000000 --size 100B --partitions 6 --connections 2
  tributary bench produce test --rate 1000 --duration 60s --acks all --output json`,
		Args: cobra.ExactArgs(1),
	}, o, func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		if err := kafka.CheckTopic(args[0]); err != nil {
			return err
		}
		o.load.Topic = args[0]
		if o.payloads != "" {
			text, err := os.ReadFile(o.payloads)
			if err != nil {
				return err
			}
			if o.load.Values, err = bench.Payloads(text, o.delimiter); err != nil {
				return fmt.Errorf("%s: %w", o.payloads, err)
			}
		}
		clients, closeAll, err := o.clients(ctx, c, o.transactional())
		if err != nil {
			return err
		}
		defer closeAll()
		if o.partitions > 0 {
			err := kafka.CreateTopic(ctx, clients[0], args[0], o.partitions, -1, nil)
			if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
				return o.kafka.endpoint.Explain(err)
			}
		}
		return o.kafka.endpoint.Explain(o.run(ctx, c, clients, bench.Produce))
	})
}

// transactional completes the options of transactions, and makes those of each producer.
func (o *benchProduceOptions) transactional() func(i int) []kgo.Opt {
	switch {
	case o.id != "" && o.load.Commit == 0:
		o.load.Commit = 3 * time.Second
	case o.id == "" && o.load.Commit > 0:
		o.id = "bench-" + rand.Text()
	}
	return func(i int) []kgo.Opt {
		opts := []kgo.Opt{kgo.AllowAutoTopicCreation(), kgo.MaxBufferedRecords(1 << 20)}
		if o.id == "" {
			return opts
		}
		id := o.id
		if i > 0 {
			id += "-" + strconv.Itoa(i+1)
		}
		return append(opts, kgo.TransactionalID(id), kgo.TransactionTimeout(o.load.Commit+time.Minute))
	}
}

// checkExpression accepts a regular expression.
func checkExpression(s string) error {
	_, err := regexp.Compile(s)
	return err
}

func defaultBenchOptions(k *kafkaOptions) benchOptions {
	return benchOptions{kafka: k, connections: 1, output: "text", load: bench.Load{Interval: time.Second}}
}

// benchConsumeOptions are the options of bench consume.
type benchConsumeOptions struct {
	benchOptions
	group  string
	follow bool
}

func (o *benchConsumeOptions) register(fs *pflag.FlagSet, prefix string) {
	o.benchOptions.register(fs, prefix)
	textVar(fs, &o.timeFormat, prefix+"time-format", "pattern", checkTimeFormat, "with --output kafka, how times are written, as Java's SimpleDateFormat has it")
	stringVar(fs, &o.group, prefix+"group", "consume as members of this group; without one every connection reads everything")
	boolVar(fs, &o.follow, prefix+"follow", "begin with what comes from now on, and measure how old records are by their timestamps when they come")
	durationVar(fs, &o.load.Idle, prefix+"idle", 0, maxDuration, "end when nothing came for so long; 0 waits for ever")
}

func (o *benchConsumeOptions) check() error {
	if err := o.kafka.check(); err != nil {
		return err
	}
	return o.kafka.property("group.id", o.group)
}

func checkTimeFormat(s string) error {
	_, err := bench.FormatTime(time.Time{}, s)
	return err
}

func newBenchConsume(k *kafkaOptions) *cobra.Command {
	o := &benchConsumeOptions{benchOptions: defaultBenchOptions(k)}
	o.load.Idle, o.timeFormat = 3*time.Second, bench.KafkaTime
	return configured(&cobra.Command{
		Use:   "consume TOPIC",
		Short: "Read records and measure throughput",
		Long: `Read a topic from its beginning and measure how many records come. With --follow it begins at the
end and measures the age of records too, which says something if the clocks of both sides are the same.`,
		Example: `  tributary bench consume test --records 1000000
  tributary bench consume test --follow --duration 60s --group measuring --connections 3`,
		Args: cobra.ExactArgs(1),
	}, o, func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		if err := kafka.CheckTopic(args[0]); err != nil {
			return err
		}
		o.load.Topic, o.load.Latency = args[0], o.follow && o.output != "kafka" // which has none of a consumer
		begin := kgo.NewOffset().AtStart()
		if o.follow {
			begin = kgo.NewOffset().AtEnd()
		}
		opts := append(o.kafka.endpoint.ConsumerOptions(), kgo.ConsumeTopics(args[0]), kgo.ConsumeStartOffset(begin))
		clients, closeAll, err := o.clients(ctx, c, func(int) []kgo.Opt { return opts })
		if err != nil {
			return err
		}
		defer closeAll()
		topics, err := kadm.NewClient(clients[0]).ListTopics(ctx, args[0])
		if err == nil {
			err = topics[args[0]].Err
		}
		if err != nil {
			return o.kafka.endpoint.Explain(err)
		}
		return o.kafka.endpoint.Explain(o.run(ctx, c, clients, bench.Consume))
	})
}
