package kafkascripts_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/kafkascripts"
)

func TestNames(t *testing.T) {
	for argv0, want := range map[string]string{
		"bin/kafka-topics.sh": "kafka-topics.sh", "kafka-topics": "kafka-topics.sh", "/usr/bin/zookeeper-server-start.sh": "zookeeper-server-start.sh",
	} {
		if got, ok := kafkascripts.Name(argv0); !ok || got != want {
			t.Errorf("%s is %q, %v", argv0, got, ok)
		}
	}
	for _, argv0 := range []string{"tributary", "bin/tributary", "kafka.sh", ""} {
		if got, ok := kafkascripts.Name(argv0); ok {
			t.Errorf("%s is taken for %s", argv0, got)
		}
	}
}

func TestTranslate(t *testing.T) {
	const here = "--kafka=kafka://localhost:9092"
	for typed, want := range map[string]string{
		"kafka-topics.sh --create --zookeeper localhost:2181 --replication-factor 1 --partitions 1 --topic test":                                                                                                                                                     "topics create " + here + " --partitions=1 --replication=1 -- test",
		"kafka-topics.sh --bootstrap-server=localhost:9092 --crea --topic t --config a=b --config c=d --if-not-exists":                                                                                                                                               "topics create " + here + " --set=a=b --set=c=d --if-missing -- t",
		"kafka-topics.sh --list --bootstrap-server localhost:9092 --exclude-internal --topic a.*,b":                                                                                                                                                                  "topics list " + here + " --output=kafka -- ^(?:a.*|b)$",
		"kafka-topics.sh --delete --topic a,b --bootstrap-server k1:1,k2:2 --command-config c.properties":                                                                                                                                                            "topics delete --kafka=kafka://k1:1,k2:2 --kafka-config=c.properties -- a b",
		"kafka-topics.sh --describe --topic a.*,b --bootstrap-server localhost:9092":                                                                                                                                                                                 "topics describe " + here + " --output=kafka --internal -- /^(?:a.*|b)$/",
		"kafka-topics.sh --alter --topic t.1 --if-exists --partitions 3 --bootstrap-server localhost:9092":                                                                                                                                                           "topics alter " + here + " --partitions=3 --if-exists -- t.1",
		"kafka-console-producer.sh --broker-list localhost:9092 --topic t --sync --request-required-acks -1":                                                                                                                                                         "produce --kafka=kafka://localhost:9092?acks=-1 -- t",
		"kafka-console-producer.sh --bootstrap-server localhost:9092 --topic t --property parse.key=true --property key.separator==":                                                                                                                                 "produce --key-separator== " + here + " -- t",
		"kafka-console-producer.sh --bootstrap-server localhost:9092 --topic t --property parse.headers=true --property headers.separator=; --property null.marker=- --property ignore.error=true":                                                                   "produce --header-delimiter=\\t --header-separator=; --lenient --null=- " + here + " -- t",
		"kafka-console-producer.sh --bootstrap-server localhost:9092 --topic t --reader-property parse.key=true --compression-codec":                                                                                                                                 "produce --key-separator=\\t --kafka=kafka://localhost:9092?compression.type=gzip -- t",
		"kafka-console-consumer.sh --zookeeper localhost:2181 --topic t --from-beginning":                                                                                                                                                                            "consume --output=kafka --print=value --from-beginning " + here + " -- t",
		"kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic t --partition 1 --offset -5 --timeout-ms 500":                                                                                                                                           "consume --output=kafka --print=value --partition=1 --offset=-5 --timeout=500ms " + here + " -- t",
		"kafka-console-consumer.sh --bootstrap-server localhost:9092 --whitelist a|b --group g --property print.value=false --property print.key=true":                                                                                                               "consume --output=kafka --print=key --group=g " + here + " --topic-regex=^(?:a|b)$",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --describe --group g --members --verbose":                                                                                                                                                        "groups describe " + here + " --output=kafka --members --verbose -- g",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --reset-offsets --group g --topic t:0,1 --shift-by -10 --dry-run":                                                                                                                                "groups reset-offsets " + here + " --output=kafka --topic=t:0,1 --shift-by=-10 -- g",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --describe --group g --members":                                                                                                                                                                  "groups describe " + here + " --output=kafka --members -- g",
		"kafka-consumer-groups.sh --bootstrap-server localhost:9092 --list --state stable,empty --type":                                                                                                                                                              "groups list " + here + " --output=kafka --show=type --show=state --state=Stable --state=Empty",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --entity-type topics --entity-name t --add-config-file f --delete-config x":                                                                                                                      "configs alter " + here + " --set-file=f --unset=x -- topic t",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --entity-type topics --entity-name t --add-config a=[b,c],d=e":                                                                                                                                   "configs alter " + here + " --set=a=b,c --set=d=e -- topic t",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --entity-type brokers --entity-default --delete-config a,b":                                                                                                                                      "configs alter " + here + " --unset=a --unset=b -- broker-default",
		"kafka-configs.sh --bootstrap-server localhost:9092 --describe --topic t --all":                                                                                                                                                                              "configs describe " + here + " --output=kafka --all -- topic t",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --add-config producer_byte_rate=1 --entity-type users --entity-name u --entity-type clients --entity-name c":                                                                                     "quotas set " + here + " --user=u --client-id=c -- producer_byte_rate=1",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --delete-config producer_byte_rate --entity-type clients --entity-default":                                                                                                                       "quotas delete " + here + " --client-id-default -- producer_byte_rate",
		"kafka-configs.sh --bootstrap-server localhost:9092 --describe --entity-type users":                                                                                                                                                                          "quotas list " + here + " --any=user --only --output=kafka",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --add-config SCRAM-SHA-256=[iterations=8192,password=p] --user u":                                                                                                                                "users add --password-file=- " + here + " --mechanism=SCRAM-SHA-256 --iterations=8192 -- u",
		"kafka-acls.sh --bootstrap-server localhost:9092 --add --allow-principal User:u --operation DescribeConfigs --topic t --resource-pattern-type PREFIXED":                                                                                                      "acls add --output=kafka " + here + " --topic=t --allow-principal=User:u --operation=describe-configs --pattern=prefixed",
		"kafka-acls.sh --bootstrap-server localhost:9092 --list":                                                                                                                                                                                                     "acls list --output=kafka " + here,
		"kafka-get-offsets.sh --bootstrap-server localhost:9092 --topic t --time -2 --partitions 0,1":                                                                                                                                                                "topics offsets --output=kafka " + here + " --time=earliest --internal --partition=0 --partition=1 -- ^(?:t)$",
		"kafka-get-offsets.sh --bootstrap-server localhost:9092 --topic-partitions a.*:1,:2- --time -6":                                                                                                                                                              "topics offsets --output=kafka " + here + " --time=earliest-pending-upload --internal --topic-partitions=a.*:1 --topic-partitions=:2-",
		"kafka-cluster.sh cluster-id -b localhost:9092 -c a.properties":                                                                                                                                                                                              "cluster id --output=kafka " + here + " --kafka-config=a.properties",
		"kafka-groups.sh --list --bootstrap-server localhost:9092 --group-type Consumer --protocol consumer":                                                                                                                                                         "groups list --output=kafka --show=protocol " + here + " --type=consumer --protocol=consumer",
		"kafka-groups.sh --list --bootstrap-server localhost:9092 --consumer":                                                                                                                                                                                        "groups list --output=kafka --show=protocol " + here + " --consumers",
		"kafka-transactions.sh --bootstrap-server localhost:9092 list --duration-filter -1":                                                                                                                                                                          "transactions list --output=kafka " + here,
		"kafka-transactions.sh --bootstrap-server localhost:9092 find-hanging --topic t --partition 2 --max-transaction-timeout 5":                                                                                                                                   "transactions find-hanging --output=kafka " + here + " --topic=t:2 --silent-for=5m",
		"kafka-transactions.sh abort --topic t --partition 0 --start-offset 7 --bootstrap-server localhost:9092":                                                                                                                                                     "transactions abort " + here + " --start-offset=7 -- t:0",
		"kafka-leader-election.sh --bootstrap-server localhost:9092 --election-type PREFERRED --topic t --partition 1":                                                                                                                                               "topics elect-leaders --output=kafka " + here + " -- t:1",
		"kafka-leader-election.sh --bootstrap-server localhost:9092 --election-type unclean --all-topic-partitions":                                                                                                                                                  "topics elect-leaders --output=kafka " + here + " --unclean --all",
		"kafka-leader-election.sh --bootstrap-server localhost:9092 --election-type preferred --path-to-json-file f.json --admin.config a":                                                                                                                           "topics elect-leaders --output=kafka " + here + " --kafka-config=a --from-file=f.json",
		"kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --generate --topics-to-move-json-file f.json --broker-list 1,2 --disable-rack-aware":                                                                                                         "reassign generate --output=kafka " + here + " --broker=1 --broker=2 --topics-file=f.json --ignore-racks",
		"kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --execute --reassignment-json-file f.json --throttle 5000 --timeout 100 --replica-alter-log-dirs-throttle -1":                                                                                "reassign execute --output=kafka " + here + " --throttle=5000B --timeout=100ms -- f.json",
		"kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --verify --reassignment-json-file f.json --preserve-throttles":                                                                                                                               "reassign verify --output=kafka " + here + " --keep-throttles -- f.json",
		"kafka-reassign-partitions.sh --bootstrap-server localhost:9092 --list":                                                                                                                                                                                      "reassign list --output=kafka " + here,
		"kafka-topics.sh --bootstrap-server localhost:9092 --describe --topic-id abc --topic t":                                                                                                                                                                      "topics describe " + here + " --output=kafka --internal --topic-id=abc",
		"kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic t --key-deserializer IntegerDeserializer --property value.deserializer=org.apache.kafka.common.serialization.LongDeserializer --property null.literal=- --property headers.separator=;": "consume --output=kafka --key-format=int --value-format=long --print=value --header-separator=; --null=- " + here + " -- t",
		"kafka-cluster.sh list-endpoints --include-fenced-brokers -b localhost:9092":                                                                                                                                                                                 "cluster brokers --output=kafka --fenced " + here,
		"kafka-cluster.sh unregister -i 3 --bootstrap-server localhost:9092":                                                                                                                                                                                         "cluster unregister --output=kafka " + here + " -- 3",
		"kafka-configs.sh --bootstrap-server localhost:9092 --describe --entity-type client-metrics":                                                                                                                                                                 "configs describe " + here + " --output=kafka -- client-metrics",
		"kafka-configs.sh --bootstrap-server localhost:9092 --alter --broker-logger 1 --add-config kafka=DEBUG":                                                                                                                                                      "configs alter " + here + " --set=kafka=DEBUG -- broker-logger 1",
		"kafka-run-class.sh kafka.tools.GetOffsetShell --broker-list localhost:9092 --topic t --time -1":                                                                                                                                                             "topics offsets --output=kafka " + here + " --time=latest --internal -- ^(?:t)$",
		"kafka-features.sh --bootstrap-server localhost:9092 describe":                                                                                                                                                                                               "cluster features --output=kafka " + here,
		"kafka-topics.sh --version": "version",
		"kafka-producer-perf-test.sh --topic t --num-records 10 --record-size 5 --throughput -1 --producer-props acks=1 bootstrap.servers=localhost:9092":                                                                                       "bench produce --output=kafka --duration=0s --interval=5s --kafka=kafka://localhost:9092?acks=1 --records=10 --size=5 -- t",
		"kafka-producer-perf-test.sh --topic t --num-records 10 --payload-file f --payload-delimiter ; --throughput 5 --warmup-records 3 --command-property transactional.id=x --bootstrap-server localhost:9092 --transaction-duration-ms 100": "bench produce --output=kafka --duration=0s --interval=5s " + here + " --records=10 --payload-file=f --payload-delimiter=; --warmup=3 --transactional-id=x --transaction-duration=100ms --rate=5 -- t",
		"kafka-consumer-perf-test.sh --topic t --num-records 10 --from-latest --hide-header --bootstrap-server localhost:9092":                                                                                                                  "bench consume --output=kafka --follow --no-header --interval=0s --records=10 --idle=10000ms " + here + " -- t",
		"kafka-dump-log.sh --files a.log,b.index --print-data-log":      "dump-log --output=kafka --decode=plain --print-data-log -- a.log b.index",
		"kafka-server-start.sh config/server.properties --override a=b": "broker --http=off --server-properties=config/server.properties --override=a=b",
	} {
		words := strings.Fields(typed)
		c, err := kafkascripts.Translate(words[0], words[1:])
		if got := strings.Join(c.Args, " "); err != nil || got != want {
			t.Errorf("%s\nis   %s\nwant %s (%v)", typed, got, want, err)
		}
	}
}

func TestTranslateActions(t *testing.T) {
	for typed, want := range map[string]kafkascripts.Action{
		"kafka-server-start.sh s.properties":                     kafkascripts.Serve,
		"kafka-server-start.sh -daemon s.properties":             kafkascripts.ServeAway,
		"kafka-server-stop.sh":                                   kafkascripts.Stop,
		"zookeeper-server-start.sh -daemon zookeeper.properties": kafkascripts.Nothing,
		"zookeeper-server-stop.sh":                               kafkascripts.Nothing,
		"kafka-storage.sh random-uuid":                           kafkascripts.NewID,
		"kafka-topics.sh":                                        kafkascripts.Explain,
		"kafka-storage.sh format -t X -c s.properties":           kafkascripts.Format,
	} {
		words := strings.Fields(typed)
		if c, err := kafkascripts.Translate(words[0], words[1:]); err != nil || c.Action != want {
			t.Errorf("%s: %v, %v", typed, c.Action, err)
		}
	}
	for _, name := range kafkascripts.Names() {
		if name == "kafka-run-class.sh" {
			continue // it takes a class
		}
		for _, help := range []string{"--help", "-h"} {
			if c, err := kafkascripts.Translate(name, []string{help}); err != nil || c.Action != kafkascripts.Nothing || len(c.Says) < 3 || !slices.Contains(c.Says, "  --version") {
				t.Errorf("%s %s: %+v, %v", name, help, c, err)
			}
		}
	}
	c, err := kafkascripts.Translate("kafka-configs.sh", strings.Fields("--bootstrap-server b:1 --alter --user u --add-config SCRAM-SHA-512=[password=secret]"))
	if err != nil || c.Input != "secret\n" || slices.ContainsFunc(c.Args, func(a string) bool { return strings.Contains(a, "secret") }) {
		t.Errorf("a password: %+v, %v", c, err)
	}
	c, err = kafkascripts.Translate("kafka-storage.sh", strings.Fields(`format -t X --config s.properties -g -S SCRAM-SHA-256=[name=alice,password=a=b] --add-scram SCRAM-SHA-512=[name="bob",iterations=8192,salt="N3E=",saltedpassword="YCE="]`))
	if want := (&kafkascripts.Storage{Properties: "s.properties", ClusterID: "X", Again: true, Users: []kafkascripts.ScramUser{
		{Name: "bob", Mechanism: "SCRAM-SHA-512", Iterations: 8192, Salt: []byte("7q"), SaltedPassword: []byte("`!")},
		{Name: "alice", Mechanism: "SCRAM-SHA-256", Iterations: 4096, Password: "a=b"},
	}}); err != nil || !reflect.DeepEqual(c.Storage, want) {
		t.Errorf("users: %+v, %v", c.Storage, err)
	}
	c, err = kafkascripts.Translate("kafka-console-producer.sh", strings.Fields("--bootstrap-server b:1 --topic t --producer-property interceptor.classes=x"))
	if err != nil || len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "interceptor.classes") {
		t.Errorf("a property of Java's: %+v, %v", c, err)
	}
}

func TestTranslateRefuses(t *testing.T) {
	for typed, part := range map[string]string{
		"kafka-topics.sh --list --bootstrap-server b:1 --nonsense":                                                                                 "unknown option --nonsense",
		"kafka-topics.sh --list":                                                                                                                   "--bootstrap-server host:9092 is missing",
		"kafka-topics.sh --bootstrap-server b:1":                                                                                                   "one of --create, --list",
		"kafka-topics.sh --bootstrap-server b:1 --list --create --topic t":                                                                         "one of --create, --list",
		"kafka-topics.sh --list --zookeeper zk.example.net:2181":                                                                                   "--bootstrap-server host:9092",
		"kafka-topics.sh --bootstrap-server b:1 --create":                                                                                          "--topic is missing",
		"kafka-topics.sh --bootstrap-server b:1 --create --topic":                                                                                  "--topic needs a value",
		"kafka-topics.sh --bootstrap-server b:1 --list=x":                                                                                          "takes no value",
		"kafka-topics.sh --bootstrap-server b:1 --list what":                                                                                       `what is "what"?`,
		"kafka-topics.sh --bootstrap-server b:1 --de":                                                                                              "may be --delete or --delete-config or --describe",
		"kafka-topics.sh --bootstrap-server b:1 --alter --topic t --config a=b":                                                                    "kafka-configs.sh",
		"kafka-topics.sh --bootstrap-server b:1 --alter --topic t --partitions 2 --replica-assignment 1,1":                                         "--replica-assignment",
		"kafka-console-consumer.sh --bootstrap-server b:1":                                                                                         "one of --topic and --include",
		"kafka-console-consumer.sh --bootstrap-server b:1 --topic t --formatter com.example.F":                                                     "Java's classes",
		"kafka-console-consumer.sh --bootstrap-server b:1 --topic t --property print.all=true":                                                     "print.all",
		"kafka-console-consumer.sh --bootstrap-server b:1 --topic t --value-deserializer org.example.LongDeserializer":                             "Java's classes cannot be run",
		"kafka-console-consumer.sh --bootstrap-server b:1 --topic t --formatter-property headers.deserializer=LongDeserializer":                    "headers are printed as text",
		"kafka-console-consumer.sh --bootstrap-server b:1 --topic t --formatter-config /nowhere":                                                   "--formatter-config: stat /nowhere",
		"kafka-topics.sh --bootstrap-server b:1 --list --topic-id x":                                                                               "--topic-id is for --describe",
		"kafka-console-producer.sh --bootstrap-server b:1 --topic t --producer-property acks=7":                                                    "acks",
		"kafka-consumer-groups.sh --bootstrap-server b:1 --describe":                                                                               "--group or --all-groups",
		"kafka-configs.sh --bootstrap-server b:1 --alter --entity-type topics --entity-name t":                                                     "--add-config, --add-config-file or --delete-config",
		"kafka-acls.sh --add --authorizer-properties zookeeper.connect=z:1":                                                                        "--bootstrap-server",
		"kafka-producer-perf-test.sh --topic t --num-records 1 --throughput -1 --record-size 5 --payload-monotonic --bootstrap-server b:1":         "one of --record-size, --payload-file, --payload-monotonic",
		"kafka-producer-perf-test.sh --topic t --num-records 1 --throughput -1 --record-size 5 --transaction-duration-ms 0 --bootstrap-server b:1": "above 0",
		"kafka-get-offsets.sh --bootstrap-server b:1 --topic-partitions a --topic b":                                                               "--topic-partitions does not go with --topic",
		"kafka-groups.sh --bootstrap-server b:1":                                                                                                   "--list",
		"kafka-groups.sh --bootstrap-server b:1 --list --share --streams":                                                                          "exclude each other",
		"kafka-transactions.sh --bootstrap-server b:1":                                                                                             "give list, describe",
		"kafka-transactions.sh --bootstrap-server b:1 list --topic t":                                                                              "list takes no --topic",
		"kafka-transactions.sh --bootstrap-server b:1 describe-producers --topic t":                                                                "--partition is missing",
		"kafka-transactions.sh --bootstrap-server b:1 find-hanging":                                                                                "one of --topic and --broker-id",
		"kafka-transactions.sh --bootstrap-server b:1 abort --topic t --partition 0":                                                               "one of --start-offset and --producer-id",
		"kafka-reassign-partitions.sh --bootstrap-server b:1 --list --verify":                                                                      "one of --generate, --execute",
		"kafka-reassign-partitions.sh --bootstrap-server b:1 --verify":                                                                             "--verify: --reassignment-json-file is missing",
		"kafka-reassign-partitions.sh --bootstrap-server b:1 --list --throttle 5":                                                                  "--list takes no --throttle",
		"kafka-reassign-partitions.sh --bootstrap-server b:1 --execute --reassignment-json-file f --throttle x":                                    "--throttle x: allowed are bytes",
		"kafka-reassign-partitions.sh --list":                                                                                                      "--bootstrap-server host:9092 is missing",
		"kafka-cluster.sh --bootstrap-server b:1":                                                                                                  "give one of cluster-id",
		"kafka-cluster.sh unregister --bootstrap-server b:1":                                                                                       "--id is missing",
		"kafka-cluster.sh feed --bootstrap-server b:1":                                                                                             `what is "feed"?`,
		"kafka-configs.sh --describe --bootstrap-server b:1 --entity-type broker-loggers":                                                          "--entity-name is missing",
		"kafka-configs.sh --describe --bootstrap-server b:1 --entity-type racks":                                                                   "--entity-type racks",
		"kafka-leader-election.sh --bootstrap-server b:1 --topic t --partition 0":                                                                  "--election-type is missing",
		"kafka-leader-election.sh --bootstrap-server b:1 --topic t --election-type preferred":                                                      "--topic and --partition go together",
		"kafka-leader-election.sh --bootstrap-server b:1 --election-type preferred":                                                                "one of --topic, --path-to-json-file, --all-topic-partitions",
		"kafka-leader-election.sh --bootstrap-server b:1 --all-topic-partitions --election-type biggest":                                           "allowed are preferred and unclean",
		"kafka-server-start.sh":        "server.properties",
		"kafka-storage.sh format -t x": "--config is missing",
		"kafka-storage.sh format -c x": "--cluster-id is missing",
		"kafka-storage.sh format -t x -c x -S SCRAM-SHA-1=[name=a,password=b]":                "allowed is SCRAM-SHA-256=",
		"kafka-storage.sh format -t x -c x -S SCRAM-SHA-256=[name=a]":                         "one of password and saltedpassword",
		"kafka-storage.sh format -t x -c x -S SCRAM-SHA-256=[password=a]":                     "name is missing",
		"kafka-storage.sh format -t x -c x -S SCRAM-SHA-256=[name=a,saltedpassword=YCE=]":     "salt and saltedpassword go together",
		"kafka-storage.sh format -t x -c x -S SCRAM-SHA-256=[name=a,password=b,iterations=1]": "iterations: allowed are 4096 to 16384",
		"kafka-storage.sh format -t x -c x -S SCRAM-SHA-256=[name=a,salt=?]":                  "salt: ",
		"kafka-storage.sh":                      "format",
		"kafka-dump-log.sh --print-data-log":    "--files",
		"kafka-producer-perf-test.sh --topic t": "--num-records is missing",
		"kafka-nothing.sh":                      "no such script",
	} {
		words := strings.Fields(typed)
		_, err := kafkascripts.Translate(words[0], words[1:])
		if err == nil || !strings.Contains(err.Error(), part) || !strings.HasPrefix(err.Error(), words[0]+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", typed, err, part)
		}
	}
}

// What has nothing to do here says what to do instead, in one line, whatever it is asked for.
func TestOthers(t *testing.T) {
	for _, name := range kafkascripts.Others() {
		if found, ok := kafkascripts.Name("bin/" + name); !ok || found != name || slices.Contains(kafkascripts.Names(), name) {
			t.Errorf("%s: %s, %v", name, found, ok)
		}
		for _, args := range [][]string{nil, {"--help"}, {"--bootstrap-server", "b:1", "--nonsense"}} {
			_, err := kafkascripts.Translate(name, args)
			if err == nil || !strings.HasPrefix(err.Error(), name+": ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s %v: %v", name, args, err)
			}
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"com.example.Main"}} {
		if _, err := kafkascripts.Translate("kafka-run-class.sh", args); err == nil || !strings.HasPrefix(err.Error(), "kafka-run-class.sh: ") {
			t.Errorf("kafka-run-class.sh %v: %v", args, err)
		}
	}
}

// FuzzTranslate takes any arguments; whatever they are, there is an answer.
func FuzzTranslate(f *testing.F) {
	f.Add("--create --topic t --bootstrap-server b:1 --config a=[b,c]")
	f.Add("--alter --entity-type users --add-config SCRAM-SHA-256=[password=p]")
	f.Add("-- --=x -daemon - -1")
	f.Fuzz(func(t *testing.T, line string) {
		for _, name := range kafkascripts.Names() {
			c, err := kafkascripts.Translate(name, strings.Split(line, " "))
			if err == nil && c.Action == kafkascripts.Run && len(c.Args) == 0 {
				t.Errorf("%s %s runs nothing", name, line)
			}
		}
	})
}
