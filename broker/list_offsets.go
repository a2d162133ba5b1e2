package broker

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListOffsets (key 2), versions 0 to 11. KIP-98 (isolation level), KIP-79 (by time), KIP-207 and KIP-320 (leader epochs), KIP-734 (max timestamp),
// KIP-405 (tiered storage: there is none), KIP-1005, KIP-1023.
//
// Whoever asks may have written with acks=1 or 0 just before, so the answer waits for the flush of what is in the log.
func listOffsetsAPI() api {
	return api{
		key: 2, min: 0, max: 11, serve: serveListOffsets,
		outline: "int32 int8@2 [ string [ int32 int32@4 int64 int32@0-0 ] ] int32@10",
	}
}

// Timestamps with a meaning of their own.
const (
	listLatest         = -1
	listEarliest       = -2
	listMaxTimestamp   = -3
	listEarliestLocal  = -4
	listLatestTiered   = -5
	listEarliestUpload = -6
)

// listedFrom is the version since which a timestamp has a meaning of its own.
var listedFrom = map[int64]int16{listMaxTimestamp: 7, listEarliestLocal: 8, listLatestTiered: 9, listEarliestUpload: 11}

func serveListOffsets(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.ListOffsetsRequest)
	b := rq.broker()
	denied := make(map[string]bool)
	var left atomic.Int32
	left.Store(1)
	done := func(error) {
		if left.Add(-1) == 0 {
			rq.respondFrom(func() kmsg.Response { return b.listOffsets(rq, req, denied) })
		}
	}
	for i := range req.Topics {
		t := b.topics.get(req.Topics[i].Topic)
		if !rq.mayTopic(kmsg.ACLOperationDescribe, req.Topics[i].Topic) {
			denied[req.Topics[i].Topic] = true
			continue
		}
		if t == nil {
			continue
		}
		for j := range req.Topics[i].Partitions {
			rp := &req.Topics[i].Partitions[j]
			p := t.partition(rp.Partition)
			if p == nil || rp.Timestamp == listEarliest || rp.Timestamp == listEarliestLocal {
				continue
			}
			if end := p.log.EndOffset(); end > p.log.HighWatermark() {
				left.Add(1)
				p.log.NotifyFlushed(end-1, done)
			}
		}
	}
	done(nil)
	return nil
}

func (b *Broker) listOffsets(rq *request, req *kmsg.ListOffsetsRequest, denied map[string]bool) kmsg.Response {
	resp := kmsg.NewPtrListOffsetsResponse()
	for i := range req.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = req.Topics[i].Topic
		t := b.topics.get(rt.Topic)
		for j := range req.Topics[i].Partitions {
			q := &req.Topics[i].Partitions[j]
			rp := b.listOffset(t, q, denied[rt.Topic], req.IsolationLevel == 1)
			if (rq.version < listedFrom[q.Timestamp] || q.Timestamp < listEarliestUpload) && !denied[rt.Topic] {
				rp = noListedOffset(q.Partition, codeUnsupportedVersion)
			}
			rq.code(code(rp.ErrorCode))
			if rq.version == 0 && rp.ErrorCode == 0 {
				rp.OldStyleOffsets = []int64{}
				if rp.Offset >= 0 && req.Topics[i].Partitions[j].MaxNumOffsets > 0 {
					rp.OldStyleOffsets = append(rp.OldStyleOffsets, rp.Offset)
				}
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// noListedOffset is an answer without an offset.
func noListedOffset(partition int32, c code) kmsg.ListOffsetsResponseTopicPartition {
	r := kmsg.NewListOffsetsResponseTopicPartition()
	r.Partition, r.Timestamp, r.Offset, r.LeaderEpoch, r.ErrorCode = partition, -1, -1, -1, int16(c)
	return r
}

func (b *Broker) listOffset(t *topic, q *kmsg.ListOffsetsRequestTopicPartition, denied, committed bool) kmsg.ListOffsetsResponseTopicPartition {
	r := noListedOffset(q.Partition, codeNone)
	if denied {
		r.ErrorCode = int16(codeTopicAuthorization)
		return r
	}
	var p *partition
	if t != nil {
		p = t.partition(q.Partition)
	}
	if p == nil {
		r.ErrorCode = int16(codeUnknownTopicOrPartition)
		return r
	}
	if c := p.checkEpoch(q.CurrentLeaderEpoch); c != codeNone {
		r.ErrorCode = int16(c)
		return r
	}
	switch q.Timestamp {
	case listLatest:
		r.Offset, r.LeaderEpoch = p.log.HighWatermark(), p.epoch
		if committed {
			r.Offset = p.log.LastStableOffset()
		}
	case listEarliest, listEarliestLocal:
		r.Offset, r.LeaderEpoch = p.log.StartOffset(), p.epoch
	case listMaxTimestamp:
		r.Offset, r.Timestamp, r.LeaderEpoch = p.log.MaxTimestamp()
	case listLatestTiered, listEarliestUpload:
	default:
		var err error
		r.Offset, r.Timestamp, r.LeaderEpoch, err = p.log.OffsetForTime(q.Timestamp)
		r.ErrorCode = int16(logCode(err))
	}
	return r
}
