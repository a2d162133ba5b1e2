package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// jars is the class path of Apache Kafka's jars, and their version.
func jars(t *testing.T) (path, version string) {
	t.Helper()
	libs := os.Getenv("KAFKA_LIBS")
	if libs == "" {
		missing(t, "KAFKA_LIBS names no folder of Apache Kafka's jars (scripts/kafka.sh libs)")
	}
	all, err := filepath.Glob(filepath.Join(libs, "kafka-tools-[0-9]*.jar"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %v, %v", libs, all, err)
	}
	version = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(all[0]), "kafka-tools-"), ".jar")
	return filepath.Join(libs, "*"), version
}

// compile compiles programs of testdata and returns the class path to run them.
func compile(t *testing.T, path string, files ...string) string {
	t.Helper()
	classes := t.TempDir()
	args := []string{"-d", classes, "-cp", path}
	for _, f := range files {
		args = append(args, filepath.Join("testdata", f))
	}
	if out, err := exec.CommandContext(t.Context(), tool(t, "javac"), args...).CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	return classes + string(os.PathListSeparator) + path
}

// jvm is how a small program is run: little memory, little compiling, no more
// threads than need be, and warnings only.
func jvm(t *testing.T, ctx context.Context, path string, args ...string) *exec.Cmd {
	t.Helper()
	small := []string{"-Xmx256m", "-Xshare:auto", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR", "-cp", path}
	cmd := exec.CommandContext(ctx, tool(t, "java"), append(small, args...)...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// javaTools runs Apache Kafka's tools, all in one machine (testdata/Tools.java).
type javaTools struct {
	addr  string
	calls io.WriteCloser
	lines *bufio.Reader
	errs  *bytes.Buffer
}

func newJavaTools(t *testing.T, path, addr string) *javaTools {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	cmd := jvm(t, ctx, compile(t, path, "Tools.java"), "Tools")
	tools := &javaTools{addr: addr, errs: &bytes.Buffer{}}
	cmd.Stderr = tools.errs
	var err error
	if tools.calls, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	tools.lines = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = tools.calls.Close()
		_ = cmd.Wait()
		cancel()
	})
	return tools
}

// call runs a tool with a standard input, and returns its status and what it wrote.
func (j *javaTools) call(t *testing.T, in, class string, args ...string) (status int, out string) {
	t.Helper()
	words := append([]string{class, in}, args...)
	for i, w := range words {
		words[i] = base64.StdEncoding.EncodeToString([]byte(w))
	}
	if _, err := io.WriteString(j.calls, strings.Join(words, " ")+"\n"); err != nil {
		t.Fatalf("%s: %v\n%s", class, err, j.errs)
	}
	line, err := j.lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v\n%s", class, err, j.errs)
	}
	code, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatalf("%s: %q: %v", class, line, err)
	}
	if status, err = strconv.Atoi(code); err != nil {
		t.Fatalf("%s: %q", class, line)
	}
	return status, string(b)
}

// says has a tool work on the broker, and what it writes have certain parts. Those
// that begin with ! must not be there.
func (j *javaTools) says(t *testing.T, line string, parts ...string) string {
	t.Helper()
	return j.reads(t, "", line, parts...)
}

// reads is says for a tool that reads something. The line is the class and its
// arguments; what has blanks in it stands in single quotes.
func (j *javaTools) reads(t *testing.T, in, line string, parts ...string) string {
	t.Helper()
	words := split(line)
	status, out := j.call(t, in, words[0], append([]string{"--bootstrap-server", j.addr}, words[1:]...)...)
	if status != 0 {
		t.Errorf("%s: status %d\n%s", line, status, out)
	}
	holds(t, line, out, parts...)
	return out
}

func holds(t *testing.T, what, out string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if not, ok := strings.CutPrefix(part, "!"); ok {
			if strings.Contains(out, not) {
				t.Errorf("%s: %q is in\n%s", what, not, out)
			}
		} else if !strings.Contains(out, part) {
			t.Errorf("%s: %q is not in\n%s", what, part, out)
		}
	}
}

// split splits a line at its blanks, but not within single quotes.
func split(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}
