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

// thousand is a broker in a process of its own with a thousand partitions, then a thousand connections, then a fetch that waits on
// each of them, of ten partitions in a session.
type thousand struct {
	*child
	admin   *rawConn
	start   int64              // memory at the start, in bytes
	per     map[string]float64 // memory of one partition, connection, poll, in bytes
	last    *fetcher
	waiting *kmsg.FetchRequest // what the last one waits for
}

const thousandParts = 1000

// startThousand does it. settled waits until nothing happens any more, before memory is looked at. It reads /proc.
func startThousand(tb testing.TB, settled func(c *child)) *thousand {
	tb.Helper()
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		tb.Skip("there is no /proc")
	}
	const n = thousandParts
	m := &thousand{child: startChild(tb, tb.TempDir()), per: map[string]float64{}}
	dial := func() *rawConn {
		nc, err := net.Dial("tcp", m.addr)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { nc.Close() })
		return &rawConn{Conn: nc, t: tb}
	}
	m.admin = dial()
	m.start = m.resident(tb)
	last := m.start
	per := func(unit string) {
		now := m.resident(tb)
		m.per[unit] = float64(now-last) / n
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
	for _, rt := range m.admin.request(create).(*kmsg.CreateTopicsResponse).Topics {
		if rt.ErrorCode != 0 {
			tb.Fatal(rt.Topic, rt.ErrorCode)
		}
	}
	per("partition")
	conns := make([]*fetcher, n)
	for i := range conns {
		conns[i] = newFetcher(dial(), 12)
		conns[i].request(kmsg.NewPtrApiVersionsRequest())
	}
	per("connection")
	for i, f := range conns {
		var want []at
		for p := range int32(10) {
			want = append(want, at{fmt.Sprint("t", i%(n/10)), p, 0})
		}
		f.fetch(want)
		f.wait = time.Hour
		m.waiting = f.next(nil)
		f.send(m.waiting)
	}
	m.last = conns[n-1]
	settled(m.child)
	per("poll")
	return m
}

// answered checks that the fetches do wait: each has an answer when there is one.
func (m *thousand) answered() {
	topic := fmt.Sprint("t", thousandParts/10-1)
	m.admin.request(produceRequest(9, -1, topic, 3, goodBatch(1, 10)))
	m.last.checkTold("what came", m.last.receive(m.waiting, m.last.correlation).(*kmsg.FetchResponse), topic+"-3:0+")
}

// A thousand partitions, connections and fetches that wait take little memory, and the fetches no CPU time: there is a second in
// which the broker uses none to speak of. Looking ten times a second each, they used 60 ms and more in every one.
func TestThousand(t *testing.T) {
	m := startThousand(t, func(c *child) {
		eventually(t, "a second without work", func() bool {
			before := c.cpu(t)
			time.Sleep(time.Second) // what is measured, not waited for
			return c.cpu(t)-before <= 20*time.Millisecond
		})
	})
	m.answered()
	if raceEnabled {
		return // it multiplies memory
	}
	// Eight times what docs/performance.md has.
	for unit, most := range map[string]float64{"partition": 48 << 10, "connection": 128 << 10, "poll": 136 << 10} {
		if m.per[unit] > most {
			t.Errorf("a %s takes %.0f bytes, want at most %.0f", unit, m.per[unit], most)
		}
	}
}

// BenchmarkThousand says what a thousand partitions, connections and waiting fetches take: memory for one, and CPU time while
// nothing happens. One round is a second of idling.
func BenchmarkThousand(b *testing.B) {
	m := startThousand(b, func(*child) { time.Sleep(time.Second) }) // until the last of them waits
	measured := map[string]float64{"MB/start": float64(m.start) / (1 << 20)}
	for unit, v := range m.per {
		measured["KB/"+unit] = v / 1024
	}
	began := m.cpu(b)
	b.ResetTimer()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	measured["cpu-ms/s"] = float64(m.cpu(b)-began) / float64(time.Millisecond) / float64(b.N)
	for unit, v := range measured {
		b.ReportMetric(v, unit)
	}
	m.answered()
}

// resident is the memory a child takes, in bytes, its files and code not counted.
func (c *child) resident(b testing.TB) int64 {
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
func (c *child) cpu(b testing.TB) time.Duration {
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
