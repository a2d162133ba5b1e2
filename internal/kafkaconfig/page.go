package kafkaconfig

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

func sorted(list []Setting) []Setting {
	return slices.SortedFunc(slices.Values(list), func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
}

// tables are those of the page, by the name in their markers.
var tables = []struct {
	name string
	list func() []Setting
}{
	{"broker", Broker}, {"topic", Topic}, {"producer", Producer}, {"consumer", Consumer},
}

// ReplaceTables replaces the tables of docs/kafka-config.md, each between its markers.
func ReplaceTables(page []byte) ([]byte, error) {
	for _, t := range tables {
		begin := fmt.Appendf(nil, "<!-- %s settings: generated, do not edit -->\n", t.name)
		end := fmt.Appendf(nil, "<!-- end of %s settings -->\n", t.name)
		before, rest, ok := bytes.Cut(page, begin)
		_, after, ok2 := bytes.Cut(rest, end)
		if !ok || !ok2 {
			return nil, fmt.Errorf("no marker %q or %q", begin, end)
		}
		var b bytes.Buffer
		b.Write(before)
		b.Write(begin)
		writeTable(&b, t.list())
		b.Write(end)
		b.Write(after)
		page = b.Bytes()
	}
	return page, nil
}

func writeTable(w io.Writer, list []Setting) {
	fmt.Fprint(w, "\n| setting | | |\n|---|---|---|\n")
	for _, t := range list {
		note := t.Note
		if len(t.allowed) > 0 {
			note = fmt.Sprintf("but for `%s`: %s", t.allowed[0], note)
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", t.Name, t.Verdict, strings.ReplaceAll(note, "|", "\\|"))
	}
	fmt.Fprintln(w)
}
