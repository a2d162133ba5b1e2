package admin

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func ptr(n int64) *int64 { return &n }

func TestTargetOffset(t *testing.T) {
	for _, c := range []struct {
		name      string
		to        Target
		committed *int64
		want      int64
	}{
		{"earliest", ToEarliest(), ptr(15), 10},
		{"latest", ToLatest(), ptr(15), 20},
		{"current", ToCurrent(), ptr(15), 15},
		{"current without one", ToCurrent(), nil, 20},
		{"current that retention took", ToCurrent(), ptr(3), 10},
		{"offset", ToOffset(12), ptr(15), 12},
		{"offset below", ToOffset(2), nil, 10},
		{"offset beyond", ToOffset(200), nil, 20},
		{"on", ShiftBy(3), ptr(15), 18},
		{"on too far", ShiftBy(30), ptr(15), 20},
		{"on for ever", ShiftBy(math.MaxInt64), ptr(15), 20},
		{"back", ShiftBy(-3), ptr(15), 12},
		{"back too far", ShiftBy(math.MinInt64), ptr(15), 10},
		{"time", ToTime(time.Now()), ptr(15), 17},
	} {
		if got, err := c.to.offset(c.committed, 10, 20, 17); err != nil || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.name, got, err, c.want)
		}
	}
	if n, err := ShiftBy(1).offset(nil, 10, 20, 17); err == nil {
		t.Errorf("shifted nothing to %d", n)
	}
}

// Whatever the rule, a group goes on within what there is.
func TestTargetOffsetIsWithinTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, math.MaxInt64).Draw(t, "start")
		end := rapid.Int64Range(start, math.MaxInt64).Draw(t, "end")
		committed := rapid.Int64Range(0, math.MaxInt64).Draw(t, "committed")
		to := rapid.SampledFrom([]Target{
			ToEarliest(), ToLatest(), ToCurrent(), ToOffset(rapid.Int64().Draw(t, "offset")), ShiftBy(rapid.Int64().Draw(t, "shift")), ToTime(time.Time{}),
		}).Draw(t, "rule")
		got, err := to.offset(&committed, start, end, rapid.Int64().Draw(t, "found"))
		if err != nil || got < start || got > end {
			t.Fatalf("%d, %v; want within %d and %d", got, err, start, end)
		}
	})
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "0s": 0, "PT0S": 0, "PT1H30M": 90 * time.Minute, "P7D": 7 * 24 * time.Hour, "P1DT12H": 36 * time.Hour,
		"PT0.5S": 500 * time.Millisecond, "P2W": 14 * 24 * time.Hour, "pt5m": 5 * time.Minute, "P1DT0H0M1S": 24*time.Hour + time.Second,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "P", "PT", "P1", "1D", "P1H", "PT1D", "PT1M1H", "P1Y", "P1M", "-5m", "PT-5M", "P1DT", "PT1.5M", "P99999999999D", "PTT1H", "P106751991167D", "PT1e3S"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%s: taken as %s", s, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, s := range []string{
		"2026-01-02T15:04:05Z", "2026-01-02T15:04:05", "2026-01-02T15:04:05.000", "2026-01-02T17:04:05+02:00", "2026-01-02T17:04:05.000+0200", "2026-01-02T17:04:05+02",
	} {
		if got, err := ParseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "now", "15:04", "2026-13-01T00:00:00Z"} {
		if got, err := ParseTime(s); err == nil {
			t.Errorf("%s: taken as %s", s, got)
		}
	}
}

func TestTopicPartitions(t *testing.T) {
	for s, want := range map[string]string{"a": "a", "a:1": "a:1", "a:2,0,2": "a:0,2", "a:1, 3": "a:1,3"} {
		if got, err := ParseTopicPartitions(s); err != nil || got.String() != want {
			t.Errorf("%s: %v, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", ":1", "a:", "a:x", "a:-1", "a:1,", "a:99999999999"} {
		if got, err := ParseTopicPartitions(s); err == nil {
			t.Errorf("%s: taken as %v", s, got)
		}
	}
}

// What is written is read again, whatever groups and topics are called.
func TestOffsetsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z"][-a-z0-9_., "]{0,20}[a-z"]`)
		withGroup := rapid.Bool().Draw(t, "with group")
		var changes []Change
		seen := map[Change]bool{}
		for range rapid.IntRange(1, 10).Draw(t, "n") {
			c := Change{Topic: name.Draw(t, "topic"), Partition: rapid.Int32Range(0, math.MaxInt32).Draw(t, "partition")}
			if withGroup {
				c.Group = name.Draw(t, "group")
			}
			if seen[c] {
				continue
			}
			seen[c] = true
			c.Offset = rapid.Int64Range(0, math.MaxInt64).Draw(t, "offset")
			changes = append(changes, c)
		}
		var b bytes.Buffer
		if err := WriteOffsets(&b, changes, withGroup); err != nil {
			t.Fatal(err)
		}
		offsets, err := ReadOffsets(&b)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, topics := range offsets {
			for _, ps := range topics {
				n += len(ps)
			}
		}
		for _, c := range changes {
			if got, ok := offsets.of(c.Group)[c.Topic][c.Partition]; !ok || got != c.Offset {
				t.Fatalf("%+v: %d, %v", c, got, ok)
			}
		}
		if n != len(changes) {
			t.Fatalf("%d offsets; want %d", n, len(changes))
		}
	})
}

func TestReadOffsetsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "nothing in it",
		"a,0":                     "line 1: want topic",
		"a,b,c,d,e":               "line 1: want topic",
		"a,0,1\nb,0":              "wrong number of fields",
		"a,x,1":                   `line 1: no partition: "x"`,
		"a,0,1\na,1,-1":           `line 2: no offset: "-1"`,
		"a,0,1\na,0,2":            "line 2: topic a partition 0 for the second time",
		",a,0,1":                  "line 1: no group",
		",0,1":                    "line 1: no partition",
		"a,0,\"1":                 "quote",
		"a,4294967296,1":          "line 1: no partition",
		"a,0,9223372036854775808": "line 1: no offset",
	} {
		if _, err := ReadOffsets(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
}
