package broker_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/broker"
)

// TestReauthentication has clients authenticate again on their connections (KIP-368).
func TestReauthentication(t *testing.T) {
	const illegal, failed = 34, 58
	g := openGuarded(t, func(c *broker.Config) {
		c.MaxReauth = time.Hour
		c.Listeners = []broker.Listener{secure("sasl", nil, allMechanisms...)}
	})
	begin := func(c *rawConn, version int16, mechanism string) int16 {
		t.Helper()
		return c.request(handshake(version, mechanism)).(*kmsg.SASLHandshakeResponse).ErrorCode
	}
	enter := func(c *rawConn, user, password string) *kmsg.SASLAuthenticateResponse {
		t.Helper()
		req := token("\x00" + user + "\x00" + password)
		req.SetVersion(1)
		return c.request(req).(*kmsg.SASLAuthenticateResponse)
	}
	metadata := func(c *rawConn) {
		t.Helper()
		c.request(kmsg.NewPtrMetadataRequest())
	}

	c := g.alice
	if code := begin(c, 1, "PLAIN"); code != 0 {
		t.Fatal("handshake again: error", code)
	}
	if r := enter(c, "alice", "b"); r.ErrorCode != 0 || r.SessionLifetimeMillis != time.Hour.Milliseconds() {
		t.Fatalf("authenticate again: %+v", r)
	}
	metadata(c)
	if s := g.Stats(); s.Reauthenticated != 1 || s.Authenticated != 2 {
		t.Errorf("%d authenticated, %d again", s.Authenticated, s.Reauthenticated)
	}
	if code := begin(c, 1, "PLAIN"); code != illegal {
		t.Errorf("again within a second: error %d", code)
	}
	metadata(c) // which does no harm

	c = g.enter("alice", "b")
	begin(c, 1, "PLAIN")
	if r := enter(c, "admin", "a"); r.ErrorCode != failed {
		t.Errorf("as another user: %+v", r)
	}
	c.checkClosed("another user")

	c = g.enter("alice", "b")
	begin(c, 1, "PLAIN")
	if r := enter(c, "alice", "a"); r.ErrorCode != failed {
		t.Errorf("with a wrong password: %+v", r)
	}
	c.checkClosed("a wrong password")

	c = g.enter("alice", "b")
	if code := begin(c, 1, "SCRAM-SHA-256"); code != illegal {
		t.Errorf("by another mechanism: error %d", code)
	}
	c.checkClosed("another mechanism")

	c = g.enter("alice", "b")
	if code := begin(c, 0, "PLAIN"); code != illegal {
		t.Errorf("by version 0: error %d", code)
	}
	metadata(c)

	c = g.enter("alice", "b")
	begin(c, 1, "PLAIN")
	c.send(kmsg.NewPtrMetadataRequest())
	c.checkClosed("a request in between")
}

// TestSessionEnds closes connections whose clients do not authenticate again in time.
func TestSessionEnds(t *testing.T) {
	g := openGuarded(t, func(c *broker.Config) { c.MaxReauth = time.Millisecond })
	passed := func() { time.Sleep(2 * time.Millisecond) } // the session ends with time and with nothing else
	c := g.enter("alice", "b")
	passed()
	c.send(kmsg.NewPtrMetadataRequest())
	c.checkClosed("a request after the end")
	eventually(t, "it is counted", func() bool { return g.Stats().ConnectionsExpired == 1 })

	c = g.enter("alice", "b")
	passed()
	if r := c.request(handshake(1, "PLAIN")).(*kmsg.SASLHandshakeResponse); r.ErrorCode != 0 {
		t.Errorf("to authenticate again after the end: error %d", r.ErrorCode)
	}
	if r := c.request(token("\x00alice\x00b")).(*kmsg.SASLAuthenticateResponse); r.ErrorCode != 0 {
		t.Errorf("authenticated again after the end: %+v", r)
	}
}

// TestReauthenticationClient has franz-go go on over the end of a session.
func TestReauthenticationClient(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxReauth = 3 * time.Second
	cfg.Users = []broker.User{{Name: "alice", Password: "b"}}
	cfg.Listeners = []broker.Listener{secure("sasl", nil, allMechanisms...)}
	b := open(t, cfg)
	cl := clientAt(t, b, "sasl", kgo.SASL(login("SCRAM-SHA-256", "alice", "b")), kgo.AllowAutoTopicCreation())
	for b.Stats().Reauthenticated == 0 {
		produce(t, cl, "flows", "v", 1)
		time.Sleep(10 * time.Millisecond)
	}
}
