package main

import (
	"context"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/hold"
	"github.com/tributary-net/tributary/internal/traffic"
)

// spoolLedger is a collector with a spool, and what is sent to it.
type spoolLedger struct {
	name     string
	protocol traffic.Protocol
	workers  string
	to       []string // properties of each destination
}

// TestWireSpoolLedger: a collector with a spool is killed at any moment, again and again,
// while exporters go on sending. What they sent is in Kafka or missing by the ledger of
// the last collector, to the flow; with several destinations, it is in all of them or
// missing.
func TestWireSpoolLedger(t *testing.T) {
	cases := []spoolLedger{
		{"NetFlow v5", traffic.NetFlow5, "1", []string{"linger.ms=20"}},
		{"NetFlow v5 with keys", traffic.NetFlow5, "2", []string{"linger.ms=20&compression.type=lz4&key=dst_port"}},
		{"NetFlow v5 packed", traffic.NetFlow5, "2", []string{"format=packed"}},
		{"NetFlow v5 with producers", traffic.NetFlow5, "2", []string{"batch.size=20000&producers=2"}},
		{"NetFlow v5 twice", traffic.NetFlow5, "1", []string{"linger.ms=20", "format=packed&compression.type=lz4&linger.ms=100"}},
		{"NetFlow v9", traffic.NetFlow9, "1", []string{"linger.ms=20"}},
		{"IPFIX", traffic.IPFIX, "2", []string{"batch.size=50000"}},
		{"sFlow twice", traffic.SFlow, "1", []string{"linger.ms=20&key=dst_port", "batch.size=20000"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, soakFor(t)/time.Duration(len(cases)))
		})
	}
}

// topic is that of a destination.
func (c *spoolLedger) topic(i int) string { return "flows-" + strconv.Itoa(i) }

// announced is what sequence numbers say when so much has been sent.
func (c *spoolLedger) announced(s traffic.LoadStats) uint64 {
	if c.protocol == traffic.NetFlow9 || c.protocol == traffic.SFlow {
		return s.Datagrams
	}
	return s.Flows
}

// run goes on for so long at least.
func (c *spoolLedger) run(t *testing.T, length time.Duration) {
	t.Helper()
	rng := seeded(t)
	dir, spool := t.TempDir(), filepath.Join(t.TempDir(), "spool")
	broker, address := startBroker(t, dir, hold.Address(t))
	kafka := true
	// The port stays the same: nobody else has this address.
	listen := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(1 + rng.IntN(250)), byte(rng.IntN(250)), byte(1 + rng.IntN(250))}), 0).String()
	open := func() *process {
		args := []string{"--listen", listen, "--spool", spool, "--workers", c.workers}
		for i, properties := range c.to {
			args = append(args, "--to", "kafka://"+address+"/"+c.topic(i)+"?"+properties)
		}
		p := startService(t, "collect", args...)
		listen = p.logged(t, "collecting", "listen")
		return p
	}
	collector := open()
	// What each run sends, so that every exporter has one turn at least.
	const exporters, batch = 3, 4
	records := uint64(25)
	if c.protocol == traffic.SFlow {
		records = 7
	}
	load, err := traffic.NewLoad(traffic.LoadConfig{
		Protocol: c.protocol, To: netip.MustParseAddrPort(listen), Rate: 40_000, Flows: exporters * batch * records, Exporters: exporters, Batch: batch, Seed: rng.Uint64(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer load.Close()
	// Where the numbers begin has to be known, and the template.
	if err := load.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first flows are delivered", func() bool {
		return account(t, collector).sink("delivered") == load.Stats().Flows*uint64(len(c.to))
	})
	if c.protocol == traffic.IPFIX || c.protocol == traffic.NetFlow9 {
		eventually(t, "the template is stored", func() bool {
			st, err := os.Stat(filepath.Join(spool, exportersFile))
			return err == nil && st.Size() > 0
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := load.Run(ctx); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	lives := 6
	begin := time.Now()
	for life := 0; life < lives || time.Since(begin) < length; life++ {
		if rng.IntN(3) == 0 {
			if kafka {
				broker.kill()
			} else {
				broker, _ = startBroker(t, dir, address)
			}
			kafka = !kafka
		}
		some := uint64(1 + rng.IntN(12_000))
		eventually(t, "flows arrive", func() bool {
			return account(t, collector).sum("tributary_collect_records_total") >= some
		})
		if rng.IntN(4) == 0 {
			collector.stop(t)
		} else {
			collector.kill()
		}
		collector = open()
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !kafka {
		broker, _ = startBroker(t, dir, address)
	}
	// What comes last has to arrive: that it was sent, nothing else tells.
	var rows *ledgerSnapshot
	eventually(t, "the last datagrams arrive", func() bool {
		if err := load.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows = ledgerRows(t, tributary(t, "collect", "ledger", "--url", "http://"+collector.logged(t, "http listens", "addr"), "--output", "json"))
		return rows.total.Announced+rows.total.EarlierAnnounced == c.announced(load.Stats())
	})
	eventually(t, "all is delivered", func() bool {
		m := account(t, collector)
		return m.sink("delivered") == m.sink("written")
	})
	collector.stop(t)
	rows = ledgerRows(t, tributary(t, "collect", "ledger", "--kafka", "kafka://"+address, "--output", "json"))
	sent, missing := load.Stats().Flows, rows.total.Missing+rows.total.EarlierMissing
	everywhere := readFlows(t, address, c.topic(0), c.workers == "1") // an exporter changes workers while sockets are opened
	everywhere.once(t, 0, sent, false)
	t.Logf("%d flows sent, %d in topic 0, %d missing since the last start and %d before", sent, len(everywhere), rows.total.Missing, rows.total.EarlierMissing)
	for i := 1; i < len(c.to); i++ {
		got := readFlows(t, address, c.topic(i), c.workers == "1")
		got.once(t, 0, sent, false)
		t.Logf("%d in topic %d", len(got), i)
		maps.DeleteFunc(everywhere, func(n uint64, _ int) bool { return got[n] == 0 })
	}
	// A datagram with a template alone may be missing, too.
	least, most := missing, missing
	if stats := load.Stats(); c.announced(stats) == stats.Datagrams {
		templates := stats.Datagrams - stats.Flows/records
		if templates > 0 {
			templates -= exporters // which came
		}
		least, most = (missing-min(missing, templates))*records, missing*records
	}
	if lost := sent - uint64(len(everywhere)); lost < least || lost > most || rows.total.Restarts+rows.total.Unknown != 0 {
		t.Errorf("%d flows were sent; %d are in Kafka, %d to %d missing: %+v", sent, len(everywhere), least, most, rows.total)
	}
	broker.stop(t)
}
