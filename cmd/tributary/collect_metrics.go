package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-net/tributary/collect"
)

// exporterLabels bounds how many exporters have metrics of their own; the rest
// are summed up under "other".
const exporterLabels = 1000

// collectCollector turns what the collector has counted into metrics.
type collectCollector struct {
	server  *collect.Server
	decoder *collect.Decoder
}

// exporterMetric is one counter of exporters.
type exporterMetric struct {
	desc  *prometheus.Desc
	value func(*collect.ExporterStats) uint64
}

func exporterCounter(name, help string, value func(*collect.ExporterStats) uint64) exporterMetric {
	return exporterMetric{prometheus.NewDesc("tributary_collect_"+name+"_total", help, []string{"exporter"}, nil), value}
}

var exporterMetrics = []exporterMetric{
	exporterCounter("datagrams", "Datagrams received, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Datagrams }),
	exporterCounter("bytes", "Payload of the datagrams received, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Bytes }),
	exporterCounter("records", "Flow records decoded, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Records }),
	exporterCounter("options_records", "Options data records decoded, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Options }),
	exporterCounter("templates", "Template records received, repetitions too, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Templates }),
	exporterCounter("counter_samples", "sFlow counter samples received, by exporter.", func(s *collect.ExporterStats) uint64 { return s.CounterSamples }),
	exporterCounter("unknown_samples", "sFlow samples of formats that are not known, by exporter.", func(s *collect.ExporterStats) uint64 { return s.OtherSamples }),
	exporterCounter("held_sets", "Data sets that were held because their template had not come, by exporter.", func(s *collect.ExporterStats) uint64 { return s.HeldSets }),
	exporterCounter("held_decoded", "Of these, those decoded when their template came, by exporter.", func(s *collect.ExporterStats) uint64 { return s.HeldDecoded }),
	exporterCounter("held_expired", "Of these, those whose template did not come in time, by exporter.", func(s *collect.ExporterStats) uint64 { return s.HeldExpired }),
	exporterCounter("held_evicted", "Of these, those that gave way to others, by exporter.", func(s *collect.ExporterStats) uint64 { return s.HeldEvicted }),
	exporterCounter("missing_templates", "Data sets that no template described and that are not held, or no more, by exporter.", func(s *collect.ExporterStats) uint64 { return s.MissingTemplates }),
	exporterCounter("sets", "Data sets of NetFlow v9 and IPFIX received: decoded, malformed, held or without template, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Sets }),
	exporterCounter("sets_decoded", "Data sets decoded, by exporter.", func(s *collect.ExporterStats) uint64 { return s.SetsDecoded }),
	exporterCounter("sets_malformed", "Data sets that could not be decoded in full, by exporter.", func(s *collect.ExporterStats) uint64 { return s.SetsMalformed }),
	exporterCounter("sequence_gaps", "Times that sequence numbers were skipped, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Gaps }),
	exporterCounter("sequence_missing", "What sequence numbers skipped, in the protocol's unit, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Skipped }),
	exporterCounter("sequence_recovered", "What of that came late after all, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Recovered }),
	exporterCounter("sequence_repeated", "What came again, in the same unit, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Repeated }),
	exporterCounter("sequence_restarts", "Times that sequence numbers began anew, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Restarts }),
	exporterCounter("evicted_templates", "Templates that gave way to others, by exporter.", func(s *collect.ExporterStats) uint64 { return s.TemplatesEvicted }),
	exporterCounter("evicted_domains", "Observation domains that gave way to others, by exporter.", func(s *collect.ExporterStats) uint64 { return s.DomainsEvicted }),
	exporterCounter("evicted_options", "Samplers and names that found no room, by exporter.", func(s *collect.ExporterStats) uint64 { return s.OptionsEvicted }),
}

var (
	collectMalformed = prometheus.NewDesc("tributary_collect_malformed_total", "Datagrams with something that could not be decoded, by exporter and reason.", []string{"exporter", "reason"}, nil)
	collectExporters = prometheus.NewDesc("tributary_collect_exporters", "Exporters known.", nil, nil)
	collectTemplates = prometheus.NewDesc("tributary_collect_known_templates", "Templates known.", nil, nil)
	collectState     = prometheus.NewDesc("tributary_collect_state_bytes", "Memory of what is remembered of exporters, about.", nil, nil)
	collectHeldSets  = prometheus.NewDesc("tributary_collect_hold_sets", "Data sets that wait for their template.", nil, nil)
	collectHeldBytes = prometheus.NewDesc("tributary_collect_hold_bytes", "Memory of the data sets that wait for their template, about.", nil, nil)
	collectHolds     = prometheus.NewDesc("tributary_collect_balance_holds", "1 while every balance of the loss ledger holds: of sequence numbers, data sets and datagrams.", nil, nil)
	collectEvicted   = prometheus.NewDesc("tributary_collect_evicted_exporters_total", "Exporters that gave way to others.", nil, nil)

	socketLabels    = []string{"listen", "socket"}
	socketDatagrams = prometheus.NewDesc("tributary_collect_socket_datagrams_total", "Datagrams received, by socket.", socketLabels, nil)
	socketReads     = prometheus.NewDesc("tributary_collect_socket_reads_total", "System calls that brought datagrams, by socket.", socketLabels, nil)
	socketFiltered  = prometheus.NewDesc("tributary_collect_socket_filtered_total", "Datagrams of exporters that are not allowed, by socket.", socketLabels, nil)
	socketMalformed = prometheus.NewDesc("tributary_collect_socket_malformed_total", "Datagrams that could not be decoded in full, by socket.", socketLabels, nil)
	socketDecoded   = prometheus.NewDesc("tributary_collect_socket_decoded_total", "Datagrams that were decoded in full, by socket.", socketLabels, nil)
	socketTruncated = prometheus.NewDesc("tributary_collect_socket_truncated_total", "Datagrams that were cut short, by socket.", socketLabels, nil)
	socketDrops     = prometheus.NewDesc("tributary_collect_socket_kernel_drops_total", "Datagrams the kernel dropped because the receive buffer was full, by socket.", socketLabels, nil)
	socketQueue     = prometheus.NewDesc("tributary_collect_socket_queue_bytes", "Memory of the datagrams that wait in the socket.", socketLabels, nil)
	socketBuffer    = prometheus.NewDesc("tributary_collect_socket_buffer_bytes", "Bound of that memory.", socketLabels, nil)
)

func (c collectCollector) Describe(d chan<- *prometheus.Desc) {
	for _, m := range exporterMetrics {
		d <- m.desc
	}
	for _, m := range sampleMetrics {
		d <- m.desc
	}
	for _, m := range domainMetrics {
		d <- m.desc
	}
	for _, desc := range []*prometheus.Desc{
		collectMalformed, collectExporters, collectTemplates, collectState, collectHeldSets, collectHeldBytes, collectEvicted, socketDatagrams, socketReads,
		socketFiltered, socketMalformed, socketDecoded, collectHolds, socketTruncated, socketDrops, socketQueue, socketBuffer,
	} {
		d <- desc
	}
}

func (c collectCollector) Collect(m chan<- prometheus.Metric) {
	st, domains := c.decoder.Ledger()
	sockets := c.server.Stats()
	collectDomains(m, domains)
	var other collect.ExporterStats
	var more bool
	for i := range st.Exporters {
		if i >= exporterLabels {
			other.Add(st.Exporters[i])
			more = true
			continue
		}
		collectExporter(m, st.Exporters[i].Exporter.String(), &st.Exporters[i])
	}
	if more {
		collectExporter(m, "other", &other)
	}
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		m <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	counter := func(desc *prometheus.Desc, v uint64, labels ...string) {
		m <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(collectExporters, float64(len(st.Exporters)))
	gauge(collectTemplates, float64(st.Programs))
	gauge(collectState, float64(st.Octets))
	gauge(collectHeldSets, float64(st.Total.Held()))
	gauge(collectHeldBytes, float64(st.HeldOctets))
	counter(collectEvicted, st.Evicted)
	gauge(collectHolds, balancesHold(&st, domains, sockets))
	for i, s := range sockets {
		labels := []string{s.Listen.String(), strconv.Itoa(i)}
		counter(socketDatagrams, s.Datagrams, labels...)
		counter(socketReads, s.Reads, labels...)
		counter(socketFiltered, s.Filtered, labels...)
		counter(socketMalformed, s.Malformed, labels...)
		counter(socketDecoded, s.Decoded, labels...)
		counter(socketTruncated, s.Truncated, labels...)
		counter(socketDrops, s.Drops, labels...)
		gauge(socketQueue, float64(s.QueueBytes), labels...)
		gauge(socketBuffer, float64(s.ReceiveBuffer), labels...)
	}
}

func collectExporter(m chan<- prometheus.Metric, exporter string, s *collect.ExporterStats) {
	for _, e := range exporterMetrics {
		m <- prometheus.MustNewConstMetric(e.desc, prometheus.CounterValue, float64(e.value(s)), exporter)
	}
	for _, r := range collect.Reasons() {
		m <- prometheus.MustNewConstMetric(collectMalformed, prometheus.CounterValue, float64(s.Malformed[r]), exporter, r.String())
	}
}
