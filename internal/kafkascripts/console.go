package kafkascripts

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var consoleProducer = table(clusterOptions+`topic= property= reader-property= producer-property= command-property= producer.config= reader-config=
	line-reader= sync compression-codec=? batch-size= message-send-max-retries= retry-backoff-ms= timeout= request-required-acks= request-timeout-ms=
	max-block-ms= max-memory-bytes= max-partition-memory-bytes= metadata-expiry-ms= socket-buffer-size= queue-size= queue-enqueuetimeout-ms=
	key-serializer= value-serializer= old-producer new-producer`, func(p *parsed) (Command, error) {
	if !p.has("topic") {
		return Command{}, errors.New("--topic is missing")
	}
	if r := p.get("line-reader"); r != "" && !strings.HasSuffix(r, "LineMessageReader") {
		return Command{}, fmt.Errorf("--line-reader %s: Java's classes cannot be run", r)
	}
	args := []string{"produce"}
	reader, err := p.settings("reader-config", []string{"property", "reader-property"}, "parse.key", "key.separator", "ignore.error", "parse.headers",
		"headers.delimiter", "headers.separator", "headers.key.separator", "null.marker")
	if err != nil {
		return Command{}, err
	}
	if isTrue(reader["parse.headers"]) {
		delimiter := reader["headers.delimiter"]
		if delimiter == "" {
			delimiter = `\t`
		}
		args = append(args, "--header-delimiter="+delimiter)
		for _, name := range [][2]string{{"headers.separator", "header-separator"}, {"headers.key.separator", "header-key-separator"}} {
			if v := reader[name[0]]; v != "" {
				args = append(args, "--"+name[1]+"="+v)
			}
		}
	}
	if isTrue(reader["ignore.error"]) {
		args = append(args, "--lenient")
	}
	if isTrue(reader["parse.key"]) {
		sep := reader["key.separator"]
		if sep == "" {
			sep = `\t`
		}
		args = append(args, "--key-separator="+sep)
	}
	if m := reader["null.marker"]; m != "" {
		args = append(args, "--null="+m)
	}
	properties := slices.Concat(p.values["producer-property"], p.values["command-property"])
	for option, name := range map[string]string{
		"request-required-acks": "acks", "message-send-max-retries": "retries", "retry-backoff-ms": "retry.backoff.ms",
		"request-timeout-ms": "request.timeout.ms", "max-memory-bytes": "buffer.memory", "metadata-expiry-ms": "metadata.max.age.ms",
		"max-partition-memory-bytes": "batch.size",
	} {
		if v := p.get(option); v != "" {
			properties = append(properties, name+"="+v)
		}
	}
	if p.has("compression-codec") {
		codec := p.get("compression-codec")
		if codec == "" {
			codec = "gzip"
		}
		properties = append(properties, "compression.type="+codec)
	}
	slices.Sort(properties)
	config := p.get("producer.config")
	if config == "" {
		config = p.get("command-config")
	}
	args, err = p.cluster(args, config, properties...)
	return Command{Args: append(args, "--", p.get("topic"))}, err
})

// printing are the pieces that Kafka's formatter can print, in its order, and what they are called here.
var printing = [][2]string{{"print.timestamp", "timestamp"}, {"print.partition", "partition"}, {"print.offset", "offset"}, {"print.headers", "headers"}, {"print.key", "key"}, {"print.value", "value"}}

var consoleConsumer = table(clusterOptions+`topic= include= whitelist= from-beginning max-messages= timeout-ms= partition= offset= group= formatter=
	formatter-config= property= formatter-property= consumer-property= command-property= consumer.config= isolation-level= key-deserializer=
	value-deserializer= skip-message-on-error enable-systest-events new-consumer old-consumer delete-consumer-offsets blacklist= csv-reporter-enabled`, func(p *parsed) (Command, error) {
	for _, refused := range []string{"blacklist", "enable-systest-events"} {
		if p.has(refused) {
			return Command{}, fmt.Errorf("--%s is not there", refused)
		}
	}
	if f := p.get("formatter"); f != "" && !strings.HasSuffix(f, "DefaultMessageFormatter") {
		return Command{}, fmt.Errorf("--formatter %s: Java's classes cannot be run", f)
	}
	args, err := p.formatting([]string{"consume", "--output=kafka"})
	if err != nil {
		return Command{}, err
	}
	args = p.turn(args, "from-beginning", "from-beginning")
	args = p.turn(args, "skip-malformed", "skip-message-on-error")
	for _, o := range []string{"max-messages", "partition", "group", "offset"} {
		args = p.pass(args, o, o)
	}
	args = p.pass(args, "isolation", "isolation-level")
	if ms := p.get("timeout-ms"); ms != "" {
		n, err := strconv.ParseUint(ms, 10, 31)
		if err != nil {
			return Command{}, fmt.Errorf("--timeout-ms %s: allowed are milliseconds", ms)
		}
		args = append(args, fmt.Sprintf("--timeout=%dms", n))
	}
	expr := p.get("include")
	if expr == "" {
		expr = p.get("whitelist")
	}
	if (expr == "") == !p.has("topic") {
		return Command{}, errors.New("one of --topic and --include must be given")
	}
	config := p.get("consumer.config")
	if config == "" {
		config = p.get("command-config")
	}
	if args, err = p.cluster(args, config, slices.Concat(p.values["consumer-property"], p.values["command-property"])...); err != nil {
		return Command{}, err
	}
	if expr != "" {
		return Command{Args: append(args, "--topic-regex="+whole(expr))}, nil
	}
	return Command{Args: append(args, "--", p.get("topic"))}, nil
})

// formatting turns the properties of Kafka's formatter into --print and its separators.
func (p *parsed) formatting(args []string) ([]string, error) {
	known := []string{"key.separator", "line.separator", "headers.separator", "null.literal", "key.deserializer", "value.deserializer", "headers.deserializer"}
	for _, pair := range printing {
		known = append(known, pair[0])
	}
	set, err := p.settings("formatter-config", []string{"property", "formatter-property"}, known...)
	if err != nil {
		return nil, err
	}
	for _, part := range []string{"key", "value", "headers"} {
		class := set[part+".deserializer"]
		if class == "" && part != "headers" {
			class = p.get(part + "-deserializer")
		}
		format, err := deserializer(class)
		switch {
		case err != nil:
			return nil, err
		case format == "text":
		case part == "headers":
			return nil, fmt.Errorf("headers.deserializer %s: headers are printed as text", class)
		default:
			args = append(args, "--"+part+"-format="+format)
		}
	}
	var parts []string
	for _, pair := range printing {
		v, given := set[pair[0]]
		if isTrue(v) || !given && pair[1] == "value" {
			parts = append(parts, pair[1])
		}
	}
	if len(parts) == 0 {
		return nil, errors.New("print.value=false and nothing else to print")
	}
	args = append(args, "--print="+strings.Join(parts, ","))
	if v, ok := set["key.separator"]; ok {
		args = append(args, "--key-separator="+v)
	}
	if v, ok := set["headers.separator"]; ok {
		args = append(args, "--header-separator="+v)
	}
	if v, ok := set["null.literal"]; ok {
		args = append(args, "--null="+v)
	}
	if v, ok := set["line.separator"]; ok {
		args = append(args, "--delimiter="+v)
	}
	return args, nil
}

// deserializers are those of Kafka's clients, and what consume calls what they read.
var deserializers = map[string]string{
	"": "text", "StringDeserializer": "text", "ByteArrayDeserializer": "text", "ShortDeserializer": "short", "IntegerDeserializer": "int",
	"LongDeserializer": "long", "FloatDeserializer": "float", "DoubleDeserializer": "double", "BooleanDeserializer": "boolean", "UUIDDeserializer": "uuid",
}

// deserializer finds one of Kafka's own by its class.
func deserializer(class string) (string, error) {
	name := strings.TrimPrefix(class, "org.apache.kafka.common.serialization.")
	if format, ok := deserializers[name]; ok {
		return format, nil
	}
	return "", fmt.Errorf("deserializer %s: Java's classes cannot be run; Kafka's own for text, numbers, booleans and UUIDs are there", class)
}
