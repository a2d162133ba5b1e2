package broker

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeUserScramCredentials (key 50), version 0. KIP-554. Users of [Config] are not told, for nobody can change them.
func describeUserSCRAMCredentialsAPI() api {
	return api{key: 50, min: 0, max: 0, serve: serveDescribeUserSCRAMCredentials, outline: "[ string ]"}
}

func serveDescribeUserSCRAMCredentials(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeUserSCRAMCredentialsRequest)
	us := rq.broker().users
	resp := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	if !rq.mayCluster(kmsg.ACLOperationDescribe) {
		resp.ErrorCode, resp.ErrorMessage = rq.code(clusterRefusal.code), kmsg.StringPtr(clusterRefusal.text)
		rq.respond(resp)
		return nil
	}
	var names []string
	found := make(map[string][]kmsg.DescribeUserSCRAMCredentialsResponseResultCredentialInfo)
	for _, k := range us.list() {
		if found[k.name] == nil {
			names = append(names, k.name)
		}
		c, _ := us.storedCredential(k)
		info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
		info.Mechanism, info.Iterations = int8(k.mechanism), int32(c.Iterations)
		found[k.name] = append(found[k.name], info)
	}
	asked := make(map[string]int)
	if len(req.Users) > 0 {
		names = nil
		for i := range req.Users {
			name := req.Users[i].Name
			if asked[name]++; asked[name] == 1 {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		r := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		r.User, r.CredentialInfos = name, found[name]
		switch {
		case asked[name] > 1:
			r.CredentialInfos = nil
			r.ErrorCode, r.ErrorMessage = rq.code(codeDuplicateResource), kmsg.StringPtr(fmt.Sprintf("user %s is asked for twice", name))
		case found[name] == nil:
			r.ErrorCode, r.ErrorMessage = rq.code(codeResourceNotFound), kmsg.StringPtr(fmt.Sprintf("user %s has no SCRAM credential", name))
		}
		resp.Results = append(resp.Results, r)
	}
	rq.respond(resp)
	return nil
}
