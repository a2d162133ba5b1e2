package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/tributary-net/tributary/broker"
)

// patience is how long something that happens at once may take on a busy machine.
const patience = 2 * time.Minute

// enforcing makes a broker enforce ACLs that let everybody do everything, so that
// they can be administered.
func enforcing(c *broker.Config) {
	c.Authorize, c.SuperUsers = true, []string{"User:ANONYMOUS"}
}

// TestSarama has a program on IBM/sarama, which its functional suite cannot replace:
// that wants five brokers.
func TestSarama(t *testing.T) {
	t.Parallel()
	b := start(t, saramaGo, enforcing)
	s := &saramaClient{addrs: []string{b.Addr().String()}}
	version, _ := module(t, "github.com/IBM/sarama")
	for _, c := range []struct {
		what string
		do   func(t *testing.T)
	}{
		{"topics, configs, partitions, records deleted", s.topics},
		{"produce with every codec, with acks 0, 1 and all, consume", s.produce},
		{"idempotent producer", s.idempotent},
		{"group of two, range, roundrobin and sticky, with takeover", s.groups},
		{"group with static members", s.staticMembers},
		{"transactions: commit, abort, offsets, fencing", s.transactions},
		{"groups, offsets, log directories, cluster described and altered", s.admin},
		{"ACLs, quotas, users", s.security},
	} {
		check(t, saramaGo, version, c.what, c.do)
	}
}

type saramaClient struct{ addrs []string }

func (s *saramaClient) config(change ...func(*sarama.Config)) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Return.Errors = true
	c.Consumer.Group.Session.Timeout = time.Minute // a machine that is busy loses no member
	c.Consumer.Group.Heartbeat.Interval = 100 * time.Millisecond
	for _, f := range change {
		f(c)
	}
	return c
}

func (s *saramaClient) clusterAdmin(t *testing.T) sarama.ClusterAdmin {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(s.addrs, s.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	return admin
}

// topic makes a topic.
func (s *saramaClient) topic(t *testing.T, name string, partitions int32) {
	t.Helper()
	if err := s.clusterAdmin(t).CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false); err != nil {
		t.Fatal(err)
	}
}

// send sends values 0 to n-1 by a producer of its own.
func (s *saramaClient) send(t *testing.T, topic string, n int, change ...func(*sarama.Config)) {
	t.Helper()
	p, err := sarama.NewSyncProducer(s.addrs, s.config(change...))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SendMessages(numbered(topic, n)); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func numbered(topic string, n int) []*sarama.ProducerMessage {
	all := make([]*sarama.ProducerMessage, n)
	for i := range all {
		all[i] = &sarama.ProducerMessage{
			Topic: topic, Key: sarama.StringEncoder("k" + strconv.Itoa(i%7)), Value: sarama.StringEncoder(strconv.Itoa(i)),
			Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte(strconv.Itoa(i))}},
		}
	}
	return all
}

// read reads n records of partition 0 and returns their values.
func (s *saramaClient) read(t *testing.T, topic string, n int, change ...func(*sarama.Config)) []string {
	t.Helper()
	c, err := sarama.NewConsumer(s.addrs, s.config(change...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pc, err := c.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	late := time.After(patience)
	var values []string
	for len(values) < n {
		select {
		case m := <-pc.Messages():
			if len(m.Headers) != 1 || string(m.Headers[0].Value) != string(m.Value) {
				t.Errorf("offset %d has headers %v", m.Offset, m.Headers)
			}
			values = append(values, string(m.Value))
		case err := <-pc.Errors():
			t.Fatal(err)
		case <-late:
			t.Fatalf("%d of %d records", len(values), n)
		}
	}
	return values
}

func values(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strconv.Itoa(i)
	}
	return all
}

func (s *saramaClient) topics(t *testing.T) {
	admin := s.clusterAdmin(t)
	hour := "3600000"
	detail := &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &hour}}
	if err := admin.CreateTopic("s-topics", detail, false); err != nil {
		t.Fatal(err)
	}
	if err := admin.CreateTopic("s-topics", detail, false); !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		t.Errorf("made twice: %v", err)
	}
	if err := admin.CreatePartitions("s-topics", 3, nil, false); err != nil {
		t.Fatal(err)
	}
	all, err := admin.ListTopics()
	if d := all["s-topics"]; err != nil || d.NumPartitions != 3 || d.ConfigEntries["retention.ms"] == nil || *d.ConfigEntries["retention.ms"] != hour {
		t.Errorf("listed: %+v, %v", d, err)
	}
	compact := "compact"
	err = admin.IncrementalAlterConfig(sarama.TopicResource, "s-topics", map[string]sarama.IncrementalAlterConfigsEntry{
		"cleanup.policy": {Operation: sarama.IncrementalAlterConfigsOperationAppend, Value: &compact},
	}, false)
	if err != nil {
		t.Error(err)
	}
	configs, err := admin.DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: "s-topics", ConfigNames: []string{"cleanup.policy"}}}, sarama.DescribeConfigsOptions{})
	if err != nil || len(configs) != 1 || len(configs[0].Configs) != 1 || configs[0].Configs[0].Value != "delete,compact" {
		t.Errorf("appended: %+v, %v", configs, err)
	}
	deleted := "delete"
	if err := admin.AlterConfig(sarama.TopicResource, "s-topics", map[string]*string{"cleanup.policy": &deleted}, false); err != nil {
		t.Error(err)
	}
	s.send(t, "s-topics", 30, func(c *sarama.Config) { c.Producer.Partitioner = sarama.NewManualPartitioner })
	if err := admin.DeleteRecords("s-topics", map[int32]int64{0: 12}); err != nil {
		t.Error(err)
	}
	offsets, err := admin.ListOffsets(map[string]map[int32]int64{"s-topics": {0: sarama.OffsetOldest}}, nil)
	if r := offsets["s-topics"][0]; err != nil || r == nil || !errors.Is(r.Err, sarama.ErrNoError) || r.Offset != 12 {
		t.Errorf("oldest: %+v, %v", r, err)
	}
	if err := admin.DeleteTopic("s-topics"); err != nil {
		t.Error(err)
	}
	if err := admin.DeleteTopic("s-topics"); !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
		t.Errorf("deleted twice: %v", err)
	}
}

func (s *saramaClient) produce(t *testing.T) {
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
	acks := []sarama.RequiredAcks{sarama.WaitForAll, sarama.WaitForLocal, sarama.NoResponse}
	for i, codec := range codecs {
		ack := acks[i%len(acks)]
		topic := fmt.Sprintf("s-produce-%s-%d", codec, ack)
		s.topic(t, topic, 1)
		s.send(t, topic, 1000, func(c *sarama.Config) { c.Producer.Compression, c.Producer.RequiredAcks = codec, ack })
		if got := s.read(t, topic, 1000); !slices.Equal(got, values(1000)) {
			t.Errorf("%s, acks %d: %v", codec, ack, got)
		}
	}
}

func idempotent(c *sarama.Config) {
	c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
}

func (s *saramaClient) idempotent(t *testing.T) {
	s.topic(t, "s-idempotent", 1)
	s.send(t, "s-idempotent", 1000, idempotent, func(c *sarama.Config) { c.Producer.Flush.MaxMessages = 10 })
	if got := s.read(t, "s-idempotent", 1000); !slices.Equal(got, values(1000)) {
		t.Errorf("%v", got)
	}
}

// reader is one member of a group.
type reader struct {
	group  sarama.ConsumerGroup
	cancel context.CancelFunc
	done   chan error

	mu         sync.Mutex
	changed    chan struct{} // has something in it after every change
	partitions map[int32]bool
	got        map[string]int // by value, partition and offset
	errs       []error        // that the client told of, such as commits that failed
}

func (s *saramaClient) reader(t *testing.T, group, topic string, change ...func(*sarama.Config)) *reader {
	t.Helper()
	g, err := sarama.NewConsumerGroup(s.addrs, group, s.config(change...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{group: g, cancel: cancel, done: make(chan error, 1), changed: make(chan struct{}, 1), got: make(map[string]int)}
	go func() {
		for ctx.Err() == nil {
			if err := g.Consume(ctx, []string{topic}, r); err != nil && ctx.Err() == nil {
				r.done <- err
				return
			}
		}
		r.done <- g.Close()
	}()
	go func() {
		for err := range g.Errors() {
			r.change(func() { r.errs = append(r.errs, err) })
		}
	}()
	t.Cleanup(cancel)
	return r
}

func (r *reader) change(f func()) {
	r.mu.Lock()
	f()
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *reader) Setup(session sarama.ConsumerGroupSession) error {
	r.change(func() {
		r.partitions = make(map[int32]bool)
		for _, all := range session.Claims() {
			for _, p := range all {
				r.partitions[p] = true
			}
		}
	})
	return nil
}

func (r *reader) Cleanup(sarama.ConsumerGroupSession) error {
	r.change(func() { r.partitions = nil })
	return nil
}

func (r *reader) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		r.change(func() { r.got[fmt.Sprintf("%s of partition %d at %d", m.Value, m.Partition, m.Offset)]++ })
		session.MarkMessage(m, "read")
	}
	return nil
}

// await waits until a condition holds, looked at under the reader's lock.
func (r *reader) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		r.mu.Lock()
		held := ok()
		r.mu.Unlock()
		if held {
			return
		}
		select {
		case <-r.changed:
		case err := <-r.done:
			t.Fatalf("%s: %v", what, err)
		case <-late:
			t.Fatalf("%s: partitions %v, %d records", what, r.partitions, len(r.got))
		}
	}
}

// stop has the member leave.
func (r *reader) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

func (s *saramaClient) groups(t *testing.T) {
	for _, strategy := range []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange(), sarama.NewBalanceStrategyRoundRobin(), sarama.NewBalanceStrategySticky()} {
		t.Run(strategy.Name(), func(t *testing.T) {
			name := "s-group-" + strategy.Name()
			by := func(c *sarama.Config) {
				c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
			}
			s.topic(t, name, 4)
			s.send(t, name, 200, idempotent)
			one := s.reader(t, name, name, by)
			one.await(t, "alone", func() bool { return len(one.partitions) == 4 && len(one.got) == 200 })
			two := s.reader(t, name, name, by)
			two.await(t, "the second has half", func() bool { return len(two.partitions) == 2 })
			one.await(t, "the first has half", func() bool { return len(one.partitions) == 2 })
			one.stop(t)
			two.await(t, "the second takes over", func() bool { return len(two.partitions) == 4 })
			s.send(t, name, 100, idempotent)
			two.await(t, "the rest", func() bool {
				rest := 0
				for record := range two.got {
					if one.got[record] == 0 {
						rest++
					}
				}
				return rest == 100
			})
			two.stop(t)
			onceOrTold(t, one, two)
		})
	}
}

// onceOrTold holds that a record comes to a group once, or that the client has told of an error. Its last commit of a session is
// tried four times and then given up, and whoever has the partition next reads from the commit before: at least once is what
// it promises.
func onceOrTold(t *testing.T, readers ...*reader) {
	t.Helper()
	times := make(map[string]int)
	var errs []error
	for _, r := range readers {
		r.mu.Lock()
		for record, n := range r.got {
			times[record] += n
		}
		errs = append(errs, r.errs...)
		r.mu.Unlock()
	}
	for record, n := range times {
		if n > 1 && len(errs) == 0 {
			t.Errorf("record %s came %d times, and the client told of no error", record, n)
		} else if n > 1 {
			t.Logf("record %s came %d times after %v", record, n, errs)
		}
	}
}

func (s *saramaClient) staticMembers(t *testing.T) {
	const name = "s-static"
	as := func(id string) func(*sarama.Config) {
		return func(c *sarama.Config) { c.Consumer.Group.InstanceId = id }
	}
	s.topic(t, name, 2)
	one, two := s.reader(t, name, name, as("one")), s.reader(t, name, name, as("two"))
	one.await(t, "one has half", func() bool { return len(one.partitions) == 1 })
	two.await(t, "two has half", func() bool { return len(two.partitions) == 1 })
	had := make(map[int32]bool)
	two.mu.Lock()
	for p := range two.partitions {
		had[p] = true
	}
	two.mu.Unlock()
	two.stop(t)
	again := s.reader(t, name, name, as("two"))
	again.await(t, "two is back", func() bool { return len(again.partitions) == 1 })
	again.mu.Lock()
	for p := range again.partitions {
		if !had[p] {
			t.Errorf("two came back to partition %d, had %v", p, had)
		}
	}
	again.mu.Unlock()
	one.mu.Lock()
	if len(one.partitions) != 1 {
		t.Errorf("one has %v", one.partitions)
	}
	one.mu.Unlock()
	admin := s.clusterAdmin(t)
	again.stop(t)
	resp, err := admin.RemoveMemberFromConsumerGroup(name, []string{"two"})
	if err != nil || resp.Err != sarama.ErrNoError || len(resp.Members) != 1 || resp.Members[0].Err != sarama.ErrNoError {
		t.Errorf("removed: %+v, %v", resp, err)
	}
	one.await(t, "one has all", func() bool { return len(one.partitions) == 2 })
	one.stop(t)
}

func (s *saramaClient) transactions(t *testing.T) {
	const topic = "s-txn"
	s.topic(t, topic, 1)
	producer := func() sarama.SyncProducer {
		p, err := sarama.NewSyncProducer(s.addrs, s.config(idempotent, func(c *sarama.Config) { c.Producer.Transaction.ID = "s-txn" }))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	transact := func(p sarama.SyncProducer, n int, end func() error) {
		t.Helper()
		if err := p.BeginTxn(); err != nil {
			t.Fatal(err)
		}
		if err := p.SendMessages(numbered(topic, n)); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	p := producer()
	transact(p, 10, p.AbortTxn)
	transact(p, 20, p.CommitTxn)
	transact(p, 5, func() error {
		group := "s-txn-group"
		err := p.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: 17}}}, group)
		return errors.Join(err, p.CommitTxn())
	})
	committed := func(c *sarama.Config) { c.Consumer.IsolationLevel = sarama.ReadCommitted }
	if got, want := s.read(t, topic, 25, committed), append(values(20), values(5)...); !slices.Equal(got, want) {
		t.Errorf("committed: %v", got)
	}
	if got, want := s.read(t, topic, 35), slices.Concat(values(10), values(20), values(5)); !slices.Equal(got, want) {
		t.Errorf("all: %v", got)
	}
	resp, err := s.clusterAdmin(t).ListConsumerGroupOffsets("s-txn-group", map[string][]int32{topic: {0}})
	if err != nil || resp.GetBlock(topic, 0) == nil || resp.GetBlock(topic, 0).Offset != 17 {
		t.Errorf("offsets of the transaction: %+v, %v", resp, err)
	}
	// A second producer of the same id ends what the first one has begun.
	if err := p.BeginTxn(); err != nil {
		t.Fatal(err)
	}
	if err := p.SendMessages(numbered(topic, 1)); err != nil {
		t.Fatal(err)
	}
	second := producer()
	transact(second, 3, second.CommitTxn)
	if err := p.SendMessages(numbered(topic, 1)); err == nil {
		err = p.CommitTxn()
		if err == nil {
			t.Error("the first producer was not fenced")
		}
	}
	_ = p.Close()
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if got, want := s.read(t, topic, 28, committed), slices.Concat(values(20), values(5), values(3)); !slices.Equal(got, want) {
		t.Errorf("after the fencing: %v", got)
	}
}

func (s *saramaClient) admin(t *testing.T) {
	const name = "s-admin"
	admin := s.clusterAdmin(t)
	s.topic(t, name, 2)
	s.send(t, name, 50, idempotent)
	r := s.reader(t, name, name)
	r.await(t, "all", func() bool { return len(r.got) == 50 })
	groups, err := admin.DescribeConsumerGroups([]string{name})
	if err != nil || len(groups) != 1 || groups[0].State != "Stable" || len(groups[0].Members) != 1 {
		t.Errorf("described: %+v, %v", groups, err)
	}
	r.stop(t)
	all, err := admin.ListConsumerGroups()
	if _, ok := all[name]; err != nil || !ok {
		t.Errorf("listed: %v, %v", all, err)
	}
	sum := func() (n int64) {
		resp, err := admin.ListConsumerGroupOffsets(name, map[string][]int32{name: {0, 1}})
		if err != nil {
			t.Fatal(err)
		}
		for p := range int32(2) {
			if b := resp.GetBlock(name, p); b != nil && b.Offset > 0 {
				n += b.Offset
			}
		}
		return n
	}
	if n := sum(); n != 50 {
		t.Errorf("%d records are committed", n)
	}
	resp, err := admin.AlterConsumerGroupOffsets(name, map[string]map[int32]sarama.OffsetAndMetadata{name: {0: {Offset: 3, LeaderEpoch: -1}}}, nil)
	if err != nil || resp == nil {
		t.Error(err)
	}
	if err := admin.DeleteConsumerGroupOffset(name, name, 1); err != nil {
		t.Error(err)
	}
	if n := sum(); n != 3 {
		t.Errorf("%d records are committed after the change", n)
	}
	if err := admin.DeleteConsumerGroup(name); err != nil {
		t.Error(err)
	}
	brokers, controller, err := admin.DescribeCluster()
	if err != nil || len(brokers) != 1 || controller != 1 {
		t.Errorf("cluster: %v, %d, %v", brokers, controller, err)
	}
	dirs, err := admin.DescribeLogDirs([]int32{1})
	if err != nil || len(dirs[1]) != 1 || dirs[1][0].ErrorCode != sarama.ErrNoError || len(dirs[1][0].Topics) == 0 {
		t.Errorf("log directories: %+v, %v", dirs, err)
	}
	if _, err := admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{name: {0}}); err != nil {
		t.Errorf("election: %v", err)
	}
	if _, err := admin.ListPartitionReassignments(name, []int32{0, 1}); err != nil {
		t.Errorf("reassignments: %v", err)
	}
}

func (s *saramaClient) security(t *testing.T) {
	admin := s.clusterAdmin(t)
	resource := sarama.Resource{ResourceType: sarama.AclResourceTopic, ResourceName: "s-", ResourcePatternType: sarama.AclPatternPrefixed}
	rule := sarama.Acl{Principal: "User:alice", Host: "*", Operation: sarama.AclOperationRead, PermissionType: sarama.AclPermissionAllow}
	if err := admin.CreateACLs([]*sarama.ResourceAcls{{Resource: resource, Acls: []*sarama.Acl{&rule}}}); err != nil {
		t.Fatal(err)
	}
	filter := sarama.AclFilter{
		ResourceType: sarama.AclResourceTopic, ResourcePatternTypeFilter: sarama.AclPatternAny,
		Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionAny,
	}
	acls, err := admin.ListAcls(filter)
	if err != nil || len(acls) != 1 || acls[0].Resource != resource || len(acls[0].Acls) != 1 || *acls[0].Acls[0] != rule {
		t.Errorf("rules: %+v, %v", acls, err)
	}
	if gone, err := admin.DeleteACL(filter, false); err != nil || len(gone) != 1 {
		t.Errorf("deleted: %+v, %v", gone, err)
	}
	who := []sarama.QuotaEntityComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchExact, Name: "slow"}}
	if err := admin.AlterClientQuotas(who, sarama.ClientQuotasOp{Key: "producer_byte_rate", Value: 1 << 20}, false); err != nil {
		t.Fatal(err)
	}
	quotas, err := admin.DescribeClientQuotas([]sarama.QuotaFilterComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchExact, Match: "slow"}}, true)
	if err != nil || len(quotas) != 1 || quotas[0].Values["producer_byte_rate"] != 1<<20 {
		t.Errorf("quotas: %+v, %v", quotas, err)
	}
	users, err := admin.UpsertUserScramCredentials([]sarama.AlterUserScramCredentialsUpsert{{
		Name: "alice", Mechanism: sarama.SCRAM_MECHANISM_SHA_512, Iterations: 8192, Salt: []byte("salt"), Password: []byte("secret"),
	}})
	if err != nil || len(users) != 1 || users[0].ErrorCode != sarama.ErrNoError {
		t.Errorf("user: %+v, %v", users, err)
	}
	known, err := admin.DescribeUserScramCredentials([]string{"alice"})
	if err != nil || len(known) != 1 || len(known[0].CredentialInfos) != 1 || known[0].CredentialInfos[0].Iterations != 8192 {
		t.Errorf("described: %+v, %v", known, err)
	}
	gone, err := admin.DeleteUserScramCredentials([]sarama.AlterUserScramCredentialsDelete{{Name: "alice", Mechanism: sarama.SCRAM_MECHANISM_SHA_512}})
	if err != nil || len(gone) != 1 || gone[0].ErrorCode != sarama.ErrNoError {
		t.Errorf("deleted: %+v, %v", gone, err)
	}
}
