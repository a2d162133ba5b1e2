package commitlog_test

import (
	"testing"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// No id begins with a dash, which tools would take for an option. One in 64 would.
func TestNewID(t *testing.T) {
	for range 5000 {
		id := commitlog.NewID()
		back, err := commitlog.ParseID(id.String())
		if err != nil || back != id || id.String()[0] == '-' || id[6]>>4 != 4 || id[8]>>6 != 2 {
			t.Fatalf("%s: %v, %v", id, back, err)
		}
	}
}
