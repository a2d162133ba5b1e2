package collect

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
)

// Kept is an account of the datagrams whose records outlive the process. It follows
// the sequence numbers of each domain like a [Decoder] does, but gets to know of a
// datagram when its records are stored, by the note that the decoder made. What it
// returns to be stored with them lets another process go on: see [Decoder.Resume].
//
// It may be used by several goroutines at once, though what an Undo takes back is
// the last Add of any of them.
type Kept struct {
	mu      sync.Mutex
	domains map[keptKey]*keptDomain
	holes   int // remembered by all of them
	// last are the domains that the last Add has changed.
	last []keptChange
}

type keptDomain struct{ seq sequence }

type keptChange struct {
	key    keptKey
	domain *keptDomain
	before sequence
}

// How much an account remembers. The longest silent domains give way.
const (
	maxKept      = 1 << 16
	maxKeptHoles = 1 << 20
)

// NewKept returns an account of nothing.
func NewKept() *Kept { return &Kept{domains: map[keptKey]*keptDomain{}} }

// Add adds datagrams by their notes, one after the other. It returns what has to be
// stored with their records: Restore takes it, and all that was returned before, in
// order. What is no note ends it.
func (k *Kept) Add(notes []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last = k.last[:0]
	touched := map[keptKey]*keptDomain{}
	for ; len(notes) >= noteSize; notes = notes[noteSize:] {
		key, m, units, known, found := readNote(notes)
		if !key.exporter.IsValid() {
			break
		}
		dom := touched[key]
		if dom == nil {
			dom = k.domain(key)
			touched[key] = dom
			k.last = append(k.last, keptChange{key, dom, dom.seq.clone()})
		}
		k.holes -= dom.seq.remembered()
		if dom.seq.room = maxHoles; k.holes > maxKeptHoles {
			dom.seq.room = minHoles
		}
		if found {
			dom.seq.found(&m, units)
		} else {
			dom.seq.observe(&m, units, known)
		}
		k.holes += dom.seq.remembered()
	}
	return k.encode(k.last)
}

// Undo takes the last Add back, whose records were not stored after all. It returns
// what has to be stored instead.
func (k *Kept) Undo() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.last {
		k.holes += c.before.remembered() - c.domain.seq.remembered()
		c.domain.seq = c.before
	}
	b := k.encode(k.last)
	k.last = nil
	return b
}

// All returns what Restore needs of everything that was added so far.
func (k *Kept) All() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]keptChange, 0, len(k.domains))
	for key, dom := range k.domains {
		all = append(all, keptChange{key: key, domain: dom})
	}
	return k.encode(all)
}

// domain finds or makes a domain. k.mu is held.
func (k *Kept) domain(key keptKey) *keptDomain {
	dom := k.domains[key]
	if dom == nil {
		if len(k.domains) >= maxKept {
			k.forget()
		}
		dom = &keptDomain{}
		k.domains[key] = dom
	}
	return dom
}

// forget drops the longest silent sixteenth of the domains.
func (k *Kept) forget() {
	seen := make([]int64, 0, len(k.domains))
	for _, dom := range k.domains {
		seen = append(seen, dom.seq.now.seen)
	}
	slices.Sort(seen)
	before := seen[len(seen)/16]
	left := len(seen)/16 + 1
	for key, dom := range k.domains {
		if dom.seq.now.seen <= before && left > 0 {
			left--
			k.holes -= dom.seq.remembered()
			delete(k.domains, key)
		}
	}
}

// remembered returns how many holes a sequence remembers.
func (s *sequence) remembered() int {
	n := len(s.now.holes) + len(s.past.holes)
	for i := range s.older {
		n += len(s.older[i].holes)
	}
	return n
}

func (s *sequence) clone() sequence {
	c := *s
	c.now.holes, c.past.holes, c.older = slices.Clone(s.now.holes), slices.Clone(s.past.holes), slices.Clone(s.older)
	for i := range c.older {
		c.older[i].holes = slices.Clone(c.older[i].holes)
	}
	return c
}

// Layout of the state of a domain behind its key: the life that goes on, the balance,
// how many lives there were before it that may go on as well, and the holes. One that has
// no life is to be forgotten.
const (
	keptLifeSize = 8 + 8 + 4 + 8 + 8
	keptSize     = keptKeySize + keptLifeSize + 8*8 + 2
)

// encode returns the state of domains, as it is now. What is unknown is missing once
// nobody waits for its template any more, so it is stored as that.
func (k *Kept) encode(list []keptChange) []byte {
	be := binary.BigEndian
	b := make([]byte, 0, len(list)*keptSize)
	for _, c := range list {
		s := &c.domain.seq
		n, before := &s.balance, uint64(0)
		if s.now.seen-s.past.seen <= endedSeconds && s.past.started() {
			before = 1
		}
		b = c.key.append(b)
		b = s.now.append(b)
		for _, v := range [8]uint64{n.Announced, n.Received, n.Repeated, n.Skipped + n.Unknown, n.Recovered, before, n.Gaps, n.Restarts} {
			b = be.AppendUint64(b, v)
		}
		b = s.now.appendHoles(b)
		if before > 0 {
			b = s.past.append(b)
			b = s.past.appendHoles(b)
		}
	}
	return b
}

func (l *life) append(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(b, l.first)
	b = be.AppendUint64(b, l.next)
	b = be.AppendUint32(b, l.uptime)
	b = be.AppendUint64(b, uint64(l.export))
	return be.AppendUint64(b, uint64(l.seen))
}

func (l *life) appendHoles(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint16(b, uint16(len(l.holes)))
	for _, h := range l.holes {
		b = be.AppendUint64(b, h.from)
		b = be.AppendUint64(b, h.to)
	}
	return b
}

// readLife reads a life but for its holes from b, which has keptLifeSize octets at least.
func readLife(b []byte) life {
	be := binary.BigEndian
	return life{first: be.Uint64(b), next: be.Uint64(b[8:]), uptime: be.Uint32(b[16:]), export: int64(be.Uint64(b[20:])), seen: int64(be.Uint64(b[28:]))}
}

// readHoles reads the holes of a life, and returns what follows them.
func (l *life) readHoles(b []byte) ([]byte, bool) {
	be := binary.BigEndian
	if len(b) < 2 || l.next < l.first {
		return nil, false
	}
	n := int(be.Uint16(b))
	if b = b[2:]; len(b) < 16*n {
		return nil, false
	}
	for at := l.first; n > 0; n-- {
		h := hole{from: be.Uint64(b), to: be.Uint64(b[8:])}
		if h.from < at || h.to <= h.from || h.to > l.next {
			return nil, false
		}
		at = h.to
		l.holes = append(l.holes, h)
		b = b[16:]
	}
	return b, true
}

// Restore takes what Add, Undo or All of another process returned.
func (k *Kept) Restore(states []byte) error {
	be := binary.BigEndian
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(states) > 0 {
		if len(states) < keptSize {
			return ErrNote
		}
		key := readKeptKey(states)
		b := states[keptKeySize:]
		s := sequence{now: readLife(b)}
		b = b[keptLifeSize:]
		var v [8]uint64
		for i := range v {
			v[i] = be.Uint64(b[8*i:])
		}
		s.balance = Balance{Announced: v[0], Received: v[1], Repeated: v[2], Skipped: v[3], Recovered: v[4], Gaps: v[6], Restarts: v[7]}
		b, ok := s.now.readHoles(b[8*8:])
		if v[5] == 1 && ok && len(b) > keptLifeSize {
			s.past = readLife(b)
			b, ok = s.past.readHoles(b[keptLifeSize:])
			s.idle = true
			ok = ok && s.past.started()
		} else {
			ok = ok && v[5] == 0
		}
		if !ok || !s.balance.Holds() || !key.exporter.IsValid() {
			return ErrNote
		}
		states = b
		if !s.now.started() {
			if dom := k.domains[key]; dom != nil {
				k.holes -= dom.seq.remembered()
				delete(k.domains, key)
			}
			continue
		}
		dom := k.domain(key)
		k.holes += s.remembered() - dom.seq.remembered()
		dom.seq = s
	}
	return nil
}

// Resume makes a decoder that has decoded nothing yet go on where other processes ended,
// by the accounts of what they kept: of each domain by what all of them have, so that
// what any of them lacks is missing. An account that ended long before another one is of
// no use any more. The numbers between those kept last and the first that come now are
// missing, unless the exporter has started again. It returns how many domains it has
// taken over; what there is no room for begins anew. The accounts go on alike: what All
// returns of each has to be stored before more is added, or another process would compare
// accounts that went on from different places.
func (d *Decoder) Resume(accounts ...*Kept) (resumed int) {
	newest := int64(0)
	for _, k := range accounts {
		newest = max(newest, k.seen())
	}
	least := map[keptKey]sequence{}
	for _, k := range accounts {
		if k.seen() < newest-resumeSeconds {
			continue
		}
		k.mu.Lock()
		for key, dom := range k.domains {
			had, ok := least[key]
			switch {
			case !ok:
				had = dom.seq.clone()
			case dom.seq.less(&had):
				other := had
				had = dom.seq.clone()
				had.without(&other, key.window())
			default:
				had.without(&dom.seq, key.window())
			}
			least[key] = had
		}
		k.mu.Unlock()
	}
	for key, seq := range least {
		if d.resume(key, &seq) {
			resumed++
		}
	}
	for _, k := range accounts {
		k.mu.Lock()
		k.domains, k.holes = make(map[keptKey]*keptDomain, len(least)), 0
		for key, seq := range least {
			k.domains[key] = &keptDomain{seq.clone()}
			k.holes += seq.remembered()
		}
		k.mu.Unlock()
	}
	return resumed
}

// resumeSeconds is how much longer than another one an account can have gone on.
const resumeSeconds = 600

// seen returns when the last datagram came, in seconds since the epoch.
func (k *Kept) seen() (last int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, dom := range k.domains {
		last = max(last, dom.seq.now.seen)
	}
	return last
}

// less reports whether a sequence has less than another one of the same domain, if only
// repetitions.
func (s *sequence) less(o *sequence) bool {
	return cmp.Or(
		cmp.Compare(s.balance.Received-s.balance.Repeated, o.balance.Received-o.balance.Repeated),
		cmp.Compare(s.now.next, o.now.next), cmp.Compare(s.balance.Repeated, o.balance.Repeated),
	) < 0
}

// window is how far behind the newest number an account tells what has come.
func (k *keptKey) window() uint64 {
	m := mark{kept: true, datagrams: k.domain.version == 9 || k.domain.agent.IsValid()}
	return m.window()
}

// without takes away from a sequence what another account of the same domain lacks: they
// do not always lack the same, where there was no room for some of it. In different lives
// of the exporter, or beyond the window, it cannot be told.
func (s *sequence) without(o *sequence, window uint64) {
	if s.balance.Restarts != o.balance.Restarts || o.now.next < s.now.first || s.now.next < o.now.first {
		return
	}
	newest := max(s.now.next, o.now.next)
	if o.now.next < s.now.next {
		s.cut(&o.now)
	}
	for _, h := range o.now.holes {
		if h.to+window >= newest {
			s.lose(h.from, h.to)
		}
	}
	if first := o.now.first; first+window >= newest {
		s.lose(0, first)
	}
}

// cut ends a sequence where another life does, which ends earlier.
func (s *sequence) cut(o *life) {
	l, missing := &s.now, uint64(0)
	for i := len(l.holes) - 1; i >= 0 && l.holes[i].to > o.next; i-- {
		h := &l.holes[i]
		missing += h.to - max(h.from, o.next)
		if h.to = o.next; h.from >= h.to {
			l.holes = l.holes[:i]
		}
	}
	s.balance.Announced -= l.next - o.next
	s.balance.Received -= l.next - o.next - missing
	s.balance.Skipped -= missing
	l.next, l.uptime, l.export, l.seen = o.next, o.uptime, o.export, o.seen
}

// lose has what has come of a range of numbers be missing.
func (s *sequence) lose(from, to uint64) {
	l := &s.now
	h := hole{from: max(from, l.first), to: min(to, l.next)}
	if h.from >= h.to {
		return
	}
	missing := uint64(0)
	i := 0
	for i < len(l.holes) && l.holes[i].to < h.from {
		i++
	}
	end := i
	for ; end < len(l.holes) && l.holes[end].from <= h.to; end++ {
		missing += l.holes[end].to - l.holes[end].from
		h.from, h.to = min(h.from, l.holes[end].from), max(h.to, l.holes[end].to)
	}
	if lost := h.to - h.from - missing; lost > 0 {
		s.balance.Received -= lost
		s.balance.Skipped += lost
		s.balance.Gaps++
	}
	l.holes = slices.Replace(l.holes, i, end, h)
	l.holes = l.holes[max(0, len(l.holes)-maxHoles):]
}

func (d *Decoder) resume(key keptKey, seq *sequence) bool {
	e := d.exporters.Load().get(key.exporter)
	st := State{StateKey: StateKey{Exporter: key.exporter, Port: key.port}, Time: seq.now.seen}
	if e == nil {
		if e = d.addLearnt(&st); e == nil {
			return false
		}
	}
	dom := d.learntDomain(e, &st, key.domain)
	if dom == nil {
		return false
	}
	dom.mu.Lock()
	defer dom.mu.Unlock()
	if dom.seq.now.started() {
		return false
	}
	if n := int64(seq.remembered()) * holeOctets * 2; seq.remembered() > minHoles && (!d.room(e, n) || !d.account(e, dom, n)) {
		for _, l := range []*life{&seq.now, &seq.past} {
			l.holes = l.holes[max(0, len(l.holes)-minHoles):]
		}
	}
	dom.seq.earlier = seq.balance
	dom.seq.earlier.Skipped += seq.balance.Unknown
	dom.seq.earlier.Unknown = 0
	dom.seq.now, dom.seq.past, dom.seq.idle = seq.now.resume(), seq.past.resume(), seq.idle
	dom.seq.room = max(minHoles, len(seq.now.holes), len(seq.past.holes))
	return true
}

// resume returns a life as another process goes on with it.
func (l *life) resume() life {
	r := life{first: l.first, next: l.next, resumed: l.next, uptime: l.uptime, export: l.export, seen: l.seen}
	for _, h := range l.holes {
		r.holes = append(r.holes, hole{from: h.from, to: h.to})
	}
	return r
}
