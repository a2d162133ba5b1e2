package main

import (
	"context"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/internal/traffic"
)

// found is what is in a topic, by the numbers of flows. Several readers may add to it.
type found struct {
	flows uint64   // different ones, when all is read
	bits  []uint64 // one for each number
	where []uint64 // partition and offset of each, as long as they are not too many
}

// newFound has room for so many numbers.
func newFound(sent uint64) *found {
	f := &found{bits: make([]uint64, sent/64+1)}
	if sent < 20_000_000 {
		f.where = make([]uint64, sent)
	}
	return f
}

// add takes a flow, and reports whether it was not there yet.
func (f *found) add(n uint64, kr *kgo.Record) bool {
	bit := uint64(1) << (n % 64)
	if atomic.OrUint64(&f.bits[n/64], bit)&bit != 0 {
		return false
	}
	if f.where != nil {
		atomic.StoreUint64(&f.where[n], uint64(kr.Partition)<<48|uint64(kr.Offset))
	}
	return true
}

// again says where a flow was before.
func (f *found) again(n uint64) string {
	if f.where == nil {
		return fmt.Sprintf("flow %d again", n)
	}
	at := atomic.LoadUint64(&f.where[n])
	return fmt.Sprintf("flow %d again, after partition %d, offset %d", n, at>>48, at&(1<<48-1))
}

// between counts the flows with numbers from first to before end.
func (f *found) between(first, end uint64) uint64 {
	there := uint64(0)
	for n := first; n < min(end, 64*uint64(len(f.bits))); n++ {
		there += f.bits[n/64] >> (n % 64) & 1
	}
	return there
}

// readBack reads a topic with clients that know nothing of the one that wrote it, one
// for each partition. Every flow may be there once, and in each partition numbers have to
// grow, all of them or those of each exporter.
func readBack(t *testing.T, brokers string, d *destination, sent uint64, all bool) *found {
	t.Helper()
	client := func() *kgo.Client {
		cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience+time.Duration(sent)*10*time.Microsecond)
	defer cancel()
	ends, err := kadm.NewClient(client()).ListEndOffsets(ctx, d.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	got := newFound(sent)
	var readers sync.WaitGroup
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			r := &partitionReader{t: t, d: d, cl: client(), partition: o.Partition, end: o.Offset, sent: sent, all: all, got: got, last: map[int32]uint64{}}
			readers.Go(func() { r.read(ctx) })
		}
	})
	readers.Wait()
	for _, word := range got.bits {
		got.flows += uint64(bits.OnesCount64(word))
	}
	return got
}

// partitionReader reads one partition of a topic and finds fault with it.
type partitionReader struct {
	t          *testing.T
	d          *destination
	cl         *kgo.Client
	partition  int32
	end        int64
	sent       uint64
	all        bool // numbers of all exporters grow together
	got        *found
	last       map[int32]uint64 // by exporter
	complaints int
}

func (pr *partitionReader) complain(kr *kgo.Record, format string, args ...any) {
	if pr.complaints++; pr.complaints <= 10 {
		pr.t.Errorf("%s: partition %d, offset %d, producer %d epoch %d: %s", pr.d.topic, kr.Partition, kr.Offset, kr.ProducerID, kr.ProducerEpoch, fmt.Sprintf(format, args...))
	}
}

func (pr *partitionReader) read(ctx context.Context) {
	pr.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{pr.d.topic: {pr.partition: kgo.NewOffset().AtStart()}})
	r := new(flow.Record)
	for at := int64(0); at < pr.end; {
		fetches := pr.cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			pr.t.Errorf("%s: partition %d after offset %d of %d: %v", pr.d.topic, pr.partition, at, pr.end, err)
			return
		}
		fetches.EachRecord(func(kr *kgo.Record) {
			at = kr.Offset + 1
			if _, err := flow.DecodeAny(kr.Value, r, func(r *flow.Record) error {
				pr.flow(kr, r)
				return nil
			}); err != nil {
				pr.complain(kr, "%v", err)
			}
		})
	}
	if pr.complaints > 10 {
		pr.t.Errorf("%s: partition %d: and %d more", pr.d.topic, pr.partition, pr.complaints-10)
	}
}

// flow takes a flow of a record.
func (pr *partitionReader) flow(kr *kgo.Record, r *flow.Record) {
	n := traffic.FlowNumber(r.Addr(flow.SrcAddr), uint16(r.Uint(flow.SrcPort)))
	exporter := int32(0)
	if !pr.all {
		exporter = int32(r.Uint(flow.ObservationDomainID))
	}
	switch {
	case n >= pr.sent:
		pr.complain(kr, "flow %d, which nobody sent", n)
		return
	case !pr.got.add(n, kr):
		pr.complain(kr, "%s", pr.got.again(n))
	default:
		if l, ok := pr.last[exporter]; ok && n <= l {
			pr.complain(kr, "flow %d after %d", n, l)
		}
	}
	pr.last[exporter] = n
	if pr.d.keyed {
		if key := r.Addr(flow.SrcAddr).String(); key != string(kr.Key) {
			pr.complain(kr, "key %q of a flow from %s", kr.Key, key)
		} else if !pr.d.mayBeIn(kr.Partition, kr.Key) {
			pr.complain(kr, "key %q does not belong there", kr.Key)
		}
	}
}

// mayBeIn reports whether a Java client would have put a key into a partition, with
// one of the numbers of partitions that the topic has had.
func (d *destination) mayBeIn(partition int32, key []byte) bool {
	hash := int32(murmur2(key) & 0x7fffffff)
	for n := range d.partitions {
		if hash%n == partition {
			return true
		}
	}
	return false
}
