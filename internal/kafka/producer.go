package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ProducerConfig is what a Producer needs besides its endpoint.
type ProducerConfig struct {
	Client ClientConfig
	Topic  string
	// QueueBytes bounds the memory of batches, open and sealed, that Kafka has not
	// acknowledged; buffer.memory does too. Block is how long an Appender waits for
	// room before it gives a record up.
	QueueBytes int64
	Block      time.Duration
	// Delivered and Refused are told how many flows have been acknowledged, and how
	// many will never be. They must return quickly.
	Delivered, Refused func(flows uint64)
	// Spool keeps batches on disk until Kafka has them; nil: memory does. Dropped is
	// told how many flows found no room there. Keyed: records have keys.
	Spool   Spool
	Dropped func(flows uint64)
	Keyed   bool
	Hooks   []kgo.Hook
	Logger  *slog.Logger // nil: nothing is logged
}

// Producer writes record batches to one topic. It builds them by hand: an [Appender]
// frames records into memory of its own, a full batch is compressed once and is
// what the produce request carries. There is nothing per record besides these
// octets.
//
// A batch without keys goes to whichever partition is free next and stays with it, so
// that one that cannot take any holds no more than one up, and the order in each is
// that of the appender. Each partition has one batch under way, and each
// leader one request. With acks=all, batches have the numbers of an idempotent
// producer: they get them when they are first sent, and keep them until it is known
// what became of them.
type Producer struct {
	endpoint   Endpoint
	settings   producing
	cfg        ProducerConfig
	log        *slog.Logger
	access     access
	client     *kgo.Client // of all but producing
	compressor kgo.Compressor
	buffers    buffers

	stop context.CancelFunc
	done sync.WaitGroup
	ctx  context.Context

	queue queue

	refresh chan struct{} // asks for metadata, holds one
	opened  chan struct{} // tells the lingerer that there is an open batch

	appendersMu sync.Mutex
	appenders   []*Appender

	mu         sync.Mutex
	topicID    [16]byte
	brokers    map[int32]kgo.BrokerMetadata
	partitions []*partition
	waiting    []*batch // sealed, for any partition, in order
	unkeyed    []*batch // sealed with keys before partitions were known
	next       int      // of the partitions, to get a batch
	senders    map[int32]*sender
	pending    int           // sealed batches that nobody knows the fate of
	drained    chan struct{} // closed when pending is 0
	current    identity
	renewing   bool
	assigning  bool            // again, after a while
	told       map[string]bool // troubles that a line has been logged for
	refusal    time.Time       // when a line was last logged
	tooLarge   int             // octets of a batch that the topic would not take; 0: none was
	grown      time.Time       // when that was last doubted

	spool     Spool     // nil: there is none
	unsaved   time.Time // since when something is decided that is not saved; zero: nothing is
	lanes     []*lane
	moving    *moveState
	spoolFull atomic.Bool
	spooled   atomic.Int64 // flows in it
	found     atomic.Int64 // flows that were in it at the start

	fullSpell, spoolSpell spell // of a full queue, and of a full spool, in the log

	known   atomic.Int32 // number of partitions; 0: not known yet
	metrics producerMetrics
}

// spoolPatience is how long an appender waits for memory at least where there is a
// spool: records are given up when that is full, not before.
const spoolPatience = 10 * time.Second

// saveWithin is how long it may take until it is saved that Kafka has taken a batch. What is
// sent meanwhile has that saved with it; a process that is killed before sends the batch
// again, with the numbers that it had.
const saveWithin = 500 * time.Millisecond

// defaultLinger is how long a batch waits for more records where linger.ms is not set.
const defaultLinger = 50 * time.Millisecond

// NewProducer returns a producer for e's cluster. Kafka need not be reachable yet.
func NewProducer(e Endpoint, cfg ProducerConfig) (*Producer, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Client.Logger = cfg.Logger
	access, err := e.access(cfg.Client)
	if err != nil {
		return nil, err
	}
	opts, err := e.clientOptions(access, cfg.Logger)
	if err != nil {
		return nil, err
	}
	p := &Producer{
		endpoint: e, settings: e.Properties.producing(), cfg: cfg, log: cfg.Logger, access: access, brokers: map[int32]kgo.BrokerMetadata{},
		refresh: make(chan struct{}, 1), opened: make(chan struct{}, 1),
		senders: map[int32]*sender{}, drained: make(chan struct{}), told: map[string]bool{}, current: nobody,
	}
	close(p.drained)
	if p.compressor, err = p.settings.compressor(); err != nil {
		return nil, err
	}
	if p.settings.linger < 0 {
		p.settings.linger = defaultLinger
	}
	limit := cfg.QueueBytes
	if b := p.settings.bufferBytes; b > 0 {
		limit = min(limit, b)
	}
	p.queue.init(limit, cfg.Block)
	if p.client, err = kgo.NewClient(append(opts, kgo.WithHooks(cfg.Hooks...))...); err != nil {
		return nil, fmt.Errorf("%s: %w", e, err)
	}
	if cfg.Spool != nil {
		p.storesIn(cfg.Spool)
		p.queue.block = max(p.queue.block, p.settings.linger+spoolPatience)
		if err := p.recover(); err != nil {
			p.client.Close()
			return nil, fmt.Errorf("%s: %w", e, err)
		}
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.done.Go(p.lingers)
	p.done.Go(p.learns)
	return p, nil
}

// Client is the client under the producer, for other requests.
func (p *Producer) Client() *kgo.Client { return p.client }

// Appender returns a handle for one goroutine.
func (p *Producer) Appender() *Appender {
	a := &Appender{p: p, size: 1 << minClass}
	p.appendersMu.Lock()
	defer p.appendersMu.Unlock()
	p.appenders = append(p.appenders, a)
	return a
}

// Flush hands all open batches on and waits until nothing is left whose fate is not
// known. With a spool it waits only as long as Kafka takes what is there, and not for
// long: it keeps the rest.
func (p *Producer) Flush(ctx context.Context) error {
	begin, last, moved := time.Now(), int64(0), time.Now()
	for {
		p.sealAll()
		p.mu.Lock()
		drained, pending := p.drained, p.pending
		p.mu.Unlock()
		if pending == 0 && p.spooled.Load() == 0 {
			return nil
		}
		var check <-chan time.Time
		if p.spool != nil {
			now := time.Now()
			if left := p.spooled.Load(); left != last {
				last, moved = left, now
			}
			if now.Sub(begin) > flushFor || now.Sub(moved) > flushIdle {
				return nil
			}
			drained, check = nil, time.After(20*time.Millisecond)
		}
		select {
		case <-drained:
		case <-check:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ctx.Done():
			return kgo.ErrClientClosed
		}
	}
}

// flushFor is how long Flush waits for what is spooled, flushIdle how long if nothing
// of it gets less.
const flushFor, flushIdle = 5 * time.Second, time.Second

// sealAll hands all open batches on.
func (p *Producer) sealAll() {
	p.appendersMu.Lock()
	appenders := p.appenders
	p.appendersMu.Unlock()
	for _, a := range appenders {
		a.sealOpened(time.Time{})
	}
}

// Spooled returns how many flows are in the spool, and how many of all were there at
// the start.
func (p *Producer) Spooled() (now, found uint64) {
	return uint64(max(0, p.spooled.Load())), uint64(max(0, p.found.Load()))
}

// Close gives up what has not been acknowledged; Flush first. With a spool, that is
// kept there.
func (p *Producer) Close() {
	if p.spool != nil {
		p.sealAll()
	}
	p.stop()
	p.client.Close()
	p.done.Wait()
	if p.spool != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err := p.save(); err != nil {
			p.log.Error("state of the spool is not saved", "to", p.endpoint.String(), "err", err)
		}
	}
}

// lingers seals batches that have been open for long enough.
func (p *Producer) lingers() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-p.opened:
		}
		for {
			p.appendersMu.Lock()
			appenders := p.appenders
			p.appendersMu.Unlock()
			before := time.Now().Add(-p.settings.linger)
			oldest := time.Time{}
			for _, a := range appenders {
				if left := a.sealOpened(before); !left.IsZero() && (oldest.IsZero() || left.Before(oldest)) {
					oldest = left
				}
			}
			if oldest.IsZero() {
				break
			}
			timer.Reset(max(time.Millisecond, time.Until(oldest.Add(p.settings.linger))))
			select {
			case <-p.ctx.Done():
				return
			case <-timer.C:
			}
		}
	}
}

// storesIn gives the producer its spool. Half of the memory is for new records then: what
// they wait for is the disk, and that other appenders hand on what they have.
func (p *Producer) storesIn(s Spool) {
	p.spool, p.queue.reserve = s, p.queue.limit/2
}

// batchLimit is how large a batch may become, in an appender that has n of them: so
// large that a queue holds some.
func (p *Producer) batchLimit(n int) int {
	share := p.queue.limit / int64(8*max(1, n))
	return int(max(1<<(minClass+2), min(int64(p.settings.batchBytes), int64(p.settings.requestBytes), share)))
}

// enqueue takes sealed batches. With a spool they are stored in one piece with the notes.
func (p *Producer) enqueue(notes []byte, batches ...*batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spool == nil {
		for _, b := range batches {
			p.take(b)
		}
		return
	}
	noted := func(bool) {}
	if len(notes) > 0 {
		var err error
		if noted, err = p.spool.Note(p.places(batches), notes); err != nil {
			noted = func(bool) {}
		}
	}
	all := true
	for _, b := range batches {
		all = p.store(b) && all
	}
	noted(all)
	for _, b := range batches {
		switch {
		case b.buf == nil: // there was no room for it
		case b.keyed && b.partition < 0 || !p.keep(b):
			p.drop(b)
			p.assign()
		default:
			p.queue.age(int64(cap(b.buf)), b.fresh)
			b.fresh = false
			p.take(b)
		}
	}
}

// places returns where batches will be in the spool.
func (p *Producer) places(batches []*batch) []Place {
	places := make([]Place, 0, len(batches))
	for _, b := range batches {
		at := slices.IndexFunc(places, func(pl Place) bool { return pl.Lane == b.partition+1 })
		if at < 0 {
			at = len(places)
			_, end := p.spool.Range(b.partition + 1)
			places = append(places, Place{Lane: b.partition + 1, From: end, To: end})
		}
		places[at].To += int64(b.records)
		places[at].Size += len(b.buf)
	}
	return places
}

// take takes a batch that is in memory.
func (p *Producer) take(b *batch) {
	p.pend(1)
	switch {
	case b.keyed && b.partition < 0:
		p.unkeyed = append(p.unkeyed, b)
		p.spread()
	case b.keyed:
		pt := p.partitions[b.partition]
		pt.queue = append(pt.queue, b)
		p.wake(pt)
	default:
		p.waiting = append(p.waiting, b)
		p.assign()
	}
}

// pend counts sealed batches.
func (p *Producer) pend(n int) {
	if p.pending == 0 && n > 0 {
		p.drained = make(chan struct{})
	}
	if p.pending += n; p.pending == 0 {
		close(p.drained)
	}
}

// assign gives waiting batches to partitions that have none, one after the other. With
// a spool it brings what is there into memory first.
func (p *Producer) assign() {
	n := len(p.partitions)
	if p.spool != nil {
		p.bring()
	}
	if n == 0 || len(p.waiting) == 0 {
		return
	}
	now := time.Now()
	retry := time.Duration(0)
	for tried := 0; tried < n && len(p.waiting) > 0; tried++ {
		pt := p.partitions[p.next%n]
		p.next = (p.next + 1) % n
		if pt.leader < 0 || len(pt.queue) > 0 {
			continue
		}
		if d := pt.retryAt.Sub(now); d > 0 {
			if retry == 0 || d < retry {
				retry = d
			}
			continue
		}
		b := p.waiting[0]
		p.waiting[0] = nil
		if p.waiting = p.waiting[1:]; len(p.waiting) == 0 {
			p.waiting = nil
		}
		pt.queue = append(pt.queue, b)
		p.wake(pt)
		tried = -1
	}
	if len(p.waiting) > 0 && retry > 0 && !p.assigning {
		p.assigning = true
		time.AfterFunc(retry, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.assigning = false
			p.assign()
		})
	}
}

// spread splits batches that were made before the number of partitions was known.
func (p *Producer) spread() {
	n := int(p.known.Load())
	if n == 0 {
		return
	}
	for _, b := range p.unkeyed {
		to, err := p.byKey(b, n)
		if err != nil { // these octets are our own
			panic(err)
		}
		for at, t := range to {
			if t == nil {
				continue
			}
			p.pend(1)
			pt := p.partitions[at]
			pt.queue = append(pt.queue, t)
			p.wake(pt)
		}
		p.discard(b)
	}
	p.unkeyed = nil
}

// byKey makes a batch for each of n partitions of one that has records of all of them;
// nil: it has none of that one.
func (p *Producer) byKey(b *batch, n int) ([]*batch, error) {
	body, err := p.plainBody(b)
	if err != nil {
		return nil, err
	}
	to := make([]*batch, n)
	i := 0
	err = eachRecord(body, b.baseTime, func(ms int64, key, value []byte) {
		t := to[keyPartition(key, n)]
		if t == nil {
			t = &batch{}
			t.begin(make([]byte, batchHeader, len(body)/n+batchHeader))
			to[keyPartition(key, n)] = t
		}
		r := Record{ms, key, value, b.weight(i)}
		size, _ := t.recordSize(&r)
		t.add(&r, size)
		i++
	})
	if err != nil {
		return nil, err
	}
	for at, t := range to {
		if t != nil {
			t.keyed, t.partition = true, int32(at)
			p.queue.force(int64(cap(t.buf)))
			p.compress(t)
		}
	}
	return to, nil
}

// compress seals a batch: what it is from now on is what Kafka gets. The memory
// that its records took, or will not need, is given back.
func (p *Producer) compress(b *batch) {
	b.plain, b.sealed = len(b.buf), time.Now()
	codec := kgo.CodecNone
	if p.compressor != nil {
		dst := compressed.Get().(*compressBuffer)
		dst.Reset()
		var out []byte
		out, codec = p.compressor.Compress(&dst.Buffer, b.buf[batchHeader:])
		if codec == kgo.CodecError || len(out)+batchHeader >= len(b.buf) {
			codec = kgo.CodecNone
		} else {
			p.move(b, len(out)+batchHeader, out)
		}
		compressed.Put(dst)
	}
	if codec == kgo.CodecNone && bufferSize(len(b.buf)) < cap(b.buf) {
		p.move(b, len(b.buf), b.buf[batchHeader:])
	}
	b.finish(int(codec))
}

// move copies a batch of size octets into memory that fits it.
func (p *Producer) move(b *batch, size int, body []byte) {
	if bufferSize(size) >= cap(b.buf) {
		b.buf = append(b.buf[:batchHeader], body...)
		return
	}
	old := b.buf
	buf := p.buffers.get(size)
	b.buf = append(buf[:batchHeader], body...)
	p.queue.free(int64(cap(old)-cap(buf)), b.fresh)
	p.buffers.put(old)
}

// discard gives the memory of a batch back whose fate is known.
func (p *Producer) discard(b *batch) {
	p.drop(b)
	p.pend(-1)
}

// drop gives the memory of a batch back.
func (p *Producer) drop(b *batch) {
	p.queue.free(int64(cap(b.buf)), b.fresh)
	p.buffers.put(b.buf)
	b.buf, b.fresh = nil, false
}

// ErrFull is what Full returns while records are given up.
var ErrFull = errors.New("queue is full, records are dropped")

// Full returns ErrFull while there is no room for records, and they are given up.
func (p *Producer) Full() error {
	if p.spoolFull.Load() {
		return ErrFull
	}
	if p.queue.dropping.Load() && !p.queue.has(1<<minClass) {
		return ErrFull
	}
	return nil
}

// Queue returns the memory of batches that Kafka has not acknowledged, and its bound.
func (p *Producer) Queue() (used, limit int64) { return p.queue.used.Load(), p.queue.limit }

// queue is the memory that batches take.
type queue struct {
	limit    int64
	reserve  int64 // of it, for what is in a spool: new records never wait for that; 0: there is none
	block    time.Duration
	used     atomic.Int64
	fresh    atomic.Int64 // of it, by new records, which are in no spool yet
	dropping atomic.Bool

	mu      sync.Mutex
	room    chan struct{} // closed and replaced when there is room for who waits
	waiters atomic.Int32
}

func (q *queue) init(limit int64, block time.Duration) {
	if limit <= 0 {
		limit = math.MaxInt64
	}
	q.limit, q.block, q.room = limit, block, make(chan struct{})
}

// take takes n bytes for new records, if there is room.
func (q *queue) take(n int64) bool {
	of, limit := &q.used, q.limit
	if q.reserve > 0 {
		of, limit = &q.fresh, q.limit-q.reserve
	}
	for {
		taken := of.Load()
		if taken+n > limit {
			return false
		}
		if of.CompareAndSwap(taken, taken+n) {
			break
		}
	}
	if q.reserve > 0 {
		q.used.Add(n)
	}
	return true
}

// has reports whether there is room for n bytes of new records.
func (q *queue) has(n int64) bool {
	if q.reserve > 0 {
		return q.fresh.Load()+n <= q.limit-q.reserve
	}
	return q.used.Load()+n <= q.limit
}

// holds returns how many bytes are taken by what is in the spool.
func (q *queue) holds() int64 { return q.used.Load() - q.fresh.Load() }

// force takes n bytes that are there already.
func (q *queue) force(n int64) { q.used.Add(n) }

// free gives n bytes back, of new records or not.
func (q *queue) free(n int64, fresh bool) {
	q.used.Add(-n)
	q.age(n, fresh)
}

// age makes n bytes of new records those of something in the spool, if they are any.
func (q *queue) age(n int64, fresh bool) {
	if fresh && q.reserve > 0 {
		q.fresh.Add(-n)
	}
	if q.waiters.Load() > 0 {
		q.mu.Lock()
		close(q.room)
		q.room = make(chan struct{})
		q.mu.Unlock()
	}
}

// wait takes n bytes as soon as there is room; false: there was none for too long.
func (q *queue) wait(ctx context.Context, n int64) bool {
	if q.take(n) {
		return true
	}
	if q.dropping.Load() || q.block <= 0 {
		return false
	}
	timer := time.NewTimer(q.block)
	defer timer.Stop()
	q.waiters.Add(1)
	defer q.waiters.Add(-1)
	for {
		q.mu.Lock()
		room := q.room
		q.mu.Unlock()
		if q.take(n) {
			return true
		}
		select {
		case <-room:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
