package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-net/tributary/collect"
	"github.com/tributary-net/tributary/flow"
	"github.com/tributary-net/tributary/packet"
)

// decodeOptions are the options of decode.
type decodeOptions struct {
	read   string
	format string
	quiet  bool

	counters bool
	elements elementOptions
	hold     int64
}

func (o *decodeOptions) register(fs *pflag.FlagSet, prefix string) {
	readVar(fs, &o.read, prefix)
	enumVar(fs, &o.format, prefix+"format", flow.FormatNames(), "how to write flow records")
	sizeVar(fs, &o.hold, prefix+"hold", 0, maxInt64, "memory for data that wait for their template; the oldest give way; 0 holds none")
	o.elements.register(fs, prefix)
	boolVar(fs, &o.counters, prefix+"counters", "write sFlow counter samples, as JSON lines, in place of flow records")
	boolVar(fs, &o.quiet, prefix+"quiet", "do not say at the end what could not be decoded")
}

// readVar registers the option that names a capture file.
func readVar(fs *pflag.FlagSet, p *string, prefix string) {
	fs.VarP(&option{"string", func(s string) error { *p = s; return nil }, func() string { return *p }},
		prefix+"read", "r", "capture `file` of export datagrams, pcap or pcapng; - is standard input")
}

func (o *decodeOptions) check() error {
	if o.read == "" {
		return bad("read", "", "allowed is the name of a capture file, or - for standard input")
	}
	return o.elements.check()
}

func newDecode() *cobra.Command {
	o := &decodeOptions{format: flow.JSON.String(), hold: collect.DefaultDecoderConfig().HoldOctets}
	return configured(&cobra.Command{
		Use:   "decode -r FILE",
		Short: "Decode a capture of flow exports to standard output",
		Long: `Decode the export datagrams in a capture file, of any link type and with
fragments joined, and write their flow records to standard output: the quickest
way to see what an exporter sends. No Kafka is needed.

What could not be decoded is counted on standard error at the end.`,
		Example: `  tributary decode -r exports.pcap
  tcpdump -i eth0 -w - udp port 2055 | tributary decode -r - --format kflow`,
		Args: cobra.NoArgs,
	}, o, func(c *cobra.Command, _ []string) error {
		format, err := flow.ParseFormat(o.format)
		if err != nil {
			return err
		}
		return runDecode(c, o, format)
	})
}

// openCapture opens a capture file, or standard input for "-".
func openCapture(c *cobra.Command, name string) (*packet.Reader, io.Closer, error) {
	in := io.NopCloser(c.InOrStdin())
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, nil, err
		}
		in = f
	}
	r, err := packet.NewReader(bufio.NewReaderSize(in, 1<<20))
	if err != nil {
		_ = in.Close()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it is empty, or ends within its first header")
		}
		return nil, nil, fmt.Errorf("read capture %s: %w", name, err)
	}
	return r, in, nil
}

func runDecode(c *cobra.Command, o *decodeOptions, format flow.Format) (err error) {
	capture, in, err := openCapture(c, o.read)
	if err != nil {
		return err
	}
	defer in.Close()
	out := bufio.NewWriterSize(c.OutOrStdout(), 1<<16)
	defer func() {
		if e := out.Flush(); err == nil {
			err = e
		}
	}()

	// A capture may be of many hours: data wait until its end.
	bounds := withHold(collect.DefaultDecoderConfig(), o.hold)
	bounds.HoldExporterOctets, bounds.HoldTime = bounds.HoldOctets, math.MaxInt64
	bounds.Elements = o.elements.elements
	var buf []byte
	var failed error // of the output, from where it cannot be returned
	if o.counters {
		bounds.Counters = func(s *collect.CounterSample) {
			buf = append(s.AppendJSON(buf[:0]), '\n')
			if _, err := out.Write(buf); failed == nil {
				failed = err
			}
		}
	}
	decoder := collect.NewDecoder(bounds)
	emit := func(r *flow.Record) error {
		if o.counters {
			return nil
		}
		buf = format.Append(buf[:0], r)
		if format.Text() {
			buf = append(buf, '\n')
		}
		_, err := out.Write(buf)
		return err
	}
	datagrams := packet.NewDatagramReader(capture)
	var g packet.Datagram
	for {
		if err := datagrams.Next(&g); err != nil {
			decoder.GiveUp()
			if !o.quiet {
				reportDecode(c.ErrOrStderr(), decoder.Stats().Total, datagrams.Others())
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read capture %s: %w", o.read, err)
		}
		dg := flow.Datagram{Exporter: g.Source, Received: g.Time, Payload: g.Payload}
		var w *writeError
		if err := decoder.Decode(&dg, func(r *flow.Record) error { return asWriteError(emit(r)) }); errors.As(err, &w) {
			return w.error
		}
		if failed != nil {
			return failed
		}
	}
}

// writeError tells an error of the output from one of a datagram.
type writeError struct{ error }

func asWriteError(err error) error {
	if err == nil {
		return nil
	}
	return &writeError{err}
}

func (e *writeError) Unwrap() error { return e.error }

// reportDecode says in one line what was read, and in one more what could not be.
func reportDecode(w io.Writer, s collect.ExporterStats, others uint64) {
	fmt.Fprintf(w, "%d flow records, %d options records, %d templates, %d counter samples from %d datagrams\n",
		s.Records, s.Options, s.Templates, s.CounterSamples, s.Datagrams)
	var trouble []string
	add := func(n uint64, what string) {
		if n > 0 {
			trouble = append(trouble, fmt.Sprintf("%d %s", n, what))
		}
	}
	for _, r := range collect.Reasons() {
		add(s.Malformed[r], "datagrams with trouble ("+r.String()+")")
	}
	add(s.HeldDecoded, "data sets that came before their template")
	add(s.MissingTemplates, "data sets without a template")
	add(s.Missing(), "missing by sequence numbers")
	add(others, "packets that are no UDP datagram")
	for _, t := range trouble {
		fmt.Fprintln(w, t)
	}
}
