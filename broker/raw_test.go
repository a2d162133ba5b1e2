package broker_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// rawConn speaks the protocol frame by frame.
type rawConn struct {
	net.Conn
	t           testing.TB
	correlation int32
}

func rawDial(t testing.TB, b *broker.Broker) *rawConn {
	t.Helper()
	nc, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &rawConn{Conn: nc, t: t}
}

// frame encodes a request.
func (c *rawConn) frame(req kmsg.Request) []byte {
	c.correlation++
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, c.correlation)
}

func (c *rawConn) send(req kmsg.Request) {
	c.t.Helper()
	c.write(c.frame(req))
}

func (c *rawConn) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// readFrame reads one answer, or reports that the connection has ended.
func (c *rawConn) readFrame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

// receive reads the answer to a request that was sent as the n-th on the connection.
func (c *rawConn) receive(req kmsg.Request, n int32) kmsg.Response {
	c.t.Helper()
	b, err := c.readFrame()
	if err != nil {
		c.t.Fatalf("no answer to %T v%d: %v", req, req.GetVersion(), err)
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != n {
		c.t.Fatalf("answer %d came where %d was due", got, n)
	}
	b = b[4:]
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != kmsg.ApiVersions.Int16() {
		if b[0] != 0 {
			c.t.Fatalf("tags in the header of the answer to %T", req)
		}
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		c.t.Fatalf("answer to %T v%d: %v", req, req.GetVersion(), err)
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, b) {
		c.t.Fatalf("answer to %T v%d has %d bytes, %d are understood", req, req.GetVersion(), len(b), len(again))
	}
	return resp
}

func (c *rawConn) request(req kmsg.Request) kmsg.Response {
	c.t.Helper()
	c.send(req)
	return c.receive(req, c.correlation)
}

// checkClosed wants the broker to end the connection.
func (c *rawConn) checkClosed(why string) {
	c.t.Helper()
	b, err := c.readFrame()
	var timeout net.Error
	if err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("%s: the connection goes on: %x, %v", why, b, err)
	}
}

// makeTopic creates a topic by asking for it, as old clients do.
func makeTopic(t testing.TB, b *broker.Broker, name string) [16]byte {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(12)
	req.AllowAutoTopicCreation = true
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	req.Topics = append(req.Topics, topic)
	resp := rawDial(t, b).request(req).(*kmsg.MetadataResponse)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		t.Fatalf("create %s: error %d", name, code)
	}
	return resp.Topics[0].TopicID
}

// produceRequest asks for one batch to be written.
func produceRequest(version, acks int16, topic string, partition int32, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(version)
	req.Acks, req.TimeoutMillis = acks, 1000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, batch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// fetchRequest asks for records of one partition.
func fetchRequest(version int16, topic string, id [16]byte, partition int32, offset int64, minBytes int32, wait time.Duration) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(version)
	req.MinBytes, req.MaxBytes, req.MaxWaitMillis = minBytes, 1<<20, int32(wait.Milliseconds())
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes, rp.CurrentLeaderEpoch, rp.LastFetchedEpoch = partition, offset, 1<<20, -1, -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// goodBatch is a batch of n records of about size bytes each.
func goodBatch(n, size int) []byte {
	return broker.AppendTestBatch(nil, n, size)
}

func TestApiVersions(t *testing.T) {
	b := open(t, testConfig(t))
	c := rawDial(t, b)
	for version := int16(0); version <= 4; version++ {
		req := kmsg.NewPtrApiVersionsRequest()
		req.SetVersion(version)
		req.ClientSoftwareName, req.ClientSoftwareVersion = "raw", "1"
		resp := c.request(req).(*kmsg.ApiVersionsResponse)
		if resp.ErrorCode != 0 || len(resp.ApiKeys) < 20 {
			t.Errorf("v%d: %+v", version, resp)
		}
		for _, k := range resp.ApiKeys {
			if k.ApiKey == 0 && k.MinVersion != 0 {
				t.Errorf("Produce is announced from v%d, librdkafka needs 0 (KAFKA-18659)", k.MinVersion)
			}
			switch k.ApiKey {
			case 71, 72, 76, 78:
				t.Errorf("%s is announced", kmsg.NameForKey(k.ApiKey))
			}
		}
	}
	// A version nobody knows is answered as version 0.
	c.correlation++
	frame := []byte{0, 0, 0, 0, 0, 18, 0, 99, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	binary.BigEndian.PutUint32(frame[8:], uint32(c.correlation))
	c.write(frame)
	req := kmsg.NewPtrApiVersionsRequest()
	if resp := c.receive(req, c.correlation).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 35 || len(resp.ApiKeys) < 20 {
		t.Errorf("answer to v99: %+v", resp)
	}
}

// TestEveryVersion sends a plain request of every kind in every version announced: each is answered in its version, to
// the last byte.
func TestEveryVersion(t *testing.T) {
	b := open(t, testConfig(t))
	id := makeTopic(t, b, "flows")
	c := rawDial(t, b)
	versions := c.request(kmsg.NewPtrApiVersionsRequest()).(*kmsg.ApiVersionsResponse)
	for _, k := range versions.ApiKeys {
		for version := k.MinVersion; version <= k.MaxVersion; version++ {
			req := kmsg.RequestForKey(k.ApiKey)
			req.SetVersion(version)
			switch r := req.(type) {
			case *kmsg.ProduceRequest:
				*r = *produceRequest(version, -1, "flows", 0, goodBatch(2, 10))
				r.Topics[0].TopicID = id
			case *kmsg.FetchRequest:
				*r = *fetchRequest(version, "flows", id, 0, 0, 1, 0)
			case *kmsg.ListOffsetsRequest:
				rt := kmsg.NewListOffsetsRequestTopic()
				rt.Topic = "flows"
				for _, ts := range []int64{-1, -2, -3, 0, 1} {
					rp := kmsg.NewListOffsetsRequestTopicPartition()
					rp.Timestamp, rp.MaxNumOffsets, rp.CurrentLeaderEpoch = ts, 1, -1
					rt.Partitions = append(rt.Partitions, rp)
				}
				r.Topics = append(r.Topics, rt)
			case *kmsg.OffsetFetchRequest:
				rg := kmsg.NewOffsetFetchRequestGroup()
				rg.Group = "g"
				r.Group, r.Groups = "g", append(r.Groups, rg)
			case *kmsg.OffsetCommitRequest:
				r.Group = "g"
				r.Generation = -1
				rt := kmsg.NewOffsetCommitRequestTopic()
				rt.Topic, rt.TopicID = "flows", id
				rp := kmsg.NewOffsetCommitRequestTopicPartition()
				rp.Offset, rp.Metadata = 1, kmsg.StringPtr("m")
				rt.Partitions = append(rt.Partitions, rp)
				r.Topics = append(r.Topics, rt)
			case *kmsg.FindCoordinatorRequest:
				r.CoordinatorKey, r.CoordinatorKeys = "g", []string{"g"}
			case *kmsg.MetadataRequest:
				r.Topics = nil
			case *kmsg.ConsumerGroupHeartbeatRequest:
				r.Group, r.MemberID, r.RebalanceTimeoutMillis, r.SubscribedTopicNames = "next", fmt.Sprint("m", version), 1000, []string{"flows"}
				r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			case *kmsg.ConsumerGroupDescribeRequest:
				r.Groups = []string{"next", "none"}
			case *kmsg.DescribeGroupsRequest:
				r.Groups = []string{"g", "none"}
			case *kmsg.DescribeConfigsRequest:
				rr := kmsg.NewDescribeConfigsRequestResource()
				rr.ResourceType, rr.ResourceName = kmsg.ConfigResourceTypeTopic, "flows"
				own := rr
				own.ResourceType, own.ResourceName = kmsg.ConfigResourceTypeBroker, "1"
				r.Resources = append(r.Resources, rr, own)
			case *kmsg.CreateTopicsRequest:
				rt := kmsg.NewCreateTopicsRequestTopic()
				rt.Topic, rt.NumPartitions, rt.ReplicationFactor = fmt.Sprintf("t%d", version), 1, 1
				r.Topics = append(r.Topics, rt)
			case *kmsg.DeleteTopicsRequest:
				name := fmt.Sprintf("t%d", version)
				rt := kmsg.NewDeleteTopicsRequestTopic()
				rt.Topic = &name
				r.TopicNames, r.Topics = []string{name}, append(r.Topics, rt)
			}
			resp := c.request(req)
			switch r := resp.(type) {
			case *kmsg.ProduceResponse:
				want := int16(0)
				if version < 3 {
					want = 43
				}
				if p := r.Topics[0].Partitions[0]; p.ErrorCode != want {
					t.Errorf("produce v%d: %+v", version, p)
				}
			case *kmsg.FetchResponse:
				if p := r.Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) == 0 || p.HighWatermark < 2 {
					t.Errorf("fetch v%d: %+v", version, p)
				}
			case *kmsg.ListOffsetsResponse:
				p := r.Topics[0].Partitions
				if version > 0 && (p[0].Offset < 2 || p[1].Offset != 0 || p[3].Offset != 0 || p[0].ErrorCode != 0) {
					t.Errorf("list offsets v%d: %+v", version, p)
				}
				if version == 0 && (len(p[0].OldStyleOffsets) != 1 || p[0].OldStyleOffsets[0] < 2) {
					t.Errorf("list offsets v0: %+v", p)
				}
			case *kmsg.OffsetCommitResponse:
				if code := r.Topics[0].Partitions[0].ErrorCode; code != 0 {
					t.Errorf("commit v%d: error %d", version, code)
				}
			case *kmsg.OffsetFetchResponse:
				if version >= 2 && version <= 7 && (len(r.Topics) != 1 || r.Topics[0].Partitions[0].Offset != 1) {
					t.Errorf("offset fetch v%d: %+v", version, r)
				}
				if version >= 8 && (len(r.Groups[0].Topics) != 1 || r.Groups[0].Topics[0].Partitions[0].Offset != 1) {
					t.Errorf("offset fetch v%d: %+v", version, r)
				}
			case *kmsg.MetadataResponse:
				if len(r.Brokers) != 1 || r.Brokers[0].Host != "127.0.0.1" {
					t.Errorf("metadata v%d: %+v", version, r)
				}
			case *kmsg.ConsumerGroupHeartbeatResponse:
				if r.ErrorCode != 0 || r.MemberEpoch != int32(version)+2 || r.Assignment == nil {
					t.Errorf("consumer group heartbeat v%d: %+v", version, r)
				}
			case *kmsg.ConsumerGroupDescribeResponse:
				if len(r.Groups[0].Members) != 2 || r.Groups[1].ErrorCode != 69 {
					t.Errorf("consumer group describe v%d: %+v", version, r)
				}
			case *kmsg.CreateTopicsResponse:
				if r.Topics[0].ErrorCode != 0 {
					t.Errorf("create v%d: %+v", version, r.Topics[0])
				}
			case *kmsg.DeleteTopicsResponse:
				if r.Topics[0].ErrorCode != 0 {
					t.Errorf("delete v%d: %+v", version, r.Topics[0])
				}
			case *kmsg.InitProducerIDResponse:
				if r.ErrorCode != 0 || r.ProducerID < 0 {
					t.Errorf("init producer id v%d: %+v", version, r)
				}
			}
		}
	}
	if s := b.Stats(); s.Panics != 0 || s.ConnectionsMalformed != 0 {
		t.Errorf("stats: %+v", s)
	}
}

// TestMetadataOfOld has what clients of before the flag for it take for granted.
func TestMetadataOfOld(t *testing.T) {
	b := open(t, testConfig(t))
	c := rawDial(t, b)
	ask := func(version int16, name string) *kmsg.MetadataResponse {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(version)
		req.Topics = []kmsg.MetadataRequestTopic{}
		if name != "" {
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = &name
			req.Topics = append(req.Topics, topic)
		}
		return c.request(req).(*kmsg.MetadataResponse)
	}
	for version := int16(0); version < 4; version++ {
		if r := ask(version, fmt.Sprintf("auto%d", version)); r.Topics[0].ErrorCode != 0 || len(r.Topics[0].Partitions) != 4 {
			t.Errorf("v%d creates no topic: %+v", version, r.Topics)
		}
	}
	if r := ask(4, "no"); r.Topics[0].ErrorCode != 3 {
		t.Errorf("v4 without the flag: %+v", r.Topics)
	}
	if r := ask(0, ""); len(r.Topics) != 4 {
		t.Errorf("v0 with no topics names %d of 4", len(r.Topics))
	}
	if r := ask(1, ""); len(r.Topics) != 0 {
		t.Errorf("v1 with no topics names %d", len(r.Topics))
	}
	if r := ask(1, "bad name"); r.Topics[0].ErrorCode != 17 {
		t.Errorf("a bad name: %+v", r.Topics)
	}
}

// TestMalformed sends what no client would. Each ends its own connection; another one goes on.
func TestMalformed(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxRequestBytes = 8 << 20
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	witness := rawDial(t, b)
	size := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	frames := map[string][]byte{
		"http":              []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"size 0":            size(0),
		"size 7":            append(size(7), make([]byte, 7)...),
		"negative size":     size(0xffffffff),
		"size over limit":   size(8<<20 + 1),
		"unknown key":       append(size(12), 3, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0),
		"negative key":      append(size(12), 0xff, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0),
		"version too new":   append(size(12), 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0, 0),
		"negative version":  append(size(12), 0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff, 0, 0),
		"long client id":    append(size(12), 0, 3, 0, 0, 0, 0, 0, 1, 0x7f, 0xff, 0, 0),
		"no body":           append(size(10), 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
		"huge array":        append(size(14), 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff),
		"huge header tags":  append(size(15), 0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"huge body tags":    append(size(20), 0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f),
		"produce of nobody": append(size(16), 0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0),
		"produce v-1":       append(size(12), 0, 0, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff, 0, 0),
		"produce v0 acks 0": append(size(20), 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	}
	for name, frame := range frames {
		t.Run(name, func(t *testing.T) {
			c := rawDial(t, b)
			c.write(frame)
			c.checkClosed(name)
			if resp := witness.request(kmsg.NewPtrApiVersionsRequest()).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 0 {
				t.Errorf("the other connection: error %d", resp.ErrorCode)
			}
		})
	}
	t.Run("half a frame", func(t *testing.T) {
		c := rawDial(t, b)
		c.write(append(size(1<<20), 0, 0, 0, 3))
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.checkClosed("half a frame")
	})
	s := b.Stats()
	if s.Panics != 0 || s.ConnectionsMalformed+s.RequestsUnsupported != uint64(len(frames))+1 {
		t.Errorf("%d malformed, %d unsupported and %d panics of %d", s.ConnectionsMalformed, s.RequestsUnsupported, s.Panics, len(frames)+1)
	}
}

// TestBadProduceAppendsNothing has a request whose first partition is whole and whose second is cut short.
func TestBadProduceAppendsNothing(t *testing.T) {
	b := open(t, testConfig(t))
	makeTopic(t, b, "flows")
	req := produceRequest(7, -1, "flows", 0, goodBatch(3, 10))
	req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
	c := rawDial(t, b)
	frame := c.frame(req)
	frame = frame[:len(frame)-5]
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	c.write(frame)
	c.checkClosed("cut produce")
	if n := b.Stats().Topics[0].Messages; n != 0 {
		t.Errorf("%d records were written", n)
	}
}

func TestSlowPeers(t *testing.T) {
	cfg := testConfig(t)
	cfg.FrameTimeout = 50 * time.Millisecond
	b := open(t, cfg)
	c := rawDial(t, b)
	c.write([]byte{0, 0, 0, 100, 0, 3}) // and then nothing
	c.checkClosed("half a frame")
	if s := b.Stats(); s.ConnectionsSlow != 1 {
		t.Errorf("slow: %d", s.ConnectionsSlow)
	}
}

func TestIdlePeers(t *testing.T) {
	cfg := testConfig(t)
	b := open(t, cfg)
	id := makeTopic(t, b, "flows")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.IdleTimeout = 50 * time.Millisecond
	b = open(t, cfg)
	// Who waits for an answer is not idle, once the request has come: on a busy machine that may be too late.
	fetch := fetchRequest(12, "flows", id, 0, 0, 1, 300*time.Millisecond)
	answered := false
	for end := time.Now().Add(2 * time.Minute); !answered && time.Now().Before(end); {
		c := rawDial(t, b)
		if _, err := c.Write(c.frame(fetch)); err != nil {
			continue
		}
		before := b.Stats().ConnectionsIdle
		for b.Stats().WaitingFetch == 0 && b.Stats().ConnectionsIdle == before {
			time.Sleep(time.Millisecond)
		}
		if b.Stats().WaitingFetch == 0 {
			continue
		}
		answered = true
		resp := c.receive(fetch, c.correlation).(*kmsg.FetchResponse)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.RecordBatches == nil || len(p.RecordBatches) != 0 {
			t.Errorf("empty fetch: %+v", p)
		}
		c.checkClosed("idle")
	}
	if !answered {
		t.Error("no fetch waited for its answer")
	}
	if s := b.Stats(); s.ConnectionsIdle == 0 {
		t.Error("nobody was idle")
	}
}

func TestConnectionLimit(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxConnections = 2
	b := open(t, cfg)
	one, two := rawDial(t, b), rawDial(t, b)
	one.request(kmsg.NewPtrApiVersionsRequest())
	two.request(kmsg.NewPtrApiVersionsRequest())
	rawDial(t, b).checkClosed("the third")
	if _, err := b.Dial(t.Context()); err == nil {
		t.Error("Dial beyond the limit")
	}
	if s := b.Stats(); s.ConnectionsRefused != 2 || s.Connections != 2 {
		t.Errorf("refused %d, open %d", s.ConnectionsRefused, s.Connections)
	}
}

// TestAcks sends produce requests that want no answer among others.
func TestAcks(t *testing.T) {
	b := open(t, testConfig(t))
	makeTopic(t, b, "flows")
	c := rawDial(t, b)
	c.send(produceRequest(7, 0, "flows", 0, goodBatch(1, 10)))
	one := produceRequest(7, 1, "flows", 0, goodBatch(1, 10))
	if r := c.request(one).(*kmsg.ProduceResponse); r.Topics[0].Partitions[0].BaseOffset != 1 {
		t.Errorf("acks=1 after acks=0: %+v", r.Topics[0].Partitions)
	}
	bad := produceRequest(7, 5, "flows", 0, goodBatch(1, 10))
	if r := c.request(bad).(*kmsg.ProduceResponse); r.Topics[0].Partitions[0].ErrorCode != 21 {
		t.Errorf("acks=5: %+v", r.Topics[0].Partitions)
	}
	torn := goodBatch(1, 10)
	torn[len(torn)-1] ^= 1
	for _, c := range []struct {
		name string
		req  *kmsg.ProduceRequest
		want int16
	}{
		{"crc", produceRequest(8, -1, "flows", 0, torn), 2},
		{"partition", produceRequest(8, -1, "flows", 9, goodBatch(1, 10)), 3},
		{"topic", produceRequest(8, -1, "none", 0, goodBatch(1, 10)), 3},
		{"nothing", produceRequest(8, -1, "flows", 0, nil), 87},
		{"too large", produceRequest(8, -1, "flows", 0, goodBatch(1, 2<<20)), 10},
		{"topic id", produceRequest(13, -1, "", 0, goodBatch(1, 10)), 100},
	} {
		if r := rawDial(t, b).request(c.req).(*kmsg.ProduceResponse); r.Topics[0].Partitions[0].ErrorCode != c.want {
			t.Errorf("%s: %+v, want error %d", c.name, r.Topics[0].Partitions, c.want)
		}
	}
	// Refused with acks=0 there is one way left to tell.
	c.send(produceRequest(7, 0, "flows", 0, torn))
	c.checkClosed("acks=0 refused")
}

// TestPipelined sends many requests at once, those that wait for the disk among those that do not: answers come in the
// order of the requests, and what is written is in that order too.
func TestPipelined(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxQueued = 16
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	c := rawDial(t, b)
	const n = 300
	reqs := make([]kmsg.Request, n)
	var frames []byte
	for i := range reqs {
		switch i % 3 {
		case 0:
			reqs[i] = produceRequest(9, -1, "flows", int32(i%4), goodBatch(1, 100))
		case 1:
			reqs[i] = kmsg.NewPtrApiVersionsRequest()
		case 2:
			reqs[i] = produceRequest(9, 1, "flows", int32(i%4), goodBatch(1, 100))
		}
		frames = append(frames, c.frame(reqs[i])...)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(frames)
		sent <- err
	}()
	next := make(map[int32]int64)
	for i, req := range reqs {
		resp := c.receive(req, int32(i+1))
		if r, ok := resp.(*kmsg.ProduceResponse); ok {
			p := r.Topics[0].Partitions[0]
			if p.ErrorCode != 0 || p.BaseOffset != next[p.Partition] {
				t.Fatalf("request %d: %+v, offset %d is next", i, p, next[p.Partition])
			}
			next[p.Partition]++
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func TestFetch(t *testing.T) {
	b := open(t, testConfig(t))
	id := makeTopic(t, b, "flows")
	p := rawDial(t, b)
	c := rawDial(t, b)
	one := func(req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
		t.Helper()
		return c.request(req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	}

	t.Run("wakes", func(t *testing.T) {
		c.send(fetchRequest(11, "flows", id, 0, 0, 1, 100*time.Second))
		eventually(t, "the fetch waits", func() bool { return b.Stats().WaitingFetch > 0 })
		start := time.Now()
		p.request(produceRequest(9, -1, "flows", 0, goodBatch(5, 100)))
		r := c.receive(fetchRequest(11, "flows", id, 0, 0, 1, 0), c.correlation).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if r.ErrorCode != 0 || len(r.RecordBatches) == 0 || r.HighWatermark != 5 || time.Since(start) > 60*time.Second {
			t.Errorf("%d bytes, watermark %d, error %d", len(r.RecordBatches), r.HighWatermark, r.ErrorCode)
		}
	})
	t.Run("waits for min bytes", func(t *testing.T) {
		c.send(fetchRequest(13, "flows", id, 0, 5, 5000, 100*time.Second))
		for range 9 {
			p.request(produceRequest(9, -1, "flows", 0, goodBatch(1, 1000)))
		}
		r := c.receive(fetchRequest(13, "flows", id, 0, 0, 1, 0), c.correlation).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if len(r.RecordBatches) < 5000 {
			t.Errorf("%d bytes were enough", len(r.RecordBatches))
		}
	})
	t.Run("time is up", func(t *testing.T) {
		if r := one(fetchRequest(11, "flows", id, 0, 14, 1, 20*time.Millisecond)); r.ErrorCode != 0 || len(r.RecordBatches) != 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("out of range", func(t *testing.T) {
		if r := one(fetchRequest(11, "flows", id, 0, 15, 1, 20*time.Second)); r.ErrorCode != 1 {
			t.Errorf("%+v", r)
		}
		if r := one(fetchRequest(11, "flows", id, 0, -1, 1, 20*time.Second)); r.ErrorCode != 1 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("large batch", func(t *testing.T) {
		p.request(produceRequest(9, -1, "flows", 1, goodBatch(1, 300_000)))
		req := fetchRequest(12, "flows", id, 1, 0, 1, 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes, req.MaxBytes = 100, 100
		if r := one(req); len(r.RecordBatches) < 300_000 {
			t.Errorf("%d bytes of a batch of 300,000", len(r.RecordBatches))
		}
	})
	t.Run("unknown", func(t *testing.T) {
		if r := one(fetchRequest(11, "none", id, 0, 0, 1, 20*time.Second)); r.ErrorCode != 3 {
			t.Errorf("topic: %+v", r)
		}
		if r := one(fetchRequest(13, "", [16]byte{1}, 0, 0, 1, 20*time.Second)); r.ErrorCode != 100 {
			t.Errorf("id: %+v", r)
		}
		if r := one(fetchRequest(13, "", id, 9, 0, 1, 20*time.Second)); r.ErrorCode != 3 {
			t.Errorf("partition: %+v", r)
		}
	})
	t.Run("session", func(t *testing.T) {
		req := fetchRequest(12, "flows", id, 0, 0, 1, 0)
		req.SessionID, req.SessionEpoch = 7, 3
		if r := c.request(req).(*kmsg.FetchResponse); r.ErrorCode != 70 || r.SessionID != 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("leader epoch", func(t *testing.T) {
		req := fetchRequest(12, "flows", id, 0, 0, 1, 20*time.Second)
		req.Topics[0].Partitions[0].CurrentLeaderEpoch = 7
		if r := one(req); r.ErrorCode != 75 {
			t.Errorf("an epoch to come: %+v", r)
		}
	})
	t.Run("topic deleted", func(t *testing.T) {
		c.send(fetchRequest(13, "", id, 2, 0, 1, 100*time.Second))
		eventually(t, "the fetch waits", func() bool { return b.Stats().WaitingFetch > 0 })
		del := kmsg.NewPtrDeleteTopicsRequest()
		del.SetVersion(1)
		del.TopicNames = []string{"flows"}
		if r := p.request(del).(*kmsg.DeleteTopicsResponse); r.Topics[0].ErrorCode != 0 {
			t.Fatalf("delete: %+v", r.Topics)
		}
		r := c.receive(fetchRequest(13, "", id, 2, 0, 1, 0), c.correlation).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if r.ErrorCode != 3 {
			t.Errorf("%+v", r)
		}
	})
}

// TestCloseAnswers closes the broker while a fetch waits and produces are under way: they are answered or the connection
// ends, and Close returns.
func TestCloseAnswers(t *testing.T) {
	b := open(t, testConfig(t))
	id := makeTopic(t, b, "flows")
	waits := rawDial(t, b)
	waits.send(fetchRequest(12, "flows", id, 0, 0, 1, time.Minute))
	eventually(t, "the fetch waits", func() bool { return b.Stats().WaitingFetch > 0 })
	start := time.Now()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("Close took %v", d)
	}
	if _, err := waits.readFrame(); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
		t.Logf("the fetch ended with %v", err)
	}
	if _, err := b.Dial(t.Context()); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Dial after Close: %v", err)
	}
}

// rawTxn is a transactional producer that sends its requests one by one.
type rawTxn struct {
	*rawConn
	id    int64
	epoch int16
	seq   int32
}

func (x *rawTxn) init() {
	x.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.SetVersion(5)
	req.TransactionalID, req.TransactionTimeoutMillis = kmsg.StringPtr("x"), 600_000
	p := x.request(req).(*kmsg.InitProducerIDResponse)
	if p.ErrorCode != 0 {
		x.t.Fatal("init:", kerr.ErrorForCode(p.ErrorCode))
	}
	x.id, x.epoch, x.seq = p.ProducerID, p.ProducerEpoch, 0
}

func (x *rawTxn) offsetCommit(offset int64) *kmsg.TxnOffsetCommitRequest {
	r := kmsg.NewPtrTxnOffsetCommitRequest()
	r.SetVersion(5)
	r.TransactionalID, r.Group, r.ProducerID, r.ProducerEpoch, r.Generation = "x", "g", x.id, x.epoch, -1
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic = "flows"
	rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	rp.Offset = offset
	rt.Partitions = append(rt.Partitions, rp)
	r.Topics = append(r.Topics, rt)
	return r
}

func (x *rawTxn) commit(offset int64) int16 {
	x.t.Helper()
	return x.request(x.offsetCommit(offset)).(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
}

// produce writes a record in the transaction.
func (x *rawTxn) produce() {
	x.t.Helper()
	req := produceRequest(12, -1, "flows", 0, broker.AppendTestTxnBatch(nil, x.id, x.epoch, x.seq, 1))
	req.TransactionID = kmsg.StringPtr("x")
	x.seq++
	if p := x.request(req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		x.t.Fatal("produce:", kerr.ErrorForCode(p.ErrorCode))
	}
}

func (x *rawTxn) end(commit bool) {
	x.t.Helper()
	r := kmsg.NewPtrEndTxnRequest()
	r.SetVersion(5)
	r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Commit = "x", x.id, x.epoch, commit
	resp := x.request(r).(*kmsg.EndTxnResponse)
	if resp.ErrorCode != 0 {
		x.t.Fatalf("end: %v", kerr.ErrorForCode(resp.ErrorCode))
	}
	x.epoch, x.seq = resp.ProducerEpoch, 0
}

// fetchOffset asks for what is committed; stable: and not open.
func (x *rawTxn) fetchOffset(stable bool) (int64, int16) {
	r := kmsg.NewPtrOffsetFetchRequest()
	r.SetVersion(8)
	rg := kmsg.NewOffsetFetchRequestGroup()
	rt := kmsg.NewOffsetFetchRequestGroupTopic()
	rt.Topic, rt.Partitions = "flows", []int32{0}
	rg.Group, rg.Topics = "g", append(rg.Topics, rt)
	r.Groups, r.RequireStable = append(r.Groups, rg), stable
	rp := x.request(r).(*kmsg.OffsetFetchResponse).Groups[0].Topics[0].Partitions[0]
	return rp.Offset, rp.ErrorCode
}
