package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/traffic"
)

// upOptions are the options of up: each part's behind the part's name.
type upOptions struct {
	data    string
	demo    bool
	broker  *brokerOptions
	collect *collectOptions

	fs *pflag.FlagSet
}

// demoRetention is how much a demonstration keeps.
const demoRetention = 1e9

func defaultUpOptions() *upOptions {
	o := &upOptions{
		data:    "tributary-data",
		broker:  defaultBrokerOptions(),
		collect: defaultCollectOptions("embedded:/" + flowsTopic),
	}
	o.broker.cfg.DataDir = ""
	o.collect.sink.embedded = true
	return o
}

func (o *upOptions) register(fs *pflag.FlagSet, prefix string) {
	o.fs = fs
	stringVar(fs, &o.data, prefix+"data", "keep everything in this `directory`")
	boolVar(fs, &o.demo, prefix+"demo", "send made-up exports of all protocols to the collector, and keep no more than 1 GB of them")
	o.broker.register(fs, prefix+"broker-")
	o.collect.register(fs, prefix+"collect-")
	fs.Lookup(prefix + "broker-data").Usage = "keep the broker's data in this `directory`; without it, in broker below --data"
}

func (o *upOptions) check() error {
	if o.broker.cfg.DataDir == "" {
		o.broker.cfg.DataDir = filepath.Join(o.data, "broker")
	}
	if err := o.broker.check(); err != nil {
		return prefixed("broker-", err)
	}
	if spool := o.collect.sink.spool; spool != "" && within(spool, o.broker.cfg.DataDir) {
		return bad("collect-spool", spool, "allowed is a folder that is not in the broker's")
	}
	return prefixed("collect-", o.collect.check())
}

// prefixed puts a part's name before the option that an error is about.
func prefixed(prefix string, err error) error {
	var o *optionError
	if errors.As(err, &o) {
		return &optionError{name: prefix + o.name, value: o.value, err: o.err}
	}
	return err
}

func newUp() *cobra.Command {
	o := defaultUpOptions()
	run := newServiceOptions("127.0.0.1:8080")
	return configured(&cobra.Command{
		Use:   "up",
		Short: "Run everything on this machine: broker and collector",
		Long: `Run an embedded Kafka broker and a collector in one process, with their data in
one directory. Point routers at this machine, and Kafka clients at its broker.`,
		Example: `  tributary up
  tributary up --demo
  tributary up --data /var/lib/tributary --broker-listen [::]:9092 --collect-listen :2055
  tributary up --collect-to embedded: --collect-to kafka://k1:9092/flows`,
		Args: cobra.NoArgs,
	}, serviceCommand{o, &run}, func(c *cobra.Command, _ []string) error {
		return runService(c, &run, func(_ context.Context, s *service) error {
			return o.build(s, c)
		})
	})
}

func (o *upOptions) build(s *service, c *cobra.Command) error {
	if o.demo && !o.fs.Changed("collect-retention-bytes") {
		o.collect.sink.retentionBytes = demoRetention
	}
	b := &embeddedBroker{}
	if err := o.broker.addTo(s, b); err != nil {
		return prefixed("broker-", err)
	}
	server, err := o.collect.addTo(s, c, b.Dial)
	if err != nil {
		return err
	}
	if o.demo {
		s.group.Add(daemon.Part{
			Name: "demo",
			Run: func(ctx context.Context) error {
				to := loopback((*server).Addrs()[0])
				o.greet(c, b.Addr())
				if err := traffic.Demo(ctx, traffic.DemoConfig{NetFlow: to, Seed: 1}); err != nil {
					return fmt.Errorf("demo traffic: %w", err)
				}
				return nil
			},
		})
	}
	return nil
}

// loopback turns the address of a socket that listens everywhere into one that
// can be sent to.
func loopback(a netip.AddrPort) netip.AddrPort {
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return a
}

// greet tells a newcomer what to do next.
func (o *upOptions) greet(c *cobra.Command, broker net.Addr) {
	if broker == nil {
		return // nobody can look
	}
	kafka := ""
	if a := broker.String(); a != "127.0.0.1:9092" {
		kafka = " --kafka kafka://" + a
	}
	fmt.Fprintf(c.ErrOrStderr(), `
Made-up routers, switches and firewalls are exporting to the collector now.
In another terminal, see their flows arrive:

    %[1]s consume flows --decode%[2]s
    %[1]s topics list%[2]s

Any Kafka client can read topic flows at %[3]s.
Your own exporters can send NetFlow, IPFIX and sFlow to UDP ports %[4]s.

`, os.Args[0], kafka, broker, ports(o.collect.listen))
}

// ports lists the ports of addresses to listen on.
func ports(listen []string) string {
	s := ""
	for _, l := range listen {
		_, port, _ := net.SplitHostPort(l)
		if s != "" {
			s += ", "
		}
		s += port
	}
	return s
}
