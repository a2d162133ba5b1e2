package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/kafka"
	"github.com/tributary-net/tributary/internal/sink"
)

// flowsTopic is where flow records go when a Kafka endpoint names no topic.
const flowsTopic = "flows"

// collectOptions are the options of the collector, alone or as a part of up.
type collectOptions struct {
	listen        []string
	allow         []string
	workers       int
	receiveBuffer int
	maxExporters  int
	maxTemplates  int
	sink          sinkOptions
}

func defaultCollectOptions(to ...string) *collectOptions {
	def, bounds := collect.DefaultConfig(), collect.DefaultDecoderConfig()
	return &collectOptions{
		listen:        def.Listen,
		receiveBuffer: def.ReceiveBuffer,
		maxExporters:  bounds.MaxExporters,
		maxTemplates:  bounds.MaxTemplates,
		sink:          defaultSinkOptions(to...),
	}
}

func (o *collectOptions) register(fs *pflag.FlagSet, prefix string) {
	listVar(fs, &o.listen, prefix+"listen", "[udp://]host:port", checkListen, "receive NetFlow, IPFIX and sFlow here, any of them on every address; repeatable")
	listVar(fs, &o.allow, prefix+"allow", "network", checkNetwork, "take datagrams of exporters in this network only; repeatable")
	intVar(fs, &o.workers, prefix+"workers", 0, 256, "sockets for each address, each with a worker; 0 is one for each CPU, up to 8")
	sizeVar(fs, &o.receiveBuffer, prefix+"receive-buffer", 64<<10, 1<<30, "kernel's buffer for each socket")
	intVar(fs, &o.maxExporters, prefix+"max-exporters", 1, 10_000_000, "exporters remembered; the longest silent give way")
	intVar(fs, &o.maxTemplates, prefix+"max-templates", 1, 65280, "templates remembered for each observation domain")
	o.sink.register(fs, prefix)
}

func (o *collectOptions) check() error {
	if len(o.listen) == 0 {
		return bad("listen", "", "allowed is at least one host:port")
	}
	return o.sink.check()
}

func checkListen(s string) error {
	if err := checkAddress(strings.TrimPrefix(s, "udp://")); err != nil {
		return errors.New("allowed is [udp://]host:port, such as :2055 or udp://192.0.2.1:4739")
	}
	return nil
}

func checkNetwork(s string) error {
	_, err := parseNetwork(s)
	return err
}

// parseNetwork reads a network, or one address.
func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, errors.New("allowed is a network or an address, such as 192.0.2.0/24 or 2001:db8::1")
	}
	return a.Prefix(a.BitLen())
}

func newCollect() *cobra.Command {
	o := defaultCollectOptions("kafka://127.0.0.1:9092/" + flowsTopic)
	run := newServiceOptions("127.0.0.1:8081")
	return configured(&cobra.Command{
		Use:   "collect",
		Short: "Collect NetFlow, IPFIX and sFlow into Kafka",
		Long: `Receive NetFlow v1, v5, v7 and v9, IPFIX and sFlow v5, and send what they say to
Kafka or elsewhere as flow records. Every address takes every protocol.

Told to stop, it takes in what waits in its sockets, waits until all of it has
been delivered, and ends.`,
		Example: `  tributary collect --to kafka://k1:9092,k2:9092/flows
  tributary collect --listen :2055 --to 'kafka://k1:9092/flows?compression.type=lz4&key=src_addr,dst_addr'
  tributary collect --to stdout:
  tributary collect --to kafka-ssl://k1:9093 --kafka-config client.properties --to 'file:flows.jsonl'`,
		Args: cobra.NoArgs,
	}, serviceCommand{o, &run}, func(c *cobra.Command, _ []string) error {
		return runService(c, &run, func(_ context.Context, s *service) error {
			_, err := o.addTo(s, c, nil)
			return err
		})
	})
}

// addTo adds the collector and its sinks to a service. What it returns is nil
// until the collector has started.
func (o *collectOptions) addTo(s *service, c *cobra.Command, dial kafka.DialFunc) (**collect.Server, error) {
	bounds := collect.DefaultDecoderConfig()
	bounds.MaxExporters, bounds.MaxTemplates = o.maxExporters, o.maxTemplates
	cfg := collect.Config{Listen: o.listen, Workers: o.workers, ReceiveBuffer: o.receiveBuffer, Logger: s.log}
	for _, a := range o.allow {
		p, err := parseNetwork(a)
		if err != nil {
			return nil, bad("allow", a, err.Error())
		}
		cfg.Allow = append(cfg.Allow, p)
	}
	var sinks sink.Fanout
	s.group.Add(daemon.Part{
		Name: "sinks",
		Start: func(context.Context) (err error) {
			sinks, err = o.sink.openSinks(s, flowsTopic, c.OutOrStdout(), dial)
			return err
		},
		Stop: func(ctx context.Context) error { return closeSinks(ctx, sinks) },
	})
	server := new(*collect.Server)
	s.group.Add(daemon.Part{
		Name: "collector",
		Start: func(context.Context) (err error) {
			decoder := collect.NewDecoder(bounds)
			if *server, err = collect.New(cfg, decoder, sinks); err != nil {
				return daemon.ListenError(err)
			}
			s.registry.MustRegister(collectCollector{*server, decoder})
			for _, a := range (*server).Addrs() {
				s.log.Info("collecting", "listen", a.String(), "to", strings.Join(sinks.Names(), " "))
			}
			return nil
		},
		Run: func(ctx context.Context) error { return (*server).Run(ctx) },
	})
	return server, nil
}

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
	exporterCounter("missing_templates", "Data sets that no template described, by exporter.", func(s *collect.ExporterStats) uint64 { return s.MissingTemplates }),
	exporterCounter("sequence_gaps", "Times that sequence numbers were skipped, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Gaps }),
	exporterCounter("sequence_missing", "What is missing by sequence numbers, in the protocol's unit, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Missing }),
	exporterCounter("sequence_repeated", "Datagrams that came late or again, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Repeated }),
	exporterCounter("sequence_restarts", "Times that sequence numbers began anew, by exporter.", func(s *collect.ExporterStats) uint64 { return s.Restarts }),
	exporterCounter("evicted_templates", "Templates that gave way to others, by exporter.", func(s *collect.ExporterStats) uint64 { return s.TemplatesEvicted }),
	exporterCounter("evicted_domains", "Observation domains that gave way to others, by exporter.", func(s *collect.ExporterStats) uint64 { return s.DomainsEvicted }),
	exporterCounter("evicted_options", "Samplers and names that found no room, by exporter.", func(s *collect.ExporterStats) uint64 { return s.OptionsEvicted }),
}

var (
	collectMalformed = prometheus.NewDesc("tributary_collect_malformed_total", "Datagrams with something that could not be decoded, by exporter and reason.", []string{"exporter", "reason"}, nil)
	collectExporters = prometheus.NewDesc("tributary_collect_exporters", "Exporters known.", nil, nil)
	collectTemplates = prometheus.NewDesc("tributary_collect_known_templates", "Templates known.", nil, nil)
	collectEvicted   = prometheus.NewDesc("tributary_collect_evicted_exporters_total", "Exporters that gave way to others.", nil, nil)

	socketLabels    = []string{"listen", "socket"}
	socketDatagrams = prometheus.NewDesc("tributary_collect_socket_datagrams_total", "Datagrams received, by socket.", socketLabels, nil)
	socketReads     = prometheus.NewDesc("tributary_collect_socket_reads_total", "System calls that brought datagrams, by socket.", socketLabels, nil)
	socketFiltered  = prometheus.NewDesc("tributary_collect_socket_filtered_total", "Datagrams of exporters that are not allowed, by socket.", socketLabels, nil)
	socketMalformed = prometheus.NewDesc("tributary_collect_socket_malformed_total", "Datagrams that could not be decoded in full, by socket.", socketLabels, nil)
	socketTruncated = prometheus.NewDesc("tributary_collect_socket_truncated_total", "Datagrams that were cut short, by socket.", socketLabels, nil)
	socketDrops     = prometheus.NewDesc("tributary_collect_socket_kernel_drops_total", "Datagrams the kernel dropped because the receive buffer was full, by socket.", socketLabels, nil)
	socketQueue     = prometheus.NewDesc("tributary_collect_socket_queue_bytes", "Memory of the datagrams that wait in the socket.", socketLabels, nil)
	socketBuffer    = prometheus.NewDesc("tributary_collect_socket_buffer_bytes", "Bound of that memory.", socketLabels, nil)
)

func (c collectCollector) Describe(d chan<- *prometheus.Desc) {
	for _, m := range exporterMetrics {
		d <- m.desc
	}
	for _, desc := range []*prometheus.Desc{
		collectMalformed, collectExporters, collectTemplates, collectEvicted, socketDatagrams, socketReads,
		socketFiltered, socketMalformed, socketTruncated, socketDrops, socketQueue, socketBuffer,
	} {
		d <- desc
	}
}

func (c collectCollector) Collect(m chan<- prometheus.Metric) {
	st := c.decoder.Stats()
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
	counter(collectEvicted, st.Evicted)
	for i, s := range c.server.Stats() {
		labels := []string{s.Listen.String(), fmt.Sprint(i)}
		counter(socketDatagrams, s.Datagrams, labels...)
		counter(socketReads, s.Reads, labels...)
		counter(socketFiltered, s.Filtered, labels...)
		counter(socketMalformed, s.Malformed, labels...)
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
