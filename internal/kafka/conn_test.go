package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/quiet"
)

// patience is how long a test waits for what has to come.
const patience = 2 * time.Minute

// TestProduceEncoding: in every version, the pieces of a request are together what kmsg
// makes of it, and the batches among them are where they were.
func TestProduceEncoding(t *testing.T) {
	for version := int16(produceLeast); version <= produceMost; version++ {
		for _, sizes := range [][]int{{1}, {200, 0, 70_000}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}} {
			req := produceRequest{topic: "flows", acks: -1, timeout: 30 * time.Second}
			want := kmsg.NewPtrProduceRequest()
			want.Version, want.Acks, want.TimeoutMillis = version, -1, 30_000
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic = "flows"
			for i, n := range sizes {
				records := bytes.Repeat([]byte{byte(i + 1)}, n)
				req.batches = append(req.batches, partitionBatch{int32(i), records})
				p := kmsg.NewProduceRequestTopicPartition()
				p.Partition, p.Records = int32(i), records
				topic.Partitions = append(topic.Partitions, p)
			}
			want.Topics = append(want.Topics, topic)
			c := &conn{access: access{id: "me"}}
			for range 2 { // memory of the first is used again
				c.encode(&req, version)
			}
			got := bytes.Join(c.pieces, nil)
			if w := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, want, 2); !bytes.Equal(got, w) {
				t.Errorf("version %d, batches of %v octets:\n%x\nwant\n%x", version, sizes, got, w)
			}
			for i, b := range req.batches {
				if n := len(b.records); n > 0 && &c.pieces[2*i+1][0] != &b.records[0] {
					t.Errorf("version %d: batch %d is copied", version, i)
				}
			}
		}
	}
}

// peer plays a broker that knows two requests.
type peer struct {
	net.Conn
	versions func(version int16) *kmsg.ApiVersionsResponse // nil: as a broker of today
}

// listen calls serve for every connection.
func listen(t *testing.T, serve func(p *peer)) kgo.BrokerMetadata {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	t.Cleanup(func() { l.Close(); done.Wait() })
	done.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				serve(&peer{Conn: nc})
				nc.Close()
			})
		}
	})
	host, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	return kgo.BrokerMetadata{NodeID: 1, Host: host, Port: int32(n)}
}

// request reads a request; nil: there is none any more.
func (p *peer) request() (key, version int16, correlation int32, body []byte) {
	var head [14]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		return -1, 0, 0, nil
	}
	be := binary.BigEndian
	body = make([]byte, int(be.Uint32(head[:]))-10)
	if _, err := io.ReadFull(p, body); err != nil {
		return -1, 0, 0, nil
	}
	return int16(be.Uint16(head[4:])), int16(be.Uint16(head[6:])), int32(be.Uint32(head[8:])), body[be.Uint16(head[12:]):]
}

// answer frames an answer.
func answer(correlation int32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, uint32(correlation))
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// knows are the versions of a broker of today.
func knows(version int16) *kmsg.ApiVersionsResponse {
	r := kmsg.NewPtrApiVersionsResponse()
	r.Version = version
	r.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 0, MinVersion: 3, MaxVersion: 13}, {ApiKey: 18, MaxVersion: 4}}
	return r
}

// greet answers questions for versions until something else comes, which it returns.
func (p *peer) greet() (version int16, correlation int32, body []byte) {
	for {
		key, version, correlation, body := p.request()
		if key != 18 {
			return version, correlation, body
		}
		versions := p.versions
		if versions == nil {
			versions = knows
		}
		if _, err := p.Write(answer(correlation, versions(version).AppendTo(nil))); err != nil {
			return 0, 0, nil
		}
	}
}

// accepts is the answer that a batch for partition 0 of topic t is in the log.
func accepts(version int16) []byte {
	r := kmsg.NewPtrProduceResponse()
	r.Version = version
	topic := kmsg.NewProduceResponseTopic()
	topic.Topic = "t"
	topic.Partitions = append(topic.Partitions, kmsg.NewProduceResponseTopicPartition())
	r.Topics = append(r.Topics, topic)
	return r.AppendTo(nil)
}

// to connects to a peer.
func to(t *testing.T, at kgo.BrokerMetadata, timeout time.Duration, h ...kgo.Hook) (*conn, error) {
	t.Helper()
	a, err := Endpoint{Brokers: []string{"unused:1"}}.access(ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := connect(t.Context(), at, a, timeout, h)
	if err == nil {
		t.Cleanup(c.close)
	}
	return c, err
}

// TestConnCarries: a request of many pieces, more than any socket buffer holds, and the
// answer to it; what is counted of both.
func TestConnCarries(t *testing.T) {
	records := make([]byte, 24<<20)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range records {
		records[i] = byte(r.Uint32())
	}
	req := &produceRequest{topic: "t", acks: -1, timeout: time.Minute}
	for from, i := 0, int32(0); from < len(records); i++ {
		n := min(len(records)-from, 1+r.IntN(1<<20))
		req.batches = append(req.batches, partitionBatch{i, records[from : from+n]})
		from += n
	}
	got := make(chan []byte, 1)
	at := listen(t, func(p *peer) {
		version, correlation, body := p.greet()
		if body == nil {
			t.Error("no request")
			return
		}
		sent := kmsg.NewPtrProduceRequest()
		sent.Version = version
		var all []byte
		if err := sent.ReadFrom(body); err != nil {
			t.Error(err)
			return
		}
		for _, b := range sent.Topics[0].Partitions {
			all = append(all, b.Records...)
		}
		got <- all
		// In pieces, too.
		for _, b := range answer(correlation, accepts(version)) {
			_, _ = p.Write([]byte{b})
		}
		_, _ = p.Read(make([]byte, 1))
	})
	var m ClientMetrics
	c, err := to(t, at, patience, &m)
	if err != nil {
		t.Fatal(err)
	}
	before := m.Stats()
	answer, sent, err := c.send(t.Context(), req)
	if err != nil || !sent || answer.Version != produceMost || said(answer, "t", 0) != 0 {
		t.Fatalf("sent %v, answer %+v, %v", sent, answer, err)
	}
	if !bytes.Equal(<-got, records) {
		t.Error("something else arrived")
	}
	if said(answer, "t", 1) != kerr.NetworkException.Code || said(answer, "u", 0) != kerr.NetworkException.Code {
		t.Error("an answer is found that is not there")
	}
	s := m.Stats()
	if n := s.BytesOut - before.BytesOut; n < uint64(len(records)) || n > uint64(len(records)+1000) || s.BytesIn <= before.BytesIn ||
		s.Connections != 1 || s.ConnectionsOpened != 1 || s.Requests[ProduceRequests].Count != 1 || s.Requests[ProduceRequests].Time <= 0 {
		t.Errorf("counted %+v", s)
	}
	c.close()
	if s := m.Stats(); s.Connections != 0 || s.ConnectionsClosed != 1 {
		t.Errorf("counted %+v", s)
	}
}

// TestConnTroubles: what a peer may do instead of answering a request, what error that
// is, and whether the broker may know the request.
func TestConnTroubles(t *testing.T) {
	small := produceRequest{topic: "t", acks: -1, batches: []partitionBatch{{0, []byte("records")}}}
	large := small
	large.batches = []partitionBatch{{0, make([]byte, 64<<20)}} // more than any socket's buffer takes
	raw := func(say func(version int16, correlation int32) []byte) func(p *peer) {
		return func(p *peer) {
			version, correlation, _ := p.greet()
			_, _ = p.Write(say(version, correlation))
			_, _ = io.Copy(io.Discard, p)
		}
	}
	right := func(version int16, correlation int32) []byte { return answer(correlation, accepts(version)) }
	for _, c := range []struct {
		name    string
		request *produceRequest
		serve   func(p *peer)
		timeout time.Duration
		err     error // nil: none
	}{
		{"an answer", &small, raw(right), patience, nil},
		{"two answers", &small, raw(func(v int16, id int32) []byte { return append(right(v, id), right(v, id)...) }), patience, errNonsense},
		{"the answer to something else", &small, raw(func(v int16, id int32) []byte { return right(v, id+1) }), patience, errNonsense},
		{"an answer of no size", &small, raw(func(int16, int32) []byte { return make([]byte, 4) }), patience, errNonsense},
		{"an answer of 2 GB", &small, raw(func(int16, int32) []byte { return []byte{0x7f, 0xff, 0xff, 0xff} }), patience, errNonsense},
		{"a size below zero", &small, raw(func(int16, int32) []byte { return []byte{0xff, 0xff, 0xff, 0xf0} }), patience, errNonsense},
		{"another protocol", &small, raw(func(int16, int32) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }), patience, errNonsense},
		{"an empty answer", &small, raw(func(_ int16, id int32) []byte { return answer(id, nil) }), patience, errNonsense},
		{"an answer that ends early", &small, raw(func(v int16, id int32) []byte { return answer(id, accepts(v)[:9]) }), patience, errNonsense},
		{"two billion topics", &small, raw(func(_ int16, id int32) []byte { return answer(id, []byte{0x7f, 0xff, 0xff, 0xff}) }), patience, errNonsense},
		{"it hangs up", &small, func(p *peer) { p.greet() }, patience, io.EOF},
		{"it hangs up in the middle", &small, func(p *peer) {
			version, correlation, _ := p.greet()
			_, _ = p.Write(right(version, correlation)[:7])
		}, patience, io.ErrUnexpectedEOF},
		{"no answer", &small, raw(func(int16, int32) []byte { return nil }), 100 * time.Millisecond, os.ErrDeadlineExceeded},
		{"half an answer", &small, raw(func(v int16, id int32) []byte { return right(v, id)[:7] }), 100 * time.Millisecond, os.ErrDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := listen(t, c.serve)
			answer, sent, err := sendWithin(t, at, c.timeout, c.request)
			if !sent || !errors.Is(err, c.err) || (err == nil) != (answer != nil) {
				t.Errorf("sent %v, answer %v, error %v", sent, answer, err)
			}
		})
	}
	t.Run("it does not read", func(t *testing.T) {
		over := make(chan struct{})
		at := listen(t, func(p *peer) {
			_, _, correlation, _ := p.request()
			_, _ = p.Write(answer(correlation, knows(3).AppendTo(nil)))
			<-over
		})
		if _, sent, err := sendWithin(t, at, 100*time.Millisecond, &large); !sent || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("sent %v, error %v", sent, err)
		}
		close(over)
	})
}

// lastExchange is what was told last of a request and its answer.
type lastExchange struct{ kgo.BrokerE2E }

func (l *lastExchange) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) { l.BrokerE2E = e }

// TestConnClosed: over a connection that is closed on this side nothing goes, and that is
// no exchange that went well.
func TestConnClosed(t *testing.T) {
	var last lastExchange
	c, err := to(t, listen(t, func(p *peer) { p.greet() }), patience, &last)
	if err != nil {
		t.Fatal(err)
	}
	if last.Err() != nil || last.BytesRead == 0 {
		t.Errorf("told of the first exchange: %+v", last)
	}
	c.nc.Close()
	_, sent, err := c.send(t.Context(), &produceRequest{topic: "t", acks: -1, batches: []partitionBatch{{0, []byte("records")}}})
	if sent || !errors.Is(err, net.ErrClosed) || !errors.Is(last.Err(), net.ErrClosed) || last.BytesWritten != 0 {
		t.Errorf("sent %v, error %v, told %+v", sent, err, last)
	}
}

// sendWithin connects and sends a request that gets so much time. Where this was not
// enough to begin with, it gets more.
func sendWithin(t *testing.T, at kgo.BrokerMetadata, timeout time.Duration, req *produceRequest) (answer *kmsg.ProduceResponse, sent bool, err error) {
	t.Helper()
	for ; ; timeout *= 2 {
		c, err := to(t, at, patience)
		if err != nil {
			t.Fatal(err)
		}
		c.timeout = timeout
		answer, sent, err = c.send(t.Context(), req)
		c.close()
		if sent || timeout > patience || !errors.Is(err, os.ErrDeadlineExceeded) {
			return answer, sent, err
		}
	}
}

// TestConnVersions: brokers that do not know the first question, and those that do not
// know a request that is understood here.
func TestConnVersions(t *testing.T) {
	key := func(key, least, most int16) kmsg.ApiVersionsResponseApiKey {
		return kmsg.ApiVersionsResponseApiKey{ApiKey: key, MinVersion: least, MaxVersion: most}
	}
	old := func(keys ...kmsg.ApiVersionsResponseApiKey) func(int16) *kmsg.ApiVersionsResponse {
		return func(version int16) *kmsg.ApiVersionsResponse {
			r := kmsg.NewPtrApiVersionsResponse()
			if version > 0 {
				r.ErrorCode = kerr.UnsupportedVersion.Code
			} else {
				r.ApiKeys = keys
			}
			return r
		}
	}
	for _, c := range []struct {
		name     string
		versions func(int16) *kmsg.ApiVersionsResponse
		want     int16 // of the produce request; below 0: there is none
	}{
		{"a broker of today", knows, produceMost},
		{"a broker of 2017, which tells nothing at first", old(key(0, 0, 3), key(18, 0, 1)), 3},
		{"a broker of 2018", old(key(0, 0, 7), key(18, 0, 2)), 7},
		{"a broker that tells all at once", func(int16) *kmsg.ApiVersionsResponse {
			r := knows(0)
			r.ErrorCode = kerr.UnsupportedVersion.Code
			return r
		}, produceMost},
		{"a broker of 2016", old(key(0, 0, 2), key(18, 0, 0)), -1},
		{"a broker of the future", old(key(0, 13, 14), key(18, 0, 0)), -1},
		{"something that nobody produces to", old(key(18, 0, 0)), -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := make(chan int16, 1)
			at := listen(t, func(p *peer) {
				p.versions = c.versions
				if version, correlation, body := p.greet(); body != nil {
					asked <- version
					_, _ = p.Write(answer(correlation, accepts(version)))
					_, _ = io.Copy(io.Discard, p)
				}
			})
			conn, err := to(t, at, patience)
			if err != nil {
				t.Fatal(err)
			}
			_, sent, err := conn.send(t.Context(), &produceRequest{topic: "t", acks: -1, batches: []partitionBatch{{0, []byte("records")}}})
			conn.close()
			switch {
			case c.want < 0 && (sent || !errors.Is(err, errWrongVersions)):
				t.Errorf("sent %v, error %v", sent, err)
			case c.want >= 0 && err != nil:
				t.Error(err)
			case c.want >= 0:
				if version := <-asked; version != c.want {
					t.Errorf("version %d, want %d", version, c.want)
				}
			}
		})
	}
	t.Run("what hangs up", func(t *testing.T) {
		at := listen(t, func(p *peer) { p.request() })
		_, err := to(t, at, patience)
		if e := (Endpoint{Brokers: []string{"k"}}).Explain(err); !errors.Is(err, errClosedAtOnce) || !strings.Contains(e.Error(), "as if it wanted TLS") {
			t.Errorf("%v: %v", err, e)
		}
	})
}

// TestSenderConnections: the connection of a sender is opened again when the broker has
// closed it, when it has waited for too long, and where the broker is after it has
// moved; nothing that has not left is in doubt. acks=0 waits for no answer.
func TestSenderConnections(t *testing.T) {
	for _, acks := range []string{"all", "0"} {
		t.Run("acks="+acks, func(t *testing.T) { senderConnections(t, acks) })
	}
}

func senderConnections(t *testing.T, acks string) {
	served := make(chan string, 100) // by whom a batch was taken, or that a connection was closed
	hangUp := make(chan struct{})
	serve := func(name string) func(p *peer) {
		return func(p *peer) {
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				select {
				case <-hangUp:
					p.Close()
				case <-stop:
				}
			}()
			for {
				version, correlation, body := p.greet()
				if body == nil {
					served <- name + " closed"
					return
				}
				served <- name
				if acks != "0" {
					_, _ = p.Write(answer(correlation, accepts(version)))
				}
			}
		}
	}
	delivered := make(chan uint64, 10)
	var m ClientMetrics
	p, err := NewProducer(Endpoint{Brokers: []string{"seed:1"}, Properties: Properties{"linger.ms": "0", "acks": acks, "retry.backoff.ms": "1"}}, ProducerConfig{
		Topic: "t", QueueBytes: 64 << 20,
		Client: ClientConfig{Dial: func(ctx context.Context, network, host string) (net.Conn, error) {
			if strings.HasPrefix(host, "seed") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			var d net.Dialer
			nc, err := d.DialContext(ctx, network, host)
			return nc, err
		}},
		Delivered: func(n uint64) { delivered <- n },
		Refused:   func(uint64) { t.Error("refused") },
		Hooks:     []kgo.Hook{&m},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	first, second := listen(t, serve("first")), listen(t, serve("second"))
	p.mu.Lock()
	p.current = identity{7, 0}
	pt := newPartition(0)
	pt.leader = 1
	p.partitions = append(p.partitions, pt)
	p.brokers[1] = first
	p.known.Store(1)
	p.mu.Unlock()
	a := p.Appender()
	one := func(want string) {
		t.Helper()
		a.Append([]Record{{Milliseconds: 1_700_000_000_000, Value: []byte("value"), Flows: 1}})
		deadline := time.After(patience)
		for got := ""; got != want; {
			select {
			case got = <-served:
			case <-deadline:
				t.Fatalf("%s takes nothing", want)
			}
		}
		select {
		case <-delivered:
		case <-deadline:
			t.Fatal("not delivered")
		}
	}
	opened := func(want uint64) {
		t.Helper()
		if s := m.Stats(); s.ConnectionsOpened != want {
			t.Errorf("%d connections were opened, want %d", s.ConnectionsOpened, want)
		}
	}
	one("first")
	one("first")
	opened(1)
	p.mu.Lock()
	s := p.senders[1]
	p.mu.Unlock()

	// The broker hangs up; that it has must have reached this side.
	hangUp <- struct{}{}
	for begin := time.Now(); !quiet.Closed(s.conn.nc); time.Sleep(time.Millisecond) { // the sender waits to be woken
		if time.Since(begin) > patience {
			t.Fatal("it is not noticed that the broker has closed the connection")
		}
	}
	one("first")
	opened(2)

	p.mu.Lock()
	p.brokers[1] = second
	p.mu.Unlock()
	one("second")
	opened(3)
	if s := m.Stats(); s.Connections != 1 || s.ConnectionsClosed != 2 || p.Stats().Retries != 0 || p.Stats().Requests != 4 {
		t.Errorf("%+v, %+v", s, p.Stats())
	}
	p.Close()
	if s := m.Stats(); s.Connections != 0 {
		t.Errorf("%d connections are left open", s.Connections)
	}
}

// FuzzAnswer: whatever a peer says ends in an answer or an error, and takes no more memory
// than it has sent.
func FuzzAnswer(f *testing.F) {
	f.Add(answer(0, accepts(8)), int16(8))
	f.Add(answer(0, accepts(3)), int16(3))
	f.Add([]byte{0, 0, 255, 255, 0, 0, 0, 0, 255}, int16(8))
	f.Add(answer(0, knows(3).AppendTo(nil)), int16(3))
	f.Add(answer(0, knows(0).AppendTo(nil)), int16(3))
	f.Add(answer(0, []byte("\x00\x00\x02\x00\x00\x00\x03\x00\x0d\xff\xff\xff\xff\x0f")), int16(3)) // four billion tags
	f.Fuzz(func(t *testing.T, said []byte, version int16) {
		c := &conn{nc: &saying{said: said}}
		body, n, err := c.read(exchange{key: kmsg.Produce})
		if len(c.answer) > max(4<<10, 2*len(said)+4) || n > len(said) {
			t.Fatalf("%d octets of memory for %d of %d", len(c.answer), n, len(said))
		}
		if err != nil {
			return
		}
		r := kmsg.NewPtrProduceResponse()
		r.Version = min(max(version, produceLeast), produceMost)
		if r.ReadFrom(body) == nil {
			_ = fmt.Sprint(len(r.Topics))
		}
		for _, flexible := range []bool{false, true} {
			if known, err := readVersions(body, flexible); err == nil && len(known)*6 > len(body) {
				t.Fatalf("%d requests in %d octets", len(known), len(body))
			}
		}
	})
}

// saying is a connection that has something to say, and then ends.
type saying struct {
	net.Conn
	said []byte
}

func (s *saying) Read(b []byte) (int, error) {
	if len(s.said) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.said)
	s.said = s.said[n:]
	return n, nil
}
