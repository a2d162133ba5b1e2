package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/broker"
)

// The tools, by the names of their classes.
const (
	topicCommand   = "org.apache.kafka.tools.TopicCommand "
	consoleProduce = "org.apache.kafka.tools.ConsoleProducer "
	consoleConsume = "org.apache.kafka.tools.consumer.ConsoleConsumer "
	getOffsets     = "org.apache.kafka.tools.GetOffsetShell "
	groupCommand   = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "
	configCommand  = "kafka.admin.ConfigCommand "
	aclCommand     = "org.apache.kafka.tools.AclCommand "
	deleteRecords  = "org.apache.kafka.tools.DeleteRecordsCommand "
	transactions   = "org.apache.kafka.tools.TransactionsCommand "
	logDirs        = "org.apache.kafka.tools.LogDirsCommand "
	producePerf    = "org.apache.kafka.tools.ProducerPerformance "
	consumePerf    = "org.apache.kafka.tools.ConsumerPerformance "
	verifiableProd = "org.apache.kafka.tools.VerifiableProducer "
	verifiableCons = "org.apache.kafka.tools.VerifiableConsumer "
	copier         = "org.apache.kafka.tools.TransactionalMessageCopier "
	dumpLog        = "org.apache.kafka.tools.DumpLogSegments "
	apiVersions    = "org.apache.kafka.tools.BrokerApiVersionsCommand "
	clusterTool    = "org.apache.kafka.tools.ClusterTool "
	elections      = "org.apache.kafka.tools.LeaderElectionCommand "
	reassign       = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand "
	groupsCommand  = "org.apache.kafka.tools.GroupsCommand "
)

// TestJavaTools has Apache Kafka's own tools work on the broker.
func TestJavaTools(t *testing.T) {
	path, version := jars(t)
	dir := ""
	b := start(t, apacheJava, func(c *broker.Config) {
		enforcing(c)
		c.DefaultPartitions = 1
		dir = c.DataDir
	})
	j := &javaCase{javaTools: newJavaTools(t, path, b.Addr().String()), path: path, dir: dir}
	for _, c := range []struct {
		what string
		do   func(t *testing.T)
	}{
		{"TopicCommand", j.topics},
		{"ConsoleProducer, ConsoleConsumer", j.console},
		{"GetOffsetShell, DeleteRecordsCommand", j.offsets},
		{"ConsumerGroupCommand, GroupsCommand: list, describe", j.groupsDescribed},
		{"ConsumerGroupCommand: reset-offsets by every rule, delete-offsets, delete", j.groupsReset},
		{"ConfigCommand: topics, brokers, groups, users, clients, addresses", j.configs},
		{"AclCommand", j.acls},
		{"TransactionalMessageCopier", j.copy},
		{"TransactionsCommand", j.transactions},
		{"ProducerPerformance, ConsumerPerformance", j.performance},
		{"VerifiableProducer, VerifiableConsumer", j.verifiable},
		{"LogDirsCommand, LeaderElectionCommand, ReassignPartitionsCommand", j.directories},
		{"BrokerApiVersionsCommand, ClusterTool", j.cluster},
		{"DumpLogSegments", j.dump},
	} {
		check(t, apacheJava, version, c.what, c.do)
	}
}

type javaCase struct {
	*javaTools
	path string // the class path
	dir  string // the broker's data
}

// client is a client in this process, for what a tool looks at.
func (j *javaCase) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(j.addr))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// member is a client in a group, which has its partitions when member returns.
func (j *javaCase) member(t *testing.T, group, topic string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	assigned := make(chan struct{}, 16)
	cl := j.client(t, append(opts, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ClientID("member"),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { assigned <- struct{}{} }))...)
	select {
	case <-assigned:
	case <-time.After(patience):
		t.Fatalf("no partitions in group %s", group)
	}
	return cl
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d:v%d\n", i%10, i)
	}
	return b.String()
}

func (j *javaCase) topics(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jt --partitions 2 --config retention.ms=100000", "Created topic jt")
	if status, out := j.call(t, "", strings.TrimSpace(topicCommand), "--bootstrap-server", j.addr, "--create", "--topic", "jt"); status == 0 || !strings.Contains(out, "already exists") {
		t.Errorf("made twice: %d\n%s", status, out)
	}
	j.says(t, topicCommand+"--create --topic jt --if-not-exists")
	j.says(t, topicCommand+"--create --topic jt-assigned --replica-assignment 1,1,1", "Created topic jt-assigned")
	j.says(t, topicCommand+"--alter --topic jt --partitions 3")
	j.says(t, topicCommand+"--describe --topic jt", "PartitionCount: 3", "ReplicationFactor: 1", "retention.ms=100000", "Leader: 1", "Isr: 1")
	j.says(t, topicCommand+"--describe --topics-with-overrides", "jt", "!jt-assigned")
	j.says(t, topicCommand+"--describe --under-replicated-partitions", "!jt")
	j.says(t, topicCommand+"--describe --unavailable-partitions", "!jt")
	j.says(t, topicCommand+"--list", "jt\n", "jt-assigned\n")
	j.says(t, topicCommand+"--delete --topic jt.*")
	j.says(t, topicCommand+"--list", "!jt")
}

func (j *javaCase) console(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jc --partitions 2")
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		j.reads(t, codec+":one\n"+codec+":two\n", consoleProduce+"--topic jc --compression-codec "+codec+" --reader-property parse.key=true --reader-property key.separator=:")
	}
	j.reads(t, "h:1\tk:with headers\n", consoleProduce+"--topic jc --reader-property parse.key=true --reader-property parse.headers=true --reader-property key.separator=: --request-required-acks 1")
	all := []string{"none-one\n", "gzip-two\n", "snappy-one\n", "lz4-two\n", "zstd-one\n", "h:1 k-with headers\n", "Processed a total of 11 messages"}
	format := "--formatter-property print.key=true --formatter-property key.separator=- --formatter-property print.headers=true --formatter-property 'headers.separator=,' "
	for i := range all {
		if strings.HasSuffix(all[i], "\n") && !strings.HasPrefix(all[i], "h:1") {
			all[i] = "NO_HEADERS-" + all[i]
		}
	}
	all[5] = "h:1-k-with headers\n"
	j.says(t, consoleConsume+"--topic jc --from-beginning --max-messages 11 "+format, all...)
	j.says(t, consoleConsume+"--topic jc --group jc-classic --from-beginning --max-messages 11", "Processed a total of 11 messages")
	j.says(t, consoleConsume+"--topic jc --group jc-consumer --command-property group.protocol=consumer --from-beginning --max-messages 11", "Processed a total of 11 messages")
	j.says(t, consoleConsume+"--topic jc --partition 0 --offset 1 --max-messages 1", "Processed a total of 1 messages")
	j.says(t, consoleConsume+"--include jc|nothing --from-beginning --max-messages 11 --isolation-level read_committed", "Processed a total of 11 messages")
}

func (j *javaCase) offsets(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jo --partitions 1")
	j.reads(t, lines(20), consoleProduce+"--topic jo")
	j.says(t, getOffsets+"--topic jo", "jo:0:20")
	j.says(t, getOffsets+"--topic jo --time earliest", "jo:0:0")
	j.says(t, getOffsets+"--topic jo --time max-timestamp", "jo:0:")
	j.says(t, getOffsets+"--topic-partitions jo:0 --time 1", "jo:0:0")
	file := filepath.Join(t.TempDir(), "delete.json")
	if err := os.WriteFile(file, []byte(`{"version":1,"partitions":[{"topic":"jo","partition":0,"offset":7}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	j.says(t, deleteRecords+"--offset-json-file "+file, "partition: jo-0", "low_watermark: 7")
	j.says(t, getOffsets+"--topic jo --time earliest", "jo:0:7")
}

func (j *javaCase) groupsDescribed(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jg --partitions 2")
	j.reads(t, lines(10), consoleProduce+"--topic jg --reader-property parse.key=true --reader-property key.separator=:")
	j.says(t, consoleConsume+"--topic jg --group jg-empty --from-beginning --max-messages 10")
	j.member(t, "jg-classic", "jg")
	//lint:ignore SA1029 franz-go looks for this very key
	nextGeneration := context.WithValue(context.Background(), "opt_in_kafka_next_gen_balancer_beta", true)
	j.member(t, "jg-consumer", "jg", kgo.WithContext(nextGeneration))
	j.says(t, groupCommand+"--list", "jg-empty\n", "jg-classic\n", "jg-consumer\n")
	j.says(t, groupCommand+"--list --state", "jg-empty", "Empty", "Stable")
	j.says(t, groupCommand+"--list --state Stable", "!jg-empty")
	j.says(t, groupCommand+"--list --type consumer", "jg-consumer", "!jg-classic")
	j.says(t, groupCommand+"--describe --group jg-empty", "no active members", "CURRENT-OFFSET", "LAG", "jg")
	j.says(t, groupCommand+"--describe --group jg-classic --offsets", "CONSUMER-ID", "member")
	j.says(t, groupCommand+"--describe --group jg-classic --members --verbose", "ASSIGNMENT", "jg:0,1")
	j.says(t, groupCommand+"--describe --group jg-consumer --members --verbose", "ASSIGNMENT", "jg:0,1")
	j.says(t, groupCommand+"--describe --group jg-classic --state --verbose", "COORDINATOR", "Stable")
	j.says(t, groupCommand+"--describe --group jg-consumer --state", "uniform", "Stable")
	j.says(t, groupCommand+"--describe --all-groups --state", "jg-empty", "jg-classic", "jg-consumer")
	j.says(t, groupsCommand+"--list", "jg-empty", "jg-classic", "Classic", "jg-consumer", "Consumer")
	j.says(t, groupsCommand+"--list --consumer", "jg-empty", "jg-consumer")
}

func (j *javaCase) groupsReset(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jr --partitions 1")
	j.reads(t, lines(30), consoleProduce+"--topic jr")
	j.says(t, consoleConsume+"--topic jr --group jr --from-beginning --max-messages 30 --command-property enable.auto.commit=true", "Processed a total of 30")
	now := regexp.MustCompile(`(?m)^jr\s+jr\s+0\s+(\d+)\s`)
	at := func(want string) {
		t.Helper()
		out := j.says(t, groupCommand+"--describe --group jr --offsets")
		if m := now.FindStringSubmatch(out); m == nil || m[1] != want {
			t.Errorf("committed %v, want %s\n%s", m, want, out)
		}
	}
	at("30")
	file := filepath.Join(t.TempDir(), "offsets.csv")
	if err := os.WriteFile(file, []byte("jr,0,11\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, rule := range []struct{ how, want string }{
		{"--to-earliest", "0"},
		{"--to-offset 17", "17"},
		{"--to-current", "17"},
		{"--shift-by -5", "12"},
		{"--from-file " + file, "11"},
		{"--to-datetime 2020-01-01T00:00:00.000", "0"},
		{"--to-latest", "30"},
		{"--by-duration P1D", "0"},
	} {
		topic := "--topic jr "
		if strings.HasPrefix(rule.how, "--from-file") {
			topic = ""
		}
		j.says(t, groupCommand+"--reset-offsets --group jr "+topic+rule.how+" --dry-run", "NEW-OFFSET")
		j.says(t, groupCommand+"--reset-offsets --group jr "+topic+rule.how+" --execute", "NEW-OFFSET")
		at(rule.want)
	}
	j.says(t, groupCommand+"--reset-offsets --group jr --topic jr:0 --to-offset 3 --export --dry-run", "jr,0,3")
	j.says(t, groupCommand+"--reset-offsets --group jr --all-topics --to-offset 4 --execute")
	at("4")
	j.says(t, groupCommand+"--delete-offsets --group jr --topic jr", "Request succeeded")
	if out := j.says(t, groupCommand+"--describe --group jr --offsets"); now.MatchString(out) {
		t.Errorf("deleted, and there:\n%s", out)
	}
	j.says(t, consoleConsume+"--topic jr --group jr --from-beginning --max-messages 5")
	j.says(t, groupCommand+"--delete --group jr", "successful")
	j.says(t, groupCommand+"--list", "!jr\n")
}

func (j *javaCase) configs(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jf")
	of := func(entity string) string { return "--entity-type " + entity + " " }
	j.says(t, configCommand+"--alter "+of("topics")+"--entity-name jf --add-config retention.ms=7200000,cleanup.policy=[compact,delete]", "Completed")
	j.says(t, configCommand+"--describe "+of("topics")+"--entity-name jf", "retention.ms=7200000", "cleanup.policy=compact,delete")
	j.says(t, configCommand+"--describe --all "+of("topics")+"--entity-name jf", "segment.bytes=1073741824 sensitive=false synonyms={DEFAULT_CONFIG:log.segment.bytes=1073741824}", ", DEFAULT_CONFIG:log.cleanup.policy=delete}")
	j.says(t, configCommand+"--alter "+of("topics")+"--entity-name jf --delete-config retention.ms", "Completed")
	j.says(t, configCommand+"--describe "+of("topics")+"--entity-name jf", "!retention.ms")
	j.says(t, configCommand+"--describe --all "+of("brokers")+"--entity-name 1", "node.id=1", "log.retention.ms=")
	j.says(t, configCommand+"--alter "+of("brokers")+"--entity-name 1 --add-config message.max.bytes=2000000", "Completed")
	j.says(t, configCommand+"--describe "+of("brokers")+"--entity-name 1", "message.max.bytes=2000000")
	j.says(t, configCommand+"--alter "+of("brokers")+"--entity-name 1 --delete-config message.max.bytes", "Completed")
	j.says(t, configCommand+"--alter "+of("brokers")+"--entity-default --add-config log.retention.ms=86400000", "Completed")
	j.says(t, configCommand+"--describe "+of("brokers")+"--entity-default", "log.retention.ms=86400000")
	j.says(t, configCommand+"--alter "+of("brokers")+"--entity-default --delete-config log.retention.ms", "Completed")
	j.says(t, configCommand+"--alter "+of("users")+"--entity-name alice --add-config 'SCRAM-SHA-256=[iterations=4096,password=a secret],SCRAM-SHA-512=[password=another]'", "Completed")
	j.says(t, configCommand+"--alter "+of("users")+"--entity-name alice --add-config producer_byte_rate=1048576", "Completed")
	j.says(t, configCommand+"--describe "+of("users")+"--entity-name alice", "SCRAM-SHA-256=iterations=4096", "SCRAM-SHA-512=iterations=", "producer_byte_rate=1048576.0")
	j.says(t, configCommand+"--alter "+of("users")+"--entity-name alice --delete-config SCRAM-SHA-256,SCRAM-SHA-512", "Completed")
	j.says(t, configCommand+"--alter "+of("users")+"--entity-name alice --delete-config producer_byte_rate", "Completed")
	j.says(t, configCommand+"--describe "+of("users"), "!alice")
	j.says(t, configCommand+"--alter "+of("clients")+"--entity-name app --add-config consumer_byte_rate=2097152,request_percentage=200", "Completed")
	j.says(t, configCommand+"--describe "+of("clients")+"--entity-name app", "consumer_byte_rate=2097152.0", "request_percentage=200.0")
	j.says(t, configCommand+"--alter "+of("users")+"--entity-name alice "+of("clients")+"--entity-name app --add-config producer_byte_rate=1024", "Completed")
	j.says(t, configCommand+"--describe "+of("users")+"--entity-name alice "+of("clients")+"--entity-name app", "producer_byte_rate=1024.0")
	j.says(t, configCommand+"--describe "+of("client-metrics"), "!Error")
	j.says(t, configCommand+"--alter "+of("groups")+"--entity-name jf --add-config consumer.session.timeout.ms=50000", "Completed")
	j.says(t, configCommand+"--describe "+of("groups"), "consumer.session.timeout.ms=50000", "DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000")
	j.says(t, configCommand+"--describe --all "+of("groups")+"--entity-name jf", "consumer.heartbeat.interval.ms=5000")
	j.says(t, configCommand+"--alter "+of("groups")+"--entity-name jf --delete-config consumer.session.timeout.ms", "Completed")
	j.says(t, configCommand+"--alter "+of("ips")+"--entity-name 192.0.2.1 --add-config connection_creation_rate=10", "Completed")
	j.says(t, configCommand+"--describe "+of("ips")+"--entity-name 192.0.2.1", "connection_creation_rate=10.0")
}

func (j *javaCase) acls(t *testing.T) {
	j.says(t, aclCommand+"--add --allow-principal User:alice --producer --idempotent --topic ja- --resource-pattern-type prefixed", "Adding ACLs for resource", "patternType=PREFIXED")
	j.says(t, aclCommand+"--add --allow-principal User:alice --consumer --group ja --topic ja", "resourceType=GROUP")
	j.says(t, aclCommand+"--add --deny-principal User:bob --deny-host 192.0.2.1 --operation Write --topic ja", "Adding ACLs for resource")
	j.says(t, aclCommand+"--add --allow-principal User:alice --operation DescribeConfigs --cluster", "Adding ACLs for resource")
	j.says(t, aclCommand+"--add --allow-principal User:alice --operation All --transactional-id '*'", "Adding ACLs for resource")
	j.says(t, aclCommand+"--list",
		"principal=User:alice, host=*, operation=WRITE, permissionType=ALLOW", "principal=User:bob, host=192.0.2.1, operation=WRITE, permissionType=DENY",
		"operation=IDEMPOTENT_WRITE", "resourceType=TRANSACTIONAL_ID")
	j.says(t, aclCommand+"--list --principal User:bob", "User:bob", "!User:alice")
	j.says(t, aclCommand+"--list --topic ja-1 --resource-pattern-type match", "name=ja-, patternType=PREFIXED")
	j.says(t, aclCommand+"--remove --force --allow-principal User:alice --consumer --group ja --topic ja")
	j.says(t, aclCommand+"--remove --force --topic ja- --resource-pattern-type prefixed")
	j.says(t, aclCommand+"--remove --force --topic ja")
	j.says(t, aclCommand+"--remove --force --cluster")
	j.says(t, aclCommand+"--remove --force --transactional-id '*'")
	j.says(t, aclCommand+"--list", "!User:")
}

func (j *javaCase) copy(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jx-in --partitions 1")
	j.says(t, topicCommand+"--create --topic jx-out --partitions 1")
	j.reads(t, lines(200), consoleProduce+"--topic jx-in")
	status, out := j.call(t, "", strings.TrimSpace(copier), "--broker-list", j.addr, "--input-topic", "jx-in", "--input-partition", "0", "--output-topic", "jx-out",
		"--max-messages", "200", "--transaction-size", "20", "--transactional-id", "jx", "--consumer-group", "jx", "--group-mode", "--enable-random-aborts")
	if status != 0 || !strings.Contains(out, `"remaining":"0"`) && !strings.Contains(out, `"remaining":0`) {
		t.Errorf("status %d\n%s", status, out)
	}
	want := make([]string, 0, 200)
	for i := range 200 {
		want = append(want, fmt.Sprintf("k%d:v%d", i%10, i))
	}
	got := j.says(t, consoleConsume+"--topic jx-out --from-beginning --isolation-level read_committed --max-messages 200", "Processed a total of 200 messages")
	if !strings.Contains(got, strings.Join(want, "\n")) {
		t.Errorf("not each once and in order:\n%s", got)
	}
	j.says(t, groupCommand+"--describe --group jx --offsets", "jx-in")
}

func (j *javaCase) transactions(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jn --partitions 1")
	cl := j.client(t, kgo.TransactionalID("jn"), kgo.DefaultProduceTopic("jn"), kgo.TransactionTimeout(10*time.Minute))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(context.Background(), kgo.StringRecord("open")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	j.says(t, transactions+"list", "TransactionalId", "jn", "Ongoing")
	j.says(t, transactions+"list --duration-filter 86400000", "!jn")
	j.says(t, transactions+"describe --transactional-id jn", "Ongoing", "jn-0")
	j.says(t, transactions+"describe-producers --topic jn --partition 0", "ProducerEpoch", "CurrentTransactionStartOffset")
	j.says(t, transactions+"find-hanging --broker-id 1 --max-transaction-timeout 1", "!Exception")
	j.says(t, transactions+"abort --topic jn --partition 0 --start-offset 0", "!Exception")
	j.says(t, transactions+"describe-producers --topic jn --partition 0", "None")
	j.says(t, transactions+"forceTerminateTransaction --transactionalId jn", "!Exception")
	j.reads(t, "after\n", consoleProduce+"--topic jn")
	j.says(t, consoleConsume+"--topic jn --from-beginning --isolation-level read_committed --max-messages 1", "after", "!open")
}

func (j *javaCase) performance(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jp --partitions 3")
	j.says(t, producePerf+"--topic jp --num-records 20000 --record-size 200 --throughput -1 --command-property acks=all --command-property batch.size=5000", "20000 records sent")
	j.says(t, producePerf+"--topic jp --num-records 2000 --record-size 200 --throughput -1 --transactional-id jp --transaction-duration-ms 50", "2000 records sent")
	j.says(t, consumePerf+"--topic jp --num-records 22000 --timeout 60000", "22000")
}

// verifiable runs them by themselves, because they say what they did when their
// process ends.
func (j *javaCase) verifiable(t *testing.T) {
	run := func(line string, parts ...string) {
		t.Helper()
		words := split(line)
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		out, err := jvm(t, ctx, j.path, append([]string{words[0], "--bootstrap-server", j.addr}, words[1:]...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		holds(t, line, string(out), parts...)
	}
	j.says(t, topicCommand+"--create --topic jv --partitions 2")
	run(verifiableProd+"--topic jv --max-messages 500 --acks -1", `"sent":500`, `"acked":500`)
	run(verifiableCons+"--topic jv --group-id jv --max-messages 500 --group-protocol classic", "records_consumed", "offsets_committed", `"success":true`, "!false")
	run(verifiableCons+"--topic jv --group-id jv-consumer --max-messages 500 --group-protocol consumer", "records_consumed", "offsets_committed", `"success":true`, "!false")
}

func (j *javaCase) directories(t *testing.T) {
	j.says(t, topicCommand+"--create --topic jd --partitions 2")
	j.says(t, logDirs+"--describe --topic-list jd", `"partition":"jd-0"`, `"error":null`)
	status, out := j.call(t, "", strings.TrimSpace(elections), "--bootstrap-server", j.addr, "--election-type", "preferred", "--all-topic-partitions")
	if status != 0 {
		t.Errorf("election: %d\n%s", status, out)
	}
	dir := t.TempDir()
	topics, plan := filepath.Join(dir, "topics.json"), filepath.Join(dir, "plan.json")
	for file, text := range map[string]string{
		topics: `{"version":1,"topics":[{"topic":"jd"}]}`,
		plan:   `{"version":1,"partitions":[{"topic":"jd","partition":0,"replicas":[1],"log_dirs":["` + j.dir + `"]}]}`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	j.says(t, reassign+"--generate --topics-to-move-json-file "+topics+" --broker-list 1", "Proposed partition reassignment configuration", `"topic":"jd"`)
	j.says(t, reassign+"--execute --reassignment-json-file "+plan, "Successfully started")
	j.says(t, reassign+"--verify --reassignment-json-file "+plan, "jd-0 is completed")
	j.says(t, reassign+"--list", "No partition reassignments found")
}

func (j *javaCase) cluster(t *testing.T) {
	j.says(t, apiVersions, "(id: 1 rack: null", "Produce(0): 0 to 13", "ConsumerGroupHeartbeat(68): 0 to 1", "!UNKNOWN")
	for _, what := range []string{"cluster-id", "list-endpoints"} {
		status, out := j.call(t, "", strings.TrimSpace(clusterTool), what, "--bootstrap-server", j.addr)
		if status != 0 {
			t.Errorf("%s: %d\n%s", what, status, out)
		}
	}
}

// dump has Kafka read our files: of the topics of the other cases, and the two
// internal ones.
func (j *javaCase) dump(t *testing.T) {
	files := func(pattern string) []string {
		all, err := filepath.Glob(filepath.Join(j.dir, pattern))
		if err != nil || len(all) == 0 {
			t.Fatalf("%s: %v, %v", pattern, all, err)
		}
		return all
	}
	dump := func(parts []string, files []string, args ...string) {
		t.Helper()
		status, out := j.call(t, "", strings.TrimSpace(dumpLog), append([]string{"--files", strings.Join(files, ",")}, args...)...)
		if status != 0 {
			t.Errorf("%v: %d\n%s", files, status, out)
		}
		holds(t, fmt.Sprint(files), out, append(parts, "!Exception", "!mismatch", "!invalid", "!Found timestamp")...)
	}
	dump([]string{"baseOffset: 0", "isvalid: true", "compresscodec: zstd", "key: zstd", "payload: two"}, files("jc-*/*.log"), "--print-data-log", "--deep-iteration")
	dump([]string{"isTransactional: true", "isControl: true", "endTxnMarker: COMMIT"}, files("jx-out-0/*.log"), "--print-data-log")
	dump([]string{"offset:"}, files("jp-*/*.index"))
	dump(nil, files("jp-*/*.index"), "--verify-index-only")
	dump([]string{"passed sanity check"}, files("jp-*/*.index"), "--index-sanity-check")
	dump([]string{"timestamp:"}, files("jp-*/*.timeindex"))
	dump([]string{"key: ", "jg-empty"}, files("__consumer_offsets-*/*.log"), "--offsets-decoder")
	dump([]string{"key: ", "jx"}, files("__transaction_state-*/*.log"), "--transaction-log-decoder")
}
