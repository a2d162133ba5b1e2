package kafkaconfig

import (
	"slices"
	"strings"

	"github.com/tributary-net/tributary/internal/kafka"
)

// The settings of Kafka 4.3's clients, by name.
var (
	clientNames = strings.Fields(`bootstrap.servers client.dns.lookup client.id config.providers connections.max.idle.ms enable.metrics.push
		interceptor.classes metadata.max.age.ms metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy
		metric.reporters metrics.num.samples metrics.recording.level metrics.sample.window.ms receive.buffer.bytes
		reconnect.backoff.max.ms reconnect.backoff.ms request.timeout.ms retry.backoff.max.ms retry.backoff.ms
		sasl.client.callback.handler.class sasl.jaas.config sasl.kerberos.kinit.cmd
		sasl.kerberos.min.time.before.relogin sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter
		sasl.kerberos.ticket.renew.window.factor sasl.login.callback.handler.class sasl.login.class
		sasl.login.connect.timeout.ms sasl.login.read.timeout.ms sasl.login.refresh.buffer.seconds
		sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor sasl.login.refresh.window.jitter
		sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms sasl.mechanism
		sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
		sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
		sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
		sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file
		sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.assertion.private.key.passphrase
		sasl.oauthbearer.assertion.template.file sasl.oauthbearer.client.credentials.client.id
		sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.clock.skew.seconds
		sasl.oauthbearer.expected.audience sasl.oauthbearer.expected.issuer sasl.oauthbearer.header.urlencode
		sasl.oauthbearer.jwks.endpoint.refresh.ms sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms
		sasl.oauthbearer.jwks.endpoint.retry.backoff.ms sasl.oauthbearer.jwks.endpoint.url
		sasl.oauthbearer.jwt.retriever.class sasl.oauthbearer.jwt.validator.class sasl.oauthbearer.scope
		sasl.oauthbearer.scope.claim.name sasl.oauthbearer.sub.claim.name sasl.oauthbearer.token.endpoint.url
		security.protocol security.providers send.buffer.bytes socket.connection.setup.timeout.max.ms
		socket.connection.setup.timeout.ms ssl.cipher.suites ssl.enabled.protocols
		ssl.endpoint.identification.algorithm ssl.engine.factory.class ssl.key.password ssl.keymanager.algorithm
		ssl.keystore.certificate.chain ssl.keystore.key ssl.keystore.location ssl.keystore.password ssl.keystore.type
		ssl.protocol ssl.provider ssl.secure.random.implementation ssl.trustmanager.algorithm
		ssl.truststore.certificates ssl.truststore.location ssl.truststore.password ssl.truststore.type`)
	producerNames = strings.Fields(`acks batch.size buffer.memory compression.gzip.level compression.lz4.level compression.type
		compression.zstd.level delivery.timeout.ms enable.idempotence key.serializer linger.ms max.block.ms
		max.in.flight.requests.per.connection max.request.size metadata.max.idle.ms
		partitioner.adaptive.partitioning.enable partitioner.availability.timeout.ms partitioner.class
		partitioner.ignore.keys retries transaction.timeout.ms transaction.two.phase.commit.enable transactional.id
		value.serializer`)
	consumerNames = strings.Fields(`allow.auto.create.topics auto.commit.interval.ms auto.offset.reset check.crcs client.rack
		default.api.timeout.ms enable.auto.commit exclude.internal.topics fetch.max.bytes fetch.max.wait.ms
		fetch.min.bytes group.id group.instance.id group.protocol group.remote.assignor heartbeat.interval.ms
		internal.throw.on.fetch.stable.offset.unsupported isolation.level key.deserializer max.partition.fetch.bytes
		max.poll.interval.ms max.poll.records partition.assignment.strategy session.timeout.ms
		share.acknowledgement.mode share.acquire.mode value.deserializer`)
)

// whyIdle says of some settings of clients why they have no effect.
var whyIdle = map[string]string{
	"transactional.id":                    "only `bench produce --transactional-id` produces in transactions",
	"transaction.timeout.ms":              "only `bench produce --transactional-id` produces in transactions",
	"transaction.two.phase.commit.enable": "only `bench produce --transactional-id` produces in transactions",
	"key.serializer":                      "keys are octets",
	"value.serializer":                    "values are octets",
	"key.deserializer":                    "keys are octets",
	"value.deserializer":                  "values are octets",
	"partitioner.class":                   "by the key as Kafka's own does it, or as the command's options say",
	"partition.assignment.strategy":       "cooperative-sticky",
	"allow.auto.create.topics":            "consuming makes no topic",
	"check.crcs":                          "always checked",
	"max.poll.records":                    "what has come is taken",
	"ssl.keystore.password":               "PEM files have none; `ssl.key.password` opens a key",
	"ssl.truststore.password":             "PEM files have none",
	"default.api.timeout.ms":              "`--kafka-timeout`",
	"sasl.client.callback.handler.class":  noClass,
	"sasl.login.callback.handler.class":   noClass,
	"interceptor.classes":                 noClass,
	"metric.reporters":                    noClass,
	"security.providers":                  noClass,
	"ssl.engine.factory.class":            noClass,
	"config.providers":                    noClass,
}

// clientSettings says of names whether internal/kafka carries them out.
func clientSettings(names []string) []Setting {
	all := make([]Setting, 0, len(names))
	known := map[string]kafka.Property{}
	for _, p := range kafka.KnownProperties() {
		known[p.Name] = p
	}
	for _, n := range slices.Sorted(slices.Values(names)) {
		t := Setting{Name: n, Verdict: WithoutEffect, Note: whyIdle[n]}
		if p, ok := known[n]; ok {
			t.Verdict, t.Note = Honoured, p.Doc
		}
		all = append(all, t)
	}
	return all
}

// Producer lists the settings of Kafka's producer.
func Producer() []Setting { return clientSettings(slices.Concat(clientNames, producerNames)) }

// Consumer lists the settings of Kafka's consumer.
func Consumer() []Setting { return clientSettings(slices.Concat(clientNames, consumerNames)) }
