package broker_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// BenchmarkThousand says what a broker in a process of its own takes for a thousand partitions, then a thousand connections,
// then a fetch that waits on each of them, of ten partitions in a session: memory for one, and CPU time while nothing happens.
// One round is a second of idling. It reads /proc.
func BenchmarkThousand(b *testing.B) {
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		b.Skip("there is no /proc")
	}
	const n = 1000
	c := startChild(b, b.TempDir())
	dial := func() *rawConn {
		nc, err := net.Dial("tcp", c.addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { nc.Close() })
		return &rawConn{Conn: nc, t: b}
	}
	admin := dial()
	last := c.resident(b)
	measured := map[string]float64{"MB/start": float64(last) / (1 << 20)}
	per := func(unit string) {
		now := c.resident(b)
		measured["KB/"+unit] = float64(now-last) / n / 1024
		last = now
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.SetVersion(7)
	create.TimeoutMillis = 60_000
	for i := range n / 10 {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = fmt.Sprint("t", i), 10, 1
		create.Topics = append(create.Topics, rt)
	}
	for _, rt := range admin.request(create).(*kmsg.CreateTopicsResponse).Topics {
		if rt.ErrorCode != 0 {
			b.Fatal(rt.Topic, rt.ErrorCode)
		}
	}
	per("partition")
	conns := make([]*fetcher, n)
	for i := range conns {
		conns[i] = newFetcher(dial(), 12)
		conns[i].request(kmsg.NewPtrApiVersionsRequest())
	}
	per("connection")
	var waiting *kmsg.FetchRequest
	for i, f := range conns {
		var want []at
		for p := range int32(10) {
			want = append(want, at{fmt.Sprint("t", i%(n/10)), p, 0})
		}
		f.fetch(want)
		f.wait = time.Hour
		waiting = f.next(nil)
		f.send(waiting)
	}
	time.Sleep(time.Second) // until the last of them waits
	per("poll")
	began := c.cpu(b)
	b.ResetTimer()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	measured["cpu-ms/s"] = float64(c.cpu(b)-began) / float64(time.Millisecond) / float64(b.N)
	for unit, v := range measured {
		b.ReportMetric(v, unit)
	}
	// And they do wait: each has an answer when there is one.
	admin.request(produceRequest(9, -1, fmt.Sprint("t", n/10-1), 3, goodBatch(1, 10)))
	f := conns[n-1]
	f.checkTold("what came", f.receive(waiting, f.correlation).(*kmsg.FetchResponse), fmt.Sprintf("t%d-3:0+", n/10-1))
}

// resident is the memory a child takes, in bytes, its files and code not counted.
func (c *child) resident(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("RssAnon:"))
	fields := bytes.Fields(rest)
	if len(fields) < 2 {
		b.Fatalf("no RssAnon in %q", text)
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n << 10
}

// cpu is the CPU time a child has used, in ticks of 10 ms.
func (c *child) cpu(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	fields := bytes.Fields(rest)
	total := int64(0)
	for _, f := range fields[11:13] { // utime and stime, proc(5)
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		total += n
	}
	return time.Duration(total) * 10 * time.Millisecond
}
