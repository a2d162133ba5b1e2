package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

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
	bounds        collect.DecoderConfig
	elements      elementOptions
	counters      counterOptions
	state         stateOptions
	sink          sinkOptions
	ledger        time.Duration // between rows of the ledger; 0: none are written
	kflow         *kflowSite    // in whose place it runs; nil: none
}

func defaultCollectOptions(to ...string) *collectOptions {
	def := collect.DefaultConfig()
	return &collectOptions{
		listen:        def.Listen,
		receiveBuffer: def.ReceiveBuffer,
		bounds:        collect.DefaultDecoderConfig(),
		counters:      defaultCounterOptions(),
		state:         defaultStateOptions(),
		sink:          defaultSinkOptions(to...),
		ledger:        time.Minute,
	}
}

func (o *collectOptions) register(fs *pflag.FlagSet, prefix string) {
	listVar(fs, &o.listen, prefix+"listen", "[udp://]host:port", checkListen, "receive NetFlow, IPFIX and sFlow here, any of them on every address; repeatable")
	listVar(fs, &o.allow, prefix+"allow", "network", checkNetwork, "take datagrams of exporters in this network only; repeatable")
	intVar(fs, &o.workers, prefix+"workers", 0, 256, "sockets for each address, each with a worker; 0 is one for each CPU, up to 8")
	sizeVar(fs, &o.receiveBuffer, prefix+"receive-buffer", 64<<10, 1<<30, "kernel's buffer for each socket")
	intVar(fs, &o.bounds.MaxExporters, prefix+"max-exporters", 1, 10_000_000, "exporters remembered; the longest silent give way")
	intVar(fs, &o.bounds.MaxTemplates, prefix+"max-templates", 1, 65280, "templates remembered for each observation domain")
	sizeVar(fs, &o.bounds.MaxExporterOctets, prefix+"exporter-state-bytes", 64<<10, maxInt64, "memory for the templates and names of one exporter; beyond it templates give way and names are not learnt")
	sizeVar(fs, &o.bounds.HoldOctets, prefix+"hold", 0, maxInt64, "memory for data that wait for their template; the oldest give way; 0 holds none")
	sizeVar(fs, &o.bounds.HoldExporterOctets, prefix+"hold-exporter", 64<<10, maxInt64, "how much of it one exporter may take")
	durationVar(fs, &o.bounds.HoldTime, prefix+"hold-time", time.Second, maxDuration, "how long data wait for their template")
	sizeVar(fs, &o.bounds.MaxOctets, prefix+"state-bytes", 1<<20, maxInt64, "memory for the templates and names of all exporters; beyond it the longest silent exporters give way")
	o.elements.register(fs, prefix)
	o.counters.register(fs, prefix)
	o.state.register(fs, prefix)
	o.sink.register(fs, prefix)
	durationVar(fs, &o.ledger, prefix+"ledger-interval", 0, 24*time.Hour, "how often the loss ledger is written to the topic ledger of each Kafka; 0 is never")
}

func (o *collectOptions) check() error {
	if len(o.listen) == 0 {
		return bad("listen", "", "allowed is at least one host:port")
	}
	if err := o.elements.check(); err != nil {
		return err
	}
	o.bounds.Elements = o.elements.elements
	o.sink.extras = append(collect.ExtraNames(), o.elements.names...)
	if err := o.state.check(); err != nil {
		return err
	}
	if err := o.sink.check(); err != nil {
		return err
	}
	return o.checkTwice()
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
	o := &kflowOptions{collectOptions: defaultCollectOptions("kafka://127.0.0.1:9092/" + flowsTopic)}
	run := newServiceOptions("127.0.0.1:8081")
	c := configured(&cobra.Command{
		Use:   "collect",
		Short: "Collect NetFlow, IPFIX and sFlow into Kafka",
		Long: `Receive NetFlow v1, v5, v7 and v9, IPFIX and sFlow v5, and send what they say to
Kafka or elsewhere as flow records. Every address takes every protocol.

Told to stop, it takes in what waits in its sockets, waits until all of it has
been delivered, and ends.`,
		Example: `  tributary collect --to kafka://k1:9092,k2:9092/flows
  tributary collect --listen :2055 --to 'kafka://k1:9092/flows?compression.type=lz4&key=src_addr,dst_addr'
  tributary collect --to stdout:
  tributary collect --to kafka-ssl://k1:9093 --kafka-config client.properties --to 'file:flows.jsonl'
  tributary collect --kflow kflow.properties -Dapp.kafka.topic=flows`,
		Args: cobra.NoArgs,
	}, serviceCommand{o, &run}, func(c *cobra.Command, _ []string) error {
		return runService(c, &run, func(_ context.Context, s *service) error {
			_, err := o.addTo(s, c, nil)
			return err
		})
	})
	c.AddCommand(newCollectLedger())
	return c
}

// withHold returns bounds with so many octets for data that wait for their
// template, 0 for none.
func withHold(bounds collect.DecoderConfig, octets int64) collect.DecoderConfig {
	if bounds.HoldOctets = octets; octets == 0 {
		bounds.HoldOctets = -1
	}
	return bounds
}

// addTo adds the collector and its sinks to a service. What it returns is nil
// until the collector has started.
func (o *collectOptions) addTo(s *service, c *cobra.Command, dial kafka.DialFunc) (**collect.Server, error) {
	cfg := collect.Config{Listen: o.listen, Workers: o.workers, ReceiveBuffer: o.receiveBuffer, Logger: s.log}
	for _, a := range o.allow {
		p, err := parseNetwork(a)
		if err != nil {
			return nil, bad("allow", a, err.Error())
		}
		cfg.Allow = append(cfg.Allow, p)
	}
	if o.kflow != nil {
		o.kflow.announce(s)
	}
	accounts := newLedger()
	if err := accounts.addTo(s, &o.sink, o.ledger, dial); err != nil {
		return nil, err
	}
	// Counters come before the sinks, so that flows need not wait for them at the
	// end.
	counters, err := o.counters.addTo(s, &o.sink, c.OutOrStdout(), dial)
	if err != nil {
		return nil, err
	}
	var sinks sink.Fanout
	var kept []*collect.Kept
	o.sink.notes = func() sink.Notes {
		kept = append(kept, collect.NewKept())
		return kept[len(kept)-1]
	}
	s.group.Add(daemon.Part{
		Name: "sinks",
		Start: func(context.Context) (err error) {
			sinks, err = o.sink.openSinks(s, flowsTopic, c.OutOrStdout(), dial)
			return err
		},
		Stop: func(ctx context.Context) error { return o.sink.closeSinks(ctx, sinks) },
	})
	endpoint, err := o.sink.firstKafka()
	if err != nil {
		return nil, err
	}
	bounds := withHold(o.bounds, o.bounds.HoldOctets)
	bounds.Counters = counters
	decoder := collect.NewDecoder(bounds)
	state := o.state.addTo(s, decoder, endpoint, dial, o.sink.spool)
	server := new(*collect.Server)
	s.group.Add(daemon.Part{
		Name: "collector",
		Start: func(context.Context) (err error) {
			if *server, err = collect.New(cfg, decoder, sinks); err != nil {
				return daemon.ListenError(err)
			}
			if n := decoder.Resume(kept...); n > 0 {
				s.log.Info("sequence numbers go on from what was spooled before", "domains", n)
			}
			// Accounts go on alike even if the decoder had no room for any of it.
			if err := sinks.Renote(); err != nil {
				return fmt.Errorf("--spool: %w", err)
			}
			accounts.begin(*server, decoder, sinks)
			s.registry.MustRegister(collectCollector{*server, decoder})
			if o.kflow != nil {
				s.registry.MustRegister(kflowCollector{*server, decoder})
			}
			for _, a := range (*server).Addrs() {
				s.log.Info("collecting", "listen", a.String(), "to", strings.Join(sinks.Names(), " "))
			}
			return nil
		},
		Run: func(ctx context.Context) error {
			if state != nil {
				state.wait(ctx)
			}
			return (*server).Run(ctx)
		},
	})
	return server, nil
}
