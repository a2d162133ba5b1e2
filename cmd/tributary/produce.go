package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

	"github.com/tributary-net/tributary/internal/kafka"
)

// produceOptions are the options of produce.
type produceOptions struct {
	kafka       *kafkaOptions
	input       string
	lines       kafka.LineFormat
	delimiter   string
	key         string
	headers     []string
	partition   int32
	acks        string
	compression string
	maxBytes    int64
	rate        float64
}

func (o *produceOptions) register(fs *pflag.FlagSet, prefix string) {
	o.kafka.register(fs, prefix)
	enumVar(fs, &o.input, prefix+"input", []string{"lines", "json"}, "what comes in: a value a line, or a JSON object a line as consume --output json writes it")
	stringVar(fs, &o.lines.KeySeparator, prefix+"key-separator", "what parts the key from the value in a line; \\t is a tab; empty: there are no keys")
	stringVar(fs, &o.lines.HeaderDelimiter, prefix+"header-delimiter", "what parts the headers from the rest of a line, before the key; \\t is a tab; empty: there are no headers")
	textVar(fs, &o.lines.HeaderSeparator, prefix+"header-separator", "text", checkNotEmpty, "what parts one header from the next")
	textVar(fs, &o.lines.HeaderKeySeparator, prefix+"header-key-separator", "text", checkNotEmpty, "what parts a header's name from its value")
	boolVar(fs, &o.lines.Lenient, prefix+"lenient", "take a line without these separators as one without headers or key; else it is an error")
	textVar(fs, &o.delimiter, prefix+"delimiter", "text", checkDelimiter, "what ends a record; \\n, \\t and \\0 are understood")
	stringVar(fs, &o.key, prefix+"key", "key of every record that has none")
	stringVar(fs, &o.lines.Null, prefix+"null", "text of a line that stands for no value (which deletes the key in a compacted topic), no key, no headers")
	listVar(fs, &o.headers, prefix+"header", "name=value", checkPair, "header of every record (repeatable)")
	intVar(fs, &o.partition, prefix+"partition", -1, maxInt32, "send to this partition; -1 goes by the key")
	enumVar(fs, &o.acks, prefix+"acks", []string{"", "all", "1", "0"}, "who has a record when it is acknowledged (default all)")
	enumVar(fs, &o.compression, prefix+"compression", []string{"", "none", "gzip", "snappy", "lz4", "zstd"}, "compression of batches (default none)")
	sizeVar(fs, &o.maxBytes, prefix+"max-record-bytes", 1<<10, 1<<30, "longest record to read")
	rateVar(fs, &o.rate, prefix+"rate", "send no more records than this; 0 is no limit")
}

func (o *produceOptions) check() error {
	if err := o.kafka.check(); err != nil {
		return err
	}
	if o.partition >= 0 && o.input == "json" {
		return bad("partition", fmt.Sprint(o.partition), "allowed with --input json is -1; the objects name their partition")
	}
	return errors.Join(o.kafka.property("acks", o.acks), o.kafka.property("compression.type", o.compression))
}

// delimiters are escapes that a command line can write.
var delimiters = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\\`, `\`)

func checkDelimiter(s string) error {
	if d := delimiters.Replace(s); len(d) != 1 {
		return errors.New("allowed is one byte, or \\n, \\t, \\r, \\0")
	}
	return nil
}

func checkNotEmpty(s string) error {
	if s == "" {
		return errors.New("allowed is any text but none")
	}
	return nil
}

func newProduce() *cobra.Command {
	o := &produceOptions{kafka: defaultKafkaOptions(), input: "lines", lines: kafka.LineFormat{HeaderSeparator: ",", HeaderKeySeparator: ":"}, delimiter: `\n`, partition: -1, maxBytes: 64 << 20}
	return configured(&cobra.Command{
		Use:   "produce TOPIC [FILE...]",
		Short: "Send lines from standard input or files as records",
		Long: `Send the lines of standard input, or of files, as records of a topic. A missing
topic is created if the cluster allows it. The command ends when everything is
acknowledged; it fails, and says how many, when some records were not.`,
		Example: `  echo 'hello' | tributary produce greetings
  tributary produce users --key-separator : --compression zstd users.txt
  tributary consume a --exit-at-end --output json | tributary produce b --input json`,
		Args: cobra.MinimumNArgs(1),
	}, o, func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		if err := kafka.CheckTopic(args[0]); err != nil {
			return err
		}
		p := &producing{options: o, topic: args[0], lines: o.lines}
		for _, s := range []*string{&p.lines.KeySeparator, &p.lines.HeaderDelimiter, &p.lines.HeaderSeparator, &p.lines.HeaderKeySeparator} {
			*s = delimiters.Replace(*s)
		}
		for _, h := range o.headers {
			name, value, _ := strings.Cut(h, "=")
			p.headers = append(p.headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		more := []kgo.Opt{kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner())}
		if o.partition < 0 && o.input == "lines" {
			more = more[:1]
		} else if o.partition < 0 {
			more[1] = kgo.RecordPartitioner(byRecord{kgo.UniformBytesPartitioner(64<<10, true, true, nil)})
		}
		cl, err := o.kafka.client(ctx, c, more...)
		if err != nil {
			return err
		}
		defer cl.Close()
		p.client = cl
		err = p.files(ctx, c.InOrStdin(), args[1:])
		// What was read before the signal or the error is still sent.
		flushed := cl.Flush(context.WithoutCancel(ctx))
		if f, ok := c.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			fmt.Fprintf(f, "%d records acknowledged\n", p.acknowledged)
		}
		return o.kafka.endpoint.Explain(errors.Join(err, p.failure(), flushed))
	})
}

// producing sends records and counts what became of them.
type producing struct {
	options *produceOptions
	topic   string
	lines   kafka.LineFormat
	headers []kgo.RecordHeader
	client  *kgo.Client

	mu           sync.Mutex
	acknowledged uint64
	failed       uint64
	first        error // why the first one failed
}

func (p *producing) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == 0 {
		return nil
	}
	return fmt.Errorf("%d records were not acknowledged, %d were: %w", p.failed, p.acknowledged, p.first)
}

func (p *producing) done(_ *kgo.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.acknowledged++
		return
	}
	if p.failed++; p.first == nil {
		p.first = err
	}
}

// files sends standard input or the files, one after the other.
func (p *producing) files(ctx context.Context, stdin io.Reader, names []string) error {
	if len(names) == 0 {
		return p.read(ctx, "standard input", stdin)
	}
	for _, n := range names {
		if n == "-" {
			if err := p.read(ctx, "standard input", stdin); err != nil {
				return err
			}
			continue
		}
		f, err := os.Open(n)
		if err != nil {
			return err
		}
		err = p.read(ctx, n, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// read sends the records of one input. It reads in a goroutine of its own, so
// that a signal is heard while the input is silent; that goroutine ends with its
// input or the process.
func (p *producing) read(ctx context.Context, name string, in io.Reader) error {
	type piece struct {
		text []byte
		err  error
	}
	pieces := make(chan piece, 64)
	go func() {
		defer close(pieces)
		r := bufio.NewReaderSize(in, 64<<10)
		end := delimiters.Replace(p.options.delimiter)[0]
		for {
			text, err := readRecord(r, end, p.options.maxBytes)
			select {
			case pieces <- piece{text, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	begin := time.Now()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case got := <-pieces:
			if got.err != nil && (!errors.Is(got.err, io.EOF) || len(got.text) == 0) {
				if errors.Is(got.err, io.EOF) {
					return nil
				}
				return fmt.Errorf("read %s, record %d: %w", name, n, got.err)
			}
			if err := p.send(ctx, got.text); err != nil {
				return fmt.Errorf("read %s, record %d: %w", name, n, err)
			}
			if got.err != nil {
				return nil
			}
		}
		if r := p.options.rate; r > 0 {
			due := begin.Add(time.Duration(float64(n) / r * float64(time.Second)))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Until(due)):
			}
		}
	}
}

// readRecord reads up to the delimiter, which it takes off.
func readRecord(r *bufio.Reader, end byte, limit int64) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice(end)
		if int64(len(text)+len(part)) > limit+1 {
			return nil, fmt.Errorf("longer than --max-record-bytes %s", formatSize(limit))
		}
		text = append(text, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err == nil {
			text = text[:len(text)-1]
			if end == '\n' {
				text = bytes.TrimSuffix(text, []byte("\r"))
			}
		}
		return text, err
	}
}

// send produces one record; it blocks while too many wait to be acknowledged.
func (p *producing) send(ctx context.Context, text []byte) error {
	o := p.options
	r := &kgo.Record{Topic: p.topic, Headers: p.headers, Partition: o.partition}
	if o.key != "" {
		r.Key = []byte(o.key)
	}
	if o.input == "json" {
		if len(bytes.TrimSpace(text)) == 0 {
			return nil
		}
		if err := recordFromJSON(text, r); err != nil {
			return err
		}
	} else if err := p.lines.Parse(text, r); err != nil {
		return err
	}
	// A signal stops the reading; what is read is still sent.
	p.client.Produce(context.WithoutCancel(ctx), r, p.done)
	return nil
}

// byRecord sends a record to the partition it names, and others by key, or where little waits.
type byRecord struct{ kgo.Partitioner }

func (b byRecord) ForTopic(topic string) kgo.TopicPartitioner {
	return &byRecordTopic{b.Partitioner.ForTopic(topic).(kgo.TopicBackupPartitioner)} // as that of kgo.UniformBytesPartitioner is
}

type byRecordTopic struct{ kgo.TopicBackupPartitioner }

func (b *byRecordTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || b.TopicBackupPartitioner.RequiresConsistency(r)
}

func (b *byRecordTopic) PartitionByBackup(r *kgo.Record, n int, waiting kgo.TopicBackupIter) int {
	if r.Partition >= 0 {
		return int(r.Partition) // one that does not exist fails the record
	}
	return b.TopicBackupPartitioner.PartitionByBackup(r, n, waiting)
}

// jsonRecord is a record as consume --output json writes it and produce --input
// json reads it. What is not valid UTF-8 is in the _base64 field instead.
type jsonRecord struct {
	Topic       string          `json:"topic"`
	Partition   *int32          `json:"partition"`
	Offset      int64           `json:"offset"`
	Timestamp   string          `json:"timestamp"`
	Key         *string         `json:"key"`
	KeyBase64   string          `json:"key_base64,omitempty"`
	Headers     []jsonHeader    `json:"headers,omitempty"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 string          `json:"value_base64,omitempty"`
}

// jsonHeader is one header; a name may appear several times.
type jsonHeader struct {
	Name        string  `json:"name"`
	Value       *string `json:"value"`
	ValueBase64 string  `json:"value_base64,omitempty"`
}

// jsonText splits bytes into a JSON string and, for those that are none, base64.
func jsonText(b []byte) (text *string, encoded string) {
	switch {
	case b == nil:
		return nil, ""
	case utf8.Valid(b):
		s := string(b)
		return &s, ""
	default:
		return nil, base64.StdEncoding.EncodeToString(b)
	}
}

func bytesOf(text *string, encoded string) ([]byte, error) {
	if encoded != "" {
		return base64.StdEncoding.DecodeString(encoded)
	}
	if text == nil {
		return nil, nil
	}
	return []byte(*text), nil
}

// recordFromJSON fills r. A value that is no string is sent as the JSON it is.
func recordFromJSON(text []byte, r *kgo.Record) error {
	var j jsonRecord
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	if j.Partition != nil {
		r.Partition = *j.Partition
	}
	key, err := bytesOf(j.Key, j.KeyBase64)
	if err != nil {
		return fmt.Errorf("key_base64: %w", err)
	}
	if key != nil {
		r.Key = key
	}
	var value *string
	if v := bytes.TrimSpace(j.Value); len(v) > 0 && v[0] != '"' && string(v) != "null" {
		s := string(v)
		value = &s
	} else if err := json.Unmarshal(orNull(v), &value); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	if r.Value, err = bytesOf(value, j.ValueBase64); err != nil {
		return fmt.Errorf("value_base64: %w", err)
	}
	if j.Timestamp != "" {
		if r.Timestamp, err = time.Parse(time.RFC3339Nano, j.Timestamp); err != nil {
			return fmt.Errorf("timestamp: %w", err)
		}
	}
	for _, h := range j.Headers {
		v, err := bytesOf(h.Value, h.ValueBase64)
		if err != nil {
			return fmt.Errorf("header %s: %w", h.Name, err)
		}
		r.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], kgo.RecordHeader{Key: h.Name, Value: v})
	}
	return nil
}

func orNull(v []byte) []byte {
	if len(v) == 0 {
		return []byte("null")
	}
	return v
}
