package flow

import "strings"

// String returns goflow2's name of the type.
func (t FlowType) String() string {
	switch t {
	case TypeSFlow5:
		return "SFLOW_5"
	case TypeNetFlowV5:
		return "NETFLOW_V5"
	case TypeNetFlowV9:
		return "NETFLOW_V9"
	case TypeIPFIX:
		return "IPFIX"
	}
	return "FLOWUNKNOWN"
}

var sourceNames = [...]string{"UNKNOWN", "NETFLOW_V1", "NETFLOW_V5", "NETFLOW_V7", "NETFLOW_V9", "IPFIX", "SFLOW_5", "PROBE"}

// String returns the name of the source, as in JSON.
func (s Source) String() string {
	if int64(s) < int64(len(sourceNames)) {
		return sourceNames[s]
	}
	return sourceNames[0]
}

var layerNames = [...]string{
	"Ethernet", "IPv4", "IPv6", "TCP", "UDP", "MPLS", "Dot1Q", "ICMP", "ICMPv6", "GRE",
	"IPv6HeaderRouting", "IPv6HeaderFragment", "Geneve", "Teredo",
}

// String returns goflow2's name of the layer.
func (l Layer) String() string {
	if int64(l) < int64(len(layerNames)) {
		return layerNames[l]
	}
	return "Custom"
}

// EtypeName returns goflow2's name of an EtherType: it has three, and an empty
// one for all others.
func EtypeName(etype uint32) string {
	switch etype {
	case EtypeIPv4:
		return "IPv4"
	case EtypeIPv6:
		return "IPv6"
	case etypeARP:
		return "ARP"
	}
	return ""
}

// protoNames are the keywords of IANA's protocol numbers from 0 on, spelled as
// goflow2 v2 spells them.
var protoNames = strings.Split("HOPOPT,ICMP,IGMP,GGP,IPv4,ST,TCP,CBT,EGP,IGP,BBN-RCC-MON,NVP-II,PUP,ARGUS,EMCON,XNET,CHAOS,UDP,MUX,DCN-MEAS,"+
	"HMP,PRM,XNS-IDP,TRUNK-1,TRUNK-2,LEAF-1,LEAF-2,RDP,IRTP,ISO-TP4,NETBLT,MFE-NSP,MERIT-INP,DCCP,3PC,IDPR,XTP,DDP,IDPR-CMTP,TP++,"+
	"IL,IPv6,SDRP,IPv6-Route,IPv6-Frag,IDRP,RSVP,GRE,DSR,BNA,ESP,AH,I-NLSP,SWIPE,NARP,Min-IPv4,TLSP,SKIP,IPv6-ICMP,IPv6-NoNxt,"+
	"IPv6-Opts,any-host-internal-protocol,CFTP,any-local-network,SAT-EXPAK,KRYPTOLAN,RVD,IPPC,any-distributed-file-system,SAT-MON,"+
	"VISA,IPCV,CPNX,CPHB,WSN,PVP,BR-SAT-MON,SUN-ND,WB-MON,WB-EXPAK,ISO-IP,VMTP,SECURE-VMTP,VINES,IPTM,NSFNET-IGP,DGP,TCF,EIGRP,"+
	"OSPFIGP,Sprite-RPC,LARP,MTP,AX.25,IPIP,MICP,SCC-SP,ETHERIP,ENCAP,any-private-encryption-scheme,GMTP,IFMP,PNNI,PIM,ARIS,SCPS,"+
	"QNX,A/N,IPComp,SNP,Compaq-Peer,IPX-in-IP,VRRP,PGM,any-0-hop-protocol,L2TP,DDX,IATP,STP,SRP,UTI,SMP,SM,PTP,ISIS over IPv4,"+
	"FIRE,CRTP,CRUDP,SSCOPMCE,IPLT,SPS,PIPE,SCTP,FC,RSVP-E2E-IGNORE,Mobility Header,UDPLite,MPLS-in-IP,manet,HIP,Shim6,WESP,ROHC,"+
	"Ethernet,AGGFRAG,NSH", ",")

// ProtoName returns goflow2's name of an IP protocol. Several numbers share
// "unassigned", "experimental" and "unknown".
func ProtoName(proto uint32) string {
	switch {
	case proto < uint32(len(protoNames)):
		return protoNames[proto]
	case proto <= 252:
		return "unassigned"
	case proto <= 254:
		return "experimental"
	case proto == 255:
		return "reserved"
	}
	return "unknown"
}
