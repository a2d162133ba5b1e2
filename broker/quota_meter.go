package broker

import (
	"math"
	"sync"
	"time"
)

// Kafka's quota.window.num and quota.window.size.seconds: what counts is the second that runs and the ten before it.
const (
	quotaWindows = 11
	quotaWindow  = time.Second
)

// meter adds up what a client, or all clients that share a quota, have used in the last windows.
type meter struct {
	mu      sync.Mutex
	windows [quotaWindows]struct {
		at    int64 // its second, since 1970
		total float64
	}
	used time.Time // when something was last added

	throttled time.Duration // told to clients, all together
	total     float64       // since the start
}

// sum returns what is in the windows, and how long they last up to now: always the whole ten, even when the meter is new, so
// that a client that has been away may begin with a burst.
func (m *meter) sum(now time.Time) (total float64, span time.Duration) {
	second := now.Unix()
	for i := range m.windows {
		if w := &m.windows[i]; w.at > second-quotaWindows && w.at <= second {
			total += w.total
		}
	}
	return total, (quotaWindows-1)*quotaWindow + time.Duration(now.Nanosecond())
}

func (m *meter) add(now time.Time, n float64) {
	w := &m.windows[now.Unix()%quotaWindows]
	if w.at != now.Unix() {
		w.at, w.total = now.Unix(), 0
	}
	w.total += n
	m.total += n
	m.used = now
}

// excess returns how long it takes until total is no more than the bound allows.
func excess(total, bound float64, span time.Duration) time.Duration {
	over := total/bound - span.Seconds()
	switch {
	case over <= 0:
		return 0
	case over > math.MaxInt32/1000:
		return math.MaxInt32 / 1000 * time.Second
	}
	return time.Duration(over * float64(time.Second))
}

// limit is a bound on what goes through a meter in a second.
type limit struct {
	bound float64
	meter *meter
	max   time.Duration // longest throttle; 0: none
}

// spend adds what was used.
func (l *limit) spend(now time.Time, n float64) {
	if l == nil {
		return
	}
	l.meter.mu.Lock()
	l.meter.add(now, n)
	l.meter.mu.Unlock()
}

// use adds what was used and returns for how long its user is to be throttled (KIP-219). A nil limit is none.
func (l *limit) use(now time.Time, n float64) time.Duration {
	if l == nil {
		return 0
	}
	m := l.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(now, n)
	return l.throttle(now)
}

// throttle is for how long, with the meter locked.
func (l *limit) throttle(now time.Time) time.Duration {
	total, span := l.meter.sum(now)
	d := excess(total, l.bound, span)
	if l.max > 0 {
		d = min(d, l.max)
	}
	l.meter.throttled += d
	return d
}

// ask is for how long its user is to be throttled because of what was used before.
func (l *limit) ask(now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	l.meter.mu.Lock()
	defer l.meter.mu.Unlock()
	return l.throttle(now)
}

// take adds n if that is within the bound. Otherwise nothing is added, and the answer is when it will be; but a first n, that no
// time would bring within it, is let through.
func (l *limit) take(now time.Time, n float64) time.Duration {
	if l == nil {
		return 0
	}
	m := l.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	total, span := m.sum(now)
	if d := excess(total+n, l.bound, span); d > 0 && total > 0 {
		m.throttled += d
		return d
	}
	m.add(now, n)
	return 0
}

// burst is how much may go through at once.
func (l *limit) burst() int {
	if l == nil || l.bound >= math.MaxInt32/quotaWindows {
		return math.MaxInt32
	}
	return max(int(l.bound*(quotaWindows-1)), 1)
}
