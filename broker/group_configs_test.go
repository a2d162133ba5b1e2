package broker_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// describeConfigs is the configuration of a resource, by name.
func describeConfigs(t *testing.T, cl *kgo.Client, typ kmsg.ConfigResourceType, name string) map[string]kmsg.DescribeConfigsResponseResourceConfig {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: typ, ResourceName: name}}
	resp, err := req.RequestWith(deadline(t), cl)
	if err != nil || resp.Resources[0].ErrorCode != 0 {
		t.Fatalf("describe %s: %+v, %v", name, resp, err)
	}
	configs := make(map[string]kmsg.DescribeConfigsResponseResourceConfig)
	for _, c := range resp.Resources[0].Configs {
		configs[c.Name] = c
	}
	return configs
}

// alterConfig sets a config of a resource, or with no value takes it out, and returns the error code.
func alterConfig(t *testing.T, cl *kgo.Client, typ kmsg.ConfigResourceType, resource, name string, value *string) int16 {
	t.Helper()
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = name, value
	if value == nil {
		c.Op = kmsg.IncrementalAlterConfigOpDelete
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
		ResourceType: typ, ResourceName: resource, Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{c},
	}}
	resp, err := req.RequestWith(deadline(t), cl)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Resources[0].ErrorCode
}

// behind writes what stands behind a config as Kafka's tool does.
func behind(c kmsg.DescribeConfigsResponseResourceConfig) string {
	s := ""
	for _, y := range c.ConfigSynonyms {
		s += y.Source.String() + ":" + y.Name + "=" + *y.Value + " "
	}
	return s
}

// What is set on a group holds for its members from their next heartbeat, is listed, and is there after a restart.
func TestGroupConfigs(t *testing.T) {
	cfg := testConfig(t)
	cfg.GroupConsumerMinSessionTimeout, cfg.GroupConsumerMinHeartbeatInterval = 1500*time.Millisecond, 250*time.Millisecond
	b, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	const typ = kmsg.ConfigResourceTypeGroupConfig
	cl := client(t, b)
	for _, set := range [][2]string{
		{"consumer.session.timeout.ms", "1499"},
		{"consumer.session.timeout.ms", "60001"},
		{"consumer.session.timeout.ms", "4000"}, // below the heartbeats' interval
		{"consumer.heartbeat.interval.ms", "249"},
		{"consumer.heartbeat.interval.ms", "15001"},
		{"consumer.assignment.interval.ms", "15001"},
		{"consumer.nothing", "1"},
	} {
		if c := alterConfig(t, cl, typ, "g", set[0], &set[1]); c != kerr.InvalidConfig.Code {
			t.Errorf("%s=%s: error %d", set[0], set[1], c)
		}
	}
	if c := alterConfig(t, cl, typ, "", "consumer.session.timeout.ms", kmsg.StringPtr("60000")); c != kerr.InvalidRequest.Code {
		t.Errorf("no group: error %d", c)
	}
	for _, set := range [][2]string{{"consumer.heartbeat.interval.ms", "250"}, {"consumer.session.timeout.ms", "1500"}} {
		if c := alterConfig(t, cl, typ, "g", set[0], &set[1]); c != 0 {
			t.Errorf("%s=%s: error %d", set[0], set[1], c)
		}
	}
	check := func() {
		t.Helper()
		set, plain := describeConfigs(t, cl, typ, "g"), describeConfigs(t, cl, typ, "other")
		const own, standard = "GROUP_CONFIG:consumer.session.timeout.ms=1500 ", "DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000 "
		if got := behind(set["consumer.session.timeout.ms"]); got != own+standard {
			t.Errorf("behind what is set: %s", got)
		}
		if got := behind(plain["consumer.session.timeout.ms"]); got != standard || *plain["consumer.session.timeout.ms"].Value != "45000" {
			t.Errorf("behind what is not: %s", got)
		}
		list := kmsg.NewPtrListConfigResourcesRequest()
		list.ResourceTypes = []int8{int8(typ)}
		if resp, err := list.RequestWith(deadline(t), cl); err != nil || len(resp.ConfigResources) != 1 || resp.ConfigResources[0].Name != "g" {
			t.Errorf("listed: %+v, %v", resp, err)
		}
	}
	check()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	cl = client(t, b)
	check()
	for group, want := range map[string]time.Duration{"g": 250 * time.Millisecond, "other": 5 * time.Second} {
		c := mixedGroup{t: t, b: b, cl: cl, group: group}
		if resp := c.consumerHeartbeat("m", 0, nil); resp.HeartbeatIntervalMillis != int32(want.Milliseconds()) {
			t.Errorf("group %s: a heartbeat each %d ms", group, resp.HeartbeatIntervalMillis)
		}
	}
	eventually(t, "the shorter session to end", func() bool { return groupType(t, cl, "g") == "consumer Empty" })
	if got := groupType(t, cl, "other"); got != "consumer Stable" {
		t.Errorf("the other group is %s", got)
	}
	// A broker of other bounds holds what was set to those.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.GroupConsumerMinSessionTimeout, cfg.GroupConsumerMinHeartbeatInterval = 0, 0
	b = open(t, cfg)
	cl = client(t, b)
	c := mixedGroup{t: t, b: b, cl: cl, group: "g"}
	if resp := c.consumerHeartbeat("m", 0, nil); resp.ErrorCode != 0 || resp.HeartbeatIntervalMillis != 5000 {
		t.Errorf("with bounds of its own: %+v", resp)
	}
	for _, name := range []string{"consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"} {
		if c := alterConfig(t, cl, typ, "g", name, nil); c != 0 {
			t.Errorf("take %s out: error %d", name, c)
		}
	}
	if resp, err := kmsg.NewPtrListConfigResourcesRequest().RequestWith(deadline(t), cl); err != nil || len(resp.ConfigResources) == 0 {
		t.Errorf("listed: %+v, %v", resp, err)
	} else {
		for _, r := range resp.ConfigResources {
			if r.Type == int8(typ) {
				t.Errorf("group %s is still listed", r.Name)
			}
		}
	}
}

// Behind a topic's config stands the broker's, under the broker's name: what was changed for all and for one, what the broker
// was started with, the default.
func TestConfigSynonyms(t *testing.T) {
	cfg := testConfig(t)
	cfg.RetentionBytes = 5 << 20
	b := open(t, cfg)
	cl := client(t, b)
	makeTopic(t, b, "flows")
	for _, set := range []struct {
		typ                   kmsg.ConfigResourceType
		resource, name, value string
	}{
		{kmsg.ConfigResourceTypeTopic, "flows", "max.message.bytes", "3000"},
		{kmsg.ConfigResourceTypeBroker, "", "message.max.bytes", "2000"},
		{kmsg.ConfigResourceTypeBroker, "1", "log.retention.ms", "7000"},
		{kmsg.ConfigResourceTypeBroker, "", "log.retention.ms", "8000"},
	} {
		if c := alterConfig(t, cl, set.typ, set.resource, set.name, &set.value); c != 0 {
			t.Fatalf("%+v: error %d", set, c)
		}
	}
	topic, one := describeConfigs(t, cl, kmsg.ConfigResourceTypeTopic, "flows"), describeConfigs(t, cl, kmsg.ConfigResourceTypeBroker, "1")
	for name, want := range map[string]string{
		"cleanup.policy":    "DEFAULT_CONFIG:log.cleanup.policy=delete ",
		"max.message.bytes": "DYNAMIC_TOPIC_CONFIG:max.message.bytes=3000 DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=2000 DEFAULT_CONFIG:message.max.bytes=1048588 ",
		"retention.ms":      "DYNAMIC_BROKER_CONFIG:log.retention.ms=7000 DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=8000 DEFAULT_CONFIG:log.retention.ms=604800000 ",
		"retention.bytes":   "STATIC_BROKER_CONFIG:log.retention.bytes=5242880 DEFAULT_CONFIG:log.retention.bytes=-1 ",
		"segment.jitter.ms": "",
	} {
		c := topic[name]
		if got := behind(c); got != want {
			t.Errorf("%s: %s", name, got)
		}
		if len(c.ConfigSynonyms) > 0 && (c.Source != c.ConfigSynonyms[0].Source || *c.Value != *c.ConfigSynonyms[0].Value) {
			t.Errorf("%s is %s of %s", name, *c.Value, c.Source)
		}
	}
	for name, want := range map[string]string{
		"log.dirs":             "STATIC_BROKER_CONFIG:log.dirs=" + cfg.DataDir + " ",
		"log.retention.bytes":  "STATIC_BROKER_CONFIG:log.retention.bytes=5242880 DEFAULT_CONFIG:log.retention.bytes=-1 ",
		"num.partitions":       "DEFAULT_CONFIG:num.partitions=4 ",
		"super.users":          "DEFAULT_CONFIG:super.users= ",
		"tributary.max.groups": "DEFAULT_CONFIG:tributary.max.groups=10000 ",
	} {
		if got := behind(one[name]); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
