package packet

import (
	"sort"
	"time"
)

// ReassemblerConfig bounds what a [Reassembler] holds. Zero means the default.
type ReassemblerConfig struct {
	// MaxBytes bounds the fragments held, with what it costs to hold them; the
	// default is 4 MiB.
	MaxBytes int
	// MaxPackets bounds the packets that wait for fragments; the default is 1024.
	MaxPackets int
	// Timeout is how long after its first fragment a packet may be completed, by
	// the times given with the fragments; the default is 30 s.
	Timeout time.Duration
}

// ReassemblerStats counts what became of fragments.
type ReassemblerStats struct {
	Fragments   uint64 // fragments seen
	Joined      uint64 // packets completed
	Expired     uint64 // packets given up for their age
	Evicted     uint64 // packets given up, the oldest first, to stay within bounds
	Overlapping uint64 // packets given up because fragments overlap or disagree
	Unusable    uint64 // fragments cut short, or beyond the size of a packet
}

// A Reassembler joins the fragments of IPv4 (RFC 791, 3.2) and IPv6 (RFC 8200,
// 4.5). What it holds is bounded in bytes, number and age. A packet whose fragments
// overlap is given up, as RFC 5722 asks for IPv6; an exact repetition is ignored.
// The zero value is ready to use with default bounds. It is for one goroutine.
type Reassembler struct {
	cfg   ReassemblerConfig
	byKey map[fragKey]*partial
	// oldest and newest end a list in order of first fragment.
	oldest, newest *partial
	free           *partial
	bytes          int
	out            []byte
	h              Headers
	stats          ReassemblerStats
}

type fragKey struct {
	src, dst [16]byte
	id       uint32
	version  uint8
	proto    uint8 // IPv4 only: RFC 8200, 4.5 leaves it out
}

// partial is a packet of which some fragments are there.
type partial struct {
	key        fragKey
	prev, next *partial
	since      time.Time
	data       []byte  // the fragments in order of arrival
	pieces     []piece // by offset
	have       int     // bytes in pieces
	total      int     // length of the whole, -1 until the last fragment is there
	proto      uint8   // of the first fragment
	bad        bool    // given up; kept so that later fragments change nothing
}

type piece struct {
	offset, size, pos uint32
}

const (
	partialCost = 256
	pieceCost   = 12
	maxFragged  = 65535
)

// NewReassembler returns a Reassembler with these bounds.
func NewReassembler(cfg ReassemblerConfig) *Reassembler {
	return &Reassembler{cfg: cfg}
}

// Stats returns what was counted so far.
func (r *Reassembler) Stats() ReassemblerStats { return r.stats }

// Held returns how many packets wait for fragments and the bytes they cost.
func (r *Reassembler) Held() (packets, bytes int) { return len(r.byKey), r.bytes }

func (r *Reassembler) init() {
	r.byKey = make(map[fragKey]*partial)
	if r.cfg.MaxBytes <= 0 {
		r.cfg.MaxBytes = 4 << 20
	}
	if r.cfg.MaxPackets <= 0 {
		r.cfg.MaxPackets = 1024
	}
	if r.cfg.Timeout <= 0 {
		r.cfg.Timeout = 30 * time.Second
	}
}

// Add takes a fragment: an IP header decoded from data, which was received at t.
// When it completes a packet, Add returns what follows the IP header (in IPv6: the
// fragment header) of the whole packet and the protocol of that; the bytes are
// valid until the next call. Of a packet that is no fragment it returns the part
// of data behind the IP headers.
func (r *Reassembler) Add(t time.Time, ip *IP, data []byte) (payload []byte, proto uint8, ok bool) {
	if int64(ip.End) > int64(len(data)) {
		return nil, 0, false
	}
	if !ip.Fragment() {
		return data[min(ip.Payload, ip.End):ip.End], ip.Proto, true
	}
	if ip.frag == 0 || ip.frag > ip.End {
		return nil, 0, false
	}
	body := data[ip.frag:ip.End]
	if r.byKey == nil {
		r.init()
	}
	r.stats.Fragments++
	r.expire(t)
	offset := int(ip.FragmentOffset) * 8
	if ip.End-ip.Offset < ip.Length || offset+len(body) > maxFragged ||
		len(body) == 0 || ip.MoreFragments && len(body)%8 != 0 {
		r.stats.Unusable++
		return nil, 0, false
	}
	key := fragKey{src: ip.Src, dst: ip.Dst, id: ip.FragmentID, version: ip.Version}
	if ip.Version == 4 {
		key.proto = ip.Proto
	}
	p := r.byKey[key]
	if p == nil {
		p = r.open(key, t)
	}
	if p.bad {
		return nil, 0, false
	}
	if offset == 0 {
		p.proto = ip.fragNext
	}
	switch p.put(offset, body, !ip.MoreFragments) {
	case putRepeated:
		return nil, 0, false
	case putConflict:
		r.stats.Overlapping++
		r.bytes -= p.cost() - partialCost
		p.bad, p.data, p.pieces, p.have = true, nil, nil, 0
		return nil, 0, false
	}
	r.bytes += len(body) + pieceCost
	if p.total >= 0 && p.have == p.total {
		r.out = p.join(r.out[:0])
		proto = p.proto
		r.close(p)
		r.stats.Joined++
		return r.out, proto, true
	}
	for r.bytes > r.cfg.MaxBytes && r.oldest != nil {
		r.stats.Evicted++
		r.close(r.oldest)
	}
	return nil, 0, false
}

func (r *Reassembler) expire(t time.Time) {
	for p := r.oldest; p != nil && t.Sub(p.since) > r.cfg.Timeout; p = r.oldest {
		if !p.bad {
			r.stats.Expired++
		}
		r.close(p)
	}
}

func (r *Reassembler) open(key fragKey, t time.Time) *partial {
	for len(r.byKey) >= r.cfg.MaxPackets {
		r.stats.Evicted++
		r.close(r.oldest)
	}
	p := r.free
	if p == nil {
		p = new(partial)
	} else {
		r.free = nil
	}
	*p = partial{key: key, since: t, total: -1, data: p.data[:0], pieces: p.pieces[:0], prev: r.newest}
	if r.newest != nil {
		r.newest.next = p
	} else {
		r.oldest = p
	}
	r.newest = p
	r.byKey[key] = p
	r.bytes += partialCost
	return p
}

func (r *Reassembler) close(p *partial) {
	delete(r.byKey, p.key)
	r.bytes -= p.cost()
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		r.oldest = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		r.newest = p.prev
	}
	// One is kept for the next packet, so that fragments in sequence cost nothing.
	p.prev, p.next = nil, nil
	r.free = p
}

func (p *partial) cost() int { return partialCost + len(p.data) + pieceCost*len(p.pieces) }

type putResult uint8

const (
	putNew putResult = iota
	putRepeated
	putConflict
)

func (p *partial) put(offset int, body []byte, last bool) putResult {
	end := offset + len(body)
	if p.total >= 0 && (end > p.total || last && end != p.total) {
		return putConflict
	}
	i := sort.Search(len(p.pieces), func(i int) bool { return int(p.pieces[i].offset) >= offset })
	if i < len(p.pieces) {
		q := p.pieces[i]
		if int(q.offset) == offset && int(q.size) == len(body) {
			return putRepeated
		}
		if int(q.offset) < end || last {
			return putConflict
		}
	}
	if i > 0 {
		if q := p.pieces[i-1]; int(q.offset+q.size) > offset {
			return putConflict
		}
	}
	if last {
		p.total = end
	}
	p.pieces = append(p.pieces, piece{})
	copy(p.pieces[i+1:], p.pieces[i:])
	p.pieces[i] = piece{offset: uint32(offset), size: uint32(len(body)), pos: uint32(len(p.data))}
	p.data = append(p.data, body...)
	p.have += len(body)
	return putNew
}

func (p *partial) join(dst []byte) []byte {
	for _, q := range p.pieces {
		dst = append(dst, p.data[q.pos:q.pos+q.size]...)
	}
	return dst
}
