package kafkascripts

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// others are the scripts of Apache Kafka that have nothing to do here, and what to do instead.
var others = map[string]string{
	"kafka-metadata-quorum.sh":           "the broker is its own controller and has no quorum; kafka-cluster.sh list-endpoints shows the brokers of a cluster",
	"kafka-metadata-shell.sh":            "the broker has no metadata log; kafka-topics.sh, kafka-configs.sh and kafka-acls.sh show what is in Kafka's",
	"kafka-replica-verification.sh":      "one broker has no replicas to compare; kafka-dump-log.sh checks the files of a log",
	"kafka-delegation-tokens.sh":         "there are no delegation tokens; kafka-configs.sh --alter --entity-type users makes users that log in by SCRAM",
	"kafka-client-metrics.sh":            "the broker takes no metrics of clients; kafka-configs.sh --entity-type client-metrics shows and changes subscriptions of Apache Kafka",
	"kafka-share-groups.sh":              "there are no share groups; kafka-groups.sh --list shows those of Apache Kafka",
	"kafka-console-share-consumer.sh":    "there are no share groups; kafka-console-consumer.sh --group shares the partitions of a topic",
	"kafka-share-consumer-perf-test.sh":  "there are no share groups; kafka-consumer-perf-test.sh measures a consumer",
	"kafka-verifiable-share-consumer.sh": "there are no share groups; kafka-console-consumer.sh --group shares the partitions of a topic",
	"kafka-streams-groups.sh":            "there are no streams groups; Kafka Streams works with consumer groups, which kafka-consumer-groups.sh shows",
	"kafka-streams-application-reset.sh": "kafka-consumer-groups.sh --reset-offsets --to-earliest --group APPLICATION --topic INPUT --execute begins again, kafka-topics.sh --delete takes the application's own topics away",
	"kafka-verifiable-producer.sh":       "kafka-console-producer.sh produces lines, kafka-producer-perf-test.sh many records",
	"kafka-verifiable-consumer.sh":       "kafka-console-consumer.sh prints records, kafka-consumer-perf-test.sh counts them",
	"kafka-e2e-latency.sh":               "kafka-producer-perf-test.sh shows how long records take to be acknowledged",
	"kafka-jmx.sh":                       "there is no JMX; tributary broker serves metrics for Prometheus at /metrics",
	"connect-standalone.sh":              connect,
	"connect-distributed.sh":             connect,
	"connect-mirror-maker.sh":            connect,
	"connect-plugin-path.sh":             connect,
}

const connect = "Kafka Connect runs plugins of Java's; its own works with the broker"

// Others lists the scripts that only say what to do instead, sorted.
func Others() []string { return slices.Sorted(maps.Keys(others)) }

// classes are those of Kafka's tools that old tutorials run by kafka-run-class.sh, by the last part of their names, and their scripts.
var classes = map[string]string{
	"AclCommand": "kafka-acls.sh", "BrokerApiVersionsCommand": "kafka-broker-api-versions.sh", "ClusterTool": "kafka-cluster.sh",
	"ConfigCommand": "kafka-configs.sh", "ConsoleConsumer": "kafka-console-consumer.sh", "ConsoleProducer": "kafka-console-producer.sh",
	"ConsumerGroupCommand": "kafka-consumer-groups.sh", "ConsumerPerformance": "kafka-consumer-perf-test.sh",
	"DeleteRecordsCommand": "kafka-delete-records.sh", "DumpLogSegments": "kafka-dump-log.sh", "FeatureCommand": "kafka-features.sh",
	"GetOffsetShell": "kafka-get-offsets.sh", "GroupsCommand": "kafka-groups.sh", "Kafka": "kafka-server-start.sh",
	"LeaderElectionCommand": "kafka-leader-election.sh", "LogDirsCommand": "kafka-log-dirs.sh", "ProducerPerformance": "kafka-producer-perf-test.sh",
	"ReassignPartitionsCommand": "kafka-reassign-partitions.sh", "StorageTool": "kafka-storage.sh", "TopicCommand": "kafka-topics.sh",
	"TransactionsCommand": "kafka-transactions.sh",
}

// runClass is kafka-run-class.sh: the script of the class that is named.
func runClass(args []string) (Command, error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return Command{}, errors.New("kafka-run-class.sh: give a class of Kafka's tools, such as kafka.tools.GetOffsetShell")
	}
	name, ok := classes[args[0][strings.LastIndexByte(args[0], '.')+1:]]
	if !ok {
		return Command{}, fmt.Errorf("kafka-run-class.sh: %s: Java's classes cannot be run; Kafka's tools are there", args[0])
	}
	return Translate(name, args[1:])
}

var features = table(clusterOptions+"feature= release-version= metadata= dry-run unsafe", func(p *parsed) (Command, error) {
	if len(p.rest) != 1 || p.rest[0] != "describe" {
		return Command{}, errors.New("describe is what it can do: the features of the broker are those of its version, and those of Apache Kafka are changed by its own")
	}
	p.rest = nil
	args, err := p.cluster([]string{"cluster", "features", "--output=kafka"}, p.get("command-config"))
	return Command{Args: args}, err
})
