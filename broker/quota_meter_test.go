package broker

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMeterModel holds the windows against a list of everything that was ever added.
func TestMeterModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type use struct {
			second int64
			n      float64
		}
		var uses []use
		bound := float64(rapid.IntRange(1, 1000).Draw(t, "bound"))
		l := limit{bound: bound, meter: &meter{}}
		now := time.Unix(1_700_000_000, 0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
			n := float64(rapid.IntRange(1, 5000).Draw(t, "n"))
			takes := rapid.Bool().Draw(t, "takes")
			have := 0.0
			for _, u := range uses {
				if u.second > now.Unix()-11 {
					have += u.n
				}
			}
			span := 10 + float64(now.Nanosecond())/1e9
			want := math.Max((have+n)/bound-span, 0)
			var got time.Duration
			if takes {
				got = l.take(now, n)
				if have == 0 {
					want = 0 // nothing to wait for
				}
			} else {
				got = l.use(now, n)
			}
			if math.Abs(got.Seconds()-want) > 1e-6*math.Max(want, 1) {
				t.Fatalf("%v of %v in the windows, %v more: throttled for %v, want %v s", have, bound, n, got, want)
			}
			if !takes || got == 0 {
				uses = append(uses, use{now.Unix(), n})
			}
			// When all windows have passed there is nothing to wait for.
			if d := l.ask(now.Add(got + quotaWindows*quotaWindow)); d > 0 {
				t.Fatalf("throttled for %v, and all windows later still for %v", got, d)
			}
		}
	})
}

// TestQuotaPrecedence sets all eight quotas that speak of a client and takes the one away that counts, one after the other.
func TestQuotaPrecedence(t *testing.T) {
	u, c := named("alice"), named("app")
	order := []quotaEntity{
		{User: u, Client: c},
		{User: u, Client: standardPart},
		{User: u},
		{User: standardPart, Client: c},
		{User: standardPart, Client: standardPart},
		{User: standardPart},
		{Client: c},
		{Client: standardPart},
	}
	qs := &quotas{now: time.Now, most: 100, meters: make(map[meterKey]*meter)}
	table := make(quotaTable)
	for i, e := range order {
		table[e] = map[string]float64{quotaProduce: float64(i + 1)}
	}
	shared := []bool{false, false, true, false, false, true, false, false} // by all client ids of the user
	for i, e := range order {
		l := qs.limit(table, quotaProduce, "alice", "app")
		if l == nil || l.bound != float64(i+1) {
			t.Fatalf("with the first %d gone: %+v", i, l)
		}
		other := qs.limit(table, quotaProduce, "alice", "other")
		if got := other.meter == l.meter; got != shared[i] {
			t.Errorf("%+v: another client id shares the meter: %v", e, got)
		}
		if bob := qs.limit(table, quotaProduce, "bob", "app"); (bob.meter == l.meter) != (!e.User.Set) {
			t.Errorf("%+v: another user shares the meter: %v", e, bob.meter == l.meter)
		}
		if qs.limit(table, quotaFetch, "alice", "app") != nil {
			t.Error("a quota of another kind counts")
		}
		delete(table, e)
	}
	if qs.limit(table, quotaProduce, "alice", "app") != nil {
		t.Error("a limit without a quota")
	}
}

// TestMeterBound has more clients than are measured one by one.
func TestMeterBound(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	qs := &quotas{now: func() time.Time { return now }, most: 3, meters: make(map[meterKey]*meter)}
	key := func(name string) meterKey { return meterKey{what: quotaProduce, client: named(name)} }
	a := qs.meter(key("a"))
	qs.meter(key("b"))
	qs.meter(key("c"))
	d := qs.meter(key("d"))
	if qs.meter(key("e")) != d || d == a || len(qs.meters) != 4 {
		t.Errorf("%d meters; newcomers share one: %v", len(qs.meters), qs.meter(key("e")) == d)
	}
	now = now.Add(2 * time.Hour)
	a.add(now, 1)
	if e := qs.meter(key("e")); e == d || qs.meter(key("a")) != a || len(qs.meters) != 2 {
		t.Errorf("%d meters after two hours", len(qs.meters))
	}
}
