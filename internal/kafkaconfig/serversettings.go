package kafkaconfig

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-net/tributary/broker"
)

// Why settings have no effect, or are refused.
const (
	alone      = "there is one node"
	noThreads  = "there are no pools of threads to size"
	noBuffers  = "buffers follow `--max-in-flight-bytes`"
	noMetrics  = "metrics are Prometheus's, on `--http`"
	noTokens   = "there are no delegation tokens"
	noRemote   = "there is no remote storage"
	noShare    = "there are no share groups"
	noStreams  = "streams groups are not served; Streams runs in classic groups"
	noKerberos = "there is no Kerberos"
	noOAuth    = "there is no OAUTHBEARER"
	noRaft     = "the broker is its own controller, without a quorum"
	noLogin    = "the broker logs in nowhere"
	noClass    = "Java's classes cannot be run"
	own        = "decided by the broker itself"
	atOnce     = "partitions are assigned anew as soon as something changes; Apache Kafka waits a second"
	durable    = "`--durability` decides about flushes: by default every acknowledged record is on the disk"
	oneReplica = "there is one replica of everything"
	onTopic    = "set it on topics"
	javaTLS    = "TLS is Go's, not Java's"
	old        = "of earlier versions of Kafka"
)

// serverList is every setting of Kafka 4.3's broker, and those of earlier versions that files still have.
var serverList = slices.Concat(
	[]Setting{
		honoured("listeners", "names and protocols; one that `controller.listener.names` has is not opened. An empty host is every address", func(s *server, v string) error {
			s.listeners = items(v)
			return nil
		}),
		honoured("advertised.listeners", "without it clients come back to the address they dialled", func(s *server, v string) error {
			s.advertised = items(v)
			return nil
		}),
		honoured("listener.security.protocol.map", "", protocolMap),
		honoured("controller.listener.names", "those listeners are not opened", func(s *server, v string) error {
			for _, n := range items(v) {
				s.controllers = append(s.controllers, strings.ToUpper(n))
			}
			return nil
		}),
		honoured("process.roles", "one node is both, whatever it says; `controller` alone is refused", func(_ *server, v string) error {
			if !slices.Contains(items(v), "broker") {
				return errors.New("allowed is broker or broker,controller: there is no controller by itself")
			}
			return nil
		}),
		honoured("node.id", "0 is taken as 1", nodeID),
		honoured("broker.id", "the same", nodeID),
		honoured("log.dirs", "one directory; several are refused", func(s *server, v string) error { s.dirs = items(v); return nil }),
		honoured("log.dir", "where there is no `log.dirs`", text(func(s *server, v string) { s.dir = v })),
		honoured("num.partitions", "", number(func(s *server, n int64) { s.config.DefaultPartitions = int32(n) }, 1, 1_000_000)),
		honoured("auto.create.topics.enable", "", boolean(func(s *server, on bool) { s.config.DisableAutoCreate = !on })),

		honoured("log.retention.ms", "", span(func(s *server, d time.Duration) { s.retention.set(d, 3) }, time.Millisecond, -1)),
		honoured("log.retention.minutes", "", span(func(s *server, d time.Duration) { s.retention.set(d, 2) }, time.Minute, -1)),
		honoured("log.retention.hours", "", span(func(s *server, d time.Duration) { s.retention.set(d, 1) }, time.Hour, -1)),
		honoured("log.retention.bytes", "", number(func(s *server, n int64) {
			if s.config.RetentionBytes = n; n == 0 {
				s.config.RetentionBytes = 1
			}
		}, math.MinInt64, math.MaxInt64)),
		honoured("log.retention.check.interval.ms", "", span(func(s *server, d time.Duration) { s.config.RetentionCheckInterval = d }, time.Millisecond, 1)),
		honoured("log.roll.ms", "", span(func(s *server, d time.Duration) { s.roll.set(d, 2) }, time.Millisecond, 1)),
		honoured("log.roll.hours", "", span(func(s *server, d time.Duration) { s.roll.set(d, 1) }, time.Hour, 1)),
		honoured("log.segment.bytes", "", number(func(s *server, n int64) { s.config.SegmentBytes = n }, 1024, math.MaxInt32)),
		honoured("log.segment.delete.delay.ms", "", span(func(s *server, d time.Duration) {
			if s.config.FileDeleteDelay = d; d == 0 {
				s.config.FileDeleteDelay = -1
			}
		}, time.Millisecond, 0)),
		honoured("log.cleaner.backoff.ms", "", span(func(s *server, d time.Duration) { s.config.CompactionInterval = max(d, time.Millisecond) }, time.Millisecond, 0)),
		honoured("log.cleaner.dedupe.buffer.size", "", number(func(s *server, n int64) { s.config.CompactionMemory = n }, 1024, math.MaxInt64)),
		honoured("log.cleaner.io.max.bytes.per.second", "", cleanerRate),
		honoured("message.max.bytes", "", number(func(s *server, n int64) { s.config.MaxMessageBytes = int(n) }, 61, math.MaxInt32)),

		honoured("socket.request.max.bytes", "", number(func(s *server, n int64) { s.config.MaxRequestBytes = int(n) }, 1024, math.MaxInt32)),
		honoured("queued.max.request.bytes", "memory for the requests of all clients; -1 is the default here, 24 MiB", number(func(s *server, n int64) {
			if n > 0 {
				s.config.MaxInFlightBytes = max(n, 64<<10)
			}
		}, -1, math.MaxInt64)),
		honoured("fetch.max.bytes", "", number(func(s *server, n int64) { s.config.MaxFetchBytes = int(n) }, 1024, math.MaxInt32-1<<20)),
		honoured("connections.max.idle.ms", "", span(func(s *server, d time.Duration) { s.config.IdleTimeout = d }, time.Millisecond, 1)),
		honoured("connections.max.reauth.ms", "", span(func(s *server, d time.Duration) { s.config.MaxReauth = d }, time.Millisecond, 0)),
		honoured("max.incremental.fetch.session.cache.slots", "", number(func(s *server, n int64) {
			if s.config.FetchSessions = int(n); n == 0 {
				s.config.FetchSessions = -1
			}
		}, 0, math.MaxInt32)),
		honoured("max.connections", "4096 where it is not set", number(func(s *server, n int64) { s.config.MaxConnections = int(n) }, 1, math.MaxInt32)),
		honoured("max.connections.per.ip", "", number(func(s *server, n int64) { s.config.MaxConnectionsPerIP = int(n) }, 1, math.MaxInt32)),

		honoured("group.initial.rebalance.delay.ms", "0 where it is not set, 3000 with Apache Kafka: the first member of a group need not wait for others", span(func(s *server, d time.Duration) { s.config.GroupInitialRebalanceDelay = d }, time.Millisecond, 0)),
		honoured("group.min.session.timeout.ms", "100 where it is not set, 6000 with Apache Kafka: a client on the same machine may want to be missed sooner; who keeps to Kafka's bound notices nothing", span(func(s *server, d time.Duration) { s.config.GroupMinSessionTimeout = d }, time.Millisecond, 1)),
		honoured("group.max.session.timeout.ms", "", span(func(s *server, d time.Duration) { s.config.GroupMaxSessionTimeout = d }, time.Millisecond, 1)),
		honoured("group.max.size", "5000 where it is not set, as `group.consumer.max.size`", number(func(s *server, n int64) { s.config.GroupMaxSize = int(n) }, 1, math.MaxInt32)),
		honoured("group.consumer.max.size", "5000 where it is not set, no limit with Apache Kafka: what clients make the broker remember is bounded", number(func(s *server, n int64) { s.config.GroupConsumerMaxSize = int(n) }, 1, math.MaxInt32)),
		honoured("group.consumer.session.timeout.ms", "", span(func(s *server, d time.Duration) { s.config.GroupConsumerSessionTimeout = d }, time.Millisecond, 2)),
		honoured("group.consumer.min.session.timeout.ms", "", span(func(s *server, d time.Duration) { s.config.GroupConsumerMinSessionTimeout = d }, time.Millisecond, 2)),
		honoured("group.consumer.max.session.timeout.ms", "", span(func(s *server, d time.Duration) { s.config.GroupConsumerMaxSessionTimeout = d }, time.Millisecond, 2)),
		honoured("group.consumer.heartbeat.interval.ms", "", span(func(s *server, d time.Duration) { s.config.GroupConsumerHeartbeatInterval = d }, time.Millisecond, 1)),
		honoured("group.consumer.min.heartbeat.interval.ms", "", span(func(s *server, d time.Duration) { s.config.GroupConsumerMinHeartbeatInterval = d }, time.Millisecond, 1)),
		honoured("group.consumer.max.heartbeat.interval.ms", "", span(func(s *server, d time.Duration) { s.config.GroupConsumerMaxHeartbeatInterval = d }, time.Millisecond, 1)),
		honoured("group.consumer.migration.policy", "", func(s *server, v string) (err error) {
			s.config.GroupConsumerMigrationPolicy, err = broker.ParseMigrationPolicy(strings.ToLower(v))
			return err
		}),
		honoured("offsets.retention.minutes", "", span(func(s *server, d time.Duration) { s.config.OffsetsRetention = d }, time.Minute, 1)),
		honoured("offsets.topic.num.partitions", "at most 50; 1 where it is not set. Looked at when the topic is made", number(func(s *server, n int64) { s.config.OffsetsPartitions = int32(min(n, 50)) }, 1, math.MaxInt32)),
		honoured("producer.id.expiration.ms", "", span(func(s *server, d time.Duration) { s.config.ProducerIDExpiration = d }, time.Millisecond, 1)),
		honoured("transaction.max.timeout.ms", "", span(func(s *server, d time.Duration) { s.config.TransactionMaxTimeout = d }, time.Millisecond, 1)),
		honoured("transaction.abort.timed.out.transaction.cleanup.interval.ms", "", span(func(s *server, d time.Duration) { s.config.TransactionCheckInterval = d }, time.Millisecond, 1)),
		honoured("transactional.id.expiration.ms", "", span(func(s *server, d time.Duration) { s.config.TransactionalIDExpiration = d }, time.Millisecond, 1)),

		honoured("authorizer.class.name", "Kafka's own authorizers, of now and before; others are refused", authorizer),
		honoured("super.users", "with an authorizer", func(s *server, v string) error {
			for u := range strings.SplitSeq(v, ";") {
				if u = strings.TrimSpace(u); u != "" {
					s.superUsers = append(s.superUsers, u)
				}
			}
			return nil
		}),
		honoured("allow.everyone.if.no.acl.found", "with an authorizer", boolean(func(s *server, on bool) { s.allowWithout = on })),

		honoured("sasl.enabled.mechanisms", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; GSSAPI, which is Kafka's default, and OAUTHBEARER are refused", mechanismList),
		honoured("ssl.keystore.location", "a PEM file of key and certificate", func(s *server, v string) error {
			s.tls.CertFile = v
			return pemFile(v)
		}),
		honoured("ssl.truststore.location", "a PEM file", func(s *server, v string) error {
			s.tls.ClientCAFile = v
			return pemFile(v)
		}),
		honoured("ssl.client.auth", "", func(s *server, v string) (err error) {
			s.tls.ClientAuth, err = broker.ParseClientAuth(v)
			return err
		}),
		honoured("ssl.principal.mapping.rules", "", text(func(s *server, v string) { s.tls.PrincipalRules = v })),

		honoured("host.name", old, text(func(s *server, v string) { s.hostName = v })),
		honoured("port", old, text(func(s *server, v string) { s.port = v })),
		honoured("advertised.host.name", old, text(func(s *server, v string) { s.advHost = v })),
		honoured("advertised.port", old, text(func(s *server, v string) { s.advPort = v })),

		only("ssl.keystore.type", pemHint, "PEM"),
		only("ssl.truststore.type", pemHint, "PEM"),
		only("ssl.keystore.key", "put key and certificate into a file, `ssl.keystore.location`"),
		only("ssl.keystore.certificate.chain", "put key and certificate into a file, `ssl.keystore.location`"),
		only("ssl.truststore.certificates", "put it into a file, `ssl.truststore.location`"),
		only("ssl.key.password", "the key has to be in the clear, in a file that only the broker can read"),
		only("ssl.enabled.protocols", "both are always there", "TLSv1.2,TLSv1.3", "TLSv1.3,TLSv1.2", "TLSv1.2, TLSv1.3", "TLSv1.3, TLSv1.2"),
		only("ssl.cipher.suites", "the suites are Go's"),
		only("ssl.engine.factory.class", noClass),
		only("sasl.server.callback.handler.class", noClass),
		only("principal.builder.class", noClass, "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", "class org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
		only("create.topic.policy.class.name", noClass),
		only("alter.config.policy.class.name", noClass),
		only("client.quota.callback.class", noClass),
		only("config.providers", "values are taken as they stand"),

		only("default.replication.factor", oneReplica, "1", "-1"),
		only("min.insync.replicas", oneReplica, "1"),
		only("offsets.topic.replication.factor", oneReplica, "1", "-1"),
		only("transaction.state.log.replication.factor", oneReplica, "1", "-1"),
		only("transaction.state.log.min.isr", oneReplica, "1"),
		only("delete.topic.enable", "topics can be deleted; ACLs say by whom", "true"),
		only("log.cleaner.enable", "compacted topics are always compacted", "true"),
		only("log.cleanup.policy", onTopic+": cleanup.policy", "delete"),
		only("compression.type", "batches stay as the producer compressed them", "producer"),
		only("log.message.timestamp.type", onTopic+": message.timestamp.type", "CreateTime"),
		only("log.cleaner.delete.retention.ms", onTopic+": delete.retention.ms", "86400000"),
		only("log.cleaner.min.cleanable.ratio", onTopic+": min.cleanable.dirty.ratio", "0.5"),
		only("log.cleaner.min.compaction.lag.ms", onTopic+": min.compaction.lag.ms", "0"),
		only("log.cleaner.max.compaction.lag.ms", onTopic+": max.compaction.lag.ms", "9223372036854775807"),
		only("remote.log.storage.system.enable", noRemote, "false"),
		only("transaction.two.phase.commit.enable", "transactions end when their time is up", "false"),
		only("max.connections.per.ip.overrides", "`max.connections.per.ip` holds for all addresses"),
		only("max.connection.creation.rate", "there is no such limit", "2147483647"),
		only("cordoned.log.dirs", "there is one directory"),
		only("quota.producer.default", "set a quota for the default client", "9223372036854775807"),
		only("quota.consumer.default", "set a quota for the default client", "9223372036854775807"),
	},
	idle(alone, "broker.rack", "inter.broker.listener.name", "security.inter.broker.protocol", "controlled.shutdown.enable",
		"auto.leader.rebalance.enable", "leader.imbalance.check.interval.seconds", "unclean.leader.election.enable",
		"unclean.leader.election.interval.ms", "follower.fetch.last.tiered.offset.enable", "num.replica.alter.log.dirs.threads",
		"num.replica.fetchers", "replica.fetch.backoff.ms", "replica.fetch.max.bytes", "replica.fetch.min.bytes",
		"replica.fetch.response.max.bytes", "replica.fetch.wait.max.ms", "replica.high.watermark.checkpoint.interval.ms",
		"replica.lag.time.max.ms", "replica.selector.class", "replica.socket.receive.buffer.bytes", "replica.socket.timeout.ms",
		"replication.quota.window.num", "replication.quota.window.size.seconds", "alter.log.dirs.replication.quota.window.num",
		"alter.log.dirs.replication.quota.window.size.seconds", "log.dir.failure.timeout.ms"),
	idle(noRaft, "broker.heartbeat.interval.ms", "broker.session.timeout.ms", "controller.performance.always.log.threshold.ms",
		"controller.performance.sample.period.ms", "controller.quorum.append.linger.ms", "controller.quorum.auto.join.enable",
		"controller.quorum.bootstrap.servers", "controller.quorum.election.backoff.max.ms", "controller.quorum.election.timeout.ms",
		"controller.quorum.fetch.max.bytes", "controller.quorum.fetch.snapshot.max.bytes", "controller.quorum.fetch.timeout.ms",
		"controller.quorum.request.timeout.ms", "controller.quorum.retry.backoff.ms", "controller.quorum.voters",
		"controller.quota.window.num", "controller.quota.window.size.seconds", "controller.socket.timeout.ms",
		"early.start.listeners", "initial.broker.registration.timeout.ms", "internal.metadata.delete.delay.millis",
		"internal.metadata.log.segment.bytes", "internal.metadata.max.batch.size.in.bytes", "metadata.log.dir",
		"metadata.log.max.record.bytes.between.snapshots", "metadata.log.max.snapshot.interval.ms", "metadata.log.segment.bytes",
		"metadata.log.segment.ms", "metadata.max.idle.interval.ms", "metadata.max.retention.bytes", "metadata.max.retention.ms",
		"sasl.mechanism.controller.protocol", "server.max.startup.time.ms", "unstable.api.versions.enable",
		"unstable.feature.versions.enable"),
	idle(noThreads, "background.threads", "num.io.threads", "num.network.threads", "num.recovery.threads.per.data.dir",
		"log.cleaner.threads", "group.coordinator.background.threads", "group.coordinator.threads"),
	idle(noBuffers, "queued.max.requests", "socket.receive.buffer.bytes", "socket.send.buffer.bytes", "socket.listen.backlog.size",
		"log.cleaner.io.buffer.size", "log.cleaner.io.buffer.load.factor", "offsets.load.buffer.size",
		"transaction.state.log.load.buffer.size", "group.coordinator.append.linger.ms", "group.coordinator.cached.buffer.max.bytes",
		"sasl.server.max.receive.size"),
	idle(durable, "log.flush.interval.messages", "log.flush.interval.ms", "log.flush.scheduler.interval.ms",
		"log.flush.offset.checkpoint.interval.ms", "log.flush.start.offset.checkpoint.interval.ms"),
	idle(noMetrics, "kafka.metrics.polling.interval.secs", "kafka.metrics.reporters", "metric.reporters", "metrics.num.samples",
		"metrics.recording.level", "metrics.sample.window.ms", "auto.include.jmx.reporter", "telemetry.max.bytes"),
	idle(noTokens, "delegation.token.expiry.check.interval.ms", "delegation.token.expiry.time.ms", "delegation.token.max.lifetime.ms",
		"delegation.token.secret.key", "delegation.token.master.key"),
	idle(atOnce, "group.consumer.assignment.interval.ms", "group.consumer.max.assignment.interval.ms", "group.consumer.min.assignment.interval.ms"),
	idle(own, "add.partitions.to.txn.retry.backoff.max.ms", "add.partitions.to.txn.retry.backoff.ms", "compression.gzip.level",
		"compression.lz4.level", "compression.zstd.level", "connection.failed.authentication.delay.ms",
		"delete.records.purgatory.purge.interval.requests", "fetch.purgatory.purge.interval.requests",
		"group.consumer.assignors", "group.consumer.regex.refresh.interval.ms", "group.coordinator.rebalance.protocols",
		"log.index.interval.bytes", "log.index.size.max.bytes", "log.initial.task.delay.ms", "log.message.timestamp.after.max.ms",
		"log.message.timestamp.before.max.ms", "log.preallocate", "log.roll.jitter.hours", "log.roll.jitter.ms",
		"max.request.partition.size.limit", "offset.metadata.max.bytes",
		"offsets.commit.timeout.ms", "offsets.retention.check.interval.ms", "offsets.topic.compression.codec",
		"offsets.topic.segment.bytes", "producer.id.expiration.check.interval.ms", "producer.purgatory.purge.interval.requests",
		"quota.window.num", "quota.window.size.seconds", "request.timeout.ms", "socket.connection.setup.timeout.max.ms",
		"socket.connection.setup.timeout.ms", "transaction.partition.verification.enable",
		"transaction.remove.expired.transaction.cleanup.interval.ms", "transaction.state.log.num.partitions",
		"transaction.state.log.segment.bytes"),
	idle(noShare, shareSettings...),
	idle(noStreams, "group.streams.assignment.interval.ms", "group.streams.heartbeat.interval.ms", "group.streams.initial.rebalance.delay.ms",
		"group.streams.max.assignment.interval.ms", "group.streams.max.heartbeat.interval.ms", "group.streams.max.session.timeout.ms",
		"group.streams.max.size", "group.streams.max.standby.replicas", "group.streams.min.assignment.interval.ms",
		"group.streams.min.heartbeat.interval.ms", "group.streams.min.session.timeout.ms", "group.streams.num.standby.replicas",
		"group.streams.session.timeout.ms"),
	idle(noRemote, remoteSettings...),
	idle(noKerberos, kerberosSettings...),
	idle(noOAuth, oauthSettings...),
	idle(noLogin, "sasl.mechanism.inter.broker.protocol", "sasl.jaas.config", "sasl.client.callback.handler.class",
		"sasl.login.callback.handler.class", "sasl.login.class", "sasl.login.connect.timeout.ms", "sasl.login.read.timeout.ms",
		"sasl.login.refresh.buffer.seconds", "sasl.login.refresh.min.period.seconds", "sasl.login.refresh.window.factor",
		"sasl.login.refresh.window.jitter", "sasl.login.retry.backoff.max.ms", "sasl.login.retry.backoff.ms",
		"ssl.endpoint.identification.algorithm"),
	idle(javaTLS, "ssl.allow.dn.changes", "ssl.allow.san.changes", "ssl.keymanager.algorithm", "ssl.keystore.password",
		"ssl.protocol", "ssl.provider", "ssl.secure.random.implementation", "ssl.trustmanager.algorithm", "ssl.truststore.password",
		"security.providers"),
	idle(old, "broker.id.generation.enable", "reserved.broker.max.id", "inter.broker.protocol.version", "log.message.format.version",
		"log.message.timestamp.difference.max.ms", "log.message.downconversion.enable", "control.plane.listener.name",
		"controlled.shutdown.max.retries", "controlled.shutdown.retry.backoff.ms", "offsets.commit.required.acks",
		"leader.imbalance.per.broker.percentage", "password.encoder.secret", "password.encoder.old.secret",
		"password.encoder.keyfactory.algorithm", "password.encoder.cipher.algorithm", "password.encoder.key.length",
		"password.encoder.iterations", "group.coordinator.new.enable", "eligible.leader.replicas.enable", "migration.enabled",
		"zookeeper.metadata.migration.enable", "log.cleanup.interval.mins", "enable.zookeeper"),
)

var (
	shareSettings = strings.Fields(`group.share.assignment.interval.ms group.share.assignors group.share.delivery.count.limit
		group.share.heartbeat.interval.ms group.share.initialize.retry.interval.ms group.share.max.assignment.interval.ms
		group.share.max.delivery.count.limit group.share.max.heartbeat.interval.ms group.share.max.partition.max.record.locks
		group.share.max.record.lock.duration.ms group.share.max.session.timeout.ms group.share.max.share.sessions
		group.share.max.size group.share.min.assignment.interval.ms group.share.min.delivery.count.limit
		group.share.min.heartbeat.interval.ms group.share.min.partition.max.record.locks group.share.min.record.lock.duration.ms
		group.share.min.session.timeout.ms group.share.partition.max.record.locks group.share.persister.class.name
		group.share.record.lock.duration.ms group.share.session.timeout.ms share.coordinator.append.linger.ms
		share.coordinator.cached.buffer.max.bytes share.coordinator.cold.partition.snapshot.interval.ms
		share.coordinator.load.buffer.size share.coordinator.snapshot.update.records.per.snapshot
		share.coordinator.state.topic.compression.codec share.coordinator.state.topic.min.isr
		share.coordinator.state.topic.num.partitions share.coordinator.state.topic.prune.interval.ms
		share.coordinator.state.topic.replication.factor share.coordinator.state.topic.segment.bytes share.coordinator.threads
		share.coordinator.write.timeout.ms share.fetch.purgatory.purge.interval.requests`)
	remoteSettings = strings.Fields(`log.local.retention.bytes log.local.retention.ms remote.fetch.max.wait.ms
		remote.list.offsets.request.timeout.ms remote.log.index.file.cache.total.size.bytes remote.log.index.file.cache.ttl.ms
		remote.log.manager.copier.thread.pool.size remote.log.manager.copy.max.bytes.per.second
		remote.log.manager.copy.quota.window.num remote.log.manager.copy.quota.window.size.seconds
		remote.log.manager.expiration.thread.pool.size remote.log.manager.fetch.max.bytes.per.second
		remote.log.manager.fetch.quota.window.num remote.log.manager.fetch.quota.window.size.seconds
		remote.log.manager.follower.thread.pool.size remote.log.manager.task.interval.ms
		remote.log.manager.task.retry.backoff.max.ms remote.log.manager.task.retry.backoff.ms remote.log.manager.task.retry.jitter
		remote.log.manager.thread.pool.size remote.log.metadata.custom.metadata.max.bytes
		remote.log.metadata.manager.class.name remote.log.metadata.manager.class.path remote.log.metadata.manager.impl.prefix
		remote.log.metadata.manager.listener.name remote.log.reader.max.pending.tasks remote.log.reader.threads
		remote.log.storage.manager.class.name remote.log.storage.manager.class.path remote.log.storage.manager.impl.prefix`)
	kerberosSettings = strings.Fields(`sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin
		sasl.kerberos.principal.to.local.rules sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter
		sasl.kerberos.ticket.renew.window.factor`)
	oauthSettings = strings.Fields(`sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
		sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
		sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
		sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.private.key.file
		sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.template.file
		sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.credentials.client.secret
		sasl.oauthbearer.clock.skew.seconds sasl.oauthbearer.expected.audience sasl.oauthbearer.expected.issuer
		sasl.oauthbearer.jwks.endpoint.refresh.ms sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms
		sasl.oauthbearer.jwks.endpoint.retry.backoff.ms sasl.oauthbearer.jwks.endpoint.url
		sasl.oauthbearer.jwt.retriever.class sasl.oauthbearer.jwt.validator.class sasl.oauthbearer.scope
		sasl.oauthbearer.scope.claim.name sasl.oauthbearer.sub.claim.name sasl.oauthbearer.token.endpoint.url`)
)

var serverSettings = byName(serverList)

func byName(list []Setting) map[string]*Setting {
	m := make(map[string]*Setting, len(list))
	for i := range list {
		m[list[i].Name] = &list[i]
	}
	return m
}

// nodeID reads node.id. Kafka's own files begin to count at 0.
func nodeID(s *server, value string) error {
	n, err := strconv.ParseInt(value, 10, 32)
	switch {
	case err != nil || n < -1:
		return errors.New("allowed are whole numbers from 0 to 2147483647")
	case n == 0:
		s.notes.Unsaid = append(s.notes.Unsaid, "node id 0 is 1 here")
	case n > 0:
		s.config.NodeID = int32(n)
	}
	return nil
}

// protocolMap reads NAME:PROTOCOL,...
func protocolMap(s *server, value string) error {
	s.protocols = map[string]string{}
	for _, pair := range items(value) {
		name, protocol, ok := strings.Cut(pair, ":")
		protocol = strings.ToUpper(protocol)
		if !ok || !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, protocol) {
			return fmt.Errorf("%q: allowed is NAME:PROTOCOL with one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", pair)
		}
		s.protocols[strings.ToUpper(name)] = protocol
	}
	return nil
}

// cleanerRate reads a floating number; Kafka's default is the largest there is.
func cleanerRate(s *server, value string) error {
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || !(f > 0) {
		return errors.New("allowed are numbers above 0")
	}
	s.config.CompactionRate = -1
	if f < math.MaxInt64 {
		s.config.CompactionRate = max(int64(f), 1)
	}
	return nil
}

// authorizer accepts Kafka's own; what they do is one thing here.
func authorizer(s *server, value string) error {
	switch value {
	case "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "kafka.security.authorizer.AclAuthorizer", "kafka.security.auth.SimpleAclAuthorizer":
		s.authorize = true
		return nil
	}
	return errors.New("allowed is org.apache.kafka.metadata.authorizer.StandardAuthorizer: " + noClass)
}
