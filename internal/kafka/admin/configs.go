package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Resource is something that has configuration.
type Resource struct {
	Kind ResourceKind
	Name string // of a topic, a group, a subscription to client metrics; the id of a broker, empty for all of them
}

// String names it for people.
func (r Resource) String() string {
	if r.Kind == BrokerResource && r.Name == "" {
		return "all brokers"
	}
	return string(r.Kind) + " " + r.Name
}

// ResourceKind says what kind of resource one is.
type ResourceKind string

// The kinds of resources.
const (
	TopicResource         ResourceKind = "topic"
	BrokerResource        ResourceKind = "broker"
	BrokerLoggerResource  ResourceKind = "broker-logger"
	GroupResource         ResourceKind = "group"
	ClientMetricsResource ResourceKind = "client-metrics"
)

// resourceKinds have their numbers in the protocol, and the source of what is set
// on the resource itself.
var resourceKinds = []struct {
	kind ResourceKind
	typ  kmsg.ConfigResourceType
	own  kmsg.ConfigSource
}{
	{TopicResource, kmsg.ConfigResourceTypeTopic, kmsg.ConfigSourceDynamicTopicConfig},
	{BrokerResource, kmsg.ConfigResourceTypeBroker, kmsg.ConfigSourceDynamicBrokerConfig},
	{BrokerLoggerResource, kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigSourceDynamicBrokerLoggerConfig},
	{GroupResource, kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigSourceGroupConfig},
	{ClientMetricsResource, kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigSourceClientMetricsConfig},
}

// ResourceKinds are all kinds.
func ResourceKinds() []ResourceKind {
	var kinds []ResourceKind
	for _, k := range resourceKinds {
		kinds = append(kinds, k.kind)
	}
	return kinds
}

func (r Resource) protocol() (kmsg.ConfigResourceType, kmsg.ConfigSource) {
	for _, k := range resourceKinds {
		if k.kind != r.Kind {
			continue
		}
		if r.Kind == BrokerResource && r.Name == "" {
			return k.typ, kmsg.ConfigSourceDynamicDefaultBrokerConfig
		}
		return k.typ, k.own
	}
	return kmsg.ConfigResourceTypeUnknown, kmsg.ConfigSourceUnknown
}

// Setting is one configuration of a resource.
type Setting struct {
	Kind      ResourceKind `json:"kind"`
	Resource  string       `json:"resource"`
	Name      string       `json:"name"`
	Value     *string      `json:"value"`  // null: none, or not to be told
	Source    string       `json:"source"` // where the value comes from, as Kafka calls it: DYNAMIC_TOPIC_CONFIG, DEFAULT_CONFIG
	Type      string       `json:"type,omitempty"`
	Sensitive bool         `json:"sensitive"` // its value is not told
	ReadOnly  bool         `json:"read_only"`
	Synonyms  []Synonym    `json:"synonyms"` // what counts, and what would count without it, in that order
}

// Synonym is a value that stands behind a setting.
type Synonym struct {
	Name   string  `json:"name"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

// Settings asks for the configuration of a resource, sorted by name: what was set
// on it, or with all everything.
func Settings(ctx context.Context, cl *kgo.Client, r Resource, all bool) ([]Setting, error) {
	if err := present(ctx, cl, r); err != nil {
		return nil, err
	}
	typ, own := r.protocol()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	rr := kmsg.NewDescribeConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = typ, r.Name
	req.Resources = append(req.Resources, rr)
	settings := []Setting{}
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, aboutResource("configuration of", r, shard.Err)
		}
		for _, res := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			if err := answer(res.ErrorCode, res.ErrorMessage); err != nil {
				return nil, aboutResource("configuration of", r, err)
			}
			for i := range res.Configs {
				c := &res.Configs[i]
				if !all && c.Source != own {
					continue
				}
				s := Setting{
					Kind: r.Kind, Resource: r.Name, Name: c.Name, Value: c.Value, Source: c.Source.String(), Sensitive: c.IsSensitive,
					ReadOnly: c.ReadOnly, Synonyms: []Synonym{},
				}
				if c.ConfigType != 0 {
					s.Type = strings.ToLower(c.ConfigType.String())
				}
				for _, y := range c.ConfigSynonyms {
					s.Synonyms = append(s.Synonyms, Synonym{y.Name, y.Value, y.Source.String()})
				}
				settings = append(settings, s)
			}
		}
	}
	slices.SortFunc(settings, func(a, b Setting) int { return cmp.Compare(a.Name, b.Name) })
	return settings, nil
}

// present refuses a broker that the cluster does not have.
func present(ctx context.Context, cl *kgo.Client, r Resource) error {
	if r.Kind != BrokerResource && r.Kind != BrokerLoggerResource || r.Name == "" {
		return nil
	}
	brokers, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err != nil {
		return Problem(err)
	}
	if !slices.ContainsFunc(brokers, func(b kadm.BrokerDetail) bool { return strconv.Itoa(int(b.NodeID)) == r.Name }) {
		return fmt.Errorf("there is no %s", r)
	}
	return nil
}

// Configured lists the resources of a kind that something is set on, groups or subscriptions to client metrics (KIP-1142).
func Configured(ctx context.Context, cl *kgo.Client, kind ResourceKind) ([]string, error) {
	typ, _ := Resource{Kind: kind}.protocol()
	req := kmsg.NewPtrListConfigResourcesRequest()
	req.ResourceTypes = []int8{int8(typ)}
	resp, err := req.RequestWith(ctx, cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return nil, Problem(err)
	}
	var names []string
	for _, r := range resp.ConfigResources {
		if r.Type == int8(typ) {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Resources lists the resources of a kind that there are: topics, the cluster's own with internal; brokers and their loggers by id;
// the groups that live or are configured; subscriptions to client metrics.
func Resources(ctx context.Context, cl *kgo.Client, kind ResourceKind, internal bool) ([]Resource, error) {
	adm := kadm.NewClient(cl)
	var names []string
	switch kind {
	case TopicResource:
		topics, err := adm.ListTopicsWithInternal(ctx)
		if err != nil {
			return nil, Problem(err)
		}
		for _, t := range topics.Sorted() {
			if internal || !t.IsInternal {
				names = append(names, t.Topic)
			}
		}
	case BrokerResource, BrokerLoggerResource:
		brokers, err := adm.ListBrokers(ctx)
		if err != nil {
			return nil, Problem(err)
		}
		for _, id := range brokers.NodeIDs() {
			names = append(names, strconv.Itoa(int(id)))
		}
	default:
		var err error
		if names, err = Configured(ctx, cl, kind); err != nil {
			return nil, err
		}
		if kind == GroupResource {
			groups, err := adm.ListGroups(ctx)
			if err != nil {
				return nil, Problem(err)
			}
			names = append(names, groups.Groups()...)
			slices.Sort(names)
			names = slices.Compact(names)
		}
	}
	all := make([]Resource, len(names))
	for i, name := range names {
		all[i] = Resource{kind, name}
	}
	return all, nil
}

// aboutResource explains an error of a resource.
func aboutResource(what string, r Resource, err error) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return noTopic(r.Name)
	}
	return fmt.Errorf("%s %s: %w", what, r, Problem(err))
}

// SettingOp says what to do with a setting.
type SettingOp int8

// What can be done with a setting. Append and Subtract are for lists.
const (
	Set      = SettingOp(kmsg.IncrementalAlterConfigOpSet)
	Unset    = SettingOp(kmsg.IncrementalAlterConfigOpDelete)
	Append   = SettingOp(kmsg.IncrementalAlterConfigOpAppend)
	Subtract = SettingOp(kmsg.IncrementalAlterConfigOpSubtract)
)

// SettingChange changes one setting; Unset needs no value.
type SettingChange struct {
	Op          SettingOp
	Name, Value string
}

// ChangeSettings changes settings of a resource, all or none. With dry it only has
// the cluster check them.
func ChangeSettings(ctx context.Context, cl *kgo.Client, r Resource, changes []SettingChange, dry bool) error {
	if err := present(ctx, cl, r); err != nil {
		return err
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = dry
	rr := kmsg.NewIncrementalAlterConfigsRequestResource()
	rr.ResourceType, _ = r.protocol()
	rr.ResourceName = r.Name
	for _, c := range changes {
		rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		rc.Name, rc.Op = c.Name, kmsg.IncrementalAlterConfigOp(c.Op)
		if c.Op != Unset {
			rc.Value = kmsg.StringPtr(c.Value)
		}
		rr.Configs = append(rr.Configs, rc)
	}
	req.Resources = append(req.Resources, rr)
	for _, shard := range cl.RequestSharded(ctx, req) {
		err := shard.Err
		if err == nil {
			for _, res := range shard.Resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
				err = errors.Join(err, answer(res.ErrorCode, res.ErrorMessage))
			}
		}
		if err != nil {
			return aboutResource("change", r, err)
		}
	}
	return nil
}
