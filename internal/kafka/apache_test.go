package kafka_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/hold"
	"github.com/tributary-net/tributary/internal/kafka"
)

// needApacheKafka skips where Apache Kafka is not at hand.
func needApacheKafka(t *testing.T) {
	t.Helper()
	if os.Getenv("KAFKA_LIBS") != "" {
		if _, err := exec.LookPath("java"); err == nil {
			return
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("KAFKA_LIBS (scripts/kafka.sh libs) and java are missing")
	}
	t.Skip("needs java, and Apache Kafka in KAFKA_LIBS: KAFKA_LIBS=$(scripts/kafka.sh libs)")
}

// script runs scripts/kafka.sh. Its output goes to a file: the cluster it starts
// keeps a pipe open.
func script(t *testing.T, args ...string) string {
	t.Helper()
	path, err := filepath.Abs("../../scripts/kafka.sh")
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, &stderr, time.Second
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("kafka.sh %s: %v: %s", args[0], err, stderr.String())
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// apacheKafka starts a cluster and returns its brokers.
func apacheKafka(t *testing.T, nodes, port int, extra, format string) string {
	t.Helper()
	needApacheKafka(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"extra.properties": extra, "format.args": format} {
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() { script(t, "stop", dir) })
	return script(t, "start", dir, fmt.Sprint(nodes), fmt.Sprint(port))
}

// roundTrip produces with the endpoint's settings, record by record and in batches made by
// hand, and reads it back.
func roundTrip(t *testing.T, endpoint, topic string) {
	t.Helper()
	e, cl := client(t, endpoint, kafka.ClientConfig{})
	if err := e.Reach(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	created, err := kafka.EnsureTopic(t.Context(), cl, topic, 3, kafka.TimeRetention(time.Hour, 30<<20, 3))
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	if created, err := kafka.EnsureTopic(t.Context(), cl, topic, 5, nil); err != nil || created {
		t.Fatalf("created again %v, %v", created, err)
	}
	for i := range 10 {
		r := &kgo.Record{Topic: topic, Key: fmt.Append(nil, i), Value: bytes.Repeat([]byte{'x'}, 1000)}
		cl.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	producer(t, endpoint, topic).produce(t, 10)
	cl.AddConsumeTopics(topic)
	for n := 0; n < 20; {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		n += fetches.NumRecords()
	}
}

func TestApacheKafkaCluster(t *testing.T) {
	needApacheKafka(t)
	brokers := apacheKafka(t, 3, hold.Port(t, 1, 10, 11, 20, 21), "", "")
	if n := len(strings.Split(brokers, ",")); n != 3 {
		t.Fatalf("%d brokers: %s", n, brokers)
	}
	for i, parameters := range []string{
		"acks=all&compression.type=lz4", "acks=1&compression.type=zstd", "acks=0&compression.type=snappy", "enable.idempotence=false&compression.type=gzip",
		"group.id=g&session.timeout.ms=10000&isolation.level=read_committed", "group.id=h&group.protocol=consumer",
	} {
		t.Run(parameters, func(t *testing.T) {
			roundTrip(t, "kafka://"+brokers+"?auto.offset.reset=earliest&"+parameters, fmt.Sprintf("t%d", i))
		})
	}
	_, cl := client(t, "kafka://"+brokers, kafka.ClientConfig{})
	admin := kadm.NewClient(cl)
	topics, err := admin.ListTopics(t.Context(), "t0")
	if err != nil {
		t.Fatal(err)
	}
	if got := topics["t0"]; len(got.Partitions) != 3 || got.Partitions.NumReplicas() != 3 {
		t.Errorf("%d partitions, %d replicas; want 3 and the cluster's 3", len(got.Partitions), got.Partitions.NumReplicas())
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), "t0")
	if err != nil {
		t.Fatal(err)
	}
	rc, err := configs.On("t0", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"retention.ms": "3600000", "retention.bytes": "10485760", "cleanup.policy": "delete"}
	for _, c := range rc.Configs {
		if w, ok := want[c.Key]; ok && c.MaybeValue() != w {
			t.Errorf("%s is %s, want %s", c.Key, c.MaybeValue(), w)
		}
	}
	if err := kafka.CreateTopic(t.Context(), cl, "bad", 1, 9, nil); err == nil || !strings.HasPrefix(err.Error(), "create topic bad: INVALID_REPLICATION_FACTOR") {
		t.Errorf("nine replicas on three brokers: %v", err)
	}
}

func TestApacheKafkaSecurity(t *testing.T) {
	needApacheKafka(t)
	a := newAuthority(t)
	server, _, _ := a.issue(t, "127.0.0.1")
	clientStore, clientCert, clientKey := a.issue(t, "client")
	port := hold.Port(t, 1, 2, 3, 4)
	const module = "org.apache.kafka.common.security."
	extra := fmt.Sprintf(`
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d,SASL_PLAINTEXT://127.0.0.1:%[3]d,SSL://127.0.0.1:%[4]d,SASL_SSL://127.0.0.1:%[5]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d,SASL_PLAINTEXT://127.0.0.1:%[3]d,SSL://127.0.0.1:%[4]d,SASL_SSL://127.0.0.1:%[5]d
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location=%[6]s
ssl.truststore.type=PEM
ssl.truststore.location=%[7]s
listener.name.ssl.ssl.client.auth=required
`, port, port+1, port+2, port+3, port+4, server, a.pem)
	for _, l := range []string{"sasl_plaintext", "sasl_ssl"} {
		extra += "listener.name." + l + ".plain.sasl.jaas.config=" + module + "plain.PlainLoginModule required user_alice=\"it's; a=secret\";\n"
		for _, m := range []string{"scram-sha-256", "scram-sha-512"} {
			extra += "listener.name." + l + "." + m + ".sasl.jaas.config=" + module + "scram.ScramLoginModule required;\n"
		}
	}
	apacheKafka(t, 1, port, extra, "--add-scram\nSCRAM-SHA-256=[name=bob,password=secret256]\n--add-scram\nSCRAM-SHA-512=[name=bob,password=secret512]\n")
	sasl, ssl, saslSSL := fmt.Sprintf("127.0.0.1:%d", port+2), fmt.Sprintf("127.0.0.1:%d", port+3), fmt.Sprintf("127.0.0.1:%d", port+4)

	properties := filepath.Join(t.TempDir(), "client.properties")
	text := "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nauto.offset.reset=earliest\n" +
		"sasl.jaas.config=" + module + "scram.ScramLoginModule required \\\n  username=\"bob\" \\\n  password=\"secret512\";\n" +
		"ssl.truststore.type=PEM\nssl.truststore.location=" + a.pem + "\nbootstrap.servers=" + saslSSL + "\n" +
		"key.serializer=org.apache.kafka.common.serialization.StringSerializer\n"
	if err := os.WriteFile(properties, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	for i, c := range []struct{ name, endpoint string }{
		{"PLAIN", "kafka://" + sasl + "?sasl.mechanism=PLAIN&sasl.username=alice&sasl.password=it's; a=secret"},
		{"SCRAM-SHA-256", "kafka://" + sasl + "?sasl.mechanism=SCRAM-SHA-256&sasl.username=bob&sasl.password=secret256"},
		{"SCRAM-SHA-512 over TLS", "kafka-ssl://" + saslSSL + "?sasl.mechanism=SCRAM-SHA-512&sasl.username=bob&sasl.password=secret512&ssl.ca.location=" + a.pem},
		{"client certificate", "kafka-ssl://" + ssl + "?ssl.ca.location=" + a.pem + "&ssl.certificate.location=" + clientCert + "&ssl.key.location=" + clientKey},
		{"client certificate in a store", "kafka://" + ssl + "?security.protocol=SSL&ssl.truststore.location=" + a.pem + "&ssl.keystore.location=" + clientStore},
	} {
		t.Run(c.name, func(t *testing.T) { roundTrip(t, c.endpoint+"&auto.offset.reset=earliest", fmt.Sprintf("s%d", i)) })
	}
	t.Run("properties file", func(t *testing.T) {
		p, without, err := kafka.ReadProperties(properties)
		if err != nil || len(without) != 1 {
			t.Fatalf("%v, without effect %v", err, without)
		}
		e, err := kafka.ParseEndpoint("kafka:///x")
		if err != nil {
			t.Fatal(err)
		}
		if e, err = e.With(p); err != nil {
			t.Fatal(err)
		}
		opts, err := e.ClientOptions(kafka.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		cl, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := e.Reach(t.Context(), cl); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct{ name, endpoint, says string }{
		{"wrong password", "kafka://" + sasl + "?sasl.mechanism=SCRAM-SHA-256&sasl.username=bob&sasl.password=wrong", "SASL_AUTHENTICATION_FAILED"},
		{"unknown user", "kafka://" + sasl + "?sasl.mechanism=PLAIN&sasl.username=eve&sasl.password=x", "SASL_AUTHENTICATION_FAILED"},
		{"TLS where there is none", "kafka-ssl://" + sasl + "?ssl.ca.location=" + a.pem, "cannot reach kafka"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, cl := client(t, c.endpoint, kafka.ClientConfig{})
			if err := e.Reach(t.Context(), cl); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %s", err, c.says)
			}
		})
	}
}
