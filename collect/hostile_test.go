package collect_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/captures"
	"github.com/tributary-net/tributary/packet"
)

// hostileCase is a case of hostile datagrams: first those that set it up.
type hostileCase struct {
	N         int
	Protocol  string
	Mutation  string
	Source    netip.Addr `json:"source_address"`
	Datagrams int
	Setup     []string

	payloads [][]byte
}

func hostileCases(t testing.TB) []*hostileCase {
	t.Helper()
	dir := filepath.Join(captures.Dir(t), "malformed")
	f, err := os.Open(filepath.Join(dir, "cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []*hostileCase
	bySource := map[netip.Addr]*hostileCase{}
	for d := json.NewDecoder(bufio.NewReader(f)); ; {
		c := new(hostileCase)
		if err := d.Decode(c); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
		bySource[c.Source] = c
	}
	readDatagrams(t, filepath.Join(dir, "malformed.pcap"), func(g *packet.Datagram) {
		c := bySource[g.Source.Addr()]
		if c == nil {
			t.Fatalf("datagram of %v belongs to no case", g.Source)
		}
		c.payloads = append(c.payloads, append([]byte(nil), g.Payload...))
	})
	if len(cases) != 256 {
		t.Fatalf("%d cases, want 256", len(cases))
	}
	for _, c := range cases {
		if len(c.payloads) != c.Datagrams+len(c.Setup) && len(c.payloads) != c.Datagrams {
			t.Fatalf("case %d: %d datagrams, want %d after %d", c.N, len(c.payloads), c.Datagrams, len(c.Setup))
		}
	}
	return cases
}

func readDatagrams(t testing.TB, file string, each func(g *packet.Datagram)) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := packet.NewReader(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	datagrams := packet.NewDatagramReader(r)
	for g := (packet.Datagram{}); ; {
		if err := datagrams.Next(&g); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		each(&g)
	}
}

// mostRecords is how many records fit a datagram at the very most.
func mostRecords(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	switch version := binary.BigEndian.Uint16(b); version {
	case 1, 5:
		return len(b) / 48
	case 7:
		return len(b) / 52
	case 9, 10:
		return len(b) // records of one octet
	default:
		return len(b) / 28 // sFlow samples: the least is a discarded packet's
	}
}

// feed decodes the datagrams of a case and returns how many records they had.
func (c *hostileCase) feed(t *testing.T, d *collect.Decoder) int {
	total := 0
	for i, b := range c.payloads {
		records := 0
		before := time.Now()
		_ = d.Decode(&flow.Datagram{Exporter: netip.AddrPortFrom(c.Source, 2055), Received: received, Payload: b}, func(r *flow.Record) error {
			records++
			buf := flow.AppendJSON(nil, r)
			if !json.Valid(buf) {
				t.Fatalf("case %d: no JSON: %s", c.N, buf)
			}
			return nil
		})
		if took := time.Since(before); took > 20*time.Second {
			t.Errorf("case %d datagram %d of %s, %s: took %v", c.N, i, c.Protocol, c.Mutation, took)
		}
		if most := mostRecords(b); records > most {
			t.Errorf("case %d datagram %d of %s, %s: %d records, but %d at most fit %d octets", c.N, i, c.Protocol, c.Mutation, records, most, len(b))
		}
		total += records
	}
	return total
}

func TestHostile(t *testing.T) {
	cases := hostileCases(t)
	d := collect.NewDecoder(collect.DefaultDecoderConfig())
	records := 0
	for _, c := range cases {
		before := d.Stats().Total
		n := c.feed(t, d)
		records += n
		s := d.Stats().Total
		if got := s.Datagrams - before.Datagrams; got != uint64(len(c.payloads)) {
			t.Errorf("case %d: %d datagrams counted, want %d", c.N, got, len(c.payloads))
		}
		if got := s.Records - before.Records; got != uint64(n) {
			t.Errorf("case %d: %d records counted, want %d", c.N, got, n)
		}
	}
	s := d.Stats().Total
	t.Logf("%d records from %d cases, malformed %v, waiting for a template %d, decoded when it came %d", records, len(cases), s.Malformed, s.Held(), s.HeldDecoded)

	// The same again and again must not take more memory.
	size := func() uint64 {
		d.GiveUp()
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what pools held for the first
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	first := size()
	programs := d.Stats().Programs
	for range 10 {
		for _, c := range cases {
			c.feed(t, d)
		}
	}
	if last := size(); last > first+1<<20 {
		t.Errorf("live memory went from %d to %d octets", first, last)
	}
	if n := d.Stats().Programs; n != programs {
		t.Errorf("%d templates known, were %d", n, programs)
	}
	runtime.KeepAlive(d)
}

// TestHostileCounted: what a datagram of a case is, is told: by an error, by what
// it brought, or by a set that lacks its template.
func TestHostileCounted(t *testing.T) {
	for _, c := range hostileCases(t) {
		d := collect.NewDecoder(collect.DefaultDecoderConfig())
		for i, b := range c.payloads {
			before := d.Stats().Total
			err := d.Decode(&flow.Datagram{Exporter: netip.AddrPortFrom(c.Source, 2055), Received: received, Payload: b}, func(*flow.Record) error { return nil })
			s := d.Stats().Total
			malformed := uint64(0)
			for r := range s.Malformed {
				malformed += s.Malformed[r] - before.Malformed[r]
			}
			if (malformed == 1) != (err != nil) || malformed > 1 {
				t.Errorf("case %d datagram %d: counted as malformed %d times, error %v", c.N, i, malformed, err)
			}
			if err == nil && s.Records == before.Records && s.Options == before.Options && s.Templates == before.Templates &&
				s.CounterSamples == before.CounterSamples && s.OtherSamples == before.OtherSamples && s.HeldSets == before.HeldSets && !empty(b) {
				t.Errorf("case %d datagram %d of %s, %s: of %d octets nothing was counted: %x", c.N, i, c.Protocol, c.Mutation, len(b), b[:min(len(b), 60)])
			}
		}
	}
}

// empty reports whether a datagram says of itself that nothing is in it.
func empty(b []byte) bool {
	switch binary.BigEndian.Uint16(b) {
	case 0:
		return len(b) <= 40 && allZero(b[len(b)-4:]) // sFlow: no samples
	case 1, 5, 7:
		return binary.BigEndian.Uint16(b[2:]) == 0
	case 9:
		return len(b) == 20
	case 10:
		return binary.BigEndian.Uint16(b[2:]) == 16
	}
	return false
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
