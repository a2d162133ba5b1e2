package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// LoadConfig says what a [Load] sends.
type LoadConfig struct {
	Protocol  Protocol       // NetFlow5, NetFlow9, IPFIX or SFlow
	To        netip.AddrPort // collector
	Rate      float64        // flows a second; 0: as fast as it goes
	Flows     uint64         // stop after so many, rounded up to whole datagrams; 0: go on until the context ends
	First     uint64         // number of the first flow
	Exporters int            // sockets, each an exporter with a domain and a sequence of its own; 0: 1
	Batch     int            // datagrams a system call, at most 1,024; 0: 32
	Seed      uint64         // of what records hold beside their number
}

// LoadStats counts what a load has handed to the kernel.
type LoadStats struct {
	Datagrams uint64 // templates included
	Flows     uint64 // records or samples
	Bytes     uint64 // UDP payload
	Refused   uint64 // system calls that found nobody listening; their datagrams were sent again
}

// Load sends datagrams of one shape: 25 records of 18 ordinary router fields each in NetFlow v9 and IPFIX, 25 records in
// NetFlow v5, 7 samples with headers of 128 octets in sFlow. Flows are numbered, see [FlowNumber]: what a receiver counts
// and misses can be told exactly. The datagrams are built beforehand; sending one costs its numbers and a share of a
// system call.
type Load struct {
	cfg       LoadConfig
	shape     shape
	exporters []loadExporter
	datagrams atomic.Uint64
	flows     atomic.Uint64
	bytes     atomic.Uint64
	refused   atomic.Uint64
}

type loadExporter struct {
	conn     *net.UDPConn
	batch    batchWriter
	domain   uint32
	sequence uint32
	sent     uint64         // datagrams with flows
	ring     []ipv4.Message // one datagram each
	template [1]ipv4.Message
}

// batchWriter is what ipv4 and ipv6 connections have in common: sendmmsg where there is one.
type batchWriter interface {
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
}

// loadTemplateEvery is after how many datagrams a load sends its template again.
const loadTemplateEvery = 4096

// NewLoad prepares a load and opens its sockets. Close it.
func NewLoad(cfg LoadConfig) (*Load, error) {
	if cfg.Exporters == 0 {
		cfg.Exporters = 1
	}
	if cfg.Batch == 0 {
		cfg.Batch = 32
	}
	switch {
	case cfg.Exporters < 0 || cfg.Exporters > 10000:
		return nil, fmt.Errorf("load of %d exporters: 1 to 10,000 are possible", cfg.Exporters)
	case cfg.Batch < 0 || cfg.Batch > 1024:
		return nil, fmt.Errorf("load of %d datagrams a system call: 1 to 1,024 are possible", cfg.Batch)
	case cfg.Rate < 0:
		return nil, fmt.Errorf("load of %g flows a second", cfg.Rate)
	}
	s, err := newShape(cfg.Protocol)
	if err != nil {
		return nil, err
	}
	l := &Load{cfg: cfg, shape: s}
	rng := rand.New(rand.NewPCG(cfg.Seed, 2))
	now := time.Now()
	for i := range cfg.Exporters {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(cfg.To))
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("load to %v: %w", cfg.To, err)
		}
		x := loadExporter{conn: conn, domain: uint32(i + 1)}
		if cfg.To.Addr().Unmap().Is4() {
			x.batch = ipv4.NewPacketConn(conn)
		} else {
			x.batch = ipv6.NewPacketConn(conn)
		}
		for range cfg.Batch {
			x.ring = append(x.ring, ipv4.Message{Buffers: [][]byte{s.build(cfg.Protocol, rng, now)}})
		}
		if s.template != nil {
			x.template[0].Buffers = [][]byte{append([]byte(nil), s.template...)}
		}
		l.exporters = append(l.exporters, x)
	}
	return l, nil
}

// Records is how many flows a datagram carries.
func (l *Load) Records() int { return l.shape.records }

// DatagramBytes is how long a datagram is, UDP's header not included.
func (l *Load) DatagramBytes() int { return len(l.exporters[0].ring[0].Buffers[0]) }

// Stats returns what was sent so far. It may be called while Run runs.
func (l *Load) Stats() LoadStats {
	return LoadStats{Datagrams: l.datagrams.Load(), Flows: l.flows.Load(), Bytes: l.bytes.Load(), Refused: l.refused.Load()}
}

// Close closes the sockets.
func (l *Load) Close() error {
	var errs []error
	for i := range l.exporters {
		errs = append(errs, l.exporters[i].conn.Close())
	}
	l.exporters = nil
	return errors.Join(errs...)
}

// Run sends until all flows are sent or the context ends, which is no error. It may be called again and goes on where it
// stopped.
func (l *Load) Run(ctx context.Context) error {
	records := uint64(l.shape.records)
	left := ^uint64(0) // datagrams
	if l.cfg.Flows > 0 {
		left = (l.cfg.Flows + records - 1) / records
	}
	// At a low rate not more at once than two milliseconds' worth.
	size := uint64(l.cfg.Batch)
	if l.cfg.Rate > 0 {
		size = max(1, min(size, uint64(l.cfg.Rate/500/float64(records))))
	}
	begin := time.Now()
	var sent uint64 // flows in this run
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for turn := 0; left > 0; turn++ {
		if err := ctx.Err(); err != nil {
			return nil
		}
		now := time.Now()
		if l.cfg.Rate > 0 {
			due := time.Duration(float64(sent) / l.cfg.Rate * 1e9)
			if wait := due - now.Sub(begin); wait > 0 {
				timer.Reset(wait)
				select {
				case <-ctx.Done():
					return nil
				case <-timer.C:
				}
				now = time.Now()
			}
		}
		n := min(size, left)
		if err := l.send(ctx, &l.exporters[turn%len(l.exporters)], int(n), now); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("load to %v: %w", l.cfg.To, err)
		}
		sent += n * records
		left -= n
	}
	return nil
}

// send sends the next n datagrams of an exporter, with its template before them when it is time.
func (l *Load) send(ctx context.Context, x *loadExporter, n int, now time.Time) error {
	s := &l.shape
	if s.template != nil && x.sent/loadTemplateEvery != (x.sent+uint64(n))/loadTemplateEvery || x.sent == 0 && s.template != nil {
		b := x.template[0].Buffers[0]
		s.patch(b, 0, x.sequence, x.domain, now)
		if _, err := l.write(ctx, x, x.template[:]); err != nil {
			return err
		}
		if !s.perRecord {
			x.sequence++
		}
	}
	flow := (l.cfg.First + l.flows.Load()) & maxFlowNumber
	step, sequence := uint32(1), x.sequence
	if s.perRecord {
		step = uint32(s.records)
	}
	if l.cfg.Protocol == SFlow {
		sequence++ // the first is 1
	}
	for i := range n {
		s.patch(x.ring[i].Buffers[0], flow, sequence+uint32(i)*step, x.domain, now)
		flow = (flow + uint64(s.records)) & maxFlowNumber
	}
	// When the context ends in between, numbers go on where those of what was sent end.
	sent, err := l.write(ctx, x, x.ring[:n])
	x.sequence += uint32(sent) * step
	x.sent += uint64(sent)
	l.flows.Add(uint64(sent) * uint64(s.records))
	return err
}

// write returns how many datagrams the kernel has taken; all of them if there is no error.
func (l *Load) write(ctx context.Context, x *loadExporter, ms []ipv4.Message) (sent int, err error) {
	for len(ms) > 0 {
		n, err := x.batch.WriteBatch(ms, 0)
		for i := range max(n, 0) {
			l.datagrams.Add(1)
			l.bytes.Add(uint64(len(ms[i].Buffers[0])))
		}
		ms = ms[max(n, 0):]
		sent += max(n, 0)
		switch {
		case err == nil:
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOBUFS):
			// Nobody listens yet, or the device's queue is full.
			l.refused.Add(1)
			if err := ctx.Err(); err != nil {
				return sent, err
			}
			time.Sleep(time.Millisecond)
		default:
			return sent, err
		}
	}
	return sent, nil
}
