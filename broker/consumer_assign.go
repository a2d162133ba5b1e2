package broker

import (
	"slices"
	"strings"
)

// The names of the assignors, as group.consumer.assignors of Kafka has them.
const (
	assignorUniform = "uniform"
	assignorRange   = "range"
)

// consumerAssignors make the target assignment of a group (KIP-848).
var consumerAssignors = map[string]func(*assigning) map[string]assignment{
	assignorUniform: assignUniform,
	assignorRange:   assignRange,
}

// assigning is what there is to assign, and to whom.
type assigning struct {
	members []*consumerMember // by id
	topics  []assignedTopic   // by name
	had     map[string]assignment
}

type assignedTopic struct {
	id         [16]byte
	name       string
	partitions int32
}

// assignUniform gives every member as many partitions as any other, give or take one, as far as subscriptions allow, and
// leaves with each what it has as far as that allows.
func assignUniform(a *assigning) map[string]assignment {
	n := len(a.members)
	loads := make([]int, n)
	shares := make([][]topicIDPartition, n)
	subscribers := make([][]int, len(a.topics)) // by topic
	topicOf := make(map[[16]byte]int, len(a.topics))
	for i, t := range a.topics {
		topicOf[t.id] = i
		for j, m := range a.members {
			if m.subscribes(t.name) {
				subscribers[i] = append(subscribers[i], j)
			}
		}
	}
	total := 0
	for i, t := range a.topics {
		if len(subscribers[i]) > 0 {
			total += int(t.partitions)
		}
	}
	if n == 0 || total == 0 {
		return make(map[string]assignment)
	}
	// What each has and may keep.
	taken := make(map[topicIDPartition]bool, total)
	for j, m := range a.members {
		for id, partitions := range a.had[m.id] {
			i, there := topicOf[id]
			if !there || !m.subscribes(a.topics[i].name) {
				continue
			}
			for _, p := range partitions {
				if tp := (topicIDPartition{id, p}); p < a.topics[i].partitions && !taken[tp] {
					taken[tp] = true
					shares[j] = append(shares[j], tp)
				}
			}
		}
		slices.SortFunc(shares[j], func(x, y topicIDPartition) int {
			if d := topicOf[x.id] - topicOf[y.id]; d != 0 {
				return d
			}
			return int(x.partition - y.partition)
		})
		loads[j] = len(shares[j])
	}
	// What nobody has goes to whoever has least.
	for i, t := range a.topics {
		for p := int32(0); p < t.partitions && len(subscribers[i]) > 0; p++ {
			tp := topicIDPartition{t.id, p}
			if taken[tp] {
				continue
			}
			least := subscribers[i][0]
			for _, j := range subscribers[i][1:] {
				if loads[j] < loads[least] {
					least = j
				}
			}
			shares[least] = append(shares[least], tp)
			loads[least]++
		}
	}
	// Whoever has two more than another gives it one that the other wants. Each move makes the shares more alike.
	for moved := true; moved; {
		moved = false
		order := make([]int, n)
		for j := range order {
			order[j] = j
		}
		slices.SortStableFunc(order, func(x, y int) int { return loads[y] - loads[x] })
	search:
		for _, from := range order {
			for k := n - 1; k >= 0; k-- {
				to := order[k]
				if loads[from]-loads[to] < 2 {
					break
				}
				for at := len(shares[from]) - 1; at >= 0; at-- {
					tp := shares[from][at]
					if !a.members[to].subscribes(a.topics[topicOf[tp.id]].name) {
						continue
					}
					shares[from] = slices.Delete(shares[from], at, at+1)
					shares[to] = append(shares[to], tp)
					loads[from]--
					loads[to]++
					moved = true
					break search
				}
			}
		}
	}
	out := make(map[string]assignment, n)
	for j, m := range a.members {
		share := assignment{}
		for _, tp := range shares[j] {
			share[tp.id] = append(share[tp.id], tp.partition)
		}
		for _, partitions := range share {
			slices.Sort(partitions)
		}
		out[m.id] = share
	}
	return out
}

// assignRange gives each subscriber of a topic a run of its partitions, in the order of instance and member ids, so that
// topics with as many partitions go together.
func assignRange(a *assigning) map[string]assignment {
	out := make(map[string]assignment, len(a.members))
	order := slices.Clone(a.members)
	slices.SortStableFunc(order, func(x, y *consumerMember) int {
		switch {
		case x.instance != nil && y.instance != nil:
			return strings.Compare(*x.instance, *y.instance)
		case x.instance != nil:
			return -1
		case y.instance != nil:
			return 1
		}
		return strings.Compare(x.id, y.id)
	})
	for _, m := range order {
		out[m.id] = assignment{}
	}
	for _, t := range a.topics {
		var subscribers []*consumerMember
		for _, m := range order {
			if m.subscribes(t.name) {
				subscribers = append(subscribers, m)
			}
		}
		next := int32(0)
		for i, m := range subscribers {
			n := t.partitions / int32(len(subscribers))
			if int32(i) < t.partitions%int32(len(subscribers)) {
				n++
			}
			for range n {
				out[m.id][t.id] = append(out[m.id][t.id], next)
				next++
			}
		}
	}
	return out
}
