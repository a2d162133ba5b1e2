package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in buckets whose width is at most 1/32 of what they hold, so that a percentile is right to 3 %.
// It can be written by many at once. The zero value is empty.
type Histogram struct {
	counts [buckets]atomic.Uint64
	max    atomic.Int64
	sum    atomic.Int64
}

const (
	subBits = 5 // 32 buckets for each power of two
	buckets = (64 - subBits) << subBits
)

// bucket is the number of the bucket of a duration in ns.
func bucket(ns int64) int {
	u := uint64(max(ns, 0))
	if u < 1<<subBits {
		return int(u)
	}
	exp := bits.Len64(u) - subBits - 1
	return exp<<subBits + int(u>>exp)
}

// upper is the largest duration of a bucket.
func upper(i int) int64 {
	if i < 1<<(subBits+1) {
		return int64(i)
	}
	exp := i>>subBits - 1
	return (int64(i)-int64(exp)<<subBits+1)<<exp - 1
}

// Add counts a duration.
func (h *Histogram) Add(d time.Duration) {
	ns := max(int64(d), 0)
	h.counts[bucket(ns)].Add(1)
	h.sum.Add(ns)
	for {
		m := h.max.Load()
		if ns <= m || h.max.CompareAndSwap(m, ns) {
			return
		}
	}
}

// Latency is what a histogram has to say, in seconds; the zero value that of nothing.
type Latency struct {
	Mean float64 `json:"mean_seconds"`
	P50  float64 `json:"p50_seconds"`
	P95  float64 `json:"p95_seconds"`
	P99  float64 `json:"p99_seconds"`
	P999 float64 `json:"p999_seconds"`
	Max  float64 `json:"max_seconds"`
}

// view is a histogram as it stood at one time.
type view struct {
	counts [buckets]uint64
	sum    int64
	max    int64 // 0: that of the highest bucket
}

func (h *Histogram) view(v *view) {
	for i := range h.counts {
		v.counts[i] = h.counts[i].Load()
	}
	v.sum, v.max = h.sum.Load(), h.max.Load()
}

// since takes away what was there before; the largest is then known by its bucket.
func (v *view) since(before *view) view {
	d := view{sum: v.sum - before.sum}
	for i := range v.counts {
		d.counts[i] = v.counts[i] - before.counts[i]
	}
	return d
}

// latency reads the percentiles.
func (v *view) latency() Latency {
	var n uint64
	highest := 0
	for i, c := range v.counts {
		if n += c; c > 0 {
			highest = i
		}
	}
	if n == 0 {
		return Latency{}
	}
	largest := v.max
	if largest == 0 {
		largest = upper(highest)
	}
	at := func(share float64) float64 {
		rank, seen := uint64(share*float64(n)+0.999999), uint64(0)
		for i, c := range v.counts {
			if seen += c; seen >= max(rank, 1) {
				return float64(min(upper(i), largest)) / 1e9
			}
		}
		return float64(largest) / 1e9
	}
	return Latency{
		Mean: float64(v.sum) / float64(n) / 1e9, P50: at(0.5), P95: at(0.95), P99: at(0.99), P999: at(0.999),
		Max: float64(largest) / 1e9,
	}
}
