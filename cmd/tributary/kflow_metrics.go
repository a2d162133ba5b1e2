package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-net/tributary/collect"
)

// kflowCollector has the collector's metrics under the names that KFlow gives
// them.
type kflowCollector struct {
	server  *collect.Server
	decoder *collect.Decoder
}

var (
	kflowDrops     = prometheus.NewDesc("server_packet_drops_total", "Datagrams the kernel dropped because a receive buffer was full.", nil, nil)
	kflowQueue     = prometheus.NewDesc("server_receive_queue", "Memory of the datagrams that wait in the sockets, in bytes.", nil, nil)
	kflowPackets   = prometheus.NewDesc("decoder_ipfix_packets_total", "Datagrams received, of any protocol.", nil, nil)
	kflowFlows     = prometheus.NewDesc("decoder_ipfix_flows_total", "Flow records decoded, of any protocol.", nil, nil)
	kflowTemplates = prometheus.NewDesc("decoder_ipfix_templates", "Templates known.", nil, nil)
	kflowErrors    = prometheus.NewDesc("decoder_ipfix_errors_total", "Datagrams or sets that could not be decoded, by KFlow's word for why.", []string{"error"}, nil)

	kflowDescs = []*prometheus.Desc{kflowDrops, kflowQueue, kflowPackets, kflowFlows, kflowTemplates, kflowErrors}
)

// kflowReasons are KFlow's words for what is wrong with a datagram.
var kflowReasons = map[collect.Reason]string{
	collect.ReasonUnknown:   "invalid protocol version",
	collect.ReasonTruncated: "malformed packet",
	collect.ReasonMalformed: "malformed packet",
	collect.ReasonDecoder:   "malformed packet",
	collect.ReasonTemplate:  "invalid template id",
}

// kflowMissing is KFlow's word for a set without a template.
const kflowMissing = "unknown template id"

func (c kflowCollector) Describe(d chan<- *prometheus.Desc) {
	for _, desc := range kflowDescs {
		d <- desc
	}
}

func (c kflowCollector) Collect(m chan<- prometheus.Metric) {
	var drops, queue float64
	for _, s := range c.server.Stats() {
		drops += float64(s.Drops)
		queue += float64(s.QueueBytes)
	}
	st := c.decoder.Stats()
	errors := map[string]float64{kflowMissing: float64(st.Total.MissingTemplates)}
	for _, r := range collect.Reasons() {
		errors[kflowReasons[r]] += float64(st.Total.Malformed[r])
	}
	add := func(desc *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		m <- prometheus.MustNewConstMetric(desc, t, v, labels...)
	}
	add(kflowDrops, prometheus.CounterValue, drops)
	add(kflowQueue, prometheus.GaugeValue, queue)
	add(kflowPackets, prometheus.CounterValue, float64(st.Total.Datagrams))
	add(kflowFlows, prometheus.CounterValue, float64(st.Total.Records))
	add(kflowTemplates, prometheus.GaugeValue, float64(st.Programs))
	for word, n := range errors {
		add(kflowErrors, prometheus.CounterValue, n, word)
	}
}
