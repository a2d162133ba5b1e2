package broker

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// Transactions (KIP-98; KIP-360; KIP-890, transaction version 2: a new epoch for each transaction, and partitions join by being
// written to). This broker coordinates all of them and leads all partitions, so the steps are short:
//
//	Empty --first partition--> Ongoing --EndTxn--> PrepareCommit --flushed, markers flushed--> CompleteCommit
//	                              |                                                                |
//	                              +--- EndTxn, time out, a new producer --> PrepareAbort --> CompleteAbort
//
// The decision is made when the record that says PrepareCommit or PrepareAbort is on the disk: a start after a crash goes on
// from there. Markers follow it, and with the one of a partition flushed the transaction is over there for read_committed.

type txnState = kmsg.TransactionState

// txns holds all transactional ids. The lock of one may be held when this is taken, not the other way round.
type txns struct {
	b *Broker

	mu     sync.Mutex
	byID   map[string]*txn
	closed bool

	ticker *time.Ticker
	done   chan struct{}
	wg     sync.WaitGroup
}

// txn is one transactional id.
type txn struct {
	ts *txns
	id string

	// Who writes into the transaction holds mu for reading meanwhile, so that no marker comes between.
	mu           sync.RWMutex
	state        txnState
	busy         bool // a decision is on its way to the disk or to the partitions
	dead         bool // forgotten; look it up again
	producerID   int64
	epoch        int16
	lastID       int64 // those before the last change of epoch, with which a lost answer is asked for again
	lastEpoch    int16
	nextID       int64 // producer id to go on with when the epochs of this one are used up; -1: this one
	timeout      time.Duration
	version      int16 // transaction version of the client
	partitions   map[topicPartition]bool
	start        time.Time
	lastModified time.Time
}

// lastEpochOfID is the highest epoch a producer is given; the one above it is for fencing it.
const lastEpochOfID = math.MaxInt16 - 1

// openTxns reads what is known of transactions, and ends those that were decided. Partitions may hold more than is known,
// because a batch was flushed and what let it in was not. Its producer was not answered and sends it again, which the
// partition takes for what it has: so it belongs to the producer's transaction. Without such a producer it is aborted.
func openTxns(b *Broker) (*txns, error) {
	ts := &txns{b: b, byID: make(map[string]*txn), done: make(chan struct{})}
	if err := ts.replay(); err != nil {
		return nil, err
	}
	for _, t := range ts.byID {
		if t.state == kmsg.TransactionStatePrepareCommit || t.state == kmsg.TransactionStatePrepareAbort {
			t.busy = true
			t.passOver()
			t.finish()
		}
	}
	if err := ts.adopt(); err != nil {
		return nil, err
	}
	ts.ticker = time.NewTicker(b.cfg.TransactionCheckInterval)
	ts.wg.Go(func() {
		for {
			select {
			case now := <-ts.ticker.C:
				ts.sweep(now)
			case <-ts.done:
				return
			}
		}
	})
	return ts, nil
}

// adopt brings open transactions of partitions and ongoing transactions together, at the start.
func (ts *txns) adopt() error {
	byProducer := make(map[int64]*txn)
	for _, t := range ts.byID {
		byProducer[t.producerID] = t
	}
	for _, topic := range ts.b.topics.list() {
		for _, p := range topic.partitions() {
			for _, info := range p.log.Producers() {
				if info.TxnStartOffset < 0 {
					continue
				}
				t, tp := byProducer[info.ProducerID], topicPartition{topic.name, p.index}
				if t != nil && t.epoch == info.Epoch && !t.busy {
					if t.state != kmsg.TransactionStateOngoing {
						t.state, t.start = kmsg.TransactionStateOngoing, time.Now()
					}
					t.partitions[tp] = true
					continue
				}
				ts.b.log.Warn("transaction that nobody knows of is aborted", "topic", topic.name, "partition", p.index, "producer", info.ProducerID)
				if _, err := ts.mark(tp, info.ProducerID, info.Epoch, false); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// passOver leaves partitions out of a decision, at the start, that have its marker and hold batches of the next transaction
// already, which it is not about: they have the epoch that the decision raised (KIP-890).
func (t *txn) passOver() {
	if t.version < 2 {
		return
	}
	for tp := range t.partitions {
		topic := t.ts.b.topics.get(tp.topic)
		if topic == nil || topic.partition(tp.partition) == nil {
			continue
		}
		for _, info := range topic.partition(tp.partition).log.Producers() {
			if info.ProducerID == t.producerID && info.Epoch == t.epoch && info.TxnStartOffset >= 0 {
				delete(t.partitions, tp)
			}
		}
	}
}

// with calls f with a transactional id locked. One that is not there is made when create says so; else the answer is false.
func (ts *txns) with(id string, create bool, f func(*txn)) (bool, code) {
	for {
		ts.mu.Lock()
		t := ts.byID[id]
		switch {
		case ts.closed:
			ts.mu.Unlock()
			return false, codeCoordinatorNotAvailable
		case t == nil && !create:
			ts.mu.Unlock()
			return false, codeNone
		case t == nil && len(ts.byID) >= ts.b.cfg.MaxTransactionalIDs:
			ts.mu.Unlock()
			return false, codePolicyViolation
		case t == nil:
			t = &txn{ts: ts, id: id, producerID: -1, epoch: -1, lastID: -1, lastEpoch: -1, nextID: -1, partitions: make(map[topicPartition]bool), lastModified: time.Now()}
			ts.byID[id] = t
		}
		ts.mu.Unlock()
		t.mu.Lock()
		if !t.dead {
			defer t.mu.Unlock()
			f(t)
			return true, codeNone
		}
		t.mu.Unlock()
	}
}

// list returns all transactional ids by name.
func (ts *txns) list() []*txn {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var all []*txn
	for _, id := range slices.Sorted(maps.Keys(ts.byID)) {
		all = append(all, ts.byID[id])
	}
	return all
}

// check says whether a producer is who a locked transaction belongs to; fenced is the code for one that no longer is.
func (t *txn) check(producerID int64, epoch int16, fenced code) code {
	switch {
	case producerID != t.producerID:
		return codeInvalidProducerIDMap
	case epoch != t.epoch:
		return fenced
	case t.busy:
		return codeConcurrentTransactions
	}
	return codeNone
}

// add takes partitions into a locked transaction, beginning it if need be, and returns what to wait for; nothing when all of
// them are there already.
func (t *txn) add(tps ...topicPartition) (logged, code) {
	missing := slices.ContainsFunc(tps, func(tp topicPartition) bool { return !t.partitions[tp] })
	if t.state == kmsg.TransactionStateOngoing && !missing {
		return logged{}, codeNone
	}
	if len(t.partitions)+len(tps) > t.ts.b.cfg.MaxPartitions {
		return logged{}, codePolicyViolation
	}
	was := t.state
	if t.state != kmsg.TransactionStateOngoing {
		t.state, t.start = kmsg.TransactionStateOngoing, time.Now()
		clear(t.partitions)
	}
	for _, tp := range tps {
		t.partitions[tp] = true
	}
	l, err := t.remember()
	if err != nil {
		if t.state = was; was != kmsg.TransactionStateOngoing {
			clear(t.partitions)
		}
		t.ts.b.log.Error("transaction not saved", "transactional_id", t.id, "err", err)
		return logged{}, codeCoordinatorNotAvailable
	}
	return l, codeNone
}

// prepare decides a locked transaction. With bump or fence the producer's epoch goes up: for itself to go on with, or to shut
// it out. The caller waits for what it returns and calls finish.
func (t *txn) prepare(commit, bump, fence bool) (logged, error) {
	undo := func(lastID int64, lastEpoch, epoch int16, state txnState) func() {
		return func() { t.lastID, t.lastEpoch, t.epoch, t.state, t.nextID = lastID, lastEpoch, epoch, state, -1 }
	}(t.lastID, t.lastEpoch, t.epoch, t.state)
	t.lastID, t.lastEpoch = t.producerID, t.epoch
	if bump && t.epoch >= lastEpochOfID {
		id, err := t.ts.b.producerIDs.next()
		if err != nil {
			undo()
			return logged{}, err
		}
		t.nextID = id
	}
	if (bump || fence) && t.epoch < math.MaxInt16 {
		t.epoch++
	}
	t.state = kmsg.TransactionStatePrepareAbort
	if commit {
		t.state = kmsg.TransactionStatePrepareCommit
	}
	l, err := t.remember()
	if err != nil {
		undo()
		return logged{}, err
	}
	t.busy = true
	return l, nil
}

// finish writes the markers of a transaction whose decision is on the disk, and ends it. While it is busy nobody else changes
// what it reads.
func (t *txn) finish() {
	commit := t.state == kmsg.TransactionStatePrepareCommit
	marked := make(map[topicPartition]logged, len(t.partitions))
	var err error
	for tp := range t.partitions {
		if marked[tp], err = t.ts.mark(tp, t.producerID, t.epoch, commit); err != nil {
			t.unmarked(tp, err)
			return
		}
	}
	for tp, l := range marked {
		if err := t.ts.flushed(l); err != nil {
			t.unmarked(tp, err)
			return
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = kmsg.TransactionStateCompleteAbort
	if commit {
		t.state = kmsg.TransactionStateCompleteCommit
	}
	if t.nextID >= 0 {
		t.producerID, t.epoch, t.nextID = t.nextID, 0, -1
	}
	clear(t.partitions)
	t.busy = false
	if _, err := t.remember(); err != nil {
		t.ts.b.log.Error("transaction not saved", "transactional_id", t.id, "err", err)
	}
}

// unmarked says that a partition has no marker on the disk. The directory is offline, or closing: the next start goes on from
// the decision.
func (t *txn) unmarked(tp topicPartition, err error) {
	t.ts.b.log.Error("transaction marker not written", "transactional_id", t.id, "topic", tp.topic, "partition", tp.partition, "err", err)
}

// flushed waits until a marker is on the disk. Until all are, what comes after the decision may not be written down: a power
// cut could leave that and lose a marker, and the start after it would take what was committed for the transaction of nobody.
func (ts *txns) flushed(l logged) error {
	if l.log == nil {
		return nil
	}
	done := make(chan error, 1)
	l.wait(func(err error) { done <- err })
	err := <-done
	if logCode(err) == codeUnknownTopicOrPartition && !ts.b.isClosing() {
		return nil // deleted just now
	}
	return err
}

// whenDecided finishes a transaction once its decision is on the disk, and then calls f. It must not be called with the
// transaction locked.
func (t *txn) whenDecided(l logged, f func(error)) {
	l.wait(func(err error) {
		// Others wait for the goroutine that calls back.
		t.ts.wg.Go(func() {
			if err == nil {
				t.finish()
			}
			f(err)
		})
	})
}

// mark ends a producer's transaction in one partition. A partition that is gone needs no marker.
func (ts *txns) mark(tp topicPartition, producerID int64, epoch int16, commit bool) (l logged, err error) {
	topic := ts.b.topics.get(tp.topic)
	if topic == nil {
		return l, nil
	}
	p := topic.partition(tp.partition)
	if p == nil {
		return l, nil
	}
	info, err := p.log.AppendMarker(commitlog.TxnMarker{ProducerID: producerID, ProducerEpoch: epoch, Commit: commit, CoordinatorEpoch: ts.coordinatorEpoch()})
	if c := logCode(err); c == codeUnknownTopicOrPartition && !ts.b.isClosing() || c == codeInvalidProducerEpoch {
		err = nil // deleted just now, or ended by a newer epoch already
	} else if err == nil {
		l = logged{p.log, info.BaseOffset, info.LastOffset}
	}
	if err != nil {
		return l, fmt.Errorf("%s-%d: %w", tp.topic, tp.partition, err)
	}
	if tp.topic == offsetsTopic {
		ts.b.groups.endTxn(tp.partition, producerID, commit)
	}
	return l, nil
}

// sweep aborts transactions that have taken too long, and forgets ids that nobody has used for long.
func (ts *txns) sweep(now time.Time) {
	for _, t := range ts.list() {
		t.mu.Lock()
		switch {
		case t.dead || t.busy:
		case t.state == kmsg.TransactionStateOngoing && now.Sub(t.start) > t.timeout:
			ts.b.log.Info("transaction took too long and is aborted", "transactional_id", t.id, "timeout", t.timeout)
			if l, err := t.prepare(false, false, true); err != nil {
				ts.b.log.Error("transaction not saved", "transactional_id", t.id, "err", err)
			} else {
				defer t.whenDecided(l, func(error) {}) // below, without the lock
			}
		case t.state != kmsg.TransactionStateOngoing && now.Sub(t.lastModified) > ts.b.cfg.TransactionalIDExpiration:
			ts.forget(t)
		}
		t.mu.Unlock()
	}
}

// forget removes a locked transactional id for good.
func (ts *txns) forget(t *txn) {
	l, err := ts.log(t.id)
	if err == nil {
		_, err = l.Append(appendBatch(nil, []record{{key: txnKey(t.id)}}, time.Now().UnixMilli()), commitlog.AppendOptions{})
	}
	if err != nil {
		ts.b.log.Warn("transactional id not removed", "transactional_id", t.id, "err", err)
		return
	}
	t.dead = true
	ts.mu.Lock()
	delete(ts.byID, t.id)
	ts.mu.Unlock()
}

// close takes no more, and waits for what is on its way.
func (ts *txns) close() {
	ts.mu.Lock()
	ts.closed = true
	ts.mu.Unlock()
	ts.ticker.Stop()
	close(ts.done)
	ts.wg.Wait()
}
