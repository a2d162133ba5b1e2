package broker

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokerConfig is one of Kafka's broker configs that can be changed while the broker runs (KIP-226).
type brokerConfig struct {
	configKey
	put func(c *Config, value string) // puts a checked value into a configuration
}

// retentionMillis allows a time of a millisecond and more, and what is below 0 for no limit.
func retentionMillis(s string) error {
	if s == "0" {
		return errors.New("want at least 1, or -1 for no limit")
	}
	return integer(math.MinInt64, maxInt64)(s)
}

// brokerConfigs in the order they are listed.
var brokerConfigs = []brokerConfig{
	{
		configKey{
			name: "log.retention.bytes", typ: kmsg.ConfigTypeLong, check: integer(math.MinInt64, maxInt64),
			standard: func(c *Config) string { return strconv.FormatInt(max(c.RetentionBytes, -1), 10) },
			doc:      "bytes each partition keeps where its topic does not say; below 0 is no limit.",
		},
		func(c *Config, v string) {
			if c.RetentionBytes = number(v); c.RetentionBytes == 0 {
				c.RetentionBytes = 1
			}
		},
	},
	{
		configKey{
			name: "log.retention.ms", typ: kmsg.ConfigTypeLong, check: retentionMillis,
			standard: func(c *Config) string { return millisText(c.RetentionAge) },
			doc:      "how long records are kept where their topic does not say; -1 is for ever.",
		},
		func(c *Config, v string) { c.RetentionAge = millis(v) },
	},
	{
		configKey{
			name: "log.roll.ms", typ: kmsg.ConfigTypeLong, check: integer(1, 100*365*24*int64(time.Hour/time.Millisecond)),
			standard: func(c *Config) string { return millisText(c.SegmentAge) },
			doc:      "a new segment begins after this time at the latest.",
		},
		func(c *Config, v string) { c.SegmentAge = millis(v) },
	},
	{
		configKey{
			name: "log.segment.bytes", typ: kmsg.ConfigTypeInt, check: integer(1024, maxInt32),
			standard: func(c *Config) string { return strconv.FormatInt(c.SegmentBytes, 10) },
			doc:      "largest segment file.",
		},
		func(c *Config, v string) { c.SegmentBytes = number(v) },
	},
	{
		configKey{
			name: "max.connections", typ: kmsg.ConfigTypeInt, check: integer(1, maxInt32),
			standard: func(c *Config) string { return strconv.Itoa(c.MaxConnections) },
			doc:      "connections open at the same time; those there are stay.",
		},
		func(c *Config, v string) { c.MaxConnections = int(number(v)) },
	},
	{
		configKey{
			name: "max.connections.per.ip", typ: kmsg.ConfigTypeInt, check: integer(1, maxInt32),
			standard: func(c *Config) string { return strconv.Itoa(c.MaxConnectionsPerIP) },
			doc:      "connections of one address open at the same time; those there are stay.",
		},
		func(c *Config, v string) { c.MaxConnectionsPerIP = int(number(v)) },
	},
	{
		configKey{
			name: "message.max.bytes", typ: kmsg.ConfigTypeInt, check: integer(61, maxInt32),
			standard: func(c *Config) string { return strconv.Itoa(c.MaxMessageBytes) },
			doc:      "largest batch, as the producer compressed it, where its topic does not say.",
		},
		func(c *Config, v string) { c.MaxMessageBytes = int(number(v)) },
	},
	replicationThrottle("follower.replication.throttled.rate"),
	replicationThrottle("leader.replication.throttled.rate"),
	replicationThrottle("replica.alter.log.dirs.io.max.bytes.per.second"),
}

// replicationThrottle is a config that Kafka's tool for reassignments sets when it begins, and takes away when it verifies.
func replicationThrottle(name string) brokerConfig {
	return brokerConfig{
		configKey{
			name: name, typ: kmsg.ConfigTypeLong, check: integer(0, maxInt64), standard: fixed(strconv.FormatInt(maxInt64, 10)),
			doc: "kept as set; nothing is moved between brokers or directories.",
		},
		func(*Config, string) {},
	}
}

// dynamicConfig finds a config that can be changed.
func dynamicConfig(name string) *configKey {
	for i := range brokerConfigs {
		if brokerConfigs[i].name == name {
			return &brokerConfigs[i].configKey
		}
	}
	return nil
}

// kindConfig is the metadata file's kind of changed configs; its keys are forAll and forOne.
const kindConfig = "broker-config"

// Configs can be set for all brokers and for one; what is set for the one wins. There is one.
const (
	forAll = "default"
	forOne = "broker"
)

// liveConfig is the configuration with what has been changed over what the broker was started with.
type liveConfig struct {
	base     *Config
	defaults Config
	meta     *metadataFile

	change sync.Mutex
	set    atomic.Pointer[map[string]map[string]string] // by forAll and forOne
	config atomic.Pointer[Config]
}

// openLiveConfig reads what has been changed. A change that does not go with the options of this start is left out.
func openLiveConfig(base *Config, meta *metadataFile) (*liveConfig, error) {
	lc := &liveConfig{base: base, defaults: DefaultConfig(), meta: meta}
	set := map[string]map[string]string{forAll: {}, forOne: {}}
	err := meta.each(kindConfig, func(level string, raw json.RawMessage) error {
		var configs map[string]string
		if err := json.Unmarshal(raw, &configs); err != nil {
			return err
		}
		for name, value := range configs {
			if key := dynamicConfig(name); key != nil && key.check(value) == nil && set[level] != nil {
				set[level][name] = value
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	cfg, err := lc.effective(set)
	if err != nil {
		base.Logger.Warn("configs changed while the broker ran do not go with its options and are left out", "err", err)
		set, cfg = map[string]map[string]string{forAll: {}, forOne: {}}, base
	}
	lc.set.Store(&set)
	lc.config.Store(cfg)
	return lc, nil
}

// effective puts changes over the base.
func (lc *liveConfig) effective(set map[string]map[string]string) (*Config, error) {
	cfg := *lc.base
	for i := range brokerConfigs {
		k := &brokerConfigs[i]
		if v, ok := set[forOne][k.name]; ok {
			k.put(&cfg, v)
		} else if v, ok := set[forAll][k.name]; ok {
			k.put(&cfg, v)
		}
	}
	if err := cfg.check(); err != nil {
		return nil, refusef(codeInvalidConfig, "%v", err)
	}
	return &cfg, nil
}

// edit changes one level, on the disk first, and has then follow it.
func (lc *liveConfig) edit(level string, edit func(map[string]string) error, validateOnly bool, then func()) error {
	lc.change.Lock()
	defer lc.change.Unlock()
	set := maps.Clone(*lc.set.Load())
	configs := maps.Clone(set[level])
	if err := edit(configs); err != nil {
		return err
	}
	for name, value := range configs {
		key := dynamicConfig(name)
		if key == nil {
			return refusef(codeInvalidRequest, "config %s cannot be changed while the broker runs", name)
		}
		configs[name] = key.canonical(value)
		if err := key.check(configs[name]); err != nil {
			return refusef(codeInvalidRequest, "config %s=%q: %v", name, value, err)
		}
	}
	set[level] = configs
	cfg, err := lc.effective(set)
	if err != nil || validateOnly {
		return err
	}
	if err := lc.meta.put(kindConfig, level, configs); err != nil {
		return err
	}
	lc.set.Store(&set)
	lc.config.Store(cfg)
	then()
	return nil
}

// levelOf reads the name of a broker resource: the one broker's id, or nothing for all.
func (b *Broker) levelOf(name string) (string, error) {
	switch name {
	case "":
		return forAll, nil
	case strconv.Itoa(int(b.cfg.NodeID)):
		return forOne, nil
	}
	return "", refusef(codeInvalidRequest, "broker %s: the one broker is %d", name, b.cfg.NodeID)
}

// describeDynamic describes one config that can be changed, as a level sees it; false when the level has nothing to tell.
func (lc *liveConfig) describeDynamic(k *brokerConfig, level string) (kmsg.DescribeConfigsResponseResourceConfig, bool) {
	e := describeConfig(&k.configKey, lc.behind(k.name, k.standard, level))
	return e, e.Value != nil
}

// describeConfig describes a config by the values that stand behind it, the first of which counts.
func describeConfig(k *configKey, behind []configSynonym) kmsg.DescribeConfigsResponseResourceConfig {
	e := kmsg.NewDescribeConfigsResponseResourceConfig()
	e.Name, e.ConfigType, e.Documentation = k.name, k.typ, &k.doc
	e.Source, e.ConfigSynonyms = kmsg.ConfigSourceDefaultConfig, behind
	if len(behind) > 0 {
		e.Value, e.Source = behind[0].Value, behind[0].Source
	}
	e.IsDefault = e.Source == kmsg.ConfigSourceDefaultConfig
	return e
}

// configSynonym is a value that stands behind a config.
type configSynonym = kmsg.DescribeConfigsResponseResourceConfigConfigSynonym

func synonym(name, value string, source kmsg.ConfigSource) configSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Value, s.Source = name, &value, source
	return s
}

// behind lists what the broker has for one of its configs as a level sees it: what was changed for one and for all, what the
// broker was started with, and the default.
func (lc *liveConfig) behind(name string, standard func(*Config) string, level string) []configSynonym {
	var out []configSynonym
	set := *lc.set.Load()
	if v, ok := set[forOne][name]; ok && level == forOne {
		out = append(out, synonym(name, v, kmsg.ConfigSourceDynamicBrokerConfig))
	}
	if v, ok := set[forAll][name]; ok {
		out = append(out, synonym(name, v, kmsg.ConfigSourceDynamicDefaultBrokerConfig))
	}
	if level == forAll {
		return out
	}
	if base, usual := standard(lc.base), standard(&lc.defaults); base != usual {
		out = append(out, synonym(name, base, kmsg.ConfigSourceStaticBrokerConfig), synonym(name, usual, kmsg.ConfigSourceDefaultConfig))
	} else {
		out = append(out, synonym(name, usual, kmsg.ConfigSourceDefaultConfig))
	}
	return out
}
