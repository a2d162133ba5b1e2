package traffic

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Protocol numbers (IANA).
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// TCP flags.
const (
	tcpFIN = 1 << iota
	tcpSYN
	tcpRST
	tcpPSH
	tcpACK
)

// direction tells who starts a service's conversations and with whom.
type direction uint8

const (
	outbound direction = iota // a client and the internet
	internal                  // a client and a server
	inbound                   // the internet and a public server
	backbone                  // two servers
)

// service is something hosts talk about.
type service struct {
	name             string
	proto            uint8
	port             uint16
	weight           float64 // share of conversations
	dir              direction
	l7               uint16  // nDPI's number of the protocol
	up, down         float64 // median packets of initiator and responder
	sigma            float64 // spread of their logarithm
	upSize, downSize float64 // mean octets a packet
	tos              uint8
}

var services = [...]service{
	{"https", protoTCP, 443, 30, outbound, 91, 14, 18, 1.3, 180, 980, 0},
	{"quic", protoUDP, 443, 17, outbound, 188, 16, 24, 1.4, 160, 1080, 0},
	{"dns", protoUDP, 53, 18, internal, 5, 1, 1, 0.2, 68, 150, 0},
	{"https", protoTCP, 443, 8, inbound, 91, 10, 14, 1.2, 170, 900, 0},
	{"http", protoTCP, 80, 3, outbound, 7, 7, 9, 1.2, 200, 820, 0},
	{"ntp", protoUDP, 123, 3, outbound, 9, 1, 1, 0.1, 76, 76, 0},
	{"icmp", protoICMP, 0, 3, outbound, 81, 4, 4, 0.5, 84, 84, 0},
	{"smb", protoTCP, 445, 4, internal, 41, 40, 60, 1.6, 220, 900, 0},
	{"ldap", protoTCP, 389, 2, internal, 112, 5, 5, 0.5, 160, 400, 0},
	{"imaps", protoTCP, 993, 2, internal, 51, 12, 14, 0.9, 140, 620, 0},
	{"smtp", protoTCP, 25, 1.5, inbound, 3, 18, 12, 0.9, 700, 90, 0},
	{"ssh", protoTCP, 22, 1.5, internal, 92, 60, 55, 1.3, 120, 180, 0x10},
	{"rdp", protoTCP, 3389, 0.7, internal, 88, 200, 350, 1.2, 100, 600, 0x48},
	{"rtp", protoUDP, 16384, 0.8, internal, 87, 3000, 3000, 0.8, 214, 214, 0xb8},
	{"postgres", protoTCP, 5432, 2, backbone, 19, 14, 18, 1.1, 200, 600, 0},
	{"kafka", protoTCP, 9092, 1, backbone, 0, 120, 60, 1.2, 1100, 120, 0},
	{"syslog", protoUDP, 514, 1.5, backbone, 17, 4, 0, 0.8, 240, 0, 0},
	{"snmp", protoUDP, 161, 1, backbone, 14, 3, 3, 0.4, 110, 180, 0x10},
	{"backup", protoTCP, 873, 0.3, backbone, 0, 9000, 3000, 1.0, 1440, 60, 0x20},
}

// Flow is a conversation as a device on the way sees it, from Src to Dst, with what went back.
type Flow struct {
	Src, Dst             netip.Addr
	SrcPort, DstPort     uint16 // for ICMP DstPort is type and code, as in NetFlow
	Proto, TOS, TTL      uint8
	TCPFlags             uint8
	ReverseTCPFlags      uint8
	Packets, Bytes       uint64
	ReversePackets       uint64
	ReverseBytes         uint64
	Start, End           time.Time
	SrcAS, DstAS         uint32
	SrcMask, DstMask     uint8
	NextHop              netip.Addr
	In, Out              uint32 // interface indexes of the device
	VLAN                 uint16
	SrcMAC, DstMAC       [6]byte
	Service              string
	L7                   uint16
	Server               string     // name of the host that was called
	TranslatedSrc        netip.Addr // behind the firewall
	TranslatedPort       uint16
	Denied               bool
	Label                uint32 // IPv6 flow label
	fromInside, toInside bool
}

// watcher draws the conversations that one device sees. It is deterministic and not for concurrent use.
type watcher struct {
	net     *Network
	rng     *rand.Rand
	dev     *Device
	v4only  bool
	oneWay  bool // each direction is a flow of its own: the way back follows next
	back    bool
	pending Flow
}

func newWatcher(n *Network, dev *Device, stream uint64) watcher {
	return watcher{net: n, dev: dev, rng: rand.New(rand.NewPCG(n.seed, 1000+stream))}
}

// next fills f with a conversation that ended shortly before now.
func (w *watcher) next(now time.Time, f *Flow) {
	if w.back {
		w.back = false
		*f = w.pending
		return
	}
	w.draw(now, f)
	if w.oneWay && f.ReversePackets > 0 {
		w.reverse(f, &w.pending)
		w.back = true
	}
}

// reverse makes r the way back of f.
func (w *watcher) reverse(f, r *Flow) {
	*r = *f
	r.Src, r.Dst = f.Dst, f.Src
	r.SrcPort, r.DstPort = f.DstPort, f.SrcPort
	switch f.Proto {
	case protoICMP:
		r.SrcPort, r.DstPort = 0, 0 // echo reply
	case protoICMPv6:
		r.SrcPort, r.DstPort = 0, 129<<8
	}
	r.TCPFlags, r.ReverseTCPFlags = f.ReverseTCPFlags, f.TCPFlags
	r.Packets, r.ReversePackets = f.ReversePackets, f.Packets
	r.Bytes, r.ReverseBytes = f.ReverseBytes, f.Bytes
	r.SrcAS, r.DstAS = f.DstAS, f.SrcAS
	r.SrcMask, r.DstMask = f.DstMask, f.SrcMask
	r.In, r.Out = f.Out, f.In
	r.SrcMAC, r.DstMAC = f.DstMAC, f.SrcMAC
	r.fromInside, r.toInside = f.toInside, f.fromInside
	r.TTL = 64
	if !r.fromInside {
		r.TTL = 44 + uint8(f.SrcPort&15)
	}
	r.NextHop = w.dev.nextHop(r.Dst.Is4(), r.toInside)
	r.Start = f.Start.Add(min(20*time.Millisecond, f.End.Sub(f.Start)/8))
}

func (w *watcher) draw(now time.Time, f *Flow) {
	rng, n := w.rng, w.net
	s := &services[n.services.pick(rng)]
	var src, dst *Host
	switch s.dir {
	case outbound:
		src, dst = &n.Clients[n.clients.pick(rng)], &n.Internet[n.internet.pick(rng)]
	case internal:
		src, dst = &n.Clients[n.clients.pick(rng)], &n.Servers[n.servers.pick(rng)]
	case inbound:
		src, dst = &n.Internet[n.internet.pick(rng)], &n.Public[n.public.pick(rng)]
	default:
		src, dst = &n.Servers[n.servers.pick(rng)], &n.Servers[n.servers.pick(rng)]
		if src == dst {
			dst = &n.Servers[(rng.IntN(len(n.Servers)-1)+1)%len(n.Servers)]
		}
	}
	*f = Flow{
		Proto: s.proto, TOS: s.tos, TTL: 64,
		SrcPort: uint16(32768 + rng.IntN(28232)), DstPort: s.port,
		SrcAS: src.AS, DstAS: dst.AS, SrcMAC: src.MAC, DstMAC: dst.MAC,
		VLAN: src.VLAN, Service: s.name, L7: s.l7, Server: dst.Name,
		In: w.dev.interfaceTo(src), Out: w.dev.interfaceTo(dst),
		fromInside: src.Inside, toInside: dst.Inside,
	}
	if f.VLAN == 0 {
		f.VLAN = dst.VLAN
	}
	if !src.Inside {
		f.TTL = uint8(44 + rng.IntN(16))
	}
	f.TranslatedPort = f.SrcPort
	if !w.v4only && src.V6.IsValid() && dst.V6.IsValid() && rng.IntN(10) < 4 {
		f.Src, f.Dst = src.V6, dst.V6
		f.SrcMask, f.DstMask = 64, 64
		f.Label = rng.Uint32() & 0xfffff
		if f.Proto == protoICMP {
			f.Proto = protoICMPv6
		}
	} else {
		f.Src, f.Dst = src.V4, dst.V4
		f.SrcMask, f.DstMask = src.Mask4, dst.Mask4
		if src.Inside && !dst.Inside {
			f.TranslatedSrc = src.public
			f.TranslatedPort = uint16(1024 + rng.IntN(64512))
		}
	}
	f.NextHop = w.dev.nextHop(f.Dst.Is4(), dst.Inside)
	switch f.Proto {
	case protoICMP:
		f.SrcPort, f.DstPort = 0, 8<<8 // echo request
	case protoICMPv6:
		f.SrcPort, f.DstPort = 0, 128<<8
	}

	if !src.Inside && rng.IntN(16) == 0 {
		// Somebody tries doors.
		f.DstPort = [...]uint16{22, 23, 80, 445, 3389, 5900, 6379, 8080}[rng.IntN(8)]
		f.Proto, f.TCPFlags, f.Service, f.L7 = protoTCP, tcpSYN, "scan", 0
		f.Packets, f.Bytes, f.Denied = 1, 44, true
		if f.Src.Is6() {
			f.Bytes = 64
		}
		f.Start = now.Add(-time.Duration(rng.IntN(int(time.Second))))
		f.End = f.Start
		return
	}

	spread := math.Exp(s.sigma * rng.NormFloat64())
	f.Packets = uint64(max(1, min(s.up*spread, 1e6)))
	f.ReversePackets = uint64(max(0, min(s.down*spread*math.Exp(0.2*rng.NormFloat64()), 1e6)))
	if s.down > 0 {
		f.ReversePackets = max(f.ReversePackets, 1)
	}
	if f.Proto == protoTCP {
		f.TCPFlags, f.ReverseTCPFlags = tcpSYN|tcpACK|tcpPSH|tcpFIN, tcpSYN|tcpACK|tcpPSH|tcpFIN
		switch rng.IntN(12) {
		case 0:
			f.TCPFlags = tcpSYN | tcpACK | tcpPSH | tcpRST
		case 1:
			f.TCPFlags, f.ReverseTCPFlags = tcpACK|tcpPSH, tcpACK|tcpPSH // cut out of a longer one
		}
		f.Packets = max(f.Packets, 4)
		f.ReversePackets = max(f.ReversePackets, 3)
	}
	headers := f.headers()
	f.Bytes = bytesOf(rng, f.Packets, s.upSize, headers)
	f.ReverseBytes = bytesOf(rng, f.ReversePackets, s.downSize, headers)
	// About twenty packets a second, half an hour at most.
	length := float64(f.Packets+f.ReversePackets) / 20 * math.Exp(0.8*rng.NormFloat64())
	duration := time.Duration(min(length, 1800) * float64(time.Second))
	f.End = now.Add(-time.Duration(rng.IntN(int(time.Second))))
	f.Start = f.End.Add(-duration)
}

// bytesOf spreads the mean packet size a little and keeps packets between their headers and 1,500 octets.
func bytesOf(rng *rand.Rand, packets uint64, size float64, headers int) uint64 {
	size *= math.Exp(0.25 * rng.NormFloat64())
	return uint64(float64(packets) * max(float64(headers+4), min(size, 1500)))
}

// headers is the length of the IP and transport headers of the flow's packets.
func (f *Flow) headers() int {
	n := 20
	if f.Src.Is6() {
		n = 40
	}
	if f.Proto == protoTCP {
		return n + 20
	}
	return n + 8 // UDP, ICMP
}
