package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tributary-net/tributary/internal/hold"
)

// TestScriptApacheKafka runs the scripts in testdata/apache against Apache Kafka.
func TestScriptApacheKafka(t *testing.T) {
	if _, err := exec.LookPath("java"); err != nil || os.Getenv("KAFKA_LIBS") == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("KAFKA_LIBS (scripts/kafka.sh libs) and java are missing")
		}
		t.Skip("needs java, and Apache Kafka in KAFKA_LIBS: KAFKA_LIBS=$(scripts/kafka.sh libs)")
	}
	tool := filepath.Join(moduleRoot(t), "scripts", "kafka.sh")
	dir := t.TempDir()
	control := func(args ...string) string {
		// The output goes to a file: the cluster keeps a pipe open.
		out, err := os.Create(filepath.Join(dir, "output"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		var stderr bytes.Buffer
		c := exec.Command(tool, args...)
		c.Stdout, c.Stderr, c.WaitDelay = out, &stderr, time.Second
		if err := c.Run(); err != nil && c.ProcessState != nil && !c.ProcessState.Success() {
			t.Fatalf("kafka.sh %s: %v: %s", args[0], err, stderr.String())
		}
		b, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	t.Cleanup(func() { control("stop", filepath.Join(dir, "kafka")) })
	security := "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:ANONYMOUS\n"
	if err := os.MkdirAll(filepath.Join(dir, "kafka"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kafka", "extra.properties"), []byte(security), 0o644); err != nil {
		t.Fatal(err)
	}
	broker := control("start", filepath.Join(dir, "kafka"), "1", fmt.Sprint(hold.Port(t, 1)))
	// The scripts run in parallel below; the cluster outlives them all.
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Files:               scripts(t, "apache", "cluster"),
			RequireExplicitExec: true,
			Cmds:                map[string]func(ts *testscript.TestScript, neg bool, args []string){"until": until},
			Setup: func(e *testscript.Env) error {
				e.Setenv("TRIBUTARY_KAFKA", "kafka://"+broker)
				e.Setenv("GORACE", raceAtExit())
				e.Setenv("BROKER", broker)
				e.Setenv("KAFKA", tool)
				e.Setenv("KAFKA_LIBS", os.Getenv("KAFKA_LIBS"))
				e.Setenv("KAFKA_CACHE", e.WorkDir)
				return nil
			},
		})
	})
}

// scripts are the scripts in folders of testdata.
func scripts(t *testing.T, folders ...string) []string {
	t.Helper()
	var all []string
	for _, f := range folders {
		found, err := filepath.Glob(filepath.Join("testdata", f, "*.txtar"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no scripts in testdata/%s: %v", f, err)
		}
		all = append(all, found...)
	}
	return all
}
