package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/kafka"
)

// kflowOptions are the options of a collector that can run in place of KFlow, with
// its properties. What these say becomes options like all others: properties come
// before the defaults of options, and beside or after what somebody has set.
type kflowOptions struct {
	*collectOptions
	file    string
	defines []string
}

func (o *kflowOptions) register(fs *pflag.FlagSet, prefix string) {
	o.collectOptions.register(fs, prefix)
	stringVar(fs, &o.file, prefix+"kflow", "run in place of KFlow, with this properties `file` of its")
	fs.VarP(&list{typ: "app.NAME=VALUE", p: &o.defines, check: checkDefine}, prefix+kflowDefine, "D",
		"the same with one property of KFlow's, which wins over the file; repeatable")
}

// kflowDefine is the long name of -D.
const kflowDefine = "kflow-property"

func checkDefine(s string) error {
	if name, _, ok := strings.Cut(s, "="); !ok || name == "" {
		return errors.New("allowed is NAME=VALUE, such as app.kafka.topic=flows")
	}
	return nil
}

// derive sets the options that follow from KFlow's properties.
func (o *kflowOptions) derive(s *settings) error {
	if o.file == "" && len(o.defines) == 0 {
		return nil
	}
	var text []byte
	if o.file != "" {
		var err error
		if text, err = os.ReadFile(o.file); err != nil {
			return bad("kflow", o.file, err.Error())
		}
	}
	from := s.origin[kflowDefine]
	if from == "flag --"+kflowDefine {
		from = "flag -D"
	}
	site, err := newKFlowSite(o.file, text, o.defines, from, os.LookupEnv)
	if err != nil {
		return err
	}
	for _, set := range []func(*settings) error{site.setServer, site.setKafka, site.setMetrics, site.setTopics} {
		if err := set(s); err != nil {
			return err
		}
	}
	site.sortOut()
	o.kflow = site
	return nil
}

// The bounds of KFlow's numbers here.
const (
	maxKFlowThreads = 256
	minKFlowBuffer  = 64 << 10 // less is raised to it
	maxKFlowBuffer  = 1 << 30
)

// setServer turns KFlow's server.* into options.
func (k *kflowSite) setServer(s *settings) error {
	port, err := k.number("server.port", 0, 65535)
	if err != nil {
		return err
	}
	if err := k.add(s, "listen", ":"+strconv.FormatInt(port, 10), "server.port"); err != nil {
		return err
	}
	threads, err := k.number("server.threads", 1, maxKFlowThreads)
	if err != nil {
		return err
	}
	if err := k.say(s, "workers", strconv.FormatInt(threads, 10), "server.threads"); err != nil {
		return err
	}
	buffer, err := k.number("server.buffer.size", 1, maxKFlowBuffer)
	if err != nil {
		return err
	}
	return k.say(s, "receive-buffer", formatSize(max(buffer, minKFlowBuffer)), "server.buffer.size")
}

// setMetrics turns metrics.port into an option.
func (k *kflowSite) setMetrics(s *settings) error {
	port, err := k.number("metrics.port", 0, 65535)
	if err != nil {
		return err
	}
	return k.say(s, "http", ":"+strconv.FormatInt(port, 10), "metrics.port")
}

// setTopics has no topics beside the one of flows, as it is with KFlow, unless somebody
// has asked for them.
func (k *kflowSite) setTopics(s *settings) error {
	for option, value := range map[string]string{"state-topic": "off", "ledger-interval": "0s"} {
		if s.origin[option] != "" {
			continue
		}
		if err := s.set(s.place(option), []string{value}, kflowDefault); err != nil {
			return err
		}
	}
	return nil
}

// setKafka turns kafka.* into a destination.
func (k *kflowSite) setKafka(s *settings) error {
	topic, err := k.get("kafka.topic")
	if err != nil {
		return err
	}
	if err := kafka.CheckTopic(topic.value); err != nil {
		return &originError{"kafka.topic", topic.value, topic.origin, err}
	}
	producers, err := k.number("kafka.producers", 1, kafka.MaxProducers)
	if err != nil {
		return err
	}
	names := []string{"kafka.topic", "kafka.producers"}
	k.used["kafka.topic"] = true
	properties := kafka.Properties{}
	for _, name := range k.names() {
		of, ok := strings.CutPrefix(name, kflowProps)
		if !ok {
			continue
		}
		p, err := k.get(name)
		if err != nil {
			return err
		}
		known, err := properties.Set(of, p.value)
		switch {
		case err != nil:
			return fmt.Errorf("%s%w (%s)", kflowProps, err, p.origin)
		case known:
			names = append(names, name)
			k.used[name] = true
		}
	}
	e, err := kafka.Endpoint{Topic: topic.value, Producers: int(producers), Format: flow.KFlow.String()}.With(properties)
	if err != nil {
		return fmt.Errorf("%s*: %w", kflowProps, err)
	}
	return k.add(s, "to", e.URL(), names...)
}

// say sets an option to what a property says. What somebody has set stands
// instead of KFlow's default; where both were said and differ there is no telling
// which was meant.
func (k *kflowSite) say(s *settings, option, value, name string) error {
	p, err := k.get(name)
	if err != nil {
		return err
	}
	said := s.origin[option]
	if said != "" && p.origin == kflowDefault {
		return nil
	}
	place := s.place(option)
	before := place.flag.Value.String()
	if err := s.set(place, []string{value}, name+", "+p.origin); err != nil {
		return err
	}
	if after := place.flag.Value.String(); said != "" && after != before {
		return &originError{option, before, said, fmt.Errorf("%s (%s) says %s; allowed is one of the two", name, p.origin, after)}
	}
	return nil
}

// add puts what properties say before what somebody has set of an option that can
// be repeated.
func (k *kflowSite) add(s *settings, option, value string, names ...string) error {
	place := s.place(option)
	values := []string{value}
	origins := k.origins(names)
	if said := s.origin[option]; said != "" {
		for _, v := range *place.flag.Value.(*list).p {
			if v != value {
				values = append(values, v)
			}
		}
		origins += "; " + said
	}
	return s.set(place, values, origins)
}

// origins says where properties come from; those that nobody has set are summed
// up.
func (k *kflowSite) origins(names []string) string {
	var said []string
	defaults := false
	for _, name := range names {
		if p := k.properties[name]; p.origin == kflowDefault {
			defaults = true
		} else {
			said = append(said, name+", "+p.origin)
		}
	}
	if defaults {
		said = append(said, kflowDefault)
	}
	return strings.Join(said, "; ")
}

// announce says once what is not as with KFlow, and serves the page that it has.
func (k *kflowSite) announce(s *service) {
	s.log.Info("in place of KFlow; NetFlow and sFlow are taken too", "properties", k.file)
	if len(k.without) > 0 {
		s.log.Warn("properties without effect", "names", k.without)
	}
	for _, name := range k.unknown {
		attrs := []any{"name", name, "origin", k.properties[name].origin}
		if meant := nearest(name, k.known()); meant != "" {
			attrs = append(attrs, "meant", meant)
		}
		s.log.Warn("unknown property", attrs...)
	}
	s.http.Handle("GET /{$}", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
}

// sortOut finds the properties that nothing was made of: those that mean something
// to a JVM, to Kafka's Java client or to KFlow alone, and those that mean nothing.
func (k *kflowSite) sortOut() {
	for _, name := range k.names() {
		of, isProps := strings.CutPrefix(name, kflowProps)
		switch {
		case k.used[name]:
		case isProps && slices.Contains(javaProperties, of):
			k.without = append(k.without, name)
		default:
			k.unknown = append(k.unknown, name)
		}
	}
	for name := range k.system {
		if !strings.HasPrefix(name, kflowPrefix) && !k.used[name] {
			k.without = append(k.without, name)
		}
	}
	slices.Sort(k.without)
}
