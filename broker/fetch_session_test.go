package broker_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// fetcher fetches in a session, as a client does that has understood KIP-227.
type fetcher struct {
	*rawConn
	version int16
	session int32
	epoch   int32
	wait    time.Duration
	topics  map[string][16]byte
}

func newFetcher(c *rawConn, version int16) *fetcher {
	return &fetcher{rawConn: c, version: version, topics: make(map[string][16]byte)}
}

// at names a partition of a topic and where to go on.
type at struct {
	topic     string
	partition int32
	offset    int64
}

// next makes the next request of the session.
func (f *fetcher) next(want []at, forget ...at) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(f.version)
	req.MinBytes, req.MaxBytes, req.MaxWaitMillis = 1, 1<<20, int32(f.wait.Milliseconds())
	req.SessionID, req.SessionEpoch = f.session, f.epoch
	for _, a := range want {
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = a.topic, f.topics[a.topic]
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = a.partition, a.offset, 1<<20
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
	}
	for _, a := range forget {
		rt := kmsg.NewFetchRequestForgottenTopic()
		rt.Topic, rt.TopicID, rt.Partitions = a.topic, f.topics[a.topic], []int32{a.partition}
		req.ForgottenTopics = append(req.ForgottenTopics, rt)
	}
	return req
}

// fetch sends the next request of the session and goes on in it.
func (f *fetcher) fetch(want []at, forget ...at) *kmsg.FetchResponse {
	f.t.Helper()
	resp := f.request(f.next(want, forget...)).(*kmsg.FetchResponse)
	if resp.ErrorCode == 0 {
		f.session = resp.SessionID
		f.epoch++
	}
	return resp
}

// told lists the partitions of an answer, as topic-partition:error, with a plus behind those that have records.
func (f *fetcher) told(resp *kmsg.FetchResponse) []string {
	var all []string
	for _, rt := range resp.Topics {
		name := rt.Topic
		for topic, id := range f.topics {
			if f.version >= 13 && id == rt.TopicID {
				name = topic
			}
		}
		for _, rp := range rt.Partitions {
			s := fmt.Sprintf("%s-%d:%d", name, rp.Partition, rp.ErrorCode)
			if len(rp.RecordBatches) > 0 {
				s += "+"
			}
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return all
}

// checkTold wants an answer in the session that tells of these partitions.
func (f *fetcher) checkTold(what string, resp *kmsg.FetchResponse, want ...string) {
	f.t.Helper()
	if resp.ErrorCode != 0 || resp.SessionID == 0 {
		f.t.Fatalf("v%d, %s: error %d, session %d", f.version, what, resp.ErrorCode, resp.SessionID)
	}
	if got := f.told(resp); !slices.Equal(got, want) {
		f.t.Fatalf("v%d, %s: told of %v, want %v", f.version, what, got, want)
	}
}

// TestFetchSession goes through a session's life, where topics go by name and where they go by id.
func TestFetchSession(t *testing.T) {
	for _, version := range []int16{7, 12, 13, 18} {
		t.Run(fmt.Sprint("v", version), func(t *testing.T) {
			b := open(t, testConfig(t))
			f := newFetcher(rawDial(t, b), version)
			for _, topic := range []string{"a", "b"} {
				f.topics[topic] = makeTopic(t, b, topic)
			}
			write := func(topic string, partition int32) {
				t.Helper()
				r := f.request(produceRequest(9, -1, topic, partition, goodBatch(1, 10))).(*kmsg.ProduceResponse)
				if code := r.Topics[0].Partitions[0].ErrorCode; code != 0 {
					t.Fatal("produce: error", code)
				}
			}
			write("a", 0)
			f.checkTold("the first", f.fetch([]at{{"a", 0, 0}, {"b", 1, 0}, {"a", 1, 0}}), "a-0:0+", "a-1:0", "b-1:0")
			f.checkTold("nothing said, records still there", f.fetch(nil), "a-0:0+")
			f.checkTold("beyond the records", f.fetch([]at{{"a", 0, 1}}))
			f.checkTold("nothing new", f.fetch(nil))
			write("b", 1)
			f.checkTold("records in one", f.fetch(nil), "b-1:0+")
			write("a", 2)
			f.checkTold("one more partition", f.fetch([]at{{"b", 1, 1}, {"a", 2, 0}}), "a-2:0+")
			write("b", 1)
			f.checkTold("one less", f.fetch([]at{{"a", 2, 1}}, at{"b", 1, 0}, at{"b", 3, 0}))
			f.checkTold("it is back", f.fetch([]at{{"b", 1, 2}}), "b-1:0")
			f.checkTold("added and taken out at once", f.fetch([]at{{"b", 2, 0}}, at{"b", 2, 0}))

			f.checkTold("a partition there is none of", f.fetch([]at{{"a", 77, 0}}), "a-77:3")
			f.checkTold("and there still is none of", f.fetch(nil), "a-77:3")
			f.checkTold("beyond the log", f.fetch([]at{{"b", 1, 50}}, at{"a", 77, 0}), "b-1:1")
			f.checkTold("in the log again", f.fetch([]at{{"b", 1, 2}}), "b-1:0")
			f.checkTold("which has been told", f.fetch(nil))

			records := kmsg.NewPtrDeleteRecordsRequest()
			rt := kmsg.NewDeleteRecordsRequestTopic()
			rp := kmsg.NewDeleteRecordsRequestTopicPartition()
			rp.Partition, rp.Offset = 1, 1
			rt.Topic, rt.Partitions = "b", append(rt.Partitions, rp)
			records.Topics = append(records.Topics, rt)
			f.request(records)
			f.checkTold("the log begins later", f.fetch(nil), "b-1:0")

			if s := b.Stats().FetchSessions; s.Sessions != 1 || s.Partitions != 4 || s.Begun != 1 {
				t.Errorf("sessions: %+v", s)
			}
			if r := f.fetch(nil, at{"a", 0, 0}, at{"a", 1, 0}, at{"a", 2, 0}, at{"b", 1, 0}); r.ErrorCode != 0 || r.SessionID != 0 || len(r.Topics) != 0 {
				t.Errorf("everything taken out: %+v", r)
			}
			if s := b.Stats().FetchSessions; s.Sessions != 0 || s.Partitions != 0 {
				t.Errorf("sessions: %+v", s)
			}
		})
	}
}

// TestFetchSessionTopics deletes a topic of a session and makes one of the same name.
func TestFetchSessionTopics(t *testing.T) {
	for version, want := range map[int16]string{12: "a-0:3", 13: "a-0:100"} {
		b := open(t, testConfig(t))
		f := newFetcher(rawDial(t, b), version)
		f.topics["a"], f.topics["b"] = makeTopic(t, b, "a"), makeTopic(t, b, "b")
		f.checkTold("the first", f.fetch([]at{{"a", 0, 0}, {"b", 0, 0}}), "a-0:0", "b-0:0")
		drop := kmsg.NewPtrDeleteTopicsRequest()
		drop.TopicNames = []string{"a"}
		f.request(drop)
		f.checkTold("after the deletion", f.fetch(nil), want)
		id := makeTopic(t, b, "a")
		if version < 13 {
			f.checkTold("a new topic of the name", f.fetch(nil), "a-0:0")
			continue
		}
		f.checkTold("a new topic of the name, another id", f.fetch(nil), want)
		gone := f.next(nil, at{"a", 0, 0})
		f.topics["a"] = id
		gone.Topics = f.next([]at{{"a", 0, 0}}).Topics
		resp := f.request(gone).(*kmsg.FetchResponse)
		f.checkTold("one id for the other", resp, "a-0:0")
	}
}

// TestFetchSessionErrors: every way in which a request does not fit a session, and what is left of it then.
func TestFetchSessionErrors(t *testing.T) {
	b := open(t, testConfig(t))
	f := newFetcher(rawDial(t, b), 12)
	f.topics["a"] = makeTopic(t, b, "a")
	want := []at{{"a", 0, 0}}
	f.fetch(want)
	check := func(what string, version int16, session, epoch int32, code int16) {
		t.Helper()
		g := newFetcher(f.rawConn, version)
		g.topics, g.session, g.epoch = f.topics, session, epoch
		r := g.request(g.next(nil)).(*kmsg.FetchResponse)
		if r.ErrorCode != code || r.SessionID != 0 || len(r.Topics) != 0 {
			t.Errorf("%s: error %d, session %d, %d topics; want error %d", what, r.ErrorCode, r.SessionID, len(r.Topics), code)
		}
	}
	const notFound, epoch, topicID = 70, 71, 106
	check("another session", 12, f.session^1, f.epoch, notFound)
	check("no session", 12, 0, 1, notFound)
	check("an epoch too late", 12, f.session, f.epoch+1, epoch)
	check("an epoch that was", 12, f.session, f.epoch+5, epoch)
	check("an epoch below those of sessions", 12, f.session, -2, epoch)
	check("by id", 13, f.session, f.epoch, topicID)
	f.checkTold("after all that", f.fetch(nil))

	// From another connection it is the same session, and an older connection is then behind.
	other := newFetcher(rawDial(t, b), 12)
	other.session, other.epoch = f.session, f.epoch
	other.checkTold("from another connection", other.fetch(nil))
	check("an epoch the other had", 12, f.session, f.epoch, epoch)

	// A new session ends the one that is named with it.
	old := f.session
	f.epoch = 0
	if r := f.fetch(want); r.SessionID == 0 || r.SessionID == old {
		t.Errorf("session %d follows session %d", r.SessionID, old)
	}
	check("a session that ended", 12, old, other.epoch, notFound)
	f.epoch = -1
	if r := f.request(f.next(want)).(*kmsg.FetchResponse); r.ErrorCode != 0 || r.SessionID != 0 || len(r.Topics) != 1 {
		t.Errorf("the last of a session: %+v", r)
	}
	if s := b.Stats().FetchSessions; s.Sessions != 0 || s.Begun != 2 || s.Evicted != 0 {
		t.Errorf("sessions: %+v", s)
	}
}

// TestFetchSessionWaits has a fetch of a session wait, be in the way of another one, and end by what comes.
func TestFetchSessionWaits(t *testing.T) {
	b := open(t, testConfig(t))
	f := newFetcher(rawDial(t, b), 12)
	makeTopic(t, b, "a")
	f.fetch([]at{{"a", 0, 0}, {"a", 1, 0}, {"a", 2, 0}})
	f.wait = time.Minute
	req := f.next(nil)
	f.send(req)
	n := f.correlation
	eventually(t, "the fetch waits", func() bool { return b.Stats().WaitingFetch == 1 })

	other := newFetcher(rawDial(t, b), 12)
	other.session, other.epoch = f.session, f.epoch+1
	if r := other.request(other.next(nil)).(*kmsg.FetchResponse); r.ErrorCode != 71 {
		t.Errorf("a fetch before the one ahead is answered: error %d", r.ErrorCode)
	}
	other.request(produceRequest(9, -1, "a", 1, goodBatch(1, 10)))
	f.checkTold("what it waited for", f.receive(req, n).(*kmsg.FetchResponse), "a-1:0+")
}

// TestFetchSessionTurns: when an answer has room for few partitions, all have their turn.
func TestFetchSessionTurns(t *testing.T) {
	b := open(t, testConfig(t))
	f := newFetcher(rawDial(t, b), 12)
	makeTopic(t, b, "a")
	makeTopic(t, b, "b")
	var want []at
	for _, topic := range []string{"a", "b"} {
		for p := range int32(4) {
			f.request(produceRequest(9, -1, topic, p, goodBatch(1, 1000)))
			want = append(want, at{topic, p, 0})
		}
	}
	seen := make(map[string]int)
	for i := range 9 {
		req := f.next(want)
		req.MaxBytes = 10 // so one batch and no more
		if i > 0 {
			req.Topics = nil
		}
		r := f.request(req).(*kmsg.FetchResponse)
		f.session, f.epoch = r.SessionID, f.epoch+1
		for _, s := range f.told(r) {
			if s[len(s)-1] == '+' {
				seen[s]++
			}
		}
	}
	if len(seen) != 8 { // the first two begin with the same partition, as in Kafka
		t.Errorf("in 9 fetches records came of %v", seen)
	}
}

// TestFetchSessionSlots: who has to go when there are too many sessions.
func TestFetchSessionSlots(t *testing.T) {
	var passed atomic.Int64
	cfg := broker.WithClock(testConfig(t), func() time.Time { return time.Unix(1_700_000_000, passed.Load()) })
	cfg.FetchSessions = 2
	b := open(t, cfg)
	makeTopic(t, b, "a")
	c := rawDial(t, b)
	one, two := []at{{"a", 0, 0}}, []at{{"a", 0, 0}, {"a", 1, 0}}
	begin := func(want []at) *fetcher {
		f := newFetcher(c, 12)
		f.fetch(want)
		return f
	}
	check := func(what string, f *fetcher, code int16) {
		t.Helper()
		if r := f.fetch(nil); r.ErrorCode != code {
			t.Fatalf("%s: error %d, want %d", what, r.ErrorCode, code)
		}
	}
	small, large := begin(one), begin(two)
	if f := begin(two); f.session != 0 {
		t.Fatal("a third session is there at once")
	}
	passed.Add(int64(2*time.Minute + 1)) // both have settled, when they are used again
	check("small", small, 0)
	check("large", large, 0)
	if f := begin(nil); f.session != 0 {
		t.Error("a session of nothing takes the place of one with a partition")
	}
	next := begin(two)
	if next.session == 0 {
		t.Fatal("no session takes the place of the smaller one")
	}
	check("the small one", small, 70)
	check("the large one", large, 0)
	passed.Add(int64(time.Minute))
	check("the large one, a minute later", large, 0)
	passed.Add(int64(time.Minute + 1)) // the other one was not used for two
	if f := begin(one); f.session == 0 {
		t.Error("no session takes the place of one that nobody uses")
	}
	check("what nobody used", next, 70)
	check("what was used", large, 0)
	if s := b.Stats().FetchSessions; s.Sessions != 2 || s.Partitions != 3 || s.Evicted != 2 || s.Begun != 4 {
		t.Errorf("sessions: %+v", s)
	}

	none := testConfig(t)
	none.FetchSessions = -1
	b = open(t, none)
	makeTopic(t, b, "a")
	f := newFetcher(rawDial(t, b), 12)
	if r := f.fetch(one); r.ErrorCode != 0 || r.SessionID != 0 || len(r.Topics) != 1 {
		t.Errorf("without sessions: %+v", r)
	}
}

// TestFetchSessionRights: a session is its principal's, and what it may tell is asked each time.
func TestFetchSessionRights(t *testing.T) {
	g := openGuarded(t, func(c *broker.Config) {
		c.Users, c.SuperUsers = append(c.Users, broker.User{Name: "bob", Password: "b"}), append(c.SuperUsers, "User:bob")
	})
	makeTopicOf(g.admin, "a")
	makeTopicOf(g.admin, "b")
	g.allow("User:alice", "topic:a:read")
	f := newFetcher(g.alice, 12)
	f.checkTold("alice", f.fetch([]at{{"a", 0, 0}, {"b", 0, 0}}), "a-0:0", "b-0:29")
	f.checkTold("alice again", f.fetch(nil), "b-0:29")
	other := newFetcher(g.enter("bob", "b"), 12)
	other.session, other.epoch = f.session, f.epoch
	if r := other.request(other.next(nil)).(*kmsg.FetchResponse); r.ErrorCode != 70 {
		t.Errorf("the session of another principal: error %d", r.ErrorCode)
	}
	g.allow("User:alice", "topic:b:read")
	f.checkTold("with the right to both", f.fetch(nil), "b-0:0")
	f.checkTold("which has been told", f.fetch(nil))
}

// TestFetchSessionClient has franz-go consume in sessions, across a change of what it consumes.
func TestFetchSessionClient(t *testing.T) {
	b := open(t, testConfig(t))
	p := client(t, b)
	produce(t, p, "one", "a", 100)
	produce(t, p, "two", "b", 100)
	cl := client(t, b, kgo.ConsumeTopics("one"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	checkOnce(t, consume(t, cl, 100), "a", 100)
	cl.AddConsumeTopics("two")
	checkOnce(t, consume(t, cl, 100), "b", 100)
	cl.PurgeTopicsFromConsuming("one")
	produce(t, p, "one", "c", 100)
	produce(t, p, "two", "d", 100)
	checkOnce(t, consume(t, cl, 100), "d", 100)
	s := b.Stats()
	// One goes on; those that the client gave up without a word are there too until they are evicted.
	if s.FetchSessions.Sessions == 0 || s.FetchSessions.Begun > 10 {
		t.Errorf("sessions: %+v", s.FetchSessions)
	}
	// The fetch that the client gives up for the change may come to be served after the next one, which has ended its session
	// and has a connection of its own: nobody hears that answer.
	for code, most := range map[int16]uint64{70: 1, 71: 0, 106: 0} {
		if s.Errors[code] > most {
			t.Errorf("%d answers with error %d", s.Errors[code], code)
		}
	}
}
