package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/internal/kafka"
)

// stateTopic keeps what exporters taught in a compacted topic, and learns from it
// what other collectors keep there. It knows what the topic says of each key, from
// what it reads, and writes where its decoder knows better.
type stateTopic struct {
	metrics  kafka.ClientMetrics
	keeper   *stateKeeper
	name     string
	endpoint kafka.Endpoint
	dial     kafka.DialFunc
	client   *kgo.Client
	writer   string // names this collector in what it writes
	seed     maphash.Seed

	mu       sync.Mutex
	known    map[netip.Addr]map[collect.StateKey]storedState
	size     int
	pending  map[netip.Addr]struct{} // exporters that may have something to write
	caughtUp bool                    // the topic has been read to where it ended
	trouble  bool
	wake     chan struct{} // has a value when something is pending
}

// storedState is what the topic says of one key.
type storedState struct {
	hash uint64 // of what the value says, without times
	time int64  // when that was so, in seconds since the epoch
	own  bool   // this collector wrote it
	gone bool   // it was removed
}

const (
	// maxStored bounds of how many keys is known what the topic says; what is not
	// known is written again when it changes.
	maxStored = 1 << 20
	// stateRate is how many records are written in a second at most, whatever
	// exporters send.
	stateRate = 5000
	// writerHeader names the collector that wrote a record.
	writerHeader = "writer"
)

func newStateTopic(k *stateKeeper, name string, endpoint kafka.Endpoint, dial kafka.DialFunc) *stateTopic {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	return &stateTopic{
		keeper: k, name: name, endpoint: endpoint, dial: dial, writer: hex.EncodeToString(id[:]), seed: maphash.MakeSeed(),
		known: map[netip.Addr]map[collect.StateKey]storedState{}, pending: map[netip.Addr]struct{}{}, wake: make(chan struct{}, 1),
	}
}

// open makes the client; it does not wait for Kafka.
func (t *stateTopic) open() error {
	cfg := kafka.ClientConfig{Version: versionString(), Logger: t.keeper.log}
	if t.endpoint.Embedded {
		cfg.Dial = t.dial
	}
	opts, err := t.endpoint.ClientOptions(cfg)
	if err != nil {
		return err
	}
	// Ours come last: a record that is lost here is missed after the next start.
	t.client, err = kgo.NewClient(append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.WithHooks(&t.metrics),
	)...)
	if err != nil {
		return fmt.Errorf("topic %s: %w", t.name, err)
	}
	return nil
}

// follow reads the topic from its start, and then what other collectors write,
// until ctx ends. When Kafka does not answer, the collector need not wait for it.
func (t *stateTopic) follow(ctx context.Context) {
	var ends kadm.ListedOffsets
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := t.prepare(ctx, &ends)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		t.keeper.begin()
		if !errors.Is(err, kafka.ErrUnreachable) { // which the flows' destination tells
			t.tell(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	t.tell(nil)
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	t.client.AddConsumeTopics(t.name)
	for first := true; ; {
		if first && len(left) == 0 {
			first = false
			t.caught()
		}
		fetches := t.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		t.metrics.Polled(fetches)
		t.read(fetches)
		if !first {
			continue
		}
		// A partition may end with what compaction or a transaction left no
		// record of: an empty fetch at its end says so by its watermark.
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if n := len(p.Records); n > 0 && p.Records[n-1].Offset+1 >= left[p.Partition] || n == 0 && p.Err == nil && p.HighWatermark >= left[p.Partition] {
				delete(left, p.Partition)
			}
		})
	}
}

// prepare creates the topic where it is missing, and finds where it ends.
func (t *stateTopic) prepare(ctx context.Context, ends *kadm.ListedOffsets) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := t.endpoint.Reach(ctx, t.client); err != nil {
		return err
	}
	created, err := kafka.EnsureTopic(ctx, t.client, t.name, 1, kafka.Compacted())
	if err != nil || created {
		return t.endpoint.Explain(err)
	}
	if *ends, err = kadm.NewClient(t.client).ListEndOffsets(ctx, t.name); err == nil {
		err = ends.Error()
	}
	return t.endpoint.Explain(err)
}

// tell says when trouble begins and ends.
func (t *stateTopic) tell(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if (err != nil) == t.trouble {
		return
	}
	if t.trouble = err != nil; t.trouble {
		t.keeper.log.Warn("what exporters taught cannot be kept in its topic, trying on", "topic", t.name, "err", err)
	} else {
		t.keeper.log.Info("what exporters taught is kept in its topic again", "topic", t.name)
	}
}

// caught notes that the decoder has what the topic had at the start.
func (t *stateTopic) caught() {
	t.keeper.tell("topic", t.name)
	t.keeper.begin()
	t.mu.Lock()
	t.caughtUp = true
	t.mu.Unlock()
	t.changed(t.keeper.decoder.Exporters()...)
}

// read takes records of the topic.
func (t *stateTopic) read(fetches kgo.Fetches) {
	from, now := t.keeper.cutoff()
	var states []collect.State
	fetches.EachRecord(func(r *kgo.Record) {
		key, err := collect.ParseStateKey(string(r.Key))
		if err != nil {
			t.keeper.invalid.Add(1)
			return
		}
		writer := ""
		for _, h := range r.Headers {
			if h.Key == writerHeader {
				writer = string(h.Value)
			}
		}
		stored := storedState{own: writer == t.writer, gone: r.Value == nil, time: r.Timestamp.Unix()}
		if !stored.gone {
			st, err := collect.ParseState(r.Key, r.Value)
			if err != nil {
				t.keeper.invalid.Add(1)
				return
			}
			st.Time = min(st.Time, now)
			stored.hash, stored.time = t.hash(&st), st.Time
			switch {
			case stored.own:
			case st.Time < from:
				t.keeper.stale.Add(1)
			default:
				states = append(states, st)
			}
		}
		t.remember(key, stored)
	})
	if len(states) > 0 {
		t.keeper.learn(states)
	}
}

// hash is of what a state says, without times and the like.
func (t *stateTopic) hash(st *collect.State) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	number := func(n uint64) { maphash.WriteComparable(&h, n) }
	if p := st.Template; p != nil {
		number(uint64(p.Scope))
		maphash.WriteComparable(&h, p.Options)
		for _, f := range p.Fields {
			maphash.WriteComparable(&h, f)
		}
	}
	number(st.Number)
	_, _ = h.Write(st.Name)
	return h.Sum64()
}

func (t *stateTopic) remember(key collect.StateKey, stored storedState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := t.known[key.Exporter]
	if _, ok := keys[key]; !ok {
		if t.size >= maxStored {
			return
		}
		t.size++
	}
	if keys == nil {
		keys = map[collect.StateKey]storedState{}
		t.known[key.Exporter] = keys
	}
	keys[key] = stored
}

// changed says of which exporters there may be something to write.
func (t *stateTopic) changed(exporters ...netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range exporters {
		t.pending[e] = struct{}{}
	}
	if t.caughtUp && len(t.pending) > 0 {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// waiting is of how many exporters there may be something to write.
func (t *stateTopic) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending)
}

// write writes what changes until ctx ends.
func (t *stateTopic) write(ctx context.Context) {
	all := time.NewTicker(t.keeper.again())
	defer all.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-all.C:
			// What is old is written again, or removed.
			t.changed(t.exporters()...)
			continue
		}
		err := t.flush(ctx)
		if ctx.Err() != nil {
			return
		}
		t.tell(err)
		if t.waiting() > 0 { // again
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			t.changed()
		}
	}
}

// exporters are those that the decoder or the topic knows.
func (t *stateTopic) exporters() []netip.Addr {
	list := t.keeper.decoder.Exporters()
	t.mu.Lock()
	defer t.mu.Unlock()
	for addr := range t.known {
		list = append(list, addr)
	}
	return list
}

// flush writes what is pending, as much as one second may have.
func (t *stateTopic) flush(ctx context.Context) error {
	var records []*kgo.Record
	var stored []storedState
	var keys []collect.StateKey
	from, now := t.keeper.cutoff()
	for len(records) < stateRate {
		exporter, ok := t.next()
		if !ok {
			break
		}
		err := t.diff(exporter, from, now, func(key collect.StateKey, value []byte, s storedState) {
			records = append(records, &kgo.Record{
				Topic: t.name, Key: []byte(key.String()), Value: value,
				Headers: []kgo.RecordHeader{{Key: writerHeader, Value: []byte(t.writer)}},
			})
			stored, keys = append(stored, s), append(keys, key)
		})
		if err != nil {
			return err
		}
	}
	if len(records) == 0 {
		return nil
	}
	results := make(chan kgo.ProduceResult, len(records))
	index := make(map[*kgo.Record]int, len(records))
	for i, r := range records {
		index[r] = i
		t.client.Produce(ctx, r, func(r *kgo.Record, err error) { results <- kgo.ProduceResult{Record: r, Err: err} })
	}
	var first error
	for range records {
		var r kgo.ProduceResult
		select {
		case r = <-results:
		case <-ctx.Done():
			return ctx.Err()
		}
		i := index[r.Record]
		switch {
		case r.Err != nil:
			t.keeper.failed.Add(1)
			first = errors.Join(first, r.Err)
			t.changed(keys[i].Exporter)
			continue
		case stored[i].gone:
			t.keeper.removed.Add(1)
		default:
			t.keeper.written.Add(1)
		}
		t.remember(keys[i], stored[i])
	}
	if first != nil {
		return t.endpoint.Explain(first)
	}
	return nil
}

// next takes an exporter that may have something to write.
func (t *stateTopic) next() (netip.Addr, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for exporter := range t.pending {
		delete(t.pending, exporter)
		return exporter, true
	}
	return netip.Addr{}, false
}

// diff calls put for what is to be written of an exporter: what is not in the
// topic, or is there otherwise and older, or so old that it would soon be stale.
// What this collector wrote and no longer knows is removed, and so is what is
// stale, whoever wrote it.
func (t *stateTopic) diff(exporter netip.Addr, from, now int64, put func(collect.StateKey, []byte, storedState)) error {
	states := t.keeper.decoder.State(exporter)
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.known[exporter]
	seen := make(map[collect.StateKey]struct{}, len(states))
	for i := range states {
		st := &states[i]
		if st.Time < from {
			continue
		}
		seen[st.StateKey] = struct{}{}
		have, ok := known[st.StateKey]
		hash := t.hash(st)
		switch {
		case !ok:
		case have.gone:
			ok = st.Time <= have.time
		case have.hash != hash:
			// Two collectors that hear otherwise in the same second do not go on and on.
			ok = st.Time < have.time || st.Time == have.time && !have.own
		default:
			ok = st.Time-have.time <= int64(t.keeper.age/2/time.Second)
		}
		if ok {
			continue
		}
		value, err := st.MarshalValue()
		if err != nil {
			return err
		}
		put(st.StateKey, value, storedState{hash: hash, time: st.Time, own: true})
	}
	for key, have := range known {
		if _, ok := seen[key]; ok {
			continue
		}
		switch {
		case have.gone:
			delete(known, key)
			t.size--
		case have.own, have.time < from:
			put(key, nil, storedState{time: now, own: true, gone: true})
		}
	}
	if len(known) == 0 {
		delete(t.known, exporter)
	}
	return nil
}

// close writes what is pending, as far as ctx lets it, and ends the client.
func (t *stateTopic) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var err error
	t.mu.Lock()
	ready := t.caughtUp && !t.trouble
	t.mu.Unlock()
	for ready && err == nil && t.waiting() > 0 {
		err = t.flush(ctx)
	}
	if err != nil { // flows are delivered whether or not this is
		t.keeper.log.Warn("the last of what exporters taught was not written to its topic", "topic", t.name, "err", err)
	}
	t.client.Close()
	return nil
}
