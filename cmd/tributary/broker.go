package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/broker"
	"github.com/tributary-net/tributary/internal/daemon"
)

// brokerOptions are the options of the embedded broker, alone or as a part of up.
type brokerOptions struct {
	cfg        broker.Config
	durability string
	autoCreate bool
	addrFile   string
	security   securityOptions
}

func defaultBrokerOptions() *brokerOptions {
	cfg := broker.DefaultConfig()
	cfg.Listen = defaultBroker
	cfg.DataDir = "tributary-data"
	// Written as 0 is no limit, where the broker's zero is its default.
	cfg.RetentionBytes, cfg.DiskBudget, cfg.CompactionRate = 0, 0, 0
	return &brokerOptions{
		cfg: cfg, durability: cfg.Durability.String(), autoCreate: !cfg.DisableAutoCreate, security: defaultSecurityOptions(),
	}
}

const (
	maxInt32    = 1<<31 - 1
	maxInt64    = 1<<63 - 1
	maxDuration = time.Duration(1<<63 - 1)
)

func (o *brokerOptions) register(fs *pflag.FlagSet, prefix string) {
	c := &o.cfg
	textVar(fs, &c.Listen, prefix+"listen", "host:port", checkBrokerListen, "accept Kafka clients here, without TLS and users; port 0 takes a free one, off none")
	stringVar(fs, &c.DataDir, prefix+"data", "keep everything in this `directory`")
	textVar(fs, &c.AdvertisedAddress, prefix+"advertise", "host:port", checkAdvertise, "tell clients to come back here; without it, where they dialled")
	o.security.register(fs, prefix)
	stringVar(fs, &o.addrFile, prefix+"addr-file", "write the address it listens on to this `file`, once it does; one a line if there are several")
	intVar(fs, &c.NodeID, prefix+"node-id", 1, maxInt32, "node.id; may not change in the life of a data directory")
	enumVar(fs, &o.durability, prefix+"durability", []string{"fsync", "page-cache"}, "what a record has reached when acks=all is answered: the disk, or the kernel")
	boolVar(fs, &o.autoCreate, prefix+"auto-create", "create a topic when a client asks for it")
	intVar(fs, &c.DefaultPartitions, prefix+"partitions", 1, 10_000, "partitions of a topic created without a number")
	intVar(fs, &c.MaxPartitions, prefix+"max-partitions", 1, 1_000_000, "partitions of all topics together")
	durationVar(fs, &c.RetentionAge, prefix+"retention", 0, maxDuration, "keep records this long where the topic does not say; 0 is for ever")
	sizeVar(fs, &c.RetentionBytes, prefix+"retention-bytes", 0, maxInt64, "keep this much of each partition where the topic does not say; 0 is no limit")
	sizeVar(fs, &c.SegmentBytes, prefix+"segment-bytes", 1<<10, maxInt32, "begin a new segment file at this size")
	durationVar(fs, &c.SegmentAge, prefix+"segment-age", time.Second, maxDuration, "begin a new segment file after this time")
	sizeVar(fs, &c.MaxMessageBytes, prefix+"max-message-bytes", 1<<10, 1<<30, "largest record batch accepted")
	sizeVar(fs, &c.MaxRequestBytes, prefix+"max-request-bytes", 1<<20, maxInt32, "largest request accepted")
	sizeVar(fs, &c.MaxInFlightBytes, prefix+"max-in-flight-bytes", 1<<20, 1<<40, "memory for the requests of all clients; more wait their turn")
	intVar(fs, &c.MaxConnections, prefix+"max-connections", 1, 1_000_000, "clients connected at the same time")
	intVar(fs, &c.MaxConnectionsPerIP, prefix+"max-connections-per-ip", 1, maxInt32, "clients connected from one address at the same time")
	durationVar(fs, &c.IdleTimeout, prefix+"idle-timeout", time.Second, maxDuration, "close a connection without traffic")
	durationVar(fs, &c.HandshakeTimeout, prefix+"handshake-timeout", 100*time.Millisecond, time.Hour, "time for a TLS handshake and authentication together")
	durationVar(fs, &c.MaxReauth, prefix+"max-reauth", 0, maxDuration, "close a connection whose client has not authenticated again by SASL in this time; 0 is never")
	intVar(fs, &c.FetchSessions, prefix+"fetch-sessions", 1, 1_000_000, "consumers that are remembered by what they fetch")
	durationVar(fs, &c.OffsetsRetention, prefix+"offsets-retention", time.Minute, maxDuration, "keep the offsets of an empty group this long")
	durationVar(fs, &c.GroupInitialRebalanceDelay, prefix+"rebalance-delay", 0, time.Minute, "wait for further members before the first rebalance of a group")
	sizeVar(fs, &c.DiskReserve, prefix+"disk-reserve", 0, maxInt64, "refuse records that would leave less than this free on the disk; 0 refuses none")
	sizeVar(fs, &c.DiskBudget, prefix+"disk-budget", 0, maxInt64, "refuse records when all partitions together would take more; 0 is no limit")
	durationVar(fs, &c.CompactionInterval, prefix+"compaction-interval", time.Millisecond, 24*time.Hour, "look for compacted topics that are due this often")
	sizeVar(fs, &c.CompactionMemory, prefix+"compaction-memory", 1<<10, 1<<40, "memory for the keys of a partition while it is compacted; more keys take several passes")
	sizeVar(fs, &c.CompactionRate, prefix+"compaction-rate", 0, maxInt64, "bytes that compaction may read and write a second; 0 is no limit")
	durationVar(fs, &c.FileDeleteDelay, prefix+"file-delete-delay", 0, time.Hour, "remove files this long after their records are gone")
	durationVar(fs, &c.RetentionCheckInterval, prefix+"retention-check-interval", time.Second, 24*time.Hour, "look for expired segments this often")
}

func (o *brokerOptions) check() error {
	_, err := o.config()
	return err
}

// config is what the broker is opened with.
func (o *brokerOptions) config() (broker.Config, error) {
	c := o.cfg
	if c.DataDir == "" {
		return c, bad("data", "", "allowed is the name of a directory")
	}
	if c.Listen == listenOff {
		c.Listen = ""
	}
	if err := o.security.apply(&c); err != nil {
		return c, err
	}
	var err error
	if c.Durability, err = broker.ParseDurability(o.durability); err != nil {
		return c, err
	}
	c.DisableAutoCreate = !o.autoCreate
	// What is written 0 here is below 0 there, where 0 stands for the default.
	if c.RetentionAge == 0 {
		c.RetentionAge = -1
	}
	if c.RetentionBytes == 0 {
		c.RetentionBytes = -1
	}
	if c.FileDeleteDelay == 0 {
		c.FileDeleteDelay = -1
	}
	for _, v := range []*int64{&c.DiskReserve, &c.DiskBudget, &c.CompactionRate} {
		if *v == 0 {
			*v = -1
		}
	}
	return c, c.Validate()
}

// listenOff is the --listen that takes no address.
const listenOff = "off"

// checkBrokerListen accepts host:port to listen on, or off.
func checkBrokerListen(s string) error {
	if s == listenOff {
		return nil
	}
	return checkAddress(s)
}

// checkAddress accepts host:port to listen on.
func checkAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return errors.New("allowed is host:port, such as 127.0.0.1:9092 or [::1]:9092")
	}
	return nil
}

// checkAdvertise accepts host:port to send clients to, or nothing.
func checkAdvertise(s string) error {
	if s == "" {
		return nil
	}
	if host, port, err := net.SplitHostPort(s); err != nil || host == "" || port == "0" || port == "" {
		return errors.New("allowed is host:port, such as kafka.example.net:9092")
	}
	return checkAddress(s)
}

func newBroker() *cobra.Command {
	o := &brokerAloneOptions{brokerOptions: defaultBrokerOptions()}
	run := newServiceOptions("127.0.0.1:8085")
	return configured(&cobra.Command{
		Use:   "broker",
		Short: "Run the embedded Kafka broker by itself",
		Long: `Run the embedded broker by itself: one durable node that any Kafka client can
use, with its data in one directory.

An answer to acks=all means that the records are on the disk. Told to stop, it
answers the requests it has, writes everything down, and ends.`,
		Example: `  tributary broker --listen 127.0.0.1:9092 --data /var/lib/tributary
  tributary broker --listen [::]:9092 --advertise kafka.example.net:9092 --retention 24h
  tributary broker --server-properties config/server.properties --override log.dirs=/var/lib/tributary`,
		Args: cobra.NoArgs,
	}, serviceCommand{o, &run}, func(c *cobra.Command, _ []string) error {
		return runService(c, &run, func(_ context.Context, s *service) error {
			o.say(s)
			return o.addTo(s, &embeddedBroker{})
		})
	})
}

// embeddedBroker is the broker of this process once its part has started.
type embeddedBroker struct{ *broker.Broker }

// Dial connects within the process; it is the dialer of embedded: endpoints.
func (e *embeddedBroker) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return e.Broker.Dial(ctx)
}

// addTo adds the broker to a service; b has it after its part has started.
func (o *brokerOptions) addTo(s *service, b *embeddedBroker) error {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	cfg.Logger = s.log
	s.http.Ready("broker", func() error {
		if b.Broker == nil {
			return errors.New("is starting")
		}
		return b.Err()
	})
	s.group.Add(daemon.Part{
		Name: "broker",
		Start: func(context.Context) error {
			opened, err := broker.Open(cfg)
			if err != nil {
				return brokerError(err)
			}
			b.Broker = opened
			s.registry.MustRegister(brokerCollector{opened})
			listening := opened.Listeners()
			for _, l := range listening {
				daemon.WarnPublic(s.log, "broker", l.Addr)
				s.log.Info("broker listens", "addr", l.Addr.String(), "listener", l.Name, "protocol", l.Protocol, "data", cfg.DataDir, "durability", cfg.Durability.String())
			}
			return o.writeAddr(listening)
		},
		// The broker stops by itself only when it is closed; Stop does that.
		Stop: func(context.Context) error {
			if o.addrFile != "" {
				_ = os.Remove(o.addrFile)
			}
			return b.Close()
		},
	})
	return nil
}

// brokerError says in plain words why the broker did not open.
func brokerError(err error) error {
	if plain := daemon.ListenError(err); plain != err {
		return fmt.Errorf("broker: %w", plain)
	}
	return err
}

// writeAddr writes the addresses for whoever waits for them: the file is there
// when it is whole.
func (o *brokerOptions) writeAddr(listening []broker.ListenerInfo) error {
	if o.addrFile == "" || len(listening) == 0 {
		return nil
	}
	var lines []byte
	for _, l := range listening {
		lines = fmt.Appendln(lines, l.Addr)
	}
	part := o.addrFile + ".part"
	if err := os.WriteFile(part, lines, 0o644); err != nil {
		return err
	}
	return os.Rename(part, o.addrFile)
}
