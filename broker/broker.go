package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// Broker is a running broker. Its methods may be called from any goroutine.
type Broker struct {
	cfg  Config
	log  *slog.Logger
	apis [maxAPIKey + 1]*api
	self []int32 // the node id, as a list of replicas

	dir          *commitlog.Dir
	topics       *topics
	groups       *groups
	groupConfigs *groupConfigs
	txns         *txns
	fetches      *fetchSessions
	producerIDs  producerIDs
	buffers      *buffers
	counters     counters

	live  *liveConfig
	users *users

	authTrouble trouble

	acls   *acls // nil: everybody may do everything
	quotas *quotas

	listeners []*listener
	accept    sync.WaitGroup
	conns     connSet

	closing   chan struct{}
	closeOnce sync.Once
	closed    chan struct{}
	closeErr  error
}

// Open recovers the data directory and starts a broker on it. Clients can connect when it returns.
//
// Errors: ErrLocked, ErrCorruptMetadata, a field of cfg that is not allowed, an address that is in use, or what the file
// system said.
func Open(cfg Config) (*Broker, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, err
	}
	b := &Broker{
		cfg:     cfg,
		log:     cfg.Logger,
		apis:    apiTable(servedAPIs()),
		self:    []int32{cfg.NodeID},
		buffers: newBuffers(cfg.MaxInFlightBytes),
		fetches: newFetchSessions(&cfg),
		closing: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	b.conns.conns, b.conns.hosts = make(map[*conn]struct{}), make(map[string]int)
	if err := b.open(); err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("open broker: %w", err)
	}
	return b, nil
}

func (b *Broker) open() error {
	// The address first: recovery may take long, and a second broker by mistake should hear of it at once.
	for _, cfg := range b.cfg.listeners() {
		l, err := b.listen(cfg)
		if err != nil {
			return err
		}
		b.listeners = append(b.listeners, l)
	}
	if err := os.MkdirAll(b.cfg.DataDir, 0o755); err != nil {
		return err
	}
	meta, err := readMetadata(b.cfg.DataDir)
	if err != nil {
		return err
	}
	if b.live, err = openLiveConfig(&b.cfg, meta); err != nil {
		return err
	}
	durability := commitlog.Fsync
	if b.cfg.Durability == PageCache {
		durability = commitlog.PageCache
	}
	b.dir, err = commitlog.OpenDir(commitlog.DirConfig{
		Path:              b.cfg.DataDir,
		FS:                b.cfg.fs,
		Durability:        durability,
		Defaults:          b.live.config.Load().logConfig(),
		ConfigOf:          configOf(b.live.config.Load(), meta),
		NodeID:            b.cfg.NodeID,
		ClusterID:         b.cfg.ClusterID,
		ProducerExpiry:    b.cfg.ProducerIDExpiration,
		RetentionInterval: b.cfg.RetentionCheckInterval,
		CleanerInterval:   b.cfg.CompactionInterval,
		CleanerMapBytes:   b.cfg.CompactionMemory,
		CleanerRate:       max(b.cfg.CompactionRate, 0),
		DiskReserve:       max(b.cfg.DiskReserve, 0),
		DiskBudget:        max(b.cfg.DiskBudget, 0),
		FileDeleteDelay:   max(b.cfg.FileDeleteDelay, 0),
		Logger:            b.log,
	})
	if errors.Is(err, commitlog.ErrLocked) {
		return fmt.Errorf("%s: %w", b.cfg.DataDir, ErrLocked)
	}
	if err != nil {
		return err
	}
	b.producerIDs.dir = b.dir
	if err := meta.open(); err != nil {
		return err
	}
	if b.topics, err = openTopics(b.live, b.dir, meta); err != nil {
		_ = meta.close()
		return err
	}
	if b.users, err = openUsers(&b.cfg, meta); err != nil {
		return err
	}
	if b.quotas, err = openQuotas(&b.cfg, meta); err != nil {
		return err
	}
	if b.acls, err = openACLs(&b.cfg, meta); err != nil {
		return err
	}
	if b.groupConfigs, err = openGroupConfigs(&b.cfg, meta); err != nil {
		return err
	}
	if b.groups, err = openGroups(b); err != nil {
		return err
	}
	if b.txns, err = openTxns(b); err != nil {
		return err
	}
	for _, l := range b.listeners {
		b.accept.Go(l.run)
	}
	return nil
}

// Addr returns the address the broker listens on, its first one if there are several; nil when it does not.
func (b *Broker) Addr() net.Addr {
	if len(b.listeners) == 0 {
		return nil
	}
	return b.listeners[0].Addr()
}

// ListenerInfo says where a listener listens.
type ListenerInfo struct {
	Name     string
	Protocol string // Kafka's name of its security protocol
	Addr     net.Addr
}

// Listeners returns all listeners in the order of the configuration, that of Listen first.
func (b *Broker) Listeners() []ListenerInfo {
	var all []ListenerInfo
	for _, l := range b.listeners {
		all = append(all, ListenerInfo{l.cfg.Name, l.cfg.Protocol(), l.Addr()})
	}
	return all
}

// ClusterID returns the cluster id clients see.
func (b *Broker) ClusterID() string { return b.dir.ClusterID() }

// Dial connects to the broker within the process. A Kafka client is given it as its dialer, whatever address it asks for. It
// need not authenticate, and everything is allowed to it.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, server, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("dial broker: %w", err)
	}
	if !b.serveConn(server, nil) {
		_ = client.Close()
		if b.isClosing() {
			return nil, fmt.Errorf("dial broker: %w", ErrClosed)
		}
		return nil, fmt.Errorf("dial broker: %d connections are open", b.live.config.Load().MaxConnections)
	}
	return client, nil
}

// Run waits until ctx is done or the broker is closed, then closes it.
func (b *Broker) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-b.closed:
	}
	return b.Close()
}

// Err is not nil once nothing more can be written because the disk did not answer an fsync. What is there can be read.
func (b *Broker) Err() error { return b.dir.Err() }

func (b *Broker) isClosing() bool {
	select {
	case <-b.closing:
		return true
	default:
		return false
	}
}

// Close stops the broker: it takes no more requests, answers those it has, flushes everything and marks the data directory
// as closed in order. Every call returns when that is done, with the same error.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() {
		b.closeErr = b.shutDown()
		close(b.closed)
	})
	return b.closeErr
}

// closeLimit is how long answers may take that are owed at Close.
const closeLimit = 5 * time.Second

func (b *Broker) shutDown() error {
	close(b.closing)
	for _, l := range b.listeners {
		_ = l.Close()
	}
	b.accept.Wait()
	if b.groups != nil {
		b.groups.close()
	}
	if b.txns != nil {
		b.txns.close()
	}
	b.buffers.close()
	b.conns.drain(closeLimit)
	var err error
	if b.dir != nil {
		err = b.dir.Close()
	}
	if b.topics != nil {
		err = errors.Join(err, b.topics.meta.close())
	}
	if err != nil {
		return fmt.Errorf("close broker: %w", err)
	}
	return nil
}
