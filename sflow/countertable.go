package sflow

// counterStructures are the counter records of sflow.org, by format: those of sFlow
// version 5, section 5.4 ("counter data"), and of the structures registered since
// (802.11, host, HTTP, memcache, JVM, application, VDI, LAG, InfiniBand, optical
// interfaces, OpenFlow, queue lengths, slow path, environment), and two vendors'.
var counterStructures = map[Format]structure{
	1: {"generic_interface", layout(`
		ifIndex ifType ifSpeed:* ifDirection ifStatus ifInOctets:* ifInUcastPkts ifInMulticastPkts ifInBroadcastPkts ifInDiscards
		ifInErrors ifInUnknownProtos ifOutOctets:* ifOutUcastPkts ifOutMulticastPkts ifOutBroadcastPkts ifOutDiscards ifOutErrors
		ifPromiscuousMode`)},
	2: {"ethernet_interface", layout(`
		dot3StatsAlignmentErrors dot3StatsFCSErrors dot3StatsSingleCollisionFrames dot3StatsMultipleCollisionFrames
		dot3StatsSQETestErrors dot3StatsDeferredTransmissions dot3StatsLateCollisions dot3StatsExcessiveCollisions
		dot3StatsInternalMacTransmitErrors dot3StatsCarrierSenseErrors dot3StatsFrameTooLongs dot3StatsInternalMacReceiveErrors
		dot3StatsSymbolErrors`)},
	3: {"token_ring", layout(`
		dot5StatsLineErrors dot5StatsBurstErrors dot5StatsACErrors dot5StatsAbortTransErrors dot5StatsInternalErrors
		dot5StatsLostFrameErrors dot5StatsReceiveCongestions dot5StatsFrameCopiedErrors dot5StatsTokenErrors dot5StatsSoftErrors
		dot5StatsHardErrors dot5StatsSignalLoss dot5StatsTransmitBeacons dot5StatsRecoverys dot5StatsLobeWires dot5StatsRemoves
		dot5StatsSingles dot5StatsFreqErrors`)},
	4: {"100basevg_interface", layout(`
		dot12InHighPriorityFrames dot12InHighPriorityOctets:* dot12InNormPriorityFrames dot12InNormPriorityOctets:* dot12InIPMErrors
		dot12InOversizeFrameErrors dot12InDataErrors dot12InNullAddressedFrames dot12OutHighPriorityFrames
		dot12OutHighPriorityOctets:* dot12TransitionIntoTrainings dot12HCInHighPriorityOctets:* dot12HCInNormPriorityOctets:*
		dot12HCOutHighPriorityOctets:*`)},
	5: {"vlan", layout("vlan_id octets:* ucastPkts multicastPkts broadcastPkts discards")},
	6: {"ieee80211", layout(`
		dot11TransmittedFragmentCount dot11MulticastTransmittedFrameCount dot11FailedCount dot11RetryCount dot11MultipleRetryCount
		dot11FrameDuplicateCount dot11RTSSuccessCount dot11RTSFailureCount dot11ACKFailureCount dot11ReceivedFragmentCount
		dot11MulticastReceivedFrameCount dot11FCSErrorCount dot11TransmittedFrameCount dot11WEPUndecryptableCount
		dot11QoSDiscardedFragmentCount dot11AssociatedStationCount dot11QoSCFPollsReceivedCount dot11QoSCFPollsUnusedCount
		dot11QoSCFPollsUnusableCount dot11QoSCFPollsLostCount`)},
	7: {"lag_port_stats", layout(`
		dot3adAggPortActorSystemID:@ dot3adAggPortPartnerOperSystemID:@ dot3adAggPortAttachedAggID dot3adAggPortState
		dot3adAggPortStatsLACPDUsRx dot3adAggPortStatsMarkerPDUsRx dot3adAggPortStatsMarkerResponsePDUsRx dot3adAggPortStatsUnknownRx
		dot3adAggPortStatsIllegalRx dot3adAggPortStatsLACPDUsTx dot3adAggPortStatsMarkerPDUsTx dot3adAggPortStatsMarkerResponsePDUsTx`)},
	8: {"slow_path_counts", layout("unknown other cam_miss cam_full no_hw_support cntrl")},
	9: {"ib_counters", layout(`
		PortXmitPkts:* PortRcvPkts:* SymbolErrorCounter LinkErrorRecoveryCounter LinkDownedCounter PortRcvErrors
		PortRcvRemotePhysicalErrors PortRcvSwitchRelayErrors PortXmitDiscards PortXmitConstraintErrors PortRcvConstraintErrors
		LocalLinkIntegrityErrors ExcessiveBufferOverrunErrors VL15Dropped`)},
	10: {"sfp", layout(`
		module_id module_num_lanes module_supply_voltage module_temperature:- lanes{ index tx_bias_current tx_power tx_power_min
		tx_power_max tx_wavelength rx_power rx_power_min rx_power_max rx_wavelength }`)},
	11:   {"pfc", layout("requests indications pause_duration storm_detected storm_restored")},
	1001: {"processor", layout("cpu_5s cpu_1m cpu_5m total_memory:* free_memory:*")},
	1002: {"radio_utilization", layout("elapsed_time on_channel_time on_channel_busy_time")},
	1003: {"queue_length", layout(`
		queueIndex segmentSize queueSegments queueLength0 queueLength1 queueLength2 queueLength4 queueLength8 queueLength32
		queueLength128 queueLength1024 queueLengthMore dropped`)},
	1004: {"of_port", layout("datapath_id:* port_no")},
	1005: {"port_name", layout("name:$")},
	2000: {"host_descr", layout("hostname:$ uuid:% machine_type os_name os_release:$")},
	2001: {"host_adapters", layout("adapters{ ifIndex mac_address:[@] }")},
	2002: {"host_parent", layout("container_type container_index")},
	2003: {"host_cpu", layout(`
		load_one:~ load_five:~ load_fifteen:~ proc_run proc_total cpu_num cpu_speed uptime cpu_user cpu_nice cpu_system cpu_idle
		cpu_wio cpu_intr cpu_sintr interrupts contexts cpu_steal cpu_guest cpu_guest_nice`)},
	2004: {"host_memory", layout("mem_total:* mem_free:* mem_shared:* mem_buffers:* mem_cached:* swap_total:* swap_free:* page_in page_out swap_in swap_out")},
	2005: {"host_disk_io", layout("disk_total:* disk_free:* part_max_used reads bytes_read:* read_time writes bytes_written:* write_time")},
	2006: {"host_net_io", layout("bytes_in:* packets_in errs_in drops_in bytes_out:* packets_out errs_out drops_out")},
	2007: {"mib2_ip_group", layout(`
		ipForwarding ipDefaultTTL ipInReceives ipInHdrErrors ipInAddrErrors ipForwDatagrams ipInUnknownProtos ipInDiscards
		ipInDelivers ipOutRequests ipOutDiscards ipOutNoRoutes ipReasmTimeout ipReasmReqds ipReasmOKs ipReasmFails ipFragOKs
		ipFragFails ipFragCreates`)},
	2008: {"mib2_icmp_group", layout(`
		icmpInMsgs icmpInErrors icmpInDestUnreachs icmpInTimeExcds icmpInParamProbs icmpInSrcQuenchs icmpInRedirects icmpInEchos
		icmpInEchoReps icmpInTimestamps icmpInAddrMasks icmpInAddrMaskReps icmpOutMsgs icmpOutErrors icmpOutDestUnreachs
		icmpOutTimeExcds icmpOutParamProbs icmpOutSrcQuenchs icmpOutRedirects icmpOutEchos icmpOutEchoReps icmpOutTimestamps
		icmpOutTimestampReps icmpOutAddrMasks icmpOutAddrMaskReps`)},
	2009: {"mib2_tcp_group", layout(`
		tcpRtoAlgorithm tcpRtoMin tcpRtoMax tcpMaxConn tcpActiveOpens tcpPassiveOpens tcpAttemptFails tcpEstabResets tcpCurrEstab
		tcpInSegs tcpOutSegs tcpRetransSegs tcpInErrs tcpOutRsts tcpInCsumErrors`)},
	2010: {"mib2_udp_group", layout("udpInDatagrams udpNoPorts udpInErrors udpOutDatagrams udpRcvbufErrors udpSndbufErrors udpInCsumErrors")},
	2100: {"virt_node", layout("mhz cpus memory:* memory_free:* num_domains")},
	2101: {"virt_cpu", layout("state cpu_time nr_virt_cpu")},
	2102: {"virt_memory", layout("memory:* max_memory:*")},
	2103: {"virt_disk_io", layout("capacity:* allocation:* available:* rd_req rd_bytes:* wr_req wr_bytes:* errs")},
	2104: {"virt_net_io", layout("bytes_in:* packets_in errs_in drops_in bytes_out:* packets_out errs_out drops_out")},
	2105: {"jvm_runtime", layout("vm_name:$ vm_vendor:$ vm_version:$")},
	2106: {"jvm_statistics", layout(`
		heap_initial:* heap_used:* heap_committed:* heap_max:* non_heap_initial:* non_heap_used:* non_heap_committed:* non_heap_max:*
		gc_count gc_time classes_loaded classes_total classes_unloaded compilation_time thread_num_live thread_num_daemon
		thread_num_started fd_open_count fd_max_count`)},
	2200: {"memcached_counters", layout(`
		uptime rusage_user rusage_system curr_connections total_connections connection_structures cmd_get cmd_set cmd_flush get_hits
		get_misses delete_misses delete_hits incr_misses incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval auth_cmds
		auth_errors bytes_read:* bytes_written:* limit_maxbytes accepting_conns listen_disabled_num threads conn_yields bytes:*
		curr_items total_items evictions`)},
	2201: {"http_counters", layout(`
		method_option_count method_get_count method_head_count method_post_count method_put_count method_delete_count
		method_trace_count method_connect_count method_other_count status_1XX_count status_2XX_count status_3XX_count
		status_4XX_count status_5XX_count status_other_count`)},
	2202: {"app_operations", layout(`
		application:$ success other timeout internal_error bad_request forbidden too_large not_implemented not_found unavailable
		unauthorized`)},
	2203: {"app_resources", layout("user_time system_time mem_used:* mem_max:* fd_open fd_max conn_open conn_max")},
	2204: {"memcache_counters", layout(`
		cmd_set cmd_touch cmd_flush get_hits get_misses delete_hits delete_misses incr_hits incr_misses decr_hits decr_misses
		cas_hits cas_misses cas_badval auth_cmds auth_errors threads conn_yields listen_disabled_num curr_connections
		rejected_connections total_connections connection_structures evictions reclaimed curr_items total_items bytes_read:*
		bytes_written:* bytes:* limit_maxbytes:*`)},
	2205: {"vdi_counters", layout(`
		sessions_current sessions_total sessions_duration rx_bytes tx_bytes rx_packets tx_packets rx_packets_lost tx_packets_lost
		rtt_min_ms rtt_max_ms rtt_avg_ms audio_rx_bytes audio_tx_bytes audio_tx_limit img_rx_bytes img_tx_bytes img_frames
		img_qual_min img_qual_max img_qual_avg usb_rx_bytes usb_tx_bytes`)},
	2206: {"app_workers", layout("workers_active workers_idle workers_max req_delayed req_dropped")},
	2207: {"ovs_dp_stats", layout("hits misses lost mask_hits flows masks")},
	3000: {"energy", layout("voltage current real_power power_factor:- energy errors")},
	3001: {"temperature", layout("minimum:- maximum:- errors")},
	3002: {"humidity", layout("relative:-")},
	3003: {"fans", layout("total failed speed")},

	// Broadcom and NVIDIA.
	4413<<12 | 1: {"bst_device_buffers", layout("uc_pc:- mc_pc:-")},
	4413<<12 | 2: {"bst_port_buffers", layout("ingress_uc_pc:- ingress_mc_pc:- egress_uc_pc:- egress_mc_pc:- egress_queue_uc_pc:[-] egress_queue_mc_pc:[-]")},
	4413<<12 | 3: {"hw_tables", layout(`
		host_entries host_entries_max ipv4_entries ipv4_entries_max ipv6_entries ipv6_entries_max ipv4_ipv6_entries
		ipv4_ipv6_entries_max long_ipv6_entries long_ipv6_entries_max total_routes total_routes_max ecmp_nexthops ecmp_nexthops_max
		mac_entries mac_entries_max ipv4_neighbors ipv6_neighbors ipv4_routes ipv6_routes acl_ingress_entries acl_ingress_entries_max
		acl_ingress_counters acl_ingress_counters_max acl_ingress_meters acl_ingress_meters_max acl_ingress_slices
		acl_ingress_slices_max acl_egress_entries acl_egress_entries_max acl_egress_counters acl_egress_counters_max
		acl_egress_meters acl_egress_meters_max acl_egress_slices acl_egress_slices_max`)},
	5703<<12 | 1: {"nvidia_gpu", layout("device_count processes gpu_time mem_time mem_total:* mem_free:* ecc_errors energy temperature fan_speed")},
}
