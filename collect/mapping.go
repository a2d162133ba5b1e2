package collect

import (
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
)

// opKind is what a program does with one field of a data record.
type opKind uint8

const (
	opUint     opKind = iota // number of 1 to 8 octets
	opUint1                  // the same of one octet, and so on: the usual widths
	opUint2                  //
	opUint4                  //
	opUint8                  //
	opAddr4                  // IPv4 address
	opAddr6                  // IPv6 address
	opMillis8                // milliseconds since the epoch, eight octets
	opUptime9                // milliseconds of sysUptime, four octets in NetFlow v9
	opEither4                // IPv4 address where the template has both families
	opEither6                // IPv6 address where the template has both families
	opListAddr               // one address more of a list
	opBytes                  // text or octets
	opSeconds                // times since the epoch
	opMillis                 //
	opNTP                    // seconds since 1900 and 2^-32 of one (RFC 7011, 6.1.9)
	opBefore                 // microseconds before the export time
	opUptime                 // milliseconds of sysUptime
	opInit                   // systemInitTimeMilliseconds, which sysUptime counts from
	opDurationMillis
	opDurationMicros
	opICMP      // type * 256 + code
	opMPLS      // label stack entry without its TTL
	opFragFlags // fragment flags in the top three bits of an octet
	opIPVersion
	opRate     // sampling interval
	opInterval // samplingPacketInterval
	opSpace    // samplingPacketSpace
	opFrame    // sampled header
	opFrameSize
	opElement // no field of its own
	opExtra   // extra field
	opSkip    // padding
)

// target says where the value of an element goes.
type target struct {
	kind  opKind
	field flow.Field
	rank  uint8 // of several elements with the same field, the greatest rank wins; 0: they do not compete
}

// rankOfAddresses is the rank of the EtherType that addresses imply.
const rankOfAddresses = 9

// Elements of IANA's registry by number. Elements that are not here are kept as
// they are.
var targets = map[uint16]target{
	1:   {opUint, flow.Bytes, 0},
	2:   {opUint, flow.Packets, 0},
	4:   {opUint, flow.Proto, 0},
	5:   {opUint, flow.IPTos, 0},
	6:   {opUint, flow.TCPFlags, 0},
	7:   {opUint, flow.SrcPort, 9},
	180: {opUint, flow.SrcPort, 8}, // udpSourcePort
	182: {opUint, flow.SrcPort, 7}, // tcpSourcePort
	8:   {opAddr4, flow.SrcAddr, 0},
	27:  {opAddr6, flow.SrcAddr, 0},
	9:   {opUint, flow.SrcNet, 9},
	29:  {opUint, flow.SrcNet, 8},
	10:  {opUint, flow.InIf, 0},
	11:  {opUint, flow.DstPort, 9},
	181: {opUint, flow.DstPort, 8}, // udpDestinationPort
	183: {opUint, flow.DstPort, 7}, // tcpDestinationPort
	12:  {opAddr4, flow.DstAddr, 0},
	28:  {opAddr6, flow.DstAddr, 0},
	13:  {opUint, flow.DstNet, 9},
	30:  {opUint, flow.DstNet, 8},
	14:  {opUint, flow.OutIf, 0},
	15:  {opAddr4, flow.NextHop, 0},
	62:  {opAddr6, flow.NextHop, 0},
	16:  {opUint, flow.SrcAS, 0},
	17:  {opUint, flow.DstAS, 0},
	18:  {opAddr4, flow.BGPNextHop, 0},
	63:  {opAddr6, flow.BGPNextHop, 0},
	128: {opUint, flow.NextHopAS, 0},
	23:  {opUint, flow.OutBytes, 0},
	24:  {opUint, flow.OutPackets, 0},
	25:  {opUint, flow.MinPacketLength, 0},
	26:  {opUint, flow.MaxPacketLength, 0},
	31:  {opUint, flow.IPv6FlowLabel, 0},
	32:  {opICMP, flow.ICMPType, 9},
	139: {opICMP, flow.ICMPType, 8},
	176: {opUint, flow.ICMPType, 7},
	178: {opUint, flow.ICMPType, 6},
	177: {opUint, flow.ICMPCode, 7},
	179: {opUint, flow.ICMPCode, 6},
	47:  {opListAddr, flow.MPLSIP, 0},
	140: {opListAddr, flow.MPLSIP, 0},
	52:  {opUint, flow.IPTTL, 9},
	192: {opUint, flow.IPTTL, 8},
	53:  {opUint, flow.IPTTLMax, 0},
	54:  {opUint, flow.FragmentID, 0},
	88:  {opUint, flow.FragmentOffset, 0},
	197: {opFragFlags, flow.IPFlags, 0},
	55:  {opUint, flow.PostIPTos, 0},
	56:  {opUint, flow.SrcMAC, 0},
	57:  {opUint, flow.PostDstMAC, 0},
	80:  {opUint, flow.DstMAC, 0},
	81:  {opUint, flow.PostSrcMAC, 0},
	58:  {opUint, flow.SrcVLAN, 9},
	243: {opUint, flow.SrcVLAN, 8}, // dot1qVlanId
	59:  {opUint, flow.DstVLAN, 9},
	254: {opUint, flow.DstVLAN, 8}, // postDot1qVlanId
	60:  {opIPVersion, flow.Etype, rankOfAddresses},
	256: {opUint, flow.Etype, rankOfAddresses - 1},
	61:  {opUint, flow.FlowDirection, 0},
	70:  {opMPLS, flow.MPLSLabel, 0},
	71:  {opMPLS, flow.MPLSLabel, 0},
	72:  {opMPLS, flow.MPLSLabel, 0},
	73:  {opMPLS, flow.MPLSLabel, 0},
	74:  {opMPLS, flow.MPLSLabel, 0},
	75:  {opMPLS, flow.MPLSLabel, 0},
	76:  {opMPLS, flow.MPLSLabel, 0},
	77:  {opMPLS, flow.MPLSLabel, 0},
	78:  {opMPLS, flow.MPLSLabel, 0},
	79:  {opMPLS, flow.MPLSLabel, 0},
	85:  {opUint, flow.BytesTotal, 0},
	86:  {opUint, flow.PacketsTotal, 0},
	89:  {opUint, flow.ForwardingStatus, 0},
	95:  {opBytes, flow.ApplicationID, 0},
	96:  {opBytes, flow.ApplicationName, 0},
	136: {opUint, flow.FlowEndReason, 0},
	138: {opUint, flow.ObservationPointID, 0},
	148: {opUint, flow.FlowID, 0},
	225: {opAddr4, flow.PostNATSrcAddr, 0},
	281: {opAddr6, flow.PostNATSrcAddr, 0},
	226: {opAddr4, flow.PostNATDstAddr, 0},
	282: {opAddr6, flow.PostNATDstAddr, 0},
	227: {opUint, flow.PostNATSrcPort, 0},
	228: {opUint, flow.PostNATDstPort, 0},
	229: {opUint, flow.NATOriginatingAddressRealm, 0},
	230: {opUint, flow.NATEvent, 0},
	283: {opUint, flow.NATPoolID, 0},
	284: {opBytes, flow.NATPoolName, 0},
	361: {opUint, flow.PortRangeStart, 0},
	362: {opUint, flow.PortRangeEnd, 0},
	363: {opUint, flow.PortRangeStepSize, 0},
	364: {opUint, flow.PortRangeNumPorts, 0},
	463: {opUint, flow.NATInstanceID, 0},
	464: {opBytes, flow.InternalAddressRealm, 0},
	465: {opBytes, flow.ExternalAddressRealm, 0},
	231: {opUint, flow.InitiatorBytes, 0},
	232: {opUint, flow.ResponderBytes, 0},
	298: {opUint, flow.InitiatorPackets, 0},
	299: {opUint, flow.ResponderPackets, 0},
	233: {opUint, flow.FirewallEvent, 0},
	234: {opUint, flow.IngressVRFID, 0},
	235: {opUint, flow.EgressVRFID, 0},
	252: {opUint, flow.InPhysIf, 0},
	253: {opUint, flow.OutPhysIf, 0},
	351: {opUint, flow.Layer2SegmentID, 0},
	371: {opBytes, flow.UserName, 0},

	34:  {opRate, flow.SamplingRate, 0},
	48:  {opUint, flow.SamplerID, 8},
	302: {opUint, flow.SamplerID, 9},
	305: {opInterval, flow.SamplingRate, 0},
	306: {opSpace, flow.SamplingRate, 0},

	// Times, the most exact first.
	152: {opMillis, flow.TimeFlowStart, 9},
	154: {opNTP, flow.TimeFlowStart, 8},
	156: {opNTP, flow.TimeFlowStart, 7},
	158: {opBefore, flow.TimeFlowStart, 6},
	22:  {opUptime, flow.TimeFlowStart, 5},
	150: {opSeconds, flow.TimeFlowStart, 4},
	153: {opMillis, flow.TimeFlowEnd, 9},
	155: {opNTP, flow.TimeFlowEnd, 8},
	157: {opNTP, flow.TimeFlowEnd, 7},
	159: {opBefore, flow.TimeFlowEnd, 6},
	21:  {opUptime, flow.TimeFlowEnd, 5},
	151: {opSeconds, flow.TimeFlowEnd, 4},
	160: {opInit, flow.TimeFlowStart, 0},
	161: {opDurationMillis, flow.TimeFlowStart, 0},
	162: {opDurationMicros, flow.TimeFlowStart, 0},
	323: {opMillis, flow.TimeEvent, 9},
	324: {opNTP, flow.TimeEvent, 8},
	325: {opNTP, flow.TimeEvent, 7},
	322: {opSeconds, flow.TimeEvent, 6},

	104: {opFrame, flow.SrcAddr, 0}, // layer2packetSectionData
	315: {opFrame, flow.SrcAddr, 0}, // dataLinkFrameSection
	312: {opFrameSize, flow.Bytes, 0},
	210: {opSkip, flow.Type, 0}, // paddingOctets
}

// Elements of Cisco's. NetFlow v9 exporters say them as 32768 and more, where IPFIX
// has the enterprise bit: 33000 is 9/232 (Cisco ASA NetFlow Implementation Guide).
var targetsCisco = map[uint16]target{
	232:  {opBytes, flow.IngressACLID, 0},
	233:  {opBytes, flow.EgressACLID, 0},
	234:  {opUint, flow.FirewallExtEvent, 0},
	7232: {opBytes, flow.UserName, 0},
	7233: {opAddr4, flow.PostNATSrcAddr, 0},
	7234: {opAddr4, flow.PostNATDstAddr, 0},
	7235: {opUint, flow.PostNATSrcPort, 0},
	7236: {opUint, flow.PostNATDstPort, 0},
	7237: {opUint, flow.FirewallEvent, 0},
}

// Reverse elements (RFC 5103) that have fields.
var targetsReverse = map[uint16]target{
	1:   {opUint, flow.ReverseBytes, 0},
	2:   {opUint, flow.ReversePackets, 0},
	6:   {opUint, flow.ReverseTCPFlags, 0},
	152: {opMillis, flow.ReverseTimeStart, 9},
	154: {opNTP, flow.ReverseTimeStart, 8},
	156: {opNTP, flow.ReverseTimeStart, 7},
	158: {opBefore, flow.ReverseTimeStart, 6},
	22:  {opUptime, flow.ReverseTimeStart, 5},
	150: {opSeconds, flow.ReverseTimeStart, 4},
	153: {opMillis, flow.ReverseTimeEnd, 9},
	155: {opNTP, flow.ReverseTimeEnd, 8},
	157: {opNTP, flow.ReverseTimeEnd, 7},
	159: {opBefore, flow.ReverseTimeEnd, 6},
	21:  {opUptime, flow.ReverseTimeEnd, 5},
	151: {opSeconds, flow.ReverseTimeEnd, 4},
}

func lookupTarget(version uint16, id ipfix.ElementID) (t target, ok bool) {
	switch id.Enterprise {
	case 0:
		if t, ok = targets[id.ID]; !ok && version == 9 && id.ID >= ciscoV9Base {
			t, ok = targetsCisco[id.ID-ciscoV9Base]
		}
	case ipfix.CiscoEnterprise:
		t, ok = targetsCisco[id.ID]
	case ipfix.ReverseEnterprise:
		t, ok = targetsReverse[id.ID]
	}
	return t, ok
}
