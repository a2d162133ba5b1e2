package kafkaconfig

import "slices"

// topicList is every setting of Kafka 4.3's topics. What package broker does with them is held against it by a test.
var topicList = slices.Concat(
	[]Setting{
		{Name: "cleanup.policy"},
		{Name: "delete.retention.ms"},
		{Name: "index.interval.bytes"},
		{Name: "max.compaction.lag.ms"},
		{Name: "max.message.bytes"},
		{Name: "message.timestamp.after.max.ms"},
		{Name: "message.timestamp.before.max.ms"},
		{Name: "message.timestamp.type"},
		{Name: "min.cleanable.dirty.ratio"},
		{Name: "min.compaction.lag.ms"},
		{Name: "retention.bytes"},
		{Name: "retention.ms"},
		{Name: "segment.bytes"},
		{Name: "segment.ms"},
		only("remote.storage.enable", noRemote, "false"),
		only("remote.log.copy.disable", noRemote),
		only("remote.log.delete.on.disable", noRemote),
		only("compression.gzip.level", "batches stay as the producer compressed them"),
		only("compression.lz4.level", "batches stay as the producer compressed them"),
		only("compression.zstd.level", "batches stay as the producer compressed them"),
		only("internal.segment.bytes", "`segment.bytes` may be as small"),
	},
	idle("batches stay as the producer compressed them", "compression.type"),
	idle(durable, "flush.messages", "flush.ms"),
	idle(oneReplica, "follower.replication.throttled.replicas", "leader.replication.throttled.replicas", "min.insync.replicas", "unclean.leader.election.enable"),
	idle(noRemote, "local.retention.bytes", "local.retention.ms"),
	idle("files grow as they are written", "preallocate", "segment.index.bytes"),
	idle("the broker's own holds for all", "file.delete.delay.ms"),
	idle(own, "segment.jitter.ms"),
)

// Topic lists the settings of topics.
func Topic() []Setting { return sorted(topicList) }

// Broker lists the settings of the broker.
func Broker() []Setting { return sorted(serverList) }
