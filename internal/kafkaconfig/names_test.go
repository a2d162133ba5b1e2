package kafkaconfig_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/kafkaconfig"
)

var lists = map[string]func() []kafkaconfig.Setting{
	"broker": kafkaconfig.Broker, "topic": kafkaconfig.Topic, "producer": kafkaconfig.Producer, "consumer": kafkaconfig.Consumer,
}

func TestEverySettingStandsOnce(t *testing.T) {
	for kind, list := range lists {
		seen := map[string]bool{}
		for _, s := range list() {
			if seen[s.Name] {
				t.Errorf("%s setting %s is there twice", kind, s.Name)
			}
			seen[s.Name] = true
			if s.Verdict == kafkaconfig.Refused && s.Note == "" {
				t.Errorf("%s setting %s is refused without a reason", kind, s.Name)
			}
		}
	}
}

// names prints the names of Kafka's settings by Kafka itself.
const names = `
import org.apache.kafka.common.config.ConfigDef;
public class Names {
	static void print(String kind, ConfigDef d) {
		for (String n : d.names()) System.out.println(kind + " " + n);
	}
	public static void main(String[] args) throws Exception {
		print("broker", (ConfigDef) Class.forName("kafka.server.KafkaConfig").getMethod("configDef").invoke(null));
		print("topic", org.apache.kafka.storage.internals.log.LogConfig.configDefCopy());
		print("producer", org.apache.kafka.clients.producer.ProducerConfig.configDef());
		print("consumer", org.apache.kafka.clients.consumer.ConsumerConfig.configDef());
	}
}
`

// Apache Kafka has no setting that is not in the lists.
func TestListsHaveAllOfKafkas(t *testing.T) {
	libs := os.Getenv("KAFKA_LIBS")
	if libs == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("KAFKA_LIBS must name a folder of Apache Kafka's jars")
		}
		t.Skip("KAFKA_LIBS names no folder of Apache Kafka's jars")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "Names.java")
	if err := os.WriteFile(source, []byte(names), 0o644); err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"), source)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints.String())
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		kind, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		n++
		if !slices.ContainsFunc(lists[kind](), func(s kafkaconfig.Setting) bool { return s.Name == name }) {
			t.Errorf("%s setting %s is in no list", kind, name)
		}
	}
	if n < 500 {
		t.Errorf("Kafka named %d settings", n)
	}
}

// The broker knows the settings of topics as the list has them: its documentation of one without effect begins with
// "kept as set".
func TestTopicSettingsAreTheBrokers(t *testing.T) {
	b, err := broker.Open(broker.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cl, err := kgo.NewClient(kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, 1
	create.Topics = append(create.Topics, topic)
	if r, err := create.RequestWith(t.Context(), cl); err != nil || r.Topics[0].ErrorCode != 0 {
		t.Fatalf("create: %v, %+v", err, r)
	}
	describe := kmsg.NewPtrDescribeConfigsRequest()
	describe.IncludeDocumentation = true
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
	describe.Resources = append(describe.Resources, resource)
	r, err := describe.RequestWith(t.Context(), cl)
	if err != nil || r.Resources[0].ErrorCode != 0 {
		t.Fatalf("describe: %v, %+v", err, r)
	}
	served := map[string]kafkaconfig.Verdict{}
	for _, c := range r.Resources[0].Configs {
		switch {
		case c.Documentation == nil:
			t.Errorf("%s has no documentation", c.Name)
		case strings.HasPrefix(*c.Documentation, "kept as set"):
			served[c.Name] = kafkaconfig.WithoutEffect
		default:
			served[c.Name] = kafkaconfig.Honoured
		}
	}
	for _, s := range kafkaconfig.Topic() {
		got, ok := served[s.Name]
		switch {
		case s.Name == "remote.storage.enable": // known, and refused but for what it is
		case s.Verdict == kafkaconfig.Refused && ok:
			t.Errorf("%s is refused by the list and known to the broker", s.Name)
		case s.Verdict != kafkaconfig.Refused && (!ok || got != s.Verdict):
			t.Errorf("%s is %v by the list, %v by the broker (known: %v)", s.Name, s.Verdict, got, ok)
		}
		delete(served, s.Name)
	}
	for name := range served {
		t.Errorf("the broker has %s, the list does not", name)
	}
}
