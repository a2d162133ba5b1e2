package kafkaconfig

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

func sorted(list []Setting) []Setting {
	return slices.SortedFunc(slices.Values(list), func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
}

// WriteTable writes settings as a table of docs/kafka-config.md.
func WriteTable(w io.Writer, list []Setting) {
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
