// Package captures finds, for tests, the captures of real exporters with their
// expected results. They are other people's and no part of this repository: they
// lie beside it, in ../shared/captures, or where TRIBUTARY_SHARED says.
package captures

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Dir returns the folder of captures. Where there is none the test is skipped,
// or fails when CI=true.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("TRIBUTARY_SHARED")
	if dir == "" {
		dir = filepath.Join(root(t), "..", "shared")
	}
	dir = filepath.Join(dir, "captures")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("captures with expected results are missing: %v", err)
		}
		t.Skipf("no captures with expected results here: %v", err)
	}
	return dir
}

// root returns the folder of the repository: the outermost one above the test
// that holds a go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	found := ""
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			found = dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if found == "" {
		t.Fatal("no go.mod above the working directory")
	}
	return found
}

// ReadJSON reads a file of expected results into v.
func ReadJSON(t testing.TB, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
