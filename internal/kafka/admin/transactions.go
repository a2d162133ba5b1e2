package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListedTransaction is a transactional id in a listing (KIP-664).
type ListedTransaction struct {
	TransactionalID string `json:"transactional_id"`
	Coordinator     int32  `json:"coordinator"`
	ProducerID      int64  `json:"producer_id"`
	State           string `json:"state"` // Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort, PrepareEpochFence, Dead
}

// TransactionFilter says which transactions to list; the zero value is all of them.
type TransactionFilter struct {
	ProducerIDs []int64
	RunningFor  time.Duration // only those that have been running for longer (KIP-994); 0 is all
	Pattern     string        // only ids that this regular expression matches as a whole (KIP-1152)
}

// ListTransactions lists transactional ids, sorted. A broker that does not know what the filter asks for is an error.
func ListTransactions(ctx context.Context, cl *kgo.Client, f TransactionFilter) ([]ListedTransaction, error) {
	req := kmsg.NewPtrListTransactionsRequest()
	req.ProducerIDFilters = f.ProducerIDs
	needs := int16(0)
	if f.RunningFor > 0 {
		req.DurationFilterMillis, needs = f.RunningFor.Milliseconds(), 1
	}
	if f.Pattern != "" {
		req.TransactionalIDPattern, needs = &f.Pattern, 2
	}
	all := []ListedTransaction{}
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("list transactions of broker %d: %w", shard.Meta.NodeID, shard.Err)
		}
		resp := shard.Resp.(*kmsg.ListTransactionsResponse)
		err := kerr.ErrorForCode(resp.ErrorCode)
		if err == nil && resp.Version < needs {
			err = errors.New("it is too old to pick transactions by pattern or by how long they run")
		}
		if err != nil {
			return nil, fmt.Errorf("list transactions of broker %d: %w", shard.Meta.NodeID, err)
		}
		for _, t := range resp.TransactionStates {
			all = append(all, ListedTransaction{t.TransactionalID, shard.Meta.NodeID, t.ProducerID, t.TransactionState})
		}
	}
	slices.SortFunc(all, func(a, b ListedTransaction) int { return cmp.Compare(a.TransactionalID, b.TransactionalID) })
	return all, nil
}

// Transaction is what the coordinator knows of a transactional id. What there is none of, when no transaction is going on, is null.
type Transaction struct {
	TransactionalID string            `json:"transactional_id"`
	Coordinator     int32             `json:"coordinator"`
	ProducerID      int64             `json:"producer_id"`
	ProducerEpoch   int16             `json:"producer_epoch"`
	State           string            `json:"state"`
	TimeoutMillis   int32             `json:"timeout_ms"`
	Start           *int64            `json:"start_ms"` // since 1970
	Partitions      []TopicPartitions `json:"partitions"`
}

// DescribeTransaction asks the coordinator of a transactional id.
func DescribeTransaction(ctx context.Context, cl *kgo.Client, id string) (*Transaction, error) {
	all, err := kadm.NewClient(cl).DescribeTransactions(ctx, id)
	t, ok := all[id]
	switch {
	case ok:
		err = t.Err
	case err == nil:
		err = errors.New("no description")
	}
	if errors.Is(err, kerr.TransactionalIDNotFound) {
		err = errors.New("there is no such transactional id")
	}
	if err != nil {
		return nil, fmt.Errorf("transactional id %s: %w", id, Problem(err))
	}
	d := &Transaction{TransactionalID: id, Coordinator: t.Coordinator, ProducerID: t.ProducerID, ProducerEpoch: t.ProducerEpoch, State: t.State, TimeoutMillis: t.TimeoutMillis}
	if t.StartTimestamp >= 0 {
		d.Start = &t.StartTimestamp
	}
	in := topicSet{}
	for topic, partitions := range t.Topics {
		for p := range partitions {
			in.add(topic, p)
		}
	}
	d.Partitions = in.list()
	return d, nil
}

// Producer is one that has written to a partition and that the partition still remembers.
type Producer struct {
	Topic            string `json:"topic"`
	Partition        int32  `json:"partition"`
	ProducerID       int64  `json:"producer_id"`
	ProducerEpoch    int32  `json:"producer_epoch"`
	CoordinatorEpoch int32  `json:"coordinator_epoch"` // -1 before the first marker
	LastSequence     int32  `json:"last_sequence"`
	LastTimestamp    int64  `json:"last_timestamp_ms"`
	TxnStart         *int64 `json:"txn_start_offset"` // null without an open transaction
}

// DescribeProducers lists the producers of partitions, sorted, as their leaders know them, or the broker, if it is not negative.
func DescribeProducers(ctx context.Context, cl *kgo.Client, of []TopicPartitions, broker int32) ([]Producer, error) {
	req := kmsg.NewPtrDescribeProducersRequest()
	for _, t := range of {
		rt := kmsg.NewDescribeProducersRequestTopic()
		rt.Topic, rt.Partitions = t.Topic, t.Partitions
		req.Topics = append(req.Topics, rt)
	}
	shards := func() []kgo.ResponseShard {
		if broker < 0 {
			return cl.RequestSharded(ctx, req)
		}
		resp, err := cl.Broker(int(broker)).Request(ctx, req)
		return []kgo.ResponseShard{{Resp: resp, Err: err}}
	}
	all := []Producer{}
	for _, shard := range shards() {
		if shard.Err != nil {
			return nil, fmt.Errorf("describe producers: %w", Problem(shard.Err))
		}
		for _, t := range shard.Resp.(*kmsg.DescribeProducersResponse).Topics {
			for _, p := range t.Partitions {
				if err := answer(p.ErrorCode, p.ErrorMessage); err != nil {
					return nil, fmt.Errorf("describe producers of topic %s partition %d: %w", t.Topic, p.Partition, err)
				}
				for _, a := range p.ActiveProducers {
					d := Producer{t.Topic, p.Partition, a.ProducerID, a.ProducerEpoch, a.CoordinatorEpoch, a.LastSequence, a.LastTimestamp, nil}
					if a.CurrentTxnStartOffset >= 0 {
						d.TxnStart = &a.CurrentTxnStartOffset
					}
					all = append(all, d)
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b Producer) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.ProducerID, b.ProducerID))
	})
	return all, nil
}

// AbortTransaction has the leader of the producer's partition write the marker that aborts its open transaction, whatever the
// coordinator knows of it (KIP-664).
func AbortTransaction(ctx context.Context, cl *kgo.Client, p Producer) error {
	marker := kadm.TxnMarkers{ProducerID: p.ProducerID, ProducerEpoch: int16(p.ProducerEpoch), CoordinatorEpoch: max(p.CoordinatorEpoch, 0), Topics: kadm.TopicsSet{}}
	marker.Topics.Add(p.Topic, p.Partition)
	done, err := kadm.NewClient(cl).WriteTxnMarkers(ctx, marker)
	if err == nil {
		r, ok := done[p.ProducerID].Topics[p.Topic].Partitions[p.Partition]
		if err = r.Err; !ok {
			err = errors.New("no answer")
		}
	}
	if err != nil {
		return fmt.Errorf("abort the transaction of producer %d in topic %s partition %d: %w", p.ProducerID, p.Topic, p.Partition, Problem(err))
	}
	return nil
}

// OpenTransactionAt finds the producer whose open transaction begins at an offset of a partition.
func OpenTransactionAt(ctx context.Context, cl *kgo.Client, topic string, partition int32, start int64) (Producer, error) {
	all, err := DescribeProducers(ctx, cl, []TopicPartitions{{topic, []int32{partition}}}, -1)
	if err != nil {
		return Producer{}, err
	}
	for _, p := range all {
		if p.TxnStart != nil && *p.TxnStart == start {
			return p, nil
		}
	}
	return Producer{}, fmt.Errorf("no open transaction begins at offset %d of topic %s partition %d", start, topic, partition)
}

// HangingTransactions finds open transactions without a record since before that their coordinator knows nothing of: nobody will
// ever end them, and consumers of committed records wait for them. It looks at partitions, which may be of all topics (none) and
// limited to those with a replica on a broker (not below 0).
func HangingTransactions(ctx context.Context, cl *kgo.Client, of []TopicPartitions, broker int32, before time.Time) ([]Producer, error) {
	where, err := PartitionsOn(ctx, cl, of, broker)
	if err != nil || len(where) == 0 {
		return []Producer{}, err
	}
	all, err := DescribeProducers(ctx, cl, where, broker)
	if err != nil {
		return nil, err
	}
	open := slices.DeleteFunc(all, func(p Producer) bool { return p.TxnStart == nil || p.LastTimestamp >= before.UnixMilli() })
	if len(open) == 0 {
		return open, nil
	}
	ids := make([]int64, len(open))
	for i, p := range open {
		ids[i] = p.ProducerID
	}
	slices.Sort(ids)
	known, err := ListTransactions(ctx, cl, TransactionFilter{ProducerIDs: slices.Compact(ids)})
	if err != nil {
		return nil, err
	}
	transactions := make([]*Transaction, len(known))
	for i, k := range known {
		if transactions[i], err = DescribeTransaction(ctx, cl, k.TransactionalID); err != nil {
			return nil, err
		}
	}
	return unknownTo(transactions, open), nil
}

// unknownTo keeps the producers in whose partition no transaction of theirs is.
func unknownTo(transactions []*Transaction, open []Producer) []Producer {
	has := map[int64]topicSet{}
	for _, t := range transactions {
		if has[t.ProducerID] == nil {
			has[t.ProducerID] = topicSet{}
		}
		for _, tp := range t.Partitions {
			has[t.ProducerID].add(tp.Topic, tp.Partitions...)
		}
	}
	return slices.DeleteFunc(open, func(p Producer) bool { return has[p.ProducerID][p.Topic][p.Partition] })
}

// PartitionsOn lists partitions, all of a topic that names none and of all topics without one, that have a replica on a broker, or wherever if it is below 0.
func PartitionsOn(ctx context.Context, cl *kgo.Client, of []TopicPartitions, broker int32) ([]TopicPartitions, error) {
	names := make([]string, len(of))
	want := map[string][]int32{}
	for i, t := range of {
		names[i], want[t.Topic] = t.Topic, t.Partitions
	}
	m, err := kadm.NewClient(cl).Metadata(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", Problem(err))
	}
	found := topicSet{}
	for _, name := range names {
		t, ok := m.Topics[name]
		if !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			return nil, noTopic(name)
		}
		for _, p := range want[name] {
			if _, ok := t.Partitions[p]; !ok {
				return nil, fmt.Errorf("topic %s has no partition %d", name, p)
			}
		}
	}
	for _, t := range m.Topics {
		if t.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", t.Topic, t.Err)
		}
		for _, p := range t.Partitions {
			if (broker < 0 || slices.Contains(p.Replicas, broker)) && (len(want[t.Topic]) == 0 || slices.Contains(want[t.Topic], p.Partition)) {
				found.add(t.Topic, p.Partition)
			}
		}
	}
	return found.list(), nil
}

// TerminateTransaction ends the transaction of a transactional id, if one is going on, and keeps its producer out: it takes the
// id over as a new producer does (KIP-664, KIP-360).
func TerminateTransaction(ctx context.Context, cl *kgo.Client, id string) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, 1
	req.ProducerID, req.ProducerEpoch = -1, -1
	err := error(kerr.ConcurrentTransactions)
	// The coordinator says so while it writes the markers of the transaction that it has begun to abort.
	for wait, until := 20*time.Millisecond, time.Now().Add(time.Minute); errors.Is(err, kerr.ConcurrentTransactions) && time.Now().Before(until); wait = min(2*wait, time.Second) {
		var resp kmsg.Response
		if resp, err = cl.Request(ctx, req); err == nil {
			err = kerr.ErrorForCode(resp.(*kmsg.InitProducerIDResponse).ErrorCode)
		}
		if !errors.Is(err, kerr.ConcurrentTransactions) {
			break
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(wait):
		}
	}
	if err != nil {
		return fmt.Errorf("terminate transactional id %s: %w", id, Problem(err))
	}
	return nil
}
