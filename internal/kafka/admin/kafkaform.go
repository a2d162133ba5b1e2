package admin

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tributary-net/tributary/internal/kafka"
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

// KafkaKind is what kafka-configs.sh calls the kind of a resource.
func (r Resource) KafkaKind() string {
	if r.Kind == ClientMetricsResource {
		return "client-metric"
	}
	return string(r.Kind)
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
	head := which + " configs for " + r.KafkaKind() + " " + r.Name
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

// WriteQuotasAsKafka writes quotas in the lines of kafka-configs.sh --describe.
func WriteQuotasAsKafka(w io.Writer, quotas []Quota) error {
	for _, q := range quotas {
		var who, values []string
		for _, t := range QuotaTypes {
			name, ok := q.Entity[t]
			if t == "user" {
				t = "user-principal"
			}
			switch {
			case !ok:
			case name == nil:
				who = append(who, "the default "+t)
			default:
				who = append(who, t+" '"+*name+"'")
			}
		}
		for _, name := range slices.Sorted(maps.Keys(q.Quotas)) {
			values = append(values, name+"="+string(kafka.AppendFloat(nil, q.Quotas[name], 64)))
		}
		if _, err := fmt.Fprintf(w, "Quota configs for %s are %s\n", strings.Join(who, ", "), strings.Join(values, ", ")); err != nil {
			return err
		}
	}
	return nil
}

// WriteCredentialsAsKafka writes the credentials of users, which are sorted, in the lines of kafka-configs.sh --describe.
func WriteCredentialsAsKafka(w io.Writer, credentials []Credential) error {
	for len(credentials) > 0 {
		user := credentials[0].User
		var all []string
		for len(credentials) > 0 && credentials[0].User == user {
			all = append(all, fmt.Sprintf("%s=iterations=%d", credentials[0].Mechanism, credentials[0].Iterations))
			credentials = credentials[1:]
		}
		if _, err := fmt.Fprintf(w, "SCRAM credential configs for user-principal '%s' are %s\n", user, strings.Join(all, ", ")); err != nil {
			return err
		}
	}
	return nil
}

// WriteACLsAsKafka writes ACLs, which are sorted, in the lines of kafka-acls.sh: those of each resource under a line that says
// what is with them, Current or Adding.
func WriteACLsAsKafka(w io.Writer, what string, acls []ACL) error {
	enum := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
	var b strings.Builder
	for i, a := range acls {
		if before := acls[max(i-1, 0)]; i == 0 || a.Resource != before.Resource || a.Name != before.Name || a.Pattern != before.Pattern {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s ACLs for resource `ResourcePattern(resourceType=%s, name=%s, patternType=%s)`:", what, enum(a.Resource), a.Name, enum(a.Pattern))
			if what == "Adding" {
				b.WriteByte(' ')
			}
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "\t(principal=%s, host=%s, operation=%s, permissionType=%s)\n", a.Principal, a.Host, enum(a.Operation), enum(a.Permission))
	}
	if len(acls) > 0 {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// exception writes the error of an answer as Kafka's tools do: UNKNOWN_TOPIC_OR_PARTITION is an
// org.apache.kafka.common.errors.UnknownTopicOrPartitionException with the broker's words, or those of the code.
func exception(code int16, message *string) string {
	e := kerr.TypedErrorForCode(code)
	if e == nil {
		return ""
	}
	words := e.Description
	if message != nil && *message != "" {
		words = *message
	}
	name := "org.apache.kafka.common.errors."
	for part := range strings.SplitSeq(strings.TrimSuffix(e.Message, "_FAILED"), "_") {
		name += part[:min(1, len(part))] + strings.ToLower(part[min(1, len(part)):])
	}
	return name + "Exception: " + words
}

// WriteTableAsKafka writes the lines of kafka-transactions.sh, the head among them: each column as wide as its widest cell, a tab
// behind each.
func WriteTableAsKafka(w io.Writer, lines [][]string) error {
	width := map[int]int{}
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], len(cell))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(&b, "%-*s\t", width[i], cell)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteGroupsAsKafka writes groups in the lines of kafka-groups.sh --list: all columns as wide as the widest cell.
func WriteGroupsAsKafka(w io.Writer, groups []Group) error {
	width := 20
	for _, g := range groups {
		width = max(width, len(g.Group), len(g.ProtocolType))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s %-*s %-*s\n", width, "GROUP", width, "TYPE", width, "PROTOCOL")
	for _, g := range groups {
		fmt.Fprintf(&b, "%-*s %-*s %-*s \n", width, g.Group, width, g.TypeAsKafka(), width, g.ProtocolType)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// TypeAsKafka is the type as Kafka's tools write it: with a capital letter.
func (g *Group) TypeAsKafka() string {
	return strings.ToUpper(g.Type[:min(1, len(g.Type))]) + g.Type[min(1, len(g.Type)):]
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
