package dumplog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tributary-net/tributary/internal/commitlog"
)

// The formats of Options.
const (
	Text  = "text"  // a table
	JSON  = "json"  // an object a line
	Kafka = "kafka" // the lines of Kafka's DumpLogSegments
)

// The decoders of Options, for the records of internal topics.
const (
	Auto         = "auto"         // by the directory of the file
	Plain        = "plain"        // keys and values as they are
	Offsets      = "offsets"      // __consumer_offsets
	Transactions = "transactions" // __transaction_state
)

// What of a record is printed, in the formats for people.
const (
	All      = "all"
	Metadata = "metadata" // offset, time and the like
	Values   = "values"   // key and value
)

// Options say how to print.
type Options struct {
	Format   string
	Records  bool   // print the records of batches too
	Part     string // what of them
	Decode   string
	MaxBytes int64 // of a segment, batches that end by there; 0 is all
}

// row is one line of output; its JSON is its third form.
type row interface {
	text() string
	kafka() string
}

// printer prints the rows of one file.
type printer struct {
	out     io.Writer
	path    string
	options Options
	json    *json.Encoder
}

func (p *printer) head(columns string) error {
	if p.options.Format != Text {
		return nil
	}
	_, err := fmt.Fprintln(p.out, columns)
	return err
}

func (p *printer) row(r row) error {
	var err error
	switch p.options.Format {
	case JSON:
		err = p.json.Encode(r)
	case Kafka:
		_, err = fmt.Fprintln(p.out, r.kafka())
	default:
		_, err = fmt.Fprintln(p.out, r.text())
	}
	return err
}

// maxSmall bounds what is read at once: every file but a segment.
const maxSmall = 1 << 30

// File prints a file; its name says what it is. Of a damaged one everything that can be read is printed before the error.
func File(out io.Writer, path string, o Options) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p := &printer{out: out, path: path, options: o, json: json.NewEncoder(out)}
	p.json.SetEscapeHTML(false)
	switch o.Format {
	case Kafka:
		fmt.Fprintf(out, "Dumping %s\n", path)
	case Text:
		fmt.Fprintf(out, "%s\n", path)
	}
	if err = p.file(f, info.Size()); err != nil && !errors.Is(err, os.ErrInvalid) {
		return fmt.Errorf("%s: %w", path, err)
	}
	return err
}

// checkpoints are files of lines, and what the fields of a line are.
var checkpoints = map[string][]string{
	"recovery-point-offset-checkpoint": {"topic", "partition", "offset"},
	"log-start-offset-checkpoint":      {"topic", "partition", "offset"},
	"replication-offset-checkpoint":    {"topic", "partition", "offset"},
	"cleaner-offset-checkpoint":        {"topic", "partition", "offset"},
	"leader-epoch-checkpoint":          {"epoch", "offset"},
	"producer-id-checkpoint":           {"producer_id"},
}

// suffixes that a file on its way in or out has behind its own.
var passing = []string{".deleted", ".swap", ".cleaned", ".tmp"}

func (p *printer) file(f *os.File, size int64) error {
	name := filepath.Base(p.path)
	for _, s := range passing {
		name = strings.TrimSuffix(name, s)
	}
	if filepath.Ext(name) == ".log" {
		return p.segment(f, size, baseOf(name))
	}
	if size > maxSmall {
		return fmt.Errorf("%d bytes are more than such a file has", size)
	}
	content := make([]byte, size)
	if _, err := io.ReadFull(f, content); err != nil {
		return err
	}
	if fields := checkpoints[name]; fields != nil {
		return p.checkpoint(content, fields)
	}
	switch filepath.Ext(name) {
	case ".index":
		return p.offsetIndex(content, baseOf(name))
	case ".timeindex":
		return p.timeIndex(content, baseOf(name))
	case ".txnindex":
		return p.txnIndex(content)
	case ".snapshot":
		return p.snapshot(content)
	}
	switch name {
	case "partition.metadata", "meta.properties":
		return p.pairs(content)
	}
	return errors.New("allowed are files named .log, .index, .timeindex, .txnindex, .snapshot, checkpoints, partition.metadata and meta.properties")
}

// baseOf reads the base offset out of the name of a segment's file.
func baseOf(name string) int64 {
	digits, _, _ := strings.Cut(name, ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (p *printer) offsetIndex(content []byte, base int64) error {
	entries, damage := commitlog.InspectOffsetIndex(content, base)
	if err := p.emptyOr(len(entries), "OFFSET                POSITION"); err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.row(offsetEntry{"offset_index", e.Offset, e.Position}); err != nil {
			return err
		}
	}
	if damage != nil {
		return damage
	}
	return p.checkAgainstLog(entries)
}

// checkAgainstLog looks whether the entries of an index lead to the batches of the segment beside it, where there is one.
func (p *printer) checkAgainstLog(entries []commitlog.IndexEntry) error {
	log := strings.TrimSuffix(p.path, ".index") + ".log"
	f, err := os.Open(log)
	if err != nil || log == p.path+".log" {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	for _, e := range entries {
		stop := errors.New("one is enough")
		at := io.NewSectionReader(f, e.Position, max(info.Size()-e.Position, 0))
		found := errors.New("there is none")
		err := commitlog.InspectBatches(at, at.Size(), func(b commitlog.Batch) error {
			if found = nil; e.Offset < b.BaseOffset || b.Position != 0 {
				found = fmt.Errorf("there is one from offset %d on", b.BaseOffset)
			}
			return stop
		})
		if found != nil {
			if err != nil && !errors.Is(err, stop) {
				found = err
			}
			return fmt.Errorf("entry of offset %d says there is a batch at position %d of %s: %w", e.Offset, e.Position, filepath.Base(log), found)
		}
	}
	return nil
}

func (p *printer) timeIndex(content []byte, base int64) error {
	entries, damage := commitlog.InspectTimeIndex(content, base)
	if err := p.emptyOr(len(entries), "TIMESTAMP                 OFFSET"); err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.row(timeEntry{"time_index", clock(e.Timestamp), e.Offset, e.Timestamp}); err != nil {
			return err
		}
	}
	return damage
}

func (p *printer) txnIndex(content []byte) error {
	entries, damage := commitlog.InspectTxnIndex(content)
	if err := p.head("PRODUCER    FIRST                 LAST                  LAST STABLE"); err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.row(abortedEntry{"aborted_transaction", e.ProducerID, e.First, e.Last, e.LastStableOffset}); err != nil {
			return err
		}
	}
	return damage
}

func (p *printer) snapshot(content []byte) error {
	entries, damage := commitlog.InspectSnapshot(content)
	if damage != nil {
		return damage
	}
	if err := p.head("PRODUCER    EPOCH  LAST SEQUENCE  LAST OFFSET           TIMESTAMP                 TRANSACTION FROM"); err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.row(newProducerEntry(e)); err != nil {
			return err
		}
	}
	return nil
}

// emptyOr prints the head of a table, or what Kafka prints of an empty index.
func (p *printer) emptyOr(entries int, head string) error {
	if entries == 0 && p.options.Format == Kafka {
		_, err := fmt.Fprintf(p.out, "%s is empty.\n", p.path)
		return err
	}
	return p.head(head)
}

// checkpoint prints the lines of a checkpoint: version, number of lines, lines.
func (p *printer) checkpoint(content []byte, fields []string) error {
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	if len(lines) < 2 || strings.TrimSpace(lines[0]) != "0" {
		return errors.New("line 1: no checkpoint of version 0")
	}
	if err := p.head(strings.ToUpper(strings.Join(fields, "  "))); err != nil {
		return err
	}
	for i, line := range lines[2:] {
		values := strings.Fields(line)
		if len(values) != len(fields) {
			return fmt.Errorf("line %d: %q is not %s", i+3, line, strings.Join(fields, ", "))
		}
		l := checkpointLine{fields: fields, values: values}
		for j, name := range fields {
			if n, err := strconv.ParseInt(values[j], 10, 64); name != "topic" && (err != nil || n < 0) {
				return fmt.Errorf("line %d: %q is no %s", i+3, values[j], name)
			}
		}
		if err := p.row(l); err != nil {
			return err
		}
	}
	if n, err := strconv.Atoi(strings.TrimSpace(lines[1])); err != nil || n != len(lines)-2 {
		return fmt.Errorf("line 2 says there are %s lines, there are %d", lines[1], len(lines)-2)
	}
	return nil
}

// pairs prints the lines of meta.properties and partition.metadata, which have a name and a value.
func (p *printer) pairs(content []byte) error {
	if err := p.head("NAME  VALUE"); err != nil {
		return err
	}
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		i := strings.IndexAny(line, "=:")
		if i < 0 {
			return fmt.Errorf("line %d: %q has no name and value", n, line)
		}
		l := checkpointLine{fields: []string{"name", "value"}, values: []string{strings.TrimSpace(line[:i]), strings.TrimSpace(line[i+1:])}}
		if err := p.row(l); err != nil {
			return err
		}
	}
	return nil
}
