package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// option is the pflag.Value behind every option, wherever it is set: pflag calls
// Set for a flag, config.go for the environment and the file.
type option struct {
	typ string
	set func(string) error
	get func() string
}

func (o *option) Set(s string) error { return o.set(s) }
func (o *option) String() string {
	if o.get == nil { // pflag asks a zero value for the default it need not print
		return ""
	}
	return o.get()
}
func (o *option) Type() string { return o.typ }

// The functions below register one option each. What *p holds is its default.

// stringVar registers an option that takes any text.
func stringVar(fs *pflag.FlagSet, p *string, name, usage string) {
	fs.Var(&option{"string", func(s string) error { *p = s; return nil }, func() string { return *p }}, name, usage)
}

// textVar registers an option whose text check understands; typ names its kind
// in the help.
func textVar(fs *pflag.FlagSet, p *string, name, typ string, check func(string) error, usage string) {
	fs.Var(&option{typ, func(s string) error {
		if err := check(s); err != nil {
			return err
		}
		*p = s
		return nil
	}, func() string { return *p }}, name, usage)
}

// boolVar registers a switch: --name or --name=false.
func boolVar(fs *pflag.FlagSet, p *bool, name, usage string) {
	f := fs.VarPF(&option{"bool", func(s string) error {
		switch strings.ToLower(s) {
		case "true", "yes", "on", "1":
			*p = true
		case "false", "no", "off", "0":
			*p = false
		default:
			return errors.New("allowed are true and false")
		}
		return nil
	}, func() string { return strconv.FormatBool(*p) }}, name, "", usage)
	f.NoOptDefVal = "true"
}

// integer is what intVar reads into.
type integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64
}

// intVar registers a whole number from lo to hi.
func intVar[T integer](fs *pflag.FlagSet, p *T, name string, lo, hi T, usage string) {
	fs.Var(&option{"number", func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < int64(lo) || n > int64(hi) {
			return fmt.Errorf("allowed are whole numbers from %d to %d", lo, hi)
		}
		*p = T(n)
		return nil
	}, func() string { return strconv.FormatInt(int64(*p), 10) }}, name, usage)
}

// sizeVar registers a number of bytes from lo to hi.
func sizeVar[T integer](fs *pflag.FlagSet, p *T, name string, lo, hi T, usage string) {
	fs.Var(&option{"size", func(s string) error {
		n, err := parseSize(s)
		if err != nil {
			return err
		}
		if n < int64(lo) || n > int64(hi) {
			return fmt.Errorf("allowed are sizes from %s to %s", formatSize(int64(lo)), formatSize(int64(hi)))
		}
		*p = T(n)
		return nil
	}, func() string { return formatSize(int64(*p)) }}, name, usage)
}

// durationVar registers a duration from lo to hi, in Go's notation.
func durationVar(fs *pflag.FlagSet, p *time.Duration, name string, lo, hi time.Duration, usage string) {
	fs.Var(&option{"duration", func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return errors.New("allowed are durations such as 500ms, 10s or 1h30m")
		}
		if d < lo || d > hi {
			return fmt.Errorf("allowed are durations from %s to %s", formatDuration(lo), formatDuration(hi))
		}
		*p = d
		return nil
	}, func() string { return formatDuration(*p) }}, name, usage)
}

// rateVar registers a rate, in events a second: 1000, 1000/s, 60/m, 5k/s. Zero
// stands for no limit.
func rateVar(fs *pflag.FlagSet, p *float64, name, usage string) {
	fs.Var(&option{"rate", func(s string) error {
		r, err := parseRate(s)
		if err != nil {
			return err
		}
		*p = r
		return nil
	}, func() string { return strconv.FormatFloat(*p, 'g', -1, 64) + "/s" }}, name, usage)
}

// enumVar registers an option that takes one of the allowed words.
func enumVar(fs *pflag.FlagSet, p *string, name string, allowed []string, usage string) {
	fs.Var(&option{strings.Join(allowed, "|"), func(s string) error {
		if !slices.Contains(allowed, s) {
			return errors.New("allowed are " + strings.Join(allowed, ", "))
		}
		*p = s
		return nil
	}, func() string { return *p }}, name, usage)
}

// listVar registers an option that can be given several times; the first replaces
// the default. check may be nil.
func listVar(fs *pflag.FlagSet, p *[]string, name, typ string, check func(string) error, usage string) {
	fs.Var(&list{typ: typ, p: p, check: check}, name, usage)
}

// list is a repeatable option. In the file it is a YAML list (or one value), in
// the environment its items are parted by white space, or by newlines when there
// is one.
type list struct {
	typ   string
	p     *[]string
	check func(string) error
	set   bool
}

func (l *list) Set(s string) error {
	if l.check != nil {
		if err := l.check(s); err != nil {
			return err
		}
	}
	if !l.set {
		*l.p, l.set = nil, true
	}
	*l.p = append(*l.p, s)
	return nil
}

// Replace sets all items at once.
func (l *list) Replace(items []string) error {
	*l.p, l.set = nil, true
	for _, s := range items {
		if err := l.Set(s); err != nil {
			return &itemError{s, err}
		}
	}
	return nil
}

func (l *list) String() string {
	if l.p == nil {
		return ""
	}
	return strings.Join(*l.p, " ")
}
func (l *list) Type() string { return l.typ }

// itemError says which item of a list is bad.
type itemError struct {
	item string
	err  error
}

func (e *itemError) Error() string { return e.err.Error() }
func (e *itemError) Unwrap() error { return e.err }

var sizeUnits = []struct {
	name string
	n    int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"B", 1},
}

// parseSize reads a number of bytes: 4096, 512kB, 64MiB, 1.5GB.
func parseSize(s string) (int64, error) {
	bad := errors.New("allowed are sizes in B, kB, MB, GB, KiB, MiB or GiB, such as 64MiB")
	number, unit := strings.TrimSpace(s), int64(1)
	for _, u := range sizeUnits {
		if len(number) > len(u.name) && strings.EqualFold(number[len(number)-len(u.name):], u.name) {
			number, unit = strings.TrimSpace(number[:len(number)-len(u.name)]), u.n
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n < 0 || n > math.MaxInt64/unit {
			return 0, bad
		}
		return n * unit, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f >= 0) || f*float64(unit) >= math.MaxInt64 || strings.ContainsAny(number, "xXpPiInN") {
		return 0, bad
	}
	return int64(f * float64(unit)), nil
}

// formatSize writes n with the largest unit that leaves a whole number.
func formatSize(n int64) string {
	for _, u := range sizeUnits {
		if n >= u.n && n%u.n == 0 {
			return strconv.FormatInt(n/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// formatDuration is Duration.String without the zero minutes and seconds of 24h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// parseRate reads events a second.
func parseRate(s string) (float64, error) {
	bad := errors.New("allowed are rates such as 1000/s, 5k/s or 60/m")
	number, per := s, 1.0
	if i := strings.IndexByte(s, '/'); i >= 0 {
		number = s[:i]
		switch s[i+1:] {
		case "s":
		case "m":
			per = 60
		case "h":
			per = 3600
		default:
			return 0, bad
		}
	}
	scale := 1.0
	if n := len(number); n > 1 {
		switch number[n-1] {
		case 'k':
			number, scale = number[:n-1], 1e3
		case 'M':
			number, scale = number[:n-1], 1e6
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f >= 0) || math.IsInf(f, 0) {
		return 0, bad
	}
	return f * scale / per, nil
}
