package broker

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// Produce (key 0), versions 3 to 13. KIP-98 (idempotence, transactions), KIP-890 (v12: a
// partition joins a transaction by being written to), KIP-467 (error messages), KIP-482, KIP-516
// (topic ids, v13).
//
// Versions 0 to 2 are advertised and refused: they carry message formats of before Kafka 0.11, but librdkafka takes their
// absence for a broker that cannot take compressed batches (KAFKA-18659).
func produceAPI() api {
	return api{
		key: produceKey, min: 3, max: 13, raw: true, serve: serveProduce, refuse: refuseProduce,
		outline: "string@3 int16 int32 [ string@0-12 uuid@13 [ int32 bytes ] ]",
	}
}

const produceKey = 0

// zstdFrom is the version from which batches may be compressed by zstd (KIP-110), which is this codec.
const (
	zstdFrom  = 7
	codecZstd = 4
)

// producedFrom is the version ApiVersions announces.
const producedFrom = 0

// production is a produce request whose answer waits for the disk. The answer is written when the batches are appended, and
// an error that comes later is written over it.
type production struct {
	rq   *request
	left atomic.Int32 // partitions that are not flushed, and one for the handler itself
	wait bool         // it is counted among those that wait
	mu   sync.Mutex
	out  []byte
}

// done counts one partition off; the last one hands over the answer. An error replaces code and offset at pos.
func (p *production) done(pos int, err error) {
	if err != nil {
		p.mu.Lock()
		binary.BigEndian.PutUint16(p.out[pos:], uint16(p.rq.code(logCode(err))))
		binary.BigEndian.PutUint64(p.out[pos+2:], ^uint64(0))
		p.mu.Unlock()
	}
	if p.left.Add(-1) == 0 {
		if p.wait {
			p.rq.broker().counters.unflushed.Add(-1)
		}
		p.rq.answerWith(p.out)
	}
}

// serveProduce reads the body by hand: batches go from the frame to the log without a copy and without an allocation for
// each. The walk along the outline has found the body whole, so that nothing is appended of one that is not; only one
// that is served while it arrives may break off between batches.
func serveProduce(rq *request, _ kmsg.Request) error {
	cur := rq.body
	txnID := string(cur.str(rq.flexible))
	acks := cur.int16()
	cur.int32() // timeout: there is nobody else to wait for
	topics := max(cur.arrayLen(rq.flexible, 1), 0)
	p := &production{rq: rq}
	p.left.Store(1)
	out := rq.begin(128)
	out = appendArrayLen(out, rq.flexible, topics)
	refused := false
	var few [4]flushWait
	flushes := few[:0]
	elements := topics
	for ; topics > 0 && !cur.bad; topics-- {
		var t *topic
		unknown := codeUnknownTopicOrPartition
		if rq.version >= 13 {
			id := cur.uuid()
			t, unknown = rq.permit(kmsg.ACLOperationWrite, rq.broker().topics.getID(id), nil, codeUnknownTopicID)
			out = append(out, id[:]...)
		} else {
			name := cur.str(rq.flexible)
			t, unknown = rq.permit(kmsg.ACLOperationWrite, rq.broker().topics.lookup(name), name, unknown)
			out = appendString(out, rq.flexible, name)
		}
		parts := max(cur.arrayLen(rq.flexible, 1), 0)
		out = appendArrayLen(out, rq.flexible, parts)
		if elements += parts; elements > maxElements {
			cur.fail()
		}
		for ; parts > 0; parts-- {
			index := cur.int32()
			records := cur.bytes(rq.flexible)
			if cur.bad {
				break
			}
			r := produced{code: unknown, base: -1, appendTime: -1, start: -1}
			if t != nil {
				r = produceTo(rq, t, index, records, acks, txnID)
			}
			cur.tags(rq.flexible)
			out = appendInt32(out, index)
			pos := len(out)
			out = r.append(out, rq)
			refused = refused || r.code != codeNone
			if acks == -1 && r.code == codeNone {
				flushes = append(flushes, flushWait{r.log, r.last, pos})
				if r.joined.log != nil {
					flushes = append(flushes, flushWait{r.joined.log, r.joined.last, pos})
				}
			}
		}
		cur.tags(rq.flexible)
		out = appendTags(out, rq.flexible)
	}
	cur.tags(rq.flexible)
	if cur.bad {
		rq.broker().buffers.put(out)
		return fmt.Errorf("produce v%d: %w", rq.version, cur.err())
	}
	rq.meterProduce(rq.size)
	out = appendInt32(out, rq.throttleMillis())
	out = appendTags(out, rq.flexible)
	if acks == 0 {
		rq.silent = true
		rq.broker().buffers.put(out)
		if refused {
			// Kafka's way to tell a producer that listens to no answer.
			return fmt.Errorf("produce with acks=0 refused")
		}
		return nil
	}
	p.out = out
	p.left.Add(int32(len(flushes)))
	for _, w := range flushes {
		w.log.NotifyFlushed(w.last, func(err error) { p.done(w.pos, err) })
	}
	if p.left.Load() > 1 {
		p.wait = true
		rq.broker().counters.unflushed.Add(1)
	}
	p.done(0, nil)
	return nil
}

// flushWait is a partition to be flushed before the answer, and where the answer speaks of it.
type flushWait struct {
	log  *commitlog.Log
	last int64
	pos  int
}

// produced is what became of one partition's batches.
type produced struct {
	code       code
	base       int64
	appendTime int64
	start      int64
	text       string
	log        *commitlog.Log
	last       int64
	joined     logged // what let the partition into a transaction
}

// append writes it as the answer has it, the partition's number excepted.
func (r *produced) append(out []byte, rq *request) []byte {
	out = appendInt16(out, rq.code(r.code))
	out = appendInt64(out, r.base)
	out = appendInt64(out, r.appendTime)
	if rq.version >= 5 {
		out = appendInt64(out, r.start)
	}
	if rq.version >= 8 {
		out = appendArrayLen(out, rq.flexible, 0) // errors of single records
		out = appendNullableString(out, rq.flexible, r.text)
	}
	return appendTags(out, rq.flexible)
}

func produceTo(rq *request, t *topic, index int32, records []byte, acks int16, txnID string) produced {
	r := produced{base: -1, appendTime: -1, start: -1}
	c := &t.counters
	c.produceRequests.Add(1)
	part := t.partition(index)
	switch {
	case part == nil:
		r.code = codeUnknownTopicOrPartition
	case acks < -1 || acks > 1:
		r.code = codeInvalidRequiredAcks
	case rq.version < zstdFrom && len(records) >= batchHeader && binary.BigEndian.Uint16(records[batchAttrsAt:])&attrCodec == codecZstd:
		r.code = codeUnsupportedCompression
	case t.internal:
		r.code, r.text = codeInvalidTopic, "the topic is the broker's own"
	}
	if r.code != codeNone {
		c.produceRejected.Add(1)
		return r
	}
	o := commitlog.AppendOptions{MayCallBack: true}
	if transactional(records) {
		var in *txn
		if in, r.joined, r.code = rq.broker().txns.admit(rq, txnID, topicPartition{t.name, index}, records); r.code != codeNone {
			c.produceRejected.Add(1)
			return r
		}
		defer in.mu.RUnlock()
		o = commitlog.AppendOptions{AllowTransactional: true}
	}
	if len(records) >= 8 && binary.BigEndian.Uint64(records) != 0 {
		c.produceRejected.Add(1)
		r.code, r.text = codeInvalidRecord, "the base offset of a batch to append is 0"
		return r
	}
	info, err := part.log.Append(records, o)
	if err != nil {
		c.produceRejected.Add(1)
		r.code, r.text = logCode(err), err.Error()
		switch r.code {
		case codeUnsupportedFormat:
			r.code = codeInvalidRecord // this version takes no other
		case codeMessageTooLarge, codeCorruptMessage, codeUnknownTopicOrPartition, codeStorageError:
		default: // refused by what the records say; then Kafka tells where the log begins
			r.start = part.log.StartOffset()
		}
		return r
	}
	if info.Duplicate {
		c.duplicates.Add(1)
	} else {
		c.batchesIn.Add(1)
		c.messagesIn.Add(uint64(info.LastOffset - info.BaseOffset + 1))
		c.bytesIn.Add(uint64(len(records)))
	}
	r.base, r.last, r.appendTime, r.start, r.log = info.BaseOffset, info.LastOffset, info.AppendTime, info.StartOffset, part.log
	return r
}

// refuseProduce answers versions 0 to 2 for what they are: a format that is not taken.
func refuseProduce(rq *request) error {
	if rq.version < producedFrom || rq.version > rq.api.max {
		return fmt.Errorf("%w: produce v%d", errUnsupported, rq.version)
	}
	cur := rq.body
	cur.str(false) // client id
	body := cur.b
	if _, ok := rq.api.shape.accepts(body, rq.version, false); !ok || cur.bad {
		return fmt.Errorf("produce v%d: %w", rq.version, errMalformed)
	}
	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(rq.version)
	if err := req.ReadFrom(body); err != nil {
		return fmt.Errorf("produce v%d: %w: %w", rq.version, errMalformed, err)
	}
	if req.Acks == 0 {
		return fmt.Errorf("%w: produce v%d", errUnsupported, rq.version)
	}
	resp := kmsg.NewPtrProduceResponse()
	for i := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition = req.Topics[i].Partitions[j].Partition
			rp.ErrorCode = rq.code(codeUnsupportedFormat)
			rp.BaseOffset = -1
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	rq.respond(resp)
	return nil
}
