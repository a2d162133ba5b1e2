package broker_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/tributary-net/tributary/broker"
)

// authority issues certificates for a test.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	ca   string // its own certificate, as a file
	n    int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.ca = filepath.Join(a.dir, "ca.pem")
	a.write(a.ca, "CERTIFICATE", der)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) write(path, kind string, der []byte) {
	a.t.Helper()
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes a certificate and its key to name.pem and name.key.
func (a *authority) issue(name string, subject pkix.Name) (certFile, keyFile string) {
	a.t.Helper()
	a.n++
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(100 + a.n), Subject: subject, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	a.write(certFile, "CERTIFICATE", der)
	a.write(keyFile, "PRIVATE KEY", keyDER)
	return certFile, keyFile
}

// server is the TLS configuration of a listener.
func (a *authority) server(auth broker.ClientAuth) *broker.TLSConfig {
	a.t.Helper()
	cert, key := a.issue("broker", pkix.Name{CommonName: "broker"})
	return &broker.TLSConfig{CertFile: cert, KeyFile: key, ClientAuth: auth, ClientCAFile: a.ca}
}

// client is the TLS configuration of a client, with a certificate when it has a name.
func (a *authority) client(subject *pkix.Name) *tls.Config {
	a.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if subject != nil {
		cert, err := tls.LoadX509KeyPair(a.issue("client", *subject))
		if err != nil {
			a.t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg
}

func secure(name string, tc *broker.TLSConfig, mechanisms ...string) broker.Listener {
	return broker.Listener{Name: name, Address: "127.0.0.1:0", TLS: tc, SASLMechanisms: mechanisms}
}

var allMechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// login is a client's side of a mechanism.
func login(mechanism, user, password string) sasl.Mechanism {
	switch mechanism {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism()
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
	}
	return scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
}

// addrOf is where a listener listens.
func addrOf(b *broker.Broker, listener string) string {
	for _, l := range b.Listeners() {
		if l.Name == listener {
			return l.Addr.String()
		}
	}
	return ""
}

// portOf is the port of an address.
func portOf(addr string) int {
	_, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	return n
}

// clientAt makes a client of one listener.
func clientAt(t testing.TB, b *broker.Broker, listener string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	base := []kgo.Opt{
		kgo.SeedBrokers(addrOf(b, listener)), kgo.AllowAutoTopicCreation(), kgo.MetadataMinAge(10 * time.Millisecond),
	}
	cl, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// enter tries whether a client is let in.
func enter(t testing.TB, b *broker.Broker, listener string, opts ...kgo.Opt) error {
	t.Helper()
	return clientAt(t, b, listener, opts...).Ping(deadline(t))
}

// putUser keeps a SCRAM credential.
func putUser(t testing.TB, cl *kgo.Client, user, password string) {
	t.Helper()
	adm := kadm.NewClient(cl)
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		res, err := adm.AlterUserSCRAMs(deadline(t), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: m, Iterations: 4096, Password: password}})
		if err == nil {
			err = res[user].Err
		}
		if err != nil {
			t.Fatalf("put user %s: %v", user, err)
		}
	}
}

func TestSASL(t *testing.T) {
	ca := newAuthority(t)
	cfg := testConfig(t)
	cfg.Users = []broker.User{{Name: "admin", Password: "admin, =secret"}}
	cfg.Listeners = []broker.Listener{
		secure("clear", nil, allMechanisms...),
		secure("tls", ca.server(broker.ClientAuthNone), allMechanisms...),
		secure("scram", nil, "SCRAM-SHA-512"),
	}
	b := open(t, cfg)
	putUser(t, client(t, b), "alice,=", "wonder=land,")
	for _, listener := range []string{"clear", "tls"} {
		var opts []kgo.Opt
		if listener == "tls" {
			opts = append(opts, kgo.DialTLSConfig(ca.client(nil)))
		}
		with := func(m sasl.Mechanism) []kgo.Opt { return append(opts, kgo.SASL(m)) }
		for _, m := range allMechanisms {
			for user, password := range map[string]string{"admin": "admin, =secret", "alice,=": "wonder=land,"} {
				if err := enter(t, b, listener, with(login(m, user, password))...); err != nil {
					t.Errorf("%s %s %s: %v", listener, m, user, err)
				}
				if err := enter(t, b, listener, with(login(m, user, password+"x"))...); err == nil || !strings.Contains(err.Error(), "SASL") {
					t.Errorf("%s %s %s with a wrong password: %v", listener, m, user, err)
				}
			}
			if err := enter(t, b, listener, with(login(m, "nobody", "x"))...); err == nil {
				t.Errorf("%s %s: nobody is let in", listener, m)
			}
		}
		cl := clientAt(t, b, listener, append(with(login("SCRAM-SHA-256", "admin", "admin, =secret")), kgo.ConsumeTopics("s-"+listener),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
		produce(t, cl, "s-"+listener, strings.Repeat("v", 1000), 200)
		checkOnce(t, consume(t, cl, 200), strings.Repeat("v", 1000), 200)
	}
	if err := enter(t, b, "scram", kgo.SASL(login("PLAIN", "admin", "admin, =secret"))); err == nil {
		t.Error("PLAIN is taken where it is not among the mechanisms")
	}
	if err := enter(t, b, "clear"); err == nil {
		t.Error("a client without SASL is let in")
	}
	if err := enter(t, b, "tls", kgo.SASL(login("PLAIN", "admin", "admin, =secret"))); err == nil {
		t.Error("a client without TLS is let in")
	}
	s := b.Stats()
	if s.Authenticated < 12 || s.AuthenticationFailed < 18 || s.ConnectionsHandshake == 0 || s.ConnectionsUnasked == 0 || s.Panics != 0 {
		t.Errorf("stats: %+v", s)
	}

	// What clients have put in stays, what they take out is gone.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, cfg)
	if err := enter(t, b, "clear", kgo.SASL(login("PLAIN", "alice,=", "wonder=land,"))); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	adm := kadm.NewClient(client(t, b))
	ctx := deadline(t)
	users, err := adm.DescribeUserSCRAMs(ctx)
	if err != nil || len(users) != 1 || len(users["alice,="].CredInfos) != 2 || users["alice,="].CredInfos[0].Iterations != 4096 {
		t.Errorf("users: %+v, %v", users, err)
	}
	if res, err := adm.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: "alice,=", Mechanism: kadm.ScramSha256}}, nil); err != nil || res["alice,="].Err != nil {
		t.Fatalf("delete: %+v, %v", res, err)
	}
	if err := enter(t, b, "clear", kgo.SASL(login("SCRAM-SHA-256", "alice,=", "wonder=land,"))); err == nil {
		t.Error("let in by a credential that is deleted")
	}
	for _, m := range []string{"SCRAM-SHA-512", "PLAIN"} {
		if err := enter(t, b, "clear", kgo.SASL(login(m, "alice,=", "wonder=land,"))); err != nil {
			t.Errorf("%s by the credential that is left: %v", m, err)
		}
	}
}

// TestUserCredentials has what AlterUserScramCredentials does not take refused, by Kafka's codes.
func TestUserCredentials(t *testing.T) {
	b := open(t, testConfig(t))
	c := rawDial(t, b)
	upsert := func(change func(*kmsg.AlterUserSCRAMCredentialsRequestUpsertion)) int16 {
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = "u", 1, 4096, []byte("salt"), make([]byte, 32)
		change(&u)
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		req.Upsertions = append(req.Upsertions, u)
		return c.request(req).(*kmsg.AlterUserSCRAMCredentialsResponse).Results[0].ErrorCode
	}
	type upsertion = kmsg.AlterUserSCRAMCredentialsRequestUpsertion
	for name, test := range map[string]struct {
		change func(*upsertion)
		want   int16
	}{
		"good":            {func(*upsertion) {}, 0},
		"no name":         {func(u *upsertion) { u.Name = "" }, 93},
		"mechanism":       {func(u *upsertion) { u.Mechanism = 3 }, 33},
		"few iterations":  {func(u *upsertion) { u.Iterations = 4095 }, 93},
		"many iterations": {func(u *upsertion) { u.Iterations = 16385 }, 93},
		"no salt":         {func(u *upsertion) { u.Salt = nil }, 93},
		"no password":     {func(u *upsertion) { u.SaltedPassword = nil }, 93},
		"short password":  {func(u *upsertion) { u.SaltedPassword = []byte("x") }, 0}, // Kafka looks at no length
		"long password":   {func(u *upsertion) { u.SaltedPassword = make([]byte, 1<<16) }, 93},
	} {
		if got := upsert(test.change); got != test.want {
			t.Errorf("%s: error %d, want %d", name, got, test.want)
		}
	}
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, name := range []string{"u", "u", "none"} {
		d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
		d.Name, d.Mechanism = name, 1
		req.Deletions = append(req.Deletions, d)
	}
	results := c.request(req).(*kmsg.AlterUserSCRAMCredentialsResponse).Results
	if len(results) != 2 || results[0].ErrorCode != 92 || results[1].ErrorCode != 91 {
		t.Errorf("twice, and nobody: %+v", results)
	}
	describe := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	for _, name := range []string{"u", "none", "two", "two"} {
		u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		u.Name = name
		describe.Users = append(describe.Users, u)
	}
	r := c.request(describe).(*kmsg.DescribeUserSCRAMCredentialsResponse).Results
	if len(r) != 3 || r[0].ErrorCode != 0 || r[1].ErrorCode != 91 || r[2].ErrorCode != 92 {
		t.Errorf("describe: %+v", r)
	}
}

func TestClientCertificates(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	cfg := testConfig(t)
	cfg.Listeners = []broker.Listener{
		secure("none", ca.server(broker.ClientAuthNone)),
		secure("requested", ca.server(broker.ClientAuthRequested)),
		secure("required", ca.server(broker.ClientAuthRequired)),
	}
	b := open(t, cfg)
	name := &pkix.Name{CommonName: "alice"}
	without, with, stranger := ca.client(nil), ca.client(name), ca.client(nil)
	stranger.Certificates = other.client(name).Certificates
	for _, test := range []struct {
		listener string
		client   *tls.Config
		ok       bool
	}{
		{"none", without, true},
		{"none", with, true},
		{"requested", without, true},
		{"requested", with, true},
		{"required", without, false},
		{"required", with, true},
		{"required", stranger, false},
	} {
		if err := enter(t, b, test.listener, kgo.DialTLSConfig(test.client)); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.listener, err)
		}
	}
	// Who dials by name is told to come back by name, for a certificate is checked against it.
	port := strconv.Itoa(portOf(addrOf(b, "none")))
	cl, err := kgo.NewClient(kgo.SeedBrokers("localhost:"+port), kgo.DialTLSConfig(without))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	brokers, err := kadm.NewClient(cl).ListBrokers(deadline(t))
	if err != nil || len(brokers) != 1 || brokers[0].Host != "localhost" || strconv.Itoa(int(brokers[0].Port)) != port {
		t.Errorf("brokers: %+v, %v", brokers, err)
	}

	// One that does not know the broker's issuer stays away by itself.
	if err := enter(t, b, "none", kgo.DialTLSConfig(other.client(nil))); err == nil {
		t.Error("a certificate of another authority was taken")
	}
}

// TestCertificateReload puts another certificate in place, then nonsense: those who come then see the former, and those who are
// there go on.
func TestCertificateReload(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	cfg := testConfig(t)
	tc := first.server(broker.ClientAuthNone)
	cfg.Listeners = []broker.Listener{secure("tls", tc)}
	b := open(t, cfg)
	b.LookAtCertificates("tls")
	dial := func(a *authority) error {
		nc, err := tls.Dial("tcp", addrOf(b, "tls"), a.client(nil))
		if err == nil {
			_ = nc.Close()
		}
		return err
	}
	if err := dial(first); err != nil {
		t.Fatal(err)
	}
	old := clientAt(t, b, "tls", kgo.DialTLSConfig(first.client(nil)))
	if err := old.Ping(deadline(t)); err != nil {
		t.Fatal(err)
	}
	newer := second.server(broker.ClientAuthNone)
	replace := func(from, to string) {
		t.Helper()
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to+".new", content, 0o600)
		}
		if err == nil {
			err = os.Rename(to+".new", to)
		}
		if err == nil {
			at := time.Now().Add(time.Minute) // no file system is so coarse
			err = os.Chtimes(to, at, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	replace(newer.CertFile, tc.CertFile)
	if err := dial(first); err != nil { // a certificate without its key is nothing to use
		t.Errorf("between the two files: %v", err)
	}
	replace(newer.KeyFile, tc.KeyFile)
	if err := dial(second); err != nil {
		t.Errorf("after the change: %v", err)
	}
	if err := dial(first); err == nil {
		t.Error("the old certificate is still shown")
	}
	if err := os.WriteFile(tc.CertFile, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dial(second); err != nil {
		t.Errorf("after nonsense: %v", err)
	}
	if err := old.Ping(deadline(t)); err != nil {
		t.Errorf("who was there before: %v", err)
	}
}

// rawDialTo connects to one listener.
func rawDialTo(t testing.TB, b *broker.Broker, listener string) *rawConn {
	t.Helper()
	nc, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addrOf(b, listener))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &rawConn{Conn: nc, t: t}
}

func handshake(version int16, mechanism string) *kmsg.SASLHandshakeRequest {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.SetVersion(version)
	req.Mechanism = mechanism
	return req
}

func token(b string) *kmsg.SASLAuthenticateRequest {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SetVersion(2)
	req.SASLAuthBytes = []byte(b)
	return req
}

// TestBeforeAuthentication has strangers try what they may not.
func TestBeforeAuthentication(t *testing.T) {
	cfg := testConfig(t)
	cfg.Users = []broker.User{{Name: "u", Password: "p"}}
	cfg.Listeners = []broker.Listener{secure("sasl", nil, allMechanisms...)}
	cfg.HandshakeTimeout = time.Minute
	b := open(t, cfg)

	c := rawDialTo(t, b, "sasl")
	if r := c.request(kmsg.NewPtrApiVersionsRequest()).(*kmsg.ApiVersionsResponse); r.ErrorCode != 0 {
		t.Errorf("ApiVersions: %+v", r)
	}
	c.send(kmsg.NewPtrMetadataRequest())
	c.checkClosed("metadata before authentication")

	c = rawDialTo(t, b, "sasl")
	c.write([]byte{0, 8, 0, 1, 0, 18, 0, 0})
	c.checkClosed("a frame beyond 512 KiB")

	c = rawDialTo(t, b, "sasl")
	if r := c.request(handshake(1, "GSSAPI")).(*kmsg.SASLHandshakeResponse); r.ErrorCode != 33 || len(r.SupportedMechanisms) != 3 {
		t.Errorf("unknown mechanism: %+v", r)
	}
	c.checkClosed("unknown mechanism")

	c = rawDialTo(t, b, "sasl")
	if r := c.request(token("\x00u\x00p")).(*kmsg.SASLAuthenticateResponse); r.ErrorCode != 34 {
		t.Errorf("token before the handshake: %+v", r)
	}
	c.checkClosed("token before the handshake")

	for _, bad := range []string{"", "u\x00p", "\x00u\x00p\x00", "\x00\x00p", "\x00u\x00", "other\x00u\x00p", "\x00u\x00P"} {
		c = rawDialTo(t, b, "sasl")
		c.request(handshake(1, "PLAIN"))
		if r := c.request(token(bad)).(*kmsg.SASLAuthenticateResponse); r.ErrorCode != 58 || r.ErrorMessage == nil {
			t.Errorf("token %q: %+v", bad, r)
		}
		c.checkClosed("a failed authentication")
	}

	// In two steps as they should be, then a token once more, which is one too many.
	c = rawDialTo(t, b, "sasl")
	c.request(handshake(1, "PLAIN"))
	if r := c.request(token("u\x00u\x00p")).(*kmsg.SASLAuthenticateResponse); r.ErrorCode != 0 {
		t.Errorf("right token: %+v", r)
	}
	if r := c.request(token("\x00u\x00p")).(*kmsg.SASLAuthenticateResponse); r.ErrorCode != 34 {
		t.Errorf("second token: %+v", r)
	}
	if r := c.request(kmsg.NewPtrMetadataRequest()).(*kmsg.MetadataResponse); len(r.Brokers) != 1 {
		t.Errorf("metadata: %+v", r)
	}

	// Clients of before KIP-152 send tokens in frames without a header.
	c = rawDialTo(t, b, "sasl")
	c.request(handshake(0, "PLAIN"))
	c.write([]byte{0, 0, 0, 4, 0, 'u', 0, 'p'})
	if answer, err := c.readFrame(); err != nil || len(answer) != 0 {
		t.Errorf("answer to a bare token: %x, %v", answer, err)
	}
	if r := c.request(kmsg.NewPtrMetadataRequest()).(*kmsg.MetadataResponse); len(r.Brokers) != 1 {
		t.Errorf("metadata: %+v", r)
	}
	c = rawDialTo(t, b, "sasl")
	c.request(handshake(0, "PLAIN"))
	c.write([]byte{0, 0, 0, 4, 0, 'u', 0, 'q'})
	c.checkClosed("a wrong bare token")
	if s := b.Stats(); s.Panics != 0 || s.ConnectionsUnasked != 1 {
		t.Errorf("stats: %+v", s)
	}

	// Nobody has to do it on a listener without SASL, and nobody can.
	c = rawDial(t, b)
	if r := c.request(handshake(1, "PLAIN")).(*kmsg.SASLHandshakeResponse); r.ErrorCode != 34 {
		t.Errorf("handshake without need: %+v", r)
	}
}

// TestHandshakeTimeout has clients that say nothing, or never come to an end, sent away.
func TestHandshakeTimeout(t *testing.T) {
	ca := newAuthority(t)
	cfg := testConfig(t)
	cfg.Listeners = []broker.Listener{secure("sasl", nil, "PLAIN"), secure("tls", ca.server(broker.ClientAuthNone))}
	cfg.HandshakeTimeout = 100 * time.Millisecond
	b := open(t, cfg)
	silent, tlsSilent := rawDialTo(t, b, "sasl"), rawDialTo(t, b, "tls")
	busy := rawDialTo(t, b, "sasl")
	silent.checkClosed("a client that says nothing")
	tlsSilent.checkClosed("a client without a TLS handshake")
	for {
		busy.correlation++
		if _, err := busy.Write(busy.frame(kmsg.NewPtrApiVersionsRequest())); err != nil {
			break
		}
		if _, err := busy.readFrame(); err != nil {
			break // before the test's own deadline, which is 30 s
		}
	}
	eventually(t, "all are gone", func() bool { return b.Stats().Connections == 0 })
	if s := b.Stats(); s.ConnectionsHandshake != 1 || s.ConnectionsIdle+s.ConnectionsSlow < 1 {
		t.Errorf("stats: %+v", s)
	}
}

// TestConnectionsPerAddress lets so many in of one address and no more, until one of them goes.
func TestConnectionsPerAddress(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxConnectionsPerIP = 2
	b := open(t, cfg)
	first, second := rawDial(t, b), rawDial(t, b)
	first.request(kmsg.NewPtrApiVersionsRequest())
	second.request(kmsg.NewPtrApiVersionsRequest())
	rawDial(t, b).checkClosed("one too many")
	(&rawConn{Conn: mustDial(t, b), t: t}).request(kmsg.NewPtrApiVersionsRequest()) // the program itself is not counted
	first.Close()
	eventually(t, "one is gone", func() bool { return b.Stats().Connections == 2 })
	rawDial(t, b).request(kmsg.NewPtrApiVersionsRequest())
	if s := b.Stats(); s.ConnectionsRefused != 1 {
		t.Errorf("stats: %+v", s)
	}
}

// TestStrangersMemory has strangers begin frames: they take little, and those who are in go on.
func TestStrangersMemory(t *testing.T) {
	cfg := testConfig(t)
	cfg.Listeners = []broker.Listener{secure("sasl", nil, "PLAIN")}
	cfg.MaxInFlightBytes = 1 << 20
	b := open(t, cfg)
	for range 100 {
		rawDialTo(t, b, "sasl").write(append([]byte{0, 7, 0, 0}, make([]byte, 1000)...))
	}
	eventually(t, "all frames have begun", func() bool { return b.Stats().InFlightBytes >= 100*4<<10 })
	if n := b.Stats().InFlightBytes; n > 100*8<<10 {
		t.Errorf("%d bytes are held for 100 frames that brought 100 KB", n)
	}
	makeTopic(t, b, "flows")
	if r := rawDial(t, b).request(produceRequest(9, -1, "flows", 0, goodBatch(10, 10_000))).(*kmsg.ProduceResponse); r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("produce: %+v", r)
	}
}

// TestStrangersTalk has bytes of all kinds come to listeners that wait for something else: each costs its connection only.
func TestStrangersTalk(t *testing.T) {
	ca := newAuthority(t)
	cfg := testConfig(t)
	cfg.Users = []broker.User{{Name: "u", Password: "p"}}
	cfg.Listeners = []broker.Listener{secure("sasl", nil, allMechanisms...), secure("tls", ca.server(broker.ClientAuthRequired))}
	cfg.HandshakeTimeout = 5 * time.Second
	b := open(t, cfg)
	hello := func() []byte { // a TLS ClientHello
		client, server := net.Pipe()
		defer server.Close()
		go func() { _ = tls.Client(client, ca.client(nil)).Handshake(); client.Close() }()
		buf := make([]byte, 4096)
		n, err := server.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return buf[:n]
	}()
	frame := func(req kmsg.Request) []byte { return (&rawConn{t: t}).frame(req) }
	for _, what := range [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), []byte("SSH-2.0-OpenSSH_9.6\r\n"), bytes.Repeat([]byte{0}, 100), bytes.Repeat([]byte{0xff}, 100),
		hello, hello[:len(hello)/2], append(bytes.Clone(hello), hello...),
		frame(produceRequest(9, -1, "flows", 0, goodBatch(1, 10))), frame(kmsg.NewPtrListGroupsRequest()),
		append(frame(handshake(1, "SCRAM-SHA-256")), frame(token("n,,n=u,r=x"))...),
		append(frame(handshake(1, "PLAIN")), frame(kmsg.NewPtrMetadataRequest())...),
		append(frame(handshake(0, "PLAIN")), 0xff, 0xff, 0xff, 0xff), append(frame(handshake(0, "PLAIN")), 0, 0, 0, 0),
		append(frame(handshake(1, "PLAIN")), frame(handshake(1, "PLAIN"))...),
	} {
		for _, listener := range []string{"sasl", "tls"} {
			c := rawDialTo(t, b, listener)
			if _, err := c.Write(what); err == nil {
				_ = c.Conn.(*net.TCPConn).CloseWrite()
			}
			if _, err := io.Copy(io.Discard, c); err != nil && isTimeout(err) {
				t.Errorf("%s: the connection hangs after %q", listener, what)
			}
		}
	}
	eventually(t, "all are gone", func() bool { return b.Stats().Connections == 0 })
	if s := b.Stats(); s.Panics != 0 || s.Authenticated != 0 || s.Topics != nil {
		t.Errorf("stats: %+v", s)
	}
	if err := enter(t, b, "sasl", kgo.SASL(login("PLAIN", "u", "p"))); err != nil {
		t.Errorf("somebody who may: %v", err)
	}
}
