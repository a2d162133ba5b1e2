package peers

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	flowpb "github.com/netsampler/goflow2/v2/pb"
	protoproducer "github.com/netsampler/goflow2/v2/producer/proto"
	"github.com/netsampler/goflow2/v2/utils"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/packet"
)

// goflow2 is its pipe from datagram to producer, as its own program runs it.
type goflow2 struct {
	pipe *utils.AutoFlowPipe
	got  []goflow2Record
}

// goflow2Record is a record of goflow2's, in each of its formats.
type goflow2Record struct {
	message  *flowpb.FlowMessage
	protobuf []byte
	json     string
}

func newGoflow2(t *testing.T) *goflow2 {
	t.Helper()
	cfg, err := (&protoproducer.ProducerConfig{}).Compile()
	if err != nil {
		t.Fatal(err)
	}
	producer, err := protoproducer.CreateProtoProducer(cfg, protoproducer.CreateSamplingSystem)
	if err != nil {
		t.Fatal(err)
	}
	g := new(goflow2)
	g.pipe = utils.NewFlowPipe(&utils.PipeConfig{Format: g, Producer: producer})
	return g
}

// Format is where goflow2 formats a record.
func (g *goflow2) Format(data any) (key, value []byte, err error) {
	m, ok := data.(*protoproducer.ProtoProducerMessage)
	if !ok {
		return nil, nil, fmt.Errorf("message is a %T", data)
	}
	r := goflow2Record{message: proto.CloneOf(&m.FlowMessage)}
	if r.protobuf, err = m.MarshalBinary(); err != nil {
		return nil, nil, err
	}
	if len(g.got) < 1000 { // it believes a count of 55,582 records
		text, err := m.MarshalJSON()
		if err != nil {
			return nil, nil, err
		}
		r.json = string(text)
	}
	g.got = append(g.got, r)
	return nil, nil, nil
}

// decode returns goflow2's records of a datagram. On some it never comes back.
func (g *goflow2) decode(t *testing.T, d *packet.Datagram) []goflow2Record {
	t.Helper()
	g.got = nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.pipe.DecodeFlow(&utils.Message{Src: d.Source, Dst: d.Destination, Payload: bytes.Clone(d.Payload), Received: d.Time})
	}()
	select {
	case <-done:
		return g.got
	case <-time.After(time.Minute):
		t.Fatalf("goflow2 does not come back from a datagram of %v: %x", d.Source, d.Payload)
		return nil
	}
}

// compared is one datagram with what each has made of it.
type compared struct {
	payload []byte
	records []*flow.Record        // ours
	ours    []*flowpb.FlowMessage // ours, read by goflow2's message
	theirs  []goflow2Record
}

// compareCapture decodes a capture with both and calls f for each datagram.
func compareCapture(t *testing.T, file string, f func(dg int, c *compared)) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	capture, err := packet.NewReader(bufio.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	datagrams := packet.NewDatagramReader(capture)
	decoder := collect.NewDecoder(collect.DefaultDecoderConfig())
	peer := newGoflow2(t)
	for i, d := 0, (packet.Datagram{}); ; i++ {
		if err := datagrams.Next(&d); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		c := compared{payload: d.Payload}
		_ = decoder.Decode(&flow.Datagram{Exporter: d.Source, Received: d.Time, Payload: d.Payload}, func(r *flow.Record) error {
			b := flow.AppendDelimited(nil, r)
			m := new(flowpb.FlowMessage)
			if err := protodelim.UnmarshalFrom(bytes.NewReader(b), m); err != nil {
				t.Fatalf("datagram %d: goflow2's message does not read ours: %v", i, err)
			}
			clone := new(flow.Record)
			if _, err := flow.DecodeAny(b, clone, func(*flow.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
			c.ours, c.records = append(c.ours, m), append(c.records, clone)
			return nil
		})
		c.theirs = peer.decode(t, &d)
		f(i, &c)
	}
}

func captureFiles(t *testing.T) []string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(captures.Dir(t), "flows", "*.pcap"))
	if len(files) < 100 {
		t.Fatalf("%d captures, want 100", len(files))
	}
	return files
}

// difference is a field of a record in which the two do not agree.
type difference struct {
	version      uint16 // of the protocol; 0: sFlow
	ours, theirs *flowpb.FlowMessage
	record       *flow.Record // ours, with fields that goflow2 has not
	x, y         protoreflect.Value
}

// exported is when the datagram was exported, as goflow2 takes it for start and end
// of flows that do not tell it by an element it knows.
func (d *difference) exported() uint64 { return d.record.Uint(flow.TimeExport) / 1e9 * 1e9 }

func (d *difference) template() bool { return d.version == 9 || d.version == 10 }

// prefixOf reports whether the list y is how the list x begins.
func prefixOf(y, x protoreflect.List) bool {
	if y.Len() > x.Len() {
		return false
	}
	for i := range y.Len() {
		if !y.Get(i).Equal(x.Get(i)) {
			return false
		}
	}
	return true
}

// differences are those that there should be. Each of them is met in the
// captures.
var differences = []struct {
	why    string
	fields []protoreflect.Name // none: all
	is     func(d *difference) bool
}{
	{"goflow2 leaves out the engine of NetFlow v5", []protoreflect.Name{"observation_domain_id"}, func(d *difference) bool {
		return d.version == 5 && d.y.Uint() == 0
	}},
	{
		"goflow2 takes the export time where v9 brings elements 150 to 157, and IPFIX sysUptime or the time of an event",
		[]protoreflect.Name{"time_flow_start_ns", "time_flow_end_ns"},
		func(d *difference) bool { return d.template() && d.y.Uint() == d.exported() },
	},
	{"goflow2 does not take sysUptime modulo 2^32", []protoreflect.Name{"time_flow_start_ns", "time_flow_end_ns"}, func(d *difference) bool {
		return d.version == 9 && int64(d.x.Uint()-d.y.Uint())%(1<<32*1e6) == 0
	}},
	{"goflow2 takes elements 23 and 24 for 1 and 2, even when they are zero, and does not know totals and initiators", []protoreflect.Name{"bytes", "packets"}, func(d *difference) bool {
		out := d.record.Uint(flow.OutBytes)
		if d.record.Uint(flow.Packets) == d.x.Uint() && d.record.Uint(flow.Bytes) != d.x.Uint() {
			out = d.record.Uint(flow.OutPackets)
		}
		return d.template() && (d.y.Uint() == 0 || d.y.Uint() == out)
	}},
	{"goflow2 takes postSourceMacAddress(81) for sourceMacAddress(56)", []protoreflect.Name{"src_mac"}, func(d *difference) bool {
		return d.template() && d.y.Uint() == d.record.Uint(flow.PostSrcMAC)
	}},
	{"goflow2 has one sampling rate a domain, from elements 34, 50 and 305 of options data alone", []protoreflect.Name{"sampling_rate"}, func(d *difference) bool {
		return d.template() && d.y.Uint() <= 1
	}},
	{"goflow2 does not know dot1qVlanId(243) and postDot1qVlanId(254)", []protoreflect.Name{"src_vlan", "dst_vlan", "vlan_id"}, func(d *difference) bool {
		return d.template() && d.y.Uint() == 0
	}},
	{"goflow2 does not know ipTTL(192)", []protoreflect.Name{"ip_ttl"}, func(d *difference) bool {
		return d.template() && d.y.Uint() == 0
	}},
	{"goflow2 has the last of two families though both are zero", []protoreflect.Name{"next_hop", "bgp_next_hop"}, func(d *difference) bool {
		x, _ := netip.AddrFromSlice(d.x.Bytes())
		y, _ := netip.AddrFromSlice(d.y.Bytes())
		return d.template() && x.IsUnspecified() && y.IsUnspecified()
	}},
	{"goflow2 keeps three of ten MPLS labels", []protoreflect.Name{"mpls_label"}, func(d *difference) bool {
		return d.template() && d.y.List().Len() == 3 && prefixOf(d.y.List(), d.x.List())
	}},
	{"goflow2 leaves the priority in the VLAN of a sampled header", []protoreflect.Name{"vlan_id"}, func(d *difference) bool {
		return d.version == 0 && d.y.Uint()&0xfff == d.x.Uint()
	}},
	{"goflow2 leaves the format in the interface of a sample", []protoreflect.Name{"in_if", "out_if"}, func(d *difference) bool {
		return d.version == 0 && d.y.Uint()>>30 != 0 && d.x.Uint() == 0
	}},
	{"goflow2 never fills the ICMP type and code of a sampled header", []protoreflect.Name{"icmp_type", "icmp_code"}, func(d *difference) bool {
		return d.version == 0 && d.y.Uint() == 0
	}},
	{"goflow2 takes a TCP header's length from its flags", []protoreflect.Name{"layer_size"}, func(d *difference) bool {
		return d.version == 0 && len(d.ours.LayerStack) >= len(d.theirs.LayerStack) &&
			slices.Contains(d.theirs.LayerStack, flowpb.FlowMessage_TCP)
	}},
	{"goflow2 stops at headers that it does not know: IPv6 options, tunnels over UDP, headers without Ethernet", nil, func(d *difference) bool {
		return d.version == 0 && len(d.ours.LayerStack) > len(d.theirs.LayerStack) &&
			slices.Equal(d.ours.LayerStack[:len(d.theirs.LayerStack)], d.theirs.LayerStack)
	}},
}

// TestRecords compares every record of every datagram in which both find as many
// of them: ours, read by goflow2's own message, and goflow2's.
func TestRecords(t *testing.T) {
	reasons := make([]int, len(differences))
	records, datagrams, uneven := 0, 0, 0
	for _, file := range captureFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pcap"), func(t *testing.T) {
			compareCapture(t, file, func(dg int, c *compared) {
				datagrams++
				if len(c.ours) != len(c.theirs) {
					uneven++
					return
				}
				for i := range c.ours {
					records++
					for _, text := range c.compare(i, reasons) {
						t.Errorf("datagram %d record %d: %s", dg, i, text)
					}
				}
			})
		})
	}
	t.Logf("%d records compared; of %d datagrams %d have not as many records in both", records, datagrams, uneven)
	if records < 9000 || uneven > 20 {
		t.Error("that is too few")
	}
	for i, n := range reasons {
		t.Logf("%6d fields differ: %s", n, differences[i].why)
		if n == 0 {
			t.Errorf("nothing differs because %s", differences[i].why)
		}
	}
}

func (c *compared) compare(i int, reasons []int) (wrong []string) {
	d := difference{version: binary.BigEndian.Uint16(c.payload), ours: c.ours[i], theirs: c.theirs[i].message, record: c.records[i]}
	fields := d.ours.ProtoReflect().Descriptor().Fields()
	for j := range fields.Len() {
		field := fields.Get(j)
		d.x, d.y = d.ours.ProtoReflect().Get(field), d.theirs.ProtoReflect().Get(field)
		if d.x.Equal(d.y) {
			continue
		}
		known := false
		for k := range differences {
			if f := differences[k].fields; (f == nil || slices.Contains(f, field.Name())) && differences[k].is(&d) {
				known = true
				reasons[k]++
				break
			}
		}
		if !known {
			wrong = append(wrong, fmt.Sprintf("%s of version %d: ours %s, goflow2's %s", field.Name(), d.version, show(d.x), show(d.y)))
		}
	}
	return wrong
}

// TestReadsGoflow2 reads what goflow2 writes, in both of its formats.
func TestReadsGoflow2(t *testing.T) {
	records := 0
	for _, file := range captureFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pcap"), func(t *testing.T) {
			compareCapture(t, file, func(dg int, c *compared) {
				for i := range c.theirs[:min(len(c.theirs), 1000)] {
					records++
					if err := readGoflow2(&c.theirs[i]); err != nil {
						t.Errorf("datagram %d record %d: %v", dg, i, err)
					}
				}
			})
		})
	}
	t.Logf("%d records", records)
}

// numbers are the members that tributary's JSON has within those of goflow2.
var numbers = regexp.MustCompile(`"(etype|proto)_number":[0-9]+,`)

func readGoflow2(theirs *goflow2Record) error {
	var r flow.Record
	n := 0
	if f, err := flow.DecodeAny(theirs.protobuf, &r, func(*flow.Record) error { n++; return nil }); err != nil || f != flow.Protobuf || n != 1 {
		return fmt.Errorf("%x is read as %d records of %s: %w", theirs.protobuf, n, f, err)
	}
	if err := sameValues(&r, theirs.message.ProtoReflect()); err != nil {
		return err
	}
	// Equal values make equal JSON: the same members, in the same order and
	// rendering.
	if ours := numbers.ReplaceAllString(string(flow.AppendJSON(nil, &r)), ""); ours != theirs.json {
		return fmt.Errorf("json is\n%s, goflow2's is\n%s", ours, theirs.json)
	}
	var fromText flow.Record
	if f, err := flow.DecodeAny([]byte(theirs.json), &fromText, func(*flow.Record) error { return nil }); err != nil || f != flow.JSON {
		return fmt.Errorf("json is read as %s: %w", f, err)
	}
	if strings.Contains(theirs.json, "invalid Prefix") {
		return nil // a length that is too great has no text
	}
	if again := numbers.ReplaceAllString(string(flow.AppendJSON(nil, &fromText)), ""); again != theirs.json {
		return fmt.Errorf("json is read and written as\n%s, was\n%s", again, theirs.json)
	}
	return nil
}

// sameValues reports a field in which a message differs from a record.
func sameValues(r *flow.Record, m protoreflect.Message) error {
	fields := m.Descriptor().Fields()
	for j := range fields.Len() {
		field := fields.Get(j)
		if field.Name() == "elements" {
			if got, want := m.Get(field).List().Len(), len(r.Elements()); got != want {
				return fmt.Errorf("%d elements, want %d", got, want)
			}
			continue
		}
		if field.Name() == "extras" {
			if err := sameExtras(r.Extras(), m.Get(field).List()); err != nil {
				return err
			}
			continue
		}
		f, ok := flow.FieldByName(string(field.Name()))
		if !ok || uint16(field.Number()) != f.Info().Number {
			return fmt.Errorf("%s: no such field", field.Name())
		}
		if got, want := show(m.Get(field)), show(protoreflect.ValueOf(valueOf(r, f))); got != want {
			return fmt.Errorf("%s is %s, want %s", f, got, want)
		}
	}
	return nil
}

// sameExtras reports an extra field in which messages differ from a record's.
func sameExtras(want []flow.ExtraValue, got protoreflect.List) error {
	if got.Len() != len(want) {
		return fmt.Errorf("%d extra fields, want %d", got.Len(), len(want))
	}
	for i, w := range want {
		m := got.Get(i).Message()
		value := m.WhichOneof(m.Descriptor().Oneofs().ByName("value"))
		if name := m.Get(m.Descriptor().Fields().ByName("name")).String(); name != w.Name() || value == nil || string(value.Name()) != w.Type().String()+"_value" {
			return fmt.Errorf("extra field %s has %v, want %s of type %s", name, value, w.Name(), w.Type())
		}
		text := show(protoreflect.ValueOf(w.Uint()))
		switch w.Type() {
		case flow.ExtraString, flow.ExtraList:
			text = string(w.Bytes())
		case flow.ExtraBytes, flow.ExtraIP:
			text = show(protoreflect.ValueOf(w.Bytes()))
		case flow.ExtraInt, flow.ExtraFloat, flow.ExtraBool:
			text = string(w.AppendTo(nil))
		}
		if v := show(m.Get(value)); v != text {
			return fmt.Errorf("extra field %s is %s, want %s", w.Name(), v, text)
		}
	}
	return nil
}

// valueOf returns the value of f as show shows a message's.
func valueOf(r *flow.Record, f flow.Field) any {
	list := func(n int, at func(i int) any) string {
		text := "["
		for i := range n {
			text += show(protoreflect.ValueOf(at(i))) + " "
		}
		return text + "]"
	}
	switch f.Info().Kind {
	case flow.KindAddr:
		return r.AddrBytes(f)
	case flow.KindText:
		return string(r.Bytes(f))
	case flow.KindBytes:
		return r.Bytes(f)
	case flow.KindUints, flow.KindLayers:
		return list(len(r.Uints(f)), func(i int) any { return uint64(r.Uints(f)[i]) })
	case flow.KindAddrs:
		return list(r.AddrCount(f), func(i int) any { return r.AddrAt(f, i).AsSlice() })
	}
	return r.Uint(f)
}

// TestProto compiles flow.proto, compares it with goflow2's message, and reads by
// it what tributary writes.
func TestProto(t *testing.T) {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{"../flow"}}}
	files, err := compiler.Compile(t.Context(), "flow.proto")
	if err != nil {
		t.Fatal(err)
	}
	ours := files[0].Messages().ByName("FlowMessage")
	theirs := (&flowpb.FlowMessage{}).ProtoReflect().Descriptor()
	if ours.FullName() != theirs.FullName() {
		t.Errorf("message is %s, goflow2's %s", ours.FullName(), theirs.FullName())
	}
	for i := range theirs.Fields().Len() {
		want := theirs.Fields().Get(i)
		got := ours.Fields().ByNumber(want.Number())
		if got == nil || got.Name() != want.Name() || got.Kind() != want.Kind() || got.Cardinality() != want.Cardinality() || got.IsPacked() != want.IsPacked() {
			t.Errorf("field %d is %v, goflow2's %v", want.Number(), got, want)
		}
	}
	for i := range theirs.Enums().Len() {
		want := theirs.Enums().Get(i)
		got := ours.Enums().ByName(want.Name())
		if got == nil || got.Values().Len() != want.Values().Len() {
			t.Errorf("enumeration %s is %v", want.Name(), got)
			continue
		}
		for j := range want.Values().Len() {
			w := want.Values().Get(j)
			if g := got.Values().ByNumber(w.Number()); g == nil || g.Name() != w.Name() {
				t.Errorf("%s %d is %v, goflow2's %s", want.Name(), w.Number(), g, w.Name())
			}
		}
	}
	records := 0
	for _, file := range captureFiles(t) {
		compareCapture(t, file, func(dg int, c *compared) {
			for i, r := range c.records {
				records++
				m := dynamicpb.NewMessage(ours)
				if err := proto.Unmarshal(flow.AppendProtobuf(nil, r), m); err != nil {
					t.Errorf("%s, datagram %d record %d: %v", filepath.Base(file), dg, i, err)
					continue
				}
				if err := sameValues(r, m); err != nil || len(m.GetUnknown()) > 0 {
					t.Errorf("%s, datagram %d record %d: unknown %x, %v", filepath.Base(file), dg, i, m.GetUnknown(), err)
				}
			}
		})
	}
	t.Logf("%d records", records)
}

// TestCountersProto compiles counters.proto, and reads by it what tributary writes.
func TestCountersProto(t *testing.T) {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{"../collect"}}}
	files, err := compiler.Compile(t.Context(), "counters.proto")
	if err != nil {
		t.Fatal(err)
	}
	message := files[0].Messages().ByName("CounterSample")
	samples, values := 0, 0
	decoder := collect.NewDecoder(collect.DecoderConfig{Counters: func(s *collect.CounterSample) {
		samples++
		m := dynamicpb.NewMessage(message)
		if err := proto.Unmarshal(s.AppendProtobuf(nil), m); err != nil || len(m.GetUnknown()) > 0 {
			t.Fatalf("%v, unknown %x", err, m.GetUnknown())
		}
		records := m.Get(message.Fields().ByName("records")).List()
		if records.Len() != len(s.Sample.Records) {
			t.Errorf("%d records, want %d", records.Len(), len(s.Sample.Records))
		}
		for i := range records.Len() {
			r := records.Get(i).Message()
			if format := r.Get(r.Descriptor().Fields().ByName("format")).Uint(); format != uint64(s.Sample.Records[i].Format.Number()) {
				t.Errorf("record of format %d, want %v", format, s.Sample.Records[i].Format)
			}
			values += r.Get(r.Descriptor().Fields().ByName("values")).List().Len()
		}
	}})
	for _, file := range captureFiles(t) {
		in, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		capture, err := packet.NewReader(bufio.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		datagrams := packet.NewDatagramReader(capture)
		for d := (packet.Datagram{}); datagrams.Next(&d) == nil; {
			_ = decoder.Decode(&flow.Datagram{Exporter: d.Source, Received: d.Time, Payload: d.Payload}, func(*flow.Record) error { return nil })
		}
		in.Close()
	}
	if samples < 100 || values < 10*samples {
		t.Errorf("%d samples with %d values", samples, values)
	}
	t.Logf("%d samples, %d values", samples, values)
}

// show shows a value: numbers of all types alike, octets in hexadecimal.
func show(v protoreflect.Value) string {
	switch v := v.Interface().(type) {
	case []byte:
		return fmt.Sprintf("%x", v)
	case protoreflect.List:
		text := "["
		for i := range v.Len() {
			text += show(v.Get(i)) + " "
		}
		return text + "]"
	default:
		return fmt.Sprint(v)
	}
}
