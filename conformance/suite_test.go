package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// suite is the tests of a module, as its authors published them.
type suite struct {
	client   string
	name     string // as docs/kafka.md has it
	module   string // import path; go.mod says the version
	packages []string
	run      string                 // a regular expression as go test has it; empty: all
	env      []string               // beside the environment of this process
	patch    func(dir string) error // adapts the copy
}

// suiteTime is what a suite may take on a machine that is busy with other things.
const suiteTime = 15 * time.Minute

// attempts are how often a test of others may be run before its failure counts, and a
// registry be asked: what they hold against a clock of their own is not known here, nor
// can it be changed.
const attempts = 3

// play copies the module out of the module cache, runs its tests, and holds them
// against the list of those that may be skipped. Those that fail run again by themselves.
func (s *suite) play(t *testing.T) {
	t.Helper()
	version, dir := s.copy(t)
	if s.patch != nil {
		if err := s.patch(dir); err != nil {
			t.Fatal(err)
		}
	}
	s.fetch(t, dir)
	results := s.test(t, dir, s.run)
	for range attempts - 1 {
		failed := results.unexpected(s.name)
		if len(failed) == 0 {
			break
		}
		for _, name := range failed {
			t.Logf("%s of %s failed, and runs again:\n%s", name, s.name, tail(results.output[name]))
		}
		results.replace(failed, s.test(t, dir, "^("+strings.Join(failed, "|")+")$"))
	}
	passed, skipped := results.judge(t, s.name)
	if passed == 0 {
		t.Fatalf("no test of %s passed", s.module)
	}
	t.Logf("%s: %d passed, %d skipped", s.name, passed, skipped)
	how := fmt.Sprintf("%d passed", passed)
	if skipped > 0 {
		how += fmt.Sprintf(", %d skipped", skipped)
	}
	found.ran(s.client, version, s.name, how)
}

// command is the go command in the copy of the module.
func (s *suite) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", append(args, s.packages...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOTOOLCHAIN=local")
	cmd.Env = append(cmd.Env, s.env...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// fetch brings the modules here that the tests want.
func (s *suite) fetch(t *testing.T, dir string) {
	t.Helper()
	for n := 1; ; n++ {
		out, err := s.command(t.Context(), dir, "list", "-deps", "-test").CombinedOutput()
		if err == nil {
			return
		}
		if n == attempts {
			t.Fatalf("modules of %s: %v\n%s", s.module, err, out)
		}
		pause(t, n, s.module, fmt.Errorf("%w\n%s", err, out))
	}
}

// pause waits after the n-th attempt to get something from a registry: whatever keeps it
// from answering may pass.
func pause(t *testing.T, n int, what string, err error) {
	t.Helper()
	t.Logf("%s, once more in a moment: %v", what, err)
	time.Sleep(time.Duration(n) * 10 * time.Second)
}

// test runs the tests that a pattern names, or all.
func (s *suite) test(t *testing.T, dir, pattern string) *results {
	t.Helper()
	args := []string{"test", "-json", "-count=1", "-vet=off", "-timeout", suiteTime.String()}
	if pattern != "" {
		args = append(args, "-run", pattern)
	}
	if out := leftOut(s.name); out != "" {
		args = append(args, "-skip", out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), suiteTime+time.Minute)
	defer cancel()
	cmd := s.command(ctx, dir, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	r, err := readResults(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if len(r.ended) == 0 {
		t.Fatalf("no test of %s ran\n%s", s.module, stderr.Bytes())
	}
	return r
}

// copy copies the module into a folder of the test.
func (s *suite) copy(t *testing.T) (version, dir string) {
	t.Helper()
	version, source := module(t, s.module)
	dir = filepath.Join(t.TempDir(), filepath.Base(s.module))
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	// The module cache cannot be written to, and so neither can a copy of it.
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
	return version, dir
}

// module is where the module cache has a module, and its version.
func module(t *testing.T, path string) (version, dir string) {
	t.Helper()
	for n := 1; ; n++ {
		out, err := exec.Command("go", "mod", "download", "-json", path).Output()
		var m struct{ Version, Dir, Error string }
		jsonErr := json.Unmarshal(out, &m)
		if jsonErr == nil && m.Dir != "" {
			return m.Version, m.Dir
		}
		if n == attempts {
			t.Fatalf("%s: %v %v %s", path, err, jsonErr, m.Error)
		}
		pause(t, n, path, err)
	}
}

// results are what became of the tests of a suite, by package and name.
type results struct {
	ended  map[string]string // pass, fail or skip
	output map[string]*bytes.Buffer
	failed []string // packages that did not end well
}

// readResults reads what go test -json writes.
func readResults(out []byte) (*results, error) {
	r := &results{ended: make(map[string]string), output: make(map[string]*bytes.Buffer)}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e struct{ Action, Package, ImportPath, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("go test wrote %q: %w", lines.Text(), err)
		}
		name := e.Test
		if name == "" {
			name = e.Package + e.ImportPath // a package, or its build
		}
		switch e.Action {
		case "output", "build-output":
			b := r.output[name]
			if b == nil {
				b = &bytes.Buffer{}
				r.output[name] = b
			}
			b.WriteString(e.Output)
		case "pass", "fail", "skip", "build-fail":
			if e.Test == "" {
				if strings.HasSuffix(e.Action, "fail") {
					r.failed = append(r.failed, name)
				}
				continue
			}
			r.ended[name] = e.Action
		case "run":
			r.ended[name] = "fail" // until it says otherwise: a panic ends it without a word
		}
	}
	return r, lines.Err()
}

// unexpected returns the tests, without their parts, that fail for no reason on the list.
func (r *results) unexpected(suite string) []string {
	var names []string
	for name, ended := range r.ended {
		if ended == "fail" && !strings.Contains(name, "/") && listed(suite, name) != fails && !r.becauseOf(suite, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// replace takes the results of tests, with their parts, from another run of them.
func (r *results) replace(names []string, again *results) {
	of := func(test string) bool {
		top, _, _ := strings.Cut(test, "/")
		return slices.Contains(names, top)
	}
	maps.DeleteFunc(r.ended, func(test, _ string) bool { return of(test) })
	for test, ended := range again.ended {
		if of(test) {
			r.ended[test], r.output[test] = ended, again.output[test]
		}
	}
	r.failed = again.failed
}

// judge reports what does not agree with the list of skips, and counts the rest.
func (r *results) judge(t *testing.T, suite string) (passed, skipped int) {
	t.Helper()
	names := make([]string, 0, len(r.ended))
	for name := range r.ended {
		names = append(names, name)
	}
	slices.Sort(names)
	wrong := false
	for _, name := range names {
		how := listed(suite, name)
		switch ended := r.ended[name]; {
		case ended == "pass" && how == 0:
			passed++
		case ended == "pass":
			t.Errorf("%s passes, and is listed among the skips", name)
		case ended == "skip" && how == skipsItself, ended == "fail" && how == fails:
			skipped++
		case ended == "fail" && r.becauseOf(suite, name):
			passed++ // by itself it has nothing against us
		default:
			wrong = true
			t.Errorf("%s: %s\n%s", name, ended, tail(r.output[name]))
		}
	}
	for _, s := range skips {
		if s.suite == suite && s.how == leaveOut {
			skipped++
		}
	}
	if !wrong {
		for _, p := range r.failed {
			if !r.explained(suite) {
				t.Errorf("package %s: fail\n%s", p, tail(r.output[p]))
			}
		}
	}
	return passed, skipped
}

// becauseOf says whether a test fails only because of parts of it that are listed.
func (r *results) becauseOf(suite, name string) bool {
	parts := 0
	for part, ended := range r.ended {
		if strings.HasPrefix(part, name+"/") && ended == "fail" {
			if listed(suite, part) != fails && !r.becauseOf(suite, part) {
				return false
			}
			parts++
		}
	}
	return parts > 0
}

// explained says whether some test is expected to fail, and with it its package.
func (r *results) explained(suite string) bool {
	for name, ended := range r.ended {
		if ended == "fail" && listed(suite, name) == fails {
			return true
		}
	}
	return false
}

// tail is the end of what a test wrote.
func tail(b *bytes.Buffer) string {
	if b == nil {
		return ""
	}
	const enough = 4000
	text := b.String()
	return text[max(0, len(text)-enough):]
}
