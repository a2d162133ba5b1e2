package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// storing is a spool that only writes down what it is asked to store, in order: "note"
// with the places and the notes, and "lane" with the records of each batch. Full: it has
// no room for batches.
type storing struct {
	Spool // nothing else is asked
	log   []string
	ends  map[int32]int64
	full  bool
}

func (s *storing) Note(places []Place, notes []byte) (func(bool), error) {
	text := "note " + string(notes) + ":"
	for _, pl := range places {
		text += fmt.Sprintf(" %d[%d,%d)", pl.Lane, pl.From, pl.To)
	}
	s.log = append(s.log, text)
	return func(ok bool) { s.log = append(s.log, fmt.Sprintf("done %v", ok)) }, nil
}

func (s *storing) Append(lane int32, b []byte) (int64, error) {
	if s.full {
		return 0, ErrSpoolFull
	}
	n := int64(binaryCount(b))
	s.log = append(s.log, fmt.Sprintf("lane %d: %d", lane, n))
	s.ends[lane] += n
	return s.ends[lane] - n, nil
}

func (s *storing) Range(lane int32) (start, end int64) { return 0, s.ends[lane] }
func (s *storing) Read(int32, int64, func(int) []byte) ([]byte, error) {
	return nil, errors.New("nothing can be read")
}
func (s *storing) Took(int)          {}
func (s *storing) Free(int)          {}
func (s *storing) Save([]byte) error { return nil }

// binaryCount is how many records a batch says it has.
func binaryCount(b []byte) int {
	return int(b[posCount])<<24 | int(b[posCount+1])<<16 | int(b[posCount+2])<<8 | int(b[posCount+3])
}

// noted is an appender of a producer whose cluster cannot be reached, with a spool.
type noted struct {
	t     *testing.T
	p     *stuckProducer
	spool *storing
	a     *Appender
	keys  []string // one for each partition
}

func newNoted(t *testing.T, properties Properties, partitions int) *noted {
	t.Helper()
	n := &noted{t: t, p: stuck(t, properties, partitions), spool: &storing{ends: map[int32]int64{}}}
	n.p.mu.Lock()
	n.p.storesIn(n.spool)
	n.p.cfg.Keyed, n.p.cfg.Dropped = true, func(uint64) {}
	n.p.mu.Unlock()
	n.a = n.p.Appender()
	for at := range max(1, partitions) {
		key := 0
		for partitions > 0 && keyPartition(fmt.Appendf(nil, "%d", key), partitions) != int32(at) {
			key++
		}
		n.keys = append(n.keys, fmt.Sprint(key))
	}
	return n
}

// add appends a record of so many octets to each of the partitions, and returns how many
// flows were dropped.
func (n *noted) add(size int, partitions ...int) (dropped uint64) {
	n.t.Helper()
	for _, at := range partitions {
		d, _ := n.a.Append([]Record{{Milliseconds: 1_700_000_000_000, Key: []byte(n.keys[at]), Value: make([]byte, size), Flows: 1}})
		dropped += d
	}
	return dropped
}

func (n *noted) note(text string) { n.a.Note([]byte(text)) }

// want compares what was stored since it was last asked.
func (n *noted) want(lines ...string) {
	n.t.Helper()
	n.p.mu.Lock()
	defer n.p.mu.Unlock()
	if !slices.Equal(n.spool.log, lines) {
		n.t.Fatalf("stored:\n%s\nwant:\n%s", strings.Join(n.spool.log, "\n"), strings.Join(lines, "\n"))
	}
	n.spool.log = nil
}

// TestAppenderNotes: batches of several partitions are stored in one piece with the notes
// of all that is in them, when they have waited for long enough.
func TestAppenderNotes(t *testing.T) {
	n := newNoted(t, nil, 3)
	n.note("") // from now on notes are taken
	n.add(10, 0, 2, 0)
	n.note("a")
	n.add(10, 2)
	n.note("b")
	n.want() // nothing is due
	n.p.sealAll()
	n.want("note ab: 1[0,2) 3[0,2)", "lane 1: 2", "lane 3: 2", "done true")
	n.add(10, 1, 2)
	n.note("c")
	n.p.sealAll()
	n.want("note c: 2[0,1) 3[2,3)", "lane 2: 1", "lane 3: 1", "done true")
	n.p.sealAll()
	n.want()
	// Notes of datagrams without records wait for such that have some.
	n.note("d")
	n.want()
	n.add(10, 1)
	n.note("e")
	n.p.sealAll()
	n.want("note de: 2[1,2)", "lane 2: 1", "done true")
	n.note("f")
	n.p.sealAll()
	n.want("note f:", "done true")
	n.note(strings.Repeat("g", notesAlone+1)) // but not for ever
	n.want("note "+strings.Repeat("g", notesAlone+1)+":", "done true")
}

// TestAppenderNotesFull: a batch that is full in the middle of a run is kept back until
// the run has its note, and takes along what is open for other partitions.
func TestAppenderNotesFull(t *testing.T) {
	n := newNoted(t, Properties{"batch.size": "16384"}, 3)
	n.note("")
	n.add(10, 0)
	n.note("a")
	for range 5 {
		n.add(4000, 1) // four fit
	}
	n.want()
	n.note("b")
	n.want("note ab: 2[0,5) 1[0,1)", "lane 2: 4", "lane 1: 1", "lane 2: 1", "done true")
	// One that is nearly full is stored with its own note, before the next run.
	for range 4 {
		n.add(4000, 2)
	}
	n.note("c")
	n.want("note c: 3[0,4)", "lane 3: 4", "done true")
}

// TestAppenderNotesDue: a batch that has waited for long enough in the middle of a run
// waits for the note of that.
func TestAppenderNotesDue(t *testing.T) {
	n := newNoted(t, nil, 2)
	n.note("")
	n.add(10, 0)
	n.note("a")
	n.add(10, 1)
	for _, b := range n.a.open {
		if b != nil {
			b.opened = b.opened.Add(-1)
		}
	}
	n.a.sealOpened(n.a.open[1].opened)
	n.want()
	n.note("b")
	n.want("note ab: 1[0,1) 2[0,1)", "lane 1: 1", "lane 2: 1", "done true")
}

// TestAppenderNotesLost: a run that was not taken whole has no note, and one that the
// spool has no room for takes its note back.
func TestAppenderNotesLost(t *testing.T) {
	n := newNoted(t, nil, 2)
	n.note("")
	n.add(10, 0)
	n.note("a")
	taken := n.p.queue.limit - n.p.queue.reserve - n.p.queue.fresh.Load()
	if !n.p.queue.take(taken) {
		t.Fatal("no room")
	}
	if n.add(10, 1) != 1 { // has to be a batch of its own
		t.Fatal("there was room")
	}
	n.add(10, 0)
	n.note("b")
	n.p.queue.free(taken, true)
	n.add(10, 1)
	n.note("c")
	n.p.sealAll()
	n.want("note ac: 1[0,2) 2[0,1)", "lane 1: 2", "lane 2: 1", "done true")

	n.spool.full = true
	n.add(10, 0)
	n.note("d")
	n.p.sealAll()
	n.want("note d: 1[2,3)", "done false")
}

// TestAppenderNotesUnknown: what was made before partitions were known is stored before
// what comes when they are.
func TestAppenderNotesUnknown(t *testing.T) {
	n := newNoted(t, nil, 0)
	n.note("")
	n.add(10, 0)
	n.note("a")
	n.add(10, 0)
	n.p.mu.Lock()
	n.p.partitions = append(n.p.partitions, newPartition(0))
	n.p.known.Store(1)
	n.p.mu.Unlock()
	n.add(10, 0) // of the run that has begun without
	n.note("b")
	n.want("note ab: 0[0,3)", "lane 0: 3", "done true")
	n.add(10, 0)
	n.note("c")
	n.p.sealAll()
	n.want("note c: 1[0,1)", "lane 1: 1", "done true")
}
