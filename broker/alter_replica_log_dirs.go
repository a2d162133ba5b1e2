package broker

import "github.com/twmb/franz-go/pkg/kmsg"

// AlterReplicaLogDirs (key 34), versions 0 to 2. KIP-113, KIP-482. There is one directory: everything is in it already, and
// there is no other to move to.
func alterReplicaLogDirsAPI() api {
	return api{key: 34, min: 0, max: 2, serve: serveAlterReplicaLogDirs, outline: "[ string [ string [= int32 ] ] ]"}
}

func serveAlterReplicaLogDirs(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.AlterReplicaLogDirsRequest)
	b := rq.broker()
	may := rq.mayCluster(kmsg.ACLOperationAlter)
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	for i := range req.Dirs {
		dir := &req.Dirs[i]
		for _, q := range dir.Topics {
			rt := kmsg.NewAlterReplicaLogDirsResponseTopic()
			rt.Topic = q.Topic
			t := b.topics.get(q.Topic)
			for _, index := range q.Partitions {
				rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				rp.Partition = index
				switch {
				case !may:
					rp.ErrorCode = rq.code(codeClusterAuthorization)
				case dir.Dir != b.cfg.DataDir:
					rp.ErrorCode = rq.code(codeLogDirNotFound)
				case t == nil || t.partition(index) == nil:
					rp.ErrorCode = rq.code(codeUnknownTopicOrPartition)
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
	}
	rq.respond(resp)
	return nil
}
