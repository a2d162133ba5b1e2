package main

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/hold"
	"github.com/tributary-net/tributary/internal/traffic"
)

// TestWireSpoolLedger: a collector with a spool is killed at any moment, again and again,
// while exporters go on sending. What they sent is in Kafka or missing by the ledger of
// the last collector, to the flow.
func TestWireSpoolLedger(t *testing.T) {
	for _, c := range []struct {
		name       string
		protocol   traffic.Protocol
		properties string
		workers    string
	}{
		{"NetFlow v5", traffic.NetFlow5, "linger.ms=20", "1"},
		{"NetFlow v5 with keys", traffic.NetFlow5, "linger.ms=20&compression.type=lz4&key=dst_port", "2"},
		{"NetFlow v5 packed", traffic.NetFlow5, "format=packed", "2"},
		{"NetFlow v5 with producers", traffic.NetFlow5, "batch.size=20000&producers=2", "2"},
		{"IPFIX", traffic.IPFIX, "batch.size=50000", "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			spoolLedger(t, c.protocol, c.properties, c.workers)
		})
	}
}

func spoolLedger(t *testing.T, protocol traffic.Protocol, properties, workers string) {
	rng := seeded(t)
	dir, spool := t.TempDir(), filepath.Join(t.TempDir(), "spool")
	broker, address := startBroker(t, dir, hold.Address(t))
	kafka := true
	// The port stays the same: nobody else has this address.
	listen := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(1 + rng.IntN(250)), byte(rng.IntN(250)), byte(1 + rng.IntN(250))}), 0).String()
	open := func() *process {
		c := startService(t, "collect", "--listen", listen, "--to", "kafka://"+address+"/flows?"+properties, "--spool", spool, "--workers", workers)
		listen = c.logged(t, "collecting", "listen")
		return c
	}
	collector := open()
	// What each run sends, so that every exporter has one turn at least.
	const exporters, batch = 3, 4
	load, err := traffic.NewLoad(traffic.LoadConfig{
		Protocol: protocol, To: netip.MustParseAddrPort(listen), Rate: 40_000, Flows: exporters * batch * 25, Exporters: exporters, Batch: batch, Seed: rng.Uint64(),
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
		return account(t, collector).sink("delivered") == load.Stats().Flows
	})
	if protocol == traffic.IPFIX {
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
	begin, length := time.Now(), soakFor(t)
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
		return rows.total.Announced+rows.total.EarlierAnnounced == load.Stats().Flows
	})
	eventually(t, "all is delivered", func() bool {
		m := account(t, collector)
		return m.sink("delivered") == m.sink("written")
	})
	collector.stop(t)
	rows = ledgerRows(t, tributary(t, "collect", "ledger", "--kafka", "kafka://"+address, "--output", "json"))
	sent, missing := load.Stats().Flows, rows.total.Missing+rows.total.EarlierMissing
	got := readFlows(t, address, "flows", workers == "1") // an exporter changes workers while sockets are opened
	got.once(t, 0, sent, false)
	t.Logf("%d flows sent, %d in Kafka, %d missing since the last start and %d before", sent, len(got), rows.total.Missing, rows.total.EarlierMissing)
	if uint64(len(got))+missing != sent || rows.total.Restarts+rows.total.Unknown != 0 {
		t.Errorf("%d flows were sent; %d are in Kafka, %d missing: %+v", sent, len(got), missing, rows.total)
	}
	broker.stop(t)
}
