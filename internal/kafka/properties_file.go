package kafka

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ReadProperties reads a properties file of a Java client. Properties that have no
// effect here (serializers, interceptors, and whatever else only Java has) are
// returned by name, sorted.
func ReadProperties(path string) (p Properties, without []string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka properties: %w", err)
	}
	p, without, err = ParseProperties(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %w", path, err)
	}
	return p, without, nil
}

// ParseProperties reads the text of a properties file; see [EachProperty]. A later
// line wins over an earlier one.
func ParseProperties(text []byte) (p Properties, without []string, err error) {
	p = Properties{}
	err = EachProperty(text, func(line int, name, value string) error {
		ok, err := p.Set(name, value)
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if !ok && !slices.Contains(without, name) {
			without = append(without, name)
		}
		return nil
	})
	slices.Sort(without)
	return p, without, err
}

// Set sets a property as a line of a properties file does: by Kafka's name or
// librdkafka's; an empty value takes the property away. It returns
// false for one that has no effect here.
func (p Properties) Set(name, value string) (bool, error) {
	if alias, ok := librdkafkaNames[name]; ok {
		name = alias
	}
	if _, ok := known[name]; !ok {
		return false, nil
	}
	if value = strings.TrimSpace(value); value == "" && name != "ssl.endpoint.identification.algorithm" {
		delete(p, name)
		return true, nil
	}
	return true, p.set(name, value)
}

var errEscape = errors.New("\\u needs four hexadecimal digits")

// EachProperty calls f for each line of a properties file that has a key, by the
// rules of java.util.Properties: comments begin with # or !, a line that ends in an
// odd number of backslashes goes on in the next one, = : or white space ends the
// key, \t \n \r \f and \uXXXX are escapes and a backslash before anything else
// vanishes. Lines count from 1. It returns the first error of f, or where an escape
// is wrong.
func EachProperty(text []byte, f func(line int, name, value string) error) error {
	s := string(text)
	if !utf8.ValidString(s) { // Java writes ISO 8859-1
		r := make([]rune, len(text))
		for i, b := range text {
			r[i] = rune(b)
		}
		s = string(r)
	}
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(s, "\ufeff"))
	lines := strings.Split(s, "\n")
	for i := 0; i < len(lines); i++ {
		first := i + 1
		l := strings.TrimLeft(lines[i], " \t\f")
		if l == "" || l[0] == '#' || l[0] == '!' {
			continue
		}
		for continued(l) {
			l = l[:len(l)-1]
			if i+1 == len(lines) {
				break
			}
			i++
			l += strings.TrimLeft(lines[i], " \t\f")
		}
		name, value := cutProperty(l)
		name, err1 := unescape(name)
		value, err2 := unescape(value)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("line %d: %w", first, err)
		}
		if err := f(first, name, value); err != nil {
			return err
		}
	}
	return nil
}

// continued reports whether a line ends in an odd number of backslashes.
func continued(l string) bool {
	n := 0
	for n < len(l) && l[len(l)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// cutProperty parts a line into key and value, both still escaped.
func cutProperty(l string) (name, value string) {
	i := 0
	for i < len(l) && !strings.ContainsRune("=: \t\f", rune(l[i])) {
		if l[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(l))
	value = strings.TrimLeft(l[i:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return l[:i], value
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if i+5 > len(s) {
				return "", errEscape
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", errEscape
			}
			b.WriteRune(rune(n))
			i += 4
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
