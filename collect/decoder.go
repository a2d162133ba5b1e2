package collect

import (
	"cmp"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/packet"
	"github.com/tributary-net/tributary/sflow"
)

// ErrProtocol says that a datagram is of no protocol that the decoder knows.
var ErrProtocol = errors.New("no flow export protocol")

// DecoderConfig bounds what a [Decoder] remembers. What gives way when a bound
// is met is counted. A bound of zero is that of [DefaultDecoderConfig].
type DecoderConfig struct {
	MaxExporters int // addresses; the longest silent give way
	MaxDomains   int // observation domains of one exporter
	MaxTemplates int // templates of one domain
	MaxPorts     int // exporters told apart behind one address and domain
	MaxSources   int // of samples of one sFlow sub-agent; the longest silent give way
	MaxNames     int // samplers of one domain, interface names and application names of one exporter; further ones are not learnt

	// About how many octets of memory all of that may take: for one exporter,
	// whose templates give way or whose names are not learnt then, and for all
	// exporters, of whom the longest silent give way.
	MaxExporterOctets, MaxOctets int64

	// Data sets whose template has not come yet are held until it comes: how
	// many octets of them, for one exporter and for all, and how long, by the
	// times of receipt. The oldest give way. Negative HoldOctets: none are held.
	HoldExporterOctets, HoldOctets int64
	HoldTime                       time.Duration

	// Elements are extra fields of records, beside what elements are otherwise;
	// see CheckElements for what goes together.
	Elements []NamedElement

	// Counters, if not nil, is called for every sFlow counter sample, by several
	// goroutines at once. Flows wait for it: it must not block.
	Counters func(*CounterSample)
}

// DefaultDecoderConfig returns bounds that suit a large network.
func DefaultDecoderConfig() DecoderConfig {
	return DecoderConfig{
		MaxExporters: 16384, MaxDomains: 1024, MaxTemplates: 1024, MaxPorts: 64, MaxSources: 4096, MaxNames: 65536,
		MaxExporterOctets: 16 << 20, MaxOctets: 256 << 20,
		HoldExporterOctets: 32 << 20, HoldOctets: 256 << 20, HoldTime: 15 * time.Minute,
	}
}

// Decoder decodes NetFlow v1, v5, v7 and v9, IPFIX and sFlow v5, whichever a
// datagram is, and remembers what exporters announce of themselves: templates,
// sampling rates, names. It is a [flow.Decoder].
type Decoder struct {
	cfg       DecoderConfig
	exporters atomic.Pointer[layers[netip.Addr, *exporter]]
	scratches sync.Pool
	// generation counts template announcements, so that one can be said to have
	// come after another.
	generation atomic.Uint64
	hold       hold
	changed    chan struct{}
	named      map[ipfix.ElementID]*flow.Extra // by configuration; does not change

	mu      sync.Mutex // for those who replace exporters; guards what follows
	evicted evicted
	octets  int64        // what is remembered of all exporters takes about so many
	told    []netip.Addr // exporters that gave way after State had told of them
}

var _ flow.Decoder = (*Decoder)(nil)

// NewDecoder returns a Decoder that knows no exporter yet.
func NewDecoder(cfg DecoderConfig) *Decoder {
	def := DefaultDecoderConfig()
	cfg.MaxExporters = cmp.Or(cfg.MaxExporters, def.MaxExporters)
	cfg.MaxDomains = cmp.Or(cfg.MaxDomains, def.MaxDomains)
	cfg.MaxTemplates = cmp.Or(cfg.MaxTemplates, def.MaxTemplates)
	cfg.MaxPorts = cmp.Or(cfg.MaxPorts, def.MaxPorts)
	cfg.MaxSources = cmp.Or(cfg.MaxSources, def.MaxSources)
	cfg.MaxNames = cmp.Or(cfg.MaxNames, def.MaxNames)
	cfg.MaxExporterOctets = cmp.Or(cfg.MaxExporterOctets, def.MaxExporterOctets)
	cfg.MaxOctets = cmp.Or(cfg.MaxOctets, def.MaxOctets)
	d := &Decoder{cfg: cfg, changed: make(chan struct{}, 1), named: make(map[ipfix.ElementID]*flow.Extra, len(cfg.Elements))}
	for _, e := range cfg.Elements {
		d.named[e.ID] = e.Field
	}
	d.hold.init(cmp.Or(cfg.HoldOctets, def.HoldOctets), cmp.Or(cfg.HoldExporterOctets, def.HoldExporterOctets), cmp.Or(cfg.HoldTime, def.HoldTime))
	d.exporters.Store(&layers[netip.Addr, *exporter]{})
	d.scratches.New = func() any { return new(scratch) }
	return d
}

// sflowVersion is the version of sFlow that is decoded.
const sflowVersion = 5

// scratch is memory that decoding one datagram needs, used again for the next.
type scratch struct {
	record   flow.Record
	values   ipfix.Records
	headers  packet.Headers
	sflow    sflow.Datagram
	options  []option
	samplers *samplers
	export   export
	emit     func(*flow.Record) error

	// What is counted once all of the datagram has been looked at.
	mark   mark
	counts Counts
	units  uint32 // of the sequence numbers
	known  bool   // there are no units that could not be counted
	// samples are those of sFlow that have numbers.
	samples []sampleMark
	passed  []int // sets of options data decoded ahead of records
	// waiting are the data sets that no template describes.
	waiting []ipfix.Set
	notes   []byte // nil: nobody wants any

	lists     ipfix.Lists
	templates ipfix.Templates // of the message's domain
	text      []byte          // that lists of a record have become
	fields    []sflow.Value   // of an sFlow record
	counters  CounterSample
	listText  int // how much text the lists of the datagram have become
}

// Decode decodes one datagram; see [flow.Decoder]. A set that no template
// describes, or that is malformed, does not cost the rest of the datagram: the
// error tells of the first such thing once everything else has been decoded.
func (d *Decoder) Decode(dg *flow.Datagram, emit func(*flow.Record) error) error {
	e := d.exporter(dg.Exporter.Addr(), dg.Received.Unix())
	e.datagrams.Add(1)

	now := dg.Received.UnixNano()
	s := d.scratches.Get().(*scratch)
	s.begin(e, now, emit)
	s.notes = dg.Note
	s.counts.Datagrams, s.counts.Bytes = 1, uint64(len(dg.Payload))
	s.mark.received = dg.Received.Unix()
	var dom *domain
	var err error
	if now >= d.hold.due.Load() {
		err = d.heldDue(now, s)
	}
	if err == nil {
		dom, err = d.decode(dg, e, s)
	}
	if stop, ok := err.(stopError); ok { //nolint:errorlint // never wrapped
		err = stop.error
		s.giveUp()
	} else if err != nil {
		s.counts.Malformed[reasonOf(err)]++
	}
	d.commit(e, dom, s)
	if len(s.waiting) > 0 {
		if stop := d.keep(dg, e, dom, s); stop != nil {
			err = stop
		}
	}
	dg.Note = s.notes
	s.end()
	d.scratches.Put(s)
	return err
}

// begin sets what all records of a datagram share, whatever its protocol; received
// is in ns since the epoch.
func (s *scratch) begin(e *exporter, received int64, emit func(*flow.Record) error) {
	s.emit = emit
	s.counts, s.mark, s.units, s.known = Counts{}, mark{}, 0, true
	s.listText, s.samples = 0, s.samples[:0]
	s.record.Reset()
	s.record.SetUint(flow.TimeReceived, uint64(received))
	s.record.SetAddr(flow.SamplerAddress, e.addr)
}

// end forgets what belongs to the datagram.
func (s *scratch) end() {
	s.emit, s.notes, s.mark.sets, s.mark.held = nil, nil, nil, nil
	clear(s.waiting)
	s.waiting = s.waiting[:0]
}

// stopError wraps an error of emit on its way out.
type stopError struct{ error }

func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, ErrProtocol):
		return ReasonUnknown
	case errors.Is(err, ipfix.ErrTruncated), errors.Is(err, sflow.ErrTruncated):
		return ReasonTruncated
	case errors.Is(err, ipfix.ErrTemplate):
		return ReasonTemplate
	case errors.Is(err, sflow.ErrMalformed), errors.Is(err, ipfix.ErrTrailing):
		return ReasonMalformed
	}
	return ReasonDecoder
}

// decode looks at the first octets: NetFlow and IPFIX begin with a version of
// two octets, sFlow with one of four. The domain it returns is nil when the
// datagram did not come to have one.
func (d *Decoder) decode(dg *flow.Datagram, e *exporter, s *scratch) (*domain, error) {
	b := dg.Payload
	if len(b) < 4 {
		return nil, ErrProtocol
	}
	switch version := binary.BigEndian.Uint16(b); version {
	case 1, 5, 7:
		return d.decodeFixed(dg, e, s)
	case 9:
		return d.decodeV9(dg, e, s)
	case ipfix.Version:
		return d.decodeIPFIX(dg, e, s)
	case 0:
		if binary.BigEndian.Uint32(b) == sflowVersion {
			return d.decodeSFlow(dg, e, s)
		}
	}
	return nil, ErrProtocol
}
