package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeAcls (key 29), versions 0 to 3. KIP-140, KIP-290 (prefixes, v1), KIP-482, KIP-373 (users, v3).
func describeACLsAPI() api {
	return api{key: 29, min: 0, max: 3, serve: serveDescribeACLs, outline: "int8 string int8@1 string string int8 int8"}
}

// aclsDisabled is the answer where nobody is kept from anything.
var aclsDisabled = refusef(codeSecurityDisabled, "ACLs are not enforced here, and none are kept")

// mayACLs says why a request about ACLs is refused, nil when it is not.
func (rq *request) mayACLs(op kmsg.ACLOperation) *topicError {
	switch {
	case rq.conn.b.acls == nil:
		return aclsDisabled
	case !rq.mayCluster(op):
		return clusterRefusal
	}
	return nil
}

// clusterRefusal tells who may not do this to the cluster.
var clusterRefusal = refusef(codeClusterAuthorization, "Cluster authorization failed.")

func serveDescribeACLs(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeACLsRequest)
	resp := kmsg.NewPtrDescribeACLsResponse()
	f := aclFilter{
		resource: req.ResourceType, pattern: req.ResourcePatternType, name: req.ResourceName,
		principal: req.Principal, host: req.Host, operation: req.Operation, permission: req.PermissionType,
	}
	refusal := rq.mayACLs(kmsg.ACLOperationDescribe)
	if refusal == nil {
		refusal = asRefusal(f.check())
	}
	if refusal != nil {
		resp.ErrorCode, resp.ErrorMessage = rq.code(refusal.code), kmsg.StringPtr(refusal.text)
		rq.respond(resp)
		return nil
	}
	var last acl
	for _, a := range rq.broker().acls.find(&f) {
		if rq.version == 0 && a.Pattern != kmsg.ACLResourcePatternTypeLiteral {
			continue // it would be read as one of another kind
		}
		if len(resp.Resources) == 0 || a.Resource != last.Resource || a.Pattern != last.Pattern || a.Name != last.Name {
			r := kmsg.NewDescribeACLsResponseResource()
			r.ResourceType, r.ResourcePatternType, r.ResourceName = a.Resource, a.Pattern, a.Name
			resp.Resources = append(resp.Resources, r)
		}
		last = a
		ra := kmsg.NewDescribeACLsResponseResourceACL()
		ra.Principal, ra.Host, ra.Operation, ra.PermissionType = a.Principal, a.Host, a.Operation, a.Permission
		r := &resp.Resources[len(resp.Resources)-1]
		r.ACLs = append(r.ACLs, ra)
	}
	rq.respond(resp)
	return nil
}
