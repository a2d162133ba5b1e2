package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/tributary-net/tributary/internal/kafkaconfig"
)

func TestKafkaConfigTablesAreCurrent(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(moduleRoot(t), "docs", "kafka-config.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := kafkaconfig.ReplaceTables(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, want) {
		t.Error("docs/kafka-config.md does not have the settings that are generated: run go generate ./cmd/tributary")
	}
	if _, err := kafkaconfig.ReplaceTables([]byte("# no markers\n")); err == nil {
		t.Error("a page without markers is taken")
	}
}
