package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// session is who is at the other end of a connection, and how far it has come in saying so. It belongs to the connection's
// reader; once nothing is pending it does not change any more.
type session struct {
	listener *listener // nil for a connection by Dial

	principal string // as ACLs have it: User:alice
	host      string // the client's address, without the port
	dialled   string // the broker's name as the client knows it, told in the TLS handshake

	trusted bool      // within the process: everything is allowed
	pending bool      // it has to authenticate before anything else
	by      time.Time // until when it has time for that and for the TLS handshake

	quotas *clientQuotas // of its client; nil: not looked up
	held   time.Duration // it is closed after this time: its address connects too often

	mechanism string       // agreed on by SaslHandshake
	again     time.Time    // when it last began to authenticate again
	expires   time.Time    // by when it is to have done so; zero: never
	exchange  saslExchange // under way
	bare      bool         // SaslHandshake v0: tokens come in frames without a header
	failed    bool         // it is closed when the answer is out
}

// saslExchange is one authentication, token by token.
type saslExchange interface {
	// next takes a token of the client and returns the answer to it, and whether that was the last one.
	next(token []byte) (answer []byte, done bool, err error)
	// user is who has authenticated, when it is done.
	user() string
}

// maxTokenBytes is sasl.server.max.receive.size: the largest frame of a client that has not authenticated.
const maxTokenBytes = 512 << 10

// authenticationDelay is connection.failed.authentication.delay.ms: what a failed attempt costs in time.
const authenticationDelay = 100 * time.Millisecond

var (
	errHandshake       = errors.New("tls handshake")
	errUnauthenticated = errors.New("request before authentication")
	errExpired         = errors.New("request after the end of the session")
	errTooOften        = errors.New("connections too often")
	errAuthentication  = errors.New("authentication failed")
)

// newSession begins a session. Whoever came by Dial is the program itself.
func newSession(b *Broker, l *listener, nc net.Conn) session {
	s := session{listener: l, principal: userPrincipal + anonymous, host: "local", trusted: l == nil}
	if l == nil {
		return s
	}
	if host, _, err := net.SplitHostPort(nc.RemoteAddr().String()); err == nil {
		s.host = host
	}
	s.held = b.quotas.connection(s.host)
	s.pending = len(l.cfg.SASLMechanisms) > 0
	if s.pending || l.certificates != nil {
		s.by = time.Now().Add(b.cfg.HandshakeTimeout)
	}
	return s
}

// handshake does what comes before the first request: TLS, where the listener has it. Who has connected too often is closed
// instead, and not at once (KIP-612).
func (c *conn) handshake() error {
	if c.session.held > 0 {
		c.pause(c.session.held)
		return errTooOften
	}
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := c.nc.SetDeadline(c.session.by); err != nil {
		return err
	}
	if c.b.isClosing() { // stopReading may have come just before
		return ErrClosed
	}
	err := t.Handshake()
	if err != nil {
		return fmt.Errorf("%w: %w", errHandshake, err)
	}
	c.session.dialled = t.ConnectionState().ServerName
	if certs := t.ConnectionState().PeerCertificates; len(certs) > 0 {
		name, err := distinguishedName(certs[0])
		var user string
		if err == nil {
			user, err = c.session.listener.certificates.rules.user(name)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errHandshake, err)
		}
		c.session.principal = userPrincipal + user
	}
	if !c.session.pending {
		c.session.by = time.Time{}
		c.b.counters.authenticated.Add(1)
	}
	return nil
}

// mayServe says whether a request of this kind may be served now: before authentication, and while the client does it again,
// only what belongs to it; after the end of the session only what begins a new one.
func (s *session) mayServe(key int16, now time.Time) error {
	switch kmsg.Key(key) {
	case kmsg.SASLHandshake, kmsg.SASLAuthenticate:
		return nil
	case kmsg.ApiVersions:
		if s.pending {
			return nil
		}
	}
	switch {
	case s.pending || s.exchange != nil:
		return errUnauthenticated
	case !s.expires.IsZero() && now.After(s.expires):
		return errExpired
	}
	return nil
}

// authenticate goes one token further. An error is the client's failure, and what it is told.
func (c *conn) authenticate(token []byte) ([]byte, error) {
	s := &c.session
	answer, done, err := s.exchange.next(token)
	if err == nil && done && !s.pending && s.principal != userPrincipal+s.exchange.user() {
		err = fmt.Errorf("%s cannot become User:%s", s.principal, s.exchange.user())
	}
	if err != nil {
		c.b.counters.authFailed.Add(1)
		if unsaid, due := c.b.authTrouble.due(time.Now()); due {
			user := s.exchange.user()
			c.b.log.Warn("authentication fails", "peer", c.nc.RemoteAddr().String(), "mechanism", s.mechanism, "user", user[:min(len(user), 64)],
				"unsaid", unsaid, "err", err)
		}
		s.failed = true
		c.pause(authenticationDelay)
		return nil, err
	}
	if done {
		if s.pending { // else it is what it was, and the writer reads it
			s.principal, s.pending = userPrincipal+s.exchange.user(), false
			c.trusted = max(c.trusted, firstTrust)
			c.b.counters.authenticated.Add(1)
		} else {
			c.b.counters.reauthenticated.Add(1)
		}
		s.bare, s.exchange, s.by = false, nil, time.Time{}
		if c.b.cfg.MaxReauth > 0 {
			s.expires = time.Now().Add(c.b.cfg.MaxReauth)
		}
	}
	return answer, nil
}

// serveToken serves a frame that is nothing but a token.
func (c *conn) serveToken(token []byte) (*request, error) {
	rq := &request{conn: c, api: c.b.apis[kmsg.SASLAuthenticate.Int16()], at: time.Now(), ready: make(chan struct{})}
	answer, err := c.authenticate(token)
	if err != nil {
		return nil, errAuthentication // closed without a word, for there is no place for one
	}
	rq.answerWith(append(c.b.buffers.get(4 + len(answer))[:4], answer...))
	return rq, nil
}

// trouble that repeats is logged once a minute.
type trouble struct {
	mu     sync.Mutex
	said   time.Time
	unsaid int
}

// due says whether to log now, and how often it was not since the last time.
func (t *trouble) due(now time.Time) (unsaid int, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.said.IsZero() && now.Sub(t.said) < time.Minute {
		t.unsaid++
		return 0, false
	}
	unsaid, t.said, t.unsaid = t.unsaid, now, 0
	return unsaid, true
}

// pause has the reader wait, but not for a broker that closes or a client that is gone.
func (c *conn) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.b.closing:
	case <-c.dead:
	}
}
