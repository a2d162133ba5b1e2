package main

import (
	"fmt"
	"io"
)

// clientMBeans are the attributes of MBeans of Java's clients that no metric of Kafka clients has as such: which
// metric says the same nevertheless, or why none does. Those that one has are in kafkaMetrics.
var clientMBeans = []struct{ attributes, here string }{
	{"buffer-exhausted-total, buffer-exhausted-rate", "`tributary_sink_records_total{result=\"dropped\"}`"},
	{"bufferpool-wait-ratio, bufferpool-wait-time-ns-total", "not counted; `tributary_kafka_producer_waiting` says how many wait now"},
	{"request-size-avg", "`tributary_kafka_sent_bytes_total` by `tributary_kafka_requests_total`, of all kinds"},
	{"batch-size-max, record-size-max, request-size-max, fetch-size-max", "not counted: `batch.size`, `max.request.size` and `fetch.max.bytes` bound them"},
	{"incoming-byte-rate, request-latency-avg and others by node-id", "not by broker: the same metrics have all brokers of a client together"},
	{"records-lag-avg, records-lag-max by partition", "`avg_over_time()`, `max_over_time()` of `tributary_kafka_consumer_lag_records`"},
	{"records-lead, records-lead-avg, records-lead-min", "not counted"},
	{"preferred-read-replica", "not counted"},
	{"rebalance-rate-per-hour", "`rate()` of `tributary_kafka_consumer_rebalances_total`"},
	{"failed-rebalance-total, failed-rebalance-rate-per-hour, last-rebalance-seconds-ago, rebalance-latency-avg, rebalance-latency-max, rebalance-latency-total, " +
		"partition-assigned-latency-avg, partition-assigned-latency-max, partition-lost-latency-avg, partition-lost-latency-max, " +
		"partition-revoked-latency-avg, partition-revoked-latency-max", "not counted: the time of a rebalance is that of its `JoinGroup` and `SyncGroup`, or heartbeats"},
	{"last-heartbeat-seconds-ago", "`rate(tributary_kafka_requests_total{request=\"Heartbeat\"}[1m])` is 0 when there are none"},
	{"failed-authentication-total, failed-authentication-rate", "in `tributary_kafka_connects_failed_total`; the log says why"},
	{
		"successful-authentication-total, successful-authentication-rate, successful-authentication-no-reauth-total, successful-reauthentication-total, " +
			"successful-reauthentication-rate, failed-reauthentication-total, failed-reauthentication-rate, reauthentication-latency-avg, reauthentication-latency-max",
		"not counted: a login is part of `tributary_kafka_connections_opened_total`",
	},
	{"metadata-age", "not counted; `tributary_kafka_requests_total{request=\"Metadata\"}` says how often it is asked for"},
	{"metadata-wait-time-ns-total, flush-time-ns-total, commit-sync-time-ns-total, committed-time-ns-total, last-poll-seconds-ago, poll-idle-ratio-avg, " +
		"time-between-poll-avg, time-between-poll-max", "time in calls of Java's own interface: nobody makes them here"},
	{"txn-init-time-ns-total, txn-begin-time-ns-total, txn-send-offsets-time-ns-total, txn-prepare-time-ns-total, txn-commit-time-ns-total, " +
		"txn-abort-time-ns-total", "there are no transactions: sequence numbers alone see to it that a record is there once"},
	{"io-ratio, io-time-ns-avg, io-time-ns-total, io-wait-ratio, io-wait-time-ns-avg, io-wait-time-ns-total, select-total, select-rate, network-io-total, " +
		"network-io-rate", "of the one thread of a Java client; here each connection has its own, and `process_cpu_seconds_total` is what they take"},
	{"application-event-queue-processing-time-avg, application-event-queue-processing-time-max, application-event-queue-size, application-event-queue-time-avg, " +
		"application-event-queue-time-max, application-events-expired-count, background-event-queue-processing-time-avg, " +
		"background-event-queue-processing-time-max, background-event-queue-size, background-event-queue-time-avg, background-event-queue-time-max, " +
		"time-between-network-thread-poll-avg, time-between-network-thread-poll-max, unsent-requests-queue-size, unsent-requests-queue-time-avg, " +
		"unsent-requests-queue-time-max", "of the threads of a Java consumer with `group.protocol=consumer`: there are none here"},
	{"version, commit-id", "`tributary_build_info`"},
	{"start-time-ms", "`process_start_time_seconds`"},
	{"count", "how many metrics there are: not counted"},
}

// writeJavaNames writes which metric has what the MBeans of Java's clients say.
func writeJavaNames(w io.Writer) {
	fmt.Fprint(w, "\nThe MBeans `kafka.producer:type=producer-metrics`, `producer-topic-metrics`, `kafka.consumer:type=consumer-fetch-manager-metrics`, "+
		"`consumer-coordinator-metrics` and their like have averages and rates over a window; `rate()` over these counters, or one rate by another, gives the same. Java counts times "+
		"in milliseconds, these are seconds. All attributes of producer and consumer of Apache Kafka 4.3 are here.\n\n| Java's attributes | here |\n|---|---|\n")
	for _, k := range kafkaMetrics {
		if m, err := parseDesc(k.desc.String()); err == nil && k.java != "" {
			fmt.Fprintf(w, "| %s | `%s` |\n", cell(k.java), m.name)
		}
	}
	for _, m := range clientMBeans {
		fmt.Fprintf(w, "| %s | %s |\n", cell(m.attributes), cell(m.here))
	}
}
