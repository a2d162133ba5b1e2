package broker

import (
	"net/netip"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AlterClientQuotas (key 49), versions 0 to 1. KIP-546, KIP-482 (v1). What is answered is on the disk and in force, for
// connections that are open too.
func alterClientQuotasAPI() api {
	return api{key: 49, min: 0, max: 1, serve: serveAlterClientQuotas, outline: "[ [ string string ] [ string int64 bool ] ] bool"}
}

const maxQuotaName = 1 << 10

func serveAlterClientQuotas(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.AlterClientQuotasRequest)
	may := rq.mayCluster(kmsg.ACLOperationAlterConfigs)
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	named := make(map[quotaEntity]int)
	for i := range req.Entries {
		if entity, _, err := readQuota(&req.Entries[i]); err == nil {
			named[entity]++
		}
	}
	for i := range req.Entries {
		q := &req.Entries[i]
		r := kmsg.NewAlterClientQuotasResponseEntry()
		for _, e := range q.Entity {
			re := kmsg.NewAlterClientQuotasResponseEntryEntity()
			re.Type, re.Name = e.Type, e.Name
			r.Entity = append(r.Entity, re)
		}
		entity, changes, err := readQuota(q)
		switch {
		case !may:
			err = clusterRefusal
		case err == nil && named[entity] > 1:
			err = refusef(codeInvalidRequest, "the entity is named twice in one request")
		case err == nil && !req.ValidateOnly:
			err = rq.broker().quotas.alter(entity, changes)
		}
		if refusal := asRefusal(err); refusal != nil {
			r.ErrorCode, r.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
		}
		resp.Entries = append(resp.Entries, r)
	}
	rq.respond(resp)
	return nil
}

// readQuota reads one entry.
func readQuota(q *kmsg.AlterClientQuotasRequestEntry) (e quotaEntity, changes map[string]float64, err error) {
	for _, part := range q.Entity {
		p := e.part(part.Type)
		switch {
		case p == nil:
			return e, nil, refusef(codeInvalidRequest, "entity type %q is none", part.Type)
		case p.Set:
			return e, nil, refusef(codeInvalidRequest, "entity type %s is there twice", part.Type)
		case part.Name == nil:
			*p = standardPart
		case *part.Name == "" || len(*part.Name) > maxQuotaName:
			return e, nil, refusef(codeInvalidRequest, "entity type %s has a name of %d bytes", part.Type, len(*part.Name))
		default:
			*p = named(*part.Name)
		}
	}
	if err := e.check(); err != nil {
		return e, nil, err
	}
	if e.IP.Set && !e.IP.Default {
		addr, err := netip.ParseAddr(e.IP.Name)
		if err != nil {
			return e, nil, refusef(codeInvalidRequest, "%q is not an address", e.IP.Name)
		}
		e.IP.Name = addr.Unmap().String()
	}
	changes = make(map[string]float64)
	for _, op := range q.Ops {
		value := op.Value
		if op.Remove {
			value = 0 // of whatever name: what is not there is gone
		} else if err := checkQuota(&e, op.Key, value); err != nil {
			return e, nil, err
		}
		changes[op.Key] = value
	}
	return e, changes, nil
}
