package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestRunsAgain has tests fail and then not, by themselves: that counts, and nothing
// else changes.
func TestRunsAgain(t *testing.T) {
	read := func(lines ...string) *results {
		t.Helper()
		var b strings.Builder
		for _, line := range lines {
			action, test, _ := strings.Cut(line, " ")
			fmt.Fprintf(&b, `{"Action":%q,"Package":"p","Test":%q}`+"\n", action, test)
		}
		r, err := readResults([]byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := read("pass A", "fail B/one", "pass B/two", "fail B", "fail BB", "fail TestConn/test_delete_topics", "fail TestConn", "fail ")
	failed := r.unexpected(kafkaGoSuite)
	if !slices.Equal(failed, []string{"B", "BB"}) {
		t.Fatalf("unexpected: %v", failed)
	}
	r.replace(failed, read("pass B/one", "pass B/two", "pass B", "fail BB", "fail "))
	if failed = r.unexpected(kafkaGoSuite); !slices.Equal(failed, []string{"BB"}) {
		t.Fatalf("unexpected after a second run: %v", failed)
	}
	r.replace(failed, read("pass BB"))
	if len(r.unexpected(kafkaGoSuite)) != 0 || len(r.failed) != 0 || len(r.ended) != 7 {
		t.Errorf("in the end: %v, packages that failed: %v", r.ended, r.failed)
	}
}
