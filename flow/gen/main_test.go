package main

import (
	"bytes"
	"os"
	"testing"
)

func TestProtoIsCurrent(t *testing.T) {
	have, err := os.ReadFile("../flow.proto")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, render()) {
		t.Error("flow.proto is not what the field table makes of it: run go generate ./flow")
	}
}
