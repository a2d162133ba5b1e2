package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetCommit (key 8), versions 0 to 10. KIP-211 (retention is the broker's), KIP-320 (leader epochs), KIP-345, KIP-482,
// KIP-848 and KIP-1251 (v9: the generation may be a member epoch), KIP-516 (topic ids, v10). The answer waits for the disk.
func offsetCommitAPI() api {
	return api{
		key: 8, min: 0, max: 10, serve: serveOffsetCommit,
		outline: "string int32@1 string@1 string@7 int64@2-4 [ string@0-9 uuid@10 [ int32 int64 int64@1-1 int32@6 string ] ]",
	}
}

// maxOffsetMetadata is Kafka's offset.metadata.max.bytes.
const maxOffsetMetadata = 4096

// offsetCommits are the offsets of a request that can be committed.
type offsetCommits map[topicPartition]committed

// take adds an offset of a topic, nil for one that there is not, or says what is wrong with it.
func (oc offsetCommits) take(t *topic, unknown code, partition int32, c committed, metadata *string) code {
	if metadata != nil {
		c.metadata = *metadata
	}
	switch {
	case t == nil:
		return unknown
	case t.partition(partition) == nil:
		return codeUnknownTopicOrPartition
	case len(c.metadata) > maxOffsetMetadata:
		return codeOffsetMetadataTooLarge
	}
	oc[topicPartition{t.name, partition}] = c
	return codeNone
}

func serveOffsetCommit(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.OffsetCommitRequest)
	b := rq.broker()
	if rq.version < 1 {
		req.Generation = -1
	}
	now := time.Now().UnixMilli()
	commits := make(offsetCommits)
	resp := kmsg.NewPtrOffsetCommitResponse()
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = q.Topic, q.TopicID
		t, unknown := b.topics.get(q.Topic), codeUnknownTopicOrPartition
		if rq.version >= 10 {
			t, unknown = b.topics.getID(q.TopicID), codeUnknownTopicID
		}
		var name []byte
		if rq.version < 10 {
			name = []byte(q.Topic)
		}
		t, unknown = rq.permit(kmsg.ACLOperationRead, t, name, unknown)
		for j := range q.Partitions {
			qp := &q.Partitions[j]
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition = qp.Partition
			c := committed{offset: qp.Offset, epoch: qp.LeaderEpoch, at: now}
			if rq.version < 6 {
				c.epoch = -1
			}
			rp.ErrorCode = int16(commits.take(t, unknown, qp.Partition, c, qp.Metadata))
			rt.Partitions = append(rt.Partitions, rp)
		}
		if len(rt.Partitions) > 0 {
			resp.Topics = append(resp.Topics, rt)
		}
	}
	done := func(c code) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				rp := &resp.Topics[i].Partitions[j]
				if rp.ErrorCode == 0 || c == codeGroupAuthorization || c != codeNone && code(rp.ErrorCode) == codeOffsetMetadataTooLarge {
					rp.ErrorCode = int16(c)
				}
				rq.code(code(rp.ErrorCode))
			}
		}
		rq.respond(resp)
	}
	if !rq.mayGroup(kmsg.ACLOperationRead, req.Group) {
		done(codeGroupAuthorization)
		return nil
	}
	if req.Group == "" {
		done(codeInvalidGroupID)
		return nil
	}
	var g *group
	var l logged
	var refused code
	// Whoever manages its partitions by itself need not have been here before.
	known, c := b.groups.with(req.Group, req.Generation < 0 && len(commits) > 0, func(found *group) {
		g = found
		if refused = g.mayCommit(req); refused != codeNone || len(commits) == 0 {
			return
		}
		records := make([]record, 0, len(commits))
		size := 0
		for tp, c := range commits {
			if have, ok := g.offsets[tp]; ok {
				size -= have.size(tp)
			}
			size += c.size(tp)
			records = append(records, offsetRecord(g.id, tp, &c))
		}
		if !b.groups.room(size) {
			refused = codeInvalidCommitSize
			return
		}
		var err error
		if l, err = b.groups.remember(g.id, records); err != nil {
			b.log.Error("offsets not saved", "group", g.id, "err", err)
			refused = codeCoordinatorNotAvailable
		}
	})
	if !known && c == codeNone && (req.Generation >= 0 || len(commits) > 0) {
		if c = codeIllegalGeneration; rq.version >= 9 {
			c = codeGroupIDNotFound
		}
	}
	if c == codeNone {
		c = refused
	}
	if c != codeNone || len(commits) == 0 {
		done(c)
		return nil
	}
	l.wait(func(err error) {
		if err != nil {
			done(codeCoordinatorNotAvailable)
			return
		}
		g.mu.Lock()
		if g.state != groupDead {
			for tp, c := range commits {
				c.logged = l.last
				if have, ok := g.offsets[tp]; !ok || have.logged <= c.logged {
					g.setOffset(tp, c)
				}
			}
		}
		g.mu.Unlock()
		done(codeNone)
	})
	return nil
}

// heldSince says whether a member of an epoch gone by commits only what it has had from that epoch to now (KIP-1251): nobody
// else can have got further.
func (g *group) heldSince(m *consumerMember, req *kmsg.OffsetCommitRequest) bool {
	for i := range req.Topics {
		q := &req.Topics[i]
		id := q.TopicID
		if req.Version < 10 {
			t := g.gs.b.topics.get(q.Topic)
			if t == nil {
				return false
			}
			id = t.id
		}
		for j := range q.Partitions {
			h, held := g.consumer.holders[topicIDPartition{id, q.Partitions[j].Partition}]
			if !held || h.member != m.id || h.since > req.Generation {
				return false
			}
		}
	}
	return true
}

// mayCommit says whether a locked group takes a commit.
func (g *group) mayCommit(req *kmsg.OffsetCommitRequest) code {
	if req.Generation < 0 && g.state == groupEmpty {
		return codeNone
	}
	if g.consumer != nil {
		m := g.consumer.members[req.MemberID]
		switch {
		case m == nil:
			return codeUnknownMemberID
		case m.classic != nil && req.Generation != m.epoch:
			return codeIllegalGeneration
		case m.classic == nil && req.Version < 9:
			return codeUnsupportedVersion // which would not know what a stale epoch is
		case req.Generation > m.epoch || req.Generation < m.epoch && !g.heldSince(m, req):
			return codeStaleMemberEpoch
		}
		return codeNone
	}
	m, c := g.find(req.MemberID, req.InstanceID)
	switch {
	case c != codeNone:
		return c
	case req.Generation != g.generation:
		return codeIllegalGeneration
	case g.state == groupCompleting:
		return codeRebalanceInProgress
	}
	g.alive(m)
	return codeNone
}
