package main

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/tributary-net/tributary/internal/traffic"
	"github.com/tributary-net/tributary/sflow"
)

// balanceDomain is an observation domain that sends what a [balance] tells it to, and
// keeps its own account of it.
type balanceDomain struct {
	exporter *balanceExporter
	protocol traffic.Protocol
	id       uint32

	number uint32 // sequence number of the next datagram
	at     uint64 // the same, counted from the beginning of its life
	sample uint32 // number of the next sFlow sample
	all    []*balanceDatagram

	strayed bool // one has been farther behind than the collector looks

	// To the collector that lives: copies, data sets in them, units of sequence numbers
	// that it can count at least and at most.
	copies, sets, least, most uint64
}

// balanceExporter is where domains send from.
type balanceExporter struct {
	addr    netip.Addr
	domains []*balanceDomain
	life    int
	steady  bool   // it does not start again any more
	uptime  uint32 // ms
	booted  uint32 // s since the epoch
	// The second template waits to be told. Records of the third are described never.
	withheld, secret bool
	waits            bool // it was withheld when the collector that lives began
	again            int  // restarts since
}

// The records of a datagram are in up to three sets where there are templates: what
// comes with its template, what may have to wait for it, and what waits in vain.
const (
	partMain = iota
	partSecond
	partNever
	parts
)

// balanceDatagram is a datagram, whatever becomes of it.
type balanceDatagram struct {
	domain  *balanceDomain
	life    int
	at      uint64 // its number, counted from the beginning of that life
	first   uint32 // number of its first record, among all records of all exporters
	records [parts]int
	beyond  bool // sent when it was farther behind than the collector looks

	number, uptime, export, sample uint32
	told                           bool // it tells the second template
	sent                           []*balanceCopy
}

// balanceCopy is one time that a datagram was sent.
type balanceCopy struct {
	place uint64   // among all that were sent
	alive bool     // to a collector, not into the void
	sure  bool     // that collector has said that it stored everything sent so far
	came  []uint64 // which records of it are in each topic
}

// step is what a domain's clock goes on by from datagram to datagram: little enough for
// one that comes late not to be taken for one of an exporter that has started again.
const balanceStep = 10 // ms

// next makes the datagram that comes next. first is the number of its first record.
func (d *balanceDomain) next(rng *rand.Rand, first uint32, plain bool) *balanceDatagram {
	e := d.exporter
	e.uptime += balanceStep
	g := &balanceDatagram{
		domain: d, life: e.life, at: d.at, first: first, number: d.number, sample: d.sample,
		uptime: e.uptime, export: e.booted + e.uptime/1000, told: !e.withheld,
	}
	g.records[partMain] = 1 + rng.IntN(12)
	if d.templates() && !plain {
		g.records[partSecond] = rng.IntN(6)
		if e.secret {
			g.records[partNever] = rng.IntN(3)
		}
	}
	units := uint64(1)
	if d.countsRecords() {
		units = uint64(g.total())
	}
	d.number += uint32(units)
	d.at += units
	d.sample += uint32(g.total())
	d.all = append(d.all, g)
	return g
}

// restart has an exporter begin anew: with numbers far below those it had, or at zero.
func (e *balanceExporter) restart(rng *rand.Rand) {
	e.life++
	e.booted += e.uptime/1000 + 90
	e.uptime = 1000
	e.steady = e.life == 7 || rng.IntN(2) == 0
	for _, d := range e.domains {
		d.at, d.number = 0, uint32(8-e.life)<<22
		if e.steady {
			d.number = 0
		}
	}
}

func (d *balanceDomain) templates() bool {
	return d.protocol == traffic.NetFlow9 || d.protocol == traffic.IPFIX
}

func (d *balanceDomain) countsRecords() bool {
	return d.protocol == traffic.NetFlow5 || d.protocol == traffic.IPFIX
}

func (g *balanceDatagram) total() int {
	return g.records[partMain] + g.records[partSecond] + g.records[partNever]
}

// sets is how many data sets it has.
func (g *balanceDatagram) sets() (n uint64) {
	for _, records := range g.records {
		if records > 0 && g.domain.templates() {
			n++
		}
	}
	return n
}

// mask has a bit for each record of a part.
func (g *balanceDatagram) mask(part int) uint64 {
	before := 0
	for _, n := range g.records[:part] {
		before += n
	}
	return (1<<g.records[part] - 1) << before
}

// units is how many units of sequence numbers these records are.
func (g *balanceDatagram) units(records uint64) uint64 {
	if g.domain.countsRecords() {
		return uint64(bits.OnesCount64(records))
	}
	return min(1, records&g.mask(partMain))
}

// encode writes the datagram. Every record has its number as source address, and the
// number of the copy as destination port.
func (g *balanceDatagram) encode(copies int) []byte {
	be := binary.BigEndian
	d := g.domain
	if d.protocol == traffic.SFlow {
		var e sflow.Encoder
		e.Start(nil, sflow.Datagram{Agent: d.exporter.addr, SubAgent: d.id, Sequence: g.number, Uptime: g.uptime})
		for i := range uint32(g.records[partMain]) {
			e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, Sequence: g.sample + i, SourceIndex: 1, SamplingRate: 1})
			e.IP(&sflow.SampledIP{Length: 100, Proto: 17, Src: balanceAddr(g.first + i), Dst: d.exporter.addr, SrcPort: 1, DstPort: uint32(copies)})
		}
		return e.Finish()
	}
	var b []byte
	switch d.protocol {
	case traffic.NetFlow5:
		b = be.AppendUint16(be.AppendUint16(b, 5), uint16(g.total()))
		b = be.AppendUint32(be.AppendUint32(be.AppendUint32(b, g.uptime), g.export), g.uptime%1000*1e6)
		b = be.AppendUint32(b, g.number)
		b = append(b, byte(d.id>>8), byte(d.id), 0, 0)
		for i := range g.total() {
			b = append(b, make([]byte, 48)...)
			r := b[len(b)-48:]
			be.PutUint32(r, g.address(i))
			be.PutUint16(r[34:], uint16(copies))
		}
		return b
	case traffic.NetFlow9:
		b = be.AppendUint16(be.AppendUint16(b, 9), uint16(g.total()))
		b = be.AppendUint32(be.AppendUint32(b, g.uptime), g.export)
		b = be.AppendUint32(be.AppendUint32(b, g.number), d.id)
		b = g.appendTemplates(b, 0)
	default:
		b = be.AppendUint16(be.AppendUint16(b, 10), 0)
		b = be.AppendUint32(be.AppendUint32(be.AppendUint32(b, g.export), g.number), d.id)
		b = g.appendTemplates(b, 2)
	}
	i := 0
	for part, n := range g.records {
		if n == 0 {
			continue
		}
		b = be.AppendUint16(be.AppendUint16(b, uint16(256+part)), uint16(4+12*n))
		for range n {
			b = be.AppendUint32(be.AppendUint32(b, g.address(i)), 0x0a000001)
			b = be.AppendUint16(be.AppendUint16(b, 1), uint16(copies))
			i++
		}
	}
	if d.protocol == traffic.IPFIX {
		be.PutUint16(b[2:], uint16(len(b)))
	}
	return b
}

// appendTemplates tells the templates of those parts that are told.
func (g *balanceDatagram) appendTemplates(b []byte, set uint16) []byte {
	be := binary.BigEndian
	ids := []uint16{256}
	if g.told {
		ids = append(ids, 257)
	}
	b = be.AppendUint16(be.AppendUint16(b, set), uint16(4+20*len(ids)))
	for _, id := range ids {
		b = be.AppendUint16(be.AppendUint16(b, id), 4)
		for _, field := range [][2]uint16{{8, 4}, {12, 4}, {7, 2}, {11, 2}} { // addresses and ports
			b = be.AppendUint16(be.AppendUint16(b, field[0]), field[1])
		}
	}
	return b
}

// balanceAddr is the source address that stands for the number of a record, and
// recordNumber is the way back.
func balanceAddr(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n+1<<24)))
}

func (g *balanceDatagram) address(i int) uint32 { return g.first + uint32(i) + 1<<24 }

func recordNumber(a netip.Addr) uint32 {
	b := a.Unmap().As4()
	return binary.BigEndian.Uint32(b[:]) - 1<<24
}

// balanceCount is what should be said of a domain, over the lives of all collectors.
type balanceCount struct {
	announced, received, repeated, missing uint64
	beyond                                 uint64 // of what was missing and came, what a collector may not have looked for any more
}

// count counts what has been stored everywhere, by marking every unit by itself.
func (d *balanceDomain) count(t *testing.T) (c balanceCount) {
	type span struct{ from, to, there uint64 }
	lives := map[int]*span{}
	for _, g := range d.all {
		union := uint64(0)
		for i, s := range g.sent {
			came := s.stored()
			main, second := came&g.mask(partMain), came&g.mask(partSecond)
			switch {
			case came&g.mask(partNever) != 0:
				t.Errorf("%v: records that no template describes are there", g)
			case main != 0 && main != g.mask(partMain), second != 0 && second != g.mask(partSecond), second != 0 && main == 0:
				t.Errorf("%v: of copy %d only a part is there: %b of %b", g, i+1, came, g.mask(partMain)|g.mask(partSecond))
			case came != 0 && !s.alive:
				t.Errorf("%v: copy %d, sent to nobody, is there", g, i+1)
			case main == 0 && s.sure:
				t.Errorf("%v: copy %d, which was stored, is not there", g, i+1)
			}
			c.received += g.units(came)
			union |= came
			if came != 0 && g.beyond {
				c.beyond += g.units(came)
			}
		}
		n := g.units(union)
		if n == 0 {
			continue
		}
		l := lives[g.life]
		if l == nil {
			l = &span{from: g.at}
			lives[g.life] = l
		}
		l.from, l.to, l.there = min(l.from, g.at), max(l.to, g.at+n), l.there+n
	}
	there := uint64(0)
	for _, l := range lives {
		c.announced += l.to - l.from
		there += l.there
	}
	c.repeated, c.missing = c.received-there, c.announced-there
	return c
}

// stored is which records are in all topics.
func (s *balanceCopy) stored() uint64 {
	all := ^uint64(0)
	for _, came := range s.came {
		all &= came
	}
	return all
}

func (d *balanceDomain) String() string {
	return fmt.Sprintf("%v %v domain %d", d.protocol, d.exporter.addr, d.id)
}

func (g *balanceDatagram) String() string {
	return fmt.Sprintf("%v, life %d, datagram %d", g.domain, g.life, g.number)
}
