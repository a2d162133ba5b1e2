package broker

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeConfigs (key 32), versions 0 to 4, of topics, groups and the broker, which has no loggers. KIP-133, KIP-226 (synonyms), KIP-569
// (documentation and types).
func describeConfigsAPI() api {
	return api{
		key: 32, min: 0, max: 4, serve: serveDescribeConfigs,
		outline: "[ int8 string [= string ] ] bool@1 bool@3",
	}
}

func serveDescribeConfigs(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeConfigsRequest)
	b := rq.broker()
	resp := kmsg.NewPtrDescribeConfigsResponse()
	for i := range req.Resources {
		q := &req.Resources[i]
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = q.ResourceType, q.ResourceName
		var entries []kmsg.DescribeConfigsResponseResourceConfig
		err := rq.mayConfigs(kmsg.ACLOperationDescribeConfigs, q.ResourceType, q.ResourceName)
		if err == nil {
			entries, err = b.describeConfigs(q)
		}
		if refusal := asRefusal(err); refusal != nil {
			rr.ErrorCode, rr.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
		}
		for _, e := range entries {
			if len(q.ConfigNames) > 0 && !slices.Contains(q.ConfigNames, e.Name) {
				continue
			}
			if !req.IncludeSynonyms {
				e.ConfigSynonyms = nil
			}
			if !req.IncludeDocumentation {
				e.Documentation = nil
			}
			rr.Configs = append(rr.Configs, e)
		}
		resp.Resources = append(resp.Resources, rr)
	}
	rq.respond(resp)
	return nil
}

// mayConfigs refuses who may not do this to the configs of a resource.
func (rq *request) mayConfigs(op kmsg.ACLOperation, typ kmsg.ConfigResourceType, name string) error {
	switch {
	case typ == kmsg.ConfigResourceTypeTopic && !rq.mayTopic(op, name):
		return topicRefusal
	case typ == kmsg.ConfigResourceTypeGroupConfig && !rq.mayGroup(op, name):
		return refusef(codeGroupAuthorization, "Group authorization failed.")
	case typ != kmsg.ConfigResourceTypeTopic && typ != kmsg.ConfigResourceTypeGroupConfig && !rq.mayCluster(op):
		return clusterRefusal
	}
	return nil
}

func (b *Broker) describeConfigs(q *kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	switch q.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		t := b.topics.get(q.ResourceName)
		if t == nil {
			return nil, noTopic(q.ResourceName)
		}
		return b.live.describe(topicConfigs, *t.configs.Load(), kmsg.ConfigSourceDynamicTopicConfig), nil
	case kmsg.ConfigResourceTypeBroker:
		level, err := b.levelOf(q.ResourceName)
		if err != nil {
			return nil, err
		}
		return b.describeBrokerConfigs(level), nil
	case kmsg.ConfigResourceTypeGroupConfig:
		if q.ResourceName == "" {
			return nil, refusef(codeInvalidRequest, "a group has a name")
		}
		return b.live.describe(groupConfigKeys, b.groupConfigs.of(q.ResourceName), kmsg.ConfigSourceGroupConfig), nil
	case kmsg.ConfigResourceTypeClientMetrics:
		if q.ResourceName == "" {
			return nil, refusef(codeInvalidRequest, "a subscription to metrics has a name")
		}
		return nil, nil // nobody has set any
	case kmsg.ConfigResourceTypeBrokerLogger:
		if level, err := b.levelOf(q.ResourceName); err != nil || level == forAll {
			return nil, refusef(codeInvalidRequest, "broker %q: the one broker is %d", q.ResourceName, b.cfg.NodeID)
		}
		return nil, nil // it has no loggers with levels of their own
	default:
		return nil, refusef(codeInvalidRequest, "resources of type %d have no configs here", q.ResourceType)
	}
}

// describe lists all configs of a topic or a group, those it sets and those it takes from the broker.
func (lc *liveConfig) describe(keys []configKey, set map[string]string, own kmsg.ConfigSource) []kmsg.DescribeConfigsResponseResourceConfig {
	out := make([]kmsg.DescribeConfigsResponseResourceConfig, 0, len(keys))
	for i := range keys {
		k := &keys[i]
		var behind []configSynonym
		if v, ok := set[k.name]; ok {
			behind = append(behind, synonym(k.name, v, own))
		}
		if k.broker != "" {
			behind = append(behind, lc.behind(k.broker, k.standard, forOne)...)
		}
		e := describeConfig(k, behind)
		if e.Value == nil {
			standard := k.standard(lc.config.Load())
			e.Value = &standard
		}
		out = append(out, e)
	}
	return out
}

// describeBrokerConfigs lists the broker's configs under Kafka's names: those of the one broker, or what has been changed for
// all.
func (b *Broker) describeBrokerConfigs(level string) []kmsg.DescribeConfigsResponseResourceConfig {
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for i := range brokerConfigs {
		if e, ok := b.live.describeDynamic(&brokerConfigs[i], level); ok {
			out = append(out, e)
		}
	}
	if level == forAll {
		return out
	}
	values, defaults := brokerValues(&b.cfg), brokerValues(&b.live.defaults)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key := configKey{name: name, typ: brokerType(name)}
		var behind []configSynonym
		v, standard := values[name], defaults[name]
		if v != standard {
			behind = append(behind, synonym(name, v, kmsg.ConfigSourceStaticBrokerConfig))
		}
		if v == standard || standard != "" {
			behind = append(behind, synonym(name, standard, kmsg.ConfigSourceDefaultConfig))
		}
		e := describeConfig(&key, behind)
		e.ReadOnly, e.Documentation = true, nil
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// brokerType is the type that Kafka's documentation, "Broker Configs", has for one of brokerValues.
func brokerType(name string) kmsg.ConfigType {
	switch name {
	case "auto.create.topics.enable", "delete.topic.enable", "allow.everyone.if.no.acl.found":
		return kmsg.ConfigTypeBoolean
	case "advertised.listeners", "listeners", "log.cleanup.policy", "log.dirs":
		return kmsg.ConfigTypeList
	case "offsets.topic.replication.factor":
		return kmsg.ConfigTypeShort
	case "connections.max.idle.ms", "connections.max.reauth.ms", "log.message.timestamp.after.max.ms", "log.message.timestamp.before.max.ms",
		"log.retention.check.interval.ms", "log.segment.delete.delay.ms", "queued.max.request.bytes", "tributary.connection.frame.max.ms":
		return kmsg.ConfigTypeLong
	case "compression.type", "group.consumer.migration.policy", "listener.security.protocol.map", "log.message.timestamp.type", "super.users", "tributary.durability":
		return kmsg.ConfigTypeString
	}
	return kmsg.ConfigTypeInt
}

// brokerValues are the configs that the broker has for as long as it runs.
func brokerValues(c *Config) map[string]string {
	var listeners, advertised, protocols []string
	for _, l := range c.listeners() {
		listeners = append(listeners, l.Name+"://"+l.Address)
		protocols = append(protocols, l.Name+":"+l.Protocol())
		if l.AdvertisedAddress != "" {
			advertised = append(advertised, l.Name+"://"+l.AdvertisedAddress)
		}
	}
	return map[string]string{
		"node.id":                                   strconv.Itoa(int(c.NodeID)),
		"broker.id":                                 strconv.Itoa(int(c.NodeID)),
		"log.dirs":                                  c.DataDir,
		"auto.create.topics.enable":                 strconv.FormatBool(!c.DisableAutoCreate),
		"delete.topic.enable":                       "true",
		"num.partitions":                            strconv.Itoa(int(c.DefaultPartitions)),
		"default.replication.factor":                "1",
		"min.insync.replicas":                       "1",
		"log.retention.check.interval.ms":           millisText(c.RetentionCheckInterval),
		"log.segment.delete.delay.ms":               millisText(max(c.FileDeleteDelay, 0)),
		"log.cleanup.policy":                        "delete",
		"log.message.timestamp.after.max.ms":        "3600000",
		"log.message.timestamp.before.max.ms":       maxLong,
		"log.message.timestamp.type":                "CreateTime",
		"compression.type":                          "producer",
		"producer.id.expiration.ms":                 millisText(c.ProducerIDExpiration),
		"connections.max.idle.ms":                   millisText(c.IdleTimeout),
		"connections.max.reauth.ms":                 millisText(c.MaxReauth),
		"socket.request.max.bytes":                  strconv.Itoa(c.MaxRequestBytes),
		"queued.max.request.bytes":                  strconv.FormatInt(c.MaxInFlightBytes, 10),
		"fetch.max.bytes":                           strconv.Itoa(c.MaxFetchBytes),
		"max.incremental.fetch.session.cache.slots": strconv.Itoa(max(c.FetchSessions, 0)),
		"group.initial.rebalance.delay.ms":          millisText(c.GroupInitialRebalanceDelay),
		"group.min.session.timeout.ms":              millisText(c.GroupMinSessionTimeout),
		"group.max.session.timeout.ms":              millisText(c.GroupMaxSessionTimeout),
		"group.max.size":                            strconv.Itoa(c.GroupMaxSize),
		"group.consumer.max.size":                   strconv.Itoa(c.GroupConsumerMaxSize),
		"group.consumer.session.timeout.ms":         millisText(c.GroupConsumerSessionTimeout),
		"group.consumer.min.session.timeout.ms":     millisText(c.GroupConsumerMinSessionTimeout),
		"group.consumer.max.session.timeout.ms":     millisText(c.GroupConsumerMaxSessionTimeout),
		"group.consumer.heartbeat.interval.ms":      millisText(c.GroupConsumerHeartbeatInterval),
		"group.consumer.min.heartbeat.interval.ms":  millisText(c.GroupConsumerMinHeartbeatInterval),
		"group.consumer.max.heartbeat.interval.ms":  millisText(c.GroupConsumerMaxHeartbeatInterval),
		"group.consumer.migration.policy":           c.GroupConsumerMigrationPolicy.String(),
		"offsets.retention.minutes":                 strconv.FormatInt(max(int64(c.OffsetsRetention.Minutes()), -1), 10),
		"offsets.topic.num.partitions":              strconv.Itoa(int(c.OffsetsPartitions)),
		"offsets.topic.replication.factor":          "1",
		"listeners":                                 strings.Join(listeners, ","),
		"advertised.listeners":                      strings.Join(advertised, ","),
		"listener.security.protocol.map":            strings.Join(protocols, ","),
		"super.users":                               strings.Join(c.SuperUsers, ";"),
		"allow.everyone.if.no.acl.found":            strconv.FormatBool(c.AllowWithoutACL || !c.Authorize),
		"tributary.durability":                      c.Durability.String(),
		"tributary.max.partitions":                  strconv.Itoa(c.MaxPartitions),
		"tributary.max.groups":                      strconv.Itoa(c.MaxGroups),
		"tributary.max.queued.requests":             strconv.Itoa(c.MaxQueued),
		"tributary.connection.frame.max.ms":         millisText(c.FrameTimeout),
	}
}
