package kafkaconfig

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/kafka"
)

// Property is one line of a server.properties, or one override of it.
type Property struct {
	Name, Value string
	Origin      string // where it stands, for errors
}

// ReadServer reads a server.properties. Overrides, each name=value, stand behind it.
func ReadServer(path string, overrides []string) ([]Property, error) {
	var all []Property
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		err = kafka.EachProperty(text, func(line int, name, value string) error {
			all = append(all, Property{name, value, fmt.Sprintf("%s line %d", path, line)})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, o := range overrides {
		name, value, ok := strings.Cut(o, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("override %q: allowed is name=value", o)
		}
		all = append(all, Property{name, value, "override"})
	}
	return all, nil
}

// ErrUnknown is why a name is refused that Kafka does not have.
var ErrUnknown = errors.New("no such setting of Kafka's")

// Error is a setting that cannot be honoured.
type Error struct {
	Property
	Err error
}

func (e *Error) Error() string {
	value := e.Value
	if secret(e.Name) {
		value = "***"
	}
	return fmt.Sprintf("%s: bad value %q (%s): %v", e.Name, value, e.Origin, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

func secret(name string) bool {
	return strings.Contains(name, "password") || strings.Contains(name, "jaas") || strings.Contains(name, "secret") || strings.HasSuffix(name, ".key")
}

// Notes is what somebody who starts a server by its properties ought to know.
type Notes struct {
	WithoutEffect []string // names of settings, sorted
	Unsaid        []string // sentences on what is otherwise than in Kafka
}

// Server puts properties into a broker's configuration, the last of a name counts. What the properties do not say stays
// as it is in c, but for three that have Kafka's own defaults: listeners (PLAINTEXT://:9092), log.dirs
// (/tmp/kafka-logs) and num.partitions (1). The error is an [Error].
func Server(c *broker.Config, properties []Property) (Notes, error) {
	last := map[string]Property{}
	var order []string
	for _, p := range properties {
		p.Value = strings.TrimSpace(p.Value)
		if _, ok := last[p.Name]; ok {
			order = slices.DeleteFunc(order, func(n string) bool { return n == p.Name })
		}
		last[p.Name] = p
		order = append(order, p.Name)
	}
	s := &server{config: c, given: last, listener: map[string]map[string]Property{}}
	for _, name := range order {
		if err := s.put(last[name]); err != nil {
			return s.notes, &Error{last[name], err}
		}
	}
	if err := s.finish(); err != nil {
		return s.notes, err
	}
	slices.Sort(s.notes.WithoutEffect)
	return s.notes, nil
}

// server is a server.properties while it is read.
type server struct {
	config   *broker.Config
	given    map[string]Property
	notes    Notes
	listener map[string]map[string]Property // listener.name.NAME.setting, by lower-cased name

	security         // of all listeners, until finish makes listeners of it
	retention, roll  units
	authorize        bool
	superUsers       []string
	allowWithout     bool
	dirs             []string
	dir              string
	advertised       []string
	listeners        []string
	protocols        map[string]string
	controllers      []string
	hostName, port   string
	advHost, advPort string
}

// units is a length of time that can be given in three units: the finest counts.
type units struct {
	d    time.Duration
	rank int
}

func (u *units) set(d time.Duration, rank int) {
	if rank > u.rank {
		u.d, u.rank = d, rank
	}
}

// otherPlugins are prefixes of settings that are of programs beside the broker itself.
var otherPlugins = []string{"confluent.", "rlmm.config.", "rsm.config.", "zookeeper.", "kafka.csv.metrics.", "kafka.graphite.", "cruise.control."}

// put applies one property, or keeps it for finish.
func (s *server) put(p Property) error {
	if rest, ok := strings.CutPrefix(p.Name, "listener.name."); ok {
		name, setting, ok := strings.Cut(rest, ".")
		if !ok {
			return errors.New("allowed is listener.name.NAME.SETTING")
		}
		name = strings.ToLower(name)
		if s.listener[name] == nil {
			s.listener[name] = map[string]Property{}
		}
		s.listener[name][setting] = p
		return nil
	}
	for _, prefix := range otherPlugins {
		if strings.HasPrefix(p.Name, prefix) {
			s.notes.WithoutEffect = append(s.notes.WithoutEffect, p.Name)
			return nil
		}
	}
	t, ok := serverSettings[p.Name]
	if !ok {
		return ErrUnknown
	}
	if err := t.check(p.Value); err != nil {
		return err
	}
	switch {
	case t.Verdict == WithoutEffect:
		s.notes.WithoutEffect = append(s.notes.WithoutEffect, p.Name)
	case t.apply != nil && p.Value != "":
		return t.apply(s, p.Value)
	}
	return nil
}

// groupBounds refuses timings of groups that are not within their own bounds, in the words of the file.
func (s *server) groupBounds() error {
	c := s.config
	for _, b := range []struct {
		lo, value, hi string
		min, d, max   time.Duration
	}{
		{"group.min.session.timeout.ms", "", "group.max.session.timeout.ms", c.GroupMinSessionTimeout, c.GroupMinSessionTimeout, c.GroupMaxSessionTimeout},
		{
			"group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms",
			c.GroupConsumerMinSessionTimeout, c.GroupConsumerSessionTimeout, c.GroupConsumerMaxSessionTimeout,
		},
		{
			"group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms",
			c.GroupConsumerMinHeartbeatInterval, c.GroupConsumerHeartbeatInterval, c.GroupConsumerMaxHeartbeatInterval,
		},
	} {
		if b.min <= b.d && b.d <= b.max {
			continue
		}
		err := fmt.Errorf("allowed are %d to %d, which are %s and %s", b.min.Milliseconds(), b.max.Milliseconds(), b.lo, b.hi)
		if _, set := s.given[b.value]; !set && b.value == "" {
			err = fmt.Errorf("%s %d is above %s %d", b.lo, b.min.Milliseconds(), b.hi, b.max.Milliseconds())
		} else if !set {
			err = fmt.Errorf("%s is %d, which is not within %d to %d", b.value, b.d.Milliseconds(), b.min.Milliseconds(), b.max.Milliseconds())
		}
		for _, name := range []string{b.value, b.lo, b.hi} {
			if p, set := s.given[name]; set {
				return &Error{p, err}
			}
		}
	}
	return nil
}

// finish is what several properties say together.
func (s *server) finish() error {
	c := s.config
	if err := s.groupBounds(); err != nil {
		return err
	}
	if s.retention.rank > 0 {
		c.RetentionAge = s.retention.d
	}
	if s.roll.rank > 0 {
		c.SegmentAge = max(s.roll.d, time.Millisecond)
	}
	if s.authorize {
		c.Authorize, c.SuperUsers, c.AllowWithoutACL = true, s.superUsers, s.allowWithout
	} else if len(s.superUsers) > 0 || s.allowWithout {
		s.notes.Unsaid = append(s.notes.Unsaid, "without authorizer.class.name nobody is refused anything")
	}
	dirs, name := s.dirs, "log.dirs"
	if len(dirs) == 0 && s.dir != "" {
		dirs, name = []string{s.dir}, "log.dir"
	}
	switch {
	case len(dirs) > 1:
		return &Error{s.given[name], errors.New("allowed is one directory: this broker keeps everything in one")}
	case len(dirs) == 1:
		c.DataDir = dirs[0]
	default:
		c.DataDir = "/tmp/kafka-logs"
	}
	if _, ok := s.given["num.partitions"]; !ok {
		c.DefaultPartitions = 1
	}
	return s.finishListeners()
}
