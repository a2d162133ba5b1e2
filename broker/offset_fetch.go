package broker

import (
	"cmp"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetFetch (key 9), versions 0 to 10. KIP-211, KIP-320, KIP-447 (require stable), KIP-482,
// KIP-709 (several groups, v8), KIP-848 (v9: members name their epoch), KIP-516 (topic ids, v10).
func offsetFetchAPI() api {
	return api{
		key: 9, min: 0, max: 10, serve: serveOffsetFetch,
		outline: "string@0-7 [@0-7 string [= int32 ] ] [@8 string string@9 int32@9 [ string@8-9 uuid@10 [= int32 ] ] ] bool@7",
	}
}

func serveOffsetFetch(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.OffsetFetchRequest)
	resp := kmsg.NewPtrOffsetFetchResponse()
	groups := req.Groups
	if rq.version <= 7 {
		one := kmsg.NewOffsetFetchRequestGroup()
		one.Group = req.Group
		if req.Topics != nil {
			one.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
		}
		for _, t := range req.Topics {
			q := kmsg.NewOffsetFetchRequestGroupTopic()
			q.Topic, q.Partitions = t.Topic, t.Partitions
			one.Topics = append(one.Topics, q)
		}
		groups = []kmsg.OffsetFetchRequestGroup{one}
	}
	for i := range groups {
		resp.Groups = append(resp.Groups, rq.fetchOffsets(&groups[i], req.RequireStable))
	}
	if rq.version <= 7 {
		g := &resp.Groups[0]
		resp.ErrorCode = g.ErrorCode
		for _, t := range g.Topics {
			rt := kmsg.NewOffsetFetchResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetFetchResponseTopicPartition()
				rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		resp.Groups = nil
	}
	rq.respond(resp)
	return nil
}

// fetchOffsets answers for one group; no topics means all it has.
func (rq *request) fetchOffsets(q *kmsg.OffsetFetchRequestGroup, stable bool) kmsg.OffsetFetchResponseGroup {
	b := rq.broker()
	rg := kmsg.NewOffsetFetchResponseGroup()
	rg.Group = q.Group
	if !rq.mayGroup(kmsg.ACLOperationDescribe, q.Group) {
		rg.ErrorCode = rq.code(codeGroupAuthorization)
		return rg
	}
	offsets, unstable := make(map[topicPartition]committed), make(map[topicPartition]bool)
	refused := codeNone
	_, c := b.groups.with(q.Group, false, func(g *group) {
		if g.consumer != nil && (q.MemberID != nil || q.MemberEpoch >= 0) {
			var m *consumerMember
			if q.MemberID != nil {
				m = g.consumer.members[*q.MemberID]
			}
			switch {
			case m == nil:
				refused = codeUnknownMemberID
			case m.epoch != q.MemberEpoch:
				refused = codeStaleMemberEpoch
			}
		}
		maps.Copy(offsets, g.offsets)
		for _, held := range g.txnOffsets {
			for tp := range held {
				unstable[tp] = stable
			}
		}
	})
	if c == codeNone {
		c = refused
	}
	if q.Group == "" {
		c = codeInvalidGroupID
	}
	if rg.ErrorCode = rq.code(c); c != codeNone {
		return rg
	}
	topics := q.Topics
	if topics == nil {
		topics = rq.allTopics(offsets)
	}
	for i := range topics {
		qt := &topics[i]
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = qt.Topic, qt.TopicID
		name, unknown := qt.Topic, codeNone
		if rq.version >= 10 {
			if t := b.topics.getID(qt.TopicID); t != nil {
				name = t.name
			} else {
				unknown = codeUnknownTopicID
			}
		}
		if unknown == codeNone && !rq.mayTopic(kmsg.ACLOperationDescribe, name) {
			if q.Topics == nil {
				continue // who asks for everything is not told of what he may not know
			}
			unknown = codeTopicAuthorization
		}
		for _, partition := range qt.Partitions {
			rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = partition, -1, -1, kmsg.StringPtr("")
			rp.ErrorCode = rq.code(unknown)
			if unstable[topicPartition{name, partition}] && unknown == codeNone {
				rp.ErrorCode = rq.code(codeUnstableOffsetCommit)
			} else if c, ok := offsets[topicPartition{name, partition}]; ok && unknown == codeNone {
				rp.Offset, rp.LeaderEpoch, rp.Metadata = c.offset, c.epoch, &c.metadata
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		rg.Topics = append(rg.Topics, rt)
	}
	return rg
}

// allTopics asks for everything there is.
func (rq *request) allTopics(offsets map[topicPartition]committed) []kmsg.OffsetFetchRequestGroupTopic {
	partitions := make(map[string][]int32)
	for tp := range offsets {
		partitions[tp.topic] = append(partitions[tp.topic], tp.partition)
	}
	var out []kmsg.OffsetFetchRequestGroupTopic
	for _, name := range slices.SortedFunc(maps.Keys(partitions), cmp.Compare[string]) {
		q := kmsg.NewOffsetFetchRequestGroupTopic()
		q.Topic, q.Partitions = name, slices.Sorted(slices.Values(partitions[name]))
		if rq.version >= 10 {
			t := rq.broker().topics.get(name)
			if t == nil {
				continue // it has no id to be named by
			}
			q.TopicID = t.id
		}
		out = append(out, q)
	}
	return out
}
