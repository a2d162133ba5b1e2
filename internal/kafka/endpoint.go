package kafka

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// DefaultPort is the port of a broker whose address names none.
const DefaultPort = "9092"

// MaxProducers bounds [Endpoint.Producers].
const MaxProducers = 256

// Endpoint is a Kafka cluster, and maybe a topic on it, as a URL names them.
type Endpoint struct {
	Brokers    []string   // host:port, IPv6 addresses in brackets; empty only if Embedded
	Topic      string     // empty: the caller's own
	TLS        bool       // kafka-ssl://, or security.protocol says so
	Embedded   bool       // embedded: the broker in this process, dialled by ClientConfig.Dial
	Properties Properties // by Kafka's names
	Producers  int        // producers=, each with connections of its own; 0: one
	Format     string     // format=, not checked here; empty: the caller's default
	Key        []string   // key=, field names, not checked here
}

// ErrEndpoint is in every error of [ParseEndpoint].
var ErrEndpoint = errors.New("not a kafka endpoint")

// endpointError says what is wrong with an endpoint.
type endpointError string

func (e endpointError) Error() string        { return string(e) }
func (e endpointError) Is(target error) bool { return target == ErrEndpoint }

func badEndpoint(format string, args ...any) error {
	return endpointError(fmt.Sprintf(format, args...))
}

// IsEndpoint reports whether s begins like an endpoint that [ParseEndpoint]
// understands, rightly written or not.
func IsEndpoint(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	return ok && (scheme == "kafka" || scheme == "kafka-ssl" || scheme == "embedded")
}

// ParseEndpoint reads an endpoint:
//
//	kafka://host[:9092][,host...][/topic][?name=value&...]
//	kafka-ssl://...               the same over TLS
//	kafka://brokers;topic;options ntop's way of writing it
//	embedded:[/topic][?...]       the broker in the same process
//
// The parameters are properties by Kafka's names, format, producers and key (field
// names parted by commas). Values may be percent-encoded; + stands for itself. The
// error says what would be allowed, and no secret is in it.
func ParseEndpoint(s string) (Endpoint, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	e := Endpoint{Properties: Properties{}}
	switch {
	case ok && scheme == "embedded":
		e.Embedded = true
		if strings.HasPrefix(rest, "//") {
			return e, badEndpoint("embedded: takes no host; allowed is embedded:/topic")
		}
	case ok && (scheme == "kafka" || scheme == "kafka-ssl") && strings.HasPrefix(rest, "//"):
		rest = rest[2:]
		e.TLS = scheme == "kafka-ssl"
	default:
		return e, badEndpoint("allowed are kafka://host:port/topic, kafka-ssl://host:port/topic and embedded:/topic")
	}
	if !e.Embedded && strings.Contains(rest, ";") && ntopStyle(rest) {
		return e.parseNtop(rest)
	}
	// Hosts first: a list of IPv6 addresses is not what URL parsers expect.
	end := strings.IndexAny(rest, "/?")
	hosts, tail := rest, ""
	if end >= 0 {
		hosts, tail = rest[:end], rest[end:]
	}
	path, query, _ := strings.Cut(tail, "?")
	if e.Embedded {
		if hosts != "" {
			return e, badEndpoint("embedded: takes no host; allowed is embedded:/topic")
		}
	} else if err := e.setBrokers(hosts); err != nil {
		return e, err
	}
	if err := e.setTopic(strings.TrimPrefix(path, "/")); err != nil {
		return e, err
	}
	if err := e.setParameters(strings.Split(query, "&")); err != nil {
		return e, err
	}
	return e, e.check()
}

// ntopStyle tells brokers;topic;options from a URL that has a semicolon in a
// parameter.
func ntopStyle(rest string) bool {
	semicolon := strings.IndexByte(rest, ';')
	q := strings.IndexByte(rest, '?')
	return q < 0 || semicolon < q
}

// parseNtop reads brokers;topic;options. Options are name=value, parted by & , or
// further semicolons; librdkafka's names for what Kafka calls otherwise are
// understood.
func (e Endpoint) parseNtop(rest string) (Endpoint, error) {
	hosts, rest, _ := strings.Cut(rest, ";")
	topic, options, _ := strings.Cut(rest, ";")
	if err := e.setBrokers(strings.TrimSuffix(hosts, "/")); err != nil {
		return e, err
	}
	if err := e.setTopic(topic); err != nil {
		return e, err
	}
	// A comma or semicolon inside a value (key=a,b; a JAAS line) is not followed by
	// name= and so belongs to the value.
	var parts []string
	for part := range strings.FieldsFuncSeq(options, func(r rune) bool { return r == '&' || r == ';' || r == ',' }) {
		part = strings.TrimSpace(part)
		if name, _, ok := strings.Cut(part, "="); !ok && len(parts) > 0 {
			parts[len(parts)-1] += "," + part
		} else if librdkafka, known := librdkafkaNames[name]; known {
			parts = append(parts, librdkafka+part[len(name):])
		} else if part != "" {
			parts = append(parts, part)
		}
	}
	if err := e.setParameters(parts); err != nil {
		return e, err
	}
	return e, e.check()
}

// setBrokers reads a list of hosts parted by commas.
func (e *Endpoint) setBrokers(hosts string) error {
	if hosts == "" {
		return nil
	}
	if strings.Contains(hosts, "@") {
		return badEndpoint("a user does not belong in front of the host; allowed are the parameters sasl.username and sasl.password, best in a properties file")
	}
	for h := range strings.SplitSeq(hosts, ",") {
		b, err := brokerAddress(strings.TrimSpace(h))
		if err != nil {
			return err
		}
		if !slices.Contains(e.Brokers, b) {
			e.Brokers = append(e.Brokers, b)
		}
	}
	return nil
}

// brokerAddress completes host, host:port, [v6], [v6]:port or a bare v6 address.
func brokerAddress(h string) (string, error) {
	host, port := h, DefaultPort
	if a, err := netip.ParseAddr(h); err == nil {
		host = a.String()
	} else if strings.HasPrefix(h, "[") && strings.HasSuffix(h, "]") {
		host = h[1 : len(h)-1]
	} else if strings.Contains(h, ":") {
		var err error
		if host, port, err = net.SplitHostPort(h); err != nil {
			return "", badEndpoint("broker %q: allowed are host, host:port and [IPv6 address]:port", h)
		}
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return "", badEndpoint("broker %q: allowed are ports from 1 to 65535", h)
	}
	strange := func(c rune) bool {
		return unicode.IsSpace(c) || unicode.IsControl(c) || strings.ContainsRune("[]/?#@;", c)
	}
	if host == "" || strings.ContainsFunc(host, strange) {
		return "", badEndpoint("broker %q: allowed are host, host:port and [IPv6 address]:port", h)
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return "", badEndpoint("broker %q: not an IPv6 address", h)
		}
	}
	return net.JoinHostPort(host, port), nil
}

func (e *Endpoint) setTopic(topic string) error {
	if topic == "" {
		return nil
	}
	if err := CheckTopic(topic); err != nil {
		return err
	}
	e.Topic = topic
	return nil
}

// CheckTopic refuses a name that Kafka refuses.
func CheckTopic(topic string) error {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
	}
	if topic == "" || topic == "." || topic == ".." || len(topic) > 249 || strings.ContainsFunc(topic, func(r rune) bool { return !legal(r) }) {
		return badEndpoint("topic %q: allowed are 1 to 249 of the characters a-z A-Z 0-9 . _ -", topic)
	}
	return nil
}

// setParameters reads name=value pairs.
func (e *Endpoint) setParameters(pairs []string) error {
	seen := map[string]bool{}
	for _, pair := range pairs {
		if pair == "" {
			continue
		}
		name, raw, ok := strings.Cut(pair, "=")
		if !ok {
			return badEndpoint("parameter %q has no value; allowed is name=value", name)
		}
		name, err := url.PathUnescape(name)
		if err != nil {
			return badEndpoint("parameter %q: %v", name, err)
		}
		value, err := url.PathUnescape(raw)
		if err != nil {
			return badEndpoint("parameter %s: bad percent-encoding", name)
		}
		if seen[name] {
			return badEndpoint("parameter %s appears twice", name)
		}
		seen[name] = true
		switch name {
		case "format":
			e.Format = value
		case "producers":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > MaxProducers {
				return badEndpoint("producers: bad value %q: allowed are 1 to %d", value, MaxProducers)
			}
			e.Producers = n
		case "key":
			if err := e.setKey(value); err != nil {
				return err
			}
		case "bootstrap.servers":
			return badEndpoint("parameter bootstrap.servers: brokers stand in front of the topic, kafka://host:port,host:port/topic")
		default:
			if err := e.Properties.set(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// setKey reads a list of fields parted by commas; an empty one is no key.
func (e *Endpoint) setKey(fields string) error {
	if strings.TrimSpace(fields) == "" {
		return nil
	}
	for f := range strings.SplitSeq(fields, ",") {
		if f = strings.TrimSpace(f); f == "" {
			return badEndpoint("key: bad value %q: allowed are names of fields parted by commas", fields)
		}
		e.Key = append(e.Key, f)
	}
	return nil
}

// With returns e with the properties of p that e does not set itself, such as
// those of a properties file beside the URL. bootstrap.servers counts when e names
// no broker.
func (e Endpoint) With(p Properties) (Endpoint, error) {
	props := maps.Clone(p)
	if props == nil {
		props = Properties{}
	}
	maps.Copy(props, e.Properties)
	if servers := props["bootstrap.servers"]; len(e.Brokers) == 0 && servers != "" && !e.Embedded {
		e.Brokers = nil
		if err := e.setBrokers(servers); err != nil {
			return e, err
		}
	}
	delete(props, "bootstrap.servers")
	e.Properties = props
	return e, e.check()
}

// check looks at what has to fit together, and fills in what follows.
func (e *Endpoint) check() error {
	protocol := e.Properties["security.protocol"]
	switch protocol {
	case "SSL", "SASL_SSL":
		e.TLS = true
	case "PLAINTEXT", "SASL_PLAINTEXT":
		if e.TLS {
			return badEndpoint("kafka-ssl:// and security.protocol=%s contradict each other", protocol)
		}
	}
	if strings.HasPrefix(protocol, "SASL") && e.Properties.mechanism() == "" {
		return badEndpoint("security.protocol=%s needs sasl.mechanism; allowed are %s", protocol, strings.Join(mechanisms, ", "))
	}
	if e.Properties.mechanism() != "" {
		if protocol == "SSL" || protocol == "PLAINTEXT" {
			return badEndpoint("sasl.mechanism and security.protocol=%s contradict each other; allowed are SASL_PLAINTEXT and SASL_SSL", protocol)
		}
		if _, _, err := e.Properties.credentials(); err != nil {
			return err
		}
	}
	if e.Properties["enable.idempotence"] == "true" {
		if a := e.Properties["acks"]; a != "" && a != "all" && a != "-1" {
			return badEndpoint("enable.idempotence=true needs acks=all")
		}
	}
	if e.Embedded && (e.TLS || e.Properties.mechanism() != "") {
		return badEndpoint("embedded: takes no TLS and no SASL")
	}
	return nil
}

// Address names the cluster in messages: its brokers, or "embedded".
func (e Endpoint) Address() string {
	if e.Embedded {
		return "embedded"
	}
	return strings.Join(e.Brokers, ",")
}

// String writes the endpoint as a URL with its secrets masked.
func (e Endpoint) String() string { return e.url(true) }

// URL writes the endpoint as [ParseEndpoint] reads it, with its secrets.
func (e Endpoint) URL() string { return e.url(false) }

func (e Endpoint) url(masked bool) string {
	var b strings.Builder
	switch {
	case e.Embedded:
		b.WriteString("embedded:")
	case e.TLS:
		b.WriteString("kafka-ssl://")
	default:
		b.WriteString("kafka://")
	}
	b.WriteString(strings.Join(e.Brokers, ","))
	if e.Topic != "" {
		b.WriteString("/" + e.Topic)
	}
	sep := "?"
	add := func(name, value string) {
		b.WriteString(sep + name + "=" + strings.NewReplacer("%", "%25", "&", "%26").Replace(value))
		sep = "&"
	}
	for _, name := range slices.Sorted(maps.Keys(e.Properties)) {
		value := e.Properties[name]
		if masked && known[name].secret {
			value = "***"
		}
		add(name, value)
	}
	if len(e.Key) > 0 {
		add("key", strings.Join(e.Key, ","))
	}
	if e.Producers > 0 {
		add("producers", strconv.Itoa(e.Producers))
	}
	if e.Format != "" {
		add("format", e.Format)
	}
	return b.String()
}

// Override returns e with one property set, whatever it was before.
func (e Endpoint) Override(name, value string) (Endpoint, error) {
	p := maps.Clone(e.Properties)
	if p == nil {
		p = Properties{}
	}
	if err := p.set(name, value); err != nil {
		return e, err
	}
	e.Properties = p
	return e, e.check()
}
