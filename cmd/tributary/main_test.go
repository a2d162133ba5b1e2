package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/kafkascripts"
)

func TestMain(m *testing.M) {
	commands := map[string]func(){"tributary": main, serverAgain: main}
	for _, name := range slices.Concat(kafkascripts.Names(), kafkascripts.Others()) {
		commands[name] = main // by the links of kafka-tools
	}
	testscript.Main(m, commands)
}

// raceAtExit is GORACE for programs that tests start: under the race detector each would
// sleep for a second at its end otherwise.
func raceAtExit() string { return "atexit_sleep_ms=0 " + os.Getenv("GORACE") }

// TestScript runs the scripts in testdata/script, each with the real binary in a
// directory of its own.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			// A server that a script left in the background does not outlive it.
			e.Setenv("XDG_RUNTIME_DIR", filepath.Join(e.WorkDir, "run"))
			e.Setenv("GORACE", raceAtExit())
			e.Defer(func() { _, _ = daemon.Terminate(filepath.Join(e.WorkDir, "run", "tributary-servers")) })
			return os.Mkdir(filepath.Join(e.WorkDir, "run"), 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"await":   await,
			"envfile": envFile,
		},
	})
}

// patience is how long scripts wait for what must come.
const patience = 2 * time.Minute

// await FILE... waits until the files are there.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await FILE...")
	}
	deadline := time.Now().Add(patience)
	for _, f := range args {
		for {
			if _, err := os.Stat(ts.MkAbs(f)); err == nil {
				break
			}
			if time.Now().After(deadline) {
				ts.Fatalf("%s did not come", f)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// envfile NAME FILE sets a variable to what is in a file.
func envFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: envfile NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// commands calls f for every command that people see.
func commands(t *testing.T, f func(t *testing.T, c *cobra.Command)) {
	walk(newRoot(), func(c *cobra.Command) {
		t.Run(strings.ReplaceAll(c.CommandPath(), " ", "_"), func(t *testing.T) { f(t, c) })
	})
}

// Every command explains itself in the same way.
func TestCommandsExplainThemselves(t *testing.T) {
	commands(t, func(t *testing.T, c *cobra.Command) {
		if c.Example == "" {
			t.Error("no example")
		}
		for l := range strings.Lines(c.Example) {
			if strings.TrimSpace(l) != "" && !strings.HasPrefix(l, "  ") {
				t.Errorf("example is not indented by two: %q", l)
			}
		}
		if !strings.Contains(c.Example, "tributary") {
			t.Error("the example does not show the command")
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("short help %q: want a sentence without its full stop", c.Short)
		}
		if c.Parent() != nil && c.Parent().Parent() == nil && c.Parent().Name() == "tributary" && c.GroupID == "" {
			switch c.Name() {
			case "version", "help", "completion", "reference":
			default:
				t.Error("in no group of the help")
			}
		}
	})
}

// Every option can be set in three places under one name, and says what it does.
func TestOptionsHaveOneName(t *testing.T) {
	seen := map[string]string{}
	commands(t, func(t *testing.T, c *cobra.Command) {
		for _, p := range ownPlaces(c) {
			switch p.flag.Value.(type) {
			case *option, *list:
			default:
				t.Errorf("--%s is a %T, which does not say what is allowed", p.flag.Name, p.flag.Value)
			}
			if p.flag.Usage == "" {
				t.Errorf("--%s does not say what it does", p.flag.Name)
			}
			if other, ok := seen[p.env()]; ok {
				t.Errorf("%s stands for %s and %s", p.env(), other, p.key())
			}
			seen[p.env()] = p.key()
			// What is printed as the default must be accepted as a value.
			if _, ok := p.flag.Value.(*option); ok {
				if v := p.flag.Value.String(); v != "" {
					if err := p.flag.Value.Set(v); err != nil {
						t.Errorf("--%s: its own default %q is refused: %v", p.flag.Name, v, err)
					}
				}
			}
		}
	})
}
