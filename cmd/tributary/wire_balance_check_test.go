package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/traffic"
)

// rows returns the ledger as it is now.
func (b *balance) rows() *ledgerSnapshot {
	b.t.Helper()
	_, body := b.collector.get(b.t, "/ledger")
	var answer struct {
		Holds bool
		Rows  []json.RawMessage
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		b.t.Fatalf("/ledger: %v: %s", err, body)
	}
	s := &ledgerSnapshot{}
	for _, row := range answer.Rows {
		if err := s.addRow(row); err != nil {
			b.t.Fatalf("row %s: %v", row, err)
		}
	}
	if wrong := s.wrong(); !answer.Holds || len(wrong) > 0 {
		b.t.Errorf("the ledger does not hold: %s", strings.Join(wrong, "; "))
	}
	return s
}

// look reads the ledger whatever the collector is at: it holds at any time.
func (b *balance) look() { b.rows() }

// settle waits until all that was sent to the collector has been received, or dropped
// by the kernel, and compares what the ledger says of that.
func (b *balance) settle() { b.received() }

func (b *balance) received() (s *ledgerSnapshot) {
	b.t.Helper()
	t := b.t
	var sockets socketRow
	eventually(t, "all is received or dropped", func() bool {
		s, sockets = b.rows(), socketRow{}
		for _, r := range s.sockets {
			sockets.Datagrams += r.Datagrams
			sockets.Decoded += r.Decoded
			sockets.Malformed += r.Malformed
			sockets.Filtered += r.Filtered
			sockets.KernelDrops += r.KernelDrops
		}
		return sockets.Datagrams+sockets.KernelDrops == b.sent && s.total.Datagrams+sockets.Filtered == sockets.Datagrams
	})
	b.overflown = sockets.KernelDrops
	for _, r := range s.destinations {
		if r.Dropped+r.Refused > 0 {
			t.Errorf("%s: %d flows dropped and %d refused, for no reason", r.To, r.Dropped, r.Refused)
		}
	}
	if sockets.KernelDrops > 0 {
		return s // nobody knows which
	}
	if sockets.Malformed != b.junk || sockets.Filtered != b.strangers {
		t.Errorf("%d datagrams malformed and %d filtered, of %d and %d sent", sockets.Malformed, sockets.Filtered, b.junk, b.strangers)
	}
	for _, d := range b.domains {
		r := d.row(s)
		if r.Datagrams != d.copies || r.Sets != d.sets || r.Received < d.least || r.Received > d.most {
			t.Errorf("%v was sent %d datagrams with %d data sets and %d to %d units: %+v", d, d.copies, d.sets, d.least, d.most, r)
		}
	}
	return s
}

// settled waits until all that was sent and not dropped by the kernel is stored, too.
// From then on it must not get lost.
func (b *balance) settled() {
	b.t.Helper()
	b.received()
	eventually(b.t, "all is stored", func() bool {
		s := b.rows()
		return !slices.ContainsFunc(s.destinations, func(r destinationRow) bool { return r.InFlight > 0 })
	})
	if b.received(); b.overflown > 0 {
		return
	}
	for _, g := range b.byRecord {
		for _, s := range g.sent {
			s.sure = s.sure || s.alive && s.place >= b.born
		}
	}
}

// row is what the ledger says of a domain.
func (d *balanceDomain) row(s *ledgerSnapshot) domainRow {
	for _, r := range s.domains {
		if r.Exporter == d.exporter.addr.String() && r.Domain == d.id {
			return r
		}
	}
	return domainRow{}
}

// end has Kafka come back and the last datagrams arrive, and compares what is there then
// with what everybody says.
func (b *balance) end() {
	t := b.t
	b.brokerComes()
	b.open()
	// What comes last has to arrive: that it was sent, nothing else tells.
	for dropped := uint64(1); dropped > 0; {
		b.settle()
		before := b.overflown
		b.plain()
		b.settle()
		dropped = b.overflown - before
	}
	eventually(t, "all is acknowledged", func() bool {
		s := b.rows()
		return !slices.ContainsFunc(s.destinations, func(r destinationRow) bool { return r.InFlight+r.Spooled > 0 })
	})
	live, m := b.received(), account(t, b.collector)
	b.stop()
	last := ledgerRows(t, tributary(t, "collect", "ledger", "--kafka", "kafka://"+b.brokerAddr, "--output", "json"))
	if !last.total.Final {
		t.Error("the last rows are not those of the stop")
	}
	for i := range b.topics {
		b.read(i)
	}
	var all balanceCount
	for _, d := range b.domains {
		c, r := d.count(t), d.row(last)
		announced, received, repeated := r.Announced+r.EarlierAnnounced, r.Received+r.EarlierReceived, r.Repeated+r.EarlierRepeated
		missing := r.Missing + r.Unknown + r.EarlierMissing
		// What was sent beyond the window is announced anew, and goes on to be missing.
		anew := announced - c.announced
		if received != c.received || repeated != c.repeated || anew > c.beyond || missing != c.missing+anew {
			t.Errorf("%v: want %+v, but announced %d, received %d, repeated %d, missing %d:\n%+v", d, c, announced, received, repeated, missing, r)
		}
		if r.Unknown > 0 && d.protocol != traffic.IPFIX {
			t.Errorf("%v: %d unknown", d, r.Unknown)
		}
		d.compare(t, m, d.row(live))
		all.announced += c.announced
		all.received += c.received
		all.repeated += c.repeated
		all.missing += c.missing
		all.beyond += c.beyond
	}
	t.Logf("%d datagrams sent; of all domains %+v", b.places, all)
	b.broker.stop(t)
}

// compare compares the metrics of a domain with its row.
func (d *balanceDomain) compare(t *testing.T, m samples, r domainRow) {
	get := func(name string) uint64 {
		return m.sum("tributary_collect_domain_"+name, fmt.Sprintf("exporter=%q", d.exporter.addr), fmt.Sprintf("protocol=%q", d.protocol),
			fmt.Sprintf("domain=%q", strings.TrimPrefix(r.Agent+"/"+fmt.Sprint(d.id), "/")))
	}
	if get("announced_total") != r.Announced || get("received_total") != r.Received || get("repeated_total") != r.Repeated ||
		get("skipped_total")-get("recovered_total") != r.Missing || get("unknown") != r.Unknown || get("restarts_total") != r.Restarts {
		t.Errorf("%v: the metrics differ from %+v", d, r)
	}
}

// read reads a topic. Each copy of a datagram may be there once, and in each partition
// those of a domain are in the order in which they were sent.
func (b *balance) read(topic int) {
	t := b.t
	type lane struct {
		partition int32
		domain    *balanceDomain
	}
	last := map[lane]uint64{}
	eachFlow(t, b.brokerAddr, b.topics[topic], func(kr *kgo.Record, r *flow.Record) {
		g, s, bit := b.find(r)
		if s.came[topic]&bit != 0 {
			t.Errorf("%s: partition %d, offset %d: %v again", b.topics[topic], kr.Partition, kr.Offset, g)
		}
		s.came[topic] |= bit
		if bit&g.mask(partMain) == 0 {
			return // it may have had to wait
		}
		from := lane{kr.Partition, g.domain}
		if s.place < last[from] {
			t.Errorf("%s: partition %d, offset %d: %v, sent as number %d, comes after number %d", b.topics[topic], kr.Partition, kr.Offset, g, s.place, last[from])
		}
		last[from] = s.place
	})
}

// find finds what a flow is a record of.
func (b *balance) find(r *flow.Record) (g *balanceDatagram, s *balanceCopy, bit uint64) {
	n, copies := recordNumber(r.Addr(flow.SrcAddr)), int(r.Uint(flow.DstPort))
	i := sort.Search(len(b.byRecord), func(i int) bool { return b.byRecord[i].first > n }) - 1
	if i < 0 || n-b.byRecord[i].first >= uint32(b.byRecord[i].total()) || copies == 0 || copies > len(b.byRecord[i].sent) {
		b.t.Fatalf("record %d, copy %d is there, which nobody sent", n, copies)
	}
	g = b.byRecord[i]
	return g, g.sent[copies-1], 1 << (n - g.first)
}
