package broker

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListConfigResources (key 74), versions 0 to 1. KIP-1000 (client metrics, v0: there are none), KIP-1142 (all types, v1).
func listConfigResourcesAPI() api {
	return api{key: 74, min: 0, max: 1, serve: serveListConfigResources, outline: "[=@1 int8 ]"}
}

func serveListConfigResources(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.ListConfigResourcesRequest)
	b := rq.broker()
	resp := kmsg.NewPtrListConfigResourcesResponse()
	add := func(typ kmsg.ConfigResourceType, name string) {
		if len(req.ResourceTypes) > 0 && !slices.Contains(req.ResourceTypes, int8(typ)) {
			return
		}
		r := kmsg.NewListConfigResourcesResponseConfigResource()
		r.Type, r.Name = int8(typ), name
		resp.ConfigResources = append(resp.ConfigResources, r)
	}
	known := []kmsg.ConfigResourceType{
		kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger,
		kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig,
	}
	unknown := slices.ContainsFunc(req.ResourceTypes, func(t int8) bool { return !slices.Contains(known, kmsg.ConfigResourceType(t)) })
	switch {
	case !rq.mayCluster(kmsg.ACLOperationDescribeConfigs):
		resp.ErrorCode = rq.code(codeClusterAuthorization)
	case unknown:
		resp.ErrorCode = rq.code(codeUnsupportedVersion)
	case rq.version > 0:
		add(kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(b.cfg.NodeID)))
		for _, t := range b.topics.list() {
			add(kmsg.ConfigResourceTypeTopic, t.name)
		}
		for _, name := range b.groupConfigs.names() {
			add(kmsg.ConfigResourceTypeGroupConfig, name)
		}
	}
	rq.respond(resp)
	return nil
}
