package broker_test

import (
	"crypto/x509/pkix"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// errorCodes collects every error code of an answer, whatever it belongs to.
func errorCodes(v reflect.Value, codes map[int16]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			errorCodes(v.Elem(), codes)
		}
	case reflect.Slice:
		for i := range v.Len() {
			errorCodes(v.Index(i), codes)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() {
				continue
			}
			if strings.HasSuffix(f.Name, "ErrorCode") && v.Field(i).Kind() == reflect.Int16 {
				codes[int16(v.Field(i).Int())] = true
			}
			errorCodes(v.Field(i), codes)
		}
	}
}

// right is one ACL, written type:name:operation; a name that ends with * is a prefix, unless it is nothing else.
func right(s string, principal, host string, permission kmsg.ACLPermissionType) kmsg.CreateACLsRequestCreation {
	parts := strings.Split(s, ":")
	c := kmsg.NewCreateACLsRequestCreation()
	c.Principal, c.Host, c.PermissionType = principal, host, permission
	var err error
	if c.ResourceType, err = kmsg.ParseACLResourceType(parts[0]); err != nil {
		panic(err)
	}
	if c.Operation, err = kmsg.ParseACLOperation(parts[2]); err != nil {
		panic(err)
	}
	c.ResourceName, c.ResourcePatternType = parts[1], kmsg.ACLResourcePatternTypeLiteral
	if name, ok := strings.CutSuffix(parts[1], "*"); ok && name != "" {
		c.ResourceName, c.ResourcePatternType = name, kmsg.ACLResourcePatternTypePrefixed
	}
	return c
}

// guarded is a broker with ACLs, and connections of its administrator and of alice, who may nothing yet.
type guarded struct {
	*broker.Broker
	t     *testing.T
	admin *rawConn
	alice *rawConn
}

func openGuarded(t *testing.T, change func(*broker.Config)) *guarded {
	t.Helper()
	cfg := testConfig(t)
	cfg.Users = []broker.User{{Name: "admin", Password: "a"}, {Name: "alice", Password: "b"}}
	cfg.Listeners = []broker.Listener{secure("sasl", nil, "PLAIN")}
	cfg.Authorize, cfg.SuperUsers = true, []string{"User:admin"}
	if change != nil {
		change(&cfg)
	}
	g := &guarded{Broker: open(t, cfg), t: t}
	g.admin, g.alice = g.enter("admin", "a"), g.enter("alice", "b")
	return g
}

func (g *guarded) enter(user, password string) *rawConn {
	g.t.Helper()
	c := rawDialTo(g.t, g.Broker, "sasl")
	c.request(handshake(1, "PLAIN"))
	if r := c.request(token("\x00" + user + "\x00" + password)).(*kmsg.SASLAuthenticateResponse); r.ErrorCode != 0 {
		g.t.Fatalf("%s: %+v", user, r)
	}
	return c
}

func (g *guarded) create(creations ...kmsg.CreateACLsRequestCreation) {
	g.t.Helper()
	req := kmsg.NewPtrCreateACLsRequest()
	req.SetVersion(3)
	req.Creations = creations
	for _, r := range g.admin.request(req).(*kmsg.CreateACLsResponse).Results {
		if r.ErrorCode != 0 {
			g.t.Fatalf("create ACL: %+v", r)
		}
	}
}

func (g *guarded) allow(principal string, rights ...string) {
	g.t.Helper()
	for _, s := range rights {
		g.create(right(s, principal, "*", kmsg.ACLPermissionTypeAllow))
	}
}

// clear takes all ACLs out and returns how many there were.
func (g *guarded) clear() int {
	g.t.Helper()
	req := kmsg.NewPtrDeleteACLsRequest()
	req.SetVersion(3)
	f := kmsg.NewDeleteACLsRequestFilter()
	f.ResourceType, f.ResourcePatternType, f.Operation, f.PermissionType = 1, 1, 1, 1
	req.Filters = append(req.Filters, f)
	r := g.admin.request(req).(*kmsg.DeleteACLsResponse).Results[0]
	if r.ErrorCode != 0 {
		g.t.Fatalf("delete ACLs: %+v", r)
	}
	return len(r.MatchingACLs)
}

// A guard is a request, the code that refuses it, and what has to be allowed for it to be served.
type guard struct {
	req    kmsg.Request
	code   int16
	rights []string // all of them; alternatives are tried one after the other, parted by " or "
}

// guards has a line for each kind of request, as Kafka's documentation ("Operations and Resources on Protocols") lists them.
func guards(id [16]byte) []guard {
	secret := "secret"
	set := func(version int16, m kmsg.Request) kmsg.Request { m.SetVersion(version); return m }
	name := func(m any) { // the first string of the first array, whatever it is called
		v := reflect.ValueOf(m).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct {
				e := reflect.New(f.Type().Elem())
				e.MethodByName("Default").Call(nil)
				for _, field := range []string{"Topic", "ResourceName"} {
					switch s := e.Elem().FieldByName(field); {
					case s.Kind() == reflect.String:
						s.SetString(secret)
					case s.Kind() == reflect.Pointer:
						s.Set(reflect.ValueOf(&secret))
					}
				}
				if p := e.Elem().FieldByName("Partitions"); p.Kind() == reflect.Slice {
					one := reflect.New(p.Type().Elem())
					if one.Type().Elem().Kind() == reflect.Struct {
						one.MethodByName("Default").Call(nil)
					}
					p.Set(reflect.Append(p, one.Elem()))
				}
				f.Set(reflect.Append(f, e.Elem()))
				return
			}
		}
	}
	topical := func(version int16, m kmsg.Request) kmsg.Request { name(m); return set(version, m) }
	group := func(version int16, m kmsg.Request) kmsg.Request {
		v := reflect.ValueOf(m).Elem()
		if f := v.FieldByName("Group"); f.IsValid() {
			f.SetString("g")
		} else {
			v.FieldByName("Groups").Set(reflect.ValueOf([]string{"g"}))
		}
		return set(version, m)
	}

	join := group(5, kmsg.NewPtrJoinGroupRequest()).(*kmsg.JoinGroupRequest)
	join.SessionTimeoutMillis, join.ProtocolType = 10_000, "consumer"
	heartbeat := set(1, kmsg.NewPtrConsumerGroupHeartbeatRequest()).(*kmsg.ConsumerGroupHeartbeatRequest)
	heartbeat.Group, heartbeat.MemberID, heartbeat.RebalanceTimeoutMillis = "next", "m", 1000
	heartbeat.SubscribedTopicNames, heartbeat.Topics = []string{"secret"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	initTxn := set(4, kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDRequest)
	initTxn.TransactionalID, initTxn.TransactionTimeoutMillis = kmsg.StringPtr("x"), 1000
	findTxn := set(3, kmsg.NewPtrFindCoordinatorRequest()).(*kmsg.FindCoordinatorRequest)
	findTxn.CoordinatorKey, findTxn.CoordinatorType = "x", 1
	addPartitions := topical(3, kmsg.NewPtrAddPartitionsToTxnRequest()).(*kmsg.AddPartitionsToTxnRequest)
	addPartitions.TransactionalID = "x"
	addOffsets := group(3, kmsg.NewPtrAddOffsetsToTxnRequest()).(*kmsg.AddOffsetsToTxnRequest)
	addOffsets.TransactionalID = "x"
	endTxn := set(3, kmsg.NewPtrEndTxnRequest()).(*kmsg.EndTxnRequest)
	endTxn.TransactionalID = "x"
	txnCommit := topical(3, kmsg.NewPtrTxnOffsetCommitRequest()).(*kmsg.TxnOffsetCommitRequest)
	txnCommit.TransactionalID, txnCommit.Group, txnCommit.Generation = "x", "g", -1
	markers := set(1, kmsg.NewPtrWriteTxnMarkersRequest()).(*kmsg.WriteTxnMarkersRequest)
	marker := kmsg.NewWriteTxnMarkersRequestMarker()
	markerTopic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	markerTopic.Topic, markerTopic.Partitions = secret, []int32{0}
	marker.Topics = append(marker.Topics, markerTopic)
	markers.Markers = append(markers.Markers, marker)
	describeTxn := set(0, kmsg.NewPtrDescribeTransactionsRequest()).(*kmsg.DescribeTransactionsRequest)
	describeTxn.TransactionalIDs = []string{"x"}
	commit := topical(5, kmsg.NewPtrOffsetCommitRequest()).(*kmsg.OffsetCommitRequest)
	commit.Group, commit.Generation = "g", -1
	fetchOffset := topical(5, kmsg.NewPtrOffsetFetchRequest()).(*kmsg.OffsetFetchRequest)
	fetchOffset.Group = "g"
	dropOffset := topical(0, kmsg.NewPtrOffsetDeleteRequest()).(*kmsg.OffsetDeleteRequest)
	dropOffset.Group = "g"
	find := set(3, kmsg.NewPtrFindCoordinatorRequest()).(*kmsg.FindCoordinatorRequest)
	find.CoordinatorKey = "g"
	newTopic := topical(4, kmsg.NewPtrCreateTopicsRequest()).(*kmsg.CreateTopicsRequest)
	newTopic.Topics[0].NumPartitions, newTopic.Topics[0].ReplicationFactor, newTopic.ValidateOnly = 1, 1, true
	byName := set(5, kmsg.NewPtrDeleteTopicsRequest()).(*kmsg.DeleteTopicsRequest)
	byName.TopicNames = []string{"secret2"}
	byID := set(6, kmsg.NewPtrDeleteTopicsRequest()).(*kmsg.DeleteTopicsRequest)
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.TopicID = id
	byID.Topics = append(byID.Topics, rt)
	grow := topical(1, kmsg.NewPtrCreatePartitionsRequest()).(*kmsg.CreatePartitionsRequest)
	grow.Topics[0].Count, grow.ValidateOnly = 10, true
	configs := func(typ kmsg.ConfigResourceType, name string) kmsg.Request {
		req := topical(1, kmsg.NewPtrDescribeConfigsRequest()).(*kmsg.DescribeConfigsRequest)
		req.Resources[0].ResourceType, req.Resources[0].ResourceName = typ, name
		return req
	}
	alter := func(typ kmsg.ConfigResourceType, name string) kmsg.Request {
		req := topical(1, kmsg.NewPtrIncrementalAlterConfigsRequest()).(*kmsg.IncrementalAlterConfigsRequest)
		req.Resources[0].ResourceType, req.Resources[0].ResourceName, req.ValidateOnly = typ, name, true
		return req
	}
	replace := func(typ kmsg.ConfigResourceType, name string) kmsg.Request {
		req := topical(1, kmsg.NewPtrAlterConfigsRequest()).(*kmsg.AlterConfigsRequest)
		req.Resources[0].ResourceType, req.Resources[0].ResourceName, req.ValidateOnly = typ, name, true
		return req
	}
	move := set(1, kmsg.NewPtrAlterReplicaLogDirsRequest()).(*kmsg.AlterReplicaLogDirsRequest)
	toMove := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
	toMove.Topic, toMove.Partitions = secret, []int32{0}
	dir := kmsg.NewAlterReplicaLogDirsRequestDir()
	dir.Dir, dir.Topics = "/elsewhere", append(dir.Topics, toMove)
	move.Dirs = append(move.Dirs, dir)
	metadata := func(version int16, topic string, create bool) kmsg.Request {
		req := set(version, kmsg.NewPtrMetadataRequest()).(*kmsg.MetadataRequest)
		rt := kmsg.NewMetadataRequestTopic()
		if rt.TopicID = id; topic != "" {
			rt.Topic, rt.TopicID = &topic, [16]byte{}
		}
		req.Topics, req.AllowAutoTopicCreation = append(req.Topics, rt), create
		return req
	}
	produceByID := produceRequest(13, -1, "", 0, goodBatch(1, 10))
	produceByID.Topics[0].TopicID = id
	dropUser := set(0, kmsg.NewPtrAlterUserSCRAMCredentialsRequest()).(*kmsg.AlterUserSCRAMCredentialsRequest)
	d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
	d.Name, d.Mechanism = "nobody", 1
	dropUser.Deletions = append(dropUser.Deletions, d)
	describeACLs := set(1, kmsg.NewPtrDescribeACLsRequest()).(*kmsg.DescribeACLsRequest)
	describeACLs.ResourceType, describeACLs.ResourcePatternType, describeACLs.Operation, describeACLs.PermissionType = 1, 1, 1, 1
	createACLs := set(1, kmsg.NewPtrCreateACLsRequest()).(*kmsg.CreateACLsRequest)
	createACLs.Creations = append(createACLs.Creations, right("topic:other:READ", "User:x", "*", kmsg.ACLPermissionTypeAllow))
	deleteACLs := set(1, kmsg.NewPtrDeleteACLsRequest()).(*kmsg.DeleteACLsRequest)
	f := kmsg.NewDeleteACLsRequestFilter()
	f.ResourceType, f.Operation, f.PermissionType, f.Principal = 1, 1, 1, kmsg.StringPtr("User:x")
	deleteACLs.Filters = append(deleteACLs.Filters, f)

	return []guard{
		{produceRequest(9, -1, "secret", 0, goodBatch(1, 10)), 29, []string{"topic:secret:WRITE"}},
		{produceRequest(9, -1, "missing", 0, goodBatch(1, 10)), 29, []string{"topic:missing:WRITE"}},
		{produceByID, 29, []string{"topic:secret:WRITE"}},
		{fetchRequest(12, "secret", id, 0, 0, 0, 0), 29, []string{"topic:secret:READ"}},
		{fetchRequest(12, "missing", id, 0, 0, 0, 0), 29, []string{"topic:missing:READ"}},
		{fetchRequest(13, "", id, 0, 0, 0, 0), 29, []string{"topic:secret:READ"}},
		{topical(4, kmsg.NewPtrListOffsetsRequest()), 29, []string{"topic:secret:DESCRIBE or topic:secret:READ or topic:secret:WRITE or topic:secret:ALTER or topic:secret:DELETE"}},
		{metadata(9, "secret", false), 29, []string{"topic:secret:DESCRIBE or topic:secret:READ"}},
		{metadata(12, "", false), 29, []string{"topic:secret:DESCRIBE"}},
		{metadata(9, "created", true), 29, []string{"topic:created:DESCRIBE", "topic:created:CREATE or cluster:kafka-cluster:CREATE"}},
		{commit, 30, []string{"group:g:READ", "topic:secret:READ"}},
		{commit, 29, []string{"topic:secret:READ"}},
		{fetchOffset, 30, []string{"group:g:DESCRIBE or group:g:READ", "topic:secret:DESCRIBE"}},
		{find, 30, []string{"group:g:DESCRIBE or group:g:READ or group:g:DELETE"}},
		{join, 30, []string{"group:g:READ"}},
		{group(3, kmsg.NewPtrHeartbeatRequest()), 30, []string{"group:g:READ"}},
		{group(3, kmsg.NewPtrLeaveGroupRequest()), 30, []string{"group:g:READ"}},
		{group(3, kmsg.NewPtrSyncGroupRequest()), 30, []string{"group:g:READ"}},
		{group(4, kmsg.NewPtrDescribeGroupsRequest()), 30, []string{"group:g:DESCRIBE"}},
		{initTxn, 53, []string{"transactional_id:x:WRITE"}},
		{findTxn, 53, []string{"transactional_id:x:DESCRIBE or transactional_id:x:WRITE"}},
		{addPartitions, 53, []string{"transactional_id:x:WRITE", "topic:secret:WRITE"}},
		{addOffsets, 53, []string{"transactional_id:x:WRITE", "group:g:READ"}},
		{endTxn, 53, []string{"transactional_id:x:WRITE"}},
		{txnCommit, 53, []string{"transactional_id:x:WRITE", "group:g:READ", "topic:secret:READ"}},
		{markers, 31, []string{"cluster:kafka-cluster:CLUSTER_ACTION or cluster:kafka-cluster:ALTER"}},
		{topical(0, kmsg.NewPtrDescribeProducersRequest()), 29, []string{"topic:secret:READ"}},
		{describeTxn, 53, []string{"transactional_id:x:DESCRIBE or transactional_id:x:WRITE"}},
		{heartbeat, 30, []string{"group:next:READ", "topic:secret:DESCRIBE"}},
		{group(1, kmsg.NewPtrConsumerGroupDescribeRequest()), 30, []string{"group:g:DESCRIBE"}},
		{group(2, kmsg.NewPtrDeleteGroupsRequest()), 30, []string{"group:g:DELETE"}},
		{dropOffset, 30, []string{"group:g:DELETE", "topic:secret:READ"}},
		{newTopic, 29, []string{"topic:secret:CREATE or cluster:kafka-cluster:CREATE"}},
		{byName, 29, []string{"topic:secret2:DELETE"}},
		{byID, 29, []string{"topic:gone*:DELETE"}},
		{topical(2, kmsg.NewPtrDeleteRecordsRequest()), 29, []string{"topic:secret:DELETE"}},
		{set(4, kmsg.NewPtrInitProducerIDRequest()), 31, []string{"cluster:kafka-cluster:IDEMPOTENT_WRITE or topic:any:WRITE or topic:pre*:WRITE or topic:*:ALL"}},
		{topical(3, kmsg.NewPtrOffsetForLeaderEpochRequest()), 29, []string{"topic:secret:DESCRIBE or cluster:kafka-cluster:CLUSTER_ACTION"}},
		{describeACLs, 31, []string{"cluster:kafka-cluster:DESCRIBE or cluster:kafka-cluster:ALTER"}},
		{createACLs, 31, []string{"cluster:kafka-cluster:ALTER"}},
		{deleteACLs, 31, []string{"cluster:kafka-cluster:ALTER"}},
		{configs(kmsg.ConfigResourceTypeTopic, "secret"), 29, []string{"topic:secret:DESCRIBE_CONFIGS or topic:secret:ALTER_CONFIGS"}},
		{configs(kmsg.ConfigResourceTypeBroker, "1"), 31, []string{"cluster:kafka-cluster:DESCRIBE_CONFIGS"}},
		{alter(kmsg.ConfigResourceTypeTopic, "secret"), 29, []string{"topic:secret:ALTER_CONFIGS"}},
		{alter(kmsg.ConfigResourceTypeBroker, "1"), 31, []string{"cluster:kafka-cluster:ALTER_CONFIGS"}},
		{replace(kmsg.ConfigResourceTypeTopic, "secret"), 29, []string{"topic:secret:ALTER_CONFIGS"}},
		{replace(kmsg.ConfigResourceTypeBroker, "1"), 31, []string{"cluster:kafka-cluster:ALTER_CONFIGS"}},
		{set(3, kmsg.NewPtrDescribeLogDirsRequest()), 31, []string{"cluster:kafka-cluster:DESCRIBE"}},
		{move, 31, []string{"cluster:kafka-cluster:ALTER"}},
		{topical(0, kmsg.NewPtrDescribeTopicPartitionsRequest()), 29, []string{"topic:secret:DESCRIBE"}},
		{topical(2, kmsg.NewPtrElectLeadersRequest()), 31, []string{"cluster:kafka-cluster:ALTER"}},
		{topical(1, kmsg.NewPtrAlterPartitionAssignmentsRequest()), 31, []string{"cluster:kafka-cluster:ALTER"}},
		{set(0, kmsg.NewPtrListPartitionReassignmentsRequest()), 31, []string{"cluster:kafka-cluster:DESCRIBE"}},
		{set(1, kmsg.NewPtrListConfigResourcesRequest()), 31, []string{"cluster:kafka-cluster:DESCRIBE_CONFIGS"}},
		{grow, 29, []string{"topic:secret:ALTER"}},
		{set(0, kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()), 31, []string{"cluster:kafka-cluster:DESCRIBE"}},
		{set(1, kmsg.NewPtrDescribeClientQuotasRequest()), 31, []string{"cluster:kafka-cluster:DESCRIBE_CONFIGS"}},
		{alterQuotaRequest("user", "x", "producer_byte_rate", 1e9), 31, []string{"cluster:kafka-cluster:ALTER_CONFIGS"}},
		{dropUser, 31, []string{"cluster:kafka-cluster:ALTER"}},
	}
}

// unguarded are served to everybody who is let in; what some of them tell is filtered.
var unguarded = []int16{16, 17, 18, 36, 60, 66}

// TestGuards sends every kind of request without a right, and with each right that should do.
func TestGuards(t *testing.T) {
	g := openGuarded(t, nil)
	topicID := func(name string) [16]byte {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(12)
		req.AllowAutoTopicCreation = true
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &name
		req.Topics = append(req.Topics, rt)
		r := g.admin.request(req).(*kmsg.MetadataResponse).Topics[0]
		if r.ErrorCode != 0 {
			t.Fatalf("%s: %+v", name, r)
		}
		return r.TopicID
	}
	served := make(map[int16]bool)
	for _, k := range g.admin.request(kmsg.NewPtrApiVersionsRequest()).(*kmsg.ApiVersionsResponse).ApiKeys {
		served[k.ApiKey] = !slices.Contains(unguarded, k.ApiKey)
	}
	isRefusal := func(code int16) bool { return code == 29 || code == 30 || code == 31 || code == 53 }
	try := func(req kmsg.Request) map[int16]bool {
		codes := make(map[int16]bool)
		errorCodes(reflect.ValueOf(g.alice.request(req)), codes)
		return codes
	}
	for i, line := range guards(topicID("secret")) {
		delete(served, line.req.Key())
		what := fmt.Sprintf("%s v%d (%d)", kmsg.NameForKey(line.req.Key()), line.req.GetVersion(), i)
		topicID("secret2")
		if line.req.Key() == 20 && line.req.GetVersion() == 6 {
			line.req.(*kmsg.DeleteTopicsRequest).Topics[0].TopicID = topicID("gone1")
		}
		if line.req.Key() == int16(kmsg.OffsetCommit) && line.code == 29 {
			g.allow("User:alice", "group:g:READ")
		}
		if codes := try(line.req); !codes[line.code] {
			t.Errorf("%s: without a right the codes are %v, want %d", what, codes, line.code)
		}
		g.clear()
		sets := [][]string{{}}
		for _, alternatives := range line.rights {
			var more [][]string
			for _, s := range sets {
				for alternative := range strings.SplitSeq(alternatives, " or ") {
					more = append(more, append(slices.Clone(s), alternative))
				}
			}
			sets = more
		}
		for _, rights := range sets {
			g.allow("User:alice", rights...)
			if line.req.Key() == int16(kmsg.OffsetCommit) {
				g.allow("User:alice", "group:g:READ")
			}
			for code := range try(line.req) {
				if isRefusal(code) {
					t.Errorf("%s: with %v the code is %d", what, rights, code)
				}
			}
			g.clear()
		}
	}
	for key, guarded := range served {
		if guarded {
			t.Errorf("%s (%d) is served without a line among the guards", kmsg.NameForKey(key), key)
		}
	}
	if s := g.Stats(); s.Panics != 0 || s.ConnectionsMalformed != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestRules has the decision right where several rules speak of one resource.
func TestRules(t *testing.T) {
	const yes, no = kmsg.ACLPermissionTypeAllow, kmsg.ACLPermissionTypeDeny
	type rule struct {
		right, principal, host string
		permission             kmsg.ACLPermissionType
	}
	g := openGuarded(t, nil)
	produced := func(topic string) bool {
		r := g.alice.request(produceRequest(9, -1, topic, 0, goodBatch(1, 10))).(*kmsg.ProduceResponse)
		return r.Topics[0].Partitions[0].ErrorCode != 29
	}
	for name, test := range map[string]struct {
		rules []rule
		want  bool
	}{
		"nothing":                     {nil, false},
		"literal":                     {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}}, true},
		"another's":                   {[]rule{{"topic:abc:WRITE", "User:bob", "*", yes}}, false},
		"another topic":               {[]rule{{"topic:abcd:WRITE", "User:alice", "*", yes}}, false},
		"another type":                {[]rule{{"group:abc:ALL", "User:alice", "*", yes}}, false},
		"another operation":           {[]rule{{"topic:abc:READ", "User:alice", "*", yes}}, false},
		"all operations":              {[]rule{{"topic:abc:ALL", "User:alice", "*", yes}}, true},
		"everybody":                   {[]rule{{"topic:abc:WRITE", "User:*", "*", yes}}, true},
		"every topic":                 {[]rule{{"topic:*:WRITE", "User:alice", "*", yes}}, true},
		"prefix":                      {[]rule{{"topic:ab*:WRITE", "User:alice", "*", yes}}, true},
		"prefix that is the name":     {[]rule{{"topic:abc*:WRITE", "User:alice", "*", yes}}, true},
		"longer prefix":               {[]rule{{"topic:abcd*:WRITE", "User:alice", "*", yes}}, false},
		"host":                        {[]rule{{"topic:abc:WRITE", "User:alice", "127.0.0.1", yes}}, true},
		"another host":                {[]rule{{"topic:abc:WRITE", "User:alice", "192.0.2.1", yes}}, false},
		"deny wins":                   {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:abc:WRITE", "User:alice", "*", no}}, false},
		"deny by prefix":              {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:a*:WRITE", "User:*", "*", no}}, false},
		"deny everything":             {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:*:ALL", "User:alice", "127.0.0.1", no}}, false},
		"deny another":                {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:abc:WRITE", "User:bob", "*", no}}, true},
		"deny another host":           {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:abc:WRITE", "User:alice", "192.0.2.1", no}}, true},
		"deny what follows from it":   {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:abc:DESCRIBE", "User:alice", "*", no}}, true},
		"a literal prefix is no more": {[]rule{{"topic:ab:WRITE", "User:alice", "*", yes}}, false},
	} {
		for _, r := range test.rules {
			g.create(right(r.right, r.principal, r.host, r.permission))
		}
		if got := produced("abc"); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
		if n := g.clear(); n != len(test.rules) {
			t.Errorf("%s: %d rules were there", name, n)
		}
	}

	// Any topic to write to is enough for a producer id, unless a rule takes it away.
	ids := func() bool {
		return g.alice.request(kmsg.NewPtrInitProducerIDRequest()).(*kmsg.InitProducerIDResponse).ErrorCode == 0
	}
	for name, test := range map[string]struct {
		rules []rule
		want  bool
	}{
		"denied":              {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:abc:WRITE", "User:alice", "*", no}}, false},
		"denied by prefix":    {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:a*:WRITE", "User:alice", "*", no}}, false},
		"prefix denied":       {[]rule{{"topic:ab*:WRITE", "User:alice", "*", yes}, {"topic:a*:ALL", "User:alice", "*", no}}, false},
		"part denied":         {[]rule{{"topic:a*:WRITE", "User:alice", "*", yes}, {"topic:ab*:WRITE", "User:alice", "*", no}}, true},
		"one denied":          {[]rule{{"topic:*:WRITE", "User:alice", "*", yes}, {"topic:a*:WRITE", "User:alice", "*", no}}, true},
		"everything denied":   {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:*:WRITE", "User:*", "*", no}}, false},
		"only to read":        {[]rule{{"topic:abc:READ", "User:alice", "*", yes}}, false},
		"denied to another":   {[]rule{{"topic:abc:WRITE", "User:alice", "*", yes}, {"topic:*:WRITE", "User:bob", "*", no}}, true},
		"allowed for another": {[]rule{{"topic:abc:WRITE", "User:bob", "*", yes}}, false},
	} {
		for _, r := range test.rules {
			g.create(right(r.right, r.principal, r.host, r.permission))
		}
		if got := ids(); got != test.want {
			t.Errorf("producer id, %s: %v", name, got)
		}
		g.clear()
	}
}

// TestOpenWithoutACL leaves to everybody what no rule speaks of.
func TestOpenWithoutACL(t *testing.T) {
	g := openGuarded(t, func(c *broker.Config) { c.AllowWithoutACL = true })
	code := func(topic string) int16 {
		req := produceRequest(9, -1, topic, 0, goodBatch(1, 10))
		return g.alice.request(req).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
	}
	g.allow("User:bob", "topic:his:WRITE")
	if c := code("his"); c != 29 {
		t.Errorf("a topic with a rule: %d", c)
	}
	if c := code("nobodys"); c != 3 {
		t.Errorf("a topic without a rule: %d", c)
	}
}

// TestFiltered has lists show what may be seen and nothing else, and operations told when asked for.
func TestFiltered(t *testing.T) {
	g := openGuarded(t, nil)
	admin := clientAt(t, g.Broker, "sasl", kgo.SASL(login("PLAIN", "admin", "a")))
	alice := clientAt(t, g.Broker, "sasl", kgo.SASL(login("PLAIN", "alice", "b")))
	produce(t, admin, "mine", "v", 1)
	produce(t, admin, "yours", "v", 1)
	ctx := deadline(t)
	adm := kadm.NewClient(admin)
	for _, group := range []string{"my-group", "your-group"} {
		var offsets kadm.Offsets
		offsets.AddOffset("mine", 0, 1, -1)
		offsets.AddOffset("yours", 0, 1, -1)
		if err := adm.CommitAllOffsets(ctx, group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	g.allow("User:alice", "topic:mine:DESCRIBE", "topic:mine:ALTER_CONFIGS", "group:my-*:READ")
	mine := kadm.NewClient(alice)
	topics, err := mine.ListTopics(ctx)
	if err != nil || len(topics) != 1 || !topics.Has("mine") {
		t.Errorf("topics: %v, %v", topics.Names(), err)
	}
	groups, err := mine.ListGroups(ctx)
	if err != nil || len(groups) != 1 || groups.Groups()[0] != "my-group" {
		t.Errorf("groups: %v, %v", groups.Groups(), err)
	}
	offsets, err := mine.FetchOffsets(ctx, "my-group")
	if err != nil || len(offsets) != 1 || len(offsets["mine"]) != 1 {
		t.Errorf("offsets: %+v, %v", offsets, err)
	}

	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(9)
	req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = true, true
	r := g.alice.request(req).(*kmsg.MetadataResponse)
	// Describe, DescribeConfigs, AlterConfigs; nothing of the cluster.
	if want := int32(1<<8 | 1<<10 | 1<<11); len(r.Topics) != 1 || r.Topics[0].AuthorizedOperations != want || r.AuthorizedOperations != 0 {
		t.Errorf("operations: %+v", r)
	}
	if r := g.admin.request(req).(*kmsg.MetadataResponse); r.AuthorizedOperations != 1<<5|1<<7|1<<8|1<<9|1<<10|1<<11|1<<12 {
		t.Errorf("operations of the administrator: %b", r.AuthorizedOperations)
	}
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.SetVersion(4)
	describe.Groups, describe.IncludeAuthorizedOperations = []string{"my-group"}, true
	if r := g.alice.request(describe).(*kmsg.DescribeGroupsResponse); r.Groups[0].AuthorizedOperations != 1<<3|1<<8 {
		t.Errorf("operations of the group: %+v", r)
	}
}

// TestPrincipals has certificates, names and nobody told apart by ACLs, and rules kept over a restart.
func TestPrincipals(t *testing.T) {
	ca := newAuthority(t)
	cfg := testConfig(t)
	tc := ca.server(broker.ClientAuthRequested)
	tc.PrincipalRules = "RULE:^CN=(.*?),O=rules$/$1/U,DEFAULT"
	cfg.Listeners = []broker.Listener{secure("tls", tc)}
	cfg.Authorize, cfg.SuperUsers = true, []string{"User:CN=root"}
	b := open(t, cfg)
	root := &pkix.Name{CommonName: "root"}
	adm := kadm.NewClient(clientAt(t, b, "tls", kgo.DialTLSConfig(ca.client(root))))
	ctx := deadline(t)
	rules := kadm.NewACLs().Allow("User:CN=alice,OU=net", "User:BOB", "User:ANONYMOUS").AllowHosts().Topics("t").Operations(kadm.OpWrite)
	if res, err := adm.CreateACLs(ctx, rules.ResourcePatternType(kadm.ACLPatternLiteral)); err != nil || res[0].Err != nil {
		t.Fatalf("create: %+v, %v", res, err)
	}
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	write := func(subject *pkix.Name) error {
		cl := clientAt(t, b, "tls", kgo.DialTLSConfig(ca.client(subject)), kgo.DefaultProduceTopic("t"))
		return cl.ProduceSync(ctx, kgo.StringRecord("v")).FirstErr()
	}
	for _, test := range []struct {
		subject *pkix.Name
		ok      bool
	}{
		{root, true},
		{&pkix.Name{CommonName: "alice", OrganizationalUnit: []string{"net"}}, true},
		{&pkix.Name{CommonName: "alice"}, false},
		{&pkix.Name{CommonName: "bob", Organization: []string{"rules"}}, true},
		{&pkix.Name{CommonName: "bob"}, false},
		{nil, true},
	} {
		if err := write(test.subject); (err == nil) != test.ok {
			t.Errorf("%v: %v", test.subject, err)
		}
	}
	adm = kadm.NewClient(clientAt(t, b, "tls", kgo.DialTLSConfig(ca.client(root))))
	res, err := adm.DescribeACLs(ctx, kadm.NewACLs().AnyResource().Allow().Deny().AllowHosts().DenyHosts().Operations().ResourcePatternType(kadm.ACLPatternAny))
	if err != nil || len(res) == 0 || len(res[0].Described) != 3 {
		t.Errorf("describe: %+v, %v", res, err)
	}

	// Without ACLs nothing is kept from anybody, and ACLs cannot be made.
	open := rawDial(t, open(t, testConfig(t)))
	create := kmsg.NewPtrCreateACLsRequest()
	create.SetVersion(1)
	create.Creations = append(create.Creations, right("topic:t:READ", "User:x", "*", kmsg.ACLPermissionTypeAllow))
	if r := open.request(create).(*kmsg.CreateACLsResponse); r.Results[0].ErrorCode != 54 {
		t.Errorf("create without an authorizer: %+v", r)
	}
}

// TestACLFilters plays the filters of Kafka's AclBindingFilter, and rules that are none.
func TestACLFilters(t *testing.T) {
	g := openGuarded(t, func(c *broker.Config) { c.MaxACLs = 6 })
	for _, s := range []string{"topic:flows:READ", "topic:flows*:READ", "topic:fl*:WRITE", "topic:*:READ", "group:flows:READ"} {
		g.allow("User:alice", s)
	}
	g.create(right("topic:flows:READ", "User:alice", "192.0.2.1", kmsg.ACLPermissionTypeDeny))
	flows := "flows"
	find := func(change func(*kmsg.DescribeACLsRequest)) (n int, code int16) {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.SetVersion(3)
		req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
		change(req)
		r := g.admin.request(req).(*kmsg.DescribeACLsResponse)
		for _, resource := range r.Resources {
			n += len(resource.ACLs)
		}
		return n, r.ErrorCode
	}
	type filter = kmsg.DescribeACLsRequest
	for name, test := range map[string]struct {
		change func(*filter)
		n      int
		code   int16
	}{
		"all":              {func(*filter) {}, 6, 0},
		"topics":           {func(f *filter) { f.ResourceType = 2 }, 5, 0},
		"by name":          {func(f *filter) { f.ResourceType, f.ResourceName = 2, &flows }, 3, 0},
		"literal":          {func(f *filter) { f.ResourceType, f.ResourceName, f.ResourcePatternType = 2, &flows, 3 }, 2, 0},
		"prefixed":         {func(f *filter) { f.ResourceType, f.ResourceName, f.ResourcePatternType = 2, &flows, 4 }, 1, 0},
		"match":            {func(f *filter) { f.ResourceType, f.ResourceName, f.ResourcePatternType = 2, &flows, 2 }, 5, 0},
		"operation":        {func(f *filter) { f.Operation = 4 }, 1, 0},
		"deny":             {func(f *filter) { f.PermissionType = 2 }, 1, 0},
		"host":             {func(f *filter) { f.Host = kmsg.StringPtr("192.0.2.1") }, 1, 0},
		"principal":        {func(f *filter) { f.Principal = kmsg.StringPtr("User:bob") }, 0, 0},
		"unknown type":     {func(f *filter) { f.ResourceType = 0 }, 0, 42},
		"type beyond":      {func(f *filter) { f.ResourceType = 8 }, 0, 42},
		"pattern beyond":   {func(f *filter) { f.ResourcePatternType = 5 }, 0, 42},
		"operation beyond": {func(f *filter) { f.Operation = 16 }, 0, 42},
	} {
		if n, code := find(test.change); n != test.n || code != test.code {
			t.Errorf("%s: %d, error %d; want %d, error %d", name, n, code, test.n, test.code)
		}
	}
	req := kmsg.NewPtrCreateACLsRequest()
	req.SetVersion(3)
	good := right("topic:flows:READ", "User:alice", "*", kmsg.ACLPermissionTypeAllow)
	for _, change := range []func(*kmsg.CreateACLsRequestCreation){
		func(*kmsg.CreateACLsRequestCreation) {}, // it is there already
		func(c *kmsg.CreateACLsRequestCreation) { c.ResourceType = 1 },
		func(c *kmsg.CreateACLsRequestCreation) { c.ResourceType = -1 },
		func(c *kmsg.CreateACLsRequestCreation) { c.ResourcePatternType = 2 },
		func(c *kmsg.CreateACLsRequestCreation) { c.ResourceName = "" },
		func(c *kmsg.CreateACLsRequestCreation) { c.ResourceType = 4 },
		func(c *kmsg.CreateACLsRequestCreation) { c.Principal = "alice" },
		func(c *kmsg.CreateACLsRequestCreation) { c.Host = "" },
		func(c *kmsg.CreateACLsRequestCreation) { c.Operation = 1 },
		func(c *kmsg.CreateACLsRequestCreation) { c.PermissionType = 1 },
		func(c *kmsg.CreateACLsRequestCreation) { c.ResourceName = strings.Repeat("x", 2000) },
	} {
		c := good
		change(&c)
		req.Creations = append(req.Creations, c)
	}
	for i, r := range g.admin.request(req).(*kmsg.CreateACLsResponse).Results {
		if want := int16(min(i, 1) * 42); r.ErrorCode != want {
			t.Errorf("rule %d: %+v, want error %d", i, r, want)
		}
	}
	good.ResourceName = "one more"
	req.Creations = []kmsg.CreateACLsRequestCreation{good}
	if r := g.admin.request(req).(*kmsg.CreateACLsResponse).Results[0]; r.ErrorCode != 44 {
		t.Errorf("one rule too many: %+v", r)
	}
}
