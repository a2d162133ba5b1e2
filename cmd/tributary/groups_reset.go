package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

// groupsResetOptions are the options of groups reset-offsets.
type groupsResetOptions struct {
	kafka      *kafkaOptions
	output     string
	topics     []string
	allTopics  bool
	allGroups  bool
	toEarliest bool
	toLatest   bool
	toCurrent  bool
	toOffset   int64
	shiftBy    string
	byDuration string
	toDatetime string
	fromFile   string
	execute    bool
	export     bool
}

func (o *groupsResetOptions) register(fs *pflag.FlagSet, prefix string) {
	outputKafkaVar(fs, &o.output, prefix, "kafka-consumer-groups.sh")
	listVar(fs, &o.topics, prefix+"topic", "topic[:0,1]", checkTopicPartitions, "topic, or partitions of it, to set offsets in (repeatable)")
	boolVar(fs, &o.allTopics, prefix+"all-topics", "set offsets in every partition that the group has one of")
	boolVar(fs, &o.allGroups, prefix+"all-groups", "set offsets of all groups")
	boolVar(fs, &o.toEarliest, prefix+"to-earliest", "go to the first record")
	boolVar(fs, &o.toLatest, prefix+"to-latest", "go behind the last record")
	boolVar(fs, &o.toCurrent, prefix+"to-current", "stay at the committed offset; where there is none go behind the last record")
	intVar(fs, &o.toOffset, prefix+"to-offset", -1, maxInt64, "go to this offset; -1 is none")
	textVar(fs, &o.shiftBy, prefix+"shift-by", "number", checkNumber, "go so many records on, or back if it is negative")
	textVar(fs, &o.byDuration, prefix+"by-duration", "duration", checkDuration, "go to the first record of the last so long: 90m, PT1H30M, P7D")
	textVar(fs, &o.toDatetime, prefix+"to-datetime", "time", checkTime, "go to the first record of this time or later: 2026-01-02T15:04:05Z; without a zone it is UTC")
	stringVar(fs, &o.fromFile, prefix+"from-file", "go where this `file` says, in lines of topic,partition,offset or group,topic,partition,offset, as --export writes them")
	boolVar(fs, &o.execute, prefix+"execute", "set the offsets; without it the command only shows what it would do")
	boolVar(fs, &o.export, prefix+"export", "print topic,partition,offset, or with several groups group,topic,partition,offset, for --from-file")
}

func (o *groupsResetOptions) check() error {
	var rules []string
	for name, set := range map[string]bool{
		"--to-earliest": o.toEarliest, "--to-latest": o.toLatest, "--to-current": o.toCurrent, "--to-offset": o.toOffset >= 0,
		"--shift-by": o.shiftBy != "", "--by-duration": o.byDuration != "", "--to-datetime": o.toDatetime != "", "--from-file": o.fromFile != "",
	} {
		if set {
			rules = append(rules, name)
		}
	}
	switch {
	case len(rules) != 1:
		return errors.New("want one of --to-earliest, --to-latest, --to-current, --to-offset, --shift-by, --by-duration, --to-datetime and --from-file")
	case o.allTopics && len(o.topics) > 0:
		return errors.New("--topic and --all-topics exclude each other")
	case o.fromFile != "" && (o.allTopics || len(o.topics) > 0):
		return errors.New("--from-file names the topics; --topic and --all-topics are not for it")
	case o.fromFile == "" && !o.allTopics && len(o.topics) == 0:
		return errors.New("no topic; name one by --topic, or --all-topics")
	case o.export && o.output == "json":
		return errors.New("--export writes CSV; --output json is not for it")
	}
	return o.kafka.check()
}

func checkNumber(s string) error {
	if _, err := strconv.ParseInt(s, 10, 64); err != nil {
		return errors.New("allowed are whole numbers such as 10 and -10")
	}
	return nil
}

func checkDuration(s string) error {
	_, err := admin.ParseDuration(s)
	return err
}

func checkTime(s string) error {
	_, err := admin.ParseTime(s)
	return err
}

// target is what the options say. They are checked.
func (o *groupsResetOptions) target(now time.Time) (admin.Target, error) {
	switch {
	case o.toEarliest:
		return admin.ToEarliest(), nil
	case o.toLatest:
		return admin.ToLatest(), nil
	case o.toCurrent:
		return admin.ToCurrent(), nil
	case o.toOffset >= 0:
		return admin.ToOffset(o.toOffset), nil
	case o.shiftBy != "":
		n, err := strconv.ParseInt(o.shiftBy, 10, 64)
		return admin.ShiftBy(n), err
	case o.byDuration != "":
		d, err := admin.ParseDuration(o.byDuration)
		return admin.ToTime(now.Add(-d)), err
	case o.toDatetime != "":
		t, err := admin.ParseTime(o.toDatetime)
		return admin.ToTime(t), err
	}
	f, err := os.Open(o.fromFile)
	if err != nil {
		return admin.Target{}, err
	}
	defer f.Close()
	offsets, err := admin.ReadOffsets(f)
	if err != nil {
		return admin.Target{}, fmt.Errorf("%s: %w", o.fromFile, err)
	}
	return admin.ToFile(offsets), nil
}

func newGroupsReset(k *kafkaOptions) *cobra.Command {
	o := &groupsResetOptions{kafka: k, output: "text", toOffset: -1}
	return clusterCommand(&cobra.Command{
		Use:   "reset-offsets GROUP...",
		Short: "Set the offsets from which groups go on reading",
		Long: `Set the offsets from which groups without members go on reading. Without --execute
it shows what would be done and changes nothing. Offsets beyond the first and the
last record are moved to these. A group that is not there comes to be.`,
		Example: `  tributary groups reset-offsets viewers --topic flows --to-earliest
  tributary groups reset-offsets viewers --topic flows:0,1 --shift-by -100 --execute
  tributary groups reset-offsets viewers --all-topics --by-duration 2h --execute
  tributary groups reset-offsets viewers --all-topics --to-current --export > offsets.csv
  tributary groups reset-offsets viewers --from-file offsets.csv --execute`,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		to, err := o.target(time.Now())
		if err != nil {
			return err
		}
		if len(args) == 0 && !o.allGroups {
			args = to.Groups()
		}
		groups, err := groupNames(ctx, cl, args, o.allGroups)
		if err != nil {
			return err
		}
		var planned []admin.Change
		err = each(groups, func(group string) error {
			changes, err := admin.PlanReset(ctx, cl, group, partitionsOf(o.topics), to)
			if err == nil && o.execute {
				err = admin.ApplyReset(ctx, cl, changes)
			}
			if err == nil {
				planned = append(planned, changes...)
			}
			return err
		})
		if o.export {
			return errors.Join(admin.WriteOffsets(out, planned, len(groups) > 1), err)
		}
		if o.output == "kafka" {
			return table(out, o.output, "GROUP\tTOPIC\tPARTITION\tNEW-OFFSET", func(row func(v any, cells ...any) error) error {
				return errors.Join(err, each(planned, func(c admin.Change) error { return row(nil, c.Group, c.Topic, c.Partition, c.Offset) }))
			})
		}
		return table(out, o.output, "GROUP\tTOPIC\tPARTITION\tCURRENT-OFFSET\tNEW-OFFSET\tLOG-END-OFFSET", func(row func(v any, cells ...any) error) error {
			errs := []error{err}
			for _, c := range planned {
				errs = append(errs, row(resetRow{c, o.execute}, c.Group, c.Topic, c.Partition, c.Committed, c.Offset, c.End))
			}
			return errors.Join(errs...)
		})
	})
}

// resetRow is a line of groups reset-offsets --output json.
type resetRow struct {
	admin.Change
	Executed bool `json:"executed"`
}
