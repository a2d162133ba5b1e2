package collect

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
)

// hold keeps data sets whose template has not come yet, until it comes. It costs
// nothing while it is empty.
//
// A worker that finds no template looks again under the mutex before it keeps the
// set; the worker that reads the template stores it before it takes, under the
// same mutex, what waits for it. So no set is kept that nobody comes for, and
// records go to the sink of a worker, whichever of them read the template.
type hold struct {
	maxOctets, maxExporterOctets int64
	maxAge                       int64 // ns

	// due is when there is something to do, in ns since the epoch: when the
	// oldest set expires, or at once when templates came from elsewhere than a
	// worker.
	due  atomic.Int64
	sets atomic.Int64

	mu     sync.Mutex // guards what follows, and what exporters and domains say is held
	octets int64
	age    heldList
	ready  []readySets
}

// heldSet is a data set that waits, with what its datagram said.
type heldSet struct {
	links    [2]heldLinks // by age: in all and of its exporter
	next     *heldSet     // of those that wait for the same template
	datagram *heldDatagram
	e        *exporter
	dom      *domain
	id       uint16
	port     uint16
	sequence uint32
	received int64 // ns since the epoch
	export   export
	body     []byte
}

// heldDatagram is what sets of one datagram have in common: how many units of
// sequence numbers have been found in it so far, of NetFlow v9 as they are stored.
// Guarded by the domain's mutex.
type heldDatagram struct{ units uint32 }

type heldLinks struct{ older, younger *heldSet }

// heldList is a list by age, through one of the links.
type heldList struct{ oldest, youngest *heldSet }

const (
	linksOfAll = iota
	linksOfExporter
)

// heldQueue are the sets that wait for one template, oldest first.
type heldQueue struct{ first, last *heldSet }

// heldCounts are the data sets of a domain that were not decoded with their
// datagram.
type heldCounts struct {
	kept             uint64 // all but those that found no room
	expired, evicted uint64 // of these
	refused          uint64
}

func (c *heldCounts) lost() uint64 { return c.expired + c.evicted + c.refused }

// addTo adds to the counts of the domain.
func (c *heldCounts) addTo(to *Counts) {
	to.Sets += c.kept + c.refused
	to.HeldSets += c.kept
	to.HeldExpired += c.expired
	to.HeldEvicted += c.evicted
	to.MissingTemplates += c.lost()
}

// readySets names sets whose template has come from elsewhere than a worker.
type readySets struct {
	dom *domain
	id  uint16
}

// heldOctets is about how much memory it takes to hold a set beside its body.
const heldOctets = 256

func (h *heldSet) size() int64 { return heldOctets + int64(len(h.body)) }

func (l *heldList) push(h *heldSet, links int) {
	h.links[links].older = l.youngest
	if l.youngest == nil {
		l.oldest = h
	} else {
		l.youngest.links[links].younger = h
	}
	l.youngest = h
}

func (l *heldList) remove(h *heldSet, links int) {
	at := &h.links[links]
	if at.older == nil {
		l.oldest = at.younger
	} else {
		at.older.links[links].younger = at.younger
	}
	if at.younger == nil {
		l.youngest = at.older
	} else {
		at.younger.links[links].older = at.older
	}
	*at = heldLinks{}
}

// init takes the bounds. Negative octets: nothing is held.
func (q *hold) init(octets, exporterOctets int64, age time.Duration) {
	q.maxOctets, q.maxExporterOctets, q.maxAge = octets, min(exporterOctets, octets), int64(age)
	q.due.Store(math.MaxInt64)
}

// keep keeps a set, or reports that it need not be kept since its template is
// there by now.
func (q *hold) keep(h *heldSet, body []byte) (there bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// The set counts before the template is looked for: a worker that has just
	// stored it, and sees that none are held, has been in time for this one.
	q.sets.Add(1)
	there, kept := q.add(h, body)
	if !kept {
		q.sets.Add(-1)
	}
	return there
}

func (q *hold) add(h *heldSet, body []byte) (there, kept bool) {
	if h.dom.program(h.id) != nil {
		h.dom.heldCounts.kept++
		return true, false
	}
	size := heldOctets + int64(len(body))
	if size > q.maxExporterOctets || h.e.forgotten.Load() || h.dom.forgotten.Load() {
		h.dom.heldCounts.refused++
		return false, false
	}
	for h.e.heldOctets+size > q.maxExporterOctets {
		q.evict(h.e.held.oldest)
	}
	for q.octets+size > q.maxOctets {
		q.evict(q.age.oldest)
	}
	h.body = append(make([]byte, 0, len(body)), body...)
	q.age.push(h, linksOfAll)
	h.e.held.push(h, linksOfExporter)
	if h.dom.held == nil {
		h.dom.held = make(map[uint16]heldQueue)
	}
	waiting := h.dom.held[h.id]
	if waiting.last == nil {
		waiting.first = h
	} else {
		waiting.last.next = h
	}
	waiting.last = h
	h.dom.held[h.id] = waiting
	q.octets += size
	h.e.heldOctets += size
	h.dom.heldCounts.kept++
	q.schedule()
	return false, true
}

// schedule says when there is something to do next.
func (q *hold) schedule() {
	switch due := int64(math.MaxInt64); {
	case len(q.ready) > 0:
		q.due.Store(math.MinInt64)
	case q.age.oldest == nil:
		q.due.Store(due)
	default:
		if q.age.oldest.received < due-q.maxAge {
			due = q.age.oldest.received + q.maxAge
		}
		q.due.Store(due)
	}
}

// evict gives up a set for others.
func (q *hold) evict(h *heldSet) {
	h.dom.heldCounts.evicted++
	q.giveUp(h)
}

// tooOld gives up a set whose template did not come in time.
func (q *hold) tooOld(h *heldSet) {
	h.dom.heldCounts.expired++
	q.giveUp(h)
}

// giveUp drops a set that is the oldest of those that wait for its template.
func (q *hold) giveUp(h *heldSet) {
	q.unlink(h)
	waiting := h.dom.held[h.id]
	if waiting.first = h.next; waiting.first == nil {
		delete(h.dom.held, h.id)
	} else {
		h.dom.held[h.id] = waiting
	}
}

func (q *hold) unlink(h *heldSet) {
	q.age.remove(h, linksOfAll)
	h.e.held.remove(h, linksOfExporter)
	q.octets -= h.size()
	h.e.heldOctets -= h.size()
	q.sets.Add(-1)
}

// expire gives up what has waited for too long.
func (q *hold) expire(now int64) {
	for q.age.oldest != nil && q.age.oldest.received <= now-q.maxAge {
		q.tooOld(q.age.oldest)
	}
}

// take returns the sets of a domain that wait for a template, linked by next.
func (q *hold) take(dom *domain, id uint16) *heldSet {
	first := dom.held[id].first
	delete(dom.held, id)
	for h := first; h != nil; h = h.next {
		q.unlink(h)
	}
	return first
}

// forget gives up what is held of an exporter that gives way.
func (q *hold) forget(e *exporter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.forgotten.Store(true)
	for e.held.oldest != nil {
		q.evict(e.held.oldest)
	}
	q.schedule()
}

// forgetDomain gives up what is held of a domain that gives way.
func (q *hold) forgetDomain(e *exporter, dom *domain) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, dom := range dom.family() {
		dom.forgotten.Store(true)
		for _, waiting := range dom.held {
			for h := waiting.first; h != nil; h = h.next {
				q.unlink(h)
				dom.heldCounts.evicted++
			}
		}
		clear(dom.held)
	}
	q.schedule()
}

// wake has the sets that wait for a template decoded by the next worker that
// decodes anything.
func (q *hold) wake(dom *domain, id uint16) {
	if q.sets.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready = append(q.ready, readySets{dom, id})
	q.schedule()
}

// hold has a data set that no template describes wait until the datagram has been
// counted: what is found out about it later has to come later.
func (m *message) hold(set ipfix.Set) {
	m.s.waiting = append(m.s.waiting, set)
	if m.d.hold.maxOctets < 0 {
		m.s.giveUp()
	}
}

// giveUp counts the data sets that no template describes, and that nobody keeps.
func (s *scratch) giveUp() {
	n := uint64(len(s.waiting))
	s.counts.Sets += n
	s.counts.MissingTemplates += n
	s.waiting = s.waiting[:0]
}

// keep keeps the data sets of a datagram that no template describes, or decodes
// those whose template has come by now. Only an error of emit is returned.
func (d *Decoder) keep(dg *flow.Datagram, e *exporter, dom *domain, s *scratch) error {
	units, _ := s.stored()
	datagram := &heldDatagram{units}
	for _, set := range s.waiting {
		h := &heldSet{datagram: datagram, e: e, dom: dom, id: set.ID, port: dg.Exporter.Port(), sequence: s.mark.number, received: dg.Received.UnixNano(), export: s.export}
		if d.hold.keep(h, set.Body) {
			h.body = set.Body
			if err := d.decodeHeld(h, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// release decodes what waits for a template of a domain, which has come, and
// returns the first error of emit. It comes with the datagram of s.
func (d *Decoder) release(dom *domain, id uint16, s *scratch) error {
	if d.hold.sets.Load() == 0 {
		return nil
	}
	for _, dom := range dom.family() {
		d.hold.mu.Lock()
		var h *heldSet
		if dom.program(id) != nil {
			h = d.hold.take(dom, id)
			d.hold.schedule()
		}
		d.hold.mu.Unlock()
		for ; h != nil; h = h.next {
			if err := d.decodeHeld(h, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// decodeHeld decodes a set that was held, as its datagram would have been. Only
// an error of emit is returned.
func (d *Decoder) decodeHeld(h *heldSet, with *scratch) error {
	s := d.scratches.Get().(*scratch)
	defer d.scratches.Put(s)
	s.begin(h.e, h.received, with.emit)
	s.notes = with.notes
	s.mark = mark{number: h.sequence, received: h.received / 1e9, export: int64(h.export.timeNs / 1e6), hasExport: true, datagrams: h.export.version == 9, held: h.datagram}
	s.export = h.export
	m := message{d: d, e: h.e, dom: h.dom, s: s, x: &s.export, port: h.port, sequence: h.sequence, received: h.received}
	m.begin()
	var err error
	switch p := h.dom.program(h.id); {
	case p == nil: // withdrawn in the meantime
		s.counts.HeldEvicted, s.counts.MissingTemplates = 1, 1
	case p.template.Options:
		err = m.options(p.template, h.body)
	default:
		err = m.records(p, ipfix.Set{ID: h.id, Body: h.body})
	}
	// As a set it has been counted when it was kept.
	s.counts.HeldDecoded, s.counts.Sets = s.counts.Sets, 0
	stop, stopped := err.(stopError) //nolint:errorlint // never wrapped
	if err != nil && !stopped {
		s.counts.Malformed[reasonOf(err)]++
	}
	d.commit(h.e, h.dom, s)
	with.notes = s.notes
	s.end()
	if stopped {
		return stop.error
	}
	return nil
}

// heldDue does what is due: gives up what has waited too long, and decodes what
// has a template that no worker read.
func (d *Decoder) heldDue(now int64, s *scratch) error {
	q := &d.hold
	q.mu.Lock()
	q.expire(now)
	ready := q.ready
	q.ready = nil
	q.schedule()
	q.mu.Unlock()
	for _, r := range ready {
		if err := d.release(r.dom, r.id, s); err != nil {
			return err
		}
	}
	return nil
}

// GiveUp drops all data sets that wait for their templates and counts them as
// sets without one. It is for the end, when no more templates can come.
func (d *Decoder) GiveUp() {
	d.hold.mu.Lock()
	defer d.hold.mu.Unlock()
	for d.hold.age.oldest != nil {
		d.hold.tooOld(d.hold.age.oldest)
	}
	d.hold.schedule()
}
