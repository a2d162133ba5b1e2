package traffic

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// Host is one end of conversations.
type Host struct {
	Name   string
	V4, V6 netip.Addr // V6 is the zero Addr for hosts without
	MAC    [6]byte
	VLAN   uint16 // 0 outside
	AS     uint32 // 0 inside
	Mask4  uint8  // length of the IPv4 prefix a router knows for it
	Inside bool
	public netip.Addr // address it has behind the firewall's address translation
}

// Network is a made-up campus and the part of the internet it talks to. It does not change after NewNetwork and may be
// used from several goroutines.
type Network struct {
	seed     uint64
	Clients  []Host // desktops, phones, printers
	Servers  []Host // in the data centre
	Public   []Host // servers that the internet may reach
	Internet []Host
	clients  zipf
	servers  zipf
	public   zipf
	internet zipf
	services zipf
}

// HomeAS is the network's own AS number (RFC 5398).
const HomeAS = 64510

// NewNetwork makes up a network from a seed.
func NewNetwork(seed uint64) *Network {
	n := &Network{seed: seed}
	rng := rand.New(rand.NewPCG(seed, 1))
	mac := func() (m [6]byte) {
		// Locally administered.
		m = [6]byte{0x02, 0x42}
		v := rng.Uint32()
		m[2], m[3], m[4], m[5] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
		return m
	}
	v6 := func(vlan, i int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0x00, 0x20, byte(vlan >> 8), byte(vlan), 8: 0x02, 15: byte(i), 14: byte(i >> 8)})
	}
	kinds := []string{"desktop", "desktop", "laptop", "laptop", "laptop", "phone", "phone", "printer"}
	for i := range 320 {
		vlan := 10 + i%8
		h := Host{
			Name: fmt.Sprintf("%s-%03d.campus.example", kinds[rng.IntN(len(kinds))], i+1),
			V4:   netip.AddrFrom4([4]byte{10, 20, byte(vlan), byte(10 + i/8)}),
			MAC:  mac(), VLAN: uint16(vlan), Mask4: 24, Inside: true,
			public: netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i%8)}),
		}
		if rng.IntN(4) != 0 {
			h.V6 = v6(vlan, 10+i/8)
		}
		n.Clients = append(n.Clients, h)
	}
	roles := []string{"dns", "files", "mail", "ldap", "db", "backup", "app", "ntp", "syslog", "monitor", "build", "kafka"}
	for i := range 36 {
		n.Servers = append(n.Servers, Host{
			Name: fmt.Sprintf("%s-%d.dc.example", roles[i%len(roles)], i/len(roles)+1),
			V4:   netip.AddrFrom4([4]byte{10, 20, 2, byte(10 + i)}), V6: v6(2, 10+i),
			MAC: mac(), VLAN: 2, Mask4: 24, Inside: true,
			public: netip.AddrFrom4([4]byte{203, 0, 113, 20}),
		})
	}
	for i, name := range []string{"www.campus.example", "mail.campus.example", "vpn.campus.example", "ns1.campus.example", "shop.campus.example", "git.campus.example"} {
		n.Public = append(n.Public, Host{
			Name: name, V4: netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}), V6: v6(3, 10+i),
			MAC: mac(), VLAN: 3, Mask4: 26, Inside: true,
			public: netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}),
		})
	}
	router := mac()
	labels := []string{"cdn", "video", "www", "api", "mail", "cloud", "social", "news", "music", "ads", "update", "chat", "maps", "games", "store", "dns"}
	tops := []string{"example.com", "example.net", "example.org"}
	for i := range 640 {
		// 16 networks of other people, each with a piece of 198.18.0.0/15 and of the documentation prefix.
		net := i % 16
		as := uint32(64496 + net)
		if net >= 14 {
			as = uint32(65536 + net) // four octets
		}
		h := Host{
			Name: fmt.Sprintf("%s%d.%s", labels[net], i/16+1, tops[i%3]),
			V4:   netip.AddrFrom4([4]byte{198, byte(18 + net&1), byte(net >> 1 << 5), byte(1 + i/16)}),
			MAC:  router, AS: as, Mask4: uint8(19 + net%6),
		}
		if i%5 < 3 {
			h.V6 = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0xf0, byte(net), 15: byte(1 + i/16)})
		}
		n.Internet = append(n.Internet, h)
	}
	rng.Shuffle(len(n.Clients), func(i, j int) { n.Clients[i], n.Clients[j] = n.Clients[j], n.Clients[i] })
	rng.Shuffle(len(n.Internet), func(i, j int) { n.Internet[i], n.Internet[j] = n.Internet[j], n.Internet[i] })
	n.clients = newZipf(len(n.Clients), 0.7)
	n.servers = newZipf(len(n.Servers), 0.9)
	n.public = newZipf(len(n.Public), 1)
	n.internet = newZipf(len(n.Internet), 1.1)
	n.services.cumulative = make([]float64, len(services))
	sum := 0.0
	for i, s := range services {
		sum += s.weight
		n.services.cumulative[i] = sum
	}
	return n
}

// Hosts returns all hosts, those inside first.
func (n *Network) Hosts() []Host {
	return slices.Concat(n.Clients, n.Servers, n.Public, n.Internet)
}

// Activity is how busy the network is at a time of day and week, between 0.15 at night and 1 in the late morning.
func Activity(t time.Time) float64 {
	hour := float64(t.Hour()) + float64(t.Minute())/60
	a := 0.15
	for _, peak := range [...]struct{ at, width, height float64 }{{10.5, 3, 0.75}, {15, 3, 0.65}, {20.5, 2.5, 0.4}} {
		d := (hour - peak.at) / peak.width
		a += peak.height / (1 + d*d*d*d)
	}
	if day := t.Weekday(); day == time.Saturday || day == time.Sunday {
		a = 0.15 + (a-0.15)*0.4
	}
	return min(a, 1)
}

// zipf picks an index, the first ones far more often than the last.
type zipf struct{ cumulative []float64 }

func newZipf(n int, s float64) zipf {
	z := zipf{make([]float64, n)}
	sum := 0.0
	for i := range n {
		sum += math.Pow(float64(i+1), -s)
		z.cumulative[i] = sum
	}
	return z
}

func (z zipf) pick(rng *rand.Rand) int {
	c := z.cumulative
	x := rng.Float64() * c[len(c)-1]
	lo, hi := 0, len(c)-1
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if c[mid] <= x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
