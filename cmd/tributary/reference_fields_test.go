package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/tributary-net/tributary/flow"
)

func TestFieldTablesAreCurrent(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "format", "flow-record.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := replaceFields(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, want) {
		t.Error("docs/format/flow-record.md does not have the fields that are generated: run go generate ./cmd/tributary")
	}
	for _, f := range flow.Fields() {
		if n := bytes.Count(page, []byte("| `"+f.Name+"` | ")); n < 1 {
			t.Errorf("field %s is in no table", f.Name)
		}
	}
	if _, err := replaceFields([]byte("# no markers\n")); err == nil {
		t.Error("a page without markers is taken")
	}
}
