// Package bench measures a Kafka cluster: [Produce] and [Consume] drive clients as fast as they go, or at a rate, and report
// throughput and latency while they run and in a summary. The clients are the caller's, with their acks, batches and
// compression; here is only what is sent, counted and timed.
package bench
