package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/quiet"
)

// conn is a connection to one broker for produce requests. One goroutine has it, which
// writes a request, reads the answer, and then writes the next: nothing is read ahead, and
// nothing but the answer is ever due.
type conn struct {
	nc      net.Conn
	broker  kgo.BrokerMetadata
	access  access
	timeout time.Duration // of a write, and of an answer
	hooks   hooks
	unwatch func() bool

	produce     versionRange
	login       versionRange // SaslAuthenticate
	expiry      time.Time    // when to authenticate again; zero: never
	correlation int32
	used        time.Time

	head   []byte   // of a request, and what is between its batches
	ends   []int    // of what is before each batch
	pieces [][]byte // of a request, as they are written
	answer []byte
}

// versionRange are the versions of a request that a broker knows.
type versionRange struct{ least, most int16 }

var unknownRange = versionRange{0, -1}

// pick returns the latest version between least and most that the broker knows, too.
func (r versionRange) pick(k kmsg.Key, least, most int16) (int16, error) {
	if most = min(most, r.most); most < max(least, r.least) {
		return 0, fmt.Errorf("%w: of %s it knows versions %d to %d", errWrongVersions, k.Name(), r.least, r.most)
	}
	return most, nil
}

var (
	errWrongVersions = errors.New("broker is too old or too new")
	errClosedAtOnce  = errors.New("connection was closed at once")
	// errNonsense is what an answer comes to that no broker would give.
	errNonsense = errors.New("answer is not understood")
)

// maxAnswer is how large an answer may be.
const maxAnswer = 16 << 20

// connect opens a connection and logs in. ctx ends it, too.
func connect(ctx context.Context, to kgo.BrokerMetadata, a access, timeout time.Duration, h hooks) (*conn, error) {
	begin := time.Now()
	c := &conn{broker: to, access: a, timeout: timeout, hooks: h, used: begin}
	err := c.open(ctx)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	h.connected(to, time.Since(begin), c.nc, err)
	if err != nil {
		if c.nc != nil {
			c.unwatch()
			_ = c.nc.Close()
		}
		return nil, err
	}
	return c, nil
}

func (c *conn) address() string {
	return net.JoinHostPort(c.broker.Host, strconv.Itoa(int(c.broker.Port)))
}

func (c *conn) open(ctx context.Context) (err error) {
	if c.nc, err = c.access.dial(ctx, "tcp", c.address()); err != nil {
		c.nc = nil
		return fmt.Errorf("dial %s: %w", c.address(), err)
	}
	nc := c.nc
	c.unwatch = context.AfterFunc(ctx, func() { _ = nc.Close() })
	if err := c.learnVersions(); err != nil {
		return err
	}
	if c.access.mechanism != nil {
		return c.authenticate(ctx)
	}
	return nil
}

// close closes a connection that was opened.
func (c *conn) close() {
	c.unwatch()
	_ = c.nc.Close()
	c.hooks.disconnected(c.broker, c.nc)
}

// ended reports whether nothing more should be sent: the broker has closed its side, or
// may be about to since nothing was sent for so long.
func (c *conn) ended(idle time.Duration) bool {
	return time.Since(c.used) > idle || quiet.Closed(c.nc)
}

// learnVersions asks what versions of requests the broker knows, and tells it what this
// program is (KIP-511). A broker that does not know the version of this very request
// answers with those that it knows, in version 0.
func (c *conn) learnVersions() error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = 3
	req.ClientSoftwareName, req.ClientSoftwareVersion = softwareName, c.access.version
	if c.access.version == "" {
		req.ClientSoftwareVersion = "0"
	}
	for {
		body, err := c.ask(req)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: %w", errClosedAtOnce, err)
		}
		if err != nil {
			return err
		}
		code := int16(0)
		if len(body) >= 2 {
			code = int16(binary.BigEndian.Uint16(body))
		}
		known, err := readVersions(body, req.Version >= 3 && code != kerr.UnsupportedVersion.Code)
		if err != nil {
			return err
		}
		if code == kerr.UnsupportedVersion.Code && len(known) <= 1 && req.Version > 0 {
			req.Version = 0
			continue
		}
		if err := kerr.ErrorForCode(code); err != nil && code != kerr.UnsupportedVersion.Code {
			return fmt.Errorf("ask for versions of requests: %w", err)
		}
		c.produce, c.login = unknownRange, unknownRange
		if r, ok := known[kmsg.Produce]; ok {
			c.produce = r
		}
		if r, ok := known[kmsg.SASLAuthenticate]; ok {
			c.login = r
		}
		return nil
	}
}

// readVersions reads what versions of requests a broker says that it knows. Of tagged
// fields kmsg believes any number, so this is not left to it.
func readVersions(body []byte, flexible bool) (map[kmsg.Key]versionRange, error) {
	r := kbin.Reader{Src: body}
	r.Int16() // error code
	n := int32(0)
	if flexible {
		n = r.CompactArrayLen()
	} else {
		n = r.ArrayLen()
	}
	known := make(map[kmsg.Key]versionRange)
	for ; n > 0 && r.Ok(); n-- {
		key := kmsg.Key(r.Int16())
		known[key] = versionRange{r.Int16(), r.Int16()}
		if !flexible {
			continue
		}
		for tags := r.Uvarint(); tags > 0 && r.Ok(); tags-- {
			r.Uvarint()
			r.Span(int(r.Uvarint()))
		}
	}
	if err := r.Complete(); err != nil {
		return nil, fmt.Errorf("%w: versions of requests: %w", errNonsense, err)
	}
	return known, nil
}

// authenticate logs in (KIP-43, KIP-152), for the first time or again (KIP-368).
func (c *conn) authenticate(ctx context.Context) error {
	shake := kmsg.NewPtrSASLHandshakeRequest()
	shake.Version, shake.Mechanism = 1, c.access.mechanism.Name()
	var shaken kmsg.SASLHandshakeResponse
	if err := c.request(shake, &shaken); err != nil {
		return err
	}
	if err := kerr.ErrorForCode(shaken.ErrorCode); err != nil {
		return fmt.Errorf("sasl.mechanism=%s, the broker has %v: %w", shake.Mechanism, shaken.SupportedMechanisms, err)
	}
	version, err := c.login.pick(kmsg.SASLAuthenticate, 0, 1) // 2 is flexible: see produceMost
	if err != nil {
		return err
	}
	session, say, err := c.access.mechanism.Authenticate(ctx, c.address())
	if err != nil {
		return err
	}
	asked, lifetime := time.Now(), time.Duration(0)
	for done := false; !done || len(say) > 0; {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.Version, req.SASLAuthBytes = version, say
		asked = time.Now()
		var resp kmsg.SASLAuthenticateResponse
		if err := c.request(req, &resp); err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			if resp.ErrorMessage != nil {
				err = fmt.Errorf("%w: %s", err, *resp.ErrorMessage)
			}
			return err
		}
		lifetime = time.Duration(min(resp.SessionLifetimeMillis, maxLifetime.Milliseconds())) * time.Millisecond
		if say = nil; done {
			break
		}
		if done, say, err = session.Challenge(resp.SASLAuthBytes); err != nil {
			return err
		}
	}
	c.expiry = time.Time{}
	if lifetime > 0 {
		c.expiry = asked.Add(lifetime - max(time.Second, lifetime/20))
	}
	return nil
}

// maxLifetime is for how long a session of SASL is taken to last at most.
const maxLifetime = 365 * 24 * time.Hour

// request sends a small request and reads the answer.
func (c *conn) request(req kmsg.Request, resp kmsg.Response) error {
	body, err := c.ask(req)
	if err != nil {
		return err
	}
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body); err != nil {
		return fmt.Errorf("%w: %s: %w", errNonsense, kmsg.NameForKey(req.Key()), err)
	}
	return nil
}

// ask sends a small request and returns the body of the answer.
func (c *conn) ask(req kmsg.Request) ([]byte, error) {
	c.begin(kmsg.Key(req.Key()), req.GetVersion(), req.IsFlexible())
	c.head = req.AppendTo(c.head)
	binary.BigEndian.PutUint32(c.head, uint32(len(c.head)-4))
	c.pieces = append(c.pieces[:0], c.head)
	_, body, err := c.exchange(exchange{key: kmsg.Key(req.Key()), answered: true, wait: c.timeout})
	return body, err
}

// begin writes the header of a request, all but its size.
func (c *conn) begin(k kmsg.Key, version int16, flexible bool) {
	c.correlation = (c.correlation + 1) & 0x7fffffff
	h := append(c.head[:0], 0, 0, 0, 0)
	h = kbin.AppendInt16(h, int16(k))
	h = kbin.AppendInt16(h, version)
	h = kbin.AppendInt32(h, c.correlation)
	h = kbin.AppendString(h, c.access.id)
	if flexible {
		h = append(h, 0) // no tags
	}
	c.head = h
}

// exchange says what goes over the connection and back.
type exchange struct {
	key      kmsg.Key
	answered bool          // whether an answer comes
	wait     time.Duration // for the answer
}

// exchange writes the pieces of a request and returns the body of the answer to it.
// written is how many octets of the request went.
func (c *conn) exchange(x exchange) (written int64, body []byte, err error) {
	var e2e kgo.BrokerE2E
	begin := time.Now()
	defer func() {
		c.used = time.Now()
		c.hooks.exchanged(c.broker, int16(x.key), e2e)
	}()
	if err := c.nc.SetDeadline(begin.Add(c.timeout)); err != nil {
		e2e.WriteErr = err
		return 0, nil, err
	}
	written, err = quiet.WriteBuffers(c.nc, c.pieces)
	clear(c.pieces)
	wrote := time.Now()
	e2e.BytesWritten, e2e.TimeToWrite, e2e.WriteErr = int(written), wrote.Sub(begin), err
	if err != nil || !x.answered {
		return written, nil, err
	}
	if err := c.nc.SetDeadline(wrote.Add(x.wait)); err != nil {
		e2e.ReadErr = err
		return written, nil, err
	}
	body, e2e.BytesRead, err = c.read(x)
	e2e.TimeToRead, e2e.ReadErr = time.Since(wrote), err
	return written, body, err
}

// read reads an answer and returns its body.
func (c *conn) read(x exchange) (body []byte, n int, err error) {
	if len(c.answer) == 0 {
		c.answer = make([]byte, 4<<10)
	}
	for size := 4; n < size; {
		if n == len(c.answer) { // what has come is half of what is held at least
			c.answer = append(c.answer, make([]byte, min(n, 4+maxAnswer-n))...)
		}
		got, err := c.nc.Read(c.answer[n:])
		n += got
		if n >= 4 {
			if size = int(binary.BigEndian.Uint32(c.answer)); size < 4 || size > maxAnswer {
				return nil, n, fmt.Errorf("%w: %s, %d octets", errNonsense, x.key.Name(), size)
			}
			size += 4
		}
		switch {
		case n > size && size > 4:
			return nil, n, fmt.Errorf("%w: %s, %d octets after it", errNonsense, x.key.Name(), n-size)
		case n == size && size > 4:
		case errors.Is(err, io.EOF) && n > 0:
			return nil, n, io.ErrUnexpectedEOF
		case err != nil:
			return nil, n, err
		}
	}
	r := kbin.Reader{Src: c.answer[4:n]}
	if id := r.Int32(); id != c.correlation {
		return nil, n, fmt.Errorf("%w: %s, for request %d instead of %d", errNonsense, x.key.Name(), id, c.correlation)
	}
	if err := r.Complete(); err != nil {
		return nil, n, fmt.Errorf("%w: %s: %w", errNonsense, x.key.Name(), err)
	}
	return r.Src, n, nil
}
