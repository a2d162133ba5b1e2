package broker

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// DeleteRecords (key 21), versions 0 to 2. KIP-107, KIP-482.
func deleteRecordsAPI() api {
	return api{key: 21, min: 0, max: 2, serve: serveDeleteRecords, outline: "[ string [ int32 int64 ] ] int32"}
}

func serveDeleteRecords(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.DeleteRecordsRequest)
	b := rq.broker()
	resp := kmsg.NewPtrDeleteRecordsResponse()
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = q.Topic
		t, absent := rq.permit(kmsg.ACLOperationDelete, b.topics.get(q.Topic), []byte(q.Topic), codeUnknownTopicOrPartition)
		for _, p := range q.Partitions {
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition = p.Partition
			low, c := int64(-1), absent
			if t != nil {
				low, c = b.deleteRecords(t, p.Partition, p.Offset)
			}
			rp.LowWatermark, rp.ErrorCode = low, rq.code(c)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}

// deleteRecords raises the log start offset of a partition, durably; -1 is up to the high watermark.
func (b *Broker) deleteRecords(t *topic, index int32, offset int64) (low int64, c code) {
	part := t.partition(index)
	if part == nil {
		return -1, codeUnknownTopicOrPartition
	}
	if t.internal {
		return -1, codeInvalidTopic
	}
	if lc := part.log.Config(); lc.Compact && !lc.CompactDelete {
		return -1, codePolicyViolation
	}
	low, err := part.log.DeleteBefore(offset)
	if err != nil {
		if !errors.Is(err, commitlog.ErrOffsetOutOfRange) {
			b.log.Warn("records not deleted", "topic", t.name, "partition", index, "offset", offset, "err", err)
		}
		return -1, logCode(err)
	}
	return low, codeNone
}
