package broker_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/hold"
)

// kafkaScript runs scripts/kafka.sh. Its output goes to a file: the node that it starts keeps a pipe open.
func kafkaScript(t *testing.T, args ...string) string {
	t.Helper()
	path, err := filepath.Abs("../scripts/kafka.sh")
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, &stderr, time.Second
	if err := cmd.Run(); err != nil && cmd.ProcessState != nil && !cmd.ProcessState.Success() {
		t.Fatalf("kafka.sh %s: %v: %s", args[0], err, stderr.String())
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// apacheProperties make a node of Apache Kafka what comparableConfig makes a broker of ours.
const apacheProperties = `
auto.create.topics.enable=false
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
group.min.session.timeout.ms=100
group.consumer.assignment.interval.ms=0
group.consumer.min.assignment.interval.ms=0
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
controller.quorum.append.linger.ms=0
log.initial.task.delay.ms=3600000
`

func comparableConfig(t *testing.T) broker.Config {
	cfg := testConfig(t)
	cfg.DisableAutoCreate = true
	cfg.Durability = broker.PageCache
	cfg.Authorize, cfg.SuperUsers = true, []string{"User:ANONYMOUS"}
	return cfg
}

// TestBesideApacheKafka sends the same requests, made by chance, to our broker and to Apache Kafka and compares what comes
// back. Each round has names of its own, so that nothing of another one is in its way, and ends at its first difference.
// TRIBUTARY_DIFFER_ROUNDS asks for so many rounds with seeds by chance, or from TRIBUTARY_DIFFER_SEED on, instead of the 14
// that are known to agree: some of the differences that are left are listed in none of the tables yet.
func TestBesideApacheKafka(t *testing.T) {
	javaTool(t) // skips where there is none
	rounds, seed := 14, uint64(560)
	if s := os.Getenv("TRIBUTARY_DIFFER_ROUNDS"); s != "" {
		rounds, _ = strconv.Atoi(s)
		seed = rand.Uint64N(1 << 32)
	}
	if s := os.Getenv("TRIBUTARY_DIFFER_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "extra.properties"), []byte(apacheProperties), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "format.args"), []byte("--feature\neligible.leader.replicas.version=0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kafkaScript(t, "stop", dir)
		if log, err := os.ReadFile(filepath.Join(dir, "n1.log")); err == nil && t.Failed() {
			t.Logf("Apache Kafka says\n%s", log[max(len(log)-20_000, 0):])
		}
	})
	apache := kafkaScript(t, "start", dir, "1", fmt.Sprint(hold.Port(t, 1)))
	b := open(t, comparableConfig(t))
	p := newPair(t, b.Addr().String(), apache)
	t.Logf("%d rounds from seed %d", rounds, seed)
	t.Cleanup(p.report)
	for i := range rounds {
		p.begin(i + 1)
		newRequests(p, seed+uint64(i)).play(40)
	}
	if s := b.Stats(); s.Panics != 0 {
		t.Errorf("%d panics", s.Panics)
	}
}
