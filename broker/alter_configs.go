package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// AlterConfigs (key 33), versions 0 to 2, of before KIP-339: what a request names is all that is set afterwards. KIP-133,
// KIP-482.
func alterConfigsAPI() api {
	return api{key: 33, min: 0, max: 2, serve: serveAlterConfigs, outline: "[ int8 string [ string string ] ] bool"}
}

func serveAlterConfigs(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.AlterConfigsRequest)
	resp := kmsg.NewPtrAlterConfigsResponse()
	named := make(map[configResource]int)
	for i := range req.Resources {
		named[configResource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}]++
	}
	for i := range req.Resources {
		q := &req.Resources[i]
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = q.ResourceType, q.ResourceName
		edit := func(configs map[string]string) error {
			clear(configs)
			for _, c := range q.Configs {
				if _, twice := configs[c.Name]; twice {
					return refusef(codeInvalidRequest, "config %s is named twice in one request", c.Name)
				}
				if c.Value == nil {
					return refusef(codeInvalidRequest, "config %s has no value", c.Name)
				}
				configs[c.Name] = *c.Value
			}
			return nil
		}
		if refusal := asRefusal(rq.alterConfigs(configResource{q.ResourceType, q.ResourceName}, named, edit, req.ValidateOnly)); refusal != nil {
			rr.ErrorCode, rr.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
		}
		resp.Resources = append(resp.Resources, rr)
	}
	rq.respond(resp)
	return nil
}

// configResource is a thing that has configs.
type configResource struct {
	typ  kmsg.ConfigResourceType
	name string
}

// alterConfigs has what is set on a resource edited by who may do it. It counts how often a request names a resource: there may
// be one change of each.
func (rq *request) alterConfigs(r configResource, named map[configResource]int, edit func(map[string]string) error, validateOnly bool) error {
	typ, name := r.typ, r.name
	if named[r] > 1 {
		return refusef(codeInvalidRequest, "resource %q is named twice in one request", name)
	}
	if err := rq.mayConfigs(kmsg.ACLOperationAlterConfigs, typ, name); err != nil {
		return err
	}
	b := rq.broker()
	switch typ {
	case kmsg.ConfigResourceTypeTopic:
		if name == "" {
			return refusef(codeInvalidRequest, "there are no configs for all topics")
		}
		if refusal := noTopic(name); refusal.code == codeInvalidTopic {
			return refusal
		}
		return b.topics.configure(name, edit, validateOnly)
	case kmsg.ConfigResourceTypeBroker:
		level, err := b.levelOf(name)
		if err != nil {
			return err
		}
		return b.live.edit(level, edit, validateOnly, b.topics.reconfigure)
	case kmsg.ConfigResourceTypeGroupConfig:
		return b.groupConfigs.edit(name, edit, validateOnly)
	}
	return refusef(codeInvalidRequest, "resources of type %d have no configs here", typ)
}
