package main

import (
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/kafkascripts"
)

// What Kafka's scripts are translated to is there, with these options.
func TestKafkaScriptsAreOurCommands(t *testing.T) {
	const b = " --bootstrap-server localhost:9092 "
	seen := map[string]bool{}
	for _, typed := range []string{
		"kafka-topics.sh --list" + b + "--topic a --exclude-internal", "kafka-topics.sh --describe" + b, "kafka-topics.sh --delete --if-exists --topic t" + b,
		"kafka-topics.sh --create --topic t --if-not-exists --partitions 2 --replication-factor 1 --config a=b" + b, "kafka-topics.sh --alter --topic t --partitions 2" + b,
		"kafka-topics.sh --describe --under-replicated-partitions --topics-with-overrides" + b, "kafka-topics.sh --create --topic t --replica-assignment 1,1" + b,
		"kafka-delete-records.sh --offset-json-file f.json" + b,
		"kafka-configs.sh --describe --entity-type topics --all" + b, "kafka-configs.sh --describe --entity-type brokers --entity-default" + b,
		"kafka-configs.sh --alter --topic t --add-config a=b --delete-config c" + b, "kafka-configs.sh --alter --broker-defaults --add-config a=b" + b,
		"kafka-configs.sh --describe --entity-type clients" + b, "kafka-configs.sh --alter --user-defaults --client c --add-config producer_byte_rate=1" + b,
		"kafka-configs.sh --alter --ip 1.2.3.4 --delete-config connection_creation_rate" + b,
		"kafka-configs.sh --alter --user u --add-config SCRAM-SHA-512=[iterations=4096,password=p]" + b, "kafka-configs.sh --alter --user u --delete-config SCRAM-SHA-512" + b,
		"kafka-configs.sh --describe --entity-type client-metrics" + b, "kafka-configs.sh --describe --broker-logger 1" + b,
		"kafka-configs.sh --alter --client-metrics m --add-config interval.ms=1000" + b,
		"kafka-features.sh describe" + b, "kafka-run-class.sh kafka.tools.GetOffsetShell --topic t --broker-list localhost:9092",
		"kafka-cluster.sh list-endpoints --include-fenced-brokers" + b, "kafka-cluster.sh unregister --id 7" + b,
		"kafka-acls.sh --list --principal User:a --topic t --resource-pattern-type match" + b, "kafka-acls.sh --remove --force --cluster --allow-principal User:a" + b,
		"kafka-acls.sh --add --allow-principal User:a --producer --idempotent --topic t --transactional-id x" + b,
		"kafka-acls.sh --add --deny-principal User:a --deny-host 1.2.3.4 --allow-host 1.1.1.1 --consumer --topic t --group g --operation Read" + b,
		"kafka-console-producer.sh --topic t --property parse.key=true --property null.marker=N --timeout 1 --compression-codec zstd --command-property linger.ms=1" + b,
		"kafka-console-consumer.sh --topic t --partition 0 --offset earliest --max-messages 1 --timeout-ms 1 --isolation-level read_committed --property print.headers=true --property line.separator=; --property key.separator=:" + b,
		"kafka-console-consumer.sh --include t.* --group g --from-beginning --consumer-property client.id=x" + b,
		"kafka-consumer-groups.sh --list --state stable --type classic" + b, "kafka-consumer-groups.sh --list --state" + b, "kafka-consumer-groups.sh --describe --all-groups --state --verbose" + b, "kafka-consumer-groups.sh --describe --group g --members --verbose" + b,
		"kafka-consumer-groups.sh --delete --group g --group h" + b, "kafka-consumer-groups.sh --delete --all-groups" + b, "kafka-consumer-groups.sh --delete-offsets --group g --topic t" + b,
		"kafka-consumer-groups.sh --reset-offsets --all-groups --all-topics --to-datetime 2026-01-02T03:04:05.000 --export" + b,
		"kafka-consumer-groups.sh --reset-offsets --from-file f.csv --execute" + b, "kafka-consumer-groups.sh --reset-offsets --group g --topic t --by-duration PT1H" + b,
		"kafka-consumer-groups.sh --reset-offsets --group g --topic t --to-offset 5" + b, "kafka-consumer-groups.sh --reset-offsets --group g --topic t:0 --shift-by -5" + b,
		"kafka-groups.sh --list --consumer" + b, "kafka-groups.sh --list --share" + b, "kafka-groups.sh --list --group-type Classic --protocol connect" + b,
		"kafka-transactions.sh list --duration-filter 1000 --transactional-id-pattern a.*" + b, "kafka-transactions.sh describe --transactional-id x" + b,
		"kafka-transactions.sh describe-producers --topic t --partition 0 --broker-id 1" + b, "kafka-transactions.sh abort --topic t --partition 0 --start-offset 5" + b,
		"kafka-transactions.sh abort --topic t --partition 0 --producer-id 5 --producer-epoch 1 --coordinator-epoch 0" + b, "kafka-transactions.sh forceTerminateTransaction --transactionalId x" + b,
		"kafka-transactions.sh find-hanging --broker-id 1 --topic t --partition 1 --max-transaction-timeout 5" + b,
		"kafka-get-offsets.sh --topic t --time 1700000000000 --partitions 0" + b, "kafka-get-offsets.sh --time max-timestamp" + b,
		"kafka-leader-election.sh --election-type preferred --topic t --partition 0" + b, "kafka-leader-election.sh --election-type UNCLEAN --all-topic-partitions" + b,
		"kafka-leader-election.sh --election-type preferred --path-to-json-file f.json" + b,
		"kafka-reassign-partitions.sh --generate --topics-to-move-json-file f.json --broker-list 1,2 --disable-rack-aware" + b, "kafka-reassign-partitions.sh --list" + b,
		"kafka-reassign-partitions.sh --execute --reassignment-json-file f.json --additional --throttle 1 --replica-alter-log-dirs-throttle 1 --timeout 5 --disallow-replication-factor-change" + b,
		"kafka-reassign-partitions.sh --verify --reassignment-json-file f.json --preserve-throttles" + b, "kafka-reassign-partitions.sh --cancel --reassignment-json-file f.json --timeout 5" + b,
		"kafka-producer-perf-test.sh --topic t --num-records 1 --record-size 1 --throughput 100 --reporting-interval 100 --producer-props acks=1" + b,
		"kafka-consumer-perf-test.sh --topic t --messages 1 --timeout 100 --show-detailed-stats --group g --date-format yyyy" + b,
		"kafka-topics.sh --describe --topic-id AAAAAAAAAAAAAAAAAAAAAQ" + b, "kafka-consumer-groups.sh --validate-regex a",
		"kafka-console-consumer.sh --topic t --skip-message-on-error --value-deserializer LongDeserializer --property null.literal=- --property headers.separator=;" + b,
		"kafka-dump-log.sh --files a.log --print-data-log --skip-record-metadata --max-bytes 100", "kafka-dump-log.sh --files a.log --deep-iteration",
		"kafka-dump-log.sh --files a.log --offsets-decoder", "kafka-dump-log.sh --files a.log --transaction-log-decoder --deep-iteration",
		"kafka-server-start.sh s.properties --override a=b", "kafka-broker-api-versions.sh" + b, "kafka-cluster.sh cluster-id" + b,
		"kafka-log-dirs.sh --describe --broker-list 0,1 --topic-list a,b" + b, "kafka-server-stop.sh", "kafka-storage.sh format -t id -c s.properties", "zookeeper-server-start.sh", "zookeeper-server-stop.sh",
	} {
		words := strings.Fields(typed)
		seen[words[0]] = true
		translated, err := kafkascripts.Translate(words[0], words[1:])
		if err != nil {
			t.Error(err)
			continue
		}
		if len(translated.Args) == 0 {
			continue
		}
		c, rest, err := newRoot().Find(translated.Args)
		if err == nil {
			err = c.ParseFlags(rest)
		}
		if err == nil {
			err = c.ValidateArgs(c.Flags().Args())
		}
		if err != nil || !c.HasParent() || c.HasSubCommands() {
			t.Errorf("%s\nis tributary %s: %v", typed, strings.Join(translated.Args, " "), err)
		}
	}
	for _, name := range kafkascripts.Names() {
		if !seen[name] {
			t.Errorf("nothing of %s is tried", name)
		}
	}
}
