// Package broker is a Kafka broker to embed in a Go program: one node, durable, on local disk, speaking Kafka's wire
// protocol to any Kafka client.
//
// [Open] recovers the data directory, starts listening and returns a running [Broker]; [Broker.Close] stops it in order.
// [Broker.Dial] gives a client in the same process a connection over a socket pair, so that nothing has to listen at all.
// [Config] says what can be set, [DefaultConfig] is a good start and [Broker.Stats] counts what happens.
//
//	b, err := broker.Open(broker.Config{DataDir: dir, Listen: "127.0.0.1:9092"})
//
// # What it promises
//
// An answer to a produce request with acks=all means that the disk has the records; consumers see them from then on (the
// high watermark is the flushed offset). acks=1 is answered from the page cache. An idempotent producer's retry is
// recognised even across a crash, and a transaction is committed or aborted as a whole. After an unclean stop every partition's leader epoch goes up before the first client
// is let in. Committed offsets and group metadata lie in the topic __consumer_offsets in Kafka's own schemas.
//
// Memory is bounded by [Config], never by what a frame claims about itself. A malformed frame, or a panic while one is
// served, ends its connection and nothing else.
//
// # Who may do what
//
// [Config.Listeners] are addresses with TLS and SASL of their own; [Config.Users] and the users that clients add can
// authenticate; [Config.Authorize] has ACLs enforced on every request, and quotas hold as soon as one is set. All of it that
// clients change is in the data directory. Connections by Dial are the program's own: nothing is asked of them.
//
// # What it is not
//
// There is one node: no replication, no controller quorum. What a request cannot do here is not advertised, so clients
// do not ask for it. docs/kafka.md tells, request by request, which versions are served.
//
// # Where things are
//
// Every request kind has a file of its own (produce.go, fetch.go, join_group.go, ...) that names the versions it serves and
// the KIPs behind them; api.go lists them. server.go and conn.go move bytes, topics.go keeps the topics and their
// configuration, group.go is the classic group coordinator and offsets_topic.go its memory. session.go says who is at the
// other end of a connection, scram.go and tls.go how that is found out, authorize.go what it may do and throttle.go how
// fast. Records are kept by the log
// package under it, batch by batch as the producer sent them; nothing is decompressed on the way in or out.
package broker
