package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stuck is a producer whose cluster cannot be reached: what a test puts into
// its partitions stays there.
func stuck(t testing.TB, properties Properties, partitions int) *stuckProducer {
	t.Helper()
	s := &stuckProducer{}
	if properties == nil {
		properties = Properties{}
	}
	if properties["linger.ms"] == "" {
		properties["linger.ms"] = "60000"
	}
	p, err := NewProducer(Endpoint{Brokers: []string{"192.0.2.1:9092"}, Properties: properties}, ProducerConfig{
		Topic: "t", QueueBytes: 64 << 20,
		Client: ClientConfig{Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}},
		Delivered: func(n uint64) { s.delivered += n },
		Refused:   func(n uint64) { s.refused += n },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	s.Producer = p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = identity{7, 0}
	for range partitions {
		p.partitions = append(p.partitions, newPartition(int32(len(p.partitions))))
	}
	p.known.Store(int32(partitions))
	return s
}

type stuckProducer struct {
	*Producer
	delivered, refused uint64
}

// give puts a batch of n records into a partition.
func (s *stuckProducer) give(t testing.TB, pt *partition, n int) *batch {
	t.Helper()
	a := s.Appender()
	for i := range n {
		r := Record{Milliseconds: 1_700_000_000_000 + int64(i), Value: fmt.Appendf(nil, "record %d of %d", i, n), Flows: 1}
		if dropped, _ := a.Append([]Record{r}); dropped > 0 {
			t.Fatal("no room")
		}
	}
	s.sealAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.waiting[len(s.waiting)-1]
	s.waiting = s.waiting[:len(s.waiting)-1]
	pt.queue = append(pt.queue, b)
	return b
}

// send does with the first batch of a partition what a sender does, and answers.
func (s *stuckProducer) send(t testing.TB, pt *partition, codes ...*kerr.Error) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, code := range codes {
		b := pt.queue[0]
		if !b.numbered && !s.numbers(pt, b) {
			t.Fatal("no producer id")
		}
		b.sent++
		if code == nil {
			s.decide(pt, 0)
		} else {
			s.decide(pt, code.Code)
		}
	}
}

// TestVerdicts: what becomes of a batch, and of the numbers of the next one, by what
// the broker says.
func TestVerdicts(t *testing.T) {
	type codes = []*kerr.Error
	for _, c := range []struct {
		name               string
		answers            codes
		delivered, refused uint64
		doubt              bool   // about the first batch, if it is still there
		next               string // id and sequence that the batch after it gets; empty: it has to wait for a new id
	}{
		{name: "accepted", answers: codes{nil}, delivered: 10, next: "7/10"},
		{name: "known already", answers: codes{kerr.DuplicateSequenceNumber}, delivered: 10, next: "7/10"},
		{name: "the leader has moved, perhaps after it appended", answers: codes{kerr.NotLeaderForPartition}, doubt: true},
		{name: "and then it is accepted", answers: codes{kerr.NotLeaderForPartition, nil}, delivered: 10, next: "7/10"},
		{name: "too few replicas, not appended", answers: codes{kerr.NotEnoughReplicas}},
		{name: "too few replicas, appended", answers: codes{kerr.NotEnoughReplicasAfterAppend}, doubt: true},
		{name: "no rights", answers: codes{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed}},
		{name: "invalid", answers: codes{kerr.InvalidRecord}, refused: 10, next: "7/0"},
		{name: "invalid, after a doubt", answers: codes{kerr.RequestTimedOut, kerr.InvalidRecord}, refused: 10},
		{name: "damaged, again and again", answers: codes{kerr.CorruptMessage, kerr.CorruptMessage, kerr.CorruptMessage, kerr.CorruptMessage, kerr.CorruptMessage}, refused: 10, next: "7/0"},
		{name: "forgotten, never in doubt", answers: codes{kerr.UnknownProducerID}},
		{name: "forgotten, in doubt", answers: codes{kerr.RequestTimedOut, kerr.UnknownProducerID}, refused: 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stuck(t, nil, 1)
			pt := s.partitions[0]
			first := s.give(t, pt, 10)
			s.give(t, pt, 5)
			s.send(t, pt, c.answers...)
			if s.delivered != c.delivered || s.refused != c.refused {
				t.Errorf("%d delivered and %d refused, want %d and %d", s.delivered, s.refused, c.delivered, c.refused)
			}
			if c.delivered+c.refused == 0 {
				if pt.queue[0] != first {
					t.Fatal("the batch is gone")
				}
				if first.doubt != c.doubt {
					t.Errorf("in doubt: %v", first.doubt)
				}
				if c.doubt && (!first.numbered || first.by.id != 7 || first.sequence != 0) {
					t.Errorf("a batch in doubt has other numbers: %+v", first)
				}
				return
			}
			next := pt.queue[0]
			got := ""
			s.mu.Lock()
			if s.numbers(pt, next) {
				got = fmt.Sprintf("%d/%d", next.by.id, next.sequence)
			}
			s.mu.Unlock()
			if got != c.next {
				t.Errorf("the next batch gets %q, want %q", got, c.next)
			}
		})
	}
}

// TestSplits: a batch that is too large becomes smaller ones, whose numbers and records
// are the same, until a record alone is too large.
func TestSplits(t *testing.T) {
	for _, codec := range []string{"none", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			s := stuck(t, Properties{"compression.type": codec}, 1)
			pt := s.partitions[0]
			s.give(t, pt, 9)
			var got []string
			for len(pt.queue) > 0 {
				b := pt.queue[0]
				if b.records > 2 {
					s.send(t, pt, kerr.MessageTooLarge)
					continue
				}
				s.mu.Lock()
				if !b.numbered && !s.numbers(pt, b) {
					t.Fatal("no producer id")
				}
				s.mu.Unlock()
				at := b.sequence
				for _, v := range decode(t, b.buf) {
					got = append(got, fmt.Sprintf("%d:%s", at, v))
					at++
				}
				s.send(t, pt, nil)
			}
			var want []string
			for i := range 9 {
				want = append(want, fmt.Sprintf("%d:record %d of 9", i, i))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || s.delivered != 9 {
				t.Errorf("%d delivered: %v", s.delivered, got)
			}
			s.give(t, pt, 1)
			s.send(t, pt, kerr.MessageTooLarge)
			if s.refused != 1 || len(pt.queue) != 0 {
				t.Errorf("one record that is too large: %d refused", s.refused)
			}
			if used, _ := s.Queue(); used != 0 {
				t.Errorf("%d octets of memory are lost", used)
			}
		})
	}
}

// TestTooLargeRemembered: once a topic has refused a batch for its size, those that follow
// are split before they are sent, until it may have grown.
func TestTooLargeRemembered(t *testing.T) {
	s := stuck(t, Properties{}, 1)
	pt := s.partitions[0]
	size := len(s.give(t, pt, 16).buf)
	s.send(t, pt, kerr.MessageTooLarge, nil, nil)
	fit := func(later time.Duration) (sizes []int) {
		for len(pt.queue) > 0 {
			s.mu.Lock()
			s.fit(pt, time.Now().Add(later))
			sizes = append(sizes, int(pt.queue[0].records))
			s.mu.Unlock()
			s.send(t, pt, nil)
		}
		return sizes
	}
	s.give(t, pt, 40)
	for _, n := range fit(0) {
		if n != 10 {
			t.Errorf("a batch of %d records, of 40 where 16 were too many", n)
		}
	}
	s.give(t, pt, 16)
	if got := fit(0); len(got) != 2 {
		t.Errorf("batches of %v records", got)
	}
	s.give(t, pt, 16)
	if got := fit(2 * s.settings.metadataAge); len(got) != 1 {
		t.Errorf("%d octets are not tried again: batches of %v records", size, got)
	}
	if used, _ := s.Queue(); used != 0 || s.delivered != 16+40+16+16 || s.refused != 0 {
		t.Errorf("%d octets of memory are lost, %d flows delivered, %d refused", used, s.delivered, s.refused)
	}
}

// decode reads a batch with kmsg, checks its header and returns the values.
func decode(t testing.TB, raw []byte) (values []string) {
	t.Helper()
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		t.Fatal(err)
	}
	if int(b.Length) != len(raw)-12 || b.Magic != 2 || uint32(b.CRC) != crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)) {
		t.Fatalf("header of the batch: %+v", b)
	}
	if b.LastOffsetDelta != b.NumRecords-1 || b.FirstOffset != 0 || b.PartitionLeaderEpoch != -1 {
		t.Fatalf("header of the batch: %+v", b)
	}
	body, err := kgo.DefaultDecompressor().Decompress(b.Records, kgo.CompressionCodecType(b.Attributes&7))
	if err != nil {
		t.Fatal(err)
	}
	var newest int64
	for i := range b.NumRecords {
		length, n := binary.Varint(body)
		var r kmsg.Record
		if err := r.ReadFrom(body[:n+int(length)]); err != nil {
			t.Fatal(err)
		}
		body = body[n+int(length):]
		if r.OffsetDelta != i || r.Key != nil || len(r.Headers) != 0 {
			t.Fatalf("record %d: %+v", i, r)
		}
		newest = max(newest, b.FirstTimestamp+r.TimestampDelta64)
		values = append(values, string(r.Value))
	}
	if len(body) != 0 || newest != b.MaxTimestamp {
		t.Fatalf("%d octets after the last record, newest %d of %d", len(body), newest, b.MaxTimestamp)
	}
	return values
}

// TestRecordSizes: records of all sizes and times, with keys and without, are framed as
// kmsg frames them.
func TestRecordSizes(t *testing.T) {
	var b batch
	b.begin(make([]byte, batchHeader))
	value := bytes.Repeat([]byte("v"), 1<<21)
	i := 0
	for _, key := range [][]byte{nil, {}, []byte("k"), value[:70]} {
		for _, size := range []int{0, 1, 50, 63, 64, 127, 128, 8190, 8192, 1<<20 - 20, 1 << 20, 1 << 21} {
			ms := int64(1_700_000_000_000) + int64(i%3-1)*int64(size)
			record := Record{ms, key, value[:size], 1}
			body, whole := b.recordSize(&record)
			before := len(b.buf)
			b.add(&record, body)
			r := kmsg.Record{Length: int32(body), TimestampDelta64: ms - b.baseTime, OffsetDelta: int32(i), Key: key, Value: value[:size]}
			if key == nil && size == 0 {
				r.Value = []byte{} // empty, not null
			}
			if want := r.AppendTo(nil); len(b.buf)-before != whole || !bytes.Equal(b.buf[before:], want) {
				t.Fatalf("record %d, key of %d, value of %d octets: %d octets, want %d", i, len(key), size, len(b.buf)-before, len(want))
			}
			i++
		}
	}
	n := 0
	if err := eachRecord(b.buf[batchHeader:], b.baseTime, func(int64, []byte, []byte) { n++ }); err != nil || n != i {
		t.Errorf("%d records read back, %v", n, err)
	}
}

// TestJoinCRC: the CRC of two pieces is that of the whole, wherever it is cut.
func TestJoinCRC(t *testing.T) {
	whole := make([]byte, 1<<20+3)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range whole {
		whole[i] = byte(r.Uint32())
	}
	want := crc32.Checksum(whole, castagnoli)
	for _, second := range []int{0, 1, 2, 3, 61, 255, 256, 65535, 65536, 1 << 20, len(whole)} {
		at := len(whole) - second
		if got := joinCRC(crc32.Checksum(whole[:at], castagnoli), crc32.Checksum(whole[at:], castagnoli), second); got != want {
			t.Errorf("%d octets in the second piece: %08x instead of %08x", second, got, want)
		}
	}
}

// TestAppendAllocates: nothing for a record.
func TestAppendAllocates(t *testing.T) {
	for _, codec := range []string{"none", "lz4"} {
		s := stuck(t, Properties{"compression.type": codec, "batch.size": "100000"}, 1)
		a := s.Appender()
		records := slices.Repeat([]Record{{Milliseconds: 1_700_000_000_000, Value: make([]byte, 110), Flows: 1}}, 25)
		one := func() {
			for range 40 {
				a.Append(records)
			}
			s.acknowledge()
		}
		one()
		// A batch of 900 records and its place in the queue, and whatever a codec wants.
		if n := testing.AllocsPerRun(100, one); n > 40 {
			t.Errorf("%s: %.0f allocations for 1000 records", codec, n)
		}
	}
}

// acknowledge numbers what was sealed, and decides on it.
func (s *stuckProducer) acknowledge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.waiting {
		b.number(identity{7, 0}, 0)
		s.discard(b)
	}
	s.waiting = s.waiting[:0]
}

// BenchmarkAppend is what a record costs from its encoding to the produce request:
// framing, compression, CRC, for 32 of them.
func BenchmarkAppend(b *testing.B) {
	for _, codec := range []string{"none", "lz4", "snappy", "zstd"} {
		b.Run(codec, func(b *testing.B) {
			s := stuck(b, Properties{"compression.type": codec}, 1)
			a := s.Appender()
			records := make([]Record, 32)
			for i := range records {
				records[i] = Record{Milliseconds: 1_700_000_000_000, Value: fmt.Appendf(nil, "%0100d/%d", i*7919, i), Flows: 1}
			}
			b.SetBytes(int64(len(records[0].Value) * len(records)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a.Append(records)
				if i%600 == 0 {
					s.acknowledge()
				}
			}
		})
	}
}

// FuzzEachRecord: damaged records end in an error.
func FuzzEachRecord(f *testing.F) {
	var b batch
	b.begin(make([]byte, batchHeader))
	for i := range 3 {
		r := Record{int64(i), []byte("key"), []byte("value"), 1}
		body, _ := b.recordSize(&r)
		b.add(&r, body)
	}
	f.Add(b.buf[batchHeader:])
	f.Add([]byte{2, 0})
	f.Fuzz(func(_ *testing.T, body []byte) {
		_ = eachRecord(body, 0, func(_ int64, key, value []byte) { _, _ = len(key), len(value) })
	})
}

// TestLZ4: what is compressed in blocks is read by others.
func TestLZ4(t *testing.T) {
	random := make([]byte, 5<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	var dst bytes.Buffer
	for _, src := range [][]byte{nil, []byte("a"), bytes.Repeat([]byte("abcd"), 3<<20), random, append(bytes.Repeat([]byte{7}, 4<<20), random[:70_000]...)} {
		dst.Reset()
		out, codec := lz4Blocks{}.Compress(&dst, src)
		if codec != kgo.CodecLz4 {
			t.Fatal(codec)
		}
		back, err := io.ReadAll(lz4.NewReader(bytes.NewReader(out)))
		if err != nil || !bytes.Equal(back, src) {
			t.Errorf("%d octets, compressed to %d, come back as %d, %v", len(src), len(out), len(back), err)
		}
	}
}

// TestDoubtGrowsOld: a batch that has been in doubt for longer than brokers remember a
// producer is given up; one that is not in doubt is not.
func TestDoubtGrowsOld(t *testing.T) {
	s := stuck(t, nil, 1)
	pt := s.partitions[0]
	s.give(t, pt, 10)
	s.send(t, pt, kerr.RequestTimedOut)
	old := s.give(t, pt, 5)
	s.mu.Lock()
	defer s.mu.Unlock()
	pt.queue[0].sentAt = time.Now()
	old.opened, old.sentAt = time.Now().Add(-48*time.Hour), time.Now().Add(-48*time.Hour)
	s.expire(pt, time.Now().Add(memory-time.Minute))
	if s.refused != 0 {
		t.Errorf("%d refused too early", s.refused)
	}
	s.expire(pt, time.Now().Add(memory+time.Minute))
	if s.refused != 10 || len(pt.queue) != 1 || pt.queue[0] != old {
		t.Errorf("%d refused, %d batches are left", s.refused, len(pt.queue))
	}
}
