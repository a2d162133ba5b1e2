package collect_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/sflow"
)

// A talker is an exporter's observation domain that sends, and keeps its own account of
// what it announced and what was let through: by marking every unit by itself, in
// another way than the collector does.
type talker struct {
	from     netip.AddrPort
	protocol string
	domain   uint32
	number   uint32 // of the next datagram
	uptime   uint32 // milliseconds
	booted   uint32 // seconds since the epoch
	step     uint32 // of the uptime, from datagram to datagram
	lives    []life
	sent     uint64 // datagrams let through
	more     uint64 // beside those that lives count
	sets     uint64 // data sets let through

	// What an IPFIX exporter has not told yet: its second template.
	withheld bool
}

// withdraw is a datagram that takes the second template of an IPFIX exporter back.
func (t *talker) withdraw() []byte {
	t.more++
	b := v10{sequence: t.number, domain: t.domain}.with(set(2, cat(uint16(257), uint16(0))))
	binary.BigEndian.PutUint32(b[4:], t.booted+t.uptime/1000)
	return b
}

// stray is a datagram that does not count.
func (t *talker) stray() []byte { return v9{}.with() }

func (t *talker) datagrams() uint64 { return t.sent + t.more }

// life is what was sent between two restarts. Units are counted from its beginning.
type life struct {
	units int
	came  map[int]int // how often each did
}

// message is one datagram of a talker.
type message struct {
	payload      []byte
	life         int
	first, units int
	sets         int
	at           int64 // seconds since the epoch
}

func newTalker(from netip.AddrPort, protocol string, domain, number uint32) *talker {
	return &talker{
		from: from, protocol: protocol, domain: domain, number: number, uptime: 100_000_000, booted: exportSecs - 100_000, step: 20,
		lives: []life{{came: map[int]int{}}},
	}
}

// restart begins a new life from zero.
func (t *talker) restart() {
	t.lives = append(t.lives, life{came: map[int]int{}})
	t.booted += t.uptime/1000 + 90
	t.number, t.uptime = 0, 1000
}

// next makes the next datagram, of so many records.
func (t *talker) next(records int) message {
	t.uptime += t.step
	export := t.booted + t.uptime/1000
	n, dataSets := records, 0
	var b []byte
	switch t.protocol {
	case "v5", "v7":
		v := uint16(t.protocol[1] - '0')
		b = cat(v, uint16(records), t.uptime, export, uint32(0), t.number, uint8(t.domain>>8), uint8(t.domain), uint16(0))
		size := 48
		if v == 7 {
			size = 52
		}
		b = append(b, make([]byte, size*records)...)
	case "v9":
		n, dataSets = 1, 1
		b = v9{uptime: t.uptime, sequence: t.number, source: t.domain}.with(set(0, template(256, field{id: 8, length: 4})), set(256, make([]byte, 4*records)))
		binary.BigEndian.PutUint32(b[8:], export)
	case "ipfix":
		sets := [][]byte{set(2, template(256, field{id: 8, length: 4}))}
		second := records / 2
		if !t.withheld {
			sets = append(sets, set(2, template(257, field{id: 12, length: 4})))
		}
		if records > second {
			dataSets++
			sets = append(sets, set(256, make([]byte, 4*(records-second))))
		}
		if second > 0 {
			dataSets++
			sets = append(sets, set(257, make([]byte, 4*second)))
		}
		b = v10{sequence: t.number, domain: t.domain}.with(sets...)
		binary.BigEndian.PutUint32(b[4:], export)
	case "sflow":
		n = 1
		var e sflow.Encoder
		e.Start(nil, sflow.Datagram{Agent: ip("192.0.2.77"), SubAgent: t.domain, Sequence: t.number, Uptime: t.uptime})
		for i := range uint32(records) {
			e.BeginSample(&sflow.Sample{Format: sflow.FormatFlow, Sequence: i, SamplingRate: 512})
			e.Header(1, 1000, 4, frame())
		}
		b = e.Finish()
	}
	t.number += uint32(n)
	l := &t.lives[len(t.lives)-1]
	m := message{payload: b, life: len(t.lives) - 1, first: l.units, units: n, sets: dataSets, at: int64(export)}
	l.units += n
	return m
}

// through takes down that a datagram is let through.
func (t *talker) through(m message) {
	t.sent++
	t.sets += uint64(m.sets)
	for i := range m.units {
		t.lives[m.life].came[m.first+i]++
	}
}

// account is what the collector should find.
func (t *talker) account() (b collect.Balance) {
	for _, l := range t.lives {
		lo, hi := l.units, -1
		for i, n := range l.came {
			lo, hi = min(lo, i), max(hi, i)
			b.Received += uint64(n)
			b.Repeated += uint64(n - 1)
		}
		if hi < 0 {
			continue
		}
		b.Announced += uint64(hi - lo + 1)
		b.Skipped += uint64(hi - lo + 1 - len(l.came)) // missing, for want of a field of its own
		b.Restarts++
	}
	b.Restarts--
	return b
}

// same compares what was found with what should be.
func (t *talker) same(tb interface{ Errorf(string, ...any) }, got collect.Balance) {
	want := t.account()
	got.Skipped, got.Recovered, got.Gaps = got.Missing(), 0, 0
	if got != want {
		tb.Errorf("%s of %v, domain %d: found %+v, want %+v", t.protocol, t.from, t.domain, got, want)
	}
}

// mix puts datagrams out of order, none by more than reach places, drops some and
// repeats some.
func mix(r *rand.Rand, list []message, reach int, drop, repeat float64) (out []message) {
	type placed struct {
		message
		at float64
	}
	var all []placed
	for i, m := range list {
		if r.Float64() < drop {
			continue
		}
		all = append(all, placed{m, float64(i) + r.Float64()*float64(reach)})
		if r.Float64() < repeat {
			all = append(all, placed{m, float64(i) + r.Float64()*float64(reach)})
		}
	}
	for i := 1; i < len(all); i++ {
		for j := i; j > 0 && all[j].at < all[j-1].at; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
	for _, p := range all {
		out = append(out, p.message)
	}
	return out
}

var talkerProtocols = []string{"v5", "v7", "v9", "ipfix", "sflow"}

// TestLedgerModel: whatever is lost, repeated, late, comes round or restarts, the
// balance is that of the talker's own account.
func TestLedgerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lives := rapid.IntRange(1, 3).Draw(t, "lives")
		number := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(1<<32-200, 1<<32-1), rapid.Uint32Range(0, 5))
		if lives > 1 { // a life that ends where the next one begins shows in no number
			number = rapid.Uint32Range(1<<24, 1<<32-1<<24)
		}
		talker := newTalker(exporter, rapid.SampledFrom(talkerProtocols).Draw(t, "protocol"), 7, number.Draw(t, "number"))
		reach := rapid.IntRange(1, 12).Draw(t, "reach")
		var list []message
		// A life is long enough for a restart to show in the clocks, and no datagram
		// is late for longer than the exporter's clock allows.
		talker.step = 600
		for i := range lives {
			if i > 0 {
				talker.restart()
			}
			for range rapid.IntRange(60, 90).Draw(t, "datagrams") {
				list = append(list, talker.next(rapid.IntRange(1, 30).Draw(t, "records")))
			}
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		list = mix(r, list, reach, rapid.Float64Range(0, 0.4).Draw(t, "drop"), rapid.Float64Range(0, 0.3).Draw(t, "repeat"))
		d := collect.NewDecoder(collect.DefaultDecoderConfig())
		for _, m := range list {
			talker.through(m)
			if err := d.Decode(&flow.Datagram{Exporter: talker.from, Received: time.Unix(m.at, 0), Payload: m.payload}, func(*flow.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
			stats, domains := d.Ledger()
			if len(domains) != 1 || !domains[0].Balance.Holds() || !domains[0].SetsHold() || stats.Total.Balance != domains[0].Balance {
				t.Fatalf("in between: %+v", domains)
			}
		}
		if len(list) > 0 {
			_, domains := d.Ledger()
			talker.same(t, domains[0].Balance)
		}
	})
}

// TestLedgerLives: an exporter starts again and again while data wait for their template.
// What is found then is of the life that it was sent in, though all have the same numbers.
func TestLedgerLives(t *testing.T) {
	data := func(id uint16, n int) []byte { return set(id, make([]byte, 4*n)) }
	for _, lives := range []int{1, 2, 3, 6, 7} {
		d := collect.NewDecoder(collect.DecoderConfig{})
		from, now := netip.MustParseAddrPort("192.0.2.1:1000"), uint32(exportSecs)
		sent := uint64(0)
		give := func(sequence uint32, records int, sets ...[]byte) {
			b := v10{sequence: sequence, domain: 1}.with(sets...)
			binary.BigEndian.PutUint32(b[4:], now)
			now++
			if err := d.Decode(&flow.Datagram{Exporter: from, Received: time.Unix(int64(now), 0), Payload: b}, func(*flow.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
			sent += uint64(records)
		}
		balance := func() collect.Balance {
			_, domains := d.Ledger()
			if !domains[0].Holds() {
				t.Errorf("%d lives: %+v", lives, domains[0])
			}
			return domains[0].Balance
		}
		for range lives {
			give(0, 2, set(2, template(256, field{id: 8, length: 4})), data(256, 2))
			give(2, 3, data(257, 3))
			give(5, 1, data(256, 1))
			give(7, 1, data(256, 1)) // one is missing
			give(8, 2, data(257, 2))
			now += 60
		}
		if b := balance(); b.Unknown != 3*uint64(lives) || b.Restarts != uint64(lives-1) {
			t.Errorf("%d lives: %+v", lives, b)
		}
		give(10, 0, set(2, template(257, field{id: 12, length: 4})))
		b := balance()
		if lives > 6 { // of the first one nobody knows any more
			if b.Received != sent || b.Unknown+b.Repeated == 0 {
				t.Errorf("%d lives: %+v", lives, b)
			}
			continue
		}
		if want := (collect.Balance{Announced: 10 * uint64(lives), Received: sent, Skipped: uint64(lives), Gaps: uint64(lives), Restarts: uint64(lives - 1)}); b != want {
			t.Errorf("%d lives: %+v, want %+v", lives, b, want)
		}
	}
}
