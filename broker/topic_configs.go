package broker

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// configKey is one of Kafka's configurations of topics (Kafka documentation, "Topic Configs"), of groups or of the broker.
type configKey struct {
	name   string
	broker string // what the broker calls what it has for those that do not set it
	typ    kmsg.ConfigType
	// check says whether a value is allowed.
	check func(value string) error
	// standard is the value of a topic that does not set it.
	standard func(c *Config) string
	// apply puts a checked value into force. Nil: kept and shown, for clients that set it, without effect here.
	apply func(lc *commitlog.LogConfig, value string)
	doc   string
}

// canonical writes a value as Kafka shows it (ConfigDef.parseType, ConfigDef.convertToString).
func (k *configKey) canonical(value string) string {
	switch k.typ {
	case kmsg.ConfigTypeInt, kmsg.ConfigTypeLong:
		value = strings.TrimSpace(value)
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			value = strconv.FormatInt(n, 10)
		}
	case kmsg.ConfigTypeDouble:
		value = strings.TrimSpace(value)
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			if value = strconv.FormatFloat(f, 'f', -1, 64); !strings.Contains(value, ".") {
				value += ".0"
			}
		}
	case kmsg.ConfigTypeBoolean:
		value = strings.ToLower(strings.TrimSpace(value))
	case kmsg.ConfigTypeList:
		words := strings.Split(strings.TrimSpace(value), ",")
		for i, w := range words {
			words[i] = strings.TrimSpace(w)
		}
		value = strings.Join(words, ",")
	}
	return value
}

func fixed(s string) func(*Config) string { return func(*Config) string { return s } }

func integer(lo, hi int64) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < lo || n > hi {
			return fmt.Errorf("want a whole number within %d to %d", lo, hi)
		}
		return nil
	}
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("want one of %s", strings.Join(words, ", "))
		}
		return nil
	}
}

// listOf allows a list of these words, which may be empty.
func listOf(words ...string) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		for w := range strings.SplitSeq(s, ",") {
			if !slices.Contains(words, strings.TrimSpace(w)) {
				return fmt.Errorf("want a list of %s", strings.Join(words, ", "))
			}
		}
		return nil
	}
}

// replicas allows a list of replicas, each as partition:broker, or * for all of them.
func replicas(s string) error {
	if s == "" || s == "*" {
		return nil
	}
	number := func(s string) bool {
		return s != "" && strings.Trim(s, "0123456789") == ""
	}
	for w := range strings.SplitSeq(s, ",") {
		if partition, broker, ok := strings.Cut(strings.TrimSpace(w), ":"); !ok || !number(partition) || !number(broker) {
			return fmt.Errorf("want * or a list such as 0:1,1:2, of partition:broker")
		}
	}
	return nil
}

func ratio(s string) error {
	if f, err := strconv.ParseFloat(s, 64); err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("want a number within 0 to 1")
	}
	return nil
}

// number reads a checked value.
func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// millis turns a checked number of milliseconds into a duration, -1 into a negative one and 0, which the log takes as
// "not set", into the shortest there is.
func millis(s string) time.Duration {
	n := number(s)
	if n > math.MaxInt64/int64(time.Millisecond) {
		return math.MaxInt64
	}
	if n == 0 {
		return time.Millisecond
	}
	return time.Duration(n) * time.Millisecond
}

// atLeastSome is millis with 0 as less than a millisecond, which the log does not take as "not set".
func atLeastSome(s string) time.Duration {
	if number(s) == 0 {
		return 1
	}
	return millis(s)
}

func millisText(d time.Duration) string {
	if d < 0 {
		return "-1"
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}

const (
	maxInt32 = math.MaxInt32
	maxInt64 = math.MaxInt64
	maxLong  = "9223372036854775807"
)

// topicConfigs in the order they are listed.
var topicConfigs = []configKey{
	{
		name: "cleanup.policy", broker: "log.cleanup.policy", typ: kmsg.ConfigTypeList, check: listOf("delete", "compact"), standard: fixed("delete"),
		apply: func(lc *commitlog.LogConfig, v string) {
			lc.Compact = strings.Contains(v, "compact")
			lc.CompactDelete = lc.Compact && strings.Contains(v, "delete")
		},
		doc: "delete old segments, keep the last record of every key (compact), or both. A topic that is only compacted is exempt from retention by time and size, one with an empty list too: it keeps everything.",
	},
	{name: "compression.type", broker: "compression.type", typ: kmsg.ConfigTypeString, check: oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"), standard: fixed("producer"), doc: "kept as set; batches stay as the producer compressed them."},
	{
		name: "delete.retention.ms", broker: "log.cleaner.delete.retention.ms", typ: kmsg.ConfigTypeLong, check: integer(0, maxInt64), standard: fixed("86400000"),
		apply: func(lc *commitlog.LogConfig, v string) { lc.DeleteRetention = millis(v) },
		doc:   "how long a compacted topic keeps tombstones.",
	},
	{name: "file.delete.delay.ms", broker: "log.segment.delete.delay.ms", typ: kmsg.ConfigTypeLong, check: integer(0, maxInt64), standard: func(c *Config) string { return millisText(max(c.FileDeleteDelay, 0)) }, doc: "kept as set; the broker's own setting is in force."},
	{name: "flush.messages", broker: "log.flush.interval.messages", typ: kmsg.ConfigTypeLong, check: integer(1, maxInt64), standard: fixed(maxLong), doc: "kept as set; the broker's durability decides about flushes."},
	{name: "flush.ms", typ: kmsg.ConfigTypeLong, check: integer(0, maxInt64), standard: fixed(maxLong), doc: "kept as set; the broker's durability decides about flushes."},
	{name: "follower.replication.throttled.replicas", typ: kmsg.ConfigTypeList, check: replicas, standard: fixed(""), doc: "kept as set; there are no followers."},
	{
		name: "index.interval.bytes", broker: "log.index.interval.bytes", typ: kmsg.ConfigTypeInt, check: integer(0, maxInt32), standard: fixed("4096"),
		apply: func(lc *commitlog.LogConfig, v string) { lc.IndexIntervalBytes = int(max(number(v), 1)) },
		doc:   "bytes of log between two index entries.",
	},
	{name: "leader.replication.throttled.replicas", typ: kmsg.ConfigTypeList, check: replicas, standard: fixed(""), doc: "kept as set; there are no followers."},
	{name: "local.retention.bytes", broker: "log.local.retention.bytes", typ: kmsg.ConfigTypeLong, check: integer(-2, maxInt64), standard: fixed("-2"), doc: "kept as set; there is no remote storage."},
	{name: "local.retention.ms", broker: "log.local.retention.ms", typ: kmsg.ConfigTypeLong, check: integer(-2, maxInt64), standard: fixed("-2"), doc: "kept as set; there is no remote storage."},
	{
		name: "max.compaction.lag.ms", broker: "log.cleaner.max.compaction.lag.ms", typ: kmsg.ConfigTypeLong, check: integer(1, maxInt64), standard: fixed(maxLong),
		apply: func(lc *commitlog.LogConfig, v string) { lc.MaxCompactionLag = millis(v) },
		doc:   "a compacted topic's records are compacted after this time, and its segments rolled, at the latest.",
	},
	{
		name: "max.message.bytes", broker: "message.max.bytes", typ: kmsg.ConfigTypeInt, check: integer(0, maxInt32), standard: func(c *Config) string { return strconv.Itoa(c.MaxMessageBytes) },
		apply: func(lc *commitlog.LogConfig, v string) { lc.MaxMessageBytes = int(max(number(v), 1)) },
		doc:   "largest batch, as the producer compressed it.",
	},
	{
		name: "message.timestamp.after.max.ms", broker: "log.message.timestamp.after.max.ms", typ: kmsg.ConfigTypeLong, check: integer(0, maxInt64), standard: fixed("3600000"),
		apply: func(lc *commitlog.LogConfig, v string) { lc.TimestampAfter = atLeastSome(v) },
		doc:   "how far ahead of the broker's clock a record's timestamp may be; with LogAppendTime, without effect.",
	},
	{
		name: "message.timestamp.before.max.ms", broker: "log.message.timestamp.before.max.ms", typ: kmsg.ConfigTypeLong, check: integer(0, maxInt64), standard: fixed(maxLong),
		apply: func(lc *commitlog.LogConfig, v string) { lc.TimestampBefore = atLeastSome(v) },
		doc:   "how far behind the broker's clock a record's timestamp may be; with LogAppendTime, without effect.",
	},
	{
		name: "message.timestamp.type", broker: "log.message.timestamp.type", typ: kmsg.ConfigTypeString, check: oneOf("CreateTime", "LogAppendTime"), standard: fixed("CreateTime"),
		apply: func(lc *commitlog.LogConfig, v string) {
			lc.TimestampType = commitlog.CreateTime
			if v == "LogAppendTime" {
				lc.TimestampType = commitlog.LogAppendTime
			}
		},
		doc: "whose clock a record's timestamp is: the producer's or the broker's.",
	},
	{
		name: "min.cleanable.dirty.ratio", broker: "log.cleaner.min.cleanable.ratio", typ: kmsg.ConfigTypeDouble, check: ratio, standard: fixed("0.5"),
		apply: func(lc *commitlog.LogConfig, v string) {
			if lc.MinCleanableRatio, _ = strconv.ParseFloat(v, 64); lc.MinCleanableRatio == 0 {
				lc.MinCleanableRatio = -1 // 0 is "not set" to the log
			}
		},
		doc: "a topic is compacted when more than this part of it never was.",
	},
	{
		name: "min.compaction.lag.ms", broker: "log.cleaner.min.compaction.lag.ms", typ: kmsg.ConfigTypeLong, check: integer(0, maxInt64), standard: fixed("0"),
		apply: func(lc *commitlog.LogConfig, v string) {
			lc.MinCompactionLag = time.Duration(min(number(v), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
		},
		doc: "how long a record of a compacted topic is kept from compaction.",
	},
	{name: "min.insync.replicas", broker: "min.insync.replicas", typ: kmsg.ConfigTypeInt, check: integer(1, maxInt32), standard: fixed("1"), doc: "kept as set; the one replica is always in sync."},
	{name: "preallocate", broker: "log.preallocate", typ: kmsg.ConfigTypeBoolean, check: oneOf("true", "false"), standard: fixed("false"), doc: "kept as set; segments grow as they are written."},
	{name: "remote.storage.enable", typ: kmsg.ConfigTypeBoolean, check: oneOf("false"), standard: fixed("false"), doc: "there is no remote storage."},
	{
		name: "retention.bytes", broker: "log.retention.bytes", typ: kmsg.ConfigTypeLong, check: integer(math.MinInt64, maxInt64), standard: func(c *Config) string { return strconv.FormatInt(max(c.RetentionBytes, -1), 10) },
		apply: func(lc *commitlog.LogConfig, v string) {
			if lc.RetentionBytes = number(v); lc.RetentionBytes == 0 {
				lc.RetentionBytes = 1
			}
		},
		doc: "bytes each partition keeps; below 0 is no limit.",
	},
	{
		name: "retention.ms", broker: "log.retention.ms", typ: kmsg.ConfigTypeLong, check: integer(-1, maxInt64), standard: func(c *Config) string { return millisText(c.RetentionAge) },
		apply: func(lc *commitlog.LogConfig, v string) { lc.RetentionAge = millis(v) },
		doc:   "how long records are kept; -1 is for ever.",
	},
	{
		name: "segment.bytes", broker: "log.segment.bytes", typ: kmsg.ConfigTypeInt, check: integer(1024, maxInt32), standard: func(c *Config) string { return strconv.FormatInt(c.SegmentBytes, 10) },
		apply: func(lc *commitlog.LogConfig, v string) { lc.SegmentBytes = number(v) },
		doc:   "largest segment file.",
	},
	{name: "segment.index.bytes", broker: "log.index.size.max.bytes", typ: kmsg.ConfigTypeInt, check: integer(4, maxInt32), standard: fixed("10485760"), doc: "kept as set; indexes grow as they are written."},
	{name: "segment.jitter.ms", typ: kmsg.ConfigTypeLong, check: integer(0, maxInt64), standard: fixed("0"), doc: "kept as set."},
	{
		name: "segment.ms", broker: "log.roll.ms", typ: kmsg.ConfigTypeLong, check: integer(1, maxInt64), standard: func(c *Config) string { return millisText(c.SegmentAge) },
		apply: func(lc *commitlog.LogConfig, v string) { lc.SegmentAge = millis(v) },
		doc:   "a new segment begins after this time at the latest.",
	},
	{name: "unclean.leader.election.enable", broker: "unclean.leader.election.enable", typ: kmsg.ConfigTypeBoolean, check: oneOf("true", "false"), standard: fixed("false"), doc: "kept as set; there are no followers."},
}

// topicConfig finds a topic configuration by name.
func topicConfig(name string) *configKey {
	for i := range topicConfigs {
		if topicConfigs[i].name == name {
			return &topicConfigs[i]
		}
	}
	return nil
}

// checkConfigs refuses a name Kafka does not have and a value it does not allow, and writes the values as Kafka shows them.
func checkConfigs(configs map[string]string) error {
	for name, value := range configs {
		k := topicConfig(name)
		if k == nil {
			return refusef(codeInvalidConfig, "unknown topic config %s", name)
		}
		configs[name] = k.canonical(value)
		if err := k.check(configs[name]); err != nil {
			return refusef(codeInvalidConfig, "topic config %s=%q: %v", name, value, err)
		}
	}
	return nil
}

// effectiveConfig is the broker's defaults with a topic's own settings over them.
func effectiveConfig(c *Config, name string, configs map[string]string) commitlog.LogConfig {
	lc := c.logConfig()
	for k, v := range configs {
		if key := topicConfig(k); key != nil && key.apply != nil && key.check(v) == nil {
			key.apply(&lc, v)
		}
	}
	if policy, set := configs["cleanup.policy"]; set && policy == "" {
		lc.RetentionAge, lc.RetentionBytes = -1, -1
	}
	if isInternal(name) {
		lc.Compact = true
		lc.MaxMessageBytes = max(lc.MaxMessageBytes, c.MaxRequestBytes) // a group's assignment is one record
		lc.MaxMessageBytes = min(lc.MaxMessageBytes, int(lc.SegmentBytes))
	}
	return lc
}
