package collect_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/sflow"
)

// protoField is a field in counters.proto.
type protoField struct {
	typ, name string
	repeated  bool
}

// protoMessages reads the messages of counters.proto.
func protoMessages(t *testing.T) map[string]map[protowire.Number]protoField {
	t.Helper()
	b, err := os.ReadFile("counters.proto")
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]map[protowire.Number]protoField{}
	name := ""
	line := regexp.MustCompile(`^\s+(repeated )?(\w+) (\w+) = (\d+);`)
	for l := range strings.Lines(string(b)) {
		if m, ok := strings.CutPrefix(l, "message "); ok {
			name, _, _ = strings.Cut(m, " ")
			messages[name] = map[protowire.Number]protoField{}
		} else if m := line.FindStringSubmatch(l); m != nil {
			n, _ := strconv.Atoi(m[4])
			messages[name][protowire.Number(n)] = protoField{m[2], m[3], m[1] != ""}
		}
	}
	return messages
}

// readProto writes a message as text, as counters.proto says what it is.
func readProto(t *testing.T, messages map[string]map[protowire.Number]protoField, name string, b []byte) string {
	t.Helper()
	var parts []string
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		f, ok := messages[name][number]
		if !ok {
			t.Fatalf("%s has no field %d", name, number)
		}
		value, want := "", protowire.BytesType
		switch f.typ {
		case "uint32", "uint64", "sint64":
			want = protowire.VarintType
		case "double":
			want = protowire.Fixed64Type
		}
		if wire != want {
			t.Fatalf("%s.%s is of wire type %d", name, f.name, wire)
		}
		switch wire {
		case protowire.VarintType:
			v, k := protowire.ConsumeVarint(b)
			value, n = strconv.FormatUint(v, 10), k
			if f.typ == "sint64" {
				value = strconv.FormatInt(protowire.DecodeZigZag(v), 10)
			}
		case protowire.Fixed64Type:
			v, k := protowire.ConsumeFixed64(b)
			value, n = fmt.Sprint(math.Float64frombits(v)), k
		default:
			v, k := protowire.ConsumeBytes(b)
			n = k
			switch f.typ {
			case "string":
				value = strconv.Quote(string(v))
			case "bytes":
				value = hex.EncodeToString(v)
			default:
				value = "{" + readProto(t, messages, f.typ, v) + "}"
			}
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		parts = append(parts, f.name+":"+value)
	}
	return strings.Join(parts, " ")
}

func TestCountersProtobuf(t *testing.T) {
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), SubAgent: 3, Sequence: 9, Uptime: 1000})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters, Sequence: 5, SourceIndex: 3})
	e.Counters(1001, 0, 20, 30, 1<<33)
	e.Record(4711<<12|7, []byte("mine"))
	e.Record(2000, cat(uint32(2), "h\xff\x00\x00", make([]byte, 15), uint8(1), uint32(3), uint32(2), uint32(0), uint32(77)))
	e.Record(2001, cat(uint32(2), uint32(1), uint32(1), "\x02\x00\x00\x00\x00\x01\x00\x00", uint32(2), uint32(0)))
	e.Record(3002, cat(uint32(math.MaxUint32-4)))
	e.Record(2003, cat(uint32(0x3fc00000)))
	var got []string
	messages := protoMessages(t)
	d := collect.NewDecoder(collect.DecoderConfig{Counters: func(s *collect.CounterSample) {
		whole := s.AppendProtobuf(nil)
		if text, ok := collect.AppendCountersJSON(nil, whole); !ok || string(text) != string(s.AppendJSON(nil)) {
			t.Errorf("protobuf is read as\n%s\nJSON is\n%s", text, s.AppendJSON(nil))
		}
		for n := range whole { // what is cut is none, or less
			if text, ok := collect.AppendCountersJSON(nil, whole[:n]); ok && !json.Valid(text) || !ok && len(text) > 0 {
				t.Errorf("%d of %d octets are read as %s", n, len(whole), text)
			}
		}
		got = append(got, readProto(t, messages, "CounterSample", s.AppendProtobuf(nil)))
	}})
	(&collector{t, d}).want(0, e.Finish())
	want := `time_received_ns:1700000001000000500 sampler_address:c000024d sub_agent:3 sequence_num:9 uptime_ms:1000 sample_sequence:5 source_id_index:3` +
		` records:{format:1001 name:"processor" values:{name:"cpu_5s" uint_value:0} values:{name:"cpu_1m" uint_value:20} values:{name:"cpu_5m" uint_value:30} values:{name:"total_memory" uint_value:8589934592} values:{name:"free_memory"}}` +
		` records:{enterprise:4711 format:7 octets:6d696e65}` +
		` records:{format:2000 name:"host_descr" values:{name:"hostname" string_value:"h` + "\ufffd" + `"} values:{name:"uuid" string_value:"00000000-0000-0000-0000-000000000001"} values:{name:"machine_type" uint_value:3} values:{name:"os_name" uint_value:2} values:{name:"os_release" string_value:""} octets:0000004d}` +
		` records:{format:2001 name:"host_adapters" values:{name:"adapters" list_value:{` +
		`values:{list_value:{values:{name:"ifIndex" uint_value:1} values:{name:"mac_address" list_value:{values:{mac_value:2199023255553}}}}}` +
		` values:{list_value:{values:{name:"ifIndex" uint_value:2} values:{name:"mac_address" list_value:{}}}}}}}` +
		` records:{format:3002 name:"humidity" values:{name:"relative" int_value:-5}}` +
		` records:{format:2003 name:"host_cpu" values:{name:"load_one" float_value:1.5}}`
	if len(got) != 1 || got[0] != want {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// TestCounterStructures: a sample of every structure there is, of zeros, is JSON
// and protobuf that agree on what there is.
func TestCounterStructures(t *testing.T) {
	messages := protoMessages(t)
	for _, f := range sflow.CounterFormats() {
		var e sflow.Encoder
		e.Start(nil, sflow.Datagram{Agent: ip("2001:db8::1")})
		e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters})
		e.Record(f, make([]byte, 400))
		n := 0
		d := collect.NewDecoder(collect.DecoderConfig{Counters: func(s *collect.CounterSample) {
			n++
			text := s.AppendJSON(nil)
			if again, ok := collect.AppendCountersJSON([]byte("x"), s.AppendProtobuf(nil)); !ok || string(again[1:]) != string(text) {
				t.Errorf("protobuf is read as\n%s\nJSON is\n%s", again, text)
			}
			var object struct {
				Counters map[string]map[string]any
			}
			if err := json.Unmarshal(text, &object); err != nil || len(object.Counters[sflow.CounterName(f)]) < 2 {
				t.Errorf("%v: %v of %s", f, err, text)
			}
			for name := range object.Counters[sflow.CounterName(f)] {
				if proto := readProto(t, messages, "CounterSample", s.AppendProtobuf(nil)); name != "more" && !strings.Contains(proto, fmt.Sprintf("name:%q", name)) {
					t.Errorf("%v: %s is not in %s", f, name, proto)
				}
			}
		}})
		(&collector{t, d}).want(0, e.Finish())
		if n != 1 {
			t.Errorf("%v: %d samples", f, n)
		}
	}
}

func FuzzAppendCountersJSON(f *testing.F) {
	var e sflow.Encoder
	e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77")})
	e.BeginSample(&sflow.Sample{Format: sflow.FormatCounters})
	e.Counters(1001, 0, 20, 30, 1<<33)
	e.Record(4711<<12|7, []byte("mine"))
	e.Record(2001, cat(uint32(1), uint32(1), uint32(1), "\x02\x00\x00\x00\x00\x01\x00\x00"))
	e.Record(2000, cat(uint32(2), "h1\x00\x00", make([]byte, 16), uint32(3), uint32(2), uint32(0), uint32(77)))
	d := collect.NewDecoder(collect.DecoderConfig{Counters: func(s *collect.CounterSample) { f.Add(s.AppendProtobuf(nil)) }})
	(&collector{f, d}).want(0, e.Finish())
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, ok := collect.AppendCountersJSON(nil, b); ok != json.Valid(text) {
			t.Fatalf("%v: %s", ok, text)
		}
	})
}
