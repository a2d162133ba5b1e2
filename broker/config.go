package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// Durability says when a record counts as safe: when it is answered with acks=all and shown to consumers.
type Durability uint8

const (
	// Fsync waits for the disk.
	Fsync Durability = iota
	// PageCache waits for the kernel only, as Kafka does by default: a power cut can take the newest records.
	PageCache
)

// String returns "fsync" or "page-cache".
func (d Durability) String() string {
	if d == PageCache {
		return "page-cache"
	}
	return "fsync"
}

// ParseDurability reads what String writes.
func ParseDurability(s string) (Durability, error) {
	switch s {
	case "fsync":
		return Fsync, nil
	case "page-cache":
		return PageCache, nil
	}
	return 0, fmt.Errorf("durability %q: want fsync or page-cache", s)
}

// Config configures a Broker. In every field but Listen and AdvertisedAddress zero means the default of [DefaultConfig].
type Config struct {
	// DataDir is where everything is kept; it is created when missing. One broker at a time has it open. Required.
	DataDir string

	// Listen is the address to accept Kafka clients on, host:port; port 0 takes a free one. Empty: nobody but Dial.
	Listen string

	// AdvertisedAddress is the host:port that clients are told to come back to. Empty: the address they dialled.
	AdvertisedAddress string

	// Listeners are further addresses, each with TLS, SASL and an advertised address of its own. Listen is one without TLS
	// and SASL, of the name PLAINTEXT.
	Listeners []Listener

	// Users can authenticate by SASL beside those that clients add (AlterUserScramCredentials) and that the data directory
	// keeps. Where a name is in both, these passwords count.
	Users []User

	Authorize       bool     // enforce ACLs; without it everybody who is let in may do everything
	SuperUsers      []string // super.users: principals who may do everything, such as User:admin
	AllowWithoutACL bool     // allow.everyone.if.no.acl.found: a resource that no ACL speaks of is everybody's
	MaxACLs         int      // ACLs beyond it are refused
	MaxQuotaClients int      // clients with a quota that are measured one by one; more share what there is

	NodeID    int32  // node.id, 0 is taken as 1; may not change in the life of a data directory
	ClusterID string // cluster id; empty: what the data directory has, or a new random one

	Durability Durability

	DisableAutoCreate bool  // do not create a topic because somebody asks for it (auto.create.topics.enable=false)
	DefaultPartitions int32 // partitions of a topic created without a number, 1 to MaxPartitions
	MaxPartitions     int   // partitions in all topics together; beyond it nothing more can be created

	SegmentBytes    int64         // log.segment.bytes, 1 KiB to 2 GiB - 1
	SegmentAge      time.Duration // log.roll.ms, at least 1 ms
	RetentionAge    time.Duration // log.retention.ms; below 0 keeps for ever
	RetentionBytes  int64         // log.retention.bytes, of each partition; below 0 is no limit
	MaxMessageBytes int           // message.max.bytes: largest batch accepted, compressed

	RetentionCheckInterval time.Duration // log.retention.check.interval.ms
	FileDeleteDelay        time.Duration // log.segment.delete.delay.ms; below 0 removes at once
	CompactionInterval     time.Duration // log.cleaner.backoff.ms: how often to look for topics to compact
	CompactionMemory       int64         // log.cleaner.dedupe.buffer.size: bytes for keys while a partition is compacted
	CompactionRate         int64         // log.cleaner.io.max.bytes.per.second: read and written by compaction; below 0 is no limit
	DiskReserve            int64         // bytes of the file system that records leave free: produce is refused first; below 0 is none
	DiskBudget             int64         // bytes all partitions together may take before produce is refused; below 0 is no limit
	ProducerIDExpiration   time.Duration // producer.id.expiration.ms

	MaxConnections      int           // open connections at the same time; more are closed as they come
	MaxConnectionsPerIP int           // max.connections.per.ip: open connections of one address
	MaxRequestBytes     int           // socket.request.max.bytes: a larger frame closes its connection
	MaxInFlightBytes    int64         // requests being read or served, in all connections together; more wait their turn
	MaxFetchBytes       int           // fetch.max.bytes: of one fetch response
	FetchSessions       int           // max.incremental.fetch.session.cache.slots: clients that are remembered by what they fetch; below 0 is none
	MaxQueued           int           // requests of one connection whose answers have not been sent; more are not read
	IdleTimeout         time.Duration // connections.max.idle.ms
	FrameTimeout        time.Duration // a begun frame must go on within this time, and a begun answer be taken
	HandshakeTimeout    time.Duration // for the TLS handshake and authentication together
	MaxReauth           time.Duration // connections.max.reauth.ms: by when a client that came by SASL authenticates again (KIP-368); 0 is never

	GroupInitialRebalanceDelay   time.Duration   // group.initial.rebalance.delay.ms; 0 is none, which is the default
	GroupMinSessionTimeout       time.Duration   // group.min.session.timeout.ms
	GroupMaxSessionTimeout       time.Duration   // group.max.session.timeout.ms
	GroupMaxSize                 int             // group.max.size: members of one group
	GroupConsumerMigrationPolicy MigrationPolicy // group.consumer.migration.policy
	GroupConsumerMaxSize         int             // group.consumer.max.size: members of one of KIP-848's groups

	// The timings of KIP-848's groups, and what a group's own configs may be: group.consumer.session.timeout.ms and
	// group.consumer.heartbeat.interval.ms, which is below it, with their min and max.
	GroupConsumerSessionTimeout       time.Duration
	GroupConsumerMinSessionTimeout    time.Duration
	GroupConsumerMaxSessionTimeout    time.Duration
	GroupConsumerHeartbeatInterval    time.Duration
	GroupConsumerMinHeartbeatInterval time.Duration
	GroupConsumerMaxHeartbeatInterval time.Duration

	TransactionMaxTimeout     time.Duration // transaction.max.timeout.ms: the longest a producer may ask for
	TransactionCheckInterval  time.Duration // transaction.abort.timed.out.transaction.cleanup.interval.ms
	TransactionalIDExpiration time.Duration // transactional.id.expiration.ms: ids that nobody has used for so long are forgotten
	MaxTransactionalIDs       int           // transactional ids remembered

	MaxGroups         int           // groups with members or committed offsets
	MaxGroupBytes     int64         // what members and committed offsets of all groups may take in memory
	OffsetsRetention  time.Duration // offsets.retention.ms, from when a group is empty; below 0 keeps for ever
	OffsetsPartitions int32         // offsets.topic.num.partitions, 1 to 50; only looked at when the topic is created

	Logger *slog.Logger // nil: discard

	streamFrom int // bytes; tests have smaller requests served while they arrive

	fs  commitlog.FS     // tests put one under the logs that fails or waits
	now func() time.Time // the clock of quotas; tests have one of their own
}

// DefaultConfig returns the configuration of a broker on a developer's machine or a single server. DataDir is left empty,
// and so is Listen.
func DefaultConfig() Config {
	return Config{
		NodeID:                            1,
		Durability:                        Fsync,
		DefaultPartitions:                 4,
		MaxPartitions:                     10_000,
		SegmentBytes:                      1 << 30,
		SegmentAge:                        7 * 24 * time.Hour,
		RetentionAge:                      7 * 24 * time.Hour,
		RetentionBytes:                    -1,
		MaxMessageBytes:                   1<<20 + 12,
		RetentionCheckInterval:            5 * time.Minute,
		FileDeleteDelay:                   time.Minute,
		CompactionInterval:                15 * time.Second,
		CompactionMemory:                  16 << 20,
		CompactionRate:                    -1,
		DiskReserve:                       64 << 20,
		DiskBudget:                        -1,
		ProducerIDExpiration:              24 * time.Hour,
		MaxConnections:                    4096,
		MaxConnectionsPerIP:               math.MaxInt32,
		MaxRequestBytes:                   100 << 20,
		MaxInFlightBytes:                  24 << 20,
		MaxFetchBytes:                     55 << 20,
		FetchSessions:                     1000,
		MaxQueued:                         256,
		IdleTimeout:                       10 * time.Minute,
		FrameTimeout:                      30 * time.Second,
		HandshakeTimeout:                  15 * time.Second,
		MaxACLs:                           10_000,
		MaxQuotaClients:                   10_000,
		GroupMinSessionTimeout:            100 * time.Millisecond,
		GroupMaxSessionTimeout:            30 * time.Minute,
		GroupMaxSize:                      5000,
		GroupConsumerMaxSize:              5000,
		GroupConsumerSessionTimeout:       45 * time.Second,
		GroupConsumerMinSessionTimeout:    45 * time.Second,
		GroupConsumerMaxSessionTimeout:    time.Minute,
		GroupConsumerHeartbeatInterval:    5 * time.Second,
		GroupConsumerMinHeartbeatInterval: 5 * time.Second,
		GroupConsumerMaxHeartbeatInterval: 15 * time.Second,
		TransactionMaxTimeout:             15 * time.Minute,
		TransactionCheckInterval:          10 * time.Second,
		TransactionalIDExpiration:         7 * 24 * time.Hour,
		MaxTransactionalIDs:               10_000,
		MaxGroups:                         10_000,
		MaxGroupBytes:                     64 << 20,
		OffsetsRetention:                  7 * 24 * time.Hour,
		OffsetsPartitions:                 1,
		Logger:                            slog.New(slog.DiscardHandler),
	}
}

// orDefault sets a zero field to its default.
func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns an error that names the first field with a value that is not allowed. Open does the same.
func (c Config) Validate() error {
	_, err := c.filled()
	return err
}

// filled returns c with the default in every zero field.
func (c Config) filled() (Config, error) {
	d := DefaultConfig()
	orDefault(&c.NodeID, d.NodeID)
	orDefault(&c.DefaultPartitions, d.DefaultPartitions)
	orDefault(&c.MaxPartitions, d.MaxPartitions)
	orDefault(&c.SegmentBytes, d.SegmentBytes)
	orDefault(&c.SegmentAge, d.SegmentAge)
	orDefault(&c.RetentionAge, d.RetentionAge)
	orDefault(&c.RetentionBytes, d.RetentionBytes)
	orDefault(&c.MaxMessageBytes, d.MaxMessageBytes)
	orDefault(&c.RetentionCheckInterval, d.RetentionCheckInterval)
	orDefault(&c.FileDeleteDelay, d.FileDeleteDelay)
	orDefault(&c.CompactionInterval, d.CompactionInterval)
	orDefault(&c.CompactionMemory, d.CompactionMemory)
	orDefault(&c.CompactionRate, d.CompactionRate)
	orDefault(&c.DiskReserve, d.DiskReserve)
	orDefault(&c.DiskBudget, d.DiskBudget)
	orDefault(&c.ProducerIDExpiration, d.ProducerIDExpiration)
	orDefault(&c.MaxConnections, d.MaxConnections)
	orDefault(&c.MaxConnectionsPerIP, d.MaxConnectionsPerIP)
	orDefault(&c.MaxRequestBytes, d.MaxRequestBytes)
	orDefault(&c.MaxInFlightBytes, d.MaxInFlightBytes)
	orDefault(&c.MaxFetchBytes, d.MaxFetchBytes)
	orDefault(&c.FetchSessions, d.FetchSessions)
	orDefault(&c.MaxQueued, d.MaxQueued)
	orDefault(&c.streamFrom, streamFrom)
	orDefault(&c.IdleTimeout, d.IdleTimeout)
	orDefault(&c.FrameTimeout, d.FrameTimeout)
	orDefault(&c.HandshakeTimeout, d.HandshakeTimeout)
	orDefault(&c.MaxACLs, d.MaxACLs)
	orDefault(&c.MaxQuotaClients, d.MaxQuotaClients)
	orDefault(&c.GroupMinSessionTimeout, d.GroupMinSessionTimeout)
	orDefault(&c.GroupMaxSessionTimeout, d.GroupMaxSessionTimeout)
	orDefault(&c.GroupMaxSize, d.GroupMaxSize)
	orDefault(&c.GroupConsumerMaxSize, d.GroupConsumerMaxSize)
	orDefault(&c.GroupConsumerSessionTimeout, d.GroupConsumerSessionTimeout)
	orDefault(&c.GroupConsumerMinSessionTimeout, d.GroupConsumerMinSessionTimeout)
	orDefault(&c.GroupConsumerMaxSessionTimeout, d.GroupConsumerMaxSessionTimeout)
	orDefault(&c.GroupConsumerHeartbeatInterval, d.GroupConsumerHeartbeatInterval)
	orDefault(&c.GroupConsumerMinHeartbeatInterval, d.GroupConsumerMinHeartbeatInterval)
	orDefault(&c.GroupConsumerMaxHeartbeatInterval, d.GroupConsumerMaxHeartbeatInterval)
	orDefault(&c.TransactionMaxTimeout, d.TransactionMaxTimeout)
	orDefault(&c.TransactionCheckInterval, d.TransactionCheckInterval)
	orDefault(&c.TransactionalIDExpiration, d.TransactionalIDExpiration)
	orDefault(&c.MaxTransactionalIDs, d.MaxTransactionalIDs)
	orDefault(&c.MaxGroups, d.MaxGroups)
	orDefault(&c.MaxGroupBytes, d.MaxGroupBytes)
	orDefault(&c.OffsetsRetention, d.OffsetsRetention)
	orDefault(&c.OffsetsPartitions, d.OffsetsPartitions)
	orDefault(&c.Logger, d.Logger)
	if err := c.check(); err != nil {
		return c, fmt.Errorf("broker config: %w", err)
	}
	return c, nil
}

func inField(field string, err error) error { return fmt.Errorf("%s: %w", field, err) }

func within[T int | int32 | int64 | time.Duration](field string, v, lo, hi T) error {
	if v < lo || v > hi {
		return fmt.Errorf("%s: %v is not within %v to %v", field, v, lo, hi)
	}
	return nil
}

func (c *Config) check() error {
	if c.DataDir == "" {
		return inField("DataDir", errors.New("must be set"))
	}
	if err := c.checkListeners(); err != nil {
		return err
	}
	if err := c.checkUsers(); err != nil {
		return err
	}
	if err := c.checkAuthorization(); err != nil {
		return err
	}
	if c.Durability > PageCache {
		return inField("Durability", fmt.Errorf("%d is neither Fsync nor PageCache", c.Durability))
	}
	if strings.ContainsFunc(c.ClusterID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return inField("ClusterID", fmt.Errorf("%q has characters beside printable ASCII", c.ClusterID))
	}
	const century = 100 * 365 * 24 * time.Hour
	for _, err := range []error{
		within("NodeID", c.NodeID, 1, math.MaxInt32),
		within("MaxPartitions", c.MaxPartitions, 1, 1_000_000),
		within("DefaultPartitions", c.DefaultPartitions, 1, int32(c.MaxPartitions)),
		within("SegmentBytes", c.SegmentBytes, 1024, math.MaxInt32),
		within("SegmentAge", c.SegmentAge, time.Millisecond, century),
		within("MaxRequestBytes", c.MaxRequestBytes, 1024, math.MaxInt32),
		within("MaxMessageBytes", c.MaxMessageBytes, 61, min(c.MaxRequestBytes, math.MaxInt32)),
		within("RetentionCheckInterval", c.RetentionCheckInterval, time.Millisecond, century),
		within("CompactionInterval", c.CompactionInterval, time.Millisecond, century),
		within("CompactionMemory", c.CompactionMemory, 1<<10, math.MaxInt64),
		within("ProducerIDExpiration", c.ProducerIDExpiration, time.Millisecond, century),
		within("MaxConnectionsPerIP", c.MaxConnectionsPerIP, 1, math.MaxInt32),
		within("MaxConnections", c.MaxConnections, 1, math.MaxInt32),
		within("MaxInFlightBytes", c.MaxInFlightBytes, 64<<10, math.MaxInt64),
		within("MaxFetchBytes", c.MaxFetchBytes, 1024, math.MaxInt32-1<<20),
		within("MaxQueued", c.MaxQueued, 1, 1<<16),
		within("IdleTimeout", c.IdleTimeout, time.Millisecond, century),
		within("FrameTimeout", c.FrameTimeout, time.Millisecond, century),
		within("MaxACLs", c.MaxACLs, 1, 1_000_000),
		within("MaxQuotaClients", c.MaxQuotaClients, 1, math.MaxInt32),
		within("HandshakeTimeout", c.HandshakeTimeout, time.Millisecond, century),
		within("MaxReauth", c.MaxReauth, 0, century),
		within("GroupInitialRebalanceDelay", c.GroupInitialRebalanceDelay, 0, time.Hour),
		within("GroupMinSessionTimeout", c.GroupMinSessionTimeout, time.Millisecond, c.GroupMaxSessionTimeout),
		within("GroupMaxSessionTimeout", c.GroupMaxSessionTimeout, time.Millisecond, math.MaxInt32*time.Millisecond),
		within("GroupMaxSize", c.GroupMaxSize, 1, math.MaxInt32),
		within("GroupConsumerMaxSize", c.GroupConsumerMaxSize, 1, math.MaxInt32),
		within("GroupConsumerMaxSessionTimeout", c.GroupConsumerMaxSessionTimeout, 2*time.Millisecond, math.MaxInt32*time.Millisecond),
		within("GroupConsumerMinSessionTimeout", c.GroupConsumerMinSessionTimeout, 2*time.Millisecond, c.GroupConsumerMaxSessionTimeout),
		within("GroupConsumerSessionTimeout", c.GroupConsumerSessionTimeout, c.GroupConsumerMinSessionTimeout, c.GroupConsumerMaxSessionTimeout),
		within("GroupConsumerMaxHeartbeatInterval", c.GroupConsumerMaxHeartbeatInterval, time.Millisecond, math.MaxInt32*time.Millisecond),
		within("GroupConsumerMinHeartbeatInterval", c.GroupConsumerMinHeartbeatInterval, time.Millisecond, c.GroupConsumerMaxHeartbeatInterval),
		within("GroupConsumerHeartbeatInterval", c.GroupConsumerHeartbeatInterval, c.GroupConsumerMinHeartbeatInterval, min(c.GroupConsumerMaxHeartbeatInterval, c.GroupConsumerSessionTimeout-1)),
		within("GroupConsumerMigrationPolicy", int(c.GroupConsumerMigrationPolicy), 0, int(MigrateNone)),
		within("TransactionMaxTimeout", c.TransactionMaxTimeout, time.Millisecond, math.MaxInt32*time.Millisecond),
		within("TransactionCheckInterval", c.TransactionCheckInterval, time.Millisecond, century),
		within("TransactionalIDExpiration", c.TransactionalIDExpiration, time.Millisecond, century),
		within("MaxTransactionalIDs", c.MaxTransactionalIDs, 1, math.MaxInt32),
		within("MaxGroups", c.MaxGroups, 1, math.MaxInt32),
		within("MaxGroupBytes", c.MaxGroupBytes, 1<<10, math.MaxInt64),
		within("OffsetsPartitions", c.OffsetsPartitions, 1, 50),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// logConfig is the configuration of a topic that sets nothing of its own.
func (c *Config) logConfig() commitlog.LogConfig {
	lc := commitlog.DefaultLogConfig()
	lc.SegmentBytes = c.SegmentBytes
	lc.SegmentAge = c.SegmentAge
	lc.RetentionAge = c.RetentionAge
	lc.RetentionBytes = c.RetentionBytes
	lc.MaxMessageBytes = c.MaxMessageBytes
	return lc
}

// splitHostPort reads host:port with a numeric port of at least minPort.
func splitHostPort(addr string, minPort int) (host string, port int32, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%q: want host:port", addr)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || int(n) < minPort {
		return "", 0, fmt.Errorf("%q: want a port within %d to 65535", addr, minPort)
	}
	return host, int32(n), nil
}
