package broker_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// tool finds a program. Where it is missing the test is skipped, unless CI says that it must be there.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

func run(t *testing.T, in string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// TestKcat has kcat (librdkafka) produce with every codec and consume, by itself and in a group.
func TestKcat(t *testing.T) {
	kcat := tool(t, "kcat")
	b := open(t, testConfig(t))
	addr := b.Addr().String()
	// A batch of a single line has to shrink too: librdkafka sends as it is what does not.
	lines := strings.Repeat(strings.Repeat("one line of many that look alike ", 32)+"\n", 300)
	for codec, attr := range map[string]uint8{"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4} {
		t.Run(codec, func(t *testing.T) {
			topic := "k-" + codec
			run(t, lines, kcat, "-P", "-b", addr, "-t", topic, "-z", codec, "-X", "enable.idempotence=true")
			if got := run(t, "", kcat, "-C", "-b", addr, "-t", topic, "-o", "beginning", "-e", "-q"); got != lines {
				t.Errorf("%d bytes came of %d", len(got), len(lines))
			}
			cl := client(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if r := consume(t, cl, 300)[0]; r.Attrs.CompressionType() != attr {
				t.Errorf("codec %d in the log, want %d", r.Attrs.CompressionType(), attr)
			}
		})
	}
	t.Run("group", func(t *testing.T) {
		args := []string{"-b", addr, "-X", "auto.offset.reset=earliest", "-e", "-q", "-G", "kgroup", "k-none"}
		if got := run(t, "", kcat, args...); got != lines {
			t.Errorf("%d bytes came of %d", len(got), len(lines))
		}
		run(t, "more\n", kcat, "-P", "-b", addr, "-t", "k-none")
		if got := run(t, "", kcat, args...); got != "more\n" {
			t.Errorf("the group goes on with %q", got)
		}
	})
	if out := run(t, "", kcat, "-L", "-b", addr); !strings.Contains(out, "broker 1 at "+addr) || !strings.Contains(out, `topic "k-none" with 4 partitions`) {
		t.Errorf("kcat -L says\n%s", out)
	}
	if s := b.Stats(); s.Panics != 0 || s.ConnectionsMalformed != 0 || s.RequestsUnsupported != 0 {
		t.Errorf("stats: %+v", s)
	}
}
