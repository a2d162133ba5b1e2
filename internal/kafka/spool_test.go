package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// account is a spool that notes what it is told.
type account struct {
	Spool
	saves   int
	fails   error
	trimmed []int64
	freed   int
}

func (a *account) Save([]byte) error              { a.saves++; return a.fails }
func (a *account) Trim(_ int32, offset int64)     { a.trimmed = append(a.trimmed, offset) }
func (a *account) Free(n int)                     { a.freed += n }
func (a *account) Range(int32) (start, end int64) { return 0, 30 }

// TestSavedInTime: what has been decided is saved within a time although nothing is sent any
// more, and forgotten by the spool only then.
func TestSavedInTime(t *testing.T) {
	s := stuck(t, nil, 1)
	a := &account{}
	s.mu.Lock()
	defer func() {
		s.spool = nil // Close would save
		s.mu.Unlock()
	}()
	s.spool = a
	if d := s.saveInTime(time.Now()); d < time.Minute || a.saves != 0 {
		t.Errorf("%d saves of nothing, the next one in %v", a.saves, d)
	}
	s.settle(&batch{records: 10, stored: 100})
	begin := s.unsaved
	s.settle(&batch{records: 10, offset: 10, stored: 100})
	if d := s.saveInTime(begin.Add(saveWithin / 2)); d != saveWithin/2 || a.saves != 0 || len(a.trimmed) != 0 || a.freed != 200 {
		t.Errorf("the next one in %v, told %+v", d, a)
	}
	a.fails = errors.New("no space")
	if d := s.saveInTime(begin.Add(saveWithin)); d != saveWithin || a.saves != 1 || len(a.trimmed) != 0 {
		t.Errorf("the next one in %v, told %+v", d, a)
	}
	a.fails = nil
	if d := s.saveInTime(begin.Add(2 * saveWithin)); d < time.Minute || a.saves != 2 || len(a.trimmed) != 1 || a.trimmed[0] != 20 {
		t.Errorf("the next one in %v, told %+v", d, a)
	}
	if err := s.save(); err != nil || len(a.trimmed) != 1 {
		t.Errorf("%v, told %+v", err, a)
	}
}

// TestSaveFails: a batch that could not go, because the spool did not take what has to be
// known of it, has not been sent. That it goes later is no retry, and it is in doubt for
// as long as it was.
func TestSaveFails(t *testing.T) {
	s := stuck(t, Properties{"enable.idempotence": "false", "retries": "0"}, 2)
	for _, pt := range s.partitions {
		s.give(t, pt, 10)
	}
	a := &account{fails: errors.New("no space")}
	s.mu.Lock()
	s.spool = a
	before := time.Now().Add(-time.Hour)
	s.partitions[0].leader, s.partitions[1].leader = 1, 1
	s.partitions[1].queue[0].sentAt = before
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.spool = nil // Close would save
	}()
	one := &sender{p: s.Producer, broker: 1}
	for range 3 {
		if ready, _ := one.collect(); ready {
			t.Fatal("a request is to be sent that the spool does not know of")
		}
		if first, second := s.partitions[0], s.partitions[1]; first.underway || first.queue[0].sent != 0 || !first.queue[0].sentAt.IsZero() || !second.queue[0].sentAt.Equal(before) {
			t.Fatalf("%+v and %+v", first.queue[0], second.queue[0])
		}
	}
	a.fails = nil
	if ready, _ := one.collect(); !ready || len(one.carried) != 2 || s.refused != 0 {
		t.Errorf("ready %v, %d partitions, %d records refused", ready, len(one.carried), s.refused)
	}
	if st := s.Stats(); st.RecordsSent != 20 || st.Retries != 0 || a.saves != 4 {
		t.Errorf("%d records sent, %d again, %d saves", st.RecordsSent, st.Retries, a.saves)
	}
}

// disk is a spool in memory. What it was like before each change is in history.
type disk struct {
	Spool
	lanes   [][][]byte // batches
	state   []byte
	history []*disk
}

func (d *disk) changes() {
	c := &disk{state: d.state}
	for _, lane := range d.lanes {
		c.lanes = append(c.lanes, slices.Clone(lane))
	}
	d.history = append(d.history, c)
}

func (d *disk) Range(lane int32) (start, end int64) {
	if int(lane) < len(d.lanes) {
		for _, b := range d.lanes[lane] {
			end += int64(binaryCount(b))
		}
	}
	return 0, end
}

func (d *disk) Append(lane int32, b []byte) (int64, error) {
	d.changes()
	_, end := d.Range(lane)
	for int(lane) >= len(d.lanes) {
		d.lanes = append(d.lanes, nil)
	}
	binary.BigEndian.PutUint64(b, uint64(end))
	d.lanes[lane] = append(d.lanes[lane], bytes.Clone(b))
	return end, nil
}

func (d *disk) Read(lane int32, offset int64, alloc func(int) []byte) ([]byte, error) {
	for _, b := range d.lanes[lane] {
		if offset -= int64(binaryCount(b)); offset < 0 {
			buf := alloc(len(b))[:len(b)]
			copy(buf, b)
			return buf, nil
		}
	}
	return nil, errors.New("nothing there")
}

func (d *disk) Scan(lane int32, from int64, each func(offset int64, records int32, flows uint32, size int)) error {
	if int(lane) < len(d.lanes) {
		for _, b := range d.lanes[lane] {
			if at := int64(binary.BigEndian.Uint64(b)); at+int64(binaryCount(b)) > from {
				each(at, int32(binaryCount(b)), uint32(binaryCount(b)), len(b))
			}
		}
	}
	return nil
}

func (d *disk) Note([]Place, []byte) (func(bool), error) { return func(bool) {}, nil }
func (d *disk) Save(state []byte) error                  { d.changes(); d.state = bytes.Clone(state); return nil }
func (d *disk) Load() ([]byte, error)                    { return d.state, nil }
func (d *disk) Lanes() int32                             { return int32(len(d.lanes)) }
func (d *disk) Torn() []Place                            { return nil }
func (d *disk) Intact() bool                             { return true }
func (d *disk) Took(int)                                 {}
func (d *disk) Free(int)                                 {}
func (d *disk) Trim(int32, int64)                        {}

// TestSpreadKilled: a process is killed at any moment while it spreads what was stored with
// keys before partitions were known. The next one stores more at once: of each key all
// records are there, in order.
func TestSpreadKilled(t *testing.T) {
	const keys, partitions = 6, 4
	open := func(d *disk) *Producer {
		t.Helper()
		p := stuck(t, nil, 0).Producer
		p.mu.Lock()
		defer p.mu.Unlock()
		p.storesIn(d)
		p.cfg.Keyed, p.cfg.Dropped = true, func(uint64) {}
		if err := p.recover(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	give := func(p *Producer, word string) {
		t.Helper()
		a := p.Appender()
		for key := range keys {
			k := fmt.Append(nil, key)
			if dropped, _ := a.Append([]Record{{Key: k, Value: fmt.Appendf(nil, "%s of %s", word, k), Flows: 1}}); dropped > 0 {
				t.Fatal("no room")
			}
		}
		p.sealAll()
	}
	learn := func(p *Producer) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for len(p.partitions) < partitions {
			p.partitions = append(p.partitions, newPartition(int32(len(p.partitions))))
		}
		p.known.Store(partitions)
		p.assign()
	}
	leave := func(p *Producer) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.spool = nil // Close would save
	}
	first := &disk{}
	p := open(first)
	give(p, "first")
	give(p, "second")
	stored := len(first.history)
	learn(p)
	leave(p)
	for n, d := range first.history[stored:] {
		p := open(d)
		give(p, "third")
		learn(p)
		of := map[string][]string{}
		for lane := 1; lane < len(d.lanes); lane++ {
			for _, raw := range d.lanes[lane] {
				b := &batch{buf: raw}
				body, err := p.plainBody(b)
				if err != nil {
					t.Fatal(err)
				}
				if err := eachRecord(body, 0, func(_ int64, key, value []byte) {
					of[string(key)] = append(of[string(key)], string(value))
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for key := range keys {
			k := fmt.Sprint(key)
			if want := []string{"first of " + k, "second of " + k, "third of " + k}; !slices.Equal(of[k], want) {
				t.Errorf("killed before change %d: of key %s there is %q", n, k, of[k])
			}
		}
		if now, _ := p.Spooled(); now != 3*keys {
			t.Errorf("killed before change %d: %d records are spooled", n, now)
		}
		leave(p)
	}
}
