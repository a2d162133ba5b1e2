package collect

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"

	"github.com/tributary-net/tributary/ipfix"
)

// StateKind says what a [State] is.
type StateKind uint8

// The kinds of state.
const (
	StateTemplate    StateKind = iota + 1 // a template or options template; ID is its id
	StateSampling                         // a sampling rate; ID is that of the sampler or selector, empty where none was named
	StateBoot                             // when the exporter's uptime was zero; no ID
	StateInterface                        // the name of an interface; ID is its index
	StateApplication                      // the name of an application; ID is its id in hexadecimal
	numStateKinds
)

var stateKindNames = [numStateKinds]string{"", "template", "sampling", "boot", "interface", "application"}

// String returns the name of the kind, as keys have it.
func (k StateKind) String() string {
	if k >= numStateKinds {
		return strconv.Itoa(int(k))
	}
	return stateKindNames[k]
}

// StateKey names one thing that an exporter teaches a collector.
type StateKey struct {
	Exporter netip.Addr
	// Port is 0, or the source port of an exporter that is kept apart from
	// another one behind the same address.
	Port uint16
	// Version is that of the protocol, 9 or 10, and Domain the observation domain
	// (source id in NetFlow v9). Names of interfaces and applications hold for
	// all of an exporter; both are 0 there.
	Version uint16
	Domain  uint32
	Kind    StateKind
	ID      string
}

// State is one thing that an exporter taught a collector: with it another
// collector, or the same one started again, decodes from the first datagram on.
type State struct {
	StateKey
	// Time is when the exporter said so last, in seconds since the epoch.
	Time int64

	Template *ipfix.Template // of StateTemplate
	From     uint16          // of StateTemplate: the source port that it came from
	Number   uint64          // of StateSampling the rate; of StateBoot a time in ms since the epoch
	Name     []byte          // of StateInterface and StateApplication
}

// mark notes that what is known of an exporter has changed.
func (d *Decoder) mark(e *exporter) {
	e.changed.Store(true)
	d.notify()
}

func (d *Decoder) notify() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// Changed returns a channel that has a value after exporters taught something
// new, or something was forgotten: time to look at [Decoder.Changes].
func (d *Decoder) Changed() <-chan struct{} { return d.changed }

// Changes returns the exporters of which something was learnt or forgotten since
// the last call. What an exporter repeats is no change. An exporter that gave way
// is among them when [Decoder.State] has told of it before.
func (d *Decoder) Changes() []netip.Addr {
	d.mu.Lock()
	changes := d.told
	d.told = nil
	d.mu.Unlock()
	for addr, e := range d.exporters.Load().all() {
		if e.changed.Load() && e.changed.Swap(false) {
			changes = append(changes, addr)
		}
	}
	return changes
}

// Exporters returns the exporters that are known.
func (d *Decoder) Exporters() []netip.Addr {
	exporters := d.exporters.Load()
	list := make([]netip.Addr, 0, exporters.len())
	for addr := range exporters.all() {
		list = append(list, addr)
	}
	return list
}

// State returns what an exporter taught, in no order; nothing if it is not known.
// What the values reference must not be changed.
func (d *Decoder) State(exporter netip.Addr) []State {
	e := d.exporters.Load().get(exporter)
	if e == nil {
		return nil
	}
	var states []State
	for key, dom := range e.domains.Load().all() {
		if key.agent.IsValid() {
			continue // sFlow teaches nothing
		}
		states = dom.appendState(states, StateKey{Exporter: exporter, Version: key.version, Domain: key.id})
		dom.mu.Lock()
		for port, other := range dom.others {
			states = other.appendState(states, StateKey{Exporter: exporter, Port: port, Version: key.version, Domain: key.id})
		}
		dom.mu.Unlock()
	}
	names, heard := e.names.Load(), e.namesHeard.Load()
	for index, name := range names.interfaces.all() {
		key := StateKey{Exporter: exporter, Kind: StateInterface, ID: strconv.FormatUint(uint64(index), 10)}
		states = append(states, State{StateKey: key, Time: heard, Name: name})
	}
	for id, name := range names.applications.all() {
		key := StateKey{Exporter: exporter, Kind: StateApplication, ID: hex.EncodeToString([]byte(id))}
		states = append(states, State{StateKey: key, Time: heard, Name: name})
	}
	if len(states) > 0 {
		e.told.Store(true)
	}
	return states
}

// bootDrift is how far the time of boot may wander and be the same: exporters
// compute it anew from clocks that do not agree.
const bootDrift = time.Minute

func (dom *domain) appendState(states []State, key StateKey) []State {
	key.Kind = StateTemplate
	for id, p := range dom.templates.Load().all() {
		key.ID = strconv.Itoa(int(id))
		states = append(states, State{StateKey: key, Time: p.heard.Load(), Template: p.template, From: uint16(p.port.Load())})
	}
	samplers, heard := dom.samplers.Load(), dom.samplersHeard.Load()
	key.Kind = StateSampling
	for id, rate := range samplers.byID.all() {
		key.ID = strconv.FormatUint(id, 10)
		states = append(states, State{StateKey: key, Time: heard, Number: rate})
	}
	key.ID = ""
	if samplers.any != 0 {
		states = append(states, State{StateKey: key, Time: heard, Number: samplers.any})
	}
	if boot := dom.bootNs.Load(); boot != 0 {
		told := dom.bootTold.Load()
		if told == 0 || boot-told > uint64(bootDrift) && told-boot > uint64(bootDrift) {
			told = boot
			dom.bootTold.Store(boot)
		}
		key.Kind = StateBoot
		states = append(states, State{StateKey: key, Time: heard, Number: told / 1e6})
	}
	return states
}

// Learn takes over what exporters taught another collector, or this one before
// it was started again. What an exporter has said itself since the start counts
// more, but for a template that the same port announced later; and what gives
// way when there is no room is what is to be learnt. Data that wait for a
// template are decoded by the next worker that decodes anything.
//
// It returns how many were taken over, or known already.
func (d *Decoder) Learn(states []State) (learnt int) {
	for i := range states {
		if st := &states[i]; st.valid() && d.learnState(st) {
			learnt++
		}
	}
	return learnt
}

// valid reports whether a state can be one that a collector told.
func (st *State) valid() bool {
	named := st.Kind == StateInterface || st.Kind == StateApplication
	switch {
	case !st.Exporter.IsValid() || st.Exporter.Zone() != "" || st.Exporter.Is4In6():
		return false
	case named:
		return st.Version == 0 && st.Domain == 0 && st.Port == 0 && len(st.Name) > 0 && len(st.Name) <= maxName
	case st.Version != 9 && st.Version != ipfix.Version:
		return false
	}
	switch st.Kind {
	case StateTemplate:
		t := st.Template
		if t == nil || t.Withdrawal() || len(t.Fields) > ipfix.MaxFields || t.ID < ipfix.MinDataSetID || strconv.Itoa(int(t.ID)) != st.ID ||
			t.Scope < 0 || t.Scope > len(t.Fields) || !t.Options && t.Scope != 0 {
			return false
		}
		t.Measure()
		return true
	case StateSampling, StateBoot:
		return st.Number != 0
	}
	return false
}

func (d *Decoder) learnState(st *State) bool {
	e := d.exporters.Load().get(st.Exporter)
	if e == nil {
		if e = d.addLearnt(st); e == nil {
			return false
		}
	}
	switch st.Kind {
	case StateInterface:
		index, err := strconv.ParseUint(st.ID, 10, 32)
		return err == nil && d.learnName(e, st, func(n *names) (bool, func(*names)) {
			return n.interfaces.has(uint32(index)), func(n *names) {
				n.interfaces = *merge(d, e, &n.interfaces, map[uint32][]byte{uint32(index): st.Name})
			}
		})
	case StateApplication:
		id, err := hex.DecodeString(st.ID)
		return err == nil && len(id) > 0 && len(id) <= maxName && d.learnName(e, st, func(n *names) (bool, func(*names)) {
			return n.applications.has(string(id)), func(n *names) {
				n.applications = *merge(d, e, &n.applications, map[string][]byte{string(id): st.Name})
			}
		})
	}
	dom := d.learntDomain(e, st, domainKey{version: st.Version, id: st.Domain})
	if dom == nil {
		return false
	}
	switch st.Kind {
	case StateTemplate:
		return d.learnTemplate(e, dom, st)
	case StateSampling:
		return d.learnRate(e, dom, st)
	default:
		dom.bootNs.CompareAndSwap(0, st.Number*1e6)
		return true
	}
}

// addLearnt adds an exporter as one that was last seen when it taught st; nil
// when there is no room.
func (d *Decoder) addLearnt(st *State) *exporter {
	d.mu.Lock()
	full := d.exporters.Load().len() >= d.cfg.MaxExporters
	d.mu.Unlock()
	if full {
		return nil
	}
	return d.addExporter(st.Exporter, st.Time)
}

// room reports whether n octets more can be remembered of an exporter without
// another one giving way.
func (d *Decoder) room(e *exporter, n int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !e.gone && e.octets+n <= d.cfg.MaxExporterOctets && d.octets+n <= d.cfg.MaxOctets
}

// learntDomain finds or makes the domain of a state, by its key; nil when there is no room.
func (d *Decoder) learntDomain(e *exporter, st *State, key domainKey) *domain {
	dom := e.domains.Load().get(key)
	if dom == nil {
		if e.domains.Load().len() >= d.cfg.MaxDomains || !d.room(e, domainOctets) {
			return nil
		}
		dom = d.addDomain(e, key)
	}
	if st.Port == 0 || dom.port.Load() == int32(st.Port) {
		return dom
	}
	dom.mu.Lock()
	defer dom.mu.Unlock()
	other := dom.others[st.Port]
	if other == nil {
		if len(dom.others) >= d.cfg.MaxPorts || !d.room(e, domainOctets) || !d.account(e, dom, domainOctets) {
			return nil
		}
		other = d.addOther(dom, st.Port)
		other.learnt = true
	}
	return other
}

func (d *Decoder) learnTemplate(e *exporter, dom *domain, st *State) bool {
	if !d.storeLearnt(e, dom, st) {
		return false
	}
	d.hold.wake(dom, st.Template.ID)
	return true
}

func (d *Decoder) storeLearnt(e *exporter, dom *domain, st *State) bool {
	p := compile(dom.key.version, st.Template, d.named)
	p.port.Store(int32(st.From))
	p.heard.Store(st.Time)
	dom.mu.Lock()
	defer dom.mu.Unlock()
	templates := dom.templates.Load()
	had := templates.get(st.Template.ID)
	switch {
	case had == nil:
	case had.template.Equal(st.Template):
		return true
	case had.heard.Load() >= st.Time, had.live.Load() && had.port.Load() != int32(st.From):
		return false
	}
	if size := templateSize(p) - templateSize(had); had == nil && templates.len() >= d.cfg.MaxTemplates || !d.room(e, size) || !d.account(e, dom, size) {
		return false
	}
	dom.templates.Store(templates.put(st.Template.ID, p))
	return true
}

func (d *Decoder) learnRate(e *exporter, dom *domain, st *State) bool {
	dom.mu.Lock()
	defer dom.mu.Unlock()
	have, heard := dom.samplers.Load(), dom.samplersHeard.Load()
	next := &samplers{byID: have.byID, any: have.any}
	if st.ID == "" {
		if have.any != 0 && heard >= st.Time {
			return have.any == st.Number
		}
		next.any = st.Number
	} else {
		id, err := strconv.ParseUint(st.ID, 10, 64)
		known := have.byID.has(id)
		switch {
		case err != nil:
			return false
		case known && heard >= st.Time:
			return have.byID.get(id) == st.Number
		case !known && (have.byID.len() >= d.cfg.MaxNames || !d.room(e, samplerOctets) || !d.account(e, dom, samplerOctets)):
			return false
		}
		next.byID = *have.byID.put(id, st.Number)
	}
	dom.samplersHeard.Store(max(heard, st.Time))
	dom.samplers.Store(next)
	e.samplers.CompareAndSwap(nil, next)
	e.samplers.CompareAndSwap(have, next)
	return true
}

// learnName takes over the name of an interface or an application.
func (d *Decoder) learnName(e *exporter, st *State, of func(*names) (known bool, learn func(n *names))) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	have, heard := e.names.Load(), e.namesHeard.Load()
	known, learn := of(have)
	if known && heard >= st.Time {
		return true
	}
	if !d.room(e, nameOctets+int64(len(st.Name))) {
		return false
	}
	next := *have
	learn(&next)
	e.names.Store(&next)
	e.namesHeard.Store(max(heard, st.Time))
	return true
}
