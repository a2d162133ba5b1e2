package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestKafkaConfigTablesAreCurrent(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "kafka-config.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := replaceSettings(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, want) {
		t.Error("docs/kafka-config.md does not have the settings that are generated: run go generate ./cmd/tributary")
	}
	if _, err := replaceSettings([]byte("# no markers\n")); err == nil {
		t.Error("a page without markers is taken")
	}
}
