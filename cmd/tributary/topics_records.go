package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func checkBefore(s string) error {
	_, err := parseBefore(s, time.Now())
	return err
}

// parseBefore reads up to where records are deleted.
func parseBefore(s string, now time.Time) (admin.Before, error) {
	bad := errors.New("allowed are an offset, latest, @2026-01-02T15:04:05Z and @-24h")
	when, timed := strings.CutPrefix(s, "@")
	switch {
	case s == "latest":
		return admin.Before{Offset: -1}, nil
	case timed:
		if t, err := admin.ParseTime(when); err == nil {
			return admin.Before{Time: t}, nil
		}
		d, err := time.ParseDuration(when)
		if err != nil || d > 0 {
			return admin.Before{}, bad
		}
		return admin.Before{Time: now.Add(d)}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return admin.Before{}, bad
	}
	return admin.Before{Offset: n}, nil
}

// upTo is up to where the options say to delete records.
func (o *topicOptions) upTo(now time.Time) (admin.Before, error) {
	if o.fromFile == "" {
		return parseBefore(o.before, now)
	}
	f, err := os.Open(o.fromFile)
	if err != nil {
		return admin.Before{}, err
	}
	defer f.Close()
	offsets, err := admin.ReadRecordOffsets(f)
	if err != nil {
		return admin.Before{}, fmt.Errorf("%s: %w", o.fromFile, err)
	}
	return admin.Before{File: offsets}, nil
}

func newTopicsDeleteRecords(k *kafkaOptions) *cobra.Command {
	o := &topicOptions{kafka: k, output: "text", takes: "output records"}
	return clusterCommand(&cobra.Command{
		Use:   "delete-records TOPIC[:0,1]...",
		Short: "Delete the first records of partitions",
		Long: `Delete the first records of topics, or of some of their partitions, up to an offset or
a time. They are gone for every reader, at once. It prints where the partitions begin
now.`,
		Example: `  tributary topics delete-records flows --before @-24h
  tributary topics delete-records flows:0,3 --before 1000
  tributary topics delete-records test --before latest
  tributary topics delete-records --from-file offsets.json`,
	}, k, o, func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error {
		switch {
		case (o.before == "") == (o.fromFile == ""):
			return errors.New("want --before or --from-file, which say up to where")
		case o.fromFile != "" && len(args) > 0:
			return errors.New("--from-file names the topics; there are none beside it")
		case o.fromFile == "" && len(args) == 0:
			return errors.New("no topic; name one")
		}
		for _, a := range args {
			if err := checkTopicPartitions(a); err != nil {
				return fmt.Errorf("%q: %w", a, err)
			}
		}
		before, err := o.upTo(time.Now())
		if err != nil {
			return err
		}
		cuts, err := admin.DeleteRecords(ctx, cl, partitionsOf(args), before)
		return table(out, o.output, "TOPIC\tPARTITION\tSTART", func(row func(v any, cells ...any) error) error {
			errs := []error{err}
			for _, c := range cuts {
				errs = append(errs, row(c, c.Topic, c.Partition, c.Start))
			}
			return errors.Join(errs...)
		})
	})
}
