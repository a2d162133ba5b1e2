package broker_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Java's consumer is in one group with franz-go's, each by the classic protocol and by KIP-848's; the group changes its kind
// as they come and go, Java's tool shows it, and Kafka's own decoder reads what the broker wrote down of it.
func TestJavaMigration(t *testing.T) {
	command := javaTool(t)
	cfg := testConfig(t)
	b := open(t, cfg)
	cl := client(t, b)
	if _, err := kadm.NewClient(cl).CreateTopic(deadline(t), 6, 1, nil, "flows"); err != nil {
		t.Fatal(err)
	}
	// consume starts Java's consumer in the group, and notes what it reads.
	consume := func(protocol string) (m *groupMember, stop func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cmd := command(ctx, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", b.Addr().String(),
			"--topic", "flows", "--from-beginning", "--group", "g", "--command-property", "group.protocol="+protocol)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it leaves the group
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		m = &groupMember{got: make(map[string]int), done: make(chan struct{})}
		go func() {
			defer close(m.done)
			for lines := bufio.NewScanner(out); lines.Scan(); {
				m.mu.Lock()
				m.got[lines.Text()]++
				m.mu.Unlock()
			}
		}()
		stop = func() {
			cancel()
			<-m.done
			_ = cmd.Wait()
		}
		t.Cleanup(stop)
		return m, stop
	}
	members := func(classic, next int) func() bool {
		return func() bool {
			d, left := describeNext(t, cl, "g"), [2]int{classic, next}
			for _, m := range d.Members {
				if len(m.Assignment.TopicPartitions) == 0 {
					return false
				}
				left[m.MemberType]-- // 0: classic
			}
			return d.State == "Stable" && left == [2]int{}
		}
	}
	one := startMember(t, b, "g")
	eventually(t, "one member", sharing(6, one))
	javaClassic, _ := consume("classic")
	eventually(t, "Java's classic member to have its share", func() bool { return len(one.partitions()) == 3 && groupType(t, cl, "g") == "classic Stable" })
	javaNext, stopNext := consume("consumer")
	eventually(t, "three members of two protocols", members(2, 1))
	produce(t, cl, "flows", "a", 600)
	eventually(t, "everybody to read", func() bool {
		return records(one, javaClassic, javaNext) == 600 && records(javaClassic) > 0 && records(javaNext) > 0
	})
	out, err := command(deadline(t), "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", b.Addr().String(),
		"--describe", "--group", "g", "--members", "--verbose").CombinedOutput()
	if err != nil || strings.Count(string(out), "flows") < 3 || !strings.Contains(string(out), "UPGRADED") {
		t.Errorf("described as %v\n%s", err, out)
	}
	checkDecoded(t, cfg.DataDir, command, `"classicMemberMetadata":{"sessionTimeoutMs":45000`, `"type":"3"`, `"type":"8"`)
	stopNext()
	eventually(t, "the group to be classic again", func() bool { return groupType(t, cl, "g") == "classic Stable" })
	produce(t, cl, "flows", "b", 600)
	eventually(t, "the two to read", func() bool { return records(one, javaClassic, javaNext) == 1200 })
	if s := b.Stats(); s.Panics != 0 || s.ConnectionsMalformed != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// checkDecoded has Kafka's decoder read the offsets topic.
func checkDecoded(t *testing.T, dir string, command func(context.Context, string, ...string) *exec.Cmd, want ...string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "__consumer_offsets-0", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	out, err := command(deadline(t), "org.apache.kafka.tools.DumpLogSegments", "--offsets-decoder", "--files", logs[0]).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("%s is not in\n%s", w, out)
		}
	}
}
