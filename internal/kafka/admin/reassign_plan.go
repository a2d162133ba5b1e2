package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// AnyDir stands in a plan for whatever directory of a broker.
const AnyDir = "any"

// Placement says where the replicas of a partition are or shall be: on which brokers, the preferred leader first, and in which
// directory of each.
type Placement struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Replicas  []int32  `json:"replicas"`
	Dirs      []string `json:"log_dirs,omitempty"` // as many as Replicas, or none: AnyDir
}

func (p Placement) name() string { return fmt.Sprintf("%s-%d", p.Topic, p.Partition) }

// dir is where the replica on a broker shall be.
func (p Placement) dir(i int) string {
	if len(p.Dirs) == 0 {
		return AnyDir
	}
	return p.Dirs[i]
}

// Plan says where partitions shall be, sorted by topic and number. Its form in files is that of kafka-reassign-partitions.sh:
//
//	{"version":1,"partitions":[{"topic":"flows","partition":0,"replicas":[1,2],"log_dirs":["any","any"]}]}
type Plan []Placement

type planFile struct {
	Version    int         `json:"version"`
	Partitions []Placement `json:"partitions"`
}

// ReadPlan reads a plan and checks what can be checked without a cluster.
func ReadPlan(r io.Reader) (Plan, error) {
	file := planFile{Version: 1}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, err
	}
	switch {
	case file.Version != 1:
		return nil, fmt.Errorf("version %d: 1 is there", file.Version)
	case len(file.Partitions) == 0:
		return nil, errors.New(`there are no partitions in it; want {"version":1,"partitions":[{"topic":"flows","partition":0,"replicas":[1,2]}]}`)
	}
	plan := Plan(file.Partitions)
	seen := map[string]bool{}
	for _, p := range plan {
		sorted := slices.Sorted(slices.Values(p.Replicas))
		switch {
		case p.Topic == "" || p.Partition < 0:
			return nil, fmt.Errorf("%q, %d: is no partition", p.Topic, p.Partition)
		case seen[p.name()]:
			return nil, fmt.Errorf("%s is there twice", p.name())
		case len(p.Replicas) == 0:
			return nil, fmt.Errorf("%s has no replicas", p.name())
		case sorted[0] < 0:
			return nil, fmt.Errorf("%s: %d is no broker", p.name(), sorted[0])
		case len(slices.Compact(sorted)) < len(p.Replicas):
			return nil, fmt.Errorf("%s has two replicas on one broker", p.name())
		case len(p.Dirs) > 0 && len(p.Dirs) != len(p.Replicas):
			return nil, fmt.Errorf("%s has %d replicas and %d log_dirs", p.name(), len(p.Replicas), len(p.Dirs))
		}
		seen[p.name()] = true
	}
	plan.sort()
	return plan, nil
}

func (p Plan) sort() {
	slices.SortFunc(p, func(a, b Placement) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

// String is the plan in its form in files, on one line.
func (p Plan) String() string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(planFile{1, append([]Placement{}, p...)}); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Partitions are those that the plan is about.
func (p Plan) Partitions() []TopicPartitions {
	of := topicSet{}
	for _, one := range p {
		of.add(one.Topic, one.Partition)
	}
	return of.list()
}

// brokers are all that hold a replica, sorted.
func (p Plan) brokers() []int32 {
	set := map[int32]bool{}
	for _, one := range p {
		for _, id := range one.Replicas {
			set[id] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// of is the placement of a partition in the plan.
func (p Plan) of(topic string, partition int32) (Placement, bool) {
	i := slices.IndexFunc(p, func(one Placement) bool { return one.Topic == topic && one.Partition == partition })
	if i < 0 {
		return Placement{}, false
	}
	return p[i], true
}

// ReadTopicsToMove reads topics from the JSON that kafka-reassign-partitions.sh takes:
//
//	{"topics":[{"topic":"flows"}],"version":1}
func ReadTopicsToMove(r io.Reader) ([]string, error) {
	var file struct {
		Topics []struct {
			Topic string `json:"topic"`
		} `json:"topics"`
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, err
	}
	var topics []string
	for _, t := range file.Topics {
		switch {
		case t.Topic == "":
			return nil, errors.New("a topic has no name")
		case slices.Contains(topics, t.Topic):
			return nil, fmt.Errorf("%s is there twice", t.Topic)
		}
		topics = append(topics, t.Topic)
	}
	if len(topics) == 0 {
		return nil, errors.New(`there are no topics in it; want {"topics":[{"topic":"flows"}],"version":1}`)
	}
	return topics, nil
}

// Rack is where a broker stands; brokers of one rack fail together.
type Rack struct {
	Broker int32
	Rack   string // empty: not known
}

// Propose spreads the partitions of a plan over brokers, as many replicas of each as its topic's first has: every broker leads as
// many as the others but for one, and replicas are on as many racks as there are. What it makes follows from what it is given
// alone.
func Propose(current Plan, brokers []Rack) (Plan, error) {
	ring := interleave(brokers)
	proposed := make(Plan, 0, len(current))
	topic, factor, n := "", 0, 0 // n counts within the topic
	for i, p := range current {
		if p.Topic != topic {
			topic, factor, n = p.Topic, len(p.Replicas), 0
		}
		if factor > len(ring) {
			return nil, fmt.Errorf("topic %s has %d replicas of each partition, and only %d of the brokers are there", topic, factor, len(ring))
		}
		replicas := spread(ring, i, n/max(1, len(ring)), factor)
		dirs := slices.Repeat([]string{AnyDir}, factor)
		proposed = append(proposed, Placement{p.Topic, p.Partition, replicas, dirs})
		n++
	}
	return proposed, nil
}

// interleave puts brokers in an order in which neighbours are in different racks as far as that goes.
func interleave(brokers []Rack) []Rack {
	racks := map[string][]Rack{}
	for _, b := range brokers {
		racks[b.Rack] = append(racks[b.Rack], b)
	}
	for _, r := range racks {
		slices.SortFunc(r, func(a, b Rack) int { return cmp.Compare(a.Broker, b.Broker) })
	}
	names := slices.Sorted(maps.Keys(racks))
	ring := make([]Rack, 0, len(brokers))
	for i := 0; len(ring) < len(brokers); i++ {
		for _, name := range names {
			if i < len(racks[name]) {
				ring = append(ring, racks[name][i])
			}
		}
	}
	return ring
}

// spread picks brokers of a ring: the leader at start, the others from there on after a gap, first of racks that have none yet.
// With gaps that differ, partitions with one leader have their other replicas on different brokers.
func spread(ring []Rack, start, gap, factor int) []int32 {
	picked := []int32{ring[start%len(ring)].Broker}
	used := map[string]bool{ring[start%len(ring)].Rack: true}
	others := len(ring) - 1
	for _, again := range []bool{false, true} {
		for i := 0; i < others && len(picked) < factor; i++ {
			b := ring[(start+1+(gap+i)%others)%len(ring)]
			if slices.Contains(picked, b.Broker) || !again && used[b.Rack] {
				continue
			}
			picked, used[b.Rack] = append(picked, b.Broker), true
		}
	}
	return picked
}
