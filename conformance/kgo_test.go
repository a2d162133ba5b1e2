package conformance

import (
	"testing"

	"github.com/tributary-net/tributary/broker"
	_ "github.com/twmb/franz-go/pkg/kgo" // go.mod has its version, and go.sum what its tests need
)

const (
	kgoSuite = "kgo's own tests"
	kgoSCRAM = "kgo's own tests of SCRAM, by SCRAM-SHA-"
)

func kgoTests(name, run string, env ...string) *suite {
	return &suite{
		client: franzGo, name: name, module: "github.com/twmb/franz-go", packages: []string{"./pkg/kgo"}, run: run,
		env: append(env, "KGO_TEST_RF=1", "KGO_TEST_RECORDS=50000", "KGO_LOG_LEVEL=none"),
	}
}

// TestKgo has franz-go's own tests run: the producer and the consumer with every
// codec, groups of both protocols, transactions, and administration.
func TestKgo(t *testing.T) {
	t.Parallel()
	b := start(t, franzGo, nil)
	kgoTests(kgoSuite, "", "KGO_SEEDS="+b.Addr().String()).play(t)
}

// TestKgoSCRAM has those of them run that want SCRAM, on a listener that asks for it.
func TestKgoSCRAM(t *testing.T) {
	t.Parallel()
	b := start(t, franzGo, func(c *broker.Config) {
		c.Listeners = []broker.Listener{{
			Name: "SASL", Address: "127.0.0.1:0",
			SASLMechanisms: []string{"SCRAM-SHA-256", "SCRAM-SHA-512"},
		}}
		c.Users = []broker.User{{Name: "scram", Password: "a password"}}
	})
	seeds := ""
	for _, l := range b.Listeners() {
		if l.Name == "SASL" {
			seeds = l.Addr.String()
		}
	}
	for _, hash := range []string{"256", "512"} {
		t.Run(hash, func(t *testing.T) {
			kgoTests(kgoSCRAM+hash, "^TestSCRAM", "KGO_SEEDS="+b.Addr().String(), "KGO_TEST_SCRAM_SEEDS="+seeds, "KGO_TEST_SCRAM=scram:a password:"+hash).play(t)
		})
	}
}
