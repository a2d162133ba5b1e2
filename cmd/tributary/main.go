// Command tributary takes network telemetry into Kafka and turns it into
// answers: one program with a command for each job.
//
// Each command is a file of its own: its options are a struct which registers
// its flags and checks them, and its run function builds the parts in order,
// runs them and closes them in reverse. The same options can be set by flag,
// environment and file; config.go does that for every command alike.
//
// Data goes to standard output and everything else to standard error. A command
// that fails says why in one line and exits with 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tributary-net/tributary/internal/kafkascripts"
)

func main() {
	// A reader that goes away (consume | head) is seen as an error of the write,
	// so that a consumer leaves its group before the program ends.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(as(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// as runs what the program is called as: itself, one of Kafka's scripts, or a server that one of these left in the
// background.
func as(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if name, ok := kafkascripts.Name(argv[0]); ok {
		return runScript(ctx, name, argv[0], argv[1:], stdin, stdout, stderr)
	}
	if argv[0] == serverAgain {
		return serve(ctx, argv[1:], stdin, stdout, stderr)
	}
	return run(ctx, argv[1:], stdin, stdout, stderr)
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE):
		return 0
	default:
		fmt.Fprintln(stderr, "tributary: "+oneLine(err.Error()))
		return 1
	}
}

// newRoot builds the command table. Commands appear in the help as they stand
// here: first what runs, then what looks.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tributary",
		Short: "Network telemetry into Kafka, and answers out of it",
		Long: `Tributary takes flow exports into Kafka and shows what is in them. It runs whole
on one machine with nothing else installed, or beside an Apache Kafka cluster.`,
		Example: `  tributary up
  tributary collect --to kafka://k1:9092,k2:9092/flows
  tributary consume flows --decode`,
		Args:          cobra.ArbitraryArgs,
		RunE:          noCommand,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	registerGlobal(root.PersistentFlags())
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableNoDescFlag = true
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Long-running:"},
		&cobra.Group{ID: "kafka", Title: "On any Kafka cluster:"},
		&cobra.Group{ID: "file", Title: "On files:"},
	)
	add := func(group string, c *cobra.Command) {
		c.GroupID = group
		root.AddCommand(c)
	}
	add("run", newUp())
	add("run", newCollect())
	add("run", newBroker())
	add("kafka", newTopics())
	add("kafka", newProduce())
	add("kafka", newConsume())
	add("kafka", newCluster())
	add("kafka", newBench())
	add("kafka", newGroups())
	add("kafka", newTransactions())
	add("kafka", newReassign())
	add("kafka", newConfigs())
	add("kafka", newACLs())
	add("kafka", newQuotas())
	add("kafka", newUsers())
	add("file", newDecode())
	add("file", newReplay())
	add("file", newDumpLog())
	add("kafka", newKafkaTools())
	root.AddCommand(newVersion())
	root.AddCommand(newReference())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	exampleOfDefaults(root)
	return root
}

// noCommand is what a command does that has only commands below it: without
// arguments it shows its help, otherwise the argument is no command.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return fmt.Errorf("%s has no command %q: %s", c.CommandPath(), args[0], allowed(args[0], names))
}

// exampleOfDefaults gives the commands that cobra makes by itself an example
// like all others have.
func exampleOfDefaults(root *cobra.Command) {
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Example = "  tributary help collect"
		case "completion":
			c.Example = "  source <(tributary completion bash)"
			for _, shell := range c.Commands() {
				shell.Example = "  tributary completion " + shell.Name()
			}
		}
	}
}

// oneLine folds an error of several lines (errors.Join) into one.
func oneLine(s string) string {
	var lines []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "; ")
}
