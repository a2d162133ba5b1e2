package kafka

import (
	"testing"
	"testing/synctest"
	"time"
)

// Trouble that comes and goes is told once, and its end when it has not come back for a while.
func TestSpell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s spell
		if s.ends() {
			t.Error("ends before it began")
		}
		for round := range 2 {
			for i := range 100 {
				if s.begins() != (i == 0) {
					t.Errorf("spell %d, trouble %d: told %v", round, i, i != 0)
				}
				time.Sleep(spellRest / 2)
				if s.ends() {
					t.Errorf("spell %d, trouble %d: ends while it comes back", round, i)
				}
			}
			time.Sleep(spellRest / 2)
			if !s.ends() || s.ends() {
				t.Errorf("spell %d: its end is not told once", round)
			}
		}
	})
}
