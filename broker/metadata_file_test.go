package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func openMetadata(t testing.TB, dir string) *metadataFile {
	t.Helper()
	m, err := readMetadata(dir)
	if err == nil {
		err = m.open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.close() })
	return m
}

func tableOf(m *metadataFile) map[string]string {
	out := make(map[string]string)
	for k, v := range m.table {
		out[k.Kind+"/"+k.Key] = string(v)
	}
	return out
}

// TestMetadataShared: logs are made while something else is changed.
func TestMetadataShared(t *testing.T) {
	m := openMetadata(t, t.TempDir())
	if err := m.put(kindTopic, "flows", storedTopic{Configs: map[string]string{"retention.ms": "7000"}}); err != nil {
		t.Fatal(err)
	}
	config := configOf(&Config{}, m)
	changed := make(chan error)
	go func() {
		var err error
		for i := 0; i < 100 && err == nil; i++ {
			err = m.put(kindQuota, fmt.Sprint(i), i)
		}
		changed <- err
	}()
	for {
		if c, ok := config("flows"); !ok || c.RetentionAge != 7*time.Second {
			t.Fatalf("%v, %+v", ok, c)
		}
		select {
		case err := <-changed:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

// TestMetadataModel holds the file against a map over many changes and openings.
func TestMetadataModel(t *testing.T) {
	dir := t.TempDir()
	want := make(map[string]string)
	m := openMetadata(t, dir)
	for i := range 1500 {
		key := fmt.Sprint(i * 7 % 13)
		var err error
		if i%5 == 0 {
			delete(want, "k/"+key)
			err = m.remove("k", key)
		} else {
			want["k/"+key] = fmt.Sprint(i)
			err = m.put("k", key, i)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%400 == 0 {
			_ = m.close()
			m = openMetadata(t, dir)
		}
		if got := tableOf(m); !maps.Equal(got, want) {
			t.Fatalf("after %d changes: %v, want %v", i+1, got, want)
		}
	}
	if m.entries > 1200 {
		t.Errorf("%d entries for %d keys: the file was not written anew", m.entries, len(want))
	}
	_ = m.close()
	if err := m.put("k", "x", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
}

// TestMetadataCut cuts the file everywhere: what was finished is there, what was not is not, and nothing is made up.
func TestMetadataCut(t *testing.T) {
	dir := t.TempDir()
	m := openMetadata(t, dir)
	var ends []int64
	for i := range 5 {
		if err := m.put("k", fmt.Sprint(i), map[string]int{"n": i}); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, m.size)
	}
	_ = m.close()
	path := filepath.Join(dir, metadataName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := metadataHeader; n <= len(whole); n++ {
		finished := 0
		for _, end := range ends {
			if int64(n) >= end {
				finished++
			}
		}
		for _, tail := range [][]byte{nil, make([]byte, 100)} {
			if err := os.WriteFile(path, append(bytes.Clone(whole[:n]), tail...), 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := readMetadata(dir)
			if tail != nil && err != nil {
				continue // zeros in the middle of an entry may look like damage; to say so is right too
			}
			if err != nil {
				t.Fatalf("cut at %d: %v", n, err)
			}
			if len(m.table) != finished {
				t.Fatalf("cut at %d: %d keys, %d were finished", n, len(m.table), finished)
			}
		}
	}
}

// TestMetadataDamage changes single bytes in front of the last entry: that is never a reason to forget what follows.
func TestMetadataDamage(t *testing.T) {
	dir := t.TempDir()
	m := openMetadata(t, dir)
	for i := range 3 {
		if err := m.put("k", fmt.Sprint(i), i); err != nil {
			t.Fatal(err)
		}
	}
	_ = m.close()
	path := filepath.Join(dir, metadataName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range metadataHeader {
		b := bytes.Clone(whole)
		b[i] ^= 0x40
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readMetadata(dir); !errors.Is(err, ErrCorruptMetadata) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	b := bytes.Clone(whole)
	b[metadataHeader+12] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readMetadata(dir); !errors.Is(err, ErrCorruptMetadata) {
		t.Errorf("first entry changed: %v", err)
	}
}

func FuzzMetadata(f *testing.F) {
	good := append([]byte(metadataMagic), 0, 0, 0, metadataVersion)
	entry, err := appendEntry(good, metadataEntry{metadataKey{"topic", "flows"}, json.RawMessage(`{"id":"AAAAAAAAAAAAAAAAAAAAAA","partitions":4}`)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(entry)
	f.Add(entry[:len(entry)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &metadataFile{table: make(map[metadataKey]json.RawMessage)}
		if err := m.replay(b); err != nil && !errors.Is(err, ErrCorruptMetadata) {
			t.Errorf("error of another kind: %v", err)
		}
	})
}
