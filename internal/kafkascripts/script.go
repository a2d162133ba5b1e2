package kafkascripts

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Action is what is to be done for a script.
type Action uint8

const (
	Run       Action = iota // run tributary with Args
	Serve                   // the same, and be found by Stop while it runs
	ServeAway               // the same in the background
	Stop                    // stop what Serve and ServeAway run
	Nothing                 // there is nothing to do
	Explain                 // print Says on standard error: nothing was asked for
	NewID                   // print a new cluster id
	Format                  // format Storage
)

// Command is what a script comes to.
type Command struct {
	Action  Action
	Args    []string // of tributary
	Input   string   // its standard input, where there is one
	Notes   []string // lines for standard error, before
	Storage *Storage
	Says    []string // lines for standard output when Args have succeeded, or there was nothing to do; see Explain
}

// option is one that a script takes.
type option struct {
	value bool // it needs one
	many  bool // it takes all arguments up to the next option
	maybe bool // it takes a value if there is one
}

// script is one of Kafka's.
type script struct {
	options   map[string]option
	translate func(p *parsed) (Command, error)
}

// table makes a script; options are parted by white space, one that takes a value ends in =, one that may take one in =?,
// one that takes several in =+. All scripts have --help and --version.
func table(options string, translate func(p *parsed) (Command, error)) script {
	s := script{options: map[string]option{"help": {}, "h": {}, "version": {}}, translate: translate}
	for _, o := range strings.Fields(options) {
		name, kind, has := strings.Cut(o, "=")
		s.options[name] = option{value: has && kind != "?", maybe: kind == "?", many: kind == "+"}
	}
	return s
}

// runClassName is the script that runs any class of Kafka's.
const runClassName = "kafka-run-class.sh"

// Names lists the scripts that do something, sorted, as Kafka names them.
func Names() []string { return append(slices.Sorted(maps.Keys(scripts)), runClassName) }

// Name finds the script that a program is called as, with or without .sh.
func Name(argv0 string) (string, bool) {
	name := strings.TrimSuffix(filepath.Base(argv0), ".sh") + ".sh"
	_, ok := scripts[name]
	return name, ok || name == runClassName || others[name] != ""
}

// Translate turns the arguments of a script into what is to be done. The error is one line, which begins with the script.
func Translate(name string, args []string) (Command, error) {
	if name == runClassName {
		return runClass(args)
	}
	if why := others[name]; why != "" {
		return Command{}, fmt.Errorf("%s: %s", name, why)
	}
	s, ok := scripts[name]
	if !ok {
		return Command{}, fmt.Errorf("%s: there is no such script", name)
	}
	p, err := s.parse(args)
	if err != nil {
		return Command{}, fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case len(args) == 0 && s.asksCluster():
		return Command{Action: Explain, Says: s.usage(name)}, nil
	case p.has("help"), p.has("h"):
		return Command{Action: Nothing, Says: s.usage(name)}, nil
	case p.has("version"):
		return Command{Args: []string{"version"}}, nil
	}
	c, err := s.translate(p)
	if err != nil {
		return Command{}, fmt.Errorf("%s: %w", name, err)
	}
	c.Notes = append(p.notes, c.Notes...)
	return c, nil
}

// asksCluster reports whether a script is for a cluster, which has to be named.
func (s script) asksCluster() bool {
	_, ok := s.options["bootstrap-server"]
	return ok
}

// usage lists the options of a script.
func (s script) usage(name string) []string {
	lines := []string{name + " takes these options of Apache Kafka's:"}
	for _, o := range slices.Sorted(maps.Keys(s.options)) {
		line := "  --" + o
		if len(o) == 1 {
			line = "  -" + o
		}
		switch kind := s.options[o]; {
		case kind.maybe:
			line += " [VALUE]"
		case kind.many:
			line += " VALUE..."
		case kind.value:
			line += " VALUE"
		}
		lines = append(lines, line)
	}
	return lines
}

// parsed is a script's arguments.
type parsed struct {
	values map[string][]string
	rest   []string // what is no option
	notes  []string
}

func (s script) parse(args []string) (*parsed, error) {
	p := &parsed{values: map[string][]string{}}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if !strings.HasPrefix(a, "-") || a == "-" {
			p.rest = append(p.rest, a)
			continue
		}
		given, value, inline := strings.Cut(strings.TrimLeft(a, "-"), "=")
		name, err := s.find(given)
		if err != nil {
			return nil, err
		}
		o := s.options[name]
		next := i+1 < len(args) && (!strings.HasPrefix(args[i+1], "-") || negative(args[i+1]))
		switch {
		case inline && !o.value && !o.maybe:
			return nil, fmt.Errorf("option --%s takes no value", name)
		case inline:
			p.values[name] = append(p.values[name], value)
		case o.many:
			if !next {
				return nil, fmt.Errorf("option --%s needs a value", name)
			}
			for i+1 < len(args) && !strings.HasPrefix(args[i+1], "--") {
				i++
				p.values[name] = append(p.values[name], args[i])
			}
		case o.value && i+1 >= len(args), o.value && !next && !takesDash(args[i+1]):
			return nil, fmt.Errorf("option --%s needs a value", name)
		case o.value, o.maybe && next:
			i++
			p.values[name] = append(p.values[name], args[i])
		default:
			p.values[name] = append(p.values[name], "")
		}
	}
	return p, nil
}

// negative reports whether an argument is a number below 0.
func negative(a string) bool { return len(a) > 1 && a[0] == '-' && a[1] >= '0' && a[1] <= '9' }

// takesDash reports whether an argument that begins with a dash is none of an option's, but a value.
func takesDash(a string) bool {
	return a == "-" || strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && len(a) == 2
}

// find finds an option by its name or the beginning of it that no other has, as Kafka's scripts do.
func (s script) find(given string) (string, error) {
	if _, ok := s.options[given]; ok {
		return given, nil
	}
	var all []string
	for name := range s.options {
		if given != "" && strings.HasPrefix(name, given) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	switch len(all) {
	case 1:
		return all[0], nil
	case 0:
		return "", fmt.Errorf("unknown option --%s", given)
	}
	return "", fmt.Errorf("option --%s may be --%s", given, strings.Join(all, " or --"))
}

func (p *parsed) has(name string) bool { return len(p.values[name]) > 0 }

// get returns an option's value, the last if there are several.
func (p *parsed) get(name string) string {
	if all := p.values[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// one finds which of the options is given; there must be one.
func (p *parsed) one(names ...string) (string, error) {
	var found []string
	for _, n := range names {
		if p.has(n) {
			found = append(found, n)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return "", fmt.Errorf("one of --%s must be given", strings.Join(names, ", --"))
}

// only refuses an action of a script without the options that it must have, and with others than these and those that it may have.
func (p *parsed) only(what string, must, may []string) error {
	for _, o := range must {
		if !p.has(o) {
			return fmt.Errorf("%s: --%s is missing", what, o)
		}
	}
	for _, o := range slices.Sorted(maps.Keys(p.values)) {
		if !slices.Contains(must, o) && !slices.Contains(may, o) {
			return fmt.Errorf("%s takes no --%s", what, o)
		}
	}
	return nil
}

// none refuses arguments that are no options.
func (p *parsed) none() error {
	if len(p.rest) > 0 {
		return fmt.Errorf("what is %q?", p.rest[0])
	}
	return nil
}

// pass appends our option with the value of Kafka's, where that is given.
func (p *parsed) pass(args []string, ours, theirs string) []string {
	for _, v := range p.values[theirs] {
		args = append(args, "--"+ours+"="+v)
	}
	return args
}

// turn appends our switch where Kafka's is given.
func (p *parsed) turn(args []string, ours, theirs string) []string {
	if p.has(theirs) {
		args = append(args, "--"+ours)
	}
	return args
}
