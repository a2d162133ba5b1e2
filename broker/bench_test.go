package broker_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/tributary-net/tributary/broker"
)

// benchBroker is a broker that answers from the page cache, and a connection to it.
func benchBroker(b *testing.B) (*broker.Broker, *rawConn) {
	cfg := testConfig(b)
	cfg.Durability = broker.PageCache
	cfg.RetentionBytes = 256 << 20
	cfg.SegmentBytes = 64 << 20
	br := open(b, cfg)
	makeTopic(b, br, "flows")
	return br, &rawConn{Conn: mustDial(b, br), t: b}
}

func BenchmarkProduce(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			_, c := benchBroker(b)
			_ = c.SetDeadline(time.Time{})
			frame := c.frame(produceRequest(9, -1, "flows", 0, goodBatch(size/1100, 1024)))
			answer := make([]byte, 256)
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				c.write(frame)
				n := readAnswer(b, c, answer)
				if n > len(answer) {
					b.Fatal(n)
				}
			}
		})
	}
}

func BenchmarkFetch(b *testing.B) {
	for _, size := range []int{16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			_, c := benchBroker(b)
			_ = c.SetDeadline(time.Time{})
			batch := goodBatch(15, 1024)
			for range (1 << 20) / len(batch) {
				c.request(produceRequest(9, -1, "flows", 0, batch))
			}
			req := fetchRequest(12, "flows", [16]byte{}, 0, 0, 1, 0)
			req.Topics[0].Partitions[0].PartitionMaxBytes = int32(size)
			frame := c.frame(req)
			answer := make([]byte, 2<<20)
			c.write(frame)
			b.SetBytes(int64(readAnswer(b, c, answer)))
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				c.write(frame)
				readAnswer(b, c, answer)
			}
		})
	}
}

// readAnswer reads one frame into buf.
func readAnswer(b *testing.B, c *rawConn, buf []byte) int {
	if _, err := io.ReadFull(c, buf[:4]); err != nil {
		b.Fatal(err)
	}
	n := int(binary.BigEndian.Uint32(buf))
	if _, err := io.ReadFull(c, buf[:n]); err != nil {
		b.Fatal(err)
	}
	return n
}
