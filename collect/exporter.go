package collect

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/tributary-net/tributary/ipfix"
)

// exporter is what is known of one exporter, by its address. Workers read it
// without a lock: what changes is replaced as a whole. Its mutex is for those
// who replace.
type exporter struct {
	addr    netip.Addr
	seen    atomic.Int64 // last datagram, seconds since the epoch
	mu      sync.Mutex
	domains atomic.Pointer[map[domainKey]*domain]
	names   atomic.Pointer[names]
	// samplers are those that any of the domains announced last.
	samplers atomic.Pointer[samplers]
	count    counters
}

// domainKey tells the template spaces of one exporter apart: templates of v9
// and IPFIX with the same id have nothing to do with each other.
type domainKey struct {
	version uint16
	id      uint32
	agent   netip.Addr // sFlow: one address can relay several agents
}

// domain is an observation domain of an exporter, in one version of the
// protocol; for sFlow a sub-agent, for NetFlow v5 an engine.
//
// Source ports do not matter as long as all datagrams can be of one exporter,
// whose port may change, through NAT for one. Two exporters behind one address
// show in two ways: sequence numbers from another port do not go on where the
// last ones ended, or a port redefines a template and the port that had defined
// it goes on sending. The second exporter then gets a domain of its own, by its
// port.
type domain struct {
	key       domainKey
	port      atomic.Int32 // source port of the exporter, noPort before the first datagram
	templates atomic.Pointer[map[uint16]*program]
	samplers  atomic.Pointer[samplers]
	bootNs    atomic.Uint64 // systemInitTimeMilliseconds of options data, as ns

	mu     sync.Mutex // guards what follows
	seq    sequence
	others map[uint16]*domain // further exporters behind the same address, by port
	// displaced is what a port had defined before another one redefined it.
	// Until that port shows that it is still there, this may be one exporter
	// that has started again.
	displaced     map[uint16]*program
	displacedPort int32

	// parent is the domain of the first exporter, for one of the others.
	// Templates that it announces after generation count for this one too: some
	// exporters announce templates from one port and send records from another.
	parent     *domain
	generation uint64
}

const noPort = -1

func newDomain(key domainKey) *domain {
	dom := &domain{key: key, displacedPort: noPort}
	dom.port.Store(noPort)
	dom.templates.Store(&map[uint16]*program{})
	dom.samplers.Store(&samplers{})
	return dom
}

// program returns the program for the records of a template, nil if there is
// no such template.
func (dom *domain) program(id uint16) *program {
	p := (*dom.templates.Load())[id]
	if p == nil && dom.parent != nil {
		if q := (*dom.parent.templates.Load())[id]; q != nil && q.generation.Load() > dom.generation {
			return q
		}
	}
	return p
}

// exporter finds or makes the state of an exporter. When there are too many, the
// one that has been silent longest gives way.
func (d *Decoder) exporter(addr netip.Addr, now int64) *exporter {
	e := (*d.exporters.Load())[addr]
	if e == nil {
		e = d.addExporter(addr, now)
	}
	if e.seen.Load() != now {
		e.seen.Store(now)
	}
	return e
}

func (d *Decoder) addExporter(addr netip.Addr, now int64) *exporter {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := *d.exporters.Load()
	if e := old[addr]; e != nil {
		return e
	}
	e := &exporter{addr: addr}
	e.seen.Store(now)
	e.domains.Store(&map[domainKey]*domain{})
	e.names.Store(&names{})
	next := maps.Clone(old)
	if len(next) >= d.cfg.MaxExporters {
		d.evict(next)
	}
	next[addr] = e
	d.exporters.Store(&next)
	return e
}

// evict takes the longest silent sixteenth of the exporters out of next, so that
// a flood of new addresses does not pay for a search each.
func (d *Decoder) evict(next map[netip.Addr]*exporter) {
	for range max(1, len(next)/16) {
		var oldest *exporter
		for _, e := range next {
			if oldest == nil || e.seen.Load() < oldest.seen.Load() {
				oldest = e
			}
		}
		d.evicted.add(oldest)
		delete(next, oldest.addr)
	}
}

// domain finds or makes the domain of a datagram that came from the given
// source port with the given sequence number.
func (d *Decoder) domain(e *exporter, key domainKey, port uint16, number uint32) *domain {
	dom := (*e.domains.Load())[key]
	if dom == nil {
		dom = d.addDomain(e, key)
	}
	if dom.port.Load() == int32(port) {
		return dom
	}
	return d.byPort(dom, port, number)
}

// byPort finds the domain of a port that is not the one that sent last.
func (d *Decoder) byPort(dom *domain, port uint16, number uint32) *domain {
	dom.mu.Lock()
	defer dom.mu.Unlock()
	if other := dom.others[port]; other != nil {
		return other
	}
	returned := dom.displacedPort == int32(port)
	if dom.port.Load() == noPort || !returned && dom.seq.continues(number) || len(dom.others) >= d.cfg.MaxPorts {
		dom.port.Store(int32(port))
		return dom
	}
	other := newDomain(dom.key)
	other.port.Store(int32(port))
	other.parent, other.generation = dom, d.generation.Load()
	if returned {
		displaced := dom.displaced
		other.templates.Store(&displaced)
		dom.displaced, dom.displacedPort = nil, noPort
	}
	if dom.others == nil {
		dom.others = make(map[uint16]*domain)
	}
	dom.others[port] = other
	return other
}

func (d *Decoder) addDomain(e *exporter, key domainKey) *domain {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := *e.domains.Load()
	if dom := old[key]; dom != nil {
		return dom
	}
	next := maps.Clone(old)
	if len(next) >= d.cfg.MaxDomains {
		// Any will do: an exporter of so many domains is broken or hostile.
		for k := range next {
			delete(next, k)
			e.count.domainsEvicted.Add(1)
			break
		}
	}
	dom := newDomain(key)
	next[key] = dom
	e.domains.Store(&next)
	return dom
}

// define takes a template that came from the given port. Exporters repeat their
// templates all the time: mostly nothing changes.
func (d *Decoder) define(e *exporter, dom *domain, t *ipfix.Template, port uint16) {
	generation := d.generation.Add(1)
	if p := (*dom.templates.Load())[t.ID]; p != nil && p.template.Equal(t) {
		p.generation.Store(generation)
		p.port.Store(int32(port))
		return
	}
	p := compile(dom.key.version, t.Clone())
	p.generation.Store(generation)
	p.port.Store(int32(port))
	dom.mu.Lock()
	defer dom.mu.Unlock()
	old := *dom.templates.Load()
	next := maps.Clone(old)
	if had := old[t.ID]; had != nil && had.port.Load() != int32(port) && dom.parent == nil {
		dom.displaced, dom.displacedPort = old, had.port.Load()
	}
	if next[t.ID] == nil && len(next) >= d.cfg.MaxTemplates {
		// Any will do, as with domains: what is evicted and in use is
		// announced again.
		for id := range next {
			delete(next, id)
			e.count.templatesEvicted.Add(1)
			break
		}
	}
	next[t.ID] = p
	dom.templates.Store(&next)
}

// withdraw forgets a template, or with the id of a template set all of that
// kind (RFC 7011, 8.1).
func (dom *domain) withdraw(t *ipfix.Template) {
	dom.mu.Lock()
	defer dom.mu.Unlock()
	next := maps.Clone(*dom.templates.Load())
	if t.ID < ipfix.MinDataSetID {
		maps.DeleteFunc(next, func(_ uint16, p *program) bool { return p.template.Options == t.Options })
	} else {
		delete(next, t.ID)
	}
	dom.templates.Store(&next)
}
