package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// entry is a value of the file.
type entry struct {
	values []string
	origin string // "tributary.yaml line 3"
}

// readFile reads the file of --config: a YAML mapping whose keys are the names of
// commands, each a mapping of that command's options. All keys are checked, of
// whatever command; values are looked at by the command they belong to.
func readFile(root *cobra.Command, path string) (map[string]entry, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("config: %s: %w", path, err)
	}
	f := &fileReader{path: path, entries: map[string]entry{}}
	if len(doc.Content) > 0 {
		if err := f.command(root, doc.Content[0]); err != nil {
			return nil, err
		}
	}
	return f.entries, nil
}

type fileReader struct {
	path    string
	entries map[string]entry
}

func (f *fileReader) at(n *yaml.Node) string { return fmt.Sprintf("%s line %d", f.path, n.Line) }

// command reads the mapping of a command.
func (f *fileReader) command(c *cobra.Command, n *yaml.Node) error {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: bad value (%s): allowed is a mapping of options", name(c), f.at(n))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolve(n.Content[i+1])
		if seen[k.Value] {
			return fmt.Errorf("key %s appears twice (%s)", join(c, k.Value), f.at(k))
		}
		seen[k.Value] = true
		if sub := child(c, k.Value); sub != nil {
			if err := f.command(sub, v); err != nil {
				return err
			}
			continue
		}
		names := fileKeys(c)
		if !names[k.Value] {
			var known []string
			for name, option := range names {
				if option || !c.HasParent() {
					known = append(known, name)
				}
			}
			for _, sub := range c.Commands() {
				if takesOptions(sub) {
					known = append(known, sub.Name())
				}
			}
			return fmt.Errorf("unknown key %s (%s): %s", join(c, k.Value), f.at(k), allowed(k.Value, known))
		}
		values, err := scalars(v)
		if err != nil {
			return fmt.Errorf("%s: bad value (%s): %w", join(c, k.Value), f.at(v), err)
		}
		f.entries[join(c, k.Value)] = entry{values, f.at(v)}
	}
	return nil
}

// fileKeys are the options that can stand in the mapping of a command; in that of
// the whole file, the shared ones.
func fileKeys(c *cobra.Command) map[string]bool {
	keys := map[string]bool{}
	if c.HasParent() {
		for _, p := range ownPlaces(c) {
			keys[p.flag.Name] = true
		}
		return keys
	}
	walk(c, func(c *cobra.Command) {
		for _, p := range ownPlaces(c) {
			if p.shared() {
				keys[p.flag.Name] = true
			}
		}
	})
	return keys
}

// takesOptions reports whether a command or one below it has options.
func takesOptions(c *cobra.Command) bool {
	found := false
	walk(c, func(c *cobra.Command) { found = found || len(ownPlaces(c)) > 0 })
	return found
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name && takesOptions(sub) {
			return sub
		}
	}
	return nil
}

func name(c *cobra.Command) string {
	if s := section(c); s != "" {
		return s
	}
	return "config"
}

func join(c *cobra.Command, key string) string {
	if s := section(c); s != "" {
		return s + "." + key
	}
	return key
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// scalars reads one value, or a list of them, as text.
func scalars(n *yaml.Node) ([]string, error) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil, errors.New("there is none; allowed is a value, \"\" for an empty one")
	case n.Kind == yaml.ScalarNode:
		return []string{n.Value}, nil
	case n.Kind == yaml.SequenceNode:
		items := []string{}
		for _, item := range n.Content {
			if item = resolve(item); item.Kind != yaml.ScalarNode {
				return nil, errors.New("allowed are lists of values")
			}
			items = append(items, item.Value)
		}
		return items, nil
	default:
		return nil, errors.New("allowed are a value or a list of values")
	}
}

// print writes the options as a file for --config, with the origin of each value
// as a comment. Secrets are masked.
func (s *settings) print(w io.Writer) error {
	var b strings.Builder
	var last []string
	for i := len(s.places) - 1; i >= 0; i-- {
		// Sections from the outside in; options in their order within.
		if i > 0 && s.places[i-1].section == s.places[i].section {
			continue
		}
		sec := s.places[i].section
		path := strings.Split(sec, ".")
		for depth, p := range path {
			if depth < len(last) && last[depth] == p {
				continue
			}
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", depth), p)
		}
		last = path
		indent := strings.Repeat("  ", len(path))
		for _, p := range s.places {
			if p.section == sec {
				s.printOption(&b, indent, p)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *settings) printOption(b *strings.Builder, indent string, p place) {
	origin := s.origin[p.flag.Name]
	if origin == "" {
		origin = "default"
	}
	l, ok := p.flag.Value.(*list)
	if !ok {
		fmt.Fprintf(b, "%s%s: %s  # %s\n", indent, p.flag.Name, quote(p.flag.Value.String()), origin)
		return
	}
	if len(*l.p) == 0 {
		fmt.Fprintf(b, "%s%s: []  # %s\n", indent, p.flag.Name, origin)
		return
	}
	fmt.Fprintf(b, "%s%s:  # %s\n", indent, p.flag.Name, origin)
	for _, item := range *l.p {
		fmt.Fprintf(b, "%s  - %s\n", indent, quote(item))
	}
}

// quote writes a value as YAML.
func quote(v string) string {
	text, err := yaml.Marshal(redact(v))
	if err != nil || strings.Count(string(text), "\n") > 1 {
		return fmt.Sprintf("%q", redact(v))
	}
	s := strings.TrimSuffix(string(text), "\n")
	if unquoted := strings.Trim(s, `"`); unquoted == v && v != "" && !strings.ContainsAny(v, ":#{}[],&*?|<>=!%@\\'\" ") {
		return unquoted // numbers and switches read the same without quotes
	}
	return s
}
