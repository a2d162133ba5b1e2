package broker_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Values at the edge are taken and refused as Apache Kafka 4.3.1 does, whether a topic is made or altered with them.
func TestTopicConfigValues(t *testing.T) {
	adm := kadm.NewClient(client(t, open(t, testConfig(t))))
	for _, c := range []struct {
		name, value string
		refused     bool
	}{
		{"cleanup.policy", "", false},
		{"cleanup.policy", "delete,compact", false},
		{"cleanup.policy", "compact,", true},
		{"cleanup.policy", "none", true},
		{"retention.bytes", "-1", false},
		{"retention.bytes", "-2", false},
		{"retention.bytes", "-9223372036854775808", false},
		{"retention.bytes", "-9223372036854775809", true},
		{"retention.ms", "-1", false},
		{"retention.ms", "-2", true},
		{"leader.replication.throttled.replicas", "", false},
		{"leader.replication.throttled.replicas", "*", false},
		{"leader.replication.throttled.replicas", "0:1,1:2", false},
		{"leader.replication.throttled.replicas", "x", true},
		{"follower.replication.throttled.replicas", "0:1, 1:2", false},
		{"follower.replication.throttled.replicas", "00:1", false},
		{"follower.replication.throttled.replicas", "0:1:2", true},
		{"follower.replication.throttled.replicas", "none", true},
		{"follower.replication.throttled.replicas", "*,0:1", true},
		{"follower.replication.throttled.replicas", "a:b", true},
		{"follower.replication.throttled.replicas", "-1:1", true},
		{"follower.replication.throttled.replicas", "0:1,", true},
	} {
		_, created := adm.CreateTopic(deadline(t), 1, 1, map[string]*string{c.name: &c.value}, "edge")
		if c.refused != errors.Is(created, kerr.InvalidConfig) || !c.refused && created != nil {
			t.Errorf("create with %s=%q: %v", c.name, c.value, created)
		}
		if created != nil {
			if _, err := adm.CreateTopic(deadline(t), 1, 1, nil, "edge"); err != nil {
				t.Fatal(err)
			}
		}
		altered, err := adm.AlterTopicConfigs(deadline(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: c.name, Value: &c.value}}, "edge")
		if err != nil || len(altered) != 1 {
			t.Fatalf("alter to %s=%q: %+v, %v", c.name, c.value, altered, err)
		}
		if err := altered[0].Err; c.refused != errors.Is(err, kerr.InvalidConfig) || !c.refused && err != nil {
			t.Errorf("alter to %s=%q: %v", c.name, c.value, err)
		}
		if _, err := adm.DeleteTopic(deadline(t), "edge"); err != nil {
			t.Fatal(err)
		}
	}
}

// A topic with an empty cleanup.policy loses nothing to retention.
func TestEmptyCleanupPolicy(t *testing.T) {
	cfg := testConfig(t)
	cfg.RetentionCheckInterval = time.Millisecond
	cl := client(t, open(t, cfg), kgo.ProducerBatchCompression(kgo.NoCompression()))
	adm := kadm.NewClient(cl)
	none, little, small := "", "1", "1024"
	for topic, configs := range map[string]map[string]*string{
		"kept": {"cleanup.policy": &none, "retention.bytes": &little, "retention.ms": &little, "segment.bytes": &small},
		"lost": {"retention.bytes": &little, "segment.bytes": &small},
	} {
		if _, err := adm.CreateTopic(deadline(t), 1, 1, configs, topic); err != nil {
			t.Fatal(err)
		}
	}
	start := func(topic string) int64 {
		offsets, err := adm.ListStartOffsets(deadline(t), topic)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := offsets.Lookup(topic, 0)
		return o.Offset
	}
	value := make([]byte, 600)
	for range 3 { // the checks that take from one topic look at the other too
		before := start("lost")
		for range 4 {
			for _, topic := range []string{"kept", "lost"} {
				if err := cl.ProduceSync(deadline(t), &kgo.Record{Topic: topic, Value: value}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
		eventually(t, "retention takes from the other topic", func() bool { return start("lost") > before })
	}
	if at := start("kept"); at != 0 {
		t.Errorf("the topic begins at %d", at)
	}
}
