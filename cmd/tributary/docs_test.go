package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// pages are README.md and everything in docs, by path from the module's root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root := moduleRoot(t)
	all := map[string]string{}
	read := func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		all[filepath.ToSlash(rel)] = string(b)
		return err
	}
	if err := read(filepath.Join(root, "README.md")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		return read(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// split parts a page into its text and its fenced blocks.
func split(page string) (text string, blocks []string) {
	var b, block strings.Builder
	fenced := false
	for l := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(l, "```"):
			if fenced {
				blocks = append(blocks, block.String())
				block.Reset()
			}
			fenced = !fenced
		case fenced:
			block.WriteString(l)
		default:
			b.WriteString(l)
		}
	}
	return b.String(), blocks
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	codeSpan = regexp.MustCompile("`[^`\n]*`")
)

// anchors are the names of a page's headings as links have them.
func anchors(page string) []string {
	text, _ := split(page)
	var names []string
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, h[1]))
	}
	return names
}

// Every link from page to page leads somewhere, to the heading it names too.
func TestDocsLinksResolve(t *testing.T) {
	all := pages(t)
	root := moduleRoot(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, _ := split(all[name])
		for _, l := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(text, "x"), -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(l[1], "#")
			target := name
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), path))
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: link %s: there is no %s", name, l[1], target)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(all[target]), anchor) {
				t.Errorf("%s: link %s: %s has no such heading", name, l[1], target)
			}
		}
	}
	index := all["docs/index.md"]
	for name := range all {
		if rel, ok := strings.CutPrefix(name, "docs/"); ok && rel != "index.md" && !strings.Contains(index, "("+rel+")") {
			t.Errorf("docs/index.md does not list %s", rel)
		}
	}
}

// words parts a shell command line into commands of words, quotes taken off.
func words(line string) [][]string {
	var commands [][]string
	var command []string
	var word strings.Builder
	quote, in := rune(0), false
	endWord := func() {
		if in {
			command = append(command, word.String())
		}
		word.Reset()
		in = false
	}
	endCommand := func() {
		endWord()
		if command != nil {
			commands = append(commands, command)
		}
		command = nil
	}
	for _, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, in = r, true
		case unicode.IsSpace(r):
			endWord()
		case strings.ContainsRune("|&;<>()", r):
			endCommand()
		case r == '#' && !in:
			endCommand()
			return commands
		default:
			in = true
			word.WriteRune(r)
		}
	}
	endCommand()
	return commands
}

// programLines finds the lines of a page that run the program, in blocks and in
// the text; what has a placeholder or a variable in it is left out.
func programLines(page string) [][]string {
	text, blocks := split(page)
	var lines []string
	for _, b := range blocks {
		for l := range strings.Lines(strings.ReplaceAll(b, "\\\n", " ")) {
			lines = append(lines, strings.TrimPrefix(strings.TrimSpace(l), "$ "))
		}
	}
	for _, c := range codeSpan.FindAllString(text, -1) {
		lines = append(lines, strings.Trim(c, "`"))
	}
	var found [][]string
	for _, l := range lines {
		for _, c := range words(l) {
			if c[0] == "do" { // of a loop
				c = c[1:]
			}
			if len(c) > 1 && (c[0] == "tributary" || c[0] == "bin/tributary") && !strings.ContainsAny(strings.Join(c, ""), "…$") {
				found = append(found, c[1:])
			}
		}
	}
	return found
}

// Every command that a page prints is there, and takes the options it is given
// with the values they are given.
func TestDocsCommandsExist(t *testing.T) {
	n := 0
	for name, page := range pages(t) {
		for _, args := range programLines(page) {
			n++
			c, rest, err := newRoot().Find(args)
			if err == nil && c.HasParent() {
				err = c.ParseFlags(rest)
			}
			if err == nil && (!c.HasParent() || c.HasSubCommands() && len(c.Flags().Args()) > 0) {
				t.Errorf("%s: tributary %s: no such command", name, strings.Join(args, " "))
			}
			if err != nil && !strings.Contains(err.Error(), "help requested") {
				t.Errorf("%s: tributary %s: %v", name, strings.Join(args, " "), err)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d commands were found", n)
	}
}

var metricName = regexp.MustCompile(`tributary_(?:collect|sink|broker|build)[a-z_]*`)

// Every metric that a page names is there; a name may be the beginning of
// several.
func TestDocsMetricsExist(t *testing.T) {
	all, err := metrics()
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range pages(t) {
		for _, found := range metricName.FindAllString(page, -1) {
			if !slices.ContainsFunc(all, func(m metric) bool { return strings.HasPrefix(m.name, found) }) {
				t.Errorf("%s: there is no metric %s", name, found)
			}
		}
	}
}

var importRow = regexp.MustCompile("(?m)^\\| (`[^|]*) \\| (none|`[^|]*) \\|$")

// The table of imports in docs/design.md is the one that is held.
func TestDesignHasTheTableOfImports(t *testing.T) {
	page := pages(t)["docs/design.md"]
	list := func(cell string) []string {
		var names []string
		for _, c := range codeSpan.FindAllString(cell, -1) {
			names = append(names, strings.Trim(c, "`"))
		}
		slices.Sort(names)
		return names
	}
	_, table, ok := strings.Cut(page, "| package | may import |\n|---|---|\n")
	if !ok {
		t.Fatal("docs/design.md has no table of imports")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string][]string{}
	for _, row := range importRow.FindAllStringSubmatch(table+"\n", -1) {
		for _, pkg := range list(row[1]) {
			documented[pkg] = list(row[2])
		}
	}
	for pkg, allowed := range mayImport {
		want := strings.Fields(allowed)
		slices.Sort(want)
		got, ok := documented[pkg]
		if !ok || !slices.Equal(got, want) {
			t.Errorf("docs/design.md lets %s import %q (listed: %v), the test %q", pkg, got, ok, want)
		}
	}
	for pkg := range documented {
		if _, ok := mayImport[pkg]; !ok {
			t.Errorf("docs/design.md lists %s, the test does not", pkg)
		}
	}
}
