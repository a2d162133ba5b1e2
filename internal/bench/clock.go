package bench

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// KafkaTime is how kafka-consumer-perf-test.sh writes times unless told otherwise.
const KafkaTime = "yyyy-MM-dd HH:mm:ss:SSS"

// FormatTime writes a time as a pattern of java.text.SimpleDateFormat says: y, M, d, H, h, m, s and S as numbers with as many digits
// as letters, yy as two digits, MMM, MMMM, EEE and EEEE as names, a as AM or PM; text between apostrophes, and what is no letter,
// as it is. Other letters are an error.
func FormatTime(t time.Time, pattern string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		c := pattern[i]
		n := 1
		for i+n < len(pattern) && pattern[i+n] == c {
			n++
		}
		switch {
		case c == '\'':
			text, after, closed := strings.Cut(pattern[i+1:], "'")
			if !closed {
				return "", fmt.Errorf("%s: an apostrophe is not closed", pattern)
			}
			if text == "" {
				text = "'"
			}
			b.WriteString(text)
			i = len(pattern) - len(after)
			continue
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			field, ok := timeField(t, c, n)
			if !ok {
				return "", fmt.Errorf("%s: %c is not there; y, M, d, E, a, H, h, m, s and S are", pattern, c)
			}
			b.WriteString(field)
		default:
			b.WriteString(pattern[i : i+n])
		}
		i += n
	}
	return b.String(), nil
}

// timeField is one field of a time, of n letters.
func timeField(t time.Time, letter byte, n int) (string, bool) {
	number := 0
	switch letter {
	case 'y':
		if number = t.Year(); n == 2 {
			number %= 100
		}
	case 'M':
		if n == 3 {
			return t.Format("Jan"), true
		} else if n > 3 {
			return t.Format("January"), true
		}
		number = int(t.Month())
	case 'E':
		if n > 3 {
			return t.Format("Monday"), true
		}
		return t.Format("Mon"), true
	case 'a':
		return t.Format("PM"), true
	case 'd':
		number = t.Day()
	case 'H':
		number = t.Hour()
	case 'h':
		number = (t.Hour()+11)%12 + 1
	case 'm':
		number = t.Minute()
	case 's':
		number = t.Second()
	case 'S':
		number = t.Nanosecond() / int(time.Millisecond)
	default:
		return "", false
	}
	s := strconv.Itoa(number)
	return strings.Repeat("0", min(max(0, n-len(s)), 32)) + s, true
}
