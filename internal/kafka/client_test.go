package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tributary-net/tributary/internal/kafka"
)

func client(t *testing.T, endpoint string, c kafka.ClientConfig) (kafka.Endpoint, *kgo.Client) {
	t.Helper()
	e, err := kafka.ParseEndpoint(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	opts, err := e.ClientOptions(c)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(append(opts, e.ConsumerOptions()...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return e, cl
}

// Every combination of settings that is accepted makes a client.
func TestClientOptions(t *testing.T) {
	for _, parameters := range []string{
		"", "acks=0", "acks=1", "acks=-1", "acks=all&enable.idempotence=false", "enable.idempotence=true&retries=3",
		"compression.type=gzip&compression.gzip.level=9", "compression.type=zstd&compression.zstd.level=5", "compression.type=snappy",
		"compression.type=lz4&linger.ms=0", "batch.size=16384", "max.request.size=20971520", "max.request.size=2000&batch.size=1000000",
		"buffer.memory=33554432&delivery.timeout.ms=120000&request.timeout.ms=30000&max.in.flight.requests.per.connection=1",
		"group.id=g&auto.offset.reset=earliest&isolation.level=read_committed&fetch.min.bytes=10&fetch.max.bytes=1000000&max.partition.fetch.bytes=500000&fetch.max.wait.ms=100",
		"group.id=g&group.instance.id=1&enable.auto.commit=false&session.timeout.ms=6000&heartbeat.interval.ms=1000&max.poll.interval.ms=300000",
		"group.id=g&group.protocol=consumer", "metadata.max.age.ms=1000&connections.max.idle.ms=60000&retry.backoff.ms=0&retry.backoff.max.ms=0",
		"client.id=me&client.rack=r1", "fetch.max.bytes=2147483647", "retries=2147483647",
	} {
		t.Run(parameters, func(t *testing.T) {
			client(t, "kafka://127.0.0.1:1?"+parameters, kafka.ClientConfig{Version: "v0.1.0+dirty"})
		})
	}
}

func TestUnreachable(t *testing.T) {
	const addr = "127.0.0.1:1" // tcpmux, which nobody has any more
	e, cl := client(t, "kafka://"+addr, kafka.ClientConfig{})
	err := e.Reach(t.Context(), cl)
	if !errors.Is(err, kafka.ErrUnreachable) || !strings.HasPrefix(err.Error(), "cannot reach kafka at "+addr+": ") || !strings.HasSuffix(err.Error(), "connection refused") {
		t.Errorf("error %v", err)
	}
	e, cl = client(t, "kafka://no-such-host.invalid", kafka.ClientConfig{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "no-such-host.invalid", IsNotFound: true}}
	}})
	if err := e.Reach(t.Context(), cl); !errors.Is(err, kafka.ErrUnreachable) || !strings.Contains(err.Error(), "no address is known for no-such-host.invalid") {
		t.Errorf("error %v", err)
	}
}

func TestEmbeddedNeedsDial(t *testing.T) {
	e, err := kafka.ParseEndpoint("embedded:/flows")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.ClientOptions(kafka.ClientConfig{}); !errors.Is(err, kafka.ErrEndpoint) {
		t.Errorf("error %v", err)
	}
	ours, theirs := net.Pipe()
	go answerApiVersions(theirs)
	e, cl := client(t, "embedded:/flows", kafka.ClientConfig{Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil }})
	if err := e.Reach(t.Context(), cl); err != nil {
		t.Error(err)
	}
}

// answerApiVersions is a broker that knows one request.
func answerApiVersions(c net.Conn) {
	defer c.Close()
	for {
		var head [12]byte // size, key, version, correlation id
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:]))-8); err != nil {
			return
		}
		r := kmsg.NewPtrApiVersionsResponse()
		r.Version = min(3, int16(binary.BigEndian.Uint16(head[6:])))
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MaxVersion = 18, 3
		r.ApiKeys = append(r.ApiKeys, k)
		body := r.AppendTo(nil)
		out := binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))
		out = append(append(out, head[8:12]...), body...)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string // file
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert: cert, key: key, pem: filepath.Join(t.TempDir(), "ca.pem")}
	writePEM(t, a.pem, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func writePEM(t *testing.T, path string, blocks ...*pem.Block) {
	t.Helper()
	var b []byte
	for _, block := range blocks {
		b = append(b, pem.EncodeToMemory(block)...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes certificate and key for name into one file, as Java's PEM key
// stores have it, and into two.
func (a *authority) issue(t *testing.T, name string) (store, cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	store, cert, key = filepath.Join(dir, "store.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	c, p := &pem.Block{Type: "CERTIFICATE", Bytes: der}, &pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}
	writePEM(t, store, p, c)
	writePEM(t, cert, c)
	writePEM(t, key, p)
	return store, cert, key
}

// tlsBroker listens with a certificate for name, and asks for one of clients.
func (a *authority) tlsBroker(t *testing.T, name string, clients bool) string {
	t.Helper()
	_, certFile, keyFile := a.issue(t, name)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	if clients {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		config.ClientCAs.AddCert(a.cert)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerApiVersions(c)
		}
	}()
	return l.Addr().String()
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	other := newAuthority(t)
	right, wrong, mutual := a.tlsBroker(t, "127.0.0.1", false), a.tlsBroker(t, "broker.example", false), a.tlsBroker(t, "127.0.0.1", true)
	store, cert, key := a.issue(t, "client")
	caText, err := os.ReadFile(a.pem)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, addr, parameters, says string }{
		{"authority by librdkafka's name", right, "ssl.ca.location=" + a.pem, ""},
		{"authority by java's name", right, "ssl.truststore.type=PEM&ssl.truststore.location=" + a.pem, ""},
		{"authority as text", right, "ssl.truststore.certificates=" + url.PathEscape(string(caText)), ""},
		{"other authority", right, "ssl.ca.location=" + other.pem, "authority that is not trusted"},
		{"system's authorities", right, "", "authority that is not trusted"},
		{"other name", wrong, "ssl.ca.location=" + a.pem, "certificate"},
		{"other name, not compared", wrong, "ssl.endpoint.identification.algorithm=none&ssl.ca.location=" + a.pem, ""},
		{"other authority, name not compared", wrong, "ssl.endpoint.identification.algorithm=none&ssl.ca.location=" + other.pem, "authority that is not trusted"},
		{"client certificate", mutual, "ssl.ca.location=" + a.pem + "&ssl.certificate.location=" + cert + "&ssl.key.location=" + key, ""},
		{"client certificate in a store", mutual, "ssl.ca.location=" + a.pem + "&ssl.keystore.location=" + store, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, cl := client(t, "kafka-ssl://"+c.addr+"?"+c.parameters, kafka.ClientConfig{})
			err := e.Reach(t.Context(), cl)
			switch {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (!errors.Is(err, kafka.ErrUnreachable) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("error %v, want %s", err, c.says)
			}
		})
	}
	t.Run("no client certificate", func(t *testing.T) {
		e, cl := client(t, "kafka-ssl://"+mutual+"?ssl.ca.location="+a.pem, kafka.ClientConfig{})
		if err := e.Reach(t.Context(), cl); err == nil {
			t.Error("got in")
		}
	})
	for name, parameters := range map[string]string{
		"missing file": "ssl.ca.location=/no/such/file",
		"no PEM":       "ssl.ca.location=" + writeFile(t, "\xfe\xed\xfe\xed"),
		"not a pair":   "ssl.certificate.location=" + cert + "&ssl.key.location=" + a.pem,
	} {
		t.Run(name, func(t *testing.T) {
			e, err := kafka.ParseEndpoint("kafka-ssl://127.0.0.1?" + parameters)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.ClientOptions(kafka.ClientConfig{}); err == nil || !strings.HasPrefix(err.Error(), "ssl.") {
				t.Errorf("error %v, want one that names the property", err)
			}
		})
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
