package broker_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// meantDifference is one that docs/kafka.md tells of.
type meantDifference struct {
	is  *regexp.Regexp
	why string
}

var meant = []meantDifference{
	{regexp.MustCompile(`^ApiVersions .ApiKeys: ours none, Kafka `), "requests that are not served"},
	{regexp.MustCompile(`^CreateTopics .Topics.Configs: ours none, Kafka "(remote.log|compression.*level)`), "settings of what is not done here"},
	{regexp.MustCompile(`^DescribeConfigs .Resources.Configs: ours none, Kafka "(remote.log|compression.*level)`), "settings of what is not done here"},
	{regexp.MustCompile(`^DescribeConfigs .Resources.Configs(.ConfigSynonyms)?.Value: ours "604800000", Kafka null`), "Apache Kafka's own is log.retention.hours"},
	{regexp.MustCompile(`^ListConfigResources .ConfigResources: ours none, Kafka "?BROKER_LOGGER|^ListConfigResources .ConfigResources: ours none, Kafka "1"`), "loggers cannot be changed"},
	{regexp.MustCompile(`^ElectLeaders .Topics: ours none`), "Apache Kafka lists all topics, without partitions"},
	{regexp.MustCompile(`^Produce .Topics.Partitions.ErrorCode: ours 32, Kafka 87`), "what is said first of several faults of a batch"},
	{regexp.MustCompile(`^Produce .Topics.Partitions.ErrorRecords: ours none`), "the batch is told of, not its records"},
	{regexp.MustCompile(`^Produce .Topics: ours "[^"]*", Kafka none`), "topics without partitions"},
	{regexp.MustCompile(`^Fetch .Topics.Partitions.AbortedTransactions: ours (null|a list), Kafka (null|a list)$`), "no aborted transactions"},
	{regexp.MustCompile(`^Fetch .Topics.Partitions.(HighWatermark|LastStableOffset|LogStartOffset): ours \d+, Kafka -1$`), "a fetch that Apache Kafka breaks on"},
	{regexp.MustCompile(`^Produce .Topics.Partitions.LogStartOffset: ours (-1, Kafka 0|0, Kafka -1)$`), "where the log of a batch that is refused begins"},
	{regexp.MustCompile(`^ApiVersions .ApiKeys.M..Version: `), "more versions of some requests"},
	{regexp.MustCompile(`^DescribeConfigs .Resources.Configs: ours none, Kafka "(share|streams)[.]`), "kinds of groups that are not served"},
	{regexp.MustCompile(`^DescribeConfigs .Resources.Configs: ours none, Kafka "(interval.ms|match|metrics)"`), "there are no client metrics"},
	{regexp.MustCompile(`^DescribeConfigs .Resources.Configs.ConfigSynonyms: ours "log.(retention|roll).ms", Kafka none`), "Apache Kafka's own are in hours"},
	{regexp.MustCompile(`^AlterUserSCRAMCredentials .Results.ErrorCode: ours 0, Kafka 92`), "a credential of a user taken away and one of the other mechanism given"},
	{regexp.MustCompile(`^AlterClientQuotas .Entries: ours .*, Kafka none`), "an entity that is there twice is told of twice"},
	{regexp.MustCompile(`^ListConfigResources .ConfigResources`), "loggers cannot be changed"},
	{regexp.MustCompile(`^ApiVersions .(SupportedFeatures|FinalizedFeatures|FinalizedFeaturesEpoch): `), "features of other things"},
	{regexp.MustCompile(`^Produce .Topics.Partitions.ErrorCode: ours (2|120), Kafka 87`), "a batch that breaks off is a corrupt one"},
	{regexp.MustCompile(`^Produce .Topics.Partitions.ErrorCode: ours \d+, Kafka 53`), "one partition without a right to its transaction, all refused"},
	{regexp.MustCompile(`^OffsetCommit .Topics: ours none, Kafka `), "topics without partitions"},
	{regexp.MustCompile(`^AlterUserSCRAMCredentials .Results.ErrorCode: ours 93, Kafka 92`), "what is said first of several faults"},
	{regexp.MustCompile(`^DescribeConfigs .Resources.Configs.Source: ours DEFAULT_CONFIG, Kafka STATIC_BROKER_CONFIG`), "set for this comparison"},
	{regexp.MustCompile(`^DescribeConfigs .Resources.Configs.ConfigSynonyms: ours none, Kafka "group.consumer.assignment.interval.ms"`), "it has no meaning here"},
	{regexp.MustCompile(`^CreateTopics .Topics.TopicID: ours \[0 0 .*, Kafka`), "a topic that is only checked has no id"},
	{regexp.MustCompile(`^AlterClientQuotas .Entries: ours none, Kafka `), "an entity that is there twice is told of once"},
	{regexp.MustCompile(`^TxnOffsetCommit .Topics.Partitions.ErrorCode: ours 12, Kafka 49`), "what is said first of several faults"},
	{regexp.MustCompile(`^Produce answer: ours <nil>, Kafka no answer$`), "a request that Apache Kafka never answers"},
	{regexp.MustCompile(`^Produce .Topics.Partitions.ErrorCode: ours 21, Kafka 87`), "what is said first of several faults"},
	{regexp.MustCompile(`^ConsumerGroupDescribe .Groups.Members.Assignment.TopicPartitions: ours none`), "partitions that a member is to give up are its no more"},
	{regexp.MustCompile(`^JoinGroup .Protocol: ours "", Kafka null`), "a protocol without a name"},
	{regexp.MustCompile(`^ListGroups .Groups: ours none, Kafka `), "a commit that is refused for its metadata makes a group there"},
	{regexp.MustCompile(`^WriteTxnMarkers .Markers: ours , Kafka none`), "a marker for no partition"},
	{regexp.MustCompile(`^TxnOffsetCommit .Topics.Partitions.ErrorCode: ours (42|49), Kafka 47`), "what is said first of several faults"},
	{regexp.MustCompile(`^(DeleteRecords|OffsetCommit) .Topics(.Partitions)?: ours ("[^"]*", Kafka none|none, Kafka \d)`), "a topic that is there twice is told of twice"},
	{regexp.MustCompile(`^DescribeACLs .ErrorCode: ours 42, Kafka 0`), "a filter with what is none"},
}

// requests makes requests by chance, of few names so that they meet, and with what was answered before.
type requests struct {
	*pair
	seed       uint64
	rng        *rand.Rand
	generation map[string]int32    // of a group, as its last answer says
	members    map[string][]string // of a group, as symbols
	epoch      map[string]int16    // of a producer symbol or transactional id
	owner      map[string]int      // a transactional id's producer symbol
	session    int32
	sequence   map[string]int32
}

func newRequests(p *pair, seed uint64) *requests {
	return &requests{
		pair: p, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), generation: map[string]int32{}, members: map[string][]string{},
		epoch: map[string]int16{}, owner: map[string]int{}, sequence: map[string]int32{},
	}
}

// one is true once in n times.
func (g *requests) one(n int) bool { return g.rng.IntN(n) == 0 }

// pick takes one of the words: mostly one of the first ones.
func pick[T any](g *requests, words ...T) T {
	if n := (len(words) + 1) / 2; !g.one(4) {
		return words[g.rng.IntN(n)]
	}
	return words[g.rng.IntN(len(words))]
}

// theme is what a round is about: the requests it plays and how often.
type theme map[kmsg.Key]int

var themes = []theme{
	{kmsg.CreateTopics: 6, kmsg.DeleteTopics: 3, kmsg.CreatePartitions: 3, kmsg.Metadata: 3, kmsg.DescribeTopicPartitions: 2, kmsg.DescribeCluster: 1, kmsg.ListPartitionReassignments: 1, kmsg.AlterPartitionAssignments: 2, kmsg.ElectLeaders: 2, kmsg.DescribeLogDirs: 1, kmsg.AlterReplicaLogDirs: 1, kmsg.FindCoordinator: 1, kmsg.ApiVersions: 1},
	{kmsg.CreateTopics: 2, kmsg.DescribeConfigs: 4, kmsg.AlterConfigs: 3, kmsg.IncrementalAlterConfigs: 6, kmsg.ListConfigResources: 1},
	{kmsg.Produce: 8, kmsg.Fetch: 6, kmsg.ListOffsets: 4, kmsg.OffsetForLeaderEpoch: 2, kmsg.DeleteRecords: 3, kmsg.InitProducerID: 2, kmsg.DescribeProducers: 1, kmsg.IncrementalAlterConfigs: 1},
	{kmsg.JoinGroup: 6, kmsg.SyncGroup: 4, kmsg.Heartbeat: 3, kmsg.LeaveGroup: 2, kmsg.OffsetCommit: 3, kmsg.OffsetFetch: 3, kmsg.OffsetDelete: 2, kmsg.DescribeGroups: 2, kmsg.ListGroups: 2, kmsg.ConsumerGroupDescribe: 1, kmsg.DeleteGroups: 2, kmsg.FindCoordinator: 1},
	{kmsg.ConsumerGroupHeartbeat: 10, kmsg.ConsumerGroupDescribe: 3, kmsg.OffsetCommit: 3, kmsg.OffsetFetch: 3, kmsg.OffsetDelete: 2, kmsg.DescribeGroups: 1, kmsg.ListGroups: 2, kmsg.DeleteGroups: 1, kmsg.LeaveGroup: 1, kmsg.Heartbeat: 1},
	{kmsg.InitProducerID: 5, kmsg.AddPartitionsToTxn: 5, kmsg.AddOffsetsToTxn: 3, kmsg.TxnOffsetCommit: 3, kmsg.EndTxn: 5, kmsg.Produce: 5, kmsg.Fetch: 2, kmsg.ListOffsets: 2, kmsg.DescribeTransactions: 3, kmsg.ListTransactions: 2, kmsg.DescribeProducers: 2, kmsg.OffsetFetch: 2, kmsg.WriteTxnMarkers: 1},
	{kmsg.CreateACLs: 4, kmsg.DescribeACLs: 4, kmsg.DeleteACLs: 2, kmsg.AlterClientQuotas: 4, kmsg.DescribeClientQuotas: 4, kmsg.AlterUserSCRAMCredentials: 4, kmsg.DescribeUserSCRAMCredentials: 3},
}

// play sends so many requests, after topics to work on, and ends at the first difference.
func (g *requests) play(n int) {
	create := kmsg.NewPtrCreateTopicsRequest()
	create.SetVersion(5)
	for i := range 3 {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = fmt.Sprintf("%st%d", g.begun, i), int32(1+i), 1
		if i == 2 {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = "cleanup.policy", kmsg.StringPtr("compact")
			t.Configs = append(t.Configs, c)
		}
		create.Topics = append(create.Topics, t)
	}
	g.step(create)
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.SetVersion(12)
	for i := range create.Topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &create.Topics[i].Topic
		metadata.Topics = append(metadata.Topics, t)
	}
	g.step(metadata)
	about := themes[g.seed%uint64(len(themes))]
	var deck []kmsg.Key
	for key, times := range about {
		for range times {
			deck = append(deck, key)
		}
	}
	slices.Sort(deck)
	for i := 0; i < n && !g.over; i++ {
		key := deck[g.rng.IntN(len(deck))]
		req := key.Request()
		lo, hi := g.lowest[key.Int16()], min(g.versions[key.Int16()], req.MaxVersion())
		req.SetVersion(lo + int16(g.rng.IntN(int(hi-lo)+1)))
		g.fill(key.Name(), reflect.ValueOf(req).Elem())
		g.adjust(req)
		g.learn(req, g.step(req))
	}
}

// once are the messages that get nothing twice: Apache Kafka gives no answer, or one of its own to each of several ways to say so.
var once = map[string]bool{"AlterConfigs": true, "Fetch": true, "Fetch.Topics": true, "AlterClientQuotas": true, "WriteTxnMarkers.Markers": true, "ListOffsets": true, "ListOffsets.Topics": true, "AddPartitionsToTxn": true, "AddPartitionsToTxn.Topics": true, "Produce": true, "Produce.Topics": true}

// fill sets the fields of a message by their names.
func (g *requests) fill(message string, v reflect.Value) {
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
	for i := range v.NumField() {
		f, x := v.Type().Field(i), v.Field(i)
		if f.Name == "Version" || f.Name == "UnknownTags" {
			continue
		}
		if value, ok := g.field(message, f.Name); ok {
			g.set(x, value)
			continue
		}
		switch {
		case x.Kind() == reflect.Slice && x.Type().Elem().Kind() == reflect.Struct:
			n := pick(g, 1, 1, 1, 2, 0, 3)
			if n == 0 && f.Name == "Partitions" {
				n = 1
			}
			if n == 0 && g.one(2) {
				continue
			}
			x.Set(reflect.MakeSlice(x.Type(), n, n))
			for j := range n {
				g.fill(message+"."+f.Name, x.Index(j))
			}
			if !g.one(20) || once[message] {
				x.Set(distinct(x))
			}
		case x.Kind() == reflect.Slice && x.Type().Elem().Kind() != reflect.Uint8:
			n := pick(g, 1, 1, 2, 0)
			if n == 0 && f.Name == "Partitions" && !strings.HasPrefix(message, "OffsetFetch") {
				n = 1
			}
			x.Set(reflect.MakeSlice(x.Type(), n, n))
			for j := range n {
				if value, ok := g.field(message, f.Name+"[]"); ok {
					g.set(x.Index(j), value)
				}
			}
			if !g.one(20) || once[message] {
				x.Set(distinct(x))
			}
		}
	}
}

// distinct leaves out elements with the name of an earlier one.
func distinct(list reflect.Value) reflect.Value {
	seen := map[string]bool{}
	out := reflect.MakeSlice(list.Type(), 0, list.Len())
	for i := range list.Len() {
		v := list.Index(i)
		name := render(v.Interface())
		if v.Kind() == reflect.Struct {
			name = render(v.Field(0).Interface())
			if f := v.FieldByName("TopicID"); f.IsValid() {
				if id := render(f.Interface()); !f.IsZero() && seen[id] {
					continue
				} else {
					seen[id] = true
				}
			}
			if f := v.FieldByName("ResourceName"); f.IsValid() {
				name += render(f.Interface())
			}
		}
		if !seen[name] {
			seen[name] = true
			out = reflect.Append(out, v)
		}
	}
	return out
}

// set puts a value in a field, whatever integer or pointer it is.
func (g *requests) set(x reflect.Value, value any) {
	v := reflect.ValueOf(value)
	switch {
	case value == nil:
		x.SetZero()
	case x.Kind() == reflect.Pointer:
		p := reflect.New(x.Type().Elem())
		p.Elem().Set(v.Convert(x.Type().Elem()))
		x.Set(p)
	default:
		x.Set(v.Convert(x.Type()))
	}
}

// name is one of the round's names of a kind.
func (g *requests) name(kind string, n int) string {
	return fmt.Sprintf("%s%s%d", g.begun, kind, g.rng.IntN(n))
}

func (g *requests) topic() string {
	if !g.one(12) {
		return g.name("t", 4)
	}
	return pick(g, g.begun+"none", g.begun+"t.0", g.begun+"t_0", g.begun+"bad/name", g.begun+"bad name", g.begun+strings.Repeat("x", 250), "..", "")
}

func (g *requests) group() string {
	if g.one(25) {
		return g.begun + "none"
	}
	return g.name("g", 2)
}

// known is a symbol of a kind, one that no broker knows, or nothing.
func (g *requests) known(kind string, none, unknown any) any {
	if all := g.of(kind); len(all) > 0 && !g.one(8) {
		return g.value(all[g.rng.IntN(len(all))])
	}
	if g.one(2) {
		return none
	}
	return unknown
}

// field is a value for a field, by the names of the message and the field.
func (g *requests) field(message, field string) (any, bool) {
	maybe := func(value any) (any, bool) {
		if g.one(3) {
			return nil, true
		}
		return value, true
	}
	switch message + "." + field {
	case "Metadata.Topics.Topic":
		return g.topic(), true
	case "DeleteTopics.Topics.TopicID", "Metadata.Topics.TopicID", "Produce.Topics.TopicID":
		return g.known("topic", [16]byte{}, [16]byte{1}), true
	case "ApiVersions.ClientSoftwareName", "ApiVersions.ClientSoftwareVersion":
		return pick(g, "differ", "1.0", "", "bad name!"), true
	case "FindCoordinator.CoordinatorKey", "FindCoordinator.CoordinatorKeys[]":
		return g.group(), true
	case "FindCoordinator.CoordinatorType":
		return pick(g, 0, 1, 0, 1, 3), true
	case "CreateTopics.Topics.NumPartitions":
		return pick(g, 1, 2, 3, -1, 0, -2, 20000), true
	case "CreateTopics.Topics.ReplicationFactor":
		return pick(g, 1, -1, 1, 0, 2, -2), true
	case "CreateTopics.Topics.ReplicaAssignment", "CreatePartitions.Topics.Assignment":
		if !g.one(6) {
			return nil, true
		}
		return nil, false
	case "CreatePartitions.Topics.Count":
		return pick(g, 2, 3, 4, 1, 0, -1, 20000), true
	case "DescribeConfigs.Resources.ResourceType", "AlterConfigs.Resources.ResourceType", "IncrementalAlterConfigs.Resources.ResourceType":
		if strings.HasPrefix(message, "Describe") {
			return pick(g, 2, 2, 4, 32, 2, 0, 16, 99), true
		}
		return pick(g, 2, 2, 4, 32, 2, 0, 99), true
	case "DescribeConfigs.Resources.ResourceName", "AlterConfigs.Resources.ResourceName", "IncrementalAlterConfigs.Resources.ResourceName":
		return g.topic(), true // adjusted to the type
	case "CreateTopics.Topics.Configs":
		if g.one(2) {
			return nil, true
		}
		return nil, false
	case "IncrementalAlterConfigs.Resources.Configs.Op":
		return pick(g, 0, 0, 1, 2, 3, 9), true
	case "DescribeConfigs.Resources.ConfigNames":
		if g.one(8) {
			return nil, true
		}
		return nil, false
	case "DescribeConfigs.Resources.ConfigNames[]":
		return g.config(2), true
	case "ListConfigResources.ResourceTypes[]":
		return pick(g, 2, 4, 32, 8, 16, 0, 99), true
	case "AlterReplicaLogDirs.Dirs.Dir":
		return "/nowhere", true
	case "DeleteTopics.TopicNames[]":
		return g.topic(), true
	case "ElectLeaders.ElectionType":
		return pick(g, 0, 1, 7), true
	case "ElectLeaders.Topics", "ListPartitionReassignments.Topics", "DescribeLogDirs.Topics", "Metadata.Topics":
		if g.one(4) {
			return nil, true
		}
		return nil, false
	case "DescribeTopicPartitions.ResponsePartitionLimit":
		return pick(g, 2000, 2, 1, 0, -1), true
	case "DescribeTopicPartitions.Cursor":
		return nil, true
	case "DescribeCluster.EndpointType":
		return pick(g, 1, 1, 2, 9), true
	case "Produce.Acks":
		return pick(g, -1, -1, 1, 1, 0, 2), true
	case "Produce.Topics.Partitions.Records":
		return g.records(), true
	case "Produce.TransactionID":
		return nil, true
	case "Fetch.ReplicaState":
		return kmsg.NewFetchRequestReplicaState(), true
	case "Fetch.ReplicaID", "ListOffsets.ReplicaID":
		return -1, true
	case "OffsetForLeaderEpoch.ReplicaID":
		return -2, true
	case "Fetch.SessionID":
		return g.known("session", int32(0), int32(77)), true
	case "Fetch.SessionEpoch":
		return pick(g, -1, 0, int(g.session), 1, 5), true
	case "Fetch.MaxWaitMillis":
		return pick(g, 50, 0), true
	case "Fetch.MinBytes":
		return pick(g, 0, 1), true
	case "Fetch.MaxBytes":
		return pick(g, 1<<20, 100, 0), true
	case "Fetch.ForgottenTopics":
		if !g.one(5) {
			return nil, true
		}
		return nil, false
	case "Fetch.Topics.Partitions.PartitionMaxBytes":
		return pick(g, 1<<20, 100, 0), true
	case "Fetch.Topics.Partitions.LogStartOffset", "OffsetCommit.RetentionTimeMillis", "OffsetCommit.Topics.Partitions.Timestamp":
		return -1, true
	case "Fetch.Topics.Partitions.LastFetchedEpoch":
		return pick(g, -1, -1, 0, 1), true
	case "Fetch.Topics.Partitions.FetchOffset", "DeleteRecords.Topics.Partitions.Offset":
		return pick(g, 0, 1, 2, 3, 5, -1, 100, math.MaxInt64, -2), true
	case "ListOffsets.Topics.Partitions.Timestamp":
		return pick(g, -1, -2, 1_700_000_000_000, 1_700_000_000_001, -3, -4, -5, -6, 0, -9, 1_800_000_000_000), true
	case "OffsetForLeaderEpoch.Topics.Partitions.LeaderEpoch":
		return pick(g, 0, 0, 1, -1, 7), true
	case "InitProducerID.TransactionalID":
		return maybe(pick(g, g.name("x", 2), g.name("x", 2), ""))
	case "InitProducerID.TransactionTimeoutMillis":
		return pick(g, 60000, 60000, 60000, 0, -1, math.MaxInt32), true
	case "DescribeTransactions.TransactionalIDs[]":
		return pick(g, g.name("x", 2), g.name("x", 2), g.begun+"none", ""), true
	case "ListTransactions.StateFilters[]":
		return pick(g, "Ongoing", "CompleteCommit", "Empty", "CompleteAbort", "Dead", "nonsense", "ongoing"), true
	case "ListTransactions.DurationFilterMillis":
		return pick(g, -1, -1, 100000000, -5), true
	case "ListTransactions.TransactionalIDPattern":
		return maybe(pick(g, g.begun+".*", g.begun+"x0", "", "(", "none.*"))
	case "ListTransactions.StateFilters", "ListTransactions.ProducerIDFilters":
		if g.one(2) {
			return nil, true
		}
		return nil, false
	case "ListTransactions.ProducerIDFilters[]":
		return g.known("producer", int64(-1), int64(99999)), true
	case "WriteTxnMarkers.Markers.TransactionVersion":
		return 0, true
	case "JoinGroup.SessionTimeoutMillis":
		return pick(g, 60000, 60000, 60000, 0, math.MaxInt32, -1), true
	case "JoinGroup.RebalanceTimeoutMillis":
		return 60000, true
	case "JoinGroup.ProtocolType", "SyncGroup.ProtocolType":
		return pick(g, "consumer", "consumer", "consumer", "connect", ""), true
	case "JoinGroup.Protocols.Name", "SyncGroup.Protocol":
		return pick(g, "range", "range", "range", "roundrobin", ""), true
	case "JoinGroup.Protocols.Metadata":
		return subscription(g.topic()), true
	case "JoinGroup.Reason", "LeaveGroup.Members.Reason":
		return maybe("because")
	case "SyncGroup.GroupAssignment.MemberAssignment":
		return pick(g, []byte("assignment"), []byte{}), true
	case "ListGroups.StatesFilter", "ListGroups.TypesFilter":
		if g.one(2) {
			return nil, true
		}
		return nil, false
	case "ListGroups.StatesFilter[]":
		return pick(g, "Stable", "Empty", "CompletingRebalance", "stable", "PreparingRebalance", "Dead", "Assigning", "nonsense"), true
	case "ListGroups.TypesFilter[]":
		return pick(g, "classic", "consumer", "Consumer", "share", "nonsense"), true
	case "DescribeGroups.Groups[]", "DeleteGroups.Groups[]", "ConsumerGroupDescribe.Groups[]":
		return g.group(), true
	case "OffsetFetch.Topics", "OffsetFetch.Groups.Topics":
		if g.one(3) {
			return nil, true
		}
		return nil, false
	case "OffsetFetch.Groups.MemberID":
		return nil, true
	case "OffsetFetch.Groups.MemberEpoch":
		return -1, true
	case "OffsetCommit.Topics.Partitions.Offset", "TxnOffsetCommit.Topics.Partitions.Offset":
		return pick(g, 0, 1, 5, 7, -1, -2), true
	case "OffsetCommit.Topics.Partitions.LeaderEpoch", "TxnOffsetCommit.Topics.Partitions.LeaderEpoch":
		return pick(g, -1, 0, 0, 5), true
	case "OffsetCommit.Topics.Partitions.Metadata", "TxnOffsetCommit.Topics.Partitions.Metadata":
		return maybe(pick(g, "", "note", "note", strings.Repeat("m", 5000)))
	case "ConsumerGroupHeartbeat.RackID":
		return pick[any](g, nil, nil, "rack", ""), true
	case "ConsumerGroupHeartbeat.RebalanceTimeoutMillis":
		return pick(g, 60000, -1, -1, 0, -2), true
	case "ConsumerGroupHeartbeat.SubscribedTopicNames[]":
		return g.topic(), true
	case "ConsumerGroupHeartbeat.SubscribedTopicNames":
		if g.one(3) {
			return nil, true
		}
		return nil, false
	case "ConsumerGroupHeartbeat.SubscribedTopicRegex":
		return pick[any](g, nil, nil, nil, "", "("), true // Apache Kafka looks for topics of a good one later
	case "ConsumerGroupHeartbeat.ServerAssignor":
		return pick[any](g, nil, nil, "uniform", "range", "nonsense", ""), true
	case "ConsumerGroupHeartbeat.Topics.TopicID":
		return g.known("topic", [16]byte{}, [16]byte{1}), true
	case "ConsumerGroupHeartbeat.Topics":
		if g.one(3) {
			return nil, true
		}
		return nil, false
	case "AlterClientQuotas.Entries.Entity.Type", "DescribeClientQuotas.Components.EntityType":
		return pick(g, "user", "client-id", "ip", "nonsense"), true
	case "AlterClientQuotas.Entries.Entity.Name", "DescribeClientQuotas.Components.Match":
		return pick[any](g, g.name("u", 2), g.name("u", 2), "127.0.0.1", "", "300.1.1.1"), true
	case "DescribeClientQuotas.Components.MatchType":
		return pick(g, 0, 0, 1, 2, 7), true
	case "AlterClientQuotas.Entries.Ops.Key":
		return pick(g, "producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate", "nonsense"), true
	case "AlterClientQuotas.Entries.Ops.Value":
		return pick(g, 1e9, 5e9, 2e9+0.5, 0, -1), true
	case "AlterUserSCRAMCredentials.Deletions.Name", "AlterUserSCRAMCredentials.Upsertions.Name", "DescribeUserSCRAMCredentials.Users.Name":
		return pick(g, g.name("u", 3), g.name("u", 3), g.name("u", 3), ""), true
	case "AlterUserSCRAMCredentials.Deletions.Mechanism", "AlterUserSCRAMCredentials.Upsertions.Mechanism":
		return pick(g, 1, 2, 1, 0, 3), true
	case "AlterUserSCRAMCredentials.Upsertions.Iterations":
		return pick(g, 4096, 8192, 16384, 4095, 16385, 0), true
	case "AlterUserSCRAMCredentials.Upsertions.Salt", "AlterUserSCRAMCredentials.Upsertions.SaltedPassword":
		return pick(g, []byte("0123456789abcdef"), []byte("fedcba9876543210")), true
	case "CreateACLs.Creations.ResourceName", "DescribeACLs.ResourceName", "DeleteACLs.Filters.ResourceName":
		return pick(g, g.name("t", 2), g.begun, g.begun+"none", ""), true
	}
	if strings.Contains(message, "ACLs") {
		filter := !strings.HasPrefix(message, "CreateACLs")
		switch field {
		case "ResourceType":
			return pick(g, 2, 3, 5, 4, 1, 6, 7, 0, 99), true
		case "ResourcePatternType":
			if filter {
				return pick(g, 3, 4, 2, 1, 0, 9), true
			}
			return pick(g, 3, 4, 2, 1, 0, 9), true
		case "Principal":
			s := pick(g, "User:"+g.name("u", 2), "User:"+g.name("u", 2), "nonsense", "", "User:")
			if filter && g.one(2) {
				return nil, true
			}
			return s, true
		case "Host":
			s := pick(g, "*", "127.0.0.1", "not an address")
			if filter && g.one(2) {
				return nil, true
			}
			return s, true
		case "Operation":
			if filter {
				return pick(g, 1, 3, 2, 0, 9, 99), true
			}
			return pick(g, 3, 4, 8, 2, 9, 5, 1, 0, 99), true
		case "PermissionType":
			if filter {
				return pick(g, 1, 3, 2, 0, 9), true
			}
			return pick(g, 3, 2, 1, 0, 9), true
		}
	}
	switch field {
	case "Topic":
		return g.topic(), true
	case "TopicID":
		return g.known("topic", [16]byte{}, [16]byte{1}), true
	case "Partition", "Partitions[]":
		return pick(g, 0, 0, 0, 1, 1, 2, -1, 99), true
	case "Replicas[]":
		return pick(g, 1, 1, 2, -1), true
	case "Group":
		return g.group(), true
	case "InstanceID":
		return pick[any](g, nil, nil, nil, g.begun+"i0", g.begun+"i1"), true
	case "CurrentLeaderEpoch":
		return pick(g, -1, 0, -1, 1), true
	case "IsolationLevel":
		return pick(g, 0, 1), true
	case "TimeoutMillis":
		return 10000, true
	case "TransactionalID":
		return pick(g, g.name("x", 2), g.name("x", 2), g.begun+"none", ""), true
	case "ValidateOnly", "Strict", "Remove", "IncludeSynonyms", "IncludeDocumentation", "RequireStable", "IncludeTopicAuthorizedOperations", "IncludeClusterAuthorizedOperations", "IncludeAuthorizedOperations", "IncludeFencedBrokers":
		return g.one(4), true
	case "Commit", "Committed", "AllowReplicationFactorChange":
		return g.one(2), true
	case "ProducerID":
		return g.known("producer", int64(-1), int64(99999)), true
	case "ProducerEpoch":
		return pick(g, 0, 0, 1, -1, 5), true
	case "MemberID":
		return g.known("member", "", "unknown"), true
	case "Generation", "MemberEpoch":
		return pick(g, 1, 1, 0, -1, 2, 3, -2), true
	}
	return nil, false
}

// config is a name of a topic's (2), broker's (4) or group's (32) config.
func (g *requests) config(typ int) string {
	switch typ {
	case 4:
		return pick(g, "message.max.bytes", "log.retention.ms", "log.segment.bytes", "max.connections.per.ip", "log.retention.bytes", "log.roll.ms")
	case 32:
		return pick(g, "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms", "nonsense")
	}
	return pick(g, "cleanup.policy", "retention.ms", "retention.bytes", "segment.bytes", "max.message.bytes", "compression.type", "message.timestamp.type", "min.insync.replicas",
		"segment.ms", "flush.ms", "leader.replication.throttled.replicas", "min.cleanable.dirty.ratio", "preallocate", "unclean.leader.election.enable", "delete.retention.ms", "index.interval.bytes", "segment.index.bytes", "segment.jitter.ms", "nonsense", "remote.storage.enable", "message.format.version", "max.compaction.lag.ms", "min.compaction.lag.ms", "file.delete.delay.ms", "local.retention.ms", "message.timestamp.before.max.ms", "message.timestamp.after.max.ms")
}

// setting is a value for a config.
func (g *requests) setting(name string) *string {
	var s string
	switch name {
	case "cleanup.policy":
		s = pick(g, "delete", "compact", "compact,delete", "delete, compact", "", "nonsense", "delete,", " compact ", "delete,delete")
	case "compression.type":
		s = pick(g, "lz4", "producer", "zstd", "gzip", "none", "uncompressed", "LZ4", "")
	case "message.timestamp.type":
		s = pick(g, "CreateTime", "LogAppendTime", "nonsense", "")
	case "min.cleanable.dirty.ratio":
		s = pick(g, "0.5", "1", "0", "2", "-1", "x", ".1", "1e-1", " 0.3 ")
	case "preallocate", "unclean.leader.election.enable", "remote.storage.enable":
		s = pick(g, "false", "true", "TRUE", "False", "x", "", " true ")
	case "leader.replication.throttled.replicas":
		s = pick(g, "*", "0:1", "0:1,1:1", "x", "0:1, 1:1", "")
	case "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms":
		s = pick(g, "45000", "6000", "50000", "1", "x", "-1", "100000")
	case "segment.bytes", "message.max.bytes", "log.segment.bytes", "log.roll.ms", "max.connections.per.ip":
		s = pick(g, "1048576", "2000000", " 5000000 ", "x", "-1", "", "1.5", "99999999999999999999", "+5000000")
	default:
		s = pick(g, "1048576", "100000", "2000000", " 5000000 ", "1", "0", "-1", "-2", "x", "", "1.5", "99999999999", "99999999999999999999", "+5000000", "1e6")
	}
	if g.one(30) {
		return nil
	}
	return &s
}

// adjust makes what was filled in field by field agree, mostly.
func (g *requests) adjust(req kmsg.Request) {
	resource := func(typ kmsg.ConfigResourceType, name *string) {
		switch typ {
		case 4:
			*name = pick(g, "1", "", "2", "x")
		case 32:
			*name = g.group()
		}
	}
	switch r := req.(type) {
	case *kmsg.CreateTopicsRequest:
		for i := range r.Topics {
			t := &r.Topics[i]
			if len(t.ReplicaAssignment) > 0 && !g.one(4) {
				t.NumPartitions, t.ReplicationFactor = -1, -1
			}
			for j := range t.Configs {
				t.Configs[j].Name = g.config(2)
				t.Configs[j].Value = g.setting(t.Configs[j].Name)
			}
		}
	case *kmsg.WriteTxnMarkersRequest:
		r.Markers = r.Markers[:min(len(r.Markers), 1)]
	case *kmsg.CreatePartitionsRequest:
		r.Topics = slices.DeleteFunc(r.Topics, func(t kmsg.CreatePartitionsRequestTopic) bool { return strings.HasPrefix(t.Topic, "__") })
	case *kmsg.DescribeConfigsRequest:
		if slices.ContainsFunc(r.Resources, func(q kmsg.DescribeConfigsRequestResource) bool {
			return !slices.Contains([]kmsg.ConfigResourceType{2, 4, 16, 32}, q.ResourceType)
		}) {
			r.Resources = r.Resources[:1] // Apache Kafka answers all of them with the error of one
		}
		for i := range r.Resources {
			q := &r.Resources[i]
			resource(q.ResourceType, &q.ResourceName)
			for j := range q.ConfigNames {
				q.ConfigNames[j] = g.config(int(q.ResourceType))
			}
			if q.ResourceType == 4 && len(q.ConfigNames) == 0 {
				q.ConfigNames = []string{"message.max.bytes"}
			}
		}
	case *kmsg.AlterConfigsRequest:
		r.Resources = r.Resources[:min(len(r.Resources), 1)]
		for i := range r.Resources {
			q := &r.Resources[i]
			resource(q.ResourceType, &q.ResourceName)
			for j := range q.Configs {
				q.Configs[j].Name = g.config(int(q.ResourceType))
				q.Configs[j].Value = g.setting(q.Configs[j].Name)
			}
			if q.ResourceType == 4 {
				r.ValidateOnly = true
			}
		}
	case *kmsg.IncrementalAlterConfigsRequest:
		for i := range r.Resources {
			q := &r.Resources[i]
			resource(q.ResourceType, &q.ResourceName)
			for j := range q.Configs {
				q.Configs[j].Name = g.config(int(q.ResourceType))
				q.Configs[j].Value = g.setting(q.Configs[j].Name)
			}
			if q.ResourceType == 4 {
				r.ValidateOnly = true
			}
		}
	case *kmsg.DescribeTopicPartitionsRequest:
		if g.one(4) {
			r.Cursor = new(kmsg.DescribeTopicPartitionsRequestCursor)
			r.Cursor.Topic, r.Cursor.Partition = g.topic(), int32(pick(g, 0, 1, 99))
			if len(r.Topics) > 0 {
				r.Cursor.Topic = r.Topics[0].Topic
			}
		}
	case *kmsg.MetadataRequest:
		if r.Version < 12 { // Apache Kafka refuses the whole of it
			for i := range r.Topics {
				r.Topics[i].TopicID = [16]byte{}
			}
		}
	case *kmsg.ProduceRequest:
		if r.Version < 3 {
			r.SetVersion(3)
		}
		g.adjustProduce(r)
	case *kmsg.FetchRequest:
		if !g.one(3) {
			r.SessionID, r.SessionEpoch = 0, -1
		}
	case *kmsg.AlterClientQuotasRequest:
		for i := range r.Entries {
			if len(r.Entries[i].Entity) > 0 && r.Entries[i].Entity[0].Name != nil && !strings.HasPrefix(*r.Entries[i].Entity[0].Name, g.begun) && g.one(2) {
				r.Entries[i].Entity[0].Name = kmsg.StringPtr(g.name("u", 2))
			}
		}
	case *kmsg.JoinGroupRequest:
		if r.Version == 0 {
			r.SetVersion(1)
		}
		g.adjustJoin(r)
	case *kmsg.SyncGroupRequest:
		r.Generation, r.MemberID = g.current(r.Group, r.Generation, r.MemberID)
		for i := range r.GroupAssignment {
			r.GroupAssignment[i].MemberID = r.MemberID
		}
	case *kmsg.HeartbeatRequest:
		r.Generation, r.MemberID = g.current(r.Group, r.Generation, r.MemberID)
	case *kmsg.LeaveGroupRequest:
		_, r.MemberID = g.current(r.Group, 0, r.MemberID)
		for i := range r.Members {
			_, r.Members[i].MemberID = g.current(r.Group, 0, r.Members[i].MemberID)
		}
	case *kmsg.OffsetCommitRequest:
		if g.one(2) {
			r.Generation, r.MemberID = -1, ""
		} else {
			r.Generation, r.MemberID = g.current(r.Group, r.Generation, r.MemberID)
		}
	case *kmsg.ConsumerGroupHeartbeatRequest:
		g.adjustHeartbeat(r)
	case *kmsg.InitProducerIDRequest:
		if r.Version < 3 || g.one(2) {
			r.ProducerID, r.ProducerEpoch = -1, -1
		} else if r.TransactionalID != nil {
			r.ProducerID, r.ProducerEpoch = g.producer(*r.TransactionalID, r.ProducerID, r.ProducerEpoch)
		}
	case *kmsg.AddPartitionsToTxnRequest:
		r.ProducerID, r.ProducerEpoch = g.producer(r.TransactionalID, r.ProducerID, r.ProducerEpoch)
	case *kmsg.AddOffsetsToTxnRequest:
		r.ProducerID, r.ProducerEpoch = g.producer(r.TransactionalID, r.ProducerID, r.ProducerEpoch)
	case *kmsg.EndTxnRequest:
		r.ProducerID, r.ProducerEpoch = g.producer(r.TransactionalID, r.ProducerID, r.ProducerEpoch)
	case *kmsg.TxnOffsetCommitRequest:
		r.ProducerID, r.ProducerEpoch = g.producer(r.TransactionalID, r.ProducerID, r.ProducerEpoch)
		if !g.one(3) {
			r.Generation, r.MemberID, r.InstanceID = -1, "", nil
		}
	}
}

// current is a group's generation and one of its members, mostly.
func (g *requests) current(group string, generation int32, member string) (int32, string) {
	if g.one(5) {
		return generation, member
	}
	if all := g.members[group]; len(all) > 0 {
		member = all[g.rng.IntN(len(all))]
	}
	if n, ok := g.generation[group]; ok {
		generation = n
	}
	return generation, member
}

// producer is a transactional id's producer and epoch, mostly.
func (g *requests) producer(id string, producer int64, epoch int16) (int64, int16) {
	if n, ok := g.owner[id]; ok && !g.one(6) {
		producer = g.value(n).(int64)
		if !g.one(6) {
			epoch = g.epoch[id]
		}
	}
	return producer, epoch
}

func (g *requests) adjustJoin(r *kmsg.JoinGroupRequest) {
	if g.one(10) {
		return
	}
	// Members that are there have to join again before another one is let in; so there is one.
	r.MemberID = ""
	if all := g.members[r.Group]; len(all) > 0 {
		r.MemberID = all[0]
	}
}

func (g *requests) adjustHeartbeat(r *kmsg.ConsumerGroupHeartbeatRequest) {
	if !strings.HasPrefix(r.MemberID, symbolText) && r.Version > 0 && !g.one(6) {
		r.MemberID = g.name("m", 3)
	}
	switch {
	case g.one(6):
	case g.one(3):
		r.MemberEpoch, r.RebalanceTimeoutMillis, r.Topics = 0, 60000, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		if r.SubscribedTopicNames == nil {
			r.SubscribedTopicNames = []string{g.topic()}
		}
	case g.one(5):
		r.MemberEpoch = -1
	default:
		if n, ok := g.generation[r.Group+" "+r.MemberID]; ok {
			r.MemberEpoch = n
		}
	}
}

func (g *requests) adjustProduce(r *kmsg.ProduceRequest) {
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			b := r.Topics[i].Partitions[j].Records
			if len(b) < 61 || b[16] != 2 {
				continue
			}
			if all := g.of("producer"); len(all) > 0 && g.one(2) && !g.one(4) {
				n := all[g.rng.IntN(len(all))]
				id := ""
				for x, owner := range g.owner {
					if owner == n {
						id = x
					}
				}
				key := fmt.Sprintf("%d %s %x %d", n, r.Topics[i].Topic, r.Topics[i].TopicID, r.Topics[i].Partitions[j].Partition)
				binary.BigEndian.PutUint64(b[43:], uint64(g.value(n).(int64)))
				epoch := g.epoch[fmt.Sprint(n)]
				if id != "" {
					epoch = g.epoch[id]
				}
				if g.one(8) {
					epoch = max(epoch+int16(pick(g, 1, -1, 5)), 0)
				}
				binary.BigEndian.PutUint16(b[51:], uint16(epoch))
				sequence := g.sequence[key]
				if g.one(6) {
					sequence += int32(pick(g, 1, -1, 7))
				} else if len(r.Topics) == 1 {
					g.sequence[key] += int32(binary.BigEndian.Uint32(b[57:]))
				}
				binary.BigEndian.PutUint32(b[53:], uint32(sequence))
				if id != "" && !g.one(5) {
					b[22] |= 1 << 4
					r.TransactionID = &id
				}
				sealBatch(b)
			}
		}
	}
}

// learn remembers what answers say.
func (g *requests) learn(req kmsg.Request, resp kmsg.Response) {
	symbolOf := func(kind string, ours any) (int, bool) {
		for i, s := range g.symbols {
			if s.kind == kind && s.ours == ours {
				return i, true
			}
		}
		return 0, false
	}
	switch r := resp.(type) {
	case *kmsg.InitProducerIDResponse:
		if n, ok := symbolOf("producer", r.ProducerID); ok && r.ErrorCode == 0 {
			if id := req.(*kmsg.InitProducerIDRequest).TransactionalID; id != nil {
				g.owner[*id], g.epoch[*id] = n, r.ProducerEpoch
				for key := range g.sequence {
					if strings.HasPrefix(key, fmt.Sprint(n, " ")) {
						delete(g.sequence, key)
					}
				}
			} else {
				g.epoch[fmt.Sprint(n)] = r.ProducerEpoch
			}
		}
	case *kmsg.EndTxnResponse:
		if n, ok := symbolOf("producer", r.ProducerID); ok && r.ErrorCode == 0 && r.Version >= 5 {
			id := req.(*kmsg.EndTxnRequest).TransactionalID
			if g.epoch[id] != r.ProducerEpoch {
				for key := range g.sequence {
					if strings.HasPrefix(key, fmt.Sprint(n, " ")) {
						delete(g.sequence, key)
					}
				}
			}
			g.owner[id], g.epoch[id] = n, r.ProducerEpoch
		}
	case *kmsg.JoinGroupResponse:
		group := req.(*kmsg.JoinGroupRequest).Group
		if n, ok := symbolOf("member", r.MemberID); ok {
			if s := g.value(n).(string); !slices.Contains(g.members[group], s) {
				g.members[group] = append(g.members[group], s)
			}
			if r.ErrorCode == 0 {
				g.generation[group] = r.Generation
			}
		}
	case *kmsg.LeaveGroupResponse:
		delete(g.members, req.(*kmsg.LeaveGroupRequest).Group)
	case *kmsg.ConsumerGroupHeartbeatResponse:
		q := req.(*kmsg.ConsumerGroupHeartbeatRequest)
		if r.MemberID != nil && r.ErrorCode == 0 {
			g.generation[q.Group+" "+q.MemberID] = r.MemberEpoch
			if n, ok := symbolOf("member", *r.MemberID); ok {
				g.generation[q.Group+" "+g.value(n).(string)] = r.MemberEpoch
				if s := g.value(n).(string); !slices.Contains(g.members[q.Group], s) {
					g.members[q.Group] = append(g.members[q.Group], s)
				}
				g.generation[q.Group] = r.MemberEpoch
			}
		}
	case *kmsg.FetchResponse:
		if r.ErrorCode == 0 {
			g.session = max(req.(*kmsg.FetchRequest).SessionEpoch, 0) + 1
		}
	}
}

// subscription is what a member of the group protocol's "consumer" sends with a protocol.
func subscription(topic string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = []string{topic}
	return m.AppendTo(nil)
}

func sealBatch(b []byte) {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
}

// records is a batch, with something wrong now and then.
func (g *requests) records() []byte {
	b := broker.AppendTestBatch(nil, 1+g.rng.IntN(3), 10)
	at := func(i int, v byte) { b[i] = v }
	if !g.one(3) {
		return b
	}
	switch g.rng.IntN(16) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		at(len(b)-1, b[len(b)-1]^1) // CRC
		return b
	case 3:
		at(16, 1)
		return b
	case 4:
		at(16, 0)
		return b
	case 5:
		at(22, 0x20) // control
	case 6:
		at(22, byte(1+g.rng.IntN(4))) // a codec that it is not of
	case 7:
		at(22, 5)
	case 8:
		at(21, 0x80)
	case 9:
		return b[:len(b)-3]
	case 10:
		binary.BigEndian.PutUint32(b[57:], 99)
	case 11:
		binary.BigEndian.PutUint32(b[23:], 99)
	case 12:
		return broker.AppendTestBatch(nil, 1, 2<<20)
	case 13:
		binary.BigEndian.PutUint64(b, 1000) // base offset
	case 14:
		binary.BigEndian.PutUint64(b[43:], 5) // a producer id without a sequence
	case 15:
		binary.BigEndian.PutUint32(b[57:], 0)
		binary.BigEndian.PutUint32(b[23:], math.MaxUint32)
	}
	sealBatch(b)
	return b
}
