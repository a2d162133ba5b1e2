package collect_test

import (
	"bytes"
	"errors"
	"maps"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
)

// keeper is a collector whose records outlive it in groups, as a spool stores them.
type keeper struct {
	decoder *collect.Decoder
	kept    *collect.Kept
	journal [][]byte // what was stored
	notes   []byte   // of what is not stored yet
	now     time.Time
}

// decode decodes a datagram, and remembers its note.
func (k *keeper) decode(t interface{ Fatal(...any) }, from netip.AddrPort, payload []byte) {
	dg := flow.Datagram{Exporter: from, Received: k.now, Payload: payload, Note: []byte{}}
	if err := k.decoder.Decode(&dg, func(*flow.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	k.notes = append(k.notes, dg.Note...)
}

// store stores what was decoded; lose has it find no room.
func (k *keeper) store() {
	k.journal = append(k.journal, k.kept.Add(k.notes))
	k.notes = nil
}

func (k *keeper) lose() {
	k.journal = append(k.journal, k.kept.Add(k.notes), k.kept.Undo())
	k.notes = nil
}

// restart has another process go on with what was stored. All of the journal or its last
// state and what follows make no difference.
func (k *keeper) restart(t interface{ Fatal(...any) }) {
	k.notes = nil
	k.decoder, k.kept = collect.NewDecoder(collect.DecoderConfig{}), collect.NewKept()
	for _, states := range k.journal {
		if err := k.kept.Restore(states); err != nil {
			t.Fatal(err)
		}
	}
	k.journal = [][]byte{k.kept.All()}
	k.decoder.Resume(k.kept)
}

// TestKept: whatever was stored when a process ended is received in the account of the
// next, whatever was not is missing, be it lost on the way, in memory or for want of room.
func TestKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &keeper{now: time.Unix(exportSecs, 0)}
		k.restart(t)
		talkers := []*talker{
			newTalker(netip.MustParseAddrPort("192.0.2.1:1000"), "v5", 3, 5),
			newTalker(netip.MustParseAddrPort("192.0.2.1:1000"), "v9", 256, 1<<32-20),
			newTalker(netip.MustParseAddrPort("[2001:db8::1]:1000"), "sflow", 0, 100),
		}
		stored, waiting := make([]map[int]bool, len(talkers)), make([]map[int]bool, len(talkers))
		for i := range talkers {
			stored[i], waiting[i] = map[int]bool{}, map[int]bool{}
		}
		datagrams := make([]map[int]message, len(talkers)) // by first unit
		for i := range datagrams {
			datagrams[i] = map[int]message{}
		}
		give := func(i int, m message) {
			k.decode(t, talkers[i].from, m.payload)
			for u := range m.units {
				waiting[i][m.first+u] = true
			}
		}
		settle := func(keep bool) {
			for i := range talkers {
				for u := range waiting[i] {
					if keep {
						stored[i][u] = true
					}
				}
				waiting[i] = map[int]bool{}
			}
		}
		for i, talker := range talkers { // where numbers begin is known
			give(i, talker.next(3))
		}
		k.store()
		settle(true)
		late := -1
		var lateMessage message
		for range rapid.IntRange(10, 80).Draw(t, "steps") {
			i := rapid.IntRange(0, len(talkers)-1).Draw(t, "talker")
			switch rapid.IntRange(0, 11).Draw(t, "step") {
			default:
				give(i, talkers[i].next(rapid.IntRange(1, 5).Draw(t, "records")))
			case 5: // lost on the way
				talkers[i].next(rapid.IntRange(1, 5).Draw(t, "records"))
			case 6: // overtaken, by a few or by a restart
				if late < 0 {
					late, lateMessage = i, talkers[i].next(2)
				} else {
					give(late, lateMessage)
					late = -1
				}
			case 7, 8:
				k.store()
				settle(true)
			case 9:
				k.lose()
				settle(false)
			case 10: // killed
				k.restart(t)
				settle(false)
			}
		}
		for i, talker := range talkers { // all that was sent is known
			give(i, talker.next(1))
		}
		k.store()
		settle(true)
		check := func(what string) {
			_, domains := k.decoder.Ledger()
			if len(domains) != len(talkers) {
				t.Fatalf("%s: %d domains", what, len(domains))
			}
			for _, d := range domains {
				for i, talker := range talkers {
					if d.Exporter != talker.from.Addr() || d.Version != map[string]uint16{"v5": 5, "v9": 9, "sflow": 5}[talker.protocol] {
						continue
					}
					sent := uint64(talker.lives[0].units)
					missing := sent - uint64(len(stored[i]))
					if !d.Holds() || !d.Earlier.Holds() || d.Announced+d.Earlier.Announced != sent || d.Missing()+d.Earlier.Missing() != missing || d.Restarts+d.Unknown != 0 {
						t.Fatalf("%s: %s: %d sent, %d missing, but %+v and earlier %+v", what, talker.protocol, sent, missing, d.Balance, d.Earlier)
					}
				}
			}
		}
		k.restart(t)
		check("after all")
		k.restart(t)
		check("and once more")
	})
}

// TestKeptStray: a datagram that was under way for so long that it begins a life of its own
// is the last one stored. What goes on is the life before, not that.
func TestKeptStray(t *testing.T) {
	for _, protocol := range []string{"v5", "v9", "sflow", "ipfix"} {
		t.Run(protocol, func(t *testing.T) {
			k := &keeper{now: time.Unix(exportSecs, 0)}
			k.restart(t)
			talker := newTalker(netip.MustParseAddrPort("192.0.2.1:1000"), protocol, 3, 1<<31)
			stray := talker.next(2)
			talker.number += 1 << 20 // farther than anybody looks
			give := func(m message) {
				k.now = time.Unix(m.at, 0)
				k.decode(t, talker.from, m.payload)
			}
			for range 10 {
				give(talker.next(2))
			}
			k.now = k.now.Add(time.Second)
			k.decode(t, talker.from, stray.payload)
			k.store()
			unit := uint64(stray.units)
			check := func(what string, announced, received, missing, restarts uint64) {
				t.Helper()
				_, domains := k.decoder.Ledger()
				if len(domains) != 1 {
					t.Fatalf("%s: %d domains", what, len(domains))
				}
				b := domains[0].Balance
				b.Add(&domains[0].Earlier)
				if b.Announced != announced*unit || b.Received != received*unit || b.Missing() != missing*unit || b.Restarts != restarts || !b.Holds() {
					t.Errorf("%s: %+v", what, b)
				}
			}
			check("before", 11, 11, 0, 1)
			for life := range uint64(3) {
				k.restart(t)
				talker.uptime += 90_000
				talker.next(2)
				for range 4 {
					give(talker.next(2))
				}
				check("after", 11+5*(life+1), 11+4*(life+1), life+1, 1)
				k.store()
			}
		})
	}
}

// TestKeptHeld: IPFIX records that wait for their template when the process is killed are
// missing.
func TestKeptHeld(t *testing.T) {
	k := &keeper{now: time.Unix(exportSecs, 0)}
	k.restart(t)
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	data := func(id uint16, n int) []byte { return set(id, make([]byte, 4*n)) }
	k.decode(t, from, v10{sequence: 10, domain: 1}.with(set(2, template(256, field{id: 8, length: 4})), data(256, 2)))
	held := flow.Datagram{Exporter: from, Received: k.now, Payload: v10{sequence: 12, domain: 1}.with(data(257, 3)), Note: []byte{}}
	if err := k.decoder.Decode(&held, func(*flow.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	k.notes = append(k.notes, held.Note...)
	k.decode(t, from, v10{sequence: 15, domain: 1}.with(data(256, 1)))
	k.store()
	before := k.journal
	k.decode(t, from, v10{sequence: 16, domain: 1}.with(set(2, template(257, field{id: 12, length: 4}))))
	k.store()
	for _, c := range []struct {
		journal           [][]byte
		received, missing uint64
	}{{before, 3, 3}, {k.journal, 6, 0}} {
		k.journal = c.journal
		k.restart(t)
		_, domains := k.decoder.Ledger()
		if len(domains) != 1 || domains[0].Earlier.Received != c.received || domains[0].Earlier.Missing() != c.missing || !domains[0].Earlier.Holds() {
			t.Errorf("%+v, want %d received and %d missing", domains, c.received, c.missing)
		}
	}
}

// TestKeptHeld9: a NetFlow v9 datagram whose data sets all wait for their template has not
// been stored until one of them is decoded; what the process ended before that is missing.
func TestKeptHeld9(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	for _, c := range []struct {
		name              string
		hold              int64
		told              int // how many of the templates come
		received, missing uint64
	}{{"none", 0, 0, 3, 3}, {"one", 0, 1, 6, 1}, {"both", 0, 2, 8, 0}, {"no hold", -1, 2, 5, 3}} {
		k := &keeper{now: time.Unix(exportSecs, 0)}
		k.restart(t)
		k.decoder = collect.NewDecoder(collect.DecoderConfig{HoldOctets: c.hold})
		sequence := uint32(1<<32 - 3)
		give := func(sets ...[]byte) {
			dg := flow.Datagram{Exporter: from, Received: k.now, Payload: v9{sequence: sequence, uptime: 5000, source: 1}.with(sets...), Note: []byte{}}
			_ = k.decoder.Decode(&dg, func(*flow.Record) error { return nil })
			k.notes = append(k.notes, dg.Note...)
			sequence++
		}
		data := func(id uint16) []byte { return set(id, make([]byte, 8)) }
		give(set(0, template(256, field{id: 8, length: 4})), data(256))
		give(data(257), data(257))
		give(data(257), data(258))
		give(data(256), data(257)) // a part of it is there
		give(data(258))
		give(data(256))
		k.store()
		for id := uint16(257); id < uint16(257+c.told); id++ {
			give(set(0, template(id, field{id: 12, length: 4})))
		}
		k.store()
		if _, domains := k.decoder.Ledger(); domains[0].Received != uint64(6+c.told) || domains[0].Missing() != 0 || !domains[0].Holds() {
			t.Errorf("%s: %+v", c.name, domains[0].Balance)
		}
		k.restart(t)
		_, domains := k.decoder.Ledger()
		if e := domains[0].Earlier; e.Received != c.received || e.Missing() != c.missing || e.Repeated != 0 || !e.Holds() {
			t.Errorf("%s: %+v, want %d received and %d missing", c.name, e, c.received, c.missing)
		}
	}
}

// TestKeptSeveral: of several accounts what all of them have counts; one that ended long
// ago does not.
func TestKeptSeveral(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	account := func(seconds int64, datagrams int) *collect.Kept {
		k := &keeper{now: time.Unix(exportSecs+seconds, 0)}
		k.restart(t)
		talker := newTalker(from, "sflow", 0, 100)
		for range datagrams {
			k.decode(t, from, talker.next(1).payload)
		}
		k.store()
		return k.kept
	}
	for _, c := range []struct {
		accounts []*collect.Kept
		want     uint64
	}{
		{[]*collect.Kept{account(0, 5), account(0, 3)}, 3},
		{[]*collect.Kept{account(0, 5), account(-3600, 3)}, 5},
		{[]*collect.Kept{account(0, 5), collect.NewKept()}, 5},
	} {
		for range 2 { // and all of them go on from there
			d := collect.NewDecoder(collect.DecoderConfig{})
			if n := d.Resume(c.accounts...); n != 1 {
				t.Fatalf("%d domains", n)
			}
			if _, domains := d.Ledger(); domains[0].Earlier.Received != c.want || domains[0].Datagrams != 0 {
				t.Errorf("%+v, want %d received", domains[0], c.want)
			}
			c.accounts = c.accounts[1:]
		}
	}
}

// TestKeptSeveralRepeated: of two accounts that have the same, one of them twice, the other
// one has less.
func TestKeptSeveralRepeated(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	account := func(times int) *collect.Kept {
		k := &keeper{now: time.Unix(exportSecs, 0)}
		k.restart(t)
		payload := newTalker(from, "sflow", 0, 100).next(1).payload
		for range times {
			k.decode(t, from, payload)
		}
		k.store()
		return k.kept
	}
	for _, accounts := range [][]*collect.Kept{{account(2), account(1)}, {account(1), account(2)}} {
		d := collect.NewDecoder(collect.DecoderConfig{})
		d.Resume(accounts...)
		if _, domains := d.Ledger(); domains[0].Earlier.Received != 1 || domains[0].Earlier.Repeated != 0 {
			t.Errorf("%+v, want 1 received", domains[0].Earlier)
		}
	}
}

// TestKeptSeveralLosses: what one of two accounts has no room for is missing, and what the
// other has no room for, too, wherever processes end.
func TestKeptSeveralLosses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := netip.MustParseAddrPort("192.0.2.1:1000")
		talker := newTalker(from, rapid.SampledFrom([]string{"v5", "v9", "sflow"}).Draw(t, "protocol"), 3, rapid.SampledFrom([]uint32{100, 1<<32 - 20}).Draw(t, "number"))
		journals := make([][][]byte, 2)
		stored := []map[int]bool{{}, {}}
		var decoder *collect.Decoder
		kept := make([]*collect.Kept, 2)
		restart := func() {
			for i := range kept {
				kept[i] = collect.NewKept()
				for _, states := range journals[i] {
					if err := kept[i].Restore(states); err != nil {
						t.Fatal(err)
					}
				}
			}
			decoder = collect.NewDecoder(collect.DecoderConfig{})
			decoder.Resume(kept...)
			for i, k := range kept {
				journals[i] = append(journals[i], k.All())
			}
			// What both of them have goes on.
			for u := range stored[0] {
				if !stored[1][u] {
					delete(stored[0], u)
				}
			}
			stored[1] = maps.Clone(stored[0])
		}
		restart()
		var notes [2][]byte
		var units [2][]int
		send := func() {
			m := talker.next(rapid.IntRange(1, 5).Draw(t, "records"))
			dg := flow.Datagram{Exporter: from, Received: time.Unix(exportSecs, 0), Payload: m.payload, Note: []byte{}}
			if err := decoder.Decode(&dg, func(*flow.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
			for i := range notes {
				notes[i] = append(notes[i], dg.Note...)
				for u := range m.units {
					units[i] = append(units[i], m.first+u)
				}
			}
		}
		store := func(i int, room bool) {
			journals[i] = append(journals[i], kept[i].Add(notes[i]))
			if !room {
				journals[i] = append(journals[i], kept[i].Undo())
			}
			for _, u := range units[i] {
				if room {
					stored[i][u] = true
				}
			}
			notes[i], units[i] = nil, nil
		}
		send() // where numbers begin is known
		store(0, true)
		store(1, true)
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			default:
				send()
			case 4:
				store(0, rapid.Bool().Draw(t, "room"))
			case 5:
				store(1, rapid.Bool().Draw(t, "room"))
			case 6:
				talker.next(2) // lost on the way
			case 7:
				restart()
				notes, units = [2][]byte{}, [2][]int{}
			}
		}
		send() // all that was sent is known
		store(0, true)
		store(1, true)
		restart()
		_, domains := decoder.Ledger()
		sent := uint64(talker.lives[0].units)
		if b := domains[0].Earlier; !b.Holds() || b.Announced != sent || b.Missing() != sent-uint64(len(stored[0])) || b.Repeated+b.Restarts > 0 {
			t.Fatalf("%d sent, %d in both, but %+v", sent, len(stored[0]), b)
		}
	})
}

// TestKeptSeveralLives: where one of two accounts lacks something after one life, and the
// other after the next, both are missing.
func TestKeptSeveralLives(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	talker := newTalker(from, "sflow", 0, 100)
	disks := make([][][]byte, 2)
	// life stores so many datagrams of the next few at each of the two.
	life := func(sent int, stored ...int) (received uint64) {
		t.Helper()
		var kept []*collect.Kept
		for _, disk := range disks {
			k := collect.NewKept()
			for _, states := range disk {
				if err := k.Restore(states); err != nil {
					t.Fatal(err)
				}
			}
			kept = append(kept, k)
		}
		d := collect.NewDecoder(collect.DecoderConfig{})
		d.Resume(kept...)
		for i, k := range kept {
			disks[i] = append(disks[i], k.All())
		}
		if _, domains := d.Ledger(); len(domains) > 0 {
			received = domains[0].Earlier.Received
		}
		for n := range sent {
			dg := flow.Datagram{Exporter: from, Received: time.Unix(exportSecs, 0), Payload: talker.next(1).payload, Note: []byte{}}
			if err := d.Decode(&dg, func(*flow.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
			for i, k := range kept {
				if n < stored[i] {
					disks[i] = append(disks[i], k.Add(dg.Note))
				}
			}
		}
		return received
	}
	life(12, 10, 8)
	if got := life(4, 0, 2); got != 8 {
		t.Errorf("%d datagrams were received, 8 are in both", got)
	}
	if got := life(0); got != 8 {
		t.Errorf("%d datagrams were received, 8 are in both", got)
	}
}

// TestKeptBounds: an account of more domains than it remembers forgets some.
func TestKeptBounds(t *testing.T) {
	first := netip.MustParseAddrPort("[2001:db8::1]:1000")
	dg := flow.Datagram{Exporter: first, Received: time.Unix(exportSecs, 0), Payload: newTalker(first, "sflow", 0, 100).next(1).payload, Note: []byte{}}
	if err := collect.NewDecoder(collect.DecoderConfig{}).Decode(&dg, func(*flow.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	k := collect.NewKept()
	var states []byte
	octets := first.Addr().As16()
	for range 1<<16 + 100 { // the same note, of further exporters
		states = k.Add(dg.Note)
		next := netip.AddrFrom16(octets).Next().As16()
		dg.Note = bytes.Replace(dg.Note, octets[:], next[:], 1)
		octets = next
	}
	if n := len(k.All()) / len(states); n > 1<<16 || n < 1<<15 {
		t.Errorf("%d domains", n)
	}
}

func FuzzKept(f *testing.F) {
	k := &keeper{now: time.Unix(exportSecs, 0)}
	k.restart(f)
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	talker := newTalker(from, "v5", 3, 5)
	k.decode(f, from, talker.next(2).payload)
	talker.next(2)
	k.decode(f, from, talker.next(2).payload)
	notes := k.notes
	k.store()
	f.Add(k.journal[len(k.journal)-1], notes)
	f.Add([]byte(nil), bytes.Repeat([]byte("0"), len(notes))) // of no exporter
	f.Fuzz(func(t *testing.T, states, notes []byte) {
		k := collect.NewKept()
		if err := k.Restore(states); err != nil && !errors.Is(err, collect.ErrNote) {
			t.Fatal(err)
		}
		k.Add(notes)
		k.Undo()
		all := k.All()
		again := collect.NewKept()
		if err := again.Restore(all); err != nil {
			t.Fatalf("what an account wrote cannot be read: %v", err)
		}
		collect.NewDecoder(collect.DecoderConfig{}).Resume(k)
	})
}
