package traffic

import (
	"fmt"
	"net/netip"
	"time"
)

// Protocol is what an exporter speaks.
type Protocol uint8

// The export protocols.
const (
	NetFlow1 Protocol = iota + 1
	NetFlow5
	NetFlow7
	NetFlow9
	IPFIX
	SFlow
)

// String gives the protocol's name.
func (p Protocol) String() string {
	switch p {
	case NetFlow1:
		return "NetFlow v1"
	case NetFlow5:
		return "NetFlow v5"
	case NetFlow7:
		return "NetFlow v7"
	case NetFlow9:
		return "NetFlow v9"
	case IPFIX:
		return "IPFIX"
	case SFlow:
		return "sFlow v5"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// Interface is a port of a device.
type Interface struct {
	Index       uint32
	Name        string
	Description string
	Speed       uint64 // bits a second
}

// Device is the router, switch, firewall or probe that an exporter runs on.
type Device struct {
	Name         string
	Addr         netip.Addr // where its datagrams would come from; sFlow's agent address
	Domain       uint32     // observation domain, source id; engine type * 256 + engine id in NetFlow v5
	SamplingRate uint32     // one packet of so many; 1 for all
	Interfaces   []Interface
}

// newDevice gives a device the interfaces that interfaceTo chooses from.
func newDevice(name string, number int, sampling uint32, style string) Device {
	d := Device{
		Name: name, Domain: uint32(number), SamplingRate: sampling,
		Addr: netip.AddrFrom4([4]byte{10, 20, 255, byte(number)}),
	}
	for i, description := range []string{"uplink to transit", "data centre", "public servers", "building A", "building B", "building C", "building D"} {
		speed := uint64(10e9)
		if i >= 3 {
			speed = 1e9
		}
		d.Interfaces = append(d.Interfaces, Interface{Index: uint32(i + 1), Name: fmt.Sprintf(style, i), Description: description, Speed: speed})
	}
	return d
}

// interfaceTo is the index of the interface behind which the device sees a host.
func (d *Device) interfaceTo(h *Host) uint32 {
	switch {
	case !h.Inside:
		return 1
	case h.VLAN == 2:
		return 2
	case h.VLAN == 3:
		return 3
	}
	return 4 + uint32(h.VLAN)%4
}

// nextHop is the router the device hands packets to.
func (d *Device) nextHop(v4, inside bool) netip.Addr {
	last := byte(1)
	if inside {
		last = 2
	}
	if v4 {
		return netip.AddrFrom4([4]byte{10, 20, 254, last})
	}
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0x00, 0x20, 0x00, 0xfe, 15: last})
}

// Stats counts what an exporter has said.
type Stats struct {
	Datagrams uint64
	Bytes     uint64
	Flows     uint64 // flow records or flow samples
	Options   uint64 // options data records
	Counters  uint64 // sFlow counter samples
}

// Exporter is a device that exports what it watches. Its methods are not for concurrent use; several exporters of one
// network may be used at the same time.
type Exporter struct {
	Device
	Protocol Protocol

	watch watcher
	boot  time.Time
	stats Stats
	flows []Flow // scratch for one datagram
	told  []Flow // those of the last one
	enc   encoder
}

// encoder appends one datagram to dst and counts its records in e.stats.
type encoder interface {
	datagram(e *Exporter, now time.Time, dst []byte) []byte
}

// maxDatagram is how long datagrams get: what fits Ethernet with room for tunnels.
const maxDatagram = 1400

// templateEvery is after how many datagrams templates and options are sent again.
const templateEvery = 20

func newExporter(n *Network, d Device, p Protocol, flows int, enc encoder) *Exporter {
	e := &Exporter{Device: d, Protocol: p, flows: make([]Flow, flows), enc: enc}
	e.watch = newWatcher(n, &e.Device, uint64(d.Domain)<<8|uint64(p))
	return e
}

// Next appends the exporter's next datagram to dst: what it has to say at a time. It does not allocate when dst has room
// (1,500 octets do). Times should not go back.
func (e *Exporter) Next(now time.Time, dst []byte) []byte {
	if e.boot.IsZero() {
		// Up for some days, different for each device; long before any flow it reports.
		e.boot = now.Add(-time.Duration(e.Domain%40+1)*26*time.Hour - 1234567*time.Millisecond)
	}
	start := len(dst)
	dst = e.enc.datagram(e, now, dst)
	e.stats.Datagrams++
	e.stats.Bytes += uint64(len(dst) - start)
	return dst
}

// Flows returns the flows that the last datagram tells of, as the device saw them; they are overwritten by Next. They stand
// in the datagram in this order, except that IPFIX and NetFlow v9 put those of IPv4 first.
func (e *Exporter) Flows() []Flow { return e.told }

// Stats returns what the exporter has said so far.
func (e *Exporter) Stats() Stats { return e.stats }

// Exporters returns the network's devices, one at least for each protocol. Two calls give independent exporters that say
// the same.
func (n *Network) Exporters() []*Exporter {
	return []*Exporter{
		n.NetFlow9(newDevice("core-1", 1, 1, "TenGigE0/0/0/%d")),
		n.IPFIXRouter(newDevice("border-1", 2, 100, "et-0/0/%d")),
		n.IPFIXFirewall(newDevice("fw-1", 3, 1, "ethernet1/%d")),
		n.IPFIXProbe(newDevice("probe-1", 4, 1, "enp%ds0")),
		n.SFlow(newDevice("access-1", 5, 256, "Ethernet%d"), false),
		n.SFlow(newDevice("access-2", 6, 512, "swp%d"), true),
		n.NetFlow5(newDevice("branch-1", 7, 10, "GigabitEthernet0/%d")),
		n.NetFlow7(newDevice("catalyst-1", 8, 1, "Gi3/%d")),
		n.NetFlow1(newDevice("museum-1", 9, 1, "Serial%d")),
	}
}
