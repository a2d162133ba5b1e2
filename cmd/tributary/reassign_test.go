package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Partitions go from one node of Apache Kafka to the other and between the directories of one: slowed down, given up, and through;
// what led is elected again.
func TestReassignApacheKafka(t *testing.T) {
	dir := t.TempDir()
	logs := func(node int, which string) string { return filepath.Join(dir, fmt.Sprint(which, node)) }
	c := startApache(t, 2, func(node, _ int) string {
		return fmt.Sprintf("log.dirs=%s,%s\nreplica.fetch.max.bytes=100000\n", logs(node, "a"), logs(node, "b"))
	})
	exec := func(code int, args ...string) string {
		t.Helper()
		var out, stderr bytes.Buffer
		if got := run(t.Context(), append(args, "--kafka", "kafka://"+c.brokers), nil, &out, &stderr); got != code {
			t.Fatalf("%s: %d: %s%s", strings.Join(args, " "), got, out.String(), stderr.String())
		}
		return out.String() + stderr.String()
	}
	says := func(what, part string) {
		t.Helper()
		if !regexp.MustCompile("(?m)" + part).MatchString(what) {
			t.Fatalf("no %s in %s", part, what)
		}
	}
	until := func(part string, args ...string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			out := exec(0, args...)
			if regexp.MustCompile("(?m)" + part).MatchString(out) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: still no %s in %s", strings.Join(args, " "), part, out)
			}
		}
	}
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}

	exec(0, "topics", "create", "move", "--replica-assignment", "1,1")
	// A copy takes many requests: even the first one brings a whole batch.
	exec(0, "bench", "produce", "move", "--records", "2000", "--size", "1000", "--duration", "0s", "--kafka-config", file("small.properties", "batch.size=16384\n"))
	at := exec(0, "reassign", "generate", "move", "--broker", "1", "--output", "kafka")
	wanted := logs(1, "a")
	if strings.Contains(at, fmt.Sprintf(`"partition":1,"replicas":[1],"log_dirs":[%q]`, wanted)) {
		wanted = logs(1, "b")
	}
	plan := file("plan.json", fmt.Sprintf(`{"version":1,"partitions":[{"topic":"move","partition":0,"replicas":[2]},{"topic":"move","partition":1,"replicas":[1],"log_dirs":[%q]}]}`, wanted))

	// At a byte a second it would take days.
	says(exec(0, "reassign", "execute", plan, "--throttle", "1B", "--dir-throttle", "1B"), `"topic":"move","partition":0,"replicas":\[1\]`)
	says(exec(0, "reassign", "list"), `^move +0 +2,1 +2 +1$`)
	says(exec(0, "reassign", "verify", plan, "--output", "kafka"), `^Reassignment of partition move-0 is still in progress\.$`)
	until(`follower\.replication\.throttled\.replicas +0:2 `, "configs", "describe", "topic", "move")
	says(exec(1, "reassign", "execute", plan), `partitions are being reassigned already, such as move-0; --additional goes on all the same`)
	says(exec(0, "reassign", "execute", plan, "--additional", "--throttle", "2B", "--output", "kafka"), `^The inter-broker throttle limit was set to 2 B/s$`)
	until(`leader\.replication\.throttled\.rate +2 `, "configs", "describe", "broker", "2")
	says(exec(0, "reassign", "cancel", plan), `^move +0 +2,1 +2 +1$`)
	says(exec(0, "reassign", "list", "--output", "kafka"), `^No partition reassignments found\.$`)
	for _, slowed := range [][]string{{"topic", "move"}, {"broker", "1"}, {"broker", "2"}} {
		until(`^KIND +NAME +CONFIG +VALUE +SOURCE\n\z`, append([]string{"configs", "describe"}, slowed...)...)
	}
	until(`^move +0 +- +elsewhere +1 +2$`, "reassign", "verify", plan)

	exec(0, "reassign", "execute", plan)
	until(`^move +0 +- +completed +2 +2$`, "reassign", "verify", plan)
	until(`^move +1 +1 +completed `, "reassign", "verify", plan)
	says(exec(0, "topics", "offsets", "^move$"), `^move +0 +[0-9]+$`)
	says(exec(1, "reassign", "execute", file("more.json", `{"partitions":[{"topic":"move","partition":0,"replicas":[1,2]}]}`), "--keep-factor"), `the replication factor is changed from 1 to 2`)

	// The first replica is another: it leads when it is elected.
	exec(0, "topics", "create", "both", "--replica-assignment", "1:2")
	exec(0, "reassign", "execute", file("swap.json", `{"partitions":[{"topic":"both","partition":0,"replicas":[2,1]}]}`))
	until(`^both +0 +- +completed `, "reassign", "verify", filepath.Join(dir, "swap.json"))
	says(exec(0, "topics", "elect-leaders", "both", "--output", "kafka"), `^Successfully completed leader election \(PREFERRED\) for partitions both-0$`)
}
