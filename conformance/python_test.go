package conformance

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// debianPython is the interpreter that Debian's packages are for.
const debianPython = "/usr/bin/python3"

// python finds modules of Debian's Python.
func python(t *testing.T, modules, packages string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), debianPython, "-c", "import "+modules).CombinedOutput(); err != nil {
		missing(t, "Debian's %s are not installed: %v %s", packages, err, out)
	}
}

// script has a script of testdata do one of its things.
func script(t *testing.T, file, addr, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, debianPython, "-W", "ignore", "testdata/"+file, addr, what)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "well\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestKafkaPython has Debian's kafka-python produce, consume and administer.
func TestKafkaPython(t *testing.T) {
	python(t, "kafka, lz4.frame, snappy, zstandard", "python3-kafka, python3-lz4, python3-snappy and python3-zstandard")
	b := start(t, kafkaPython, nil)
	for _, c := range []struct{ what, name string }{
		{"admin", "topics, partitions, configs, cluster"},
		{"produce", "produce with every codec, with acks 0, 1 and all, consume, offsets by time"},
		{"group", "group of two with takeover, groups and offsets described, deleted"},
	} {
		check(t, kafkaPython, debian, c.name, func(t *testing.T) { script(t, "kafka_python.py", b.Addr().String(), c.what) })
	}
}

// TestConfluent has Debian's confluent-kafka, which is librdkafka, do the same and
// more.
func TestConfluent(t *testing.T) {
	python(t, "confluent_kafka", "python3-confluent-kafka")
	b := start(t, librdkafka, nil)
	for _, c := range []struct{ what, name string }{
		{"admin", "confluent-kafka: topics, partitions, configs"},
		{"produce", "confluent-kafka: produce with every codec, with acks 0, 1 and all, consume"},
		{"idempotent", "confluent-kafka: idempotent producer"},
		{"group", "confluent-kafka: group of two, range, roundrobin and cooperative-sticky, with takeover"},
		{"transactions", "confluent-kafka: transactions: commit, abort, offsets, fencing"},
	} {
		check(t, librdkafka, debian, c.name, func(t *testing.T) { script(t, "confluent.py", b.Addr().String(), c.what) })
	}
}
