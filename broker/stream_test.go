package broker_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// streamPair is a broker that serves produce requests while they arrive, and one that reads them whole before.
type streamPair struct {
	brokers [2]*broker.Broker
	conns   [2]*rawConn
	ids     [2][16]byte
}

func openStreamPair(t *testing.T) *streamPair {
	p := &streamPair{}
	for i, from := range []int{1, 1 << 30} {
		cfg := broker.WithStreams(testConfig(t), from)
		cfg.DefaultPartitions = 3
		p.brokers[i] = open(t, cfg)
		p.ids[i] = makeTopic(t, p.brokers[i], "flows")
		p.conns[i] = rawDial(t, p.brokers[i])
	}
	return p
}

// TestStreamedProduce sends the same requests to both brokers: good and bad batches, unknown topics and partitions, null
// records, tags, bytes behind the request. They answer the same, and have the same in their logs.
func TestStreamedProduce(t *testing.T) {
	p := openStreamPair(t)
	rng := rand.New(rand.NewPCG(7, 7))
	sequence := int32(0)
	for n := range 300 {
		version := int16(3 + rng.IntN(11))
		req := kmsg.NewPtrProduceRequest()
		req.SetVersion(version)
		req.Acks = []int16{-1, 1, 0, 2}[min(rng.IntN(20), 3)]
		if rng.IntN(10) == 0 {
			req.TransactionID = kmsg.StringPtr("nobody" + strings.Repeat("x", rng.IntN(2)*rng.IntN(20_000)))
		}
		if rng.IntN(3) == 0 {
			req.UnknownTags.Set(77, bytes.Repeat([]byte("t"), rng.IntN(9000)))
		}
		for range rng.IntN(4) {
			rt := kmsg.NewProduceRequestTopic()
			rt.Topic = []string{"flows", "flows", "none", "no/name"}[rng.IntN(4)]
			for range rng.IntN(4) {
				rp := kmsg.NewProduceRequestTopicPartition()
				rp.Partition = int32(rng.IntN(4))
				switch rng.IntN(6) {
				case 0:
				case 1:
					rp.Records = goodBatch(2, 10)
					rp.Records[rng.IntN(len(rp.Records))] ^= 1
				case 2:
					rp.Partition = 0
					rp.Records = broker.AppendTestProducerBatch(nil, 9, 0, sequence, 2)
					sequence += int32(rng.IntN(2)) * 2 // else it is repeated
				default:
					rp.Records = goodBatch(1+rng.IntN(50), rng.IntN(400))
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
		}
		behind := rng.IntN(2) * rng.IntN(20_000)
		var answers [2]kmsg.Response
		silent := req.Acks == 0
		for i, c := range p.conns {
			for j := range req.Topics {
				req.Topics[j].TopicID = [16]byte{}
				if req.Topics[j].Topic == "flows" {
					req.Topics[j].TopicID = p.ids[i]
				}
			}
			frame := append(c.frame(req), make([]byte, behind)...)
			binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
			for len(frame) > 0 {
				k := min(1+rng.IntN(3000), len(frame))
				if _, err := c.Write(frame[:k]); err != nil {
					break // acks=0 and something refused
				}
				frame = frame[k:]
			}
			if silent {
				// Whether anything was refused shows in whether the connection goes on.
				probe := kmsg.NewPtrApiVersionsRequest()
				if _, err := c.Write(c.frame(probe)); err == nil {
					_, _ = c.readFrame()
				}
				c.Close()
				p.conns[i] = rawDial(t, p.brokers[i])
				continue
			}
			answers[i] = c.receive(req, c.correlation)
		}
		if silent {
			continue
		}
		for i, a := range answers {
			r := a.(*kmsg.ProduceResponse)
			for j := range r.Topics {
				if r.Topics[j].TopicID == p.ids[i] {
					r.Topics[j].TopicID = [16]byte{1}
				}
			}
		}
		if a, b := answers[0].AppendTo(nil), answers[1].AppendTo(nil); !bytes.Equal(a, b) {
			t.Fatalf("request %d, v%d: while it arrives %+v, whole %+v", n, version, answers[0], answers[1])
		}
	}
	written := int64(0)
	for partition := range int32(3) {
		var logs [2][]byte
		for i, b := range p.brokers {
			flush := produceRequest(9, -1, "flows", partition, goodBatch(1, 1))
			if r := rawDial(t, b).request(flush).(*kmsg.ProduceResponse); r.Topics[0].Partitions[0].ErrorCode != 0 {
				t.Fatalf("partition %d: %+v", partition, r.Topics[0].Partitions)
			}
			logs[i] = wholeLog(t, rawDial(t, b), partition)
			written += int64(len(logs[i]))
		}
		if !bytes.Equal(logs[0], logs[1]) {
			t.Errorf("partition %d: %d and %d bytes differ", partition, len(logs[0]), len(logs[1]))
		}
	}
	if written < 100_000 {
		t.Errorf("%d bytes were written", written)
	}
	eventually(t, "all is given back", func() bool { return p.brokers[0].Stats().InFlightBytes == 0 })
}

// wholeLog fetches a partition of flows from its beginning to its end.
func wholeLog(t *testing.T, c *rawConn, partition int32) []byte {
	var log []byte
	for next := int64(0); ; {
		r := c.request(fetchRequest(11, "flows", [16]byte{}, partition, next, 0, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if r.ErrorCode != 0 {
			t.Fatalf("fetch from %d of %d: error %d", next, partition, r.ErrorCode)
		}
		batches := r.RecordBatches
		if len(batches) == 0 {
			return log
		}
		for len(batches) >= 61 {
			size := 12 + int(binary.BigEndian.Uint32(batches[8:]))
			if size > len(batches) {
				break
			}
			next = int64(binary.BigEndian.Uint64(batches)) + int64(binary.BigEndian.Uint32(batches[23:])) + 1
			log = append(log, batches[:size]...)
			batches = batches[size:]
		}
	}
}

// TestStreamCutShort ends a request at each of its bytes: it ends its connection, and no batch that had not come is written.
func TestStreamCutShort(t *testing.T) {
	cfg := broker.WithStreams(testConfig(t), 1)
	b := open(t, cfg)
	id := makeTopic(t, b, "flows")
	for _, version := range []int16{7, 13} {
		batch := goodBatch(3, 10)
		req := produceRequest(version, -1, "flows", 0, batch)
		req.Topics[0].TopicID = id
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
		whole := (&rawConn{t: t}).frame(req)
		for _, lying := range []bool{false, true} { // the frame says how long it is, or claims the rest
			for size := 12; size < len(whole); size++ {
				before := b.Stats().Topics[0].Messages
				frame := bytes.Clone(whole[:size])
				if !lying {
					binary.BigEndian.PutUint32(frame, uint32(size-4))
				}
				c := mustDial(t, b)
				if _, err := c.Write(frame); err != nil {
					t.Fatal(err)
				}
				if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(c); err != nil || len(got) != 0 {
					t.Fatalf("v%d cut at %d: answer %x, %v", version, size, got, err)
				}
				most := int64(3 * bytes.Count(frame, batch))
				if wrote := b.Stats().Topics[0].Messages - before; wrote > most {
					t.Fatalf("v%d cut at %d of %d: %d records were written of %d that came", version, size, len(whole), wrote, most)
				}
				c.Close()
			}
		}
	}
	eventually(t, "all is given back", func() bool { return b.Stats().InFlightBytes == 0 })
	if n := b.Stats().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

// TestSlowStream sends half of a batch and then nothing: the peer has its time for each step and no more, and holds by what
// it has sent.
func TestSlowStream(t *testing.T) {
	cfg := testConfig(t)
	cfg.FrameTimeout = 2 * time.Second
	b := open(t, cfg)
	makeTopic(t, b, "flows")
	c := rawDial(t, b)
	frame := c.frame(produceRequest(9, -1, "flows", 0, goodBatch(1000, 1000)))
	c.write(frame[:1000])
	eventually(t, "the batch has begun", func() bool { return b.Stats().InFlightBytes > 0 || b.Stats().ConnectionsSlow > 0 })
	if n := b.Stats().InFlightBytes; n > 128<<10 {
		t.Errorf("%d bytes are held for 1,000", n)
	}
	c.checkClosed("half a batch")
	eventually(t, "all is given back", func() bool { s := b.Stats(); return s.InFlightBytes == 0 && s.ConnectionsSlow == 1 })
}
