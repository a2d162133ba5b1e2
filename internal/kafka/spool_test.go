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
