package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// How long a broker takes to answer one record, acks=all, at a rate that it can
// follow. The requests leave one connection by a schedule, whether or not earlier ones
// are answered, and their time counts from when they were due: a broker that stands
// still for a while is late with all that were due meanwhile, not with one.
const (
	requestRate   = 1000 // a second
	requestRecord = 1000 // bytes of a value
	requestWarm   = 5    // seconds, the first time: a compiler's
	answerLimit   = 60 * time.Second
)

// contender is a broker with a way of flushing.
type contender struct {
	name    string
	broker  *brokerProcess
	topic   string
	rounds  [][]float64 // milliseconds, in order of their being due
	late    [][]float64 // of these, what the load took until it had sent the request
	against *contender
}

// latency compares how long a record takes, in our page-cache mode with Kafka's default
// and in our durable mode with a Kafka that flushes each request.
func (b *bench) latency(ctx context.Context, libs string) error {
	if !b.wanted(latencyPath) {
		return nil
	}
	if memory, err := inMemory(b.disk); err != nil || memory {
		fmt.Printf("\nLatency is left out: %s is a file system in memory (--disk)\n", b.disk)
		return err
	}
	var all []*contender
	defer func() {
		for _, c := range all {
			c.broker.close()
		}
	}()
	for _, durability := range []string{"page-cache", "fsync"} {
		k, err := b.startOwn(ctx, b.disk, durability)
		if err != nil {
			return err
		}
		all = append(all, &contender{name: k.name, broker: k})
	}
	if libs != "" {
		k, err := b.startApache(ctx, b.disk, libs)
		if err != nil {
			return err
		}
		all = append(all, &contender{name: k.name, broker: k}, &contender{name: k.name + ", flush.messages=1", broker: k})
		all[0].against, all[1].against = all[2], all[3]
	}
	for i, c := range all {
		var configs map[string]*string
		if i == 3 {
			one := "1"
			configs = map[string]*string{"flush.messages": &one}
		}
		var err error
		if c.topic, err = c.broker.newTopic(ctx, 1, configs); err != nil {
			return err
		}
		if _, err := c.send(ctx, requestWarm*requestRate); err != nil {
			return fmt.Errorf("single records to %s: %w", c.name, err)
		}
	}
	for round := range b.rounds {
		for turn := range all {
			c := all[(round+turn)%len(all)]
			r, err := c.send(ctx, int(b.requests*requestRate))
			if err != nil {
				return fmt.Errorf("single records to %s: %w", c.name, err)
			}
			c.rounds, c.late = append(c.rounds, r.answered), append(c.late, r.sent)
		}
	}
	b.reportLatency(all)
	return nil
}

const latencyPath = "broker latency"

func (b *bench) reportLatency(all []*contender) {
	fmt.Printf("\nBrokers: %d records of 1 KB a second, one a request, acks=all, data on disk; ms from when each was due\n", requestRate)
	t := newTable()
	fmt.Fprintln(t, "  \tp50\tp99\tp99.9\tgreatest\tsent late, p99\tp99 by Kafka's")
	column := func(rounds [][]float64, q float64) []float64 {
		var v []float64
		for _, r := range rounds {
			v = append(v, quantile(r, q))
		}
		return v
	}
	for _, c := range all {
		times := ""
		if c.against != nil {
			p := over(column(c.rounds, 0.99), column(c.against.rounds, 0.99))
			times = p.String()
			b.bars = append(b.bars, bar{"1,000 requests/s, " + c.name + ": p99 by that of " + c.against.name, p.median, 1, true})
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.name, spreadOf(column(c.rounds, 0.5)), spreadOf(column(c.rounds, 0.99)),
			spreadOf(column(c.rounds, 0.999)), spreadOf(column(c.rounds, 1)), spreadOf(column(c.late, 0.99)), times)
	}
	t.Flush()
}

// answers is what became of the requests of a turn, in milliseconds from when each was
// due.
type answers struct{ sent, answered []float64 }

// send sends so many requests by the schedule and waits for all their answers.
func (c *contender) send(ctx context.Context, n int) (answers, error) {
	res := answers{make([]float64, n), make([]float64, n)}
	conn, err := net.Dial("tcp", c.broker.address)
	if err != nil {
		return res, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	frame := produceFrame(c.topic)
	start := now() + int64(10*time.Millisecond)
	due := func(i int) int64 { return start + int64(i)*int64(time.Second)/requestRate }
	_ = conn.SetDeadline(time.Now().Add(time.Duration(due(n)-start) + answerLimit))

	failed := make(chan error, 1)
	go func() {
		err := c.readAnswers(conn, func(i int) { res.answered[i] = float64(now()-due(i)) / 1e6 }, n)
		if err != nil {
			conn.Close()
		}
		failed <- err
	}()
	err = func() error {
		// A timer of the runtime's is a millisecond late.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for i := range n {
			for {
				left := due(i) - now()
				if left <= 0 {
					break
				}
				ts := unix.NsecToTimespec(left)
				_ = unix.Nanosleep(&ts, nil)
			}
			binary.BigEndian.PutUint32(frame[8:], uint32(i)) // the correlation id
			if _, err := conn.Write(frame); err != nil {
				return err
			}
			res.sent[i] = float64(now()-due(i)) / 1e6
		}
		return nil
	}()
	return res, errors.Join(<-failed, err, c.broker.process.failed())
}

// readAnswers reads the answers to n requests, which come in their order.
func (c *contender) readAnswers(conn net.Conn, answered func(i int), n int) error {
	var head [4]byte
	body := make([]byte, 1<<10)
	for i := range n {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return fmt.Errorf("read answer %d of %d: %w", i, n, err)
		}
		size := int(binary.BigEndian.Uint32(head[:]))
		if size < 5 || size > len(body) {
			return fmt.Errorf("answer of %d bytes", size)
		}
		if _, err := io.ReadFull(conn, body[:size]); err != nil {
			return fmt.Errorf("read answer %d of %d: %w", i, n, err)
		}
		answered(i)
		resp := kmsg.NewPtrProduceResponse()
		resp.SetVersion(produceVersion)
		if id := int(binary.BigEndian.Uint32(body[:])); id != i {
			return fmt.Errorf("answer %d is to request %d", i, id)
		}
		if err := resp.ReadFrom(body[5:size]); err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return fmt.Errorf("answer %d is to something else", i)
		}
		if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
	}
	return nil
}

const produceVersion = 9

// produceFrame makes a request of one record to partition 0.
func produceFrame(topic string) []byte {
	record := kmsg.NewRecord()
	record.Value = make([]byte, requestRecord)
	record.Length = int32(len(record.AppendTo(nil)) - 1) // of itself it has one byte so far
	batch := kmsg.NewRecordBatch()
	batch.PartitionLeaderEpoch = -1
	batch.Magic = 2
	batch.FirstTimestamp = time.Now().UnixMilli()
	batch.MaxTimestamp = batch.FirstTimestamp
	batch.ProducerID, batch.ProducerEpoch, batch.FirstSequence = -1, -1, -1
	batch.NumRecords = 1
	batch.Records = record.AppendTo(nil)
	const prefix, crcAt, crcFrom = 12, 17, 21
	batch.Length = int32(len(batch.AppendTo(nil)) - prefix)
	b := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[crcFrom:], crc32.MakeTable(crc32.Castagnoli)))

	req := kmsg.NewPtrProduceRequest()
	req.SetVersion(produceVersion)
	req.Acks = -1
	req.TimeoutMillis = int32(answerLimit.Milliseconds())
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = b
	to := kmsg.NewProduceRequestTopic()
	to.Topic = topic
	to.Partitions = append(to.Partitions, part)
	req.Topics = append(req.Topics, to)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench")).AppendRequest(nil, req, 0)
}

// now is a clock that does not jump, in nanoseconds.
func now() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// inMemory tells a file system in memory.
func inMemory(dir string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, fmt.Errorf("%s: %w", dir, err)
	}
	return st.Type == unix.TMPFS_MAGIC, nil
}
