package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReadPlan(t *testing.T) {
	plan, err := ReadPlan(strings.NewReader(`{"partitions":[
		{"topic":"u","partition":0,"replicas":[2],"log_dirs":["/a<b"]},{"topic":"t","partition":10,"replicas":[1,2]},{"topic":"t","partition":9,"replicas":[3]}]}`))
	const want = `{"version":1,"partitions":[{"topic":"t","partition":9,"replicas":[3]},{"topic":"t","partition":10,"replicas":[1,2]},{"topic":"u","partition":0,"replicas":[2],"log_dirs":["/a<b"]}]}`
	if err != nil || plan.String() != want {
		t.Errorf("%s, %v\nwant %s", plan, err, want)
	}
	if again, err := ReadPlan(strings.NewReader(want)); err != nil || again.String() != want {
		t.Errorf("read again: %s, %v", again, err)
	}
	for text, part := range map[string]string{
		`{"partitions":[]}`: "no partitions",
		`{"version":2,"partitions":[{"topic":"t","partition":0,"replicas":[1]}]}`:                                "version 2",
		`{"partitions":[{"topic":"t","partition":0,"replicas":[]}]}`:                                             "t-0 has no replicas",
		`{"partitions":[{"topic":"t","partition":0,"replicas":[2,1,2]}]}`:                                        "two replicas on one broker",
		`{"partitions":[{"topic":"t","partition":0,"replicas":[-1]}]}`:                                           "-1 is no broker",
		`{"partitions":[{"topic":"t","partition":0,"replicas":[1]},{"topic":"t","partition":0,"replicas":[2]}]}`: "t-0 is there twice",
		`{"partitions":[{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any"]}]}`:                       "2 replicas and 1 log_dirs",
		`{"partitions":[{"topic":"","partition":0,"replicas":[1]}]}`:                                             "is no partition",
		`{`: "unexpected EOF",
	} {
		if _, err := ReadPlan(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", text, err, part)
		}
	}
	topics, err := ReadTopicsToMove(strings.NewReader(`{"topics":[{"topic":"b"},{"topic":"a"}],"version":1}`))
	if err != nil || !slices.Equal(topics, []string{"b", "a"}) {
		t.Errorf("topics: %v, %v", topics, err)
	}
	for text, part := range map[string]string{`{"topics":[]}`: "no topics", `{"topics":[{}]}`: "no name", `{"topics":[{"topic":"a"},{"topic":"a"}]}`: "twice"} {
		if _, err := ReadTopicsToMove(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", text, err, part)
		}
	}
}

// FuzzReadPlan takes any file; a plan that is read is written and read again the same.
func FuzzReadPlan(f *testing.F) {
	f.Add(`{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any","/d"]}]}`)
	f.Add(`{"partitions":[{"topic":"","partition":-1,"replicas":[]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		plan, err := ReadPlan(strings.NewReader(text))
		if err != nil {
			return
		}
		if again, err := ReadPlan(strings.NewReader(plan.String())); err != nil || again.String() != plan.String() {
			t.Errorf("%s is read again as %s, %v", plan, again, err)
		}
	})
}

// What is proposed has as many replicas as before, on different brokers and racks as far as these go, and leaders and replicas
// are spread evenly.
func TestPropose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		racks, perRack := rapid.IntRange(1, 4).Draw(t, "racks"), rapid.IntRange(1, 4).Draw(t, "brokers in a rack")
		var brokers []Rack
		rackOf := map[int32]string{}
		for i := range racks * perRack {
			b := Rack{Broker: int32(i) * 3, Rack: fmt.Sprint("r", i/perRack)}
			brokers, rackOf[b.Broker] = append(brokers, b), b.Rack
		}
		brokers = rapid.Permutation(brokers).Draw(t, "brokers")
		factor := rapid.IntRange(1, len(brokers)).Draw(t, "replicas")
		rounds := rapid.IntRange(1, 5).Draw(t, "rounds")
		var current Plan
		for i := range rounds * len(brokers) {
			current = append(current, Placement{Topic: "t", Partition: int32(i), Replicas: slices.Repeat([]int32{99}, factor)})
		}
		proposed, err := Propose(current, brokers)
		if err != nil || len(proposed) != len(current) {
			t.Fatalf("%d of %d, %v", len(proposed), len(current), err)
		}
		leads, holds := map[int32]int{}, map[int32]int{}
		for _, p := range proposed {
			distinct, in := map[int32]bool{}, map[string]bool{}
			for _, id := range p.Replicas {
				distinct[id], in[rackOf[id]] = true, true
				holds[id]++
			}
			leads[p.Replicas[0]]++
			if len(p.Replicas) != factor || len(p.Dirs) != factor || len(distinct) != factor || len(in) != min(factor, racks) {
				t.Fatalf("%d replicas, %d racks: %+v", factor, racks, p)
			}
		}
		for _, b := range brokers {
			if leads[b.Broker] != rounds || holds[b.Broker] != rounds*factor {
				t.Errorf("broker %d leads %d and holds %d, want %d and %d", b.Broker, leads[b.Broker], holds[b.Broker], rounds, rounds*factor)
			}
		}
	})
	two := Plan{{Topic: "t", Replicas: []int32{1, 2}}}
	if _, err := Propose(two, []Rack{{Broker: 1}}); err == nil || !strings.Contains(err.Error(), "only 1") {
		t.Errorf("too few brokers: %v", err)
	}
	if _, err := Propose(two, nil); err == nil {
		t.Error("no brokers")
	}
}

func TestMovesBetween(t *testing.T) {
	current := Plan{{Topic: "t", Partition: 0, Replicas: []int32{1, 2}}, {Topic: "t", Partition: 1, Replicas: []int32{2, 3, 1}}}
	plan := Plan{{Topic: "t", Partition: 0, Replicas: []int32{2, 3}}, {Topic: "t", Partition: 1, Replicas: []int32{2, 4}}}
	running := []Reassignment{
		{Topic: "t", Partition: 1, Replicas: []int32{2, 3, 1}, Adding: []int32{3}, Removing: []int32{1}},
		{Topic: "other", Partition: 5, Replicas: []int32{7, 8}, Adding: []int32{8}, Removing: []int32{7}},
	}
	got := fmt.Sprint(movesBetween(current, plan, running))
	const want = "map[other:map[5:{map[7:true] map[8:true]}] t:map[0:{map[1:true 2:true] map[3:true]} 1:{map[1:true 2:true] map[4:true]}]]"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestReassignmentAsKafka(t *testing.T) {
	one := "/one"
	got := StatesAsKafka([]PlanState{
		{Topic: "t", Partition: 0, State: Completed},
		{Topic: "t", Partition: 1, State: InProgress},
		{Topic: "t", Partition: 2, State: Elsewhere, Replicas: []int32{1, 2}, Wanted: []int32{2}, Dirs: []DirState{
			{Broker: 1, State: Completed},
			{Broker: 2, State: InProgress},
			{Broker: 3, State: MovingElsewhere, Moving: "/two", Wanted: one},
			{Broker: 4, State: NotMoving, Dir: "/two", Wanted: one},
			{Broker: 5, State: NoReplica, Wanted: one},
		}},
	})
	const want = `Status of partition reassignment:
Reassignment of partition t-0 is completed.
Reassignment of partition t-1 is still in progress.
There is no active reassignment of partition t-2, but replica set is 1,2 rather than 2.
Reassignment of replica t-2-1 completed successfully.
Reassignment of replica t-2-2 is still in progress.
Partition t-2 on broker 3 is being moved to log dir /two instead of /one.
Partition t-2 on broker 4 is not being moved from log dir /two to /one.
Partition t-2 cannot be found in any live log directory on broker 5.
`
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	plan := Plan{{Topic: "t", Partition: 0, Replicas: []int32{1, 2}}, {Topic: "t", Partition: 1, Replicas: []int32{1}}}
	err := KeepFactor(Plan{{Topic: "t", Partition: 0, Replicas: []int32{1}}, {Topic: "t", Partition: 1, Replicas: []int32{2}}}, plan)
	if got, want := RefusedAsKafka("Error reassigning partition(s)", err), "Error reassigning partition(s):\nt-0: The replication factor is changed from 1 to 2\n"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := RefusedAsKafka("Error", fmt.Errorf("no answer")); got != "" {
		t.Errorf("another error: %q", got)
	}
	these := []Reassignment{{Topic: "t", Partition: 0, Replicas: []int32{1, 2}, Adding: []int32{2}}, {Topic: "t", Partition: 1, Replicas: []int32{1}, Removing: []int32{3}}}
	if got, want := ReassignmentsAsKafka(these), "Current partition reassignments:\nt-0: replicas: 1,2. adding: 2.\nt-1: replicas: 1. removing: 3.\n"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	moves := []DirMove{{replica{"t", 0, 1}, one}}
	if got, want := CancelledAsKafka(these, moves), "Successfully cancelled partition reassignments for: t-0,t-1\nSuccessfully started moving log directory to /one for replica t-0 with broker 1 \n"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
