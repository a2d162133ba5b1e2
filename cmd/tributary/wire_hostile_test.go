package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/packet"
)

// eachDatagram calls f for the export datagrams of a capture.
func eachDatagram(t testing.TB, file string, f func(g *packet.Datagram)) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	capture, err := packet.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	datagrams := packet.NewDatagramReader(capture)
	for g := (packet.Datagram{}); ; {
		if err := datagrams.Next(&g); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		f(&g)
	}
}

// TestWireHostile sends all hostile cases to a collector, several times. It must
// live, count each of them as the decoder does by itself, not grow, and decode a
// good capture afterwards.
func TestWireHostile(t *testing.T) {
	check := flowChecker(t)
	shared := captures.Dir(t)
	hostile := filepath.Join(shared, "malformed", "malformed.pcap")
	out := filepath.Join(t.TempDir(), "flows.jsonl")
	collector, address := startCollect(t, "--to", "file:"+out)

	// The same as the collector sees it: every round comes from other ports.
	reference := collect.NewDecoder(collect.DefaultDecoderConfig())
	sent := uint64(0)
	round := func(n int) {
		t.Helper()
		tributary(t, "replay", "-r", hostile, "--to", "udp://"+address, "--pace", "20k/s", "--quiet")
		eachDatagram(t, hostile, func(g *packet.Datagram) {
			sent++
			from := netip.AddrPortFrom(g.Source.Addr(), g.Source.Port()+uint16(n))
			_ = reference.Decode(&flow.Datagram{Exporter: from, Received: time.Now(), Payload: g.Payload}, func(*flow.Record) error { return nil })
		})
		eventually(t, fmt.Sprintf("round %d is taken in", n), func() bool { return collector.metrics(t).settled(sent) })
	}
	balance := func() {
		t.Helper()
		m, want := collector.metrics(t), reference.Stats().Total
		malformed := uint64(0)
		for _, r := range collect.Reasons() {
			malformed += want.Malformed[r]
			if got := m.sum("tributary_collect_malformed_total", `reason="`+r.String()+`"`); got != want.Malformed[r] {
				t.Errorf("malformed (%s): %d, want %d", r, got, want.Malformed[r])
			}
		}
		for _, c := range []struct {
			name string
			want uint64
		}{
			{"tributary_collect_socket_kernel_drops_total", 0},
			{"tributary_collect_socket_filtered_total", 0},
			{"tributary_collect_socket_truncated_total", 0},
			{"tributary_collect_socket_malformed_total", malformed},
			{"tributary_collect_datagrams_total", sent},
			{"tributary_collect_bytes_total", want.Bytes},
			{"tributary_collect_records_total", want.Records},
			{"tributary_collect_options_records_total", want.Options},
			{"tributary_collect_templates_total", want.Templates},
			{"tributary_collect_counter_samples_total", want.CounterSamples},
			{"tributary_collect_missing_templates_total", want.MissingTemplates},
			{"tributary_collect_held_sets_total", want.HeldSets},
			{"tributary_collect_held_decoded_total", want.HeldDecoded},
			{"tributary_collect_hold_sets", want.Held()},
			{"tributary_collect_known_templates", uint64(reference.Stats().Programs)},
			{"tributary_collect_exporters", uint64(len(reference.Stats().Exporters))},
		} {
			if got := m.sum(c.name); got != c.want {
				t.Errorf("%s: %d, want %d", c.name, got, c.want)
			}
		}
		if m.sink("written") != want.Records || m.sink("delivered") != want.Records {
			t.Errorf("records written %d and delivered %d, want %d", m.sink("written"), m.sink("delivered"), want.Records)
		}
	}
	round(0)
	balance()
	round(1)
	warm := collector.peakMemory(t)
	more := 8
	if raceDetector { // where memory says nothing
		more = 2
	}
	for n := range more {
		round(2 + n)
	}
	balance()
	// Room for what is touched late: each worker has 8 MB of buffers. And what waits
	// for templates grows from round to round.
	last := collector.peakMemory(t)
	t.Logf("%d datagrams, peak memory %d octets after two rounds, %d after %d", sent, warm, last, 2+more)
	// The race detector remembers several times as much beside it.
	if !raceDetector && last > warm+warm/4+16<<20+reference.Stats().HeldOctets {
		t.Errorf("peak memory went from %d to %d octets", warm, last)
	}

	// Nothing of it is in the way of an exporter that does it right.
	for _, good := range []string{"nf9-softflowd-bk", "ipfix-softflowd-http_ipv6-gen", "nf5-softflowd-logstash", "sflow-ndpi"} {
		t.Run(good, func(t *testing.T) {
			file := filepath.Join(shared, "flows", good+".pcap")
			before, err := os.Stat(out)
			if err != nil {
				t.Fatal(err)
			}
			tributary(t, "replay", "-r", file, "--to", "udp://"+address, "--pace", "20k/s", "--quiet")
			eachDatagram(t, file, func(*packet.Datagram) { sent++ })
			eventually(t, "everything is taken in", func() bool { return collector.metrics(t).settled(sent) })
			flows, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			check(t, file, flows[before.Size():])
		})
	}
	collector.stop(t)
}
