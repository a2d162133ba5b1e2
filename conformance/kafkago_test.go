package conformance

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/segmentio/kafka-go" // go.mod has its version

	"github.com/tributary-net/tributary/broker"
)

const (
	kafkaGoSuite = "kafka-go's own tests, of all packages"
	kafkaGoTxn   = "kafka-go's own tests that skip themselves on Kafka 3.0 and later"
)

// TestKafkaGo has segmentio/kafka-go's own tests run, on a broker set up like that of
// its continuous integration.
func TestKafkaGo(t *testing.T) {
	t.Parallel()
	b := start(t, kafkaGo, kafkaGoBroker)
	kafkaGoTests(b, kafkaGoSuite, "4.0.0", "./...").play(t)
}

// TestKafkaGoTransactions has those of them run that do so up to Kafka 2.8 only.
func TestKafkaGoTransactions(t *testing.T) {
	t.Parallel()
	b := start(t, kafkaGo, kafkaGoBroker)
	s := kafkaGoTests(b, kafkaGoTxn, "2.8.1", ".")
	s.run = "TestClientInitProducerId|TestClientAddOffsetsToTxn|TestClientAddPartitionsToTxn|TestClientTxnOffsetCommit"
	s.play(t)
}

func kafkaGoBroker(c *broker.Config) {
	c.Listeners = []broker.Listener{{
		Name: "SASL", Address: "127.0.0.1:0",
		SASLMechanisms: []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"},
	}}
	c.Users = []broker.User{
		{Name: "adminplain", Password: "admin-secret"},
		{Name: "adminscram256", Password: "admin-secret-256"},
		{Name: "adminscram512", Password: "admin-secret-512"},
	}
	c.Authorize, c.AllowWithoutACL = true, true
	c.SuperUsers = []string{"User:ANONYMOUS"}
	c.GroupMinSessionTimeout = 6 * time.Second // Kafka's default, which a test goes below
}

// kafkaGoTests says where the broker is in the places where the tests say where
// theirs is.
func kafkaGoTests(b *broker.Broker, name, version string, packages ...string) *suite {
	plain := b.Addr().String()
	_, port, _ := net.SplitHostPort(plain)
	sasl := ""
	for _, l := range b.Listeners() {
		if l.Name == "SASL" {
			sasl = l.Addr.String()
		}
	}
	places := strings.NewReplacer(
		`"localhost:9092"`, `"`+plain+`"`,
		`"127.0.0.1:9092"`, `"`+plain+`"`,
		`"localhost:9093"`, `"`+sasl+`"`,
		`"127.0.0.1:9093"`, `"`+sasl+`"`,
		`TCP("localhost")`, `TCP("`+plain+`")`,
		`Host: "localhost", Port: 9092`, `Host: "127.0.0.1", Port: `+port,
		`Host != "localhost"`, `Host != "127.0.0.1"`,
		`Port != 9092`, `Port != `+port,
		`"example.com:9092"`, `"example.com:`+port+`"`,
	)
	return &suite{
		client: kafkaGo, name: name, module: "github.com/segmentio/kafka-go", packages: packages,
		env: []string{"KAFKA_VERSION=" + version},
		patch: func(dir string) error {
			files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
			if err != nil {
				return err
			}
			more, err := filepath.Glob(filepath.Join(dir, "*", "*_test.go"))
			if err != nil {
				return err
			}
			changed := 0
			for _, file := range append(files, more...) {
				if filepath.Base(file) == "address_test.go" {
					continue // of names only
				}
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if now := places.Replace(string(text)); now != string(text) {
					changed++
					if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
						return err
					}
				}
			}
			if changed < 20 {
				return fmt.Errorf("the broker's address went into %d files only", changed)
			}
			return nil
		},
	}
}
