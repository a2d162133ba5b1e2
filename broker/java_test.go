package broker_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// javaTool returns what makes a command of one of Apache Kafka's classes. Where these are missing the test is skipped, unless
// CI says that they must be there.
func javaTool(t *testing.T) func(ctx context.Context, class string, args ...string) *exec.Cmd {
	t.Helper()
	libs := os.Getenv("KAFKA_LIBS")
	if libs == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("KAFKA_LIBS must name a folder of Apache Kafka's jars")
		}
		t.Skip("KAFKA_LIBS names no folder of Apache Kafka's jars")
	}
	java := tool(t, "java")
	return func(ctx context.Context, class string, args ...string) *exec.Cmd {
		all := []string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR", "-cp", filepath.Join(libs, "*"), class}
		return exec.CommandContext(ctx, java, append(all, args...)...)
	}
}

// TestJavaTools has Apache Kafka's own console tools work on the broker.
func TestJavaTools(t *testing.T) {
	java := javaTool(t)
	b := open(t, testConfig(t))
	addr := b.Addr().String()
	kafka := func(in, class string, args ...string) string {
		t.Helper()
		cmd := java(deadline(t), class, append([]string{"--bootstrap-server", addr}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", class, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	const (
		topics   = "org.apache.kafka.tools.TopicCommand"
		producer = "org.apache.kafka.tools.ConsoleProducer"
		consumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"
		groups   = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	)
	want := func(out string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(out, part) {
				t.Errorf("%q is not in\n%s", part, out)
			}
		}
	}
	want(kafka("", topics, "--create", "--topic", "jt", "--partitions", "2", "--config", "retention.ms=100000"), "Created topic jt")
	want(kafka("", topics, "--describe", "--topic", "jt"), "PartitionCount: 2", "ReplicationFactor: 1", "retention.ms=100000", "Leader: 1")
	kafka("one\ntwo\nthree\n", producer, "--topic", "jt")
	want(kafka("", consumer, "--topic", "jt", "--from-beginning", "--group", "jg", "--max-messages", "3"), "one\n", "two\n", "three\n", "Processed a total of 3 messages")
	if s := b.Stats(); s.FetchSessions.Begun == 0 || s.Errors[70] != 0 || s.Errors[71] != 0 {
		t.Errorf("fetch sessions of Java's consumer: %+v, errors %v", s.FetchSessions, s.Errors)
	}
	want(kafka("", groups, "--describe", "--group", "jg"), "GROUP", "LAG", "jt")
	want(kafka("", groups, "--list"), "jg")
	file := filepath.Join(t.TempDir(), "delete.json")
	all := `{"version":1,"partitions":[{"topic":"jt","partition":0,"offset":-1},{"topic":"jt","partition":1,"offset":-1}]}`
	if err := os.WriteFile(file, []byte(all), 0o644); err != nil {
		t.Fatal(err)
	}
	deleted := kafka("", "org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", file)
	lows := 0
	for _, m := range regexp.MustCompile(`partition: jt-[01]\s+low_watermark: (\d+)`).FindAllStringSubmatch(deleted, -1) {
		n, _ := strconv.Atoi(m[1])
		lows += n
	}
	if lows != 3 {
		t.Errorf("records up to %d deleted:\n%s", lows, deleted)
	}
	kafka("", topics, "--delete", "--topic", "jt")
	if out := kafka("", topics, "--list"); strings.Contains(out, "jt") {
		t.Errorf("jt is still there\n%s", out)
	}
	if s := b.Stats(); s.Panics != 0 || s.ConnectionsMalformed != 0 {
		t.Errorf("stats: %+v", s)
	}
}
