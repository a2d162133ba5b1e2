package broker

import (
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeConfigs (key 32), versions 0 to 4, of topics and of the broker. KIP-133, KIP-226 (synonyms), KIP-569
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
			if q.ConfigNames != nil && !slices.Contains(q.ConfigNames, e.Name) {
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
			return nil, refusef(codeUnknownTopicOrPartition, "no topic %s", q.ResourceName)
		}
		return describeTopicConfigs(&b.cfg, *t.configs.Load()), nil
	case kmsg.ConfigResourceTypeBroker:
		if q.ResourceName == "" {
			return nil, nil // defaults of the cluster that were set while it runs: there are none
		}
		if q.ResourceName != strconv.Itoa(int(b.cfg.NodeID)) {
			return nil, refusef(codeInvalidRequest, "broker %s: the one broker is %d", q.ResourceName, b.cfg.NodeID)
		}
		return describeBrokerConfigs(&b.cfg), nil
	default:
		return nil, refusef(codeInvalidRequest, "resources of type %d have no configs here", q.ResourceType)
	}
}

// describeTopicConfigs lists all configs of a topic, those it sets and those it takes from the broker.
func describeTopicConfigs(cfg *Config, set map[string]string) []kmsg.DescribeConfigsResponseResourceConfig {
	out := make([]kmsg.DescribeConfigsResponseResourceConfig, 0, len(topicConfigs))
	for i := range topicConfigs {
		k := &topicConfigs[i]
		standard := k.standard(cfg)
		e := kmsg.NewDescribeConfigsResponseResourceConfig()
		e.Name, e.Value = k.name, &standard
		e.IsDefault, e.Source = true, kmsg.ConfigSourceDefaultConfig
		e.ConfigType, e.Documentation = k.typ, &k.doc
		synonym := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		synonym.Name, synonym.Value, synonym.Source = k.name, &standard, kmsg.ConfigSourceDefaultConfig
		if v, ok := set[k.name]; ok {
			e.Value, e.IsDefault, e.Source = &v, false, kmsg.ConfigSourceDynamicTopicConfig
			own := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			own.Name, own.Value, own.Source = k.name, &v, e.Source
			e.ConfigSynonyms = append(e.ConfigSynonyms, own)
		}
		e.ConfigSynonyms = append(e.ConfigSynonyms, synonym)
		out = append(out, e)
	}
	return out
}

// describeBrokerConfigs lists what the broker was started with, under Kafka's names. Nothing of it can be changed while it
// runs.
func describeBrokerConfigs(c *Config) []kmsg.DescribeConfigsResponseResourceConfig {
	values := map[string]string{
		"node.id":                           strconv.Itoa(int(c.NodeID)),
		"broker.id":                         strconv.Itoa(int(c.NodeID)),
		"log.dirs":                          c.DataDir,
		"auto.create.topics.enable":         strconv.FormatBool(!c.DisableAutoCreate),
		"delete.topic.enable":               "true",
		"num.partitions":                    strconv.Itoa(int(c.DefaultPartitions)),
		"default.replication.factor":        "1",
		"min.insync.replicas":               "1",
		"log.segment.bytes":                 strconv.FormatInt(c.SegmentBytes, 10),
		"log.roll.ms":                       millisText(c.SegmentAge),
		"log.retention.ms":                  millisText(c.RetentionAge),
		"log.retention.bytes":               strconv.FormatInt(max(c.RetentionBytes, -1), 10),
		"log.retention.check.interval.ms":   millisText(c.RetentionCheckInterval),
		"log.segment.delete.delay.ms":       millisText(max(c.FileDeleteDelay, 0)),
		"log.cleanup.policy":                "delete",
		"log.message.timestamp.type":        "CreateTime",
		"message.max.bytes":                 strconv.Itoa(c.MaxMessageBytes),
		"compression.type":                  "producer",
		"producer.id.expiration.ms":         millisText(c.ProducerIDExpiration),
		"max.connections":                   strconv.Itoa(c.MaxConnections),
		"max.connections.per.ip":            strconv.Itoa(c.MaxConnectionsPerIP),
		"connections.max.idle.ms":           millisText(c.IdleTimeout),
		"socket.request.max.bytes":          strconv.Itoa(c.MaxRequestBytes),
		"queued.max.request.bytes":          strconv.FormatInt(c.MaxInFlightBytes, 10),
		"fetch.max.bytes":                   strconv.Itoa(c.MaxFetchBytes),
		"group.initial.rebalance.delay.ms":  millisText(c.GroupInitialRebalanceDelay),
		"group.min.session.timeout.ms":      millisText(c.GroupMinSessionTimeout),
		"group.max.session.timeout.ms":      millisText(c.GroupMaxSessionTimeout),
		"group.max.size":                    strconv.Itoa(c.GroupMaxSize),
		"offsets.retention.minutes":         strconv.FormatInt(max(int64(c.OffsetsRetention.Minutes()), -1), 10),
		"offsets.topic.num.partitions":      strconv.Itoa(int(c.OffsetsPartitions)),
		"offsets.topic.replication.factor":  "1",
		"listeners":                         c.Listen,
		"advertised.listeners":              c.AdvertisedAddress,
		"tributary.durability":              c.Durability.String(),
		"tributary.max.partitions":          strconv.Itoa(c.MaxPartitions),
		"tributary.max.groups":              strconv.Itoa(c.MaxGroups),
		"tributary.max.queued.requests":     strconv.Itoa(c.MaxQueued),
		"tributary.connection.frame.max.ms": millisText(c.FrameTimeout),
	}
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for _, name := range slices.Sorted(maps.Keys(values)) {
		v := values[name]
		e := kmsg.NewDescribeConfigsResponseResourceConfig()
		e.Name, e.Value, e.ReadOnly = name, &v, true
		e.Source, e.ConfigType = kmsg.ConfigSourceStaticBrokerConfig, kmsg.ConfigTypeString
		out = append(out, e)
	}
	return out
}
