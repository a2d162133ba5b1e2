package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeCluster (key 60), versions 0 to 2. KIP-700, KIP-919 (endpoint type), KIP-1073 (fenced brokers).
func describeClusterAPI() api {
	return api{key: 60, min: 0, max: 2, serve: serveDescribeCluster, outline: "bool int8@1 bool@2"}
}

// Endpoint types: who asks for brokers, and who asks a controller.
const (
	endpointBrokers     = 1
	endpointControllers = 2
)

func serveDescribeCluster(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeClusterRequest)
	b := rq.broker()
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.EndpointType = endpointBrokers
	if rq.version >= 1 && req.EndpointType != endpointBrokers {
		resp.ErrorCode = rq.code(codeUnsupportedEndpoint)
		resp.ErrorMessage = kmsg.StringPtr("this is a broker")
		if req.EndpointType == endpointControllers {
			resp.ErrorCode = rq.code(codeMismatchedEndpoint)
			resp.ErrorMessage = kmsg.StringPtr("this is a broker, there is no controller to ask")
		}
		rq.respond(resp)
		return nil
	}
	resp.ClusterAuthorizedOperations = rq.clusterOperations(req.IncludeClusterAuthorizedOperations)
	resp.ClusterID, resp.ControllerID = b.dir.ClusterID(), b.cfg.NodeID
	broker := kmsg.NewDescribeClusterResponseBroker()
	broker.NodeID = b.cfg.NodeID
	broker.Host, broker.Port = rq.conn.advertised()
	resp.Brokers = append(resp.Brokers, broker)
	rq.respond(resp)
	return nil
}
