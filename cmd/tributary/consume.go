package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/kafka"
)

// consumeOptions are the options of consume.
type consumeOptions struct {
	kafka         *kafkaOptions
	topicRegex    string
	group         string
	fromBeginning bool
	offset        string
	partitions    []string
	maxMessages   int64
	timeout       time.Duration
	exitAtEnd     bool
	follow        bool
	isolation     string
	decode        bool
	output        string
	print         string
	keySep        string
	headerSep     string
	null          string
	keyFormat     string
	valueFormat   string
	skipOdd       bool
	delimiter     string
	http          string
	logFormat     string

	metrics kafka.ClientMetrics
}

func (o *consumeOptions) register(fs *pflag.FlagSet, prefix string) {
	o.kafka.register(fs, prefix)
	textVar(fs, &o.topicRegex, prefix+"topic-regex", "expression", checkRegexp, "consume the topics that this regular expression matches, those made later too; /expression/ as the topic does the same")
	stringVar(fs, &o.group, prefix+"group", "consume as a member of this group, from where it left off")
	boolVar(fs, &o.fromBeginning, prefix+"from-beginning", "begin at the first record; in a group, where it has no offset")
	textVar(fs, &o.offset, prefix+"offset", "where", checkOffset, "begin here: earliest, latest, a number, -N for the last N of each partition, @TIME (RFC 3339) or @-10m (default latest)")
	listVar(fs, &o.partitions, prefix+"partition", "number", checkPartition, "consume only this partition (repeatable)")
	intVar(fs, &o.maxMessages, prefix+"max-messages", 0, maxInt64, "end after this many records; 0 is no limit")
	durationVar(fs, &o.timeout, prefix+"timeout", 0, maxDuration, "end when nothing came for so long; 0 waits for ever")
	boolVar(fs, &o.exitAtEnd, prefix+"exit-at-end", "end where the partitions ended when the command began")
	boolVar(fs, &o.follow, prefix+"follow", "go on with what comes after the end, as without it")
	enumVar(fs, &o.isolation, prefix+"isolation", []string{"", "read_uncommitted", "read_committed"}, "whether to see records of open and aborted transactions (default read_uncommitted)")
	boolVar(fs, &o.decode, prefix+"decode", "print flow records and counter samples as JSON, whatever format they are in")
	enumVar(fs, &o.output, prefix+"output", []string{"text", "json", "kafka"}, "how to print: what --print says, a JSON object a line with all there is, or what --print says as kafka-console-consumer.sh does")
	textVar(fs, &o.print, prefix+"print", "list", checkPrint, "what to print of a record: "+strings.Join(printable, ", "))
	stringVar(fs, &o.keySep, prefix+"key-separator", "what parts the printed pieces; \\t is a tab")
	stringVar(fs, &o.headerSep, prefix+"header-separator", "what parts printed headers")
	stringVar(fs, &o.null, prefix+"null", "what stands for a key or value that is none")
	enumVar(fs, &o.keyFormat, prefix+"key-format", kafka.ValueFormats, "what keys are: printed as they are, or what Kafka's serializer of this name made of numbers")
	enumVar(fs, &o.valueFormat, prefix+"value-format", kafka.ValueFormats, "what values are, likewise")
	boolVar(fs, &o.skipOdd, prefix+"skip-malformed", "leave out records whose key or value is not of its format, and say so")
	textVar(fs, &o.delimiter, prefix+"delimiter", "text", checkDelimiter, "what ends a printed record; \\n, \\t and \\0 are understood")
	textVar(fs, &o.http, prefix+"http", "host:port|off", checkHTTP, "serve /metrics, /healthz, /readyz and /debug/pprof/ here while it runs")
	enumVar(fs, &o.logFormat, prefix+"log-format", daemon.LogFormats, "how to write the log of that")
}

// printable are the pieces of a record that --print takes.
var printable = []string{"topic", "partition", "offset", "timestamp", "key", "headers", "value"}

func checkPrint(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		if !slices.Contains(printable, strings.TrimSpace(part)) {
			return errors.New("allowed are, parted by commas, " + strings.Join(printable, ", "))
		}
	}
	return nil
}

func checkRegexp(s string) error {
	_, err := regexp.Compile(s)
	return err
}

func checkPartition(s string) error {
	if n, err := strconv.ParseInt(s, 10, 32); err != nil || n < 0 {
		return errors.New("allowed are numbers from 0")
	}
	return nil
}

func checkOffset(s string) error {
	_, err := parseOffset(s, time.Now())
	return err
}

// parseOffset reads where to begin.
func parseOffset(s string, now time.Time) (kgo.Offset, error) {
	bad := errors.New("allowed are earliest, latest, a number, -N, @2026-01-02T15:04:05Z and @-10m")
	o := kgo.NewOffset()
	switch {
	case s == "latest" || s == "":
		return o.AtEnd(), nil
	case s == "earliest":
		return o.AtStart(), nil
	case strings.HasPrefix(s, "@"):
		if t, err := time.Parse(time.RFC3339, s[1:]); err == nil {
			return o.AfterMilli(t.UnixMilli()), nil
		}
		d, err := time.ParseDuration(s[1:])
		if err != nil || d > 0 {
			return o, bad
		}
		return o.AfterMilli(now.Add(d).UnixMilli()), nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return o, bad
	case strings.HasPrefix(s, "-"):
		return o.AtEnd().Relative(n), nil
	default:
		return o.At(n), nil
	}
}

func (o *consumeOptions) check() error {
	if err := o.kafka.check(); err != nil {
		return err
	}
	if o.fromBeginning && o.offset != "" && o.offset != "earliest" {
		return bad("offset", o.offset, "allowed with --from-beginning is earliest")
	}
	if o.fromBeginning {
		o.offset = "earliest"
	}
	if o.output == "json" && (o.keyFormat != "text" || o.valueFormat != "text") {
		return errors.New("--key-format and --value-format are for lines; --output json has what is not text in Base64")
	}
	if o.follow && o.exitAtEnd {
		return errors.New("--follow and --exit-at-end exclude each other")
	}
	if o.group != "" && len(o.partitions) > 0 {
		return bad("partition", strings.Join(o.partitions, " "), "allowed with --group is none: the group shares the partitions out")
	}
	if err := errors.Join(o.kafka.property("group.id", o.group), o.kafka.property("isolation.level", o.isolation)); err != nil {
		return err
	}
	o.group = o.kafka.endpoint.Properties["group.id"]
	if o.offset == "" && o.kafka.endpoint.Properties["auto.offset.reset"] == "earliest" {
		o.offset = "earliest"
	}
	if len(o.partitions) > 0 {
		o.group = "" // a properties file names one
	}
	return nil
}

func newConsume() *cobra.Command {
	o := &consumeOptions{kafka: defaultKafkaOptions(), output: "text", print: "value", keySep: `\t`, headerSep: ",", null: "null", keyFormat: "text", valueFormat: "text", delimiter: `\n`, http: "off", logFormat: "text"}
	return configured(&cobra.Command{
		Use:   "consume [TOPIC...]",
		Short: "Print the records of topics",
		Long: `Print the records of topics on standard output, as they come. Without a group it
begins with records that come from now on; --from-beginning and --offset begin
elsewhere.`,
		Example: `  tributary consume flows --decode
  tributary consume flows --from-beginning --exit-at-end --print partition,offset,key,value
  tributary consume '/^event/' --group viewers --output json
  tributary consume flows --offset @-10m --max-messages 100 --decode | jq .src_addr`,
	}, o, func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		out := bufio.NewWriterSize(c.OutOrStdout(), 64<<10)
		p := newPrinter(o, out, c.ErrOrStderr())
		err := o.operate(ctx, c, func(ctx context.Context) error { return consume(ctx, c, o, args, p) })
		if o.output == "kafka" {
			fmt.Fprintf(c.ErrOrStderr(), "Processed a total of %d messages\n", p.records)
		}
		return o.kafka.endpoint.Explain(err)
	})
}

// selectTopics returns the topics to consume, and the expression when they are
// chosen by one.
func (o *consumeOptions) selectTopics(ctx context.Context, admin *kadm.Client, args []string) (kadm.TopicDetails, *regexp.Regexp, error) {
	expr := o.topicRegex
	if len(args) == 1 && len(args[0]) > 2 && strings.HasPrefix(args[0], "/") && strings.HasSuffix(args[0], "/") {
		expr, args = args[0][1:len(args[0])-1], nil
	}
	if len(args) == 0 && expr == "" && o.kafka.endpoint.Topic != "" {
		args = []string{o.kafka.endpoint.Topic}
	}
	switch {
	case expr != "" && len(args) > 0:
		return nil, nil, errors.New("topics by name and --topic-regex exclude each other")
	case expr != "":
		re, err := regexp.Compile(expr)
		if err != nil {
			return nil, nil, err
		}
		topics, err := admin.ListTopics(ctx)
		topics.FilterInternal()
		maps.DeleteFunc(topics, func(name string, _ kadm.TopicDetail) bool { return !re.MatchString(name) })
		return topics, re, err
	case len(args) == 0:
		return nil, nil, errors.New("no topic; name one, or several by --topic-regex")
	}
	for _, t := range args {
		if err := kafka.CheckTopic(t); err != nil {
			return nil, nil, err
		}
	}
	topics, err := admin.ListTopicsWithInternal(ctx, args...)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range args {
		switch err := topics[t].Err; {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			return nil, nil, fmt.Errorf("there is no topic %s at %s", t, o.kafka.endpoint.Address())
		case err != nil:
			return nil, nil, fmt.Errorf("topic %s: %w", t, err)
		}
	}
	return topics, nil, nil
}

// chosen returns the partitions of the topics to consume, by --partition.
func (o *consumeOptions) chosen(topics kadm.TopicDetails) (map[string][]int32, error) {
	m := map[string][]int32{}
	for _, t := range topics {
		all := t.Partitions.Numbers()
		if len(o.partitions) == 0 {
			m[t.Topic] = all
			continue
		}
		for _, s := range o.partitions {
			n, _ := strconv.ParseInt(s, 10, 32)
			if !slices.Contains(all, int32(n)) {
				return nil, fmt.Errorf("topic %s has no partition %d; it has %d", t.Topic, n, len(all))
			}
			m[t.Topic] = append(m[t.Topic], int32(n))
		}
	}
	return m, nil
}

// consume chooses topics, partitions and offsets, and prints what comes.
func consume(ctx context.Context, c *cobra.Command, o *consumeOptions, args []string, p *printer) error {
	finder, err := o.kafka.client(ctx, c)
	if err != nil {
		return err
	}
	defer finder.Close()
	o.kafka.without = nil // said once
	admin := kadm.NewClient(finder)
	topics, re, err := o.selectTopics(ctx, admin, args)
	if err != nil {
		return err
	}
	partitions, err := o.chosen(topics)
	if err != nil {
		return err
	}
	begin, err := parseOffset(o.offset, time.Now())
	if err != nil {
		return err
	}
	var end *finish
	if o.exitAtEnd {
		if end, err = newFinish(ctx, admin, o, begin, partitions); err != nil {
			return err
		}
		if o.group == "" && end.reached() {
			return nil
		}
	}
	endpoint := o.kafka.endpoint
	if o.group == "" { // properties may name one
		endpoint.Properties = maps.Clone(endpoint.Properties)
		delete(endpoint.Properties, "group.id")
	}
	opts := endpoint.ConsumerOptions()
	opts = append(opts, kgo.ConsumeStartOffset(begin), kgo.MetadataMinAge(250*time.Millisecond), kgo.WithHooks(&o.metrics))
	if o.offset != "" { // where the offset asked for is gone
		opts = append(opts, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	}
	switch {
	case o.group != "":
		// Only what was printed is committed.
		opts = append(append(opts, kgo.AutoCommitMarks()), o.metrics.GroupOptions()...)
		if o.exitAtEnd {
			opts = append(opts, kgo.AdjustFetchOffsetsFn(end.assigned))
		}
		fallthrough
	case len(o.partitions) == 0 && !o.exitAtEnd:
		if re != nil {
			opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(re.String()))
		} else {
			opts = append(opts, kgo.ConsumeTopics(slices.Collect(maps.Keys(partitions))...))
		}
	default:
		at := map[string]map[int32]kgo.Offset{}
		for t, ps := range partitions {
			at[t] = map[int32]kgo.Offset{}
			for _, n := range ps {
				at[t][n] = begin
				if end != nil {
					at[t][n] = end.begin(t, n)
				}
			}
		}
		opts = append(opts, kgo.ConsumePartitions(at))
	}
	if o.exitAtEnd {
		opts = append(opts, kgo.KeepControlRecords()) // a partition may end with one
	}
	cl, err := o.kafka.client(ctx, c, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	err = poll(ctx, cl, o, p, end)
	if o.group != "" {
		commitCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if e := cl.CommitMarkedOffsets(commitCtx); err == nil && e != nil {
			err = fmt.Errorf("commit: %w", e)
		}
	}
	return err
}

// poll prints records until one of the options says to end.
func poll(ctx context.Context, cl *kgo.Client, o *consumeOptions, p *printer, end *finish) error {
	var printed int64
	last := time.Now()
	for {
		if end != nil && end.reached() {
			return nil
		}
		// Wake up now and then for a rebalance that finishes the work.
		wait := time.Duration(math.MaxInt64)
		if end != nil {
			wait = 200 * time.Millisecond
		}
		if o.timeout > 0 {
			wait = min(wait, o.timeout-time.Since(last))
		}
		limit := 10_000
		if o.maxMessages > 0 {
			limit = int(min(int64(limit), o.maxMessages-printed))
		}
		pollCtx, cancel := context.WithTimeout(ctx, max(0, wait))
		fetches := cl.PollRecords(pollCtx, limit)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		o.metrics.Polled(fetches)
		var failed error
		fetches.EachError(func(topic string, partition int32, err error) {
			if failed == nil && !errors.Is(err, context.DeadlineExceeded) {
				failed = fmt.Errorf("fetch %s partition %d: %w", topic, partition, err)
			}
		})
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Attrs.IsControl() {
				continue
			}
			if err := p.record(r); err != nil {
				return err
			}
			printed++
		}
		// Before it is committed it must be out.
		if err := p.flush(); err != nil {
			return err
		}
		cl.MarkCommitRecords(fetches.Records()...)
		if end != nil {
			end.passed(fetches)
		}
		if failed != nil {
			return failed
		}
		if fetches.NumRecords() > 0 {
			last = time.Now()
		}
		if o.maxMessages > 0 && printed >= o.maxMessages {
			return nil
		}
		if o.timeout > 0 && time.Since(last) >= o.timeout {
			if o.maxMessages > 0 && o.output != "kafka" {
				return fmt.Errorf("nothing came for %s; %d of %d records were printed", formatDuration(o.timeout), printed, o.maxMessages)
			}
			return nil
		}
	}
}
