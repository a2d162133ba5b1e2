package dumplog

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tributary-net/tributary/internal/commitlog"
)

var codecs = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// segment prints the batches of a .log, and their records if asked for.
func (p *printer) segment(f io.ReaderAt, size, base int64) error {
	if p.options.Format == Kafka {
		fmt.Fprintf(p.out, "Log starting offset: %d\n", base)
	}
	if err := p.head("OFFSETS                  RECORDS  EPOCH  PRODUCER      SEQUENCE           CODEC   TIMESTAMP                 POSITION    SIZE"); err != nil {
		return err
	}
	decode := p.decoder()
	err := commitlog.InspectBatches(f, size, func(b commitlog.Batch) error {
		if p.options.MaxBytes > 0 && b.Position+b.Size > p.options.MaxBytes {
			return errEnough
		}
		if err := p.row(newBatch(b)); err != nil || !p.options.Records {
			return err
		}
		return commitlog.InspectRecords(f, b, func(r commitlog.Record) error {
			row := newRecord(b, r, decode)
			row.part = p.options.Part
			return p.row(row)
		})
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// errEnough ends the reading of a segment at MaxBytes.
var errEnough = errors.New("enough")

// decoder chooses what to make of keys and values; nil takes them as they are.
func (p *printer) decoder() decoder {
	which := p.options.Decode
	if which == Auto {
		abs, err := filepath.Abs(p.path)
		if err != nil {
			return nil
		}
		dir := filepath.Base(filepath.Dir(abs))
		switch {
		case strings.HasPrefix(dir, "__consumer_offsets-"):
			which = Offsets
		case strings.HasPrefix(dir, "__transaction_state-"):
			which = Transactions
		}
	}
	switch which {
	case Offsets:
		return decodeOffsets
	case Transactions:
		return decodeTransactions
	}
	return nil
}

type batchRow struct {
	Type          string  `json:"type"`
	BaseOffset    int64   `json:"base_offset"`
	LastOffset    int64   `json:"last_offset"`
	Count         int32   `json:"records"`
	LeaderEpoch   int32   `json:"leader_epoch"`
	ProducerID    int64   `json:"producer_id"`
	ProducerEpoch int16   `json:"producer_epoch"`
	BaseSequence  int32   `json:"base_sequence"`
	LastSequence  int32   `json:"last_sequence"`
	Codec         string  `json:"compression"`
	TimestampType string  `json:"timestamp_type"`
	Timestamp     string  `json:"timestamp"`
	Transactional bool    `json:"transactional"`
	Control       bool    `json:"control"`
	DeleteHorizon *string `json:"delete_horizon"`
	Position      int64   `json:"position"`
	Size          int64   `json:"size"`
	CRC           uint32  `json:"crc"`

	batch commitlog.Batch
}

func newBatch(b commitlog.Batch) batchRow {
	r := batchRow{
		Type: "batch", BaseOffset: b.BaseOffset, LastOffset: b.LastOffset, Count: b.Count, LeaderEpoch: b.LeaderEpoch,
		ProducerID: b.ProducerID, ProducerEpoch: b.ProducerEpoch, BaseSequence: b.BaseSequence, LastSequence: b.LastSequence,
		TimestampType: "CreateTime", Timestamp: clock(b.MaxTimestamp), Transactional: b.Transactional, Control: b.Control,
		Position: b.Position, Size: b.Size, CRC: b.CRC, Codec: strconv.Itoa(b.Codec), batch: b,
	}
	if b.Codec < len(codecs) {
		r.Codec = codecs[b.Codec]
	}
	if b.LogAppendTime {
		r.TimestampType = "LogAppendTime"
	}
	if b.DeleteHorizon {
		horizon := clock(b.BaseTimestamp)
		r.DeleteHorizon = &horizon
	}
	return r
}

func (r batchRow) text() string {
	producer, sequence := "-", "-"
	if r.ProducerID >= 0 {
		producer = fmt.Sprintf("%d/%d", r.ProducerID, r.ProducerEpoch)
	}
	if r.BaseSequence >= 0 {
		sequence = fmt.Sprintf("%d-%d", r.BaseSequence, r.LastSequence)
	}
	s := fmt.Sprintf("%-23s  %-7d  %-5d  %-12s  %-17s  %-6s  %-24s  %-10d  %d",
		fmt.Sprintf("%d-%d", r.BaseOffset, r.LastOffset), r.Count, r.LeaderEpoch, producer, sequence, r.Codec, r.Timestamp, r.Position, r.Size)
	if r.Control {
		s += "  control"
	} else if r.Transactional {
		s += "  transactional"
	}
	if r.batch.LogAppendTime {
		s += "  LogAppendTime"
	}
	if r.DeleteHorizon != nil {
		s += "  delete horizon " + *r.DeleteHorizon
	}
	return s
}

func (r batchRow) kafka() string {
	b := r.batch
	return fmt.Sprintf("baseOffset: %d lastOffset: %d count: %d baseSequence: %d lastSequence: %d producerId: %d producerEpoch: %d "+
		"partitionLeaderEpoch: %d isTransactional: %t isControl: %t deleteHorizonMs: %s position: %d %s: %d size: %d magic: 2 "+
		"compresscodec: %s crc: %d isvalid: true",
		b.BaseOffset, b.LastOffset, b.Count, b.BaseSequence, b.LastSequence, b.ProducerID, b.ProducerEpoch,
		b.LeaderEpoch, b.Transactional, b.Control, optional(b.BaseTimestamp, b.DeleteHorizon), b.Position, r.TimestampType, b.MaxTimestamp, b.Size,
		r.Codec, b.CRC)
}

type headerRow struct {
	Name        string  `json:"name"`
	Value       *string `json:"value"`
	ValueBase64 string  `json:"value_base64,omitempty"`
}

// recordRow is a record, with the names that consume --output json has for it.
type recordRow struct {
	Type        string          `json:"type"`
	Offset      int64           `json:"offset"`
	Timestamp   string          `json:"timestamp"`
	Sequence    *int32          `json:"sequence,omitempty"`
	Key         json.RawMessage `json:"key"`
	KeyBase64   string          `json:"key_base64,omitempty"`
	Headers     []headerRow     `json:"headers,omitempty"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 string          `json:"value_base64,omitempty"`
	Marker      string          `json:"marker,omitempty"`
	Coordinator *int32          `json:"coordinator_epoch,omitempty"`

	record     commitlog.Record
	sequence   int32
	timeType   string
	key, value *string // decoded, or text
	decoded    bool
	part       string // what of it is printed
}

func newRecord(b commitlog.Batch, r commitlog.Record, decode decoder) recordRow {
	row := recordRow{Type: "record", Offset: r.Offset, Timestamp: clock(r.Timestamp), record: r, sequence: -1, timeType: "CreateTime"}
	if b.LogAppendTime {
		row.timeType = "LogAppendTime"
	}
	if b.BaseSequence >= 0 {
		row.sequence = int32((int64(b.BaseSequence) + r.Offset - b.BaseOffset) & (1<<31 - 1))
		row.Sequence = &row.sequence
	}
	for _, h := range r.Headers {
		v, encoded := textOrBase64(h.Value)
		row.Headers = append(row.Headers, headerRow{h.Key, v, encoded})
	}
	if b.Control {
		row.marker(r)
		return row
	}
	if decode != nil {
		if key, value, ok := decode(r.Key, r.Value); ok {
			row.decoded = true
			row.Key, row.key = json.RawMessage(key), &key
			row.Value, row.value = json.RawMessage("null"), nil
			if r.Value != nil {
				row.Value, row.value = json.RawMessage(value), &value
			}
			return row
		}
	}
	row.Key, row.KeyBase64 = jsonOf(r.Key)
	row.Value, row.ValueBase64 = jsonOf(r.Value)
	row.key, row.value = plain(r.Key), plain(r.Value)
	return row
}

// marker reads the record of a control batch: the end of a transaction, or another of Kafka's.
func (row *recordRow) marker(r commitlog.Record) {
	row.Key, row.KeyBase64 = json.RawMessage("null"), base64.StdEncoding.EncodeToString(r.Key)
	row.Value, row.ValueBase64 = json.RawMessage("null"), base64.StdEncoding.EncodeToString(r.Value)
	if len(r.Key) < 4 {
		return
	}
	kind := binary.BigEndian.Uint16(r.Key[2:])
	switch row.Marker = fmt.Sprintf("type %d", kind); kind {
	case 0:
		row.Marker = "ABORT"
	case 1:
		row.Marker = "COMMIT"
	}
	if kind < 2 && len(r.Value) >= 6 {
		epoch := int32(binary.BigEndian.Uint32(r.Value[2:]))
		row.Coordinator = &epoch
	}
}

func textOrBase64(b []byte) (text *string, encoded string) {
	switch {
	case b == nil:
		return nil, ""
	case utf8.Valid(b):
		s := string(b)
		return &s, ""
	}
	return nil, base64.StdEncoding.EncodeToString(b)
}

func jsonOf(b []byte) (value json.RawMessage, encoded string) {
	text, encoded := textOrBase64(b)
	value, _ = json.Marshal(text) // of a string, which has no error
	return value, encoded
}

func plain(b []byte) *string {
	if b == nil {
		return nil
	}
	s := strings.ToValidUTF8(string(b), "\ufffd")
	return &s
}

func (row recordRow) text() string {
	s := fmt.Sprintf("  %-20d  %s", row.Offset, row.Timestamp)
	if row.part == Values {
		s = ""
	}
	if row.Marker != "" {
		return s + "  " + row.Marker
	}
	for _, h := range row.Headers {
		if row.part != Values {
			s += "  " + h.Name + "=" + shown(h.Value)
		}
	}
	if row.part == Metadata {
		return s
	}
	if row.decoded {
		value := "null"
		if row.value != nil {
			value = *row.value
		}
		return s + "  " + *row.key + "  " + value
	}
	return s + "  key " + shown(row.key) + "  value " + shown(row.value)
}

// shown writes text such that a terminal cannot be harmed.
func shown(s *string) string {
	if s == nil {
		return "null"
	}
	return strconv.Quote(*s)
}

func (row recordRow) kafka() string {
	size := func(b []byte) int {
		if b == nil {
			return -1
		}
		return len(b)
	}
	names := make([]string, 0, len(row.Headers))
	for _, h := range row.Headers {
		names = append(names, h.Name)
	}
	s := fmt.Sprintf(" offset: %d %s: %d keySize: %d valueSize: %d sequence: %d headerKeys: [%s]",
		row.Offset, row.timeType, row.record.Timestamp, size(row.record.Key), size(row.record.Value), row.sequence, strings.Join(names, ","))
	if row.part == Values {
		s = ""
	}
	s = "|" + s
	if row.part == Metadata && row.Marker == "" {
		return s
	}
	if row.Coordinator != nil {
		return s + fmt.Sprintf(" endTxnMarker: %s coordinatorEpoch: %d", row.Marker, *row.Coordinator)
	}
	if row.Marker != "" {
		return s + " controlType: " + row.Marker
	}
	if row.key != nil {
		s += " key: " + *row.key
	}
	switch {
	case row.value != nil:
		s += " payload: " + *row.value
	case row.decoded:
		s += " payload: <DELETE>"
	}
	return s
}
