package sflow_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/packet"
	"github.com/tributary-net/tributary/sflow"
)

type expectedDatagram struct {
	Dg        int
	Len       int
	Agent     string
	SubAgent  uint32 `json:"sub_agent"`
	Sequence  uint32
	Uptime    uint32 `json:"uptime_ms"`
	Samples   uint32 `json:"samples_in_header"`
	Flow      int    `json:"flow_samples"`
	Counters  int    `json:"counter_samples"`
	Drops     int    `json:"drop_samples"`
	Truncated bool
}

// expectedSample is a record of an expected result: absent fields are nil and not
// compared.
type expectedSample struct {
	Dg, N        int
	Kind         string
	SourceType   *uint32 `json:"source_id_type"`
	SourceIndex  *uint32 `json:"source_id_index"`
	Seq          *uint32
	Tag          string
	Records      []string
	SamplingRate *uint32 `json:"sampling_rate"`
	SamplePool   *uint32 `json:"sample_pool"`
	Drops        *uint32
	InIf         *uint32     `json:"in_if"`
	OutIf        *uint32     `json:"out_if"`
	OutIfFormat  *uint32     `json:"out_if_format"`
	OutIfValue   *uint32     `json:"out_if_value"`
	FrameLength  *uint32     `json:"frame_length"`
	Protocol     *uint32     `json:"header_protocol"`
	Stripped     *uint32     `json:"stripped"`
	HeaderLen    *uint32     `json:"header_len"`
	SrcAddr      *netip.Addr `json:"src_addr"`
	DstAddr      *netip.Addr `json:"dst_addr"`
	Proto        *uint32
	SrcPort      *uint32 `json:"src_port"`
	DstPort      *uint32 `json:"dst_port"`
	TCPFlags     *uint32 `json:"tcp_flags"`
	ICMPType     *uint32 `json:"icmp_type"`
	ICMPCode     *uint32 `json:"icmp_code"`
	SrcMAC       *string `json:"src_mac"`
	DstMAC       *string `json:"dst_mac"`
	VLAN         *uint32
	DropReason   *string           `json:"drop_reason"`
	Switch       map[string]uint32 `json:"ext_switch"`
	Router       map[string]string `json:"ext_router"`
	Gateway      map[string]string `json:"ext_gateway"`
	IfCounters   map[string]uint64 `json:"if_counters"`
}

func TestCaptures(t *testing.T) {
	dir := filepath.Join(captures.Dir(t), "flows")
	files, _ := filepath.Glob(filepath.Join(dir, "sflow-*.pcap"))
	if len(files) < 17 {
		t.Fatalf("%d captures, want at least 17", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".pcap"), func(t *testing.T) {
			testCapture(t, file)
		})
	}
}

func testCapture(t *testing.T, file string) {
	var want struct {
		Hostile   bool
		Data      *int               `json:"data_records"`
		AnyOf     []int              `json:"data_records_any_of"`
		Detail    []expectedDatagram `json:"datagrams_detail"`
		Records   []expectedSample
		Counters  []expectedSample
		NCounters int `json:"counter_samples"`
	}
	captures.ReadJSON(t, strings.TrimSuffix(file, ".pcap")+".expected.json", &want)
	expected := map[string]*expectedSample{}
	for _, list := range [][]expectedSample{want.Records, want.Counters} {
		for i := range list {
			e := &list[i]
			expected[fmt.Sprint(e.Kind == "counter", e.Dg, e.N)] = e
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := packet.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	in := packet.NewDatagramReader(r)
	var g packet.Datagram
	var d sflow.Datagram
	flows, counters := 0, 0
	for dg := 0; ; dg++ {
		if err := in.Next(&g); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var e expectedDatagram
		if dg < len(want.Detail) {
			e = want.Detail[dg]
		}
		if err := d.Decode(g.Payload); err != nil {
			if !want.Hostile {
				t.Errorf("datagram %d: %v", dg, err)
			}
			continue
		}
		if !want.Hostile && (d.Agent.String() != e.Agent || d.SubAgent != e.SubAgent || d.Sequence != e.Sequence ||
			d.Uptime != e.Uptime || d.Samples != e.Samples) {
			t.Errorf("datagram %d: agent %v, sub-agent %d, sequence %d, uptime %d, %d samples, want %+v",
				dg, d.Agent, d.SubAgent, d.Sequence, d.Uptime, d.Samples, e)
		}
		fn, cn, n := 0, 0, 0
		for s := d.Next(); s != nil; s = d.Next() {
			if s.Kind == sflow.Counters {
				cn++
			} else if s.Kind != sflow.Other {
				fn++
			}
			x := expected[fmt.Sprint(s.Kind == sflow.Counters, dg, n)]
			n++
			if x != nil {
				compareSample(t, s, x)
				delete(expected, fmt.Sprint(s.Kind == sflow.Counters, x.Dg, x.N))
			}
		}
		if err := d.Err(); err != nil && !want.Hostile && want.Data != nil {
			t.Errorf("datagram %d: %v", dg, err)
		}
		if fn+cn != e.Flow+e.Drops+e.Counters && !want.Hostile && want.Data != nil {
			t.Errorf("datagram %d: %d and %d samples, want %+v", dg, fn, cn, e)
		}
		flows += fn
		counters += cn
	}
	for k := range expected {
		t.Errorf("sample (counters, datagram, number) %s is missing", k)
	}
	switch {
	case want.Data != nil && flows != *want.Data:
		t.Errorf("%d data records, want %d", flows, *want.Data)
	case want.Data == nil && !slices.Contains(want.AnyOf, flows):
		t.Errorf("%d data records, want one of %v", flows, want.AnyOf)
	}
	if counters != want.NCounters {
		t.Errorf("%d counter samples, want %d", counters, want.NCounters)
	}
}

func compareSample(t *testing.T, s *sflow.Sample, e *expectedSample) {
	t.Helper()
	where := fmt.Sprintf("datagram %d, sample %d", e.Dg, e.N)
	check := func(what string, got uint32, want *uint32) {
		t.Helper()
		if want != nil && got != *want {
			t.Errorf("%s: %s is %d, want %d", where, what, got, *want)
		}
	}
	check("source type", s.SourceType, e.SourceType)
	check("source index", s.SourceIndex, e.SourceIndex)
	check("sequence", s.Sequence, e.Seq)
	check("sampling rate", s.SamplingRate, e.SamplingRate)
	check("pool", s.Pool, e.SamplePool)
	check("drops", s.Drops, e.Drops)
	if s.Format.String() != e.Tag {
		t.Errorf("%s: format %v, want %v", where, s.Format, e.Tag)
	}
	if e.Records != nil {
		var got []string
		for _, r := range s.Records {
			got = append(got, r.Format.String())
		}
		if !slices.Equal(got, e.Records) {
			t.Errorf("%s: records %v, want %v", where, got, e.Records)
		}
	}
	if s.Truncated {
		t.Errorf("%s: is truncated", where)
	}
	if s.Kind == sflow.Counters {
		compareCounters(t, where, s, e)
		return
	}
	check("input interface", s.Input.Raw(), e.InIf)
	check("output interface", s.Output.Value, e.OutIf)
	check("output format", s.Output.Format, e.OutIfFormat)
	check("output value", s.Output.Value, e.OutIfValue)
	if e.DropReason != nil && s.Reason.String() != *e.DropReason {
		t.Errorf("%s: dropped for %v, want %s", where, s.Reason, *e.DropReason)
	}
	if e.Switch != nil {
		got := map[string]uint32{
			"in_vlan": s.Switch.SrcVLAN, "out_vlan": s.Switch.DstVLAN,
			"in_priority": s.Switch.SrcPriority, "out_priority": s.Switch.DstPriority,
		}
		for k, v := range e.Switch {
			if s.Has&sflow.HasSwitch == 0 || got[k] != v {
				t.Errorf("%s: switch data %v, want %v", where, got, e.Switch)
				break
			}
		}
	}
	compareStrings(t, where, e.Router, map[string]string{
		"nextHop":       s.Router.NextHop.String(),
		"srcSubnetMask": strconv.Itoa(int(s.Router.SrcMask)),
		"dstSubnetMask": strconv.Itoa(int(s.Router.DstMask)),
	})
	compareStrings(t, where, e.Gateway, map[string]string{
		"my_as":       strconv.Itoa(int(s.Gateway.AS)),
		"src_as":      strconv.Itoa(int(s.Gateway.SrcAS)),
		"src_peer_as": strconv.Itoa(int(s.Gateway.SrcPeerAS)),
		"bgp_nexthop": s.Gateway.NextHop.String(),
	})
	if e.HeaderLen == nil {
		return
	}
	if s.Has&sflow.HasHeader == 0 {
		t.Errorf("%s: no header", where)
		return
	}
	check("protocol", s.Header.Protocol, e.Protocol)
	check("frame length", s.Header.FrameLength, e.FrameLength)
	check("stripped", s.Header.Stripped, e.Stripped)
	check("header length", uint32(len(s.Header.Data)), e.HeaderLen)
	link, ok := s.Header.Link()
	if !ok {
		t.Errorf("%s: link of protocol %d is not known", where, s.Header.Protocol)
	}
	var h packet.Headers
	if err := h.Decode(link, s.Header.Data); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	for _, a := range []struct {
		got  netip.Addr
		want *netip.Addr
	}{{h.IP.SrcAddr(), e.SrcAddr}, {h.IP.DstAddr(), e.DstAddr}} {
		if a.want != nil && a.got != *a.want {
			t.Errorf("%s: address %v, want %v", where, a.got, *a.want)
		}
	}
	check("protocol", uint32(h.IP.Proto), e.Proto)
	check("source port", uint32(h.IP.SrcPort), e.SrcPort)
	check("destination port", uint32(h.IP.DstPort), e.DstPort)
	check("TCP flags", uint32(h.IP.TCPFlags), e.TCPFlags)
	check("ICMP type", uint32(h.IP.ICMPType), e.ICMPType)
	check("ICMP code", uint32(h.IP.ICMPCode), e.ICMPCode)
	if e.VLAN != nil {
		if h.VLANCount == 0 {
			t.Errorf("%s: no VLAN", where)
		} else if got := uint32(h.VLANs[h.VLANCount-1].ID()); got != *e.VLAN && uint32(h.VLANs[0].ID()) != *e.VLAN {
			t.Errorf("%s: VLANs %v, want %d", where, h.VLANs[:h.VLANCount], *e.VLAN)
		}
	}
	if e.SrcMAC != nil && hex.EncodeToString(h.SrcMAC[:]) != *e.SrcMAC {
		t.Errorf("%s: source %x, want %s", where, h.SrcMAC, *e.SrcMAC)
	}
	if e.DstMAC != nil && hex.EncodeToString(h.DstMAC[:]) != *e.DstMAC {
		t.Errorf("%s: destination %x, want %s", where, h.DstMAC, *e.DstMAC)
	}
}

func compareStrings(t *testing.T, where string, want, got map[string]string) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %s is %q, want %q", where, k, got[k], v)
		}
	}
}

func compareCounters(t *testing.T, where string, s *sflow.Sample, e *expectedSample) {
	t.Helper()
	got := map[string]uint64{}
	for _, r := range s.Records {
		list, left, ok := sflow.AppendCounters(nil, r)
		if !ok {
			t.Errorf("%s: counters %v are not known", where, r.Format)
		}
		if len(left) > 0 {
			t.Errorf("%s: %d octets of counters %v are left", where, len(left), r.Format)
		}
		if ok && len(list) == 0 {
			t.Errorf("%s: counters %v are empty", where, r.Format)
		}
		if r.Format == 1 {
			for _, c := range list {
				got[c.Name] = c.Num
			}
		}
	}
	for k, v := range e.IfCounters {
		if k == "networkType" {
			k = "ifType"
		}
		if g, ok := got[k]; !ok || g != v {
			t.Errorf("%s: %s is %d, want %d", where, k, g, v)
		}
	}
}

// Hostile datagrams of every sort end in samples or an error, never in more
// samples than their bytes can hold.
func TestMalformed(t *testing.T) {
	f, err := os.Open(filepath.Join(captures.Dir(t), "malformed", "cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	cases := 0
	var d sflow.Datagram
	var h packet.Headers
	for lines.Scan() {
		var c struct {
			Protocol        string
			Setup, Payloads []string
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if c.Protocol == "sflow5" {
			cases++
		}
		for _, p := range append(c.Setup, c.Payloads...) {
			b, err := hex.DecodeString(p)
			if err != nil {
				t.Fatal(err)
			}
			survive(t, &d, &h, b)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if cases < 60 {
		t.Errorf("%d cases of sFlow, want at least 60", cases)
	}
}

// survive decodes all there is in a datagram and checks what holds for any.
func survive(t *testing.T, d *sflow.Datagram, h *packet.Headers, b []byte) {
	t.Helper()
	if err := d.Decode(b); err != nil {
		if d.Next() != nil {
			t.Fatalf("a sample after %v", err)
		}
		return
	}
	samples, records := 0, 0
	var values []sflow.Value
	for s := d.Next(); s != nil; s = d.Next() {
		samples++
		records += len(s.Records)
		for _, r := range s.Records {
			var left []byte
			if s.Kind == sflow.Counters {
				values, left, _ = sflow.AppendCounters(values[:0], r)
			} else {
				values, left, _ = sflow.AppendFlow(values[:0], r)
			}
			if len(values)*2 > len(r.Data) || len(left) > len(r.Data) {
				t.Fatalf("%d values in %d bytes, %d left", len(values), len(r.Data), len(left))
			}
			wholeValues(t, values)
		}
		if s.Has&sflow.HasHeader != 0 {
			if link, ok := s.Header.Link(); ok {
				_ = h.Decode(link, s.Header.Data)
			}
		}
		if (len(s.Gateway.Path)+len(s.Gateway.Communities))*4 > len(b) && s.Has&sflow.HasGateway != 0 {
			t.Fatalf("%d numbers in %d bytes", len(s.Gateway.Path)+len(s.Gateway.Communities), len(b))
		}
	}
	if samples*8 > len(b) || records*8 > len(b) || uint32(samples) > d.Samples {
		t.Fatalf("%d samples and %d records in %d bytes that announce %d samples", samples, records, len(b), d.Samples)
	}
	if uint32(samples+d.BadSamples) != d.Samples && d.Err() == nil {
		t.Fatalf("%d samples and %d bad ones of %d, but no error", samples, d.BadSamples, d.Samples)
	}
}

// wholeValues checks that lists have as many values as they say.
func wholeValues(t *testing.T, values []sflow.Value) {
	t.Helper()
	for len(values) > 0 {
		if values = skipValue(values); values == nil {
			t.Fatal("a list has fewer values than it says")
		}
	}
}

// skipValue returns what follows the first value and what belongs to it; nil if
// that is not all there.
func skipValue(values []sflow.Value) []sflow.Value {
	if len(values) == 0 {
		return nil
	}
	v, values := values[0], values[1:]
	if v.Kind == sflow.List || v.Kind == sflow.Groups || v.Kind == sflow.Group {
		for range v.Num {
			if values = skipValue(values); values == nil {
				return nil
			}
		}
	}
	return values[:len(values):len(values)]
}
