package collect

import "slices"

// A mark is what the header of a datagram says of its place in the stream of its
// domain.
type mark struct {
	number    uint32 // sequence number
	uptime    uint32 // milliseconds since the exporter started
	export    int64  // export time, milliseconds since the epoch
	received  int64  // seconds since the epoch
	hasUptime bool
	hasExport bool
	datagrams bool // the protocol counts datagrams; false: records
	kept      bool // for the account of what is kept, where datagrams come batch by batch
	none      bool // the protocol has no sequence numbers
	// held is of a set that was held: its datagram has been counted but for that.
	held *heldDatagram
	sets []byte // of NetFlow v9 and IPFIX
}

// Balance accounts for the sequence numbers of a domain, in the protocol's own
// unit: datagrams in NetFlow v9 and sFlow, flows in v5 and v7, data records in
// IPFIX, those of options too; of v1, which has no numbers, only what came. At any
// time
//
//	Announced + Repeated = Received + Missing() + Unknown
type Balance struct {
	Announced uint64 // from the first number seen to the last, in all lives of the exporter
	Received  uint64 // came, repetitions too
	Repeated  uint64 // came again
	Skipped   uint64 // were not there when the next came
	Recovered uint64 // of these, came late after all
	Unknown   uint64 // may be records of sets that no template has described yet, or be missing
	Gaps      uint64 // times that numbers were skipped
	Restarts  uint64 // times that the exporter began anew
}

// Missing returns how much is missing: what was skipped and has not come since.
func (b *Balance) Missing() uint64 { return b.Skipped - b.Recovered }

// Holds reports whether the two sides of the balance are equal.
func (b *Balance) Holds() bool {
	return b.Recovered <= b.Skipped && b.Announced+b.Repeated == b.Received+b.Missing()+b.Unknown
}

// Add adds the counts of o to those of b.
func (b *Balance) Add(o *Balance) {
	b.Announced += o.Announced
	b.Received += o.Received
	b.Repeated += o.Repeated
	b.Skipped += o.Skipped
	b.Recovered += o.Recovered
	b.Unknown += o.Unknown
	b.Gaps += o.Gaps
	b.Restarts += o.Restarts
}

// Sub takes the counts of o, which are part of those of b, away from them.
func (b *Balance) Sub(o *Balance) {
	b.Announced -= o.Announced
	b.Received -= o.Received
	b.Repeated -= o.Repeated
	b.Skipped -= o.Skipped
	b.Recovered -= o.Recovered
	b.Unknown -= o.Unknown
	b.Gaps -= o.Gaps
	b.Restarts -= o.Restarts
}

// sequence follows the sequence numbers of one domain. Datagrams may come in any
// order within a window, since several workers receive them.
//
// Two lives of the exporter are followed: what does not go on where the last one
// ended may be a datagram of the one before that was under way for long. Of those before
// them a few are remembered while some of their records wait for their template.
type sequence struct {
	balance   Balance
	earlier   Balance // of processes before this one, which the life that goes on began in
	now, past life
	older     []life // oldest first
	room      int    // holes that each life may remember now
	// idle: nothing has come since another process. Then either life may be the one that
	// goes on, however long ago that was: the one that the last datagram had begun need
	// not be, since it may have been under way for too long.
	idle bool
}

// life is a run of sequence numbers without a restart. Numbers are extended to 64
// bits, so that nobody has to think of their coming round.
type life struct {
	first, next uint64 // announced are those from first up to next
	holes       []hole // what of these has not come, in order, as far back as late and repeated are told apart
	blind       bool   // behind next may be records that could not be counted
	blindAt     uint64 // number of the datagram that has them
	forgotten   uint64 // units unknown that are in holes no longer
	resumed     uint64 // numbers before it were announced to an earlier process; 0: none
	// Of the sFlow sample with the highest number: its counters, and the number after it.
	drops, pool uint32
	counted     uint64

	// Of the datagram with the highest number.
	uptime uint32
	export int64
	seen   int64 // seconds since the epoch
	born   int64 // export of the datagram that it began with
}

// hole is a range of numbers that have not come.
type hole struct {
	from, to uint64
	unknown  bool
}

// How far things may be apart and still belong together.
const (
	windowDatagrams = 1 << 10 // a datagram that comes late, in units
	windowRecords   = 1 << 14
	windowKept      = 16      // times as far, where datagrams of several workers come batch by batch
	maxGap          = 1 << 20 // units that can be lost together
	rateDatagrams   = 1 << 16 // and as many more for each second of silence
	rateRecords     = 1 << 20
	minHoles        = 8 // remembered of one life, without asking for memory
	maxHoles        = 512
	maxOlder        = 4 // lives, with minHoles each
	holeOctets      = 24

	lateUptime    = 10_000 // milliseconds that a late datagram can be older than the newest
	jitterUptime  = 1_000  // and newer, where an exporter stamps time and number apart
	jitterExport  = 2_000
	wrapUptime    = 3_600_000 // silence during which the uptime can have come round
	endedSeconds  = 10        // during which datagrams of the life before may come
	silentSeconds = 5         // after which another port is the same exporter again
)

func (m *mark) window() uint64 {
	n := uint64(windowRecords)
	if m.datagrams {
		n = windowDatagrams
	}
	if m.kept {
		n *= windowKept
	}
	return n
}

func (m *mark) rate() uint64 {
	if m.datagrams {
		return rateDatagrams
	}
	return rateRecords
}

// started reports whether there has been a datagram.
func (l *life) started() bool { return l.next != 0 }

// at returns the extended number of a datagram: the one closest to what is
// expected.
func (l *life) at(number uint32) uint64 {
	return l.next + uint64(int64(int32(number-uint32(l.next))))
}

// begin starts a life with a datagram's number.
func (l *life) begin(m *mark) {
	// Far above zero, so that there is room for numbers before the first.
	start := uint64(1)<<40 + uint64(m.number)
	*l = life{first: start, next: start, holes: l.holes[:0], born: m.export}
	l.stamp(m)
}

func (l *life) stamp(m *mark) { l.uptime, l.export, l.seen = m.uptime, m.export, m.received }

// rebooted reports whether the exporter has started again by what it says of its
// own uptime.
func (l *life) rebooted(m *mark) bool {
	return m.hasUptime && m.uptime < l.uptime && l.uptime-m.uptime > lateUptime && m.uptime-l.uptime > wrapUptime
}

// newer reports whether a datagram was sent later than the one with the highest
// number. A late or repeated one never was.
func (l *life) newer(m *mark) bool {
	return m.hasUptime && m.uptime > l.uptime && m.uptime-l.uptime > jitterUptime && l.uptime-m.uptime > wrapUptime ||
		m.hasExport && m.export > l.export+jitterExport
}

// fits reports whether a datagram can belong to this life.
func (l *life) fits(m *mark) bool {
	if !l.started() {
		return false
	}
	at := l.at(m.number)
	switch {
	case at == l.next:
		return true
	case l.rebooted(m):
		return false
	case at > l.next:
		if at-l.next < maxGap {
			return true
		}
		// As much as could have been sent in the meantime, but for one that begins
		// at zero.
		silence := uint64(max(0, min(m.received-l.seen, 1<<11)))
		return uint64(m.number) > m.window() && at-l.next < maxGap+silence*m.rate()
	default:
		return !l.newer(m) && l.next-at <= m.window() && l.first <= at+m.window()/4
	}
}

// ended reports whether a datagram can belong to the life before, which has ended not
// long ago.
func (s *sequence) ended(m *mark) bool {
	l := &s.past
	return l.fits(m) && (s.idle || m.received-l.seen <= endedSeconds && l.at(m.number) <= l.next+m.window())
}

// closer reports whether a datagram is rather of the life before, of which it can be as
// well: by when it was sent, or else by its number.
func (s *sequence) closer(m *mark) bool {
	was, is := s.past.distance(m), s.now.distance(m)
	return was < is || was == is && s.idle && s.past.behind(m) < s.now.behind(m)
}

// behind is how far the numbers of a life are from that of a datagram.
func (l *life) behind(m *mark) int64 {
	d := int64(l.at(m.number) - l.next)
	return max(d, -d)
}

// distance is how far a datagram was sent from the one with the highest number, in
// milliseconds by the exporter's clock.
func (l *life) distance(m *mark) int64 {
	d := int64(m.uptime) - int64(l.uptime)
	if m.hasExport {
		d = m.export - l.export
	}
	return max(d, -d)
}

// missing reports whether the unit of a number has not come.
func (l *life) missing(at uint64) bool {
	for i := len(l.holes) - 1; i >= 0; i-- {
		if h := &l.holes[i]; h.from <= at {
			return at < h.to
		}
	}
	return at < l.first
}

// has reports whether a number is one of those announced, or follows them.
func (l *life) has(number uint32) bool {
	at := l.at(number)
	return l.started() && l.first <= at && at <= l.next
}

// lacks reports whether the unit of a number that it has was not counted with its
// datagram: it is in a hole, or behind what could be counted.
func (l *life) lacks(number uint32) bool {
	at := l.at(number)
	return l.missing(at) || l.blind && at >= l.blindAt
}

// continues reports whether a datagram from another port than the last one can be
// of the same exporter; blank datagrams have no data. The other way to tell two
// exporters behind one address apart is what they say in their templates.
func (s *sequence) continues(m *mark, blank bool) bool {
	l := &s.now
	if m.none || !l.started() {
		return true
	}
	at := l.at(m.number)
	switch {
	case blank:
		return at < l.next+maxGap && l.next <= at+m.window()
	case at == l.next:
		return true
	case l.rebooted(m):
		return false
	case at > l.next:
		return at-l.next <= m.window() || l.silent(m) && at-l.next < maxGap
	default:
		return l.next-at <= m.window() && !l.newer(m) && l.missing(at)
	}
}

// silent reports whether nothing came for so long that another port may be of the
// same exporter, started again.
func (l *life) silent(m *mark) bool { return m.received-l.seen >= silentSeconds }

// start begins the first life, if none has begun.
func (s *sequence) start(m *mark) {
	if !m.none && !s.now.started() {
		s.now.begin(m)
	}
}

// observe takes a datagram of so many units. Known is false when it has further
// ones that could not be counted, because a template was missing: then numbers
// skipped behind it are no sign of loss.
func (s *sequence) observe(m *mark, units uint32, known bool) {
	if m.none { // all there is to know is what came
		s.balance.Announced += uint64(units)
		s.balance.Received += uint64(units)
		return
	}
	l := &s.now
	switch {
	case !l.started():
		l.begin(m)
	case l.at(m.number) != l.next && s.ended(m) && s.closer(m), !l.fits(m) && s.ended(m):
		// Of the life before. One that goes on has not ended: what came in
		// between was under way for too long.
		if l = &s.past; l.at(m.number) >= l.next {
			s.now, s.past = s.past, s.now
			l = &s.now
		}
	case l.fits(m):
	default:
		s.balance.Restarts++
		s.retire()
		s.now, s.past = s.past, s.now
		l.begin(m)
	}
	s.balance.Received += uint64(units)
	at := l.at(m.number)
	if at < l.next {
		s.late(l, at, uint64(units), known)
		return
	}
	s.idle = false
	if at > l.next {
		s.skip(l, at, m.window())
	}
	s.balance.Announced += uint64(units)
	l.next = at + uint64(units)
	l.blind, l.blindAt = !known, at
	l.stamp(m)
}

// retire puts the life before with the older ones, if some of its records may wait for
// their template. The holes that these are in are all there is to remember of it.
func (s *sequence) retire() {
	l := s.past
	l.holes = nil
	for _, h := range s.past.holes {
		if h.unknown {
			l.holes = append(l.holes, h)
		}
	}
	for ; len(l.holes) > minHoles; l.holes = l.holes[1:] {
		l.forgotten += l.holes[0].to - l.holes[0].from
	}
	if len(l.holes) == 0 && l.forgotten == 0 && !l.blind {
		return
	}
	if len(s.older) == maxOlder { // nobody will ever know what is unknown of this one
		s.older = slices.Delete(s.older, 0, 1)
	}
	s.older = append(s.older, l)
}

// of returns the life that records which could be counted only now were sent in.
func (s *sequence) of(m *mark) *life {
	best, likely := &s.now, 0
	consider := func(l *life) {
		is := 0
		for _, sign := range [...]bool{l.has(m.number), l.lacks(m.number), l.born <= m.export && m.export <= l.export} {
			if !sign {
				break
			}
			is++
		}
		if is > likely {
			best, likely = l, is
		}
	}
	consider(&s.now)
	consider(&s.past)
	for i := range s.older {
		consider(&s.older[len(s.older)-1-i])
	}
	return best
}

// skip makes a hole of the numbers up to at.
func (s *sequence) skip(l *life, at, window uint64) {
	h := hole{l.next, at, l.blind}
	n := h.to - h.from
	l.next = at
	s.balance.Announced += n
	if h.unknown {
		s.balance.Unknown += n
	} else {
		s.balance.Gaps++
		s.balance.Skipped += n
	}
	if i := len(l.holes) - 1; i >= 0 && l.holes[i].to == h.from && l.holes[i].unknown == h.unknown && h.from != l.resumed {
		l.holes[i].to = at
		return
	}
	// What nobody can fill any more is not remembered.
	old := 0
	for old < len(l.holes) && !l.holes[old].unknown && l.holes[old].to+window < at {
		old++
	}
	l.holes = l.holes[:copy(l.holes, l.holes[old:])]
	s.add(l, len(l.holes), h)
}

// add puts a hole in its place. When there are too many, the oldest is forgotten.
func (s *sequence) add(l *life, i int, h hole) {
	if len(l.holes) >= max(s.room, minHoles) {
		if l.holes[0].unknown {
			l.forgotten += l.holes[0].to - l.holes[0].from
		}
		l.holes = l.holes[:copy(l.holes, l.holes[1:])]
		i = max(0, i-1)
	}
	l.holes = append(l.holes, hole{})
	copy(l.holes[i+1:], l.holes[i:])
	l.holes[i] = h
}

// narrow reports whether there is hardly room left for holes, and how many more
// octets twice as much would take.
func (s *sequence) narrow() (octets int64, narrow bool) {
	room := max(s.room, minHoles)
	return int64(room) * holeOctets * 2, room < maxHoles && max(len(s.now.holes), len(s.past.holes)) > room-2
}

// widen doubles the room.
func (s *sequence) widen() { s.room = 2 * max(s.room, minHoles) }

// late takes a datagram whose number has been passed: it fills holes, as far as
// there are any, and what is left has come before.
func (s *sequence) late(l *life, at, units uint64, known bool) {
	end := at + units
	if from := at; from < l.first && units > 0 {
		// From before the first one seen, which has overtaken it.
		at = min(end, l.first)
		units -= at - from
		if at < l.first {
			s.add(l, 0, hole{at, l.first, false})
			s.balance.Gaps++
			s.balance.Skipped += l.first - at
		}
		s.balance.Announced += l.first - from
		l.first = from
	}
	units -= s.fill(l, at, end)
	if end > l.next {
		s.balance.Announced += end - l.next
		units -= end - l.next
		l.next, l.blind, l.blindAt = end, !known, at
	}
	s.balance.Repeated += units
	if !known {
		s.doubt(l, end)
	}
}

// fill takes what lies between two numbers out of the holes, and returns how much
// that was.
func (s *sequence) fill(l *life, from, to uint64) (n uint64) {
	for i := 0; i < len(l.holes); i++ {
		h := l.holes[i]
		if h.to <= from {
			continue
		}
		if h.from >= to {
			break
		}
		a, b := max(h.from, from), min(h.to, to)
		n += b - a
		switch {
		case h.from < l.resumed: // missing in an earlier process, until now
			s.earlier.Announced -= b - a
			s.earlier.Skipped -= b - a
			s.balance.Announced += b - a
		case h.unknown:
			s.balance.Unknown -= b - a
		default:
			s.balance.Recovered += b - a
		}
		switch {
		case a == h.from && b == h.to:
			l.holes = append(l.holes[:i], l.holes[i+1:]...)
			i--
		case a == h.from:
			l.holes[i].from = b
		default:
			l.holes[i].to = a
			if b < h.to {
				s.add(l, i+1, hole{b, h.to, h.unknown})
				return n
			}
		}
	}
	return n
}

// doubt makes the rest of a hole unknown from a number on: the datagram before it
// has records that could not be counted.
func (s *sequence) doubt(l *life, at uint64) {
	for i := range l.holes {
		h := &l.holes[i]
		if h.unknown || h.from < l.resumed || at < h.from || at >= h.to {
			continue
		}
		s.balance.Recovered += h.to - at
		s.balance.Unknown += h.to - at
		if at == h.from {
			h.unknown = true
			return
		}
		rest := hole{at, h.to, true}
		h.to = at
		s.add(l, i+1, rest)
		return
	}
}

// found takes records that could be counted only now, of a datagram observed before; the
// number of m is that of the first of them.
func (s *sequence) found(m *mark, units uint32) {
	l := s.of(m)
	if units == 0 || !l.started() {
		return
	}
	at, left := l.at(m.number), uint64(units)
	end := at + left
	s.balance.Received += left
	left -= s.fill(l, at, end)
	if l.blind && at >= l.blindAt && at <= l.next && end > l.next {
		s.balance.Announced += end - l.next
		left -= end - l.next
		l.next = end
	}
	if n := min(l.forgotten, left); n > 0 {
		l.forgotten -= n
		s.balance.Unknown -= n
		left -= n
	}
	s.balance.Repeated += left
}

// settle says that nothing waits for its template any more. What is unknown is
// missing then, unless some of it was lost: that nobody will ever know.
func (s *sequence) settle(lost bool) {
	lives := []*life{&s.now, &s.past}
	for i := range s.older {
		lives = append(lives, &s.older[i])
	}
	s.older = nil
	for _, l := range lives {
		if !lost {
			l.blind = false
			s.decide(l.forgotten)
		}
		l.forgotten = 0
		kept := l.holes[:0]
		for _, h := range l.holes {
			switch {
			case h.unknown && lost:
				continue
			case h.unknown:
				s.decide(h.to - h.from)
				h.unknown = false
			}
			kept = append(kept, h)
		}
		l.holes = kept
	}
}

// decide makes units that were unknown missing.
func (s *sequence) decide(n uint64) {
	if n > 0 {
		s.balance.Unknown -= n
		s.balance.Skipped += n
		s.balance.Gaps++
	}
}
