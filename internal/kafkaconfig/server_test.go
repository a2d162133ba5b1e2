package kafkaconfig_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/kafkaconfig"
)

// read makes a configuration of the text of a server.properties.
func read(t *testing.T, text string, overrides ...string) (broker.Config, kafkaconfig.Notes, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	properties, err := kafkaconfig.ReadServer(path, overrides)
	if err != nil {
		t.Fatal(err)
	}
	c := broker.DefaultConfig()
	notes, err := kafkaconfig.Server(&c, properties)
	return c, notes, err
}

func TestServerDefaultsAreKafkas(t *testing.T) {
	c, notes, err := read(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "/tmp/kafka-logs" || c.DefaultPartitions != 1 || c.Listen != "" {
		t.Errorf("directory %q, partitions %d, listen %q", c.DataDir, c.DefaultPartitions, c.Listen)
	}
	if want := []broker.Listener{{Name: "PLAINTEXT", Address: ":9092"}}; !reflect.DeepEqual(c.Listeners, want) {
		t.Errorf("listeners %+v", c.Listeners)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if len(notes.WithoutEffect)+len(notes.Unsaid) > 0 {
		t.Errorf("notes of nothing: %+v", notes)
	}
}

// The settings of a server.properties as Kafka ships it, of KRaft and of before.
func TestServerOfTutorials(t *testing.T) {
	kraft := `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`
	c, notes, err := read(t, kraft)
	if err != nil {
		t.Fatal(err)
	}
	if want := []broker.Listener{{Name: "PLAINTEXT", Address: ":9092", AdvertisedAddress: "localhost:9092"}}; !reflect.DeepEqual(c.Listeners, want) {
		t.Errorf("listeners %+v", c.Listeners)
	}
	if c.DataDir != "/tmp/kraft-combined-logs" || c.NodeID != 1 || c.RetentionAge != 168*time.Hour || c.SegmentBytes != 1<<30 {
		t.Errorf("%+v", c)
	}
	if !slices.Contains(notes.WithoutEffect, "num.io.threads") || slices.Contains(notes.WithoutEffect, "log.dirs") || !slices.IsSorted(notes.WithoutEffect) {
		t.Errorf("without effect: %q", notes.WithoutEffect)
	}
	if len(notes.Unsaid) != 1 || !strings.Contains(notes.Unsaid[0], "CONTROLLER") {
		t.Errorf("unsaid: %q", notes.Unsaid)
	}

	c, notes, err = read(t, "broker.id=0\nport=9093\nhost.name=127.0.0.1\nadvertised.host.name=k.example.net\nlog.dir=/tmp/old\nzookeeper.connect=localhost:2181\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := []broker.Listener{{Name: "PLAINTEXT", Address: "127.0.0.1:9093", AdvertisedAddress: "k.example.net:9093"}}; !reflect.DeepEqual(c.Listeners, want) {
		t.Errorf("listeners %+v", c.Listeners)
	}
	if c.DataDir != "/tmp/old" || !slices.Equal(notes.WithoutEffect, []string{"zookeeper.connect"}) || len(notes.Unsaid) != 1 {
		t.Errorf("directory %s, notes %+v", c.DataDir, notes)
	}
}

func TestServerSecurity(t *testing.T) {
	c, notes, err := read(t, `listeners=IN://127.0.0.1:9092,OUT://0.0.0.0:9093,SASL_PLAINTEXT://[::1]:9094
advertised.listeners=OUT://k.example.net:19093
listener.security.protocol.map=IN:PLAINTEXT,OUT:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
ssl.keystore.location=all.pem
ssl.keystore.type=PEM
ssl.truststore.location=ca.pem
sasl.enabled.mechanisms=SCRAM-SHA-512, SCRAM-SHA-256
listener.name.out.sasl.enabled.mechanisms=PLAIN
listener.name.out.ssl.client.auth=required
listener.name.out.ssl.keystore.location=out.pem
listener.name.out.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  username="admin" password="a" user_admin="a" user_alice="b";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS
allow.everyone.if.no.acl.found=true
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []broker.Listener{
		{Name: "IN", Address: "127.0.0.1:9092"},
		{
			Name: "OUT", Address: "0.0.0.0:9093", AdvertisedAddress: "k.example.net:19093", SASLMechanisms: []string{"PLAIN"},
			TLS: &broker.TLSConfig{CertFile: "out.pem", ClientCAFile: "ca.pem", ClientAuth: broker.ClientAuthRequired},
		},
		{Name: "SASL_PLAINTEXT", Address: "[::1]:9094", SASLMechanisms: []string{"SCRAM-SHA-512", "SCRAM-SHA-256"}},
	}
	if !reflect.DeepEqual(c.Listeners, want) {
		t.Errorf("listeners\n%+v, want\n%+v", c.Listeners, want)
	}
	if want := []broker.User{{Name: "admin", Password: "a"}, {Name: "alice", Password: "b"}}; !slices.Equal(c.Users, want) {
		t.Errorf("users %+v", c.Users)
	}
	if !c.Authorize || !c.AllowWithoutACL || !slices.Equal(c.SuperUsers, []string{"User:admin", "User:ANONYMOUS"}) {
		t.Errorf("authorize %v, without %v, super %q", c.Authorize, c.AllowWithoutACL, c.SuperUsers)
	}
	if len(notes.WithoutEffect) > 0 {
		t.Errorf("without effect: %q", notes.WithoutEffect)
	}
}

func TestServerOverridesAndUnits(t *testing.T) {
	c, _, err := read(t, "log.retention.hours=1\nlog.retention.minutes=5\nlog.retention.bytes=1000\nlog.roll.hours=2\nnum.partitions=3\n",
		"num.partitions=7", "log.retention.bytes=-1", "auto.create.topics.enable=false", "transaction.max.timeout.ms=1000")
	if err != nil {
		t.Fatal(err)
	}
	if c.RetentionAge != 5*time.Minute || c.RetentionBytes != -1 || c.SegmentAge != 2*time.Hour || c.DefaultPartitions != 7 ||
		!c.DisableAutoCreate || c.TransactionMaxTimeout != time.Second {
		t.Errorf("%+v", c)
	}
	if c, _, err = read(t, "log.retention.ms=-1\nlog.retention.hours=1\n"); err != nil || c.RetentionAge >= 0 {
		t.Errorf("retention %v, %v", c.RetentionAge, err)
	}
}

func TestServerRefuses(t *testing.T) {
	for line, part := range map[string]string{
		"group.consumer.session.timeout.ms=10000":                                   "allowed are 45000 to 60000, which are group.consumer.min.session.timeout.ms and group.consumer.max.session.timeout.ms",
		"group.consumer.min.heartbeat.interval.ms=9000":                             "group.consumer.heartbeat.interval.ms is 5000, which is not within 9000 to 15000",
		"group.max.session.timeout.ms=10":                                           "group.min.session.timeout.ms 100 is above group.max.session.timeout.ms 10",
		"log.dirs=/a,/b":                                                            "one directory",
		"default.replication.factor=3":                                              "one replica",
		"min.insync.replicas=2":                                                     "one replica",
		"offsets.topic.replication.factor=3":                                        "one replica",
		"sasl.enabled.mechanisms=GSSAPI":                                            "GSSAPI is not there",
		"listeners=SASL_PLAINTEXT://:9092":                                          "sasl.enabled.mechanisms",
		"listeners=SSL://:9092":                                                     "ssl.keystore.location",
		"listeners=INTERNAL://:9092":                                                "listener.security.protocol.map",
		"listeners=9092":                                                            "NAME://host:port",
		"advertised.listeners=PLAINTEXT://0.0.0.0:9092":                             "clients can reach",
		"ssl.keystore.location=server.jks":                                          "PEM",
		"ssl.keystore.type=JKS":                                                     "PEM",
		"authorizer.class.name=com.example.Mine":                                    "Java's classes",
		"process.roles=controller":                                                  "broker",
		"num.partitions=many":                                                       "whole numbers",
		"auto.create.topics.enable=yes":                                             "true and false",
		"log.retention.hour=3":                                                      "no such setting",
		"listener.name.out.sasl.enabled.mechanisms=PLAIN":                           "no listener out",
		"log.cleanup.policy=compact":                                                "topics",
		"compression.type=zstd":                                                     "as the producer",
		"remote.log.storage.system.enable=true":                                     "remote",
		"listener.security.protocol.map=PLAINTEXT:KERBEROS":                         "NAME:PROTOCOL",
		"principal.builder.class=com.example.Mine":                                  "Java's classes",
		"controller.listener.names=PLAINTEXT":                                       "no listener for clients",
		"listeners=SSL://:1\nssl.keystore.location=a.pem\nssl.client.auth=required": "ssl.truststore.location",
	} {
		_, _, err := read(t, line)
		var e *kafkaconfig.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %v, want %q", line, err, part)
		}
	}
	_, _, err := read(t, "\nlisteners=SASL_PLAINTEXT://:1\nsasl.enabled.mechanisms=PLAIN\nlistener.name.sasl_plaintext.plain.sasl.jaas.config=x secret1\n")
	if err == nil || strings.Contains(err.Error(), "secret1") || !strings.Contains(err.Error(), "line 4") {
		t.Errorf("a bad JAAS line: %v", err)
	}
}
