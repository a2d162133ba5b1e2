package sflow

import "strconv"

// A DropReason says why a device discarded a packet. Up to 255 the reasons are
// codes of ICMP's "destination unreachable".
type DropReason uint32

// dropReasons are the names of the sFlow Dropped Packet Notification Structures:
// 0 to 15 are ICMP codes, those from 256 on the specification's own.
var dropReasons = [...]string{
	0:  "net_unreachable",
	1:  "host_unreachable",
	2:  "protocol_unreachable",
	3:  "port_unreachable",
	4:  "frag_needed",
	5:  "src_route_failed",
	6:  "dst_net_unknown",
	7:  "dst_host_unknown",
	8:  "src_host_isolated",
	9:  "dst_net_prohibited",
	10: "dst_host_prohibited",
	11: "dst_net_tos_unreachable",
	12: "dst_host_tos_unreachable",
	13: "comm_admin_prohibited",
	14: "host_precedence_violation",
	15: "precedence_cutoff",
}

var ownDropReasons = [...]string{
	"unknown",
	"ttl_exceeded",
	"acl",
	"no_buffer_space",
	"red",
	"traffic_shaping",
	"pkt_too_big",
	"src_mac_is_multicast",
	"vlan_tag_mismatch",
	"ingress_vlan_filter",
	"ingress_spanning_tree_filter",
	"port_list_is_empty",
	"port_loopback_filter",
	"blackhole_route",
	"non_ip",
	"uc_dip_over_mc_dmac",
	"dip_is_loopback_address",
	"sip_is_mc",
	"sip_is_loopback_address",
	"ip_header_corrupted",
	"ipv4_sip_is_limited_bc",
	"ipv6_mc_dip_reserved_scope",
	"ipv6_mc_dip_interface_local_scope",
	"unresolved_neigh",
	"mc_reverse_path_forwarding",
	"non_routable_packet",
	"decap_error",
	"overlay_smac_is_mc",
	"unknown_l2",
	"unknown_l3",
	"unknown_l3_exception",
	"unknown_buffer",
	"unknown_tunnel",
	"unknown_l4",
	"sip_is_unspecified",
	"mlag_port_isolation",
	"blackhole_arp_neigh",
	"src_mac_is_dmac",
	"dmac_is_reserved",
	"sip_is_class_e",
	"mc_dmac_mismatch",
	"sip_is_dip",
	"dip_is_local_network",
	"dip_is_link_local",
	"overlay_smac_is_dmac",
	"egress_vlan_filter",
	"uc_reverse_path_forwarding",
	"split_horizon",
}

// String returns the reason's name in the specification, or its number.
func (r DropReason) String() string {
	switch {
	case r < DropReason(len(dropReasons)):
		return dropReasons[r]
	case r >= 256 && r-256 < DropReason(len(ownDropReasons)):
		return ownDropReasons[r-256]
	}
	return strconv.FormatUint(uint64(r), 10)
}
