package broker

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// groups holds all consumer groups. The lock of a group may be held when this one is taken, not the other way round.
type groups struct {
	b *Broker

	mu     sync.Mutex
	byID   map[string]*group
	closed bool

	bytes atomic.Int64 // what members and offsets take, about

	sweeper *time.Ticker
	done    chan struct{}
	wg      sync.WaitGroup
}

// sweepEvery is how often groups and offsets are looked at that nobody needs any more.
const sweepEvery = time.Minute

// openGroups reads the offsets topic. Members found there have their session timeout to be heard of again.
func openGroups(b *Broker) (*groups, error) {
	gs := &groups{b: b, byID: make(map[string]*group), done: make(chan struct{})}
	if err := gs.replay(); err != nil {
		return nil, err
	}
	for id, g := range gs.byID {
		if g.consumer == nil && g.generation == 0 && len(g.members) == 0 && len(g.offsets) == 0 && len(g.txnOffsets) == 0 {
			delete(gs.byID, id) // its tombstones were the last word
			continue
		}
		g.mu.Lock() // the timers of its members run from here on
		if g.consumer != nil {
			g.wakeConsumers()
		}
		for _, m := range g.members {
			g.alive(m)
		}
		if g.leader == "" && len(g.members) > 0 {
			g.prepare() // its members were to join again when the broker ended
		}
		g.mu.Unlock()
	}
	gs.sweeper = time.NewTicker(sweepEvery)
	gs.wg.Go(func() {
		for {
			select {
			case now := <-gs.sweeper.C:
				gs.sweep(now)
			case <-gs.done:
				return
			}
		}
	})
	return gs, nil
}

// with calls f with the group locked. A group that is not there is made when create says so; else f is not called and the
// answer is false.
func (gs *groups) with(id string, create bool, f func(*group)) (bool, code) {
	for {
		gs.mu.Lock()
		g := gs.byID[id]
		switch {
		case gs.closed:
			gs.mu.Unlock()
			return false, codeCoordinatorNotAvailable
		case g == nil && !create:
			gs.mu.Unlock()
			return false, codeNone
		case g == nil && len(gs.byID) >= gs.b.cfg.MaxGroups:
			gs.mu.Unlock()
			return false, codePolicyViolation
		case g == nil:
			g = newGroup(gs, id)
			g.fresh = true
			gs.byID[id] = g
		}
		gs.mu.Unlock()
		g.mu.Lock()
		if g.state != groupDead {
			defer g.mu.Unlock()
			f(g)
			g.fresh = false
			return true, codeNone
		}
		g.mu.Unlock() // it has just gone; there may be a new one
	}
}

// drop takes out a locked group that was made for a request that was then refused.
func (gs *groups) drop(g *group) {
	g.state = groupDead
	gs.mu.Lock()
	delete(gs.byID, g.id)
	gs.mu.Unlock()
}

// list returns the groups by name.
func (gs *groups) list() []*group {
	gs.mu.Lock()
	all := slices.Collect(maps.Values(gs.byID))
	gs.mu.Unlock()
	slices.SortFunc(all, func(a, b *group) int { return cmp.Compare(a.id, b.id) })
	return all
}

func (gs *groups) stats() []GroupStats {
	var out []GroupStats
	for _, g := range gs.list() {
		g.mu.Lock()
		if g.state != groupDead {
			out = append(out, GroupStats{
				Name: strings.Clone(g.id), State: g.state.String(), Generation: g.currentGeneration(),
				Members: g.size(), Offsets: len(g.offsets),
			})
		}
		g.mu.Unlock()
	}
	return out
}

// size is how many members a locked group has, of either kind.
func (g *group) size() int {
	if g.consumer != nil {
		return len(g.consumer.members)
	}
	return len(g.members)
}

// currentGeneration is the generation, or epoch, of a locked group.
func (g *group) currentGeneration() int32 {
	if g.consumer != nil {
		return g.consumer.epoch
	}
	return g.generation
}

// bury takes a locked, empty group out for good.
func (gs *groups) bury(g *group) (logged, error) {
	partitions := make(map[topicPartition]bool)
	for tp := range g.offsets {
		partitions[tp] = true
	}
	for _, held := range g.txnOffsets {
		for tp := range held {
			partitions[tp] = true
		}
	}
	records := make([]record, 0, len(partitions)+2)
	for tp := range partitions {
		records = append(records, offsetRecord(g.id, tp, nil))
	}
	if g.consumer != nil {
		records = append(records, targetRecord(g.id, -1), consumerGroupRecord(g.id, nil))
	} else {
		records = append(records, groupRecord(g.id, nil))
	}
	l, err := gs.remember(g.id, records)
	if err != nil {
		return l, err
	}
	g.disarm()
	g.state = groupDead
	g.forgetPending()
	for tp := range partitions {
		g.forgetOffset(tp)
	}
	gs.mu.Lock()
	if gs.byID[g.id] == g {
		delete(gs.byID, g.id)
	}
	gs.mu.Unlock()
	return l, nil
}

// sweep forgets offsets past their retention, and groups that have neither members nor offsets, nor will have any when a
// transaction ends.
func (gs *groups) sweep(now time.Time) {
	keep := gs.b.cfg.OffsetsRetention
	for _, g := range gs.list() {
		g.mu.Lock()
		if g.state == groupEmpty && len(g.pending) == 0 {
			if keep > 0 {
				g.expireOffsets(now, keep)
			}
			if len(g.offsets) == 0 && len(g.txnOffsets) == 0 && now.Sub(g.since) >= sweepEvery {
				if _, err := gs.bury(g); err != nil {
					gs.b.log.Warn("group not removed", "group", g.id, "err", err)
				}
			}
		}
		g.mu.Unlock()
	}
}

// expireOffsets forgets offsets that were committed too long ago by a group that has been empty for as long; for a group
// that never had members the commit alone counts (KIP-211).
func (g *group) expireOffsets(now time.Time, keep time.Duration) {
	if g.protocolType != "" && now.Sub(g.since) < keep {
		return
	}
	g.forget(func(tp topicPartition, c committed) bool {
		return now.Sub(time.UnixMilli(c.at)) >= keep && !g.holds(tp)
	})
}

// What keeping one costs beside the bytes a client sends.
const (
	memberBytes = 512
	offsetBytes = 256
)

// room says whether so many bytes more may be kept.
func (gs *groups) room(more int) bool {
	return more <= 0 || gs.bytes.Load()+int64(more) <= gs.b.cfg.MaxGroupBytes
}

// weigh notes what a member takes now.
func (gs *groups) weigh(m *member) {
	size := memberBytes + len(m.assignment)
	for _, p := range m.protocols {
		size += len(p.name) + len(p.metadata)
	}
	gs.bytes.Add(int64(size - m.size))
	m.size = size
}

func (c *committed) size(tp topicPartition) int { return offsetBytes + len(tp.topic) + len(c.metadata) }

// setOffset and dropOffset change the committed offsets of a group, which nothing else does.
func (g *group) setOffset(tp topicPartition, c committed) {
	g.dropOffset(tp)
	g.offsets[tp] = c
	g.gs.bytes.Add(int64(c.size(tp)))
}

func (g *group) dropOffset(tp topicPartition) {
	if c, ok := g.offsets[tp]; ok {
		g.gs.bytes.Add(-int64(c.size(tp)))
		delete(g.offsets, tp)
	}
}

// forgetOffset drops what is committed for a partition and what open transactions hold for it: a tombstone ends both.
func (g *group) forgetOffset(tp topicPartition) {
	g.dropOffset(tp)
	g.dropHeld(tp)
}

// forget removes the offsets f says so of.
func (g *group) forget(f func(topicPartition, committed) bool) {
	var records []record
	var gone []topicPartition
	for tp, c := range g.offsets {
		if f(tp, c) {
			records = append(records, offsetRecord(g.id, tp, nil))
			gone = append(gone, tp)
		}
	}
	if len(records) == 0 {
		return
	}
	if _, err := g.gs.remember(g.id, records); err != nil {
		g.gs.b.log.Warn("offsets not removed", "group", g.id, "err", err)
		return
	}
	for _, tp := range gone {
		g.forgetOffset(tp)
	}
}

// forgetTopic removes the offsets committed for a topic that is deleted; one of the same name begins anew.
func (gs *groups) forgetTopic(name string) {
	for _, g := range gs.list() {
		g.mu.Lock()
		if g.state != groupDead {
			g.forget(func(tp topicPartition, _ committed) bool { return tp.topic == name })
		}
		g.mu.Unlock()
	}
}

// close answers everybody who waits and stops all timers. What the groups are is on disk already.
func (gs *groups) close() {
	gs.mu.Lock()
	gs.closed = true
	gs.mu.Unlock()
	for _, g := range gs.list() {
		g.mu.Lock()
		g.disarm()
		g.forgetPending()
		for _, m := range g.members {
			g.answerJoin(m, codeCoordinatorNotAvailable)
			g.answerSync(m, codeCoordinatorNotAvailable)
			if m.timer != nil {
				m.timer.Stop()
			}
		}
		if g.consumer != nil {
			for _, m := range g.consumer.members {
				m.stop()
			}
		}
		g.state = groupDead
		g.mu.Unlock()
	}
	gs.sweeper.Stop()
	close(gs.done)
	gs.wg.Wait()
}
