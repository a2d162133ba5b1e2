package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// CreateAcls (key 30), versions 0 to 3. KIP-140, KIP-290 (prefixes, v1), KIP-482, KIP-373 (users, v3). What is answered is on
// the disk and in force.
func createACLsAPI() api {
	return api{key: 30, min: 0, max: 3, serve: serveCreateACLs, outline: "[ int8 string int8@1 string string int8 int8 ]"}
}

func serveCreateACLs(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.CreateACLsRequest)
	resp := kmsg.NewPtrCreateACLsResponse()
	refusal := rq.mayACLs(kmsg.ACLOperationAlter)
	var rules []acl
	for i := range req.Creations {
		q := &req.Creations[i]
		a := acl{q.ResourceType, q.ResourcePatternType, q.ResourceName, q.Principal, q.Host, q.Operation, q.PermissionType}
		r := kmsg.NewCreateACLsResponseResult()
		bad := refusal
		if bad == nil {
			bad = asRefusal(a.check())
		}
		if bad != nil {
			r.ErrorCode, r.ErrorMessage = rq.code(bad.code), kmsg.StringPtr(bad.text)
		} else {
			rules = append(rules, a)
		}
		resp.Results = append(resp.Results, r)
	}
	if len(rules) > 0 {
		if failed := asRefusal(rq.broker().acls.add(rules)); failed != nil {
			for i := range resp.Results {
				if r := &resp.Results[i]; r.ErrorCode == 0 {
					r.ErrorCode, r.ErrorMessage = rq.code(failed.code), kmsg.StringPtr(failed.text)
				}
			}
		}
	}
	rq.respond(resp)
	return nil
}
