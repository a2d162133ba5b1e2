package main

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/kafka"
)

// storedTest is a collector's topic without a Kafka.
type storedTest struct {
	*stateTopic
	t *testing.T
}

func newStoredTest(t *testing.T) *storedTest {
	k := &stateKeeper{decoder: collect.NewDecoder(collect.DefaultDecoderConfig()), age: 8 * time.Hour, log: slog.New(slog.DiscardHandler)}
	return &storedTest{newStateTopic(k, exportersTopic, kafka.Endpoint{}, nil), t}
}

// announce has an exporter announce templates of one field each, so long ago.
func (s *storedTest) announce(ago time.Duration, element uint16, ids ...uint16) {
	s.t.Helper()
	body := []byte{}
	for _, id := range ids {
		body = append(body, wire16(id, 1, element, 4)...)
		if element == 0 {
			body = append(body[:len(body)-8], wire16(id, 0)...) // a withdrawal
		}
	}
	b := append(wire16(10, uint16(20+len(body)), 0, 0, 0, 0, 0, 7, 2, uint16(4+len(body))), body...)
	binary.BigEndian.PutUint32(b[4:], uint32(time.Now().Unix()))
	from := netip.MustParseAddrPort("192.0.2.1:9")
	if err := s.keeper.decoder.Decode(&flow.Datagram{Exporter: from, Received: time.Now().Add(-ago), Payload: b}, nil); err != nil {
		s.t.Fatal(err)
	}
}

// consume has the collector read a record that another one wrote so long ago;
// no fields: one that removes a template.
func (s *storedTest) consume(ago time.Duration, id int, fields string) {
	r := &kgo.Record{
		Key: fmt.Appendf(nil, "192.0.2.1,0,10,7,template,%d", id), Timestamp: time.Now().Add(-ago),
		Headers: []kgo.RecordHeader{{Key: writerHeader, Value: []byte("another")}},
	}
	if fields != "" {
		r.Value = fmt.Appendf(nil, `{"time":%d,"from":9,"fields":[%s]}`, r.Timestamp.Unix(), fields)
	}
	s.read(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: exportersTopic, Partitions: []kgo.FetchPartition{{Records: []*kgo.Record{r}}}}}}})
}

// wants compares what is to be written, key by key, and takes it for written.
func (s *storedTest) wants(why string, want ...string) {
	s.t.Helper()
	var got []string
	from, now := s.keeper.cutoff()
	for _, e := range s.exporters() {
		var keys []collect.StateKey
		var stored []storedState
		if err := s.diff(e, from, now, func(key collect.StateKey, value []byte, st storedState) {
			what := "removes " + key.ID
			if value != nil {
				_, fields, _ := strings.Cut(string(value), `"fields":`)
				what = key.ID + " " + strings.TrimSuffix(fields, "}")
			}
			if !slices.Contains(got, what) {
				got = append(got, what)
			}
			keys, stored = append(keys, key), append(stored, st)
		}); err != nil {
			s.t.Fatal(err)
		}
		for i := range keys {
			s.remember(keys[i], stored[i])
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.t.Errorf("%s: writes %v, want %v", why, got, want)
	}
}

// TestStoredDifferences: what is written, and what is not.
func TestStoredDifferences(t *testing.T) {
	s := newStoredTest(t)
	s.announce(0, 1, 256, 257)
	s.wants("new", "256 [[0,1,4]]", "257 [[0,1,4]]")
	s.announce(0, 1, 256)
	s.wants("repeated")
	s.announce(0, 2, 256)
	s.wants("changed", "256 [[0,2,4]]")
	s.announce(0, 0, 256)
	s.wants("withdrawn", "removes 256")
	s.wants("withdrawn before")
	s.announce(0, 2, 256)
	s.wants("there again", "256 [[0,2,4]]")

	// Another collector says the same, or otherwise.
	s = newStoredTest(t)
	s.consume(time.Hour, 256, "[0,1,4]")
	s.consume(time.Hour, 257, "[0,1,4]")
	s.wants("learnt")
	s.announce(0, 1, 256)
	s.wants("the same here")
	s.announce(0, 2, 256)
	s.wants("otherwise here, later", "256 [[0,2,4]]")
	s.consume(0, 256, "[0,3,4]")
	s.wants("otherwise there, later")
	s.announce(0, 0, 257)
	s.wants("withdrawn here what another one wrote")

	// What another collector removes stays here until the exporter repeats it.
	s = newStoredTest(t)
	s.announce(2*time.Hour, 1, 256)
	s.wants("new", "256 [[0,1,4]]")
	s.consume(time.Hour, 256, "")
	s.wants("removed elsewhere")
	if n := len(s.keeper.decoder.State(netip.MustParseAddr("192.0.2.1"))); n != 1 {
		t.Errorf("%d templates known, want 1", n)
	}
	s.announce(0, 1, 256)
	s.wants("repeated later", "256 [[0,1,4]]")

	// What is old is written again while it is repeated, or else removed.
	s = newStoredTest(t)
	s.announce(5*time.Hour, 1, 256)
	s.wants("new", "256 [[0,1,4]]")
	s.announce(2*time.Hour, 1, 256)
	s.wants("repeated soon")
	s.announce(0, 1, 256)
	s.wants("repeated late", "256 [[0,1,4]]")
	s.consume(9*time.Hour, 300, "[0,1,4]")
	if s.keeper.stale.Load() != 1 {
		t.Errorf("%d stale", s.keeper.stale.Load())
	}
	s.wants("stale", "removes 300")
	s.announce(9*time.Hour, 1, 301)
	s.wants("stale from the beginning")

	// A collector that knows nothing of an exporter leaves its records alone.
	s = newStoredTest(t)
	s.consume(0, 256, "what is this")
	s.consume(0, 255, "[0,1,4]")
	if s.keeper.invalid.Load() != 2 {
		t.Errorf("%d invalid", s.keeper.invalid.Load())
	}
	s.wants("nothing known")
}
