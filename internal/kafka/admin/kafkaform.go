package admin

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// WriteTopicAsKafka writes a topic in the lines of kafka-topics.sh --describe, which scripts search; of a view of partitions
// there are only these.
func WriteTopicAsKafka(w io.Writer, t *Topic, view bool) error {
	var set []string
	for _, name := range slices.Sorted(maps.Keys(t.Configs)) {
		set = append(set, name+"="+t.Configs[name])
	}
	var err error
	if !view {
		replicas := 0
		if len(t.Partitions) > 0 {
			replicas = len(t.Partitions[0].Replicas)
		}
		_, err = fmt.Fprintf(w, "Topic: %s\tTopicId: %s\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n",
			t.Topic, t.ID, len(t.Partitions), replicas, strings.Join(set, ","))
	}
	for _, p := range t.Partitions {
		leader := "none"
		if p.Leader >= 0 {
			leader = strconv.Itoa(int(p.Leader))
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s\tElr: \tLastKnownElr: \n",
				t.Topic, p.Partition, leader, commas(p.Replicas), commas(p.ISR))
		}
	}
	return err
}

func commas(ids []int32) string {
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = strconv.Itoa(int(id))
	}
	return strings.Join(text, ",")
}
