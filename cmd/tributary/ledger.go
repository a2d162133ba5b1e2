package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/internal/sink"
)

// Kinds of rows of the ledger.
const (
	rowDomain      = "domain"
	rowSource      = "source"
	rowRest        = "rest"
	rowTotal       = "total"
	rowSocket      = "socket"
	rowDestination = "destination"
)

// rowHead is what all rows of the ledger begin with. The names are documented in
// docs/format/ledger.md.
type rowHead struct {
	Row       string    `json:"row"`
	Collector string    `json:"collector"`
	Started   time.Time `json:"started"`
	Time      time.Time `json:"time"`
	Final     bool      `json:"final"`
	Holds     bool      `json:"holds"`
}

// domainRow accounts for an observation domain, or for several in sum.
type domainRow struct {
	rowHead
	Exporter string `json:"exporter"`
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"`
	Domain   uint32 `json:"domain"`
	Agent    string `json:"agent,omitempty"`
	Unit     string `json:"unit"`
	LastSeen int64  `json:"last_seen"`

	Announced uint64 `json:"announced"`
	Received  uint64 `json:"received"`
	Missing   uint64 `json:"missing"`
	Unknown   uint64 `json:"unknown"`
	Repeated  uint64 `json:"repeated"`
	Late      uint64 `json:"late"`
	Gaps      uint64 `json:"gaps"`
	Restarts  uint64 `json:"restarts"`

	// Of processes before this one, as far as they are in its spool.
	EarlierAnnounced uint64 `json:"earlier_announced"`
	EarlierReceived  uint64 `json:"earlier_received"`
	EarlierMissing   uint64 `json:"earlier_missing"`
	EarlierRepeated  uint64 `json:"earlier_repeated"`

	Datagrams uint64 `json:"datagrams"`
	Malformed uint64 `json:"malformed"`
	Records   uint64 `json:"records"`
	Options   uint64 `json:"options"`

	Sets            uint64 `json:"sets"`
	SetsDecoded     uint64 `json:"sets_decoded"`
	SetsHeld        uint64 `json:"sets_held"`
	SetsNoTemplate  uint64 `json:"sets_without_template"`
	SetsMalformed   uint64 `json:"sets_malformed"`
	HeldExpired     uint64 `json:"held_expired"`
	HeldEvicted     uint64 `json:"held_evicted"`
	HeldDecodedLate uint64 `json:"held_decoded"`

	Samples map[string]*sampleCounts `json:"samples,omitempty"` // of sFlow, by kind
}

// socketRow accounts for the datagrams of a socket.
type socketRow struct {
	rowHead
	Listen      string `json:"listen"`
	Socket      int    `json:"socket"`
	Datagrams   uint64 `json:"datagrams"`
	Decoded     uint64 `json:"decoded"`
	Malformed   uint64 `json:"malformed"`
	Filtered    uint64 `json:"filtered"`
	KernelDrops uint64 `json:"kernel_drops"`
}

// destinationRow accounts for the records of a destination.
type destinationRow struct {
	rowHead
	To        string `json:"to"`
	Records   uint64 `json:"records"`
	Found     uint64 `json:"found"`
	Delivered uint64 `json:"acknowledged"`
	Spooled   uint64 `json:"spooled"`
	InFlight  uint64 `json:"in_flight"`
	Dropped   uint64 `json:"dropped"`
	Refused   uint64 `json:"refused"`
}

// ledgerSnapshot is the whole ledger at one time.
type ledgerSnapshot struct {
	domains      []domainRow
	sources      []sourceRow
	rest, total  domainRow
	sockets      []socketRow
	destinations []destinationRow
}

// ledger makes snapshots of a collector.
type ledger struct {
	started time.Time
	state   atomic.Pointer[ledgerSource]
}

// ledgerSource is what a ledger looks at, once it is there.
type ledgerSource struct {
	name    string
	server  *collect.Server
	decoder *collect.Decoder
	sinks   sink.Fanout
}

func newLedger() *ledger { return &ledger{started: time.Now().UTC().Truncate(time.Millisecond)} }

// begin tells the ledger what to look at.
func (l *ledger) begin(server *collect.Server, decoder *collect.Decoder, sinks sink.Fanout) {
	name, _ := os.Hostname()
	if a := server.Addrs(); len(a) > 0 {
		name += "/" + a[0].String()
	}
	l.state.Store(&ledgerSource{name, server, decoder, sinks})
}

// snapshot returns the ledger as it is now; nil: the collector has not started.
// The last one is made when nothing moves any more.
func (l *ledger) snapshot(final bool) *ledgerSnapshot {
	src := l.state.Load()
	if src == nil {
		return nil
	}
	head := rowHead{Collector: src.name, Started: l.started, Time: time.Now().UTC().Truncate(time.Millisecond), Final: final, Holds: true}
	s := &ledgerSnapshot{}
	// What comes later in the life of a record is looked at later, so that none has
	// got farther than it has come.
	stats, domains := src.decoder.Ledger()
	s.sources = sourcesOf(head, src.decoder.Sources())
	for i, st := range src.server.Stats() {
		r := socketRow{rowHead: head, Listen: st.Listen.String(), Socket: i, Datagrams: st.Datagrams, Decoded: st.Decoded, Malformed: st.Malformed, Filtered: st.Filtered, KernelDrops: st.Drops}
		r.Row, r.Holds = rowSocket, st.Holds()
		s.sockets = append(s.sockets, r)
	}
	seen := map[string]int{}
	for _, to := range src.sinks {
		s.destinations = append(s.destinations, destinationOf(head, uniqueName(seen, to.Name()), to.Stats(), stats.Total.Records))
	}
	rest, restSamples := stats.Total.Counts, stats.Total.Samples
	for i := range domains {
		d := &domains[i]
		r := domainRow{rowHead: head, Exporter: d.Exporter.String(), Port: d.Port, Protocol: d.Protocol(), Domain: d.Domain, LastSeen: d.LastSeen, Unit: unitOf(d)}
		if d.Agent.IsValid() {
			r.Agent = d.Agent.String()
		}
		r.Row = rowDomain
		r.count(&d.Counts, &d.Samples)
		rest.Sub(&d.Counts)
		restSamples.Sub(&d.Samples)
		s.domains = append(s.domains, r)
	}
	s.rest, s.total = domainRow{rowHead: head}, domainRow{rowHead: head, LastSeen: stats.Total.LastSeen}
	s.rest.Row, s.total.Row = rowRest, rowTotal
	s.rest.count(&rest, &restSamples)
	s.total.count(&stats.Total.Counts, &stats.Total.Samples)
	return s
}

// destinationOf accounts for one destination. Decoded are the records that had been
// decoded a moment ago: what the destination has not been given of them is in the hands
// of a worker, which has others to give it first or waits for another destination. In the
// last account nothing is.
func destinationOf(head rowHead, name string, st sink.Stats, decoded uint64) destinationRow {
	given := st.Written - st.Found
	r := destinationRow{rowHead: head, To: name, Records: given, Found: st.Found, Delivered: st.Delivered, Spooled: st.Spooled, Dropped: st.Dropped, Refused: st.Refused}
	r.Row = rowDestination
	done := st.Delivered + st.Spooled + st.Dropped + st.Refused
	r.Holds = done <= st.Written
	if head.Final {
		r.Holds = r.Holds && decoded == given
	} else {
		r.Records = max(given, decoded)
	}
	r.InFlight = r.Found + r.Records - min(done, st.Written)
	return r
}

func unitOf(d *collect.DomainStats) string {
	switch {
	case d.Agent.IsValid() || d.Version == 9:
		return "datagrams"
	case d.Version == 10:
		return "records"
	default:
		return "flows"
	}
}

func (r *domainRow) count(c *collect.Counts, samples *collect.KindSamples) {
	r.Announced, r.Received, r.Missing, r.Unknown, r.Repeated = c.Announced, c.Received, c.Missing(), c.Unknown, c.Repeated
	r.Late, r.Gaps, r.Restarts = c.Recovered, c.Gaps, c.Restarts
	r.EarlierAnnounced, r.EarlierReceived, r.EarlierMissing, r.EarlierRepeated = c.Earlier.Announced, c.Earlier.Received, c.Earlier.Missing(), c.Earlier.Repeated
	r.Datagrams, r.Malformed, r.Records, r.Options = c.Datagrams, c.AllMalformed(), c.Records, c.Options
	r.Sets, r.SetsDecoded, r.SetsHeld, r.SetsNoTemplate, r.SetsMalformed = c.Sets, c.SetsDecoded, c.Held(), c.MissingTemplates, c.SetsMalformed
	r.HeldExpired, r.HeldEvicted, r.HeldDecodedLate = c.HeldExpired, c.HeldEvicted, c.HeldDecoded
	r.Holds = r.sequenceHolds() && r.setsHold()
	r.countSamples(samples)
}

// sequenceHolds is the balance of what exporters sent.
func (r *domainRow) sequenceHolds() bool {
	return r.Announced+r.Repeated == r.Received+r.Missing+r.Unknown &&
		r.EarlierAnnounced+r.EarlierRepeated == r.EarlierReceived+r.EarlierMissing
}

// setsHold is the balance of data sets.
func (r *domainRow) setsHold() bool {
	return r.Sets == r.SetsDecoded+r.SetsHeld+r.SetsNoTemplate+r.SetsMalformed
}

// each calls f for every row, with its key on Kafka. The total comes last.
func (s *ledgerSnapshot) each(f func(key string, row any)) {
	for i := range s.domains {
		f(s.domains[i].key(), &s.domains[i])
	}
	for i := range s.sources {
		r := &s.sources[i]
		f(domainRowKey(r.Exporter, r.Domain), r)
	}
	for i := range s.sockets {
		f(s.sockets[i].Row+","+s.sockets[i].Listen, &s.sockets[i])
	}
	for i := range s.destinations {
		f(s.destinations[i].Row+","+s.destinations[i].To, &s.destinations[i])
	}
	f(s.rest.Row, &s.rest)
	f(s.total.Row, &s.total)
}

// key is exporter and domain, as flow records have them.
func (r *domainRow) key() string { return domainRowKey(r.Exporter, r.Domain) }

func domainRowKey(exporter string, domain uint32) string {
	return exporter + "," + strconv.FormatUint(uint64(domain), 10)
}

// wrong names what does not add up.
func (s *ledgerSnapshot) wrong() (list []string) {
	add := func(holds bool, what string) {
		if !holds {
			list = append(list, what)
		}
	}
	for i := range s.domains {
		r := &s.domains[i]
		add(r.sequenceHolds(), "sequence numbers of "+r.Exporter+" domain "+strings.TrimPrefix(r.key(), r.Exporter+","))
		add(r.setsHold(), "data sets of "+r.Exporter+" domain "+strings.TrimPrefix(r.key(), r.Exporter+","))
		add(r.samplesHold(), "samples of "+r.Exporter+" domain "+strings.TrimPrefix(r.key(), r.Exporter+","))
	}
	for i := range s.sources {
		r := &s.sources[i]
		add(r.holds(), r.Kind+" samples of "+r.Exporter+" domain "+strconv.FormatUint(uint64(r.Domain), 10)+" "+r.name())
	}
	add(s.total.sequenceHolds(), "sequence numbers")
	add(s.total.setsHold(), "data sets")
	add(s.total.samplesHold(), "samples")
	for i := range s.sockets {
		add(s.sockets[i].Holds, "datagrams of "+s.sockets[i].Listen)
	}
	for i := range s.destinations {
		add(s.destinations[i].Holds, "records of "+s.destinations[i].To)
	}
	return list
}

// ServeHTTP serves the ledger as JSON.
func (l *ledger) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s := l.snapshot(false)
	if s == nil {
		http.Error(w, "the collector has not started yet", http.StatusServiceUnavailable)
		return
	}
	answer := struct {
		Holds bool  `json:"holds"`
		Rows  []any `json:"rows"`
	}{Holds: len(s.wrong()) == 0}
	s.each(func(_ string, row any) { answer.Rows = append(answer.Rows, row) })
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // whoever asked may be gone
}

// addRow puts a row as it was written back into a snapshot; one of a kind that is
// not known is passed over.
func (s *ledgerSnapshot) addRow(value []byte) error {
	var head rowHead
	err := json.Unmarshal(value, &head)
	if err != nil {
		return err
	}
	switch head.Row {
	case rowDomain:
		err = addParsed(value, &s.domains)
	case rowSource:
		err = addParsed(value, &s.sources)
	case rowSocket:
		err = addParsed(value, &s.sockets)
	case rowDestination:
		err = addParsed(value, &s.destinations)
	case rowRest, rowTotal:
		var sum []domainRow
		if err = addParsed(value, &sum); err != nil {
			return err
		}
		if head.Row == rowRest {
			s.rest = sum[0]
		} else {
			s.total = sum[0]
		}
	}
	return err
}

// addParsed appends a row that can be read.
func addParsed[R any](value []byte, rows *[]R) error {
	var r R
	if err := json.Unmarshal(value, &r); err != nil {
		return err
	}
	*rows = append(*rows, r)
	return nil
}
