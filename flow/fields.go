package flow

// Field names one field of a [Record].
type Field uint8

// Kind says how the value of a [Field] is held and written.
type Kind uint8

// The kinds of value a field has.
const (
	KindUint   Kind = iota // unsigned number: Record.Uint
	KindType               // FlowType, a number with a name in JSON
	KindSource             // Source, a number with a name in JSON
	KindTime               // nanoseconds since the Unix epoch
	KindMAC                // 48-bit address in the low bits of a number
	KindEtype              // EtherType: JSON has the name, and the number beside it
	KindProto              // IP protocol: JSON has the name, and the number beside it
	KindNet                // prefix length: JSON has the prefix it makes of the address
	KindAddr               // IPv4 or IPv6 address: Record.Addr
	KindText               // UTF-8 text: Record.Bytes
	KindBytes              // bytes, hexadecimal in JSON: Record.Bytes
	KindUints              // list of numbers: Record.Uints
	KindLayers             // list of Layer, names in JSON
	KindAddrs              // list of addresses: Record.Addrs
)

// The fields, in the order of the JSON object. Those up to
// IPv6RoutingHeaderSegLeft are goflow2's own; the rest are tributary's.
const (
	Type Field = iota
	TimeReceived
	SequenceNum
	SamplingRate
	SamplerAddress
	TimeFlowStart
	TimeFlowEnd
	Bytes
	Packets
	SrcAddr
	DstAddr
	Etype
	Proto
	SrcPort
	DstPort
	InIf
	OutIf
	SrcMAC
	DstMAC
	SrcVLAN
	DstVLAN
	VLANID
	IPTos
	ForwardingStatus
	IPTTL
	IPFlags
	TCPFlags
	ICMPType
	ICMPCode
	IPv6FlowLabel
	FragmentID
	FragmentOffset
	SrcAS
	DstAS
	NextHop
	NextHopAS
	SrcNet
	DstNet
	BGPNextHop
	BGPCommunities
	ASPath
	MPLSTTL
	MPLSLabel
	MPLSIP
	ObservationDomainID
	ObservationPointID
	LayerStack
	LayerSize
	IPv6RoutingHeaderAddresses
	IPv6RoutingHeaderSegLeft

	FlowSource
	TimeExport
	TemplateID
	FlowDirection
	OutBytes
	OutPackets
	BytesTotal
	PacketsTotal
	InitiatorBytes
	ResponderBytes
	InitiatorPackets
	ResponderPackets
	ReverseBytes
	ReversePackets
	ReverseTCPFlags
	ReverseTimeStart
	ReverseTimeEnd
	InPhysIf
	OutPhysIf
	TimeEvent
	NATEvent
	FirewallEvent
	FirewallExtEvent
	PostNATSrcAddr
	PostNATDstAddr
	PostNATSrcPort
	PostNATDstPort
	IngressVRFID
	EgressVRFID
	FlowID
	FlowEndReason
	ApplicationID
	ApplicationName
	InIfName
	OutIfName
	SamplerID
	IPTTLMax
	MinPacketLength
	MaxPacketLength
	PostIPTos
	PostDstMAC
	PostSrcMAC
	UserName
	OuterVLANID
	InnerSrcAddr
	InnerDstAddr
	InnerProto
	InnerSrcPort
	InnerDstPort
	TunnelID
	DropReason
	SamplePool
	SampleDrops
	SampleSequence
	SourceIDType
	SourceIDIndex
	Layer2SegmentID
	NATOriginatingAddressRealm
	NATPoolID
	NATPoolName
	PortRangeStart
	PortRangeEnd
	PortRangeStepSize
	PortRangeNumPorts
	NATInstanceID
	InternalAddressRealm
	ExternalAddressRealm
	IngressACLID
	EgressACLID

	numFields
	numGoflow2 = IPv6RoutingHeaderSegLeft + 1
)

// FieldInfo describes one field: a row of the table from which all formats are
// written.
type FieldInfo struct {
	Name   string // in JSON and in flow.proto
	Number uint16 // field number in flow.proto
	Bits   uint8  // 32 or 64: width of the protobuf number; 0 where it has none
	Kind   Kind
	Doc    string // meaning, unit and, where it has one, the IPFIX element
}

// Fields returns the table, indexed by [Field].
func Fields() []FieldInfo { return append([]FieldInfo(nil), fields[:]...) }

// Info returns the row of the table that describes f.
func (f Field) Info() FieldInfo { return fields[f] }

// String returns the name that f has in JSON.
func (f Field) String() string {
	if f >= numFields {
		return "unknown"
	}
	return fields[f].Name
}

// FieldByName finds a field by its name in JSON.
func FieldByName(name string) (Field, bool) {
	f, ok := fieldsByName[name]
	return f, ok
}

var fieldsByName = func() map[string]Field {
	m := make(map[string]Field, numFields)
	for f := range fields {
		m[fields[f].Name] = Field(f)
	}
	return m
}()

// Names, numbers and widths of the fields before FlowSource are those of
// goflow2 v2's pb/flow.proto, so that its consumers read our records.
var fields = [numFields]FieldInfo{
	Type:                       {"type", 1, 32, KindType, "protocol that brought the record, as far as goflow2 knows it"},
	TimeReceived:               {"time_received_ns", 110, 64, KindTime, "receipt of the datagram, ns since the epoch"},
	SequenceNum:                {"sequence_num", 4, 32, KindUint, "sequence number of the datagram's header"},
	SamplingRate:               {"sampling_rate", 3, 64, KindUint, "one packet in so many was sampled; 0 unknown"},
	SamplerAddress:             {"sampler_address", 11, 0, KindAddr, "exporter: source address of the datagram, or the sFlow agent"},
	TimeFlowStart:              {"time_flow_start_ns", 111, 64, KindTime, "first packet, ns since the epoch"},
	TimeFlowEnd:                {"time_flow_end_ns", 112, 64, KindTime, "last packet, ns since the epoch"},
	Bytes:                      {"bytes", 9, 64, KindUint, "octets, never multiplied by the sampling rate; octetDeltaCount(1), else 23, 85, 231"},
	Packets:                    {"packets", 10, 64, KindUint, "packets, never multiplied by the sampling rate; packetDeltaCount(2), else 24, 86, 298"},
	SrcAddr:                    {"src_addr", 6, 0, KindAddr, "sourceIPv4Address(8), sourceIPv6Address(27)"},
	DstAddr:                    {"dst_addr", 7, 0, KindAddr, "destinationIPv4Address(12), destinationIPv6Address(28)"},
	Etype:                      {"etype", 30, 32, KindEtype, "EtherType"},
	Proto:                      {"proto", 20, 32, KindProto, "protocolIdentifier(4)"},
	SrcPort:                    {"src_port", 21, 32, KindUint, "sourceTransportPort(7)"},
	DstPort:                    {"dst_port", 22, 32, KindUint, "destinationTransportPort(11)"},
	InIf:                       {"in_if", 18, 32, KindUint, "ingressInterface(10), ifIndex"},
	OutIf:                      {"out_if", 19, 32, KindUint, "egressInterface(14), ifIndex"},
	SrcMAC:                     {"src_mac", 27, 64, KindMAC, "sourceMacAddress(56)"},
	DstMAC:                     {"dst_mac", 28, 64, KindMAC, "destinationMacAddress(80), else postDestinationMacAddress(57)"},
	SrcVLAN:                    {"src_vlan", 33, 32, KindUint, "vlanId(58), or the sFlow switch record's"},
	DstVLAN:                    {"dst_vlan", 34, 32, KindUint, "postVlanId(59), or the sFlow switch record's"},
	VLANID:                     {"vlan_id", 29, 32, KindUint, "innermost IEEE 802.1Q VLAN of a sampled header; vlanId(58)"},
	IPTos:                      {"ip_tos", 23, 32, KindUint, "ipClassOfService(5)"},
	ForwardingStatus:           {"forwarding_status", 24, 32, KindUint, "forwardingStatus(89)"},
	IPTTL:                      {"ip_ttl", 25, 32, KindUint, "TTL of a sampled header; minimumTTL(52), ipTTL(192)"},
	IPFlags:                    {"ip_flags", 38, 32, KindUint, "three fragment flags of the IPv4 header; fragmentFlags(197)"},
	TCPFlags:                   {"tcp_flags", 26, 32, KindUint, "tcpControlBits(6)"},
	ICMPType:                   {"icmp_type", 31, 32, KindUint, "icmpTypeIPv4(176), icmpTypeIPv6(178), high octet of 32 and 139"},
	ICMPCode:                   {"icmp_code", 32, 32, KindUint, "icmpCodeIPv4(177), icmpCodeIPv6(179), low octet of 32 and 139"},
	IPv6FlowLabel:              {"ipv6_flow_label", 37, 32, KindUint, "flowLabelIPv6(31)"},
	FragmentID:                 {"fragment_id", 35, 32, KindUint, "fragmentIdentification(54)"},
	FragmentOffset:             {"fragment_offset", 36, 32, KindUint, "fragmentOffset(88)"},
	SrcAS:                      {"src_as", 14, 32, KindUint, "bgpSourceAsNumber(16)"},
	DstAS:                      {"dst_as", 15, 32, KindUint, "bgpDestinationAsNumber(17)"},
	NextHop:                    {"next_hop", 12, 0, KindAddr, "ipNextHopIPv4Address(15), ipNextHopIPv6Address(62)"},
	NextHopAS:                  {"next_hop_as", 13, 32, KindUint, "bgpNextAdjacentAsNumber(128), or the sFlow gateway record's"},
	SrcNet:                     {"src_net", 16, 32, KindNet, "sourceIPv4PrefixLength(9), sourceIPv6PrefixLength(29)"},
	DstNet:                     {"dst_net", 17, 32, KindNet, "destinationIPv4PrefixLength(13), destinationIPv6PrefixLength(30)"},
	BGPNextHop:                 {"bgp_next_hop", 100, 0, KindAddr, "bgpNextHopIPv4Address(18), bgpNextHopIPv6Address(63)"},
	BGPCommunities:             {"bgp_communities", 101, 32, KindUints, "communities of the sFlow gateway record"},
	ASPath:                     {"as_path", 102, 32, KindUints, "AS path of the sFlow gateway record"},
	MPLSTTL:                    {"mpls_ttl", 80, 32, KindUints, "TTL of each MPLS label of a sampled header"},
	MPLSLabel:                  {"mpls_label", 81, 32, KindUints, "MPLS labels, top first; elements 70 to 79"},
	MPLSIP:                     {"mpls_ip", 82, 0, KindAddrs, "mplsTopLabelIPv4Address(47), mplsTopLabelIPv6Address(140)"},
	ObservationDomainID:        {"observation_domain_id", 70, 32, KindUint, "observation domain; NetFlow v9's source id; v5's engine type * 256 + engine id"},
	ObservationPointID:         {"observation_point_id", 71, 32, KindUint, "observationPointId(138)"},
	LayerStack:                 {"layer_stack", 103, 32, KindLayers, "headers of a sampled packet, outermost first"},
	LayerSize:                  {"layer_size", 104, 32, KindUints, "octets of each header of layer_stack"},
	IPv6RoutingHeaderAddresses: {"ipv6_routing_header_addresses", 105, 0, KindAddrs, "segments of the IPv6 routing header of a sampled packet"},
	IPv6RoutingHeaderSegLeft:   {"ipv6_routing_header_seg_left", 106, 32, KindUint, "segments left of that header"},

	FlowSource:                 {"flow_source", 200, 32, KindSource, "protocol that brought the record, all that there are"},
	TimeExport:                 {"time_export_ns", 201, 64, KindTime, "export time of the datagram's header, ns since the epoch"},
	TemplateID:                 {"template_id", 202, 32, KindUint, "template that described the record"},
	FlowDirection:              {"flow_direction", 203, 32, KindUint, "flowDirection(61): 0 ingress, 1 egress"},
	OutBytes:                   {"out_bytes", 204, 64, KindUint, "postOctetDeltaCount(23)"},
	OutPackets:                 {"out_packets", 205, 64, KindUint, "postPacketDeltaCount(24)"},
	BytesTotal:                 {"bytes_total", 206, 64, KindUint, "octetTotalCount(85)"},
	PacketsTotal:               {"packets_total", 207, 64, KindUint, "packetTotalCount(86)"},
	InitiatorBytes:             {"initiator_bytes", 208, 64, KindUint, "initiatorOctets(231)"},
	ResponderBytes:             {"responder_bytes", 209, 64, KindUint, "responderOctets(232)"},
	InitiatorPackets:           {"initiator_packets", 210, 64, KindUint, "initiatorPackets(298)"},
	ResponderPackets:           {"responder_packets", 211, 64, KindUint, "responderPackets(299)"},
	ReverseBytes:               {"reverse_bytes", 212, 64, KindUint, "reverse octetDeltaCount, RFC 5103"},
	ReversePackets:             {"reverse_packets", 213, 64, KindUint, "reverse packetDeltaCount, RFC 5103"},
	ReverseTCPFlags:            {"reverse_tcp_flags", 214, 32, KindUint, "reverse tcpControlBits, RFC 5103"},
	ReverseTimeStart:           {"reverse_time_flow_start_ns", 215, 64, KindTime, "first packet of the reverse direction, ns since the epoch, RFC 5103"},
	ReverseTimeEnd:             {"reverse_time_flow_end_ns", 216, 64, KindTime, "last packet of the reverse direction, ns since the epoch, RFC 5103"},
	InPhysIf:                   {"in_phys_if", 217, 32, KindUint, "ingressPhysicalInterface(252)"},
	OutPhysIf:                  {"out_phys_if", 218, 32, KindUint, "egressPhysicalInterface(253)"},
	TimeEvent:                  {"time_event_ns", 219, 64, KindTime, "observationTime(322 to 325) of an event record, ns since the epoch"},
	NATEvent:                   {"nat_event", 220, 32, KindUint, "natEvent(230)"},
	FirewallEvent:              {"firewall_event", 221, 32, KindUint, "firewallEvent(233)"},
	FirewallExtEvent:           {"firewall_ext_event", 222, 32, KindUint, "Cisco ASA extended event, 33002 in NetFlow v9"},
	PostNATSrcAddr:             {"post_nat_src_addr", 223, 0, KindAddr, "postNATSourceIPv4Address(225), postNATSourceIPv6Address(281)"},
	PostNATDstAddr:             {"post_nat_dst_addr", 224, 0, KindAddr, "postNATDestinationIPv4Address(226), postNATDestinationIPv6Address(282)"},
	PostNATSrcPort:             {"post_nat_src_port", 225, 32, KindUint, "postNAPTSourceTransportPort(227)"},
	PostNATDstPort:             {"post_nat_dst_port", 226, 32, KindUint, "postNAPTDestinationTransportPort(228)"},
	IngressVRFID:               {"ingress_vrf_id", 227, 32, KindUint, "ingressVRFID(234)"},
	EgressVRFID:                {"egress_vrf_id", 228, 32, KindUint, "egressVRFID(235)"},
	FlowID:                     {"flow_id", 229, 64, KindUint, "flowId(148)"},
	FlowEndReason:              {"flow_end_reason", 230, 32, KindUint, "flowEndReason(136)"},
	ApplicationID:              {"application_id", 231, 0, KindBytes, "applicationId(95): engine, then selector"},
	ApplicationName:            {"application_name", 232, 0, KindText, "applicationName(96), from the record or from options data"},
	InIfName:                   {"in_if_name", 233, 0, KindText, "interfaceName(82) of in_if, from options data"},
	OutIfName:                  {"out_if_name", 234, 0, KindText, "interfaceName(82) of out_if, from options data"},
	SamplerID:                  {"sampler_id", 235, 64, KindUint, "samplerId(48), selectorId(302)"},
	IPTTLMax:                   {"ip_ttl_max", 236, 32, KindUint, "maximumTTL(53)"},
	MinPacketLength:            {"min_packet_length", 237, 64, KindUint, "minimumIpTotalLength(25), octets"},
	MaxPacketLength:            {"max_packet_length", 238, 64, KindUint, "maximumIpTotalLength(26), octets"},
	PostIPTos:                  {"post_ip_tos", 239, 32, KindUint, "postIpClassOfService(55)"},
	PostDstMAC:                 {"post_dst_mac", 240, 64, KindMAC, "postDestinationMacAddress(57)"},
	PostSrcMAC:                 {"post_src_mac", 241, 64, KindMAC, "postSourceMacAddress(81)"},
	UserName:                   {"user_name", 242, 0, KindText, "userName(371), Cisco ASA 40000"},
	OuterVLANID:                {"outer_vlan_id", 243, 32, KindUint, "outermost VLAN of a sampled header that has several"},
	InnerSrcAddr:               {"inner_src_addr", 244, 0, KindAddr, "source in the innermost IP header of a sampled tunnel packet"},
	InnerDstAddr:               {"inner_dst_addr", 245, 0, KindAddr, "destination in the innermost IP header of a sampled tunnel packet"},
	InnerProto:                 {"inner_proto", 246, 32, KindUint, "protocol number in that header"},
	InnerSrcPort:               {"inner_src_port", 247, 32, KindUint, "source port behind that header"},
	InnerDstPort:               {"inner_dst_port", 248, 32, KindUint, "destination port behind that header"},
	TunnelID:                   {"tunnel_id", 249, 64, KindUint, "VXLAN or Geneve network identifier, GTP-U tunnel endpoint, GRE key of a sampled header"},
	DropReason:                 {"drop_reason", 250, 32, KindUint, "reason of an sFlow discarded-packet notification"},
	SamplePool:                 {"sample_pool", 251, 32, KindUint, "sFlow: packets that could have been sampled"},
	SampleDrops:                {"sample_drops", 252, 32, KindUint, "sFlow: samples the agent lost"},
	SampleSequence:             {"sample_sequence", 253, 32, KindUint, "sFlow: sequence number of the sample within its source"},
	SourceIDType:               {"source_id_type", 254, 32, KindUint, "sFlow: type of the data source, 0 ifIndex, 1 smonVlanDataSource, 2 entPhysicalEntry"},
	SourceIDIndex:              {"source_id_index", 255, 32, KindUint, "sFlow: index of the data source"},
	Layer2SegmentID:            {"layer2_segment_id", 256, 64, KindUint, "layer2SegmentId(351)"},
	NATOriginatingAddressRealm: {"nat_originating_address_realm", 257, 32, KindUint, "natOriginatingAddressRealm(229): 1 private, 2 public"},
	NATPoolID:                  {"nat_pool_id", 258, 32, KindUint, "natPoolId(283)"},
	NATPoolName:                {"nat_pool_name", 259, 0, KindText, "natPoolName(284)"},
	PortRangeStart:             {"port_range_start", 260, 32, KindUint, "portRangeStart(361): first port of a block given to a subscriber"},
	PortRangeEnd:               {"port_range_end", 261, 32, KindUint, "portRangeEnd(362): last port of the block"},
	PortRangeStepSize:          {"port_range_step_size", 262, 32, KindUint, "portRangeStepSize(363)"},
	PortRangeNumPorts:          {"port_range_num_ports", 263, 32, KindUint, "portRangeNumPorts(364)"},
	NATInstanceID:              {"nat_instance_id", 264, 32, KindUint, "natInstanceID(463)"},
	InternalAddressRealm:       {"internal_address_realm", 265, 0, KindBytes, "internalAddressRealm(464)"},
	ExternalAddressRealm:       {"external_address_realm", 266, 0, KindBytes, "externalAddressRealm(465)"},
	IngressACLID:               {"ingress_acl_id", 267, 0, KindBytes, "Cisco ingressAclId(9/232), 33000 in NetFlow v9: hashes of list, entry, extended entry"},
	EgressACLID:                {"egress_acl_id", 268, 0, KindBytes, "Cisco egressAclId(9/233), 33001 in NetFlow v9"},
}

// elementsNumber is the field number of the repeated message that keeps
// elements without a field of their own.
const elementsNumber = 300

// extrasNumber is that of the repeated message that has extra fields.
const extrasNumber = 301
