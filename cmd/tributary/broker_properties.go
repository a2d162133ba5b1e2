package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/kafkaconfig"
)

// brokerAloneOptions are the options of a broker by itself, which can take Kafka's server.properties. What these say comes
// before the defaults of options, and after what somebody has set.
type brokerAloneOptions struct {
	*brokerOptions
	file      string
	overrides []string
	notes     kafkaconfig.Notes
}

func (o *brokerAloneOptions) register(fs *pflag.FlagSet, prefix string) {
	o.brokerOptions.register(fs, prefix)
	stringVar(fs, &o.file, prefix+"server-properties", "take the broker's settings from this `file` of Kafka's")
	listVar(fs, &o.overrides, prefix+"override", "name=value", checkPair, "the same with one setting by Kafka's name, which wins over the file; repeatable")
}

// derive puts the properties under the options that somebody has set.
func (o *brokerAloneOptions) derive(s *settings) error {
	if o.file == "" && len(o.overrides) == 0 {
		return nil
	}
	properties, err := kafkaconfig.ReadServer(o.file, o.overrides)
	if err != nil {
		return bad("server-properties", o.file, err.Error())
	}
	cfg := o.cfg
	if o.notes, err = kafkaconfig.Server(&cfg, properties); err != nil {
		var e *kafkaconfig.Error
		if errors.As(err, &e) && errors.Is(e.Err, kafkaconfig.ErrUnknown) {
			return fmt.Errorf("unknown setting %s (%s): %s", e.Name, e.Origin, allowedSetting(e.Name))
		}
		return err
	}
	before := map[string]string{}
	set := map[string]string{}
	for _, p := range s.places {
		before[p.flag.Name] = p.flag.Value.String()
		if s.origin[p.flag.Name] != "" {
			set[p.flag.Name] = p.flag.Value.String()
		}
	}
	if set["listen"] != "" || set["listener"] != "" {
		cfg.Listeners, cfg.Listen, cfg.AdvertisedAddress = nil, o.cfg.Listen, o.cfg.AdvertisedAddress
	}
	o.cfg = cfg
	for _, v := range []*int64{&o.cfg.RetentionBytes, &o.cfg.CompactionRate} {
		*v = max(*v, 0) // below 0 there is 0 here
	}
	o.cfg.RetentionAge, o.cfg.FileDeleteDelay = max(o.cfg.RetentionAge, 0), max(o.cfg.FileDeleteDelay, 0)
	o.autoCreate = !cfg.DisableAutoCreate
	for _, p := range s.places {
		if v, ok := set[p.flag.Name]; ok {
			if _, several := p.flag.Value.(*list); several {
				continue // none of these is in the broker's configuration
			}
			if err := p.flag.Value.Set(v); err != nil {
				return &originError{p.flag.Name, v, s.origin[p.flag.Name], err}
			}
		} else if p.flag.Value.String() != before[p.flag.Name] {
			s.origin[p.flag.Name] = "server properties"
		}
	}
	return nil
}

func (o *brokerAloneOptions) check() error {
	cfg, err := o.config()
	if err != nil || o.file == "" {
		return err
	}
	return checkOwnData(cfg)
}

// checkOwnData refuses a directory that Apache Kafka has its metadata in: what is set there could not be honoured, and
// Kafka would not find what is changed here.
func checkOwnData(c broker.Config) error {
	for _, name := range []string{"__cluster_metadata-0", "bootstrap.checkpoint"} {
		if _, err := os.Stat(filepath.Join(c.DataDir, name)); err == nil {
			return fmt.Errorf("log.dirs %s has data of Apache Kafka in it (%s): topics, users and ACLs of its metadata are not read here; name another directory", c.DataDir, name)
		}
	}
	return nil
}

// allowedSetting says which of Kafka's settings is probably meant.
func allowedSetting(name string) string {
	var names []string
	for _, t := range kafkaconfig.Broker() {
		names = append(names, t.Name)
	}
	if best := nearest(name, names); best != "" {
		return "did you mean " + best + "?"
	}
	return "Kafka has none of this name"
}

// say tells once what of the properties is otherwise than somebody may expect.
func (o *brokerAloneOptions) say(s *service) {
	for _, n := range o.notes.Unsaid {
		s.log.Info(n)
	}
	if len(o.notes.WithoutEffect) > 0 {
		s.log.Info("without effect here", "settings", strings.Join(o.notes.WithoutEffect, ","))
	}
}
