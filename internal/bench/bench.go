package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"regexp"
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
	Values   [][]byte      // of Produce, to draw from at random, instead of values of Size
	Numbers  bool          // values are the numbers of the records from 0 on, of Produce, instead of those of Size
	Warmup   int64         // records at the beginning that Report.Steady leaves out, of Produce
	Commit   time.Duration // length of a transaction, of Produce, whose clients have transactional ids; 0 is none
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
	Steady           *Report   `json:"steady,omitempty"`  // of a whole run with Load.Warmup: what came after that
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

	warmup int64
	steady *tally       // of what came after the warmup
	warm   atomic.Int64 // when that began, in Unix ns; 0 is not yet

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

// done counts a record that was acknowledged, the nth that was begun.
func (t *tally) done(n, size int64, took time.Duration) {
	t.times.Add(took)
	t.records.Add(1)
	t.bytes.Add(size)
	if t.steady != nil && n > t.warmup {
		t.steady.done(n, size, took)
	}
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
	r := t.report(nil, end)
	if began := t.warm.Load(); began > 0 {
		t.steady.begin = time.Unix(0, began)
		t.steady.now(end)
		steady := t.steady.report(nil, end)
		r.Steady = &steady
	}
	return r, errors.Join(errors.Join(errs...), t.first)
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
	t := &tally{measured: true, warmup: l.Warmup}
	if l.Warmup > 0 {
		t.steady = &tally{measured: true}
	}
	value := l.values()
	keys := make([][]byte, l.Keys)
	for i := range keys {
		keys[i] = []byte("key-" + strconv.Itoa(i))
	}
	return run(ctx, l, clients, t, each, func(ctx context.Context, cl *kgo.Client, _ int) error {
		tx := transactions{cl: cl, length: l.Commit}
		for ctx.Err() == nil {
			n := t.tickets.Add(1)
			if l.Records > 0 && n > l.Records {
				break
			}
			if err := tx.next(ctx); err != nil {
				return err
			}
			due := time.Now()
			if t.steady != nil && n == l.Warmup+1 {
				t.warm.Store(due.UnixNano())
			}
			if l.Rate > 0 {
				at := t.begin.Add(time.Duration(float64(n-1) / l.Rate * float64(time.Second)))
				if wait := at.Sub(due); wait > 0 && !sleep(ctx, wait) {
					break
				}
				due = at
			}
			r := &kgo.Record{Topic: l.Topic, Value: value(n)}
			if len(keys) > 0 {
				r.Key = keys[int(n)%len(keys)]
			}
			size := int64(len(r.Key) + len(r.Value))
			cl.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
				if err != nil {
					t.fail(err)
					return
				}
				t.done(n, size, time.Since(due))
			})
		}
		return tx.end(ctx)
	})
}

// Payloads parts text at what a regular expression matches, as kafka-producer-perf-test.sh does: empty values at the end do
// not count.
func Payloads(text []byte, delimiter string) ([][]byte, error) {
	re, err := regexp.Compile(delimiter)
	if err != nil {
		return nil, err
	}
	var values [][]byte
	for _, s := range re.Split(string(text), -1) {
		values = append(values, []byte(s))
	}
	for len(values) > 0 && len(values[len(values)-1]) == 0 {
		values = values[:len(values)-1]
	}
	if len(values) == 0 {
		return nil, errors.New("there are no values in it")
	}
	return values, nil
}

// values makes the function that makes the value of the nth record.
func (l *Load) values() func(n int64) []byte {
	switch {
	case l.Numbers:
		return func(n int64) []byte { return strconv.AppendInt(nil, n-1, 10) }
	case l.Values != nil:
		return func(int64) []byte { return l.Values[rand.IntN(len(l.Values))] }
	}
	text := letters(1<<16 + l.Size)
	return func(n int64) []byte {
		from := int(n * 61 & (1<<16 - 1))
		return text[from : from+l.Size : from+l.Size]
	}
}

// transactions puts what a client sends into transactions of a length, or none.
type transactions struct {
	cl     *kgo.Client
	length time.Duration
	until  time.Time // end of the one that is open; zero is none
}

// next is called before each record.
func (x *transactions) next(ctx context.Context) error {
	if x.length == 0 || !x.until.IsZero() && time.Now().Before(x.until) {
		return nil
	}
	if err := x.end(ctx); err != nil {
		return err
	}
	if err := x.cl.BeginTransaction(); err != nil {
		return err
	}
	x.until = time.Now().Add(x.length)
	return nil
}

// end waits for what was sent, and commits it. What cannot be committed is aborted.
func (x *transactions) end(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	err := x.cl.Flush(ctx)
	if x.until.IsZero() {
		return err
	}
	x.until = time.Time{}
	if err == nil {
		err = x.cl.EndTransaction(ctx, kgo.TryCommit)
	}
	if err != nil {
		return errors.Join(err, x.cl.EndTransaction(ctx, kgo.TryAbort))
	}
	return nil
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
