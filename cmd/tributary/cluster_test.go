package main

import (
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tributary-net/tributary/broker"
)

// TestScriptCluster runs the scripts in testdata/cluster, of the commands that work
// on any cluster, against the embedded broker. TestScriptApacheKafka runs the same
// against Apache Kafka, so each script has topics and groups of its own.
func TestScriptCluster(t *testing.T) {
	cfg := broker.DefaultConfig()
	cfg.DataDir, cfg.Listen = t.TempDir(), "127.0.0.1:0"
	cfg.Authorize, cfg.SuperUsers = true, []string{"User:ANONYMOUS"}
	b, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	// The scripts run in parallel; the broker outlives them all.
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:                 filepath.Join("testdata", "cluster"),
			RequireExplicitExec: true,
			Cmds:                map[string]func(ts *testscript.TestScript, neg bool, args []string){"until": until},
			Setup: func(e *testscript.Env) error {
				e.Setenv("TRIBUTARY_KAFKA", "kafka://"+b.Addr().String())
				e.Setenv("GORACE", raceAtExit())
				return nil
			},
		})
	})
}

// until PATTERN ARGUMENT... runs the program until its output matches, or with !
// does not match any more: a cluster takes a moment to tell all brokers what was
// changed.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until PATTERN ARGUMENT...")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		ts.Check(ts.Exec("tributary", args[1:]...))
		if re.MatchString(ts.ReadFile("stdout")) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: still so: %s", args[0], ts.ReadFile("stdout"))
		}
	}
}
