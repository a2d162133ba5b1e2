package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/packet"
)

// exportCaptures calls f as a subtest for every capture of flow exports, for a quarter of
// them under the race detector: the same goroutines do the same with all, and without
// the detector all are done.
func exportCaptures(t *testing.T, f func(t *testing.T, file string)) {
	files, _ := filepath.Glob(filepath.Join(captures.Dir(t), "flows", "*.pcap"))
	if len(files) < 100 {
		t.Fatalf("%d captures, want 100", len(files))
	}
	for i, file := range files {
		if raceDetector && i%4 != 0 {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pcap"), func(t *testing.T) { f(t, file) })
	}
}

// TestCapturesDecode compares what decode prints with the expected records, by
// the program that came with them.
func TestCapturesDecode(t *testing.T) {
	dir := captures.Dir(t)
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("the checker of expected records wants python3: %v", err)
	}
	exportCaptures(t, func(t *testing.T, file string) {
		t.Parallel()
		var out, stderr bytes.Buffer
		if code := run(t.Context(), []string{"decode", "-r", file, "--format", "json", "--quiet", "--hold", "0"}, strings.NewReader(""), &out, &stderr); code != 0 {
			t.Fatalf("decode exits with %d: %s", code, stderr.Bytes())
		}
		flows := filepath.Join(t.TempDir(), "flows.jsonl")
		if err := os.WriteFile(flows, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		check := exec.CommandContext(t.Context(), python, filepath.Join(dir, "check_flows.py"), "-v",
			"--expected", strings.TrimSuffix(file, ".pcap")+".expected.json", "--map", filepath.Join(dir, "tributary-map.json"), "--flows", flows)
		if text, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

// expectedExport is the part of an expected result that the checker does not
// compare.
type expectedExport struct {
	Hostile  bool
	Data     *int `json:"data_records"` // nil: decoders disagree
	Options  int  `json:"options_records"`
	Unknown  int  `json:"sets_without_template"`
	Counters int  `json:"counter_samples"`
	Records  []expectedRecord
}

type expectedRecord struct {
	TemplateID *uint64     `json:"template_id"`
	NextHop    *netip.Addr `json:"next_hop"`
	OutBytes   *uint64     `json:"out_bytes"`
	OutPackets *uint64     `json:"out_packets"`
	BytesTotal *uint64     `json:"bytes_total"`
	PktsTotal  *uint64     `json:"packets_total"`
	InPhysIf   *uint64     `json:"in_phys_if"`
	OutPhysIf  *uint64     `json:"out_phys_if"`
	NATEvent   *uint64     `json:"nat_event"`
	Firewall   *uint64     `json:"firewall_event"`
	Direction  *uint64
	Elements   [][3]any `json:"ies"` // enterprise, id, hexadecimal value
}

// plainElements are elements whose number is the field's, whatever else the
// record has.
var plainElements = map[uint16]flow.Field{
	15: flow.NextHop, 16: flow.SrcAS, 17: flow.DstAS, 62: flow.NextHop, 18: flow.BGPNextHop, 63: flow.BGPNextHop, 128: flow.NextHopAS,
	23: flow.OutBytes, 24: flow.OutPackets, 25: flow.MinPacketLength, 26: flow.MaxPacketLength, 31: flow.IPv6FlowLabel,
	53: flow.IPTTLMax, 54: flow.FragmentID, 55: flow.PostIPTos, 56: flow.SrcMAC, 57: flow.PostDstMAC, 80: flow.DstMAC, 81: flow.PostSrcMAC,
	61: flow.FlowDirection, 85: flow.BytesTotal, 86: flow.PacketsTotal, 88: flow.FragmentOffset, 89: flow.ForwardingStatus,
	95: flow.ApplicationID, 96: flow.ApplicationName, 136: flow.FlowEndReason, 148: flow.FlowID,
	225: flow.PostNATSrcAddr, 226: flow.PostNATDstAddr, 227: flow.PostNATSrcPort, 228: flow.PostNATDstPort, 230: flow.NATEvent,
	231: flow.InitiatorBytes, 232: flow.ResponderBytes, 298: flow.InitiatorPackets, 299: flow.ResponderPackets,
	233: flow.FirewallEvent, 234: flow.IngressVRFID, 235: flow.EgressVRFID, 252: flow.InPhysIf, 253: flow.OutPhysIf,
	281: flow.PostNATSrcAddr, 282: flow.PostNATDstAddr, 351: flow.Layer2SegmentID,
	229: flow.NATOriginatingAddressRealm, 283: flow.NATPoolID, 284: flow.NATPoolName,
	361: flow.PortRangeStart, 362: flow.PortRangeEnd, 363: flow.PortRangeStepSize, 364: flow.PortRangeNumPorts,
}

// decodeCapture decodes a capture datagram by datagram, with or without holding
// what comes before its template.
func decodeCapture(t testing.TB, file string, datagram func(i int, err error), record func(i, n int, r *flow.Record)) collect.DecoderStats {
	t.Helper()
	return decodeCaptureWith(t, collect.DecoderConfig{HoldOctets: -1}, file, datagram, record)
}

func decodeCaptureWith(t testing.TB, cfg collect.DecoderConfig, file string, datagram func(i int, err error), record func(i, n int, r *flow.Record)) collect.DecoderStats {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	capture, err := packet.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	decoder := collect.NewDecoder(cfg)
	datagrams := packet.NewDatagramReader(capture)
	var g packet.Datagram
	for i := 0; ; i++ {
		if err := datagrams.Next(&g); errors.Is(err, io.EOF) {
			return decoder.Stats()
		} else if err != nil {
			t.Fatal(err)
		}
		n := 0
		err := decoder.Decode(&flow.Datagram{Exporter: g.Source, Received: g.Time, Payload: g.Payload}, func(r *flow.Record) error {
			record(i, n, r)
			n++
			return nil
		})
		datagram(i, err)
	}
}

// heldInCaptures are the captures that have data before their template, and how
// many records more there are when these are held.
var heldInCaptures = map[string]int{
	"ipfix-datatemplate-graylog":  3,
	"nf9-datatemplates-mixed-akv": 11,
	"nf9-fortigate-300d-graylog":  81,
}

// TestCapturesHold: what comes before its template is decoded when that comes,
// and everything else stays as it is without.
func TestCapturesHold(t *testing.T) {
	exportCaptures(t, func(t *testing.T, file string) {
		count := func(cfg collect.DecoderConfig) (datagrams []uint64, s collect.ExporterStats) {
			var now uint64
			s = decodeCaptureWith(t, cfg, file, func(int, error) {
				datagrams = append(datagrams, now)
				now = 0
			}, func(_, _ int, r *flow.Record) {
				now += 1 + r.Uint(flow.Bytes) + r.Uint(flow.Packets)<<32 // whatever it says
			}).Total
			return datagrams, s
		}
		plain, without := count(collect.DecoderConfig{HoldOctets: -1})
		held, with := count(collect.DecoderConfig{})
		want := heldInCaptures[strings.TrimSuffix(filepath.Base(file), ".pcap")]
		if got := int(with.Records - without.Records); got != want {
			t.Errorf("%d records, and %d more with those held, want %d more", without.Records, got, want)
		}
		if want == 0 && !slices.Equal(plain, held) {
			t.Error("records are not the same as without holding")
		}
		if with.HeldSets != without.MissingTemplates || with.HeldDecoded+with.Held() != with.HeldSets || with.MissingTemplates != 0 {
			t.Errorf("%d sets held, %d decoded later, %d still held, %d given up; without %d lack their template",
				with.HeldSets, with.HeldDecoded, with.Held(), with.MissingTemplates, without.MissingTemplates)
		}
		if with.Options < without.Options || with.Malformed != without.Malformed {
			t.Errorf("%d options records, malformed %v; without %d and %v", with.Options, with.Malformed, without.Options, without.Malformed)
		}
	})
}

// TestCapturesElements compares every element of every record: those that have a
// field of their own, and that those kept in elements are the octets of the wire.
func TestCapturesElements(t *testing.T) {
	exportCaptures(t, func(t *testing.T, file string) {
		var want expectedExport
		b, err := os.ReadFile(strings.TrimSuffix(file, ".pcap") + ".expected.json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		// Records are in the order of the wire, so that a place in the list counts
		// where there are as many as expected.
		total := 0
		decodeCapture(t, file, func(int, error) {}, func(int, int, *flow.Record) { total++ })
		if total != len(want.Records) {
			want.Records = nil
		}
		compared, malformed := 0, 0
		stats := decodeCapture(t, file, func(i int, err error) {
			if err != nil {
				malformed++
			}
		}, func(i, n int, r *flow.Record) {
			if compared < len(want.Records) {
				for _, err := range compareElements(&want.Records[compared], r) {
					t.Errorf("datagram %d record %d: %v", i, n, err)
				}
				compared++
			}
		})
		if want.Hostile || want.Data == nil {
			return
		}
		if compared != total {
			t.Errorf("%d records could be compared, want %d", compared, total)
		}
		if malformed > 0 {
			t.Errorf("%d datagrams malformed: %v", malformed, stats.Total.Malformed)
		}
		s := stats.Total
		if s.Options != uint64(want.Options) || s.MissingTemplates != uint64(want.Unknown) || s.CounterSamples != uint64(want.Counters) {
			t.Errorf("options records %d, sets without template %d, counter samples %d; want %d, %d, %d",
				s.Options, s.MissingTemplates, s.CounterSamples, want.Options, want.Unknown, want.Counters)
		}
	})
}

func compareElements(e *expectedRecord, r *flow.Record) (errs []error) {
	number := func(f flow.Field, want *uint64) {
		if want != nil && r.Uint(f) != *want {
			errs = append(errs, fmt.Errorf("%s is %d, want %d", f, r.Uint(f), *want))
		}
	}
	number(flow.TemplateID, e.TemplateID)
	number(flow.OutBytes, e.OutBytes)
	number(flow.OutPackets, e.OutPackets)
	number(flow.BytesTotal, e.BytesTotal)
	number(flow.PacketsTotal, e.PktsTotal)
	number(flow.InPhysIf, e.InPhysIf)
	number(flow.OutPhysIf, e.OutPhysIf)
	number(flow.NATEvent, e.NATEvent)
	number(flow.FirewallEvent, e.Firewall)
	number(flow.FlowDirection, e.Direction)
	if e.NextHop != nil && r.Addr(flow.NextHop) != *e.NextHop {
		errs = append(errs, fmt.Errorf("next_hop is %v, want %v", r.Addr(flow.NextHop), *e.NextHop))
	}
	kept := slices.Clone(r.Elements())
	seen := map[flow.Field]int{}
	for _, ie := range e.Elements {
		if f, ok := plainElements[uint16(ie[1].(float64))]; ok && ie[0].(float64) == 0 {
			seen[f]++
		}
	}
	for _, ie := range e.Elements {
		enterprise, id := uint32(ie[0].(float64)), uint16(ie[1].(float64))
		value, err := hex.DecodeString(ie[2].(string))
		if err != nil {
			return append(errs, err)
		}
		if i := slices.IndexFunc(kept, func(k flow.Element) bool {
			return k.Enterprise == enterprise && k.ID == id && bytes.Equal(k.Value, value)
		}); i >= 0 {
			kept = slices.Delete(kept, i, i+1)
			continue
		}
		f, ok := plainElements[id]
		if !ok || enterprise != 0 || seen[f] > 1 {
			continue
		}
		switch f.Info().Kind {
		case flow.KindAddr:
			if !bytes.Equal(r.AddrBytes(f), value) {
				errs = append(errs, fmt.Errorf("%s is %v, want %x", f, r.Addr(f), value))
			}
		case flow.KindText, flow.KindBytes:
			if !bytes.Equal(r.Bytes(f), value) {
				errs = append(errs, fmt.Errorf("%s is %x, want %x", f, r.Bytes(f), value))
			}
		default:
			var b [8]byte
			if len(value) <= 8 {
				copy(b[8-len(value):], value)
			}
			if want := binary.BigEndian.Uint64(b[:]); r.Uint(f) != want {
				errs = append(errs, fmt.Errorf("%s is %d, want %d", f, r.Uint(f), want))
			}
		}
	}
	if len(e.Elements) > 0 && len(kept) > 0 {
		errs = append(errs, fmt.Errorf("element %d/%d of %x is not on the wire there", kept[0].Enterprise, kept[0].ID, kept[0].Value))
	}
	return errs
}

// TestCapturesFormats takes every record of every capture through every format
// and back.
func TestCapturesFormats(t *testing.T) {
	kflow := []flow.Field{
		flow.SamplerAddress, flow.SrcAddr, flow.SrcPort, flow.DstAddr, flow.DstPort,
		flow.Proto, flow.TCPFlags, flow.Bytes, flow.Packets,
	}
	exportCaptures(t, func(t *testing.T, file string) {
		var buf []byte
		var back flow.Record
		decodeCapture(t, file, func(int, error) {}, func(i, n int, r *flow.Record) {
			for _, name := range flow.FormatNames() {
				format, err := flow.ParseFormat(name)
				if err != nil {
					t.Fatal(err)
				}
				buf = format.Append(buf[:0], r)
				if format.Text() && !json.Valid(buf) {
					t.Fatalf("datagram %d record %d as %s is no JSON: %s", i, n, format, buf)
				}
				records := 0
				got, err := flow.DecodeAny(buf, &back, func(*flow.Record) error { records++; return nil })
				if format == flow.Packed {
					format = flow.Protobuf // one message of it is the same
				}
				if err != nil || got != format || records != 1 {
					t.Fatalf("datagram %d record %d as %s is read as %d records of %s: %v", i, n, format, records, got, err)
				}
				only := kflow
				if format != flow.KFlow {
					only = nil
				}
				if format == flow.JSON {
					// A prefix longer than its address has no text.
					noPrefix(r, &back, flow.SrcNet, flow.SrcAddr)
					noPrefix(r, &back, flow.DstNet, flow.DstAddr)
				}
				if diff := diffRecords(r, &back, only); diff != "" {
					t.Fatalf("datagram %d record %d as %s: %s", i, n, format, diff)
				}
			}
		})
	})
}

func noPrefix(r, back *flow.Record, net, addr flow.Field) {
	if int(r.Uint(net)) > r.Addr(addr).BitLen() && !back.Has(net) {
		back.SetUint(net, r.Uint(net))
	}
}

// diffRecords tells where two records hold different values in the given
// fields, or in all and their elements. Zero and absent are the same.
func diffRecords(a, b *flow.Record, only []flow.Field) string {
	for i, info := range flow.Fields() {
		f := flow.Field(i)
		if only != nil && !slices.Contains(only, f) {
			continue
		}
		if x, y := valueOf(a, f, info.Kind), valueOf(b, f, info.Kind); x != y {
			return fmt.Sprintf("%s is %s, want %s", f, y, x)
		}
	}
	if only == nil && fmt.Sprint(a.Elements()) != fmt.Sprint(b.Elements()) {
		return fmt.Sprintf("elements are %v, want %v", b.Elements(), a.Elements())
	}
	return ""
}

func valueOf(r *flow.Record, f flow.Field, kind flow.Kind) string {
	switch kind {
	case flow.KindAddr:
		if a := r.Addr(f); a.IsValid() && !(a.Is4() && a.IsUnspecified()) { // KFlow has 0.0.0.0 for none
			return a.String()
		}
		return ""
	case flow.KindText:
		return string([]rune(string(r.Bytes(f)))) // U+FFFD for each octet that is not UTF-8
	case flow.KindBytes:
		return hex.EncodeToString(r.Bytes(f))
	case flow.KindUints, flow.KindLayers:
		return fmt.Sprint(r.Uints(f))
	case flow.KindAddrs:
		var list []netip.Addr
		for i := range r.AddrCount(f) {
			list = append(list, r.AddrAt(f, i))
		}
		return fmt.Sprint(list)
	default:
		return fmt.Sprint(r.Uint(f))
	}
}
