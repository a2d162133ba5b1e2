package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/hold"
	"github.com/tributary-net/tributary/internal/sink"
	"github.com/tributary-net/tributary/internal/traffic"
	"github.com/tributary-net/tributary/sflow"
)

// ledgerRows reads rows of the ledger, a JSON object a line.
func ledgerRows(t *testing.T, lines []byte) *ledgerSnapshot {
	t.Helper()
	s := &ledgerSnapshot{}
	for line := range strings.Lines(string(lines)) {
		if err := s.addRow([]byte(line)); err != nil {
			t.Fatalf("row %s: %v", line, err)
		}
	}
	if s.total.Row != rowTotal || len(s.wrong()) > 0 {
		t.Fatalf("the ledger does not hold: %s", lines)
	}
	return s
}

// TestWireLedger: the ledger of a running collector, and the last one in the topic,
// say of every datagram and every record what became of it.
func TestWireLedger(t *testing.T) {
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "flows.jsonl")
	collector, address := startCollect(t, "--to", "kafka://"+broker+"/flows", "--to", "file:"+file, "--to", "kafka://"+broker+"/more", "--ledger-interval", "100ms")
	url := "http://" + collector.logged(t, "http listens", "addr")
	sent := load(t, address, traffic.LoadConfig{Rate: 20_000, Flows: 6000, Exporters: 3, Seed: 1})
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("no flow export")); err != nil {
		t.Fatal(err)
	}
	if sent.Flows != 6000 {
		t.Fatalf("%d flows were sent", sent.Flows)
	}
	eventually(t, "all is delivered", func() bool {
		m := collector.metrics(t)
		if d := m.kernelDrops(); d > 0 {
			t.Skipf("the machine is too busy: %d datagrams did not fit the receive buffer", d)
		}
		return m.received() == sent.Datagrams+1 && m.sink("delivered") == 3*sent.Flows
	})
	check := func(s *ledgerSnapshot) {
		t.Helper()
		announced, received := uint64(0), uint64(0)
		for _, r := range s.domains {
			announced += r.Announced
			received += r.Received
			if r.Unit != "datagrams" || r.Protocol != "NetFlow v9" || r.Missing+r.Unknown+r.Repeated+r.Restarts+r.Malformed != 0 {
				t.Errorf("row %+v", r)
			}
		}
		if announced != sent.Datagrams || received != sent.Datagrams || s.total.Records != sent.Flows || s.total.Malformed != 1 || s.rest.Datagrams != 1 {
			t.Errorf("%d announced and %d received, %d records, want %d and %d: %+v", announced, received, s.total.Records, sent.Datagrams, sent.Flows, s.total)
		}
		var sockets socketRow
		for _, r := range s.sockets {
			sockets.Datagrams += r.Datagrams
			sockets.Decoded += r.Decoded
			sockets.Malformed += r.Malformed
		}
		if sockets.Datagrams != sent.Datagrams+1 || sockets.Decoded != sent.Datagrams || sockets.Malformed != 1 {
			t.Errorf("sockets: %+v", sockets)
		}
		if len(s.destinations) != 3 {
			t.Fatalf("%d destinations", len(s.destinations))
		}
		for _, r := range s.destinations {
			if r.Records != sent.Flows || r.Delivered != sent.Flows || r.InFlight+r.Dropped+r.Refused+r.Spooled+r.Found != 0 {
				t.Errorf("destination %+v", r)
			}
		}
	}
	status, body := collector.get(t, "/ledger")
	var answer struct{ Holds bool }
	if err := json.Unmarshal([]byte(body), &answer); status != http.StatusOK || err != nil || !answer.Holds {
		t.Errorf("/ledger: %d %s", status, body)
	}
	check(ledgerRows(t, tributary(t, "collect", "ledger", "--url", url, "--output", "json")))
	if text := string(tributary(t, "collect", "ledger", "--url", url)); !strings.HasSuffix(text, "\nboth balances hold\n") {
		t.Errorf("table:\n%s", text)
	}
	collector.stop(t)
	last := ledgerRows(t, tributary(t, "collect", "ledger", "--kafka", "kafka://"+broker, "--output", "json"))
	if !last.total.Final {
		t.Error("the last rows are not those of the stop")
	}
	check(last)
	// What Kafka has is what the ledger says.
	flows := tributary(t, "consume", "flows", "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--decode")
	if n := strings.Count(string(flows), "\n"); uint64(n) != last.destinations[0].Delivered {
		t.Errorf("%d flows in Kafka, %d acknowledged", n, last.destinations[0].Delivered)
	}
}

// TestWireLedgerWithoutKafka: nobody waits for a Kafka that is away to take the
// ledger.
func TestWireLedgerWithoutKafka(t *testing.T) {
	away := hold.Address(t)
	collector, address := startCollect(t, "--to", "kafka://"+away+"/flows", "--to", "discard:", "--ledger-interval", "10ms")
	sent := load(t, address, traffic.LoadConfig{Rate: 20_000, Flows: 2000, Exporters: 2, Seed: 1})
	eventually(t, "all is decoded", func() bool {
		m := collector.metrics(t)
		return m.received()+m.kernelDrops() == sent.Datagrams
	})
	collector.logged(t, "ledger is not written", "err")
	s := ledgerRows(t, tributary(t, "collect", "ledger", "--url", "http://"+collector.logged(t, "http listens", "addr"), "--output", "json"))
	if r := s.destinations[0]; r.InFlight != r.Records || r.Delivered != 0 {
		t.Errorf("destination %+v", r)
	}
}

// TestNewestLedgers: of each collector the newest ledger that is whole counts, and
// a row that is there twice counts once.
func TestNewestLedgers(t *testing.T) {
	n := newestLedgers{}
	row := func(collector, second, kind, more string) {
		n.add([]byte(`{"row":"` + kind + `","collector":"` + collector + `","time":"2026-01-01T00:00:0` + second + `Z"` + more + `}`))
	}
	row("a", "1", "domain", `,"domain":1`)
	row("a", "1", "total", "")
	row("a", "2", "domain", `,"domain":2`)
	row("a", "2", "domain", `,"domain":2`)
	row("b", "1", "domain", `,"domain":3`) // never whole
	row("a", "2", "socket", "")
	row("a", "2", "total", "")
	row("a", "2", "total", "")
	row("a", "1", "domain", `,"domain":9`) // late
	row("a", "3", "domain", `,"domain":4`) // not whole yet
	n.add([]byte("no row"))
	n.add([]byte(`{"row":"total"}`))
	row("c", "1", "domain", `,"samples":{"flow":null}`)
	row("c", "1", "domain", `,"announced":"many"`)
	row("c", "1", "total", `,"announced":-1`)
	list := n.list()
	if len(list) != 1 || len(list[0].domains) != 1 || list[0].domains[0].Domain != 2 || len(list[0].sockets) != 1 {
		t.Errorf("%+v", list)
	}
}

// FuzzLedger: whatever is in the topic is printed or passed over.
func FuzzLedger(f *testing.F) {
	head := `,"collector":"a","time":"2026-01-01T00:00:00Z"`
	f.Add([]byte(`{"row":"domain"` + head + `,"exporter":"192.0.2.1","announced":3,"samples":{"flow":{"announced":3},"drop":null}}`))
	f.Add([]byte(`{"row":"source"` + head + `,"kind":"flow","source_type":9,"agent_drops":1}`))
	f.Add([]byte(`{"row":"socket"` + head + `,"listen":"[::]:2055","datagrams":18446744073709551615}`))
	f.Add([]byte(`{"row":"destination"` + head + `,"to":null}`))
	f.Add([]byte(`{"row":"rest"` + head + `,"samples":null}`))
	f.Add([]byte(`{"row":"total"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		n := newestLedgers{}
		n.add(value)
		n.add(value)
		n.add([]byte(`{"row":"total"` + head + `}`))
		for _, s := range n.list() {
			s.wrong()
			if err := s.table(io.Discard); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLedgerThatDoesNotHold(t *testing.T) {
	s := ledgerSnapshot{domains: []domainRow{{Exporter: "192.0.2.1", Domain: 7, Announced: 10, Received: 9, Samples: map[string]*sampleCounts{"flow": {Announced: 3}}}}}
	s.sources = []sourceRow{{Exporter: "192.0.2.1", Domain: 7, Kind: "flow", SourceIndex: 3, sampleCounts: sampleCounts{Announced: 3}}}
	s.destinations = []destinationRow{{To: "discard:"}}
	if got := strings.Join(s.wrong(), "; "); got != "sequence numbers of 192.0.2.1 domain 7; samples of 192.0.2.1 domain 7; flow samples of 192.0.2.1 domain 7 interface 3; records of discard:" {
		t.Errorf("does not hold: %s", got)
	}
	var b strings.Builder
	if err := s.table(&b); err != nil || !strings.HasSuffix(b.String(), "\nthe balances do not hold\n") {
		t.Errorf("table:\n%s", b.String())
	}
}

// TestLedgerOfADestination: what a worker holds is in flight, until the last account.
func TestLedgerOfADestination(t *testing.T) {
	st := sink.Stats{Written: 100, Found: 40, Delivered: 60, Spooled: 10, Dropped: 5, Refused: 5}
	for _, tt := range []struct {
		final              bool
		decoded, delivered uint64
		records, inFlight  uint64
		holds              bool
	}{
		{false, 60, 60, 60, 20, true},
		{false, 50, 60, 60, 20, true}, // more came meanwhile
		{false, 75, 60, 75, 35, true},
		{true, 60, 60, 60, 20, true},
		{true, 75, 60, 60, 20, false},
		{true, 50, 60, 60, 20, false},
		{false, 60, 81, 60, 0, false},
	} {
		st.Delivered = tt.delivered
		r := destinationOf(rowHead{Final: tt.final}, "discard:", st, tt.decoded)
		if r.Records != tt.records || r.InFlight != tt.inFlight || r.Holds != tt.holds || r.Found != 40 {
			t.Errorf("%+v: %+v", tt, r)
		}
	}
}

// TestWireLedgerSpool: the ledger holds while Kafka goes and comes back, and over a
// collector that ends with flows in its spool.
func TestWireLedgerSpool(t *testing.T) {
	t.Parallel()
	dir, spool := t.TempDir(), filepath.Join(t.TempDir(), "spool")
	broker, address := startBroker(t, dir, hold.Address(t))
	begin := func() (*process, string, func() *ledgerSnapshot) {
		collector, to := startCollect(t, "--to", "kafka://"+address+"/flows", "--spool", spool, "--ledger-interval", "100ms")
		url := "http://" + collector.logged(t, "http listens", "addr")
		return collector, to, func() *ledgerSnapshot {
			return ledgerRows(t, tributary(t, "collect", "ledger", "--url", url, "--output", "json"))
		}
	}
	collector, to, look := begin()
	sending := startLoad(t, to, traffic.LoadConfig{Rate: 10_000, Exporters: 2})
	eventually(t, "some flows are acknowledged", func() bool { return look().destinations[0].Delivered > 0 })
	broker.kill()
	eventually(t, "some flows are on disk", func() bool { return look().destinations[0].Spooled > 0 })
	sending.cancel()
	if d := sending.wait(t, collector).kernelDrops(); d > 0 {
		t.Skipf("the machine is too busy: %d datagrams did not fit the receive buffer", d)
	}
	var first destinationRow
	eventually(t, "all is on disk", func() bool { first = look().destinations[0]; return first.InFlight == 0 })
	flows := sending.stats.Flows
	if first.Records != flows || first.Spooled == 0 || first.Dropped+first.Refused+first.Found != 0 {
		t.Errorf("without Kafka: %+v", first)
	}
	collector.stop(t)

	collector, to, look = begin()
	broker, _ = startBroker(t, dir, address)
	more := startLoad(t, to, traffic.LoadConfig{Rate: 10_000, First: flows, Flows: flows, Exporters: 2})
	for !more.ended() {
		look()
	}
	if d := more.wait(t, collector).kernelDrops(); d > 0 {
		t.Skipf("the machine is too busy: %d datagrams did not fit the receive buffer", d)
	}
	eventually(t, "all is acknowledged", func() bool { r := look().destinations[0]; return r.InFlight+r.Spooled == 0 })
	collector.stop(t)
	var own []byte // the topic has the first collector's too
	for line := range strings.Lines(string(tributary(t, "collect", "ledger", "--kafka", "kafka://"+address, "--output", "json"))) {
		if strings.Contains(line, "/"+to+`"`) {
			own = append(own, line...)
		}
	}
	s := ledgerRows(t, own)
	second := s.destinations[0]
	if !s.total.Final || second.Records != flows || first.Delivered+second.Delivered != 2*flows || second.Found != first.Spooled || second.Dropped+second.Refused != 0 {
		t.Errorf("first %+v, then %+v", first, second)
	}
	topicFlows(t, address, "flows").once(t, 0, 2*flows, true)
	broker.stop(t)
}

// TestWireLedgerSamples: of sFlow the ledger has samples too, in rows and metrics of
// their own: those that are missing, and those that the agent had no room for.
func TestWireLedgerSamples(t *testing.T) {
	t.Parallel()
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	collector, address := startCollect(t, "--to", "kafka://"+broker+"/flows", "--ledger-interval", "100ms")
	url := "http://" + collector.logged(t, "http listens", "addr")
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Each datagram has three samples of interface 3 and one of 4. The fifth is lost;
	// when the eighth is made the agent has dropped 40, and lost two that had numbers.
	sent, three, drops := uint64(0), uint32(100), uint32(7)
	for n := range uint32(10) {
		if n == 8 {
			three, drops = three+2, drops+40
		}
		var e sflow.Encoder
		e.Start(nil, sflow.Datagram{Agent: netip.MustParseAddr("192.0.2.77"), SubAgent: 1, Sequence: n, Uptime: 60_000 + 100*n})
		for range 3 {
			e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, Sequence: three, SourceIndex: 3, SamplingRate: 512, Pool: 512 * three, Drops: drops})
			three++
		}
		e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters, Sequence: 1000 + n, SourceIndex: 4})
		if n == 5 {
			continue
		}
		if _, err := c.Write(e.Finish()); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	eventually(t, "all is received", func() bool { return collector.metrics(t).received() == sent })
	flows := sampleCounts{Announced: 32, Received: 27, Missing: 5, Gaps: 2, AgentDrops: 40, Pool: 31 * 512}
	counters := sampleCounts{Announced: 10, Received: 9, Missing: 1, Gaps: 1}
	check := func(s *ledgerSnapshot) {
		t.Helper()
		d := s.domains[0]
		if len(s.domains) != 1 || d.Announced != 10 || d.Missing != 1 || *d.Samples["flow"] != flows || *d.Samples["counters"] != counters || len(d.Samples) != 2 {
			t.Errorf("domains: %+v", s.domains)
		}
		if s.total.Announced != 10 || s.total.Missing != 1 || *s.total.Samples["flow"] != flows || len(s.rest.Samples) != 0 {
			t.Errorf("total: %+v", s.total)
		}
		if len(s.sources) != 2 || s.sources[0].name() != "interface 3" || s.sources[0].sampleCounts != flows || s.sources[1].name() != "interface 4" || s.sources[1].sampleCounts != counters {
			t.Errorf("sources: %+v", s.sources)
		}
	}
	check(ledgerRows(t, tributary(t, "collect", "ledger", "--url", url, "--output", "json")))
	table := string(tributary(t, "collect", "ledger", "--url", url))
	for _, want := range []string{
		`127\.0\.0\.1 +192\.0\.2\.77 1 +flow +all +32 +27 +5 +15\.625 +0 +0 +40\n`,
		`127\.0\.0\.1 +192\.0\.2\.77 1 +counters +interface 4 +10 +9 +1 +10\.000 +0 +0 +0\n`,
		`total +flow +32 +27 +5 `,
	} {
		if !regexp.MustCompile(want).MatchString(table) {
			t.Errorf("the table has no %s:\n%s", want, table)
		}
	}
	m := collector.metrics(t)
	for name, want := range map[string]uint64{"announced": 32, "received": 27, "repeated": 0, "skipped": 5, "recovered": 0, "restarts": 0, "agent_drops": 40} {
		if got := m.sum("tributary_collect_samples_"+name+"_total", `kind="flow"`, `exporter="127.0.0.1"`, `domain="192.0.2.77/1"`); got != want {
			t.Errorf("metric of samples %s is %d, want %d", name, got, want)
		}
	}
	if m.sum("tributary_collect_balance_holds") != 1 {
		t.Error("the balances do not hold")
	}
	collector.stop(t)
	check(ledgerRows(t, tributary(t, "collect", "ledger", "--kafka", "kafka://"+broker, "--output", "json")))
}
