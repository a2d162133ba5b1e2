package broker_test

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// openLarge returns a broker whose topic flows has more in its first partition than sockets hold, and its bytes.
func openLarge(t *testing.T) (b *broker.Broker, log []byte) {
	b = open(t, testConfig(t))
	makeTopic(t, b, "flows")
	c := rawDial(t, b)
	for range 16 {
		resp := c.request(produceRequest(9, -1, "flows", 0, goodBatch(1, 900_000))).(*kmsg.ProduceResponse)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 {
			t.Fatalf("produce: error %d", p.ErrorCode)
		}
	}
	return b, wholeLog(t, c, 0)
}

// largeFetch asks for all of it.
func largeFetch() *kmsg.FetchRequest {
	req := fetchRequest(11, "flows", [16]byte{}, 0, 0, 1, time.Minute)
	req.MaxBytes = 32 << 20
	req.Topics[0].Partitions[0].PartitionMaxBytes = 32 << 20
	return req
}

// smallWindow makes a connection's own buffer small, so that it is full soon.
func smallWindow(t *testing.T, c *rawConn) {
	t.Helper()
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
}

// TestAnswerWaitsForPeer: while a peer does not take the answer to a fetch, its further requests are served; then all that
// was asked for comes, in order.
func TestAnswerWaitsForPeer(t *testing.T) {
	b, log := openLarge(t)
	c := rawDial(t, b)
	smallWindow(t, c)
	fetch := largeFetch()
	c.send(fetch)
	more := produceRequest(9, -1, "flows", 1, goodBatch(1, 300_000))
	wrote := make(chan error, 1)
	frame := c.frame(more)
	go func() {
		_, err := c.Write(frame)
		wrote <- err
	}()
	other := rawDial(t, b)
	seen := other.request(fetchRequest(11, "flows", [16]byte{}, 1, 0, 1, time.Minute)).(*kmsg.FetchResponse)
	if p := seen.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.HighWatermark != 1 {
		t.Errorf("what was produced behind a fetch is not there: error %d, high watermark %d", p.ErrorCode, p.HighWatermark)
	}
	got := c.receive(fetch, 1).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if got.ErrorCode != 0 || !bytes.Equal(got.RecordBatches, log) {
		t.Errorf("error %d, %d octets; the log has %d", got.ErrorCode, len(got.RecordBatches), len(log))
	}
	if p := c.receive(more, 2).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != 0 {
		t.Errorf("produce: %+v", p)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// TestPeerLeavesAnswer: a peer that goes in the middle of an answer leaves no connection behind.
func TestPeerLeavesAnswer(t *testing.T) {
	b, _ := openLarge(t)
	before := b.Stats().Connections
	for range 3 {
		c := rawDial(t, b)
		smallWindow(t, c)
		c.send(largeFetch())
		if _, err := c.Read(make([]byte, 1)); err != nil { // it has begun
			t.Fatal(err)
		}
		if err := errors.Join(c.Conn.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for began := time.Now(); b.Stats().Connections > before; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("%d connections are open, %d were before", b.Stats().Connections, before)
		}
	}
}
