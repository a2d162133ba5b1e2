package collect

import (
	"net/netip"
	"slices"
	"sync/atomic"
)

// Reason says why a datagram, or a part of one, could not be decoded.
type Reason uint8

// The reasons.
const (
	ReasonUnknown   Reason = iota // no protocol that is known begins like this
	ReasonTruncated               // a length points beyond what there is
	ReasonTemplate                // a template that is not valid
	ReasonMalformed               // anything else that contradicts itself
	ReasonDecoder                 // any other error of a decoder
	numReasons
)

// String returns the name of the reason, as metrics have it.
func (r Reason) String() string {
	return [numReasons]string{"unknown_protocol", "truncated", "invalid_template", "malformed", "decoder"}[r]
}

// Reasons lists all reasons.
func Reasons() []Reason {
	return []Reason{ReasonUnknown, ReasonTruncated, ReasonTemplate, ReasonMalformed, ReasonDecoder}
}

// counters count what one exporter sent. Workers add to them at once.
type counters struct {
	datagrams, bytes, records, options, templates, counterSamples, otherSamples atomic.Uint64
	malformed                                                                   [numReasons]atomic.Uint64
	missingTemplates, heldSets, heldDecoded, heldExpired, heldEvicted           atomic.Uint64
	gaps, skipped, recovered, repeated, restarts                                atomic.Uint64
	templatesEvicted, domainsEvicted, optionsEvicted                            atomic.Uint64
}

// ExporterStats is what one exporter has sent so far.
type ExporterStats struct {
	Exporter netip.Addr // the zero Addr: exporters that were evicted, in sum
	LastSeen int64      // seconds since the epoch

	Datagrams      uint64
	Bytes          uint64
	Records        uint64 // data records that became flow records
	Options        uint64 // options data records
	Templates      uint64 // template records, repetitions too
	CounterSamples uint64 // sFlow counter samples
	OtherSamples   uint64 // sFlow samples of formats that are not known

	Malformed        [numReasons]uint64 // datagrams with something that could not be decoded, by Reason
	MissingTemplates uint64             // data sets that no template described, and that are not held, or no more

	// Data sets whose template has not come yet are held.
	HeldSets    uint64 // how many have been held so far: the sum of the next three and of those held now
	HeldDecoded uint64 // of them, those whose template came
	HeldExpired uint64 // those whose template did not come in time
	HeldEvicted uint64 // those that gave way to others

	// Of the protocol's sequence numbers, in its own unit: datagrams in NetFlow
	// v9 and sFlow, records in v5, v7 and IPFIX.
	Gaps      uint64 // times that numbers were skipped
	Skipped   uint64 // how many were skipped
	Recovered uint64 // how many of these came later after all
	Repeated  uint64 // datagrams that came again or late
	Restarts  uint64 // times that numbers began anew

	TemplatesEvicted, DomainsEvicted, OptionsEvicted uint64 // entries lost to the bounds of tables
}

func (c *counters) stats(addr netip.Addr, seen int64) ExporterStats {
	s := ExporterStats{
		Exporter:         addr,
		LastSeen:         seen,
		Datagrams:        c.datagrams.Load(),
		Bytes:            c.bytes.Load(),
		Records:          c.records.Load(),
		Options:          c.options.Load(),
		Templates:        c.templates.Load(),
		CounterSamples:   c.counterSamples.Load(),
		OtherSamples:     c.otherSamples.Load(),
		MissingTemplates: c.missingTemplates.Load(),
		HeldDecoded:      c.heldDecoded.Load(),
		HeldExpired:      c.heldExpired.Load(),
		HeldEvicted:      c.heldEvicted.Load(),
		HeldSets:         c.heldSets.Load(),
		Gaps:             c.gaps.Load(),
		Skipped:          c.skipped.Load(),
		Recovered:        c.recovered.Load(),
		Repeated:         c.repeated.Load(),
		Restarts:         c.restarts.Load(),
		TemplatesEvicted: c.templatesEvicted.Load(),
		DomainsEvicted:   c.domainsEvicted.Load(),
		OptionsEvicted:   c.optionsEvicted.Load(),
	}
	for i := range s.Malformed {
		s.Malformed[i] = c.malformed[i].Load()
	}
	return s
}

// Missing returns how much is missing by sequence numbers: what was skipped and
// has not come since. It never exceeds Skipped, whenever the two were read.
func (s *ExporterStats) Missing() uint64 { return s.Skipped - min(s.Recovered, s.Skipped) }

// Held returns how many data sets wait for their templates.
func (s *ExporterStats) Held() uint64 {
	return s.HeldSets - min(s.HeldDecoded+s.HeldExpired+s.HeldEvicted, s.HeldSets)
}

// Add adds the counts of o to those of s.
func (s *ExporterStats) Add(o ExporterStats) {
	s.LastSeen = max(s.LastSeen, o.LastSeen)
	s.Datagrams += o.Datagrams
	s.Bytes += o.Bytes
	s.Records += o.Records
	s.Options += o.Options
	s.Templates += o.Templates
	s.CounterSamples += o.CounterSamples
	s.OtherSamples += o.OtherSamples
	s.MissingTemplates += o.MissingTemplates
	s.HeldSets += o.HeldSets
	s.HeldDecoded += o.HeldDecoded
	s.HeldExpired += o.HeldExpired
	s.HeldEvicted += o.HeldEvicted
	s.Gaps += o.Gaps
	s.Skipped += o.Skipped
	s.Recovered += o.Recovered
	s.Repeated += o.Repeated
	s.Restarts += o.Restarts
	s.TemplatesEvicted += o.TemplatesEvicted
	s.DomainsEvicted += o.DomainsEvicted
	s.OptionsEvicted += o.OptionsEvicted
	for i := range s.Malformed {
		s.Malformed[i] += o.Malformed[i]
	}
}

// DecoderStats is what a [Decoder] has seen so far.
type DecoderStats struct {
	Total     ExporterStats   // all exporters, evicted ones too
	Exporters []ExporterStats // by address
	Evicted   uint64          // exporters lost to the bound of their table
	Domains   int
	Programs  int   // templates known
	Octets    int64 // what is remembered takes about so many
	// HeldOctets is about how many the data sets take that wait for their templates.
	HeldOctets int64
}

// Stats returns what the decoder has seen so far.
func (d *Decoder) Stats() DecoderStats {
	var s DecoderStats
	d.mu.Lock()
	s.Total, s.Evicted = d.evicted.total, d.evicted.exporters
	exporters := d.exporters.Load()
	s.Octets = d.octets
	d.mu.Unlock()
	d.hold.mu.Lock()
	s.HeldOctets = d.hold.octets
	d.hold.mu.Unlock()
	for addr, e := range exporters.all() {
		es := e.count.stats(addr, e.seen.Load())
		s.Exporters = append(s.Exporters, es)
		s.Total.Add(es)
		for _, dom := range e.domains.Load().all() {
			s.Domains++
			s.Programs += dom.templates.Load().len()
		}
	}
	slices.SortFunc(s.Exporters, func(a, b ExporterStats) int { return a.Exporter.Compare(b.Exporter) })
	return s
}

// evicted keeps the counts of exporters that are no longer known.
type evicted struct {
	total     ExporterStats
	exporters uint64
}

func (v *evicted) add(e *exporter) {
	v.total.Add(e.count.stats(e.addr, e.seen.Load()))
	v.exporters++
}
