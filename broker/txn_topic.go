package broker

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// What the transaction coordinator has to remember lies in the topic __transaction_state in Kafka's schema, a
// TransactionLogKey and TransactionLogValue for each change. The newest record of an id counts; a tombstone forgets it.

const txnTopic = "__transaction_state"

func txnKey(id string) []byte {
	k := kmsg.NewTxnMetadataKey()
	k.TransactionalID = id
	return k.AppendTo(nil)
}

// log is where a transactional id is kept.
func (ts *txns) log(id string) (*commitlog.Log, error) {
	t, err := ts.b.topics.ensure(txnTopic)
	if err != nil {
		return nil, err
	}
	parts := t.partitions()
	return parts[int(groupHash(id)%uint32(len(parts)))].log, nil
}

// coordinatorEpoch tells the coordinator of now from those before an unclean stop.
func (ts *txns) coordinatorEpoch() int32 {
	if t := ts.b.topics.get(txnTopic); t != nil {
		return t.partition(0).epoch
	}
	return 0
}

// remember writes a locked transaction down.
func (t *txn) remember() (logged, error) {
	l, err := t.ts.log(t.id)
	if err != nil {
		return logged{}, err
	}
	t.lastModified = time.Now()
	v := kmsg.NewTxnMetadataValue()
	v.Version = 1
	v.ProducerID, v.ProducerEpoch = t.producerID, t.epoch
	v.PreviousProducerID, v.NextProducerID = t.lastID, t.nextID
	v.TimeoutMillis, v.State = int32(t.timeout.Milliseconds()), t.state
	v.LastUpdateTimestamp, v.StartTimestamp = t.lastModified.UnixMilli(), -1
	if !t.start.IsZero() {
		v.StartTimestamp = t.start.UnixMilli()
	}
	v.ClientTransactionVersion = t.version
	byTopic := make(map[string]int)
	for tp := range t.partitions {
		i, seen := byTopic[tp.topic]
		if !seen {
			i = len(v.Topics)
			byTopic[tp.topic] = i
			vt := kmsg.NewTxnMetadataValueTopic()
			vt.Topic = tp.topic
			v.Topics = append(v.Topics, vt)
		}
		v.Topics[i].Partitions = append(v.Topics[i].Partitions, tp.partition)
	}
	batch := appendBatch(nil, []record{{key: txnKey(t.id), value: v.AppendTo(nil)}}, v.LastUpdateTimestamp)
	info, err := l.Append(batch, commitlog.AppendOptions{UseReserve: true}) // so that transactions can be ended on a full disk
	if err != nil {
		return logged{}, err
	}
	return logged{l, info.BaseOffset, info.LastOffset}, nil
}

// replay reads the topic from its beginning, before anybody is let in.
func (ts *txns) replay() error {
	t := ts.b.topics.get(txnTopic)
	if t == nil {
		return nil
	}
	for _, p := range t.partitions() {
		skipped, err := replayBatches(p.log, func(b []byte) error { return readBatch(b, ts.replayRecord) })
		if err != nil {
			return fmt.Errorf("replay %s-%d: %w", txnTopic, p.index, err)
		}
		if skipped > 0 {
			ts.b.log.Warn("batches cannot be read", "topic", txnTopic, "partition", p.index, "batches", skipped)
		}
	}
	return nil
}

func (ts *txns) replayRecord(_ int64, r record) {
	k := kmsg.NewTxnMetadataKey()
	if k.ReadFrom(r.key) != nil || k.Version != 0 {
		return
	}
	if r.value == nil {
		delete(ts.byID, k.TransactionalID)
		return
	}
	v := kmsg.NewTxnMetadataValue()
	if v.ReadFrom(r.value) != nil {
		return
	}
	t := &txn{
		ts: ts, id: k.TransactionalID, state: v.State, producerID: v.ProducerID, epoch: v.ProducerEpoch,
		lastID: v.PreviousProducerID, lastEpoch: v.ProducerEpoch - 1, nextID: v.NextProducerID,
		timeout: time.Duration(v.TimeoutMillis) * time.Millisecond, version: v.ClientTransactionVersion,
		partitions: make(map[topicPartition]bool), lastModified: time.UnixMilli(v.LastUpdateTimestamp),
	}
	if v.StartTimestamp > 0 {
		t.start = time.UnixMilli(v.StartTimestamp)
	}
	for i := range v.Topics {
		for _, p := range v.Topics[i].Partitions {
			t.partitions[topicPartition{v.Topics[i].Topic, p}] = true
		}
	}
	ts.byID[t.id] = t
}
