package sflow_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// sharedCaptures returns the folder of captures with expected results, or skips.
func sharedCaptures(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("TRIBUTARY_SHARED")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				t.Fatal("no go.mod above the working directory")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared")
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

func readJSON(t testing.TB, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
