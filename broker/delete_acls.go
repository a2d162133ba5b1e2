package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// DeleteAcls (key 31), versions 0 to 3. KIP-140, KIP-290 (prefixes, v1), KIP-482, KIP-373 (users, v3).
func deleteACLsAPI() api {
	return api{key: 31, min: 0, max: 3, serve: serveDeleteACLs, outline: "[ int8 string int8@1 string string int8 int8 ]"}
}

func serveDeleteACLs(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DeleteACLsRequest)
	resp := kmsg.NewPtrDeleteACLsResponse()
	refusal := rq.mayACLs(kmsg.ACLOperationAlter)
	for i := range req.Filters {
		q := &req.Filters[i]
		f := aclFilter{
			resource: q.ResourceType, pattern: q.ResourcePatternType, name: q.ResourceName,
			principal: q.Principal, host: q.Host, operation: q.Operation, permission: q.PermissionType,
		}
		r := kmsg.NewDeleteACLsResponseResult()
		bad := refusal
		if bad == nil {
			bad = asRefusal(f.check())
		}
		var gone []acl
		if bad == nil {
			var err error
			gone, err = rq.broker().acls.remove(&f)
			bad = asRefusal(err)
		}
		if bad != nil {
			r.ErrorCode, r.ErrorMessage = rq.code(bad.code), kmsg.StringPtr(bad.text)
		}
		for _, a := range gone {
			ra := kmsg.NewDeleteACLsResponseResultMatchingACL()
			ra.ResourceType, ra.ResourcePatternType, ra.ResourceName = a.Resource, a.Pattern, a.Name
			ra.Principal, ra.Host, ra.Operation, ra.PermissionType = a.Principal, a.Host, a.Operation, a.Permission
			r.MatchingACLs = append(r.MatchingACLs, ra)
		}
		resp.Results = append(resp.Results, r)
	}
	rq.respond(resp)
	return nil
}
