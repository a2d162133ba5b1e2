package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clusterCommand is a command that asks or changes a cluster, is answered, and
// ends. The options of the cluster are those of the command or one above it.
func clusterCommand(c *cobra.Command, k *kafkaOptions, o options, run func(ctx context.Context, out io.Writer, cl *kgo.Client, args []string) error) *cobra.Command {
	return configured(c, o, func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		cl, err := k.client(ctx, c)
		if err != nil {
			return err
		}
		defer cl.Close()
		return k.endpoint.Explain(run(ctx, c.OutOrStdout(), cl, args))
	})
}

// clusterParent is a command that has the options of the cluster, for all below it.
func clusterParent(c *cobra.Command) *kafkaOptions {
	c.Args, c.RunE = cobra.ArbitraryArgs, noCommand
	k := defaultKafkaOptions()
	k.register(c.PersistentFlags(), "")
	return k
}

// each does f for all, whatever becomes of one, and returns all errors.
func each[T any](all []T, f func(T) error) error {
	var errs []error
	for _, v := range all {
		errs = append(errs, f(v))
	}
	return errors.Join(errs...)
}

// outputVar registers --output of the commands that print what a cluster knows.
func outputVar(fs *pflag.FlagSet, p *string, prefix string) {
	enumVar(fs, p, prefix+"output", []string{"text", "json"}, "how to print: a table, or a JSON object a line")
}

// outputKafkaVar is outputVar with the form of one of Kafka's scripts besides.
func outputKafkaVar(fs *pflag.FlagSet, p *string, prefix, script string) {
	enumVar(fs, p, prefix+"output", []string{"text", "json", "kafka"}, "how to print: a table, a JSON object a line, or as "+script+" does")
}

// table prints rows aligned under a head, or as JSON, an object a line. When there
// is nothing but an error there is no head either.
func table(out io.Writer, output, head string, rows func(row func(v any, cells ...any) error) error) error {
	if output == "json" {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		return rows(func(v any, _ ...any) error { return e.Encode(v) })
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	begun := false
	begin := func() {
		if !begun {
			fmt.Fprintln(w, head)
		}
		begun = true
	}
	err := rows(func(_ any, cells ...any) error {
		begin()
		text := make([]string, len(cells))
		for i, c := range cells {
			text[i] = cellText(c)
		}
		_, err := fmt.Fprintln(w, strings.Join(text, "\t"))
		return err
	})
	if err == nil {
		begin()
	}
	return errors.Join(w.Flush(), err)
}

// cellText is what stands in a table; - is what there is none of.
func cellText(c any) string {
	switch v := c.(type) {
	case *int64:
		if v == nil {
			return "-"
		}
		return fmt.Sprint(*v)
	case string:
		if v == "" {
			return "-"
		}
		return v
	}
	return fmt.Sprint(c)
}
