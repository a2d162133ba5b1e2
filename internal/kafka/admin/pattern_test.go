package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/kafka/admin"
)

func TestPattern(t *testing.T) {
	for pattern, want := range map[string]string{
		"alpha:1":    "alpha:1",
		"alpha":      "alpha:0 alpha:1 alpha:2",
		"alpha:":     "alpha:0 alpha:1 alpha:2",
		":0":         "alpha:0 beta:0 alphabet:0",
		"":           "alpha:0 alpha:1 alpha:2 beta:0 beta:1 beta:2 alphabet:0 alphabet:1 alphabet:2",
		"al.*:2-":    "alpha:2 alphabet:2",
		"beta:-2":    "beta:0 beta:1",
		"beta:1-2":   "beta:1",
		"beta:2-1":   "",
		"a|beta:1":   "beta:1",
		"alph":       "",
		"a.*a|b.*:2": "alpha:2 beta:2",
	} {
		p, err := admin.ParsePattern(pattern)
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			continue
		}
		var got []string
		for _, topic := range []string{"alpha", "beta", "alphabet"} {
			for partition := range int32(3) {
				if p.Match(topic, partition) {
					got = append(got, fmt.Sprintf("%s:%d", topic, partition))
				}
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q matches %v, want %s", pattern, got, want)
		}
	}
	for _, pattern := range []string{"alpha:x", "alpha:1-2-3", "alpha:1:2", "alpha:+1", "alpha:4294967296", "(:1"} {
		if p, err := admin.ParsePattern(pattern); err == nil {
			t.Errorf("%q is taken: %+v", pattern, p)
		}
	}
}
