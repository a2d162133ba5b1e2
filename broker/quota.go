package broker

import (
	"encoding/json"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// What a quota can bound, by Kafka's names (KIP-13, KIP-124, KIP-599, KIP-612).
const (
	quotaProduce     = "producer_byte_rate"
	quotaFetch       = "consumer_byte_rate"
	quotaRequest     = "request_percentage"
	quotaMutation    = "controller_mutation_rate"
	quotaConnections = "connection_creation_rate"
)

// Kinds of entities a quota can be for.
const (
	entityUser   = "user"
	entityClient = "client-id"
	entityIP     = "ip"
)

// quotaPart is one part of an entity: a name, or the default of all names that have no quota of their own.
type quotaPart struct {
	Set     bool   `json:"set,omitempty"`
	Default bool   `json:"default,omitempty"`
	Name    string `json:"name,omitempty"`
}

func named(name string) quotaPart { return quotaPart{Set: true, Name: name} }

var standardPart = quotaPart{Set: true, Default: true}

// quotaEntity says whom a quota is for: a user, a client id, both, or an address.
type quotaEntity struct {
	User   quotaPart `json:"user,omitzero"`
	Client quotaPart `json:"client,omitzero"`
	IP     quotaPart `json:"ip,omitzero"`
}

// check refuses a combination that Kafka does not have.
func (e *quotaEntity) check() error {
	if e.IP.Set == (e.User.Set || e.Client.Set) {
		return refusef(codeInvalidRequest, "a quota is for a user, a client-id, both, or an ip")
	}
	return nil
}

// part returns the part of a kind.
func (e *quotaEntity) part(kind string) *quotaPart {
	switch kind {
	case entityUser:
		return &e.User
	case entityClient:
		return &e.Client
	case entityIP:
		return &e.IP
	}
	return nil
}

// checkQuota refuses what Kafka does not take for a value.
func checkQuota(e *quotaEntity, key string, value float64) error {
	switch key {
	case quotaProduce, quotaFetch, quotaRequest, quotaMutation:
		if e.IP.Set {
			return refusef(codeInvalidRequest, "%s is not for an ip", key)
		}
	case quotaConnections:
		if !e.IP.Set {
			return refusef(codeInvalidRequest, "%s is for an ip", key)
		}
	default:
		return refusef(codeInvalidRequest, "unknown quota %s", key)
	}
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0) || value <= 0:
		return refusef(codeInvalidRequest, "%s must be above 0", key)
	case key != quotaRequest && key != quotaMutation && value != math.Trunc(value):
		return refusef(codeInvalidRequest, "%s must be a whole number", key)
	}
	return nil
}

// quotaTable is all that is set. It does not change.
type quotaTable map[quotaEntity]map[string]float64

// kindQuota is the metadata file's kind of an entity's quotas.
const kindQuota = "quota"

type storedQuota struct {
	Entity quotaEntity        `json:"entity"`
	Values map[string]float64 `json:"values"`
}

// quotas keep what is set and measure who is bound by it.
type quotas struct {
	meta *metadataFile
	now  func() time.Time
	most int // meters

	change sync.Mutex // one change at a time, from file to table
	table  atomic.Pointer[quotaTable]

	mu     sync.Mutex
	meters map[meterKey]*meter
	swept  time.Time
}

// meterKey names a meter: who shares it and for what.
type meterKey struct {
	what             string
	user, client, ip quotaPart
}

func openQuotas(cfg *Config, meta *metadataFile) (*quotas, error) {
	qs := &quotas{meta: meta, now: cfg.now, most: cfg.MaxQuotaClients, meters: make(map[meterKey]*meter)}
	if qs.now == nil {
		qs.now = time.Now
	}
	table := make(quotaTable)
	err := meta.each(kindQuota, func(_ string, raw json.RawMessage) error {
		var sq storedQuota
		if err := json.Unmarshal(raw, &sq); err != nil {
			return err
		}
		for key, value := range sq.Values {
			if err := checkQuota(&sq.Entity, key, value); err != nil {
				return err
			}
		}
		if len(sq.Values) == 0 {
			return errors.New("no quota")
		}
		table[sq.Entity] = sq.Values
		return sq.Entity.check()
	})
	qs.publish(table)
	return qs, err
}

// publish puts a table in force; none at all costs nobody anything.
func (qs *quotas) publish(table quotaTable) {
	if len(table) == 0 {
		qs.table.Store(nil)
		return
	}
	qs.table.Store(&table)
}

// current returns what is set.
func (qs *quotas) current() quotaTable {
	if t := qs.table.Load(); t != nil {
		return *t
	}
	return nil
}

// alter sets quotas of an entity; a value of 0 takes one out.
func (qs *quotas) alter(e quotaEntity, changes map[string]float64) error {
	qs.change.Lock()
	defer qs.change.Unlock()
	table := make(quotaTable)
	for other, values := range qs.current() {
		table[other] = values
	}
	values := make(map[string]float64)
	for key, value := range table[e] {
		values[key] = value
	}
	for key, value := range changes {
		if value == 0 {
			delete(values, key)
		} else {
			values[key] = value
		}
	}
	key, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if len(values) == 0 {
		if _, ok := table[e]; !ok {
			return nil
		}
		err = qs.meta.remove(kindQuota, string(key))
		delete(table, e)
	} else {
		err = qs.meta.put(kindQuota, string(key), storedQuota{e, values})
		table[e] = values
	}
	if err != nil {
		return err
	}
	qs.publish(table)
	return nil
}

// limit finds the quota that bounds a client: the most particular one, in the order of Kafka's documentation ("Quota
// Configuration"). Who is bound by one user's or one client's quota shares its meter.
func (qs *quotas) limit(table quotaTable, what, user, client string) *limit {
	u, c := named(user), named(client)
	for _, e := range [...]quotaEntity{
		{User: u, Client: c},
		{User: u, Client: standardPart},
		{User: u},
		{User: standardPart, Client: c},
		{User: standardPart, Client: standardPart},
		{User: standardPart},
		{Client: c},
		{Client: standardPart},
	} {
		bound, ok := table[e][what]
		if !ok {
			continue
		}
		key := meterKey{what: what}
		if e.User.Set {
			key.user = u
		}
		if e.Client.Set {
			key.client = c
		}
		l := &limit{bound: bound, meter: qs.meter(key)}
		if what == quotaRequest {
			l.bound, l.max = bound/100, quotaWindow // percent of one thread's time, as seconds in a second
		}
		return l
	}
	return nil
}

// connection is for how long an address is to wait because of a connection it makes.
func (qs *quotas) connection(host string) time.Duration {
	t := qs.table.Load()
	if t == nil {
		return 0
	}
	bound, ok := (*t)[quotaEntity{IP: named(host)}][quotaConnections]
	if !ok {
		if bound, ok = (*t)[quotaEntity{IP: standardPart}][quotaConnections]; !ok {
			return 0
		}
	}
	l := limit{bound: bound, meter: qs.meter(meterKey{what: quotaConnections, ip: named(host)}), max: quotaWindow}
	return l.use(qs.now(), 1)
}

// meterIdle is how long a meter is kept that nobody uses.
const meterIdle = time.Hour

// meter returns a meter, a new one if need be. Names are the clients' to choose, so beyond the most there are, newcomers
// share one.
func (qs *quotas) meter(key meterKey) *meter {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	m := qs.meters[key]
	if m != nil {
		return m
	}
	now := qs.now()
	if len(qs.meters) >= qs.most && now.Sub(qs.swept) > quotaWindow {
		qs.swept = now
		for k, old := range qs.meters {
			old.mu.Lock()
			idle := now.Sub(old.used)
			old.mu.Unlock()
			if idle > meterIdle {
				delete(qs.meters, k)
			}
		}
	}
	if len(qs.meters) >= qs.most {
		key = meterKey{what: key.what}
		if m = qs.meters[key]; m != nil {
			return m
		}
	}
	m = &meter{used: now}
	qs.meters[key] = m
	return m
}

// stats returns what each client that has a quota uses.
func (qs *quotas) stats() []QuotaStats {
	now := qs.now()
	qs.mu.Lock()
	defer qs.mu.Unlock()
	var all []QuotaStats
	for k, m := range qs.meters {
		if k.what == quotaConnections {
			continue
		}
		m.mu.Lock()
		total, span := m.sum(now)
		all = append(all, QuotaStats{
			Kind: k.what, User: k.user.Name, ClientID: k.client.Name,
			Rate: total / span.Seconds(), Total: m.total, Throttled: m.throttled,
		})
		m.mu.Unlock()
	}
	return all
}
