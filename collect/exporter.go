package collect

import (
	"cmp"
	"net/netip"
	"slices"
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
	domains atomic.Pointer[layers[domainKey, *domain]]
	names   atomic.Pointer[names]
	// samplers are those that any of the domains announced last.
	samplers  atomic.Pointer[samplers]
	datagrams atomic.Uint64

	// Guarded by mu:
	rest        Counts      // of no domain, or of one that was evicted
	restSamples KindSamples // of the same
	left        bool        // rest is no longer added to

	// Guarded by the Decoder's mutex:
	octets int64 // what is remembered of it takes about so many
	gone   bool  // it has given way

	namesHeard atomic.Int64 // when it sent names last, seconds since the epoch
	changed    atomic.Bool  // what is known of it has, since Decoder.Changes
	told       atomic.Bool  // Decoder.State has told of it
	forgotten  atomic.Bool  // it has given way, or is about to
	// Guarded by the mutex of what is held:
	held       heldList
	heldOctets int64
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
	templates atomic.Pointer[layers[uint16, *program]]
	samplers  atomic.Pointer[samplers]
	bootNs    atomic.Uint64 // systemInitTimeMilliseconds of options data, as ns
	bootTold  atomic.Uint64 // the same as Decoder.State has told it
	// samplersHeard is when sampling rates were announced last, in seconds since
	// the epoch.
	samplersHeard atomic.Int64
	octets        atomic.Int64 // what is remembered of it takes about so many
	sends         atomic.Bool  // flow records have come from its port
	forgotten     atomic.Bool  // it has given way
	// withOthers is this domain and the others, for those who do not have the mutex.
	withOthers atomic.Pointer[[]*domain]

	// Guarded by the mutex of what is held:
	held       map[uint16]heldQueue // by template
	heldCounts heldCounts

	mu     sync.Mutex // guards what follows
	seq    sequence
	counts Counts             // but for those of sequence numbers
	seen   int64              // last datagram, seconds since the epoch
	left   bool               // counts are no longer added to
	lost   uint64             // sets given up by the time nothing was held
	others map[uint16]*domain // further exporters behind the same address, by port
	// sources are where sFlow samples come from; restSamples is of those that gave way.
	sources     map[sourceKey]*source
	restSamples KindSamples
	learnt      bool // one of the others, known from before the start; does not change
	// displaced is what a port had defined before another one redefined it.
	// Until that port shows that it is still there, this may be one exporter
	// that has started again.
	displaced     *layers[uint16, *program]
	displacedPort int32

	// parent is the domain of the first exporter, for one of the others.
	// Templates that it announces after generation count for this one too, as long
	// as it sends no records: some exporters announce templates from one port and
	// send records from others. One that does both is another exporter, and what
	// comes from this port waits for templates of its own.
	parent     *domain
	generation uint64
}

const noPort = -1

func newDomain(key domainKey) *domain {
	dom := &domain{key: key, displacedPort: noPort}
	dom.port.Store(noPort)
	dom.templates.Store(&layers[uint16, *program]{})
	dom.samplers.Store(&samplers{})
	dom.withOthers.Store(&[]*domain{dom})
	return dom
}

// family returns the domain and those of further exporters behind the same address.
func (dom *domain) family() []*domain { return *dom.withOthers.Load() }

// addOther adds a domain for a further exporter behind the same address. dom.mu is
// held.
func (d *Decoder) addOther(dom *domain, port uint16) *domain {
	other := newDomain(dom.key)
	other.port.Store(int32(port))
	other.parent, other.generation = dom, d.generation.Load()
	if dom.others == nil {
		dom.others = make(map[uint16]*domain)
	}
	dom.others[port] = other
	all := append(slices.Clone(dom.family()), other)
	dom.withOthers.Store(&all)
	return other
}

// Template returns a template, nil if there is none of that id; see
// [ipfix.Templates].
func (dom *domain) Template(id uint16) *ipfix.Template {
	if p := dom.program(id); p != nil {
		return p.template
	}
	return nil
}

// program returns the program for the records of a template, nil if there is
// no such template.
func (dom *domain) program(id uint16) *program {
	p := dom.templates.Load().get(id)
	if p == nil && dom.parent != nil && !dom.parent.sends.Load() {
		if q := dom.parent.templates.Load().get(id); q != nil && q.generation.Load() > dom.generation {
			return q
		}
	}
	return p
}

// exporter finds or makes the state of an exporter. When there are too many,
// those that have been silent longest give way.
func (d *Decoder) exporter(addr netip.Addr, now int64) *exporter {
	e := d.exporters.Load().get(addr)
	if e == nil {
		e = d.addExporter(addr, now)
		d.settle()
	}
	if e.seen.Load() != now {
		e.seen.Store(now)
	}
	return e
}

func (d *Decoder) addExporter(addr netip.Addr, now int64) *exporter {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.exporters.Load().get(addr); e != nil {
		return e
	}
	if d.exporters.Load().len() >= d.cfg.MaxExporters {
		d.evict(nil)
	}
	e := &exporter{addr: addr}
	e.seen.Store(now)
	e.domains.Store(&layers[domainKey, *domain]{})
	e.names.Store(&names{})
	d.exporters.Store(d.exporters.Load().put(addr, e))
	return e
}

// evict drops the longest silent sixteenth of the exporters, so that a flood of
// new addresses does not pay for a search each; of those silent equally long the
// ones that have sent least. It keeps one of them and reports whether there were
// any others. d.mu is held.
func (d *Decoder) evict(keep *exporter) bool {
	all := d.exporters.Load()
	list := make([]*exporter, 0, all.len())
	for _, e := range all.all() {
		if e != keep {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *exporter) int {
		return cmp.Or(cmp.Compare(a.seen.Load(), b.seen.Load()), cmp.Compare(a.datagrams.Load(), b.datagrams.Load()))
	})
	for _, e := range list[:min(len(list), max(1, len(list)/16))] {
		d.hold.forget(e)
		d.evicted.exporters++
		d.evicted.leaving = append(d.evicted.leaving, e)
		d.octets -= e.octets
		e.gone = true
		if e.told.Load() {
			d.told = append(d.told, e.addr)
			d.notify()
		}
	}
	d.exporters.Store(all.without(func(_ netip.Addr, e *exporter) bool { return e.gone }))
	return len(list) > 0
}

// About how many octets it takes to remember something, beside what comes with
// it on the wire.
const (
	domainOctets   = 1024
	templateOctets = 256
	fieldOctets    = 44
	extraOctets    = 40
	nameOctets     = 96
	samplerOctets  = 64
)

func templateSize(p *program) int64 {
	if p == nil {
		return 0
	}
	return templateOctets + fieldOctets*int64(len(p.template.Fields)) + extraOctets*int64(len(p.extras))
}

// take reports whether n octets more can be remembered of an exporter, and counts
// them; n less than zero gives back. When all exporters together have too many,
// those that have been silent longest give way.
func (d *Decoder) take(e *exporter, n int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.gone {
		return true // it ends with this datagram
	}
	if n > 0 && e.octets+n > d.cfg.MaxExporterOctets {
		return false
	}
	for n > 0 && d.octets+n > d.cfg.MaxOctets {
		if !d.evict(e) {
			return false
		}
	}
	e.octets += n
	d.octets += n
	return true
}

// domain finds or makes the domain of a datagram that came from the given
// source port.
func (d *Decoder) domain(e *exporter, key domainKey, port uint16, m *mark) *domain {
	dom := e.domains.Load().get(key)
	if dom == nil {
		dom = d.addDomain(e, key)
	}
	if dom.port.Load() == int32(port) {
		return dom
	}
	return d.byPort(e, dom, port, m)
}

// byPort finds the domain of a port that is not the one that sent last.
func (d *Decoder) byPort(e *exporter, dom *domain, port uint16, m *mark) *domain {
	dom.mu.Lock()
	defer dom.mu.Unlock()
	if other := dom.others[port]; other != nil {
		return other
	}
	if dom.port.Load() == int32(port) { // another worker was here
		return dom
	}
	returned := dom.displacedPort == int32(port)
	if dom.port.Load() == noPort || !returned && dom.seq.continues(m, m.blank()) || len(dom.others) >= d.cfg.MaxPorts || !d.account(e, dom, domainOctets) {
		// The run of numbers begins here, not when the datagram has been decoded:
		// until then another port may come with another run.
		dom.seq.start(m)
		dom.port.Store(int32(port))
		return dom
	}
	other := d.addOther(dom, port)
	other.seq.start(m)
	if !m.none && dom.seq.now.silent(m) {
		other.seq.balance.Restarts++
	}
	if returned {
		size := int64(0)
		for _, p := range dom.displaced.all() {
			size += templateSize(p)
		}
		if d.account(e, dom, size) {
			other.templates.Store(dom.displaced)
		}
		dom.displaced, dom.displacedPort = nil, noPort
		d.mark(e)
	}
	return other
}

func (d *Decoder) addDomain(e *exporter, key domainKey) *domain {
	e.mu.Lock()
	defer e.mu.Unlock()
	if dom := e.domains.Load().get(key); dom != nil {
		return dom
	}
	for e.domains.Load().len() >= d.cfg.MaxDomains || !d.take(e, domainOctets) {
		if !d.evictDomains(e) {
			break
		}
	}
	dom := newDomain(key)
	dom.octets.Store(domainOctets)
	e.domains.Store(e.domains.Load().put(key, dom))
	return dom
}

// evictDomains drops a sixteenth of an exporter's domains and reports whether
// there were any. Any will do: an exporter of so many is broken or hostile.
func (d *Decoder) evictDomains(e *exporter) bool {
	d.mark(e)
	domains := e.domains.Load()
	left := max(1, domains.len()/16)
	e.domains.Store(domains.without(func(_ domainKey, dom *domain) bool {
		if left--; left < 0 {
			return false
		}
		d.take(e, -dom.octets.Load())
		d.hold.forgetDomain(e, dom)
		dom.leave(&d.hold, &e.rest, &e.restSamples)
		e.rest.DomainsEvicted++
		return true
	}))
	return domains.len() > 0
}

// define takes a template that came from the given port, at a time in seconds
// since the epoch. Exporters repeat their templates all the time: mostly nothing
// changes.
func (d *Decoder) define(e *exporter, dom *domain, t *ipfix.Template, port uint16, now int64) {
	generation := d.generation.Add(1)
	if dom.parent != nil && !dom.learnt {
		d.contradict(e, dom.parent, t)
	}
	if p := dom.templates.Load().get(t.ID); p != nil && p.template.Equal(t) {
		p.announced(generation, port, now)
		return
	}
	p := compile(dom.key.version, t.Clone(), d.named)
	p.announced(generation, port, now)
	defer d.mark(e)
	dom.mu.Lock()
	defer dom.mu.Unlock()
	old := dom.templates.Load()
	had := old.get(t.ID)
	if had != nil && had.port.Load() != int32(port) && dom.parent == nil {
		dom.displaced, dom.displacedPort = old, had.port.Load()
	}
	for had == nil && dom.templates.Load().len() >= d.cfg.MaxTemplates || !d.account(e, dom, templateSize(p)-templateSize(had)) {
		if !d.evictTemplates(e, dom, t.ID) {
			dom.counts.TemplatesEvicted++ // the new one itself
			return
		}
	}
	dom.templates.Store(dom.templates.Load().put(t.ID, p))
}

// contradict forgets a template that is known from before the start, and of which
// another exporter behind the same address, not known before, says otherwise: it
// may be the same exporter after all, that sends records from a port of their own.
// Its data wait until the template is repeated.
func (d *Decoder) contradict(e *exporter, dom *domain, t *ipfix.Template) {
	if p := dom.templates.Load().get(t.ID); p == nil || p.live.Load() || p.template.Equal(t) {
		return
	}
	dom.mu.Lock()
	defer dom.mu.Unlock()
	if p := dom.templates.Load().get(t.ID); p != nil && !p.live.Load() {
		dom.templates.Store(dom.templates.Load().without(func(id uint16, _ *program) bool { return id == t.ID }))
		d.account(e, dom, -templateSize(p))
		d.mark(e)
	}
}

// account is take for what is remembered of a domain.
func (d *Decoder) account(e *exporter, dom *domain, n int64) bool {
	if !d.take(e, n) {
		return false
	}
	if dom.parent != nil {
		dom = dom.parent
	}
	dom.octets.Add(n)
	return true
}

// evictTemplates drops a sixteenth of a domain's templates, but not the one of
// the given id, and reports whether there were any. Any will do: what is evicted
// and in use is announced again. dom.mu is held.
func (d *Decoder) evictTemplates(e *exporter, dom *domain, id uint16) bool {
	templates := dom.templates.Load()
	left := max(1, templates.len()/16)
	next := templates.without(func(k uint16, p *program) bool {
		if k == id {
			return false
		}
		if left--; left < 0 {
			return false
		}
		d.account(e, dom, -templateSize(p))
		dom.counts.TemplatesEvicted++
		return true
	})
	dom.templates.Store(next)
	return next.len() < templates.len()
}

// withdraw forgets a template, or with the id of a template set all of that
// kind (RFC 7011, 8.1).
func (d *Decoder) withdraw(e *exporter, dom *domain, t *ipfix.Template) {
	dom.mu.Lock()
	defer dom.mu.Unlock()
	templates := dom.templates.Load()
	if t.ID >= ipfix.MinDataSetID && !templates.has(t.ID) {
		return
	}
	left := templates.without(func(id uint16, p *program) bool {
		if id != t.ID && (t.ID >= ipfix.MinDataSetID || p.template.Options != t.Options) {
			return false
		}
		d.account(e, dom, -templateSize(p))
		return true
	})
	if left.len() < templates.len() {
		dom.templates.Store(left)
		d.mark(e)
	}
}
