package broker_test

import (
	"fmt"
	"maps"
	"reflect"
	"testing"

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
