package broker_test

import (
	"crypto/x509/pkix"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/broker"
)

// properties writes a client's properties file.
func properties(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// javaLogin is how a Java client authenticates over TLS.
func javaLogin(t *testing.T, ca *authority, mechanism, user, password string) string {
	t.Helper()
	module := "org.apache.kafka.common.security.scram.ScramLoginModule"
	if mechanism == "PLAIN" {
		module = "org.apache.kafka.common.security.plain.PlainLoginModule"
	}
	return properties(t, "security.protocol=SASL_SSL", "ssl.truststore.type=PEM", "ssl.truststore.location="+ca.ca, "sasl.mechanism="+mechanism,
		fmt.Sprintf("sasl.jaas.config=%s required username=%q password=%q;", module, user, password))
}

// TestJavaSecurity has Apache Kafka's own tools make users, ACLs and quotas, and its clients come in by SASL over TLS.
func TestJavaSecurity(t *testing.T) {
	java := javaTool(t)
	ca := newAuthority(t)
	cfg := testConfig(t)
	cfg.Users = []broker.User{{Name: "admin", Password: "admin-secret"}}
	cfg.Listeners = []broker.Listener{secure("sasl_ssl", ca.server(broker.ClientAuthNone), allMechanisms...)}
	cfg.Authorize, cfg.SuperUsers = true, []string{"User:admin"}
	b := open(t, cfg)
	admin, alice := javaLogin(t, ca, "PLAIN", "admin", "admin-secret"), javaLogin(t, ca, "SCRAM-SHA-512", "alice", "alice-secret")
	try := func(in, class string, args ...string) (string, error) {
		t.Helper()
		cmd := java(deadline(t), class, append([]string{"--bootstrap-server", addrOf(b, "sasl_ssl")}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	kafka := func(in, class string, args ...string) string {
		t.Helper()
		out, err := try(in, class, args...)
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", class, strings.Join(args, " "), err, out)
		}
		return out
	}
	want := func(out string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(out, part) {
				t.Errorf("%q is not in\n%s", part, out)
			}
		}
	}
	const (
		configs  = "kafka.admin.ConfigCommand"
		acls     = "org.apache.kafka.tools.AclCommand"
		topics   = "org.apache.kafka.tools.TopicCommand"
		producer = "org.apache.kafka.tools.ConsoleProducer"
		consumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"
	)
	kafka("", configs, "--command-config", admin, "--alter", "--entity-type", "users", "--entity-name", "alice", "--add-config", "SCRAM-SHA-512=[iterations=8192,password=alice-secret]")
	kafka("", configs, "--command-config", admin, "--alter", "--entity-type", "users", "--entity-name", "alice", "--add-config", "producer_byte_rate=1048576,consumer_byte_rate=2097152")
	want(kafka("", configs, "--command-config", admin, "--describe", "--entity-type", "users"),
		"SCRAM-SHA-512=iterations=8192", "producer_byte_rate=1048576.0", "consumer_byte_rate=2097152.0", "'alice'")
	if out, err := try("", topics, "--command-config", alice, "--create", "--topic", "jt"); err == nil || !strings.Contains(out, "Authorization failed") {
		t.Errorf("alice without a right: %v\n%s", err, out)
	}
	kafka("", topics, "--command-config", admin, "--create", "--topic", "jt", "--partitions", "1")
	want(kafka("", acls, "--command-config", admin, "--add", "--allow-principal", "User:alice", "--producer", "--consumer", "--group", "j", "--topic", "jt", "--resource-pattern-type", "prefixed"),
		"Adding ACLs for resource", "patternType=PREFIXED")
	want(kafka("", acls, "--command-config", admin, "--list"), "principal=User:alice, host=*, operation=WRITE, permissionType=ALLOW", "resourceType=GROUP, name=j")
	kafka("one\ntwo\n", producer, "--command-config", alice, "--topic", "jt")
	want(kafka("", consumer, "--command-config", alice, "--topic", "jt", "--from-beginning", "--group", "jg", "--max-messages", "2"), "one\n", "two\n")
	kafka("", acls, "--command-config", admin, "--remove", "--force", "--allow-principal", "User:alice", "--producer", "--topic", "jt", "--resource-pattern-type", "prefixed")
	if out, _ := try("three\n", producer, "--command-config", alice, "--topic", "jt"); !strings.Contains(out, "uthoriz") {
		t.Errorf("alice without the right to write\n%s", out)
	}
	if s := b.Stats(); s.Panics != 0 || s.ConnectionsMalformed != 0 || s.RequestsUnsupported != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestJavaAdmin has Apache Kafka's tools for directories, elections, reassignment and broker configs work on one node.
func TestJavaAdmin(t *testing.T) {
	java := javaTool(t)
	cfg := testConfig(t)
	b := open(t, cfg)
	makeTopic(t, b, "jt")
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "file.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	reassign := file(`{"version":1,"partitions":[{"topic":"jt","partition":0,"replicas":[1]}]}`)
	elsewhere := file(`{"version":1,"partitions":[{"topic":"jt","partition":0,"replicas":[2]}]}`)
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"org.apache.kafka.tools.LogDirsCommand", "--describe"}, "jt-0"},
		{[]string{"org.apache.kafka.tools.LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions"}, ""},
		{[]string{"org.apache.kafka.tools.LeaderElectionCommand", "--election-type", "preferred", "--topic", "jt", "--partition", "0"}, "Valid replica already elected for partitions jt-0"},
		{[]string{"org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--reassignment-json-file", reassign, "--execute"}, "Successfully started partition reassignment for jt-0"},
		{[]string{"org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--reassignment-json-file", reassign, "--verify"}, "Reassignment of partition jt-0 is completed."},
		{[]string{"org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--list"}, "No partition reassignments found."},
		{[]string{"org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--reassignment-json-file", elsewhere, "--execute"}, "Unknown broker id 2"},
		{[]string{"kafka.admin.ConfigCommand", "--alter", "--entity-type", "brokers", "--entity-name", "1", "--add-config", "log.retention.ms=86400000"}, "Completed updating config for broker 1."},
		{[]string{"kafka.admin.ConfigCommand", "--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "max.connections=500"}, "Completed updating default config for brokers"},
		{[]string{"kafka.admin.ConfigCommand", "--describe", "--entity-type", "brokers", "--entity-name", "1"}, "log.retention.ms=86400000"},
		{[]string{"kafka.admin.ConfigCommand", "--describe", "--entity-type", "brokers", "--entity-default"}, "max.connections=500"},
	} {
		// What a tool exits with differs; what it says does not.
		out, _ := java(deadline(t), step.args[0], append([]string{"--bootstrap-server", b.Addr().String()}, step.args[1:]...)...).CombinedOutput()
		if !strings.Contains(string(out), step.want) || strings.Contains(string(out), "UnsupportedVersion") {
			t.Errorf("%v: %q is not in\n%s", step.args, step.want, out)
		}
	}
	if s := b.Stats(); s.Panics != 0 || s.ConnectionsMalformed != 0 || s.RequestsUnsupported != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestKcatSecurity has kcat (librdkafka) come in by every mechanism over TLS, and by a certificate.
func TestKcatSecurity(t *testing.T) {
	kcat := tool(t, "kcat")
	ca := newAuthority(t)
	cfg := testConfig(t)
	cfg.Users = []broker.User{{Name: "admin", Password: "admin-secret"}}
	cfg.Listeners = []broker.Listener{
		secure("sasl", ca.server(broker.ClientAuthNone), allMechanisms...),
		secure("mtls", ca.server(broker.ClientAuthRequired)),
	}
	b := open(t, cfg)
	addr := addrOf(b, "sasl")
	in := strings.Repeat("a line\n", 200)
	for _, m := range allMechanisms {
		args := []string{
			"-b", addr, "-t", "k-" + m, "-X", "security.protocol=SASL_SSL", "-X", "ssl.ca.location=" + ca.ca, "-X", "sasl.mechanisms=" + m,
			"-X", "sasl.username=admin", "-X", "sasl.password=admin-secret",
		}
		run(t, in, kcat, append(args, "-P")...)
		if got := run(t, "", kcat, append(args, "-C", "-o", "beginning", "-e", "-q")...); got != in {
			t.Errorf("%s: %d bytes came of %d", m, len(got), len(in))
		}
	}
	cert, key := ca.issue("kcat", pkix.Name{CommonName: "kcat"})
	args := []string{
		"-b", addrOf(b, "mtls"), "-t", "k-mtls", "-X", "security.protocol=SSL", "-X", "ssl.ca.location=" + ca.ca,
		"-X", "ssl.certificate.location=" + cert, "-X", "ssl.key.location=" + key,
	}
	run(t, in, kcat, append(args, "-P")...)
	if got := run(t, "", kcat, append(args, "-C", "-o", "beginning", "-e", "-q")...); got != in {
		t.Errorf("certificate: %d bytes came of %d", len(got), len(in))
	}
	if s := b.Stats(); s.Panics != 0 || s.ConnectionsMalformed != 0 || s.RequestsUnsupported != 0 {
		t.Errorf("stats: %+v", s)
	}
}
