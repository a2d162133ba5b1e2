package sink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
	"github.com/tributary-net/tributary/internal/kafka"
)

// words is an account that remembers words and says all of them.
type words struct{ all, before []string }

func (w *words) Add(notes []byte) []byte {
	w.before = slices.Clone(w.all)
	w.all = append(w.all, string(notes))
	return w.All()
}

func (w *words) Undo() []byte {
	w.all = w.before
	return w.All()
}

func (w *words) All() []byte { return []byte(strings.Join(w.all, " ")) }

func (w *words) Restore(states []byte) error {
	w.all = strings.Fields(string(states))
	return nil
}

// onDisk returns a record batch of n empty records, without a producer.
func onDisk(n int) []byte {
	be := binary.BigEndian
	b := make([]byte, 61)
	for range n {
		b = append(b, 12, 0, 0, 0, 1, 1, 0) // length, attributes, times, no key, no value, no headers
	}
	be.PutUint32(b[8:], uint32(len(b)-12))
	be.PutUint32(b[12:], 0)
	b[16] = 2
	be.PutUint32(b[23:], uint32(n-1))
	be.PutUint64(b[43:], ^uint64(0))
	be.PutUint16(b[51:], ^uint16(0))
	be.PutUint32(b[53:], uint32(n))
	be.PutUint32(b[57:], uint32(n))
	at := 61
	for i := range n {
		b[at+3] = byte(2 * i) // offset delta; fewer than 64
		at += 7
	}
	be.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

// noted is the spool of one destination with two folders and an account.
type noted struct {
	spool   *Spool
	folders []*spoolFolder
	notes   *notesFile
	words   *words
}

func openNoted(t *testing.T, dir string) *noted {
	t.Helper()
	s, err := OpenSpool(dir, 1<<30, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &noted{spool: s, words: &words{}}
	for i := range 2 {
		f, err := s.openFolder(fmt.Sprintf("flows.%d", i), "nowhere")
		if err != nil {
			t.Fatal(err)
		}
		n.folders = append(n.folders, f)
	}
	if n.notes, err = openNotes(n.words, n.folders, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *noted) close(t *testing.T) {
	t.Helper()
	for _, f := range n.folders {
		if err := f.close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.notes.close(); err != nil {
		t.Fatal(err)
	}
	if err := n.spool.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNotes: whenever a process is killed while it stores batches and what was noted about
// them, the next one finds both or neither.
func TestNotes(t *testing.T) {
	dir := t.TempDir()
	n := openNoted(t, dir)
	if err := n.notes.begin(); err != nil {
		t.Fatal(err)
	}
	// killed looks at what another process would find now.
	killed := func(want string, torn ...kafka.Place) {
		t.Helper()
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		again := openNoted(t, copied)
		defer again.close(t)
		if got := string(again.words.All()); got != want {
			t.Errorf("%q is noted, want %q", got, want)
		}
		if got := again.folders[1].Torn(); !slices.Equal(got, torn) || again.folders[0].Torn() != nil {
			t.Errorf("torn: %v and %v, want %v", again.folders[0].Torn(), got, torn)
		}
	}
	store := func(folder, records int, lanes ...int32) (done func(bool), appends []func()) {
		t.Helper()
		f := n.folders[folder]
		var places []kafka.Place
		for _, lane := range lanes {
			_, end := f.Range(lane)
			places = append(places, kafka.Place{Lane: lane, From: end, To: end + int64(records)})
			appends = append(appends, func() {
				if _, err := f.Append(lane, onDisk(records)); err != nil {
					t.Fatal(err)
				}
			})
		}
		done, err := f.Note(places, fmt.Appendf(nil, "w%d", len(n.words.all)))
		if err != nil {
			t.Fatal(err)
		}
		return done, appends
	}
	killed("")
	done, appends := store(0, 3, 0)
	killed("")
	appends[0]()
	killed("w0")
	done(true)
	killed("w0")

	done, appends = store(1, 2, 0, 1)
	killed("w0")
	appends[0]()
	killed("w0", kafka.Place{Lane: 0, From: 0, To: 2})
	appends[1]()
	killed("w0 w1")
	done(true)

	// A failure that the process survives takes nothing with it, nor do the offsets that
	// the next ones get.
	done, _ = store(0, 4, 0)
	done(false)
	killed("w0 w1")
	for range 3 {
		done, appends = store(0, 4, 0)
		appends[0]()
		done(true)
	}
	killed("w0 w1 w2 w3 w4")

	// The file is made anew when it is large.
	for len(n.words.all) < 30 {
		n.words.all = append(n.words.all, strings.Repeat("x", 100_000))
		done, appends = store(1, 1, 0)
		appends[0]()
		done(true)
	}
	// What others have changed is there before anything else is stored.
	n.words.all = append(n.words.all, "changed")
	if err := n.notes.renote(); err != nil {
		t.Fatal(err)
	}
	want := string(n.words.All())
	killed(want)
	files, err := filepath.Glob(filepath.Join(dir, "flows.0", notesName+"*"))
	if err != nil || len(files) == 0 || len(files) > 2 || slices.Contains(files, filepath.Join(dir, "flows.0", notesName+"1")) {
		t.Errorf("files: %v %v", files, err)
	}
	killed(want)
	n.close(t)
	killed(want)

	// A damaged end is cut off.
	last := n.notes.name(n.notes.number)
	b, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range [][]byte{b[:len(b)-1], append(bytes.Clone(b[:len(b)-1]), ^b[len(b)-1]), append(bytes.Clone(b), 0, 0, 1)} {
		if err := os.WriteFile(last, damage, 0o600); err != nil {
			t.Fatal(err)
		}
		again := openNoted(t, dir)
		if got := string(again.words.All()); !strings.HasPrefix(want, got) || len(got) < len(want)/2 {
			t.Errorf("%d octets of %d are noted", len(got), len(want))
		}
		again.close(t)
	}
}

// halfFile takes half of what it is to write, as a full disk may.
type halfFile struct{ commitlog.File }

func (f halfFile) WriteAt(b []byte, off int64) (int, error) {
	n, _ := f.File.WriteAt(b[:len(b)/2], off)
	return n, errors.New("no space")
}

// TestStateNotSaved: a state that cannot be written, however often, does not cost the
// last one that was.
func TestStateNotSaved(t *testing.T) {
	dir := t.TempDir()
	n := openNoted(t, dir)
	f := n.folders[0]
	for _, state := range []string{"first", "second"} {
		if err := f.Save([]byte(state)); err != nil {
			t.Fatal(err)
		}
	}
	whole := f.states
	for i := range f.states {
		f.states[i] = halfFile{f.states[i]}
	}
	for range 3 {
		if f.Save([]byte("third")) == nil {
			t.Fatal("it was written")
		}
	}
	f.states = whole
	n.close(t)
	n = openNoted(t, dir)
	defer n.close(t)
	if state, err := n.folders[0].Load(); err != nil || string(state) != "second" {
		t.Errorf("%q, %v", state, err)
	}
}
