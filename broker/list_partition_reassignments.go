package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// ListPartitionReassignments (key 46), version 0. KIP-455. None is ever going on.
func listPartitionReassignmentsAPI() api {
	return api{key: 46, min: 0, max: 0, serve: serveListPartitionReassignments, outline: "int32 [ string [= int32 ] ]"}
}

func serveListPartitionReassignments(rq *request, _ kmsg.Request) error {
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	if !rq.mayCluster(kmsg.ACLOperationDescribe) {
		resp.ErrorCode, resp.ErrorMessage = rq.code(clusterRefusal.code), kmsg.StringPtr(clusterRefusal.text)
	}
	rq.respond(resp)
	return nil
}
