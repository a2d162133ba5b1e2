package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/broker"
)

// attributes prints the attributes that the MBeans of Kafka's own producer and
// consumer have, those of both protocols of groups, when each has done something.
const attributes = `
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.serialization.*;
public class Attributes {
	static void print(Map<MetricName, ? extends Metric> all) {
		for (MetricName m : all.keySet()) System.out.println(m.group() + " " + m.name());
	}
	static KafkaConsumer<byte[], byte[]> consumer(String broker, String protocol) {
		return new KafkaConsumer<>(Map.of("bootstrap.servers", broker, "group.id", protocol, "group.protocol", protocol, "auto.offset.reset", "earliest"),
			new ByteArrayDeserializer(), new ByteArrayDeserializer());
	}
	public static void main(String[] args) throws Exception {
		try (KafkaProducer<byte[], byte[]> p = new KafkaProducer<>(Map.of("bootstrap.servers", args[0]), new ByteArraySerializer(), new ByteArraySerializer())) {
			p.send(new ProducerRecord<>("t", new byte[1])).get();
			print(p.metrics());
		}
		try (KafkaConsumer<byte[], byte[]> c = consumer(args[0], "classic")) {
			c.assign(List.of(new TopicPartition("t", 0)));
			while (c.poll(Duration.ofMillis(100)).isEmpty());
			c.commitSync();
			print(c.metrics());
		}
		try (KafkaConsumer<byte[], byte[]> c = consumer(args[0], "consumer")) {
			print(c.metrics());
		}
	}
}
`

var attribute = regexp.MustCompile(`[a-z0-9]+(-[a-z0-9]+)*`)

// Each attribute of the MBeans of Kafka's own clients is in the reference, with the
// metric that says the same or why there is none; and no other is.
func TestClientMBeans(t *testing.T) {
	libs := os.Getenv("KAFKA_LIBS")
	java, err := exec.LookPath("java")
	if err != nil || libs == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("KAFKA_LIBS (scripts/kafka.sh libs) and java are missing")
		}
		t.Skip("needs java, and Apache Kafka in KAFKA_LIBS: KAFKA_LIBS=$(scripts/kafka.sh libs)")
	}
	b, err := broker.Open(broker.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Durability: broker.PageCache, DefaultPartitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	source := filepath.Join(t.TempDir(), "Attributes.java")
	if err := os.WriteFile(source, []byte(attributes), 0o644); err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"), source, b.Addr().String())
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints.String())
	}

	listed := map[string]bool{}
	list := func(text string) {
		for _, name := range attribute.FindAllString(text, -1) {
			listed[name] = true
		}
	}
	for _, k := range kafkaMetrics {
		list(k.java)
	}
	for _, m := range clientMBeans {
		list(m.attributes)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		group, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if known[name] = true; ok && !listed[name] {
			t.Errorf("%s of %s is not in the reference", name, group)
		}
	}
	for _, name := range []string{"record-send-total", "records-lag", "assigned-partitions", "unsent-requests-queue-size", "join-total"} {
		if !known[name] {
			t.Errorf("Kafka's clients have no %s", name)
		}
	}
	for name := range listed {
		if strings.Contains(name, "-") && name != "node-id" && !known[name] {
			t.Errorf("the reference has %s, which Kafka's clients do not", name)
		}
	}
}
