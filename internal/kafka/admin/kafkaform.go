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

// WriteSettingsAsKafka writes the configuration of a resource, or with all what is inherited and default too, in the lines of
// kafka-configs.sh --describe.
func WriteSettingsAsKafka(w io.Writer, r Resource, settings []Setting, all bool) error {
	text := func(v *string) string {
		if v == nil {
			return "null"
		}
		return *v
	}
	which := "Dynamic"
	if all {
		which = "All"
	}
	head := which + " configs for " + r.String()
	if r.Kind == BrokerResource && r.Name == "" {
		head = "Default configs for brokers in the cluster"
	}
	_, err := fmt.Fprintf(w, "%s are:\n", head)
	for _, s := range settings {
		behind := make([]string, len(s.Synonyms))
		for i, y := range s.Synonyms {
			behind[i] = kafkaSources.Replace(y.Source) + ":" + y.Name + "=" + text(y.Value)
		}
		if err == nil {
			_, err = fmt.Fprintf(w, "  %s=%s sensitive=%t synonyms={%s}\n", s.Name, text(s.Value), s.Sensitive, strings.Join(behind, ", "))
		}
	}
	return err
}

// kafkaSources has the sources that Kafka's tools call otherwise than its protocol does.
var kafkaSources = strings.NewReplacer("GROUP_CONFIG", "DYNAMIC_GROUP_CONFIG", "CLIENT_METRICS_CONFIG", "DYNAMIC_CLIENT_METRICS_CONFIG")

func commas(ids []int32) string {
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = strconv.Itoa(int(id))
	}
	return strings.Join(text, ",")
}
