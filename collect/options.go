package collect

import (
	"math"
	"slices"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/netflow"
)

// samplers are the sampling rates that options data of a domain announced. They
// do not change; a new rate makes a new one.
type samplers struct {
	byID layers[uint64, uint64] // samplerId or selectorId
	any  uint64                 // announced without an id; 0: none was
}

func (s *samplers) empty() bool { return s.any == 0 && s.byID.len() == 0 }

// base returns the rate of records that name no sampler: the one announced
// without an id, or that of the only sampler there is; 0 when it is not known.
func (s *samplers) base() uint64 {
	if s.any == 0 && s.byID.len() == 1 {
		for _, rate := range s.byID.all() {
			return rate
		}
	}
	return s.any
}

// rate returns the rate of a sampler; 0 when it is not known. An id that nobody
// announced has the domain's rate, if that has just one.
func (s *samplers) rate(id uint64) uint64 {
	if s.byID.len() == 0 {
		return s.any
	}
	return s.byID.get(id)
}

// names are the names that options data of an exporter announced.
type names struct {
	interfaces   layers[uint32, []byte]
	applications layers[string, []byte]
}

// maxName is how much of a name, or of an application's id, is kept, in octets.
const maxName = 255

// option is what one options data record says, as far as it is of use.
type option struct {
	hasSampler, hasInterface bool
	sampler                  uint64
	rate, interval, space    uint64
	size, population         uint64
	probability              float64
	ifIndex                  uint32
	ifName, ifDescription    []byte
	application, appName     []byte
	bootMs                   uint64
}

// readOption reads an options data record.
func readOption(t *ipfix.Template, rec []byte, values *ipfix.Records) (o option) {
	off := 0
	for i, f := range t.Fields {
		var v []byte
		if t.Variable {
			v = values.Value(rec, i)
		} else {
			v = rec[off : off+int(f.Length)]
			off += int(f.Length)
		}
		o.field(f.ElementID, v)
	}
	return o
}

func (o *option) field(id ipfix.ElementID, v []byte) {
	if id.Enterprise == netflow.ScopeEnterprise {
		if id.ID == netflow.ScopeInterface {
			o.hasInterface, o.ifIndex = true, uint32(readUint(v))
		}
		return
	}
	if id.Enterprise != 0 {
		return
	}
	number := uint64(0)
	if len(v) <= 8 {
		number = readUint(v)
	}
	switch id.ID {
	case 10, 14: // ingressInterface, egressInterface
		o.hasInterface, o.ifIndex = true, uint32(number)
	case 34, 50: // samplingInterval, samplerRandomInterval
		if number != 0 {
			o.rate = number
		}
	case 48, 302: // samplerId, selectorId
		o.hasSampler, o.sampler = true, number
	case 82: // interfaceName
		o.ifName = text(v)
	case 83: // interfaceDescription
		o.ifDescription = text(v)
	case 95: // applicationId
		o.application = v
	case 96: // applicationName
		o.appName = text(v)
	case 160: // systemInitTimeMilliseconds
		o.bootMs = number
	case 305: // samplingPacketInterval
		o.interval = number
	case 306: // samplingPacketSpace
		o.space = number
	case 309: // samplingSize
		o.size = number
	case 310: // samplingPopulation
		o.population = number
	case 311: // samplingProbability
		switch len(v) {
		case 4:
			o.probability = float64(math.Float32frombits(uint32(number)))
		case 8:
			o.probability = math.Float64frombits(number)
		}
	}
}

// text cuts the zeros off that pad a text to its fixed length.
func text(v []byte) []byte {
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	return v
}

// samplingRate returns the rate that the record announces, 0 if it does not.
func (o *option) samplingRate() uint64 {
	switch {
	case o.interval != 0:
		return (o.interval + o.space) / o.interval
	case o.size != 0 && o.population != 0:
		return o.population / o.size
	case o.probability > 0 && o.probability <= 1:
		return uint64(math.Round(1 / o.probability))
	}
	return o.rate
}

// learn takes over what options data records of one set say, received at a time
// in seconds since the epoch.
func (d *Decoder) learn(e *exporter, dom *domain, options []option, now int64) {
	d.learnSamplers(e, dom, options, now)
	var interfaces map[uint32][]byte
	var applications map[string][]byte
	have := e.names.Load()
	for i := range options {
		o := &options[i]
		if o.bootMs != 0 {
			if had := dom.bootNs.Swap(o.bootMs * 1e6); had != o.bootMs*1e6 {
				d.mark(e)
			}
		}
		name := o.ifName
		if len(name) == 0 {
			name = o.ifDescription
		}
		if o.hasInterface && len(name) > 0 {
			name = name[:min(len(name), maxName)]
			e.namesHeard.Store(now)
			if !slices.Equal(have.interfaces.get(o.ifIndex), name) {
				interfaces = add(interfaces, o.ifIndex, name)
			}
		}
		if n := len(o.application); n > 0 && n <= maxName && len(o.appName) > 0 {
			name := o.appName[:min(len(o.appName), maxName)]
			e.namesHeard.Store(now)
			if !slices.Equal(have.application(o.application), name) {
				applications = add(applications, string(o.application), name)
			}
		}
	}
	if interfaces == nil && applications == nil {
		return
	}
	defer d.mark(e)
	e.mu.Lock()
	defer e.mu.Unlock()
	have = e.names.Load()
	e.names.Store(&names{
		interfaces:   *merge(d, e, &have.interfaces, interfaces),
		applications: *merge(d, e, &have.applications, applications),
	})
}

func add[K comparable](m map[K][]byte, k K, name []byte) map[K][]byte {
	if m == nil {
		m = make(map[K][]byte)
	}
	m[k] = slices.Clone(name)
	return m
}

// merge returns have with those of changed for which there is room. Changed is
// its own afterwards.
func merge[K comparable](d *Decoder, e *exporter, have *layers[K, []byte], changed map[K][]byte) *layers[K, []byte] {
	room := d.cfg.MaxNames - have.len()
	for k, v := range changed {
		size := int64(len(v) - len(have.get(k)))
		known := have.has(k)
		if !known {
			size += nameOctets
		}
		if !known && room <= 0 || !d.take(e, size) {
			e.rest.OptionsEvicted++
			delete(changed, k)
			continue
		}
		if !known {
			room--
		}
	}
	if len(changed) == 0 {
		return have
	}
	return have.with(changed)
}

func (d *Decoder) learnSamplers(e *exporter, dom *domain, options []option, now int64) {
	have := dom.samplers.Load()
	changed := map[uint64]uint64(nil)
	anyRate := have.any
	for i := range options {
		o := &options[i]
		rate := o.samplingRate()
		if rate != 0 {
			dom.samplersHeard.Store(now)
		}
		switch {
		case rate == 0:
		case !o.hasSampler:
			anyRate = rate
		case changed == nil && have.byID.get(o.sampler) == rate:
		default:
			if changed == nil {
				changed = make(map[uint64]uint64)
			}
			changed[o.sampler] = rate
		}
	}
	if changed == nil && anyRate == have.any {
		return
	}
	defer d.mark(e)
	dom.mu.Lock()
	defer dom.mu.Unlock()
	have = dom.samplers.Load()
	next := &samplers{byID: have.byID, any: anyRate}
	room := d.cfg.MaxNames - have.byID.len()
	for id := range changed {
		if have.byID.has(id) {
			continue
		}
		if room <= 0 || !d.account(e, dom, samplerOctets) {
			dom.counts.OptionsEvicted++
			delete(changed, id)
			continue
		}
		room--
	}
	if len(changed) > 0 {
		next.byID = *have.byID.with(changed)
	}
	dom.samplers.Store(next)
	e.samplers.Store(next)
}

// samplersOf returns the samplers that count for a domain: its own, or, where
// it has announced none, those that another domain of the exporter announced
// last. Some routers export from one domain and send their options from another.
func samplersOf(e *exporter, dom *domain) *samplers {
	s := dom.samplers.Load()
	if s.empty() {
		if other := e.samplers.Load(); other != nil {
			return other
		}
	}
	return s
}

// application returns the name of an application, nil if it has none. The maps are
// looked into here, where making a string of id costs nothing.
func (n *names) application(id []byte) []byte {
	if v, ok := n.applications.young[string(id)]; ok {
		return v
	}
	return n.applications.old[string(id)]
}

// set adds the names that options data have announced for what r carries.
func (n *names) set(r *flow.Record) {
	if n.interfaces.len() > 0 {
		if name := n.interfaces.get(uint32(r.Uint(flow.InIf))); name != nil && r.Has(flow.InIf) {
			r.SetBytes(flow.InIfName, name)
		}
		if name := n.interfaces.get(uint32(r.Uint(flow.OutIf))); name != nil && r.Has(flow.OutIf) {
			r.SetBytes(flow.OutIfName, name)
		}
	}
	if n.applications.len() > 0 && !r.Has(flow.ApplicationName) {
		if name := n.application(r.Bytes(flow.ApplicationID)); name != nil {
			r.SetBytes(flow.ApplicationName, name)
		}
	}
}
