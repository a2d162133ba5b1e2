package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/kafkascripts"
)

func newKafkaTools() *cobra.Command {
	return &cobra.Command{
		Use:   "kafka-tools DIR",
		Short: "Make links in a directory, named as Apache Kafka's scripts, that take their options",
		Long: `Make links to this program named as Apache Kafka's scripts: kafka-topics.sh,
kafka-console-producer.sh, kafka-server-start.sh and the others. Called by one of these names it
takes the options of the script. Links that are there are made anew; other files stay.`,
		Example: `  tributary kafka-tools bin
  PATH=$PWD/bin:$PATH`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			for _, name := range slices.Concat(kafkascripts.Names(), kafkascripts.Others()) {
				if err := makeLink(self, filepath.Join(args[0], name)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// makeLink makes a symbolic link, in the place of one that is there.
func makeLink(target, path string) error {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSymlink == 0 {
			return fmt.Errorf("%s is there and no link", path)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.Symlink(target, path)
}

// runScript is the whole program when it is called by the name of one of Kafka's scripts; it returns the exit code.
func runScript(ctx context.Context, name, argv0 string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c, err := kafkascripts.Translate(name, args)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	for _, n := range c.Notes {
		fmt.Fprintln(stderr, n)
	}
	switch c.Action {
	case kafkascripts.Explain:
		fmt.Fprintln(stderr, strings.Join(c.Says, "\n"))
		return 1
	case kafkascripts.NewID:
		fmt.Fprintln(stdout, commitlog.NewID())
	case kafkascripts.Format:
		err = formatStorage(ctx, c.Storage, stdout)
	case kafkascripts.Stop:
		err = stopServers(stdout)
	case kafkascripts.ServeAway:
		err = serveAway(argv0, c.Args)
	case kafkascripts.Serve:
		return serve(ctx, c.Args, stdin, stdout, stderr)
	case kafkascripts.Run:
		if c.Input != "" {
			stdin = strings.NewReader(c.Input)
		}
		if code := run(ctx, c.Args, stdin, stdout, stderr); code != 0 {
			return code
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, oneLine(err.Error()))
		return 1
	}
	for _, s := range c.Says {
		fmt.Fprintln(stdout, s)
	}
	return 0
}

// serve runs a server that the script to stop it finds.
func serve(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	found, err := daemon.BeFound(serversDir())
	if err != nil {
		fmt.Fprintln(stderr, oneLine(err.Error()))
		return 1
	}
	defer found.Close()
	return run(ctx, args, stdin, stdout, stderr)
}

// serversDir is where servers started by script are found by the script that stops them: one's own.
func serversDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "tributary-servers")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("tributary-servers-%d", os.Getuid()))
}

func stopServers(stdout io.Writer) error {
	pids, err := daemon.Terminate(serversDir())
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		return errors.New("no server to stop")
	}
	for _, pid := range pids {
		fmt.Fprintf(stdout, "told %d to stop\n", pid)
	}
	return nil
}

// serveAway starts a server in the background, as kafka-server-start.sh -daemon does: its output goes to
// kafkaServer.out in LOG_DIR, or in logs beside the directory of the script.
func serveAway(argv0 string, args []string) error {
	path, err := filepath.Abs(argv0)
	if err != nil {
		return err
	}
	dir := os.Getenv("LOG_DIR")
	if dir == "" {
		dir = filepath.Join(filepath.Dir(filepath.Dir(path)), "logs")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return daemon.Detach(filepath.Join(dir, "kafkaServer.out"), serverAgain, args)
}

// serverAgain is what the program calls itself when it serves in the background: the arguments are tributary's own then.
const serverAgain = "tributary-server"
