package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-net/tributary/internal/kafka"
)

const (
	kflowPrefix  = "app."         // of KFlow's properties among those of the system
	kflowProps   = "kafka.props." // of the properties of Kafka's producer
	kflowDefault = "KFlow's default"
)

// kflowDefaults are what KFlow takes where nobody says otherwise.
var kflowDefaults = map[string]string{
	"server.port":                   "4739",
	"server.threads":                "1",
	"server.buffer.size":            "1048576",
	"kafka.topic":                   "ipfix",
	"kafka.producers":               "1",
	"kafka.props.bootstrap.servers": "localhost:9092",
	"kafka.props.batch.size":        "16384",
	"kafka.props.linger.ms":         "1000",
	"metrics.port":                  "8080",
}

// javaProperties are the properties of Kafka's Java producer without a meaning
// here, by Kafka's documentation of 2.3 to 4.1.
var javaProperties = strings.Fields(`
	auto.include.jmx.reporter client.dns.lookup enable.metrics.push interceptor.classes key.serializer max.block.ms
	metadata.max.idle.ms metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy metric.reporters metrics.num.samples
	metrics.recording.level metrics.sample.window.ms partitioner.adaptive.partitioning.enable
	partitioner.availability.timeout.ms partitioner.class partitioner.ignore.keys receive.buffer.bytes reconnect.backoff.max.ms
	reconnect.backoff.ms sasl.client.callback.handler.class sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin
	sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor
	sasl.login.callback.handler.class sasl.login.class sasl.login.connect.timeout.ms sasl.login.read.timeout.ms
	sasl.login.refresh.buffer.seconds sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor
	sasl.login.refresh.window.jitter sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms security.providers
	send.buffer.bytes socket.connection.setup.timeout.max.ms ssl.cipher.suites ssl.enabled.protocols ssl.engine.factory.class
	ssl.keymanager.algorithm ssl.keystore.password ssl.protocol ssl.provider ssl.secure.random.implementation
	ssl.trustmanager.algorithm ssl.truststore.password transaction.timeout.ms transaction.two.phase.commit.enable
	transactional.id value.serializer`)

// kflowProperty is a property as it was written.
type kflowProperty struct{ value, origin string }

// kflowSite is what a site runs KFlow with: properties of the system, which win, a
// file, and KFlow's defaults. A value may name variables, ${name} or
// ${name:-otherwise}: properties of the system, variables of the environment, or
// properties, whichever there is first.
type kflowSite struct {
	file       string
	properties map[string]kflowProperty // by name without app.
	system     map[string]string        // by name as it was given
	environ    func(string) (string, bool)
	used       map[string]bool

	without, unknown []string // names of properties that nothing was made of
}

// newKFlowSite reads a site's properties; define is where those of the system are
// from.
func newKFlowSite(file string, text []byte, defines []string, define string, environ func(string) (string, bool)) (*kflowSite, error) {
	k := &kflowSite{
		file: file, properties: map[string]kflowProperty{}, system: map[string]string{}, environ: environ, used: map[string]bool{},
	}
	for name, value := range kflowDefaults {
		k.properties[name] = kflowProperty{value, kflowDefault}
	}
	err := kafka.EachProperty(text, func(line int, name, value string) error {
		k.properties[name] = kflowProperty{value, fmt.Sprintf("%s line %d", file, line)}
		return nil
	})
	if err != nil {
		return nil, bad("kflow", file, err.Error())
	}
	for _, d := range defines {
		name, value, _ := strings.Cut(d, "=")
		k.system[name] = value
		if name, ok := strings.CutPrefix(name, kflowPrefix); ok {
			k.properties[name] = kflowProperty{value, define}
		}
	}
	return k, nil
}

func (k *kflowSite) names() []string { return slices.Sorted(maps.Keys(k.properties)) }

// known are the names that somebody may have meant.
func (k *kflowSite) known() []string {
	names := slices.Collect(maps.Keys(kflowDefaults))
	for _, p := range kafka.KnownProperties() {
		names = append(names, kflowProps+p.Name)
	}
	return names
}

// get returns a property with its variables replaced.
func (k *kflowSite) get(name string) (kflowProperty, error) {
	p := k.properties[name]
	value, err := k.resolve(p.value, nil)
	if err != nil {
		return p, &originError{name, p.value, p.origin, err}
	}
	return kflowProperty{strings.TrimSpace(value), p.origin}, nil
}

// number returns a property that is a whole number.
func (k *kflowSite) number(name string, lo, hi int64) (int64, error) {
	p, err := k.get(name)
	if err != nil {
		return 0, err
	}
	k.used[name] = true
	n, err := strconv.ParseInt(p.value, 10, 64)
	if err != nil || n < lo || n > hi {
		return 0, &originError{name, p.value, p.origin, fmt.Errorf("allowed are whole numbers from %d to %d", lo, hi)}
	}
	return n, nil
}

// resolve replaces the variables in a text; of are those whose values it is in. A
// variable that there is not, and that has no other value, stays as it is. $${ is
// ${ itself.
func (k *kflowSite) resolve(text string, of []string) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		end := closing(text, i+2)
		if end < 0 {
			b.WriteString(text[:i+2])
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		value, err := k.variable(text[i+2:end], of)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = text[end+1:]
	}
}

// closing finds the bracket that closes a variable which begins before from; -1:
// there is none.
func closing(text string, from int) int {
	open := 0
	for i := from; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "$${"):
			i += 2
		case strings.HasPrefix(text[i:], "${"):
			open++
			i++
		case text[i] == '}' && open == 0:
			return i
		case text[i] == '}':
			open--
		}
	}
	return -1
}

// variable returns the value of what stands between ${ and }.
func (k *kflowSite) variable(text string, of []string) (string, error) {
	text, err := k.resolve(text, of)
	if err != nil {
		return "", err
	}
	name, otherwise, has := strings.Cut(text, ":-")
	if slices.Contains(of, name) {
		return "", fmt.Errorf("variable %s stands in its own value", name)
	}
	value, ok := k.lookup(name)
	switch {
	case ok:
	case has:
		value = otherwise
	default:
		return "${" + text + "}", nil
	}
	return k.resolve(value, append(slices.Clip(of), name))
}

func (k *kflowSite) lookup(name string) (string, bool) {
	if v, ok := k.system[name]; ok {
		k.used[name] = true
		return v, true
	}
	if v, ok := k.environ(name); ok {
		return v, true
	}
	p, ok := k.properties[name]
	if ok {
		k.used[name] = true
	}
	return p.value, ok
}
