package main

import (
	"path/filepath"
	"testing"

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
			Setup: func(e *testscript.Env) error {
				e.Setenv("TRIBUTARY_KAFKA", "kafka://"+b.Addr().String())
				return nil
			},
		})
	})
}
