package kafkaconfig

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verdict is what becomes of a setting.
type Verdict uint8

const (
	Honoured      Verdict = iota // it does what it does in Kafka
	WithoutEffect                // it is accepted and said to have no effect
	Refused                      // it stops the start, but for the values that change nothing
)

// String returns the word the documentation has for it.
func (v Verdict) String() string {
	switch v {
	case Honoured:
		return "honoured"
	case WithoutEffect:
		return "without effect"
	default:
		return "refused"
	}
}

// Setting is one of Kafka's settings.
type Setting struct {
	Name    string
	Verdict Verdict
	Note    string // what to know about it; may be empty

	// allowed are the values that a refused setting may have because they change nothing.
	allowed []string
	apply   func(s *server, value string) error
}

// honoured is a setting that apply puts into force.
func honoured(name, note string, apply func(s *server, value string) error) Setting {
	return Setting{Name: name, Note: note, apply: apply}
}

// idle are settings without effect, for one reason.
func idle(note string, names ...string) []Setting {
	var all []Setting
	for _, n := range names {
		all = append(all, Setting{Name: n, Verdict: WithoutEffect, Note: note})
	}
	return all
}

// only is a setting that is refused with any but the allowed values; empty ones are always allowed.
func only(name, note string, allowed ...string) Setting {
	return Setting{Name: name, Verdict: Refused, Note: note, allowed: allowed}
}

// check refuses a value that would change what nothing here can change.
func (t *Setting) check(value string) error {
	if t.Verdict != Refused || value == "" || slices.ContainsFunc(t.allowed, func(a string) bool { return strings.EqualFold(a, value) }) {
		return nil
	}
	if len(t.allowed) == 0 {
		return errors.New(t.Note)
	}
	return fmt.Errorf("allowed is %s: %s", strings.Join(t.allowed, ", "), t.Note)
}

// number is a whole number within lo and hi.
func number(set func(s *server, n int64), lo, hi int64) func(*server, string) error {
	return func(s *server, value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < lo || n > hi {
			return fmt.Errorf("allowed are whole numbers from %d to %d", lo, hi)
		}
		set(s, n)
		return nil
	}
}

// span is a number of units of time from lo on; what is longer than a hundred years is as long.
func span(set func(s *server, d time.Duration), unit time.Duration, lo int64) func(*server, string) error {
	const century = 100 * 365 * 24 * time.Hour
	return func(s *server, value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < lo {
			return fmt.Errorf("allowed are whole numbers from %d", lo)
		}
		if n < 0 {
			set(s, -1)
			return nil
		}
		set(s, time.Duration(min(n, int64(century/unit)))*unit)
		return nil
	}
}

// boolean is true or false.
func boolean(set func(s *server, on bool)) func(*server, string) error {
	return func(s *server, value string) error {
		switch strings.ToLower(value) {
		case "true":
			set(s, true)
		case "false":
			set(s, false)
		default:
			return errors.New("allowed are true and false")
		}
		return nil
	}
}

// text is any text.
func text(set func(s *server, v string)) func(*server, string) error {
	return func(s *server, value string) error {
		set(s, value)
		return nil
	}
}

// items parts a list at commas.
func items(value string) []string {
	var all []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}
