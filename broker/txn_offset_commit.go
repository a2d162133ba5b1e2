package broker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// TxnOffsetCommit (key 28), versions 0 to 5. KIP-98, KIP-320 (leader epochs), KIP-447 (members, v3), KIP-482, KIP-890 (v5: the
// group's partition joins the transaction by itself). Answered when flushed; the offsets count once the transaction is committed.
func txnOffsetCommitAPI() api {
	return api{
		key: 28, min: 0, max: 5, serve: serveTxnOffsetCommit,
		outline: "string string int64 int16 int32@3 string@3 string@3 [ string [ int32 int64 int32@2 string ] ]",
	}
}

func serveTxnOffsetCommit(rq *request, m kmsg.Request) error {
	req := m.(*kmsg.TxnOffsetCommitRequest)
	b := rq.broker()
	now := time.Now().UnixMilli()
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	commits := make(offsetCommits)
	toCoordinator := false // which looks at the producer before it looks at the metadata
	for i := range req.Topics {
		q := &req.Topics[i]
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = q.Topic
		t, unknown := rq.permit(kmsg.ACLOperationRead, b.topics.get(q.Topic), []byte(q.Topic), codeUnknownTopicOrPartition)
		for j := range q.Partitions {
			qp := &q.Partitions[j]
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition = qp.Partition
			c := committed{offset: qp.Offset, epoch: qp.LeaderEpoch, at: now}
			if rq.version < 2 {
				c.epoch = -1
			}
			taken := commits.take(t, unknown, qp.Partition, c, qp.Metadata)
			toCoordinator = toCoordinator || taken == codeNone || taken == codeOffsetMetadataTooLarge
			rp.ErrorCode = int16(taken)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	done := func(c code) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				rp := &resp.Topics[i].Partitions[j]
				late := c != codeNone && code(rp.ErrorCode) == codeOffsetMetadataTooLarge
				if rp.ErrorCode == 0 || c == codeTransactionalIDRefused || c == codeGroupAuthorization || late {
					rp.ErrorCode = int16(c)
				}
				rq.code(code(rp.ErrorCode))
			}
		}
		rq.respond(resp)
	}
	switch {
	case req.Group == "":
		done(codeInvalidGroupID)
	case !rq.mayTxn(kmsg.ACLOperationWrite, req.TransactionalID):
		done(codeTransactionalIDRefused)
	case !rq.mayGroup(kmsg.ACLOperationRead, req.Group):
		done(codeGroupAuthorization)
	case !toCoordinator:
		done(codeNone)
	case req.TransactionalID == "":
		done(codeInvalidRequest)
	default:
		var joined logged
		c := codeNone
		if rq.version >= 5 {
			if joined, c = b.joinTxn(req); c == codeProducerFenced {
				c = codeInvalidProducerEpoch // the word for it here
			}
		}
		var l logged
		if c == codeNone {
			l, c = b.commitInTxn(rq, req, commits)
		}
		answerWhenLogged(c, done, joined, l)
	}
	return nil
}

// joinTxn takes the partition that keeps the group into the transaction.
func (b *Broker) joinTxn(req *kmsg.TxnOffsetCommitRequest) (logged, code) {
	tp, err := b.groups.partitionOf(req.Group)
	if err != nil {
		return logged{}, codeCoordinatorNotAvailable
	}
	return b.txns.addTo(req.TransactionalID, req.ProducerID, req.ProducerEpoch, true, tp)
}

// commitInTxn writes offsets as a part of a transaction.
func (b *Broker) commitInTxn(rq *request, req *kmsg.TxnOffsetCommitRequest, commits offsetCommits) (l logged, c code) {
	if rq.version < 3 {
		req.Generation, req.MemberID, req.InstanceID = -1, "", nil
	}
	tp, err := b.groups.partitionOf(req.Group)
	if err != nil {
		return l, codeCoordinatorNotAvailable
	}
	b.txns.mu.Lock()
	t := b.txns.byID[req.TransactionalID]
	b.txns.mu.Unlock()
	if t == nil {
		return l, codeInvalidProducerIDMap
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if c := t.check(req.ProducerID, req.ProducerEpoch, codeInvalidProducerEpoch); c != codeNone {
		return l, c
	}
	if t.state != kmsg.TransactionStateOngoing || !t.partitions[tp] {
		if rq.version >= 4 { // which knows that aborting helps (KIP-890)
			return l, codeTransactionAbortable
		}
		return l, codeInvalidTxnState
	}
	known, refused := b.groups.with(req.Group, req.Generation < 0, func(g *group) {
		if c = g.mayCommitInTxn(req); c != codeNone || len(commits) == 0 {
			return
		}
		records := make([]record, 0, len(commits))
		size := 0
		for tp, commit := range commits {
			size += commit.size(tp)
			records = append(records, offsetRecord(g.id, tp, &commit))
		}
		if !b.groups.room(size) {
			c = codeInvalidCommitSize
			return
		}
		log, err := b.groups.offsetsLog(g.id)
		if err == nil {
			var info commitlog.AppendInfo
			batch := appendTxnBatch(nil, records, time.Now().UnixMilli(), req.ProducerID, req.ProducerEpoch)
			info, err = log.Append(batch, commitlog.AppendOptions{AllowTransactional: true, Unsequenced: true})
			l = logged{log, info.BaseOffset, info.LastOffset}
		}
		if err != nil {
			b.log.Error("offsets not saved", "group", g.id, "err", err)
			l, c = logged{}, logCode(err)
			return
		}
		for tp, commit := range commits {
			commit.logged = l.last
			g.holdOffset(req.ProducerID, tp, commit)
		}
	})
	if !known && refused == codeNone {
		refused = codeIllegalGeneration
	}
	if refused != codeNone {
		c = refused
	}
	return l, c
}

// mayCommitInTxn says whether a locked group takes a commit from who says to be a member, or from anybody who does not.
func (g *group) mayCommitInTxn(req *kmsg.TxnOffsetCommitRequest) code {
	if req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil {
		return codeNone
	}
	if g.consumer != nil {
		switch m := g.consumer.members[req.MemberID]; {
		case m == nil:
			return codeUnknownMemberID
		case m.epoch != req.Generation:
			return codeIllegalGeneration
		}
		return codeNone
	}
	m, c := g.find(req.MemberID, req.InstanceID)
	switch {
	case c != codeNone:
		return c
	case req.Generation != g.generation:
		return codeIllegalGeneration
	}
	g.alive(m)
	return codeNone
}
