package sflow

// Counter records of sflow.org, by number (sFlow version 5, section 5.4, "counter
// data"; sFlow Host Structures; sFlow LAG Port Statistics; sFlow HTTP Structures).
var linkCounters = [8]*counterRecord{
	1: {"generic_interface", fields(
		"ifIndex", "ifType", "ifSpeed*", "ifDirection", "ifStatus",
		"ifInOctets*", "ifInUcastPkts", "ifInMulticastPkts", "ifInBroadcastPkts",
		"ifInDiscards", "ifInErrors", "ifInUnknownProtos",
		"ifOutOctets*", "ifOutUcastPkts", "ifOutMulticastPkts", "ifOutBroadcastPkts",
		"ifOutDiscards", "ifOutErrors", "ifPromiscuousMode",
	)},
	2: {"ethernet_interface", fields(
		"dot3StatsAlignmentErrors", "dot3StatsFCSErrors", "dot3StatsSingleCollisionFrames",
		"dot3StatsMultipleCollisionFrames", "dot3StatsSQETestErrors", "dot3StatsDeferredTransmissions",
		"dot3StatsLateCollisions", "dot3StatsExcessiveCollisions", "dot3StatsInternalMacTransmitErrors",
		"dot3StatsCarrierSenseErrors", "dot3StatsFrameTooLongs", "dot3StatsInternalMacReceiveErrors",
		"dot3StatsSymbolErrors",
	)},
	3: {"token_ring", fields(
		"dot5StatsLineErrors", "dot5StatsBurstErrors", "dot5StatsACErrors", "dot5StatsAbortTransErrors",
		"dot5StatsInternalErrors", "dot5StatsLostFrameErrors", "dot5StatsReceiveCongestions",
		"dot5StatsFrameCopiedErrors", "dot5StatsTokenErrors", "dot5StatsSoftErrors", "dot5StatsHardErrors",
		"dot5StatsSignalLoss", "dot5StatsTransmitBeacons", "dot5StatsRecoverys", "dot5StatsLobeWires",
		"dot5StatsRemoves", "dot5StatsSingles", "dot5StatsFreqErrors",
	)},
	4: {"100basevg_interface", fields(
		"dot12InHighPriorityFrames", "dot12InHighPriorityOctets*", "dot12InNormPriorityFrames",
		"dot12InNormPriorityOctets*", "dot12InIPMErrors", "dot12InOversizeFrameErrors", "dot12InDataErrors",
		"dot12InNullAddressedFrames", "dot12OutHighPriorityFrames", "dot12OutHighPriorityOctets*",
		"dot12TransitionIntoTrainings", "dot12HCInHighPriorityOctets*", "dot12HCInNormPriorityOctets*",
		"dot12HCOutHighPriorityOctets*",
	)},
	5: {"vlan", fields(
		"vlan_id", "octets*", "ucastPkts", "multicastPkts", "broadcastPkts", "discards",
	)},
	6: {"ieee80211", fields(
		"dot11TransmittedFragmentCount", "dot11MulticastTransmittedFrameCount", "dot11FailedCount",
		"dot11RetryCount", "dot11MultipleRetryCount", "dot11FrameDuplicateCount", "dot11RTSSuccessCount",
		"dot11RTSFailureCount", "dot11ACKFailureCount", "dot11ReceivedFragmentCount",
		"dot11MulticastReceivedFrameCount", "dot11FCSErrorCount", "dot11TransmittedFrameCount",
		"dot11WEPUndecryptableCount", "dot11QoSDiscardedFragmentCount", "dot11AssociatedStationCount",
		"dot11QoSCFPollsReceivedCount", "dot11QoSCFPollsUnusedCount", "dot11QoSCFPollsUnusableCount",
		"dot11QoSCFPollsLostCount",
	)},
	7: {"lag_port_stats", fields(
		"dot3adAggPortActorSystemID@", "dot3adAggPortPartnerOperSystemID@", "dot3adAggPortAttachedAggID",
		"dot3adAggPortState", "dot3adAggPortStatsLACPDUsRx", "dot3adAggPortStatsMarkerPDUsRx",
		"dot3adAggPortStatsMarkerResponsePDUsRx", "dot3adAggPortStatsUnknownRx",
		"dot3adAggPortStatsIllegalRx", "dot3adAggPortStatsLACPDUsTx", "dot3adAggPortStatsMarkerPDUsTx",
		"dot3adAggPortStatsMarkerResponsePDUsTx",
	)},
}

var processorCounters = &counterRecord{"processor", fields(
	"cpu_5s", "cpu_1m", "cpu_5m", "total_memory*", "free_memory*",
)}

// From 2002 on.
var hostCounters = [9]*counterRecord{
	{"host_parent", fields("container_type", "container_index")},
	{"host_cpu", fields(
		"load_one~", "load_five~", "load_fifteen~", "proc_run", "proc_total", "cpu_num", "cpu_speed",
		"uptime", "cpu_user", "cpu_nice", "cpu_system", "cpu_idle", "cpu_wio", "cpu_intr", "cpu_sintr",
		"interrupts", "contexts", "cpu_steal", "cpu_guest", "cpu_guest_nice",
	)},
	{"host_memory", fields(
		"mem_total*", "mem_free*", "mem_shared*", "mem_buffers*", "mem_cached*", "swap_total*",
		"swap_free*", "page_in", "page_out", "swap_in", "swap_out",
	)},
	{"host_disk_io", fields(
		"disk_total*", "disk_free*", "part_max_used", "reads", "bytes_read*", "read_time",
		"writes", "bytes_written*", "write_time",
	)},
	{"host_net_io", netIO},
	{"mib2_ip_group", fields(
		"ipForwarding", "ipDefaultTTL", "ipInReceives", "ipInHdrErrors", "ipInAddrErrors",
		"ipForwDatagrams", "ipInUnknownProtos", "ipInDiscards", "ipInDelivers", "ipOutRequests",
		"ipOutDiscards", "ipOutNoRoutes", "ipReasmTimeout", "ipReasmReqds", "ipReasmOKs",
		"ipReasmFails", "ipFragOKs", "ipFragFails", "ipFragCreates",
	)},
	{"mib2_icmp_group", fields(
		"icmpInMsgs", "icmpInErrors", "icmpInDestUnreachs", "icmpInTimeExcds", "icmpInParamProbs",
		"icmpInSrcQuenchs", "icmpInRedirects", "icmpInEchos", "icmpInEchoReps", "icmpInTimestamps",
		"icmpInAddrMasks", "icmpInAddrMaskReps", "icmpOutMsgs", "icmpOutErrors", "icmpOutDestUnreachs",
		"icmpOutTimeExcds", "icmpOutParamProbs", "icmpOutSrcQuenchs", "icmpOutRedirects", "icmpOutEchos",
		"icmpOutEchoReps", "icmpOutTimestamps", "icmpOutTimestampReps", "icmpOutAddrMasks",
		"icmpOutAddrMaskReps",
	)},
	{"mib2_tcp_group", fields(
		"tcpRtoAlgorithm", "tcpRtoMin", "tcpRtoMax", "tcpMaxConn", "tcpActiveOpens", "tcpPassiveOpens",
		"tcpAttemptFails", "tcpEstabResets", "tcpCurrEstab", "tcpInSegs", "tcpOutSegs", "tcpRetransSegs",
		"tcpInErrs", "tcpOutRsts", "tcpInCsumErrors",
	)},
	{"mib2_udp_group", fields(
		"udpInDatagrams", "udpNoPorts", "udpInErrors", "udpOutDatagrams", "udpRcvbufErrors",
		"udpSndbufErrors", "udpInCsumErrors",
	)},
}

var netIO = fields(
	"bytes_in*", "packets_in", "errs_in", "drops_in",
	"bytes_out*", "packets_out", "errs_out", "drops_out",
)

// From 2100 on.
var virtualCounters = [5]*counterRecord{
	{"virt_node", fields("mhz", "cpus", "memory*", "memory_free*", "num_domains")},
	{"virt_cpu", fields("state", "cpu_time", "nr_virt_cpu")},
	{"virt_memory", fields("memory*", "max_memory*")},
	{"virt_disk_io", fields(
		"capacity*", "allocation*", "available*", "rd_req", "rd_bytes*", "wr_req", "wr_bytes*", "errs",
	)},
	{"virt_net_io", netIO},
}

var httpCounters = &counterRecord{"http_counters", fields(
	"method_option_count", "method_get_count", "method_head_count", "method_post_count",
	"method_put_count", "method_delete_count", "method_trace_count", "method_connect_count",
	"method_other_count", "status_1XX_count", "status_2XX_count", "status_3XX_count",
	"status_4XX_count", "status_5XX_count", "status_other_count",
)}
