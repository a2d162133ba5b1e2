package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-net/tributary/internal/traffic"
)

// TestWireKFlow: what a site has around KFlow goes on when the program is another:
// its properties, its exporters, those who read its JSON, and its monitoring.
func TestWireKFlow(t *testing.T) {
	t.Parallel()
	_, brokers := startBroker(t, t.TempDir(), "127.0.0.1:0")
	site, err := filepath.Abs(filepath.Join("testdata", "kflow.properties"))
	if err != nil {
		t.Fatal(err)
	}
	collector := start(t, "collect", "--log-format", "json", "--kflow", site, "-Dapp.kafka.props.bootstrap.servers="+brokers+","+brokers)
	listen, err := netip.ParseAddrPort(collector.logged(t, "collecting", "listen"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", fmt.Sprint("127.0.0.1:", listen.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	exporter := traffic.NewNetwork(1).Exporters()[1] // IPFIX, with all that routers send
	reader := kflowReader{templates: map[uint16][]kflowField{}}
	var want []string
	now := time.Now()
	const datagrams = 200
	for i := range datagrams {
		// Not all at once: what is sent has to fit the socket.
		eventually(t, "earlier datagrams are received", func() bool { return i%50 > 0 || collector.metrics(t).received() >= uint64(i) })
		b := exporter.Next(now.Add(time.Duration(i)*time.Second), nil)
		want = append(want, reader.read(b)...)
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all flows are in Kafka", func() bool { return collector.metrics(t).settled(datagrams) })
	if len(want) < 1000 {
		t.Fatalf("only %d flows were sent", len(want))
	}

	t.Run("monitoring", func(t *testing.T) {
		_, page := collector.get(t, "/")
		for _, line := range []string{
			"server_packet_drops_total 0",
			"server_receive_queue 0",
			fmt.Sprintf("decoder_ipfix_packets_total %d", datagrams),
			fmt.Sprintf("decoder_ipfix_flows_total %d", len(want)),
			`decoder_ipfix_errors_total{error="unknown template id"} 0`,
			`decoder_ipfix_errors_total{error="malformed packet"} 0`,
			fmt.Sprintf(`tributary_collect_records_total{exporter="127.0.0.1"} %d`, len(want)),
		} {
			if !strings.Contains(page, "\n"+line+"\n") {
				t.Errorf("the page at / has no line %q", line)
			}
		}
		if m := collector.metrics(t); m["decoder_ipfix_templates"] == 0 {
			t.Error("/metrics has no templates by KFlow's name")
		}
		if status, _ := collector.get(t, "/nothing"); status != 404 {
			t.Errorf("/nothing answers %d", status)
		}
	})
	t.Run("said at the start", func(t *testing.T) {
		if names := collector.logged(t, "properties without effect", "names"); names != "[kafka.props.key.serializer kafka.props.max.block.ms]" {
			t.Errorf("without effect: %s", names)
		}
		if strings.Contains(collector.log(), "unknown property") {
			t.Error("a property of the file is unknown")
		}
	})

	collector.stop(t)
	got := strings.Split(strings.TrimSpace(string(tributary(t, "consume", "ipfix-lab", "--kafka", "kafka://"+brokers, "--from-beginning", "--exit-at-end"))), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d flows came, %d were sent", len(got), len(want))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("\n got %s\nwant %s", got[i], want[i])
			}
		}
	}
	if topics := string(tributary(t, "topics", "list", "--kafka", "kafka://"+brokers)); strings.Contains(topics, ledgerTopic) || strings.Contains(topics, exportersTopic) || !strings.Contains(topics, "ipfix-lab") {
		t.Errorf("topics that KFlow would not have: %s", topics)
	}
}

// kflowReader reads IPFIX as KFlow does: eight elements, and the time of export.
// It shares nothing with our decoder. Beside KFlow it knows elements of variable
// length, and IPv6.
type kflowReader struct {
	templates map[uint16][]kflowField // options templates have none
}

type kflowField struct{ id, length int }

// read returns a line for each flow of a message.
func (k *kflowReader) read(b []byte) (lines []string) {
	exported := binary.BigEndian.Uint32(b[4:])
	for sets := b[16:binary.BigEndian.Uint16(b[2:])]; len(sets) > 0; {
		id, length := binary.BigEndian.Uint16(sets), binary.BigEndian.Uint16(sets[2:])
		set := sets[4:length]
		sets = sets[length:]
		switch {
		case id == 2:
			for len(set) >= 4 {
				template, count := binary.BigEndian.Uint16(set), binary.BigEndian.Uint16(set[2:])
				set = set[4:]
				var fields []kflowField
				for range count {
					f := kflowField{int(binary.BigEndian.Uint16(set)), int(binary.BigEndian.Uint16(set[2:]))}
					set = set[4:]
					if f.id >= 0x8000 {
						set = set[4:]
					}
					fields = append(fields, f)
				}
				k.templates[template] = fields
			}
		case id > 255 && k.templates[id] != nil:
			for len(set) >= 4 {
				var line string
				line, set = kflowLine(k.templates[id], set, exported)
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// kflowLine reads a record.
func kflowLine(fields []kflowField, b []byte, exported uint32) (line string, rest []byte) {
	values := map[int]uint64{}
	src, dst := "0.0.0.0", "0.0.0.0"
	for _, f := range fields {
		if f.length == 65535 {
			f.length, b = int(b[0]), b[1:]
			if f.length == 255 {
				f.length, b = int(binary.BigEndian.Uint16(b)), b[2:]
			}
		}
		value := b[:f.length]
		b = b[f.length:]
		switch f.id {
		case 8, 27:
			a, _ := netip.AddrFromSlice(value)
			src = a.String()
		case 12, 28:
			a, _ := netip.AddrFromSlice(value)
			dst = a.String()
		case 1, 2, 4, 6, 7, 11:
			n := uint64(0)
			for _, octet := range value {
				n = n<<8 | uint64(octet)
			}
			values[f.id] = n
		}
	}
	return fmt.Sprintf(`{"dvc":"127.0.0.1","src":%q,"srcp":%d,"dst":%q,"dstp":%d,"proto":%d,"flags":%d,"bytes":%d,"pkts":%d,"time":%d000}`,
		src, values[7], dst, values[11], values[4], values[6], values[1], values[2], exported), b
}
