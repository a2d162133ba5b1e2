package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-net/tributary/collect"
)

// domainLabels bounds how many observation domains have metrics of their own; the
// rest are summed up under "other".
const domainLabels = 1000

// domainMetric is one count of the sequence numbers of observation domains.
type domainMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*collect.Balance) uint64
}

func domainCounter(name, help string, value func(*collect.Balance) uint64) domainMetric {
	return domainMetric{domainDesc(name+"_total", help), prometheus.CounterValue, value}
}

func domainDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("tributary_collect_domain_"+name, help, []string{"exporter", "protocol", "domain", "port"}, nil)
}

// domainMetrics are the balance of what exporters sent: at any time announced +
// repeated = received + skipped - recovered + unknown.
var domainMetrics = []domainMetric{
	domainCounter("announced", "What sequence numbers say was sent, in the protocol's unit, by observation domain.", func(b *collect.Balance) uint64 { return b.Announced }),
	domainCounter("received", "What came of it, repetitions too, by observation domain.", func(b *collect.Balance) uint64 { return b.Received }),
	domainCounter("repeated", "What came again, by observation domain.", func(b *collect.Balance) uint64 { return b.Repeated }),
	domainCounter("skipped", "What was not there when the next came, by observation domain.", func(b *collect.Balance) uint64 { return b.Skipped }),
	domainCounter("recovered", "What of that came late after all, by observation domain; the rest is missing.", func(b *collect.Balance) uint64 { return b.Recovered }),
	domainCounter("restarts", "Times that the exporter began anew, by observation domain.", func(b *collect.Balance) uint64 { return b.Restarts }),
	{
		domainDesc("unknown", "What is missing, or is in data sets that no template has described yet, by observation domain."), prometheus.GaugeValue,
		func(b *collect.Balance) uint64 { return b.Unknown },
	},
}

// sampleMetric is one count of the samples of sFlow sub-agents.
type sampleMetric struct {
	desc  *prometheus.Desc
	value func(*collect.SampleCounts) uint64
}

func sampleCounter(name, help string, value func(*collect.SampleCounts) uint64) sampleMetric {
	return sampleMetric{prometheus.NewDesc("tributary_collect_samples_"+name+"_total", help, []string{"exporter", "domain", "port", "kind"}, nil), value}
}

// sampleMetrics are the balance of samples, by kind. A datagram that is missing takes
// samples along: they are no further loss.
var sampleMetrics = []sampleMetric{
	sampleCounter("announced", "sFlow samples that the numbers of their sources say were taken, by sub-agent and kind.", func(c *collect.SampleCounts) uint64 { return c.Announced }),
	sampleCounter("received", "What came of them, repetitions too, by sub-agent and kind.", func(c *collect.SampleCounts) uint64 { return c.Received }),
	sampleCounter("repeated", "sFlow samples that came again, by sub-agent and kind.", func(c *collect.SampleCounts) uint64 { return c.Repeated }),
	sampleCounter("skipped", "sFlow samples that were not there when the next of their source came, by sub-agent and kind.", func(c *collect.SampleCounts) uint64 { return c.Skipped }),
	sampleCounter("recovered", "What of these came late after all, by sub-agent and kind; the rest is missing.", func(c *collect.SampleCounts) uint64 { return c.Recovered }),
	sampleCounter("restarts", "Times that a source of sFlow samples began anew, by sub-agent and kind.", func(c *collect.SampleCounts) uint64 { return c.Restarts }),
	sampleCounter("agent_drops", "sFlow samples that agents say they had no room for, by sub-agent and kind; they have no numbers.", func(c *collect.SampleCounts) uint64 { return c.AgentDrops }),
}

// collectSamples turns the samples of a domain, or of several, into metrics.
func collectSamples(m chan<- prometheus.Metric, k *collect.KindSamples, exporter, domain, port string) {
	for _, kind := range sampleKinds {
		if k[kind].Received == 0 {
			continue
		}
		for _, d := range sampleMetrics {
			m <- prometheus.MustNewConstMetric(d.desc, prometheus.CounterValue, float64(d.value(&k[kind])), exporter, domain, port, kind.String())
		}
	}
}

// collectDomains turns the sequence numbers of domains into metrics.
func collectDomains(m chan<- prometheus.Metric, domains []collect.DomainStats) {
	send := func(b *collect.Balance, labels ...string) {
		for _, d := range domainMetrics {
			m <- prometheus.MustNewConstMetric(d.desc, d.kind, float64(d.value(b)), labels...)
		}
	}
	var other collect.Balance
	var otherSamples collect.KindSamples
	for i := range domains {
		d := &domains[i]
		if i >= domainLabels {
			other.Add(&d.Balance)
			otherSamples.Add(&d.Samples)
			continue
		}
		domain := strconv.FormatUint(uint64(d.Domain), 10)
		if d.Agent.IsValid() {
			domain = d.Agent.String() + "/" + domain
		}
		send(&d.Balance, d.Exporter.String(), d.Protocol(), domain, strconv.Itoa(int(d.Port)))
		collectSamples(m, &d.Samples, d.Exporter.String(), domain, strconv.Itoa(int(d.Port)))
	}
	if len(domains) > domainLabels {
		send(&other, "other", "", "", "")
		collectSamples(m, &otherSamples, "other", "", "")
	}
}

// balancesHold is 1 when all of a collector's balances do.
func balancesHold(st *collect.DecoderStats, domains []collect.DomainStats, sockets []collect.SocketStats) float64 {
	holds := st.Total.Balance.Holds() && st.Total.SetsHold() && st.Total.Samples.Holds()
	for i := range domains {
		holds = holds && domains[i].Balance.Holds() && domains[i].SetsHold() && domains[i].Samples.Holds()
	}
	for i := range sockets {
		holds = holds && sockets[i].Holds()
	}
	if holds {
		return 1
	}
	return 0
}
