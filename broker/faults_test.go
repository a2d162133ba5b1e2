package broker_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestFaultsAsKafka sends requests with something wrong, or with several things, and wants of each the answer that Apache Kafka 4.3.1
// gives. TestBesideApacheKafka found them.
func TestFaultsAsKafka(t *testing.T) {
	b := open(t, testConfig(t))
	id := makeTopic(t, b, "flows")
	c := rawDial(t, b)
	str := kmsg.StringPtr

	createTopics := func(topics ...kmsg.CreateTopicsRequestTopic) kmsg.Request {
		r := kmsg.NewPtrCreateTopicsRequest()
		r.SetVersion(7)
		r.Topics = topics
		return r
	}
	topic := func(name string, partitions int32, configs ...string) kmsg.CreateTopicsRequestTopic {
		q := kmsg.NewCreateTopicsRequestTopic()
		q.Topic, q.NumPartitions, q.ReplicationFactor = name, partitions, 1
		for i := 0; i < len(configs); i += 2 {
			e := kmsg.NewCreateTopicsRequestTopicConfig()
			e.Name, e.Value = configs[i], &configs[i+1]
			q.Configs = append(q.Configs, e)
		}
		return q
	}
	noReplicas := topic("flows", 1)
	noReplicas.ReplicationFactor = 0
	alter := func(edits ...kmsg.IncrementalAlterConfigsRequestResource) kmsg.Request {
		r := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r.SetVersion(1)
		r.Resources = edits
		return r
	}
	set := func(typ kmsg.ConfigResourceType, resource, name string, value *string) kmsg.IncrementalAlterConfigsRequestResource {
		q, e := kmsg.NewIncrementalAlterConfigsRequestResource(), kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		q.ResourceType, q.ResourceName = typ, resource
		e.Name, e.Value = name, value
		q.Configs = append(q.Configs, e)
		return q
	}
	deleteTopic := func() kmsg.Request {
		r, q := kmsg.NewPtrDeleteTopicsRequest(), kmsg.NewDeleteTopicsRequestTopic()
		r.SetVersion(6)
		q.Topic, q.TopicID = str("flows"), id
		r.Topics = append(r.Topics, q)
		return r
	}
	listOffsets := func(version int16, timestamp int64, epoch int32) kmsg.Request {
		r := kmsg.NewPtrListOffsetsRequest()
		r.SetVersion(version)
		rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
		rt.Topic, rp.Timestamp, rp.CurrentLeaderEpoch = "flows", timestamp, epoch
		rt.Partitions = append(rt.Partitions, rp)
		r.Topics = append(r.Topics, rt)
		return r
	}
	commit := func(version int16, generation, partition int32) kmsg.Request {
		r := kmsg.NewPtrOffsetCommitRequest()
		r.SetVersion(version)
		r.Group, r.Generation = "none", generation
		rt, rp := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
		rt.Topic, rp.Partition = "flows", partition
		rt.Partitions = append(rt.Partitions, rp)
		r.Topics = append(r.Topics, rt)
		return r
	}
	deleteOffset := func(group string, partition int32) kmsg.Request {
		r, rt, rp := kmsg.NewPtrOffsetDeleteRequest(), kmsg.NewOffsetDeleteRequestTopic(), kmsg.NewOffsetDeleteRequestTopicPartition()
		r.Group, rt.Topic, rp.Partition = group, "flows", partition
		rt.Partitions = append(rt.Partitions, rp)
		r.Topics = append(r.Topics, rt)
		return r
	}
	heartbeat := func(pattern string) kmsg.Request {
		r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		r.SetVersion(1)
		r.Group, r.MemberID, r.RebalanceTimeoutMillis, r.SubscribedTopicRegex = "broken", "m", 1000, &pattern
		r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		return r
	}
	elect := func(typ int8) kmsg.Request {
		r, rt := kmsg.NewPtrElectLeadersRequest(), kmsg.NewElectLeadersRequestTopic()
		r.SetVersion(2)
		rt.Topic, rt.Partitions = "flows", []int32{0}
		r.ElectionType, r.Topics = typ, append(r.Topics, rt)
		return r
	}
	moveLog := func() kmsg.Request {
		r, d, rt := kmsg.NewPtrAlterReplicaLogDirsRequest(), kmsg.NewAlterReplicaLogDirsRequestDir(), kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		r.SetVersion(2)
		rt.Topic, rt.Partitions = "none", []int32{0}
		d.Dir, d.Topics = "/nowhere", append(d.Topics, rt)
		r.Dirs = append(r.Dirs, d)
		return r
	}
	grow := func(count int32, assignments int) kmsg.Request {
		r, q := kmsg.NewPtrCreatePartitionsRequest(), kmsg.NewCreatePartitionsRequestTopic()
		r.SetVersion(3)
		q.Topic, q.Count = "flows", count
		for range assignments {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = []int32{1}
			q.Assignment = append(q.Assignment, a)
		}
		r.Topics, r.ValidateOnly = append(r.Topics, q), true
		return r
	}
	describe := func(typ kmsg.ConfigResourceType, name string) kmsg.Request {
		r, q := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewDescribeConfigsRequestResource()
		r.SetVersion(4)
		q.ResourceType, q.ResourceName = typ, name
		r.Resources = append(r.Resources, q)
		return r
	}
	transactions := kmsg.NewPtrDescribeTransactionsRequest()
	transactions.TransactionalIDs = []string{""}
	end := kmsg.NewPtrEndTxnRequest()
	end.SetVersion(4)
	oldBatch := goodBatch(1, 10)
	oldBatch[16] = 1
	based := goodBatch(1, 10)
	based[7] = 1
	controllers := kmsg.NewPtrDescribeClusterRequest()
	controllers.SetVersion(1)
	controllers.EndpointType = 2
	zstd := goodBatch(1, 10)
	zstd[22] = 4
	twoReplicas := topic("new", 0)
	twoReplicas.ReplicationFactor = 2
	halfProducer := kmsg.NewPtrInitProducerIDRequest()
	halfProducer.SetVersion(5)
	halfProducer.ProducerID, halfProducer.ProducerEpoch = -1, 0
	badClient := kmsg.NewPtrApiVersionsRequest()
	badClient.SetVersion(3)
	badClient.ClientSoftwareName, badClient.ClientSoftwareVersion = "a client", "1"
	lostFetch := fetchRequest(13, "flows", id, 0, 0, 1, 0)
	lostFetch.Topics[0].Partitions[0].LastFetchedEpoch = 1
	commitInTxn := func(id, metadata string) kmsg.Request {
		r, rt, rp := kmsg.NewPtrTxnOffsetCommitRequest(), kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
		r.SetVersion(3)
		r.TransactionalID, r.Group, r.Generation = id, "none", -1
		rt.Topic, rp.Metadata = "flows", &metadata
		rt.Partitions = append(rt.Partitions, rp)
		r.Topics = append(r.Topics, rt)
		return r
	}
	growTwice := grow(6, 0).(*kmsg.CreatePartitionsRequest)
	growTwice.Topics = append(growTwice.Topics, growTwice.Topics[0])
	badName := produceRequest(9, -1, "bad name", 0, goodBatch(1, 10))

	for _, tc := range []struct {
		name string
		req  kmsg.Request
		want map[string]int16
	}{
		{"a topic that is there, without replicas", createTopics(noReplicas), map[string]int16{".Topics[0]": 36}},
		{"a topic that is there, with a config that is not", createTopics(topic("flows", 1, "segment.ms", "x")), map[string]int16{".Topics[0]": 36}},
		{"no partitions, a config that is none", createTopics(topic("new", 0, "segment.ms", "x")), map[string]int16{".Topics[0]": 40}},
		{"too many partitions in all", createTopics(topic("flows", 10_000), topic("new", 1)), map[string]int16{".Topics[0]": 44, ".Topics[1]": 44}},
		{"a topic twice", createTopics(topic("new", 1), topic("new", 1)), map[string]int16{".Topics[0]": 42}},
		{"a topic by name and id", deleteTopic(), map[string]int16{".Topics[0]": 42}},
		{"partitions without an assignment", grow(6, 1), map[string]int16{".Topics[0]": 39}},
		{"a resource twice", alter(set(2, "none", "segment.ms", str("1")), set(2, "none", "flush.ms", str("1"))), map[string]int16{".Resources[0]": 42, ".Resources[1]": 42}},
		{"no topic, and a bad value", alter(set(2, "none", "segment.ms", str("x"))), map[string]int16{".Resources[0]": 40}},
		{"no topic", alter(set(2, "none", "segment.ms", str("1"))), map[string]int16{".Resources[0]": 3}},
		{"no topic can have the name", alter(set(2, "no name", "segment.ms", str("1"))), map[string]int16{".Resources[0]": 17}},
		{"no value", alter(set(2, "flows", "nonsense", nil)), map[string]int16{".Resources[0]": 42}},
		{"a broker's bad value", alter(set(4, "1", "message.max.bytes", str("x"))), map[string]int16{".Resources[0]": 42}},
		{"a broker's retention of nothing", alter(set(4, "", "log.retention.ms", str("0"))), map[string]int16{".Resources[0]": 42}},
		{"configs of a name no topic can have", describe(2, "no name"), map[string]int16{".Resources[0]": 17}},
		{"metrics nobody has subscribed to", describe(16, "m"), map[string]int16{".Resources[0]": 0}},
		{"the largest timestamp before there was such", listOffsets(6, -3, -1), map[string]int16{".Topics[0].Partitions[0]": 35}},
		{"the largest timestamp", listOffsets(7, -3, -1), map[string]int16{".Topics[0].Partitions[0]": 0}},
		{"tiered storage before there was such", listOffsets(8, -5, -1), map[string]int16{".Topics[0].Partitions[0]": 35}},
		{"a timestamp without a meaning", listOffsets(11, -9, -1), map[string]int16{".Topics[0].Partitions[0]": 35}},
		{"an epoch before the first", listOffsets(11, -1, -2), map[string]int16{".Topics[0].Partitions[0]": 74}},
		{"a generation of no group", commit(8, 1, 0), map[string]int16{".Topics[0].Partitions[0]": 22}},
		{"an epoch of no group", commit(9, 1, 0), map[string]int16{".Topics[0].Partitions[0]": 69}},
		{"an offset of no partition makes no group", commit(9, -1, 99), map[string]int16{".Topics[0].Partitions[0]": 3}},
		{"so there is none", deleteOffset("none", 0), map[string]int16{"": 69}},
		{"a broken pattern", heartbeat("("), map[string]int16{"": 128}},
		{"makes no group", deleteOffset("broken", 0), map[string]int16{"": 69}},
		{"an election of no kind", elect(7), map[string]int16{"": 42, ".Topics[0].Partitions[0]": 42}},
		{"a log that is nowhere to go nowhere", moveLog(), map[string]int16{".Topics[0].Partitions[0]": 57}},
		{"transactions without a name", transactions, map[string]int16{".TransactionStates[0]": 42}},
		{"the end of a transaction without a name", end, map[string]int16{"": 42}},
		{"an old format", produceRequest(9, -1, "flows", 0, oldBatch), map[string]int16{".Topics[0].Partitions[0]": 87}},
		{"zstd before there was such", produceRequest(6, -1, "flows", 0, zstd), map[string]int16{".Topics[0].Partitions[0]": 76}},
		{"acks of no sense to no partition", produceRequest(9, 2, "flows", 99, goodBatch(1, 10)), map[string]int16{".Topics[0].Partitions[0]": 3}},
		{"a name like another's", createTopics(topic("a.b_c", 1)), map[string]int16{".Topics[0]": 0}},
		{"but for dots", createTopics(topic("a_b.c", 1)), map[string]int16{".Topics[0]": 17}},
		{"no partitions and too many replicas", createTopics(twoReplicas), map[string]int16{".Topics[0]": 37}},
		{"a producer without an epoch", halfProducer, map[string]int16{"": 42}},
		{"a client's name that is none", badClient, map[string]int16{"": 42}},
		{"an epoch the log knows nothing of", lostFetch, map[string]int16{"": 0, ".Topics[0].Partitions[0]": 1}},
		{"a base offset", produceRequest(9, -1, "flows", 0, based), map[string]int16{".Topics[0].Partitions[0]": 87}},
		{"a controller asked for at a broker", controllers, map[string]int16{"": 114}},
		{"a topic given more partitions twice", growTwice, map[string]int16{".Topics[0]": 42}},
		{"offsets in a transaction without a name", commitInTxn("", ""), map[string]int16{".Topics[0].Partitions[0]": 42}},
		{"in one there is none of, with too much beside", commitInTxn("x", strings.Repeat("m", 5000)), map[string]int16{".Topics[0].Partitions[0]": 49}},
		{"to a name no topic can have", badName, map[string]int16{".Topics[0].Partitions[0]": 3}},
	} {
		if got := answerCodes(c.request(tc.req)); !maps.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestAloneInGroup has a member that is alone in its group come back with another protocol: like Apache Kafka the broker counts what
// it knew before. Before that somebody leaves the group who never was in it, which disturbs nobody.
func TestAloneInGroup(t *testing.T) {
	c := rawDial(t, open(t, testConfig(t)))
	join := func(member, protocol string) *kmsg.JoinGroupResponse {
		r, p := kmsg.NewPtrJoinGroupRequest(), kmsg.NewJoinGroupRequestProtocol()
		r.SetVersion(3)
		r.Group, r.MemberID, r.ProtocolType, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = "g", member, "consumer", 60_000, 60_000
		p.Name = protocol
		r.Protocols = append(r.Protocols, p)
		return c.request(r).(*kmsg.JoinGroupResponse)
	}
	first := join("", "range")
	state := func() string {
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups = []string{"g"}
		return c.request(r).(*kmsg.DescribeGroupsResponse).Groups[0].State
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = "g", "nobody"
	if r := c.request(leave).(*kmsg.LeaveGroupResponse); r.ErrorCode != 25 || state() != "CompletingRebalance" {
		t.Errorf("nobody leaves: error %d, the group is %s", r.ErrorCode, state())
	}
	for _, tc := range []struct {
		member, protocol string
		want             int16
	}{{first.MemberID, "roundrobin", 23}, {"nobody", "roundrobin", 23}, {"nobody", "range", 25}, {first.MemberID, "range", 0}} {
		if r := join(tc.member, tc.protocol); r.ErrorCode != tc.want {
			t.Errorf("%q with %s: error %d, want %d", tc.member, tc.protocol, r.ErrorCode, tc.want)
		}
	}
}

// TestFirstWaitsForNobody has a static member join a group for which somebody else was given a member id, who never comes: like
// Apache Kafka the broker does not wait for that one.
func TestFirstWaitsForNobody(t *testing.T) {
	b := open(t, testConfig(t))
	given, instance := rawGroup{rawDial(t, b), "g"}.join(4, "", nil, time.Minute), "one"
	if given.ErrorCode != 79 {
		t.Fatalf("a first join: error %d", given.ErrorCode)
	}
	static := rawGroup{rawDial(t, b), "g"}
	first := static.join(5, "", &instance, time.Minute)
	if first.ErrorCode != 0 || first.Generation != 1 || first.LeaderID != first.MemberID {
		t.Fatalf("a static member: %+v", first)
	}
	// It joins anew before it has assigned anything anew, and what it had is forgotten.
	member := func() kmsg.DescribeGroupsResponseGroupMember {
		r := kmsg.NewPtrDescribeGroupsRequest()
		r.Groups = []string{"g"}
		return static.request(r).(*kmsg.DescribeGroupsResponse).Groups[0].Members[0]
	}
	if r := static.sync(1, first.MemberID, &instance, map[string]string{first.MemberID: "share"}); r.ErrorCode != 0 {
		t.Fatalf("sync: %+v", r)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = "g", given.MemberID
	if r := static.request(leave).(*kmsg.LeaveGroupResponse); r.ErrorCode != 0 {
		t.Fatalf("who was given an id leaves: %+v", r)
	}
	for i, want := range []string{"share", ""} {
		static.sendJoin(5, first.MemberID, &instance, time.Minute, fmt.Sprint(i))
		if r := static.joined(5); r.ErrorCode != 0 || r.Generation != int32(2+i) {
			t.Fatalf("join anew: %+v", r)
		}
		if m := member(); string(m.MemberAssignment) != want {
			t.Errorf("after %d joins anew it is told to have %q, want %q", i+1, m.MemberAssignment, want)
		}
	}
}

// TestBecomesStatic has a member of a group of KIP-848 join again with an instance id, by which it is known from then on.
func TestBecomesStatic(t *testing.T) {
	b := open(t, consumerConfig(t))
	makeTopic(t, b, "flows")
	instance := "one"
	m := &rawMember{t: t, cl: client(t, b), id: "m"}
	static := func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = &instance }
	m.heartbeat(nil)
	if r := m.heartbeat(static); r.ErrorCode != 25 {
		t.Errorf("an instance nobody knows: error %d", r.ErrorCode)
	}
	for _, instance = range []string{"one", "two"} {
		m.epoch = 0
		if r := m.heartbeat(static); r.ErrorCode != 0 {
			t.Fatalf("joins again as %s: %+v", instance, r)
		}
		if r := m.heartbeat(static); r.ErrorCode != 0 {
			t.Errorf("%s goes on: error %d", instance, r.ErrorCode)
		}
		if d := describeNext(t, m.cl, "g"); len(d.Members) != 1 || d.Members[0].InstanceID == nil || *d.Members[0].InstanceID != instance {
			t.Errorf("described as %+v", d)
		}
	}
}

// TestWhatIsAnswered holds answers without an error against those of Apache Kafka.
func TestWhatIsAnswered(t *testing.T) {
	b := open(t, testConfig(t))
	makeTopic(t, b, "a")
	c := rawDial(t, b)
	page := kmsg.NewPtrDescribeTopicPartitionsRequest()
	page.ResponsePartitionLimit = 1
	for _, name := range []string{"a", "none"} {
		q := kmsg.NewDescribeTopicPartitionsRequestTopic()
		q.Topic = name
		page.Topics = append(page.Topics, q)
	}
	if r := c.request(page).(*kmsg.DescribeTopicPartitionsResponse); len(r.Topics) != 1 || r.NextCursor == nil {
		t.Errorf("a page that is full: %+v", r)
	}
	metadata, mt, name := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic(), "a"
	metadata.SetVersion(12)
	mt.Topic, mt.TopicID = &name, [16]byte{1}
	metadata.Topics = append(metadata.Topics, mt)
	if r := c.request(metadata).(*kmsg.MetadataResponse).Topics[0]; r.ErrorCode != 100 || r.Topic != nil {
		t.Errorf("a topic by its name and an id there is none of: %+v", r)
	}
	metadata.SetVersion(10)
	name, metadata.Topics[0].TopicID, metadata.IncludeTopicAuthorizedOperations = "none", [16]byte{}, true
	if r := c.request(metadata).(*kmsg.MetadataResponse).Topics[0]; r.ErrorCode != 3 || r.AuthorizedOperations != 3576 {
		t.Errorf("what may be done to a topic there is none of: %+v", r)
	}
	controllers := kmsg.NewPtrDescribeClusterRequest()
	controllers.SetVersion(1)
	controllers.EndpointType, controllers.IncludeClusterAuthorizedOperations = 2, true
	if r := c.request(controllers).(*kmsg.DescribeClusterResponse); r.ErrorCode != 114 || r.ClusterAuthorizedOperations != -1<<31 {
		t.Errorf("what may be done to a cluster that is not described: %+v", r)
	}
	configs, q := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewDescribeConfigsRequestResource()
	configs.SetVersion(4)
	q.ResourceType, q.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
	configs.Resources = append(configs.Resources, q)
	want := map[string]kmsg.ConfigType{
		"node.id": kmsg.ConfigTypeInt, "num.partitions": kmsg.ConfigTypeInt, "offsets.topic.replication.factor": kmsg.ConfigTypeShort, "connections.max.idle.ms": kmsg.ConfigTypeLong,
		"delete.topic.enable": kmsg.ConfigTypeBoolean, "listeners": kmsg.ConfigTypeList, "compression.type": kmsg.ConfigTypeString, "log.segment.bytes": kmsg.ConfigTypeInt,
	}
	numbers := []kmsg.ConfigType{kmsg.ConfigTypeShort, kmsg.ConfigTypeInt, kmsg.ConfigTypeLong}
	for _, e := range c.request(configs).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		typ, known := want[e.Name]
		if known && e.ConfigType != typ {
			t.Errorf("%s is of type %v, want %v", e.Name, e.ConfigType, typ)
		}
		if _, err := strconv.ParseInt(*e.Value, 10, 64); (err == nil) != slices.Contains(numbers, e.ConfigType) {
			t.Errorf("%s=%s is of type %v", e.Name, *e.Value, e.ConfigType)
		}
		delete(want, e.Name)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
}

// TestConfigsAsKafkaShows sets configs as people write them and reads them as Kafka shows them.
func TestConfigsAsKafkaShows(t *testing.T) {
	b := open(t, testConfig(t))
	c := rawDial(t, b)
	q := kmsg.NewCreateTopicsRequestTopic()
	q.Topic, q.NumPartitions, q.ReplicationFactor = "flows", 1, 1
	for name, value := range map[string]string{"cleanup.policy": "compact , delete", "segment.ms": " +5000 ", "preallocate": "TRUE", "min.cleanable.dirty.ratio": "1"} {
		e := kmsg.NewCreateTopicsRequestTopicConfig()
		e.Name, e.Value = name, &value
		q.Configs = append(q.Configs, e)
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.SetVersion(5)
	create.Topics = append(create.Topics, q)
	if r := c.request(create).(*kmsg.CreateTopicsResponse).Topics[0]; r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	req, rr := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewDescribeConfigsRequestResource()
	req.SetVersion(4)
	rr.ResourceType, rr.ResourceName = kmsg.ConfigResourceTypeTopic, "flows"
	rr.ConfigNames = []string{"cleanup.policy", "segment.ms", "preallocate", "min.cleanable.dirty.ratio"}
	req.Resources = append(req.Resources, rr)
	got := map[string]string{}
	for _, e := range c.request(req).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		got[e.Name] = *e.Value
	}
	want := map[string]string{"cleanup.policy": "compact,delete", "segment.ms": "5000", "preallocate": "true", "min.cleanable.dirty.ratio": "1.0"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// answerCodes are those in an answer, by where they stand.
func answerCodes(resp kmsg.Response) map[string]int16 {
	codes := map[string]int16{}
	if resp == nil {
		return codes
	}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.Name == "ErrorCode" {
					codes[path] = v.Field(i).Interface().(int16)
				} else if f.Name != "UnknownTags" {
					walk(path+"."+f.Name, v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
			}
		}
	}
	walk("", reflect.ValueOf(resp).Elem())
	return codes
}
