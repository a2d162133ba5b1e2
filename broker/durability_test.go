package broker_test

import (
	"bytes"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// disk makes syncs wait, or fail, as a test says.
type disk struct {
	held   atomic.Pointer[chan struct{}]
	fails  atomic.Bool
	asking atomic.Int32
}

func (d *disk) sync() error {
	if d.fails.Load() {
		return errors.New("the disk says no")
	}
	if gate := d.held.Load(); gate != nil {
		d.asking.Add(1)
		<-*gate
		d.asking.Add(-1)
	}
	return nil
}

func (d *disk) hold() {
	gate := make(chan struct{})
	d.held.Store(&gate)
}

func (d *disk) release() {
	if gate := d.held.Swap(nil); gate != nil {
		close(*gate)
	}
}

// silent wants no answer to come within a short time, and resets the deadline.
func (c *rawConn) silent(what string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var b [1]byte
	if n, err := c.Read(b[:]); n != 0 || !isTimeout(err) {
		c.t.Fatalf("%s is answered before the disk has it: %v", what, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Minute))
}

// TestFlush holds the disk back and looks at who waits for it and who does not.
func TestFlush(t *testing.T) {
	var d disk
	b := open(t, broker.WithSync(testConfig(t), d.sync))
	t.Cleanup(d.release)
	id := makeTopic(t, b, "flows")
	p := rawDial(t, b)
	p.request(produceRequest(9, -1, "flows", 0, goodBatch(2, 10)))

	d.hold()
	all := produceRequest(9, -1, "flows", 0, goodBatch(3, 10))
	p.send(all)
	eventually(t, "it is appended", func() bool { return b.Stats().Topics[0].MessagesIn == 5 })
	p.silent("acks=all")

	// Another producer is content with the page cache.
	one := rawDial(t, b)
	if r := one.request(produceRequest(9, 1, "flows", 0, goodBatch(1, 10))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; r.ErrorCode != 0 || r.BaseOffset != 5 {
		t.Errorf("acks=1: %+v", r)
	}

	// Nobody sees what is not safe: offset 2 is the watermark, 6 the end of the log.
	c := rawDial(t, b)
	if r := c.request(fetchRequest(12, "flows", id, 0, 0, 1, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; r.HighWatermark != 2 || r.ErrorCode != 0 || len(r.RecordBatches) == 0 {
		t.Errorf("fetch from 0: %d bytes, %+v", len(r.RecordBatches), r.HighWatermark)
	}
	for _, offset := range []int64{2, 4, 6} {
		if r := c.request(fetchRequest(12, "flows", id, 0, offset, 1, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; r.ErrorCode != 0 || len(r.RecordBatches) != 0 {
			t.Errorf("fetch from %d: %+v", offset, r)
		}
	}
	if r := c.request(fetchRequest(12, "flows", id, 0, 7, 1, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; r.ErrorCode != 1 {
		t.Errorf("fetch from beyond the end: %+v", r)
	}
	waits := fetchRequest(12, "flows", id, 0, 4, 1, 100*time.Second)
	c.send(waits)

	// The end of the log is told when it is safe, its beginning at once.
	list := func(timestamp int64) *kmsg.ListOffsetsRequest {
		req := kmsg.NewPtrListOffsetsRequest()
		req.SetVersion(6)
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = "flows"
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Timestamp, rp.CurrentLeaderEpoch = timestamp, -1
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		return req
	}
	l := rawDial(t, b)
	if r := l.request(list(-2)).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; r.Offset != 0 || r.ErrorCode != 0 {
		t.Errorf("earliest: %+v", r)
	}
	latest := list(-1)
	l.send(latest)
	l.silent("latest")

	d.release()
	if r := p.receive(all, p.correlation).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; r.ErrorCode != 0 || r.BaseOffset != 2 {
		t.Errorf("acks=all: %+v", r)
	}
	if r := l.receive(latest, l.correlation).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]; r.Offset != 6 || r.ErrorCode != 0 {
		t.Errorf("latest: %+v", r)
	}
	if r := c.receive(waits, c.correlation).(*kmsg.FetchResponse).Topics[0].Partitions[0]; r.ErrorCode != 0 || len(r.RecordBatches) == 0 {
		t.Errorf("the fetch that waited: %+v", r)
	}
}

// TestPipelinedWhileFlushing has requests behind a produce that waits for the disk read and appended all the same: they
// share its flush.
func TestPipelinedWhileFlushing(t *testing.T) {
	var d disk
	b := open(t, broker.WithSync(testConfig(t), d.sync))
	t.Cleanup(d.release)
	makeTopic(t, b, "flows")
	c := rawDial(t, b)
	d.hold()
	var reqs []kmsg.Request
	for range 10 {
		req := produceRequest(9, -1, "flows", 0, goodBatch(1, 10))
		reqs = append(reqs, req)
		c.send(req)
	}
	eventually(t, "all are appended", func() bool { return b.Stats().Topics[0].MessagesIn == 10 })
	c.silent("acks=all")
	d.release()
	for i, req := range reqs {
		if r := c.receive(req, int32(i+1)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; r.ErrorCode != 0 || r.BaseOffset != int64(i) {
			t.Errorf("request %d: %+v", i, r)
		}
	}
}

// TestCommitWaits has a commit and an assignment wait for the disk too.
func TestCommitWaits(t *testing.T) {
	var d disk
	b := open(t, broker.WithSync(testConfig(t), d.sync))
	t.Cleanup(d.release)
	makeTopic(t, b, "flows")
	g := rawGroup{rawDial(t, b), "g"}
	if code := g.commit(-1, "", nil, 1); code != 0 {
		t.Fatalf("commit: error %d", code)
	}
	d.hold()
	done := make(chan int16, 1)
	second := rawGroup{rawDial(t, b), "g"}
	go func() { done <- second.commit(-1, "", nil, 2) }()
	eventually(t, "the disk is asked", func() bool { return d.asking.Load() > 0 })
	if got := g.committed(); got != 1 {
		t.Errorf("offset %d is told before the disk has it", got)
	}
	select {
	case code := <-done:
		t.Errorf("the commit is answered before the disk has it: error %d", code)
	default:
	}
	d.release()
	if code := <-done; code != 0 {
		t.Errorf("commit: error %d", code)
	}
	if got := g.committed(); got != 2 {
		t.Errorf("offset %d after the commit", got)
	}
}

// TestDiskFails has a sync fail: what waited for it is told, nothing more is written, what is there can be read.
func TestDiskFails(t *testing.T) {
	var d disk
	b, err := broker.Open(broker.WithSync(testConfig(t), d.sync))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() // it says that the disk failed
	id := makeTopic(t, b, "flows")
	c := rawDial(t, b)
	c.request(produceRequest(9, -1, "flows", 0, goodBatch(2, 10)))
	d.fails.Store(true)
	if r := c.request(produceRequest(9, -1, "flows", 0, goodBatch(1, 10))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; r.ErrorCode != 56 || r.BaseOffset != -1 {
		t.Errorf("the produce whose sync failed: %+v", r)
	}
	d.fails.Store(false)
	if r := c.request(produceRequest(9, 1, "flows", 0, goodBatch(1, 10))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; r.ErrorCode != 56 {
		t.Errorf("one after it: %+v", r)
	}
	if r := c.request(fetchRequest(12, "flows", id, 0, 0, 1, 0)).(*kmsg.FetchResponse).Topics[0].Partitions[0]; r.ErrorCode != 0 || r.HighWatermark != 2 || len(r.RecordBatches) == 0 {
		t.Errorf("a fetch after it: %+v", r)
	}
	if !b.Stats().Offline || b.Err() == nil {
		t.Error("the broker does not say that it is offline")
	}
}

// TestFetchBytes fetches what was produced: by sendfile, from a disk and from a file system in memory, and, from a file
// that is none of the kernel's, through a buffer.
func TestFetchBytes(t *testing.T) {
	configs := map[string]broker.Config{
		"sendfile": testConfig(t),
		"copy":     broker.WithSync(testConfig(t), func() error { return nil }),
	}
	if dir, err := os.MkdirTemp("/dev/shm", "fetch"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		memory := testConfig(t)
		memory.DataDir = dir
		configs["memory"] = memory
	} else {
		t.Logf("without a file system in memory: %v", err)
	}
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			cfg.MaxMessageBytes = 8 << 20
			b := open(t, cfg)
			id := makeTopic(t, b, "flows")
			p, c := rawDial(t, b), rawDial(t, b)
			offset := int64(0)
			for _, size := range []int{10, 20_000, 300_000, 5 << 20} {
				batch := goodBatch(1, size)
				p.request(produceRequest(9, -1, "flows", 0, batch))
				for version := int16(4); version <= 18; version++ {
					req := fetchRequest(version, "flows", id, 0, offset, 1, 0)
					req.MaxBytes, req.Topics[0].Partitions[0].PartitionMaxBytes = 50<<20, 50<<20
					r := c.request(req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
					const unset = 16 // what the log sets lies before: base offset, length, leader epoch
					if len(r.RecordBatches) != len(batch) || !bytes.Equal(r.RecordBatches[unset:], batch[unset:]) {
						t.Fatalf("v%d: %d bytes came of %d, or others", version, len(r.RecordBatches), len(batch))
					}
				}
				offset++
			}
		})
	}
}
