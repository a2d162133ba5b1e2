package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/internal/daemon"
	"github.com/tributary-net/tributary/internal/traffic"
	"github.com/tributary-net/tributary/packet"
)

// replayOptions are the options of replay.
type replayOptions struct {
	read  string
	to    string
	pace  string
	loop  bool
	now   bool
	quiet bool
}

func (o *replayOptions) register(fs *pflag.FlagSet, prefix string) {
	readVar(fs, &o.read, prefix)
	textVar(fs, &o.to, prefix+"to", "udp://host:port", checkUDP, "send every datagram here")
	textVar(fs, &o.pace, prefix+"pace", "original|flat|N/s", checkPace, "as fast as they were captured, as fast as they can be sent, or so many datagrams a second")
	boolVar(fs, &o.loop, prefix+"loop", "begin again at the end, until told to stop")
	boolVar(fs, &o.now, prefix+"now", "move the times in the datagrams as if they were sent now")
	boolVar(fs, &o.quiet, prefix+"quiet", "do not say at the end what was sent")
}

func (o *replayOptions) check() error {
	switch {
	case o.read == "":
		return bad("read", "", "allowed is the name of a capture file, or - for standard input")
	case o.read == "-" && o.loop:
		return bad("loop", "true", "standard input can be read only once; allowed with --loop is a file")
	}
	return nil
}

func checkUDP(s string) error {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(s, "udp://"))
	if err == nil {
		_, err = net.LookupPort("udp", port)
	}
	if err != nil || host == "" || port == "" || port == "0" {
		return errors.New("allowed is udp://host:port, such as udp://127.0.0.1:2055")
	}
	return nil
}

func checkPace(s string) error {
	_, err := parsePace(s)
	return err
}

// parsePace returns datagrams a second: 0 is as fast as possible, less is the
// original pace.
func parsePace(s string) (float64, error) {
	switch s {
	case "original":
		return -1, nil
	case "flat":
		return 0, nil
	}
	r, err := parseRate(s)
	if err != nil || r <= 0 {
		return 0, errors.New("allowed are original, flat, and datagrams a second such as 1000/s")
	}
	return r, nil
}

func newReplay() *cobra.Command {
	o := &replayOptions{to: "udp://127.0.0.1:2055", pace: "original"}
	return configured(&cobra.Command{
		Use:   "replay -r FILE",
		Short: "Send a capture of flow exports to a collector again",
		Long: `Send the payload of every UDP datagram in a capture file, of any link type and
with fragments joined, to a collector. Each exporter in the capture gets a
socket of its own; towards 127.0.0.1 each gets an address of its own too.`,
		Example: `  tributary replay -r exports.pcap --to udp://127.0.0.1:2055
  tributary replay -r exports.pcap --to udp://collector:2055 --pace 1000/s --loop --now`,
		Args: cobra.NoArgs,
	}, o, func(c *cobra.Command, _ []string) error {
		pace, err := parsePace(o.pace)
		if err != nil {
			return err
		}
		log, err := daemon.NewLogger(c.ErrOrStderr(), "text", "warn")
		if err != nil {
			return err
		}
		ctx, stop := daemon.Signals(c.Context(), log, nil)
		defer stop()
		to, err := net.ResolveUDPAddr("udp", strings.TrimPrefix(o.to, "udp://"))
		if err != nil {
			return fmt.Errorf("--to %s: %w", o.to, err)
		}
		p := &replayer{to: to, pace: pace, now: o.now, conns: map[netip.AddrPort]*net.UDPConn{}, hosts: map[netip.Addr]int{}}
		defer p.close()
		for {
			before := p.sent
			if err = p.file(ctx, c, o.read); err != nil || !o.loop || ctx.Err() != nil {
				break
			}
			if p.sent == before {
				err = fmt.Errorf("%s has no datagram to send", o.read)
				break
			}
		}
		if !o.quiet && (err == nil || p.sent > 0) {
			fmt.Fprintf(c.ErrOrStderr(), "%d datagrams of %d exporters sent to %s\n", p.sent, len(p.conns), to)
			if p.refused > 0 {
				fmt.Fprintf(c.ErrOrStderr(), "at least %d of them were refused: nobody listens there\n", p.refused)
			}
		}
		return err
	})
}

// replayer sends datagrams.
type replayer struct {
	to      *net.UDPAddr
	pace    float64
	now     bool
	sent    uint64
	refused uint64 // of those sent, as far as the system told
	conns   map[netip.AddrPort]*net.UDPConn
	hosts   map[netip.Addr]int

	rewriter traffic.Rewriter
}

// maxReplaySockets bounds the sockets: exporters beyond it share the first.
const maxReplaySockets = 512

func (p *replayer) close() {
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// file sends one capture file.
func (p *replayer) file(ctx context.Context, c *cobra.Command, name string) error {
	capture, in, err := openCapture(c, name)
	if err != nil {
		return err
	}
	defer in.Close()
	datagrams := packet.NewDatagramReader(capture)
	start := time.Now()
	var first, moved time.Time
	var shift time.Duration
	var n uint64
	for g := (packet.Datagram{}); ctx.Err() == nil; n++ {
		if err := datagrams.Next(&g); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read capture %s: %w", name, err)
		}
		if first.IsZero() {
			first = g.Time
		}
		if exported, ok := traffic.ExportTime(g.Payload); p.now && ok {
			if moved.IsZero() {
				moved = exported
				shift = time.Since(exported)
			}
			p.rewriter.Rewrite(g.Source, g.Payload, shift)
		}
		due := start
		switch {
		case p.pace < 0:
			due = start.Add(g.Time.Sub(first))
		case p.pace > 0:
			due = start.Add(time.Duration(float64(n) / p.pace * float64(time.Second)))
		}
		if err := sleepUntil(ctx, due); err != nil {
			return nil
		}
		conn, err := p.conn(g.Source)
		if err != nil {
			return err
		}
		if err := p.send(conn, g.Payload); err != nil {
			return fmt.Errorf("send to %s: %w", p.to, err)
		}
	}
	return nil
}

// send sends a datagram. That an earlier one found nobody listening is told by the
// system in its place: it is counted, and the datagram sent all the same.
func (p *replayer) send(conn *net.UDPConn, payload []byte) error {
	for {
		_, err := conn.Write(payload)
		switch {
		case err == nil:
			p.sent++
			return nil
		case errors.Is(err, syscall.ECONNREFUSED) && p.refused < p.sent:
			p.refused++
		default:
			return err
		}
	}
}

// sleepUntil waits for a point in time; a short wait is left to the next call.
func sleepUntil(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d < time.Millisecond {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// conn returns the socket of an exporter.
func (p *replayer) conn(exporter netip.AddrPort) (*net.UDPConn, error) {
	if c := p.conns[exporter]; c != nil {
		return c, nil
	}
	if len(p.conns) >= maxReplaySockets {
		for _, c := range p.conns {
			return c, nil
		}
	}
	host, ok := p.hosts[exporter.Addr()]
	if !ok {
		host = len(p.hosts)
		p.hosts[exporter.Addr()] = host
	}
	var local *net.UDPAddr
	if p.to.IP.To4() != nil && p.to.IP.IsLoopback() && host > 0 {
		local = &net.UDPAddr{IP: net.IPv4(127, 1, byte(host>>8), byte(host))}
	}
	c, err := net.DialUDP("udp", local, p.to)
	if err != nil && local != nil {
		c, err = net.DialUDP("udp", nil, p.to) // not every system has all of 127/8
	}
	if err != nil {
		return nil, fmt.Errorf("send to %s: %w", p.to, err)
	}
	p.conns[exporter] = c
	return c, nil
}
