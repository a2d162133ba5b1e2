package commitlog_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// TestMemoryFile: a file in memory, whose system calls the runtime does not hear of, reads and writes as one on a disk does.
func TestMemoryFile(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "commitlog")
	if err != nil {
		t.Skipf("there is no file system in memory: %v", err)
	}
	defer os.RemoveAll(dir)
	f, err := commitlog.OSFS().OpenFile(filepath.Join(dir, "log"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m, ok := f.(interface{ InMemory() bool }); !ok || !m.InMemory() {
		t.Skip("/dev/shm is not in memory")
	}
	plain := make([]byte, 700_000) // several pieces
	for i := range plain {
		plain[i] = byte(rand.Uint32())
	}
	if n, err := f.WriteAt(plain, 0); n != len(plain) || err != nil {
		t.Fatalf("%d octets written: %v", n, err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 1, 131_071, 300_000, len(plain) - 10, len(plain), len(plain) + 5} {
		for _, size := range []int{0, 1, 10, 131_072, 400_000, 800_000} {
			got := make([]byte, size)
			n, err := f.ReadAt(got, int64(at))
			want := plain[min(at, len(plain)):min(at+size, len(plain))]
			if !bytes.Equal(got[:n], want) {
				t.Fatalf("%d octets at %d: %d came, or others", size, at, n)
			}
			if short := n < size; short != errors.Is(err, io.EOF) || !short && err != nil {
				t.Errorf("%d of %d octets at %d: %v", n, size, at, err)
			}
		}
	}
	if _, err := f.ReadAt(plain, -1); err == nil {
		t.Error("read before the beginning")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(plain[:1], 0); err == nil {
		t.Error("read of a closed file")
	}
}
