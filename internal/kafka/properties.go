package kafka

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Properties are settings of a Kafka client by Kafka's names, all of them known
// and each value allowed.
type Properties map[string]string

// Property describes one of them.
type Property struct {
	Name    string
	Default string // what an absent one means here; empty: nothing
	Allowed string // which values there are, in words
	Doc     string

	secret bool
	check  func(string) bool
}

// mechanisms are the SASL mechanisms there are.
var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// librdkafkaNames are what librdkafka calls some properties.
var librdkafkaNames = map[string]string{
	"compression.codec":         "compression.type",
	"request.required.acks":     "acks",
	"queue.buffering.max.ms":    "linger.ms",
	"message.timeout.ms":        "delivery.timeout.ms",
	"message.send.max.retries":  "retries",
	"message.max.bytes":         "max.request.size",
	"sasl.mechanisms":           "sasl.mechanism",
	"metadata.broker.list":      "bootstrap.servers",
	"fetch.wait.max.ms":         "fetch.max.wait.ms",
	"fetch.message.max.bytes":   "max.partition.fetch.bytes",
	"topic.metadata.refresh.ms": "metadata.max.age.ms",
	"max.in.flight":             "max.in.flight.requests.per.connection",
}

// list is all properties, in the order of the documentation.
var list = []Property{
	text("bootstrap.servers", "", "brokers, host:port parted by commas; only in a properties file, where the URL names none"),
	text("client.id", "tributary", "name of this client in the broker's logs and quotas"),
	text("client.rack", "", "rack of this client: consume from the nearest replica"),
	oneOf("security.protocol", "PLAINTEXT", "", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
	oneOf("sasl.mechanism", "", "", mechanisms...),
	text("sasl.username", "", "user, where there is no sasl.jaas.config"),
	secret("sasl.password", "password, where there is no sasl.jaas.config"),
	secret("sasl.jaas.config", "user and password as a Java client has them: ...LoginModule required username=\"u\" password=\"p\";"),
	text("ssl.ca.location", "", "PEM file of the authorities to trust; without it the system's"),
	text("ssl.truststore.location", "", "the same by Java's name; PEM only"),
	text("ssl.truststore.certificates", "", "the same as PEM text"),
	oneOf("ssl.truststore.type", "PEM", "", "PEM"),
	text("ssl.certificate.location", "", "PEM file of the client certificate"),
	text("ssl.key.location", "", "PEM file of its key"),
	text("ssl.keystore.location", "", "PEM file of both, by Java's name"),
	text("ssl.keystore.certificate.chain", "", "the certificate as PEM text"),
	secret("ssl.keystore.key", "the key as PEM text"),
	oneOf("ssl.keystore.type", "PEM", "", "PEM"),
	secret("ssl.key.password", "password of the key"),
	oneOf("ssl.endpoint.identification.algorithm", "https", "https compares the broker's name with its certificate, none does not", "https", "none", ""),
	millis("request.timeout.ms", "30000", 1, "how long to wait for an answer"),
	millis("metadata.max.age.ms", "300000", 1000, "how old knowledge of the cluster may become"),
	millis("connections.max.idle.ms", "540000", 1000, "close a connection without traffic"),
	millis("socket.connection.setup.timeout.ms", "10000", 1, "how long a connection may take"),
	millis("retry.backoff.ms", "100", 0, "wait before the first retry"),
	millis("retry.backoff.max.ms", "1000", 0, "longest wait between retries"),

	oneOf("acks", "all", "", "all", "-1", "1", "0"),
	oneOf("enable.idempotence", "true with acks=all", "", "true", "false"),
	oneOf("compression.type", "none", "", "none", "gzip", "snappy", "lz4", "zstd"),
	number("compression.gzip.level", "-1", -1, 9, "1 to 9, -1 is the codec's own"),
	number("compression.lz4.level", "0", 0, 17, "0 is the codec's own"),
	number("compression.zstd.level", "3", -131072, 22, ""),
	millis("linger.ms", "10", 0, "wait for a batch to fill"),
	number("batch.size", "1000012", 512, 1<<30, "bytes of a batch before compression"),
	number("max.request.size", "104857600", 1024, 1<<30, "bytes of a request"),
	number("buffer.memory", "", 1024, math.MaxInt64, "bytes waiting to be sent"),
	millis("delivery.timeout.ms", "", 1, "give a record up after this; without it, never"),
	number("retries", "", 0, math.MaxInt32, "give a record up after this many"),
	number("max.in.flight.requests.per.connection", "5", 1, 1_000_000, ""),

	text("group.id", "", "consumer group"),
	text("group.instance.id", "", "static member of the group"),
	oneOf("auto.offset.reset", "latest", "where to begin without an offset", "earliest", "latest", "none"),
	oneOf("isolation.level", "read_uncommitted", "", "read_uncommitted", "read_committed"),
	oneOf("enable.auto.commit", "true", "", "true", "false"),
	millis("auto.commit.interval.ms", "5000", 1, ""),
	number("fetch.min.bytes", "1", 0, math.MaxInt32, ""),
	number("fetch.max.bytes", "52428800", 1024, math.MaxInt32, ""),
	number("max.partition.fetch.bytes", "1048576", 1024, math.MaxInt32, ""),
	millis("fetch.max.wait.ms", "5000", 0, ""),
	millis("session.timeout.ms", "45000", 1, ""),
	millis("heartbeat.interval.ms", "3000", 1, ""),
	millis("max.poll.interval.ms", "60000", 1, "longest rebalance"),
	oneOf("group.protocol", "classic", "", "classic", "consumer"),
}

var known = func() map[string]Property {
	m := map[string]Property{}
	for _, p := range list {
		m[p.Name] = p
	}
	return m
}()

// KnownProperties lists the properties that have an effect here.
func KnownProperties() []Property { return slices.Clone(list) }

func text(name, def, doc string) Property {
	return Property{Name: name, Default: def, Allowed: "text", Doc: doc, check: func(string) bool { return true }}
}

func secret(name, doc string) Property {
	p := text(name, "", doc)
	p.secret = true
	return p
}

func oneOf(name, def, doc string, values ...string) Property {
	shown := slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" })
	return Property{
		Name: name, Default: def, Doc: doc, Allowed: strings.Join(shown, ", "),
		check: func(s string) bool { return slices.Contains(values, s) },
	}
}

func number(name, def string, lo, hi int64, doc string) Property {
	return Property{
		Name: name, Default: def, Doc: doc, Allowed: fmt.Sprintf("%d to %d", lo, hi),
		check: func(s string) bool {
			n, err := strconv.ParseInt(s, 10, 64)
			return err == nil && n >= lo && n <= hi
		},
	}
}

func millis(name, def string, lo int64, doc string) Property {
	p := number(name, def, lo, math.MaxInt32, doc)
	p.Allowed = fmt.Sprintf("milliseconds from %d to %d", lo, math.MaxInt32)
	return p
}

// set adds a property; it must be known, appear once and have an allowed value.
func (p Properties) set(name, value string) error {
	k, ok := known[name]
	if !ok {
		return badEndpoint("unknown parameter %s: allowed are format, key, producers and Kafka's %s", name, strings.Join(names(), ", "))
	}
	if k.Name == "security.protocol" || k.Name == "sasl.mechanism" {
		value = strings.ToUpper(value)
	}
	if !k.check(value) {
		shown := value
		if k.secret {
			shown = "***"
		}
		return badEndpoint("%s: bad value %q: allowed are %s%s", name, shown, k.Allowed, storeHint(name))
	}
	p[name] = value
	return nil
}

// storeHint tells who has a Java key store how to go on.
func storeHint(name string) string {
	if strings.HasSuffix(name, "store.type") {
		return " (openssl pkcs12 -in store.p12 -nodes -out store.pem turns a PKCS12 store into it)"
	}
	return ""
}

// names lists the properties that a URL can have.
func names() []string {
	all := slices.Sorted(maps.Keys(known))
	return slices.DeleteFunc(all, func(n string) bool { return n == "bootstrap.servers" })
}

// duration returns a property in milliseconds, or absent.
func (p Properties) duration(name string, absent time.Duration) time.Duration {
	n, err := strconv.ParseInt(p[name], 10, 64)
	if err != nil {
		return absent
	}
	return time.Duration(n) * time.Millisecond
}

// number returns a numeric property and whether it is set.
func (p Properties) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(p[name], 10, 64)
	return n, err == nil
}
