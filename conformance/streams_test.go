package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
)

// TestStreams has Kafka Streams count words exactly once (testdata/WordCount.java).
// Its process is killed in the middle and another takes over.
func TestStreams(t *testing.T) {
	path, version := jars(t)
	streams := os.Getenv("KAFKA_STREAMS")
	if streams == "" {
		missing(t, "KAFKA_STREAMS names no folder with the jar of Kafka Streams (scripts/kafka.sh streams)")
	}
	path = compile(t, path+string(os.PathListSeparator)+filepath.Join(streams, "*"), "WordCount.java")
	b := start(t, apacheJava, func(c *broker.Config) { c.DefaultPartitions = 2 })
	check(t, apacheJava, version, "Kafka Streams: words counted with exactly-once v2, killed once", func(t *testing.T) {
		countWords(t, b.Addr().String(), path)
	})
}

func countWords(t *testing.T, addr, path string) {
	const (
		records = 4000
		words   = 7
	)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ConsumeTopics("counts"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	lines := make([]*kgo.Record, records)
	for i := range lines {
		lines[i] = &kgo.Record{Topic: "words", Value: fmt.Appendf(nil, "every w%d", i%words)}
	}
	if err := cl.ProduceSync(ctx, lines...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var last *exec.Cmd
	run := func() {
		last = jvm(t, ctx, path, "WordCount", addr, t.TempDir())
		out := &strings.Builder{}
		last.Stdout, last.Stderr = out, out
		if err := last.Start(); err != nil {
			t.Fatal(err)
		}
		cmd := last
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if t.Failed() {
				t.Log(out)
			}
		})
	}
	run()
	// Each word's counts, as they come: exactly once is 1, 2, 3 …, none left out and none
	// twice.
	counts := make(map[string]int)
	seen, killed := 0, false
	for seen < 2*records {
		fetched := cl.PollFetches(ctx)
		if err := fetched.Err0(); err != nil {
			t.Fatalf("after %d counts: %v", seen, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			seen++
			counts[string(r.Key)]++
			if got, want := string(r.Value), fmt.Sprint(counts[string(r.Key)]); got != want {
				t.Fatalf("count %d of %s is %s", counts[string(r.Key)], r.Key, got)
			}
		})
		if !killed && seen >= records/2 {
			killed = true
			if err := last.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			t.Logf("killed after %d counts of %d", seen, 2*records)
			run()
		}
	}
	if counts["every"] != records || len(counts) != 1+words {
		t.Errorf("%v", counts)
	}
}
