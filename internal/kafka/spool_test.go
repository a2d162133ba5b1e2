package kafka

import (
	"errors"
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
