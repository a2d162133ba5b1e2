package bench_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/bench"
)

func TestFormatTime(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 67_000_000, time.UTC)
	for pattern, want := range map[string]string{
		bench.KafkaTime:         "2026-01-02 15:04:05:067",
		"HH:mm:ss.SSS dd/MM/yy": "15:04:05.067 02/01/26",
		"EEE yyyy 'at' h a":     "Fri 2026 at 3 PM",
		"EEEE, d MMMM y":        "Friday, 2 January 2026",
		"MMM M SSSS":            "Jan 1 0067",
		"''yyy":                 "'2026",
		"":                      "",
	} {
		if got, err := bench.FormatTime(at, pattern); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", pattern, got, err, want)
		}
	}
	if got, err := bench.FormatTime(at.Add(-15*time.Hour), "hh a"); err != nil || got != "12 AM" {
		t.Errorf("after midnight: %q, %v", got, err)
	}
	for pattern, part := range map[string]string{"yyyy z": "z is not there", "yyyy 'at": "not closed"} {
		if _, err := bench.FormatTime(at, pattern); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}
