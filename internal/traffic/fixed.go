package traffic

import "time"

// NetFlow1 returns an exporter of NetFlow version 1 on a device.
func (n *Network) NetFlow1(d Device) *Exporter { return newFixed(n, d, NetFlow1, 24) }

// NetFlow5 returns an exporter of NetFlow version 5. Its header tells the device's sampling rate.
func (n *Network) NetFlow5(d Device) *Exporter { return newFixed(n, d, NetFlow5, 28) }

// NetFlow7 returns an exporter of NetFlow version 7, that of Catalyst switches.
func (n *Network) NetFlow7(d Device) *Exporter { return newFixed(n, d, NetFlow7, 26) }

func newFixed(n *Network, d Device, p Protocol, flows int) *Exporter {
	e := newExporter(n, d, p, flows, &fixedEncoder{})
	e.watch.v4only, e.watch.oneWay = true, true
	return e
}

// fixedEncoder writes the versions without templates. Cisco, NetFlow Export Datagram Format.
type fixedEncoder struct {
	sequence uint32 // flows, not datagrams
}

func (x *fixedEncoder) datagram(e *Exporter, now time.Time, dst []byte) []byte {
	// A datagram is seldom full.
	count := len(e.flows) - e.watch.rng.IntN(len(e.flows)/3)
	flows := e.flows[:count]
	for i := range flows {
		e.watch.next(now, &flows[i])
	}
	e.told = flows
	version := versionOf(e.Protocol)
	dst = be16(dst, version)
	dst = be16(dst, count)
	dst = be32(dst, uptime(e.boot, now))
	dst = be32(dst, uint32(now.Unix()))
	dst = be32(dst, uint32(now.Nanosecond()))
	switch e.Protocol {
	case NetFlow5:
		dst = be32(dst, x.sequence)
		dst = append(dst, byte(e.Domain>>8), byte(e.Domain))
		sampling := 0
		if e.SamplingRate > 1 {
			sampling = 1<<14 | int(e.SamplingRate)&0x3fff // systematic
		}
		dst = be16(dst, sampling)
	case NetFlow7:
		dst = be32(dst, x.sequence)
		dst = be32(dst, 0)
	}
	for i := range flows {
		dst = e.fixedRecord(dst, &flows[i])
	}
	x.sequence += uint32(count)
	e.stats.Flows += uint64(count)
	return dst
}

func versionOf(p Protocol) int {
	switch p {
	case NetFlow1:
		return 1
	case NetFlow5:
		return 5
	}
	return 7
}

func (e *Exporter) fixedRecord(dst []byte, f *Flow) []byte {
	dst = addr4(dst, f.Src)
	dst = addr4(dst, f.Dst)
	dst = addr4(dst, f.NextHop)
	dst = be16(dst, int(f.In))
	dst = be16(dst, int(f.Out))
	dst = be32(dst, clamp32(f.Packets))
	dst = be32(dst, clamp32(f.Bytes))
	dst = be32(dst, uptime(e.boot, f.Start))
	dst = be32(dst, uptime(e.boot, f.End))
	dst = be16(dst, int(f.SrcPort))
	dst = be16(dst, int(f.DstPort))
	if e.Protocol == NetFlow1 {
		dst = append(dst, 0, 0, f.Proto, f.TOS, f.TCPFlags)
		return append(dst, zeros[:7]...)
	}
	dst = append(dst, 0, f.TCPFlags, f.Proto, f.TOS)
	dst = be16(dst, int(clampAS(f.SrcAS)))
	dst = be16(dst, int(clampAS(f.DstAS)))
	dst = append(dst, f.SrcMask, f.DstMask, 0, 0)
	if e.Protocol == NetFlow7 {
		dst = addr4(dst, e.Addr) // the router that the switch bypassed
	}
	return dst
}
