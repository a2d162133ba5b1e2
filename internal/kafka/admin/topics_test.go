package admin

import (
	"fmt"
	"strings"
	"testing"
)

func TestPartitionViews(t *testing.T) {
	partitions := []Partition{
		{Partition: 0, Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}},
		{Partition: 1, Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2}, Offline: []int32{3}},
		{Partition: 2, Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1}, Offline: []int32{2, 3}},
		{Partition: 3, Leader: -1, Replicas: []int32{2, 3}, ISR: []int32{2}, Offline: []int32{2, 3}},
		{Partition: 4, Leader: 2, Replicas: []int32{2}, ISR: []int32{2}, Offline: []int32{2}},
	}
	for _, c := range []struct {
		views []PartitionView
		want  string
	}{
		{[]PartitionView{UnderReplicated}, "1 2 3"},
		{[]PartitionView{Unavailable}, "3 4"},
		{[]PartitionView{UnderMinISR}, "2 3 4"},
		{[]PartitionView{AtMinISR}, "1"},
		{[]PartitionView{AtMinISR, Unavailable}, "1 3 4"},
	} {
		topic := Topic{MinISR: 2, Partitions: append([]Partition(nil), partitions...)}
		if !topic.Keep(c.views...) {
			t.Errorf("nothing is left; want %s", c.want)
		}
		var got []string
		for _, p := range topic.Partitions {
			got = append(got, fmt.Sprint(p.Partition))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v; want %s", got, c.want)
		}
	}
	whole := Topic{MinISR: 1, Partitions: append([]Partition(nil), partitions[:1]...)}
	if whole.Keep(UnderReplicated, Unavailable, UnderMinISR, AtMinISR) {
		t.Errorf("a topic that lacks nothing: %+v", whole)
	}
}

func TestParseAssignment(t *testing.T) {
	for s, want := range map[string]string{"1": "[[1]]", "1:2,2:3, 3:1": "[[1 2] [2 3] [3 1]]", "0,0": "[[0] [0]]"} {
		if got, err := ParseAssignment(s); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "a", "1:1", "1:2,3", "-1", "1,", "1::2"} {
		if got, err := ParseAssignment(s); err == nil {
			t.Errorf("%s: taken as %v", s, got)
		}
	}
}

func TestReadRecordOffsets(t *testing.T) {
	for text, want := range map[string]string{
		"t,0,5\nt,1,6": "map[:map[t:map[0:5 1:6]]]",
		` {"partitions":[{"topic":"t","partition":0,"offset":-1},{"topic":"u","partition":1,"offset":6}],"version":1}`: "map[:map[t:map[0:-1] u:map[1:6]]]",
	} {
		if got, err := ReadRecordOffsets(strings.NewReader(text)); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":        "nothing in it",
		"{}":      "nothing in it",
		"{":       "unexpected end",
		"g,t,0,1": "without a group",
		`{"partitions":[{"topic":"t","partition":0}]}`:                                                   "entry 1: want topic, partition and offset",
		`{"partitions":[{"topic":"t","offset":0}]}`:                                                      "entry 1: want",
		`{"partitions":[{"topic":"t","partition":0,"offset":-2}]}`:                                       "entry 1: want",
		`{"partitions":[{"topic":"t","partition":0,"offset":1},{"topic":"t","partition":0,"offset":2}]}`: "entry 2: topic t partition 0 for the second time",
		`{"partitions":[{"topic":"t","partition":99999999999,"offset":1}]}`:                              "cannot unmarshal",
	} {
		if got, err := ReadRecordOffsets(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
}
