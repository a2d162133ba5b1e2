package broker_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// FuzzFrame writes random bytes, framed and as they are, to a broker: they may end their own connection, and nothing else.
func FuzzFrame(f *testing.F) {
	for key := int16(0); key <= 92; key++ {
		req := kmsg.RequestForKey(key)
		if req == nil {
			continue
		}
		for version := int16(0); version <= req.MaxVersion(); version++ {
			req.SetVersion(version)
			f.Add(kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz")).AppendRequest(nil, req, 1)[4:], true)
		}
	}
	f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, produceRequest(9, -1, "flows", 0, goodBatch(2, 10)), 1)[4:], true)
	f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, fetchRequest(12, "flows", [16]byte{}, 0, 0, 1, 0), 1)[4:], true)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), false)
	cfg := testConfig(f)
	cfg.MaxRequestBytes, cfg.MaxMessageBytes = 1<<20, 1<<20
	cfg.MaxPartitions, cfg.MaxGroups = 40, 100
	cfg.Durability = broker.PageCache
	whole := open(f, cfg)
	makeTopic(f, whole, "flows")
	cfg.DataDir, cfg.Listen = f.TempDir(), ""
	streams := open(f, broker.WithStreams(cfg, 1))
	var once sync.Mutex
	try := func(t *testing.T, b *broker.Broker, data []byte) {
		nc, err := b.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if err := nc.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(data); err == nil {
			_ = nc.(*net.UnixConn).CloseWrite()
		}
		// Whatever the broker makes of it, it comes to an end.
		if _, err := io.Copy(io.Discard, nc); err != nil && isTimeout(err) {
			t.Fatalf("the connection hangs after %x", data)
		}
		if s := b.Stats(); s.Panics != 0 {
			t.Fatalf("panic after %x", data)
		}
		c := &rawConn{Conn: mustDial(t, b), t: t}
		if resp := c.request(kmsg.NewPtrApiVersionsRequest()).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 0 {
			t.Fatal("another connection does not go on")
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, framed bool) {
		once.Lock() // the panics counted are this input's
		defer once.Unlock()
		if framed {
			data = append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
		}
		try(t, whole, data)
		try(t, streams, data)
	})
}

func isTimeout(err error) bool {
	nerr, ok := err.(net.Error)
	return ok && nerr.Timeout()
}

func mustDial(t testing.TB, b *broker.Broker) net.Conn {
	t.Helper()
	nc, err := b.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * time.Minute))
	return nc
}

// TestFrameMemory sends frames that claim much and bring little: what the broker holds follows what they bring.
func TestFrameMemory(t *testing.T) {
	b := open(t, testConfig(t))
	var conns []*rawConn
	for range 50 {
		c := rawDial(t, b)
		c.write(append(binary.BigEndian.AppendUint32(nil, 100<<20), bytes.Repeat([]byte{1}, 1000)...))
		conns = append(conns, c)
	}
	eventually(t, "all frames have begun", func() bool { return b.Stats().InFlightBytes >= 50*64<<10 })
	if n := b.Stats().InFlightBytes; n > 8<<20 {
		t.Errorf("%d bytes are held for 50 frames that brought 50 KB and claimed 5 GB", n)
	}
	for _, c := range conns {
		c.Close()
	}
	eventually(t, "all is given back", func() bool { return b.Stats().InFlightBytes == 0 })
}
