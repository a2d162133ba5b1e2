package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tributary-net/tributary/internal/kafka"
)

// printer writes records as --output, --print and --decode say.
type printer struct {
	out       *bufio.Writer
	json      bool
	kafka     bool // names stand before some pieces, as Kafka prints them
	records   int64
	decode    bool
	parts     []string
	separator string
	headerSep string
	null      string
	formats   map[string]string // of key and value
	odd       io.Writer         // where to say that a record is left out; nil: it is an error
	delimiter byte
	buf       []byte
	value     []byte
}

func newPrinter(o *consumeOptions, out *bufio.Writer, stderr io.Writer) *printer {
	p := &printer{
		out: out, json: o.output == "json", kafka: o.output == "kafka", decode: o.decode,
		separator: delimiters.Replace(o.keySep), delimiter: delimiters.Replace(o.delimiter)[0],
		headerSep: delimiters.Replace(o.headerSep), null: o.null, formats: map[string]string{"key": o.keyFormat, "value": o.valueFormat},
	}
	if o.skipOdd {
		p.odd = stderr
	}
	for part := range strings.SplitSeq(o.print, ",") {
		p.parts = append(p.parts, strings.TrimSpace(part))
	}
	return p
}

func (p *printer) flush() error { return p.out.Flush() }

// record prints one record; with --decode and several flow records in it, each on
// a line of its own. A value that is no flow record is printed as it is.
func (p *printer) record(r *kgo.Record) error {
	p.records++
	decoded := false
	p.value = p.value[:0]
	if p.decode && r.Value != nil {
		p.value, decoded = decodeValue(r.Value, p.value)
	}
	if p.json {
		return p.object(r, decoded)
	}
	if !decoded || !slices.Contains(p.parts, "value") {
		return p.line(r, r.Value)
	}
	for flow := range bytes.SplitSeq(p.value, []byte("\n")) {
		if err := p.line(r, flow); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) line(r *kgo.Record, value []byte) error {
	b := p.buf[:0]
	var err error
	for i, part := range p.parts {
		if i > 0 {
			b = append(b, p.separator...)
		}
		switch part {
		case "timestamp", "partition", "offset", "headers":
			if p.kafka {
				b = p.appendAsKafka(b, r, part)
				continue
			}
		}
		switch part {
		case "topic":
			b = append(b, r.Topic...)
		case "partition":
			b = strconv.AppendInt(b, int64(r.Partition), 10)
		case "offset":
			b = strconv.AppendInt(b, r.Offset, 10)
		case "timestamp":
			b = appendTime(b, r.Timestamp)
		case "key":
			if b, err = p.appendPiece(b, r, part, r.Key); err != nil {
				return p.malformed(err)
			}
		case "headers":
			b = p.appendHeaders(b, r, '=')
		case "value":
			if b, err = p.appendPiece(b, r, part, value); err != nil {
				return p.malformed(err)
			}
		}
	}
	b = append(b, p.delimiter)
	p.buf = b
	_, err = p.out.Write(b)
	return err
}

// malformed is what becomes of a record whose key or value is not of its format.
func (p *printer) malformed(err error) error {
	if p.odd == nil {
		return err
	}
	_, err = fmt.Fprintf(p.odd, "left out: %v\n", err)
	return err
}

// appendPiece appends a key or value.
func (p *printer) appendPiece(b []byte, r *kgo.Record, part string, v []byte) ([]byte, error) {
	format := p.formats[part]
	if v == nil || format == "text" {
		return p.appendOrNull(b, v), nil
	}
	b, err := kafka.AppendValue(b, v, format)
	if err != nil {
		return b, fmt.Errorf("%s of topic %s partition %d offset %d: %w", part, r.Topic, r.Partition, r.Offset, err)
	}
	return b, nil
}

func (p *printer) appendHeaders(b []byte, r *kgo.Record, is byte) []byte {
	for i, h := range r.Headers {
		if i > 0 {
			b = append(b, p.headerSep...)
		}
		b = p.appendOrNull(append(append(b, h.Key...), is), h.Value)
	}
	return b
}

// appendAsKafka appends a piece of a record as Kafka's DefaultMessageFormatter prints it.
func (p *printer) appendAsKafka(b []byte, r *kgo.Record, part string) []byte {
	switch part {
	case "timestamp":
		kind := "CreateTime:"
		if r.Attrs.TimestampType() == 1 {
			kind = "LogAppendTime:"
		}
		return strconv.AppendInt(append(b, kind...), r.Timestamp.UnixMilli(), 10)
	case "partition":
		return strconv.AppendInt(append(b, "Partition:"...), int64(r.Partition), 10)
	case "offset":
		return strconv.AppendInt(append(b, "Offset:"...), r.Offset, 10)
	}
	if len(r.Headers) == 0 {
		return append(b, "NO_HEADERS"...)
	}
	return p.appendHeaders(b, r, ':')
}

func (p *printer) appendOrNull(b, v []byte) []byte {
	if v == nil {
		return append(b, p.null...)
	}
	return append(b, v...)
}

func appendTime(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
}

// object prints a record as one JSON object.
func (p *printer) object(r *kgo.Record, decoded bool) error {
	j := jsonRecord{Topic: r.Topic, Partition: &r.Partition, Offset: r.Offset, Timestamp: string(appendTime(nil, r.Timestamp))}
	j.Key, j.KeyBase64 = jsonText(r.Key)
	for _, h := range r.Headers {
		v, encoded := jsonText(h.Value)
		j.Headers = append(j.Headers, jsonHeader{Name: h.Key, Value: v, ValueBase64: encoded})
	}
	switch {
	case decoded && bytes.IndexByte(p.value, '\n') >= 0:
		j.Value = slices.Concat([]byte("["), bytes.ReplaceAll(p.value, []byte("\n"), []byte(",")), []byte("]"))
	case decoded:
		j.Value = slices.Clone(p.value)
	default:
		var text *string
		text, j.ValueBase64 = jsonText(r.Value)
		v, err := json.Marshal(text)
		if err != nil {
			return err
		}
		j.Value = v
	}
	b, err := json.Marshal(&j)
	if err != nil {
		return err
	}
	_, err = p.out.Write(append(b, '\n'))
	return err
}
