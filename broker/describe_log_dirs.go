package broker

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeLogDirs (key 35), versions 0 to 5. KIP-113, KIP-482, KIP-827 (size of the volume, v4), KIP-1066 (cordoned: never, v5).
// There is one directory.
func describeLogDirsAPI() api {
	return api{key: 35, min: 0, max: 5, serve: serveDescribeLogDirs, outline: "[ string [= int32 ] ]"}
}

func serveDescribeLogDirs(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DescribeLogDirsRequest)
	b := rq.broker()
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	if !rq.mayCluster(kmsg.ACLOperationDescribe) {
		resp.ErrorCode = rq.code(codeClusterAuthorization)
		rq.respond(resp)
		return nil
	}
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = b.cfg.DataDir
	dir.UsableBytes, dir.TotalBytes = b.dir.Space()
	if b.Err() != nil {
		dir.ErrorCode = rq.code(codeStorageError)
	}
	add := func(t *topic, wanted func(int32) bool) {
		rt := kmsg.NewDescribeLogDirsResponseDirTopic()
		rt.Topic = t.name
		for _, p := range t.partitions() {
			if wanted(p.index) {
				rp := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
				rp.Partition, rp.Size = p.index, p.log.Size()
				rt.Partitions = append(rt.Partitions, rp)
			}
		}
		if len(rt.Partitions) > 0 {
			dir.Topics = append(dir.Topics, rt)
		}
	}
	if req.Topics == nil {
		for _, t := range b.topics.list() {
			add(t, func(int32) bool { return true })
		}
	}
	for i := range req.Topics {
		q := &req.Topics[i]
		if t := b.topics.get(q.Topic); t != nil {
			add(t, func(index int32) bool { return slices.Contains(q.Partitions, index) })
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	rq.respond(resp)
	return nil
}
