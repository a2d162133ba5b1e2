package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/tributary-net/tributary/internal/quiet"
)

// DialFunc opens a connection to a broker.
type DialFunc func(ctx context.Context, network, host string) (net.Conn, error)

// ClientConfig is what a client needs besides its endpoint.
type ClientConfig struct {
	ClientID string       // where client.id is not set; empty: "tributary"
	Version  string       // of this program, told to brokers
	Dial     DialFunc     // nil: TCP, with TLS if the endpoint says so; required for embedded:
	Logger   *slog.Logger // nil: discard
}

// ClientOptions returns the options of a client for e: how to reach the cluster
// and how to produce. [Endpoint.ConsumerOptions] has those of consuming. It reads
// the files that properties name. More options can follow them.
//
// Records are partitioned as Java clients do: murmur2 of the key, and one
// partition after the other, batch by batch, without one.
func (e Endpoint) ClientOptions(c ClientConfig) ([]kgo.Opt, error) {
	a, err := e.access(c)
	if err != nil {
		return nil, err
	}
	return e.clientOptions(a, c.Logger)
}

// access is how to reach the brokers of a cluster and to be let in.
type access struct {
	brokers   []string
	id        string // of the client
	version   string // of this program; empty: it has none
	dial      DialFunc
	mechanism sasl.Mechanism // nil: none
}

// access reads the files that properties name.
func (e Endpoint) access(c ClientConfig) (a access, err error) {
	p := e.Properties
	a.brokers = e.Brokers
	if e.Embedded {
		if c.Dial == nil {
			return a, badEndpoint("embedded: is the broker of `tributary up`; allowed here are kafka:// and kafka-ssl://")
		}
		a.brokers = []string{"embedded:" + DefaultPort}
	}
	if len(a.brokers) == 0 {
		return a, badEndpoint("no broker is named; allowed is kafka://host:port")
	}
	a.id = cmp.Or(p["client.id"], c.ClientID, "tributary")
	if c.Version != "" {
		a.version = versionForBroker(c.Version)
	}
	if a.dial, err = e.dialer(c.Dial); err != nil {
		return a, err
	}
	a.mechanism, err = p.sasl()
	return a, err
}

func (e Endpoint) clientOptions(a access, log *slog.Logger) ([]kgo.Opt, error) {
	p := e.Properties
	opts := []kgo.Opt{
		kgo.SeedBrokers(a.brokers...),
		kgo.ClientID(a.id),
		kgo.DisableClientMetrics(),
		kgo.RequestTimeoutOverhead(p.duration("request.timeout.ms", 30*time.Second)),
		kgo.ProduceRequestTimeout(p.duration("request.timeout.ms", 30*time.Second)),
		kgo.MetadataMaxAge(p.duration("metadata.max.age.ms", 5*time.Minute)),
		kgo.MetadataMinAge(min(time.Second, p.duration("metadata.max.age.ms", 5*time.Minute))),
		kgo.ConnIdleTimeout(p.duration("connections.max.idle.ms", 9*time.Minute)),
		kgo.RetryBackoffFn(p.backoff()),
		kgo.Dialer(a.dial),
	}
	if a.version != "" {
		opts = append(opts, kgo.SoftwareNameAndVersion(softwareName, a.version))
	}
	if log != nil {
		opts = append(opts, kgo.WithLogger(&logger{log}))
	}
	if a.mechanism != nil {
		opts = append(opts, kgo.SASL(a.mechanism))
	}
	if err := p.checkProducing(); err != nil {
		return nil, err
	}
	return append(opts, p.producing().options()...), nil
}

// dialer returns how to reach a broker.
func (e Endpoint) dialer(dial DialFunc) (DialFunc, error) {
	if dial == nil {
		d := net.Dialer{Timeout: e.Properties.duration("socket.connection.setup.timeout.ms", 10*time.Second), Control: quiet.Unpaced}
		dial = d.DialContext
	}
	open := dial
	dial = func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := open(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return quiet.Conn(conn), nil
	}
	if !e.TLS {
		return dial, nil
	}
	base, err := e.Properties.tls()
	if err != nil {
		return nil, err
	}
	timeout := e.Properties.duration("socket.connection.setup.timeout.ms", 10*time.Second)
	return func(ctx context.Context, network, host string) (net.Conn, error) {
		raw, err := dial(ctx, network, host)
		if err != nil {
			return nil, err
		}
		c := base.Clone()
		if c.ServerName, _, err = net.SplitHostPort(host); err != nil {
			c.ServerName = host
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		conn := tls.Client(raw, c)
		if err := conn.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS with %s: %w", host, err)
		}
		return conn, nil
	}, nil
}

// softwareName is what brokers are told that this program is (KIP-511).
const softwareName = "tributary"

// versionForBroker keeps the characters that KIP-511 allows.
func versionForBroker(v string) string {
	v = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, v)
	return strings.Trim(v, ".-")
}

// backoff doubles from retry.backoff.ms to retry.backoff.max.ms.
func (p Properties) backoff() func(int) time.Duration {
	first := p.duration("retry.backoff.ms", 100*time.Millisecond)
	last := max(first, p.duration("retry.backoff.max.ms", time.Second))
	return func(tries int) time.Duration {
		d := first
		for range min(tries-1, 30) {
			if d *= 2; d >= last {
				return last
			}
		}
		return d
	}
}

func (p Properties) compression() kgo.CompressionCodec {
	level := func(c kgo.CompressionCodec, name string) kgo.CompressionCodec {
		if n, ok := p.number(name); ok {
			return c.WithLevel(int(n))
		}
		return c
	}
	switch p["compression.type"] {
	case "gzip":
		return level(kgo.GzipCompression(), "compression.gzip.level")
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return level(kgo.Lz4Compression(), "compression.lz4.level")
	case "zstd":
		return level(kgo.ZstdCompression(), "compression.zstd.level")
	default:
		return kgo.NoCompression()
	}
}

// ConsumerOptions returns the options of consuming: fetch sizes, isolation, where
// to begin, and the group if group.id is set.
func (e Endpoint) ConsumerOptions() []kgo.Opt {
	p := e.Properties
	opts := []kgo.Opt{kgo.FetchMaxWait(p.duration("fetch.max.wait.ms", 5*time.Second))}
	if n, ok := p.number("fetch.min.bytes"); ok {
		opts = append(opts, kgo.FetchMinBytes(int32(n)))
	}
	if n, ok := p.number("fetch.max.bytes"); ok {
		opts = append(opts, kgo.FetchMaxBytes(int32(min(n, 1<<30))), kgo.BrokerMaxReadBytes(int32(min(max(2*n, 100<<20), 1<<30))))
	}
	if n, ok := p.number("max.partition.fetch.bytes"); ok {
		opts = append(opts, kgo.FetchMaxPartitionBytes(int32(n)))
	}
	if p["isolation.level"] == "read_committed" {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if r := p["client.rack"]; r != "" {
		opts = append(opts, kgo.Rack(r))
	}
	switch p["auto.offset.reset"] {
	case "earliest":
		opts = append(opts, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	case "none":
		opts = append(opts, kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	default:
		opts = append(opts, kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	}
	if p["group.id"] == "" {
		return opts
	}
	opts = append(opts,
		kgo.ConsumerGroup(p["group.id"]),
		kgo.SessionTimeout(p.duration("session.timeout.ms", 45*time.Second)),
		kgo.HeartbeatInterval(p.duration("heartbeat.interval.ms", 3*time.Second)),
		kgo.RebalanceTimeout(p.duration("max.poll.interval.ms", time.Minute)),
		kgo.AutoCommitInterval(p.duration("auto.commit.interval.ms", 5*time.Second)),
	)
	if id := p["group.instance.id"]; id != "" {
		opts = append(opts, kgo.InstanceID(id))
	}
	if p["enable.auto.commit"] == "false" {
		opts = append(opts, kgo.DisableAutoCommit())
	}
	if p["group.protocol"] == "consumer" {
		opts = append(opts, kgo.ServerSideBalancer())
	}
	return opts
}

// Reach asks whether a broker of the cluster answers, and returns nil or one clear
// line.
func (e Endpoint) Reach(ctx context.Context, client *kgo.Client) error {
	return e.Explain(client.Ping(ctx))
}

// ErrUnreachable is in the errors that [Endpoint.Explain] makes of connections
// that could not be opened.
var ErrUnreachable = errors.New("cannot reach kafka")

// Explain puts an error of the client into words for people: what could not be
// reached and why. nil stays nil.
func (e Endpoint) Explain(err error) error { return explain(e.Address(), err) }

func explain(address string, err error) error {
	if err == nil {
		return nil
	}
	var (
		op      *net.OpError
		dns     *net.DNSError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		record  tls.RecordHeaderError
		first   *kgo.ErrFirstReadEOF
	)
	reach := func(why string) error { return &unreachableError{address, why, err} }
	switch {
	case errors.As(err, &dns):
		return reach("no address is known for " + dns.Name)
	case errors.As(err, &unknown):
		return reach("its certificate is signed by an authority that is not trusted; ssl.ca.location names one")
	case errors.As(err, &name):
		return reach(name.Error())
	case errors.As(err, &record):
		return reach("it does not speak TLS there")
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return reach(strings.TrimSuffix(err.Error(), "."))
	case errors.As(err, &first), errors.Is(err, errClosedAtOnce):
		return reach("it closes the connection at once, as if it wanted TLS (kafka-ssl://), or none, or a login (sasl.mechanism)")
	case errors.As(err, &op) && op.Op == "dial":
		return reach(op.Err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return reach("no answer in time")
	}
	return err
}

type unreachableError struct {
	addr, why string
	err       error
}

func (e *unreachableError) Error() string {
	return "cannot reach kafka at " + e.addr + ": " + e.why
}
func (e *unreachableError) Unwrap() []error { return []error{ErrUnreachable, e.err} }

// attempts are what the client says of each single attempt to open a connection,
// several in a second: a [Watch], or the error of what was asked, says it once.
var attempts = []string{"unable to request api versions", "unable to initialize sasl"}

// logger passes the client's messages to slog, one level lower: what it warns of
// it also handles.
type logger struct{ log *slog.Logger }

func (l *logger) Level() kgo.LogLevel {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelError
}

func (l *logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	if level == kgo.LogLevelError && !slices.Contains(attempts, msg) {
		to = slog.LevelWarn
	}
	l.log.Log(context.Background(), to, "kafka: "+msg, keyvals...)
}
