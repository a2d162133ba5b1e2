package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-net/tributary/flow"
)

// maxDatagram is the largest payload that UDP can carry.
const maxDatagram = 65535

// drainTime bounds how long a stopping server takes in what already waits in its
// sockets: a receive buffer that is full of small datagrams, on a machine that has
// little time for it.
const drainTime = 5 * time.Second

// leastMemory is less than any datagram takes in a receive buffer: Linux counts the
// memory that describes it too.
const leastMemory = 512

// Config says where a [Server] listens and how.
type Config struct {
	// Listen are addresses as "host:port" or "udp://host:port". Every one of
	// them takes every protocol.
	Listen []string
	// Workers is the number of sockets for each address, each with a goroutine
	// of its own. 0 is one for each CPU the program may use, up to 8.
	Workers int
	// ReceiveBuffer is the kernel's buffer for each socket, in bytes. The kernel
	// may grant less: net.core.rmem_max bounds it.
	ReceiveBuffer int
	// Batch is how many datagrams one system call takes at most.
	Batch int
	// Allow are the networks that exporters may be in; none: all.
	Allow []netip.Prefix
	// Logger takes what is worth a line; nil: nothing is logged.
	Logger *slog.Logger
}

// DefaultConfig listens where NetFlow, IPFIX and sFlow are sent by default.
func DefaultConfig() Config {
	return Config{
		Listen:        []string{":2055", ":4739", ":6343"},
		ReceiveBuffer: 16 << 20,
		Batch:         128,
	}
}

// Server receives flow export datagrams, hands them to a decoder and the records
// to a sink. Several servers with different decoders can run in one program.
type Server struct {
	cfg     Config
	decoder flow.Decoder
	sink    flow.Sink
	log     *slog.Logger
	workers []*worker
	trouble trouble
}

// New opens the sockets of a server. Datagrams queue in them until Run.
func New(cfg Config, decoder flow.Decoder, sink flow.Sink) (*Server, error) {
	def := DefaultConfig()
	if cfg.Workers <= 0 {
		cfg.Workers = min(runtime.GOMAXPROCS(0), 8)
	}
	if cfg.ReceiveBuffer <= 0 {
		cfg.ReceiveBuffer = def.ReceiveBuffer
	}
	if cfg.Batch <= 0 {
		cfg.Batch = def.Batch
	}
	s := &Server{cfg: cfg, decoder: decoder, sink: sink, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.trouble.log = s.log
	s.cfg.Allow = slices.Clone(cfg.Allow)
	for i, p := range s.cfg.Allow {
		if p.Addr().Is4In6() && p.Bits() >= 96 { // addresses of exporters are unmapped
			s.cfg.Allow[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
	}
	for _, listen := range cfg.Listen {
		address := strings.TrimPrefix(listen, "udp://")
		sockets, err := listenUDP(context.Background(), address, cfg.Workers, cfg.ReceiveBuffer, cfg.Batch)
		if err != nil {
			s.closeSockets()
			return nil, fmt.Errorf("listen on %s: %w", listen, err)
		}
		for _, sock := range sockets {
			_, limit, _, err := sock.queue()
			s.workers = append(s.workers, &worker{server: s, socket: sock, listen: sock.address(), pauses: err == nil && limit >= pauseBuffer})
		}
		s.checkBuffer(sockets[0])
	}
	return s, nil
}

// checkBuffer says when the kernel granted less than was asked for.
func (s *Server) checkBuffer(sock *socket) {
	_, limit, _, err := sock.queue()
	if err != nil {
		s.log.Warn("cannot read the size of the receive buffer", "listen", sock.address(), "err", err)
		return
	}
	// Linux reports twice what it was asked for, for its own bookkeeping.
	if limit < s.cfg.ReceiveBuffer {
		s.log.Warn("receive buffer is smaller than asked for: raise net.core.rmem_max", "listen", sock.address(), "asked_bytes", s.cfg.ReceiveBuffer, "granted_bytes", limit/2)
	}
}

// Addrs returns the addresses that the server listens on, in the order of
// [Config.Listen].
func (s *Server) Addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for i, w := range s.workers {
		if i == 0 || w.listen != s.workers[i-1].listen {
			addrs = append(addrs, w.listen)
		}
	}
	return addrs
}

// Run receives until ctx ends, takes in what then waits in the sockets, and
// closes them. It returns the first error of the sink, which ends it too, and
// nil when ctx ended it. The sink is left open.
func (s *Server) Run(ctx context.Context) error {
	defer s.closeSockets()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		for _, w := range s.workers {
			w.stopping.Store(true)
			w.socket.interrupt()
		}
	})
	defer stop()
	var group sync.WaitGroup
	for _, w := range s.workers {
		group.Go(func() {
			if err := w.run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, ctx.Err()) {
		return err
	}
	return nil
}

func (s *Server) closeSockets() {
	for _, w := range s.workers {
		w.look() // the last that the kernel can say
		_ = w.socket.close()
	}
}

func (s *Server) allowed(a netip.Addr) bool {
	if len(s.cfg.Allow) == 0 {
		return true
	}
	for _, p := range s.cfg.Allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// received is one datagram as a socket hands it out.
type received struct {
	payload   []byte
	from      netip.AddrPort
	at        time.Time // zero where the kernel did not say
	truncated bool
	drops     uint32 // of the socket since it was opened
	hasDrops  bool
}

// worker owns a socket: buffers and the sink's handle are its own.
type worker struct {
	server   *Server
	socket   *socket
	listen   netip.AddrPort
	stopping atomic.Bool
	pauses   bool // the receive buffer is large enough for it
	rests    int  // in a row

	mu    sync.Mutex // guards what follows
	stats SocketStats
}

// run receives until the server stops.
func (w *worker) run(ctx context.Context) error {
	sink := w.server.sink
	if ws, ok := sink.(flow.WorkerSink); ok {
		sink = ws.Worker()
	}
	noter, noting := sink.(flow.Noter)
	var note []byte
	if noting {
		note = make([]byte, 0, 1<<10)
	}
	var sinkErr error
	var records uint64
	emit := func(r *flow.Record) error {
		records++
		if err := sink.Write(r); err != nil {
			sinkErr = fmt.Errorf("write flow record: %w", err)
			return sinkErr
		}
		return nil
	}
	var d received
	var dg flow.Datagram
	left := -1 // once the server is told to stop: as many datagrams wait at most
	for {
		n, err := w.socket.receive(w.rest)
		w.rests = 0
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && left < 0:
			// What waits in the socket has been accepted: take it in, and nothing
			// that comes later.
			used, _, _, err := w.socket.queue()
			if err != nil || used == 0 {
				return w.flush(sink)
			}
			left = used/leastMemory + 1
			w.socket.resume(time.Now().Add(drainTime))
			continue
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return w.flush(sink)
		default:
			return fmt.Errorf("receive on %s: %w", w.listen, err)
		}
		now := time.Time{}
		batch := SocketStats{Datagrams: uint64(n), Reads: 1}
		records = 0
		for i := range n {
			w.socket.datagram(i, &d)
			batch.Bytes += uint64(len(d.payload))
			if !w.server.allowed(d.from.Addr()) {
				batch.Filtered++
				continue
			}
			if d.truncated {
				batch.Truncated++
			}
			if d.at.IsZero() {
				if now.IsZero() {
					now = time.Now()
				}
				d.at = now
			}
			dg = flow.Datagram{Exporter: d.from, Received: d.at, Payload: d.payload, Note: note[:0]}
			err := w.server.decoder.Decode(&dg, emit)
			if noting {
				note = dg.Note
				noter.Note(note)
			}
			if err != nil {
				if sinkErr != nil {
					_ = w.flush(sink) // as much as can be saved
					return sinkErr
				}
				batch.Malformed++
				w.server.trouble.report(d.from.Addr(), err)
				continue
			}
			batch.Decoded++
		}
		batch.Records = records
		if n > 0 && d.hasDrops {
			batch.Drops = uint64(d.drops)
		}
		w.count(&batch)
		if left >= 0 {
			if left = max(0, left-n); left == 0 || w.empty() {
				return w.flush(sink)
			}
			continue
		}
		if n < w.socket.batch() || w.empty() {
			// Nothing waits: hand on what has been written.
			if err := sink.Flush(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("flush flow records: %w", err)
			}
			w.pause()
		}
	}
}

// pauseTime is how long datagrams may come together at most: waking up costs as
// much as decoding several of them.
const pauseTime = 10 * time.Millisecond

// pauseBuffer is how large the receive buffer has to be for that: what a fast
// exporter sends in the meantime has to fit.
const pauseBuffer = 4 << 20

// pause waits after a read that left nothing behind. All workers wake up at the
// same times: it is the first to do so that costs most.
func (w *worker) pause() {
	if w.pauses && !w.stopping.Load() {
		time.Sleep(pauseTime - time.Duration(time.Now().UnixNano())%pauseTime)
	}
}

// mostRests is how often a worker that finds nothing pauses before it waits for the next
// datagram, however long that takes. While some keep coming it is cheaper to look again: a
// wait that the runtime hears of wakes its monitor for a millisecond.
const mostRests = 2

// rest pauses instead of waiting, and reports whether it has.
func (w *worker) rest() bool {
	if !w.pauses || w.rests == mostRests || w.stopping.Load() {
		return false
	}
	w.rests++
	w.pause()
	return true
}

// empty reports whether no datagram waits in the socket.
func (w *worker) empty() bool {
	used, _, _, err := w.socket.queue()
	return err != nil || used == 0
}

// flush hands on the last records of a worker that stops.
func (w *worker) flush(sink flow.Sink) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := sink.Flush(ctx); err != nil {
		return fmt.Errorf("flush flow records: %w", err)
	}
	return nil
}

// count adds what one read brought. The drops are those since the socket was opened.
func (w *worker) count(s *SocketStats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Datagrams += s.Datagrams
	w.stats.Bytes += s.Bytes
	w.stats.Records += s.Records
	w.stats.Decoded += s.Decoded
	w.stats.Filtered += s.Filtered
	w.stats.Malformed += s.Malformed
	w.stats.Truncated += s.Truncated
	w.stats.Reads += s.Reads
	w.stats.Drops = max(w.stats.Drops, s.Drops)
}

// SocketStats is what one socket has received. At any time
//
//	Datagrams = Decoded + Malformed + Filtered
type SocketStats struct {
	Listen    netip.AddrPort
	Datagrams uint64
	Bytes     uint64
	Records   uint64 // flow records made of them
	Decoded   uint64 // datagrams that the decoder returned no error for
	Filtered  uint64 // datagrams of exporters that are not allowed
	Malformed uint64 // datagrams that the decoder returned an error for
	Truncated uint64 // datagrams longer than UDP can carry them to us
	Reads     uint64 // system calls that brought datagrams

	Drops         uint64 // datagrams that the kernel dropped because the receive buffer was full
	QueueBytes    int    // memory of the datagrams that wait now
	ReceiveBuffer int    // how much it may be
}

// Stats returns what every socket has received so far.
func (s *Server) Stats() []SocketStats {
	stats := make([]SocketStats, 0, len(s.workers))
	for _, w := range s.workers {
		stats = append(stats, w.look())
	}
	return stats
}

// look returns what the socket has received, and asks the kernel what it dropped.
func (w *worker) look() SocketStats {
	used, limit, drops, err := w.socket.queue()
	if err == nil {
		w.count(&SocketStats{Drops: uint64(drops)})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	st := w.stats
	st.Listen, st.QueueBytes, st.ReceiveBuffer = w.listen, used, limit
	return st
}

// Holds reports whether all datagrams of the socket are accounted for.
func (s *SocketStats) Holds() bool { return s.Datagrams == s.Decoded+s.Malformed+s.Filtered }

// trouble logs that an exporter sends what cannot be decoded: one line each time
// that it lasts; counters tell the rest. Of many exporters, whose addresses may be
// made up, the first ones are named.
type trouble struct {
	log   *slog.Logger
	mu    sync.Mutex
	begin time.Time
	named map[netip.Addr]bool // since then
	more  bool                // there were others
}

// How long an exporter's trouble is told only once, and how many exporters are named
// in that time.
const (
	troubleTime      = 10 * time.Minute
	troubleExporters = 100
)

func (t *trouble) report(exporter netip.Addr, err error) {
	now := time.Now()
	t.mu.Lock()
	if t.named == nil || now.Sub(t.begin) >= troubleTime {
		t.begin, t.named, t.more = now, map[netip.Addr]bool{}, false
	}
	name := !t.named[exporter] && len(t.named) < troubleExporters
	more := !t.named[exporter] && !name && !t.more
	if name {
		t.named[exporter] = true
	}
	t.more = t.more || more
	t.mu.Unlock()
	if name {
		t.log.Warn("datagram could not be decoded; further ones of this exporter are counted", "exporter", exporter, "err", err)
	} else if more {
		t.log.Warn("datagrams of more exporters could not be decoded; they are counted", "named", troubleExporters)
	}
}
