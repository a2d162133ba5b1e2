package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/packet"
)

// formatCaptures have all that flow records can have, each of one exporter.
var formatCaptures = []string{
	"nf9-cisco-asr9k-opt256", "nf9-nat-akv", "nf9-nprobe-dpi", "nf5-softflowd-logstash",
	"ipfix-srv6-502-pmacct", "ipfix-barracuda-ext", "ipfix-yaf-applabel", "sflow-ndpi", "sflow-vflow",
}

// object reads a flow record. It leaves out what is another on another way: who
// sent it and when it came, which is its time where it has no other. Zero and
// absent are the same.
func object(t *testing.T, line []byte) string {
	t.Helper()
	var o map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%v: %.200s", err, line)
	}
	delete(o, "time_received_ns")
	delete(o, "sampler_address")
	if o["type"] == "SFLOW_5" || o["type"] == "FLOWUNKNOWN" {
		delete(o, "time_export_ns")
		delete(o, "time_flow_start_ns")
		delete(o, "time_flow_end_ns")
	}
	maps.DeleteFunc(o, func(_ string, v any) bool {
		// A prefix longer than its address has no text to be read again.
		return v == json.Number("0") || v == "0.0.0.0/0" || v == "invalid Prefix"
	})
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// objects reads a line each.
func objects(t *testing.T, lines []byte) []string {
	t.Helper()
	var list []string
	for line := range bytes.Lines(lines) {
		list = append(list, object(t, line))
	}
	slices.Sort(list)
	return list
}

// TestWireFormats: a collector writes to many topics at once, each in a format of
// its own, and consume reads the same flow records from all of them.
func TestWireFormats(t *testing.T) {
	shared := captures.Dir(t)
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	out := filepath.Join(t.TempDir(), "flows.bin")
	// One socket keeps the captures in order: what one announces counts for the next.
	args := []string{"--workers", "1", "--to", "file:" + out + "?format=packed"}
	for _, format := range flow.FormatNames() {
		args = append(args, "--to", "kafka://"+broker+"/"+format+"?format="+format+"&compression.type=zstd")
	}
	collector, address := startCollect(t, args...)

	want := map[flow.Format][]string{} // JSON that each format leads to
	decoder := collect.NewDecoder(collect.DefaultDecoderConfig())
	for i, name := range formatCaptures {
		file := filepath.Join(shared, "flows", name+".pcap")
		tributary(t, "replay", "-r", file, "--to", "udp://"+address, "--pace", "20k/s", "--quiet")
		var back flow.Record
		from := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(10_000+i)) // as the collector sees it
		eachDatagram(t, file, func(g *packet.Datagram) {
			_ = decoder.Decode(&flow.Datagram{Exporter: from, Received: g.Time, Payload: g.Payload}, func(r *flow.Record) error {
				for i := range flow.FormatNames() {
					f := flow.Format(i)
					direct := flow.AppendJSON(nil, r)
					if f == flow.KFlow { // which has less
						_, err := flow.DecodeAny(f.Append(nil, r), &back, func(r *flow.Record) error {
							direct = flow.AppendJSON(nil, r)
							return nil
						})
						if err != nil {
							t.Fatal(err)
						}
					}
					want[f] = append(want[f], object(t, direct))
				}
				return nil
			})
		})
	}
	collector.stop(t)
	t.Run("file", func(t *testing.T) {
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if _, err := flow.DecodeAny(b, new(flow.Record), func(r *flow.Record) error {
			got = append(got, object(t, flow.AppendJSON(nil, r)))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		slices.Sort(want[flow.Packed])
		if !slices.Equal(got, want[flow.Packed]) {
			t.Errorf("%d flow records, want %d, or they are others", len(got), len(want[flow.Packed]))
		}
	})
	for i, name := range flow.FormatNames() {
		t.Run(name, func(t *testing.T) {
			want := want[flow.Format(i)]
			slices.Sort(want)
			got := objects(t, tributary(t, "consume", name, "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--decode"))
			if len(want) < 50 || len(got) != len(want) {
				t.Fatalf("%d flow records, want %d", len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("flow record\n got %s\nwant %s", got[i], want[i])
				}
			}
			// What is printed as an object has them too.
			n := 0
			for line := range bytes.Lines(tributary(t, "consume", name, "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--decode", "--output", "json")) {
				var o struct{ Value json.RawMessage }
				if err := json.Unmarshal(line, &o); err != nil {
					t.Fatal(err)
				}
				var list []json.RawMessage
				if json.Unmarshal(o.Value, &list) != nil {
					list = []json.RawMessage{o.Value}
				}
				for _, v := range list {
					object(t, v)
				}
				n += len(list)
			}
			if n != len(want) {
				t.Errorf("%d flow records in JSON objects, want %d", n, len(want))
			}
		})
	}
}

// murmur2 is the hash of Kafka's own partitioner
// (org.apache.kafka.common.utils.Utils.murmur2), written down here once more.
func murmur2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := 0x9747b28c ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

// TestWireKey: the key is made of fields as JSON has them, and decides on the
// partition as it does for a Java producer.
func TestWireKey(t *testing.T) {
	if int32(murmur2([]byte("foobar"))) != -790332482 { // what Java's gives
		t.Fatal("murmur2 is not Kafka's")
	}
	shared := captures.Dir(t)
	_, broker := startBroker(t, t.TempDir(), "127.0.0.1:0")
	collector, address := startCollect(t, "--to", "kafka://"+broker+"/keyed?key=src_addr,proto,src_port&format=json", "--partitions", "7")
	tributary(t, "replay", "-r", filepath.Join(shared, "flows", "nf5-softflowd-logstash.pcap"), "--to", "udp://"+address, "--pace", "20k/s", "--quiet")
	tributary(t, "replay", "-r", filepath.Join(shared, "flows", "ipfix-softflowd-http_ipv6-gen.pcap"), "--to", "udp://"+address, "--pace", "20k/s", "--quiet")
	collector.stop(t)
	lines, used := 0, map[string]bool{}
	for line := range strings.Lines(string(tributary(t, "consume", "keyed", "--kafka", "kafka://"+broker, "--from-beginning", "--exit-at-end", "--decode", "--print", "partition,key,value"))) {
		lines++
		part := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		used[part[0]] = true
		var r struct {
			Src   string `json:"src_addr"`
			Proto string
			Port  int `json:"src_port"`
		}
		if err := json.Unmarshal([]byte(part[2]), &r); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%s,%s,%d", r.Src, r.Proto, r.Port); part[1] != want {
			t.Errorf("key %q, want %q", part[1], want)
		}
		if want := fmt.Sprint(murmur2([]byte(part[1])) & 0x7fffffff % 7); part[0] != want {
			t.Errorf("key %q is in partition %s, want %s", part[1], part[0], want)
		}
	}
	if lines != 60 || len(used) < 5 {
		t.Errorf("%d records in %d partitions, want 60 in nearly all 7", lines, len(used))
	}
}
