package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// tool runs one of Apache Kafka's own tools against the broker, and fails with what it
// printed.
func (k *brokerProcess) tool(ctx context.Context, libs, class string, args ...string) error {
	cmd := exec.CommandContext(ctx, "java", append([]string{"-Xmx512m", "-XX:+UseG1GC", "-cp", libs + string(os.PathSeparator) + "*", class, "--bootstrap-server", k.address}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", class, err, out.Bytes())
	}
	return nil
}

// produceByJava writes so many bytes to a topic with ProducerPerformance.
func (k *brokerProcess) produceByJava(ctx context.Context, libs, topic string, s shape, size float64) (res brokerResult, err error) {
	n := int64(size) / int64(s.record)
	before := k.process.usage()
	err = k.tool(ctx, libs, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", strconv.FormatInt(n, 10),
		"--record-size", strconv.Itoa(s.record), "--throughput", "-1", "--command-property", "acks=all", "linger.ms=5", "buffer.memory=67108864",
		"batch.size="+strconv.Itoa(int(s.batch)))
	if err != nil {
		return res, err
	}
	res.produce = k.process.usage().since(before)
	// The tool ends well whether or not records were refused.
	if res.records, err = k.records(ctx, topic); err == nil && res.records != n {
		err = fmt.Errorf("%d of %d records are in the topic", res.records, n)
	}
	res.bytes = float64(n) * float64(s.record)
	return res, err
}

// consumeByJava reads so many records from a topic's beginning with ConsumerPerformance.
func (k *brokerProcess) consumeByJava(ctx context.Context, libs, topic string, records int64) (usage, error) {
	before := k.process.usage()
	err := k.tool(ctx, libs, "org.apache.kafka.tools.ConsumerPerformance", "--topic", topic, "--num-records", strconv.FormatInt(records, 10),
		"--fetch-size", strconv.Itoa(fetchPartitionBytes), "--timeout", "30000", "--hide-header")
	return k.process.usage().since(before), err
}
