package conformance

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/broker"
)

// debian stands for the version of what comes with Debian, whichever that has.
const debian = "Debian's"

// TestKcat has kcat (librdkafka) produce with every codec and consume, by partition and
// in groups, and come in by SASL.
func TestKcat(t *testing.T) {
	kcat := tool(t, "kcat")
	b := start(t, librdkafka, func(c *broker.Config) {
		c.DefaultPartitions = 2
		c.Listeners = []broker.Listener{{Name: "SASL", Address: "127.0.0.1:0", SASLMechanisms: []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}}}
		c.Users = []broker.User{{Name: "cat", Password: "a password"}}
	})
	addr, sasl := b.Addr().String(), ""
	for _, l := range b.Listeners() {
		if l.Name == "SASL" {
			sasl = l.Addr.String()
		}
	}
	run := func(t *testing.T, in, addr string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, kcat, append([]string{"-q", "-b", addr}, args...)...)
		cmd.WaitDelay = 10 * time.Second
		cmd.Stdin = strings.NewReader(in)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
		}
		return string(out)
	}
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "key%d=value%d\n", i%5, i)
	}
	in := text.String()
	check(t, librdkafka, debian, "kcat: produce with every codec, keys, headers, consume by partition and offset", func(t *testing.T) {
		for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
			topic := "k-" + codec
			run(t, in, addr, "-P", "-t", topic, "-p", "0", "-z", codec, "-K", "=", "-H", "codec="+codec)
			if got := run(t, "", addr, "-C", "-t", topic, "-p", "0", "-e", "-f", "%k=%s\n"); got != in {
				t.Errorf("%s: %q", codec, got)
			}
			if got := run(t, "", addr, "-C", "-t", topic, "-p", "0", "-o", "499", "-e", "-f", "%h %o %s"); got != "codec="+codec+" 499 value499" {
				t.Errorf("%s: the last one is %q", codec, got)
			}
		}
	})
	check(t, librdkafka, debian, "kcat: a group goes on where it was", func(t *testing.T) {
		args := []string{"-X", "auto.offset.reset=earliest", "-e", "-f", "%k=%s\n", "-G", "kgroup", "k-none"}
		if got := run(t, "", addr, args...); got != in {
			t.Errorf("%d bytes came of %d", len(got), len(in))
		}
		run(t, "one=more\n", addr, "-P", "-t", "k-none", "-K", "=")
		if got := run(t, "", addr, args...); got != "one=more\n" {
			t.Errorf("the group goes on with %q", got)
		}
	})
	check(t, librdkafka, debian, "kcat: metadata, offsets by time", func(t *testing.T) {
		out := run(t, "", addr, "-L")
		holds(t, "kcat -L", out, "broker 1 at "+addr, `topic "k-none" with 2 partitions`)
		if got := run(t, "", addr, "-Q", "-t", "k-gzip:0:0"); got != "k-gzip [0] offset 0\n" {
			t.Errorf("by time: %q", got)
		}
	})
	check(t, librdkafka, debian, "kcat: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512", func(t *testing.T) {
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			out := run(t, "", sasl, "-L", "-X", "security.protocol=sasl_plaintext", "-X", "sasl.mechanism="+mechanism, "-X", "sasl.username=cat", "-X", "sasl.password=a password")
			holds(t, mechanism, out, "broker 1 at "+sasl)
		}
	})
}
