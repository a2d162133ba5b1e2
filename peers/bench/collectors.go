package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-net/tributary/internal/traffic"
)

// output is what a collector makes of flows.
type output string

const (
	toProtobuf output = "protobuf"
	toJSON     output = "JSON"
	toKafka    output = "Kafka"
	toKFlow    output = "KFlow's JSON to Kafka"
)

// kafka reports whether flows go to Kafka.
func (o output) kafka() bool { return o == toKafka || o == toKFlow }

// turn is one measurement of one collector: where it listens, what it receives
// and what it makes of it.
type turn struct {
	protocol traffic.Protocol
	output   output
	port     int // UDP
	http     int // TCP, for those that serve metrics
	broker   string
	topic    string
	spool    string // folder, for who has one
}

// collector is a peer in the comparison.
type collector struct {
	name string
	// start starts it. It is ready once its port is bound and, if it has that, its
	// own word for it holds.
	start func(b *bench, t *turn) (*process, error)
	// decoded reads how many flows it says it has decoded; nil: it does not say.
	decoded func(t *turn) (uint64, error)
	// rival is one that ours is held against.
	rival bool
	// idle is how long it has to do next to nothing before it is believed to be
	// done, noise which share of a CPU that is.
	idle  time.Duration
	noise float64
	// warm is how long it works before what it does counts; 0: a second at most.
	warm time.Duration
	// packed is one that puts several flows into a Kafka record.
	packed bool
	// spools is one that has a spool.
	spools bool
	// most is how many CPU seconds it may take for a million flows, more how many beyond
	// those of the first on its path; 0: no bar.
	most, more float64
}

// ours writes nowhere: records are encoded and thrown away.
var ours = collector{
	name:    "tributary",
	start:   startTributary("discard:"),
	decoded: metric("tributary_collect_records_total"),
	idle:    200 * time.Millisecond,
	noise:   0.05,
}

// oursFile hands the records to the kernel as goflow2 does when it writes to
// /dev/null.
var oursFile = collector{
	name:    "tributary, /dev/null",
	start:   startTributary("file:/dev/null"),
	decoded: metric("tributary_collect_records_total"),
	idle:    200 * time.Millisecond,
	noise:   0.05,
}

// Ours with what may be set for Kafka.
var (
	oursLZ4    = oursOnKafka(collector{most: 0.65}, "?compression.type=lz4")
	oursPacked = oursOnKafka(collector{most: 0.35, packed: true}, "?format=packed")
	oursSpool  = oursOnKafka(collector{more: 0.25, spools: true}, "")
)

func oursOnKafka(c collector, query string) collector {
	c.name, c.decoded, c.idle, c.noise = ours.name, ours.decoded, ours.idle, ours.noise
	c.start = func(b *bench, t *turn) (*process, error) {
		return b.startTributary(t, "kafka://"+t.broker+"/"+t.topic+query)
	}
	return c
}

func startTributary(to string) func(b *bench, t *turn) (*process, error) {
	return func(b *bench, t *turn) (*process, error) {
		switch t.output {
		case toProtobuf:
			to := to + "?format=protobuf"
			return b.startTributary(t, to)
		case toJSON:
			return b.startTributary(t, to+"?format=json")
		case toKFlow:
			return b.startTributary(t, "kafka://"+t.broker+"/"+t.topic+"?format=kflow")
		default:
			return b.startTributary(t, "kafka://"+t.broker+"/"+t.topic)
		}
	}
}

func (b *bench) startTributary(t *turn, to string) (*process, error) {
	args := []string{"collect", "--listen", address(t.port), "--http", address(t.http), "--to", to, "--log-level", "warn"}
	if t.spool != "" {
		args = append(args, "--spool", t.spool, "--spool-bytes", "2GB")
	}
	return b.start("tributary", nil, b.tributary, args...)
}

// goflow2 is given what serves it: as many sockets as there are CPUs is its own
// advice, and binary records without a separator cost it one system call each
// instead of two.
var goflow2 = collector{
	name: "goflow2",
	start: func(b *bench, t *turn) (*process, error) {
		scheme := "netflow"
		if t.protocol == traffic.SFlow {
			scheme = "sflow"
		}
		args := []string{"-listen", scheme + "://" + address(t.port) + "?count=2", "-addr", address(t.http), "-loglevel", "warn"}
		switch t.output {
		case toProtobuf:
			args = append(args, "-format", "bin", "-transport.file", os.DevNull, "-transport.file.sep=")
		case toJSON:
			args = append(args, "-format", "json", "-transport.file", os.DevNull)
		case toKafka:
			args = append(args, "-format", "bin", "-transport", "kafka", "-transport.kafka.brokers", t.broker, "-transport.kafka.topic", t.topic)
		}
		return b.start("goflow2", nil, b.goflow2, args...)
	},
	decoded: func(t *turn) (uint64, error) {
		switch t.protocol {
		case traffic.SFlow:
			return metric("goflow2_flow_process_sf_samples_total")(t)
		case traffic.NetFlow5:
			return metric("goflow2_flow_process_nf_flowset_total", `type="DataFlowSet"`)(t)
		default:
			return metric("goflow2_flow_process_nf_flowset_records_total", `type="DataFlowSet"`)(t)
		}
	},
	rival: true,
	idle:  400 * time.Millisecond,
	noise: 0.05,
}

// nfacctd knows neither protobuf nor single records: it counts flows that agree
// in twelve fields. Numbered flows never agree, so every one comes out. Some
// thousand of the last always wait in the buffer between its processes for more.
var nfacctd = collector{
	name: "nfacctd",
	start: func(b *bench, t *turn) (*process, error) {
		config := `daemonize: false
nfacctd_ip: 127.0.0.1
nfacctd_port: ` + strconv.Itoa(t.port) + `
nfacctd_pipe_size: 16777216
nfacctd_as: netflow
nfacctd_net: netflow
plugin_pipe_size: 67108864
plugin_buffer_size: 262144
aggregate: src_host,dst_host,src_port,dst_port,proto,tos,tcpflags,in_iface,out_iface,src_as,dst_as,src_mask
`
		switch t.output {
		case toKafka:
			host, port, _ := strings.Cut(t.broker, ":")
			config += `plugins: kafka
kafka_output: json
kafka_broker_host: ` + host + `
kafka_broker_port: ` + port + `
kafka_topic: ` + t.topic + `
kafka_refresh_time: 2
kafka_cache_entries: 65537
`
		default:
			config += `plugins: print
print_output: json
print_output_file: /dev/null
print_refresh_time: 2
print_cache_entries: 65537
`
		}
		file := filepath.Join(b.dir, "nfacctd.conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, err
		}
		return b.start("nfacctd", nil, b.nfacctd, "-f", file)
	},
	// It writes every two seconds, and looks through all of its cache for that.
	idle:  2500 * time.Millisecond,
	noise: 0.5,
}

// floor receives and does nothing else.
var floor = collector{
	name: "receive only",
	start: func(b *bench, t *turn) (*process, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return b.start("receive-only", nil, self, floorCommand, address(t.port))
	},
	idle:  200 * time.Millisecond,
	noise: 0.05,
}

// available reports whether a peer can be run on this machine.
func (b *bench) available(c *collector) bool {
	switch c {
	case &nfacctd:
		_, err := exec.LookPath(b.nfacctd)
		return err == nil
	case &kflow:
		_, err := exec.LookPath("java")
		return err == nil && b.kflow != ""
	}
	return true
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// metric sums those series of a metric in Prometheus's text format whose labels
// hold all that is given.
func metric(name string, labels ...string) func(t *turn) (uint64, error) {
	return page("/metrics", name, labels...)
}

// page is metric for one whose metrics are on another page.
func page(path, name string, labels ...string) func(t *turn) (uint64, error) {
	return func(t *turn) (uint64, error) {
		resp, err := http.Get("http://" + address(t.http) + path)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err
		}
		var sum float64
		for line := range strings.Lines(string(text)) {
			rest, ok := strings.CutPrefix(line, name)
			if !ok || rest[0] != '{' && rest[0] != ' ' || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
				continue
			}
			f := strings.Fields(rest)
			v, err := strconv.ParseFloat(f[len(f)-1], 64)
			if err != nil {
				return 0, fmt.Errorf("metric %s: %w", name, err)
			}
			sum += v
		}
		return uint64(sum), nil
	}
}

// ready waits until a collector has bound its port and answers.
func (c *collector) ready(ctx context.Context, p *process, t *turn) error {
	if err := await(ctx, p, 20*time.Second, "bind its port", func() bool { return readUDP(t.port).count > 0 }); err != nil {
		return err
	}
	if c.decoded == nil {
		return nil
	}
	return await(ctx, p, 20*time.Second, "serve metrics", func() bool {
		_, err := c.decoded(t)
		return err == nil
	})
}
