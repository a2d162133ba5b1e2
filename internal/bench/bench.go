package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Load says what to do and when to end: after Records or Duration, whichever comes first, or with the context.
type Load struct {
	Topic    string
	Records  int64         // 0 is no limit
	Duration time.Duration // 0 is no limit
	Size     int           // bytes of a value, of Produce
	Keys     int           // different keys, of Produce; 0 is none
	Rate     float64       // records a second of all clients together, of Produce; 0 is no limit
	Latency  bool          // measure the age of records by their timestamps, of Consume
	Interval time.Duration // between reports; 0 is none
	Idle     time.Duration // end of Consume when nothing came for so long; 0 waits
}

// Report is what was done in a stretch of time.
type Report struct {
	Begin            time.Time `json:"begin"`
	Seconds          float64   `json:"seconds"` // its length
	Records          int64     `json:"records"`
	Failed           int64     `json:"failed"`
	Bytes            int64     `json:"bytes"` // of keys and values
	RecordsPerSecond float64   `json:"records_per_second"`
	BytesPerSecond   float64   `json:"bytes_per_second"`
	Latency          *Latency  `json:"latency,omitempty"` // of what was measured
}

// tally is what all clients of a run count together.
type tally struct {
	begin    time.Time
	tickets  atomic.Int64 // records begun
	records  atomic.Int64
	failed   atomic.Int64
	bytes    atomic.Int64
	measured bool
	times    Histogram

	mu    sync.Mutex
	first error
}

func (t *tally) fail(err error) {
	t.failed.Add(1)
	t.mu.Lock()
	if t.first == nil {
		t.first = err
	}
	t.mu.Unlock()
}

// moment is a tally at one time.
type moment struct {
	at                     time.Time
	records, failed, bytes int64
	times                  view
}

func (t *tally) now(m *moment) {
	m.at, m.records, m.failed, m.bytes = time.Now(), t.records.Load(), t.failed.Load(), t.bytes.Load()
	if t.measured {
		t.times.view(&m.times)
	}
}

// report is what happened between two moments; without a first one, since the beginning.
func (t *tally) report(from, to *moment) Report {
	r := Report{Begin: t.begin, Records: to.records, Failed: to.failed, Bytes: to.bytes}
	times := to.times
	if from != nil {
		r.Begin = from.at
		r.Records, r.Failed, r.Bytes = to.records-from.records, to.failed-from.failed, to.bytes-from.bytes
		times = to.times.since(&from.times)
	}
	r.rate(to.at.Sub(r.Begin))
	if t.measured {
		l := times.latency()
		r.Latency = &l
	}
	return r
}

// rate sets what follows from the length of time.
func (r *Report) rate(d time.Duration) {
	if r.Seconds = d.Seconds(); r.Seconds > 0 {
		r.RecordsPerSecond, r.BytesPerSecond = float64(r.Records)/r.Seconds, float64(r.Bytes)/r.Seconds
	}
}

// run runs a worker for each client and reports until all have ended.
func run(ctx context.Context, l Load, clients []*kgo.Client, t *tally, each func(Report), work func(ctx context.Context, cl *kgo.Client, i int) error) (Report, error) {
	if l.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.Duration)
		defer cancel()
	}
	t.begin = time.Now()
	errs := make([]error, len(clients))
	var workers sync.WaitGroup
	for i, cl := range clients {
		workers.Go(func() { errs[i] = work(ctx, cl, i) })
	}
	ended := make(chan struct{})
	go func() { workers.Wait(); close(ended) }()
	if l.Interval > 0 && each != nil {
		tick := time.NewTicker(l.Interval)
		defer tick.Stop()
		from, to := new(moment), new(moment)
		t.now(from)
		from.at = t.begin
		for done := false; !done; {
			select {
			case <-ended:
				done = true
			case <-tick.C:
				t.now(to)
				each(t.report(from, to))
				from, to = to, from
			}
		}
	}
	<-ended
	end := new(moment)
	t.now(end)
	return t.report(nil, end), errors.Join(errors.Join(errs...), t.first)
}

// letters is text that values are cut from: it is not all the same, and compresses about as text does.
func letters(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('A' + r.IntN(26))
	}
	return b
}

// Produce sends records and reports each interval. A record's latency is the time from when it was handed to its client to its
// acknowledgement; with a rate, from when it was due, so that a cluster that stands still is seen. The error is that of
// the first record that failed.
func Produce(ctx context.Context, l Load, clients []*kgo.Client, each func(Report)) (Report, error) {
	t := &tally{measured: true}
	text := letters(1<<16 + l.Size)
	keys := make([][]byte, l.Keys)
	for i := range keys {
		keys[i] = []byte("key-" + strconv.Itoa(i))
	}
	return run(ctx, l, clients, t, each, func(ctx context.Context, cl *kgo.Client, _ int) error {
		for ctx.Err() == nil {
			n := t.tickets.Add(1)
			if l.Records > 0 && n > l.Records {
				break
			}
			due := time.Now()
			if l.Rate > 0 {
				at := t.begin.Add(time.Duration(float64(n-1) / l.Rate * float64(time.Second)))
				if wait := at.Sub(due); wait > 0 && !sleep(ctx, wait) {
					break
				}
				due = at
			}
			from := int(n * 61 & (1<<16 - 1))
			r := &kgo.Record{Topic: l.Topic, Value: text[from : from+l.Size : from+l.Size]}
			if len(keys) > 0 {
				r.Key = keys[int(n)%len(keys)]
			}
			size := int64(len(r.Key) + len(r.Value))
			cl.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
				if err != nil {
					t.fail(err)
					return
				}
				t.times.Add(time.Since(due))
				t.records.Add(1)
				t.bytes.Add(size)
			})
		}
		return cl.Flush(context.WithoutCancel(ctx))
	})
}

// sleep waits and reports whether it was not woken by the context.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Consume takes records and reports each interval.
func Consume(ctx context.Context, l Load, clients []*kgo.Client, each func(Report)) (Report, error) {
	t := &tally{measured: l.Latency}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var last atomic.Int64
	last.Store(time.Now().UnixNano())
	r, err := run(ctx, l, clients, t, each, func(ctx context.Context, cl *kgo.Client, _ int) error {
		for {
			poll, cancel := ctx, context.CancelFunc(func() {})
			if l.Idle > 0 {
				left := l.Idle - time.Since(time.Unix(0, last.Load()))
				if left <= 0 {
					return nil
				}
				poll, cancel = context.WithTimeout(ctx, left)
			}
			fetches := cl.PollFetches(poll)
			cancel()
			for _, e := range fetches.Errors() {
				if !errors.Is(e.Err, context.Canceled) && !errors.Is(e.Err, context.DeadlineExceeded) {
					stop()
					return e.Err
				}
			}
			now := time.Now()
			var records, size int64
			fetches.EachRecord(func(r *kgo.Record) {
				records++
				size += int64(len(r.Key) + len(r.Value))
				if l.Latency {
					t.times.Add(now.Sub(r.Timestamp))
				}
			})
			t.bytes.Add(size)
			if records > 0 {
				last.Store(now.UnixNano())
			}
			if n := t.records.Add(records); l.Records > 0 && n >= l.Records {
				stop()
			}
			if ctx.Err() != nil {
				return nil
			}
		}
	})
	if r.Records > 0 { // what was waited for in vain at the end does not count
		r.rate(time.Unix(0, last.Load()).Sub(r.Begin))
	}
	return r, err
}
