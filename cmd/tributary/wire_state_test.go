package main

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/hold"
)

// ipfixExporter sends IPFIX messages of one flow record each from one port.
type ipfixExporter struct {
	t        *testing.T
	conn     net.Conn
	sequence uint32
}

func newExporter(t *testing.T, to string) *ipfixExporter {
	t.Helper()
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &ipfixExporter{t: t, conn: conn}
}

func (e *ipfixExporter) send(records uint32, sets ...[]byte) {
	e.t.Helper()
	e.sendAs(7, sets...)
	e.sequence += records
}

// sendAs sends a message of a domain.
func (e *ipfixExporter) sendAs(domain uint32, sets ...[]byte) {
	e.t.Helper()
	b := binary.BigEndian.AppendUint16(nil, 10)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(time.Now().Unix()))
	b = binary.BigEndian.AppendUint32(b, e.sequence)
	b = binary.BigEndian.AppendUint32(b, domain)
	for _, s := range sets {
		b = append(b, s...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	if _, err := e.conn.Write(b); err != nil {
		e.t.Fatal(err)
	}
}

// wire16 is numbers of 16 bits on the wire.
func wire16(n ...uint16) (b []byte) {
	for _, n := range n {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

// teach sends all that an exporter announces: a template, a sampling rate and the
// name of an interface.
func (e *ipfixExporter) teach() {
	e.t.Helper()
	e.send(0, wire16(2, 20, 256, 3, 10, 4, 1, 4, 2, 4))
	e.send(1, wire16(3, 18, 300, 2, 1, 149, 4, 34, 4), wire16(300, 12, 0, 7, 0, 512))
	e.send(1, append(wire16(3, 18, 301, 2, 1, 10, 4, 82, 4), append(wire16(301, 12, 0, 3), "eth3"...)...))
}

// flow sends one flow record of so many octets.
func (e *ipfixExporter) flow(octets uint16) {
	e.t.Helper()
	e.send(1, wire16(256, 16, 0, 3, 0, octets, 0, 1))
}

// taught is how many things teach teaches: three templates, a rate and a name.
const taught = 5

// wantFlows waits until a collector has decoded so many flows, none of them late.
func wantFlows(t *testing.T, collector *process, n uint64) {
	t.Helper()
	eventually(t, "flows are delivered", func() bool { return collector.metrics(t).sink("delivered") == n })
	if m := collector.metrics(t); m.sum("tributary_collect_held_sets_total") != 0 {
		t.Errorf("%d sets had to wait for their template", m.sum("tributary_collect_held_sets_total"))
	}
}

// wantTaught compares what flows say, a JSON object a line, with what teach taught,
// and their octets with what is wanted.
func wantTaught(t *testing.T, flows []byte, octets ...uint64) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(flows)), "\n")
	if len(lines) != len(octets) {
		t.Fatalf("%d flows, want %d:\n%s", len(lines), len(octets), flows)
	}
	for i, line := range lines {
		var f struct {
			Bytes        uint64 `json:"bytes"`
			SamplingRate uint64 `json:"sampling_rate"`
			InIfName     string `json:"in_if_name"`
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		if f.Bytes != octets[i] || f.SamplingRate != 512 || f.InIfName != "eth3" {
			t.Errorf("flow %d is %+v, want %d octets, 1 of 512, at eth3", i, f, octets[i])
		}
	}
}

// TestWireRestart: a collector that was killed and is started again decodes from
// its first datagram on, by what the topic or a file has.
func TestWireRestart(t *testing.T) {
	t.Run("topic", func(t *testing.T) {
		_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
		restartByTopic(t, broker)
	})
	t.Run("file", func(t *testing.T) {
		dir := t.TempDir()
		out, state := filepath.Join(dir, "flows.json"), filepath.Join(dir, "exporters.jsonl")
		collector, address := startCollect(t, "--to", "file:"+out, "--state", state)
		exporter := newExporter(t, address)
		exporter.teach()
		exporter.flow(1)
		wantFlows(t, collector, 1)
		eventually(t, "what was taught is written", func() bool {
			b, _ := os.ReadFile(state)
			return strings.Count(string(b), "\n") == taught
		})
		collector.kill()

		collector, address = startCollect(t, "--to", "file:"+out, "--state", state)
		newExporter(t, address).flow(2)
		wantFlows(t, collector, 1)
		collector.stop(t)
		flows, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		wantTaught(t, flows, 1, 2)
		if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		// What is damaged costs itself only; what is stale is not learnt.
		b, err := os.ReadFile(state)
		if err != nil {
			t.Fatal(err)
		}
		damaged := strings.Replace(string(b), `"fields"`, `"felds"`, 1) + "what is this\n" +
			`{"key":"192.0.2.9,0,10,0,template,256","value":{"time":1000000000,"fields":[[0,1,4]]}}` + "\n"
		if err := os.WriteFile(state, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		collector, _ = startCollect(t, "--to", "file:"+out, "--state", state)
		m := collector.metrics(t)
		for result, want := range map[string]uint64{"learnt": taught - 1, "invalid": 2, "stale": 1} {
			if got := m.sum("tributary_collect_stored_read_total", `result="`+result+`"`); got != want {
				t.Errorf("%s: %d, want %d", result, got, want)
			}
		}
		collector.stop(t)
	})
}

// restartByTopic has a collector taught, killed and started again.
func restartByTopic(t *testing.T, broker string) {
	t.Helper()
	args := []string{"--to", "kafka://" + broker + "/taught", "--partitions", "1", "--state-topic", "teachings"}
	collector, address := startCollect(t, args...)
	exporter := newExporter(t, address)
	exporter.teach()
	exporter.flow(1)
	wantFlows(t, collector, 1)
	written := func(p *process) uint64 {
		return p.metrics(t).sum("tributary_collect_stored_written_total", `result="written"`)
	}
	eventually(t, "what was taught is written", func() bool { return written(collector) == taught })
	// What is repeated is not written again.
	exporter.teach()
	exporter.send(0, wire16(2, 12, 257, 1, 1, 4))
	eventually(t, "a template more is written", func() bool { return written(collector) == taught+1 })
	collector.kill()

	collector, address = startCollect(t, args...)
	newExporter(t, address).flow(2) // from another port
	wantFlows(t, collector, 1)
	if n := written(collector); n != 0 {
		t.Errorf("%d things are written again", n)
	}
	if read := collector.metrics(t).sum("tributary_collect_stored_read_total", `result="learnt"`); read != taught+1 {
		t.Errorf("%d things learnt, want %d", read, taught+1)
	}
	collector.stop(t)
	wantTaught(t, tributary(t, "consume", "taught", "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--decode"), 1, 2)
	description := string(tributary(t, "topics", "describe", "teachings", "--kafka", "kafka://"+broker))
	if !strings.Contains(description, "cleanup.policy=compact") || strings.Contains(description, "\n1 ") {
		t.Errorf("the topic is not compacted, or of more than one partition: %s", description)
	}
}

// TestWireRoam: what one collector is taught, another one knows while both run.
func TestWireRoam(t *testing.T) {
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	one, first := startCollect(t, "--to", "kafka://"+broker+"/flows", "--partitions", "1")
	two, second := startCollect(t, "--to", "kafka://"+broker+"/flows")
	// Data that come to the second one before it knows wait there.
	waiting := newExporter(t, second)
	waiting.flow(1)
	eventually(t, "data wait", func() bool { return two.metrics(t).sum("tributary_collect_hold_sets") == 1 })
	newExporter(t, first).teach()
	eventually(t, "the second one has learnt", func() bool {
		return two.metrics(t).sum("tributary_collect_stored_read_total", `result="learnt"`) == taught
	})
	waiting.flow(2)
	eventually(t, "flows are delivered", func() bool { return two.metrics(t).sink("delivered") == 2 })
	// Only the first one has written.
	two.stop(t)
	one.stop(t)
	wantTaught(t, tributary(t, "consume", "flows", "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--decode"), 1, 2)
	if n := strings.Count(string(tributary(t, "consume", exportersTopic, "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end")), "\n"); n != taught {
		t.Errorf("%d records in topic %s, want %d", n, exportersTopic, taught)
	}
}

// TestWireStateWithoutKafka: a Kafka that is away does not keep the collector from
// decoding; when it is there, what exporters taught is in its topic.
func TestWireStateWithoutKafka(t *testing.T) {
	broker := hold.Address(t)
	state := filepath.Join(t.TempDir(), "exporters.jsonl")
	collector, address := startCollect(t, "--to", "kafka://"+broker+"/flows", "--state", state, "--state-wait", "1m")
	exporter := newExporter(t, address)
	exporter.teach()
	exporter.flow(1)
	eventually(t, "a flow is decoded", func() bool { return collector.metrics(t).sum("tributary_collect_records_total") == 1 })
	startBroker(t, t.TempDir(), broker)
	eventually(t, "what was taught is written", func() bool {
		return collector.metrics(t).sum("tributary_collect_stored_written_total", `result="written"`) == taught
	})
	collector.stop(t)
	if b, err := os.ReadFile(state); err != nil || strings.Count(string(b), "\n") != taught {
		t.Errorf("the file has %v %s", err, b)
	}
}

// TestWireStateInSpool: a collector that is killed and started again while Kafka is
// away decodes by what lies in its spool.
func TestWireStateInSpool(t *testing.T) {
	broker := hold.Address(t)
	spool := filepath.Join(t.TempDir(), "spool")
	args := []string{"--to", "kafka://" + broker + "/flows", "--spool", spool, "--state-wait", "1m", "--partitions", "1"}
	collector, address := startCollect(t, args...)
	exporter := newExporter(t, address)
	exporter.teach()
	exporter.flow(1)
	eventually(t, "a flow and what was taught are on disk", func() bool {
		b, _ := os.ReadFile(filepath.Join(spool, exportersFile))
		return strings.Count(string(b), "\n") == taught && collector.metrics(t).sum("tributary_sink_spooled_records") == 1
	})
	collector.kill()
	collector, address = startCollect(t, args...)
	newExporter(t, address).flow(2)
	eventually(t, "a flow is decoded", func() bool { return collector.metrics(t).sum("tributary_collect_records_total") == 1 })
	startBroker(t, t.TempDir(), broker)
	eventually(t, "what was taught is in the topic", func() bool {
		return collector.metrics(t).sum("tributary_collect_stored_written_total", `result="written"`) == taught
	})
	eventually(t, "the spool is empty", func() bool { return collector.metrics(t).sum("tributary_sink_spooled_records") == 0 })
	collector.stop(t)
	wantTaught(t, tributary(t, "consume", "flows", "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--decode"), 1, 2)
}

// newExporterAt is an exporter with an address of its own on loopback.
func newExporterAt(t *testing.T, n int, to string) *ipfixExporter {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 1, byte(n>>8), byte(n))}}
	conn, err := d.Dial("udp", to)
	if err != nil {
		t.Skipf("addresses of 127.0.0.0/8 are wanted: %v", err)
	}
	return &ipfixExporter{t: t, conn: conn}
}

// TestWireThousandExporters: a thousand exporters (a fifth of that without
// TRIBUTARY_SOAK) have ten templates each. Data before them wait, and after a restart
// none has to.
func TestWireThousandExporters(t *testing.T) {
	const templates = 10
	exporters := 200
	if os.Getenv("TRIBUTARY_SOAK") != "" {
		exporters = 1000
	}
	flows := uint64(exporters * templates)
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	args := []string{"--to", "kafka://" + broker + "/flows", "--state-wait", "1m"}
	collector, address := startCollect(t, args...)
	var announce, data []byte
	for n := range uint16(templates) {
		announce = append(announce, wire16(2, 20, 256+n, 3, 10, 4, 1, 4, 2, 4)...)
		data = append(data, wire16(256+n, 16, 0, 3, 0, 7, 0, 1)...)
	}
	sent := uint64(0)
	each := func(messages ...[]byte) {
		t.Helper()
		for n := range exporters {
			e := newExporterAt(t, n, address)
			for _, m := range messages {
				e.send(0, m)
				sent++
			}
			e.conn.Close()
			if n%100 == 99 { // no more than a socket can take
				eventually(t, "datagrams are received", func() bool {
					time.Sleep(50 * time.Millisecond) // the metrics of so many exporters are work too
					return collector.metrics(t).received() == sent
				})
			}
		}
	}
	each(data, append(announce, data...))
	eventually(t, "flows are delivered", func() bool { return collector.metrics(t).sink("delivered") == 2*flows })
	m := collector.metrics(t)
	if m.sum("tributary_collect_held_sets_total") != flows || m.sum("tributary_collect_held_decoded_total") != flows {
		t.Errorf("%d sets had to wait, %d of them were decoded", m.sum("tributary_collect_held_sets_total"), m.sum("tributary_collect_held_decoded_total"))
	}
	eventually(t, "what was taught is written", func() bool {
		return collector.metrics(t).sum("tributary_collect_stored_written_total", `result="written"`) == flows
	})
	collector.kill()

	begin := time.Now()
	collector, address = startCollect(t, args...)
	sent = 0
	each(data)
	t.Logf("started again and a datagram of each exporter sent after %v", time.Since(begin))
	wantFlows(t, collector, flows)
	collector.stop(t)
}

// TestWireManyTemplates: an exporter sends a million template ids (a tenth of that
// without TRIBUTARY_SOAK), and data for as many that it has not announced. The
// collector stays within bounds, and another exporter's flows arrive, also those
// that waited all the time.
func TestWireManyTemplates(t *testing.T) {
	ids := 100_000
	if os.Getenv("TRIBUTARY_SOAK") != "" {
		ids = 1_000_000
	}
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	collector, address := startCollect(t, "--to", "kafka://"+broker+"/flows", "--workers", "1",
		"--exporter-state-bytes", "4MiB", "--state-bytes", "16MiB", "--hold-exporter", "4MiB", "--hold", "16MiB")
	good, hostile := newExporterAt(t, 1, address), newExporterAt(t, 2, address)
	defer good.conn.Close()
	defer hostile.conn.Close()
	good.send(1, wire16(400, 16, 0, 3, 0, 7, 0, 1)) // waits
	good.teach()
	sent, flows := uint64(4), uint64(0)
	warm := int64(0)
	const many = 2000
	for n := 0; n*many < ids; n++ {
		var templates, data []byte
		for i := range uint16(many) {
			id := 256 + uint16(n*many%60_000) + i
			templates = append(templates, wire16(id, 1, 1, 4)...)
			data = append(data, wire16(60_300+i, 8, 0, 1)...)
		}
		hostile.sequence = uint32(n)
		domain := uint32(n * many / 60_000)
		hostile.sendAs(domain, append(wire16(2, uint16(4+len(templates))), templates...))
		hostile.sendAs(domain, data)
		good.flow(1)
		sent, flows = sent+3, flows+1
		if n%10 == 9 {
			eventually(t, "datagrams are received", func() bool { return collector.metrics(t).received() == sent })
		}
		if n == ids/many/4 {
			warm = collector.peakMemory(t)
		}
	}
	// What waited all the time: the template of the good one comes at last.
	good.send(0, wire16(2, 20, 400, 3, 10, 4, 1, 4, 2, 4))
	flows++
	eventually(t, "flows of the good exporter are delivered", func() bool { return collector.metrics(t).sink("delivered") == flows })
	m, last := collector.metrics(t), collector.peakMemory(t)
	t.Logf("%d template ids: peak memory %d MiB after a quarter, %d MiB at the end; %d octets of state, %d held; %d things written, %d removed", ids, warm>>20, last>>20,
		m.sum("tributary_collect_state_bytes"), m.sum("tributary_collect_hold_bytes"),
		m.sum("tributary_collect_stored_written_total", `result="written"`), m.sum("tributary_collect_stored_written_total", `result="removed"`))
	if last > warm+48<<20 {
		t.Errorf("peak memory went from %d to %d octets", warm, last)
	}
	if m.sum("tributary_collect_state_bytes") > 6<<20 || m.sum("tributary_collect_hold_bytes") > 6<<20 {
		t.Error("more is remembered or held than allowed")
	}
	collector.stop(t)
}
