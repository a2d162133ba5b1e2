package main

import (
	"bufio"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/internal/dumplog"
)

// dumpLogOptions are the options of dump-log.
type dumpLogOptions struct{ dumplog.Options }

func (o *dumpLogOptions) register(fs *pflag.FlagSet, prefix string) {
	boolVar(fs, &o.Records, prefix+"print-data-log", "print the records of batches too")
	enumVar(fs, &o.Part, prefix+"part", []string{dumplog.All, dumplog.Metadata, dumplog.Values}, "what of records: all, offset, time and the like, or key and value")
	sizeVar(fs, &o.MaxBytes, prefix+"max-bytes", 0, math.MaxInt64, "of a segment, only batches that end by this position; 0 is all")
	enumVar(fs, &o.Decode, prefix+"decode", []string{dumplog.Auto, dumplog.Plain, dumplog.Offsets, dumplog.Transactions}, "what keys and values are: as the directory says, any, those of __consumer_offsets, or those of __transaction_state")
	enumVar(fs, &o.Format, prefix+"output", []string{dumplog.Text, dumplog.JSON, dumplog.Kafka}, "how to print: a table, a JSON object a line, or as Kafka's DumpLogSegments does")
}

func (o *dumpLogOptions) check() error {
	if o.Part != dumplog.All && o.Format == dumplog.JSON {
		return bad("part", o.Part, "allowed with --output json is all")
	}
	return nil
}

func newDumpLog() *cobra.Command {
	o := &dumpLogOptions{dumplog.Options{Format: dumplog.Text, Decode: dumplog.Auto, Part: dumplog.All}}
	return configured(&cobra.Command{
		Use:   "dump-log FILE...",
		Short: "Print what is in the files of a Kafka log",
		Long: `Print what is in the files of a log, the broker's own or Apache Kafka's: .log, .index,
.timeindex, .txnindex, .snapshot, checkpoints, partition.metadata, meta.properties. Of a damaged
file everything up to the damage is printed, then the command fails and says where it is. A
broker may be writing to the files; nothing is changed.`,
		Example: `  tributary dump-log data/flows-0/*.log
  tributary dump-log --print-data-log --output json data/__consumer_offsets-0/00000000000000000000.log`,
		Args: cobra.MinimumNArgs(1),
	}, o, func(c *cobra.Command, args []string) error {
		out := bufio.NewWriterSize(c.OutOrStdout(), 64<<10)
		var errs []error
		for i, path := range args {
			if i > 0 && o.Format == dumplog.Text {
				fmt.Fprintln(out)
			}
			errs = append(errs, dumplog.File(out, path, o.Options))
		}
		return errors.Join(append(errs, out.Flush())...)
	})
}
