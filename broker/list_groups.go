package broker

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListGroups (key 16), versions 0 to 5. KIP-482, KIP-518 (states), KIP-848 (types).
func listGroupsAPI() api {
	return api{key: 16, min: 0, max: 5, serve: serveListGroups, outline: "[=@4 string ] [=@5 string ]"}
}

func serveListGroups(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.ListGroupsRequest)
	wanted := func(filter []string, value string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(s string) bool { return strings.EqualFold(s, value) })
	}
	all := rq.mayCluster(kmsg.ACLOperationDescribe)
	resp := kmsg.NewPtrListGroupsResponse()
	for _, g := range rq.broker().groups.list() {
		if !all && !rq.mayGroup(kmsg.ACLOperationDescribe, g.id) {
			continue
		}
		g.mu.Lock()
		rg := kmsg.NewListGroupsResponseGroup()
		rg.Group, rg.ProtocolType, rg.GroupState, rg.GroupType = g.id, g.protocolType, g.state.String(), "classic"
		if g.consumer != nil {
			rg.GroupType = "consumer"
		}
		dead := g.state == groupDead
		g.mu.Unlock()
		if !dead && wanted(req.StatesFilter, rg.GroupState) && wanted(req.TypesFilter, rg.GroupType) {
			resp.Groups = append(resp.Groups, rg)
		}
	}
	rq.respond(resp)
	return nil
}
