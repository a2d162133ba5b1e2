package packet_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/packet"
)

func open(t testing.TB, file string) *packet.Reader {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := packet.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return r
}

// Every capture of flow exports gives one UDP payload for each datagram that its
// expected results count, of the length they tell.
func TestDatagramsOfCaptures(t *testing.T) {
	dir := filepath.Join(captures.Dir(t), "flows")
	files, _ := filepath.Glob(filepath.Join(dir, "*.pcap"))
	if len(files) < 100 {
		t.Fatalf("%d captures, want at least 100", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pcap"), func(t *testing.T) {
			var want struct {
				Datagrams int
				Detail    []struct{ Len int } `json:"datagrams_detail"`
			}
			captures.ReadJSON(t, strings.TrimSuffix(file, ".pcap")+".expected.json", &want)
			r := packet.NewDatagramReader(open(t, file))
			var g packet.Datagram
			n := 0
			for {
				err := r.Next(&g)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if len(g.Payload) != g.Length {
					t.Errorf("datagram %d: %d bytes of %d", n, len(g.Payload), g.Length)
				}
				if n < len(want.Detail) && want.Detail[n].Len != g.Length {
					t.Errorf("datagram %d: %d bytes, want %d", n, g.Length, want.Detail[n].Len)
				}
				if !g.Source.IsValid() || !g.Destination.IsValid() {
					t.Errorf("datagram %d: addresses %v and %v", n, g.Source, g.Destination)
				}
				n++
			}
			if n != want.Datagrams {
				t.Errorf("%d datagrams, want %d", n, want.Datagrams)
			}
		})
	}
}

// The capture of hostile exports is itself sound: all of its datagrams come out.
func TestDatagramsOfMalformed(t *testing.T) {
	r := packet.NewDatagramReader(open(t, filepath.Join(captures.Dir(t), "malformed", "malformed.pcap")))
	var g packet.Datagram
	n := 0
	for {
		err := r.Next(&g)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n < 256 || r.Others() != 0 {
		t.Errorf("%d datagrams, %d other packets", n, r.Others())
	}
}
