package broker

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupConfigKeys are the configurations of groups (Kafka documentation, "Group Configs") that this broker has: those of
// KIP-848's groups.
var groupConfigKeys = []configKey{
	{
		name: "consumer.assignment.interval.ms", typ: kmsg.ConfigTypeInt, check: integer(0, 15_000), standard: fixed("0"),
		doc: "kept as set; partitions are assigned anew as soon as something changes.",
	},
	{
		name: groupHeartbeatKey, broker: "group.consumer.heartbeat.interval.ms", typ: kmsg.ConfigTypeInt, check: integer(1, maxInt32),
		standard: func(c *Config) string { return millisText(c.GroupConsumerHeartbeatInterval) },
		doc:      "how often members of a consumer group are to be heard of; within what the broker allows, and less than the session timeout.",
	},
	{
		name: groupSessionKey, broker: "group.consumer.session.timeout.ms", typ: kmsg.ConfigTypeInt, check: integer(2, maxInt32),
		standard: func(c *Config) string { return millisText(c.GroupConsumerSessionTimeout) },
		doc:      "a member of a consumer group that is not heard of for so long is taken for dead; within what the broker allows.",
	},
}

const (
	groupHeartbeatKey = "consumer.heartbeat.interval.ms"
	groupSessionKey   = "consumer.session.timeout.ms"
)

func groupConfigKey(name string) *configKey {
	for i := range groupConfigKeys {
		if groupConfigKeys[i].name == name {
			return &groupConfigKeys[i]
		}
	}
	return nil
}

// kindGroupConfig is the metadata file's kind of what is set on groups; its keys are their names.
const kindGroupConfig = "group-config"

// groupConfigs is what is set on groups, whether they are there or not.
type groupConfigs struct {
	cfg  *Config
	meta *metadataFile

	change sync.Mutex
	all    atomic.Pointer[map[string]map[string]string] // by group; the maps do not change
}

func openGroupConfigs(cfg *Config, meta *metadataFile) (*groupConfigs, error) {
	gc := &groupConfigs{cfg: cfg, meta: meta}
	all := make(map[string]map[string]string)
	err := meta.each(kindGroupConfig, func(group string, raw json.RawMessage) error {
		var configs map[string]string
		if err := json.Unmarshal(raw, &configs); err != nil {
			return err
		}
		for name, value := range configs {
			if key := groupConfigKey(name); key == nil || key.check(value) != nil {
				delete(configs, name)
			}
		}
		all[group] = configs
		return nil
	})
	gc.all.Store(&all)
	return gc, err
}

// of is what is set on a group.
func (gc *groupConfigs) of(group string) map[string]string { return (*gc.all.Load())[group] }

// names are the groups something is set on.
func (gc *groupConfigs) names() []string { return slices.Sorted(maps.Keys(*gc.all.Load())) }

// session and heartbeat are the timings of a group's members. What was set when the broker had other bounds is held to those
// it has now.
func (gc *groupConfigs) session(group string) time.Duration {
	d := timing(gc.of(group), groupSessionKey, gc.cfg.GroupConsumerSessionTimeout)
	return min(max(d, gc.cfg.GroupConsumerMinSessionTimeout), gc.cfg.GroupConsumerMaxSessionTimeout)
}

func (gc *groupConfigs) heartbeat(group string) time.Duration {
	d := timing(gc.of(group), groupHeartbeatKey, gc.cfg.GroupConsumerHeartbeatInterval)
	return min(max(d, gc.cfg.GroupConsumerMinHeartbeatInterval), gc.cfg.GroupConsumerMaxHeartbeatInterval)
}

// bounded refuses a timing that is set anew and not within the broker's bounds, as Kafka does.
func (gc *groupConfigs) bounded(before, configs map[string]string) error {
	c := gc.cfg
	for _, b := range []struct {
		name, of string
		lo, hi   time.Duration
	}{
		{groupHeartbeatKey, "heartbeat.interval.ms", c.GroupConsumerMinHeartbeatInterval, c.GroupConsumerMaxHeartbeatInterval},
		{groupSessionKey, "session.timeout.ms", c.GroupConsumerMinSessionTimeout, c.GroupConsumerMaxSessionTimeout},
	} {
		switch d := timing(configs, b.name, b.lo); {
		case configs[b.name] == before[b.name]:
		case d < b.lo:
			return refusef(codeInvalidConfig, "%s %d is below the broker's group.consumer.min.%s %d", b.name, d.Milliseconds(), b.of, b.lo.Milliseconds())
		case d > b.hi:
			return refusef(codeInvalidConfig, "%s %d is above the broker's group.consumer.max.%s %d", b.name, d.Milliseconds(), b.of, b.hi.Milliseconds())
		}
	}
	return nil
}

func timing(configs map[string]string, name string, standard time.Duration) time.Duration {
	if v, ok := configs[name]; ok {
		return millis(v)
	}
	return standard
}

// edit changes what is set on a group, on the disk first. Its members learn of it with their next heartbeats.
func (gc *groupConfigs) edit(group string, edit func(map[string]string) error, validateOnly bool) error {
	if group == "" {
		return refusef(codeInvalidRequest, "a group has a name")
	}
	gc.change.Lock()
	defer gc.change.Unlock()
	all := maps.Clone(*gc.all.Load())
	configs := maps.Clone(all[group])
	if configs == nil {
		configs = make(map[string]string)
	}
	if err := edit(configs); err != nil {
		return err
	}
	for name, value := range configs {
		key := groupConfigKey(name)
		if key == nil {
			return refusef(codeInvalidConfig, "unknown group config %s", name)
		}
		configs[name] = key.canonical(value)
		if err := key.check(configs[name]); err != nil {
			return refusef(codeInvalidConfig, "group config %s=%q: %v", name, value, err)
		}
	}
	if err := gc.bounded(all[group], configs); err != nil {
		return err
	}
	session := timing(configs, groupSessionKey, gc.cfg.GroupConsumerSessionTimeout)
	if heartbeat := timing(configs, groupHeartbeatKey, gc.cfg.GroupConsumerHeartbeatInterval); heartbeat >= session {
		return refusef(codeInvalidConfig, "%s %d is not below %s %d", groupHeartbeatKey, heartbeat.Milliseconds(), groupSessionKey, session.Milliseconds())
	}
	switch {
	case len(configs) == 0:
		if _, set := all[group]; !set || validateOnly {
			return nil
		}
		delete(all, group)
		if err := gc.meta.remove(kindGroupConfig, group); err != nil {
			return err
		}
	case all[group] == nil && len(all) >= gc.cfg.MaxGroups:
		return refusef(codePolicyViolation, "%d groups have configs already", len(all))
	case validateOnly:
		return nil
	default:
		all[group] = configs
		if err := gc.meta.put(kindGroupConfig, group, configs); err != nil {
			return err
		}
	}
	gc.all.Store(&all)
	return nil
}
