package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ledgerOptions say where the ledger is read from and how it is printed.
type ledgerOptions struct {
	kafka     *kafkaOptions
	url       string
	output    string
	fromTopic bool // of kafka
}

func (o *ledgerOptions) register(fs *pflag.FlagSet, prefix string) {
	textVar(fs, &o.url, prefix+"url", "url", checkLedgerURL, "the operations of a running collector, where it has --http")
	o.kafka.register(fs, prefix)
	fs.Lookup(prefix + "kafka").Usage = "read the topic " + ledgerTopic + " of this cluster instead, kafka://host:port,... or kafka-ssl://..."
	enumVar(fs, &o.output, prefix+"output", []string{"table", "json"}, "how to print: tables, or a JSON object a row")
}

func (o *ledgerOptions) check() error { return o.kafka.check() }

// derive tells which of the two places was asked for. Of those set elsewhere than on the
// command line the one with the command's own name counts: all tools share the other.
func (o *ledgerOptions) derive(s *settings) error {
	byFlag := func(name string) bool { return strings.HasPrefix(s.origin[name], "flag ") }
	if byFlag("url") && byFlag("kafka") {
		return bad("url", o.url, "allowed is one of --url and --kafka")
	}
	o.fromTopic = byFlag("kafka") || s.origin["kafka"] != "" && s.origin["url"] == ""
	return nil
}

func checkLedgerURL(s string) error {
	if u, err := url.Parse(s); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("allowed is http://host:port, or https://")
	}
	return nil
}

func newCollectLedger() *cobra.Command {
	o := &ledgerOptions{kafka: defaultKafkaOptions(), url: "http://127.0.0.1:8081", output: "table"}
	return configured(&cobra.Command{
		Use:   "ledger",
		Short: "Show what was sent, received, missing and delivered",
		Long: `Show the loss ledger of a running collector, or the newest one of every collector
in the topic ` + ledgerTopic + `: what each exporter announced by its sequence numbers, what of it came
and what is missing, and what has become of it since. It ends with 1 when the
balances do not hold.`,
		Example: `  tributary collect ledger
  tributary collect ledger --url http://127.0.0.1:8080
  tributary collect ledger --kafka kafka://k1:9092 --output json`,
		Args: cobra.NoArgs,
	}, o, func(c *cobra.Command, _ []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		ledgers, err := o.read(ctx, c)
		if err != nil {
			return err
		}
		var wrong []string
		for i, s := range ledgers {
			if o.output == "table" && i > 0 {
				fmt.Fprintln(c.OutOrStdout())
			}
			if err := o.print(c.OutOrStdout(), s); err != nil {
				return err
			}
			wrong = append(wrong, s.wrong()...)
		}
		if len(wrong) > 0 {
			return errors.New("the balances do not hold: " + strings.Join(wrong, ", "))
		}
		return nil
	})
}

// read gets the ledgers from where they are.
func (o *ledgerOptions) read(ctx context.Context, c *cobra.Command) ([]*ledgerSnapshot, error) {
	if !o.fromTopic {
		s, err := o.fetch(ctx)
		if err != nil {
			return nil, fmt.Errorf("ledger of %s: %w", o.url, err)
		}
		return []*ledgerSnapshot{s}, nil
	}
	cl, err := o.kafka.client(ctx, c)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ledgers, err := readLedger(ctx, cl)
	if err == nil && len(ledgers) == 0 {
		err = fmt.Errorf("topic %s has no ledger", ledgerTopic)
	}
	return ledgers, o.kafka.endpoint.Explain(err)
}

// fetch asks a running collector.
func (o *ledgerOptions) fetch(ctx context.Context) (*ledgerSnapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, o.kafka.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(o.url, "/")+"/ledger", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // which does not name the address once more
		}
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return nil, fmt.Errorf("%s: %s", res.Status, oneLine(string(text)))
	}
	return parseLedger(res.Body)
}

func (o *ledgerOptions) print(w io.Writer, s *ledgerSnapshot) error {
	if o.output == "json" {
		e := json.NewEncoder(w)
		var err error
		s.each(func(_ string, row any) { err = errors.Join(err, e.Encode(row)) })
		return err
	}
	return s.table(w)
}

// table prints the ledger for people.
func (s *ledgerSnapshot) table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	}
	when := "at " + s.total.Time.Local().Format(time.DateTime)
	if s.total.Final {
		when += ", when it stopped"
	}
	fmt.Fprintf(w, "collector %s, since %s, %s\n\n", s.total.Collector, s.total.Started.Local().Format(time.DateTime), when)
	line("EXPORTER", "PROTOCOL", "DOMAIN", "UNIT", "ANNOUNCED", "RECEIVED", "MISSING", "%", "REPEATED", "RESTARTS", "UNKNOWN", "MALFORMED")
	row := func(name string, domain any, r *domainRow) {
		announced := any(r.Announced)
		if r.Protocol == "NetFlow v1" {
			announced = "-" // it has no sequence numbers
		}
		line(name, r.Protocol, domain, r.Unit, announced, r.Received, r.Missing, percent(r.Missing, r.Announced), r.Repeated, r.Restarts, r.Unknown, r.Malformed)
	}
	for i := range s.domains {
		r := &s.domains[i]
		name, domain := r.names()
		row(name, domain, r)
	}
	if s.rest.Datagrams > 0 {
		row("others", "", &s.rest)
	}
	row("total", "", &s.total)
	fmt.Fprintln(t)
	if e := &s.total; e.EarlierAnnounced > 0 {
		line("SPOOLED BEFORE THE START", "ANNOUNCED", "RECEIVED", "MISSING", "%", "REPEATED")
		line("total", e.EarlierAnnounced, e.EarlierReceived, e.EarlierMissing, percent(e.EarlierMissing, e.EarlierAnnounced), e.EarlierRepeated)
		fmt.Fprintln(t)
	}
	s.sampleTable(line)
	line("SOCKET", "DATAGRAMS", "DECODED", "MALFORMED", "FILTERED", "DROPPED BY THE KERNEL")
	var all socketRow
	for i := range s.sockets {
		r := &s.sockets[i]
		line(fmt.Sprintf("%s #%d", r.Listen, r.Socket), r.Datagrams, r.Decoded, r.Malformed, r.Filtered, r.KernelDrops)
		all.Datagrams += r.Datagrams
		all.Decoded += r.Decoded
		all.Malformed += r.Malformed
		all.Filtered += r.Filtered
		all.KernelDrops += r.KernelDrops
	}
	line("total", all.Datagrams, all.Decoded, all.Malformed, all.Filtered, all.KernelDrops)
	fmt.Fprintln(t)
	line("DATA SETS", "DECODED", "HELD", "WITHOUT TEMPLATE", "MALFORMED")
	line(s.total.Sets, s.total.SetsDecoded, s.total.SetsHeld, s.total.SetsNoTemplate, s.total.SetsMalformed)
	fmt.Fprintln(t)
	line("TO", "RECORDS", "FOUND IN SPOOL", "ACKNOWLEDGED", "SPOOLED", "IN FLIGHT", "DROPPED", "REFUSED")
	for i := range s.destinations {
		r := &s.destinations[i]
		line(r.To, r.Records, r.Found, r.Delivered, r.Spooled, r.InFlight, r.Dropped, r.Refused)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	verdict := "both balances hold"
	if len(s.wrong()) > 0 {
		verdict = "the balances do not hold"
	}
	_, err := fmt.Fprintf(w, "\n%s\n", verdict)
	return err
}

// names are the exporter and the domain as people call them.
func (r *domainRow) names() (exporter, domain string) {
	exporter, domain = r.Exporter, strconv.FormatUint(uint64(r.Domain), 10)
	if r.Port != 0 {
		exporter += " port " + strconv.Itoa(int(r.Port))
	}
	if r.Agent != "" && r.Agent != r.Exporter {
		domain = r.Agent + " " + domain
	}
	return exporter, domain
}

func percent(part, whole uint64) string {
	if whole == 0 || part == 0 {
		return "0"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 3, 64)
}
