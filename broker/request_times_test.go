package broker_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// TestRequestTimes: the parts of the time that requests take make up all of it, and what a request waits for is in the
// part that says so, and nowhere else.
func TestRequestTimes(t *testing.T) {
	const pause = 20 * time.Millisecond
	var held atomic.Bool
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	b := open(t, broker.WithSync(testConfig(t), func() error {
		if held.Load() {
			<-release
		}
		return nil
	}))
	t.Cleanup(free) // before the broker closes
	id := makeTopic(t, b, "timed")
	stats := func() (broker.Stats, map[string]broker.RequestStats) {
		s, by := b.Stats(), map[string]broker.RequestStats{}
		for _, r := range s.Requests {
			by[r.Name] = r
		}
		return s, by
	}
	await := func(what string, done func(s broker.Stats, by map[string]broker.RequestStats) bool) {
		t.Helper()
		for begin := time.Now(); !done(stats()); time.Sleep(time.Millisecond) {
			if time.Since(begin) > time.Minute {
				t.Fatal(what, "does not come about")
			}
		}
	}

	// A produce waits for its flush, and the answer behind it for its turn. Once the third request has come, both have been served.
	c := rawDial(t, b)
	held.Store(true)
	flushed, versions, last := produceRequest(9, -1, "timed", 0, goodBatch(1, 100)), kmsg.NewPtrApiVersionsRequest(), kmsg.NewPtrDescribeClusterRequest()
	for _, req := range []kmsg.Request{flushed, versions, last} {
		c.send(req)
	}
	await("the third request", func(s broker.Stats, by map[string]broker.RequestStats) bool {
		return s.WaitingFlush == 1 && by["DescribeCluster"].Count == 1
	})
	time.Sleep(pause)
	held.Store(false)
	free()
	if resp := c.receive(flushed, 1).(*kmsg.ProduceResponse); resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("not produced: %+v", resp.Topics[0].Partitions)
	}
	c.receive(versions, 2)
	c.receive(last, 3)

	// A fetch waits for records.
	fetch := fetchRequest(12, "timed", id, 0, 1, 1, time.Minute)
	c.send(fetch)
	await("a fetch that waits", func(s broker.Stats, _ map[string]broker.RequestStats) bool { return s.WaitingFetch == 1 })
	time.Sleep(pause)
	rawDial(t, b).request(produceRequest(9, 1, "timed", 0, goodBatch(1, 100)))
	c.receive(fetch, 4)

	// The time of a request is counted when its answer has gone, the total first.
	var s broker.Stats
	var got map[string]broker.RequestStats
	await("the sum of the parts", func(broker.Stats, map[string]broker.RequestStats) bool {
		s, got = stats()
		for _, r := range got {
			sum := time.Duration(0)
			for _, d := range r.Parts {
				sum += d
			}
			if sum != r.Time || r.Count > 0 && r.Time == 0 {
				return false
			}
		}
		return true
	})
	for name, r := range got {
		for part, d := range r.Parts {
			if d < 0 {
				t.Errorf("%s: %s takes %v", name, broker.RequestPart(part), d)
			}
		}
	}
	for _, want := range []struct {
		name string
		part broker.RequestPart
	}{{"Produce", broker.PartRemote}, {"Fetch", broker.PartRemote}, {"ApiVersions", broker.PartResponseQueue}} {
		if d := got[want.name].Parts[want.part]; d < pause {
			t.Errorf("%s of %s takes %v, it had to wait for %v", want.part, want.name, d, pause)
		}
	}
	if s.WaitingFlush != 0 || s.Log.Flushes == 0 || s.Log.FlushTime < pause {
		t.Errorf("%d wait for a flush, of which there were %d, in %v", s.WaitingFlush, s.Log.Flushes, s.Log.FlushTime)
	}
}
