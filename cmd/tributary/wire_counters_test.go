package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/sflow"
)

// counterDatagrams are sFlow datagrams of two agents: a flow sample and two counter
// samples each.
func counterDatagrams() (list [][]byte) {
	for i, agent := range []string{"192.0.2.77", "2001:db8::77"} {
		var e sflow.Encoder
		e.Start(nil, sflow.Datagram{Agent: netip.MustParseAddr(agent), Sequence: 1})
		e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, SamplingRate: 512})
		e.IP(&sflow.SampledIP{Length: 60, Proto: 6, Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2")})
		for port := range uint32(2) {
			e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters, Sequence: 7, SourceIndex: port + 1})
			e.Counters(1, uint64(port)+1, 6, 1e9, 1, 3, 1000*uint64(i+1))
		}
		list = append(list, e.Finish())
	}
	return list
}

func sendAll(t *testing.T, address string, datagrams [][]byte) {
	t.Helper()
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, b := range datagrams {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// counterLines checks JSON lines of counterDatagrams.
func counterLines(t *testing.T, lines []byte) {
	t.Helper()
	got := map[string]int{}
	for line := range bytes.Lines(lines) {
		var s struct {
			Agent    string `json:"sampler_address"`
			Port     int    `json:"source_id_index"`
			Counters map[string]map[string]any
		}
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		want := 1000.0
		if strings.Contains(s.Agent, ":") {
			want = 2000
		}
		if c := s.Counters["generic_interface"]; c["ifInOctets"] != want || c["ifIndex"] != float64(s.Port) {
			t.Errorf("counters are %s", line)
		}
		got[s.Agent]++
	}
	if len(got) != 2 || got["192.0.2.77"] != 2 || got["2001:db8::77"] != 2 {
		t.Errorf("samples by agent are %v", got)
	}
}

// TestWireCounters: counter samples are in the topic of their own on every cluster
// that flows go to, once, by key; flows are not disturbed.
func TestWireCounters(t *testing.T) {
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "flows.jsonl")
	collector, address := startCollect(t, "--to", "kafka://"+broker+"/a", "--to", "kafka://"+broker+"/b", "--to", "file:"+file)
	sendAll(t, address, counterDatagrams())
	eventually(t, "counter samples are delivered", func() bool {
		m := collector.metrics(t)
		return m.sum("tributary_sink_counter_samples_total", `result="delivered"`) == 4 && m.sum("tributary_sink_counter_samples_total", `result="written"`) == 4
	})
	collector.stop(t)
	for _, more := range [][]string{nil, {"--decode"}} {
		args := append([]string{"consume", "flow-counters", "--kafka", "kafka://" + broker, "--from-beginning", "--exit-at-end"}, more...)
		counterLines(t, tributary(t, args...))
	}
	keys := tributary(t, "consume", "flow-counters", "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--print", "key")
	if n := bytes.Count(keys, []byte("192.0.2.77\n")); n != 2 || bytes.Count(keys, []byte("\n")) != 4 {
		t.Errorf("keys are %s", keys)
	}
	if b, err := os.ReadFile(file); err != nil || bytes.Count(b, []byte("\n")) != 2 || bytes.Contains(b, []byte("generic_interface")) {
		t.Errorf("flows in the file are %s, %v", b, err)
	}
	if describe := tributary(t, "topics", "describe", "flow-counters", "--kafka", "kafka://"+broker); !bytes.Contains(describe, []byte("retention.ms=86400000")) {
		t.Errorf("the topic is %s", describe)
	}
}

// TestWireCountersElsewhere: to a file, as protobuf, and to nowhere.
func TestWireCountersElsewhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "counters.jsonl")
	collector, address := startCollect(t, "--to", "discard:", "--counters", "file:"+file)
	sendAll(t, address, counterDatagrams())
	eventually(t, "counter samples are written", func() bool {
		return collector.metrics(t).sum("tributary_sink_counter_samples_total", `result="delivered"`) == 4
	})
	collector.stop(t)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	counterLines(t, b)

	// As protobuf, under another name.
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	collector, address = startCollect(t, "--to", "kafka://"+broker, "--counters", "counters", "--counters-format", "protobuf")
	sendAll(t, address, counterDatagrams())
	eventually(t, "counter samples are delivered", func() bool {
		return collector.metrics(t).sum("tributary_sink_counter_samples_total", `result="delivered"`) == 4
	})
	collector.stop(t)
	consume := []string{"consume", "counters", "--kafka", "kafka://" + broker, "--from-beginning", "--exit-at-end"}
	counterLines(t, tributary(t, append(consume, "--decode")...))
	if raw := tributary(t, consume...); bytes.Contains(raw, []byte("sampler_address")) {
		t.Errorf("samples are %q", raw)
	}

	// No topic is made where there are no counters, or nobody wants them.
	_, broker = startBroker(t, t.TempDir(), "127.0.0.1:0")
	collector, address = startCollect(t, "--to", "kafka://"+broker, "--counters", "off")
	sendAll(t, address, counterDatagrams())
	eventually(t, "flows are delivered", func() bool { return collector.metrics(t).sink("delivered") == 2 })
	collector.stop(t)
	if topics := tributary(t, "topics", "list", "--kafka", "kafka://"+broker); bytes.Contains(topics, []byte("flow-counters")) {
		t.Errorf("topics are %s", topics)
	}
}
