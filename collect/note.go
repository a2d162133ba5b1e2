package collect

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// ErrNote says that what was read is no note of a datagram, or no account of such.
var ErrNote = errors.New("not an account of datagrams")

// keptKey is a domain in an account.
type keptKey struct {
	exporter netip.Addr
	port     uint16 // of a further exporter behind the same address, else 0
	domain   domainKey
}

// Layout of a note, after its key: flags, number, uptime, export time, time of receipt,
// units.
const (
	keptKeySize = 2 + 2 + 4 + 2*17
	noteSize    = keptKeySize + 1 + 4 + 4 + 8 + 8 + 4
)

// Flags of a note.
const (
	noteFound     = 1 << iota // units that could be counted only now
	noteDatagrams             // the protocol counts datagrams
	noteUptime
	noteExport
	noteKnown
)

// note appends what has to be known of a datagram, where the records of it outlive the
// process: its place in the sequence of its domain. dom.mu is held.
func (s *scratch) note(e *exporter, dom *domain, number uint32) {
	m := &s.mark
	units, known := s.stored()
	if s.notes == nil || m.none || m.held != nil && units == 0 {
		return
	}
	k := keptKey{exporter: e.addr, domain: dom.key}
	if dom.parent != nil {
		k.port = uint16(dom.port.Load())
	}
	var flags byte
	set := func(on bool, flag byte) {
		if on {
			flags |= flag
		}
	}
	set(m.held != nil, noteFound)
	set(m.datagrams, noteDatagrams)
	set(m.hasUptime, noteUptime)
	set(m.hasExport, noteExport)
	set(known, noteKnown)
	be := binary.BigEndian
	b := append(k.append(s.notes), flags)
	b = be.AppendUint32(b, number)
	b = be.AppendUint32(b, m.uptime)
	b = be.AppendUint64(b, uint64(m.export))
	b = be.AppendUint64(b, uint64(m.received))
	s.notes = be.AppendUint32(b, units)
}

// stored is how many units of a datagram are there to be stored, and whether those are
// all: a NetFlow v9 datagram with nothing but data sets that wait for their template, or
// have none, has come, but what it brought is nowhere yet.
func (s *scratch) stored() (units uint32, known bool) {
	c := &s.counts
	if s.mark.held == nil && s.mark.datagrams && c.SetsDecoded+c.SetsMalformed == 0 && uint64(len(s.waiting))+c.MissingTemplates > 0 {
		return 0, false
	}
	return s.units, s.known
}

// readNote reads the first note of b, which has noteSize octets at least.
func readNote(b []byte) (k keptKey, m mark, units uint32, known, found bool) {
	be := binary.BigEndian
	k = readKeptKey(b)
	b = b[keptKeySize:]
	flags := b[0]
	m = mark{
		number: be.Uint32(b[1:]), uptime: be.Uint32(b[5:]), export: int64(be.Uint64(b[9:])), received: int64(be.Uint64(b[17:])),
		datagrams: flags&noteDatagrams != 0, hasUptime: flags&noteUptime != 0, hasExport: flags&noteExport != 0, kept: true,
	}
	return k, m, be.Uint32(b[25:]), flags&noteKnown != 0, flags&noteFound != 0
}

func (k *keptKey) append(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint16(b, k.domain.version)
	b = be.AppendUint16(b, k.port)
	b = be.AppendUint32(b, k.domain.id)
	for _, a := range [2]netip.Addr{k.exporter, k.domain.agent} {
		octets := a.As16() // all zero for none
		b = append(b, byte(a.BitLen()/8))
		b = append(b, octets[:]...)
	}
	return b
}

// readKeptKey reads the key that b begins with.
func readKeptKey(b []byte) keptKey {
	be := binary.BigEndian
	addr := func(b []byte) netip.Addr {
		switch b[0] {
		case 4:
			return netip.AddrFrom16([16]byte(b[1:])).Unmap()
		case 16:
			return netip.AddrFrom16([16]byte(b[1:]))
		}
		return netip.Addr{}
	}
	return keptKey{
		exporter: addr(b[8:]), port: be.Uint16(b[2:]),
		domain: domainKey{version: be.Uint16(b), id: be.Uint32(b[4:]), agent: addr(b[25:])},
	}
}
