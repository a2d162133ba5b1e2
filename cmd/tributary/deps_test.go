package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tributary-net/tributary/"

// mayImport says which of our packages a package may import outside tests. The
// same table stands in docs/design.md: change both together.
var mayImport = map[string]string{
	"flow": "", "internal/bench": "", "packet": "", "ipfix": "", "internal/commitlog": "", "internal/quiet": "", "internal/daemon": "", "internal/captures": "", "internal/hold": "", "internal/lz4": "",
	"netflow":               "ipfix",
	"sflow":                 "packet",
	"internal/bpf":          "packet",
	"collect":               "flow packet ipfix netflow sflow",
	"internal/capture":      "packet internal/bpf",
	"internal/meter":        "flow packet",
	"internal/traffic":      "flow packet ipfix netflow sflow",
	"internal/enrich":       "flow",
	"internal/filter":       "flow",
	"internal/sink":         "flow ipfix netflow internal/kafka internal/commitlog",
	"internal/kafka":        "internal/lz4 internal/quiet",
	"broker":                "internal/commitlog internal/quiet",
	"internal/memfs":        "internal/commitlog",
	"internal/kafkaconfig":  "broker internal/kafka",
	"internal/kafka/admin":  "internal/kafka",
	"internal/kafkascripts": "internal/kafka",
	"internal/dumplog":      "internal/commitlog",
	"internal/store":        "flow internal/filter internal/enrich internal/kafka",
	"internal/detect":       "flow internal/filter internal/store",
	"internal/event":        "internal/filter internal/kafka",
	"internal/console":      "flow internal/filter internal/store internal/detect internal/event internal/kafka",
}

// public packages import the standard library and little else.
var (
	public         = []string{"flow", "packet", "ipfix", "netflow", "sflow", "collect", "broker"}
	publicOutside  = []string{"golang.org/x/sys/", "golang.org/x/net/"}
	brokerOutside  = []string{"github.com/twmb/franz-go/pkg/kmsg", "github.com/klauspost/compress/", "github.com/pierrec/lz4/"}
	anyone         = "cmd/tributary" // wires everything, and nobody imports it
	withoutImports = map[string]bool{anyone: true}
)

// source is what a package's files say, generators and other programs that go
// build ignores left out.
type source struct {
	imports map[string]string // path to the file that has it
	doc     bool
	name    string
}

// moduleRoot is the folder of go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// sources parses the packages of the module.
func sources(t *testing.T) map[string]*source {
	t.Helper()
	root := moduleRoot(t)
	all := map[string]*source{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); path != root && (strings.HasPrefix(n, ".") || strings.HasPrefix(n, "_") || n == "testdata" || n == "node_modules") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		if ignored(f) {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		s := all[pkg]
		if s == nil {
			s = &source{imports: map[string]string{}}
			all[pkg] = s
		}
		s.name = f.Name.Name
		s.doc = s.doc || f.Doc != nil
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports[p] = filepath.Base(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ignored reports whether a build constraint keeps the file out of every build.
func ignored(f *ast.File) bool {
	for _, g := range f.Comments {
		for _, c := range g.List {
			if c.Text == "//go:build ignore" {
				return true
			}
		}
	}
	return false
}

func TestImports(t *testing.T) {
	for pkg, s := range sources(t) {
		if withoutImports[pkg] {
			continue
		}
		if s.name == "main" { // a tool or a generator beside the packages
			continue
		}
		allowed, known := mayImport[pkg]
		if !known {
			t.Errorf("package %s is not in the table of imports; add it here and in docs/design.md", pkg)
			continue
		}
		for path, file := range s.imports {
			ours, is := strings.CutPrefix(path, module)
			switch {
			case is:
				if !slices.Contains(strings.Fields(allowed), ours) {
					t.Errorf("%s/%s imports %s; allowed are %q", pkg, file, ours, allowed)
				}
			case slices.Contains(public, pkg) && strings.Contains(strings.Split(path, "/")[0], "."):
				outside := publicOutside
				if pkg == "broker" {
					outside = slices.Concat(outside, brokerOutside)
				}
				if !slices.ContainsFunc(outside, func(p string) bool { return strings.HasPrefix(path+"/", p) || strings.HasPrefix(path, p) }) {
					t.Errorf("%s/%s imports %s; public packages keep to the standard library and %q", pkg, file, path, outside)
				}
			case path == "log" || path == "flag" || path == "expvar":
				if slices.Contains(public, pkg) {
					t.Errorf("%s/%s imports %s; what it logs or counts goes to what it is given", pkg, file, path)
				}
			}
		}
	}
}

// The table has no package that imports itself through others.
func TestImportTableHasNoCircle(t *testing.T) {
	var visit func(pkg string, above []string)
	visit = func(pkg string, above []string) {
		if slices.Contains(above, pkg) {
			t.Fatalf("circle: %s", strings.Join(append(above, pkg), " -> "))
		}
		for _, next := range strings.Fields(mayImport[pkg]) {
			if _, ok := mayImport[next]; !ok {
				t.Errorf("%s may import %s, which is not in the table", pkg, next)
			}
			visit(next, append(above, pkg))
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(mayImport)) {
		visit(pkg, nil)
	}
}

func TestPackageComments(t *testing.T) {
	for pkg, s := range sources(t) {
		if !s.doc {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}
