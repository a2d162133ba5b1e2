package broker

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// IncrementalAlterConfigs (key 44), versions 0 and 1, of topics, groups and the broker. KIP-226, KIP-339.
func incrementalAlterConfigsAPI() api {
	return api{
		key: 44, min: 0, max: 1, serve: serveIncrementalAlterConfigs,
		outline: "[ int8 string [ string int8 string ] ] bool",
	}
}

func serveIncrementalAlterConfigs(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.IncrementalAlterConfigsRequest)
	b := rq.broker()
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	named := make(map[configResource]int)
	for i := range req.Resources {
		named[configResource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}]++
	}
	for i := range req.Resources {
		q := &req.Resources[i]
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = q.ResourceType, q.ResourceName
		edit := func(configs map[string]string) error {
			return editConfigs(b.live.config.Load(), q.ResourceType, configs, q.Configs)
		}
		if refusal := asRefusal(rq.alterConfigs(configResource{q.ResourceType, q.ResourceName}, named, edit, req.ValidateOnly)); refusal != nil {
			rr.ErrorCode, rr.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
		}
		resp.Resources = append(resp.Resources, rr)
	}
	rq.respond(resp)
	return nil
}

// editConfigs applies the changes of one resource.
func editConfigs(cfg *Config, typ kmsg.ConfigResourceType, configs map[string]string, changes []kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	seen := make(map[string]bool)
	for _, c := range changes {
		if seen[c.Name] {
			return refusef(codeInvalidRequest, "config %s is named twice in one request", c.Name)
		}
		seen[c.Name] = true
		var key *configKey
		unknown := refusef(codeInvalidConfig, "unknown topic config %s", c.Name)
		switch typ {
		case kmsg.ConfigResourceTypeBroker:
			key, unknown = dynamicConfig(c.Name), refusef(codeInvalidRequest, "config %s cannot be changed while the broker runs", c.Name)
		case kmsg.ConfigResourceTypeGroupConfig:
			key, unknown = groupConfigKey(c.Name), refusef(codeInvalidConfig, "unknown group config %s", c.Name)
		default:
			key = topicConfig(c.Name)
		}
		if c.Value == nil && c.Op != kmsg.IncrementalAlterConfigOpDelete {
			return refusef(codeInvalidRequest, "config %s has no value", c.Name)
		}
		if key == nil {
			if c.Op == kmsg.IncrementalAlterConfigOpDelete && typ != kmsg.ConfigResourceTypeBroker {
				continue // what there never was is gone
			}
			return unknown
		}
		switch c.Op {
		case kmsg.IncrementalAlterConfigOpSet:
			configs[c.Name] = *c.Value
		case kmsg.IncrementalAlterConfigOpDelete:
			delete(configs, c.Name)
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			if key.typ != kmsg.ConfigTypeList {
				return refusef(codeInvalidConfig, "config %s is not a list", c.Name)
			}
			have, set := configs[c.Name]
			if !set {
				have = key.standard(cfg)
			}
			list := splitList(have)
			for _, word := range splitList(*c.Value) {
				at := slices.Index(list, word)
				switch {
				case c.Op == kmsg.IncrementalAlterConfigOpAppend && at < 0:
					list = append(list, word)
				case c.Op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
					list = slices.Delete(list, at, at+1)
				}
			}
			configs[c.Name] = strings.Join(list, ",")
		default:
			return refusef(codeInvalidRequest, "config %s: unknown operation %d", c.Name, c.Op)
		}
	}
	return nil
}

// splitList splits a list of Kafka's configuration.
func splitList(s string) []string {
	var list []string
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			list = append(list, word)
		}
	}
	return list
}
