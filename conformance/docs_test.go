package conformance

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-net/tributary/broker"
)

// The clients, as docs/kafka.md calls them.
const (
	franzGo     = "franz-go"
	kafkaGo     = "kafka-go"
	saramaGo    = "sarama"
	apacheJava  = "Java"
	librdkafka  = "librdkafka"
	kafkaPython = "kafka-python"
)

var clients = []string{franzGo, kafkaGo, saramaGo, apacheJava, librdkafka, kafkaPython}

// run is something that was run, a line of the first table.
type run struct{ client, version, what, how string }

// findings are what this run of the tests found.
type findings struct {
	mu    sync.Mutex
	runs  []run
	asked map[string]map[string]bool // requests by name, by client
}

var found = findings{asked: make(map[string]map[string]bool)}

func (f *findings) ran(client, version, what, how string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs = append(f.runs, run{client, version, what, how})
}

// requests notes what a broker was asked by a client.
func (f *findings) requests(client string, requests []broker.RequestStats) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range requests {
		if f.asked[r.Name] == nil {
			f.asked[r.Name] = make(map[string]bool)
		}
		if r.Count > 0 {
			f.asked[r.Name][client] = true
		}
	}
}

// check runs one thing that a program of ours does with a client, and notes it.
func check(t *testing.T, client, version, what string, do func(t *testing.T)) {
	t.Helper()
	if t.Run(what, do) {
		found.ran(client, version, what, "passed")
	}
}

// The section of docs/kafka.md that is written here.
const (
	sectionBegin = "<!-- conformance: written by go test -update -->\n"
	sectionEnd   = "<!-- conformance: end -->\n"
)

// hold holds the section against what was found, and with update makes it so.
func (f *findings) hold(file string, update bool) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(page, []byte(sectionBegin))
	section, after, closed := bytes.Cut(rest, []byte(sectionEnd))
	if !ok || !closed {
		return fmt.Errorf("%s has no section of conformance", file)
	}
	doc := readDocumented(string(section))
	if !update {
		if err := f.compare(&doc); err != nil {
			return fmt.Errorf("%s is not what was found:\n%w", file, err)
		}
		return nil
	}
	f.addTo(&doc)
	return os.WriteFile(file, slices.Concat(before, []byte(sectionBegin+doc.String()+sectionEnd), after), 0o644)
}

// documented is the section as it stands.
type documented struct {
	runs  []run
	asked map[string]map[string]bool
	skips []string
}

func readDocumented(text string) documented {
	d := documented{asked: make(map[string]map[string]bool)}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case cells[0] == "client" || cells[0] == "request" || cells[0] == "suite" || strings.HasPrefix(cells[0], "---"):
		case len(cells) == 4:
			d.runs = append(d.runs, run{cells[0], cells[1], cells[2], cells[3]})
		case len(cells) == 1+len(clients):
			d.asked[cells[0]] = make(map[string]bool)
			for i, client := range clients {
				d.asked[cells[0]][client] = cells[1+i] != ""
			}
		case len(cells) == 3:
			d.skips = append(d.skips, strings.TrimSpace(line))
		}
	}
	return d
}

// String is the section as Markdown.
func (d *documented) String() string {
	var b strings.Builder
	b.WriteString("\n| client | version | what was run | how it went |\n|---|---|---|---|\n")
	for _, r := range d.runs {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.client, r.version, r.what, r.how)
	}
	b.WriteString("\nWhat is skipped, and why:\n\n| suite | test | why |\n|---|---|---|\n")
	for _, line := range d.skips {
		b.WriteString(line + "\n")
	}
	fmt.Fprintf(&b, "\nWhich requests each client made meanwhile:\n\n| request | %s |\n|---%s|\n",
		strings.Join(clients, " | "), strings.Repeat("|---", len(clients)))
	for _, request := range slices.Sorted(maps.Keys(d.asked)) {
		b.WriteString("| " + request + " |")
		for _, client := range clients {
			if d.asked[request][client] {
				b.WriteString(" yes |")
			} else {
				b.WriteString(" |")
			}
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.String()
}

func skipLines() []string {
	lines := make([]string, len(skips))
	for i, s := range skips {
		lines[i] = fmt.Sprintf("| %s | `%s` | %s |", s.suite, s.test, s.why)
	}
	return lines
}

// addTo puts what was found in the place of what was there; what was not run in this
// run stays as it is.
func (f *findings) addTo(d *documented) {
	for _, r := range f.runs {
		i := slices.IndexFunc(d.runs, func(o run) bool { return o.client == r.client && o.what == r.what })
		if i < 0 {
			i, d.runs = len(d.runs), append(d.runs, run{})
		}
		d.runs[i] = r
	}
	slices.SortStableFunc(d.runs, func(a, b run) int {
		return cmp.Compare(slices.Index(clients, a.client), slices.Index(clients, b.client))
	})
	for request, by := range f.asked {
		if d.asked[request] == nil {
			d.asked[request] = make(map[string]bool)
		}
		maps.Copy(d.asked[request], by)
	}
	d.skips = skipLines()
}

// compare says where the docs do not agree with what was found. A request that a
// client makes only at times need not be there; and when only some of the tests ran,
// what is missing may be theirs.
func (f *findings) compare(d *documented) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, r := range f.runs {
		if !slices.Contains(d.runs, r) {
			wrong("not there: %s", r)
		}
	}
	for _, line := range skipLines() {
		if !slices.Contains(d.skips, line) {
			wrong("not there: %s", line)
		}
	}
	for _, line := range d.skips {
		if !slices.Contains(skipLines(), line) {
			wrong("not skipped: %s", line)
		}
	}
	if flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.skip").Value.String() != "" || os.Getenv("CI") != "true" {
		return errors.Join(errs...)
	}
	for _, r := range d.runs {
		if !slices.Contains(f.runs, r) {
			wrong("not run: %s", r)
		}
	}
	for request, by := range d.asked {
		for client, documented := range by {
			if documented && !f.asked[request][client] {
				wrong("%s did not ask for %s", client, request)
			}
		}
	}
	return errors.Join(errs...)
}
