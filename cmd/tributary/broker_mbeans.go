package main

import (
	"fmt"
	"io"
)

// brokerMBeans says which metrics have what MBeans of Kafka's broker say, for the reference. A metric
// of ours stands in backquotes, with what has to be done with it around it.
var brokerMBeans = []struct{ mbean, here string }{
	{"kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec", "`tributary_broker_topic_records_in_total`"},
	{"…name=BytesInPerSec", "`tributary_broker_topic_bytes_in_total`"},
	{"…name=BytesOutPerSec", "`tributary_broker_topic_bytes_out_total`"},
	{"…name=BytesRejectedPerSec, FailedProduceRequestsPerSec", "`tributary_broker_topic_rejected_total`, which counts partitions; why, by `tributary_broker_errors_total`"},
	{"…name=FailedFetchRequestsPerSec", "`tributary_broker_errors_total`"},
	{"…name=TotalProduceRequestsPerSec, TotalFetchRequestsPerSec", "`tributary_broker_requests_total`"},
	{"kafka.network:type=RequestMetrics,name=RequestsPerSec,request=…", "`tributary_broker_requests_total`"},
	{"…name=ErrorsPerSec,error=…", "`tributary_broker_errors_total`"},
	{"…name=TotalTimeMs", "`tributary_broker_request_seconds_total` by `tributary_broker_requests_total`"},
	{"…name=RequestQueueTimeMs, RequestChannel,name=RequestQueueSize", "always 0: who reads a request serves it"},
	{"…name=LocalTimeMs", "`tributary_broker_request_part_seconds_total`, `part=\"local\"`"},
	{"…name=RemoteTimeMs", "the same, `part=\"remote\"`"},
	{"…name=ResponseQueueTimeMs", "the same, `part=\"response_queue\"`"},
	{"…name=ResponseSendTimeMs", "the same, `part=\"response_send\"`"},
	{"…name=ThrottleTimeMs", "`tributary_broker_quota_throttle_seconds_total`"},
	{"kafka.log:type=LogFlushStats,name=LogFlushRateAndTimeMs", "`tributary_broker_log_flushes_total`, and `tributary_broker_log_flush_seconds_total` by it"},
	{"kafka.server:type=DelayedOperationPurgatory,name=PurgatorySize,delayedOperation=Fetch", "`tributary_broker_waiting_fetches`"},
	{"…delayedOperation=Produce", "`tributary_broker_waiting_produces`"},
	{"…delayedOperation=Rebalance", "`tributary_broker_groups`, `state=\"PreparingRebalance\"`"},
	{"kafka.server:type=ReplicaManager,name=PartitionCount, LeaderCount", "`tributary_broker_partitions`"},
	{"…name=OfflineReplicaCount", "`tributary_broker_partitions` while `tributary_broker_offline` is 1, else 0"},
	{"…name=UnderReplicatedPartitions, UnderMinIsrPartitionCount, IsrShrinksPerSec", "always 0: one node has no replicas"},
	{"kafka.controller:type=KafkaController,name=GlobalTopicCount, GlobalPartitionCount", "`tributary_broker_partitions`; `count(tributary_broker_topic_partitions)`, up to 500 topics"},
	{"kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent", "1 less `sum(rate(tributary_broker_request_part_seconds_total{part=\"local\"}[1m])) / go_sched_gomaxprocs_threads`: there are no handlers, each connection has its own"},
	{"kafka.network:type=SocketServer,name=NetworkProcessorAvgIdlePercent", "1 less the same with `part=\"response_send\"`; `rate(process_cpu_seconds_total[1m])` says more of either"},
	{"kafka.server:type=Produce, type=Fetch, type=Request, type=ControllerMutation; throttle-time", "`tributary_broker_quota_throttle_seconds_total`, by user and client id"},
	{"…byte-rate, request-time, tokens", "`tributary_broker_quota_rate`"},
	{"kafka.server:type=socket-server-metrics; connection-count", "`tributary_broker_connections`"},
	{"…connection-creation-rate, connection-close-rate", "`tributary_broker_connections_accepted_total`, `tributary_broker_connections_closed_total`"},
	{"…incoming-byte-rate, outgoing-byte-rate", "`tributary_broker_request_bytes_total`, `tributary_broker_response_bytes_total`"},
	{"…successful-authentication-rate, failed-authentication-rate, successful-reauthentication-rate", "`tributary_broker_authentications_total`"},
	{"kafka.server:type=FetchSessionCache,name=NumIncrementalFetchSessions, NumIncrementalFetchPartitionsCached", "`tributary_broker_fetch_sessions`, `tributary_broker_fetch_session_partitions`"},
	{"…name=IncrementalFetchSessionEvictionsPerSec", "`tributary_broker_fetch_sessions_evicted_total`"},
	{"kafka.log:type=Log,name=Size", "`tributary_broker_topic_size_bytes`"},
	{"…name=NumLogSegments", "`tributary_broker_log_segments`"},
	{"…name=LogStartOffset, LogEndOffset", "`tributary_broker_topic_records` is their difference"},
	{"kafka.log:type=LogManager,name=OfflineLogDirectoryCount", "`tributary_broker_offline`"},
	{"kafka.coordinator.group:type=GroupMetadataManager,name=NumGroups, NumGroupsStable, …", "`tributary_broker_groups`"},
}

// writeBrokerMBeans writes them.
func writeBrokerMBeans(w io.Writer) {
	fmt.Fprint(w, "\nWhat the MBeans of Kafka's broker say is in these; a name that begins with `…` goes on with what stands before the comma above it. `rate()` over a counter is Kafka's "+
		"rate, and one rate by another its mean; Kafka's percentiles there are not. Kafka counts times in milliseconds, these are seconds.\n\n| Kafka's MBean | here |\n|---|---|\n")
	for _, m := range brokerMBeans {
		fmt.Fprintf(w, "| %s | %s |\n", cell(m.mbean), cell(m.here))
	}
}
