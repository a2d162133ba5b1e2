package main

import (
	"errors"
	"net"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// brokerOptions are the options of the embedded broker, alone or as a part of up.
type brokerOptions struct {
	listen            string
	data              string
	advertise         string
	nodeID            int32
	durability        string
	autoCreate        bool
	partitions        int32
	retention         time.Duration
	retentionBytes    int64
	segmentBytes      int64
	segmentAge        time.Duration
	maxMessageBytes   int
	maxRequestBytes   int
	maxConnections    int
	offsetsRetention  time.Duration
	rebalanceDelay    time.Duration
	deleteDelay       time.Duration
	retentionInterval time.Duration
}

func defaultBrokerOptions() *brokerOptions {
	return &brokerOptions{
		listen:            "127.0.0.1:9092",
		data:              "tributary-data",
		nodeID:            1,
		durability:        "fsync",
		autoCreate:        true,
		partitions:        4,
		retention:         7 * 24 * time.Hour,
		segmentBytes:      1 << 30,
		segmentAge:        7 * 24 * time.Hour,
		maxMessageBytes:   1<<20 + 12,
		maxRequestBytes:   100 << 20,
		maxConnections:    4096,
		offsetsRetention:  7 * 24 * time.Hour,
		deleteDelay:       time.Minute,
		retentionInterval: 5 * time.Minute,
	}
}

const (
	maxInt32    = 1<<31 - 1
	maxInt64    = 1<<63 - 1
	maxDuration = time.Duration(1<<63 - 1)
)

func (o *brokerOptions) register(fs *pflag.FlagSet, prefix string) {
	textVar(fs, &o.listen, prefix+"listen", "host:port", checkAddress, "accept Kafka clients here; port 0 takes a free one")
	stringVar(fs, &o.data, prefix+"data", "keep everything in this `directory`")
	textVar(fs, &o.advertise, prefix+"advertise", "host:port", checkAdvertise, "tell clients to come back here; without it, where they dialled")
	intVar(fs, &o.nodeID, prefix+"node-id", 1, maxInt32, "node.id; may not change in the life of a data directory")
	enumVar(fs, &o.durability, prefix+"durability", []string{"fsync", "page-cache"}, "what a record has reached when acks=all is answered: the disk, or the kernel")
	boolVar(fs, &o.autoCreate, prefix+"auto-create", "create a topic when a client asks for it")
	intVar(fs, &o.partitions, prefix+"partitions", 1, 10_000, "partitions of a topic created without a number")
	durationVar(fs, &o.retention, prefix+"retention", 0, maxDuration, "keep records this long where the topic does not say; 0 is for ever")
	sizeVar(fs, &o.retentionBytes, prefix+"retention-bytes", 0, maxInt64, "keep this much of each partition where the topic does not say; 0 is no limit")
	sizeVar(fs, &o.segmentBytes, prefix+"segment-bytes", 1<<10, maxInt32, "begin a new segment file at this size")
	durationVar(fs, &o.segmentAge, prefix+"segment-age", time.Second, maxDuration, "begin a new segment file after this time")
	sizeVar(fs, &o.maxMessageBytes, prefix+"max-message-bytes", 1<<10, 1<<30, "largest record batch accepted")
	sizeVar(fs, &o.maxRequestBytes, prefix+"max-request-bytes", 1<<20, maxInt32, "largest request accepted")
	intVar(fs, &o.maxConnections, prefix+"max-connections", 1, 1_000_000, "clients connected at the same time")
	durationVar(fs, &o.offsetsRetention, prefix+"offsets-retention", time.Minute, maxDuration, "keep the offsets of an empty group this long")
	durationVar(fs, &o.rebalanceDelay, prefix+"rebalance-delay", 0, time.Minute, "wait for further members before the first rebalance of a group")
	durationVar(fs, &o.deleteDelay, prefix+"file-delete-delay", 0, time.Hour, "remove files this long after their records are gone")
	durationVar(fs, &o.retentionInterval, prefix+"retention-check-interval", time.Second, 24*time.Hour, "look for expired segments this often")
}

func (o *brokerOptions) check() error { return nil }

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
	o := defaultBrokerOptions()
	return configured(&cobra.Command{
		Use:   "broker",
		Short: "Run the embedded Kafka broker by itself",
		Long: `Run the embedded broker by itself: one durable node that any Kafka client can
use, with its data in one directory.`,
		Example: `  tributary broker --listen 127.0.0.1:9092 --data /var/lib/tributary
  tributary broker --listen [::]:9092 --advertise kafka.example.net:9092 --retention 24h`,
		Args: cobra.NoArgs,
	}, o, func(*cobra.Command, []string) error {
		return errors.New("the broker is not part of this build")
	})
}
