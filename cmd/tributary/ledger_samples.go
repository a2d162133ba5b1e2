package main

import (
	"strconv"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/sflow"
)

// sampleKinds are the samples of sFlow that have numbers.
var sampleKinds = [...]sflow.Kind{sflow.Flow, sflow.Counters, sflow.Drop}

// sampleCounts account for samples of one kind.
type sampleCounts struct {
	Announced  uint64 `json:"announced"`
	Received   uint64 `json:"received"`
	Missing    uint64 `json:"missing"`
	Repeated   uint64 `json:"repeated"`
	Late       uint64 `json:"late"`
	Gaps       uint64 `json:"gaps"`
	Restarts   uint64 `json:"restarts"`
	AgentDrops uint64 `json:"agent_drops"`
	Pool       uint64 `json:"pool"`
}

// sourceRow accounts for the samples of one kind that a source of an sFlow agent took.
type sourceRow struct {
	rowHead
	Exporter    string `json:"exporter"`
	Port        uint16 `json:"port"`
	Agent       string `json:"agent"`
	Domain      uint32 `json:"domain"`
	Kind        string `json:"kind"`
	SourceType  uint32 `json:"source_type"`
	SourceIndex uint32 `json:"source_index"`
	LastSeen    int64  `json:"last_seen"`
	sampleCounts
}

func samplesOf(c *collect.SampleCounts) sampleCounts {
	return sampleCounts{
		Announced: c.Announced, Received: c.Received, Missing: c.Missing(), Repeated: c.Repeated, Late: c.Recovered,
		Gaps: c.Gaps, Restarts: c.Restarts, AgentDrops: c.AgentDrops, Pool: c.Pool,
	}
}

// holds is the balance of samples.
func (c *sampleCounts) holds() bool { return c.Announced+c.Repeated == c.Received+c.Missing }

// tells reports whether there is more to say of samples than that they came.
func (c *sampleCounts) tells() bool {
	return c.Missing+c.Repeated+c.Late+c.Restarts+c.AgentDrops > 0
}

// countSamples takes over the samples of a domain, or of several.
func (r *domainRow) countSamples(k *collect.KindSamples) {
	for _, kind := range sampleKinds {
		if c := &k[kind]; c.Received > 0 {
			if r.Samples == nil {
				r.Samples = map[string]*sampleCounts{}
			}
			counts := samplesOf(c)
			r.Samples[kind.String()] = &counts
		}
	}
	r.Holds = r.Holds && r.samplesHold()
}

// samplesHold is the balance of samples, by kind.
func (r *domainRow) samplesHold() bool {
	for _, c := range r.Samples {
		if c != nil && !c.holds() { // nil: not as we write it
			return false
		}
	}
	return true
}

// sourcesOf makes the rows of sources that there is something to tell of.
func sourcesOf(head rowHead, sources []collect.SourceStats) (rows []sourceRow) {
	for i := range sources {
		s := &sources[i]
		r := sourceRow{
			rowHead: head, Exporter: s.Exporter.String(), Port: s.Port, Agent: s.Agent.String(), Domain: s.SubAgent, Kind: s.Kind.String(),
			SourceType: s.SourceType, SourceIndex: s.SourceIndex, LastSeen: s.LastSeen, sampleCounts: samplesOf(&s.SampleCounts),
		}
		if r.tells() {
			r.Row, r.Holds = rowSource, r.holds()
			rows = append(rows, r)
		}
	}
	return rows
}

// name is the source as people call it.
func (r *sourceRow) name() string {
	index := strconv.FormatUint(uint64(r.SourceIndex), 10)
	switch r.SourceType {
	case 0:
		return "interface " + index
	case 1:
		return "vlan " + index
	case 2:
		return "entity " + index
	}
	return strconv.FormatUint(uint64(r.SourceType), 10) + ":" + index
}

// sampleTable prints the samples of each domain, and the sources of them that there is
// something to tell of.
func (s *ledgerSnapshot) sampleTable(line func(cells ...any)) {
	if len(s.total.Samples) == 0 {
		return
	}
	line("SAMPLES OF", "DOMAIN", "KIND", "SOURCE", "ANNOUNCED", "RECEIVED", "MISSING", "%", "REPEATED", "RESTARTS", "DROPPED BY THE AGENT")
	row := func(name, domain, kind, source string, c *sampleCounts) {
		line(name, domain, kind, source, c.Announced, c.Received, c.Missing, percent(c.Missing, c.Announced), c.Repeated, c.Restarts, c.AgentDrops)
	}
	sources := map[sourceOf][]*sourceRow{}
	for i := range s.sources {
		r := &s.sources[i]
		of := sourceOf{r.Exporter, r.Port, r.Agent, r.Domain, r.Kind}
		sources[of] = append(sources[of], r)
	}
	for i := range s.domains {
		r := &s.domains[i]
		name, domain := r.names()
		for _, kind := range sampleKinds {
			if c := r.Samples[kind.String()]; c != nil {
				row(name, domain, kind.String(), "all", c)
			}
			for _, source := range sources[sourceOf{r.Exporter, r.Port, r.Agent, r.Domain, kind.String()}] {
				row(name, domain, kind.String(), source.name(), &source.sampleCounts)
			}
		}
	}
	for _, kind := range sampleKinds {
		if c := s.total.Samples[kind.String()]; c != nil {
			row("total", "", kind.String(), "", c)
		}
	}
	line()
}

// sourceOf is what sources of a domain and a kind have in common.
type sourceOf struct {
	exporter string
	port     uint16
	agent    string
	domain   uint32
	kind     string
}
