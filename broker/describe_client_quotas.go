package broker

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeClientQuotas (key 48), versions 0 to 1. KIP-546, KIP-482 (v1).
func describeClientQuotasAPI() api {
	return api{key: 48, min: 0, max: 1, serve: serveDescribeClientQuotas, outline: "[ string int8 string ] bool"}
}

func serveDescribeClientQuotas(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeClientQuotasRequest)
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	err := checkQuotaFilter(req)
	if !rq.mayCluster(kmsg.ACLOperationDescribeConfigs) {
		err = clusterRefusal
	}
	if refusal := asRefusal(err); refusal != nil {
		resp.ErrorCode, resp.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
		rq.respond(resp)
		return nil
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
	table := rq.broker().quotas.current()
	order := func(a, b quotaEntity) int {
		ka, _ := json.Marshal(a)
		kb, _ := json.Marshal(b)
		return cmp.Compare(string(ka), string(kb))
	}
	for _, e := range slices.SortedFunc(maps.Keys(table), order) {
		if !quotaFilterFinds(req, &e) {
			continue
		}
		entry := kmsg.NewDescribeClientQuotasResponseEntry()
		for _, kind := range []string{entityUser, entityClient, entityIP} {
			p := e.part(kind)
			if !p.Set {
				continue
			}
			re := kmsg.NewDescribeClientQuotasResponseEntryEntity()
			re.Type = kind
			if !p.Default {
				re.Name = kmsg.StringPtr(p.Name)
			}
			entry.Entity = append(entry.Entity, re)
		}
		for _, key := range slices.Sorted(maps.Keys(table[e])) {
			v := kmsg.NewDescribeClientQuotasResponseEntryValue()
			v.Key, v.Value = key, table[e][key]
			entry.Values = append(entry.Values, v)
		}
		resp.Entries = append(resp.Entries, entry)
	}
	rq.respond(resp)
	return nil
}

func checkQuotaFilter(req *kmsg.DescribeClientQuotasRequest) error {
	var e quotaEntity
	for _, c := range req.Components {
		p := e.part(c.EntityType)
		switch {
		case p == nil && c.EntityType == "":
			return refusef(codeInvalidRequest, "an entity type is empty")
		case p == nil:
			return refusef(codeUnsupportedVersion, "entity type %s is not supported", c.EntityType)
		case p.Set:
			return refusef(codeInvalidRequest, "entity type %s is there twice", c.EntityType)
		case c.MatchType < kmsg.QuotasMatchTypeExact || c.MatchType > kmsg.QuotasMatchTypeAny,
			(c.MatchType == kmsg.QuotasMatchTypeExact) != (c.Match != nil):
			return refusef(codeInvalidRequest, "match type %d of entity type %s does not go with its name", c.MatchType, c.EntityType)
		}
		p.Set = true
	}
	if e.IP.Set && (e.User.Set || e.Client.Set) {
		return refusef(codeInvalidRequest, "an ip has no quota together with a user or a client-id")
	}
	return nil
}

// quotaFilterFinds says whether an entity has every part that is asked for, and, if the filter is strict, no other.
func quotaFilterFinds(req *kmsg.DescribeClientQuotasRequest, e *quotaEntity) bool {
	rest := *e
	for _, c := range req.Components {
		p := rest.part(c.EntityType)
		switch {
		case !p.Set,
			c.MatchType == kmsg.QuotasMatchTypeDefault && !p.Default,
			c.MatchType == kmsg.QuotasMatchTypeExact && (p.Default || p.Name != *c.Match):
			return false
		}
		*p = quotaPart{}
	}
	return !req.Strict || rest == quotaEntity{}
}
