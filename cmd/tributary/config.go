package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// One name, three places. An option --queue-bytes of command collect is
// TRIBUTARY_COLLECT_QUEUE_BYTES in the environment and collect.queue-bytes in the
// file given with --config. The flag beats the environment, the environment the
// file, and the file the default. A shared option can stand without the command's
// name too: TRIBUTARY_KAFKA, kafka.

// options is what a command takes. register gives each option the name
// prefix+name, so that up can put the options of its parts behind the part's
// name; what the struct holds at that time are the defaults. check looks at
// options together, after all of them are set; it refuses one with bad.
type options interface {
	register(fs *pflag.FlagSet, prefix string)
	check() error
}

// deriver is options of which some follow from others, such as those that name a
// file of another program's. derive is called when everything that was set is set,
// before check.
type deriver interface {
	derive(s *settings) error
}

// configured makes c a command that takes its options from flags, environment and
// file, knows --check and --print-config, and then runs.
func configured(c *cobra.Command, o options, run func(c *cobra.Command, args []string) error) *cobra.Command {
	o.register(c.Flags(), "")
	c.RunE = func(c *cobra.Command, args []string) error {
		s, err := loadSettings(c, os.Environ())
		if err != nil {
			return err
		}
		if d, ok := o.(deriver); ok {
			if err := d.derive(s); err != nil {
				return s.explain(err)
			}
		}
		if err := o.check(); err != nil {
			return s.explain(err)
		}
		if on, _ := c.Flags().GetBool("print-config"); on {
			return s.print(c.OutOrStdout())
		}
		if on, _ := c.Flags().GetBool("check"); on {
			fmt.Fprintln(c.ErrOrStderr(), "configuration is valid")
			return nil
		}
		return s.explain(run(c, args))
	}
	return c
}

// registerGlobal registers what every command takes besides its own options.
func registerGlobal(fs *pflag.FlagSet) {
	fs.String("config", "", "read options from this YAML `file` (TRIBUTARY_CONFIG)")
	fs.Bool("check", false, "check the options and exit")
	fs.Bool("print-config", false, "print every option, its value and where it was set, and exit")
}

// bad refuses the value of an option from a check or run function; the message
// gets the place where the option was set.
func bad(name, value, allowed string) error {
	return &optionError{name: name, value: value, err: errors.New(allowed)}
}

// optionError is a bad value.
type optionError struct {
	name, value string
	err         error
}

func (e *optionError) Error() string {
	return fmt.Sprintf("%s: bad value %q: %v", e.name, redact(e.value), e.err)
}
func (e *optionError) Unwrap() error { return e.err }

// shared marks an option that can also be set without the command's name.
const shared = "shared"

// share marks options as shared.
func share(fs *pflag.FlagSet, names ...string) {
	for _, n := range names {
		if err := fs.SetAnnotation(n, shared, []string{}); err != nil {
			panic(err)
		}
	}
}

// place is one option of one command.
type place struct {
	flag    *pflag.Flag
	section string // the command's name, "topics.create" for one below another
}

func (p place) key() string { return p.section + "." + p.flag.Name }
func (p place) env() string { return envName(p.key()) }
func (p place) shared() bool {
	_, ok := p.flag.Annotations[shared]
	return ok
}

func envName(key string) string {
	return "TRIBUTARY_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// section is the name under which a command's own options stand.
func section(c *cobra.Command) string {
	if !c.HasParent() {
		return ""
	}
	return strings.TrimPrefix(strings.ReplaceAll(c.CommandPath(), " ", "."), c.Root().Name()+".")
}

// ownPlaces lists the options that c itself defines, sorted by name.
func ownPlaces(c *cobra.Command) []place {
	var ps []place
	if !c.HasParent() {
		return nil
	}
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && c.Root().PersistentFlags().Lookup(f.Name) == nil {
			ps = append(ps, place{f, section(c)})
		}
	})
	return ps
}

// places lists the options that c takes: its own and those of the commands above
// that are meant for all below.
func places(c *cobra.Command) []place {
	ps := ownPlaces(c)
	for c = c.Parent(); c != nil && c.HasParent(); c = c.Parent() {
		for _, p := range ownPlaces(c) {
			if c.PersistentFlags().Lookup(p.flag.Name) == p.flag && !slices.ContainsFunc(ps, func(q place) bool { return q.flag == p.flag }) {
				ps = append(ps, p)
			}
		}
	}
	return ps
}

// settings are the options of a command with the place each value came from.
type settings struct {
	c      *cobra.Command
	places []place
	origin map[string]string // by flag name; absent: the default
}

// loadSettings fills in, from the environment and the file, the options that the
// command line left alone.
func loadSettings(c *cobra.Command, environ []string) (*settings, error) {
	s := &settings{c: c, places: places(c), origin: map[string]string{}}
	env, err := environment(c, environ)
	if err != nil {
		return nil, err
	}
	path, _ := c.Flags().GetString("config")
	if path == "" {
		path = env["TRIBUTARY_CONFIG"]
	}
	var file map[string]entry
	if path != "" {
		if file, err = readFile(c.Root(), path); err != nil {
			return nil, err
		}
	}
	for _, p := range s.places {
		if p.flag.Changed {
			s.origin[p.flag.Name] = "flag --" + p.flag.Name
			continue
		}
		names := []string{p.key()}
		if p.shared() {
			names = append(names, p.flag.Name)
		}
		if err := s.setFrom(p, names, env, file); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// place finds an option of the command by its name.
func (s *settings) place(name string) place {
	return s.places[slices.IndexFunc(s.places, func(p place) bool { return p.flag.Name == name })]
}

// setFrom sets an option from the first place that has it.
func (s *settings) setFrom(p place, names []string, env map[string]string, file map[string]entry) error {
	for _, n := range names {
		if v, ok := env[envName(n)]; ok {
			return s.set(p, splitEnv(p.flag, v), "environment variable "+envName(n))
		}
	}
	for _, n := range names {
		if e, ok := file[n]; ok {
			return s.set(p, e.values, e.origin)
		}
	}
	return nil
}

func (s *settings) set(p place, values []string, origin string) error {
	var err error
	if l, ok := p.flag.Value.(*list); ok {
		err = l.Replace(values)
	} else if len(values) == 1 {
		err = p.flag.Value.Set(values[0])
	} else {
		err = errors.New("takes one value, not a list")
	}
	if err != nil {
		value := strings.Join(values, " ")
		var item *itemError
		if errors.As(err, &item) {
			value = item.item
		}
		return &originError{p.flag.Name, value, origin, err}
	}
	s.origin[p.flag.Name] = origin
	p.flag.Changed = true // set by somebody, wherever
	return nil
}

// originError is a bad value together with the place that has it.
type originError struct {
	name, value, origin string
	err                 error
}

func (e *originError) Error() string {
	return fmt.Sprintf("%s: bad value %q (%s): %v", e.name, redact(e.value), e.origin, e.err)
}
func (e *originError) Unwrap() error { return e.err }

// explain adds to an optionError where the option was set.
func (s *settings) explain(err error) error {
	var o *optionError
	if !errors.As(err, &o) {
		return err
	}
	origin := s.origin[o.name]
	if origin == "" {
		origin = "the default"
	}
	return &originError{o.name, o.value, origin, o.err}
}

// flagError puts cobra's errors about flags into the same words as all others.
func flagError(c *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		reason := invalid.Unwrap()
		if invalid.GetFlag().Value.Type() == "bool" {
			reason = errors.New("allowed are true and false")
		}
		return &originError{invalid.GetFlag().Name, invalid.GetValue(), "flag --" + invalid.GetFlag().Name, reason}
	}
	return fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())
}

// splitEnv parts the items of a list: by newlines when there is one, otherwise by
// white space.
func splitEnv(f *pflag.Flag, v string) []string {
	if _, ok := f.Value.(*list); !ok {
		return []string{v}
	}
	if !strings.Contains(v, "\n") {
		return strings.Fields(v)
	}
	var items []string
	for l := range strings.Lines(v) {
		if l = strings.TrimSpace(l); l != "" {
			items = append(items, l)
		}
	}
	return items
}

// linkVariable matches what Kubernetes puts into the environment for a service
// called tributary-collect; nobody typed that.
var linkVariable = regexp.MustCompile(`_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP)(_|$)`)

// environment returns the variables that are ours. A variable that begins like
// the command's own and is none of them is an error; an empty one is as if it
// were not set.
func environment(c *cobra.Command, environ []string) (map[string]string, error) {
	known := map[string]bool{"TRIBUTARY_CONFIG": true}
	walk(c.Root(), func(c *cobra.Command) {
		for _, p := range ownPlaces(c) {
			known[p.env()] = true
			if p.shared() {
				known[envName(p.flag.Name)] = true
			}
		}
	})
	top, _, _ := strings.Cut(section(c), ".")
	own := envName(top) + "_"
	env := map[string]string{}
	for _, kv := range environ {
		name, v, _ := strings.Cut(kv, "=")
		switch {
		case v == "" || !strings.HasPrefix(name, "TRIBUTARY_"):
		case known[name]:
			env[name] = v
		case strings.HasPrefix(name, own) && !linkVariable.MatchString(name) &&
			!(name == own+"PORT" && strings.Contains(v, "://")):
			return nil, fmt.Errorf("unknown environment variable %s: %s", name, allowed(name, knownFor(known, own)))
		}
	}
	return env, nil
}

func knownFor(known map[string]bool, prefix string) []string {
	var names []string
	for n := range known {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	return names
}

// walk calls f for c and all commands below it.
func walk(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		walk(sub, f)
	}
}

// allowed says what could stand in the place of name.
func allowed(name string, names []string) string {
	if best := nearest(name, names); best != "" {
		return "did you mean " + best + "?"
	}
	if len(names) == 0 {
		return "there are no options here"
	}
	return "allowed are " + strings.Join(slices.Sorted(slices.Values(names)), ", ")
}

// nearest finds the one of names that is probably meant by name; empty: none.
func nearest(name string, names []string) string {
	best, distance := "", 4
	for _, n := range slices.Sorted(slices.Values(names)) {
		if d := editDistance(name, n); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// editDistance is the number of letters to change, add or take away to turn a
// into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d++
			}
			diagonal = row[j+1]
			row[j+1] = min(d, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
