package broker_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// alterQuotaRequest sets one quota of an entity with one part; the name "" is the default.
func alterQuotaRequest(kind, name, key string, value float64) *kmsg.AlterClientQuotasRequest {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.SetVersion(1)
	entry := kmsg.NewAlterClientQuotasRequestEntry()
	e := kmsg.NewAlterClientQuotasRequestEntryEntity()
	if e.Type = kind; name != "" {
		e.Name = &name
	}
	op := kmsg.NewAlterClientQuotasRequestEntryOp()
	op.Key, op.Value, op.Remove = key, value, value == 0
	entry.Entity, entry.Ops = append(entry.Entity, e), append(entry.Ops, op)
	req.Entries = append(req.Entries, entry)
	return req
}

func setQuota(t *testing.T, c *rawConn, kind, name, key string, value float64) {
	t.Helper()
	r := c.request(alterQuotaRequest(kind, name, key, value)).(*kmsg.AlterClientQuotasResponse).Entries[0]
	if r.ErrorCode != 0 {
		t.Fatalf("quota of %s %s: error %d, %s", kind, name, r.ErrorCode, *r.ErrorMessage)
	}
}

// stopped is a clock for quotas that tests set forward.
type stopped struct{ at atomic.Int64 }

func (s *stopped) now() time.Time { return time.Unix(1_700_000_000+s.at.Load(), 0) }

func openWithClock(t *testing.T, change func(*broker.Config)) (*guarded, *stopped) {
	t.Helper()
	clock := &stopped{}
	return openGuarded(t, func(c *broker.Config) {
		if change != nil {
			change(c)
		}
		*c = broker.WithClock(*c, clock.now)
		c.SuperUsers = append(c.SuperUsers, "User:alice")
	}), clock
}

// TestProduceQuota has a producer beyond its quota answered at once, told how long to wait, and read no further so long.
func TestProduceQuota(t *testing.T) {
	g, clock := openWithClock(t, nil)
	makeTopicOf(g.admin, "flows")
	setQuota(t, g.admin, "user", "alice", "producer_byte_rate", 10_000)
	batch := goodBatch(100, 1000)
	req := produceRequest(9, -1, "flows", 0, batch)
	began := time.Now()
	r := g.alice.request(req).(*kmsg.ProduceResponse)
	// 10 s of 10,000 bytes are the burst there is.
	body := len(req.AppendTo(nil))
	want := int32((body - 100_000 + 9) / 10)
	if r.Topics[0].Partitions[0].ErrorCode != 0 || r.ThrottleMillis != want {
		t.Errorf("%d bytes are throttled for %d ms, want %d: %+v", body, r.ThrottleMillis, want, r)
	}
	if r := g.admin.request(req).(*kmsg.ProduceResponse); r.ThrottleMillis != 0 {
		t.Errorf("another user is throttled for %d ms", r.ThrottleMillis)
	}
	g.alice.request(kmsg.NewPtrApiVersionsRequest())
	if waited := time.Since(began); waited < time.Duration(want-1)*time.Millisecond {
		t.Errorf("the next answer came after %v, the throttle is %d ms", waited, want)
	}
	clock.at.Add(11)
	small := produceRequest(9, -1, "flows", 0, goodBatch(1, 10))
	if r := g.alice.request(small).(*kmsg.ProduceResponse); r.ThrottleMillis != 0 {
		t.Errorf("eleven seconds later: throttled for %d ms", r.ThrottleMillis)
	}
	var found bool
	for _, q := range g.Stats().Quotas {
		if q.Kind == "producer_byte_rate" && q.User == "alice" && q.ClientID == "" {
			found = q.Total > 100_000 && int32((q.Throttled+time.Millisecond-1)/time.Millisecond) == want
		}
	}
	if !found {
		t.Errorf("stats: %+v", g.Stats().Quotas)
	}
	// Taken out, it bounds nobody.
	setQuota(t, g.admin, "user", "alice", "producer_byte_rate", 0)
	if r := g.alice.request(req).(*kmsg.ProduceResponse); r.ThrottleMillis != 0 {
		t.Errorf("without a quota: throttled for %d ms", r.ThrottleMillis)
	}
}

func makeTopicOf(c *rawConn, name string) {
	c.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(9)
	req.AllowAutoTopicCreation = true
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &name
	req.Topics = append(req.Topics, rt)
	if r := c.request(req).(*kmsg.MetadataResponse).Topics[0]; r.ErrorCode != 0 {
		c.t.Fatalf("create %s: error %d", name, r.ErrorCode)
	}
}

// TestFetchQuota has a consumer beyond its quota get an answer without records, and the records later.
func TestFetchQuota(t *testing.T) {
	g, clock := openWithClock(t, nil)
	makeTopicOf(g.admin, "flows")
	for range 4 {
		g.admin.request(produceRequest(9, -1, "flows", 0, goodBatch(10, 1000)))
	}
	setQuota(t, g.admin, "client-id", "raw", "consumer_byte_rate", 2000)
	fetch := func() *kmsg.FetchResponse {
		return g.alice.request(fetchRequest(12, "flows", [16]byte{}, 0, 0, 1, 0)).(*kmsg.FetchResponse)
	}
	first := fetch()
	n := len(first.Topics[0].Partitions[0].RecordBatches)
	// Two batches of 10 KB would be more than the burst of 20,000 bytes.
	if first.ThrottleMillis != 0 || n == 0 || n > 20_000 {
		t.Errorf("first: %d bytes, throttled for %d ms", n, first.ThrottleMillis)
	}
	second := fetch()
	for second.ThrottleMillis == 0 && len(second.Topics[0].Partitions[0].RecordBatches) > 0 {
		second = fetch()
	}
	p := second.Topics[0].Partitions[0]
	if second.ThrottleMillis <= 0 || len(p.RecordBatches) != 0 || p.ErrorCode != 0 || p.HighWatermark != 40 {
		t.Errorf("beyond the quota: throttled for %d ms, %+v", second.ThrottleMillis, p)
	}
	clock.at.Add(11)
	if r := fetch(); r.ThrottleMillis != 0 || len(r.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Errorf("eleven seconds later: throttled for %d ms", r.ThrottleMillis)
	}

	// A batch that no window has room for comes all the same.
	setQuota(t, g.admin, "client-id", "raw", "consumer_byte_rate", 1)
	clock.at.Add(11)
	if r := fetch(); r.ThrottleMillis != 0 || len(r.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Errorf("a batch beyond the burst: throttled for %d ms", r.ThrottleMillis)
	}
}

// TestOtherQuotas: time spent on requests, partitions made, connections of an address.
func TestOtherQuotas(t *testing.T) {
	g, _ := openWithClock(t, nil)
	setQuota(t, g.admin, "user", "", "request_percentage", 1e-9)
	g.alice.request(kmsg.NewPtrMetadataRequest())
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(9)
	if r := g.alice.request(req).(*kmsg.MetadataResponse); r.ThrottleMillis != 1000 {
		t.Errorf("request time: throttled for %d ms, want the second that is the most", r.ThrottleMillis)
	}
	setQuota(t, g.enter("admin", "a"), "user", "", "request_percentage", 0)

	admin := g.enter("admin", "a")
	setQuota(t, admin, "user", "", "controller_mutation_rate", 1)
	create := func(version int16, name string, partitions int32) *kmsg.CreateTopicsResponse {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.SetVersion(version)
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
		req.Topics = append(req.Topics, rt)
		return g.enter("alice", "b").request(req).(*kmsg.CreateTopicsResponse)
	}
	if r := create(7, "a", 12); r.Topics[0].ErrorCode != 0 || r.ThrottleMillis != 0 {
		t.Errorf("first: %+v", r)
	}
	if r := create(7, "b", 1); r.Topics[0].ErrorCode != 89 || r.ThrottleMillis != 2000 {
		t.Errorf("beyond the quota: %+v", r)
	}
	if r := create(4, "b", 1); r.Topics[0].ErrorCode != 0 || r.ThrottleMillis != 3000 {
		t.Errorf("beyond the quota, a version that does not know it: %+v", r)
	}

	setQuota(t, admin, "ip", "127.0.0.1", "connection_creation_rate", 1e6)
	setQuota(t, admin, "ip", "", "connection_creation_rate", 1)
	for range 15 {
		rawDialTo(t, g.Broker, "sasl").request(kmsg.NewPtrApiVersionsRequest())
	}
	setQuota(t, admin, "ip", "127.0.0.1", "connection_creation_rate", 1)
	rawDialTo(t, g.Broker, "sasl").checkClosed("a connection beyond the quota")
	if s := g.Stats(); s.ConnectionsTooOften != 1 {
		t.Errorf("stats: %+v", s)
	}
}

// TestQuotaRequests sets and finds quotas as Kafka's tools do, keeps them over a restart, and refuses what is none.
func TestQuotaRequests(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	c := rawDial(t, b)
	for _, bad := range []*kmsg.AlterClientQuotasRequest{
		alterQuotaRequest("group", "g", "producer_byte_rate", 1),
		alterQuotaRequest("user", "u", "bytes", 1),
		alterQuotaRequest("user", "u", "producer_byte_rate", -1),
		alterQuotaRequest("user", "u", "producer_byte_rate", 1.5),
		alterQuotaRequest("user", "u", "connection_creation_rate", 1),
		alterQuotaRequest("ip", "127.0.0.1", "producer_byte_rate", 1),
		alterQuotaRequest("ip", "localhost", "connection_creation_rate", 1),
	} {
		if r := c.request(bad).(*kmsg.AlterClientQuotasResponse).Entries[0]; r.ErrorCode != 42 {
			t.Errorf("%+v: error %d", bad.Entries[0], r.ErrorCode)
		}
	}
	validate := alterQuotaRequest("user", "nobody", "producer_byte_rate", 1)
	validate.ValidateOnly = true
	c.request(validate)
	adm := kadm.NewClient(client(t, b))
	ctx := deadline(t)
	name := kadm.StringPtr
	entities := []kadm.ClientQuotaEntity{
		{{Type: "user", Name: name("alice")}},
		{{Type: "user", Name: name("alice")}, {Type: "client-id", Name: name("app")}},
		{{Type: "user"}, {Type: "client-id"}},
		{{Type: "client-id", Name: name("app")}},
		{{Type: "client-id"}},
	}
	var entries []kadm.AlterClientQuotaEntry
	for i, e := range entities {
		entries = append(entries, kadm.AlterClientQuotaEntry{Entity: e, Ops: []kadm.AlterClientQuotaOp{
			{Key: "producer_byte_rate", Value: float64(1000 + i)}, {Key: "request_percentage", Value: 12.5},
		}})
	}
	if altered, err := adm.AlterClientQuotas(ctx, entries); err != nil || altered[0].Err != nil || altered[4].Err != nil {
		t.Fatalf("alter: %+v, %v", altered, err)
	}
	setQuota(t, c, "ip", "::ffff:192.0.2.1", "connection_creation_rate", 5)
	setQuota(t, c, "client-id", "gone", "producer_byte_rate", 5)
	setQuota(t, c, "client-id", "gone", "producer_byte_rate", 0)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	adm = kadm.NewClient(client(t, b))
	for want, filter := range map[int]struct {
		strict     bool
		components []kadm.DescribeClientQuotaComponent
	}{
		6: {false, nil},
		3: {false, []kadm.DescribeClientQuotaComponent{{Type: "user", MatchType: kmsg.QuotasMatchTypeAny}}},
		1: {true, []kadm.DescribeClientQuotaComponent{{Type: "user", MatchType: kmsg.QuotasMatchTypeAny}}},
		2: {false, []kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchType: kmsg.QuotasMatchTypeDefault}}},
		0: {true, []kadm.DescribeClientQuotaComponent{{Type: "user", MatchType: kmsg.QuotasMatchTypeDefault}}},
	} {
		found, err := adm.DescribeClientQuotas(ctx, filter.strict, filter.components)
		if err != nil || len(found) != want {
			t.Errorf("%+v: %+v, %v; want %d", filter, found, err, want)
		}
	}
	found, err := adm.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{
		{Type: "user", MatchName: name("alice"), MatchType: kmsg.QuotasMatchTypeExact},
		{Type: "client-id", MatchName: name("app"), MatchType: kmsg.QuotasMatchTypeExact},
	})
	if err != nil || len(found) != 1 || len(found[0].Values) != 2 || found[0].Values[0].Value != 1001 {
		t.Errorf("one: %+v, %v", found, err)
	}
	found, err = adm.DescribeClientQuotas(ctx, true, []kadm.DescribeClientQuotaComponent{{Type: "ip", MatchName: name("192.0.2.1"), MatchType: kmsg.QuotasMatchTypeExact}})
	if err != nil || len(found) != 1 {
		t.Errorf("an address: %+v, %v", found, err)
	}
	for _, bad := range []kadm.DescribeClientQuotaComponent{
		{Type: "", MatchType: 2}, {Type: "group", MatchType: 2}, {Type: "user", MatchType: 0}, {Type: "user", MatchType: 3},
	} {
		if _, err := adm.DescribeClientQuotas(ctx, false, []kadm.DescribeClientQuotaComponent{bad}); err == nil {
			t.Errorf("%+v is a filter", bad)
		}
	}
}
